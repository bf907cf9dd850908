"""A forked child must not hang, whatever its parent did with torch's threads."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from fork_cases import LIMIT, METHODS

import skanticipate

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

SCRIPT = Path(__file__).with_name("fork_cases.py")
CASES = [
    f"{name}, {n_threads}, {before}"
    for name in METHODS
    for n_threads in (1, 2)
    for before in ("fit", "fit and predict_proba")
]


def printed(limit, *arguments):
    """What a process of Python prints; all that it forked ends with it."""
    root = str(Path(skanticipate.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0
    return output


def run(limit, *names):
    """What functions of the script print."""
    return json.loads(printed(limit, str(SCRIPT), *names))


@pytest.fixture(scope="module")
def found():
    """Of one parent, which has more behind it each time."""
    names = ["methods", "regions", "estimators", "search"]
    if find_spec("transformers"):
        names.append("language")
    return run(120 + LIMIT * (len(CASES) + 15), *names)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_forked_child_answers_as_its_parent(found, case):
    child, parent = found["methods"][case]
    assert child == parent


@pytest.mark.slow
def test_a_forked_child_has_one_thread_and_locks_of_its_own(found):
    for name, (child, parent) in found["regions"].items():
        assert child == parent, name


@pytest.mark.slow
def test_every_fit_and_every_teacher_works_in_a_forked_child(found):
    for name, (child, parent) in found["estimators"].items():
        assert child == parent, name


@pytest.mark.slow
def test_a_search_in_forked_workers_scores_as_one_without(found):
    child, parent = found["search"]["scores"]
    assert child == parent


LATE = """
import os, sys

def threads_in_child():
    reader, writer = os.pipe()
    if os.fork() == 0:
        from skanticipate import MLP, SmoothedAnticipator
        from skanticipate.training.runtime import torch_threads
        import torch

        torch.set_num_threads(2)
        with torch_threads(2):
            n_threads = torch.get_num_threads()
        clips, labels = torch.ones(300, 100).numpy(), [0, 1, 2] * 100
        # Of so many weights that it takes all threads by itself.
        model = SmoothedAnticipator(MLP((2300, 2300)), max_epochs=1, batch_size=300)
        model.fit(clips, labels).predict_proba(clips)
        os.write(writer, str(n_threads).encode())
        os._exit(0)
    os.close(writer)
    return os.read(reader, 9).decode()

alone = threads_in_child()
import torch

torch.set_num_threads(2)
torch.ones(512, 512) @ torch.ones(512, 512)
torch.ones(1 << 20).softmax(0)
print(alone, threads_in_child())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells who was forked")
def test_a_child_that_imports_us_late_has_one_thread_where_its_parent_had_torch():
    assert printed(60 + LIMIT, "-c", LATE).split() == ["2", "1"]


@pytest.mark.slow
def test_a_teacher_that_reads_works_in_a_forked_child(found):
    pytest.importorskip("transformers")
    for name, (child, parent) in found["language"].items():
        assert child == parent, name
