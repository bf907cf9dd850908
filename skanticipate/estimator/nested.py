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
from skanticipate.data.parameters import inner_estimators, nested_estimators
from skanticipate.data.validation import title
from skanticipate.data.warn import callers, is_called_by, warn
from skanticipate.priors.sequences import checked_sequences
from skanticipate.priors.transitions import TemporalPrior, TransitionPrior

_NUMBER_LABELS = (  # modules, and a function, that fit on numbers of labels
    ("sklearn.ensemble._base",),
    ("sklearn.ensemble._bagging",),
    ("sklearn.multiclass",),
    ("sklearn.model_selection._validation", "_fit_and_predict"),
)
_NUMBERING_ENSEMBLES = frozenset(
    f"sklearn.ensemble._{name}" for name in ("voting", "stacking", "bagging")
)
_NUMBER_LABELS_OF_FOLDS = "sklearn.model_selection._validation", "cross_val_predict"


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


def warn_if_reencoded(estimator, classes, *, y_past=None, y_val=None):
    """Warn if labels look like positions and not like keys of the table of actions.

    Voting, stacking, bagging and cross-validated probabilities number the labels before
    an estimator sees them; a table of actions then tells the verb and the noun of other
    labels, without an error. They do not number `y_past` and `y_val`, which then name
    other classes or none.

    Of rows that lack a class, as a bootstrap or a fold may, the numbers have gaps, and
    nothing is said where nobody who numbers labels is found to wait in this process:
    they look like the labels of a long tail that are its own.

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

    Raises
    ------
    ValueError
        If the marker of unlabelled rows is the number of a label.
    """
    if classes.dtype.kind not in "iu":
        return
    shown = _labels_of_wrapper()
    are_numbers = shown is None or shown.tolist() == list(range(len(shown)))
    labels = None if are_numbers else shown
    if labels is not None:
        _refuse_marked_number(estimator, labels)
        _warn_of_frozen(estimator, labels)
    if getattr(estimator, "classes", None) is not None:
        if is_called_by("sklearn.multiclass"):
            _warn_of_other_classes(estimator, classes, 2)
        elif labels is not None:
            _warn_of_other_classes(estimator, classes, len(labels))
        return
    n_classes = len(classes) if labels is None else len(labels)
    if labels is None and (classes != np.arange(n_classes)).any():
        return
    _warn_of_class_weight(estimator, n_classes, shown)
    if labels is not None:
        _warn_of_other_order(estimator, labels.tolist(), y_past)
    marker = getattr(estimator, "unlabeled_label", None)
    tables = list(_tables_of_labels(estimator, y_past))
    if y_val is not None:
        tables.append(("y_val", as_array(y_val).ravel().tolist()))
    for name, known in tables:
        others = _other_numbers(known, n_classes)
        if others := [label for label in others if label != marker]:
            warn(
                f"y holds the labels 0 to {n_classes - 1}, but {name} has other "
                f"numbers too, such as {others[0]}. VotingClassifier, "
                "StackingClassifier, BaggingClassifier and cross_val_predict with "
                "method='predict_proba' show an estimator 0, 1, ... in place of the "
                "labels, and what it knows is then that of other labels. Inside of "
                f"them write {name} with these numbers, or use LateFusion, which shows "
                "the labels. If these are your labels, pass them as classes= where "
                f"there is this parameter, or leave the others out of {name}."
            )
            return


def _warn_of_other_classes(estimator, classes, n):
    """Warn if `classes=` are others than the n numbers that a wrapper shows for labels.

    A part that an estimator fits may be given those that are in a fold.
    """
    if classes[0] < 0 or classes[-1] >= n:
        warn(
            f"{title(estimator)} has {len(classes)} classes=, but is shown the numbers "
            f"0 to {n - 1} in place of labels: what it is told of its classes is then "
            "told of other labels, and predict_proba has columns of its own. Write "
            f"classes= as range({n}), and all that is keyed by labels with these "
            "numbers, or use LateFusion, which shows the labels."
        )


def _are_numbers(keys, labels):
    """Whether keys mean the same as labels and as the numbers that stand for these."""
    numbers = {label: k for k, label in enumerate(labels.tolist())}
    return all(numbers.get(key) == key for key in keys)


