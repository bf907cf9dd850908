import os
import re
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

import lmdb
from feature_files import numbered, write_lmdb

from skanticipate.datasets import load_epic, read_hdf5, read_lmdb

VIDEOS = {"P02_1": numbered(30, 2), "P01_10": numbered(7, 1), "P01_1": numbered(11, 0)}


@pytest.fixture
def epic(tmp_path):
    return write_lmdb(tmp_path / "rgb", VIDEOS)


def test_lmdb_becomes_a_mapping_of_videos(epic, tmp_path):
    features = read_lmdb(epic, out=tmp_path / "out")
    assert list(features) == sorted(VIDEOS)
    for video, expected in VIDEOS.items():
        assert_array_equal(features[video], expected)
    assert features.array.dtype == np.float32
    assert isinstance(features.array, np.memmap)
    assert features.array.shape == (30 + 7 + 11 + 1, 3)
    assert np.isnan(features.array[-1]).all()
    assert not np.isnan(features.array[:-1]).any()
    assert repr(features) == "FeatureTable(3 videos, 48 frames, 3 x float32)"
    with pytest.raises(KeyError, match="P01_2"):
        features["P01_2"]


def test_the_array_is_an_ordinary_npy_file(epic, tmp_path):
    read_lmdb(epic, out=tmp_path / "out")
    array = np.load(tmp_path / "out" / "features.npy")
    expected = np.concatenate([VIDEOS[name] for name in sorted(VIDEOS)])
    assert_array_equal(array[:-1], expected)


def test_lmdb_that_is_a_single_file(tmp_path):
    path = write_lmdb(tmp_path / "rgb.lmdb", {"a": numbered(3)}, subdir=False)
    assert_array_equal(read_lmdb(path, out=tmp_path / "out")["a"], numbered(3))


def test_frames_may_have_gaps(tmp_path):
    frames = {frame: [frame] for frame in (2, 9, 4)}
    path = write_lmdb(tmp_path / "rgb", {"a": frames, "b": {1: [0.5]}})
    features = read_lmdb(path, out=tmp_path / "out")
    assert features.frames.tolist() == [2, 4, 9, 1]
    assert features.first.tolist() == [0, 3, 4]
    assert features.rows(["b", "a"], [[1, 1], [9, 2]]).tolist() == [[3, 3], [2, 0]]


def test_pattern_without_leading_zeros_is_sorted_by_number(tmp_path):
    # As bytes, "a/10" comes before "a/2".
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(12)}, key="{}/{}")
    features = read_lmdb(path, out=tmp_path / "out", pattern="{video}/{frame}")
    assert_array_equal(features["a"], numbered(12))


def test_several_modalities_are_joined_in_their_order(epic, tmp_path):
    flow = {name: -x[:, :2] for name, x in VIDEOS.items()}
    write_lmdb(tmp_path / "flow", flow)
    features = read_lmdb([epic, tmp_path / "flow"], out=tmp_path / "out")
    for name, x in VIDEOS.items():
        assert_array_equal(features[name], np.hstack([x, -x[:, :2]]))


def test_environment_is_closed_after_success_and_after_failure(epic, tmp_path):
    read_lmdb(epic, out=tmp_path / "out")
    lmdb.open(str(epic), readonly=True, lock=False).close()
    with pytest.raises(ValueError, match="pattern"):
        read_lmdb(epic, out=tmp_path / "other", pattern="{video}-{frame}")
    lmdb.open(str(epic), readonly=True, lock=False).close()


def test_environment_that_is_open_in_this_process(epic, tmp_path):
    with lmdb.open(str(epic), readonly=True, lock=False):
        features = read_lmdb(epic, out=tmp_path / "out")
    assert_array_equal(features["P01_1"], VIDEOS["P01_1"])


# ------------------------------------------------------------------------- broken files


def assert_nothing_is_left(folder):
    assert not [p.name for p in folder.iterdir() if p.name.startswith("out")]


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_missing_lmdb(tmp_path, name):
    expected = tmp_path / name if name else tmp_path / "data.mdb"
    with pytest.raises(FileNotFoundError, match=re.escape(f"no file {expected}")):
        read_lmdb(tmp_path / name, out=tmp_path / "out")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.999])
def test_truncated_lmdb(tmp_path, share):
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(2000)})
    size = (path / "data.mdb").stat().st_size
    os.truncate(path / "data.mdb", int(size * share))
    with pytest.raises(ValueError, match=r"rgb.*cut short|cannot read.*rgb") as caught:
        read_lmdb(path, out=tmp_path / "out")
    assert "again" in str(caught.value)
    assert_nothing_is_left(tmp_path)


def test_file_that_is_no_lmdb(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"video" * 5000)
    with pytest.raises(ValueError, match="LMDB cannot read"):
        read_lmdb(tmp_path, out=tmp_path / "out")


def test_empty_lmdb(tmp_path):
    path = write_lmdb(tmp_path / "rgb", {})
    with pytest.raises(ValueError, match="rgb has no entries"):
        read_lmdb(path, out=tmp_path / "out")


