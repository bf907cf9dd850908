"""Parameters that are set after `fit`: those that predictions use, and all others."""

from copy import deepcopy
from functools import cache
from inspect import Parameter, signature

from sklearn.utils import _param_validation


def check_used(estimator):
    """Refuse wrong values of parameters that predictions use, as they are now.

    A class names them in `_used_after_fit`: they may be set after `fit`, and count at
    once. All others belong to `fit`, and predictions do not read them: what they need
    is a fitted attribute, or a parameter that `fit` has kept by `keep`.
    """
    used, defaults = {}, _defaults_of(type(estimator))
    for name in estimator._used_after_fit:
        value = getattr(estimator, name)
        if value is not defaults.get(
            name, Parameter.empty
        ):  # as seldom, and quick to tell
            used[name] = value
    if used:
        allowed = {name: estimator._parameter_constraints[name] for name in used}
        _param_validation.validate_parameter_constraints(
            allowed, used, type(estimator).__name__
        )


@cache
def _defaults_of(kind):
    given = signature(kind.__init__).parameters.values()
    return {parameter.name: parameter.default for parameter in given}


def keep(estimator, *names):
    """Let a fit keep parameters for its predictions, which read them by `kept`."""
    estimator._kept = {name: deepcopy(getattr(estimator, name)) for name in names}


def kept(estimator, name):
    """Value that a parameter had in the fit; in a file that has none, as it is now."""
    return getattr(estimator, "_kept", {}).get(name, getattr(estimator, name))
