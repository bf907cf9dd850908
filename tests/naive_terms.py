"""Every term of the objective by a loop over rows, in float64."""

import math

import numpy as np
import torch
from numpy.testing import assert_allclose

from skanticipate.networks import Output
from skanticipate.terms.answers import AnswerTerm, answer_part
from skanticipate.terms.features import FeatureTerm
from skanticipate.terms.labels import LabelTerm, label_parts
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch
from skanticipate.training.runtime import Compute

CPU = Compute(torch.device("cpu"), torch.float64)
N, B, C, D = 12, 9, 4, 3
SAMPLES = torch.tensor([7, 1, 4, 11, 0, 9, 3, 10, 6])  # a batch, in no order


# ------------------------------------------------------- the reference, row by row


def log_softmax(scores):
    top = max(scores)
    log_sum = top + math.log(sum(math.exp(s - top) for s in scores))
    return [s - log_sum for s in scores]


def softened(proba, temperature):
    powers = [p ** (1 / temperature) for p in proba]
    return [p / sum(powers) for p in powers]


def cross_entropy(target, scores):
    """Mean over stages of the cross-entropy of one row."""
    return np.mean(
        [
            -sum(t * q for t, q in zip(target, log_softmax(s), strict=True))
            for s in scores
        ]
    )


def divergence(target, scores, temperature=1.0):
    target = softened(target, temperature)
    total = []
    for stage in scores:
        log_p = log_softmax([s / temperature for s in stage])
        total.append(
            sum(
                t * (math.log(t) - q)
                for t, q in zip(target, log_p, strict=True)
                if t > 0
            )
        )
    return temperature**2 * np.mean(total)


def huber(x):
    return x * x / 2 if abs(x) <= 1 else abs(x) - 0.5


def pooled(query, positions, alpha):
    scores = [alpha * float(query @ p) for p in positions]
    weights = np.exp(log_softmax(scores))
    return sum(w * p for w, p in zip(weights, positions, strict=True))


def distance(student, teacher, alignment, alpha):
    """Feature loss of one row, over lists of real positions."""
    alpha = 1 / math.sqrt(D) if alpha is None else alpha

    def mean_huber(pairs):
        return np.mean([huber(x) for a, b in pairs for x in a - b])

    def one_way(queries):
        return mean_huber(
            (pooled(q, student, alpha), pooled(q, teacher, alpha)) for q in queries
        )

    if alignment == "direct":
        return mean_huber(zip(student, teacher, strict=True))
    if alignment == "pooled":
        return mean_huber([(np.mean(student, axis=0), np.mean(teacher, axis=0))])
    ways = {"student": [student], "teacher": [teacher], "weak": [student, teacher]}
    return sum(one_way(queries) for queries in ways[alignment])


