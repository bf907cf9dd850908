"""A step of training: from some samples to new weights; and what steps add up to."""

from contextlib import nullcontext

import numpy as np
import torch

from skanticipate.terms.objective import detached
from skanticipate.training.runtime import answer_of


class GradientStep:
    """One step of gradient descent on a batch.

    Parameters
    ----------
    state : TrainingState
        Whose modules and optimiser are used.
    take_batch : callable
        Sample indices (B,) -> Batch on the device.
    objective : Objective
        Its terms; what is trained beside the network is among the modules of `state`.
    max_grad_norm : float, default=None
        Norm beyond which gradients are scaled down; None leaves them.
    precision : "bf16" or None, default=None
        In which the network computes; as `answer_of`.
    """

    def __init__(
        self, state, take_batch, objective, *, max_grad_norm=None, precision=None
    ):
        self.network = state.network
        self.optimizer = state.optimizer
        self.take_batch = take_batch
        self.objective = objective
        self.max_grad_norm = max_grad_norm
        self.precision = precision

    def __call__(self, samples):
        """Update the weights.   -> the terms, as the objective gave them."""
        batch = self.take_batch(samples)  # numbers (B,) -> clips (B, ...) of the device
        terms, gradients = self.gradients(batch)
        if terms:  # else no row of the batch has any signal
            with torch.no_grad():
                if self.max_grad_norm is not None:
                    gradients = clipped(gradients, self.max_grad_norm)
                self.optimizer.update(gradients)
        return terms

    def reading(self, batches):
        """Region in which the steps are those of `batches`, which are read ahead."""
        ahead = getattr(self.take_batch, "ahead", None)
        return nullcontext() if ahead is None else ahead(batches)

    def gradients(self, batch):
        """Terms of a batch, and the gradients by all that is trained."""
        parameters = self.optimizer.parameters
        return gradients_of(
            self.network, self.objective, batch, parameters, self.precision
        )

    def loss(self, means):
        """Objective of an epoch from the mean of each term."""
        weights = self.objective.weights
        return sum(weights.get(name, 1.0) * m for name, m in means.items())


def clipped(gradients, max_norms):
    """Gradients scaled down to a norm of all of them together, where it is larger.

    As `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    gradients : list of tensors or None
        Of the parameters of one model, (...), or of K of them, (K, ...).
    max_norms : float or tensor of shape (K,)
        Infinity for a model whose gradients stay.
    """
    models = getattr(max_norms, "shape", ())  # () or (K,)
    squares = [
        g.reshape(*models, -1).square().sum(-1) for g in gradients if g is not None
    ]
    norms = torch.stack(squares).sum(0).sqrt()
    factors = (max_norms / (norms + 1e-6)).clamp(max=1)
    return [
        None if g is None else g * factors.view(*models, *[1] * (g.ndim - len(models)))
        for g in gradients
    ]


def max_norms_of(steps):
    """Largest norms of the gradients of K steps, as a tensor (K,).

    None where none of them has any.
    """
    norms = [step.max_grad_norm for step in steps]
    if all(norm is None for norm in norms):
        return None
    norms = [float("inf") if norm is None else norm for norm in norms]
    return steps[0].optimizer.parameters[0].new_tensor(norms)


def gradients_of(network, objective, batch, parameters, precision=None):
    """Terms of a batch, and the gradients of the objective by parameters.

    Parameters
    ----------
    network : torch.nn.Module
    objective : Objective
    batch : Batch
    parameters : list of tensors
        Those of the network first, then of what is trained beside it.
    precision : "bf16" or None, default=None
        As in `answer_of`; what is written by hand is for None.

    Returns
    -------
    terms : dict
        As the objective gave them; empty if no row of the batch has any signal.
    gradients : list
        None for a parameter on which nothing depends.
    """
    if getattr(network, "is_closed", False) and precision is None:
        with torch.no_grad():
            found = network.closed_form(batch.clips, parameters)
            own = parameters[found.n_parameters :]
            terms, gradients = objective.with_gradient(found, batch, own)
            d_logits, d_features, *others = gradients
            return terms, [*found.backward(d_logits, d_features), *others]
    output = answer_of(
        network, batch.clips, precision
    )  # logits (B, S, C), features (B, N, d)
    terms = objective(output, batch)
    if not terms:
        return {}, []
    total = objective.total(terms, batch.models)
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    # Fused optimisers go by places in memory.
    alike = [
        g if g is None or g.stride() == p.stride() else g.contiguous()
        for g, p in zip(gradients, parameters, strict=True)
    ]
    return detached(terms), alike


