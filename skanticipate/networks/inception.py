"""The last blocks of I3D, for feature maps taken from its middle."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import torch
from sklearn.utils._param_validation import HasMethods
from torch import Tensor, nn
from torch.nn import functional

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.data.rows import RowView
from skanticipate.networks.bare import classifier, skip_init
from skanticipate.networks.base import Dropout, NetworkSpec, Output, initialize
from skanticipate.networks.feature_map import convolve, position_mask
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import fill_padding, mean_over_steps, real_steps
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT

# Channels of the branches: b0, b1 reduced, b1, b2 reduced, b2, b3.
_BLOCKS = {
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_TAP = "Mixed_4f"
_BEFORE = {"Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "Mixed_3b", "Mixed_3c"}


class InceptionTail(NetworkSpec):
    """The rest of the I3D network, from Mixed_4b on.

    It reads the maps of I3D's layer MaxPool3d_4a_3x3, of shape (n, l, h, w, 480), as
    they are computed once for a whole video. The feature map that is compared with a
    teacher's is the output of Mixed_4f, (B, l h w, 832); it is followed by a pooling of
    positions and steps by twos, two more blocks, a mean over the grid, and the
    classifier. For maps of 8 x 14 x 14 it computes what I3D does, and any smaller or
    larger grid is read too.

    Padding steps are left out everywhere, from the statistics of the normalisation too.
    A clip with padding steps in front has the score of the clip without them if their
    number is even: steps are pooled by twos, counted from the first.

    Parameters
    ----------
    width : float, default=1.0
        Factor on the numbers of channels of all blocks.
    crop_size : int or None, default=14
        Height and width of the part of the map that is read: a random one in training,
        the same for past and future, and the middle in prediction. None means the whole
        map; an axis that is no longer than this is read whole.
    dropout : float, default=0.5
        Share of the pooled channels that is dropped in training.
    head : VerbNounHead, default=None
        How pooled channels become scores of the classes; None means a linear layer.
    {weights}

    Attributes
    ----------
    map_size_ : tuple of int
        Height and width of the maps that `input_shape_of` saw.

    Notes
    -----
    Without `weights` the network starts as torch's layers do, at random. Names are
    those of the public PyTorch version of I3D ("Mixed_4b.b1a.conv3d.weight"), whose
    trained weights can be given as they are, in a safetensors file: its convolution
    "logits" is the classifier, if it has as many classes, and layers before Mixed_4b
    are not used.

    Running means of the normalisation have I3D's momentum of 0.01 from the hundredth
    batch on, and are plain means of all batches until then: a network that starts at
    random would otherwise predict with the statistics of its first weights. Those that
    are loaded without a number of batches count as means of a hundred.

    References
    ----------
    J. Carreira, A. Zisserman, "Quo Vadis, Action Recognition? A New Model and the
    Kinetics Dataset", CVPR 2017.
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv:1904.04868, 2019 (this part of it, on stored maps).

    Examples
    --------
    >>> import torch
    >>> from skanticipate import InceptionTail
    >>> spec = InceptionTail(width=0.05, crop_size=3)
    >>> shape = 2, 4, 5, 24  # steps, height, width, channels
    >>> network = spec.build(shape, 6, generator=torch.Generator().manual_seed(0))
    >>> output = network(torch.zeros(2, *shape))
    >>> output.logits.shape, output.features.shape
    (torch.Size([2, 1, 6]), torch.Size([2, 18, 41]))
    """

    _parameter_constraints = {
        "width": [Interval(Real, 0, None, closed="neither")],
        "crop_size": [SIZE, None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    fixed_shape = False
    _looks = "its convolutions look at the steps before and after each"
    _maps_only = True

    def __init__(
        self,
        width: float = 1.0,
        *,
        crop_size: int | None = 14,
        dropout: float = 0.5,
        head: VerbNounHead | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.width = width
        self.crop_size = crop_size
        self.dropout = dropout
        self.head = head
        self.weights = weights

    def input_shape_of(self, rows: RowView) -> Shape:
        """Shape of one clip; takes note of its height and width."""
        shape = super().input_shape_of(rows)
        self.map_size_ = shape[1:3]
        return shape

    @property
    def crops_at_random(self) -> bool:
        """Whether the maps seen are larger than the crop."""
        size = getattr(self, "map_size_", ())
        return self.crop_size is not None and any(n > self.crop_size for n in size)

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        if len(input_shape) != 4:
            got = ", ".join(map(str, ("n", *input_shape)))
            raise ValueError(
                f"InceptionTail expects maps (n, l, h, w, d), got ({got}): "
                "use FeatureMapNet for grids of one or two axes."
            )
        return initialize(_InceptionTail(self, input_shape, n_classes), generator)

    def rename_weights(self, names: list[str]) -> Sequence[str | None]:
        """Names of the public PyTorch version of I3D; see `NetworkSpec`."""
        return [
            None
            if name.partition(".")[0] in _BEFORE
            else name.replace("logits.conv3d.", "classifier.")
            for name in names
        ]

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """The grid of the crop."""
        steps, *size, _ = clip_shape
        return steps, *(
            n if self.crop_size is None else min(n, self.crop_size) for n in size
        )

    def crop(
        self, past: Tensor, future: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Cut a random part of the grid of each row, the same in past and future.

        Raises
        ------
        ValueError
            If past and future differ in height or width.
        """
        size = past.shape[2:4]
        if future is not None and future.shape[2:4] != size:
            raise ValueError(
                "Past and future maps must have the same height and width to be cut at "
                f"the same place, got {tuple(size)} and {tuple(future.shape[2:4])}: "
                "extract both from frames of one size."
            )
        room = [max(0, n - (self.crop_size or n)) for n in size]
        if not any(room):
            return past, future
        corners = [
            torch.randint(
                n + 1, (len(past),), generator=generator, device=generator.device
            ).tolist()
            for n in room
        ]
        return (
            _cut(past, corners, self.crop_size),
            None if future is None else _cut(future, corners, self.crop_size),
        )


