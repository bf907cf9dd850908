import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax

from skanticipate.losses import marginal_cross_entropy


def naive(logits, members):
    """Loops over rows and stages; logits (B, S, C)."""
    losses = []
    for row, member in zip(logits, members, strict=True):
        stages = [-np.log(softmax(stage)[member].sum()) for stage in row]
        losses.append(np.mean(stages))
    return np.array(losses)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(0, 9999))
def test_loss_is_that_of_a_loop(n, n_stages, n_classes, seed):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(n, n_stages, n_classes))
    members = rng.random((n, n_classes)) < 0.5
    members[:, 0] |= ~members.any(axis=1)
    args = torch.from_numpy(logits), torch.from_numpy(members)
    expected = naive(logits, members)
    assert_allclose(
        marginal_cross_entropy(*args, reduction="none"), expected, atol=1e-12
    )
    assert_allclose(marginal_cross_entropy(*args), expected.mean(), atol=1e-12)


def test_one_member_is_cross_entropy_and_all_are_nothing():
    logits = torch.randn(3, 5, dtype=torch.float64)
    one = torch.eye(5, dtype=bool)[[2, 0, 4]]
    found = marginal_cross_entropy(logits, one, reduction="none")
    expected = -log_softmax(logits.numpy(), axis=1)[[0, 1, 2], [2, 0, 4]]
    assert_allclose(found, expected)
    every = torch.ones(3, 5, dtype=bool)
    assert_allclose(marginal_cross_entropy(logits, every), 0, atol=1e-12)


def test_gradient_is_that_of_finite_differences_and_finite_far_out():
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    members = torch.tensor([[True, False, True, False], [False, True, True, True]])
    assert torch.autograd.gradcheck(
        lambda z: marginal_cross_entropy(z, members), (logits,)
    )
    far = torch.tensor([[-800.0, 800.0]], requires_grad=True)
    loss = marginal_cross_entropy(far, torch.tensor([[True, False]]))
    loss.backward()
    assert loss.item() == 1600 and far.grad.tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize(
    ("shape", "members", "says"),
    [
        ((2, 3), torch.ones(2, 4, dtype=bool), "members"),
        ((2, 3), torch.ones(3, dtype=bool), "members"),
        ((2,), torch.ones(2, 2, dtype=bool), "logits"),
        ((2, 3), torch.tensor([[True] * 3, [False] * 3]), "without any class"),
    ],
)
def test_bad_sets_are_refused(shape, members, says):
    with pytest.raises(ValueError, match=says):
        marginal_cross_entropy(torch.zeros(shape), members)
