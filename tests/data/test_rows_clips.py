"""Views whose rows are several rows of their base, and how maps are read."""

import io
import os
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import RowView

CLIPS = np.array([[4, 5, 6], [0, 0, 7], [9, 2, 1], [3, 3, 3]])
WIDE = (1 << 14) + 4  # a row of float32 is read as a run of its own


@pytest.fixture(params=["array", "map"])
def frames(request, tmp_path):
    array = np.arange(10 * 2, dtype=np.float32).reshape(10, 2)
    if request.param == "array":
        return array
    np.save(tmp_path / "frames.npy", array)
    return np.load(tmp_path / "frames.npy", mmap_mode="r")


def test_header_and_values(frames):
    view = RowView(frames, CLIPS)
    assert (view.shape, view.ndim, len(view)) == ((4, 3, 2), 3, 4)
    assert view.dtype == np.float32
    assert_array_equal(np.asarray(view), np.asarray(frames)[CLIPS])
    assert type(view[1]) is np.ndarray
    assert type(view[1:2]) is RowView


@pytest.mark.parametrize(
    "key",
    [
        1,
        -1,
        np.int64(2),
        slice(1, None),
        slice(None, None, -2),
        [2, 0, 2],
        np.array([], dtype=int),
        np.array([True, False, False, True]),
        ...,
    ],
)
def test_keys_select_clips(frames, key):
    expected = np.asarray(frames)[CLIPS]
    selected = RowView(frames, CLIPS)[key]
    assert selected.shape == expected[key].shape
    assert_array_equal(np.asarray(selected), expected[key])
    whole = RowView(frames, CLIPS)[::-1][key]
    assert_array_equal(np.asarray(whole), expected[::-1][key])


def test_take_gives_clips(frames):
    expected = np.asarray(frames)[CLIPS]
    for indices in ([], [3], [2, 2, -1, 0]):
        taken = RowView(frames, CLIPS).take(np.array(indices, dtype=int))
        assert_array_equal(taken, expected[np.array(indices, dtype=int)])
        assert taken.flags.writeable
        assert type(taken) is np.ndarray


def test_axes_of_a_clip_are_not_selected(frames):
    with pytest.raises(IndexError, match="selects rows only"):
        RowView(frames, CLIPS)[:, 0]


def test_pickle_is_a_file_name_and_row_numbers(tmp_path):
    array = np.arange(200_000, dtype=np.float32).reshape(-1, 2)
    np.save(tmp_path / "frames.npy", array)
    view = RowView(np.load(tmp_path / "frames.npy", mmap_mode="r"), CLIPS)[[2, 0]]
    pickled = pickle.dumps(view)
    assert len(pickled) < 1000
    assert_array_equal(np.asarray(pickle.loads(pickled)), array[CLIPS[[2, 0]]])


def test_frame_out_of_range_is_an_index_error(frames):
    for frame in (10, -11):
        with pytest.raises(IndexError):
            RowView(frames, np.array([[0, frame]])).take([0])


@pytest.mark.parametrize("width", [2, WIDE])
@pytest.mark.parametrize("rows", [[], [3], [0, 1, 2], [6, 5, 0, 0, 1], [-1, -7, 2, 3]])
def test_short_and_long_runs_give_the_same_rows(tmp_path, width, rows):
    array = np.arange(7 * width, dtype=np.float32).reshape(7, width)
    np.save(tmp_path / "rows.npy", np.concatenate([array[:1], array]))
    view = RowView(np.load(tmp_path / "rows.npy", mmap_mode="r")[1:])
    rows = np.array(rows, dtype=int)
    taken = view.take(rows)
    assert_array_equal(taken, array[rows])
    assert taken.flags.writeable


@pytest.mark.parametrize("width", [2, WIDE])
def test_file_that_was_cut_short_names_the_file(tmp_path, width):
    array = np.ones((7, width), dtype=np.float32)
    path = tmp_path / "rows.npy"
    np.save(path, array)
    view = RowView(np.load(path, mmap_mode="r"))
    os.truncate(path, path.stat().st_size - array[:2].nbytes + 1)
    assert_array_equal(view.take([4]), array[[4]])
    with pytest.raises(OSError, match=r"rows\.npy ended before .* cut short"):
        view.take([2, 5])


def test_only_long_runs_are_read_past_the_map(tmp_path, monkeypatch):
    class Counted(io.FileIO):
        def readinto(self, buffer):
            read.append(len(buffer))
            return super().readinto(buffer)

    array = np.ones((40, 1 << 12), dtype=np.float32)  # 16 KiB a row
    np.save(tmp_path / "rows.npy", array)
    view = RowView(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    read = []
    monkeypatch.setattr("builtins.open", lambda path, *_, **__: Counted(path))
    view.take([0, 1, 2, 20, 21])
    assert not read
    view.take([0, 1, 2, 3, 20, 21, 22, 23])
    assert read == [1 << 16, 1 << 16]
