"""Row sources: arrays, memory maps and views of their rows, read a batch at a time."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike

from skanticipate._typing import Rows
from skanticipate.data.announced import announce_rows
from skanticipate.data.axis_names import dims_of, named_axes
from skanticipate.data.boxes import unboxed
from skanticipate.data.device_array import DeviceArray, base_of
from skanticipate.data.files import check_whole_map, is_mapped
from skanticipate.data.mapped import (
    as_sent,
    find_mapped_file,
    own_inode,
    read_map,
)
from skanticipate.data.masked import refuse_masked
from skanticipate.data.numbers import refuse_counted_mask
from skanticipate.data.places import check_ascending, check_chosen_rows
from skanticipate.data.reopened import (
    check_layout,
    dataset_of,
    layout_of,
    map_of,
    open_dataset,
    open_map,
)
from skanticipate.data.stored import (
    OF_FILLED,
    filled,
    not_as_stored,
    not_there,
)
from skanticipate.data.warn import is_called_by


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
    base : ndarray, memmap, h5py.Dataset, zarr.Array, tensor or alike, of shape (n, ...)
        What holds the rows: anything with shape, dtype and integer indexing. What can
        be indexed by slices too is read by runs of rows. A tensor of torch stays on its
        device.
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
        If `base` is a masked array that hides values, a dataset whose attributes
        say that its numbers are packed or transposed, or one of HDF5 that lacks some
        of the rows: they were never written, or a file that it shows is not there.
        On reading, if there is a number that stands for a missing one (`_FillValue`).
    IndexError
        If `rows` are no whole numbers.

    Notes
    -----
    A view of a memory map pickles as file name and row numbers, so that worker
    processes open the file instead of receiving its contents. So does a view of a
    dataset whose HDF5 file is open for reading only. What such a pickle names must not
    be written again: another shape or type is an error where it is opened, and other
    numbers are warned of. joblib, which remembers what a
    Pipeline with `memory` has done, tells other datasets by what they hold.

    HDF5 tells of whole chunks whether they were written, not of rows, and zarr does not
    tell. Give a dataset that is written little by little a fill value of NaN: then what
    was never written is padding or an error, and not zeros.

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
        base = base_of(base, "base") if isinstance(base, torch.Tensor) else base
        is_plain = type(base) is np.ndarray  # which hides nothing
        if not is_plain:
            _check_base(base)
        rows = None if rows is None else _as_index(rows, base.shape[0])
        if not is_plain and (trouble := not_there(base, rows)):
            raise ValueError(f"base has {trouble}")
        if rows is not None and rows.ndim == 0:
            raise IndexError(f"rows is {rows}: expected an array of row numbers.")
        if rows is not None and rows.shape == base.shape[:1] and rows.max() <= 1:
            refuse_counted_mask(rows, len(rows), "rows")
        if isinstance(base, RowView):
            view = base if rows is None else base[rows]
            self.base, self.rows, self._inode = view.base, view.rows, view._inode
        else:
            is_map = isinstance(base, np.memmap)
            self.base, self.rows = base, rows
            self._inode = own_inode(base) if is_map else None
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
        if type(key) not in (np.ndarray, slice):  # which name no rows
            check_chosen_rows(key, (), name="the mask of a RowView")
        rows = np.arange(len(self)) if self.rows is None else self.rows
        selected = rows[key]
        if np.ndim(selected) < rows.ndim:
            return self._read(np.asarray(selected))
        return self._chosen(selected)

    def _chosen(self, rows):
        """A view of the same base, which was looked at when the first was made."""
        view = object.__new__(RowView)
        view.base, view.rows, view._inode = self.base, rows, self._inode
        view.shape = (*rows.shape, *self.base.shape[1:])
        view.dtype, view.ndim = self.dtype, len(view.shape)
        return view

    def take(self, indices: ArrayLike) -> np.ndarray:
        """Rows at `indices`, as a new array.   (b,) -> (b, ...)."""
        indices = _as_index(indices, len(self))
        return self._read(indices if self.rows is None else self.rows[indices])

    def _read(self, rows):
        """Rows of the base, in an array of their own.   (...) int -> (..., d)."""
        base = self.base
        if type(base) is np.ndarray and rows.ndim > 0:
            if base.base is not None:  # a view, of a map perhaps
                check_whole_map(base)
            return base[rows]
        flat = rows.ravel()
        mapped = find_mapped_file(base, self._inode)
        if mapped is not None:
            taken = read_map(*mapped, base, np.where(flat < 0, flat + len(base), flat))
        elif isinstance(base, np.ndarray | _Channels | DeviceArray):
            check_whole_map(base)
            taken = np.asarray(base[flat])
        else:
            taken = _read_dataset(base, flat)
            if trouble := filled(taken, base):
                raise ValueError(f"base has numbers of which {trouble}. {OF_FILLED}")
        return taken.reshape(*rows.shape, *base.shape[1:])

    @property
    def lies_in_file(self) -> bool:
        """Whether rows are read from a file: of a memory map, or of h5py or zarr.

        What else can be indexed may belong to the thread that opened it.
        """
        base = self.base
        while isinstance(base, _Channels):
            base = base.view.base
        if type(base) is np.ndarray and base.base is None:  # a view of no map
            return False
        kinds = {kind.__module__.partition(".")[0] for kind in type(base).__mro__}
        return bool(kinds & {"h5py", "zarr"}) or is_mapped(base)

    @property
    def dims(self) -> tuple[object, ...] | None:
        """What the axes are called, where those of an array with names are read."""
        own = named_axes(self.base)
        if own is None or self.rows is None or self.rows.ndim == 1:
            return own
        return (None, *own)  # each row is a clip of rows of the base

    @property
    def indexes(self) -> dict[object, object]:
        """Names of the entries of axes, by those of the axes, where these have some."""
        own = dims_of(self.base)
        if own is None:
            return {}
        indexes = dict(getattr(self.base, "indexes", {}))
        rows = indexes.pop(own[0], None)
        if rows is None or (self.rows is not None and self.rows.ndim > 1):
            return indexes
        return {own[0]: rows if self.rows is None else rows[self.rows], **indexes}

    def channels(self, start: int, stop: int | None) -> RowView:
        """Channels `start` to `stop` of the same rows, as another view.

        (m, ..., d) -> (m, ..., stop - start)
        """
        if isinstance(self.base, np.ndarray):
            view = RowView(self.base[..., start:stop], self.rows)
            view._inode = self._inode
            return view
        if isinstance(self.base, DeviceArray):
            return RowView(self.base.channels(start, stop), self.rows)
        return RowView(_Channels(self.base, slice(start, stop)), self.rows)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> np.ndarray:
        base = self.base
        if self.rows is None and isinstance(base, np.ndarray) and not copy:
            if base.base is not None:  # a view, of a map perhaps
                check_whole_map(base)
            return np.asarray(base, dtype=dtype)
        if copy is False:
            raise ValueError("The rows of a RowView cannot be given without a copy.")
        return self.take(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def __reduce__(self):
        mapped = find_mapped_file(self.base, self._inode)
        if mapped is not None:
            return _reopen, (self.rows, *map_of(*mapped, self.base))
        h5py = sys.modules.get("h5py")
        if h5py is not None and isinstance(self.base, h5py.Dataset):
            return _reopen_hdf5, (self.rows, *dataset_of(self.base))
        if isinstance(self.base, np.ndarray):
            return RowView, (as_sent(self.base), self.rows)
        if is_called_by("joblib.hashing"):
            # The name of a store, as zarr pickles, stays when what is in it changes.
            return RowView, (self.shape, self.dtype, self._digest())
        return _reopen_store, (self.rows, self.base, layout_of(self.base))

    def _digest(self):
        """Hash of what the rows hold, read some at a time."""
        digest = hashlib.blake2b()
        for start in range(0, len(self), 256):
            part = self.take(np.arange(start, min(start + 256, len(self))))
            digest.update(np.ascontiguousarray(part))
        return digest.hexdigest()


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


def _check_base(base):
    """Refuse what is no array, or one whose numbers are not those that it shows."""
    if not _is_array(base):
        raise TypeError(
            "A RowView needs an array with shape, numpy's dtype and integer "
            f"indexing, got {type(base).__name__}: pass np.asarray(X), a memory "
            "map, or a dataset of h5py or zarr."
        )
    refuse_masked(base, "base", "Pass .filled(np.nan), of floats, or impute them.")
    if trouble := not_as_stored(base):
        raise ValueError(f"base has {trouble}")
    if len(base.shape) > 2:
        check_ascending(base, "base", axis=1)


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
    rows = np.asarray(unboxed(rows))
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
    rows = rows % max(n, 1)
    order = np.argsort(rows, kind="stable")
    breaks = np.flatnonzero(np.diff(rows[order]) > 1) + 1
    if len(breaks) and hasattr(base, "oindex"):  # zarr, which reads each chunk once
        wanted, where = np.unique(rows, return_inverse=True)
        found = np.asarray(base.oindex[wanted], base.dtype)
        return found if np.array_equal(rows, wanted) else found[where]
    found = np.empty((len(rows), *base.shape[1:]), base.dtype)
    places_of_runs = np.split(order, breaks) if len(rows) else []
    runs = [(int(rows[p[0]]), int(rows[p[-1]]) + 1) for p in places_of_runs]
    announce_rows(base, [(start, stop - start) for start, stop in runs])
    for places, (start, stop) in zip(places_of_runs, runs, strict=True):
        run = _read_run(base, start, stop)
        repeats = len(places) > stop - start
        found[places] = run[rows[places] - start] if repeats else run
    return found


def _read_run(base, start, stop):
    if stop - start == 1:
        return np.asarray(base[start], base.dtype)[None]  # maps are large: no copy
    try:
        return np.asarray(base[start:stop])
    except TypeError:  # integers only
        return np.array([base[row] for row in range(start, stop)], base.dtype)


def mapped_file(view):
    """File name and byte position of what a view sees of a memory map, else None."""
    return find_mapped_file(view.base, view._inode)


# What tells the file is there for what hashes pickles, too, as joblib.Memory: one that
# was written again must not look like the old one.
def _reopen(rows, *place):
    return RowView(open_map(*place), rows)


def _reopen_hdf5(rows, *place):
    return RowView(open_dataset(*place), rows)


def _reopen_store(rows, base, layout):
    check_layout(base, layout)
    return RowView(base, rows)
