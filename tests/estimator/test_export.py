"""ONNX files, read by onnxruntime, against what the estimators predict."""

import json
import sys
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
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
    FrameMLP,
    InceptionTail,
    LateFusion,
    ModalityAttention,
    NetworkSpec,
    Output,
    SmoothedAnticipator,
    VerbNounHead,
    export_onnx,
)
from skanticipate.networks import inception

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

N, STEPS = 24, 4
LABELS = np.array(["cut onion", "cut bread", "wash onion", "wash bread"])
Y = LABELS[np.arange(N) % 4]
DRAWN = np.random.default_rng(0)
POOLED = DRAWN.standard_normal((N, 6), dtype=np.float32)
FEATURES = DRAWN.standard_normal((N, STEPS, 6), dtype=np.float32)
MAPS = DRAWN.standard_normal((N, 3, 3, 4, 5), dtype=np.float32)
CODES = DRAWN.integers(0, 5, (N, STEPS, 2))
for clips, padding in ((FEATURES, np.nan), (MAPS, np.nan), (CODES, -1)):
    clips[0, :2] = clips[2, 1] = clips[3, -1] = clips[4] = padding
CODES[5, -1] = 99  # seen in no fit

STAGES = {"time_step": 0.25, "anticipation_steps": 2, "anticipation_time": 0.5}


def branch(channels):
    return RULSTM(4, **STAGES), channels


CASES = {
    "MLP": (MLP((8, 6)), POOLED),
    "MLP, codes": (MLP(8, embedding=3, head=VerbNounHead()), CODES),
    "LSTM": (LSTM(8, n_layers=2, **STAGES), FEATURES),
    "GRU, codes": (LSTM(8, cell="gru", embedding=3), CODES),
    "RULSTM, codes": (RULSTM(8, embedding=3, head=VerbNounHead(), **STAGES), CODES),
    "EncoderDecoderLSTM": (EncoderDecoderLSTM(8, **STAGES), FEATURES),
    "FrameMLP": (FrameMLP(8, head=VerbNounHead()), FEATURES),
    "FeatureMapNet": (FeatureMapNet(4, patch_size=2, pooling="mean"), MAPS),
    "FeatureMapNet, steps": (FeatureMapNet(4, n_blocks=1), FEATURES),
    "AVTHead": (AVTHead(8, n_layers=1, rollout_steps=2, **STAGES), FEATURES),
    "AttentiveProbe": (AttentiveProbe(8, n_heads=2, n_blocks=2), MAPS),
    "AttentiveProbe, codes": (
        AttentiveProbe(8, n_heads=2, n_positions=4, embedding=3),
        CODES,
    ),
    "InceptionTail": (InceptionTail(width=0.02, crop_size=3), MAPS),
    "ModalityAttention": (
        ModalityAttention([("a", *branch((0, 2))), ("b", *branch((2, None)))]),
        FEATURES[:, :2],
    ),
}
ANY_LENGTH = [
    name
    for name, (_, clips) in CASES.items()
    if name.startswith(("LSTM", "GRU", "FrameMLP", "AVTHead", "AttentiveProbe"))
]
TRACED_BEFORE = ["LSTM", "GRU, codes"]  # of which torch remembers kernels
SLOW = ["InceptionTail", "ModalityAttention"]  # graphs of many operations


@pytest.fixture(autouse=True, scope="module")
def two_blocks():
    """Of the seven alike blocks of InceptionTail, those around its features."""
    with pytest.MonkeyPatch.context() as patch:
        blocks = {name: inception._BLOCKS[name] for name in ("Mixed_4f", "Mixed_5b")}
        patch.setattr(inception, "_BLOCKS", blocks)
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Name of a case -> fitted estimator, session of its file, clips."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def export(name):
        spec, clips = CASES[name]
        model = anticipator(spec, logit_adjustment=0.5).fit(clips, Y)
        if name in TRACED_BEFORE:
            traced(model.network_, torch.from_numpy(clips[:2].astype(np.float32)))
        export_onnx(model, folder / "model.onnx", staged=True)
        return model, onnxruntime.InferenceSession(folder / "model.onnx"), clips

    return export


