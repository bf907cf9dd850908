"""Students that count: a network and counts of label histories, as one answer.

Oracle: members fitted by hand, loops over the annotated histories, numpy averages.
"""

import copy
from collections import Counter, defaultdict

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import skanticipate
from skanticipate import (
    LSTM,
    BatchedGridSearchCV,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    LateFusion,
    SmoothedAnticipator,
    VerbNounHead,
    fit_many,
)
from skanticipate.datasets import make_kitchen

KITCHEN = make_kitchen(16, 10, history=4, random_state=0)
ACTIONS, GROUPS = KITCHEN.actions, KITCHEN.groups
TEST = GROUPS % 4 == 0
PAST, Y, VIDEOS = KITCHEN.past_actions[~TEST], KITCHEN.y[~TEST], GROUPS[~TEST]
ASKED = KITCHEN.past_actions[TEST]
CLASSES = np.unique(Y)


def network(**params):
    spec = LSTM(8, cell="gru", embedding=4, head=VerbNounHead(ACTIONS))
    params = {"smoothing": 0.0, "max_epochs": 2, "random_state": 0, **params}
    return make_pipeline(HistoryEncoder(ACTIONS), SmoothedAnticipator(spec, **params))


def counts(**params):
    return HistoryTeacher(ACTIONS, n_networks=0, random_state=0, **params)


def student(share=0.7):
    members = [("network", network(), (0, None)), ("counts", counts(), (0, None))]
    return LateFusion(members, weights=[share, 1 - share])


@pytest.fixture(scope="module")
def fitted():
    return student().fit(PAST, Y, groups=VIDEOS)


# --------------------------------------------------------------------------- counts


def followed(contexts, classes=CLASSES, discount=0.75, strength=20.0):
    """Discounted shares of what followed, backed off: contexts from short to long."""
    seen = defaultdict(Counter)
    for row, label in zip(contexts(PAST), Y, strict=True):
        for context in row:
            seen[context][label] += 1
    answers = []
    for row in contexts(ASKED):
        proba = np.full(len(classes), 1 / len(classes))
        for context in row:
            if context not in seen:
                break
            n = np.array([seen[context][label] for label in classes], float)
            rest = strength + np.minimum(n, discount).sum()
            kept = np.maximum(n - discount, 0)
            proba = (kept + rest * proba) / (n.sum() + strength)
        answers.append(proba)
    return np.array(answers)


def single(name, model):
    """The same counts with all the weight on one model."""
    one = copy.copy(model)
    one.weights_ = {other: float(other == name) for other in model.weights_}
    return one.predict_proba(ASKED)


def last_actions(order):
    """Nothing, the last noun, then more and more of the last actions."""

    def contexts(past):
        for row in past.tolist():
            latest = row[::-1][:order]
            noun = ACTIONS[latest[0]][1] if latest[0] >= 0 else None
            yield [(), *((noun, *latest[:k]) for k in range(order + 1))]

    return contexts


def single_action(back):
    """Nothing, the noun of one action, that action; None before the first one."""

    def contexts(past):
        for row in past.tolist():
            label = row[-back] if back <= len(row) else -1
            noun = ACTIONS[label][1] if label >= 0 else None
            yield [(), (noun,), (noun, label)]

    return contexts


@pytest.mark.parametrize(("order", "strength"), [(3, 20.0), (2, 1.5)])
def test_counts_alone_by_a_loop(order, strength):
    model = counts(order=order, strength=strength).fit(PAST, Y, groups=VIDEOS)
    backs = {f"{k} back": single_action(k) for k in (2, 3, 4, 5)}
    assert set(model.weights_) == {"ngrams", *backs, "templates"}
    assert_array_equal(model.classes_, CLASSES)
    for name, contexts in {"ngrams": last_actions(order), **backs}.items():
        expected = followed(contexts, strength=strength)
        assert_allclose(single(name, model), expected, rtol=1e-5)


def test_the_strength_is_that_of_templates_too():
    sure, unsure = (
        single("templates", counts(strength=s).fit(PAST, Y, groups=VIDEOS))
        for s in (0.1, 1e6)
    )
    assert sure.max(axis=1).mean() > unsure.max(axis=1).mean() + 0.2


def test_counts_are_the_counts_of_a_teacher_with_networks():
    alone = counts().fit(PAST, Y, groups=VIDEOS)
    params = {"n_networks": 1, "hidden_size": 4, "max_epochs": 1}
    whole = counts().set_params(**params).fit(PAST, Y, groups=VIDEOS)
    whole.weights_ = {**alone.weights_, "networks": 0.0}
    assert_array_equal(alone.predict_proba(ASKED), whole.predict_proba(ASKED))


