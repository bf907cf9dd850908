"""ReplicaEnsemble against replicas that are fitted one by one, by hand."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    AttentiveProbe,
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    DistilledAnticipator,
    LateFusion,
    RecognitionTeacher,
    ReplicaEnsemble,
    SmoothedAnticipator,
)
from skanticipate.datasets import make_kitchen

STEPS = make_kitchen(8, n_steps=3, random_state=0)
X, F = STEPS.X_past[:, -1], STEPS.X_future[:, -1]
Y = np.where(np.arange(len(X)) % 5 == 0, -1, STEPS.y % 4)
QUICK = {"max_epochs": 3, "dtype": "float64"}
pytestmark = pytest.mark.filterwarnings("ignore:.* unlabelled and no teacher speaks")


def smoothed(network=None, **params):
    return SmoothedAnticipator(network or MLP(4, dropout=0.2), **QUICK | params)


def seeds(random_state, n, of_each=1):
    """As the docstring has it: drawn from `random_state`, replica after replica."""
    draw = np.random.RandomState(random_state).randint
    return [[draw(2**31 - 1) for _ in range(of_each)] for _ in range(n)]


def by_hand(answers, combine):
    """Mean of (K, n, C) by numpy alone."""
    if combine == "proba":
        return np.mean(answers, axis=0)
    geometric = np.exp(np.mean(np.log(answers), axis=0))
    return geometric / geometric.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("combine", ["proba", "log_proba"])
@pytest.mark.parametrize(
    ("clips", "network"),
    [(X, MLP(4, dropout=0.2)), (STEPS.X_past, AttentiveProbe(4, n_heads=2))],
    ids=["stacked", "probe"],
)
def test_answer_is_the_mean_of_replicas_fitted_by_hand(clips, network, combine):
    model = smoothed(network)
    ensemble = ReplicaEnsemble(model, n_replicas=3, combine=combine, random_state=5)
    ensemble.fit(clips, Y)
    answers = [
        clone(model).set_params(random_state=seed).fit(clips, Y).predict_proba(clips)
        for (seed,) in seeds(5, 3)
    ]
    expected = by_hand(answers, combine)
    proba = ensemble.predict_proba(clips)
    assert_allclose(proba, expected, rtol=1e-9)
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    assert_array_equal(ensemble.predict_log_proba(clips), np.log(proba))
    assert_array_equal(ensemble.predict(clips), expected.argmax(axis=1))
    labelled = Y >= 0
    hits = expected.argmax(axis=1)[labelled] == Y[labelled]
    assert ensemble.score(clips, Y) == pytest.approx(hits.mean())
    assert (ensemble.unlabeled_label_, ensemble.feature_dim_) == (-1, 24)
    assert ensemble.estimator.random_state is None


def test_a_smaller_ensemble_is_the_beginning_of_a_larger_one():
    small, large = (
        ReplicaEnsemble(smoothed(), n_replicas=n, random_state=1).fit(X, Y)
        for n in (2, 4)
    )
    for one, other in zip(small.estimators_, large.estimators_, strict=False):
        assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-9)


def test_all_signals_reach_the_replicas():
    model = DistilledAnticipator(
        MLP(4), teacher=RecognitionTeacher(MLP(4), **QUICK, random_state=0), **QUICK
    )
    weights = np.linspace(1, 2, len(X))
    given = {"sample_weight": weights, "X_val": F[:30], "y_val": Y[:30]}
    ensemble = ReplicaEnsemble(model, n_replicas=2, random_state=3).fit(
        X, Y, F, **given
    )
    answers = [
        clone(model)
        .set_params(random_state=seed)
        .fit(X, Y, F, **given)
        .predict_proba(X)
        for (seed,) in seeds(3, 2)
    ]
    assert_allclose(ensemble.predict_proba(X), np.mean(answers, axis=0), rtol=1e-9)


@pytest.mark.parametrize(("seed", "shared"), [(0, True), (None, False)])
def test_a_teacher_with_a_seed_of_its_own_is_fitted_once(seed, shared):
    teacher = RecognitionTeacher(MLP(4), **QUICK, random_state=seed)
    model = DistilledAnticipator(MLP(4), teacher=teacher, **QUICK)
    fitted = ReplicaEnsemble(model, n_replicas=2, random_state=0).fit(X, Y, F)
    one, other = (replica.teacher_ for replica in fitted.estimators_)
    assert (one is other) == shared
    assert np.array_equal(one.predict_proba(F), other.predict_proba(F)) == shared


def test_stages_are_means_of_stages():
    model = smoothed(LSTM(4, anticipation_steps=2))
    ensemble = ReplicaEnsemble(model, n_replicas=2, random_state=0)
    ensemble.fit(STEPS.X_past, Y)
    stages = [r.staged_predict_proba(STEPS.X_past) for r in ensemble.estimators_]
    found = list(ensemble.staged_predict_proba(STEPS.X_past))
    assert len(found) == len(ensemble.anticipation_times_) == 2
    for stage, *own in zip(found, *stages, strict=True):
        assert_array_equal(stage, np.mean(own, axis=0))


def test_parts_of_what_has_no_seed_get_seeds_of_their_own():
    members = [("a", smoothed(), (0, 12)), ("b", smoothed(), (12, None))]
    model = make_pipeline(StandardScaler(), LateFusion(members))
    ensemble = ReplicaEnsemble(model, n_replicas=2, random_state=4).fit(X, Y)
    found = [
        [member.random_state for member in replica[-1].estimators_]
        for replica in ensemble.estimators_
    ]
    assert found == seeds(4, 2, of_each=2)
    assert ensemble.n_features_in_ == 24
    assert ensemble.unlabeled_label_ == -1


def test_it_stands_in_a_fusion_and_teaches():
    replicas = ReplicaEnsemble(smoothed(classes=range(5)), n_replicas=2, random_state=0)
    fusion = LateFusion([("twice", replicas, (0, 8)), ("all", replicas, (0, None))])
    fusion.fit(X, Y)
    halves = [clone(replicas).fit(x, Y).predict_proba(x) for x in (X[:, :8], X)]
    assert_allclose(fusion.predict_proba(X), np.mean(halves, axis=0), rtol=1e-9)
    assert fusion.classes_.tolist() == [0, 1, 2, 3, 4]

    teacher = ReplicaEnsemble(smoothed(), n_replicas=2, random_state=0)
    student = DistilledAnticipator(MLP(4), teacher=teacher, **QUICK, random_state=0)
    student.fit(X, Y, F)
    answers = clone(teacher).fit(F[Y >= 0], Y[Y >= 0]).predict_proba(F)
    assert_allclose(student.teacher_.predict_proba(F), answers, rtol=1e-9)
    told = clone(student).set_params(
        teacher=None, classes=range(4), init_from_teacher=False
    )
    told.fit(X, Y, teacher_proba=answers)
    student.set_params(init_from_teacher=False).fit(X, Y, F)
    assert_allclose(student.predict_proba(X), told.predict_proba(X), rtol=1e-9)


def test_searches_agree():
    ensemble = ReplicaEnsemble(smoothed(), n_replicas=2, random_state=0)
    grid = {"estimator__lr": [1e-3, 1e-1], "combine": ["log_proba"]}
    labelled = Y >= 0
    one, other = (
        search(ensemble, grid, cv=2).fit(X[labelled], Y[labelled])
        for search in (GridSearchCV, BatchedGridSearchCV)
    )
    assert_allclose(
        one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"]
    )
    assert_array_equal(one.predict(X), other.predict(X))


def test_a_file_holds_all_replicas(tmp_path):
    model = make_pipeline(StandardScaler(), smoothed())
    ensemble = ReplicaEnsemble(model, n_replicas=2, random_state=0).fit(X, Y)
    ensemble.save(tmp_path / "model")
    again = skanticipate.load(tmp_path / "model")
    assert_array_equal(again.predict_proba(X), ensemble.predict_proba(X))
    assert (again.n_replicas, again.unlabeled_label_) == (2, -1)


def test_labels_and_a_marker_of_ones_own():
    names = np.array(["cut", "peel", "pour", "wash"])[STEPS.y % 4].astype(object)
    names[Y < 0] = "?"
    ensemble = ReplicaEnsemble(
        smoothed(unlabeled_label="?"), n_replicas=2, random_state=0
    ).fit(X, names)
    assert ensemble.classes_.tolist() == ["cut", "peel", "pour", "wash"]
    assert ensemble.unlabeled_label_ == "?"
    hits = ensemble.predict(X)[Y >= 0] == names[Y >= 0]
    assert ensemble.score(X, names) == pytest.approx(hits.mean())


def test_classifiers_of_others():
    data = X[Y >= 0], Y[Y >= 0]
    alone = LogisticRegression().fit(*data).predict_proba(X)
    ensemble = ReplicaEnsemble(LogisticRegression(), n_replicas=2, random_state=0)
    assert_allclose(ensemble.fit(*data).predict_proba(X), alone)


@pytest.mark.parametrize("names", [list("abcdefgh"), list(range(5, 13))])
def test_columns_come_in_the_order_of_fit(names, tmp_path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(X[:, :8], columns=names)
    model = make_pipeline(StandardScaler(), smoothed())
    ensemble = ReplicaEnsemble(model, n_replicas=2, random_state=0).fit(table, Y)
    plain = clone(ensemble).fit(table.to_numpy(), Y).predict_proba(table.to_numpy())
    ensemble.save(tmp_path / "model")
    for fitted in (ensemble, skanticipate.load(tmp_path / "model")):
        assert_allclose(fitted.predict_proba(table), plain, atol=1e-12)
        with pytest.raises(ValueError, match=r"another order|same order"):
            fitted.predict_proba(table[names[::-1]])


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("piped", [False, True])
def test_classifiers_of_others_learn_from_the_labelled_rows_only(texts, piped):
    y = np.array([-1 if k < 0 else f"action {k}" for k in Y], object) if texts else Y
    labelled, weights = Y >= 0, np.linspace(1, 2, len(Y))
    forest = RandomForestClassifier(5, max_depth=3)
    model = make_pipeline(StandardScaler(), forest) if piped else forest
    ensemble = ReplicaEnsemble(model, n_replicas=2, random_state=0)
    given = {} if piped else {"sample_weight": weights}
    found = ensemble.fit(X, y, **given)
    kept = {name: own[labelled] for name, own in given.items()}
    known = y[labelled].astype(str) if texts else y[labelled]
    expected = clone(ensemble).fit(X[labelled], known, **kept)
    assert_array_equal(found.classes_, expected.classes_)
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    assert found.unlabeled_label_ == -1
    assert found.score(X, y) == expected.score(X[labelled], known)
    with pytest.raises(ValueError, match="y has no labelled rows"):
        ensemble.fit(X, np.full(len(X), -1))


def test_files_of_before_know_no_columns(tmp_path):
    ensemble = ReplicaEnsemble(smoothed(), n_replicas=2, random_state=0).fit(X, Y)
    del ensemble._columns
    ensemble.save(tmp_path / "model")
    again = skanticipate.load(tmp_path / "model")
    assert_array_equal(again.predict_proba(X), ensemble.predict_proba(X))


def test_rows_keep_their_names_where_only_the_labelled_ones_are_shown():
    pd = pytest.importorskip("pandas")
    names = [f"clip {k}" for k in range(len(X))]
    y, weights = pd.Series(Y, names), pd.Series(np.linspace(1, 2, len(X)), names)
    forest = RandomForestClassifier(5, max_depth=3)
    ensemble = ReplicaEnsemble(forest, n_replicas=2, random_state=0)
    with pytest.raises(ValueError, match="rows of y, next to X_past"):
        ensemble.fit(pd.DataFrame(X, names), y[::-1])
    with pytest.raises(ValueError, match="rows of sample_weight, next to y"):
        ensemble.fit(X, y, sample_weight=weights[::-1])


@pytest.mark.parametrize(
    "estimator",
    [GaussianNB(), FrozenEstimator(smoothed(random_state=0))],
    ids=["no seed", "frozen"],
)
def test_replicas_that_would_be_alike_are_refused(estimator):
    with pytest.raises(ValueError, match="has no random_state, so that its replicas"):
        ReplicaEnsemble(estimator).fit(X, Y)


def test_a_fit_that_fails_changes_nothing():
    ensemble = ReplicaEnsemble(smoothed(), n_replicas=2, random_state=0).fit(X, Y)
    before = dict(vars(ensemble))
    with pytest.raises(ValueError, match="NaN") as caught:
        ensemble.fit(np.full_like(X, np.nan), Y)
    assert any(re.search("fit 0 of 2", note) for note in caught.value.__notes__)
    assert vars(ensemble) == before
    ensemble.fit(STEPS.X_past, Y)
    assert not hasattr(ensemble, "n_features_in_")  # of clips with two axes only


def test_no_replicas_and_no_stages():
    with pytest.raises(ValueError, match="n_replicas"):
        ReplicaEnsemble(smoothed(), n_replicas=0).fit(X, Y)
    data = X[Y >= 0], Y[Y >= 0]
    ensemble = ReplicaEnsemble(LogisticRegression(), n_replicas=2).fit(*data)
    with pytest.raises(ValueError, match="members of this ReplicaEnsemble have no st"):
        ensemble.staged_predict_proba(X)


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_a_search_among_seeds_finds_the_same_for_all_replicas(kind):
    labelled = Y >= 0

    def fitted(*grids):
        search = kind(smoothed(), list(grids), cv=2)
        model = ReplicaEnsemble(search, n_replicas=2, random_state=3)
        model.fit(X[labelled], Y[labelled])
        return [replica.predict_proba(X) for replica in model.estimators_]

    with pytest.warns(UserWarning, match="GridSearchCV tries seeds of its own"):
        one, other = fitted({"random_state": [0, 1]})
    assert_array_equal(one, other)
    one, other = fitted({"lr": [0.01]})  # nothing to tell
    assert np.abs(one - other).max() > 1e-3
    fitted({"random_state": [0]}, {"lr": [0.01]})  # it depends


@pytest.mark.parametrize("kind", [RandomizedSearchCV, BatchedRandomizedSearchCV])
def test_a_search_that_draws_its_settings_trains_each_replica_from_another_seed(kind):
    folds = [(np.arange(0, 60), np.arange(60, 120))]
    settings = {"lr": [0.01]}  # all replicas draw the same
    search = kind(smoothed(random_state=0), settings, n_iter=1, cv=folds)
    one, two = (
        ReplicaEnsemble(search, n_replicas=2, random_state=3).fit(X, Y).estimators_
    )
    drawn = seeds(3, 2, of_each=2)
    for replica, (draws, trains) in zip((one, two), drawn, strict=True):
        assert (replica.random_state, replica.estimator.random_state) == (draws, trains)
        alone = smoothed(lr=0.01, random_state=trains).fit(X, Y)
        assert_allclose(replica.predict_proba(X), alone.predict_proba(X), rtol=1e-9)
    assert not np.allclose(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize(
    "ensemble",
    [
        ReplicaEnsemble(smoothed(warm_start=True), n_replicas=2, random_state=0),
        LateFusion([("a", smoothed(warm_start=True, random_state=0), (0, 4))]),
    ],
    ids=["replicas", "fusion"],
)
def test_members_that_would_go_on_are_told_to_begin_anew(ensemble):
    first = clone(ensemble).fit(X, Y).predict_proba(X)  # nothing to go on with
    ensemble.fit(X, Y)
    with pytest.warns(UserWarning, match="SmoothedAnticipator has warm_start=True, bu"):
        ensemble.fit(X, Y)
    assert_array_equal(ensemble.predict_proba(X), first)
