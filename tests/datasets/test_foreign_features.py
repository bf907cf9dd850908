"""Feature files whose numbers, names or places are not what they are taken for."""

import io
import os
import pickle
import shutil
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

import h5py
import lmdb
from feature_files import numbered, write_lmdb

from skanticipate import (
    LSTM,
    MLP,
    PerFrame,
    RowView,
    SmoothedAnticipator,
    TeacherEnsemble,
    pad_clips,
)
from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    cut_pairs,
    first_fraction,
    label_history,
    label_sequences,
    open_features,
    read_hdf5,
    read_lmdb,
    trimmed_pairs,
    unlabeled_pairs,
)
from skanticipate.datasets._folder import room_for
from skanticipate.datasets._hdf5 import convert
from skanticipate.metrics import top_k_accuracy
from skanticipate.plotting import TopPredictionsDisplay

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(40, 16))
SOFTMAX = np.exp(12 * NORMAL - (12 * NORMAL).max(axis=1, keepdims=True))
GENUINE = {
    "normal": NORMAL,
    "relu": np.maximum(NORMAL, 0),
    "sparse": np.maximum(NORMAL - 2, 0),
    "softmax": SOFTMAX / SOFTMAX.sum(axis=1, keepdims=True),
    "zeros": np.zeros((40, 16)),
    "ones": np.ones((40, 16)),
    "one-hot": np.eye(16)[RNG.integers(16, size=40)],
    "counts": RNG.integers(0, 60, size=(40, 16)),
    "tenths": RNG.integers(-9, 10, size=(40, 16)) / 10,
    "pixels": RNG.integers(0, 256, size=(40, 16)) / 255,
    "votes": RNG.integers(0, 97, size=(40, 16)) / 96,
    "half": NORMAL.astype("f2"),
    "padding": np.where(np.arange(40)[:, None] == 7, np.nan, NORMAL),
}
PIXEL_SUMS = RNG.integers(0, 255 * 224**2, size=(40, 16))


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    """Read files here: `test_child.py` is about the process that reads them."""

    def here(function, files, *args, **kwargs):
        function(*args, **kwargs)

    monkeypatch.setattr("skanticipate.datasets._converted.in_child", here)


@pytest.fixture
def write(tmp_path):
    """Write an LMDB whose values are given bytes."""

    def write(values, name="rgb", key="a_frame_{:010d}.jpg"):
        with lmdb.open(str(tmp_path / name), map_size=1 << 26) as env:
            with env.begin(write=True) as transaction:
                for frame, value in enumerate(values, start=1):
                    transaction.put(key.format(frame).encode(), value)
        return tmp_path / name

    return write


@pytest.fixture
def out(tmp_path):
    yield tmp_path / "out"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("out.")]


def rows(table, dtype):
    return [row.tobytes() for row in np.asarray(table).astype(dtype)]


# --------------------------------------------------------------- LMDB, types of numbers


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2", ">f4", ">f8", ">f2"])
@pytest.mark.parametrize("name", GENUINE)
@pytest.mark.parametrize("d", [16, None])
def test_genuine_features_are_read(write, out, name, dtype, d):
    table = GENUINE[name].astype(dtype)
    features = read_lmdb(write(rows(table, dtype)), out=out, dtype=dtype, d=d)
    assert features.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert_array_equal(features["a"], table)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4"])
def test_unnormalized_sums_of_pixels_are_read(write, out, dtype):
    features = read_lmdb(write(rows(PIXEL_SUMS, dtype)), out=out, dtype=dtype)
    assert_array_equal(features["a"], PIXEL_SUMS.astype(dtype))


@pytest.mark.parametrize("dtype", ["<i4", "<i8", "<i2", "u1", ">i4"])
def test_integers_become_float32(write, out, dtype):
    features = read_lmdb(write(rows(GENUINE["counts"], dtype)), out=out, dtype=dtype)
    assert features.array.dtype == np.float32
    assert_array_equal(features["a"], GENUINE["counts"])


FLOATS = [name for name in GENUINE if name not in {"zeros", "sparse", "votes"}]


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        ("<f8", "float64"),
        ("<f2", "float16"),
        (">f4", "big-endian float32"),
        (">f8", "big-endian float64"),
        (">f2", ""),
    ],
)
@pytest.mark.parametrize("name", FLOATS)
def test_floats_of_another_type_are_refused(write, out, name, dtype, words):
    path = write(rows(GENUINE[name], dtype))
    with pytest.raises(ValueError, match=rf"in .*rgb are hardly float32: .*{words}"):
        read_lmdb(path, out=out)
    assert not out.exists()


