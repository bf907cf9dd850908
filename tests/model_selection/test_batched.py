"""Searches that train candidates together, against scikit-learn's own."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix
from scipy.stats import loguniform
from searches import (
    FUTURE,
    GRID,
    GROUPS,
    MODEL,
    PIPELINE,
    SOME,
    X,
    Y,
    assert_same,
    assert_same_results,
)
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, get_scorer_names, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    DistilledAnticipator,
    LateFusion,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
)
from skanticipate.metrics import (
    labelled_scorer,
    mean_top_k_recall_scorer,
    top_k_scorer,
)

# --------------------------------------------------------------------------- scores


def hits(estimator, X, y):
    assert isinstance(estimator, SmoothedAnticipator)
    assert estimator.unlabeled_label_ is None
    return np.mean(estimator.predict(X) == y)


def two_scores(estimator, X, y):
    return {"hits": hits(estimator, X, y), "rows": len(y)}


@pytest.mark.parametrize(
    "scoring",
    [None, "accuracy", "neg_log_loss", "roc_auc_ovr", hits, make_scorer(accuracy_score)]
    + [labelled_scorer("accuracy"), top_k_scorer(2)],
)
def test_one_score(scoring):
    ours = assert_same(MODEL, GRID, scoring=scoring, return_train_score=True)
    assert ours.refit_time_ > 0


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [
        (["accuracy", "neg_log_loss", "balanced_accuracy", "roc_auc_ovr"], "accuracy"),
        (("accuracy", "neg_log_loss"), False),
        ({"a": "accuracy", "b": labelled_scorer("neg_log_loss"), "c": hits}, "b"),
        ({"k": top_k_scorer(2), "ours": make_scorer(accuracy_score)}, "k"),
        (two_scores, "hits"),
    ],
)
def test_several_scores(scoring, refit):
    assert_same(MODEL, GRID, scoring=scoring, refit=refit, return_train_score=True)


@pytest.mark.parametrize("y", [Y, Y > 0], ids=["three classes", "two classes"])
@pytest.mark.filterwarnings("ignore")  # of scorers of regressions, and of no positives
def test_every_scorer(y):
    scoring = {name: name for name in get_scorer_names()} | {
        "labelled": labelled_scorer("roc_auc_ovr"),
        "top 2": top_k_scorer(2),
        "recall of 2": mean_top_k_recall_scorer(2),
    }
    grid = {"smoothing": [0.0, 0.2]}
    ours = assert_same(MODEL, grid, y=y, scoring=scoring, cv=2, refit=False)
    scores = [ours.cv_results_[f"mean_test_{name}"] for name in scoring]
    assert np.isfinite(scores).all(axis=1).sum() >= 30  # and NaN where they are there


@pytest.mark.parametrize("names", [["accuracy", "neg_log_loss"], "accuracy"])
def test_refit_by_a_function_sees_the_results_of_candidates(names):
    seen = []

    def slowest(results):
        seen.append(results)
        return int(np.argmax(results["param_lr"]))

    ours = BatchedGridSearchCV(MODEL, GRID, scoring=names, cv=2, refit=slowest)
    ours.fit(X, Y)
    assert ours.best_params_["lr"] == 0.05
    assert not hasattr(ours, "best_score_")
    assert seen[0].keys() == ours.cv_results_.keys()
    assert np.array_equal(seen[0]["mean_fit_time"], ours.cv_results_["mean_fit_time"])
    assert seen[0]["params"] == ours.cv_results_["params"]


def test_a_score_that_fails_is_the_error_score_as_it_is_there():
    def fails(estimator, X, y):
        raise ValueError("no score")

    for scoring, refit in ((fails, True), ({"a": "accuracy", "b": fails}, "a")):
        options = {"scoring": scoring, "refit": refit, "error_score": 0.5, "cv": 2}
        found = []
        for search in (BatchedGridSearchCV, GridSearchCV):
            with pytest.warns(UserWarning, match="Scoring failed"):
                found.append(search(MODEL, GRID, **options).fit(X, Y))
        assert_same_results(*found)


# --------------------------------------------------------------------------- inputs


def as_map(folder, array):
    np.save(folder / "clips.npy", array)
    return np.load(folder / "clips.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda folder: X.tolist(), id="list"),
        pytest.param(lambda folder: X.astype(np.float32), id="float32"),
        pytest.param(lambda folder: (X * 9).astype(int), id="int"),
        pytest.param(lambda folder: np.stack([X, X], axis=1), id="3-D"),
        pytest.param(lambda folder: RowView(X), id="RowView"),
        pytest.param(lambda folder: as_map(folder, X), id="memmap"),
        pytest.param(lambda folder: pd.DataFrame(X).add_prefix("f"), id="DataFrame"),
    ],
)
def test_every_kind_of_rows(make, tmp_path):
    clips = make(tmp_path)
    ours = assert_same(MODEL, GRID, clips, return_train_score=True)
    assert hasattr(ours, "feature_names_in_") == isinstance(clips, pd.DataFrame)


@pytest.mark.parametrize("dtype", [str, object])
def test_labels_that_are_texts(dtype):
    y = np.array(["cut", "mix", "pour"], dtype=dtype)[Y]
    assert assert_same(MODEL, GRID, y=y).classes_.tolist() == ["cut", "mix", "pour"]


@pytest.mark.filterwarnings("ignore:.*rows without a label, and counts them")
@pytest.mark.parametrize("cv", [SemiSupervisedSplit(3), GroupKFold(3), 2])
def test_unlabelled_rows_futures_and_groups(cv):
    model = DistilledAnticipator(MLP(8), max_epochs=2, random_state=0)
    fit = {"X_future_unlabeled": FUTURE}
    if not isinstance(cv, int):
        fit["groups"] = GROUPS
    scoring = {"all": "accuracy", "labelled": labelled_scorer("neg_log_loss")}
    grid = {"alpha": [0.1, 1.0], "feature_weight": [0.0, 1.0]}
    theirs = GridSearchCV(model, grid, cv=cv, scoring=scoring, refit="labelled")
    ours = BatchedGridSearchCV(model, grid, cv=cv, scoring=scoring, refit="labelled")
    assert_same_results(ours.fit(X, SOME, **fit), theirs.fit(X, SOME, **fit))


def test_a_score_without_weights_says_so_as_it_does_there():
    weights, told = np.ones(120), []
    for search in (GridSearchCV, BatchedGridSearchCV):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search(MODEL, {}, cv=2, scoring=hits).fit(X, Y, sample_weight=weights)
        told.append([str(w.message).replace("Batched", "").split() for w in caught])
    assert told[0] == told[1]


def test_weights_go_to_fits_and_to_scorers_as_they_do_there():
    fit = {"sample_weight": np.linspace(0.1, 2, 120)}
    assert_same(MODEL, GRID, scoring="accuracy", fit=fit)
    assert_same(LogisticRegression(), {"C": [0.1, 1]}, scoring="neg_log_loss", fit=fit)


@pytest.mark.parametrize("weighted", [True, False, "importance"])
def test_metadata_routing(weighted):
    weights = np.linspace(0.1, 2, 120)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=weighted)
        model = DistilledAnticipator(MLP(8), max_epochs=2, random_state=0)
        model.set_fit_request(sample_weight=weighted)
        pipeline = Pipeline(
            [("scale", StandardScaler().set_fit_request(sample_weight=False))]
            + [("model", model)],
            transform_input=["X_future_unlabeled"],
        )
        grid = {"model__alpha": [0.1, 1.0], "scale__with_mean": [True, False]}
        fit = {"X_future_unlabeled": FUTURE, "groups": GROUPS}
        if weighted:
            fit["importance" if weighted == "importance" else "sample_weight"] = weights
        for estimator, values in (
            (pipeline, grid),
            (model, {"alpha": [0.1, 1.0]}),
        ):
            options = {"cv": SemiSupervisedSplit(GroupKFold(3)), "scoring": scorer}
            theirs = GridSearchCV(estimator, values, **options).fit(X, SOME, **fit)
            ours = BatchedGridSearchCV(estimator, values, **options).fit(X, SOME, **fit)
            assert_same_results(ours, theirs)


# ------------------------------------------------------------------------ estimators

IN_PLACE = StandardScaler(copy=False)
NESTED = Pipeline([("first", MinMaxScaler()), ("then", PIPELINE)])
FUSION = LateFusion([("a", MODEL, (0, 4)), ("b", LogisticRegression(), (4, None))])


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (LogisticRegression(), {"C": [0.1, 1.0]}),
        (FUSION, {"a__smoothing": [0.0, 0.2], "weights": [[1, 1], [1, 2]]}),
        (MODEL, {"network": [MLP(4), MLP(8)], "smoothing": [0.0, 0.2]}),
        (MODEL, [{"lr": [0.1], "smoothing": [0.2]}, {"batch_size": [16, 64]}]),
        (MODEL, {}),
        (PIPELINE, {"model__smoothing": [0.0, 0.2], "model__network": [MLP(4)]}),
        (PIPELINE, {"scale__with_mean": [True, False], "model__lr": [0.1, 0.01]}),
        (PIPELINE, {"scale": ["passthrough", MinMaxScaler(), IN_PLACE]}),
        (PIPELINE, {"model": [MODEL, LogisticRegression(), GaussianNB()]}),
        (PIPELINE, {"steps": [[("model", MODEL)], [("a", PCA(3)), ("b", MODEL)]]}),
        (Pipeline([("model", MODEL)]), {"model__lr": [0.1, 0.01]}),
        (Pipeline([("no", "passthrough"), ("m", MODEL)]), {"m__lr": [0.1, 0.01]}),
        (NESTED, {"then__scale__with_std": [True, False], "then__model__lr": [0.1]}),
        (NESTED, {"first__clip": [True, False], "then__model__lr": [0.1, 0.01]}),
        (make_pipeline(SelectKBest(), PCA(3), MODEL), {"selectkbest__k": [4, 6]}),
        (make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 2], "svc__tol": [0.1]}),
    ],
    ids=repr,
)
def test_every_kind_of_estimator(estimator, grid):
    assert_same(estimator, grid, X)


def test_parameters_of_fit_reach_the_last_step():
    weights = {"model__sample_weight": np.linspace(0.1, 2, 120)}
    assert_same(PIPELINE, {"model__lr": [0.1, 0.01]}, fit=weights)
    assert_same(NESTED, {"then__model__lr": [0.1]}, fit={"then__model__y_past": Y})


@pytest.mark.parametrize("name", ["X_val", "smoothedanticipator__X_val"])
def test_validation_rows_stay_whole_although_they_are_as_many(name):
    within = name.rpartition("X_val")[0]
    model = make_pipeline(StandardScaler(), MODEL) if within else MODEL
    held = np.random.default_rng(5).normal(size=X.shape)  # as many rows as X has
    options = {"cv": KFold(3), "refit": False}
    ours = BatchedGridSearchCV(model, {f"{within}lr": [0.01]}, **options)
    peer = GridSearchCV(model, {f"{within}lr": [0.01]}, **options)
    given = {f"{within}X_val": held, f"{within}y_val": Y}
    functions = {name: lambda part=part: part for name, part in given.items()}
    stopping = {f"{within}early_stopping": True, f"{within}scoring": "loss"}
    for search, signals in ((ours, given), (peer, functions)):
        search.estimator = clone(model).set_params(**stopping)
        search.fit(X, Y, **signals)
    assert_allclose(
        ours.cv_results_["mean_test_score"],
        peer.cv_results_["mean_test_score"],
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("last", [SVC(), MODEL])
def test_candidates_that_are_pipelines_have_first_steps_of_their_own(last):
    pipe = Pipeline([("scale", StandardScaler()), ("model", last)])
    inner = [make_pipeline(PCA(n), last) for n in (1, 3, 1)]
    assert_same(pipe, {"model": inner})
    deeper = [make_pipeline(MinMaxScaler(), part) for part in inner[:2]]
    assert_same(pipe, {"model": deeper})


def test_samples_are_drawn_once_where_fits_are_done_one_by_one():
    found = []
    for kind in (RandomizedSearchCV, BatchedRandomizedSearchCV):
        model = clone(MODEL).set_params(random_state=np.random.RandomState(1))
        search = kind(
            model,
            {"lr": loguniform(1e-4, 1)},
            n_iter=3,
            cv=2,
            refit=False,
            random_state=np.random.RandomState(0),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(search.fit(X, Y).cv_results_["params"])
    assert found[0] == found[1]


@pytest.mark.parametrize("scoring", [None, "accuracy", ["accuracy", "f1_macro"]])
@pytest.mark.parametrize("request_", [None, False, True, "weight"])
@pytest.mark.parametrize("piped", [False, True])
def test_weights_that_scorers_did_not_ask_for_are_told_of(request_, piped, scoring):
    weights = np.random.default_rng(0).random(len(X)) + 0.1
    given = {"sample_weight": weights, "weight": weights[::-1]}
    if request_ != "weight":
        del given["weight"]
    found = []
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        if request_ is not None:
            model.set_score_request(sample_weight=request_)
        if piped:
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            model = make_pipeline(scaler, model)
        grid = {f"{'logisticregression__' * piped}C": [0.01, 1]}
        for kind in (GridSearchCV, BatchedGridSearchCV):
            search = kind(
                model, grid, scoring=scoring, refit=False, error_score="raise"
            )
            try:
                results = search.fit(X, Y, **given).cv_results_
                means = [v.tolist() for k, v in results.items() if "mean_test" in k]
                found.append(means)
            except (TypeError, ValueError) as error:
                found.append(type(error))
    assert found[0] == found[1]


def test_a_kernel_is_cut_in_rows_and_columns():
    assert_same(SVC(), {"kernel": ["precomputed", "rbf"], "C": [0.1, 1]}, X @ X.T)


def test_sparse_rows_and_no_labels():
    assert_same(LogisticRegression(), {"C": [0.1, 1.0]}, csr_matrix(X))
    search = BatchedGridSearchCV(PCA(), {"n_components": [1, 2]}, cv=2).fit(X)
    assert_same_results(
        search, GridSearchCV(PCA(), {"n_components": [1, 2]}, cv=2).fit(X)
    )
    assert search.transform(X).shape == (120, 2)


@pytest.mark.parametrize("estimator", [PIPELINE, LogisticRegression()], ids=repr)
def test_more_processes(estimator):
    name = "model__smoothing" if estimator is PIPELINE else "C"
    scoring = {"a": "accuracy", "b": labelled_scorer("neg_log_loss")}
    grid = {name: [0.1, 0.2]}
    assert_same(estimator, grid, n_jobs=2, scoring=scoring, refit="b")


def test_splits_that_are_drawn_are_drawn_once():
    cv = ShuffleSplit(3, random_state=0)
    assert_same(MODEL, GRID, cv=cv)
    assert_same(MODEL, GRID, cv=[(np.arange(120) < 60, np.arange(120) >= 60)] * 2)
    assert_same(MODEL, GRID, cv=[(list(range(120)), list(range(30)))])
    drawn = BatchedGridSearchCV(MODEL, {"tol": [1, 2]}, cv=ShuffleSplit(2)).fit(X, Y)
    scores = drawn.cv_results_["split0_test_score"]
    assert scores[0] == scores[1]  # tol means nothing here


def test_splits_that_can_be_read_once():
    splits = list(KFold(3).split(X))
    ours = BatchedGridSearchCV(MODEL, GRID, cv=iter(splits)).fit(X, Y)
    assert_same_results(ours, GridSearchCV(MODEL, GRID, cv=splits).fit(X, Y))


def test_search_by_samples():
    drawn = {"lr": loguniform(1e-3, 0.1), "smoothing": [0.0, 0.2]}
    for values, state in ((drawn, lambda: 0), (GRID, lambda: np.random.RandomState(0))):
        theirs, ours = (
            search(MODEL, values, n_iter=3, random_state=state(), cv=2).fit(X, Y)
            for search in (RandomizedSearchCV, BatchedRandomizedSearchCV)
        )
        assert_same_results(ours, theirs)


def test_fitted_search_is_pickled_and_its_parameters_are_reached():
    search = BatchedGridSearchCV(PIPELINE, {"model__lr": [0.1, 0.01]}, cv=2)
    search.set_params(estimator__model__max_epochs=1, width=3).fit(X, Y)
    again = pickle.loads(pickle.dumps(search))
    assert np.array_equal(again.predict_proba(X), search.predict_proba(X))
    assert len(again.best_estimator_[-1].history_) == 1


VALUES = {
    "scale": ["passthrough", IN_PLACE, MinMaxScaler()],
    "reduce__n_components": [1, 2],
    "reduce__whiten": [True, False],
    "last": [GaussianNB(), LogisticRegression()],
    "last__var_smoothing": [1e-9, 0.1],
    "memory": [None],
}


@settings(max_examples=8, deadline=None, database=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                k: st.permutations(v).map(lambda some: some[:2])
                for k, v in VALUES.items()
            },
        ),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from([2, KFold(3, shuffle=True, random_state=0)]),
)
def test_any_grid_over_a_pipeline_gives_what_it_gives_there(grid, cv):
    parts = [("scale", StandardScaler()), ("reduce", PCA(3)), ("last", GaussianNB())]
    grid = [
        {k: v for k, v in g.items() if k != "last__var_smoothing" or "last" not in g}
        for g in grid
    ]
    assert_same(Pipeline(parts), grid, X, cv=cv, scoring="neg_log_loss")
