"""Views of datasets in files: h5py, zarr, and what can do no more than an index."""

import copy
import operator
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    DistilledAnticipator,
    LastAxisSlice,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
)
from skanticipate.signals.asking import as_given

N = 30
RNG = np.random.default_rng(0)
ARRAY = RNG.normal(size=(N, 3, 4)).astype(np.float32)


class Integers:
    """Shape, dtype and rows by their numbers, from 0 on."""

    def __init__(self, array):
        self.array, self.asked = array, []

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    def __getitem__(self, key):
        self.asked.append(key)
        row = operator.index(key)
        if not 0 <= row < len(self.array):
            raise IndexError(row)
        return self.array[row].copy()


class Slices(Integers):
    """Rows by number, or runs of rows."""

    def __getitem__(self, key):
        if not isinstance(key, slice):
            return super().__getitem__(key)
        self.asked.append(key)
        assert 0 <= key.start < key.stop <= len(self.array)
        assert key.step is None
        return self.array[key].copy()


class Orthogonal(Slices):
    """Like zarr: lists of numbers through `oindex` only, each once and in order."""

    @property
    def oindex(self):
        return self._Index(self)

    class _Index:
        def __init__(self, dataset):
            self.dataset = dataset

        def __getitem__(self, rows):
            self.dataset.asked.append(rows)
            assert (np.diff(rows) > 0).all()
            assert 0 <= rows[0]
            return self.dataset.array[rows]


def hdf5_dataset(array, folder):
    h5py = pytest.importorskip("h5py")
    path = folder / "clips.h5"
    with h5py.File(path, "w") as file:
        chunks = (4, *array.shape[1:])
        file.create_dataset("a/clips", data=array, chunks=chunks, compression="gzip")
    return h5py.File(path, "r")["a/clips"]


def zarr_array(array, folder):
    zarr = pytest.importorskip("zarr", minversion="3")
    stored = zarr.create_array(
        folder / "clips.zarr",
        shape=array.shape,
        dtype=array.dtype,
        chunks=(4, *array.shape[1:]),
    )
    stored[:] = array
    return stored


KINDS = {
    "integers": lambda array, _: Integers(array),
    "slices": lambda array, _: Slices(array),
    "orthogonal": lambda array, _: Orthogonal(array),
    "h5py": hdf5_dataset,
    "zarr": zarr_array,
}


@pytest.fixture(params=KINDS)
def opened(request, tmp_path):
    """Put an array into a dataset of some kind."""
    return lambda array: KINDS[request.param](array, tmp_path)


@pytest.fixture
def dataset(opened):
    return opened(ARRAY)


