"""The mechanism of the weakly aligned loss, by the benchmark that measures it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from skanticipate.datasets import make_drifting_maps

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def gains():
    """Gain in accuracy, per cent, over a start from the teacher alone; 3 seeds."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from drifting_maps import accuracy
    finally:
        sys.path.remove(str(BENCHMARKS))
    found = {"+ direct": [], "+ weak": []}
    for seed in range(3):
        task = make_drifting_maps(
            drift=2, n_unlabeled=1000, n_test=500, random_state=seed
        )
        start = accuracy(task, "start only", seed, steps=150)
        for row in found:
            found[row].append(accuracy(task, row, seed, steps=150) - start)
    return found


@pytest.mark.slow
def test_weak_alignment_finds_content_that_has_moved(gains):
    assert np.mean(gains["+ weak"]) > 15


@pytest.mark.slow
def test_direct_alignment_does_not(gains):
    assert np.mean(gains["+ direct"]) < np.mean(gains["+ weak"]) - 10
