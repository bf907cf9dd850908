"""Cross-entropy against labels or soft targets, one value for each row."""

import torch
from torch import Tensor
from torch.nn import functional

from skanticipate.losses._checks import (
    OF_ROWS,
    OfRows,
    check_distributions,
    check_option,
)

_NONE = torch.iinfo(torch.int64).min  # no code: torch would take -100 for a loss of 0


def soft_cross_entropy(
    logits: Tensor, targets: Tensor, *, reduction: OfRows = "mean"
) -> Tensor:
    """Cross-entropy of logits against labels or soft targets.

    For a row with targets ``t`` and scores ``z`` it is
    ``-sum_c t[c] * log softmax(z)[c]``, averaged over the stages when there are any.
    Gradients flow into the logits only.

    Parameters
    ----------
    logits : tensor of shape (B, C) or (B, S, C)
        Scores before the softmax.
    targets : tensor of shape (B,) of int64, or of shape (B, C)
        The codes of the labels, or one distribution a row. All stages of a row share
        its targets.
    reduction : {"mean", "none"}, default="mean"
        Mean over the rows, or one value a row.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If the shapes do not fit, rows of targets are no probabilities, or the reduction
        is unknown.
    IndexError
        If a code is that of no class, -1 and -100 too: take rows without a label out
        first.

    References
    ----------
    Camporese et al., "Knowledge Distillation for Action Anticipation via Label
    Smoothing", ICPR 2020: the loss against ``(1 - a) * onehot + a * prior``.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import soft_cross_entropy
    >>> logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> soft_cross_entropy(logits, torch.tensor([0, 0]), reduction="none")
    tensor([0.6931, 0.1269])
    >>> soft_cross_entropy(logits, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    tensor(0.9100)
    """
    wanted = (logits.shape[0], logits.shape[-1])[: targets.ndim]
    if logits.ndim not in (2, 3) or tuple(targets.shape) != wanted:
        raise ValueError(
            "Expected logits (B, C) or (B, S, C) and targets (B,) or (B, C); got "
            f"{tuple(logits.shape)} and {tuple(targets.shape)}."
        )
    check_option("reduction", reduction, OF_ROWS)
    if targets.is_floating_point() and targets.ndim == 2:
        check_distributions("targets", targets)
    losses = cross_entropy_of_rows(logits, targets)
    return losses.mean() if reduction == "mean" else losses


def cross_entropy_of_rows(logits, targets):
    """`soft_cross_entropy` of each row, unchecked: targets may have any sum.   (B,)."""
    if logits.ndim == 3 and logits.shape[1] == 1:
        logits = logits.squeeze(1)
    targets = targets.detach()
    if logits.ndim == 3:
        n_stages = logits.shape[1]
        logits = logits.movedim(2, 1)  # (B, C, S), as torch wants it
        targets = targets.unsqueeze(-1).expand(*targets.shape, n_stages)
    losses = functional.cross_entropy(
        logits, targets, reduction="none", ignore_index=_NONE
    )
    return losses.mean(1) if logits.ndim == 3 else losses
