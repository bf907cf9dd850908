"""Focal loss: each class is a decision of its own, and what is easy counts little."""

import torch
from torch import Tensor
from torch.nn import functional

from skanticipate.losses._checks import (
    LARGEST,
    OF_ROWS,
    OfRows,
    all_hold,
    check_option,
    is_finite,
)


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    reduction: OfRows = "mean",
) -> Tensor:
    """Sigmoid focal loss of logits against labels or soft targets.

    Every class is a decision of its own, this one or not. For a row with targets ``t``
    and scores ``z`` it is the sum over the classes, with ``p = sigmoid(z)``, of::

        a * (1 - q)^gamma * -(t log p + (1 - t) log(1 - p))
        q = t p + (1 - t) (1 - p)           the probability of what is right
        a = alpha t + (1 - alpha) (1 - t)   the balance of yes and no

    averaged over the stages when there are any. Gradients flow into the logits only.

    Parameters
    ----------
    logits : tensor of shape (B, C) or (B, S, C)
        Scores before the sigmoid.
    targets : tensor of shape (B,) of int64, or of shape (B, C)
        The codes of the labels, or targets in [0, 1], such as one distribution a row.
        All stages of a row share its targets.
    gamma : float, default=2.0
        How much less decisions count that are nearly right; 0 counts all alike.
    alpha : float or None, default=0.25
        Weight of the classes that are right, in [0, 1], and 1 less it that of the
        others. None weighs both by 1.
    reduction : {"mean", "none"}, default="mean"
        Mean over the rows, or one value a row.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If the shapes do not fit, targets or alpha are not in [0, 1], gamma is negative
        or not finite, or the reduction is unknown.
    RuntimeError
        If a code is that of no class, -1 and -100 too: take rows without a label out
        first.

    Notes
    -----
    Soft targets enter as in `sigmoid_focal_loss` of torchvision, whose mean over all
    entries is this loss / C, and whose sum is B times this loss. The public code of
    V-JEPA 2 takes that sum.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal Loss for Dense Object
    Detection", ICCV 2017: equation 5, with alpha.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import focal_loss
    >>> logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> focal_loss(logits, torch.tensor([0, 0]), reduction="none")
    tensor([0.1733, 0.1304])
    >>> focal_loss(logits, torch.tensor([0, 0]), gamma=0.0, alpha=None)
    tensor(1.1032)
    """
    check_option("reduction", reduction, OF_ROWS)
    _check_factors(gamma, alpha)
    wanted = (logits.shape[0], logits.shape[-1])[: targets.ndim]
    if logits.ndim not in (2, 3) or tuple(targets.shape) != wanted:
        raise ValueError(
            "Expected logits (B, C) or (B, S, C) and targets (B,) or (B, C); got "
            f"{tuple(logits.shape)} and {tuple(targets.shape)}."
        )
    # bfloat16 rounds sums of 1 to more
    if targets.ndim == 2 and not all_hold((targets - 0.5).abs() <= 0.504):
        raise ValueError(
            "targets must be codes (B,) or lie in [0, 1], got entries from "
            f"{targets.min():.4g} to {targets.max():.4g}: of logits take the softmax."
        )
    losses = focal_of_rows(logits, targets, gamma, alpha)
    return losses.mean() if reduction == "mean" else losses


def focal_of_rows(logits, targets, gamma, alpha):
    """`focal_loss` of each row, unchecked.   (B,)."""
    targets = targets.detach()
    if targets.ndim == 1:
        codes = targets.unsqueeze(1)
        targets = logits.new_zeros(len(codes), logits.shape[-1])
        targets.scatter_(1, codes, 1.0)
    if logits.ndim == 3:
        targets = targets.unsqueeze(1)  # (B, 1, C)
    losses = _decisions(logits, targets, gamma, alpha).sum(-1)
    return losses.mean(1) if losses.ndim == 2 else losses


def _check_factors(gamma, alpha):
    if not (is_finite(gamma) and gamma >= 0):
        raise ValueError(
            f"gamma must be a finite number not below 0, got {gamma!r:.40}: at most "
            f"{LARGEST:g}."
        )
    if alpha is not None and not (is_finite(alpha) and 0 <= alpha <= 1):
        raise ValueError(f"alpha must be None or from 0 to 1, got {alpha!r:.40}.")


def _decisions(logits, targets, gamma, alpha):
    """Loss of each decision.   (B, ..., C), targets that broadcast -> (B, ..., C)."""
    others = 1 - targets
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    wrong = targets * (-logits).sigmoid() + others * logits.sigmoid()  # 1 - q
    # Powers below 1 have no slope at 0, to which sigmoids of large scores are rounded.
    wrong = wrong.clamp(min=torch.finfo(wrong.dtype).tiny)
    losses = (targets * yes + others * no).neg() * wrong**gamma
    if alpha is not None:
        losses = losses * (alpha * targets + (1 - alpha) * others)
    return losses
