"""What HDF5 shows in place of numbers that no file holds."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import MLP, RowView, SmoothedAnticipator
from skanticipate.datasets import FeatureTable, cut_pairs

h5py = pytest.importorskip("h5py")

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
Y = np.arange(20) % 3
PAIRS = {"video": ["x"], "y": [0], "past_start": [0], "past_stop": [10]}
PAIRS |= {"future_start": [10], "future_stop": [20]}
WAYS = {
    "view": lambda data: RowView(data),
    "fit": lambda data: SmoothedAnticipator(MLP(2)).fit(data, Y),
    "table": lambda data: FeatureTable.from_arrays({"x": data}),
    "pairs": lambda data: cut_pairs(PAIRS, {"x": data}, feature_rate=1, fps=1),
}


@pytest.fixture
def virtual(tmp_path):
    """A file that shows two others as one, of which it has the names only."""
    for name, rows in (("a", X[:10]), ("b", X[10:])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = rows
    layout = h5py.VirtualLayout((20, 4), "f4")
    layout[:10] = h5py.VirtualSource("a.h5", "x", (10, 4))
    layout[10:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "x", (10, 4))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    return tmp_path / "all.h5"


def lose(path):
    path.unlink()


def rename(path):
    with h5py.File(path, "a") as file:
        file.move("x", "y")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("damage", [lose, rename])
def test_a_virtual_dataset_lacks_a_source(virtual, damage, way):
    with h5py.File(virtual) as file:
        assert_array_equal(RowView(file["x"]), X)
    damage(virtual.parent / "b.h5")
    with h5py.File(virtual) as file:
        assert (file["x"][15:] == 0).all()  # as HDF5 has it, without a word
        with pytest.raises(
            ValueError, match="'x' in .*b.h5', which is not there or sm"
        ):
            way(file["x"])


def test_sources_are_found_where_hdf5_finds_them(virtual, tmp_path):
    (tmp_path / "moved").mkdir()
    for name in ("a.h5", "b.h5", "all.h5"):
        os.rename(tmp_path / name, tmp_path / "moved" / name)
    with h5py.File(tmp_path / "moved" / "all.h5") as file:
        assert_array_equal(file["x"], X)
        assert_array_equal(RowView(file["x"]), X)


def test_parts_of_sources_and_of_the_same_file(tmp_path):
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["own"] = X
        layout = h5py.VirtualLayout((20, 2), "f4")
        layout[:] = h5py.VirtualSource(file["own"])[:, 1:3]
        file.create_virtual_dataset("x", layout)
        layout = h5py.VirtualLayout((20, 4), "f4")
        layout[:10] = h5py.VirtualSource(file["own"])[:10]
        file.create_virtual_dataset("half", layout)
    with h5py.File(tmp_path / "all.h5") as file:
        assert_array_equal(RowView(file["x"]), X[:, 1:3])
        with pytest.raises(ValueError, match="numbers of 40 of its 80 places only"):
            RowView(file["half"])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("chunks", [(5, 4), (5, 2), None])
def test_rows_that_were_never_written(tmp_path, chunks, way):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", (20, 4), "f4", chunks=chunks)
        if chunks is not None:
            data[:12] = X[:12]
        first = 15 if chunks else 0  # of the chunk that begins with row 10 all is there
        with pytest.raises(
            ValueError, match=rf"never written, .* is {first}, .* as 0.0"
        ):
            way(data)
        data[:] = X
        way(data)


def test_rows_that_were_written_can_be_chosen(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", (20, 4), "f4", chunks=(5, 2))
        data[:10], data[10:, :2] = X[:10], X[10:, :2]
        for rows in (np.arange(10), np.arange(20) < 10, [[0, 1], [9, -11]]):
            expected = X[rows]
            assert_array_equal(RowView(data, rows=rows), expected)
        for rows in ([3, 10], [-1]):
            with pytest.raises(ValueError, match="1 rows that were never written"):
                RowView(data, rows=rows)


def test_a_fill_value_of_nan_stands_for_what_is_missing(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", (20, 4), "f4", chunks=(5, 4), fillvalue=np.nan)
        data[:10] = X[:10]
        view = RowView(data)
        assert_array_equal(view.take([9, 12]), [X[9], [np.nan] * 4])


def test_an_external_file_that_was_cut_short(tmp_path):
    raw = tmp_path / "raw.bin"
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", (20, 4), "f4", external=[(str(raw), 0, 320)])
        data[:] = X
    with h5py.File(tmp_path / "x.h5") as file:
        assert_array_equal(RowView(file["x"]), X)
    os.truncate(raw, 160)
    with h5py.File(tmp_path / "x.h5") as file:
        with pytest.raises(
            ValueError, match="raw.bin', which has 160 bytes and should"
        ):
            RowView(file["x"])


def test_texts_in_a_file_are_refused_as_what_they_are(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.full((20, 4), "1.5", dtype="S3")
        with pytest.raises(ValueError, match="must hold numbers"):
            SmoothedAnticipator(MLP(2)).fit(RowView(file["x"]), Y)
