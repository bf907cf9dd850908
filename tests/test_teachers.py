import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import gmean
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    RecognitionTeacher,
    RowView,
    TeacherEnsemble,
)
from skanticipate._samples import Samples
from skanticipate.datasets import make_kitchen
from skanticipate.teachers.cross_fit import cross_fitted_proba
from skanticipate.teachers.ensemble import seeded
from skanticipate.teachers.future import FutureTeaching
from skanticipate.teachers.maps import compute_maps, has_map
from skanticipate.teachers.protocol import ask, fit_teacher, split_transforms

RNG = np.random.default_rng(0)
CLASSES = np.array(["cut", "open", "pour", "wash"])
CODES = np.arange(40) % 4
CLIPS = RNG.normal(size=(40, 3)) + 2 * np.eye(4, 3)[CODES]
ROWS = RowView(CLIPS)
Y = CLASSES[CODES]


class Answering(ClassifierMixin, BaseEstimator):
    """Gives the answers it was made with, and remembers what it was fitted on."""

    def __init__(self, answers=None, labels=None):
        self.answers = answers
        self.labels = labels

    def fit(self, X, y):
        self.X_, self.y_ = X, y
        self.classes_ = np.unique(y) if self.labels is None else np.array(self.labels)
        return self

    def predict_proba(self, X):
        if self.answers is None:
            return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))
        return np.asarray(self.answers)[: len(X)]


def answers_of(answers, labels=None, n=2):
    teacher = Answering(answers, labels).fit(CLIPS, Y)
    return ask(teacher, ROWS[:n], CLASSES)


# ----------------------------------------------------------------------- protocol


class Counting(Answering):
    """Notes the threads of torch wherever it is called."""

    def fit(self, X, y):
        self.counts_ = [torch.get_num_threads()]
        return super().fit(X, y)

    def predict_proba(self, X):
        self.counts_.append(torch.get_num_threads())
        return super().predict_proba(X)

    def feature_map(self, X):
        self.counts_.append(torch.get_num_threads())
        return np.zeros((len(X), 1, 2), np.float32)


def test_a_teacher_that_is_not_ours_has_the_threads_of_its_user():
    before = torch.get_num_threads()
    student = DistilledAnticipator(
        MLP(8), teacher=Counting(), feature_weight=0.1, max_epochs=1, random_state=0
    )
    try:
        torch.set_num_threads(2)
        with pytest.warns(UserWarning, match="starts at random"):
            student.fit(CLIPS, Y, CLIPS)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert len(student.teacher_.counts_) >= 3
    assert set(student.teacher_.counts_) == {2}


def test_columns_are_aligned_by_label():
    given = [[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]]
    found = answers_of(given, ["wash", "cut", "pour", "open"])
    assert_allclose(found, [[0.2, 0.4, 0.3, 0.1], [0, 0, 0, 1]])


def test_a_class_that_the_teacher_does_not_know_gets_nothing():
    found = answers_of([[0.3, 0.7], [0.5, 0.5]], ["wash", "open"])
    assert_allclose(found, [[0, 0.7, 0, 0.3], [0, 0.5, 0, 0.5]])


def test_labels_that_the_student_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"student does not: \['fly'\].*classes="):
        answers_of([[0.5, 0.5]] * 2, ["cut", "fly"])


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([[0.5, 0.5, 0.5, 0.5]] * 2, "Row 0 sums to 2"),
        ([[0.25] * 4, [1.5, -0.5, 0, 0]], "Row 1 .*least entry is -0.5"),
        ([[0.25] * 4, [np.nan, 0.5, 0.5, 0]], "Row 1 sums to nan"),
        ([[np.inf, 0, 0, 0]] * 2, "must hold probabilities"),
        ([[0.25] * 4], r"must give \(2, 4\) .*got \(1, 4\)"),
        ([[0.5, 0.5]] * 2, r"must give \(2, 4\) .*got \(2, 2\)"),
        ([0.5, 0.5], r"got \(2,\)"),
    ],
    ids=["sum", "negative", "NaN", "infinite", "rows", "columns", "axes"],
)
def test_answers_that_are_no_probabilities_are_refused(answers, says):
    with pytest.raises(ValueError, match=says):
        answers_of(answers)


