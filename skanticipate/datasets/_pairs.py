"""Pairs of a past and a future clip: of annotated segments, and unlabelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.random import sample_without_replacement

from skanticipate._typing import Columns, Seed
from skanticipate.data.boxes import unboxed_columns
from skanticipate.data.missing import check_same_kind
from skanticipate.data.numbers import DURATION, FRAME, RATE, SECONDS, Interval
from skanticipate.data.parameters import validate_params
from skanticipate.datasets._segments import _checked_columns, checked_spans
from skanticipate.datasets._times import frames_at, has_times, hint_frames


@validate_params(
    {
        "segments": "no_validation",
        "n_pairs": [Interval(Integral, 0, None, closed="left")],
        "clip_duration": [DURATION],
        "anticipation_time": [SECONDS],
        "window": [SECONDS],
        "fps": [RATE],
        "avoid": "no_validation",
        "n_frames": [HasMethods(["keys", "__getitem__"]), None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def unlabeled_pairs(
    segments: Columns,
    n_pairs: int,
    *,
    clip_duration: float = 1.0,
    anticipation_time: float = 1.0,
    window: float = 10.0,
    fps: float = 30,
    avoid: Columns | None = None,
    n_frames: Mapping[Any, int] | None = None,
    random_state: Seed | None = None,
) -> Bunch:
    """Annotated segments as pairs of clips, and random unlabelled pairs near them.

    A pair is a past clip and the future clip that is to be anticipated from it,
    `anticipation_time` seconds after the past clip has ended. Both last
    `clip_duration` seconds. The labelled pairs come first, one for each segment:
    their future clip begins with the segment. The unlabelled pairs lie anywhere near
    the segments; a teacher who sees their future clip can speak for them.

    Parameters
    ----------
    segments : Bunch, mapping or DataFrame
        Training segments, with the columns `video`, `start_frame`, `stop_frame` and
        `action`, as :func:`read_segments` gives them. Frames are whole numbers,
        counted from 0; `stop_frame` is the first frame after the segment.
    n_pairs : int
        Number of unlabelled pairs. 0 for the labelled pairs alone, as of validation
        segments.
    clip_duration : float, default=1.0
        Seconds that each of the two clips lasts. The future clip of a labelled pair
        lasts as long even if its segment is shorter.
    anticipation_time : float, default=1.0
        Seconds between the end of the past clip and the start of the future clip.
    window : float, default=10.0
        Seconds. An unlabelled pair, from the start of its past clip to the end of
        its future clip, begins at most this before one of the training segments of
        its video and ends at most this after the same segment.
    fps : float, default=30
        Frames per second of `segments`, `avoid`, `n_frames` and of the pairs. A table
        that has its times in seconds, as :func:`read_segments` gives official files,
        is converted to this rate. Durations are rounded to whole frames.
    avoid : Bunch, mapping or DataFrame, default=None
        Segments that no unlabelled clip may touch, in a table with the same columns,
        of which `action` may be missing: those of validation and test. Their videos may
        be others or the same.
    n_frames : mapping of video to int, default=None
        Number of frames of each video of `segments`. By default a video is taken to
        end with the last segment of it, of `segments` or `avoid`, that is known.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same pairs in every call.

    Returns
    -------
    pairs : Bunch
        Columns of shape (n_segments + n_pairs,):

        video : ndarray
            The name of the video, as in `segments`.
        past_start, past_stop, future_start, future_stop : ndarray of int
            First frame of each clip, and first frame after it. The past clip of a
            labelled pair may begin before the video does, below 0.
        fps : ndarray of float
            `fps`, the same in all rows, which :func:`cut_pairs` looks at.
        y : ndarray
            The action, then -1 for each unlabelled pair; labels that are strings are
            in an array of objects, which can hold both.

    Raises
    ------
    ValueError
        If a table is not as described, an action is -1, videos are named by strings
        in one table and by numbers in the other, a clip has less than one frame,
        `n_frames` lacks a video or ends one before a segment starts, a parameter is
        out of its range, or there is room for fewer than `n_pairs` different pairs.
    TypeError
        If actions are neither all integers nor all strings.

    Warns
    -----
    UserWarning
        If frames at `fps` are other times than timestamps of the table say, as
        :func:`label_history`.

    See Also
    --------
    cut_pairs : The features of the clips.
    trimmed_pairs : Pairs out of trimmed clips, with their features.
    skanticipate.SemiSupervisedSplit : Cross-validation with unlabelled rows.

    Notes
    -----
    The paper [1]_ takes 26,391 pairs of clips of 32 frames, 1 s apart, "from
    unlabelled video within 10 s of training segments". It says no more; what we make
    of it is our choice: the future clip touches no training segment and no segment to
    avoid, the past clip none to avoid (it may show a training action); both lie
    within the video; all such pairs are equally likely, and none is drawn twice,
    though two may be one frame apart. They are ordered by video and time.

    References
    ----------
    .. [1] Tran, Wang and Hoai, "Back to the Future: Knowledge Distillation for Human
       Action Anticipation", arXiv 1904.04868.

    Examples
    --------
    >>> from skanticipate.datasets import unlabeled_pairs
    >>> segments = {
    ...     "video": ["a", "a"],
    ...     "start_frame": [100, 400],
    ...     "stop_frame": [160, 450],
    ...     "action": [7, 8],
    ... }
    >>> pairs = unlabeled_pairs(segments, 2, random_state=0)
    >>> pairs.y
    array([ 7,  8, -1, -1])
    >>> pairs.future_start - pairs.past_stop
    array([30, 30, 30, 30])
    >>> pairs.past_start[:2], pairs.future_stop[:2]
    (array([ 40, 340]), array([130, 430]))
    """
    length, gap, reach = (
        round(float(fps) * seconds)
        for seconds in (clip_duration, anticipation_time, window)
    )
    if not length:
        raise ValueError(
            f"clip_duration={clip_duration} s is less than one frame at {fps} frames "
            "per second: make it longer."
        )
    train = _columns(segments, "segments", fps)
    if -1 in train.action.tolist():
        raise ValueError(
            "segments holds the action -1, which marks unlabelled pairs: give that "
            "action another number."
        )
    spans, held_out = _spans_of_videos(train), {}
    if avoid is not None and not _is_empty(avoid):
        away = _columns(avoid, "avoid", fps, labels=False)
        check_same_kind(away.video, train.video, "video of avoid", "that of segments")
        held_out = _spans_of_videos(away)
    runs = [
        _runs_of_starts(spans[name], away, end, length, gap, reach)
        for name, away, end in _videos(spans, held_out, n_frames)
    ]
    number, start = _draw(runs, n_pairs, check_random_state(random_state))
    video = np.array(list(spans), dtype=train.video.dtype)[number]
    pairs = _table_of_pairs(train, video, start, length, gap)
    return Bunch(**pairs, fps=np.full(len(pairs.y), float(fps)))


def _is_empty(table):
    """Whether a table has a column of videos, and no row."""
    table = unboxed_columns(table)
    is_table = isinstance(table, Mapping) or hasattr(table, "columns")
    return is_table and "video" in table and len(table["video"]) == 0


def _columns(table, name, fps, *, labels=True):
    """Columns of a table of segments, in whole frames; labels where these are used."""
    table = unboxed_columns(table)
    try:
        _, start, stop, *action = (_checked_columns if labels else checked_spans)(table)
        if has_times(table):
            start, stop = frames_at(table, start, stop, fps, fps, first=0)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
    for frames in (start, stop):
        broken = frames[frames % 1 != 0]
        if broken.size:
            raise ValueError(
                f"{name} has a frame {broken[0]}: expected whole numbers. Multiply "
                "seconds by fps, and round."
            )
    if not has_times(table):
        hint_frames(table, start, stop, fps)
    start, stop = start.astype(np.int64), stop.astype(np.int64)
    columns = dict(zip(("action",), action, strict=False))
    return Bunch(video=np.asarray(table["video"]), start=start, stop=stop, **columns)


def _spans_of_videos(columns):
    """Start and stop of the segments of each video.   -> name: (2, n_segments)."""
    spans = {}
    for name, *span in zip(
        columns.video.tolist(), columns.start, columns.stop, strict=True
    ):
        spans.setdefault(name, []).append(span)
    return {name: np.array(rows).T for name, rows in spans.items()}


def _videos(spans, held_out, n_frames):
    """Yield name, spans to avoid and end of each video."""
    for name, (start, stop) in spans.items():
        away = held_out.get(name, np.empty((2, 0), dtype=np.int64))
        if n_frames is None:
            yield name, away, max(stop.max(), away[1].max(initial=0))
        elif name in n_frames:
            end = n_frames[name]
            if not isinstance(end, Real) or not 0 <= end <= FRAME.right:
                raise ValueError(
                    f"n_frames is {end!r:.40} for the video {name!r}: expected a "
                    "number of frames."
                )
            if start.max() >= end:
                raise ValueError(
                    f"n_frames is {end} for the video {name!r}, of which a segment "
                    f"starts at frame {start.max()}: expected frames at the rate of "
                    "fps, no seconds. Correct it, or drop the segment."
                )
            yield name, away, int(end)  # narrow ones would wrap round
        else:
            raise ValueError(
                f"n_frames has no entry for the video {name!r}: give the length of "
                "every video of segments, or None."
            )


def _runs_of_starts(train, away, end, length, gap, reach):
    """Runs of frames at which an unlabelled future clip may start.   -> (2, n_runs).

    All intervals are half-open, and are those of the start of the future clip.
    """
    lead = gap + length  # from the start of the past clip
    inside = np.array([[lead], [end - length + 1]])
    near = train + [[lead - reach], [reach - length + 1]]
    touched = np.hstack([train, away]) + [[1 - length], [0]]
    seen = away + [[gap + 1], [lead]]
    blocked = np.hstack([touched, seen])

    # A video too short for a pair clips everything to one point: no run.
    points = np.unique(np.clip(np.hstack([inside, near, blocked]), *inside))
    free = _covered(points[:-1], near) & ~_covered(points[:-1], blocked)
    return np.stack([points[:-1][free], points[1:][free]])


def _covered(points, intervals):
    """Whether each point lies in one of the intervals.   (n,), (2, m) -> (n,) bool."""
    start, stop = intervals[:, intervals[0] < intervals[1]]
    begun = np.searchsorted(np.sort(start), points, side="right")
    return begun > np.searchsorted(np.sort(stop), points, side="right")


def _draw(runs, n_pairs, rng):
    """Number of the video and frame of different starts.   -> (n_pairs,) twice."""
    number = np.repeat(np.arange(len(runs)), [run.shape[1] for run in runs])
    first, stop = np.hstack(runs)
    before = np.concatenate([[0], np.cumsum(stop - first)])
    if n_pairs > before[-1]:
        raise ValueError(
            f"There is room for {before[-1]} different unlabelled pairs and n_pairs is "
            f"{n_pairs}: ask for fewer, widen the window, shorten the clips, or give "
            "n_frames."
        )
    drawn = np.sort(sample_without_replacement(before[-1], n_pairs, random_state=rng))
    run = np.searchsorted(before, drawn, side="right") - 1
    return number[run], first[run] + drawn - before[run]


def _table_of_pairs(train, video, start, length, gap):
    y = train.action
    if y.dtype.kind != "i":
        y = y.astype(object)  # an array of strings cannot hold -1
    start = np.concatenate([train.start, start])
    return Bunch(
        video=np.concatenate([train.video, video]),
        past_start=start - gap - length,
        past_stop=start - gap,
        future_start=start,
        future_stop=start + length,
        y=np.concatenate([y, np.full(len(video), -1, dtype=y.dtype)]),
    )