def test_numbers_in_the_other_byte_order_may_be_of_usual_size(write, out):
    # thirds: 1.5e13 or below 1e-38 with their bytes swapped
    path = write(rows(GENUINE["votes"], ">f4"))
    with pytest.raises(ValueError, match=r"spread far less .*pass dtype='>f4'"):
        read_lmdb(path, out=out)


@pytest.mark.parametrize("read_as", ["<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2", ">f4", ">f8", ">f2"])
def test_the_type_that_is_proposed_is_right(write, out, dtype, read_as):
    if dtype == read_as:
        return
    path = write(rows(NORMAL, dtype))
    with pytest.raises(ValueError, match=f"pass dtype='{dtype}'"):
        read_lmdb(path, out=out, dtype=read_as)
    assert_array_equal(read_lmdb(path, out=out, dtype=dtype)["a"], NORMAL.astype(dtype))


@pytest.mark.parametrize("dtype", ["<i8", "<i4", "<i2"])
@pytest.mark.parametrize("low", [0, -60])
def test_integers_are_no_floats(write, out, dtype, low):
    table = RNG.integers(low, 60, size=(40, 16))
    with pytest.raises(ValueError, match=f"pass dtype='{dtype}'"):
        read_lmdb(write(rows(table, dtype)), out=out)


@pytest.mark.parametrize("high", [2, 50, 256])
def test_bytes_are_no_floats(write, out, high):
    with pytest.raises(ValueError, match="hardly float32"):
        read_lmdb(write(rows(RNG.integers(high, size=(40, 16)), "u1")), out=out)


def test_floats_are_no_integers(write, out):
    with pytest.raises(ValueError, match="hardly int32: .*pass dtype='<f4'"):
        read_lmdb(write(rows(NORMAL, "<f4")), out=out, dtype="<i4")


def bfloat16(table, order="<"):
    """Upper halves of float32, which are bfloat16."""
    halves = np.ascontiguousarray(table, "<f4").view("<u2")[:, 1::2]
    return rows(halves, f"{order}u2")


