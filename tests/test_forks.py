"""A forked child must not hang, whatever its parent did with torch's threads."""

import json
import os
import signal
import subprocess
import sys
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


def run(name, limit):
    """What a function of the script prints; all that it forked ends with it."""
    root = str(Path(skanticipate.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), name],
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
    return json.loads(output)


@pytest.fixture(scope="module")
def methods():
    return run("methods", 60 + LIMIT * len(CASES))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_forked_child_answers_as_its_parent(methods, case):
    child, parent = methods[case]
    assert child == parent


@pytest.mark.slow
def test_a_forked_child_has_one_thread_and_locks_of_its_own():
    for name, (child, parent) in run("regions", 60 + 3 * LIMIT).items():
        assert child == parent, name


@pytest.mark.slow
def test_every_fit_and_every_teacher_works_in_a_forked_child():
    for name, (child, parent) in run("estimators", 60 + 8 * LIMIT).items():
        assert child == parent, name


@pytest.mark.slow
def test_a_teacher_that_reads_works_in_a_forked_child():
    pytest.importorskip("transformers")
    for name, (child, parent) in run("language", 60 + 4 * LIMIT).items():
        assert child == parent, name


@pytest.mark.slow
def test_a_search_in_forked_workers_scores_as_one_without():
    child, parent = run("search", 60)["scores"]
    assert child == parent
