"""The weakly aligned loss of a few samples and its gradient, in products of matrices.

With row vectors, attention of queries Q on keys M is ``P M`` where the rows of P are
``softmax(alpha Q M^T)``. Written out by hand the gradient needs no graph, and the two
directions share work: the scores of R on A are those of A on R transposed, and slopes
of the same scores are added before they are multiplied.
"""

import math
from dataclasses import dataclass

import torch

# Rows of a symmetric product that are made at once; the rest is copied.
_BLOCK = 128


class Workspace:
    """Buffers for all samples of a call: fresh memory costs more than its use."""

    def __init__(self, like, n_pairs, n_features):
        self._pairs = like.new_empty(4, n_pairs)
        self._vectors = like.new_empty(3, n_features)

    def pairs(self, number, *shape):
        """Buffer 0 to 3 for values of pairs of positions."""
        return self._pairs[number, : math.prod(shape)].view(shape)

    def vectors(self, number, *shape):
        """Buffer 0 to 2 for values of positions and channels."""
        return self._vectors[number, : math.prod(shape)].view(shape)


@dataclass
class Chunk:
    """A few samples of a batch, b of them, and where their gradient goes.

    Attributes
    ----------
    student, teacher : tensors of shape (b, N_s, d) and (b, N_t, d)
        A and R, zero where they are hidden.
    pooled : tensor of shape (b, N_t, d) or None
        Attention of R on itself, where the caller has it.
    student_hidden, teacher_hidden : bool tensors of shape (b, N) or None
        Positions that are no queries and no keys.
    student_scale, teacher_scale : tensors of shape (b,)
        Factor of the penalties of the queries of each map.
    gradient : tensor of shape (b, N_s, d) or None
        Receives the gradient by the student, which already has the scales in it.
    alpha, delta : float
        Scale of the attention; where the Huber form turns linear.
    work : Workspace
        Shared by the chunks of a call.
    """

    student: torch.Tensor
    teacher: torch.Tensor
    pooled: torch.Tensor | None
    student_hidden: torch.Tensor | None
    teacher_hidden: torch.Tensor | None
    student_scale: torch.Tensor
    teacher_scale: torch.Tensor
    gradient: torch.Tensor | None
    alpha: float
    delta: float
    work: Workspace

    def both_directions(self):
        """Loss (b,) of all queries of both maps; writes the gradient.

        12 products where the halves take 15 (and 2 more each without `pooled`).
        """
        A, R, work = self.student, self.teacher, self.work
        b, n_s, d = A.shape
        n_t = R.shape[1]
        pooled = self._pooled_teacher(slice(None))
        scores = attention_scores(R, A, self.alpha, work.pairs(0, b, n_t, n_s))
        student_on_teacher = attention(  # transposed: its keys are the rows
            scores, self.teacher_hidden, work.pairs(1, b, n_t, n_s), keys=1
        )
        proba = attention(scores, self.student_hidden, work.pairs(2, b, n_t, n_s))
        difference = torch.bmm(proba, A, out=work.vectors(1, b, n_t, d)).sub_(pooled)
        losses, slope = self._penalty(
            difference, self.teacher_hidden, self.teacher_scale
        )
        if self.gradient is not None:
            torch.bmm(proba.mT, slope, out=self.gradient)
            cross = torch.bmm(slope, A.mT, out=work.pairs(0, b, n_t, n_s))
            through_softmax(cross, proba)
        scores = attention_scores(A, A, self.alpha, work.pairs(2, b, n_s, n_s))
        proba = attention(scores, self.student_hidden, work.pairs(3, b, n_s, n_s))
        difference = torch.bmm(
            student_on_teacher.mT, R, out=work.vectors(1, b, n_s, d)
        ).baddbmm_(proba, A, alpha=-1)
        more, slope = self._penalty(difference, self.student_hidden, self.student_scale)
        if self.gradient is not None:
            self.gradient.baddbmm_(proba.mT, slope, alpha=-1)
            product = torch.bmm(R, slope.mT, out=work.pairs(2, b, n_t, n_s))
            cross.add_(through_softmax(product, student_on_teacher, keys=1))
            self.gradient.baddbmm_(cross.mT, R, alpha=self.alpha)
            product = torch.bmm(slope, A.mT, out=work.pairs(2, b, n_s, n_s))
            through_softmax(product, proba)
            own = torch.add(product, product.mT, out=work.pairs(0, b, n_s, n_s))
            self.gradient.baddbmm_(own, A, alpha=-self.alpha)
        return losses + more

    def student_queries(self, rows):
        """Loss (b,) of some queries of the student; adds their gradient."""
        A, R, work = self.student, self.teacher, self.work
        queries = A[:, rows]
        b, q, d = queries.shape
        n_s, n_t = A.shape[1], R.shape[1]
        scores = attention_scores(queries, R, self.alpha, work.pairs(0, b, q, n_t))
        on_teacher = attention(scores, self.teacher_hidden, work.pairs(1, b, q, n_t))
        scores = attention_scores(queries, A, self.alpha, work.pairs(0, b, q, n_s))
        on_self = attention(scores, self.student_hidden, work.pairs(2, b, q, n_s))
        difference = torch.bmm(on_teacher, R, out=work.vectors(1, b, q, d))
        difference.baddbmm_(on_self, A, alpha=-1)
        hidden = _some(self.student_hidden, rows)
        losses, slope = self._penalty(difference, hidden, self.student_scale)
        if self.gradient is not None:
            self.gradient.baddbmm_(on_self.mT, slope, alpha=-1)
            product = torch.bmm(slope, R.mT, out=work.pairs(0, b, q, n_t))
            through_softmax(product, on_teacher)
            self.gradient[:, rows].baddbmm_(product, R, alpha=self.alpha)
            product = torch.bmm(slope, A.mT, out=work.pairs(0, b, q, n_s))
            through_softmax(product, on_self)
            self.gradient[:, rows].baddbmm_(product, A, alpha=-self.alpha)
            self.gradient.baddbmm_(product.mT, queries, alpha=-self.alpha)
        return losses

    def teacher_queries(self, rows):
        """Loss (b,) of some queries of the teacher; adds their gradient."""
        A, work = self.student, self.work
        queries = self.teacher[:, rows]
        b, q, d = queries.shape
        n_s = A.shape[1]
        pooled = self._pooled_teacher(rows)
        scores = attention_scores(queries, A, self.alpha, work.pairs(0, b, q, n_s))
        proba = attention(scores, self.student_hidden, work.pairs(1, b, q, n_s))
        difference = torch.bmm(proba, A, out=work.vectors(1, b, q, d)).sub_(pooled)
        hidden = _some(self.teacher_hidden, rows)
        losses, slope = self._penalty(difference, hidden, self.teacher_scale)
        if self.gradient is not None:
            self.gradient.baddbmm_(proba.mT, slope)
            product = torch.bmm(slope, A.mT, out=work.pairs(0, b, q, n_s))
            through_softmax(product, proba)
            self.gradient.baddbmm_(product.mT, queries, alpha=self.alpha)
        return losses

    def _pooled_teacher(self, rows):
        if self.pooled is not None:
            return self.pooled[:, rows]
        return self_attention(
            self.teacher, self.teacher_hidden, rows, self.alpha, self.work
        )

    def _penalty(self, difference, hidden, scale):
        """Loss (b,) of differences (b, q, d), which are used up, and its slope.

        Huber: with ``g`` the slope, x cut off at delta, it is ``g * (x - g / 2)``.
        """
        if hidden is not None:
            difference.masked_fill_(hidden.unsqueeze(-1), 0)
        slope = self.work.vectors(2, *difference.shape)
        torch.clamp(difference, -self.delta, self.delta, out=slope)
        difference.sub_(slope, alpha=0.5).mul_(slope)
        losses = difference.sum(2).sum(1, dtype=torch.float64)
        slope.mul_(scale[:, None, None])
        return losses * scale, slope


