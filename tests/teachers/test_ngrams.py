from collections import Counter, defaultdict

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate.teachers.history.ngrams import BackOffNGrams, latest_first

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(-1, 3, size=(60, 3))
TARGETS = RNG.integers(0, 4, size=60)
ASKED = np.array([*np.ndindex(5, 5, 5)]) - 1  # holds 3, which was never seen


def naive(tokens, targets, n_classes, asked, weights=None, discount=0.75, strength=20):
    """The formula for one row and one level at a time, with dictionaries."""
    counts = defaultdict(Counter)
    weights = np.ones(len(targets)) if weights is None else weights
    for row, target, weight in zip(tokens.tolist(), targets, weights, strict=True):
        for length in range(len(row) + 1):
            counts[tuple(row[:length])][target] += weight
    answers = []
    for row in asked.tolist():
        proba = [1 / n_classes] * n_classes
        for length in range(len(row) + 1):
            seen = counts.get(tuple(row[:length]))
            if seen is None:
                break
            total = sum(seen.values()) + strength
            removed = sum(min(n, discount) for n in seen.values())
            proba = [
                (max(seen[c] - discount, 0) + (strength + removed) * proba[c]) / total
                for c in range(n_classes)
            ]
        answers.append(proba)
    return np.array(answers)


def test_a_table_of_counts_made_by_hand():
    # After token 5: class 0 three times, class 1 once. In all: 3, 1, 2 of 6.
    tokens, targets = [[5], [5], [5], [5], [8], [8]], [0, 0, 0, 1, 2, 2]
    fitted = BackOffNGrams(discount=0.5, strength=2.0).fit(tokens, targets, 3)
    first = np.array([2.5, 0.5, 1.5]) / 8 + 3.5 / 8 / 3
    after_5 = np.array([2.5, 0.5, 0]) / 6 + 3 / 6 * first
    assert_allclose(fitted.predict_proba([[5], [6]]), [after_5, first], rtol=1e-6)


@pytest.mark.parametrize("weights", [None, RNG.uniform(0.1, 3, size=60)])
def test_a_loop_over_dictionaries(weights):
    fitted = BackOffNGrams().fit(TOKENS, TARGETS, 5, weights)
    expected = naive(TOKENS, TARGETS, 5, ASKED, weights)
    assert_allclose(fitted.predict_proba(ASKED), expected, rtol=1e-5)


def test_rows_sum_to_one_and_every_class_is_possible():
    proba = BackOffNGrams().fit(TOKENS, TARGETS, 6).predict_proba(ASKED)
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert proba.min() > 0


def test_relative_frequencies_without_discount_and_strength():
    fitted = BackOffNGrams(discount=0, strength=1e-9).fit([[0]] * 4, [0, 0, 0, 1], 2)
    assert_allclose(fitted.predict_proba([[0]]), [[0.75, 0.25]], rtol=1e-6)


def test_an_unseen_context_has_the_answer_of_the_one_before():
    short = BackOffNGrams().fit(TOKENS[:, :1], TARGETS, 4)
    long = BackOffNGrams().fit(TOKENS, TARGETS, 4)
    unseen = [[0, 7, 0], [2, 3, 1]]
    assert_array_equal(long.predict_proba(unseen), short.predict_proba([[0], [2]]))


def test_a_weight_of_two_is_a_row_twice():
    weights = np.where(np.arange(60) < 20, 2, 1)
    twice = np.repeat(np.arange(60), weights)
    weighted = BackOffNGrams().fit(TOKENS, TARGETS, 4, weights)
    repeated = BackOffNGrams().fit(TOKENS[twice], TARGETS[twice], 4)
    assert_allclose(weighted.predict_proba(ASKED), repeated.predict_proba(ASKED))


def test_many_rows_are_answered_like_few():
    fitted = BackOffNGrams().fit(TOKENS, TARGETS, 4)
    many = np.tile(ASKED, (20, 1))  # more than go into one array
    few = fitted.predict_proba(ASKED)
    assert_array_equal(fitted.predict_proba(many), np.tile(few, (20, 1)))


def test_large_tokens_and_long_contexts_do_not_collide():
    tokens = RNG.integers(0, 100_000, size=(50, 8))
    fitted = BackOffNGrams(discount=0, strength=0.01).fit(tokens, np.arange(50), 50)
    assert_array_equal(fitted.predict_proba(tokens).argmax(axis=1), np.arange(50))


def test_latest_first_pads_on_the_far_end():
    codes = np.arange(6).reshape(1, 3, 2)
    assert_array_equal(latest_first(codes, 2), [[[4, 5], [2, 3]]])
    assert_array_equal(latest_first(codes, 4), [[[4, 5], [2, 3], [0, 1], [-1, -1]]])
