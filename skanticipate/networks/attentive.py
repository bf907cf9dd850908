"""Attentive probe: learned queries that attend to frozen tokens."""

from __future__ import annotations

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import HasMethods
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import DEPTH, SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.attention import SMALL, Block, check_heads, start_small
from skanticipate.networks.bare import classifier, skip_init
from skanticipate.networks.base import Dropout, NetworkSpec, Output, initialize
from skanticipate.networks.delays import DELAY_CONSTRAINTS, RandomDelay
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input, fill_padding
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT
from skanticipate.networks.stacked import STACKED, StackedEmbedding


class AttentiveProbe(RandomDelay, NetworkSpec):
    """Learned queries attend to the tokens of a clip, and what they read is classified.

    A token is a step of a sequence or a position of a feature map. Tokens are
    projected to `hidden_size` channels, and all blocks but the last let them attend to
    each other; in the last block the queries attend to them. The answers of the queries
    are laid side by side and classified. The feature map holds the tokens as the
    queries find them, (B, N, hidden_size). Padding steps (all NaN, or codes of -1) are
    never attended to, and clips may differ in the number of steps.

    Attention by itself knows no order. Time is told by learned vectors, one for each of
    the last `n_positions` steps, counted back from the last real one: "two steps ago"
    means the same in short and long clips. Places within a step are not told.

    Parameters
    ----------
    hidden_size : int, default=256
        Width of tokens and queries.
    n_queries : int, default=1
        Number of queries, such as three for verb, noun and action.
    n_blocks : int, default=1
        Number of blocks. The last is that of the queries; V-JEPA 2 puts three in front
        of it.
    n_heads : int, default=4
        Number of attention heads; it must divide `hidden_size`.
    n_positions : int, default=32
        Number of learned vectors that tell the time of a step; earlier steps share the
        last. 0 for tokens that know their time, as those of video transformers do:
        then the order of the tokens plays no part.
    embedding : int, default=None
        Width of the learned vector of each code, for clips of whole numbers
        (n, T, k) as `HistoryEncoder` gives them. None means that clips are features.
    embedding_std : float, default=0.1
        Standard deviation of the embeddings' initial values. Small values learn more
        from rare codes, and suit long tails; 1 is torch's default.
    input_dropout : float, default=0.0
        Share of the inputs, or of the entries of their embeddings, that is dropped in
        training.
    layer_dropout : float, default=0.0
        Share of what each half of a block adds that is dropped in training.
    dropout : float, default=0.0
        Share of the queries' answers before the classifier that is dropped in training.
    head : VerbNounHead, default=None
        How answers become scores of the classes; None means a linear layer.
    random_delay : int, default=0
        In training each clip ends up to this many steps earlier, by a number that is
        drawn anew in each epoch, all equally often: the network learns to anticipate
        from further away. Padding steps count. A clip keeps its first real step at
        least. Prediction and validation read whole clips.
    {weights}

    References
    ----------
    A. Bardes et al., "Revisiting Feature Prediction for Learning Visual Representations
    from Video", TMLR 2024 (the probe, with one block).
    M. Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding,
    Prediction and Planning", arXiv:2506.09985, 2025 (more blocks; a probe for action
    anticipation with queries for verb, noun and action).

    Examples
    --------
    >>> import torch
    >>> from skanticipate import AttentiveProbe
    >>> spec = AttentiveProbe(hidden_size=32, n_queries=3)
    >>> shape = 4, 5, 5, 16  # steps, height, width, channels
    >>> network = spec.build(shape, 6, generator=torch.Generator().manual_seed(0))
    >>> output = network(torch.zeros(2, *shape))
    >>> output.logits.shape, output.features.shape
    (torch.Size([2, 1, 6]), torch.Size([2, 100, 32]))
    """

    _parameter_constraints = {
        "hidden_size": [SIZE],
        "n_queries": [SIZE],
        "n_blocks": [DEPTH],
        "n_heads": [SIZE],
        "n_positions": [Interval(Integral, 0, SIZE.right, closed="both")],
        "embedding": [SIZE, None],
        "embedding_std": [Interval(Real, 0, None, closed="neither")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "layer_dropout": [Interval(Real, 0, 1, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        **DELAY_CONSTRAINTS,
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    stacks = True
    fixed_shape = False
    _any_length = True
    _looks = "its tokens attend to all steps, later ones too, and count from the end"

    def __init__(
        self,
        hidden_size: int = 256,
        *,
        n_queries: int = 1,
        n_blocks: int = 1,
        n_heads: int = 4,
        n_positions: int = 32,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        input_dropout: float = 0.0,
        layer_dropout: float = 0.0,
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        random_delay: int = 0,
        weights: Weights | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.n_queries = n_queries
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.n_positions = n_positions
        self.embedding = embedding
        self.embedding_std = embedding_std
        self.input_dropout = input_dropout
        self.layer_dropout = layer_dropout
        self.dropout = dropout
        self.head = head
        self.random_delay = random_delay
        self.weights = weights

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        check_heads(self.hidden_size, self.n_heads, "hidden_size")
        if len(input_shape) < 2:
            raise ValueError(
                f"AttentiveProbe expects tokens of shape (n, ..., d), got "
                f"(n, {input_shape[0]}): use MLP for pooled features."
            )
        self.check_delay(input_shape[0])
        network = initialize(_AttentiveProbe(self, input_shape, n_classes), generator)
        start_small(network.blocks, SMALL, generator)
        return network

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """The tokens, one for each position; a step of codes is one token."""
        return clip_shape[:-1]


class Vectors(nn.Embedding):
    """Learned vectors that all rows of a batch have in common."""

    def forward(self, n_rows, places=None):
        """All vectors (B, n, H) of each row, or those at places (B or 1, T)."""
        if places is None:
            return self.weight.expand(n_rows, -1, -1)
        return super().forward(places)


class StackedVectors(StackedEmbedding):
    """`Vectors` of K networks."""

    def forward(self, n_rows, places=None):
        """All vectors (K B, n, H) of each row, or those at places (K B or 1, T)."""
        if places is not None and len(places) > 1:
            return super().forward(places)
        own = self.weight if places is None else self.weight[:, places[0]]  # (K, n, H)
        each = own.unsqueeze(1).expand(-1, n_rows // len(own), -1, -1)
        return each.flatten(0, 1)


STACKED[Vectors] = StackedVectors


class _AttentiveProbe(nn.Module):
    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        width = int(spec.hidden_size)
        self.input = clip_input(spec, input_shape)
        coded = spec.embedding is not None
        self.n_channels = self.input.n_outputs if coded else input_shape[-1]
        self.projection = skip_init(nn.Linear, self.n_channels, width)
        self.positions = None
        if spec.n_positions:
            self.positions = skip_init(Vectors, int(spec.n_positions), width)
        self.queries = skip_init(Vectors, int(spec.n_queries), width)
        self.blocks = nn.ModuleList(
            Block(width, int(spec.n_heads), spec.layer_dropout)
            for _ in range(spec.n_blocks)
        )
        self.input_dropout = Dropout(spec.input_dropout)
        self.dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, width * int(spec.n_queries), n_classes)

    def start(self):
        """Begin with queries and positions that weigh little."""
        with torch.no_grad():
            self.queries.weight *= SMALL
            if self.positions is not None:
                self.positions.weight *= SMALL

    def forward(self, clips):
        tokens, mask = self._tokens(clips)  # (B, N, H), (B, N)
        attended = mask
        if mask is not None:  # a clip of nothing but padding attends to its zeros
            attended = mask | ~mask.any(1, keepdim=True)
        *among_tokens, last = self.blocks
        for block in among_tokens:
            tokens = fill_padding(block(tokens, real=attended), mask)
        queries = self.queries(tokens.shape[0])  # (B, Q, H)
        answers = last(queries, tokens, real=attended).flatten(1)  # (B, Q H)
        logits = self.classifier(self.dropout(answers)).unsqueeze(1)
        return Output(logits, tokens, mask=mask)

    def _tokens(self, clips):
        """Projected positions of all steps, and which of them are real."""
        steps, real = self.input(clips)  # (B, T, P * d), (B, T)
        places = steps.unflatten(-1, (-1, self.n_channels))  # (B, T, P, d)
        tokens = self.projection(self.input_dropout(places))
        if self.positions is not None:
            tokens = tokens + self._times(steps, real).unsqueeze(-2)
        tokens = fill_padding(tokens, real).flatten(1, 2)  # (B, N, H)
        if real is None:
            return tokens, None
        return tokens, real.repeat_interleave(places.shape[2], dim=1)

    def _times(self, steps, real):
        """Vector of each step by the number of real steps after it."""
        if real is None:
            real = torch.ones_like(steps[:1, :, 0], dtype=torch.bool)
        after = real.flip(1).cumsum(1).flip(1) - 1  # -1 in trailing padding
        places = after.clamp(0, self.positions.num_embeddings - 1)
        return self.positions(steps.shape[0], places)
