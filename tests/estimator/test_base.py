import copy
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torch import nn
from torch.nn import functional

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    NetworkSpec,
    Output,
    RowView,
    SmoothedAnticipator,
    StepSchedule,
    TransitionPrior,
    VerbNounHead,
)
from skanticipate.datasets import make_kitchen

DATA = make_kitchen(20, 10, n_features=12, random_state=0)
X, Y = DATA.X_past, DATA.y
X.flags.writeable = Y.flags.writeable = False


def anticipator(network=None, **params):
    params = {"max_epochs": 3, "batch_size": 64, "random_state": 0, **params}
    return SmoothedAnticipator(MLP(8) if network is None else network, **params)


def weights(model):
    return [p.detach().clone() for p in model.network_.parameters()]


def same_weights(one, other):
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Linear(NetworkSpec):
    """Logistic regression that remembers what it trained on; may fail on purpose."""

    uses_global_rng = False

    def __init__(self, error=None, after=0):
        self.error = error
        self.after = after

    def build(self, input_shape, n_classes, *, generator):
        return _Linear(self, input_shape[-1], n_classes, generator)


class _Linear(nn.Module):
    def __init__(self, spec, n_inputs, n_classes, generator):
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(n_classes, n_inputs, generator=generator)
        )
        self.spec = spec
        self.batches = []

    def forward(self, clips):
        if self.training:
            self.batches.append(clips.clone())
            if self.spec.error is not None and len(self.batches) > self.spec.after:
                raise self.spec.error
        return Output(functional.linear(clips, self.weight).unsqueeze(1))


def numbered_rows(n=90, n_classes=3):
    """Rows that can be told apart in what a network saw: the first column counts."""
    rng = np.random.RandomState(0)
    y = np.arange(n) % n_classes
    return np.c_[np.arange(n), rng.normal(size=(n, 3)) + y[:, None]], y


def rows_seen(model, n_batches=None):
    batches = model.network_.batches[:n_batches]
    return {int(number) for batch in batches for number in batch[:, 0]}


# ------------------------------------------------------------------------ weights


def test_a_weight_of_two_is_the_row_twice():
    rows, y = numbered_rows(30)
    weight = np.ones(30)
    weight[:10] = 2
    weighted = anticipator(Linear()).fit(rows, y, sample_weight=weight)
    twice = np.r_[np.arange(30), np.arange(10)]
    repeated = anticipator(Linear()).fit(rows[twice], y[twice])
    assert_allclose(weights(weighted)[0], weights(repeated)[0], rtol=1e-9, atol=1e-12)


def test_a_row_of_weight_zero_is_never_seen():
    rows, y = numbered_rows(30)
    model = anticipator(Linear()).fit(rows, y, sample_weight=np.arange(30) >= 5.0)
    assert rows_seen(model) == set(range(5, 30))


def test_class_weight_is_a_sample_weight():
    rows, y = numbered_rows(30)
    y = np.where(np.arange(30) < 20, 0, y)
    by_class = anticipator(Linear(), class_weight={0: 0.5, 2: 3.0}).fit(rows, y)
    factor = np.choose(y, [0.5, 1.0, 3.0])
    by_row = anticipator(Linear()).fit(rows, y, sample_weight=factor)
    assert same_weights(weights(by_class), weights(by_row))


def test_balanced_class_weight_is_n_over_class_counts():
    rows, y = numbered_rows(30)
    y = np.where(np.arange(30) < 20, 0, y)
    balanced = anticipator(Linear(), class_weight="balanced").fit(rows, y)
    factor = 30 / (3 * np.bincount(y))[y]
    by_row = anticipator(Linear()).fit(rows, y, sample_weight=factor)
    assert_allclose(weights(balanced)[0], weights(by_row)[0], rtol=1e-12)


def test_class_weight_knows_names():
    names = np.array([" ".join(DATA.actions[label]) for label in Y])
    model = anticipator(class_weight={names[0]: 2.0}).fit(X, names)
    by_row = anticipator().fit(X, names, sample_weight=np.where(Y == Y[0], 2.0, 1.0))
    assert same_weights(weights(model), weights(by_row))


