"""Rows that estimators of a search are fitted on, cut once for all who may share them.

An anticipator leaves what it is given alone, so all candidates of a fold are fitted on
the same arrays, and what trains them together finds them by identity. Others may write
into their input, as `StandardScaler(copy=False)` does: they get rows of their own, cut
when their fit begins, as in a search of scikit-learn.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from skanticipate.data.rows import RowView
from skanticipate.estimator.base import BaseAnticipator
from skanticipate.estimator.wanted import Job


def shares_input(estimator):
    """Whether an estimator never writes into what its fit is given."""
    return isinstance(estimator, BaseAnticipator)


@dataclass(eq=False)
class Fold:
    """The training rows of a split, as a source of fits.

    Attributes
    ----------
    X, y, signals : as fit was given them
        All rows.
    train : index or mask of the rows
    """

    X: object
    y: object
    signals: dict
    train: object

    def __len__(self):
        return _num_samples(self.X)

    @cached_property
    def rows(self):
        """Numbers of the rows, as an index of them all would be cut.   (m,) int."""
        return _safe_indexing(np.arange(len(self)), self.train)

    @cached_property
    def _shared(self):
        seen = {"X_past": self.X, **self.signals}
        views = {
            name: RowView(seen.pop(name))[self.train]
            for name in ("X_past", "X_future_unlabeled")
            if _can_be_viewed(seen.get(name), len(self))
        }
        cut = _cut(self.X, seen, self.train) | views
        y = None if self.y is None else _safe_indexing(self.y, self.train)
        return cut.pop("X_past"), y, cut

    def job(self, estimator):
        """What is to be done to fit an estimator on these rows.   -> Job."""
        if shares_input(estimator):
            return Job(estimator, *self._shared)
        return Job(_OnRows(estimator, self.train), self.X, self.y, self.signals)


@dataclass(eq=False)
class Received:
    """What the last step of a Pipeline was given, as a source of fits."""

    X: object
    y: object
    signals: dict = field(default_factory=dict)

    def job(self, estimator):
        """What is to be done to fit an estimator on these rows.   -> Job."""
        if not shares_input(estimator):
            estimator = _OnCopies(estimator)
        return Job(estimator, self.X, self.y, self.signals)


def _can_be_viewed(clips, n):
    """Whether a view of n clips is read as a copy would be, which takes more memory."""
    if type(clips) not in (np.ndarray, np.memmap) or clips.ndim < 2:
        return False
    # A view of memory keeps its type; a plain array of others would be converted.
    typed = isinstance(clips, np.memmap) or clips.dtype in (np.float32, np.float64)
    return typed and len(clips) == n and clips.size > 0


@dataclass
class _OnRows:
    """Fits an estimator on some of the rows that are given, and gives the estimator."""

    estimator: object
    train: object

    def fit(self, X, y, **signals):
        signals = _cut(X, signals, self.train)
        X, y = _safe_split(self.estimator, X, y, self.train)
        return _fit(self.estimator, X, y, signals)


@dataclass
class _OnCopies:
    """Fits an estimator on a copy of what is given, and gives the estimator."""

    estimator: object

    def fit(self, X, y, **signals):
        return _fit(self.estimator, *deepcopy((X, y, signals)))


def _cut(X, signals, train):
    """Signals of some rows. Validation rows are rows of their own, and stay whole."""
    whole = {
        name: given
        for name, given in signals.items()
        if name.rpartition("__")[2] in ("X_val", "y_val")
    }
    by_row = {name: given for name, given in signals.items() if name not in whole}
    return _check_method_params(X, by_row, indices=train) | whole


def _fit(estimator, X, y, signals):
    if y is None:
        estimator.fit(X, **signals)
    else:
        estimator.fit(X, y, **signals)
    return estimator
