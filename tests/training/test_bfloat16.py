"""precision="bf16": the network computes in bfloat16, all else stays in float32."""

import numpy as np
import pytest
import torch
from every_network import SPECS, built, own_loss
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch.nn import functional

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AVTHead,
    BatchedGridSearchCV,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.training.runtime import Compute, answer_of, resolve_device

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 20)).astype(np.float32)
CLIPS = RNG.normal(size=(96, 5, 12)).astype(np.float32)
Y = np.arange(96) % 4
QUICK = {"max_epochs": 3, "batch_size": 32, "random_state": 0, "device": "cpu"}
BFLOAT = 2.0**-8  # relative spacing


def fitted(network, clips=X, **params):
    model = SmoothedAnticipator(network, smoothing=0.0, **QUICK, **params)
    return model.fit(clips, Y)


def weights(model):
    return [w.detach().numpy() for w in model.network_.parameters()]


def slopes(network, clips, precision):
    output = answer_of(network, clips, precision)
    features = output.features
    if output.mask is not None:
        features = features[output.mask]
    total = output.logits.square().mean() + features.square().mean()
    if output.auxiliary_loss is not None:
        total = total + own_loss(output)
    found = torch.autograd.grad(total, list(network.parameters()), allow_unused=True)
    return output, total, found


@pytest.mark.parametrize("name", SPECS)
def test_every_network_is_near_to_what_it_is_in_float32(name):
    _, network, clips = built(name)
    network.float().train()
    output, loss, expected = slopes(network, clips, None)
    low, low_loss, found = slopes(network, clips, "bf16")
    for one, other in zip(low, output, strict=True):
        assert (one is None) == (other is None)
        assert one is None or one.dtype == other.dtype  # of the answer
    assert abs(low_loss - loss) <= 8 * BFLOAT * abs(loss)
    assert low_loss != loss  # it was computed otherwise
    assert [g is None for g in found] == [g is None for g in expected]
    pairs = [(g, e) for g, e in zip(found, expected, strict=True) if g is not None]
    assert {g.dtype for g, _ in pairs} == {torch.float32}
    flat, right = (torch.cat([p[k].flatten() for p in pairs]) for k in (0, 1))
    assert (flat - right).norm() <= 20 * BFLOAT * right.norm()
    again = slopes(network, clips, "bf16")[2]
    assert all(
        torch.equal(one, other)
        for one, other in zip(again, found, strict=True)
        if one is not None
    )


def test_guesses_that_are_read_as_frames_are_near_to_those_in_float32():
    spec = AVTHead(8, n_heads=2, rollout_steps=2, dropout=0.0, layer_dropout=0.0)
    numbers = torch.Generator().manual_seed(0)
    network = spec.build((5, 12), 4, generator=numbers).float().eval()
    clips = torch.from_numpy(CLIPS)
    expected = answer_of(network, clips, None).logits
    found = answer_of(network, clips, "bf16").logits
    assert found.dtype == torch.float32 and not torch.equal(found, expected)
    assert (found - expected).norm() <= 20 * BFLOAT * expected.norm()


def loop_of_torch(model, clips, score):
    """The same training by torch's autocast and AdamW, from the same start."""
    start = clone(model).set_params(max_epochs=1, lr=1e-30, weight_decay=0.0)
    network = start.fit(clips, Y).network_.train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=model.lr, weight_decay=model.weight_decay
    )
    data, labels = torch.tensor(clips), torch.tensor(Y)
    for order in orders(model):
        for rows in order.split(model.batch_size):
            with torch.autocast("cpu", torch.bfloat16):
                logits = score(network, data[rows])
            loss = functional.cross_entropy(logits.float(), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network


def orders(model):
    """Orders of the epochs, as a fit of that seed drew them."""
    found, drawn = [], SmoothedAnticipator._draw

    def noting(self, samples):
        draw = drawn(self, samples)

        def noted(generator):
            batches = draw(generator)
            found.append(batches.order)
            return batches

        return noted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmoothedAnticipator, "_draw", noting)
        clone(model).fit(X, Y)
    return found


def test_a_fit_is_that_of_a_loop_with_autocast():
    model = SmoothedAnticipator(
        MLP(16), smoothing=0.0, precision="bf16", lr=0.01, **QUICK
    )

    def score(network, rows):
        hidden = network.layers[0](rows).relu()
        return network.classifier(hidden)

    expected = loop_of_torch(model, X, score)
    found = clone(model).fit(X, Y)
    for one, other in zip(weights(found), expected.parameters(), strict=True):
        assert_allclose(one, other.detach().numpy(), atol=1e-5)
    plain = clone(model).set_params(precision=None).fit(X, Y)
    assert (
        max(
            abs(a - b).max()
            for a, b in zip(weights(found), weights(plain), strict=True)
        )
        > 1e-4
    )


