"""Guesses that are read as frames, and attention weights that are dropped."""

import numpy as np
import pytest
import torch
from every_network import own_loss
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_transformer import (
    NAN,
    C,
    D,
    T,
    affine,
    built,
    generator,
    naive_guesses,
    named,
    paddings,
    random_clips,
    shaken,
)
from numpy.testing import assert_allclose

from skanticipate import AVTHead, DistilledAnticipator, SmoothedAnticipator
from skanticipate.datasets import make_kitchen
from skanticipate.networks.attention import Attention
from skanticipate.networks.base import Dropout, initialize, lend_generator

KITCHEN = make_kitchen(10, 8, n_steps=5, n_features=8, random_state=0)


# ---------------------------------------------------------------------- roll-out


def naive_last_guess(weights, spec, frames, n_guesses):
    """Append guesses to the frames (T, D) of a clip, from the start each time."""
    for _ in range(n_guesses):
        guess = naive_guesses(weights, spec, frames)[-1]
        frames = np.vstack([frames, guess])
    return guess


@settings(max_examples=20, deadline=None)
@given(paddings, st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_rollout_is_the_naive_loop_that_appends_guesses(
    padding, n_stages, n_guesses, n_layers
):
    spec = AVTHead(
        6,
        n_layers=n_layers,
        n_heads=2,
        anticipation_steps=n_stages,
        rollout_steps=n_guesses,
        max_steps=T + n_guesses - 1,
    )
    network = shaken(built(spec))
    clips = random_clips(len(padding))
    clips[torch.tensor(padding)] = NAN
    output, weights = network(clips), named(network)
    for row, clip in enumerate(clips.numpy()):
        for stage in range(n_stages):
            seen = clip[: T - n_stages + stage + 1]
            seen = seen[~np.isnan(seen[:, 0])]
            guess = np.zeros(D)
            if len(seen):
                guess = naive_last_guess(weights, spec, seen, n_guesses)
            expected = affine(guess, weights, "classifier")
            assert_allclose(output.logits[row, stage].detach(), expected, atol=1e-10)


@pytest.mark.parametrize("n_guesses", [2, 3])
def test_gradients_are_those_of_the_network_asked_again(n_guesses):
    params = {"layer_dropout": 0.0, "anticipation_steps": 2}
    network = shaken(built(AVTHead(8, rollout_steps=n_guesses, **params)))
    single = built(AVTHead(8, **params | {"anticipation_steps": 1}))
    single.load_state_dict(network.state_dict())
    clips, logits = random_clips(), []
    for n_seen in (T - 1, T):
        frames = clips[:, :n_seen]
        for _ in range(n_guesses):
            output = single(frames)
            frames = torch.cat([frames, output.features[:, -1:]], 1)
        logits.append(output.logits)
    expected, found = torch.cat(logits, 1), network(clips).logits
    assert_allclose(found.detach(), expected.detach(), atol=1e-10)
    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype)
    gradients = [
        torch.autograd.grad((x.flatten() * weights).sum(), net.parameters())
        for x, net in ((found, network), (expected, single))
    ]
    for a, b in zip(*gradients, strict=True):
        assert_allclose(a, b, atol=1e-10)


def test_map_and_loss_are_those_of_the_next_frames():
    params = {"layer_dropout": 0.0, "anticipation_steps": 2}
    network = built(AVTHead(8, rollout_steps=3, **params)).train()
    single = built(AVTHead(8, **params)).train()
    single.load_state_dict(network.state_dict())
    clips = random_clips()
    clips[1, :2] = NAN
    found, expected = network(clips), single(clips)
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.auxiliary_loss, expected.auxiliary_loss)
    assert not torch.equal(found.logits, expected.logits)


def test_rolled_out_stage_does_not_look_ahead():
    spec = AVTHead(8, anticipation_steps=3, rollout_steps=3)
    network, clips = shaken(built(spec)), random_clips()
    whole = network(clips).logits
    for stage in range(2):
        later = clips.clone()
        later[:, T - 2 + stage :] = 99.0
        found = network(later).logits[:, : stage + 1]
        assert_allclose(found.detach(), whole[:, : stage + 1].detach(), atol=1e-12)


def test_positions_must_hold_what_is_read():
    network = built(AVTHead(8, max_steps=T + 1, rollout_steps=2))
    assert network(random_clips()).logits.shape == (5, 1, C)
    network = built(AVTHead(8, max_steps=T + 1, rollout_steps=3))
    message = "A clip of 6 steps and 2 guesses .* longer than the 7 positions .* raise "
    with pytest.raises(ValueError, match=message):
        network(random_clips())


