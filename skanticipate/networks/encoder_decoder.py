"""LSTM encoder-decoder: one network reads the past, another goes on and answers."""

from __future__ import annotations

from numbers import Real

import torch
from sklearn.utils._param_validation import HasMethods
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.bare import classifier
from skanticipate.networks.base import Dropout, Output, initialize
from skanticipate.networks.delays import DELAY_CONSTRAINTS, RandomDelay
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input, real_first
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT
from skanticipate.networks.recurrence import (
    consecutive,
    lstm_weights,
    project,
    run_lstm,
)
from skanticipate.networks.stages import STAGE_CONSTRAINTS, StagedSpec, check_steps


class EncoderDecoderLSTM(RandomDelay, StagedSpec):
    """LSTM encoder-decoder over the steps of a clip.

    An encoder LSTM reads the first T - `anticipation_steps` steps. A decoder LSTM
    starts from its last state and cell, reads the last `anticipation_steps` steps one
    by one, and its state after each of them is classified: the answer at a step
    depends on the steps up to it only.

    A padding step (all NaN, or codes of -1) leaves state and cell as they were; a clip
    that is padded on the left is answered as if it began later. A stage before the
    first real step has a state of zeros; so has the decoder at its start where the
    encoder has nothing to read. The feature map holds the decoder's state at each
    stage, which is what the classifier reads.

    Parameters
    ----------
    hidden_size : int, default=128
        Width of the states of both LSTMs.
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
        Share of the decoder's state before the classifier that is dropped in training.
    head : VerbNounHead, default=None
        How states become scores of the classes; None means a linear layer.
    time_step : float, default=0.25
        Seconds from one step to the next.
    anticipation_steps : int, default=8
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

    Notes
    -----
    The paper names the architecture and its eight anticipation times, from 2 to 0.25
    seconds; what was at hand of it, the poster, gives no sizes and does not say what
    the decoder reads. Sizes, dropout and one layer are our choice, and so is that the
    decoder reads the steps as they come, as the rolling LSTM of `RULSTM` does. This is
    the network of one modality: the paper's has several, which `LateFusion` joins.

    References
    ----------
    G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
    Distillation for Action Anticipation via Label Smoothing", ICPR 2020.
    I. Sutskever, O. Vinyals, Q. V. Le, "Sequence to Sequence Learning with Neural
    Networks", NeurIPS 2014 (a decoder that starts from the encoder's state).

    Examples
    --------
    >>> import torch
    >>> from skanticipate import EncoderDecoderLSTM
    >>> spec = EncoderDecoderLSTM(hidden_size=32)
    >>> network = spec.build((14, 16), 5, generator=torch.Generator().manual_seed(0))
    >>> output = network(torch.zeros(4, 14, 16))
    >>> output.logits.shape, output.features.shape
    (torch.Size([4, 8, 5]), torch.Size([4, 8, 32]))
    >>> spec.stage_times()
    array([2.  , 1.75, 1.5 , 1.25, 1.  , 0.75, 0.5 , 0.25])
    """

    _parameter_constraints = {
        "hidden_size": [SIZE],
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
    fixed_shape = False
    _looks = "its decoder starts anew at each step, anticipation_steps steps back"
    _by_place = True  # the decoder reads the last steps, the encoder the others

    def __init__(
        self,
        hidden_size: int = 128,
        *,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        time_step: float = 0.25,
        anticipation_steps: int = 8,
        anticipation_time: float | None = None,
        random_delay: int = 0,
        weights: Weights | None = None,
    ) -> None:
        self.hidden_size = hidden_size
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
        return initialize(_EncoderDecoder(self, input_shape, n_classes), generator)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """A state for each stage."""
        return (self.anticipation_steps,)


class _EncoderDecoder(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        self.n_stages = int(spec.anticipation_steps)
        self.input = clip_input(spec, input_shape)
        self.input_dropout = Dropout(spec.input_dropout)
        self.encoder = lstm_weights(self.input.n_outputs, spec.hidden_size)
        self.decoder = lstm_weights(self.input.n_outputs, spec.hidden_size)
        self.state_dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, spec.hidden_size, n_classes)

    def forward(self, clips):
        check_steps(clips, self.n_stages)
        steps, real = self.input(clips)  # (B, T, e), (B, T)
        steps = self.input_dropout(steps)
        n_encoded = steps.shape[1] - self.n_stages
        hidden = cell = steps.new_zeros(steps.shape[0], self.decoder.hidden_size)
        if n_encoded:
            seen = None if real is None else real[:, :n_encoded]
            found = _read(self.encoder, steps[:, :n_encoded], seen, hidden, cell)
            hidden, cell = (states[:, -1].contiguous() for states in found)
        mask = None if real is None else real[:, n_encoded:]
        states, _ = _read(self.decoder, steps[:, n_encoded:], mask, hidden, cell)
        return Output(self.classifier(self.state_dropout(states)), states, mask=mask)


def _read(lstm, steps, real, hidden, cell):
    """Run an LSTM over steps from a state; a padding step keeps what was before it.

    steps (B, N, e), real (B, N) or None for all, hidden and cell (B, H)
    -> states and cells after each step, each (B, N, H)
    """
    n_clips, n_steps = steps.shape[:2]
    if real is not None:
        steps = real_first(steps, real)
    projected = project(lstm, steps.transpose(0, 1).flatten(0, 1))  # (N * B, 4H)
    reads = consecutive([n_clips] * n_steps)
    after = run_lstm(lstm, projected, hidden, cell, reads)
    after = [s.unflatten(0, (n_steps, n_clips)).transpose(0, 1) for s in after]
    if real is None:
        return after
    n_read = real.cumsum(1).unsqueeze(-1)  # (B, N, 1); 0: as it was at the start
    whole = [
        torch.cat([start.unsqueeze(1), states], 1)
        for start, states in zip((hidden, cell), after, strict=True)
    ]
    return [states.gather(1, n_read.expand_as(states[:, 1:])) for states in whole]
