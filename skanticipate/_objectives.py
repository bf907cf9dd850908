"""The objective of distillation: the base term of a batch, and those of teachers."""

import torch
from torch import nn

from skanticipate._targets import weighted_sum
from skanticipate.losses import (
    direct_loss,
    distillation_kl,
    pooled_loss,
    soft_cross_entropy,
    weakly_aligned_loss,
)


class TeacherAnswers:
    """Soft targets of those samples for which a teacher speaks.

    Parameters
    ----------
    proba : ndarray of shape (n, C)
        Probabilities; rows of NaN have none.
    dtype, device : torch dtype and device
        Those of the network.
    """

    def __init__(self, proba, *, dtype, device):
        self.proba = torch.as_tensor(proba, dtype=dtype, device=device)
        self.given = ~self.proba[:, 0].isnan()  # (n,)


class DistillationObjective:
    """Every term of the objective, from the rows that have its signal only.

    ``base`` is one weighted mean over labelled rows, by cross-entropy against their
    label targets, and unlabelled rows, by KL(teacher || p). The other terms say for
    themselves which rows of a batch they are about.

    Parameters
    ----------
    labels : LabelTargets
        Of all samples.
    weights : ndarray of shape (n,) or None
        Weight of each sample.
    answers : TeacherAnswers or None
        What the teacher says of the samples, unlabelled ones too.
    terms : dict of str to callable
        (output, batch) -> rows (B,) bool and their losses (B',).
    dtype, device : torch dtype and device
        Those of the network.
    """

    def __init__(self, labels, weights, answers, terms, *, dtype, device):
        self.labels = labels
        self.labelled = labels.codes >= 0
        self.weights = weights
        if weights is not None:
            self.weights = torch.as_tensor(weights, dtype=dtype, device=device)
        self.answers = answers
        self.terms = terms

    def __call__(self, output, batch):
        """Sum of weighted losses and of weights of each term that has rows."""
        samples = batch.samples.to(self.labelled.device)
        sums = {"base": self._base(output.logits, samples)}
        for name, term in self.terms.items():
            rows, losses = term(output, batch)
            sums[name] = self._weighted(losses, samples[rows])
        return {name: term for name, term in sums.items() if term is not None}

    def _base(self, logits, samples):
        labelled = self.labelled[samples]
        if labelled.all():
            return self._weighted(self._supervised(logits, samples), samples)
        seen = samples[labelled]
        losses = self._supervised(logits[labelled], seen)
        if self.answers is None:
            return self._weighted(losses, seen)
        answered = ~labelled & self.answers.given[samples]
        unseen = samples[answered]
        divergences = distillation_kl(
            logits[answered], self.answers.proba[unseen], reduction="none"
        )
        return self._weighted(
            torch.cat([losses, divergences]), torch.cat([seen, unseen])
        )

    def _supervised(self, logits, samples):
        targets = self.labels.take(samples)
        return soft_cross_entropy(logits, targets, reduction="none")

    def _weighted(self, losses, samples):
        if not len(samples):
            return None
        return weighted_sum(
            losses, None if self.weights is None else self.weights[samples]
        )


class AnswerTerm:
    """Divergence from what a teacher says, one value a row.

    ``T^2 * KL(teacher^(1/T) || p^(1/T))``, on the teacher's `top_k` classes if given.

    Parameters
    ----------
    answers : TeacherAnswers
        What the teacher says of the samples.
    about : tensor of shape (n,) of bool
        Samples that the term is about; they have an answer.
    temperature : float
        T.
    top_k : int or None
        Number of classes that are compared; None means all.
    """

    def __init__(self, answers, about, temperature, top_k=None):
        self.proba = answers.proba
        self.about = about
        self.temperature = temperature
        self.top_k = top_k

    def __call__(self, output, batch):
        """Rows (B,) bool that it is about, and their losses (B',)."""
        samples = batch.samples.to(self.about.device)
        rows = self.about[samples]
        losses = distillation_kl(
            output.logits[rows],
            self.proba[samples[rows]],
            temperature=self.temperature,
            top_k=self.top_k,
            reduction="none",
        )
        return rows, losses


class FeatureTerm:
    """Distance between the maps of the student and of its teacher, one value a row.

    Parameters
    ----------
    alignment : {"weak", "student", "teacher", "direct", "pooled"}
        How positions are matched.
    alpha : float or None
        Attention scale of the weak alignments.
    maps : callable
        (batch, rows) -> teacher's maps (B', N, d) and masks (B', N) or None. Its
        `take_futures` says what the batch must bring along.
    given : tensor of shape (n,) of bool
        Samples that have a map.
    projection : torch.nn.Module
        From the student's channels to the teacher's.
    """

    def __init__(self, alignment, alpha, maps, given, projection):
        self.alignment = alignment
        self.alpha = alpha
        self.maps = maps
        self.given = given
        self.projection = projection

    def __call__(self, output, batch):
        """Rows (B,) bool that have two maps, and their losses (B',)."""
        rows = self.given[batch.samples]
        if output.mask is not None:  # a clip may be nothing but padding
            rows = rows & output.mask.any(1)
        if not rows.any():
            return rows, output.features.new_zeros(0)
        student = self.projection(output.features[rows])
        student_mask = None if output.mask is None else output.mask[rows]
        with torch.no_grad():
            teacher, teacher_mask = self.maps(batch, rows)
        return rows, self._losses(student, teacher, student_mask, teacher_mask)

    def _losses(self, student, teacher, student_mask, teacher_mask):
        if self.alignment == "direct":
            mask = _both(student_mask, teacher_mask)
            return direct_loss(student, teacher, mask=mask, reduction="none")
        masks = {"student_mask": student_mask, "teacher_mask": teacher_mask}
        if self.alignment == "pooled":
            return pooled_loss(student, teacher, **masks, reduction="none")
        return weakly_aligned_loss(
            student,
            teacher,
            alpha=self.alpha,
            direction="both" if self.alignment == "weak" else self.alignment,
            reduction="none",
            **masks,
        )


def _both(mask, other):
    """Positions that are real in two maps; None means all."""
    if mask is None or other is None or mask.shape != other.shape:
        return other if mask is None else mask
    return mask & other


def projection(n_student, n_teacher, generator):
    """Learned linear map between channels; the identity where they agree."""
    if n_student == n_teacher:
        return nn.Identity()
    layer = nn.utils.skip_init(nn.Linear, n_student, n_teacher, bias=False)
    nn.init.orthogonal_(layer.weight, generator=generator)
    return layer
