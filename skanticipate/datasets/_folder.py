"""Folders of features: two files, written once and read often."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skanticipate.data.whole_file import worded
from skanticipate.datasets._packed import unpacked

FEATURES, INDEX = "features.npy", "index.npz"
_MADE_OF = "made_of"


class Room(NamedTuple):
    """Where a folder of features will be, and the bytes that are free there."""

    out: str
    folder: str  # the next one above that is there
    free: int


def absent(out):
    """Refuse to write over what is there.   -> Path."""
    out = Path(out)
    if out.exists():
        raise FileExistsError(
            f"{out} exists: open it with open_features, remove it, or choose another "
            "out."
        )
    return out


def room_for(out):
    """Room for a folder that is not there yet.   -> Room."""
    folder = next(p for p in out.absolute().parents if p.exists())
    return Room(os.fspath(out), os.fspath(folder), shutil.disk_usage(folder).free)


def check_room(room, n_frames, d, dtype):
    """Refuse to write more than there is room for, before anything is written."""
    needed = (n_frames + 1) * d * dtype.itemsize + 8 * n_frames
    if needed > room.free:
        raise ValueError(
            f"{n_frames} frames of {d} x {dtype} need {needed / 1e9:,.1f} GB, and "
            f"{room.folder} has {room.free / 1e9:,.1f} GB left: expected room for "
            "them. Choose another out, or get the file again if it has not as many."
        )


def write_features(folder, out, videos, first, frames, key, blocks, *, made_of=()):
    """Write the two files of a folder of features.

    Parameters
    ----------
    folder : path-like
        In which they are written: an empty one, until they are whole.
    out : path-like
        What errors call it.
    videos, first, frames : ndarray
        As in `FeatureTable`.
    key : str
        Format of the name of a frame, of `video` and `frame`.
    blocks : iterable of ndarray of shape (k, d)
        All frames in order, in blocks of one floating-point type and one d.
    made_of : sequence of str, default=()
        Marks of the files that they were read from.

    Raises
    ------
    OSError
        If they cannot be written, as on a full disk: names `out`.
    """
    with worded(out):
        index = {"videos": videos, "first": first, "frames": frames, "key": key}
        index[_MADE_OF] = np.array(made_of, dtype=str)
        np.savez(Path(folder) / INDEX, **index)
        file = open(Path(folder) / FEATURES, "wb", buffering=1 << 20)  # noqa: SIM115
    try:
        for number, block in enumerate(blocks):
            with worded(out):  # and not what reading the next block raises
                if number == 0:
                    padding = np.full_like(block[:1], np.nan)
                    _write_header(file, padding, len(frames) + 1)
                file.write(np.ascontiguousarray(block))
        with worded(out):
            file.write(padding)
            file.flush()
    finally:
        file.close()


def marks_of_sources(folder):
    """Marks of the files that features were made of, none where it is not known.

    -> list of str
    """
    try:
        (marks,) = unpacked(Path(folder) / INDEX, [_MADE_OF])
    except Exception:  # of an earlier version, which told none
        return []
    return marks.tolist()


def _write_header(file, row, n_rows):
    header = {
        "descr": np.lib.format.dtype_to_descr(row.dtype),
        "fortran_order": False,
        "shape": (n_rows, row.shape[1]),
    }
    np.lib.format.write_array_header_1_0(file, header)
