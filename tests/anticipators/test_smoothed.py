import copy

import numpy as np
import pytest
import torch
from five_actions import ACTIONS, VECTORS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, KFold
from torch import nn
from torch.nn import functional

from skanticipate import (
    MLP,
    ArrayPrior,
    CosineSchedule,
    GloVePrior,
    MixturePrior,
    NetworkSpec,
    Output,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)
from skanticipate.datasets import make_kitchen

NAMES = {label: " ".join(pair) for label, pair in ACTIONS.items()}
Y = np.array([0, 1, 2, 3, 4, 0, 1, 2])
Y_PAST = np.array([-1, 0, 1, 2, 3, 4, 0, 0])


class Linear(NetworkSpec):
    """Logistic regression that remembers its first weights and what it trained on."""

    uses_global_rng = False

    def build(self, input_shape, n_classes, *, generator):
        return _Linear(input_shape[0], n_classes, generator)


class _Linear(nn.Module):
    def __init__(self, n_inputs, n_classes, generator):
        super().__init__()
        start = torch.randn(n_classes, n_inputs, generator=generator)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(n_classes))
        self.start = start.clone()
        self.batches = []

    def forward(self, clips):
        if self.training:
            self.batches.append(clips.clone())
        return Output(functional.linear(clips, self.weight, self.bias).unsqueeze(1))


def taught(prior, smoothing, y=Y, y_past=Y_PAST, **params):
    """Soft target of each row: what a linear network says once it has converged.

    Each row has an input of its own, so it can be answered without any compromise.
    """
    model = SmoothedAnticipator(
        Linear(),
        prior=prior,
        smoothing=smoothing,
        max_epochs=600,
        lr=0.2,
        lr_schedule=CosineSchedule(),
        weight_decay=0.0,
        random_state=0,
        **params,
    )
    X = np.eye(len(y))
    return model.fit(X, y, y_past=y_past).predict_proba(X)


def mixed(rows, smoothing, y=Y, n_classes=5):
    return (1 - smoothing) * np.eye(n_classes)[y] + smoothing * np.asarray(rows)


def naive_verb_noun():
    shares = [
        [float(a[0] == b[0] or a[1] == b[1]) for b in ACTIONS.values()]
        for a in ACTIONS.values()
    ]
    return shares / np.sum(shares, axis=1, keepdims=True)


def naive_glove():
    phi = np.array([[*VECTORS[v], *VECTORS[n]] for v, n in ACTIONS.values()])
    similar = np.abs(phi @ phi.T)
    return similar / similar.sum(axis=1, keepdims=True)


def naive_counts(pairs, direction):
    counts = np.zeros((5, 5))
    for before, after in pairs:
        if direction == "predecessor":
            counts[after, before] += 1
        else:
            counts[before, after] += 1
    empty = counts.sum(axis=1) == 0
    counts[empty, empty] = 1
    return counts / counts.sum(axis=1, keepdims=True)


# ------------------------------------------------------------------------ targets


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_without_smoothing_it_is_a_plain_training_loop_to_the_bit(optimizer):
    data = make_kitchen(6, 10, n_features=8, random_state=0)
    X, y = data.X_past, data.y
    model = SmoothedAnticipator(
        Linear(),
        smoothing=0,
        max_epochs=3,
        batch_size=16,
        optimizer=optimizer,
        lr=0.01,
        momentum=0.9,
        weight_decay=0.01,
        random_state=0,
    ).fit(X, y)
    trained = model.network_

    codes = np.searchsorted(model.classes_, y)
    code_of = {row.tobytes(): code for row, code in zip(X, codes, strict=True)}
    weight = trained.start.double().requires_grad_()
    bias = torch.zeros(len(model.classes_), dtype=torch.float64, requires_grad=True)
    make = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    extra = {"momentum": 0.9} if optimizer == "sgd" else {}
    steps = make([weight, bias], lr=0.01, weight_decay=0.01, fused=True, **extra)
    assert len(trained.batches) == 3 * 4
    for batch in trained.batches:
        labels = torch.tensor([code_of[row.numpy().tobytes()] for row in batch])
        loss = functional.cross_entropy(functional.linear(batch, weight, bias), labels)
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert torch.equal(trained.weight, weight)
    assert torch.equal(trained.bias, bias)


def test_each_epoch_sees_every_row_once():
    X, y = np.arange(20.0)[:, None], np.arange(20) % 2
    model = SmoothedAnticipator(Linear(), max_epochs=3, batch_size=8, random_state=0)
    batches = model.fit(X, y).network_.batches
    assert [len(batch) for batch in batches] == 3 * [8, 8, 4]
    for epoch in range(3):
        seen = torch.cat(batches[3 * epoch : 3 * epoch + 3]).ravel()
        assert sorted(seen.tolist()) == X.ravel().tolist()
    assert not torch.equal(batches[0], batches[3])