# ------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("y", "marker", "classes", "n_unlabeled"),
    [
        ([0, 1, 2, -1, 0, 1], "auto", [0, 1, 2], 1),
        ([-1, 1, -1, 1, 1, 1], "auto", [-1, 1], 0),
        ([-1, 0, 1, -1, 0, 1], None, [-1, 0, 1], 0),
        ([7, 1, 2, 7, 1, 1], 7, [1, 2], 2),
        (["a", "b", "", "a", "b", "a"], "", ["a", "b"], 1),
        (["a", "b", -1, "a", "b", "a"], "auto", ["a", "b"], 1),
        (np.array(["a", "b", -1, "a", "b", "a"], object), "auto", ["a", "b"], 1),
        (["a", "b", "-1", "a", "b", "a"], "-1", ["a", "b"], 1),
        (np.array([0.0, 1.0, 2.0, -1.0, 0.0, 1.0]), "auto", [0, 1, 2], 1),
    ],
)
@pytest.mark.filterwarnings("ignore:. rows with y ==")
def test_what_counts_as_unlabelled(y, marker, classes, n_unlabeled):
    rows, _ = numbered_rows(6)
    model = anticipator(Linear(), unlabeled_label=marker).fit(rows, y)
    assert model.classes_.tolist() == classes
    assert model.n_unlabeled_ == n_unlabeled
    assert len(rows_seen(model)) == 6 - n_unlabeled


def test_minus_one_in_classes_is_a_class():
    rows, _ = numbered_rows(6)
    model = anticipator(Linear(), classes=[-1, 0, 1])
    with pytest.warns(UserWarning, match="classes holds -1"):
        model.fit(rows, [-1, 0, 1, -1, 0, 1])
    assert model.classes_.tolist() == [-1, 0, 1]
    assert model.unlabeled_label_ is None


def test_dropping_unlabelled_rows_is_said():
    rows, y = numbered_rows(30)
    y = np.where(np.arange(30) < 6, -1, y)
    with pytest.warns(UserWarning, match="6 rows with y == -1 are unlabelled"):
        dropped = anticipator(Linear()).fit(rows, y)
    without = anticipator(Linear()).fit(rows[6:], y[6:])
    assert same_weights(weights(dropped), weights(without))


def test_classes_are_sorted_and_fix_the_columns():
    model = anticipator(classes=[30, 5, *range(20)]).fit(X, Y)
    assert model.classes_.tolist() == [*range(20), 30]
    assert model.predict_proba(X).shape == (len(X), 21)


# --------------------------------------------------------------------- warm start


def test_warm_start_goes_on_from_the_weights():
    model = anticipator(warm_start=True).fit(X, Y)
    before = weights(model)
    model.set_params(lr=1e-30, weight_decay=0.0, max_epochs=2).fit(X, Y)
    assert same_weights(before, weights(model))
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4, 5]
    assert model.n_iter_ == len(model.loss_curve_) == 5


def test_without_warm_start_fit_begins_anew():
    model = anticipator().fit(X, Y)
    before = weights(model)
    assert same_weights(before, weights(model.fit(X, Y)))
    assert model.n_iter_ == 3


def test_warm_start_on_an_unfitted_model_is_a_fit():
    cold, warm = anticipator().fit(X, Y), anticipator(warm_start=True).fit(X, Y)
    assert same_weights(weights(cold), weights(warm))


@pytest.mark.parametrize("head", [None, VerbNounHead(DATA.actions)])
def test_warm_start_goes_on_learning(head):
    network = MLP(8, head=head)
    model = anticipator(network, warm_start=True, lr=0.01).fit(X, Y)
    first = model.loss_curve_[-1]
    for _ in range(3):
        model.fit(X, Y)
    assert model.n_iter_ == 12
    assert model.loss_curve_[-1] < first


