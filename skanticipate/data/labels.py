"""The one door for labels: what is a class, what is missing, what is unlabelled."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import assert_all_finite

from skanticipate.data.boxes import unboxed
from skanticipate.data.layout import N_LEAST
from skanticipate.data.markers import (
    resolve_marker,
    unlabeled_mask,
    unlabeled_rows,
)
from skanticipate.data.missing import (
    as_array,
    as_column,
    as_list,
    check_label_list,
    holds_missing,
    is_missing,
    is_never_a_name,
    label_codes,
    missing_elsewhere,
    missing_label_mask,
    missing_mask,
    of_one_kind,
)
from skanticipate.data.twins import warn_of_twins
from skanticipate.data.validation import title
from skanticipate.data.warn import warn

_ALL_ARE_LABELS: ContextVar[bool] = ContextVar("the labels shown are classes")


class Labels(NamedTuple):
    """Labels of n rows: codes index `classes`; the code of an unlabelled row is -1."""

    codes: np.ndarray  # (n,) intp
    classes: np.ndarray  # (C,)
    marker: object  # what marks an unlabelled row in y; None where nothing does


def check_labels(y, *, classes, unlabeled_label, estimator):
    """Check labels once: codes, classes and the marker of unlabelled rows."""
    y = check_label_array(y, estimator=estimator)
    fixed = None if classes is None else _check_classes(classes)
    labelled, labels, marker = labelled_rows(
        y, unlabeled_label, fixed, estimator=estimator
    )
    if not len(labels):
        refuse_unlabelled(y, marker)
    check_label_kind(labels)
    found, inverse = np.unique(labels, return_inverse=True)
    classes = found if fixed is None else fixed
    hint_twins(classes, marker)
    if fixed is None and not (unlabeled_label is None and _has_marker(estimator)):
        hint_markers(found)
    if fixed is not None and _is_auto(unlabeled_label):
        _hint_marker_among(fixed, found)
    codes = np.full(len(y), -1, dtype=np.intp)
    codes[labelled] = encode(found, classes, name="y")[inverse]
    if len(classes) < 2:
        note = "" if marker is None else f" (rows with y == {marker!r} are unlabelled)"
        remedy = "Set classes= to fix the class set."
        if not hasattr(estimator, "classes"):
            remedy = "Pass rows of more classes."
        raise ValueError(
            f"{title(estimator)} needs at least 2 classes, got 1 class: "
            f"{classes.tolist()[0]!r}{note}. {remedy}"
        )
    return Labels(codes, classes, marker)


def check_label_array(y, *, estimator, name="y"):
    """One label a row, some of them missing perhaps.   -> (n,)."""
    if y is None:
        raise ValueError(
            f"{title(estimator)} requires {name} to be passed, but the target {name} "
            "is None"
        )
    if _are_whole(y):
        return y
    column = as_column(y)
    labels = column_or_1d(column)
    if np.ndim(column) > 1:  # in the words of scikit-learn, which would name this line
        warn(
            f"A column-vector {name} was passed when a 1d array was expected. Please "
            f"change the shape of {name} to (n_samples, ), for example using ravel().",
            DataConversionWarning,
        )
    return labels


def _are_whole(y):
    """Whether y is an array of whole numbers, one a row: nothing can be wrong with it.

    scikit-learn would look several times whether it is a data frame.
    """
    return type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iu"


def labelled_rows(y, unlabeled_label, classes=None, *, estimator, name="y"):
    """Which of the rows that `check_label_array` gave have a label, and what labels.

    Returns
    -------
    labelled : ndarray of shape (n,) of bool
    labels : ndarray of shape (m,)
        Those of the labelled rows.
    marker : object
        What marks an unlabelled row; None where nothing does.

    Raises
    ------
    ValueError
        If a label is missing and no missing value is the marker.
    """
    marker, unlabelled = unlabeled_rows(y, unlabeled_label, classes)
    labelled, labels = ~unlabelled, y[~unlabelled]
    is_auto = _is_auto(unlabeled_label)
    if not _are_whole(y):
        missing = labelled & missing_label_mask(y, classes)
        if missing.any():
            _refuse_missing(y[missing].tolist()[0], estimator, name, is_auto)
        labels = of_one_kind(labels, name)
    if not _are_whole(labels):
        assert_all_finite(labels, input_name=name, estimator_name=title(estimator))
    said = classes is not None or (unlabeled_label is None and _has_marker(estimator))
    said = said or _ALL_ARE_LABELS.get(False)
    if not (said or is_auto) and resolve_marker(labels, "auto") == -1:
        warn(
            f"{name} holds -1, which here is a class like any other: leave these rows "
            "out if it marks unlabelled ones.",
        )
    return labelled, labels, marker


def _is_auto(unlabeled_label):
    return isinstance(unlabeled_label, str) and unlabeled_label == "auto"


def hint_past(past, name, y=None):
    """Warn of past actions that elsewhere say that there was none, or are none.

    They are features where they are no whole numbers, and what is to be anticipated
    where all that were seen last are the labels y (n,).
    """
    past = as_array(past)
    if y is not None and _are_alike(past[:, -1] if past.ndim == 2 else past, y):
        warn(
            f"The last actions in {name} are the labels of y, in all rows that have "
            "one, and so tell what is to be anticipated: leave the action itself out, "
            "and give those that were seen before it."
        )
    past = past.ravel()
    past = past[~missing_mask(past)]
    if past.dtype.kind == "f" and (fractions := past[past != np.trunc(past)]).size:
        warn(
            f"{name} holds {fractions[0]:.4g}, and each number is read as the label of "
            "an action, equal to itself alone: pass labels of past actions, texts or "
            "whole numbers. Features are read by networks and classifiers."
        )
    elif strange := _marks_elsewhere(past):
        warn(
            f"{name} holds {strange[0]!r}, which is an action like any other: if it "
            "says that there was none, replace it by -1."
        )


def _are_alike(last, y):
    """Whether all of many labels (n,) are those of y (n,), of more than two classes."""
    y = as_array(y)
    if y.shape != last.shape:
        return False
    labelled = ~missing_mask(y)
    last, y = last[labelled], y[labelled]
    if len(y) < N_LEAST or missing_mask(last).any() or last.tolist() != y.tolist():
        return False
    return len(set(y.tolist())) > 2


@contextmanager
def all_are_labels() -> Iterator[None]:
    """Region in which teachers are shown what their student has found to be classes.

    What looks like a marker there is none: it has told of it, or was told so.
    """
    token = _ALL_ARE_LABELS.set(True)
    try:
        yield
    finally:
        _ALL_ARE_LABELS.reset(token)


def hint_markers(labels):
    """Warn of a label that elsewhere says that there is none.   (m,)."""
    if _ALL_ARE_LABELS.get(False):
        return
    if strange := _marks_elsewhere(labels):
        warn(
            f"y holds {strange[0]!r}, which is a class like any other: if it marks "
            "rows without a label, leave these rows out, or, in an estimator that has "
            "unlabeled_label=, replace it by that value, which is -1 by default."
        )


def hint_labels(labels):
    """Warn of labels (m,) that elsewhere say that there is none, or look alike."""
    hint_markers(labels)
    hint_twins(labels)


def hint_twins(labels, marker=None):
    """Warn of labels (m,) that look alike, or like the marker, and count as two."""
    if labels.dtype.kind in "UO":
        marks = [marker] if isinstance(marker, str) else []
        warn_of_twins("label", [*marks, *labels.tolist()])


def warn_of_strangers(y, classes, name):
    """Warn of a label that is no class, but looks like one, or as if there were none.

    It counts as a miss, whatever is answered.
    """
    strangers = y[label_codes(y, classes) < 0]
    marks = _marks_elsewhere(strangers)
    known = as_list(classes) if len(strangers) else []
    warn_of_twins("label", strangers.tolist(), f"in {name} and classes", known)
    if unlabeled_mask(strangers, -1).any():
        marks = [-1]
    if marks:
        warn(
            f"{name} holds {marks[0]!r}, which is none of classes and so counts as a "
            "miss: drop unlabelled rows first."
        )


def _marks_elsewhere(labels):
    """Those of labels (m,) that elsewhere say that there is none.   -> list."""
    if labels.dtype.kind == "u":  # -1 among narrow numbers, unless all are classes
        last = np.iinfo(labels.dtype).max
        return [last] if set(labels[labels >= last - 1].tolist()) == {last} else []
    if labels.dtype.kind in "if":
        below = np.unique(labels[labels < -1]).tolist()
        if len(below) != 1:
            return []
        known = set(np.unique(labels).tolist())
        return [] if known == {-label for label in known} else below  # signed numbers
    return missing_elsewhere(labels.tolist())


def _hint_marker_among(classes, labels):
    """Warn of -1 among classes (C,) that may be all that y holds, its marker too."""
    if classes.dtype.kind not in "iuf" or classes[0] != -1 or labels[0] != -1:
        return  # both are sorted: those that go on below -1 are signed numbers
    if classes.tolist() != [-1, 1]:
        warn(
            "classes holds -1, which so is a class like any other, and not the marker "
            "of rows without a label: leave it out of classes if it is; else say "
            "unlabeled_label=None."
        )


def _has_marker(estimator):
    return isinstance(estimator, str) or hasattr(estimator, "unlabeled_label")


def _refuse_missing(label, estimator, name, marks):
    text = f'"{label}"' if isinstance(label, str) else None
    found = f"holds the string {text}" if text else "contains NaN"
    if label is None:
        found = "contains None"
    remedy = f"leave such rows out, {title(estimator)} has no unlabelled rows."
    if marks or _has_marker(estimator):
        remedy = (
            "mark unlabelled rows with -1, in a list or an array of objects where "
            "labels are strings."
        )
    if _has_marker(estimator):
        remedy = (
            f"{remedy[:-1]}, or set unlabeled_label={text or 'np.nan'}, which reads "
            "every missing label as unlabelled."
        )
    if not is_never_a_name(label):
        named = "name it in classes=, or " if hasattr(estimator, "classes") else ""
        remedy += f" If {text} is a class, {named}rename it."
    raise ValueError(f"Input {name} {found}: {remedy}")


def refuse_unlabelled(y, marker):
    """Say that no row has a label."""
    raise ValueError(
        f"y has no labelled rows: all {len(y)} are marked as unlabelled "
        f"({marker!r}).{_unless_class(marker)}"
    )


def check_label_kind(y):
    """Refuse continuous and multi-column targets.

    `check_classification_targets` would also warn of many classes with few rows each,
    which is what action labels are like; so does `type_of_target` of scikit-learn 1.7,
    unless each label is there twice.
    """
    if _are_whole(y):
        return
    kind = type_of_target(np.concatenate([y, y]), input_name="y")
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"Unknown label type: {kind}. Expected one class label a row: strings, or "
            "whole numbers."
        )


def encode(labels, classes, *, name, unknown="error"):
    """Index of each label in the sorted `classes`.   (n,) -> (n,) intp.

    A label that is no class is an error, or -1 where `unknown` is "mark".
    """
    codes = label_codes(labels, classes)
    if unknown == "error" and (codes < 0).any():
        strangers = np.asarray(labels)[codes < 0][:5].tolist()
        raise ValueError(
            f"{name} contains labels that are not in classes: {strangers}. Add them "
            "to classes=, or leave it None to take the classes from y. (Voting and "
            "stacking show their members 0, 1, ... instead of your labels.)"
        )
    return codes


def _check_classes(classes):
    if not hasattr(classes, "__array__"):
        classes = unboxed(classes)
        check_label_list(classes, "classes")
    if np.ndim(classes) != 1:
        raise ValueError(
            f"classes must be a list of labels, got a {type(classes).__name__} of "
            f"{np.ndim(classes)} axes: pass them in a list."
        )
    classes = check_label_array(classes, estimator="classes", name="classes")
    if _are_whole(classes):
        return np.unique(classes)
    if holds_missing(classes.tolist()):
        raise ValueError(f"classes must be labels, got a missing one: {classes}.")
    classes = of_one_kind(classes, "classes")
    assert_all_finite(classes, input_name="classes")
    return np.unique(classes)


def warn_dropped(n_unlabeled, marker):
    """Say once that rows without any signal take no part."""
    warn(
        f"{n_unlabeled} rows with y == {marker!r} are unlabelled and no teacher speaks "
        f"for them: they are dropped.{_unless_class(marker)}",
    )


def _unless_class(marker):
    return "" if is_missing(marker) else " Set unlabeled_label=None if that is a class."
