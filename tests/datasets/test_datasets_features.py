import os
import pickle
import re
import shutil
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

from feature_files import numbered, write_lmdb

from skanticipate.datasets import open_features, read_lmdb, read_npy

VIDEOS = {"P02_1": numbered(30, 2), "P01_10": numbered(7, 1), "P01_1": numbered(11, 0)}


@pytest.fixture
def epic(tmp_path):
    return write_lmdb(tmp_path / "rgb", VIDEOS)


def test_table_pickles_as_the_name_of_its_folder(tmp_path):
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(3000)})
    features = read_lmdb(path, out=tmp_path / "out")
    pickled = pickle.dumps(features)
    assert len(pickled) < 1000
    assert_array_equal(pickle.loads(pickled)["a"], numbered(3000))


def test_pickled_table_tells_of_a_folder_that_was_written_again(tmp_path):
    arrays, out = tmp_path / "arrays", tmp_path / "out"
    arrays.mkdir()
    np.save(arrays / "a.npy", numbered(30))
    pickled = pickle.dumps(read_npy(arrays, out=out))
    shutil.rmtree(out)
    read_npy(arrays, out=out)  # the same again: nothing is told
    with warnings.catch_warnings(action="error"):
        assert_array_equal(pickle.loads(pickled)["a"], numbered(30))
    np.save(arrays / "a.npy", numbered(20))
    shutil.rmtree(out)
    read_npy(arrays, out=out)
    with pytest.warns(UserWarning, match="was written again after its table was"):
        assert_array_equal(pickle.loads(pickled)["a"], numbered(20))


@pytest.mark.parametrize("name", ["features.npy", "index.npz"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_damaged_features_name_the_file(epic, tmp_path, name, share):
    read_lmdb(epic, out=tmp_path / "out")
    path = tmp_path / "out" / name
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is damaged .*again"):
        open_features(tmp_path / "out")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"no file {path}")):
        open_features(tmp_path / "out")


def test_features_that_do_not_fit_their_index(epic, tmp_path):
    read_lmdb(epic, out=tmp_path / "out")
    np.save(tmp_path / "out" / "features.npy", numbered(9))
    with pytest.raises(ValueError, match=r"shape \(9, 3\), the index lists 48 frames"):
        open_features(tmp_path / "out")


def test_absent_videos_and_frames_are_named(epic, tmp_path):
    features = read_lmdb(epic, out=tmp_path / "out")
    with pytest.raises(ValueError, match=r"out has no video 'P03', which row 1 asks"):
        features.rows(["P02_1", "P03"], [[1], [1]])
    with pytest.raises(ValueError, match=r"no video 'P00', which row 40 asks"):
        features.rows(["P00"], [[1]], [40])
    message = r"no P01_10_frame_0000000008.jpg, which row 1 asks .*2 such.*from 1 to 7"
    with pytest.raises(ValueError, match=message):
        features.rows(["P02_1", "P01_10"], [[9, 10], [8, 11]])
