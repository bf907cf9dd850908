"""Marks of a file tell every change of its contents."""

import os
import shutil

import numpy as np
import pytest

from skanticipate.data.files import file_marks


def in_memory(folder):
    """Whether a folder lies where the shared memory of the system does."""
    shared = "/dev/shm"
    return os.path.isdir(shared) and os.stat(shared).st_dev == os.stat(folder).st_dev


def test_a_change_through_a_map_that_was_not_flushed(tmp_path):
    if os.name != "posix" or in_memory(tmp_path):
        pytest.skip("such a file system gives no date to what a map changes")
    path = tmp_path / "clips.npy"
    array = np.lib.format.open_memmap(path, "w+", dtype=float, shape=(1000, 4))
    array[:] = 1.0
    before = file_marks(path)
    array[:] = 2.0
    assert file_marks(path) != before


def test_the_same_date_and_size(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"one")
    before = file_marks(path)
    assert file_marks(path) == before
    other.write_bytes(b"two")
    shutil.copystat(path, other)
    os.replace(other, path)
    assert file_marks(path) != before
