"""Telling the system what will be read: a disk is faster, the more it is asked for."""

import math
import os
import sys

SHORT_RUN = 1 << 16  # bytes; a shorter run is there as soon as it is announced


def announce(descriptor, runs):
    """Announce runs of an open file, which need not be read in this order.

    Parameters
    ----------
    descriptor : int
    runs : list of (int, int)
        First byte of each, and number of bytes.
    """
    if hasattr(os, "posix_fadvise"):
        for start, n_bytes in runs:
            os.posix_fadvise(descriptor, start, n_bytes, os.POSIX_FADV_WILLNEED)


def announce_rows(dataset, runs):
    """Announce rows of a dataset of h5py that lies in its file in one piece.

    Of anything else, and of short runs, nothing is said.

    Parameters
    ----------
    dataset : h5py.Dataset, zarr.Array or alike, of shape (n, ...)
    runs : list of (int, int)
        First row of each, and number of rows.
    """
    row_bytes = dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    long_runs = [(row, n) for row, n in runs if n * row_bytes >= SHORT_RUN]
    h5py = sys.modules.get("h5py")
    if not long_runs or h5py is None or not isinstance(dataset, h5py.Dataset):
        return
    begin, file = dataset.id.get_offset(), dataset.file
    if begin is not None and file.driver == "sec2":  # h5py's own, on Unix
        places = [(begin + row * row_bytes, n * row_bytes) for row, n in long_runs]
        announce(file.id.get_vfd_handle(), places)
