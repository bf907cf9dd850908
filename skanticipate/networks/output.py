"""What networks say of clips."""

from typing import NamedTuple

import torch


class Output(NamedTuple):
    """What a network says of a batch of clips.

    Parameters
    ----------
    logits : tensor of shape (B, S, C)
        Scores for each stage, before the softmax.
    features : tensor of shape (B, N, d), default=None
        The map that feature losses compare; None where the network has none.
    auxiliary_loss : tensor of shape () or (B,), default=None
        An extra term of the network's own. A loss of each row counts with the weight
        of the row, as all other losses do; a single number is taken as it is.
    mask : bool tensor of shape (B, N), default=None
        True at the positions of the map that are real, False at those of padding
        steps. None where all are real.
    past_logits : tensor of shape (B, T, C), default=None
        Scores of the steps that are seen, for networks with a `past_weight`.
    auxiliary_counts : tensor of shape (B,), default=None
        How often each row's own loss counts beside its weight, as one that is the mean
        over some steps does; 0 where a row has none. None means once.

    Examples
    --------
    >>> import torch
    >>> from skanticipate import Output
    >>> clips = torch.ones(8, 14, 32)  # (B, T, d)
    >>> output = Output(logits=torch.zeros(8, 1, 20), features=clips)
    >>> output.mask is None  # all steps are real
    True
    """

    logits: torch.Tensor
    features: torch.Tensor | None = None
    auxiliary_loss: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    past_logits: torch.Tensor | None = None
    auxiliary_counts: torch.Tensor | None = None
