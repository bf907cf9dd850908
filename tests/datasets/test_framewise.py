import os
from pathlib import Path

import numpy as np
import published
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    cut_pairs,
    label_history,
    read_framewise,
    unlabeled_pairs,
)

MAPPING = "0 SIL\n1 take_cup\n2 pour_milk\n"
FRAMES = ["SIL"] * 3 + ["take_cup"] * 4 + ["pour_milk"] * 20 + ["take_cup", "SIL"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "groundTruth").mkdir()
    (tmp_path / "splits").mkdir()
    (tmp_path / "mapping.txt").write_text(MAPPING)
    (tmp_path / "groundTruth" / "P50_milk.txt").write_text("\n".join(FRAMES) + "\n")
    (tmp_path / "groundTruth" / "P51_milk.txt").write_text("pour_milk\nSIL\nSIL")
    (tmp_path / "splits" / "train.split1.bundle").write_text("P51_milk.txt\n")
    return tmp_path


def test_runs_of_equal_labels_are_segments(root):
    segments = read_framewise(root / "groundTruth", mapping=root / "mapping.txt")
    assert segments.format == "framewise"
    assert segments.video.tolist() == ["P50_milk"] * 5 + ["P51_milk"] * 2
    assert segments.action.tolist() == [0, 1, 2, 1, 0, 2, 0]
    assert segments.action_text[:2].tolist() == ["SIL", "take_cup"]
    assert segments.start_frame.tolist() == [1, 4, 8, 28, 29, 1, 2]
    assert segments.stop_frame.tolist() == [3, 7, 27, 28, 29, 1, 3]
    assert_allclose(segments.start_seconds, [0, 0.2, 7 / 15, 1.8, 28 / 15, 0, 1 / 15])
    # a run of n frames lasts n / fps, and the next one begins where it ends
    assert_allclose(segments.stop_seconds[:4], segments.start_seconds[1:5])


@pytest.mark.parametrize("background", ["SIL", ["SIL"], np.array(["SIL", "SIL"])])
def test_background_is_left_out(root, background):
    segments = read_framewise(
        root / "groundTruth",
        mapping={"SIL": 0, "take_cup": 1, "pour_milk": 2},
        background=background,
        fps={"P50_milk": 10, "P51_milk": 30},
    )
    assert segments.action.tolist() == [1, 2, 1, 2]
    assert_allclose(segments.stop_seconds, [0.7, 2.7, 2.8, 1 / 30])
    # at 10 frames per second, the cup was taken 2 s before it is taken again
    for seconds, seen in ((2.0, [-1, 1]), (2.05, [-1, -1])):
        history = label_history(segments, history=2, anticipation_time=seconds)
        assert history.tolist() == [[-1, -1], [-1, -1], seen, [-1, -1]]


def test_a_split_names_its_files(root):
    bundle = root / "splits" / "train.split1.bundle"
    segments = read_framewise(bundle, mapping=root / "mapping.txt")
    assert segments.video.tolist() == ["P51_milk"] * 2


def test_a_video_is_there_once(root):
    bundle = root / "splits" / "train.split1.bundle"
    bundle.write_text("P51_milk.txt\nP50_milk.txt\nP51_milk.txt\n")
    with pytest.raises(ValueError, match="P51_milk.txt is of the video 'P51_milk', as"):
        read_framewise(bundle, mapping=root / "mapping.txt")
    folder = root / "groundTruth"
    (folder / "P51_milk.txt").rename(folder / "P51_milk.TXT")  # as Windows may have it
    segments = read_framewise(folder, mapping=root / "mapping.txt")
    assert set(segments.video) == {"P50_milk", "P51_milk"}
    (folder / "P51_milk.txt").write_text("SIL\n")
    with pytest.raises(ValueError, match="expected one file for each video"):
        read_framewise(folder, mapping=root / "mapping.txt")


def test_marks_and_line_ends_of_windows_do_no_harm(root):
    expected = read_framewise(root / "groundTruth", mapping=root / "mapping.txt")
    for path in [root / "mapping.txt", *(root / "groundTruth").iterdir()]:
        text = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text)
    segments = read_framewise(root / "groundTruth", mapping=root / "mapping.txt")
    for name, column in expected.items():
        assert_array_equal(segments[name], column)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "P50_milk.txt is empty: expected the label of a frame"),
        ("\n\n", "P50_milk.txt is empty"),
        ("SIL\ntake_pan\n", "line 2, has the label 'take_pan', which the mapping lac"),
        ("SIL\n\nSIL\n", "line 2, has the label ''"),
        (published.RULSTM, "line 1, shows that the file is a table of RULSTM: read it"),
        (b"\x80\x04\x95abc", "P50_milk.txt is a Python pickle"),
    ],
)
def test_broken_files_of_labels(root, text, match):
    content = text if isinstance(text, bytes) else text.encode()
    (root / "groundTruth" / "P50_milk.txt").write_bytes(content)
    with pytest.raises(ValueError, match=match):
        read_framewise(root / "groundTruth", mapping=root / "mapping.txt")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "mapping.txt is empty"),
        ("take_cup 1\n", "line 1, is 'take_cup 1': expected a number and a label"),
        ("0 SIL\n1\n", "line 2, is '1'"),
        ("0 SIL\n0 take_cup\n", "line 2, has '0 take_cup', whose label or number was"),
        ("0 SIL\n1 SIL\n", "line 2, has '1 SIL'"),
        ("0 SIL\n1 take_cup\n", "line 8, has the label 'pour_milk'"),
    ],
)
def test_broken_mappings(root, text, match):
    (root / "mapping.txt").write_text(text)
    with pytest.raises(ValueError, match=match):
        read_framewise(root / "groundTruth", mapping=root / "mapping.txt")


