"""Terms of several models as one: against each alone, and against loops over rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_terms import CPU, cross_entropy, divergence
from numpy.testing import assert_allclose

from skanticipate.networks import Output
from skanticipate.signals.maps import MapsInMemory
from skanticipate.terms.answers import AnswerTerm, answer_part
from skanticipate.terms.features import FeatureTerm, projection
from skanticipate.terms.labels import Joined, LabelTerm, Part, label_parts, stack_parts
from skanticipate.terms.marginals import MarginalTerm
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch

C, D, B = 4, 3, 5


def batch_of(sizes, rng):
    """Samples (K, B) of each model, counted by model and one after another."""
    own = np.stack([rng.integers(0, n, B) for n in sizes])
    starts = np.cumsum([0, *sizes[:-1]])
    return torch.tensor(own), torch.tensor(own + starts[:, None])


def output_of(rng, k, stages=2, steps=2):
    logits = torch.tensor(rng.normal(size=(k * B, stages, C)), requires_grad=True)
    maps = torch.tensor(rng.normal(size=(k * B, steps, D)), requires_grad=True)
    return Output(logits, maps)


def check(terms, rng):
    """Sums and gradients of stacked terms are those of the terms one by one."""
    k, sizes = len(terms), [len(term.given[0]) for term in terms]
    stack = type(terms[0]).stack(terms)
    own, joined = batch_of(sizes, rng)
    output = output_of(rng, k)
    found = stack(output, Batch(joined.flatten(), None, models=slice(0, k)))
    for m, term in enumerate(terms):
        rows = slice(m * B, (m + 1) * B)
        single = Output(output.logits[rows], output.features[rows])
        expected = term(single, Batch(own[m], None))
        if expected is None:
            assert found is None or float(found[1][m]) == 0
            continue
        assert_allclose(found[0][m].item(), expected[0].item(), rtol=1e-12, atol=1e-13)
        assert_allclose(float(found[1][m]), float(expected[1]), rtol=1e-12)
        leaf = output.features if isinstance(term, FeatureTerm) else output.logits
        slope, oracle = (
            torch.autograd.grad(total, leaf, retain_graph=True)[0]
            for total in (found[0][m], expected[0])
        )
        assert_allclose(slope, oracle, rtol=1e-12, atol=1e-13)
    return stack


def chances(rng, n):
    return rng.dirichlet(np.ones(C), n)


def some(rng, n, share):
    has = rng.random(n) < share
    has[0] = True
    return has


# --------------------------------------------------------------------- the base term


def naive_targets(parts, n):
    """Targets (n, C) of parts, entry by entry."""
    targets = np.zeros((n, C))
    for part in parts:
        for sample in range(n):
            share = part.share if np.ndim(part.share) == 0 else part.share[sample]
            for c in range(C):
                row = part.index[sample]
                value = float(row == c) if part.table is None else part.table[row, c]
                targets[sample, c] += share * value
    return targets


@st.composite
def random_parts(draw):
    """Parts of a model: labels, tables of priors, and perhaps answers."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n = draw(st.integers(1, 6))
    codes = rng.integers(0, C, n)
    share = draw(st.sampled_from([0.0, 0.25, 1.0, "each"]))
    share = rng.random(n) if share == "each" else share
    parts = [Part(None, codes, share)]
    for _ in range(draw(st.integers(0, 3))):
        n_rows = draw(st.integers(1, 3))
        table = chances(np.random.default_rng(draw(st.integers(0, 2))), n_rows)
        own = draw(st.sampled_from([0.0, 0.5, "each"]))
        own = rng.random(n) if own == "each" else own
        parts.append(Part(table, rng.integers(0, n_rows, n), own))
    if draw(st.booleans()):
        proba = chances(rng, draw(st.integers(1, 3)))
        proba[0] = np.eye(C)[1]  # a row that is certain
        part = answer_part(proba, rng.integers(0, len(proba), n))
        parts.insert(draw(st.integers(1, len(parts))), part.of(rng.random(n) < 0.5))
    return parts


