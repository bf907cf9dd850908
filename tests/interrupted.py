"""Fits that are ended in the middle, and started again."""

from contextlib import contextmanager

import numpy as np
import torch

from skanticipate.training import checkpoint, loop, stacked

N, T, D, C = 40, 4, 6, 3
RNG = np.random.default_rng(0)
Y = np.arange(N) % C
X = RNG.normal(size=(N, D)) + Y[:, None]
CLIPS = RNG.normal(size=(N, T, D)) + Y[:, None, None]
MAPS = RNG.normal(size=(N, 2, 4, 4, D)) + Y[:, None, None, None, None]
FUTURE = X + 0.1
SOME = np.where(RNG.random(N) < 0.3, -1, Y)


class Ended(BaseException):
    """Stands for what ends a process, or for an interrupt by the user."""


def adadelta(parameters, lr):
    """An optimiser of a user."""
    return torch.optim.Adadelta(parameters, lr=100 * lr)


def nadam(parameters, lr):
    """Another one, with two groups and counts of steps."""
    half = len(parameters) // 2
    groups = [
        {"params": parameters[:half], "lr": lr / 2},
        {"params": parameters[half:]},
    ]
    return torch.optim.NAdam(groups, lr=lr)


class Epochs:
    """Counts the ends of epochs, of all trainings; raises at the n-th."""

    def __init__(self, monkeypatch, error=Ended):
        self.n, self.end_at, self.error = 0, None, error
        self.whole = loop.end_epoch
        monkeypatch.setattr(loop, "end_epoch", self)
        monkeypatch.setattr(stacked, "end_epoch", self)
        monkeypatch.setattr(checkpoint, "_PAUSE", 0)  # write after every epoch

    def __call__(self, *args):
        self.n += 1
        if self.n == self.end_at:
            raise self.error
        return self.whole(*args)

    @contextmanager
    def counted(self, end_at=None):
        """Count anew, and end at an epoch."""
        self.n, self.end_at = 0, end_at
        try:
            yield
        finally:
            self.end_at = None


def bits(model):
    """All that a fit learnt, to compare to the bit."""
    if hasattr(model, "teachers_"):
        return list(map(bits, model.teachers_))
    found = {"history": model.history_, "classes": model.classes_.tolist()}
    for name, weight in model.network_.state_dict().items():
        found[name] = weight.numpy().tobytes()
    teacher = getattr(model, "teacher_", None)
    return found if teacher is None else {**found, "teacher": bits(teacher)}
