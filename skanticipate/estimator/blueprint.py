"""All it takes to build a network again: its spec, its input, its classes."""

from contextlib import nullcontext
from typing import NamedTuple

import torch

from skanticipate.networks.base import NetworkSpec
from skanticipate.networks.feature_map import FeatureMapNet
from skanticipate.networks.lstm import LSTM
from skanticipate.networks.mlp import MLP
from skanticipate.networks.pretrained import load_pretrained
from skanticipate.training.batches import ClipReader
from skanticipate.training.runtime import seeded_global_stream


class Blueprint(NamedTuple):
    """A spec with the input and the classes that it met in fit."""

    spec: NetworkSpec
    input_shape: tuple
    n_classes: int

    @classmethod
    def of(cls, estimator):
        """That of an anticipator, once its fit has seen the clips and the labels."""
        return cls(
            estimator.network_spec_, estimator.input_shape_, len(estimator.classes_)
        )

    def build(self, seed):
        """Network with new weights."""
        with self.randomness(seed):
            return self.spec.build(
                self.input_shape,
                self.n_classes,
                generator=torch.Generator().manual_seed(seed),
            )

    def begin(self, seed, compute, rows, earlier=None):
        """Network to train on clips, checked.

        With new weights, and in their place pre-trained ones that fit. These come last,
        so that no random number depends on them, and in the precision of the fit.

        Parameters
        ----------
        seed : int
        compute : Compute
        rows : RowView of shape (n, ...)
            Clips, of which the first is shown to it.
        earlier : dict or None, default=None
            Weights of an earlier fit, from which it goes on.
        """
        if earlier is None:
            network = self._begin_anew(seed, compute)
        else:
            network = compute.place(self.load(earlier))
        take_clips = ClipReader(rows, compute)  # numpy here, torch from here on
        self._check(network, take_clips)
        return network

    def _begin_anew(self, seed, compute):
        network = compute.place(self.build(seed))
        for part, module in self.spec.parts_of(network):
            if getattr(part, "weights", None) is not None:
                part.loaded_ = load_pretrained(part, module)
        return network

    def load(self, weights):
        """Network with given weights (tensors or arrays), in evaluation mode."""
        # Copies: arrays that joblib maps from a file cannot be written.
        weights = {
            name: w if isinstance(w, torch.Tensor) else torch.tensor(w)
            for name, w in weights.items()
        }
        network = self.build(seed=0)
        floats = [w.dtype for w in weights.values() if w.is_floating_point()]
        network.to(floats[0]).load_state_dict(weights)
        return network.eval()

    def _check(self, network, take_clips):
        """Refuse a network that does not answer as `Output` says."""
        network.eval()
        with torch.inference_mode(), self.randomness(0):
            output = network(take_clips(torch.zeros(2, dtype=torch.int64)))
        wanted = (2, len(self.spec.stage_times()), self.n_classes)
        logits = getattr(output, "logits", None)
        if logits is None or tuple(logits.shape) != wanted:
            got = type(output).__name__ if logits is None else tuple(logits.shape)
            raise ValueError(
                f"A network of {type(self.spec).__name__} must return Output with "
                f"logits of shape (B, stages, classes) = (B, {wanted[1]}, {wanted[2]}),"
                f" got {got} for a batch of 2."
            )

    def randomness(self, seed):
        """A seeded copy of torch's global stream, if the network draws from it."""
        if self.spec.uses_global_rng:
            return seeded_global_stream(seed)
        return nullcontext()


def default_network(rows):
    """The spec that `network=None` stands for."""
    if rows.ndim == 2:
        return MLP()
    if rows.ndim == 3:
        return LSTM()
    return FeatureMapNet()