def test_the_default_is_uniform_smoothing():
    expected = mixed(np.full((8, 5), 0.2), 0.3)
    assert_allclose(taught(None, 0.3), expected, atol=2e-3)
    assert_allclose(taught(UniformPrior(), 0.3), expected, atol=2e-3)


@pytest.mark.parametrize("smoothing", [0.4, 1.0])
def test_verb_noun_prior_is_mixed_into_the_labels(smoothing):
    expected = mixed(naive_verb_noun()[Y], smoothing)
    found = taught(VerbNounPrior(ACTIONS), smoothing)
    assert_allclose(found, expected, atol=2e-3)


def test_labels_that_are_names_need_no_table():
    y = np.array([NAMES[label] for label in Y])
    order = np.argsort(list(NAMES.values()))  # classes are sorted by name
    expected = mixed(naive_verb_noun()[Y], 0.4)[:, order]
    assert_allclose(taught(VerbNounPrior(), 0.4, y=y), expected, atol=2e-3)


def test_glove_prior_is_mixed_into_the_labels():
    expected = mixed(naive_glove()[Y], 0.5)
    found = taught(GloVePrior(ACTIONS, VECTORS), 0.5)
    assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("direction", ["predecessor", "successor"])
def test_temporal_prior_counts_y_past(direction):
    pairs = [(p, k) for p, k in zip(Y_PAST, Y, strict=True) if p >= 0]
    expected = mixed(naive_counts(pairs, direction)[Y], 0.5)
    assert_allclose(taught(TemporalPrior(direction), 0.5), expected, atol=2e-3)


@pytest.mark.parametrize("direction", ["predecessor", "successor"])
def test_temporal_prior_counts_sequences(direction):
    pairs = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 3), (3, 0)]
    prior = TemporalPrior(direction, sequences=[[0, 1, 2, 0], [3, 4, 3, 0]])
    expected = mixed(naive_counts(pairs, direction)[Y], 0.5)
    assert_allclose(taught(prior, 0.5, y_past=None), expected, atol=2e-3)


def test_transition_prior_is_keyed_by_the_past_action():
    prior = TransitionPrior(ACTIONS, strength=1.0)
    fitted = TransitionPrior(ACTIONS, strength=1.0).fit(np.arange(5), Y, Y_PAST)
    rows = fitted.matrix_[fitted.rows(Y, Y_PAST)]
    # the label 1 after nothing and after action 0 is taught different things
    assert not np.allclose(rows[0], rows[5])
    assert_allclose(taught(prior, 0.6), mixed(rows, 0.6), atol=2e-3)


def test_mixture_of_label_and_past_action():
    transition = TransitionPrior(ACTIONS, strength=1.0)
    fitted = TransitionPrior(ACTIONS, strength=1.0).fit(np.arange(5), Y, Y_PAST)
    rows = 0.25 * naive_verb_noun()[Y] + 0.75 * fitted.matrix_[fitted.rows(Y, Y_PAST)]
    prior = MixturePrior([VerbNounPrior(ACTIONS), transition], weights=[1, 3])
    assert_allclose(taught(prior, 0.5), mixed(rows, 0.5), atol=2e-3)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]])
def test_rows_and_columns_of_an_array_follow_the_given_classes(order):
    matrix = np.random.RandomState(0).dirichlet(np.ones(5), size=5)  # by label
    shuffled = matrix[order][:, order]
    expected = mixed(matrix[Y], 0.5)
    assert_allclose(taught(shuffled, 0.5, classes=order), expected, atol=2e-3)
    given = ArrayPrior(shuffled, order)
    assert_allclose(taught(given, 0.5), expected, atol=2e-3)


@pytest.mark.parametrize(
    "prior",
    [
        None,
        VerbNounPrior(ACTIONS),
        GloVePrior(ACTIONS, VECTORS),
        TransitionPrior(ACTIONS),
        np.full((5, 5), 0.2),
    ],
    ids=["uniform", "verb-noun", "glove", "transition", "array"],
)
def test_a_class_without_rows_keeps_its_column(prior):
    keep = Y < 4
    model = SmoothedAnticipator(Linear(), prior=prior, classes=range(5), max_epochs=2)
    X = np.eye(8)[keep]
    model.fit(X, Y[keep], y_past=Y_PAST[keep])
    assert_array_equal(model.classes_, range(5))
    assert model.predict_proba(X).shape == (keep.sum(), 5)


def test_without_classes_a_prior_shrinks_with_the_labels():
    keep = Y < 4
    model = SmoothedAnticipator(Linear(), prior=VerbNounPrior(ACTIONS), max_epochs=1)
    with pytest.warns(UserWarning, match="other numbers too, such as 4"):
        model.fit(np.eye(8)[keep], Y[keep])
    part = naive_verb_noun()[:4, :4]
    expected = part / part.sum(axis=1, keepdims=True)
    assert_allclose(model.prior_.matrix_, expected, atol=1e-6)


