"""Whether a wrapper around a fit shows it numbers in place of its labels."""

from collections.abc import Mapping
from itertools import chain
from numbers import Real

import numpy as np
from sklearn.frozen import FrozenEstimator

from skanticipate.data.actions import as_mapping, says_labels
from skanticipate.data.missing import as_array, as_list
from skanticipate.data.parameters import inner_estimators, nested_estimators
from skanticipate.data.validation import title
from skanticipate.data.warn import is_called_by, warn
from skanticipate.priors.sequences import checked_sequences
from skanticipate.priors.transitions import TemporalPrior, TransitionPrior

# What fits on numbers of labels, in a process of its own too.
_NUMBER_LABELS = frozenset(
    {"sklearn.ensemble._base", "sklearn.ensemble._bagging", "sklearn.multiclass"}
)
_ASKS_TEACHERS = "skanticipate.signals.signal", "ask"
_FITS_A_FOLD = "sklearn.model_selection._validation", "_fit_and_predict"


def warn_if_renumbered(places, shown, estimator, classes, *, y_past, y_val):
    """Warn if labels look like positions and not like keys of the table of actions.

    Voting, stacking, bagging and cross-validated probabilities number the labels before
    an estimator sees them; a table of actions then tells the verb and the noun of other
    labels, without an error. They do not number `y_past` and `y_val`, which then name
    other classes or none.

    Of rows that lack a class, as a bootstrap or a fold may, the numbers have gaps, and
    nothing is said where nobody who numbers labels is found to wait in this process:
    they look like the labels of a long tail that are its own.
    """
    if classes.dtype.kind not in "iu":
        return
    are_numbers = shown is None or shown.tolist() == list(range(len(shown)))
    labels, trouble = None if are_numbers else shown, None
    if labels is not None:
        trouble = _frozen_part(estimator, labels)
    n = len(classes) if labels is None else len(labels)
    if trouble is not None:
        pass  # as good as any other
    elif getattr(estimator, "classes", None) is not None:
        is_numbered = labels is not None
        if any(module == "sklearn.multiclass" for module, _ in places):
            n, is_numbered = 2, True
        if is_numbered and (classes[0] < 0 or classes[-1] >= n):
            # A part that an estimator fits may be given those that are in a fold.
            trouble = "what is keyed by labels", f"it has {len(classes)} classes="
    elif labels is not None or (classes == np.arange(n)).all():
        trouble = (
            _few_weights(places, estimator, n, shown)
            or _other_order(estimator, labels, y_past)
            or _other_numbers(estimator, n, y_past, y_val)
        )
    if trouble is not None:
        is_known = shown is not None or _are_numbered(places)
        _tell(estimator, n, *trouble, by_wrapper=is_known)


def _tell(estimator, n, name, told, *, by_wrapper):
    """Warn of what is keyed by other labels than 0 to n - 1, and of who may do that."""
    found = f"{title(estimator)} learns the labels 0 to {n - 1}, but {told}. "
    if not by_wrapper:
        if not is_called_by(*_ASKS_TEACHERS):  # whose student has looked
            known = "pass all of them as classes=, or "
            known *= hasattr(estimator, "classes")
            warn(
                f"{found}If these rows lack labels that {name} has, {known}leave "
                "them out of it. If the labels were numbered anew, as LabelEncoder "
                "does, or VotingClassifier and the like in another process, it is "
                "that of others: write it with the new numbers."
            )
        return
    warn(
        f"{found}VotingClassifier, StackingClassifier, BaggingClassifier, "
        "OneVsRestClassifier and the like, and cross_val_predict with "
        "method='predict_proba', show an estimator 0, 1, ... in place of the "
        "labels in sorted order, and what it knows of labels is then that of "
        f"others. Write {name} with these numbers and pass classes=range({n}), "
        "where there is this parameter, which says too that these are your labels; "
        "or use LateFusion, which shows the labels."
    )


def _are_numbered(places):
    """Whether somebody waits who fits on numbers of labels, in this process or not."""
    return any(place[0] in _NUMBER_LABELS or place == _FITS_A_FOLD for place in places)


def _are_numbers(keys, labels):
    """Whether keys mean the same as labels and as the numbers that stand for these."""
    numbers = {label: k for k, label in enumerate(labels.tolist())}
    return all(numbers.get(key) == key for key in keys)


def refuse_marked_number(estimator, labels):
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


def _frozen_part(estimator, labels):
    """Whether a part was fitted before a wrapper showed numbers for labels.

    -> (what is keyed by labels, what is wrong with it), or None
    """
    wholes = [estimator, *nested_estimators(estimator)]
    for part in chain(*map(inner_estimators, wholes)):
        known = as_list(getattr(part, "classes_", range(len(labels))))
        numbers = known == list(range(len(labels))) or _are_numbers(known, labels)
        if isinstance(part, FrozenEstimator) and not numbers:
            told = f"{title(part.estimator)}, which is frozen, has learned {known[:3]}"
            return "the labels of its fit", told
    return None


def _few_weights(places, estimator, n, shown):
    """Whether weights name some labels only, where a wrapper seems to number them.

    Its numbers and the labels may be the same, as those that are `shown` tell; weights
    of all numbers say that they are.

    -> as `_frozen_part`
    """
    weights = getattr(estimator, "class_weight", None)
    if not isinstance(weights, Mapping) or len(weights) == n:
        return None
    by_two = any(module == "sklearn.multiclass" for module, _ in places)
    if shown is not None and not by_two and _are_numbers(weights, shown):
        return None
    if _are_numbered(places):
        return "class_weight", f"class_weight={weights} names some of them only"
    return None


def _other_order(estimator, labels, y_past):
    """Whether numbers of labels in sorted order are read as other numbers.

    The numbers "0", "1", ..., "10" as text are sorted otherwise than as numbers, and so
    are names otherwise than a table that numbers them may be.

    -> as `_frozen_part`
    """
    if labels is None:
        return None
    labels, keyed = labels.tolist(), dict(_tables_of_labels(estimator, y_past))
    weights = getattr(estimator, "class_weight", None)
    if isinstance(weights, Mapping):
        keyed["class_weight"] = weights
    for name, table in keyed.items():
        if not any(isinstance(key, Real) for key in table):
            continue
        meant = _labels_meant(labels, table if name == "actions" else {})
        for k, (label, other) in enumerate(zip(labels, meant, strict=True)):
            if label != other:
                told = f"{k} stands for {label!r}, and {name} seems to mean {other!r}"
                return name, told
    return None


def _other_numbers(estimator, n, y_past, y_val):
    """Whether a table, or other labels, hold numbers that are no label.

    -> as `_frozen_part`
    """
    tables = list(_tables_of_labels(estimator, y_past))
    if y_val is not None:
        tables.append(("y_val", as_array(y_val).ravel().tolist()))
    marker = getattr(estimator, "unlabeled_label", None)
    marks = {-1, marker} if isinstance(marker, Real) else {-1}
    for name, known in tables:
        for label in known:
            is_whole = isinstance(label, Real) and label == label // 1
            if is_whole and label not in marks and not 0 <= label < n:
                return name, f"{name} has other numbers too, such as {label}"
    return None


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