KEYS = [
    [],
    [3],
    [0, 1, 2],
    [6, 5, 0, 0, 1, 29],
    [-1, -N, 4, -1],
    np.array([7, 2], dtype=np.uint8),
    RNG.permutation(N),
    np.arange(N) % 3 == 0,
    np.zeros(N, dtype=bool),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_rows_are_those_that_numpy_takes(dataset, key):
    expected = ARRAY[np.asarray(key, dtype=None if len(key) else int)]
    view = RowView(dataset)
    for taken in (
        view.take(key),
        np.asarray(view[key]),
        view[key].take(range(len(key))[: len(expected)]),
    ):
        assert_array_equal(taken, expected)
        assert taken.dtype == ARRAY.dtype
        assert type(taken) is np.ndarray
        taken[:] = 0  # nobody else's memory
    assert_array_equal(np.asarray(view), ARRAY)


def test_single_rows_slices_and_nested_views(dataset):
    view = RowView(dataset)
    assert (view.shape, view.ndim, len(view)) == ((N, 3, 4), 3, N)
    assert_array_equal(view[-2], ARRAY[-2])
    assert_array_equal(view.take(4), ARRAY[4])
    assert_array_equal(np.asarray(view[::-3]), ARRAY[::-3])
    assert_array_equal(np.asarray(view[::-3][[2, 0]]), ARRAY[::-3][[2, 0]])
    assert_array_equal(np.asarray(RowView(view[5:], rows=[3, 1])), ARRAY[[8, 6]])
    assert_array_equal(np.asarray(view, dtype=np.float64), ARRAY.astype(float))
    with pytest.raises(ValueError, match="without a copy"):
        view.__array__(copy=False)


def test_clips_of_frames(dataset):
    clips = np.array([[4, 5, 6], [0, 0, 7], [-1, 2, 1]])
    view = RowView(dataset, clips)
    assert view.shape == (3, 3, 3, 4)
    assert_array_equal(np.asarray(view), ARRAY[clips])
    assert_array_equal(view[1], ARRAY[clips[1]])
    assert_array_equal(view[[2, 0]].take([1]), ARRAY[clips[[0]]])


@pytest.mark.parametrize("dtype", ["float16", ">f4", "float64", "int16", "bool"])
def test_type_of_storage_is_kept(opened, dtype):
    array = (ARRAY > 0).astype(dtype) if dtype == "bool" else (9 * ARRAY).astype(dtype)
    taken = RowView(opened(array)).take([5, 2, 2])
    assert taken.dtype == np.dtype(dtype)
    assert_array_equal(taken, array[[5, 2, 2]])


@pytest.mark.parametrize("row", [N, -N - 1])
def test_row_out_of_range_is_an_index_error(dataset, row):
    for read in (
        lambda: RowView(dataset).take([0, row]),
        lambda: RowView(dataset)[row],
    ):
        with pytest.raises(IndexError, match=f"{row}|out of bounds"):
            read()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([Integers, Slices, Orthogonal]), st.lists(st.integers(-N, N - 1))
)
def test_any_order_with_repeats(kind, rows):
    rows = np.array(rows, dtype=int)
    assert_array_equal(RowView(kind(ARRAY)).take(rows), ARRAY[rows])


def test_each_row_is_read_once_in_the_order_of_the_file():
    base = Slices(ARRAY)
    RowView(base).take([9, 3, 8, 3, -1, 4])
    assert base.asked == [slice(3, 5), slice(8, 10), 29]
    base = Orthogonal(ARRAY)
    RowView(base).take([9, 3, 8, 3])
    assert [list(rows) for rows in base.asked] == [[3, 8, 9]]


# ------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("base", [[[1.0, 2.0]], "clips", {"clips": 1}, None])
def test_what_is_no_array_is_refused(base):
    with pytest.raises(TypeError, match="needs an array with shape, numpy's dtype"):
        RowView(base)


def test_rows_that_are_no_numbers_are_refused(dataset):
    with pytest.raises(IndexError, match="whole numbers or a mask"):
        RowView(dataset, rows=[0.0, 1.0])
    with pytest.raises(IndexError, match="whole numbers or a mask"):
        RowView(dataset).take(["a"])
    for mask in (np.ones(N + 1, dtype=bool), np.ones(3, dtype=bool)):
        with pytest.raises(IndexError, match=f"of {N} rows"):
            RowView(dataset, rows=mask)
        with pytest.raises(IndexError, match=f"of {N} rows"):
            RowView(dataset).take(mask)


@pytest.mark.parametrize("base", [ARRAY, Slices(ARRAY)], ids=["array", "dataset"])
def test_rows_may_be_given_as_a_mask(base):
    mask = np.arange(N) % 4 == 1
    assert_array_equal(np.asarray(RowView(base, rows=mask)), ARRAY[mask])


# ---------------------------------------------------------------------- pickling


def test_view_of_a_file_open_for_reading_pickles_as_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("h5py")
    view = RowView(hdf5_dataset(ARRAY, tmp_path.relative_to(tmp_path)))[[4, 0, 4]]
    pickled, copied = pickle.dumps(view), copy.deepcopy(view)
    monkeypatch.chdir(tmp_path.parent)
    assert len(pickled) < 600
    for again in (pickle.loads(pickled), copied):
        assert_array_equal(np.asarray(again), ARRAY[[4, 0, 4]])
        assert again.base.file.mode == "r"


