import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import published
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate import datasets
from skanticipate.datasets import (
    label_history,
    label_sequences,
    read_segments,
    read_video_info,
    unlabeled_pairs,
)

TIMES = ["start_timestamp", "stop_timestamp"]


@pytest.fixture
def write(tmp_path):
    def write(text, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("format", published.SEGMENTS)
@pytest.mark.parametrize("change", ["plain", "mark", "crlf"])
def test_the_format_is_recognised(write, format, change):
    text = published.SEGMENTS[format].encode()
    if change == "mark":
        text = b"\xef\xbb\xbf" + text
    if change == "crlf":
        text = text.replace(b"\n", b"\r\n")
    segments = read_segments(write(text))
    assert segments.format == format
    assert "format" not in segments  # an attribute, and no column
    assert ("action" in segments) != format.endswith("unlabeled")
    assert {len(column) for column in segments.values()} == {len(segments.video)}
    for again in (pickle.loads(pickle.dumps(segments)), copy.deepcopy(segments)):
        assert again.format == format
        assert_array_equal(again.video, segments.video)


def test_an_official_table_of_epic_100(write):
    segments = read_segments(write(published.EPIC100))
    assert segments.id.tolist() == ["P50_101_0", "P50_101_1", "P51_01_0"]
    assert segments.video.tolist() == ["P50_101", "P50_101", "P51_01"]
    assert segments.start_frame.tolist() == [100, 3250, 599]
    assert segments.start_seconds.tolist() == [2.0, 65.0, 10.0]
    assert segments.stop_seconds.tolist() == [4.0, 66.5, 12.0]
    assert segments.verb.tolist() == [0, 1, 2]
    assert segments.noun.tolist() == [5, 5, 5]
    assert segments.verb_text.tolist() == ["take", "put-down", "wash"]
    assert segments.action.tolist() == ["0,5", "1,5", "2,5"]
    assert segments.narration[0] == "take pan, quickly"
    assert segments.all_noun_classes.tolist() == ["[5, 24]", "[5]", "[5]"]


def test_actions_number_the_pairs(write):
    table = {"label": [30, 10, 20], "verb_id": [1, 0, 2], "noun_id": [5, 5, 5]}
    segments = read_segments(write(published.EPIC100), actions=table)
    assert segments.action.tolist() == [10, 30, 20]
    pairs = {30: (1, 5), 10: (0, 5)}
    with pytest.raises(
        ValueError, match=r"line 4, has the verb 2 and the noun 5, whic"
    ):
        read_segments(write(published.EPIC100), actions=pairs)


def test_actions_that_share_a_pair_number_nothing(write):
    path = write(published.EPIC100)
    actions = {40: (0, 5), 41: (1, 5), 42: (2, 5), 43: (0, 5)}
    with pytest.raises(ValueError, match="both 40 and 43 the verb 0 and the noun 5"):
        read_segments(path, actions=actions)


def test_uda_files_keep_both_ids(write):
    segments = read_segments(write(published.UDA))
    assert segments.format == "epic100"
    assert segments.id[0] == "P50_101_0"
    assert segments.uid.tolist() == [7, 7, 7]


def test_tables_of_epic_55(write):
    segments = read_segments(write(published.EPIC55))
    assert segments.id.tolist() == [0, 7]
    assert segments.action.tolist() == ["2,8", "12,1"]
    assert_allclose(segments.start_seconds, [0.14, 4.37])
    test = read_segments(write(published.EPIC55_TEST))
    assert (test.id.tolist(), test.stop_seconds.tolist()) == ([1924], [1.89])


def test_tables_of_egtea(write):
    listed = read_segments(write(published.EGTEA))
    assert listed.video.tolist() == ["P50-R01-Made"] * 2
    assert listed.action.tolist() == ["Cut tomato", "Divide/Pull Apart onion"]
    assert listed.noun.tolist() == ["tomato", "onion"]
    assert listed.all_nouns.tolist() == ["tomato", "onion, bowl"]
    assert listed.start_frame.tolist() == [60, 270]  # 30 per second
    split = read_segments(write(published.EGTEA_SPLIT))
    assert split.id.tolist() == listed.id.tolist()
    assert split.start_frame.tolist() == [48, 216]  # as in the name
    assert split.action.tolist() == [2, 4]  # from 0
    assert split.verb.tolist() == [1, 3]
    assert split.noun.tolist() == [9, 10]
    assert split.all_nouns.tolist() == ["9 11", "10"]
    for table in (listed, split):
        assert_allclose(table.stop_seconds, [4.0, 9.99])
        history = label_history(table, history=1)
        assert history[1, 0] == table.action[0]


# what is something else, or broken


@pytest.mark.parametrize("reader", published.OTHERS)
def test_other_files_are_no_segments(write, reader):
    with pytest.raises(
        ValueError, match=rf"line 1, shows that .*read it with {reader}"
    ):
        read_segments(write(published.OTHERS[reader]))


@pytest.mark.parametrize("reader", list(published.OTHERS)[:4])
@pytest.mark.parametrize("format", published.SEGMENTS)
def test_segments_are_named_to_other_readers(write, reader, format):
    path = write(published.SEGMENTS[format])
    with pytest.raises(ValueError, match="line 1, .*read it with read_segments"):
        getattr(datasets, reader)(path)


@pytest.mark.parametrize("reader", list(published.OTHERS)[:4])
@pytest.mark.parametrize("other", published.OTHERS)
def test_readers_name_each_others_files(write, reader, other):
    if reader != other:
        with pytest.raises(ValueError, match=f"line 1, .*: read it with {other}"):
            getattr(datasets, reader)(write(published.OTHERS[other]))


@pytest.mark.parametrize(
    ("separator", "name"),
    [(";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" ", "spaces")],
)
@pytest.mark.parametrize("format", ["epic100_unlabeled", "epic55_unlabeled", "rulstm"])
def test_another_separator_is_named(write, format, separator, name):
    text = published.SEGMENTS[format].replace(" ", "").replace(",", separator)
    with pytest.raises(ValueError, match=f"line 1, separates its columns by {name}"):
        read_segments(write(text))


@pytest.mark.parametrize(
    "column",
    ["narration_id", "video_id", *TIMES, "start_frame", "verb_class", "noun_class"],
)
def test_a_missing_column_is_named(write, column):
    table = pd.read_csv(write(published.EPIC100)).drop(columns=column)
    with pytest.raises(ValueError, match=f"line 1, has no column '{column}'"):
        read_segments(write(table.to_csv(index=False)))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (published.EGTEA.replace(";", ","), "EGTEA's list, not separated by semicol"),
        ("narration_id,narration\nP50_0,open\n", "a list of sentences of EPIC-K"),
        ("P50_01\nP50_02\n", "frame-wise labels, or a list: read it with read_framew"),
        ("SIL\nSIL\n", "frame-wise labels, or a list: read it with read_framewise"),
        ("Cut tomato 3\n", "a list of names and numbers: read it with read_classes"),
        ('[{"verb": 3}]', "JSON, as of a submission"),
    ],
)
def test_what_is_no_table_is_named(write, text, match):
    with pytest.raises(ValueError, match=f"line 1, shows that the file is {match}"):
        read_segments(write(text))


@pytest.mark.parametrize(
    ("format", "old", "new", "match"),
    [
        ("epic100", "00:01:06.50", "66.5", "line 3, has '66.5' as stop_timestamp: exp"),
        ("epic100", "00:01:06.50", "00:61:06.50", "line 3, has '00:61:06.50' as stop"),
        ("epic100", ",3250,", ",x,", "line 3, has 'x' as start_frame"),
        ("epic55", ",12,hob", ",b,hob", "line 3, has 'b' as verb_class"),
        ("epic55", ",12,hob,1,", ",-1,hob,1,", "line 3, has -1 as verb_class .1 such"),
        ("epic100", "wash,2,pan,5", "wash,2,pan,-1", "line 4, has -1 as noun_class"),
        ("egtea", "9010; 9990", "9990; 9010", "line 3, has a clip that stops before"),
        ("egtea", "; 9990", "; late", "line 3, has 'late' as stop"),
        ("egtea", "; Cut;", ";", "line 2, has 7 cells: expected 8"),
        ("egtea_split", "9010-9990-F", "F", "line 2, has 'P50-R01-Made-F000216-F0002"),
        ("egtea_split", " 5 4 11", " 5 0 11", "line 2, has the classes '5 0 11': exp"),
        ("egtea_split", " 5 4 11", " 5", "line 2, has the classes '5': expected act"),
    ],
)
def test_broken_lines_are_named(write, format, old, new, match):
    path = write(published.SEGMENTS[format].replace(old, new))
    with pytest.raises(ValueError, match=match):
        read_segments(path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("video,fps\na,0\n", "line 2, has '0' as fps: expected a number above 0"),
        ("video,fps\na,nan\n", "line 2, has 'nan' as fps"),
        ("video,fps\na,25\na,30\n", "line 3, has the video 'a', which was listed"),
        ("video,fps\n", "is a header and no row"),
        ("video,rate\na,9\n", "has no column 'fps'"),
    ],
)
def test_broken_tables_of_videos(write, text, match):
    with pytest.raises(ValueError, match=match):
        read_video_info(write(text))


