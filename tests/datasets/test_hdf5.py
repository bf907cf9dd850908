import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

import h5py
from feature_files import numbered

from skanticipate.datasets import FeatureTable, read_hdf5

VIDEOS = {"P02_1": numbered(30, 2), "P01_10": numbered(7, 1), "P01_1": numbered(11, 0)}


@pytest.fixture
def write_hdf5(tmp_path):
    def write(**datasets):
        with h5py.File(tmp_path / "rgb.h5", "w") as file:
            for name, data in datasets.items():
                file[name] = data
        return tmp_path / "rgb.h5"

    return write


def assert_nothing_is_left(folder):
    assert not [p.name for p in folder.iterdir() if p.name.startswith("out")]


@pytest.mark.parametrize("repeats", [1, 30_000])  # 11 frames in 4 MiB
def test_hdf5_has_a_data_set_for_each_video(write_hdf5, tmp_path, repeats):
    videos = {name: np.tile(video, repeats) for name, video in VIDEOS.items()}
    features = read_hdf5(write_hdf5(**videos), out=tmp_path / "out")
    assert list(features) == sorted(videos)
    for video, expected in videos.items():
        assert_array_equal(features[video], expected)
    assert features.rows(["P01_10"], [[1, 7]]).tolist() == [[11, 17]]


def test_hdf5_frames_may_be_counted_from_zero(write_hdf5, tmp_path):
    path = write_hdf5(a=numbered(4))
    features = read_hdf5(path, out=tmp_path / "out", first_frame=0)
    assert features.frames.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["f2", "f2"], "f2"),
        (["f2", "f8"], "f8"),
        ([">f4", ">f4"], "f4"),
        (["u1", "f2"], "f4"),
        (["?", "i8"], "f4"),
    ],
)
def test_hdf5_keeps_floats(write_hdf5, tmp_path, dtypes, expected):
    one, two = (np.ones((2, 3), dtype=dtype) for dtype in dtypes)
    array = read_hdf5(write_hdf5(a=one, b=two), out=tmp_path / "out").array
    assert array.dtype == np.dtype(expected)
    assert_array_equal(array[:-1], np.ones((4, 3)))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.ones((4, 2)), "has 2 features under 'b': expected 3, as under 'a'"),
        (np.ones(3), r"has shape \(3,\) under 'b': expected a data set of shape"),
        (np.ones((0, 3)), r"has shape \(0, 3\) under 'b'"),
        (np.full((2, 3), b"x"), r"has \|S1 under 'b': expected numbers"),
    ],
)
def test_hdf5_data_set_that_does_not_fit(write_hdf5, tmp_path, broken, message):
    with pytest.raises(ValueError, match=rf"rgb\.h5 {message}"):
        read_hdf5(write_hdf5(a=numbered(4), b=broken), out=tmp_path / "out")
    assert_nothing_is_left(tmp_path)


def test_hdf5_group_in_place_of_a_data_set(write_hdf5, tmp_path):
    path = write_hdf5(**{"a/b": numbered(4)})
    with pytest.raises(ValueError, match="has a group under 'a'"):
        read_hdf5(path, out=tmp_path / "out")


def test_hdf5_that_is_empty_missing_or_truncated(write_hdf5, tmp_path):
    with pytest.raises(ValueError, match=r"rgb\.h5 is empty"):
        read_hdf5(write_hdf5(), out=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.h5"):
        read_hdf5(tmp_path / "nothing.h5", out=tmp_path / "out")
    path = write_hdf5(a=np.ones((1000, 3)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"rgb\.h5 cannot be read as HDF5.*again"):
        read_hdf5(path, out=tmp_path / "out")


def test_hdf5_first_frame_is_a_number(write_hdf5, tmp_path):
    with pytest.raises(ValueError, match="'first_frame'"):
        read_hdf5(write_hdf5(a=numbered(4)), out=tmp_path / "out", first_frame=-1)


def test_files_of_matlab_are_read_after_what_the_error_says(tmp_path):
    """Version 7.3 is HDF5 behind 512 bytes, with the axes of a matrix reversed."""
    path, array = tmp_path / "a.mat", numbered(5)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["a"] = array.T
        file["a"].attrs["MATLAB_class"] = np.bytes_("double")
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124)
    with open(path, "r+b") as file:
        file.write(head + b"\0\2IM")
    for axis in (0, 1):
        with pytest.raises(
            ValueError, match=r"7.3 \(HDF5 in which rows .*\[:\]\.T\): exp"
        ):
            read_hdf5(path, out=tmp_path / "out", time_axis=axis)
    assert_nothing_is_left(tmp_path)
    with h5py.File(path) as old, h5py.File(tmp_path / "features.h5", "w") as new:
        new["a"] = old["a"][:].T
    features = read_hdf5(tmp_path / "features.h5", out=tmp_path / "out")
    assert_array_equal(features["a"], array)


def test_older_files_of_matlab_have_their_remedy_too(tmp_path):
    io = pytest.importorskip("scipy.io")
    io.savemat(tmp_path / "a.mat", {"a": numbered(5)})
    with pytest.raises(ValueError, match="a MATLAB file .scipy.io.loadmat .*FeatureT"):
        read_hdf5(tmp_path / "a.mat", out=tmp_path / "out")
    arrays = io.loadmat(tmp_path / "a.mat")
    features = FeatureTable.from_arrays({"a": arrays["a"]})
    assert_array_equal(features["a"], numbered(5))


@pytest.mark.parametrize("time_axis", [0, 1])
def test_hdf5_may_say_which_axis_is_time(tmp_path, time_axis):
    path, names = tmp_path / "named.h5", ["time", "feature"][:: 1 - 2 * time_axis]
    frames = np.arange(25.0).reshape(5, 5)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("a", data=frames.T if time_axis else frames)
        for axis, name in zip(data.dims, names, strict=True):
            axis.label = name
    right = read_hdf5(path, out=tmp_path / "right", time_axis=time_axis)
    assert_array_equal(right["a"], frames)
    told = rf"called \({', '.join(names)}\), .* pass time_axis={time_axis}"
    with pytest.raises(ValueError, match=told):
        read_hdf5(path, out=tmp_path / "other", time_axis=1 - time_axis)
