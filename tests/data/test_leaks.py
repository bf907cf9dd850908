"""Splits that leak for want of groups, and rows of X_val that train, are told of."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, KFold, cross_validate

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    HistoryTeacher,
    LateFusion,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.arange(40) // 3 % 2
HIDDEN = np.where(np.arange(40) < 30, Y, -1)
VIDEOS = np.arange(40) // 4
PAST = RNG.integers(0, 2, (40, 3))
UNGROUPED = "without groups: rows of one video"


def student(kind=SmoothedAnticipator, **params):
    return kind(MLP(4), max_epochs=2, random_state=0, **params)


def fit_distilled(groups, **params):
    model = student(DistilledAnticipator, cross_fit=2, **params)
    return model.fit(X, HIDDEN, X, groups=groups)


def fit_with_texts(groups):
    model = student(DistilledAnticipator, cross_fit=2)
    model.set_params(text_teacher=HistoryTeacher(n_networks=1, max_epochs=1))
    return model.fit(X, HIDDEN, groups=groups, past_actions=PAST)


DIVIDING = {
    "cross_fit": fit_distilled,
    "cross_fit of texts": fit_with_texts,
    "early_stopping": lambda groups: student(early_stopping=True).fit(
        X, Y, groups=groups
    ),
    "HistoryTeacher": lambda groups: HistoryTeacher(n_networks=1, max_epochs=1).fit(
        PAST, Y, groups=groups
    ),
    "SemiSupervisedSplit": lambda groups: GridSearchCV(
        student(DistilledAnticipator), {"lr": [0.1]}, cv=SemiSupervisedSplit(KFold(2))
    ).fit(X, HIDDEN, X_future_unlabeled=X, groups=groups),
}


def told_of(action, groups):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        action(groups)
    return [str(w.message) for w in told if UNGROUPED in str(w.message)]


@pytest.mark.parametrize("name", DIVIDING)
def test_what_divides_rows_says_so_once_and_by_name(name):
    told = told_of(DIVIDING[name], None)
    assert [name.split()[0] in message for message in told].count(True) == 1


@pytest.mark.parametrize("groups", [VIDEOS, range(40)], ids=["videos", "each alone"])
@pytest.mark.parametrize("name", DIVIDING)
def test_groups_silence_it(name, groups):
    assert told_of(DIVIDING[name], groups) == []


# ----------------------------------------------------------------------------- X_val

REPEATS = "of the {} rows of X_val also train"


def fit_with(X_val, X_past=X, **params):
    n = len(X_val)
    return student(**params).fit(X_past, Y, X_val=X_val, y_val=Y[:n])


@pytest.mark.parametrize("wrap", [np.asarray, RowView, np.ndarray.tolist])
def test_rows_of_X_val_that_train_are_counted(wrap):
    X_val = np.concatenate([X[[3, 7]], RNG.normal(size=(8, 3))])
    with pytest.warns(UserWarning, match="2 " + REPEATS.format(10)):
        fit_with(wrap(X_val), wrap(X))


def test_padded_clips_and_another_precision_are_found_too():
    clips = RNG.normal(size=(40, 3, 2)).astype(np.float32)
    clips[:, 0] = np.nan
    with pytest.warns(UserWarning, match="5 " + REPEATS.format(5)):
        SmoothedAnticipator(max_epochs=1).fit(
            clips, Y, X_val=clips[5:10].astype(np.float64), y_val=Y[5:10]
        )


COPIES = {
    "float16": lambda X: X.astype(np.float16),
    "float16, read as float32": lambda X: X.astype(np.float16).astype(np.float32),
    "bfloat16": lambda X: torch.tensor(X).bfloat16(),
    "float64": lambda X: X.astype(np.float64),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_other_precisions_are_found(name):
    clips = X.astype(np.float32)
    other = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    for past, val in ((clips, COPIES[name](clips)), (COPIES[name](clips), clips)):
        with pytest.warns(UserWarning, match="5 " + REPEATS.format(5)):
            fit_with(val[5:10], past)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_with(COPIES[name](other), clips)
        fit_with(other, COPIES[name](clips))


def test_zeros_of_either_sign_are_alike():
    clips = np.maximum(X, 0)
    val = np.where(clips == 0, -0.0, clips)[:5]
    with pytest.warns(UserWarning, match="of the 5 rows of X_val also train"):
        fit_with(val, clips)


@pytest.mark.parametrize("kinds", [(np.uint8, np.float32), (np.float64, np.int64)])
def test_features_that_are_whole_numbers_are_found_in_other_types(kinds):
    clips = RNG.integers(0, 256, (40, 64))
    past, val = clips.astype(kinds[0]), clips[5:10].astype(kinds[1])
    with pytest.warns(UserWarning, match="5 " + REPEATS.format(5)):
        fit_with(val, past)


def test_codes_of_which_there_are_many_may_be_alike():
    codes = np.random.default_rng(1).integers(0, 1000, (40, 10))  # ten steps
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_with(codes[:5].astype(float), codes)


@pytest.mark.parametrize(("before", "after"), [(2, 0), (0, 2), (1, 3)])
def test_clips_that_are_padded_to_another_length_are_found_too(before, after):
    clips = RNG.normal(size=(40, 3, 2))
    past, val = (
        np.concatenate([np.full((40, n, 2), np.nan), clips], axis=1)
        for n in (before, after)
    )
    model = SmoothedAnticipator(LSTM(2), max_epochs=1)
    with pytest.warns(UserWarning, match="5 " + REPEATS.format(5)):
        model.fit(past, Y, X_val=val[5:10], y_val=Y[5:10])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(past, Y, X_val=val[5:10] + 0.1, y_val=Y[5:10])


def test_other_rows_and_codes_that_are_alike_say_nothing():
    fit_with(RNG.normal(size=(8, 3)))
    fit_with(X[:8][:, ::-1])  # the same numbers in other places
    half = X[:8].copy()
    half[:, -1] += 1
    fit_with(half)  # the same but for the last feature
    onehot = np.eye(3)[Y]
    fit_with(onehot[:8], onehot)


def test_an_unlabelled_row_that_trains_counts_and_a_dropped_one_does_not():
    def fit(kind, **given):
        return student(kind).fit(X, HIDDEN, X_val=X[38:], y_val=Y[38:], **given)

    with pytest.warns(UserWarning, match="2 " + REPEATS.format(2)):
        fit(DistilledAnticipator, X_future_unlabeled=X)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(SmoothedAnticipator)
    assert [str(w.message)[:7] for w in told] == ["10 rows"]  # of dropped rows


def test_scaled_codes_may_be_alike_on_both_sides():
    codes = np.random.default_rng(1).integers(0, 5, 80)
    clips = (np.eye(5)[codes] - 0.2) / 0.4  # one-hot rows through a StandardScaler
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        student().fit(clips[:40], codes[:40], X_val=clips[40:], y_val=codes[40:])


# ------------------------------------------------------------ X_val that folds have cut

CUT = "X_val has as many rows as X_past in this fold"
X_VAL = RNG.normal(size=(40, 3))
Y_VAL = 1 - Y


def fused(model):
    return LateFusion([("a", model, (0, 3))])


def histories(model, X_val, y_val):
    """History of the anticipator of each fold."""
    given = {"X_val": X_val, "y_val": y_val}
    found = cross_validate(
        model, X, Y, cv=KFold(3), params=given, return_estimator=True
    )
    return [getattr(m, "estimators_", [m])[0].history_ for m in found["estimator"]]


def by_hand(X_val, y_val):
    """What the folds should tell, of all validation rows."""
    return [
        student().fit(X[train], Y[train], X_val=X_val, y_val=y_val).history_
        for train, _ in KFold(3).split(X)
    ]


WRAPPED = pytest.mark.parametrize(
    "wrap", [lambda model: model, fused], ids=["alone", "fused"]
)


@WRAPPED
def test_functions_keep_validation_rows_whole_in_folds(wrap):
    model = wrap(student())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = histories(model, lambda: X_VAL, lambda: Y_VAL)
        search = GridSearchCV(model, {}, cv=3, error_score="raise")
        search.fit(X, Y, X_val=lambda: X_VAL, y_val=lambda: Y_VAL)
        assert histories(model, X_VAL[1:], Y_VAL[1:]) == by_hand(X_VAL[1:], Y_VAL[1:])
    assert found == by_hand(X_VAL, Y_VAL)


@WRAPPED
def test_validation_rows_that_folds_have_cut_are_told_of(wrap):
    with pytest.warns(UserWarning, match=CUT):
        found = histories(wrap(student()), X_VAL, Y_VAL)
    assert found != by_hand(X_VAL, Y_VAL)


def test_validation_rows_as_many_as_others_are_fine_without_folds():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_array = student().fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
        as_function = student().fit(X, Y, X_val=lambda: X_VAL, y_val=Y_VAL)
    assert as_array.history_ == as_function.history_