def test_names_and_numbers_of_egtea(write):
    text = "Open fridge 2\r\nInspect/Read recipe 1\r\n"
    classes = datasets.read_classes(write(text))
    assert classes.id.tolist() == [0, 1]
    assert classes.name.tolist() == ["Inspect/Read recipe", "Open fridge"]
    assert classes.instances == [("Inspect/Read recipe",), ("Open fridge",)]
    for broken in ("Cut a 1\nCut b 1\n", "Cut a 1\nCut b 0\n", "Cut a 1\nCut b\n"):
        with pytest.raises(ValueError, match="line 2, has"):
            datasets.read_classes(write(broken))


@pytest.mark.parametrize("format", published.SEGMENTS)
def test_tables_are_no_submissions(write, format):
    path = write(published.SEGMENTS[format])
    with pytest.raises(ValueError, match="is no JSON .*read it with read_segments"):
        datasets.validate_submission(path)


# seconds


FRAMES = {  # 50 and 60 frames per second
    "video": ["a", "a", "a", "b", "b"],
    "start_frame": [50, 200, 285, 60, 240],
    "stop_frame": [150, 250, 400, 180, 300],
    "action": [1, 2, 3, 4, 5],
}
SECONDS = {
    "video": FRAMES["video"],
    "start_frame": [1.0, 4.0, 5.7, 1.0, 4.0],
    "stop_frame": [3.0, 5.0, 8.0, 3.0, 5.0],
    "action": FRAMES["action"],
}
RATES = {"a": 50, "b": 60}