def watched(held, **params):
    """A model that notes what clips are held out, which are numbers of rows."""

    def note(model, X, y):
        held.append(tuple(np.sort(np.asarray(X)[:, 0]).tolist()))
        return 0.0

    params = {"early_stopping": True, "scoring": note, "random_state": 0, **params}
    return SmoothedAnticipator(MLP(4), max_epochs=2, warm_start=True, **params)


ROWS = np.column_stack([np.arange(60.0), np.tile([0.5, 1.5, 2.5], 20)])
LABELS, VIDEOS = np.arange(60) % 3, np.arange(60) // 2


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0), 0])
@pytest.mark.parametrize("copied", [lambda model: model, copy.deepcopy])
@pytest.mark.filterwarnings("ignore:.*kept the weights of the first epoch")
def test_rows_that_are_held_out_stay_so_in_a_warm_start(random_state, copied):
    held = []
    model = watched(held, random_state=random_state)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "early_stopping holds")
        for _ in range(4):
            model = copied(model).fit(ROWS, LABELS, groups=VIDEOS)
    assert len(set(held)) == 1
    assert len(held[0]) == 6


@pytest.mark.parametrize(
    ("before", "n"),
    [
        ({"early_stopping": False}, 60),
        ({"early_stopping": True}, 50),
        ({"early_stopping": True, "validation_fraction": 0.3}, 60),
    ],
)
@pytest.mark.filterwarnings("ignore:.*kept the weights of the first epoch")
def test_rows_that_trained_before_a_warm_start_are_told(before, n):
    model = watched([], **before).fit(ROWS[:n], LABELS[:n], groups=VIDEOS[:n])
    model.set_params(early_stopping=True, validation_fraction=0.1)
    with pytest.warns(UserWarning, match="held out may have trained"):
        model.fit(ROWS, LABELS, groups=VIDEOS)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "early_stopping holds")
        model.fit(ROWS, LABELS, groups=VIDEOS)  # as the fit before
        model.fit(ROWS[:50], LABELS[:50], X_val=ROWS[50:], y_val=LABELS[50:])


def test_warm_start_refuses_other_classes():
    model = anticipator(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="warm_start continues with the classes"):
        model.fit(X[Y < 5], Y[Y < 5])


def test_warm_start_refuses_other_clips():
    model = anticipator(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :5], Y)


# ----------------------------------------------------------------- early stopping


def test_early_stopping_keeps_the_best_weights_of_its_held_out_rows():
    rows, y = numbered_rows(90)
    rows[:, 0] /= 90
    model = anticipator(
        Linear(), early_stopping=True, max_epochs=25, lr=1.0, n_iter_no_change=25
    ).fit(rows, y)
    seen = {int(round(90 * float(v))) for b in model.network_.batches for v in b[:, 0]}
    held = sorted(set(range(90)) - seen)
    assert len(held) == 9
    scores = [record["val_loss"] for record in model.history_]
    assert min(scores) < scores[-1]  # else nothing is shown
    assert log_loss(y[held], model.predict_proba(rows[held])) == pytest.approx(
        min(scores), rel=1e-9
    )


def test_early_stopping_stops_when_patience_runs_out():
    rows, y = numbered_rows(90)
    model = anticipator(
        Linear(), early_stopping=True, max_epochs=50, n_iter_no_change=4, tol=1e9
    ).fit(rows, y)
    # only the first epoch gains on minus infinity
    assert model.n_iter_ == 5


def test_held_out_rows_keep_the_share_of_each_class():
    rows, y = numbered_rows(90)
    model = anticipator(Linear(), early_stopping=True, validation_fraction=0.2)
    held = sorted(set(range(90)) - rows_seen(model.fit(rows, y)))
    assert np.bincount(y[held]).tolist() == [6, 6, 6]


def test_no_group_is_on_both_sides():
    rows, y = numbered_rows(90)
    groups = np.arange(90) // 10
    model = anticipator(Linear(), early_stopping=True, validation_fraction=0.3)
    seen = sorted(rows_seen(model.fit(rows, y, groups=groups)))
    held = sorted(set(range(90)) - set(seen))
    assert not set(groups[seen]) & set(groups[held])
    assert len(set(groups[held])) == 3


