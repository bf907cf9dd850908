"""FocalLoss: the base term as a decision for each class, in place of cross-entropy."""

from __future__ import annotations

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator

from skanticipate.data.numbers import FACTOR, Interval
from skanticipate.losses.focal import focal_of_rows
from skanticipate.terms.labels import LabelTerm, Part, stack_parts
from skanticipate.terms.objective import joined_weights


class FocalLoss(BaseEstimator):
    """Sigmoid focal loss in place of the cross-entropy of the base term.

    Every class is a decision of its own, this one or not, and decisions that are nearly
    right count little; see `losses.focal_loss`. The targets are those of the
    cross-entropy: labels mixed with what a prior knows of them, and of unlabelled rows
    the answers of their teacher. Other terms of the objective stay as they are.

    Scores are trained as those of sigmoids. `predict` and rankings go by the scores,
    and sigmoids would rank a clip's classes alike; but `predict_proba` gives the
    softmax of the scores, here as everywhere. Its rows sum to 1, and do not tell how
    often a class comes: calibrate them where that matters. The validation figure
    "loss" is their log loss, so early stopping may better go by an accuracy.

    Parameters
    ----------
    gamma : float, default=2.0
        How much less decisions count that are nearly right; 0 counts all alike.
    alpha : float or None, default=0.25
        Weight of the classes that are right, in [0, 1], and 1 less it that of the
        others. None weighs both by 1.

    Notes
    -----
    The loss of a row is a sum over the classes, the term a mean over the rows. Weights
    of other terms, and the rate of "sgd", may have to be others than for cross-entropy.
    All classes start at even odds: no bias makes them rare at first.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal Loss for Dense Object
    Detection", ICCV 2017.
    M. Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding,
    Prediction and Planning", arXiv:2506.09985, 2025 (the defaults, to train probes that
    anticipate actions).

    Examples
    --------
    >>> from skanticipate import MLP, FocalLoss, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> model = SmoothedAnticipator(MLP(64), loss=FocalLoss(), random_state=0)
    >>> model.fit(kitchen.X_past, kitchen.y).predict_proba(kitchen.X_past).shape
    (600, 20)
    """

    _parameter_constraints = {
        "gamma": [Interval(Real, 0, FACTOR.right, closed="both")],
        "alpha": [Interval(Real, 0, 1, closed="both"), None],
    }

    def __init__(self, gamma: float = 2.0, *, alpha: float | None = 0.25) -> None:
        self.gamma = gamma
        self.alpha = alpha

    def term(
        self,
        parts: list[Part],
        has: np.ndarray,
        sample_weight: np.ndarray | None,
        compute: object,
    ) -> FocalTerm:
        """Base term of a fit.   -> FocalTerm."""
        return FocalTerm(parts, has, sample_weight, compute, loss=self)


class FocalTerm(LabelTerm):
    """The base term by focal loss: of labels, and of answers in their place.

    Parameters
    ----------
    parts, has, sample_weight, compute : object
        As in `LabelTerm`. Entropies of the parts are left out: they make a divergence
        of a cross-entropy, and of nothing else.
    loss : FocalLoss
    """

    is_closed = False  # its gradient is autograd's

    def __init__(self, parts, has, sample_weight, compute, *, loss):
        parts = [part._replace(entropy=None) for part in parts]
        super().__init__(parts, has, sample_weight, compute)
        self.loss = loss

    @property
    def kind(self):
        """Parts are added up, whatever they are; the loss is that of all."""
        return self.name, self.loss.gamma, self.loss.alpha

    @classmethod
    def stack(cls, terms):
        """One term about the samples of all, one after another."""
        parts = stack_parts([term.parts for term in terms])
        first = terms[0]
        return cls(parts, *joined_weights(terms), first.compute, loss=first.loss)

    def losses(self, output, batch, samples, rows):
        """Focal loss of each row.   -> (B,)."""
        targets = self.targets.take(samples)
        return focal_of_rows(output.logits, targets, self.loss.gamma, self.loss.alpha)
