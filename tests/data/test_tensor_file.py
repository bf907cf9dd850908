import numpy as np
import pytest

from skanticipate.data.tensor_file import read_tensors, write_tensors

TENSORS = {
    "a": np.arange(6.0).reshape(2, 3),
    "b": np.float32(2.5),
    "c": np.zeros((0, 2), np.int64),
    "d": np.arange(6, dtype=np.uint8).reshape(2, 3).T,
    "e": np.array([True, False]),
}


def test_what_is_written_is_read(tmp_path):
    description = {"list": [1, 0.1, None, "text"]}
    write_tensors(tmp_path / "a", TENSORS, description)
    tensors, found = read_tensors(tmp_path / "a")
    assert found == description
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert (tensors[name] == tensor).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_damage_is_an_error(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, TENSORS, "text")
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=str(path)):
            read_tensors(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=str(path)):
        read_tensors(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "a")
