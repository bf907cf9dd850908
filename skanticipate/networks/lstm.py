"""Recurrent network over sequences, with a prediction at each of the last steps."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import torch
from sklearn.utils._param_validation import HasMethods, StrOptions
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import DEPTH, SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.bare import classifier, skip_init
from skanticipate.networks.base import Dropout, Output, initialize
from skanticipate.networks.delays import DELAY_CONSTRAINTS, RandomDelay
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input, hold_last, real_first
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT
from skanticipate.networks.recurrent_steps import RecurrentStepper
from skanticipate.networks.stages import STAGE_CONSTRAINTS, StagedSpec, check_steps


class LSTM(RandomDelay, StagedSpec):
    """Recurrent network over the steps of a clip.

    It reads the clip step by step and predicts after each of the last
    `anticipation_steps` steps. Padding steps (all NaN, or codes of -1) leave its state
    as it was, so clips of unequal length can stand in one array, padded on the left.

    Parameters
    ----------
    hidden_size : int, default=128
        Width of the state.
    cell : {"lstm", "gru"}, default="lstm"
        Kind of recurrent cell.
    n_layers : int, default=1
        Number of recurrent layers.
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
        Share of the state before the classifier that is dropped in training.
    head : VerbNounHead, default=None
        How states become scores of the classes; None means a linear layer.
    time_step : float, default=0.25
        Seconds from one step to the next.
    anticipation_steps : int, default=1
        Number of stages S: the network answers after each of the last S steps. The
        last step lies one `time_step` before the action starts.
    anticipation_time : float, default=None
        Seconds before the action at which `predict_proba` answers; one of
        `time_step`, 2 `time_step`, ... None means the last step.
    random_delay : int, default=0
        In training each clip ends up to this many steps earlier, by a number that is
        drawn anew in each epoch, all equally often: the network learns to anticipate
        from further away, by up to `random_delay` times `time_step` seconds. Padding
        steps count. A clip keeps its first real step at least. Prediction and
        validation read whole clips.
    {weights}

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation, 1997.
    K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for
    Statistical Machine Translation", EMNLP 2014 (the gated recurrent unit).

    Examples
    --------
    >>> import torch
    >>> from skanticipate import LSTM
    >>> spec = LSTM(hidden_size=32, cell="gru", anticipation_steps=8)
    >>> network = spec.build((14, 16), 5, generator=torch.Generator().manual_seed(0))
    >>> network(torch.zeros(4, 14, 16)).logits.shape
    torch.Size([4, 8, 5])
    >>> spec.stage_times()
    array([2.  , 1.75, 1.5 , 1.25, 1.  , 0.75, 0.5 , 0.25])
    """

    _parameter_constraints = {
        "hidden_size": [SIZE],
        "cell": [StrOptions({"lstm", "gru"})],
        "n_layers": [DEPTH],
        "embedding": [SIZE, None],
        "embedding_std": [Interval(Real, 0, None, closed="neither")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        **STAGE_CONSTRAINTS,
        **DELAY_CONSTRAINTS,
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    stacks = True
    fixed_shape = False
    _any_length = True
    _stepper = RecurrentStepper

    def __init__(
        self,
        hidden_size: int = 128,
        *,
        cell: Literal["lstm", "gru"] = "lstm",
        n_layers: int = 1,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        time_step: float = 0.25,
        anticipation_steps: int = 1,
        anticipation_time: float | None = None,
        random_delay: int = 0,
        weights: Weights | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.cell = cell
        self.n_layers = n_layers
        self.embedding = embedding
        self.embedding_std = embedding_std
        self.input_dropout = input_dropout
        self.dropout = dropout
        self.head = head
        self.time_step = time_step
        self.anticipation_steps = anticipation_steps
        self.anticipation_time = anticipation_time
        self.random_delay = random_delay
        self.weights = weights

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        self.check_stages(input_shape)
        self.check_delay(input_shape[0])
        return initialize(_LSTM(self, input_shape, n_classes), generator)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """A state for each step."""
        return clip_shape[:1]


class _LSTM(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        self.n_stages = spec.anticipation_steps
        self.input = clip_input(spec, input_shape)
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[spec.cell]
        self.input_dropout = Dropout(spec.input_dropout)
        self.rolling = skip_init(
            cell,
            self.input.n_outputs,
            int(spec.hidden_size),
            int(spec.n_layers),
            batch_first=True,
        )
        self.state_dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, spec.hidden_size, n_classes)

    def forward(self, clips):
        check_steps(clips, self.n_stages)
        steps, real = self.input(clips)  # (B, T, e), (B, T)
        states = self._roll(self.input_dropout(steps), real)  # (B, T, H)
        last = self.state_dropout(states[:, -self.n_stages :])  # (B, S, H)
        return Output(self.classifier(last), states, mask=real)

    def _roll(self, steps, real):
        """States after each step; a padding step repeats the state before it."""
        if real is None:
            return self.rolling(steps)[0]
        return hold_last(self.rolling(real_first(steps, real))[0], real)
