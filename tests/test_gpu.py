import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from torch import nn

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    InceptionTail,
    ModalityAttention,
    NetworkSpec,
    Output,
    SmoothedAnticipator,
    TransitionPrior,
    VerbNounPrior,
)
from skanticipate.data.device_array import DeviceArray
from skanticipate.datasets import make_kitchen
from skanticipate.losses import weakly_aligned_loss
from skanticipate.training import batches

pytestmark = pytest.mark.gpu

POOLED = make_kitchen(20, 10, n_features=12, random_state=0)
CLIPS = make_kitchen(20, 10, n_steps=5, n_features=8, random_state=0)
CASES = {
    "MLP": (MLP(16), POOLED),
    "LSTM": (LSTM(16, anticipation_steps=2), CLIPS),
    "GRU": (LSTM(16, cell="gru"), CLIPS),
    "RULSTM": (RULSTM(16, anticipation_steps=2, dropout=0.0), CLIPS),
    "encoder-decoder": (EncoderDecoderLSTM(16, anticipation_steps=2), CLIPS),
    "AVT": (AVTHead(16, n_heads=2, layer_dropout=0.0), CLIPS),
    "AVT, rolled out": (
        AVTHead(16, n_heads=2, layer_dropout=0.0, rollout_steps=2),
        CLIPS,
    ),
    "probe": (AttentiveProbe(16, n_heads=2), CLIPS),
    "random delay": (AttentiveProbe(16, n_heads=2, random_delay=2), CLIPS),
    "fusion": (
        ModalityAttention(
            [
                ("rgb", RULSTM(8, dropout=0.0, anticipation_steps=2), (0, 5)),
                ("flow", RULSTM(6, dropout=0.0, anticipation_steps=2), (5, None)),
            ],
            dropout=0.0,
            branch_epochs=1,
        ),
        CLIPS,
    ),
}
PRIORS = {
    "uniform": None,
    "verb-noun": VerbNounPrior(POOLED.actions),
    "transition": TransitionPrior(POOLED.actions),
}


class Plain(NetworkSpec):
    def build(self, input_shape, n_classes, *, generator):
        return _Plain(input_shape[0], n_classes)


class _Plain(nn.Module):
    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.3), nn.Linear(n_inputs, n_classes))

    def forward(self, clips):
        return Output(self.layers(clips).unsqueeze(1))


def fitted(network, data, device, **params):
    params = {"max_epochs": 3, "batch_size": 64, "random_state": 0, **params}
    model = SmoothedAnticipator(network, device=device, dtype="float32", **params)
    return model.fit(data.X_past, data.y, y_past=data.y_past)


