"""What lies in files is read one batch ahead: the same bits, and the same errors."""

import os
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skanticipate import (
    LSTM,
    MLP,
    AttentiveProbe,
    BatchedGridSearchCV,
    DistilledAnticipator,
    RowView,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.training import batches, scoring

N, T, D = 240, 3, 8
RNG = np.random.default_rng(0)
CLIPS = RNG.normal(size=(N, T, D)).astype(np.float32)
FUTURES = RNG.normal(size=(N, T, D)).astype(np.float32)
Y = np.arange(N) % 3
QUICK = {"max_epochs": 2, "batch_size": 32, "random_state": 0, "device": "cpu"}
MODEL = SmoothedAnticipator(LSTM(8, dropout=0.3), **QUICK)


def mapped(array, folder, name="clips"):
    path = folder / f"{name}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def hdf5(array, folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "clips.h5", "w") as file:
        file["clips"] = array
    return RowView(h5py.File(folder / "clips.h5", "r")["clips"])


def zarr(array, folder):
    stored = pytest.importorskip("zarr", minversion="3").create_array(
        folder / "clips.zarr", shape=array.shape, dtype=array.dtype, chunks=(7, T, D)
    )
    stored[:] = array
    return RowView(stored)


def cut_from_frames(array, folder):
    """As `cut_clips` gives them: each row is T rows of a table of frames."""
    frames = mapped(array.reshape(-1, D), folder, "frames")
    return RowView(frames, np.arange(N * T).reshape(N, T))


SOURCES = {
    "memory map": mapped,
    "view of a memory map": lambda a, f: RowView(mapped(a, f))[np.arange(N)],
    "plain array over a memory map": lambda a, f: np.asarray(mapped(a, f)),
    "cut from frames": cut_from_frames,
    "other precision": lambda a, f: mapped(a.astype(np.float64), f).view(),
    "HDF5": hdf5,
    "zarr": zarr,
}


@pytest.fixture
def threads(monkeypatch):
    """Names of the threads in which rows are taken; small batches go ahead too."""
    monkeypatch.setattr(batches, "_SMALL", 1)
    seen, take = [], RowView.take

    def noted(view, indices):
        seen.append(threading.current_thread().name)
        return take(view, indices)

    monkeypatch.setattr(RowView, "take", noted)
    yield seen
    assert not elsewhere(thread.name for thread in threading.enumerate())


def elsewhere(names):
    """How many of them are names of our thread."""
    return sum(name.startswith("skanticipate") for name in names)


def bits(model):
    return [w.numpy().tobytes() for w in model.network_.state_dict().values()]


@pytest.mark.parametrize("source", SOURCES)
def test_a_fit_of_any_file_has_the_bits_of_one_of_an_array(source, threads, tmp_path):
    model = clone(MODEL).set_params(dtype="float32")
    expected = bits(clone(model).fit(CLIPS, Y))
    assert elsewhere(threads) == 0  # arrays in memory: nobody waits for them
    found = bits(model.fit(SOURCES[source](CLIPS, tmp_path), Y))
    assert found == expected
    assert elsewhere(threads) == 2 * 8  # batches


def test_futures_and_random_crops(threads, tmp_path):
    student = DistilledAnticipator(
        AttentiveProbe(8, n_heads=2, random_delay=1),
        **QUICK,
        feature_weight=0.1,
        init_from_teacher=True,
    )
    half = np.where(np.arange(N) % 2, Y, -1)
    expected = bits(clone(student).fit(CLIPS, half, FUTURES))
    assert elsewhere(threads) == 0
    files = mapped(CLIPS, tmp_path), mapped(FUTURES, tmp_path, "futures")
    found = bits(clone(student).fit(files[0], half, files[1]))
    assert found == expected
    assert elsewhere(threads) > 2 * 8


@pytest.mark.parametrize("some", [True, False], ids=["of some rows", "of all rows"])
def test_maps_of_a_teacher_that_lie_in_a_file(some, threads, tmp_path, monkeypatch):
    student = DistilledAnticipator(
        LSTM(8), **QUICK, feature_weight=0.1, init_from_teacher=True
    )
    futures = FUTURES.copy()
    if some:
        futures[::3] = np.nan
        futures[1, 0] = np.nan  # padding
    in_memory = bits(clone(student).fit(CLIPS, Y, futures))
    monkeypatch.setattr("skanticipate.signals.maps._MAPS_IN_MEMORY", 0)
    student.set_params(teacher_cache=tmp_path)
    taken, take = len(threads), elsewhere
    found = bits(clone(student).fit(CLIPS, Y, futures))
    assert take(threads[taken:]) > 0
    assert found == in_memory


def test_a_search_reads_ahead_too(threads, tmp_path):
    models = [clone(MODEL).set_params(lr=lr) for lr in (1e-3, 1e-2, 1e-1)]
    lessons = [np.arange(N), np.arange(40, N), np.arange(N)]
    plain = fit_many(models, CLIPS, Y, train=lessons)
    assert elsewhere(threads) == 0
    found = fit_many(models, mapped(CLIPS, tmp_path), Y, train=lessons)
    assert elsewhere(threads) >= 2 * 8
    assert [bits(model) for model in found] == [bits(model) for model in plain]
    grid = BatchedGridSearchCV(
        clone(MODEL), {"lr": [1e-3, 1e-2], "smoothing": [0.0, 0.1]}, cv=2
    )
    expected = clone(grid).fit(CLIPS, Y).cv_results_["mean_test_score"]
    scores = grid.fit(RowView(mapped(CLIPS, tmp_path)), Y).cv_results_
    assert_array_equal(scores["mean_test_score"], expected)


def test_a_stack_in_which_a_model_has_steps_without_a_signal(threads, tmp_path):
    # a class that is labelled nowhere in a batch of unlabelled rows: steps alone
    labels = np.where(np.arange(N) < 60, Y, -1)
    student = DistilledAnticipator(
        MLP(4), **{**QUICK, "batch_size": 8}, unlabeled_fraction=0.9
    )
    clips, futures = CLIPS[:, 0], FUTURES[:, 0].copy()
    models = [clone(student).set_params(lr=lr) for lr in (1e-3, 1e-2)]
    expected = fit_many(models, clips, labels, futures)
    found = fit_many(models, mapped(clips, tmp_path), labels, futures)
    assert elsewhere(threads) > 0
    assert [bits(m) for m in found] == [bits(m) for m in expected]


def test_small_batches_are_read_where_they_are_used(threads, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "_SMALL", 1 << 18)
    clone(MODEL).fit(mapped(CLIPS, tmp_path), Y)
    assert elsewhere(threads) == 0


def test_predictions_and_scores_of_held_out_rows_read_ahead_too(
    threads, tmp_path, monkeypatch
):
    monkeypatch.setattr(scoring, "prediction_batch", lambda rows: 16)
    model = clone(MODEL).set_params(early_stopping=True)
    expected = clone(model).fit(CLIPS, Y).predict_proba(CLIPS)
    assert elsewhere(threads) == 0
    clips = mapped(CLIPS, tmp_path)
    model.fit(clips, Y)
    assert elsewhere(threads) == 2 * (7 + 2)
    assert_array_equal(model.predict_proba(clips), expected)
    assert elsewhere(threads) == 2 * (7 + 2) + 15
    assert_array_equal(model.predict_proba(clips[:16]), expected[:16])
    assert elsewhere(threads) == 2 * (7 + 2) + 15  # nothing comes after one batch


class Rows:
    """Rows that belong to the thread that made them, as a cursor of a database."""

    shape, dtype = CLIPS.shape, CLIPS.dtype

    def __init__(self):
        self.thread = threading.current_thread()

    def __getitem__(self, row):
        assert threading.current_thread() is self.thread
        return CLIPS[row]


def test_what_may_belong_to_a_thread_is_read_in_it(threads):
    found = clone(MODEL).fit(RowView(Rows()), Y)
    assert bits(found) == bits(clone(MODEL).fit(CLIPS, Y))


# ------------------------------------------------------------------- what goes wrong


@contextmanager
def after_the_checks(monkeypatch, do):
    """Do something when training begins: what is checked is checked."""
    drawn = SmoothedAnticipator._draw

    def draw(self, samples):
        do()
        return drawn(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr(SmoothedAnticipator, "_draw", draw)
        yield


def told(model, clips, monkeypatch, do):
    """What a fit says of what happens once training begins."""
    before = dict(vars(model))
    with after_the_checks(monkeypatch, do), pytest.raises(Exception) as caught:
        model.fit(clips, Y)
    assert vars(model) == before
    assert not elsewhere(thread.name for thread in threading.enumerate())
    return type(caught.value), str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows locks such files")
@pytest.mark.parametrize("rows", ["short", "long"])
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_file_that_is_cut_short_while_it_is_read(
    mode, rows, threads, tmp_path, monkeypatch
):
    clips = CLIPS if rows == "short" else np.repeat(CLIPS, 800, axis=2)
    path = tmp_path / "clips.npy"
    said = []
    for small in (1, 1 << 40):  # in the thread, and here
        np.save(path, clips)
        monkeypatch.setattr(batches, "_SMALL", small)
        said.append(
            told(
                clone(MODEL),
                np.load(path, mmap_mode=mode),
                monkeypatch,
                lambda: os.truncate(path, path.stat().st_size // 2),
            )
        )
    assert elsewhere(threads) > 0
    assert said[0] == said[1]
    assert said[0][0] is OSError
    assert "cut short; write it again" in said[0][1]


def test_a_dataset_that_fails_while_it_is_read(threads, tmp_path, monkeypatch):
    said = []
    for small in (1, 1 << 40):
        monkeypatch.setattr(batches, "_SMALL", small)
        folder = tmp_path / str(small)
        folder.mkdir()
        view = hdf5(CLIPS, folder)
        said.append(told(clone(MODEL), view, monkeypatch, view.base.file.close))
    assert elsewhere(threads) > 0
    assert said[0] == said[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_fit_that_ends_in_the_middle_joins_its_thread(
    error, threads, tmp_path, monkeypatch
):
    from skanticipate.training.step import GradientStep

    step, steps = GradientStep.__call__, []

    def failing(self, samples):
        steps.append(samples)
        if len(steps) == 3:
            raise error
        return step(self, samples)

    monkeypatch.setattr(GradientStep, "__call__", failing)
    model = clone(MODEL)
    with pytest.raises(error):
        model.fit(mapped(CLIPS, tmp_path), Y)
    assert not elsewhere(thread.name for thread in threading.enumerate())
    assert elsewhere(threads) in (3, 4)
    assert not hasattr(model, "network_")
