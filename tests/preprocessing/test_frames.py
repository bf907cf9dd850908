import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.utils.metadata_routing import UNUSED

from skanticipate import LSTM, SmoothedAnticipator
from skanticipate.data.rows import RowView
from skanticipate.preprocessing import PerFrame

NAN = np.nan


def clips(shape=(6, 5, 3), dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, size=shape).astype(dtype)


def padded_clips():
    X = clips()
    X[0, :2] = NAN
    X[4] = NAN
    return X


# PerFrame


@pytest.mark.parametrize("shape", [(6, 3), (6, 5, 3), (6, 2, 4, 3), (4, 2, 3, 2, 3)])
def test_frames_of_any_clip_are_scaled_as_one_table(shape):
    X = clips(shape)
    expected = StandardScaler().fit_transform(X.reshape(-1, 3)).reshape(shape)
    assert_allclose(PerFrame(StandardScaler()).fit_transform(X), expected)


def test_padding_is_not_fitted_and_stays():
    X = padded_clips()
    scaler = PerFrame(StandardScaler()).fit(X)
    frames = X[~np.isnan(X).any(axis=2)]  # (m, 3)
    assert len(frames) == 23
    assert_allclose(scaler.transformer_.mean_, frames.mean(axis=0))
    out = scaler.transform(X)
    assert_array_equal(np.isnan(out), np.isnan(X))
    assert_allclose(out[1], (X[1] - frames.mean(axis=0)) / frames.std(axis=0))


@pytest.mark.parametrize("n_components", [1, 2])
def test_padding_stays_when_the_number_of_channels_changes(n_components):
    X = padded_clips()
    reducer = PerFrame(PCA(n_components)).fit(X)
    out = reducer.transform(X)
    assert out.shape == (6, 5, n_components)
    assert np.isnan(out[0, :2]).all()
    assert np.isfinite(out[0, 2:]).all()
    nothing = reducer.transform(np.full((2, 7, 3), NAN))
    assert nothing.shape == (2, 7, n_components)
    assert np.isnan(nothing).all()


def test_pooled_rows_without_a_future_stay():
    X = np.array([[1.0, 2.0], [NAN, NAN], [3.0, 6.0]])
    out = PerFrame(MinMaxScaler()).fit_transform(X)
    assert_array_equal(out, [[0, 0], [NAN, NAN], [1, 1]])


def test_the_number_of_steps_may_change_after_fit():
    scaler = PerFrame(StandardScaler()).fit(clips())
    assert scaler.transform(clips((2, 9, 3))).shape == (2, 9, 3)
    assert scaler.transform(clips((2, 3))).shape == (2, 3)
    assert scaler.transform(clips((2, 1, 4, 4, 3))).shape == (2, 1, 4, 4, 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.floats(0, 0.9))
