"""The base term: cross-entropy against targets that are sums of parts."""

from typing import NamedTuple

import numpy as np

from skanticipate.losses import soft_cross_entropy
from skanticipate.terms.objective import Term


class Part(NamedTuple):
    """One summand of the targets of all samples: rows of a table, each with a share.

    ``table`` (R, C) holds distributions; None stands for the identity, and the part for
    the labels themselves. ``index`` (n,) is the row of each sample. ``share`` is a
    number, or one for each sample (n,), 0 where the part says nothing of it.
    ``entropy`` (R,) of the rows makes of the cross-entropy a divergence.
    """

    table: np.ndarray | None
    index: np.ndarray
    share: float | np.ndarray
    entropy: np.ndarray | None = None

    def of(self, has):
        """The same part, of some samples (n,) only."""
        return self if has.all() else self._replace(share=self.share * has)


class Targets:
    """Targets of samples as sums of parts.

    A table is shared with whoever made it where precision and device allow it, so
    memory grows with its rows and never with samples times classes.

    Parameters
    ----------
    parts : list of Part
        The labels first.
    compute : Compute
        Device and precision of the network.
    """

    def __init__(self, parts, compute):
        labels, *others = parts
        self.codes = compute.indices(labels.index)
        self.share = _share(labels.share, compute)
        self.tables = []
        for part in others:
            if np.any(part.share):
                table = compute.floats(part.table)
                by_label = np.array_equal(part.index, labels.index)
                index = self.codes if by_label else compute.indices(part.index)
                self.tables.append((table, index, _share(part.share, compute)))

    def take(self, samples):
        """Codes (B,) where there is nothing but labels, else distributions (B, C)."""
        codes = self.codes[samples]
        if not self.tables:
            return codes
        targets = None
        for table, index, share in self.tables:
            own = codes if index is self.codes else index[samples]
            rows = table.index_select(0, own)  # (B, C)
            rows *= share if isinstance(share, float) else share[samples].unsqueeze(1)
            targets = rows if targets is None else targets.add_(rows)
        if isinstance(self.share, float):
            share = targets.new_full((), self.share).expand(len(codes), 1)
        else:
            share = self.share[samples].unsqueeze(1)
        return targets.scatter_add_(1, codes.unsqueeze(1), share)


def _share(share, compute):
    return float(share) if np.ndim(share) == 0 else compute.floats(share)


class LabelTerm(Term):
    """The base term: labels, what priors know of them, and answers in their place.

    Of a labelled sample it is the cross-entropy against its targets, of an unlabelled
    one the divergence from what its teacher says.

    Parameters
    ----------
    parts : list of Part
        The labels first.
    has, sample_weight, compute : object
        As in `Term`.
    """

    def __init__(self, parts, has, sample_weight, compute):
        super().__init__("base", 1.0, has, sample_weight, compute)
        self.targets = Targets(parts, compute)
        entropies = [
            p.entropy[p.index] * p.share for p in parts if p.entropy is not None
        ]
        self.entropy = compute.floats(sum(entropies)) if entropies else None  # (n,)

    def losses(self, output, batch, samples, rows):
        """Cross-entropy, less the entropy of answers.   -> (B,)."""
        targets = self.targets.take(samples)
        losses = soft_cross_entropy(output.logits, targets, reduction="none")
        return losses if self.entropy is None else losses - self.entropy[samples]


def label_parts(codes, terms, smoothing):
    """Parts of ``(1 - smoothing) * onehot(y) + smoothing * sum_j weight_j * prior_j``.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Code of each sample's label; -1 where there is none.
    terms : list of (matrix (R, C), rows (n,), weight)
        What priors know; the weights sum to 1. Empty for hard labels.
    smoothing : float
        Weight of the priors as a whole.

    Returns
    -------
    list of Part
    """
    smoothing = smoothing if terms else 0.0
    labelled = codes >= 0
    parts = [Part(None, np.maximum(codes, 0), 1.0 - smoothing)]
    if smoothing:
        for matrix, weight, rows in _merge(terms):
            parts.append(Part(matrix, rows, smoothing * weight))
    return [part.of(labelled) for part in parts]


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
