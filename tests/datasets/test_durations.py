"""Segments beyond the end of their video, where a table says how long it is."""

import warnings

import numpy as np
import pandas as pd
import published
import pytest
from numpy.testing import assert_array_equal

from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    label_history,
    label_sequences,
    read_segments,
    read_video_info,
)

# At 50 and 25 frames per second: 1 to 3 s, 5 to 6 s; 2 to 4 s.
FRAMES = {
    "video": ["a", "a", "b"],
    "start_frame": [50, 250, 50],
    "stop_frame": [150, 300, 100],
    "action": [1, 2, 3],
}


def videos(a, b, **columns):
    return {"video": ["a", "b"], "fps": [50, 25], "duration": [a, b], **columns}


def both(table, fps):
    label_history(table, fps=fps)
    label_sequences(table, fps=fps)


@pytest.mark.parametrize("durations", [(6.0, 4.0), (np.nan, 4.0)])
def test_a_segment_may_last_to_the_end_of_its_video(durations):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both(FRAMES, videos(*durations))
        both(FRAMES, {"a": 50, "b": 25})


@pytest.mark.parametrize("kind", [dict, pd.DataFrame])
def test_a_segment_that_stops_after_the_end_is_warned_of(kind):
    info = kind(videos(5.5, 4.0))
    match = r"row 1 of segments stops at 6.00 s, after .* 'a', which lasts 5.50 s \(1 s"
    with pytest.warns(UserWarning, match=match):
        history = label_history(FRAMES, history=1, fps=info)
    assert_array_equal(history, [[-1], [1], [-1]])  # as without


def test_a_segment_that_starts_after_the_end_is_an_error():
    match = r"row 1 of segments starts at 5.00 s.*'a', which lasts 4.90 s \(1 such row"
    for function in (label_history, label_sequences):
        with pytest.raises(ValueError, match=match):
            function(FRAMES, fps=videos(4.9, 9.0))


def test_seconds_of_the_table_are_compared_too():
    table = {**FRAMES, "start_seconds": [1, 5, 2], "stop_seconds": [3, 6, 9]}
    with pytest.warns(UserWarning, match="row 2 of segments stops at 9.00 s"):
        label_history(table, fps=videos(6.0, 8.0))
    array = np.arange(40.0)[:, None]
    features = FeatureTable.from_arrays({"a": array, "b": array})
    with pytest.raises(ValueError, match="row 2 of segments starts at 2.00 s"):
        cut_clips(features, table, fps=videos(6.0, 1.5), feature_rate=4)


def test_durations_are_numbers():
    with pytest.raises(ValueError, match="column duration of dtype <U5: expected sec"):
        label_history(FRAMES, fps=videos("00:10", "00:09"))


def test_a_rate_that_is_too_small_is_found_out(tmp_path):
    """Frames at 50 a second, read as those of a video of 25."""
    (tmp_path / "train.csv").write_text(published.EPIC100)
    (tmp_path / "info.csv").write_text(published.INFO.replace(",50.0,", ",25.0,"))
    segments = read_segments(tmp_path / "train.csv")
    info = read_video_info(tmp_path / "info.csv")
    label_history(segments, fps=info)  # by its seconds
    frames = {n: c for n, c in segments.items() if not n.endswith("seconds")}
    with pytest.raises(ValueError, match="row 1 of segments starts at 130.00 s, after"):
        label_history(frames, fps=info)


@pytest.mark.parametrize("unit", [1000.0, 1 / 60])
def test_milliseconds_and_minutes_are_no_seconds(unit):
    table = {
        "video": ["a", "a"],
        "start_frame": [30, 400],
        "stop_frame": [90, 900],
        "action": [0, 1],
        "start_seconds": np.array([1.0, 13.0]),
        "stop_seconds": np.array([3.0, 30.0]),
    }
    assert label_history(table, history=1).tolist() == [[-1], [0]]
    for name in ("start_seconds", "stop_seconds"):
        table[name] = table[name] * unit
    with pytest.warns(UserWarning, match="stop at frame 900 .* frames per second: che"):
        label_history(table)
