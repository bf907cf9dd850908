"""The base term: cross-entropy against targets that are sums of parts."""

from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch

from skanticipate.losses.cross_entropy import cross_entropy_of_rows
from skanticipate.terms.objective import Term, joined_weights


class Part(NamedTuple):
    """One summand of the targets of all samples: rows of a table, each with a share.

    ``table`` (R, C) holds distributions; None stands for the identity, and the part for
    the labels themselves. ``index`` (n,) is the row of each sample. ``share`` is a
    number, or one for each sample (n,), 0 where the part says nothing of it.
    ``entropy`` (R,) of the rows makes of the cross-entropy a divergence.
    """

    table: np.ndarray | None
    index: np.ndarray  # type: ignore[assignment]  # not the method of tuples
    share: float | np.ndarray
    entropy: np.ndarray | None = None

    def of(self, has):
        """The same part, of some samples (n,) only."""
        return self if has.all() else self._replace(share=self.share * has)


class Joined:
    """Tables of several models under one another, each of them once.

    Parameters
    ----------
    tables : list of K ndarrays (R, C)
        The same object may stand there several times; so may equal ones.
    """

    def __init__(self, tables):
        self.unlike, self.starts = [], []
        for table in tables:
            self.starts.append(self._start(table))
        self.table = self.unlike[0]
        if len(self.unlike) > 1:
            self.table = np.concatenate(self.unlike)

    def _start(self, table):
        start = 0
        for other in self.unlike:
            if other is table or np.array_equal(other, table):
                return start
            start += len(other)
        self.unlike.append(table)
        return start

    def index(self, indices):
        """Rows (n,) of each table as rows of the common one.   -> (N,)."""
        return np.concatenate(
            [i + start for i, start in zip(indices, self.starts, strict=True)]
        )


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
        self.totals, self.minus = self._totals(), -self.share

    def _totals(self):
        """What targets sum to: rows of float32 to nearly 1.   -> (n, 1)."""
        total = self.share
        for table, index, share in self.tables:
            total = total + table.sum(1)[index] * share
        return total.unsqueeze(1) if self.tables else None

    def take(self, samples):
        """Codes (B,) where there is nothing but labels, else distributions (B, C)."""
        codes = self.codes.index_select(0, samples)
        if not self.tables:
            return codes
        targets = None
        for table, index, share in self.tables:
            own = codes if index is self.codes else index[samples]
            rows = table.index_select(0, own)  # (B, C)
            rows *= share if isinstance(share, float) else share[samples].unsqueeze(1)
            targets = rows if targets is None else targets.add_(rows)
        share = _column(self.share, samples, targets)
        return targets.scatter_add_(1, codes.unsqueeze(1), share)

    def slopes(self, logits, samples):
        """Cross-entropy of samples, and its gradient, without their targets as a whole.

        Parameters
        ----------
        logits : tensor of shape (B, C)
        samples : tensor of shape (B,)

        Returns
        -------
        losses : tensor of shape (B,)
        slopes : tensor of shape (B, C)
            ``sum(targets) * softmax(logits) - targets``
        """
        log_proba = logits.log_softmax(1)  # (B, C)
        codes = self.codes.index_select(0, samples)
        labels = codes.unsqueeze(1)  # (B, 1)
        losses, parts = log_proba.gather(1, labels), []
        if not self.tables:  # nothing but labels
            slopes = log_proba.exp_()
            minus = slopes.new_full(labels.shape, -1.0)
            return losses.squeeze(1).neg_(), slopes.scatter_add_(1, labels, minus)
        minus = _column(self.minus, samples, logits)  # (B, 1)
        losses *= minus
        for table, index, shares in self.tables:
            if len(table) == 1:  # the row of all
                rows, products = table, log_proba @ table.T
            else:
                own = codes if index is self.codes else index.index_select(0, samples)
                rows = table.index_select(0, own)  # (B, C)
                products = torch.linalg.vecdot(log_proba, rows).unsqueeze(1)
            if not isinstance(shares, float):
                shares = _column(shares, samples, logits)
            _subtract(losses, products, shares)
            parts.append((rows, shares))
        slopes = log_proba.exp_().mul_(self.totals.index_select(0, samples))
        for rows, shares in parts:
            _subtract(slopes, rows, shares)
        return losses.squeeze(1), slopes.scatter_add_(1, labels, minus)