CENTRED = ["normal", "relu", "counts", "pixels", "votes"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", CENTRED)
def test_bfloat16_is_named(write, out, name, order):
    path = write(bfloat16(GENUINE[name], order))
    for options in ({}, {"dtype": f"{order}f2"}, {"dtype": f"{order}f2", "d": 16}):
        with pytest.raises(ValueError, match=r"like bfloat16: convert .* float32"):
            read_lmdb(path, out=out, **options)


@pytest.mark.parametrize("scale", [1e-3, 0.03, 30, 1000])
def test_bfloat16_of_any_scale_is_not_read_as_float16(write, out, scale):
    with pytest.raises(ValueError, match="look like bfloat16"):
        read_lmdb(write(bfloat16(scale * NORMAL)), out=out, dtype="<f2")


@pytest.mark.parametrize("name", ["normal", "relu", "softmax"])
def test_float16_may_be_bfloat16(write, out, name):
    message = r"pass dtype='<f2'\. If they are bfloat16, convert them to float32"
    with pytest.raises(ValueError, match=message):
        read_lmdb(write(rows(GENUINE[name], "<f2")), out=out)


@pytest.mark.parametrize(
    "table",
    [
        NORMAL * (NORMAL > 1),
        np.sign(NORMAL) * (1 + RNG.random((40, 16))),
        np.tanh(3 * NORMAL),
        NORMAL + 5,
        RNG.integers(-1, 2, size=(40, 16)),
    ],
)
def test_float16_about_1_is_read(write, out, table):
    features = read_lmdb(write(rows(table, "<f2")), out=out, dtype="<f2")
    assert_array_equal(features["a"], table.astype("f2"))


def test_both_types_of_bytes_are_named(write, out):
    table = np.round(30 * NORMAL).clip(-128, 127)
    path = write(rows(table, "i1"))
    with pytest.raises(ValueError, match=r"dtype='\|u1' if .* dtype='\|i1' if"):
        read_lmdb(path, out=out)
    assert_array_equal(read_lmdb(path, out=out, dtype="|i1")["a"], table)


HEADERS = [
    np.array([16], "<i4").tobytes(),
    np.array([16], "<i8").tobytes(),
    np.array([1, 16], "<i4").tobytes(),
    np.array([1, 16], "<i8").tobytes(),
    b"\x0a\x80\x80\x01",  # tag and length of a protocol buffer
]


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<f8"])
@pytest.mark.parametrize("header", HEADERS)
def test_integers_around_the_features_are_refused(write, out, header, dtype):
    values = rows(NORMAL, dtype)
    if len(header) % np.dtype(dtype).itemsize or (header[0] == 10 and dtype == "<f2"):
        return
    before = write([header + value for value in values])
    with pytest.raises(ValueError, match=r"like a header of \d+ bytes or more"):
        read_lmdb(before, out=out, dtype=dtype)
    after = write([value + header for value in values], "after")
    with pytest.raises(ValueError, match=r"like a trailer of \d+ bytes or more"):
        read_lmdb(after, out=out, dtype=dtype)
    with pytest.raises(ValueError, match="expected 16 times"):
        read_lmdb(after, out=out, dtype=dtype, d=16)


def test_numbers_of_frames_before_the_features_are_refused(write, out):
    values = enumerate(rows(NORMAL, "<f4"), start=1)
    path = write([np.int32(frame).tobytes() + value for frame, value in values])
    with pytest.raises(ValueError, match=r"a header of 4 bytes .* confirm with d=17"):
        read_lmdb(path, out=out)
    assert read_lmdb(path, out=out, d=17)["a"].shape == (40, 17)


def test_float16_that_is_rarely_alive_is_no_header(write, out):
    table = NORMAL.astype("f2")
    table[:, 0], table[3, 0] = 0, 3e-5
    features = read_lmdb(write(rows(table, "<f2")), out=out, dtype="<f2")
    assert_array_equal(features["a"], table)


@pytest.mark.parametrize("n", [(40, 38), (38, 40)])
def test_files_of_other_frames_are_refused_in_any_order(write, out, n):
    paths = [
        write(rows(NORMAL[:k], "<f4"), name)
        for k, name in zip(n, ("rgb", "flow"), strict=True)
    ]
    with pytest.raises(ValueError, match=r"key a_frame_0000000039.jpg, which"):
        read_lmdb(paths, out=out)
    assert not out.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_number_that_is_no_feature_is_found_beyond_the_sample(write, out, value):
    table = np.tile(NORMAL, (2, 6550)).astype("f4")  # 10 frames in 4 MiB
    table[33, 3] = value
    message = r"from the key a_frame_0000000031.jpg to the key a_frame_0000000040.jpg"
    with pytest.raises(ValueError, match=rf"rgb has numbers .* {message}"):
        read_lmdb(write(rows(table, "<f4")), out=out)
    assert not out.exists()


def test_d_confirms_a_type_that_looks_strange(write, out):
    # every second feature is dead: so reads float64 of few digits
    table = np.where(np.arange(16) % 2, 1.5, 0) * np.ones((40, 1))
    path = write(rows(table, "<f4"))
    with pytest.raises(ValueError, match="If they are float32, confirm it with d="):
        read_lmdb(path, out=out)
    assert_array_equal(read_lmdb(path, out=out, d=16)["a"], table)


@pytest.mark.parametrize("d", [8, [8], 15])
def test_d_must_agree_with_the_bytes(write, out, d):
    n = np.ravel(d)[0]
    message = rf"rgb has 64 bytes at the key a_frame_0000000001.jpg: expected {n} times"
    with pytest.raises(ValueError, match=message):
        read_lmdb(write(rows(NORMAL, "<f4")), out=out, d=d)


def test_each_file_has_its_d(write, out):
    paths = [write(rows(NORMAL, "<f4")), write(rows(NORMAL[:, :4], "<f4"), "flow")]
    features = read_lmdb(paths, out=out, d=[16, 4])
    expected = np.hstack([NORMAL, NORMAL[:, :4]]).astype("<f4")
    assert_array_equal(features["a"], expected)
    with pytest.raises(ValueError, match=r"d is \[16\]: expected .* the 2 files"):
        read_lmdb(paths, out=out.with_name("b"), d=[16])
    with pytest.raises(ValueError, match=r"d is \[True, 4\]: expected the number of"):
        read_lmdb(paths, out=out.with_name("b"), d=[True, 4])


@pytest.mark.parametrize("dtype", ["O", "U4", "c8", None, "?", "f4,f4", "nonsense"])
def test_types_that_are_no_numbers(write, out, dtype):
    with pytest.raises(ValueError, match="expected a type of floats or integers"):
        read_lmdb(write(rows(NORMAL, "<f4")), out=out, dtype=dtype)


# ---------------------------------------------------------- LMDB, other kinds of values


def saved(row):
    buffer = io.BytesIO()
    np.save(buffer, row)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("encode", "words"),
    [
        (saved, "an array that numpy has saved"),
        (pickle.dumps, "a Python pickle"),
        (lambda row: pickle.dumps(row.tolist(), 2), "a Python pickle"),
        (lambda row: b"\x1f\x8b\x08\x00" + row.tobytes(), "data compressed by gzip"),
        (lambda row: b"\x89PNG\r\n\x1a\n" + row.tobytes(), "a PNG image"),
        (lambda row: b"\xff\xd8\xff\xe0" + row.tobytes(), "a JPEG image"),
        (lambda row: str(row.tolist()).encode(), "text"),
        (lambda row: b"\x84\xc4\x02nd\xc3" + row.tobytes(), "packed by msgpack"),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_values_of_another_format_are_named(write, out, encode, words, dtype):
    path = write([encode(row) for row in NORMAL.astype("<f4")])
    message = rf"rgb has .*{words}.* at the key a_frame_0000000001.jpg: expected the b"
    with pytest.raises(ValueError, match=message):
        read_lmdb(path, out=out, dtype=dtype)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"), (b"PK\3\4", "zip")],
)
def test_other_files_are_no_lmdb(tmp_path, out, content, words):
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(ValueError, match=rf"data.mdb is .*{words}.*: expected an LMDB"):
        read_lmdb(tmp_path, out=out)
    with pytest.raises(ValueError, match=rf"data.mdb is .*{words}.*: expected an HDF5"):
        read_hdf5(tmp_path / "data.mdb", out=out)


def test_keys_that_are_no_frames_are_named(write, out):
    path = write(rows(NORMAL, "<f4"))
    write([b"40"], key="__len__")
    write([b"[]"], key="__keys__")
    write([b"x"], key="\xff")
    message = r"has the key '__keys__', '__len__', .* \(3 such keys\): set pattern="
    with pytest.raises(ValueError, match=message):
        read_lmdb(path, out=out)


# ------------------------------------------------------------------------------ names


def test_videos_that_differ_by_a_trailing_nul(tmp_path, out):
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(3), "a\0": numbered(4)}, "{}/{}")
    with pytest.raises(ValueError, match=r"rgb has the name 'a\\x00'"):
        read_lmdb(path, out=out, pattern="{video}/{frame}")


