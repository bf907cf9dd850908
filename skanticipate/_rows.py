"""Row sources: arrays, memory maps and views of their rows, read a batch at a time."""

import os

import numpy as np

# Bytes. Shorter reads cost more as calls to the system than through the map.
_SHORT_RUN = 1 << 16


class RowView:
    """Some rows of an array, in some order, without a copy.

    Searches and cross-validation slice their input once for every fold. A slice of a
    plain array is a copy, of a memory map a copy in memory; a slice of a `RowView` is
    another view that remembers row numbers. Of a read-only memory map, runs of rows of
    64 KiB and more are read from its file, so that they do not stay in memory; shorter
    ones through the map, whose pages the system takes back when it needs them.

    Parameters
    ----------
    base : ndarray or memmap of shape (n, ...)
        The array that holds the rows.
    rows : ndarray of shape (m,) or (m, T) of int, default=None
        The rows of `base` that are seen, in order. None means all. With two axes, each
        row of the view is a clip of T rows of `base`, such as the frames of a video.

    Notes
    -----
    A view of a memory map pickles as file name and row numbers, so that worker
    processes open the file instead of receiving its contents.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate import RowView
    >>> clips = RowView(np.arange(12.0).reshape(6, 2))
    >>> clips.shape
    (6, 2)
    >>> clips[[4, 1]].take([0])
    array([[8., 9.]])
    >>> frames = np.arange(12.0).reshape(6, 2)
    >>> RowView(frames, rows=np.array([[0, 1], [3, 5]])).take([1])
    array([[[ 6.,  7.],
            [10., 11.]]])
    """

    def __init__(self, base, rows=None):
        self.base = base
        self.rows = rows

    @property
    def shape(self):
        """Shape of the array that `np.asarray(view)` would give."""
        rows = (len(self.base),) if self.rows is None else self.rows.shape
        return (*rows, *self.base.shape[1:])

    @property
    def dtype(self):
        """Type in which the rows are stored."""
        return self.base.dtype

    @property
    def ndim(self):
        """Number of axes, rows included."""
        return len(self.shape)

    def __len__(self):
        return len(self.base) if self.rows is None else len(self.rows)

    def __repr__(self):
        return f"RowView(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key):
        """Select rows: an int gives an array, anything else another view."""
        if isinstance(key, tuple):  # scikit-learn asks for X[rows, ...]
            key, *rest = key
            if any(axis is not Ellipsis for axis in rest):
                raise IndexError(
                    "A RowView selects rows only; use np.asarray(view) to index "
                    "the other axes."
                )
        rows = np.arange(len(self)) if self.rows is None else self.rows
        selected = rows[key]
        if np.ndim(selected) < rows.ndim:
            return _read(self.base, np.asarray(selected))
        return RowView(self.base, selected)

    def take(self, indices):
        """Rows at `indices`, as a new array.   (b,) -> (b, ...)."""
        indices = np.asarray(indices)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        return _read(self.base, indices if self.rows is None else self.rows[indices])

    def channels(self, start, stop):
        """Only some entries of the last axis of the same rows, as another view."""
        return RowView(self.base[..., start:stop], self.rows)

    def __array__(self, dtype=None, copy=None):
        if self.rows is None and not copy:
            return np.asarray(self.base, dtype=dtype)
        if copy is False:
            raise ValueError("The rows of a RowView cannot be given without a copy.")
        return self.take(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def __reduce__(self):
        mapped = _mapped_file(self.base)
        if mapped is None:
            return RowView, (self.base, self.rows)
        return _reopen, (*mapped, self.base.dtype, self.base.shape, self.rows)


def _read(base, rows):
    """Rows of an array, in an array of their own.   (...) int -> (..., d)."""
    flat = rows.ravel()
    mapped = _mapped_file(base)
    if mapped is None:
        taken = np.asarray(base[flat])
    else:
        taken = _read_map(*mapped, base, np.where(flat < 0, flat + len(base), flat))
    return taken.reshape(*rows.shape, *base.shape[1:])


def _mapped_file(array):
    """File name and byte position of a read-only, contiguous memory map, else None.

    Only read-only maps: what a writable map holds may not be in the file yet.
    """
    readable = (
        isinstance(array, np.memmap)
        and array.mode == "r"
        and array.filename is not None
        and array.flags.c_contiguous
        and array.size > 0
    )
    if not readable:
        return None
    root = array  # a slice of a map repeats the offset of the whole
    while isinstance(root.base, np.memmap):
        root = root.base
    return array.filename, root.offset + array.ctypes.data - root.ctypes.data


def _read_map(filename, start, array, rows):
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(array):
        raise IndexError(f"row {rows.max()} of a memory map of {len(array)} rows")
    n_bytes = array.itemsize * int(np.prod(array.shape[1:]))
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(rows) * n_bytes < _SHORT_RUN * (len(breaks) + 1):
        # The map does not notice that its file was cut short: it ends the process.
        if len(rows) and os.stat(filename).st_size < start + (rows.max() + 1) * n_bytes:
            raise _cut_short(filename)
        return np.asarray(array[rows])
    out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    raw = memoryview(out.reshape(-1).view(np.uint8))
    with open(filename, "rb", buffering=0) as file:
        for run in np.split(np.arange(len(rows)), breaks):
            file.seek(start + int(rows[run[0]]) * n_bytes)
            _read_exactly(file, raw[run[0] * n_bytes : (run[-1] + 1) * n_bytes])
    return out


def _read_exactly(file, buffer):
    while len(buffer):
        count = file.readinto(buffer)
        if not count:
            raise _cut_short(file.name)
        buffer = buffer[count:]


def _cut_short(filename):
    return OSError(
        f"{filename} ended before the rows that its memory map promises: the file was "
        "cut short; write it again."
    )


def _reopen(filename, position, dtype, shape, rows):
    base = np.memmap(filename, dtype=dtype, mode="r", offset=position, shape=shape)
    return RowView(base, rows)
