import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from scipy.stats import gmean
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from toy_teachers import CLASSES, CLIPS, CODES, Answering, Signalled, Y

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    RecognitionTeacher,
    RowView,
    TeacherEnsemble,
)
from skanticipate.datasets import make_kitchen
from skanticipate.signals.maps import has_map


class Bare:
    def fit(self, X, y):
        return self


def frozen(answers, labels):
    return FrozenEstimator(Answering(answers, labels).fit(CLIPS, Y))


def members():
    rng = np.random.default_rng(3)
    return [rng.dirichlet(np.ones(4), size=40) for _ in range(3)]


@pytest.mark.parametrize("average", ["log_proba", "proba", "max", "attention"])
def test_an_ensemble_answers_as_one(average):
    answers = members()
    order = [2, 0, 3, 1]
    teachers = [
        frozen(answers[0], CLASSES),
        frozen(answers[1][:, order], CLASSES[order]),
        frozen(answers[2], CLASSES),
    ]
    ensemble = TeacherEnsemble(teachers, average=average).fit(CLIPS, Y)
    expected = np.mean(answers, axis=0)
    if average in ("log_proba", "attention"):
        expected = gmean(answers, axis=0)
        expected /= expected.sum(axis=1, keepdims=True)
    if average == "max":  # of the logarithms, then their softmax
        expected = softmax(np.log(answers).max(axis=0), axis=1)
    assert_allclose(ensemble.predict_proba(CLIPS), expected, rtol=1e-12)
    assert_array_equal(ensemble.predict(CLIPS), CLASSES[expected.argmax(axis=1)])
    assert_array_equal(ensemble.classes_, CLASSES)


def test_a_class_that_a_member_does_not_know_counts_as_nothing():
    answers = np.tile([0.1, 0.2, 0.3, 0.4], (40, 1))
    few = np.tile([0.5, 0.5], (40, 1))
    teachers = [frozen(answers, CLASSES), frozen(few, ["cut", "wash"])]
    mean = TeacherEnsemble(teachers, average="proba").fit(CLIPS, Y)
    assert_allclose(mean.predict_proba(CLIPS)[0], [0.3, 0.1, 0.15, 0.45])
    largest = TeacherEnsemble(teachers, average="max").fit(CLIPS, Y)
    highest = np.array([0.5, 0.2, 0.3, 0.5])
    assert_allclose(largest.predict_proba(CLIPS)[0], highest / highest.sum())
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
    with pytest.warns(UserWarning, match="sample_weight cannot be passed to Answering"):
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


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_an_ensemble_that_was_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(TeacherEnsemble([Answering()]), method)(CLIPS)


def test_a_class_that_only_members_know_is_one_of_the_ensemble():
    """Of classes 0 to 4 the rows have 1 and 3: a fold of a long tail."""
    clips, y = np.random.default_rng(0).normal(size=(12, 3)), np.array([1, 3] * 6)
    member = RecognitionTeacher(MLP(4), classes=range(5), max_epochs=1, random_state=0)
    plain = LogisticRegression()
    ensemble = TeacherEnsemble([member, plain], average="proba").fit(clips, y)
    assert_array_equal(ensemble.classes_, range(5))
    expected = clone(member).fit(clips, y).predict_proba(clips) / 2
    expected[:, [1, 3]] += plain.fit(clips, y).predict_proba(clips) / 2
    assert_allclose(ensemble.predict_proba(clips), expected, rtol=1e-6)
    student = DistilledAnticipator(MLP(4), classes=range(5), max_epochs=1)
    two = TeacherEnsemble([member, clone(member).set_params(random_state=1)])
    student.set_params(teacher=two, teacher_weight=1.0).fit(clips, y, clips)
    assert_array_equal(student.teacher_.classes_, range(5))


def test_members_that_are_alike_with_their_seeds_are_told_of():
    def member(seed, **params):
        return RecognitionTeacher(MLP(4), max_epochs=1, random_state=seed, **params)

    twins = TeacherEnsemble([member(3), member(4), member(3)], average="proba")
    with pytest.warns(UserWarning, match="Member 3 of 3 has the parameters of another"):
        twins.fit(CLIPS, Y)
    one, _, other = (teacher.predict_proba(CLIPS) for teacher in twins.teachers_)
    assert_array_equal(one, other)
    # Those that differ in anything, or have no seed, are said nothing of.
    others = [member(3), member(3, lr=0.01), member(None), member(None)]
    TeacherEnsemble([*others, GaussianNB(), GaussianNB()]).fit(CLIPS, Y)


def test_a_frozen_member_that_knows_labels_of_another_type_is_refused():
    clips, y = np.random.default_rng(0).normal(size=(12, 3)), np.array([1, 3] * 6)
    member = FrozenEstimator(LogisticRegression().fit(clips, y.astype(str)))
    with pytest.raises(ValueError, match="classes_ of a member holds strings"):
        TeacherEnsemble([member]).fit(clips, y)


def test_a_mean_that_is_none_is_refused_after_fit_too():
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    teacher = TeacherEnsemble([LogisticRegression(), LogisticRegression(C=0.01)])
    teacher.fit(X, y).set_params(average="mean")
    with pytest.raises(ValueError, match="The 'average' parameter of TeacherEnsemble"):
        teacher.predict_proba(X)
