import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skanticipate.datasets import cut_pairs, make_kitchen, unlabeled_pairs
from skanticipate.datasets._features import FeatureTable


def table_of(rows):
    video, start, length, action = map(np.array, zip(*rows, strict=True))
    return {
        "video": video,
        "start_frame": start,
        "stop_frame": start + length,
        "action": action,
    }


def example(**columns):
    return {
        "video": ["a", "a", "b"],
        "start_frame": [100, 400, 50],
        "stop_frame": [160, 450, 90],
        "action": [7, 8, 7],
        **columns,
    }


def naive_clip(features, stop_seconds, n_steps, rate):
    """Step by step from the last one that is over by then; NaN where there is none."""
    steps = []
    last = max(
        (i for i in range(-200, 600) if (i + 1) / rate <= stop_seconds + 1e-9),
    )
    present = [i for i in range(last - n_steps + 1, last + 1) if 0 <= i < len(features)]
    steps = [np.full(features.shape[1:], np.nan)] * (n_steps - len(present))
    return np.array(steps + [features[i] for i in present])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 4, 7.5, 10]),
    st.sampled_from([10, 25, 30]),
    st.sampled_from([1.0, 1.2, 2.5]),
    st.sampled_from([0.0, 0.28, 1.0]),
    st.integers(0, 9),
)
def test_clips_are_those_of_a_naive_loop(rate, fps, seconds, gap, seed):
    rng = np.random.default_rng(seed)
    features = {"a": rng.normal(size=(440, 2)), "b": rng.normal(size=(440, 2))}
    pairs = unlabeled_pairs(
        example(),
        20,
        clip_duration=seconds,
        anticipation_time=gap,
        fps=fps,
        random_state=seed,
    )
    data = cut_pairs(pairs, features, feature_rate=rate, fps=fps)
    n_steps = round(round(seconds * fps) * rate / fps)
    for row, video in enumerate(pairs.video):
        for X, stop in (
            (data.X_past, pairs.past_stop),
            (data.X_future, pairs.future_stop),
        ):
            expected = naive_clip(features[video], stop[row] / fps, n_steps, rate)
            assert_array_equal(X[row], expected)
    assert_array_equal(data.y, pairs.y)
    assert_array_equal(data.groups, pairs.video)


def test_the_past_never_shows_the_gap():
    """Each feature is the time at which its step ends, in seconds."""
    for rate in (1, 3, 4, 30):
        ends = {video: np.arange(1, 60 * rate)[:, None] / rate for video in "ab"}
        pairs = unlabeled_pairs(example(), 50, clip_duration=2.0, random_state=0)
        data = cut_pairs(pairs, ends, feature_rate=rate)
        seen = data.X_past[:, -1, 0]
        late = seen - pairs.past_stop / 30
        known = ~np.isnan(seen)
        assert late[known].max() < 1e-9
        assert late[known].min() > -1 / rate


def test_steps_are_not_missed_by_rounding():
    # 27 frames are 9 steps, which is 8.999999999999998 in floating point
    pairs = unlabeled_pairs(table_of([("a", 27, 5, 1)]), 0, anticipation_time=0, fps=9)
    pairs.fps = np.array([30000 / 1001])
    data = cut_pairs(
        pairs,
        {"a": np.arange(99.0)[:, None]},
        feature_rate=10000 / 1001,
        fps=30000 / 1001,
    )
    assert data.X_past[0, :, 0].tolist() == [6, 7, 8]


def test_maps_and_storage_types_are_kept(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((200, 3, 3, 5), dtype=np.float16))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    pairs = unlabeled_pairs(example(), 4, clip_duration=2.0, random_state=0)
    data = cut_pairs(pairs, {"a": mapped, "b": mapped, "c": None}, feature_rate=4)
    assert data.X_past.shape == data.X_future.shape == (7, 8, 3, 3, 5)
    assert data.X_past.dtype == np.float16


def test_features_may_be_lists():
    features = {
        "a": [[float(i)] for i in range(40)],
        "b": [[float(i)] for i in range(9)],
    }
    data = cut_pairs(unlabeled_pairs(example(), 0), features, feature_rate=1)
    assert data.X_future[:, 0, 0].tolist() == [3.0, 13.0, 1.0]


