"""What parameters may be, before a fit and after it, and how they are checked."""

import os
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from functools import lru_cache
from numbers import Integral, Number, Real
from typing import Any, TypeVar

from sklearn.base import BaseEstimator, _fit_context
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _param_validation

from skanticipate.data.boxes import PLAIN
from skanticipate.data.warn import warn

Function = TypeVar("Function", bound=Callable[..., Any])
_LARGEST = 2**63 - 1  # whole number that torch multiplies by
_VALUES = Number, str, type(None)


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


# ------------------------------------------------- those that are set after a fit


def check_set_after_fit(estimator):
    """`check_used` of an anticipator, and a warning of what has no effect now."""
    check_used(estimator)
    if changed := changed_network(estimator):
        warn(f"{changed} It has no effect before another fit.")


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


def changed_network(estimator):
    """What to say of parameters of `network` that were set after the fit, or ""."""
    if estimator.network is None:
        return ""
    names = _changed_parameters(estimator.network, estimator.network_spec_)
    if not names:
        return ""
    return (
        f"{', '.join(sorted(names))} of network was changed after the fit, whose "
        "network is network_spec_."
    )


def _changed_parameters(spec, fitted):
    """Names of parameters of a spec that are not those of the spec of a fit.

    Numbers, texts and None are compared, those of branches and heads too; tables and
    arrays are not, nor what predictions do not depend on. Quick: predictions ask.

    Parameters
    ----------
    spec, fitted : NetworkSpec

    Returns
    -------
    list of str
    """
    if type(spec) is not type(fitted):
        return ["network"]
    own, theirs = (getattr(one, "__dict__", {}) for one in (spec, fitted))
    aside = getattr(spec, "_only_for_fit", ())
    return [
        name
        for name, value in own.items()
        if value is not theirs.get(name, value)
        and not name.endswith("_")
        and name not in aside
        and _differ(value, theirs[name])
    ]


def _differ(one, other):
    if one is other:
        return False
    if isinstance(one, _VALUES) and isinstance(other, _VALUES):
        return one != other and not (one != one and other != other)  # NaN
    if isinstance(one, BaseEstimator) and isinstance(other, BaseEstimator):
        return bool(_changed_parameters(one, other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) != len(other) or any(map(_differ, one, other))
    return one is None or other is None


def keep_of_members(estimator, members):
    """Let a fit keep what predictions of its members use, as it is with the user."""
    estimator._kept = {
        f"{path}__{used}": deepcopy(getattr(part, used))
        for path, part in _parts_of(members)
        for used in part._used_after_fit
    }


def warn_of_members(estimator, members, fitted):
    """Warn of parameters of members that were set after the fit, which has clones.

    Of an estimator alone they would count at once, or be warned of.

    Parameters
    ----------
    estimator : estimator
        Whose fit has called `keep_of_members`.
    members : iterable of (name, estimator)
        As the user has them now; what is none of this is passed over.
    fitted : iterable of (name, estimator)
        Those of the fit.
    """
    theirs, before = dict(_parts_of(fitted)), getattr(estimator, "_kept", {})
    names = []
    for path, part in _parts_of(members):
        other = theirs.get(path)
        if type(part) is not type(other):
            continue
        used = {f"{path}__{name}": getattr(part, name) for name in part._used_after_fit}
        names += [k for k, v in used.items() if k in before and _differ(v, before[k])]
        spec = getattr(part, "network", None)
        if spec is not None:
            changed = sorted(_changed_parameters(spec, other.network))
            own = (f"{path}__network__{name}" for name in changed)
            names += [name.removesuffix("__network") for name in own]  # of its class
    if names:
        warn(
            f"Changed after the fit, whose members are clones: {', '.join(names)}. It "
            "has no effect before another fit. What predictions use, such as "
            "logit_adjustment, can be set of the fitted members."
        )


def _parts_of(members):
    """Yield what has parameters that predictions use, by the name of each.

    Members, the steps of a Pipeline, and members of members. What is frozen is no
    clone: what is set of it counts.
    """
    try:
        pairs = list(dict(members).items())
    except (TypeError, ValueError):  # the next fit will say what is wrong
        return
    for path, part in pairs:
        if isinstance(part, FrozenEstimator):
            continue
        if hasattr(part, "_used_after_fit"):
            yield path, part
        for name in ("steps", "_members"):
            inner = getattr(part, name, ())
            yield from ((f"{path}__{k}", v) for k, v in _parts_of(inner))


def keep(estimator, *names):
    """Let a fit keep parameters for its predictions, which read them by `kept`."""
    estimator._kept = {name: deepcopy(getattr(estimator, name)) for name in names}


def kept(estimator, name):
    """Value that a parameter had in the fit; in a file that has none, as it is now."""
    return getattr(estimator, "_kept", {}).get(name, getattr(estimator, name))
