"""The mean of several answers, against numpy's of all of them at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate import (
    MLP,
    LateFusion,
    ReplicaEnsemble,
    SmoothedAnticipator,
    TeacherEnsemble,
)
from skanticipate.signals import mean
from skanticipate.signals.mean import Batches, mean_proba

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


@pytest.mark.parametrize("weights", [None, [2, 1, 0.5]])
@pytest.mark.parametrize("average", ["proba", "log_proba"])
def test_answers_may_come_a_batch_at_a_time(average, weights):
    given = answers(23, "f4", "f4", "f4")

    def in_batches(own, n_rows):
        def tell(told):
            for start in range(0, len(own), n_rows):
                told(slice(start, start + n_rows), own[start : start + n_rows].copy())

        return Batches(len(own), tell)

    asks = [
        lambda: in_batches(given[0], 5),
        lambda: given[1],
        lambda: in_batches(given[2], 23),
    ]
    found = mean_proba(asks, average, weights)
    assert_array_equal(found, naive(given, average, weights))
    assert_array_equal(mean_proba(asks[:1], average), given[0])
    with pytest.raises(ValueError, match=r"\(22, 7\) probabilities, and another with"):
        mean_proba([asks[0], lambda: in_batches(given[2][1:], 5)], average)


@pytest.mark.parametrize("kind", ["fusion", "fusion of one", "replicas", "ensemble"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("adjustment", [0.0, 1.0])
def test_bits_are_those_of_answers_that_networks_give_at_once(kind, dtype, adjustment):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1100, 4)), np.arange(1100) % C  # more than two batches
    some = {"max_epochs": 1, "dtype": dtype, "logit_adjustment": adjustment}
    models = [
        SmoothedAnticipator(MLP(4), classes=range(C + k), random_state=k, **some)
        for k in range(3)
    ]
    alike = models[0].set_params(classes=None)
    if kind == "replicas":
        model = ReplicaEnsemble(alike, n_replicas=3, random_state=0)
        members, average = model.fit(X, y).estimators_, "proba"
    elif kind == "ensemble":
        model = TeacherEnsemble(models)  # they know more classes than there are labels
        members, average = model.fit(X, y).teachers_, "log_proba"
    else:
        named = [("a", alike, (0, None)), ("b", models[0], (0, None))]
        weights = [1, 0] if kind == "fusion of one" else None
        model = LateFusion(named, weights=weights, combine="log_proba")
        members, average = model.fit(X, y).estimators_, "log_proba"
        members = members[: 1 if weights else 2]
    given = [np.zeros((len(X), len(model.classes_)), dtype) for _ in members]
    for own, member in zip(given, members, strict=True):
        own[:, : len(member.classes_)] = member.predict_proba(X)
    expected = given[0] if len(given) == 1 else naive(given, average, None)
    assert_array_equal(model.predict_proba(X), expected)


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


def test_a_single_answer_is_not_rounded_and_stays_its_owners():
    (own,) = answers(3, "f4")
    found = mean_proba([lambda: own], "log_proba", [3.0])
    assert_array_equal(found, own, strict=True)
    assert not np.shares_memory(found, own)  # that is made into logarithms, say


def test_no_rows():
    found = mean_proba([lambda: np.empty((0, C))] * 2, "log_proba")
    assert found.shape == (0, C)


def test_answers_for_other_numbers_of_clips_are_refused():
    asks = [lambda: answers(3, "f4")[0], lambda: answers(4, "f4")[0]]
    with pytest.raises(ValueError, match=r"\(4, 7\) probabilities, and another with"):
        mean_proba(asks, "proba")
