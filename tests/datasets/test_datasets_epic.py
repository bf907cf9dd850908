"""EPIC-Kitchens-55 as it is laid out on disk, by one call."""

import os
import re
import shutil
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

from feature_files import numbered, write_lmdb

from skanticipate.datasets import (
    cut_clips,
    load_epic,
    open_features,
    read_segments,
)


@pytest.fixture
def root(tmp_path):
    write_lmdb(tmp_path / "rgb", {"P01_01": numbered(200), "P02_01": numbered(90, 1)})
    flow = {"P01_01": -numbered(200)[:, :2], "P02_01": -numbered(90, 1)[:, :2]}
    write_lmdb(tmp_path / "flow_lmdb", flow)
    (tmp_path / "training.csv").write_text(
        "0, P01_01, 120, 150, 0, 0, 3\n1, P01_01, 5, 50, 0, 0, 4\n"
    )
    (tmp_path / "validation.csv").write_text("2, P02_01, 60, 90, 0, 0, 3\n")
    return tmp_path


def test_load_epic_is_one_call(root):
    data = load_epic(root)
    assert data.X_past.shape == (1, 14, 3)
    assert data.X_future.shape == (1, 8, 3)
    assert np.asarray(data.X_past)[0, -3:, 1].tolist() == [97, 105, 112]
    assert np.asarray(data.X_future)[0, [0, -1], 1].tolist() == [123, 150]
    assert (data.y.tolist(), data.groups.tolist()) == ([3], ["P01_01"])
    assert (data.n_discarded, data.kept.tolist()) == (1, [True, False])
    assert data.segments.id.tolist() == [0, 1]


def test_load_epic_converts_once(root):
    load_epic(root)
    os.remove(root / "rgb" / "data.mdb")
    data = load_epic(root, split="validation", future_steps=None)
    assert data.groups.tolist() == ["P02_01"]
    assert "X_future" not in data
    assert data.X_past.base.filename == root / "rgb_features" / "features.npy"


def test_load_epic_joins_modalities(root):
    data = load_epic(root, ("rgb", "flow"))
    assert data.X_past.shape == (1, 14, 5)
    past = np.asarray(data.X_past)[0]
    assert_array_equal(past[:, 3:], -past[:, :2])
    assert list(open_features(root / "rgb-flow_features")) == ["P01_01", "P02_01"]


def test_load_epic_passes_its_options_on(root):
    options = {"observation": 0.5, "anticipation": 5.0, "step": 0.5, "fps": 25}
    data = load_epic(root, **options, padding="nan", future_steps=2)
    expected = cut_clips(
        open_features(root / "rgb_features"),
        read_segments(root / "training.csv"),
        **options,
        padding="nan",
        future_steps=2,
    )
    assert np.isnan(np.asarray(data.X_past)).any()
    assert_array_equal(np.asarray(data.X_past), np.asarray(expected.X_past))
    assert_array_equal(np.asarray(data.X_future), np.asarray(expected.X_future))


def test_load_epic_names_what_is_missing(root):
    with pytest.raises(FileNotFoundError, match=r"no file .*test\.csv"):
        load_epic(root, split="test")
    message = f"no features of 'obj' below {re.escape(str(root))}: expected obj/data"
    with pytest.raises(FileNotFoundError, match=message):
        load_epic(root, ("rgb", "obj"))


def test_features_that_are_older_than_their_source_are_told_of(root):
    load_epic(root)
    made = (root / "rgb_features" / "features.npy").stat().st_mtime
    os.utime(root / "rgb" / "data.mdb", (made + 60, made + 60))
    with pytest.warns(UserWarning, match="newer than .* Delete rgb_features to have"):
        load_epic(root)


def test_another_source_of_the_same_size_and_date_is_told_of(root):
    load_epic(root)
    file = root / "rgb" / "data.mdb"
    before = file.stat()
    again = {"P01_01": numbered(200) + 1, "P02_01": numbered(90, 1) + 1}
    write_lmdb(root / "again", again)
    os.replace(root / "again" / "data.mdb", file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    with pytest.warns(UserWarning, match="another file than the one of which"):
        load_epic(root)


def test_a_copy_of_the_same_source_says_nothing(root, tmp_path_factory):
    load_epic(root)
    copy = tmp_path_factory.mktemp("elsewhere") / "epic"
    shutil.copytree(root, copy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_epic(copy).X_past.shape == load_epic(root).X_past.shape


def test_features_that_name_no_source_are_compared_by_date(root):
    load_epic(root)
    index = root / "rgb_features" / "index.npz"
    with np.load(index) as arrays:
        known = {name: arrays[name] for name in arrays.files if name != "made_of"}
    np.savez(index, **known)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_epic(root)
