import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AVTHead,
    EncoderDecoderLSTM,
    NetworkSpec,
    RowView,
)
from skanticipate.networks.base import lend_generator

T, D, C = 6, 4, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(spec, shape=(T, D), n_classes=C, seed=0):
    return spec.build(shape, n_classes, generator=generator(seed)).double().eval()


def random_clips(n=5, steps=T, width=D, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, steps, width)))


def padded_at(clips, steps):
    clips = clips.clone()
    clips[:, steps] = torch.nan
    return clips


def named(network):
    return {name: w.detach().numpy() for name, w in network.named_parameters()}


SPECS = [
    MLP(8),
    MLP((8, 5), dropout=0.2, input_dropout=0.2),
    LSTM(8),
    LSTM(8, cell="gru", n_layers=2, anticipation_steps=3),
]
CODE_SPECS = [MLP(8, embedding=3), LSTM(8, embedding=3)]
CODES = RowView(np.array([[[-1, -1], [1, 5]], [[2, 0], [3, 4]]]))
both_cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


# ------------------------------------------------------------------ naive oracles


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def naive_cell(cell, weights, layer):
    """One recurrent step in float64 numpy, gates in torch's order."""
    w_in, w_state = (weights[f"rolling.weight_{k}h_l{layer}"] for k in "ih")
    b_in, b_state = (weights[f"rolling.bias_{k}h_l{layer}"] for k in "ih")

    def step(x, h, c):
        a, b = w_in @ x + b_in, w_state @ h + b_state
        if cell == "lstm":
            i, f, g, o = np.split(a + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        (r, z, n), (r_state, z_state, n_state) = np.split(a, 3), np.split(b, 3)
        r, z = sigmoid(r + r_state), sigmoid(z + z_state)
        return (1 - z) * np.tanh(n + r * n_state) + z * h, c

    return step


def naive_states(network, spec, clip):
    """State after each step; a step of NaN changes nothing."""
    weights = named(network)
    steps = [naive_cell(spec.cell, weights, k) for k in range(spec.n_layers)]
    h = np.zeros((spec.n_layers, spec.hidden_size))
    c = np.zeros_like(h)
    states = []
    for x in clip:
        if not np.isnan(x).all():
            for k, step in enumerate(steps):
                h[k], c[k] = step(x, h[k], c[k])
                x = h[k]
        states.append(h[-1].copy())
    return np.array(states)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["lstm", "gru"]),
    st.integers(1, 2),
    st.integers(1, T),
    st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=1, max_size=4),
)
def test_recurrent_network_is_the_naive_loop(cell, n_layers, n_stages, padding):
    spec = LSTM(5, cell=cell, n_layers=n_layers, anticipation_steps=n_stages)
    network = built(spec)
    clips = random_clips(len(padding))
    clips[torch.tensor(padding)] = torch.nan
    output = network(clips)
    states = np.array([naive_states(network, spec, clip) for clip in clips.numpy()])
    weights = named(network)
    logits = (
        states[:, -n_stages:] @ weights["classifier.weight"].T
        + weights["classifier.bias"]
    )
    assert output.logits.shape == (len(padding), n_stages, C)
    assert_allclose(output.features.detach(), states, atol=1e-12)
    assert_allclose(output.logits.detach(), logits, atol=1e-12)


@pytest.mark.parametrize("sizes", [7, (7,), (7, 4), [6, 5, 4]])
@pytest.mark.parametrize("shape", [(D,), (T, D), (T, 2, 2)])
def test_perceptron_is_the_naive_product(sizes, shape):
    network = built(MLP(sizes), shape)
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(5, *shape)))
    weights = named(network)
    hidden = X.numpy().reshape(5, -1)
    for k in range(1 if isinstance(sizes, int) else len(sizes)):
        affine = hidden @ weights[f"layers.{k}.weight"].T + weights[f"layers.{k}.bias"]
        hidden = np.maximum(affine, 0)
    logits = hidden @ weights["classifier.weight"].T + weights["classifier.bias"]
    output = network(X)
    assert output.logits.shape == (5, 1, C)
    assert_allclose(output.logits[:, 0].detach(), logits, atol=1e-12)
    assert_allclose(output.features[:, 0].detach(), hidden, atol=1e-12)
    assert output.auxiliary_loss is None