class Case:
    """A batch with every kind of row: its inputs, and the terms by a loop."""

    def __init__(self, *, stages=1, smoothing=0.3, weighted=True, proba_nan=(3, 6, 8)):
        rng = np.random.default_rng(0)
        self.codes = np.array([0, 1, 2, 3, -1, -1, 0, -1, 1, 2, 3, -1])
        self.prior = rng.dirichlet(np.ones(C), size=C)
        self.smoothing = smoothing
        self.weights = rng.uniform(0.5, 2, N) if weighted else None
        self.proba = rng.dirichlet(np.ones(C), size=N)
        self.proba[1] = [0, 0.25, 0.75, 0]  # zeros are fine
        self.proba[list(proba_nan)] = np.nan
        self.logits = rng.normal(scale=2, size=(B, stages, C))
        self.given = np.ones(N, dtype=bool)
        self.given[[3, 6]] = False
        self.student = rng.normal(scale=1.5, size=(B, 5, D))
        self.teacher = rng.normal(scale=1.5, size=(N, 5, D))

    def weight(self, sample):
        return 1.0 if self.weights is None else self.weights[sample]

    def base(self):
        total = weights = 0.0
        for row, sample in enumerate(SAMPLES.tolist()):
            code, scores = self.codes[sample], self.logits[row]
            if code >= 0:
                target = self.smoothing * self.prior[code]
                target[code] += 1 - self.smoothing
                loss = cross_entropy(target, scores)
            elif not np.isnan(self.proba[sample, 0]):
                loss = divergence(self.proba[sample], scores)
            else:
                continue
            total += self.weight(sample) * loss
            weights += self.weight(sample)
        return total, weights

    def soft(self, temperature):
        total = weights = 0.0
        for row, sample in enumerate(SAMPLES.tolist()):
            if self.codes[sample] >= 0 and not np.isnan(self.proba[sample, 0]):
                loss = divergence(self.proba[sample], self.logits[row], temperature)
                total += self.weight(sample) * loss
                weights += self.weight(sample)
        return total, weights

    def feature(self, alignment, alpha=None, student_mask=None, teacher_mask=None):
        total = weights = 0.0
        for row, sample in enumerate(SAMPLES.tolist()):
            real = np.ones(5, bool) if student_mask is None else student_mask[row]
            seen = np.ones(5, bool) if teacher_mask is None else teacher_mask[sample]
            if alignment == "direct":
                real = seen = real & seen
            if self.given[sample] and real.any() and seen.any():
                loss = distance(
                    list(self.student[row][real]),
                    list(self.teacher[sample][seen]),
                    alignment,
                    alpha,
                )
                total += self.weight(sample) * loss
                weights += self.weight(sample)
        return total, weights

    def answers(self):
        """Answers (m, C), the row of each sample (n,), and who has one."""
        has = ~np.isnan(self.proba[:, 0])
        index = np.zeros(N, dtype=int)
        index[has] = np.arange(has.sum())
        return self.proba[has], index, has

    def label_term(self, answers=True):
        # rows of unlabelled samples mean nothing
        rows = np.where(self.codes >= 0, self.codes, 0)
        parts = label_parts(self.codes, [(self.prior, rows, 1.0)], self.smoothing)
        labelled = self.codes >= 0
        if not answers:
            return LabelTerm(parts, labelled, self.weights, CPU)
        proba, index, has = self.answers()
        if (has & ~labelled).any():
            parts.append(answer_part(proba, index).of(has & ~labelled))
        return LabelTerm(parts, labelled | has, self.weights, CPU)

    def answer_term(self, temperature, top_k=None):
        proba, index, has = self.answers()
        return AnswerTerm(
            "teacher",
            0.4,
            has & (self.codes >= 0),
            self.weights,
            CPU,
            proba=proba,
            index=index,
            temperature=temperature,
            top_k=top_k,
        )

    def objective(self, temperature=None, features=None, answers=True):
        terms = [self.label_term(answers)]
        if temperature is not None and len(self.answers()[0]):
            terms.append(self.answer_term(temperature))
        if features is not None:
            terms.append(features)
        return Objective(terms)

    def output(self, mask=None):
        self.scores = torch.tensor(self.logits, requires_grad=True)
        self.map = torch.tensor(self.student, requires_grad=True)
        mask = None if mask is None else torch.tensor(mask)
        return Output(self.scores, self.map, mask=mask)

    def features(self, alignment, alpha=None, mask=None, between=None):
        def maps(batch, rows):
            samples = batch.samples if rows is None else batch.samples[rows]
            real = None if mask is None else torch.tensor(mask)[samples]
            return torch.tensor(self.teacher)[samples], real, None

        maps.take_futures = maps.take_maps = None
        between = torch.nn.Identity() if between is None else between
        return FeatureTerm(
            0.1,
            self.given,
            self.weights,
            CPU,
            alignment=alignment,
            alpha=alpha,
            maps=maps,
            projection=between,
        )


def check(found, expected):
    total, weights = found
    assert_allclose(total.item(), expected[0], rtol=1e-12)
    assert_allclose(float(weights), expected[1], rtol=1e-12)


BATCH = Batch(SAMPLES, torch.zeros(B, 1))


def gradient(case, terms, name):
    [slope] = torch.autograd.grad(
        terms[name][0], case.scores if name != "feature" else case.map
    )
    return slope


# --------------------------------------------------- whole batches, or rows cut out


def noting(kind, cuts=False):
    """A kind of term that notes which rows it takes, and cuts on demand."""

    class Noting(kind):
        def losses(self, output, batch, samples, rows):
            self.taken = rows
            return super().losses(output, batch, samples, rows)

    Noting.cuts = cuts or kind.cuts
    return Noting


def many_classes(kind, n_classes, few, weights, temperature=2.0):
    """Arguments of a term about a third or two thirds of the samples, and a loop."""
    rng = np.random.default_rng(5)
    has = np.isin(np.arange(N), [0, 1, 4, 9] if few else [0, 1, 3, 4, 7, 8, 9, 10])
    if kind is AnswerTerm:
        proba = rng.dirichlet(np.ones(n_classes), size=has.sum())
        index = np.where(has, np.cumsum(has) - 1, 2)
        own = {"proba": proba, "index": index, "temperature": temperature}
        args = ("it", 0.5, has, weights, CPU)

        def loss(sample, scores):
            return divergence(proba[index[sample]], scores, temperature)

    else:
        codes = np.where(has, rng.integers(0, n_classes, N), -1)
        part_of = np.arange(n_classes) % 3
        own = {"codes": codes, "part_of": part_of}
        args = ("it", 0.5, weights, CPU)

        def loss(sample, scores):
            members = np.flatnonzero(part_of == part_of[codes[sample]])
            logs = [log_softmax(stage) for stage in scores]
            return -np.mean(
                [math.log(sum(math.exp(q[c]) for c in members)) for q in logs]
            )

    return has, args, own, loss
