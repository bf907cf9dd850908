import numpy as np
import pandas as pd
import pytest
from hypothesis import example as such_as
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skanticipate import SemiSupervisedSplit
from skanticipate.datasets import cut_pairs, read_segments, unlabeled_pairs

COLUMNS = ("video", "past_start", "past_stop", "future_start", "future_stop", "y")


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


def rows_of(pairs, keep=slice(None)):
    return list(
        zip(*(np.asarray(pairs[c])[keep].tolist() for c in COLUMNS), strict=True)
    )


# ------------------------------------------------- the oracle: frame by frame, in sets


def spans(table):
    return list(
        zip(table["video"], table["start_frame"], table["stop_frame"], strict=True)
    )


def naive_pairs(segments, avoid, n_frames, length, gap, reach):
    """Every unlabelled pair that may be drawn, by trying every frame."""
    avoid = [] if avoid is None else spans(avoid)
    train = spans(segments)
    found = []
    for video in dict.fromkeys(segments["video"]):
        end = n_frames and n_frames[video]
        if end is None:
            end = max(stop for name, _, stop in train + avoid if name == video)
        for start in range(end):
            past = (start - gap - length, start - gap)
            future = (start, start + length)
            inside = past[0] >= 0 and future[1] <= end
            near = any(
                name == video and past[0] >= a - reach and future[1] <= b + reach
                for name, a, b in train
            )
            touches = any(
                name == video and overlap(future, (a, b)) for name, a, b in train
            ) or any(
                name == video and (overlap(future, (a, b)) or overlap(past, (a, b)))
                for name, a, b in avoid
            )
            if inside and near and not touches:
                found.append((video, *past, *future, -1))
    return found


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]


segment = st.tuples(
    st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 20), st.integers(0, 9)
)
tables = st.lists(segment, min_size=1, max_size=8).map(table_of)


