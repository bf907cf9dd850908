import pickle
import time

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
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.utils.metadata_routing import UNUSED

from skanticipate._rows import RowView
from skanticipate.preprocessing import HistoryEncoder, PerFrame, pad_clips

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


# HistoryEncoder

ACTIONS = {
    "a": ("cut", "leek"),
    "b": ("cut", "onion"),
    "c": ("wash", "leek"),
}
HISTORY = [["", "cut onion"], ["cut onion", "wash pan"]]
CODES = [[[-1, -1, -1], [1, 1, 1]], [[1, 1, 1], [2, 2, 2]]]


def naive_codes(history, actions):
    verbs, nouns = (sorted({pair[i] for pair in actions.values()}) for i in (0, 1))
    labels = sorted(actions)
    out = []
    for row in history:
        for label in row:
            if label is None:
                out.append((-1, -1, -1))
            elif label not in actions:
                out.append((0, 0, 0))
            else:
                verb, noun = actions[label]
                out.append(
                    (
                        verbs.index(verb) + 1,
                        nouns.index(noun) + 1,
                        labels.index(label) + 1,
                    )
                )
    return np.array(out).reshape(len(history), -1, 3)


def test_codes_of_a_hand_made_history():
    codes = HistoryEncoder().fit_transform(HISTORY)
    assert codes.dtype == np.int32
    assert_array_equal(codes, CODES)


@pytest.mark.parametrize(
    "kind", [np.array, lambda v: np.array(v, object), pd.DataFrame]
)
def test_codes_are_the_same_for_every_container(kind):
    assert_array_equal(HistoryEncoder().fit_transform(kind(HISTORY)), CODES)


@pytest.mark.parametrize("nothing", [None, NAN, "", -1])
def test_every_sign_of_no_action_is_padding(nothing):
    history = [[nothing, "cut onion"], ["cut onion", "wash pan"]]
    assert_array_equal(HistoryEncoder().fit_transform(history), CODES)


@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.float64, object])
def test_numbered_labels_without_actions_are_encoded_as_actions_only(dtype):
    encoder = HistoryEncoder()
    codes = encoder.fit_transform(np.array([[-1, 7], [7, 3]], dtype=dtype))
    assert_array_equal(codes, [[[-1], [2]], [[2], [1]]])
    assert encoder.n_codes_ == (3,)
    assert encoder.get_feature_names_out().tolist() == ["action"]
    assert_array_equal(encoder.transform([[5, 3]]), [[[0], [1]]])


def test_the_missing_value_of_pandas_is_padding():
    history = pd.DataFrame(
        {"before": [pd.NA, "cut onion"], "last": HISTORY[1]}, dtype="string"
    )
    codes = HistoryEncoder().fit_transform(history)
    assert_array_equal(codes, [[[-1] * 3, [1, 1, 1]], [[1, 1, 1], [2, 2, 2]]])


def test_nan_among_numbers_is_padding():
    codes = HistoryEncoder().fit_transform(np.array([[NAN, 7.0], [NAN, NAN]]))
    assert_array_equal(codes[..., 0], [[-1, 1], [-1, -1]])


@pytest.mark.parametrize(
    "actions",
    [
        ACTIONS,
        pd.DataFrame(
            [(label, *pair) for label, pair in ACTIONS.items()],
            columns=["label", "verb", "noun"],
        ),
    ],
)
def test_the_vocabulary_of_actions_does_not_depend_on_the_fold(actions):
    encoder = HistoryEncoder(actions)
    one, other = (
        clone(encoder).fit(rows).transform([["a", "b", "c"]])
        for rows in ([["c", None]], [[None, None]])
    )
    assert_array_equal(one, [[[1, 1, 1], [1, 2, 2], [2, 1, 3]]])
    assert_array_equal(one, other)
    assert encoder.fit([["a"]]).n_codes_ == (3, 3, 4)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", "x", None]), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_codes_equal_a_naive_loop(history):
    encoder = HistoryEncoder(ACTIONS).fit([["a"]])
    assert_array_equal(encoder.transform(history), naive_codes(history, ACTIONS))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", "x", None]), min_size=2, max_size=2),
        min_size=1,
        max_size=6,
    )
)
def test_one_hot_says_the_same_as_the_codes(history):
    codes = HistoryEncoder(ACTIONS).fit([["a"]]).transform(history)
    one_hot = HistoryEncoder(ACTIONS, form="onehot").fit([["a"]]).transform(history)
    assert one_hot.dtype == np.float32
    assert one_hot.shape == (len(history), 2, 2 + 2 + 3)
    for code, row in zip(codes.reshape(-1, 3), one_hot.reshape(-1, 7), strict=True):
        expected = np.zeros(7) if code[0] >= 0 else np.full(7, NAN)
        for offset, part in zip((0, 2, 4), code, strict=True):
            if part > 0:
                expected[offset + part - 1] = 1
        assert_array_equal(row, expected)


