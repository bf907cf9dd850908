"""One training loop over a step object, all of its state in one place.

The loop knows no estimator: it draws batches, calls the step and yields one record an
epoch. What a step computes is the step's business; who prints, plots or stops is the
caller's.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from skanticipate._batches import Batches
from skanticipate._optimizers import SGD, AdamW
from skanticipate.metrics.scores import ranks

_PREDICT_BYTES = 1 << 22


@dataclass
class TrainingState:
    """Everything that changes during training.

    Attributes
    ----------
    modules : dict of str to torch.nn.Module
        The network under "network", and what is trained beside it.
    optimizer : SGD or AdamW
        Over the parameters of all modules.
    lr : float
        The rate that the schedule multiplies.
    schedule : object with factor(epoch, max_epochs), or None
        Stateless, so it needs no entry in the state dict.
    generators : dict of str to torch.Generator
        "shuffle", "crop" and "dropout".
    stopping : EarlyStopping or None
        Watches the validation score and keeps the best weights.
    history : list of dict
        One record an epoch.
    """

    modules: dict
    optimizer: SGD | AdamW
    lr: float
    schedule: object
    generators: dict
    stopping: "EarlyStopping | None" = None
    history: list = field(default_factory=list)

    @property
    def network(self):
        """The module that will predict."""
        return self.modules["network"]

    @property
    def epoch(self):
        """Number of epochs done."""
        return len(self.history)

    def finished(self, max_epochs):
        """Whether there is nothing left to train."""
        exhausted = self.stopping is not None and self.stopping.exhausted
        return exhausted or self.epoch >= max_epochs

    def state_dict(self):
        """Everything as plain containers of tensors and numbers."""
        return {
            "modules": {k: snapshot(m) for k, m in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "generators": {k: g.get_state() for k, g in self.generators.items()},
            "stopping": None if self.stopping is None else dict(vars(self.stopping)),
            "history": [dict(record) for record in self.history],
        }

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        if self.stopping is not None:
            vars(self.stopping).update(state["stopping"])
        self.history = [dict(record) for record in state["history"]]


@dataclass
class EarlyStopping:
    """Stop when the score has not risen by `tol` for `patience` epochs.

    Keeps a copy of the best weights in memory: files would collide in a search.
    """

    patience: int
    tol: float
    best_score: float = -float("inf")
    best_epoch: int = 0
    n_without_gain: int = 0
    best_weights: dict | None = None

    @property
    def exhausted(self):
        """Whether patience has run out."""
        return self.n_without_gain >= self.patience

    def update(self, score, epoch, network):
        """Take note of an epoch; a score is better when it is higher."""
        gained = score > self.best_score + self.tol
        self.n_without_gain = 0 if gained else self.n_without_gain + 1
        if score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best_weights = snapshot(network)

    def restore(self, network):
        """Put the best weights back."""
        if self.best_weights is not None:
            network.load_state_dict(self.best_weights)


def snapshot(module):
    """Copy of a module's weights and buffers, by name."""
    return {name: w.detach().clone() for name, w in module.state_dict().items()}


class GradientStep:
    """One step of gradient descent on a batch.

    Parameters
    ----------
    state : TrainingState
        Whose modules and optimiser are used.
    take_batch : callable
        Sample indices (B,) -> Batch on the device.
    objective : callable
        (output, batch) -> {term: (sum of weighted losses, sum of weights)}.
    term_weights : dict of str to float
        Weight of each term in the loss that is minimised, 1 where it is not named.
    """

    def __init__(self, state, take_batch, objective, term_weights):
        self.network = state.network
        self.optimizer = state.optimizer
        self.take_batch = take_batch
        self.objective = objective
        self.term_weights = term_weights

    def __call__(self, samples):
        """Update the weights.   -> the terms, as the objective gave them."""
        batch = self.take_batch(samples)
        output = self.network(batch.clips)
        terms = self.objective(output, batch)
        if output.auxiliary_loss is not None:
            terms["auxiliary"] = output.auxiliary_loss, 1.0
        # Each sum goes backward with its own factor: weighing and adding the terms
        # first would be as many more operations, forward and backward.
        sums = [total for total, _ in terms.values()]
        factors = [
            _like(self.term_weights.get(name, 1.0) / weight, total)
            for name, (total, weight) in terms.items()
        ]
        self.optimizer.zero_grad()
        torch.autograd.backward(sums, factors)
        self.optimizer.step()
        return {name: (total.detach(), w) for name, (total, w) in terms.items()}

    def loss(self, means):
        """Objective of an epoch from the mean of each term."""
        return sum(self.term_weights.get(name, 1.0) * m for name, m in means.items())


def _like(factor, total):
    return factor if isinstance(factor, torch.Tensor) else total.new_tensor(factor)


def initial_state(
    modules, seeds, *, optimizer, lr, momentum, weight_decay, schedule, stopping
):
    """State at the start of training; the network is the first of the modules."""
    parameters = [p for module in modules.values() for p in module.parameters()]
    common = {"lr": lr, "weight_decay": weight_decay}
    if optimizer == "sgd":
        optimizer = SGD(parameters, momentum=momentum, **common)
    else:
        optimizer = AdamW(parameters, **common)
    generators = {
        name: torch.Generator().manual_seed(seeds[name]) for name in ("shuffle", "crop")
    }
    dropout = torch.Generator(parameters[0].device).manual_seed(seeds["dropout"])
    generators["dropout"] = dropout
    return TrainingState(modules, optimizer, lr, schedule, generators, stopping)


