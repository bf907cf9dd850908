import copy
import weakref

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional

from skanticipate import CosineSchedule, RowView
from skanticipate._batches import Batch, shuffled
from skanticipate._runtime import clip_reader
from skanticipate._targets import LabelObjective, LabelTargets
from skanticipate._training import (
    EarlyStopping,
    GradientStep,
    ValidationScore,
    initial_state,
    predict_batches,
    training_epochs,
)
from skanticipate.networks import LSTM, MLP, Output
from skanticipate.networks.base import lend_generator

N, T, D, C = 60, 4, 6, 3
CPU = {"dtype": torch.float32, "device": torch.device("cpu")}
SEEDS = {"shuffle": 3, "crop": 5, "dropout": 4}
OPTIONS = {
    "optimizer": "adamw",
    "lr": 0.02,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "schedule": None,
    "stopping": None,
}


def data(n=N, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, C, n)
    return rng.normal(size=(n, T, D)).astype(np.float32) + codes[:, None, None], codes


def new_training(spec=None, **options):
    """A state at the start and its step over the data above."""
    spec = LSTM(8, dropout=0.3, anticipation_steps=2) if spec is None else spec
    X, codes = data()
    network = spec.build((T, D), C, generator=torch.Generator().manual_seed(0))
    state = initial_state({"network": network}, SEEDS, **{**OPTIONS, **options})
    objective = LabelObjective(LabelTargets(codes, **CPU), None, **CPU)
    take = clip_reader(RowView(X), **CPU)
    return state, GradientStep(state, batches_of(take), objective, {"base": 1.0})


def rows_of(X):
    """Batches of the rows of a tensor."""
    return batches_of(lambda samples: X[samples])


def batches_of(take_clips):
    """Batches without crops or futures."""
    return lambda samples: Batch(samples, take_clips(samples))


def validation(watched="loss"):
    X, codes = data(40, seed=9)
    reader = clip_reader(RowView(X), **CPU)
    return ValidationScore(reader, codes, stage=-1, watched=watched)


def train(state, step, max_epochs, score=None, batch_size=16):
    with lend_generator(state.network, state.generators["dropout"]):
        return list(
            training_epochs(
                state,
                step,
                shuffled(N, batch_size),
                max_epochs=max_epochs,
                score=score,
            )
        )


def weights_of(state):
    return {k: v.clone() for k, v in state.network.state_dict().items()}


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


# ------------------------------------------------------------- going on elsewhere


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_that_was_saved_goes_on_with_the_same_bits(optimizer):
    def fresh():
        return new_training(
            optimizer=optimizer,
            schedule=CosineSchedule(warmup_epochs=1),
            stopping=EarlyStopping(patience=50, tol=0.0),
        )

    # The schedule looks at max_epochs, so the first part stops for another reason.
    straight, step = fresh()
    train(straight, step, 6, validation())
    broken, step = fresh()
    with lend_generator(broken.network, broken.generators["dropout"]):
        records = training_epochs(
            broken, step, shuffled(N, 16), max_epochs=6, score=validation()
        )
        for _ in range(3):
            next(records)
    again, step = fresh()
    again.load_state_dict(copy.deepcopy(broken.state_dict()))
    assert again.epoch == 3
    train(again, step, 6, validation())
    assert again.history == straight.history
    assert_same_weights(weights_of(again), weights_of(straight))
    assert again.stopping.best_epoch == straight.stopping.best_epoch
    assert_same_weights(again.stopping.best_weights, straight.stopping.best_weights)


def test_state_dict_is_a_snapshot_that_later_epochs_do_not_change():
    state, step = new_training()
    train(state, step, 1)
    snapshot, before = state.state_dict(), weights_of(state)
    train(state, step, 3)
    assert_same_weights(snapshot["modules"]["network"], before)
    assert len(snapshot["history"]) == 1


