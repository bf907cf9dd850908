"""Row sources: arrays, memory maps and views of their rows, read a batch at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from skanticipate._typing import Rows
from skanticipate.data.files import check_whole_map, cut_short, file_marks
from skanticipate.data.formats import not_as_stored
from skanticipate.data.missing import refuse_masked
from skanticipate.data.places import check_chosen_rows

# Bytes. Shorter reads cost more as calls to the system than through the map.
_SHORT_RUN = 1 << 16


class RowView:
    """Some rows of an array, in some order, without a copy.

    Searches and cross-validation slice their input once for every fold. A slice of a
    plain array is a copy, of a memory map a copy in memory; a slice of a `RowView` is
    another view that remembers row numbers. Of a read-only memory map, runs of rows of
    64 KiB and more are read from its file, so that they do not stay in memory; shorter
    ones through the map, whose pages the system takes back when it needs them.

    A dataset of h5py or zarr is not read before it is asked for, and then each of the
    wanted rows once, in the order of the file.

    Parameters
    ----------
    base : ndarray, memmap, h5py.Dataset, zarr.Array or alike, of shape (n, ...)
        What holds the rows: anything with shape, dtype and integer indexing. What can
        be indexed by slices too is read by runs of rows.
    rows : array-like of shape (m,) or (m, T) of int, default=None
        The rows of `base` that are seen, in order, or a mask of shape (n,). None means
        all. With two axes, each row of the view is a clip of T rows of `base`, such as
        the frames of a video.

    Attributes
    ----------
    shape, dtype, ndim : tuple, dtype and int
        Those of the array that `np.asarray(view)` would give.

    Raises
    ------
    TypeError
        If `base` is no such array.
    ValueError
        If `base` is a masked array that hides values, or a dataset whose attributes
        say that its numbers are packed or transposed.
    IndexError
        If `rows` are no whole numbers.

    Notes
    -----
    A view of a memory map pickles as file name and row numbers, so that worker
    processes open the file instead of receiving its contents. So does a view of a
    dataset whose HDF5 file is open for reading only.

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

    shape: tuple[int, ...]
    dtype: np.dtype
    ndim: int
    base: Rows
    rows: np.ndarray | None
    _inode: tuple[int, int] | None

    def __init__(self, base: Rows, rows: ArrayLike | None = None) -> None:
        if not _is_array(base):
            raise TypeError(
                "A RowView needs an array with shape, numpy's dtype and integer "
                f"indexing, got {type(base).__name__}: pass np.asarray(X), a memory "
                "map, or a dataset of h5py or zarr."
            )
        refuse_masked(base, "base", "Pass .filled(np.nan), of floats, or impute them.")
        if trouble := not_as_stored(getattr(base, "attrs", {})):
            raise ValueError(f"base has {trouble}")
        rows = None if rows is None else _as_index(rows, base.shape[0])
        if isinstance(base, RowView):
            view = base if rows is None else base[rows]
            self.base, self.rows, self._inode = view.base, view.rows, view._inode
        else:
            self.base, self.rows, self._inode = base, rows, _own_inode(base)
        seen = self.base.shape[:1] if self.rows is None else self.rows.shape
        self.shape = (*seen, *self.base.shape[1:])
        self.dtype, self.ndim = np.dtype(self.base.dtype), len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self):
        return f"RowView(shape={self.shape}, dtype={self.dtype})"

    @overload
    def __getitem__(self, key: int | np.integer) -> np.ndarray: ...

    @overload
    def __getitem__(self, key: slice | Sequence | np.ndarray) -> RowView: ...

    def __getitem__(self, key):
        """Select rows: an int gives an array, anything else another view."""
        if isinstance(key, tuple):  # scikit-learn asks for X[rows, ...]
            key, *rest = key
            if any(axis is not Ellipsis for axis in rest):
                raise IndexError(
                    "A RowView selects rows only; use np.asarray(view) to index "
                    "the other axes."
                )
        check_chosen_rows(key, (), name="the mask of a RowView")
        rows = np.arange(len(self)) if self.rows is None else self.rows
        selected = rows[key]
        if np.ndim(selected) < rows.ndim:
            return self._read(np.asarray(selected))
        view = RowView(self.base, selected)
        view._inode = self._inode
        return view

    def take(self, indices: ArrayLike) -> np.ndarray:
        """Rows at `indices`, as a new array.   (b,) -> (b, ...)."""
        indices = _as_index(indices, len(self))
        return self._read(indices if self.rows is None else self.rows[indices])

    def _read(self, rows):
        """Rows of the base, in an array of their own.   (...) int -> (..., d)."""
        base = self.base
        if type(base) is np.ndarray and rows.ndim > 0:
            check_whole_map(base)  # a view of a map may be such an array
            return base[rows]
        flat = rows.ravel()
        mapped = _mapped_file(base, self._inode)
        if mapped is not None:
            taken = _read_map(*mapped, base, np.where(flat < 0, flat + len(base), flat))
        elif isinstance(base, np.ndarray | _Channels):
            check_whole_map(base)
            taken = np.asarray(base[flat])
        else:
            taken = _read_dataset(base, flat)
        return taken.reshape(*rows.shape, *base.shape[1:])

    def channels(self, start: int, stop: int | None) -> RowView:
        """Channels `start` to `stop` of the same rows, as another view.

        (m, ..., d) -> (m, ..., stop - start)
        """
        if isinstance(self.base, np.ndarray):
            view = RowView(self.base[..., start:stop], self.rows)
            view._inode = self._inode
            return view
        return RowView(_Channels(self.base, slice(start, stop)), self.rows)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> np.ndarray:
        in_memory = isinstance(self.base, np.ndarray)
        if self.rows is None and in_memory and not copy:
            check_whole_map(self.base)
            return np.asarray(self.base, dtype=dtype)
        if copy is False:
            raise ValueError("The rows of a RowView cannot be given without a copy.")
        return self.take(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def __reduce__(self):
        mapped = _mapped_file(self.base, self._inode)
        if mapped is not None:
            shape, marks = self.base.shape, file_marks(mapped[0])
            return _reopen, (*mapped, self.base.dtype, shape, self.rows, marks)
        h5py = sys.modules.get("h5py")
        if h5py is not None and isinstance(self.base, h5py.Dataset):
            place = _hdf5_place(self.base)
            return _reopen_hdf5, (*place, self.rows, file_marks(place[0]))
        return RowView, (self.base, self.rows)


class _Channels:
    """Some channels of a dataset, cut when rows are read."""

    def __init__(self, base, kept):
        self.view, self.kept = RowView(base), kept

    @property
    def shape(self):
        *others, d = self.view.shape
        return (*others, len(range(d)[self.kept]))

    @property
    def dtype(self):
        return self.view.dtype

    def __getitem__(self, rows):
        return self.view.take(rows)[..., self.kept]


def _is_array(base):
    try:
        np.dtype(base.dtype)
    except (AttributeError, TypeError):  # none, or not numpy's
        return False
    return hasattr(base, "shape") and hasattr(base, "__getitem__")


def _as_index(rows, n):
    """Row numbers of an index or a mask over n rows.   -> array of int."""
    if type(rows) is np.ndarray and rows.dtype == np.intp:  # as in every step
        return rows
    refuse_masked(rows, "rows", "Drop them.")
    check_chosen_rows(rows, (), name="the mask of a RowView")
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise IndexError(f"A mask of shape {rows.shape} cannot choose of {n} rows.")
        return np.flatnonzero(rows)
    if not rows.size:
        return rows.astype(np.intp)
    if rows.dtype.kind not in "iu":
        raise IndexError(f"Rows are chosen by whole numbers or a mask, got {rows}.")
    return rows.astype(np.intp, copy=False)  # narrow ones cannot count all rows


def _read_dataset(base, rows):
    """Rows of what need not take an index that repeats or falls, or any index at all.

    (m,) int -> (m, ...)
    """
    n = base.shape[0]
    if len(rows) and not -n <= rows.min() <= rows.max() < n:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of a dataset of {n} rows")
    wanted, where = np.unique(rows % max(n, 1), return_inverse=True)
    found = np.empty((len(wanted), *base.shape[1:]), base.dtype)
    breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
    if len(breaks) and hasattr(base, "oindex"):  # zarr, which reads each chunk once
        found[:] = base.oindex[wanted]
    elif len(wanted):
        for run in np.split(np.arange(len(wanted)), breaks):
            first, last = int(wanted[run[0]]), int(wanted[run[-1]])
            found[run[0] : run[-1] + 1] = _read_run(base, first, last + 1)
    return found if np.array_equal(rows, wanted) else found[where]


def _read_run(base, start, stop):
    if stop - start > 1:
        try:
            return base[start:stop]
        except TypeError:  # integers only
            pass
    return [base[row] for row in range(start, stop)]


def _inode(array):
    """What tells the file of a memory map from another of its name, else None."""
    try:
        status = os.stat(array.filename) if isinstance(array, np.memmap) else None
    except (OSError, TypeError):  # deleted, or without a name
        return None
    return status and (status.st_dev, status.st_ino)


def _own_inode(array):
    """Inode of a memory map whose name still finds what is mapped, else None.

    Told by the first and the last bytes: the map itself does not name its inode.
    """
    inode = _inode(array)
    mapped = inode and _mapped_file(array, inode)
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


def _mapped_file(array, inode):
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
    if not readable or inode is None or _inode(array) != inode:
        return None
    root = array  # a slice of a map repeats the offset of the whole
    while isinstance(root.base, np.memmap):
        root = root.base
    return array.filename, root.offset + array.ctypes.data - root.ctypes.data


def mapped_file(view):
    """File name and byte position of what a view sees of a memory map, else None."""
    return _mapped_file(view.base, view._inode)


def _read_map(filename, start, array, rows):
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(array):
        raise IndexError(f"row {rows.max()} of a memory map of {len(array)} rows")
    n_bytes = array.itemsize * int(np.prod(array.shape[1:]))
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(rows) * n_bytes < _SHORT_RUN * (len(breaks) + 1):
        # The map does not notice that its file was cut short: it ends the process.
        if len(rows) and os.stat(filename).st_size < start + (rows.max() + 1) * n_bytes:
            raise cut_short(filename)
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
            raise cut_short(file.name)
        buffer = buffer[count:]


# Marks are there for what hashes pickles, as joblib.Memory: a file that was written
# again must not look like the old one.
def _reopen(filename, position, dtype, shape, rows, marks=None):
    base = np.memmap(filename, dtype=dtype, mode="r", offset=position, shape=shape)
    return RowView(base, rows)


def _hdf5_place(dataset):
    """File and name under which another process finds a dataset.   -> str, str."""
    file = dataset.file
    if file.mode != "r" or not os.path.exists(file.filename):
        raise TypeError(
            f"The dataset {dataset.name} of {file.filename} cannot be sent to another "
            "process: its file must lie on disk and be opened with mode 'r'. Open it "
            "so, or set n_jobs=1."
        )
    return os.path.abspath(file.filename), dataset.name


def _reopen_hdf5(filename, name, rows, marks=None):
    import h5py

    return RowView(h5py.File(filename, "r")[name], rows)
