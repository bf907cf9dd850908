import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    label_history,
    label_sequences,
    unlabeled_pairs,
)
from skanticipate.priors import TemporalPrior


def naive_history(table, history, anticipation_time, rule, fps):
    rows = list(
        zip(
            table["video"],
            table["start_frame"],
            table["stop_frame"],
            table["action"],
            strict=True,
        )
    )
    result = []
    for i, (video, start, _, _) in enumerate(rows):
        latest = start - fps * anticipation_time
        past = []
        for j, (other, other_start, other_stop, action) in enumerate(rows):
            seen = {
                "ended": other_stop <= latest,
                "started": other_start <= latest,
                "all": other_start < start,
            }[rule]
            if i != j and other == video and seen:
                past.append((other_start, other_stop, j, action))
        labels = [action for *_, action in sorted(past)][-history:]
        result.append([-1] * (history - len(labels)) + labels)
    return result


segment = st.tuples(
    st.sampled_from("abc"), st.integers(0, 200), st.integers(0, 80), st.integers(0, 9)
)


def table_of(rows):
    video, start, length, action = map(np.array, zip(*rows, strict=True))
    return {
        "video": video,
        "start_frame": start,
        "stop_frame": start + length,
        "action": action,
    }


@settings(max_examples=150, deadline=None)
@given(
    st.lists(segment, min_size=1, max_size=30),
    st.integers(1, 4),
    st.sampled_from([0, 0.25, 0.5, 1.0]),
    st.sampled_from(["ended", "started", "all"]),
    st.sampled_from([1, 8, 60]),
)
def test_history_is_that_of_a_double_loop(rows, history, seconds, rule, fps):
    table = table_of(rows)
    expected = naive_history(table, history, seconds, rule, fps)
    got = label_history(
        table, history=history, anticipation_time=seconds, rule=rule, fps=fps
    )
    assert_array_equal(got, expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(segment, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_row_order_of_the_table_does_not_matter(rows, random):
    # Distinct (video, start, stop): ties would keep the order of the table.
    table = table_of(list({row[:3]: row for row in rows}.values()))
    n = len(table["video"])
    order = np.array(random.sample(range(n), n))
    shuffled = {name: column[order] for name, column in table.items()}
    assert_array_equal(label_history(shuffled), label_history(table)[order])


def example(**columns):
    return {
        "video": ["v", "v", "v"],
        "start_frame": [0, 40, 100],
        "stop_frame": [30, 90, 130],
        "action": [5, 6, 7],
        **columns,
    }


@pytest.mark.parametrize(
    ("rule", "last_row"),
    [("ended", [-1, 5]), ("started", [5, 6]), ("all", [5, 6])],
)
def test_rules_differ_on_a_segment_that_is_going_on(rule, last_row):
    assert label_history(example(), history=2, rule=rule)[2].tolist() == last_row


def test_the_limit_itself_belongs_to_the_past():
    table = example(stop_frame=[30, 70, 130])
    assert label_history(table, history=1)[2] == 6


def test_the_limit_is_not_missed_by_rounding():
    # 25 * 0.28 is 7.000000000000001 in floating point
    table = example(start_frame=[0, 37, 100], stop_frame=[30, 90, 130])
    got = label_history(table, history=1, anticipation_time=0.28, fps=25)
    assert got[1] == 5


def test_all_does_not_use_the_anticipation_time():
    table = example()
    assert_array_equal(
        label_history(table, rule="all", anticipation_time=0.0),
        label_history(table, rule="all", anticipation_time=9.0),
    )


@pytest.mark.parametrize("rule", ["ended", "started", "all"])
def test_a_segment_without_length_is_not_its_own_past(rule):
    table = example(start_frame=[0, 0, 0], stop_frame=[0, 0, 0], video=["a", "b", "c"])
    got = label_history(table, rule=rule, anticipation_time=0)
    assert (got == -1).all()


@pytest.mark.parametrize("dtype", ["U", object])
def test_strings_are_padded_with_the_empty_string(dtype):
    table = example(action=np.array(["cut", "wash", "put"], dtype=dtype))
    got = label_history(table, history=2)
    assert got.tolist() == [["", ""], ["", ""], ["", "cut"]]
    assert got.dtype.kind == np.dtype(dtype).kind


@pytest.mark.parametrize("dtype", [np.uint8, object])
def test_integers_of_any_kind_become_int64(dtype):
    got = label_history(example(action=np.array([5, 6, 7], dtype=dtype)))
    assert got.dtype == np.int64
    assert got[2].tolist() == [-1, -1, -1, -1, 5]


def test_a_data_frame_is_a_table():
    frame = pd.DataFrame(example(), index=[9, 4, 7])
    assert_array_equal(label_history(frame), label_history(example()))


def test_the_table_is_left_as_it_was():
    table = {name: np.array(column) for name, column in example().items()}
    before = {name: column.copy() for name, column in table.items()}
    label_history(table)
    for name, column in table.items():
        assert_array_equal(column, before[name])


def test_large_tables_take_about_a_second():
    rng = np.random.default_rng(0)
    start = rng.integers(0, 20_000, size=67_000)
    table = {
        "video": rng.integers(0, 500, size=len(start)).astype(str),
        "start_frame": start,
        "stop_frame": start + rng.integers(1, 200, size=len(start)),
        "action": rng.integers(0, 3806, size=len(start)),
    }
    begin = time.perf_counter()
    label_history(table)
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"stop_frame": [30, 39, 130]}, "row 1 of segments stops at frame 39 before"),
        ({"start_frame": [0, np.nan, 100]}, "start_frame is nan in row 1"),
        ({"stop_frame": [30, 90, np.inf]}, "stop_frame is inf in row 2"),
        ({"start_frame": ["0", "40", "100"]}, "start_frame has dtype <U"),
        ({"action": [5, 6]}, r"columns of the shapes .*'action': \(2,\)"),
        ({name: [] for name in example()}, "segments is empty"),
    ],
)
def test_broken_tables_are_refused(columns, match):
    with pytest.raises(ValueError, match=match):
        label_history(example(**columns))


