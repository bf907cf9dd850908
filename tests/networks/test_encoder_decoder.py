"""LSTM encoder-decoder against a loop over steps, with the equations of an LSTM."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import skanticipate
from skanticipate import (
    DistilledAnticipator,
    EncoderDecoderLSTM,
    RowView,
    SmoothedAnticipator,
    VerbNounHead,
    fit_many,
)
from skanticipate.datasets import make_kitchen
from skanticipate.networks.base import lend_generator

T, S, D, H, C = 7, 4, 3, 5, 6
CLIPS = make_kitchen(8, 8, n_steps=5, n_features=6, random_state=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spec(**params):
    return EncoderDecoderLSTM(H, **{"anticipation_steps": S, **params})


def built(a_spec, shape=(T, D), seed=0):
    return a_spec.build(shape, C, generator=generator(seed)).double().eval()


def random_clips(n=3, steps=T, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, steps, D)))


def gradients(network, logits):
    """Of a sum that tells all logits apart, by each parameter."""
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype)
    loss = (logits * weights.view(logits.shape)).sum()
    return torch.autograd.grad(
        loss, list(network.parameters()), allow_unused=True, materialize_grads=True
    )


# ----------------------------------------------------------------- the naive oracle


def cell(lstm, x, h, c):
    """One step of an LSTM, gates in torch's order: into, forget, value, out."""
    gates = lstm.weight_ih_l0 @ x + lstm.bias_ih_l0
    gates = gates + lstm.weight_hh_l0 @ h + lstm.bias_hh_l0
    i, f, g, o = gates.chunk(4)
    c = 1 / (1 + (-f).exp()) * c + 1 / (1 + (-i).exp()) * g.tanh()
    return 1 / (1 + (-o).exp()) * c.tanh(), c


def naive(network, clip, n_stages):
    """One clip, step by step.   -> logits (S, C), states (S, H)."""
    h = c = clip.new_zeros(network.decoder.hidden_size)
    states = []
    for t, x in enumerate(clip):
        decodes = t >= len(clip) - n_stages
        if not x.isnan().any():
            h, c = cell(network.decoder if decodes else network.encoder, x, h, c)
        if decodes:
            states.append(h)
    states = torch.stack(states)
    weight, bias = network.classifier.weight, network.classifier.bias
    return states @ weight.T + bias, states


def naive_batch(network, clips, n_stages):
    found = [naive(network, clip, n_stages) for clip in clips]
    return map(torch.stack, zip(*found, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(0, 4),
    st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=3),
)
def test_network_and_its_gradients_are_those_of_the_naive_loop(
    n_stages, n_encoding, padding
):
    network = built(spec(anticipation_steps=n_stages))
    clips = random_clips(len(padding), n_stages + n_encoding)
    clips[torch.tensor(padding)[:, : clips.shape[1]]] = torch.nan
    output = network(clips)
    logits, states = naive_batch(network, clips, n_stages)
    assert output.logits.shape == (len(padding), n_stages, C)
    assert_allclose(output.features.detach(), states.detach(), atol=1e-12)
    assert_allclose(output.logits.detach(), logits.detach(), atol=1e-12)
    found = gradients(network, output.logits)
    for a, b in zip(found, gradients(network, logits), strict=True):
        assert_allclose(a.detach(), b.detach(), atol=1e-11)


def test_single_precision_is_near_the_naive_loop():
    network, double = built(spec()).float(), built(spec())
    clips = random_clips(8)
    expected, _ = naive_batch(double, clips, S)
    found = network(clips.float()).logits
    assert_allclose(found.detach(), expected.detach(), atol=1e-5)


# --------------------------------------------------------- what a stage may look at


@pytest.mark.parametrize("training", [False, True])
def test_answer_of_a_stage_does_not_look_ahead(training):
    network, clips = built(spec()).train(training), random_clips()
    whole = network(clips).logits
    for stage in range(S):
        later = clips.clone()
        later[:, T - S + stage + 1 :] = 99.0
        assert torch.equal(network(later).logits[:, : stage + 1], whole[:, : stage + 1])
        later[:, T - S + stage] = 99.0
        assert not torch.equal(network(later).logits[:, stage], whole[:, stage])
    for step in range(T):  # all that was seen matters
        other = clips.clone()
        other[:, step] += 1
        assert not torch.equal(network(other).logits[:, -1], whole[:, -1])


@pytest.mark.parametrize("n_padding", [1, T - S, T - S + 1, T - 1])
def test_clip_padded_on_the_left_began_later(n_padding):
    clips = random_clips()
    padded = clips.clone()
    padded[1, :n_padding] = torch.nan
    n_stages = min(S, T - n_padding)
    network, short = built(spec()), built(spec(anticipation_steps=n_stages))
    short.load_state_dict(network.state_dict())
    output, began_later = network(padded), short(clips[1:2, n_padding:])
    for part in ("logits", "features"):
        found, expected = getattr(output, part), getattr(began_later, part)
        assert_allclose(found[1, -n_stages:].detach(), expected[0].detach(), atol=1e-12)
    assert torch.equal(output.mask[1], torch.arange(S) >= S - n_stages)
    assert output.mask[[0, 2]].all()
    assert (output.features[1, : S - n_stages] == 0).all()
    others = network(clips).logits[[0, 2]]
    assert_allclose(output.logits[[0, 2]].detach(), others.detach())


