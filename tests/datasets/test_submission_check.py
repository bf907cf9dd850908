import json
from pathlib import Path

import pytest
from toy_submission import IDS, write

from skanticipate.datasets import _submission_check as checking
from skanticipate.datasets import validate_submission


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.json"


def without(mapping, *keys):
    return {key: value for key, value in mapping.items() if key not in keys}


def edit_segment(task, change):
    """Change the scores of one task in the second segment."""

    def edit(content):
        entry = content["results"][IDS[1]]
        entry[task] = change(entry[task])

    return edit


def set_value(*keys, value):
    def edit(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return edit


def delete(*keys):
    def edit(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return edit


SEGMENT = ("results", IDS[1])
BROKEN = {
    "version": (set_value("version", value="0.1"), "version '0.1': expected '0.2'"),
    "no version": (delete("version"), "has no 'version'"),
    "challenge": (
        set_value("challenge", value="action_recognition"),
        "challenge 'action_recognition': expected 'action_anticipation'",
    ),
    "no challenge": (delete("challenge"), "has no 'challenge'"),
    "no level": (delete("sls_td"), "has no 'sls_td'"),
    "level": (set_value("sls_tl", value=6), "sls_tl=6"),
    "level as text": (set_value("sls_tl", value="3"), "sls_tl='3'"),
    "no results": (delete("results"), "has no 'results'"),
    "results": (
        set_value("results", value=[1]),
        r"'results' is \[1\]: expected a JSON",
    ),
    "missing segment": (delete(*SEGMENT), "lacks 1 segments, among them 'P01_11_1'"),
    "strange segment": (
        lambda content: content["results"].update(P99_0=content["results"][IDS[0]]),
        "1 segments that are not in ids, among them 'P99_0'",
    ),
    "segment": (
        set_value(*SEGMENT, value=3),
        "'P01_11_1' is 3: expected a JSON object",
    ),
    "no verbs": (delete(*SEGMENT, "verb"), "segment 'P01_11_1', has no 'verb'"),
    "no noun": (
        edit_segment("noun", lambda s: without(s, "299")),
        "'P01_11_1', has no score of the noun 299: expected 300, got 299",
    ),
    "verb out of range": (
        edit_segment("verb", lambda s: without(s, "3") | {"97": 0.1}),
        "'P01_11_1', has the key '97': expected verb, with ids below 97",
    ),
    "negative verb": (
        edit_segment("verb", lambda s: without(s, "3") | {"-1": 0.1}),
        "'P01_11_1', has the key '-1'",
    ),
    "verb by name": (
        edit_segment("verb", lambda s: s | {"cut": 0.1}),
        "'P01_11_1', has the key 'cut'",
    ),
    "verb twice": (
        edit_segment("verb", lambda s: s | {"05": 0.1}),
        "'P01_11_1', has the verb 5 twice",
    ),
    "NaN": (
        edit_segment("verb", lambda s: s | {"4": float("nan")}),
        "'P01_11_1', has nan as score of the verb '4'",
    ),
    "infinity": (
        edit_segment("action", lambda s: s | {next(iter(s)): -float("inf")}),
        "'P01_11_1', has -inf as score of the action",
    ),
    "huge": (
        edit_segment("noun", lambda s: s | {"4": 10**400}),
        "'P01_11_1', has 10+ as score of the noun '4'",
    ),
    "text": (
        edit_segment("noun", lambda s: s | {"4": "0.5"}),
        "has '0.5' as score of the noun '4'",
    ),
    "null": (edit_segment("noun", lambda s: s | {"4": None}), "has None as score"),
    "truth": (edit_segment("noun", lambda s: s | {"4": True}), "has True as score"),
    "99 actions": (
        edit_segment("action", lambda s: without(s, next(iter(s)))),
        "'P01_11_1', has scores of 99 actions: expected 100",
    ),
    "101 actions": (
        edit_segment("action", lambda s: s | {"96,0": 0.1}),
        "'P01_11_1', has scores of 101 actions",
    ),
    "action out of range": (
        edit_segment("action", lambda s: without(s, next(iter(s))) | {"0,300": 1.0}),
        "'P01_11_1', has the key '0,300': expected verb,noun, with ids below 97 and",
    ),
    "action without noun": (
        edit_segment("action", lambda s: without(s, next(iter(s))) | {"5": 1.0}),
        "'P01_11_1', has the key '5'",
    ),
    "action twice": (
        edit_segment(
            "action", lambda s: without(s, next(iter(s))) | {f"0{list(s)[1]}": 1.0}
        ),
        r"'P01_11_1', has the action \(\d+, 29\d\) twice",
    ),
    "no actions": (
        delete(*SEGMENT, "action"),
        "'P01_11_1', has no actions, unlike segment 'P01_11_0'",
    ),
    "actions": (
        delete("results", IDS[0], "action"),
        "'P01_11_1', has actions, unlike segment 'P01_11_0'",
    ),
}


@pytest.mark.parametrize(("edit", "match"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_with_its_name(path, edit, match):
    content = write(path)
    validate_submission(path, IDS)
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=match) as raised:
        validate_submission(path, IDS)
    assert str(raised.value).startswith(str(path))


def test_without_ids_the_segments_are_those_of_the_file(path):
    content = write(path)
    del content["results"][IDS[1]]
    path.write_text(json.dumps(content))
    assert validate_submission(path).ids == [IDS[0], IDS[2]]
    content["results"].clear()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="has no segment"):
        validate_submission(path)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"P01_11_1"', '"P01_11_0"', "'results' has the key 'P01_11_0' twice"),
        ('"4": ', '"5": ', "segment 'P01_11_0', 'verb' has the key '5' twice"),
        ('"sls_tl"', '"sls_pt"', "has the key 'sls_pt' twice"),
    ],
)
def test_a_key_that_stands_twice_is_no_silent_loss(path, old, new, match):
    write(path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=match):
        validate_submission(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"test\.json is no JSON"):
        validate_submission(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_is_no_file():
    with pytest.raises(FileNotFoundError, match="There is no file /dev/zero"):
        validate_submission("/dev/zero")


def test_other_bad_requests(path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*test\.json"):
        validate_submission(path)
    write(path, challenge="action_recognition")
    validate_submission(path, challenge="action_recognition")
    with pytest.raises(ValueError, match="challenge is 'cooking'"):
        validate_submission(path, challenge="cooking")
    with pytest.raises(ValueError, match="segment 'a' twice"):
        validate_submission(path, ["a", "a"], challenge="action_recognition")
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"is \[1\]: expected a JSON object"):
        validate_submission(Path(path))


# ----------------------------------------------------------------- what stands twice


class CountedName(str):
    """A name that counts how often it is compared."""

    n_comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        CountedName.n_comparisons += 1
        return str.__eq__(self, other)


@pytest.fixture
def names(monkeypatch):
    """2,000 names, of which the last two are the same, and nothing was compared."""
    monkeypatch.setattr(CountedName, "n_comparisons", 0)
    return [CountedName(f"P01_{i}") for i in range(1999)] + [CountedName("P01_1998")]


def test_repeated_ids_are_found_in_few_comparisons(path, names):
    write(path)
    with pytest.raises(ValueError, match="ids holds the segment 'P01_1998' twice"):
        validate_submission(path, names)
    assert CountedName.n_comparisons < 5 * len(names)


def test_repeated_keys_are_found_in_few_comparisons(names):
    assert checking._Object([(name, 0) for name in names]).repeated == "P01_1998"
    assert CountedName.n_comparisons < 5 * len(names)


def test_the_first_repeated_key_of_a_file_is_named(path):
    members = ",".join(f'"{i}": 0' for i in range(100_000))
    path.write_text(f'{{{members}, "7": 1, "3": 1}}')
    assert len(json.loads(path.read_text())) == 100_000
    with pytest.raises(ValueError, match=r"test.json has the key '3' twice"):
        validate_submission(path)