@pytest.mark.parametrize("dtype", [bool, int, np.float16, np.float32, np.float64])
def test_answers_may_be_of_any_kind(dtype):
    found = answers_of(np.eye(4, dtype=dtype)[[2, 0]])
    assert found.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert_array_equal(found, np.eye(4)[[2, 0]])


class NoClasses(BaseEstimator):
    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.ones((len(X), 1))


@pytest.mark.parametrize("teacher", [NoClasses(), LinearSVC()])
def test_who_cannot_say_probabilities_cannot_teach(teacher):
    fitted = fit_teacher(teacher, ROWS, Y)
    with pytest.raises(ValueError, match="cannot teach.*CalibratedClassifierCV"):
        ask(fitted, ROWS, CLASSES)


class Bare:
    def fit(self, X, y):
        return self


@pytest.mark.parametrize("teacher", [Bare(), LogisticRegression, "teacher"])
def test_what_is_no_estimator_cannot_teach(teacher):
    with pytest.raises(
        TypeError, match="must be a classifier with fit.*teacher_proba="
    ):
        seeded(teacher, 0)


def test_a_teacher_is_cloned_and_fitted():
    teacher = LogisticRegression(C=0.3)
    fitted = fit_teacher(teacher, ROWS, Y)
    assert not hasattr(teacher, "classes_")
    expected = LogisticRegression(C=0.3).fit(CLIPS, Y).predict_proba(CLIPS)
    assert_array_equal(ask(fitted, ROWS, CLASSES), expected)


def test_a_frozen_teacher_is_used_as_it_is():
    other = RNG.permutation(Y)
    frozen = FrozenEstimator(LogisticRegression().fit(CLIPS, other))
    expected = frozen.predict_proba(CLIPS)
    fitted = fit_teacher(frozen, ROWS, Y, sample_weight=np.ones(40))
    assert_array_equal(ask(fitted, ROWS, CLASSES), expected)


class Signalled(Answering):
    def fit(self, X, y, groups=None, sample_weight=None):
        self.groups_, self.sample_weight_ = groups, sample_weight
        return super().fit(X, y)


def test_signals_reach_a_fit_that_names_them():
    groups, weights = np.arange(40), np.linspace(1, 2, 40)
    told = fit_teacher(Signalled(), ROWS, Y, groups=groups, sample_weight=weights)
    assert told.groups_ is groups
    assert told.sample_weight_ is weights
    fit_teacher(Answering(), ROWS, Y, groups=groups, sample_weight=weights)
    alone = fit_teacher(Signalled(), ROWS, Y, groups=None)
    assert alone.groups_ is None


def test_a_teacher_is_given_an_array_or_a_view_of_a_memory_map(tmp_path):
    assert type(fit_teacher(Answering(), ROWS[3:9], Y[3:9]).X_) is np.ndarray
    np.save(tmp_path / "clips.npy", CLIPS)
    mapped = RowView(np.load(tmp_path / "clips.npy", mmap_mode="r"))
    seen = fit_teacher(Answering(), mapped[3:9], Y[3:9]).X_
    assert type(seen) is RowView
    assert_array_equal(seen, CLIPS[3:9])


@pytest.mark.parametrize(
    "frozen", [False, True], ids=["fitted by the student", "frozen"]
)
def test_maps_are_found_behind_the_steps_of_a_pipeline(frozen):
    teacher = RecognitionTeacher(MLP(5), max_epochs=1, random_state=0)
    scaler = StandardScaler().fit(CLIPS)
    scaled = scaler.transform(CLIPS)
    expected = teacher.fit(scaler.transform(scaled), Y).feature_map(
        scaler.transform(scaled)
    )
    # the second scaler finds scaled clips, so it is made to do as the first
    again = FunctionTransformer(scaler.transform)
    pipe = Pipeline(
        [
            ("scale", scaler),
            ("rest", Pipeline([("scale", again), ("t", clone(teacher))])),
        ]
    )
    pipe.fit(CLIPS, Y)
    found = FrozenEstimator(pipe) if frozen else pipe
    assert has_map(found)
    assert_allclose(np.asarray(compute_maps(found, ROWS)), expected, rtol=1e-6)
    transforms, last = split_transforms(found)
    assert len(transforms.steps) == 2
    assert isinstance(last, RecognitionTeacher)


def test_who_has_no_map():
    for teacher in (LogisticRegression(), make_pipeline(StandardScaler(), Answering())):
        assert not has_map(teacher.fit(CLIPS, Y))


