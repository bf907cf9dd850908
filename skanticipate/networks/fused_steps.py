"""Several rolling networks that go on together."""

from itertools import chain

import torch

from skanticipate.networks.recurrent_steps import RollingStepper
from skanticipate.networks.stepping import Stepper


class FusedStepper(Stepper):
    """Steps of `ModalityAttention`. A state holds those of all branches in order."""

    def __init__(self, network, stage, n_stages):
        super().__init__(network, stage, n_stages)
        self.branches = [
            RollingStepper(branch, stage, n_stages) for branch in network.branches
        ]

    def steps(self, clips, all_real=False):
        """What each branch reads, side by side; a step is missing for all or none."""
        found = [
            branch.steps(clips[..., columns], all_real)
            for branch, columns in zip(self.branches, self.network.slices, strict=True)
        ]
        return torch.cat([steps for steps, _ in found], -1), found[0][1]

    def start(self, n_clips):
        """States of each branch."""
        return tuple(chain(*(branch.start(n_clips) for branch in self.branches)))

    def read(self, state, step, real):
        """Let each branch read its part of a step."""
        sizes = [branch.network.input.n_outputs for branch in self.branches]
        reading = zip(
            self.branches, self._apart(state), step.split(sizes, -1), strict=True
        )
        return tuple(chain(*(b.read(own, part, real) for b, own, part in reading)))

    def scores(self, state):
        """Weigh the scores of the branches by the attention."""
        states = self._apart(state)
        hidden = [b.unroll(own) for b, own in zip(self.branches, states, strict=True)]
        cells = [own[1] for own in states]
        weights = self.network.weigh(hidden, cells).split(1, -1)  # M times (n, 1)
        return sum(
            weight * branch.network.classifier(of_branch)
            for weight, branch, of_branch in zip(
                weights, self.branches, hidden, strict=True
            )
        )

    def _apart(self, state):
        """States of each branch, of those of all."""
        size = len(state) // len(self.branches)
        return [state[k : k + size] for k in range(0, len(state), size)]
