import pickle
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_blobs
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, recall_score, top_k_accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, SmoothedAnticipator
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import (
    labelled_scorer,
    marginalize,
    mean_top_k_recall_score,
    mean_top_k_recall_scorer,
    per_class_top_k_recall,
    time_to_action,
    top_k_accuracy,
    top_k_scorer,
)

Y = np.array([0, 1, 1, 4])
SCORES = np.array(
    [
        [0.5, 0.3, 0.1, 0.05, 0.05],
        [0.1, 0.2, 0.3, 0.25, 0.15],
        [0.4, 0.1, 0.2, 0.2, 0.1],
        [0.05, 0.05, 0.1, 0.3, 0.5],
    ]
)


def naive_hits(y_true, y_score, k):
    hits = []
    for label, row in zip(y_true, y_score, strict=True):
        ranking = sorted(range(len(row)), key=lambda column: -row[column])  # stable
        hits.append(label in ranking[:k])
    return np.array(hits)


def naive_class_mean(y_true, hits):
    return np.mean([hits[y_true == label].mean() for label in set(y_true.tolist())])


@st.composite
def tied_scores(draw):
    n, n_classes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    scores = rng.integers(0, 3, size=(n, n_classes)).astype(float)
    return rng.integers(0, n_classes, size=n), scores


# top_k_accuracy


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.5), (3, 0.75)])
def test_top_k_accuracy_of_a_hand_made_example(k, expected):
    assert top_k_accuracy(Y, SCORES, k=k) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, 2 / 3), (2, 2 / 3), (3, 5 / 6)])
def test_class_mean_recall_of_a_hand_made_example(k, expected):
    assert_allclose(mean_top_k_recall_score(Y, SCORES, k=k), expected)


@pytest.mark.filterwarnings("ignore:k=. with . classes")
@settings(max_examples=60, deadline=None)
@given(tied_scores(), st.integers(1, 7))
def test_scores_equal_a_naive_stable_sort(data, k):
    y_true, scores = data
    hits = naive_hits(y_true, scores, k)
    assert_allclose(top_k_accuracy(y_true, scores, k=k), hits.mean())
    assert_allclose(
        mean_top_k_recall_score(y_true, scores, k=k), naive_class_mean(y_true, hits)
    )


@pytest.mark.filterwarnings("ignore:k=. with . classes")
@settings(max_examples=25, deadline=None)
@given(tied_scores())
def test_accuracy_never_falls_with_k_and_ends_at_one(data):
    y_true, scores = data
    curve = [top_k_accuracy(y_true, scores, k=k) for k in range(1, 8)]
    assert curve == sorted(curve)
    assert curve[-1] == 1.0


def test_constant_scores_rank_the_first_columns_best():
    assert top_k_accuracy([0, 1, 2, 3], np.zeros((4, 4)), k=2) == 0.5


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_accuracy_equals_scikit_learn_without_ties(k):
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(4.0), (50, 1)), axis=1)
    y_true = rng.integers(0, 4, size=50)
    expected = top_k_accuracy_score(y_true, scores, k=k, labels=range(4))
    assert_allclose(top_k_accuracy(y_true, scores, k=k), expected)


def test_class_mean_top_1_is_balanced_accuracy_and_macro_recall():
    rng = np.random.default_rng(1)
    scores, y_true = rng.normal(size=(60, 5)), rng.integers(0, 5, size=60)
    ours = mean_top_k_recall_score(y_true, scores, k=1)
    predicted = scores.argmax(axis=1)
    assert_allclose(ours, balanced_accuracy_score(y_true, predicted))
    assert_allclose(ours, recall_score(y_true, predicted, average="macro"))


@pytest.mark.parametrize("kind", [list, np.array, lambda v: np.array(v, dtype=object)])
def test_string_labels_of_every_container_match(kind):
    classes = kind(["cut", "peel", "wash"])
    scores = [[3, 2, 1], [3, 2, 1]]
    assert top_k_accuracy(kind(["cut", "wash"]), scores, k=1, classes=classes) == 0.5


