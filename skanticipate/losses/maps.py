"""Simple losses between feature maps: position by position, and of their means."""

import torch
from torch import Tensor
from torch.nn import functional

from skanticipate.losses._checks import (
    FORMS,
    REDUCTIONS,
    Form,
    Reduction,
    check_maps,
    check_mask,
    check_option,
    check_positive,
)


def direct_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    form: Form = "huber",
    delta: float = 1.0,
    reduction: Reduction = "mean",
    mask: Tensor | None = None,
) -> Tensor:
    """Distance of two feature maps, position i of one against position i of the other.

    With student vectors ``a_i`` and teacher vectors ``r_i`` it is the mean over
    positions and channels of ``h(a_i - r_i)``. It supposes that both maps show the same
    thing at the same place. Gradients flow into the student only.

    Parameters
    ----------
    student, teacher : tensors of shape (B, N, d)
        Feature maps, positions before channels.
    form : {"huber", "squared"}, default="huber"
        ``h``: elementwise ``x^2 / 2`` up to `delta` and ``delta * (|x| - delta / 2)``
        beyond, or ``x^2``.
    delta : float, default=1.0
        Where the Huber form turns linear, in units of the features.
    reduction : {"mean", "sum", "none"}, default="mean"
        "none" gives one value a row, the mean over real positions and channels;
        "mean" their mean; "sum" the sum over positions and channels, then the mean
        over rows.
    mask : bool tensor of shape (B, N) or None, default=None
        True at real positions of both maps, at least one a row. What stands elsewhere
        does not matter.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If shapes do not fit, a row has no real position, or an option is unknown.

    References
    ----------
    Tran, Wang, Hoai, "Back to the Future: Knowledge Distillation for Human Action
    Anticipation", 2019: the direct baseline of the weakly aligned loss.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import direct_loss
    >>> student = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    >>> teacher = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]])
    >>> direct_loss(student, teacher, form="squared", reduction="sum")
    tensor(6.)
    """
    check_maps(student, teacher)
    if student.shape != teacher.shape:
        raise ValueError(
            f"student has {student.shape[1]} positions but teacher has "
            f"{teacher.shape[1]}: direct comparison needs the same; use alignment "
            '"weak" (weakly_aligned_loss) for maps of different size.'
        )
    check_mask("mask", mask, student)
    student, count = _real(student, mask)
    teacher, _ = _real(teacher, mask)
    losses = _distance(student, teacher, form, delta).sum((1, 2))
    return _reduced(losses, count * student.shape[2], reduction)


def pooled_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    form: Form = "huber",
    delta: float = 1.0,
    reduction: Reduction = "mean",
    student_mask: Tensor | None = None,
    teacher_mask: Tensor | None = None,
) -> Tensor:
    """Distance of the mean vectors of two feature maps.

    ``h(mean_i a_i - mean_j r_j)``, averaged over channels: what the weakly aligned loss
    becomes when its attention sees no difference between positions (``alpha=0``), and
    so the control for it. Gradients flow into the student only.

    Parameters
    ----------
    student, teacher : tensors of shape (B, N_s, d) and (B, N_t, d)
        Feature maps, positions before channels.
    form : {"huber", "squared"}, default="huber"
        ``h``: elementwise ``x^2 / 2`` up to `delta` and ``delta * (|x| - delta / 2)``
        beyond, or ``x^2``.
    delta : float, default=1.0
        Where the Huber form turns linear, in units of the features.
    reduction : {"mean", "sum", "none"}, default="mean"
        "none" gives one value a row, the mean over channels; "mean" their mean; "sum"
        the sum over channels, then the mean over rows.
    student_mask, teacher_mask : bool tensors of shape (B, N) or None, default=None
        True at real positions, at least one a row; None: all. What stands elsewhere
        does not matter.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If shapes do not fit, a row has no real position, or an option is unknown.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import pooled_loss
    >>> student = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]])
    >>> teacher = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    >>> pooled_loss(student, teacher, form="squared")
    tensor(0.6250)
    """
    check_maps(student, teacher)
    check_mask("student_mask", student_mask, student)
    check_mask("teacher_mask", teacher_mask, teacher)
    student, teacher = _mean(student, student_mask), _mean(teacher, teacher_mask)
    losses = _distance(student, teacher, form, delta).sum(1)
    return _reduced(losses, student.shape[1], reduction)


def _real(maps, mask):
    """The map with zeros where it is not real, and how many positions are."""
    if mask is None:
        return maps, maps.shape[1]
    return torch.where(mask.unsqueeze(-1), maps, 0), mask.sum(1)


def _mean(maps, mask):
    maps, count = _real(maps, mask)
    return maps.sum(1) / (count if mask is None else count.unsqueeze(-1))  # (B, d)


def _distance(student, teacher, form, delta):
    check_option("form", form, FORMS)
    check_positive("delta", delta)
    teacher = teacher.detach().to(student.dtype)
    if form == "squared":
        return functional.mse_loss(student, teacher, reduction="none")
    return functional.huber_loss(student, teacher, reduction="none", delta=delta)


def _reduced(sums, size, reduction):
    check_option("reduction", reduction, REDUCTIONS)
    losses = sums if reduction == "sum" else sums / size
    return losses if reduction == "none" else losses.mean()
