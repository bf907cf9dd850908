"""The objective of a step: terms, each with its own weight, rows and modules."""

import numpy as np
import torch

from skanticipate.networks.base import Output

# A term about fewer than half of the samples takes their rows alone where it compares
# more classes than this; else a batch as a whole, in fewer operations, is faster.
_MANY_CLASSES = 512


class Objective:
    """Sum of weighted terms.

    Parameters
    ----------
    terms : list of Term
        Their names are those of the columns of `history_`.
    row_weights : tensor of shape (n,), default=None
        Weight of each sample, for a loss that the network has of its own; None means 1.

    Attributes
    ----------
    modules : dict of str to torch.nn.Module
        What is trained beside the network.
    take_futures, take_maps : callable or None
        Sample indices (B,) -> futures (B, ...), and what reads the maps of a teacher,
        where a term asks for them.
    """

    def __init__(self, terms, row_weights=None):
        self.terms = terms
        self.row_weights = row_weights
        self.weights = {term.name: term.weight for term in terms}  # of a stack (K,)
        self.modules = {k: m for term in terms for k, m in term.modules.items()}
        self.take_futures = _first(term.take_futures for term in terms)
        self.take_maps = _first(term.take_maps for term in terms)

    @property
    def is_closed(self):
        """Whether all terms give their gradients themselves."""
        return all(term.is_closed for term in self.terms)

    @property
    def kind(self):
        """What two objectives share that can be computed as one; None if it cannot."""
        kinds = tuple((type(term), term.kind) for term in self.terms)
        return None if any(kind is None for _, kind in kinds) else kinds

    @classmethod
    def stack(cls, objectives):
        """One objective for models of one kind, whose samples stand one after another.

        Parameters
        ----------
        objectives : list of K Objective
            Of one `kind`.
        """
        terms = zip(*(objective.terms for objective in objectives), strict=True)
        stack = cls([type(same[0]).stack(same) for same in terms])
        for term in stack.terms:
            weights = term.compute.floats(term.weight)
            stack.weights[term.name] = weights.expand(len(objectives))
        return stack

    def __call__(self, output, batch):
        """Terms of a batch: {name: (sum of weighted losses, sum of weights)}.

        A term is missing where no row of the batch has its signal. Of the batches of K
        models sums have the shape (K,).
        """
        found = {term.name: term(output, batch) for term in self.terms}
        if output.auxiliary_loss is not None:
            if batch.models is not None:
                raise TypeError("A network with a loss of its own cannot be stacked.")
            found["auxiliary"] = self._auxiliary(output, batch)
        return {name: sums for name, sums in found.items() if sums is not None}

    def _auxiliary(self, output, batch):
        """Sums of the network's own losses; a single number has no rows to weigh."""
        losses, counts = output.auxiliary_loss, output.auxiliary_counts
        if not losses.ndim:
            return losses, 1.0
        n_rows = len(batch.samples)
        if losses.shape != (n_rows,):
            raise ValueError(
                f"auxiliary_loss has shape {tuple(losses.shape)}: give one number for "
                f"the batch, or one for each of its {n_rows} rows."
            )
        if self.row_weights is not None:
            weights = self.row_weights[batch.samples.to(losses.device)]
            counts = weights if counts is None else counts * weights
        total, weight = summed(losses, counts)
        if counts is not None:  # of no row, perhaps
            weight = weight.clamp(min=torch.finfo(weight.dtype).tiny)
        return total, weight

    def total(self, terms, models=None):
        """The objective of a batch: means of terms, each with its weight.   -> ().

        Of some models of a stack, a slice, it is the sum of their objectives: one
        without a row of a term adds nothing.
        """
        # Factors of their own in `backward` would import a compiler, in every process.
        totals = [
            losses * (self.weights.get(name, 1.0) / counts)
            if models is None
            else losses
            @ torch.where(counts > 0, self.weights[name][models] / counts, 0)
            for name, (losses, counts) in terms.items()
        ]
        return sum(totals[1:], totals[0])

    def with_gradient(self, found, batch, parameters=()):
        """Terms of a batch and the gradients of the objective by what it depends on.

        For callers in `torch.no_grad` that go on from there without autograd.

        Parameters
        ----------
        found : ClosedForm
        batch : Batch
        parameters : list of tensors
            Of what is trained beside the network.

        Returns
        -------
        terms : dict
            As by a call.
        gradients : list
            By the logits, the features, and each of the parameters; None where the
            objective does not depend on it.
        """
        if self.is_closed:
            return self._by_hand(found, batch)
        logits, features = found.logits.detach(), found.features.detach()
        leaves = [logits.requires_grad_(), features.requires_grad_(), *parameters]
        with torch.enable_grad():
            output = Output(logits.unsqueeze(1), features.unsqueeze(1))
            terms = self(output, batch)
            if not terms:
                return {}, [None] * len(leaves)
            total = self.total(terms, batch.models)
        return detached(terms), torch.autograd.grad(total, leaves, allow_unused=True)

    def _by_hand(self, found, batch):
        """`with_gradient` of terms that all give their own."""
        terms, gradients = {}, [None, None]  # by logits and by features
        for term in self.terms:
            weight = self.weights[term.name]
            if batch.models is not None:
                weight = weight[batch.models]
            known = term.with_gradient(found, batch, weight)
            if known is not None:
                terms[term.name], *own = known
                gradients = [
                    g if other is None else other if g is None else g.add_(other)
                    for g, other in zip(gradients, own, strict=True)
                ]
        return terms, gradients