def test_perceptron_reads_padding_steps_as_zeros():
    network, clips = built(MLP(8)), random_clips()
    zeroed = clips.clone()
    zeroed[:, :2] = 0
    assert torch.equal(network(padded_at(clips, [0, 1])).logits, network(zeroed).logits)


# ----------------------------------------------------------------------- padding


@both_cells
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("where", [[0, 1], [2, 4], [0, 3], [5]])
def test_padding_steps_leave_the_state_as_it_was(cell, n_layers, where):
    network = built(LSTM(8, cell=cell, n_layers=n_layers))
    clips = random_clips()
    real = [t for t in range(T) if t not in where]
    expected = network(clips[:, real]).logits
    assert_allclose(
        network(padded_at(clips, where)).logits.detach(), expected.detach(), atol=1e-12
    )


@both_cells
def test_order_of_the_real_steps_is_kept_in_long_clips(cell):
    network, clips = built(LSTM(4, cell=cell)), random_clips(2, steps=200)
    where = list(range(0, 200, 3))
    real = [t for t in range(200) if t % 3]
    expected = network(clips[:, real]).logits.detach()
    padded = network(padded_at(clips, where)).logits.detach()
    assert_allclose(padded, expected, atol=1e-12)


@both_cells
def test_clips_of_unequal_length_share_a_batch(cell):
    network, clips = built(LSTM(8, cell=cell)), random_clips(T)
    alone = [network(clips[k : k + 1, k:]).logits for k in range(T)]
    batch = clips.clone()
    for k in range(T):
        batch[k, :k] = torch.nan
    assert_allclose(
        network(batch).logits.detach(), torch.cat(alone).detach(), atol=1e-12
    )


@both_cells
def test_clip_of_padding_only_has_the_empty_state(cell):
    network = built(LSTM(8, cell=cell))
    output = network(padded_at(random_clips(2), list(range(T))))
    assert (output.features == 0).all()
    assert_allclose(
        output.logits[0, 0].detach(), network.classifier.bias.detach(), atol=0
    )


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_gradients_through_padding_are_finite(spec):
    network = built(spec).train()
    network(padded_at(random_clips(), [0, 1])).logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("spec", [*SPECS, *CODE_SPECS], ids=repr)
def test_clips_of_the_caller_stay_as_they_were(spec):
    if spec.embedding is None:
        network, clips = built(spec), padded_at(random_clips(), [0])
    else:
        network, clips = (
            built(spec, spec.input_shape_of(CODES)),
            torch.tensor([[[-1.0, -1], [9, 0]]]),
        )
    before = clips.clone()
    network.train()(clips)
    assert torch.equal(clips.nan_to_num(nan=-7), before.nan_to_num(nan=-7))


# --------------------------------------------------------------------------- maps


def test_mask_tells_real_steps_of_the_map_from_padding():
    clips = random_clips()
    clips[1, :2] = torch.nan
    mask = built(LSTM(8))(clips).mask
    expected = torch.ones(5, T, dtype=torch.bool)
    expected[1, :2] = False
    assert torch.equal(mask, expected)
    assert built(LSTM(8))(random_clips()).mask is None
    assert built(MLP(8))(clips).mask is None
    codes = torch.tensor([[[-1.0, -1], [1, 2]]])
    mask = built(LSTM(8, embedding=3), (2, (4, 6)))(codes).mask
    assert mask.tolist() == [[False, True]]


