from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate.teachers.history.templates import ActionTemplates, recent_nouns

# Codes as in histories: verbs 1..3 and nouns 1..4; class (verb, noun) for all pairs.
VERBS, NOUNS = np.array([*product(range(3), range(1, 5))]).T
RNG = np.random.default_rng(0)


def histories(n, n_steps, seed=0):
    """Verb, noun and action codes, some of them unknown (0), left-padded."""
    rng = np.random.default_rng(seed)
    verb, noun = rng.integers(0, 4, (n, n_steps)), rng.integers(0, 5, (n, n_steps))
    codes = np.stack([verb, noun, verb * 5 + noun], axis=-1)
    padded = np.arange(n_steps) < rng.integers(0, n_steps + 1, n)[:, None]
    codes[padded] = -1
    return codes


CODES, ASKED = histories(80, 4), histories(50, 4, seed=1)
TARGETS = RNG.integers(0, len(VERBS), 80)


def slots_of(nouns):
    """Distinct nouns of a history, the latest first."""
    return list(dict.fromkeys(noun for noun in reversed(nouns) if noun > 0))


def pairs_of(row, n_slots, order):
    """The contexts of a history, from short to long."""
    recent = slots_of([noun for _, noun, _ in row])
    pairs = []
    for verb, noun, _ in reversed(row):
        if verb < 0:
            pairs.append("nothing")
        elif noun <= 0:
            pairs.append((verb, "unknown"))
        else:
            pairs.append((verb, recent.index(noun)))
    pairs = (pairs + ["nothing"] * order)[:order]
    pairs[0] = row[-1][0]
    return [tuple(pairs[:length]) for length in range(order + 1)]


def naive(codes, targets, asked, order, weights, discount=0.75, strength=20.0):
    """Templates by the text of the docstring, with lists and dictionaries."""
    n_slots = codes.shape[1]
    counts, of_class = defaultdict(Counter), Counter()
    for row, target, weight in zip(codes.tolist(), targets, weights, strict=True):
        recent = slots_of([noun for _, noun, _ in row])
        noun = NOUNS[target]
        slot = recent.index(noun) if noun in recent else "new"
        of_class[target] += weight
        for context in pairs_of(row, n_slots, order):
            counts[context][VERBS[target], slot] += weight
    every = [*product(range(3), [*range(n_slots), "new"])]
    answers = []
    for row in asked.tolist():
        chance = dict.fromkeys(every, 1 / len(every))
        for context in pairs_of(row, n_slots, order):
            seen = counts.get(context)
            if seen is None:
                break
            total = sum(seen.values()) + strength
            rest = strength + sum(min(n, discount) for n in seen.values())
            chance = {
                t: (max(seen[t] - discount, 0) + rest * chance[t]) / total
                for t in every
            }
        recent, scores = slots_of([noun for _, noun, _ in row]), []
        for c, (verb, noun) in enumerate(zip(VERBS, NOUNS, strict=True)):
            same = np.flatnonzero(VERBS == verb)
            share = (of_class[c] + 1 / len(same)) / (sum(of_class[k] for k in same) + 1)
            score = chance[verb, "new"] * share
            if noun in recent:
                score += chance[verb, recent.index(noun)]
            scores.append(score)
        answers.append(np.array(scores) / sum(scores))
    return np.array(answers)


@pytest.mark.parametrize("order", [1, 2, 6])
def test_templates_by_a_loop(order):
    weights = RNG.uniform(0.2, 3, len(TARGETS))
    fitted = ActionTemplates(order).fit(CODES, TARGETS, VERBS, NOUNS, weights)
    expected = naive(CODES, TARGETS, ASKED, order, weights)
    assert_allclose(fitted.predict_proba(ASKED), expected, rtol=1e-5)


def test_nouns_by_a_loop():
    nouns = CODES[:, :, 1]
    recent, slots = recent_nouns(nouns, 4)
    for row, found, places in zip(nouns.tolist(), recent, slots, strict=True):
        expected = slots_of(row)
        assert_array_equal(found, expected + [-1] * (4 - len(expected)))
        wanted = [expected.index(noun) if noun > 0 else -1 for noun in row]
        assert_array_equal(places, wanted)


def test_only_so_many_nouns_are_kept():
    recent, slots = recent_nouns(np.array([[4, 3, 2, 1]]), 2)
    assert_array_equal(recent, [[1, 2]])
    assert_array_equal(slots, [[2, 2, 1, 0]])


def test_what_was_learnt_of_one_noun_serves_another():
    # take (verb 1) cup or pan, then put (class verb 0) the same; never a lid
    codes = np.array([[[1, 1, 1]]] * 40 + [[[1, 2, 2]]] * 40)
    targets = np.repeat([0, 1], 40)
    fitted = ActionTemplates().fit(codes, targets, [0, 0, 0, 1], [1, 2, 3, 3])
    proba = fitted.predict_proba(np.array([[[1, 3, 3]]]))[0]
    # the other verb, never seen, has half of what is left of the uniform start
    assert proba.argmax() == 2 and proba[2] > 0.75


def test_the_names_of_the_nouns_do_not_matter():
    fitted = ActionTemplates(2).fit(CODES, TARGETS, VERBS, NOUNS)
    other = np.array([-1, 0, 3, 1, 4, 2])  # of -1, 0, 1, ..., 4
    renamed = CODES.copy()
    renamed[:, :, 1] = other[CODES[:, :, 1] + 1]
    again = ActionTemplates(2).fit(renamed, TARGETS, VERBS, other[NOUNS + 1])
    assert_array_equal(again.predict_proba(renamed), fitted.predict_proba(CODES))


def test_rows_sum_to_one_after_nothing_and_after_the_unknown():
    fitted = ActionTemplates().fit(CODES, TARGETS, VERBS, NOUNS)
    strange = np.array([[[-1] * 3] * 4, [[0] * 3] * 4, [[9] * 3] * 4])
    proba = fitted.predict_proba(strange)
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert proba.min() > 0


def test_a_weight_of_two_is_a_row_twice():
    weights = np.where(np.arange(80) % 3 == 0, 2, 1)
    twice = np.repeat(np.arange(80), weights)
    weighted = ActionTemplates().fit(CODES, TARGETS, VERBS, NOUNS, weights)
    repeated = ActionTemplates().fit(CODES[twice], TARGETS[twice], VERBS, NOUNS)
    assert_allclose(
        weighted.predict_proba(ASKED), repeated.predict_proba(ASKED), rtol=1e-6
    )


def test_a_longer_history_is_read_to_its_end():
    fitted = ActionTemplates(2).fit(CODES, TARGETS, VERBS, NOUNS)
    longer = np.concatenate([np.full((50, 3, 3), -1), ASKED], axis=1)
    assert_array_equal(fitted.predict_proba(longer), fitted.predict_proba(ASKED))


def test_steps_of_padding_in_all_histories_add_no_slots():
    wider = np.concatenate([np.full((80, 3, 3), -1), CODES], axis=1)
    fitted = ActionTemplates().fit(CODES, TARGETS, VERBS, NOUNS)
    other = ActionTemplates().fit(wider, TARGETS, VERBS, NOUNS)
    assert other.n_slots_ == 4
    assert_array_equal(other.predict_proba(ASKED), fitted.predict_proba(ASKED))


def test_histories_of_nothing_leave_one_slot():
    nothing = np.full_like(CODES, -1)
    fitted = ActionTemplates().fit(nothing, TARGETS, VERBS, NOUNS)
    assert fitted.n_slots_ == 1
    assert_allclose(fitted.predict_proba(ASKED).sum(axis=1), 1, rtol=1e-6)