def test_counts_of_numbers_without_names_need_no_templates():
    model = HistoryTeacher(n_networks=0, random_state=0).fit(PAST, Y, groups=VIDEOS)
    assert set(model.weights_) == {"ngrams", "2 back", "3 back", "4 back", "5 back"}
    assert_allclose(model.predict_proba(ASKED).sum(axis=1), 1, rtol=1e-5)


def test_counts_are_saved(tmp_path):
    model = counts().fit(PAST, Y, groups=VIDEOS)
    skanticipate.save(model, tmp_path / "counts")
    loaded = skanticipate.load(tmp_path / "counts")
    assert_array_equal(loaded.predict_proba(ASKED), model.predict_proba(ASKED))


# ------------------------------------------------------------------------- students


def test_the_answer_is_the_mean_of_a_network_and_counts(fitted):
    alone = network().fit(PAST, Y).predict_proba(ASKED)
    counted = counts().fit(PAST, Y, groups=VIDEOS).predict_proba(ASKED)
    expected = 0.7 * alone + 0.3 * counted
    assert_allclose(fitted.predict_proba(ASKED), expected, rtol=1e-6)


def test_the_share_may_be_changed_after_fit(fitted):
    other = student(0.2).fit(PAST, Y, groups=VIDEOS).predict_proba(ASKED)
    fitted.weights = [0.2, 0.8]
    assert_array_equal(fitted.predict_proba(ASKED), other)
    fitted.weights = [0.7, 0.3]


def test_a_student_is_saved(fitted, tmp_path):
    skanticipate.save(fitted, tmp_path / "student")
    loaded = skanticipate.load(tmp_path / "student")
    assert_array_equal(loaded.predict_proba(ASKED), fitted.predict_proba(ASKED))


def test_a_search_over_shares_networks_and_counts():
    grid = {
        "weights": [[0.7, 0.3], [0.3, 0.7]],
        "network__smoothedanticipator__lr": [1e-3],
        "counts__order": [1],
    }
    search = BatchedGridSearchCV(student(), grid, cv=2, scoring="neg_log_loss")
    labels = np.isin(Y, np.flatnonzero(np.bincount(Y) > 8))
    search.fit(PAST[labels], Y[labels])
    assert search.best_estimator_.named_estimators_["counts"].order == 1
    best = search.best_params_["weights"]
    by_hand = student().set_params(**search.best_params_)
    by_hand.fit(PAST[labels], Y[labels])
    assert search.best_estimator_.weights == best
    assert_allclose(
        search.predict_proba(ASKED), by_hand.predict_proba(ASKED), rtol=1e-5
    )


def test_many_students_are_those_of_their_own_fits():
    models = [student(), student(0.4)]
    for one, model in zip(fit_many(models, PAST, Y), models, strict=True):
        alone = clone(model).fit(PAST, Y).predict_proba(ASKED)
        assert_allclose(one.predict_proba(ASKED), alone, rtol=1e-5)


# ----------------------------------------------------------- teachers of the own view


@pytest.mark.parametrize("reader", [counts(), student()], ids=["counts", "student"])
def test_who_reads_what_the_student_reads_teaches(reader):
    """A row without a past has nothing to read, and does not teach the teacher."""
    codes, has = HistoryEncoder(ACTIONS).fit_transform(PAST), (PAST >= 0).any(axis=1)
    spec = LSTM(8, cell="gru", embedding=4)
    params = {"max_epochs": 20, "lr": 0.02, "random_state": 0, "classes": CLASSES}
    plain = DistilledAnticipator(spec, **params).fit(codes, Y, groups=VIDEOS)
    params |= {"text_teacher": reader, "cross_fit": 3}
    taught = DistilledAnticipator(spec, **params)
    taught.fit(codes, Y, past_actions=PAST, groups=VIDEOS)
    by_hand = clone(reader).fit(PAST[has], Y[has], groups=VIDEOS[has])
    answers = taught.text_teacher_.predict_proba(ASKED)
    assert_array_equal(answers, by_hand.predict_proba(ASKED))
    asked = HistoryEncoder(ACTIONS).fit(PAST).transform(ASKED)
    nearer, further = (
        (answers * np.log(model.predict_proba(asked))).sum(axis=1).mean()
        for model in (taught, plain)
    )
    assert nearer > further
