"""Trainings side by side against the same trainings one by one, without estimators."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from toy_training import SEEDS, C, D, T, data

from skanticipate import LSTM, MLP, AVTHead, CosineSchedule, Output, RowView
from skanticipate.networks.base import NetworkSpec
from skanticipate.terms.labels import LabelTerm, label_parts
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import BatchReader, shuffled
from skanticipate.training.loop import EarlyStopping, Training, initial_state, run
from skanticipate.training.optimizers import MatrixDecayAdamW, make_optimizer
from skanticipate.training.runtime import Compute
from skanticipate.training.stackable import kind_of, usual_width
from skanticipate.training.stacked import run_together
from skanticipate.training.step import GradientStep

CPU = Compute(torch.device("cpu"), torch.float64)
CLIPS, CODES = data()
CLIPS = CLIPS.astype(np.float64)


def training(
    spec=None,
    *,
    seed=0,
    rows=None,
    lr=0.02,
    optimizer="adamw",
    batch_size=16,
    max_epochs=3,
    score=None,
    weight=None,
    **options,
):
    """One that is prepared."""
    spec = LSTM(5, dropout=0.3) if spec is None else spec
    rows = np.arange(len(CODES)) if rows is None else rows
    clips = CLIPS[:, 0] if isinstance(spec, MLP) else CLIPS
    view, codes = RowView(clips)[rows], CODES[rows]
    shape = clips.shape[1:]
    network = spec.build(shape, C, generator=torch.Generator().manual_seed(seed))
    network = network.double()
    if optimizer == "matrix decay":
        optimizer = MatrixDecayAdamW(network.parameters(), lr=lr, weight_decay=0.1)
    else:
        optimizer = make_optimizer(
            optimizer,
            [network],
            lr=lr,
            momentum=0.9,
            nesterov=False,
            weight_decay=0.1,
        )
    seeds = {name: number + seed for name, number in SEEDS.items()}
    state = initial_state({"network": network}, optimizer, seeds, **options)
    term = LabelTerm(label_parts(codes, [], 0.0), codes >= 0, weight, CPU)
    take = BatchReader(spec, view, CPU, generator=state.generators["crop"])
    step = GradientStep(state, take, Objective([term]))
    draw = shuffled(len(rows), batch_size)
    return Training(state, step, draw, max_epochs, score)


def check(make):
    """Run what is made together, and again one by one."""
    errors, oracle = run_together(found := make()), []
    for expected in (alone := make()):
        try:
            oracle.append(run(expected) and None)
        except ValueError as error:
            oracle.append(error)
    assert list(map(str, errors)) == list(map(str, oracle))
    for one, other, error in zip(found, alone, errors, strict=True):
        if error is None:
            assert_same(one.state, other.state)
    return found, errors


def assert_same(state, expected):
    assert not state.network.training
    assert len(state.history) == len(expected.history)
    for record, own in zip(state.history, expected.history, strict=True):
        assert record == pytest.approx(own, abs=1e-12)
    found, own = state.state_dict(), expected.state_dict()
    for name, weight in own["modules"]["network"].items():
        assert_allclose(found["modules"]["network"][name], weight, rtol=0, atol=1e-12)
    assert found["optimizer"].keys() == own["optimizer"].keys()
    for name, values in own["optimizer"].items():
        for value, other in zip(found["optimizer"][name], values, strict=True):
            assert_allclose(value, other, rtol=0, atol=1e-12)
    for name, stream in own["generators"].items():
        assert torch.equal(found["generators"][name], stream), name


SETS = {
    "one": [{}],
    "alike": [{}, {}, {}],
    "seeds": [{"seed": k} for k in range(3)],
    "rates": [{"lr": 0.01}, {"lr": 0.1}, {"lr": 0.01}],
    "epochs": [{"max_epochs": k} for k in (1, 4, 2, 4)],
    "batches": [{"batch_size": k} for k in (7, 16, 100, 1)],
    "rows": [{"rows": np.arange(k, 50)} for k in (0, 17, 18, 19)],
    "rows and rates": [
        {"rows": np.arange(k, 50), "lr": lr} for lr in (0.01, 0.1) for k in (0, 1)
    ],
    "schedules": [{"schedule": s} for s in (None, CosineSchedule(), None)],
    "weights": [{"weight": w} for w in (None, np.linspace(0, 2, len(CODES)))],
}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("spec", [MLP((6, 5)), LSTM(5, dropout=0.3)], ids=str)
def test_trainings_end_where_they_would_alone(name, spec, optimizer):
    check(lambda: [training(spec, optimizer=optimizer, **own) for own in SETS[name]])


def scores(*values):
    values = iter(values)
    return lambda network: {"val_loss": 1.0, "score": next(values)}


def test_who_stops_early_leaves_with_the_best_weights():
    found, _ = check(
        lambda: [
            training(
                max_epochs=6,
                seed=k,
                stopping=EarlyStopping(patience=2, tol=0.0),
                score=scores(*values),
            )
            for k, values in enumerate(
                [(3, 2, 1), (1, 2, 1, 1), (1, 2, 3, 4, 5, 4), (1, 0, 2, 0, 0)]
            )
        ]
    )
    assert [t.state.epoch for t in found] == [3, 4, 6, 5]
    assert [t.state.stopping.best_epoch for t in found] == [1, 2, 5, 3]


def test_who_diverges_leaves_and_tells_why():
    _, errors = check(
        lambda: [
            training(lr=lr, optimizer="sgd", spec=MLP(5), seed=k)
            for k, lr in enumerate((0.01, 1e300, 0.02, 1e200))
        ]
    )
    assert [error is None for error in errors] == [True, False, True, False]


def test_a_score_that_raises_ends_its_own_training_only():
    def fail(network):
        raise ValueError("no score")

    found = [training(seed=0), training(seed=1, score=fail), training(seed=2)]
    errors = run_together(found)
    assert [str(error) for error in errors] == ["None", "no score", "None"]
    for k in (0, 2):
        run(alone := training(seed=k))
        assert_same(found[k].state, alone.state)


def test_models_do_not_share_memory_when_they_are_done():
    one, other = found = [training(), training()]
    run_together(found)
    before = copy.deepcopy(other.state.state_dict())
    for weight in one.state.network.parameters():
        weight.data.fill_(7.0)
    for values in (one.state.optimizer.means, one.state.optimizer.counts):
        for value in values:
            value.fill_(7.0)
    for name, weight in before["modules"]["network"].items():
        assert torch.equal(other.state.network.state_dict()[name], weight)
    assert all(float(count) != 7 for count in other.state.optimizer.counts)
    one_weight = next(one.state.network.parameters())
    assert one_weight.untyped_storage().nbytes() == one_weight.nbytes


# -------------------------------------------------------------------------- kinds


def test_kind_is_of_what_can_be_one():
    same = kind_of(training())
    assert same is not None
    for options in (
        {"lr": 0.5},
        {"seed": 3},
        {"rows": np.arange(9)},
        {"batch_size": 3},
        {"max_epochs": 9},
        {"schedule": CosineSchedule()},
        {"weight": np.ones(len(CODES))},
    ):
        assert kind_of(training(**options)) == same, options
    for options in (
        {"optimizer": "sgd"},
        {"spec": LSTM(6, dropout=0.3)},
        {"spec": LSTM(5, dropout=0.2)},
        {"spec": LSTM(5, cell="gru", dropout=0.3)},
        {"spec": MLP(5)},
    ):
        assert kind_of(training(**options)) != same, options


class Cropping(LSTM):
    """Reads some steps of a clip only."""

    def crop(self, past, future, generator):
        """Cut the clips."""
        return past[:, 1:], future


class Normed(MLP):
    """Has a module with a buffer."""

    def build(self, input_shape, n_classes, *, generator):
        """Build it."""
        network = super().build(input_shape, n_classes, generator=generator)
        network.layers.append(torch.nn.BatchNorm1d(5, affine=False))
        return network


@pytest.mark.parametrize(
    "options",
    [
        {"spec": Cropping(5)},
        {"spec": Normed(5)},
        {"spec": AVTHead(4, n_heads=1)},
        {"optimizer": "matrix decay"},
    ],
    ids=["crops", "buffers", "attention", "optimizer"],
)
def test_what_cannot_be_one_has_no_kind(options):
    assert kind_of(training(**options)) is None


def test_a_training_that_has_begun_has_no_kind():
    begun = training()
    run(begun)
    assert kind_of(begun) is None
    assert not NetworkSpec.stacks  # networks of users are trained alone


@pytest.mark.parametrize("spec", [MLP, LSTM])
def test_the_larger_the_steps_the_fewer_go_together(spec):
    widths = [usual_width(training(spec(size))) for size in (4, 128, 2048)]
    assert widths[0] >= widths[1] > widths[2] >= 1
    assert all(isinstance(width, int) for width in widths)


def test_looking_for_a_width_changes_nothing():
    looked, other = training(), training()
    usual_width(looked)
    for one in (looked, other):
        run(one)
    assert looked.state.history == other.state.history


def test_step_of_clips_is_that_of_the_rows_drawn():
    # models of one array, of equal orders and of others, read their own rows
    rows = [np.arange(40), np.arange(40), np.arange(20, 60), np.arange(40)]
    check(
        lambda: [
            training(rows=own, seed=seed, spec=LSTM(5))
            for own, seed in zip(rows, (0, 0, 0, 1), strict=True)
        ]
    )
    assert CLIPS.shape[1:] == (T, D)


class OfUser(NetworkSpec):
    """A network of a user, who says that it stacks."""

    uses_global_rng = False
    stacks = True

    def __init__(self, kind, options=()):
        self.kind = kind
        self.options = options

    def build(self, input_shape, n_classes, *, generator):
        """Build it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            return _OfUser(self, n_classes)


