"""The mixture of teachers by attention, against numpy and torch.nn, in float64."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax
from torch import nn

from skanticipate.losses import distillation_kl
from skanticipate.networks import Output
from skanticipate.terms.attended import AttendedTerm, TeacherAttention
from skanticipate.training.batches import Batch
from skanticipate.training.runtime import Compute

CPU = Compute(torch.device("cpu"), torch.float64)
B, M, C, WIDTH, D, S = 7, 3, 5, 8, 6, 2
RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(C), size=(10, M))
TOLD = RNG.normal(size=(10, M, D))
INDEX = RNG.permutation(10)
SAMPLES = torch.tensor([3, 1, 4, 0, 8, 5, 9])
HAS = np.ones(10, dtype=bool)
HAS[[1, 8]] = False
LOGITS = RNG.normal(size=(B, S, C))
FEATURES = RNG.normal(size=(B, 4, WIDTH))
MASK = RNG.random((B, 4)) < 0.6
MASK[:, 3], MASK[2] = True, False  # the third is nothing but padding


def term(**options):
    settings = {"features": TOLD, "temperature": 2.0, "top_k": None, "seed": 0}
    return AttendedTerm(
        "text",
        1.0,
        HAS,
        None,
        CPU,
        **{"proba": PROBA, "index": INDEX, "width": WIDTH, "n_heads": 4}
        | settings
        | options,
    )


def output(requires_grad=False, mask=None):
    tensors = [
        torch.tensor(values, requires_grad=requires_grad)
        for values in (LOGITS, FEATURES)
    ]
    return Output(*tensors, mask=None if mask is None else torch.tensor(mask))


@pytest.mark.parametrize(("width", "n_heads"), [(8, 4), (7, 1), (12, 3)])
def test_shares_are_the_weights_of_multi_head_attention(width, n_heads):
    ours = TeacherAttention(width, D, n_heads, 0).double()
    theirs = nn.MultiheadAttention(
        width, n_heads, kdim=D, vdim=D, batch_first=True, dtype=torch.float64
    )
    with torch.no_grad():
        for part, name in ((ours.query, "q_proj_weight"), (ours.key, "k_proj_weight")):
            part.weight.copy_(getattr(theirs, name))
        nn.init.normal_(theirs.in_proj_bias)
        ours.query.bias.copy_(theirs.in_proj_bias[:width])
        ours.key.bias.copy_(theirs.in_proj_bias[width : 2 * width])
    asking = torch.tensor(RNG.normal(size=(B, width)))
    told = torch.tensor(RNG.normal(size=(B, M, D)))
    _, expected = theirs(asking.unsqueeze(1), told, told)  # (B, 1, M)
    assert_allclose(
        ours(asking, told).detach(), expected.squeeze(1).detach(), rtol=1e-10
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("features", [TOLD, None])
@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_term_is_a_loop_over_rows_and_heads(masked, features, top_k, temperature):
    own = term(features=features, top_k=top_k, temperature=temperature, n_heads=3)
    if features is None:
        nn.init.normal_(own.attention.names.weight)
    weights = {
        name: value.detach().numpy() for name, value in own.attention.named_parameters()
    }
    total = 0.0
    for row, sample in enumerate(SAMPLES.tolist()):
        if not HAS[sample]:
            continue
        asking = FEATURES[row].mean(axis=0)
        if masked:
            asking = FEATURES[row][MASK[row]].sum(axis=0) / max(1, MASK[row].sum())
        told = (PROBA if features is None else features)[INDEX[sample]]
        query = weights["query.weight"] @ asking + weights["query.bias"]
        shares = np.zeros(M)
        for head in range(3):  # of ceil(8 / 3) channels
            part = slice(3 * head, 3 * head + 3)
            scores = []
            for m in range(M):
                key = weights["key.weight"] @ told[m] + weights["key.bias"]
                if features is None:
                    key = key + weights["names.weight"][m]
                scores.append(query[part] @ key[part] / np.sqrt(3))
            shares += softmax(scores) / 3
        mixed = sum(
            share * np.log(proba)
            for share, proba in zip(shares, PROBA[INDEX[sample]], strict=True)
        )
        kept = np.argsort(-mixed)[: top_k or C]
        q = softmax(mixed[kept] / temperature)
        for stage in LOGITS[row]:
            log_p = log_softmax(stage[kept] / temperature)
            total += temperature**2 * (q * (np.log(q) - log_p)).sum() / S
    losses, n = own(output(mask=MASK if masked else None), Batch(SAMPLES, None))
    assert float(n) == HAS[SAMPLES].sum()
    assert_allclose(losses.item(), total, rtol=1e-10)


def test_teachers_that_begin_alike_are_the_mean_of_their_logarithms():
    # Keys are the same for all members that say the same of themselves.
    same = np.repeat(TOLD[:, :1], M, axis=1)
    logits = torch.tensor(LOGITS)
    rows = torch.tensor(HAS)[SAMPLES]
    mean = softmax(np.log(PROBA).mean(axis=1), axis=1)[INDEX[SAMPLES]]
    expected = distillation_kl(
        logits[rows], torch.tensor(mean)[rows], temperature=2.0, reduction="none"
    )
    losses, _ = term(features=same)(output(), Batch(SAMPLES, None))
    assert_allclose(losses.item(), expected.sum(), rtol=1e-10)


def test_gradients_reach_the_logits_and_the_attention_not_the_query():
    own = term(features=None)
    found = output(requires_grad=True)
    losses, _ = own(found, Batch(SAMPLES, None))
    wanted = [found.logits, found.features, *own.attention.parameters()]
    logits, features, *others = torch.autograd.grad(losses, wanted, allow_unused=True)
    assert features is None
    assert all(slope.abs().max() > 0 for slope in (logits, *others))


def test_a_seed_draws_the_attention_and_touches_no_other_stream():
    before = torch.get_rng_state()
    one, same, other = (term(seed=seed).attention for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.query.weight, same.query.weight)
    assert not torch.equal(one.query.weight, other.query.weight)


def test_a_batch_without_a_history_says_nothing():
    assert term()(output(), Batch(torch.tensor([1, 8, 1, 8, 1, 8, 1]), None)) is None


def test_what_no_member_believes_stays_finite():
    proba = np.zeros((10, M, C))
    proba[..., 0] = 1.0
    found = output(requires_grad=True)
    own = term(proba=proba, features=None)
    losses, _ = own(found, Batch(SAMPLES, None))
    slopes = torch.autograd.grad(losses, [found.logits, *own.attention.parameters()])
    assert torch.isfinite(losses)
    assert all(torch.isfinite(slope).all() for slope in slopes)
