"""Modality attention: branches that see different channels, and who to trust when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.metaestimators import _BaseComposition
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import Dropout, NetworkSpec, Output, initialize
from skanticipate.networks.fused_steps import FusedStepper
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT, brief_where_printed
from skanticipate.networks.rulstm import RULSTM
from skanticipate.networks.stages import StagedSpec


class ModalityAttention(StagedSpec, _BaseComposition):
    """Rolling-unrolling LSTMs of several modalities, fused by learned attention.

    Each branch reads its own channels of the clips. At each stage a small network
    looks at the states of all branches, and says how much each of them counts::

        context = [unrolled state, rolling cell] of every branch, side by side
        weights = softmax(MLP(context))
        logits  = sum over branches of weight * logits of the branch

    The MLP narrows 2 * (sum of the hidden sizes) to a quarter, to an eighth, and to
    one score a branch. Scores before the softmax are fused, so branches that are surer
    of themselves also count more. The feature map holds the last unrolled states of
    all branches side by side. Padding is treated as in `RULSTM`.

    The trained `network_` tells its weights: ``attention(clips)`` gives (B, S, M), one
    weight for each clip, stage and branch.

    Parameters
    ----------
    branches : list of (str, RULSTM, (int, int or None))
        At least two branches: a name, a spec, and the channels that it reads, (start,
        stop) of the last axis, where a stop of None means the end. They must not
        overlap; channels that nobody reads are left out. The branches must agree on
        `time_step`, `anticipation_steps` and `anticipation_time`, which are those of
        the whole, and read features: `embedding` must be None. A search reaches
        parameters of the branch "rgb" as ``network__rgb__hidden_size``, and the spec
        itself as ``network__rgb``.
    dropout : float, default=0.8
        Share of the hidden units of the attention that is dropped in training. Each
        branch has a `dropout` of its own.
    branch_epochs : int, default=0
        Number of epochs, at the beginning of each fit, in which every branch learns
        alone and the attention not at all; the epochs after them train all together.
        Must be less than the `max_epochs` of the estimator. The `pretrain_epochs` of
        the branches lie within these epochs, and must be fewer. See Notes.
    {weights}
        Those of a branch may also be given to its spec.

    See Also
    --------
    skanticipate.LateFusion : Mean of whole models, with fixed weights.

    Notes
    -----
    While the branches learn alone, the loss is the mean of theirs, so each gets 1 / M
    of the gradient that it would have by itself. AdamW does not mind; with SGD it is as
    if `lr` were M times lower and `weight_decay` M times higher. Validation and
    prediction always fuse. In these epochs the validation figures are thus those of an
    attention that has learnt nothing, close to a mean of the logits, and early stopping
    does not look at them: the best epoch is one of those after. The optimiser and a
    schedule of the learning rate run over all epochs without a break. The original
    trains in three runs of 100 epochs, each from the best weights of the one before:
    sequence completion, each branch by itself, and all together, with SGD at a rate of
    0.01, momentum of 0.9 and batches of 128.

    References
    ----------
    A. Furnari, G. M. Farinella, "What Would You Expect? Anticipating Egocentric Actions
    with Rolling-Unrolling LSTMs and Modality Attention", ICCV 2019: modality attention
    (MATT). Sizes, places of dropout and the fusion of logits are those of the authors'
    code; its branches read RGB, flow and objects: 1024, 1024 and 352 channels.

    Examples
    --------
    >>> import torch
    >>> from skanticipate import RULSTM, ModalityAttention, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(8, n_steps=4, n_features=24, random_state=0)
    >>> fusion = ModalityAttention([
    ...     ("rgb", RULSTM(8, anticipation_steps=2), (0, 16)),
    ...     ("flow", RULSTM(8, anticipation_steps=2), (16, None)),
    ... ], branch_epochs=2)
    >>> model = SmoothedAnticipator(fusion, max_epochs=4, random_state=0)
    >>> model.fit(kitchen.X_past, kitchen.y).predict_proba(kitchen.X_past).shape
    (120, 18)
    >>> model.network_.attention(torch.from_numpy(kitchen.X_past)).shape
    torch.Size([120, 2, 2])
    """

    _parameter_constraints = {
        "branches": [list],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "branch_epochs": [Interval(Integral, 0, None, closed="left")],
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    fixed_shape = False
    _stepper = FusedStepper

    def __init__(
        self,
        branches: Sequence[tuple[str, RULSTM, tuple[int, int | None]]],
        *,
        dropout: float = 0.8,
        branch_epochs: int = 0,
        weights: Weights | None = None,
    ) -> None:
        self.branches = branches
        self.dropout = dropout
        self.branch_epochs = branch_epochs
        self.weights = weights

    @property
    def _specs(self):
        """Pairs of a name and a spec, as `_BaseComposition` wants them."""
        try:
            return [(name, spec) for name, spec, _ in self.branches]
        except (TypeError, ValueError):  # `see_classes` will say what is wrong
            return self.branches

    @_specs.setter
    def _specs(self, pairs):
        self.branches = [
            (*pair, columns)
            for pair, (*_, columns) in zip(pairs, self.branches, strict=True)
        ]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, and those of the branches.

        Parameters
        ----------
        deep : bool, default=True
            Whether to give the branches under their names, and their parameters as
            ``rgb__hidden_size``.

        Returns
        -------
        dict
        """
        params = self._get_params("_specs", deep=deep)
        has_arrays = isinstance(params["weights"], Mapping)
        return brief_where_printed(params) if has_arrays else params

    def set_params(self, **params: object) -> Self:
        """Set parameters, under the names that `get_params` gives.

        Parameters
        ----------
        **params : object
            New values.

        Returns
        -------
        self : object
        """
        return self._set_params("_specs", **params)

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        self._check_branches()
        self.check_stages(input_shape)
        slices = self._slices(input_shape[-1])
        branches = [
            spec.build(
                (*input_shape[:-1], columns.stop - columns.start),
                n_classes,
                generator=generator,
            )
            for (_, spec), columns in zip(self._specs, slices, strict=True)
        ]
        n_context = 2 * sum(int(spec.hidden_size) for _, spec in self._specs)
        mlp = _attention_mlp(n_context, len(branches), self.dropout)
        return _ModalityAttention(
            branches, slices, initialize(mlp, generator), self.branch_epochs
        )

    def parts_of(self, network: nn.Module) -> list[tuple[NetworkSpec, nn.Module]]:
        """The branches, each with its module, and the whole."""
        specs = [spec for _, spec in self._specs]
        branches = network.get_submodule("branches").children()
        return [*zip(specs, branches, strict=True), (self, network)]

    def see_classes(self, classes: np.ndarray) -> None:
        """Let the heads of the branches take note of the labels."""
        self._check_branches()
        for _, spec in self._specs:
            spec.see_classes(classes)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...] | None:
        """States for each stage."""
        return self.branches[0][1].map_shape(clip_shape)

    def stage_times(self) -> np.ndarray:
        """Seconds from each of the last steps to the start of the action."""
        return self.branches[0][1].stage_times()

    def answering_stage(self) -> int:
        """Index of the stage at the branches' `anticipation_time`."""
        return self.branches[0][1].answering_stage()

    def _check_branches(self):
        """Refuse branches that do not go together."""
        check_own(self)
        for branch in self.branches:
            if not (isinstance(branch, tuple) and len(branch) == 3):
                raise ValueError(
                    "branches must hold tuples (name, RULSTM, (start, stop)), got "
                    f"{branch!r}."
                )
        if len(self.branches) < 2:
            raise ValueError(
                f"ModalityAttention needs at least two branches, got {self.branches}: "
                "use RULSTM for a single one."
            )
        names = [name for name, _ in self._specs]
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"Names of branches must be strings, got {names}.")
        self._validate_names(names)
        for name, spec in self._specs:
            self._check_spec(name, spec)
        stages = {
            name: (spec.time_step, spec.anticipation_steps, spec.answering_stage())
            for name, spec in self._specs
        }
        if len(set(stages.values())) > 1:
            raise ValueError(
                "All branches must have the same time_step and anticipation_steps, and "
                f"answer at the same stage (anticipation_time); got {stages}."
            )

    def _check_spec(self, name, spec):
        if not isinstance(spec, RULSTM):
            raise TypeError(
                f"Branch {name!r} must be a RULSTM, whose states the attention reads; "
                f"got {spec!r}."
            )
        spec._validate_params()
        if spec.embedding is not None:
            raise ValueError(
                f"Branch {name!r} has embedding={spec.embedding}, but branches read "
                "features: set embedding=None."
            )
        if 0 < spec.pretrain_epochs and spec.pretrain_epochs >= self.branch_epochs:
            raise ValueError(
                f"Branch {name!r} has pretrain_epochs={spec.pretrain_epochs}, which "
                f"must be less than branch_epochs={self.branch_epochs}: raise "
                "branch_epochs or lower pretrain_epochs."
            )

    def _slices(self, n_channels):
        """Slice of the channels of each branch."""
        slices = {
            name: _slice(name, columns, n_channels)
            for name, _, columns in self.branches
        }
        ordered = sorted(slices.items(), key=lambda item: item[1].start)
        for (name, columns), (other, others) in pairwise(ordered):
            if columns.stop > others.start:
                raise ValueError(
                    f"Branches {name!r} and {other!r} both read channel "
                    f"{others.start}: give each channel to one branch at most."
                )
        return list(slices.values())


