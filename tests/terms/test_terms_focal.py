import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from searches import assert_same
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from together import (
    CLIPS,
    EXACT,
    FOLDS,
    FUTURES,
    NAMES,
    RNG,
    SOME,
    C,
    N,
    X,
    Y,
    assert_as_alone,
)

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    FocalLoss,
    MarginalLoss,
    SmoothedAnticipator,
    UniformPrior,
    VerbNounHead,
    load,
)

pytestmark = pytest.mark.filterwarnings("ignore:.* no teacher speaks for them")
STILL = {**EXACT, "max_epochs": 1, "lr": 1e-13, "batch_size": N}
PROBA = RNG.dirichlet(np.ones(C), N)
WEIGHTS = RNG.random(N) * (np.arange(N) % 7 > 0)


def smoothed(network=None, **params):
    network = MLP(7) if network is None else network
    return SmoothedAnticipator(network, **{**EXACT, "smoothing": 0.0, **params})


def distilled(network=None, **params):
    network = MLP(7) if network is None else network
    return DistilledAnticipator(network, **{**EXACT, **params})


def scores_of(model, clips):
    with torch.no_grad():
        return model.network_(torch.tensor(clips)).logits.numpy()  # (n, S, C)


def focal(scores, targets, gamma, alpha):
    """Mean over stages of the formula.   (n, S, C), (n, C) -> (n,)."""
    p, t = 1 / (1 + np.exp(-scores)), targets[:, None]
    right = p * t + (1 - p) * (1 - t)
    balance = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    losses = -t * np.log(p) - (1 - t) * np.log(1 - p)
    return (balance * (1 - right) ** gamma * losses).sum(-1).mean(-1)


# ------------------------------------------------------------------ what the term is


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weights"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_labels_and_what_a_prior_knows(smoothing, weight):
    model = smoothed(**STILL, loss=FocalLoss(1.5, alpha=0.3)).set_params(
        prior=UniformPrior(), smoothing=smoothing
    )
    model.fit(X, Y, sample_weight=weight)
    targets = (1 - smoothing) * np.eye(C)[Y] + smoothing / C
    expected = focal(scores_of(model, X), targets, 1.5, 0.3)
    record = model.history_[0]
    assert_allclose(record["base"], np.average(expected, weights=weight), rtol=1e-9)
    assert record["loss"] == record["base"]


def test_answers_take_the_place_of_labels():
    given = {"smoothing": 0.0, "unlabeled_fraction": None, "classes": range(C)}
    model = distilled(**STILL, loss=FocalLoss(), **given)
    model.fit(X, SOME, teacher_proba=PROBA)
    targets = np.where((SOME < 0)[:, None], PROBA, np.eye(C)[SOME])
    expected = focal(scores_of(model, X), targets, 2.0, 0.25).mean()
    assert_allclose(model.history_[0]["base"], expected, rtol=1e-9)


def test_every_stage_is_asked():
    model = smoothed(LSTM(5, anticipation_steps=3), **STILL, loss=FocalLoss(alpha=None))
    model.fit(CLIPS, Y)
    scores = scores_of(model, CLIPS)
    assert scores.shape == (N, 3, C)
    expected = focal(scores, np.eye(C)[Y], 2.0, None).mean()
    assert_allclose(model.history_[0]["base"], expected, rtol=1e-9)


@pytest.mark.parametrize("network", [MLP(7), MLP(7, head=VerbNounHead())], ids=repr)
def test_a_step_goes_down_its_slope(network):
    """Networks with and without gradients of their own; slopes of plain torch."""
    plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
    params = {**STILL, **plain, "loss": FocalLoss()}
    before = smoothed(network, **params).fit(X, NAMES).network_
    after = smoothed(network, **{**params, "lr": 0.5}).fit(X, NAMES).network_
    p = before(torch.tensor(X)).logits.squeeze(1).sigmoid()
    _, codes = np.unique(NAMES, return_inverse=True)
    t = torch.eye(C, dtype=torch.float64)[codes]
    loss = -0.25 * t * (1 - p) ** 2 * p.log() - 0.75 * (1 - t) * p**2 * (1 - p).log()
    loss.sum(1).mean().backward()
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        assert_allclose(new.detach(), (old - 0.5 * old.grad).detach(), atol=1e-11)


def test_other_terms_stay_as_they_are():
    marginal = {"marginal_loss": MarginalLoss(noun_weight=0.0)}
    one, other = (
        smoothed(**STILL, loss=loss, **marginal).fit(X, NAMES).history_[0]
        for loss in (None, FocalLoss())
    )
    assert_allclose(one["verb"], other["verb"], rtol=1e-9)
    assert one["base"] != other["base"]
    assert_allclose(other["loss"], other["base"] + other["verb"])


