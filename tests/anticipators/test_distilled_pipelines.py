import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
)
from skanticipate.datasets import make_kitchen

pytestmark = pytest.mark.filterwarnings(
    # the kitchen's tail: some actions are rarer than there are folds
    "ignore:The least populated class in y"
)

DATA = make_kitchen(12, 10, n_features=12, unlabeled_fraction=0.4, random_state=0)
CLIPS = make_kitchen(12, 10, n_steps=4, n_features=6, random_state=0)
PAST, FUTURE, Y = DATA.X_past, DATA.X_future, DATA.y
CLASSES = list(range(20))
NUMBERS = np.arange(len(Y))


def anticipator(network=None, **params):
    return DistilledAnticipator(
        MLP(6) if network is None else network,
        **{"max_epochs": 2, "random_state": 0, "classes": CLASSES, **params},
    )


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


TAUGHT = []


class SpyTeacher(ClassifierMixin, BaseEstimator):
    """Writes down what it was fitted on, and knows nothing."""

    def fit(self, X, y):
        TAUGHT.append((np.array(X), np.array(y)))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.fixture
def taught():
    TAUGHT.clear()
    yield TAUGHT
    TAUGHT.clear()


SPYING = {"teacher": SpyTeacher(), "max_epochs": 1}


def labelled(rows):
    return rows[Y[rows] >= 0]


# ------------------------------------------------------------- sliced with the folds


def check_slices(taught, trainings):
    assert len(taught) == len(trainings)
    for (futures, labels), training in zip(taught, trainings, strict=True):
        assert_array_equal(futures, FUTURE[labelled(training)])
        assert_array_equal(labels, Y[labelled(training)])


@pytest.mark.parametrize("form", [np.asarray, list, RowView])
def test_futures_are_sliced_by_cross_validate(form, taught):
    cv = KFold(3, shuffle=True, random_state=0)
    signals = {"X_future_unlabeled": form(FUTURE)}
    cross_validate(anticipator(**SPYING), PAST, Y, cv=cv, params=signals)
    check_slices(taught, [training for training, _ in cv.split(PAST)])


def test_futures_are_sliced_by_a_search(taught):
    search = GridSearchCV(anticipator(**SPYING), {"alpha": [0.1]}, cv=KFold(2))
    search.fit(PAST, Y, X_future_unlabeled=FUTURE)
    half = len(Y) // 2
    check_slices(taught, [NUMBERS[half:], NUMBERS[:half], NUMBERS])


@pytest.mark.parametrize("routed", [False, True])
def test_futures_are_sliced_in_a_pipeline_in_a_search(routed, taught):
    pipe = Pipeline([("clf", anticipator(**SPYING))])
    name = "X_future_unlabeled" if routed else "clf__X_future_unlabeled"
    with sklearn.config_context(enable_metadata_routing=routed):
        search = GridSearchCV(pipe, {"clf__alpha": [0.1]}, cv=KFold(2), refit=False)
        search.fit(PAST, Y, **{name: FUTURE})
    half = len(Y) // 2
    check_slices(taught, [NUMBERS[half:], NUMBERS[:half]])


def test_unlabelled_rows_train_and_never_test(taught):
    split = SemiSupervisedSplit(cv=GroupKFold(3))
    search = GridSearchCV(
        anticipator(**SPYING), {"alpha": [0.1, 1.0]}, cv=split, error_score="raise"
    )
    search.fit(PAST, Y, X_future_unlabeled=FUTURE, groups=DATA.groups)
    trainings = [training for training, _ in split.split(PAST, Y, DATA.groups)]
    check_slices(taught, [*trainings, *trainings, NUMBERS])
    for training, test in split.split(PAST, Y, DATA.groups):
        assert (Y[test] >= 0).all()
        assert (Y[training] < 0).any()


@pytest.mark.parametrize("signal", ["teacher_proba", "X_future_unlabeled"])
def test_a_search_scores_what_a_loop_scores(signal):
    value = FUTURE
    if signal == "teacher_proba":
        value = np.random.default_rng(0).dirichlet(np.ones(20), size=len(Y))
    cv = SemiSupervisedSplit(cv=3)
    grid = {"teacher_weight": [0.0, 1.0]}
    search = GridSearchCV(anticipator(), grid, cv=cv, refit=False)
    search.fit(PAST, Y, **{signal: value})
    for k, weight in enumerate(grid["teacher_weight"]):
        for fold, (training, test) in enumerate(cv.split(PAST, Y)):
            model = anticipator(teacher_weight=weight)
            model.fit(PAST[training], Y[training], **{signal: value[training]})
            found = search.cv_results_[f"split{fold}_test_score"][k]
            assert found == model.score(PAST[test], Y[test])


def test_other_tools_pass_futures_on():
    signals = {"X_future_unlabeled": FUTURE}
    y = DATA.segments.action
    proba = cross_val_predict(
        anticipator(), PAST, y, cv=3, method="predict_proba", params=signals
    )
    assert_allclose(proba.sum(axis=1), 1)
    sizes = learning_curve(
        anticipator(), PAST, y, cv=3, train_sizes=[0.5, 1.0], params=signals
    )[0]
    assert len(sizes) == 2