def test_rollout_learns_where_a_wheel_turns_to():
    rng = np.random.default_rng(0)
    wheel = rng.normal(size=(4, D))  # four frames that follow each other for ever
    start = rng.integers(4, size=64)
    X = wheel[(start[:, None] + np.arange(8)) % 4].astype(np.float32)
    network = AVTHead(32, layer_dropout=0.0, rollout_steps=3)
    model = SmoothedAnticipator(network, max_epochs=40, batch_size=16, random_state=0)
    assert model.fit(X, start % 2).score(X, start % 2) == 1


def test_rollout_and_dropped_weights_of_students():
    spec = AVTHead(16, n_heads=2, anticipation_steps=2, rollout_steps=2)
    spec.set_params(attention_dropout=0.1, input_dropout=0.1)
    y = np.where(np.arange(len(KITCHEN.y)) % 3 == 0, -1, KITCHEN.y)
    past = KITCHEN.X_past.copy()
    past[4, :2] = past[7] = np.nan
    found = []
    for _ in range(2):
        model = DistilledAnticipator(spec, max_epochs=2, random_state=0)
        model.fit(past, y, KITCHEN.X_future)
        found.append((model.predict_proba(past).tobytes(), repr(model.history_)))
    assert found[0] == found[1]
    assert model.started_from_teacher_ and model.history_[-1]["feature"] > 0


# ------------------------------------------------------------ weights that are dropped


class Recorded(Dropout):
    """Dropout that keeps what it makes of ones."""

    def forward(self, x):
        self.mask = super().forward(torch.ones_like(x))
        return x * self.mask


def naive_dropped(attention, asking, tokens, real, causal, mask):
    """Read a weight at a time.   (M, H), (N, H), (N,) bool, (h, M, N) -> (M, H)."""
    weights = named(attention)
    queries = affine(asking, weights, "query")
    keys, values = np.split(affine(tokens, weights, "key_value"), 2, -1)
    out = np.zeros_like(queries)
    heads = np.split(np.arange(queries.shape[1]), attention.n_heads)
    for h, head in enumerate(heads):
        for m, query in enumerate(queries[:, head]):
            seen = [n for n in range(len(keys)) if real[n] and (n <= m or not causal)]
            raw = {n: np.exp(query @ keys[n, head] / np.sqrt(len(head))) for n in seen}
            total = sum(raw.values())
            for n in seen:
                share = raw[n] / total * mask[h, m, n]
                out[m, head] += share * values[n, head]
    return affine(out, weights, "output")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_dropped_attention_is_the_naive_loop(causal, padded):
    attention = Attention(8, 2, 0.4)
    attention.dropout = Recorded(0.4)
    attention = shaken(initialize(attention, generator()).double())
    rng = np.random.default_rng(0)
    asking = torch.from_numpy(rng.normal(size=(3, 5, 8)))
    tokens = asking if causal else torch.from_numpy(rng.normal(size=(3, 7, 8)))
    real = torch.ones(3, tokens.shape[1], dtype=torch.bool)
    if padded:
        real[0, 2] = real[1, 1:3] = False
    given = real if padded else None
    with lend_generator(attention.train(), generator(1)):
        found = attention(asking, tokens, causal=causal and not padded, real=given)
    mask = attention.dropout.mask.numpy()
    assert mask.shape == (3, 2, 5, tokens.shape[1])
    assert set(np.unique(mask)) == {0, 1 / 0.6}
    for b in range(3):
        expected = naive_dropped(
            attention,
            asking[b].numpy(),
            tokens[b].numpy(),
            real[b].numpy(),
            causal and not padded,
            mask[b],
        )
        assert_allclose(found[b].detach(), expected, atol=1e-10)


def test_explicit_weights_of_which_none_is_dropped_are_attention_in_one_piece():
    network = shaken(built(AVTHead(8, attention_dropout=0.5, layer_dropout=0.0)))
    clips = random_clips()
    clips[1, :3] = NAN
    whole = network(clips).logits
    keep_all = [m for m in network.modules() if isinstance(m, Dropout) and m.p]
    assert len(keep_all) == 2  # one a block
    for module in keep_all:
        module.p = 1e-300
    with lend_generator(network.train(), generator()):
        found = network(clips).logits
    assert_allclose(found.detach(), whole.detach(), atol=1e-12)


def test_generator_decides_which_weights_are_dropped():
    network, clips = built(AVTHead(8, attention_dropout=0.3)), random_clips()
    network.layer_dropout.p = 0.0
    for block in network.blocks:
        block.dropout.p = 0.0
    before, found = torch.get_rng_state(), []
    for seed in (1, 1, 2):
        with lend_generator(network.train(), generator(seed)):
            found.append(network(clips).logits)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), before)
    network.eval()
    assert torch.equal(network(clips).logits, network(clips).logits)


def test_gradients_through_padding_are_finite_with_dropped_weights():
    network = built(AVTHead(8, attention_dropout=0.4, rollout_steps=2))
    clips = random_clips()
    clips[0, :2] = clips[1] = NAN
    with lend_generator(network.train(), generator()):
        output = network(clips)
    (output.logits.square().sum() + own_loss(output)).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
