"""A folder of fitted teachers and their maps, for fits that ask the same teacher.

Files are written under another name and put in place when they are whole, so that an
interrupted fit leaves nothing that a later one would believe. Nothing is unpickled.
"""

import hashlib
import json
import os
import secrets
from pathlib import Path

import numpy as np

from skanticipate._version import __version__
from skanticipate.data.rows import RowView
from skanticipate.data.validation import chunks
from skanticipate.data.warn import warn
from skanticipate.estimator import state
from skanticipate.estimator.fit_key import without_places
from skanticipate.estimator.provenance import surroundings
from skanticipate.signals.maps import map_batches


class TeacherCache:
    """Teachers and maps by what they were made from.

    Parameters
    ----------
    folder : path-like
        Made when there is something to keep. What is there is read where nothing can
        be written, too; to add to it is then an OSError.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def teacher(self, key, trusted, fit):
        """Answer of an earlier `fit()` with this key, else of this one, kept."""
        path = self.folder / f"{key}.teacher.safetensors"
        if os.path.exists(path):
            return self._read(path, key, trusted)
        self._check_writable()  # before hours of training
        teacher, proba = fit()
        try:
            state.write(path, {"key": key, "teacher": teacher, "proba": proba})
            state.read(path, trusted)
        except (TypeError, ValueError) as error:
            path.unlink(missing_ok=True)
            raise _unkeepable(teacher, error) from error
        return teacher, proba

    def _read(self, path, key, trusted):
        try:
            entry = state.read(path, trusted)
        except ValueError as error:
            raise ValueError(_damaged(path)) from error
        if not isinstance(entry, dict) or entry.get("key") != key:
            raise ValueError(_damaged(path))
        return entry["teacher"], entry["proba"]

    def maps(self, key, teacher, clips):
        """Maps of all clips, in a file that is read a batch at a time.   -> RowView."""
        path = self.folder / f"{key}.maps.safetensors"
        if not os.path.exists(path):
            self._check_writable()
            _write_maps(path, key, len(clips), map_batches(teacher, clips))
        return RowView(_open_maps(path, key, len(clips)))

    def _check_writable(self):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{secrets.token_hex(4)}.tmp"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OSError(
                f"teacher_cache={str(self.folder)!r} cannot be written ({error}), and "
                "it does not hold what this fit needs: name a folder of your own, or "
                "None for no cache."
            ) from error


def _unkeepable(teacher, error):
    return TypeError(
        f"teacher_cache cannot keep a {type(teacher).__name__} ({error}): set "
        "teacher_cache=None, or use teachers of this library."
    )


def _damaged(path):
    return (
        f"{path} is damaged, or holds another run's data: delete it, or name another "
        "folder as teacher_cache."
    )


def key_of(teacher, clips, codes, classes, cross_fit, seed, signals):
    """Name of what a teacher becomes on such data, in every process.   -> str or None.

    None, with a warning, where no file tells what code the teacher runs.

    Parameters
    ----------
    teacher : estimator
        Unfitted with all seeds set, or frozen.
    clips : RowView of shape (n, ...)
        What the teacher sees.
    codes, classes : ndarray
        Labels.
    cross_fit, seed : int
        Folds of cross-fitting, and their seed.
    signals : dict of arrays or None
        What the teacher's fit is given beside.
    """
    if any(isinstance(v, np.random.RandomState) for v in teacher.get_params().values()):
        raise ValueError(
            "teacher_cache needs a teacher whose random_state is None or an integer: a "
            "RandomState makes another teacher of every fit."
        )
    teacher = without_places(teacher)
    found, untold = surroundings(teacher)
    if untold:
        warn(
            f"teacher_cache is not used: {'; '.join(untold)}, so answers that are kept "
            "could not be told from those of other code. Define classes at the top "
            "level of a module file, and restart Python after an edit.",
        )
        return None
    inputs = (__version__, teacher, codes, classes, cross_fit, seed, signals, found)
    try:
        described = state.describe(inputs)
    except TypeError as error:
        raise _unkeepable(teacher, error) from error
    digest = hashlib.blake2b(described, digest_size=20)
    digest.update(f"{clips.shape} {clips.dtype}".encode())
    for _, chunk in chunks(clips):
        if chunk.dtype.kind in "fiub":
            digest.update(np.ascontiguousarray(chunk))
        else:  # labels of past actions, or texts
            digest.update(state.describe(chunk))
    return digest.hexdigest()


# safetensors writes a file from arrays in memory only; maps may be larger than that.
# The format: 8 bytes with the length of a JSON header, the header, the numbers.


def _write_maps(path, key, n_rows, batches):
    """Write batches of maps (b, N, d), one after the other, as one tensor."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(unfinished, "xb") as file:
            for k, maps in enumerate(batches):
                if k == 0:
                    file.write(_header((n_rows, *maps.shape[1:]), maps.dtype, key))
                file.write(np.ascontiguousarray(maps))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _header(shape, dtype, key):
    entry = {
        "dtype": {"float32": "F32", "float64": "F64"}[dtype.name],
        "shape": list(shape),
        "data_offsets": [0, int(np.prod(shape)) * dtype.itemsize],
    }
    header = json.dumps({"__metadata__": {"key": key}, "maps": entry}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _open_maps(path, key, n_rows):
    """Memory map of the tensor in a file that `_write_maps` wrote."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 1 << 20)))
        entry, n_bytes = header["maps"], path.stat().st_size - 8 - length
        intact = header["__metadata__"]["key"] == key and entry["shape"][0] == n_rows
        if not intact or entry["data_offsets"] != [0, n_bytes]:
            raise ValueError(_damaged(path))
        dtype = {"F32": np.float32, "F64": np.float64}[entry["dtype"]]
        shape = tuple(entry["shape"])
        return np.memmap(path, dtype, "r", offset=8 + length, shape=shape)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(_damaged(path)) from error
