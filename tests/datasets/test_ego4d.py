"""Ego4D's files, made up in the layout of its documentation (versions 1 and 2)."""

import copy
import json

import numpy as np
import pandas as pd
import published
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate import datasets
from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    label_history,
    read_ego4d,
    read_ego4d_classes,
    read_segments,
    validate_submission,
)

ACTION = json.loads(published.EGO4D_LTA)["clips"][0]


def action(index, start, stop, verb, noun, clip="c-1", parent=30.0):
    return {
        **ACTION,
        "action_idx": index,
        "action_clip_start_sec": start,
        "action_clip_end_sec": stop,
        "action_clip_start_frame": round(start * 30),
        "action_clip_end_frame": round(stop * 30),
        "verb": f"verb {verb}",
        "noun": f"noun {noun}",
        "verb_label": verb,
        "noun_label": noun,
        "clip_uid": clip,
        "clip_parent_start_sec": parent,
        "clip_parent_start_frame": round(parent * 30),
    }


LTA = {
    "version": "v2",
    "date": "230208",
    "description": "LTA",
    "split": "train",
    "clips": [
        action(0, 2.0, 5.0, 7, 2),
        action(1, 6.5, 8.0, 4, 2),
        action(0, 1.0, 2.5, 7, 5, clip="c-2", parent=330.0),
    ],
}
STA = {
    "info": {
        "description": "Ego4D Short-Term Object Interaction Anticipation Dataset",
        "version": "1.0",
        "split": "train",
        "include_annotations": True,
        "video_metadata": {
            "v-1": {"frame_width": 1440, "frame_height": 1080, "fps": 30.0},
            "v-2": {"frame_width": 1440, "frame_height": 1080, "fps": 25},
        },
    },
    "annotations": [
        {
            "uid": "v-1_0000090",
            "video_id": "v-1",
            "frame": 90,
            "clip_id": 3,
            "clip_uid": "c-1",
            "clip_frame": 30,
            "objects": [
                {
                    "box": [1.0, 2.0, 3.0, 4.0],
                    "verb_category_id": 1,
                    "noun_category_id": 5,
                    "time_to_contact": 0.5,
                },
                {
                    "box": [1.0, 2.0, 3.0, 4.0],
                    "verb_category_id": 0,
                    "noun_category_id": 2,
                    "time_to_contact": 1,
                },
            ],
        },
        {
            "uid": "v-2_0000050",
            "video_id": "v-2",
            "frame": 50,
            "clip_id": 4,
            "clip_uid": "c-2",
            "clip_frame": 0,
            "objects": [
                {
                    "box": [1.0, 2.0, 3.0, 4.0],
                    "verb_category_id": 1,
                    "noun_category_id": 2,
                    "time_to_contact": 0.22,
                }
            ],
        },
    ],
    "noun_categories": [{"id": 5, "name": "pan"}, {"id": 2, "name": "lid"}],
    "verb_categories": [{"id": 0, "name": "take"}, {"id": 1, "name": "put"}],
}
TAXONOMY = {"verbs": ["take", "put"], "nouns": ["lid", "pan", "tap"]}


@pytest.fixture
def write(tmp_path):
    def write(content, **options):
        path = tmp_path / "file.json"
        text = content if isinstance(content, str) else json.dumps(content, **options)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def without(content, *keys):
    """A copy of which no entry has some keys."""
    content = copy.deepcopy(content)
    for entry in content.get("clips", content.get("annotations")):
        for key in keys:
            entry.pop(key)
    return content


# ----------------------------------------------------------------------- what is read