@pytest.mark.parametrize(
    "fps",
    [
        RATES,
        pd.Series(RATES),
        pd.DataFrame({"video_id": ["b", "a", "c"], "fps": [60.0, 50.0, 0.0]}),
        {"video": np.array(["a", "b"]), "fps": np.array([50.0, 60.0])},
    ],
)
@pytest.mark.parametrize("rule", ["ended", "started", "all"])
def test_each_video_has_its_rate(fps, rule):
    expected = label_history(SECONDS, history=2, rule=rule, fps=1)
    assert_array_equal(label_history(FRAMES, history=2, rule=rule, fps=fps), expected)
    assert (expected > 0).any()
    for gap in (0.15, 1.0, 1.05):
        for found, piece in zip(
            label_sequences(FRAMES, max_gap=gap, fps=fps),
            label_sequences(SECONDS, max_gap=gap, fps=1),
            strict=True,
        ):
            assert_array_equal(found, piece)


def test_seconds_of_the_table_are_the_truth():
    table = {
        **FRAMES,
        "start_seconds": SECONDS["start_frame"],
        "stop_seconds": SECONDS["stop_frame"],
    }
    expected = label_history(SECONDS, history=2, fps=1)
    for fps in (30, 50, None, RATES):
        assert_array_equal(label_history(table, history=2, fps=fps), expected)
    assert (label_history(FRAMES, history=2, fps=30) != expected).any()


