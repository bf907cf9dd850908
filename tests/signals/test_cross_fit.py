import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from toy_teachers import CLASSES, CLIPS, CODES, ROWS, Answering, Y

from skanticipate import RowView
from skanticipate.signals.asking import ask, fit_teacher
from skanticipate.signals.cross_fit import cross_fitted


def teach(teacher, codes=CODES, n_folds=4, groups=None, seed=0):
    return cross_fitted(
        teacher, ROWS, codes, CLASSES, n_folds, seed, groups=groups, sample_weight=None
    )[1]


def test_a_memoriser_knows_the_labels_it_was_fitted_on_and_no_others():
    noise = RowView(np.random.default_rng(1).normal(size=(40, 3)))
    teacher = KNeighborsClassifier(1)
    memorised = ask(fit_teacher(teacher, noise, Y), noise, CLASSES)
    assert_array_equal(memorised.argmax(axis=1), CODES)
    _, found = cross_fitted(
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
    return cross_fitted(
        Spy(), numbers, codes, CLASSES, 3, 0, groups=groups, sample_weight=None
    )[1]


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
