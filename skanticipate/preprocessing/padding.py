"""Clips of unequal length as one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from skanticipate.data.layout import hint_channels_first
from skanticipate.data.masked import refuse_masked
from skanticipate.data.names import check_tables_alike, hint_steps
from skanticipate.data.numbers import STEPS
from skanticipate.data.parameters import validate_params
from skanticipate.data.places import check_ascending
from skanticipate.data.rows import RowView
from skanticipate.data.stored import check_stored
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.validation import refuse_samples
from skanticipate.data.whole_numbers import hint_bits

_N_LOOKED_AT = 200
_LARGEST_WHOLE = {np.float32: 1 << 24, np.float64: 1 << 53}  # beyond, some are skipped


@validate_params(
    {
        "clips": ["array-like"],
        "n_steps": [STEPS, None],
    },
    prefer_skip_nested_validation=True,
)
def pad_clips(
    clips: Sequence[ArrayLike] | np.ndarray, *, n_steps: int | None = None
) -> np.ndarray:
    """Stack clips of unequal length, padded on the left with steps of NaN.

    Every clip ends at the last step, next to the action, and a step that is all NaN
    is what anticipators and transformers of this library read as padding.

    Parameters
    ----------
    clips : sequence of n array-likes of shape (T_i, d) or (T_i, ..., d)
        Features of the steps of each clip, the latest step last. A clip of no steps
        becomes a row of NaN.
    n_steps : int, default=None
        Number of steps T of the result; of longer clips the last T steps are kept.
        None takes that of the longest clip.

    Returns
    -------
    X : ndarray of shape (n, T, d) or (n, T, ..., d)
        Floats keep their type, the widest one if they differ; integers and booleans
        have no NaN and become float32, in which networks compute, or float64 if one is
        beyond 2**24, where float32 skips whole numbers.

    Raises
    ------
    ValueError
        If there is no clip or not a single step, if clips are named, if one has fewer
        than two axes, other axes after the first than the first clip, no real numbers,
        or integers beyond 2**53, which no float holds, if the index of a table runs
        backwards, or if `n_steps` is below 1 or beyond
        1,000,000.

    Warns
    -----
    UserWarning
        If arrays with names call their axes (feature, time), or a column of tables
        counts the rows.

    See Also
    --------
    PerFrame : Transform the steps, padding aside.

    Notes
    -----
    Of tables the names of columns must be alike, and are lost: keep all tables in one
    order, of later calls too.

    For features. The codes of :class:`HistoryEncoder` are padded with -1 instead: pad
    the labels, before it, with None.

    Zeros are features, not padding. Sequences (n, T, d) that were padded with zeros, at
    either end, become ``pad_clips([clip[clip.any(axis=1)] for clip in X])``, if no real
    step is all zero.

    Examples
    --------
    >>> from skanticipate.preprocessing import pad_clips
    >>> clips = [[[1.0], [2.0], [3.0]], [[9.0]]]  # (3, 1) and (1, 1)
    >>> pad_clips(clips)[:, :, 0]
    array([[ 1.,  2.,  3.],
           [nan, nan,  9.]])
    >>> pad_clips(clips, n_steps=2)[:, :, 0]
    array([[ 2.,  3.],
           [nan,  9.]])
    """
    if isinstance(clips, Mapping) or hasattr(clips, "groups"):  # as pandas groups rows
        raise ValueError(
            f"clips must be a list of clips, got a {type(clips).__name__}: pass the "
            "clips alone, in the order of the rows, as list(clips.values()) of a dict."
        )
    refuse_samples(clips, "clips")
    if hasattr(clips, "shape"):  # of which a file may say more than of its parts
        check_stored(clips, "clips")
    else:
        clips = list(clips)
    hint_steps(clips, "clips")
    clips = list(clips)
    check_tables_alike(clips, "clips")
    arrays = [_as_clip(clip, number) for number, clip in enumerate(clips)]
    if not arrays:
        raise ValueError("clips is empty: expected at least one clip (T, d).")
    _check_same_step(arrays)
    if arrays[0].dtype.itemsize == 2:
        hint_bits(RowView(np.concatenate(arrays)))
    if n_steps is not None and len(set(map(len, arrays))) == 1:
        hint_channels_first(RowView(np.stack(arrays[:_N_LOOKED_AT])))
    return padded(arrays, n_steps)


def padded(arrays: Sequence[np.ndarray], n_steps: int | None = None) -> np.ndarray:
    """Stack checked clips, as `pad_clips` does.   n (T_i, ..., d) -> (n, T, ..., d)."""
    n_steps = max(map(len, arrays)) if n_steps is None else n_steps
    if not n_steps:
        raise ValueError(
            f"None of the {len(arrays)} clips has a step: give at least one clip (T, "
            "d) with T above 0, or n_steps=."
        )
    dtypes = {_float_dtype(clip, number) for number, clip in enumerate(arrays)}
    dtype = np.result_type(*dtypes)
    X = np.full((len(arrays), n_steps, *arrays[0].shape[1:]), np.nan, dtype=dtype)
    for row, clip in zip(X, arrays, strict=True):
        last = clip[-n_steps:]
        row[n_steps - len(last) :] = last
    return X


def _as_clip(clip: ArrayLike, number: int) -> np.ndarray:
    """One clip as an array of numbers.   -> (T, ..., d)."""
    refuse_masked(
        clip,
        f"clips[{number}]",
        "Pass .filled(np.nan), of floats, if whole steps are hidden: they are padding.",
    )
    check_ascending(clip, f"clips[{number}]")
    clip = plain_numbers(clip, f"clips[{number}]")
    try:
        array = np.asarray(clip)
    except ValueError as error:  # numpy's words for steps of unequal length
        raise ValueError(f"clips[{number}] is no array (T, d): {error}.") from error
    if array.ndim < 2:
        raise ValueError(
            f"clips[{number}] has shape {array.shape}: expected (T, d), steps by "
            "features. Give a feature that is one number a step as clip[:, None], and "
            "a single clip as [clip]."
        )
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"clips[{number}] has dtype {array.dtype}: expected real numbers."
        )
    return array


def _check_same_step(clips):
    expected = clips[0].shape[1:]
    for number, clip in enumerate(clips):
        if clip.shape[1:] != expected:
            raise ValueError(
                f"clips[{number}] has shape {clip.shape} but clips[0] has "
                f"{clips[0].shape}: only the number of steps, the first axis, may "
                "differ."
            )


def _float_dtype(clip, number):
    """Type that holds the numbers of a clip exactly."""
    if clip.dtype.kind == "f":
        return clip.dtype
    largest = 0
    if clip.size and clip.dtype.itemsize > 2:
        largest = max(int(clip.max()), -int(clip.min()))
    if largest > _LARGEST_WHOLE[np.float64]:
        raise ValueError(
            f"clips[{number}] holds the whole number {largest}, beyond 2**53: expected "
            "features. Subtract an offset, or scale them, as integers."
        )
    wide = largest > _LARGEST_WHOLE[np.float32]
    return np.dtype(np.float64 if wide else np.float32)
