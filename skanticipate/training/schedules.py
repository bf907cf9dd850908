"""Learning rates over the epochs, as factors of `lr`."""

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real

from sklearn.base import BaseEstimator

from skanticipate.data.numbers import Interval
from skanticipate.data.warn import warn


class Schedule(BaseEstimator):
    """Learning rate over the epochs: a rise over `warmup_epochs`, then a subclass's.

    To write one, derive from this class, store parameters, and write `decay`.

    Examples
    --------
    >>> from skanticipate import Schedule
    >>> class Linear(Schedule):
    ...     def __init__(self, *, warmup_epochs=0):
    ...         self.warmup_epochs = warmup_epochs
    ...
    ...     def decay(self, epoch, max_epochs):
    ...         return 1 - epoch / max_epochs
    >>> [Linear(warmup_epochs=2).share(epoch, 10) for epoch in (1, 5, 10)]
    [0.5, 0.5, 0.0]
    """

    _parameter_constraints: dict = {
        "warmup_epochs": [Interval(Real, 0, None, closed="left")]
    }

    def share(self, epoch: float, max_epochs: float) -> float:
        """Share of `lr` at a point of training.

        Parameters
        ----------
        epoch : float
            Epochs done so far; 2.5 is the middle of the third.
        max_epochs : float
            Epochs in all.

        Returns
        -------
        float
            In [0, 1].
        """
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        return self.decay(epoch, max_epochs)

    def decay(self, epoch: float, max_epochs: float) -> float:
        """Share of `lr` after the warm-up; for subclasses to write."""
        raise NotImplementedError(f"{type(self).__name__} does not write decay().")


class StepSchedule(Schedule):
    """Multiply the learning rate by `factor` every `step_size` epochs.

    Parameters
    ----------
    step_size : int, default=20
        Epochs between two steps.
    factor : float, default=0.1
        Factor of each step.
    warmup_epochs : float, default=0
        Epochs over which the rate rises from 0 to `lr`.

    Examples
    --------
    >>> from skanticipate import StepSchedule
    >>> [StepSchedule(step_size=5).share(epoch, 30) for epoch in (0, 4.9, 5)]
    [1.0, 1.0, 0.1]
    """

    _parameter_constraints = {
        **Schedule._parameter_constraints,
        "step_size": [Interval(Integral, 1, None, closed="left")],
        "factor": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self, step_size: int = 20, factor: float = 0.1, *, warmup_epochs: float = 0
    ) -> None:
        self.step_size = step_size
        self.factor = factor
        self.warmup_epochs = warmup_epochs

    def decay(self, epoch: float, max_epochs: float) -> float:
        """Share of `lr` after the warm-up."""
        return float(self.factor ** (epoch // self.step_size))


class MultiStepSchedule(Schedule):
    """Multiply the learning rate by `factor` at each of some epochs.

    Parameters
    ----------
    milestones : sequence of int
        Numbers of epochs done when the rate falls, in rising order: with ``[20]`` the
        first 20 epochs have `lr`. One that training does not reach changes nothing.
    factor : float, default=0.1
        Factor of each step.
    warmup_epochs : float, default=0
        Epochs over which the rate rises from 0 to `lr`.

    Examples
    --------
    >>> from skanticipate import MultiStepSchedule
    >>> schedule = MultiStepSchedule([20, 30], factor=0.5)
    >>> [schedule.share(epoch, 40) for epoch in (0, 19.9, 20, 30)]
    [1.0, 1.0, 0.5, 0.25]
    """

    _parameter_constraints = {
        **Schedule._parameter_constraints,
        "milestones": ["array-like"],
        "factor": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        milestones: Sequence[int],
        factor: float = 0.1,
        *,
        warmup_epochs: float = 0,
    ) -> None:
        self.milestones = milestones
        self.factor = factor
        self.warmup_epochs = warmup_epochs

    def _validate_params(self):
        super()._validate_params()
        epochs = list(self.milestones)
        whole = all(
            Interval(Integral, 1, None, closed="left").is_satisfied_by(e)
            for e in epochs
        )
        if not epochs or not whole or any(a >= b for a, b in pairwise(epochs)):
            raise ValueError(
                "milestones must be whole numbers of epochs from 1, each larger than "
                f"the one before, got {self.milestones!r}: sort them, and write each "
                "once."
            )

    def decay(self, epoch: float, max_epochs: float) -> float:
        """Share of `lr` after the warm-up."""
        n_passed = sum(epoch >= milestone for milestone in self.milestones)
        return float(self.factor**n_passed)


class CosineSchedule(Schedule):
    """Let the learning rate fall along half a cosine from `lr` to 0.

    Parameters
    ----------
    warmup_epochs : float, default=0
        Epochs over which the rate rises from 0 to `lr` before it falls.

    Examples
    --------
    >>> from skanticipate import CosineSchedule
    >>> schedule = CosineSchedule(warmup_epochs=2)
    >>> [round(schedule.share(epoch, 10), 2) for epoch in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, *, warmup_epochs: float = 0) -> None:
        self.warmup_epochs = warmup_epochs

    def decay(self, epoch: float, max_epochs: float) -> float:
        """Share of `lr` after the warm-up."""
        remaining = max(max_epochs - self.warmup_epochs, 1e-12)
        progress = min((epoch - self.warmup_epochs) / remaining, 1.0)
        return 0.5 * (1 + math.cos(math.pi * progress))


class StretchedSchedule(Schedule):
    """Another schedule over `ratio` times as many epochs.

    For a fit whose epochs are that much shorter, such as a teacher's, which has only
    the labelled rows and takes as many steps as its student.

    Parameters
    ----------
    schedule : Schedule
        What is stretched.
    ratio : float
        Epochs here to one epoch there.

    Examples
    --------
    >>> from skanticipate.training.schedules import StepSchedule, StretchedSchedule
    >>> StretchedSchedule(StepSchedule(5), 2.0).share(9, 60)
    1.0
    """

    _parameter_constraints = {
        "schedule": [Schedule],
        "ratio": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, schedule: Schedule, ratio: float) -> None:
        self.schedule = schedule
        self.ratio = ratio

    def share(self, epoch: float, max_epochs: float) -> float:
        """Share of `lr` at the point of the other schedule."""
        return self.schedule.share(epoch / self.ratio, max_epochs / self.ratio)


def warn_of_warm_up(schedule, max_epochs):
    """Warn of a warm-up that goes on when training ends, whose rate is never `lr`.

    Parameters
    ----------
    schedule : Schedule or None
    max_epochs : int
    """
    warmup_epochs = getattr(schedule, "warmup_epochs", 0)
    if warmup_epochs > max_epochs:
        share = schedule.share(max_epochs, max_epochs)
        warn(
            f"warmup_epochs={warmup_epochs} of {type(schedule).__name__} is more than "
            f"max_epochs={max_epochs}: the learning rate reaches {share:.2g} of lr "
            "when training ends. It counts epochs, not steps: lower it, or raise "
            "max_epochs."
        )
