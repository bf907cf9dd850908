"""A kind of teacher that the library does not have, with an argument of its own."""

import inspect
from dataclasses import dataclass, fields

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from toy_teachers import Signalled

from skanticipate import (
    MLP,
    DistilledAnticipator,
    LateFusion,
    ReplicaEnsemble,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.data.validation import check_futures
from skanticipate.estimator.given import Given
from skanticipate.signals.signal import Asked, TeacherSignal

RNG = np.random.default_rng(0)
CODES = np.arange(60) % 3
Y = np.where(np.arange(60) % 2, CODES, -1)
X = RNG.normal(size=(60, 5))
GAZE = RNG.normal(size=(60, 2)) * 0.3 + np.eye(3)[CODES][:, :2]
GAZE[[1, 3, 5]] = np.nan  # labelled rows without
HAS = ~np.isnan(GAZE[:, 0])
STEP = {"max_epochs": 1, "random_state": 0, "dtype": "float64", "smoothing": 0.0}


class GazeSignal(TeacherSignal):
    name, sees, parameter = "gaze", "gaze", "gaze_teacher"

    def check(self, given, past, classes, *, marker, estimator):
        found = {}
        if given.gaze is not None:
            gaze = check_futures(given.gaze, name="gaze", estimator=estimator)
            found = self.found(*gaze)
        self.warn_if_silent(found, "no row with gaze", gaze=given.gaze)
        return found


@dataclass(frozen=True, eq=False)
class GivenGaze(Given):
    gaze: object = None


class Gazing(DistilledAnticipator):
    """With what is no parameter: the tests clone nothing."""

    gaze_teacher, gaze_weight, default = None, 1.0, None

    def fit(self, X_past, y, X_future_unlabeled=None, *, gaze=None, groups=None):
        given = GivenGaze(X_past, y, X_future_unlabeled, groups=groups, gaze=gaze)
        self._fit(given)
        return self

    def _signals(self):
        asked = self._asked(self.gaze_teacher, self.default)
        return [*super()._signals(), GazeSignal(asked, weight=self.gaze_weight)]


def gazing(teacher=None, weight=1.0, **params):
    model = Gazing(MLP(8), **{**STEP, **params})
    model.gaze_teacher = teacher or LogisticRegression()
    model.gaze_weight = weight
    return model


def test_losses_are_those_of_the_answers():
    model = gazing(weight=0.7, batch_size=100, unlabeled_fraction=None)
    first = model.fit(X, Y, gaze=GAZE).history_[0]
    still = gazing(weight=0.7, batch_size=100, unlabeled_fraction=None, lr=1e-30)
    proba = still.set_params(weight_decay=0.0).fit(X, Y, gaze=GAZE).predict_proba(X)
    labelled = Y >= 0
    teacher = LogisticRegression().fit(GAZE[labelled & HAS], Y[labelled & HAS])
    said = np.full((60, 3), np.nan)
    said[HAS] = teacher.predict_proba(GAZE[HAS])
    divergence = (said * np.log(said / proba)).sum(axis=1)  # of rows with gaze
    hard = -np.log(proba[labelled, Y[labelled]])
    base = np.r_[hard, divergence[~labelled & HAS]].mean()
    assert_allclose(first["base"], base, rtol=1e-9)
    assert_allclose(first["gaze"], divergence[labelled & HAS].mean(), rtol=1e-9)
    assert_allclose(first["loss"], first["base"] + 0.7 * first["gaze"], rtol=1e-9)
    assert_allclose(model.gaze_teacher_.coef_, teacher.coef_)


def test_unlabelled_rows_learn_from_all_who_speak_of_them():
    params = {"batch_size": 100, "unlabeled_fraction": None, "lr": 1e-30}
    future = RNG.normal(size=(60, 4))
    model = gazing(teacher=LogisticRegression(), weight_decay=0.0, **params)
    model.set_params(teacher=LogisticRegression()).fit(X, Y, future, gaze=GAZE)
    proba, labelled = model.predict_proba(X), Y >= 0
    losses = np.zeros(60)
    losses[labelled] = -np.log(proba[labelled, Y[labelled]])
    for teacher, clips, has in (
        (model.teacher_, future, ~labelled),
        (model.gaze_teacher_, GAZE, ~labelled & HAS),
    ):
        said = teacher.predict_proba(clips[has])
        losses[has] += (said * np.log(said / proba[has])).sum(axis=1)
    assert_allclose(model.history_[0]["base"], losses.mean(), rtol=1e-9)


def test_a_teacher_that_does_not_count_leaves_the_others_as_they_were():
    future = RNG.normal(size=(60, 5))
    plain = DistilledAnticipator(MLP(8), **STEP).fit(X, Y, future)
    other = gazing(weight=0).fit(X, Y, future, gaze=GAZE)
    assert other.gaze_teacher_ is None
    assert_array_equal(other.predict_proba(X), plain.predict_proba(X))


def test_the_teacher_gets_the_groups_and_a_seed_of_its_own():
    groups = np.arange(60) // 4
    told = gazing(Signalled()).fit(X, Y, gaze=GAZE, groups=groups).gaze_teacher_
    assert_array_equal(told.groups_, groups[(Y >= 0) & HAS])
    random = gazing(LogisticRegression()).fit(X, Y, gaze=GAZE).gaze_teacher_
    assert random.random_state is not None


def test_the_default_is_made_for_the_rows_that_there_are():
    model, seen = gazing(), []
    model.gaze_teacher = None
    model.default = lambda *sizes: seen.append(sizes) or LogisticRegression()
    model.fit(X, Y, gaze=GAZE)
    assert seen == [(60, ((Y >= 0) & HAS).sum())]


def test_a_teacher_that_sees_nothing():
    with pytest.raises(ValueError, match="No labelled row has gaze, so the gaze teach"):
        gazing().fit(X, Y, gaze=np.where((Y >= 0)[:, None], np.nan, GAZE))
    with pytest.raises(ValueError, match="gaze has 59 rows but X_past has 60"):
        gazing().fit(X, Y, gaze=GAZE[1:])
    with pytest.warns(UserWarning, match="gaze_teacher is set, but there is no row wi"):
        model = gazing().fit(X[Y >= 0], Y[Y >= 0])
    assert model.gaze_teacher_ is None


@pytest.mark.parametrize(
    "fit",
    [
        SmoothedAnticipator.fit,
        DistilledAnticipator.fit,
        LateFusion.fit,
        ReplicaEnsemble.fit,
        fit_many,
    ],
)
def test_every_fit_takes_all_that_is_given(fit):
    assert {field.name for field in fields(Given)} <= set(
        inspect.signature(fit).parameters
    )


def test_a_signal_without_a_classifier_asks_nobody():
    asked = Asked(None, default=None, cross_fit=0, folder=None)
    assert GazeSignal(asked, weight=1.0).fitted() == {"gaze_teacher_": None}
