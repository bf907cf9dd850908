"""Text teachers that a student weighs by attention."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from together import assert_as_alone
from torch import nn

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    HistoryTeacher,
    LateFusion,
    NetworkSpec,
    Output,
    RowView,
    TeacherEnsemble,
)
from skanticipate.signals.candidates import mean_of_candidates
from skanticipate.signals.members import ask_members, features_of_members
from skanticipate.signals.text import check_past_actions

C, N = 4, 48
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, 5))
Y = RNG.integers(0, C, N)
READ = RNG.integers(0, C, (N, 3))
READ[::8] = -1
GROUPS = np.arange(N) % 8
WEIGHTS = RNG.uniform(0.5, 2, N)


class Reader(ClassifierMixin, BaseEstimator):
    """Answers drawn for each last action; `width` channels of features, 0 for none."""

    def __init__(self, seed=0, width=0):
        self.seed = seed
        self.width = width
        if width:
            self.feature_map = self._feature_map

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.arange(C)
        return self

    def _drawn(self, X, n):
        table = np.random.default_rng(self.seed).normal(size=(C + 1, n))
        return table[np.asarray(X)[:, -1].astype(int)]

    def predict_proba(self, X):
        return softmax(2 * self._drawn(X, C), axis=1)

    def _feature_map(self, X):
        maps = np.stack([self._drawn(X, self.width)] * 3, axis=1)
        maps[:, 0] = np.nan  # padding
        return maps


def ensemble(*readers, **params):
    return TeacherEnsemble(readers, **{"average": "attention", **params})


def student(teacher, **params):
    settings = {"max_epochs": 4, "lr": 0.02, "random_state": 0, "batch_size": 16}
    settings |= {"dtype": "float64", "classes": range(C)}
    settings |= params
    return DistilledAnticipator(MLP(6), text_teacher=teacher, **settings)


@pytest.mark.parametrize("width", [0, 3])
@pytest.mark.parametrize("cross_fit", [0, 2])
def test_members_that_say_the_same_teach_as_one(width, cross_fit):
    alone, several = (
        student(teacher, cross_fit=cross_fit).fit(
            X, Y, past_actions=READ, groups=GROUPS, sample_weight=WEIGHTS
        )
        for teacher in (Reader(1, width), ensemble(*[Reader(1, width)] * 3))
    )
    assert_allclose(several.predict_proba(X), alone.predict_proba(X), atol=1e-9)
    for one, other in zip(several.history_, alone.history_, strict=True):
        assert_allclose(one["text"], other["text"], rtol=1e-6)


def test_members_are_weighed_and_a_fit_repeats_itself():
    teacher = ensemble(Reader(0), Reader(1), Reader(2))
    model = student(teacher).fit(X, Y, past_actions=READ)
    again = clone(model).fit(X, Y, past_actions=READ)
    assert model.history_ == again.history_
    assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    mean = student(clone(teacher).set_params(average="log_proba"))
    mean.fit(X, Y, past_actions=READ)
    # What each step minimises by the weights too comes out smaller.
    assert model.history_[-1]["text"] < mean.history_[-1]["text"]
    heads = student(clone(teacher).set_params(n_heads=1)).fit(X, Y, past_actions=READ)
    assert heads.history_[-1]["text"] != model.history_[-1]["text"]
    assert model.network_.state_dict().keys() == mean.network_.state_dict().keys()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_each_member_answers_and_shows_its_features(before, frozen):
    readers = [Reader(0, 3), Reader(1, 3)]
    teacher = ensemble(*readers)
    if before:
        teacher = make_pipeline(FunctionTransformer(lambda past: past % C), teacher)
    fitted = teacher.fit(np.abs(READ), Y)
    if frozen:
        fitted = FrozenEstimator(fitted)
    seen = np.abs(READ) % C
    answers = ask_members(fitted, RowView(np.abs(READ)), np.arange(C))
    expected = [reader.fit(seen, Y).predict_proba(seen) for reader in readers]
    assert_array_equal(answers, np.stack(expected, axis=1))
    features = features_of_members(fitted, RowView(np.abs(READ)))
    expected = [reader.feature_map(seen)[:, 1] for reader in readers]
    assert_allclose(features, np.stack(expected, axis=1), rtol=1e-12)


def test_features_are_used_where_all_members_have_some_of_one_width():
    for readers, there_are in (
        ([Reader(0, 3), Reader(1, 3)], True),
        ([Reader(0, 3), Reader(1, 2)], False),
        ([Reader(0, 3), Reader(1)], False),
    ):
        fitted = ensemble(*readers).fit(READ, Y)
        assert (features_of_members(fitted, RowView(READ)) is not None) == there_are
        model = student(ensemble(*readers), max_epochs=1)
        assert np.isfinite(model.fit(X, Y, past_actions=READ).loss_curve_).all()


def test_of_several_candidates_answers_and_features_are_means():
    past = RNG.integers(0, C, (N, 3, 2))
    past[RNG.random((N, 3)) < 0.4] = -1
    past[:, 0] = np.abs(past[:, 0])
    histories, _ = check_past_actions(past)
    fitted = ensemble(Reader(0, 3), Reader(1, 3)).fit(past[:, 0], Y)
    answers = ask_members(fitted, histories, np.arange(C))
    features = features_of_members(fitted, histories)
    for row in range(N):
        there = past[row][(past[row] >= 0).any(axis=1)]
        for m, reader in enumerate(fitted.teachers_):
            logs = np.log(reader.predict_proba(there))
            assert_allclose(answers[row, m], softmax(logs.mean(axis=0)), rtol=1e-10)
            own = reader.feature_map(there)[:, 1].mean(axis=0)
            assert_allclose(features[row, m], own, rtol=1e-10)
    model = student(ensemble(Reader(0, 3), Reader(1, 3)), max_epochs=1)
    assert "text" in model.fit(X, Y, past_actions=past).history_[0]


def test_a_mean_over_candidates_keeps_single_ones():
    answers = RNG.dirichlet(np.ones(C), size=(3, 2))
    mean = mean_of_candidates(answers, np.array([0, 1, 1]))
    assert_array_equal(mean[0], answers[0])
    expected = softmax(np.log(answers[1:]).mean(axis=0), axis=-1)
    assert_allclose(mean[1], expected, rtol=1e-12)


# ------------------------------------------------------------------- wherever it goes


def test_fits_together_are_one_by_one():
    teacher = ensemble(Reader(0), Reader(1))
    models = [student(teacher, text_weight=weight) for weight in (0.5, 1.0)]
    assert_as_alone(models, X, Y, past_actions=READ, together=1)


def test_stages_and_held_out_rows():
    clips = RNG.normal(size=(N, 4, 3))
    model = student(ensemble(Reader(0), Reader(1)), early_stopping=True)
    model.set_params(network=LSTM(5, anticipation_steps=2), text_top_k=2)
    model.fit(clips, Y, past_actions=READ, groups=GROUPS)
    # Whoever asks without a student gets the mean.
    assert 0 <= model.history_[0]["text_val_accuracy"] <= 1
    assert len(list(model.staged_predict_proba(clips))) == 2


def test_a_cache_keeps_the_answers_of_all_members(tmp_path):
    readers = [HistoryTeacher(order=k, n_networks=1, max_epochs=1) for k in (1, 2)]
    fits = [
        student(ensemble(*readers), teacher_cache=folder, text_weight=0.5).fit(
            X, Y, past_actions=READ, groups=GROUPS
        )
        for folder in (None, tmp_path, tmp_path)
    ]
    assert len(list(tmp_path.iterdir())) == 1
    for model in fits[1:]:
        assert_array_equal(model.predict_proba(X), fits[0].predict_proba(X))
    path = tmp_path / "model.safetensors"
    fits[0].save(path)
    for again in (skanticipate.load(path), pickle.loads(pickle.dumps(fits[0]))):
        assert_array_equal(again.predict_proba(X), fits[0].predict_proba(X))
        assert_array_equal(
            again.text_teacher_.predict_proba(READ),
            fits[0].text_teacher_.predict_proba(READ),
        )


def test_members_of_a_fusion_have_each_their_own():
    model = student(ensemble(Reader(0), Reader(1)))
    fusion = LateFusion([("one", model, (0, 3)), ("two", model, (3, None))])
    fusion.fit(X, Y, past_actions=READ)
    for (start, stop), member in zip(
        fusion.columns_.values(), fusion.estimators_, strict=True
    ):
        alone = clone(model).fit(X[:, start:stop], Y, past_actions=READ)
        seen = X[:, start:stop]
        assert_array_equal(member.predict_proba(seen), alone.predict_proba(seen))


def test_without_a_student_members_have_a_mean():
    answers = [Reader(k).fit(READ, Y).predict_proba(READ) for k in (0, 1)]
    fitted = ensemble(Reader(0), Reader(1)).fit(READ, Y)
    expected = softmax(np.log(answers).mean(axis=0), axis=1)
    assert_allclose(fitted.predict_proba(READ), expected, rtol=1e-10)


def test_as_a_teacher_of_futures_an_ensemble_answers_with_the_mean():
    some = np.where(np.arange(N) % 2, Y, -1)
    members = [LogisticRegression(C=c) for c in (0.1, 1.0)]
    models = [
        DistilledAnticipator(
            MLP(6),
            teacher=TeacherEnsemble(members, average=average),
            max_epochs=1,
            random_state=0,
            classes=range(C),
        ).fit(X, some, X + 0.1)
        for average in ("attention", "log_proba")
    ]
    assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))


class _Silent(NetworkSpec):
    def build(self, input_shape, n_classes, *, generator):
        return _Linear(*input_shape, n_classes)


class _Linear(nn.Linear):
    def forward(self, clips):
        return Output(super().forward(clips).unsqueeze(1))


def test_a_student_without_features_cannot_weigh():
    model = student(ensemble(Reader(0), Reader(1))).set_params(network=_Silent())
    with pytest.raises(ValueError, match="gives no features.*average='log_proba'"):
        model.fit(X, Y, past_actions=READ)


def test_heads_are_counted():
    with pytest.raises(ValueError, match="'n_heads' parameter"):
        ensemble(Reader(), n_heads=0).fit(READ, Y)
