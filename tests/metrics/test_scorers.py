"""Scorers that leave unlabelled rows out. Oracle: scikit-learn on rows cut by hand."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context, metrics
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_blobs
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    TunedThresholdClassifierCV,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC

from skanticipate import MLP, RowView, SmoothedAnticipator
from skanticipate.metrics import (
    labelled_scorer,
    mean_top_k_recall_score,
    mean_top_k_recall_scorer,
    top_k_accuracy,
    top_k_scorer,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*are unlabelled and no teacher")

X, Y = make_blobs(90, centers=3, cluster_std=4.0, random_state=0)
HIDDEN = np.arange(90) % 4 == 0
MARKED = np.where(HIDDEN, -1, Y)
WEIGHT = np.random.default_rng(0).uniform(0.2, 2, 90)
MODEL = LogisticRegression().fit(X, Y)
NAMES = np.array(["cut", "peel", "wash"])


def anticipator(**params):
    return SmoothedAnticipator(MLP(8), max_epochs=3, random_state=0, **params)


SCORES = {
    "accuracy": lambda y, m, x: metrics.accuracy_score(y, m.predict(x)),
    "balanced_accuracy": lambda y, m, x: metrics.balanced_accuracy_score(
        y, m.predict(x)
    ),
    "f1_macro": lambda y, m, x: metrics.f1_score(y, m.predict(x), average="macro"),
    "matthews_corrcoef": lambda y, m, x: metrics.matthews_corrcoef(y, m.predict(x)),
    "neg_log_loss": lambda y, m, x: -metrics.log_loss(y, m.predict_proba(x)),
    "roc_auc_ovr": lambda y, m, x: metrics.roc_auc_score(
        y, m.predict_proba(x), multi_class="ovr"
    ),
    "top_k_accuracy": lambda y, m, x: metrics.top_k_accuracy_score(
        y, m.predict_proba(x)
    ),
}


# ------------------------------------------------------------------- which rows count


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("kind", ["anticipator", "logistic"])
def test_score_is_that_of_the_labelled_rows(name, kind):
    model = anticipator().fit(X, MARKED) if kind == "anticipator" else MODEL
    expected = SCORES[name](Y[~HIDDEN], model, X[~HIDDEN])
    assert labelled_scorer(name)(model, X, MARKED) == pytest.approx(expected, rel=1e-12)


def with_missing(value, names=NAMES):
    y = np.array(names[Y], dtype=object)
    y[HIDDEN] = value
    return y


STRINGS = {
    "-1 in an object array": with_missing(-1),
    "-1 in a list": with_missing(-1).tolist(),
    "None": with_missing(None),
    "NaN": with_missing(np.nan),
    "NA": with_missing(pd.NA),
    "nan": np.where(HIDDEN, "nan", NAMES[Y]),
    "the text -1": np.where(HIDDEN, "-1", NAMES[Y]),
    "empty text": np.where(HIDDEN, "", NAMES[Y]),
    "None in a list": with_missing(None).tolist(),
    "pandas objects": pd.Series(with_missing(None), index=np.arange(90) + 7),
    "pandas strings": pd.Series(with_missing(pd.NA), dtype="string"),
    "pandas categories": pd.Series(with_missing(np.nan)).astype("category"),
}
NUMBERS = {
    "integers": MARKED,
    "a list": MARKED.tolist(),
    "objects": MARKED.astype(object),
    "None": np.where(HIDDEN, None, Y),
    "floats with NaN": np.where(HIDDEN, np.nan, Y),
    "nullable integers": pd.Series(np.where(HIDDEN, pd.NA, Y), dtype="Int64"),
    "a column": MARKED[:, None],
}


@pytest.mark.filterwarnings("ignore:A column-vector y")
@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "neg_log_loss"])
@pytest.mark.parametrize(
    ("names", "y"),
    [(NAMES, y) for y in STRINGS.values()]
    + [(np.arange(3), y) for y in NUMBERS.values()],
    ids=[*STRINGS, *NUMBERS],
)
def test_a_missing_label_counts_in_no_container(name, names, y):
    model = LogisticRegression().fit(X, names[Y])
    expected = SCORES[name](names[Y][~HIDDEN], model, X[~HIDDEN])
    assert labelled_scorer(name)(model, X, y) == pytest.approx(expected, rel=1e-12)
    proba = model.predict_proba(X[~HIDDEN])
    expected = top_k_accuracy(names[Y][~HIDDEN], proba, k=2, classes=model.classes_)
    assert top_k_scorer(2)(model, X, y) == expected


@pytest.mark.parametrize("marker", ["unlabelled", -1])
def test_strings_are_scored_on_an_anticipator(marker):
    y = with_missing(marker)
    params = {} if marker == -1 else {"unlabeled_label": marker}
    model = anticipator(**params).fit(X, y)
    expected = np.mean(model.predict(X[~HIDDEN]) == NAMES[Y][~HIDDEN])
    assert labelled_scorer("accuracy")(model, X, y) == pytest.approx(expected)
    assert labelled_scorer(top_k_scorer(1))(model, X, y) == pytest.approx(expected)


def test_minus_one_is_a_class_where_the_estimator_says_so():
    signed = np.where(Y == 0, -1, 1)
    for model in (LogisticRegression(), anticipator()):
        expected = np.mean(model.fit(X, signed).predict(X) == signed)
        assert labelled_scorer("accuracy")(model, X, signed) == expected
    shifted = LogisticRegression().fit(X, Y - 1)
    expected = np.mean(shifted.predict(X) == Y - 1)
    assert labelled_scorer("accuracy")(shifted, X, Y - 1) == expected


def test_a_fold_that_taught_no_marker_is_no_reason_to_count_unlabelled_rows():
    model = anticipator().fit(X, Y)
    assert model.unlabeled_label_ is None
    expected = np.mean(model.predict(X[~HIDDEN]) == Y[~HIDDEN])
    assert labelled_scorer("accuracy")(model, X, MARKED) == expected


def test_a_label_that_is_no_class_is_a_miss():
    y = np.where(HIDDEN, 7, Y)
    assert labelled_scorer("accuracy")(MODEL, X, y) == np.mean(MODEL.predict(X) == y)


def of_other_labels(name):
    """As many classes as the estimator knows, one of them another."""
    labelled_scorer(name)(MODEL, X, np.where(Y == 2, 7, Y))


@pytest.mark.parametrize(
    "name", ["neg_log_loss", "roc_auc_ovr", "top_k_accuracy", "neg_brier_score"]
)
def test_columns_are_not_taken_for_those_of_labels_that_are_no_class(name):
    with pytest.raises(ValueError, match=r"y holds 7, which LogisticRegression does n"):
        of_other_labels(name)
    assert np.isfinite(labelled_scorer(name)(MODEL, X, Y))


def test_all_labels_by_name_score_a_fold_that_lacks_some():
    model = anticipator(classes=[0, 1, 2, 7]).fit(X, MARKED)
    y = np.where(MARKED == 2, 7, MARKED)  # no 2
    log_loss = make_scorer(
        metrics.log_loss, response_method="predict_proba", labels=[0, 1, 2, 7]
    )
    column = np.where(y == 7, 3, y)[~HIDDEN]
    proba = model.predict_proba(X[~HIDDEN])[np.arange(len(column)), column]
    assert_allclose(
        labelled_scorer(log_loss)(model, X, y), -np.log(proba).mean(), rtol=1e-6
    )


def test_a_metric_of_ones_own_is_asked_about_labels_that_are_no_class():
    def surely(y, proba):
        return np.mean(proba.argmax(1) == y)

    scorer = make_scorer(surely, response_method="predict_proba")
    y = np.where(HIDDEN, 7, Y)
    expected = np.mean(MODEL.predict(X) == y)
    assert labelled_scorer(scorer)(MODEL, X, y) == expected


def test_targets_of_an_estimator_without_classes_are_all_scored():
    model = LinearRegression().fit(X, MARKED)
    expected = metrics.r2_score(MARKED, model.predict(X))
    assert labelled_scorer("r2")(model, X, MARKED) == expected


def test_a_fold_without_labelled_rows_scores_nan():
    for scorer in (labelled_scorer("accuracy"), top_k_scorer(1)):
        assert np.isnan(scorer(MODEL, X[:3], np.full(3, -1)))
    fails = labelled_scorer(lambda *_: pytest.fail("asked about no rows"))
    assert np.isnan(fails(MODEL, X[:3], [None, np.nan, ""]))


class OfMine(ClassifierMixin, BaseEstimator):
    """A wrapper that nobody knows, as of another library."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.kind, self.inner = Pipeline, clone(self.estimator).fit(X, y)
        self.classes_ = self.inner.classes_
        return self

    def predict(self, X):
        return self.inner.predict(X)


