"""MarginalLoss: a label is also a verb and a noun, and each may be right alone."""

from __future__ import annotations

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import verbs_and_nouns
from skanticipate.data.missing import number_names
from skanticipate.data.numbers import Interval
from skanticipate.data.samples import Samples
from skanticipate.losses import marginal_cross_entropy
from skanticipate.terms.objective import Term, joined_weights, taken


class MarginalLoss(BaseEstimator):
    """Further terms of the objective: the verb and the noun of the label.

    The probability of a verb is the sum over its actions, and the terms are
    ``-log p(verb)`` and ``-log p(noun)``, means over the labelled rows. One network so
    learns actions, verbs and nouns; `metrics.marginalize` gives the probabilities of
    verbs and nouns at prediction. An action that misses its noun is a smaller error
    than one that misses both.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Verb and noun of each label: a mapping label -> (verb, noun), or a table with
        columns label, verb and noun. None means that labels are strings "verb noun".
    verb_weight, noun_weight : float, default=1.0
        Weights of the two terms.

    References
    ----------
    A. Furnari, S. Battiato, G. M. Farinella, "Leveraging Uncertainty to Rethink Loss
    Functions and Evaluation Measures for Egocentric Action Anticipation", ECCV
    Workshops 2018.

    Examples
    --------
    >>> from skanticipate import MLP, MarginalLoss, SmoothedAnticipator
    >>> X = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> y = ["cut onion", "cut bread", "wash onion"]
    >>> model = SmoothedAnticipator(MLP(8), marginal_loss=MarginalLoss(), max_epochs=2)
    >>> sorted(model.fit(X, y).history_[-1])
    ['base', 'epoch', 'loss', 'lr', 'noun', 'verb']
    """

    _parameter_constraints = {
        "actions": "no_validation",
        "verb_weight": [Interval(Real, 0, None, closed="left")],
        "noun_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        actions: Actions | None = None,
        *,
        verb_weight: float = 1.0,
        noun_weight: float = 1.0,
    ) -> None:
        self.actions = actions
        self.verb_weight = verb_weight
        self.noun_weight = noun_weight

    def parts(self, classes: Labels) -> list[tuple[str, float, np.ndarray]]:
        """Name, weight and code of each class, for verbs and for nouns.

        Parameters
        ----------
        classes : array-like of shape (C,)
            The labels, in the order of the scores.

        Returns
        -------
        list of (str, float, ndarray of shape (C,))
            Parts of weight 0 are left out.

        Raises
        ------
        ValueError
            If a class has no verb and noun.
        """
        self._validate_params()
        verbs, nouns = verbs_and_nouns(classes, self.actions)
        parts = [
            ("verb", self.verb_weight, number_names(verbs)[0]),
            ("noun", self.noun_weight, number_names(nouns)[0]),
        ]
        return [part for part in parts if part[1] > 0]

    def terms(
        self, samples: Samples, classes: np.ndarray, compute: object
    ) -> list[MarginalTerm]:
        """Terms of a fit.   -> list of MarginalTerm."""
        codes = samples.codes
        return [
            MarginalTerm(
                name, weight, samples.weights, compute, codes=codes, part_of=part_of
            )
            for name, weight, part_of in self.parts(classes)
        ]


class MarginalTerm(Term):
    """Cross-entropy of the verb, or the noun, of labels: of all actions that have it.

    Parameters
    ----------
    name, weight, sample_weight, compute : object
        As in `Term`.
    codes : ndarray of shape (n,)
        Code of each sample's label; -1 where there is none.
    part_of : ndarray of shape (C,)
        Code of the verb, or the noun, of each class.
    """

    is_closed = True

    def __init__(self, name, weight, sample_weight, compute, *, codes, part_of):
        super().__init__(
            name, weight, codes >= 0, sample_weight, compute, n_classes=len(part_of)
        )
        self.codes = codes, part_of
        self.part_of = compute.indices(part_of)
        self.parts = self.part_of[compute.indices(np.maximum(codes, 0))]  # (n,)

    @property
    def kind(self):
        """Verbs, or nouns, are those of all."""
        return self.name, tuple(self.codes[1])

    @classmethod
    def stack(cls, terms):
        """One term about the samples of all, one after another."""
        first = terms[0]
        return cls(
            first.name,
            [term.weight for term in terms],
            joined_weights(terms)[1],
            first.compute,
            codes=np.concatenate([term.codes[0] for term in terms]),
            part_of=first.codes[1],
        )

    def losses(self, output, batch, samples, rows):
        """Loss of each row that is taken.   -> (B,) or (B',)."""
        members = self.part_of == self.parts[samples].unsqueeze(1)  # (B', C)
        logits = taken(output.logits, rows)
        return marginal_cross_entropy(logits, members, reduction="none")

    def slopes(self, logits, samples):
        """Loss of each row that is taken, and its gradient."""
        others = self.part_of != self.parts[samples].unsqueeze(1)  # (B', C)
        log_proba = logits.log_softmax(1)
        among = log_proba.masked_fill(others, -float("inf"))
        log_sums = among.logsumexp(1, keepdim=True)
        slopes = log_proba.exp_().sub_(among.sub_(log_sums).exp_())
        return log_sums.squeeze(1).neg_(), slopes
