import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    HistoryEncoder,
    MixturePrior,
    PerFrame,
    RowView,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.datasets import label_history, make_kitchen

pytestmark = pytest.mark.filterwarnings(
    # the kitchen's tail: some actions are rarer than there are folds
    "ignore:The least populated class in y"
)

DATA = make_kitchen(16, 15, n_features=12, random_state=0)
CLIPS = make_kitchen(16, 15, n_steps=4, n_features=8, random_state=0)
X, Y = DATA.X_past, DATA.y
CLASSES = list(range(20))


def anticipator(network=None, **params):
    return SmoothedAnticipator(
        MLP(8) if network is None else network,
        **{"max_epochs": 2, "random_state": 0, "classes": CLASSES, **params},
    )


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


SEEN = []


class SpyPrior(UniformPrior):
    """Writes down what it was fitted on."""

    def fit(self, classes, y=None, y_past=None):
        SEEN.append((np.asarray(y).copy(), np.asarray(y_past).copy()))
        return super().fit(classes, y, y_past)


@pytest.fixture
def seen():
    SEEN.clear()
    yield SEEN
    SEEN.clear()


# ----------------------------------------------------------------------- searches


@pytest.mark.parametrize(
    "grid",
    [
        {"smoothing": [0.0, 0.3]},
        {"prior": [None, VerbNounPrior(DATA.actions), TransitionPrior(DATA.actions)]},
        {"network__hidden_size": [4, (8, 4)]},
        {"network": [MLP(4), MLP(8, dropout=0.1)]},
        {"network__head": [None, VerbNounHead(DATA.actions)]},
        {"lr": [1e-3, 1e-2], "optimizer": ["adamw", "sgd"]},
    ],
    ids=["smoothing", "prior", "hidden_size", "network", "head", "optimizer"],
)
def test_a_grid_search_over_parameters(grid):
    search = GridSearchCV(anticipator(), grid, cv=2, error_score="raise")
    search.fit(X, Y, y_past=DATA.y_past)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == Y.shape


def test_a_grid_search_into_the_prior():
    prior = MixturePrior([VerbNounPrior(DATA.actions), UniformPrior()])
    search = GridSearchCV(
        anticipator(prior=TemporalPrior()),
        [
            {"prior__direction": ["predecessor", "successor"]},
            {"prior": [prior], "prior__weights": [[1, 0], [1, 3]]},
        ],
        cv=2,
        error_score="raise",
    ).fit(X, Y, y_past=DATA.y_past)
    assert len(search.cv_results_["params"]) == 4


def test_the_direction_of_the_prior_reaches_it():
    search = GridSearchCV(
        anticipator(prior=TemporalPrior()), {"prior__direction": ["successor"]}, cv=2
    ).fit(X, Y, y_past=DATA.y_past)
    expected = TemporalPrior("successor").fit(CLASSES, Y, DATA.y_past).matrix_
    assert_array_equal(search.best_estimator_.prior_.matrix_, expected)


def test_a_search_scores_what_a_loop_scores():
    cv = GroupKFold(3)
    search = GridSearchCV(anticipator(), {"smoothing": [0.0, 0.4]}, cv=cv, refit=False)
    search.fit(X, Y, groups=DATA.groups)
    for k, smoothing in enumerate([0.0, 0.4]):
        for fold, (train, test) in enumerate(cv.split(X, Y, DATA.groups)):
            model = anticipator(smoothing=smoothing).fit(X[train], Y[train])
            found = search.cv_results_[f"split{fold}_test_score"][k]
            assert found == model.score(X[test], Y[test])


def test_searches_that_draw_and_that_halve():
    grid = {"network__hidden_size": [4, 8], "smoothing": [0.0, 0.1, 0.3]}
    drawn = RandomizedSearchCV(anticipator(), grid, n_iter=2, cv=2, random_state=0)
    assert drawn.fit(X, Y).predict_proba(X).shape == (len(X), 20)
    halved = HalvingGridSearchCV(
        anticipator(), grid, cv=2, resource="max_epochs", max_resources=3, factor=3
    )
    assert halved.fit(X, Y).best_estimator_.max_epochs == 3


@pytest.mark.filterwarnings("ignore:.*rows with y == -1 are unlabelled")
def test_unlabelled_rows_go_through_a_search():
    data = make_kitchen(16, 15, unlabeled_fraction=0.3, random_state=0)
    search = GridSearchCV(
        anticipator(), {"smoothing": [0.0, 0.1]}, cv=KFold(2), error_score="raise"
    ).fit(data.X_past, data.y)
    assert -1 not in search.classes_


def test_two_processes_score_as_one():
    grid = {"smoothing": [0.0, 0.2], "network__dropout": [0.3]}
    one, two = (
        GridSearchCV(anticipator(), grid, cv=2, n_jobs=n_jobs).fit(X, Y)
        for n_jobs in (1, 2)
    )
    for name in ("split0_test_score", "split1_test_score"):
        assert_array_equal(one.cv_results_[name], two.cv_results_[name])


