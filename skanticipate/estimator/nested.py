"""What the parts of an estimator learn from, and noted of what they are shown."""

from sklearn.base import BaseEstimator, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from skanticipate.data.parameters import inner_estimators, nested_estimators


def names_of_columns(estimator):
    """Yield names of columns of what the fitted parts of an estimator learned from.

    Parts are what is frozen, in a Pipeline its first step only, which sees what the
    Pipeline is shown.
    """
    yield from _noted(estimator, ("feature_names_in_", "_columns"), fitted=False)


def names_of_axes(estimator):
    """Yield names of axes of what the frozen parts of an estimator learned from."""
    yield from _noted(estimator, ("_axes",), fitted=False)


def _noted(estimator, attributes, fitted):
    """Yield what parts that are fitted noted of what an estimator is shown."""
    if isinstance(estimator, FrozenEstimator):
        yield from _noted(estimator.estimator, attributes, fitted=True)
        return
    if fitted:
        estimator = getattr(estimator, "best_estimator_", estimator)
        noted = (getattr(estimator, name, None) for name in attributes)
        yield from (names for names in noted if names is not None)
    if isinstance(estimator, Pipeline):
        yield from _noted(estimator[0], attributes, fitted)
    elif not fitted and isinstance(estimator, BaseEstimator):
        for part in inner_estimators(estimator):
            yield from _noted(part, attributes, fitted=False)


def learns_labels(step):
    """Whether a transformer, or one in it, learns from labels."""
    if isinstance(step, FrozenEstimator) or not hasattr(step, "get_params"):
        return False
    return any(
        is_classifier(part)
        or hasattr(part, "score_func")  # by which SelectKBest and the like select
        or (hasattr(part, "transform") and get_tags(part).target_tags.required)
        for part in (step, *nested_estimators(step))
    )
