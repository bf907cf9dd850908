"""When segments start and stop: by the seconds of their table, or frames and a rate."""

import re
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import HasMethods

from skanticipate.data.boxes import unboxed_columns
from skanticipate.data.masked import refuse_masked
from skanticipate.data.numbers import RATE, SECONDS
from skanticipate.data.warn import warn

# Frames per second: of all videos, or of each, in a mapping or a table of any kind.
RATES = [RATE, HasMethods("items"), HasMethods("to_pandas")]
TIME_COLUMNS = ("start_seconds", "stop_seconds")
# Frames per second: 240 are 0.24 a millisecond, and 24 are 1440 a minute.
_SLOWEST, _FASTEST = 0.25, 1400
# What columns are called that say a rate, and when segments start, beside their frames.
_RATES_IN_TABLES = ("fps", "frame_rate", "framerate", "video_fps", "frames_per_second")
_TIMES_ELSEWHERE = (
    "start_sec",
    "start_secs",
    "start_s",
    "start_time",
    "start",
    "t_start",
)
_TICKS = 1_000_000  # whole microseconds compare exactly, fractions of a second do not
_STAMPS = ("start_timestamp", "stop_timestamp")  # of official tables
_FINE_HALVES = 32  # up to which float16 tells frames apart, in seconds
_N_COMPARED, _DRIFT = 1000, 0.02  # rows, and part of the time that rates may be off
# Median length of segments, in seconds: fractional frames below are rather seconds.
_SHORT = 0.5
_TIMESTAMP = re.compile(r"(\d{1,9}):([0-5]?\d):([0-5]?\d(?:\.\d+)?)", re.ASCII)