class Mapping(Answering):
    """Its map is a function of the clip; wrong shapes on demand."""

    def feature_map(self, X):
        X = np.asarray(X)
        return X[:, None] if self.answers is None else np.zeros(self.answers)


def test_maps_are_computed_in_order_over_batches(monkeypatch):
    monkeypatch.setattr("skanticipate.teachers.maps.prediction_batch", lambda rows: 7)
    maps = compute_maps(Mapping().fit(CLIPS, Y), ROWS)
    assert_array_equal(np.asarray(maps), CLIPS[:, None])


@pytest.mark.parametrize("shape", [(40, 3), (39, 1, 3), (40, 2, 2, 3)])
def test_maps_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"must give \(n, N, d\) for n clips, got"):
        compute_maps(Mapping(shape).fit(CLIPS, Y), ROWS)


# -------------------------------------------------------------------------- seeds


def test_open_seeds_are_set_and_others_kept():
    pipe = make_pipeline(
        LogisticRegression(random_state=5),
        DecisionTreeClassifier(),
        RecognitionTeacher(),
    )
    once, again, other = seeded(pipe, 0), seeded(pipe, 0), seeded(pipe, 1)
    assert once[0].random_state == 5
    assert isinstance(once[1].random_state, int)
    assert once[1].random_state == again[1].random_state != other[1].random_state
    assert once[1].random_state != once[2].random_state
    assert pipe[1].random_state is None


def test_a_frozen_estimator_has_no_seeds():
    frozen = FrozenEstimator(DecisionTreeClassifier().fit(CLIPS, Y))
    assert seeded(frozen, 0).estimator is frozen.estimator


# ------------------------------------------------------------------ cross-fitting


def teach(teacher, codes=CODES, n_folds=4, groups=None, seed=0):
    return cross_fitted_proba(
        teacher, ROWS, codes, CLASSES, n_folds, seed, groups=groups, sample_weight=None
    )


def test_a_memoriser_knows_the_labels_it_was_fitted_on_and_no_others():
    noise = RowView(np.random.default_rng(1).normal(size=(40, 3)))
    teacher = KNeighborsClassifier(1)
    memorised = ask(fit_teacher(teacher, noise, Y), noise, CLASSES)
    assert_array_equal(memorised.argmax(axis=1), CODES)
    found = cross_fitted_proba(
        teacher, noise, CODES, CLASSES, 4, 0, groups=None, sample_weight=None
    )
    assert (found.argmax(axis=1) == CODES).mean() < 0.5


@pytest.mark.parametrize("grouped", [False, True])
def test_cross_fitted_answers_are_those_of_a_loop_over_folds(grouped):
    groups = np.arange(40) // 5 if grouped else None
    split = (
        GroupKFold(4) if grouped else StratifiedKFold(4, shuffle=True, random_state=7)
    )
    expected = np.empty((40, 4))
    for training, held in split.split(CLIPS, Y, groups):
        model = LogisticRegression().fit(CLIPS[training], Y[training])
        expected[held] = model.predict_proba(CLIPS[held])
    found = teach(LogisticRegression(), groups=groups, seed=7)
    assert_allclose(found, expected, rtol=1e-12)


def test_long_tails_are_folded_without_strata():
    codes = np.r_[np.zeros(20, int), np.ones(19, int), 2]
    expected = np.zeros((40, 4))
    for training, held in KFold(4, shuffle=True, random_state=3).split(CLIPS):
        model = LogisticRegression().fit(CLIPS[training], CLASSES[codes[training]])
        columns = np.searchsorted(CLASSES, model.classes_)
        expected[np.ix_(held, columns)] = model.predict_proba(CLIPS[held])
    assert_allclose(teach(LogisticRegression(), codes, seed=3), expected, rtol=1e-12)


ASKED = []


class Spy(Answering):
    """Writes down the rows it was fitted on and those it was asked about."""

    def predict_proba(self, X):
        ASKED.append((self.X_[:, 0].astype(int), X[:, 0].astype(int)))
        return super().predict_proba(X)


@pytest.fixture
def asked():
    ASKED.clear()
    yield ASKED
    ASKED.clear()


def spied(codes, groups):
    numbers = RowView(np.arange(len(codes), dtype=float)[:, None])
    return cross_fitted_proba(
        Spy(), numbers, codes, CLASSES, 3, 0, groups=groups, sample_weight=None
    )


