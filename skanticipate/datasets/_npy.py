"""Features in a folder of arrays, one file a video, converted to one mapped file."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Literal

import numpy as np

from skanticipate._typing import FilePath
from skanticipate.data.files import check_whole_map
from skanticipate.data.formats import foreign_format
from skanticipate.data.numbers import FRAME, Interval
from skanticipate.data.parameters import validate_params
from skanticipate.data.whole_folder import whole_folder
from skanticipate.datasets._features import FeatureTable, open_features
from skanticipate.datasets._folder import absent, check_room, room_for, write_features
from skanticipate.datasets._names import one_each
from skanticipate.datasets._packed import check_header
from skanticipate.datasets._plausible import excess
from skanticipate.datasets._time_axis import other_width, steps
from skanticipate.datasets._turned import hint_turned

_BLOCK_BYTES = 1 << 22
_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".npz"}
_REMEDY = (
    "It is not opened, for it may run code. Where you trust it, open it yourself and "
    "write each video with np.save, as numbers of one shape."
)


@validate_params(
    {
        "path": "no_validation",
        "out": "no_validation",
        "first_frame": [FRAME],
        "time_axis": [Interval(Integral, 0, 1, closed="both")],
    },
    prefer_skip_nested_validation=True,
)
def read_npy(
    path: FilePath, *, out: FilePath, first_frame: int = 1, time_axis: Literal[0, 1] = 0
) -> FeatureTable:
    """Convert a folder of arrays, one file a video, to one memory-mapped file.

    Parameters
    ----------
    path : str or path-like
        Folder with a file `<video>.npy` for each video, an array (n_frames, d).
    out : str or path-like
        Folder to be written. It must not exist, and appears once it is complete.
    first_frame : int, default=1
        The number of the frame in the first row of each array; the others follow
        without gaps.
    time_axis : {0, 1}, default=0
        Which axis of an array counts the frames: 1 for (d, n_frames), as MS-TCN has
        its features of Breakfast, 50 Salads and GTEA.

    Returns
    -------
    features : FeatureTable
        What :func:`open_features` gives for `out`. Floats keep their type, the widest
        one if they differ; integers become float32.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no such file in it.
    FileExistsError
        If `out` exists.
    ValueError
        If a file is damaged, holds Python objects, has not two axes or not the d of the
        others, or its numbers are no features, such as the bits of bfloat16; if there
        is no room for them.

    Warns
    -----
    UserWarning
        As :func:`read_hdf5`.

    See Also
    --------
    read_hdf5 : The same from a file of HDF5.
    FeatureTable.from_arrays : The same from arrays in memory.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skanticipate.datasets import read_npy
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name)
    >>> np.save(path / "P50_milk.npy", np.zeros((4, 30)))  # (d, n_frames)
    >>> read_npy(path, out=path / "features", time_axis=1)
    FeatureTable(1 videos, 30 frames, 4 x float64)
    >>> folder.cleanup()
    """
    path, out = Path(path), absent(out)
    files = _files(path)
    arrays = [_open(file) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if trouble := other_width(array.shape, arrays[0].shape, time_axis):
            raise ValueError(
                f"{file} has {trouble[0]} features: expected {trouble[1]}, as in "
                f"{files[0].name}.{trouble[2]}"
            )
    kinds = {a.dtype if a.dtype.kind == "f" else np.dtype("f4") for a in arrays}
    dtype = min(np.result_type(*kinds), np.dtype("f8"), key=lambda x: x.itemsize)
    counts = [array.shape[time_axis] for array in arrays]
    d = arrays[0].shape[1 - time_axis]
    check_room(room_for(out), sum(counts), d, dtype)
    videos = np.array([file.stem for file in files])
    first = np.concatenate([[0], np.cumsum(counts)])
    frames = np.concatenate([np.arange(n) + first_frame for n in counts])
    key = "{video}, frame {frame}"
    blocks = _blocks(files, arrays, dtype, time_axis)
    with whole_folder(out) as folder:
        write_features(folder, out, videos, first, frames, key, blocks)
    return hint_turned(open_features(out))


def _files(path):
    """Arrays of a folder, by the name of their video."""
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}.")
    files = [file for file in path.iterdir() if file.suffix.lower() == ".npy"]
    if files:
        return one_each(sorted(files, key=lambda file: file.stem))
    pickles = sorted(file for file in path.iterdir() if file.suffix in _PICKLES)
    if pickles:
        raise ValueError(
            f"{path} has {pickles[0].name} in place of {pickles[0].stem}.npy. {_REMEDY}"
        )
    raise FileNotFoundError(f"{path} has no file <video>.npy.")


def _open(file):
    """Map an array of numbers with two axes.   -> (n_frames, d) or (d, n_frames)."""
    if not file.is_file() and not file.is_dir():  # of a pipe there may be no begin
        raise ValueError(f"{file} is no ordinary file: expected one of np.save.")
    with open(file, "rb") as head:
        found = foreign_format(head.read(512))
    if found == "a Python pickle":
        raise ValueError(f"{file} is a Python pickle. {_REMEDY}")
    if found != "an array that numpy has saved (.npy)":
        raise ValueError(f"{file} is {found or 'no array'}: expected one of np.save.")
    try:
        check_header(file)
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever damage makes of a header
        if "Python objects" in str(error):
            raise ValueError(f"{file} holds Python objects. {_REMEDY}") from error
        raise ValueError(f"{file} is damaged ({error}): get it again.") from error
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiub":
        raise ValueError(
            f"{file} holds {array.dtype} of shape {array.shape}: expected real numbers "
            "of shape (n_frames, d)."
        )
    return array


def _blocks(files, arrays, dtype, time_axis):
    """Yield the frames of all videos, some at a time.   (k, d)."""
    for file, array in zip(files, arrays, strict=True):
        size = max(1, _BLOCK_BYTES // (array.shape[1 - time_axis] * dtype.itemsize))
        for start in range(0, array.shape[time_axis], size):
            check_whole_map(array)
            block = np.asarray(steps(array, start, start + size, time_axis))
            if reason := excess(block):
                raise ValueError(
                    f"{file} has numbers that are no features in the frames {start} to "
                    f"{start + len(block) - 1}: {reason}. Extract them again."
                )
            yield block.astype(dtype)