WRAPPERS = {
    "own": OfMine,
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "search": lambda model: GridSearchCV(model, {"lr": [0.01]}, cv=KFold(2)),
    "frozen": lambda model: FrozenEstimator(model.fit(X, NINES)),
    "frozen pipeline": lambda model: FrozenEstimator(
        make_pipeline(StandardScaler(), model).fit(X, NINES)
    ),
}
NINES = np.where(HIDDEN, 9, Y)  # no class and not -1: only the marker tells


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_the_marker_is_found_inside_wrappers(wrap):
    model = wrap(anticipator(unlabeled_label=9)).fit(X, NINES)
    expected = np.mean(model.predict(X[~HIDDEN]) == Y[~HIDDEN])
    assert labelled_scorer("accuracy")(model, X, NINES) == pytest.approx(expected)


def test_the_marker_is_found_in_a_calibration():
    inner = FrozenEstimator(anticipator(unlabeled_label=9).fit(X, NINES))
    model = CalibratedClassifierCV(inner, cv=KFold(2)).fit(X[~HIDDEN], Y[~HIDDEN])
    expected = np.mean(model.predict(X[~HIDDEN]) == Y[~HIDDEN])
    assert labelled_scorer("accuracy")(model, X, NINES) == pytest.approx(expected)


def test_the_marker_is_found_in_a_tuned_threshold():
    binary = np.where(HIDDEN, 9, Y == 0)
    inner = FrozenEstimator(anticipator(unlabeled_label=9).fit(X, binary))
    model = TunedThresholdClassifierCV(inner, cv="prefit", refit=False)
    model.fit(X[~HIDDEN], binary[~HIDDEN])
    expected = np.mean(model.predict(X[~HIDDEN]) == binary[~HIDDEN])
    assert labelled_scorer("accuracy")(model, X, binary) == pytest.approx(expected)


