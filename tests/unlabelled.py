"""Rows of which half have no label, and what scikit-learn wraps around a classifier."""

import warnings

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)

from skanticipate import SemiSupervisedSplit

_RNG = np.random.default_rng(0)
TRUTH = np.arange(120) % 3
X = _RNG.normal(size=(120, 6))
X[:, :3] += 3 * np.eye(3)[TRUTH]
Y = np.where(_RNG.random(120) < 0.5, TRUTH, -1)
LABELLED = Y >= 0
GROUPS = np.arange(120) // 6
SPLIT = SemiSupervisedSplit(2)

WRAPPERS = {
    "VotingClassifier": lambda m: VotingClassifier([("a", m)], voting="soft"),
    "StackingClassifier": lambda m: StackingClassifier([("a", m)], cv=2),
    "BaggingClassifier": lambda m: BaggingClassifier(m, 1, random_state=0),
    "OneVsRestClassifier": OneVsRestClassifier,
    "OneVsOneClassifier": OneVsOneClassifier,
    "OutputCodeClassifier": lambda m: OutputCodeClassifier(m, random_state=0),
    "CalibratedClassifierCV": lambda m: CalibratedClassifierCV(m, cv=2),
    "AdaBoostClassifier": lambda m: AdaBoostClassifier(
        m, n_estimators=1, random_state=0
    ),
}


def said(run, what):
    """Warnings that say some words, each text once."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        run()
    return {str(w.message) for w in record if what in str(w.message)}