def _refuse_marked_number(estimator, labels):
    """Refuse a marker of unlabelled rows that is the number of a label, not its own."""
    marker = getattr(estimator, "unlabeled_label", None)
    is_number = isinstance(marker, Real) and marker in range(len(labels))
    if is_number and labels.tolist()[int(marker)] != marker:
        raise ValueError(
            f"unlabeled_label={marker!r} would mark the rows of the label "
            f"{labels.tolist()[int(marker)]!r}, in whose place {title(estimator)} is "
            "shown this number: set unlabeled_label=-1, where all rows have a label, "
            "or use LateFusion, which shows the labels."
        )


def _warn_of_frozen(estimator, labels):
    """Warn of parts that were fitted before a wrapper showed numbers for labels."""
    n = len(labels)
    wholes = [estimator, *nested_estimators(estimator)]
    for part in chain(*map(inner_estimators, wholes)):
        known = as_list(getattr(part, "classes_", range(n)))
        numbers = known == list(range(n)) or _are_numbers(known, labels)
        if isinstance(part, FrozenEstimator) and not numbers:
            warn(
                f"{title(estimator)} is shown the numbers 0 to {n - 1} in place of "
                f"labels, but {title(part.estimator)}, which is frozen, has learned "
                f"{known[:3]}...: fit it on these numbers, or use LateFusion, which "
                "shows the labels."
            )


def _warn_of_class_weight(estimator, n_classes, shown):
    """Warn of weights of some labels, where a wrapper seems to number the labels.

    Its numbers and the labels may be the same, as those that are `shown` tell; weights
    of all numbers say that they are.
    """
    weights = getattr(estimator, "class_weight", None)
    if not isinstance(weights, Mapping) or len(weights) == n_classes:
        return
    by_two = is_called_by("sklearn.multiclass")
    if shown is not None and not by_two and _are_numbers(weights, shown):
        return
    if any(is_called_by(*caller) for caller in _NUMBER_LABELS):
        warn(
            f"class_weight={weights} names some of the labels 0 to {n_classes - 1}, "
            "which may be numbers that VotingClassifier, StackingClassifier, "
            "BaggingClassifier, OneVsRestClassifier and the like or cross_val_predict "
            "show in place of yours: give a weight for each of these numbers, or use "
            "LateFusion, which shows the labels."
        )


def _warn_of_other_order(estimator, labels, y_past):
    """Warn if numbers of labels in sorted order are read as other numbers.

    The numbers "0", "1", ..., "10" as text are sorted otherwise than as numbers, and so
    are names otherwise than a table that numbers them may be.
    """
    keyed = dict(_tables_of_labels(estimator, y_past))
    weights = getattr(estimator, "class_weight", None)
    if isinstance(weights, Mapping):
        keyed["class_weight"] = weights
    for name, table in keyed.items():
        if not any(isinstance(key, Real) for key in table):
            continue
        meant = _labels_meant(labels, table if name == "actions" else {})
        for k, (label, other) in enumerate(zip(labels, meant, strict=True)):
            if label != other:
                warn(
                    f"{title(estimator)} is shown numbers in place of the labels in "
                    f"sorted order: {k} stands for {label!r}, but {name} seems to mean "
                    f"{other!r} by it. Write {name} with the positions of the sorted "
                    "labels and pass these as classes= too, or use LateFusion, which "
                    "shows the labels."
                )
                return


def _labels_of_wrapper():
    """Labels that the outermost caller shows an estimator as numbers, or None."""
    found = None
    for frame in callers():
        module, told = frame.f_globals.get("__name__", ""), None
        if (module, frame.f_code.co_name) == _NUMBER_LABELS_OF_FOLDS:
            told = frame.f_locals.get("le")
        elif module in _NUMBERING_ENSEMBLES:
            told = frame.f_locals.get("self")
        found = getattr(told, "classes_", found)
    # of several columns there is a list
    return found if isinstance(found, np.ndarray) else None


def _labels_meant(labels, actions):
    """Labels that a table means by 0, 1, ...: numbers as text, or names of actions."""
    if all(isinstance(label, str) and label.strip().isdecimal() for label in labels):
        by_number = {int(label): label for label in labels}
        return [by_number.get(k, label) for k, label in enumerate(labels)]
    names = [" ".join(map(str, actions.get(k) or ())) for k in range(len(labels))]
    known = set(labels)
    return [
        name if name in known else label
        for name, label in zip(names, labels, strict=True)
    ]


def _tables_of_labels(estimator, y_past):
    """Yield what is keyed by labels, and the labels it names."""
    for part in (estimator, *nested_estimators(estimator)):
        actions = getattr(part, "actions", None)
        of_past = isinstance(part, TransitionPrior)  # whose labels nobody numbers
        if actions is not None and says_labels(actions) and not of_past:
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