def test_state_dict_holds_plain_containers_only():
    state, step = new_training(stopping=EarlyStopping(5, 0.0))
    train(state, step, 1, validation())

    def check(value):
        if isinstance(value, dict):
            for child in value.values():
                check(child)
        elif isinstance(value, list):
            for child in value:
                check(child)
        else:
            assert value is None or isinstance(value, torch.Tensor | int | float | str)

    check(state.state_dict())


def test_same_seeds_give_the_same_bits_whatever_the_global_stream():
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        state, step = new_training()
        train(state, step, 2)
        results.append(weights_of(state))
    assert_same_weights(*results)


def test_training_draws_nothing_from_the_global_streams():
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(*new_training(), 1, validation())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


# ----------------------------------------------------------------- early stopping


def test_best_weights_come_back():
    state, step = new_training(stopping=EarlyStopping(patience=100, tol=0.0))
    kept, scores = [], iter([0.1, 0.9, 0.3, 0.9, 0.2])
    for _ in training_epochs(
        state,
        step,
        shuffled(N, 16),
        max_epochs=5,
        score=lambda network: {"val_loss": 0.0, "score": next(scores)},
    ):
        kept.append(weights_of(state))
    state.stopping.restore(state.network)
    assert state.stopping.best_epoch == 2
    assert_same_weights(weights_of(state), kept[1])


@pytest.mark.parametrize(
    ("scores", "patience", "tol", "epochs"),
    [
        ([1, 0, 0, 0, 0, 0], 2, 0.0, 3),
        ([0, 1, 2, 3, 4, 5], 2, 0.0, 6),
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 2, 0.15, 3),
        ([1, 1, 1, 1, 1, 1], 3, 0.0, 4),
        ([0, -1, 2, 1, 1, 9], 2, 0.0, 5),
        ([np.nan] * 6, 3, 0.0, 3),
    ],
)
def test_patience_counts_epochs_without_gain(scores, patience, tol, epochs):
    state, step = new_training(stopping=EarlyStopping(patience, tol))
    scores = iter(scores)
    records = train(state, step, 6, lambda network: {"score": next(scores)})
    assert len(records) == epochs
    assert state.finished(6)


def test_stopping_without_any_score_leaves_the_weights():
    state, step = new_training(stopping=EarlyStopping(2, 0.0))
    train(state, step, 4)
    before = weights_of(state)
    state.stopping.restore(state.network)
    assert_same_weights(weights_of(state), before)


# ------------------------------------------------------------------------- record


def test_record_has_epoch_rate_loss_terms_and_figures():
    state, step = new_training()
    records = train(state, step, 2, validation())
    assert [list(record) for record in records] == 2 * [
        [
            "epoch",
            "lr",
            "loss",
            "base",
            "val_loss",
            "val_accuracy",
            "val_top_5_accuracy",
        ]
    ]
    assert [record["epoch"] for record in records] == [1, 2]
    assert all(
        isinstance(v, int | float) for record in records for v in record.values()
    )
    assert records == state.history


def test_rate_of_a_batch_is_that_of_its_middle():
    seen = []
    state, step = new_training(lr=2.0)

    class Line:
        def factor(self, epoch, max_epochs):
            seen.append((epoch, max_epochs))
            return epoch / max_epochs

    state.schedule = Line()
    records = train(state, step, 2, batch_size=30)
    assert seen == [(0.25, 2), (0.75, 2), (1.25, 2), (1.75, 2)]
    assert [record["lr"] for record in records] == [0.75, 1.75]
    assert state.optimizer.lr == 1.75


class Spy:
    """A step that notes its batches and pretends a loss."""

    def __init__(self, terms):
        self.terms = terms
        self.batches = []

    def __call__(self, samples):
        self.batches.append(samples.tolist())
        return self.terms(len(self.batches), samples)

    def loss(self, means):
        return sum(means.values())


