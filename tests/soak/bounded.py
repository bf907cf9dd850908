"""Inputs tried in a child of bounded time and memory, and what becomes of them.

A child is forked, so that nothing is imported again, and handles inputs until it dies
or is done. Input k of a reader is made from the seed, the name of the reader and k.
"""

import gc
import json
import mmap
import os
import random
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

SECONDS = 5  # of one input, of the processor; a child that stops is killed later
STOPPED = 60  # seconds without an end of an input, after which a child is killed
MEMORY, PER_BYTE = 64 * 2**20, 16  # bytes beside what is there, and for each of a file
KINDS = (
    "answered",
    "refused",
    "memory error",  # a documented one, of a process of its own
    "child ended",
    "undocumented",
    "hang",
    "over memory",
    "crash",
)
GOOD = KINDS[:4]
CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")
_NEXT = len(KINDS)  # where the number of the next input stands
_KEPT = 3  # inputs of each failure that are written out


class Hang(BaseException):
    """An input takes too long."""


class Reader:
    """What is tried: makes inputs and reads them."""

    name = None
    refusals = (ValueError, OSError)
    names_file = True  # whether what is refused is named
    in_child = False  # whether it reads in a process of its own, whose end is an error

    def prepare(self, folder):
        """Make what inputs are made from, and import what is imported late."""

    def make(self, rng):
        """Files of an input.   -> dict of str to bytes."""
        raise NotImplementedError

    def read(self, folder, rng):
        """Read the files of an input, and assert what holds of every answer."""
        raise NotImplementedError


def generator(seed, reader, k):
    return random.Random(f"{seed} {reader.name} {k}")


def try_inputs(reader, n_inputs, seed, folder, start=0):
    """Try inputs from `start` on.   -> (counts by kind, list of failures)."""
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    reader.prepare(folder)
    counts = np.frombuffer(mmap.mmap(-1, 8 * (_NEXT + 1)), dtype=np.int64)
    counts[_NEXT] = start
    log = folder / "failures.jsonl"
    log.write_bytes(b"")
    while counts[_NEXT] < start + n_inputs:
        ended = _in_child(lambda: _all(reader, start + n_inputs, seed, folder, counts))
        k = int(counts[_NEXT])
        if ended is not None:
            kind = "hang" if ended == "stopped" else "crash"
            if reader.in_child and ended in CRASHES:
                kind = "child ended"
            _note(counts, log, kind, k, ended, "")
            counts[_NEXT] = k + 1
    failures = [json.loads(text) for text in log.read_text().splitlines()]
    _keep(reader, seed, failures, folder)
    return dict(zip(KINDS, counts[:_NEXT].tolist(), strict=True)), failures