def test_columns_belong_to_classes_in_their_given_order():
    assert top_k_accuracy([7, 3], [[2, 1], [2, 1]], k=1, classes=[7, 3]) == 0.5


@pytest.mark.filterwarnings("ignore:k=100 with 2 classes")
def test_a_label_outside_classes_is_a_miss_even_for_a_huge_k():
    assert top_k_accuracy([0, 9], [[1, 0], [1, 0]], k=100, classes=[0, 1]) == 0.5


def test_an_unseen_class_counts_as_recall_zero():
    given = {"classes": [0, 1], "k": 1}
    assert mean_top_k_recall_score([0, 9], [[1, 0], [1, 0]], **given) == 0.5


def test_minus_infinity_is_a_score():
    assert top_k_accuracy([1], [[-np.inf, -1.0]], k=1) == 1.0


def test_scores_may_be_half_precision_and_read_only():
    scores = SCORES.astype(np.float16)
    scores.setflags(write=False)
    assert top_k_accuracy(Y, scores, k=3) == 0.75


@pytest.mark.parametrize(
    ("y_true", "y_score", "options", "match"),
    [
        ([0, 1, 1], SCORES, {}, "y_true has 3 rows but y_score has 4"),
        (["a"] * 4, SCORES, {}, "column numbers .integers., got dtype <U1"),
        ([0.0, 1, 1, 4], SCORES, {}, "got dtype float64"),
        ([0, 1, 1, 5], SCORES, {}, "column numbers 0 to 4, got 5"),
        ([0, 1, -1, 4], SCORES, {}, "got -1: drop unlabelled rows"),
        (Y, SCORES, {"classes": [0, 1, 4]}, "5 columns but there are 3 classes"),
        (Y, SCORES, {"classes": [0, 1, 1, 3, 4]}, "must not repeat a label"),
        (Y, SCORES, {"classes": [[0], 1, 2, 3, 4]}, "must hold one label each"),
        (Y, np.where(SCORES > 0.4, np.nan, SCORES), {}, "y_score contains NaN"),
        (Y, SCORES[0], {}, r"y_score must have shape \(n, C\), got \(5,\)"),
        (Y, SCORES, {"k": 0}, "k == 0, must be >= 1"),
    ],
)
def test_bad_rankings_raise(y_true, y_score, options, match):
    with pytest.raises(ValueError, match=match):
        top_k_accuracy(y_true, y_score, **options)


def test_k_must_be_an_integer():
    with pytest.raises(TypeError, match="k must be an instance of"):
        top_k_accuracy(Y, SCORES, k=2.0)


# subsets of classes


def test_labels_restrict_the_mean_and_absent_ones_are_ignored():
    assert mean_top_k_recall_score(Y, SCORES, k=3, labels=[1, 3]) == 0.5
    assert mean_top_k_recall_score(Y, SCORES, k=3, labels={0, 4}) == 1.0


def test_recall_of_each_class_with_its_support():
    result = per_class_top_k_recall(Y, SCORES, k=3)
    assert result.labels.tolist() == [0, 1, 4]
    assert result.recall.tolist() == [1.0, 0.5, 1.0]
    assert result.support.tolist() == [1, 2, 1]


def test_selecting_rows_of_tail_classes_equals_selecting_tail_labels():
    rng = np.random.default_rng(2)
    scores, y_true = rng.normal(size=(80, 6)), rng.integers(0, 6, size=80)
    rows = np.isin(y_true, [2, 5])
    assert_allclose(
        mean_top_k_recall_score(y_true, scores, k=2, labels=[2, 5]),
        mean_top_k_recall_score(y_true[rows], scores[rows], k=2),
    )


def test_labels_without_any_row_raise():
    with pytest.raises(ValueError, match="None of the 3 classes of y_true"):
        mean_top_k_recall_score(Y, SCORES, k=2, labels=["0", "1"])


# time to action

STAGES = [[[1, 0]] * 3, [[1, 0], [0, 1], [1, 0]], [[0, 1], [0, 1], [1, 0]]]


