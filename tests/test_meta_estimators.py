"""The guide's table: which meta-estimators understand rows without a label."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from unlabelled import GROUPS, LABELLED, SPLIT, TRUTH, WRAPPERS, X, Y, said

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    DistilledAnticipator,
    HistoryTeacher,
    LateFusion,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    VerbNounPrior,
)
from skanticipate.metrics import labelled_scorer

MODEL = DistilledAnticipator(MLP(16), max_epochs=10, lr=0.02, random_state=0)
PLAIN = SmoothedAnticipator(MLP(16), max_epochs=10, lr=0.02, random_state=0)
FUTURES = {"X_future_unlabeled": X}
VOTING, STACKING = WRAPPERS["VotingClassifier"], WRAPPERS["StackingClassifier"]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*are dropped")
        # tests/estimator/test_unaware.py is about these
        warnings.filterwarnings("ignore", ".*marks rows without a label")
        warnings.filterwarnings("ignore", ".*rows without a label, and counts them")
        yield


def knows(fitted):
    """Whether a classifier has three classes, none of them -1, and names them well."""
    three = np.array_equal(fitted.classes_, [0, 1, 2])
    return three and np.mean(fitted.predict(X) == TRUTH) > 0.75


def on_labels(meta):
    return knows(clone(meta).fit(X[LABELLED], Y[LABELLED]))


def search(kind, grid=None, **params):
    grid = grid or {"lr": [0.02, 0.01]}
    return kind(MODEL, grid, cv=SPLIT, **params).fit(X, Y, groups=GROUPS, **FUTURES)


def together(batched, plain, **params):
    """Whether a batched search scores as the plain one does, in each way that works.

    Folds with unlabelled rows and the default score, or a labelled scorer; folds
    without them and a score by name.
    """
    labelled = labelled_scorer("accuracy")
    mixed = GroupKFold(2)
    ways = [(mixed, None), (mixed, labelled), (SPLIT, labelled), (SPLIT, "accuracy")]
    for cv, scoring in ways:
        found, expected = (
            kind(MODEL, {"lr": [0.02, 0.01]}, cv=cv, scoring=scoring, **params).fit(
                X, Y, groups=GROUPS, **FUTURES
            )
            for kind in (batched, plain)
        )
        means = [s.cv_results_["mean_test_score"] for s in (found, expected)]
        np.testing.assert_allclose(*means, rtol=0, atol=1e-12)
        if not (knows(found) and found.best_score_ > 0.75):
            return False
    return True


def scores(evaluate):
    """Mean score by name and by a labelled scorer, of unlabelled rows in the folds."""
    by_name, labelled = (
        np.mean(evaluate(scoring))
        for scoring in ("accuracy", labelled_scorer("accuracy"))
    )
    return by_name < 0.6 and labelled > 0.75


def importance(scoring):
    fitted = clone(MODEL).fit(X, Y, X)
    result = permutation_importance(
        fitted, X, Y, scoring=scoring, n_repeats=3, random_state=0
    )
    return result.importances_mean[:3].sum()


def proba_of_folds():
    proba = np.zeros((120, 3))
    for train, test in SPLIT.split(X, Y, GROUPS):
        proba[test] = (
            clone(MODEL).fit(X[train], Y[train], X[train]).predict_proba(X[test])
        )
    return np.mean(proba[LABELLED].argmax(1) == TRUTH[LABELLED]) > 0.75


def calibrated():
    fitted = FrozenEstimator(clone(MODEL).fit(X, Y, X))
    return knows(CalibratedClassifierCV(fitted).fit(X[LABELLED], Y[LABELLED]))


def fused():
    halves = [("left", MODEL, (0, 3)), ("all", PLAIN, (0, None))]
    return knows(LateFusion(halves).fit(X, Y, **FUTURES))


def monitored():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = clone(MODEL).set_callbacks(monitor).fit(X, Y, **FUTURES)
    last = monitor.get_logs().data_as_pandas["accuracy"].to_numpy()[-1]
    return last == np.mean(model.predict(X[LABELLED]) == Y[LABELLED])


def both_outputs():
    """Whether its score is too low, and that of each of its estimators is not."""
    Y_2 = np.stack([Y, Y], axis=1)
    meta = MultiOutputClassifier(PLAIN).fit(X, Y_2)
    low = meta.score(X, Y_2) <= np.mean(LABELLED)
    return low and all(e.score(X, Y) > 0.75 for e in meta.estimators_)


def refuses_or_errs(meta):
    try:
        return not knows(clone(meta).fit(X, Y))
    except ValueError:
        return True


def is_refused(name):
    return refuses_or_errs(WRAPPERS[name](MODEL))


# name: (how it fares with unlabelled rows, whether it does; the way that works)
ROWS = {
    "Pipeline": (
        "yes",
        lambda: knows(make_pipeline(StandardScaler(), MODEL).fit(X, Y)),
    ),
    "GridSearchCV": ("yes", lambda: knows(search(GridSearchCV))),
    "RandomizedSearchCV": ("yes", lambda: knows(search(RandomizedSearchCV, n_iter=2))),
    "HalvingGridSearchCV": (
        "yes",
        lambda: knows(
            search(
                HalvingGridSearchCV,
                resource="max_epochs",
                max_resources=12,
                min_resources=6,
                factor=2,
            )
        ),
    ),
    "BatchedGridSearchCV": (
        "yes",
        lambda: together(BatchedGridSearchCV, GridSearchCV),
    ),
    "BatchedRandomizedSearchCV": (
        "yes",
        lambda: together(
            BatchedRandomizedSearchCV, RandomizedSearchCV, n_iter=2, random_state=0
        ),
    ),
    "cross_val_score": (
        "by name no",
        lambda: scores(
            lambda scoring: cross_val_score(MODEL, X, Y, cv=2, scoring=scoring)
        ),
    ),
    "cross_validate": (
        "by name no",
        lambda: scores(
            lambda scoring: cross_validate(MODEL, X, Y, cv=2, scoring=scoring)[
                "test_score"
            ]
        ),
    ),
    "learning_curve": (
        "by name no",
        lambda: scores(
            lambda scoring: learning_curve(
                MODEL, X, Y, cv=2, scoring=scoring, train_sizes=[1.0]
            )[2]
        ),
    ),
    "validation_curve": (
        "by name no",
        lambda: scores(
            lambda scoring: validation_curve(
                MODEL, X, Y, cv=2, scoring=scoring, param_name="lr", param_range=[0.02]
            )[1]
        ),
    ),
    "permutation_test_score": (
        "by name no",
        lambda: scores(
            lambda scoring: permutation_test_score(
                MODEL, X, Y, cv=2, scoring=scoring, n_permutations=1
            )[0]
        ),
    ),
    "permutation_importance": (
        "by name no",
        lambda: importance("accuracy") < 0.75 * importance(labelled_scorer("accuracy")),
    ),
    "cross_val_predict": (
        "labels only",
        lambda: (
            np.mean(cross_val_predict(MODEL, X, Y, cv=2) == TRUTH) > 0.75
            and cross_val_predict(MODEL, X, Y, cv=2, method="predict_proba").shape[1]
            == 4
            and proba_of_folds()
        ),
    ),
    "CalibratedClassifierCV": (
        "no",
        lambda: is_refused("CalibratedClassifierCV") and calibrated(),
    ),
    "VotingClassifier": (
        "no",
        lambda: refuses_or_errs(VotingClassifier([("a", MODEL)])) and fused(),
    ),
    "StackingClassifier": (
        "no",
        lambda: (
            is_refused("StackingClassifier") and on_labels(STACKING(MODEL)) and fused()
        ),
    ),
    "BaggingClassifier": (
        "no",
        lambda: (
            refuses_or_errs(BaggingClassifier(MODEL, n_estimators=2))
            and on_labels(BaggingClassifier(MODEL, n_estimators=2))
        ),
    ),
    "AdaBoostClassifier": (
        "no",
        # Rows without a label are errors, whose weight grows round by round.
        lambda: (
            AdaBoostClassifier(PLAIN, n_estimators=1).fit(X, Y).estimator_errors_ > 0.3
            and AdaBoostClassifier(PLAIN, n_estimators=1)
            .fit(X[LABELLED], Y[LABELLED])
            .estimator_errors_
            < 0.25
        ),
    ),
    "OneVsRestClassifier": (
        "no",
        lambda: (
            is_refused("OneVsRestClassifier") and on_labels(OneVsRestClassifier(MODEL))
        ),
    ),
    "OneVsOneClassifier": (
        "no",
        lambda: (
            is_refused("OneVsOneClassifier") and on_labels(OneVsOneClassifier(MODEL))
        ),
    ),
    "OutputCodeClassifier": (
        "no",
        lambda: (
            is_refused("OutputCodeClassifier")
            and on_labels(OutputCodeClassifier(MODEL, code_size=4, random_state=0))
        ),
    ),
    "MultiOutputClassifier": ("no", both_outputs),
    "TunedThresholdClassifierCV": (
        "no",
        lambda: (
            refuses_or_errs(TunedThresholdClassifierCV(MODEL, cv=2))
            and TunedThresholdClassifierCV(MODEL, cv=2)
            .fit(X[LABELLED], Y[LABELLED] > 0)
            .score(X, TRUTH > 0)
            > 0.75
        ),
    ),
    "SelfTrainingClassifier": (
        "yes",
        lambda: knows(SelfTrainingClassifier(MODEL).fit(X, Y)),
    ),
    "ScoringMonitor": ("yes", monitored),
}


def table():
    """Names and verdicts of the guide's table.   -> {name: verdict}."""
    page = Path(__file__).parent.parent / "docs" / "guide" / "unlabelled.md"
    rows, verdicts = {}, {verdict for verdict, _ in ROWS.values()}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        verdict = cells[1].partition(":")[0] if len(cells) == 3 else None
        if verdict in verdicts:
            rows |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), verdict)
    return rows


