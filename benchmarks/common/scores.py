"""What each clip adds to the figures of answers of several seeds."""

import numpy as np

from common.certainty import briers, calibration_error, log_losses
from common.outcomes import outcomes

# Factor of each figure in a table: per cent of shares.
FIGURES = {"top-1": 100, "top-5": 100, "class recall": 100, "log loss": 1, "Brier": 1}


def scores(proba, y, classes):
    """What each clip adds to every figure.   (S, n, C) -> {figure: (S, n)}."""
    columns = np.searchsorted(classes, y)
    found = {figure: [] for figure in FIGURES}
    for answers in proba:
        told = outcomes(answers, y, classes)
        told["class recall"] = told["class-mean top-1"]
        told["log loss"] = log_losses(answers, columns)
        told["Brier"] = briers(answers, columns)
        for figure, values in found.items():
            values.append(told[figure])
    return {figure: np.array(values) for figure, values in found.items()}


def certainty(proba, y, classes):
    """Confidence and hit of each clip (S, n), and calibration error (S,)."""
    sure = proba.max(axis=2)
    hit = (classes[proba.argmax(axis=2)] == y).astype(float)
    errors = [calibration_error(*pair) for pair in zip(sure, hit, strict=True)]
    return sure, hit, np.array(errors)
