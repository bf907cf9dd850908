import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_transformer import (
    NAN,
    D,
    T,
    affine,
    built,
    generator,
    naive_block,
    named,
    paddings,
    random_clips,
    shaken,
)
from numpy.testing import assert_allclose

from skanticipate import AttentiveProbe, SmoothedAnticipator


def naive_tokens(weights, n_blocks, n_positions, clip):
    """Tokens of one clip (T, P, D) without padding, as the queries find them."""
    tokens = affine(clip, weights, "projection")  # (T, P, H)
    if n_positions:
        ago = np.minimum(np.arange(len(tokens))[::-1], n_positions - 1)
        tokens = tokens + weights["positions.weight"][ago][:, None]
    tokens = tokens.reshape(-1, tokens.shape[-1])
    for k in range(n_blocks - 1):
        tokens = naive_block(tokens, weights, k, 2)
    return tokens


@settings(max_examples=20, deadline=None)
@given(paddings, st.integers(1, 3), st.integers(1, 3), st.integers(0, T + 1))
def test_probe_is_the_naive_loop_over_real_tokens(padding, n_blocks, n_queries, n_pos):
    spec = AttentiveProbe(
        6, n_blocks=n_blocks, n_queries=n_queries, n_heads=2, n_positions=n_pos
    )
    network = shaken(built(spec, (T, 2, D)))
    clips = random_clips(len(padding), T, 2, D)
    clips[torch.tensor(padding)] = NAN
    output, weights = network(clips), named(network)
    assert output.auxiliary_loss is None
    for row, clip in enumerate(clips.numpy()):
        real = ~np.isnan(clip[:, 0, 0])
        mask = np.repeat(real, 2)
        assert output.mask is None or output.mask[row].tolist() == mask.tolist()
        assert (output.features[row, torch.tensor(~mask)] == 0).all()
        found = output.features[row, torch.tensor(mask)].detach()
        tokens = np.zeros((1, 6))  # an empty clip is read as if it held one such token
        if real.any():
            tokens = naive_tokens(weights, n_blocks, n_pos, clip[real])
            assert_allclose(found, tokens, atol=1e-10)
        answers = naive_block(
            weights["queries.weight"], weights, n_blocks - 1, 2, tokens=tokens
        )
        logits = affine(answers.ravel(), weights, "classifier")
        assert_allclose(output.logits[row, 0].detach(), logits, atol=1e-10)


# ------------------------------------------------------------------ time and order


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(T)))
def test_probe_without_positions_knows_no_order(order):
    clips, order = random_clips(), list(order)
    bag = shaken(built(AttentiveProbe(8, n_blocks=2, n_positions=0)))
    assert_allclose(
        bag(clips[:, order]).logits.detach(), bag(clips).logits.detach(), atol=1e-12
    )
    timed = shaken(built(AttentiveProbe(8, n_blocks=2)))
    same = torch.allclose(timed(clips[:, order]).logits, timed(clips).logits)
    assert same == (order == sorted(order))


def test_steps_before_the_last_positions_share_a_vector():
    network = shaken(built(AttentiveProbe(8, n_positions=3)))
    clips = random_clips()
    swapped = clips[:, [3, 1, 2, 0, 4, 5]]  # the last two are told apart
    later = clips[:, [0, 1, 2, 3, 5, 4]]
    logits = network(clips).logits.detach()
    assert_allclose(network(swapped).logits.detach(), logits, atol=1e-12)
    assert (network(later).logits - logits).abs().max() > 1e-3


# ----------------------------------------------------- initial weights, randomness


def test_probe_starts_with_small_queries_and_blocks():
    spec = AttentiveProbe(200, n_queries=50, n_blocks=2, n_positions=50)
    weights = named(spec.build((T, 300), 40, generator=generator()))
    for name in ("queries", "positions", "blocks.0.widen", "blocks.1.attention.output"):
        assert weights[f"{name}.weight"].std() == pytest.approx(0.02, rel=0.03)
    assert np.abs(weights["projection.weight"]).max() <= 1 / np.sqrt(300)


# ---------------------------------------------------------------------- estimators


def test_probe_learns_which_of_many_tokens_matters():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4, 3, 3, 6)).astype(np.float32)
    y = rng.integers(2, size=200)
    where = rng.integers(36, size=200)
    marked = X.reshape(200, 36, 6)
    marked[np.arange(200), where, 0] = 6  # the token that tells, by its next channel
    marked[np.arange(200), where, 1] = 3 * (2 * y - 1)
    model = SmoothedAnticipator(
        AttentiveProbe(16, n_heads=2), max_epochs=60, batch_size=32, random_state=0
    )
    model.fit(X[:150], y[:150])
    assert model.score(X[150:], y[150:]) > 0.9
