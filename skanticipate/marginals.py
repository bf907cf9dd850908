"""MarginalLoss: a label is also a verb and a noun, and each may be right alone."""

from dataclasses import replace
from numbers import Real

import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from skanticipate._actions import verbs_and_nouns
from skanticipate._missing import number_names
from skanticipate._targets import weighted_sum
from skanticipate.losses import marginal_cross_entropy


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

    def __init__(self, actions=None, *, verb_weight=1.0, noun_weight=1.0):
        self.actions = actions
        self.verb_weight = verb_weight
        self.noun_weight = noun_weight

    def parts(self, classes):
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


def add_marginals(lesson, marginal_loss, samples, classes, **options):
    """Lesson with the marginal terms; None leaves it as it is."""
    if marginal_loss is None:
        return lesson
    parts = marginal_loss.parts(classes)
    objective = _WithMarginals(
        lesson.objective, parts, samples.codes, samples.weights, **options
    )
    weights = {name: weight for name, weight, _ in parts}
    return replace(
        lesson, objective=objective, term_weights={**lesson.term_weights, **weights}
    )


class _WithMarginals:
    """An objective, and the marginal terms of its labelled rows.

    Parameters
    ----------
    objective : callable
        (output, batch) -> terms.
    parts : list of (name, weight, code of each class)
        What `MarginalLoss.parts` gave.
    codes : ndarray of shape (n,)
        Code of each sample's label; -1 where there is none.
    weights : ndarray of shape (n,) or None
        Weight of each sample.
    dtype, device : torch dtype and device
        Those of the network.
    """

    def __init__(self, objective, parts, codes, weights, *, dtype, device):
        self.objective = objective
        self.part_of = {name: torch.tensor(of, device=device) for name, _, of in parts}
        self.codes = torch.as_tensor(codes, device=device)
        self.weights = weights
        if weights is not None:
            self.weights = torch.as_tensor(weights, dtype=dtype, device=device)

    def __call__(self, output, batch):
        """Terms of the objective, and "verb" and "noun" where rows have a label."""
        terms = self.objective(output, batch)
        samples = batch.samples.to(self.codes.device)
        labelled = self.codes[samples] >= 0
        if not labelled.any():
            return terms
        samples = samples[labelled]
        logits, codes = output.logits[labelled], self.codes[samples]
        weights = None if self.weights is None else self.weights[samples]
        for name, part_of in self.part_of.items():
            members = part_of == part_of[codes].unsqueeze(1)  # (B, C)
            losses = marginal_cross_entropy(logits, members, reduction="none")
            terms[name] = weighted_sum(losses, weights)
        return terms
