"""The one door for data: what is a clip, what is a label, what is unlabelled."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples, assert_all_finite, validate_data

from skanticipate._actions import (
    as_column,
    is_missing,
    is_never_a_name,
    label_codes,
    missing_label_mask,
    of_one_kind,
    resolve_marker,
    unlabeled_mask,
)
from skanticipate._rows import RowView
from skanticipate._warn import warn

_CHUNK_BYTES = 1 << 22


class Labels(NamedTuple):
    """Labels of n rows: codes index `classes`; the code of an unlabelled row is -1."""

    codes: np.ndarray  # (n,) intp
    classes: np.ndarray  # (C,)
    marker: object  # what marks an unlabelled row in y; None where nothing does


# ------------------------------------------------------------------------- clips


def check_clips(X, *, name, estimator, reset):
    """Check an array of clips once and give it as rows.   -> RowView (n, ..., d).

    Memory maps and row views keep their storage type and are read in chunks;
    everything else goes through scikit-learn's `check_array`. In arrays of more than
    two axes a time step (second axis) that is all NaN is padding.
    """
    rows = _as_rows(X, name, estimator)
    if rows.ndim == 2:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    for start, chunk in _float_chunks(rows):
        _check_finite(chunk, start, name, estimator)
    return rows


def check_futures(X, *, name, estimator):
    """Check clips of which some may be missing.

    Returns
    -------
    rows : RowView of shape (n, ..., d)
    seen : ndarray of shape (n,) of bool
        False for a row that is all NaN.
    """
    rows = _as_rows(X, name, estimator)
    seen = np.ones(len(rows), dtype=bool)
    for start, chunk in _float_chunks(rows):
        here = ~np.isnan(chunk).all(axis=tuple(range(1, chunk.ndim)))
        seen[start : start + len(chunk)] = here
        # Missing rows pass as zeros, so that others keep their number in a message.
        present = chunk if here.all() else np.where(_like(here, chunk), chunk, 0)
        _check_finite(present, start, name, estimator)
    return rows, seen


def _like(mask, chunk):
    return mask.reshape(-1, *[1] * (chunk.ndim - 1))


def _as_rows(X, name, estimator):
    if isinstance(X, RowView):
        rows = X
    elif isinstance(X, np.memmap):
        rows = RowView(X)
    else:
        # NaN is looked for later, where padding is known; complex, sparse, ragged,
        # text and 1-D input are refused here.
        rows = RowView(_as_array(X, name, estimator))
    _check_header(rows, name)
    return rows


def _as_array(X, name, estimator):
    try:
        return check_array(
            X,
            dtype="numeric",
            allow_nd=True,
            ensure_all_finite=False,
            input_name=name,
            estimator=estimator,
        )
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"{name} holds clips of unequal length: pad_clips makes one array of them."
        ) from error


def _check_header(rows, name):
    if rows.ndim < 2 or rows.dtype.kind not in "fiub" or 0 in rows.shape:
        raise ValueError(
            f"{name} must hold numbers and have shape (n, d), (n, T, d) or "
            f"(n, ..., d) with at least one row; got {rows.dtype} of shape "
            f"{rows.shape}."
        )


def _float_chunks(rows):
    return chunks(rows) if rows.dtype.kind == "f" else ()


def _check_finite(chunk, start, name, estimator):
    if chunk.ndim == 2:
        assert_all_finite(chunk, input_name=name, estimator_name=_title(estimator))
        return
    finite = np.isfinite(chunk)
    if finite.all():
        return
    broken = ~finite.all(axis=tuple(range(2, chunk.ndim))) & ~padding_steps(chunk)
    if broken.any():  # (b, T)
        row, step = np.argwhere(broken)[0]
        kind = "infinity" if np.isinf(chunk[row, step]).any() else "NaN"
        raise ValueError(
            f"{name} contains {kind} inside step {step} of row {start + row}: a "
            "step that is all NaN is padding, any other value must be finite. "
            "Impute the missing features, or set the whole step to NaN."
        )


def padding_steps(clips):
    """Steps that hold nothing but NaN.   (b, T, ..., d) -> (b, T) bool."""
    return np.isnan(clips).all(axis=tuple(range(2, clips.ndim)))


def chunks(rows):
    """Pieces of about 4 MiB, in order, each with the number of its first row."""
    row_bytes = max(1, rows.dtype.itemsize * int(np.prod(rows.shape[1:])))
    size = max(1, _CHUNK_BYTES // row_bytes)
    for start in range(0, len(rows), size):
        yield start, rows.take(np.arange(start, min(start + size, len(rows))))


def check_clip_shape(rows, seen, fixed, *, name):
    """Clips have the shape `seen` in fit; unless `fixed`, the steps may differ."""
    expected = ("n", *seen) if fixed or len(seen) < 2 else ("n", "T", *seen[1:])
    fits = len(expected) == rows.ndim and all(
        isinstance(size, str) or size == found
        for size, found in zip(expected, rows.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} has shape {rows.shape}, but fit saw clips of shape "
            f"({', '.join(map(str, expected))}): prepare both in the same way. A "
            "single clip is X[None]."
        )


def check_teacher_proba(proba, classes, given_classes):
    """Soft targets a user gives: probabilities, or NaN in all of a row.  -> (n, C).

    Columns come in the order of `given_classes`, and leave in that of `classes`.
    """
    if given_classes is None:
        raise ValueError(
            "teacher_proba needs classes=, the labels of its columns in order: without "
            "it a class that is missing from y would shift them."
        )
    proba = check_array(
        proba,
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        input_name="teacher_proba",
    )
    if proba.shape[1] != len(classes):
        raise ValueError(
            f"teacher_proba has {proba.shape[1]} columns, but classes has "
            f"{len(classes)} labels: give one column for each, in the order of classes."
        )
    given = ~np.isnan(proba).all(axis=1)
    check_probabilities(proba[given], "teacher_proba")
    columns = list(dict.fromkeys(np.asarray(given_classes).tolist()))
    return proba[:, label_codes(classes, columns)]


def check_probabilities(proba, name):
    """Rows of probabilities.   (n, C) -> (n, C)."""
    sums = proba.sum(axis=1)
    wrong = ~(np.isclose(sums, 1, atol=1e-3) & (proba >= 0).all(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{name} must hold probabilities: rows that are not negative and sum to 1. "
            f"Row {row} sums to {sums[row]:.4g}, its least entry is "
            f"{proba[row].min():.4g}."
        )
    return proba


def check_groups(groups):
    """One name of a video or person a row.   -> (n,) or None."""
    if groups is None:
        return None
    masked = isinstance(groups, np.ma.MaskedArray)
    groups = column_or_1d(groups.tolist() if masked else groups)
    if any(map(is_never_a_name, groups.tolist())):
        raise ValueError("groups has missing entries: name the group of every row.")
    return groups


def check_same_length(n_rows, whose="X_past", /, **signals):
    """Every signal that was given has one entry for each row of the clips."""
    for name, signal in signals.items():
        if signal is None:
            continue
        n = _num_samples(signal)
        if n != n_rows:
            raise ValueError(
                f"{name} has {n} rows but {whose} has {n_rows}: give one entry for "
                "each clip."
            )


# ------------------------------------------------------------------------ labels


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
    codes = np.full(len(y), -1, dtype=np.intp)
    codes[labelled] = encode(found, classes, name="y")[inverse]
    if len(classes) < 2:
        note = "" if marker is None else f" (rows with y == {marker!r} are unlabelled)"
        remedy = "Set classes= to fix the class set."
        if not hasattr(estimator, "classes"):
            remedy = "Pass rows of more classes."
        raise ValueError(
            f"{_title(estimator)} needs at least 2 classes, got 1 class: "
            f"{classes.tolist()[0]!r}{note}. {remedy}"
        )
    return Labels(codes, classes, marker)


def check_label_array(y, *, estimator, name="y"):
    """One label a row, some of them missing perhaps.   -> (n,)."""
    if y is None:
        raise ValueError(
            f"{_title(estimator)} requires {name} to be passed, but the target {name} "
            "is None"
        )
    return column_or_1d(as_column(y), warn=True)


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
    marker = resolve_marker(y, unlabeled_label, classes)
    labelled = ~unlabeled_mask(y, marker, classes)
    missing = labelled & missing_label_mask(y, classes)
    if missing.any():
        _refuse_missing(y[missing].tolist()[0], estimator, name)
    labels = of_one_kind(y[labelled], name)
    assert_all_finite(labels, input_name=name, estimator_name=_title(estimator))
    said = classes is not None or (unlabeled_label is None and _has_marker(estimator))
    if not said and resolve_marker(labels, "auto") == -1:
        warn(
            f"{name} holds -1, which here is a class like any other: leave these rows "
            "out if it marks unlabelled ones.",
        )
    return labelled, labels, marker


def _has_marker(estimator):
    return isinstance(estimator, str) or hasattr(estimator, "unlabeled_label")


def _refuse_missing(label, estimator, name):
    text = f'"{label}"' if isinstance(label, str) else None
    found = f"holds the string {text}" if text else "contains NaN"
    if label is None:
        found = "contains None"
    remedy = f"leave such rows out, {_title(estimator)} has no unlabelled rows."
    if _has_marker(estimator):
        remedy = (
            "mark unlabelled rows with -1, in a list or an array of objects where "
            f"labels are strings, or set unlabeled_label={text or 'np.nan'}, which "
            "reads every missing label as unlabelled."
        )
    if not is_never_a_name(label):
        remedy += f" If {text} is a class, name it in classes=, or rename it."
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
    which is what action labels are like.
    """
    kind = type_of_target(y, input_name="y")
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
    if np.ndim(classes) != 1:
        raise ValueError(
            f"classes must be a list of labels, got {np.ndim(classes)} axes."
        )
    classes = check_label_array(classes, estimator="classes", name="classes")
    if any(map(is_never_a_name, classes.tolist())):
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


def _title(estimator):
    return estimator if isinstance(estimator, str) else type(estimator).__name__