def test_time_to_action_is_the_earliest_hit_or_zero():
    # Row 0 is hit at 2 s only, row 1 from 1 s on, row 2 never.
    assert_allclose(time_to_action([0, 1, 1], STAGES, [2.0, 1.0, 0.5], k=1), 1.0)


def test_time_to_action_goes_by_time_not_by_position():
    times = [0.5, 1.0, 2.0]
    assert_allclose(time_to_action([0, 1, 1], iter(STAGES[::-1]), times, k=1), 1.0)


def test_time_to_action_equals_a_naive_loop():
    rng = np.random.default_rng(3)
    times = np.array([2.0, 1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25])
    stages, y_true = rng.normal(size=(8, 30, 9)), rng.integers(0, 9, size=30)
    expected = []
    for row, label in enumerate(y_true):
        known = [
            time
            for time, scores in zip(times, stages[:, row], strict=True)
            if label in np.argsort(-scores, kind="stable")[:3]
        ]
        expected.append(max(known, default=0.0))
    assert_allclose(time_to_action(y_true, stages, times, k=3), np.mean(expected))


@pytest.mark.parametrize(
    ("times", "match"),
    [
        ([1.0], "got 3 stages and times of shape .1,."),
        ([1.0, 0.5, -0.5], "not below 0"),
        ([1.0, 0.5, np.nan], "must be finite"),
    ],
)
def test_bad_anticipation_times_raise(times, match):
    with pytest.raises(ValueError, match=match):
        time_to_action([0, 1, 1], STAGES, times, k=1)


def test_no_stage_raises():
    with pytest.raises(ValueError, match="got 0 stages"):
        time_to_action([0], [], [])


# marginalize

ACTIONS = {0: ("take", "cup"), 1: ("take", "pan"), 2: ("wash", "cup")}


def test_marginal_is_the_sum_over_actions():
    result = marginalize([[0.5, 0.25, 0.25]], [0, 1, 2], ACTIONS)
    assert result.verbs.tolist() == ["take", "wash"]
    assert_allclose(result.verb_proba, [[0.75, 0.25]])
    assert result.nouns.tolist() == ["cup", "pan"]
    assert_allclose(result.noun_proba, [[0.75, 0.25]])


def test_a_verb_without_an_action_has_probability_zero():
    verbs = ["dry", "take", "cut", "wash"]
    result = marginalize([[0.5, 0.25, 0.25]], [0, 1, 2], ACTIONS, verbs=verbs)
    assert result.verbs.tolist() == verbs
    assert_allclose(result.verb_proba, [[0, 0.75, 0, 0.25]])


def test_marginals_of_random_actions_equal_a_naive_loop_and_keep_type_and_axes():
    rng = np.random.default_rng(4)
    verbs, nouns = rng.integers(0, 5, size=40), rng.integers(0, 7, size=40)
    table = {"label": np.arange(40), "verb": verbs, "noun": nouns}
    proba = rng.dirichlet(np.ones(40), size=(3, 6)).astype(np.float32)
    result = marginalize(proba, np.arange(40), table, nouns=np.arange(9))
    expected = np.zeros((3, 6, 9))
    for column, noun in enumerate(nouns):
        expected[..., noun] += proba[..., column]
    assert result.noun_proba.dtype == np.float32
    assert_allclose(result.noun_proba, expected, rtol=1e-5)
    assert_allclose(result.verb_proba.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("proba", "options", "match"),
    [
        ([[0.5, 0.5]], {}, "shape .1, 2. but there are 3 classes"),
        (0.5, {}, "its last axis must hold"),
        ([[-1.0, 2.0, 0.0]], {}, "probabilities, not logits"),
        ([[0.5, 0.5, 0.0]], {"verbs": ["take"]}, "verbs lacks 'wash'"),
        ([[0.5, 0.5, 0.0]], {"nouns": ["cup", "cup"]}, "nouns must not repeat"),
    ],
)
def test_bad_marginals_raise(proba, options, match):
    with pytest.raises(ValueError, match=match):
        marginalize(proba, [0, 1, 2], ACTIONS, **options)


def test_a_class_without_verb_and_noun_raises():
    with pytest.raises(ValueError, match="needs a verb and a noun"):
        marginalize([[0.5, 0.5]], ["take cup", "stir"])


