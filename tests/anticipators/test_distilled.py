import functools
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn
from torch.nn import functional

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AVTHead,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    ModalityAttention,
    NetworkSpec,
    Output,
    RecognitionTeacher,
    SmoothedAnticipator,
    StepSchedule,
    TeacherEnsemble,
    UniformPrior,
    VerbNounPrior,
)
from skanticipate.datasets import make_kitchen

DATA = make_kitchen(8, 10, n_features=12, unlabeled_fraction=0.4, random_state=0)
PAST, FUTURE, Y = DATA.X_past, DATA.X_future, DATA.y
LABELLED = Y >= 0
CLIPS = make_kitchen(
    6, 10, n_steps=4, n_features=6, unlabeled_fraction=0.4, random_state=0
)
CLASSES = list(range(20))


def student(network=None, **params):
    return DistilledAnticipator(
        MLP(6) if network is None else network,
        **{"max_epochs": 2, "random_state": 0, "batch_size": 32, **params},
    )


# One epoch at a rate of nothing: the weights stay as they started.
TINY = {"max_epochs": 1, "lr": 1e-300, "optimizer": "sgd", "weight_decay": 0.0}


def weights(model):
    return [p.detach().numpy().copy() for p in model.network_.parameters()]


def assert_same_weights(one, other, rtol=0.0, atol=0.0):
    for a, b in zip(weights(one), weights(other), strict=True):
        assert_allclose(a, b, rtol=rtol, atol=atol)


def teacher(**params):
    return RecognitionTeacher(
        MLP(6), **{"max_epochs": 3, "random_state": 1, "classes": CLASSES, **params}
    )


# --------------------------------------------------- a whole fit, by a loop in torch


class Remembering(NetworkSpec):
    """A layer and a classifier that remember the clips of each batch."""

    uses_global_rng = False

    def __init__(self, width=4, stages=1):
        self.width = width
        self.stages = stages

    def stage_times(self):
        return np.arange(self.stages, 0.0, -1)

    def build(self, input_shape, n_classes, *, generator):
        return _Remembering(self, input_shape[0], n_classes, generator)