def test_the_table_has_a_row_for_each_of_them():
    assert table() == {name: verdict for name, (verdict, _) in ROWS.items()}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table(name):
    _, holds = ROWS[name]
    assert holds()


# ---------------------------------------------- what the wrappers do not number

NUMBERS = TRUTH + 1  # labels 1 to 3
BEFORE = np.roll(NUMBERS, 1)


def told_of_numbers(fit):
    return said(fit, "other numbers")


def test_y_past_is_not_numbered_and_a_prior_that_counts_it_says_so():
    model = clone(PLAIN).set_params(prior=TemporalPrior(), smoothing=0.5)
    texts = told_of_numbers(
        lambda: cross_val_predict(
            model, X, NUMBERS, cv=2, method="predict_proba", params={"y_past": BEFORE}
        )
    )
    assert texts and all("y_past has other numbers too, such as 3" in t for t in texts)
    assert not told_of_numbers(lambda: model.fit(X, NUMBERS, y_past=BEFORE))
    assert not told_of_numbers(lambda: model.fit(X, TRUTH, y_past=BEFORE - 1))
    model.set_params(classes=[0, 1, 2])
    assert not told_of_numbers(lambda: model.fit(X, TRUTH, y_past=BEFORE))


def test_past_actions_of_a_transition_prior_need_not_be_classes():
    model = clone(PLAIN).set_params(prior=TransitionPrior(), smoothing=0.5)
    assert not told_of_numbers(lambda: model.fit(X, TRUTH, y_past=BEFORE))


