"""Features that lie the other way, in folders of arrays, or in memory."""

import pickle
import warnings

import numpy as np
import pytest
from feature_files import numbered
from numpy.testing import assert_array_equal

from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    open_features,
    read_hdf5,
    read_npy,
)

VIDEOS = {"P02_1": numbered(30, 2), "P01_10": numbered(7, 1), "P01_1": numbered(11, 0)}


def write_npy(path, videos=VIDEOS, turned=False):
    path.mkdir()
    for name, frames in videos.items():
        np.save(path / f"{name}.npy", frames.T if turned else frames)
    return path


def write_hdf5(path, videos=VIDEOS, turned=False):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, frames in videos.items():
            file[name] = frames.T if turned else frames
    return path


def assert_is(table, first_frame=1):
    assert sorted(table) == sorted(VIDEOS)
    for name, frames in VIDEOS.items():
        assert_array_equal(table[name], frames)
        numbers = table.frames[table.rows([name], [[first_frame, first_frame + 6]])[0]]
        assert numbers.tolist() == [first_frame, first_frame + 6]
    assert np.isnan(table.array[-1]).all()


@pytest.mark.parametrize("time_axis", [0, 1])
def test_all_ways_give_one_table(tmp_path, time_axis):
    turned = time_axis == 1
    folder = write_npy(tmp_path / "npy", turned=turned)
    assert_is(read_npy(folder, out=tmp_path / "a", time_axis=time_axis))
    assert_is(open_features(tmp_path / "a"))
    file = write_hdf5(tmp_path / "rgb.h5", turned=turned)
    assert_is(read_hdf5(file, out=tmp_path / "b", time_axis=time_axis))
    arrays = {name: frames.T if turned else frames for name, frames in VIDEOS.items()}
    table = FeatureTable.from_arrays(arrays, time_axis=time_axis, first_frame=0)
    assert_is(table, first_frame=0)
    assert_is(pickle.loads(pickle.dumps(table)), first_frame=0)


@pytest.mark.parametrize("time_axis", [0, 1])
def test_long_videos_are_read_in_blocks(tmp_path, monkeypatch, time_axis):
    from skanticipate.datasets import _hdf5, _npy
    from skanticipate.datasets._folder import room_for

    monkeypatch.setattr(_npy, "_BLOCK_BYTES", 60)
    monkeypatch.setattr(_hdf5, "_BLOCK_BYTES", 60)
    turned = time_axis == 1
    folder = write_npy(tmp_path / "npy", turned=turned)
    assert_is(read_npy(folder, out=tmp_path / "a", time_axis=time_axis))
    file = write_hdf5(tmp_path / "rgb.h5", turned=turned)
    (tmp_path / "b").mkdir()
    given = str(file), str(tmp_path / "b"), room_for(tmp_path / "c")
    _hdf5.convert(*given, first_frame=1, time_axis=time_axis)
    assert_is(open_features(tmp_path / "b"))


def test_clips_of_arrays_in_memory():
    table = FeatureTable.from_arrays({"a": np.arange(1, 91)[:, None]})
    assert table.array.dtype == np.float32
    segments = {"video": ["a"], "start_frame": [60], "stop_frame": [80]}
    data = cut_clips(table, segments, observation=0.5, anticipation=1.0, step=0.5)
    assert np.asarray(data.X_past)[0, :, 0].tolist() == [15, 30, 45]
    with pytest.raises(ValueError, match="features has no video 'b', which row 0 asks"):
        cut_clips(table, {**segments, "video": ["b"]})
    with pytest.raises(ValueError, match="features has no a, frame 94, which row 0"):
        cut_clips(table, {**segments, "start_frame": [124], "stop_frame": [130]})


