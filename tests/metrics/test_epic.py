import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skanticipate.datasets import read_class_list, read_segments
from skanticipate.metrics import (
    epic100_metrics,
    marginalize,
    mean_top_k_recall_score,
    top_k_accuracy,
)

ACTIONS = {0: (0, 2), 1: (0, 3), 2: (1, 2), 3: (2, 0)}
N_VERBS, N_NOUNS = 3, 4
TAIL = {"verb": [1, 2], "noun": [3]}
TABLE = {  # as read_actions gives it, with names beside the ids
    "label": np.arange(4),
    "verb": np.array(["cut", "cut", "wash", "dry"]),
    "noun": np.array(["leek", "pan", "leek", "cup"]),
    "verb_id": np.array([0, 0, 1, 2]),
    "noun_id": np.array([2, 3, 2, 0]),
}


def kitchen(n=40, seed=0):
    rng = np.random.default_rng(seed)
    action = rng.integers(0, 4, size=n)
    verb, noun = np.array([ACTIONS[a] for a in action.tolist()]).T
    proba = rng.dirichlet(np.ones(4), size=n)
    return {"verb": verb, "noun": noun, "action": action}, proba, rng.random(n) < 0.4


def naive(y_true, scores, k):
    """Hits and class-mean recall by sorting each row."""
    hits = np.array(
        [
            label in sorted(range(len(row)), key=lambda c: -row[c])[:k]
            for label, row in zip(y_true.tolist(), scores.tolist(), strict=True)
        ]
    )
    recalls = [hits[y_true == label].mean() for label in np.unique(y_true)]
    return hits.mean(), np.mean(recalls)


def cell(table, subset, task):
    [row] = [r for r in table if (r["subset"], r["task"]) == (subset, task)]
    return row


def test_every_cell_equals_a_naive_loop():
    segments, action, unseen = kitchen()
    rng = np.random.default_rng(1)
    scores = {
        "verb": rng.normal(size=(40, 12)),  # more columns than 5, so that there are
        "noun": rng.normal(size=(40, 9)),  # misses
        "action": np.column_stack([action, rng.random((40, 5))]),
    }
    table = epic100_metrics(segments, **scores, tail=TAIL, unseen=unseen)
    is_tail = {task: np.isin(segments[task], TAIL[task]) for task in TAIL}
    is_tail["action"] = is_tail["verb"] | is_tail["noun"]
    order = [(row["subset"], row["task"]) for row in table]
    assert order == [
        (subset, task)
        for subset in ("overall", "unseen", "tail")
        for task in ("verb", "noun", "action")
    ]
    for subset, task in order:
        rows = {"overall": np.ones(40, bool), "unseen": unseen}.get(
            subset, is_tail[task]
        )
        y, s = segments[task][rows], scores[task][rows]
        row = cell(table, subset, task)
        assert row["n_segments"] == rows.sum() > 0
        assert_allclose(row["top1_accuracy"], naive(y, s, 1)[0])
        assert_allclose([row["top5_accuracy"], row["mean_top5_recall"]], naive(y, s, 5))


def test_a_table_of_two_segments_by_hand():
    segments = {"verb": [0, 1], "noun": [2, 2], "action": [1, 2]}
    proba = [[0.3, 0.3, 0.4, 0.0], [0.1, 0.4, 0.5, 0.0]]  # verbs .6 .4, then .5 .5
    table = epic100_metrics(segments, action=proba, actions=ACTIONS)
    assert [row["top1_accuracy"] for row in table] == [0.5, 1.0, 0.5]


@pytest.mark.parametrize("actions", [ACTIONS, TABLE], ids=["mapping", "table"])
def test_verbs_and_nouns_are_sums_over_their_actions(actions):
    segments, proba, unseen = kitchen()
    sums = marginalize(
        proba, range(4), ACTIONS, verbs=range(N_VERBS), nouns=range(N_NOUNS)
    )
    expected = epic100_metrics(
        segments,
        action=proba,
        verb=sums.verb_proba,
        noun=sums.noun_proba,
        tail=TAIL,
        unseen=unseen,
    )
    options = {"actions": actions, "tail": TAIL, "unseen": unseen}
    assert epic100_metrics(segments, action=proba, **options) == expected
    given = epic100_metrics(segments, action=proba, noun=sums.noun_proba, **options)
    assert given == expected
    order = [3, 0, 2, 1]
    shuffled = epic100_metrics(
        segments, action=proba[:, order], classes=np.array(order), **options
    )
    assert shuffled == expected


