"""Several candidate histories of a row. Oracle: loops over rows and candidates."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, KFold
from sklearn.neighbors import KNeighborsClassifier
from together import assert_as_alone

from skanticipate import (
    MLP,
    DistilledAnticipator,
    HistoryTeacher,
    HistoryText,
    LateFusion,
    TeacherEnsemble,
)
from skanticipate.model_selection import BatchedGridSearchCV
from skanticipate.signals.asking import ask, fit_teacher
from skanticipate.signals.candidates import Candidates
from skanticipate.signals.text import check_past_actions

C, K, L = 4, 3, 2
RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 5))
Y = RNG.integers(0, C, N)
HISTORIES = RNG.integers(0, C, (N, K, L))
HISTORIES[RNG.random((N, K)) < 0.4] = -1  # candidates that do not exist
HISTORIES[::9] = -1  # rows without any
HISTORIES[4, 1] = [-1, 2]  # a short one exists
EXISTS = (HISTORIES >= 0).any(axis=2)
HAS = EXISTS.any(axis=1)
GROUPS = np.arange(N) % 12
WEIGHTS = RNG.uniform(0.5, 2, N)
pytestmark = pytest.mark.filterwarnings("ignore:.*without groups")


class Counter(ClassifierMixin, BaseEstimator):
    """How often each class followed the last action; keeps what it was given."""

    seen = []

    def fit(self, X, y, groups=None, sample_weight=None):
        self.X_, self.y_ = np.asarray(X), np.asarray(y)
        self.groups_, self.sample_weight_ = groups, sample_weight
        Counter.seen.append(self)
        self.classes_ = np.arange(C)
        self.counts_ = np.tile(np.linspace(1, 1.3, C), (C + 1, 1))
        weights = 1.0 if sample_weight is None else sample_weight
        np.add.at(self.counts_, (self.X_[:, -1].astype(int), y), weights)
        return self

    def predict_proba(self, X):
        counts = self.counts_[np.asarray(X)[:, -1].astype(int)]
        return counts / counts.sum(axis=1, keepdims=True)


def student(**params):
    settings = {"max_epochs": 2, "random_state": 0, "batch_size": 16}
    settings |= {"dtype": "float64", "classes": range(C)}
    return DistilledAnticipator(MLP(6), **{**settings, **params})


def pairs(rows):
    return [(row, k) for row in rows for k in range(K) if EXISTS[row, k]]


def counted(rows, weights=None):
    """Counts by a loop: each row counts once, whatever it has."""
    counts = np.tile(np.linspace(1, 1.3, C), (C + 1, 1))
    for row, k in pairs(rows):
        share = 1 / EXISTS[row].sum()
        if weights is not None:
            share *= weights[row]
        counts[HISTORIES[row, k, -1], Y[row]] += share
    return counts


def expected(counts, rows):
    """Mean logits of the candidates of each row; NaN of rows without any."""
    answers = np.full((N, C), np.nan)
    for row in rows:
        told = [counts[HISTORIES[row, k, -1]] for k in range(K) if EXISTS[row, k]]
        if told:
            logits = [log_softmax(np.log(count)) for count in told]
            answers[row] = softmax(np.mean(logits, axis=0))
    return answers


def assert_taught_by(model, answers):
    given = student(teacher_weight=1.0).fit(X, Y, teacher_proba=answers)
    for one, other in zip(model.history_, given.history_, strict=True):
        assert_allclose(one["text"], other["teacher"], rtol=1e-10)
    assert_allclose(model.predict_proba(X), given.predict_proba(X), rtol=0, atol=1e-10)


# ------------------------------------------------------------ what a teacher is shown


@pytest.mark.parametrize("weighted", [False, True])
def test_a_teacher_learns_every_candidate_and_answers_with_the_mean(weighted):
    weights = WEIGHTS if weighted else None
    model = student(text_teacher=Counter())
    model.fit(X, Y, past_actions=HISTORIES, groups=GROUPS, sample_weight=weights)
    reader, shown = model.text_teacher_, pairs(range(N))
    assert_array_equal(reader.X_, [HISTORIES[pair] for pair in shown])
    assert_array_equal(reader.y_, [Y[row] for row, _ in shown])
    assert_array_equal(reader.groups_, [GROUPS[row] for row, _ in shown])
    relative = WEIGHTS / WEIGHTS[HAS].mean() if weighted else None
    counts = counted(range(N), relative)
    assert_allclose(reader.counts_, counts, rtol=1e-12)
    if not weighted:
        assert_taught_by(model, expected(counts, range(N)))


def test_of_unlabelled_rows_nothing_is_learned_but_they_are_answered():
    y = np.where(np.arange(N) % 2, Y, -1)
    y[~HAS] = Y[~HAS]
    model = student(text_teacher=Counter()).fit(X, y, past_actions=HISTORIES)
    labelled = np.flatnonzero(y >= 0)
    assert_allclose(model.text_teacher_.counts_, counted(labelled), rtol=1e-12)
    assert model.n_unlabeled_ == (y < 0).sum()


@pytest.mark.parametrize("grouped", [False, True])
def test_a_fold_of_cross_fitting_holds_all_candidates_of_a_row(grouped):
    Counter.seen = []
    model = student(text_teacher=Counter(), cross_fit=3)
    groups = GROUPS if grouped else None
    model.fit(X, Y, past_actions=HISTORIES, groups=groups)
    rows = np.flatnonzero(HAS)
    on_all, *others = Counter.seen
    assert len(on_all.X_) == EXISTS.sum()
    if not grouped:  # then groups are rows
        numbers = np.repeat(range(len(rows)), EXISTS[rows].sum(axis=1))
        assert_array_equal(on_all.groups_, numbers)
        assert sum(len(np.unique(o.groups_)) for o in others) == 2 * len(rows)
        return
    answers = np.full((N, C), np.nan)
    for training, held in GroupKFold(3).split(rows, Y[rows], GROUPS[rows]):
        own = expected(counted(rows[training]), rows[held])
        answers[rows[held]] = own[rows[held]]
    assert_taught_by(model, answers)


def test_one_candidate_a_row_is_its_history_to_the_bit():
    teacher = HistoryTeacher(n_networks=1, max_epochs=1)
    plain, several = (
        student(text_teacher=teacher, cross_fit=2, early_stopping=True).fit(
            X, Y, past_actions=given, groups=GROUPS
        )
        for given in (HISTORIES[:, 0], HISTORIES[:, :1])
    )
    assert plain.history_ == several.history_
    assert_array_equal(plain.predict_proba(X), several.predict_proba(X))


def test_candidates_that_do_not_exist_change_nothing():
    padded = np.where(np.arange(K)[:, None] == 0, HISTORIES, -1)
    one, other = (
        student(text_teacher=Counter()).fit(X, Y, past_actions=given)
        for given in (HISTORIES[:, 0], padded)
    )
    assert_array_equal(other.text_teacher_.X_, one.text_teacher_.X_)
    assert_array_equal(other.predict_proba(X), one.predict_proba(X))


def test_repeated_candidates_count_as_one():
    copies = np.repeat(HISTORIES[:, :1], 2, axis=1)
    one, two = (
        student(text_teacher=Counter()).fit(X, Y, past_actions=given)
        for given in (HISTORIES[:, 0], copies)
    )
    assert len(two.text_teacher_.X_) == 2 * len(one.text_teacher_.X_)
    reader, other = one.text_teacher_, two.text_teacher_
    assert_allclose(other.counts_, reader.counts_, rtol=1e-12)
    assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-12)


def test_a_teacher_without_weights_is_told_of_only_where_they_matter():
    whole = np.abs(HISTORIES)
    teacher = KNeighborsClassifier()
    fitted = fit_teacher(teacher, Candidates(whole, np.ones((N, K), bool)), Y)
    assert len(fitted._fit_X) == N * K
    some = check_past_actions(HISTORIES)[0][np.flatnonzero(HAS)]
    with pytest.warns(UserWarning, match="sample_weight cannot be passed"):
        fit_teacher(teacher, some, Y[HAS])


def test_a_teacher_that_holds_rows_out_keeps_candidates_together():
    some = check_past_actions(HISTORIES)[0][np.flatnonzero(HAS)]
    reader = HistoryTeacher(n_networks=1, max_epochs=1, random_state=0)
    with pytest.warns(UserWarning, match="HistoryTeacher holds rows out"):
        fitted = fit_teacher(reader, some, Y[HAS])
    histories, owner = some.one_by_one()
    shares = 1 / np.bincount(owner)[owner]
    again = reader.fit(
        np.asarray(histories), Y[HAS][owner], groups=owner, sample_weight=shares
    )
    assert fitted.weights_ == again.weights_


def test_the_mean_over_candidates_is_that_of_logits():
    histories, has = check_past_actions(HISTORIES)
    logits = RNG.normal(size=(C + 1, C)) * 3
    reader = Counter().fit(HISTORIES[:, 0], Y, sample_weight=1.0)
    reader.counts_ = np.exp(logits)
    answers = ask(reader, histories[np.flatnonzero(has)], np.arange(C))
    rows = np.flatnonzero(has)
    means = [logits[HISTORIES[row, EXISTS[row], -1]].mean(axis=0) for row in rows]
    assert_allclose(answers, softmax(means, axis=1), rtol=1e-10)
    alone = EXISTS[has].sum(axis=1) == 1
    single = [HISTORIES[row, EXISTS[row]][0] for row in rows[alone]]
    assert_array_equal(answers[alone], reader.predict_proba(single))


# ------------------------------------------------------------ wherever rows are cut


def test_texts_missing_labels_and_lists_are_read():
    names = np.array(["cut a", "cut b", "wash a", "wash b", ""], dtype=object)
    listed = [
        [[names[v] or None for v in history] for history in row]
        for row in HISTORIES.tolist()
    ]
    models = [
        student(text_teacher=HistoryTeacher(n_networks=1, max_epochs=1)).fit(
            X, Y, past_actions=given, groups=GROUPS
        )
        for given in (listed, np.array(names[HISTORIES], dtype=str), names[HISTORIES])
    ]
    for other in models[1:]:
        assert_array_equal(other.predict_proba(X), models[0].predict_proba(X))


@pytest.mark.parametrize("kind", [int, object])
def test_fits_together_are_as_alone(kind):
    teacher = HistoryTeacher(n_networks=1, max_epochs=1)
    models = [student(text_teacher=teacher, text_weight=w) for w in (0.5, 1.0)]
    histories = HISTORIES.astype(kind)
    for train in (None, [np.arange(0, N, 2), np.arange(0, N, 2)]):
        assert_as_alone(
            models, X, Y, train=train, past_actions=histories, groups=GROUPS
        )


def test_fits_that_ask_alike_share_a_teacher():
    Counter.seen = []
    models = [student(text_teacher=Counter(), text_weight=w) for w in (0.5, 1.0, 2.0)]
    assert_as_alone(models, X, Y, past_actions=HISTORIES)
    assert len(Counter.seen) == 1 + 3  # together, and three alone
    Counter.seen = []
    assert_as_alone(models, X, Y, past_actions=HISTORIES[:, :1])
    assert len(Counter.seen) == 1 + 3


def test_a_search_and_a_fusion_cut_candidates_with_their_rows():
    model = student(text_teacher=Counter())
    search = BatchedGridSearchCV(model, {"text_weight": [0.5, 1.0]}, cv=KFold(2))
    search.fit(X, Y, past_actions=HISTORIES)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert_array_equal(search.best_estimator_.text_teacher_.X_, HISTORIES[EXISTS])
    fusion = LateFusion([("one", model, (0, 3)), ("two", model, (3, None))])
    fusion.fit(X, Y, past_actions=HISTORIES)
    assert_array_equal(fusion.estimators_[1].text_teacher_.X_, HISTORIES[EXISTS])


def test_held_out_rows_are_judged_by_the_mean():
    model = student(text_teacher=Counter(), early_stopping=True, max_epochs=1)
    model.fit(X, Y, past_actions=HISTORIES, groups=GROUPS)
    reader = model.text_teacher_
    held = np.flatnonzero(~np.isin(GROUPS, reader.groups_) & HAS)
    right = expected(reader.counts_, held)[held].argmax(axis=1) == Y[held]
    assert model.history_[0]["text_val_accuracy"] == right.mean()


def test_a_cache_tells_candidates_apart(tmp_path):
    teacher = HistoryTeacher(n_networks=1, max_epochs=1)
    model = student(text_teacher=teacher, teacher_cache=tmp_path)
    first = model.fit(X, Y, past_actions=HISTORIES, groups=GROUPS).predict_proba(X)
    again = model.fit(X, Y, past_actions=HISTORIES, groups=GROUPS).predict_proba(X)
    assert_array_equal(first, again)
    assert len(list(tmp_path.iterdir())) == 1
    other = HISTORIES.copy()
    other[4, 1, 1] = 3
    model.fit(X, Y, past_actions=other, groups=GROUPS)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_frozen_teacher_is_asked_about_each():
    reader = Counter().fit(HISTORIES[EXISTS], np.repeat(Y, EXISTS.sum(1)), None, 1.0)
    model = student(text_teacher=FrozenEstimator(reader))
    model.fit(X, Y, past_actions=HISTORIES)
    assert_taught_by(model, expected(reader.counts_, range(N)))


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("histories", "says"),
    [
        (np.zeros((N, 0, 2)), r"got shape \(60, 0, 2\)"),
        (np.zeros((N, 2, 2, 2)), r"got shape \(60, 2, 2, 2\)"),
        ([[[1, 2], [1, 2]]] * (N - 1) + [[[1, 2]]], "lists of their own"),
        ([[[1, 2], [1]]] * N, "lists of their own"),
        ([np.ones((2, 3)), *[np.ones((2, 4))] * (N - 1)], "not all of one shape"),
        (np.ones((N - 1, 2, 2)), "past_actions has 59 rows"),
    ],
)
def test_bad_candidates_are_explained(histories, says):
    with pytest.raises(ValueError, match=says):
        student(text_teacher=Counter()).fit(X, Y, past_actions=histories)


@pytest.mark.parametrize(
    "reader",
    [HistoryTeacher(), HistoryText(), TeacherEnsemble([HistoryTeacher()])],
    ids=["history", "text", "ensemble"],
)
def test_a_teacher_alone_reads_one_history_a_row(reader):
    with pytest.raises(ValueError, match=r"Several candidate.*DistilledAnticipator"):
        reader.fit(np.ones((N, K, L), dtype=int), Y)
