"""Clips before annotated actions, as row numbers in a file of features."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions

from skanticipate._typing import Columns, Rate
from skanticipate.data.boxes import unboxed_columns
from skanticipate.data.masked import refuse_masked
from skanticipate.data.numbers import DURATION, SECONDS, STEPS
from skanticipate.data.parameters import validate_params
from skanticipate.data.rows import RowView
from skanticipate.data.warn import warn
from skanticipate.datasets._columns import check_columns, check_table
from skanticipate.datasets._features import FeatureTable
from skanticipate.datasets._segments import _checked_columns, checked_spans
from skanticipate.datasets._times import (
    RATES,
    frames_at,
    has_times,
    hint_frames,
    rate_of_rows,
)


@validate_params(
    {
        "features": [FeatureTable],
        "segments": "no_validation",
        "observation": [SECONDS],
        "anticipation": [DURATION],
        "step": [DURATION],
        "fps": [*RATES, None],
        "feature_rate": [*RATES, None],
        "padding": [StrOptions({"repeat", "nan"})],
        "future_steps": [STEPS, None],
    },
    prefer_skip_nested_validation=True,
)
def cut_clips(
    features: FeatureTable,
    segments: Columns,
    *,
    observation: float = 1.5,
    anticipation: float = 2.0,
    step: float = 0.25,
    fps: Rate | None = 30,
    feature_rate: Rate | None = None,
    padding: Literal["repeat", "nan"] = "repeat",
    future_steps: int | None = None,
) -> Bunch:
    """Cut the clip before each segment out of a file of features, without reading it.

    The steps of a clip lie T `step`, ..., 2 `step` and 1 `step` seconds before the
    action starts: first the `observation`, then the steps after which a network with
    stages answers, the first of them `anticipation` seconds ahead. The defaults are
    those of RULSTM [1]_: 6 + 8 steps, for `LSTM(anticipation_steps=8)`.

    Parameters
    ----------
    features : FeatureTable
        What :func:`read_lmdb`, :func:`read_hdf5` or :func:`open_features` returned.
    segments : Bunch, mapping or DataFrame
        Table with the columns `video`, `start_frame`, `stop_frame` and `action`, as
        :func:`read_segments` gives it. Segments of a video may overlap. Without the
        column `action`, as a challenge publishes its test set, every segment becomes a
        row.
    observation : float, default=1.5
        Seconds that are seen before the first anticipation step; a multiple of `step`.
    anticipation : float, default=2.0
        The longest anticipation time in seconds; a multiple of `step`. The last step
        always lies one `step` before the action: whoever wants to anticipate by 1 s
        takes the answer of that stage (`anticipation_time=1.0` of the network).
    step : float, default=0.25
        Seconds from one step to the next.
    fps : float, mapping of video to float, table or None, default=30
        Frames per second of `segments`, as in :func:`label_history`: not used where
        the table has its times in seconds. A column `duration` is compared with them.
    feature_rate : float, mapping of video to float or table, default=None
        Frames per second of `features`. None means `fps` where that is one number,
        else 30. Where the segments are at another rate, or in seconds, their start and
        stop become frames of the features, floor(seconds * feature_rate) and at least
        1: as RULSTM made its tables of the official ones.
    padding : {"repeat", "nan"}, default="repeat"
        What stands for steps before frame 1, where the video begins: the first step of
        the clip that is there, as in the original; or NaN, which this library reads as
        padding. "repeat" compares with published numbers and suits every estimator.
    future_steps : int, default=None
        Number of frames, evenly spaced, of the segments themselves. None for no future.

    Returns
    -------
    data : Bunch
        X_past : RowView of shape (n, T, d)
            T = (observation + anticipation) / step. Read a batch at a time; slices,
            folds and pickles are row numbers.
        X_future : RowView of shape (n, future_steps, d)
            Only with `future_steps`. A fit takes it as `X_future_unlabeled`.
        y : ndarray of shape (n,)
            The actions. Only with the column `action`.
        ids : ndarray of shape (n,)
            The column `id` of the rows, where the table has one: what
            :func:`write_submission` takes.
        groups : ndarray of shape (n,) of str
            The video of each row, for group splitters.
        kept : ndarray of shape (n_segments,) of bool
            Segments that became a row. Discarded are those without a single step, less
            than one `step` after the start of their video; of a table without labels
            none, and such a clip shows the first frame.
        n_discarded : int
            How many were discarded.

    Raises
    ------
    ValueError
        If `observation` or `anticipation` is no multiple of `step`, the table is not
        as described or a segment stops before it starts, features lack a video or a
        frame, every segment is discarded, a rate lacks a video, or a parameter is out
        of its range.

    Warns
    -----
    UserWarning
        As :func:`label_history`; if `feature_rate` is None and frame-wise labels are at
        another rate than is taken for the features.

    See Also
    --------
    load_epic : Reads the files, too.
    cut_pairs : Clips of whole seconds out of features of any rate, in memory.

    Notes
    -----
    The frame j steps before an action is floor((start / fps - j step) fps), computed in
    this order as the original does it, so that not even rounding takes another frame:
    never a later one than asked for, but for some steps that fall on a frame exactly
    (0.9 % of all at 30 frames per second) the one before.

    References
    ----------
    .. [1] Furnari and Farinella, "What Would You Expect? Anticipating Egocentric
       Actions with Rolling-Unrolling LSTMs and Modality Attention", ICCV 2019.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> import numpy as np
    >>> from skanticipate.datasets import cut_clips, read_hdf5
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name)
    >>> with h5py.File(path / "rgb.h5", "w") as file:
    ...     file["a"] = np.arange(1.0, 91.0)[:, None]  # 3 s, frame 1 is 1.0
    >>> features = read_hdf5(path / "rgb.h5", out=path / "rgb")
    >>> segments = {
    ...     "video": ["a", "a", "a"],
    ...     "start_frame": [60, 35, 5],
    ...     "stop_frame": [80, 80, 30],
    ...     "action": [7, 8, 9],
    ... }
    >>> data = cut_clips(
    ...     features, segments, observation=0.5, anticipation=1.0, step=0.5
    ... )
    >>> np.asarray(data.X_past)[:, :, 0]
    array([[15., 30., 45.],
           [ 5.,  5., 20.]])
    >>> data.y, data.kept, data.n_discarded
    (array([7, 8]), array([ True,  True, False]), 1)
    >>> folder.cleanup()
    """
    n_steps = sum(
        _whole_steps(name, seconds, step)
        for name, seconds in (
            ("observation", observation),
            ("anticipation", anticipation),
        )
    )
    check_table(segments, "segments")
    segments = unboxed_columns(segments)
    has_labels = "action" in segments
    _, *columns = (_checked_columns if has_labels else checked_spans)(segments)
    clip = columns[0], columns[1]
    start, stop, rate = _feature_frames(segments, *clip, fps, feature_rate)
    videos = np.asarray(segments["video"]).astype(str)
    frames = _frames_before(start, n_steps, step, rate)
    if not has_labels:  # a challenge wants an answer for every segment
        frames[:, -1] = np.maximum(frames[:, -1], 1)
    kept = frames[:, -1] >= 1
    if not kept.any():
        raise ValueError(
            f"All {len(kept)} segments start less than one step ({step} s) after their "
            "video: there is nothing to see. Check fps and start_frame."
        )
    numbers, videos, frames = np.flatnonzero(kept), videos[kept], frames[kept]
    rows = _past_rows(features, videos, frames, numbers, padding)
    data = Bunch(X_past=RowView(features.array, rows), groups=videos)
    data.update(kept=kept, n_discarded=int((~kept).sum()))
    if has_labels:
        data.y = columns[2][kept]
    if "id" in segments:
        refuse_masked(segments["id"], "id", "Name every segment, or drop these.")
        check_columns({name: segments[name] for name in ("video", "id")}, "segments")
        data.ids = np.asarray(segments["id"])[kept]
    if future_steps is not None:
        inside = np.linspace(start, stop, future_steps + 1, axis=1, dtype=int)[kept, 1:]
        rows = _future_rows(features, videos, inside, numbers)
        data.X_future = RowView(features.array, rows)
    return data


def _feature_frames(segments, start, stop, fps, feature_rate):
    """Start and stop as frames of the features, and their rate, one or (n, 1)."""
    one_rate = isinstance(fps, Real)
    if one_rate and feature_rate is None and not has_times(segments):
        hint_frames(segments, start, stop, fps)
        return start, stop, fps
    if feature_rate is None:
        feature_rate = fps if one_rate else 30
        _hint_framewise(segments, feature_rate)
    rate = rate_of_rows(segments, feature_rate, "feature_rate")
    start, stop = frames_at(segments, start, stop, fps, rate)
    return start, stop, rate if np.ndim(rate) == 0 else rate[:, None]


def _hint_framewise(segments, rate):
    """Warn of labels of each frame at another rate than that taken for features."""
    if getattr(segments, "format", None) != "framewise":
        return
    frames, seconds = np.asarray(segments.stop_frame), segments.stop_seconds
    if not np.allclose(frames, seconds * rate):
        warn(
            f"The labels of frames are at {frames[0] / seconds[0]:.4g} a second, and "
            f"the features are taken to be at {rate:g}: pass feature_rate=, which is "
            "that of the labels where features and labels are of the same frames."
        )


def _whole_steps(name, seconds, step):
    n_steps = round(min(seconds / step, 2 * STEPS.right))
    if n_steps > STEPS.right:
        raise ValueError(
            f"{name}={seconds} s has more than {STEPS.right:,} steps of step={step} s: "
            "expected seconds."
        )
    if abs(seconds / step - n_steps) > 1e-6:
        raise ValueError(
            f"{name}={seconds} s is no multiple of step={step} s: the nearest one is "
            f"{n_steps * step:g} s."
        )
    return n_steps


def _frames_before(start, n_steps, step, rate):
    """Frames of the steps before each start, the earliest first.   (n, T) int."""
    seconds = step * np.arange(n_steps, 0, -1)
    # Not rounded before, as RULSTM has it: some frames are one earlier than by hand.
    return np.floor((start[:, None] / rate - seconds) * rate).astype(np.int64)


def _past_rows(features, videos, frames, numbers, padding):
    """Rows of the frames, or of what stands for those below 1.   (n, T) -> (n, T)."""
    before = frames < 1
    earliest = np.where(before, frames.max(), frames).min(axis=1, keepdims=True)
    rows = features.rows(videos, np.maximum(frames, earliest), numbers)
    if padding == "nan":
        rows[before] = len(features.array) - 1
    return rows


def _future_rows(features, videos, frames, numbers):
    try:
        return features.rows(videos, frames, numbers)
    except ValueError as error:
        raise ValueError(
            f"{error} This is a frame of the action itself: files with the frames "
            "before actions alone have no future, future_steps=None."
        ) from error
