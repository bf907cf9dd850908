"""Arguments that are no table, no list or no scores at all are refused in words."""

import os
from fractions import Fraction

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skanticipate import (
    LSTM,
    MLP,
    BatchedGridSearchCV,
    ReplicaEnsemble,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    fit_many,
    load,
    presets,
)
from skanticipate.data.actions import as_mapping, by_ids
from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    cut_pairs,
    label_history,
    label_sequences,
    make_kitchen,
    many_shot_actions,
    participant_split,
    read_lmdb,
    trimmed_pairs,
    unlabeled_pairs,
    validate_submission,
    write_submission,
)
from skanticipate.metrics import epic100_metrics, marginalize


def kind(value):
    """Name of a case: the repr of an object is another in each process."""
    return type(value).__name__


NO_TABLES = [None, 3, 1.5, "bad", b"x", (), [], object(), np.float32(2), True]
NO_WORDS = [[1], {}, np.array([1, 2]), None]  # unhashable ones among them
HUGE = [10**30, 2**70]
TABLE = {
    "video": ["a", "b"],
    "start_frame": [60, 90],
    "stop_frame": [70, 99],
    "action": [0, 1],
}
FEATURES = FeatureTable.from_arrays({v: np.ones((99, 2), "f4") for v in "ab"})
IDS = {"label": [0, 1], "verb_id": [0, 1], "noun_id": [2, 2]}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)), np.arange(6) % 2
MODEL = SmoothedAnticipator(MLP(2), max_epochs=1, random_state=0)


@pytest.mark.parametrize("table", NO_TABLES, ids=kind)
@pytest.mark.parametrize(
    "function",
    [
        label_history,
        label_sequences,
        participant_split,
        lambda table: unlabeled_pairs(table, 2),
        lambda table: unlabeled_pairs(TABLE, 2, avoid=table or 0),
        lambda table: cut_clips(FEATURES, table, observation=0.5, anticipation=0.5),
        lambda table: cut_pairs(table, {}, feature_rate=1),
    ],
)
def test_what_has_no_columns_is_no_table(function, table):
    with pytest.raises(ValueError, match=r"(segments|pairs|avoid) .*expected a table"):
        function(table)


@pytest.mark.parametrize("column", [None, 2.5, "P01", np.array(1), object()])
@pytest.mark.parametrize("name", ["video", "participant", "verb"])
def test_a_single_value_is_no_column(name, column):
    table = {"video": ["P01_1", "P26_2"], name: column}
    with pytest.raises(ValueError, match=f"{name} of segments is .*expected a column"):
        participant_split(table)


def test_columns_of_two_lengths():
    table = {"video": ["P01_1", "P26_2"], "verb": [0, 1, 2]}
    with pytest.raises(ValueError, match="lengths {'video': 2, 'verb': 3}"):
        participant_split(table)


def test_names_of_segments_of_another_number():
    table = {**TABLE, "id": ["1", "2", "3"]}
    with pytest.raises(ValueError, match="lengths {'video': 2, 'id': 3}"):
        cut_clips(FEATURES, table, observation=0.5, anticipation=0.5)


# ------------------------------------------------------------------- actions, scores

NO_ACTIONS = [0, 1.5, "bad", b"x", (), object(), np.float32(2), True]
PROBA = np.full((2, 2), 0.5)
TRUTH = {"verb": [0, 1], "noun": [2, 2], "action": [0, 1]}


@pytest.mark.parametrize("actions", NO_ACTIONS, ids=kind)
@pytest.mark.parametrize(
    "function",
    [
        lambda actions: many_shot_actions(actions, [0], [2]),
        lambda actions: epic100_metrics(TRUTH, action=PROBA, actions=actions),
        lambda actions: write_submission(
            "a", ["b", "c"], action=PROBA, actions=actions, sls_pt=1, sls_tl=1, sls_td=1
        ),
    ],
)
def test_what_says_nothing_of_actions(function, actions):
    with pytest.raises(ValueError, match="actions must be a mapping .* or a table"):
        function(actions)


def test_ids_of_actions_without_labels():
    del (table := dict(IDS))["label"]
    with pytest.raises(ValueError, match="no 'label'"):
        many_shot_actions(table, [0], [2])


