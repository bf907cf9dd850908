"""Who is training: what verbose lines say, and what callbacks hear of a fit."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    HistoryTeacher,
    LateFusion,
    RecognitionTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
    fit_many,
)
from skanticipate.estimator.telling import who

Y = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 4)) + Y[:, None]
FUTURES = X + 0.1
GROUPS = np.arange(60) // 6
PAST_ACTIONS = (Y[:, None] + np.arange(2)) % 3


def student(**options):
    options = {"max_epochs": 2, "random_state": 0, "classes": range(3)} | options
    if "teacher" in options:  # else it has the student's network, and starts it
        options["teacher_weight"] = 1.0
    return DistilledAnticipator(MLP(4), **options)


def teacher(**options):
    options = {"max_epochs": 2, "classes": range(3)} | options
    return RecognitionTeacher(MLP(4), **options)


def speakers(capsys):
    """Who printed, in their order, and how many lines each."""
    lines = capsys.readouterr().out.splitlines()
    assert all("epoch " in line for line in lines)
    names = [line.partition("epoch ")[0].removesuffix(": ") for line in lines]
    return {name: names.count(name) for name in dict.fromkeys(names)}


# -------------------------------------------------------------------- verbose lines


def test_a_fit_alone_needs_no_name(capsys):
    SmoothedAnticipator(MLP(4), max_epochs=2, verbose=1).fit(X, Y)
    assert speakers(capsys) == {"": 2}


def test_teacher_and_student_are_named(capsys):
    student(verbose=1).fit(X, Y, FUTURES)
    assert speakers(capsys) == {"teacher": 2, "student": 2}


def test_folds_of_a_cross_fit_are_named(capsys):
    student(verbose=1, cross_fit=2).fit(X, Y, FUTURES, groups=GROUPS)
    names = ["teacher, all rows", "teacher, fold 1 of 2", "teacher, fold 2 of 2"]
    assert speakers(capsys) == dict.fromkeys([*names, "student"], 2)


def test_a_teacher_of_a_pipeline_and_members_of_an_ensemble_are_named(capsys):
    student(teacher=make_pipeline(StandardScaler(), teacher(verbose=1))).fit(
        X, Y, FUTURES
    )
    assert speakers(capsys) == {"teacher": 2}
    both = TeacherEnsemble([teacher(verbose=1), teacher(verbose=1)])
    student(teacher=both).fit(X, Y, FUTURES)
    assert speakers(capsys) == {
        "teacher, member 1 of 2": 2,
        "teacher, member 2 of 2": 2,
    }


def test_members_of_a_fusion_are_named(capsys):
    own = SmoothedAnticipator(MLP(4), max_epochs=2, verbose=1)
    LateFusion([("rgb", own, (0, 2)), ("flow", own, (2, 4))]).fit(X, Y)
    assert speakers(capsys) == {"member 'rgb'": 2, "member 'flow'": 2}


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_candidates_of_a_search_are_named(kind, capsys):
    if kind is GridSearchCV:  # which tells of candidates to callbacks only
        pytest.importorskip("sklearn.callback")
    model = SmoothedAnticipator(MLP(4), max_epochs=1, verbose=1)
    pipe = make_pipeline(StandardScaler(), model)
    kind(pipe, {"smoothedanticipator__lr": [0.1, 0.2]}, cv=2).fit(X, Y)
    names = [f"fit {k} of 4" for k in (1, 2, 3, 4)]
    assert speakers(capsys) == dict.fromkeys([*names, "refit"], 1)


def test_teachers_of_candidates_are_named(capsys):
    search = BatchedGridSearchCV(student(verbose=1), {"lr": [0.1]}, cv=2, refit=False)
    search.fit(X, Y, X_future_unlabeled=FUTURES)
    parts = [f"fit {k} of 2, {who}" for k in (1, 2) for who in ("teacher", "student")]
    assert speakers(capsys) == dict.fromkeys(parts, 2)


def test_many_fits_are_named(capsys):
    fit_many([student(verbose=1, lr=lr) for lr in (0.1, 0.2)], X, Y)
    assert speakers(capsys) == {"fit 1 of 2": 2, "fit 2 of 2": 2}


def test_what_goes_wrong_leaves_no_name_behind(capsys):
    with pytest.raises(ValueError, match="n_neighbors"):
        student(teacher=KNeighborsClassifier(100)).fit(X, Y, FUTURES)
    assert who() == ""
    SmoothedAnticipator(MLP(4), max_epochs=1, verbose=1).fit(X, Y)
    assert speakers(capsys) == {"": 1}


# ------------------------------------------------------------------------ callbacks


class Listener:
    """Draws the tree of tasks: {path of names: number of times that it ended}."""

    def __init__(self):
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(path_of(context))

    def on_fit_task_end(self, estimator, context):
        self.ended.append(path_of(context))

    def tree(self):
        assert sorted(self.begun) == sorted(self.ended)
        assert self.ended[-1] == "fit"
        return {path: self.ended.count(path) for path in dict.fromkeys(self.begun)}


class HandedOn(Listener):
    """One that scikit-learn hands to the estimators within, as its bars."""

    max_propagation_depth = None


def path_of(context):
    """Names of the task and those above: of the one that another fit began there."""
    names = []
    while context is not None:
        names.append(context.source_task_name or context.task_name)
        context = context.parent
    return "/".join(names[::-1])


def heard(model, listener=HandedOn, **given):
    pytest.importorskip("sklearn.callback")
    listener = listener()
    model.set_callbacks(listener).fit(X, Y, **given)
    return listener.tree()


OF_STUDENT = {"fit/student": 1, "fit/student/epoch": 2}


def test_callbacks_hear_of_the_teacher_and_its_epochs():
    told = heard(student(), X_future_unlabeled=FUTURES)
    assert told == {"fit": 1, "fit/teacher": 1, "fit/teacher/epoch": 2, **OF_STUDENT}
    # In this order: a bar does not wait for the teacher.
    assert list(told)[:3] == ["fit", "fit/teacher", "fit/teacher/epoch"]


def test_callbacks_that_are_not_handed_on_hear_when_the_teacher_begins_and_ends():
    told = heard(student(), Listener, X_future_unlabeled=FUTURES)
    assert told == {"fit": 1, "fit/teacher": 1, **OF_STUDENT}


def test_a_fit_without_a_teacher_has_epochs_alone():
    assert heard(student()) == {"fit": 1, "fit/epoch": 2}


def test_callbacks_hear_of_folds_that_are_trained_together():
    told = heard(student(cross_fit=2), X_future_unlabeled=FUTURES, groups=GROUPS)
    folds = [f"fit/teacher/{k}" for k in ("all rows", "fold 1 of 2", "fold 2 of 2")]
    epochs = {f"{fold}/teacher-epoch": 2 for fold in folds}
    assert told == {"fit": 1, "fit/teacher": 1} | dict.fromkeys(folds, 1) | (
        epochs | OF_STUDENT
    )


def test_watching_a_cross_fit_does_not_change_it():
    given = {"X_future_unlabeled": FUTURES, "groups": GROUPS}
    plain = student(cross_fit=2).fit(X, Y, **given)
    watched = student(cross_fit=2)
    heard(watched, **given)
    assert (watched.predict_proba(X) == plain.predict_proba(X)).all()


@pytest.mark.parametrize(
    ("own", "below"),
    [
        (LogisticRegression(), ["fit/teacher/lbfgs-iter"]),
        (RandomForestClassifier(2), []),
        (FrozenEstimator(RandomForestClassifier(2).fit(FUTURES, Y)), []),
        (make_pipeline(StandardScaler(), teacher()), ["fit/teacher/epoch"]),
        (
            TeacherEnsemble([teacher(), teacher()]),
            [
                f"fit/teacher/member {k} of 2{epoch}"
                for k in (1, 2)
                for epoch in ("", "/teacher-epoch")
            ],
        ),
        (
            TeacherEnsemble([teacher(), RandomForestClassifier(2)]),
            [
                *("fit/teacher/member 1 of 2", "fit/teacher/member 1 of 2/epoch"),
                "fit/teacher/member 2 of 2",
            ],
        ),
    ],
    ids=["logistic", "forest", "frozen", "pipeline", "ensemble", "mixed"],
)
def test_any_teacher_is_told_of(own, below):
    told = heard(student(teacher=own), X_future_unlabeled=FUTURES)
    expected = {"fit", "fit/teacher", *below, *OF_STUDENT}
    assert set(told) == expected


def test_the_text_teacher_is_told_of():
    reader = HistoryTeacher(n_networks=1, max_epochs=3)
    given = {"X_future_unlabeled": FUTURES, "past_actions": PAST_ACTIONS}
    told = heard(student(text_teacher=reader), **given, groups=GROUPS)
    assert told["fit/teacher"] == told["fit/text teacher"] == 1
    for k in (1, 2):
        assert told[f"fit/text teacher/network {k} of 2/teacher-epoch"] == 3
    assert told["fit/student/epoch"] == 2


def test_a_kept_teacher_is_told_of(tmp_path):
    model = student(teacher_cache=tmp_path)
    model.fit(X, Y, FUTURES)
    told = heard(model, X_future_unlabeled=FUTURES)
    assert told == {"fit": 1, "fit/teacher": 1, **OF_STUDENT}


def test_answers_alone_need_no_teacher():
    told = heard(student(teacher_weight=1.0), teacher_proba=np.eye(3)[Y])
    assert told == {"fit": 1, "fit/epoch": 2}


def test_a_search_as_teacher_trains_its_candidates_together(recwarn):
    search = BatchedGridSearchCV(teacher(), {"lr": [0.1, 0.2]}, cv=2)
    told = heard(student(teacher=search), X_future_unlabeled=FUTURES)
    assert not [w for w in recwarn if "one candidate after the other" in str(w.message)]
    assert told["fit/teacher"] == 1
    assert told["fit/student/epoch"] == 2


def test_bars_of_a_teacher_of_its_own_stay():
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    own = teacher().set_callbacks(callback.ProgressBar())
    told = heard(student(teacher=own), X_future_unlabeled=FUTURES)
    assert told == {"fit": 1, "fit/teacher": 1, **OF_STUDENT}


def test_a_bar_shows_teacher_and_student(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    model = student().set_callbacks(callback.ProgressBar())
    model.fit(X, Y, FUTURES)
    shown = capsys.readouterr().out
    for name in ("fit", "teacher", "student"):
        assert f"DistilledAnticipator - {name}" in shown
    assert not hasattr(model.teacher_, "_skl_callbacks")
