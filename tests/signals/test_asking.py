import warnings

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from toy_teachers import CLASSES, CLIPS, CODES, ROWS, Answering, Signalled, Y

from skanticipate import (
    MLP,
    DistilledAnticipator,
    LateFusion,
    RecognitionTeacher,
    ReplicaEnsemble,
    RowView,
    TeacherEnsemble,
)
from skanticipate.signals.asking import ask, fit_teacher, reading_all, seeded


def answers_of(answers, labels=None, n=2):
    teacher = Answering(answers, labels).fit(CLIPS, Y)
    return ask(teacher, ROWS[:n], CLASSES)


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
    other = np.random.default_rng(1).permutation(Y)
    frozen = FrozenEstimator(LogisticRegression().fit(CLIPS, other))
    expected = frozen.predict_proba(CLIPS)
    fitted = fit_teacher(frozen, ROWS, Y, sample_weight=np.ones(40))
    assert_array_equal(ask(fitted, ROWS, CLASSES), expected)


def test_signals_reach_a_fit_that_names_them():
    groups, weights = np.arange(40), np.linspace(1, 2, 40)
    told = fit_teacher(Signalled(), ROWS, Y, groups=groups, sample_weight=weights)
    assert told.groups_ is groups
    assert told.sample_weight_ is weights
    with pytest.warns(UserWarning, match="sample_weight cannot be passed to Answering"):
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


SIGNED = CODES - 1  # -1 is a class here
ASKS = {"teacher_weight": 1.0, "max_epochs": 1}
TEACHER = RecognitionTeacher(MLP(4), max_epochs=2, random_state=0)


@pytest.mark.parametrize(
    "teacher",
    [
        TEACHER,
        make_pipeline(StandardScaler(), TEACHER),
        GridSearchCV(TEACHER, {"lr": [0.01]}, cv=2),
        TeacherEnsemble([TEACHER, LogisticRegression()], average="proba"),
        LateFusion([("all", TEACHER, (0, None))]),
        ReplicaEnsemble(TEACHER, n_replicas=2, random_state=0),
    ],
    ids=lambda teacher: type(teacher).__name__,
)
@pytest.mark.parametrize("said", [{"unlabeled_label": None}, {"classes": range(-1, 3)}])
def test_minus_one_is_a_class_to_a_teacher_as_to_its_student(teacher, said):
    student = DistilledAnticipator(MLP(4), teacher=teacher, **ASKS, **said)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "classes holds -1")
        student.set_params(random_state=0).fit(CLIPS, SIGNED, CLIPS)
    # The same labels by other names, of which none looks like a marker.
    named = clone(student).set_params(unlabeled_label="auto", classes=None)
    named.fit(CLIPS, CODES, CLIPS)
    assert_array_equal(student.teacher_.classes_, [-1, 0, 1, 2])
    found, expected = (m.teacher_.predict_proba(CLIPS) for m in (student, named))
    assert_allclose(found, expected, atol=1e-7)


def test_a_part_that_is_told_what_marks_a_row_keeps_it():
    teacher = clone(TEACHER).set_params(unlabeled_label=-1)
    assert reading_all(teacher, SIGNED).unlabeled_label == -1
    assert reading_all(clone(TEACHER), CODES).unlabeled_label == "auto"


def test_a_teacher_that_takes_a_class_for_the_marker_is_told_of():
    fusion = LateFusion([("all", LogisticRegression(), (0, None))])
    student = DistilledAnticipator(MLP(4), teacher=fusion, **ASKS)
    with pytest.warns(UserWarning, match="LateFusion was shown rows of -1, a class"):
        student.set_params(unlabeled_label=None).fit(CLIPS, SIGNED, CLIPS)
    assert_array_equal(student.teacher_.classes_, [0, 1, 2])


@pytest.mark.parametrize(
    "teacher",
    [
        TEACHER,
        TeacherEnsemble([TEACHER, LogisticRegression()]),
        ReplicaEnsemble(LogisticRegression(random_state=0), n_replicas=1),
    ],
    ids=lambda teacher: type(teacher).__name__,
)
def test_a_teacher_says_nothing_of_labels_that_its_student_knows(teacher):
    y = np.array(["NA", "cut", "open", "wash"])[CODES]
    student = DistilledAnticipator(MLP(4), teacher=teacher, **ASKS)
    student.set_params(classes=np.unique(y)).fit(CLIPS, y, CLIPS)  # without a warning
    with pytest.warns(UserWarning) as told:
        student.set_params(classes=None).fit(CLIPS, y, CLIPS)
    assert ["which is a class like any other" in str(w.message) for w in told] == [True]


def test_a_frozen_estimator_has_no_seeds():
    frozen = FrozenEstimator(DecisionTreeClassifier().fit(CLIPS, Y))
    assert seeded(frozen, 0).estimator is frozen.estimator


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
