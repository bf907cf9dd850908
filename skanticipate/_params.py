"""Parameters of the estimators that stand among the parameters of another."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skanticipate._actions import as_mapping
from skanticipate._missing import as_list
from skanticipate._warn import warn


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


def warn_if_reencoded(estimator, classes):
    """Warn if labels look like positions and not like keys of the table of actions.

    Voting, stacking, bagging and cross-validated probabilities number the labels before
    an estimator sees them; a table of actions then tells the verb and the noun of other
    labels, without an error.

    Parameters
    ----------
    estimator : estimator
        It and the estimators among its parameters may have a parameter `actions`. One
        whose parameter `classes` is set has said what the labels are.
    classes : ndarray of shape (C,)
        Sorted labels of the training rows.
    """
    said = getattr(estimator, "classes", None) is not None
    numbers = classes.dtype.kind in "iu"
    if said or not numbers or (classes != np.arange(len(classes))).any():
        return
    for part in (estimator, *nested_estimators(estimator)):
        known = dict(_tables_of_labels(part))
        others = {k: _other_numbers(v, len(classes)) for k, v in known.items()}
        for name in filter(others.get, others):
            warn(
                f"y holds the labels 0 to {len(classes) - 1}, but {name} has other "
                f"numbers too, such as {others[name][0]}. VotingClassifier, "
                "StackingClassifier, BaggingClassifier and cross_val_predict with "
                "method='predict_proba' show an estimator 0, 1, ... in place of the "
                "labels, and what it knows is then that of other labels. Inside of "
                f"them key {name} by these numbers, or use LateFusion, which shows "
                "the labels. If these are your labels, pass them as classes= where "
                f"there is this parameter, or leave the others out of {name}."
            )
            return


def _tables_of_labels(part):
    """Yield parameters that are keyed by labels, and the labels they name."""
    actions = getattr(part, "actions", None)
    if isinstance(actions, Mapping) or hasattr(actions, "columns"):
        yield "actions", as_mapping(actions)
    if hasattr(part, "matrix"):
        yield "classes", as_list(part.classes)
    if getattr(part, "sequences", None) is not None:
        yield "sequences", {v for sequence in part.sequences for v in as_list(sequence)}


def _other_numbers(labels, n_classes):
    """Labels that are whole numbers, but no code of a class; missing ones are none."""
    return [
        label
        for label in labels
        if isinstance(label, Real)
        and label == label // 1
        and label != -1
        and not 0 <= label < n_classes
    ]
