import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from skanticipate.losses import focal_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(7, 5)) * 4
CODES = np.array([0, 4, 2, 2, 1, 3, 0])
SOFT = RNG.dirichlet(np.ones(5), 7)
FORMS = pytest.mark.parametrize(
    "gamma, alpha", [(2.0, 0.25), (0.0, None), (0.5, 0.9), (3, None), (1.0, 0.0)]
)


def naive(scores, targets, gamma, alpha):
    """Loss of a row by the formula, one decision after the other."""
    total = 0.0
    for z, t in zip(scores, targets, strict=True):
        p = 1 / (1 + math.exp(-z))
        right = p * t + (1 - p) * (1 - t)
        loss = -t * math.log(p) - (1 - t) * math.log(1 - p)
        balance = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
        total += balance * (1 - right) ** gamma * loss
    return total


def of_torchvision(inputs, targets, alpha, gamma):
    """Formula of torchvision's `sigmoid_focal_loss`, of each entry."""
    p = torch.sigmoid(inputs)
    loss = functional.binary_cross_entropy_with_logits(
        inputs, targets, reduction="none"
    )
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = loss * (1 - p_t) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return loss


@FORMS
@pytest.mark.parametrize("targets", [CODES, SOFT], ids=["codes", "distributions"])
def test_equals_the_formula(targets, gamma, alpha):
    found = focal_loss(
        torch.tensor(LOGITS),
        torch.tensor(targets),
        gamma=gamma,
        alpha=alpha,
        reduction="none",
    )
    rows = np.eye(5)[targets] if targets.ndim == 1 else targets
    pairs = zip(LOGITS, rows, strict=True)
    expected = [naive(*pair, gamma, alpha) for pair in pairs]
    assert_allclose(found, expected, rtol=1e-12)


@FORMS
def test_is_that_of_torchvision_in_other_units(gamma, alpha):
    scores, targets = torch.tensor(LOGITS), torch.tensor(SOFT)
    balance = -1 if alpha is None else alpha
    entries = of_torchvision(scores, targets, balance, gamma)
    found = focal_loss(scores, targets, gamma=gamma, alpha=alpha)
    assert_allclose(found, entries.mean() * scores.shape[1], rtol=1e-12)
    assert_allclose(found * len(scores), entries.sum(), rtol=1e-12)


@FORMS
@pytest.mark.parametrize("targets", [CODES, SOFT], ids=["codes", "distributions"])
def test_slopes_are_those_of_differences(targets, gamma, alpha):
    scores = torch.tensor(LOGITS / 4, requires_grad=True)
    targets = torch.tensor(targets)
    assert torch.autograd.gradcheck(
        lambda z: focal_loss(z, targets, gamma=gamma, alpha=alpha), scores
    )


def test_without_gamma_and_alpha_it_is_binary_cross_entropy():
    found = focal_loss(torch.tensor(LOGITS), torch.tensor(CODES), gamma=0.0, alpha=None)
    expected = functional.binary_cross_entropy_with_logits(
        torch.tensor(LOGITS), torch.eye(5, dtype=torch.float64)[CODES], reduction="sum"
    )
    assert_allclose(found, expected / 7, rtol=1e-12)


def test_a_hand_made_number():
    # Both decisions at even odds: (0.25 + 0.75) * 0.5^2 * log 2.
    found = focal_loss(torch.zeros(1, 2), torch.tensor([0]))
    assert_allclose(found, math.log(2) / 4, rtol=1e-6)


def test_stages_share_their_targets():
    scores = torch.tensor(RNG.normal(size=(7, 3, 5)))
    for targets in (torch.tensor(CODES), torch.tensor(SOFT)):
        found = focal_loss(scores, targets, reduction="none")
        stages = [focal_loss(scores[:, s], targets, reduction="none") for s in range(3)]
        assert_allclose(found, torch.stack(stages).mean(0), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("size", [90.0, 1e4, 1e30])
def test_large_scores_have_finite_losses_and_slopes(size, gamma, dtype):
    scores = torch.tensor([[size, -size], [-size, size], [size, size]], dtype=dtype)
    for targets in (torch.tensor([0, 0, 1]), torch.full((3, 2), 0.5, dtype=dtype)):
        leaf = scores.clone().requires_grad_()
        losses = focal_loss(leaf, targets, gamma=gamma, reduction="none")
        (slopes,) = torch.autograd.grad(losses.sum(), leaf)
        assert losses.isfinite().all() and slopes.isfinite().all()
    # Wrong by far: the class at hand weighs 0.25, the other 0.75, each its score.
    wrong = focal_loss(scores[1:2], torch.tensor([0]), gamma=gamma)
    assert_allclose(wrong, size, rtol=1e-6)
    assert focal_loss(scores[:1], torch.tensor([0]), gamma=gamma) < 1e-30


def test_targets_that_rounding_moved_beyond_one_are_read():
    targets = torch.tensor([[1 + 1e-7, -1e-7]])
    found = focal_loss(torch.tensor([[3.0, -3.0]]), targets, gamma=0.5)
    expected = focal_loss(torch.tensor([[3.0, -3.0]]), torch.tensor([0]), gamma=0.5)
    assert_allclose(found, expected, rtol=1e-4)


def test_gradients_flow_into_the_scores_only():
    targets = torch.tensor(SOFT, requires_grad=True)
    loss = focal_loss(torch.tensor(LOGITS, requires_grad=True), targets)
    loss.backward()
    assert targets.grad is None


@pytest.mark.parametrize(
    "logits, targets",
    [
        (torch.zeros(3), torch.zeros(3)),
        (torch.zeros(3, 2), torch.zeros(3, 3)),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(3, 4, 2), torch.zeros(3, 4, 2)),
    ],
)
def test_shapes_that_do_not_fit(logits, targets):
    with pytest.raises(ValueError, match=r"Expected logits \(B, C\)"):
        focal_loss(logits, targets)


def test_an_unknown_reduction():
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'none'"):
        focal_loss(torch.zeros(3, 2), torch.zeros(3, 2), reduction="sum")


@pytest.mark.parametrize("code", [-100, -1, 2])
def test_a_code_of_no_class_is_an_error(code):
    with pytest.raises(RuntimeError, match="out of bounds"):
        focal_loss(torch.zeros(3, 2), torch.tensor([0, code, 1]))


@pytest.mark.parametrize("targets", [LOGITS, np.log(SOFT), 100 * np.array(SOFT)])
def test_targets_that_are_no_shares_are_refused(targets):
    with pytest.raises(ValueError, match=r"targets must be codes \(B,\) or lie in"):
        focal_loss(torch.tensor(LOGITS), torch.tensor(targets))


def test_targets_of_several_classes_are_read():
    assert focal_loss(torch.zeros(1, 3), torch.tensor([[1.0, 1.0, 0.0]])) > 0
