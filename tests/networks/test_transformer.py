import copy
import pickle

import joblib
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
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skanticipate import (
    AttentiveProbe,
    AVTHead,
    DistilledAnticipator,
    RowView,
    SmoothedAnticipator,
    VerbNounHead,
    load,
)
from skanticipate.datasets import make_kitchen
from skanticipate.networks.base import Dropout, lend_generator

SPECS = [
    AVTHead(8, n_heads=2, anticipation_steps=2),
    AttentiveProbe(8, n_heads=2, n_blocks=2, n_queries=2),
]
by_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda s: type(s).__name__)


@settings(max_examples=20, deadline=None)
@given(paddings, st.integers(1, 2), st.integers(1, 3), st.sampled_from([(D,), (2, 2)]))
def test_head_is_the_naive_loop_over_real_steps(padding, n_layers, n_stages, inner):
    spec = AVTHead(
        6,
        n_layers=n_layers,
        n_heads=2,
        anticipation_steps=n_stages,
        future_feature_weight=0.5,
        layer_dropout=0.0,
    )
    network = shaken(built(spec, (T, *inner))).train()
    clips = random_clips(len(padding), T, *inner)
    clips[torch.tensor(padding)] = NAN
    output, weights, errors = network(clips), named(network), []
    for row, clip in enumerate(clips.numpy().reshape(-1, T, D)):
        real = ~np.isnan(clip[:, 0])
        expected = np.zeros((T, D))
        if real.any():
            guesses = naive_guesses(weights, spec, clip[real])
            errors.extend((guesses[:-1] - clip[real][1:]) ** 2)
            for step in range(T):
                if real[: step + 1].any():
                    expected[step] = guesses[real[: step + 1].sum() - 1]
        assert_allclose(output.features[row].detach(), expected, atol=1e-10)
        assert output.mask is None or output.mask[row].tolist() == real.tolist()
        logits = affine(expected[-n_stages:], weights, "classifier")
        assert_allclose(output.logits[row].detach(), logits, atol=1e-10)
    assert (output.mask is None) == (not np.any(padding))
    if errors:
        assert own_loss(output).item() == pytest.approx(0.5 * np.mean(errors))
    else:
        assert output.auxiliary_loss is None


# ------------------------------------------------------------------ time and order


def test_guess_does_not_look_ahead():
    network, clips = shaken(built(AVTHead(8, anticipation_steps=T))), random_clips()
    whole = network(clips)
    for step in range(T):
        later = clips.clone()
        later[:, step + 1 :] = 99.0
        assert_allclose(
            network(later).logits[:, : step + 1].detach(),
            whole.logits[:, : step + 1].detach(),
            atol=1e-12,
        )
        later[:, step] = 99.0
        moved = network(later).logits[:, step] - whole.logits[:, step]
        assert moved.abs().min() > 1e-6


def test_stage_is_the_answer_of_the_clip_that_ends_there():
    network = shaken(built(AVTHead(8, anticipation_steps=3)))
    short = built(AVTHead(8))
    short.load_state_dict(network.state_dict())
    clips = random_clips()
    logits = network(clips).logits.detach()
    for stage in range(3):
        ends = short(clips[:, : T - 2 + stage]).logits[:, 0]
        assert_allclose(logits[:, stage], ends.detach(), atol=1e-12)


def test_stages_are_seconds_before_the_action():
    spec = AVTHead(time_step=0.5, anticipation_steps=3, anticipation_time=1.0)
    assert spec.stage_times().tolist() == [1.5, 1.0, 0.5]
    assert spec.answering_stage() == 1
    assert AVTHead().stage_times().tolist() == [1.0]
    assert np.isnan(AttentiveProbe().stage_times()).tolist() == [True]


