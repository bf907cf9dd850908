"""The labels of the steps of a clip: what the student saw, it learns to name too."""

import numpy as np
from torch.nn import functional

from skanticipate.terms.objective import Term, taken


class PastTerm(Term):
    """Cross-entropy of the scores of the past against the labels of its steps.

    The mean over a batch is over the steps that have a label, each with the weight of
    its clip.

    Parameters
    ----------
    weight : float
        Weight in the objective.
    codes : ndarray of shape (n, T)
        Code of the label of each step; -1 where there is none.
    sample_weight, compute : object
        As in `Term`.
    """

    def __init__(self, weight, codes, sample_weight, compute):
        n_steps = (codes >= 0).sum(axis=1)  # (n,)
        # The loss of a row is the mean over its steps: this makes a sum of it.
        counts = n_steps if sample_weight is None else n_steps * sample_weight
        super().__init__("past", weight, n_steps > 0, counts, compute)
        self.codes = compute.indices(np.ascontiguousarray(codes))

    def losses(self, output, batch, samples, rows):
        """Mean over the steps that have a label.   -> (B,)."""
        logits = taken(output.past_logits, rows)  # (B', T, C)
        if logits is None:
            raise TypeError(
                "past_weight is positive, but the network gives no past_logits: return "
                "Output(..., past_logits=...) in training while scores_past is True."
            )
        codes = self.codes[samples]  # (B', T)
        if logits.shape[1] != codes.shape[1]:
            raise ValueError(
                f"past_logits score {logits.shape[1]} steps of a clip, but y_past has "
                f"{codes.shape[1]} labels: past_weight needs one score for each step, "
                "and no crop that takes steps away."
            )
        losses = functional.cross_entropy(
            logits.flatten(0, 1), codes.flatten(), ignore_index=-1, reduction="none"
        )
        n_steps = (codes >= 0).sum(1).clamp(min=1)
        return losses.view_as(codes).sum(1) / n_steps
