"""One fit on two processes against the same fit on one."""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from alone import run_alone
from ranks import on_ranks
from sklearn.linear_model import LogisticRegression
from torch import nn

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    AttentiveProbe,
    DistilledAnticipator,
    FeatureMapNet,
    MarginalLoss,
    NetworkSpec,
    Output,
    RowView,
    SmoothedAnticipator,
    TransitionPrior,
    data_parallel,
    fit_many,
)
from skanticipate.datasets import make_kitchen
from skanticipate.networks.base import Dropout
from skanticipate.training import batches
from skanticipate.training.runtime import current_ranks

accelerate = pytest.importorskip("accelerate")
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork")
    or not torch.distributed.is_available()
    or not torch.distributed.is_gloo_available(),
    reason="there is no fork, or no gloo",
)

POOLED = make_kitchen(unlabeled_fraction=0, random_state=0)
STEPS = make_kitchen(unlabeled_fraction=0, n_steps=4, random_state=0)
N = 101  # in batches of 20 the last one has a single row: nothing for rank 1
X, Y, FUTURE = POOLED.X_past[:N], POOLED.y[:N], POOLED.X_future[:N]
CLIPS, LATER = STEPS.X_past[:N], STEPS.X_future[:N]
SOME = np.where(np.arange(N) % 2, -1, Y)  # labels of every other row
MAPS = np.random.default_rng(0).normal(size=(N, 2, 3, 4))
# Few rows with a label have a future.
SEEN = np.where((SOME >= 0)[:, None, None, None], np.nan, MAPS + 1)
SEEN[::14] = MAPS[::14] + 1
WEIGHTS = np.random.default_rng(1).uniform(0, 2, N)
COMMON = {"batch_size": 20, "max_epochs": 2, "dtype": "float64", "random_state": 0}


def smoothed(network=None, **params):
    return SmoothedAnticipator(network or MLP(8, dropout=0), **COMMON | params)


def distilled(network=None, **params):
    return DistilledAnticipator(network or MLP(8, dropout=0), **COMMON | params)


class Averaged(nn.Module):
    """A network with a batch norm and a loss of its own, a mean of the rows."""

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_inputs, affine=False, dtype=torch.float64)
        self.linear = nn.Linear(n_inputs, n_classes)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, clips):
        self.norm(clips) if len(clips) > 1 else None  # is watched, and not used
        logits = self.linear(clips)
        return Output(logits.unsqueeze(1), auxiliary_loss=logits.square().mean())


class AveragedSpec(NetworkSpec):
    def build(self, input_shape, n_classes, *, generator):
        return Averaged(*input_shape, n_classes)


UNEVEN = CLIPS.copy()
UNEVEN[::3, :2] = np.nan
CASES = {
    "guesses of frames, of clips of unlike length and weight": (
        smoothed(skanticipate.AVTHead(8, layer_dropout=0.0)),
        (UNEVEN, Y),
        {"sample_weight": WEIGHTS},
    ),
    "closed form": (smoothed(), (X, Y), {"sample_weight": WEIGHTS}),
    "prior, clipped gradients, SGD, schedule": (
        smoothed(
            prior=TransitionPrior(),
            optimizer="sgd",
            momentum=0.9,
            max_grad_norm=0.1,
            lr_schedule=skanticipate.CosineSchedule(),
            class_weight="balanced",
        ),
        (X, Y),
        {"y_past": POOLED.y_past[:N]},
    ),
    "a teacher of the future, half of each batch unlabelled, early stopping": (
        distilled(LSTM(6), early_stopping=True, teacher_weight=0.5),
        (CLIPS, SOME, LATER),
        {"groups": STEPS.groups[:N]},
    ),
    "teachers that cross-fit": (distilled(cross_fit=2), (X, SOME, FUTURE), {}),
    "a teacher of scikit-learn": (
        distilled(teacher=LogisticRegression()),
        (X, SOME, FUTURE),
        {},
    ),
    "maps beside a learned projection, futures rare": (
        distilled(
            FeatureMapNet(4),
            teacher=skanticipate.RecognitionTeacher(FeatureMapNet(6), **COMMON),
            feature_weight=1.0,
            unlabeled_fraction=None,
        ),
        (
            MAPS,
            SOME,
            SEEN,
        ),
        {},
    ),
    "attention, marginals": (
        smoothed(
            AttentiveProbe(8, dropout=0), marginal_loss=MarginalLoss(POOLED.actions)
        ),
        (CLIPS, Y),
        {},
    ),
    "a loss of its own": (smoothed(AveragedSpec()), (X, Y), {}),
}