@by_spec
@pytest.mark.parametrize("n_padding", [1, 7])
def test_padding_in_front_changes_nothing(spec, n_padding):
    network, clips = shaken(built(spec)), random_clips()
    padding = torch.full((5, n_padding, D), NAN, dtype=torch.float64)
    short, long = network(clips), network(torch.cat([padding, clips], 1))
    assert_allclose(long.logits.detach(), short.logits.detach(), atol=1e-12)
    real = long.features[:, n_padding:].detach()
    assert_allclose(real, short.features.detach(), atol=1e-12)
    assert (long.features[:, :n_padding] == 0).all()
    assert long.mask.tolist() == [[False] * n_padding + [True] * T] * 5


@by_spec
def test_clips_of_unequal_length_share_a_batch(spec):
    network, clips = shaken(built(spec)), random_clips(T - 1)
    alone = [network(clips[k : k + 1, k:]).logits for k in range(T - 1)]
    for k in range(T - 1):
        clips[k, :k] = NAN
    found = network(clips).logits.detach()
    assert_allclose(found, torch.cat(alone).detach(), atol=1e-12)


@by_spec
def test_clips_of_padding_only_all_score_alike(spec):
    network = shaken(built(spec))
    empty = torch.full((2, T, D), NAN, dtype=torch.float64)
    output = network(empty)
    assert output.logits.isfinite().all() and not output.mask.any()
    shorter = network(empty[:, 2:]).logits
    assert_allclose(output.logits.detach(), shorter.detach(), atol=1e-12)
    if isinstance(spec, AVTHead):
        assert_allclose(output.logits[0, 0].detach(), network.classifier.bias.detach())


@by_spec
def test_padding_of_another_clip_has_no_say(spec):
    network, clips = shaken(built(spec)), random_clips()
    padded = clips.clone()
    padded[0] = NAN
    padded[1, :3] = NAN
    assert_allclose(
        network(padded).logits[2:].detach(),
        network(clips).logits[2:].detach(),
        atol=1e-12,
    )


@by_spec
def test_gradients_through_padding_are_finite_and_clips_stay_as_they_were(spec):
    network, clips = built(spec).train(), random_clips()
    clips[0, :2] = clips[1] = NAN
    before = clips.clone()
    with lend_generator(network, generator()):
        output = network(clips)
    loss = 0 if output.auxiliary_loss is None else own_loss(output)
    (output.logits.square().sum() + loss).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert torch.equal(clips.nan_to_num(nan=-7), before.nan_to_num(nan=-7))


# ------------------------------------------------------- the loss of the next frame


def test_next_frames_are_guessed_in_training_only():
    clips = random_clips()
    network = built(AVTHead(8, layer_dropout=0.0))
    assert network(clips).auxiliary_loss is None
    losses = network.train()(clips).auxiliary_loss
    assert losses.shape == (len(clips),) and (losses > 0).all()
    assert network(clips[:, :1]).auxiliary_loss is None
    without = built(AVTHead(8, future_feature_weight=0)).train()
    with lend_generator(without, generator()):
        assert without(clips).auxiliary_loss is None


def test_codes_are_not_moved_towards_what_guesses_them():
    """The vector of a code seen last is a target only; it gets no gradient of it."""
    network = built(AVTHead(8, embedding=3, layer_dropout=0.0), (2, (5,))).train()
    own_loss(network(torch.tensor([[[1.0], [2.0]]]))).backward()
    moved = network.input.tables[0].weight.grad.abs().sum(1) > 0
    assert moved.nonzero().flatten().tolist() == [1]


def test_a_clip_that_repeats_is_learnt_to_be_guessed():
    rng = np.random.default_rng(0)
    wheel = rng.normal(size=(4, D))  # four frames that follow each other for ever
    start = rng.integers(4, size=64)
    X = wheel[(start[:, None] + np.arange(8)) % 4].astype(np.float32)
    network = AVTHead(32, layer_dropout=0.0)
    model = SmoothedAnticipator(network, max_epochs=40, batch_size=16, random_state=0)
    model.fit(X, start % 2)
    guesses, truth = model.feature_map(X)[:, :-1], X[:, 1:]
    assert ((guesses - truth) ** 2).mean() < 0.02 * truth.var()
    assert model.history_[-1]["auxiliary"] < 0.05 * model.history_[0]["auxiliary"]
    assert model.score(X, start % 2) == 1


