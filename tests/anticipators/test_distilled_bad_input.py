import copy
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skanticipate import (
    LSTM,
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    RecognitionTeacher,
    RowView,
    UniformPrior,
)
from skanticipate.data.layout import hint_other_scale
from skanticipate.datasets import make_kitchen

DATA = make_kitchen(10, 10, n_features=12, unlabeled_fraction=0.4, random_state=0)
SEQUENCES = make_kitchen(10, 10, n_steps=5, n_features=8, random_state=0)
PAST, FUTURE, Y = DATA.X_past, DATA.X_future, DATA.y
CLIPS, FUTURE_CLIPS = SEQUENCES.X_past, SEQUENCES.X_future
N, C = len(PAST), 20
LABELS = np.arange(N) % C  # no row is unlabelled


def anticipator(network=None, **params):
    return DistilledAnticipator(
        MLP(4) if network is None else network,
        **{"max_epochs": 1, "random_state": 0, "classes": range(C), **params},
    )


def broken(clips, where, value):
    clips = clips.copy()
    clips[where] = value
    return clips


def proba(change=None, value=None):
    array = np.full((N, C), 1 / C)
    if change is not None:
        array[change] = value
    return array


class Bare:
    def fit(self, X, y):
        return self


CUTS = {"network": LSTM(4)}
SEEN = {"X_past": CLIPS, "X_future_unlabeled": FUTURE_CLIPS, "y": LABELS}
FEW = Y.copy()
FEW[3:] = -1
FEW[:3] = [0, 1, 2]

