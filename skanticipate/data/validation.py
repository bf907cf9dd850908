"""The one door for clips, and for what is aligned with them."""

import math
from collections.abc import Mapping, Set
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Number

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.validation import (
    _check_n_features,
    _num_samples,
    assert_all_finite,
)

from skanticipate.data.axes import has_columns
from skanticipate.data.boxes import refuse_named
from skanticipate.data.device_array import DeviceArray
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import (
    as_array,
    is_never_a_name,
    label_codes,
)
from skanticipate.data.names import (
    NOTED,
    check_label_names,
    check_names,
    check_tables_alike,
)
from skanticipate.data.places import check_ascending
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers, without_tensor

_CHUNK_BYTES = 1 << 22
_FEW = 10_000  # numbers that NumPy multiplies in one thread
_KNOWN = ContextVar("arrays of lists and tables", default=None)
_PASS_NAN = (
    "Pass .filled(np.nan), of floats, if whole steps or futures are hidden, which NaN "
    "leaves out; else impute the values."
)


def check_clips(X, *, name, estimator, reset):
    """Check an array of clips once and give it as rows.   -> RowView (n, ..., d).

    Memory maps and row views keep their storage type and are read in chunks;
    everything else goes through scikit-learn's `check_array`. In arrays of more than
    two axes a time step (second axis) that is all NaN is padding.
    """
    rows = clip_rows(X, name=name, estimator=estimator, reset=reset)
    check_steps(rows, name=name, estimator=estimator)
    return rows


def check_clips_like(X, fitted, *, fixed, name, estimator):
    """Check clips that must have the shape `fitted` of fit.   -> RowView."""
    rows = check_clips(X, name=name, estimator=estimator, reset=False)
    check_clip_shape(rows, fitted, fixed, name=name)
    return rows


def clip_rows(X, *, name, estimator, reset):
    """Clips as rows, of which only shape, type and column names are checked."""
    rows = _as_rows(X, name, estimator)
    if type(X) is not np.ndarray or not vars(estimator).keys().isdisjoint(NOTED):
        check_names(X, name=name, estimator=estimator, reset=reset)
    if reset:
        vars(estimator).pop("n_features_in_", None)
    if rows.ndim == 2 and rows.shape[1] != getattr(estimator, "n_features_in_", None):
        _check_n_features(estimator, X, reset=reset)
    return rows


def check_steps(rows, *, name, estimator):
    """Refuse a value that is not finite, but for steps of padding.   (n, ..., d)."""
    if math.prod(rows.shape) <= _FEW and rows.rows is None and are_finite(rows.base):
        return
    if _is_whole_tensor(rows) and rows.base.is_finite(2 if rows.ndim > 2 else None):
        return  # else chunks tell what is wrong
    for start, chunk in _float_chunks(rows):
        _check_finite(chunk, start, name, estimator)


def are_finite(X):
    """Whether X is an array of floats, all finite: quick to tell of few."""
    if type(X) is not np.ndarray or X.dtype.kind != "f" or not X.size:
        return False
    return math.isfinite(np.vdot(X, X))  # `dot` would warn of an overflow


def _is_whole_tensor(rows):
    """Whether these are all rows of a tensor, which its device can look at."""
    return isinstance(rows.base, DeviceArray) and rows.rows is None


def check_futures(X, *, name, estimator):
    """Check clips of which some may be missing.

    Returns
    -------
    rows : RowView of shape (n, ..., d)
    has_future : ndarray of shape (n,) of bool
        False for a row that is all NaN.
    """
    rows = _as_rows(X, name, estimator)
    if _is_whole_tensor(rows) and rows.base.is_finite(2 if rows.ndim > 2 else 1):
        return rows, rows.base.has_values()
    has_future = np.ones(rows.shape[0], dtype=bool)
    for start, chunk in _float_chunks(rows):
        here = ~np.isnan(chunk).all(axis=tuple(range(1, chunk.ndim)))
        has_future[start : start + len(chunk)] = here
        # Missing rows pass as zeros, so that others keep their number in a message.
        present = chunk if here.all() else np.where(_like(here, chunk), chunk, 0)
        _check_finite(present, start, name, estimator)
    return rows, has_future


def _like(mask, chunk):
    return mask.reshape(-1, *[1] * (chunk.ndim - 1))


def _as_rows(X, name, estimator):
    if _is_plain(X) and X.ndim > 1 and X.size:
        return RowView(X)  # there is nothing that could be wrong with it
    X = without_tensor(X, name)
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


def _is_plain(X):
    return type(X) is np.ndarray and X.dtype.kind in "fiub" and X.dtype.isbuiltin != 2


@contextmanager
def each_read_once():
    """Let a list or a table that several fits are given be one array for all."""
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def _as_array(X, name, estimator):
    known = _KNOWN.get()
    if known is None:
        return _converted(X, name, estimator)
    if id(X) not in known:  # X is kept too, lest another gets its place
        known[id(X)] = X, _converted(X, name, estimator)
    return known[id(X)][1]


def _converted(X, name, estimator):
    check_as_meant(X, name)
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


def check_as_meant(X, name):
    """Refuse clips that numpy reads otherwise: masked, packed in a file, transposed."""
    refuse_named(X, name)
    refuse_samples(X, name)
    refuse_masked(X, name, _PASS_NAN)
    check_tables_alike(X, name)
    for k, part in enumerate(X if isinstance(X, list | tuple) else ()):
        if has_columns(part):  # the index of a Series names features
            check_ascending(part, f"{name}[{k}]")
    if getattr(X, "ndim", 0) > 2:
        check_ascending(X, name, axis=1)