def test_no_teacher_answers_for_a_group_it_was_fitted_on(asked):
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 8, 60)
    codes = np.where(rng.random(60) < 0.5, -1, rng.integers(0, 4, 60))
    codes[groups == 7] = -1  # a group without labels
    found = spied(codes, groups)
    assert_allclose(found.sum(axis=1), 1)
    assert len(asked) == 3
    times = np.zeros(60, int)
    for fitted, answered in asked:
        assert (codes[fitted] >= 0).all()
        assert not set(groups[fitted]) & set(groups[answered])
        times[answered] += 1
    assert (times[groups != 7] == 1).all()
    assert (times[groups == 7] == 3).all()


def test_without_groups_all_teachers_answer_for_unlabelled_rows(asked):
    codes = np.where(np.arange(60) < 20, -1, np.arange(60) % 4)
    spied(codes, None)
    times = np.zeros(60, int)
    for fitted, answered in asked:
        assert not set(fitted) & set(answered)
        times[answered] += 1
    assert (times == np.where(codes < 0, 3, 1)).all()


def test_unlabelled_rows_get_the_mean_of_the_folds():
    codes = np.where(np.arange(40) < 8, -1, CODES)
    split = StratifiedKFold(4, shuffle=True, random_state=0)
    labelled = np.arange(8, 40)
    answers = [
        LogisticRegression()
        .fit(CLIPS[labelled[training]], Y[labelled[training]])
        .predict_proba(CLIPS[:8])
        for training, _ in split.split(labelled, codes[labelled])
    ]
    found = teach(LogisticRegression(), codes)
    assert_allclose(found[:8], np.mean(answers, axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("codes", "groups", "says"),
    [
        (np.where(np.arange(40) < 3, CODES, -1), None, "as many labelled rows.* are 3"),
        (CODES, np.arange(40) % 3, "as many groups with labelled rows.* are 3"),
        (
            np.where(np.arange(40) < 20, CODES, -1),
            np.arange(40) // 10,
            "groups with labelled rows.* are 2",
        ),
    ],
)
def test_more_folds_than_there_is_to_fold(codes, groups, says):
    with pytest.raises(ValueError, match=says):
        teach(LogisticRegression(), codes, groups=groups)


def test_a_frozen_teacher_cannot_be_cross_fitted():
    with pytest.raises(ValueError, match="FrozenEstimator cannot.*teacher_proba="):
        teach(FrozenEstimator(LogisticRegression().fit(CLIPS, Y)))


# ----------------------------------------------------------------------- ensembles


def frozen(answers, labels):
    return FrozenEstimator(Answering(answers, labels).fit(CLIPS, Y))


def members():
    rng = np.random.default_rng(3)
    return [rng.dirichlet(np.ones(4), size=40) for _ in range(3)]


@pytest.mark.parametrize("average", ["log_proba", "proba"])
def test_an_ensemble_answers_with_a_mean(average):
    answers = members()
    order = [2, 0, 3, 1]
    teachers = [
        frozen(answers[0], CLASSES),
        frozen(answers[1][:, order], CLASSES[order]),
        frozen(answers[2], CLASSES),
    ]
    ensemble = TeacherEnsemble(teachers, average=average).fit(CLIPS, Y)
    expected = np.mean(answers, axis=0)
    if average == "log_proba":
        expected = gmean(answers, axis=0)
        expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(ensemble.predict_proba(CLIPS), expected, rtol=1e-12)
    assert_array_equal(ensemble.predict(CLIPS), CLASSES[expected.argmax(axis=1)])
    assert_array_equal(ensemble.classes_, CLASSES)


def test_a_class_that_a_member_does_not_know_counts_as_nothing():
    answers = np.tile([0.1, 0.2, 0.3, 0.4], (40, 1))
    few = np.tile([0.5, 0.5], (40, 1))
    teachers = [frozen(answers, CLASSES), frozen(few, ["cut", "wash"])]
    mean = TeacherEnsemble(teachers, average="proba").fit(CLIPS, Y)
    assert_allclose(mean.predict_proba(CLIPS)[0], [0.3, 0.1, 0.15, 0.45])
    product = TeacherEnsemble(teachers).fit(CLIPS, Y).predict_proba(CLIPS)[0]
    roots = np.sqrt([0.1 * 0.5, 0, 0, 0.4 * 0.5])
    assert_allclose(product, roots / roots.sum(), atol=1e-12)


def test_members_that_exclude_each_other_still_give_probabilities():
    teachers = [
        frozen(np.eye(4)[CODES], CLASSES),
        frozen(np.eye(4)[CODES - 1], CLASSES),
    ]
    proba = TeacherEnsemble(teachers).fit(CLIPS, Y).predict_proba(CLIPS)
    assert_allclose(proba, (np.eye(4)[CODES] + np.eye(4)[CODES - 1]) / 2, atol=1e-12)


def test_the_same_member_may_stand_there_several_times():
    member = RecognitionTeacher(MLP(4), max_epochs=2)
    ensemble = TeacherEnsemble([member, member, member], random_state=0)
    ensemble.fit(CLIPS, Y)
    assert not hasattr(member, "classes_")
    seeds = [teacher.random_state for teacher in ensemble.teachers_]
    assert len(set(seeds)) == 3
    one, two, _ = (teacher.predict_proba(CLIPS) for teacher in ensemble.teachers_)
    assert not np.allclose(one, two)
    again = clone(ensemble).fit(CLIPS, Y)
    assert_array_equal(again.predict_proba(CLIPS), ensemble.predict_proba(CLIPS))
    other = clone(ensemble).set_params(random_state=1).fit(CLIPS, Y)
    assert not np.allclose(other.predict_proba(CLIPS), ensemble.predict_proba(CLIPS))


def test_members_keep_seeds_of_their_own():
    teachers = [
        RecognitionTeacher(MLP(4), max_epochs=1, random_state=s) for s in (3, 4)
    ]
    fitted = TeacherEnsemble(teachers, random_state=0).fit(CLIPS, Y).teachers_
    assert [teacher.random_state for teacher in fitted] == [3, 4]
    alone = teachers[1].fit(CLIPS, Y).predict_proba(CLIPS)
    assert_array_equal(fitted[1].predict_proba(CLIPS), alone)


def test_members_get_the_signals_they_name():
    groups, weights = np.arange(40), np.ones(40)
    ensemble = TeacherEnsemble([Signalled(), Answering()])
    ensemble.fit(CLIPS, Y, groups=groups, sample_weight=weights)
    assert ensemble.teachers_[0].groups_ is groups
    assert ensemble.teachers_[0].sample_weight_ is weights


def test_members_see_sequences_and_views():
    kitchen = make_kitchen(4, 10, n_steps=3, n_features=6, random_state=0)
    flat = make_pipeline(
        FunctionTransformer(lambda clips: clips.reshape(len(clips), -1)),
        LogisticRegression(),
    )
    ensemble = TeacherEnsemble(
        [RecognitionTeacher(LSTM(4), max_epochs=1), flat], random_state=0
    )
    proba = ensemble.fit(kitchen.X_future, kitchen.y).predict_proba(kitchen.X_future)
    viewed = clone(ensemble).fit(RowView(kitchen.X_future), kitchen.y)
    assert_array_equal(viewed.predict_proba(RowView(kitchen.X_future)), proba)


def test_an_ensemble_is_a_scikit_learn_estimator():
    ensemble = TeacherEnsemble([LogisticRegression(C=2)], average="proba")
    copy = clone(ensemble)
    assert copy.get_params()["average"] == "proba"
    assert copy.teachers[0] is not ensemble.teachers[0]
    assert copy.teachers[0].C == 2
    assert not has_map(ensemble)


@pytest.mark.parametrize(
    ("ensemble", "error", "says"),
    [
        (TeacherEnsemble([]), ValueError, "teachers is empty"),
        (TeacherEnsemble([Bare()]), TypeError, "must be a classifier with fit"),
        (TeacherEnsemble(LogisticRegression()), ValueError, "'teachers' parameter"),
        (
            TeacherEnsemble([Answering()], average="median"),
            ValueError,
            "'average' parameter",
        ),
    ],
)
def test_bad_ensembles_are_explained(ensemble, error, says):
    with pytest.raises(error, match=says):
        ensemble.fit(CLIPS, Y)


@pytest.mark.parametrize(
    ("y", "says"), [(None, "requires y"), (CODES + 0.5, "Unknown label type")]
)
def test_bad_labels_of_an_ensemble_are_explained(y, says):
    with pytest.raises(ValueError, match=says):
        TeacherEnsemble([Answering()]).fit(CLIPS, y)


# --------------------------------------------------------------- what is told a fit


def samples(codes=CODES, seen=None, **parts):
    seen = np.ones(40, bool) if seen is None else seen
    return Samples(ROWS, codes, futures=RowView(CLIPS), seen=seen, **parts)


def teaching(teacher, told, cross_fit=0):
    return FutureTeaching(
        teacher, told, CLASSES, cross_fit=cross_fit, seed=0, folder=None
    )


@pytest.mark.parametrize("cross_fit", [0, 3])
def test_a_teacher_sees_labelled_rows_with_a_future(cross_fit):
    codes = np.where(np.arange(40) < 12, -1, CODES)
    seen = np.arange(40) % 5 != 0
    signals = {"groups": np.arange(40) // 2, "weights": np.linspace(1, 2, 40)}
    told = teaching(Signalled(), samples(codes, seen, **signals), cross_fit)
    rows = np.flatnonzero(seen & (codes >= 0))
    assert_array_equal(told.teacher.X_, CLIPS[rows])
    assert_array_equal(told.teacher.y_, Y[rows])
    assert_array_equal(told.teacher.groups_, signals["groups"][rows])
    relative = signals["weights"][rows] / signals["weights"][rows].mean()
    assert_allclose(told.teacher.sample_weight_, relative, rtol=1e-12)
    assert_array_equal(np.isnan(told.proba).all(axis=1), ~seen)
    assert_allclose(told.proba[seen], 0.25)


def test_accuracy_counts_labelled_rows_with_a_future():
    codes = np.where(np.arange(40) < 12, -1, CODES)
    seen = np.arange(40) % 5 != 0
    told = teaching(LogisticRegression(), samples())
    rows = np.flatnonzero(seen & (codes >= 0))
    expected = np.mean(told.teacher.predict(CLIPS[rows]) == Y[rows])
    assert told.accuracy(samples(codes, seen), CLASSES) == expected
    assert told.accuracy(samples(codes, codes < 0), CLASSES) is None


def test_a_teacher_without_labelled_futures_has_nothing_to_learn_from():
    codes = np.where(np.arange(40) < 12, -1, CODES)
    told = samples(codes, codes < 0)
    with pytest.raises(ValueError, match="No labelled row has a future.*FrozenEstim"):
        teaching(LogisticRegression(), told)
    ready = FrozenEstimator(LogisticRegression().fit(CLIPS, Y))
    assert_allclose(teaching(ready, told).proba[:12], ready.predict_proba(CLIPS[:12]))


# ------------------------------------------------------------ recognition teacher


def test_recognition_teacher_is_a_plain_classifier_of_clips():
    teacher = RecognitionTeacher(MLP(16), max_epochs=40, lr=0.02, random_state=0)
    assert teacher.fit(CLIPS, Y).score(CLIPS, Y) > 0.7
    assert set(teacher.history_[0]) == {"epoch", "lr", "loss", "base"}
    assert teacher.feature_map(CLIPS).shape == (40, 1, 16)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_an_ensemble_that_was_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(TeacherEnsemble([Answering()]), method)(CLIPS)


# ------------------------------------------------------ signals through a Pipeline


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "deep", [False, True], ids=["one pipeline", "a pipeline in it"]
)
def test_signals_reach_the_last_step_of_a_pipeline(routing, deep):
    last = LogisticRegression()
    teacher = make_pipeline(StandardScaler(), last)
    if deep:
        teacher = make_pipeline(StandardScaler(with_std=False), teacher)
    clips = np.random.default_rng(0).normal(size=(40, 3))
    y, weight = np.arange(40) % 2, np.linspace(0.1, 3, 40)
    with sklearn.config_context(enable_metadata_routing=routing):
        fitted = fit_teacher(teacher, RowView(clips), y, sample_weight=weight)
    scaled = (clips - clips.mean(axis=0)) / clips.std(axis=0)
    expected = LogisticRegression().fit(scaled, y, sample_weight=weight)
    found = fitted[-1][-1] if deep else fitted[-1]
    assert_allclose(found.coef_, expected.coef_, rtol=1e-6)
    assert_allclose(
        fitted.predict_proba(clips), expected.predict_proba(scaled), rtol=1e-6
    )
