"""Losses as pure functions of torch tensors, one value for each row.

Axes: B rows of a batch, S stages (anticipation times), C classes, N positions of a
feature map, d channels. With ``reduction="none"`` every loss gives ``(B,)``, so that
weights and masks need no second code path. Gradients never flow into a teacher.

Unlike fits and predictions they leave torch's threads as they are: in a forked child,
whose parent computed with more than one, call ``torch.set_num_threads(1)`` before, or
they wait for ever for threads that only the parent has.
"""

from skanticipate.losses.cross_entropy import soft_cross_entropy
from skanticipate.losses.distillation import distillation_kl
from skanticipate.losses.focal import focal_loss
from skanticipate.losses.maps import direct_loss, pooled_loss
from skanticipate.losses.marginal import marginal_cross_entropy
from skanticipate.losses.weakly_aligned import teacher_pooled, weakly_aligned_loss

__all__ = [
    "direct_loss",
    "distillation_kl",
    "focal_loss",
    "marginal_cross_entropy",
    "pooled_loss",
    "soft_cross_entropy",
    "teacher_pooled",
    "weakly_aligned_loss",
]