class _Remembering(nn.Module):
    def __init__(self, spec, n_inputs, n_classes, generator):
        super().__init__()
        self.stages, self.n_classes, self.batches = spec.stages, n_classes, []
        shapes = (spec.width, n_inputs), (spec.stages * n_classes, spec.width)
        self.inner, self.outer = (
            nn.Parameter(torch.randn(s, generator=generator) / 3) for s in shapes
        )

    def forward(self, clips):
        if self.training:
            self.batches.append(clips.clone())
        hidden = torch.tanh(clips @ self.inner.T)
        logits = (hidden @ self.outer.T).reshape(len(clips), self.stages, -1)
        return Output(logits, hidden.unsqueeze(1))


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("frozen_width", [4, 3], ids=["same map", "projected"])
@pytest.mark.filterwarnings("ignore:feature_weight is positive")
@pytest.mark.filterwarnings("ignore:2 rows with y == -1")
def test_a_fit_is_what_a_loop_in_torch_does(stages, frozen_width):
    rng = np.random.default_rng(0)
    n, n_classes, lr = 30, 4, 0.3
    past, future = rng.normal(size=(2, n, 5))
    y = np.where(np.arange(n) < 10, -1, np.arange(n) % n_classes)
    future[[3, 4, 20, 25]] = np.nan  # two of them unlabelled, so dropped
    sample_weight = rng.uniform(0.5, 2, n)
    prior = np.full((n_classes, n_classes), 0.125) + 0.5 * np.eye(n_classes)[::-1]
    known = ~np.isnan(future[:, 0]) & (y >= 0)
    taught = RecognitionTeacher(Remembering(frozen_width), max_epochs=5, random_state=3)
    taught.fit(future[known], y[known])
    model = DistilledAnticipator(
        Remembering(4, stages),
        teacher=FrozenEstimator(taught),
        init_from_teacher=False,
        feature_weight=0.7,
        alignment="weak",
        alpha=0.5,
        teacher_weight=0.4,
        temperature=2.0,
        prior=prior,
        smoothing=0.2,
        classes=range(n_classes),
        unlabeled_fraction=0.25,
        batch_size=8,
        max_epochs=2,
        optimizer="sgd",
        lr=lr,
        momentum=0.0,
        weight_decay=0.0,
        random_state=0,
    )
    model.fit(past, y, future, sample_weight=sample_weight)

    # The same first weights, and the same batches, known by their clips
    start = DistilledAnticipator(
        Remembering(4, stages),
        max_epochs=1,
        lr=1e-300,
        optimizer="sgd",
        momentum=0,
        weight_decay=0,
        classes=range(n_classes),
        random_state=0,
    ).fit(past, np.abs(y))
    inner, outer = (torch.tensor(w, requires_grad=True) for w in weights(start))
    row_of = {row.tobytes(): k for k, row in enumerate(past)}
    batches = [
        [row_of[clip.numpy().tobytes()] for clip in batch]
        for batch in model.network_.batches
    ]
    assert len(batches) == 2 * 4  # 28 rows in batches of 8
    parameters = [inner, outer]
    between = None
    if frozen_width != 4:
        seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
        seed = int(np.random.SeedSequence(seed).generate_state(7)[6])
        between = torch.empty(3, 4)
        nn.init.orthogonal_(between, generator=torch.Generator().manual_seed(seed))
        between = between.double().requires_grad_()
        parameters.append(between)

    with torch.no_grad():
        answers = torch.tensor(taught.predict_proba(np.nan_to_num(future)))
        maps = torch.tensor(taught.feature_map(np.nan_to_num(future)))[:, 0]
    for rows in batches:
        assert sum(y[k] < 0 for k in rows) == 2
        hidden = torch.tanh(torch.tensor(past[rows]) @ inner.T)
        logits = (hidden @ outer.T).reshape(len(rows), stages, n_classes)
        sums = {name: [0.0, 0.0] for name in ("base", "teacher", "feature")}

        def add(name, k, loss, sums=sums):
            sums[name][0] = sums[name][0] + sample_weight[k] * loss
            sums[name][1] += sample_weight[k]

        for i, k in enumerate(rows):
            log_p = logits[i].log_softmax(-1)
            if y[k] >= 0:
                target = 0.2 * torch.tensor(prior[y[k]])
                target = target + 0.8 * torch.eye(n_classes).double()[y[k]]
                add("base", k, -(target * log_p).sum(-1).mean())
            else:
                q = answers[k]
                add("base", k, (q * (q.log() - log_p)).sum(-1).mean())
            if np.isnan(future[k, 0]):
                continue
            if y[k] >= 0:
                q = answers[k].sqrt() / answers[k].sqrt().sum()
                soft = (logits[i] / 2).log_softmax(-1)
                add("teacher", k, 4 * (q * (q.log() - soft)).sum(-1).mean())
            # one position: whoever asks, attention finds nothing but it
            vector = hidden[i] if between is None else between @ hidden[i]
            add("feature", k, 2 * functional.huber_loss(vector, maps[k]))
        factors = {"base": 1.0, "teacher": 0.4, "feature": 0.7}
        loss = sum(factors[name] * total / w for name, (total, w) in sums.items())
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter -= lr * slope
    for found, expected in zip(weights(model), (inner, outer), strict=True):
        assert_allclose(found, expected.detach(), rtol=1e-9, atol=1e-12)
    last = {name: model.history_[-1][name] for name in ("base", "teacher", "feature")}
    expected = last["base"] + 0.4 * last["teacher"] + 0.7 * last["feature"]
    assert_allclose(model.history_[-1]["loss"], expected)


# ------------------------------------------------------------------ without teacher


@pytest.mark.filterwarnings("ignore:prior is set, but there is smoothing=0")
@pytest.mark.parametrize(
    "smoothing", [{}, {"smoothing": 0.0}, {"smoothing": 0.3}], ids=repr
)
def test_without_futures_it_is_a_smoothed_anticipator(smoothing):
    params = {**smoothing, "prior": VerbNounPrior(DATA.actions)}
    y = DATA.segments.action
    one = student(**params).fit(PAST, y)
    other = SmoothedAnticipator(
        MLP(6), max_epochs=2, random_state=0, batch_size=32, **params
    ).fit(PAST, y)
    assert_same_weights(one, other)
    assert one.teacher_ is None
    assert one.feature_weight_ == 0
    assert not one.started_from_teacher_


# -------------------------------------------------------------------- the teacher


def test_the_own_teacher_is_a_recognition_teacher_of_the_same_kind():
    model = student(lr=0.01, weight_decay=0.02, dtype="float32").fit(PAST, Y, FUTURE)
    found = model.teacher_
    assert type(found) is RecognitionTeacher
    assert found.network.hidden_size == 6
    assert (found.lr, found.weight_decay, found.dtype) == (0.01, 0.02, "float32")
    assert_array_equal(found.classes_, model.classes_)
    alone = RecognitionTeacher(**found.get_params(deep=False))
    alone.fit(FUTURE[LABELLED], Y[LABELLED])
    assert_array_equal(alone.predict_proba(FUTURE), found.predict_proba(FUTURE))


