"""Features in half precision that were written as the whole numbers of their bits."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import MLP, SmoothedAnticipator
from skanticipate.datasets import FeatureTable, read_hdf5, read_npy

NORMAL = np.random.default_rng(0).standard_normal((200, 16), dtype=np.float32)
BFLOAT16 = np.ascontiguousarray(NORMAL).view("<u2")[:, 1::2]
RECTIFIED = np.ascontiguousarray(np.maximum(NORMAL, 0)).view("<u2")[:, 1::2]
BITS = {
    "bfloat16": BFLOAT16,
    "bfloat16, signed": BFLOAT16.view("<i2"),
    "bfloat16, big-endian": BFLOAT16.astype(">u2"),
    "bfloat16, rectified": RECTIFIED,
    "float16": NORMAL.astype("<f2").view("<u2"),
    "float16, small": (NORMAL / 20).astype("<f2").view("<i2"),
}
NUMBERS = {
    "sound": np.rint(3000 * NORMAL).astype("<i2"),
    "depth": np.rint(4000 + 400 * NORMAL).astype("<u2"),
    "pixels": np.abs(np.rint(60 * NORMAL)).astype("<u2"),
    "counts": np.random.default_rng(0).poisson(2, NORMAL.shape).astype("<i2"),
    "of all values": np.arange(3200, dtype="<u2").reshape(200, 16) * 20,
    "one value": np.full((200, 16), 16256, dtype="<u2"),
}


def npy(path, table):
    (path / "in").mkdir()
    np.save(path / "in" / "a.npy", table)
    return read_npy(path / "in", out=path / "out")


def hdf5(path, table):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path / "rgb.h5", "w") as file:
        file["a"] = table
    return read_hdf5(path / "rgb.h5", out=path / "out")


def arrays(path, table):
    return FeatureTable.from_arrays({"a": table})


@pytest.mark.parametrize("read", [npy, hdf5, arrays])
@pytest.mark.parametrize("name", BITS)
def test_bits_are_no_features(name, read, tmp_path):
    kind = name.partition(",")[0]
    match = f"whole numbers of 16 bits, .* of {kind} .*as float32, if they are numbers"
    with pytest.raises(ValueError, match=match):
        read(tmp_path, BITS[name])


@pytest.mark.parametrize("name", NUMBERS)
def test_whole_numbers_stay_what_they_are(name, tmp_path):
    for read in (npy, arrays):
        found = read(tmp_path, NUMBERS[name])["a"]
        assert_array_equal(found, NUMBERS[name].astype(np.float32))


@pytest.mark.parametrize("name", BITS)
def test_a_fit_on_bits_is_warned_of(name):
    model = SmoothedAnticipator(MLP(4), max_epochs=1)
    kind = name.partition(",")[0]
    with pytest.warns(UserWarning, match=f"16 bits, .*, .* like the bits of {kind}"):
        model.fit(BITS[name], np.arange(200) % 3)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_fit_on_numbers_is_not(name):
    model = SmoothedAnticipator(MLP(4, embedding=None), max_epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(NUMBERS[name], np.arange(200) % 3)
