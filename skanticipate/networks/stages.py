"""Specs of networks that answer at each of the last steps of a clip."""

from numbers import Integral
from typing import Self

import numpy as np

from skanticipate._typing import Shape
from skanticipate.data.numbers import DURATION, Interval
from skanticipate.networks.base import NetworkSpec

_ANSWERING = "anticipation_time"
STAGE_CONSTRAINTS = {
    "time_step": [DURATION],
    # more are no clip, and their times alone would fill the memory
    "anticipation_steps": [Interval(Integral, 1, 100_000, closed="both")],
    _ANSWERING: [DURATION, None],
}


class StagedSpec(NetworkSpec):
    """A spec whose network answers after each of the last `anticipation_steps` steps.

    The last step lies one `time_step` before the action starts; `predict_proba` answers
    at `anticipation_time`. A subclass has these three parameters, or says for itself
    when its stages are.
    """

    def check_stages(self, input_shape: Shape) -> None:
        """Refuse clips that are no sequences, and a time that is no stage."""
        self.answering_stage()
        if len(input_shape) < 2:
            raise ValueError(
                f"{type(self).__name__} expects sequences of shape (n, T, d), got "
                f"(n, {input_shape[0]}): use MLP for pooled features."
            )

    def for_futures(self) -> Self:
        """Copy of the spec for clips of the action itself: it answers at their end.

        So does each branch of a spec that is made of others.
        """
        spec = super().for_futures()
        names = [n for n in spec.get_params() if n.split("__")[-1] == _ANSWERING]
        return spec.set_params(**dict.fromkeys(names))

    def stage_times(self) -> np.ndarray:
        """Seconds from each of the last steps to the start of the action."""
        return self.time_step * np.arange(self.anticipation_steps, 0, -1)

    def answering_stage(self) -> int:
        """Index of the stage at `anticipation_time`."""
        times = self.stage_times()
        if self.anticipation_time is None:
            return len(times) - 1
        near = np.flatnonzero(np.isclose(times, self.anticipation_time))
        if len(near) == 0:
            raise ValueError(
                f"anticipation_time={self.anticipation_time} s is none of the "
                f"{len(times)} stages at {times.tolist()} s before the action: raise "
                "anticipation_steps or change time_step."
            )
        return int(near[0])


def check_steps(clips, n_stages):
    """Refuse clips (B, T, ...) with fewer steps than stages."""
    if clips.shape[1] < n_stages:
        raise ValueError(
            f"Clips of {clips.shape[1]} steps cannot be answered at {n_stages} stages: "
            "give longer clips, also futures where a teacher has this network, or "
            "fewer anticipation_steps."
        )
