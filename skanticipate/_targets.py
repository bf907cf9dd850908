"""What a batch is taught: labels, or labels mixed with rows of prior matrices."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.base import clone

from skanticipate.losses import soft_cross_entropy
from skanticipate.priors import ArrayPrior, UniformPrior


@dataclass(frozen=True)
class Lesson:
    """What a fit learns, as the teachers gave it.

    Attributes
    ----------
    objective : callable
        (output, batch) -> {term: (sum of weighted losses, sum of weights)}.
    term_weights : dict of str to float
        Weight of each term, 1 where it is not named.
    draw : callable or None
        Generator -> batches of an epoch; None goes through all samples once.
    take_futures : callable or None
        Sample indices -> futures, where the objective asks for them in a batch.
    modules : dict of str to torch.nn.Module
        What is trained beside the network.
    figures : dict of str to float
        What the records of all epochs tell beside the losses.
    """

    objective: Callable
    term_weights: dict = field(default_factory=dict)
    draw: Callable | None = None
    take_futures: Callable | None = None
    modules: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)


def new_prior(prior, classes):
    """Build the unfitted prior that the parameters `prior` and `classes` stand for."""
    if prior is None:
        return UniformPrior()
    if hasattr(prior, "fit"):
        return clone(prior)
    if classes is None:
        raise ValueError(
            "A prior matrix needs classes=, the labels of its rows and columns in "
            "order: without it a class that is missing from y would shift them."
        )
    return ArrayPrior(prior, classes)


def fit_targets(prior, smoothing, samples, classes, **options):
    """Fit a prior on the labelled samples and mix it into their labels.

    Returns
    -------
    prior : fitted prior
    targets : LabelTargets
        Of all samples; what it says of unlabelled ones means nothing.
    """
    labelled = np.flatnonzero(samples.codes >= 0)
    y = classes[samples.codes[labelled]]
    y_past = None if samples.y_past is None else samples.y_past[labelled]
    prior.fit(classes, y, y_past)
    terms = []
    for matrix, rows, weight in prior.terms(y, y_past):
        of_sample = np.zeros(len(samples), dtype=np.intp)
        of_sample[labelled] = rows
        terms.append((matrix, of_sample, weight))
    return prior, LabelTargets(samples.codes, terms, smoothing, **options)


class LabelTargets:
    """Targets ``(1 - smoothing) * onehot(y) + smoothing * sum_j weight_j * prior_j``.

    A prior is kept as its matrix, which is shared where precision and device allow it,
    and the row of each sample, so memory grows with the classes and never with samples
    times classes.

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
        for matrix, weight, rows in _merge(terms) if self.smoothing else ():
            matrix = np.require(matrix, requirements="CW")  # as torch shares it
            matrix = torch.as_tensor(matrix, dtype=dtype, device=device)
            rows = torch.as_tensor(rows, device=device)
            self.terms.append((matrix, rows, weight * smoothing))

    def take(self, samples):
        """Codes (B,) of hard labels, else distributions (B, C)."""
        codes = self.codes[samples]
        if not self.terms:
            return codes
        (matrix, rows, weight), *others = self.terms
        targets = matrix.index_select(0, rows[samples]).mul_(weight)  # (B, C)
        for matrix, rows, weight in others:
            targets += matrix.index_select(0, rows[samples]).mul_(weight)
        targets[torch.arange(len(codes), device=codes.device), codes] += (
            1 - self.smoothing
        )
        return targets


def _merge(terms):
    """Add up matrices that are read at the same rows, as in a mixture of priors."""
    alike = []
    for matrix, rows, weight in terms:
        for parts, other_rows in alike:
            if parts[0][0].shape == matrix.shape and np.array_equal(rows, other_rows):
                parts.append((matrix, weight))
                break
        else:
            alike.append(([(matrix, weight)], rows))
    return [(*_mean(parts), rows) for parts, rows in alike]


def _mean(parts):
    """Mean of matrices and sum of their weights, in one array beside theirs."""
    (matrix, weight), *others = parts
    if not others:
        return matrix, weight
    mean = matrix.astype(np.result_type(np.float32, *(m for m, _ in parts)), order="C")
    for matrix, other_weight in others:
        mean *= weight
        for row, other in zip(mean, matrix, strict=True):
            row += other * other_weight
        weight += other_weight
        mean /= max(weight, 1e-300)
    return mean, weight


class LabelObjective:
    """The base term: weighted cross-entropy of a batch against its label targets."""

    def __init__(self, targets, weights, *, dtype, device):
        self.targets = targets
        self.weights = weights
        if weights is not None:
            self.weights = torch.as_tensor(weights, dtype=dtype, device=device)

    def __call__(self, output, batch):
        """Sum of weighted losses and sum of weights.   -> {"base": (sum, weight)}."""
        targets = self.targets.take(batch.samples)
        losses = soft_cross_entropy(output.logits, targets, reduction="none")
        weights = None if self.weights is None else self.weights[batch.samples]
        return {"base": weighted_sum(losses, weights)}


def weighted_sum(losses, weights):
    """Sum of weighted losses (B,) and sum of weights; None means weights of 1."""
    if weights is None:
        return losses.sum(), losses.shape[0]
    return losses @ weights, weights.sum()