# ------------------------------------------------------------------------- scaling


class Recorded(BaseEstimator, TransformerMixin):
    """Standardises, and tells what it was fitted on."""

    def fit(self, X, y=None):
        self.mean_, self.std_ = X.mean(axis=0), X.std(axis=0)
        return self

    def transform(self, X):
        return (X - self.mean_) / self.std_


def test_futures_are_scaled_by_the_scaler_of_the_fold(routing, taught):
    pipe = Pipeline(
        [("scale", Recorded()), ("clf", anticipator(**SPYING))],
        transform_input=["X_future_unlabeled"],
    )
    cv = SemiSupervisedSplit(cv=2)
    search = GridSearchCV(pipe, {"clf__alpha": [0.1]}, cv=cv, refit=False)
    search.fit(7 * PAST + 3, Y, X_future_unlabeled=7 * FUTURE + 3)
    trainings = [training for training, _ in cv.split(PAST, Y)]
    for (futures, _), training in zip(taught, trainings, strict=True):
        past = PAST[training]
        expected = (FUTURE[labelled(training)] - past.mean(axis=0)) / past.std(axis=0)
        assert_allclose(futures, expected, rtol=1e-9)


def test_unscaled_futures_beside_scaled_pasts_are_warned_of():
    pipe = make_pipeline(StandardScaler(), anticipator())
    with pytest.warns(UserWarning, match="different scales.*transform_input="):
        pipe.fit(100 * PAST, Y, distilledanticipator__X_future_unlabeled=100 * FUTURE)


def test_sequences_are_scaled_frame_by_frame(routing):
    past, future = 50 * CLIPS.X_past + 9, 50 * CLIPS.X_future + 9
    past[3, :2], future[5, :1], future[7] = np.nan, np.nan, np.nan
    pipe = Pipeline(
        [("scale", PerFrame(StandardScaler())), ("clf", anticipator(LSTM(6)))],
        transform_input=["X_future_unlabeled"],
    )
    pipe.fit(past, CLIPS.y, X_future_unlabeled=future[:, 1:])
    scaler = PerFrame(StandardScaler()).fit(past)
    alone = anticipator(LSTM(6)).fit(
        scaler.transform(past), CLIPS.y, scaler.transform(future[:, 1:])
    )
    assert alone.started_from_teacher_
    assert_array_equal(
        pipe.predict_proba(past), alone.predict_proba(scaler.transform(past))
    )


def test_a_routed_pipeline_needs_no_future(routing):
    pipe = Pipeline(
        [("scale", StandardScaler()), ("clf", anticipator())],
        transform_input=["X_future_unlabeled"],
    )
    assert pipe.fit(PAST, np.abs(Y)).predict(PAST).shape == Y.shape


# ---------------------------------------------------------------------- side by side


@pytest.mark.filterwarnings("ignore:.*rows with y == -1 are unlabelled")
@pytest.mark.parametrize("routed", [False, True])
def test_estimators_stand_side_by_side_in_one_grid(routed):
    smoothed = SmoothedAnticipator(
        MLP(6), max_epochs=2, random_state=0, classes=CLASSES
    )
    pipe = Pipeline([("scale", PerFrame(StandardScaler())), ("clf", smoothed)])
    grid = [
        {"clf": [smoothed], "clf__smoothing": [0.0, 0.2]},
        {"clf": [anticipator()], "clf__alpha": [None, 1.0], "clf__cross_fit": [0, 2]},
    ]
    name = "clf__X_future_unlabeled"
    if routed:
        pipe.set_params(transform_input=["X_future_unlabeled"])
        name = "X_future_unlabeled"
    with sklearn.config_context(enable_metadata_routing=routed):
        search = GridSearchCV(
            pipe, grid, cv=SemiSupervisedSplit(cv=2), error_score="raise"
        )
        search.fit(PAST, Y, **{name: FUTURE})
    assert len(search.cv_results_["params"]) == 6
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_a_grid_search_into_the_teacher():
    search = GridSearchCV(
        anticipator(teacher=RecognitionTeacher(MLP(6), classes=CLASSES)),
        [
            {"teacher__max_epochs": [1, 3], "teacher__network__hidden_size": [6, 9]},
            {"teacher": [None, LogisticRegression(max_iter=500)]},
            {"network__hidden_size": [4], "init_from_teacher": ["auto", False]},
        ],
        cv=SemiSupervisedSplit(cv=2),
        error_score="raise",
    ).fit(PAST, Y, X_future_unlabeled=FUTURE)
    assert len(search.cv_results_["params"]) == 8


def best_score(past, y, future, groups):
    """Cross-validated score of the best of a grid."""
    pipe = Pipeline(
        [("scale", StandardScaler()), ("clf", anticipator(MLP(32), max_epochs=12))],
        transform_input=["X_future_unlabeled"],
    )
    grid = {"clf__alpha": [None, 1.0], "clf__feature_weight": [None, 0.5]}
    cv = SemiSupervisedSplit(cv=GroupKFold(3))
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(pipe, grid, cv=cv, error_score="raise")
        search.fit(past, y, X_future_unlabeled=future, groups=groups)
    return search.best_score_


