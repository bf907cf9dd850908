"""Whole numbers and times that nobody means are refused in words everywhere."""

import warnings
from numbers import Real

import numpy as np
import pytest
import torch

from skanticipate import (
    LSTM,
    MLP,
    AttentiveProbe,
    AVTHead,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    HistoryTeacher,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    pad_clips,
)
from skanticipate.data.numbers import Interval
from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    cut_pairs,
    label_history,
    label_sequences,
    make_drifting_maps,
    make_kitchen,
    read_npy,
    trimmed_pairs,
    unlabeled_pairs,
)
from skanticipate.losses import (
    direct_loss,
    distillation_kl,
    focal_loss,
    teacher_pooled,
    weakly_aligned_loss,
)

HUGE = [2**62, 10**30, 10**400]
LONG = [1e30, np.float64(1e300), 10**400]
SEGMENTS = {
    "video": np.array(["a", "a", "b"]),
    "start_frame": np.array([60, 160, 90]),
    "stop_frame": np.array([80, 180, 99]),
    "action": np.arange(3),
}
FEATURES = FeatureTable.from_arrays({v: np.ones((1200, 2), "f4") for v in "ab"})
CUT = {"observation": 1.5, "anticipation": 1.0, "step": 0.25}


def len_of(number):
    """A short name of a long number."""
    return f"{len(str(number))} digits" if number > 1 else str(number)


@pytest.fixture(autouse=True)
def nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def refused(name):
    return pytest.raises((ValueError, TypeError), match=name)


@pytest.mark.parametrize("number", HUGE, ids=len_of)
def test_steps_of_clips_and_histories(number):
    clips = [np.ones((3, 2)), np.ones((2, 2))]
    with refused("n_steps"):
        pad_clips(clips, n_steps=number)
    with refused("history"):
        label_history(SEGMENTS, history=number)
    with refused("future_steps"):
        cut_clips(FEATURES, SEGMENTS, **CUT, future_steps=number)
    with refused("n_steps"):
        trimmed_pairs(clips, n_pairs=1, n_steps=number, gap=1)


@pytest.mark.parametrize("time", LONG, ids=len_of)
@pytest.mark.parametrize("name", ["clip_duration", "anticipation_time", "window"])
def test_times_of_pairs(name, time):
    with refused(name):
        unlabeled_pairs(SEGMENTS, 1, **{name: time})


@pytest.mark.parametrize("time", LONG, ids=len_of)
def test_times_of_clips_and_sequences(time):
    for name in CUT:
        with refused(name):
            cut_clips(FEATURES, SEGMENTS, **CUT | {name: time})
    with refused("anticipation_time"):
        label_history(SEGMENTS, anticipation_time=time)
    with refused("max_gap"):
        label_sequences(SEGMENTS, max_gap=time)


@pytest.mark.parametrize("rate", [*LONG, 5e-324, 1e-30], ids=len_of)
def test_rates(rate):
    pairs = unlabeled_pairs(SEGMENTS, 1, random_state=0)
    for call in (
        lambda: cut_clips(FEATURES, SEGMENTS, **CUT, fps=rate),
        lambda: cut_clips(FEATURES, SEGMENTS, **CUT, feature_rate=rate),
        lambda: cut_clips(FEATURES, SEGMENTS, **CUT, fps={"a": 30, "b": rate}),
        lambda: label_history(SEGMENTS, fps=rate),
        lambda: label_history(SEGMENTS, fps={"a": 30, "b": rate}),
        lambda: label_sequences(SEGMENTS, fps=rate),
        lambda: unlabeled_pairs(SEGMENTS, 1, fps=rate),
        lambda: cut_pairs(pairs, FEATURES, feature_rate=rate),
        lambda: cut_pairs(pairs, FEATURES, feature_rate=30, fps=rate),
    ):
        with refused("fps|feature_rate"):
            call()


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_frames_of_ages_with_a_rate_of_each_video(rate):
    far = SEGMENTS | {"stop_frame": np.array([80, 2**53, 99])}
    with pytest.raises(ValueError, match=r"row 1 of segments lasts from .* Check fps"):
        label_history(far, fps={"a": rate, "b": rate})


