"""Tables of annotated segments: what had happened before each, and in what order."""

from __future__ import annotations

from numbers import Integral
from typing import Literal

import numpy as np
from sklearn.utils._param_validation import StrOptions

from skanticipate._typing import Columns, Rate
from skanticipate.data.boxes import unboxed_columns
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import as_list, is_never_a_name
from skanticipate.data.numbers import SECONDS, STEPS
from skanticipate.data.parameters import validate_params
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.twins import warn_of_twins
from skanticipate.datasets._columns import check_table
from skanticipate.datasets._names import check_names
from skanticipate.datasets._repeats import hint_repeats
from skanticipate.datasets._times import RATES, on_one_clock, refuse_halves

_LATEST_FRAME = 2**53  # beyond, floats skip whole numbers
_LATEST_OF_HALVES = 2**11
SPAN_COLUMNS = ("video", "start_frame", "stop_frame")
_FPS = [*RATES, None]


@validate_params(
    {
        "segments": "no_validation",
        "history": [STEPS],
        "anticipation_time": [SECONDS],
        "rule": [StrOptions({"ended", "started", "all"})],
        "fps": _FPS,
    },
    prefer_skip_nested_validation=True,
)
def label_history(
    segments: Columns,
    *,
    history: int = 5,
    anticipation_time: float = 1.0,
    rule: Literal["ended", "started", "all"] = "ended",
    fps: Rate | None = 30,
) -> np.ndarray:
    """Past action labels of each segment of a table.

    The rule decides a great deal: on EPIC-KITCHENS-55 the same network gets a
    top-5 accuracy of 26 % from segments that had ended, 35 % from those that had
    started and 37 % from all earlier ones. State it with every number.

    Parameters
    ----------
    segments : Bunch, mapping or DataFrame
        Table with the columns `video`, `start_frame`, `stop_frame` and `action`,
        in any row order. Segments of a video may overlap.
    history : int, default=5
        Number of past segments to keep, the latest ones.
    anticipation_time : float, default=1.0
        Seconds between the end of what is observed and the start of the target.
    rule : {"ended", "started", "all"}, default="ended"
        Which segments of the same video count as past:

        - "ended": those that stopped at least `anticipation_time` seconds before
          the target starts. What a viewer at that moment has seen as a whole.
        - "started": those that started at least `anticipation_time` seconds before
          the target starts, even if they go on during the target.
        - "all": those that start in an earlier frame than the target.
          **`anticipation_time` is not used**: labels may stem from frames that
          an anticipating viewer has not seen.

    fps : float, mapping of video to float, table or None, default=30
        Frames per second of `start_frame` and `stop_frame`: of all videos; of each; or
        a table with the columns `video` and `fps`, as :func:`read_video_info` gives it.
        Not used where the table has its times in seconds, in the columns
        `start_seconds` and `stop_seconds`, as :func:`read_segments` gives them for
        official files: those are the truth. None says that it must have them. A table
        that has the seconds of each video, too, in the column `duration`, is compared
        with the segments.

    Returns
    -------
    past_actions : ndarray of shape (n_segments, history)
        Row i belongs to row i of the table. Labels are ordered by the start of
        their segments, then by the stop, the latest one last, and padded on the
        left: with -1 for integer labels, with "" for strings. The target itself
        is never part of its history.

    Raises
    ------
    ValueError
        If a column is missing or hides values behind a mask, the table is empty,
        columns differ in length, the name of a video is missing, a frame is not
        finite, a segment stops before it starts, `fps` lacks a video or has 0 for one,
        a segment starts after the `duration` of its video, or a parameter is out of its
        range.
    TypeError
        If actions are neither all integers nor all strings.

    Warns
    -----
    UserWarning
        If a segment only stops after the `duration` of its video; if frames, at their
        rate, are other times than the table says in a column `start_timestamp`,
        `stop_timestamp` or `start_seconds`, which alone is not used; if they have
        fractions and look like seconds; if one row in a hundred repeats another.

    See Also
    --------
    label_sequences : All labels of each video, for priors that count transitions.
    skanticipate.preprocessing.HistoryEncoder : Past labels as numbers for a model.

    Examples
    --------
    >>> from skanticipate.datasets import label_history
    >>> segments = {
    ...     "video": ["a", "a", "a", "b"],
    ...     "start_frame": [0, 60, 150, 0],
    ...     "stop_frame": [50, 130, 200, 90],
    ...     "action": [7, 8, 9, 7],
    ... }
    >>> label_history(segments, history=2, anticipation_time=1.0)
    array([[-1, -1],
           [-1, -1],
           [-1,  7],
           [-1, -1]])
    >>> label_history(segments, history=2, rule="started")
    array([[-1, -1],
           [-1,  7],
           [ 7,  8],
           [-1, -1]])
    """
    segments = unboxed_columns(segments)
    video, start, stop, action = _checked_columns(segments)
    hint_repeats(video, start, stop, action)
    start, stop, per_second = on_one_clock(segments, start, stop, fps)
    # Rounded, or 25 fps * 0.28 s would be 7.000000000000001 frames.
    limit = start - round(per_second * anticipation_time, 6)
    order = np.lexsort((stop, start, video))
    video, start, stop, limit = (c[order] for c in (video, start, stop, limit))
    if rule == "all":
        first, end = _earlier_rows(video, start, start, side="left")
    else:
        first, end = _earlier_rows(video, start, limit, side="right")
    stop_limit = limit if rule == "ended" else np.full(len(limit), np.inf)

    filler = "" if action.dtype.kind in "UO" else -1
    past = np.full((len(order), history), filler, dtype=action.dtype)
    for row, position, slot in _walk_back(first, end, stop, stop_limit, history):
        past[order[row], slot] = action[order[position]]
    return past


