"""What teachers answer: parts of the targets of unlabelled samples, and terms."""

import numpy as np
import torch

from skanticipate.losses.cross_entropy import cross_entropy_of_rows
from skanticipate.terms.labels import Joined, Part
from skanticipate.terms.objective import Term, joined_weights, taken


def answer_part(proba, index):
    """Part of targets that a teacher answers.

    Parameters
    ----------
    proba : ndarray of shape (m, C)
        Probabilities.
    index : ndarray of shape (n,)
        Row of each sample; any row where the teacher says nothing of it.
    """
    proba = proba / proba.sum(axis=1, keepdims=True)  # as `distillation_kl` does
    logs = np.log(np.where(proba > 0, proba, 1))
    return Part(proba, index, 1.0, entropy=-np.einsum("mc,mc->m", proba, logs))


class AnswerTerm(Term):
    """Divergence from what a teacher says, softened by a temperature.

    ``T^2 * KL(teacher^(1/T) || p^(1/T))``, on the teacher's `top_k` classes if given,
    as `losses.distillation_kl`. What the teacher says is softened once.

    Parameters
    ----------
    name, weight, has, sample_weight, compute : object
        As in `Term`.
    proba : ndarray of shape (m, C)
        What the teacher says.
    index : ndarray of shape (n,)
        Row of each sample in `proba`; any row where it has none.
    temperature : float
        T.
    top_k : int or None, default=None
        Number of classes that are compared; None means all.
    """

    is_closed = True

    def __init__(
        self,
        name,
        weight,
        has,
        sample_weight,
        compute,
        *,
        proba,
        index,
        temperature,
        top_k=None,
    ):
        n_classes = proba.shape[1]
        super().__init__(name, weight, has, sample_weight, compute, n_classes=n_classes)
        self.answers = proba, index
        self.temperature = temperature
        self.top_k = top_k
        self.index = compute.indices(index)
        table, self.kept = compute.floats(proba), None
        if top_k is not None:
            table, self.kept = table.topk(top_k)  # (m, k) both
        # Relative to the largest, a small T does not make every power vanish.
        table = (table / table.amax(-1, keepdim=True)).pow(1 / temperature)
        self.table = table / table.sum(-1, keepdim=True)
        self.entropy = -self.table.xlogy(self.table).sum(-1)  # (m,)

    @property
    def kind(self):
        """The classes that are compared, and the temperature, are those of all."""
        return self.name, self.temperature, self.top_k

    @classmethod
    def stack(cls, terms):
        """One term about the samples of all, one after another."""
        first = terms[0]
        tables, indices = zip(*(term.answers for term in terms), strict=True)
        answers = Joined(tables)
        return cls(
            first.name,
            [term.weight for term in terms],
            *joined_weights(terms),
            first.compute,
            proba=answers.table,
            index=answers.index(indices),
            temperature=first.temperature,
            top_k=first.top_k,
        )

    def losses(self, output, batch, samples, rows):
        """Divergence of each row that is taken.   -> (B,) or (B',)."""
        index = self.index[samples]
        logits = taken(output.logits, rows)  # (B', S, C)
        if self.kept is not None:
            kept = self.kept[index].unsqueeze(1).expand(-1, logits.shape[1], -1)
            logits = logits.gather(-1, kept)  # (B', S, k)
        if self.temperature != 1:
            logits = logits / self.temperature
        targets = self.table.index_select(0, index)
        losses = cross_entropy_of_rows(logits, targets)
        return (losses - self.entropy[index]) * self.temperature**2

    def slopes(self, logits, samples):
        """Divergence of each row that is taken, and its gradient."""
        index = self.index[samples]
        kept = None if self.kept is None else self.kept[index]  # (B', k)
        compared = logits if kept is None else logits.gather(1, kept)
        log_proba = (compared / self.temperature).log_softmax(1)
        targets = self.table.index_select(0, index)
        losses = torch.linalg.vecdot(log_proba, targets).add_(self.entropy[index])
        slopes = log_proba.exp_().mul_(targets.sum(1, keepdim=True)).sub_(targets)
        slopes *= self.temperature
        if kept is not None:
            slopes = torch.zeros_like(logits).scatter_(1, kept, slopes)
        return losses.mul_(-(self.temperature**2)), slopes
