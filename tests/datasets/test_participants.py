import os
from pathlib import Path

import numpy as np
import pandas as pd
import published
import pytest
from numpy.testing import assert_array_equal

from skanticipate.datasets import participant_split, read_segments

VIDEOS = ["P26_01", "P01_02", "P25_110", "P31_01", "P01_01"]
TABLE = {"video": VIDEOS, "verb": [4, 3, 2, 1, 0]}


@pytest.mark.parametrize("kind", [dict, pd.DataFrame])
def test_the_first_25_and_the_rest(kind):
    table = kind(TABLE)
    train, rest = participant_split(table)
    assert list(train["video"]) == ["P01_02", "P25_110", "P01_01"]
    assert list(train["verb"]) == [3, 2, 0]
    assert list(rest["video"]) == ["P26_01", "P31_01"]
    assert isinstance(train, kind) and list(train) == ["video", "verb"]


def test_participants_that_are_given():
    train, rest = participant_split(TABLE, ["P31", "P25"])
    assert train.verb.tolist() == [2, 1]
    assert rest.verb.tolist() == [4, 3, 0]


@pytest.mark.parametrize("name", ["participant", "participant_id"])
def test_a_column_says_it_better_than_videos(name):
    table = {"video": list("abc"), name: ["P02", "P26", "P02"]}
    train, rest = participant_split(table)
    assert train.video.tolist() == ["a", "c"]
    assert rest.video.tolist() == ["b"]


def test_published_tables_keep_their_format(tmp_path):
    for number, format in enumerate(["epic100", "egtea", "rulstm"]):
        path = tmp_path / f"{number}.csv"
        text = published.SEGMENTS[format]
        path.write_text(text.replace("P01_02, 0000000258", "P51_02, 0000000258"))
        segments = read_segments(path)
        person = {"epic100": "P51", "egtea": "P50", "rulstm": "P01"}[format]
        if format == "egtea":
            with pytest.raises(
                ValueError, match="All of the 2 segments are of the par"
            ):
                participant_split(segments, [person])
            continue
        train, rest = participant_split(segments, [person])
        assert train.format == rest.format == format
        assert (len(train.video), len(rest.video)) in ((1, 2), (1, 1))
        both = np.concatenate([train.start_frame, rest.start_frame])
        assert_array_equal(np.sort(both), np.sort(segments.start_frame))


@pytest.mark.parametrize(
    ("table", "training", "match"),
    [
        (
            TABLE,
            ["P77"],
            "training has 'P77', which is no participant of segments: exp",
        ),
        (TABLE, "P01", "training"),
        (
            {"video": ["P26_1", "P27_1"]},
            None,
            "None of the 2 segments are of the parti",
        ),
        (
            {"video": ["P01_1", "movie"]},
            None,
            "video is 'movie' in row 1, which names n",
        ),
        ({"action": [1]}, None, "neither a column 'video' nor 'participant'"),
        ({"video": ["a"], "participant": [None]}, None, "participant is None in row 0"),
    ],
)
def test_participants_that_cannot_be_told(table, training, match):
    with pytest.raises(ValueError, match=match):
        participant_split(table, training)


@pytest.mark.data
def test_the_numbers_of_the_paper():
    """Tran et al.: 23,191 training segments and 5,281 others."""
    root = Path(os.environ["SKANTICIPATE_TEST_DATA"]) / "raw/ek55"
    tables = [read_segments(root / f"{n}.csv") for n in ("training", "validation")]
    names = ("video", "start_frame", "stop_frame", "action")
    table = {n: np.concatenate([t[n] for t in tables]) for n in names}
    train, rest = participant_split(table)
    assert (len(train.video), len(rest.video)) == (23191, 5281)


@pytest.mark.parametrize("name", ["p01_1", "P1_1", " P01_1"])
def test_a_name_that_only_looks_like_one_of_the_25_is_no_other(name):
    with pytest.raises(ValueError, match=r"training=None means P01 to P25"):
        participant_split({"video": [name, "P02_1", "P26_1"]})
    first = name.partition("_")[0]
    train, _ = participant_split({"video": [name, "P02_1", "P26_1"]}, [first])
    assert train.video.tolist() == [name]


def test_what_is_hidden_stays_so():
    action = np.ma.array([1, 2, 3], mask=[True, False, False])
    table = {"video": ["P01_1", "P02_1", "P26_1"], "action": action}
    train, rest = participant_split(table)
    assert train.action.tolist() == [None, 2]
    assert rest.action.tolist() == [3]


def test_rows_of_columns_go_together():
    reversed_ = pd.Series([1, 2, 3], index=list("zyx"))
    person = pd.Series(["a", "b", "b"], index=list("xyz"))
    with pytest.raises(ValueError, match="order"):
        participant_split({"participant": person, "action": reversed_}, ["a"])


def test_a_table_of_polars():
    polars = pytest.importorskip("polars")
    train, rest = participant_split(polars.DataFrame(TABLE))
    assert train["video"].to_list() == ["P01_02", "P25_110", "P01_01"]
    assert rest["verb"].to_list() == [4, 1]
