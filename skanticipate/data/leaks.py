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

    Parameters
    ----------
    validation, training : RowView of shape (n, ...)
        Checked clips. Rows of whole numbers are codes or counts, which may well be
        alike: they are not looked at. Nor is anything where many training rows are
        alike, as codes that were scaled.
    """
    if validation.dtype.kind != "f" or training.dtype.kind != "f":
        return
    known = np.concatenate([*_fingerprints(training)])
    found = np.concatenate([*_fingerprints(validation)])
    known = known[known != 0]
    n_repeats = int(np.isin(found[found != 0], known).sum())
    if n_repeats and len(np.unique(known)) > 0.9 * len(known):
        warn(
            f"{n_repeats} of the {len(validation)} rows of X_val also train, so its "
            "scores say too little of other clips, and early stopping comes too late: "
            "keep the rows, better the videos, of X_val out of X_past."
        )


def _fingerprints(rows):
    """Yield a number for each row of a chunk, 0 for rows of whole numbers.   (b,)."""
    for _, chunk in chunks(rows):
        values = chunk.reshape(len(chunk), -1).astype(np.float32)  # (b, m)
        padding = np.isnan(values)
        told = values  # padded to another length, a clip is the same
        if padding.any():
            told = (row[~own] for row, own in zip(values, padding, strict=True))
        hashes = (hash(row.tobytes()) for row in told)
        hashes = np.fromiter(hashes, np.int64, len(values))
        whole = (padding | (values == np.trunc(values))).all(axis=1)
        yield np.where(whole, 0, hashes)