@pytest.mark.parametrize("n_missing", [0, 20])
def test_the_own_teacher_takes_as_many_steps_as_its_student(n_missing):
    future = FUTURE.copy()  # 48 labelled and 32 unlabelled rows
    future[np.flatnonzero(LABELLED)[:n_missing]] = np.nan
    model = student(batch_size=16, max_epochs=3).fit(PAST, Y, future)
    n_steps = 3 * 5  # 80 rows in batches of 16
    per_epoch = {0: 3, 20: 2}[n_missing]  # 48 or 28 rows in batches of 16
    assert model.teacher_.n_iter_ == int(np.ceil(n_steps / per_epoch))


def test_the_own_teacher_gets_class_weights_as_weights_of_rows():
    model = student(class_weight={0: 3.0}).fit(PAST, Y, FUTURE)
    alone = RecognitionTeacher(**model.teacher_.get_params(deep=False))
    weight = np.where(Y == 0, 3.0, 1.0)[LABELLED]
    weight /= weight.mean()
    alone.fit(FUTURE[LABELLED], Y[LABELLED], sample_weight=weight)
    assert_array_equal(
        alone.predict_proba(FUTURE), model.teacher_.predict_proba(FUTURE)
    )


def test_a_teacher_without_a_seed_gets_one():
    loose = teacher(random_state=None)
    one, two = (
        student(teacher=loose, classes=CLASSES).fit(PAST, Y, FUTURE) for _ in range(2)
    )
    other = student(teacher=loose, classes=CLASSES, random_state=1).fit(PAST, Y, FUTURE)
    assert_same_weights(one, two)
    assert one.teacher_.random_state == two.teacher_.random_state
    assert one.teacher_.random_state != other.teacher_.random_state
    assert loose.random_state is None
    assert not hasattr(loose, "classes_")


def test_a_frozen_teacher_is_not_fitted_again():
    ready = teacher().fit(FUTURE[LABELLED], Y[LABELLED])
    expected = ready.predict_proba(FUTURE)
    model = student(teacher=FrozenEstimator(ready), classes=CLASSES)
    model.fit(PAST, np.where(LABELLED, 19 - Y, -1), FUTURE)
    assert_array_equal(model.teacher_.predict_proba(FUTURE), expected)
    assert model.started_from_teacher_


def flattening(last):
    return make_pipeline(
        FunctionTransformer(lambda clips: np.reshape(clips, (len(clips), -1))), last
    )


@pytest.mark.parametrize(
    "foreign",
    [
        flattening(LogisticRegression()),
        flattening(KNeighborsClassifier(3)),
        TeacherEnsemble([flattening(LogisticRegression())] * 2),
    ],
    ids=["logistic regression", "neighbours", "ensemble"],
)
@pytest.mark.parametrize("cross_fit", [0, 2])
def test_any_classifier_teaches(foreign, cross_fit):
    model = student(LSTM(5), teacher=foreign, cross_fit=cross_fit, teacher_weight=1.0)
    model.fit(CLIPS.X_past, CLIPS.y, CLIPS.X_future)
    assert set(model.history_[0]) == {"epoch", "lr", "loss", "base", "teacher"}
    assert model.feature_weight_ == 0
    assert not model.started_from_teacher_
    expected = foreign.fit(CLIPS.X_future[CLIPS.y >= 0], CLIPS.y[CLIPS.y >= 0])
    assert_array_equal(
        model.teacher_.predict_proba(CLIPS.X_future),
        expected.predict_proba(CLIPS.X_future),
    )


class Fixed(ClassifierMixin, BaseEstimator):
    """Says the same whatever it sees."""

    def __init__(self, proba, labels):
        self.proba = proba
        self.labels = labels

    def fit(self, X, y):
        self.classes_ = np.asarray(self.labels)
        return self

    def predict_proba(self, X):
        return np.tile(self.proba, (len(X), 1))


def test_unlabelled_rows_learn_what_the_teacher_says():
    X = np.vstack([np.eye(4), np.eye(4)[:2] + np.eye(4)[2]])  # rows 4 and 5 are new
    y = [0, 1, 2, 3, -1, -1]
    told = Fixed([0.7, 0.1, 0.2], [3, 0, 1])  # columns in an order of its own
    model = student(
        MLP(32), teacher=told, max_epochs=400, lr=0.02, weight_decay=0.0
    ).fit(X, y, X)
    proba = model.predict_proba(X)
    assert_allclose(proba[4:], np.tile([0.1, 0.2, 0, 0.7], (2, 1)), atol=0.03)
    assert (proba[:4].argmax(axis=1) == range(4)).all()


