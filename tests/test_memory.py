import json
import sys

import numpy as np
import pytest
from alone import run_alone

# 1600 clips of 40 steps and 800 channels: 205 MB
SHAPE = (1600, 40, 800)
SEARCH = """
import json, sys
import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from skanticipate import LSTM, RowView, SmoothedAnticipator

def status(name):
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
path, form = sys.argv[1:]
clips = np.load(path, mmap_mode="r")
y = np.arange(len(clips)) % 3
model = SmoothedAnticipator(LSTM(4), max_epochs=1, batch_size=32, random_state=0)
search = GridSearchCV(model, {"smoothing": [0.1]}, cv=2, error_score="raise")
search.fit(clips[:64, :, :8], y[:64])  # everything is imported
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak so far
before = status("VmRSS:")
search.fit(RowView(clips) if form == "view" else clips, y)
print(json.dumps((status("VmHWM:") - before) / clips.nbytes))
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clips.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, SHAPE)
    rng = np.random.default_rng(0)
    for start in range(0, len(array), 100):
        array[start : start + 100] = rng.random((100, *SHAPE[1:]), np.float32)
    array.flush()
    del array
    yield path
    path.unlink()


def added_memory(path, form):
    """What a search adds to the memory of its process, as a share of the array."""
    return run(SEARCH, str(path), form)


def run(script, *args):
    """What a script prints, in a process of its own."""
    try:
        return json.loads(run_alone(script, *args))
    except OSError as error:
        if "clear_refs" in str(error):
            pytest.skip("this system does not tell the peak of a process's memory")
        raise


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_search_over_a_row_view_of_a_memory_map_copies_nothing(clips):
    assert added_memory(clips, "view") < 0.3  # a copy of a fold would be 0.5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_search_over_a_plain_memory_map_copies_its_folds(clips):
    # why RowView exists: scikit-learn slices training and test rows into memory
    assert added_memory(clips, "map") > 0.8


# -------------------------------------------------- what fits and predictions take

CALLS = """
import json, multiprocessing
import numpy as np
import torch
from skanticipate import (
    LSTM, MLP, HistoryTeacher, LateFusion, ReplicaEnsemble, SmoothedAnticipator,
    TeacherEnsemble,
)

def status(name):
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024

torch.set_num_threads(1)
C = 2000
rng = np.random.default_rng(0)
X, y = rng.standard_normal((40_000, 8), np.float32), np.arange(40_000) % C
few, past = slice(0, 4000), rng.integers(0, C, (10_000, 2))

def model(**params):
    params = {"max_epochs": 1, "batch_size": 512, "smoothing": 0.0, **params}
    return SmoothedAnticipator(MLP(8), random_state=0, device="cpu", **params)

