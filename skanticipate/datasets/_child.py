"""Files of other libraries, read in a process of their own.

Their libraries are written in C, and a damaged file can end the process that reads it,
or make it take all memory. Here that is a process which has nothing to lose.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.spawn import get_executable
from pathlib import Path

_PROGRAM = Path(__file__).with_name("_child_program.py")
# What a damaged file makes of a library; another signal came from elsewhere.
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")
_AT_LEAST, _TIMES = 4 << 30, 4  # bytes of memory; and times the size of the files
_ERRORS = (FileNotFoundError, OSError, MemoryError, ValueError, ImportError)
_FILTERS = ("hdf5plugin",)  # what changes how files are read by being imported


def in_child(function, files, *args, **kwargs):
    """Call a function in a process of its own, and wait for its end.

    Parameters
    ----------
    function : callable
        At the top level of a module of `datasets` or `data`, which is imported there
        without torch and scikit-learn.
    files : list of Path
        Those that it reads: errors name them, and their size limits its memory.
    *args, **kwargs : object
        What JSON can hold; a tuple arrives as a list.

    Raises
    ------
    MemoryError
        If there was not enough of it.
    ValueError
        If the process crashed.
    OSError
        If it could not be started, or was ended from outside.
    """
    told = {
        "function": [function.__module__, function.__name__],
        "args": args,
        "kwargs": kwargs,
        "sys_path": [path for path in sys.path if isinstance(path, str)],
        "imports": [name for name in _FILTERS if name in sys.modules],
        "memory": _AT_LEAST + _TIMES * sum(map(_size, files)),
    }
    ended = _run(json.dumps(told).encode())
    names = ", ".join(map(str, files))
    try:
        error = json.loads(ended.stdout)["error"]
    except ValueError:  # there is no answer
        raise _error_of_death(ended, names) from None
    if error is not None:
        raise _error_of(error, names)


def _run(told):
    """Start the program, and wait for its end.   -> CompletedProcess."""
    # Without the modules that lie beside it; its path will be that of this process.
    command = [os.fsdecode(get_executable()), "-P", os.fspath(_PROGRAM)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    threads = {"OPENBLAS_NUM_THREADS": "1"}  # whose memory counts
    with subprocess.Popen(command, env=os.environ | threads, **pipes) as process:
        try:
            said, complained = process.communicate(told)
        except BaseException:
            process.kill()
            process.wait()  # else it might still write
            raise
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def _size(path):
    try:
        return path.stat().st_size
    except OSError:  # which the child will say
        return 0


def _error_of(told, names):
    """The error that a child told.   -> Exception."""
    name, args = told
    kind = next((kind for kind in _ERRORS if kind.__name__ == name), None)
    if kind is MemoryError:
        return MemoryError(
            f"Memory ran out in the reading of {names} ({' '.join(map(str, args))}): "
            "close other programs, or get the file again if it is not that large."
        )
    if kind is None:
        return ValueError(f"{names} cannot be read ({name}: {args}): get it again.")
    return kind(*args)


def _error_of_death(ended, names):
    """Error of a child that ended without an answer.   -> Exception."""
    said = ended.stderr.decode(errors="replace").strip()[-300:]
    if ended.returncode >= 0:
        return OSError(f"The process that read {names} ended without a word: {said}")
    name = _name_of_signal(-ended.returncode)
    if name == "SIGKILL":
        return MemoryError(
            f"The process that read {names} was killed, as the system does where "
            "memory runs out: close other programs, or get the file again if it is "
            "not that large."
        )
    if name in _CRASHES:
        return ValueError(
            f"{names} cannot be read: it ended the process that read it ({name}). It "
            "is damaged: get it again."
        )
    return OSError(f"The process that read {names} was ended from outside ({name}).")


def _name_of_signal(number):
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