def fitted(name):
    model, given, beside = CASES[name]
    with warnings.catch_warnings(), data_parallel():
        warnings.filterwarnings("ignore", "feature_weight is positive")
        return model.fit(*given, **beside)


def answers(model):
    clips = {1: X, 2: CLIPS, 3: MAPS}[len(model.input_shape_)]
    return model.predict_proba(clips), [list(r.values()) for r in model.history_]


@pytest.fixture(scope="module")
def all_cases():
    """Answers of all cases on each of two ranks, of processes that fit all of them."""
    found = on_ranks(lambda rank: {name: answers(fitted(name)) for name in CASES})
    for error in found:
        if isinstance(error, Exception):
            raise error
    return found


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_fit_what_one_process_fits(name, all_cases):
    first, second = (rank[name] for rank in all_cases)
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
    alone = answers(fitted(name))
    np.testing.assert_allclose(first[0], alone[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(first[1], alone[1], rtol=1e-10)


def test_three_ranks_too():
    found = on_ranks(lambda rank: answers(fitted("closed form"))[0], n=3)
    alone = answers(fitted("closed form"))[0]
    for proba in found:
        np.testing.assert_allclose(proba, alone, rtol=0, atol=1e-12)


def test_many_fits_are_those_of_one_process():
    models = [smoothed(lr=lr) for lr in (0.001, 0.01)] + [smoothed(MLP(5, dropout=0))]

    def fit(rank):
        with data_parallel():
            return [m.predict_proba(X) for m in fit_many(models, X, Y)]

    first, second = on_ranks(fit)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, fit(0), rtol=0, atol=1e-12)


# --------------------------------------------------- what each rank has for itself


class Watched(nn.Module):
    """Keeps what its dropout leaves of ones."""

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.linear, self.dropout = nn.Linear(n_inputs, n_classes), Dropout(0.5)
        self.norm = nn.BatchNorm1d(n_inputs, affine=False)
        self.seen = []

    def forward(self, clips):
        if self.training:
            if len(clips) > 1:  # of one row there is no variance
                self.norm(clips)
            self.seen.append((clips.detach(), self.dropout(torch.ones(4, 16))))
        return Output(self.linear(clips).unsqueeze(1))


class WatchedSpec(NetworkSpec):
    uses_global_rng = False

    def build(self, input_shape, n_classes, *, generator):
        return skanticipate.networks.base.initialize(
            Watched(*input_shape, n_classes), generator
        )


def test_ranks_read_their_rows_and_draw_their_dropout_only():
    def fit(rank):
        model = smoothed(WatchedSpec(), max_epochs=1, dtype="float32")
        with data_parallel():
            model.fit(X, Y)
        clips, kept = zip(*model.network_.seen, strict=True)
        moments = model.network_.norm.running_mean.numpy()
        return [c.numpy() for c in clips], torch.stack(kept).numpy(), moments

    ranks = on_ranks(fit)
    for error in ranks:
        if isinstance(error, Exception):
            raise error
    rows = np.concatenate([part for clips, _, _ in ranks for part in clips])
    known = sorted(map(tuple, X.astype(np.float32)))
    np.testing.assert_array_equal(sorted(map(tuple, rows)), known)
    assert abs(len(ranks[0][0][0]) - len(ranks[1][0][0])) <= 1
    assert not np.array_equal(ranks[0][1], ranks[1][1])
    np.testing.assert_array_equal(ranks[0][2], ranks[1][2])


@pytest.mark.parametrize("batch_size", [1, 20])  # of 1 the second rank has nothing
def test_ranks_read_files_ahead(batch_size, tmp_path, monkeypatch):
    np.save(tmp_path / "clips.npy", X)
    monkeypatch.setattr(batches, "_SMALL", 1)
    threads, take = set(), RowView.take

    def noted(view, indices):
        threads.add(threading.current_thread().name)
        return take(view, indices)

    monkeypatch.setattr(RowView, "take", noted)

    def fit(rank):
        model = smoothed(batch_size=batch_size)
        clips = np.load(tmp_path / "clips.npy", mmap_mode="r")
        with data_parallel():
            model.fit(clips, Y)
        return model.predict_proba(X), [name for name in threads if "reads" in name]

    (first, ahead_first), (second, ahead_second) = on_ranks(fit)
    assert ahead_first
    assert bool(ahead_second) == (batch_size > 1)
    np.testing.assert_array_equal(first, second)
    alone = smoothed(batch_size=batch_size).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(first, alone, rtol=0, atol=1e-12)


def test_rank_0_alone_prints_and_writes(tmp_path):
    kept = {"checkpoint": str(tmp_path / "a"), "teacher_cache": str(tmp_path / "b")}
    model = distilled(MLP(6, dropout=0.3), verbose=1, **kept)
    touched = []

    def note(event, args):
        changes = event in ("os.mkdir", "os.rename", "os.remove")
        if changes or (event == "open" and set(str(args[1])) & set("wax+")):
            touched.append(str(args[0]))

    def fit(rank):
        sys.addaudithook(note)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), data_parallel():
            first = model.fit(X, SOME, FUTURE).predict_proba(X)
            again = model.fit(X, SOME, FUTURE).predict_proba(X)  # reads what is kept
        written = [path for path in touched if path.startswith(str(tmp_path))]
        return first, again, printed.getvalue(), written

    (first, again, printed, written), (*others, silence, none) = on_ranks(fit)
    for proba in (again, *others):
        np.testing.assert_array_equal(first, proba)
    assert "epoch 2/2" in printed and silence == ""
    assert written and not none
    assert len(list((tmp_path / "a").glob("*.fit.safetensors"))) == 2
    assert len(list((tmp_path / "b").glob("*.teacher.safetensors"))) == 1