def test_ids_of_actions_whose_labels_are_an_index():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(IDS).set_index("label")
    assert as_mapping(by_ids(table)) == {0: (0, 2), 1: (1, 2)}
    assert many_shot_actions(table, [1], [2]).tolist() == [1]


class Table:
    """As those of polars: with columns, and without keys."""

    columns = list(IDS)

    def __getitem__(self, name):
        return IDS[name]


def test_ids_of_a_table_without_keys():
    assert as_mapping(by_ids(Table())) == {0: (0, 2), 1: (1, 2)}
    assert many_shot_actions(Table(), [1], [2]).tolist() == [1]


@pytest.mark.parametrize("rule", NO_WORDS, ids=kind)
def test_rules_of_many_shot_actions(rule):
    with pytest.raises(ValueError, match="rule is .*expected 'and' or 'or'"):
        many_shot_actions(IDS, [0], [2], rule=rule)


@pytest.mark.parametrize("verbs", [[[1]], [[1], [1, 2]], [{}]])
def test_labels_that_are_lists(verbs):
    with pytest.raises(ValueError, match="verbs must hold one label each"):
        many_shot_actions(IDS, verbs, [2])


@pytest.mark.parametrize("name", NO_WORDS, ids=kind)
def test_names_of_challenges_and_data_sets(name, tmp_path):
    path = tmp_path / "test.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="challenge is .*expected one of"):
        validate_submission(path, challenge=name)
    with pytest.raises(ValueError, match="dataset is .*expected one of"):
        validate_submission(path, dataset=name)
    levels = {"sls_pt": 1, "sls_tl": 1, "sls_td": 1}
    with pytest.raises(ValueError, match="has the challenge"):
        write_submission(path, ["a"], challenge=name, **levels)


@pytest.mark.parametrize("scores", [0.5, "bad", np.ones(2), np.ones((2, 2, 2)), ()])
def test_scores_have_rows_and_columns(scores):
    words = r"has shape .*expected \(n, C\)"
    with pytest.raises(ValueError, match=f"action {words}"):
        epic100_metrics(TRUTH, action=scores, actions=IDS)
    with pytest.raises(ValueError, match=f"verb {words}"):
        epic100_metrics(TRUTH, action=PROBA, verb=scores, noun=PROBA)
    levels = {"sls_pt": 1, "sls_tl": 1, "sls_td": 1}
    with pytest.raises(ValueError, match=f"action {words}"):
        write_submission("a", ["b", "c"], action=scores, actions=IDS, **levels)


@pytest.mark.parametrize("proba", [[], [[]], np.ones((2, 0))])
def test_scores_of_no_classes(proba):
    with pytest.raises(ValueError, match="classes is empty"):
        marginalize(proba, [], IDS)


@pytest.mark.parametrize("y", [{}, np.ones((5, 2))], ids=["mapping", "two columns"])
def test_labels_of_trimmed_clips_are_a_column(y):
    clips = [np.ones((20, 2))] * 5
    with pytest.raises(ValueError, match="1d array"):
        trimmed_pairs(clips, y)


def test_noise_of_minus_zero_is_none():
    sizes = {"n_actions_per_video": 4, "n_features": 8, "random_state": 0}
    first, second = (make_kitchen(3, noise=noise, **sizes) for noise in (0.0, -0.0))
    np.testing.assert_array_equal(first.X_past, second.X_past)


@pytest.mark.parametrize("number", [0, 1, True, 10**30])
def test_a_number_is_no_file(number):
    with pytest.raises(TypeError, match="expected str, bytes or os.PathLike"):
        load(number)
    os.fstat(1)  # is open still


@pytest.mark.parametrize("path", [None, 3, b"x", object()])
def test_what_is_no_path_of_lmdb(path, tmp_path):
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        read_lmdb(path, out=tmp_path / "out")


# ------------------------------------------------------------------ fits and streams


@pytest.mark.parametrize("max_epochs", [None, "bad", 1.5, True, []])
def test_epochs_of_two_phases(max_epochs):
    with pytest.raises(TypeError, match="max_epochs"):
        presets.camporese2020_rulstm(max_epochs=max_epochs)


