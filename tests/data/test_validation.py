"""Clips and what comes with them, checked at the door."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from torch.utils.data import TensorDataset

from skanticipate import (
    DistilledAnticipator,
    RowView,
    SmoothedAnticipator,
    TeacherEnsemble,
    pad_clips,
)
from skanticipate.data.samples import check_groups
from skanticipate.data.validation import (
    check_aligned,
    check_clip_shape,
    check_clips,
    chunks,
    padding_steps,
)

NAN, INF = np.nan, np.inf


def clips_of(X, name="X_past", estimator=None):
    estimator = LogisticRegression() if estimator is None else estimator
    return check_clips(X, name=name, estimator=estimator, reset=True)


@pytest.mark.parametrize(
    ("groups", "message"),
    [(["a", None], "missing entries"), ([1.0, np.nan], "missing entries|NaN")],
)
def test_groups_without_a_name_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        check_groups(groups)


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 2), (4, 3, 2, 2, 5)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
def test_arrays_become_rows_in_their_own_type(shape, dtype):
    X = (np.arange(np.prod(shape)).reshape(shape) % 7).astype(dtype)
    rows = clips_of(X)
    assert isinstance(rows, RowView)
    assert rows.dtype == dtype
    assert_array_equal(np.asarray(rows), X)


def test_sum_that_overflows_is_no_missing_value():
    X = np.full((4, 3), 60_000, dtype=np.float16)
    assert clips_of(X).shape == (4, 3)
    assert clips_of(RowView(X)).shape == (4, 3)


def test_lists_become_rows():
    assert_array_equal(np.asarray(clips_of([[1, 2], [3, 4]])), [[1, 2], [3, 4]])


def test_row_views_and_memory_maps_stay_where_they_are(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((5, 2), dtype=np.float16))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    rows = clips_of(mapped)
    assert rows.base is mapped
    assert rows.dtype == np.float16
    view = RowView(mapped)[[1, 2]]
    assert clips_of(view) is view


def test_table_gives_feature_names_and_numbers():
    estimator = LogisticRegression()
    clips_of(pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4]}), estimator=estimator)
    assert estimator.feature_names_in_.tolist() == ["a", "b"]
    assert estimator.n_features_in_ == 2


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2)])
@pytest.mark.parametrize("wrap", [np.asarray, RowView])
def test_caller_array_is_left_alone(shape, wrap):
    X = np.ones(shape)
    X.flags.writeable = False
    clips_of(wrap(X))


@pytest.mark.parametrize("wrap", [np.asarray, RowView])
@pytest.mark.parametrize(("value", "word"), [(NAN, "NaN"), (INF, "infinity")])
def test_pooled_features_must_be_finite(wrap, value, word):
    X = np.ones((4, 3))
    X[2, 1] = value
    with pytest.raises(ValueError, match=f"Input X_past contains {word}"):
        clips_of(wrap(X))


def test_pooled_row_of_nothing_but_nan_is_no_padding():
    X = np.ones((4, 3))
    X[1] = NAN
    with pytest.raises(ValueError, match="Input X_past contains NaN"):
        clips_of(X)


@pytest.mark.parametrize("where", [(1, 0), (1, 2), (slice(None), 0), (2, slice(None))])
@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 3, 2, 2)])
def test_step_that_is_all_nan_is_padding(shape, where):
    X = np.ones(shape)
    X[where] = NAN
    rows = clips_of(X)
    expected = np.zeros(shape[:2], dtype=bool)
    expected[where] = True
    assert_array_equal(padding_steps(np.asarray(rows)), expected)


@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 3, 2, 2)])
@pytest.mark.parametrize(
    ("value", "word"), [(NAN, "NaN"), (INF, "infinity"), (-INF, "infinity")]
)
def test_value_missing_inside_a_step_is_named(shape, value, word):
    X = np.ones(shape)
    X[0, 1] = NAN  # padding, and no error
    X[2, 1, ..., -1] = value
    with pytest.raises(ValueError, match=f"{word} inside step 1 of row 2: .*Impute"):
        clips_of(X)


def test_step_that_is_all_infinite_is_an_error():
    X = np.ones((4, 3, 2))
    X[3, 2] = INF
    with pytest.raises(ValueError, match="infinity inside step 2 of row 3"):
        clips_of(X)


def test_memory_map_is_checked_in_chunks(tmp_path):
    X = np.ones((11, 3, 116_508), dtype=np.float32)  # a third of 4 MiB each
    X[10, 2, 0] = NAN
    np.save(tmp_path / "X.npy", X)
    rows = RowView(np.load(tmp_path / "X.npy", mmap_mode="r"))
    sizes = [(start, len(chunk)) for start, chunk in chunks(rows)]
    assert sizes == [(0, 3), (3, 3), (6, 3), (9, 2)]
    with pytest.raises(ValueError, match="NaN inside step 2 of row 10"):
        clips_of(rows)
    assert clips_of(rows[:10]).shape == (10, 3, 116_508)


def test_chunk_holds_at_least_one_row():
    large = RowView(np.ones((3, 1 << 20)))  # 8 MiB each
    assert [start for start, _ in chunks(large)] == [0, 1, 2]


@pytest.mark.parametrize(
    "X",
    [
        RowView(np.ones(4)),
        RowView(np.ones((0, 4))),
        RowView(np.ones((4, 0))),
        RowView(np.ones((4, 0, 2))),
        RowView(np.ones((4, 2), dtype=complex)),
        RowView(np.full((4, 2), "a")),
        np.ones((4, 0, 2)),
    ],
)
def test_header_must_be_that_of_clips(X):
    with pytest.raises(ValueError, match=r"X_past must hold numbers|minimum of 1"):
        clips_of(X)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones(4), ValueError, "Expected 2D array, got 1D"),
        (np.ones((0, 4)), ValueError, "minimum of 1 is required"),
        (np.ones((4, 2), dtype=complex), ValueError, "Complex data not supported"),
        ([["a", "b"]], ValueError, "could not convert string|dtype='numeric'"),
        (sparse.csr_array(np.eye(3)), TypeError, "[Ss]parse"),
        ([[1, 2], [3]], ValueError, "unequal length: pad_clips|sequence"),
    ],
)
def test_what_is_no_array_of_clips_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        clips_of(X)


@pytest.mark.parametrize(
    ("shape", "seen", "fixed"),
    [
        ((9, 4), (4,), True),
        ((9, 4), (4,), False),
        ((9, 5, 4), (5, 4), True),
        ((9, 7, 4), (5, 4), False),
        ((9, 7, 2, 4), (5, 2, 4), False),
    ],
)
def test_clips_of_the_shape_of_fit_pass(shape, seen, fixed):
    check_clip_shape(RowView(np.empty(shape)), seen, fixed, name="X")


@pytest.mark.parametrize(
    ("shape", "seen", "fixed", "words"),
    [
        ((9, 5), (4,), False, r"\(n, 4\)"),
        ((9, 7, 4), (5, 4), True, r"\(n, 5, 4\)"),
        ((9, 7, 3), (5, 4), False, r"\(n, T, 4\)"),
        ((9, 4), (5, 4), False, r"\(n, T, 4\)"),
        ((9, 5, 4, 1), (5, 4), False, r"\(n, T, 4\)"),
    ],
)
def test_clips_of_another_shape_are_refused(shape, seen, fixed, words):
    with pytest.raises(ValueError, match=f"X has shape .* fit saw clips .*{words}"):
        check_clip_shape(RowView(np.empty(shape)), seen, fixed, name="X")


def test_signals_must_be_as_long_as_the_clips():
    check_aligned(3, y=[1, 2, 3], groups=None, teacher_proba=np.ones((3, 2)))
    with pytest.raises(ValueError, match="groups has 2 rows but X_past has 3: give"):
        check_aligned(3, y=[1, 2, 3], groups=["a", "b"])


def test_unlabelled_clips_as_an_array_of_their_own_are_told_where_they_belong():
    past, unlabelled = np.ones((3, 4, 2)), np.ones((50, 6, 2))
    remedy = r"50 rows but X_past has 3.*append them to X_past, with y = -1"
    for student in (DistilledAnticipator(), SmoothedAnticipator()):
        with pytest.raises(ValueError, match=remedy):
            student.fit(past, [0, 1, 0], unlabelled)
    # The remedy, followed.
    X = np.concatenate([past, np.zeros((50, 4, 2))])
    futures = np.concatenate([np.full((3, 6, 2), np.nan), unlabelled])
    check_aligned(len(X), X_future_unlabeled=futures, y=[0, 1, 0] + [-1] * 50)


def test_groups_that_differ_in_case_or_spaces_only_are_warned_of():
    with pytest.warns(UserWarning, match="groups 'P01' and 'P01 ' differ in nothing"):
        check_groups(["P01", "P01 ", "P02"])
    check_groups(["P01", "P02", "P01"])


CLIPS = np.arange(24.0).reshape(2, 4, 3)


@pytest.mark.parametrize(
    "X",
    [
        TensorDataset(torch.tensor(CLIPS)),
        TensorDataset(torch.tensor(CLIPS), torch.arange(2)),
        [(clip,) for clip in CLIPS],
        list(zip(CLIPS, [0, 1], strict=True)),
    ],
)
def test_samples_of_a_dataset_of_torch_are_no_clips(X):
    ensemble = TeacherEnsemble([LogisticRegression()])
    for read in (clips_of, pad_clips, lambda X: ensemble.fit(X, [0, 1])):
        with pytest.raises(ValueError, match=r"samples.* dataset\.tensors\[0\]"):
            read(X)


def test_empty_tuples_are_refused_in_words():
    with pytest.raises(ValueError, match="0 feature|at least one"):
        clips_of([(), ()])


def test_tuples_of_frames_are_clips():
    found = clips_of([tuple(clip) for clip in CLIPS])
    assert_array_equal(found.take(np.arange(2)), CLIPS)