def one_step(clips, y, sample_weight=None, **params):
    """Weights after a step of gradient descent over all clips at once."""
    spec = AVTHead(8, layer_dropout=0.0, future_feature_weight=3.0)
    model = SmoothedAnticipator(
        spec,
        **{"max_epochs": 1, "batch_size": 99, "optimizer": "sgd", "lr": 0.5},
        **{"momentum": 0.0, "dtype": "float64", "random_state": 0, **params},
    )
    model.fit(clips, y, sample_weight=sample_weight)
    return model.history_, torch.cat([w.flatten() for w in model.network_.parameters()])


@pytest.mark.parametrize("padded", [False, True])
def test_guesses_of_frames_have_the_weights_of_their_clips(padded):
    clips, y = random_clips(6).numpy(), np.arange(6) % 2
    if padded:
        clips[0, :3] = clips[3, :5] = NAN
    for n_times in ([3, 1, 2, 2, 5, 1], [3, 1, 3, 1, 3, 1]):
        history, expected = one_step(clips.repeat(n_times, 0), y.repeat(n_times))
        for weights, own in [(np.array(n_times), None), (None, {0: 3, 1: 1})]:
            if own and n_times[2] != 3:
                continue
            found, step = one_step(clips, y, weights, class_weight=own)
            assert_allclose(step.detach(), expected.detach(), atol=1e-12)
            assert found[0]["auxiliary"] == pytest.approx(history[0]["auxiliary"])
    _, unweighted = one_step(clips, y)
    assert not np.allclose(step.detach(), unweighted.detach(), atol=1e-4)


def test_a_single_clip_of_a_heavy_class_is_guessed_first():
    """Of clips of almost no weight nobody sees what the network guesses of them."""
    clips, y = random_clips(6).numpy(), np.arange(6) % 2
    light = np.where(np.arange(6) < 4, 1.0, 1e-12)
    _, expected = one_step(clips[:4], y[:4])
    _, found = one_step(clips, y, light)
    assert_allclose(found.detach(), expected.detach(), atol=1e-9)


# --------------------------------------------------------------------------- sizes


def n_parameters(module):
    return sum(w.numel() for w in module.parameters())


def avt_parameters(d, width, n_layers, max_steps):
    block = 12 * width**2 + 13 * width  # attention 4 + 4, mlp 8 + 5, norms 4
    return n_layers * block + 2 * width + 2 * d * width + max_steps * width


def test_number_of_parameters_of_the_paper(monkeypatch):
    """About 308.4 M for 1024 features and 6 layers, and a classifier of 3.9 M."""
    for name in ("initialize", "start_small"):
        monkeypatch.setattr(
            f"skanticipate.networks.transformer.{name}", lambda module, *_: module
        )
    spec = AVTHead(2048, n_layers=6, max_steps=1024)
    with torch.device("meta"):
        network = spec.build((10, 1024), 3806, generator=None)
    assert {w.device.type for w in network.parameters()} == {"meta"}
    n_classifier = n_parameters(network.classifier)
    assert n_classifier == 1024 * 3806 + 3806
    head = n_parameters(network) - n_classifier
    assert head == avt_parameters(1024, 2048, 6, 1024) == 308_445_184


def test_number_of_parameters_by_hand():
    network = built(AVTHead(8, n_layers=3, n_heads=2, max_steps=9))
    assert n_parameters(network) == avt_parameters(D, 8, 3, 9) + D * C + C
    probe = built(AttentiveProbe(8, n_queries=3, n_blocks=2, n_positions=5))
    blocks = 2 * (12 * 64 + 13 * 8)
    assert n_parameters(probe) == D * 8 + 8 + 8 * 8 + blocks + 24 * C + C