RE_ENCODING = {
    "bagging": lambda m: BaggingClassifier(m, 2, random_state=0),
    "boosting": lambda m: AdaBoostClassifier(m, n_estimators=2, random_state=0),
    "voting": lambda m: VotingClassifier([("a", m)], voting="soft"),
    "stacking": lambda m: StackingClassifier([("a", m)], cv=KFold(2)),
    "one-vs-rest": OneVsRestClassifier,
}


@pytest.mark.parametrize("wrap", RE_ENCODING.values(), ids=RE_ENCODING)
def test_markers_of_members_that_saw_codes_say_nothing(wrap):
    labels = np.array([2, 4, 6])[Y]
    model = wrap(anticipator().fit(X, Y)).fit(X, labels)
    for member in (getattr(model, "estimator", None), *model.estimators_):
        if member is not None:
            member.unlabeled_label_ = 4
    expected = np.mean(model.predict(X) == labels)
    assert labelled_scorer("accuracy")(model, X, labels) == pytest.approx(expected)


def test_self_training_is_scored_on_its_labelled_rows():
    model = SelfTrainingClassifier(LogisticRegression()).fit(X, MARKED)
    expected = np.mean(model.predict(X[~HIDDEN]) == Y[~HIDDEN])
    assert labelled_scorer("accuracy")(model, X, MARKED) == expected


# ------------------------------------------------------------------------- what scores


def test_any_scorer_and_any_callable_serve():
    rows = X[~HIDDEN], Y[~HIDDEN]
    made = metrics.make_scorer(metrics.fbeta_score, beta=2, average="macro")
    assert labelled_scorer(made)(MODEL, X, MARKED) == made(MODEL, *rows)

    def share_of_zeros(estimator, X, y):
        return np.mean(estimator.predict(X) == 0) + np.mean(y)

    expected = share_of_zeros(MODEL, *rows)
    assert labelled_scorer(share_of_zeros)(MODEL, X, MARKED) == expected
    ranked = mean_top_k_recall_scorer(1, labels=[0, 2])
    assert labelled_scorer(ranked)(MODEL, X, MARKED) == ranked(MODEL, *rows)


def test_decision_functions_serve_where_a_threshold_is_moved():
    binary = np.where(HIDDEN, -1, Y == 0)
    model = LinearSVC().fit(X[~HIDDEN], binary[~HIDDEN])
    decisions = model.decision_function(X[~HIDDEN])
    for name, score in [
        ("roc_auc", metrics.roc_auc_score),
        ("average_precision", metrics.average_precision_score),
    ]:
        expected = score(binary[~HIDDEN], decisions)
        assert labelled_scorer(name)(model, X, binary) == pytest.approx(expected)


