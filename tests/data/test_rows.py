import os
import pickle
import re
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold
from sklearn.utils import _safe_indexing

from skanticipate import RowView

N = 7
ARRAY = np.arange(N * 6, dtype=np.float32).reshape(N, 3, 2)
FEW = settings(max_examples=60, deadline=None)


@pytest.fixture(params=["float16", "float32", ">f4", "int64", "uint8", "bool"])
def stored(request, tmp_path):
    """An array, and the same numbers behind a header of 37 bytes in a file."""
    array = (np.arange(N * 6).reshape(N, 3, 2) % 5).astype(request.param)
    path = tmp_path / "clips.bin"
    path.write_bytes(b"x" * 37 + array.tobytes())
    return array, path


def open_map(array, path, mode="r"):
    return np.memmap(path, dtype=array.dtype, mode=mode, offset=37, shape=array.shape)


def keys(n):
    index = st.integers(-n, n - 1) if n else st.nothing()
    whole = st.one_of(
        st.slices(n),
        st.lists(st.booleans(), min_size=n, max_size=n).map(
            lambda mask: np.array(mask, dtype=bool)
        ),
        st.just(Ellipsis),
    )
    if not n:
        return whole
    some = st.lists(index, max_size=10)
    return st.one_of(
        whole, index, index.map(np.int64), some.map(lambda k: np.array(k, dtype=int))
    )


@FEW
@given(st.data())
def test_nested_keys_select_what_numpy_selects(data):
    view, expected = RowView(ARRAY), ARRAY
    for _ in range(3):
        key = data.draw(keys(len(expected)))
        view, expected = view[key], expected[key]
        assert view.shape == expected.shape
        assert_array_equal(np.asarray(view), expected)
        if expected.ndim < ARRAY.ndim:
            return


@FEW
@given(st.data())
def test_take_of_a_nested_view_is_numpy_take(data):
    first = data.draw(keys(N))
    expected = ARRAY[first]
    assume(expected.ndim == 3 and len(expected))
    where = data.draw(st.lists(st.integers(-len(expected), len(expected) - 1)))
    taken = RowView(ARRAY)[first].take(np.array(where, dtype=int))
    assert_array_equal(taken, expected[np.array(where, dtype=int)])


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_map_with_an_offset_gives_the_stored_rows(stored, mode):
    array, path = stored
    view = RowView(open_map(array, path, mode))
    for rows in ([], [3], [0, 1, 2], [6, 5, 0, 0, 1], [-1, -7], range(N)):
        rows = np.array(rows, dtype=int)
        taken = view.take(rows)
        assert_array_equal(taken, array[rows])
        assert taken.dtype == array.dtype
        assert type(taken) is np.ndarray


@FEW
@given(st.lists(st.integers(-N, N - 1)), st.slices(N), st.slices(N))
def test_slices_of_slices_of_a_memory_map_find_their_rows(tmp_path_factory, rows, a, b):
    path = tmp_path_factory.getbasetemp() / "sliced.npy"
    if not path.exists():
        np.save(path, ARRAY)
    mapped = np.load(path, mmap_mode="r")[a][b]
    expected = ARRAY[a][b]
    rows = np.array([r for r in rows if -len(expected) <= r < len(expected)], dtype=int)
    assert_array_equal(RowView(mapped).take(rows), expected[rows])


def test_columns_and_transposes_of_a_memory_map_are_read_right(stored):
    array, path = stored
    mapped, rows = open_map(array, path), np.array([4, 0])
    assert_array_equal(RowView(mapped[:, 1:]).take(rows), array[rows, 1:])
    assert_array_equal(RowView(mapped[::-1]).take(rows), array[::-1][rows])
    assert_array_equal(
        RowView(mapped.reshape(N, 6)[2:]).take(rows), array.reshape(N, 6)[2:][rows]
    )
    assert_array_equal(
        RowView(mapped.transpose(1, 0, 2)).take([2]), array.transpose(1, 0, 2)[[2]]
    )


def test_fortran_ordered_file_is_read_right(tmp_path):
    np.save(tmp_path / "fortran.npy", np.asfortranarray(ARRAY))
    view = RowView(np.load(tmp_path / "fortran.npy", mmap_mode="r"))
    assert_array_equal(view.take([5, 1]), ARRAY[[5, 1]])