def test_an_unknown_action_keeps_the_parts_that_are_known():
    encoder = HistoryEncoder().fit(HISTORY)
    codes = encoder.transform([["cut pan", "cut soup", "dry onion", "dry soup"]])
    assert_array_equal(codes, [[[1, 2, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]])


def test_a_label_that_actions_lack_is_unknown_in_all_parts():
    codes = HistoryEncoder(ACTIONS).fit([["a"]]).transform([["cut leek", "a"]])
    assert_array_equal(codes, [[[0, 0, 0], [1, 1, 1]]])


def test_verbs_and_nouns_may_be_ids():
    table = {"label": [0, 1, 2], "verb": [5, 9, 5], "noun": [1, 1, 4]}
    encoder = HistoryEncoder(table).fit(np.array([[-1, 2]]))
    assert_array_equal(
        encoder.transform(np.array([[-1, 2, 1]])),
        [[[-1, -1, -1], [1, 2, 3], [2, 1, 2]]],
    )


def test_a_row_without_any_past_action_is_ordinary():
    codes = HistoryEncoder().fit(HISTORY).transform([["", ""], [None, "wash pan"]])
    assert_array_equal(codes[0], -np.ones((2, 3)))


def test_histories_may_have_another_length_after_fit():
    assert HistoryEncoder().fit(HISTORY).transform([["wash pan"]]).shape == (1, 1, 3)


def test_names_of_the_codes_and_of_the_one_hot_columns():
    encoder = HistoryEncoder(ACTIONS).fit([["a"]])
    assert encoder.get_feature_names_out().tolist() == ["verb", "noun", "action"]
    names = encoder.set_params(form="onehot").get_feature_names_out()
    assert names.tolist() == [
        *("verb=cut", "verb=wash", "noun=leek", "noun=onion"),
        *("action=a", "action=b", "action=c"),
    ]


def test_history_encoder_feeds_a_pipeline():
    pipeline = make_pipeline(HistoryEncoder(), Spy())
    with config_context(transform_output="pandas"):
        pipeline.fit(np.array(HISTORY), [0, 1])
    assert_array_equal(pipeline["spy"].past_, CODES)
    assert len(pipeline.predict(np.array(HISTORY))) == 2


def test_history_encoder_pickles():
    encoder = pickle.loads(pickle.dumps(HistoryEncoder(ACTIONS).fit([["a"]])))
    assert_array_equal(encoder.transform([["b"]]), [[[1, 2, 2]]])


def test_twenty_thousand_histories_take_a_moment():
    rng = np.random.default_rng(0)
    names = np.array([f"verb{i % 97} noun{i % 293}" for i in range(2500)], dtype=object)
    history = names[rng.integers(0, 2500, size=(23_000, 5))]
    encoder = HistoryEncoder().fit(history)
    start = time.perf_counter()
    encoder.transform(history)
    # About 0.02 s; the bound leaves room for a busy machine.
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("actions", "X", "match"),
    [
        (None, ["cut onion"], r"shape \(n, L\) .* got shape \(1,\)"),
        (None, [["cut onion"], ["cut onion", "wash pan"]], r"got shape \(2,\)"),
        (None, np.empty((3, 0)), r"got shape \(3, 0\)"),
        (None, np.empty((0, 3)), r"got shape \(0, 3\)"),
        (None, np.zeros((2, 2, 1)), r"got shape \(2, 2, 1\)"),
        (None, [["", None]], "nothing but padding"),
        (None, [["cut onion", "stir"]], "needs a verb and a noun.*'stir'"),
        (None, [["cut onion", 3]], "needs a verb and a noun"),
        (ACTIONS, [["a", "x"]], "among them 'x'.*add them to actions"),
        ([1, 2], [["a"]], "actions must be a mapping"),
    ],
)
def test_histories_that_cannot_be_learnt_raise(actions, X, match):
    with pytest.raises(ValueError, match=match):
        HistoryEncoder(actions).fit(X)


def test_histories_that_cannot_be_encoded_raise():
    encoder = HistoryEncoder().fit(HISTORY)
    with pytest.raises(ValueError, match="'stir'"):
        encoder.transform([["cut onion", "stir"]])
    with pytest.raises(ValueError, match="n and L above 0"):
        encoder.transform(np.empty((2, 0), dtype=object))


def test_an_unknown_form_raises():
    with pytest.raises(ValueError, match="'form' parameter of HistoryEncoder"):
        HistoryEncoder(form="one-hot").fit(HISTORY)


def test_history_encoder_must_be_fitted_first():
    with pytest.raises(NotFittedError):
        HistoryEncoder().transform(HISTORY)


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
