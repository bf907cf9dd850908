"""Who is called by a meta-estimator or scorer that knows no unlabelled rows says so."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401
    enable_iterative_imputer,  # noqa: F401
)
from sklearn.feature_selection import RFECV, SelectFromModel, SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from unlabelled import LABELLED, SPLIT, TRUTH, WRAPPERS, X, Y, said

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    LateFusion,
    ReplicaEnsemble,
    SmoothedAnticipator,
)
from skanticipate.metrics import labelled_scorer

HIDDEN = Y == -1
MODEL = SmoothedAnticipator(MLP(4), max_epochs=9, lr=0.03, random_state=0)
GRID = {"lr": [0.01]}


# ------------------------------------------------------------- marker as a class


def of_classes(name, model, y):
    wrapper = WRAPPERS[name](model)
    return said(lambda: wrapper.fit(X, y), "marks rows without a label")


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_that_learns_the_marker_is_named(name):
    (text,) = of_classes(name, MODEL, Y)
    assert text.startswith(f"{name} takes -1, which marks")
    assert "leave these rows out" in text and "LateFusion" in text


@pytest.mark.parametrize("name", WRAPPERS)
def test_labelled_rows_and_classes_that_are_meant_are_welcome(name):
    assert not of_classes(name, MODEL, TRUTH)
    assert not of_classes(name, MODEL, np.where(TRUTH == 0, -1, 1))
    assert not of_classes(name, clone(MODEL).set_params(unlabeled_label=None), Y)


def test_a_marker_that_is_a_text():
    y = np.where(LABELLED, np.array(["cut", "mix", "pour"])[TRUTH], "unknown")
    model = clone(MODEL).set_params(unlabeled_label="unknown")
    (text,) = of_classes("VotingClassifier", model, y)
    assert "takes 'unknown', which marks" in text
    assert not of_classes("VotingClassifier", MODEL, y)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), MODEL),
        LateFusion([("a", MODEL, (0, 2)), ("b", MODEL, (2, 4))]),
        ReplicaEnsemble(MODEL, n_replicas=2),
        LateFusion([("a", LogisticRegression(), (0, None))]),
        ReplicaEnsemble(LogisticRegression(), n_replicas=2),
    ],
    ids=["pipeline", "fusion", "replicas", "fusion of others", "replicas of others"],
)
def test_it_is_said_from_within(model):
    names = ["BaggingClassifier", "AdaBoostClassifier"]
    takes_weights = not isinstance(model, Pipeline)
    for name in names[: 1 + takes_weights]:
        assert len(of_classes(name, model, Y)) == 1


@pytest.mark.parametrize("name", ["VotingClassifier", "BaggingClassifier"])
@pytest.mark.parametrize(
    "strange, what",
    [
        ("nan", "takes 'nan', a missing label, for"),
        ("NA", "y holds 'NA', which is a class like any other"),
        ("Cut", "The labels 'Cut' and 'cut' differ in nothing but"),
    ],
)
def test_labels_that_a_fit_alone_would_speak_of(name, strange, what):
    """A wrapper shows it numbers, in which nothing is to be seen."""
    names = np.array(["cut", "mix", "pour"])[TRUTH]
    wrapper = WRAPPERS[name](MODEL)
    assert (
        len(said(lambda: wrapper.fit(X, np.where(HIDDEN, strange, names)), what)) == 1
    )
    assert not said(lambda: wrapper.fit(X, names), "label")


def test_labels_that_are_meant_are_welcome_in_a_wrapper():
    y = np.array(["cut", "NA", "pour"])[TRUTH]
    meant = [{"unlabeled_label": None}, {"classes": ["NA", "cut", "pour"]}]
    for params in meant:
        model = clone(MODEL).set_params(**params)
        wrapper = CalibratedClassifierCV(model, cv=2)  # which shows labels
        assert not said(lambda w=wrapper: w.fit(X, y), "NA")
    voting = VotingClassifier([("a", clone(MODEL).set_params(unlabeled_label=None))])
    assert not said(lambda: voting.fit(X, y), "NA")


@pytest.mark.parametrize(
    "wrap",
    [
        WRAPPERS["VotingClassifier"],
        lambda m: StackingClassifier([("a", m)], cv="prefit"),
        CalibratedClassifierCV,
    ],
)
def test_a_fitted_estimator_is_told_apart_from_its_wrapper(wrap):
    """Its three columns are not those of -1, 0 and 1."""
    fitted = FrozenEstimator(clone(MODEL).fit(X, TRUTH))

    def predict(y):
        return said(lambda: wrap(fitted).fit(X, y).predict(X), "marks rows without")

    texts = predict(Y)
    assert texts and all("takes -1" in text for text in texts)
    assert not predict(TRUTH)


def test_probabilities_of_folds():
    def predict(method):
        return said(
            lambda: cross_val_predict(MODEL, X, Y, cv=2, method=method),
            "marks rows without a label",
        )

    (text,) = predict("predict_proba")
    assert text.startswith("cross_val_predict takes -1")
    assert not predict("predict")


# -------------------------------------------------------- steps of a Pipeline

SELECTS = SelectKBest(k=2)


@pytest.mark.parametrize(
    "step",
    [
        SELECTS,
        LinearDiscriminantAnalysis(),
        SelectFromModel(LogisticRegression()),
        FeatureUnion([("a", StandardScaler()), ("b", SELECTS)]),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_step_that_learns_the_marker_is_named(step):
    pipeline = Pipeline([("first", step), ("model", MODEL)])
    for run in (pipeline, GridSearchCV(pipeline, {"model__lr": [0.01]}, cv=2)):
        (text,) = said(lambda run=run: run.fit(X, Y), "of a Pipeline takes")
        assert text.startswith("The step 'first' of a Pipeline takes -1, which marks")
    assert not said(lambda: pipeline.fit(X, TRUTH), "of a Pipeline takes")


def test_steps_that_learn_no_marker_are_welcome():
    frozen = FrozenEstimator(clone(SELECTS).fit(X[~HIDDEN], Y[~HIDDEN]))
    imputer = IterativeImputer(BayesianRidge(), max_iter=1)  # knows no labels
    pipeline = make_pipeline(frozen, imputer, StandardScaler(), "passthrough", MODEL)
    assert not said(lambda: pipeline.fit(X, Y), "of a Pipeline takes")
    signed = np.where(TRUTH == 0, -1, 1)
    pipeline = make_pipeline(SELECTS, MODEL)
    assert not said(lambda: pipeline.fit(X, signed), "of a Pipeline takes")


def test_a_union_of_transformers_has_no_steps():
    selects = SelectFromModel(MODEL, importance_getter=lambda _: np.ones(4))
    assert not said(lambda: FeatureUnion([("a", selects)]).fit(X, Y), "of a Pipeline")


def test_a_missing_label_that_is_the_marker_is_told_of_once():
    voting = VotingClassifier([("a", clone(MODEL).set_params(unlabeled_label=np.nan))])
    names = np.where(HIDDEN, "nan", np.array(["cut", "mix", "pour"])[TRUTH])
    assert len(said(lambda: voting.fit(X, names), "VotingClassifier takes")) == 1


# ------------------------------------------------- scores that count such rows


def counted(run):
    return said(run, "rows without a label, and counts them")


TOLD = "accuracy_score is asked about rows without a label"


def own(y, found):
    return np.mean(y[y != -1] == found[y != -1])


@pytest.mark.parametrize(
    "run",
    [
        lambda: cross_val_score(MODEL, X, Y, cv=2, scoring="accuracy"),
        lambda: cross_validate(MODEL, X, Y, cv=2, scoring=["accuracy"]),
        lambda: GridSearchCV(MODEL, GRID, cv=2, scoring="accuracy").fit(X, Y),
        lambda: BatchedGridSearchCV(MODEL, GRID, cv=2, scoring="accuracy").fit(X, Y),
        lambda: BatchedGridSearchCV(
            MODEL, GRID, cv=2, scoring=["accuracy"], refit="accuracy"
        ).fit(X, Y),
        lambda: permutation_test_score(
            MODEL, X, Y, cv=2, n_permutations=1, scoring="accuracy"
        ),
    ],
)
def test_a_score_by_name_counts_unlabelled_rows(run):
    (text,) = counted(run)
    assert text.startswith(TOLD) and "labelled_scorer" in text


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_scores_that_leave_them_out(search):
    for scoring in (None, labelled_scorer("accuracy"), make_scorer(own)):
        found = search(MODEL, GRID, cv=2, scoring=scoring, return_train_score=True)
        assert not counted(lambda s=found: s.fit(X, Y))
    found = search(MODEL, GRID, cv=SPLIT, scoring="accuracy")
    assert not counted(lambda: found.fit(X, Y))


@pytest.mark.parametrize(
    "run",
    [
        lambda folds, **scoring: cross_val_score(MODEL, X, Y, cv=folds, **scoring),
        lambda folds, **scoring: GridSearchCV(MODEL, GRID, cv=folds, **scoring).fit(
            X, Y
        ),
        lambda folds, **scoring: BatchedGridSearchCV(
            make_pipeline(StandardScaler(), MODEL),
            {"smoothedanticipator__lr": [0.01]},
            cv=folds,
            **scoring,
        ).fit(X, Y),
    ],
)
def test_unlabelled_rows_that_are_in_the_test_fold_alone(run):
    """A fit has learned no marker from its rows, but those that are scored have it."""
    folds = [(np.flatnonzero(~HIDDEN), np.arange(60))]
    (text,) = counted(lambda: run(folds, scoring="accuracy"))
    assert text.startswith(TOLD)
    assert not counted(lambda: run(folds, scoring=labelled_scorer("accuracy")))
    assert not counted(lambda: run([(folds[0][0],) * 2], scoring="accuracy"))


FITTED = clone(MODEL).fit(X[~HIDDEN], Y[~HIDDEN])


@pytest.mark.parametrize(
    "run",
    [
        lambda s: GridSearchCV(MODEL, GRID, cv=2, scoring=s).fit(X, TRUTH).score(X, Y),
        lambda s: cross_val_score(FrozenEstimator(FITTED), X, Y, cv=2, scoring=s),
        lambda s: permutation_importance(FITTED, X, Y, n_repeats=1, scoring=s),
        lambda s: get_scorer(s)(FITTED, X, Y),
        lambda s: get_scorer(s)(
            CalibratedClassifierCV(FrozenEstimator(FITTED)).fit(X, TRUTH), X, Y
        ),
        lambda s: cross_val_score(
            LateFusion([("all", LogisticRegression(), (0, None))]),
            *(X, Y),
            cv=2,
            scoring=s,
        ),
    ],
)
def test_whoever_asks_a_metric_is_told(run):
    (text,) = counted(lambda: run("accuracy"))
    assert text.startswith(TOLD)
    assert not counted(lambda: run(labelled_scorer("accuracy")))


def test_one_of_several_scorers_counts_them():
    def run(**scoring):
        return lambda: cross_validate(MODEL, X, Y, cv=2, scoring=scoring)

    own = labelled_scorer("accuracy")
    for scorers in ({"own": own, "all": "accuracy"}, {"all": "accuracy", "own": own}):
        assert [text[:50] for text in counted(run(**scorers))] == [TOLD[:50]]
    assert not counted(run(own=own, too=labelled_scorer("neg_log_loss")))


def test_signed_labels_of_a_test_fold_are_labels():
    y = np.where(TRUTH == 0, -1, 1)
    run = {"cv": 2, "scoring": "accuracy"}
    assert not counted(lambda: cross_val_score(MODEL, X, y, **run))
    meant = clone(MODEL).set_params(unlabeled_label=None)
    folds = [(np.flatnonzero(~HIDDEN), np.arange(60))]
    assert not counted(
        lambda: cross_val_score(meant, X, Y, cv=folds, scoring="accuracy")
    )


def test_rfecv_counts_them_too():
    def run(scoring):
        RFECV(
            MODEL,
            importance_getter=lambda e: np.arange(1.0, 1 + e.n_features_in_),
            min_features_to_select=3,
            cv=2,
            scoring=scoring,
        ).fit(X, Y)

    (text,) = counted(lambda: run("accuracy"))
    assert text.startswith(TOLD)
    assert not counted(lambda: run(labelled_scorer("accuracy")))


def test_permutations_that_leave_them_out():
    for scoring in (None, labelled_scorer("accuracy")):
        assert not counted(
            lambda s=scoring: permutation_test_score(
                MODEL, X, Y, cv=2, n_permutations=1, scoring=s
            )
        )


@pytest.mark.parametrize(
    "run",
    [
        lambda **scoring: learning_curve(MODEL, X, Y, cv=SPLIT, **scoring),
        lambda **scoring: validation_curve(
            MODEL, X, Y, cv=SPLIT, param_name="lr", param_range=[0.01], **scoring
        ),
        lambda **scoring: cross_validate(
            MODEL, X, Y, cv=SPLIT, return_train_score=True, **scoring
        ),
        lambda **scoring: BatchedGridSearchCV(
            MODEL, GRID, cv=SPLIT, return_train_score=True, **scoring
        ).fit(X, Y),
        lambda **scoring: HalvingGridSearchCV(
            MODEL, {"lr": [0.01, 0.1]}, cv=SPLIT, min_resources=30, **scoring
        ).fit(X, Y),
    ],
)
def test_training_rows_of_a_split_that_tests_labelled_ones(run):
    (text,) = counted(lambda: run(scoring="accuracy"))
    assert text.startswith(TOLD)
    assert not counted(lambda: run(scoring=labelled_scorer("accuracy")))
    assert not counted(lambda: run())
