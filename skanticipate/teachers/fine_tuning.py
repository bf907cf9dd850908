"""Training on text: the loop of this library with the optimiser of language models."""

import numpy as np
import torch
from sklearn.utils import check_random_state

from skanticipate._optimizers import AdamW
from skanticipate._runtime import seeded_global_stream
from skanticipate._training import (
    GradientStep,
    TrainingState,
    check_finite,
    training_epochs,
)


class MatrixDecayAdamW:
    """AdamW whose weight decay spares biases and norms: all that is no matrix."""

    def __init__(self, parameters, *, lr, weight_decay):
        parameters = list(parameters)
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        self.parts = [
            AdamW(matrices, lr=lr, weight_decay=weight_decay),
            AdamW(vectors, lr=lr, weight_decay=0.0),
        ]

    @property
    def lr(self):
        """Learning rate of all parameters."""
        return self.parts[0].lr

    @lr.setter
    def lr(self, lr):
        for part in self.parts:
            part.lr = lr

    def zero_grad(self):
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self):
        """Move every parameter that has a gradient."""
        for part in self.parts:
            part.step()


def train(
    network,
    take_batch,
    objective,
    draw,
    *,
    lr,
    weight_decay,
    schedule,
    max_epochs,
    seeds,
    term_weights=None,
    score=None,
    stopping=None,
):
    """Train a network whose dropout draws from torch's global stream.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place; with `stopping`, its best weights at the end.
    take_batch, objective, term_weights : object
        As in `GradientStep`.
    draw, score, max_epochs : object
        As in `training_epochs`.
    lr, weight_decay : float
        Of `MatrixDecayAdamW`.
    schedule : Schedule or None
        Factors of `lr`.
    seeds : dict of str to int
        "shuffle" and "dropout".
    stopping : EarlyStopping, default=None
        Watches the score.

    Returns
    -------
    history : list of dict
        One record an epoch.

    Raises
    ------
    ValueError
        If a loss or a weight is not finite.
    """
    optimizer = MatrixDecayAdamW(network.parameters(), lr=lr, weight_decay=weight_decay)
    generators = {"shuffle": torch.Generator().manual_seed(seeds["shuffle"])}
    state = TrainingState(
        {"network": network}, optimizer, lr, schedule, generators, stopping
    )
    step = GradientStep(state, take_batch, objective, term_weights or {})
    with seeded_global_stream(seeds["dropout"]):
        history = list(
            training_epochs(state, step, draw, max_epochs=max_epochs, score=score)
        )
    check_finite(network, state.epoch)
    if stopping is not None:
        stopping.restore(network)
    network.eval()
    return history


def seeds_of(random_state, purposes):
    """One integer from `random_state`, and from it one for each purpose.   -> dict."""
    root = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    words = np.random.SeedSequence(root).generate_state(len(purposes))
    return dict(zip(purposes, words.tolist(), strict=True))
