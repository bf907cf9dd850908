"""Interpolated n-grams: what followed the same past, backed off to less of it."""

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

_CHUNK = 1024  # rows, so that no large array is made beside the answer


class BackOffNGrams(BaseEstimator):
    """Count what followed, and back off where little was seen.

    A row is looked at one token after the other. Its context at level j are its first j
    tokens, none of them at level 0, and each level is mixed with the one before [1]_::

        p_j(c) = (max(n_j(c) - d, 0) + (s + r_j) p_(j-1)(c)) / (N_j + s)

    n_j(c) counts how often class c followed the context, N_j = sum_c n_j(c), and
    r_j = sum_c min(n_j(c), d) is what the discount d has taken off: the more classes
    followed, the more is left to the level before. p_(-1) is uniform; a context that
    was never seen has the answer of the level before.

    Parameters
    ----------
    discount : float, default=0.75
        What is taken off each count, d.
    strength : float, default=20.0
        Further weight of the level before, in counts, s.

    Attributes
    ----------
    levels_ : list of dict of str to ndarray
        For each level "keys" (K,), the sorted contexts; "passed" (K,), the weight of
        the level before; "kept", "classes" and "starts", the discounted shares as a
        compressed matrix (K, C).
    n_tokens_ : int
        Tokens are smaller than this; larger ones are unknown.
    n_classes_ : int
        Number of classes C.

    References
    ----------
    .. [1] Y. W. Teh, "A Hierarchical Bayesian Language Model based on Pitman-Yor
       Processes", ACL 2006, with one table for each class that followed.

    Examples
    --------
    >>> from skanticipate.teachers.history.ngrams import BackOffNGrams
    >>> ngrams = BackOffNGrams(discount=0.5, strength=1.0)
    >>> ngrams.fit([[0], [0], [1]], [0, 0, 1], 2)  # 0 was followed by class 0 twice
    BackOffNGrams(discount=0.5, strength=1.0)
    >>> ngrams.predict_proba([[0], [1], [7]])
    array([[0.8125 , 0.1875 ],
           [0.46875, 0.53125],
           [0.625  , 0.375  ]], dtype=float32)
    """

    def __init__(self, discount=0.75, strength=20.0):
        self.discount = discount
        self.strength = strength

    def fit(self, tokens, targets, n_classes, weights=None):
        """Count.

        Parameters
        ----------
        tokens : array-like of int of shape (n, J)
            What is known of each row, from -1 up, what matters most first.
        targets : array-like of int of shape (n,)
            The class that followed.
        n_classes : int
            Number of classes C.
        weights : array-like of shape (n,), default=None
            How often each row counts, above 0.

        Returns
        -------
        self : object
        """
        tokens, targets = np.asarray(tokens, np.int64), np.asarray(targets)
        weights = np.ones(len(targets)) if weights is None else np.asarray(weights)
        self.n_classes_ = int(n_classes)
        self.n_tokens_ = int(tokens.max(initial=-1)) + 1
        context = np.zeros(len(targets), dtype=np.int64)
        self.levels_ = []
        for column in [None, *tokens.T]:
            if column is not None:
                context = self._extended(context, column)
            keys, context = np.unique(context, return_inverse=True)
            cells = (weights, (context, targets))
            counts = csr_array(cells, shape=(len(keys), self.n_classes_))
            self.levels_.append({"keys": keys, **self._shares(counts)})
        return self

    def predict_proba(self, tokens):
        """Probability of each class to follow.   (n, J) -> (n, C) float32."""
        tokens = np.asarray(tokens, np.int64)
        proba = np.empty((len(tokens), self.n_classes_), dtype=np.float32)
        for start in range(0, len(tokens), _CHUNK):
            rows = slice(start, start + _CHUNK)
            proba[rows] = self._answers(tokens[rows])
        return proba

    def _extended(self, context, tokens):
        """One number for a context and one more token; -1 stays unseen."""
        known = (context >= 0) & (tokens < self.n_tokens_)
        return np.where(known, context * (self.n_tokens_ + 1) + tokens + 1, -1)

    def _shares(self, counts):
        """What a level keeps for the classes, and what it passes on."""
        counts.sum_duplicates()
        taken = np.minimum(counts.data, self.discount)
        context = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        total = counts.sum(axis=1) + self.strength
        removed = np.bincount(context, taken, counts.shape[0])
        return {
            "passed": (self.strength + removed) / total,
            "kept": (counts.data - taken) / total[context],
            "classes": counts.indices,
            "starts": counts.indptr,
        }

    def _answers(self, tokens):
        proba = np.full((len(tokens), self.n_classes_), 1 / self.n_classes_)
        context = np.zeros(len(tokens), dtype=np.int64)
        for column, level in zip([None, *tokens.T], self.levels_, strict=True):
            if column is not None:
                context = self._extended(context, column)
            context = _positions(context, level["keys"])
            seen = np.flatnonzero(context >= 0)
            shape = (len(level["keys"]), self.n_classes_)
            kept = csr_array((level["kept"], level["classes"], level["starts"]), shape)
            passed = level["passed"][context[seen], None] * proba[seen]
            proba[seen] = passed + kept[context[seen]].toarray()
        return proba


def _positions(values, keys):
    """Where each value stands in the sorted keys, -1 if nowhere.   (n,) -> (n,)."""
    place = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    return np.where(keys[place] == values, place, -1)


def latest_first(codes, n_steps):
    """The last steps of histories in reverse, padded with -1.

    codes (n, L, k) -> (n, n_steps, k)
    """
    missing = max(0, n_steps - codes.shape[1])
    padded = np.pad(codes, ((0, 0), (missing, 0), (0, 0)), constant_values=-1)
    return padded[:, ::-1][:, :n_steps]
