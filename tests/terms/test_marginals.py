import numpy as np
import pytest

from skanticipate import MLP, DistilledAnticipator, MarginalLoss, SmoothedAnticipator
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import marginalize

KITCHEN = make_kitchen(12, 10, random_state=0)


def fitted(kind=SmoothedAnticipator, y=KITCHEN.y, weight=None, **params):
    params = {"max_epochs": 1, "lr": 1e-9, "random_state": 0, **params}
    model = kind(MLP(8), dtype="float64", **params)
    return model.fit(KITCHEN.X_past, y, KITCHEN.X_future, sample_weight=weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_terms_are_those_of_the_marginals(weighted):
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.1, 2, len(KITCHEN.y)) if weighted else None
    loss = MarginalLoss(KITCHEN.actions, verb_weight=0.5, noun_weight=2.0)
    model = fitted(weight=weight, marginal_loss=loss, batch_size=1000, smoothing=0.0)
    proba = model.predict_proba(KITCHEN.X_past)  # the rate is too small to matter
    record = model.history_[0]
    for part, name in enumerate(("verb", "noun")):
        sums = {}
        for label, column in zip(model.classes_.tolist(), proba.T, strict=True):
            key = KITCHEN.actions[label][part]
            sums[key] = sums.get(key, 0) + column
        right = [sums[KITCHEN.actions[y][part]][k] for k, y in enumerate(KITCHEN.y)]
        expected = np.average(-np.log(right), weights=weight)
        assert record[name] == pytest.approx(expected, rel=1e-5)
    total = record["base"] + 0.5 * record["verb"] + 2 * record["noun"]
    assert record["loss"] == pytest.approx(total)


def test_weight_zero_leaves_a_term_out():
    model = fitted(marginal_loss=MarginalLoss(KITCHEN.actions, noun_weight=0.0))
    assert "verb" in model.history_[0] and "noun" not in model.history_[0]


def test_unlabelled_rows_have_no_verb():
    y = np.where(np.arange(len(KITCHEN.y)) % 2 == 0, KITCHEN.y, -1)
    loss = MarginalLoss(KITCHEN.actions)
    model = fitted(DistilledAnticipator, y, marginal_loss=loss, batch_size=16)
    assert np.isfinite([model.history_[0][k] for k in ("verb", "noun")]).all()
    assert model.teacher_.history_[0]["verb"] > 0  # its teacher learns them too


def test_learning_verbs_makes_verbs_better():
    def verb_loss(marginal_loss):
        model = SmoothedAnticipator(
            MLP(16),
            smoothing=0,
            max_epochs=20,
            marginal_loss=marginal_loss,
            random_state=0,
        )
        train, test = KITCHEN.groups < 9, KITCHEN.groups >= 9
        model.set_params(classes=list(KITCHEN.actions))
        model.fit(KITCHEN.X_past[train], KITCHEN.y[train])
        proba = model.predict_proba(KITCHEN.X_past[test])
        parts = marginalize(proba, model.classes_, KITCHEN.actions)
        verbs = list(parts.verbs)
        right = [verbs.index(KITCHEN.actions[y][0]) for y in KITCHEN.y[test]]
        return -np.log(parts.verb_proba[np.arange(len(right)), right]).mean()

    heavy = MarginalLoss(KITCHEN.actions, verb_weight=3.0, noun_weight=0.0)
    assert verb_loss(heavy) < verb_loss(None)


def test_a_label_without_verb_and_noun_is_refused():
    with pytest.raises(ValueError, match="actions"):
        fitted(marginal_loss=MarginalLoss({0: ("cut", "onion")}))
    with pytest.raises(ValueError, match="verb_weight"):
        fitted(marginal_loss=MarginalLoss(KITCHEN.actions, verb_weight=-1.0))