@pytest.mark.parametrize("indent", [None, 2])
def test_long_term_files_by_hand(write, indent):
    segments = read_ego4d(write(LTA, indent=indent))
    assert segments.format == "ego4d_lta"
    assert segments.id.tolist() == ["c-1_0", "c-1_1", "c-2_0"]
    assert segments.video.tolist() == ["v-1"] * 3
    assert segments.clip.tolist() == ["c-1", "c-1", "c-2"]
    assert segments.start_frame.tolist() == [960, 1095, 9930]
    assert segments.stop_frame.tolist() == [1050, 1140, 9975]
    assert segments.start_seconds.tolist() == [32.0, 36.5, 331.0]
    assert segments.stop_seconds.tolist() == [35.0, 38.0, 332.5]
    assert segments.clip_start_frame.tolist() == [60, 195, 30]
    assert segments.clip_stop_seconds.tolist() == [5.0, 8.0, 2.5]
    assert segments.verb.tolist() == [7, 4, 7]
    assert segments.noun.tolist() == [2, 2, 5]
    assert segments.action.tolist() == ["7,2", "4,2", "7,5"]
    assert segments.verb_text.tolist() == ["verb 7", "verb 4", "verb 7"]
    assert segments.noun_text.tolist() == ["noun 2", "noun 2", "noun 5"]
    assert segments.start_frame.dtype == np.int64


def test_actions_are_numbered_by_a_table(write):
    actions = {10: (7, 2), 11: (4, 2), 12: (7, 5)}
    assert read_ego4d(write(LTA), actions=actions).action.tolist() == [10, 11, 12]
    del actions[11]
    with pytest.raises(ValueError, match=r"clips\[1\], has the verb 4 and the noun 2"):
        read_ego4d(write(LTA), actions=actions)


def test_long_term_files_without_labels(write):
    bare = without(LTA, "verb", "noun", "verb_label", "noun_label")
    segments = read_ego4d(write(bare))
    assert segments.format == "ego4d_lta_unlabeled"
    assert not {"verb", "noun", "action", "verb_text"} & segments.keys()
    assert segments.start_frame.tolist() == [960, 1095, 9930]


def test_short_term_files_by_hand(write):
    """Frames 90 of 30 a second and 50 of 25; contacts after 0.5, 1 and 0.22 s."""
    segments = read_ego4d(write(STA))
    assert segments.format == "ego4d_sta"
    assert segments.id.tolist() == ["v-1_0000090", "v-1_0000090", "v-2_0000050"]
    assert segments.video.tolist() == ["v-1", "v-1", "v-2"]
    assert segments.start_frame.tolist() == [90, 90, 50]
    assert segments.stop_frame.tolist() == [105, 120, 56]  # 50 + 5.5, to the even one
    assert segments.start_seconds.tolist() == [3.0, 3.0, 2.0]
    assert_allclose(segments.stop_seconds, [3.5, 4.0, 2.22])
    assert segments.time_to_contact.tolist() == [0.5, 1.0, 0.22]
    assert segments.action.tolist() == ["1,5", "0,2", "1,2"]
    assert segments.verb_text.tolist() == ["put", "take", "put"]
    assert segments.noun_text.tolist() == ["pan", "lid", "lid"]
    assert segments.clip.tolist() == ["c-1", "c-1", "c-2"]
    assert segments.clip_frame.tolist() == [30, 30, 0]


def test_short_term_files_of_version_2_and_without_labels(write):
    second = copy.deepcopy(STA)
    for entry in second["annotations"]:
        entry["video_uid"] = entry.pop("video_id")
        entry["action_start_frame"] = 7  # and more that is not needed
    first, again = read_ego4d(write(STA)), read_ego4d(write(second))
    for name, column in first.items():
        assert_array_equal(again[name], column)
    bare = read_ego4d(write(without(second, "objects", "clip_uid", "clip_frame")))
    assert bare.format == "ego4d_sta_unlabeled"
    assert bare.stop_frame.tolist() == bare.start_frame.tolist() == [90, 50]
    assert not {"verb", "action", "time_to_contact", "clip"} & bare.keys()


def test_names_of_classes(write):
    classes = read_ego4d_classes(write(TAXONOMY))
    assert classes.verbs.id.tolist() == [0, 1]
    assert classes.nouns.name.tolist() == ["lid", "pan", "tap"]
    classes = read_ego4d_classes(write(STA))
    assert classes.nouns.id.tolist() == [2, 5]  # by id
    assert classes.nouns.name.tolist() == ["lid", "pan"]
    assert classes.verbs.name.tolist() == ["take", "put"]


