"""Datasets in files: whether their numbers are those that reading them shows."""

import os
import sys
from base64 import b64decode
from math import prod
from struct import error, unpack

import numpy as np

_PACKED = {"scalefactor": 1, "addoffset": 0, "slope": 1, "intercept": 0}
_OF_INTEGERS = {"scale": 1, "zeropoint": 0}  # of quantized features
_MISSING = ("_FillValue", "missing_value")
_OWN_FILL = "fillvalue", "fill_value"  # of datasets of h5py, of zarr
# Bits of features without their sign: of 1e-7 to 2e4, and of 6e-5 to 32.
_BFLOAT16, _FLOAT16 = (0x33D6, 0x469C), (0x0400, 0x5000)
_FEWEST = 64  # different words
_BLOCK = 1 << 24  # bytes
OF_FILLED = (
    "Write what marks a missing one in its place, NaN for whole steps and futures, and "
    "impute other features; or delete the attribute, or write another fill value, if "
    "these are numbers."
)


def check_stored(data, name):
    """Refuse numbers of a dataset that stand for others, or for none.

    Of a list all datasets are looked at, those of h5py, zarr and xarray.

    Raises
    ------
    ValueError
        As `not_as_stored`, `not_there` and `filled` say.
    """
    if isinstance(data, list | tuple):
        for k, part in enumerate(data):
            if hasattr(part, "attrs"):
                check_stored(part, f"{name}[{k}]")
    elif hasattr(data, "attrs"):
        if trouble := not_as_stored(data) or not_there(data):
            raise ValueError(f"{name} has {trouble}")
        if trouble := _filled_anywhere(data):
            raise ValueError(f"{name} has numbers of which {trouble}. {OF_FILLED}")


