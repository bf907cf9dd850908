"""Failures inside a fit: what diverges, memory that runs out, processes that die."""

import os
import re
import signal
from multiprocessing import current_process

import numpy as np
import pytest
import torch
from interrupted import SOME, Epochs, X, Y, bits
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.estimator.memory import OutOfMemory
from skanticipate.training import step as steps

# ------------------------------------------------------------------- not finite

STOPPING = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 50}


def smoothed(**options):
    options = {"max_epochs": 8, "batch_size": 16, "random_state": 0} | options
    return SmoothedAnticipator(MLP(5), **options)


class Explosion:
    """Makes the loss of a batch infinite, counted over all steps of a fit."""

    def __init__(self, monkeypatch, at, weights_only=False):
        self.left, self.weights_only = at, weights_only
        whole = steps.GradientStep.__call__

        def call(step, samples):
            terms = whole(step, samples)
            self.left -= 1
            if self.left:
                return terms
            if self.weights_only:
                with torch.no_grad():
                    next(step.network.parameters()).fill_(float("inf"))
                return terms
            return {name: (loss * torch.inf, n) for name, (loss, n) in terms.items()}

        monkeypatch.setattr(steps.GradientStep, "__call__", call)


N_STEPS = 2  # of an epoch: 28 rows in batches of 16


def test_a_loss_that_is_not_finite_says_where_and_what_to_lower(monkeypatch):
    model = smoothed(**STOPPING)
    before = dict(vars(model))
    Explosion(monkeypatch, at=2 * N_STEPS + 2)
    message = r"base loss is inf in epoch 3, batch 2\. .* Lower lr, .*StandardScaler"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert vars(model) == before


@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize("at", [3 * N_STEPS + 1, 4 * N_STEPS])
def test_the_best_weights_so_far_are_kept_on_request(at, weights_only, monkeypatch):
    expected = smoothed(max_epochs=3, **STOPPING).fit(X, Y)
    model = smoothed(on_divergence="best", **STOPPING)
    Explosion(monkeypatch, at, weights_only)
    message = r"ended early, with the best weights of 3 epochs: .* (in|of) "
    if weights_only and at < 4 * N_STEPS:
        message = "best weights of 3 epochs: The base loss is nan in epoch 4, batch 2"
    elif weights_only:
        message = "best weights of 3 epochs: Scores of the validation rows are NaN"
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(X, Y)
    assert bits(model) == bits(expected)
    assert model.n_iter_ == 3


def test_weights_of_the_last_step_of_all(monkeypatch):
    model = smoothed(on_divergence="best", max_epochs=2, **STOPPING)
    whole = Epochs(monkeypatch).whole

    def end_epoch(training, *args):
        record = whole(training, *args)
        if training.state.epoch == 2:
            with torch.no_grad():
                next(training.state.network.parameters()).fill_(float("nan"))
        return record

    monkeypatch.setattr("skanticipate.training.loop.end_epoch", end_epoch)
    message = "of 2 epochs: Weights are not finite after the last step of epoch 2"
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(X, Y)
    assert np.isfinite(model.predict_proba(X)).all()
    model.set_params(on_divergence="raise")
    with pytest.raises(ValueError, match="Weights are not finite"):
        model.fit(X, Y)


def test_without_a_best_epoch_it_is_an_error(monkeypatch):
    model = smoothed(on_divergence="best", **STOPPING)
    Explosion(monkeypatch, at=1)
    with pytest.raises(ValueError, match="inf in epoch 1, batch 1"):
        model.fit(X, Y)


def test_best_needs_early_stopping():
    with pytest.raises(ValueError, match="'best' needs early_stopping=True"):
        smoothed(on_divergence="best").fit(X, Y)


def diverging(**options):
    """Of three, the weights of the second grow a thousandfold in each step."""
    options = {"optimizer": "sgd", "dtype": "float32", **STOPPING} | options
    decays = 0.0, 1e4, 1e-4
    return [smoothed(lr=0.1, weight_decay=decay, **options) for decay in decays]


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
def test_the_best_weights_of_one_of_a_stack(tmp_path):
    with pytest.raises(ValueError, match=r"in epoch [4-8], batch"):
        diverging()[1].fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="ended early, with the best weights"):
        alone = diverging(on_divergence="best")[1].fit(X, Y)
    for folder in (None, tmp_path, tmp_path):  # the last reads what is kept
        models = diverging(on_divergence="best", checkpoint=folder)
        with pytest.warns(ConvergenceWarning) as caught:
            fitted = fit_many(models, X, Y)
        assert len([w for w in caught if w.category is ConvergenceWarning]) == 1
        assert [one.n_iter_ for one in fitted] == [8, alone.n_iter_, 8]
        proba = fitted[1].predict_proba(X), alone.predict_proba(X)
        np.testing.assert_allclose(*proba, rtol=1e-4)


# ----------------------------------------------------------------------- memory

TORCH = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
    "memory: you tried to allocate 4000000000 bytes. Error code 12"
)