# ------------------------------------------------ what the steps of an epoch add up to


class EpochSums:
    """Sum and weight of each term at each step of an epoch.

    They go into arrays that are made once, on the device of the losses: a small tensor
    kept from every step would lie in the heap between large ones and pin their memory,
    and numbers would make a GPU wait.

    Parameters
    ----------
    n_steps : int
        Steps of the epoch.
    """

    def __init__(self, n_steps):
        self.n_steps = n_steps
        self.terms = {}

    def put(self, step, terms):
        """Note the terms of a step (from 0), which need not be those of another."""
        for name, (total, weight) in terms.items():
            if name not in self.terms:
                sums = total.new_empty(2, self.n_steps, dtype=torch.float64)
                if sums.device.type == "cpu":
                    sums = sums.numpy()  # faster to write a number into
                self.terms[name] = sums, np.zeros(self.n_steps, dtype=bool)
            sums, present = self.terms[name]
            sums[0, step], sums[1, step], present[step] = total, weight, True

    def means(self, epoch):
        """Mean of each term; a loss that is not finite ends training."""
        means = {}
        for name, (sums, present) in self.terms.items():
            steps = np.flatnonzero(present)
            totals, weights = torch.as_tensor(sums).cpu()[:, steps]
            finite = totals.isfinite()
            if not finite.all():
                batch = steps[int((~finite).nonzero()[0])] + 1
                what = f"The {name} loss is {totals[~finite][0]}"
                raise diverged(f"{what} in epoch {epoch}, batch {batch}.")
            means[name] = float(totals.sum() / sum(weights.tolist()))
        return means


class StackedSums:
    """Sum and weight of each term at each step of an epoch, of each model.

    Parameters
    ----------
    n_steps : list of K int
        Steps of each model in the epoch.
    names : list of str
        Of the terms, in the order in which a step gives them.
    """

    def __init__(self, n_steps, names):
        self.n_steps = n_steps
        self.names = names
        self.terms = {}

    def put(self, step, start, stop, terms):
        """Note the terms of a step of some models."""
        shape = len(self.n_steps), max(self.n_steps)
        for name, (totals, weights) in terms.items():
            if name not in self.terms:
                sums = totals.new_zeros(2, *shape, dtype=torch.float64)
                self.terms[name] = sums, np.zeros(shape, dtype=bool)
            sums, present = self.terms[name]
            sums[0, start:stop, step], sums[1, start:stop, step] = totals, weights
            present[start:stop, step] = True

    def of_model(self, k):
        """Those of one model.   -> EpochSums."""
        n = self.n_steps[k]
        own = EpochSums(n)
        found = {}
        for name in filter(self.terms.get, self.names):
            sums, present = self.terms[name]
            had = present[k, :n] & (sums[1, k, :n] > 0).cpu().numpy()
            if had.any():
                found[name] = sums[:, k, :n], had
        # In the order in which a model that trains alone meets them.
        own.terms = dict(sorted(found.items(), key=lambda item: item[1][1].argmax()))
        return own


class Diverged(ValueError):
    """A loss, a score or a weight that is not finite."""


def diverged(what):
    """Error of a training that went astray.   -> Diverged."""
    return Diverged(
        f"{what} Usual causes: a learning rate that is too high, features that were "
        "not standardised, or values too large for float32. Lower lr, put a "
        "StandardScaler in front (PerFrame(StandardScaler()) for sequences), or set "
        "dtype='float64'."
    )
