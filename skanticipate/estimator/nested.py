"""Parameters of the estimators that stand among the parameters of another."""

from collections.abc import Mapping
from itertools import chain
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skanticipate.data.actions import as_mapping, says_labels
from skanticipate.data.missing import as_array, as_list
from skanticipate.data.warn import is_called_by, warn
from skanticipate.priors.sequences import checked_sequences
from skanticipate.priors.transitions import TemporalPrior

_NUMBER_LABELS = (  # modules, and a function, that fit on numbers of labels
    ("sklearn.ensemble._base",),
    ("sklearn.ensemble._bagging",),
    ("sklearn.model_selection._validation", "_fit_and_predict"),
)


def nested_estimators(estimator):
    """Yield the estimators among the parameters, and those among theirs.

    Lists of estimators count, and of tuples such as the steps of a Pipeline. What is
    frozen does not: it is used as it was fitted.
    """
    for part in _inner(estimator):
        if not isinstance(part, FrozenEstimator):
            yield part
            yield from nested_estimators(part)


def _inner(estimator):
    """Yield the estimators among the parameters, frozen ones too, not theirs."""
    for value in estimator.get_params(deep=False).values():
        for part in value if isinstance(value, list | tuple) else [value]:
            for item in part if isinstance(part, tuple) else (part,):
                if isinstance(item, BaseEstimator):
                    yield item


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
        for part in _inner(estimator):
            yield from _noted(part, attributes, fitted=False)


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


def warn_if_reencoded(estimator, classes, *, y_past=None, y_val=None):
    """Warn if labels look like positions and not like keys of the table of actions.

    Voting, stacking, bagging and cross-validated probabilities number the labels before
    an estimator sees them; a table of actions then tells the verb and the noun of other
    labels, without an error. They do not number `y_past` and `y_val`, which then name
    other classes or none.

    Of rows that lack a class, as a bootstrap or a fold may, the numbers have gaps, and
    nothing is said: they look like the labels of a long tail that are its own.

    Parameters
    ----------
    estimator : estimator
        It and the estimators among its parameters may have a parameter `actions`. One
        whose parameter `classes` is set has said what the labels are.
    classes : ndarray of shape (C,)
        Sorted labels of the training rows.
    y_past, y_val : array-like or None
        Other labels that `fit` was given; the first matter to a `TemporalPrior` and to
        a network with a positive `past_weight` only.
    """
    said = getattr(estimator, "classes", None) is not None
    numbers = classes.dtype.kind in "iu"
    if said or not numbers or (classes != np.arange(len(classes))).any():
        return
    _warn_of_class_weight(estimator, len(classes))
    marker = getattr(estimator, "unlabeled_label", None)
    tables = list(_tables_of_labels(estimator, y_past))
    if y_val is not None:
        tables.append(("y_val", as_array(y_val).ravel().tolist()))
    for name, known in tables:
        others = _other_numbers(known, len(classes))
        if others := [label for label in others if label != marker]:
            warn(
                f"y holds the labels 0 to {len(classes) - 1}, but {name} has other "
                f"numbers too, such as {others[0]}. VotingClassifier, "
                "StackingClassifier, BaggingClassifier and cross_val_predict with "
                "method='predict_proba' show an estimator 0, 1, ... in place of the "
                "labels, and what it knows is then that of other labels. Inside of "
                f"them write {name} with these numbers, or use LateFusion, which shows "
                "the labels. If these are your labels, pass them as classes= where "
                f"there is this parameter, or leave the others out of {name}."
            )
            return


def _warn_of_class_weight(estimator, n_classes):
    """Warn of weights of some labels, where a wrapper seems to number the labels.

    Its numbers and the labels may be the same, so that nothing but the caller tells;
    weights of all numbers say that they are.
    """
    weights = getattr(estimator, "class_weight", None)
    if not isinstance(weights, Mapping) or len(weights) == n_classes:
        return
    if any(is_called_by(*caller) for caller in _NUMBER_LABELS):
        warn(
            f"class_weight={weights} names some of the labels 0 to {n_classes - 1}, "
            "which may be numbers that VotingClassifier, StackingClassifier, "
            "BaggingClassifier or cross_val_predict show in place of yours: give a "
            "weight for each of these numbers, or use LateFusion, which shows the "
            "labels."
        )


def _tables_of_labels(estimator, y_past):
    """Yield what is keyed by labels, and the labels it names."""
    for part in (estimator, *nested_estimators(estimator)):
        actions = getattr(part, "actions", None)
        if actions is not None and says_labels(actions):
            yield "actions", as_mapping(actions)
        if hasattr(part, "matrix"):
            yield "classes", as_list(part.classes)
        if getattr(part, "sequences", None) is not None:
            yield "sequences", chain(*checked_sequences(part.sequences))
        elif y_past is not None and _compares_past(part):
            yield "y_past", as_array(y_past).ravel().tolist()


def _compares_past(part):
    """Whether a prior or a network compares labels of the past with those of `y`."""
    return isinstance(part, TemporalPrior) or getattr(part, "past_weight", 0) > 0


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