def test_the_error_of_the_scorer_comes_through():
    model = LinearSVC().fit(X, Y)
    for scoring in ("neg_log_loss", "roc_auc_ovr"):
        with pytest.raises(AttributeError, match="predict_proba"):
            labelled_scorer(scoring)(model, X, MARKED)
    with pytest.raises(ValueError, match="multi_class must be in"):
        labelled_scorer("roc_auc")(MODEL, X, MARKED)


@pytest.mark.parametrize("scoring", [["accuracy"], ("accuracy",), {"a": "accuracy"}, 3])
def test_several_names_are_refused_with_the_remedy(scoring):
    with pytest.raises(TypeError, match=r"\{name: labelled_scorer\(name\) for name"):
        labelled_scorer(scoring)


def test_none_an_unknown_name_and_a_metric_are_refused():
    with pytest.raises(TypeError, match="got None"):
        labelled_scorer(None)
    with pytest.raises(ValueError, match="acuracy"):
        labelled_scorer("acuracy")
    with pytest.raises(ValueError, match="metric function rather than a scorer"):
        labelled_scorer(metrics.accuracy_score)


def test_clips_of_every_container_are_cut():
    model, table = anticipator(), pd.DataFrame(X, columns=["a", "b"])
    expected = np.mean(model.fit(X, MARKED).predict(X[~HIDDEN]) == Y[~HIDDEN])
    score = labelled_scorer("accuracy")
    assert score(model, X.tolist(), MARKED) == expected
    assert score(model, RowView(X), MARKED) == expected
    table.index += 5
    assert score(anticipator().fit(table, MARKED), table, MARKED) == expected


# --------------------------------------------------------- weights, other metadata


def test_weights_are_cut_with_the_rows():
    expected = metrics.accuracy_score(
        Y[~HIDDEN], MODEL.predict(X[~HIDDEN]), sample_weight=WEIGHT[~HIDDEN]
    )
    score = labelled_scorer("accuracy")
    assert score(MODEL, X, MARKED, sample_weight=WEIGHT) == pytest.approx(expected)
    assert score(MODEL, X, MARKED, sample_weight=None) == np.mean(
        MODEL.predict(X[~HIDDEN]) == Y[~HIDDEN]
    )


class Knowing(ClassifierMixin, BaseEstimator):
    """Has learnt nothing; knows three classes."""

    def __init__(self, shift=0):
        self.shift = shift

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.arange(3)
        return self

    def predict(self, X):
        return (np.asarray(X)[:, 0].astype(int) + self.shift) % 3


def weighted_by_hand(test, weight):
    rows = test[~HIDDEN[test]]
    hits = Knowing().predict(X[rows]) == Y[rows]
    return np.average(hits, weights=weight[rows])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_requested_weights_are_routed_and_cut(n_jobs):
    cv = KFold(3)
    with config_context(enable_metadata_routing=True):
        scorer = labelled_scorer("accuracy").set_score_request(sample_weight=True)
        model = Knowing().set_fit_request(sample_weight=False)
        search = GridSearchCV(
            model, {"shift": [0]}, scoring=scorer, cv=cv, n_jobs=n_jobs
        ).fit(X, MARKED, sample_weight=WEIGHT)
    found = [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)]
    expected = [weighted_by_hand(test, WEIGHT) for _, test in cv.split(X)]
    assert_allclose(found, expected)


def test_requests_of_the_scorer_are_kept_and_stay_its_own():
    with config_context(enable_metadata_routing=True):
        made = metrics.make_scorer(metrics.accuracy_score)
        asks = labelled_scorer(made.set_score_request(sample_weight="w"))
        assert asks.get_metadata_routing().score.requests == {"sample_weight": "w"}
        asks.set_score_request(sample_weight=True)
        assert made.get_metadata_routing().score.requests == {"sample_weight": "w"}
        model = Knowing().set_fit_request(sample_weight=False)
        params = {"sample_weight": WEIGHT}
        cv = KFold(3)
        found = cross_validate(model, X, MARKED, cv=cv, scoring=asks, params=params)
        # a ValueError since 1.9
        with pytest.raises((ValueError, TypeError), match="sample_weight"):
            cross_validate(
                model, X, MARKED, scoring=labelled_scorer("accuracy"), params=params
            )
    expected = [weighted_by_hand(test, WEIGHT) for _, test in cv.split(X)]
    assert_allclose(found["test_score"], expected)