def seconds_of_timestamp(text):
    """Seconds that "00:01:02.50" stands for; None where a text is no timestamp.

    Examples
    --------
    >>> seconds_of_timestamp("00:01:02.50")
    62.5
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def has_times(segments):
    """Whether a table says its seconds itself, so that no rate is needed."""
    return all(name in segments for name in TIME_COLUMNS)


def on_one_clock(segments, start, stop, fps):
    """Start and stop in one unit for all videos, and how many of it a second has.

    Frames stay frames where one rate serves all; else they become microseconds.
    """
    if has_times(segments) or not isinstance(fps, Real):
        return *map(_ticks, seconds(segments, start, stop, fps)), float(_TICKS)
    hint_frames(segments, start, stop, fps)
    return start, stop, float(fps)


def _ticks(values):
    return np.rint(values * _TICKS).astype(np.int64)


def seconds(segments, start, stop, fps):
    """Start and stop in seconds.   (n,), (n,) -> (n,), (n,) float64."""
    rates = rate_of_rows(segments, fps, "fps")  # a wrong one is an error in any case
    if has_times(segments):
        start, stop = _own_seconds(segments)
    elif rates is None:
        raise ValueError(
            "fps is None and segments has no column "
            f"{' and '.join(TIME_COLUMNS)}: give the frames per second of its frames."
        )
    else:
        hint_frames(segments, start, stop, rates)
        start, stop = start / rates, stop / rates
        _check_seconds(start, stop)
    _check_durations(segments, start, stop, fps)
    return start, stop


def _check_seconds(start, stop):
    """Refuse seconds beyond those that a table may say."""
    bad = np.flatnonzero(np.maximum(np.abs(start), np.abs(stop)) > SECONDS.right)
    if bad.size:
        row = bad[0]
        raise ValueError(
            f"row {row} of segments lasts from {start[row]:g} to {stop[row]:g} s at "
            f"the rate of its video ({bad.size} such rows): expected at most "
            f"{SECONDS.right:g} s. Check fps, and that frames are no milliseconds."
        )


def frames_at(segments, start, stop, fps, rate, *, first=1):
    """Whole frames of start and stop at another rate, rounded down, from `first` on.

    As RULSTM converts the annotations to 30 frames per second, whose first one is 1.
    """
    return tuple(
        np.maximum(np.floor(np.round(times * rate, 6)), first).astype(np.int64)
        for times in seconds(segments, start, stop, fps)
    )


def rate_of_rows(segments, fps, name):
    """Frames per second of each row: a number, (n,), or None where there is none."""
    if fps is None or isinstance(fps, Real):
        return fps
    rates = _rates(fps, name)
    videos = [str(video) for video in np.asarray(segments["video"]).tolist()]
    missing = sorted({video for video in videos if video not in rates})
    if missing:
        raise ValueError(
            f"{name} has no entry for {len(missing)} videos of segments, such as "
            f"{missing[0]!r}: give the frames per second of every video."
        )
    for video in dict.fromkeys(videos):
        rate = rates[video]
        if not RATE.is_satisfied_by(rate):
            raise ValueError(
                f"{name} is {rate!r} for the video {video!r}: expected a number above "
                "0, the frames per second."
            )
    return np.array([rates[video] for video in videos], dtype=np.float64)


def _check_durations(segments, start, stop, fps):
    """Compare segments with how long their videos are, where the table of rates says.

    One that starts after the end is an error of rate or table; one that only stops
    after it, as annotators sometimes have it, is warned of.
    """
    if fps is None or isinstance(fps, Real):
        return
    fps = unboxed_columns(fps)
    column = _video_column(fps)
    if column is None or "duration" not in fps:
        return
    names = np.asarray(fps[column]).astype(str).tolist()
    durations = np.asarray(fps["duration"])
    if durations.dtype.kind not in "iuf":
        raise ValueError(
            f"fps has a column duration of dtype {durations.dtype}: expected seconds. "
            "Convert it, or leave it out."
        )
    duration_of = dict(zip(names, durations.tolist(), strict=True))
    videos = np.asarray(segments["video"]).tolist()
    end = np.array([duration_of[str(video)] for video in videos])
    for what, times in (("starts", start), ("stops", stop)):
        beyond = np.flatnonzero(times > end)  # never, where a duration is NaN
        if not beyond.size:
            continue
        row = beyond[0]
        found = (
            f"row {row} of segments {what} at {times[row]:.2f} s, after the end of its "
            f"video {str(videos[row])!r}, which lasts {end[row]:.2f} s "
            f"({beyond.size} such rows)"
        )
        if what == "starts":
            raise ValueError(
                f"{found}: check that fps and the table of videos are those of these "
                "segments, or drop them."
            )
        warn(f"{found}: check fps and stop_frame, or cut the segments off there.")


def _video_column(table):
    """Name of the column of videos of a table of rates; None where it is a mapping."""
    return next(
        (c for c in ("video", "video_id") if c in table and "fps" in table), None
    )


def _rates(fps, name):
    """Mapping of video, as a string, to what a mapping or table says of it."""
    fps = unboxed_columns(fps)
    column = _video_column(fps)
    if column is None and not hasattr(fps, "items"):
        raise ValueError(
            f"{name} is a {type(fps).__name__}: expected a number, a mapping of video "
            "to number, or a table with the columns video and fps."
        )
    if column is None:
        pairs = ((str(video), rate) for video, rate in fps.items())
    else:
        refuse_masked(fps["fps"], name, "Fill them in.")
        pairs = zip(
            np.asarray(fps[column]).astype(str).tolist(),
            np.asarray(fps["fps"]).tolist(),
            strict=True,
        )
    rates = {}
    for video, rate in pairs:
        if video in rates and rates[video] != rate:
            raise ValueError(
                f"{name} gives the video {video!r} {rates[video]} and {rate} frames "
                "per second: expected one rate for each video."
            )
        rates[video] = rate
    return rates


def _own_seconds(segments):
    """Check the columns of seconds of a table.   -> (n,), (n,) float64."""
    columns = []
    for name in TIME_COLUMNS:
        refuse_masked(segments[name], name, "Drop these segments, or fill them in.")
        column = np.asarray(segments[name])
        if column.dtype.kind not in "iuf":
            raise ValueError(f"{name} has dtype {column.dtype}: expected seconds.")
        refuse_halves(column, name, _FINE_HALVES)
        column = column.astype(np.float64)
        bad = np.flatnonzero(~(np.abs(column) <= SECONDS.right))
        if bad.size:
            raise ValueError(
                f"{name} is {column[bad[0]]} in row {bad[0]} ({bad.size} such rows): "
                "expected finite seconds; drop segments without times."
            )
        columns.append(column)
    start, stop = columns
    bad = np.flatnonzero(stop < start)
    if bad.size:
        row = bad[0]
        raise ValueError(
            f"row {row} of segments stops at {stop[row]} s before it starts at "
            f"{start[row]} s ({bad.size} such rows): swap or drop them."
        )
    _hint_unit(segments, stop)
    return start, stop


def refuse_halves(column, name, largest):
    """Refuse times in float16, which has three digits, if one is beyond a limit."""
    if column.dtype == np.float16 and (beyond := np.abs(column) > largest).any():
        raise ValueError(
            f"{name} is {column[beyond][0]} in float16, which holds three digits: "
            "times have been rounded. Read the table again, and keep their type."
        )


def _hint_unit(segments, stop):
    """Warn of seconds that, next to their frames, look like another unit of time."""
    frames = np.asarray(segments["stop_frame"]) if "stop_frame" in segments else None
    if frames is None or frames.dtype.kind not in "iuf" or stop.max() <= 0:
        return
    rate = frames.max() / stop.max()
    if 0 < rate < _SLOWEST or rate > _FASTEST:
        warn(
            f"segments stop at frame {frames.max()} and after {stop.max():g} seconds, "
            f"which would be {rate:.3g} frames per second: check that "
            f"{' and '.join(TIME_COLUMNS)} are seconds, and no milliseconds or minutes."
        )


def hint_frames(segments, start, stop, rates):
    """Warn of frames that, at this rate, are hardly those of the segments.

    They are seconds, or the table has timestamps or rates that say otherwise: official
    frames are at the rate of each video.

    Parameters
    ----------
    segments : table
    start, stop : ndarray of shape (n,)
        Frames.
    rates : float or ndarray of shape (n,)
        Frames per second.
    """
    rates = np.broadcast_to(rates, start.shape)
    _hint_seconds(start, np.median((stop - start) / rates))
    if _hint_own_rate(segments, rates):
        return
    rows = np.unique(np.linspace(0, len(start) - 1, _N_COMPARED).astype(np.intp))
    for frames, *names in zip((start, stop), TIME_COLUMNS, _STAMPS, strict=True):
        name = next((name for name in names if name in segments), None)
        if name is None:
            continue
        told = _told_seconds(segments[name], rows, name in TIME_COLUMNS)
        found = frames[rows] / rates[rows]
        other = np.flatnonzero(np.abs(found - told) > np.maximum(1, _DRIFT * told))
        if other.size:
            k = other[0]
            warn(
                f"row {rows[k]} of segments has the frame {frames[rows[k]]:g}, at "
                f"{rates[rows[k]]:g} a second {found[k]:.2f} s, and {told[k]:.2f} s as "
                f"{name}, which is not used ({other.size} of {len(rows)} rows that "
                "were compared): give the fps of each video, or "
                f"{' and '.join(TIME_COLUMNS)}. read_segments reads official files so."
            )
            return
    _hint_other_times(segments, start, rates)


def _hint_other_times(segments, frames, rates):
    """Warn of times of another name, such as start_sec, that have another rate."""
    for name in _TIMES_ELSEWHERE:
        told = np.asarray(segments[name]) if name in segments else np.empty(0)
        late = frames >= 100  # of which rounding is a hundredth
        if told.shape != frames.shape or told.dtype.kind not in "iuf" or not late.any():
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            own = frames[late] / told[late]
        rate = np.median(own)
        even = (np.abs(own - rates[late]) > _DRIFT * own) & (own >= 5) & (own < 300)
        if even.mean() > 0.9 and np.abs(own - rate).max() < 3 * _DRIFT * rate:
            warn(
                f"start_frame is {rate:.4g} times {name} of segments, as at {rate:.4g} "
                f"frames a second, and is read at {rates[late][0]:g}: give the fps of "
                f"each video, or {' and '.join(TIME_COLUMNS)}, in seconds."
            )
            return


def _hint_own_rate(segments, rates):
    """Warn of another rate in a column of the table.   -> whether there is one."""
    name = next((name for name in _RATES_IN_TABLES if name in segments), None)
    own = rates if name is None else np.asarray(segments[name])
    if own.shape != rates.shape or own.dtype.kind not in "iuf":
        return False
    other = np.flatnonzero(np.abs(own - rates) > _DRIFT * rates)
    if other.size:
        row = other[0]
        warn(
            f"row {row} of segments has {own[row]:g} in its column {name}, and its "
            f"frames are read at {rates[row]:g} a second ({other.size} such rows): "
            "give the fps of each video, or leave out the column if it is another."
        )
    return bool(other.size)


def _hint_seconds(start, length):
    broken = start[start % 1 != 0]
    if broken.size and length < _SHORT:
        warn(
            f"start_frame is {broken[0]:g}, which is no whole number, and half of the "
            f"segments would last {length:.2g} s or less: give the fps of the frames, "
            f"or, if they are seconds, call them {' and '.join(TIME_COLUMNS)}. Round "
            "them if they are right."
        )


def _told_seconds(column, rows, numbers):
    """Seconds that a column says; NaN where none, or of an unknown unit.   -> (m,)."""
    values = np.asarray(column)[rows]
    if values.dtype.kind == "m":
        return values / np.timedelta64(1, "s")
    if values.dtype.kind in "iuf":
        return values.astype(np.float64) if numbers else np.full(len(rows), np.nan)
    told = [seconds_of_timestamp(v) if isinstance(v, str) else None for v in values]
    return np.array(told, dtype=np.float64)