def test_probabilities_are_a_softmax_and_validation_their_log_loss():
    model = smoothed(loss=FocalLoss())
    model.fit(X[20:], Y[20:], X_val=X[:20], y_val=Y[:20])
    scores = scores_of(model, X)[:, 0]
    proba = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert_allclose(model.predict_proba(X), proba, rtol=1e-9)
    assert_array_equal(model.predict(X), scores.argmax(1))
    expected = log_loss(Y[:20], proba[:20])
    assert_allclose(model.history_[-1]["val_loss"], expected, rtol=1e-9)


def test_it_learns():
    scale = 3 * np.eye(C)[Y] + 0.1 * RNG.normal(size=(N, C))
    model = smoothed(loss=FocalLoss(), max_epochs=60, lr=0.02).fit(scale, Y)
    assert model.score(scale, Y) == 1.0


def test_the_default_teacher_learns_by_it_too():
    loss = FocalLoss(1.0)
    model = distilled(loss=loss, **{**STILL, "batch_size": 8}).fit(X, SOME, X + 0.1)
    assert model.teacher_.loss.gamma == 1.0
    scores = scores_of(model.teacher_, X[SOME >= 0] + 0.1)
    expected = focal(scores, np.eye(C)[SOME[SOME >= 0]], 1.0, 0.25).mean()
    assert_allclose(model.teacher_.history_[0]["base"], expected, rtol=1e-6)


# -------------------------------------------------------------------- many fits at once


def test_fits_of_one_loss_are_one():
    models = [
        smoothed(loss=FocalLoss(1.0, alpha=0.4), lr=lr, smoothing=smoothing)
        for lr in (0.001, 0.01)
        for smoothing in (0.0, 0.2)
        for _ in FOLDS
    ]
    assert_as_alone(models, X, Y, train=FOLDS * 4)
    models = [model.set_params(network=LSTM(5, dropout=0.3)) for model in models[:4]]
    weights = {"sample_weight": WEIGHTS}
    assert_as_alone(models, CLIPS, Y, train=FOLDS * 2, **weights)


def test_fits_of_other_losses_are_others():
    models = [
        smoothed(loss=loss, random_state=k)
        for loss in (None, FocalLoss(), FocalLoss(1.0), FocalLoss(alpha=None))
        for k in range(3)
    ]
    assert_as_alone(models, X, Y, together=3)


@pytest.mark.parametrize("signals", ["answers", "futures"])
def test_unlabelled_rows(signals):
    given = {
        "answers": {"teacher_proba": PROBA},
        "futures": {"X_future_unlabeled": FUTURES.mean(1)},
    }[signals]
    models = [
        distilled(loss=FocalLoss(), lr=lr, smoothing=smoothing, teacher_weight=0.5)
        for lr in (0.001, 0.01)
        for smoothing in (0.0, 0.2)
    ]
    for model in models:
        model.set_params(classes=range(C))
    assert_as_alone(models, X, SOME, **given)


def test_searches_over_losses_and_their_parameters():
    model = SmoothedAnticipator(MLP(8), max_epochs=2, lr=0.02, random_state=0)
    assert_same(model, {"loss": [None, FocalLoss(), FocalLoss(0.5)]})
    model.set_params(loss=FocalLoss())
    search = assert_same(model, {"loss__gamma": [0, 2.0], "loss__alpha": [None, 0.25]})
    assert search.best_estimator_.loss.gamma == search.best_params_["loss__gamma"]
    steps = make_pipeline(StandardScaler(), model)
    assert_same(steps, {"smoothedanticipator__loss__gamma": [0.0, 1.0]})


# ------------------------------------------------------------------- as a parameter


def test_clones_and_files(tmp_path):
    model = smoothed(loss=FocalLoss(1.0, alpha=None))
    copy = clone(model)
    assert copy.loss is not model.loss and copy.get_params()["loss__gamma"] == 1.0
    model.fit(X, Y).save(tmp_path / "model")
    for again in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        assert (again.loss.gamma, again.loss.alpha) == (1.0, None)


@pytest.mark.parametrize(
    "loss", [FocalLoss(-0.1), FocalLoss(alpha=1.1), FocalLoss("2"), "focal"], ids=repr
)
def test_wrong_ones_are_refused(loss):
    with pytest.raises(ValueError, match="The '(gamma|alpha|loss)' parameter of"):
        smoothed(loss=loss).fit(X, Y)