def _earlier_rows(video, start, limit, side):
    """Range [first, end) of the sorted rows of a row's video up to its limit."""
    values, rank = np.unique(np.concatenate([start, limit]), return_inverse=True)
    start_rank, limit_rank = np.split(rank, 2)
    # One integer key for (video, time), so that one search serves all videos.
    key = video * len(values) + start_rank
    end = np.searchsorted(key, video * len(values) + limit_rank, side=side)
    return np.searchsorted(video, video), end


def _walk_back(first, end, stop, stop_limit, history):
    """Yield (row, position, slot): row has seen position, put it into slot.

    All rows step back together, one position a turn, so that the number of turns
    is `history` plus the largest number of segments that had to be passed over.
    """
    slot = np.full(len(end), history - 1)
    position = end - 1
    active = np.flatnonzero(position >= first)
    while active.size:
        seen = stop[position[active]] <= stop_limit[active]
        seen &= position[active] != active  # the target is not its own past
        row = active[seen]
        yield row, position[row], slot[row]
        slot[row] -= 1
        position[active] -= 1
        active = active[(slot[active] >= 0) & (position[active] >= first[active])]


@validate_params(
    {
        "segments": "no_validation",
        "max_gap": [SECONDS, None],
        "fps": _FPS,
    },
    prefer_skip_nested_validation=True,
)
def label_sequences(
    segments: Columns, *, max_gap: float | None = None, fps: Rate | None = 30
) -> list[np.ndarray]:
    """Action labels of each video of a table, in the order of time.

    What `sequences=` of :class:`skanticipate.priors.TemporalPrior` and
    :class:`skanticipate.priors.TransitionPrior` takes. Pass training segments only.

    Parameters
    ----------
    segments : Bunch, mapping or DataFrame
        Table with the columns `video`, `start_frame`, `stop_frame` and `action`,
        in any row order. Segments of a video may overlap.
    max_gap : float, default=None
        Seconds. A video is cut where the next segment starts more than this after
        all earlier ones have stopped, so that what lies on either side of a long
        gap is no transition. None never cuts.
    fps : float, mapping of video to float, table or None, default=30
        Frames per second of `start_frame` and `stop_frame`: of all videos; of each; or
        a table with the columns `video` and `fps`, as :func:`read_video_info` gives it.
        Not used where the table has its times in seconds, in the columns
        `start_seconds` and `stop_seconds`, as :func:`read_segments` gives them for
        official files: those are the truth. None says that it must have them. A table
        that has the seconds of each video, too, in the column `duration`, is compared
        with the segments.

    Returns
    -------
    sequences : list of ndarrays of shape (length,)
        One for each video, or for each piece of a video that is cut; all their
        lengths sum up to the number of segments. Videos come in the order in which
        the table first names them, labels in that of the start of their segments,
        then of the stop, then of the table.

    Raises
    ------
    ValueError
        As :func:`label_history`.
    TypeError
        If actions are neither all integers nor all strings.

    Warns
    -----
    UserWarning
        As :func:`label_history`.

    See Also
    --------
    label_history : The last labels before each segment.

    Notes
    -----
    Where training and held-out clips share videos, consecutive training clips may
    skip held-out ones. On split 1 of EGTEA Gaze+ (26 of the 32 subjects) 14 % of
    the 6,352 transitions do; `max_gap=10` drops 62 % of those and 15 % of the
    others, `max_gap=5` 81 % and 29 %.

    Examples
    --------
    >>> from skanticipate.datasets import label_sequences
    >>> segments = {
    ...     "video": ["b", "a", "a", "a"],
    ...     "start_frame": [0, 400, 60, 0],
    ...     "stop_frame": [90, 450, 130, 50],
    ...     "action": [7, 9, 8, 7],
    ... }
    >>> label_sequences(segments)
    [array([7]), array([7, 8, 9])]
    >>> label_sequences(segments, max_gap=5.0)
    [array([7]), array([7, 8]), array([9])]
    """
    segments = unboxed_columns(segments)
    video, start, stop, action = _checked_columns(segments)
    hint_repeats(video, start, stop, action)
    start, stop, per_second = on_one_clock(segments, start, stop, fps)
    longest = np.inf if max_gap is None else round(per_second * max_gap, 6)
    first_row = np.unique(video, return_index=True)[1][video]
    order = np.lexsort((stop, start, first_row))
    sequences = []
    for rows in np.split(order, np.flatnonzero(np.diff(first_row[order])) + 1):
        latest_stop = np.maximum.accumulate(stop[rows])[:-1]
        cuts = np.flatnonzero(start[rows][1:] > latest_stop + longest) + 1
        sequences += np.split(action[rows], cuts)
    return sequences


