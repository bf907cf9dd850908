"""Memory maps, read through their files so that what is read does not stay."""

import os

import numpy as np

from skanticipate.data.announced import SHORT_RUN, announce
from skanticipate.data.files import cut_short


def inode_of(array):
    """What tells the file of a memory map from another of its name, else None."""
    try:
        status = os.stat(array.filename)
    except (OSError, TypeError):  # deleted, or without a name
        return None
    return status.st_dev, status.st_ino


def own_inode(array):
    """Inode of a memory map whose name still finds what is mapped, else None.

    Told by the first and the last bytes: the map itself does not name its inode.
    """
    inode = inode_of(array)
    mapped = inode and find_mapped_file(array, inode)
    if not mapped:
        return inode
    filename, start = mapped
    if os.stat(filename).st_size < start + array.nbytes:  # reading will say so
        return inode
    shown = array.reshape(-1).view(np.ndarray).view(np.uint8)
    with open(filename, "rb", buffering=0) as file:
        for first in (0, max(0, array.nbytes - 64)):
            file.seek(start + first)
            if file.read(64) != shown[first : first + 64].tobytes():
                return None
    return inode


def find_mapped_file(array, inode):
    """File name and byte position of a read-only, contiguous memory map, else None.

    Only read-only maps: what a writable map holds may not be in the file yet. Only
    while the name is that of the same file (`inode`): the map outlives its file, and
    what replaced it holds other rows.
    """
    readable = (
        isinstance(array, np.memmap)
        and array.mode == "r"
        and array.filename is not None
        and array.flags.c_contiguous
        and array.size > 0
    )
    if not readable or inode is None or inode_of(array) != inode:
        return None
    root = array  # a slice of a map repeats the offset of the whole
    while isinstance(root.base, np.memmap):
        root = root.base
    return array.filename, root.offset + array.ctypes.data - root.ctypes.data


def as_sent(array):
    """The array, or a copy where a worker would be sent other bytes of its file.

    joblib sends the name of the file of a map, a place in it and strides. What was
    written into a map of mode "c" is not in the file, and it does not know strides that
    go back.
    """
    root = array
    while isinstance(root, np.ndarray) and not isinstance(root, np.memmap):
        root = root.base
    is_whole = not isinstance(root, np.memmap) or root.mode != "c"
    return array if is_whole and min(array.strides, default=0) >= 0 else np.array(array)


def read_map(filename, start, array, rows):
    """Rows (m,) of a map that begins at byte `start` of its file.   -> (m, ...)."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(array):
        raise IndexError(f"row {rows.max()} of a memory map of {len(array)} rows")
    n_bytes = array.itemsize * int(np.prod(array.shape[1:]))
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    # Shorter reads cost more as calls to the system than through the map.
    if len(rows) * n_bytes < SHORT_RUN * (len(breaks) + 1):
        # The map does not notice that its file was cut short: it ends the process.
        if len(rows) and os.stat(filename).st_size < start + (rows.max() + 1) * n_bytes:
            raise cut_short(filename)
        return np.asarray(array[rows])
    out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    raw = memoryview(out.reshape(-1).view(np.uint8))
    runs = np.split(np.arange(len(rows)), breaks)
    places = [start + int(rows[run[0]]) * n_bytes for run in runs]
    with open(filename, "rb", buffering=0) as file:
        sizes = [len(run) * n_bytes for run in runs]
        announce(file.fileno(), zip(places, sizes, strict=True))
        for place, run in zip(places, runs, strict=True):
            file.seek(place)
            _read_exactly(file, raw[run[0] * n_bytes : (run[-1] + 1) * n_bytes])
    return out


def _read_exactly(file, buffer):
    while len(buffer):
        count = file.readinto(buffer)
        if not count:
            raise cut_short(file.name)
        buffer = buffer[count:]