def test_a_missing_column_is_named():
    table = example()
    del table["stop_frame"]
    with pytest.raises(ValueError, match="no column 'stop_frame': expected a table"):
        label_history(table)


@pytest.mark.parametrize("action", [[0.5, 1.5, 2.0], ["cut", 1, None]])
def test_other_labels_are_refused(action):
    column = np.array(action, dtype=object if None in action else float)
    with pytest.raises(TypeError, match="expected all integers or all strings"):
        label_history(example(action=column))


@pytest.mark.parametrize(
    "parameters",
    [
        {"history": 0},
        {"history": 2.0},
        {"fps": 0},
        {"fps": -30},
        {"anticipation_time": -0.5},
        {"rule": "before"},
    ],
)
def test_parameters_out_of_range_are_refused(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"'{name}' parameter of label_history"):
        label_history(example(), **parameters)


# label_sequences


def naive_sequences(table, max_gap, fps):
    starts, stops = table["start_frame"].tolist(), table["stop_frame"].tolist()
    result = []
    for video in dict.fromkeys(table["video"].tolist()):
        latest = None
        rows = [row for row, name in enumerate(table["video"]) if name == video]
        for start, stop, row in sorted((starts[r], stops[r], r) for r in rows):
            cut = latest is not None and max_gap is not None
            if latest is None or (cut and start - latest > max_gap * fps):
                result.append([])
            result[-1].append(table["action"][row])
            latest = stop if latest is None else max(latest, stop)
    return result