def test_y_val_is_not_numbered():
    assert any(
        "y_val has other numbers too, such as 3" in t
        for t in told_of_numbers(
            lambda: clone(PLAIN).fit(X, TRUTH, X_val=X + 0.1, y_val=NUMBERS)
        )
    )
    marked = clone(PLAIN).set_params(unlabeled_label=9)
    y = np.where(LABELLED, TRUTH, 9)
    assert not told_of_numbers(lambda: marked.fit(X, y, X_val=X + 0.1, y_val=y))


def test_labels_with_gaps_are_not_taken_for_numbers_of_a_wrapper():
    actions = {k: (f"verb{k % 5}", f"noun{k // 5}") for k in range(40)}
    model = clone(PLAIN).set_params(prior=VerbNounPrior(actions))
    for labels in ([0, 2, 4], [0, 1, 3]):
        y = np.array(labels)[TRUTH]
        assert not told_of_numbers(lambda y=y: clone(model).fit(X, y))


@pytest.mark.filterwarnings("ignore:Number of classes in training fold")
def test_numbers_with_gaps_are_known_where_the_wrapper_is():
    """No fold trains on the third of four classes: it is shown 0, 1 and 3."""
    actions = {k: (f"verb{k % 2}", f"noun{k // 2}") for k in range(6)}
    prior = VerbNounPrior(actions)
    model = SmoothedAnticipator(MLP(2), prior=prior, max_epochs=1, random_state=0)
    lack, third = np.flatnonzero(np.arange(120) % 4 != 2), np.arange(2, 120, 4)

    def texts(*labels):
        y = np.array(labels)[np.arange(120) % 4]
        folds = [(lack, third), (lack, lack)]
        return told_of_numbers(
            lambda: cross_val_predict(model, X, y, cv=folds, method="predict_proba")
        )

    assert texts(0, 2, 4, 5) and texts(1, 2, 3, 4)
    assert not texts(0, 1, 2, 3)  # which are their own numbers


