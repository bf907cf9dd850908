"""One temperature, fitted on clips that were held out of training: what it repairs.

EGTEA Gaze+ (split 1, all labels, an MLP over past labels) and driver manoeuvres (20 %
of the labels, 2 of 7 steps, `DistilledAnticipator` at its defaults, without smoothing).
"all": trained on all training clips, no temperature. "less": without the fifth of the
labelled clips that the temperature is fitted on; unlabelled clips stay. "calibrated":
that, and the temperature by `CalibratedClassifierCV` of scikit-learn, which wants every
class among the clips that it is fitted on; "tempered": by `temperature_of`, which does
not. "all, tempered": the model of all training clips at that temperature.

    python benchmarks/temperature.py --data FOLDER
"""

import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.answers import proba_of
from common.arguments import data_parser, parse_with_data
from common.data import load_clips
from common.lessons import lesson
from common.report import print_header, print_row
from common.scores import certainty, scores
from common.tasks import load_task
from common.tempering import temperature_of, tempered
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from skanticipate import (
    MLP,
    DistilledAnticipator,
    SemiSupervisedSplit,
    SmoothedAnticipator,
)


def calibrated(model, X, y):
    """A fitted model with a temperature, by scikit-learn.

    Without `cv` it asks for five clips of every class; a frozen model is not fitted
    again, so that all clips may stand on both sides of its only split.
    """
    rows = np.arange(len(y))
    return CalibratedClassifierCV(
        FrozenEstimator(model), method="temperature", cv=[(rows, rows)]
    ).fit(X, y)


def look(model, given, test, classes):
    """Answers of a model and of its tempered forms.   -> {name: (n, C)}, T.

    Parameters
    ----------
    model : estimator
        Unfitted.
    given : dict
        Arguments of `fit`.
    test : ndarray
        Clips that are answered for.
    classes : ndarray
        All labels.
    """
    found = {"all": proba_of(model.fit(**given), test, classes)}
    y, groups = given["y"], given.get("groups")
    train, held = next(SemiSupervisedSplit(5).split(None, y, groups))
    model.fit(**{name: values[train] for name, values in given.items()})
    found["less"] = proba_of(model, test, classes)
    clips, labels = given["X_past"][held], y[held]
    found["calibrated"] = np.full_like(found["less"], np.nan)
    if np.array_equal(np.unique(labels), model.classes_):
        found["calibrated"] = proba_of(calibrated(model, clips, labels), test, classes)
    known = np.isin(labels, model.classes_)
    T = temperature_of(
        model.predict_log_proba(clips[known]),
        np.searchsorted(model.classes_, labels[known]),
    )
    found["tempered"] = tempered(found["less"], T)
    found["all, tempered"] = tempered(found["all"], T)
    return found, T


def egtea(root, seed, epochs):
    """Look at next actions of EGTEA Gaze+, or of the synthetic kitchen."""
    clips = load_clips("kitchen" if root is None else "egtea", root)
    rows, codes = clips.training, clips.codes()
    model = SmoothedAnticipator(
        MLP(256, embedding=64, dropout=0.5),
        smoothing=0.0,
        max_epochs=epochs,
        random_state=seed,
    )
    given = {"X_past": codes[rows], "y": clips.y[rows]}
    if not clips.shared:
        given["groups"] = clips.videos[rows]
    y = clips.y[clips.test]
    return look(model, given, codes[clips.test], clips.classes), y, clips.classes


def few(name, root, part, seed, epochs):
    """Look at a set of which a fifth of the labels is known."""
    task = load_task(name, root)
    one = lesson(task, part, *task.part(part), 0.2, seed)
    model = DistilledAnticipator(smoothing=0, max_epochs=epochs, random_state=seed)
    given = {"X_past": one.clips["past"], "y": one.y}
    given["X_future_unlabeled"] = one.clips["future"]
    return look(model, given, one.held["past"], one.classes), one.y_held, one.classes


def show(title, looks):
    """Print the means over runs."""
    print(f"\n{title}: temperatures {', '.join(f'{T:.2f}' for (_, T), *_ in looks)}\n")
    print_header("row", "top-1", "log loss", "Brier", "calibration error")
    for name in looks[0][0][0]:
        lines = []
        for (found, _), y, classes in looks:
            proba = found[name][None]
            figures = scores(proba, y, classes)
            line = [100 * figures["top-1"].mean(), figures["log loss"].mean()]
            error = np.nan
            if not np.isnan(proba).any():
                error = 100 * certainty(proba, y, classes)[2].mean()
            lines.append([*line, figures["Brier"].mean(), error])
        if np.isnan(lines).any():
            continue  # a class was missing
        top, *loss, error = np.mean(lines, axis=0)
        print_row(name, f"{top:.1f}", *(f"{x:.3f}" for x in loss), f"{error:.1f}")


def main():
    """Print a table for each set."""
    parser = data_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", type=int, default=2)
    args = parse_with_data(parser, {"seeds": 1, "parts": 1, "data": None})
    warnings.simplefilter("ignore")  # classes without a label
    seeds, epochs = range(args.seeds), (2, 2) if args.tiny else (12, 50)
    title = "kitchen" if args.tiny else "EGTEA Gaze+, split 1"
    show(title, [egtea(args.data, s, epochs[0]) for s in seeds])
    name = "kitchen" if args.tiny else "manoeuvres-2"
    runs = [(part, seed) for part in range(args.parts) for seed in seeds]
    looks = [few(name, args.data, *run, epochs[1]) for run in runs]
    show(f"{name}, 20 % of the labels", looks)


if __name__ == "__main__":
    main()
