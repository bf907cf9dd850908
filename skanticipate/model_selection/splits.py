"""Splits for cross-validation of rows of which only some have labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedGroupKFold, check_cv

from skanticipate._typing import Labels, Splitter
from skanticipate.data.labels import (
    check_label_array,
    check_label_kind,
    labelled_rows,
    refuse_unlabelled,
)
from skanticipate.data.leaks import warn_ungrouped
from skanticipate.data.markers import resolve_marker
from skanticipate.data.numbers import refuse_counted_mask
from skanticipate.data.places import check_chosen_rows
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.samples import check_groups
from skanticipate.data.validation import check_aligned
from skanticipate.data.warn import warn


class SemiSupervisedSplit(BaseEstimator):
    """Split the labelled rows; unlabelled rows train and never test.

    Ordinary splitters put unlabelled rows into the test folds, where each of them
    counts as a mistake. This one lets another splitter divide the labelled rows, as
    if there were no others, and adds the unlabelled rows to every training fold.
    Where `groups` (videos, people) are given, unlabelled rows of a group that is
    tested take no part in that fold.

    Parameters
    ----------
    cv : int, splitter, iterable or None, default=5
        How the labelled rows are split.

        - int: number of stratified folds; given `groups`, no group is on both sides
          of a fold (:class:`~sklearn.model_selection.StratifiedGroupKFold`).
        - splitter: any cross-validator. It is shown the labels and groups of the
          labelled rows; in place of X it sees their numbers.
        - iterable: a list of (train, test) pairs. **They count labelled rows only**:
          0 is the first labelled row, as for a splitter.
        - None: the same as 5.
    unlabeled_label : "auto", None or scalar, default="auto"
        What marks an unlabelled row of y, read as the anticipators read it: "auto"
        means -1, except where -1 and 1 are the only values; None that all rows are
        labelled; a missing label such as `np.nan` or "" that those rows are unlabelled
        where a label is missing. Give the anticipator the same value.

    See Also
    --------
    SmoothedAnticipator : Takes y with unlabelled rows.
    skanticipate.datasets.unlabeled_pairs : Unlabelled clips near annotated ones.

    Notes
    -----
    A splitter that takes no notice of groups, such as a plain
    :class:`~sklearn.model_selection.KFold` or a list of pairs, still leaves other
    *labelled* rows of a tested group in the training fold, which is warned of.

    With metadata routing enabled, `groups` are requested without further ado.

    Examples
    --------
    >>> from skanticipate import SemiSupervisedSplit
    >>> y = [0, 0, 1, 1, -1, -1]
    >>> groups = ["a", "b", "a", "b", "a", "c"]
    >>> split = SemiSupervisedSplit(cv=2)
    >>> for train, test in split.split(y, y, groups):
    ...     print(train, test)
    [1 3 5] [0 2]
    [0 2 4 5] [1 3]
    """

    _parameter_constraints = {"cv": ["cv_object"], "unlabeled_label": "no_validation"}
    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        cv: int | Splitter | Iterable[tuple[ArrayLike, ArrayLike]] | None = 5,
        *,
        unlabeled_label: object = "auto",
    ) -> None:
        self.cv = cv
        self.unlabeled_label = unlabeled_label

    def get_n_splits(
        self, X: object = None, y: Labels | None = None, groups: Labels | None = None
    ) -> int:
        """Count the folds.

        Parameters
        ----------
        X : object, default=None
            Ignored, but for its length.
        y : array-like of shape (n,), default=None
            Labels. Needed where the number of folds depends on the rows, as that of
            :class:`~sklearn.model_selection.LeaveOneGroupOut` does.
        groups : array-like of shape (n,), default=None
            Group of each row.

        Returns
        -------
        n_splits : int
            Number of folds that :meth:`split` gives.

        Raises
        ------
        ValueError
            As :meth:`split` does, if y is given.
        """
        if y is None:
            return self._splitter(None, None).get_n_splits()
        part = _part(*self._check(X, y, groups)[1:])
        return self._splitter(*part[1:]).get_n_splits(*part)

    def split(
        self, X: object, y: Labels, groups: Labels | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the rows of each fold.

        Parameters
        ----------
        X : object
            Ignored, but for its length; may be None.
        y : array-like of shape (n,)
            Labels, and the marker where there is none.
        groups : array-like of shape (n,), default=None
            Group of each row.

        Yields
        ------
        train : ndarray of int
            Rows to train on, in ascending order: labelled rows, and unlabelled ones
            of groups that are not tested.
        test : ndarray of int
            Rows to test on, all of them labelled.

        Raises
        ------
        ValueError
            If y is missing or continuous, a label is missing that `unlabeled_label`
            does not mean, no row is labelled, fewer are than there are folds, lengths
            differ, the splitter needs groups and has none, or a pair of an iterable
            names a row beyond the labelled ones. If `cv` can be read only once.
        """
        tables = X, y, groups
        y, rows, labels, groups = self._check(X, y, groups)
        if groups is None:
            warn_ungrouped("SemiSupervisedSplit divides the rows")
        part = _part(rows, labels, groups)
        unlabelled = np.setdiff1d(np.arange(len(y)), rows)
        for train, test in self._splitter(*part[1:]).split(*part):
            train, test = (_rows_at(rows, fold, tables) for fold in (train, test))
            extra = unlabelled
            if groups is not None:
                extra = extra[~np.isin(groups[extra], groups[test])]
                _warn_if_shared(groups[train], groups[test])
            train = np.sort(np.concatenate([train, extra]))
            self._warn_if_misread(y[train], n_unlabelled=len(extra))
            yield train, test

    def _check(self, X, y, groups):
        """Check y; give the labelled rows, their labels, and the groups of all."""
        check_rows_alike(X=X, y=y, groups=groups)
        y = check_label_array(y, estimator=self)
        groups = check_groups(groups)
        check_aligned(len(y), "y", X=X, groups=groups)
        labelled, labels, marker = labelled_rows(
            y, self.unlabeled_label, estimator=self
        )
        if not len(labels):
            refuse_unlabelled(y, marker)
        check_label_kind(labels)
        return y, np.flatnonzero(labelled), labels, groups

    def _splitter(self, labels, groups):
        self._validate_params()
        if isinstance(self.cv, Iterator):
            raise ValueError(
                "cv can be read only once, but a search splits several times: pass "
                "cv=list(...)."
            )
        splitter = check_cv(self.cv, labels, classifier=True)
        if labels is None or not isinstance(self.cv, Integral | None):
            return splitter
        units, what = (labels, "rows") if groups is None else (set(groups), "groups")
        if len(units) < splitter.n_splits:
            raise ValueError(
                f"Only {len(units)} labelled {what} for {splitter.n_splits} folds: "
                f"lower cv, or label more {what}."
            )
        if groups is None:
            return splitter
        return StratifiedGroupKFold(splitter.n_splits)

    def _warn_if_misread(self, y_train, n_unlabelled):
        """The rule for "auto" looks at a fold alone, when an anticipator applies it."""
        if n_unlabelled and resolve_marker(y_train, self.unlabeled_label) is None:
            warn(
                "A training fold holds no values but -1 and 1, which an anticipator "
                'with unlabeled_label="auto" reads as two classes: set '
                "unlabeled_label=-1 in both.",
            )