def test_transforming_padded_clips_equals_transforming_each_step(seed, share):
    X = clips((4, 5, 2), seed=seed)
    X[np.random.default_rng(seed).random((4, 5)) < share] = NAN
    X[0, 0] = 1.0
    scaler = PerFrame(MinMaxScaler()).fit(X)
    out = scaler.transform(X)
    for clip, row in zip(X, out, strict=True):
        for step, result in zip(clip, row, strict=True):
            expected = (
                step
                if np.isnan(step).any()
                else scaler.transformer_.transform(step[None])[0]
            )
            assert_allclose(result, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_type_with_and_without_padding(dtype):
    X = padded_clips().astype(dtype)
    scaler = PerFrame(StandardScaler()).fit(X)
    for part in (X, X[1:3], X[4:5]):
        assert scaler.transform(part).dtype == dtype


def test_integer_results_become_floats_only_where_there_is_padding():
    binner = PerFrame(FunctionTransformer(lambda frames: frames.astype(np.int32)))
    X = padded_clips()
    assert binner.fit(X).transform(X[1:3]).dtype == np.int32
    assert np.isnan(binner.transform(X)[4]).all()


def test_sparse_results_become_dense():
    X = np.array([[[0.0], [1.0]], [[NAN], [1.0]]])
    out = PerFrame(OneHotEncoder()).fit_transform(X)
    assert_array_equal(out, [[[1, 0], [0, 1]], [[NAN, NAN], [0, 1]]])


def test_a_transformer_that_needs_labels_gets_none():
    X, y = clips((6, 3)), [0, 0, 0, 1, 1, 1]
    with pytest.raises((TypeError, ValueError), match="y"):
        PerFrame(SelectKBest(k=1)).fit(X, y)


@pytest.mark.parametrize("output", ["pandas", "default"])
def test_the_global_output_format_does_not_matter(output):
    with config_context(transform_output=output):
        out = PerFrame(StandardScaler()).fit_transform(padded_clips())
    assert type(out) is np.ndarray
    assert out.shape == (6, 5, 3)


def test_a_transformer_that_is_set_to_pandas_serves():
    inner = StandardScaler().set_output(transform="pandas")
    assert type(PerFrame(inner).fit_transform(clips())) is np.ndarray


def test_memory_maps_and_row_views_are_read_as_arrays(tmp_path):
    X = padded_clips().astype(np.float32)
    np.save(tmp_path / "clips.npy", X)
    mapped = np.load(tmp_path / "clips.npy", mmap_mode="r")
    expected = PerFrame(StandardScaler()).fit_transform(X)
    for source in (mapped, RowView(mapped), X.tolist()):
        out = PerFrame(StandardScaler()).fit_transform(source)
        assert type(out) is np.ndarray
        assert_allclose(out, expected, rtol=1e-5)
    rows = RowView(mapped)[np.array([3, 1])]
    out = PerFrame(StandardScaler()).fit(X).transform(rows)
    assert_allclose(out, expected[[3, 1]], rtol=1e-6)


def test_the_input_stays_untouched():
    X = padded_clips()
    copy = X.copy()
    PerFrame(StandardScaler()).fit_transform(X)
    assert_array_equal(X, copy)


def test_parameters_of_the_transformer_are_grid_search_keys():
    frames = PerFrame(StandardScaler())
    frames.set_params(transformer__with_mean=False)
    assert clone(frames).get_params()["transformer__with_mean"] is False


def test_the_given_transformer_is_not_fitted():
    inner = StandardScaler()
    PerFrame(inner).fit(clips())
    assert not hasattr(inner, "mean_")


def test_number_of_features_is_published_for_pooled_input_only():
    frames = PerFrame(StandardScaler()).fit(clips((6, 3)))
    assert (frames.n_features_in_, frames.feature_dim_) == (3, 3)
    frames.fit(clips((6, 5, 4)))
    assert not hasattr(frames, "n_features_in_")
    assert frames.feature_dim_ == 4


def test_names_of_the_output_channels():
    X = pd.DataFrame(clips((6, 2)), columns=["left", "right"])
    scaler = PerFrame(StandardScaler()).fit(X)
    assert scaler.get_feature_names_out().tolist() == ["left", "right"]
    reducer = PerFrame(PCA(2)).fit(clips())
    assert reducer.get_feature_names_out().tolist() == ["pca0", "pca1"]


def test_per_frame_pickles():
    X = padded_clips()
    frames = PerFrame(StandardScaler()).fit(X)
    again = pickle.loads(pickle.dumps(frames))
    assert_array_equal(again.transform(X), frames.transform(X))


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.full((2, 3, 4), NAN), "All 6 steps of X are NaN"),
        (np.zeros((2, 0, 4)), "All 0 steps of X"),
        (
            np.where(np.arange(12.0).reshape(2, 3, 2) == 9, NAN, 1.0),
            "X contains NaN inside step 1 of row 1: .*Impute",
        ),
        (
            np.where(np.arange(12.0).reshape(2, 3, 2) < 2, np.inf, 1.0),
            "X contains infinity inside step 0 of row 0",
        ),
        (np.array([[1.0, 2.0], [NAN, 1.0]]), "X contains NaN inside step 0 of row 1"),
        (np.arange(3.0), "Expected 2D array, got 1D"),
    ],
)
def test_clips_that_cannot_be_fitted_raise(X, match):
    with pytest.raises(ValueError, match=match):
        PerFrame(StandardScaler()).fit(X)


