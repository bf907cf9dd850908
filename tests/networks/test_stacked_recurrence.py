"""Recurrent layers with gradients made for them, against torch's and differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn

from skanticipate.networks.stacked_recurrence import run_gru, run_lstm

RUNS = {"lstm": (run_lstm, nn.LSTM, 4), "gru": (run_gru, nn.GRU, 3)}


def drawn(cell, k, b, t, e, h, seed=0):
    """Steps, weights and biases of K layers."""
    n_gates = RUNS[cell][2]
    generator = torch.Generator().manual_seed(seed)
    shapes = [(k, b, t, e), (k, n_gates * h, e), (k, n_gates * h, h)]
    shapes += 2 * [(k, n_gates * h)]
    return [
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in shapes
    ]


def by_torch(cell, steps, *weights):
    """The same by a layer of torch for each model."""
    found = []
    for k in range(len(steps)):
        layer = RUNS[cell][1](steps.shape[-1], weights[1].shape[-1], batch_first=True)
        names = [name for name, _ in layer.named_parameters()]
        own = dict(zip(names, (w[k] for w in weights), strict=True))
        found.append(torch.func.functional_call(layer, own, (steps[k],))[0])
    return torch.stack(found)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["lstm", "gru"]),
    *(st.integers(1, 4) for _ in range(5)),
    st.integers(0, 99),
)
def test_states_and_gradients_are_those_of_torch(cell, k, b, t, e, h, seed):
    values = drawn(cell, k, b, t, e, h, seed)
    found, expected = RUNS[cell][0](*values), by_torch(cell, *values)
    assert found.shape == (k, b, t, h)
    assert_allclose(found.detach(), expected.detach(), rtol=0, atol=1e-12)
    slope = torch.randn(found.shape, dtype=torch.float64)
    pairs = zip(
        torch.autograd.grad(found, values, slope),
        torch.autograd.grad(expected, values, slope),
        strict=True,
    )
    for ours, theirs in pairs:
        assert_allclose(ours, theirs, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("cell", RUNS)
@pytest.mark.parametrize("n_steps", [1, 3])
def test_gradient_is_that_of_small_differences(cell, n_steps):
    assert torch.autograd.gradcheck(RUNS[cell][0], drawn(cell, 2, 2, n_steps, 2, 2))


@pytest.mark.parametrize("cell", RUNS)
def test_gradient_of_the_last_step_alone(cell):
    values = drawn(cell, 2, 3, 5, 2, 4)
    found, expected = RUNS[cell][0](*values), by_torch(cell, *values)
    pairs = zip(
        torch.autograd.grad(found[:, :, -1].square().sum(), values),
        torch.autograd.grad(expected[:, :, -1].square().sum(), values),
        strict=True,
    )
    for ours, theirs in pairs:
        assert_allclose(ours, theirs, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("cell", RUNS)
def test_values_that_saturate_have_finite_gradients(cell):
    values = [v.detach().mul(100).requires_grad_() for v in drawn(cell, 2, 2, 6, 2, 3)]
    found = RUNS[cell][0](*values)
    assert found.isfinite().all()
    gradients = torch.autograd.grad(found.sum(), values)
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("cell", RUNS)
def test_a_model_that_went_astray_does_not_touch_another(cell):
    values = drawn(cell, 2, 3, 4, 2, 3)
    alone = RUNS[cell][0](*(v[:1] for v in values))
    values[2].data[1] = torch.nan
    found = RUNS[cell][0](*values)
    assert_allclose(found[:1].detach(), alone.detach(), rtol=0, atol=1e-12)
    gradients = torch.autograd.grad(found[0].sum(), values)
    assert all(g[0].isfinite().all() for g in gradients)