def test_epoch_is_a_new_order_of_all_samples_with_a_smaller_last_batch():
    spy = Spy(lambda k, samples: {"base": (torch.tensor(1.0), 1)})
    state, _ = new_training()
    train(state, spy, 2, batch_size=25)
    assert [len(batch) for batch in spy.batches] == [25, 25, 10] * 2
    epochs = [sum(spy.batches[:3], []), sum(spy.batches[3:], [])]
    assert [sorted(epoch) for epoch in epochs] == [list(range(N))] * 2
    assert epochs[0] != epochs[1] != list(range(N))


def test_mean_of_a_term_is_over_the_weights_of_its_batches():
    def terms(k, samples):
        found = {"base": (torch.tensor(3.0 * k), 2.0 * k)}
        if k == 2:  # a term that only one batch has rows for
            found["text"] = (torch.tensor(5.0), torch.tensor(4.0))
        return found

    state, _ = new_training()
    (record,) = train(state, Spy(terms), 1, batch_size=20)
    assert record["base"] == pytest.approx((3 + 6 + 9) / (2 + 4 + 6))
    assert record["text"] == pytest.approx(5 / 4)
    assert record["loss"] == pytest.approx(1.5 + 1.25)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_names_epoch_and_batch(value):
    def terms(k, samples):
        return {"base": (torch.tensor(value if k == 5 else 1.0), 1)}

    state, _ = new_training()
    message = f"The base loss is {value} in epoch 2, batch 2. Usual causes: .* Lower lr"
    with pytest.raises(ValueError, match=message):
        train(state, Spy(terms), 4, batch_size=20)
    assert state.epoch == 1


def test_loss_that_is_not_finite_names_the_batch_it_came_in():
    def terms(k, samples):
        found = {"base": (torch.tensor(1.0), 1)}
        if k % 3 == 0:  # the second and the fourth that have rows for it
            found["text"] = torch.tensor(1.0 if k < 6 else float("nan")), 1
        return found

    state, _ = new_training()
    with pytest.raises(ValueError, match="The text loss is nan in epoch 1, batch 6."):
        train(state, Spy(terms), 1, batch_size=10)


def test_nothing_of_a_step_is_kept_until_the_next_but_one():
    def terms(k, samples):
        # a tensor kept from every step would pin the memory between large ones
        assert [k for k, total in enumerate(totals[:-1]) if total() is not None] == []
        total = torch.tensor(float(k))
        totals.append(weakref.ref(total))
        return {"base": (total, torch.tensor(1.0))}

    totals, (state, _) = [], new_training()
    (record,) = train(state, Spy(terms), 1, batch_size=2)
    assert len(totals) == 30
    assert record["base"] == pytest.approx(sum(range(1, 31)) / 30)


def test_batch_size_may_be_a_numpy_integer_as_searches_draw_them():
    assert len(train(*new_training(), 1, batch_size=np.int64(16))) == 1


def test_loop_prints_nothing(capsys):
    train(*new_training(), 2, validation())
    assert capsys.readouterr() == ("", "")


def test_network_trains_with_dropout_and_is_scored_without():
    state, step = new_training()
    modes = []
    take = step.take_batch
    step.take_batch = lambda samples: (
        modes.append(state.network.training),
        take(samples),
    )[1]

    def score(network):
        modes.append(network.training)
        return {"score": 0.0}

    train(state, step, 2, score, batch_size=N)
    assert modes == [True, False, True, False]


def test_finished_training_does_nothing_more():
    state, step = new_training()
    train(state, step, 2)
    assert train(state, step, 2) == []


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_loss_falls(optimizer):
    state, step = new_training(MLP(16), optimizer=optimizer)
    records = train(state, step, 8)
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]


# --------------------------------------------------------------------------- step


class Linear(nn.Module):
    """Scores, and an extra loss of its own, for the step's oracle."""

    def __init__(self, with_auxiliary):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, D * C).reshape(D, C))
        self.with_auxiliary = with_auxiliary

    def forward(self, clips):
        auxiliary = self.weight.square().sum() if self.with_auxiliary else None
        return Output((clips @ self.weight).unsqueeze(1), auxiliary_loss=auxiliary)