def test_a_wrong_axis_is_guessed(tmp_path):
    folder = write_npy(tmp_path / "npy", turned=True)
    file = write_hdf5(tmp_path / "rgb.h5", turned=True)
    arrays = {name: frames.T for name, frames in VIDEOS.items()}
    for read in (
        lambda: read_npy(folder, out=tmp_path / "out"),
        lambda: read_hdf5(file, out=tmp_path / "out"),
        lambda: FeatureTable.from_arrays(arrays),
    ):
        with pytest.raises(ValueError, match="has 7 features.*Say time_axis=1"):
            read()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.ones(3), r"float64 of shape \(3,\): expected real numbers"),
        (np.ones((0, 3)), r"shape \(0, 3\)"),
        (np.array([["a"]]), "<U1 of shape"),
        (np.ones((2, 4)), "has 4 features.*expected 3"),
        (np.array([[1, 2, np.inf]]), "no features"),
        (np.array([[1, np.nan, 2]]), "no features"),
    ],
)
def test_what_is_no_feature(tmp_path, array, match):
    videos = {**VIDEOS, "P09_1": array}
    with pytest.raises(ValueError, match=match):
        FeatureTable.from_arrays(videos)
    folder = write_npy(tmp_path / "npy", videos)
    with pytest.raises(ValueError, match=match):
        read_npy(folder, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["npy"]


def test_pickles_are_refused(tmp_path):
    folder = write_npy(tmp_path / "npy")
    objects = np.array([[1, None, "a"]], dtype=object)
    np.save(folder / "P03.npy", objects, allow_pickle=True)
    with pytest.raises(ValueError, match=r"P03\.npy holds Python objects.*np\.save"):
        read_npy(folder, out=tmp_path / "out")
    (folder / "P03.npy").write_bytes(pickle.dumps({"P03": np.ones(3)}))
    with pytest.raises(ValueError, match=r"P03\.npy is a Python pickle.*np\.save"):
        read_npy(folder, out=tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    (other / "P03.pkl").write_bytes(pickle.dumps({"P03": np.ones(3)}))
    with pytest.raises(
        ValueError, match=r"has P03\.pkl in place of P03\.npy.*np\.save"
    ):
        read_npy(other, out=tmp_path / "out")


def test_broken_files_are_named(tmp_path):
    folder = write_npy(tmp_path / "npy")
    content = (folder / "P02_1.npy").read_bytes()
    for broken, match in (
        (content[:-9], r"P02_1\.npy is damaged"),
        (b"", r"P02_1\.npy is no array"),
        (b"1.0 2.0", r"P02_1\.npy is no array"),
    ):
        (folder / "P02_1.npy").write_bytes(broken)
        with pytest.raises(ValueError, match=match):
            read_npy(folder, out=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_npy(tmp_path / "none", out=tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"has no file <video>\.npy"):
        read_npy(tmp_path / "empty", out=tmp_path / "out")
    with pytest.raises(FileExistsError):
        read_npy(folder, out=folder)
    with pytest.raises(ValueError, match="features is empty"):
        FeatureTable.from_arrays({})


# ------------------------------------------------ arrays that say how they are read


def test_tables_in_memory_are_read_by_their_names():
    pd = pytest.importorskip("pandas")
    a = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]})
    for index in (None, [1, 2, 3], ["f1", "f2", "f3"], [0.0, 0.5, 1.0]):
        table = FeatureTable.from_arrays(
            {"a": a if index is None else a.set_axis(index)}
        )
        assert_array_equal(table["a"], a.to_numpy())
    assert FeatureTable.from_arrays({"a": a.T}, time_axis=1).array.shape == (4, 2)
    later = FeatureTable.from_arrays({"a": a.set_axis([5, 6, 7])}, first_frame=5)
    assert later.frames.tolist() == [5, 6, 7]
    columns = [
        {"a": a, "b": a[["y", "x"]]},
        {"a": a, "b": a.rename(columns={"y": "z"})},
    ]
    for features in columns:
        with pytest.raises(ValueError, match=r"columns of features\['b'\]"):
            FeatureTable.from_arrays(features)
    turned = {video: table.T for video, table in columns[0].items()}
    with pytest.raises(ValueError, match=r"columns of features\['b'\]"):
        FeatureTable.from_arrays(turned, time_axis=1)
    for index, match in (
        ([3, 2, 1], "does not rise"),
        ([1, 2, 4], "goes from 2 to 4, but frames are read one by one"),
        ([1, 5, 9], "goes from 1 to 5, but frames are read one by one"),
        ([5, 6, 7], "begins with 5, but its first row is read as frame 1"),
        ([10.0, 10.25, 10.5], "begins with 10 s .* frame 1: pass first_frame=41"),
        (pd.to_timedelta([10, 10.25, 10.5], unit="s"), "pass first_frame=41"),
    ):
        with pytest.raises(ValueError, match=match):
            FeatureTable.from_arrays({"a": a.set_axis(index)})
    late = {"a": a.set_axis([10, 10.25, 10.5])}
    seconds = FeatureTable.from_arrays(late, first_frame=41)
    assert seconds.frames.tolist() == [41, 42, 43]