def _subtract(total, values, share):
    """Take away, in place, a share of values: a number, or of each sample (B, 1)."""
    if isinstance(share, float):
        total.sub_(values, alpha=share)
    else:
        total.addcmul_(values, share, value=-1)


def _share(share, compute):
    return float(share) if np.ndim(share) == 0 else compute.floats(share)


def _column(share, samples, like):
    """Share of each sample.   -> (B, 1)."""
    if isinstance(share, float):
        return like.new_full((len(samples), 1), share)
    return share.index_select(0, samples).unsqueeze(1)


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

    is_closed = True

    def __init__(self, parts, has, sample_weight, compute):
        super().__init__("base", 1.0, has, sample_weight, compute)
        self.parts = parts
        self.targets = Targets(parts, compute)
        entropies = [
            p.entropy[p.index] * p.share for p in parts if p.entropy is not None
        ]
        self.entropy = compute.floats(sum(entropies)) if entropies else None  # (n,)

    @property
    def kind(self):
        """Parts are added up, whatever they are."""
        return self.name

    @classmethod
    def stack(cls, terms):
        """One term about the samples of all, one after another."""
        parts = stack_parts([term.parts for term in terms])
        return cls(parts, *joined_weights(terms), terms[0].compute)

    def slopes(self, logits, samples):
        """Cross-entropy, less the entropy of answers, and its gradient."""
        losses, slopes = self.targets.slopes(logits, samples)
        if self.entropy is not None:
            losses -= self.entropy[samples]
        return losses, slopes

    def losses(self, output, batch, samples, rows):
        """Cross-entropy, less the entropy of answers.   -> (B,)."""
        targets = self.targets.take(samples)
        losses = cross_entropy_of_rows(output.logits, targets)
        return losses if self.entropy is None else losses - self.entropy[samples]


def stack_parts(stacks):
    """Parts about the samples of several models, one after another.

    Parameters
    ----------
    stacks : list of K lists of Part
        Of each model, the labels first; how many there are may differ.
    """
    n_samples = [len(parts[0].index) for parts in stacks]
    labels = [parts[0] for parts in stacks]
    stacked = [
        Part(
            None,
            np.concatenate([part.index for part in labels]),
            _shares(labels, n_samples),
        )
    ]
    # Entropies make other parts of what is else alike.
    for with_entropy in (False, True):
        tabled = [
            [
                part
                for part in parts[1:]
                if (part.entropy is not None) == with_entropy and np.any(part.share)
            ]
            for parts in stacks
        ]
        for same in zip_longest(*tabled):
            stacked.append(_stack_part(same, n_samples))
    return stacked


def _stack_part(parts, n_samples):
    """One part of K, or None where a model has none, about all samples."""
    any_of_them = next(part for part in parts if part is not None)
    silent = any_of_them._replace(share=0.0)  # points to a row, and says nothing
    parts = [
        silent._replace(index=np.zeros(n, dtype=np.intp)) if part is None else part
        for part, n in zip(parts, n_samples, strict=True)
    ]
    tables = Joined([part.table for part in parts])
    entropy = None
    if any_of_them.entropy is not None:
        rows = [np.asarray(part.entropy) for part in parts]
        entropy = np.zeros(len(tables.table))
        for start, values in zip(tables.starts, rows, strict=True):
            entropy[start : start + len(values)] = values
    index = tables.index([part.index for part in parts])
    return Part(tables.table, index, _shares(parts, n_samples), entropy)


def _shares(parts, n_samples):
    """Share of each sample of several models.   -> number or (N,)."""
    if all(np.ndim(part.share) == 0 and part.share == parts[0].share for part in parts):
        return parts[0].share
    return np.concatenate(
        [np.broadcast_to(p.share, n) for p, n in zip(parts, n_samples, strict=True)]
    )


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
