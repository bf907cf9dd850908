"""Features of the clips of a table, cut out of those of whole videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_consistent_length
from sklearn.utils._param_validation import HasMethods

from skanticipate._typing import Columns
from skanticipate.data.axes import index_of
from skanticipate.data.boxes import unboxed_columns
from skanticipate.data.masked import refuse_masked
from skanticipate.data.names import check_tables_alike, hint_steps
from skanticipate.data.numbers import RATE, STEPS
from skanticipate.data.parameters import validate_params
from skanticipate.data.places import check_even, hint_clock
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers
from skanticipate.datasets._columns import check_table
from skanticipate.datasets._features import FeatureTable
from skanticipate.datasets._segments import (
    check_frames,
    check_names,
    check_videos,
)
from skanticipate.datasets._turned import warn_if_turned
from skanticipate.preprocessing.padding import pad_clips

_PAIR_COLUMNS = (
    "video",
    "past_start",
    "past_stop",
    "future_start",
    "future_stop",
    "y",
)


@validate_params(
    {
        "pairs": "no_validation",
        "features": [HasMethods(["keys", "__getitem__"])],
        "feature_rate": [RATE],
        "fps": [RATE],
    },
    prefer_skip_nested_validation=True,
)
def cut_pairs(
    pairs: Columns,
    features: Mapping[Any, ArrayLike],
    *,
    feature_rate: float,
    fps: float = 30,
) -> Bunch:
    """Cut the features of the clips of each pair out of those of whole videos.

    Parameters
    ----------
    pairs : Bunch, mapping or DataFrame
        What :func:`unlabeled_pairs` returned, or some rows of it.
    features : mapping of video to array of shape (n_steps, d) or (n_steps, ..., d)
        Features of each video, for instance memory maps, of which nothing but the
        clips is read. Step i stands for the time from i to i + 1, in units of
        1 / `feature_rate` seconds.
    feature_rate : float
        Steps of `features` per second.
    fps : float, default=30
        Frames per second of `pairs`, as :func:`unlabeled_pairs` was told.

    Returns
    -------
    data : Bunch
        X_past : ndarray of shape (n, T, d) or (n, T, ..., d)
            T is the number of steps of a clip, rounded. The last step is the latest
            one that is over when the clip stops: of the gap between the clips, the
            past one shows nothing. Steps outside of the video are missing, and rows
            that lack some are filled up on the left with steps of NaN, as
            :func:`skanticipate.pad_clips` does.
        X_future : ndarray of the same shape
            Likewise; a fit takes it as `X_future_unlabeled`.
        y : ndarray of shape (n,)
            As in `pairs`, -1 where there is no label.
        groups : ndarray of shape (n,)
            The video of each row, for group splitters.

    Raises
    ------
    ValueError
        If a column, the name of a video or its features are missing, a column hides
        values behind a mask, arrays are no arrays of steps or differ in the shape of
        a step, the index of a table has gaps or is out of order, clips differ in length
        or have less than a step, a clip begins after the last step of its video, or
        `fps` is not what `pairs` has in a column `fps`.

    Warns
    -----
    UserWarning
        If the index of a table holds seconds at another rate, or that begin late; if
        arrays with names call their axes (feature, time), or a column of tables counts
        the rows.

    See Also
    --------
    unlabeled_pairs : Makes the table.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.datasets import cut_pairs, unlabeled_pairs
    >>> segments = {
    ...     "video": ["a", "a"],
    ...     "start_frame": [60, 400],
    ...     "stop_frame": [100, 450],
    ...     "action": [7, 8],
    ... }
    >>> pairs = unlabeled_pairs(segments, 1, clip_duration=2.0, random_state=0)
    >>> features = {"a": np.arange(30.0)[:, None]}  # 15 s, 2 steps a second
    >>> data = cut_pairs(pairs, features, feature_rate=2)
    >>> data.X_past[:2, :, 0]
    array([[nan, nan,  0.,  1.],
           [20., 21., 22., 23.]])
    >>> data.X_future[:2, :, 0]
    array([[ 4.,  5.,  6.,  7.],
           [26., 27., 28., 29.]])
    """
    pairs = unboxed_columns(pairs)
    _check_pairs(pairs)
    _check_fps(pairs, fps)
    videos = np.asarray(pairs["video"])
    features = _checked_features(
        features, list(dict.fromkeys(videos.tolist())), feature_rate
    )
    clips = {}
    for name in ("past", "future"):
        start, stop = (
            check_frames(np.asarray(pairs[column]), column)
            for column in (f"{name}_start", f"{name}_stop")
        )
        n_steps = _steps_of_a_clip(stop - start, feature_rate / fps, name)
        # Rounded, or 30 / 30 * 0.9 s would be 0.8999999999999999 steps.
        last = np.floor(np.round(stop * feature_rate / fps, 6)).astype(np.int64)
        rows = [
            _steps(features, video, row_last - n_steps, row_last)
            for video, row_last in zip(videos.tolist(), last, strict=True)
        ]
        clips[f"X_{name}"] = pad_clips(rows, n_steps=n_steps)
    return Bunch(**clips, y=np.asarray(pairs["y"]), groups=videos)


def _check_pairs(pairs):
    check_table(pairs, "pairs")
    missing = [name for name in _PAIR_COLUMNS if name not in pairs]
    if missing:
        raise ValueError(
            f"pairs has no column {', '.join(map(repr, missing))}: expected a table "
            "that unlabeled_pairs has made."
        )
    check_rows_alike(**{name: pairs[name] for name in _PAIR_COLUMNS})
    check_consistent_length(*(pairs[name] for name in _PAIR_COLUMNS))
    check_videos(pairs["video"], "video")
    check_names(pairs["y"], "y")
    for name in _PAIR_COLUMNS[1:]:
        refuse_masked(pairs[name], name, "Drop these pairs, or fill them in.")


def _check_fps(pairs, fps):
    """Refuse another rate than that at which the pairs were drawn."""
    found = np.asarray(pairs["fps"] if "fps" in pairs else fps)
    other = found[found != fps].ravel()
    if other.size:
        raise ValueError(
            f"fps is {fps:g} and pairs has frames at {other[0]:g} a second: pass "
            f"fps={other[0]:g}, as to unlabeled_pairs."
        )


def _checked_features(features, names, rate):
    """Arrays of steps of the same shape, one a video."""
    missing = [name for name in names if name not in features]
    if missing:
        raise ValueError(
            f"features lacks {len(missing)} videos of pairs, such as {missing[0]!r}."
        )
    if isinstance(features, FeatureTable):
        _refuse_gaps(features, names)
    tables = {
        name: plain_numbers(features[name], f"features[{name!r}]") for name in names
    }
    check_tables_alike(tables, "features")
    hint_steps(tables, "features")
    for name, table in tables.items():
        check_even(table, f"features[{name!r}]")
        hint_clock(table, f"features[{name!r}]", rate)
    # What has a shape, such as a data set in a file, is sliced and not read; but slices
    # of a table may go by its index.
    arrays = {
        n: f if hasattr(f, "shape") and index_of(f) is None else np.asarray(f)
        for n, f in tables.items()
    }
    expected = arrays[names[0]].shape[1:]
    for name, array in arrays.items():
        if len(array.shape) < 2 or array.shape[1:] != expected:
            raise ValueError(
                f"features[{name!r}] has shape {array.shape}: expected (n_steps, d) "
                f"or (n_steps, ..., d), and steps of shape {expected} as in "
                f"features[{names[0]!r}]."
            )
    if isinstance(first := arrays[names[0]], np.ndarray):  # a file is not read
        warn_if_turned(names[0], first, "transpose the arrays")
    return arrays


def _refuse_gaps(table, videos):
    """Refuse features of which a step is not that of its frame: steps go by place."""
    for video in videos:
        code = np.searchsorted(table.videos, str(video))
        frames = table.frames[table.first[code] : table.first[code + 1]]
        if frames[0] > 1 or (np.diff(frames) != 1).any():
            raise ValueError(
                f"features holds the frames {frames[0]} to {frames[-1]} of {video!r}, "
                "with gaps or a late start, but steps are found by their place: "
                "expected a feature of every frame from the first. Cut clips of labels "
                "with cut_clips, which goes by frames, or fill in the missing ones."
            )


def _steps_of_a_clip(n_frames, steps_per_frame, name):
    if n_frames.min() != n_frames.max():
        raise ValueError(
            f"The {name} clips of pairs last from {n_frames.min()} to "
            f"{n_frames.max()} frames: expected one length."
        )
    n_steps = round(n_frames[0] * steps_per_frame)
    if n_steps > STEPS.right:
        raise ValueError(
            f"The {name} clips of pairs last {n_frames[0]} frames, which are {n_steps} "
            f"steps of the features: expected at most {STEPS.right:,}. Check "
            "feature_rate and fps."
        )
    if n_steps < 1:
        raise ValueError(
            f"The {name} clips of pairs last {n_frames[0]} frames, less than half a "
            "step of the features: make longer clips, and check feature_rate and fps."
        )
    return n_steps


def _steps(features, video, first, last):
    """Those of the steps first, ..., last - 1 that the video has."""
    n_steps = features[video].shape[0]
    if first >= n_steps:
        raise ValueError(
            f"A clip begins at step {first} of the video {video!r}, which has "
            f"{n_steps} steps: check feature_rate and fps."
        )
    return np.asarray(features[video][max(first, 0) : max(last, 0)])
