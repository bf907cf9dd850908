"""The objective of a step: terms, each with its own weight, rows and modules."""

import torch

# A term about fewer than half of the samples takes their rows alone where it compares
# more classes than this; else a batch as a whole, in fewer operations, is faster.
_MANY_CLASSES = 512


class Objective:
    """Sum of weighted terms.

    Parameters
    ----------
    terms : list of Term
        Their names are those of the columns of `history_`.
    """

    def __init__(self, terms):
        self.terms = terms

    @property
    def weights(self):
        """Weight of each term.   -> dict of str to float."""
        return {term.name: term.weight for term in self.terms}

    @property
    def modules(self):
        """What is trained beside the network.   -> dict of str to torch.nn.Module."""
        return {name: m for term in self.terms for name, m in term.modules.items()}

    @property
    def take_futures(self):
        """Sample indices (B,) -> futures (B, ...), where a term asks for them."""
        return next((t.take_futures for t in self.terms if t.take_futures), None)

    def __call__(self, output, batch):
        """Terms of a batch: {name: (sum of weighted losses, sum of weights)}.

        A term is missing where no row of the batch has its signal.
        """
        found = {term.name: term(output, batch) for term in self.terms}
        if output.auxiliary_loss is not None:
            found["auxiliary"] = output.auxiliary_loss, 1.0
        return {name: sums for name, sums in found.items() if sums is not None}


class Term:
    """One term: a weighted mean over the samples that have a signal.

    A subclass writes `losses`; or `__call__`, where it shows late which rows count. A
    batch is taken as a whole, with weights of 0 where the signal is missing, or cut to
    the rows that have it; which rows these are is known on the CPU, so that nothing
    waits for a GPU.

    Parameters
    ----------
    name : str
        What `history_` calls it.
    weight : float
        Weight in the objective.
    has : ndarray of shape (n,) of bool
        Samples that have the signal.
    sample_weight : ndarray of shape (n,) or None
        Weight of each sample; None means 1.
    compute : Compute
        Device and precision of the network.
    n_classes : int, default=0
        Numbers that are compared in a row.
    """

    modules = {}  # name -> torch.nn.Module: what is trained beside the network
    take_futures = None  # samples (B,) -> futures, which a batch must bring along
    cuts = False  # whether to cut batches to the rows that have the signal, always

    def __init__(self, name, weight, has, sample_weight, compute, *, n_classes=0):
        self.name = name
        self.weight = weight
        self.compute = compute
        self.has = None if has.all() else torch.as_tensor(has)
        few = n_classes > _MANY_CLASSES and 2 * has.sum() < len(has)
        self.cuts = self.cuts or few
        counts = sample_weight
        if self.has is not None and not self.cuts:
            counts = has if counts is None else counts * has
        self.counts = None if counts is None else compute.floats(counts)  # (n,)

    def __call__(self, output, batch):
        """Sum of the weighted losses and sum of the weights; None without any row."""
        rows, samples = self._rows(output, batch), batch.samples
        if rows is not None:
            if not len(rows):
                return None
            samples = samples[rows]
        samples = samples.to(self.compute.device)
        losses = self.losses(output, batch, samples, rows)  # (B,), or (B',) of rows
        return self._sum(losses, samples)

    def _sum(self, losses, samples):
        """Sum of the weighted losses of samples (B',), and sum of the weights."""
        if self.counts is None:
            return losses.sum(), losses.shape[0]
        weights = self.counts[samples]
        return losses @ weights, weights.sum()

    def losses(self, output, batch, samples, rows):
        """Loss of each row that is taken.

        Parameters
        ----------
        output : Output
            Of the whole batch.
        batch : Batch
        samples : tensor of shape (B,) or (B',) of int64
            Numbers of the samples that are taken, on the device.
        rows : tensor of shape (B',) of int64, or None
            Their rows in the batch, on the CPU; None means all of them.

        Returns
        -------
        tensor of shape (B,) or (B',)
        """
        raise NotImplementedError

    def _rows(self, output, batch):
        """Rows of the batch that are taken (B',); None means all of them."""
        if self.has is None:
            return None
        has = self.has[batch.samples]
        if not self.cuts and has.any():
            return None
        return has.nonzero().squeeze(1)


def taken(values, rows):
    """Values (B, ...), or None, at some rows of a batch (B',); None means all rows."""
    if values is None or rows is None:
        return values
    return values[rows.to(values.device)]
