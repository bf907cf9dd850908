"""A bounded part of what `make soak` tries in numbers."""

import os
import sys

import pytest
from bounded import GOOD, try_inputs
from calls import Calls
from file_readers import FILE_READERS
from text_readers import CsvReader, SubmissionReader, VectorReader

SEED = int(os.environ.get("SKANTICIPATE_TEST_SEED", 0))
N_INPUTS, N_CALLS = 150, 100
READERS = [CsvReader, VectorReader, SubmissionReader, *FILE_READERS]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.name)
def test_inputs_are_answered_or_refused_in_words(kind, tmp_path):
    counts, failures = try_inputs(kind(), N_INPUTS, SEED, tmp_path)
    assert failures == []
    assert counts["answered"] > 3 and counts["refused"] > N_INPUTS / 3
    assert sum(counts[name] for name in GOOD) == N_INPUTS


def test_calls_succeed_or_say_what_was_wrong(tmp_path):
    counts, failures = try_inputs(Calls(), N_CALLS, SEED, tmp_path)
    assert failures == []
    assert counts["answered"] >= N_CALLS / 2