class Interrupting(skanticipate.Schedule):
    """Raises at the end of the second epoch."""

    def share(self, epoch, max_epochs):
        if os.environ.get("INTERRUPT") and epoch > 2:
            raise KeyError("interrupted")
        return 1.0


def test_a_fit_goes_on_from_the_checkpoint_of_rank_0(tmp_path, monkeypatch):
    monkeypatch.setattr("skanticipate.training.checkpoint._PAUSE", 0)

    def model(folder):
        return smoothed(
            MLP(8, dropout=0.4),
            max_epochs=4,
            lr_schedule=Interrupting(),
            checkpoint=folder,
        )

    def interrupted(rank):
        os.environ["INTERRUPT"] = "1"
        with data_parallel():
            model(str(tmp_path)).fit(X, Y)

    def fit(rank, folder=str(tmp_path)):
        with data_parallel():
            return answers(model(folder).fit(X, Y))

    # Both raise, or the second one hears that the first one left.
    assert all(isinstance(e, KeyError | RuntimeError) for e in on_ranks(interrupted))
    assert len(list(tmp_path.glob("*.state.safetensors"))) == 1
    first, second = on_ranks(fit)
    whole, _ = on_ranks(lambda rank: fit(rank, None))
    for found in (second, whole):
        np.testing.assert_array_equal(first[0], found[0])
        assert first[1] == found[1]


def test_threads_that_are_started_inside_are_alone():
    def fit(rank):
        found = []
        with data_parallel():
            thread = threading.Thread(target=lambda: found.append(current_ranks()))
            thread.start()
            thread.join()
            return found, current_ranks() is None

    assert on_ranks(fit) == [([None], False)] * 2


# ------------------------------------------------------------- what goes wrong


def errors_of(fit):
    """Errors of both ranks, and the seconds until both were there."""
    start = time.monotonic()
    first, second = on_ranks(fit)
    return first, second, time.monotonic() - start


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("the labels", lambda m, X, y: (m, X, np.roll(y, 1))),
        ("the shape of X_past", lambda m, X, y: (m, X[:, :-1], y)),
        ("some rows of X_past", lambda m, X, y: (m, X + 1, y)),
        ("the parameter lr", lambda m, X, y: (m.set_params(lr=0.5), X, y)),
        ("the parameter network__hidden_size", lambda m, X, y: (_wider(m), X, y)),
        ("random_state", lambda m, X, y: (m.set_params(random_state=None), X, y)),
        ("the parameter max_epochs", lambda m, X, y: (_longer(m), X, y)),
    ],
)
def test_ranks_that_are_given_other_things(what, change):
    def fit(rank):
        model, clips, y = smoothed(), X, Y
        if rank == 1:
            model, clips, y = change(model, clips, y)
        with data_parallel():
            model.fit(clips, y)

    for error in errors_of(fit)[:2]:
        assert isinstance(error, ValueError)
        assert "The ranks disagree about" in str(error) and what in str(error)
        assert "start all of them with the same data" in str(error)


def _wider(model):
    return model.set_params(network__hidden_size=9)


def _longer(model):
    return model.set_params(max_epochs=3)