def _in_child(work):
    """Run in a child.   -> None, or how it ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "stopped" if number == signal.SIGALRM else signal.Signals(number).name
    return f"exit {os.WEXITSTATUS(status)}" if status else None


def _all(reader, stop, seed, folder, counts):
    warnings.simplefilter("error")
    for harmless in (UserWarning, ResourceWarning):
        warnings.simplefilter("ignore", harmless)
    os.chdir(folder)  # where files go that an input names, such as a checkpoint "bad"
    signal.signal(signal.SIGPROF, _raise_hang)
    gc.disable()  # its moments depend on other inputs
    gc.freeze()  # what the parent has is not looked through
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    n_open = len(os.listdir("/proc/self/fd"))
    place, log, in_use = folder / "input", folder / "failures.jsonl", _in_use()
    parent = os.getppid()
    while (k := int(counts[_NEXT])) < stop and os.getppid() == parent:
        rng = generator(seed, reader, k)
        size = write_files(place, reader.make(rng))
        if k % 20 == 0:
            in_use = _in_use()
        most = in_use + MEMORY + PER_BYTE * size
        kind, error, where = _watched(reader, place, rng, most)
        _note(counts, log, kind, k, error, where)
        counts[_NEXT] = k + 1
        if k % 1000 == 0:
            gc.collect()
            (folder / "progress").write_text(f"{KINDS}: {counts.tolist()}\n")
    signal.alarm(0)
    gc.collect()
    if (n_now := len(os.listdir("/proc/self/fd"))) > n_open + 2:
        _note(counts, log, "undocumented", stop - 1, f"{n_now - n_open} open files", "")


def _watched(reader, place, rng, memory):
    """Outcome of an input in bounded time and memory."""
    spent, (_, most) = _of_children(), resource.getrlimit(resource.RLIMIT_AS)
    signal.alarm(STOPPED)  # ends the child, in whatever code it is
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (memory, most))
    try:
        found = outcome(reader, place, rng)
    except Hang as hang:
        return "hang", "", place_of(hang)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if _of_children() - spent > SECONDS:
        return "hang", "in a process that was started", ""
    return found


def _raise_hang(*_):
    raise Hang


def _of_children():
    """Seconds of the processor that processes took which were started and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _in_use():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def write_files(place, files):
    """Write the files of an input into an empty folder.   -> bytes."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return sum(map(len, files.values()))


def outcome(reader, place, rng):
    """Read an input.   -> kind, error and where it comes from."""
    try:
        reader.read(place, rng)
    except Hang:
        raise
    except MemoryError as error:
        if reader.in_child:  # whose memory is limited
            return "memory error", "", ""
        return "over memory", repr(error), place_of(error)
    except reader.refusals as error:
        if any(map(ran_out, causes(error))):
            if reader.in_child:
                return "memory error", "", ""
            return "over memory", repr(error)[:300], place_of(error)
        if type(error) is UnicodeError or not told_well(error, reader, place):
            return "undocumented", f"unnamed {error!r}"[:300], place_of(error)
        return "refused", "", ""
    except BaseException as error:
        return "undocumented", repr(error)[:300], place_of(error)
    return "answered", "", ""


def ran_out(error):
    """Whether an error is one of memory, and none of Python's parser."""
    frames = traceback.extract_tb(error.__traceback__)
    parsing = frames and Path(frames[-1].filename).name == "ast.py"
    return isinstance(error, MemoryError) and not parsing


def told_well(error, reader, place):
    return not reader.names_file or str(place) in str(error)


def causes(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def place_of(error):
    """The innermost line of the library, or of all, from which an error came."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "skanticipate/" in f.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""


def _note(counts, log, kind, k, error, where):
    counts[KINDS.index(kind)] += 1
    if kind not in GOOD:
        record = {"kind": kind, "input": k, "error": error, "where": where}
        with open(log, "a") as file:
            file.write(json.dumps(record) + "\n")


def sort_of(failure):
    """What failures of one cause have in common."""
    return failure["kind"], failure["error"].split("(")[0], failure["where"]


def _keep(reader, seed, failures, folder):
    """Write out the first inputs of each sort of failure."""
    kept = Counter()
    for failure in failures:
        kept[sort_of(failure)] += 1
        if kept[sort_of(failure)] <= _KEPT:
            k = failure["input"]
            name = f"{reader.name.replace(' ', '_')}-seed{seed}-{k}"
            write_files(folder / name, reader.make(generator(seed, reader, k)))


def print_counts(table, write):
    """Print counts of several readers, as a table."""
    head = ["", "inputs", *KINDS]
    rows = [[name, sum(c.values()), *c.values()] for name, c in table.items()]
    for row in [head, *rows]:
        write("  ".join(f"{cell!s:>12}" for cell in row) + "\n")


def print_failures(failures, write):
    sorts = Counter(map(sort_of, failures))
    for sort, n in sorts.most_common(40):
        first = next(f for f in failures if sort_of(f) == sort)
        write(f"  {n} x {sort[0]} at {sort[2]}, input {first['input']}: ")
        write(f"{first['error'][:200]}\n")


def timed(function, *args):
    start = time.perf_counter()
    return function(*args), time.perf_counter() - start
