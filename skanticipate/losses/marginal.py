"""Cross-entropy of a part of the label, such as its verb, summed over the classes."""

from torch import Tensor

from skanticipate.losses._checks import OF_ROWS, OfRows, check_option


def marginal_cross_entropy(
    logits: Tensor, members: Tensor, *, reduction: OfRows = "mean"
) -> Tensor:
    """Cross-entropy of a set of classes: of all actions with the right verb, say.

    For a row with scores ``z`` it is ``-log sum_{c in members} softmax(z)[c]``,
    averaged over the stages when there are any.

    Parameters
    ----------
    logits : tensor of shape (B, C) or (B, S, C)
        Scores before the softmax.
    members : bool tensor of shape (B, C)
        Classes of each row's set, at least one. All stages of a row share them.
    reduction : {"mean", "none"}, default="mean"
        Mean over the rows, or one value a row.

    Returns
    -------
    tensor of shape () or (B,)

    Raises
    ------
    ValueError
        If the shapes do not fit, a set is empty, or the reduction is unknown.

    References
    ----------
    A. Furnari, S. Battiato, G. M. Farinella, "Leveraging Uncertainty to Rethink Loss
    Functions and Evaluation Measures for Egocentric Action Anticipation", ECCV
    Workshops 2018: the verb-noun marginal cross-entropy.

    Examples
    --------
    >>> import torch
    >>> from skanticipate.losses import marginal_cross_entropy
    >>> logits = torch.zeros(1, 4)
    >>> marginal_cross_entropy(logits, torch.tensor([[True, True, False, False]]))
    tensor(0.6931)
    """
    check_option("reduction", reduction, OF_ROWS)
    wanted = (logits.shape[0], logits.shape[-1]) if logits.ndim in (2, 3) else None
    if tuple(members.shape) != wanted:
        raise ValueError(
            "Expected logits (B, C) or (B, S, C) and members (B, C); got "
            f"{tuple(logits.shape)} and {tuple(members.shape)}."
        )
    if not members.any(1).all():
        raise ValueError("members leaves a row without any class.")
    if logits.ndim == 3:
        members = members.unsqueeze(1)  # (B, 1, C)
    inside = logits.masked_fill(~members, -float("inf")).logsumexp(-1)
    losses = logits.logsumexp(-1) - inside
    if losses.ndim == 2:
        losses = losses.mean(1)
    return losses.mean() if reduction == "mean" else losses