def test_change_of_a_writable_map_is_seen_before_it_is_flushed(tmp_path):
    path = tmp_path / "clips.bin"
    mapped = np.memmap(path, dtype=np.float32, mode="w+", shape=(4, 2))
    view = RowView(mapped)
    mapped[2] = 5
    assert_array_equal(view.take([2]), [[5, 5]])


def test_in_memory_change_of_a_copy_on_write_map_is_seen(stored):
    array, path = stored
    mapped = open_map(array, path, "c")
    mapped[0] = 1
    assert_array_equal(RowView(mapped).take([0]), np.ones_like(array[:1]))


def test_writing_into_taken_rows_leaves_the_base_alone(stored):
    array, path = stored
    for base in (array.copy(), open_map(array, path)):
        view = RowView(base)
        view.take([0, 1])[:] = 1
        view[0][:] = 1
        np.array(view[:2])[:] = 1
        assert_array_equal(base, array)


def test_row_out_of_range_is_an_index_error(stored):
    array, path = stored
    for base in (array, open_map(array, path)):
        for row in (N, -N - 1):
            with pytest.raises(IndexError):
                RowView(base).take([row])
            with pytest.raises(IndexError):
                RowView(base)[row]
        with pytest.raises(IndexError):
            RowView(base)[np.ones(N + 1, dtype=bool)]


def test_mask_never_gives_rows_that_it_does_not_choose(stored):
    array, path = stored
    mask = np.arange(N) == 5
    for base in (array, open_map(array, path)):
        try:
            taken = RowView(base).take(mask)
        except (IndexError, TypeError, ValueError):
            continue
        assert_array_equal(taken, array[mask])


def test_a_mask_that_numbers_the_rows_in_another_order_is_refused():
    pd = pytest.importorskip("pandas")
    base, mask = np.arange(8.0).reshape(4, 2), pd.Series([True, False, False, False])
    assert_array_equal(np.asarray(RowView(base)[mask]), base[:1])
    named = mask.set_axis(list("abcd"))  # other names say nothing
    assert_array_equal(np.asarray(RowView(base)[named]), base[:1])
    for choose in (RowView(base).__getitem__, lambda rows: RowView(base, rows)):
        with pytest.raises(ValueError, match="mask of a RowView have the names"):
            choose(mask.set_axis([3, 2, 1, 0]))


def test_other_axes_cannot_be_selected():
    with pytest.raises(IndexError, match="selects rows only; use np.asarray"):
        RowView(ARRAY)[:, 0]


def test_rows_with_ellipsis_select_rows():
    assert_array_equal(np.asarray(RowView(ARRAY)[[2, 0], ...]), ARRAY[[2, 0]])


def test_iteration_gives_the_rows():
    assert_array_equal(np.stack(list(RowView(ARRAY)[::2])), ARRAY[::2])


@pytest.mark.parametrize("rows", [None, np.array([3, 1])])
def test_asarray_converts_and_copies_as_numpy_asks(rows):
    view, expected = RowView(ARRAY, rows), ARRAY if rows is None else ARRAY[rows]
    assert np.asarray(view, dtype=np.float64).dtype == np.float64
    assert np.asarray(view, dtype=np.dtype("float16")).dtype == np.float16
    assert_array_equal(np.asarray(view), expected)
    assert not np.shares_memory(np.array(view, copy=True), ARRAY)


@pytest.mark.skipif(np.__version__ < "2", reason="numpy 1 has no asarray(copy=)")
def test_asarray_without_copy_is_refused_where_rows_were_chosen():
    assert np.shares_memory(np.asarray(RowView(ARRAY), copy=False), ARRAY)
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(RowView(ARRAY)[[1, 2]], copy=False)


def test_header_is_that_of_the_array():
    view = RowView(ARRAY)[[4, 4, 1]]
    assert (view.shape, view.ndim, view.dtype) == ((3, 3, 2), 3, ARRAY.dtype)
    assert repr(view) == "RowView(shape=(3, 3, 2), dtype=float32)"


# ---------------------------------------------------------------------- pickling


def test_pickled_view_of_a_map_is_a_file_name_and_row_numbers(tmp_path):
    path = tmp_path / "big.npy"
    np.save(path, np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000))
    view = RowView(np.load(path, mmap_mode="r")[100:])[[7, 3, 899]]
    pickled = pickle.dumps(view)
    assert len(pickled) < 1000
    assert_array_equal(np.asarray(pickle.loads(pickled)), np.asarray(view))


