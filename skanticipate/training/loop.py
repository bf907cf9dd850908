"""One training loop over a step object, all of its state in one place.

The loop knows no estimator: it draws batches, calls the step and yields one record an
epoch. What a step computes is the step's business; who prints, plots or stops is the
caller's.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from numbers import Real

import torch

from skanticipate.networks.base import lend_generator
from skanticipate.training.checkpoint import Checkpoint
from skanticipate.training.divided import divided
from skanticipate.training.runtime import current_ranks
from skanticipate.training.step import Diverged, EpochSums, diverged


@dataclass
class TrainingState:
    """Everything that changes during training.

    Attributes
    ----------
    modules : dict of str to torch.nn.Module
        The network under "network", and what is trained beside it.
    optimizer : SGD, AdamW or MatrixDecayAdamW
        Over the parameters of all modules.
    lr : float
        The rate that the schedule multiplies.
    schedule : Schedule or None
        Stateless, so it needs no entry in the state dict.
    generators : dict of str to torch.Generator
        "shuffle", "crop" and "dropout".
    stopping : EarlyStopping or None
        Watches the validation score and keeps the best weights.
    history : list of dict
        One record an epoch.
    keeps_best : bool
        Whether training that goes astray ends with the best weights so far.
    astray : str or None
        What was not finite, if it ended so.
    """

    modules: dict
    optimizer: object
    lr: float
    schedule: object
    generators: dict
    stopping: "EarlyStopping | None" = None
    history: list = field(default_factory=list)
    keeps_best: bool = False
    astray: str | None = None

    def __post_init__(self):
        """Name the module that will predict."""
        self.network = self.modules["network"]

    @property
    def epoch(self):
        """Number of epochs done."""
        return len(self.history)

    def finished(self, max_epochs):
        """Whether there is nothing left to train."""
        exhausted = self.stopping is not None and self.stopping.exhausted
        return exhausted or self.epoch >= max_epochs or self.astray is not None

    def go_astray(self, error):
        """Let training end here with the best weights, or raise where it must not."""
        if not self.keeps_best or not (self.stopping and self.stopping.best_weights):
            raise error
        self.astray = str(error)

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
            self.stopping.load(state["stopping"])
        self.history = _records(state["history"])

    def end_dict(self):
        """What is left of a training that has ended, as `state_dict`."""
        return {
            "modules": {k: snapshot(m) for k, m in self.modules.items()},
            "history": [dict(record) for record in self.history],
            "astray": self.astray,
        }

    def load_end(self, state):
        """Be at the end, of which `end_dict` told; there is no going on from it."""
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.network.eval()
        self.history = _records(state["history"])
        if not isinstance(state["astray"], str | None):
            raise ValueError("what is said to have ended the training is no text")
        self.astray = state["astray"]


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

    def load(self, state):
        """Be as far as another, of which `state` holds the attributes."""
        own, best = vars(self), state["best_weights"]
        others = {name: value for name, value in state.items() if name in own}
        numbers = [value for name, value in others.items() if name != "best_weights"]
        if len(others) < len(own) or not all(isinstance(n, Real) for n in numbers):
            raise ValueError("what early stopping has seen is not whole")
        if best is not None and not all(map(torch.is_tensor, best.values())):
            raise ValueError("the best weights are no tensors")
        own.update(others)

    def restore(self, network):
        """Put the best weights back."""
        if self.best_weights is not None:
            network.load_state_dict(self.best_weights)


def _records(history):
    """Records of epochs that were kept, seen to be such.   -> list of dict.

    Raises
    ------
    ValueError
        If they are none.
    """
    for epoch, record in enumerate(history, start=1):
        values = record.values() if isinstance(record, dict) else [None]
        are_numbers = all(isinstance(value, Real) for value in values)
        if not are_numbers or record.get("epoch") != epoch or "loss" not in record:
            raise ValueError(f"the record of epoch {epoch} is none")
    return [dict(record) for record in history]


def snapshot(module):
    """Copy of a module's weights and buffers, by name."""
    return {name: w.detach().clone() for name, w in module.state_dict().items()}


def initial_state(modules, optimizer, seeds, *, schedule=None, stopping=None):
    """State at the start of training.

    Parameters
    ----------
    modules : dict of str to torch.nn.Module
        The network under "network" first, and what is trained beside it.
    optimizer : optimiser
        Over their parameters.
    seeds : dict of str to int
        "shuffle", "dropout" and, where clips are cropped, "crop".
    schedule : Schedule, default=None
        Factors of the optimiser's `lr`.
    stopping : EarlyStopping, default=None
        Watches the validation score.
    """
    generators = {
        name: torch.Generator().manual_seed(seeds[name])
        for name in ("shuffle", "crop")
        if name in seeds
    }
    device = next(modules["network"].parameters()).device
    generators["dropout"] = torch.Generator(device).manual_seed(seeds["dropout"])
    return TrainingState(
        modules, optimizer, optimizer.lr, schedule, generators, stopping
    )


def nobody_listens(record):
    """Stands for one who is told of each epoch."""