def test_ten_thousands_of_actions_are_those_of_pandas(write):
    rng = np.random.default_rng(0)
    n = 20_000
    clips, index = rng.integers(50, size=n), np.arange(n)
    starts = np.round(rng.uniform(0, 200, size=n), 3)
    rows = [
        action(int(i), float(start), float(start) + 1, int(i) % 9, int(i) % 5, f"c{c}")
        for i, c, start in zip(index, clips, starts, strict=True)
    ]
    path = write({**LTA, "clips": rows})
    segments = read_ego4d(path)
    table = pd.DataFrame(json.loads(path.read_text())["clips"])
    assert_array_equal(segments.id, table.clip_uid + "_" + table.action_idx.astype(str))
    expected = table.clip_parent_start_frame + table.action_clip_start_frame
    assert_array_equal(segments.start_frame, expected)
    assert_array_equal(segments.verb, table.verb_label)
    assert_allclose(segments.stop_seconds, 30 + table.action_clip_end_sec)


# --------------------------------------------------------------- what is done with it


def test_history_and_clips_go_by_the_seconds_of_the_video(write):
    segments = read_ego4d(write(LTA))
    history = label_history(segments, history=2, anticipation_time=1.0)
    assert history.tolist() == [["", ""], ["", "7,2"], ["7,2", "4,2"]]
    frames = np.arange(1.0, 2001.0)[:, None]  # 5 a second, of 400 s
    features = FeatureTable.from_arrays({"v-1": frames})
    clips = cut_clips(
        features, segments, observation=1.0, anticipation=1.0, step=1.0, feature_rate=5
    )
    # 2 and 1 s before 32, 36.5 and 331 s, at 5 a second
    expected = [[150, 155], [172, 177], [1645, 1650]]
    assert np.asarray(clips.X_past)[:, :, 0].tolist() == expected
    assert clips.ids.tolist() == ["c-1_0", "c-1_1", "c-2_0"]
    segments.update(video=segments.clip, start_seconds=segments.clip_start_seconds)
    segments.update(stop_seconds=segments.clip_stop_seconds)
    history = label_history(segments, history=1, anticipation_time=1.0)
    assert history.tolist() == [[""], ["7,2"], [""]]


# ------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("clip_uid", None, r"clips\[1\], has None as clip_uid: expected a text"),
        ("video_uid", "", r"clips\[1\], has '' as video_uid: expected a text"),
        ("action_idx", -1, r"has -1 as action_idx: expected a whole number from 0"),
        ("action_clip_start_frame", 1.5, "has 1.5 as action_clip_start_frame"),
        ("action_clip_start_sec", "2", "has '2' as action_clip_start_sec: expected s"),
        ("action_clip_end_sec", float("nan"), "has nan as action_clip_end_sec"),
        ("action_clip_end_sec", 0.5, r"clips\[1\], has an action that stops before"),
        ("clip_parent_start_sec", True, "has True as clip_parent_start_sec"),
        ("verb_label", 3.0, "has 3.0 as verb_label: expected a whole number"),
        ("noun", 4, "has 4 as noun: expected a text"),
    ],
)
def test_broken_actions_are_named(write, key, value, match):
    broken = copy.deepcopy(LTA)
    broken["clips"][1][key] = value
    with pytest.raises(ValueError, match=rf"file\.json, .*{match}"):
        read_ego4d(write(broken))
    del broken["clips"][1][key]
    if key != "verb_label":
        with pytest.raises(ValueError, match=rf"clips\[1\], has no '{key}': expected"):
            read_ego4d(write(broken))


