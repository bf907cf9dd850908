"""Features in files of other libraries, converted to one mapped file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from skanticipate._typing import FilePath
from skanticipate.data.numbers import FRAME, Interval
from skanticipate.data.parameters import validate_params
from skanticipate.data.whole_folder import whole_folder
from skanticipate.datasets import _hdf5, _lmdb
from skanticipate.datasets._child import in_child
from skanticipate.datasets._features import FeatureTable, open_features
from skanticipate.datasets._folder import absent, room_for
from skanticipate.datasets._lmdb import key_expression
from skanticipate.datasets._turned import hint_turned


@validate_params(
    {
        "path": "no_validation",
        "out": "no_validation",
        "pattern": [str],
        "dtype": "no_validation",
        "d": ["array-like", Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def read_lmdb(
    path: FilePath | Sequence[FilePath],
    *,
    out: FilePath,
    pattern: str = "{video}_frame_{frame:010d}.jpg",
    dtype: DTypeLike = "<f4",
    d: int | Sequence[int] | None = None,
) -> FeatureTable:
    """Convert features of frames in LMDB files to one memory-mapped file.

    An LMDB environment cannot be opened twice in a process, does not pickle, and is
    slow to read at random. So it is opened once, in a process of its own, converted
    and closed: a file that is damaged cannot end the process of the caller.

    Parameters
    ----------
    path : str or path-like, or list of them
        Folder with a `data.mdb`, or the file itself. One value is the bytes of the
        features of one frame, and nothing else. Several are several modalities of the
        same frames: their features are joined in this order, and
        :class:`skanticipate.LastAxisSlice` picks one of them again.
    out : str or path-like
        Folder to be written. It must not exist, and appears once it is complete.
    pattern : str, default="{video}_frame_{frame:010d}.jpg"
        How the name of the video and the number of the frame make a key. The default
        is that of RULSTM. Where no other sign than digits stands between the two, the
        number must have its digits, as in "{video}{frame:06d}".
    dtype : dtype, default="<f4"
        Type of the numbers in a value: floats or integers, with their byte order. The
        default is float32, little-endian, as RULSTM has it. Bytes do not say what they
        are, so values that are hardly of this type are refused.
    d : int or list of int, default=None
        Number of features of a frame in each file, or in all of them. None takes what
        the bytes of the first frame give, with zeros around the features, if there are
        any: only `d` tells these from features that are always 0.

    Returns
    -------
    features : FeatureTable
        What :func:`open_features` gives for `out`. Floats keep their type; integers
        become float32.

    Raises
    ------
    ImportError
        If lmdb is not installed.
    TypeError
        If `path` is no path and no list of them, as a set is none.
    FileNotFoundError
        If there is no such file.
    FileExistsError
        If `out` exists.
    MemoryError
        If the conversion takes more memory than there is, or than 4 GiB and four times
        the size of the files.
    OSError
        If the features cannot be written, as on a full disk; nothing of them is left.
    ValueError
        If a file is no LMDB, is cut short, has no entries, or ends the process that
        reads it;
        if a key does not follow the pattern, is not in all of several files, or
        has features of another length than the first or than `d`; if values begin like
        another format (a saved array, a pickle, an image, ...) or are hardly numbers of
        `dtype`, for which the error names a likelier one; if there is no room for the
        features.

    See Also
    --------
    read_hdf5 : The same from HDF5 files.
    cut_clips : Cut clips out of the features.

    Notes
    -----
    Needs as much disk as the features, and 16 bytes of memory for a frame.

    Numbers are hardly features if they are not finite, beyond 1e15 or all below 1e-30,
    or if a sample of them spreads far less in the other byte order or reads as numbers
    of half or of twice the size; `d` rules the latter out, and so it does for bytes
    before or after the features that read as numbers below 1e-30, such as a length.
    Frames that are all NaN stand for padding. Features of few digits, or few of them,
    may look like both; so may float16 and bfloat16, which NumPy does not have, where
    all features are positive, and int8 and uint8 always. Complex numbers read as twice
    as many features, of any size: `d` refuses them.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import lmdb
    >>> import numpy as np
    >>> from skanticipate.datasets import read_lmdb
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name)
    >>> with lmdb.open(str(path / "rgb")) as env, env.begin(write=True) as transaction:
    ...     for frame in (1, 2, 3):
    ...         key = f"P01_01_frame_{frame:010d}.jpg".encode()
    ...         value = np.full(4, frame, dtype=np.float32)
    ...         _ = transaction.put(key, value.tobytes())
    >>> features = read_lmdb(path / "rgb", out=path / "rgb_features")
    >>> features
    FeatureTable(1 videos, 3 frames, 4 x float32)
    >>> np.asarray(features["P01_01"][1])
    array([2., 2., 2., 2.], dtype=float32)
    >>> folder.cleanup()
    """
    _check_installed("lmdb", "LMDB files", "epic")
    out, dtype = absent(out), _number_type(dtype)
    paths = _paths_of(path)
    key_expression(pattern)
    options = {"pattern": pattern, "dtype": dtype.str, "counts": _per_file(d, paths)}
    files = [path / "data.mdb" if path.is_dir() else path for path in paths]
    with whole_folder(out) as folder:
        given = [os.fspath(path) for path in paths], folder, room_for(out)
        in_child(_lmdb.convert, files, *given, **options)
    return open_features(out)


@validate_params(
    {
        "path": "no_validation",
        "out": "no_validation",
        "first_frame": [FRAME],
        "time_axis": [Interval(Integral, 0, 1, closed="both")],
    },
    prefer_skip_nested_validation=True,
)
def read_hdf5(
    path: FilePath, *, out: FilePath, first_frame: int = 1, time_axis: Literal[0, 1] = 0
) -> FeatureTable:
    """Convert features of frames in an HDF5 file to one memory-mapped file.

    A process of its own reads the file: one that is damaged cannot end the process of
    the caller. Filters of hdf5plugin are there if they are imported here.

    Parameters
    ----------
    path : str or path-like
        File with one data set (n_frames, d) for each video, under its name. All that is
        read is in this file: links to others are refused.
    out : str or path-like
        Folder to be written. It must not exist, and appears once it is complete.
    first_frame : int, default=1
        The number of the frame in the first row of each data set; the others follow
        without gaps.
    time_axis : {0, 1}, default=0
        Which axis of a data set counts the frames: 1 for (d, n_frames), as MS-TCN and
        others store features.

    Returns
    -------
    features : FeatureTable
        What :func:`open_features` gives for `out`. Floats keep their type, the widest
        one if they differ, and at most float64; integers become float32. Frames that
        are all NaN stand for padding.

    Raises
    ------
    ImportError
        If h5py is not installed.
    FileNotFoundError
        If there is no such file.
    FileExistsError
        If `out` exists.
    MemoryError
        If the conversion takes more memory than there is, or than 4 GiB and four times
        the size of the file.
    OSError
        If the features cannot be written, as on a full disk; nothing of them is left.
    ValueError
        If the file is no HDF5, damaged or cut short, or ends the process that reads
        it; if a data set is missing, lies in another file, was never written as a
        whole, holds no numbers, has attributes by which they are packed (netCDF) or
        transposed (MATLAB), calls its axes otherwise, or has not the shape (n_frames,
        d), for `time_axis=1` (d, n_frames), with the d of the others; if numbers are no
        features: not
        finite, beyond 1e15, the `_FillValue` or `missing_value` of netCDF, or integers
        that float32 does not hold or that look like the bits of bfloat16 or float16; if
        there is no room for them.

    Warns
    -----
    UserWarning
        If neighbouring features of a frame are alike and neighbouring frames are not,
        as if `time_axis` were the other.

    See Also
    --------
    read_lmdb : The same from LMDB files.
    read_npy : The same from a folder of arrays.
    cut_clips : Cut clips out of the features.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> import numpy as np
    >>> from skanticipate.datasets import open_features, read_hdf5
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name)
    >>> with h5py.File(path / "rgb.h5", "w") as file:
    ...     file["P01_01"] = np.zeros((30, 4), dtype=np.float32)
    >>> _ = read_hdf5(path / "rgb.h5", out=path / "rgb_features")
    >>> features = open_features(path / "rgb_features")
    >>> features["P01_01"].shape, features.frames[:3]
    ((30, 4), array([1, 2, 3]))
    >>> folder.cleanup()
    """
    _check_installed("h5py", "HDF5 files", "io")
    path, out = Path(path), absent(out)
    options = {"first_frame": int(first_frame), "time_axis": int(time_axis)}
    with whole_folder(out) as folder:
        given = os.fspath(path), folder, room_for(out)
        in_child(_hdf5.convert, [path], *given, **options)
    return hint_turned(open_features(out))


def _paths_of(path):
    """One path, or several, as a list of Path."""
    if isinstance(path, str | os.PathLike):
        return [Path(path)]
    unordered = isinstance(path, Mapping | Set)  # features are joined in an order
    if unordered or isinstance(path, bytes) or not hasattr(path, "__iter__"):
        raise TypeError(
            f"path is {path!r:.80}: expected str or os.PathLike, or a list of them."
        )
    return list(map(Path, path))


def _check_installed(package, files, extra):
    if find_spec(package) is None:
        raise ImportError(
            f'Reading {files} needs {package}: pip install "skanticipate[{extra}]".'
        )


def _number_type(dtype):
    """Type of floats or integers of at most 8 bytes.   -> numpy.dtype."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "fiu" or found.itemsize > 8:
        raise ValueError(
            f"dtype is {dtype!r}: expected a type of floats or integers such as '<f4', "
            "'<f8', '<f2' or '>f4'."
        )
    return found


def _per_file(d, paths):
    """Number of features in each file.   -> list of int or None."""
    counts = [d] * len(paths) if d is None or isinstance(d, Integral) else list(d)
    number = Interval(Integral, 1, None, closed="left")
    whole = all(n is None or number.is_satisfied_by(n) for n in counts)
    if len(counts) != len(paths) or not whole:
        raise ValueError(
            f"d is {d!r}: expected the number of features of a frame in each of the "
            f"{len(paths)} files."
        )
    return counts
