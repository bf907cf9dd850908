"""Small residual network over feature maps: time, height and width."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

import torch
from sklearn.utils._param_validation import HasMethods, StrOptions
from torch import nn
from torch.nn import functional

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import DEPTH, SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.bare import classifier, skip_init
from skanticipate.networks.base import Dropout, NetworkSpec, Output, initialize
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import fill_padding, mean_over_steps, real_steps
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT


class FeatureMapNet(NetworkSpec):
    """Residual convolutions over the grid of a feature map.

    A first layer takes each position, or each patch of them, to `hidden_size`
    channels. Residual blocks of two convolutions follow, three positions wide along
    every axis of the grid; their last output is the feature map. It is pooled over all
    real positions and classified. The grid has one to three axes, the first of them
    time, and clips may differ in the number of steps.

    Channels are normalised at each position by itself (layer normalisation), not over
    the batch nor over the grid: then neither the other clips of a batch nor padding
    steps have a say, and training and prediction compute the same.

    Parameters
    ----------
    hidden_size : int, default=64
        Number of channels.
    n_blocks : int, default=2
        Number of residual blocks.
    patch_size : int or tuple of int, default=1
        How many positions the first layer joins into one, along every axis of the grid
        or along each. Grids that cannot be divided are filled up with zeros at the end;
        a patch is padding where all of its steps are.
    pooling : {"max", "mean"}, default="max"
        What is taken of each channel over the positions: the largest value, which finds
        a single event wherever it is, or the mean, as in I3D, to which all positions
        add. Try both.
    dropout : float, default=0.0
        Share of the pooled channels that is dropped in training.
    head : VerbNounHead, default=None
        How pooled channels become scores of the classes; None means a linear layer.
    {weights}

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (the block).
    J. L. Ba et al., "Layer Normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> import torch
    >>> from skanticipate import FeatureMapNet
    >>> spec = FeatureMapNet(8, n_blocks=1, patch_size=(1, 2, 2))
    >>> shape = 3, 4, 5, 16  # steps, height, width, channels
    >>> network = spec.build(shape, 6, generator=torch.Generator().manual_seed(0))
    >>> output = network(torch.zeros(2, *shape))
    >>> output.logits.shape, output.features.shape
    (torch.Size([2, 1, 6]), torch.Size([2, 18, 8]))
    >>> spec.map_shape(shape)
    (3, 2, 3)
    """

    _parameter_constraints = {
        "hidden_size": [SIZE],
        "n_blocks": [Interval(Integral, 0, DEPTH.right, closed="both")],
        "patch_size": [SIZE, tuple, list],
        "pooling": [StrOptions({"max", "mean"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    fixed_shape = False
    _looks = "its convolutions look at the steps before and after each"

    def __init__(
        self,
        hidden_size: int = 64,
        *,
        n_blocks: int = 2,
        patch_size: int | Sequence[int] = 1,
        pooling: Literal["max", "mean"] = "max",
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.n_blocks = n_blocks
        self.patch_size = patch_size
        self.pooling = pooling
        self.dropout = dropout
        self.head = head
        self.weights = weights

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        if not 2 <= len(input_shape) <= 4:
            got = ", ".join(map(str, ("n", *input_shape)))
            raise ValueError(
                "FeatureMapNet expects maps of one to three axes, time first and "
                f"channels last, such as (n, l, h, w, d), got ({got}): use MLP for "
                "pooled features, or join axes."
            )
        return initialize(_FeatureMapNet(self, input_shape, n_classes), generator)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """The grid of the clip in patches."""
        *grid, _ = clip_shape
        patches = self._patch(len(grid))[: len(grid)]
        return tuple(-(-n // p) for n, p in zip(grid, patches, strict=True))

    def _patch(self, n_axes):
        """Size of a patch along time, height and width."""
        sizes = self.patch_size
        sizes = (sizes,) * n_axes if isinstance(sizes, Integral) else tuple(sizes)
        if len(sizes) != n_axes or not all(map(SIZE.is_satisfied_by, sizes)):
            raise ValueError(
                f"patch_size must be a positive integer, or one for each of the "
                f"{n_axes} axes of the grid, got {self.patch_size}."
            )
        return tuple(map(int, sizes)) + (1,) * (3 - n_axes)


class _FeatureMapNet(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        n_axes, width = len(input_shape) - 1, int(spec.hidden_size)
        self.patch = spec._patch(n_axes)
        self.pool = {"max": _max_over_positions, "mean": _mean_over_positions}[
            spec.pooling
        ]
        # An axis that the maps do not have needs no weights for its neighbours.
        kernel = (3,) * n_axes + (1,) * (3 - n_axes)
        self.stem = skip_init(
            nn.Conv3d, input_shape[-1], width, self.patch, stride=self.patch
        )
        self.blocks = nn.ModuleList(_Block(width, kernel) for _ in range(spec.n_blocks))
        self.dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, width, n_classes)

    def forward(self, clips):
        grid = clips.shape[1:-1] + (1,) * (5 - clips.ndim)
        maps = clips.reshape(clips.shape[0], *grid, clips.shape[-1])  # (B, l, h, w, d)
        real = real_steps(maps)
        maps, real = self._patches(fill_padding(maps, real), real)
        maps = fill_padding(convolve(self.stem, maps).relu(), real)
        for block in self.blocks:
            maps = block(maps, real)  # (B, l, h, w, H)
        pooled = self.pool(maps, real)  # (B, H)
        logits = self.classifier(self.dropout(pooled)).unsqueeze(1)
        return Output(logits, maps.flatten(1, 3), mask=position_mask(maps, real))

    def _patches(self, maps, real):
        """Fill the grid up to whole patches, and say which of them hold real steps."""
        missing = [-n % p for n, p in zip(maps.shape[1:4], self.patch, strict=True)]
        if any(missing):
            time, height, width = missing
            maps = functional.pad(maps, (0, 0, 0, width, 0, height, 0, time))
        if real is not None:
            real = functional.pad(real, (0, missing[0]))
            real = real.unflatten(1, (-1, self.patch[0])).any(-1)
        return maps, real


class _Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))), zero at padding steps."""

    def __init__(self, width, kernel):
        super().__init__()
        sizes = {"kernel_size": kernel, "padding": tuple(k // 2 for k in kernel)}
        self.convs = nn.ModuleList(
            skip_init(nn.Conv3d, width, width, **sizes) for _ in range(2)
        )
        self.norms = nn.ModuleList(skip_init(nn.LayerNorm, width) for _ in range(2))

    def forward(self, maps, real):
        inner = self.norms[0](convolve(self.convs[0], maps)).relu()
        inner = fill_padding(inner, real)
        inner = self.norms[1](convolve(self.convs[1], inner))
        return fill_padding((maps + inner).relu(), real)


def _max_over_positions(maps, real):
    return maps.amax((1, 2, 3))  # none is negative, and padding is zero


def _mean_over_positions(maps, real):
    return mean_over_steps(maps.mean((2, 3)), real)


def convolve(conv, maps):
    """Convolve maps whose channels come last.   (B, l, h, w, d) -> (B, l, h, w, H)."""
    # The view is what torch calls channels_last_3d, its faster layout on a CPU.
    maps = maps.permute(0, 4, 1, 2, 3)
    if maps.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        # In bfloat16 it may give gradients of weights that were never written.
        with torch.autocast("cpu", enabled=False):
            return conv(maps.to(conv.weight.dtype)).permute(0, 2, 3, 4, 1)
    return conv(maps).permute(0, 2, 3, 4, 1)


def position_mask(maps, real):
    """Real steps (B, l) as real positions of maps (B, l, h, w, d).   -> (B, N)."""
    if real is None:
        return None
    return real.repeat_interleave(maps.shape[2] * maps.shape[3], dim=1)