def test_only_the_clips_are_read():
    class Disk:
        """An array in a file: it can be sliced, and not be read as a whole."""

        shape = (10**9, 2)
        n_read = 0

        def __getitem__(self, rows):
            self.n_read += rows.stop - rows.start
            return np.zeros((rows.stop - rows.start, 2))

    disk = Disk()
    cut_pairs(
        unlabeled_pairs(example(), 7, random_state=0),
        {"a": disk, "b": disk},
        feature_rate=4,
    )
    assert disk.n_read <= 10 * 2 * 4


def test_a_past_before_the_video_is_all_padding_and_one_that_begins_there_in_part():
    segments = table_of([("a", 10, 30, 1), ("a", 45, 30, 2), ("a", 90, 30, 2)])
    data = cut_pairs(
        unlabeled_pairs(segments, 0), {"a": np.zeros((30, 1))}, feature_rate=4
    )
    missing = np.isnan(data.X_past[:, :, 0])
    assert missing.tolist() == [
        [True] * 4,
        [True, True, False, False],
        [False] * 4,
    ]
    assert not np.isnan(data.X_future).any()


def test_a_future_that_outlasts_the_features_is_filled_up_on_the_left():
    data = cut_pairs(
        unlabeled_pairs(table_of([("a", 90, 30, 1)]), 0),
        {"a": np.arange(14.0)[:, None]},
        feature_rate=4,
    )
    assert_array_equal(data.X_future[0, :, 0], [np.nan, np.nan, 12, 13])


def test_pairs_of_a_kitchen_end_to_end():
    segments = make_kitchen(n_videos=6, random_state=0).segments
    held_out = np.isin(segments.video, ["V004", "V005"])
    train, test = (
        {name: column[rows] for name, column in segments.items()}
        for rows in (~held_out, held_out)
    )
    pairs = unlabeled_pairs(train, 40, avoid=test, random_state=0)
    videos = np.unique(segments.video)
    features = {
        video: np.random.default_rng(0).normal(size=(800, 3)) for video in videos
    }
    data = cut_pairs(pairs, features, feature_rate=4)
    assert data.X_past.shape == data.X_future.shape == (100, 4, 3)
    assert not set(data.groups) & {"V004", "V005"}


ONE = {"a": np.zeros((200, 2)), "b": np.zeros((200, 2))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": {"video": ["a"]}}, "pairs has no column 'past_start'"),
        (
            {"features": {"a": ONE["a"]}},
            "features lacks 1 videos of pairs, such as 'b'",
        ),
        (
            {"features": {**ONE, "b": np.zeros(200)}},
            r"features\['b'\] has shape \(200,\)",
        ),
        ({"features": {"a": np.zeros(9), "b": np.zeros(9)}}, "expected .n_steps, d."),
        ({"features": {**ONE, "b": np.zeros((200, 3))}}, r"steps of shape \(2,\)"),
        ({"features": {**ONE, "a": np.zeros((9, 2))}}, "begins at step .* has 9 steps"),
        ({"features": {**ONE, "a": np.zeros((53, 2))}}, "begins at step 53 .* has 53"),
        ({"feature_rate": 0.4}, "past clips of pairs last 30 frames, less than half"),
        ({"feature_rate": 0}, "'feature_rate' parameter of cut_pairs"),
        ({"fps": -1}, "'fps' parameter"),
        ({"features": [ONE["a"]]}, "'features' parameter"),
    ],
)
def test_what_cannot_be_cut_is_refused(change, message):
    arguments = {"pairs": unlabeled_pairs(example(), 0), "features": ONE}
    with pytest.raises(ValueError, match=message):
        cut_pairs(**{**arguments, "feature_rate": 4, **change})


def test_clips_of_unequal_length_are_refused():
    pairs = unlabeled_pairs(example(), 0)
    pairs.future_stop[1] += 5
    with pytest.raises(ValueError, match="future clips of pairs last from 30 to 35"):
        cut_pairs(pairs, ONE, feature_rate=4)
    pairs.future_stop = pairs.future_stop[:2]
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        cut_pairs(pairs, ONE, feature_rate=4)