def segments(**changes):
    table = {
        "video": ["a", "a\0"],
        "start_frame": [200, 300],
        "stop_frame": [220, 320],
        "action": [0, 1],
    }
    return table | changes


@pytest.mark.parametrize("container", [list, lambda x: np.array(x, dtype=object)])
@pytest.mark.parametrize(
    "use", [label_history, label_sequences, lambda table: unlabeled_pairs(table, 0)]
)
def test_names_of_segments_that_end_in_nul(use, container):
    for name, values in (("video", ["a", "a\0"]), ("action", ["cut", "cut\0"])):
        table = segments(video=["a", "a"]) | {name: container(values)}
        with pytest.raises(ValueError, match=rf"{name} has the name .*x00' in row 1"):
            use(table)


def test_names_that_are_looked_up_and_end_in_nul(tmp_path, out):
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(400)})
    features = read_lmdb(path, out=out)
    with pytest.raises(ValueError, match="end in NUL"):
        features.rows(["a\0"], [[1]])
    with pytest.raises(ValueError, match="end in NUL"):
        cut_clips(features, segments())
    with pytest.raises(KeyError):
        features["a\0"]
    pairs = unlabeled_pairs(segments(video=["a", "b"]), 0) | {"video": ["a", "a\0"]}
    with pytest.raises(ValueError, match="end in NUL"):
        cut_pairs(pairs, features, feature_rate=30)


# ------------------------------------------------------------------------------- HDF5


@pytest.fixture
def hdf5(tmp_path):
    """A file with one ordinary video, open to add to it."""
    path = tmp_path / "rgb.h5"
    with h5py.File(path, "w") as file:
        file["a"] = numbered(4)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["b"] = numbered(4)
    numbered(4).tofile(tmp_path / "raw.bin")
    return path


def external_link(file):
    file["b"] = h5py.ExternalLink("other.h5", "b")


def soft_link_to_an_external_one(file):
    file["b"] = h5py.SoftLink("/c")
    file["c"] = h5py.ExternalLink("other.h5", "b")


def soft_link_to_nothing(file):
    file["b"] = h5py.SoftLink("/nothing")


def external_storage(file):
    external = [("raw.bin", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("b", (4, 3), "f4", external=external)


def virtual_data_set(file):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "b", (4, 3))
    file.create_virtual_dataset("b", layout)


def nothing_written(file):
    file.create_dataset("b", (10**12, 3), "f4")


def named_type(file):
    file["b"] = np.dtype("f4")


def empty(file):
    file["b"] = h5py.Empty("f4")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (external_link, "a link to 'other.h5' under 'b': .*in this file"),
        (soft_link_to_an_external_one, "a link to 'other.h5' under 'b'"),
        (soft_link_to_nothing, "a link to .* under 'b'"),
        (external_storage, "a data set stored in other files under 'b'"),
        (virtual_data_set, "a data set stored in other files under 'b'"),
        (nothing_written, r"shape \(10+, 3\) under 'b', of which a part was never"),
        (named_type, "a group under 'b'"),
        (empty, "shape None under 'b'"),
    ],
)
def test_hdf5_must_hold_its_numbers(hdf5, out, monkeypatch, add, message):
    monkeypatch.chdir(hdf5.parent)
    with h5py.File(hdf5, "a") as file:
        add(file)
    with pytest.raises(ValueError, match=rf"rgb.h5 has {message}"):
        read_hdf5(hdf5, out=out)
    assert not out.exists()


