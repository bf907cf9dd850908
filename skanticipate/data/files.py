"""What tells that a file is still the one that was read, and still whole."""

import contextlib
import hashlib
import os

import numpy as np


def file_marks(path):
    """Marks of a file that no replacement keeps, with the same size and date neither.

    -> (inode, size, time of the last change of the contents, and of the file's entry)
    """
    with open(path, "rb") as file, contextlib.suppress(OSError):
        # What a writable map changes gets a date only where its page is on the disk;
        # a file system in memory gives it none.
        os.fsync(file.fileno())
    stat = os.stat(path)
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


_N_PIECES, _PIECE = 64, 4096  # and bytes of each


def pieces_hash(path, start, n_bytes):
    """Hash of some pieces of a part of a file, its first and last bytes among them.

    Of up to 256 KiB it is that of all bytes. What a map has changed gets into the file
    before, and a later change gets a date of its own.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        with contextlib.suppress(OSError):
            os.fsync(file.fileno())
        last = max(0, n_bytes - _PIECE)
        for number in range(_N_PIECES):
            file.seek(start + last * number // (_N_PIECES - 1))
            digest.update(file.read(min(_PIECE, n_bytes)))
    return digest.hexdigest()


def sample_mark(path):
    """Mark of a file by its size, its beginning and pieces of the rest.   -> str.

    It stays with a copy of the file, whatever name and date that has; and is quickly
    made of any size. Few bytes that differ between the pieces it does not tell.
    """
    size = os.path.getsize(path)
    beginning = pieces_hash(path, 0, min(size, _N_PIECES * _PIECE))
    return f"{size} {beginning} {pieces_hash(path, 0, size)}"


def check_whole_map(array):
    """Refuse to read a memory map whose file was cut short.

    The system does not refuse: it ends the process (SIGBUS). It still does if the file
    is cut between this look at its size and the reading, or fails on its device.

    Parameters
    ----------
    array : ndarray
        A memory map or a view of one; of any other array nothing is looked at.

    Raises
    ------
    OSError
        If the file, whatever its name is by now, ends before the map does.
    """
    root = _whole_map(array)
    mapped = getattr(root, "_mmap", None)
    if mapped is not None and mapped.size() < root.offset + root.nbytes:
        raise cut_short(root.filename)


def is_mapped(array):
    """Whether an array is a memory map or a view of one."""
    return _whole_map(array) is not None


def _whole_map(array):
    """The map of which an array is a view, None where there is none."""
    root = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            root = array  # of slices of a map the largest: only it knows its offset
        array = array.base
    return root


def cut_short(path):
    """Error of a file that became shorter than the memory map of it."""
    return OSError(
        f"{path} ended before the rows that its memory map promises: the file was "
        "cut short; write it again."
    )
