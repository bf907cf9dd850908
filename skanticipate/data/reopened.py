"""Arrays that a pickle names by their files: opened again, and seen to be the same.

Row numbers mean something in one array only. A file that was written again, with a
video more, has other rows under the same numbers.
"""

import hashlib
import math
import os
import sys
from functools import partial

import numpy as np

from skanticipate.data.files import file_marks, pieces_hash, sample_mark
from skanticipate.data.warn import warn


def map_of(filename, position, base):
    """What `open_map` takes of a memory map.   -> tuple."""
    held = _held_by_map(position, base.nbytes, filename)
    return filename, position, base.dtype, base.shape, file_marks(filename), held


def open_map(filename, position, dtype, shape, marks, held):
    """Map a file again.   -> memmap.

    Raises
    ------
    ValueError
        If numpy has saved an array of another shape or type there.

    Warns
    -----
    UserWarning
        If the array has other numbers by now.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    _check_same(filename, marks, held, partial(_held_by_map, position, n_bytes))
    return np.memmap(filename, dtype=dtype, mode="r", offset=position, shape=shape)


def dataset_of(dataset):
    """What `open_dataset` takes of a dataset of h5py.   -> tuple.

    Raises
    ------
    TypeError
        If another process could not open it.
    """
    file = dataset.file
    if file.mode != "r" or not os.path.exists(file.filename):
        raise TypeError(
            f"The dataset {dataset.name} of {file.filename} cannot be sent to another "
            "process: its file must lie on disk and be opened with mode 'r'. Open it "
            "so, or set n_jobs=1."
        )
    path = os.path.abspath(file.filename)
    return path, dataset.name, file_marks(path), _held_by_dataset(dataset, path)


def open_dataset(filename, name, marks, held):
    """Open a dataset of h5py again.   -> Dataset.

    Raises and warns as `open_map`, where its shape or type is another, or the file was
    changed.
    """
    import h5py

    dataset = h5py.File(filename, "r")[name]
    _check_same(filename, marks, held, partial(_held_by_dataset, dataset))
    return dataset


def _held_by_map(position, n_bytes, filename):
    """What tells the layout of a file, and what tells the numbers in it.   -> tuple."""
    return _header_of(filename), pieces_hash(filename, position, n_bytes)


def _header_of(filename):
    """Hash of the header of an array that numpy has saved; of plain bytes none."""
    with open(filename, "rb") as file:
        start = file.read(12)
        if not start.startswith(b"\x93NUMPY"):
            return ""
        first = 10 if start[6] == 1 else 12  # of the header, after its length
        header = start[first:] + file.read(int.from_bytes(start[8:first], "little"))
    return hashlib.blake2b(
        header[: len(header) - 12 + first], digest_size=8
    ).hexdigest()


def _held_by_dataset(dataset, filename):
    return layout_of(dataset), sample_mark(filename)


def layout_of(array):
    """Shape and type of anything that holds rows, as a text."""
    return f"{tuple(array.shape)} {array.dtype}"


def check_layout(array, layout):
    """Refuse a store, such as one of zarr, that was written again with other rows.

    Raises
    ------
    ValueError
        If `layout_of` gives something else than it did.
    """
    zarr = sys.modules.get("zarr")
    if zarr is not None and hasattr(array, "store_path"):  # its pickle has the old one
        array = zarr.open_array(array.store_path, mode="r")
    if layout_of(array) != layout:
        raise _written_again(f"{array!r:.200}")


def _check_same(filename, marks, held, look):
    """Look at a file, unless it has the inode, size and date that it had."""
    if file_marks(filename)[:3] == tuple(marks[:3]):
        return
    layout, numbers = look(filename)
    if layout != held[0]:
        raise _written_again(filename)
    if numbers != held[1]:
        warn(
            f"{filename} was changed after rows of it were pickled: their numbers may "
            "be those of other clips by now. Cut the clips again where they are."
        )


def _written_again(what):
    return ValueError(
        f"{what} was written again, with another shape or type, after rows of it were "
        "pickled: their numbers are those of the old one. Cut the clips again, or "
        "restore it."
    )