def test_pickled_view_is_not_opened_on_a_dataset_of_another_shape(tmp_path):
    pytest.importorskip("h5py")
    dataset = hdf5_dataset(ARRAY, tmp_path)
    pickled = pickle.dumps(RowView(dataset)[[4, 0]])
    dataset.file.close()
    more = hdf5_dataset(np.concatenate([ARRAY + 1, ARRAY]), tmp_path)
    with pytest.raises(ValueError, match="written again, with another shape or type"):
        pickle.loads(pickled)
    more.file.close()
    hdf5_dataset(ARRAY + 1, tmp_path)
    with pytest.warns(UserWarning, match="was changed after rows of it were pickled"):
        again = pickle.loads(pickled)
    assert_array_equal(np.asarray(again), ARRAY[[4, 0]] + 1)


def test_pickled_view_is_not_opened_on_a_zarr_array_of_another_shape(tmp_path):
    pickled = pickle.dumps(RowView(zarr_array(ARRAY, tmp_path))[[4, 0]])
    shutil.rmtree(tmp_path / "clips.zarr")
    zarr_array(np.concatenate([ARRAY + 1, ARRAY]), tmp_path)
    with pytest.raises(ValueError, match="written again, with another shape or type"):
        pickle.loads(pickled)


@pytest.mark.parametrize("driver", ["core", None])
def test_view_of_what_another_process_cannot_open_does_not_pickle(tmp_path, driver):
    h5py = pytest.importorskip("h5py")
    options = {"driver": "core", "backing_store": False} if driver else {}
    with h5py.File(tmp_path / "new.h5", "w", **options) as file:
        view = RowView(file.create_dataset("clips", data=ARRAY))
        with pytest.raises(TypeError, match=r"clips.*mode 'r'.*n_jobs=1"):
            pickle.dumps(view)
        assert_array_equal(view.take([2, 1]), ARRAY[[2, 1]])


def test_view_of_a_zarr_array_pickles(tmp_path):
    view = RowView(zarr_array(ARRAY, tmp_path))[[4, 0]]
    assert_array_equal(np.asarray(pickle.loads(pickle.dumps(view))), ARRAY[[4, 0]])


# ---------------------------------------------------------------- in the estimators

CLIPS = RNG.normal(size=(N, 3, 4))
FUTURES = RNG.normal(size=(N, 5, 4))
Y = np.arange(N) % 3
STUDENT = SmoothedAnticipator(LSTM(4), max_epochs=2, batch_size=8, random_state=0)
TAUGHT = DistilledAnticipator(
    LSTM(4),
    teacher=RecognitionTeacher(LSTM(4), max_epochs=2),
    feature_weight=0.1,
    cross_fit=2,
    max_epochs=2,
    batch_size=8,
    random_state=0,
)


@pytest.mark.filterwarnings("ignore:.*rows of X_val also train")
def test_fit_and_predict_are_those_of_the_array(opened):
    clips = RowView(opened(CLIPS))
    data = {"X_val": CLIPS[::2], "y_val": Y[::2]}
    expected = clone(STUDENT).fit(CLIPS, Y, **data).predict_proba(CLIPS)
    fitted = clone(STUDENT).fit(clips, Y, X_val=clips[::2], y_val=Y[::2])
    assert_array_equal(fitted.predict_proba(clips), expected)
    assert_array_equal(fitted.predict_proba(clips[::-1]), expected[::-1])


@pytest.mark.parametrize("teacher", [TAUGHT.teacher, DummyClassifier()])
def test_teachers_see_the_futures_of_a_dataset(opened, teacher):
    taught = clone(TAUGHT).set_params(teacher=teacher)
    if isinstance(teacher, DummyClassifier):
        taught.set_params(feature_weight=0)
    y = np.where(np.arange(N) % 2, Y, -1)
    expected = clone(taught).fit(CLIPS, y, FUTURES).predict_proba(CLIPS)
    fitted = clone(taught).fit(CLIPS, y, RowView(opened(FUTURES)))
    assert_array_equal(fitted.predict_proba(CLIPS), expected)


