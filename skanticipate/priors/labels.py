"""Priors from the labels alone: all alike, those that share a word, or given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import verbs_and_nouns
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import as_list, label_codes, number_names
from skanticipate.data.names import check_label_names
from skanticipate.data.tensors import plain_numbers
from skanticipate.priors.base import BasePrior, check_classes, normalize_rows


class UniformPrior(BasePrior):
    """The same probability for every class: plain label smoothing.

    pi(i) = 1 / C for every label, the true one included [1]_, so that
    `smoothing=0.1` leaves 0.9 + 0.1 / C to the true class.

    Attributes
    ----------
    matrix_ : (1, C) float32 array
        One row, which all labels share.
    classes_ : (C,) array
        The class labels, in the order of the columns.

    References
    ----------
    .. [1] G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
       Distillation for Action Anticipation via Label Smoothing", ICPR 2020.

    Examples
    --------
    >>> from skanticipate.priors import UniformPrior
    >>> UniformPrior().fit(["cut", "pour"]).matrix_
    array([[0.5, 0.5]], dtype=float32)
    """

    def rows(self, y: Labels, y_past: Labels | None = None) -> np.ndarray:
        """Row of `matrix_` for each sample: always 0.   (n,) labels -> (n,) intp."""
        return np.zeros_like(super().rows(y, y_past))

    def _fit_matrix(self, classes, y, y_past):
        return np.full((1, len(classes)), 1 / len(classes), dtype=np.float32)


class VerbNounPrior(BasePrior):
    """The same probability for every action that shares the verb or the noun.

    pi(i | k) = 1[verb_i = verb_k or noun_i = noun_k] / row sum [1]_.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Verb and noun of each label: a mapping label -> (verb, noun), whose pairs may
        be mappings {"verb": verb, "noun": noun}, or a table with the columns `label`,
        `verb`, `noun`, or None where the labels are strings "verb noun".
    include_self : bool, default=True
        Whether the class itself is among its neighbours, as in the paper. With False,
        a class without neighbours keeps a one-hot row.

    Attributes
    ----------
    matrix_ : (C, C) float32 array
        Row k is the distribution of class k.
    classes_ : (C,) array
        The class labels, in the order of rows and columns.

    Raises
    ------
    ValueError
        If a class has no verb and noun, or `actions` lacks a column.

    References
    ----------
    .. [1] G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
       Distillation for Action Anticipation via Label Smoothing", ICPR 2020.

    Examples
    --------
    >>> from skanticipate.priors import VerbNounPrior
    >>> prior = VerbNounPrior().fit(["cut onion", "peel onion", "wash pan"])
    >>> prior.matrix_
    array([[0.5, 0.5, 0. ],
           [0.5, 0.5, 0. ],
           [0. , 0. , 1. ]], dtype=float32)
    """

    _parameter_constraints = {
        "actions": [HasMethods("__getitem__"), None],
        "include_self": ["boolean"],
    }

    def __init__(
        self, actions: Actions | None = None, *, include_self: bool = True
    ) -> None:
        self.actions = actions
        self.include_self = include_self

    def _fit_matrix(self, classes, y, y_past):
        names = verbs_and_nouns(classes, self.actions)
        rows = np.arange(len(classes))
        return verb_noun_rows(*names, rows, include_self=self.include_self)


class ArrayPrior(BasePrior):
    """A matrix of the user's own, keyed by the labels of its rows and columns.

    `fit` selects the rows and columns of the classes; where the class set shrank, the
    rows are scaled to sum 1 again (a row that lost all its mass becomes one-hot).

    Parameters
    ----------
    matrix : array-like of shape (C, C)
        Row k is the distribution of class k: non-negative, sums to 1.
    classes : array-like of shape (C,)
        The labels of the rows and of the columns of `matrix`.

    Attributes
    ----------
    matrix_ : (C', C') float32 array
        The rows and columns of the fitted classes.
    classes_ : (C',) array
        The class labels, in the order of rows and columns.

    Raises
    ------
    ValueError
        If `matrix` is not square with one row for each of `classes`, its rows are no
        distributions, or it has no row for a class of the estimator.

    Examples
    --------
    >>> from skanticipate.priors import ArrayPrior
    >>> prior = ArrayPrior([[0.6, 0.2, 0.2], [0, 1, 0], [0, 0, 1]], ["a", "b", "c"])
    >>> prior.fit(["a", "b"]).matrix_
    array([[0.75, 0.25],
           [0.  , 1.  ]], dtype=float32)
    """

    _parameter_constraints = {"matrix": ["array-like"], "classes": ["array-like"]}

    def __init__(self, matrix: ArrayLike, classes: Labels) -> None:
        self.matrix = matrix
        self.classes = classes

    def __sklearn_clone__(self):
        """Clone all but the matrix, which every fit of a search would copy."""
        return type(self)(**self.get_params(deep=False))

    def _fit_matrix(self, classes, y, y_past):
        own_classes = check_classes(self.classes)
        for table in (self.matrix, getattr(self.matrix, "T", None)):
            check_label_names(table, as_list(own_classes), name="the prior matrix")
        matrix = _check_stochastic(self.matrix, len(own_classes))
        codes = label_codes(classes, own_classes)
        if codes.min() < 0:
            missing = as_list(classes)[np.flatnonzero(codes < 0)[0]]
            raise ValueError(
                f"The prior matrix has no row for class {missing!r}: its classes= must "
                "name every class of the estimator, as labels of the same type."
            )
        if not np.array_equal(codes, np.arange(len(matrix))):
            matrix = matrix[np.ix_(codes, codes)]
        return normalize_rows(matrix.astype(np.float32))


def new_prior(prior, classes):
    """Build the unfitted prior that the parameters `prior` and `classes` stand for."""
    if prior is None:
        return UniformPrior()
    if hasattr(prior, "fit"):
        return clone(prior)
    if isinstance(prior, list | tuple) and any(map(_holds_estimator, prior)):
        raise TypeError(
            f"prior must be one prior, got {prior!r:.80}: mix several, as in "
            "MixturePrior([UniformPrior(), VerbNounPrior()], weights=[1, 2])."
        )
    if classes is None:
        raise ValueError(
            "A prior matrix needs classes=, the labels of its rows and columns in "
            "order: without it a class that is missing from y would shift them."
        )
    return ArrayPrior(prior, classes)


def _holds_estimator(part):
    parts = part if isinstance(part, list | tuple) else [part]
    return any(hasattr(one, "fit") for one in parts)


def verb_noun_rows(verbs, nouns, rows, *, include_self=True):
    """Verb-noun distributions of some classes.   (C,), (C,), (R,) -> (R, C) float32."""
    shares = _equal_rows(verbs, rows)
    shares |= _equal_rows(nouns, rows)
    shares[np.arange(len(rows)), rows] = include_self
    counts = np.count_nonzero(shares, axis=1)
    shares[counts == 0, rows[counts == 0]] = True
    return shares * (1 / np.maximum(counts, 1)).astype(np.float32)[:, None]


def _equal_rows(values, rows):
    """Where value i equals value rows[r].   (C,), (R,) -> (R, C) bool."""
    codes, distinct = number_names(values)
    # one row for each distinct value, then copied: comparing all pairs costs more
    return (np.arange(len(distinct))[:, None] == codes)[codes[rows]]


def _check_stochastic(matrix, n_classes):
    if isinstance(matrix, Mapping):
        raise ValueError(
            f"The prior matrix is a {type(matrix).__name__}, whose columns have no "
            "order: expected an array, one row and one column for each label; of a "
            "dict of dicts pass pd.DataFrame.from_dict(prior, orient='index') with its "
            "columns and rows in the order of classes=."
        )
    refuse_masked(matrix, "The prior matrix", "Fill in the numbers.")
    matrix = np.asarray(plain_numbers(matrix, "The prior matrix"))
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(np.float64)
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(
            f"The prior matrix must have shape ({n_classes}, {n_classes}), one row and "
            f"one column for each of its classes, got {matrix.shape}."
        )
    totals = matrix.sum(axis=1, dtype=np.float64)
    if not (matrix.min() >= 0 and np.isfinite(totals).all()):
        row, column = np.argwhere(~(matrix >= 0) | np.isinf(matrix))[0]
        raise ValueError(
            "The prior matrix must hold finite, non-negative numbers, got "
            f"{matrix[row, column]} in row {row}, column {column}."
        )
    off = np.flatnonzero(np.abs(totals - 1) > 1e-4)
    if len(off):
        raise ValueError(
            f"Every row of the prior matrix must sum to 1, but row {off[0]} sums to "
            f"{totals[off[0]]:.6g}: divide each row by its sum."
        )
    return matrix