@settings(max_examples=150, deadline=None)
@given(
    tables,
    st.none() | tables,
    st.none() | st.fixed_dictionaries({v: st.integers(61, 90) for v in "abc"}),
    st.integers(1, 6),
    st.integers(0, 6),
    st.integers(0, 25),
    st.integers(0, 9),
)
# A segment too short for its own window inside the window of another one.
@such_as(table_of([("a", 0, 20, 0), ("a", 18, 0, 1)]), None, {"a": 30}, 2, 4, 2, 0)
def test_all_pairs_that_may_be_drawn_and_no_other(
    segments, avoid, n_frames, length, gap, reach, seed
):
    expected = naive_pairs(segments, avoid, n_frames, length, gap, reach)

    def draw(n_pairs):
        return unlabeled_pairs(
            segments,
            n_pairs,
            clip_duration=length,
            anticipation_time=gap,
            window=reach,
            fps=1,
            avoid=avoid,
            n_frames=n_frames,
            random_state=seed,
        )

    n_labelled = len(segments["video"])
    everything = rows_of(draw(len(expected)), slice(n_labelled, None))
    assert everything == expected
    with pytest.raises(ValueError, match=f"room for {len(expected)} different"):
        draw(len(expected) + 1)

    some = draw(len(expected) // 2)
    assert rows_of(some) == rows_of(draw(len(expected) // 2))  # by the seed
    drawn = rows_of(some, slice(n_labelled, None))
    assert len(set(drawn)) == len(drawn) == len(expected) // 2
    assert set(drawn) <= set(expected)
    assert rows_of(some, slice(n_labelled)) == [
        (video, a - gap - length, a - gap, a, a + length, label)
        for (video, a, _), label in zip(
            spans(segments), segments["action"], strict=True
        )
    ]


# ------------------------------------------------------------------------ the table


def test_labelled_pairs_by_hand():
    pairs = unlabeled_pairs(
        example(), 0, clip_duration=2.0, anticipation_time=0.5, fps=10
    )
    assert rows_of(pairs) == [
        ("a", 75, 95, 100, 120, 7),
        ("a", 375, 395, 400, 420, 8),
        ("b", 25, 45, 50, 70, 7),
    ]


def test_durations_are_rounded_to_frames():
    # 25 * 0.28 is 7.000000000000001 in floating point; 32 frames at 30 a second
    pairs = unlabeled_pairs(example(), 5, anticipation_time=0.28, fps=25)
    assert_array_equal(pairs.future_start - pairs.past_stop, 7)
    pairs = unlabeled_pairs(example(), 5, clip_duration=32 / 30)
    for clip in ("past", "future"):
        assert_array_equal(pairs[f"{clip}_stop"] - pairs[f"{clip}_start"], 32)


def test_all_places_are_equally_likely():
    segments = table_of([("a", 100, 5, 0), ("b", 100, 5, 0)])
    counts = {}
    for seed in range(300):
        pairs = unlabeled_pairs(
            segments,
            4,
            clip_duration=2,
            anticipation_time=1,
            window=6,
            fps=1,
            n_frames={"a": 200, "b": 200},
            random_state=seed,
        )
        for row in rows_of(pairs, slice(2, None)):
            counts[row] = counts.get(row, 0) + 1
    n_places = len(
        naive_pairs(segments, None, {"a": 200, "b": 200}, length=2, gap=1, reach=6)
    )
    assert len(counts) == n_places
    expected = 1200 / n_places
    assert max(abs(n - expected) for n in counts.values()) < 5 * expected**0.5


def test_other_seeds_draw_other_pairs():
    one, other = (unlabeled_pairs(example(), 20, random_state=s) for s in (0, 1))
    assert rows_of(one) != rows_of(other)
    assert rows_of(one, slice(3)) == rows_of(other, slice(3))


def test_the_global_random_state_is_left_alone():
    np.random.seed(3)
    expected = np.random.uniform()
    np.random.seed(3)
    unlabeled_pairs(example(), 5, random_state=0)
    assert np.random.uniform() == expected


def test_labels_of_strings_go_with_the_number_minus_one():
    pairs = unlabeled_pairs(example(action=["cut", "mix", "cut"]), 2, random_state=0)
    assert pairs.y.tolist() == ["cut", "mix", "cut", -1, -1]
    splits = SemiSupervisedSplit([([0], [1])]).split(None, pairs.y)
    assert [(a.tolist(), b.tolist()) for a, b in splits] == [([0, 3, 4], [1])]


@pytest.mark.parametrize("names", [[1, 1, 2], np.array([1, 1, "b"], dtype=object)])
def test_videos_keep_their_names(names):
    pairs = unlabeled_pairs(example(video=names), 10, random_state=0)
    assert set(pairs.video.tolist()) <= set(names)
    assert pairs.video.dtype == np.asarray(names).dtype


def test_whole_frames_may_be_floats_and_the_table_a_frame():
    plain = unlabeled_pairs(example(), 5, random_state=0)
    table = pd.DataFrame(example()).astype({"start_frame": float, "stop_frame": float})
    assert rows_of(unlabeled_pairs(table, 5, random_state=0)) == rows_of(plain)


def test_segments_as_they_are_read(tmp_path):
    path = tmp_path / "training.csv"
    path.write_text("1, P01, 100, 160, 0, 1, 7\n2, P01, 400, 450, 0, 2, 8")
    pairs = unlabeled_pairs(read_segments(path), 3, random_state=0)
    assert pairs.video.tolist() == ["P01"] * 5
    assert pairs.y.tolist() == [7, 8, -1, -1, -1]


def test_frame_numbers_may_be_huge():
    second = 10**9  # nanoseconds
    segments = table_of([("a", 100 * second, 2 * second, 0)])
    pairs = unlabeled_pairs(segments, 50, fps=second, random_state=0)
    assert len(set(pairs.future_start.tolist())) == 51
    assert pairs.future_start.max() < 100 * second + 1


@pytest.mark.parametrize(("ours", "theirs"), [(1, "1"), ("1", 1), ("01", 1)])
def test_videos_to_avoid_must_be_named_alike(ours, theirs):
    segments = table_of([(ours, 100, 20, 1), (ours, 300, 20, 2)])
    avoid = table_of([(theirs, 0, 1000, 1)])
    with pytest.raises(ValueError, match="video of avoid holds .* give both the same"):
        unlabeled_pairs(segments, 1, avoid=avoid)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32"])
def test_pairs_do_not_depend_on_the_type_of_numbers(dtype):
    segments = table_of([("a", 60, 20, 1), ("a", 500, 20, 2)])
    frames = {"start_frame": dtype, "stop_frame": dtype}
    narrow = pd.DataFrame(segments).astype(frames)
    expected, found = (
        unlabeled_pairs(table, 9, n_frames={"a": end}, avoid=table, random_state=0)
        for table, end in ((segments, 600), (narrow, np.dtype(dtype).type(600)))
    )
    assert rows_of(found) == rows_of(expected)


def test_a_video_that_is_too_short_has_no_room_whatever_its_number():
    segments = table_of([("a", 5, 2, 1)])
    for end in (9, np.uint16(9), np.uint8(9)):
        with pytest.raises(ValueError, match="room for 0 different"):
            unlabeled_pairs(segments, 1, n_frames={"a": end})


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "float32"])
def test_clips_do_not_depend_on_the_type_of_the_frames(dtype):
    pairs = {
        "video": ["a", "a"],
        "past_start": [39940, 40],
        "past_stop": [39970, 70],
        "future_start": [40000, 100],
        "future_stop": [40030, 130],
        "y": [1, 2],
    }
    table = pd.DataFrame(pairs)
    table = table.astype(dict.fromkeys(table.columns[1:5], dtype))
    features = {"a": np.arange(3000.0)[:, None]}  # 2 steps a second
    data = cut_pairs(table, features, feature_rate=2)
    assert data.X_past[:, :, 0].tolist() == [[2662, 2663], [2, 3]]
    assert data.X_future[:, :, 0].tolist() == [[2666, 2667], [6, 7]]


@pytest.mark.parametrize("name", ["video", "past_start", "future_stop", "y"])
def test_pairs_behind_a_mask_are_refused(name):
    pairs = unlabeled_pairs(table_of([("a", 100, 20, 1), ("a", 300, 20, 2)]), 0)
    pairs[name] = np.ma.array(pairs[name], mask=[0, 1])
    with pytest.raises(ValueError, match=f"{name} is"):
        cut_pairs(pairs, {"a": np.zeros((20, 3))}, feature_rate=1)


def test_the_arguments_are_left_as_they_are():
    segments = table_of([("a", 100, 20, 1), ("a", 300, 20, 2)])
    before = {name: column.copy() for name, column in segments.items()}
    unlabeled_pairs(segments, 5, avoid=segments)
    for name, column in before.items():
        assert_array_equal(segments[name], column)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": example(action=[7, -1, 8])}, "holds the action -1"),
        ({"segments": {"video": ["a"]}}, "segments cannot be read: .* no column"),
        ({"segments": example(stop_frame=[160, 450, 9])}, "segments cannot be read"),
        ({"segments": example(start_frame=[1.5, 2, 3])}, "segments has a frame 1.5"),
        ({"avoid": {"video": ["a"]}}, "avoid cannot be read: .* no column"),
        ({"avoid": example(stop_frame=[160, 450, 90.5])}, "avoid has a frame 90.5"),
        ({"n_frames": {"a": 900}}, "n_frames has no entry for the video 'b'"),
        # seconds in place of frames: 15 s, and a segment that starts after 13.3 s
        ({"n_frames": {"a": 15.0, "b": 9}}, "15.0 .* starts at frame 400: .* no sec"),
        ({"clip_duration": 0.01}, "clip_duration=0.01 s is less than one frame"),
        ({"n_pairs": 10**6}, "room for [0-9]+ different unlabelled pairs and n_pairs"),
        ({"n_pairs": -1}, "'n_pairs' parameter of unlabeled_pairs"),
        ({"clip_duration": 0}, "'clip_duration' parameter"),
        ({"clip_duration": float("inf")}, "'clip_duration' parameter"),
        ({"anticipation_time": -1}, "'anticipation_time' parameter"),
        ({"window": -1}, "'window' parameter"),
        ({"fps": 0}, "'fps' parameter"),
        ({"n_frames": [900, 900]}, "'n_frames' parameter"),
        ({"random_state": "today"}, "'random_state' parameter"),
    ],
)
def test_what_makes_no_pairs_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        unlabeled_pairs(**{"segments": example(), "n_pairs": 1, **change})