@pytest.mark.parametrize("value", [[1.0, 2.0], [1.0] * 4, []])
def test_features_of_another_length_name_the_key(tmp_path, value):
    frames = {1: [1.0] * 3, 2: [1.0] * 3, 3: value}
    path = write_lmdb(tmp_path / "rgb", {"a": frames})
    message = rf"rgb has {4 * len(value)} bytes at the key a_frame_0000000003.jpg: .*12"
    with pytest.raises(ValueError, match=message):
        read_lmdb(path, out=tmp_path / "out")
    assert_nothing_is_left(tmp_path)


def test_features_that_are_no_float32(tmp_path):
    with lmdb.open(str(tmp_path / "rgb")) as env, env.begin(write=True) as transaction:
        transaction.put(b"a_frame_0000000001.jpg", b"12345")
    with pytest.raises(ValueError, match=r"5 bytes at the key a_frame_0000000001\.jpg"):
        read_lmdb(tmp_path / "rgb", out=tmp_path / "out")


@pytest.mark.parametrize("key", ["meta", "a_frame_12.jpg", "a_frame_000000000x.jpg"])
def test_key_that_does_not_follow_the_pattern(tmp_path, key):
    path = write_lmdb(tmp_path / "rgb", {"": {0: [1.0]}}, key="{0:.0}" + key)
    with pytest.raises(ValueError, match=f"key '{key}', which does not follow"):
        read_lmdb(path, out=tmp_path / "out")


@pytest.mark.parametrize("pattern", ["{video}.jpg", "{video}_{}", "{video}{frame}{x}"])
def test_pattern_needs_video_and_frame(epic, tmp_path, pattern):
    with pytest.raises(ValueError, match="expected one {video} and one {frame}"):
        read_lmdb(epic, out=tmp_path / "out", pattern=pattern)


@pytest.mark.parametrize("pattern", ["{video}{frame}", "{video}0{frame:d}"])
def test_pattern_sets_the_number_off_the_video(tmp_path, pattern):
    # "P1" and 12 would have the key of "P11" and 2.
    path = write_lmdb(tmp_path / "rgb", {"P1": numbered(12)}, key="{}{}")
    with pytest.raises(ValueError, match="nothing but digits stands between video"):
        read_lmdb(path, out=tmp_path / "out", pattern=pattern)


@pytest.mark.parametrize("pattern", ["{video}{frame:06d}", "{frame:03}{video}"])
def test_number_of_so_many_digits_may_touch_the_video(tmp_path, pattern):
    videos = {"1": numbered(12), "11": numbered(21, video=1)}
    key = pattern.replace("video", "0").replace("frame", "1")
    path = write_lmdb(tmp_path / "rgb", videos, key=key)
    features = read_lmdb(path, out=tmp_path / "out", pattern=pattern)
    for name, expected in videos.items():
        assert_array_equal(features[name], expected)


def test_frame_that_only_one_modality_has(epic, tmp_path):
    fewer = {name: x[:7] for name, x in VIDEOS.items()}
    write_lmdb(tmp_path / "obj", fewer)
    message = r"obj has no key P01_1_frame_0000000008.jpg, which .*rgb has"
    with pytest.raises(ValueError, match=message):
        read_lmdb([epic, tmp_path / "obj"], out=tmp_path / "out")


def test_nothing_is_overwritten(epic, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="out exists: open it with open_features"):
        read_lmdb(epic, out=tmp_path / "out")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no space left")])
def test_interrupted_conversion_leaves_nothing(epic, tmp_path, monkeypatch, error):
    def interrupt(*args):
        raise error

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises((KeyboardInterrupt, OSError)):
        read_lmdb(epic, out=tmp_path / "out")
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("package", "read", "extra"),
    [("lmdb", read_lmdb, "epic"), ("h5py", read_hdf5, "io")],
)
def test_missing_package_is_named(tmp_path, monkeypatch, package, read, extra):
    monkeypatch.setitem(sys.modules, package, None)
    message = re.escape(f'pip install "skanticipate[{extra}]"')
    with pytest.raises(ImportError, match=message):
        read(tmp_path, out=tmp_path / "out")


def test_files_of_several_modalities_come_in_an_order(tmp_path):
    paths = [tmp_path / name for name in ("rgb", "flow")]
    for number, path in enumerate(paths):
        write_lmdb(path, {"P01_01": np.full((2, 3), 1.5 + number, dtype=np.float32)})
    features = read_lmdb(paths, out=tmp_path / "both")
    assert np.asarray(features["P01_01"])[0].tolist() == [1.5] * 3 + [2.5] * 3
    for unordered in (set(paths), dict(zip(("rgb", "flow"), paths, strict=True))):
        with pytest.raises(TypeError, match="expected str or os.PathLike, or a list"):
            read_lmdb(unordered, out=tmp_path / "out")
    with pytest.raises(TypeError, match="expected a name, or a list"):
        load_epic(tmp_path, {"rgb", "flow"})
