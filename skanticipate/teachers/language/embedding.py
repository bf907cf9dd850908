"""Texts as vectors of a language model: few forward rows, and little padding."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from skanticipate.data.warn import warn
from skanticipate.teachers.language.encoder import load_encoder, longest_text, quiet
from skanticipate.training.runtime import resolve_device

_ROWS = 64  # in a batch of `embed`
_FEW = 0.1  # of the texts, of which nothing is said


class Tokens(NamedTuple):
    """Tokens of a batch of texts, padded at the end to the longest."""

    ids: torch.Tensor  # (B, T) int64
    mask: torch.Tensor  # (B, T) int64, 1 at tokens and 0 at padding

    def to(self, device):
        """The same on a device."""
        return Tokens(self.ids.to(device), self.mask.to(device))


class TextEncoder(nn.Module):
    """A language model and a pooling: one vector for each text.

    Parameters
    ----------
    network : torch.nn.Module
        Encoder of transformers.
    pooling : {"mean", "first"}
        The mean over the tokens of a text, or its first token.
    """

    def __init__(self, network, pooling):
        super().__init__()
        self.network = network
        self.pooling = pooling

    def forward(self, tokens):
        """Tokens of B texts -> (B, d)."""
        output = self.network(input_ids=tokens.ids, attention_mask=tokens.mask)
        states = output.last_hidden_state  # (B, T, d)
        if self.pooling == "first":
            return states[:, 0]
        mask = tokens.mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
        return (states * mask).sum(1) / mask.sum(1)


class TextReader:
    """A tokenizer and the encoder that it belongs to.

    Parameters
    ----------
    model : str or path-like
        As in `load_encoder`.
    pooling : {"mean", "first"}
        As in `TextEncoder`.
    max_length : int or None
        Tokens of a text that are read; None means all that the model can read.
    device : str or torch.device
        Where the encoder computes, as in `resolve_device`.
    weights : dict of str to ndarray, default=None
        Weights of the encoder; None means those of the folder.
    """

    def __init__(self, model, *, pooling, max_length, device, weights=None):
        self.device = resolve_device(device)
        self.tokenizer, network = load_encoder(model)
        self.max_length = check_length(max_length, self.tokenizer, network)
        if weights is not None:
            _put(weights, network, model)
        self.encoder = TextEncoder(network, pooling).to(self.device)

    def tokenize(self, texts):
        """Token ids of each of some distinct texts, and how many texts were cut."""
        rows, n_cut = tokenize(self.tokenizer, texts, self.max_length)
        _warn_of_unknown(rows, self.tokenizer)
        return rows, n_cut

    def pad(self, rows):
        """Batch of rows of token ids.   -> Tokens."""
        return pad(rows, self.tokenizer.pad_token_id).to(self.device)

    @torch.no_grad()  # training takes what it gives, so no inference mode
    def embed(self, rows):
        """Vectors of rows of token ids, in their order.   -> (n, d), on the device.

        Rows of similar length share a batch, so that few of the tokens that are
        computed are padding.
        """
        self.encoder.eval()
        order = np.argsort([len(row) for row in rows], kind="stable")
        vectors = None
        for start in range(0, len(rows), _ROWS):
            batch = order[start : start + _ROWS]
            found = self.encoder(self.pad([rows[k] for k in batch]))  # (B, d)
            if vectors is None:
                vectors = found.new_empty(len(rows), found.shape[1])
            vectors[torch.from_numpy(batch).to(found.device)] = found
        return vectors


def _put(weights, network, model):
    try:
        network.load_state_dict({k: torch.tensor(w) for k, w in weights.items()})
    except RuntimeError as error:
        raise ValueError(
            f"The model in {model} has other weights than in fit: restore that model, "
            "or fit again."
        ) from error


def tokenize(tokenizer, texts, max_length):
    """Token ids of each text; of a text that is too long the end is kept.

    Returns
    -------
    rows : list of lists of int
    n_cut : int
        Texts that were too long.
    """
    with quiet():
        rows = tokenizer(list(texts))["input_ids"]
        long = [k for k, row in enumerate(rows) if len(row) > max_length]
        if long:
            limits = {"truncation": True, "max_length": max_length}
            cut = tokenizer([texts[k] for k in long], **limits)["input_ids"]
            for k, row in zip(long, cut, strict=True):
                rows[k] = row
    # Where nothing marks the ends of a text, an empty one would have no token at all.
    return [row or [tokenizer.pad_token_id] for row in rows], len(long)


def _warn_of_unknown(rows, tokenizer):
    """Warn where distinct texts are one to the model, which lacks their words."""
    times = Counter(map(tuple, rows))
    alike = [
        row for row in rows if times[tuple(row)] > 1 and tokenizer.unk_token_id in row
    ]
    if len(alike) > _FEW * len(rows):
        read = tokenizer.decode(alike[0])
        warn(
            f"{len(alike)} of {len(rows)} distinct texts cannot be told apart: the "
            "tokenizer does not know the words in which they differ, and reads "
            f"{read!r:.80}. Check the names of verbs and nouns, or choose a model of "
            "their language."
        )


def pad(rows, filler):
    """Rows of token ids as one batch, padded with `filler`.   -> Tokens."""
    rows = [torch.tensor(row) for row in rows]
    mask = [torch.ones_like(row) for row in rows]
    return Tokens(
        pad_sequence(rows, batch_first=True, padding_value=filler),
        pad_sequence(mask, batch_first=True),
    )


def check_length(max_length, tokenizer, network):
    """Tokens of a text that are read.   -> int."""
    limit = longest_text(tokenizer, network)
    if max_length is None:
        return limit
    if max_length > limit:
        raise ValueError(
            f"max_length={max_length}, but the model reads at most {limit} tokens: "
            "lower it, or set it to None."
        )
    return max_length