@pytest.mark.parametrize(
    ("mapping", "match"),
    [
        ({"SIL": 0, "take_cup": 1, "pour_milk": 1}, "'pour_milk' the number 1"),
        ({"SIL": 0, "take_cup": 1.7, "pour_milk": 2}, "'take_cup' 1.7: expected its"),
        ({0: "SIL", 1: "take_cup"}, "label 0 'SIL': expected its number"),
        ({"SIL": -1, "take_cup": 1, "pour_milk": 2}, "'SIL' -1: .* whole one from 0"),
    ],
)
def test_mappings_that_are_none(root, mapping, match):
    with pytest.raises(ValueError, match=match):
        read_framewise(root / "groundTruth", mapping=mapping)


def test_what_is_not_there_is_named(root):
    mapping, labels = root / "mapping.txt", root / "groundTruth"
    with pytest.raises(FileNotFoundError, match="groundTruth is one"):
        read_framewise(root, mapping=mapping)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        read_framewise(root / "labels", mapping=mapping)
    with pytest.raises(FileNotFoundError, match=r"There is no file .*other\.txt"):
        read_framewise(labels, mapping=root / "other.txt")
    bundle = root / "splits" / "train.split1.bundle"
    bundle.write_text("P59_milk.txt\n")
    with pytest.raises(FileNotFoundError, match="names 'P59_milk.txt', which is no fi"):
        read_framewise(bundle, mapping=mapping)
    with pytest.raises(ValueError, match="background has 'tea', which the mapping"):
        read_framewise(labels, mapping=mapping, background="tea")
    with pytest.raises(ValueError, match="nothing but background"):
        everything = ["SIL", "take_cup", "pour_milk"]
        read_framewise(labels, mapping=mapping, background=everything)
    with pytest.raises(ValueError, match="'fps' parameter"):
        read_framewise(labels, mapping=mapping, fps=0)
    with pytest.raises(ValueError, match="no entry for 1 videos"):
        read_framewise(labels, mapping=mapping, fps={"P50_milk": 15})


@pytest.mark.parametrize("format", published.SEGMENTS)
def test_tables_of_segments_are_named(root, format):
    path = root / "file.csv"
    path.write_text(published.SEGMENTS[format])
    with pytest.raises(ValueError, match="line 1, shows .*read it with read_segments"):
        read_framewise(path, mapping=root / "mapping.txt")


def test_features_of_frames_are_found(root):
    segments = read_framewise(
        root / "groundTruth", mapping=root / "mapping.txt", background="SIL", fps=8
    )
    frames = np.arange(1.0, 31.0)[:, None]  # feature i is that of frame i
    features = FeatureTable.from_arrays({"P50_milk": frames, "P51_milk": frames})
    cut = {"observation": 0.25, "anticipation": 0.25, "step": 0.25}
    data = cut_clips(features, segments, feature_rate=8, future_steps=1, **cut)
    # Frames 4, 8 and 28 begin 3, 7 and 27 frames after the video, and what is seen ends
    # two frames before; the last segment starts with its video.
    assert np.asarray(data.X_past)[:, :, 0].tolist() == [[1, 1], [3, 5], [23, 25]]
    assert np.asarray(data.X_future)[:, 0, 0].tolist() == [7, 27, 28]


@pytest.mark.parametrize("gap", [0, 2])
def test_pairs_of_frames_show_nothing_of_the_action_before_it_starts(tmp_path, gap):
    labels = ["a"] * 6 + ["b"] * 5 + ["c"] * 7
    (tmp_path / "v.txt").write_text("\n".join(labels) + "\n")
    segments = read_framewise(tmp_path, mapping={"a": 0, "b": 1, "c": 2}, fps=5)
    seconds = {"clip_duration": 0.6, "anticipation_time": gap / 5}  # clips of 3 frames
    pairs = unlabeled_pairs(segments, 0, fps=5, **seconds)
    frames = {"v": np.arange(1.0, 19.0)[:, None]}  # feature i is that of frame i
    data = cut_pairs(pairs, frames, feature_rate=5, fps=5)
    past = [[np.nan] * 3, [4, 5, 6], [9, 10, 11]]  # b begins with frame 7, c with 12
    assert_array_equal(data.X_past[:, :, 0], np.subtract(past, gap))
    assert_array_equal(data.X_future[:, :, 0], [[1, 2, 3], [7, 8, 9], [12, 13, 14]])


@pytest.mark.data
def test_real_layout_of_breakfast():
    root = Path(os.environ["SKANTICIPATE_TEST_DATA"]) / "formats" / "mstcn"
    segments = read_framewise(
        root / "groundTruth", mapping=root / "mapping.txt", background="SIL"
    )
    lengths = segments.stop_frame - segments.start_frame + 1
    assert sorted(zip(segments.action.tolist(), lengths.tolist(), strict=True)) == [
        (1, 5),
        (1, 20),
        (2, 30),
    ]