def test_classes_that_a_wrapper_numbers_are_told_apart_from_its_numbers():
    """Their rows of a prior are those of other labels, and their columns too many."""
    actions = {k: (f"verb{k % 2}", f"noun{k // 2}") for k in range(6)}
    model = clone(PLAIN).set_params(prior=VerbNounPrior(actions), max_epochs=1)

    def texts(y, classes, wrap=VOTING):
        member = clone(model).set_params(classes=classes)
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            wrap(member).fit(X, y)
        return [t for w in record if "classes=" in (t := str(w.message))]

    (text,) = texts(2 * TRUTH, range(6))
    assert "learns the labels 0 to 2, but it has 6 classes=." in text
    assert "pass classes=range(3)" in text
    assert not texts(2 * TRUTH, range(3))  # its numbers
    assert not texts(TRUTH, range(6))  # numbers that are the labels
    assert "0 to 1" in texts(TRUTH, range(6), OneVsRestClassifier)[0]
    assert not texts(TRUTH, [0, 1], OneVsRestClassifier)
    with warnings.catch_warnings(record=True) as record:
        clone(model).set_params(classes=range(6)).fit(X, 2 * TRUTH)
    assert not record


def test_a_fold_that_lacks_the_last_class_is_told_to_name_all():
    actions = {k: (f"verb{k % 2}", f"noun{k // 2}") for k in range(4)}
    model = clone(PLAIN).set_params(prior=VerbNounPrior(actions), max_epochs=1)
    with pytest.warns(UserWarning, match="pass all of them as classes="):
        model.fit(X, TRUTH)  # 0 to 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(classes=range(4)).fit(X, TRUTH)


def test_a_table_of_more_labels_is_told_once_with_what_can_be_set():
    actions = {k: (f"verb{k % 2}", f"noun{k // 2}") for k in range(4)}
    teacher, before = HistoryTeacher(actions, n_networks=0), TRUTH[:, None]
    (text,) = told_of_numbers(lambda: teacher.fit(before, TRUTH, groups=GROUPS))
    assert "has, leave them out of it." in text and "classes=" not in text
    student = clone(MODEL).set_params(text_teacher=teacher, max_epochs=1)
    (text,) = told_of_numbers(
        lambda: student.fit(X, TRUTH, past_actions=before, groups=GROUPS)
    )
    assert text.startswith("DistilledAnticipator learns the labels 0 to 2")
    student.set_params(classes=range(4))
    assert not told_of_numbers(
        lambda: student.fit(X, TRUTH, past_actions=before, groups=GROUPS)
    )


def test_classes_of_a_part_that_are_those_of_a_fold_are_not_told():
    """Its networks are given the classes of the teacher, which nobody has set."""
    histories = np.random.default_rng(0).integers(0, 4, (len(TRUTH), 2))
    teacher = HistoryTeacher(max_epochs=1, n_networks=1, random_state=0)
    lacks = np.flatnonzero(TRUTH)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        cross_val_predict(
            teacher,
            histories,
            2 * TRUTH,
            cv=[(lacks, np.arange(len(TRUTH)))],
            method="predict_proba",
        )
    assert not [w for w in record if "classes=" in str(w.message)]


