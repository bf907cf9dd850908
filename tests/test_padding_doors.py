"""Padding that is read as steps is told of at every door, right uses at none."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skanticipate as ska
from skanticipate import LSTM, MLP

N, T, D = 60, 8, 16
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(3, T + 1, N)
Y = np.arange(N) % 2
NAMES = np.array(["cut pan", "wash pan"], dtype=object)


def padded(clips, fill, side):
    clips, missing = clips.copy(), np.arange(T) >= LENGTHS[:, None]
    clips[missing if side == "right" else missing[:, ::-1]] = fill
    return clips


FLOATS = RNG.normal(size=(N, T, D))
WHOLE = RNG.integers(1, 120, (N, T, D)).astype(np.int16)
BYTES = WHOLE.astype(np.uint8)
BEGIN, END = "begin with steps that are all zero", "end with steps that are all zero"
TROUBLES = {
    "zeros left": (FLOATS, 0, "left", BEGIN),
    "zeros right": (FLOATS.astype("f4"), 0, "right", END),
    "-1 left": (FLOATS, -1, "left", "begin with the same step"),
    "a step, right": (FLOATS.astype("f2"), 0.5, "right", "end with the same step"),
    "NaN right": (FLOATS, np.nan, "right", "end with steps of padding"),
    "whole, zeros left": (WHOLE, 0, "left", BEGIN),
    "whole, -1 left": (WHOLE, -1, "left", "begin with the same step"),
    "bytes, zeros right": (BYTES, 0, "right", END),
    "bytes, 128 right": (BYTES, 128, "right", "end with the same step"),
    "whole floats, zeros left": (WHOLE.astype("f4"), 0, "left", BEGIN),
}
ONE_HOT = np.eye(D)[RNG.integers(D, size=(N, T))]
COUNTS = RNG.poisson(0.1, (N, T, D))
RIGHT = {
    "NaN left": (MLP(2), padded(FLOATS, np.nan, "left")),
    "one-hot, zeros left": (LSTM(2), padded(ONE_HOT, 0, "left").astype("i4")),
    "rectified": (LSTM(2), np.maximum(FLOATS - 1, 0)),
    "counts": (LSTM(2), COUNTS),
    "counts so far": (LSTM(2), COUNTS.cumsum(axis=1)),
    "quantised": (LSTM(2), BYTES),
    "codes, -1 left": (LSTM(2, embedding=4), padded(WHOLE[:, :, :3] % 9, -1, "left")),
}


def student(network, kind=ska.SmoothedAnticipator, **settings):
    return kind(network, max_epochs=1, random_state=0, **settings)


def recogniser(network):
    return student(network, ska.RecognitionTeacher)


def fusion(network):
    return ska.LateFusion([(name, student(network), (0, None)) for name in "ab"])


def taught(network, clips, futures, *teachers):
    teacher = ska.TeacherEnsemble(teachers) if len(teachers) > 1 else teachers[0]
    student(network, ska.DistilledAnticipator, teacher=teacher).fit(clips, Y, futures)


def validated(network, clips, X):
    student(network, early_stopping=True).fit(clips, Y, X_val=X, y_val=Y)


def reloaded(fitted, folder):
    ska.save(fitted, folder / "model.safetensors")
    return ska.load(folder / "model.safetensors")


LRS = {"lr": [0.1, 0.2]}
SCALED = ska.PerFrame(FunctionTransformer())
# What is done with a network, clips as they should be, those in question and a folder.
DOORS = {
    "fit": lambda n, g, X, _: student(n).fit(X, Y),
    "recognition": lambda n, g, X, _: recogniser(n).fit(X, Y),
    "fusion": lambda n, g, X, _: fusion(n).fit(X, Y),
    "replicas": lambda n, g, X, _: ska.ReplicaEnsemble(student(n)).fit(X, Y),
    "fit_many": lambda n, g, X, _: ska.fit_many([student(n), student(n)], X, Y),
    "search": lambda n, g, X, _: ska.BatchedGridSearchCV(student(n), LRS).fit(X, Y),
    "X_val": lambda n, g, X, _: validated(n, g, X),
    "futures": lambda n, g, X, _: taught(n, g, X, None),
    "teachers": lambda n, g, X, _: taught(n, g, X, recogniser(n), recogniser(n)),
    "frozen": lambda n, g, X, _: taught(
        n, g, X, FrozenEstimator(recogniser(n).fit(g, Y))
    ),
    "score": lambda n, g, X, _: student(n).fit(g, Y).score(X, Y),
    "stages": lambda n, g, X, _: list(student(n).fit(g, Y).staged_predict_proba(X)),
    "loaded": lambda n, g, X, path: reloaded(student(n).fit(g, Y), path).predict(X),
    "fused": lambda n, g, X, _: fusion(n).fit(g, Y).predict(X),
    "scaled": lambda n, g, X, _: make_pipeline(SCALED, student(n)).fit(X, Y),
}


def mapped(X, folder):
    np.save(folder / "clips.npy", X)
    return np.load(folder / "clips.npy", mmap_mode="r")


def told(act, *args):
    """Texts about padding."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        act(*args)
    return {t for t in (str(w.message) for w in record) if "pad" in t}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_padding_is_told_of_whatever_clips_lie_in(door, trouble, tmp_path):
    good, fill, side, expected = TROUBLES[trouble]
    X, network = padded(good, fill, side), MLP(2) if np.isnan(fill) else LSTM(2)
    boxes = [mapped(X, tmp_path)]
    if trouble == "zeros left":
        boxes += [X, ska.RowView(X), list(X), torch.from_numpy(X)]
    for clips in boxes:
        (text,) = told(DOORS[door], network, good, clips, tmp_path)
        assert expected in text


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("use", RIGHT)
def test_nothing_is_said_of_right_uses(door, use, tmp_path):
    network, X = RIGHT[use]
    assert not told(DOORS[door], network, X, X, tmp_path)


@pytest.mark.parametrize("fill", [None, "", -1], ids=repr)
@pytest.mark.parametrize("reader", [ska.HistoryEncoder(), ska.HistoryText()])
def test_later_histories_that_are_padded_on_the_right_are_told_of(reader, fill):
    past = NAMES[RNG.integers(2, size=(N, T))]
    left, right = (padded(past, fill, side) for side in ("left", "right"))
    ask = reader.fit(left).transform
    assert not told(ask, left) and not told(ask, right[:9])  # few say nothing
    (text,) = told(ask, right)
    assert "end with missing labels" in text and "on the left" in text
    assert told(reader.fit, right) and not told(ask, right)