def traced(network, clips):
    """What torch makes of a network by itself, for any number of clips."""
    with warnings.catch_warnings():  # of nn.LSTM
        warnings.filterwarnings("ignore", "The tensor attributes", UserWarning)
        free = ({0: torch.export.Dim("n")},)
        return torch.export.export(network, (clips,), dynamic_shapes=free)


def anticipator(spec=None, **params):
    return SmoothedAnticipator(spec, **{"max_epochs": 2, "random_state": 0, **params})


def answer(session, clips):
    """All that a file says of clips.   -> list of arrays."""
    if session.get_inputs()[0].type == "tensor(float)":
        clips = clips.astype(np.float32)
    return session.run(None, {"clips": clips})


def classes_of(session):
    """Labels that a file names, in the order of its columns."""
    return json.loads(session.get_modelmeta().custom_metadata_map["classes"])


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in CASES],
)
def test_file_predicts_as_the_estimator_does(name, exported):
    model, session, clips = exported(name)
    for n in (1, 2, 7, N):
        proba, staged = answer(session, clips[:n])
        assert_allclose(proba, model.predict_proba(clips[:n]), rtol=0, atol=1e-5)
        expected = np.stack(list(model.staged_predict_proba(clips[:n])), 1)
        assert_allclose(staged, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_clips_may_be_longer_and_shorter_than_in_fit(name, exported):
    model, session, clips = exported(name)
    for other in (clips[:3, -2:], np.concatenate([clips[:4]] * 3, axis=1)):
        proba, _ = answer(session, other)
        assert_allclose(proba, model.predict_proba(other), rtol=0, atol=1e-5)


def test_a_fit_in_float64_gives_a_file_in_float32_and_keeps_numbers_as_labels(tmp_path):
    labels = np.array([3, 10])
    model = anticipator(MLP(8), dtype="float64").fit(POOLED, labels[np.arange(N) % 2])
    export_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_inputs()[0].type == "tensor(float)"
    assert classes_of(session) == [3, 10]
    (proba,) = answer(session, POOLED)
    assert_allclose(proba, model.predict_proba(POOLED), rtol=0, atol=1e-5)


def test_a_distilled_student_is_exported_with_truths_as_labels(tmp_path):
    model = DistilledAnticipator(MLP(8), max_epochs=1, random_state=0)
    model.fit(POOLED, np.arange(N) % 2 == 0, POOLED[::-1])
    export_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["proba"]
    assert classes_of(session) == [False, True]
    (proba,) = answer(session, POOLED)
    assert_allclose(proba, model.predict_proba(POOLED), rtol=0, atol=1e-5)


# ----------------------------------------------------------------- what is written


def test_file_names_inputs_outputs_and_free_axes(exported):
    _, session, _ = exported("LSTM")
    (clips,) = session.get_inputs()
    assert (clips.name, clips.shape) == ("clips", ["n", "steps", 6])
    assert [output.name for output in session.get_outputs()] == [
        "proba",
        "staged_proba",
    ]
    assert exported("RULSTM, codes")[1].get_inputs()[0].shape == ["n", STEPS, 2]
    assert exported("MLP, codes")[1].get_inputs()[0].type == "tensor(int64)"


def test_metadata_tell_labels_and_times(exported):
    written = exported("LSTM")[1].get_modelmeta().custom_metadata_map
    assert classes_of(exported("LSTM")[1]) == sorted(LABELS)
    assert json.loads(written["anticipation_time"]) == 0.5
    assert json.loads(written["anticipation_times"]) == [0.5, 0.25]
    unknown = exported("MLP")[1].get_modelmeta().custom_metadata_map
    assert json.loads(unknown["anticipation_times"]) == [None]


def test_export_changes_nothing_else(tmp_path):
    clips = FEATURES[5:, :1]  # of a single step
    model = anticipator(LSTM(4)).fit(clips, Y[5:])
    before, names = model.predict_proba(clips), set(vars(model))
    stream, threads = torch.get_rng_state(), torch.get_num_threads()
    export_onnx(model, tmp_path / "model.onnx")
    assert_array_equal(model.predict_proba(clips), before)
    assert set(vars(model)) == names
    assert torch.equal(torch.get_rng_state(), stream)
    assert torch.get_num_threads() == threads
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert_allclose(answer(session, clips)[0], before, rtol=0, atol=1e-5)


# ----------------------------------------------------------------- torch.export


@pytest.mark.parametrize(
    "name", ["LSTM", "RULSTM, codes", "EncoderDecoderLSTM", "AVTHead", "FeatureMapNet"]
)
def test_torch_exports_the_network_itself(name):
    spec, clips = CASES[name]
    network = anticipator(spec).fit(clips, Y).network_
    clips = torch.from_numpy(clips.astype(np.float32))
    program = traced(network, clips[:2])
    for n in (1, 7, N):
        found, expected = program.module()(clips[:n]), network(clips[:n])
        torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)