@pytest.mark.filterwarnings("ignore:.* rows with y ==")
def test_unlabelled_rows_are_not_held_out():
    rows, y = numbered_rows(90)
    y = np.where(np.arange(90) < 50, -1, y)
    model = anticipator(Linear(), early_stopping=True, validation_fraction=0.25)
    assert len(rows_seen(model.fit(rows, y))) == 30


def test_validation_data_are_recorded_and_change_nothing():
    train = DATA.groups < 15
    plain = anticipator().fit(X[train], Y[train])
    watched = anticipator().fit(X[train], Y[train], X_val=X[~train], y_val=Y[~train])
    assert same_weights(weights(plain), weights(watched))
    figures = {"val_loss", "val_accuracy", "val_top_5_accuracy"}
    assert figures <= set(watched.history_[0])
    assert not figures & set(plain.history_[0])


def test_the_last_record_tells_the_figures_of_the_final_network():
    train = DATA.groups < 15
    model = anticipator(classes=range(20))
    model.fit(X[train], Y[train], X_val=X[~train], y_val=Y[~train])
    proba, y = model.predict_proba(X[~train]), Y[~train]
    last, labels = model.history_[-1], np.arange(20)
    assert last["val_loss"] == pytest.approx(log_loss(y, proba, labels=labels))
    assert last["val_accuracy"] == accuracy_score(y, labels[proba.argmax(1)])
    assert last["val_top_5_accuracy"] == top_k_accuracy_score(
        y, proba, k=5, labels=labels
    )


@pytest.mark.parametrize("scoring", ["loss", "accuracy", "top_5_accuracy"])
def test_early_stopping_restores_the_best_by_its_scoring(scoring):
    train = DATA.groups < 15
    model = anticipator(
        MLP(32), early_stopping=True, max_epochs=12, lr=0.1, scoring=scoring
    )
    model.fit(X[train], Y[train], X_val=X[~train], y_val=Y[~train])
    name = f"val_{scoring}"
    best = (min if scoring == "loss" else max)(r[name] for r in model.history_)
    again = anticipator(warm_start=True)
    again.__setstate__(model.__getstate__())
    again.set_params(warm_start=True, early_stopping=False, max_epochs=1, lr=1e-30)
    again.set_params(weight_decay=0.0)
    again.fit(X[train], Y[train], X_val=X[~train], y_val=Y[~train])
    assert again.history_[-1][name] == pytest.approx(best)


def test_validation_data_replace_the_held_out_rows():
    rows, y = numbered_rows(60)
    model = anticipator(Linear(), early_stopping=True)
    model.fit(rows, y, X_val=rows[:9] + 0.5, y_val=y[:9])
    assert rows_seen(model) == set(range(60))


def test_a_refit_takes_validation_data_of_its_own_shape():
    model = anticipator().fit(X, Y)
    model.fit(X[:, :5], Y, X_val=-X[:9, :5], y_val=Y[:9])
    assert "val_loss" in model.history_[0]


@pytest.mark.filterwarnings("ignore:.* rows with y ==")
def test_unlabelled_validation_rows_are_left_out():
    y_val = Y[:40].copy()
    y_val[:30] = -1
    model = anticipator(unlabeled_label=-1).fit(X, Y, X_val=-X[:40], y_val=y_val)
    short = anticipator(unlabeled_label=-1).fit(X, Y, X_val=-X[30:40], y_val=Y[30:40])
    assert model.history_ == short.history_


# ----------------------------------------------------------- optimiser and records


def test_a_step_schedule_is_followed():
    schedule = StepSchedule(2, factor=0.5)
    model = anticipator(lr=0.1, lr_schedule=schedule, max_epochs=5).fit(X, Y)
    rates = [record["lr"] for record in model.history_]
    assert_allclose(rates, [0.1, 0.1, 0.05, 0.05, 0.025])