def test_a_dataframe_of_actions_and_segments_will_do():
    pd = pytest.importorskip("pandas")
    segments, proba, _ = kitchen()
    frame = pd.DataFrame(epic100_metrics(segments, action=proba, actions=ACTIONS))
    again = epic100_metrics(
        pd.DataFrame(segments), action=proba, actions=pd.DataFrame(TABLE)
    )
    assert frame.to_dict("records") == again
    assert list(frame.columns)[:3] == ["subset", "task", "n_segments"]


def test_an_action_the_estimator_never_saw_is_missed():
    segments = {"verb": [0, 2], "noun": [2, 0], "action": [0, 3]}
    proba = [[0.6, 0.4], [0.6, 0.4]]
    table = epic100_metrics(
        segments, action=proba, classes=[0, 2], actions=ACTIONS, tail=TAIL
    )
    for task in ("verb", "noun", "action"):
        assert cell(table, "overall", task)["mean_top5_recall"] == 0.5
    assert cell(table, "tail", "verb")["top5_accuracy"] == 0.0


def test_an_empty_subset_is_nan_and_one_that_is_not_asked_for_is_left_out():
    segments, proba, _ = kitchen()
    table = epic100_metrics(
        segments, action=proba, actions=ACTIONS, unseen=np.zeros(40, dtype=bool)
    )
    assert [row["subset"] for row in table] == ["overall"] * 3 + ["unseen"] * 3
    row = cell(table, "unseen", "noun")
    assert row.pop("n_segments") == 0
    assert all(np.isnan(row[m]) for m in row if m not in ("subset", "task"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"actions": None}, "pass actions="),
        ({"actions": {**ACTIONS, 1: ("cut", 3)}}, "ids of verbs and nouns, got 'cut'"),
        ({"actions": {0: (0, 2)}}, "Every label needs a verb and a noun"),
        ({"tail": {"verb": [1]}}, "tail must be a table with the columns verb, noun"),
        ({"unseen": [0, 2]}, r"mask of shape \(40,\)"),
        ({"unseen": np.zeros(40)}, "got float64 of shape"),
        (
            {"action": np.full((39, 4), 0.25)},
            "40 segments but the scores of verb have 39",
        ),
        ({"verb": np.zeros((2, 4))}, "40 segments but the scores of verb have 2 rows"),
        ({"action": np.full((40, 4), -1.0)}, "not logits"),
        ({"action": np.full((40, 4), 3.0)}, "must hold probabilities.* sums to 12"),
        ({"action": np.full((40, 4), np.nan)}, "contains NaN"),
        ({"y_true": {"verb": [0]}}, "y_true must be a table with the columns verb"),
        ({"y_true": [1, 2, 3]}, "got list without them"),
    ],
)
def test_bad_input_raises(change, match):
    segments, proba, _ = kitchen()
    options = {"y_true": segments, "action": proba, "actions": ACTIONS} | change
    with pytest.raises(ValueError, match=match):
        epic100_metrics(options.pop("y_true"), **options)


# real data


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.data
def test_the_table_equals_the_official_evaluation():
    epic = Path(os.environ["SKANTICIPATE_TEST_DATA"]) / "epic100"
    segments = read_segments(epic / "validation.csv")
    with np.load(epic / "reference_scores.npz", allow_pickle=False) as file:
        verb = file["verb_scores"][file["verb_row"]]
        noun = file["noun_scores"][file["noun_row"]]
        n_actions = len(read_rows(epic / "actions.csv"))
        best = np.full((len(file["action_ids"]), n_actions), -1, dtype=np.float32)
        np.put_along_axis(best, file["action_ids"], file["action_scores"], axis=1)
        action = best[file["action_row"]]
    people = [video.partition("_")[0] for video in segments.video]
    new = [row["participant"] for row in read_rows(epic / "unseen_participants.csv")]
    table = epic100_metrics(
        segments,
        verb=verb,
        noun=noun,
        action=action,
        tail={
            "verb": read_class_list(epic / "tail_verbs.csv"),
            "noun": read_class_list(epic / "tail_nouns.csv"),
        },
        unseen=np.isin(people, new),
    )
    reference = read_rows(epic / "reference_metrics.csv")
    assert len(reference) == 15
    for row in reference:
        metric, subset = row["metric"], "overall"
        for name in ("unseen", "tail"):
            if metric.endswith(f"_{name}"):
                metric, subset = metric.removesuffix(f"_{name}"), name
        ours = 100 * cell(table, subset, row["task"])[metric]
        assert_allclose(ours, float(row["value"]), atol=1e-4, rtol=0)


