"""Features in an HDF5 file as a folder of features.

Run in a process of its own, see `_child`: neither torch nor scikit-learn is imported.
"""

import math
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from skanticipate.data.formats import foreign_format
from skanticipate.data.stored import filled, not_as_stored
from skanticipate.datasets._folder import Room, check_room, write_features
from skanticipate.datasets._plausible import excess
from skanticipate.datasets._time_axis import other_axes, other_width, steps

_BLOCK_BYTES = 1 << 22
_MOST_BYTES = 1 << 29  # of frames that are packed together
_TIMES, _FREELY = 1000, 1 << 30  # bytes of features for each byte of a file, and more
_INSIDE = "expected a data set of shape (n_frames, d) in this file."


def convert(path, folder, room, *, first_frame, time_axis):
    """Write what is in an HDF5 file into a folder.

    Parameters
    ----------
    path, folder : str
        The file, and an empty folder.
    room : Room, or a list of its parts
        Where it will be, and what is free there.
    first_frame, time_axis : int

    Raises
    ------
    OSError, ValueError
        As `read_hdf5`.
    """
    import h5py

    path, room = Path(path), Room(*room)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with open(path, "rb") as head:
        found = foreign_format(head.read(512))
    if found not in (None, "an HDF5 file"):
        raise ValueError(f"{path} is {found}: expected an HDF5 file.")
    with _reading(path):
        file = h5py.File(path, "r")
    with file:
        with _reading(path):
            trouble = not_as_stored(file)
        if trouble:
            raise ValueError(f"{path} has {trouble}")
        videos, data, dtype = _data_sets(path, file, h5py, time_axis)
        counts = [frames.shape[time_axis] for frames in data]
        d = data[0].shape[1 - time_axis]
        check_room(room, sum(counts), d, dtype)
        _check_size(path, sum(counts) * d * dtype.itemsize)
        first = np.concatenate([[0], np.cumsum(counts)])
        frames = np.concatenate([np.arange(n) + first_frame for n in counts])
        key = "{video}, frame {frame}"
        blocks = _blocks(path, data, dtype, time_axis)
        write_features(folder, room.out, np.array(videos), first, frames, key, blocks)


def _check_size(path, n_bytes):
    """Refuse a small file that would fill a disk, by packing or by names of one set."""
    size = path.stat().st_size
    if n_bytes > _FREELY + _TIMES * size:
        raise ValueError(
            f"{path} has {size:,} bytes and says that it holds features of "
            f"{n_bytes:,}: expected at most {_TIMES:,} times as many. It is damaged, "
            "or made to fill the disk."
        )


@contextmanager
def _reading(path):
    """Say of all that h5py complains about that it is the file."""
    try:
        yield
    except Exception as error:  # damage raises errors of every kind
        raise ValueError(
            f"{path} cannot be read as HDF5 ({error}): get the file again."
        ) from error


def _data_sets(path, file, h5py, time_axis):
    """Names, data sets and common floating-point type, seen to fit together."""
    with _reading(path):
        videos = sorted(file)
    if not videos:
        raise ValueError(f"{path} is empty: expected one data set for each video.")
    if len(set(videos)) < len(videos):  # in damaged groups
        raise ValueError(f"{path} has a name twice: get the file again.")
    sets, dtypes = [], set()
    for video in videos:
        with _reading(path):
            data, trouble = _data_set(file, video, h5py, time_axis)
        if trouble is not None:
            raise ValueError(f"{path} has {trouble}")
        trouble = other_width(data.shape, (sets or [data])[0].shape, time_axis)
        if trouble:
            raise ValueError(
                f"{path} has {trouble[0]} features under {video!r}: expected "
                f"{trouble[1]}, as under {videos[0]!r}.{trouble[2]}"
            )
        sets.append(data)
        dtypes.add(data.dtype if data.dtype.kind == "f" else np.dtype(np.float32))
    widest = np.result_type(*dtypes)
    return videos, sets, min(widest, np.dtype(np.float64), key=lambda x: x.itemsize)


def _data_set(file, name, h5py, time_axis):
    """Return what is under a name, and what is wrong with it, or None."""
    link = file.get(name, getlink=True)
    if isinstance(link, h5py.SoftLink) and "/" not in link.path.lstrip("/"):
        link = file.get(link.path.lstrip("/"), getlink=True)  # of the same group
    if not isinstance(link, h5py.HardLink):
        where = getattr(link, "filename", getattr(link, "path", "nothing"))
        return None, f"a link to {where!r} under {name!r}: {_INSIDE}"
    data = file[name]
    if not isinstance(data, h5py.Dataset):
        return None, f"a group under {name!r}: {_INSIDE}"
    if data.external or data.is_virtual:
        return None, f"a data set stored in other files under {name!r}: {_INSIDE}"
    if data.shape is None or len(data.shape) != 2 or not data.size:
        return None, f"shape {data.shape} under {name!r}: {_INSIDE}"
    if data.dtype.kind not in "fiub":
        return None, f"{data.dtype} under {name!r}: expected numbers."
    if trouble := not_as_stored(data):
        return None, f"{trouble[:-1]} ({name!r})."
    if trouble := other_axes(data, time_axis):
        return None, f"{trouble} ({name!r})."
    if not _is_whole(data):
        return None, (
            f"shape {data.shape} under {name!r}, of which a part was never written: "
            "cut the data set to what it has, or get the file again."
        )
    n_bytes = _frames_at_once(data, time_axis) * _bytes_of_frame(data, time_axis)
    if n_bytes > _BLOCK_BYTES + _MOST_BYTES:
        return None, (
            f"frames under {name!r} of which {n_bytes / 1e9:.1f} GB are packed "
            f"together: expected at most {_MOST_BYTES / 1e9:.1f} GB. Store them again "
            "in smaller chunks, as h5repack does."
        )
    return data, None


def _is_whole(data):
    """Whether all numbers that the shape declares are in the file."""
    if data.chunks is None:
        return data.id.get_storage_size() >= data.size * data.dtype.itemsize
    grid = zip(data.shape, data.chunks, strict=True)
    return data.id.get_num_chunks() >= math.prod(-(-n // chunk) for n, chunk in grid)


def _bytes_of_frame(data, time_axis):
    return data.shape[1 - time_axis] * data.dtype.itemsize


def _frames_at_once(data, time_axis):
    """How many frames are read at once: whole chunks, if these are packed.

    Else a chunk that is larger than a block would be unpacked again for each block.
    """
    size = max(1, _BLOCK_BYTES // _bytes_of_frame(data, time_axis))
    if data.chunks is not None and data.id.get_create_plist().get_nfilters():
        chunk = data.chunks[time_axis]
        size = -(-size // chunk) * chunk
    return min(size, data.shape[time_axis])


def _blocks(path, sets, dtype, time_axis):
    """Yield the frames of all videos, some at a time.   (k, d)."""
    for data in sets:
        size = _frames_at_once(data, time_axis)
        for start in range(0, data.shape[time_axis], size):
            with _reading(path):
                block = steps(data, start, start + size, time_axis)
            if reason := excess(block) or filled(block, data):
                raise ValueError(
                    f"{path} has numbers that are no features under {data.name!r} in "
                    f"the rows {start} to {start + len(block) - 1}: {reason}. Extract "
                    "these frames again, or write integers as float64."
                )
            yield block.astype(dtype)
