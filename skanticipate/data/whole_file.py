"""Files that are there as a whole or not at all, whatever interrupts their writing."""

import errno
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress

_ENDING = ".skanticipate.tmp"
_UNFINISHED = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(_ENDING)}")
_DEAD_AFTER = 24 * 3600  # seconds without a write: nobody is writing any more
# what a folder answers that cannot be synchronised, as on some network drives
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


@contextmanager
def whole_file(path):
    """Write a file that takes the place of `path` once the block is done.

    Until then it has another name in the same folder, and what was there stays. What
    takes its place has its mode; of a link, what it points to is replaced.

    Yields
    ------
    callable
        `write(data)` appends bytes, or the bytes of an array.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk: names `path`. The old file is there.
    """
    target = os.path.realpath(os.fsdecode(path))
    folder = os.path.dirname(target)
    mode = _mode_of(path, target)
    unfinished = unfinished_name(folder)
    try:
        with worded(path):
            file = open(unfinished, "xb", opener=_creating(mode))  # noqa: SIM115
        try:
            yield lambda data: _write(file, data, path)
            with worded(path):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(OSError):  # what is not written is written in vain
                file.close()
        with worded(path):
            if mode is not None:
                os.chmod(unfinished, mode)
            os.replace(unfinished, target)
    finally:
        with suppress(OSError):
            os.unlink(unfinished)
    with worded(path, "it was written, but a loss of power may undo that"):
        sync_folder(folder)
    sweep(folder)


def _write(file, data, path):
    with worded(path):  # and not what the block does between two of these
        file.write(data)


def unfinished_name(folder):
    """Name of a file that is being written, which no two writers share.   -> str."""
    return os.path.join(folder, f".{secrets.token_hex(8)}{_ENDING}")


def _mode_of(path, target):
    """Mode of the file that is replaced; None where there is none.

    Raises
    ------
    OSError
        If a folder, or a device, stands there.
    """
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(
            errno.EISDIR, "this is a folder: name a file in it", os.fspath(path)
        )
    if not stat.S_ISREG(mode):
        raise OSError(
            errno.EINVAL, "this is no ordinary file: name another", os.fspath(path)
        )
    return stat.S_IMODE(mode)


def _creating(mode):
    """Opener of a file that nobody reads meanwhile who could not read the old one."""
    bits = 0o666 if mode is None else mode & 0o777
    return lambda name, flags: os.open(name, flags, bits)


@contextmanager
def worded(path, state="it was not written, and what was there before is as it was"):
    """Name the file in errors that do not, such as those of a full disk."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            error.errno,
            f"{reason}; {state}",
            os.fspath(path),
        ) from error


def sync_folder(folder):
    """Let the name of a new file outlast a loss of power too."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # it may be written and not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def sweep(folder):
    """Delete what writers left that were killed. None of it was ever believed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _UNFINISHED.fullmatch(entry.name):
                continue
            with suppress(OSError):
                if time.time() - _last_write(entry) < _DEAD_AFTER:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry)
                else:
                    os.unlink(entry)


def _last_write(entry):
    """Time of the last write to a file, or to one of a folder."""
    files = [entry]
    if entry.is_dir(follow_symlinks=False):
        files += os.scandir(entry)
    return max(file.stat(follow_symlinks=False).st_mtime for file in files)