@pytest.mark.parametrize("train", [0, 1.5, "bad", {}, object(), np.array(3), True])
def test_rows_of_several_fits_are_a_list(train):
    with pytest.raises(TypeError, match="train must be a list of rows"):
        fit_many([MODEL], X, Y, train=train)


@pytest.mark.parametrize("width", NO_WORDS, ids=kind)
def test_widths(width):
    with pytest.raises(ValueError, match="width must be 'auto' or an int"):
        fit_many([MODEL], X, Y, width=width)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "bad", [1], True, -(10**9), *HUGE])
def test_numbers_of_processes(n_jobs):
    with pytest.raises(ValueError, match="n_jobs must be None, a whole number"):
        fit_many([MODEL], X, Y, n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1.5, True, *HUGE])
def test_numbers_of_processes_of_replicas(n_jobs):
    ensemble = ReplicaEnsemble(MODEL, n_replicas=1, random_state=0, n_jobs=n_jobs)
    with pytest.raises(ValueError, match="The 'n_jobs' parameter"):
        ensemble.fit(X, Y)


@pytest.mark.filterwarnings("ignore:.*(unlabelled|without groups)")
@pytest.mark.parametrize("other", [-1, None, 3.5])
def test_folds_by_classes_that_have_no_order(other):
    y = np.array(["cut", "wash", other] * 4, dtype=object)
    clips = RNG.normal(size=(12, 4))
    search = BatchedGridSearchCV(MODEL, {"lr": [0.1, 0.2]}, cv=2)
    with pytest.raises(ValueError, match="no order .* cv=SemiSupervisedSplit"):
        search.fit(clips, y)
    if other == -1:
        found = search.set_params(cv=SemiSupervisedSplit(2)).fit(clips, y)
        assert found.classes_.tolist() == ["cut", "wash"]


@pytest.mark.filterwarnings("ignore:.*(unlabelled|without groups)")
def test_folds_of_a_first_row_without_a_label_are_those_of_scikit_learn():
    y = np.array([-1, "cut", "wash"] * 4, dtype=object)
    clips, grid = RNG.normal(size=(12, 4)), {"lr": [0.1, 0.2]}
    together = BatchedGridSearchCV(MODEL, grid, cv=2).fit(clips, y)
    alone = GridSearchCV(MODEL, grid, cv=2).fit(clips, y)
    name = "mean_test_score"
    np.testing.assert_array_equal(together.cv_results_[name], alone.cv_results_[name])


def opened(n_streams):
    clips = RNG.normal(size=(6, 3, 4))
    model = SmoothedAnticipator(LSTM(2), max_epochs=1, random_state=0)
    return model.fit(clips, Y).stream(n_streams)


@pytest.mark.parametrize("number", HUGE)
def test_numbers_of_streams(number):
    with pytest.raises(ValueError, match="n_streams must be None or a positive"):
        opened(number)


@pytest.mark.parametrize("streams", [1.5, "bad", [2], [-3], [True], object(), {"a": 1}])
def test_videos_that_begin_anew(streams):
    stream = opened(2)
    step = RNG.normal(size=(2, 4))
    before = stream.update(step)
    with pytest.raises(IndexError, match="streams is .*the 2 rows"):
        stream.reset(streams)
    np.testing.assert_array_equal(stream.reset([]).now(), before)


@pytest.mark.parametrize("rows", [0, -1, np.int64(2)])
def test_rows_of_a_view_are_an_array(rows):
    with pytest.raises(IndexError, match="rows is .*expected an array"):
        RowView(X, rows)


def test_fractions_are_refused_in_words():
    """NumPy makes objects of them, and of its own doubts an error about isnan."""
    rate = Fraction(30000, 1001)
    segments = {"video": ["a"], "start_frame": [9], "stop_frame": [20], "action": [1]}
    with pytest.raises(ValueError, match="'fps' parameter .* Got Fraction"):
        label_history(segments, fps=rate)
    with pytest.raises(ValueError, match="fps is Fraction.* for the video 'a'"):
        label_history(segments, fps={"a": rate})
    label_history(segments, fps=float(rate))