def test_a_cosine_schedule_is_followed():
    model = anticipator(
        lr=0.1, lr_schedule=CosineSchedule(), max_epochs=4, batch_size=len(X)
    ).fit(X, Y)
    middles = (np.arange(4) + 0.5) / 4  # one batch an epoch: the rate of its middle
    expected = 0.05 * (1 + np.cos(np.pi * middles))
    assert_allclose([record["lr"] for record in model.history_], expected)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_learns_with_each_optimizer(optimizer):
    lr = {"adamw": 0.01, "sgd": 0.1}[optimizer]
    model = anticipator(optimizer=optimizer, lr=lr, max_epochs=15).fit(X, Y)
    assert model.loss_curve_[-1] < model.loss_curve_[0] - 0.3


@pytest.mark.parametrize("name", ["momentum", "weight_decay"])
def test_sgd_parameters_matter(name):
    one = anticipator(optimizer="sgd", lr=0.1).fit(X, Y)
    other = anticipator(optimizer="sgd", lr=0.1, **{name: 0.5}).fit(X, Y)
    assert not same_weights(weights(one), weights(other))


def test_the_history_holds_one_record_an_epoch():
    model = anticipator().fit(X, Y)
    assert [record["epoch"] for record in model.history_] == [1, 2, 3]
    assert set(model.history_[0]) == {"epoch", "lr", "loss", "base"}
    assert all(type(v) in (int, float) for r in model.history_ for v in r.values())
    assert model.loss_curve_ == [record["loss"] for record in model.history_]
    assert model.n_iter_ == 3


def test_the_loss_is_that_of_the_targets():
    model = anticipator(
        Linear(), smoothing=0.25, lr=1e-30, weight_decay=0.0, max_epochs=1
    ).fit(X, Y)
    n_classes = len(model.classes_)
    onehot = np.eye(n_classes)[np.searchsorted(model.classes_, Y)]
    targets = 0.75 * onehot + 0.25 / n_classes
    expected = -(targets * model.predict_log_proba(X)).sum(axis=1).mean()
    assert model.loss_curve_[0] == pytest.approx(expected)


class WithAuxiliaryLoss(Linear):
    def build(self, input_shape, n_classes, *, generator):
        return _WithAuxiliaryLoss(self, input_shape[-1], n_classes, generator)


class _WithAuxiliaryLoss(_Linear):
    def forward(self, clips):
        return (
            super().forward(clips)._replace(auxiliary_loss=self.weight.square().sum())
        )


def test_an_auxiliary_loss_is_minimised_too():
    plain = anticipator(Linear(), lr=0.05, max_epochs=10).fit(X, Y)
    penalised = anticipator(WithAuxiliaryLoss(), lr=0.05, max_epochs=10).fit(X, Y)
    assert weights(penalised)[0].norm() < 0.8 * weights(plain)[0].norm()


@pytest.mark.filterwarnings("error")
def test_rare_classes_are_no_news_where_classes_are_given():
    model = anticipator(classes=range(50)).fit(X[:25], np.arange(25))
    assert len(model.classes_) == 50


def test_verbose_prints_a_line_an_epoch(capsys):
    anticipator(verbose=1).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3: ")
    assert "loss" in lines[0]


def test_silence_is_the_default(capsys):
    anticipator().fit(X, Y)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        ("auto", np.float64, torch.float64),
        ("auto", np.float32, torch.float32),
        ("auto", np.float16, torch.float32),
        ("auto", np.int64, torch.float32),
        ("float32", np.float64, torch.float32),
        ("float64", np.float32, torch.float64),
    ],
)
def test_precision(dtype, stored, expected):
    model = anticipator(dtype=dtype).fit(X.astype(stored), Y)
    assert {p.dtype for p in model.network_.parameters()} == {expected}
    proba = model.predict_proba(X.astype(stored))
    assert (
        proba.dtype == {torch.float32: np.float32, torch.float64: np.float64}[expected]
    )


# -------------------------------------------------------------- what stays as it was


