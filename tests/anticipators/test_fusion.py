"""LateFusion. Oracle: members fitted by hand on X[..., a:b], and numpy averages."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AVTHead,
    DistilledAnticipator,
    FeatureMapNet,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    TeacherEnsemble,
)
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import labelled_scorer, top_k_scorer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*are unlabelled and no teacher"),
    pytest.mark.filterwarnings("ignore:The least populated class in y"),
]

DATA = make_kitchen(12, 10, n_features=10, unlabeled_fraction=0.3, random_state=0)
CLIPS = make_kitchen(12, 10, n_steps=4, n_features=10, random_state=0)
X, F = DATA.X_past, DATA.X_future
Y = np.where(DATA.y < 0, -1, DATA.y % 4)
LABELLED = Y >= 0
RGB, FLOW = (0, 6), (6, None)


def smoothed(network=None, **params):
    return SmoothedAnticipator(
        network or MLP(8), **{"max_epochs": 3, "random_state": 0, **params}
    )


def distilled(**params):
    return DistilledAnticipator(
        MLP(8), **{"max_epochs": 3, "random_state": 1, "feature_weight": 1.0, **params}
    )


def part(a, columns):
    return a[..., slice(*columns)]


def fused(answers, weights=None, combine="proba"):
    if combine == "proba":
        return np.average(answers, axis=0, weights=weights)
    logs = np.average(np.log(answers), axis=0, weights=weights)
    return np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)


# ------------------------------------------------------ the answer


@pytest.mark.parametrize("weights", [None, [2, 1], (0, 0.5)])
@pytest.mark.parametrize("combine", ["proba", "log_proba"])
def test_answer_is_the_mean_of_members_fitted_by_hand(weights, combine):
    members = [smoothed(), distilled()]
    fusion = LateFusion(
        [("rgb", members[0], RGB), ("flow", members[1], FLOW)],
        weights=weights,
        combine=combine,
    ).fit(X, Y, F)
    answers = [
        member.fit(part(X, columns), Y, part(F, columns)).predict_proba(
            part(X, columns)
        )
        for member, columns in zip(members, (RGB, FLOW), strict=True)
    ]
    proba = fusion.predict_proba(X)
    expected = fused(answers, weights, combine)
    if combine == "proba":
        assert_array_equal(proba, expected)
    assert_allclose(proba, expected, rtol=1e-6)
    assert_array_equal(fusion.predict_log_proba(X), np.log(proba))
    assert_array_equal(fusion.predict(X), np.arange(4)[proba.argmax(axis=1)])
    hits = fusion.predict(X)[LABELLED] == Y[LABELLED]
    assert fusion.score(X, Y) == pytest.approx(hits.mean())
    weight = np.linspace(1, 2, len(Y))
    assert fusion.score(X, Y, weight) == pytest.approx(
        np.average(hits, weights=weight[LABELLED])
    )
    assert fusion.classes_.tolist() == [0, 1, 2, 3]
    assert (fusion.unlabeled_label_, fusion.feature_dim_) == (-1, 10)


@pytest.mark.parametrize(
    ("X", "network"),
    [
        (CLIPS.X_past, LSTM(8)),
        (CLIPS.X_past[:, :, None, None], FeatureMapNet(8)),
    ],
    ids=["sequences", "maps"],
)
def test_clips_of_more_axes(X, network):
    member, y = smoothed(network), CLIPS.y % 4
    fusion = LateFusion([("rgb", member, RGB), ("flow", member, FLOW)]).fit(X, y)
    answers = [member.fit(part(X, c), y).predict_proba(part(X, c)) for c in (RGB, FLOW)]
    assert_array_equal(fusion.predict_proba(X), np.average(answers, axis=0))
    assert not hasattr(fusion, "n_features_in_")


def test_an_unlabelled_row_is_no_class_and_no_reason_to_predict_one():
    # the vote over slices that this replaces predicted nothing but -1
    y = np.where(np.arange(len(Y)) % 3 > 0, -1, CLIPS.y % 4)
    member = smoothed(LSTM(8), max_epochs=30, lr=0.02)
    fusion = LateFusion([("rgb", member, RGB), ("flow", member, FLOW)])
    found = fusion.fit(CLIPS.X_past, y).predict(CLIPS.X_past)
    assert set(found) <= {0, 1, 2, 3}
    assert len(set(found)) > 1


def test_string_labels_with_a_marker_among_them():
    names = np.array(["cut", "peel", "pour", "wash"])
    y = names[Y].astype(object)
    y[~LABELLED] = -1
    fusion = LateFusion([("a", smoothed(), RGB), ("b", LogisticRegression(), FLOW)])
    of_numbers = clone(fusion).fit(X, Y).predict_proba(X)
    for labels in (y, y.tolist(), pd.Series(y)):
        fusion.fit(X, labels)
        assert fusion.classes_.tolist() == names.tolist()
        assert_array_equal(fusion.predict_proba(X), of_numbers)
        assert_array_equal(fusion.predict(X), names[of_numbers.argmax(axis=1)])
        assert fusion.score(X, labels) == pytest.approx(
            np.mean(of_numbers.argmax(axis=1)[LABELLED] == Y[LABELLED])
        )


def test_weights_may_be_chosen_after_fit():
    fusion = LateFusion([("a", smoothed(), RGB), ("b", smoothed(), FLOW)]).fit(X, Y)
    alone = fusion.estimators_[1].predict_proba(X[:, 6:])
    assert_array_equal(fusion.set_params(weights=[0, 1]).predict_proba(X), alone)


# ------------------------------------------------------ what members are shown

SHOWN = {}


class Spy(ClassifierMixin, BaseEstimator):
    """A classifier of somebody else that writes down what it was fitted on."""

    def __init__(self, key="spy"):
        self.key = key

    def fit(self, X, y, sample_weight=None, groups=None, X_val=None, y_val=None):
        SHOWN[self.key] = {
            "X": X,
            "y": y,
            "sample_weight": sample_weight,
            "groups": groups,
            "X_val": X_val,
        }
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Listener(SmoothedAnticipator):
    """An anticipator that writes down what it was fitted on."""

    def fit(
        self,
        X_past,
        y,
        X_future_unlabeled=None,
        *,
        past_actions=None,
        y_past=None,
        teacher_proba=None,
        groups=None,
        sample_weight=None,
        X_val=None,
        y_val=None,
    ):
        SHOWN["listener"] = {
            "X": X_past,
            "y": y,
            "X_future_unlabeled": X_future_unlabeled,
            "past_actions": past_actions,
            "y_past": y_past,
            "teacher_proba": teacher_proba,
            "groups": groups,
            "sample_weight": sample_weight,
            "X_val": X_val,
            "y_val": y_val,
        }
        return super().fit(X_past, y)


SIGNALS = {
    "past_actions": DATA.past_actions,
    "y_past": DATA.y_past,
    "teacher_proba": np.full((len(Y), 4), 0.25),
    "groups": DATA.groups,
    "sample_weight": np.linspace(1, 2, len(Y)),
}


def test_every_signal_reaches_the_anticipators():
    fusion = LateFusion([("a", Listener(max_epochs=1), (2, 5))])
    fusion.fit(X, Y, F, **SIGNALS, X_val=X[:9] + 1, y_val=Y[:9])
    shown = SHOWN["listener"]
    assert_array_equal(shown["X"], X[:, 2:5])
    assert_array_equal(shown["y"], Y)
    assert_array_equal(shown["X_future_unlabeled"], F[:, 2:5])
    assert_array_equal(shown["X_val"], X[:9, 2:5] + 1)
    assert_array_equal(shown["y_val"], Y[:9])
    for name, signal in SIGNALS.items():
        assert_array_equal(shown[name], signal)


@pytest.mark.parametrize("routing", [False, True])
def test_signals_and_scaled_clips_reach_the_end_of_a_pipeline(routing):
    pipe = make_pipeline(StandardScaler(), make_pipeline(Listener(max_epochs=1)))
    with config_context(enable_metadata_routing=routing):
        LateFusion([("a", pipe, (2, 5))]).fit(
            X, Y, F, **SIGNALS, X_val=X[:9] + 1, y_val=Y[:9]
        )
    shown, past = SHOWN["listener"], X[:, 2:5]
    mean, scale = past.mean(axis=0), past.std(axis=0)
    assert_allclose(shown["X"], (past - mean) / scale)
    assert_allclose(shown["X_val"], (X[:9, 2:5] + 1 - mean) / scale)
    assert_allclose(shown["X_future_unlabeled"], (F[:, 2:5] - mean) / scale)
    for name, signal in SIGNALS.items():
        assert_array_equal(shown[name], signal)


def test_a_pipeline_answers_as_one_fitted_by_hand():
    pipe = Pipeline([("scale", StandardScaler()), ("end", distilled())])
    fusion = LateFusion([("a", pipe, RGB), ("b", smoothed(), FLOW)])
    fusion.fit(X, Y, F, groups=DATA.groups)
    with config_context(enable_metadata_routing=True):
        pipe = clone(pipe).set_params(transform_input=["X_future_unlabeled"])
        pipe.fit(X[:, :6], Y, X_future_unlabeled=F[:, :6], groups=DATA.groups)
    found = fusion.named_estimators_.a.predict_proba(X[:, :6])
    assert_array_equal(found, pipe.predict_proba(X[:, :6]))


def test_steps_that_ask_for_weights_are_passed_them():
    weight = SIGNALS["sample_weight"]
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        fusion = LateFusion([("a", make_pipeline(scaler, smoothed()), RGB)])
        fusion.fit(X, Y, sample_weight=weight)
    expected = np.average(X[:, :6], axis=0, weights=weight)
    assert_allclose(fusion.estimators_[0][0].mean_, expected)
    fusion = LateFusion([("a", make_pipeline(StandardScaler(), smoothed()), RGB)])
    fusion.fit(X, Y, sample_weight=weight)
    assert_allclose(fusion.estimators_[0][0].mean_, X[:, :6].mean(axis=0))


@pytest.mark.parametrize("memory", [False, True])
def test_other_classifiers_are_fitted_on_the_labelled_rows(memory, tmp_path):
    pipe = make_pipeline(
        StandardScaler(), Spy("piped"), memory=str(tmp_path) if memory else None
    )
    fusion = LateFusion(
        [("a", smoothed(), RGB), ("b", Spy(), FLOW), ("c", pipe, (2, 5))]
    ).fit(X, Y, F, **SIGNALS, X_val=X[:9] + 1, y_val=Y[:9])
    seen = LABELLED[:9]  # validation rows without a label are no use to them either
    for key, expected in [("spy", X[LABELLED, 6:]), ("piped", X[LABELLED, 2:5])]:
        shown = SHOWN[key]
        if key == "piped":
            mean, scale = expected.mean(axis=0), expected.std(axis=0)
            assert_allclose(shown["X"], (expected - mean) / scale)
            assert_allclose(shown["X_val"], (X[:9][seen, 2:5] + 1 - mean) / scale)
        else:
            assert_array_equal(shown["X"], expected)
            assert_array_equal(shown["X_val"], X[:9][seen, 6:] + 1)
        assert_array_equal(shown["y"], Y[LABELLED])
        for name in ("sample_weight", "groups"):
            assert_array_equal(shown[name], SIGNALS[name][LABELLED])
    assert fusion.predict_proba(X).shape == (len(X), 4)


def test_classifiers_of_scikit_learn_answer_as_those_fitted_by_hand():
    members = [
        LogisticRegression(),
        make_pipeline(StandardScaler(), SelectKBest(k=3), GaussianNB()),
        CalibratedClassifierCV(RidgeClassifier(), cv=2),
    ]
    weight = SIGNALS["sample_weight"]
    fusion = LateFusion([(f"m{k}", m, RGB) for k, m in enumerate(members)])
    fusion.fit(X, Y, sample_weight=weight)
    x, w = X[LABELLED, :6], weight[LABELLED]
    members[0].fit(x, Y[LABELLED], sample_weight=w)
    members[1].fit(x, Y[LABELLED], gaussiannb__sample_weight=w)
    members[2].fit(x, Y[LABELLED], sample_weight=w)
    answers = [member.predict_proba(X[:, :6]) for member in members]
    assert_array_equal(fusion.predict_proba(X), np.average(answers, axis=0))
    assert fusion.unlabeled_label_ == -1


def test_signed_labels_are_two_classes_for_all_members():
    signed = np.where(Y == 0, -1, 1)
    fusion = LateFusion([("a", LogisticRegression(), RGB), ("b", smoothed(), FLOW)])
    assert fusion.fit(X, signed).classes_.tolist() == [-1, 1]
    alone = LateFusion([("a", LogisticRegression(), RGB)]).fit(X, signed)
    assert alone.score(X, signed) == np.mean(alone.predict(X) == signed)


def test_the_marker_of_an_anticipator_holds_for_all_members():
    y = np.where(LABELLED, Y, 9)
    fusion = LateFusion(
        [("a", Spy(), FLOW), ("b", smoothed(unlabeled_label=9), RGB)]
    ).fit(X, y)
    assert fusion.unlabeled_label_ == 9
    assert_array_equal(SHOWN["spy"]["y"], Y[LABELLED])
    expected = np.mean(fusion.predict(X[LABELLED]) == Y[LABELLED])
    for score in (fusion.score, lambda *a: labelled_scorer("accuracy")(fusion, *a)):
        assert score(X, y) == pytest.approx(expected)
    assert top_k_scorer(1)(fusion, X, y) == pytest.approx(expected)


def test_a_class_without_a_labelled_row_has_nothing_from_those_who_never_saw_it():
    member = smoothed(classes=[0, 1, 2, 3, 7])
    fusion = LateFusion([("a", member, RGB), ("b", LogisticRegression(), FLOW)])
    proba = fusion.fit(X, Y).predict_proba(X)
    logistic = LogisticRegression().fit(X[LABELLED, 6:], Y[LABELLED])
    answers = [
        member.fit(X[:, :6], Y).predict_proba(X[:, :6]),
        np.c_[logistic.predict_proba(X[:, 6:]), np.zeros(len(X))],
    ]
    assert_array_equal(proba, np.average(answers, axis=0))


# ------------------------------------------------------ other forms of X


def test_tables_memory_maps_and_views(tmp_path):
    fusion = LateFusion([("a", smoothed(), RGB), ("b", distilled(), FLOW)])
    expected = fusion.fit(X, Y, F).predict_proba(X)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "f.npy", F)
    mapped, futures = (
        np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "f.npy")
    )
    backwards = np.arange(len(X))[::-1]
    for past, future in [
        (mapped, futures),
        (RowView(mapped), RowView(F)),
        (RowView(X[::-1], backwards), F),
        (X.tolist(), F.tolist()),
        (pd.DataFrame(X), pd.DataFrame(F)),
    ]:
        assert_array_equal(fusion.fit(past, Y, future).predict_proba(past), expected)
    LateFusion([("a", Listener(max_epochs=1), RGB)]).fit(mapped, Y, RowView(futures))
    for name in ("X", "X_future_unlabeled"):
        assert isinstance(SHOWN["listener"][name], RowView)
        assert isinstance(SHOWN["listener"][name].base, np.memmap)


def test_columns_of_tables_are_checked_by_name():
    table = pd.DataFrame(X, columns=[f"c{k}" for k in range(10)])
    fusion = LateFusion([("a", smoothed(), RGB), ("b", distilled(), FLOW)])
    fusion.fit(table, Y, table)
    assert fusion.n_features_in_ == 10
    assert list(fusion.feature_names_in_) == list(table)
    other = table[table.columns[::-1]]
    for call in (
        lambda: fusion.predict(other),
        lambda: fusion.fit(table, Y, other),
        lambda: fusion.fit(table, Y, X_val=other, y_val=Y),
    ):
        with pytest.raises(ValueError, match="feature names should match"):
            call()


def test_a_modality_may_be_missing_from_a_clip():
    clips, y = CLIPS.X_past.copy(), CLIPS.y % 4
    clips[::2, 0, :6] = np.nan  # padding for the one, features for the other
    futures = CLIPS.X_past.copy()
    futures[::3, :, 6:] = np.nan
    members = [smoothed(LSTM(8)), DistilledAnticipator(LSTM(8), max_epochs=2)]
    members[1].set_params(random_state=0, unlabeled_label=None)
    fusion = LateFusion([("rgb", members[0], RGB), ("flow", members[1], FLOW)])
    fusion.fit(clips, y, futures)
    answers = [
        member.fit(part(clips, c), y, part(futures, c)).predict_proba(part(clips, c))
        for member, c in zip(members, (RGB, FLOW), strict=True)
    ]
    assert_array_equal(fusion.predict_proba(clips), np.average(answers, axis=0))


# ------------------------------------------------------ among other tools


@pytest.mark.parametrize("routing", [False, True])
def test_a_search_with_futures(routing):
    fusion = LateFusion([("rgb", distilled(), RGB), ("flow", smoothed(), FLOW)])
    cv = SemiSupervisedSplit(2)
    grid = {
        "rgb__network__hidden_size": [4],
        "flow": [smoothed(), smoothed(lr=0.1)],
        "weights": [None, [1, 2]],
    }
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(fusion, grid, cv=cv, error_score="raise")
        search.fit(X, Y, X_future_unlabeled=F)
    train, test = next(cv.split(X, Y))
    for k, params in enumerate(search.cv_results_["params"]):
        by_hand = clone(fusion).set_params(**params)
        by_hand.fit(X[train], Y[train], F[train])
        expected = by_hand.score(X[test], Y[test])
        assert search.cv_results_["split0_test_score"][k] == expected
    assert search.best_estimator_.estimators_[0].teacher_ is not None


@pytest.mark.parametrize("routing", [False, True])
def test_a_fusion_at_the_end_of_a_pipeline(routing):
    member = distilled()
    pipe = Pipeline(
        [("scale", StandardScaler()), ("end", LateFusion([("a", member, RGB)]))]
    )
    scaled = StandardScaler().fit_transform(X)
    with config_context(enable_metadata_routing=routing):
        if routing:
            pipe.set_params(transform_input=["X_future_unlabeled"])
            pipe.fit(X, Y, X_future_unlabeled=F)
            futures = StandardScaler().fit(X).transform(F)
        else:
            pipe.fit(X, Y, end__X_future_unlabeled=F)
            futures = F
    expected = member.fit(scaled[:, :6], Y, futures[:, :6])
    assert_array_equal(pipe.predict_proba(X), expected.predict_proba(scaled[:, :6]))


def test_routing_knows_the_signals_and_not_the_clips():
    with config_context(enable_metadata_routing=True):
        found, expected = (
            estimator.get_metadata_routing().fit.requests
            for estimator in (LateFusion([("a", smoothed(), RGB)]), smoothed())
        )
    assert found == expected


def test_processes_and_groups():
    fusion = LateFusion([("rgb", smoothed(), RGB), ("b", LogisticRegression(), FLOW)])
    one, two = (
        cross_val_score(
            fusion,
            X,
            Y,
            groups=DATA.groups,
            cv=GroupKFold(3),
            scoring=labelled_scorer("accuracy"),
            n_jobs=n_jobs,
            error_score="raise",
        )
        for n_jobs in (1, 2)
    )
    assert_array_equal(one, two)


def test_a_fusion_inside_a_fusion():
    inner = LateFusion([("a", smoothed(), (0, 2)), ("b", distilled(), (2, None))])
    fusion = LateFusion([("in", inner, RGB), ("c", LogisticRegression(), FLOW)])
    fusion.set_params(in__a__lr=0.1, in__b__network__hidden_size=4).fit(X, Y, F)
    assert fusion.estimators_[0].estimators_[0].lr == 0.1
    by_hand = clone(inner).set_params(a__lr=0.1, b__network__hidden_size=4)
    by_hand.fit(X[:, :6], Y, F[:, :6])
    logistic = LogisticRegression().fit(X[LABELLED, 6:], Y[LABELLED])
    answers = [by_hand.predict_proba(X[:, :6]), logistic.predict_proba(X[:, 6:])]
    assert_array_equal(fusion.predict_proba(X), np.average(answers, axis=0))


def test_a_fusion_teaches():
    member = RecognitionTeacher(MLP(8), max_epochs=3)
    teacher = LateFusion([("rgb", member, RGB), ("flow", member, FLOW)])
    student = distilled(teacher=teacher, feature_weight=0.0, teacher_weight=1.0)
    student.fit(X, Y, F)
    assert isinstance(student.teacher_, LateFusion)
    seeds = [m.random_state for m in student.teacher_.estimators_]
    assert None not in seeds
    again = clone(student).fit(X, Y, F)
    assert_array_equal(student.predict_proba(X), again.predict_proba(X))
    by_hand = clone(student.teacher_).fit(F[LABELLED], Y[LABELLED])
    assert_array_equal(student.teacher_.predict_proba(F), by_hand.predict_proba(F))


def test_fitted_members_are_used_as_they_are():
    rgb = smoothed().fit(X[:, :6], Y)
    before = rgb.predict_proba(X[:, :6])
    fusion = LateFusion(
        [("rgb", FrozenEstimator(rgb), RGB), ("flow", smoothed(), FLOW)]
    ).fit(X[:40], Y[:40])
    assert fusion.estimators_[0].estimator is rgb
    flow = smoothed().fit(X[:40, 6:], Y[:40]).predict_proba(X[:, 6:])
    assert_array_equal(fusion.predict_proba(X), np.average([before, flow], axis=0))


def test_the_marker_of_fitted_members_holds():
    y = np.where(LABELLED, Y, 9)
    members = [smoothed(unlabeled_label=9).fit(part(X, c), y) for c in (RGB, FLOW)]
    pipe = make_pipeline(StandardScaler(with_std=False, with_mean=False), members[1])
    fusion = LateFusion(
        [
            ("a", FrozenEstimator(members[0]), RGB),
            ("b", FrozenEstimator(pipe.fit(X[:, 6:], y)), FLOW),
        ]
    ).fit(X, y)
    answers = [
        m.predict_proba(part(X, c)) for m, c in zip(members, (RGB, FLOW), strict=True)
    ]
    assert_array_equal(fusion.predict_proba(X), np.average(answers, axis=0))
    hits = fusion.predict(X[LABELLED]) == Y[LABELLED]
    assert fusion.score(X, y) == pytest.approx(hits.mean())


def test_stages_are_fused_where_all_have_them():
    X, y = CLIPS.X_past, CLIPS.y % 4
    network = RULSTM(8, anticipation_steps=3, time_step=0.5)
    pipe = make_pipeline(PerFrame(StandardScaler()), smoothed(network))
    fusion = LateFusion(
        [("a", smoothed(network), RGB), ("b", pipe, FLOW)], weights=[1, 3]
    )
    staged = list(fusion.fit(X, y).staged_predict_proba(X))
    first = smoothed(network).fit(X[..., :6], y)
    assert_array_equal(fusion.anticipation_times_, first.anticipation_times_)
    scaled = PerFrame(StandardScaler()).fit_transform(X[..., 6:])
    second = smoothed(network).fit(scaled, y)
    assert len(staged) == 3
    for found, *answers in zip(
        staged,
        first.staged_predict_proba(X[..., :6]),
        second.staged_predict_proba(scaled),
        strict=True,
    ):
        assert_array_equal(found, np.average(answers, axis=0, weights=[1, 3]))
    fusion.set_params(b=smoothed(LSTM(8))).fit(X, y)
    with pytest.raises(ValueError, match="no stages at the same times"):
        fusion.staged_predict_proba(X)
    assert not hasattr(fusion, "anticipation_times_")
    assert not hasattr(fusion, "feature_map")


def test_a_fusion_is_drawn_over_time():
    pytest.importorskip("matplotlib")
    X, y = CLIPS.X_past, CLIPS.y % 4
    member = smoothed(RULSTM(8, anticipation_steps=3, time_step=0.5))
    fusion = LateFusion([("a", member, RGB), ("b", member, FLOW)]).fit(X, y)
    display = skanticipate.plotting.AnticipationCurveDisplay.from_estimator(
        fusion, X, y, k=1
    )
    assert display.ax_ is not None


# ------------------------------------------------------ parameters and files


def test_parameters_are_nested_by_name():
    fusion = LateFusion([("rgb", smoothed(), RGB), ("flow", smoothed(), FLOW)])
    fusion.set_params(rgb__network__hidden_size=16, rgb__lr=0.5)
    assert fusion.estimators[0][1].network.hidden_size == 16
    assert fusion.get_params()["rgb__lr"] == 0.5
    assert fusion.get_params()["flow__lr"] == 2e-3
    assert set(fusion.get_params(deep=False)) == {"estimators", "weights", "combine"}
    other = LogisticRegression()
    fusion.set_params(flow=other, flow__C=3)
    assert fusion.estimators[1] == ("flow", other, FLOW)
    assert other.C == 3
    fusion.set_params(estimators=[("rgb", smoothed(), FLOW)], rgb__lr=0.25)
    assert fusion.estimators[0][1].lr == 0.25
    copy = clone(fusion)
    assert copy.estimators[0][1] is not fusion.estimators[0][1]
    assert copy.get_params()["rgb__lr"] == 0.25
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        fusion.set_params(depth__lr=0.1)


def test_members_given_are_not_fitted():
    member = smoothed()
    fusion = LateFusion([("a", member, RGB), ("b", member, FLOW)]).fit(X, Y)
    assert not hasattr(member, "classes_")
    assert list(fusion.named_estimators_) == ["a", "b"]
    assert fusion.named_estimators_.b is fusion.estimators_[1]


def test_save_and_load(tmp_path):
    pipe = make_pipeline(StandardScaler(), smoothed())
    fusion = LateFusion(
        [("a", smoothed(), RGB), ("b", pipe, FLOW), ("c", BernoulliNB(), (0, 3))],
        weights=np.array([1, 2, 3]),
        combine="log_proba",
    ).fit(X, Y)
    path = tmp_path / "fusion.safetensors"
    fusion.save(path)
    with pytest.raises(ValueError, match="BernoulliNB, which is not part of"):
        skanticipate.load(path)
    again = skanticipate.load(path, trusted=[BernoulliNB])
    pickled = pickle.loads(pickle.dumps(fusion))
    for other in (again, pickled):
        assert_array_equal(other.predict_proba(X), fusion.predict_proba(X))
        assert other.named_estimators_.c is other.estimators_[2]
        assert_array_equal(
            clone(other).fit(X, Y).predict_proba(X), fusion.predict_proba(X)
        )


# ------------------------------------------------------ bad input


@pytest.mark.filterwarnings("ignore:y holds -1, which here is a class")
@pytest.mark.parametrize(
    ("other", "of_members"),
    [
        (smoothed(classes=range(6)), "'a' has 4 .* and 'b' has 6"),
        (smoothed(unlabeled_label=None), "'a' has 4 .* and 'b' has 5"),
        (smoothed(unlabeled_label=3), "'a' has 4 .* and 'b' has 4"),
    ],
    ids=["classes", "no marker", "marker"],
)
def test_members_that_disagree_about_classes_are_refused(other, of_members):
    for wrap in (lambda m: m, lambda m: make_pipeline(StandardScaler(), m)):
        fusion = LateFusion([("a", smoothed(), RGB), ("b", wrap(other), FLOW)])
        with pytest.raises(ValueError, match=f"must agree about classes.*{of_members}"):
            fusion.fit(X, Y)
    inner = LateFusion([("x", other, RGB)])
    with pytest.raises(ValueError, match="must agree about classes"):
        LateFusion([("a", smoothed(), RGB), ("b", inner, (0, None))]).fit(X, Y)


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2, 3, 5]])
def test_a_fitted_member_that_knows_other_classes_is_refused(labels):
    y = np.array(labels)[np.arange(len(X)) % len(labels)]
    frozen = FrozenEstimator(smoothed().fit(X[:, :6], y))
    with pytest.raises(ValueError, match="must agree about classes, but this one"):
        LateFusion([("a", frozen, RGB), ("b", smoothed(), FLOW)]).fit(X, Y)


BAD = {
    "none": ([], "at least one member"),
    "pairs": ([("a", smoothed())], r"\(name, estimator, \(start, stop\)\)"),
    "number": ([(1, smoothed(), RGB)], r"\(name, estimator, \(start, stop\)\)"),
    "twice": ([("a", smoothed(), RGB)] * 2, "not unique"),
    "dunder": ([("a__b", smoothed(), RGB)], "must not contain __"),
    "parameter": ([("weights", smoothed(), RGB)], "conflict with constructor"),
    "slice": ([("a", smoothed(), slice(0, 6))], r"'a'.*\(start, stop\), got slice"),
    "number of columns": ([("a", smoothed(), 3)], r"'a'.*\(start, stop\), got 3"),
    "three": ([("a", smoothed(), (0, 6, 2))], r"'a'.*\(start, stop\)"),
    "negative": ([("a", smoothed(), (-6, None))], "'a'.*'start' parameter"),
    "text": ([("a", smoothed(), "ab")], "'a'.*'start' parameter"),
    "beyond": ([("a", smoothed(), (0, 11))], "Member 'a': .*within the 10 channels"),
    "empty": ([("a", smoothed(), (4, 4))], "Member 'a': .*start before stop"),
}


@pytest.mark.parametrize(("estimators", "message"), BAD.values(), ids=BAD)
def test_members_are_checked(estimators, message):
    fusion = LateFusion(estimators)
    with pytest.raises(ValueError, match=message):
        fusion.fit(X, Y)
    assert set(vars(fusion)) == {"estimators", "weights", "combine"}


@pytest.mark.parametrize("estimator", [SmoothedAnticipator, RidgeClassifier(), "drop"])
def test_a_member_must_be_a_classifier_with_probabilities(estimator):
    with pytest.raises(TypeError, match="Member 'a' must be a classifier with predict"):
        LateFusion([("a", estimator, RGB)]).fit(X, Y)


@pytest.mark.parametrize(
    "weights", [[1], [1, 2, 3], [1, -1], [0, 0], [1, np.nan], [[1, 2]], ["a", "b"]]
)
def test_weights_are_checked(weights):
    fusion = LateFusion(
        [("a", smoothed(), RGB), ("b", smoothed(), FLOW)], weights=weights
    )
    with pytest.raises(ValueError, match="weights|could not convert"):
        fusion.fit(X, Y)


def test_a_search_may_not_keep_signals_from_its_anticipator():
    member = GridSearchCV(distilled(), {"lr": [0.01]}, cv=2)
    fusion = LateFusion([("rgb", member, RGB)])
    with pytest.raises(ValueError, match=r"unlabelled rows, X_future.*rgb__lr"):
        fusion.fit(X, Y, F)
    with pytest.raises(ValueError, match="keep from its anticipator: groups"):
        fusion.fit(X[LABELLED], Y[LABELLED], groups=DATA.groups[LABELLED])
    fusion.set_params(rgb=GridSearchCV(smoothed(), {"lr": [0.01]}, cv=2))
    fusion.fit(X[LABELLED], Y[LABELLED])
    expected = smoothed(lr=0.01).fit(X[LABELLED, :6], Y[LABELLED])
    assert_array_equal(fusion.predict_proba(X), expected.predict_proba(X[:, :6]))


def test_a_pipeline_that_resamples_is_refused():
    class Sampler(StandardScaler):
        def fit_resample(self, X, y):
            return X[::-1], y[::-1]

    fusion = LateFusion([("a", make_pipeline(Sampler(), smoothed()), RGB)])
    with pytest.raises(TypeError, match="resamples the rows"):
        fusion.fit(X, Y)


def test_errors_of_members_name_them_and_leave_nothing_half_done():
    fusion = LateFusion([("a", smoothed(), RGB), ("b", smoothed(), FLOW)]).fit(X, Y)
    before = dict(vars(fusion))
    expected = fusion.predict_proba(X)
    fusion.set_params(b__lr=1e300)
    with pytest.raises(ValueError, match="Usual causes") as caught:
        fusion.fit(X, Y)
    assert caught.value.__notes__ == ["This is member 'b' of a LateFusion."]
    assert set(vars(fusion)) == set(before)
    assert_array_equal(fusion.predict_proba(X), expected)


@pytest.mark.parametrize("name", ["X_future_unlabeled", "X_val"])
def test_other_clips_have_the_channels_of_the_past(name):
    y_val = {"y_val": CLIPS.y % 4} if name == "X_val" else {}
    fusion = LateFusion([("a", smoothed(LSTM(4)), RGB)])
    with pytest.raises(ValueError, match=f"{name} has 9 channels.*X_past had 10"):
        fusion.fit(CLIPS.X_past, CLIPS.y % 4, **{name: CLIPS.X_past[..., :9]}, **y_val)


def test_lengths_and_other_clips_are_checked():
    fusion = LateFusion([("a", LogisticRegression(), RGB)])
    for name in ("X_future_unlabeled", *SIGNALS):
        with pytest.raises(ValueError, match=f"{name} has 5 rows"):
            fusion.fit(X, Y, **{name: (F if name[0] == "X" else SIGNALS[name])[:5]})
    with pytest.raises(ValueError, match="no labelled rows"):
        fusion.fit(X, np.full(len(X), -1))
    with pytest.raises(ValueError, match="nothing to score"):
        fusion.fit(X, Y).score(X[:3], [-1, -1, -1])
    sequences = LateFusion([("a", smoothed(LSTM(4)), RGB)]).fit(CLIPS.X_past, CLIPS.y)
    with pytest.raises(ValueError, match="X has 9 channels"):
        sequences.predict(CLIPS.X_past[..., :9])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: GridSearchCV(model, {"lr": [0.1]}, cv=2),
        lambda model: make_pipeline(
            StandardScaler(), GridSearchCV(model, {"lr": [0.1]}, cv=2)
        ),
        lambda model: VotingClassifier([("d", model)], voting="soft"),
        lambda model: TeacherEnsemble([model]),
    ],
    ids=["search", "search in a pipeline", "voting", "ensemble"],
)
def test_a_member_that_would_hide_what_its_anticipator_reads_is_refused(wrap):
    member = wrap(DistilledAnticipator(MLP(4), max_epochs=1))
    with pytest.raises(ValueError, match="would keep from its anticipator"):
        LateFusion([("a", member, RGB)]).fit(X, Y, F)


def test_steps_that_learn_from_labels_are_not_shown_the_marker():
    select = SelectKBest(k=3)
    fusion = LateFusion([("a", make_pipeline(select, smoothed()), RGB)])
    with pytest.raises((TypeError, ValueError)) as caught:
        fusion.fit(X, Y)
    assert "fitted without labels" in caught.value.__notes__[0]
    fusion.fit(X[LABELLED], Y[LABELLED])
    frozen = FrozenEstimator(clone(select).fit(X[LABELLED, :6], Y[LABELLED]))
    LateFusion([("a", make_pipeline(frozen, smoothed()), RGB)]).fit(X, Y)


@pytest.mark.parametrize("combine", ["proba", "log_proba"])
def test_a_member_of_weight_zero_is_not_asked(combine):
    members = [("rgb", smoothed(), RGB), ("flow", GaussianNB(), FLOW)]
    model = LateFusion(members, weights=[1, 0], combine=combine).fit(X, Y)
    first, _ = model.estimators_
    assert_array_equal(model.predict_proba(X), first.predict_proba(part(X, RGB)))
    model.set_params(weights=[0, 2])
    _, second = model.estimators_
    assert_array_equal(model.predict_proba(X), second.predict_proba(part(X, FLOW)))
    second.predict_proba = None
    assert_array_equal(
        model.set_params(weights=[3, 0]).predict_proba(X),
        first.predict_proba(part(X, RGB)),
    )


def test_stages_of_a_member_of_weight_zero_are_not_asked():
    members = [(name, smoothed(RULSTM(4, anticipation_steps=2)), RGB) for name in "ab"]
    members[1] = ("b", smoothed(RULSTM(4, anticipation_steps=2), random_state=1), RGB)
    clips, y = CLIPS.X_past, CLIPS.y % 4
    model = LateFusion(members, weights=[1, 0], combine="log_proba").fit(clips, y)
    alone = model.estimators_[0].staged_predict_proba(part(clips, RGB))
    for stage, expected in zip(model.staged_predict_proba(clips), alone, strict=True):
        assert_array_equal(stage, expected)


def test_a_frozen_member_sees_its_columns_in_its_order():
    table = pd.DataFrame(
        np.random.default_rng(0).normal(size=(20, 3)), columns=[*"abc"]
    )
    y = np.arange(20) % 2
    member = make_pipeline(StandardScaler(), LogisticRegression())
    member = FrozenEstimator(member.fit(table[["b", "c"]], y))
    fusion = LateFusion([("late", member, (1, 3))])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        proba = fusion.fit(table, y).predict_proba(table)
    assert_allclose(proba, member.predict_proba(table[["b", "c"]]))
    with pytest.raises(ValueError, match="X_past that member 'late' sees"):
        fusion.fit(table[["a", "c", "b"]], y)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"weights": [-1, 2]}, "none negative"),
        ({"weights": [float("nan"), 2]}, "contains NaN"),
        ({"combine": "probs"}, "'combine' parameter of LateFusion"),
    ],
)
def test_what_is_changed_after_fit_is_checked(changed, says):
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    parts = [
        (name, LogisticRegression(), (k, k + 2)) for k, name in ((0, "a"), (2, "b"))
    ]
    fusion = LateFusion(parts).fit(X, y)
    with pytest.raises(ValueError, match=says):
        fusion.set_params(**changed).predict_proba(X)


def test_a_score_refuses_weights_behind_a_mask():
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    weight = np.ma.array(np.ones(20), mask=y == 1)
    fusion = LateFusion([("a", LogisticRegression(), (0, 4))]).fit(X, y)
    for model in (fusion, SmoothedAnticipator(MLP(2), max_epochs=1).fit(X, y)):
        with pytest.raises(ValueError, match="sample_weight is a masked array"):
            model.score(X, y, sample_weight=weight)


# ------------------------------------------------------------ the time of the answer


def late(**stages):
    stages = {"anticipation_steps": 4, **stages}
    return smoothed(LSTM(4, **stages), max_epochs=1)


def of_two(one, other):
    return LateFusion([("rgb", one, RGB), ("flow", other, FLOW)])


@pytest.mark.parametrize("how", ["alone", "pipeline", "frozen"])
def test_members_that_answer_at_different_times_are_refused(how):
    early = late(anticipation_time=1.0)
    if how == "pipeline":
        early = make_pipeline(PerFrame(StandardScaler()), early)
    elif how == "frozen":
        early = FrozenEstimator(early.fit(CLIPS.X_past[..., :6], CLIPS.y))
    says = "must answer at the same time, .*'rgb' 1 s, 'flow' 0.25 s.*anticipation_time"
    with pytest.raises(ValueError, match=says):
        of_two(early, late()).fit(CLIPS.X_past, CLIPS.y)


def test_members_that_answer_at_the_same_time_are_welcome():
    alike = [
        (late(anticipation_time=1.0), late(anticipation_time=1.0, time_step=0.5)),
        (late(anticipation_time=0.25), late(anticipation_steps=1)),
        (late(), smoothed(AVTHead(4, time_step=1.0), max_epochs=1)),  # both at the end
        (late(anticipation_time=1.0), LogisticRegressionOfClips()),
    ]
    for one, other in alike:
        of_two(one, other).fit(CLIPS.X_past, CLIPS.y)


class LogisticRegressionOfClips(LogisticRegression):
    """Whose stages nobody knows."""

    def fit(self, X, y):
        return super().fit(X.reshape(len(X), -1), y)

    def predict_proba(self, X):
        return super().predict_proba(X.reshape(len(X), -1))


def test_an_estimator_that_stands_for_two_members_is_set_for_one():
    branch = SmoothedAnticipator(MLP(8), max_epochs=1)
    fusion = LateFusion([("rgb", branch, (0, 2)), ("flow", branch, (2, 4))])
    fusion.set_params(rgb__network__hidden_size=16)
    sizes = [member.network.hidden_size for _, member, _ in fusion.estimators]
    assert sizes == [16, 8]
    assert branch.network.hidden_size == 8
    assert fusion.estimators[1][1] is branch
    fusion.set_params(rgb__lr=0.5, flow__lr=0.1)
    assert [member.lr for _, member, _ in fusion.estimators] == [0.5, 0.1]


class Scoring(DummyClassifier):
    """Answers with something else than probabilities."""

    def __init__(self, answer=7.0):
        super().__init__()
        self.answer = answer

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), self.answer)


@pytest.mark.parametrize("answer", [7.0, -1.0, np.nan])
def test_members_that_answer_no_probabilities_are_refused(answer):
    X, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
    members = [("a", SmoothedAnticipator(MLP(2), max_epochs=1), (0, 2))]
    fusion = LateFusion([*members, ("b", Scoring(answer), (2, 4))]).fit(X, y)
    with pytest.raises(ValueError, match="predict_proba of Scoring must hold probab"):
        fusion.predict_proba(X)