def test_what_is_hidden_or_packed_is_no_feature(tmp_path):
    hidden = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [False, False]])
    with pytest.raises(ValueError, match="masked array that hides 1 of 4"):
        FeatureTable.from_arrays({"a": hidden})
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file["a"] = np.ones((3, 2), dtype=np.int16)
        file["a"].attrs["scale_factor"] = 0.5
        with pytest.raises(ValueError, match=r"features\['a'\] has numbers packed"):
            FeatureTable.from_arrays(file)


def test_a_number_and_its_text_are_one_name():
    features = {1: np.ones((2, 1)), 10: np.ones((2, 1)), 2: np.full((2, 1), 2.0)}
    table = FeatureTable.from_arrays(features)
    assert table[2].tolist() == table["2"].tolist() == [[2.0], [2.0]]
    with pytest.raises(ValueError, match="two videos of the name '1'"):
        FeatureTable.from_arrays({**features, "1": np.zeros((2, 1))})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("first_frame", value) for value in (None, "1", 1.5, 2**62)),
        *(("time_axis", value) for value in (2, -1, None, "rows")),
        *(("features", value) for value in (None, 5, "a")),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(name, value):
    given = {"features": {"a": np.ones((4, 30))}} | {name: value}
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        FeatureTable.from_arrays(**given)


def test_endings_may_be_in_capitals_but_of_one_video_there_is_one_file(tmp_path):
    for name, number in (("a.npy", 1.0), ("b.npy", 2.0)):
        np.save(tmp_path / name, np.full((2, 3), number))
    (tmp_path / "b.npy").rename(tmp_path / "b.NPY")
    table = read_npy(tmp_path, out=tmp_path / "features")
    assert {video: table[video][0, 0] for video in table} == {"a": 1.0, "b": 2.0}
    np.save(tmp_path / "b.npy", np.ones((2, 3)))
    with pytest.raises(ValueError, match="is of the video 'b', as"):
        read_npy(tmp_path, out=tmp_path / "others")


# ------------------------------------------- arrays that are as long as they are wide


def recording(n_frames, d):
    """Features that drift from frame to frame.   -> (n_frames, d)."""
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.normal(size=(n_frames, d)), axis=0) / 5
    return np.float32(rng.normal(size=d) + drift)


def read_from_arrays(arrays, folder, time_axis):
    return FeatureTable.from_arrays(arrays, time_axis=time_axis)


def read_from_npy(arrays, folder, time_axis):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return read_npy(folder, out=folder / f"as {time_axis}", time_axis=time_axis)


def read_from_hdf5(arrays, folder, time_axis):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / f"{time_axis}.h5", "w") as file:
        file.update(arrays)
    path = folder / f"{time_axis}.h5"
    return read_hdf5(path, out=folder / f"as {time_axis}", time_axis=time_axis)


@pytest.mark.parametrize("shape", [(100, 400), (300, 64), (40, 40)])
@pytest.mark.parametrize("read", [read_from_arrays, read_from_npy, read_from_hdf5])
def test_frames_are_told_from_features_by_their_neighbours(read, shape, tmp_path):
    """All videos have as many frames, so that the shapes tell nothing."""
    arrays = {name: recording(*shape) for name in "ab"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(read(arrays, tmp_path, 0)["b"], arrays["b"])
    told = f"read as {shape[1]} frames of {shape[0]} features, .* other time_axis"
    with pytest.warns(UserWarning, match=told):
        read(arrays, tmp_path, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).normal(size=(50, 20)),
        np.arange(1200.0).reshape(30, 40),
        np.ones((30, 40)),
        np.full((30, 40), np.nan),
        np.cumsum(recording(60, 30), axis=1),  # alike in both
        recording(12, 400).T,  # too few of them
    ],
    ids=["noise", "counts", "constant", "padding", "smooth", "few"],
)
def test_where_neighbours_tell_nothing_nothing_is_said(array):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(FeatureTable.from_arrays({"a": array})["a"], array)


def frames(names):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), index=names)
    return FeatureTable.from_arrays({"P01": table})


def test_numbers_of_frames_within_texts_are_those_of_the_rows():
    for first in (0, 1):
        frames([f"frame_{k:010d}.jpg" for k in range(first, first + 30)])
    for names, message in (
        ([f"frame_{2 * k + 1}" for k in range(30)], "goes from 1 to 3"),
        ([f"frame_{k + 100}" for k in range(30)], "begins with 100, .* frame 1"),
    ):
        with pytest.raises(ValueError, match=message):
            frames(names)
