import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skanticipate import SmoothedAnticipator
from skanticipate.datasets import _submission as writing
from skanticipate.datasets import validate_submission, write_submission

LEVELS = {"sls_pt": 1, "sls_tl": 3, "sls_td": 0}
IDS = ["P01_11_0", "P01_11_1", "P18_02_7"]
N_ACTIONS = 120
# 120 actions: verbs 0 to 11 with nouns 290 to 299
PAIRS = {label: (label % 12, 290 + label // 12) for label in range(N_ACTIONS)}


def scores(n=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "verb": rng.normal(size=(n, 97)),
        "noun": rng.normal(size=(n, 300)),
        "action": rng.normal(size=(n, N_ACTIONS)),
    }


def write(path, ids=IDS, **changes):
    options = {**scores(), "actions": PAIRS, **LEVELS} | changes
    write_submission(path, ids, **options)
    return json.loads(path.read_text())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.json"


# ---------------------------------------------------------------------------- writing


def test_the_file_is_what_the_challenge_asks_for(path):
    """Spelled out from the official evaluation, which reads plain JSON."""
    content = write(path)
    results = content.pop("results")
    assert content == {
        "version": "0.2",
        "challenge": "action_anticipation",
        "sls_pt": 1,
        "sls_tl": 3,
        "sls_td": 0,
    }
    assert list(results) == IDS
    for row, name in enumerate(IDS):
        assert set(results[name]) == {"verb", "noun", "action"}
        for task, n in (("verb", 97), ("noun", 300)):
            assert list(results[name][task]) == [str(k) for k in range(n)]
            assert list(results[name][task].values()) == scores()[task][row].tolist()
        assert len(results[name]["action"]) == 100
        for key in results[name]["action"]:
            verb, noun = map(int, key.split(","))
            assert 0 <= verb < 97 and 0 <= noun < 300


def naive_best(row, pairs):
    """The 100 best of one segment, equal scores in the order of the columns."""
    ranking = sorted(range(len(row)), key=lambda column: -row[column])[:100]
    return {f"{pairs[c][0]},{pairs[c][1]}": row[c] for c in ranking}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    n_levels=st.sampled_from([2, 5, 1000]),
    dtype=st.sampled_from(["f4", "f8", "u1", "i8"]),
)
def test_the_100_best_are_those_of_a_stable_sort(tmp_path_factory, **drawn):
    rng = np.random.default_rng(drawn["seed"])
    values = rng.integers(0, drawn["n_levels"], size=(3, N_ACTIONS))
    action = values.astype(drawn["dtype"])
    path = tmp_path_factory.mktemp("round") / "test.json"
    results = write(path, action=action)["results"]
    for row, name in enumerate(IDS):
        expected = naive_best(action[row].tolist(), PAIRS)
        assert list(results[name]["action"].items()) == list(expected.items())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), dtype=st.sampled_from(["f2", "f4", "f8"]))
def test_what_is_written_is_read(tmp_path_factory, seed, dtype):
    given_scores = {task: s.astype(dtype) for task, s in scores(seed=seed).items()}
    path = tmp_path_factory.mktemp("round") / "test.json"
    write(path, **given_scores)
    submission = validate_submission(path, IDS[::-1])  # the order of the ids wins
    assert submission.ids == IDS[::-1]
    assert_array_equal(submission.verb, given_scores["verb"][::-1])
    assert_array_equal(submission.noun, given_scores["noun"][::-1])
    label_of = {pair: label for label, pair in PAIRS.items()}
    for row in range(3):
        labels = [label_of[tuple(p)] for p in submission.pairs[row].tolist()]
        own = given_scores["action"][2 - row]
        assert_array_equal(submission.action[row], own[labels])
        assert_array_equal(submission.action[row], np.sort(own)[::-1][:100])
    assert {name: submission[name] for name in LEVELS} == LEVELS


def test_verbs_and_nouns_are_sums_over_the_actions(path):
    proba = np.random.default_rng(0).dirichlet(np.ones(N_ACTIONS), size=3)
    write(path, action=proba, verb=None, noun=None)
    submission = validate_submission(path)
    for verb in range(97):
        columns = [a for a in PAIRS if PAIRS[a][0] == verb]
        np.testing.assert_allclose(submission.verb[:, verb], proba[:, columns].sum(1))
    for noun in range(300):
        columns = [a for a in PAIRS if PAIRS[a][1] == noun]
        np.testing.assert_allclose(submission.noun[:, noun], proba[:, columns].sum(1))


def test_given_scores_of_verbs_stay_beside_sums_of_nouns(path):
    proba = np.full((3, N_ACTIONS), 1 / N_ACTIONS)
    write(path, action=proba, noun=None)
    submission = validate_submission(path)
    assert_array_equal(submission.verb, scores()["verb"])
    np.testing.assert_allclose(submission.noun[:, 290:], 0.1)
    assert (submission.noun[:, :290] == 0).all()


