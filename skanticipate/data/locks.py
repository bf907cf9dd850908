"""One at a time, of all processes and threads: locks that end with who holds them."""

import os
import time
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # it stands for "there is none"
    import msvcrt


# Through a link, a file would be made somewhere else.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def locked(path):
    """Hold the lock of a file, which is made, and gone when nobody needs it.

    Who comes second waits. The system frees the lock of a process that has ended, in
    whatever way, so there are no stale ones.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        If the file cannot be made.
    """
    descriptor = _open_and_lock(path)
    try:
        yield
    finally:
        with suppress(OSError):  # of Windows, where somebody waits with it open
            os.unlink(path)
        os.close(descriptor)


def _open_and_lock(path):
    while True:
        descriptor = os.open(path, _FLAGS, 0o666)
        try:
            _lock(descriptor)
            if _is_there(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # who held it has removed it: others lock a new one


def _lock(descriptor):
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    while True:
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return
        time.sleep(0.1)


def _is_there(path, descriptor):
    """Whether a path still names the file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