def _first(found):
    """The first of what terms ask for, or None."""
    return next(filter(None, found), None)


def detached(terms):
    """Sums of terms without what made them."""
    return {name: (losses.detach(), n) for name, (losses, n) in terms.items()}


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

    modules: dict[
        str, torch.nn.Module
    ] = {}  # name -> torch.nn.Module: what is trained beside the network
    take_futures = None  # samples (B,) -> futures, which a batch must bring along
    take_maps = None  # what reads maps of a teacher, which a batch must bring along
    is_closed = False  # whether it writes `slopes`, or `with_gradient`
    slopes_of = "logits"  # what `slopes` is given: "logits" or "features"
    factor = 1.0  # by which what `slopes` gives is multiplied
    cuts = False  # whether to cut batches to the rows that have the signal, always

    def __init__(self, name, weight, has, sample_weight, compute, *, n_classes=0):
        self.name = name
        self.weight = weight
        self.compute = compute
        self.given = has, sample_weight
        self.has = None if has.all() else torch.as_tensor(has)
        few = n_classes > _MANY_CLASSES and 2 * has.sum() < len(has)
        self.cuts = self.cuts or few
        counts = sample_weight
        if self.has is not None and not self.cuts:
            counts = has if counts is None else counts * has
        self.counts = None if counts is None else compute.floats(counts)  # (n,)

    @property
    def kind(self):
        """What terms share that can be computed as one; None if this one cannot."""
        return None

    @classmethod
    def stack(cls, terms):
        """One term about the samples of all, one after another; of one `kind`."""
        raise NotImplementedError

    def __call__(self, output, batch):
        """Sum of the weighted losses and sum of the weights; None without any row."""
        rows = self._rows(output, batch)
        if rows is not None and not len(rows):
            return None
        samples = taken(batch.samples, rows).to(self.compute.device)
        losses = self.losses(output, batch, samples, rows)  # (B,), or (B',) of rows
        return self._sum(losses, samples, rows, batch)

    def with_gradient(self, found, batch, weight):
        """Sums as by a call, and the gradients by logits (B, C) and by features.

        `weight` is that of the term, of each model. None without any row.
        """
        rows = self._with_signal(batch)
        if rows is not None and not len(rows):
            return None
        samples = taken(batch.samples, rows).to(self.compute.device)
        values = getattr(found, self.slopes_of)
        losses, slopes = self.slopes(taken(values, rows), samples)
        sums = self._sum(losses, samples, rows, batch)
        share = self._share(samples, rows, sums[1], batch, weight)
        slopes *= share if self.factor == 1 else share * self.factor
        slopes = spread(slopes, rows, values)
        if self.slopes_of == "features":
            return sums, None, slopes
        return sums, slopes, None

    def _sum(self, losses, samples, rows, batch):
        """Sum of the weighted losses of samples (B',), and sum of the weights.

        -> () and (), or (K,) and (K,) of a batch of K models
        """
        weights = None if self.counts is None else self.counts[samples]
        if batch.models is not None:
            return _sums_by_model(losses, weights, rows, batch)
        return summed(losses, weights)

    def _share(self, samples, rows, total, batch, weight):
        """Weight of each row in the objective.   -> number, or (B', 1).

        `total` are the sums of weights, `weight` that of the term, of each model.
        """
        counts = None if self.counts is None else self.counts[samples]
        if batch.models is None:
            share = weight / total
            return share if counts is None else (counts * share).unsqueeze(1)
        share, size = weight / total, len(batch.samples) // len(total)
        share = torch.where(total > 0, share, 0)  # (K,)
        if rows is None:
            share = share.repeat_interleave(size)
        else:
            share = share[rows.to(share.device) // size]
        return (share if counts is None else counts * share).unsqueeze(1)

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

    def slopes(self, values, samples):
        """Loss of each row that is taken, of one stage, and its gradient by the values.

        Where a term writes it, training need not follow its `losses` by autograd.

        Parameters
        ----------
        values : tensor of shape (B', C) or (B', d)
            Logits, or features of one position, as `slopes_of` says; left as they are.
        samples : tensor of shape (B',) of int64
            Numbers of the samples, on the device.

        Returns
        -------
        losses : tensor of shape (B',)
        slopes : tensor of the shape of `values`
            May be changed.
        """
        raise NotImplementedError

    def _rows(self, output, batch):
        """Rows of the batch that are taken (B',); None means all of them."""
        return self._with_signal(batch)

    def _with_signal(self, batch):
        """Rows of the batch that have the signal, or all of them where none is cut."""
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


def spread(values, rows, like):
    """Values (B', d) of some rows of a batch, zeros of the others.   -> (B, d)."""
    if rows is None:
        return values
    return torch.zeros_like(like).index_add_(0, rows.to(values.device), values)


def summed(losses, weights):
    """Sum of weighted losses (B,), and sum of the weights, which None makes 1."""
    if weights is None:
        return losses.sum(), losses.shape[0]
    return losses @ weights, weights.sum()


def _sums_by_model(losses, weights, rows, batch):
    """Sums of losses and of weights of rows (B',) by the model they are of.   (K,)."""
    n_models = batch.models.stop - batch.models.start
    size = len(batch.samples) // n_models
    if rows is None:
        losses = losses.view(n_models, size)
        if weights is None:
            return losses.sum(1), losses.new_full((n_models,), size)
        weights = weights.view(n_models, size)
        return torch.linalg.vecdot(losses, weights), weights.sum(1)
    if weights is None:
        weights = torch.ones_like(losses)
    models = rows.to(losses.device) // size
    zeros = losses.new_zeros(n_models)
    return (
        zeros.index_add(0, models, losses * weights),
        zeros.index_add(0, models, weights),
    )


def joined_weights(terms):
    """Signals and weights of the samples of several terms, one after another.

    -> (N,) of bool, (N,) or None
    """
    has, weights = zip(*(term.given for term in terms), strict=True)
    if all(w is None for w in weights):
        return np.concatenate(has), None
    return np.concatenate(has), np.concatenate(
        [np.ones(len(h)) if w is None else w for h, w in zip(has, weights, strict=True)]
    )