def as_bytes(model):
    return [p.detach().numpy().tobytes() for p in model.network_.parameters()]


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", CASES)
def test_both_devices_learn_the_same(name, prior):
    network, data = CASES[name]
    on_cpu = fitted(network, data, "cpu", prior=PRIORS[prior])
    on_gpu = fitted(network, data, "cuda", prior=PRIORS[prior])
    found = on_gpu.predict_proba(data.X_past)
    assert_allclose(found, on_cpu.predict_proba(data.X_past), atol=1e-4)
    assert_allclose(on_gpu.loss_curve_, on_cpu.loss_curve_, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_both_devices_answer_the_same(name):
    network, data = CASES[name]
    model = fitted(network, data, "cpu")
    expected = list(model.staged_predict_proba(data.X_past))
    model.set_params(device="cuda")
    found = list(model.staged_predict_proba(data.X_past))
    assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_network_rests_on_the_cpu(name):
    network, data = CASES[name]
    model = fitted(network, data, "cuda", early_stopping=True)
    model.predict(data.X_past)
    assert {p.device.type for p in model.network_.parameters()} == {"cpu"}


@pytest.mark.parametrize("name", [*CASES, "plain modules"])
def test_the_same_seed_gives_the_same_bits(name):
    network, data = CASES.get(name, (Plain(), POOLED))
    if name in CASES:
        network = clone(network).set_params(dropout=0.3)
    one, other = (fitted(network, data, "cuda") for _ in range(2))
    assert as_bytes(one) == as_bytes(other)


def test_the_global_streams_are_left_alone():
    torch.cuda.init()
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    fitted(Plain(), POOLED, "cuda").predict(POOLED.X_past)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_each_optimizer_with_weights_and_validation(optimizer):
    weight = np.linspace(0, 1, len(POOLED.y))
    models = [
        SmoothedAnticipator(
            MLP(8),
            optimizer=optimizer,
            class_weight="balanced",
            early_stopping=True,
            max_epochs=3,
            dtype="float32",
            device=device,
            random_state=0,
        ).fit(POOLED.X_past, POOLED.y, sample_weight=weight)
        for device in ("cpu", "cuda")
    ]
    proba = [model.predict_proba(POOLED.X_past) for model in models]
    assert_allclose(*proba, atol=1e-4)


def test_auto_takes_the_gpu():
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    fitted(MLP(512), POOLED, "auto")
    assert torch.cuda.max_memory_allocated() > before


@pytest.mark.parametrize("direction", ["both", "student", "teacher"])
@pytest.mark.parametrize("n, d", [(49, 64), (392, 256)])
def test_weakly_aligned_loss_is_the_same_on_both_devices(n, d, direction):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, n, d, generator=generator, dtype=torch.float64)
    found = []
    for device in ("cpu", "cuda"):
        own = student.to(device).requires_grad_()
        loss = weakly_aligned_loss(own, teacher.to(device), direction=direction)
        loss.backward()
        found.append((loss.item(), own.grad.cpu()))
    (loss, gradient), (other_loss, other_gradient) = found
    assert other_loss == pytest.approx(loss, rel=1e-9)
    assert_allclose(other_gradient, gradient, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("alignment", ["weak", "direct", "pooled"])
@pytest.mark.parametrize("name", ["MLP", "GRU"])
def test_distillation_is_the_same_on_both_devices(name, alignment):
    network, data = CASES[name]
    y = np.where(np.arange(len(data.y)) % 3 == 0, data.y, -1)
    future = data.X_future.copy()
    future[:20] = np.nan
    models = [
        DistilledAnticipator(
            network,
            alignment=alignment,
            teacher_weight=0.5,
            max_epochs=3,
            dtype="float32",
            device=device,
            random_state=0,
        ).fit(data.X_past, np.where(np.arange(len(y)) < 20, data.y, y), future)
        for device in ("cpu", "cuda")
    ]
    proba = [model.predict_proba(data.X_past) for model in models]
    maps = [model.feature_map(data.X_past) for model in models]
    assert_allclose(*proba, atol=1e-4)
    assert_allclose(*maps, atol=1e-3)


@pytest.mark.parametrize(
    "network", [FeatureMapNet(8), InceptionTail(0.05, crop_size=3, dropout=0.0)]
)
def test_maps_on_the_gpu(network):
    rng = np.random.default_rng(0)
    past, future = rng.normal(size=(2, 40, 4, 5, 5, 6)).astype(np.float32)
    y = np.where(np.arange(40) % 2 == 0, np.arange(40) % 3, -1)
    models = [
        DistilledAnticipator(
            network, max_epochs=2, batch_size=20, device=device, random_state=0
        ).fit(past, y, future)
        for device in ("cpu", "cuda")
    ]
    proba = [model.predict_proba(past) for model in models]
    assert_allclose(*proba, atol=1e-3)


# ------------------------------------------------------------- tensors on the device


@pytest.mark.parametrize("name", ["MLP", "LSTM"])
def test_tensors_on_the_gpu_stay_there(name, monkeypatch):
    network, data = CASES[name]
    X, future = (torch.tensor(a, dtype=torch.float32) for a in (data.X_past,) * 2)
    expected = fitted(network, data, "cuda")
    model = DistilledAnticipator(
        network, dtype="float32", device="cuda", max_epochs=3, random_state=0
    )
    plain = clone(model).fit(X.numpy(), data.y, future.numpy())
    read = []
    monkeypatch.setattr(
        DeviceArray,
        "__getitem__",
        lambda base, rows: read.append(len(base)) or base.tensor[rows].cpu().numpy(),
    )
    model.fit(X.cuda(), torch.tensor(data.y).cuda(), future.cuda())
    n_looked_at = len(read)  # some rows, for hints
    assert n_looked_at < 20
    proba = model.predict_proba(X.cuda())
    assert len(read) <= n_looked_at + 2
    assert proba.device.type == "cuda"
    assert_allclose(proba.cpu(), plain.predict_proba(X.numpy()), atol=1e-6)
    assert isinstance(expected.predict_proba(X.numpy()), np.ndarray)
    assert_allclose(
        expected.predict_proba(X.cuda()).cpu(), expected.predict_proba(X), atol=1e-6
    )


def test_tensors_on_the_gpu_with_a_fit_on_the_cpu():
    X = torch.tensor(POOLED.X_past, dtype=torch.float32)
    plain = fitted(MLP(8), POOLED, "cpu")
    model = SmoothedAnticipator(MLP(8), **{"max_epochs": 3, "batch_size": 64})
    model.set_params(device="cpu", dtype="float32", random_state=0)
    model.fit(X.cuda(), torch.tensor(POOLED.y).cuda(), y_past=POOLED.y_past)
    assert as_bytes(model) == as_bytes(plain)


def test_a_memory_map_is_read_ahead_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "_SMALL", 1)
    network, data = CASES["LSTM"]
    np.save(tmp_path / "clips.npy", data.X_past.astype(np.float32))
    clips = np.load(tmp_path / "clips.npy", mmap_mode="r")
    params = {"device": "cuda", "dtype": "float32", "max_epochs": 3, "random_state": 0}
    models = [
        SmoothedAnticipator(network, **params).fit(X, data.y)
        for X in (clips, np.asarray(clips).copy())
    ]
    assert as_bytes(models[0]) == as_bytes(models[1])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_on_the_gpu_is_near_to_float32(name):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU does not compute in bfloat16")
    network, data = CASES[name]
    plain = fitted(network, data, "cuda")
    low = fitted(network, data, "cuda", precision="bf16")
    assert {p.dtype for p in low.network_.parameters()} == {torch.float32}
    assert_allclose(low.loss_curve_, plain.loss_curve_, rtol=0.05)
