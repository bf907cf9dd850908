"""What parameters may be, and how they are checked, nested ones too."""

import os
from collections.abc import Callable
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, TypeVar

from sklearn.base import BaseEstimator, _fit_context
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _param_validation

Function = TypeVar("Function", bound=Callable[..., Any])
_LARGEST = 2**63 - 1  # whole number that torch multiplies by


class Interval(_param_validation.Interval):
    """Numbers of an interval, of which True and False are none, though Python says so.

    Examples
    --------
    >>> from numbers import Integral, Real
    >>> whole = Interval(Integral, 1, None, closed="left")
    >>> whole.is_satisfied_by(1), whole.is_satisfied_by(True)
    (True, False)
    """

    def is_satisfied_by(self, val):
        """Whether a value is such a number; among floats, a whole one of 64 bits."""
        if isinstance(val, bool | Fraction) or not super().is_satisfied_by(val):
            return False  # of fractions NumPy makes objects
        becomes_float = self.type is Real and isinstance(val, Integral)
        return not becomes_float or abs(int(val)) <= _LARGEST


class _Path(_param_validation.Options):
    """A path with a name: an empty one would be the folder that somebody works in."""

    def __init__(self) -> None:
        super().__init__(str, {"."})

    def is_satisfied_by(self, val: object) -> bool:
        """Whether a value is such a path."""
        return isinstance(val, str | os.PathLike) and str(os.fspath(val)).strip() != ""

    def __str__(self) -> str:
        return "a path that is not empty ('.' is the working folder)"


PATH = _Path()


def fit_context(
    *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Let a method of an estimator check its parameters first."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Let a function check its arguments first."""
    return _param_validation.validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )


def check_parameters(estimator):
    """Refuse wrong parameters of an estimator, and of those among its parameters.

    Before any work is done: not all of the latter have a `fit` that would, and some
    are fitted late or not at all.

    Raises
    ------
    ValueError
        The error that the estimator, or the nested one, gives alone.
    """
    check_own(estimator)
    check_nested(estimator)


def check_own(estimator):
    """Refuse wrong parameters of an estimator, whatever stands among them."""
    constraints = estimator._parameter_constraints
    for name, value in estimator.get_params(deep=False).items():
        allowed = constraints.get(name, "no_validation")
        if allowed != "no_validation" and not _is_allowed(value, allowed):
            BaseEstimator._validate_params(estimator)  # which words the error


def _is_allowed(value, constraints):
    """Whether a value satisfies one of some constraints of scikit-learn.

    Which makes an object of each at every call, and that takes longer than to compare.
    """
    for constraint in constraints:
        if constraint is None:
            found = value is None
        elif isinstance(constraint, type):
            found = isinstance(value, constraint)
        else:
            if not hasattr(constraint, "is_satisfied_by"):  # a word
                constraint = _param_validation.make_constraint(constraint)
            found = constraint.is_satisfied_by(value)
        if found:
            return True
    return False


def check_nested(estimator):
    """Refuse wrong parameters of nested estimators, as `check_parameters`."""
    for part in nested_estimators(estimator):
        if hasattr(part, "_parameter_constraints"):
            part._validate_params()


def nested_estimators(estimator):
    """List the estimators among the parameters, and those among theirs.

    Lists of estimators count, and of tuples such as the steps of a Pipeline. What is
    frozen does not: it is used as it was fitted.
    """
    found = []
    for part in inner_estimators(estimator):
        if not isinstance(part, FrozenEstimator):
            found += [part, *nested_estimators(part)]
    return found


def inner_estimators(estimator):
    """List the estimators among the parameters, frozen ones too, not theirs."""
    found = []
    for value in estimator.get_params(deep=False).values():
        if isinstance(value, BaseEstimator):
            found.append(value)
        for part in value if isinstance(value, list | tuple) else ():
            for item in part if isinstance(part, tuple) else (part,):
                if isinstance(item, BaseEstimator):
                    found.append(item)
    return found
