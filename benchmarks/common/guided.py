"""Students whose map is compared in a phase, behind a projection, or at two layers."""

import copy
from functools import partial

import torch
from torch import nn
from torch.nn.utils import skip_init

from skanticipate import DistilledAnticipator, NetworkSpec, Output
from skanticipate.networks.base import initialize

PROJECTIONS = (None, "linear", "MLP")


class Guided(NetworkSpec):
    """A network that says in training when and how its map is compared.

    Parameters
    ----------
    network : NetworkSpec
        Answers; its map is compared.
    projection : {None, "linear", "MLP"}, default=None
        What stands between the map and the loss in training, and is thrown away.
    n_alone : int, default=0
        First epochs in which nothing but the map is taught.
    n_guided : int, default=None
        Epochs after which the map is taught no longer; None: it is to the end.
    first : int, default=None
        Width of a layer over single positions before the network, whose units are
        compared too.
    start : dict of str to tensor, default=None
        Weights of `network` to begin with, instead of random ones.
    """

    uses_global_rng = False
    fixed_shape = False

    def __init__(
        self,
        network,
        *,
        projection=None,
        n_alone=0,
        n_guided=None,
        first=None,
        start=None,
    ):
        self.network = network
        self.projection = projection
        self.n_alone = n_alone
        self.n_guided = n_guided
        self.first = first
        self.start = start

    def build(self, input_shape, n_classes, *, generator):
        """Build the network; see `NetworkSpec.build`."""
        shape = input_shape
        if self.first is not None:
            shape = (*input_shape[:-1], self.first)
        inner = copy.copy(self.network).build(shape, n_classes, generator=generator)
        if self.start is not None:
            inner.load_state_dict(self.start)
        return _Guided(self, inner, input_shape[-1], generator)


class _Guided(nn.Module):
    def __init__(self, spec, inner, n_inputs, generator):
        super().__init__()
        self.inner, width = inner, inner.classifier.in_features
        self.n_alone, self.n_guided = spec.n_alone, spec.n_guided
        self.first = None
        if spec.first is not None:
            self.first = initialize(
                skip_init(nn.Linear, n_inputs, spec.first), generator
            )
        self.between = initialize(between(spec.projection, width), generator)
        self.alone, self.guided = False, True

    def begin_epoch(self, epoch, max_epochs):
        """Be in the phase of an epoch."""
        self.alone = epoch < self.n_alone
        self.guided = self.n_guided is None or epoch < self.n_guided

    def forward(self, clips):
        layers = []
        if self.first is not None:
            clips, units = self._first(clips)
            layers.append(units)
        output = self.inner(clips)
        logits, features = output.logits, output.features
        if self.training:
            features = self.between(features)
        features = torch.cat([*layers, features], dim=-1)
        if self.training and self.alone:
            logits = logits.detach()
        if self.training and not self.guided:
            features = features.detach()
        return Output(logits, features, mask=output.mask)

    def _first(self, clips):
        """Units of the first layer with padding of NaN, and of 0.   (B, N, w) each."""
        padding = clips[..., :1].isnan()
        units = self.first(clips.masked_fill(padding, 0)).relu()
        units = units.masked_fill(padding, 0)
        return units.masked_fill(padding, float("nan")), units


def between(kind, width):
    """What stands between a map and its loss."""
    if kind is None:
        return nn.Identity()
    if kind == "linear":
        return _Linear(width)
    layers = [skip_init(nn.Linear, width, width) for _ in range(2)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


class _Linear(nn.Linear):
    """A linear map that begins as the identity."""

    def __init__(self, width):
        super().__init__(width, width)

    def start(self):
        """Begin as the identity."""
        nn.init.eye_(self.weight)
        nn.init.zeros_(self.bias)


class ByLayers(DistilledAnticipator):
    """Compares the maps of the two layers of a `Guided` network one by one."""

    def _future_signal(self, given, folder):
        signal = super()._future_signal(given, folder)
        make = signal._feature_term

        def by_layers(*args):
            term = make(*args)
            term.distance = partial(layered, term.distance, self.network.first)
            return term

        signal._feature_term = by_layers
        return signal


def layered(distance, width, student, teacher, *, teacher_pooled, **masks):
    """Mean of the distances of two layers, the first of them `width` channels wide."""
    found = [
        distance(student[..., part], teacher[..., part], teacher_pooled=None, **masks)
        for part in (slice(width), slice(width, None))
    ]
    return sum(found) / len(found)
