"""Several priors at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Labels
from skanticipate.data.missing import as_list
from skanticipate.data.numbers import weights_of
from skanticipate.data.parameters import fit_context
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.priors.base import BasePrior, check_classes, fit_prior


class MixturePrior(BasePrior):
    """A convex combination of priors: sum_m weight_m * pi_m.

    Every part keeps its own matrix and its own rows, so that priors keyed by the label
    mix with priors keyed by the past action.

    Parameters
    ----------
    priors : list of priors
        The parts; clones of them are fitted.
    weights : list of float, default=None
        Non-negative; divided by their sum. None means equal weights.

    Attributes
    ----------
    priors_ : list of priors
        Fitted, but for those of weight 0.
    weights_ : (len(priors),) float64 array, sums to 1
    matrix_ : (C, C) float32 array
        The mixture, where all parts are keyed by the label; computed on access.
    classes_ : (C,) array
        The class labels, in the order of the columns.

    Raises
    ------
    ValueError
        If there is no part, or the weights are negative, all zero or too few, or a
        Series that names them otherwise than by the classes of the priors.
    TypeError
        If the weights are no list, or True or False are among them; or a part is no
        prior.

    Notes
    -----
    The GL+VN prior of Camporese et al. (ICPR 2020) is
    ``MixturePrior([GloVePrior(...), VerbNounPrior(...)])``; the rule by which they
    combine the two is not published, equal weights are ours. A search varies `priors`
    (whole lists) and `weights`.

    Examples
    --------
    >>> from skanticipate.priors import MixturePrior, UniformPrior, VerbNounPrior
    >>> prior = MixturePrior([UniformPrior(), VerbNounPrior()], weights=[1, 3])
    >>> prior.fit(["cut onion", "wash pan"]).matrix_
    array([[0.875, 0.125],
           [0.125, 0.875]], dtype=float32)
    """

    _parameter_constraints = {"priors": [list, tuple], "weights": ["array-like", None]}

    def __init__(
        self, priors: Sequence[BasePrior], weights: ArrayLike | None = None
    ) -> None:
        self.priors = priors
        self.weights = weights

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        classes: Labels,
        y: Labels | None = None,
        y_past: Labels | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit a clone of every part.

        Parameters
        ----------
        classes : array-like of shape (C,)
            The class labels, in the order of the columns.
        y : array-like of shape (n,), default=None
            Labels of the labelled training rows.
        y_past : array-like of shape (n,), default=None
            The action seen last before each of those rows.
        sample_weight : array-like of shape (n,), default=None
            How often each of those rows counts, to priors that count.

        Returns
        -------
        self
        """
        classes, weights = check_classes(classes), self._checked_weights()
        check_rows_alike(y=y, y_past=y_past, sample_weight=sample_weight)
        given = classes, y, y_past, sample_weight
        for part in self.priors:  # one of weight 0 is not fitted, which would
            _check_is_prior(part)
            if hasattr(part, "_parameter_constraints"):
                part._validate_params()
        self.priors_ = [
            fit_prior(clone(part), *given) if weight else clone(part)
            for part, weight in zip(self.priors, weights, strict=True)
        ]
        self.weights_ = weights
        self.classes_ = classes
        return self

    @property
    def keyed_by_label(self) -> bool:  # type: ignore[override]  # it follows
        """Whether the row of a sample follows from its own label, in every part.

        Parts of weight 0 count as if they were not there.
        """
        parts = getattr(self, "priors_", self.priors)
        weights = getattr(self, "weights_", self.weights)
        weights = [1] * len(parts) if weights is None else as_list(weights)
        pairs = zip(parts, weights, strict=False)
        return all(part.keyed_by_label for part, weight in pairs if weight)

    @property
    def matrix_(self) -> np.ndarray:
        """Distribution of each class.   (C, C) float32."""
        check_is_fitted(self)
        self._check_keyed_by_label("matrix_")
        terms = self.terms(self.classes_)
        return sum(np.float32(weight) * matrix[rows] for matrix, rows, weight in terms)

    def rows(self, y: Labels, y_past: Labels | None = None) -> np.ndarray:
        """Row of `matrix_` for each sample.   (n,) labels -> (n,) intp."""
        self._check_keyed_by_label("rows")
        return super().rows(y, y_past)

    def terms(
        self, y: Labels, y_past: Labels | None = None
    ) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """List of (matrix, rows, weight), those of all parts."""
        check_is_fitted(self)
        check_rows_alike(y=y, y_past=y_past)
        return [
            (matrix, rows, weight * share)
            for part, weight in zip(self.priors_, self.weights_.tolist(), strict=True)
            if weight
            for matrix, rows, share in part.terms(y, y_past)
        ]

    def _check_keyed_by_label(self, name):
        if not self.keyed_by_label:
            raise AttributeError(
                f"This MixturePrior has no {name}, because a part of it is keyed by "
                "the past action: use terms(y, y_past), or the parts in priors_."
            )

    def _checked_weights(self):
        if not self.priors:
            raise ValueError("priors must hold at least one prior, got none.")
        if self.weights is None:
            return np.full(len(self.priors), 1 / len(self.priors))
        names = [type(prior).__name__ for prior in self.priors]
        weights = weights_of(self.weights, names, "the priors")
        if weights.shape != (len(self.priors),):
            raise ValueError(
                f"weights must hold one number for each of the {len(self.priors)} "
                f"priors, got shape {weights.shape}."
            )
        if not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
            raise ValueError(
                "weights must be non-negative and finite, and not all zero, got "
                f"{self.weights}."
            )
        return weights / weights.sum()


def _check_is_prior(part):
    if isinstance(part, type) or not all(hasattr(part, m) for m in ("fit", "terms")):
        raise TypeError(
            f"priors must hold priors, such as UniformPrior(), got {part!r:.80}: list "
            "them without names, and their weights, in the same order, as weights=."
        )