fitted = model().fit(X[few], y[few])
actions = {k: (k % 40, k // 40) for k in range(C)}
teacher = HistoryTeacher(actions, hidden_size=8, n_networks=1, max_epochs=1)
teacher.fit(past[few], y[few])
members = [(name, model(), (4 * k, 4 * k + 4)) for k, name in enumerate("ab")]
fusion = LateFusion(members).fit(X[few], y[few])
replicas = ReplicaEnsemble(model(), n_replicas=3).fit(X[few], y[few])
ensemble = TeacherEnsemble([model()] * 3).fit(X[few], y[few])
clips = X[:20_000].reshape(-1, 4, 2)
staged = model().set_params(network=LSTM(8, anticipation_steps=2))
staged.fit(clips[few], y[few])
calls = {
    "20 steps": lambda: model().fit(X[:10_000], y[:10_000]),
    "80 steps": lambda: model().fit(X, y),
    "validation": lambda: model(early_stopping=True).fit(
        X[few], y[few], X_val=X, y_val=y
    ),
    "predict_proba": lambda: fitted.predict_proba(X),
    "stages": lambda: list(staged.staged_predict_proba(clips)),
    "predict": lambda: fitted.predict(X),
    "score": lambda: fitted.score(X, y),
    "teacher": lambda: teacher.predict(past),
    "fusion": lambda: fusion.predict_proba(X),
    "logarithms": lambda: fusion.predict_log_proba(X),
    "replicas": lambda: replicas.predict_proba(X),
    "ensemble": lambda: ensemble.predict_proba(X),
}

def added(name):
    model().fit(X[few], y[few]).predict(X[few])  # pages of libraries are there
    teacher.predict(past[:100])
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status("VmRSS:")
    calls[name]()
    return status("VmHWM:") - before

found = {}
for name in calls:
    with multiprocessing.get_context("fork").Pool(1) as alone:
        found[name] = alone.apply(added, (name,))
print(json.dumps(found))
"""
# MB of probabilities; pages of libraries that a call is the first to touch add some 15.
ANSWER = 4 * 40_000 * 2000 / 2**20


@pytest.fixture(scope="module")
def calls():
    """Megabytes that each call adds to a process of its own."""
    return run(CALLS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_fit_does_not_grow_with_its_steps(calls):
    # Runs differ by some 30; scores (512, 2000) kept at each step would add 240.
    assert calls["80 steps"] < calls["20 steps"] + 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("predict_proba", 1.1),
        ("stages", 1.1),
        ("predict", 0.3),
        ("score", 0.3),
        ("validation", 0.3),
    ],
)
def test_memory_of_a_prediction_is_that_of_its_answer(calls, name, share):
    assert calls[name] < share * ANSWER


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("name", "share"),
    [("fusion", 1.2), ("logarithms", 1.2), ("replicas", 1.2), ("ensemble", 1.2)],
)
def test_answers_of_members_are_not_held_beside_their_mean(calls, name, share):
    assert calls[name] < share * ANSWER


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_teacher_of_histories_holds_no_array_of_rows_times_classes(calls):
    # 10,000 rows of float64; every one of its models would hold as much
    assert calls["teacher"] < 8 * 10_000 * 2000 / 2**20


# ------------------------------------------------------------- models trained as one

STACK = """
import json, multiprocessing
import numpy as np
import torch
from skanticipate import MLP, SmoothedAnticipator, fit_many

def status(name):
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, y = rng.standard_normal((1280, 1000), np.float32), np.arange(1280) % 10
few = slice(0, 200)

def models(n):
    return [
        SmoothedAnticipator(
            MLP(1000), max_epochs=2, batch_size=128, lr=1e-4 * (k + 1), random_state=0
        )
        for k in range(n)
    ]

def added(n):
    fit_many(models(2), X[few, :8], y[few])  # pages of libraries are there
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status("VmRSS:")
    fit_many(models(n), X, y, width=n)
    return status("VmHWM:") - before

found = []
for n in (1, 8):
    with multiprocessing.get_context("fork").Pool(1) as alone:
        found.append(alone.apply(added, (n,)))
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_stack_takes_no_more_than_its_models_and_a_batch():
    one, eight = run(STACK)
    n_weights = 1000 * 1000 + 1000 + 1000 * 10 + 10
    models = 8 * 4 * 4 * n_weights / 2**20  # weights, gradients, and two moments
    batch = 8 * 4 * 128 * 4 * 1000 / 2**20  # clips, hidden units, and gradients
    # The heap has its own; weights and moments twice would be 93 more.
    assert one < models / 8 + batch / 8 + 48
    assert eight < models + batch + 48


AHEAD = """
import json, multiprocessing, sys
import numpy as np
import torch
from skanticipate import MLP, SmoothedAnticipator, fit_many

def status(name):
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024

torch.set_num_threads(1)
clips, y = np.load(sys.argv[1], mmap_mode="r"), np.arange(1600) % 3

def models(n):
    return [
        SmoothedAnticipator(
            MLP(1), max_epochs=1, batch_size=320, lr=1e-3 * (k + 1), random_state=0
        )
        for k in range(n)
    ]

def added(n):
    fit_many(models(n), clips[:40], y[:40])  # pages of libraries are there
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status("VmRSS:")
    fit_many(models(n), clips, y)
    return status("VmHWM:") - before

found = []
for n in (1, 2):
    with multiprocessing.get_context("fork").Pool(1) as alone:
        found.append(alone.apply(added, (n,)))
print(json.dumps([mb * 2**20 / clips.nbytes * 5 for mb in found]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_ahead_holds_at_most_three_batches(clips):
    alone, search = run(AHEAD, str(clips))  # in batches
    assert alone < 3
    assert search < 3


MANY_FITS = """
import ctypes, gc
import numpy as np
from skanticipate import LSTM, MLP, SmoothedAnticipator, fit_many

X = np.random.default_rng(0).normal(size=(200, 4, 16)).astype(np.float32)
y = np.arange(200) % 5

def held():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

def turn(seed):
    for network, clips in ((MLP(32), X[:, 0]), (LSTM(8), X)):
        model = SmoothedAnticipator(network, max_epochs=2, random_state=seed)
        model.fit(clips, y).predict_proba(clips)
        fit_many([model, model], clips, y)
        try:
            model.set_params(lr=1e38, optimizer="sgd").fit(clips, y)
        except ValueError:
            pass

for seed in range(10):
    turn(seed)
first = held()
for seed in range(10, 50):
    turn(seed)
assert held() < 1.02 * first, (first, held())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")
def test_memory_of_many_fits_does_not_grow():
    run_alone(MANY_FITS)
