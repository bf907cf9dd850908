"""The weakly aligned loss: feature maps compared through attention."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from skanticipate.losses._attention import Chunk, Workspace, self_attention
from skanticipate.losses._checks import (
    FORMS,
    LARGEST,
    REDUCTIONS,
    Form,
    Reduction,
    check_maps,
    check_mask,
    check_option,
    check_positive,
    is_finite,
)

Direction = Literal["both", "student", "teacher"]
DIRECTIONS = get_args(Direction)
# Bytes of workspace: so many that stay in the cache, and the most for one sample.
_USUAL = {"cpu": 4 * 2**20}
_LARGEST = {"cpu": 64 * 2**20}
_ON_GPU = 2 * 2**30


def weakly_aligned_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    alpha: float | None = None,
    direction: Direction = "both",
    form: Form = "huber",
    delta: float = 1.0,
    reduction: Reduction = "mean",
    student_mask: Tensor | None = None,
    teacher_mask: Tensor | None = None,
    teacher_pooled: Tensor | None = None,
) -> Tensor:
    r"""Distance of two feature maps that need not show things at the same place.

    With student vectors ``a_i``, teacher vectors ``r_i`` and attention
    ``phi(q, M) = M softmax(alpha M^T q)``, it is the sum of two halves:

    - queries from the student: mean over i of ``h(phi(a_i, R) - phi(a_i, A))``,
    - queries from the teacher: mean over i of ``h(phi(r_i, A) - phi(r_i, R))``.

    Neither changes when the positions of a map change places. Gradients flow into the
    student only, through its queries, keys and values, once.

    Parameters
    ----------
    student, teacher : tensors of shape (B, N_s, d) and (B, N_t, d)
        Feature maps A and R, positions before channels.
    alpha : float or None, default=None
        Scale of the attention, not negative; None is ``1 / sqrt(d)``. At 0 the means of
        the maps are compared, a large one picks the nearest vector.
    direction : {"both", "student", "teacher"}, default="both"
        Both halves added, or one: queries from the student or from the teacher.
    form : {"huber", "squared"}, default="huber"
        ``h``: elementwise ``x^2 / 2`` up to `delta` and ``delta * (|x| - delta / 2)``
        beyond, or ``x^2``.
    delta : float, default=1.0
        Where the Huber form turns linear, in units of the features.
    reduction : {"mean", "sum", "none"}, default="mean"
        "none" gives one value a row, each half the mean over its real queries and the
        channels; "mean" their mean; "sum" the paper's sums over positions and channels,
        then the mean over rows.
    student_mask, teacher_mask : bool tensors of shape (B, N) or None, default=None
        True at real positions, at least one a row; None: all. The others are neither
        queries nor keys, and what stands there does not matter.
    teacher_pooled : tensor of shape (B, N_t, d) or None, default=None
        ``phi(r_i, R)`` of :func:`teacher_pooled` for the same alpha and mask, where it
        is at hand; a seventh of the work is saved. Not needed for queries of the
        student.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If shapes do not fit, alpha is negative or not finite, a row has no real
        position, or an option is unknown.

    Notes
    -----
    The gradient is made together with the loss, for a few samples at a time: buffers
    take 4 MiB on a CPU, and up to 64 MiB where one sample needs more (2 GiB on a GPU),
    whatever the size of the batch. Maps in half precision are computed in single
    precision. The value is as exact as by autograd in the same precision.

    References
    ----------
    Tran, Wang, Hoai, "Back to the Future: Knowledge Distillation for Human Action
    Anticipation", 2019, eqs. 4-9; the Huber form in section 4.2.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import weakly_aligned_loss
    >>> student = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    >>> teacher = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]])
    >>> weakly_aligned_loss(student, teacher, form="squared", reduction="sum")
    tensor(2.9017)
    >>> weakly_aligned_loss(student, student[:, [2, 0, 1]]).abs() < 1e-6
    tensor(True)
    """
    check_maps(student, teacher)
    check_mask("student_mask", student_mask, student)
    check_mask("teacher_mask", teacher_mask, teacher)
    check_option("direction", direction, DIRECTIONS)
    check_option("form", form, FORMS)
    check_option("reduction", reduction, REDUCTIONS)
    check_positive("delta", delta)
    if teacher_pooled is not None and teacher_pooled.shape != teacher.shape:
        raise ValueError(
            f"teacher_pooled must have the shape {tuple(teacher.shape)} of teacher, "
            f"got {tuple(teacher_pooled.shape)}."
        )
    alpha = _scale_of_attention(alpha, student)
    if student.shape[1] == teacher.shape[1] == 1:
        pair = _one_position(student, teacher.detach(), form, delta, reduction)
        losses = pair * (2 if direction == "both" else 1)
        return losses if reduction == "none" else losses.mean()
    # x^2 is twice the Huber form that never turns linear.
    factor, delta = (2.0, math.inf) if form == "squared" else (1.0, delta)
    scales = [
        torch.full_like(maps[:, 0, 0], factor, dtype=_dtype(student))
        if reduction == "sum"
        else factor / _count(maps, mask, _dtype(student))
        for maps, mask in ((student, student_mask), (teacher, teacher_mask))
    ]
    losses = _WeaklyAlignedLoss.apply(
        student,
        teacher.detach(),
        None if teacher_pooled is None else teacher_pooled.detach(),
        (student_mask, teacher_mask),
        scales,
        direction,
        alpha,
        delta,
    )
    return losses if reduction == "none" else losses.mean()


def _one_position(student, teacher, form, delta, reduction):
    """The loss where all attention is on the one position.   (B, 1, d) -> (B,)."""
    student, teacher = student.to(_dtype(student)), teacher.to(_dtype(student))
    if form == "squared":
        losses = functional.mse_loss(student, teacher, reduction="none")
    else:
        losses = functional.huber_loss(student, teacher, reduction="none", delta=delta)
    return losses.sum((1, 2)) if reduction == "sum" else losses.mean((1, 2))


@torch.no_grad()
def teacher_pooled(
    teacher: Tensor, *, alpha: float | None = None, mask: Tensor | None = None
) -> Tensor:
    """What each vector of a map sees in its own map: ``phi(r_i, R)``.

    It does not depend on the student, so a caller that meets the same map in each epoch
    may keep it and hand it to :func:`weakly_aligned_loss`.

    Parameters
    ----------
    teacher : tensor of shape (B, N, d)
        Feature maps, positions before channels.
    alpha : float or None, default=None
        Scale of the attention, not negative; None is ``1 / sqrt(d)``.
    mask : bool tensor of shape (B, N) or None, default=None
        True at real positions, at least one a row; None: all.

    Returns
    -------
    tensor of shape (B, N, d)
        What stands at positions that are not real has no meaning.

    Raises
    ------
    ValueError
        If shapes do not fit, alpha is negative or not finite, or a row has no real
        position.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import teacher_pooled
    >>> teacher_pooled(torch.tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]]), alpha=0.0)
    tensor([[[1.0000, 0.3333],
             [1.0000, 0.3333],
             [1.0000, 0.3333]]])
    """
    check_maps(teacher, teacher)
    check_mask("mask", mask, teacher)
    alpha = _scale_of_attention(alpha, teacher)
    pooled = torch.empty_like(teacher, dtype=_dtype(teacher))
    samples, rows, work = _plan(pooled, teacher)
    for chunk in _slices(len(teacher), samples):
        maps, hidden = _cut(teacher, mask, chunk, pooled.dtype)
        for some in _slices(teacher.shape[1], rows):
            pooled[chunk, some] = self_attention(maps, hidden, some, alpha, work)
    return pooled


class _WeaklyAlignedLoss(torch.autograd.Function):
    """One value a row, its gradient made in the forward pass.

    Autograd would keep the probabilities of four attentions of the whole batch.
    """

    @staticmethod
    def forward(ctx, student, teacher, pooled, masks, scales, direction, alpha, delta):
        wanted = ctx.needs_input_grad[0]
        dtype = _dtype(student)
        losses = student.new_zeros(len(student), dtype=torch.float64)
        gradient = torch.empty_like(student, dtype=dtype) if wanted else None
        samples, rows, work = _plan(student, teacher)
        for chunk in _slices(len(student), samples):
            A, hidden_A = _cut(student, masks[0], chunk, dtype)
            R, hidden_R = _cut(teacher, masks[1], chunk, dtype)
            part = Chunk(
                student=A,
                teacher=R,
                pooled=None if pooled is None else pooled[chunk].to(dtype),
                student_hidden=hidden_A,
                teacher_hidden=hidden_R,
                student_scale=scales[0][chunk],
                teacher_scale=scales[1][chunk],
                gradient=gradient[chunk] if wanted else None,
                alpha=alpha,
                delta=delta,
                work=work,
            )
            losses[chunk] = _loss_of_chunk(part, direction, rows)
        if wanted:
            ctx.save_for_backward(gradient)
        return losses.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, outer):
        (gradient,) = ctx.saved_tensors
        return gradient * outer[:, None, None], *[None] * 7


def _loss_of_chunk(part, direction, rows):
    n_s, n_t = part.student.shape[1], part.teacher.shape[1]
    if direction == "both" and rows >= max(n_s, n_t):
        return part.both_directions()
    if part.gradient is not None:
        part.gradient.zero_()
    loss = 0.0
    if direction != "teacher":
        loss = sum(map(part.student_queries, _slices(n_s, rows)), loss)
    if direction != "student":
        loss = sum(map(part.teacher_queries, _slices(n_t, rows)), loss)
    return loss


def _plan(student, teacher):
    """How many samples, and how many queries of one, to take at once; and buffers."""
    n, d = max(student.shape[1], teacher.shape[1]), student.shape[2]
    usual = _USUAL.get(student.device.type, _ON_GPU)
    largest = _LARGEST.get(student.device.type, _ON_GPU)
    like = student.new_empty(0, dtype=_dtype(student))
    a_query = like.element_size() * (4 * n + 3 * d)
    rows = min(n, max(1, largest // a_query))
    samples = max(1, min(len(student), usual // (a_query * n)))
    samples = math.ceil(len(student) / max(1, math.ceil(len(student) / samples)))
    return samples, rows, Workspace(like, samples * rows * n, samples * rows * d)


def _slices(length, size):
    """Slices that cover a length; slice(None) where one is enough."""
    if size >= length:
        return [slice(None)] if length else []
    return [slice(start, start + size) for start in range(0, length, size)]


def _cut(maps, mask, chunk, dtype):
    """Some samples of a map, zero where it is hidden, and where that is."""
    maps = maps[chunk].to(dtype)
    if mask is None:
        return maps, None
    hidden = ~mask[chunk]
    return maps.masked_fill(hidden.unsqueeze(-1), 0), hidden


def _count(maps, mask, dtype):
    """Real elements of each row.   (B,)."""
    if mask is None:
        return torch.full_like(
            maps[:, 0, 0], maps.shape[1] * maps.shape[2], dtype=dtype
        )
    return (mask.sum(1) * maps.shape[2]).to(dtype)


def _dtype(maps):
    return torch.float64 if maps.dtype == torch.float64 else torch.float32


def _scale_of_attention(alpha, maps):
    if alpha is None:
        return 1 / math.sqrt(maps.shape[2])
    if not (is_finite(alpha) and alpha >= 0):
        raise ValueError(
            f"alpha must be None or a finite number not below 0, got {alpha!r:.40}: "
            f"None is 1 / sqrt(d), and {LARGEST:g} the most."
        )
    return float(alpha)