def test_map_shape_is_the_grid_of_the_map():
    assert MLP().map_shape((D,)) == MLP().map_shape((T, D)) == (1,)
    assert LSTM().map_shape((T, D)) == LSTM().map_shape((T, 2, 2)) == (T,)
    assert NetworkSpec().map_shape((T, D)) is None


# ------------------------------------------------------------------------ stages


@both_cells
def test_answer_of_a_stage_does_not_look_ahead(cell):
    network = built(LSTM(8, cell=cell, n_layers=2, anticipation_steps=4))
    clips = random_clips()
    whole = network(clips).logits
    for stage in range(4):
        later = clips.clone()
        later[:, T - 4 + stage + 1 :] = 99.0
        assert torch.equal(network(later).logits[:, : stage + 1], whole[:, : stage + 1])
        last = later.clone()
        last[:, T - 4 + stage] = 99.0
        assert not torch.equal(network(last).logits[:, stage], whole[:, stage])


def test_stage_is_the_answer_of_the_clip_that_ends_there():
    spec, clips = LSTM(8, anticipation_steps=3), random_clips()
    network, short = built(spec), built(LSTM(8))
    short.load_state_dict(network.state_dict())
    logits = network(clips).logits
    for stage in range(3):
        ends = short(clips[:, : T - 2 + stage]).logits[:, 0]
        assert_allclose(logits[:, stage].detach(), ends.detach(), atol=1e-12)


def test_stages_are_seconds_before_the_action():
    spec = LSTM(time_step=0.5, anticipation_steps=3)
    assert spec.stage_times().tolist() == [1.5, 1.0, 0.5]
    assert spec.answering_stage() == 2


@pytest.mark.parametrize(("seconds", "stage"), [(2.0, 0), (1.0, 4), (0.25, 7)])
def test_anticipation_time_chooses_the_stage(seconds, stage):
    spec = LSTM(anticipation_steps=8, anticipation_time=seconds)
    assert spec.answering_stage() == stage


def test_stage_is_found_in_spite_of_rounding():
    spec = LSTM(time_step=0.1, anticipation_steps=7, anticipation_time=0.3)
    assert spec.answering_stage() == 4


def test_perceptron_has_one_stage_of_unknown_time():
    assert np.isnan(MLP().stage_times()).tolist() == [True]
    assert MLP().answering_stage() == 0


# ------------------------------------------------------------------------ what is built


@pytest.mark.parametrize("spec", [*SPECS, *CODE_SPECS], ids=repr)
def test_built_network_is_on_the_cpu_finite_and_trainable(spec):
    shape = (T, D) if spec.embedding is None else spec.input_shape_of(CODES)
    network = spec.build(shape, C, generator=generator())
    tensors = [*network.parameters(), *network.buffers()]
    assert {t.device.type for t in tensors} == {"cpu"}
    assert all(t.isfinite().all() for t in tensors)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in tensors)


@pytest.mark.parametrize(
    ("spec", "shape", "count"),
    [
        (MLP(8), (D,), 4 * 8 + 8 + 8 * 3 + 3),
        (MLP((8, 5)), (T, D), 24 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3),
        (LSTM(8), (T, D), 4 * (8 * 4 + 8 * 8 + 8 + 8) + 8 * 3 + 3),
        (LSTM(8, cell="gru"), (T, D), 3 * (8 * 4 + 8 * 8 + 8 + 8) + 8 * 3 + 3),
        (
            LSTM(8, n_layers=2),
            (T, D),
            4 * (8 * 4 + 8 * 8 + 16) + 4 * (8 * 8 + 8 * 8 + 16) + 8 * 3 + 3,
        ),
        (MLP(8, embedding=2), (T, (5, 7)), 2 * 12 + (2 * 2 * 6) * 8 + 8 + 8 * 3 + 3),
        (LSTM(8, embedding=2), (T, (5, 7)), 24 + 4 * (32 + 64 + 16) + 8 * 3 + 3),
    ],
)
def test_number_of_parameters_by_hand(spec, shape, count):
    network = spec.build(shape, C, generator=generator())
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(
    "spec",
    [
        MLP(np.int64(8)),
        MLP((np.int64(8), np.int32(4))),
        LSTM(np.int64(8)),
        LSTM(8, n_layers=np.int64(2), anticipation_steps=np.int64(2)),
        LSTM(8, embedding=np.int64(3)),
    ],
    ids=repr,
)
def test_sizes_may_be_numpy_integers_as_searches_draw_them(spec):
    clips = torch.ones(2, T, D) if spec.embedding is None else torch.ones(2, 2, 2)
    shape = (T, D) if spec.embedding is None else spec.input_shape_of(CODES)
    network = spec.build(shape, C, generator=generator())
    assert network(clips).logits.shape[-1] == C


