"""Searches and many fits on the workers of Dask against the same in one process."""

import os
import pickle
from contextlib import suppress

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    NetworkSpec,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import labelled_scorer

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

KITCHEN = make_kitchen(unlabeled_fraction=0.5, random_state=0)
X, Y, FUTURE = KITCHEN.X_past, KITCHEN.y, KITCHEN.X_future
GRID = {"lr": [0.001, 0.01], "smoothing": [0.0, 0.2]}
MODEL = DistilledAnticipator(MLP(8), max_epochs=2, dtype="float64", random_state=0)


@pytest.fixture(scope="module")
def cluster():
    with (
        # On a busy machine: a worker that imports for long counts as lost.
        dask.config.set({"distributed.comm.timeouts.connect": "120s"}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            scheduler_port=0,
            dashboard_address=None,
            memory_limit=None,
            preload=["skanticipate"],
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield cluster


@pytest.fixture(autouse=True)
def two_workers(cluster):
    """Wait for one that died before: joblib sends a single one no work at all."""
    distributed.get_client().wait_for_workers(2, timeout=300)


def search_of(kind, model=MODEL, grid=GRID):
    return kind(
        model,
        grid,
        cv=SemiSupervisedSplit(GroupKFold(2)),
        scoring=labelled_scorer("accuracy"),
        error_score="raise",
    )


def fitted(kind, on_dask, X=X, future=FUTURE):
    search = search_of(kind)
    given = {"groups": KITCHEN.groups, "X_future_unlabeled": future}
    if not on_dask:
        return search.fit(X, Y, **given)
    with parallel_config("dask"):
        return search.fit(X, Y, **given)


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_a_search_finds_on_dask_what_it_finds_in_one_process(kind, cluster):
    there, here = fitted(kind, True), fitted(kind, False)
    for name in ("split0_test_score", "split1_test_score", "rank_test_score"):
        np.testing.assert_array_equal(there.cv_results_[name], here.cv_results_[name])
    assert there.best_params_ == here.best_params_
    np.testing.assert_allclose(
        there.predict_proba(X), here.predict_proba(X), rtol=0, atol=1e-12
    )


def test_a_pipeline_is_searched_there_too(cluster):
    model = make_pipeline(
        StandardScaler(), SmoothedAnticipator(MLP(8), max_epochs=2, random_state=0)
    )
    known = Y >= 0
    scores = []
    for backend in ("dask", "sequential"):
        search = GridSearchCV(model, {"smoothedanticipator__lr": [0.001, 0.01]}, cv=2)
        with parallel_config(backend):
            search.fit(X[known], Y[known])
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("train", [None, [np.arange(300), np.arange(200, 600)]])
def test_many_fits_on_dask(train, cluster):
    models = [MODEL, SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0)]
    known = np.where(Y < 0, 0, Y)
    with parallel_config("dask"):
        there = fit_many(models, X, known, FUTURE, train=train)
    here = fit_many(models, X, known, FUTURE, train=train)
    for one, other in zip(there, here, strict=True):
        np.testing.assert_allclose(
            one.predict_proba(X), other.predict_proba(X), rtol=0, atol=1e-6
        )


# -------------------------------------------------------------------- memory maps


@pytest.fixture
def maps(tmp_path):
    """Past and future clips in files, opened for reading."""
    found = []
    for name, clips in (("past", X), ("future", FUTURE)):
        np.save(tmp_path / f"{name}.npy", clips.astype(np.float32))
        found.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    return found


class Opened(NetworkSpec):
    """Refuses clips that did not come as a file: `see` writes down what came."""

    def __init__(self, folder):
        self.folder = folder

    def input_shape_of(self, rows):
        kind = type(rows.base).__name__
        with open(f"{self.folder}/{os.getpid()}", "a") as file:
            file.write(f"{kind}\n")
        return super().input_shape_of(rows)

    def build(self, input_shape, n_classes, *, generator):
        return MLP(4).build(input_shape, n_classes, generator=generator)


@pytest.mark.parametrize("kind", ["GridSearchCV", "BatchedGridSearchCV", "fit_many"])
def test_workers_open_memory_maps(kind, maps, tmp_path, cluster):
    past, future = maps
    folder = tmp_path / "seen"
    folder.mkdir()
    model = SmoothedAnticipator(Opened(str(folder)), max_epochs=1, random_state=0)
    y = np.arange(len(past)) % 3
    with parallel_config("dask"):
        if kind == "fit_many":
            fit_many([model, model], past, y, width=1)
        elif kind == "GridSearchCV":  # which copies maps, but not views
            GridSearchCV(model, {"lr": [0.1, 0.2]}, cv=2, refit=False).fit(
                RowView(past), y
            )
        else:
            BatchedGridSearchCV(model, {"lr": [0.1, 0.2]}, cv=2, refit=False).fit(
                past, y
            )
    seen = {path.name: path.read_text().split() for path in folder.iterdir()}
    assert str(os.getpid()) not in seen and {"memmap"} == set(sum(seen.values(), []))


def test_a_job_on_a_map_is_small(maps):
    from skanticipate.estimator.given import Given
    from skanticipate.estimator.wanted import wanted_jobs

    past, future = maps
    given = Given(past, Y, future)
    for train in (None, [np.arange(50)]):
        [job] = wanted_jobs([MODEL], given, train)
        assert len(pickle.dumps(job)) < past.nbytes / 4


def test_a_search_over_maps_is_that_over_arrays(maps, cluster):
    past, future = maps
    there = fitted(BatchedGridSearchCV, True, past, future)
    here = fitted(BatchedGridSearchCV, False, np.array(past), np.array(future))
    np.testing.assert_allclose(
        there.predict_proba(X), here.predict_proba(X), rtol=0, atol=1e-6
    )


# ----------------------------------------------------------------- workers that die


class Deadly(NetworkSpec):
    """Ends the first worker that builds it, unless its folder has the file `died`."""

    uses_global_rng = False

    def __init__(self, folder, home):
        self.folder, self.home = folder, home

    def build(self, input_shape, n_classes, *, generator):
        if os.getpid() != self.home:
            with suppress(FileExistsError):  # of two that build at once one makes it
                open(f"{self.folder}/died", "x").close()
                os._exit(1)
        return MLP(4).build(input_shape, n_classes, generator=generator)


def deadly_search(folder):
    spec = Deadly(str(folder), os.getpid())
    model = SmoothedAnticipator(spec, max_epochs=1, random_state=0)
    return BatchedGridSearchCV(model, {"lr": [0.001, 0.01]}, cv=2, refit=False)


@pytest.mark.slow
def test_a_search_goes_on_when_a_worker_dies(tmp_path, cluster):
    y = np.arange(len(X)) % 3
    expected = deadly_search(tmp_path).fit(X, y).cv_results_  # in this process
    with parallel_config("dask"):
        found = deadly_search(tmp_path).fit(X, y).cv_results_
    assert os.listdir(tmp_path) == ["died"]
    np.testing.assert_array_equal(found["mean_test_score"], expected["mean_test_score"])
