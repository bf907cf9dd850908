"""Frames that are at another rate than the caller says, or no frames but seconds."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    label_history,
    label_sequences,
    read_framewise,
    read_segments,
    unlabeled_pairs,
)

# At 50 frames per second: 2 to 11.8 s, 14 to 23.8 s, 30 to 34 s.
TABLE = {
    "video": ["P01_101", "P01_101", "P01_101"],
    "start_frame": [100, 700, 1500],
    "stop_frame": [590, 1190, 1700],
    "action": [1, 2, 3],
}
STAMPS = {
    "start_timestamp": ["00:00:02.00", "00:00:14.00", "00:00:30.00"],
    "stop_timestamp": ["00:00:11.80", "00:00:23.80", "00:00:34.00"],
}
TIMES = {"start_seconds": [2.0, 14.0, 30.0], "stop_seconds": [11.8, 23.8, 34.0]}
OTHER = r"row 0 .* the frame 100, at 30 a second 3.33 s, and 2.00 s as start_"


def history(table, **options):
    return label_history(table, history=2, anticipation_time=3, **options)


def stamps_as(kind):
    if kind == "text":
        return STAMPS
    if kind == "timedelta":
        return {k: pd.to_timedelta(v) for k, v in STAMPS.items()}
    return {"start_seconds": TIMES["start_seconds"]}


@pytest.mark.parametrize("kind", ["text", "timedelta", "one column"])
def test_frames_at_another_rate_than_the_timestamps_of_their_table(kind):
    table = pd.DataFrame(TABLE | stamps_as(kind))
    with pytest.warns(UserWarning, match=OTHER):
        assert_array_equal(history(table), [[-1, -1], [-1, 1], [1, 2]])  # as without
    right = [[-1, -1], [-1, -1], [1, 2]]  # 2.2 s lie between the first two
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fps in (50, {"P01_101": 50}, 50.04):
            assert_array_equal(history(table, fps=fps), right)
        assert_array_equal(history(TABLE | TIMES), right)
        assert_array_equal(history(TABLE | STAMPS | TIMES), right)


def test_all_that_takes_a_table_compares():
    table = TABLE | STAMPS
    features = FeatureTable.from_arrays({"P01_101": np.ones((1800, 2))})
    calls = (
        lambda: label_sequences(table, max_gap=1.0),
        lambda: label_sequences(table, fps={"P01_101": 30}),
        lambda: cut_clips(features, table),
        lambda: cut_clips(features, table, feature_rate=25),
        lambda: unlabeled_pairs(table, 1, random_state=0),
    )
    for call in calls:
        with pytest.warns(UserWarning, match=OTHER):
            call()


def test_a_table_in_a_file_compares_too(tmp_path):
    path = tmp_path / "training.csv"
    pd.DataFrame(TABLE | STAMPS).to_csv(path, index=False)
    with pytest.warns(UserWarning, match=OTHER):
        history(read_segments(path))


@pytest.mark.parametrize(
    "column",
    [["", None, "no time"], [2, 14, 30], [0.0, np.nan, 1e9]],
    ids=["no times", "of no unit", "numbers"],
)
def test_a_column_that_tells_no_time_is_not_compared(column):
    table = pd.DataFrame(TABLE | {"start_timestamp": column})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history(table)


def test_one_column_is_enough_to_tell():
    table = pd.DataFrame(TABLE | STAMPS).iloc[:1].assign(stop_frame=150, start_frame=50)
    table["start_timestamp"], table["stop_timestamp"] = "00:00:01.00", "00:00:03.00"
    with pytest.warns(UserWarning, match=r"has the frame 150.*3.00 s as stop_time"):
        history(table, fps=25)


# ------------------------------------------------------------------------- seconds

SECONDS = {
    "video": ["a"] * 3,
    "start_frame": [0.5, 12.0, 30.2],
    "stop_frame": [10.0, 25.0, 41.7],
    "action": [1, 2, 3],
}


@pytest.mark.parametrize("function", [label_history, label_sequences])
def test_seconds_in_place_of_frames(function):
    with pytest.warns(UserWarning, match=r"start_frame is 0.5, which is no .*0.38"):
        function(SECONDS)
    whole = SECONDS | {"start_frame": [1, 12, 30], "stop_frame": [10, 25, 41]}
    frames = {
        name: column if name in ("video", "action") else np.array(column) * 29.97
        for name, column in SECONDS.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(SECONDS, fps=1)
        function(whole)  # nothing tells them from frames
        function(frames, fps=29.97)


# ---------------------------------------------------------------- frame-wise labels


def test_features_of_the_frames_of_labels_are_at_their_rate(tmp_path):
    """By default they were taken at 30: twice as late as the labels, at 15."""
    (tmp_path / "a.txt").write_text("SIL\n" * 45 + "cut\n" * 30 + "SIL\n" * 79)
    options = {"mapping": {"SIL": 0, "cut": 1}, "background": "SIL"}
    segments = read_framewise(tmp_path, fps=15, **options)
    features = FeatureTable.from_arrays({"a": np.arange(1.0, 155.0)[:, None]})
    steps = {"observation": 0.2, "anticipation": 1.0, "step": 0.2}
    with pytest.warns(
        UserWarning, match=r"are at 15 a second.* at 30: pass feature_ra"
    ):
        late = cut_clips(features, segments, **steps)
    assert np.asarray(late.X_past)[0, -1] == 84  # after "cut" has begun, at 45
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = cut_clips(features, segments, feature_rate=15, **steps)
        assert np.asarray(right.X_past)[0, -1] == 42
        again = read_framewise(tmp_path, fps=30, **options)
        cut_clips(features, again, **steps)


# ------------------------------------------------------------- what the table holds


def test_another_rate_in_a_column_of_the_table_is_told():
    table = {
        "video": ["a", "a", "b"],
        "start_frame": [30, 90, 120],
        "stop_frame": [60, 110, 180],
        "action": [1, 2, 3],
        "fps": [30.0, 30.0, 60.0],
    }
    told = "row 2 of segments has 60 in its column fps, .* at 30 a second .1 such"
    for function in (label_history, label_sequences):
        with pytest.warns(UserWarning, match=told):
            function(table, fps=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fps in ({"a": 30, "b": 60}, {"video": ["a", "b"], "fps": [29.97, 60]}):
            label_history(table, fps=fps)
        label_history(table | {"fps": [30, 30, 30]})
        label_history(table | {"fps": ["30", "30", "60"]})  # no numbers
        seconds = {"start_seconds": [1, 3, 4], "stop_seconds": [2, 3, 4]}
        label_history(table | seconds)  # which are the truth


@pytest.mark.parametrize("name", ["start_sec", "start_time", "start"])
def test_times_of_another_name_that_have_another_rate_are_told(name):
    start = np.arange(1, 21) * 90
    table = {"video": ["a"] * 20, "start_frame": start, "stop_frame": start + 60}
    table["action"] = np.arange(20) % 3
    told = f"start_frame is 59.9. times {name} of .* read at 30"
    with pytest.warns(UserWarning, match=told):
        label_history(table | {name: np.round(start / 59.94, 2)})
    with pytest.warns(UserWarning, match="row 0 .* 60 in its column frame_rate"):
        label_history(table | {"frame_rate": np.full(20, 60)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        label_history(table | {name: np.round(start / 59.94, 2)}, fps=59.94)
        label_history(table | {name: start})  # frames again
        label_history(table | {name: start * 1000 // 30})  # milliseconds
        label_history(table | {name: np.sqrt(start)})


def test_times_that_float16_has_rounded_are_refused():
    table = {"video": ["a"] * 2, "action": [1, 2]}
    exact = {"start_frame": [60, 2030], "stop_frame": [80, 2048]}
    halves = {name: np.float16(column) for name, column in exact.items()}
    expected = label_history(table | exact)
    assert_array_equal(label_history(table | halves), expected)
    late = halves | {"stop_frame": np.float16([80, 20001])}
    with pytest.raises(ValueError, match="stop_frame is 20000.0 in float16"):
        label_history(table | late)
    seconds = {"start_seconds": [1.5, 29.5], "stop_seconds": [2.5, 703.04]}
    for function in (label_history, label_sequences):
        with pytest.raises(ValueError, match="stop_seconds is 703.0 in float16"):
            function(
                table | exact | {name: np.float16(c) for name, c in seconds.items()}
            )
