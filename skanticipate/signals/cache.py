"""A folder of fitted teachers and their maps, for fits that ask the same teacher.

Files are written under another name and put in place when they are whole, so that an
interrupted fit leaves nothing that a later one would believe. Nothing is unpickled. A
checksum covers all of a teacher's file; of the file of its maps, which may be larger
than memory and is read a batch at a time, it covers the header.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from sklearn import get_config

from skanticipate._version import __version__
from skanticipate.data.rows import RowView
from skanticipate.data.tensor_file import map_tensor, write_batches
from skanticipate.data.whole_file import unfinished_name
from skanticipate.estimator import state
from skanticipate.estimator.fit_key import code_of, digest_of, without_places
from skanticipate.signals.maps import map_batches
from skanticipate.training.runtime import is_first, of_first

_ENTRY = ("key", "teacher", "proba")


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
        if of_first(os.path.exists(path)):
            return self._read(path, key, trusted)
        self._check_writable()  # before hours of training
        teacher, proba = fit()
        if not is_first():
            return teacher, proba
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
        is_entry = isinstance(entry, dict) and entry.keys() == {*_ENTRY}
        if not is_entry or entry["key"] != key:
            raise ValueError(_damaged(path))
        return entry["teacher"], entry["proba"]

    def maps(self, key, teacher, clips):
        """Maps of all clips, in a file that is read a batch at a time.   -> RowView."""
        path = self.folder / f"{key}.maps.safetensors"
        if not of_first(os.path.exists(path)):
            if is_first():
                self._check_writable()
                maps = map_batches(teacher, clips)
                write_batches(path, maps, len(clips), {"key": key})
            of_first("written")
        return RowView(_open_maps(path, key, len(clips)))

    def _check_writable(self):
        if not is_first():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = Path(unfinished_name(self.folder))
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OSError(
                error.errno,
                f"teacher_cache={str(self.folder)!r} cannot be written ({error}), and "
                "it does not hold what this fit needs: name a folder of your own, or "
                "None for no cache.",
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
        Folds of cross-fitting, and their seed; None where there are no folds.
    signals : dict of arrays or None
        What the teacher's fit is given beside.
    """
    if any(isinstance(v, np.random.RandomState) for v in teacher.get_params().values()):
        raise ValueError(
            "teacher_cache needs a teacher whose random_state is None or an integer: a "
            "RandomState makes another teacher of every fit."
        )
    teacher = without_places(teacher)
    found = code_of(teacher, "teacher_cache")
    if found is None:
        return None
    routed = get_config()["enable_metadata_routing"]  # which decides who gets signals
    inputs = (__version__, teacher, codes, classes, cross_fit, seed, signals, found)
    inputs = (*inputs, routed)
    try:
        described = state.describe(inputs)
    except TypeError as error:
        raise _unkeepable(teacher, error) from error
    digest = hashlib.blake2b(described, digest_size=20)
    digest.update(digest_of(clips).encode())
    return digest.hexdigest()


def _open_maps(path, key, n_rows):
    """Memory map of the maps of `n_rows` clips, if the file holds those of this key."""
    try:
        maps, found = map_tensor(path)
    except ValueError as error:
        raise ValueError(_damaged(path)) from error
    if found != {"key": key} or maps.shape[:1] != (n_rows,):
        raise ValueError(_damaged(path))
    return maps