def training_epochs(state, step, draw, *, max_epochs, score=None):
    """Train, yielding a record after each epoch.

    A network that learns in phases may have ``begin_epoch(epoch, max_epochs)``, which
    is called before each epoch with the number of epochs done.

    Parameters
    ----------
    state : TrainingState
        Changed in place; training goes on from ``state.epoch``.
    step : callable with a method loss
        Sample indices (B,) -> {term: (sum of weighted losses, sum of weights)};
        ``step.loss`` turns the mean of each term into the value minimised.
    draw : callable
        Generator -> the batches (B,) of sample indices of one epoch.
    max_epochs : int
        The epochs after which training ends.
    score : callable, default=None
        network -> dict of validation figures; "score" among them is watched by
        ``state.stopping``, and not recorded.

    Yields
    ------
    record : dict
        "epoch" (from 1), "lr", "loss", one mean for each term, and the validation
        figures.

    Raises
    ------
    ValueError
        If a loss is not finite.
    """
    while not state.finished(max_epochs):
        state.network.train()
        if hasattr(state.network, "begin_epoch"):
            state.network.begin_epoch(state.epoch, max_epochs)
        batches = draw(state.generators["shuffle"])
        sums = EpochSums(len(batches))
        for k, samples in enumerate(batches):
            lr = _set_lr(state, state.epoch + (k + 0.5) / len(batches), max_epochs)
            sums.put(k, step(samples))
        means = sums.means(state.epoch + 1)
        record = {"epoch": state.epoch + 1, "lr": lr, "loss": step.loss(means), **means}
        if score is not None:
            state.network.eval()
            figures = score(state.network)
            watched = figures.pop("score")
            record.update(figures)
            if state.stopping is not None:
                state.stopping.update(watched, record["epoch"], state.network)
        state.history.append(record)
        yield record


def _set_lr(state, epoch, max_epochs):
    factor = 1.0 if state.schedule is None else state.schedule.factor(epoch, max_epochs)
    state.optimizer.lr = state.lr * factor
    return state.optimizer.lr


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
                raise _diverged(f"{what} in epoch {epoch}, batch {batch}.")
            means[name] = float(totals.sum() / sum(weights.tolist()))
        return means


def check_finite(network, epoch):
    """Look at the weights once at the end: no loss has seen the last step."""
    if not all(p.isfinite().all() for p in network.parameters()):
        raise _diverged(f"Weights are not finite after the last step of epoch {epoch}.")


def _diverged(what):
    return ValueError(
        f"{what} Usual causes: a learning rate that is too high, features that were "
        "not standardised, or values too large for float32. Lower lr, put a "
        "StandardScaler in front (PerFrame(StandardScaler()) for sequences), or set "
        "dtype='float64'."
    )


class ValidationScore:
    """Figures of a network on held-out clips: what `training_epochs` calls `score`.

    Parameters
    ----------
    take_clips : callable
        Sample indices (B,) -> clips (B, ...) on the device.
    codes : ndarray of shape (n,)
        Codes of the labels; -1 for a label that is no class, which counts as missed.
    stage : int
        The stage that is scored.
    watched : {"loss", "accuracy", "top_5_accuracy"}
        The figure by which the best epoch is chosen.
    batch_size : int, default=512
        Rows scored at a time.
    """

    def __init__(self, take_clips, codes, *, stage, watched, batch_size=512):
        self.take_clips = take_clips
        self.codes = codes
        self.stage = stage
        self.watched = watched
        self.batch_size = batch_size

    def __call__(self, network):
        """Score the network.   -> {"val_...": float, "score": float}."""
        found = predict_batches(
            network, self.take_clips, len(self.codes), self.batch_size, self._judge
        )  # (n, 3)
        known = torch.as_tensor(self.codes >= 0)
        log_proba, first, among_five = found.unbind(1)
        log_proba = log_proba[known].unsqueeze(1)  # as of a single class
        loss = functional.nll_loss(log_proba, torch.zeros(len(log_proba), dtype=int))
        figures = {
            "val_loss": float(loss),
            "val_accuracy": float(first.double().mean()),
            "val_top_5_accuracy": float(among_five.double().mean()),
        }
        score = figures[f"val_{self.watched}"]
        return {**figures, "score": -score if self.watched == "loss" else score}

    def _judge(self, output, samples):
        """Log probability of the label, and whether it is first and among five.

        -> (B, 3), so that no array grows with rows times classes
        """
        logits = output.logits[:, self.stage].cpu()
        if logits.isnan().any():
            raise _diverged("Scores of the validation rows are NaN.")
        codes = self.codes[samples.numpy()]
        own = np.maximum(codes, 0)
        hits = ranks(logits.numpy(), own)[:, None] < [1, 5]
        hits = torch.from_numpy(hits & (codes >= 0)[:, None])
        log_proba = logits.log_softmax(-1).gather(1, torch.from_numpy(own)[:, None])
        return torch.cat([log_proba, hits], 1)


@torch.inference_mode()
def predict_batches(network, take_clips, n_samples, batch_size, part):
    """`part(output, samples)` of all, a batch at a time, on the CPU; None if it is.

    -> (n, ...)
    """
    found = None
    for samples in Batches(torch.arange(n_samples), batch_size):
        batch = part(network(take_clips(samples)), samples)
        if batch is None:
            return None
        if found is None:
            found = torch.empty((n_samples, *batch.shape[1:]), dtype=batch.dtype)
        found[samples[0] : samples[-1] + 1] = batch
        del batch  # else it would stand beside the next
    return found


def prediction_batch(rows):
    """Rows in a batch of prediction: about 4 MiB of clips, within bounds."""
    row_bytes = 4 * int(np.prod(rows.shape[1:]))
    return int(np.clip(_PREDICT_BYTES // row_bytes, 32, 512))
