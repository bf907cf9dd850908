import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skanticipate.losses import direct_loss, pooled_loss

A = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
R = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]], dtype=torch.float64)
MASK = torch.tensor([[True, False, True]])


def test_direct_loss_by_hand():
    # squares 1, 1; 1, 1; 1, 1
    assert_allclose(direct_loss(A, R, form="squared", reduction="sum"), 6)
    assert_allclose(direct_loss(A, R, form="squared"), 1)
    assert_allclose(direct_loss(A, R), 0.5)
    # differences of 5 cost 5 - 1/2, or 2 * (5 - 1)
    assert_allclose(direct_loss(5 * A, 5 * R), 4.5)
    assert_allclose(direct_loss(5 * A, 5 * R, delta=2.0), 8)


def test_pooled_loss_by_hand():
    # means (2/3, 2/3) and (1, 1/3)
    assert_allclose(pooled_loss(A, R, form="squared"), 1 / 9)
    assert_allclose(pooled_loss(A, R, form="squared", reduction="sum"), 2 / 9)
    assert_allclose(pooled_loss(A, R), 1 / 18)
    assert_allclose(pooled_loss(30 * A, 30 * R, delta=2.0), 2 * (10 - 1))
    # one position of two maps of different size: means (2/3, 2/3) and (2, 0)
    assert_allclose(pooled_loss(A, R[:, 2:], form="squared", reduction="sum"), 20 / 9)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_hidden_positions_do_not_matter(value):
    student, teacher = A.clone(), R.clone()
    student[~MASK] = teacher[~MASK] = value
    student.requires_grad_()
    # direct: differences (1, -1) and (-1, 1); pooled: (1, 1/2) and (1, 1/2)
    loss = direct_loss(student, teacher, form="squared", mask=MASK)
    assert_allclose(loss.detach(), 1)
    loss.backward()
    assert_allclose(student.grad, [[[0.5, -0.5], [0, 0], [-0.5, 0.5]]])
    total = direct_loss(student, teacher, form="squared", mask=MASK, reduction="sum")
    assert_allclose(total.detach(), 4)
    student.grad = None
    loss = pooled_loss(
        student, R, form="squared", student_mask=MASK, reduction="sum"
    )  # (1, 1/2) and (1, 1/3)
    assert_allclose(loss.detach(), 1 / 36)
    loss.backward()
    assert_allclose(student.grad, [[[0, 1 / 6], [0, 0], [0, 1 / 6]]], atol=1e-15)
    loss = pooled_loss(A, teacher, form="squared", reduction="sum", teacher_mask=MASK)
    assert_allclose(loss, (2 / 3 - 1) ** 2 + (2 / 3 - 1 / 2) ** 2)


@pytest.mark.parametrize("loss", [direct_loss, pooled_loss])
@pytest.mark.parametrize("form", ["huber", "squared"])
def test_losses_of_maps(loss, form):
    rng = np.random.default_rng(0)
    student, teacher = (torch.from_numpy(rng.normal(size=(3, 4, 2))) for _ in range(2))
    teacher.requires_grad_()
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: loss(s, teacher.detach(), form=form, reduction="none"), student
    )
    each = loss(student, teacher, form=form, reduction="none")
    assert each.shape == (3,)
    mean = loss(student, teacher, form=form)
    assert_allclose(mean.detach(), each.detach().mean(), rtol=1e-12)
    mean.backward()
    assert teacher.grad is None
    half = loss(student.float(), teacher.half(), form=form)
    assert half.dtype == torch.float32
    assert_allclose(half.detach(), mean.detach(), rtol=1e-2)


def test_positions_must_be_as_many_or_aligned_weakly():
    with pytest.raises(ValueError, match=r"3 positions .* 2: .* alignment \"weak\""):
        direct_loss(A, R[:, :2])


@pytest.mark.parametrize("loss", [direct_loss, pooled_loss])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"form": "l1"}, "form must be 'huber' or 'squared'"),
        ({"delta": 0.0}, "delta must be a finite number above 0"),
        ({"reduction": "max"}, "reduction must be 'mean' or 'sum' or 'none'"),
    ],
)
def test_options_of_maps_must_be_known(loss, params, message):
    with pytest.raises(ValueError, match=message):
        loss(A, R, **params)


@pytest.mark.parametrize("loss", [direct_loss, pooled_loss])
def test_maps_must_fit(loss):
    with pytest.raises(ValueError, match="student has 2 channels but teacher has 1"):
        loss(A, R[..., :1])
    with pytest.raises(ValueError, match="student has 1 rows but teacher has 2"):
        loss(A, R.repeat(2, 1, 1))


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (direct_loss, "mask"),
        (pooled_loss, "student_mask"),
        (pooled_loss, "teacher_mask"),
    ],
)
def test_masks_must_fit(loss, name):
    with pytest.raises(ValueError, match=f"{name} must be a bool tensor"):
        loss(A, R, **{name: MASK.double()})
    with pytest.raises(ValueError, match=f"{name} leaves a row without any real"):
        loss(A, R, **{name: torch.zeros_like(MASK)})
