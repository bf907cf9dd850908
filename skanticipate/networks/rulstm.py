"""Rolling-unrolling LSTM: one network sums up the past, another runs on from there."""

from __future__ import annotations

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import HasMethods
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.bare import classifier
from skanticipate.networks.base import Dropout, Output, initialize
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input, hold_last, real_first
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT
from skanticipate.networks.recurrence import (
    consecutive,
    lstm_weights,
    project,
    run_lstm,
)
from skanticipate.networks.recurrent_steps import RollingStepper
from skanticipate.networks.stages import STAGE_CONSTRAINTS, StagedSpec, check_steps


class RULSTM(StagedSpec):
    """Rolling-unrolling LSTM over the steps of a clip.

    A rolling LSTM sums up what was seen. At each of the last `anticipation_steps`
    steps an unrolling LSTM starts from its state and runs on to the action: it reads
    the current step once for each step to come and once more, and its last state is
    classified. The first T - `anticipation_steps` steps only encode.

    A padding step (all NaN, or codes of -1) leaves the rolling state as it was; a clip
    that is padded on the left is answered as if it began later. A stage at a padding
    step unrolls from the last real step before it; a stage before the first real step
    has a state of zeros. The feature map holds the last unrolled state of each stage,
    which is what the classifier reads.

    Parameters
    ----------
    hidden_size : int, default=1024
        Width of the states of both LSTMs.
    embedding : int, default=None
        Width of the learned vector of each code, for clips of whole numbers
        (n, T, k) as `HistoryEncoder` gives them. None means that clips are features.
    embedding_std : float, default=0.1
        Standard deviation of the embeddings' initial values. Small values learn more
        from rare codes, and suit long tails; 1 is torch's default.
    dropout : float, default=0.8
        Share that is dropped in training of what the rolling LSTM reads, of what the
        unrolling LSTM reads at each of its steps, and of its last state.
    pretrain_epochs : int, default=0
        Number of epochs of sequence completion, at the beginning of each fit: the
        unrolling LSTM reads the true rest of the clip, so it takes one step less. The
        epochs after them go on from there with the same optimiser. Must be less than
        the `max_epochs` of the estimator. See Notes.
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
    {weights}

    Notes
    -----
    Validation and prediction always unroll over the current step. In epochs of
    sequence completion the validation figures are thus those of a network that has
    not practised this, and early stopping does not look at them: the best epoch is one
    of those after. A schedule of the learning rate runs over all epochs without a
    break. The original trains twice instead, the second time from the best weights of
    the first.

    References
    ----------
    A. Furnari, G. M. Farinella, "What Would You Expect? Anticipating Egocentric Actions
    with Rolling-Unrolling LSTMs and Modality Attention", ICCV 2019: one branch. The
    defaults are the paper's; it trains with SGD, a rate of 0.01, momentum of 0.9 and
    batches of 128 over 100 epochs, without weight decay. The number of steps that the
    unrolling LSTM takes is that of the authors' code.

    Examples
    --------
    >>> import torch
    >>> from skanticipate import RULSTM
    >>> spec = RULSTM(hidden_size=32)
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
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        **STAGE_CONSTRAINTS,
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    fixed_shape = False
    _stepper = RollingStepper

    def __init__(
        self,
        hidden_size: int = 1024,
        *,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        dropout: float = 0.8,
        pretrain_epochs: int = 0,
        head: VerbNounHead | None = None,
        time_step: float = 0.25,
        anticipation_steps: int = 8,
        anticipation_time: float | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.embedding = embedding
        self.embedding_std = embedding_std
        self.dropout = dropout
        self.pretrain_epochs = pretrain_epochs
        self.head = head
        self.time_step = time_step
        self.anticipation_steps = anticipation_steps
        self.anticipation_time = anticipation_time
        self.weights = weights

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        self.check_stages(input_shape)
        return initialize(_RULSTM(self, input_shape, n_classes), generator)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """A state for each stage."""
        return (self.anticipation_steps,)


class _RULSTM(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        self.n_stages = int(spec.anticipation_steps)
        self.pretrain_epochs = spec.pretrain_epochs
        self.completes = False  # whether training unrolls over the rest of the clip
        self.input = clip_input(spec, input_shape)
        self.dropout = Dropout(spec.dropout)
        self.rolling = lstm_weights(self.input.n_outputs, spec.hidden_size)
        self.unrolling = lstm_weights(self.input.n_outputs, spec.hidden_size)
        self.classifier = classifier(spec, spec.hidden_size, n_classes)

    @property
    def n_preparing(self):
        """Number of epochs that are not yet practice of what is asked."""
        return self.pretrain_epochs

    def begin_epoch(self, epoch, max_epochs):
        """Take note that training begins another epoch, of which `epoch` are done."""
        if self.pretrain_epochs >= max_epochs:
            raise ValueError(
                f"pretrain_epochs={self.pretrain_epochs} leaves none of the "
                f"{max_epochs} epochs to learn anticipation: raise max_epochs or lower "
                "pretrain_epochs."
            )
        self.completes = epoch < self.pretrain_epochs

    def forward(self, clips):
        hidden, _, mask = self.unroll(clips)
        return Output(self.classifier(self.dropout(hidden)), hidden, mask=mask)

    def unroll(self, clips):
        """What the network thinks at each stage.

        -> last unrolled states (B, S, H), cells of the rolling LSTM that they started
        from (B, S, H), and which stages are at real steps (B, S), None for all.
        """
        check_steps(clips, self.n_stages)
        steps, real = self.input(clips)  # (B, T, e), (B, T)
        hidden, cells = self._roll(steps, real)  # (B, S, H)
        if real is not None:
            steps = hold_last(real_first(steps, real), real)
        unrolled = self._unroll(steps[:, -self.n_stages :], hidden, cells)
        if real is None:
            return unrolled, cells, None
        seen = real.cumsum(1)[:, -self.n_stages :] > 0  # stages with a step to go by
        return unrolled * seen.unsqueeze(-1), cells, real[:, -self.n_stages :]

    def _roll(self, steps, real):
        """States and cells after each of the last S steps; padding keeps them."""
        n_clips, n_steps = steps.shape[:2]
        if real is not None:
            steps = real_first(steps, real)
        steps = self.dropout(steps.transpose(0, 1).flatten(0, 1))  # (T * B, e)
        projected = project(self.rolling, steps)
        start = projected.new_zeros(n_clips, self.rolling.hidden_size)
        reads = consecutive([n_clips] * n_steps)
        for states in run_lstm(self.rolling, projected, start, start, reads):
            states = states.unflatten(0, (n_steps, n_clips)).transpose(0, 1)
            if real is not None:
                states = hold_last(states, real)
            yield states[:, -self.n_stages :]

    def _unroll(self, steps, hidden, cells):
        """Last states of the unrollings of all stages.   each (B, S, .) -> (B, S, H).

        They advance together. Earlier stages have more steps to go, so those still
        under way are always the first.
        """
        n_clips, n_stages = steps.shape[:2]
        steps, hidden, cells = (
            x.transpose(0, 1).flatten(0, 1) for x in (steps, hidden, cells)
        )  # (S * B, .)
        n_going = list(range(n_stages, 0, -1))  # stages under way at each step
        if self.training and self.completes:  # at its k-th step, stage s reads s + k
            reads = [slice(k * n_clips, None) for k in range(n_stages)]
        else:  # stage s reads s, and does so once more
            n_going.insert(0, n_stages)
            reads = [slice(n * n_clips) for n in n_going]
        sizes = [n * n_clips for n in n_going]
        if self.training and self.dropout.p > 0:  # each input has a mask of its own
            steps = self.dropout(torch.cat([steps[rows] for rows in reads]))
            reads = consecutive(sizes)
        projected = project(self.unrolling, steps)
        states, _ = run_lstm(self.unrolling, projected, hidden, cells, reads)
        goes_on = [*sizes[1:], 0]
        ends = [
            after[n:] for after, n in zip(states.split(sizes), goes_on, strict=True)
        ]  # the last stage ends first
        states = torch.cat(ends[::-1]).unflatten(0, (n_stages, n_clips))
        return states.transpose(0, 1)