def _checked_columns(segments):
    """Video codes, start, stop and action of a table, all of one length."""
    video, start, stop, action = _columns(segments, (*SPAN_COLUMNS, "action"))
    return video, start, stop, _label_column(action)


def checked_spans(segments):
    """Video codes, start and stop of a table that need not have labels."""
    return _columns(segments, SPAN_COLUMNS)


def _columns(segments, names):
    check_table(segments, "segments")
    missing = [name for name in names if name not in segments]
    if missing:
        hint = " Read an official file with read_segments." * ("video_id" in segments)
        raise ValueError(
            f"segments has no column {', '.join(map(repr, missing))}: expected a "
            f"table with the columns {', '.join(names)}.{hint}"
        )
    for name in names:
        column = segments[name]
        if not hasattr(column, "__len__") or getattr(column, "ndim", 1) == 0:
            raise ValueError(
                f"segments has {column!r:.40} as {name}: expected a column, with one "
                "entry for each segment."
            )
    check_rows_alike(**{name: segments[name] for name in names})
    check_videos(segments["video"], "video")
    if "action" in names:
        check_names(segments["action"], "action")
    for name in names[1:]:
        refuse_masked(segments[name], name, "Drop these segments, or fill them in.")
    video, start, stop, *rest = columns = [np.asarray(segments[n]) for n in names]
    shapes = {name: column.shape for name, column in zip(names, columns, strict=True)}
    if len(set(shapes.values())) > 1 or video.ndim != 1:
        raise ValueError(
            f"segments has columns of the shapes {shapes}: expected one entry for "
            "each segment in every column."
        )
    if not len(video):
        raise ValueError("segments is empty: expected at least one row.")
    start, stop = check_frames(start, "start_frame"), check_frames(stop, "stop_frame")
    _check_order(start, stop)
    return _video_codes(video), start, stop, *rest


def check_videos(column, what):
    """Refuse names of videos that are missing, which would all be one video."""
    check_names(column, what)
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        refuse_masked(column, what, "Name the video of every row, or drop these rows.")
        return
    names = as_list(column)
    missing = [row for row, name in enumerate(names) if is_never_a_name(name)]
    if missing:
        raise ValueError(
            f"{what} is {names[missing[0]]!r} in row {missing[0]} ({len(missing)} such "
            "rows): expected the name of a video in every row. Name it, or drop them."
        )
    warn_of_twins(what, names, "in all rows")


def check_frames(frames, name):
    """Finite numbers of frames, as int64 or float64.   (n,) -> (n,).

    Narrow and unsigned integers, as tables store them, wrap round in sums and
    differences.
    """
    if frames.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {frames.dtype}: expected frame numbers.")
    refuse_halves(frames, name, _LATEST_OF_HALVES)
    bad = np.flatnonzero(~(np.abs(frames.astype(np.float64)) <= _LATEST_FRAME))
    if bad.size:
        raise ValueError(
            f"{name} is {frames[bad[0]]} in row {bad[0]} ({bad.size} such rows): "
            "expected finite frame numbers of at most 2**53; drop segments without "
            "times."
        )
    return frames.astype(np.float64 if frames.dtype.kind == "f" else np.int64)


def _check_order(start, stop):
    bad = np.flatnonzero(stop < start)
    if bad.size:
        row = bad[0]
        raise ValueError(
            f"row {row} of segments stops at frame {stop[row]} before it starts at "
            f"frame {start[row]} ({bad.size} such rows): swap or drop them."
        )


def _video_codes(video):
    # As strings when objects, for videos named by a mixture of numbers and names.
    names = video.astype(str) if video.dtype == object else video
    return np.unique(names, return_inverse=True)[1]


def _label_column(action):
    """Labels as int64 or as strings, whose dtype can hold the filler."""
    if action.dtype.kind in "iu":
        if action.dtype.kind == "u" and action.max(initial=0) > np.iinfo(np.int64).max:
            raise ValueError(
                f"action holds {action.max()}, beyond the integers of 64 bits with a "
                "sign: number the actions anew, or give them names."
            )
        return action.astype(np.int64)
    if action.dtype.kind == "U":
        return action
    if action.dtype == object:
        if all(isinstance(label, str) for label in action):
            return action
        if all(isinstance(label, Integral) for label in action):
            return action.astype(np.int64)
    raise TypeError(
        f"action has dtype {action.dtype}: expected all integers or all strings, so "
        'that -1 or "" can stand for a missing past action.'
    )
