"""Memory that runs out at the first place, the second, ...: an error, and no harm."""

import re
import subprocess
import sys

import pytest
import torch
from alone import run_alone
from faults import strangers
from interrupted import FUTURE, SOME, X, Y, bits
from torch.utils._python_dispatch import TorchDispatchMode

from skanticipate import MLP, DistilledAnticipator, FeatureMapNet, SmoothedAnticipator

SAID = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."


class NoMemory(TorchDispatchMode):
    """Lets the n-th operation of torch fail as its allocator does."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError(SAID)
        return func(*args, **(kwargs or {}))


def mlp():
    return SmoothedAnticipator(
        MLP(3, dropout=0.2), max_epochs=1, batch_size=20, random_state=0
    ), (X, Y)


def maps():
    clips = X.reshape(len(X), 1, 2, 1, 3)
    return SmoothedAnticipator(
        FeatureMapNet(3), max_epochs=1, batch_size=40, random_state=0
    ), (clips, Y)


def student():
    return DistilledAnticipator(MLP(3), max_epochs=1, batch_size=40, random_state=0), (
        X,
        SOME,
        FUTURE,
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [mlp, maps, student])
def test_at_any_operation_of_torch(make):
    model, data = make()
    expected = bits(model.fit(*data))
    n = 0
    while True:
        n += 1
        model, _ = make()
        before = dict(vars(model))
        with NoMemory(n) as mode:
            try:
                model.fit(*data)
            except MemoryError as error:
                told = str(error)
        if mode.left > 0:
            break
        assert vars(model) == before, n
        assert SAID[:-1] in told and re.search("Lower batch_size=", told)
        assert torch.get_num_threads() == 1
    assert n > 50
    assert bits(model) == expected == bits(make()[0].fit(*data))


# Of Python's own allocations: NumPy crashes where some of them fail.
PYTHON = """
import os, sys
from _testcapi import remove_mem_hooks, set_nomemory
from skanticipate.data.whole_file import whole_file

path, old, new = sys.argv[1], b"old", b"new and whole"

def write(*pieces):
    with whole_file(path) as append:
        for piece in pieces:
            append(piece)

def content():
    with open(path, "rb") as file:
        return file.read()

write(new)
n_errors = since = n = 0
while since < 50:  # n-th allocations that there are not
    write(old)
    n, failed = n + 1, False
    set_nomemory(n, n + 1)
    try:
        write(b"new ", b"and ", b"whole")
    except (MemoryError, RuntimeError):  # "can't allocate read lock"
        failed = True
    finally:
        remove_mem_hooks()
    n_errors, since = n_errors + failed, 0 if failed else since + 1
    assert content() in ((old, new) if failed else (new,)), (n, content())
print(n_errors)
assert n_errors > 20
"""


@pytest.mark.slow
def test_at_any_allocation_of_python_while_a_file_is_written(tmp_path):
    pytest.importorskip("_testcapi")
    run_alone(PYTHON, str(tmp_path / "file"))
    assert not strangers(tmp_path, lambda path: path.name == "file")


LIMITS = """
import os, resource, sys, traceback
import numpy as np
from skanticipate import MLP, SmoothedAnticipator

X = np.random.default_rng(0).normal(size=(4_200, 64)).astype(np.float32)
y = np.arange(len(X)) % 5
model = SmoothedAnticipator(MLP(2048), max_epochs=1, batch_size=4096, random_state=0)
model.fit(X[:10], y[:10]).predict(X[:10])  # all is loaded
with open("/proc/self/statm") as file:
    held = int(file.read().split()[0]) * resource.getpagesize()

def fill(free):
    # Take all memory there is but some bytes of it.
    held = []
    for size in (1 << 20, 1 << 16, 1 << 12, 400, 64):
        try:
            while True:
                held.append(bytes(size))
        except MemoryError:
            pass
    del held[len(held) - free // 97 :]
    return held

def in_child(megabytes, free=None):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    before = dict(vars(model))
    code, others = 9, []
    try:
        limit = held + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        others = [] if free is None else fill(free)
        try:
            model.fit(X, y)
            code = 0
        except MemoryError as error:
            # With some bytes left a fit may end before it can say anything.
            said = "Memory ran out in the fit" in str(error)
            assert said or (free is not None and free < 10_000), error
            assert vars(model) == before
            code = 1
    except BaseException:
        others.clear()
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)

codes = [in_child(megabytes) for megabytes in range(0, 400, 25)]
print(codes)
assert set(codes) == {0, 1}, codes
assert codes[0] == 1 and codes[-1] == 0
codes = [in_child(0, free) for free in (0, 1_000, 10_000, 100_000, 1_000_000)]
assert set(codes) == {1}, codes
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_limit_of_the_system_at_any_height():
    # Of an interpreter of its own: what it has freed might be enough for a word.
    subprocess.run([sys.executable, "-c", LIMITS], check=True)
