"""Parameters checked by scikit-learn; the types of functions stay what they are."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Options
from sklearn.utils._param_validation import validate_params as _validate_params

Function = TypeVar("Function", bound=Callable[..., Any])


class _Path(Options):
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
    return _validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
