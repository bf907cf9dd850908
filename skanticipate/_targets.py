"""What a batch is taught: labels, or labels mixed with rows of prior matrices."""

import numpy as np
import torch

from skanticipate.losses import soft_cross_entropy


class LabelTargets:
    """Targets ``(1 - smoothing) * onehot(y) + smoothing * sum_j weight_j * prior_j``.

    A prior is kept as its matrix and the row of each sample, so memory grows with the
    classes and never with samples times classes.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Code of each sample's label.
    terms : list of (matrix (R, C), rows (n,), weight)
        What priors know; the weights sum to 1. Empty for hard labels.
    smoothing : float
        Weight of the priors as a whole.
    dtype, device : torch dtype and device
        Those of the network.
    """

    def __init__(self, codes, terms=(), smoothing=0.0, *, dtype, device):
        self.codes = torch.as_tensor(codes, dtype=torch.int64, device=device)
        self.smoothing = smoothing if terms else 0.0
        self.terms = []
        for matrix, rows, weight in _merge(terms) if self.smoothing else ():
            scaled = torch.tensor(matrix, dtype=dtype, device=device)
            scaled *= weight * smoothing
            self.terms.append((scaled, torch.as_tensor(rows, device=device)))

    def take(self, samples):
        """Codes (B,) of hard labels, else distributions (B, C)."""
        codes = self.codes[samples]
        if not self.terms:
            return codes
        (matrix, rows), *others = self.terms
        targets = matrix.index_select(0, rows[samples])  # (B, C)
        for matrix, rows in others:
            targets += matrix.index_select(0, rows[samples])
        targets[torch.arange(len(codes), device=codes.device), codes] += (
            1 - self.smoothing
        )
        return targets


def _merge(terms):
    """Add up matrices that are read at the same rows, as in a mixture of priors."""
    merged = []
    for matrix, rows, weight in terms:
        for k, (other, other_rows, other_weight) in enumerate(merged):
            if other.shape == matrix.shape and np.array_equal(rows, other_rows):
                total = other_weight + weight
                mean = (other * other_weight + matrix * weight) / max(total, 1e-300)
                merged[k] = (mean, rows, total)
                break
        else:
            merged.append((matrix, rows, weight))
    return merged


class LabelObjective:
    """The base term: weighted cross-entropy of a batch against its label targets."""

    def __init__(self, targets, weights, *, dtype, device):
        self.targets = targets
        self.weights = weights
        if weights is not None:
            self.weights = torch.as_tensor(weights, dtype=dtype, device=device)

    def __call__(self, output, samples):
        """Sum of weighted losses and sum of weights.   -> {"base": (sum, weight)}."""
        targets = self.targets.take(samples)
        losses = soft_cross_entropy(output.logits, targets, reduction="none")
        if self.weights is None:
            return {"base": (losses.sum(), losses.shape[0])}
        weights = self.weights[samples]
        return {"base": (losses @ weights, weights.sum())}