# ----------------------------------------------------------------------- dropout


@pytest.mark.parametrize("kind", [MLP, LSTM])
@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_networks_drop_values_in_training_only(kind, name):
    network = built(kind(8, **{name: 0.4})).train()
    with lend_generator(network, generator(1)):
        one, two = network(random_clips()).logits, network(random_clips()).logits
    assert not torch.equal(one, two)
    network.eval()
    one, two = network(random_clips()).logits, network(random_clips()).logits
    assert torch.equal(one, two)


def test_input_dropout_hides_inputs_and_dropout_hides_states():
    network = built(MLP(400, input_dropout=0.25), (100,)).train()
    seen = []
    network.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    with lend_generator(network, generator(1)):
        network(torch.ones(50, 100, dtype=torch.float64))
    assert float((seen[0][0] == 0).double().mean()) == pytest.approx(0.25, abs=0.03)
    network = built(LSTM(400, dropout=0.25)).train()
    network.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    with lend_generator(network, generator(1)):
        network(random_clips())
    assert float((seen[1][0] == 0).double().mean()) == pytest.approx(0.25, abs=0.03)


# ------------------------------------------------------------------------ errors


def build(spec, shape=(T, D)):
    return spec.build(shape, C, generator=generator())


def test_anticipation_time_must_be_a_stage():
    spec = LSTM(anticipation_steps=2, anticipation_time=1.0)
    message = r"anticipation_time=1.0 s is none of the 2 stages at \[0.5, 0.25\] s"
    with pytest.raises(ValueError, match=message):
        build(spec)
    with pytest.raises(ValueError, match="raise anticipation_steps or change"):
        spec.answering_stage()


@pytest.mark.parametrize("kind", [LSTM, RULSTM, EncoderDecoderLSTM, AVTHead])
def test_more_stages_than_a_clip_has_are_refused_before_there_are_times(kind):
    """A file may say anything."""
    with pytest.raises(ValueError, match=r"'anticipation_steps' .* \[1, 100000\]"):
        build(kind(anticipation_steps=2**40))


def test_clip_must_be_as_long_as_its_stages():
    network = built(LSTM(8, anticipation_steps=4))
    with pytest.raises(ValueError, match="Clips of 3 steps .* 4 stages: give longer"):
        network(random_clips(steps=3))


def test_recurrent_network_needs_sequences():
    with pytest.raises(ValueError, match=r"LSTM expects .* got \(n, 4\): use MLP"):
        build(LSTM(), (D,))


@pytest.mark.parametrize(
    "spec",
    [
        MLP(0),
        MLP(()),
        MLP((4, 0)),
        MLP((4, 2.5)),
        MLP(dropout=1.0),
        MLP(input_dropout=1.0),
        LSTM(input_dropout=1.0),
        MLP(embedding=0),
        LSTM(0),
        LSTM(cell="rnn"),
        LSTM(n_layers=0),
        LSTM(time_step=0),
        LSTM(dropout=-0.1),
        LSTM(anticipation_steps=0),
        LSTM(anticipation_time=0),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(spec):
    with pytest.raises(ValueError, match="must"):
        build(spec)
