"""Files made to do harm, or damaged in a way that once went unnoticed.

Each is refused in words that name it, in little time and memory. Found by soak/.
"""

import gzip
import io
import json
import os
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from toy_submission import IDS, write

from skanticipate import MLP, SmoothedAnticipator, UniformPrior
from skanticipate.datasets import (
    FeatureTable,
    _hdf5,
    cut_clips,
    label_history,
    open_features,
    read_actions,
    read_framewise,
    read_npy,
    read_segments,
    read_video_info,
    validate_submission,
)
from skanticipate.datasets._folder import room_for
from skanticipate.estimator import state
from skanticipate.priors import read_word_vectors
from skanticipate.signals.cache import TeacherCache
from skanticipate.training.checkpoint import StateFile, UnusableCheckpoint, loaded
from skanticipate.training.loop import EarlyStopping, initial_state
from skanticipate.training.optimizers import AdamW


@pytest.fixture
def file(tmp_path):
    def write(content, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# ------------------------------------------------------------------------- csv files


@pytest.mark.parametrize("piece", ["1-", "a;", "x 1", "9,", "- ", "a-1-1-F1-"])
def test_a_long_first_line_takes_no_time(file, piece):
    path = file(piece * (100_000 // len(piece)))
    start = time.process_time()
    with pytest.raises(ValueError, match=r"a\.csv, line 1"):
        read_segments(path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("hours", ["9" * 400, "9" * 5000])
def test_timestamps_of_ages_are_none(file, hours):
    header = "uid,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame\n"
    path = file(f"{header}1,P01,00:00:01.0,{hours}:00:02.0,1,9\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 2, .*expected hours"):
        read_segments(path)


@pytest.mark.parametrize("label", ["\u00b2", "9" * 19, "9" * 5000, "0"])
def test_classes_of_a_split_are_whole_numbers_that_an_array_holds(file, label):
    clip = "OP01-R01-PastaSalad-1002316-1004005-F024051-F024101"
    path = file(f"{clip} 1 1 1\n{clip} 1 {label} 1\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 2, .*numbered from 1"):
        read_segments(path)


def test_frames_of_a_split_are_numbers_that_an_array_holds(file):
    path = file(f"OP01-R01-Pasta-10-20-F1-F{'9' * 30} 1 1 1\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 1, "):
        read_segments(path)


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000, "\u00b2", "-1"])
def test_numbers_of_labels_are_those_that_an_array_holds(file, tmp_path, number):
    (tmp_path / "labels").mkdir()
    file("SIL\n", "labels/a.txt")
    mapping = file(f"{number} SIL\n", "mapping.txt")
    with pytest.raises(ValueError, match=r"mapping\.txt, line 1, "):
        read_framewise(tmp_path / "labels", mapping=mapping)


def test_an_action_of_a_thousand_words_is_none(file):
    path = file(f"id,verb,noun,action\n0,0,0,{'a ' * 20_000}b\n")
    with pytest.raises(ValueError, match=r"line 2, has 40001 characters as action"):
        read_actions(path)


def test_many_videos_are_compared_in_no_time(file):
    n = 60_000
    lines = "".join(f"v{k},30\n" for k in range(n))
    start = time.process_time()
    assert len(read_video_info(file(f"video,fps\n{lines}")).video) == n
    assert time.process_time() - start < 10  # it took a minute


# ---------------------------------------------------------------------- word vectors


@pytest.mark.parametrize("start", ["", "the 1 2\n"])
def test_a_small_archive_of_a_large_line_is_refused(file, start):
    path = file(gzip.compress((start + "0 " * 10**7).encode()), "a.gz")
    with pytest.raises(ValueError, match=r"a\.gz, line \d, has .* bytes or more"):
        read_word_vectors(path, ["cut"])


def test_an_archive_of_nothing_is_not_read_for_ever(file):
    path = file(gzip.compress(b"the 1 2\n" + b"\n" * 10**7, 1), "a.gz")
    start = time.process_time()
    with pytest.raises(ValueError, match=r"a\.gz unpacks to more than 30 times"):
        read_word_vectors(path, ["cut"])
    assert time.process_time() - start < 5


def test_numbers_beyond_float32_are_refused_and_nothing_else_is_said(file):
    path = file("the 1 2\ncut 1e39 1\n", "a.txt")
    with pytest.raises(ValueError, match=r"a\.txt, line 2: .*finite numbers"):
        read_word_vectors(path, ["cut"])


def test_a_count_of_thousands_of_digits_is_none(file):
    path = file(f"{'9' * 6000} 3\ncut 1 2 3\n", "a.txt")
    with pytest.raises(ValueError, match=r"a\.txt"):
        read_word_vectors(path, ["cut", "pan"])


# ----------------------------------------------------------------------- submissions


def test_scores_of_many_digits_are_floats(tmp_path):
    path = tmp_path / "test.json"
    content = write(path, IDS)
    segment = content["results"][IDS[0]]
    segment["verb"]["3"] = 10**30
    segment["action"][next(iter(segment["action"]))] = -(10**30)
    path.write_text(json.dumps(content))
    found = validate_submission(path)
    assert found.verb.dtype == found.action.dtype == np.float64
    assert found.verb[0, 3] == 1e30 and found.action.min() == -1e30


# ------------------------------------------------------------------- feature folders


@pytest.fixture
def features(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 3)))
    read_npy(tmp_path, out=tmp_path / "features")
    return tmp_path / "features"


