"""Files that are there as a whole or not at all: faults at every step of writing."""

import builtins
import errno
import os
import signal
import stat
import sys
import time

import numpy as np
import pytest
from in_fork import in_fork

from skanticipate.data.tensor_file import read_tensors, write_tensors
from skanticipate.data.whole_file import unfinished_name, whole_file

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")
OLD, PIECES = b"old", [b"new ", b"and ", b"whole"]
NEW = b"".join(PIECES)


def written(path):
    with whole_file(path) as write:
        for piece in PIECES:
            write(piece)


class Faults:
    """Lets the n-th call that changes something on the disk fail, or none."""

    def __init__(self, monkeypatch, n_calls, error):
        self.left, self.error = n_calls, error
        for name in ("replace", "fsync", "chmod", "unlink", "close"):
            monkeypatch.setattr(os, name, self.failing(getattr(os, name), name))
        opened = builtins.open

        def failing_open(name, mode="r", *args, **kwargs):
            if "x" not in mode:
                return opened(name, mode, *args, **kwargs)
            return FailingFile(self.failing(opened, "open")(name, mode, **kwargs), self)

        monkeypatch.setattr(builtins, "open", failing_open)

    def failing(self, function, name):
        def call(*args, **kwargs):
            if name not in ("unlink", "close"):  # those are for clearing away
                self.count()
            return function(*args, **kwargs)

        return call

    def count(self):
        self.left -= 1
        if self.left == 0:
            raise self.error


class FailingFile:
    def __init__(self, file, faults):
        self.file, self.faults = file, faults

    def write(self, data):
        self.faults.count()
        self.file.write(data)

    def flush(self):
        self.faults.count()
        self.file.flush()

    def __getattr__(self, name):
        return getattr(self.file, name)


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["full", "broken", "interrupted"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_fault_at_any_step_leaves_the_old_file_or_the_new_one(
    is_there, error, tmp_path
):
    path, n_faults = tmp_path / "file", 0
    while True:
        if is_there:
            path.write_bytes(OLD)
        else:
            path.unlink(missing_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, n_faults + 1, error)
            try:
                written(path)
            except type(error) as raised:
                assert not isinstance(error, OSError) or raised.errno == error.errno
        if faults.left > 0:
            break
        n_faults += 1
        found = path.read_bytes() if path.exists() else None
        assert found in (OLD if is_there else None, NEW)
        assert os.listdir(tmp_path) == (["file"] if found else [])
    # open, three writes, flush, fsync, chmod of what was there, rename, fsync of folder
    assert n_faults == (9 if is_there else 8)
    assert path.read_bytes() == NEW


def test_an_error_of_the_disk_names_the_file_and_keeps_its_kind(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    Faults(monkeypatch, 2, OSError(errno.ENOSPC, "No space left on device"))
    message = "No space left on device; it was not written, and what was there before"
    with pytest.raises(OSError, match=message) as raised:
        written(path)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert path.read_bytes() == OLD


def test_a_name_in_bytes(tmp_path):
    with whole_file(os.fsencode(tmp_path / "a")) as write:
        write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_an_error_of_the_caller_is_left_as_it_is(tmp_path):
    error = OSError(errno.EIO, "of what is read meanwhile")
    with pytest.raises(OSError, match="^.Errno 5. of what is read meanwhile$"):
        with whole_file(tmp_path / "file") as write:
            write(b"a")
            raise error
    assert os.listdir(tmp_path) == []


def write_until_there_is_room(path):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    write_tensors(path, {"a": np.zeros(3)}, "old")
    for limit in range(0, 20_000, 900):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write_tensors(path, {"a": np.ones(2000)}, "new")
        except OSError as error:
            assert error.filename == path, error
            assert read_tensors(path)[1] == "old"
        else:
            assert read_tensors(path)[1] == "new" and limit > 16_000
            break
    else:
        sys.exit("never written")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_disk_that_is_full_at_any_place_leaves_the_old_file(tmp_path):
    assert in_fork(write_until_there_is_room, str(tmp_path / "file")) == 0
    assert os.listdir(tmp_path) == ["file"]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o444])
def test_the_mode_of_the_old_file_is_kept(mode, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    path.chmod(mode)
    with whole_file(path) as write:
        write(NEW)
        (unfinished,) = (p for p in tmp_path.iterdir() if p != path)
        assert stat.S_IMODE(unfinished.stat().st_mode) & ~mode == 0
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == NEW


@posix
@pytest.mark.parametrize("is_there", [False, True])
def test_a_link_stays_and_what_it_points_to_is_replaced(is_there, tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "file", tmp_path / "link"
    if is_there:
        target.write_bytes(OLD)
    link.symlink_to("far/file")
    written(link)
    assert os.readlink(link) == "far/file"
    assert target.read_bytes() == NEW
    assert os.listdir(tmp_path / "far") == ["file"]


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="a folder: name a file in it"):
        written(tmp_path)
    with pytest.raises(FileNotFoundError, match="was not written"):
        written(tmp_path / "nowhere" / "file")


def test_a_name_alone_is_a_file_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written("file")
    assert (tmp_path / "file").read_bytes() == NEW


def test_what_dead_writers_left_is_cleared_away_and_nothing_else(tmp_path):
    names = {
        "dead": unfinished_name(tmp_path),
        "busy": unfinished_name(tmp_path),
        "other's": tmp_path / "file.tmp",
        "alike": tmp_path / ".0123.skanticipate.tmp",
    }
    for kind, name in names.items():
        with open(name, "wb"):
            pass
        if kind != "busy":
            long_ago = time.time() - 2 * 24 * 3600
            os.utime(name, (long_ago, long_ago))
    written(tmp_path / "file")
    left = {kind for kind, name in names.items() if os.path.exists(name)}
    assert left == {"busy", "other's", "alike"}
