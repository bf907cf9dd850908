"""What all label priors share: a matrix of soft targets and the row of each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from inspect import signature
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skanticipate._typing import Labels
from skanticipate.data.missing import (
    as_column,
    as_list,
    check_label_list,
    holds_missing,
    label_codes,
)
from skanticipate.data.parameters import fit_context
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.samples import check_weights
from skanticipate.data.validation import check_probabilities


class BasePrior(BaseEstimator):
    """A teacher that knows the label only: each label has a distribution over classes.

    A prior is not a classifier. `fit` takes the class set and, for priors that count,
    the training labels with the actions seen before them. Everything is keyed by the
    label, never by its position, so the class set may shrink or be permuted.

    A subclass implements `_fit_matrix(classes, y, y_past) -> (R, C)`, float32 rows that
    sum to 1; row k belongs to class k unless it overrides `rows` too. One that counts
    rows may have a further parameter `sample_weight`, how often each of them counts,
    None where all count once; else rows with a weight count alike.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.priors import BasePrior
    >>> class FrequencyPrior(BasePrior):
    ...     def _fit_matrix(self, classes, y, y_past):
    ...         counts = [list(y).count(label) for label in classes]
    ...         return np.float32([counts]) / len(y)
    ...
    ...     def rows(self, y, y_past=None):
    ...         return np.zeros(len(y), dtype=np.intp)  # all labels share one row
    >>> prior = FrequencyPrior().fit(["cut", "pour"], y=["cut", "cut", "pour", "cut"])
    >>> prior.matrix_
    array([[0.75, 0.25]], dtype=float32)
    """

    #: whether the row of a sample follows from its own label
    keyed_by_label = True

    _parameter_constraints: dict = {}

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        classes: Labels,
        y: Labels | None = None,
        y_past: Labels | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Compute `matrix_` for a class set.

        Parameters
        ----------
        classes : array-like of shape (C,)
            The class labels, in the order of the columns of `matrix_`.
        y : array-like of shape (n,), default=None
            Labels of the labelled training rows; for priors that count.
        y_past : array-like of shape (n,), default=None
            The action seen last before each of those rows; None, NaN, "" or -1 where
            there is none.
        sample_weight : array-like of shape (n,), default=None
            How often each of those rows counts, to priors that count: one of weight 2
            is two rows, one of weight 0 is none.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `classes` is no 1-D array of distinct labels, `y` and `y_past` name the
            same rows in different orders, the prior cannot be computed from what was
            passed, or a row of its matrix holds no probabilities.
        """
        classes = check_classes(classes)
        if y_past is not None or sample_weight is not None:
            check_rows_alike(y=y, y_past=y_past, sample_weight=sample_weight)
        y, y_past, weights = counted_rows(y, y_past, sample_weight)
        counts = "sample_weight" in signature(self._fit_matrix).parameters
        weights = {"sample_weight": weights} if counts else {}
        matrix = self._fit_matrix(classes, y, y_past, **weights)
        sums = matrix.sum(axis=1, dtype=np.float64)
        if matrix.min() < 0 or not (np.abs(sums - 1) <= 1e-3).all():
            check_probabilities(matrix, f"The matrix of {type(self).__name__}")
        self.matrix_ = matrix
        self.classes_ = classes
        return self

    def rows(self, y: Labels, y_past: Labels | None = None) -> np.ndarray:
        """Row of `matrix_` for each sample.   (n,) labels -> (n,) intp.

        Parameters
        ----------
        y : array-like of shape (n,)
            Labels; all of them must be in `classes_`.
        y_past : array-like of shape (n,), default=None
            The action seen last; for priors that are keyed by it.

        Raises
        ------
        ValueError
            If a label is not one of `classes_`.
        """
        check_is_fitted(self)
        if y_past is not None:
            check_rows_alike(y=y, y_past=y_past)
        return class_codes(y, self.classes_)

    def terms(
        self, y: Labels, y_past: Labels | None = None
    ) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """List of (matrix, rows, weight): the soft targets of samples, unmaterialised.

        The soft target of sample i is the sum of `weight * matrix[rows[i]]`.
        """
        check_is_fitted(self)
        if y_past is not None:
            check_rows_alike(y=y, y_past=y_past)
        return [(self.matrix_, self.rows(y, y_past), 1.0)]


def fit_prior(prior, classes, y, y_past, sample_weight):
    """Fit a prior with weights of rows, where its `fit` takes them."""
    if sample_weight is None or not has_fit_parameter(prior, "sample_weight"):
        return prior.fit(classes, y, y_past)
    return prior.fit(classes, y, y_past, sample_weight=sample_weight)


def counted_rows(y, y_past, sample_weight):
    """Rows that count, and how often each does; None where all count once."""
    if sample_weight is None or y is None:
        return y, y_past, None
    weights = check_weights(y, sample_weight)
    if weights is None or weights.all():
        return y, y_past, weights
    rows = np.flatnonzero(weights)
    past = None if y_past is None else _safe_indexing(y_past, rows)
    return _safe_indexing(y, rows), past, weights[rows]


def class_codes(y, classes):
    """Position of each label in `classes`; a label that is no class is an error."""
    check_label_list(y, "y")
    codes = label_codes(y, classes)
    if codes.min(initial=0) < 0:
        strange = as_list(y)[np.flatnonzero(codes < 0)[0]]
        raise ValueError(
            f"Every label of y must be one of the {len(classes)} classes of the prior, "
            f"got {strange!r}: fit the prior with classes that contain it, and leave "
            "unlabelled rows out."
        )
    return codes


def normalize_rows(matrix, fallback=None):
    """Scale non-negative rows to sum 1, in place.   (C, C) float32.

    A row of zeros becomes that row of `fallback(rows) -> (len(rows), C)`, or one-hot.
    """
    totals = matrix.sum(axis=1, dtype=np.float64)
    empty = np.flatnonzero(totals == 0)
    totals[empty] = 1
    matrix *= (1 / totals).astype(matrix.dtype)[:, None]
    if len(empty) and fallback is not None:
        matrix[empty] = fallback(empty)
    else:
        matrix[empty, empty] = 1
    return matrix


def check_classes(classes):
    """Class labels as an array; a label that stands there twice is an error."""
    array = as_column(classes)
    labels = array.tolist()
    if array.ndim == 1 and holds_missing(labels):
        raise ValueError("classes holds a missing label: leave it out.")
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"classes must be a 1-D array of labels, got shape {array.shape}."
        )
    if not all(isinstance(label, Hashable) for label in labels):
        raise ValueError("classes holds a list: expected labels, one for each class.")
    if len(set(labels)) < len(labels):
        twice = next(label for label, n in Counter(labels).items() if n > 1)
        raise ValueError(
            f"classes must hold each label once, got {twice!r} more than once: pass "
            "np.unique(y)."
        )
    return array