def members(features):
    with zipfile.ZipFile(features / "index.npz") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(features, members, pack=zipfile.ZIP_STORED):
    with zipfile.ZipFile(features / "index.npz", "w", pack) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def of(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_an_index_is_not_compressed(features):
    written(features, members(features), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"index\.npz is damaged .*compressed"):
        open_features(features)


def test_an_index_holds_as_many_numbers_as_it_says(features):
    found = members(features)
    npy = found["frames.npy"]
    found["frames.npy"] = npy.replace(b"(4,)", b"(99,)").replace(b"} ", b"}", 1)
    written(features, found)
    with pytest.raises(ValueError, match=r"index\.npz is damaged .*than it says"):
        open_features(features)


@pytest.mark.parametrize(
    "key",
    ["{video}{frame:99999999d}", "{video:9999999}{frame}", "{video}{frame:{frame}}"]
    + ["{video}{frame:x!}", "{video.__class__}{frame}", "{video}" + "a" * 20_000],
)
def test_names_of_frames_fill_no_memory(features, key):
    written(features, members(features) | {"key.npy": of(np.array(key))})
    with pytest.raises(ValueError, match=r"index\.npz is damaged"):
        open_features(features)


@pytest.mark.parametrize("name", ["a.npy", "features/features.npy"])
def test_a_header_is_no_longer_than_its_file(features, tmp_path, name):
    (tmp_path / name).write_bytes(b"\x93NUMPY\2\0" + b"\xff\xff\xff\x7f" + b"{" * 90)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        open_features(features) if "/" in name else read_npy(
            tmp_path, out=tmp_path / "o"
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000  # it was two gigabytes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_no_array(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a\.npy is no ordinary file"):
        read_npy(tmp_path, out=tmp_path / "features")


def test_names_of_videos_are_text(features):
    letters = np.full(1, 0x110000, dtype=np.uint32).view("<U1")
    written(features, members(features) | {"videos.npy": of(letters)})
    with pytest.raises(ValueError, match=r"index\.npz is damaged .*no text"):
        open_features(features)


# --------------------------------------------------------------------------- HDF5


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Converts, in this process, a small file of many zeros that are packed in chunks.

    Limits are as much smaller as the file is.
    """
    h5py = pytest.importorskip("h5py")
    for name, n_bytes in {"_BLOCK_BYTES": 1 << 12, "_MOST_BYTES": 1 << 24}.items():
        monkeypatch.setattr(_hdf5, name, n_bytes)
    monkeypatch.setattr(_hdf5, "_FREELY", 1 << 20)

    def convert(shape, chunks, n_names=1, time_axis=0):
        path, out = tmp_path / "a.h5", tmp_path / "out"
        with h5py.File(path, "w") as file:
            data = file.create_dataset("0", shape, "f4", chunks=chunks, compression=1)
            data[:] = 0
            for k in range(1, n_names):
                file[str(k)] = data
        out.mkdir()
        given = str(path), str(out), room_for(tmp_path / "room")
        _hdf5.convert(*given, first_frame=1, time_axis=time_axis)
        return open_features(out).array

    return convert


@pytest.mark.parametrize("time_axis", [0, 1])
def test_a_chunk_is_unpacked_once(packed, monkeypatch, time_axis):
    monkeypatch.setattr(_hdf5, "_TIMES", 10**4)
    shape = (900_000, 4)[:: 1 - 2 * time_axis]
    start = time.process_time()
    assert packed(shape, shape, time_axis=time_axis).shape == (900_001, 4)
    assert time.process_time() - start < 5  # it was once for each block


def test_frames_that_are_packed_together_fit_into_memory(packed):
    with pytest.raises(ValueError, match=r"a\.h5 has frames .* are packed together"):
        packed((1_200_000, 4), (1_200_000, 4))


def test_a_small_file_does_not_fill_a_disk(packed):
    with pytest.raises(ValueError, match=r"a\.h5 has .* made to fill the disk"):
        packed((100_000, 4), (1000, 4), n_names=100)


# ------------------------------------------------------------------ what fits keep


def training():
    module = MLP(2).build((3,), 2, generator=torch.Generator())
    optimizer = AdamW(list(module.parameters()), lr=0.1, weight_decay=0.0)
    seeds = {"shuffle": 0, "dropout": 0}
    stopping = EarlyStopping(3, 0.0)
    return initial_state({"network": module}, optimizer, seeds, stopping=stopping)


def broken(kept, name):
    record = {"epoch": 1, "lr": 0.1, "loss": 1.0}
    kept["history"] = [record]
    if name in record:
        kept["history"] = [record | {name: {}}]
    elif name == "epochs":
        kept["history"] = [record | {"epoch": 5}]
    elif name == "weights":
        kept["stopping"]["best_weights"] = {"a": 3}
    else:
        del kept["stopping"][name]
    return kept


@pytest.mark.parametrize(
    "name", ["epoch", "loss", "epochs", "weights", "patience", "best_weights"]
)
def test_a_state_that_is_none_is_refused(tmp_path, name):
    file = StateFile(tmp_path / "a.state.safetensors", {"data": "0"}, 1)
    file.write(broken(training().state_dict(), name))
    kept = file.read()
    with pytest.raises(UnusableCheckpoint, match=r"a\.state\.safetensors"):
        loaded(file.path, lambda: training().load_state_dict(kept))


@pytest.mark.parametrize("name", ["teacher", "proba"])
def test_a_cached_teacher_is_whole(tmp_path, name):
    entry = {"key": "k", "teacher": None, "proba": np.ones(3)}
    del entry[name]
    state.write(tmp_path / "k.teacher.safetensors", entry)
    with pytest.raises(ValueError, match=r"k\.teacher\.safetensors is damaged"):
        TeacherCache(tmp_path).teacher("k", (), None)


# -------------------------------------------------------------- values of other kinds


@pytest.mark.parametrize("name", ["video", "start_frame", "action"])
@pytest.mark.parametrize("value", [True, 1.5, None, np.array(3)])
def test_a_column_has_entries(name, value):
    segments = {"video": ["a"], "start_frame": [1], "stop_frame": [9], "action": [0]}
    with pytest.raises(ValueError, match=f"as {name}: expected a column"):
        label_history(segments | {name: value})


def test_clips_of_ages_are_refused():
    features = FeatureTable.from_arrays({"a": np.ones((50, 2))})
    segments = {"video": ["a"], "start_frame": [40], "stop_frame": [50], "action": [0]}
    with pytest.raises(ValueError, match="observation=100.* has more than 1,000,000"):
        cut_clips(features, segments, observation=1e8)


def test_futures_are_no_number():
    model = SmoothedAnticipator(MLP(2), max_epochs=1)
    with pytest.raises(ValueError, match="X_future_unlabeled, .* holds 5"):
        model.fit(np.eye(4), [0, 1, 0, 1], 5)


def test_classes_are_no_lists():
    with pytest.raises(ValueError, match="classes holds a list"):
        UniformPrior().fit(np.array([[1], [1, 2]], dtype=object), [1, 1])