def test_teacher_weight_pulls_labelled_rows():
    X, y = np.eye(4), range(4)
    told = Fixed([0.7, 0.1, 0.1, 0.1], range(4))
    model = student(
        MLP(32),
        teacher=told,
        max_epochs=400,
        lr=0.02,
        weight_decay=0.0,
        smoothing=0.0,
        teacher_weight=1.0,
    ).fit(X, y, X)
    # CE + KL: halfway between the label and the teacher
    expected = (np.eye(4) + [0.7, 0.1, 0.1, 0.1]) / 2
    assert_allclose(model.predict_proba(X), expected, atol=0.02)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_given_answers_replace_a_teacher(order):
    X = np.vstack([np.eye(4), np.eye(4)[:2] + np.eye(4)[2], np.ones((1, 4))])
    y = [0, 1, 2, 3, -1, -1, -1]
    answers = np.full((7, 4), np.nan)
    answers[4:6] = [[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 0.0]]
    model = student(MLP(32), max_epochs=400, lr=0.02, weight_decay=0.0, classes=order)
    with pytest.warns(UserWarning, match="1 rows with y == -1 are unlabelled"):
        model.fit(X, y, teacher_proba=answers[:, order])
    assert_allclose(model.predict_proba(X[4:6]), answers[4:6], atol=0.03)
    assert model.teacher_ is None


@pytest.mark.filterwarnings("ignore:.*rows with y == -1 are unlabelled")
def test_answers_may_be_given_beside_a_teacher_whose_map_is_used():
    answers = np.full((len(Y), 20), 0.05)
    answers[::5] = np.nan
    model = student(classes=CLASSES, feature_weight=0.5)
    model.fit(PAST, Y, FUTURE, teacher_proba=answers)
    assert model.started_from_teacher_
    assert np.isfinite(model.loss_curve_).all()
    assert model.history_[0]["feature"] > 0


def test_a_teacher_that_given_answers_replace_is_told_of():
    answers = np.full((len(Y), 20), 0.05)
    teacher = RecognitionTeacher(MLP(4), max_epochs=1)
    model = student(teacher=teacher, classes=CLASSES, **TINY)
    with pytest.warns(UserWarning, match="teacher is set, but there is teacher_proba"):
        model.fit(PAST, Y, FUTURE, teacher_proba=answers)
    assert model.teacher_ is None
    model.set_params(teacher=None).fit(PAST, Y, FUTURE, teacher_proba=answers)
    model.set_params(teacher=teacher, init_from_teacher=False, feature_weight=0.1)
    with pytest.warns(UserWarning, match="the student starts at random"):
        model.fit(PAST, Y, FUTURE, teacher_proba=answers)
    assert model.teacher_ is not None


def test_a_weight_of_answers_that_no_labelled_row_has_is_told_of():
    answers = np.full((len(Y), 20), 0.05)
    answers[Y >= 0] = np.nan
    model = student(teacher_weight=1.0, classes=CLASSES, **TINY)
    with pytest.warns(UserWarning, match="teacher_weight is set, but there is no lab"):
        model.fit(PAST, Y, teacher_proba=answers)
    assert "teacher" not in model.history_[0]
    answers[np.flatnonzero(Y >= 0)[0]] = 0.05
    assert "teacher" in model.fit(PAST, Y, teacher_proba=answers).history_[0]


@pytest.mark.parametrize("cross_fit", [0, 4])
def test_a_memoriser_teaches_labels_unless_it_is_cross_fitted(cross_fit):
    y, groups = np.abs(Y), DATA.groups
    params = {"classes": CLASSES, "teacher_weight": 1.0, "smoothing": 0.2}
    model = student(teacher=KNeighborsClassifier(1), cross_fit=cross_fit, **params)
    model.fit(PAST, y, FUTURE, groups=groups)
    memorised = np.eye(20)[y]
    expected = memorised.copy()
    for training, held in GroupKFold(cross_fit or 2).split(y, y, groups):
        if cross_fit:
            nearest = KNeighborsClassifier(1).fit(FUTURE[training], y[training])
            expected[held] = np.eye(20)[nearest.predict(FUTURE[held])]
    told, by_heart = (
        student(**params).fit(PAST, y, teacher_proba=answers)
        for answers in (expected, memorised)
    )
    assert_same_weights(model, told)
    assert (model.history_ == by_heart.history_) == (cross_fit == 0)


