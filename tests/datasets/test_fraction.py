import math
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import DistilledAnticipator, pad_clips
from skanticipate.datasets import first_fraction, trimmed_pairs


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 1.0])
def test_the_first_steps_of_each_clip_are_seen(fraction):
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, 2, 3)) for n in (15, 40, 1, 7)]
    past, future = first_fraction(clips, fraction)
    seen = [max(1, math.ceil(fraction * len(clip))) for clip in clips]
    assert past.shape == (4, max(seen), 2, 3)
    assert future.shape == (4, 40, 2, 3)
    for row, clip, n in zip(past, clips, seen, strict=True):
        assert_array_equal(row[len(row) - n :], clip[:n])
        assert np.isnan(row[: len(row) - n]).all()
    for row, clip in zip(future, clips, strict=True):
        assert_array_equal(row[40 - len(clip) :], clip)


def test_padding_of_an_array_does_not_count():
    clips = [np.arange(1.0, 11)[:, None], np.arange(1.0, 6)[:, None]]
    listed, padded = first_fraction(clips, 0.4), first_fraction(pad_clips(clips), 0.4)
    assert_array_equal(padded.X_past[:, :, 0], [[1, 2, 3, 4], [np.nan, np.nan, 1, 2]])
    for one, other in zip(listed, padded, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    "take", [first_fraction, lambda clips: trimmed_pairs(clips, n_steps=2, gap=1)]
)
def test_zeros_that_look_like_padding_are_told(take):
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, 3)) for n in rng.integers(6, 13, 40)]
    zeros = np.zeros((40, 12, 3))
    for row, clip in zip(zeros, clips, strict=True):
        row[: len(clip)] = clip  # as torch's pad_sequence does
    with pytest.warns(UserWarning, match="end with steps that are all zero"):
        take(zeros)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take(clips)


def test_rounding_takes_no_step_more():
    assert 0.07 * 100 > 7
    assert first_fraction(np.ones((1, 100, 1)), 0.07).X_past.shape == (1, 7, 1)


def test_a_fit_takes_past_and_future():
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    clips = [y[i] + rng.normal(size=(5 + i % 4, 4)) for i in range(24)]
    early = first_fraction(clips, 0.3)
    y[20:] = -1
    model = DistilledAnticipator(max_epochs=2, random_state=0)
    model.fit(early.X_past, y, early.X_future)
    assert model.predict(early.X_past).shape == (24,)


@pytest.mark.parametrize(
    ("clips", "fraction", "match"),
    [
        ([np.ones((3, 2))], 0.0, "'fraction' parameter"),
        ([np.ones((3, 2))], 1.1, "'fraction' parameter"),
        ([np.ones((3, 2)), np.ones((0, 2))], 0.2, r"clip 1 has no step \(1 such"),
        ([np.ones((3, 2)), np.ones((3, 4))], 0.2, "clip"),
        ([], 0.2, "clips is empty"),
        (np.ones((3, 4)), 0.2, "clip"),
    ],
)
def test_what_is_no_clip(clips, fraction, match):
    with pytest.raises(ValueError, match=match):
        first_fraction(clips, fraction)


def test_padding_at_the_end_does_not_count_either():
    """Clips of 4 and 10 steps, padded on the right to 10."""
    clips = np.full((2, 10, 1), np.nan)
    clips[0, :4, 0], clips[1, :, 0] = np.arange(1.0, 5), np.arange(1.0, 11)
    past, future = first_fraction(clips, 0.5)
    assert_array_equal(past[:, :, 0], [[np.nan] * 3 + [1, 2], [1, 2, 3, 4, 5]])
    assert_array_equal(future[0, :, 0], [*[np.nan] * 6, 1, 2, 3, 4])