def test_wide_networks_come_back_from_other_processes():
    model = anticipator(MLP(600))  # weights beyond joblib's limit for memory maps
    wide = np.tile(X, (1, 30))
    found = cross_validate(model, wide, Y, cv=2, n_jobs=2, return_estimator=True)
    score = cross_validate(
        FrozenEstimator(found["estimator"][0]), wide, Y, cv=2, n_jobs=2
    )["test_score"]
    assert len(score) == 2


# -------------------------------------------------------------- row-aligned signals


def test_y_past_is_sliced_with_the_folds(seen):
    numbers = np.arange(len(Y))
    cv = KFold(3, shuffle=True, random_state=0)
    cross_validate(
        anticipator(prior=SpyPrior()), X, Y, cv=cv, params={"y_past": numbers}
    )
    assert len(seen) == 3
    for (labels, rows), (train, _) in zip(seen, cv.split(X), strict=True):
        assert_array_equal(rows, train)
        assert_array_equal(labels, Y[rows])


def test_y_past_is_sliced_in_a_pipeline_in_a_search(seen):
    numbers = np.arange(len(Y))
    pipe = make_pipeline(StandardScaler(), anticipator(prior=SpyPrior()))
    search = GridSearchCV(pipe, {"smoothedanticipator__lr": [0.01]}, cv=KFold(2))
    search.fit(X, Y, smoothedanticipator__y_past=numbers)
    halves = [numbers[len(Y) // 2 :], numbers[: len(Y) // 2], numbers]
    for (labels, rows), expected in zip(seen, halves, strict=True):
        assert_array_equal(rows, expected)
        assert_array_equal(labels, Y[rows])


def test_signals_are_routed_without_a_request(seen, routing):
    numbers = np.arange(len(Y))
    pipe = Pipeline([("scale", StandardScaler()), ("a", anticipator(prior=SpyPrior()))])
    search = GridSearchCV(pipe, {"a__smoothing": [0.1]}, cv=KFold(2), refit=False)
    search.fit(
        X,
        Y,
        y_past=numbers,
        past_actions=DATA.past_actions,
        X_future_unlabeled=DATA.X_future,
    )
    halves = [numbers[len(Y) // 2 :], numbers[: len(Y) // 2]]
    for (labels, rows), expected in zip(seen, halves, strict=True):
        assert_array_equal(rows, expected)
        assert_array_equal(labels, Y[rows])


def test_routing_knows_the_signals_and_not_the_clips():
    with sklearn.config_context(enable_metadata_routing=True):
        requests = anticipator().get_metadata_routing().fit.requests
    signals = "X_future_unlabeled past_actions y_past teacher_proba groups X_val y_val"
    assert requests == {
        **dict.fromkeys(signals.split(), True),
        "sample_weight": None,
    }


@pytest.mark.parametrize("name", ["X_future_unlabeled", "X_val"])
def test_transform_input_scales_the_other_clips(routing, name):
    class Recorder(SmoothedAnticipator):
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
            self.clips_ = {"X_val": X_val, "X_future_unlabeled": X_future_unlabeled}
            return super().fit(X_past, y)

    pipe = Pipeline(
        [("scale", StandardScaler()), ("a", Recorder(MLP(4), max_epochs=1))],
        transform_input=[name],
    )
    signals = {name: X + 5}
    if name == "X_val":
        signals["y_val"] = Y
    pipe.fit(X, Y, **signals)
    found = pipe.named_steps["a"].clips_[name]
    assert_allclose(found, (X + 5 - X.mean(axis=0)) / X.std(axis=0))


def test_validation_data_go_through_a_pipeline(routing):
    train = DATA.groups < 12
    pipe = Pipeline(
        [("scale", StandardScaler()), ("a", anticipator(early_stopping=True))],
        transform_input=["X_val"],
    )
    pipe.fit(X[train], Y[train], X_val=X[~train], y_val=Y[~train])
    scaler = StandardScaler().fit(X[train])
    alone = anticipator(early_stopping=True).fit(
        scaler.transform(X[train]),
        Y[train],
        X_val=scaler.transform(X[~train]),
        y_val=Y[~train],
    )
    assert pipe.named_steps["a"].history_ == alone.history_


def test_groups_reach_the_splitter_and_the_anticipator(routing):
    model = anticipator(early_stopping=True)
    result = cross_validate(
        model, X, Y, cv=GroupKFold(3), params={"groups": DATA.groups}
    )
    assert len(result["test_score"]) == 3


# ---------------------------------------------------------------------- pipelines


def test_sequences_are_scaled_frame_by_frame():
    clips = CLIPS.X_past.copy()
    clips[::3, 0] = np.nan
    pipe = make_pipeline(PerFrame(StandardScaler()), anticipator(LSTM(8)))
    proba = pipe.fit(clips, CLIPS.y).predict_proba(clips)
    scaled = PerFrame(StandardScaler()).fit_transform(clips)
    alone = anticipator(LSTM(8)).fit(scaled, CLIPS.y)
    assert_array_equal(proba, alone.predict_proba(scaled))


@pytest.mark.parametrize("network", [LSTM(8, embedding=4), MLP(8, embedding=4)])
@pytest.mark.parametrize("actions", [DATA.actions, None])
def test_histories_are_encoded_and_learnt_from(network, actions):
    past = label_history(DATA.segments, history=3)
    pipe = make_pipeline(
        HistoryEncoder(actions),
        anticipator(network, max_epochs=25, batch_size=32, lr=0.01),
    )
    cv = GroupKFold(3).split(X, Y, DATA.groups)
    score = cross_validate(pipe, past, Y, cv=cv, error_score="raise")["test_score"]
    assert score.mean() > 1.5 * np.bincount(Y).max() / len(Y)


def test_one_hot_histories_are_padded_clips():
    pipe = make_pipeline(HistoryEncoder(DATA.actions, form="onehot"), anticipator())
    pipe.fit(DATA.past_actions, Y)
    assert_allclose(pipe.predict_proba(DATA.past_actions).sum(axis=1), 1, rtol=1e-6)


def test_a_row_view_goes_through_a_search():
    found = [
        GridSearchCV(anticipator(), {"smoothing": [0.0, 0.3]}, cv=3)
        .fit(form, Y)
        .cv_results_["mean_test_score"]
        for form in (X, RowView(X))
    ]
    assert_array_equal(*found)


def test_cross_val_predict_gives_columns_for_all_classes():
    proba = cross_val_predict(anticipator(), X, Y, cv=3, method="predict_proba")
    assert_allclose(proba.sum(axis=1), 1)
    assert proba.shape == (len(X), 20)


def test_a_learning_curve():
    sizes, train, test = learning_curve(
        anticipator(), X, Y, cv=3, train_sizes=[0.5, 1.0], params={"y_past": Y}
    )
    assert train.shape == test.shape == (2, 3)
    assert np.isfinite(test).all()


# ---------------------------------------------------------------------- ensembles


@pytest.mark.skipif(
    sklearn.__version__.startswith("1.7"), reason="scikit-learn 1.8 scales temperatures"
)
def test_a_fitted_model_is_calibrated_as_it_is():
    model = anticipator().fit(X, Y)
    frozen = CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    proba = frozen.fit(X, Y).predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1)
    assert_array_equal(proba.argmax(axis=1), model.predict_proba(X).argmax(axis=1))


def test_sequences_are_calibrated():
    model = anticipator(LSTM(8)).fit(CLIPS.X_past, CLIPS.y)
    frozen = CalibratedClassifierCV(FrozenEstimator(model))
    assert_allclose(
        frozen.fit(CLIPS.X_past, CLIPS.y).predict_proba(CLIPS.X_past).sum(axis=1), 1
    )


def test_calibration_refits():
    few = Y % 3  # every class in every fold
    model = anticipator(classes=None)
    proba = CalibratedClassifierCV(model, cv=2).fit(X, few).predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize("network", [None, LSTM(8)])
def test_a_soft_vote_is_the_mean(network):
    data = DATA if network is None else CLIPS
    members = [anticipator(network, random_state=seed) for seed in (0, 1)]
    vote = VotingClassifier([("a", members[0]), ("b", members[1])], voting="soft").fit(
        data.X_past, data.y
    )
    expected = np.mean(
        [m.fit(data.X_past, data.y).predict_proba(data.X_past) for m in members], axis=0
    )
    assert_allclose(vote.predict_proba(data.X_past), expected)


def test_past_and_history_are_stacked():
    both = np.c_[X, DATA.past_actions]
    clip = make_pipeline(FunctionTransformer(lambda a: a[:, :12]), anticipator())
    history = make_pipeline(
        FunctionTransformer(lambda a: a[:, 12:].astype(int)),
        HistoryEncoder(DATA.actions),
        anticipator(LSTM(8, embedding=4)),
    )
    stack = StackingClassifier(
        [("clip", clip), ("history", history)],
        LogisticRegression(max_iter=500),
        cv=KFold(3),
    )
    assert stack.fit(both, Y).predict_proba(both).shape == (len(X), len(np.unique(Y)))


# ---------------------------------------------------------------------- callbacks


def test_epochs_are_scored_inside_a_search():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    pipe = make_pipeline(StandardScaler(), anticipator().set_callbacks(monitor))
    search = GridSearchCV(pipe, {"smoothedanticipator__smoothing": [0.0, 0.1]}, cv=2)
    search.fit(X, Y)
    logs = monitor.get_logs(select="all")
    # 2 candidates x 2 folds, and the refit
    assert sum(len(log.data) for log in logs) >= 5 * 2


def test_a_progress_bar_over_a_search(capsys):
    pytest.importorskip("rich")
    callback = pytest.importorskip("sklearn.callback")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), anticipator()),
        {"smoothedanticipator__smoothing": [0.0, 0.1]},
        cv=2,
    ).set_callbacks(callback.ProgressBar(max_propagation_depth=4))
    search.fit(X, Y)
    assert "SmoothedAnticipator" in capsys.readouterr().out