# (parameters, arguments of fit, kind of error, what it says)
BAD = {
    # ----------------------------------------------------------------- futures
    "fewer futures": (
        {},
        {"X_future_unlabeled": FUTURE[1:]},
        ValueError,
        "X_future_unlabeled has 99 rows but X_past has 100",
    ),
    "1-D futures": (
        {},
        {"X_future_unlabeled": FUTURE[:, 0]},
        ValueError,
        r"one value a row: expected clips of shape \(n, ...\)",
    ),
    "words": (
        {},
        {"X_future_unlabeled": np.full((N, 2), "cut", dtype=object)},
        ValueError,
        "could not convert string to float",
    ),
    "futures of other features": (
        {},
        {"X_future_unlabeled": FUTURE[:, 1:]},
        ValueError,
        r"\(100, 11\) but X_past has \(100, 12\): with teacher=None.*Recognition",
    ),
    "futures of other axes": (
        {},
        {"X_future_unlabeled": FUTURE_CLIPS},
        ValueError,
        "need as many axes and features",
    ),
    "NaN in a pooled future": (
        {},
        {"X_future_unlabeled": broken(FUTURE, (3, 2), np.nan)},
        ValueError,
        "X_future_unlabeled contains NaN",
    ),
    "infinity in a pooled future": (
        {},
        {"X_future_unlabeled": broken(FUTURE, (3, 2), np.inf)},
        ValueError,
        "X_future_unlabeled contains infinity",
    ),
    "NaN inside a step": (
        CUTS,
        {**SEEN, "X_future_unlabeled": broken(FUTURE_CLIPS, (7, 2, 1), np.nan)},
        ValueError,
        "X_future_unlabeled contains NaN inside step 2 of row 7",
    ),
    "infinity inside a step": (
        CUTS,
        {**SEEN, "X_future_unlabeled": broken(FUTURE_CLIPS, (7, 2, 1), np.inf)},
        ValueError,
        "X_future_unlabeled contains infinity inside step 2 of row 7",
    ),
    "infinity after missing futures": (
        CUTS,
        {
            **SEEN,
            "X_future_unlabeled": RowView(
                broken(broken(FUTURE_CLIPS, slice(5), np.nan), (7, 2, 1), np.inf)
            ),
        },
        ValueError,
        "inside step 2 of row 7",
    ),
    "no labelled row has a future": (
        {},
        {"X_future_unlabeled": np.where((Y >= 0)[:, None], np.nan, FUTURE)},
        ValueError,
        "No labelled row has a future.*pass a FrozenEstimator or teacher_proba=",
    ),
    # ---------------------------------------------------------------- teachers
    "no estimator": (
        {"teacher": Bare()},
        {},
        TypeError,
        "must be a classifier with fit, predict_proba and get_params",
    ),
    "a class": ({"teacher": RecognitionTeacher}, {}, TypeError, "must be a classifier"),
    "a name": ({"teacher": "recognition"}, {}, ValueError, "'teacher' parameter"),
    "only decisions": (
        {"teacher": LinearSVC()},
        {},
        ValueError,
        "LinearSVC cannot teach.*CalibratedClassifierCV.*teacher_proba=",
    ),
    "labels unknown to the student": (
        {"teacher": RecognitionTeacher(MLP(4), max_epochs=1, classes=range(C + 1))},
        {},
        ValueError,
        r"labels that the student does not: \[20\]",
    ),
    "no map": (
        {"teacher": LogisticRegression(), "feature_weight": 0.1},
        {},
        ValueError,
        "LogisticRegression has no feature_map.*feature_weight=0.*RecognitionTeacher",
    ),
    "no map in a pipeline": (
        {
            "teacher": make_pipeline(StandardScaler(), LogisticRegression()),
            "feature_weight": 0.1,
        },
        {},
        ValueError,
        "has no feature_map",
    ),
    "no start": (
        {"teacher": LogisticRegression(), "init_from_teacher": True},
        {},
        ValueError,
        "init_from_teacher=True, but the teacher has no weights.*'auto'",
    ),
    "no start from other features": (
        {"teacher": RecognitionTeacher(MLP(4)), "init_from_teacher": True},
        {"X_future_unlabeled": FUTURE[:, 1:]},
        ValueError,
        "clips of the same features",
    ),
    "maps of other length, position by position": (
        {**CUTS, "alignment": "direct"},
        {**SEEN, "X_future_unlabeled": FUTURE_CLIPS[:, 1:]},
        ValueError,
        'student has 5 positions but teacher has 4.*alignment "weak"',
    ),
    "more folds than rows": (
        {"cross_fit": 4},
        {"y": FEW},
        ValueError,
        "cross_fit=4 folds need as many labelled rows, but there are 3: lower",
    ),
    "more folds than groups": (
        {"cross_fit": 5},
        {"groups": np.arange(N) % 4},
        ValueError,
        "as many groups with labelled rows, but there are 4",
    ),
    "cross-fitting what is frozen": (
        {
            "cross_fit": 2,
            "teacher": FrozenEstimator(LogisticRegression().fit(FUTURE, LABELS)),
        },
        {},
        ValueError,
        "FrozenEstimator cannot.*cross_fit=0",
    ),
    # ----------------------------------------------------------- given answers
    "answers without classes=": (
        {"classes": None},
        {"teacher_proba": proba()},
        ValueError,
        "teacher_proba needs classes=, the labels of its columns in order",
    ),
    "fewer rows of answers": (
        {},
        {"teacher_proba": proba()[1:]},
        ValueError,
        "teacher_proba has 99 rows",
    ),
    "fewer columns of answers": (
        {},
        {"teacher_proba": proba()[:, 1:]},
        ValueError,
        "teacher_proba has 19 columns, but classes has 20 labels: give one",
    ),
    "answers of one axis": (
        {},
        {"teacher_proba": np.ones(N)},
        ValueError,
        "Expected 2D array",
    ),
    "answers that do not sum to 1": (
        {},
        {"teacher_proba": proba(3, 0.2)},
        ValueError,
        "teacher_proba must hold probabilities.* Row 3 sums to 4",
    ),
    "negative answers": (
        {},
        {"teacher_proba": proba((3, [0, 1]), [-0.05, 0.15])},
        ValueError,
        "least entry is -0.05",
    ),
    "NaN in a part of a row": (
        {},
        {"teacher_proba": proba((3, 1), np.nan)},
        ValueError,
        "sums to nan",
    ),
    "infinite answers": (
        {},
        {"teacher_proba": proba((3, 1), np.inf)},
        ValueError,
        "teacher_proba contains infinity",
    ),
    # -------------------------------------------------------------- parameters
    "alpha": ({"alpha": -1.0}, {}, ValueError, "'alpha' parameter"),
    "alignment": ({"alignment": "strong"}, {}, ValueError, "'alignment' parameter"),
    "feature_weight": (
        {"feature_weight": -0.1},
        {},
        ValueError,
        "'feature_weight' parameter",
    ),
    "teacher_weight": (
        {"teacher_weight": -0.1},
        {},
        ValueError,
        "'teacher_weight' parameter",
    ),
    "temperature": ({"temperature": 0.0}, {}, ValueError, "'temperature' parameter"),
    "cross_fit": ({"cross_fit": 1}, {}, ValueError, "'cross_fit' parameter"),
    "cross_fit of a half": ({"cross_fit": 2.5}, {}, ValueError, "'cross_fit'"),
    "init_from_teacher": (
        {"init_from_teacher": "always"},
        {},
        ValueError,
        "'init_from_teacher' parameter",
    ),
    "unlabeled_fraction": (
        {"unlabeled_fraction": 1.0},
        {},
        ValueError,
        "'unlabeled_fraction' parameter",
    ),
    "smoothing": ({"smoothing": 1.5}, {}, ValueError, "'smoothing' parameter"),
    "prior": ({"prior": "uniform"}, {}, ValueError, "'prior' parameter"),
    "teacher_cache": ({"teacher_cache": 3}, {}, ValueError, "'teacher_cache'"),
}


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
@pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained_and_changes_nothing(name, fitted):
    params, arguments, error, says = BAD[name]
    model = anticipator()
    if fitted:
        model.fit(PAST, Y, FUTURE)
    model.set_params(**params)
    before, state = dict(vars(model)), copy.deepcopy(model.__getstate__())
    given = {"X_past": PAST, "y": Y, "X_future_unlabeled": FUTURE, **arguments}
    with pytest.raises(error, match=says):
        model.fit(**given)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is before[key] for key in before)
    for key, value in state.get("_weights", {}).items():
        assert_array_equal(model.__getstate__()["_weights"][key], value)