# scorers


class Unlabelled(ClassifierMixin, BaseEstimator):
    """Knows the marker of unlabelled rows; scores a class by its share of labels."""

    def __init__(self, marker=-1):
        self.marker = marker

    def fit(self, X, y):
        self.unlabeled_label_ = self.marker
        labelled = [label for label in y if label != self.marker]
        self.classes_, counts = np.unique(labelled, return_counts=True)
        self.shares_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def blobs(n=90):
    return make_blobs(n, centers=4, cluster_std=4.0, random_state=0)


def test_scorers_equal_the_metrics_on_predictions():
    X, y = blobs()
    model = LogisticRegression().fit(X, y)
    proba = model.predict_proba(X)
    assert top_k_scorer(2)(model, X, y) == top_k_accuracy(y, proba, k=2)
    assert mean_top_k_recall_scorer(2, labels=[0, 3])(
        model, X, y
    ) == mean_top_k_recall_score(y, proba, k=2, labels=[0, 3])


@pytest.mark.parametrize("marker", [-1, ""])
def test_unlabelled_rows_are_left_out(marker):
    named = ["cut", "cut", "wash"] if marker == "" else [0, 0, 1]
    y = np.array([*named, marker, marker], dtype=object)
    model = Unlabelled(marker).fit(np.zeros((5, 1)), y)
    assert top_k_scorer(1)(model, np.zeros((5, 1)), y) == pytest.approx(2 / 3)
    assert mean_top_k_recall_scorer(1)(model, np.zeros((5, 1)), y) == 0.5


def test_the_marker_is_found_through_pipelines_and_searches():
    X, y = np.arange(10.0)[:, None], np.array([0, 0, 0, 0, 0, 0, 1, 1, -1, -1])
    pipeline = make_pipeline(StandardScaler(), Unlabelled())
    cv = KFold(2, shuffle=True, random_state=0)
    search = GridSearchCV(pipeline, {"unlabelled__marker": [-1]}, cv=cv).fit(X, y)
    assert top_k_scorer(1)(search, X, y) == 0.75


