"""Attention, the block around it, and how both start."""

import math

import torch
from torch import nn
from torch.nn import functional

from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import Dropout

SMALL = 0.02  # GPT-2's and V-JEPA's standard deviation of initial weights


class Block(nn.Module):
    """Pre-norm transformer block: x + attend(norm(x)), then x + mlp(norm(x)).

    With `tokens` they are what is normalised and attended to, and x asks as it is.
    """

    def __init__(self, width, n_heads, dropout, attention_dropout=0.0):
        super().__init__()
        self.norms = nn.ModuleList(skip_init(nn.LayerNorm, width) for _ in range(2))
        self.attention = Attention(width, n_heads, attention_dropout)
        self.widen = skip_init(nn.Linear, width, 4 * width)
        self.narrow = skip_init(nn.Linear, 4 * width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x, tokens=None, **mask):
        """(B, M, H), tokens (B, N, H) -> (B, M, H)."""
        read = self.norms[0](x if tokens is None else tokens)
        asking = read if tokens is None else x
        return self._think(x + self.dropout(self.attention(asking, read, **mask)))

    def go_on(self, x, remembered):
        """As `forward`, of one token (B, 1, H) more, in evaluation.

        `remembered(keys, values)` takes those of the token (B, h, 1, H / h) and gives
        those of all tokens that it may see (B, h, N, H / h), with `real` (B, N).
        """
        read = self.norms[0](x)
        known = remembered(*self.attention.keys_and_values(read))
        return self._think(x + self.attention.ask(read, *known))

    def _think(self, x):
        hidden = functional.gelu(self.widen(self.norms[1](x)), approximate="tanh")
        return x + self.dropout(self.narrow(hidden))


class Attention(nn.Module):
    """Multi-head attention, softmax(Q K^T / sqrt(d)) V in each head.

    With a share of `dropout` weights are dropped after the softmax, in training.
    """

    def __init__(self, width, n_heads, dropout=0.0):
        super().__init__()
        self.n_heads = n_heads
        self.dropout = Dropout(dropout)
        self.query = skip_init(nn.Linear, width, width)
        self.key_value = skip_init(nn.Linear, width, 2 * width)
        self.output = skip_init(nn.Linear, width, width)

    def forward(self, asking, tokens, *, causal=False, real=None):
        """(B, M, H), (B, N, H), real tokens (B, N) or None for all -> (B, M, H).

        Each row needs a real token.
        """
        queries = self._heads(self.query(asking))
        keys, values = self.keys_and_values(tokens)
        mask = None if real is None else real[:, None, None]  # (B, 1, 1, N)
        if self.training and self.dropout.p > 0:
            read = self._read_dropped(queries, keys, values, mask, causal)
        else:  # in one piece, which never holds the weights
            read = functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, is_causal=causal
            )
        return self.output(read.transpose(1, 2).flatten(2))

    def keys_and_values(self, tokens):
        """What tokens (B, N, H) show to those who ask.   -> each (B, h, N, H / h)."""
        return tuple(map(self._heads, self.key_value(tokens).chunk(2, -1)))

    def ask(self, asking, keys, values, real):
        """As `forward` in evaluation, of keys and values (B, h, N, H / h) made before.

        (B, M, H), real (B, N) -> (B, M, H)
        """
        read = functional.scaled_dot_product_attention(
            self._heads(self.query(asking)),
            keys,
            values,
            attn_mask=real[:, None, None],
        )
        return self.output(read.transpose(1, 2).flatten(2))

    def _read_dropped(self, queries, keys, values, mask, causal):
        """Read with weights of which some are dropped.   -> (B, h, M, H / h)."""
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        if causal:
            later = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)  # (M, N)
            scores = scores.masked_fill(later, -math.inf)
        return self.dropout(scores.softmax(-1)) @ values

    def _heads(self, x):
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, h, N, H / h)


def check_heads(width, n_heads, name):
    """Refuse a width that cannot be divided among the heads."""
    if width % n_heads:
        raise ValueError(
            f"{name}={width} cannot be divided among n_heads={n_heads}: choose a "
            "multiple."
        )


def start_small(module, std, generator):
    """Draw all linear weights from N(0, std^2), with biases of zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=std, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in module.modules():
        if hasattr(part, "start"):
            part.start()
