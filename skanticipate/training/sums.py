"""What an epoch adds up: losses and weights of its steps, and their means."""

import numpy as np
import torch


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
            sums = torch.as_tensor(sums).cpu()
            totals, weights = sums if present.all() else sums[:, present]
            total = totals.sum()
            if not total.isfinite():
                _refuse_not_finite(name, totals, np.flatnonzero(present), epoch)
            means[name] = float(total / sum(weights.tolist()))
        return means


def _refuse_not_finite(name, totals, steps, epoch):
    """Say at which of some steps the loss of a term is not finite, if it is at one."""
    finite = totals.isfinite()
    if not finite.all():
        batch = steps[int((~finite).nonzero()[0])] + 1
        what = f"The {name} loss is {totals[~finite][0]}"
        raise diverged(f"{what} in epoch {epoch}, batch {batch}.")


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
