"""Clips that end earlier in training, by a random number of steps."""

from numbers import Integral

import torch
from torch import Tensor

from skanticipate.data.numbers import Interval
from skanticipate.networks.inputs import fill_padding, real_steps

DELAY_CONSTRAINTS = {"random_delay": [Interval(Integral, 0, None, closed="left")]}


class RandomDelay:
    """Part of a spec: in training, clips end up to `random_delay` steps earlier.

    For specs of networks that know padding. They have the parameters `random_delay` and
    `embedding`, and call `check_delay` in `build`.
    """

    random_delay: int
    embedding: int | None
    past_weight: float
    crops_futures = False

    @property
    def crops_at_random(self) -> bool:
        """Whether there is a delay."""
        return self.random_delay > 0

    def check_delay(self, n_steps: int) -> None:
        """Refuse a delay that clips of so many steps, or their labels, cannot have."""
        if self.random_delay and self.past_weight:
            raise ValueError(
                "random_delay moves the steps of a clip, and past_weight compares them "
                "with labels that stay: set one of the two to 0."
            )
        if self.random_delay >= n_steps:
            raise ValueError(
                f"random_delay={self.random_delay} may cut off a clip of {n_steps} "
                f"steps as a whole: it must be below {n_steps}."
            )

    def crop(
        self, past: Tensor, future: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Cut a random number of steps off the end of each past clip.

        Each of 0, ..., `random_delay` is drawn equally often. The steps before move to
        the end, and padding comes in front of them. A delay that would leave nothing
        but padding is cut down until the first real step remains. Futures stay as they
        are: they show the action, however early it is anticipated.
        """
        if not self.crops_at_random:
            return past, future
        self.check_delay(past.shape[1])
        delays = torch.randint(
            int(self.random_delay) + 1,
            (len(past),),
            generator=generator,
            device=generator.device,
        ).to(past.device)
        if self.embedding is None:
            return _end_earlier(past, delays, real_steps(past), torch.nan), future
        return _end_earlier(past, delays, past[..., 0] >= 0, -1.0), future


def _end_earlier(clips, delays, real, padding):
    """Clips (B, T, ...) without their last steps, as many as `delays` (B,) says.

    real (B, T) or None for all
    """
    n_clips, n_steps = clips.shape[:2]
    if real is not None:
        first = real.int().argmax(1)
        delays = delays.minimum(n_steps - 1 - first)
    source = torch.arange(n_steps, device=clips.device) - delays.unsqueeze(1)  # (B, T)
    rows = torch.arange(n_clips, device=clips.device).unsqueeze(1)
    return fill_padding(clips[rows, source.clamp(min=0)], source >= 0, padding)
