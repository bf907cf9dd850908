"""What parameters may be, against scikit-learn's own check of them."""

import pytest
from sklearn.base import BaseEstimator

from skanticipate import MLP, DistilledAnticipator, HistoryTeacher
from skanticipate.data.parameters import check_own

VALUES = [None, True, 0, -1, 2**70, 0.5, float("nan"), "auto", "", (1,), {}, len]


def said(check, estimator):
    """What a check raises, as text; None if it raises nothing."""
    try:
        check(estimator)
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("kind", [DistilledAnticipator, HistoryTeacher, MLP])
def test_parameters_may_be_what_scikit_learn_takes_their_constraints_for(kind):
    part = kind()
    for parameter, default in part.get_params(deep=False).items():
        for value in VALUES:
            setattr(part, parameter, value)
            expected = said(BaseEstimator._validate_params, part)
            assert said(check_own, part) == expected, (parameter, value)
        setattr(part, parameter, default)