def without_memory(*args):
    raise RuntimeError(TORCH)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(TORCH), "tried to allocate 4000000000 bytes"),
        (MemoryError("Unable to allocate 3 GiB for an array"), "Unable to allocate 3"),
        (MemoryError(), "nothing more is known"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.\nA"), "CUDA out of "),
    ],
)
@pytest.mark.parametrize("fit", ["alone", "together", "teacher", "search"])
def test_memory_that_runs_out_says_sizes_and_what_to_lower(
    fit, error, said, monkeypatch
):
    def fail(*args):
        raise error

    monkeypatch.setattr("skanticipate.training.step.gradients_of", fail)
    monkeypatch.setattr("skanticipate.training.stacked.gradients_of", fail)
    model = smoothed(dtype="float32")
    if fit == "teacher":
        model = DistilledAnticipator(MLP(5), batch_size=16, random_state=0, cross_fit=2)
    before = dict(vars(model))
    with pytest.raises(MemoryError, match=re.escape(said)) as raised:
        if fit == "together":
            fit_many([model, model], X, Y)
        elif fit == "search":
            grid = {"lr": [0.1, 0.2]}
            BatchedGridSearchCV(model, grid, cv=2, error_score="raise").fit(X, Y)
        elif fit == "teacher":
            model.fit(X, SOME, X)
        else:
            model.fit(X, Y)
    assert vars(model) == before
    told = str(raised.value)
    kind = "RecognitionTeacher" if fit == "teacher" else "SmoothedAnticipator"
    assert told.startswith(f"Memory ran out in the fit of a {kind} to clips of shape")
    assert "Lower batch_size=16, the width of the network" in told
    if fit == "alone":  # 16 rows of 6 numbers of 4 bytes
        assert "(40, 6) (float64), of which a batch of 16 takes 384 bytes" in told


def test_memory_of_a_student_names_what_it_has(monkeypatch):
    model = DistilledAnticipator(MLP(5), random_state=0, cross_fit=2, max_epochs=2)
    monkeypatch.setattr(model, "_prepare", without_memory)
    with pytest.raises(MemoryError, match="cross_fit=2, .*name a folder as teacher_ca"):
        model.fit(X, SOME, X)


def test_memory_that_a_stack_lacks_and_one_fit_has_not(monkeypatch):
    """What cannot be trained together is trained one by one, with freed memory."""
    expected = [bits(smoothed(random_state=k).fit(X, Y)) for k in range(3)]
    monkeypatch.setattr("skanticipate.training.stacked.gradients_of", without_memory)
    fitted = fit_many([smoothed(random_state=k) for k in range(3)], X, Y)
    assert list(map(bits, fitted)) == expected


def test_memory_of_a_prediction(monkeypatch):
    model = smoothed().fit(X, Y)
    monkeypatch.setattr(
        "skanticipate.estimator.prediction.predict_batches", without_memory
    )
    with pytest.raises(MemoryError, match=r"\(40, 6\).*480 bytes.*fewer rows at a tim"):
        model.predict_proba(X)


def test_other_errors_of_torch_are_left_as_they_are(monkeypatch):
    def fail(*args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("skanticipate.training.step.gradients_of", fail)
    with pytest.raises(RuntimeError, match="^mat1 and mat2 shapes cannot be multipl"):
        smoothed().fit(X, Y)


def test_the_error_of_memory_can_be_sent_home():
    import pickle

    again = pickle.loads(pickle.dumps(OutOfMemory("a")))
    assert isinstance(again, MemoryError) and str(again) == "a"


# ---------------------------------------------------------------- other processes


class Deadly(MLP):
    """Of seven hidden units, it ends every process but that of the test."""

    def build(self, *args, **kwargs):
        if self.hidden_size == 7 and current_process().name != "MainProcess":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().build(*args, **kwargs)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_worker_that_dies_is_an_error_and_the_next_call_works(tmp_path):
    models = [
        SmoothedAnticipator(
            Deadly(h), max_epochs=2, random_state=0, checkpoint=tmp_path
        )
        for h in (5, 6, 7)
    ]
    before = [dict(vars(model)) for model in models]
    message = r"^A process of n_jobs=2 ended before its fits did[\s\S]*Lower n_jobs"
    with pytest.raises(RuntimeError, match=message):
        fit_many(models, X, Y, n_jobs=2)
    assert [vars(model) for model in models] == before
    fitted = fit_many(models[:2], X, Y, n_jobs=2)
    assert [bits(model) for model in fitted] == [
        bits(clone(model).set_params(checkpoint=None).fit(X, Y)) for model in models[:2]
    ]
    assert [model.n_iter_ for model in fit_many(models, X, Y)] == [2, 2, 2]


class OnlyAnArray:
    """Clips that do not say how many they are, and of which there is no array."""

    def __array__(self, dtype=None, copy=None):
        raise MemoryError("no room")


def test_memory_runs_out_over_clips_that_do_not_say_how_many_they_are():
    model = smoothed()
    with pytest.raises(MemoryError, match="no room"):
        model.fit(OnlyAnArray(), Y)
    with pytest.raises(MemoryError, match="no room"):
        model.fit(X, Y).predict_proba(OnlyAnArray())