def test_other_metadata_of_rows_are_cut_too():
    def mean_of(estimator, X, y, *, videos=None, factor=1):
        assert len(videos) == len(X) == len(y)
        return factor * np.mean(videos)

    videos = np.arange(90.0)
    expected = 2 * videos[~HIDDEN].mean()
    scorer = labelled_scorer(mean_of)
    assert scorer(MODEL, X, MARKED, videos=videos, factor=2) == expected
    assert scorer(MODEL, X, MARKED, videos=videos.tolist(), factor=2) == expected
    with config_context(enable_metadata_routing=True):
        scorer.set_score_request(videos=True)
        found = cross_validate(
            Knowing(), X, MARKED, cv=KFold(2), scoring=scorer, params={"videos": videos}
        )
    halves = np.split(np.where(HIDDEN, np.nan, videos), 2)
    assert_allclose(found["test_score"], [np.nanmean(half) for half in halves])


@pytest.mark.parametrize("several", [False, True])
def test_weights_of_a_search_without_routing(several):
    scoring = {"score": labelled_scorer("accuracy")}
    search = GridSearchCV(
        Knowing(),
        {"shift": [0]},
        scoring=scoring if several else scoring["score"],
        cv=KFold(3),
        refit=False,
    ).fit(X, MARKED, sample_weight=WEIGHT)
    found = [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)]
    # scikit-learn hands the weights of fit to scorers that take them
    expected = [weighted_by_hand(test, WEIGHT) for _, test in KFold(3).split(X)]
    assert_allclose(found, expected)


@pytest.mark.filterwarnings("ignore:The scoring .* does not support sample_weight")
def test_ranking_scorers_go_through_a_weighted_search():
    scoring = {"top2": top_k_scorer(2), "mean": mean_top_k_recall_scorer(2)}
    search = GridSearchCV(
        LogisticRegression(), {"C": [1.0]}, scoring=scoring, refit="top2"
    ).fit(X, Y, sample_weight=WEIGHT)
    assert 0 < search.best_score_ <= 1


# --------------------------------------------------------- where scikit-learn scores


def test_a_search_ranks_by_the_labelled_rows():
    cv = KFold(3)
    search = GridSearchCV(
        anticipator(),
        {"lr": [1e-3, 0.1]},
        scoring=labelled_scorer("accuracy"),
        cv=cv,
        error_score="raise",
    ).fit(X, MARKED)
    for k, lr in enumerate([1e-3, 0.1]):
        for fold, (train, test) in enumerate(cv.split(X)):
            model = anticipator(lr=lr).fit(X[train], MARKED[train])
            rows = test[~HIDDEN[test]]
            expected = np.mean(model.predict(X[rows]) == Y[rows])
            found = search.cv_results_[f"split{fold}_test_score"][k]
            assert found == pytest.approx(expected)


def test_several_scorers_do_not_share_the_answers_of_other_rows():
    scoring = {
        "all": "accuracy",
        "labelled": labelled_scorer("accuracy"),
        "again": labelled_scorer("balanced_accuracy"),
    }
    found = cross_validate(Knowing(), X, MARKED, cv=KFold(2), scoring=scoring)
    for fold, (_, test) in enumerate(KFold(2).split(X)):
        predicted, rows = Knowing().predict(X[test]), test[~HIDDEN[test]]
        of_rows = Knowing().predict(X[rows])
        assert found["test_all"][fold] == np.mean(predicted == MARKED[test])
        assert found["test_labelled"][fold] == pytest.approx(
            np.mean(of_rows == Y[rows])
        )
        assert found["test_again"][fold] == pytest.approx(
            metrics.balanced_accuracy_score(Y[rows], of_rows)
        )


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_cross_validation_and_curves(n_jobs):
    scorer = labelled_scorer("neg_log_loss")
    y = with_missing(-1)
    scores = cross_val_score(
        anticipator(), X, y, cv=KFold(3), scoring=scorer, n_jobs=n_jobs
    )
    for score, (train, test) in zip(scores, KFold(3).split(X), strict=True):
        model, rows = anticipator().fit(X[train], y[train]), test[~HIDDEN[test]]
        expected = -metrics.log_loss(NAMES[Y[rows]], model.predict_proba(X[rows]))
        assert score == pytest.approx(expected)
    _, _, test_scores = learning_curve(
        anticipator(), X, y, cv=KFold(3), train_sizes=[1.0], scoring=scorer
    )
    assert_allclose(test_scores[0], scores)


