"""The objective and what all of its terms do, against a loop over rows."""

import numpy as np
import pytest
import torch
from naive_terms import (
    BATCH,
    CPU,
    SAMPLES,
    B,
    Case,
    D,
    N,
    check,
    gradient,
    many_classes,
    noting,
)
from numpy.testing import assert_allclose

from skanticipate.networks import Output
from skanticipate.terms.answers import AnswerTerm
from skanticipate.terms.features import projection
from skanticipate.terms.marginals import MarginalTerm
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch
from skanticipate.training.runtime import Compute


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


# ------------------------------------------------------- whole batches, or rows cut out


@pytest.mark.parametrize("kind", [AnswerTerm, MarginalTerm])
@pytest.mark.parametrize("n_classes", [4, 512, 513, 600])
@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_rows_cut_out_and_whole_batches_have_the_same_sums_and_gradients(
    kind, n_classes, few, weighted
):
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 2, N) if weighted else None
    has, args, own, loss = many_classes(kind, n_classes, few, weights)
    logits = rng.normal(scale=2, size=(B, 2, n_classes))
    about = [row for row, sample in enumerate(SAMPLES.tolist()) if has[sample]]
    chosen = [1.0 if weights is None else weights[SAMPLES[row]] for row in about]
    losses = [loss(int(SAMPLES[row]), logits[row]) for row in about]
    slopes = []
    for cuts in (False, True):
        term = noting(kind, cuts)(*args, **own)
        scores = torch.tensor(logits, requires_grad=True)
        found = term(Output(scores), BATCH)
        check(found, (np.dot(chosen, losses), sum(chosen)))
        slopes.append(torch.autograd.grad(found[0], scores)[0])
        alone = cuts or (few and n_classes > 512)
        assert (about if alone else None) == (
            None if term.taken is None else term.taken.tolist()
        )
    assert_allclose(slopes[0], slopes[1], rtol=1e-12, atol=1e-15)


EXTREMES = [0.0, 1e30, -1e30]


@pytest.mark.parametrize("kind", [AnswerTerm, MarginalTerm])
@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.3, 7.0])
def test_rows_that_a_term_is_not_about_have_no_gradient_whatever_stands_in_them(
    kind, cuts, dtype, temperature
):
    weights = np.linspace(0.5, 2, N)
    has, args, own, _ = many_classes(kind, 3, True, weights, temperature)
    args = (*args[:-1], Compute(torch.device("cpu"), dtype))
    has = has[SAMPLES]
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(B, 1, 3))
    sums = []
    for _ in range(2):
        scores = torch.tensor(logits, dtype=dtype, requires_grad=True)
        total, weight = noting(kind, cuts)(*args, **own)(Output(scores), BATCH)
        [slope] = torch.autograd.grad(total, scores)
        assert (slope[~has] == 0).all()
        assert slope.isfinite().all() and (slope[has] != 0).any(2).all()
        sums.append((total.item(), weight.item()))
        logits[~has] = EXTREMES  # the second time
    assert sums[0] == sums[1]


def test_a_row_of_nothing_has_no_gradient_of_the_base_term_whatever_stands_in_it():
    case = Case(proba_nan=(3, 4, 6, 7, 8))
    nobody = (case.codes < 0) & np.isnan(case.proba[:, 0])
    nobody = nobody[SAMPLES]
    assert nobody.any()
    found = []
    for _ in range(2):
        terms = case.objective()(case.output(), BATCH)
        slope = gradient(case, terms, "base")
        assert (slope[nobody] == 0).all() and slope.isfinite().all()
        found.append([x.item() for x in terms["base"]])
        case.logits[nobody] = [0.0, 1e300, -1e300, 1.0]
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", [AnswerTerm, MarginalTerm])
@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("few", [False, True])
def test_a_batch_without_a_row_of_a_term_does_without_it(kind, cuts, few):
    has, args, own, _ = many_classes(kind, 4, few, None)
    term = noting(kind, cuts)(*args, **own)
    others, one = np.flatnonzero(~has), np.flatnonzero(has)[:1]
    for samples, names in [(others, []), (one, ["it"]), (np.r_[others, one], ["it"])]:
        batch = Batch(torch.from_numpy(samples), torch.zeros(len(samples), 1))
        output = Output(torch.zeros(len(samples), 1, 4, dtype=CPU.dtype))
        assert list(Objective([term])(output, batch)) == names


# ------------------------------------------------------------------- the objective


def test_an_objective_names_the_weights_and_modules_of_its_terms():
    case = Case()
    between = projection(D, 2, torch.Generator().manual_seed(0))
    features = case.features("pooled", between=between)
    objective = Objective([case.label_term(), case.answer_term(2.0), features])
    assert objective.weights == {"base": 1.0, "teacher": 0.4, "feature": 0.1}
    assert objective.modules == {"projection": between}


def test_a_batch_brings_futures_where_a_term_asks_for_them():
    case = Case()
    features = case.features("pooled")
    assert Objective([case.label_term(), features]).take_futures is None
    features.take_futures = reader = torch.Tensor.clone
    assert Objective([case.label_term(), features]).take_futures is reader


def test_the_auxiliary_loss_of_a_network_is_a_term_of_weight_one():
    case = Case()
    output = case.output()._replace(auxiliary_loss=torch.tensor(2.5))
    terms = case.objective()(output, BATCH)
    assert list(terms) == ["base", "auxiliary"]
    assert [float(x) for x in terms["auxiliary"]] == [2.5, 1.0]


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_auxiliary_loss_of_each_row_has_the_weight_of_the_row(counted, weighted):
    rng = np.random.default_rng(0)
    losses, counts = rng.normal(size=B), rng.integers(0, 4, B).astype(float)
    weights = rng.uniform(0.5, 2, N)
    output = (
        Case()
        .output()
        ._replace(
            auxiliary_loss=torch.tensor(losses),
            auxiliary_counts=torch.tensor(counts) if counted else None,
        )
    )
    objective = Objective(
        [Case().label_term()], torch.tensor(weights) if weighted else None
    )
    each = (counts if counted else 1) * (weights[SAMPLES] if weighted else np.ones(B))
    check(objective(output, BATCH)["auxiliary"], (losses @ each, each.sum()))


def test_an_auxiliary_loss_of_no_row_counts_nothing():
    case, zeros = Case(), torch.zeros(B, dtype=torch.float64)
    objective = case.objective()
    without = objective(case.output(), BATCH)
    output = case.output()._replace(auxiliary_loss=zeros, auxiliary_counts=zeros)
    with_none = objective(output, BATCH)
    assert objective.total(with_none) == objective.total(without)
    output = case.output()._replace(auxiliary_loss=torch.zeros(B + 1))
    with pytest.raises(ValueError, match=r"auxiliary_loss has shape .* each of its"):
        objective(output, BATCH)
