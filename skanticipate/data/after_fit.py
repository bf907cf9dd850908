"""Parameters that are set after `fit`: those that predictions use, and all others."""

from copy import deepcopy
from functools import lru_cache
from numbers import Number

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _param_validation

from skanticipate.data.boxes import PLAIN
from skanticipate.data.warn import warn

_VALUES = Number, str, type(None)


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