@settings(max_examples=60, deadline=None)
@given(st.lists(random_parts(), min_size=1, max_size=4))
def test_stacked_parts_say_of_each_sample_what_its_own_parts_say(stacks):
    sizes = [len(parts[0].index) for parts in stacks]
    stacked = stack_parts(stacks)
    own = [naive_targets(parts, n) for parts, n in zip(stacks, sizes, strict=True)]
    assert_allclose(naive_targets(stacked, sum(sizes)), np.concatenate(own), atol=1e-15)
    has = np.ones(sum(sizes), dtype=bool)
    entropy = LabelTerm(stacked, has, None, CPU).entropy
    expected = [
        sum(p.entropy[p.index] * p.share for p in parts if p.entropy is not None)
        * np.ones(n)
        for parts, n in zip(stacks, sizes, strict=True)
    ]
    found = np.zeros(sum(sizes)) if entropy is None else entropy
    assert_allclose(found, np.concatenate(expected), atol=1e-15)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(random_parts(), min_size=1, max_size=4),
    st.integers(0, 99),
    st.sampled_from(["none", "some", "all"]),
    st.booleans(),
)
def test_base_terms_of_random_parts(stacks, seed, weighted, complete):
    rng = np.random.default_rng(seed)
    terms = []
    for k, parts in enumerate(stacks):
        n = len(parts[0].index)
        has = np.ones(n, bool) if complete else some(rng, n, 0.6)
        own = weighted == "all" or (weighted == "some" and k % 2 == 0)
        weights = rng.random(n) + 0.1 if own else None
        parts = [part.of(has) for part in parts]
        if not any(np.any(part.share) for part in parts[1:]):  # labels and no more
            parts[0] = parts[0]._replace(share=1.0).of(has)
        terms.append(LabelTerm(parts, has, weights, CPU))
    check(terms, rng)


def test_base_term_of_a_stack_against_a_loop():
    rng = np.random.default_rng(0)
    prior, sizes = chances(rng, C), [6, 9]
    codes = [rng.integers(-1, C, n) for n in sizes]
    terms = []
    for smoothing, own in zip((0.0, 0.4), codes, strict=True):
        own[:2] = [0, -1]
        parts = label_parts(own, [(prior, np.maximum(own, 0), 1.0)], smoothing)
        terms.append(LabelTerm(parts, own >= 0, None, CPU))
    stack = LabelTerm.stack(terms)
    samples, joined = batch_of(sizes, rng)
    output = output_of(rng, 2)
    batch = Batch(joined.flatten(), None, models=slice(0, 2))
    total, weight = stack(output, batch)
    for m, smoothing in enumerate((0.0, 0.4)):
        expected = 0.0
        for row, sample in enumerate(samples[m].tolist()):
            if (code := codes[m][sample]) >= 0:
                target = (1 - smoothing) * np.eye(C)[code] + smoothing * prior[code]
                scores = output.logits[m * B + row].tolist()
                expected += cross_entropy(target, scores)
        assert_allclose(total[m].item(), expected, rtol=1e-12)
        assert float(weight[m]) == (codes[m][samples[m]] >= 0).sum()


# ------------------------------------------------------------------- terms of others


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_answers(top_k, temperature, shared, share):
    rng = np.random.default_rng(0)
    tables = [chances(rng, n) for n in (5, 2, 7)]
    if shared:
        tables = [tables[0], tables[0], tables[0].copy()]
    terms = []
    for k, table in enumerate(tables):
        n = 8 + k
        has = some(rng, n, share)
        index = rng.integers(0, len(table), n)
        options = {"proba": table, "index": index, "temperature": temperature}
        weights = None if k == 1 else rng.random(n) + 0.1
        terms.append(AnswerTerm("it", k, has, weights, CPU, **options, top_k=top_k))
    stack = check(terms, rng)
    if shared:
        assert len(stack.table) == len(tables[0])  # it stands there once
    if top_k is None:
        own, joined = batch_of([8, 9, 10], rng)
        output = output_of(rng, 3)
        total, _ = stack(output, Batch(joined.flatten(), None, models=slice(0, 3)))
        expected = sum(
            divergence(
                tables[1][terms[1].answers[1][s]],
                output.logits[B + row].tolist(),
                temperature,
            )
            for row, s in enumerate(own[1].tolist())
            if terms[1].given[0][s]
        )
        assert_allclose(total[1].item(), expected, rtol=1e-11)


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_marginals(share):
    rng = np.random.default_rng(0)
    part_of, terms = np.array([0, 1, 0, 1]), []
    for k in range(3):
        codes = np.where(some(rng, 7 + k, share), rng.integers(0, C, 7 + k), -1)
        weights = rng.random(7 + k) if k else None
        terms.append(
            MarginalTerm("verb", k, weights, CPU, codes=codes, part_of=part_of)
        )
    check(terms, rng)


