"""Tables and Series whose rows have names, which go together by their place."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB

from skanticipate import (
    MLP,
    DistilledAnticipator,
    HistoryTeacher,
    LateFusion,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    TeacherEnsemble,
)
from skanticipate.metrics import (
    epic100_metrics,
    labelled_scorer,
    mean_top_k_recall_score,
    time_to_action,
    top_k_accuracy,
)

pd = pytest.importorskip("pandas")

IDS = [f"P01_{k}" for k in range(3)]
Y_TRUE = pd.Series([0, 1, 2], index=IDS)
SCORES = pd.DataFrame(np.eye(3), index=IDS)  # all right, row by row
REORDERED = SCORES.loc[IDS[::-1]]  # by its names still all right, by place 1 of 3
METRICS = {
    "top_k_accuracy": lambda y, scores: top_k_accuracy(y, scores, k=1),
    "mean_top_k_recall": lambda y, scores: mean_top_k_recall_score(y, scores, k=1),
    "time_to_action": lambda y, scores: time_to_action(y, [scores], [1.0], k=1),
    "epic action": lambda y, scores: epic(y, action=scores),
    "epic verb": lambda y, scores: epic(y, verb=scores, at=0),
    "epic noun": lambda y, scores: epic(y, noun=scores, at=1),
}


def epic(y, *, at=2, **given):
    segments = pd.DataFrame({"verb": y, "noun": y, "action": y})
    given = {"action": np.eye(3), "verb": np.eye(3), "noun": np.eye(3)} | given
    return epic100_metrics(segments, **given)[at]["top1_accuracy"]


@pytest.mark.parametrize("name", METRICS)
def test_metrics_refuse_rows_in_another_order(name):
    metric = METRICS[name]
    assert metric(Y_TRUE, SCORES) == 1
    assert metric(Y_TRUE[::-1], REORDERED) == 1
    with pytest.raises(ValueError, match="have the names that are expected in another"):
        metric(Y_TRUE, REORDERED)
    with pytest.raises(ValueError, match="have the names that are expected in another"):
        metric(Y_TRUE[::-1], SCORES)


@pytest.mark.parametrize("name", METRICS)
def test_rows_that_are_counted_have_no_names(name):
    metric, counted = METRICS[name], pd.DataFrame(np.eye(3))
    assert metric(Y_TRUE, counted) == 1
    shuffled = pd.Series([0, 1, 2], index=[2, 0, 1])  # as a split of a table leaves it
    assert metric(shuffled, counted) == 1
    assert metric(shuffled, counted.to_numpy()) == 1


def test_the_mask_of_unseen_segments_has_rows_too():
    unseen = pd.Series([True, False, False], index=IDS)
    segments = pd.DataFrame({"verb": Y_TRUE, "noun": Y_TRUE, "action": Y_TRUE})
    given = {"action": np.eye(3)[[0, 0, 0]], "verb": np.eye(3), "noun": np.eye(3)}
    table = epic100_metrics(segments, **given, unseen=unseen)
    assert table[5] == {
        "subset": "unseen",
        "task": "action",
        "n_segments": 1,
        "mean_top5_recall": 1.0,
        "top1_accuracy": 1.0,
        "top5_accuracy": 1.0,
    }
    with pytest.raises(ValueError, match="rows of unseen, next to y_true"):
        epic100_metrics(segments, **given, unseen=unseen[::-1])


# -------------------------------------------------------------------- fit and score

N = 24
RNG = np.random.default_rng(0)
NAMES = [f"clip {k}" for k in RNG.permutation(N)]
X = pd.DataFrame(RNG.normal(size=(N, 3)), index=NAMES, columns=list("abc"))
Y = pd.Series(np.arange(N) % 2, index=NAMES)
SIGNALS = {
    "y": Y,
    "X_future_unlabeled": X + 1,
    "past_actions": pd.DataFrame({"last": ["cut pan", "wash cup"] * 12}, index=NAMES),
    "y_past": Y,
    "teacher_proba": pd.DataFrame(np.eye(2)[Y], index=NAMES),
    "groups": Y,
    "sample_weight": Y + 1.0,
}


def student(**params):
    return DistilledAnticipator(
        MLP(4), max_epochs=1, random_state=0, classes=[0, 1], **params
    )


def fusion():
    return LateFusion([("a", student(), (0, 3))])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [student, fusion])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_fit_refuses_rows_in_another_order(model, name):
    def fit(signal):
        return model().fit(X, **({"y": Y, name: signal}))

    by_name = fit(SIGNALS[name]).predict_proba(X)
    if name == "y":
        assert_array_equal(by_name, model().fit(X, Y.to_numpy()).predict_proba(X))
    with pytest.raises(ValueError, match="have the names that are expected in another"):
        fit(SIGNALS[name].sort_index())


@pytest.mark.filterwarnings("ignore:.*also train")
@pytest.mark.parametrize("model", [student, fusion])
def test_validation_and_score_refuse_rows_in_another_order(model):
    fitted = model().fit(X, Y, X_val=X, y_val=Y)
    assert fitted.score(X, Y) == fitted.score(X, Y.to_numpy())
    for wrong in (
        lambda: model().fit(X, Y, X_val=X, y_val=Y.sort_index()),
        lambda: fitted.score(X, Y.sort_index()),
        lambda: fitted.score(X, Y, (Y + 1.0).sort_index()),
        lambda: labelled_scorer("accuracy")(fitted, X, Y.sort_index()),
    ):
        with pytest.raises(ValueError, match="rows of .* have the names"):
            wrong()


def test_arrays_of_clips_leave_the_others_to_be_compared():
    clips = X.to_numpy()[:, None]
    model = SmoothedAnticipator(max_epochs=1, random_state=0)
    model.fit(clips, Y, sample_weight=SIGNALS["sample_weight"])
    with pytest.raises(ValueError, match="rows of sample_weight, next to y,"):
        model.fit(clips, Y, sample_weight=SIGNALS["sample_weight"].sort_index())


def test_teachers_and_splitters_refuse_rows_in_another_order():
    history, other = SIGNALS["past_actions"], Y.sort_index()
    teacher = HistoryTeacher(n_networks=1, max_epochs=1)
    teacher.fit(history, Y, groups=np.arange(N))
    ensemble = TeacherEnsemble([GaussianNB()]).fit(X, Y)
    assert_array_equal(ensemble.predict(X), GaussianNB().fit(X, Y).predict(X))
    splitter = SemiSupervisedSplit(2)
    for wrong in (
        lambda: teacher.fit(history, other),
        lambda: ensemble.fit(X, other),
        lambda: ensemble.fit(X, Y, sample_weight=other + 1.0),
        lambda: list(splitter.split(X, other)),
    ):
        with pytest.raises(ValueError, match="rows of .* have the names"):
            wrong()


def test_searches_cut_all_rows_alike():
    scores = cross_val_score(student(), X, Y, cv=3, scoring=labelled_scorer("accuracy"))
    search = GridSearchCV(student(), {"lr": [0.1]}, cv=3).fit(X, Y)
    assert len(scores) == 3
    assert search.best_estimator_.score(X, Y) >= 0
    taught = student(teacher=LogisticRegression(), teacher_weight=1.0)
    assert taught.fit(X, Y, X + 1).teacher_.n_features_in_ == 3


@pytest.mark.filterwarnings("ignore:HistoryTeacher holds rows out:UserWarning")
def test_scores_of_teachers_refuse_rows_in_another_order():
    ids = [f"P01_{k}" for k in range(12)]
    past = pd.DataFrame(np.arange(36).reshape(12, 3) % 5, index=ids)
    y = pd.Series(np.arange(12) % 3, index=ids)
    alone = HistoryTeacher(n_networks=1, max_epochs=1, random_state=0)
    for teacher in (alone, TeacherEnsemble([alone])):
        teacher.fit(past.to_numpy(), y.to_numpy())
        expected = np.mean(teacher.predict(past.to_numpy()) == y.to_numpy())
        assert teacher.score(past, y) == expected
        with pytest.raises(ValueError, match="rows of y, next to X, have the names"):
            teacher.score(past, y[::-1])
        weights = pd.Series(np.ones(12), index=ids[::-1])
        with pytest.raises(ValueError, match="rows of sample_weight, next to X"):
            teacher.score(past, y, weights)
        hidden = np.ma.array(np.ones(12), mask=[True] + [False] * 11)
        with pytest.raises(ValueError, match="masked array that hides 1"):
            teacher.score(past, y, hidden)


# --------------------------------------------------------------------------- in folds

FOLDS = {
    "KFold": KFold(3),
    "ShuffleSplit": ShuffleSplit(2, test_size=0.4, random_state=0),
}


@pytest.mark.parametrize("cv", FOLDS.values(), ids=FOLDS)
@pytest.mark.parametrize("name", ["y", "sample_weight", "X_future_unlabeled"])
def test_folds_of_rows_in_another_order_are_refused(cv, name):
    """Each fold of two tables in unlike orders has other rows of them."""

    def scores(signal):
        given = {"y": Y, name: signal}
        y = given.pop("y")
        return cross_val_score(
            student(), X, y, cv=cv, params=given, error_score="raise"
        )

    plain = {k: v.to_numpy() for k, v in (("y", Y), (name, SIGNALS[name]))}
    y = plain.pop("y")
    expected = cross_val_score(student(), X.to_numpy(), y, cv=cv, params=plain)
    assert_array_equal(scores(SIGNALS[name]), expected)
    with pytest.raises(ValueError, match="have some of the names"):
        scores(SIGNALS[name].sort_index())


def test_scores_of_a_fold_in_another_order_are_refused():
    fitted, other = student().fit(X, Y), Y.sort_index()
    for score in (fitted.score, partial(labelled_scorer("accuracy"), fitted)):
        with pytest.raises(ValueError, match="have some of the names"):
            score(X[:12], other[:12])


def test_rows_that_are_counted_have_no_names_in_folds_either():
    counted = X.reset_index(drop=True)
    drawn = Y.set_axis(RNG.permutation(N))  # as train_test_split leaves it
    given = {"cv": ShuffleSplit(3, random_state=0), "error_score": "raise"}
    expected = cross_val_score(student(), X.to_numpy(), Y.to_numpy(), **given)
    assert_array_equal(cross_val_score(student(), counted, drawn, **given), expected)


def test_windows_of_one_recording_share_times_with_the_next():
    times = pd.date_range("2026-01-01", periods=N + 3, freq="1s")
    names = [f"frame_{k}" for k in range(N + 3)]
    of_two = pd.MultiIndex.from_tuples([(f"P0{k % 3}", k) for k in range(N + 3)])
    for index in (times, pd.Index(names), of_two):
        given = {
            "X_future_unlabeled": X.set_axis(index[3:]),
            "sample_weight": Y.set_axis(index[3:]) + 1.0,
        }
        past, y = X.set_axis(index[:-3]), Y.set_axis(index[3:])
        scores = cross_val_score(
            student(),
            past,
            y,
            cv=ShuffleSplit(2, random_state=0),
            params=given,
            error_score="raise",
        )
        assert len(scores) == 2


BESIDE = {
    "times": lambda starts: pd.to_timedelta(starts, unit="s"),
    "texts": lambda starts: pd.Index([f"P01_{start}" for start in starts]),
    "recordings": lambda starts: pd.Index(
        [f"P0{1 + (k >= N // 2)}_{start}" for k, start in enumerate(starts)]
    ),
}


def scores_of_folds(past, y):
    given = {"cv": ShuffleSplit(3, random_state=0), "error_score": "raise"}
    return cross_val_score(student(), past, y, **given)


@pytest.mark.parametrize("name", BESIDE)
def test_segments_next_to_those_before_them_are_at_any_distance(name):
    starts = np.cumsum(RNG.integers(1, 9, N + 1)).tolist()
    before, after = (BESIDE[name](part) for part in (starts[:-1], starts[1:]))
    expected = scores_of_folds(X.to_numpy(), Y.to_numpy())
    assert_array_equal(scores_of_folds(X.set_axis(before), Y.set_axis(after)), expected)
    assert_array_equal(scores_of_folds(X.set_axis(after), Y.set_axis(before)), expected)


@pytest.mark.parametrize("name", BESIDE)
def test_segments_in_another_order_than_those_before_them_are_refused(name):
    starts = np.cumsum(RNG.integers(1, 9, N + 1)).tolist()
    before, after = (BESIDE[name](part) for part in (starts[:-1], starts[1:]))
    for other in (after[::-1], np.roll(after, N // 2), RNG.permutation(after)):
        with pytest.raises(ValueError, match="have some of the names"):
            scores_of_folds(X.set_axis(before), Y.set_axis(pd.Index(other)))