def test_features_of_some_frames_only_are_refused():
    numbers = np.r_[31:61, 121:241]  # a late start and a gap
    rows = {"a": numbers[:, None].astype(np.float32)}
    table = FeatureTable(
        None,
        rows["a"],
        np.array(["a"]),
        np.array([0, len(numbers)]),
        numbers,
        "frame {}",
    )
    pairs = unlabeled_pairs(
        {"video": ["a"], "start_frame": [90], "stop_frame": [120], "action": [1]},
        0,
        clip_duration=0.5,
        anticipation_time=0.5,
    )
    with pytest.raises(
        ValueError, match="frames 31 to 240 of 'a', with gaps or a late"
    ):
        cut_pairs(pairs, table, feature_rate=30)


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (
            np.arange(440) / 12.5,
            "as seconds at 12.5 rows a second, but feature_rate is",
        ),
        (np.arange(440) / 25 + 5, "begins with 5, but the first row is read as the"),
    ],
)
def test_seconds_of_an_index_are_compared_with_the_rate(index, match):
    pd = pytest.importorskip("pandas")
    pairs = unlabeled_pairs(example(), 9, clip_duration=1.0, random_state=0)
    arrays = {name: np.random.default_rng(0).normal(size=(440, 2)) for name in "ab"}
    tables = {name: pd.DataFrame(f, index=index) for name, f in arrays.items()}
    with pytest.warns(UserWarning, match=match):
        cut_pairs(pairs, tables, feature_rate=25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut_pairs(pairs, arrays, feature_rate=25)
        tables = {name: t.set_axis(np.arange(440) / 25) for name, t in tables.items()}
        cut_pairs(pairs, tables, feature_rate=25)


def test_features_with_an_index_are_whole_and_in_order():
    pd = pytest.importorskip("pandas")
    pairs = unlabeled_pairs(example(), 9, clip_duration=1.0, random_state=0)
    arrays = {name: np.random.default_rng(0).normal(size=(440, 2)) for name in "ab"}
    expected = cut_pairs(pairs, arrays, feature_rate=25)

    def cut(index):
        tables = {name: pd.DataFrame(f, index=index) for name, f in arrays.items()}
        return cut_pairs(pairs, tables, feature_rate=25)

    seconds = np.arange(440) / 25
    letters = str.maketrans("0123456789", "qwertyuiop")
    names = [str(k).translate(letters) for k in range(440)]  # of no time
    for index in (
        np.arange(440),
        np.arange(3000, 3440),  # one of many videos in a table
        seconds,
        np.round(seconds * 1.004, 2),  # of 0.04 and 0.05
        pd.to_timedelta(seconds, unit="s"),
        names,
    ):
        found = cut(index)
        assert_array_equal(found.X_past, expected.X_past)
        assert_array_equal(found.X_future, expected.X_future)
    gap = np.arange(440) + (np.arange(440) > 200)
    for index, message in [
        (gap, r"index of features\['a'\] goes from 200 to 202"),
        (seconds + (gap > 200), "goes from 8.0 to 9.04"),
        (np.arange(440)[::-1], r"index of features\['a'\] does not rise"),
        (np.zeros(440), "does not rise"),
    ]:
        with pytest.raises(ValueError, match=message):
            cut(index)


@pytest.mark.parametrize("kind", [dict, pd.DataFrame])
def test_pairs_are_not_cut_at_another_rate_than_they_were_drawn_at(kind):
    """Of 15 frames a second half of the time would be cut, without a word."""
    features = {"a": np.arange(900.0)[:, None], "b": np.arange(900.0)[:, None]}
    pairs = kind(unlabeled_pairs(example(), 3, fps=15, random_state=0))
    match = "fps is 30 and pairs has frames at 15 a second: pass fps=15"
    with pytest.raises(ValueError, match=match):
        cut_pairs(pairs, features, feature_rate=15)
    data = cut_pairs(pairs, features, feature_rate=15, fps=15)
    assert_array_equal(data.X_future[:, 0, 0], pairs["future_start"])
    without = {name: pairs[name] for name in pairs if name != "fps"}
    again = cut_pairs(without, features, feature_rate=15, fps=15)
    assert_array_equal(again.X_future, data.X_future)


def test_features_that_stand_in_the_place_of_steps_are_told_of():
    pairs = unlabeled_pairs(example(), 9, clip_duration=1.0, random_state=0)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(440, 460)).cumsum(axis=0) for name in "ab"}
    with pytest.warns(UserWarning, match="460 frames of 440 features.* transpose"):
        cut_pairs(pairs, {n: a.T for n, a in arrays.items()}, feature_rate=25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut_pairs(pairs, arrays, feature_rate=25)
