import copy
import itertools
import weakref
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from toy_training import N, new_training, validation

from skanticipate import CosineSchedule
from skanticipate.networks import MLP
from skanticipate.networks.base import lend_generator
from skanticipate.training.batches import shuffled
from skanticipate.training.loop import (
    EarlyStopping,
    Training,
    check_finite,
    run,
    training_epochs,
)
from skanticipate.training.step import Diverged


def train(state, step, max_epochs, score=None, batch_size=16):
    training = Training(state, step, shuffled(N, batch_size), max_epochs, score)
    with lend_generator(state.network, state.generators["dropout"]):
        return list(training_epochs(training))


def weights_of(state):
    return {k: v.clone() for k, v in state.network.state_dict().items()}


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


# ------------------------------------------------------------- going on elsewhere


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "matrix decay"])
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
            Training(broken, step, shuffled(N, 16), 6, validation())
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

    def score(network):
        return {"val_loss": 0.0, "score": next(scores)}

    for _ in training_epochs(Training(state, step, shuffled(N, 16), 5, score)):
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
        def share(self, epoch, max_epochs):
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

    def reading(self, batches):
        return nullcontext()

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


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "matrix decay"])
def test_loss_falls(optimizer):
    state, step = new_training(MLP(16), optimizer=optimizer)
    records = train(state, step, 8)
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]


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
    state.network = state.modules["network"] = step.network = Phased(state.network)
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


# ------------------------------------------------------------------------ the driver


def test_the_driver_trains_to_the_end_as_the_epochs_do():
    one, step = new_training()
    train(one, step, 3)
    other, step = new_training()
    assert run(Training(other, step, shuffled(N, 16), 3)) is other.history
    assert other.history == one.history
    assert_same_weights(weights_of(other), weights_of(one))


def test_the_driver_leaves_the_best_weights_ready_to_predict():
    state, step = new_training(stopping=EarlyStopping(patience=2, tol=0.0))
    kept, scores = [], iter([0.1, 0.9, 0.3, 0.2, 0.8])

    def watch(records):
        for record in records:
            kept.append(weights_of(state))
            yield record

    training = Training(
        state, step, shuffled(N, 16), 5, lambda network: {"score": next(scores)}
    )
    history = run(training, watch)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert_same_weights(weights_of(state), kept[1])
    assert not state.network.training
    assert all(p.grad is None for p in state.network.parameters())


def test_training_ends_where_who_watches_ends():
    state, step = new_training()

    def watch(records):
        yield next(records)
        yield next(records)

    assert len(run(Training(state, step, shuffled(N, 16), 9), watch)) == 2


def test_training_that_was_stopped_goes_on_with_the_same_bits():
    straight, step = new_training()
    run(Training(straight, step, shuffled(N, 16), 5))
    broken, step = new_training()
    for n_more in (2, 3):
        run(
            Training(broken, step, shuffled(N, 16), 5),
            lambda records, n_more=n_more: itertools.islice(records, n_more),
        )
    assert broken.history == straight.history
    assert_same_weights(weights_of(broken), weights_of(straight))


def test_weights_that_are_not_finite_after_the_last_step_are_an_error():
    state, step = new_training()

    def watch(records):
        for record in records:
            next(state.network.parameters()).data.fill_(torch.inf)
            yield record

    message = "Weights are not finite after the last step of epoch 1.*Usual causes"
    with pytest.raises(ValueError, match=message):
        run(Training(state, step, shuffled(N, 16), 1), watch)


@pytest.mark.parametrize(
    ("weight", "is_refused"),
    [
        ([3e38, 3e38], False),  # their sum is beyond float32
        ([3e38, float("inf")], True),
        ([-float("inf"), float("inf")], True),
        ([0.0, float("nan")], True),
    ],
)
def test_only_weights_that_are_not_finite_are_refused(weight, is_refused):
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([weight]))
    refused = pytest.raises(Diverged) if is_refused else nullcontext()
    with refused:
        check_finite(network, 1)


def test_the_network_trains_in_the_context_of_its_randomness():
    state, _ = new_training()
    spy = Spy(
        lambda k, samples: seen.append(inside[-1]) or {"base": (torch.ones(()), 1)}
    )
    inside, seen = [False], []

    @contextmanager
    def randomness():
        inside.append(True)
        yield
        inside.append(False)

    run(Training(state, spy, shuffled(N, N), 2, randomness=randomness))
    assert seen == [True, True] and inside == [False, True, False]