def test_map_shape_counts_the_positions():
    assert AVTHead().map_shape((T, D)) == AVTHead().map_shape((T, 2, D)) == (T,)
    assert AttentiveProbe().map_shape((T, 2, 3, D)) == (T, 2, 3)
    output = built(AttentiveProbe(8), (T, 2, 3, D))(random_clips(2, T, 2, 3, D))
    assert output.features.shape == (2, T * 2 * 3, 8)


@pytest.mark.parametrize(
    "spec",
    [
        AVTHead(np.int64(8), n_layers=np.int64(1), n_heads=np.int64(2)),
        AVTHead(8, max_steps=np.int64(9), anticipation_steps=np.int64(2)),
        AttentiveProbe(np.int64(8), n_queries=np.int64(2), n_blocks=np.int64(2)),
        AttentiveProbe(8, n_heads=np.int64(2), n_positions=np.int64(2)),
    ],
    ids=repr,
)
def test_sizes_may_be_numpy_integers_as_searches_draw_them(spec):
    assert built(spec)(random_clips()).logits.shape[-1] == C


# ----------------------------------------------------- initial weights, randomness


def test_head_starts_as_gpt2_with_a_small_classifier():
    network = AVTHead(200).build((T, 300), 400, generator=generator())
    weights = named(network)
    for name in ("attention.query", "attention.key_value", "widen", "narrow"):
        assert weights[f"blocks.1.{name}.weight"].std() == pytest.approx(0.02, rel=0.03)
        assert (weights[f"blocks.1.{name}.bias"] == 0).all()
    assert weights["positions.weight"].std() == pytest.approx(0.02, rel=0.03)
    assert weights["classifier.weight"].std() == pytest.approx(0.01, rel=0.03)
    assert (weights["classifier.bias"] == 0).all()
    assert np.abs(weights["encoder.weight"]).max() <= 1 / np.sqrt(300)
    assert (weights["norm.weight"] == 1).all()


def test_verb_noun_head_still_starts_with_what_actions_share():
    spec = AVTHead(8, head=VerbNounHead())
    spec.see_classes(["cut onion", "cut bread", "wash onion"])
    classifier = built(spec).classifier
    assert (classifier.own.weight == 0).all()
    assert 0 < classifier.verb.weight.abs().max() < 0.05


@by_spec
def test_no_number_is_drawn_from_a_global_stream(spec):
    spec = clone(spec).set_params(dropout=0.5, input_dropout=0.1, layer_dropout=0.2)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    network, draws = built(spec).train(), []
    for seed in (1, 1, 2):
        with lend_generator(network, generator(seed)):
            draws.append(network(random_clips()).logits)
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert not spec.uses_global_rng
    again = built(spec)
    network.eval()
    assert torch.equal(again(random_clips()).logits, network(random_clips()).logits)


@by_spec
@pytest.mark.parametrize("name", ["dropout", "input_dropout", "layer_dropout"])
def test_each_dropout_hides_its_share_in_training_only(spec, name):
    off = {"dropout": 0, "input_dropout": 0, "layer_dropout": 0}
    network = built(clone(spec).set_params(**{**off, name: 0.4}))
    used = [m for m in network.modules() if isinstance(m, Dropout) and m.p]
    n_blocks = 2
    expected = {"dropout": 1, "input_dropout": 1, "layer_dropout": n_blocks}
    first = name == "layer_dropout" and isinstance(spec, AVTHead)
    assert len(used) == expected[name] + first
    clips, seen = random_clips(), []
    quiet = network(clips).logits
    assert torch.equal(network(clips).logits, quiet)
    for module in used:
        module.register_forward_hook(lambda m, x, out: seen.append((m, x[0], out)))
    with lend_generator(network.train(), generator(1)):
        for _ in range(20):
            assert not torch.equal(network(clips).logits, quiet)
    assert {m for m, *_ in seen} == set(used)
    dropped = torch.cat([(out == 0)[x != 0] for _, x, out in seen]).double()
    spread = (0.4 * 0.6 / len(dropped)) ** 0.5
    assert float(dropped.mean()) == pytest.approx(0.4, abs=4 * spread)


# ----------------------------------------------------------------------- errors


