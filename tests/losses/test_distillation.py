import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skanticipate.losses import distillation_kl

Z_STUDENT = torch.tensor([[2.0, 1, 0, -1], [0, 0, 1, 3]], dtype=torch.float64)
Z_TEACHER = torch.tensor([[1.0, 2, 0, 0], [0, 1, 0, 4]], dtype=torch.float64)
TEACHER = Z_TEACHER.softmax(-1)


def naive_kl(logits, proba, temperature, kept):
    """T^2 KL of one row in plain Python, on the kept classes."""
    powers = [proba[c] ** (1 / temperature) for c in kept]
    exps = [math.exp(logits[c] / temperature) for c in kept]
    q = [p / sum(powers) for p in powers]
    s = [e / sum(exps) for e in exps]
    kl = sum(a * math.log(a / b) for a, b in zip(q, s, strict=True) if a > 0)
    return temperature**2 * kl


def random_case(*shape, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(scale=3, size=shape))
    proba = torch.from_numpy(rng.dirichlet(np.ones(shape[-1]), size=shape[0]))
    return logits, proba


@pytest.mark.parametrize(
    ("temperature", "top_k", "expected"),
    [
        (1, None, 0.2461440162018954),
        (5, None, 0.34482984003685324),
        (10, None, 0.34648983579763304),
        (5, 2, 0.24916998656238873),
    ],
)
def test_worked_example(temperature, top_k, expected):
    loss = distillation_kl(Z_STUDENT, TEACHER, temperature=temperature, top_k=top_k)
    assert_allclose(loss, expected, rtol=1e-10)


def test_the_mean_over_classes_of_ghosh_is_a_fourth():
    log_s = (Z_STUDENT / 5).log_softmax(-1)
    log_t = (Z_TEACHER / 5).log_softmax(-1)
    theirs = (25 * log_t.exp() * (log_t - log_s)).mean()
    assert_allclose(distillation_kl(Z_STUDENT, TEACHER, temperature=5) / 4, theirs)


@pytest.mark.parametrize("temperature", [0.5, 1, 7.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 6])
@pytest.mark.parametrize("shape", [(5, 6), (5, 2, 6), (5, 1, 6)])
def test_value_is_the_naive_one(shape, top_k, temperature):
    logits, proba = random_case(*shape)
    proba[0, :2] = 0
    proba[0] /= proba[0].sum()
    found = distillation_kl(
        logits, proba, temperature=temperature, top_k=top_k, reduction="none"
    )
    assert found.shape == (5,)
    for row, z, p in zip(found, logits, proba, strict=True):
        kept = sorted(range(6), key=lambda c: -p[c])[:top_k]
        stages = z.reshape(-1, 6).tolist()
        values = [naive_kl(s, p.tolist(), temperature, kept) for s in stages]
        assert_allclose(row, sum(values) / len(values), rtol=1e-9, atol=1e-13)
    mean = distillation_kl(logits, proba, temperature=temperature, top_k=top_k)
    assert_allclose(mean, found.mean(), rtol=1e-12)


@pytest.mark.parametrize("top_k", [None, 3])
@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 6)])
def test_gradient_passes_gradcheck(shape, top_k):
    logits, proba = random_case(*shape)
    proba[0] = torch.eye(6, dtype=proba.dtype)[5]
    for reduction in ("none", "mean"):
        assert torch.autograd.gradcheck(
            lambda z, reduction=reduction: distillation_kl(
                z, proba, temperature=2, top_k=top_k, reduction=reduction
            ),
            logits.requires_grad_(),
        )


def test_gradient_is_the_difference_of_softened_probabilities():
    logits = Z_STUDENT.clone().requires_grad_()
    distillation_kl(logits, TEACHER, temperature=5).backward()
    expected = 5 * ((Z_STUDENT / 5).softmax(-1) - (Z_TEACHER / 5).softmax(-1)) / 2
    assert_allclose(logits.grad, expected, rtol=1e-10)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 50.0])
def test_probabilities_of_zero_are_fine(temperature):
    logits = torch.tensor([[1e3, -1e3, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 0.3, 0.7]])
    distillation_kl(logits, teacher, temperature=temperature).backward()
    assert logits.grad.isfinite().all()
    one_hot = torch.tensor([[0.0, 0.0, 1.0]])
    loss = distillation_kl(torch.zeros(1, 3), one_hot, temperature=temperature)
    assert_allclose(loss, temperature**2 * math.log(3), rtol=1e-5)


def test_a_low_temperature_keeps_the_largest():
    # 0.3^200 and 0.4^200 vanish in single precision, their ratio to the largest not
    teacher = torch.tensor([[0.3, 0.4, 0.3]])
    loss = distillation_kl(torch.zeros(1, 3), teacher, temperature=0.005)
    assert_allclose(loss, 2.5e-5 * math.log(3), rtol=1e-4)


def test_classes_that_are_not_kept_get_no_gradient():
    logits = Z_STUDENT.clone().requires_grad_()
    distillation_kl(logits, TEACHER, top_k=2).backward()
    kept = torch.tensor([[True, True, False, False], [False, True, False, True]])
    assert torch.equal(logits.grad != 0, kept)


def test_the_teacher_itself_costs_nothing():
    assert_allclose(distillation_kl(Z_TEACHER, TEACHER, temperature=3), 0, atol=1e-14)


def test_no_gradient_flows_into_the_teachers_probabilities():
    logits, teacher = Z_STUDENT.clone().requires_grad_(), TEACHER.clone()
    distillation_kl(logits, teacher.requires_grad_(), top_k=2).backward()
    assert teacher.grad is None


@pytest.mark.parametrize(
    ("logits", "teacher"),
    [((4,), (4,)), ((2, 4), (3, 4)), ((2, 4), (2, 5)), ((2, 3, 4), (2, 3, 4))],
)
def test_wrong_shapes_are_named(logits, teacher):
    with pytest.raises(ValueError, match=r"Expected logits \(B, C\) or \(B, S, C\)"):
        distillation_kl(torch.zeros(logits), torch.zeros(teacher))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": 0}, "temperature must be a finite number above 0, got 0"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_k": 0}, "top_k must be None or a whole number from 1 to the 4 classes"),
        ({"top_k": 5}, "top_k"),
        ({"top_k": 2.0}, "top_k"),
        ({"reduction": "sum"}, "reduction must be 'mean' or 'none', got 'sum'"),
    ],
)
def test_options_must_be_known(params, message):
    with pytest.raises(ValueError, match=message):
        distillation_kl(Z_STUDENT, TEACHER, **params)


@pytest.mark.parametrize(
    "teacher",
    [Z_TEACHER, TEACHER.log(), 100 * TEACHER, TEACHER[:, :2], TEACHER * torch.nan],
    ids=["logits", "logarithms", "per cent", "some of the classes", "NaN"],
)
def test_what_is_no_probability_is_refused(teacher):
    logits = Z_STUDENT[:, : teacher.shape[1]]
    with pytest.raises(ValueError, match="teacher_proba must hold probabilities"):
        distillation_kl(logits, teacher)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_probabilities_of_few_digits_are_read(dtype):
    proba = random_case(50, 700)[1].to(dtype)
    assert distillation_kl(proba.float().log(), proba.float()) < 1e-4
    assert distillation_kl(proba.float().log(), proba) < 1e-2