def test_labels_are_in_all_entries_or_in_none(write):
    broken = copy.deepcopy(LTA)
    del broken["clips"][2]["noun_label"]
    with pytest.raises(
        ValueError, match=r"clips\[2\], has 1 of verb_label, noun_label"
    ):
        read_ego4d(write(broken))
    broken = copy.deepcopy(STA)
    del broken["annotations"][1]["objects"]
    with pytest.raises(
        ValueError, match=r"annotations\[1\], has 0 of objects, and the"
    ):
        read_ego4d(write(broken))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda f: f["annotations"][0]["objects"].clear(),
            r"ns\[0\], has no objects: ex",
        ),
        (
            lambda f: f["annotations"][0]["objects"][1].update(time_to_contact=-1),
            r"annotations\[0\], objects\[1\], has -1 as time_to_contact: expected sec",
        ),
        (
            lambda f: f["annotations"][1]["objects"][0].update(noun_category_id=9),
            r"annotations\[1\], objects\[0\], has 9, which noun_categories lacks",
        ),
        (
            lambda f: f["info"]["video_metadata"].pop("v-2"),
            r"no video_metadata of 'v-2', the video of annotations\[1\] \(1 such",
        ),
        (
            lambda f: f["info"]["video_metadata"]["v-2"].update(fps=0),
            r"has 0 as fps: expected a number above 0",
        ),
        (lambda f: f.pop("verb_categories"), "no entries under 'verb_categories'"),
        (lambda f: f["annotations"].clear(), "no entries under 'annotations'"),
        (
            lambda f: f["verb_categories"].append({"id": 1, "name": "cut"}),
            "an id twice under 'verb_categories'",
        ),
    ],
)
def test_broken_annotations_are_named(write, change, match):
    broken = copy.deepcopy(STA)
    change(broken)
    with pytest.raises(ValueError, match=match):
        read_ego4d(write(broken))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (TAXONOMY, "is a taxonomy of Ego4D: read it with read_ego4d_classes"),
        ({"version": "v1", "videos": []}, "annotations of another benchmark of Ego4D"),
        ({"clips": [{"clip_uid": "c", "frames": []}]}, "another benchmark of Ego4D"),
        (
            {"version": "0.2", "results": {}},
            "a submission: .* with validate_submission",
        ),
        ({"some": 1}, "is JSON with the keys 'some'. Expected fho_lta_train.json or"),
        ([], r"is \[\]: expected an object"),
        ("", "is empty: expected JSON"),
        ('{"clips": [', "is no JSON"),
    ],
)
def test_other_json_is_named(write, content, match):
    with pytest.raises(ValueError, match=match):
        read_ego4d(write(content))


@pytest.mark.parametrize("format", published.SEGMENTS)
def test_tables_are_no_json(write, format):
    for reader in (read_ego4d, read_ego4d_classes):
        with pytest.raises(ValueError, match="is no JSON .*read it with read_segments"):
            reader(write(published.SEGMENTS[format]))


@pytest.mark.parametrize("reader", [n for n in published.OTHERS if "ego4d" not in n])
def test_files_of_other_readers(write, reader):
    with pytest.raises(ValueError, match=r"file\.json is "):
        read_ego4d(write(published.OTHERS[reader]))


@pytest.mark.parametrize("content", [LTA, STA, TAXONOMY])
def test_other_readers_name_ego4d(write, content):
    path = write(content)
    for reader in (read_segments, datasets.read_actions, datasets.read_video_info):
        with pytest.raises(ValueError, match="JSON of Ego4D: read it with read_ego4d"):
            reader(path)
    with pytest.raises(ValueError, match="is JSON of Ego4D: read it with read_ego4d"):
        validate_submission(path)
    with pytest.raises(ValueError, match="JSON, as of a submission"):
        read_segments(write(content, indent=2))


def test_a_mark_a_pickle_and_no_file(write, tmp_path):
    assert len(read_ego4d(write("\ufeff" + json.dumps(LTA))).id) == 3
    (tmp_path / "p.json").write_bytes(b"\x80\x04\x95" + bytes(20))
    with pytest.raises(ValueError, match="is a Python pickle: expected JSON"):
        read_ego4d(tmp_path / "p.json")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_ego4d(tmp_path / "nothing.json")
    with pytest.raises(
        ValueError, match="long-term.* with read_ego4d. Expected fho_lta_ta"
    ):
        read_ego4d_classes(write(LTA))


def test_a_key_that_is_there_twice_is_refused(write):
    text = json.dumps(LTA)
    assert '"verb_label": ' in text
    path = write(text.replace('"verb_label": ', '"verb_label": 8, "verb_label": '))
    with pytest.raises(ValueError, match="is no JSON .*has the key 'verb_label' twice"):
        read_ego4d(path)