@pytest.mark.parametrize("weighted", [False, True])
def test_labelled_rows_without_an_answer_do_not_count_in_the_teacher_term(weighted):
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(20), size=len(Y))
    answers[::3] = np.nan
    sample_weight = rng.uniform(0.5, 2, len(Y)) if weighted else None
    model = student(classes=CLASSES, teacher_weight=1.0, batch_size=len(Y), **TINY)
    model.fit(PAST, np.abs(Y), teacher_proba=answers, sample_weight=sample_weight)
    log_p = np.log(model.predict_proba(PAST))
    divergences = (answers * (np.log(answers) - log_p)).sum(axis=1)
    has = ~np.isnan(answers[:, 0])
    weight = None if sample_weight is None else sample_weight[has]
    expected = np.average(divergences[has], weights=weight)
    assert model.history_[0]["teacher"] == pytest.approx(expected, rel=1e-9)


# ------------------------------------------------------------------- first weights


@pytest.mark.parametrize("start", ["auto", True])
def test_the_student_starts_from_its_teacher(start):
    model = student(teacher=teacher(), classes=CLASSES, init_from_teacher=start, **TINY)
    model.fit(PAST, Y, FUTURE)
    assert model.started_from_teacher_
    assert_same_weights(model, model.teacher_)
    assert model.feature_weight_ == 0.1


def test_the_student_starts_at_random_on_request():
    model = student(teacher=teacher(), classes=CLASSES, init_from_teacher=False, **TINY)
    model.fit(PAST, Y, FUTURE)
    assert not model.started_from_teacher_
    assert model.feature_weight_ == 0
    assert_same_weights(model, student(classes=CLASSES, **TINY).fit(PAST, abs(Y)))


def test_a_weight_of_single_precision_starts_one_of_double():
    model = student(teacher=teacher(), classes=CLASSES, **TINY)
    model.fit(PAST, Y, FUTURE.astype(np.float32))
    assert weights(model.teacher_)[0].dtype == np.float32
    assert weights(model)[0].dtype == np.float64
    assert_same_weights(model, model.teacher_)


NO_START = {
    "classes": (teacher(classes=None), {"classes": [*CLASSES, 77]}),
    "order of width": (RecognitionTeacher(MLP(7)), {}),
    "depth": (RecognitionTeacher(MLP((6, 6))), {}),
    "a transformer before it": (make_pipeline(StandardScaler(), teacher()), {}),
    "not ours": (LogisticRegression(), {}),
    "ensemble": (TeacherEnsemble([teacher(classes=None)]), {}),
}


@pytest.mark.parametrize("name", NO_START)
def test_no_start_from_another_network(name):
    other, params = NO_START[name]
    model = student(teacher=other, **{"max_epochs": 1, "classes": CLASSES, **params})
    model.fit(PAST, Y, FUTURE)
    assert not model.started_from_teacher_
    assert model.feature_weight_ == 0
    assert "feature" not in model.history_[0]
    model.set_params(init_from_teacher=True)
    with pytest.raises(ValueError, match="init_from_teacher=True, but.*to 'auto'"):
        model.fit(PAST, Y, FUTURE)


def test_no_start_where_past_and_future_have_other_features():
    model = student(teacher=teacher(), classes=CLASSES)
    model.fit(PAST, Y, np.hstack([FUTURE, FUTURE]))
    assert not model.started_from_teacher_


def lines_of(call, expected):
    """Lines of this file to which warnings of a call point."""
    with pytest.warns(UserWarning, match=expected) as record:
        call()
    return [(w.filename, w.lineno) for w in record]


def test_a_feature_loss_from_a_random_start_warns():
    model = student(init_from_teacher=False, feature_weight=0.5)

    def call():
        model.fit(PAST, Y, FUTURE)

    line = call.__code__.co_firstlineno + 1
    found = lines_of(call, "the student starts at random.*feature losses hurt")
    assert found == [(__file__, line)]
    assert model.feature_weight_ == 0.5
    assert model.history_[0]["feature"] > 0


def test_a_network_without_features_has_no_feature_loss_of_itself():
    class Linear(NetworkSpec):
        def build(self, input_shape, n_classes, *, generator):
            return _Linear(*input_shape, n_classes)

    model = student(Linear()).fit(PAST, Y, FUTURE)
    assert model.started_from_teacher_
    assert model.feature_weight_ == 0
    model.set_params(feature_weight=0.1)
    with pytest.raises(ValueError, match="gives no features: return Output"):
        model.fit(PAST, Y, FUTURE)


