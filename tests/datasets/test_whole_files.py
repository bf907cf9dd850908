"""Files of thousands of rows against pandas; marks, line ends and empty files."""

import numpy as np
import pandas as pd
import published
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate import datasets
from skanticipate.datasets import read_segments

N = 3_000
READERS = ["read_video_info", "read_classes", "read_actions", "read_class_list"]
NARRATIONS = ['take pan, then "put" it', "wash: cup", "cut ail émincé"]


def official():
    """Rows in the layout of EPIC-KITCHENS-100, as pandas has them."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, 400_000, size=N)  # hundredths of a second, over an hour
    stop = start + rng.integers(20, 2_000, size=N)
    verb, noun = rng.integers(97, size=N), rng.integers(300, size=N)
    video = np.sort(
        rng.choice([f"P{p:02d}_1{k:02d}" for p in range(40) for k in (1, 7)], N)
    )
    stamps = [
        [
            f"{t // 360_000:02d}:{t // 6000 % 60:02d}:{t % 6000 / 100:05.2f}"
            for t in times
        ]
        for times in (start, stop)
    ]
    table = pd.DataFrame(
        {
            "narration_id": [f"{v}_{k}" for k, v in enumerate(video)],
            "participant_id": [v[:3] for v in video],
            "video_id": video,
            "narration_timestamp": stamps[0],
            "start_timestamp": stamps[0],
            "stop_timestamp": stamps[1],
            "start_frame": start // 2,
            "stop_frame": stop // 2,
            "narration": [NARRATIONS[k % 3] for k in range(N)],
            "verb": [f"verb-{v}" for v in verb],
            "verb_class": verb,
            "noun": [f"noun:{n}" for n in noun],
            "noun_class": noun,
            "all_nouns": [f"['noun:{n}', 'hob']" for n in noun],
            "all_noun_classes": [f"[{n}, 24]" for n in noun],
        }
    )
    return table, start / 100, stop / 100


@pytest.mark.parametrize(
    "options", [{}, {"encoding": "utf-8-sig", "lineterminator": "\r\n"}, {"quoting": 1}]
)
def test_a_whole_official_file_is_that_of_pandas(tmp_path, options):
    table, start, stop = official()
    table.to_csv(tmp_path / "EPIC_100_train.csv", index=False, **options)
    segments = read_segments(tmp_path / "EPIC_100_train.csv")
    assert segments.format == "epic100"
    same = {"id": "narration_id", "video": "video_id", "verb": "verb_class"}
    same |= {"noun": "noun_class", "verb_text": "verb", "noun_text": "noun"}
    kept = ("start_frame", "stop_frame", "narration", "all_nouns", "all_noun_classes")
    for ours, theirs in (*same.items(), *zip(kept, kept, strict=True)):
        assert_array_equal(segments[ours], table[theirs])
    assert_allclose(segments.start_seconds, start, rtol=0, atol=1e-9)
    assert_allclose(segments.stop_seconds, stop, rtol=0, atol=1e-9)
    expected = table.verb_class.astype(str) + "," + table.noun_class.astype(str)
    assert_array_equal(segments.action, expected)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", ["mark", "crlf", "blank lines"])
def test_marks_and_line_ends_do_no_harm(tmp_path, reader, change):
    plain = published.OTHERS[reader].encode()
    changed = {
        "mark": b"\xef\xbb\xbf" + plain,
        "crlf": plain.replace(b"\n", b"\r\n"),
        "blank lines": b"\n\n" + plain + b"\n  \n",
    }
    results = []
    for name, content in (("a.csv", plain), ("b.csv", changed[change])):
        (tmp_path / name).write_bytes(content)
        results.append(getattr(datasets, reader)(tmp_path / name))
    expected, found = results
    if reader == "read_class_list":
        assert_array_equal(found, expected)
        return
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert list(found[name]) == list(column)


@pytest.mark.parametrize("change", ["mark", "crlf"])
def test_frame_wise_files_likewise(tmp_path, change):
    for k, name in enumerate(("plain", "changed")):
        (tmp_path / name / "groundTruth").mkdir(parents=True)
        for file, text in (
            ("groundTruth/v.txt", "SIL\ncut\ncut\n"),
            ("m.txt", "0 SIL\n1 cut\n"),
        ):
            content = text.encode()
            if k and change == "crlf":
                content = content.replace(b"\n", b"\r\n")
            if k and change == "mark":
                content = b"\xef\xbb\xbf" + content
            (tmp_path / name / file).write_bytes(content)
    tables = [
        datasets.read_framewise(
            tmp_path / name / "groundTruth", mapping=tmp_path / name / "m.txt"
        )
        for name in ("plain", "changed")
    ]
    for column, values in tables[0].items():
        assert_array_equal(tables[1][column], values)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    "reader", ["read_segments", *READERS, "read_ego4d", "read_ego4d_classes"]
)
def test_an_empty_file_is_said_to_be_empty(tmp_path, reader, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="file is empty: expected"):
        getattr(datasets, reader)(tmp_path / "file")
