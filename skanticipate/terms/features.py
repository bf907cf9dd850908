"""The feature term: maps of the student beside those of its teacher."""

from functools import partial

import torch
from torch import nn

from skanticipate.losses import direct_loss, pooled_loss, weakly_aligned_loss
from skanticipate.networks.bare import skip_init
from skanticipate.terms.objective import Term, joined_weights, taken


def _direct(student, teacher, *, student_mask, teacher_mask, teacher_pooled, alpha):
    mask = _both(student_mask, teacher_mask)
    return direct_loss(student, teacher, mask=mask, reduction="none")


def _pooled(student, teacher, *, student_mask, teacher_mask, teacher_pooled, alpha):
    masks = {"student_mask": student_mask, "teacher_mask": teacher_mask}
    return pooled_loss(student, teacher, **masks, reduction="none")


_ALIGNMENTS = {
    "weak": partial(weakly_aligned_loss, direction="both", reduction="none"),
    "student": partial(weakly_aligned_loss, direction="student", reduction="none"),
    "teacher": partial(weakly_aligned_loss, direction="teacher", reduction="none"),
    "direct": _direct,
    "pooled": _pooled,
}


class FeatureTerm(Term):
    """Distance between the maps of the student and of its teacher.

    Parameters
    ----------
    weight, has, sample_weight, compute : object
        As in `Term`.
    alignment : {"weak", "student", "teacher", "direct", "pooled"}
        How positions are matched.
    alpha : float or None
        Attention scale of the weak alignments.
    maps : callable
        (batch, rows) -> teacher's maps (B', N, d), masks (B', N) or None, and what the
        maps see in themselves (B', N, d) or None. Its `take_futures` and `take_maps`
        say what the batch must bring along.
    projection : torch.nn.Module
        From the student's channels to the teacher's.
    """

    cuts = True
    slopes_of = "features"

    def __init__(
        self, weight, has, sample_weight, compute, *, alignment, alpha, maps, projection
    ):
        super().__init__("feature", weight, has, sample_weight, compute)
        self.alignment, self.alpha = alignment, alpha
        self.distance = partial(_ALIGNMENTS[alignment], alpha=alpha)
        self.by_position = alignment == "direct"
        self.maps = maps
        self.take_futures, self.take_maps = maps.take_futures, maps.take_maps
        self.projection = projection
        self.modules = {"projection": projection}
        # Of one position all alignments compare the same, element by element.
        plain = isinstance(projection, nn.Identity)
        self.is_closed = plain and getattr(maps, "is_of_one_position", False)
        if self.is_closed:
            self.factor = (2.0 if alignment == "weak" else 1.0) / maps.width

    @property
    def kind(self):
        """Maps are at hand, and compared in one way."""
        # A projection rests in a batch without a future, or with nothing but padding.
        learns = next(self.projection.parameters(), None) is not None
        if learns or not hasattr(self.maps, "stack"):
            return None
        return self.name, self.alignment, self.alpha, self.maps.kind

    @classmethod
    def stack(cls, terms):
        """One term about the samples of all, one after another."""
        first = terms[0]
        return cls(
            [term.weight for term in terms],
            *joined_weights(terms),
            first.compute,
            alignment=first.alignment,
            alpha=first.alpha,
            maps=type(first.maps).stack([term.maps for term in terms]),
            projection=first.projection,
        )

    def slopes(self, features, samples):
        """Distance of features of one position, and its gradient but for `factor`."""
        apart = features - self.maps.of(samples)[0].squeeze(1)  # (B', d)
        slope = apart.clamp(-1, 1)  # of the Huber form, ``slope * (x - slope / 2)``
        return (slope * (apart - slope / 2)).sum(1) * self.factor, slope

    def __call__(self, output, batch):
        """Sum of the weighted distances and of the weights; None without two maps."""
        rows = self._rows(output, batch)
        if rows is not None and not len(rows):
            return None
        with torch.no_grad():
            maps = self.maps(batch, rows)  # of the teacher, its mask, its pooled maps
        kept = self._with_positions(taken(output.mask, rows), maps[1])
        if kept is not None:
            rows = kept if rows is None else rows[kept.cpu()]
            maps = [taken(part, kept) for part in maps]
            if not len(rows):
                return None
        teacher, teacher_mask, teacher_pooled = maps
        losses = self.distance(
            self.projection(taken(output.features, rows)),  # of the teacher's channels
            teacher,
            student_mask=taken(output.mask, rows),
            teacher_mask=teacher_mask,
            teacher_pooled=teacher_pooled,
        )
        samples = taken(batch.samples, rows).to(self.compute.device)
        return self._sum(losses, samples, rows, batch)

    def _with_positions(self, mask, teacher_mask):
        """Rows whose maps can be compared (B'',); None where all of them can be."""
        if teacher_mask is None:
            return None
        real = teacher_mask.any(1)
        if self.by_position and mask is not None and mask.shape == teacher_mask.shape:
            real = (mask & teacher_mask).any(1)
        return None if real.all() else real.nonzero().squeeze(1)

    def _rows(self, output, batch):
        rows = super()._rows(output, batch)
        if output.mask is None:
            return rows
        real = output.mask.any(1).cpu()  # a clip may be nothing but padding
        if rows is None:
            return None if real.all() else real.nonzero().squeeze(1)
        return rows[real[rows]]


def _both(mask, other):
    """Positions that are real in two maps; None means all."""
    if mask is None or other is None or mask.shape != other.shape:
        return other if mask is None else mask
    return mask & other


def projection(n_student, n_teacher, generator):
    """Learned linear map between channels; the identity where they agree."""
    if n_student == n_teacher:
        return nn.Identity()
    layer = skip_init(nn.Linear, n_student, n_teacher, bias=False)
    nn.init.orthogonal_(layer.weight, generator=generator)
    return layer