class _Linear(nn.Linear):
    def forward(self, clips):
        return Output(super().forward(clips).unsqueeze(1))


def test_a_student_without_features_cannot_be_compared():
    class Linear(NetworkSpec):
        def build(self, input_shape, n_classes, *, generator):
            return _Linear(*input_shape, n_classes)

    model = student(Linear(), teacher=teacher(classes=None), feature_weight=0.1)
    with (
        pytest.warns(UserWarning, match="starts at random"),
        pytest.raises(ValueError, match="Linear gives no features.*feature_weight=0"),
    ):
        model.fit(PAST, Y, FUTURE)


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
@pytest.mark.parametrize("width", [3, 9])
def test_maps_of_other_channels_are_compared_through_a_projection(width):
    wide = RecognitionTeacher(MLP(width), max_epochs=2)
    model = student(teacher=wide, feature_weight=1.0, max_epochs=30).fit(
        PAST, Y, FUTURE
    )
    assert model.history_[-1]["feature"] < model.history_[0]["feature"]
    plain = student(max_epochs=1).fit(PAST, np.abs(Y))
    assert model.network_.state_dict().keys() == plain.network_.state_dict().keys()
    assert model.feature_map(PAST).shape == (len(PAST), 1, 6)


@pytest.mark.parametrize(
    "alignment", ["weak", "student", "teacher", "direct", "pooled"]
)
@pytest.mark.parametrize(
    ("network", "shape"),
    [(LSTM(5), (4, 6)), (FeatureMapNet(5, n_blocks=1), (3, 2, 2, 6))],
    ids=["sequences", "maps"],
)
def test_all_alignments_pull_the_maps_together(alignment, network, shape):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(40) < 20, -1, np.arange(40) % 4)
    clips = rng.normal(size=(40, *shape)).astype(np.float32)
    future = rng.normal(size=(40, *shape)).astype(np.float32)
    future[5, :2] = np.nan  # padding
    clips[7, :1] = np.nan
    clips[9] = np.nan  # nothing was seen before
    params = {"alignment": alignment, "max_epochs": 8, "lr": 0.01}
    with_loss, without = (
        student(network, feature_weight=weight, **params).fit(clips, y, future)
        for weight in (20.0, 0.0)
    )
    assert with_loss.history_[-1]["feature"] < with_loss.history_[0]["feature"]
    assert "feature" not in without.history_[0]
    assert not np.allclose(weights(with_loss)[0], weights(without)[0])


def test_alpha_changes_the_loss_of_maps_with_several_positions():
    found = {
        alpha: student(LSTM(5), alpha=alpha, feature_weight=1.0)
        .fit(CLIPS.X_past, CLIPS.y, CLIPS.X_future)
        .history_[0]["feature"]
        for alpha in (None, 5**-0.5, 0.0, 8.0)
    }
    assert found[None] == pytest.approx(found[5**-0.5], rel=1e-12)
    assert len({round(loss, 9) for loss in found.values()}) == 3


# -------------------------------------------------------------- unlabelled fraction


@pytest.mark.parametrize(
    ("fraction", "in_a_batch"), [(0.5, 8), (0.25, 4), (0.0, 0), (0.99, 15)]
)
def test_unlabelled_rows_have_their_share_in_every_batch(fraction, in_a_batch):
    past = np.arange(80.0)[:, None] / 80
    y = np.where(np.arange(80) < 50, -1, np.arange(80) % 3)
    model = student(
        Remembering(),
        unlabeled_fraction=fraction,
        batch_size=16,
        max_epochs=2,
        teacher=LogisticRegression(),
    ).fit(past, y, past)
    batches = model.network_.batches
    assert len(batches) == 2 * 5
    rows = [(batch.ravel() * 80).round().int().numpy() for batch in batches]
    assert all(len(batch) == 16 for batch in rows)
    assert all((y[batch] < 0).sum() == in_a_batch for batch in rows)
    for epoch in (rows[:5], rows[5:]):
        counts = np.bincount(np.concatenate(epoch), minlength=80)
        assert np.ptp(counts[y >= 0]) <= 1
        assert np.ptp(counts[y < 0]) <= 1


@pytest.mark.parametrize("unlabelled", [50, 0])
def test_rows_come_as_they_are_without_a_fraction_or_without_unlabelled(unlabelled):
    past = np.arange(80.0)[:, None] / 80
    y = np.where(np.arange(80) < unlabelled, -1, np.arange(80) % 3)
    model = student(
        Remembering(),
        unlabeled_fraction=None if unlabelled else 0.5,
        batch_size=32,
        teacher=LogisticRegression(),
        teacher_weight=1.0,
        max_epochs=1,
    ).fit(past, y, past)
    assert [len(batch) for batch in model.network_.batches] == [32, 32, 16]
    rows = torch.cat(model.network_.batches).ravel() * 80
    assert sorted(rows.round().int().tolist()) == list(range(80))


