import copy

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

from skanticipate import (
    LSTM,
    MLP,
    GloVePrior,
    HistoryEncoder,
    MixturePrior,
    RowView,
    SmoothedAnticipator,
    StepSchedule,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.datasets import label_history, make_kitchen

DATA = make_kitchen(10, 10, n_features=12, random_state=0)
CLIPS = make_kitchen(10, 10, n_steps=5, n_features=8, random_state=0).X_past
X, Y, ACTIONS = DATA.X_past, DATA.y, DATA.actions
N, C = len(X), 20
FEW = {label: ACTIONS[label] for label in range(5)}


def anticipator(network=None, **params):
    return SmoothedAnticipator(
        MLP(4) if network is None else network,
        **{"max_epochs": 1, "random_state": 0, **params},
    )


def matrix(change=None, value=None):
    array = np.full((C, C), 1 / C)
    if change is not None:
        array[change] = value
    return array


def broken(clips, where, value):
    clips = clips.copy()
    clips[where] = value
    return clips


# (parameters, arguments of fit, kind of error, what it says)
BAD = {
    # ------------------------------------------------------------------- clips
    "weights by row": (
        {},
        {"sample_weight": dict(enumerate(Y))},
        ValueError,
        "sample_weight must have one entry for each row of X_past, .* got a dict",
    ),
    "groups by row": (
        {},
        {"groups": set(range(N))},
        ValueError,
        "groups must have one entry for each row of X_past, .* got a set",
    ),
    "groups of two axes": (
        {},
        {"groups": np.ones((N, 2))},
        ValueError,
        r"groups has shape \(100, 2\): give one name",
    ),
    "1-D": ({}, {"X_past": X[:, 0]}, ValueError, "Expected 2D array, got 1D"),
    "no rows": ({}, {"X_past": X[:0], "y": Y[:0]}, ValueError, "minimum of 1"),
    "no columns": ({}, {"X_past": X[:, :0]}, ValueError, r"\(100, 0\)|0 feature"),
    "no steps": (
        {"network": LSTM(4)},
        {"X_past": CLIPS[:, :0]},
        ValueError,
        r"\(100, 0, 8\)|minimum of 1",
    ),
    "ragged": (
        {},
        {"X_past": [[1.0, 2.0], [3.0]], "y": [0, 1]},
        ValueError,
        "unequal length: pad_clips",
    ),
    "text": ({}, {"X_past": X.astype(str)}, ValueError, "numeric|bytes/strings"),
    "words": (
        {},
        {"X_past": np.full((N, 2), "cut", dtype=object)},
        ValueError,
        "could not convert string to float",
    ),
    "complex": ({}, {"X_past": X + 1j}, ValueError, "Complex data not supported"),
    "sparse": (
        {},
        {"X_past": scipy.sparse.csr_matrix(X)},
        TypeError,
        "Sparse data was passed for X_past",
    ),
    "NaN": ({}, {"X_past": broken(X, (3, 2), np.nan)}, ValueError, "X_past.*NaN"),
    "NaN row of 2-D": ({}, {"X_past": broken(X, 3, np.nan)}, ValueError, "NaN"),
    "infinity": (
        {},
        {"X_past": broken(X, (3, 2), np.inf)},
        ValueError,
        "X_past.*infinity",
    ),
    "NaN inside a step": (
        {"network": LSTM(4)},
        {"X_past": broken(CLIPS, (7, 2, 1), np.nan)},
        ValueError,
        "X_past contains NaN inside step 2 of row 7.*padding",
    ),
    "infinity inside a step": (
        {"network": LSTM(4)},
        {"X_past": broken(CLIPS, (7, 2, 1), -np.inf)},
        ValueError,
        "X_past contains infinity inside step 2 of row 7",
    ),
    "infinity in a row view": (
        {"network": LSTM(4)},
        {"X_past": RowView(broken(CLIPS, (99, 4, 1), np.inf))},
        ValueError,
        "infinity inside step 4 of row 99",
    ),
    "pooled features for an LSTM": (
        {"network": LSTM(4)},
        {},
        ValueError,
        r"LSTM expects sequences.*\(n, 12\).*use MLP",
    ),
    "fewer steps than stages": (
        {"network": LSTM(4, anticipation_steps=9)},
        {"X_past": CLIPS},
        ValueError,
        "5 steps cannot be answered at 9 stages",
    ),
    "a time that is no stage": (
        {"network": LSTM(4, anticipation_steps=2, anticipation_time=1.0)},
        {"X_past": CLIPS},
        ValueError,
        "anticipation_time=1.0 s is none of the 2 stages",
    ),
    "features as codes": (
        {"network": LSTM(4, embedding=2)},
        {"X_past": CLIPS},
        ValueError,
        "whole numbers as codes",
    ),
    # ------------------------------------------------------------------ labels
    "no y": ({}, {"y": None}, ValueError, "requires y to be passed"),
    "shorter y": ({}, {"y": Y[1:]}, ValueError, "y has 99 rows but X_past has 100"),
    "two columns": ({}, {"y": np.c_[Y, Y]}, ValueError, "1d array"),
    "continuous y": ({}, {"y": Y + 0.5}, ValueError, "Unknown label type: continuous"),
    "NaN in y": ({}, {"y": broken(Y * 1.0, 0, np.nan)}, ValueError, "y contains NaN"),
    "None in y": (
        {},
        {"y": broken(Y.astype(object), 0, None)},
        ValueError,
        "y contains None.*unlabeled_label",
    ),
    "one class": (
        {},
        {"y": np.zeros(N, int)},
        ValueError,
        r"at least 2 classes, got 1 class: .*0",
    ),
    "one class and no label": (
        {"unlabeled_label": -1},
        {"y": np.where(Y < 5, -1, 1)},
        ValueError,
        "got 1 class.*unlabelled",
    ),
    "all unlabelled": (
        {},
        {"y": np.full(N, -1)},
        ValueError,
        "y has no labelled rows: all 100 .*unlabeled_label=None",
    ),
    "classes= misses labels": (
        {"classes": [0, 1, 2]},
        {},
        ValueError,
        "y contains labels that are not in classes.*Add them",
    ),
    "classes= of another type": (
        {"classes": [str(k) for k in range(C)]},
        {},
        ValueError,
        "not in classes",
    ),
    "classes= of two axes": ({"classes": [[0, 1]]}, {}, ValueError, "classes"),
    "stranger in class_weight": (
        {"class_weight": {"cut": 2.0}},
        {},
        ValueError,
        r"class_weight names labels that are no classes: \['cut'\]",
    ),
    # ----------------------------------------------------------------- signals
    "shorter y_past": (
        {},
        {"y_past": Y[1:]},
        ValueError,
        "y_past has 99 rows but X_past has 100",
    ),
    "shorter groups": ({}, {"groups": [1]}, ValueError, "groups has 1 rows"),
    "shorter future": (
        {},
        {"X_future_unlabeled": X[1:]},
        ValueError,
        "X_future_unlabeled has 99 rows but X_past has 100",
    ),
    "shorter past_actions": (
        {},
        {"past_actions": DATA.past_actions[1:]},
        ValueError,
        "past_actions has 99 rows",
    ),
    "shorter teacher_proba": (
        {},
        {"teacher_proba": matrix()},
        ValueError,
        "teacher_proba has 20 rows",
    ),
    "shorter weights": (
        {},
        {"sample_weight": np.ones(3)},
        ValueError,
        "sample_weight has 3 rows",
    ),
    "NaN weight": (
        {},
        {"sample_weight": broken(np.ones(N), 0, np.nan)},
        ValueError,
        "NaN",
    ),
    "negative weight": (
        {},
        {"sample_weight": broken(np.ones(N), 0, -1.0)},
        ValueError,
        "[Nn]egative",
    ),
    "zero weights": (
        {},
        {"sample_weight": np.zeros(N)},
        ValueError,
        "at least one non-zero",
    ),
    "X_val alone": ({}, {"X_val": X}, ValueError, "X_val and y_val together"),
    "y_val alone": ({}, {"y_val": Y}, ValueError, "X_val and y_val together"),
    "shorter y_val": (
        {},
        {"X_val": X, "y_val": Y[1:]},
        ValueError,
        "y_val has 99 rows",
    ),
    "X_val with other features": (
        {},
        {"X_val": X[:, 1:], "y_val": Y},
        ValueError,
        "11 features|X_val has shape",
    ),
    "NaN in X_val": (
        {},
        {"X_val": broken(X, (3, 2), np.nan), "y_val": Y},
        ValueError,
        "X_val.*NaN",
    ),
    "y_val without a label": (
        {"unlabeled_label": -1},
        {"X_val": X, "y_val": np.full(N, -1)},
        ValueError,
        "y_val",
    ),
    "y_val without a class": (
        {"classes": range(20)},
        {"X_val": X, "y_val": np.full(N, 77)},
        ValueError,
        "y_val",
    ),
    "nothing left to train on": (
        {"early_stopping": True, "validation_fraction": 0.9},
        {"X_past": X[:2], "y": [0, 1]},
        ValueError,
        "validation_fraction=0.9 .*leaves none",
    ),
    "one group": (
        {"early_stopping": True},
        {"groups": np.zeros(N)},
        ValueError,
        "group",
    ),
    # ------------------------------------------------------------------ priors
    "a label without verb": (
        {"prior": VerbNounPrior()},
        {},
        ValueError,
        r"Every label needs a verb and a noun.*actions=",
    ),
    "a label missing from the table": (
        {"prior": VerbNounPrior(FEW)},
        {},
        ValueError,
        "needs a verb and a noun.*add them to actions",
    ),
    "a part's label missing": (
        {"prior": MixturePrior([UniformPrior(), VerbNounPrior(FEW)])},
        {},
        ValueError,
        "add them to actions",
    ),
    "no word is known": (
        {"prior": GloVePrior(ACTIONS, {"nothing": [1.0, 2.0]})},
        {},
        ValueError,
        "know none of the .* words of the classes",
    ),
    "no vectors": (
        {"prior": GloVePrior(ACTIONS)},
        {},
        ValueError,
        "GloVePrior needs vectors=",
    ),
    "rows that do not sum to 1": (
        {"prior": matrix(3, 0.2), "classes": range(C)},
        {},
        ValueError,
        "sum to 1, but row 3 sums to 4",
    ),
    "negative numbers": (
        {"prior": matrix((2, 5), -0.1), "classes": range(C)},
        {},
        ValueError,
        "non-negative numbers, got -0.1 in row 2, column 5",
    ),
    "NaN in the matrix": (
        {"prior": matrix((2, 5), np.nan), "classes": range(C)},
        {},
        ValueError,
        "got nan in row 2, column 5",
    ),
    "a small matrix": (
        {"prior": np.eye(3), "classes": range(C)},
        {},
        ValueError,
        r"shape \(20, 20\).*got \(3, 3\)",
    ),
    "a matrix without classes=": (
        {"prior": matrix()},
        {},
        ValueError,
        "needs classes=",
    ),
    "transitions without y_past": (
        {"prior": TransitionPrior(ACTIONS)},
        {},
        ValueError,
        "y_past is None: pass y_past=",
    ),
    "order without y_past": (
        {"prior": TemporalPrior()},
        {},
        ValueError,
        "y_past is None: pass y_past=",
    ),
    "a past action without verb": (
        {"prior": TransitionPrior(FEW)},
        {"y_past": Y[::-1]},
        ValueError,
        "add them to actions",
    ),
    "a head without verbs": (
        {"network": MLP(4, head=VerbNounHead())},
        {},
        ValueError,
        r"Every label needs a verb and a noun.*actions=",
    ),
    # -------------------------------------------------------------- parameters
    "a name for a prior": ({"prior": "uniform"}, {}, ValueError, "'prior' parameter"),
    "smoothing": ({"smoothing": 1.5}, {}, ValueError, "'smoothing' parameter"),
    "max_epochs": ({"max_epochs": 0}, {}, ValueError, "'max_epochs' parameter"),
    "batch_size": ({"batch_size": 1.5}, {}, ValueError, "'batch_size' parameter"),
    "optimizer": ({"optimizer": "lamb"}, {}, ValueError, "'optimizer' parameter"),
    "lr": ({"lr": 0.0}, {}, ValueError, "'lr' parameter"),
    "momentum": ({"momentum": 1.0}, {}, ValueError, "'momentum' parameter"),
    "weight_decay": ({"weight_decay": -1}, {}, ValueError, "'weight_decay' parameter"),
    "lr_schedule": ({"lr_schedule": "cosine"}, {}, ValueError, "'lr_schedule'"),
    "a step of no epochs": (
        {"lr_schedule": StepSchedule(0)},
        {},
        ValueError,
        "'step_size' parameter",
    ),
    "a schedule that grows": (
        {"lr_schedule": StepSchedule(factor=5.0)},
        {},
        ValueError,
        "'factor' parameter",
    ),
    "early_stopping": ({"early_stopping": 3}, {}, ValueError, "'early_stopping'"),
    "validation_fraction": (
        {"validation_fraction": 1.0},
        {},
        ValueError,
        "'validation_fraction' parameter",
    ),
    "n_iter_no_change": ({"n_iter_no_change": 0}, {}, ValueError, "'n_iter_no_change'"),
    "tol": ({"tol": -1.0}, {}, ValueError, "'tol' parameter"),
    "scoring": ({"scoring": "recal"}, {}, ValueError, "'scoring' parameter"),
    "nesterov": (
        {"optimizer": "sgd", "nesterov": True, "momentum": 0},
        {},
        ValueError,
        "nesterov=True needs a momentum above 0",
    ),
    "max_grad_norm": ({"max_grad_norm": 0.0}, {}, ValueError, "'max_grad_norm'"),
    "class_weight": ({"class_weight": "even"}, {}, ValueError, "'class_weight'"),
    "dtype": ({"dtype": "float16"}, {}, ValueError, "'dtype' parameter"),
    "n_threads": ({"n_threads": 0}, {}, ValueError, "'n_threads' parameter"),
    "device": ({"device": "gpu"}, {}, ValueError, "device"),
    "random_state": ({"random_state": "x"}, {}, ValueError, "'random_state'"),
    "network": ({"network": "mlp"}, {}, ValueError, "'network' parameter"),
    "hidden_size": ({"network": MLP(0)}, {}, ValueError, "hidden_size"),
    "dropout": ({"network": MLP(dropout=1.0)}, {}, ValueError, "'dropout' parameter"),
    "cell": (
        {"network": LSTM(cell="rnn")},
        {"X_past": CLIPS},
        ValueError,
        "'cell' parameter",
    ),
}


@pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained_and_changes_nothing(name, fitted):
    params, arguments, error, says = BAD[name]
    model = anticipator()
    if fitted:
        model.fit(X, Y)
    model.set_params(**params)
    before, state = dict(vars(model)), copy.deepcopy(model.__getstate__())
    with pytest.raises(error, match=says):
        model.fit(**{"X_past": X, "y": Y, **arguments})
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is before[key] for key in before)
    for key, value in state.get("_weights", {}).items():
        assert_array_equal(model.__getstate__()["_weights"][key], value)