@pytest.mark.parametrize("n_threads", [None, 1, 2])
def test_the_thread_count_is_restored(n_threads):
    before = torch.get_num_threads()
    model = anticipator(n_threads=n_threads).fit(X, Y)
    model.predict(X)
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="broken"):
        anticipator(Linear(RuntimeError("broken")), n_threads=n_threads).fit(X, Y)
    assert torch.get_num_threads() == before


def test_n_threads_is_what_torch_uses():
    counts = []

    class Counting(Linear):
        def build(self, input_shape, n_classes, *, generator):
            module = super().build(input_shape, n_classes, generator=generator)
            module.register_forward_hook(
                lambda *_: counts.append(torch.get_num_threads())
            )
            return module

    anticipator(Counting(), n_threads=2).fit(X, Y)
    assert set(counts) == {2}
    counts.clear()
    anticipator(Counting()).fit(X, Y)
    assert set(counts) == {1}


def test_the_callers_things_are_untouched():
    rows, labels, past = X.copy(), Y.copy(), DATA.y_past.copy()
    weight, filters = np.ones(len(X)), warnings.filters[:]
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    model = anticipator(MLP(8, dropout=0.3), prior=TransitionPrior(DATA.actions))
    model.fit(rows, labels, y_past=past, sample_weight=weight).predict(rows)
    assert_array_equal(rows, X)
    assert_array_equal(labels, Y)
    assert_array_equal(past, DATA.y_past)
    assert (weight == 1).all()
    assert_array_equal(np.random.get_state()[1], numpy_before)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert warnings.filters == filters
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_signals_it_does_not_use_change_nothing():
    plain = anticipator().fit(X, Y)
    given = anticipator().fit(
        X,
        Y,
        DATA.X_future,
        past_actions=DATA.past_actions,
        y_past=DATA.y_past,
        groups=DATA.groups,
        teacher_proba=np.full((len(X), 20), 0.05),
    )
    assert same_weights(weights(plain), weights(given))


def test_a_model_can_be_fitted_on_pooled_features_and_then_on_sequences():
    pytest.importorskip("pandas")
    import pandas as pd

    frame = pd.DataFrame(X, columns=[f"f{k}" for k in range(12)])
    model = SmoothedAnticipator(max_epochs=1, random_state=0).fit(frame, Y)
    assert model.n_features_in_ == model.feature_dim_ == 12
    sequences = X.reshape(len(X), 4, 3)
    model.fit(sequences, Y)
    assert model.feature_dim_ == 3
    assert not hasattr(model, "n_features_in_")
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(sequences).shape == Y.shape
    assert model.fit(X, Y).n_features_in_ == 12


@pytest.mark.parametrize(
    "form", [lambda a: a.tolist(), RowView, np.asfortranarray, lambda a: a[::-1][::-1]]
)
def test_the_container_of_the_clips_does_not_matter(form):
    model, other = anticipator().fit(X, Y), anticipator().fit(form(X), Y)
    assert same_weights(weights(model), weights(other))


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_a_memory_map_is_an_array(tmp_path, mode):
    np.save(tmp_path / "clips.npy", X)
    clips = np.load(tmp_path / "clips.npy", mmap_mode=mode)
    model = anticipator().fit(clips, Y)
    assert same_weights(weights(model), weights(anticipator().fit(X, Y)))
    assert_array_equal(model.predict(clips), model.predict(X))


# ---------------------------------------------------------------- all or nothing