def test_hdf5_chunk_that_was_never_written(hdf5, out):
    with h5py.File(hdf5, "a") as file:
        data = file.create_dataset(
            "b", (40, 3), "f4", chunks=(8, 3), maxshape=(None, 3)
        )
        data[:24] = 1
    with pytest.raises(ValueError, match=r"shape \(40, 3\) .*never written: cut"):
        read_hdf5(hdf5, out=out)
    with h5py.File(hdf5, "a") as file:
        file["b"].resize(24, axis=0)
    assert_array_equal(read_hdf5(hdf5, out=out)["b"], np.ones((24, 3)))


def test_hdf5_links_within_the_file_are_read(hdf5, out):
    with h5py.File(hdf5, "a") as file:
        file["b"] = h5py.SoftLink("/a")
        file["c"] = file["a"]
    features = read_hdf5(hdf5, out=out)
    assert list(features) == ["a", "b", "c"]
    assert_array_equal(features["b"], numbered(4))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f4", np.inf),
        ("f4", np.nan),
        ("f8", 1e300),
        ("f2", -np.inf),
        ("i8", 2**24 + 1),
        ("u4", 2**32 - 1),
        ("g", np.inf),
    ],
)
@pytest.mark.parametrize("width", [3, 30_000])  # in one block, and in several
def test_hdf5_with_numbers_that_are_no_features(tmp_path, out, dtype, value, width):
    table = np.ones((50, width), dtype)
    table[41, 1] = value
    with h5py.File(tmp_path / "rgb.h5", "w") as file:
        file["a"], file["b"] = table[:4], table
    message = "has numbers that are no features under '/b' in the rows"
    with pytest.raises(ValueError, match=message):
        read_hdf5(tmp_path / "rgb.h5", out=out)
    assert not out.exists()


def test_hdf5_frames_of_padding_are_read(hdf5, out):
    table = np.array([[1, 2, 3], [np.nan] * 3])
    with h5py.File(hdf5, "a") as file:
        file["b"] = table
        file["c"] = np.full((2, 3), 2**24)
    features = read_hdf5(hdf5, out=out)
    assert_array_equal(features["b"], table)
    assert_array_equal(features["c"], np.full((2, 3), 2**24))


def test_hdf5_longer_floats_become_float64(tmp_path, out):
    with h5py.File(tmp_path / "rgb.h5", "w") as file:
        file["a"] = np.full((2, 3), 0.1, np.longdouble)
    features = read_hdf5(tmp_path / "rgb.h5", out=out)
    assert features.array.dtype == np.float64
    assert_array_equal(features["a"], np.full((2, 3), 0.1))


@pytest.mark.parametrize("kind", ["hdf5", "lmdb"])
def test_room_is_looked_for_before_anything_is_written(
    hdf5, write, out, monkeypatch, kind
):
    # features (4 + 1) x 3 x float32 and frames 4 x int64: 92 bytes
    read, path = read_hdf5, hdf5
    if kind == "lmdb":
        read, path = read_lmdb, write(rows(numbered(4), "<f4"))
    usage = shutil.disk_usage(out.parent)._replace(free=91)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ValueError, match=r"4 frames of 3 x float32 need 0.0 GB"):
        read(path, out=out / "deeper")
    assert not out.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda f: usage._replace(free=92))
    read(path, out=out / "deeper")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "chunks": (2, 3)}])
def test_damaged_hdf5_is_read_or_refused_by_us(tmp_path, out, libver, options):
    path = tmp_path / "rgb.h5"
    with h5py.File(path, "w", libver=libver) as file:
        for video in ("P01_1", "P02_1"):
            file.create_dataset(video, data=numbered(7), **options)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = whole.copy()
        content[rng.choice(np.flatnonzero(whole), 2)] = rng.integers(256, size=2)
        path.write_bytes(content[: rng.choice([len(whole), rng.integers(len(whole))])])
        out.mkdir()
        try:  # in this process: sixty others would take half a minute
            given = str(path), str(out), room_for(tmp_path / "room")
            convert(*given, first_frame=1, time_axis=0)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            open_features(out)
        shutil.rmtree(out)


# --------------------------------------------------------------------- opening folders


def index_of(out):
    with np.load(out / "index.npz") as index:
        return dict(index)