def test_gradients_through_a_graph_are_those_of_the_network():
    network = anticipator(RULSTM(4, **STAGES)).fit(FEATURES, Y).network_
    clips = torch.from_numpy(FEATURES[5:9])
    graph = torch.export.export(network, (clips,)).module()
    for module in (network, graph):
        module.zero_grad()
        module(clips).logits.square().sum().backward()
    found = dict(graph.named_parameters())
    for name, weight in network.named_parameters():
        torch.testing.assert_close(found[name].grad, weight.grad, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------ errors


def test_an_estimator_without_fit(tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(anticipator(), tmp_path / "model.onnx")


def test_parameters_set_after_fit_are_told_as_in_predictions(tmp_path):
    model = anticipator(MLP(4)).fit(POOLED, Y)
    model.set_params(network__dropout=0.5)
    with pytest.warns(UserWarning, match="dropout of network was changed after"):
        export_onnx(model, tmp_path / "model.onnx")
    model.set_params(logit_adjustment="1")
    with pytest.raises(ValueError, match="The 'logit_adjustment' parameter of Smooth"):
        export_onnx(model, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (make_pipeline(PCA(2), anticipator()), r"Pipeline: export its last step"),
        (
            LateFusion([("a", anticipator(), (0, 2)), ("b", anticipator(), (2, 4))]),
            r"LateFusion: export each of its estimators_",
        ),
        (GridSearchCV(anticipator(), {"lr": [0.1]}), "such as best_estimator_"),
        (LogisticRegression(), "only networks can be exported"),
    ],
)
def test_what_is_no_anticipator(estimator, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        export_onnx(estimator, tmp_path / "model.onnx")


def test_labels_that_are_dates(tmp_path):
    days = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    model = anticipator(MLP(2), max_epochs=1).fit(POOLED[:2], days)
    with pytest.raises(TypeError, match=r"fit on y\.astype\(str\)"):
        export_onnx(model, tmp_path / "model.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package(package, tmp_path, monkeypatch):
    model = anticipator(MLP(2), max_epochs=1).fit(POOLED, Y)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[onnx\]"'):
        export_onnx(model, tmp_path / "model.onnx")


def test_weights_that_no_file_holds(tmp_path, monkeypatch):
    model = anticipator(MLP(2), max_epochs=1).fit(POOLED, Y)
    monkeypatch.setattr("skanticipate.estimator.export._LARGEST_FILE", 100)
    n_bytes = 4 * (2 * 6 + 2 + 4 * 2 + 4)
    with pytest.raises(ValueError, match=f"the weights have {n_bytes} bytes"):
        export_onnx(model, tmp_path / "model.onnx")


class Moody(nn.Linear):
    """Looks at its clips before it answers."""

    def forward(self, clips):
        logits = super().forward(clips).unsqueeze(1)
        return Output(logits if clips.sum() > 0 else -logits)


class MoodySpec(NetworkSpec):
    def build(self, input_shape, n_classes, *, generator):
        return Moody(*input_shape, n_classes)


def test_a_network_that_cannot_be_traced_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    model = anticipator(MoodySpec()).fit(POOLED, Y)
    with pytest.raises(ValueError, match="cannot write a network of MoodySpec"):
        export_onnx(model, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
