"""Sums of an epoch, of one model and of several, against sums by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skanticipate.training.step import EpochSums, StackedSums


def put_all(steps):
    """Sums of steps, each a dict of name to (total, weight)."""
    sums = EpochSums(len(steps))
    for k, terms in enumerate(steps):
        tensors = {
            n: (torch.tensor(t, dtype=torch.float64), w) for n, (t, w) in terms.items()
        }
        sums.put(k, tensors)
    return sums


def test_mean_of_a_term_is_over_the_weights_of_the_steps_that_had_it():
    steps = [{"base": (3.0, 2.0)}, {"base": (6.0, 4), "text": (5.0, 4.0)}, {}]
    means = put_all(steps).means(1)
    assert means == {"base": pytest.approx(9 / 6), "text": pytest.approx(5 / 4)}


def test_weights_may_be_tensors():
    sums = EpochSums(2)
    for k in range(2):
        sums.put(k, {"base": (torch.tensor(1.5 + k), torch.tensor(2.0))})
    assert sums.means(1) == {"base": pytest.approx(4 / 4)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_term_epoch_and_batch(value):
    steps = [{"base": (1.0, 1)}, {"base": (1.0, 1)}, {"base": (1.0, 1)}]
    steps[1]["text"], steps[2]["text"] = (1.0, 1), (value, 1)
    message = f"The text loss is {value} in epoch 7, batch 3. Usual causes: .* Lower lr"
    with pytest.raises(ValueError, match=message):
        put_all(steps).means(7)


# ---------------------------------------------------------------- of several models


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_those_of_a_model_are_those_it_would_have_alone(data):
    n_steps = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    n_steps.sort(reverse=True)
    number = st.floats(-10, 10)
    alone = [[{} for _ in range(n)] for n in n_steps]
    sums = StackedSums(n_steps, ["base", "text"])
    for step in range(n_steps[0]):
        stop = sum(n > step for n in n_steps)  # who has shorter orders rests
        cut = data.draw(st.integers(0, stop))
        for first, last in [(0, cut), (cut, stop)]:
            if first == last:
                continue
            terms = {}
            for name in ("base", "text"):
                totals = data.draw(
                    st.lists(number, min_size=last - first, max_size=last - first)
                )
                has = data.draw(
                    st.lists(
                        st.booleans(), min_size=last - first, max_size=last - first
                    )
                )
                weights = [2.5 * h for h in has]
                totals = [t * h for t, h in zip(totals, has, strict=True)]
                terms[name] = (
                    torch.tensor(totals, dtype=torch.float64),
                    torch.tensor(weights, dtype=torch.float64),
                )
                for k in range(first, last):
                    if has[k - first]:
                        own = totals[k - first], weights[k - first]
                        alone[k][step][name] = own
            sums.put(step, first, last, terms)
    for k, steps in enumerate(alone):
        assert sums.of_model(k).means(1) == pytest.approx(put_all(steps).means(1))


def test_a_model_that_diverges_tells_its_own_batch_and_no_other_does():
    sums = StackedSums([3, 2], ["base", "text"])
    for step in range(3):
        totals = np.array([1.0, 2.0])
        totals[1 if step == 1 else 0] *= np.inf if step == 1 else 1
        stop = 2 if step < 2 else 1
        totals = torch.tensor(totals[:stop])
        sums.put(step, 0, stop, {"base": (totals, torch.full((stop,), 2.0))})
    assert sums.of_model(0).means(4) == {"base": pytest.approx(0.5)}
    with pytest.raises(ValueError, match="The base loss is inf in epoch 4, batch 2"):
        sums.of_model(1).means(4)