def test_pairs_of_a_table_in_seconds_are_at_their_rate():
    table = {**FRAMES, "start_seconds": [9.0] * 5, "stop_seconds": [9.5] * 5}
    pairs = unlabeled_pairs(table, 0, fps=20, random_state=0)
    assert pairs.future_start.tolist() == [180] * 5
    assert pairs.past_start.tolist() == [140] * 5


@pytest.mark.parametrize(
    ("fps", "match"),
    [
        ({"a": 50}, "fps has no entry for 1 videos of segments, such as 'b'"),
        ({"a": 50, "b": 0}, "fps is 0 for the video 'b': expected a number above 0"),
        ({"a": 50, "b": np.nan}, "fps is nan for the video 'b'"),
        ({"a": 50, "b": None}, "fps is None for the video 'b'"),
        ({"a": 50, "b": "60"}, "fps is '60' for the video 'b'"),
        ({"video": ["b", "a", "b"], "fps": [60, 50, 30]}, "gives the video 'b' 60 and"),
        ({"a": 50, "b": 60, 7: 50, "7": 25}, "gives the video '7' 50 and 25"),
        (0, "'fps' parameter"),
        (None, "fps is None and segments has no column start_seconds"),
        ("info.csv", "'fps' parameter"),
    ],
)
def test_rates_that_are_none(fps, match):
    for function in (label_history, label_sequences):
        with pytest.raises(ValueError, match=match):
            function(FRAMES, fps=fps)


@pytest.mark.parametrize(
    ("start", "stop", "match"),
    [
        ([np.nan] * 5, [9.5] * 5, "start_seconds is nan in row 0"),
        ([1, 1, 1, 1, 9], [2] * 5, "row 4 of segments stops at 2.0 s before it starts"),
        (["00:00:01"] * 5, [2] * 5, "start_seconds has dtype <U8: expected seconds"),
    ],
)
def test_seconds_that_are_none(start, stop, match):
    table = {**FRAMES, "start_seconds": start, "stop_seconds": stop}
    with pytest.raises(ValueError, match=match):
        label_history(table)


def test_a_table_read_by_others_is_named(write):
    table = pd.read_csv(write(published.EPIC100))
    with pytest.raises(ValueError, match="no column 'video', 'action'.*read_segments"):
        label_history(table)


@pytest.mark.data
def test_real_official_frames_agree_with_those_at_30():
    root = Path(os.environ["SKANTICIPATE_TEST_DATA"])
    official = read_segments(root / "formats/EPIC_100_validation.head.csv")
    info = read_video_info(root / "formats/EPIC_100_video_info.csv")
    table = pd.DataFrame(dict(read_segments(root / "epic100/validation.csv")))
    table = table.set_index("id").loc[official.id].reset_index()
    pair = {a: f"{v},{n}" for a, v, n in table[["action", "verb", "noun"]].values}
    frames = {n: c for n, c in official.items() if not n.endswith("seconds")}
    for rule, least in (("ended", 0.99), ("started", 0.98), ("all", 1.0)):
        expected = label_history(table, rule=rule, fps=30)
        expected = np.array([[pair.get(a, "") for a in row] for row in expected])
        for given, fps in ((official, 30), (official, None), (frames, info)):
            found = label_history(given, rule=rule, fps=fps)
            assert (found == expected).all(axis=1).mean() >= least
    wrong = label_history(frames, fps=30)
    assert (wrong == label_history(official)).all(axis=1).mean() < 0.8


@pytest.mark.data
def test_real_samples_of_each_format():
    root = Path(os.environ["SKANTICIPATE_TEST_DATA"]) / "formats"
    found = {
        "EPIC_100_validation.head.csv": "epic100",
        "EPIC_100_test_timestamps.head.csv": "epic100_unlabeled",
        "rulstm_ek100_test_timestamps.head.csv": "rulstm_unlabeled",
        "egtea_raw/action_labels.csv": "egtea",
        "egtea_raw/train_split1.txt": "egtea_split",
    }
    for name, format in found.items():
        assert read_segments(root / name).format == format
