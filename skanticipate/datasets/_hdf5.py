"""Features in an HDF5 file, converted to one mapped file."""

from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params

from skanticipate.datasets._features import check_absent, open_features, write_features

_BLOCK_BYTES = 1 << 22


@validate_params(
    {
        "path": "no_validation",
        "out": "no_validation",
        "first_frame": [Interval(Integral, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def read_hdf5(path, *, out, first_frame=1):
    """Convert features of frames in an HDF5 file to one memory-mapped file.

    Parameters
    ----------
    path : str or path-like
        File with one data set (n_frames, d) for each video, under its name.
    out : str or path-like
        Folder to be written. It must not exist, and appears once it is complete.
    first_frame : int, default=1
        The number of the frame in the first row of each data set; the others follow
        without gaps.

    Returns
    -------
    features : FeatureTable
        What :func:`open_features` gives for `out`. Floats keep their type, the widest
        one if they differ; integers become float32.

    Raises
    ------
    ImportError
        If h5py is not installed.
    FileNotFoundError
        If there is no such file.
    FileExistsError
        If `out` exists.
    ValueError
        If the file is no HDF5 or is cut short, or if a data set is missing, holds no
        numbers, or has not the shape (n_frames, d) with the d of the others.

    See Also
    --------
    read_lmdb : The same from LMDB files.
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
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            'Reading HDF5 files needs h5py: pip install "skanticipate[io]".'
        ) from error
    path, out = Path(path), check_absent(out)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read as HDF5 ({error}): get the file again."
        ) from error
    with file:
        videos = sorted(file)
        dtype = _common_type(path, file, videos, h5py.Dataset)
        counts = [len(file[video]) for video in videos]
        first = np.concatenate([[0], np.cumsum(counts)])
        frames = np.concatenate([np.arange(n) + first_frame for n in counts])
        blocks = _blocks(file, videos, dtype)
        key = "{video}, frame {frame}"
        write_features(out, np.array(videos), first, frames, key, blocks)
    return open_features(out)


def _common_type(path, file, videos, kind):
    """Floating-point type of all data sets, once they are seen to fit together."""
    if not videos:
        raise ValueError(f"{path} is empty: expected one data set for each video.")
    dtypes, d = set(), None
    for video in videos:
        data = file[video]
        if not isinstance(data, kind) or len(data.shape) != 2 or not data.size:
            found = f"shape {data.shape}" if isinstance(data, kind) else "a group"
            raise ValueError(
                f"{path} has {found} under {video!r}: expected a data set of shape "
                "(n_frames, d)."
            )
        if data.dtype.kind not in "fiub":
            raise ValueError(
                f"{path} has {data.dtype} under {video!r}: expected numbers."
            )
        d = d or data.shape[1]
        if data.shape[1] != d:
            raise ValueError(
                f"{path} has {data.shape[1]} features under {video!r}: expected {d}, "
                f"as under {videos[0]!r}."
            )
        dtypes.add(data.dtype if data.dtype.kind == "f" else np.dtype(np.float32))
    return np.result_type(*dtypes)


def _blocks(file, videos, dtype):
    """Yield the frames of all videos, some at a time.   (k, d)."""
    for video in videos:
        data = file[video]
        size = max(1, _BLOCK_BYTES // (data.shape[1] * dtype.itemsize))
        for start in range(0, len(data), size):
            yield data[start : start + size].astype(dtype)