@pytest.mark.parametrize("network", [MLP(16), LSTM(8)])
def test_a_caller_who_computes_in_bfloat16_too_has_no_part(network):
    clips = X if isinstance(network, MLP) else CLIPS
    expected = fitted(network, clips, precision="bf16", lr=0.01)
    with torch.autocast("cpu", torch.bfloat16):  # whose copies of weights would stay
        found = fitted(network, clips, precision="bf16", lr=0.01)
    for one, other in zip(weights(found), weights(expected), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    "network", [MLP(16, dropout=0.2), LSTM(8), RULSTM(8, anticipation_steps=2)]
)
def test_weights_losses_and_answers_are_float32(network):
    clips = X if isinstance(network, MLP) else CLIPS
    one, other = (fitted(network, clips, precision="bf16") for _ in range(2))
    assert {w.dtype for w in one.network_.state_dict().values()} == {torch.float32}
    proba = one.predict_proba(clips)
    assert proba.dtype == np.float32
    assert_allclose(proba.sum(1), 1, rtol=1e-6)
    assert_array_equal(proba, other.predict_proba(clips))  # the same seed
    # Of answers nothing is computed in bfloat16: they are those of the weights.
    plain = clone(one).set_params(precision=None).fit(clips, Y)
    plain.network_.load_state_dict(one.network_.state_dict())
    assert_array_equal(plain.predict_proba(clips), proba)
    assert_allclose(one.loss_curve_, plain.loss_curve_, rtol=0.02)


@pytest.mark.parametrize(
    "network",
    [
        AVTHead(8, n_heads=2, rollout_steps=3, anticipation_steps=2),
        EncoderDecoderLSTM(6, anticipation_steps=2),
        RULSTM(6, anticipation_steps=2, pretrain_epochs=1),
        LSTM(6, cell="gru", random_delay=2),
    ],
    ids=lambda network: type(network).__name__,
)
def test_what_networks_may_do_besides_they_do_in_bfloat16_too(network):
    clips = CLIPS.copy()
    clips[3, :2] = np.nan
    low = fitted(network, clips, precision="bf16").loss_curve_
    assert_allclose(low, fitted(network, clips).loss_curve_, rtol=8 * BFLOAT)


def test_a_student_with_all_its_terms_and_its_default_teacher():
    future = RNG.normal(size=CLIPS.shape).astype(np.float32)
    half = np.where(np.arange(96) % 2, Y, -1)
    models = [
        DistilledAnticipator(
            LSTM(8),
            precision=precision,
            teacher_weight=0.5,
            feature_weight=0.1,
            **QUICK,
        ).fit(CLIPS, half, future)
        for precision in (None, "bf16")
    ]
    assert models[1].teacher_.precision == "bf16"
    losses = [
        [[r["base"], r["teacher"], r["feature"]] for r in m.history_] for m in models
    ]
    assert_allclose(losses[1], losses[0], rtol=0.05, atol=1e-3)


def test_many_fits_are_those_of_each_alone():
    models = [
        SmoothedAnticipator(MLP(8), precision=precision, lr=lr, **QUICK)
        for precision in ("bf16", None)
        for lr in (1e-3, 1e-2)
    ]
    together = fit_many(models, X, Y)
    for model, found in zip(models, together, strict=True):
        alone = clone(model).fit(X, Y)
        if model.precision == "bf16":  # never stacked: the same bits
            assert_array_equal(found.predict_proba(X), alone.predict_proba(X))
        assert_allclose(found.predict_proba(X), alone.predict_proba(X), atol=1e-5)
    grid = {"precision": [None, "bf16"], "lr": [1e-3, 1e-2]}
    search = BatchedGridSearchCV(models[0], grid, cv=2).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_checkpoints_and_files_know_it(tmp_path):
    plain, low = (
        fitted(MLP(8), precision=p, checkpoint=tmp_path) for p in (None, "bf16")
    )
    assert abs(plain.predict_proba(X) - low.predict_proba(X)).max() > 0
    again = fitted(MLP(8), precision="bf16", checkpoint=tmp_path)  # is read
    assert_array_equal(again.predict_proba(X), low.predict_proba(X))
    skanticipate.save(low, tmp_path / "model")
    loaded = skanticipate.load(tmp_path / "model")
    assert loaded.precision == "bf16"
    assert_array_equal(loaded.predict_proba(X), low.predict_proba(X))


@pytest.mark.parametrize("dtype", ["auto", "float64"])
def test_float64_is_refused_beside_it(dtype):
    model = SmoothedAnticipator(MLP(4), precision="bf16", dtype=dtype, **QUICK)
    before = dict(vars(model))
    clips = X.astype(np.float64) if dtype == "auto" else X
    with pytest.raises(ValueError, match=r"weights of float32.*set dtype='float32'"):
        model.fit(clips, Y)
    assert vars(model) == before
    model.set_params(dtype="float32").fit(clips, Y)


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="The 'precision' parameter .* must be"):
        SmoothedAnticipator(MLP(4), precision="fp16", **QUICK).fit(X, Y)


@pytest.mark.parametrize("device", ["xla", "cuda"])
def test_a_device_that_cannot_is_refused_in_words(device, monkeypatch):
    capability = (7, 5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    with pytest.raises(
        ValueError, match=f"capability 8.0 or more; device is '{device}"
    ):
        Compute.resolve(device, "float32", "bf16", None)
    capability = (8, 0)
    if device == "cuda":
        found = Compute.resolve(device, "float32", "bf16", None)
        assert found.device == resolve_device("cuda")
