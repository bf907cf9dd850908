"""Folders that are there as a whole or not at all, as the files of `whole_file`."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from skanticipate.data.whole_file import sweep, sync_folder, unfinished_name, worded


@contextmanager
def whole_folder(path):
    """Fill a folder that gets its name `path` once the block is done.

    Parameters
    ----------
    path : path-like
        Nothing may be there. The folders above are made.

    Yields
    ------
    folder : str
        Name of the folder until then.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk: names `path`. Nothing of it is left.
    """
    target = Path(path).absolute()
    above = next(folder for folder in target.parents if folder.exists())
    unfinished = unfinished_name(above)
    try:
        with worded(path):
            os.mkdir(unfinished)
        yield unfinished
        with worded(path):
            for name in os.listdir(unfinished):
                _sync_file(os.path.join(unfinished, name))
            sync_folder(unfinished)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    with worded(path, "it was written, but a loss of power may undo that"):
        for folder in target.parents:
            sync_folder(folder)
            if folder == above:
                break
    sweep(above)


def _sync_file(path):
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