def test_seeds_that_nobody_set():
    def fit(rank):
        np.random.seed(rank)  # a fork has the stream of its parent
        with data_parallel():
            smoothed(random_state=None).fit(X, Y)

    for error in errors_of(fit)[:2]:
        assert isinstance(error, ValueError) and "random_state" in str(error)


class FailingSpec(NetworkSpec):
    """Does what it is told in the fourth batch of the second rank."""

    def __init__(self, fate="raise"):
        self.fate = fate

    def build(self, input_shape, n_classes, *, generator):
        network = nn.Linear(*input_shape, n_classes)
        fates = {"raise": self._fail, "die": lambda: os._exit(3)}
        count = []

        def forward(module, clips):
            count.append(1)
            if len(count) == 4 and os.environ.get("RANK") == "1":
                fates[self.fate]()

        network.register_forward_pre_hook(forward)
        network.register_forward_hook(lambda m, i, out: Output(out.unsqueeze(1)))
        return network

    def _fail(self):
        raise OSError("the disk is gone")


@pytest.mark.parametrize("fate", ["raise", "die"])
def test_a_rank_that_fails_ends_the_others(fate):
    def fit(rank):
        model, before = smoothed(FailingSpec(fate)), sorted(vars(smoothed()))
        with data_parallel(timeout=60):
            try:
                model.fit(X, Y)
            finally:
                assert sorted(vars(model)) == before

    first, second, seconds = errors_of(fit)
    assert isinstance(first, RuntimeError) and "were parted" in str(first)
    assert second is None if fate == "die" else "the disk is gone" in str(second)
    assert seconds < 30


def test_a_rank_that_does_not_come_in_time():
    def fit(rank):
        with data_parallel(timeout=1):
            if rank == 1:
                time.sleep(4)
            smoothed().fit(X, Y)

    first, second, seconds = errors_of(fit)
    for error in (first, second):
        assert isinstance(error, RuntimeError) and "in time" in str(error)
    assert seconds < 30


def test_there_is_no_going_on_after_an_error():
    def fit(rank):
        with contextlib.suppress(RuntimeError, OSError), data_parallel():
            smoothed(FailingSpec()).fit(X, Y)
        with data_parallel():
            smoothed().fit(X, Y)

    for error in errors_of(fit)[:2]:
        assert isinstance(error, RuntimeError) and "were parted" in str(error)


def test_a_training_that_diverges_does_so_on_all_ranks_and_parts_nobody():
    def fit(rank):
        with data_parallel():
            with pytest.raises(ValueError, match="learning rate"):
                smoothed(lr=1e300, max_epochs=3).fit(X, Y)
            return smoothed().fit(X, Y).predict_proba(X)

    first, second = on_ranks(fit)
    np.testing.assert_array_equal(first, second)


# ------------------------------------------------------------------ one process


def test_without_a_launcher_it_is_an_ordinary_fit():
    expected = smoothed().fit(X, Y).predict_proba(X)
    with data_parallel() as accelerator:
        assert accelerator.is_main_process and accelerator.num_processes == 1
        np.testing.assert_array_equal(smoothed().fit(X, Y).predict_proba(X), expected)


@pytest.mark.parametrize("timeout", [0, -1, "long", None, True])
def test_a_timeout_that_is_none(timeout):
    with pytest.raises(ValueError, match="timeout must be a positive number"):
        with data_parallel(timeout=timeout):
            pass


def test_without_accelerate_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[distributed\]"'):
        with data_parallel():
            pass


SCRIPT = """
import json, sys
import numpy as np
import skanticipate
X = np.random.default_rng(0).normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)
model = skanticipate.SmoothedAnticipator(
    skanticipate.MLP(4, dropout=0), max_epochs=2, dtype="float64", random_state=0
)
with skanticipate.data_parallel() as accelerator:
    proba = model.fit(X, y).predict_proba(X)
with open(f"{sys.argv[1]}/{accelerator.process_index}.json", "w") as file:
    json.dump([accelerator.num_processes, proba.tolist()], file)
"""


def finished(command):
    root = str(Path(skanticipate.__file__).parents[1])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_a_script_of_torchrun(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(tmp_path / "script.py"), str(tmp_path)]
    finished(command)
    first, second = (json.loads((tmp_path / f"{k}.json").read_text()) for k in (0, 1))
    assert first[0] == 2 and first == second
    run_alone(SCRIPT, str(tmp_path))
    alone = json.loads((tmp_path / "0.json").read_text())
    assert alone[0] == 1
    np.testing.assert_allclose(first[1], alone[1], rtol=0, atol=1e-12)
