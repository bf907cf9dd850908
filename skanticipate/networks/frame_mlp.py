"""Multilayer perceptron over single frames, whose scores are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.parameters import check_own
from skanticipate.networks.base import Output, initialize
from skanticipate.networks.delays import DELAY_CONSTRAINTS, RandomDelay
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input, mean_over_steps
from skanticipate.networks.mlp import MLP, Perceptron
from skanticipate.networks.stepping import Stepper, kept


class MeanStepper(Stepper):
    """Steps of `FrameMLP`. A state holds the mean of the hidden units so far."""

    def start(self, n_clips):
        """Mean (n, H) and number of frames (n, 1)."""
        width = self.network.layers[-1].out_features
        return self.zeros(n_clips, width), self.zeros(n_clips, 1)

    def read(self, state, step, real):
        """Take a frame (n, e) into the mean."""
        mean, n_seen = state
        n_seen = n_seen + 1
        mean = mean + (self.network.hidden_units(step) - mean) / n_seen
        return kept(real, (mean, n_seen), state)

    def scores(self, state):
        """Classify the mean."""
        return self.network.classifier(state[0])


class FrameMLP(RandomDelay, MLP):
    """Multilayer perceptron that scores each frame; a clip's score is their mean.

    The order of the frames plays no part, so clips may differ in length, and padding
    steps (all NaN, or codes of -1) are left out. The feature map holds the hidden
    units of each frame.

    Parameters
    ----------
    hidden_size : int or tuple of int, default=128
        Width of the hidden layer, or of each of them.
    embedding : int, default=None
        Width of the learned vector of each code, for clips of whole numbers
        (n, T, k) as `HistoryEncoder` gives them. None means that clips are features.
    embedding_std : float, default=0.1
        Standard deviation of the embeddings' initial values. Small values learn more
        from rare codes, and suit long tails; 1 is torch's default.
    input_dropout : float, default=0.0
        Share of the inputs, or of the entries of their embeddings, that is dropped in
        training.
    dropout : float, default=0.0
        Share of the hidden units that is dropped in training.
    head : VerbNounHead, default=None
        How hidden units become scores of the classes; None means a linear layer.
    random_delay : int, default=0
        In training each clip ends up to this many steps earlier, by a number that is
        drawn anew in each epoch, all equally often: the network learns to anticipate
        from further away. Padding steps count. A clip keeps its first real step at
        least. Prediction and validation read whole clips.
    {weights}

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv:1904.04868, 2019 (the network over frame embeddings).
    L. Wang et al., "Temporal Segment Networks: Towards Good Practices for Deep Action
    Recognition", ECCV 2016 (the mean of the frames' scores).

    Examples
    --------
    >>> import torch
    >>> from skanticipate import FrameMLP
    >>> spec = FrameMLP(hidden_size=32)
    >>> network = spec.build((8, 16), 5, generator=torch.Generator().manual_seed(0))
    >>> output = network(torch.zeros(4, 8, 16))
    >>> output.logits.shape, output.features.shape
    (torch.Size([4, 1, 5]), torch.Size([4, 8, 32]))
    """

    _parameter_constraints = {**MLP._parameter_constraints, **DELAY_CONSTRAINTS}
    fixed_shape = False
    _any_length = True
    _stepper = MeanStepper

    def __init__(
        self,
        hidden_size: int | Sequence[int] = 128,
        *,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        random_delay: int = 0,
        weights: Weights | None = None,
    ) -> None:
        super().__init__(
            hidden_size,
            embedding=embedding,
            embedding_std=embedding_std,
            input_dropout=input_dropout,
            dropout=dropout,
            head=head,
            weights=weights,
        )
        self.random_delay = random_delay

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        if len(input_shape) < 2:
            raise ValueError(
                f"FrameMLP expects frames in order, of shape (n, T, d), got "
                f"(n, {input_shape[0]}): use MLP for pooled features."
            )
        self.check_delay(input_shape[0])
        return initialize(_FrameMLP(self, input_shape, n_classes), generator)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """The hidden units of each frame."""
        return clip_shape[:1]


class _FrameMLP(Perceptron):
    def __init__(self, spec, input_shape, n_classes):
        reader = clip_input(spec, input_shape)
        super().__init__(spec, reader, reader.n_outputs, n_classes)

    def forward(self, clips):
        frames, real = self.input(clips)  # (B, T, e), (B, T)
        hidden = self.hidden_units(frames)  # (B, T, H)
        # The classifier is linear: it gives the mean of the scores of the frames from
        # the mean of their hidden units, for the cost of one frame.
        logits = self.classifier(mean_over_steps(hidden, real))  # (B, C)
        return Output(logits.unsqueeze(1), hidden, mask=real)
