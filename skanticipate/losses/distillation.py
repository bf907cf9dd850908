"""Distillation of soft targets: the divergence from a teacher at a temperature."""

from numbers import Integral

from torch import Tensor
from torch.nn import functional

from skanticipate.data.numbers import Interval
from skanticipate.losses._checks import (
    OF_ROWS,
    OfRows,
    check_distributions,
    check_option,
    check_positive,
)


def distillation_kl(
    logits: Tensor,
    teacher_proba: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    reduction: OfRows = "mean",
) -> Tensor:
    """Divergence of the student from a teacher, both softened by a temperature.

    For a row it is ``T^2 * KL( teacher^(1/T) || softmax(logits / T) )``, the power
    normalised, averaged over the stages when there are any. The factor ``T^2`` keeps
    the size of the gradient when T changes. Gradients flow into the logits only.

    Parameters
    ----------
    logits : tensor of shape (B, C) or (B, S, C)
        Scores of the student before the softmax.
    teacher_proba : tensor of shape (B, C)
        The teacher's probabilities at temperature 1. All stages of a row share them.
    temperature : float, default=1.0
        T, above 0.
    top_k : int or None, default=None
        Compare only on the teacher's k most probable classes of each row, where both
        sides are made to sum to 1. The student's mass outside them then gets no
        gradient. Of classes that are equally probable any may be taken. None: all
        classes.
    reduction : {"mean", "none"}, default="mean"
        Mean over the rows, or one value a row. Ghosh et al. take the mean over rows
        and classes, so their weight is the number of (kept) classes times ours.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If the shapes do not fit, rows of ``teacher_proba`` are no probabilities, the
        temperature is not above 0, ``top_k`` is not a number of classes, or the
        reduction is unknown.

    References
    ----------
    Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", 2022. Hinton et al., "Distilling the Knowledge in a Neural
    Network", 2015.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import distillation_kl
    >>> logits = torch.tensor([[0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    >>> teacher = torch.tensor([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1]])
    >>> distillation_kl(logits, teacher, reduction="none")
    tensor([2.4018, 0.1124])
    >>> distillation_kl(logits, teacher, temperature=2.0, top_k=2)
    tensor(0.0607)
    """
    _check(logits, teacher_proba, top_k)
    check_positive("temperature", temperature)
    check_option("reduction", reduction, OF_ROWS)
    teacher = teacher_proba.detach()
    if top_k is not None:
        teacher, kept = teacher.topk(top_k)  # (B, k)
        if logits.ndim == 3:
            kept = kept.unsqueeze(1).expand(-1, logits.shape[1], -1)  # (B, S, k)
        logits = logits.gather(-1, kept)
    temperature = float(temperature)  # of whole numbers torch takes those of 64 bits
    # Relative to the largest, a small T does not make every power vanish.
    targets = (teacher / teacher.amax(-1, keepdim=True)).pow(1 / temperature)
    targets = targets / targets.sum(-1, keepdim=True)
    if logits.ndim == 3:
        targets = targets.unsqueeze(1).expand_as(logits)
    log_proba = (logits / temperature).log_softmax(-1)
    losses = functional.kl_div(log_proba, targets, reduction="none").sum(-1)
    losses = temperature**2 * losses
    if losses.ndim == 2:
        losses = losses.mean(1)
    return losses.mean() if reduction == "mean" else losses


def _check(logits, teacher_proba, top_k):
    wanted = (logits.shape[0], logits.shape[-1]) if logits.ndim in (2, 3) else None
    if tuple(teacher_proba.shape) != wanted:
        raise ValueError(
            "Expected logits (B, C) or (B, S, C) and teacher_proba (B, C); got "
            f"{tuple(logits.shape)} and {tuple(teacher_proba.shape)}."
        )
    n_classes = logits.shape[-1]
    if top_k is not None and not (
        Interval(Integral, 1, n_classes, closed="both").is_satisfied_by(top_k)
    ):
        raise ValueError(
            f"top_k must be None or a whole number from 1 to the {n_classes} classes, "
            f"got {top_k!r}."
        )
    check_distributions("teacher_proba", teacher_proba)
