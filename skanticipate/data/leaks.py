"""Splits: rows that stand on both sides, validation rows that are cut with them."""

import numpy as np
from sklearn.utils.validation import _num_samples

from skanticipate.data.tensors import without_tensor
from skanticipate.data.validation import chunks
from skanticipate.data.warn import is_called_by, warn

_FOLDS = "sklearn.model_selection._validation"  # fits one fold after the other


def warn_ungrouped(what):
    """Warn that rows are divided although rows of one video may be alike."""
    warn(
        f"{what} without groups: rows of one video may stand on both sides, and what "
        "is learned from the one looks better on the other than it is. Pass groups=, "
        "the video or person of each row (a search and a Pipeline pass them on with "
        "metadata routing enabled); groups=range(n) says that every row stands alone."
    )


def warn_of_earlier_rows():
    """Warn that rows to hold out may have trained in a fit that this one continues."""
    warn(
        "early_stopping holds rows out, but warm_start goes on from a fit of other "
        "rows, of another share of them, or of all: what is held out may have trained "
        "there, and its scores say too little of other clips. Pass X_val and y_val, or "
        "fit the same rows with early_stopping=True from the first time on."
    )


def whole_validation(X_val, y_val, n_rows):
    """Validation data as they were given, or as functions without arguments give them.

    Searches and cross-validation cut what has an entry for each row into folds, and
    cannot know that validation rows are others. Functions they pass on.

    Returns
    -------
    X_val, y_val : array-likes or None
    """
    if X_val is not None and not callable(X_val) and is_called_by(_FOLDS):
        if _num_samples(X_val) == n_rows:
            warn(
                "X_val has as many rows as X_past in this fold: the search or "
                "cross-validation around it seems to have taken its rows for those of "
                "X_past, and has left some out. Pass functions, X_val=lambda: X_val "
                "and y_val=lambda: y_val, which fit calls; or, where a Pipeline "
                "transforms X_val, one row less."
            )
    X_val, y_val = (part() if callable(part) else part for part in (X_val, y_val))
    return without_tensor(X_val, "X_val"), without_tensor(y_val, "y_val")


def warn_of_repeats(validation, training):
    """Warn if rows of X_val also train.

    Both are compared in the coarser of the precisions that hold their numbers: of a
    copy in float16 or bfloat16 the rounded numbers are there.

    Parameters
    ----------
    validation, training : RowView of shape (n, ...)
        Checked clips. Rows of few different whole numbers are codes or counts, which
        may well be alike: they are not looked at. Nor is anything where many training
        rows are alike, as codes that were scaled.
    """
    form = min(map(_form_of, (validation, training)), key=_FORMS.index)
    known = np.concatenate([*_fingerprints(training, form)])
    found = np.concatenate([*_fingerprints(validation, form)])
    known = known[known != 0]
    n_repeats = int(np.isin(found[found != 0], known).sum())
    if n_repeats and len(np.unique(known)) > 0.9 * len(known):
        warn(
            f"{n_repeats} of the {len(validation)} rows of X_val also train, so its "
            "scores say too little of other clips, and early stopping comes too late: "
            "keep the rows, better the videos, of X_val out of X_past."
        )


def _fingerprints(rows, form):
    """Yield a number for each row of a chunk, 0 for codes and counts.   (b,)."""
    for _, chunk in chunks(rows):
        values = _flat(chunk)
        padding = np.isnan(values)
        values = form(values) + np.float32(0)  # -0 becomes 0
        told = values  # padded to another length, a clip is the same
        if padding.any():
            told = (row[~own] for row, own in zip(values, padding, strict=True))
        hashes = (hash(row.tobytes()) for row in told)
        hashes = np.fromiter(hashes, np.int64, len(values))
        whole = (padding | (values == np.trunc(values))).all(axis=1)
        whole[whole] = _are_few(values[whole])
        yield np.where(whole, 0, hashes)


def _flat(chunk):
    """Clips as rows of numbers.   (b, ...) -> (b, m) float32."""
    return chunk.reshape(len(chunk), -1).astype(np.float32)


def _are_few(values):
    """Rows of fewer than 32 different numbers, as far as 256 tell.   -> (b,) bool."""
    rising = np.sort(values[:, :256], axis=1)
    return (np.diff(rising, axis=1) > 0).sum(axis=1) < 31


# --------------------------------------------------------------------- precisions


def _in_bfloat16(values):
    """Numbers of float32 rounded to those of bfloat16, to even ones from the middle."""
    bits = values.view(np.uint32)
    rounded = bits + (0x7FFF + ((bits >> 16) & 1))
    return (rounded & 0xFFFF0000).view(np.float32)


def _in_float16(values):
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _in_float32(values):
    return values


_FORMS = (_in_bfloat16, _in_float16, _in_float32)


def _form_of(rows):
    """The coarsest precision that holds the first numbers of some rows, some MB."""
    values = _flat(next(chunks(rows))[1])
    values = values[~np.isnan(values)]
    return next(form for form in _FORMS if np.array_equal(form(values), values))