def _slice(name, columns, n_channels):
    match columns:
        case (bool(), _) | (_, bool()):
            start = stop = 0  # refused
        case Integral() as start, Integral() as stop:
            pass
        case Integral() as start, None:
            stop = n_channels
        case _:
            start = stop = 0  # refused
    if not 0 <= start < stop <= n_channels:
        raise ValueError(
            f"The columns of branch {name!r} must be (start, stop) with 0 <= start < "
            f"stop <= {n_channels}, the number of channels of the last axis, or "
            f"(start, None) for all from start on; got {columns!r}."
        )
    return slice(int(start), int(stop))


def _attention_mlp(n_context, n_branches, dropout):
    """From the states of all branches to a score of each, without initial weights."""
    sizes = [n_context, max(1, n_context // 4), max(1, n_context // 8)]
    layers = []
    for narrowed in pairwise(sizes):
        layers += [skip_init(nn.Linear, *narrowed), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*layers, skip_init(nn.Linear, sizes[-1], n_branches))


class _ModalityAttention(nn.Module):
    def __init__(self, branches, slices, mlp, branch_epochs):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.slices = slices
        self.mlp = mlp
        self.branch_epochs = branch_epochs
        self.apart = False  # whether training asks each branch by itself

    @property
    def n_preparing(self):
        """Number of epochs in which the attention does not learn."""
        return self.branch_epochs

    def begin_epoch(self, epoch, max_epochs):
        """Take note that training begins another epoch, of which `epoch` are done."""
        if self.branch_epochs >= max_epochs:
            raise ValueError(
                f"branch_epochs={self.branch_epochs} leaves none of the {max_epochs} "
                "epochs to learn attention: raise max_epochs or lower branch_epochs."
            )
        self.apart = epoch < self.branch_epochs
        for branch in self.branches:
            branch.begin_epoch(epoch, max_epochs)

    def forward(self, clips):
        hidden, cells, mask = self._unroll(clips)
        logits = [
            branch.classifier(branch.dropout(states))
            for branch, states in zip(self.branches, hidden, strict=True)
        ]
        if self.training and self.apart:
            # The loss is a mean over stages: each branch has its own, M times S.
            answers = torch.cat(logits, 1)
        else:
            weights = self.weigh(hidden, cells).split(1, -1)  # M times (B, S, 1)
            answers = sum(w * z for w, z in zip(weights, logits, strict=True))
        return Output(answers, torch.cat(hidden, -1), mask=mask)

    def attention(self, clips):
        """Weight of each branch at each stage.   (B, ...) -> (B, S, M), sums of 1."""
        return self.weigh(*self._unroll(clips)[:2])

    def _unroll(self, clips):
        """Last unrolled states and rolling cells of each branch, and their mask."""
        hidden, cells, masks = zip(
            *(
                branch.unroll(clips[..., columns])
                for branch, columns in zip(self.branches, self.slices, strict=True)
            ),
            strict=True,
        )
        return hidden, cells, masks[0]  # a step is padding in all channels or in none

    def weigh(self, hidden, cells):
        """Weight of each branch, from its states (..., H).   -> (..., M)."""
        parts = [part for pair in zip(hidden, cells, strict=True) for part in pair]
        return self.mlp(torch.cat(parts, -1)).softmax(-1)
