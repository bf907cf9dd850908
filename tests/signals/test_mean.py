"""The mean of several answers, against numpy's of all of them at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate.signals import mean
from skanticipate.signals.mean import mean_proba

C = 7


def answers(n, *dtypes):
    rng = np.random.default_rng(0)
    drawn = [rng.dirichlet(np.ones(C), n).astype(dtype) for dtype in dtypes]
    drawn[0][:1] = np.eye(C)[0]
    return drawn


def naive(given, average, weights):
    """With all answers, and their logarithms, in memory."""
    if average == "proba":
        return np.average(given, axis=0, weights=weights)
    logs = [np.log(np.maximum(a, np.finfo(a.dtype).tiny)) for a in given]
    if average == "max":
        logs = np.max(logs, axis=0)
    else:
        logs = np.average(logs, axis=0, weights=weights)
    proba = np.exp(logs - logs.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_bytes", [1, 100, 1 << 22])
@pytest.mark.parametrize(
    "weights", [None, [2, 1, 0.5], [1, 0, 3], np.float32([1, 2, 2])]
)
@pytest.mark.parametrize("average", ["proba", "log_proba", "max"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_bits_are_those_of_the_mean_of_all(
    kind, average, weights, n_bytes, monkeypatch
):
    monkeypatch.setattr(mean, "_BLOCK_BYTES", n_bytes)
    given = answers(23, kind, kind, kind)
    kept = [own.copy() for own in given]
    weights = None if average == "max" else weights
    found = mean_proba([lambda own=own: own for own in given], average, weights)
    expected = naive(given, average, weights)
    assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert_array_equal(given, kept)


@pytest.mark.parametrize("kinds", [("f4", "f4", "f8"), ("f8", "f4", "f4")])
def test_answers_of_several_types_have_the_widest(kinds):
    given = answers(5, *kinds)
    found = mean_proba([lambda own=own: own for own in given], "proba")
    assert found.dtype == np.float64
    assert_allclose(found, naive(given, "proba", None), rtol=1e-6)


def test_votes_in_whole_numbers_are_no_whole_numbers_together():
    votes = np.eye(C, dtype=int)[:2], np.eye(C, dtype=int)[1:3]
    found = mean_proba([lambda own=own: own for own in votes], "proba")
    assert_array_equal(found, np.mean(votes, axis=0))


def test_a_single_answer_is_not_rounded():
    (own,) = answers(3, "f4")
    assert mean_proba([lambda: own], "log_proba", [3.0]) is own


def test_no_rows():
    found = mean_proba([lambda: np.empty((0, C))] * 2, "log_proba")
    assert found.shape == (0, C)


def test_answers_for_other_numbers_of_clips_are_refused():
    asks = [lambda: answers(3, "f4")[0], lambda: answers(4, "f4")[0]]
    with pytest.raises(ValueError, match=r"\(4, 7\) probabilities, and another with"):
        mean_proba(asks, "proba")
