"""scikit-learn's own checks, over every estimator, with no expected failure."""

import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skanticipate import (
    MLP,
    DistilledAnticipator,
    LateFusion,
    RecognitionTeacher,
    SmoothedAnticipator,
)

MEMBER = SmoothedAnticipator(MLP(16), max_epochs=30, lr=0.01, random_state=0)
ESTIMATORS = [
    SmoothedAnticipator(),
    SmoothedAnticipator(MLP(16), smoothing=0, max_epochs=30, lr=0.01),
    SmoothedAnticipator(MLP(16), class_weight="balanced", max_epochs=30, lr=0.01),
    DistilledAnticipator(),
    DistilledAnticipator(MLP(16), smoothing=0.1, max_epochs=30, lr=0.01),
    RecognitionTeacher(),
    LateFusion([("all", MEMBER, (0, None)), ("same", MEMBER, (0, None))]),
    LateFusion(
        [("ours", MEMBER, (0, None)), ("theirs", LogisticRegression(), (0, None))],
        weights=[2, 1],
        combine="log_proba",
    ),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize(
    "check", ["check_dataframe_column_names_consistency", "check_param_validation"]
)
def test_check_that_scikit_learn_runs_on_itself(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))
