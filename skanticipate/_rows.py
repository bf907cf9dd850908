"""Row sources: arrays, memory maps and views of their rows, read a batch at a time."""

import numpy as np


class RowView:
    """Some rows of an array, in some order, without a copy.

    Searches and cross-validation slice their input once for every fold. A slice of a
    plain array is a copy, of a memory map a copy in memory; a slice of a `RowView` is
    another view that remembers row numbers. Rows of a read-only memory map are read
    from its file, so that they do not stay in memory.

    Parameters
    ----------
    base : ndarray or memmap of shape (n, ...)
        The array that holds the rows.
    rows : ndarray of shape (m,) of int, default=None
        The rows of `base` that are seen, in order. None means all.

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
    """

    def __init__(self, base, rows=None):
        self.base = base
        self.rows = rows

    @property
    def shape(self):
        """Shape of the array that `np.asarray(view)` would give."""
        return (len(self), *self.base.shape[1:])

    @property
    def dtype(self):
        """Type in which the rows are stored."""
        return self.base.dtype

    @property
    def ndim(self):
        """Number of axes, rows included."""
        return self.base.ndim

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
        if np.ndim(selected) == 0:
            return _read(self.base, np.array([selected]))[0]
        return RowView(self.base, selected)

    def take(self, indices):
        """Rows at `indices`, as a new array.   (b,) -> (b, ...)."""
        indices = np.asarray(indices)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        return _read(self.base, indices if self.rows is None else self.rows[indices])

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
    mapped = _mapped_file(base)
    if mapped is None:
        return np.asarray(base[rows])
    return _read_file(*mapped, base, np.where(rows < 0, rows + len(base), rows))


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


def _read_file(filename, start, array, rows):
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(array):
        raise IndexError(f"row {rows.max()} of a memory map of {len(array)} rows")
    out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    n_bytes = array.itemsize * int(np.prod(array.shape[1:]))
    raw = memoryview(out.reshape(-1).view(np.uint8))
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    with open(filename, "rb", buffering=0) as file:
        for run in np.split(np.arange(len(rows)), breaks):
            if len(run):
                file.seek(start + int(rows[run[0]]) * n_bytes)
                _read_exactly(file, raw[run[0] * n_bytes : (run[-1] + 1) * n_bytes])
    return out


def _read_exactly(file, buffer):
    while len(buffer):
        count = file.readinto(buffer)
        if not count:
            raise OSError(
                f"{file.name} ended before the rows that its memory map promises: "
                "the file was cut short; write it again."
            )
        buffer = buffer[count:]


def _reopen(filename, position, dtype, shape, rows):
    base = np.memmap(filename, dtype=dtype, mode="r", offset=position, shape=shape)
    return RowView(base, rows)