def attention_scores(queries, keys, alpha, out):
    """``alpha Q M^T`` into out; of half the work where queries and keys are one map."""
    if queries is not keys:
        return torch.baddbmm(out, queries, keys.mT, beta=0, alpha=alpha, out=out)
    for start in range(0, keys.shape[1], _BLOCK):
        stop = start + _BLOCK
        rows = out[:, start:stop, :stop]
        torch.baddbmm(
            rows, keys[:, start:stop], keys[:, :stop].mT, beta=0, alpha=alpha, out=rows
        )
        out[:, :start, start:stop] = rows[:, :, :start].mT
    return out


def attention(scores, hidden, out, *, keys=2):
    """Softmax over the keys that are not hidden, which are axis 1 or 2, into out."""
    if hidden is not None:
        scores = scores.masked_fill(hidden.unsqueeze(3 - keys), -math.inf)
    return torch.softmax(scores, keys, out=out)


def through_softmax(slope, proba, *, keys=2):
    """From slopes by the probabilities to slopes by the scores, in place."""
    slope.mul_(proba)
    return slope.addcmul_(proba, slope.sum(keys, keepdim=True), value=-1)


def self_attention(maps, hidden, rows, alpha, work):
    """Attention of some positions of a map on all of it.   (b, N, d) -> (b, q, d)."""
    queries = maps if rows == slice(None) else maps[:, rows]
    shape = (*queries.shape[:2], maps.shape[1])
    scores = attention_scores(queries, maps, alpha, work.pairs(0, *shape))
    proba = attention(scores, hidden, work.pairs(1, *shape))
    return torch.bmm(proba, maps, out=work.vectors(0, *queries.shape))


def _some(hidden, rows):
    return None if hidden is None else hidden[:, rows]