def test_decoder_at_padding_answers_from_where_the_encoder_ended():
    network, clips = built(spec()), random_clips()
    clips[:, T - S] = torch.nan
    encoded = built(spec(anticipation_steps=1))
    encoded.load_state_dict(network.state_dict())
    encoded.decoder = encoded.encoder  # as one LSTM over the first T - S steps
    expected = encoded(clips[:, : T - S]).features[:, 0]
    found = network(clips).features[:, 0]
    assert_allclose(found.detach(), expected.detach(), atol=1e-12)


def test_clip_of_padding_only_has_the_empty_state():
    network = built(spec())
    output = network(torch.full((2, T, D), torch.nan, dtype=torch.float64))
    assert (output.features == 0).all() and not output.mask.any()
    bias = network.classifier.bias.detach().expand(2, S, C)
    assert_allclose(output.logits.detach(), bias, atol=0)


def test_map_without_padding_has_no_mask():
    assert built(spec())(random_clips()).mask is None
    assert spec().map_shape((T, D)) == (S,)


def test_gradients_through_padding_are_finite_and_clips_stay_as_they_were():
    network, clips = built(spec(dropout=0.5, input_dropout=0.2)).train(), random_clips()
    clips[0, :5], clips[1] = torch.nan, torch.nan
    before = clips.clone()
    with lend_generator(network, generator()):
        network(clips).logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert torch.equal(clips.nan_to_num(nan=-7), before.nan_to_num(nan=-7))


def test_codes_are_embedded_and_padding_codes_are_no_steps():
    codes = np.array([[[3.0, 5], [1, 2], [2, 4]]])
    code_spec = spec(embedding=2, anticipation_steps=2)
    shape = code_spec.input_shape_of(RowView(codes))
    assert shape == (3, (4, 6))
    network = built(code_spec, shape)
    vectors = [t.weight for t in network.input.tables]
    steps = [
        torch.cat([vectors[0][first], vectors[1][second]])
        for first, second in codes[0].astype(int)
    ]
    logits, _ = naive(network, torch.stack(steps), 2)
    codes = torch.from_numpy(codes)
    padded = torch.cat([torch.full((1, 2, 2), -1.0), codes], 1)
    for clips in (codes, padded):
        assert_allclose(network(clips).logits[0].detach(), logits.detach(), atol=1e-12)


# -------------------------------------------------------------- weights and dropout


def test_network_starts_with_the_weights_of_plain_torch():
    ours = spec().build((T, D), C, generator=generator(3))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = [nn.LSTM(D, H), nn.LSTM(D, H), nn.Linear(H, C)]
    expected = [p for layer in plain for p in layer.parameters()]
    for a, b in zip(ours.parameters(), expected, strict=True):
        assert torch.equal(a, b)
    assert sum(p.numel() for p in expected) == 2 * 4 * H * (D + H + 2) + C * (H + 1)


def test_generator_decides_what_is_dropped_and_evaluation_drops_nothing():
    network, clips, found = built(spec(dropout=0.5)), random_clips(), []
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for seed in (1, 1, 2):
        with lend_generator(network.train(), generator(seed)):
            found.append(network(clips).logits)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    expected, _ = naive_batch(network, clips, S)
    assert_allclose(network.eval()(clips).logits.detach(), expected.detach())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_each_dropout_hides_its_share(name):
    network, clips, seen = built(spec(**{name: 0.4})), random_clips(50), []
    used = {"dropout": network.state_dropout, "input_dropout": network.input_dropout}
    used[name].register_forward_hook(lambda m, x, out: seen.append((x[0], out)))
    with lend_generator(network.train(), generator(1)):
        network(clips)
    ((given, kept),) = seen
    assert float((kept == 0).double().mean()) == pytest.approx(0.4, abs=0.05)
    assert_allclose(kept[kept != 0].detach(), given[kept != 0].detach() / 0.6)
    assert given.shape == ((50, S, H) if name == "dropout" else (50, T, D))


# ---------------------------------------------------------------------- estimators


def small(**params):
    return EncoderDecoderLSTM(6, **{"anticipation_steps": 3, "dropout": 0.3, **params})


def anticipator(network=None, **params):
    options = {"max_epochs": 3, "batch_size": 32, "random_state": 0, **params}
    return SmoothedAnticipator(small() if network is None else network, **options)


def fitted(network=None, **params):
    return anticipator(network, **params).fit(CLIPS.X_past, CLIPS.y)


