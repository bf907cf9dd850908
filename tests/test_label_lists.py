"""Parameters that are lists of labels: a string is no list of its letters."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skanticipate.datasets import (
    many_shot_actions,
    read_actions,
    validate_submission,
    write_submission,
)
from skanticipate.metrics import (
    epic100_metrics,
    marginalize,
    mean_top_k_recall_score,
    mean_top_k_recall_scorer,
    per_class_top_k_recall,
    time_to_action,
    top_k_accuracy,
)
from skanticipate.plotting import PriorDisplay
from skanticipate.priors import (
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    read_word_vectors,
)

LETTERS = list("aab")
SCORES = [[0.6, 0.4], [0.4, 0.6], [0.3, 0.7]]
ACTIONS = {"a": ("cut", "pan"), "b": ("dry", "cup")}
NUMBERED = {"a": (0, 1), "b": (1, 0)}
LEVELS = {"sls_pt": 1, "sls_tl": 3, "sls_td": 3}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def recall(y=LETTERS, classes=("a", "b"), **options):
    return mean_top_k_recall_score(y, SCORES, k=1, classes=classes, **options)


def epic(classes):
    segments = {"verb": [0, 0, 1], "noun": [1, 1, 0], "action": LETTERS}
    return epic100_metrics(segments, action=SCORES, classes=classes, actions=NUMBERED)


def prior(kind=UniformPrior):
    return kind().fit(["a", "b"], LETTERS, ["b", "a", "a"])


def actions_file(path, verbs):
    path = path / "actions.csv"
    path.write_text("id,action,verb,noun\n7, grab_pan,0,1")
    return read_actions(path, verbs=verbs, nouns=["cup", "pan"])


def vectors(path, words):
    path = path / "vectors.txt"
    path.write_text("a 1 0\nb 0 1\n")
    return read_word_vectors(path, words)


READERS = {
    "top_k_accuracy": lambda v: top_k_accuracy(LETTERS, SCORES, k=1, classes=v),
    "time_to_action": lambda v: time_to_action(LETTERS, [SCORES], [1], k=1, classes=v),
    "recall classes": lambda v: recall(classes=v),
    "marginalize classes": lambda v: marginalize([[0.5, 0.5]], v, ACTIONS),
    "epic classes": epic,
    "marginalize verbs": lambda v: marginalize(
        [[0.5, 0.5]], ["a", "b"], {"a": ("a", "x"), "b": ("b", "y")}, verbs=v
    ),
    "prior rows": lambda v: prior().rows(v),
    "uniform terms": lambda v: prior().terms(v),
    "transition past": lambda v: prior(TransitionPrior).rows(["a", "b"], v),
    "temporal past": lambda v: TemporalPrior().fit(["a", "b"], ["b", "a"], v),
    "temporal y": lambda v: TemporalPrior().fit(["a", "b"], v, ["b", "a"]),
    "display labels": lambda v: PriorDisplay.from_prior(prior(), labels=v),
    "display classes": lambda v: PriorDisplay.from_prior(prior(), classes=v),
}
# Those whose order says nothing, so that a set will do.
UNORDERED = {
    "recall labels": lambda v: recall(labels=v),
    "per class": lambda v: per_class_top_k_recall(
        LETTERS, SCORES, k=1, labels=v, classes=["a", "b"]
    ),
    "scorer": lambda v: mean_top_k_recall_scorer(labels=v),
}


@pytest.mark.filterwarnings("ignore:Temporal")
@pytest.mark.parametrize("name", [*READERS, *UNORDERED])
def test_a_string_is_no_list_of_its_letters(name):
    if "display" in name:
        pytest.importorskip("matplotlib").use("agg")
    read = (READERS | UNORDERED)[name]
    for values in (
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        {"a": 1, "b": 2}.keys(),
    ):
        read(values)
    wrong = ["ab", "a", {"a": 1, "b": 2}, np.array([["a", "b"]]), np.array("a"), 3]
    for values in wrong if name in UNORDERED else [*wrong, {"a", "b"}]:
        with pytest.raises(ValueError, match="must be a list of labels, got"):
            read(values)


def test_labels_of_a_set_are_kept():
    assert recall(labels={"a"}) == recall(labels=["a"]) == 0.5
    assert recall(labels=["a", "b"]) == 0.75


COUNTED = pd.Series([0, 0, 0, 1, 1, 2], name="action")


@pytest.mark.parametrize(
    "counts",
    [
        COUNTED.value_counts().rename("count"),  # as pandas 2 has them
        COUNTED.value_counts(normalize=True).rename("proportion"),
        COUNTED.to_frame().groupby("action").size(),
    ],
    ids=["counts", "shares", "size"],
)
def test_counts_are_not_the_labels_that_they_count(counts):
    rare = counts[counts <= sorted(counts)[1]]
    y, scores = [0, 1, 2], np.eye(3)
    actions = {0: (0, 0), 1: (1, 1), 2: (2, 2)}
    truth = {"verb": y, "noun": y, "action": y}
    calls = [
        lambda labels: mean_top_k_recall_score(y, scores, k=1, labels=labels),
        lambda labels: mean_top_k_recall_scorer(1, labels=labels),
        lambda labels: many_shot_actions(actions, labels, [0, 1, 2]),
        lambda labels: many_shot_actions(actions, [0, 1, 2], labels),
        lambda labels: epic100_metrics(
            truth, action=scores, actions=actions, tail={"verb": labels, "noun": []}
        ),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="got a Series of counts, whose labels"):
            call(rare)
        call(rare.index)
        call(list(rare.index))
        call(COUNTED.drop_duplicates())


def test_tables_are_no_lists_of_their_columns():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"c": ["a", "b"]})
    assert top_k_accuracy(LETTERS, SCORES, k=1, classes=table["c"]) == 2 / 3
    with pytest.raises(ValueError, match=r"got a DataFrame of shape \(2, 1\)"):
        top_k_accuracy(LETTERS, SCORES, k=1, classes=table)


def test_names_of_classes_are_no_letters(tmp_path):
    assert actions_file(tmp_path, ["take", "put"]).verb.tolist() == ["take"]
    with pytest.raises(ValueError, match="verbs must be a list of labels, got 'take'"):
        actions_file(tmp_path, "take")


def test_words_are_no_letters(tmp_path):
    pytest.importorskip("gensim")
    assert vectors(tmp_path, {"a", "b"}).index_to_key == ["a", "b"]
    with pytest.raises(ValueError, match="words must be a list of labels, got 'ab'"):
        vectors(tmp_path, "ab")


def test_ids_of_many_shot_classes_may_be_a_set():
    actions = {"label": [0, 1, 2], "verb_id": [0, 0, 1], "noun_id": [0, 1, 1]}
    assert_array_equal(many_shot_actions(actions, {0}, {1}), [1])
    with pytest.raises(ValueError, match="nouns must be a list of labels, got '01'"):
        many_shot_actions(actions, [0], "01")


def test_ids_of_a_submission_are_no_set(tmp_path):
    path, ids = tmp_path / "test.json", ["b", "a"]
    scores = {"verb": 3 * np.eye(2, 97), "noun": 2 * np.eye(2, 300)}
    write_submission(path, ids, **scores, **LEVELS)
    assert_array_equal(validate_submission(path, ids).verb, 3 * np.eye(2, 97))
    for wrong in ({"a", "b"}, "ab", {"a": 0, "b": 1}):
        with pytest.raises(ValueError, match="ids must be a list of labels"):
            write_submission(path, wrong, **scores, **LEVELS)
        with pytest.raises(ValueError, match="ids must be a list of labels"):
            validate_submission(path, wrong)


def test_ids_of_many_shot_classes_have_the_type_of_those_of_the_table():
    actions = {"label": [0, 1, 2], "verb_id": [0, 0, 1], "noun_id": [0, 1, 1]}
    for verbs, nouns in ((["0"], [1]), ([0], ["1"])):
        with pytest.raises(ValueError, match="give both the same type"):
            many_shot_actions(actions, verbs, nouns, rule="or")