@pytest.mark.parametrize("with_auxiliary", [False, True])
def test_step_goes_down_the_gradient_of_the_weighted_means(with_auxiliary):
    X = torch.randn(10, D, generator=torch.Generator().manual_seed(1))
    network = Linear(with_auxiliary)
    samples, lr = torch.tensor([1, 4, 7]), 0.1

    def objective(output, batch):
        logits = output.logits[:, 0]
        return {
            "base": (functional.cross_entropy(logits, samples % C, reduction="sum"), 3),
            "text": (2 * logits.square().sum(), torch.tensor(8.0)),
        }

    weight = network.weight.detach().clone().requires_grad_()
    logits = X[samples] @ weight
    loss = 0.5 * functional.cross_entropy(logits, samples % C)
    loss = loss + 1.5 * 2 * logits.square().sum() / 8
    if with_auxiliary:
        loss = loss + weight.square().sum()
    loss.backward()
    options = {**OPTIONS, "optimizer": "sgd", "weight_decay": 0.0, "lr": lr}
    state = initial_state({"network": network}, SEEDS, **options)
    step = GradientStep(
        state,
        rows_of(X),
        objective,
        {"base": 0.5, "text": 1.5},
    )
    terms = step(samples)
    assert_allclose(
        network.weight.detach(), (weight - lr * weight.grad).detach(), rtol=1e-5
    )
    assert not any(total.requires_grad for total, _ in terms.values())
    means = {name: float(total / w) for name, (total, w) in terms.items()}
    assert step.loss(means) == pytest.approx(
        0.5 * means["base"] + 1.5 * means["text"] + means.get("auxiliary", 0.0)
    )


def test_gradients_of_an_earlier_step_are_forgotten():
    X, network = torch.ones(2, D), Linear(False)
    options = {**OPTIONS, "optimizer": "sgd", "weight_decay": 0.0, "momentum": 0.0}
    state = initial_state({"network": network}, SEEDS, **options)

    def objective(output, batch):
        return {"base": (output.logits.sum(), 1)}

    step = GradientStep(state, rows_of(X), objective, {"base": 1.0})
    before = network.weight.detach().clone()
    for _ in range(3):
        step(torch.tensor([0]))
    assert_allclose(
        network.weight.detach(), before - 3 * OPTIONS["lr"], rtol=1e-4, atol=1e-6
    )


def test_auxiliary_loss_that_is_not_finite_ends_training():
    class Broken(Linear):
        def forward(self, clips):
            return Output(
                super().forward(clips).logits, auxiliary_loss=self.weight.log().sum()
            )

    X, network = torch.ones(2, D), Broken(False)
    state = initial_state({"network": network}, SEEDS, **OPTIONS)

    def objective(output, batch):
        return {"base": (output.logits.sum(), 1)}

    step = GradientStep(state, rows_of(X), objective, {"base": 1.0})
    with pytest.raises(ValueError, match="epoch 1"):
        list(training_epochs(state, step, shuffled(2, 2), max_epochs=1))


# --------------------------------------------------------------------- validation


class Fixed(nn.Module):
    """Gives the scores that stand in the clips: (B, S, C)."""

    def forward(self, clips):
        return Output(clips)