def _cut(maps, corners, size):
    """A square of each map from its corner on.   (B, l, h, w, d) -> (B, l, s, s, d)."""
    rows = zip(maps, *corners, strict=True)
    return torch.stack([m[:, y : y + size, x : x + size] for m, y, x in rows])


class _InceptionTail(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        self.crop_size = spec.crop_size
        width = input_shape[-1]
        for name, sizes in _BLOCKS.items():
            block = _Mixed(width, [max(1, round(n * spec.width)) for n in sizes])
            self.add_module(name, block)
            width = block.n_outputs
        self.dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, width, n_classes)

    def forward(self, clips):
        maps = self._middle(clips)  # (B, l, h, w, d)
        real = real_steps(maps)
        maps = fill_padding(maps, real)
        for name in _BLOCKS:
            maps = self.get_submodule(name)(maps, real)
            if name == _TAP:
                features, mask = maps.flatten(1, 3), position_mask(maps, real)
                maps, real = _halve(maps, real)
        pairs, real = _pairs(maps.mean((2, 3)), real)  # (B, T, H)
        pooled = mean_over_steps(self.dropout(pairs), real)  # (B, H)
        return Output(self.classifier(pooled).unsqueeze(1), features, mask=mask)

    def _middle(self, clips):
        if self.crop_size is None:
            return clips
        for axis in (2, 3):
            size = min(clips.shape[axis], self.crop_size)
            clips = clips.narrow(axis, (clips.shape[axis] - size) // 2, size)
        return clips


class _Mixed(nn.Module):
    """Four branches over the same maps, side by side in the channels."""

    def __init__(self, width, sizes):
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = sizes
        self.b0 = _Unit(width, b0, 1)
        self.b1a, self.b1b = _Unit(width, b1a, 1), _Unit(b1a, b1b, 3)
        self.b2a, self.b2b = _Unit(width, b2a, 1), _Unit(b2a, b2b, 3)
        self.b3b = _Unit(width, b3b, 1)
        self.n_outputs = b0 + b1b + b2b + b3b

    def forward(self, maps, real):
        # Padding never wins a maximum, as beyond the borders of the grid.
        around = _max_pool(fill_padding(maps, real, -torch.inf), 3, stride=1, padding=1)
        branches = [
            self.b0(maps, real),
            self.b1b(self.b1a(maps, real), real),
            self.b2b(self.b2a(maps, real), real),
            self.b3b(fill_padding(around, real), real),
        ]
        return torch.cat(branches, -1)


class _Unit(nn.Module):
    """relu(norm(conv(x))), zero at padding steps."""

    def __init__(self, n_inputs, n_outputs, size):
        super().__init__()
        # With odd kernels and stride 1 this is TensorFlow's padding "SAME".
        self.conv3d = skip_init(
            nn.Conv3d, n_inputs, n_outputs, size, padding=size // 2, bias=False
        )
        self.bn = skip_init(_BatchNorm, n_outputs, eps=1e-3, momentum=0.01)

    def forward(self, maps, real):
        maps = convolve(self.conv3d, maps)
        in_graph = torch.compiler.is_compiling() and not self.training
        if real is None or in_graph:  # which picks no steps; moments are fixed
            return fill_padding(self.bn(maps).relu(), real)
        steps = self.bn(maps[real].unsqueeze(1)).relu().squeeze(1)  # (m, h, w, d)
        return torch.zeros_like(maps).index_put((real,), steps)


class _BatchNorm(nn.BatchNorm3d):
    """Batch normalisation of maps (B, l, h, w, d) whose channels come last."""

    def forward(self, maps):
        # A single value is no distribution: it is normalised as in prediction.
        learns = self.training and maps[..., 0].numel() > 1
        share = self.momentum
        if learns:
            self.num_batches_tracked += 1
            share = max(share, 1 / int(self.num_batches_tracked))
        x = maps.permute(0, 4, 1, 2, 3)
        moments = self.running_mean, self.running_var
        x = functional.batch_norm(
            x, *moments, self.weight, self.bias, learns, share, self.eps
        )
        return x.permute(0, 2, 3, 4, 1)


def _max_pool(maps, size, **options):
    x = functional.max_pool3d(maps.permute(0, 4, 1, 2, 3), size, **options)
    return x.permute(0, 2, 3, 4, 1)


def _halve(maps, real):
    """Maximum over two steps, rows and columns; the last of an odd number is alone."""
    if real is not None:
        odd = real.shape[1] % 2
        real = functional.pad(real, (0, odd)).unflatten(1, (-1, 2)).any(-1)
    return _max_pool(maps, 2, stride=2, ceil_mode=True), real


def _pairs(steps, real):
    """Mean of each two steps in a row, or the only one.   (B, T, H) -> (B, T - 1, H).

    Also says which of them count: those of two real steps, or of a single one.
    """
    if steps.shape[1] == 1:
        return steps, real
    one, two = steps[:, :-1], steps[:, 1:]
    if real is None:
        return (one + two) / 2, None
    n_real = real[:, :-1].long() + real[:, 1:]
    means = (one + two) / n_real.clamp(min=1).unsqueeze(-1)
    return means, (n_real > 0) & (n_real == n_real.amax(1, keepdim=True))
