"""Clips of official tables: by timestamps, at the rate of the features."""

import numpy as np
import published
import pytest
from feature_files import numbered, write_lmdb
from numpy.testing import assert_array_equal

from skanticipate.datasets import cut_clips, load_epic, read_lmdb, read_segments

CUT = {"observation": 1.0, "anticipation": 1.0, "step": 0.5}


@pytest.fixture
def features(tmp_path):
    """Features at 30 frames per second whose first two numbers are video and frame."""
    videos = {"P50_101": numbered(2100, 1), "P51_01": numbered(400, 2)}
    return read_lmdb(write_lmdb(tmp_path / "rgb", videos), out=tmp_path / "out")


@pytest.fixture
def official(tmp_path):
    (tmp_path / "official.csv").write_text(published.EPIC100)
    return read_segments(tmp_path / "official.csv")


def frames_of(view):
    return np.asarray(view)[:, :, 1]


def test_official_tables_are_cut_as_those_at_30(features, official):
    at_30 = {
        "video": ["P50_101", "P50_101", "P51_01"],
        "start_frame": [60, 1950, 300],
        "stop_frame": [120, 1995, 360],
        "action": [1, 2, 3],
    }
    expected = cut_clips(features, at_30, future_steps=3, **CUT)
    for fps in (30, None, {"P50_101": 50, "P51_01": 60}):
        data = cut_clips(features, official, fps=fps, future_steps=3, **CUT)
        assert_array_equal(np.asarray(data.X_past), np.asarray(expected.X_past))
        assert_array_equal(np.asarray(data.X_future), np.asarray(expected.X_future))
        assert data.ids.tolist() == ["P50_101_0", "P50_101_1", "P51_01_0"]


def test_frames_of_two_rates_become_those_of_the_features(features):
    table = {
        "video": ["P50_101", "P51_01"],
        "start_frame": [101, 599],
        "stop_frame": [200, 719],
        "action": [1, 2],
    }
    rates = {"P50_101": 50, "P51_01": 59.94}
    data = cut_clips(features, table, fps=rates, **CUT)
    # 2.02 s are frame 60.6, 9.9933 s frame 299.8, at 30 per second
    assert_array_equal(frames_of(data.X_past), [[15, 15, 30, 45], [239, 254, 269, 284]])
    slow = cut_clips(
        features, table, fps=rates, feature_rate={"P50_101": 10, "P51_01": 4}, **CUT
    )
    assert_array_equal(frames_of(slow.X_past), [[5, 5, 10, 15], [31, 33, 35, 37]])


@pytest.mark.parametrize("padding", ["repeat", "nan"])
def test_segments_without_labels_all_become_rows(features, padding):
    table = {
        "id": ["a", "b", "c"],
        "video": ["P50_101"] * 3,
        "start_frame": [1, 8, 60],
        "stop_frame": [9, 20, 90],
    }
    data = cut_clips(features, table, padding=padding, **CUT)
    assert data.ids.tolist() == ["a", "b", "c"]
    assert data.kept.all() and data.n_discarded == 0 and "y" not in data
    early, first = (1, 15) if padding == "repeat" else (np.nan, np.nan)
    assert_array_equal(
        frames_of(data.X_past),
        [[early, early, early, 1], [early, early, early, 1], [first, 15, 30, 45]],
    )
    # with labels, what shows nothing is discarded, as before
    labelled = cut_clips(features, {**table, "action": [1, 2, 3]}, **CUT)
    assert labelled.kept.tolist() == [False, False, True]
    assert labelled.ids.tolist() == ["c"]


def test_frames_beyond_the_video_are_named(features, official):
    late = {**official, "start_seconds": [2.0, 90.0, 10.0]}
    late["stop_seconds"] = [4.0, 95.0, 12.0]
    with pytest.raises(ValueError, match=r"row 1 asks for .*go from 1 to 2100"):
        cut_clips(features, late, **CUT)


def test_videos_without_features_are_named(features, official):
    strange = {**official, "video": np.array(["P50_101", "P50_101", "P99_01"])}
    with pytest.raises(ValueError, match="has no video 'P99_01', which row 2 asks"):
        cut_clips(features, strange, **CUT)
    one = {name: column[:1] for name, column in official.items()}
    assert len(cut_clips(features, one, **CUT).X_past) == 1  # P51_01 is not annotated


@pytest.mark.parametrize(
    ("rates", "match"),
    [
        ({"fps": {"P50_101": 50}}, "fps has no entry for 1 videos"),
        ({"fps": {"P50_101": 50, "P51_01": 0}}, "fps is 0 for the video 'P51_01'"),
        ({"feature_rate": {"P50_101": 50}}, "feature_rate has no entry for 1 videos"),
        ({"feature_rate": 0}, "'feature_rate' parameter"),
        ({"fps": 0}, "'fps' parameter"),
    ],
)
def test_rates_that_are_none(features, official, rates, match):
    with pytest.raises(ValueError, match=match):
        cut_clips(features, official, **rates, **CUT)


def test_a_folder_with_official_files(tmp_path):
    write_lmdb(tmp_path / "rgb", {"P50_102": numbered(300)})
    (tmp_path / "test.csv").write_text(published.EPIC100_TEST)
    data = load_epic(tmp_path, split="test", future_steps=None, **CUT)
    assert data.ids.tolist() == ["P50_102_0", "P50_102_1"]
    assert data.segments.format == "epic100_unlabeled"
    # 4.97 s are frame 149
    assert_array_equal(frames_of(data.X_past), [[1, 1, 1, 1], [89, 104, 119, 134]])