def test_the_prior_that_was_passed_stays_unfitted():
    prior = VerbNounPrior(ACTIONS)
    before = copy.deepcopy(vars(prior))
    SmoothedAnticipator(Linear(), prior=prior, max_epochs=1).fit(np.eye(8), Y)
    assert vars(prior) == before


def test_smoothing_one_forgets_the_labels():
    found = taught(None, 1.0)
    assert_allclose(found, np.full((8, 5), 0.2), atol=2e-3)


# ------------------------------------------------- priors see training rows only

SEEN = []


class SpyPrior(UniformPrior):
    """Writes down what it was fitted on."""

    def fit(self, classes, y=None, y_past=None):
        SEEN.append((np.asarray(y).copy(), np.asarray(y_past).copy()))
        return super().fit(classes, y, y_past)


@pytest.fixture
def seen():
    SEEN.clear()
    yield SEEN
    SEEN.clear()


def test_rows_held_out_for_early_stopping_are_not_counted(seen):
    X = np.arange(60.0)[:, None] / 60
    y, numbers = np.arange(60) % 3, np.arange(60)
    model = SmoothedAnticipator(
        Linear(),
        prior=SpyPrior(),
        max_epochs=2,
        early_stopping=True,
        validation_fraction=0.25,
        random_state=0,
    ).fit(X, y, y_past=numbers)
    [(labels, rows)] = seen
    assert len(rows) == 45
    assert_array_equal(labels, y[rows])
    trained = torch.cat(model.network_.batches[:1]).ravel().numpy()
    assert_allclose(np.sort(trained), X[rows].ravel())


def test_held_out_folds_are_not_counted(seen):
    X, y, numbers = np.arange(60.0)[:, None], np.arange(60) % 3, np.arange(60)
    cv = KFold(3, shuffle=True, random_state=0)
    model = SmoothedAnticipator(Linear(), prior=SpyPrior(), max_epochs=1)
    search = GridSearchCV(model, {"smoothing": [0.1]}, cv=cv, refit=False)
    search.fit(X, y, y_past=numbers)
    assert len(seen) == 3
    for (labels, rows), (train, _) in zip(seen, cv.split(X), strict=True):
        assert_array_equal(np.sort(rows), train)
        assert_array_equal(labels, y[rows])


@pytest.mark.filterwarnings("ignore:20 rows with y == -1")
def test_unlabelled_rows_are_not_counted(seen):
    X, numbers = np.arange(60.0)[:, None], np.arange(60)
    y = np.where(numbers < 20, -1, numbers % 3)
    model = SmoothedAnticipator(Linear(), prior=SpyPrior(), max_epochs=1)
    model.fit(X, y, y_past=numbers)
    [(labels, rows)] = seen
    assert_array_equal(rows, np.arange(20, 60))
    assert_array_equal(labels, y[20:])


def test_rows_of_weight_zero_are_not_counted(seen):
    X, y, numbers = np.arange(60.0)[:, None], np.arange(60) % 3, np.arange(60)
    model = SmoothedAnticipator(Linear(), prior=SpyPrior(), max_epochs=1)
    model.fit(X, y, y_past=numbers, sample_weight=(numbers % 2).astype(float))
    assert_array_equal(seen[0][1], numbers[1::2])


@pytest.mark.parametrize("form", [list, np.array, "object", "series"])
def test_past_actions_come_in_any_container(form):
    past = ["", *[NAMES[label] for label in Y_PAST[1:]]]
    if form == "series":
        form = pytest.importorskip("pandas").Series
    elif form == "object":
        past[0], form = None, (lambda values: np.array(values, dtype=object))
    y = np.array([NAMES[label] for label in Y])
    model = SmoothedAnticipator(Linear(), prior=TransitionPrior(), max_epochs=1)
    fitted = model.fit(np.eye(8), y, y_past=form(past)).prior_
    assert set(fitted.past_actions_) == set(NAMES.values())


def test_network_none_is_an_mlp_or_an_lstm():
    data = make_kitchen(6, 10, n_steps=3, n_features=6, random_state=0)
    model = SmoothedAnticipator(max_epochs=1, random_state=0)
    pooled = data.X_past.mean(axis=1)
    assert isinstance(model.fit(pooled, data.y).network_spec_, MLP)
    assert type(model.fit(data.X_past, data.y).network_spec_).__name__ == "LSTM"


def test_it_learns_what_the_kitchen_shows():
    data = make_kitchen(60, 15, random_state=0)
    train = data.groups < 45
    model = SmoothedAnticipator(
        prior=VerbNounPrior(data.actions), max_epochs=15, random_state=0
    ).fit(data.X_past[train], data.y[train])
    accuracy = model.score(data.X_past[~train], data.y[~train])
    _, counts = np.unique(data.y, return_counts=True)
    assert accuracy > 2 * counts.max() / len(data.y)
