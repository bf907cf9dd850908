"""Parameters of the estimators that stand among the parameters of another."""

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator


def nested_estimators(estimator):
    """Yield the estimators among the parameters, and those among theirs.

    Lists of estimators count, and of tuples such as the steps of a Pipeline. What is
    frozen does not: it is used as it was fitted.
    """
    for value in estimator.get_params(deep=False).values():
        parts = value if isinstance(value, list | tuple) else [value]
        for part in parts:
            for item in part if isinstance(part, tuple) else (part,):
                is_estimator = isinstance(item, BaseEstimator)
                if is_estimator and not isinstance(item, FrozenEstimator):
                    yield item
                    yield from nested_estimators(item)


def validate_nested(estimator):
    """Refuse wrong parameters of nested estimators before any work is done.

    Not all of them have a `fit` that would, and some are fitted late or not at all.

    Raises
    ------
    ValueError
        The error that the nested estimator gives alone.
    """
    for part in nested_estimators(estimator):
        if hasattr(part, "_parameter_constraints"):
            part._validate_params()