@pytest.mark.filterwarnings("ignore:.*rows with y == -1 are unlabelled")
@pytest.mark.filterwarnings("ignore:.*no teacher is asked")
def test_a_search_with_futures_beats_one_without_and_one_with_wrong_futures():
    data = make_kitchen(50, 12, unlabeled_fraction=0.75, random_state=1)
    wrong = np.random.default_rng(0).permutation(data.X_future)
    scores = {
        name: best_score(data.X_past, data.y, future, data.groups)
        for name, future in [
            ("true", data.X_future),
            ("shuffled", wrong),
            ("missing", np.full_like(wrong, np.nan)),
        ]
    }
    assert scores["true"] > scores["missing"] + 0.05, scores
    assert scores["true"] > scores["shuffled"] + 0.05, scores


# --------------------------------------------------------------------------- storage


def written(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("form", ["view", "map", "view of a map"])
def test_futures_in_any_storage_teach_the_same(form, tmp_path):
    past, future = CLIPS.X_past.astype(np.float32), CLIPS.X_future.astype(np.float32)
    future[4] = np.nan
    given = [past, future]
    if form != "view":
        given = [written(a, tmp_path / f"{k}.npy") for k, a in enumerate(given)]
    if form != "map":
        given = [RowView(array) for array in given]
    one = anticipator(LSTM(5)).fit(past, CLIPS.y, future)
    other = anticipator(LSTM(5)).fit(given[0], CLIPS.y, given[1])
    assert one.history_ == other.history_
    cv = KFold(2)
    found = [
        cross_validate(
            anticipator(LSTM(5)), X, CLIPS.y, cv=cv, params={"X_future_unlabeled": F}
        )["test_score"]
        for X, F in ((past, future), given)
    ]
    assert_array_equal(*found)


def test_futures_of_half_precision_teach_what_their_values_are():
    half = CLIPS.X_future.astype(np.float16)
    one, other = (
        anticipator(LSTM(5)).fit(
            CLIPS.X_past.astype(np.float32), CLIPS.y, half.astype(dtype)
        )
        for dtype in (np.float16, np.float32)
    )
    assert one.history_ == other.history_


@pytest.mark.parametrize("steps", [2, 9])
@pytest.mark.parametrize("alignment", ["weak", "student", "teacher", "pooled"])
def test_futures_may_be_of_another_length(steps, alignment):
    future = np.resize(CLIPS.X_future, (len(CLIPS.y), steps, 6))
    model = anticipator(LSTM(5), alignment=alignment).fit(CLIPS.X_past, CLIPS.y, future)
    assert model.started_from_teacher_
    assert model.history_[0]["feature"] > 0


def test_futures_may_have_other_axes_for_a_teacher_of_their_own():
    teacher = RecognitionTeacher(MLP(6), max_epochs=1)
    model = anticipator(LSTM(5), teacher=teacher, teacher_weight=1.0)
    model.fit(CLIPS.X_past, CLIPS.y, CLIPS.X_future.mean(axis=1))
    assert not model.started_from_teacher_
    assert model.teacher_.n_features_in_ == 6


# ------------------------------------------------------------- copies of a fitted one


def copies(model, tmp_path):
    yield pickle.loads(pickle.dumps(model))
    model.save(tmp_path / "model.safetensors")
    yield skanticipate.load(tmp_path / "model.safetensors")


def test_a_fitted_student_is_copied_with_its_teacher(tmp_path):
    model = anticipator(LSTM(5)).fit(CLIPS.X_past, CLIPS.y, CLIPS.X_future)
    for again in copies(model, tmp_path):
        assert_array_equal(
            again.predict_proba(CLIPS.X_past), model.predict_proba(CLIPS.X_past)
        )
        assert_array_equal(
            again.teacher_.feature_map(CLIPS.X_future),
            model.teacher_.feature_map(CLIPS.X_future),
        )
        assert again.history_ == model.history_
        assert again.feature_weight_ == model.feature_weight_


def test_a_clone_is_unfitted_and_learns_the_same():
    model = anticipator(teacher=RecognitionTeacher(MLP(6), classes=CLASSES))
    model.fit(PAST, Y, FUTURE)
    again = clone(model)
    assert not hasattr(again, "teacher_")
    assert again.fit(PAST, Y, FUTURE).history_ == model.history_


def test_it_comes_back_from_other_processes_with_its_teacher():
    signals = {"X_future_unlabeled": FUTURE}
    one, two = (
        cross_validate(
            anticipator(),
            PAST,
            Y,
            cv=SemiSupervisedSplit(cv=2),
            n_jobs=n_jobs,
            params=signals,
            return_estimator=True,
        )["estimator"]
        for n_jobs in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        assert a.history_ == b.history_
        assert_array_equal(
            a.teacher_.predict_proba(FUTURE), b.teacher_.predict_proba(FUTURE)
        )
