"""The first module of a network: clips, padded with NaN, to finite steps and a mask."""

import numpy as np
import torch
from torch import nn

from skanticipate.data.validation import chunks
from skanticipate.data.warn import warn
from skanticipate.networks.bare import skip_init

_LARGEST_CODE = 1 << 24  # the networks' float32 counts no further
_LAST_OF_HALVES = 1 << 11  # float16 counts no further
_BEHIND_ALL = 1 << 32  # more than the steps of any clip


def real_steps(clips):
    """Steps that are no padding.   (B, T, ..., d) -> (B, T) bool, or None for all."""
    # After validation a step is NaN everywhere or nowhere.
    padding = clips.flatten(2)[..., 0].isnan()
    if torch.compiler.is_compiling():  # a graph is for all clips, not for these
        return ~padding
    return ~padding if padding.any() else None


def fill_padding(steps, real, value=0.0):
    """Steps (B, T, ...) with `value` in place of those that are not real (B, T)."""
    if real is None:
        return steps
    padding = ~real.reshape(*real.shape, *(1,) * (steps.ndim - 2))
    return steps.masked_fill(padding, value)


def mean_over_steps(steps, real):
    """Mean over the real steps, zero where there is none.   (B, T, H) -> (B, H)."""
    if real is None:
        return steps.mean(1)
    total = fill_padding(steps, real).sum(1)
    return total / real.sum(1, keepdim=True).clamp(min=1)


def real_first(steps, real):
    """Move real steps to the front, in order: a recurrence sees no padding before them.

    steps (B, T, e), real (B, T) -> (B, T, e)
    """
    if torch.compiler.is_compiling():  # ONNX has no stable sort
        places = torch.arange(real.shape[1], device=real.device)
        order = torch.where(real, places, places + _BEHIND_ALL).argsort(dim=1)
    else:
        order = (~real).to(torch.int8).argsort(dim=1, stable=True)
    return steps.gather(1, order.unsqueeze(-1).expand_as(steps))


def hold_last(states, real):
    """Put what `real_first` moved back; a padding step holds what came before it.

    states (B, T, H), real (B, T) -> (B, T, H), zeros before the first real step
    """
    latest = real.cumsum(1) - 1  # the last real step so far, -1 before any
    source = latest.clamp(min=0).unsqueeze(-1).expand(-1, -1, states.shape[-1])
    return states.gather(1, source) * (latest >= 0).unsqueeze(-1)


class FeatureInput(nn.Module):
    """Features as they are; padding steps become zeros."""

    def __init__(self, input_shape):
        super().__init__()
        self.n_outputs = int(np.prod(input_shape[1:]))

    def forward(self, clips):
        """(B, T, ..., d) -> steps (B, T, n_outputs), real (B, T) or None for all."""
        steps = clips.flatten(2)
        real = real_steps(steps)
        return fill_padding(steps, real), real


class CodeInput(nn.Module):
    """A learned vector for each code; the vectors of a step's codes side by side.

    Code 0 stands for an unknown label and starts as the zero vector; codes that the
    tables do not hold count as unknown. A step with a negative or NaN code is padding.
    """

    def __init__(self, table_sizes, width, std):
        super().__init__()
        self.std = std
        self.n_outputs = width * len(table_sizes)
        self.tables = nn.ModuleList(
            skip_init(nn.Embedding, n, width) for n in table_sizes
        )

    def forward(self, codes):
        """(B, T, k) -> steps (B, T, k * width), real (B, T)."""
        codes = codes.nan_to_num(nan=-1.0).long()
        real = codes[..., 0] >= 0
        known = [
            torch.where((column >= 0) & (column < table.num_embeddings), column, 0)
            for table, column in zip(self.tables, codes.unbind(-1), strict=True)
        ]
        vectors = [table(c) for table, c in zip(self.tables, known, strict=True)]
        return torch.cat(vectors, -1) * real.unsqueeze(-1), real

    def start(self):
        """Begin with vectors of the wanted size, and none for unknown labels."""
        with torch.no_grad():
            for table in self.tables:
                table.weight *= self.std
                table.weight[0] = 0


def clip_input(spec, input_shape):
    """Build the input module of clips of features, or of codes."""
    if spec.embedding is None:
        return FeatureInput(input_shape)
    return CodeInput(input_shape[-1], int(spec.embedding), spec.embedding_std)


def code_shape(rows):
    """Shape of clips of codes, the last entry one table size a column: (T, (n, ...)).

    Raises
    ------
    ValueError
        If the input is not (n, T, k) or a code is no whole number.
    """
    if rows.ndim != 3:
        raise ValueError(
            f"embedding= expects codes of shape (n, T, k), got {rows.shape}: encode "
            "past actions with HistoryEncoder, or leave embedding=None for features."
        )
    largest, last = np.zeros(rows.shape[-1]), _largest_of(rows.dtype)
    has_next = False
    for codes in _whole_numbers(rows):
        if codes.max() >= _LARGEST_CODE:
            raise ValueError(
                f"embedding= makes a table as long as the largest code, {codes.max()}: "
                "number the labels from 1 on, as HistoryEncoder does."
            )
        largest = np.maximum(largest, codes.max(axis=(0, 1)))
        has_next |= bool((codes == last - 1).any())
    if largest.max() == last and not has_next:
        warn(
            f"The codes hold {last}, which {rows.dtype} makes of -1: if it is padding, "
            "keep codes in a type that has a sign, as HistoryEncoder gives them."
        )
    return rows.shape[1], tuple(int(n) + 1 for n in largest)


def _largest_of(dtype):
    """The number that -1 becomes in a type without sign; of others none, -1."""
    return np.iinfo(dtype).max if dtype.kind == "u" else -1


def padding_of(rows, spec):
    """Steps of clips that a network of a spec leaves out.   (n, T, ...) -> (n, T) bool.

    As `FeatureInput` and `CodeInput` have it, of clips that were checked.
    """
    holds_codes = getattr(spec, "embedding", None) is not None
    padding = np.zeros(rows.shape[:2], dtype=bool)
    if not holds_codes and rows.dtype.kind != "f":
        return padding
    for start, chunk in chunks(rows):
        first = chunk.reshape(*chunk.shape[:2], -1)[..., 0]  # (b, T)
        here = ~(first >= 0) if holds_codes else np.isnan(first)
        padding[start : start + len(chunk)] = here
    return padding


def check_codes(rows):
    """Refuse clips (n, T, k) of what are no codes."""
    for _ in _whole_numbers(rows):
        pass


def _whole_numbers(rows):
    """Yield the codes of some rows at a time, -1 for padding.   (b, T, k)."""
    for _, codes in chunks(rows):
        if codes.dtype.kind == "f":
            codes = np.nan_to_num(codes.astype(np.float64), nan=-1)
        if (codes != np.trunc(codes)).any():
            raise ValueError(
                "embedding= expects whole numbers as codes, got "
                f"{codes[codes != np.trunc(codes)][0]}: leave embedding=None for "
                "features."
            )
        if rows.dtype == np.float16 and codes.max() > _LAST_OF_HALVES:
            raise ValueError(
                f"embedding= got the code {codes.max():g} as float16, which holds no "
                f"whole number between {_LAST_OF_HALVES:,} and the next but one: codes "
                "have become others. Keep them in a type of whole numbers."
            )
        yield codes