ERRORS = {
    "smoothing out of range": ({"smoothing": 2.0}, {}, ValueError),
    "NaN": ({}, {"X_past": np.where(np.arange(12) == 3, np.nan, X)}, ValueError),
    "other lengths": ({}, {"y_past": [1, 2]}, ValueError),
    "one class": ({}, {"y": np.zeros(len(X), int)}, ValueError),
    "label outside classes": ({"classes": [0, 1]}, {}, ValueError),
    "prior without y_past": ({"prior": TransitionPrior(DATA.actions)}, {}, ValueError),
    "prior matrix": ({"prior": -np.eye(20), "classes": range(20)}, {}, ValueError),
    "X_val alone": ({}, {"X_val": X}, ValueError),
    "X_val of another shape": ({}, {"X_val": X[:, :3], "y_val": Y}, ValueError),
    "network for sequences": ({"network": LSTM(4)}, {}, ValueError),
    "class_weight": ({"class_weight": {"nobody": 2}}, {}, ValueError),
    "negative weights": ({}, {"sample_weight": -np.ones(len(X))}, ValueError),
    "epoch 1": ({"network": Linear(RuntimeError("no"), 0)}, {}, RuntimeError),
    "epoch 2": ({"network": Linear(RuntimeError("no"), 5)}, {}, RuntimeError),
    "interrupt": ({"network": Linear(KeyboardInterrupt(), 5)}, {}, KeyboardInterrupt),
    "exit": ({"network": Linear(SystemExit(), 5)}, {}, SystemExit),
}


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("name", ERRORS)
def test_a_failed_fit_leaves_the_estimator_as_it_was(name, fitted, warm_start):
    params, arguments, error = ERRORS[name]
    if "network" in params and fitted and warm_start:
        pytest.skip("a continued fit keeps its network")
    model = anticipator(Linear(), warm_start=warm_start)
    if fitted:
        model.fit(X, Y)
    model.set_params(**params)
    before = dict(vars(model))
    frozen = copy.deepcopy(model.__getstate__())
    with pytest.raises(error):
        model.fit(**{"X_past": X, "y": Y, **arguments})
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is before[key] for key in before)
    after = model.__getstate__()
    for key, value in frozen.get("_weights", {}).items():
        assert_array_equal(after["_weights"][key], value)
    assert after.get("history_") == frozen.get("history_")


@pytest.mark.parametrize("after", [0, 5])
def test_a_warm_start_that_fails_keeps_the_old_weights(after):
    model = anticipator(Linear(), warm_start=True).fit(X, Y)
    before, history = weights(model), list(model.history_)
    for spec in (model.network, model.network_spec_):
        spec.set_params(error=KeyboardInterrupt(), after=after)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert same_weights(before, weights(model))
    assert model.history_ == history


def test_a_loss_that_is_not_finite_is_explained():
    model = anticipator(dtype="float32", optimizer="sgd", lr=1e20, momentum=0.0)
    with pytest.raises(ValueError, match=r"base loss is .* in epoch .*, batch .*lr"):
        model.fit(X, Y)
    assert not hasattr(model, "network_")


def test_a_logistic_regression_is_matched():
    rows, y = numbered_rows(90)
    rows = rows[:, 1:]
    model = anticipator(
        Linear(),
        smoothing=0,
        max_epochs=300,
        batch_size=90,
        lr=0.1,
        lr_schedule=CosineSchedule(),
        weight_decay=0.0,
    ).fit(rows, y)
    peer = LogisticRegression(C=1e6, fit_intercept=False, tol=1e-10, max_iter=5000)
    expected = peer.fit(rows, y).predict_proba(rows)
    assert_allclose(model.predict_proba(rows), expected, atol=1e-3)


# ------------------------------------------------------------------------ callbacks


def test_a_callback_hears_of_each_epoch_and_may_stop():
    pytest.importorskip("sklearn.callback")

    class StopAfter:
        def __init__(self, n_epochs):
            self.n_epochs = n_epochs
            self.heard = 0

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context, **kwargs):
            pass

        def on_fit_task_end(self, estimator, context, **kwargs):
            if context.task_name == "epoch":
                self.heard += 1
                return self.heard >= self.n_epochs

    stop = StopAfter(2)
    model = anticipator(max_epochs=10).set_callbacks(stop)
    assert model.fit(X, Y).n_iter_ == 2
    shorter = anticipator(max_epochs=2).fit(X, Y)
    assert same_weights(weights(model), weights(shorter))


def test_callbacks_do_not_change_what_is_learnt():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    watched = anticipator(MLP(8, dropout=0.2)).set_callbacks(monitor).fit(X, Y)
    plain = anticipator(MLP(8, dropout=0.2)).fit(X, Y)
    assert same_weights(weights(plain), weights(watched))