def test_tables_of_scores_name_the_ids_in_their_order():
    first = np.array([[0.9, 0.1]] * 2)
    labels = {"verb": [0, 0], "noun": [0, 0], "action": [0, 0]}
    table = pd.DataFrame(first[:, ::-1], columns=[1, 0])
    for task in ("verb", "noun"):
        scores = {"verb": first, "noun": first, task: table}
        with pytest.raises(ValueError, match=f"the scores of {task} have the names"):
            epic100_metrics(labels, action=first, **scores)
    with pytest.raises(ValueError, match="columns of y_score have the names"):
        top_k_accuracy([0, 0], table, k=1)
    named = {"verb": table[[0, 1]], "noun": first}
    assert epic100_metrics(labels, action=first, **named) is not None


@pytest.mark.parametrize("where", ["y_true", "tail", "unseen"])
def test_labels_behind_a_mask_are_refused(where):
    labels = {"verb": [0, 0], "noun": [0, 0], "action": [0, 0]}
    hidden = np.ma.array([0, 1], mask=[1, 0])
    given = {}
    if where == "y_true":
        labels["verb"] = hidden
    elif where == "tail":
        given["tail"] = {"verb": hidden, "noun": [1]}
    else:
        given["unseen"] = np.ma.array([True, False], mask=[1, 0])
    scores = np.array([[0.9, 0.1]] * 2)
    with pytest.raises(ValueError, match="masked array that hides 1 of 2"):
        epic100_metrics(labels, action=scores, verb=scores, noun=scores, **given)


@pytest.mark.filterwarnings("ignore:k=2 with 2 classes")
def test_a_mask_of_classes_is_no_list_of_labels():
    scores, y = np.random.default_rng(0).random((12, 6)), np.arange(12) % 6
    mask = np.arange(6) > 2
    with pytest.raises(ValueError, match="got a mask"):
        mean_top_k_recall_score(y, scores, k=2, labels=mask)
    labels = dict.fromkeys(("verb", "noun", "action"), y)
    tail = {"verb": mask, "noun": mask}
    with pytest.raises(ValueError, match="got a mask"):
        epic100_metrics(labels, action=scores, verb=scores, noun=scores, tail=tail)
    for whole in (mask.astype(int), mask.astype(int).tolist()):
        with pytest.raises(ValueError, match="0 and 1 many times over"):
            mean_top_k_recall_score(y, scores, k=2, labels=whole)
    only = {"labels": [1, 1, 0], "classes": [0, 1]}  # all that there are
    assert mean_top_k_recall_score(y % 2, scores[:, :2], k=2, **only) == 1
    kept = {"classes": [False, True], "labels": [True]}  # labels that are truths
    assert mean_top_k_recall_score(y > 2, scores[:, :2], k=2, **kept) == 1


def test_columns_without_names_are_told_from_fewer_actions():
    segments = {"verb": [0, 2], "noun": [2, 0], "action": [0, 1]}
    with pytest.warns(UserWarning, match=r"action has 2 columns and actions has 4 lab"):
        epic100_metrics(segments, action=[[0.6, 0.4]] * 2, actions=ACTIONS)


@pytest.mark.filterwarnings("error:There are scores of few classes:UserWarning")
def test_scores_of_five_classes_or_fewer_are_told_of():
    """As by the other metrics: each of them is among the five best."""
    segments, proba, _ = kitchen()
    with pytest.warns(UserWarning, match="3 of verb, 3 of noun, 4 of action: all of"):
        table = epic100_metrics(segments, action=proba, actions=ACTIONS)
    assert {row["mean_top5_recall"] for row in table} == {1.0}
    more = {task: np.ones((40, 6)) for task in ("verb", "noun", "action")}
    epic100_metrics(segments, **more)