def test_pickled_view_keeps_offset_type_and_order(stored):
    array, path = stored
    view = RowView(open_map(array, path)[2:])[[4, 0, 0]]
    again = pickle.loads(pickle.dumps(view))
    assert again.dtype == array.dtype
    assert_array_equal(np.asarray(again), array[2:][[4, 0, 0]])


def test_pickled_view_of_an_array_or_a_writable_map_holds_the_values(stored):
    array, path = stored
    for base in (array, open_map(array, path, "r+")):
        pickled = pickle.dumps(RowView(base)[[1]])
        assert_array_equal(np.asarray(pickle.loads(pickled)), array[[1]])


@pytest.mark.parametrize(
    "others",
    [np.ones((11, 2, 2), np.float32), np.ones((10, 2, 2), np.float64)],
    ids=["more rows", "another type"],
)
def test_pickled_view_is_not_opened_on_an_array_of_another_layout(tmp_path, others):
    path = tmp_path / "clips.npy"
    np.save(path, np.zeros((10, 2, 2), np.float32))
    pickled = pickle.dumps(RowView(np.load(path, mmap_mode="r"))[[8, 9]])
    np.save(path, others)
    with pytest.raises(ValueError, match="written again, with another shape or type"):
        pickle.loads(pickled)


@pytest.mark.parametrize("first", [0, 4])
def test_pickled_view_tells_of_numbers_that_were_changed_since(tmp_path, first):
    path = tmp_path / "clips.npy"
    np.save(path, np.zeros((10, 2), np.float32))
    pickled = pickle.dumps(RowView(np.load(path, mmap_mode="r")[first:])[[5]])
    changed = np.zeros((10, 2), np.float32)
    changed[first + 5] = 3
    np.save(path, changed)
    with pytest.warns(UserWarning, match="was changed after rows of it were pickled"):
        again = pickle.loads(pickled)
    assert_array_equal(np.asarray(again), [[3, 3]])


