"""Answers of teachers: the term against a loop over rows, and the loss."""

import numpy as np
import pytest
import torch
from naive_terms import BATCH, SAMPLES, Case, check, divergence
from numpy.testing import assert_allclose

from skanticipate.losses import distillation_kl
from skanticipate.networks import Output


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


@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("top_k", [None, 1, 3])
@pytest.mark.parametrize("stages", [1, 3])
def test_answer_term_is_the_loss_of_distillation(temperature, top_k, stages):
    case = Case(stages=stages)
    has = (case.codes >= 0) & ~np.isnan(case.proba[:, 0])
    rows = torch.tensor(has[SAMPLES])
    one, other = (torch.tensor(case.logits, requires_grad=True) for _ in range(2))
    found = case.answer_term(temperature, top_k)(Output(one), BATCH)
    losses = distillation_kl(
        other[rows],
        torch.tensor(case.proba[SAMPLES[rows]]),
        temperature=temperature,
        top_k=top_k,
        reduction="none",
    )
    chosen = torch.tensor(case.weights[SAMPLES[rows]])
    check(found, ((losses * chosen).sum().item(), chosen.sum().item()))
    [slope] = torch.autograd.grad(found[0], one)
    [expected] = torch.autograd.grad((losses * chosen).sum(), other)
    assert_allclose(slope, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("temperature", [0.3, 7.0])
def test_of_the_two_likeliest_classes_of_a_teacher_nothing_else_is_compared(
    temperature,
):
    case = Case()
    proba, index, has = case.answers()
    total = 0.0
    for row, sample in enumerate(SAMPLES.tolist()):
        if has[sample] and case.codes[sample] >= 0:
            kept = np.argsort(-proba[index[sample]])[:2]
            loss = divergence(
                proba[index[sample]][kept], case.logits[row][:, kept], temperature
            )
            total += case.weights[sample] * loss
    found, _ = case.answer_term(temperature, top_k=2)(case.output(), BATCH)
    assert_allclose(found.item(), total, rtol=1e-12)