def test_columns_belong_to_classes_and_tables_of_actions_will_do(path):
    labels = np.array(list(PAIRS))
    verb, noun = np.array(list(PAIRS.values())).T
    table = {"label": labels, "verb": labels, "noun": labels}  # names, not to be used
    table |= {"verb_id": verb, "noun_id": noun}
    action, order = scores()["action"], labels[::-1]
    expected = write(path)
    again = write(path, action=action[:, order], classes=order, actions=table)
    assert again == expected


def test_without_actions_the_file_has_none(path):
    content = write(path, action=None, actions=None)
    assert all(set(entry) == {"verb", "noun"} for entry in content["results"].values())
    submission = validate_submission(path, IDS)
    assert submission.action is None
    assert submission.pairs is None


def test_an_estimator_fills_a_submission(path):
    rng = np.random.default_rng(0)
    y = np.arange(N_ACTIONS) * 3 + 5  # action ids with gaps
    X = rng.normal(size=(N_ACTIONS, 4))
    model = SmoothedAnticipator(max_epochs=1, random_state=0).fit(X, y)
    actions = {label: PAIRS[k] for k, label in enumerate(y.tolist())}
    write(
        path,
        action=model.predict_proba(X[:3]),
        classes=model.classes_,
        actions=actions,
        verb=None,
        noun=None,
    )
    submission = validate_submission(path, IDS)
    best = [tuple(pairs[0]) for pairs in submission.pairs.tolist()]
    assert best == [actions[label] for label in model.predict(X[:3]).tolist()]


def test_an_old_file_survives_what_goes_wrong(path, monkeypatch):
    write(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="finite"):
        write(path, verb=np.full((3, 97), np.nan))
    assert path.read_bytes() == before

    def broken(*_):
        yield {"verb": {}}
        raise OSError("disk full")

    monkeypatch.setattr(writing, "_entries", broken)
    with pytest.raises(OSError, match="disk full"):
        write(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def bad(task, value):
    table = scores()[task]
    table[1, 7] = value
    return {task: table}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (bad("verb", np.nan), "'P01_11_1' has the score nan in column 7 of verb"),
        (bad("noun", np.inf), "'P01_11_1' has the score inf in column 7 of noun"),
        (bad("action", -np.inf), "'P01_11_1' has the score -inf in column 7 of action"),
        (
            {"verb": np.zeros((3, 96))},
            r"verb .* shape \(3, 96\): expected .* \(3, 97\)",
        ),
        ({"noun": np.zeros((2, 300))}, r"noun .* \(2, 300\): expected .* \(3, 300\)"),
        ({"verb": np.full((3, 97), "a")}, "expected numbers"),
        (
            {"action": scores()["action"][:, :99]},
            "100 best actions of each segment, but there are scores of 99",
        ),
        ({"actions": None}, "pass actions="),
        ({"actions": {0: (0, 0)}}, "Every label needs a verb and a noun"),
        (
            {"actions": PAIRS | {0: (97, 0)}},
            "verb 97 and the noun 0: expected ids below",
        ),
        ({"actions": PAIRS | {0: (0, 300)}}, "the noun 300: expected ids below 97"),
        ({"actions": PAIRS | {0: (-1, 3)}}, "the verb -1"),
        ({"actions": PAIRS | {0: PAIRS[1]}}, "two classes the verb 1 and the noun 290"),
        ({"actions": PAIRS | {0: ("cut", 1)}}, "ids of verbs and nouns, got 'cut'"),
        ({"action": None, "noun": None}, "needs scores of verbs and nouns"),
        ({"verb": None}, "not logits"),
        ({"ids": IDS[:2] + IDS[:1]}, "segment 'P01_11_0' twice"),
        ({"ids": []}, "at least one segment"),
        ({"ids": [1, 2, 3]}, r"strings such as 'P01_11_0', got \[1, 2, 3\]"),
        ({"sls_pt": 6}, "sls_pt=6: expected a whole number from 0 to 5"),
        ({"sls_td": -1}, "sls_td=-1"),
        ({"sls_tl": 2.0}, "sls_tl=2.0"),
        ({"sls_tl": True}, "sls_tl=True"),
        (
            {"challenge": "cooking"},
            "challenge 'cooking': expected 'action_anticipation'",
        ),
    ],
)
def test_nothing_wrong_is_written(path, changes, match):
    with pytest.raises(ValueError, match=match):
        write(path, **changes)
    assert os.listdir(path.parent) == []


# --------------------------------------------------------------------------- checking


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
