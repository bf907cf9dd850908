"""Faults at the first, the second, ... place where something touches the disk."""

import builtins
import errno
import io
import os
import re

import pytest

FULL = OSError(errno.ENOSPC, "No space left on device")
QUOTA = OSError(errno.EDQUOT, "Disk quota exceeded")
BROKEN = OSError(errno.EIO, "Input/output error")

# Names that the next writer in the folder sweeps once they are old.
SWEPT = re.compile(r"\.[0-9a-f]{16}\.skanticipate\.tmp")
_CALLS = ("replace", "rename", "fsync", "chmod", "mkdir", "unlink", "rmdir")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Faults:
    """Lets the n-th call that changes something on the disk raise, or all from it on.

    Parameters
    ----------
    monkeypatch : pytest.MonkeyPatch
    n : int
        From 1.
    error : Exception
    lasting : bool
        Whether what follows fails too, but for clearing away, as on a full disk.
    """

    def __init__(self, monkeypatch, n, error, lasting):
        self.left, self.error, self.lasting, self.met = n, error, lasting, False
        for name in _CALLS:
            frees = name in ("unlink", "rmdir")
            monkeypatch.setattr(os, name, self.failing(getattr(os, name), frees))
        opened, opened_at = builtins.open, os.open

        def failing_open(file, mode="r", *args, **kwargs):
            if not set(mode) & set("wax+"):
                return opened(file, mode, *args, **kwargs)
            self.count()
            return FailingFile(opened(file, mode, *args, **kwargs), self)

        def failing_open_at(path, flags, *args, **kwargs):
            if flags & _WRITING:
                self.count()
            return opened_at(path, flags, *args, **kwargs)

        monkeypatch.setattr(builtins, "open", failing_open)
        monkeypatch.setattr(io, "open", failing_open)
        monkeypatch.setattr(os, "open", failing_open_at)

    def failing(self, function, frees):
        def call(*args, **kwargs):
            self.count(frees)
            return function(*args, **kwargs)

        return call

    def count(self, frees=False):
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.lasting and not frees):
            self.met = True
            raise self.error


class FailingFile:
    """A file of which writing and flushing count."""

    def __init__(self, file, faults):
        self.file, self.faults = file, faults

    def write(self, data):
        self.faults.count()
        return self.file.write(data)

    def flush(self):
        self.faults.count()
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def at_every_place(run, check, error=FULL, lasting=False):
    """Run with a fault at the first place, the second, ..., until none is met.

    Parameters
    ----------
    run : callable
    check : callable
        Given what was raised, or None, after each.
    error, lasting
        As of `Faults`.

    Returns
    -------
    int
        Number of places.
    """
    n = 0
    while True:
        raised = None
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, n + 1, error, lasting)
            try:
                run()
            except Exception as caught:
                raised = caught
        if not faults.met:
            assert raised is None
            return n
        n += 1
        check(raised)


def strangers(folder, known):
    """Names in a folder that are not known, and that no sweep would take."""
    return {
        path.name
        for path in folder.rglob("*")
        if not (known(path) or any(SWEPT.fullmatch(part) for part in path.parts))
    }