def test_head_needs_sequences_and_probe_needs_tokens():
    with pytest.raises(ValueError, match=r"AVTHead expects .* got \(n, 4\): use MLP"):
        built(AVTHead(), (D,))
    with pytest.raises(ValueError, match=r"Probe expects tokens .*\(n, 4\): use MLP"):
        built(AttentiveProbe(), (D,))


def test_width_must_be_divisible_among_the_heads():
    message = "inner_size=6 cannot be divided among n_heads=4: choose a multiple"
    with pytest.raises(ValueError, match=message):
        built(AVTHead(6))
    with pytest.raises(ValueError, match="hidden_size=10 cannot be divided among n_"):
        built(AttentiveProbe(10))


def test_clip_must_fit_the_positions():
    network = built(AVTHead(8, max_steps=5), (5, D))
    network(random_clips(2, 5, D))
    with pytest.raises(ValueError, match="A clip of 6 steps .* 5 positions .* raise m"):
        network(random_clips())


def test_clip_must_be_as_long_as_its_stages():
    network = built(AVTHead(8, anticipation_steps=4))
    with pytest.raises(ValueError, match="Clips of 3 steps .* 4 stages: give longer"):
        network(random_clips(2, 3, D))


def test_anticipation_time_must_be_a_stage():
    with pytest.raises(ValueError, match=r"anticipation_time=3 s is none of the 2 st"):
        built(AVTHead(8, anticipation_steps=2, anticipation_time=3))