class Wrapper(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Asks a classifier that it keeps under one of the names that wrappers use."""

    def __init__(self, estimator, name="estimator_"):
        self.estimator = estimator
        self.name = name

    def fit(self, X, y):
        inner = self.estimator if self.name == "estimator" else clone(self.estimator)
        setattr(self, self.name, inner.fit(X, y))
        self.classes_ = inner.classes_
        return self

    def predict_proba(self, X):
        return getattr(self, self.name).predict_proba(X)


WRAPPERS = {
    "estimator_": Wrapper,
    "estimator": lambda inner: Wrapper(inner, "estimator"),
    "best_estimator_": lambda inner: Wrapper(inner, "best_estimator_"),
    "both": lambda inner: Wrapper(make_pipeline(StandardScaler(), Wrapper(inner))),
    "calibrated": lambda inner: CalibratedClassifierCV(inner, cv=KFold(2)),
    "one calibrated": lambda inner: CalibratedClassifierCV(
        inner, cv=KFold(2), ensemble=False
    ),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_the_marker_is_found_inside_wrappers(wrap):
    X, y = np.arange(10.0)[:, None], np.array([0, 0, 0, 1, -1, 0, 0, 0, 1, -1])
    model = wrap(Unlabelled()).fit(X, y)
    assert top_k_scorer(1)(model, X, y) == 0.75
    assert mean_top_k_recall_scorer(1)(model, X, y) == 0.5


def test_the_marker_is_found_in_a_frozen_classifier():
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 0, 1] * 2)
    frozen = FrozenEstimator(Unlabelled().fit(X, y))
    y[[0, 1, 4]] = -1
    calibrated = CalibratedClassifierCV(frozen, cv=KFold(2), ensemble=True)
    for model in (frozen, calibrated.fit(X, y)):
        assert top_k_scorer(1)(model, X, y) == pytest.approx(3 / 5)


def test_a_wrapper_without_a_marker_inside_has_no_unlabelled_rows():
    X, y = blobs()
    for inner in (LogisticRegression(), Unlabelled(marker=None)):
        model = Wrapper(inner).fit(X, y - 1)
        expected = top_k_accuracy(y, model.predict_proba(X), k=1)
        assert top_k_scorer(1)(model, X, y - 1) == expected


class MarkerOfTheRows(Unlabelled):
    """As "auto" of ours: knows the marker only if it met an unlabelled row."""

    def fit(self, X, y):
        super().fit(X, y)
        self.unlabeled_label_ = -1 if -1 in y else None
        return self


@pytest.mark.filterwarnings("ignore:k=2 with 2 classes")
def test_one_fold_that_knows_the_marker_is_enough():
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 0, 1, 0, 0, 1, -1])
    cv = list(KFold(2).split(X))
    model = CalibratedClassifierCV(MarkerOfTheRows(), cv=cv).fit(X, y)
    found = [c.estimator.unlabeled_label_ for c in model.calibrated_classifiers_]
    assert found == [-1, None] or found == [None, -1]
    # Three columns, two of them classes: the marker's takes no place among the best.
    assert model.predict_proba(X).shape == (8, 3)
    assert top_k_scorer(2)(model, X, y) == 1


@pytest.mark.filterwarnings("ignore:CalibratedClassifierCV takes -1")
def test_a_calibrated_anticipator_is_scored_on_its_labelled_rows():
    kitchen = make_kitchen(n_videos=8, unlabeled_fraction=0.3, random_state=0)
    X, y = kitchen.X_past, np.where(kitchen.y < 0, -1, kitchen.y % 3)
    anticipator = SmoothedAnticipator(max_epochs=2, random_state=0)
    with pytest.warns(UserWarning, match="unlabelled"):
        model = CalibratedClassifierCV(anticipator, cv=KFold(2)).fit(X, y)
    hits = naive_hits(y, model.predict_proba(X)[:, 1:], 1)  # -1 has the first column
    assert model.classes_.tolist() == [-1, 0, 1, 2]
    assert top_k_scorer(1)(model, X, y) == pytest.approx(hits[y >= 0].mean())


def test_a_fold_without_a_labelled_row_scores_nan():
    model = Unlabelled().fit(np.zeros((3, 1)), [0, 1, -1])
    assert np.isnan(top_k_scorer(1)(model, np.zeros((2, 1)), np.array([-1, -1])))
    scorer = mean_top_k_recall_scorer(1, labels=[7])
    assert np.isnan(scorer(model, np.zeros((2, 1)), np.array([0, 1])))


def test_minus_one_is_a_class_for_estimators_without_a_marker():
    X, y = blobs()
    model = LogisticRegression().fit(X, y - 1)
    expected = top_k_accuracy(y, model.predict_proba(X), k=1)
    assert top_k_scorer(1)(model, X, y - 1) == expected


@pytest.mark.parametrize("n_classes", [2, 4])
def test_decision_function_serves_where_there_are_no_probabilities(n_classes):
    X, y = make_blobs(60, centers=n_classes, cluster_std=5.0, random_state=1)
    model = RidgeClassifier().fit(X, y)
    assert top_k_scorer(1)(model, X, y) == pytest.approx(model.score(X, y))


def test_a_regressor_cannot_be_ranked():
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(TypeError, match="neither predict_proba nor decision_function"):
        top_k_scorer(1)(model, [[0.0]], [0])


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scorers_serve_a_multi_metric_search_over_a_long_tail(routing, n_jobs):
    X, y = blobs()
    X, y = np.r_[X, X[:3]], np.r_[y, [10, 11, 12]]  # classes of one row
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    scoring = {"top2": top_k_scorer(2), "mean": mean_top_k_recall_scorer(2)}
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            pipeline,
            {"clf__C": [0.1, 1.0]},
            scoring=scoring,
            refit="mean",
            cv=KFold(3, shuffle=True, random_state=0),
            n_jobs=n_jobs,
        ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_top2"]).all()
    assert 0 < search.best_score_ <= 1


@pytest.mark.parametrize("routing", [False, True])
def test_cross_validate_gives_the_score_of_each_fold_by_hand(routing):
    X, y = blobs()
    cv, model = KFold(3), LogisticRegression()
    with config_context(enable_metadata_routing=routing):
        result = cross_validate(model, X, y, cv=cv, scoring={"top2": top_k_scorer(2)})
    expected = [
        naive_hits(y[test], model.fit(X[train], y[train]).predict_proba(X[test]), 2)
        for train, test in cv.split(X)
    ]
    assert_allclose(result["test_top2"], [hits.mean() for hits in expected])


def test_scorers_pickle_and_say_what_they_are():
    scorer = pickle.loads(pickle.dumps(mean_top_k_recall_scorer(3, labels=[1, 2])))
    assert repr(scorer) == "mean_top_k_recall_scorer(k=3, labels=<2 labels>)"
    assert repr(top_k_scorer()) == "top_k_scorer(k=5)"


@pytest.mark.parametrize("make", [top_k_scorer, mean_top_k_recall_scorer])
def test_a_scorer_checks_k_when_it_is_made(make):
    with pytest.raises(ValueError, match="k == 0"):
        make(0)


def test_sums_over_actions_are_of_probabilities():
    classes = ["cut leek", "cut onion", "wash leek"]
    for wrong in ([[3.0, 1.0, 2.0]], [[0.5, 0.5, 0.0], [0.2, 0.2, 0.2]]):
        with pytest.raises(ValueError, match="must hold probabilities.*softmax"):
            marginalize(wrong, classes)
    rounded = np.array([[[0.5, 0.25, 0.25], [np.nan] * 3]], dtype=np.float16)
    assert_allclose(marginalize(rounded, classes).verb_proba[0, 0], [0.75, 0.25])
    many = np.random.default_rng(0).dirichlet(np.ones(3000), 5).astype(np.float16)
    actions = {k: (k % 2, k) for k in range(3000)}
    assert marginalize(many, range(3000), actions).verb_proba.shape == (5, 2)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("metric", [top_k_accuracy, mean_top_k_recall_score])
def test_a_k_of_all_classes_is_warned_of(metric, k):
    scores = np.eye(3)[[1, 2, 0]]
    with pytest.warns(
        UserWarning, match=f"k={k} with 3 classes: every answer is among"
    ):
        assert metric([0, 1, 2], scores, k=k) == 1.0
    assert metric([0, 1, 2], scores, k=2) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "labels, mark", [(["a", "b", "c"], "?"), ([1, 2, 3], -100), ([1, 2, 3], -1)]
)
def test_marks_of_unlabelled_rows_that_nobody_knows_are_told(labels, mark):
    """An estimator that was fitted on the labelled rows alone has no marker."""
    X = np.arange(12.0)[:, None]
    y = np.array(labels)[np.arange(12) % 3]
    model = SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0).fit(X, y)
    forest = DummyClassifier(strategy="most_frequent").fit(X, y)
    marked = np.array([mark, *y[1:].tolist()])
    stranger = np.array(["z" if mark == "?" else 9, *y[1:].tolist()])
    told = {"match": rf"holds {re.escape(repr(mark))}, which is none of classes"}
    if mark != -1:  # which `score` and scorers leave out
        for fitted in (model, forest):
            for scorer in (top_k_scorer(1), labelled_scorer("accuracy")):
                with pytest.warns(UserWarning, **told):
                    scorer(fitted, X, marked)
        with pytest.warns(UserWarning, **told):
            model.score(X, marked)
        with pytest.warns(UserWarning, match=rf"y_val {told['match']}"):
            model.fit(X, y, X_val=X, y_val=marked)
    proba = model.predict_proba(X)
    with pytest.warns(UserWarning, **told):
        top_k_accuracy(marked, proba, k=1, classes=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a class that training lacked
        top_k_accuracy(stranger, proba, k=1, classes=labels)
        top_k_scorer(1)(forest, X, stranger)
        labelled_scorer("accuracy")(forest, X, stranger)
        model.score(X, stranger)
        model.fit(X, y, X_val=X + 0.5, y_val=stranger)
