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
    RULSTM,
    DistilledAnticipator,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
    VerbNounHead,
)
from skanticipate.datasets import make_kitchen
from skanticipate.networks import rulstm
from skanticipate.networks.base import Dropout, lend_generator
from skanticipate.networks.recurrence import run_lstm

T, S, D, H, C = 7, 4, 3, 5, 6
CLIPS = make_kitchen(8, 8, n_steps=5, n_features=6, random_state=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spec(**params):
    return RULSTM(H, **{"anticipation_steps": S, "dropout": 0.0, **params})


def built(a_spec, shape=(T, D), seed=0):
    return a_spec.build(shape, C, generator=generator(seed)).double().eval()


def completing(network):
    """The network as it is in an epoch of sequence completion."""
    network.pretrain_epochs = 1
    network.begin_epoch(0, 2)
    return network.train()


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


def cell(lstm, x, state):
    return torch.lstm_cell(
        x[None],
        state,
        lstm.weight_ih_l0,
        lstm.weight_hh_l0,
        lstm.bias_ih_l0,
        lstm.bias_hh_l0,
    )


def naive(network, clip, n_stages, completes=False, drop=lambda x, *place: x):
    """One clip, stage by stage, step by step.   -> logits (S, C), hidden (S, H)."""
    state = 2 * (clip.new_zeros(1, network.rolling.hidden_size),)
    held, states = [], []
    for t, x in enumerate(clip):
        if x.isnan().any():
            held.append(held[-1] if held else None)
        else:
            held.append(x)
            state = cell(network.rolling, drop(x, "roll", t), state)
        states.append(state)
    hidden = []
    for stage in range(n_stages):
        t = len(clip) - n_stages + stage
        if held[t] is None:
            hidden.append(clip.new_zeros(network.rolling.hidden_size))
            continue
        state = states[t]
        inputs = held[t:] if completes else [held[t]] * (len(clip) - t + 1)
        for k, x in enumerate(inputs):
            state = cell(network.unrolling, drop(x, "unroll", stage, k), state)
        hidden.append(state[0][0])
    kept = torch.stack([drop(h, "state", s) for s, h in enumerate(hidden)])
    return network.classifier(kept), torch.stack(hidden)


def naive_batch(network, clips, n_stages, completes=False):
    found = [naive(network, clip, n_stages, completes) for clip in clips]
    return map(torch.stack, zip(*found, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(0, 3),
    st.booleans(),
    st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=3),
)
def test_network_is_the_naive_loop(n_stages, n_encoding, completes, padding):
    network = built(spec(anticipation_steps=n_stages))
    if completes:
        completing(network)
    clips = random_clips(len(padding), n_stages + n_encoding)
    clips[torch.tensor(padding)[:, : clips.shape[1]]] = torch.nan
    output = network(clips)
    logits, hidden = naive_batch(network, clips, n_stages, completes)
    assert output.logits.shape == (len(padding), n_stages, C)
    assert_allclose(output.features.detach(), hidden.detach(), atol=1e-12)
    assert_allclose(output.logits.detach(), logits.detach(), atol=1e-12)
    found = gradients(network, output.logits)
    for a, b in zip(found, gradients(network, logits), strict=True):
        assert_allclose(a.detach(), b.detach(), atol=1e-11)


@pytest.mark.parametrize("completes", [False, True])
def test_single_precision_is_near_the_naive_loop(completes):
    network, double = built(spec()).float(), built(spec())
    if completes:
        completing(network)
    clips = random_clips(8)
    logits = network(clips.float()).logits
    expected, _ = naive_batch(double, clips, S, completes)
    assert_allclose(logits.detach(), expected.detach(), atol=1e-5)
    found = gradients(network, logits)
    for a, b in zip(found, gradients(double, expected), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-5)


class Recorded(Dropout):
    """Dropout that keeps its masks."""

    def forward(self, x):
        mask = super().forward(torch.ones_like(x))
        self.masks.append(mask)
        return x * mask


@pytest.mark.parametrize(("completes", "n_inputs"), [(False, 14), (True, 10)])
def test_each_input_of_each_unrolling_has_a_mask_of_its_own(completes, n_inputs):
    network = built(spec()).train()
    if completes:
        completing(network)
    network.dropout = Recorded(0.4).train()
    network.dropout.masks = []
    clips = random_clips()
    with lend_generator(network, generator(1)):
        logits = network(clips).logits
    rolling, unrolling, state = network.dropout.masks
    assert rolling.shape == (T * 3, D)
    assert unrolling.shape == (n_inputs * 3, D)
    assert state.shape == (3, S, H)
    rolling, unrolling = rolling.view(T, 3, D), unrolling.view(n_inputs, 3, D)
    row = {}  # all stages still under way at the first step, then at the second, ...
    for k in range(S + 1):
        for stage in range(S):
            if k < S - stage + (not completes):
                row[stage, k] = len(row)
    assert len(row) == n_inputs
    expected = []
    for b, clip in enumerate(clips):
        masks = {("roll", t): rolling[t, b] for t in range(T)}
        masks |= {("unroll", *place): unrolling[r, b] for place, r in row.items()}
        masks |= {("state", s): state[b, s] for s in range(S)}

        def dropped(x, *place, masks=masks):
            return x * masks[place]

        expected.append(naive(network, clip, S, completes, dropped)[0])
    expected = torch.stack(expected)
    assert_allclose(logits.detach(), expected.detach(), atol=1e-12)
    found = gradients(network, logits)
    for a, b in zip(found, gradients(network, expected), strict=True):
        assert_allclose(a.detach(), b.detach(), atol=1e-11)


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


def test_sequence_completion_looks_ahead_in_training_only():
    network, clips = completing(built(spec())), random_clips()
    later = clips.clone()
    later[:, -1] = 99.0
    assert not torch.equal(network(later).logits[:, 0], network(clips).logits[:, 0])
    network.eval()
    assert torch.equal(network(later).logits[:, :-1], network(clips).logits[:, :-1])
    expected, _ = naive_batch(network, clips, S)
    assert_allclose(network(clips).logits.detach(), expected.detach(), atol=1e-12)


def test_last_step_is_completed_by_itself_once_and_anticipated_by_itself_twice():
    network, clips = built(spec(anticipation_steps=1)), random_clips()
    once, twice = [], []
    for clip in clips:
        state = 2 * (clip.new_zeros(1, H),)
        for x in clip:
            state = cell(network.rolling, x, state)
        once.append(cell(network.unrolling, clip[-1], state))
        twice.append(cell(network.unrolling, clip[-1], once[-1]))
    twice, once = (torch.stack([h for h, _ in x]).detach() for x in (twice, once))
    assert_allclose(network(clips).features.detach(), twice, atol=1e-12)
    found = completing(network)(clips).features
    assert_allclose(found.detach(), once, atol=1e-12)


# ------------------------------------------------------------------------- padding


@pytest.mark.parametrize("completes", [False, True])
@pytest.mark.parametrize("n_padding", [1, T - S, T - S + 1, T - 1])
def test_clip_padded_on_the_left_began_later(completes, n_padding):
    clips = random_clips()
    padded = clips.clone()
    padded[1, :n_padding] = torch.nan
    n_stages = min(S, T - n_padding)
    network, short = built(spec()), built(spec(anticipation_steps=n_stages))
    short.load_state_dict(network.state_dict())
    if completes:
        completing(network), completing(short)
    output, began_later = network(padded), short(clips[1:2, n_padding:])
    for part in ("logits", "features"):
        found, expected = getattr(output, part), getattr(began_later, part)
        assert_allclose(found[1, -n_stages:].detach(), expected[0].detach(), atol=1e-12)
    assert torch.equal(output.mask[1], torch.arange(S) >= S - n_stages)
    assert output.mask[[0, 2]].all()
    assert (output.features[1, : S - n_stages] == 0).all()
    others = network(clips).logits[[0, 2]]
    assert_allclose(output.logits[[0, 2]].detach(), others.detach())


def test_clip_of_padding_only_has_the_empty_state():
    network = built(spec())
    output = network(torch.full((2, T, D), torch.nan, dtype=torch.float64))
    assert (output.features == 0).all() and not output.mask.any()
    bias = network.classifier.bias.detach().expand(2, S, C)
    assert_allclose(output.logits.detach(), bias, atol=0)


def test_map_without_padding_has_no_mask():
    assert built(spec())(random_clips()).mask is None
    assert spec().map_shape((T, D)) == (S,)


def test_gradients_through_padding_are_finite():
    network, clips = built(spec(dropout=0.5)).train(), random_clips()
    clips[0, :5], clips[1] = torch.nan, torch.nan
    with lend_generator(network, generator()):
        network(clips).logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_clips_of_the_caller_stay_as_they_were():
    clips = random_clips()
    clips[0, :2] = torch.nan
    before = clips.clone()
    built(spec(dropout=0.5)).train()(clips)
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


@pytest.mark.parametrize(("width", "count"), [(1024, 19_369_425), (352, 13_864_401)])
def test_branches_of_the_paper_have_its_number_of_parameters(width, count):
    network = RULSTM().build((14, width), 2513, generator=generator())
    assert sum(p.numel() for p in network.parameters()) == count


def test_network_starts_with_the_weights_of_plain_torch():
    ours = spec().build((T, D), C, generator=generator(3))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = [nn.LSTM(D, H), nn.LSTM(D, H), nn.Linear(H, C)]
    expected = [p for layer in plain for p in layer.parameters()]
    for a, b in zip(ours.parameters(), expected, strict=True):
        assert torch.equal(a, b)


def test_no_number_is_drawn_from_a_global_stream():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    network = spec(dropout=0.5).build((T, D), C, generator=generator()).double()
    with lend_generator(network, generator(1)):
        network.train()(random_clips())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_generator_decides_what_is_dropped_and_evaluation_drops_nothing():
    network, clips, found = built(spec(dropout=0.5)), random_clips(), []
    for seed in (1, 1, 2):
        with lend_generator(network.train(), generator(seed)):
            found.append(network(clips).logits)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    expected, _ = naive_batch(network, clips, S)
    assert_allclose(network.eval()(clips).logits.detach(), expected.detach())


# -------------------------------------------------------------------------- stages


def test_default_stages_are_those_of_the_paper():
    times = [2.0, 1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25]
    assert RULSTM().stage_times().tolist() == times
    assert RULSTM().answering_stage() == 7
    assert RULSTM(anticipation_time=1.0).answering_stage() == 4  # the fourth last


# ---------------------------------------------------------------------- estimators


def small(**params):
    return RULSTM(6, **{"anticipation_steps": 3, "dropout": 0.3, **params})


def anticipator(network=None, **params):
    options = {"max_epochs": 3, "batch_size": 32, "random_state": 0, **params}
    return SmoothedAnticipator(small() if network is None else network, **options)


def fitted(network=None, **params):
    return anticipator(network, **params).fit(CLIPS.X_past, CLIPS.y)


def test_staged_probabilities_are_those_of_each_anticipation_time():
    model = fitted()
    assert model.anticipation_times_.tolist() == [0.75, 0.5, 0.25]
    staged = list(model.staged_predict_proba(CLIPS.X_past))
    assert len(staged) == 3
    for seconds, proba in zip(model.anticipation_times_, staged, strict=True):
        alone = fitted(small(anticipation_time=seconds))
        assert_array_equal(alone.predict_proba(CLIPS.X_past), proba)
    assert_allclose(model.predict_proba(CLIPS.X_past), staged[-1])
    assert not np.allclose(staged[0], staged[1])
    assert model.feature_map(CLIPS.X_past).shape == (len(CLIPS.y), 3, 6)


def bits(network=None):
    model = fitted(network)
    weights = b"".join(
        p.numpy().tobytes() for p in model.network_.state_dict().values()
    )
    return weights + repr(model.history_).encode()


@pytest.mark.parametrize("pretrain_epochs", [0, 2])
def test_same_seed_gives_the_same_bits_in_threads_too(pretrain_epochs):
    expected = bits(small(pretrain_epochs=pretrain_epochs))
    with joblib.parallel_config("threading", n_jobs=4):
        found = joblib.Parallel()(
            joblib.delayed(bits)(small(pretrain_epochs=pretrain_epochs))
            for _ in range(6)
        )
    assert set(found) == {expected}


def test_copies_answer_the_same_to_the_bit(tmp_path):
    clips = CLIPS.X_past.copy()
    clips[::3, :3] = np.nan
    model = fitted(small(head=VerbNounHead(CLIPS.actions), pretrain_epochs=1))
    expected = model.predict_proba(clips)
    model.save(tmp_path / "model.safetensors")
    loaded = skanticipate.load(tmp_path / "model.safetensors")
    for again in (pickle.loads(pickle.dumps(model)), loaded):
        assert_array_equal(again.predict_proba(clips), expected)
        assert_array_equal(
            again.fit(CLIPS.X_past, CLIPS.y).predict_proba(clips), expected
        )


# ---------------------------------------------------------------- pre-training


@pytest.mark.filterwarnings("ignore:.*rows of X_val also train")
def test_pretraining_feeds_the_rest_of_the_clip_in_its_epochs_only(monkeypatch):
    n_steps = []

    def spy(lstm, projected, hidden, cell, reads):
        n_steps.append(len(reads))
        return run_lstm(lstm, projected, hidden, cell, reads)

    monkeypatch.setattr(rulstm, "run_lstm", spy)
    X, y = CLIPS.X_past[:40], CLIPS.y[:40]
    model = anticipator(small(pretrain_epochs=2), batch_size=20, max_epochs=4)
    model.fit(X, y, X_val=X, y_val=y)
    model.predict(X)
    assert n_steps[::2] == [5] * len(n_steps[::2])  # rolling
    usual, completing = 4, 3
    epochs = 2 * [completing, completing, usual] + 2 * [usual, usual, usual]
    # The check of the network, two batches and a validation an epoch, the prediction.
    assert n_steps[1::2] == [usual, *epochs, usual]


def test_pretraining_changes_what_is_learnt_and_not_how_it_is_used():
    clips = torch.from_numpy(CLIPS.X_past[:5])
    weights = []
    for pretrain_epochs in (0, 1, 2):
        model = fitted(small(pretrain_epochs=pretrain_epochs, dropout=0.0))
        network = model.network_.double()
        for training in (False, True):
            found = network.train(training)(clips.double()).logits.detach()
            expected, _ = naive_batch(network, clips.double(), 3)
            assert_allclose(found, expected.detach(), atol=1e-12)
        weights.append(network.rolling.weight_ih_l0)
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


@pytest.mark.parametrize("max_epochs", [1, 2])
def test_pretraining_must_leave_epochs(max_epochs):
    model = anticipator(small(pretrain_epochs=2), max_epochs=max_epochs)
    message = f"pretrain_epochs=2 leaves none of the {max_epochs} epochs .* raise max_"
    with pytest.raises(ValueError, match=message):
        model.fit(CLIPS.X_past, CLIPS.y)
    assert not hasattr(model, "network_")


# ------------------------------------------------------------------- distillation


@pytest.mark.parametrize("pretrain_epochs", [0, 1])
@pytest.mark.parametrize("n_steps", [5, 4])
def test_student_and_teacher_of_the_same_network(n_steps, pretrain_epochs):
    futures = CLIPS.X_future[:, :n_steps].copy()
    futures[1::4] = np.nan
    past = CLIPS.X_past.copy()
    past[2::4, :3] = np.nan
    y = np.where(np.arange(len(CLIPS.y)) % 2, CLIPS.y, -1)
    model = DistilledAnticipator(
        small(pretrain_epochs=pretrain_epochs), max_epochs=2, random_state=0
    )
    model.fit(past, y, futures)
    assert model.started_from_teacher_
    assert isinstance(model.teacher_, RecognitionTeacher)
    assert model.feature_weight_ > 0
    record = model.history_[-1]
    assert record["feature"] > 0 and np.isfinite(record["loss"])
    assert model.teacher_.feature_map(futures[:1]).shape == (1, 3, 6)
    assert len(list(model.staged_predict_proba(past))) == 3


def test_student_starts_with_the_answers_of_its_teacher():
    model = DistilledAnticipator(
        small(), optimizer="sgd", lr=1e-30, max_epochs=1, random_state=0
    )
    model.fit(CLIPS.X_past, CLIPS.y, CLIPS.X_future)
    theirs = model.teacher_.network_.state_dict()
    for name, weight in model.network_.state_dict().items():
        assert torch.equal(weight, theirs[name])


# ------------------------------------------------------------------------- errors


def build(a_spec, shape=(T, D)):
    return a_spec.build(shape, C, generator=generator())


def test_network_needs_sequences():
    with pytest.raises(ValueError, match=r"RULSTM expects .* got \(n, 3\): use MLP"):
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
        {"dropout": 1.0},
        {"pretrain_epochs": -1},
        {"pretrain_epochs": 0.5},
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
    one = RULSTM(np.int64(5), anticipation_steps=np.int64(2), embedding=np.int64(2))
    network = build(one.set_params(pretrain_epochs=np.int64(1)), (3, (4, 6)))
    assert network(torch.ones(2, 3, 2)).logits.shape == (2, 2, C)


def test_early_stopping_keeps_no_epoch_of_preparation():
    figures = iter([0.9, 0.8, 0.1, 0.3, 0.2])
    model = anticipator(
        small(pretrain_epochs=2),
        max_epochs=5,
        early_stopping=True,
        n_iter_no_change=5,
        scoring=lambda estimator, X, y: next(figures),
        random_state=0,
    )
    X, y, X_val, y_val = CLIPS.X_past[9:], CLIPS.y[9:], CLIPS.X_past[:9], CLIPS.y[9:18]
    weights = model.fit(X, y, X_val=X_val, y_val=y_val).network_.state_dict()
    shorter = anticipator(small(pretrain_epochs=2), max_epochs=4, random_state=0)
    for name, expected in shorter.fit(X, y).network_.state_dict().items():
        assert torch.equal(weights[name], expected)