def test_pickled_view_takes_a_copy_of_its_file_for_the_same(tmp_path):
    path = tmp_path / "clips.npy"
    np.save(path, ARRAY)
    pickled = pickle.dumps(RowView(np.load(path, mmap_mode="r"))[[1, 0]])
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, (1e9, 1e9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(np.asarray(pickle.loads(pickled)), ARRAY[[1, 0]])


# ------------------------------------------------------------------ broken files


def test_file_that_was_cut_short_is_an_os_error_with_words(stored):
    array, path = stored
    view = RowView(open_map(array, path))
    os.truncate(path, 37 + array[:5].nbytes + 1)
    assert_array_equal(view.take([4]), array[[4]])
    with pytest.raises(OSError, match=r"clips\.bin ended before .* cut short"):
        view.take([2, 5])


def test_rows_of_a_file_that_vanished_are_read_through_the_map(stored):
    array, path = stored
    view = RowView(open_map(array, path))
    path.unlink()
    for same in (view, pickle.loads(pickle.dumps(view))):
        assert_array_equal(same.take([0, 3, 1]), array[[0, 3, 1]])


# --------------------------------------------------------------- cross-validation


def test_scikit_learn_indexes_a_view_without_a_copy(stored):
    array, path = stored
    view = RowView(open_map(array, path))
    mask = np.arange(N) % 2 == 0
    for key in (np.array([3, 1]), [3, 1], mask, slice(1, 4)):
        chosen = _safe_indexing(view, key)
        assert isinstance(chosen, RowView)
        assert_array_equal(np.asarray(chosen), array[key])


def test_folds_of_a_large_map_keep_no_rows_in_memory(tmp_path):
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs the process table of Linux")

    def anonymous_mib():
        return int(re.search(r"RssAnon:\s+(\d+) kB", status.read_text())[1]) / 1024

    path = tmp_path / "big.npy"
    np.save(path, np.ones((400, 25_000), dtype=np.float32))  # 38 MiB
    view = RowView(np.load(path, mmap_mode="r"))
    before = anonymous_mib()
    folds = [
        (_safe_indexing(view, train), _safe_indexing(view, test))
        for train, test in KFold(4, shuffle=True, random_state=0).split(view)
    ]
    total = 0.0
    for fold in folds:
        for part in fold:
            for start in range(0, len(part), 20):
                total += part.take(np.arange(start, min(start + 20, len(part)))).sum()
    assert total == 4 * 400 * 25_000
    assert anonymous_mib() - before < 10


def test_a_map_whose_file_was_replaced_keeps_its_rows(tmp_path):
    path, other = tmp_path / "clips.npy", tmp_path / "other.npy"
    np.save(path, np.zeros((40, 4096), np.float32))
    view = RowView(np.load(path, mmap_mode="r"))
    np.save(other, np.ones((40, 4096), np.float32))
    assert_array_equal(view.take(np.arange(40)), 0)  # read from the file
    os.replace(other, path)
    for old in (view, view[5:], RowView(view), pickle.loads(pickle.dumps(view))):
        assert_array_equal(old.take(np.arange(30)), 0)  # through the map
    new = RowView(np.load(path, mmap_mode="r"))
    assert_array_equal(new.take(np.arange(40)), 1)
    path.unlink()
    assert_array_equal(new.take(np.arange(40)), 1)


def test_a_map_whose_file_was_replaced_before_the_view_keeps_its_rows(tmp_path):
    path, other = tmp_path / "clips.npy", tmp_path / "other.npy"
    np.save(path, np.zeros((40, 4096), np.float32))
    mapped = np.load(path, mmap_mode="r")
    np.save(other, np.ones((40, 4096), np.float32))
    os.replace(other, path)
    assert_array_equal(RowView(mapped).take(np.arange(40)), 0)
    fresh = RowView(np.load(path, mmap_mode="r"))
    assert_array_equal(fresh.take(np.arange(40)), 1)


def test_channels_of_a_view_are_those_of_its_map(tmp_path):
    path, other = tmp_path / "clips.npy", tmp_path / "other.npy"
    np.save(path, np.zeros((40, 4096), np.float32))
    view = RowView(np.load(path, mmap_mode="r"))
    rows = np.zeros((40, 4096), np.float32)
    rows[1:-1] = 1  # as at both ends, where files are compared
    np.save(other, rows)
    os.replace(other, path)
    assert_array_equal(view.channels(0, None).take(np.arange(40)), 0)
    assert_array_equal(view[3:].channels(0, None).take(np.arange(37)), 0)


def test_rows_behind_a_mask_are_refused():
    with pytest.raises(ValueError, match="rows is a masked array that hides 1 of 3"):
        RowView(np.eye(4), rows=np.ma.array([0, 1, 2], mask=[0, 1, 0]))


def test_a_file_that_was_written_again_hashes_otherwise(tmp_path):
    path = tmp_path / "clips.npy"
    np.save(path, np.zeros((4, 3)))
    before = joblib.hash(RowView(np.load(path, mmap_mode="r")))
    assert joblib.hash(RowView(np.load(path, mmap_mode="r"))) == before
    os.remove(path)
    np.save(path, np.ones((4, 3)))
    assert joblib.hash(RowView(np.load(path, mmap_mode="r"))) != before


def shown(view, rows):
    return np.asarray(view)[rows]


@pytest.mark.parametrize("view", ["written", "turned"])
def test_workers_see_what_a_view_of_a_map_shows(tmp_path, view):
    """joblib sends the file of a map, and strides that do not go back."""
    clips = np.arange(40 * 20 * 400, dtype=np.float32).reshape(40, 20, 400)
    np.save(tmp_path / "clips.npy", clips)
    if view == "written":
        array = np.load(tmp_path / "clips.npy", mmap_mode="c")
        array -= 1000
    else:
        array = np.load(tmp_path / "clips.npy", mmap_mode="r")[10:30, ::-1]
    expected, rows = np.array(array), [3, 14]
    with joblib.parallel_config("loky", n_jobs=2):
        found = joblib.Parallel()(
            joblib.delayed(shown)(RowView(array)[5:][:], rows) for _ in range(2)
        )
    for one in found:
        assert_array_equal(one, expected[5:][rows])


def test_rows_that_look_like_a_mask_are_refused():
    clips = np.arange(12.0).reshape(6, 2)
    with pytest.raises(ValueError, match="rows holds 6 numbers 0 and 1"):
        RowView(clips, rows=np.array([0, 1, 1, 0, 0, 1]))
    assert RowView(clips, rows=np.array([0, 1, 1, 0])).shape == (4, 2)
