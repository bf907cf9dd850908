"""All it takes to build a network again: its spec, its input, its classes."""

from contextlib import nullcontext
from typing import NamedTuple

import torch

from skanticipate._runtime import seeded_global_stream
from skanticipate.networks.base import NetworkSpec
from skanticipate.networks.lstm import LSTM
from skanticipate.networks.mlp import MLP


class Blueprint(NamedTuple):
    """A spec with the input and the classes that it met in fit."""

    spec: NetworkSpec
    input_shape: tuple
    n_classes: int

    def build(self, seed):
        """Network with new weights."""
        with self.randomness(seed):
            return self.spec.build(
                self.input_shape,
                self.n_classes,
                generator=torch.Generator().manual_seed(seed),
            )

    def load(self, weights):
        """Network with given weights (tensors or arrays), in evaluation mode."""
        weights = {name: torch.as_tensor(w) for name, w in weights.items()}
        network = self.build(seed=0)
        floats = [w.dtype for w in weights.values() if w.is_floating_point()]
        network.to(floats[0]).load_state_dict(weights)
        return network.eval()

    def randomness(self, seed):
        """A seeded copy of torch's global stream, if the network draws from it."""
        if getattr(self.spec, "uses_global_rng", True):
            return seeded_global_stream(seed)
        return nullcontext()


def default_network(rows):
    """The spec that `network=None` stands for."""
    if rows.ndim == 2:
        return MLP()
    if rows.ndim == 3:
        return LSTM()
    raise ValueError(
        f"network=None serves clips of shape (n, d) or (n, T, d), got {rows.shape}: "
        "pass the spec of a network for feature maps."
    )