def test_default_stages_are_the_eight_times_of_the_paper():
    times = [2.0, 1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25]
    assert EncoderDecoderLSTM().stage_times().tolist() == times
    assert EncoderDecoderLSTM(anticipation_time=1.0).answering_stage() == 4


def test_staged_probabilities_are_those_of_each_anticipation_time():
    model = fitted()
    assert model.anticipation_times_.tolist() == [0.75, 0.5, 0.25]
    staged = list(model.staged_predict_proba(CLIPS.X_past))
    for seconds, proba in zip(model.anticipation_times_, staged, strict=True):
        alone = fitted(small(anticipation_time=seconds))
        assert_array_equal(alone.predict_proba(CLIPS.X_past), proba)
    assert not np.allclose(staged[0], staged[1])
    assert model.feature_map(CLIPS.X_past).shape == (len(CLIPS.y), 3, 6)


def test_what_the_first_steps_show_is_remembered():
    rng = np.random.default_rng(0)
    X, y = rng.normal(scale=0.1, size=(120, 6, 3)), np.arange(120) % 3
    X[np.arange(120), 1, y] += 3
    model = anticipator(small(dropout=0.0), max_epochs=40, lr=0.01, smoothing=0)
    assert model.fit(X, y).score(X, y) == 1


def bits(network=None):
    model = fitted(network)
    weights = b"".join(
        p.numpy().tobytes() for p in model.network_.state_dict().values()
    )
    return weights + repr(model.history_).encode()


def test_same_seed_gives_the_same_bits_in_threads_too():
    expected = bits()
    with joblib.parallel_config("threading", n_jobs=4):
        found = joblib.Parallel()(joblib.delayed(bits)() for _ in range(6))
    assert set(found) == {expected}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_answer_the_same_to_the_bit(tmp_path, dtype):
    clips = CLIPS.X_past.copy()
    clips[::3, :3] = np.nan
    model = fitted(small(head=VerbNounHead(CLIPS.actions)), dtype=dtype)
    expected = model.predict_proba(clips)
    model.save(tmp_path / "model.safetensors")
    loaded = skanticipate.load(tmp_path / "model.safetensors")
    for again in (pickle.loads(pickle.dumps(model)), loaded, copy.deepcopy(model)):
        assert_array_equal(again.predict_proba(clips), expected)
        again.fit(CLIPS.X_past, CLIPS.y)
        assert_array_equal(again.predict_proba(clips), expected)


def test_searches_train_it_one_by_one_with_equal_results():
    models = [anticipator(lr=lr, dtype="float64") for lr in (1e-3, 1e-2)]
    together = fit_many(models, CLIPS.X_past, CLIPS.y)
    for model, found in zip(models, together, strict=True):
        alone = model.fit(CLIPS.X_past, CLIPS.y).predict_proba(CLIPS.X_past)
        assert_array_equal(found.predict_proba(CLIPS.X_past), alone)


@pytest.mark.parametrize("n_steps", [5, 4])
def test_student_and_teacher_of_the_same_network(n_steps):
    futures = CLIPS.X_future[:, :n_steps].copy()
    futures[1::4] = np.nan
    past = CLIPS.X_past.copy()
    past[2::4, :3] = np.nan
    y = np.where(np.arange(len(CLIPS.y)) % 2, CLIPS.y, -1)
    model = DistilledAnticipator(small(), max_epochs=2, random_state=0)
    model.fit(past, y, futures)
    assert model.started_from_teacher_ and model.feature_weight_ > 0
    assert model.history_[-1]["feature"] > 0
    assert np.isfinite(model.history_[-1]["loss"])


# ------------------------------------------------------------------------- errors


def build(a_spec, shape=(T, D)):
    return a_spec.build(shape, C, generator=generator())


def test_network_needs_sequences():
    message = r"EncoderDecoderLSTM expects .* got \(n, 3\): use MLP"
    with pytest.raises(ValueError, match=message):
        build(spec(), (D,))


def test_clip_must_be_as_long_as_its_stages():
    with pytest.raises(ValueError, match="Clips of 3 steps .* 4 stages: give longer"):
        built(spec())(random_clips(steps=3))


def test_anticipation_time_must_be_a_stage():
    with pytest.raises(ValueError, match=r"1\.25 s is none of the 4 stages at \[1\.0,"):
        build(spec(anticipation_time=1.25))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden_size": 0},
        {"embedding": 0},
        {"embedding_std": 0},
        {"input_dropout": 1.0},
        {"dropout": 1.0},
        {"head": "linear"},
        {"time_step": 0},
        {"anticipation_steps": 0},
        {"anticipation_time": 0},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter"):
        build(spec().set_params(**wrong))


def test_sizes_may_be_numpy_integers_as_searches_draw_them():
    one = EncoderDecoderLSTM(
        np.int64(5), anticipation_steps=np.int64(2), embedding=np.int64(2)
    )
    assert build(one, (3, (4, 6)))(torch.ones(2, 3, 2)).logits.shape == (2, 2, C)