def test_permutation_importance_of_the_labelled_rows():
    def by_hand(model, X, y):
        return np.mean(model.predict(X[~HIDDEN]) == y[~HIDDEN])

    found, expected = (
        permutation_importance(MODEL, X, MARKED, scoring=scoring, random_state=0)
        for scoring in (labelled_scorer("accuracy"), by_hand)
    )
    assert_allclose(found.importances, expected.importances)
    assert np.ptp(expected.importances) > 0


@pytest.mark.parametrize("several", [False, True])
def test_epochs_are_scored_on_labelled_rows(several):
    callback = pytest.importorskip("sklearn.callback")
    scoring = {"score": labelled_scorer("accuracy")}
    monitor = callback.ScoringMonitor(scoring=scoring if several else scoring["score"])
    y = with_missing(-1)
    model = anticipator().set_callbacks(monitor).fit(X, y)
    expected = np.mean(model.predict(X[~HIDDEN]) == NAMES[Y][~HIDDEN])
    (log,) = monitor.get_logs(select="all")
    assert log.data[-1]["score"] == pytest.approx(expected)


def test_displays_name_the_score():
    pytest.importorskip("matplotlib")
    from sklearn.model_selection import LearningCurveDisplay

    display = LearningCurveDisplay.from_estimator(
        Knowing(), X, MARKED, cv=3, scoring=labelled_scorer("accuracy")
    )
    assert "accuracy" in display.ax_.get_ylabel()


def test_a_threshold_is_tuned_with_a_labelled_scorer():
    binary = np.where(Y == 0, 1, 0)
    found, expected = (
        TunedThresholdClassifierCV(LogisticRegression(), scoring=scoring, cv=3)
        .fit(X, binary)
        .best_threshold_
        for scoring in (labelled_scorer("f1"), "f1")
    )
    assert found == expected


def test_scorers_pickle_and_say_what_they_are():
    made = metrics.make_scorer(metrics.accuracy_score)
    for scorer, text in [
        (labelled_scorer("accuracy"), "labelled_scorer('accuracy')"),
        (labelled_scorer(made), f"labelled_scorer({made!r})"),
        (labelled_scorer(top_k_scorer(2)), "labelled_scorer(top_k_scorer(k=2))"),
    ]:
        again = pickle.loads(pickle.dumps(scorer))
        assert repr(again) == repr(scorer) == text
        assert again(MODEL, X, MARKED) == scorer(MODEL, X, MARKED)


@pytest.mark.parametrize(
    "metric", [top_k_accuracy, mean_top_k_recall_score], ids=["top-k", "recall"]
)
def test_a_scorer_does_not_take_labels_for_columns(metric):
    X, model = np.eye(3), GaussianNB().fit(np.eye(3), [0, 2, 3])
    blind = make_scorer(metric, response_method="predict_proba", k=1)
    for scorer in (blind, labelled_scorer(blind)):  # 1 would be the column of 2
        with pytest.raises(ValueError, match=r"expected top_k_scorer\(k\) or mean_"):
            scorer(model, X, [0, 2, 1])
    with pytest.raises(ValueError, match=r"expected top_k_scorer\(k\) or mean_"):
        GridSearchCV(model, {}, scoring=blind, cv=2, error_score="raise").fit(
            np.eye(6), [0, 1, 2] * 2
        )
    known = make_scorer(
        metric, response_method="predict_proba", k=1, classes=model.classes_
    )
    assert known(model, X, [0, 2, 1]) == 2 / 3


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(m)])
def test_scores_of_pairs_of_classes_rank_no_classes(wrap):
    """Three classes have three pairs: the shape is right, the columns are not."""
    machine = SVC(decision_function_shape="ovo")
    scorer = top_k_scorer(1)
    with pytest.raises(ValueError, match="set it to 'ovr'"):
        scorer(wrap(machine).fit(X, Y), X, Y)
    machine = wrap(SVC()).fit(X, Y)
    expected = metrics.top_k_accuracy_score(Y, machine.decision_function(X), k=1)
    assert scorer(machine, X, Y) == expected
    two = SVC(decision_function_shape="ovo").fit(X, Y > 0)
    assert scorer(two, X, Y > 0) == two.score(X, Y > 0)