@pytest.mark.filterwarnings("ignore:40 rows with y ==")
def test_weights_that_leave_unlabelled_rows_only():
    y, weight = Y.copy(), np.zeros(N)
    y[:40], weight[:40] = -1, 1.0
    with pytest.raises(ValueError, match="weight"):
        anticipator().fit(X, y, sample_weight=weight)


def test_class_weights_of_zero():
    with pytest.raises(ValueError, match="weight"):
        anticipator(class_weight=dict.fromkeys(range(C), 0.0), classes=range(C)).fit(
            X, Y
        )


def test_a_negative_class_weight():
    with pytest.raises(ValueError, match="class_weight"):
        anticipator(class_weight={0: -1.0}).fit(X, Y)


def test_a_memory_map_is_checked_beyond_its_first_chunk(tmp_path):
    clips = np.zeros((3000, 10, 200), np.float32)  # 24 MB: two chunks
    clips[2999, 9, 199] = np.nan
    np.save(tmp_path / "clips.npy", clips)
    clips = np.load(tmp_path / "clips.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="NaN inside step 9 of row 2999"):
        anticipator(LSTM(4)).fit(clips, np.arange(3000) % 2)


# ------------------------------------------------------------------- prediction


@pytest.mark.parametrize(
    ("clips", "error", "says"),
    [
        (X[:, 0], ValueError, "Expected 2D array"),
        (X[:0], ValueError, "minimum of 1"),
        (broken(X, (1, 1), np.nan), ValueError, "NaN"),
        (broken(X, (1, 1), np.inf), ValueError, "infinity"),
        (X[:, 1:], ValueError, "11 features"),
        (CLIPS, ValueError, "fit saw clips of shape"),
        (scipy.sparse.csr_matrix(X), TypeError, "Sparse data"),
        (X.astype(str), ValueError, "numeric|bytes/strings"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_bad_questions_are_explained(method, clips, error, says):
    model = anticipator().fit(X, Y)
    before = dict(vars(model))
    with pytest.raises(error, match=says):
        getattr(model, method)(clips)
    assert vars(model) == before


@pytest.mark.parametrize(
    ("y", "says"),
    [(Y[1:], "inconsistent numbers|99"), (np.c_[Y, Y], "1d array"), (None, "None")],
)
def test_bad_scores_are_explained(y, says):
    with pytest.raises(ValueError, match=says):
        anticipator().fit(X, Y).score(X, y)


# --------------------------------------------------------------- empty histories


def test_a_history_of_nothing_has_no_vocabulary():
    with pytest.raises(ValueError, match="nothing but padding"):
        HistoryEncoder().fit(np.full((5, 3), -1))


def test_no_history_was_seen_before_the_first_action():
    # every clip is padding: nothing is known, and the answer is the same for all
    codes = np.full((N, 3, 3), -1)
    for network in (LSTM(4, embedding=2), MLP(4, embedding=2)):
        proba = anticipator(network).fit(codes, Y).predict_proba(codes)
        assert np.isfinite(proba).all()
        assert_array_equal(proba, proba[:1].repeat(N, axis=0))


def test_an_empty_table_has_no_history():
    table = {name: [] for name in ("video", "start_frame", "stop_frame", "action")}
    with pytest.raises(ValueError, match="segments is empty"):
        label_history(table)


def test_transitions_from_nothing():
    model = anticipator(prior=TransitionPrior(ACTIONS)).fit(X, Y, y_past=[None] * N)
    # only p(a) is left
    assert len(model.prior_.matrix_) == 1


def test_a_temporal_prior_from_nothing_says_so():
    with pytest.warns(UserWarning, match="counted no transition"):
        anticipator(prior=TemporalPrior()).fit(X, Y, y_past=np.full(N, -1))
