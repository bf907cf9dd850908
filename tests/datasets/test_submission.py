import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from toy_submission import IDS, LEVELS, N_ACTIONS, PAIRS, scores, write

from skanticipate import SmoothedAnticipator
from skanticipate.datasets import validate_submission


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.json"


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
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
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
            {"action": scores()["action"][:, :99], "classes": range(99)},
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


# EPIC-KITCHENS-55


def test_epic_55_has_a_version_and_classes_of_its_own(path):
    uids = np.array([1924, 1925, 1926])
    changes = {"sls_pt": None, "sls_tl": None, "sls_td": None, "dataset": "epic55"}
    pairs = {label: (label % 12 + 110, 340 + label // 12) for label in range(N_ACTIONS)}
    proba = np.full((3, N_ACTIONS), 1 / N_ACTIONS)
    content = write(
        path, uids, **changes, verb=None, noun=None, action=proba, actions=pairs
    )
    assert sorted(content) == ["challenge", "results", "version"]
    assert content["version"] == "0.1"
    assert list(content["results"]) == ["1924", "1925", "1926"]
    entry = content["results"]["1924"]
    assert [len(entry[task]) for task in ("verb", "noun", "action")] == [125, 352, 100]
    assert entry["verb"]["110"] == pytest.approx(10 / N_ACTIONS)  # 10 of 120 actions
    submission = validate_submission(path, uids, dataset="epic55")
    assert submission.ids == ["1924", "1925", "1926"]
    assert submission.verb.shape == (3, 125)
    assert submission.pairs[0, 0].tolist() == [110, 340]
    with pytest.raises(ValueError, match="'0.1': expected '0.2'. Say dataset='epic55'"):
        validate_submission(path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"dataset": "epic55"}, "A file of epic55 has no sls_pt: leave it out"),
        ({"dataset": "egtea"}, "dataset is 'egtea': expected one of"),
        ({"sls_pt": None}, "has no 'sls_pt'"),
        (
            {"dataset": "epic55", "sls_pt": None, "sls_tl": None, "sls_td": None},
            r"verb are float64 of shape \(3, 97\): expected .* of shape \(3, 125\)",
        ),
        ({"ids": [1, 2, 3]}, "ids must hold the narration_id"),
    ],
)
def test_files_of_the_other_data_set_are_refused(path, changes, match):
    with pytest.raises(ValueError, match=match):
        write(path, **changes)


def server_ranking(result):
    """Best action by the rule of the official evaluation, which takes a softmax."""
    parts = []
    for task in ("verb", "noun"):
        numbers = np.array(list(result[task].values()))
        parts.append(np.exp(numbers) / np.exp(numbers).sum())
    return np.unravel_index(np.outer(*parts).argmax(), (97, 300))


def test_probabilities_of_verbs_and_nouns_alone_are_warned_of(path):
    verb, noun = np.full((3, 97), 1e-9), np.full((3, 300), 1e-9)
    verb[:, :2], noun[:, :2] = [0.4, 0.6], [0.4, 0.6]
    with pytest.warns(UserWarning, match="verb and noun hold .* Pass np.log"):
        write(path, action=None, verb=verb, noun=noun)
    logs = {"verb": np.log(np.maximum(verb, 1e-12))}
    with pytest.warns(UserWarning, match=r"noun hold .* Pass np.log\(noun\), of"):
        write(path, action=None, verb=logs["verb"], noun=noun)
    logs["noun"] = np.log(np.maximum(noun, 1e-12))
    results = write(path, action=None, **logs)["results"]  # no warning
    for row, name in enumerate(IDS):
        best = np.outer(verb[row], noun[row]).argmax()
        assert server_ranking(results[name]) == np.unravel_index(best, (97, 300))


def test_columns_without_names_are_told_from_fewer_actions(path):
    """An estimator has a column for each class that it has seen, not for each id."""
    own = scores()["action"]
    seen = [k for k in range(N_ACTIONS) if k != 1]
    with pytest.warns(UserWarning, match=f"action has {len(seen)} columns and actions"):
        write(path, action=own[:, seen])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(path, action=own[:, seen], classes=seen)
        write(path, action=own[:, :-1], classes=range(N_ACTIONS - 1))
        write(path, action=own)


def test_levels_may_be_numbers_of_numpy(path):
    assert write(path, sls_pt=np.int64(2), sls_tl=np.uint8(3)) == write(
        path, sls_pt=2, sls_tl=3
    )
    with pytest.raises(ValueError, match="sls_pt=np.True_: expected a whole number"):
        write(path, sls_pt=np.True_)