def _filled_anywhere(data):
    """`filled` of all numbers of a dataset, which may be larger than memory."""
    if not _fills(data):  # else nothing is read
        return None
    if not data.shape:
        return filled(np.asarray(data), data)
    size = max(1, _BLOCK // max(1, data.dtype.itemsize * prod(data.shape[1:])))
    blocks = (data[k : k + size] for k in range(0, data.shape[0], size))
    troubles = (filled(np.asarray(block), data) for block in blocks)
    return next(filter(None, troubles), None)


def not_as_stored(data):
    """Say why the numbers of a dataset are no features as stored; None if they are.

    Parameters
    ----------
    data : object
        Its `attrs`, those of an HDF5 or zarr dataset or of an array of xarray, say so.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> not_as_stored(SimpleNamespace(attrs={"scale_factor": 1.0, "units": "m"}))
    >>> not_as_stored(SimpleNamespace(attrs={"scale_factor": 0.5}))[:31]
    'numbers packed by scale_factor='
    """
    attributes = getattr(data, "attrs", {})
    if not len(attributes):
        return None
    is_whole = getattr(getattr(data, "dtype", None), "kind", "") in ("i", "u")
    neutral = _PACKED | (_OF_INTEGERS if is_whole else {})
    for name in attributes:
        plain = neutral.get(str(name).replace("_", "").lower())
        value = None if plain is None else np.asarray(attributes[name])
        if value is not None and value.dtype.kind in "fiuO" and np.any(value != plain):
            return (
                f"numbers packed by {name}={attributes[name]}, an attribute as netCDF "
                "has it: expected the numbers themselves. Unpack them, numbers * "
                "scale_factor + add_offset, and write them without these attributes."
            )
    if str(attributes.get("_Unsigned", "false")).lower() == "true" and is_whole:
        return (
            "numbers without a sign (_Unsigned) in a type with one: expected the "
            "numbers themselves. Write array.view(np.uint8) without this attribute."
        )
    if "MATLAB_class" in attributes:
        return (
            "a matrix that MATLAB wrote, in which rows are columns (it has the "
            "attribute MATLAB_class): expected rows first. Write it again with h5py, "
            "transposed, without this attribute."
        )
    return None


def filled(block, data):
    """Say which numbers of a dataset stand for none; None if none do.

    An attribute says so, as netCDF and xarray have it, or the dataset's own fill value:
    of floats that some tool wrote, since only other numbers are compared with it.

    Parameters
    ----------
    block : ndarray
        Some of its numbers.
    data : object
        What they were read from.
    """
    for name, fill in _fills(data).items():
        if np.isin(block, fill).any():
            return f"some are {fill}, which stands for a missing number ({name})"
    return None


def _fills(data):
    """Numbers that stand for none in a dataset of h5py, zarr or xarray, by name."""
    attributes = getattr(data, "attrs", None)
    if attributes is None:
        return {}
    found = {name: attributes[name] for name in _MISSING if name in attributes}
    if getattr(getattr(data, "dtype", None), "kind", "") == "f":
        found |= {k: getattr(data, k) for k in _OWN_FILL if getattr(data, k, None)}
    fills = {name: np.asarray(_as_number(fill)) for name, fill in found.items()}
    return {  # NaN stands for a missing number here too, and -1 for a missing label
        name: fill
        for name, fill in fills.items()
        if fill.dtype.kind in "fiu" and not (np.isnan(fill) | (fill == -1)).all()
    }


def _as_number(fill):
    """Number that xarray writes as text into an attribute of zarr, or what there is."""
    if not isinstance(fill, str):
        return fill
    try:
        return unpack("<d", b64decode(fill, validate=True))[0]
    except (ValueError, error):
        return fill


def bits_of(numbers):
    """Which floats of 16 bits whole numbers look like, by name; None for others.

    NumPy has no bfloat16, nor has HDF5: who stores it without conversion gives its bits
    another name. Nearly all of either sign lie in one narrow range then.

    Parameters
    ----------
    numbers : ndarray

    Examples
    --------
    >>> halves = np.linspace(-2, 2, 100, dtype=np.float16)
    >>> bits_of(halves), bits_of(halves.view(np.int16)), bits_of(np.arange(-99, 99))
    (None, 'float16', None)
    """
    if numbers.dtype.kind not in "iu" or numbers.dtype.itemsize != 2:
        return None
    words = numbers.astype(numbers.dtype.newbyteorder("=")).view(np.uint16).ravel()
    words = words[words & 0x7FFF > 0]
    if np.count_nonzero(np.bincount(words, minlength=1)) < _FEWEST:
        return None
    of_bfloat16, of_float16 = (
        ((words & 0x7FFF >= low) & (words & 0x7FFF <= high)).mean() > 0.99
        for low, high in (_BFLOAT16, _FLOAT16)
    )
    if of_bfloat16:
        return "bfloat16"
    signed = 0.02 < (words >> 15).mean() < 0.98  # else whole numbers may lie there
    return "float16" if of_float16 and signed else None


def not_there(data, rows=None):
    """Say which rows of an HDF5 dataset no file holds; None where all are there.

    HDF5 shows its fill value in their place, 0 unless the file says NaN, which stands
    for missing rows here as well. It keeps whole chunks, or the whole of a dataset that
    has none, once a row of them was written, and does not tell which. zarr keeps no
    chunk of fill values: one that is missing may be one of zeros that were written.

    Parameters
    ----------
    data : object
        Only a dataset of h5py is looked at.
    rows : ndarray of int, default=None
        Those that are wanted. None means all.
    """
    h5py = sys.modules.get("h5py")
    if h5py is None or not isinstance(data, h5py.Dataset) or not data.size:
        return None
    if data.dtype.kind not in "fiub":  # which is refused, or read, as what it is
        return None
    if data.is_virtual:
        return _no_source(data, h5py)
    if data.external:
        return _cut_short(data)
    if np.all(np.isnan(data.fillvalue)) or not _is_short(data):
        return None
    absent = _unwritten(data)
    if rows is not None:
        absent = np.intersect1d(absent, np.asarray(rows) % len(data))
    if not absent.size:
        return None
    return (
        f"{len(absent)} rows that were never written, the first of which is "
        f"{absent[0]}, and which HDF5 shows as {data.fillvalue}: get the file again, "
        "cut the dataset to what it has, or choose the rows that were written."
    )


def _is_short(data):
    """Whether the file holds fewer numbers than a dataset has."""
    if data.chunks is None:
        return data.id.get_storage_size() < data.size * data.dtype.itemsize
    return data.id.get_num_chunks() < prod(_grid(data))


def _grid(data):
    """Chunks along each axis."""
    return [-(-n // size) for n, size in zip(data.shape, data.chunks, strict=True)]


def _unwritten(data):
    """Rows of which some chunk was never written.   -> (m,) int."""
    if data.chunks is None:
        return np.arange(len(data))
    first = []  # row of each chunk that there is
    data.id.chunk_iter(lambda chunk: first.append(chunk.chunk_offset[0]))
    n_rows, *across = _grid(data)
    written = np.bincount(np.array(first, int) // data.chunks[0], minlength=n_rows)
    short = np.flatnonzero(written < prod(across))
    rows = short[:, None] * data.chunks[0] + np.arange(data.chunks[0])
    return rows[rows < len(data)]


def _cut_short(data):
    """Say which external file of a dataset is shorter than what it shows of it."""
    for name, start, size in data.external:
        n_bytes = os.path.getsize(name) if os.path.isfile(name) else np.inf
        if n_bytes < start + min(size, data.size * data.dtype.itemsize):
            return (
                f"numbers in {name!r}, which has {n_bytes} bytes and should have "
                f"{start + size}: get that file again, HDF5 shows 0 for the rest."
            )
    return None


def _no_source(data, h5py):
    """Say what a virtual dataset lacks: a file that it shows, or a part of itself."""
    n_shown, sources = 0, data.virtual_sources()
    for source in sources:
        n_shown += source.vspace.get_select_npoints()
        if "%" in source.file_name + source.dset_name:  # numbered, as many as there are
            return None
        if not _shows(data, source, h5py):
            return (
                f"rows of {source.dset_name!r} in {source.file_name!r}, which is not "
                "there or smaller, and for which HDF5 shows "
                f"{data.fillvalue}: put the file back, or make the dataset again."
            )
    if n_shown < data.size:
        return (
            f"numbers of {n_shown} of its {data.size} places only, and HDF5 shows "
            f"{data.fillvalue} for the others: make the virtual dataset again."
        )
    return None


def _shows(data, source, h5py):
    """Whether the dataset that a virtual one shows is there, and as large."""
    path = data.file.filename
    if source.file_name != ".":
        path = _found(source.file_name, os.path.dirname(os.path.abspath(path)))
    if path is None:
        return False
    try:
        with h5py.File(path, "r") as file:
            if source.dset_name not in file:
                return False
            shape = file[source.dset_name].shape
    except OSError:  # open for writing somewhere
        return True
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        return prod(shape) >= source.vspace.get_select_npoints()
    last = source.src_space.get_select_bounds()[1]
    return len(shape) == len(last) and all(map(int.__lt__, last, shape))


def _found(name, folder):
    """Where HDF5 finds a file that a virtual dataset names, or None."""
    prefixes = os.environ.get("HDF5_VDS_PREFIX", "").split(":")
    names = [name, os.path.basename(name)] if os.path.isabs(name) else [name]
    folders = ["", folder, *(p.replace("${ORIGIN}", folder) for p in prefixes)]
    places = (os.path.join(folder, name) for name in names for folder in folders)
    return next(filter(os.path.isfile, places), None)