@pytest.mark.parametrize(
    "changes",
    [
        {"videos": np.array(["b", "a"])},
        {"videos": np.array(["a", "a"])},
        {"videos": np.array([1, 2])},
        {"videos": np.array(["a", None], dtype=object)},
        {"first": np.array([0, 4, 6])},
        {"first": np.array([0, 9, 7])},
        {"first": np.array([0.0, 3.0, 7.0])},
        {"frames": np.array([1, 2, 3, 1, 3, 2, 4])},
        {"frames": np.ones((7, 1), dtype=int)},
        {"key": "{video.__class__} {frame}"},
        {"key": "{video}"},
        {"key": "{video"},
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, out, changes):
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(3), "b": numbered(4)})
    read_lmdb(path, out=out)
    np.savez(out / "index.npz", **(index_of(out) | changes))
    with pytest.raises(ValueError, match=r"index.npz is damaged .*, or neither"):
        open_features(out)


def archive(array):
    buffer = io.BytesIO()
    np.savez(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "save",
    [
        lambda path: np.save(path, np.zeros((8, 3), dtype=int)),
        lambda path: np.save(path, np.zeros((8, 3))),  # the last row is not NaN
        lambda path: np.save(path, np.full((8, 3), None)),
        lambda path: path.write_bytes(archive(np.zeros((8, 3)))),
        lambda path: path.write_bytes(pickle.dumps(np.zeros((8, 3)))),
    ],
)
def test_features_of_another_origin_are_refused(tmp_path, out, save):
    path = write_lmdb(tmp_path / "rgb", {"a": numbered(3), "b": numbered(4)})
    read_lmdb(path, out=out)
    save(out / "features.npy")
    with pytest.raises(ValueError, match=r"features.npy is damaged .*, or neither rea"):
        open_features(out)
    os.replace(out / "features.npy", out / "index.npz")
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"index.npz|features.npy"
    ):
        open_features(out)