def refuse_samples(X, name):
    """Refuse samples as datasets of torch give them: tuples of a clip, and its label.

    A tuple of frames is a clip: they are of one shape, and one alone has no axis.
    """
    first = X[0] if isinstance(X, list | tuple) and X else None
    parts = first if isinstance(first, tuple) else ()
    shapes = [tuple(getattr(part, "shape", ())) for part in parts]
    are_samples = len(set(shapes)) > 1 or (len(shapes) == 1 and shapes[0] != ())
    if are_samples or type(X).__module__.startswith("torch.utils.data"):
        raise ValueError(
            f"{name} holds samples, tuples of a clip and what belongs to it: pass the "
            "clips alone, such as dataset.tensors[0], and their labels as y."
        )


def refuse_sparse(X):
    """Refuse a sparse matrix, which numpy takes for one object, in the usual words."""
    if issparse(X):
        check_array(X)


def _check_header(rows, name):
    is_known = rows.dtype.kind in "fiub" and rows.dtype.isbuiltin != 2
    if rows.ndim < 2 or not is_known or 0 in rows.shape:
        raise ValueError(
            f"{name} must hold numbers and have shape (n, d), (n, T, d) or "
            f"(n, ..., d) with at least one row; got {rows.dtype} of shape "
            f"{rows.shape}."
        )


def _float_chunks(rows):
    return chunks(rows) if rows.dtype.kind == "f" else ()


def _check_finite(chunk, start, name, estimator):
    finite = np.isfinite(chunk)
    if finite.all():
        return
    if chunk.ndim == 2:
        assert_all_finite(chunk, input_name=name, estimator_name=title(estimator))
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
    n = rows.shape[0]
    row_bytes = max(1, rows.dtype.itemsize * math.prod(rows.shape[1:]))
    size = max(1, _CHUNK_BYTES // row_bytes)
    in_memory = type(rows.base) is np.ndarray and rows.rows is None
    for start in range(0, n, size):
        stop = min(start + size, n)
        if in_memory:
            yield start, rows.base[start:stop]
        else:
            yield start, rows.take(np.arange(start, stop))


def check_clip_shape(rows, fitted, fixed, *, name):
    """Clips have the shape `fitted` of fit; unless `fixed`, the steps may differ."""
    if rows.shape[1:] == fitted:
        return
    expected = ("n", *fitted) if fixed or len(fitted) < 2 else ("n", "T", *fitted[1:])
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
    columns = list(dict.fromkeys(as_array(given_classes).tolist()))
    proba = plain_numbers(proba, "teacher_proba")
    check_label_names(proba, columns, name="teacher_proba")
    refuse_masked(
        proba,
        "teacher_proba",
        "Pass .filled(np.nan) if whole rows are hidden: a row of NaN has no answer.",
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
    return proba[:, label_codes(classes, columns)]


def check_probabilities(proba, name):
    """Rows of probabilities.   (n, C) -> (n, C)."""
    sums = proba.sum(axis=1, dtype=np.float64)
    # bfloat16 rounds each number by up to 2**-9 of it.
    wrong = ~(np.isclose(sums, 1, atol=4e-3) & (proba >= 0).all(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{name} must hold probabilities: rows that are not negative and sum to 1. "
            f"Row {row} sums to {sums[row]:.4g}, its least entry is "
            f"{proba[row].min():.4g}. Of logits take the softmax."
        )
    return proba


def check_aligned(n_rows, whose="X_past", /, **signals):
    """Every signal that was given has one entry for each row of the clips, in order.

    Tables that name their rows have them in one order; clips are passed too for that.
    """
    for name, signal in signals.items():
        if signal is None:
            continue
        if name == "X_future_unlabeled":
            _check_are_clips(signal)
        refuse_sparse(signal)
        if isinstance(signal, Mapping | Set):
            raise ValueError(
                f"{name} must have one entry for each row of {whose}, in their order, "
                f"got a {type(signal).__name__}: pass a list of them."
            )
        n = _num_samples(signal)
        if n == n_rows:
            continue
        remedy = "give one entry for each clip."
        if name == "X_future_unlabeled":
            remedy = (
                "give one future for each past clip, a row of NaN where there is none. "
                "Clips without label are no array of their own: append them to X_past, "
                "with y = -1, and their futures here."
            )
        raise ValueError(f"{name} has {n} rows but {whose} has {n_rows}: {remedy}")
    if any(type(s) is not np.ndarray for s in signals.values() if s is not None):
        check_rows_alike(**signals)


def _check_are_clips(X_future_unlabeled):
    """Refuse one value a row in the place of futures, the third argument of `fit`.

    Weights and groups stand there if they are passed by place. What is a list, or has
    one axis, may still hold clips, or None where there is none.

    Raises
    ------
    ValueError
        If an entry is a number or a text.
    """
    shape = getattr(X_future_unlabeled, "shape", None)
    if shape is not None and len(shape) != 1:
        return
    refuse_named(X_future_unlabeled, "X_future_unlabeled")
    entries = X_future_unlabeled
    for entry in entries if hasattr(entries, "__iter__") else [entries]:
        is_value = isinstance(entry, Number | np.generic | str | bytes)
        if is_value and not is_never_a_name(entry):
            raise ValueError(
                f"X_future_unlabeled, the third argument of fit, holds {entry!r}, one "
                "value a row: expected clips of shape (n, ...). Pass weights and "
                "groups by name, as sample_weight= and groups=."
            )


def title(estimator):
    """Name of an estimator in a message."""
    return estimator if isinstance(estimator, str) else type(estimator).__name__
