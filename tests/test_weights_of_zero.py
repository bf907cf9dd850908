"""What counts nothing counts nothing: weight 0 and no signal give the same bits."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB

from skanticipate import (
    MLP,
    DistilledAnticipator,
    HistoryTeacher,
    MarginalLoss,
    MixturePrior,
    RecognitionTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
    TemporalPrior,
    UniformPrior,
    VerbNounPrior,
)
from skanticipate.datasets import make_kitchen

DATA = make_kitchen(10, unlabeled_fraction=0.4, random_state=0)
X, Y, FUTURES, PAST = DATA.X_past, DATA.y, DATA.X_future, DATA.past_actions
CLASSES, GROUPS = np.arange(20), DATA.groups
ALL = {"max_epochs": 3, "batch_size": 32, "classes": CLASSES, "random_state": 0}
HALF = np.where(np.arange(len(X))[:, None] % 2, FUTURES, np.nan)
NO_START = {"init_from_teacher": False}
PROBA = np.full((len(X), 20), 0.05)


def distilled(**params):
    return DistilledAnticipator(MLP(8, dropout=0.1), **{**ALL, **params})


def smoothed(**params):
    return SmoothedAnticipator(MLP(8, dropout=0.1), **{**ALL, **params})


def answers(model, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows that nobody speaks for are dropped
        model.fit(given.pop("X", X), given.pop("y", Y), **given)
    return model.predict_proba(X), model.loss_curve_


def same(one, other):
    (proba, losses), (others, other_losses) = one, other
    np.testing.assert_array_equal(proba, others)
    assert losses == other_losses


LABELLED = Y >= 0
TEXT = HistoryTeacher(DATA.actions, n_networks=1, max_epochs=1)
PAIRS = {
    "text_weight": (
        lambda: answers(
            distilled(text_weight=0.0, text_teacher=TEXT),
            past_actions=PAST,
        ),
        lambda: answers(distilled()),
    ),
    "text_weight, rows with futures beside": (
        lambda: answers(
            distilled(text_weight=0.0), X_future_unlabeled=HALF, past_actions=PAST
        ),
        lambda: answers(distilled(), X_future_unlabeled=HALF),
    ),
    "text_weight, with weights of rows": (
        lambda: answers(
            distilled(text_weight=0.0, class_weight="balanced"),
            past_actions=PAST,
            sample_weight=np.arange(1.0, len(X) + 1),
        ),
        lambda: answers(
            distilled(class_weight="balanced"),
            sample_weight=np.arange(1.0, len(X) + 1),
        ),
    ),
    "teacher_weight and feature_weight, all rows labelled": (
        lambda: answers(
            distilled(teacher_weight=0.0, feature_weight=0.0, **NO_START),
            X=X[LABELLED],
            y=Y[LABELLED],
            X_future_unlabeled=FUTURES[LABELLED],
        ),
        lambda: answers(distilled(), X=X[LABELLED], y=Y[LABELLED]),
    ),
    "feature_weight beside teacher_proba": (
        lambda: answers(
            distilled(feature_weight=0.0),
            X_future_unlabeled=FUTURES,
            teacher_proba=PROBA,
        ),
        lambda: answers(distilled(), teacher_proba=PROBA),
    ),
    "smoothing": (
        lambda: answers(smoothed(smoothing=0.0, prior=VerbNounPrior(DATA.actions))),
        lambda: answers(RecognitionTeacher(MLP(8, dropout=0.1), **ALL)),
    ),
    "weight of a prior in a mixture": (
        lambda: answers(
            smoothed(
                smoothing=0.3,
                prior=MixturePrior(
                    [VerbNounPrior(DATA.actions), UniformPrior(), TemporalPrior()],
                    weights=[2, 0, 0],
                ),
            ),
            y_past=DATA.y_past,
        ),
        lambda: answers(smoothed(smoothing=0.3, prior=VerbNounPrior(DATA.actions))),
    ),
    "verb_weight and noun_weight": (
        lambda: answers(
            smoothed(
                marginal_loss=MarginalLoss(
                    DATA.actions, verb_weight=0.0, noun_weight=0.0
                )
            )
        ),
        lambda: answers(smoothed()),
    ),
    "sample_weight": (
        lambda: answers(
            distilled(),
            X_future_unlabeled=FUTURES,
            sample_weight=(np.arange(len(X)) % 3 > 0).astype(float),
        ),
        lambda: answers(
            distilled(),
            X=X[np.arange(len(X)) % 3 > 0],
            y=Y[np.arange(len(X)) % 3 > 0],
            X_future_unlabeled=FUTURES[np.arange(len(X)) % 3 > 0],
            sample_weight=np.ones((np.arange(len(X)) % 3 > 0).sum()),
        ),
    ),
    "class_weight": (
        lambda: answers(smoothed(class_weight={3: 0.0}, logit_adjustment=0.0)),
        lambda: answers(smoothed(class_weight={3: 1.0}), X=X[Y != 3], y=Y[Y != 3]),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_weight_of_zero_is_as_if_the_signal_were_not_there(name):
    zero, absent = PAIRS[name]
    same(zero(), absent())


def test_rows_that_only_have_a_history_are_dropped_where_texts_count_nothing():
    model = distilled(text_weight=0.0)
    n_hidden = int((Y < 0).sum())
    with pytest.warns(UserWarning, match=f"{n_hidden} rows with y == -1 .* dropped"):
        model.fit(X, Y, past_actions=PAST)


def test_steps_that_are_padding_in_all_histories_count_nothing():
    wider = np.concatenate([np.full((len(X), 10), -1), PAST], axis=1)
    counts = HistoryTeacher(DATA.actions, n_networks=0, random_state=0)
    rows = np.flatnonzero(LABELLED)
    proba = [
        counts.fit(past[rows], Y[rows], groups=GROUPS[rows]).predict_proba(past)
        for past in (PAST, wider)
    ]
    np.testing.assert_array_equal(*proba)


# ------------------------------------------------- classes without a labelled row

FOUR = np.isin(DATA.y, range(4))


@pytest.mark.parametrize("kind", [SmoothedAnticipator, DistilledAnticipator])
@pytest.mark.parametrize("extra", [1, 16])
def test_a_class_that_nobody_has_seen_gets_no_bonus(kind, extra):
    def fit(classes, **given):
        model = kind(
            MLP(16), lr=0.01, logit_adjustment=1.0, classes=classes, random_state=0
        )
        return model.fit(X[FOUR], Y[FOUR], **given)

    known, more = fit(None), fit(range(4 + extra))
    shown = X[FOUR]
    assert np.isin(more.predict(shown), range(4)).all()
    counts = np.bincount(Y[FOUR], minlength=4) + 1  # by hand
    expected = np.concatenate([np.log(counts / counts.sum()), np.zeros(extra)])
    np.testing.assert_allclose(more.class_log_frequency_, expected)
    np.testing.assert_allclose(known.class_log_frequency_, expected[:4])


def test_a_class_whose_rows_count_nothing_gets_no_bonus():
    model = smoothed(class_weight={3: 0.0}, logit_adjustment=1.0, classes=None)
    model.fit(X[FOUR], Y[FOUR])
    assert model.class_log_frequency_[3] == 0
    assert (model.class_log_frequency_[:3] < 0).all()


@pytest.mark.parametrize("scale", [1 / 60, 1e-3, 50.0])
def test_the_scale_of_weights_has_no_part_in_the_adjustment(scale):
    def fit(weight):
        model = smoothed(logit_adjustment=1.0)
        rows = np.flatnonzero(LABELLED)
        return model.fit(X[rows], Y[rows], sample_weight=weight[rows])

    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    expected = fit(weight).class_log_frequency_
    np.testing.assert_allclose(fit(scale * weight).class_log_frequency_, expected)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0, "2", None])
@pytest.mark.parametrize("kind", [SmoothedAnticipator, DistilledAnticipator])
def test_weights_of_classes_are_finite_numbers(weight, kind):
    model = kind(MLP(4), max_epochs=1, class_weight={3: weight})
    with pytest.raises(ValueError, match="class_weight must hold finite numbers"):
        model.fit(X[FOUR], Y[FOUR])


def test_a_part_of_no_weight_needs_nothing():
    prior = MixturePrior([UniformPrior(), TemporalPrior()], weights=[1, 0])
    plain = UniformPrior().fit(CLASSES).matrix_
    matrix = prior.fit(CLASSES).matrix_
    np.testing.assert_array_equal(matrix, np.repeat(plain, 20, axis=0))


def test_words_of_histories_that_count_nothing_are_unknown():
    past, weight = [["cut pan"], ["wash pan"], ["dry cup"]] * 4, [1.0, 1.0, 0.0] * 4
    y = ["cut pan", "wash pan", "dry cup"] * 4
    teacher = HistoryTeacher(n_networks=1, max_epochs=1, random_state=0)
    teacher.fit(past, y, sample_weight=weight)
    assert teacher.encoder_.vocabulary_["noun"].tolist() == ["pan"]


def test_a_class_whose_rows_count_nothing_is_a_class():
    """As in scikit-learn: the columns of an answer do not depend on weights."""
    rows = np.flatnonzero(FOUR)
    given = Y[FOUR], {"sample_weight": (Y[FOUR] != 3).astype(float)}
    known = GaussianNB().fit(X[rows], given[0], **given[1]).classes_
    assert known.tolist() == [0, 1, 2, 3]
    counts = HistoryTeacher(n_networks=0)
    networks = HistoryTeacher(n_networks=1, hidden_size=4, max_epochs=1)
    for model, seen in (
        (smoothed(classes=None), X),
        (RecognitionTeacher(MLP(4), max_epochs=1), X),
        (counts, PAST),
        (networks, PAST),
        (TeacherEnsemble([counts]), PAST),
    ):
        model.fit(seen[rows], given[0], **given[1])
        np.testing.assert_array_equal(model.classes_, known)
        proba = model.predict_proba(seen[rows])
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)


def test_without_adjustment_probabilities_are_those_of_the_network():
    model = smoothed(logit_adjustment=0.0)
    proba, _ = answers(model)
    with torch.inference_mode():
        logits = model.network_(torch.from_numpy(X)).logits[:, 0]
    np.testing.assert_allclose(proba, logits.softmax(-1).numpy(), rtol=1e-6)


# ------------------------------------------------------------ weights of rows held out


@pytest.mark.filterwarnings("ignore:.*kept the weights of the first epoch")
@pytest.mark.parametrize("scoring", ["loss", "accuracy", "neg_log_loss", "f1_macro"])
def test_a_row_held_out_of_weight_k_counts_as_k_rows(scoring):
    """Of two videos one is held out; what differs is how often its rows count."""
    rng = np.random.default_rng(0)
    clips, y = rng.normal(size=(60, 4)), np.repeat([0, 1, 2], 20)
    clips[:, 0] += y
    video, times = np.arange(60) % 2, rng.integers(1, 4, 60)

    def record(held, weighed):
        often = np.where(video == held, times, 1)
        chosen = np.repeat(np.arange(60), 1 if weighed else often)
        model = smoothed(scoring=scoring, early_stopping=True, classes=None, lr=0.05)
        weights = {"sample_weight": often} if weighed else {}
        model.fit(clips[chosen], y[chosen], groups=video[chosen], **weights)
        return model.n_iter_, model.history_[-1]

    # one of the two is held out, and where it is the other all is the same
    matches = []
    for held in (0, 1):
        (n, weighed), (n_repeated, repeated) = record(held, True), record(held, False)
        same_loss = weighed["loss"] == repeated["loss"]
        matches.append(same_loss)
        if same_loss:
            assert n == n_repeated and weighed == pytest.approx(repeated, rel=1e-5)
    assert sum(matches) == 1
