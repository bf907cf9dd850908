"""What is announced to the system are the bytes of the rows; what is read stays so."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import RowView

N, WIDTH = 8, 1 << 14
ARRAY = np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)
WANTED = [5, 6, 2]


@pytest.fixture
def announced(monkeypatch):
    """Bytes that lie where runs were announced."""
    if not hasattr(os, "posix_fadvise"):
        pytest.skip("The system cannot be told.")
    found = []

    def advise(descriptor, start, n_bytes, advice):
        assert advice == os.POSIX_FADV_WILLNEED
        found.append(os.pread(descriptor, n_bytes, start))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return found


def mapped(folder, array=ARRAY):
    np.save(folder / "clips.npy", array)
    return np.load(folder / "clips.npy", mmap_mode="r")


def dataset(folder, array=ARRAY, options=None, **of_file):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "clips.h5", "w", **of_file) as file:
        file.create_dataset("other", data=np.arange(7))
        file.create_dataset("clips", data=array, **(options or {}))
    return h5py.File(folder / "clips.h5", "r")["clips"]


@pytest.mark.parametrize(
    ("open_rows", "runs"),
    [
        (mapped, [slice(5, 7), slice(2, 3)]),
        (dataset, [slice(2, 3), slice(5, 7)]),
        (
            lambda folder: dataset(folder, userblock_size=1024),
            [slice(2, 3), slice(5, 7)],
        ),
    ],
    ids=["map", "h5py", "h5py after a user block"],
)
def test_runs_are_announced_where_they_lie(announced, tmp_path, open_rows, runs):
    view = RowView(open_rows(tmp_path))
    assert_array_equal(view.take(WANTED), ARRAY[WANTED])
    assert announced == [ARRAY[run].tobytes() for run in runs]


@pytest.mark.parametrize(
    "open_rows",
    [
        lambda folder: mapped(folder, ARRAY[:, :16]),
        lambda folder: dataset(folder, ARRAY[:, :16]),
        lambda folder: dataset(folder, options={"chunks": (1, WIDTH)}),
    ],
    ids=["short rows of a map", "short rows", "rows in chunks"],
)
def test_nothing_is_announced_of_short_rows_and_of_chunks(
    announced, tmp_path, open_rows
):
    base = open_rows(tmp_path)
    expected = ARRAY[WANTED, : base.shape[1]]
    assert_array_equal(RowView(base).take(WANTED), expected)
    assert announced == []


def test_a_file_in_memory_has_no_place(announced, tmp_path):
    h5py = pytest.importorskip("h5py")
    options = {"driver": "core", "backing_store": False}
    with h5py.File(tmp_path / "clips.h5", "w", **options) as file:
        view = RowView(file.create_dataset("clips", data=ARRAY))
        assert_array_equal(view.take(WANTED), ARRAY[WANTED])
    assert announced == []


@pytest.mark.parametrize("open_rows", [mapped, dataset])
def test_a_system_that_cannot_be_told(monkeypatch, tmp_path, open_rows):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert_array_equal(RowView(open_rows(tmp_path)).take(WANTED), ARRAY[WANTED])