def test_futures_of_a_dataset_are_not_read_whole_for_a_teacher():
    base = Slices(FUTURES)
    assert as_given(RowView(base)[1:]).shape == (N - 1, 5, 4)
    assert base.asked == []
    assert type(as_given(RowView(FUTURES)[1:])) is np.ndarray


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ["h5py", "zarr"])
def test_a_search_over_a_dataset(tmp_path, kind, n_jobs):
    clips = RowView(KINDS[kind](CLIPS, tmp_path))
    grid, cv = {"lr": [0.01, 0.1]}, KFold(2, shuffle=True, random_state=0)
    expected = GridSearchCV(STUDENT, grid, cv=cv).fit(CLIPS, Y)
    search = GridSearchCV(STUDENT, grid, cv=cv, n_jobs=n_jobs).fit(clips, Y)
    for name in ("split0_test_score", "split1_test_score"):
        assert_array_equal(search.cv_results_[name], expected.cv_results_[name])
    assert_array_equal(search.predict_proba(clips), expected.predict_proba(CLIPS))


def test_transformers_of_channels_and_frames(opened):
    dataset = opened(CLIPS)
    pipeline = make_pipeline(LastAxisSlice(1, 3), PerFrame(StandardScaler()), STUDENT)
    expected = clone(pipeline).fit(CLIPS, Y).predict_proba(CLIPS)
    fitted = clone(pipeline).fit(RowView(dataset), Y)
    assert_array_equal(fitted.predict_proba(RowView(dataset)), expected)


def test_channels_of_a_dataset_are_a_view(opened):
    rows = RowView(opened(CLIPS))[[9, 2, 9]]
    kept = LastAxisSlice(1, None).fit(rows).transform(rows)
    assert isinstance(kept, RowView)
    assert (kept.shape, kept.dtype) == ((3, 3, 3), CLIPS.dtype)
    assert_array_equal(np.asarray(kept), CLIPS[[9, 2, 9], :, 1:])
    again = LastAxisSlice(0, 2).fit(kept).transform(kept)
    assert_array_equal(again.take([1, 0]), CLIPS[[2, 9], :, 1:3])


def test_channels_are_cut_when_rows_are_read():
    base = Slices(CLIPS)
    kept = RowView(base)[4:].channels(1, 3)
    assert base.asked == []
    assert_array_equal(kept.take([0, 1]), CLIPS[4:6, :, 1:3])
    assert base.asked == [slice(4, 6)]


@pytest.mark.parametrize("kind", ["h5py", "zarr"])
def test_channels_of_a_dataset_pickle(tmp_path, kind):
    kept = RowView(KINDS[kind](CLIPS, tmp_path))[::2].channels(0, 2)
    again = pickle.loads(pickle.dumps(kept))
    assert_array_equal(np.asarray(again), CLIPS[::2, :, :2])


@pytest.mark.parametrize("kind", ["h5py", "zarr"])
def test_a_dataset_given_as_it_is_is_an_array(tmp_path, kind):
    dataset = KINDS[kind](CLIPS, tmp_path)
    expected = clone(STUDENT).fit(CLIPS, Y).predict_proba(CLIPS)
    assert_array_equal(clone(STUDENT).fit(dataset, Y).predict_proba(dataset), expected)


class Store:
    """Pickles as the name of its file, as an array of zarr does."""

    shape, dtype = ARRAY.shape, ARRAY.dtype

    def __init__(self, path):
        self.path = path

    def __getitem__(self, row):
        return np.load(self.path)[row]


def test_a_memory_of_steps_tells_what_a_store_holds(tmp_path):
    """What joblib has kept for a store is not what it keeps for another content."""
    path, y = tmp_path / "clips.npy", np.arange(N) % 2
    student = SmoothedAnticipator(LSTM(2), max_epochs=1, random_state=0)
    steps = PerFrame(StandardScaler()), student
    pipeline = make_pipeline(*steps, memory=str(tmp_path / "memory"))
    for shift in (0.0, 5.0, 0.0):
        np.save(path, ARRAY + np.float32(shift))
        found = pipeline.fit(RowView(Store(path)), y)[0].transformer_.mean_
        expected = (ARRAY + shift).mean(axis=(0, 1))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert isinstance(pickle.loads(pickle.dumps(RowView(Store(path)))).base, Store)