@dataclass(eq=False)
class Training:
    """A training that is prepared: what is left is to run it.

    Attributes
    ----------
    state : TrainingState
        All that changes.
    step : GradientStep
        Sample indices (B,) -> {term: (sum of weighted losses, sum of weights)}.
    draw : callable
        Generator -> the batches (B,) of sample indices of one epoch.
    max_epochs : int
        The epochs after which training ends.
    score : callable or None
        network -> dict of validation figures; "score" among them is watched by
        ``state.stopping``, and not recorded.
    randomness : callable
        Gives the context in which a network finds the random stream of its dropout,
        where that is not the generator "dropout".
    checkpoint : Checkpoint or None
        Where the state is kept, for the same training to go on from it.
    ranks : Ranks or None
        Processes that train together; those of the region, unless it is told.
    told : callable
        Called with the record of each epoch, as soon as it is there.
    """

    state: TrainingState
    step: Callable
    draw: Callable
    max_epochs: int
    score: Callable | None = None
    randomness: Callable = nullcontext
    checkpoint: Checkpoint | None = None
    ranks: object = field(default_factory=current_ranks)
    told: Callable = nobody_listens


def run(training, watch=iter):
    """Train to the end, and keep the best weights.

    Parameters
    ----------
    training : Training
        Its state is changed in place.
    watch : callable, default=iter
        Given the records of the epochs as they come, yields them on; training ends
        where it does. It is not asked about a training whose end is kept.

    Returns
    -------
    list of dict
        The history: one record an epoch.

    Raises
    ------
    ValueError
        If a loss or a weight is not finite.
    """
    ranks = training.ranks
    whole = nullcontext(training) if ranks is None else divided(training, ranks)
    with whole as training:
        checkpoint = training.checkpoint
        alone = nullcontext() if checkpoint is None else checkpoint.held()
        with alone:  # before the global stream: others may wait
            _run_from(training, watch)
    return training.state.history


def _run_from(training, watch):
    """Train from where the checkpoint is to the end."""
    state, checkpoint = training.state, training.checkpoint
    with (
        lend_generator(state.network, state.generators["dropout"]),
        training.randomness(),
    ):
        records = training_epochs(training)
        if checkpoint is not None:
            if checkpoint.resume(state):
                return
            records = checkpoint.noted(records, training)
        for _ in watch(records):
            pass
    end(state)
    ended = state.finished(training.max_epochs)  # and was not stopped from outside
    if checkpoint is not None and ended:
        checkpoint.finish(state)


def end(state):
    """Look at the weights, and keep the best."""
    try:
        check_finite(state.network, state.epoch)
    except Diverged as error:
        if state.astray is None:
            state.go_astray(error)
    if state.stopping is not None:
        state.stopping.restore(state.network)
    state.network.eval()


def training_epochs(training):
    """Train, yielding a record after each epoch.

    A network that learns in phases may have ``begin_epoch(epoch, max_epochs)``, which
    is called before each epoch with the number of epochs done. Of the first
    ``n_preparing`` epochs, where it has that number, none is the best.

    Parameters
    ----------
    training : Training
        Goes on from the epoch of its state, which is changed in place.

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
    state, step = training.state, training.step
    while not state.finished(training.max_epochs):
        state.network.train()
        if hasattr(state.network, "begin_epoch"):
            state.network.begin_epoch(state.epoch, training.max_epochs)
        batches = training.draw(state.generators["shuffle"])
        n_steps = len(batches)
        sums = EpochSums(n_steps)
        with step.reading(batches):
            for k, samples in enumerate(batches):
                done = state.epoch + (k + 0.5) / n_steps
                lr = set_lr(state, done, training.max_epochs)
                sums.put(k, step(samples))
        try:
            record = end_epoch(training, lr, sums.means(state.epoch + 1))
        except Diverged as error:
            state.go_astray(error)
            return
        yield record


def end_epoch(training, lr, means):
    """Score the network where that is wanted, and note the epoch.   -> record."""
    state = training.state
    loss = training.step.loss(means)
    record = {"epoch": state.epoch + 1, "lr": lr, "loss": loss, **means}
    if training.score is not None:
        state.network.eval()
        figures = training.score(state.network)
        watched = figures.pop("score")
        record.update(figures)
        begun = record["epoch"] > getattr(state.network, "n_preparing", 0)
        if state.stopping is not None and begun:
            state.stopping.update(watched, record["epoch"], state.network)
    state.history.append(record)
    training.told(record)
    return record


def set_lr(state, epoch, max_epochs):
    """Give the optimiser the rate of a point of training.   -> rate."""
    factor = 1.0 if state.schedule is None else state.schedule.share(epoch, max_epochs)
    state.optimizer.lr = state.lr * factor
    return state.optimizer.lr


def check_finite(network, epoch):
    """Look at the weights once at the end: no loss has seen the last step."""
    # A sum is finite only of numbers that are; that of large ones may not be.
    if not all(p.sum().isfinite() or p.isfinite().all() for p in network.parameters()):
        raise diverged(f"Weights are not finite after the last step of epoch {epoch}.")