@settings(max_examples=100, deadline=None)
@given(
    st.lists(segment, min_size=1, max_size=30),
    st.sampled_from([None, 0, 0.25, 1.0, 4]),
    st.sampled_from([1, 8, 60]),
)
def test_sequences_are_those_of_a_loop(rows, max_gap, fps):
    table = table_of(rows)
    got = label_sequences(table, max_gap=max_gap, fps=fps)
    expected = naive_sequences(table, max_gap, fps)
    assert [labels.tolist() for labels in got] == expected


def test_videos_come_in_the_order_of_the_table_and_labels_in_that_of_time():
    table = example(video=["z", "b", "z"], start_frame=[90, 40, 0], stop_frame=[99] * 3)
    assert [labels.tolist() for labels in label_sequences(table)] == [[7, 5], [6]]


@pytest.mark.parametrize(("max_gap", "n"), [(None, 1), (0.3, 2), (1 / 3, 1), (0, 3)])
def test_a_gap_is_cut_if_it_is_longer_than_allowed(max_gap, n):
    table = example(start_frame=[0, 39, 100])  # gaps of 9 and 10 frames
    assert len(label_sequences(table, max_gap=max_gap)) == n


def test_a_gap_is_not_misread_by_rounding():
    # 25 * 0.28 is 7.000000000000001 in floating point, 100 * 0.29 is 28.999999999999996
    table = example(start_frame=[0, 59, 100], stop_frame=[30, 90, 130])
    assert len(label_sequences(table, max_gap=0.29, fps=100)) == 1


def test_a_gap_counts_from_the_latest_stop_not_from_the_last_segment():
    table = example(start_frame=[0, 40, 100], stop_frame=[95, 50, 130])
    assert len(label_sequences(table, max_gap=5 / 30)) == 1
    table = example(start_frame=[0, 40, 100], stop_frame=[60, 50, 130])
    assert len(label_sequences(table, max_gap=5 / 30)) == 2


def test_another_video_is_no_gap():
    table = example(video=["a", "b", "b"], start_frame=[500, 0, 20])
    table["stop_frame"] = [600, 10, 30]
    got = label_sequences(table, max_gap=1.0)
    assert [labels.tolist() for labels in got] == [[5], [6, 7]]


def test_sequences_keep_strings():
    table = pd.DataFrame(example(action=["cut", "wash", "put"]), index=[9, 4, 7])
    assert label_sequences(table)[0].tolist() == ["cut", "wash", "put"]


def test_unsigned_frame_numbers_do_not_wrap_around():
    table = table_of([("a", 0, 90, 5), ("a", 10, 5, 6), ("a", 20, 5, 7)])
    for name in ("start_frame", "stop_frame"):
        table[name] = table[name].astype(np.uint16)
    assert len(label_sequences(table, max_gap=0)) == 1


NARROW = ["uint8", "int8", "uint16", "int16", "uint32", "uint64", "float16", "float32"]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("rule", ["ended", "started", "all"])
@pytest.mark.parametrize("seconds", [1, 1.0, 4])
def test_history_does_not_depend_on_the_type_of_the_frames(dtype, rule, seconds):
    table = pd.DataFrame(example(start_frame=[10, 60, 120], stop_frame=[50, 90, 127]))
    narrow = table.astype({"start_frame": dtype, "stop_frame": dtype})
    expected = naive_history(table, 2, seconds, rule, 30)
    found = label_history(narrow, history=2, anticipation_time=seconds, rule=rule)
    assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(("max_gap", "n"), [(0.3, 3), (0.4, 1), (40, 1), (2000, 1)])
def test_gaps_do_not_depend_on_the_type_of_the_frames(dtype, max_gap, n):
    table = pd.DataFrame(example(start_frame=[0, 40, 100], stop_frame=[30, 90, 127]))
    narrow = table.astype({"start_frame": dtype, "stop_frame": dtype})
    assert len(label_sequences(narrow, max_gap=max_gap)) == n  # the gaps are 10 frames