def _warn_if_shared(training, tested):
    """Warn if labelled rows of a group that is tested train."""
    if np.isin(tested, training).any():
        warn(
            "A fold of cv trains on labelled rows of groups that it tests, and what is "
            "learned from these looks better than it is: let a splitter divide whole "
            "groups, such as GroupKFold, or leave groups= out if their rows are not "
            "alike."
        )


def _part(rows, labels, groups):
    """What a splitter is shown as X, y and groups."""
    return rows, labels, None if groups is None else groups[rows]


def _rows_at(rows, positions, tables):
    """Rows of the whole, given as numbers of labelled rows or a mask of them."""
    check_chosen_rows(positions, tables, name="a fold of cv", rows=rows)
    positions = np.asarray(positions)
    if positions.dtype == bool:
        if positions.shape != rows.shape:
            raise ValueError(
                f"cv gives a mask of shape {positions.shape}, but there are "
                f"{len(rows)} labelled rows: its folds must count these only."
            )
        return rows[positions]
    refuse_counted_mask(positions, len(rows), "A fold of cv")
    if positions.size and positions.max() >= len(rows):
        raise ValueError(
            f"cv names the labelled row {positions.max()}, but there are {len(rows)}: "
            "its folds must count labelled rows only, from 0."
        )
    return rows[positions]
