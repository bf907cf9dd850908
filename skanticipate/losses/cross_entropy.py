"""Cross-entropy against labels or soft targets, one value for each row."""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional


def soft_cross_entropy(logits, targets, *, reduction="mean"):
    """Cross-entropy of logits against labels or soft targets.

    For a row with targets ``t`` and scores ``z`` it is
    ``-sum_c t[c] * log softmax(z)[c]``, averaged over the stages when there are any.
    Gradients flow into the logits only, once.

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
        If the shapes do not fit, or the reduction is unknown.

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
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}.")
    if logits.ndim == 3 and logits.shape[1] == 1:
        logits = logits.squeeze(1)
    if targets.ndim == 1:
        losses = _hard_cross_entropy(logits, targets)
    else:
        stages = targets if logits.ndim == 2 else targets.unsqueeze(1)  # (B, 1, C)
        losses = _SoftCrossEntropy.apply(logits, stages)
    if logits.ndim == 3:
        losses = losses.mean(1)
    return losses.mean() if reduction == "mean" else losses


def _hard_cross_entropy(logits, codes):
    if logits.ndim == 3:
        logits = logits.movedim(2, 1)  # (B, C, S), as torch wants it
        codes = codes.unsqueeze(1).expand(-1, logits.shape[2])  # (B, S)
    return functional.cross_entropy(logits, codes, reduction="none")


class _SoftCrossEntropy(torch.autograd.Function):
    """-sum_c t log softmax(z), its gradient made in the forward pass.

    Autograd would keep log p and the targets, each of size (B, C), and exponentiate
    once more on the way back; here one buffer holds p, then p - t.
    """

    @staticmethod
    def forward(ctx, logits, targets):
        proba = logits.softmax(-1)
        # log p = z - z_max + log p_max, and p_max never underflows
        shifted = logits - logits.amax(-1, keepdim=True)
        surprise = -proba.amax(-1).log()
        mass = targets.sum(-1)  # 1 up to rounding
        expected = torch.linalg.vecdot(targets.expand_as(logits), shifted)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(proba.mul_(mass.unsqueeze(-1)).sub_(targets))
        return surprise * mass - expected

    @staticmethod
    @once_differentiable
    def backward(ctx, outer):
        (gradient,) = ctx.saved_tensors
        return gradient * outer.unsqueeze(-1), None
