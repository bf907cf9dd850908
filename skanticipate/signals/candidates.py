"""Several candidate histories of a row: read one by one, answered by their mean."""

import numpy as np

from skanticipate.data.rows import RowView


class Candidates(RowView):
    """Rows with up to K candidate histories each.

    Parameters
    ----------
    base : ndarray of shape (n, K, L)
        Labels of past actions.
    exists : ndarray of shape (n, K) of bool
        False for a candidate that is all missing.
    rows : array-like of shape (m,) of int, default=None
        As in `RowView`.
    """

    def __init__(self, base, exists, rows=None):
        super().__init__(base, rows)
        self.exists = exists

    def __getitem__(self, key):
        """Select rows: an int gives an array, anything else another view."""
        view = super().__getitem__(key)
        if not isinstance(view, RowView):
            return view
        return Candidates(view.base, self.exists, view.rows)

    def one_by_one(self):
        """All candidates that exist, row after row.

        Returns
        -------
        histories : RowView of shape (p, L)
        owner : ndarray of shape (p,)
            Number of the row of each of them.
        """
        exists = self.exists if self.rows is None else self.exists[self.rows]
        owner, candidate = np.nonzero(exists)
        return RowView(np.asarray(self)[owner, candidate]), owner


def mean_of_candidates(answers, owner):
    """Mean of the logarithms of answers, normalised again, for each row.

    Up to a constant of each candidate, which the softmax of a student does not see,
    these are the mean logits. The answer about a single candidate stays as it is.

    Parameters
    ----------
    answers : ndarray of shape (p, ..., C)
        Probabilities, about one candidate after the other.
    owner : ndarray of shape (p,)
        Row of each, rising from 0 without gaps.

    Returns
    -------
    ndarray of shape (n, ..., C)
    """
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    counts = np.diff(starts, append=len(owner))
    mean = answers[starts]
    several = counts > 1
    if several.any():
        logs = np.add.reduceat(log_of(answers), starts)[several]
        of_row = counts[several].reshape(-1, *[1] * (answers.ndim - 1))
        mean[several] = normalised(logs / of_row)
    return mean


def log_of(proba):
    """Logarithms of probabilities, of which 0 counts as the least number above it."""
    return np.log(np.maximum(proba, np.finfo(proba.dtype).tiny))


def normalised(logs):
    """Softmax over the last axis.   (..., C) -> (..., C)."""
    proba = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return proba / proba.sum(axis=-1, keepdims=True)