def test_damaged_index_is_opened_or_refused_by_us(tmp_path, out):
    read_lmdb(write_lmdb(tmp_path / "rgb", {"a": numbered(3)}), out=out)
    whole = np.frombuffer((out / "index.npz").read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = whole.copy()
        content[rng.choice(np.flatnonzero(whole), 2)] = rng.integers(256, size=2)
        (out / "index.npz").write_bytes(content)
        try:
            open_features(out)
        except ValueError as error:
            assert "is damaged" in str(error)


# ------------------------------------------------------ HDF5, attributes of data sets


@pytest.fixture
def attributed(hdf5):
    """A file whose data set `a` has some attributes."""

    def add(**attributes):
        with h5py.File(hdf5, "a") as file:
            file["a"].attrs.update(attributes)
        return hdf5

    return add


STRANGE = [
    ({"scale_factor": 0.1}, r"packed by scale_factor=0.1.* Unpack them"),
    ({"scale_factor": np.array([2.0]), "add_offset": 0}, r"packed by scale_factor"),
    ({"scale_factor": 1.0, "add_offset": 5}, r"packed by add_offset=5"),
    ({"Scale_Factor": 0.5}, r"packed by Scale_Factor=0.5"),
    ({"slope": 1, "intercept": -2.0}, r"packed by intercept=-2.0"),
    ({"MATLAB_class": np.bytes_("double")}, r"MATLAB wrote.* Write it again .*transp"),
]


@pytest.mark.parametrize(("attributes", "message"), STRANGE)
def test_numbers_that_are_not_as_stored_are_refused(
    attributed, out, attributes, message
):
    path = attributed(**attributes)
    with pytest.raises(ValueError, match=rf"rgb.h5 has .*{message}.*\('a'\)"):
        read_hdf5(path, out=out)
    with h5py.File(path) as file:
        with pytest.raises(ValueError, match=rf"base has .*{message}"):
            RowView(file["a"])
        with pytest.raises(ValueError, match=rf"X has .*{message}"):
            PerFrame(StandardScaler()).fit(file["a"])
        with pytest.raises(ValueError, match=rf"X_past has .*{message}"):
            SmoothedAnticipator(MLP(2)).fit(file["a"], [0, 1] * 2)
        pairs = {"video": ["a"], "y": [0], "past_start": [0], "past_stop": [30]}
        pairs |= {"future_start": [30], "future_stop": [60]}
        with pytest.raises(ValueError, match=rf"features\['a'\] has .*{message}"):
            cut_pairs(pairs, {"a": file["a"]}, feature_rate=1)


@pytest.mark.parametrize("name", ["_FillValue", "missing_value"])
def test_numbers_that_stand_for_none_are_refused(attributed, hdf5, out, name):
    path = attributed(**{name: np.float32(-9999)})
    with h5py.File(path, "a") as file:
        expected = file["a"][:]
    assert_array_equal(read_hdf5(path, out=out)["a"], expected)
    shutil.rmtree(out)
    with h5py.File(path, "a") as file:
        file["a"][2, 1] = -9999
    with pytest.raises(ValueError, match=rf"under '/a' .* -9999.0, which .*\({name}\)"):
        read_hdf5(path, out=out)
    message = rf"-9999.0, which stands for a missing number \({name}\)"
    pairs = {"video": ["a"], "y": [0], "past_start": [0], "past_stop": [90]}
    pairs |= {"future_start": [0], "future_stop": [90]}
    with h5py.File(path) as file:
        view = RowView(file["a"])
        assert_array_equal(view.take([1, 3]), expected[[1, 3]])
        for read in (
            lambda: np.asarray(view),
            lambda: view.channels(1, 2).take([2]),
            lambda: SmoothedAnticipator(MLP(2)).fit(view, [0, 1] * 2),
            lambda: SmoothedAnticipator(MLP(2)).fit(file["a"], [0, 1] * 2),
            lambda: FeatureTable.from_arrays(file),
            lambda: cut_pairs(pairs, {"a": file["a"]}, feature_rate=1),
        ):
            with pytest.raises(ValueError, match=message):
                read()


def test_fill_values_of_a_dataset_stand_for_missing_numbers(hdf5, out):
    expected = np.array([[1, 2], [-999, 4], [5, 6]], "<f4")
    with h5py.File(hdf5, "w") as file:
        file.create_dataset("a", data=expected, fillvalue=-999.0)
        file.create_dataset("codes", data=expected.astype("i2"), fillvalue=-999)
        file.create_dataset("plain", data=expected[::2], fillvalue=-999.0)
        file.create_dataset("zeros", data=expected * 0, fillvalue=0.0)
    with pytest.raises(ValueError, match=r"some are -999.0, .*\(fillvalue\)"):
        read_hdf5(hdf5, out=out)
    with h5py.File(hdf5) as file:
        with pytest.raises(ValueError, match=r"some are -999.0, .*\(fillvalue\)"):
            np.asarray(RowView(file["a"]))
        assert_array_equal(RowView(file["codes"]), expected)
        assert_array_equal(RowView(file["plain"]), expected[::2])
        assert_array_equal(RowView(file["zeros"]), expected * 0)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"scale_factor": 0.5}, r"packed by scale_factor=0.5"),
        ({"MATLAB_class": np.bytes_("double")}, "MATLAB wrote"),
        ({"_FillValue": np.float32(6)}, r"some are 6.0, .*\(_FillValue\)"),
    ],
)
def test_datasets_in_a_list_are_looked_at_each(tmp_path, attributes, message):
    clips = np.arange(24.0, dtype="f4").reshape(4, 3, 2)
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        for name, clip in zip("abcd", clips, strict=True):
            file[name] = clip
        listed = [file[name] for name in "abcd"]
        model = SmoothedAnticipator(LSTM(2), max_epochs=1).fit(listed, [0, 1] * 2)
        file["b"].attrs.update(attributes)
        for read, name in (
            (lambda: model.fit(listed, [0, 1] * 2), "X_past"),
            (lambda: model.predict(listed), "X"),
            (lambda: PerFrame(StandardScaler()).fit(listed), "X"),
            (lambda: pad_clips(listed), "clips"),
            (lambda: first_fraction(listed, 0.5), "clips"),
            (lambda: trimmed_pairs(listed, n_steps=1, gap=0), "clips"),
        ):
            with pytest.raises(ValueError, match=rf"{name}\[1\] has .*{message}"):
                read()