def test_mixed_labels_are_refused():
    with pytest.raises(TypeError, match="all integers or all strings"):
        unlabeled_pairs(example(action=[1.5, 2.0, 3.0]), 1)


def test_a_segment_that_starts_with_its_video_has_nothing_before_it():
    segments = {
        "video": ["a"],
        "start_frame": [0],
        "stop_frame": [30],
        "start_seconds": [0.0],
        "stop_seconds": [1.0],
        "action": [7],
    }
    pairs = unlabeled_pairs(segments, 0, anticipation_time=0.0)
    assert pairs.past_stop.tolist() == pairs.future_start.tolist() == [0]


def test_segments_to_avoid_need_no_labels():
    """As a challenge publishes those of its test set."""
    avoid = {name: [column] for name, column in zip(example(), "a", strict=False)}
    avoid.update(start_frame=[200], stop_frame=[260])
    expected = unlabeled_pairs(example(), 9, avoid={**avoid, "action": [0]})
    n_left = len(expected.y)
    for others in ({}, {"action": [None]}, {"action": [-1]}):
        found = unlabeled_pairs(example(), 9, avoid={**avoid, **others})
        assert len(found.y) == n_left
    count = {}
    for name, table in (("labels", {**avoid, "action": [0]}), ("none", avoid)):
        with pytest.raises(ValueError, match="room for") as error:
            unlabeled_pairs(example(), 10**6, avoid=table)
        count[name] = str(error.value)
    assert count["labels"] == count["none"]


def test_nothing_to_avoid_is_no_error():
    nothing = {name: [] for name in example()}
    expected = unlabeled_pairs(example(), 9, random_state=0)
    found = unlabeled_pairs(example(), 9, avoid=nothing, random_state=0)
    assert_array_equal(found.past_start, expected.past_start)
    with pytest.raises(ValueError, match="avoid cannot be read"):
        unlabeled_pairs(example(), 9, avoid={"start": []})