# ----------------------------------------------------------------- after the teacher


def test_given_validation_data_have_no_future():
    model = student().fit(PAST, Y, FUTURE, X_val=-PAST[:9], y_val=np.abs(Y[:9]))
    assert "teacher_val_accuracy" not in model.history_[0]
    assert "val_accuracy" in model.history_[0]


FITTED_ON = []


class Spy(LogisticRegression):
    @functools.wraps(LogisticRegression.fit)
    def fit(self, X, y, sample_weight=None):
        FITTED_ON.append(X.copy())
        return super().fit(X, y, sample_weight)


def test_held_out_rows_teach_the_teacher_nothing():
    FITTED_ON.clear()
    model = student(
        Remembering(), teacher=Spy(), early_stopping=True, validation_fraction=0.3
    )
    model.fit(PAST, Y, FUTURE, groups=DATA.groups)
    [seen] = FITTED_ON
    rows = {row.tobytes(): k for k, row in enumerate(FUTURE)}
    taught = {DATA.groups[rows[row.tobytes()]] for row in seen}
    rows = {row.tobytes(): k for k, row in enumerate(PAST)}
    trained = {
        DATA.groups[rows[row.numpy().tobytes()]]
        for batch in model.network_.batches
        for row in batch
    }
    assert trained == taught < set(DATA.groups)
    held = LABELLED & ~np.isin(DATA.groups, list(trained))
    accuracy = np.mean(model.teacher_.predict(FUTURE[held]) == Y[held])
    assert {record["teacher_val_accuracy"] for record in model.history_} == {accuracy}


def test_warm_start_goes_on():
    params = {"classes": CLASSES, "warm_start": True, "teacher": teacher()}
    model = student(**params).fit(PAST, Y, FUTURE)
    first, started = weights(model), model.started_from_teacher_
    model.set_params(lr=1e-300, optimizer="sgd", weight_decay=0.0)
    model.fit(PAST, Y, FUTURE)
    for a, b in zip(first, weights(model), strict=True):
        assert_array_equal(a, b)  # not back to the weights of the teacher
    assert model.started_from_teacher_ == started
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4]


def test_warm_start_with_a_teacher_that_has_no_map():
    model = student(warm_start=True).fit(PAST, Y, FUTURE)
    assert model.feature_weight_ == 0.1
    model.set_params(teacher=KNeighborsClassifier()).fit(PAST, Y, FUTURE)
    assert model.started_from_teacher_
    assert model.feature_weight_ == 0


# ----------------------------------------------------------------------- feature map


def test_feature_map_of_pooled_clips():
    model = student(MLP((9, 7))).fit(PAST, Y, FUTURE)
    found = model.feature_map(PAST)
    network = model.network_
    hidden = torch.tensor(PAST)
    for layer in network.layers:
        hidden = layer(hidden).relu()
    assert_allclose(found[:, 0], hidden.detach(), rtol=1e-12)


def test_feature_map_is_nan_at_padding():
    clips = CLIPS.X_past.copy()
    clips[3, :2], clips[5] = np.nan, np.nan
    model = student(LSTM(5)).fit(clips, CLIPS.y, CLIPS.X_future)
    found = model.feature_map(clips)
    assert found.shape == (len(clips), 4, 5)
    padding = np.isnan(clips).all(axis=2)
    assert_array_equal(np.isnan(found), padding[:, :, None].repeat(5, axis=2))
    assert_allclose(found[3, 2:], model.feature_map(clips[3:4, 2:])[0], rtol=1e-6)


# ------------------------------------------------------------------------ save, load


@pytest.mark.parametrize("own", [True, False])
def test_a_student_is_saved_with_its_teacher(own, tmp_path):
    model = student(teacher=None if own else LogisticRegression())
    model.set_params(prior=UniformPrior(), smoothing=0.1)
    model.fit(PAST, Y, FUTURE)
    path = tmp_path / "student.safetensors"
    model.save(path)
    again = skanticipate.load(path)
    assert_array_equal(again.predict_proba(PAST), model.predict_proba(PAST))
    assert_array_equal(
        again.teacher_.predict_proba(FUTURE), model.teacher_.predict_proba(FUTURE)
    )
    assert again.history_ == model.history_
    assert again.get_params().keys() == model.get_params().keys()