def test_labels_that_a_file_says_are_missing(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([0, 1, 2, 0, 1, -9])
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["y"] = y
        model = SmoothedAnticipator(MLP(2), max_epochs=1)
        with pytest.warns(UserWarning, match="-9"):  # which looks like a mark
            model.fit(X, file["y"])
        assert model.classes_.tolist() == [-9, 0, 1, 2]
        file["y"].attrs["_FillValue"] = -9
        with pytest.raises(ValueError, match=r"some are -9, .*_FillValue.* Write what"):
            model.fit(X, file["y"])
        del file["y"].attrs["_FillValue"]
        file["y"].attrs["scale_factor"] = 0.5
        with pytest.raises(ValueError, match="packed by scale_factor"):
            model.fit(X, file["y"])


def test_packed_numbers_are_refused_wherever_numbers_come_in(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([0, 1] * 3)
    model = SmoothedAnticipator(MLP(2), max_epochs=1).fit(X, y)
    with h5py.File(tmp_path / "numbers.h5", "w") as file:
        file["scores"], file["rows"], file["X"] = np.eye(2)[y], np.arange(6) + 1, X
        for data in file.values():
            data.attrs["scale_factor"] = 0.5
        scores, rows = file["scores"], file["rows"]
        segments = {"video": list("aaaaaa"), "action": y}
        for read in (
            lambda: top_k_accuracy(y, scores, k=1),
            lambda: model.fit(X, y, sample_weight=rows),
            lambda: model.fit(X, y, groups=rows),
            lambda: label_history(segments | {"start_frame": rows, "stop_frame": rows}),
            lambda: TopPredictionsDisplay.from_estimator(model, file["X"], y),
            lambda: TeacherEnsemble([model]).fit(file["X"], y),
        ):
            with pytest.raises(ValueError, match="packed by scale_factor"):
                read()


def test_a_fill_value_of_the_marker_marks_rows(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([0, 1, -1] * 2)
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["y"] = y
        file["y"].attrs["_FillValue"] = -1
        with pytest.warns(UserWarning, match="2 rows with y == -1 are unlabelled"):
            model = SmoothedAnticipator(MLP(2), max_epochs=1).fit(X, file["y"])
    assert model.classes_.tolist() == [0, 1]


def test_bits_of_halves_are_told_of_before_they_are_floats():
    halves = np.random.default_rng(0).normal(size=(30, 4, 3)).astype(np.float16)
    words = halves.view(np.int16)
    for read in (
        lambda clips: pad_clips(list(clips)),
        PerFrame(StandardScaler()).fit,
        lambda clips: first_fraction(clips, 0.5),
    ):
        with pytest.warns(UserWarning, match="look like the bits of float16"):
            read(words)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(halves)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_fill_values_as_xarray_writes_them_to_zarr(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    data = np.array([[1, 2], [-999, 4], [5, 6]], "<f4")
    own = -999.0 if zarr_format == 2 else 0.0
    attributes = {} if zarr_format == 2 else {"_FillValue": "AAAAAAA4j8A="}  # of <f8
    array = zarr.create_array(
        tmp_path / "a.zarr",
        data=data,
        fill_value=own,
        attributes=attributes,
        zarr_format=zarr_format,
    )
    with pytest.raises(ValueError, match=r"some are -999.0, .*\(_?[Ff]ill_?[Vv]alue"):
        np.asarray(RowView(array))
    assert_array_equal(RowView(array).take([0, 2]), data[[0, 2]])
    array.attrs["_FillValue"] = "none"
    if zarr_format == 3:
        assert_array_equal(RowView(array), data)


@pytest.mark.parametrize(
    ("dtype", "attributes", "message"),
    [
        ("i1", {"_Unsigned": "true"}, "without a sign"),
        ("u1", {"scale": 0.1}, "packed by scale=0.1"),
        ("i2", {"scale": 1.0, "zero_point": 3}, "packed by zero_point=3"),
    ],
)
def test_integers_that_stand_for_other_numbers(
    tmp_path, out, dtype, attributes, message
):
    for name, own in (("quantized", attributes), ("plain", {"scale": 1, "offset": 7})):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["a"] = np.array([[1, 2], [3, 4]], dtype)
            file["a"].attrs.update(own)
    with pytest.raises(ValueError, match=message):
        read_hdf5(tmp_path / "quantized.h5", out=out)
    with (
        h5py.File(tmp_path / "quantized.h5") as file,
        pytest.raises(ValueError, match=message),
    ):
        RowView(file["a"])
    table = read_hdf5(tmp_path / "plain.h5", out=out)
    assert table["a"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_attributes_of_the_file_are_those_of_its_data_sets(hdf5, out):
    with h5py.File(hdf5, "a") as file:
        file.attrs["scale_factor"] = 0.1
    with pytest.raises(ValueError, match="rgb.h5 has numbers packed by scale_factor"):
        read_hdf5(hdf5, out=out)


def test_attributes_that_change_nothing_are_ignored(attributed, out):
    path = attributed(
        scale_factor=1.0, add_offset=np.array([0]), units="m", _FillValue=np.nan
    )
    with h5py.File(path) as file:
        expected = file["a"][:]
        assert_array_equal(RowView(file["a"]), expected)
    assert_array_equal(read_hdf5(path, out=out)["a"], expected)


# ------------------------------------------------ LMDB, what the numbers do not tell


def test_features_that_look_like_halves_are_confirmed(write, out):
    table = np.column_stack([np.full(40, 1e-9), 0.5 + np.arange(40) % 7 / 3])
    table = np.tile(table.astype("<f4"), 8)
    path = write(rows(table, "<f4"))
    with pytest.raises(ValueError, match="If they are float32, confirm it with d="):
        read_lmdb(path, out=out)
    assert_array_equal(read_lmdb(path, out=out, d=16)["a"], table)


def test_complex_numbers_are_told_by_their_number(write, out):
    path = write(rows(NORMAL + 1j, "<c8"))
    with pytest.raises(ValueError, match="has 128 bytes .*expected 16 times 4"):
        read_lmdb(path, out=out, d=16)
    with pytest.raises(ValueError, match="expected a type of floats or integers"):
        read_lmdb(path, out=out, dtype="<c8")
