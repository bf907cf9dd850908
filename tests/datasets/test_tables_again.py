"""A table of features whose folder was written again, in pickles and in caches."""

import pickle
import shutil

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate.datasets import cut_clips, open_features, read_npy

FRAMES = np.arange(200.0)[:, None]
SEGMENTS = {"video": ["a"], "start_frame": [90], "stop_frame": [99], "action": [1]}


def written(path, frames):
    for name in ("in", "out"):
        shutil.rmtree(path / name, ignore_errors=True)
    (path / "in").mkdir()
    np.save(path / "in" / "a.npy", frames)
    return read_npy(path / "in", out=path / "out")


def last_step(features):
    return float(np.asarray(cut_clips(features, SEGMENTS).X_past)[0, -1, 0])


def test_a_cache_of_calls_tells_a_folder_that_was_written_again(tmp_path):
    cached = joblib.Memory(tmp_path / "cache", verbose=0).cache(last_step)
    table = written(tmp_path, FRAMES)
    assert cached(table) == 81.0  # frame 82, the first one is 0.0
    assert cached.check_call_in_cache(open_features(tmp_path / "out"))
    assert cached(written(tmp_path, FRAMES + 7)) == 88.0


@pytest.mark.parametrize("change", ["again", "deleted"])
def test_a_pickle_of_a_replaced_table_holds_what_was_opened(change, tmp_path):
    table = written(tmp_path, FRAMES)
    assert len(pickle.dumps(table)) < 1000
    if change == "again":
        written(tmp_path, FRAMES + 7)
    else:
        shutil.rmtree(tmp_path / "out")
    again = pickle.loads(pickle.dumps(table))
    assert_array_equal(again["a"], FRAMES)
    assert again.path is None
    assert last_step(again) == last_step(table)
