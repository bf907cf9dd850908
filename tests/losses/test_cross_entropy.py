import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from skanticipate.losses import soft_cross_entropy
from skanticipate.losses.cross_entropy import cross_entropy_of_rows

B, S, C = 5, 3, 4


def random_case(*shape, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(scale=3, size=shape))
    targets = torch.from_numpy(rng.dirichlet(np.ones(shape[-1]), size=shape[0]))
    return logits, targets


def naive(logits, targets):
    """-sum_c t log softmax(z), one row and stage at a time, in plain Python."""
    losses = []
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        stages = row if isinstance(row[0], list) else [row]
        per_stage = []
        for scores in stages:
            total = math.log(sum(math.exp(z) for z in scores))
            per_stage.append(
                -sum(t * (z - total) for t, z in zip(target, scores, strict=True))
            )
        losses.append(sum(per_stage) / len(per_stage))
    return losses


@pytest.mark.parametrize("shape", [(B, C), (B, S, C), (B, 1, C)])
def test_soft_targets_give_the_naive_loss(shape):
    logits, targets = random_case(*shape)
    losses = soft_cross_entropy(logits, targets, reduction="none")
    assert losses.shape == (B,)
    assert_allclose(losses, naive(logits, targets), rtol=1e-12)


@pytest.mark.parametrize("shape", [(B, C), (B, S, C), (B, 1, C)])
def test_codes_give_the_loss_of_their_one_hot_rows(shape):
    logits, _ = random_case(*shape)
    codes = torch.tensor([0, 3, 1, 1, 2])
    losses = soft_cross_entropy(logits, codes, reduction="none")
    assert_allclose(losses, naive(logits, torch.eye(C)[codes]), rtol=1e-12)


def test_soft_targets_agree_with_torch():
    logits, targets = random_case(64, 30)
    expected = functional.cross_entropy(logits, targets)
    assert_allclose(soft_cross_entropy(logits, targets), expected, rtol=1e-13)


def test_gradient_agrees_with_torch_for_each_stage():
    logits, targets = random_case(B, S, C)
    ours = logits.clone().requires_grad_()
    theirs = logits.clone().requires_grad_()
    soft_cross_entropy(ours, targets).backward()
    repeated = targets.unsqueeze(1).expand(B, S, C).reshape(-1, C)
    functional.cross_entropy(theirs.reshape(-1, C), repeated).backward()
    assert_allclose(ours.grad, theirs.grad, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("shape", [(B, C), (B, S, C), (B, 1, C)])
def test_gradient_passes_gradcheck(shape, reduction):
    logits, targets = random_case(*shape)

    def loss(z):
        return soft_cross_entropy(z, targets, reduction=reduction)

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),))


def test_soft_targets_are_probabilities():
    logits, targets = random_case(B, S, C)
    for wrong in (targets.log(), logits[:, 0], 0.9 * targets, targets - 0.1 + 0.1 * C):
        with pytest.raises(ValueError, match="targets must hold probabilities"):
            soft_cross_entropy(logits, wrong)


@pytest.mark.parametrize("mass", [0.0, 0.3, 2.5])
def test_targets_of_terms_need_not_sum_to_one(mass):
    logits, targets = random_case(B, S, C)
    targets = targets * mass
    losses = cross_entropy_of_rows(logits, targets)
    assert_allclose(losses, naive(logits, targets), rtol=1e-12)
    assert torch.autograd.gradcheck(
        lambda z: cross_entropy_of_rows(z, targets), (logits.requires_grad_(),)
    )


def test_mean_is_the_mean_over_rows():
    logits, targets = random_case(B, S, C)
    each = soft_cross_entropy(logits, targets, reduction="none")
    assert_allclose(soft_cross_entropy(logits, targets), each.mean(), rtol=1e-13)


def test_uniform_scores_cost_the_logarithm_of_the_class_count():
    assert_allclose(
        soft_cross_entropy(torch.zeros(2, 8), torch.full((2, 8), 1 / 8)),
        math.log(8),
        rtol=1e-6,
    )


def test_large_scores_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = soft_cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    loss.backward()
    assert_allclose(loss.detach(), 1e4)
    assert_allclose(logits.grad, [[0.5, -0.5, 0.0]])


def test_inputs_are_left_as_they_were():
    logits, targets = random_case(B, S, C)
    before = logits.clone(), targets.clone()
    soft_cross_entropy(logits.requires_grad_(), targets).backward()
    assert torch.equal(logits, before[0])
    assert torch.equal(targets, before[1])


def test_no_gradient_flows_into_the_targets():
    logits, targets = random_case(B, C)
    targets.requires_grad_()
    soft_cross_entropy(logits.requires_grad_(), targets).backward()
    assert targets.grad is None


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        ((C,), (C,)),
        ((B, C), (B - 1, C)),
        ((B, C), (B + 1,)),
        ((B, C), (B, C + 1)),
        ((B, C), (B, 1)),
        ((B, S, C), (B, S, C)),
    ],
)
def test_wrong_shapes_are_named(logits, targets):
    with pytest.raises(ValueError, match=r"Expected logits \(B, C\) or \(B, S, C\)"):
        soft_cross_entropy(torch.zeros(logits), torch.zeros(targets))


def test_reduction_must_be_known():
    with pytest.raises(ValueError, match="reduction"):
        soft_cross_entropy(torch.zeros(B, C), torch.zeros(B, C), reduction="sum")


@pytest.mark.parametrize("code", [-100, -1, C], ids=["ignored by torch", "-1", "C"])
@pytest.mark.parametrize("shape", [(B, C), (B, S, C)], ids=str)
def test_a_code_of_no_class_is_an_error(code, shape):
    """And no row whose loss is 0, which would make every mean smaller."""
    codes = torch.zeros(B, dtype=torch.int64)
    codes[1] = code
    with pytest.raises(IndexError, match="out of bounds"):
        soft_cross_entropy(torch.zeros(shape), codes)
