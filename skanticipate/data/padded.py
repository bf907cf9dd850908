"""Hints at clips and histories that look padded in another way than with NaN.

Padding is looked for in some of the rows, so that it costs the same however many there
are.
"""

import numpy as np

from skanticipate.data.layout import may_be_labels, row_bytes, shape_text, some_of
from skanticipate.data.missing import missing_mask
from skanticipate.data.warn import warn

_READ_AGAIN = 1 << 24  # bytes of clips that may be
_SHARE = 0.05  # of the rows that must end with zeros before anything is said
_SHARE_OF_OTHERS, _N_OF_OTHERS = 0.2, 5  # that must end with another step, the same
_OF_FEATURES = (
    "Zeros, and other numbers, are read as features; padding is NaN, on the left, from "
    "before a scaler on: stack clips of unequal length with pad_clips, or set leading "
    "steps that do not exist to NaN."
)
_OF_CODES = "Code 0 is that of an unknown label; padding is -1, on the left."


def ends_of(rows):
    """First and last step of some clips.   (n, T, ..., d) -> (b, 2, ..., d)."""
    return np.concatenate([clips[:, [0, -1]] for clips in some_of(rows)])


def hint_padding(rows, name="", *, codes=False, ends=None):
    """Warn of clips whose ends look padded with numbers.   (n, T, d), (n, l, h, w, d).

    Zero steps, or one and the same step, as zeros are after a scaler, look like padding
    where they stand at one end, more of them in some clips than in others, and hardly
    anywhere else. Of codes, one-hot actions and counts many clips may begin or end with
    the same, or begin with none that is known: only zeros at their end are told of.

    Parameters
    ----------
    rows : RowView of shape (n, ..., d)
    name : str, default=""
        What the clips are called, where it is not plain which of them are meant.
    codes : bool, default=False
        Whether they are codes of past actions.
    ends : ndarray or None, default=None
        What `ends_of` gave, where it is known.

    Returns
    -------
    bool
        Whether it was warned of.
    """
    told = False
    if rows.ndim not in (3, 5) or rows.shape[0] < 2:
        return told
    ends = ends_of(rows) if ends is None else ends
    if not _begin_alike(ends):  # as mostly, and quick to tell
        return told
    within = tuple(range(2, rows.ndim))
    whose = f" of {name}" if name else ""
    zero = np.concatenate([(clips == 0).all(axis=within) for clips in some_of(rows)])
    labels = codes or (_are_whole(ends) and all(map(may_be_labels, some_of(rows))))
    may_be_filled = not labels and len(zero) * row_bytes(rows) <= _READ_AGAIN
    for at, verb in ((0, "begin"), (-1, "end"))[labels:]:
        same, steps = zero, "steps that are all zero"
        if may_be_filled and (fill := _filled_with(ends[:, at])) is not None:
            told_of = [(clips == fill).all(axis=within) for clips in some_of(rows)]
            same, steps = np.concatenate(told_of), "the same step"
        if _look_padded(same, at, same is zero):
            told = True
            warn(
                f"Many clips{whose} of shape {shape_text(rows)} {verb} with {steps}, "
                "some with more of them than others, as if padded. "
                f"{_OF_CODES if codes else _OF_FEATURES}"
            )
    return told


def _begin_alike(ends):
    """Whether a good share of first or of last steps has one first number.

    (b, 2, ..., d)
    """
    numbers = np.sort(ends.reshape(len(ends), 2, -1)[:, :, 0], axis=0)
    others = int(max(2, np.ceil(_SHARE * len(ends)))) - 1
    return (numbers[others:] == numbers[: len(numbers) - others]).any()  # never of NaN


def _filled_with(steps):
    """The step, not of zeros, that very many clips have at one end, or None.

    (b, ..., d) -> (..., d)
    """
    hashes = [hash(step.tobytes()) for step in steps]
    _, first, count = np.unique(hashes, return_index=True, return_counts=True)
    most = count.argmax()
    fill = steps[first[most]]
    few = count[most] < max(_N_OF_OTHERS, _SHARE_OF_OTHERS * len(steps))
    return None if few or not fill.any() or (fill != fill).all() else fill


def _look_padded(same, at, are_zero):
    """Whether the steps that are the same stand at one end, first or last.   (b, T)."""
    runs = n_leading(same if at == 0 else same[:, ::-1])
    n_elsewhere = same[~same.all(axis=1)].sum() - runs.sum()
    # Clips that are there several times have runs of one length.
    several = are_zero or len(np.unique(runs[runs > 0])) > 1
    return 10 * n_elsewhere <= runs.sum() and several and vary(runs)


def hint_trailing_padding(rows, reader, ends, *, codes=False, is_new=False):
    """Warn of padding at the end, for a network that counts steps from there.

    Of codes a negative one is padding too. Of clips that are new to a fitted network
    all may have as much of it. `ends` are of `ends_of`.   -> whether it was warned of
    """
    within = tuple(range(2, rows.ndim))

    def are_padding(clips):
        found = clips < 0 if codes else np.isnan(clips)
        return found.all(axis=within)

    if not are_padding(ends[:, 1:]).any():
        return False
    padding = np.concatenate([are_padding(clips) for clips in some_of(rows)])
    runs = n_leading(padding[:, ::-1])
    found = (runs > 0).mean() >= _SHARE if is_new else vary(runs)
    if found:
        warn(
            f"Many clips of shape {shape_text(rows)} end with steps of padding, but "
            f"{reader} goes by the place of a step, the last one next to the action: "
            "pad on the left, as pad_clips does."
        )
    return found


def hint_right_padding(histories):
    """Warn of rows of past labels (n, L) that end with missing ones; say if so."""
    if histories.ndim != 2 or 0 in histories.shape:
        return False
    missing = np.concatenate([missing_mask(labels) for labels in some_of(histories)])
    found = vary(n_leading(missing[:, ::-1]))
    if found:
        warn(
            f"Many rows of past_actions, of shape {shape_text(histories)}, end with "
            "missing labels, some with more of them than others, as if padded on the "
            "right. The last label of a row is that of the latest action: pad short "
            "histories on the left."
        )
    return found


def n_leading(flags):
    """Number of leading steps with a flag; 0 where all have it.   (b, T) -> (b,)."""
    n = np.logical_and.accumulate(flags, axis=1).sum(axis=1)
    return np.where(n == flags.shape[1], 0, n)


def vary(lengths):
    """Whether a good share of the lengths is positive, and not all are the same."""
    n = (lengths > 0).sum()
    return n >= max(2, _SHARE * len(lengths)) and len(np.unique(lengths)) > 1


def _are_whole(clips):
    numbers = clips[np.isfinite(clips)]
    return bool((numbers == np.trunc(numbers)).all())
