"""Every term of the objective against a loop over rows, in float64."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skanticipate._batches import Batch
from skanticipate._objectives import (
    AnswerTerm,
    DistillationObjective,
    FeatureTerm,
    TeacherAnswers,
    projection,
)
from skanticipate._targets import LabelTargets
from skanticipate.networks import Output

CPU = {"dtype": torch.float64, "device": torch.device("cpu")}
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
            if self.given[sample] and real.any():
                loss = distance(
                    list(self.student[row][real]),
                    list(self.teacher[sample][seen]),
                    alignment,
                    alpha,
                )
                total += self.weight(sample) * loss
                weights += self.weight(sample)
        return total, weights

    def labels(self):
        # rows of unlabelled samples mean nothing
        rows = np.where(self.codes >= 0, self.codes, 0)
        return LabelTargets(
            self.codes, [(self.prior, rows, 1.0)], self.smoothing, **CPU
        )

    def objective(self, temperature=None, features=None, answers=True):
        labels = self.labels()
        answers = TeacherAnswers(self.proba, **CPU) if answers else None
        terms = {} if features is None else {"feature": features}
        if temperature is not None:
            labelled = (labels.codes >= 0) & answers.given
            terms["teacher"] = AnswerTerm(answers, labelled, temperature)
        return DistillationObjective(labels, self.weights, answers, terms, **CPU)

    def output(self, mask=None):
        self.scores = torch.tensor(self.logits, requires_grad=True)
        self.map = torch.tensor(self.student, requires_grad=True)
        mask = None if mask is None else torch.tensor(mask)
        return Output(self.scores, self.map, mask=mask)

    def features(self, alignment, alpha=None, mask=None, between=None):
        def maps(batch, rows):
            samples = batch.samples[rows]
            real = None if mask is None else torch.tensor(mask)[samples]
            return torch.tensor(self.teacher)[samples], real

        maps.take_futures = None
        between = torch.nn.Identity() if between is None else between
        return FeatureTerm(alignment, alpha, maps, torch.tensor(self.given), between)


def check(found, expected):
    total, weights = found
    assert_allclose(total.item(), expected[0], rtol=1e-12)
    assert_allclose(float(weights), expected[1], rtol=1e-12)


BATCH = Batch(SAMPLES, torch.zeros(B, 1))


# -------------------------------------------------------------------------- terms


@pytest.mark.parametrize("stages", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_base_is_one_mean_over_labelled_and_unlabelled_rows(
    stages, weighted, smoothing
):
    case = Case(stages=stages, weighted=weighted, smoothing=smoothing)
    terms = case.objective()(case.output(), BATCH)
    assert set(terms) == {"base"}
    check(terms["base"], case.base())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 7.0])
@pytest.mark.parametrize(("stages", "weighted"), [(1, True), (3, False)])
def test_teacher_term_is_a_mean_over_labelled_rows_with_an_answer(
    temperature, stages, weighted
):
    case = Case(stages=stages, weighted=weighted)
    terms = case.objective(temperature)(case.output(), BATCH)
    assert set(terms) == {"base", "teacher"}
    check(terms["base"], case.base())
    check(terms["teacher"], case.soft(temperature))


@pytest.mark.parametrize(
    "alignment", ["weak", "student", "teacher", "direct", "pooled"]
)
@pytest.mark.parametrize("alpha", [None, 0.0, 2.5])
@pytest.mark.parametrize("masked", [False, True])
def test_feature_term_is_a_mean_over_rows_with_a_future(alignment, alpha, masked):
    case = Case()
    masks = {"student_mask": None, "teacher_mask": None}
    if masked:
        rng = np.random.default_rng(1)
        masks = {
            "student_mask": rng.random((B, 5)) < 0.6,
            "teacher_mask": rng.random((N, 5)) < 0.6,
        }
        for mask in masks.values():
            mask[:, 4] = True  # both are padded on the left
        masks["student_mask"][2] = False  # a clip of nothing but padding
    features = case.features(alignment, alpha, masks["teacher_mask"])
    output = case.output(masks["student_mask"])
    terms = case.objective(features=features)(output, BATCH)
    check(terms["feature"], case.feature(alignment, alpha, **masks))


def test_maps_of_other_size_are_compared_but_not_position_by_position():
    case = Case()
    case.teacher = case.teacher[:, :3]
    for alignment in ("weak", "student", "teacher", "pooled"):
        features = case.features(alignment)
        terms = case.objective(features=features)(case.output(), BATCH)
        expected = sum(
            case.weight(s)
            * distance(list(case.student[r]), list(case.teacher[s]), alignment, None)
            for r, s in enumerate(SAMPLES.tolist())
            if case.given[s]
        )
        assert_allclose(terms["feature"][0].item(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match='alignment "weak"'):
        case.objective(features=case.features("direct"))(case.output(), BATCH)


# ------------------------------------------------------------------ rows left out


def gradient(case, terms, name):
    [slope] = torch.autograd.grad(
        terms[name][0], case.scores if name != "feature" else case.map
    )
    return slope


def test_rows_without_a_signal_have_no_gradient_and_spoil_none():
    case = Case()
    case.teacher[~case.given] = np.nan
    terms = case.objective(2.0, case.features("weak"))(case.output(), BATCH)
    labelled = case.codes[SAMPLES] >= 0
    answered = ~np.isnan(case.proba[SAMPLES, 0])
    expected = {
        "base": labelled | answered,
        "teacher": labelled & answered,
        "feature": case.given[SAMPLES],
    }
    for name, rows in expected.items():
        slope = gradient(case, terms, name)
        assert slope.isfinite().all()
        moved = (slope != 0).flatten(1).any(1).numpy()
        assert (moved == rows).all()


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("answered", [False, True])
def test_batches_of_one_kind(labelled, answered):
    case = Case(proba_nan=())
    case.codes[:] = 0 if labelled else -1
    case.proba[:] = case.proba if answered else np.nan
    terms = case.objective(2.0)(case.output(), BATCH)
    assert set(terms) == (
        ({"base"} if labelled or answered else set())
        | ({"teacher"} if labelled and answered else set())
    )
    if "base" in terms:
        check(terms["base"], case.base())


def test_labels_alone_need_no_answers():
    case = Case()
    case.codes = np.abs(case.codes)
    terms = case.objective(answers=False)(case.output(), BATCH)
    check(terms["base"], case.base())


def test_a_batch_without_futures_has_no_feature_term():
    case = Case()
    case.given[:] = False
    terms = case.objective(features=case.features("weak"))(case.output(), BATCH)
    assert set(terms) == {"base"}


def test_a_batch_of_padding_has_no_feature_term():
    case = Case()
    output = case.output(np.zeros((B, 5), bool))
    terms = case.objective(features=case.features("weak"))(output, BATCH)
    assert set(terms) == {"base"}


def test_teacher_answers_are_where_they_are_not_nan():
    answers = TeacherAnswers(np.array([[0.5, 0.5], [np.nan, np.nan]]), **CPU)
    assert answers.given.tolist() == [True, False]


# --------------------------------------------------------------------- projection


def test_projection_keeps_maps_of_the_same_channels():
    assert isinstance(projection(4, 4, None), torch.nn.Identity)


@pytest.mark.parametrize(("n_student", "n_teacher"), [(5, 3), (3, 5)])
def test_projection_is_drawn_from_its_generator(n_student, n_teacher):
    one, two = (
        projection(n_student, n_teacher, torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(one.weight, two.weight)
    assert one(torch.zeros(2, 7, n_student)).shape == (2, 7, n_teacher)
    weight = one.weight if n_student > n_teacher else one.weight.T
    assert_allclose((weight @ weight.T).detach(), np.eye(3), atol=1e-5)


def test_the_student_is_projected_before_it_is_compared():
    case = Case()
    between = projection(D, 2, torch.Generator().manual_seed(0)).double()
    case.teacher = case.teacher[:, :, :2]
    features = case.features("pooled", between=between)
    terms = case.objective(features=features)(case.output(), BATCH)
    weight = between.weight.detach().numpy()
    expected = sum(
        case.weight(s)
        * distance(list(case.student[r] @ weight.T), list(case.teacher[s]), "pooled", 1)
        for r, s in enumerate(SAMPLES.tolist())
        if case.given[s]
    )
    assert_allclose(terms["feature"][0].item(), expected, rtol=1e-12)
    [slope] = torch.autograd.grad(terms["feature"][0], between.weight)
    assert (slope != 0).any()
