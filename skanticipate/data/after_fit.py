"""Parameters that are set after `fit`: those that predictions use, and all others."""

from copy import deepcopy
from functools import lru_cache

from sklearn.utils import _param_validation

from skanticipate.data.boxes import PLAIN


def check_used(estimator):
    """Refuse wrong values of parameters that predictions use, as they are now.

    A class names them in `_used_after_fit`: they may be set after `fit`, and count at
    once. All others belong to `fit`, and predictions do not read them: what they need
    is a fitted attribute, or a parameter that `fit` has kept by `keep`.
    """
    kind = type(estimator)
    for name in estimator._used_after_fit:
        value = getattr(estimator, name)
        check = _check_once if type(value) in PLAIN else _check
        check(kind, name, value)


def _check(kind, name, value):
    _param_validation.validate_parameter_constraints(
        {name: kind._parameter_constraints[name]}, {name: value}, kind.__name__
    )


# What was found to be right is so again, as in each of many predictions.
_check_once = lru_cache(maxsize=1024, typed=True)(_check)


def keep(estimator, *names):
    """Let a fit keep parameters for its predictions, which read them by `kept`."""
    estimator._kept = {name: deepcopy(getattr(estimator, name)) for name in names}


def kept(estimator, name):
    """Value that a parameter had in the fit; in a file that has none, as it is now."""
    return getattr(estimator, "_kept", {}).get(name, getattr(estimator, name))