@pytest.mark.parametrize(
    "alignment", ["weak", "student", "teacher", "direct", "pooled"]
)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_maps(alignment, padded, shared, share):
    rng = np.random.default_rng(0)

    def source(k, n):
        maps = rng.normal(size=(n, 2, D))
        if padded and k != 1:
            maps[:2, 0] = np.nan
        index = rng.integers(0, n, 9)
        return MapsInMemory(maps, index, CPU, alpha=0.7, attended=True)

    sources = [source(k, 3 + k) for k in range(3)]
    if shared:
        sources = [sources[0]] * 3
    terms = [
        FeatureTerm(
            0.1 * k,
            some(rng, 9, share),
            rng.random(9) if k else None,
            CPU,
            alignment=alignment,
            alpha=0.7,
            maps=maps,
            projection=torch.nn.Identity(),
        )
        for k, maps in enumerate(sources)
    ]
    check(terms, rng)


def test_what_differs_is_not_of_one_kind():
    def term(**options):
        options = {"temperature": 1.0, "top_k": None, "name": "text"} | options
        proba = np.full((2, C), 1 / C)
        return AnswerTerm(
            options.pop("name"),
            options.pop("weight", 1.0),
            np.ones(3, bool),
            None,
            CPU,
            proba=proba,
            index=np.zeros(3, int),
            **options,
        )

    same = term()
    assert term(weight=2.0).kind == same.kind
    for options in ({"temperature": 2.0}, {"top_k": 2}, {"name": "teacher"}):
        assert term(**options).kind != same.kind
    maps = MapsInMemory(np.zeros((3, 2, D)), np.arange(3), CPU, alpha=1, attended=True)
    learnt = projection(5, D, torch.Generator())
    has = np.array([True, False, True])
    options = {"alignment": "weak", "alpha": 1.0, "maps": maps}
    moved = FeatureTerm(1.0, has, None, CPU, projection=learnt, **options)
    assert moved.kind is None and Objective([same, moved]).kind is None
    fixed = FeatureTerm(1.0, has, None, CPU, projection=torch.nn.Identity(), **options)
    assert fixed.kind is not None


# ------------------------------------------------------------------ the whole of them


def test_total_of_a_stack_is_the_sum_of_the_objectives_of_its_models():
    rng = np.random.default_rng(0)
    objectives = []
    for k in range(3):
        codes = rng.integers(0, C, 6)
        base = LabelTerm(label_parts(codes, [], 0.0), codes >= 0, None, CPU)
        has = np.zeros(6, bool) if k == 1 else np.ones(6, bool)
        has[0] = True
        table, index = chances(rng, 6), np.arange(6)
        options = {"proba": table, "index": index, "temperature": 2.0}
        text = AnswerTerm("text", 0.3 * k + 0.1, has, None, CPU, **options)
        objectives.append(Objective([base, text]))
    stack = Objective.stack(objectives)
    samples = torch.tensor([[1, 2, 3], [3, 4, 5], [0, 1, 5]])  # none of text in one
    output = Output(torch.tensor(rng.normal(size=(9, 1, C))))
    joined = (samples + 6 * torch.arange(3).unsqueeze(1)).flatten()
    for models in (slice(0, 3), slice(1, 3), slice(1, 2)):
        rows = slice(3 * models.start, 3 * models.stop)
        some_of = Batch(joined[rows], None, models=models)
        terms = stack(Output(output.logits[rows]), some_of)
        found, expected = stack.total(terms, models), 0.0
        for k in range(models.start, models.stop):
            own = Output(output.logits[3 * k : 3 * k + 3])
            alone = objectives[k](own, Batch(samples[k], None))
            assert ("text" in alone) == (k != 1)
            expected += objectives[k].total(alone).item()
        assert_allclose(found.item(), expected, rtol=1e-12)


def test_joined_tables_stand_there_once():
    one, two = np.eye(2), np.full((3, 2), 0.5)
    joined = Joined([one, two, one.copy(), two, one])
    assert joined.table.shape == (5, 2) and joined.starts == [0, 2, 0, 2, 0]
    index = joined.index([np.array(own) for own in ([0, 1], [2], [1], [1, 0], [0])])
    expected = [one[[0, 1]], two[[2]], one[[1]], two[[1, 0]], one[[0]]]
    assert_allclose(joined.table[index], np.concatenate(expected))