def test_a_frame_that_is_nan_inside_a_real_step_raises():
    X = clips((2, 3, 4, 2))  # (n, T, position, d)
    X[0, 1, 2] = NAN
    with pytest.raises(ValueError, match="NaN inside step 1 of row 0: a step"):
        PerFrame(StandardScaler()).fit(X)


def test_an_imputer_fills_features_but_no_padding():
    X = padded_clips()
    X[2, 3, 1] = X[5, 0, 0] = NAN
    frames = X[~np.isnan(X).all(axis=2)]  # (m, 3)
    out = PerFrame(SimpleImputer()).fit_transform(X)
    mean = np.nanmean(frames, axis=0)
    assert_allclose([out[2, 3, 1], out[5, 0, 0]], mean[[1, 0]])
    expected = X.copy()
    expected[2, 3, 1], expected[5, 0, 0] = mean[[1, 0]]
    assert_allclose(out, expected)
    model = SmoothedAnticipator(LSTM(3), max_epochs=1)
    make_pipeline(PerFrame(SimpleImputer()), model).fit(X, [0, 1] * 3).predict(X)
    with pytest.raises(ValueError, match="infinity"):
        PerFrame(SimpleImputer()).fit(np.where(X > 4, np.inf, X))


def test_a_scaler_fitted_on_whole_frames_leaves_no_hole():
    scaler = PerFrame(StandardScaler()).fit(clips())
    X = clips()
    X[1, 2, 0] = NAN
    with pytest.raises(ValueError, match="X contains NaN inside step 2 of row 1"):
        scaler.transform(X)


def test_clips_without_a_step_have_nothing_to_transform():
    frames = PerFrame(PCA(2)).fit(clips())
    assert frames.transform(np.zeros((2, 0, 3))).shape == (2, 0, 2)


def test_another_number_of_channels_raises():
    frames = PerFrame(StandardScaler()).fit(clips())
    with pytest.raises(ValueError, match=r"X has 5 channels .* fitted on 3"):
        frames.transform(clips((2, 3, 5)))
    with pytest.raises(ValueError, match="NaN inside step 0 of row 0"):
        frames.transform(np.array([[[1.0, NAN, 2.0]]]))


def test_per_frame_must_be_fitted_first():
    with pytest.raises(NotFittedError):
        PerFrame(StandardScaler()).transform(clips())


def test_what_cannot_transform_is_refused():
    with pytest.raises(ValueError, match="'transformer' parameter of PerFrame"):
        PerFrame("scaler").fit(clips())


class Spy(ClassifierMixin, BaseEstimator):
    """A classifier that, like ours, asks for the future clips and keeps them."""

    __metadata_request__fit = {"X_past": UNUSED, "X_future_unlabeled": True}

    def __init__(self, constant=0):
        self.constant = constant

    def fit(self, X_past, y, X_future_unlabeled=None):
        self.classes_ = np.unique(y)
        self.past_, self.future_ = X_past, X_future_unlabeled
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[self.constant])


def test_past_and_future_go_through_the_same_scaler_in_a_pipeline():
    past, future = clips((6, 5, 3)), clips((6, 2, 3), seed=1)
    future[2] = NAN
    with config_context(enable_metadata_routing=True):
        pipeline = Pipeline(
            [("scale", PerFrame(StandardScaler())), ("clf", Spy())],
            transform_input=["X_future_unlabeled"],
        ).fit(past, [0, 1] * 3, X_future_unlabeled=future)
    mean, scale = past.mean(axis=(0, 1)), past.std(axis=(0, 1))
    assert_allclose(pipeline["clf"].past_, (past - mean) / scale)
    assert_allclose(pipeline["clf"].future_, (future - mean) / scale)


def test_a_search_tunes_the_transformer_and_slices_the_future():
    past, future = clips((6, 5, 3)), clips((6, 2, 3), seed=1)
    with config_context(enable_metadata_routing=True):
        pipeline = Pipeline(
            [("scale", PerFrame(StandardScaler())), ("clf", Spy())],
            transform_input=["X_future_unlabeled"],
        )
        grid = {"scale__transformer__with_mean": [True, False]}
        search = GridSearchCV(pipeline, grid, cv=2)
        search.fit(past, [0, 1] * 3, X_future_unlabeled=future)
    assert search.best_estimator_["clf"].future_.shape == (6, 2, 3)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
