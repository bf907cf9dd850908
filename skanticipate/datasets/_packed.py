"""Arrays in an archive that `numpy.savez` wrote, and nothing that only looks so."""

import io
import math
import os
import sys
import zipfile

import numpy as np


def unpacked(path, names):
    """Read arrays of an archive, for which no more memory is taken than it is long.

    Parameters
    ----------
    path : path-like
    names : sequence of str

    Returns
    -------
    list of ndarray

    Raises
    ------
    Exception
        Of any kind, from what damage makes of an archive. What is compressed, or says
        that it holds more numbers than there are, is a ValueError.
    """
    with zipfile.ZipFile(path) as archive:
        return [_array(archive, f"{name}.npy") for name in names]


def check_header(path):
    """Refuse an array in a file whose header says that it is longer than the file.

    NumPy takes memory for it before it reads.

    Raises
    ------
    ValueError
        If it is.
    """
    with open(path, "rb") as file:
        start = file.read(12)
    if (
        start[6:7] > b"\1"
        and int.from_bytes(start[8:], "little") > os.stat(path).st_size
    ):
        raise ValueError("its header is longer than the file")


def _array(archive, name):
    told = archive.getinfo(name)
    if told.compress_type != zipfile.ZIP_STORED or told.file_size != told.compress_size:
        raise ValueError(f"{name} is compressed")
    content = archive.read(told)
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is of another version")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    start = file.tell()
    n_bytes = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or n_bytes != len(content) - start:
        raise ValueError(f"{name} holds other numbers than it says")
    if dtype.kind == "U":
        letters = np.dtype("u4").newbyteorder(dtype.byteorder)
        if (
            np.frombuffer(content, letters, offset=start).max(initial=0)
            > sys.maxunicode
        ):
            raise ValueError(f"{name} holds no text")
    array = np.ndarray(shape, dtype, content, start, order="FC"[not columns_first])
    return array.copy()
