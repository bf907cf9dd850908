"""Files of tensors: what comes back, what is refused, and when it is refused."""

import hashlib
import json
import os
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file

from skanticipate.data.tensor_file import (
    map_tensor,
    read_tensors,
    write_batches,
    write_tensors,
)

TENSORS = {
    "bytes": np.arange(3, dtype=np.uint8),
    "matrix": np.arange(6.0).reshape(2, 3),
    "scalar": np.array(2.5, dtype=np.float32),
    "none": np.empty((0, 4), dtype=np.int64),
    "mask": np.array([True, False]),
}
DESCRIPTION = {"a": [1, None, 'é"\\[[[{'], "nan": 0.5}


@pytest.fixture
def path(tmp_path):
    write_tensors(tmp_path / "file", TENSORS, DESCRIPTION)
    return tmp_path / "file"


def taken_apart(path):
    """Header as JSON, and the numbers."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put_together(path, header, numbers, pad=True):
    """A file whose checksum is right, as the format says: zeros in its place."""
    text = (
        header
        if isinstance(header, bytes)
        else json.dumps(header, separators=(",", ":")).encode()
    )
    if pad:
        text += b" " * (-len(text) % 8)
    content = len(text).to_bytes(8, "little") + text + numbers
    mark = b'{"__metadata__":{"checksum":"'
    if text.startswith(mark):
        place = 8 + len(mark)
        blank = content[:place] + b"0" * 64 + content[place + 64 :]
        digest = hashlib.blake2b(blank, digest_size=32).hexdigest().encode()
        content = content[:place] + digest + content[place + 64 :]
    path.write_bytes(content)


# ------------------------------------------------------------------- what comes back


def test_tensors_and_their_description_come_back(path):
    tensors, description = read_tensors(path)
    assert description == DESCRIPTION
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert_array_equal(tensors[name], array)
        assert (tensors[name].dtype, tensors[name].shape) == (array.dtype, array.shape)


def test_safetensors_reads_the_same(path):
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == set(TENSORS)
        for name, array in TENSORS.items():
            assert_array_equal(file.get_tensor(name), array)
        assert json.loads(file.metadata()["description"]) == DESCRIPTION


def test_a_file_that_is_put_together_by_hand_is_read(path):
    header, numbers = taken_apart(path)
    put_together(path, header, numbers)
    assert_array_equal(read_tensors(path)[0]["matrix"], TENSORS["matrix"])


def test_the_same_content_gives_the_same_bytes(path, tmp_path):
    write_tensors(tmp_path / "other", TENSORS, DESCRIPTION)
    assert (tmp_path / "other").read_bytes() == path.read_bytes()


def test_numbers_lie_at_multiples_of_their_size(path):
    header, _ = taken_apart(path)
    start = int.from_bytes(path.read_bytes()[:8], "little")
    assert start % 8 == 0
    for name, array in TENSORS.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


@pytest.mark.parametrize(
    "array", [np.ones(2, complex), np.array(["a"]), np.ones(1, "O")]
)
def test_arrays_of_other_kinds_are_not_written(array, tmp_path):
    with pytest.raises(TypeError, match="a is an array of .* expected numbers"):
        write_tensors(tmp_path / "file", {"a": array}, None)
    assert os.listdir(tmp_path) == []


def test_what_nests_too_deeply_is_not_written(tmp_path):
    deep = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ValueError, match="more than 256 containers within each other"):
        write_tensors(tmp_path / "file", {}, deep)
    assert os.listdir(tmp_path) == []


# --------------------------------------------------------------------------- damage


def unnoticed(path, bits, read):
    """Bits, of those given, of which nobody notices that they have changed."""
    content, missed = path.read_bytes(), []
    with open(path, "r+b", buffering=0) as file:
        for bit in map(int, bits):
            byte = content[bit // 8]
            for changed in (byte ^ 1 << bit % 8, byte):
                file.seek(bit // 8)
                file.write(bytes([changed]))
                if changed == byte:
                    continue
                try:
                    read(path)
                except ValueError as error:
                    assert path.name in str(error)
                else:
                    missed.append(bit)
    assert path.read_bytes() == content
    read(path)
    return missed


def test_every_single_bit_counts(tmp_path):
    path = tmp_path / "file"
    write_tensors(path, {"a": np.ones(2), "b": np.array([True])}, {"a": 1})
    assert unnoticed(path, range(8 * path.stat().st_size), read_tensors) == []


def test_random_bits_of_a_larger_file_count(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "file"
    write_tensors(path, {"a": rng.normal(size=4000), "b": np.ones(9)}, ["x"] * 200)
    bits = rng.integers(8 * path.stat().st_size, size=2000)
    assert unnoticed(path, bits, read_tensors) == []


def test_every_length_but_the_right_one_is_refused(path):
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged|no readable"):
            read_tensors(path)
    for more in (b"\0", b"\0" * 8, content):
        path.write_bytes(content + more)
        with pytest.raises(ValueError, match="damaged"):
            read_tensors(path)


# ---------------------------------------- files that are intact, and meant to do harm


def entry(shape, offsets, dtype="F64"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HARMFUL = {
    "ten terabytes": entry([10**13 // 8], [0, 10**13]),
    "a product that overflows": entry([2**32, 2**32], [0, 8]),
    "a product that overflows to 0": entry([2**62, 4], [0, 0]),
    "an empty array of no size": entry([0, 2**62, 2**62], [0, 0]),
    "a negative size": entry([-1], [0, 8]),
    "two negative sizes": entry([-1, -1], [0, 8]),
    "a size that is a bool": entry([True], [0, 8]),
    "a size that is a float": entry([1.0], [0, 8]),
    "a size that is a text": entry(["1"], [0, 8]),
    "a shape that is a number": entry(1, [0, 8]),
    "a thousand axes": entry([1] * 1000, [0, 8]),
    "offsets that go back": entry([1], [8, 0]),
    "offsets that are negative": entry([1], [-8, 0]),
    "three offsets": entry([1], [0, 8, 8]),
    "an offset out of the file": entry([1], [8, 16]),
    "an end out of the file": entry([2], [0, 16]),
    "an unknown type": entry([1], [0, 8], "F128"),
    "a type that is a list": entry([1], [0, 8], ["F64"]),
    "no type": {"shape": [1], "data_offsets": [0, 8]},
    "more than is known": entry([1], [0, 8]) | {"more": 1},
    "no description at all": 3,
    "bools that are none": entry([8], [0, 8], "BOOL"),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_a_header_that_promises_what_is_not_there_takes_no_memory(case, path):
    header, _ = taken_apart(path)
    only = {"__metadata__": header["__metadata__"], "a": HARMFUL[case]}
    put_together(path, only, b"\7" * 8)
    tracemalloc.start()
    with pytest.raises(ValueError, match="is damaged: .* write it again"):
        read_tensors(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6


@pytest.mark.parametrize(
    "offsets", [([0, 8], [0, 8]), ([0, 8], [4, 12]), ([0, 8], [9, 17]), ([8, 16],) * 2]
)
def test_tensors_that_overlap_or_leave_a_hole_are_refused(offsets, path):
    header, _ = taken_apart(path)
    found = {f"{k}": entry([1], place) for k, place in enumerate(offsets)}
    put_together(path, {"__metadata__": header["__metadata__"], **found}, bytes(16))
    with pytest.raises(ValueError, match="not at the place that its shape takes"):
        read_tensors(path)


def test_numbers_that_belong_to_nothing_are_refused(path):
    header, numbers = taken_apart(path)
    put_together(path, header, numbers + bytes(8))
    with pytest.raises(ValueError, match="bytes of numbers, expected"):
        read_tensors(path)


@pytest.mark.parametrize("place", ["header", "description"])
@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**6, '[1,"]"' * 1000])
def test_nesting_of_any_depth_is_refused(text, place, path):
    header, numbers = taken_apart(path)
    if place == "description":
        header["__metadata__"]["description"] = text
        put_together(path, header, numbers)
    else:
        known = json.dumps(header, separators=(",", ":")).encode()
        put_together(path, known[:-1] + b',"a":' + text.encode() + b"}", numbers)
    with pytest.raises(ValueError, match="damaged|no readable"):
        read_tensors(path)


@pytest.mark.parametrize("depth", [10, 255])
def test_brackets_in_strings_are_not_nesting(depth, tmp_path):
    description = "[" * 10**5 + '\\"{' * 10**5
    for _ in range(depth):
        description = [description]
    write_tensors(tmp_path / "file", {}, description)
    assert read_tensors(tmp_path / "file")[1] == description


def test_a_name_that_stands_twice_is_refused(path):
    header, numbers = taken_apart(path)
    text = json.dumps(header, separators=(",", ":")).encode()
    twice = json.dumps({"mask": header["mask"]}).encode()[1:]
    put_together(path, text[:-1] + b"," + twice, numbers)
    with pytest.raises(ValueError, match="no readable"):
        read_tensors(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**8 + 8, 0])
def test_a_length_of_the_header_that_is_not_there(length, path):
    content = path.read_bytes()
    path.write_bytes(length.to_bytes(8, "little") + content[8:])
    with pytest.raises(ValueError, match="no readable safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("header", [b"[]", b"3", b'"a"', b'{"__metadata__":3}', b"{}x"])
def test_a_header_of_another_kind_is_refused(header, path):
    put_together(path, header, b"")
    with pytest.raises(ValueError, match="no readable safetensors file"):
        read_tensors(path)


# -------------------------------------------------------------------- other files


def test_a_file_of_another_format_says_who_wrote_it(tmp_path):
    path = tmp_path / "file"
    numbers = {"a": np.zeros(1)}  # without any, safetensors 0.4.3 writes no JSON
    save_file(numbers, path, {"format": "skanticipate 1", "tree": "null"})
    message = r"written by skanticipate 0\.1\.0\.dev0, before files had a checksum"
    with pytest.raises(ValueError, match=message):
        read_tensors(path)
    save_file(numbers, path, {"format": "skanticipate 3", "version": "7.1"})
    message = r"by skanticipate 7\.1: .* reads 'skanticipate 2'.*install that version"
    with pytest.raises(ValueError, match=message):
        read_tensors(path)
    save_file(numbers, path, {"format": "skanticipate 2", "description": "null"})
    with pytest.raises(ValueError, match="it has no checksum in its place"):
        read_tensors(path)


def test_files_of_other_kinds_are_named(tmp_path):
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"looks like an array that numpy has saved"):
        read_tensors(tmp_path / "array.npy")
    with pytest.raises(IsADirectoryError, match="a folder: name a file in it"):
        read_tensors(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "nothing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no ordinary file"):
        read_tensors(tmp_path / "pipe")
    with pytest.raises(OSError, match="no ordinary file"):
        write_tensors(tmp_path / "pipe", {}, None)


# ------------------------------------------------------------ larger than memory


def batches(n_rows=5):
    rows = np.arange(n_rows * 6, dtype=np.float32).reshape(n_rows, 2, 3)
    return rows, (rows[k : k + 2] for k in range(0, n_rows, 2))


def test_batches_become_one_array(tmp_path):
    rows, parts = batches()
    write_batches(tmp_path / "maps", parts, 5, {"key": "k"})
    found, description = map_tensor(tmp_path / "maps")
    assert isinstance(found, np.memmap) and description == {"key": "k"}
    assert_array_equal(found, rows)
    with safe_open(tmp_path / "maps", framework="numpy") as file:
        assert_array_equal(file.get_tensor("maps"), rows)


@pytest.mark.parametrize("n_rows", [4, 6])
def test_batches_of_other_lengths_leave_nothing(n_rows, tmp_path):
    with pytest.raises(ValueError, match="have 5 rows in all, expected"):
        write_batches(tmp_path / "maps", batches()[1], n_rows, None)
    assert os.listdir(tmp_path) == []


def test_batches_of_other_shapes_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="a file holds one array"):
        write_batches(tmp_path / "maps", [np.ones((1, 2)), np.ones((1, 3))], 2, None)
    assert os.listdir(tmp_path) == []


def test_every_bit_of_the_header_of_an_array_counts(tmp_path):
    path = tmp_path / "maps"
    write_batches(path, batches()[1], 5, {"key": "k"})
    bits = range(8 * (path.stat().st_size - batches()[0].nbytes))
    assert unnoticed(path, bits, map_tensor) == []


def test_one_kind_of_file_is_not_taken_for_the_other(path, tmp_path):
    write_batches(tmp_path / "maps", batches()[1], 5, None)
    with pytest.raises(ValueError, match="it has no checksum in its place"):
        read_tensors(tmp_path / "maps")
    with pytest.raises(ValueError, match="it has no checksum of header in its place"):
        map_tensor(path)
