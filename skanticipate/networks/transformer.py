"""Causal transformer that predicts the features of the next frame."""

from __future__ import annotations

from numbers import Real

import torch
from sklearn.utils._param_validation import HasMethods
from torch import nn
from torch.nn import functional

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import DEPTH, SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.attention import SMALL, Block, check_heads, start_small
from skanticipate.networks.bare import classifier, skip_init
from skanticipate.networks.base import Dropout, Output, initialize
from skanticipate.networks.causal_steps import CausalStepper
from skanticipate.networks.delays import DELAY_CONSTRAINTS, RandomDelay
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input, hold_last, real_first
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT
from skanticipate.networks.stages import STAGE_CONSTRAINTS, StagedSpec, check_steps


class AVTHead(RandomDelay, StagedSpec):
    """Causal transformer over frame features that predicts the next frame's.

    The head of the Anticipative Video Transformer: what it says after step t is a
    guess of the features of step t + 1, made from steps up to t. The guess after the
    last step is that of the future, and it is what the classifier reads (the last of
    `rollout_steps` guesses, where there are more)::

        predicted = decode(GPT-2(encode(frames)))
        loss      = classification loss
                    + future_feature_weight * mean((predicted[t] - frames[t + 1])^2)
                    + past_weight * classification loss of the steps of the clip

    The second term is taken in training only, over all clips of a batch, unlabelled
    ones too, each frame with the weight of its clip. What follows the last step is not
    in the clip: the classification loss alone shapes that guess. The third is taken
    where `fit` is given the labels of the steps, `y_past` of shape (n, T). The feature
    map holds the guesses of the next frames, (B, T, d).

    Padding steps (all NaN, or codes of -1) are taken out: neither the other steps nor
    the loss know of them, and they repeat the guess before them. Positions are counted
    from the first real step.

    Parameters
    ----------
    inner_size : int, default=256
        Width of the transformer; the paper's is 2048.
    n_layers : int, default=2
        Number of blocks.
    n_heads : int, default=4
        Number of attention heads; it must divide `inner_size`.
    max_steps : int, default=128
        Number of learned positions: longer clips are an error. It does not follow from
        the clips, so that networks of shorter and of longer clips, a student's and its
        teacher's, can exchange weights. GPT-2 has 1024.
    rollout_steps : int, default=1
        Number of guesses on the way to what is classified. The first is that of the
        next frame; each is read as if it were the next frame, and leads to the one
        after it. The stages are rolled out each for itself, from the steps up to it: a
        further guess runs the network once more for each of them. Positions count on,
        so `max_steps` must hold the clip and all guesses that are read.
    future_feature_weight : float, default=1.0
        Weight of the loss of the guesses of frames that are in the clip.
    past_weight : float, default=0.0
        Weight of the loss of the steps' own labels: the classifier reads the first
        frame and the guesses of all others, and the mean is taken over the steps of a
        batch that have a label, each with the weight of its clip. Positive, `fit` needs
        `y_past` of shape (n, T).
    embedding : int, default=None
        Width of the learned vector of each code, for clips of whole numbers
        (n, T, k) as `HistoryEncoder` gives them. None means that clips are features.
    embedding_std : float, default=0.1
        Standard deviation of the embeddings' initial values. Small values learn more
        from rare codes, and suit long tails; 1 is torch's default.
    input_dropout : float, default=0.0
        Share of the inputs, or of the entries of their embeddings, that is dropped in
        training. What is to be guessed is never dropped.
    layer_dropout : float, default=0.1
        Share of what enters the blocks, and of what each half of a block adds, that is
        dropped in training.
    attention_dropout : float, default=0.0
        Share of the attention weights that is dropped in training; GPT-2 has 0.1. With
        0 attention is computed in one piece, and never holds its weights.
    dropout : float, default=0.0
        Share of the guesses before the classifier that is dropped in training.
    head : VerbNounHead, default=None
        How guesses become scores of the classes; None means a linear layer.
    time_step : float, default=1.0
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

    Notes
    -----
    The authors' code feeds the roll-out with the last state of the transformer, before
    it is decoded; here a guess is decoded, and encoded as any frame is. It weighs the
    past by 1 (EPIC-KITCHENS-100) or 0.1 (EGTEA Gaze+), and divides that loss by the
    number of all steps, so that those without a label make it small; here it is the
    mean over those that have one.

    A step's label that is no class of `y` counts as missing, as does that of a padding
    step. A clip without `y` is kept if one of its steps has a label.

    References
    ----------
    R. Girdhar, K. Grauman, "Anticipative Video Transformer", ICCV 2021 (section 4.2 and
    the losses of the next action, of the features and of the past).
    A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (the
    block: GPT-2).

    Examples
    --------
    >>> import torch
    >>> from skanticipate import AVTHead
    >>> spec = AVTHead(inner_size=32, anticipation_steps=3)
    >>> network = spec.build((10, 16), 5, generator=torch.Generator().manual_seed(0))
    >>> output = network.eval()(torch.zeros(4, 10, 16))
    >>> output.logits.shape, output.features.shape
    (torch.Size([4, 3, 5]), torch.Size([4, 10, 16]))
    >>> spec.stage_times()
    array([3., 2., 1.])
    """

    _parameter_constraints = {
        "inner_size": [SIZE],
        "n_layers": [DEPTH],
        "n_heads": [SIZE],
        "max_steps": [SIZE],
        "rollout_steps": [DEPTH],
        "future_feature_weight": [Interval(Real, 0, None, closed="left")],
        "past_weight": [Interval(Real, 0, None, closed="left")],
        "embedding": [SIZE, None],
        "embedding_std": [Interval(Real, 0, None, closed="neither")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "layer_dropout": [Interval(Real, 0, 1, closed="left")],
        "attention_dropout": [Interval(Real, 0, 1, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        **STAGE_CONSTRAINTS,
        **DELAY_CONSTRAINTS,
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    fixed_shape = False
    _any_length = True
    _stepper = CausalStepper

    def __init__(
        self,
        inner_size: int = 256,
        *,
        n_layers: int = 2,
        n_heads: int = 4,
        max_steps: int = 128,
        rollout_steps: int = 1,
        future_feature_weight: float = 1.0,
        past_weight: float = 0.0,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        input_dropout: float = 0.0,
        layer_dropout: float = 0.1,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        time_step: float = 1.0,
        anticipation_steps: int = 1,
        anticipation_time: float | None = None,
        random_delay: int = 0,
        weights: Weights | None = None,
    ) -> None:
        self.inner_size = inner_size
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.max_steps = max_steps
        self.rollout_steps = rollout_steps
        self.future_feature_weight = future_feature_weight
        self.past_weight = past_weight
        self.embedding = embedding
        self.embedding_std = embedding_std
        self.input_dropout = input_dropout
        self.layer_dropout = layer_dropout
        self.attention_dropout = attention_dropout
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
        check_heads(self.inner_size, self.n_heads, "inner_size")
        network = initialize(_AVTHead(self, input_shape, n_classes), generator)
        start_small(network.blocks, SMALL, generator)
        start_small(network.classifier, 0.01, generator)
        return network

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """A guess for each step."""
        return clip_shape[:1]


class _AVTHead(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        self.n_stages = int(spec.anticipation_steps)
        self.n_fed = int(spec.rollout_steps) - 1  # guesses that are read in their turn
        self.scores_past = False
        self.future_feature_weight = spec.future_feature_weight
        self.input = clip_input(spec, input_shape)
        d, width = self.input.n_outputs, int(spec.inner_size)
        self.encoder = skip_init(nn.Linear, d, width, bias=False)
        self.positions = skip_init(nn.Embedding, int(spec.max_steps), width)
        self.blocks = nn.ModuleList(
            Block(width, int(spec.n_heads), spec.layer_dropout, spec.attention_dropout)
            for _ in range(spec.n_layers)
        )
        self.norm = skip_init(nn.LayerNorm, width)
        self.decoder = skip_init(nn.Linear, width, d, bias=False)
        self.input_dropout = Dropout(spec.input_dropout)
        self.layer_dropout = Dropout(spec.layer_dropout)
        self.dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, d, n_classes)

    def start(self):
        """Begin with positions that weigh little."""
        with torch.no_grad():
            self.positions.weight *= SMALL

    def forward(self, clips):
        check_steps(clips, self.n_stages)
        self._check_positions(clips.shape[1])
        steps, real = self.input(clips)  # (B, T, d), (B, T)
        if real is not None:
            # With real steps in front causal attention keeps padding out, and the place
            # of a step is its position.
            steps = real_first(steps, real)
        read = self.input_dropout(steps)
        guesses = self._guess(read)  # (B, T, d)
        loss, n_guessed = self._loss(guesses, steps, real)  # (B,) or None
        past = self._past(guesses, steps, real)  # (B, T, d) or None
        if real is not None:
            guesses = hold_last(guesses, real)
        last = guesses[:, -self.n_stages :]  # (B, S, d)
        if self.n_fed:
            last = self._roll_out(read, last, real)
        logits = self.classifier(self.dropout(last))
        past_logits = None if past is None else self.classifier(self.dropout(past))
        return Output(logits, guesses, loss, real, past_logits, n_guessed)

    def _check_positions(self, n_steps):
        if n_steps + self.n_fed > self.positions.num_embeddings:
            fed = f" and {self.n_fed} guesses that follow are" if self.n_fed else " is"
            raise ValueError(
                f"A clip of {n_steps} steps{fed} longer than the "
                f"{self.positions.num_embeddings} positions of AVTHead: raise "
                "max_steps or give shorter clips."
            )

    def _guess(self, steps):
        """Features of the next step, from those up to each.   -> (B, T, d)."""
        states = self.encoder(steps) + self.positions.weight[: steps.shape[1]]
        states = self.layer_dropout(states)  # (B, T, H)
        for block in self.blocks:
            states = block(states, causal=True)
        return self.decoder(self.norm(states))

    def _roll_out(self, steps, guesses, real):
        """Read guesses as if they were the next frames.

        steps (B, T, d), the real ones in front; the guess after each stage (B, S, d);
        real (B, T) or None for all -> the last guess of each stage (B, S, d)
        """
        n_clips, n_steps = steps.shape[:2]
        if real is None:
            real = steps.new_ones(n_clips, n_steps, dtype=torch.bool)
        n_seen = real.cumsum(1)[:, -self.n_stages :]  # (B, S)
        steps = steps.repeat_interleave(self.n_stages, 0)  # (B * S, T, d)
        steps = functional.pad(steps, (0, 0, 0, self.n_fed))
        guess = guesses.flatten(0, 1).unsqueeze(1)  # (B * S, 1, d)
        for k in range(self.n_fed):
            # What stands behind its place a guess does not see.
            place = (n_seen + k).view(-1, 1, 1).expand_as(guess)
            fed = self.input_dropout(guess).to(steps.dtype)  # of autocast
            steps = steps.scatter(1, place, fed)
            guess = self._guess(steps[:, : n_steps + k + 1]).gather(1, place)
        guess = guess.unflatten(0, (n_clips, self.n_stages)).squeeze(2)
        return guess * (n_seen > 0).unsqueeze(-1)

    def _past(self, guesses, steps, real):
        """The first frame, and the guesses of the others; None where nobody asks."""
        if not (self.training and self.scores_past):
            return None
        past = torch.cat([steps[:, :1], guesses[:, :-1]], 1)
        return past if real is None else hold_last(past, real)

    def _loss(self, guesses, steps, real):
        """Squared error of the guesses of steps that follow, a mean for each clip.

        -> (B,), and of how many steps (B,), None where all clips are alike; both None
        where no step follows another
        """
        nothing = None, None
        if not self.training or self.future_feature_weight == 0 or steps.shape[1] < 2:
            return nothing
        # Without detach, embeddings would shrink until they are easy to guess.
        errors = (guesses[:, :-1] - steps[:, 1:].detach()).square().mean(-1)
        if real is None:
            return self.future_feature_weight * errors.mean(1), None
        places = torch.arange(1, steps.shape[1], device=steps.device)
        followed = places < real.sum(1, keepdim=True)  # (B, T - 1)
        if not followed.any():
            return nothing
        n_guessed = followed.sum(1)
        losses = (errors * followed).sum(1) / n_guessed.clamp(min=1)
        return self.future_feature_weight * losses, n_guessed.to(losses.dtype)