@pytest.mark.parametrize("number", HUGE, ids=len_of)
@pytest.mark.parametrize(
    "spec",
    [
        lambda k: MLP(k),
        lambda k: MLP((2, k)),
        lambda k: LSTM(k),
        lambda k: LSTM(2, n_layers=k),
        lambda k: EncoderDecoderLSTM(k),
        lambda k: AVTHead(k, n_heads=2),
        lambda k: AVTHead(8, n_heads=2, n_layers=k),
        lambda k: AVTHead(8, n_heads=2, max_steps=k),
        lambda k: AttentiveProbe(8, n_heads=2, n_queries=k),
        lambda k: AttentiveProbe(8, n_heads=2, n_blocks=k),
        lambda k: AttentiveProbe(8, n_heads=2, n_positions=k),
        lambda k: LSTM(2, time_step=float(min(k, 10**300))),
        lambda k: LSTM(2, anticipation_time=float(min(k, 10**300))),
    ],
)
def test_sizes_of_networks(spec, number):
    X = np.ones((4, 3, 4), np.float32)
    with refused("parameter of|hidden_size"):
        SmoothedAnticipator(spec(number), max_epochs=1).fit(X, [0, 1, 0, 1])


@pytest.mark.parametrize("number", HUGE, ids=len_of)
def test_sizes_of_patches_and_teachers(number):
    maps, y = np.ones((4, 2, 2, 2, 4), np.float32), [0, 1, 0, 1]
    for patch_size in (number, (1, 1, number)):
        with refused("patch_size"):
            network = FeatureMapNet(2, patch_size=patch_size)
            SmoothedAnticipator(network, max_epochs=1).fit(maps, y)
    for name in ("hidden_size", "order", "n_networks", "max_epochs"):
        with refused(name):
            HistoryTeacher(**{name: number}).fit([[0], [1], [0], [1]], y)
    for name in ("max_epochs", "n_iter_no_change"):
        with refused(name):
            DistilledAnticipator(**{name: number}).fit(np.eye(4), y)


def test_weights_that_torch_cannot_count_are_too_many():
    maps = np.ones((4, 2, 2, 2, 4), np.float32)
    network = FeatureMapNet(2, patch_size=2**31 - 1)
    with pytest.raises(MemoryError, match="Lower .*width of the network"):
        SmoothedAnticipator(network, max_epochs=1).fit(maps, [0, 1, 0, 1])


def test_a_whole_number_that_is_no_float():
    weight = Interval(Real, 0, None, closed="left")
    for number in (1e308, np.float32(2), np.float16(2), np.int8(2), 2**62):
        assert weight.is_satisfied_by(number)
    assert not any(map(weight.is_satisfied_by, HUGE[1:]))
    for prior in (TemporalPrior(strength=2**70), TransitionPrior(strength=2**70)):
        with refused("strength"):
            prior.fit(range(3), [0, 1, 2], [0, 1, 2])
    for name in ("max_grad_norm", "weight_decay", "logit_adjustment"):
        with refused(name):
            SmoothedAnticipator(**{name: 10**30}).fit(np.eye(4), [0, 1, 0, 1])
    for name in ("alpha", "temperature", "text_temperature"):
        with refused(name):
            DistilledAnticipator(**{name: 1e300}).fit(np.eye(4), [0, 1, 0, 1])
    with refused("teacher_weight"):
        DistilledAnticipator(teacher_weight=10**400).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize("number", [1e30, 10**30, 10**400, np.inf, np.nan, -1, "a"])
def test_factors_of_losses(number):
    logits, proba = torch.zeros(2, 3), torch.full((2, 3), 1 / 3)
    maps = torch.ones(2, 2, 3)
    for call in (
        lambda: focal_loss(logits, proba, gamma=number),
        lambda: focal_loss(logits, proba, alpha=number),
        lambda: distillation_kl(logits, proba, temperature=number),
        lambda: weakly_aligned_loss(maps, maps, alpha=number),
        lambda: teacher_pooled(maps, alpha=number),
        lambda: direct_loss(maps, maps, delta=number),
    ):
        with pytest.raises(ValueError, match="(gamma|alpha|temperature|delta) must be"):
            call()


def test_the_largest_temperature_is_finite():
    logits, proba = torch.eye(4, 3), torch.eye(4, 3).softmax(1)
    assert torch.isfinite(distillation_kl(logits, proba, temperature=1e15))


@pytest.mark.parametrize("number", HUGE, ids=len_of)
def test_sizes_of_synthetic_data(number):
    for name in ("n_videos", "n_actions_per_video", "n_steps", "n_features", "history"):
        with refused(name):
            make_kitchen(**{name: number})
    for name in ("drift", "n_labeled_per_class", "n_unlabeled", "n_test"):
        with refused(name):
            make_drifting_maps(**{name: number})


@pytest.mark.parametrize("number", HUGE, ids=len_of)
def test_numbers_of_frames(number, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    with refused("first_frame"):
        read_npy(tmp_path, out=tmp_path / "out", first_frame=number)
    with refused("first_frame"):
        FeatureTable.from_arrays({"a": np.ones((3, 2))}, first_frame=number)
    with refused("n_frames"):
        unlabeled_pairs(SEGMENTS, 1, n_frames={"a": number, "b": 300})
