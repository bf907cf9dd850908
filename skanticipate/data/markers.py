"""What marks an unlabelled row, and which rows carry it."""

import numpy as np

from skanticipate.data.boxes import PLAIN, refuse_identical, unboxed
from skanticipate.data.missing import (
    as_array,
    as_list,
    is_missing,
    missing_label_mask,
)
from skanticipate.data.warn import warn


def resolve_marker(y, unlabeled_label, classes=None):
    """What marks an unlabelled row of `y`: a value, or None where nothing does.

    "auto" reads -1 in whole numbers as the marker, unless -1 is one of `classes` or
    -1 and 1 are the only values (ordinary signed binary labels).
    """
    if not (isinstance(unlabeled_label, str) and unlabeled_label == "auto"):
        if type(unlabeled_label) not in PLAIN:
            (unlabeled_label,) = unboxed([unlabeled_label])
            refuse_identical([unlabeled_label], "unlabeled_label")
        if unlabeled_label is np.ma.masked or np.ndim(unlabeled_label):
            raise TypeError(
                "unlabeled_label must be 'auto', None or one value of y, got "
                f"{unlabeled_label!r}."
            )
        if classes is not None and unlabeled_label in set(as_list(classes)):
            raise ValueError(
                f"classes holds {unlabeled_label!r}, the value of unlabeled_label: it "
                "either is a class or marks unlabelled rows."
            )
        return _marker_of_its_kind(y, unlabeled_label)
    if classes is not None:
        return None if -1 in as_list(classes) else -1
    values = y[~missing_label_mask(y)]
    if values.dtype.kind in "iuf":
        if not (values == -1).any():
            return None
        values = np.unique(values)  # each of them once, for speed
    values = values.tolist()
    marked = [not isinstance(v, str) and v == -1 for v in values]
    signed_binary = any(v == 1 for v in values) and all(v in (-1, 1) for v in values)
    return -1 if any(marked) and not signed_binary else None


def unlabeled_rows(y, unlabeled_label, classes=None):
    """The marker that `resolve_marker` finds, and the rows that carry it (n,)."""
    marker = resolve_marker(y, unlabeled_label, classes)
    return marker, _marked(y, marker, classes)


def _marker_of_its_kind(y, marker):
    """Refuse a marker that equals a label of another kind, as False equals 0."""
    values = y.tolist()
    if isinstance(marker, bool | np.bool_) and any(
        not isinstance(v, bool) and v == marker for v in values
    ):
        raise ValueError(
            f"unlabeled_label={marker!r} would mark the label {int(marker)}: give a "
            "value that is no class, such as -1."
        )
    if marker is not None and not is_missing(marker):
        is_text = isinstance(marker, str)
        others = (v for v in values if isinstance(v, str) != is_text)
        texts = {str(v) for v in others if not is_missing(v)}
        if str(marker) in texts and marker not in values:
            warn(
                f"unlabeled_label={marker!r} marks no row, but y holds "
                f"{str(marker)!r} as another type: give it the type of the labels."
            )
    return marker


def unlabeled_mask(y, marker, classes=None):
    """Rows of `y` that carry the marker of unlabelled rows.   (n,) -> (n,) bool.

    A marker of None means that every row is labelled. One that is a missing label
    stands for all kinds of them, but for a text that is one of `classes`. A number
    never matches a string, and in object arrays only a true number equals a number.
    """
    return _marked(as_array(y), marker, classes)


def _marked(y, marker, classes):
    if marker is None:
        return np.zeros(len(y), dtype=bool)
    if is_missing(marker):
        return missing_label_mask(y, classes)
    if y.dtype == object:
        return np.fromiter((_same_kind_equal(v, marker) for v in y), bool, len(y))
    if isinstance(marker, str) != (y.dtype.kind in "US"):
        return np.zeros(len(y), dtype=bool)
    return y == marker


def _same_kind_equal(value, marker):
    alike = isinstance(value, str) == isinstance(marker, str)
    return alike and not is_missing(value) and value == marker