class _OfUser(torch.nn.Module):
    def __init__(self, spec, n_classes):
        super().__init__()
        options = dict(spec.options)
        if spec.kind == "norm":
            self.layer = torch.nn.LayerNorm(D, **options)
        elif spec.kind == "embedding":
            self.layer = torch.nn.Embedding(7, D, **options)
        else:
            options = {"batch_first": True, **options}
            self.layer = getattr(torch.nn, spec.kind)(D, D, 2, **options)
        self.kind = spec.kind
        width = 2 * D if options.get("bidirectional") else options.get("proj_size", D)
        self.classifier = torch.nn.Linear(width, n_classes)

    def forward(self, clips):
        if self.kind == "embedding":
            clips = clips[..., 0].abs().long() % 7
        found = self.layer(clips)
        found = found if isinstance(found, torch.Tensor) else found[0]
        return Output(self.classifier(found[:, -1:].tanh()))


LAYERS = {
    "norm": ["norm"],
    "norm without bias": ["norm", ("bias", False)],
    "norm without weights": ["norm", ("elementwise_affine", False)],
    "embedding": ["embedding"],
    "embedding of padding": ["embedding", ("padding_idx", 0)],
    "embedding of bounded vectors": ["embedding", ("max_norm", 1.0)],
    "embedding of frequencies": ["embedding", ("scale_grad_by_freq", True)],
    "LSTM": ["LSTM"],
    "GRU": ["GRU"],
    "LSTM of two directions": ["LSTM", ("bidirectional", True)],
    "GRU without bias": ["GRU", ("bias", False)],
    "GRU of steps first": ["GRU", ("batch_first", False)],
    "LSTM with a projection": ["LSTM", ("proj_size", 2)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_users_stack_or_are_left_alone(name):
    kind, *options = LAYERS[name]
    spec = OfUser(kind, tuple(options))
    if kind_of(training(spec)) is None:
        assert options
    else:
        assert not options or name == "norm without weights"
        check(lambda: [training(spec, seed=k, lr=0.01 * k + 0.01) for k in range(3)])


def test_recurrence_that_drops_between_its_layers_is_left_alone():
    assert kind_of(training(OfUser("LSTM", (("dropout", 0.5),)))) is None