def test_seconds_are_counted_in_frames_whatever_the_type_of_fps():
    table = example(start_frame=[0, 200, 500], stop_frame=[150, 300, 550])
    fps = np.uint8(30)
    found = label_history(table, history=2, anticipation_time=10, fps=fps)
    assert_array_equal(found, naive_history(table, 2, 10, "ended", 30))
    assert len(label_sequences(table, max_gap=10, fps=fps)) == 1
    pairs = unlabeled_pairs(table, 0, clip_duration=10, anticipation_time=9, fps=fps)
    assert (pairs.past_stop - pairs.past_start).tolist() == [300] * 3
    assert (pairs.future_start - pairs.past_stop).tolist() == [270] * 3


@pytest.mark.parametrize("frame", [2.0**60, 2**60, np.uint64(2**64 - 1)])
def test_frames_that_no_float_can_count_are_refused(frame):
    with pytest.raises(ValueError, match=r"in row 2 .*at most 2\*\*53; drop"):
        label_history(example(stop_frame=np.array([30, 90, frame])))


MISSING = [None, np.nan, pd.NA, pd.NaT, "", "nan", "<NA>", np.ma.masked]


@pytest.mark.parametrize("read", [label_history, label_sequences])
@pytest.mark.parametrize("name", MISSING, ids=repr)
def test_videos_without_a_name_are_not_one_video(read, name):
    table = example(video=["a", name, name])
    with pytest.raises(ValueError, match=r"in row 1 \(2 such rows\): expected the"):
        read(table)
    if name is not np.ma.masked:
        with pytest.raises(ValueError, match="expected the name of a video"):
            read(pd.DataFrame(table))


@pytest.mark.parametrize(
    "video",
    [
        pd.Categorical(["a", None, "a"]),
        pd.array([1, None, 1], dtype="Int64"),
        [1.0, np.nan, 1.0],
        np.ma.array([1, 2, 1], mask=[0, 1, 0]),
        np.ma.array(["a", "b", "a"], mask=[0, 1, 0]),
    ],
    ids=["categories", "nullable", "floats", "masked numbers", "masked strings"],
)
def test_containers_of_videos_may_lack_names(video):
    with pytest.raises(ValueError, match="^video is .*(in row 1|hides 1 of 3)"):
        label_history(example(video=video))


@pytest.mark.parametrize("name", ["start_frame", "stop_frame", "action"])
def test_a_mask_that_hides_numbers_is_refused(name):
    column = np.array(example()[name])
    table = example(**{name: np.ma.array(column, mask=[0, 0, 1])})
    with pytest.raises(ValueError, match=f"{name} is a masked array that hides 1 of 3"):
        label_history(table)
    open_ = example(**{name: np.ma.array(column)})
    assert_array_equal(label_history(open_), label_history(example()))


def test_a_prior_does_not_count_the_transition_over_a_gap():
    table = example(start_frame=[0, 40, 400], stop_frame=[30, 90, 450])
    whole, cut = (
        TemporalPrior(sequences=label_sequences(table, max_gap=max_gap)).fit([5, 6, 7])
        for max_gap in (None, 5.0)
    )
    assert_array_equal(whole.matrix_, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert_array_equal(cut.matrix_, [[1, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_sequences_of_large_tables_take_a_moment():
    rng = np.random.default_rng(0)
    start = rng.integers(0, 20_000, size=67_000)
    table = {
        "video": rng.integers(0, 500, size=len(start)).astype(str),
        "start_frame": start,
        "stop_frame": start + rng.integers(1, 200, size=len(start)),
        "action": rng.integers(0, 3806, size=len(start)),
    }
    begin = time.perf_counter()
    label_sequences(table, max_gap=1.0)
    assert time.perf_counter() - begin < 2  # about 0.1 s


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"stop_frame": [30, 39, 130]}, "row 1 of segments stops at frame 39 before"),
        ({"start_frame": [0, np.nan, 100]}, "start_frame is nan in row 1"),
        ({"action": [5, 6]}, r"columns of the shapes .*'action': \(2,\)"),
        ({name: [] for name in example()}, "segments is empty"),
    ],
)
def test_broken_tables_have_no_sequences(columns, match):
    with pytest.raises(ValueError, match=match):
        label_sequences(example(**columns))


