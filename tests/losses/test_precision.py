"""Every loss in float32 against itself in float64."""

import numpy as np
import pytest
import torch

from skanticipate import losses

B, S, C, N, D = 32, 3, 40, 20, 16
RNG = np.random.default_rng(0)
PROBA = torch.from_numpy(RNG.dirichlet(np.full(C, 0.2), B))
SETS = torch.from_numpy(RNG.random((B, C)) < 0.2) | torch.eye(C, dtype=bool)[:B]
SCORES = torch.from_numpy(RNG.normal(scale=4, size=(B, S, C)))
MAPS = torch.from_numpy(RNG.normal(size=(B, N, D)))
TEACHER = torch.from_numpy(RNG.normal(size=(B, N, D)))

CASES = {  # loss -> scores or maps of the student, function of it and of the rest
    "soft_cross_entropy": (SCORES, losses.soft_cross_entropy, PROBA),
    "distillation_kl": (SCORES, losses.distillation_kl, PROBA),
    "focal_loss": (SCORES, losses.focal_loss, PROBA),
    "marginal_cross_entropy": (SCORES, losses.marginal_cross_entropy, SETS),
    "direct_loss": (MAPS, losses.direct_loss, TEACHER),
    "pooled_loss": (MAPS, losses.pooled_loss, TEACHER),
    "weakly_aligned_loss": (MAPS, losses.weakly_aligned_loss, TEACHER),
    "teacher_pooled": (MAPS, lambda maps, _: losses.teacher_pooled(maps), TEACHER),
}


def test_every_loss_is_compared():
    assert set(CASES) == set(losses.__all__)


@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("name", CASES)
def test_single_precision_is_near_double(name, size):
    # Of scores of the size of 120 probabilities are 0 in either precision.
    student, loss, given = CASES[name]
    answers = []
    for dtype in (torch.float32, torch.float64):
        # the same numbers in both, as float32 has them
        own = (size * student).float().to(dtype).requires_grad_()
        rest = given if given.dtype == torch.bool else given.float().to(dtype)
        value = loss(own, rest)
        assert value.dtype == dtype
        slope = ()
        if value.requires_grad:
            slope = torch.autograd.grad(value.sum(), own)
        answers.append([part.detach().double() for part in (value, *slope)])
    for single, double in zip(*answers, strict=True):
        assert (single - double).abs().max() <= 2e-5 * double.abs().max()