def _weighing(class_weight):
    return SmoothedAnticipator(
        MLP(4), class_weight=class_weight, max_epochs=1, random_state=0
    )


@pytest.mark.parametrize(
    "fit",
    [
        lambda m: VOTING(m).fit(X, TRUTH + 1),
        lambda m: STACKING(m).fit(X, TRUTH + 1),
        lambda m: WRAPPERS["BaggingClassifier"](m).fit(X, TRUTH + 1),
        lambda m: cross_val_predict(m, X, TRUTH + 1, method="predict_proba", cv=2),
    ],
    ids=["voting", "stacking", "bagging", "cross_val_predict"],
)
def test_weights_of_some_labels_where_labels_are_numbered(fit):
    """Of the labels 1, 2 and 3 the wrapper makes 0, 1 and 2: 1 is the second one."""
    with pytest.warns(UserWarning, match=r"class_weight=\{1: 5.0\} names some of the"):
        fit(_weighing({1: 5.0}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(_weighing({0: 5.0, 1: 1.0, 2: 1.0}))


@pytest.mark.parametrize("kind", [OneVsRestClassifier, OneVsOneClassifier])
def test_weights_of_a_label_where_labels_come_two_by_two(kind):
    """To the estimator 1 is "this one", and never the label 1 alone."""
    with pytest.warns(UserWarning, match=r"class_weight=\{1: 5.0\} names some of the"):
        kind(_weighing({1: 5.0})).fit(X, TRUTH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(_weighing({0: 1.0, 1: 5.0})).fit(X, TRUTH)


def test_weights_of_some_labels_that_nobody_numbers():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _weighing({1: 5.0}).fit(X, TRUTH)
        cross_val_score(_weighing({1: 5.0}), X, TRUTH, cv=2)


def test_weights_of_labels_that_are_their_own_numbers():
    """A wrapper is seen to show labels as they are, or this label by itself."""
    for labels in ([0, 1, 2], [0, 3, 9]):
        y, model = np.array(labels)[TRUTH], _weighing({0: 5.0})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            voting = VotingClassifier([("a", model)], voting="soft").fit(X, y)
        alone = clone(model).fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(voting.predict_proba(X), alone)


def _wrapped(name):
    return lambda model, y: WRAPPERS[name](model).fit(X, y)


@pytest.mark.parametrize(
    "fit",
    [
        _wrapped("VotingClassifier"),
        _wrapped("StackingClassifier"),
        _wrapped("BaggingClassifier"),
        lambda m, y: cross_val_predict(m, X, y, cv=2, method="predict_proba"),
    ],
    ids=["voting", "stacking", "bagging", "cross_val_predict"],
)
def test_a_marker_that_is_the_number_of_a_label(fit):
    """Of the labels 1, 2 and 3 the wrapper shows the first as 0, which marks no row."""
    model = clone(PLAIN).set_params(unlabeled_label=0)
    with pytest.raises(ValueError, match="0 would mark the rows of the label 1, in wh"):
        fit(model, NUMBERS)
    for marker, labels in ((-1, NUMBERS), (9, NUMBERS)):
        fit(clone(model).set_params(unlabeled_label=marker), labels)


def test_a_frozen_teacher_in_a_wrapper_that_numbers_labels():
    """It knows 1 and 2, to the student of three labels the second and the third."""
    few = NUMBERS < 3
    teacher = FrozenEstimator(clone(PLAIN).fit(X[few], NUMBERS[few]))
    model = clone(MODEL).set_params(teacher=teacher, teacher_weight=1.0)
    model.set_params(max_epochs=1)

    def texts(labels):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            with config_context(enable_metadata_routing=True):
                VotingClassifier([("a", model)]).fit(X, labels, **FUTURES)
        return [t for w in record if "is frozen" in (t := str(w.message))]

    (text,) = texts(NUMBERS)
    assert "but SmoothedAnticipator, which is frozen, has learned [1, 2]" in text
    assert not texts(TRUTH)  # which are the numbers
    teacher = FrozenEstimator(clone(PLAIN).fit(X[TRUTH < 2], TRUTH[TRUTH < 2]))
    model.set_params(teacher=teacher)
    assert not texts(np.array([0, 1, 9])[TRUTH])  # it knows 0 and 1, which they are


def test_actions_of_the_past_are_not_numbered():
    """A table that names them by their labels is right, and stays so."""
    actions = {k: (f"verb{k % 2}", f"noun{k}") for k in (1, 2, 3)}
    prior = TransitionPrior(actions, strength=1.0)
    model = SmoothedAnticipator(MLP(4), prior=prior, max_epochs=1, random_state=0)
    everything = [(np.arange(120), np.arange(120))]
    past = {"y_past": BEFORE}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proba = cross_val_predict(
            model, X, NUMBERS, cv=everything, method="predict_proba", params=past
        )
        texts = cross_val_predict(
            clone(model).set_params(prior__actions=None),
            X,
            NUMBERS.astype(str),
            cv=everything,
            method="predict_proba",
            params={"y_past": BEFORE.astype(str)},
        )
    alone = clone(model).fit(X, NUMBERS, **past).predict_proba(X)
    np.testing.assert_allclose(proba, alone, rtol=0, atol=1e-6)
    assert texts.shape == proba.shape


# ----------------------------------------- texts, sorted otherwise than their table

TWELVE = np.arange(120) % 12
PAIRS = {k: (f"verb{k % 3}", f"{chr(110 - k)}oun") for k in range(12)}
BY_NUMBER = np.array([str(k) for k in range(12)])  # of which "10" is the third
BY_NAME = np.array([" ".join(pair) for pair in PAIRS.values()])
WAYS = {
    "voting": lambda m, y: VOTING(m).fit(X, y),
    "stacking": lambda m, y: STACKING(m).fit(X, y),
    "bagging": lambda m, y: BaggingClassifier(m, 1, bootstrap=False).fit(X, y),
    "cross_val_predict": lambda m, y: cross_val_predict(
        m, X, y, method="predict_proba", cv=2
    ),
    "search of a voting": lambda m, y: GridSearchCV(
        VOTING(m), {"a__lr": [0.1]}, cv=2
    ).fit(X, y),
    "pipeline in it": lambda m, y: VOTING(make_pipeline(StandardScaler(), m)).fit(X, y),
}


def told_of_order(fit):
    return said(fit, "seems to mean")


@pytest.mark.parametrize("name", WAYS)
def test_a_table_in_another_order_than_the_sorted_labels(name):
    """Numbered 0 to 11, "10" is 2, and of the names that of k is 11th where k is 0."""
    fit, fast = WAYS[name], {"max_epochs": 1, "random_state": 0}
    model = SmoothedAnticipator(MLP(2), prior=VerbNounPrior(PAIRS), **fast)
    for labels in (BY_NUMBER, BY_NAME):
        texts = told_of_order(lambda labels=labels: fit(model, labels[TWELVE]))
        assert len(texts) == 1
    texts = told_of_order(lambda: fit(model, BY_NUMBER[TWELVE]))
    assert "2 stands for '10', and actions seems to mean '2'" in texts.pop()
    # a table of the positions, numbers that are in order, and what the user has said
    order = {k: PAIRS[i] for k, i in enumerate(np.argsort(BY_NAME).tolist())}
    right = clone(model).set_params(prior__actions=order)
    assert not told_of_order(lambda: fit(right, BY_NAME[TWELVE]))
    assert not told_of_order(lambda: fit(model, np.char.zfill(BY_NUMBER, 2)[TWELVE]))
    assert not told_of_order(lambda: fit(model, TWELVE))
    said = clone(model).set_params(classes=range(12))
    assert not told_of_order(lambda: fit(said, BY_NUMBER[TWELVE]))


def test_weights_in_another_order_than_the_sorted_labels():
    weights = {k: 1.0 + k for k in range(12)}
    texts = told_of_order(lambda: WAYS["voting"](_weighing(weights), BY_NUMBER[TWELVE]))
    assert "class_weight seems to mean '2'" in texts.pop()