def test_a_table_without_videos_has_no_sequences():
    table = example()
    del table["video"]
    with pytest.raises(ValueError, match="no column 'video': expected a table"):
        label_sequences(table)


@pytest.mark.parametrize("parameters", [{"max_gap": -1}, {"fps": 0}, {"max_gap": "1"}])
def test_parameters_of_sequences_out_of_range_are_refused(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"'{name}' parameter of label_sequences"):
        label_sequences(example(), **parameters)


def test_labels_beyond_the_integers_are_refused():
    table = {"video": ["a", "a"], "start_frame": [0, 90], "stop_frame": [30, 120]}
    table["action"] = np.array([2**63 + 5, 1], dtype=np.uint64)
    with pytest.raises(ValueError, match="action holds 9223372036854775813, beyond"):
        label_history(table, history=1)


@pytest.mark.parametrize("twin", ["P01 ", "p01", "P01\u200a"])
def test_videos_that_differ_in_case_or_spaces_only_are_warned_of(twin):
    table = {"video": ["P01", twin, "P02"], "start_frame": [0, 90, 0]}
    table |= {"stop_frame": [30, 99, 30], "action": [1, 2, 3]}
    with pytest.warns(UserWarning, match="The videos 'P01' and .* count as two: write"):
        history = label_history(table, history=1)
    assert history.tolist() == [[-1], [-1], [-1]]


SECONDS_AS_FRAMES = {
    "video": ["a"] * 3,
    "start_frame": [2.0, 10.25, 31.5],
    "stop_frame": [8.5, 22.0, 40.0],
    "action": [1, 2, 3],
}


def test_seconds_in_the_columns_of_frames_are_told():
    ask = "start_frame is 10.25, which is no .* would last 0.28 s or less"
    with pytest.warns(UserWarning, match=ask):
        label_history(SECONDS_AS_FRAMES, history=1)
    with pytest.warns(UserWarning, match=ask):
        label_sequences(SECONDS_AS_FRAMES, max_gap=1.0)
    frames = FeatureTable.from_arrays({"a": np.ones((900, 1))})
    with pytest.warns(UserWarning, match=ask):
        cut_clips(frames, SECONDS_AS_FRAMES)
    with pytest.warns(UserWarning, match="would last 0.34 s or less"):
        label_history(SECONDS_AS_FRAMES, history=1, fps={"a": 25})
    frames = {
        name: [30 * t for t in SECONDS_AS_FRAMES[name]]
        for name in ("start_frame", "stop_frame")
    }
    expected = [[-1], [1], [2]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seconds = label_history(SECONDS_AS_FRAMES, history=1, fps=1)
        assert seconds.tolist() == expected
        unrounded = SECONDS_AS_FRAMES | frames
        assert label_history(unrounded, history=1).tolist() == expected


def test_a_table_that_was_joined_to_itself_is_told():
    """A label would stand in a history twice."""
    start = np.arange(300) * 40
    table = pd.DataFrame(
        {
            "video": np.where(start < 6000, "a", "b"),
            "start_frame": start,
            "stop_frame": start + 9,
            "action": start // 40 % 7,
        }
    )
    expected = label_history(table, history=2, rule="all")  # no warning
    assert expected[2].tolist() == [0, 1]
    joined = pd.concat([table, table[100:140]])
    for function in (label_history, label_sequences):
        told = "40 of the 340 rows of segments .* as table.drop_duplicates"
        with pytest.warns(UserWarning, match=told):
            function(joined)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = label_history(joined.drop_duplicates(), history=2, rule="all")
        label_history(pd.concat([table, table[:10]]))  # as annotators may
        label_history(pd.concat([table, table[100:140].assign(action=9)]))
    assert_array_equal(again, expected)
