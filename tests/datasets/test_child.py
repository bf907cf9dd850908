"""Files that end the process that reads them: it is not ours."""

import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

import h5py
from feature_files import numbered, write_lmdb

from skanticipate.datasets import _child, read_hdf5, read_lmdb
from skanticipate.datasets._child import in_child

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def hdf5(tmp_path):
    with h5py.File(tmp_path / "rgb.h5", "w") as file:
        file["a"] = numbered(4)
    return tmp_path / "rgb.h5"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of another code in place of one that reads files."""

    def put(name, code):
        folder = tmp_path / "libraries"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(f"import os, signal\n{code}")
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    return put


def left_in(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != "libraries")


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE"])
@pytest.mark.parametrize("kind", ["hdf5", "lmdb"])
def test_a_crash_of_a_library_is_an_error_that_names_the_file(
    kind, name, hdf5, library, tmp_path
):
    library(
        "h5py" if kind == "hdf5" else "lmdb", f"os.kill(os.getpid(), signal.{name})"
    )
    path, read = hdf5, read_hdf5
    if kind == "lmdb":
        path, read = write_lmdb(tmp_path / "rgb", {"a": numbered(4)}), read_lmdb
    before = left_in(tmp_path)
    message = rf"rgb.* cannot be read: it ended the process that read it \({name}\)"
    with pytest.raises(ValueError, match=message):
        read(path, out=tmp_path / "out")
    assert left_in(tmp_path) == before


def test_a_crash_in_the_middle_leaves_nothing(hdf5, library, tmp_path):
    library("h5py", "")  # which has no File: what follows is never reached
    with pytest.raises(
        ValueError, match=r"rgb\.h5 cannot be read as HDF5.*has no attr"
    ):
        read_hdf5(hdf5, out=tmp_path / "deeper" / "out")
    library("h5py", CRASH_LATER)
    with pytest.raises(ValueError, match="SIGSEGV"):
        read_hdf5(hdf5, out=tmp_path / "deeper" / "out")
    assert left_in(tmp_path) == ["rgb.h5"]


CRASH_LATER = """
class File:
    def __init__(self, path, mode): pass
    def __enter__(self): return self
    def __exit__(self, *args): pass
    def __iter__(self):
        import glob
        (folder,) = glob.glob("%s/.*.skanticipate.tmp")
        open(f"{folder}/features.npy", "wb").write(b"half")
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture(autouse=True)
def _place_of_the_crash(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "CRASH_LATER", CRASH_LATER % tmp_path)


def test_a_process_that_the_system_kills_ran_out_of_memory(hdf5, library, tmp_path):
    library("h5py", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(
        MemoryError, match=r"read .*rgb\.h5 was killed.*memory runs out"
    ):
        read_hdf5(hdf5, out=tmp_path / "out")
    library("h5py", "os.kill(os.getpid(), signal.SIGTERM)")
    with pytest.raises(OSError, match=r"rgb\.h5 was ended from outside \(SIGTERM\)"):
        read_hdf5(hdf5, out=tmp_path / "out")
    library("h5py", "os._exit(3)")
    with pytest.raises(OSError, match=r"read .*rgb\.h5 ended without a word"):
        read_hdf5(hdf5, out=tmp_path / "out")
    assert left_in(tmp_path) == ["rgb.h5"]


@pytest.mark.slow
def test_memory_is_limited(hdf5, tmp_path, monkeypatch):
    """A data set of zeros, hundreds of times as large as the file that holds it."""
    with h5py.File(hdf5, "w") as file:
        chunks = 1 << 15, 1 << 11  # 512 MiB
        data = file.create_dataset("a", chunks, "f8", chunks=chunks, compression=1)
        data[0, 0] = 1.0
    assert hdf5.stat().st_size < 1 << 23
    monkeypatch.setattr(_child, "_AT_LEAST", 1 << 29)
    with pytest.raises((ValueError, MemoryError), match=r"rgb\.h5"):
        read_hdf5(hdf5, out=tmp_path / "out")
    assert left_in(tmp_path) == ["rgb.h5"]


@pytest.mark.parametrize(("name", "read"), [("h5py", read_hdf5), ("lmdb", read_lmdb)])
def test_the_child_knows_neither_torch_nor_scikit_learn(
    name, read, hdf5, library, tmp_path
):
    library(
        name,
        "import sys\n"
        "known = {'torch', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "raise ValueError(f'{known} of {len(sys.modules)}')",
    )
    path = hdf5
    if name == "lmdb":
        path = write_lmdb(tmp_path / "rgb", {"a": numbered(4)})
    with pytest.raises(ValueError, match=r"^set\(\) of"):
        read(path, out=tmp_path / "out")


def test_what_the_library_prints_is_no_answer(hdf5, library, tmp_path):
    library("h5py", "print('{}'); raise OSError(28, 'No space left on device', 'x')")
    with pytest.raises(OSError, match="No space left on device: 'x'") as raised:
        read_hdf5(hdf5, out=tmp_path / "out")
    assert raised.value.errno == 28


def test_names_of_any_characters_arrive(tmp_path):
    path = write_lmdb(tmp_path / "Ü 'ß'", {"Küche": numbered(4)})
    assert_array_equal(read_lmdb(path, out=tmp_path / "out")["Küche"], numbered(4))


SLOW = "import time; open(os.environ['STARTED'], 'w').close(); time.sleep(100)"


def read_until_interrupted(path, out):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background
    try:
        read_hdf5(path, out=out)
    except KeyboardInterrupt:
        sys.exit(7)


def test_an_interrupt_ends_both_and_leaves_nothing(
    hdf5, library, tmp_path, monkeypatch
):
    library("h5py", SLOW)
    started = tmp_path / "started"
    monkeypatch.setenv("STARTED", str(started))
    process = multiprocessing.get_context("fork").Process(
        target=read_until_interrupted, args=(hdf5, tmp_path / "out")
    )
    process.start()
    deadline = time.monotonic() + 180
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)  # to the parent alone, as a notebook does
    process.join(90)
    assert process.exitcode == 7
    with pytest.raises(ProcessLookupError):  # nobody of them is left
        os.killpg(process.pid, 0)
    assert left_in(tmp_path) == ["rgb.h5", "started"]


def test_threads_may_convert_at_the_same_time(hdf5, tmp_path):
    threads = [
        threading.Thread(
            target=read_hdf5, args=[hdf5], kwargs={"out": tmp_path / str(k)}
        )
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arrays = [np.load(tmp_path / str(k) / "features.npy") for k in range(3)]
    for array in arrays:
        assert_array_equal(array[:-1], numbered(4))


def test_a_program_that_cannot_be_started(monkeypatch, hdf5, tmp_path):
    monkeypatch.setattr(_child, "get_executable", lambda: str(tmp_path / "python"))
    with pytest.raises(OSError, match=r"tmp.*python"):
        in_child(read_hdf5, [hdf5])
