"""Files of tensors with a description: written whole, and read if they are intact.

They are safetensors files, which others read too; `tensor_header` says what is added.
"""

import errno
import hashlib
import os
import stat
from contextlib import contextmanager

import numpy as np

from skanticipate.data.tensor_header import (
    HEADER,
    WHOLE,
    damaged,
    make_header,
    read_header,
    signed,
    storable,
)
from skanticipate.data.whole_file import whole_file


def write_tensors(path, tensors, description):
    """Write arrays and a description; an old file stays until the new one is whole.

    Parameters
    ----------
    path : str or path-like
    tensors : dict of str to ndarray
        Of numbers of 8 to 64 bits, or of bools.
    description : object
        What JSON can hold.

    Raises
    ------
    OSError
        If it cannot be written; the old file is as it was.
    TypeError
        If an array is of another kind.
    ValueError
        If the description is nested too deeply, or too long, to be read again.
    """
    arrays = {name: _as_stored(name, array) for name, array in tensors.items()}
    # Large items first: so all of them are aligned.
    names = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    layout = {name: (arrays[name].dtype, arrays[name].shape) for name in names}
    header = make_header(layout, description, WHOLE)
    digest = _hash(header)
    for name in names:
        digest.update(_bytes_of(arrays[name]))
    with whole_file(path) as write:
        write(signed(header, digest, WHOLE))
        for name in names:
            write(_bytes_of(arrays[name]))


def read_tensors(path):
    """Read what `write_tensors` wrote.   -> (dict of str to ndarray, description).

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is damaged, of another format, or no such file at all.
    """
    with _opened(path) as (file, size):
        header = read_header(path, file, size, WHOLE)
        digest = _hash(header.blanked)
        tensors = {}
        for name, (dtype, shape) in header.layout.items():
            tensors[name] = np.empty(shape, dtype)
            data = _bytes_of(tensors[name])
            if file.readinto(data) != len(data):
                raise damaged(path, "it became shorter while it was read")
            digest.update(data)
    if digest.hexdigest().encode() != header.checksum:
        raise damaged(path, "its checksum is that of other contents")
    for name, array in tensors.items():
        if array.dtype == bool and array.view(np.uint8).max(initial=0) > 1:
            raise damaged(path, f"{name!r} holds bools other than 0 and 1")
    return tensors, header.description


# ------------------------------------------------------- a tensor larger than memory


def write_batches(path, batches, n_rows, description):
    """Write one tensor of `n_rows` rows that comes in batches (b, ...) of them.

    Its checksum covers the header only, since `map_tensor` shall not read it all.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If the batches are of different shapes, or have more or fewer rows in all.
    """
    shape, dtype, done = None, None, 0
    with whole_file(path) as write:
        for batch in batches:
            batch = _as_stored("maps", batch)
            if shape is None:
                shape, dtype = (n_rows, *batch.shape[1:]), batch.dtype
                header = make_header({"maps": (dtype, shape)}, description, HEADER)
                write(signed(header, _hash(header), HEADER))
            if (batch.shape[1:], batch.dtype) != (shape[1:], dtype):
                raise ValueError(
                    f"A batch has rows of {batch.dtype} {batch.shape[1:]}, those "
                    f"before had {dtype} {shape[1:]}: a file holds one array."
                )
            write(_bytes_of(batch))
            done += len(batch)
        if done != n_rows:
            raise ValueError(f"Batches have {done} rows in all, expected {n_rows}.")


def map_tensor(path):
    """Memory map of what `write_batches` wrote.   -> (memmap, description).

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If its header or its size are not as they were, or it is no such file.
    """
    with _opened(path) as (file, size):
        header = read_header(path, file, size, HEADER)
        if _hash(header.blanked).hexdigest().encode() != header.checksum:
            raise damaged(path, "the checksum of its header is that of another")
        if header.layout.keys() != {"maps"}:
            raise damaged(path, "it does not hold one array of maps")
        dtype, shape = header.layout["maps"]
        start = len(header.blanked)
        return np.memmap(file, dtype, "r", start, shape), header.description


# ----------------------------------------------------------------------------- bytes


@contextmanager
def _opened(path):
    """A file for reading, and its size.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is no ordinary file, of which there may be no end.
    TypeError
        If it is a number, by which the system would open a file of another's.
    """
    path = os.fspath(path)
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(
            errno.EISDIR, "this is a folder: name a file in it", path
        )
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is no ordinary file: name one that was written here.")
    with open(path, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size


def _as_stored(name, array):
    array = np.asarray(array)
    dtype = storable(array.dtype)
    if dtype is None:
        raise TypeError(
            f"{name} is an array of {array.dtype}, which a file of tensors cannot "
            "hold: expected numbers of 8 to 64 bits, or bools."
        )
    return np.asarray(array, dtype=dtype, order="C")  # keeps () as it is


def _bytes_of(array):
    return memoryview(array.reshape(-1).view(np.uint8))


def _hash(header):
    return hashlib.blake2b(header, digest_size=32)