def test_a_teacher_that_fails_leaves_the_student_as_it_was():
    class Failing(LogisticRegression):
        def fit(self, X, y):
            raise KeyboardInterrupt

    model = anticipator(teacher=Failing())
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(PAST, Y, FUTURE)
    assert vars(model) == before


# ----------------------------------------------------------------------- warnings


def warned_of(model, *arguments, **signals):
    """Messages of the warnings of a fit, each of which points to this line."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(*arguments, **signals)
    line = warned_of.__code__.co_firstlineno + 4
    assert all((w.filename, w.lineno) == (__file__, line) for w in record), record[0]
    return [str(w.message) for w in record]


MISSING = np.full_like(FUTURE, np.nan)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"teacher": LogisticRegression()}, "teacher"),
        ({"teacher_weight": 1.0}, "teacher_weight"),
        ({"feature_weight": 0.1}, "feature_weight"),
        ({"init_from_teacher": True}, "init_from_teacher"),
        ({"cross_fit": 3}, "cross_fit"),
    ],
)
@pytest.mark.parametrize("future", [None, MISSING], ids=["none", "all missing"])
def test_a_teacher_that_nobody_asks_is_warned_of(params, name, future):
    [message] = warned_of(anticipator(**params), PAST, LABELS, future)
    assert message.startswith(name)
    assert "no teacher is asked" in message


@pytest.mark.parametrize(
    "params", [{"text_weight": 2.0}, {"text_temperature": 2.0}, {"text_top_k": 2}]
)
def test_settings_of_a_reader_that_nobody_asks_are_warned_of(params):
    [message] = warned_of(anticipator(**params), PAST, LABELS)
    assert message.startswith(*params)
    assert "no row with a history in past_actions: no text teacher is asked" in message
    read = {"past_actions": DATA.past_actions, "groups": np.arange(N)}
    assert warned_of(anticipator(**params), PAST, LABELS, **read) == []


ANSWERS = np.full((N, C), 1 / C)


@pytest.mark.parametrize(
    ("params", "future", "signals", "name"),
    [
        ({"teacher": LogisticRegression()}, FUTURE, {}, "teacher and X_future_unlab"),
        ({"init_from_teacher": False}, FUTURE, {}, "X_future_unlabeled"),
        ({}, None, {"teacher_proba": ANSWERS}, "teacher_proba"),
    ],
)
def test_a_teacher_whose_answers_count_nowhere_is_warned_of(
    params, future, signals, name
):
    def fit(y, **more):
        model = anticipator(**params, **more)
        return model, warned_of(model, PAST, y, future, **signals)

    model, [message] = fit(LABELS)
    assert message.startswith(name)
    assert "has no effect" in message
    plain = anticipator().fit(PAST, LABELS)
    assert_array_equal(model.predict_proba(PAST), plain.predict_proba(PAST))
    some = np.where(np.arange(N) < C, LABELS, -1)
    assert fit(LABELS, teacher_weight=0.5)[1] == fit(some)[1] == []


@pytest.mark.parametrize(
    "params",
    [{"feature_weight": 1.0}, {"init_from_teacher": True}, {"cross_fit": 3}],
)
def test_what_wants_a_teacher_where_answers_are_given_is_warned_of(params):
    model = anticipator(**params, teacher_weight=1.0)
    [message] = warned_of(model, PAST, LABELS, teacher_proba=ANSWERS)
    assert message.startswith(*params)
    assert "teacher_proba in place of its answers" in message
    futures = anticipator(**params, teacher_weight=1.0)
    given = {"teacher_proba": ANSWERS, "groups": np.arange(N)}
    told = warned_of(futures, PAST, LABELS, FUTURE, **given)
    assert told == [] or (list(params) == ["cross_fit"] and len(told) == 1)


def test_answers_in_bfloat16_are_probabilities():
    proba = torch.softmax(torch.randn(N, C, generator=torch.Generator()), -1).bfloat16()
    sums = proba.double().sum(1)
    assert (sums - 1).abs().max() > 1e-3
    anticipator(teacher_weight=1.0).fit(PAST, LABELS, teacher_proba=proba)


def test_futures_that_are_all_missing_are_warned_of():
    model = anticipator()
    [message] = warned_of(model, PAST, LABELS, MISSING)
    assert "neither a row with a future in X_future_unlabeled" in message
    assert model.teacher_ is None


@pytest.mark.parametrize(
    ("params", "says", "remedy"),
    [
        (
            {"prior": UniformPrior()},
            "prior is set, but there is smoothing=0",
            "smoothing",
        ),
        (
            {"temperature": 4.0},
            "temperature is set, but there is teacher_weight=0",
            "teacher_weight",
        ),
    ],
)
def test_what_has_no_weight_is_warned_of(params, says, remedy):
    hard = {"smoothing": 0.0}
    plain = anticipator(**hard).fit(PAST, Y, FUTURE)
    model = anticipator(**hard, **params)
    [message] = warned_of(model, PAST, Y, FUTURE)
    assert message.startswith(says)
    assert_array_equal(model.predict_proba(PAST), plain.predict_proba(PAST))
    model = anticipator(**{**hard, **params, remedy: 0.5})
    assert warned_of(model, PAST, Y, FUTURE) == []


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_a_weight_of_zero_among_those_searched_is_not_warned_of(kind):
    model = anticipator(prior=UniformPrior(), classes=None)
    search = kind(model, {"smoothing": [0.0, 0.1]}, cv=2, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(PAST, LABELS % 2)


def test_without_futures_nothing_is_said_of_teachers():
    assert warned_of(anticipator(), PAST, LABELS) == []


def test_unlabelled_rows_without_a_future_are_dropped_with_a_warning():
    dropped = np.flatnonzero(Y < 0)[:7]
    model = anticipator(max_epochs=2)
    [message] = warned_of(model, PAST, Y, broken(FUTURE, dropped, np.nan))
    assert "7 rows with y == -1 are unlabelled and no teacher speaks" in message
    rest = np.setdiff1d(np.arange(N), dropped)
    alone = anticipator(max_epochs=2).fit(PAST[rest], Y[rest], FUTURE[rest])
    assert model.history_ == alone.history_
    assert model.n_unlabeled_ == (Y < 0).sum()


def test_labelled_rows_without_a_future_stay():
    future = broken(FUTURE, np.flatnonzero(Y >= 0)[:7], np.nan)
    assert warned_of(anticipator(), PAST, Y, future) == []


def test_signed_labels_with_futures_are_warned_of():
    y = np.where(LABELS < 9, -1, 1)
    model = anticipator(classes=None)
    [message] = warned_of(model, PAST, y, FUTURE)
    assert "pass unlabeled_label=-1 if -1 marks unlabelled rows" in message
    assert_array_equal(model.classes_, [-1, 1])
    assert warned_of(model, PAST, y) == []
    model.set_params(unlabeled_label=-1, classes=[0, 1])
    assert warned_of(model, PAST, y, FUTURE) == []
    for said in ({"unlabeled_label": None}, {"classes": [-1, 1]}):
        model = anticipator(**{"classes": None, **said})
        assert warned_of(model, PAST, y, FUTURE) == []


SHIFTED = {
    "scaled past": (PAST, 30 * FUTURE),
    "scaled future": (30 * PAST, FUTURE),
    "shifted": (PAST, FUTURE + 100),
    "sequences": (CLIPS, 50 * FUTURE_CLIPS),
    "single precision": (PAST, (30 * FUTURE).astype(np.float32)),
    "with padding": (broken(CLIPS, (0, 1), np.nan), 50 * FUTURE_CLIPS),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_other_scales_are_warned_of_once(name):
    past, future = SHIFTED[name]
    network = MLP(4) if past.ndim == 2 else LSTM(4)
    [message] = warned_of(anticipator(network), past, LABELS, future)
    assert "on different scales" in message
    assert "transform_input=['X_future_unlabeled']" in message


SAME = {
    "the same": (PAST, FUTURE),
    "a third": (PAST, FUTURE / 3),
    "half precision": (CLIPS, FUTURE_CLIPS.astype(np.float16)),
    "whole numbers": (np.round(10 * PAST).astype(int), np.round(FUTURE).astype(int)),
    "a constant feature": (broken(PAST, (slice(None), 0), 1.0), FUTURE),
    "constants": (np.ones_like(CLIPS), np.ones_like(CLIPS)),
    "nothing but padding": (np.full_like(CLIPS, np.nan), FUTURE_CLIPS),
    "many missing": (PAST, broken(FUTURE, slice(0, 99, 2), np.nan)),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_scale_is_not_warned_of(name):
    past, future = SAME[name]
    network = MLP(4) if past.ndim == 2 else LSTM(4)
    assert warned_of(anticipator(network), past, LABELS, future) == []


def test_codes_are_not_compared():
    rng = np.random.default_rng(0)
    past = rng.integers(0, 50, (N, 3, 1))
    future = np.full((N, 3, 1), 7)
    model = anticipator(LSTM(4, embedding=2), teacher_weight=1.0)
    assert warned_of(model, past, LABELS, future) == []


def test_scales_are_compared_on_16_MiB_of_large_clips():
    taken = []

    class Spy(RowView):
        def take(self, indices):
            taken.append(len(indices))
            return super().take(indices)

    clips = np.ones((20, 7, 1 << 17), dtype=np.float32)  # 3.5 MiB each
    hint_other_scale(Spy(clips), Spy(clips), "X_future_unlabeled")
    assert taken == [4, 4]


def test_a_forest_may_read_futures_of_another_scale():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    forest = RandomForestClassifier(3, random_state=0)
    model = DistilledAnticipator(
        MLP(4), teacher=forest, teacher_weight=1.0, max_epochs=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y, 500 + 300 * rng.normal(size=(60, 4)))


def test_rows_with_a_future_are_kept_where_a_teacher_starts_the_student():
    rng = np.random.default_rng(0)
    X, F, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 4)), np.arange(40) % 2
    proba = np.full((40, 2), 0.5)
    y[20:], proba[20:] = -1, np.nan  # a future, and neither a label nor an answer
    model = DistilledAnticipator(
        MLP(4), init_from_teacher=True, classes=[0, 1], max_epochs=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none is dropped
        model.fit(X, y, F, teacher_proba=proba)
    assert model.feature_weight_ == 0.1


@pytest.mark.parametrize("marker", [[-1], np.ma.masked], ids=["list", "masked"])
def test_a_marker_is_one_value(marker):
    model = DistilledAnticipator(MLP(4), unlabeled_label=marker)
    with pytest.raises(TypeError, match="unlabeled_label must be 'auto', None or one"):
        model.fit(np.eye(4), [0, 1, 0, 1])
