import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from skanticipate import SmoothedAnticipator
from skanticipate.datasets import first_fraction, trimmed_pairs
from skanticipate.preprocessing import PerFrame, pad_clips

NAN = np.nan


def clips(shape=(6, 5, 3), dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, size=shape).astype(dtype)


# pad_clips


def naive_padding(clips, n_steps):
    step = [[NAN] * len(clips[0][0])]
    return [(step * n_steps + list(clip))[-n_steps:] for clip in clips]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.sampled_from([None, 1, 3, 9]),
)
def test_padding_equals_that_of_lists(lengths, n_steps):
    sequences = [clips((length, 2), seed=seed) for seed, length in enumerate(lengths)]
    expected = naive_padding([c.tolist() for c in sequences], n_steps or max(lengths))
    assert_array_equal(pad_clips(sequences, n_steps=n_steps), expected)


def test_clips_end_at_the_last_step():
    X = pad_clips([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
    assert_array_equal(X, [[[NAN, NAN], [1, 2]], [[3, 4], [5, 6]]])


def test_of_long_clips_the_last_steps_are_kept():
    X = pad_clips([[[1.0], [2.0], [3.0]], [[4.0]]], n_steps=2)
    assert_array_equal(X[..., 0], [[2, 3], [NAN, 4]])


def test_feature_maps_are_padded_step_by_step():
    X = pad_clips([clips((2, 4, 4, 3)), clips((5, 4, 4, 3))])
    assert X.shape == (2, 5, 4, 4, 3)
    assert np.isnan(X[0, :3]).all()
    assert_array_equal(X[0, 3:], clips((2, 4, 4, 3)))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float16", "float16"], "float16"),
        (["float32", "float32"], "float32"),
        (["float32", "float64"], "float64"),
        (["int64", "int64"], "float32"),
        (["uint8", "bool"], "float32"),
        (["float32", "int64"], "float32"),
    ],
)
def test_type_of_padded_clips(dtypes, expected):
    sequences = [np.ones((n, 2), dtype) for n, dtype in enumerate(dtypes, start=1)]
    assert pad_clips(sequences).dtype == expected


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_stay_exact(dtype, sign):
    if sign < 0 and dtype[0] == "u":
        return
    number = 2**24 + 1  # float32 would make it 2**24
    X = pad_clips([np.full((1, 2), sign * number, dtype), np.ones((2, 2), np.float32)])
    assert int(X[0, 1, 0]) == sign * number
    assert X.dtype == np.float64


def test_whole_numbers_that_no_float_holds_are_refused():
    with pytest.raises(ValueError, match=r"clips\[1\] holds .*40993, beyond"):
        pad_clips([np.ones((1, 2)), np.full((1, 2), 2**53 + 1)])


def test_a_clip_without_steps_is_a_missing_one():
    X = pad_clips([np.zeros((0, 2)), [[1.0, 2.0]]])
    assert_array_equal(X, [[[NAN, NAN]], [[1, 2]]])
    assert np.isnan(pad_clips([np.zeros((0, 2))], n_steps=3)).all()


def test_padded_clips_are_a_copy():
    clip = np.ones((2, 1))
    pad_clips([clip])[:] = 5
    assert_array_equal(clip, np.ones((2, 1)))


def test_an_array_of_clips_may_be_cut_too():
    assert_array_equal(pad_clips(clips(), n_steps=2), clips()[:, -2:])


def test_padded_clips_are_scaled_by_their_own_steps():
    sequences = [clips((2, 3)), clips((4, 3), seed=1)]
    out = PerFrame(StandardScaler()).fit(pad_clips(sequences))
    assert_allclose(out.transformer_.mean_, np.concatenate(sequences).mean(axis=0))


@pytest.mark.parametrize(
    ("sequences", "match"),
    [
        ([], "clips is empty"),
        ({"a": np.ones((2, 3))}, "got a dict: pass the clips alone"),
        (pd.DataFrame({"v": [1, 1]}).groupby("v"), "got a DataFrameGroupBy: pass the"),
        ([[[1.0]], [1.0, 2.0]], r"clips\[1\] has shape \(2,\): .*clip\[:, None\]"),
        ([1.0, 2.0], r"clips\[0\] has shape \(\)"),
        ([np.ones((2, 3)), np.ones((2, 4))], r"\(2, 4\) but clips\[0\] has \(2, 3\)"),
        ([np.ones((2, 3)), np.ones((2, 3, 1))], "only the number of steps"),
        ([np.array([["a"]])], r"clips\[0\] has dtype <U1: expected real numbers"),
        ([[[1.0, 2.0], [3.0]]], r"clips\[0\] is no array \(T, d\)"),
        ([np.zeros((0, 3))], "None of the 1 clips has a step"),
        (None, "'clips' parameter of pad_clips"),
    ],
)
def test_clips_that_cannot_be_padded_raise(sequences, match):
    with pytest.raises(ValueError, match=match):
        pad_clips(sequences)


@pytest.mark.parametrize("n_steps", [0, -1, 2.5])
def test_a_length_that_is_no_number_of_steps_raises(n_steps):
    with pytest.raises(ValueError, match="'n_steps' parameter of pad_clips"):
        pad_clips([[[1.0]]], n_steps=n_steps)


def test_tables_do_not_run_backwards():
    pd = pytest.importorskip("pandas")
    clips = [
        pd.DataFrame(np.arange(8.0).reshape(4, 2), index=i) for i in ([3, 4, 8, 9],) * 2
    ]
    assert_array_equal(pad_clips(clips), np.stack(clips))
    backwards = [clips[0], clips[1].iloc[::-1]]
    with pytest.raises(ValueError, match=r"index of clips\[1\] does not rise"):
        pad_clips(backwards)
    model = SmoothedAnticipator(max_epochs=1)
    with pytest.raises(ValueError, match=r"index of X_past\[1\] does not rise"):
        model.fit(backwards, [0, 1])


def smooth_clips():
    """Steps that are alike, features that are not.   (30, 20, 64)."""
    steps = np.random.default_rng(0).normal(size=(30, 20, 64)).cumsum(axis=1)
    return steps + np.random.default_rng(1).normal(size=64) * 9


@pytest.mark.parametrize(
    "cut",
    [
        lambda clips: pad_clips(clips, n_steps=10),
        lambda clips: first_fraction(clips, 0.2),
        lambda clips: trimmed_pairs(clips, n_steps=4, gap=2, random_state=0),
    ],
    ids=["pad_clips", "first_fraction", "trimmed_pairs"],
)
def test_channels_that_would_be_cut_for_steps_are_told_of(cut):
    clips = smooth_clips()
    with pytest.warns(UserWarning, match=r"\(n, 64, 20\) are read as 64 steps of 20"):
        cut(np.moveaxis(clips, 1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut(clips)
        cut(clips[:, :, :1])


def test_channels_that_a_transformer_would_mix_for_features_are_told_of():
    clips = smooth_clips()
    with pytest.warns(UserWarning, match=r"\(n, 64, 20\) are read as 64 steps of 20"):
        PerFrame(PCA(5)).fit(np.moveaxis(clips, 1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PerFrame(PCA(5)).fit(clips)


def test_a_whole_dataset_says_what_its_numbers_are(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        file["clips"] = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
        assert pad_clips(file["clips"]).shape == (4, 3, 2)
        file["clips"].attrs["scale_factor"] = 0.5
        for cut in (pad_clips, lambda clips: first_fraction(clips, 0.5)):
            with pytest.raises(ValueError, match="clips has numbers packed by scale_f"):
                cut(file["clips"])
