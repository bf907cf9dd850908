"""Laws that losses keep whatever the numbers are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skanticipate.losses import (
    direct_loss,
    distillation_kl,
    focal_loss,
    marginal_cross_entropy,
    pooled_loss,
    soft_cross_entropy,
    weakly_aligned_loss,
)

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(2, 6))  # B, S, C
maps = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))  # B, N, d
rates = st.sampled_from([0.3, 1.0, 4.0])


def drawn(size, seed):
    """Scores (B, S, C), distributions (B, C), and what goes on drawing."""
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(scale=3, size=size), requires_grad=True)
    return logits, torch.tensor(rng.dirichlet(np.ones(size[-1]), size[0])), rng


def drawn_maps(size, seed, n_teacher=None):
    rng = np.random.default_rng(seed)
    b, n, d = size
    student, teacher = (
        torch.tensor(rng.normal(size=(b, k, d))) for k in (n, n_teacher or n)
    )
    return student, teacher, rng


def members(proba):
    return proba >= proba.median(1, keepdim=True).values


OF_SCORES = {  # that no constant added to the scores of a stage moves
    "cross-entropy": lambda z, t: soft_cross_entropy(z, t, reduction="none"),
    "answers": lambda z, t: distillation_kl(z, t, temperature=2.5, reduction="none"),
    "two answers": lambda z, t: distillation_kl(z, t, top_k=2, reduction="none"),
    "marginals": lambda z, t: marginal_cross_entropy(z, members(t), reduction="none"),
}
OF_CLASSES = {
    **OF_SCORES,
    "focal": lambda z, t: focal_loss(z, t, reduction="none"),
}


@few
@given(st.sampled_from(sorted(OF_CLASSES)), sizes, seeds)
def test_the_order_of_rows_stages_and_classes_has_no_part(name, size, seed):
    logits, proba, rng = drawn(size, seed)
    rows, stages, classes = (torch.from_numpy(rng.permutation(n)) for n in size)
    moved = logits[rows][:, stages][..., classes]
    found = OF_CLASSES[name](moved, proba[rows][:, classes])
    losses = OF_CLASSES[name](logits, proba)
    assert_allclose(found.detach(), losses[rows].detach(), rtol=1e-11, atol=1e-13)
    slopes = [torch.autograd.grad(x.sum(), logits)[0] for x in (found, losses)]
    assert_allclose(slopes[0], slopes[1], rtol=1e-9, atol=1e-12)


@few
@given(st.sampled_from(sorted(OF_SCORES)), sizes, seeds, st.floats(-100, 100))
def test_a_constant_added_to_the_scores_changes_nothing(name, size, seed, constant):
    logits, proba, rng = drawn(size, seed)
    shift = constant + torch.tensor(rng.normal(size=(*size[:2], 1)))
    losses = OF_SCORES[name](logits, proba)
    shifted = OF_SCORES[name](logits + shift, proba)
    assert_allclose(shifted.detach(), losses.detach(), rtol=1e-9, atol=1e-11)
    [slope] = torch.autograd.grad(losses.sum(), logits)
    assert_allclose(slope.sum(-1), 0, atol=1e-12)  # so the slope adds up to nothing


@few
@given(sizes, seeds, st.floats(0, 1))
def test_cross_entropy_is_linear_in_its_targets(size, seed, share):
    logits, one, rng = drawn(size, seed)
    other = torch.tensor(rng.dirichlet(np.ones(size[-1]), size[0]))
    losses = [
        soft_cross_entropy(logits, t, reduction="none").detach()
        for t in (one, other, share * one + (1 - share) * other)
    ]
    assert_allclose(losses[2], share * losses[0] + (1 - share) * losses[1], atol=1e-10)


@few
@given(sizes, seeds, rates)
def test_divergence_is_no_less_than_nothing_and_nothing_for_the_same(size, seed, rate):
    logits, proba, _ = drawn(size, seed)
    loss = distillation_kl(logits, proba, temperature=rate, reduction="none")
    assert (loss >= -1e-12).all()
    own = proba.log().unsqueeze(1).expand(size).clone().requires_grad_()
    none = distillation_kl(own, proba, temperature=rate)
    assert_allclose(none.detach(), 0, atol=1e-13 * rate**2)
    [slope] = torch.autograd.grad(none, own)
    assert_allclose(slope, 0, atol=1e-12)


@few
@given(sizes, seeds)
def test_divergence_is_cross_entropy_less_entropy(size, seed):
    logits, proba, _ = drawn(size, seed)
    entropy = -(proba * proba.log()).sum(1)
    found = distillation_kl(logits, proba, reduction="none")
    expected = soft_cross_entropy(logits, proba, reduction="none") - entropy
    assert_allclose(found.detach(), expected.detach(), rtol=1e-9, atol=1e-11)


@few
@given(sizes, seeds)
def test_at_a_high_temperature_centred_scores_are_compared(size, seed):
    # Hinton et al. 2015, section 2.1: half the mean square of their differences
    logits, proba, _ = drawn(size, seed)
    logits, teacher = logits.detach(), proba.log().unsqueeze(1)
    difference = logits - teacher
    centred = difference - difference.mean(-1, keepdim=True)
    expected = centred.square().mean(-1).mean(1) / 2
    found = distillation_kl(logits, proba, temperature=1e4, reduction="none")
    assert_allclose(found, expected, rtol=0.02, atol=1e-6)


@few
@given(sizes, seeds)
def test_marginals_of_a_partition_are_probabilities(size, seed):
    logits, _, rng = drawn(size, seed)
    logits = logits[:, :1].detach()
    parts = torch.from_numpy(rng.integers(0, 3, size=(size[0], size[-1])))

    def probability(inside):  # of sets that may be empty
        some = inside.any(1)
        found = torch.zeros(len(inside), dtype=logits.dtype)
        losses = marginal_cross_entropy(logits[some], inside[some], reduction="none")
        found[some] = (-losses).exp()
        return found

    one, two, three = (probability(parts == k) for k in range(3))
    assert_allclose(one + two + three, 1, rtol=1e-12)
    assert_allclose(probability(parts < 2), one + two, rtol=1e-10, atol=1e-14)


@few
@given(sizes, seeds)
def test_focal_loss_is_a_sum_of_decisions_that_gamma_makes_smaller(size, seed):
    logits, proba, _ = drawn(size, seed)
    logits = logits.detach()
    columns = [
        focal_loss(logits[..., [c]], proba[:, [c]], reduction="none")
        for c in range(size[-1])
    ]
    whole = focal_loss(logits, proba, reduction="none")
    assert_allclose(whole, sum(columns), rtol=1e-10)
    by_gamma = [
        focal_loss(logits, proba, gamma=g, reduction="none") for g in (0, 0.5, 2.0, 5)
    ]
    for more, less in zip(by_gamma, by_gamma[1:], strict=False):
        assert (less <= more * (1 + 1e-12)).all()


# ----------------------------------------------------------------------------- of maps


def squared(loss, **params):
    return lambda s, t, **more: loss(
        s, t, form="squared", reduction="none", **params, **more
    )


OF_MAPS = {
    "direct": squared(direct_loss),
    "pooled": squared(pooled_loss),
    **{
        direction: squared(weakly_aligned_loss, alpha=0.7, direction=direction)
        for direction in ("both", "student", "teacher")
    },
}


@few
@given(st.sampled_from(sorted(OF_MAPS)), maps, seeds)
def test_squares_do_not_depend_on_the_axes_of_the_channels(name, size, seed):
    student, teacher, rng = drawn_maps(size, seed)
    turn, _ = np.linalg.qr(rng.normal(size=(size[2], size[2])))
    turn = torch.from_numpy(turn)
    found = OF_MAPS[name](student @ turn, teacher @ turn)
    expected = OF_MAPS[name](student, teacher)
    assert_allclose(found, expected, rtol=1e-8, atol=1e-14)


@few
@given(st.sampled_from(["both", "student", "teacher"]), maps, seeds, rates)
def test_units_of_the_channels_can_be_put_into_alpha(direction, size, seed, unit):
    student, teacher, _ = drawn_maps(size, seed, n_teacher=4)

    def loss(scale, alpha):
        found = squared(weakly_aligned_loss, direction=direction, alpha=alpha)
        return found(scale * student, scale * teacher)

    expected = unit**2 * loss(1.0, 0.7 * unit**2)
    assert_allclose(loss(unit, 0.7), expected, rtol=1e-8, atol=1e-14)


@few
@given(st.sampled_from(["both", "student", "teacher"]), maps, seeds)
def test_positions_that_stand_there_twice_count_as_once(direction, size, seed):
    student, teacher, _ = drawn_maps(size, seed, n_teacher=3)
    loss = OF_MAPS[direction]
    expected = loss(student, teacher)
    many = loss(student.repeat(1, 2, 1), teacher.repeat(1, 3, 1))
    assert_allclose(many, expected, rtol=1e-9, atol=1e-14)


@few
@given(st.sampled_from(["both", "student", "teacher"]), maps, seeds)
def test_attention_of_a_small_scale_ends_in_the_means(direction, size, seed):
    student, teacher, _ = drawn_maps(size, seed, n_teacher=3)
    halves = 2 if direction == "both" else 1
    expected = halves * OF_MAPS["pooled"](student, teacher)

    def distance(alpha):
        loss = squared(weakly_aligned_loss, alpha=alpha, direction=direction)
        return (loss(student, teacher) - expected).abs().max()

    assert distance(1e-9) < 1e-7
    assert distance(1e-6) <= 1e-5 * (1 + expected.max())


@few
@given(st.sampled_from(["direct", "pooled"]), maps, seeds)
def test_what_is_added_to_both_maps_has_no_part(name, size, seed):
    student, teacher, rng = drawn_maps(size, seed)
    both = torch.tensor(rng.normal(size=size[2]))
    found = OF_MAPS[name](student + both, teacher + both)
    assert_allclose(found, OF_MAPS[name](student, teacher), rtol=1e-8, atol=1e-13)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of kl_div, once
@pytest.mark.parametrize("loss", [soft_cross_entropy, distillation_kl, focal_loss])
def test_losses_of_rows_can_be_mapped_and_compiled(loss):
    """Where torch hides values, targets cannot be looked at."""
    pairs = [drawn((2, 1, 3), seed)[:2] for seed in range(3)]
    many = [torch.stack(part) for part in zip(*pairs, strict=True)]
    alone = torch.stack([loss(*pair) for pair in pairs])
    assert_allclose(torch.func.vmap(loss)(*many).detach(), alone.detach(), rtol=1e-12)
    whole = torch.compile(loss, backend="eager", fullgraph=True)
    assert_allclose(whole(*pairs[0]).detach(), alone[0].detach(), rtol=1e-12)
