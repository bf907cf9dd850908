"""Rows that stand on both sides of a split: what is said of them."""

import numpy as np

from skanticipate.data.validation import chunks
from skanticipate.data.warn import warn


def warn_ungrouped(what):
    """Warn that rows are divided although rows of one video may be alike."""
    warn(
        f"{what} without groups: rows of one video may stand on both sides, and what "
        "is learned from the one looks better on the other than it is. Pass groups=, "
        "the video or person of each row (a search and a Pipeline pass them on with "
        "metadata routing enabled); groups=range(n) says that every row stands alone."
    )


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
        hashes = (hash(row.tobytes()) for row in values)
        hashes = np.fromiter(hashes, np.int64, len(values))
        whole = (np.isnan(values) | (values == np.trunc(values))).all(axis=1)
        yield np.where(whole, 0, hashes)