# ------------------------------------------------------------------------ it teaches


def test_unlabelled_futures_help():
    data = make_kitchen(60, 15, unlabeled_fraction=0.9, random_state=0)
    train, truth = data.groups < 40, data.segments.action
    past, y, future = data.X_past[train], data.y[train], data.X_future[train]
    scores = []
    for seed in (0, 1):
        model = student(MLP(64), max_epochs=15, random_state=seed)
        model.fit(past, y, future)
        alone = student(MLP(64), max_epochs=60, random_state=seed)
        alone.fit(past[y >= 0], y[y >= 0])
        scores.append(
            [m.score(data.X_past[~train], truth[~train]) for m in (model, alone)]
        )
    with_futures, without = np.mean(scores, axis=0)
    assert with_futures > without + 0.02


def test_the_rate_of_the_own_teacher_falls_with_that_of_its_student():
    schedule = StepSchedule(2, factor=0.5)
    model = student(batch_size=16, max_epochs=6, lr_schedule=schedule)
    model.fit(PAST, Y, FUTURE)
    rates = [record["lr"] for record in model.teacher_.history_]
    assert len(rates) == 10  # 5 steps to 3
    assert set(rates) == {record["lr"] for record in model.history_}
    assert rates == sorted(rates, reverse=True)


def test_a_schedule_out_of_range_is_refused_before_the_teacher_is_fitted():
    model = student(lr_schedule=StepSchedule(0))
    with pytest.raises(ValueError, match="step_size"):
        model.fit(PAST, Y, FUTURE)


# ------------------------------------------------ teachers see futures to their end

SEEN_LATE = make_kitchen(12, n_steps=8, n_features=8, random_state=0)


def two_branches(**stages):
    halves = [("a", (0, 4)), ("b", (4, 8))]
    return ModalityAttention([(n, RULSTM(4, **stages), part) for n, part in halves])


@pytest.mark.parametrize(
    "network",
    [functools.partial(kind, 4) for kind in (LSTM, RULSTM, EncoderDecoderLSTM)]
    + [two_branches, functools.partial(AVTHead, 4)],
    ids=["LSTM", "RULSTM", "EncoderDecoderLSTM", "ModalityAttention", "AVTHead"],
)
def test_the_own_teacher_answers_at_the_end_of_the_future(network):
    stages = {"time_step": 0.25, "anticipation_steps": 4}  # 1, 0.75, 0.5, 0.25 s
    spec = network(**stages, anticipation_time=1.0)
    clips, futures, y = SEEN_LATE.X_past, SEEN_LATE.X_future, SEEN_LATE.y
    model = student(spec, init_from_teacher=True).fit(clips, y, futures)
    late = futures.copy()
    late[:, -3:] = 5.0  # after the stage at 1 s
    *_, last = model.teacher_.staged_predict_proba(futures)
    answers = model.teacher_.predict_proba(futures)
    assert_array_equal(answers, last)
    differ = answers != model.teacher_.predict_proba(late)
    assert differ.any(axis=1).all()
    assert model.started_from_teacher_
    assert model.network_spec_.answering_stage() == 0  # the student's stays


def test_the_figure_of_the_own_teacher_is_that_of_its_last_stage():
    # What the end of the future shows is the label; what comes before is noise.
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    futures = rng.normal(size=(120, 4, 3)).astype(np.float32)
    futures[np.arange(120), -1, y] = 8.0
    spec = LSTM(8, anticipation_steps=4, anticipation_time=1.0)
    model = student(spec, early_stopping=True, max_epochs=30, lr=0.02)
    model.fit(rng.normal(size=(120, 4, 3)), y, futures, groups=np.arange(120))
    assert model.history_[-1]["teacher_val_accuracy"] > 0.9
    assert model.teacher_.history_[-1]["val_accuracy"] > 0.9


@pytest.mark.parametrize("frozen", [False, True])
def test_a_teacher_that_answers_early_is_warned_of(frozen):
    clips, futures, y = SEEN_LATE.X_past, SEEN_LATE.X_future, SEEN_LATE.y
    early = RecognitionTeacher(
        LSTM(4, anticipation_steps=4, anticipation_time=0.75),
        max_epochs=1,
        random_state=0,
    )
    given = FrozenEstimator(early.fit(futures, y)) if frozen else early
    with pytest.warns(UserWarning, match="answers at stage 2 of 4, before it has read"):
        student(LSTM(4), teacher=given).fit(clips, y, futures)
    early.set_params(network__anticipation_time=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        student(LSTM(4), teacher=early).fit(clips, y, futures)