def test_figures_are_those_of_one_stage_by_hand():
    scores = np.zeros((4, 2, 7))
    scores[:, 0] = 99  # another stage
    scores[0, 1] = [2, 1, 0, 0, 0, 0, 0]
    scores[1, 1] = [5, 4, 3, 2, 1, 0, -1]
    scores[2, 1] = [0, 0, 0, 0, 0, 0, 3]
    scores[3, 1] = [1, 0, 0, 0, 0, 0, 0]
    codes = np.array([0, 4, 2, -1])  # hit, hit among five, missed, no class
    scores[2, 1, :6] = [-1, -2, -9, -1, -1, -1]
    figures = ValidationScore(
        lambda samples: torch.from_numpy(scores)[samples],
        codes,
        stage=1,
        watched="top_5_accuracy",
    )(Fixed())
    losses = []
    for row, code in zip(scores[:3, 1], codes[:3], strict=True):
        losses.append(np.log(np.exp(row).sum()) - row[code])
    assert figures["val_loss"] == pytest.approx(np.mean(losses))
    assert figures["val_accuracy"] == pytest.approx(1 / 4)
    assert figures["val_top_5_accuracy"] == pytest.approx(2 / 4)
    assert figures["score"] == figures["val_top_5_accuracy"]


@pytest.mark.parametrize("batch_size", [1, 7, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_classes", [3, 9])
def test_figures_do_not_depend_on_the_batches(batch_size, dtype, n_classes):
    n = 61
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(n, 1, n_classes)).round(1)).to(dtype)
    codes = rng.integers(-1, n_classes, n)
    figures = ValidationScore(
        scores.__getitem__,
        codes,
        stage=0,
        watched="loss",
        batch_size=batch_size,
    )(Fixed())
    logits, known = scores[:, 0], codes >= 0
    loss = functional.cross_entropy(logits[known], torch.from_numpy(codes[known]))
    assert figures["val_loss"] == float(loss)
    order = np.argsort(-logits.numpy(), axis=1, kind="stable")
    for name, k in (("val_accuracy", 1), ("val_top_5_accuracy", 5)):
        assert figures[name] == (order[:, :k] == codes[:, None]).any(1).mean()


def test_scores_that_are_no_numbers_cannot_be_ranked():
    scores = torch.full((4, 1, 3), torch.nan)
    score = ValidationScore(
        scores.__getitem__, np.zeros(4, int), stage=0, watched="loss"
    )
    with pytest.raises(ValueError, match="validation rows are NaN. Usual causes"):
        score(Fixed())


def test_lower_loss_is_a_higher_score():
    state, _ = new_training()
    state.network.eval()
    figures = validation("loss")(state.network)
    assert figures["score"] == -figures["val_loss"]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_logits_do_not_depend_on_the_batches(batch_size):
    state, step = new_training()
    network = state.network.eval()

    def take(samples):
        return step.take_batch(samples).clips

    whole = network(take(torch.arange(N))).logits
    parts = predict_batches(
        network, take, N, batch_size, lambda output, _: output.logits
    )
    assert parts.shape == (N, 2, C)
    assert_allclose(parts, whole.detach(), rtol=1e-4, atol=1e-6)
    assert not parts.requires_grad


# ---------------------------------------------------------------- learning in phases


class Phased(nn.Module):
    """Notes what it is told, and when."""

    def __init__(self, network):
        super().__init__()
        self.network, self.heard = network, []

    def begin_epoch(self, epoch, max_epochs):
        self.heard.append((epoch, max_epochs, self.training))

    def forward(self, clips):
        self.heard.append("batch" if self.training else "validation")
        return self.network(clips)


def phased_training():
    state, step = new_training()
    state.modules["network"] = step.network = Phased(state.network)
    return state, step


def test_network_is_told_of_each_epoch_before_its_first_batch():
    state, step = phased_training()
    train(state, step, 2, validation(), batch_size=30)
    epoch = ["batch", "batch", "validation"]
    assert state.network.heard == [(0, 2, True), *epoch, (1, 2, True), *epoch]


def test_training_that_goes_on_tells_the_network_how_far_it_is():
    state, step = phased_training()
    train(state, step, 1, batch_size=N)
    train(state, step, 3, batch_size=N)
    told = [entry for entry in state.network.heard if entry != "batch"]
    assert told == [(0, 1, True), (1, 3, True), (2, 3, True)]