@pytest.mark.parametrize(
    "spec",
    [
        AVTHead(0),
        AVTHead(n_layers=0),
        AVTHead(n_heads=0),
        AVTHead(max_steps=0),
        AVTHead(future_feature_weight=-1),
        AVTHead(embedding=0),
        AVTHead(layer_dropout=1),
        AVTHead(attention_dropout=1),
        AVTHead(rollout_steps=0),
        AVTHead(past_weight=-0.1),
        AVTHead(input_dropout=1),
        AVTHead(dropout=1),
        AVTHead(time_step=0),
        AVTHead(anticipation_steps=0),
        AVTHead(head=3),
        AttentiveProbe(0),
        AttentiveProbe(n_queries=0),
        AttentiveProbe(n_blocks=0),
        AttentiveProbe(n_heads=0),
        AttentiveProbe(n_positions=-1),
        AttentiveProbe(embedding=0),
        AttentiveProbe(layer_dropout=1),
        AttentiveProbe(input_dropout=1),
        AttentiveProbe(dropout=1),
        AttentiveProbe(head=3),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(spec):
    with pytest.raises(ValueError, match="must be"):
        built(spec)


# ---------------------------------------------------------------------- estimators

KITCHEN = make_kitchen(10, 8, n_steps=5, n_features=8, random_state=0)
PARAMS = {"max_epochs": 2, "batch_size": 32, "random_state": 0}
LEARNERS = [
    AVTHead(16, n_heads=2, anticipation_steps=2, dropout=0.2),
    AttentiveProbe(16, n_heads=2, n_blocks=2, layer_dropout=0.1),
]
by_learner = pytest.mark.parametrize("spec", LEARNERS, ids=lambda s: type(s).__name__)


def distilled(spec, **params):
    y = np.where(np.arange(len(KITCHEN.y)) % 3 == 0, -1, KITCHEN.y)
    X_past = KITCHEN.X_past.copy()
    X_past[4, :2] = X_past[7] = np.nan
    model = DistilledAnticipator(spec, **{**PARAMS, **params})
    return model.fit(X_past, y, KITCHEN.X_future)


def bits(model):
    weights = b"".join(w.tobytes() for w in named(model.network_).values())
    return weights + repr(model.history_).encode()


@by_learner
def test_student_starts_from_its_teacher_and_is_compared_with_it(spec):
    model = distilled(spec)
    assert model.started_from_teacher_
    assert model.feature_weight_ > 0 and model.history_[0]["feature"] > 0
    assert type(model.teacher_.network_spec_) is type(spec)
    has_guesses = "auxiliary" in model.history_[0]
    assert has_guesses == isinstance(spec, AVTHead)
    assert model.feature_map(KITCHEN.X_past).shape[:2] == (len(KITCHEN.y), 5)


@by_learner
def test_student_of_shorter_clips_starts_from_its_teacher_too(spec):
    model = DistilledAnticipator(spec, **PARAMS)
    model.fit(KITCHEN.X_past[:, 2:], KITCHEN.y, KITCHEN.X_future)
    assert model.started_from_teacher_ and model.history_[0]["feature"] > 0


@by_learner
def test_distillation_gives_the_same_bits_in_eight_threads(spec):
    stream, expected = torch.get_rng_state(), bits(distilled(spec))
    with joblib.parallel_config("threading", n_jobs=8):
        found = joblib.Parallel()(
            joblib.delayed(lambda: bits(distilled(spec)))() for _ in range(8)
        )
    assert set(found) == {expected}
    assert torch.equal(torch.get_rng_state(), stream)
    assert bits(distilled(spec, random_state=1)) != expected


@by_learner
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_pickled_and_copied_models_answer_the_same(spec, dtype, tmp_path):
    model = SmoothedAnticipator(spec, dtype=dtype, **PARAMS)
    model.fit(KITCHEN.X_past, KITCHEN.y)
    assert {w.dtype for w in model.network_.parameters()} == {getattr(torch, dtype)}
    proba = model.predict_proba(KITCHEN.X_past)
    assert proba.shape == (len(KITCHEN.y), len(model.classes_))
    path = tmp_path / "model.safetensors"
    model.save(path)
    for again in (load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_array_equal(again.predict_proba(KITCHEN.X_past), proba)
        again.set_params(warm_start=True, max_epochs=1).fit(KITCHEN.X_past, KITCHEN.y)
        assert again.n_iter_ == 3
    staged = list(model.staged_predict_proba(KITCHEN.X_past))
    assert len(staged) == len(spec.stage_times())
    assert_array_equal(staged[-1], proba)


CODES = np.array([[[-1, -1], [1, 5]], [[2, 0], [3, 4]]])


@pytest.mark.parametrize(
    "spec", [AVTHead(8, embedding=3), AttentiveProbe(8, embedding=3)]
)
def test_codes_are_steps_and_padding_codes_are_none(spec):
    assert spec.input_shape_of(RowView(CODES)) == (2, (4, 6))
    network = shaken(built(spec, (2, (4, 6))))
    codes = torch.tensor([[[3.0, 5], [1, 2], [2, 4]]])
    padded = torch.tensor([[[-1.0, -1], [3, 5], [1, 2], [2, 4]]])
    output = network(padded)
    assert_allclose(output.logits.detach(), network(codes).logits.detach(), atol=1e-12)
    assert output.mask.tolist() == [[False, True, True, True]]
    assert output.features.shape[:2] == (1, *spec.map_shape((4, 2)))
    tables = network.input.tables
    steps = torch.cat([tables[0].weight[[3, 1, 2]], tables[1].weight[[5, 2, 4]]], 1)
    plain = clone(spec).set_params(embedding=None)
    plain = built(plain, (3, 6))
    weights = network.state_dict()
    plain.load_state_dict({k: w for k, w in weights.items() if "tables" not in k})
    assert_allclose(
        plain(steps[None]).logits.detach(), output.logits.detach(), atol=1e-12
    )


@by_learner
def test_actions_may_be_scored_by_verb_and_noun(spec, tmp_path):
    classes = np.array(["cut onion", "cut bread", "wash onion"])
    codes = np.arange(30) % 3
    y, X = classes[codes], np.random.default_rng(0).normal(size=(30, 3, 4))
    X[np.arange(30), :, codes] += 3
    spec = clone(spec).set_params(head=VerbNounHead())
    model = SmoothedAnticipator(spec, max_epochs=30, batch_size=8, random_state=0)
    model.fit(X, y)
    assert model.score(X, y) > 0.8
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
