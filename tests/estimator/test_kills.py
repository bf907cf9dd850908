"""Fits in processes that are killed; benchmarks/kills.py has more."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from alone import run_alone
from interrupted import SOME, X, bits

import skanticipate
from skanticipate import MLP, DistilledAnticipator, SmoothedAnticipator, fit_many
from skanticipate.training import checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def single(folder):
    model = DistilledAnticipator(
        MLP(8, dropout=0.2), max_epochs=30, random_state=0, checkpoint=folder
    )
    return [model.fit(X, SOME, X + 0.1)]


def stack(folder):
    models = [
        SmoothedAnticipator(
            MLP(8, dropout=0.2), max_epochs=20 + k, random_state=k, checkpoint=folder
        )
        for k in range(4)
    ]
    return fit_many(models, X[SOME >= 0], SOME[SOME >= 0])


@pytest.mark.slow
@pytest.mark.parametrize("fit", [single, stack])
def test_killed_at_a_random_moment(fit, tmp_path, monkeypatch):
    start = time.perf_counter()
    expected = list(map(bits, fit(None)))
    seconds = time.perf_counter() - start
    monkeypatch.setattr(checkpoint, "_PAUSE", 0)  # write after every epoch
    rng = np.random.default_rng(0)
    for k in range(4):
        folder = tmp_path / str(k)
        process = multiprocessing.get_context("fork").Process(target=fit, args=[folder])
        process.start()
        process.join(rng.uniform(0, seconds))
        process.kill()
        process.join()
        assert list(map(bits, fit(folder))) == expected


CODE = """
import json, os, sys
import numpy as np
from sklearn.model_selection import GridSearchCV
from skanticipate import MLP, SmoothedAnticipator

folder, n_jobs = sys.argv[1:]
y = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 4)) + y[:, None]
model = SmoothedAnticipator(
    MLP(4), max_epochs=60, batch_size=4, random_state=0, checkpoint=folder or None
)
grid = {"lr": [0.001, 0.01, 0.1]}
search = GridSearchCV(model, grid, cv=3, n_jobs=int(n_jobs)).fit(X, y)
proba = search.predict_proba(X).tolist()
print(json.dumps([search.cv_results_["mean_test_score"].tolist(), proba]))
"""


def start(*args):
    root = str(Path(skanticipate.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_search_in_processes_whose_parent_is_killed(tmp_path):
    folder = tmp_path / "kept"
    first = start(folder, 2)
    deadline = time.monotonic() + 100
    while not list(folder.glob("*.fit.*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)  # its workers may go on for a while
    assert list(folder.glob("*.fit.*"))
    found, expected = (json.loads(run_alone(CODE, a, "1")) for a in (str(folder), ""))
    assert found == expected
    assert len(list(folder.glob("*.fit.*"))) == 10
    with contextlib.suppress(ProcessLookupError):
        os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
