"""Searches that train candidates together: bad input, failures, and what is shared."""

import os
import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.testing import assert_allclose
from searches import (
    FUTURE,
    GRID,
    MODEL,
    PIPELINE,
    SOME,
    X,
    Y,
    assert_same,
    assert_same_results,
)
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    RowView,
    SemiSupervisedSplit,
)
from skanticipate.estimator.many import fit_jobs
from skanticipate.metrics import labelled_scorer
from skanticipate.model_selection import lookup, together


def raised(kind, *args, y=Y, **options):
    try:
        kind(*args, **options).fit(X, y)
    except Exception as error:
        return type(error), str(error).replace("Batched", "")
    raise AssertionError("nothing was raised")


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("estimator", "grid", "options"),
    [
        (MODEL, {"smothing": [0.1]}, {}),
        (PIPELINE, {"model__smothing": [0.1]}, {}),
        (PIPELINE, {"smoothing": [0.1]}, {}),
        (MODEL, {"lr": []}, {}),
        (MODEL, {"lr": 0.1}, {}),
        (MODEL, {"lr": "ab"}, {}),
        (MODEL, [], {}),
        (MODEL, GRID, {"cv": []}),
        (MODEL, GRID, {"cv": 1}),
        (MODEL, GRID, {"scoring": "no such"}),
        (MODEL, GRID, {"scoring": ["accuracy", "neg_log_loss"]}),
        (MODEL, GRID, {"scoring": ["accuracy", "neg_log_loss"], "refit": "f1"}),
        (MODEL, GRID, {"scoring": []}),
        (MODEL, GRID, {"refit": lambda results: 99}),
        (MODEL, GRID, {"refit": lambda results: "first"}),
        (StandardScaler(), {"with_mean": [True]}, {}),
        (MODEL, {"smoothing": [-1.0, 2.0]}, {"error_score": "raise"}),
        (PIPELINE, {"model__lr": [-1.0, 0.1]}, {"error_score": "raise"}),
        (PIPELINE, {"scale__copy": ["no"]}, {"error_score": "raise"}),
    ],
)
@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test")
def test_bad_input_raises_what_it_raises_there(estimator, grid, options):
    expected = raised(GridSearchCV, estimator, grid, **{"cv": 2, **options})
    found = raised(BatchedGridSearchCV, estimator, grid, **{"cv": 2, **options})
    assert found == expected


def test_width_is_auto_or_a_number():
    for width in (0, -1, 1.5, "wide", None):
        kind, message = raised(BatchedGridSearchCV, MODEL, GRID, width=width)
        assert issubclass(kind, ValueError)
        assert "width" in message
    assert BatchedGridSearchCV(MODEL, GRID, width=2, cv=2).fit(X, Y).best_score_ > 0


def failing(search, *args, y=Y, **options):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            search = search(*args, **options).fit(X, y)
        except ValueError as error:
            search = error
    told = [w for w in told if "test scores are non-finite" not in str(w.message)]
    return search, [(w.category, str(w.message).splitlines()[0:3:2]) for w in told]


DIVERGES = {"optimizer": ["sgd"], "lr": [0.01, 1e30], "max_epochs": [6]}


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (MODEL, DIVERGES),
        (MODEL, {"smoothing": [0.1, -1.0, 0.0]}),
        (PIPELINE, {f"model__{name}": values for name, values in DIVERGES.items()}),
        (PIPELINE, {"scale__copy": ["no", True], "model__smoothing": [0.0, 0.1]}),
        (LogisticRegression(), {"C": [-1.0, 1.0]}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("error_score", [np.nan, -3.0])
def test_a_candidate_that_fails_leaves_the_others_alone(estimator, grid, error_score):
    scoring = {"a": "accuracy", "b": labelled_scorer("neg_log_loss")}
    options = {"cv": 2, "scoring": scoring, "refit": "b", "error_score": error_score}
    options["return_train_score"] = True
    theirs, expected = failing(GridSearchCV, estimator, grid, **options)
    ours, told = failing(BatchedGridSearchCV, estimator, grid, **options)
    assert_same_results(ours, theirs)
    assert told == expected
    assert expected[0][0] is FitFailedWarning
    assert np.isfinite(ours.cv_results_["mean_test_a"]).any()


@pytest.mark.parametrize("estimator", [MODEL, PIPELINE])
def test_all_that_fail(estimator):
    grid = {"lr" if estimator is MODEL else "model__lr": [-1.0, -2.0]}
    theirs, _ = failing(GridSearchCV, estimator, grid, cv=2)
    ours, _ = failing(BatchedGridSearchCV, estimator, grid, cv=2)
    assert type(ours) is type(theirs)
    assert str(ours).startswith("\nAll the 4 fits failed")
    assert str(ours).splitlines()[:6] == str(theirs).splitlines()[:6]
    assert "lr" in str(ours)


def test_a_fold_without_a_class():
    y = np.where(np.arange(120) < 40, Y, 0)
    splits = [(np.arange(40), np.arange(40, 120)), (np.arange(40, 120), np.arange(40))]
    told = []
    for model in (MODEL, clone(MODEL).set_params(classes=[0, 1, 2])):
        found = [
            failing(search, model, GRID, y=y, cv=splits, scoring="neg_log_loss")
            for search in (GridSearchCV, BatchedGridSearchCV)
        ]
        assert_same_results(found[1][0], found[0][0])
        told.append(found[1][1] == found[0][1])
    assert all(told)


class Dies(ClassifierMixin, BaseEstimator):
    def __init__(self, when=0):
        self.when = when

    def fit(self, X, y):
        if self.when:
            os._exit(1)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.mark.slow
def test_a_worker_that_dies_is_told_of():
    search = BatchedGridSearchCV(Dies(), {"when": [0, 1]}, cv=2, n_jobs=2)
    message = "A process of n_jobs=2 ended before its fits did.*Lower n_jobs"
    with pytest.raises(TerminatedWorkerError, match=message):
        search.fit(X, Y)
    assert_same(Dies(), {"when": [0]}, n_jobs=2)


@pytest.mark.parametrize("estimator", [MODEL, PIPELINE, LogisticRegression()], ids=repr)
@pytest.mark.parametrize("view", [False, True])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_a_memory_map_that_was_cut_short(tmp_path, estimator, view):
    np.save(tmp_path / "clips.npy", np.repeat(X, 400, axis=1))
    clips = np.load(tmp_path / "clips.npy", mmap_mode="r")
    rows = RowView(clips) if view else clips
    os.truncate(tmp_path / "clips.npy", 200_000)
    with pytest.raises((OSError, ValueError), match="cut short"):
        BatchedGridSearchCV(estimator, {}, cv=2).fit(rows, Y)
    future = {"X_future_unlabeled": rows}
    with pytest.raises((OSError, ValueError), match="cut short"):
        BatchedGridSearchCV(DistilledAnticipator(), {}, cv=2).fit(X, Y, **future)


# ---------------------------------------------------------------------- one by one


class Listens:
    """A callback that counts the fits that it hears of."""

    def __init__(self):
        self.heard = []

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **told):
        self.heard.append(context)

    def on_fit_task_end(self, estimator, context, **told):
        pass

    def teardown(self, estimator, context):
        pass


def test_the_best_of_an_earlier_search_is_not_the_best_of_the_last(monkeypatch):
    search = BatchedGridSearchCV(MODEL, {"lr": [0.1]}, cv=2).fit(X, Y)
    search.set_params(param_grid={"lr": [0.2]})
    monkeypatch.setattr(together, "_refit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    assert search.best_params_ == {"lr": 0.2} and not hasattr(search, "best_estimator_")
    search = BatchedGridSearchCV(MODEL, {"lr": [0.3]}, cv=2, refit=False).fit(X, Y)
    assert not hasattr(search, "best_estimator_")


def interrupted(*args):
    raise KeyboardInterrupt


def test_a_generator_falls_back_and_says_so():
    model = clone(MODEL).set_params(random_state=np.random.RandomState(0))
    theirs = GridSearchCV(model, GRID, cv=2).fit(X, Y)
    ours = BatchedGridSearchCV(model, GRID, cv=2)
    with pytest.warns(UserWarning, match="set random_state to an integer") as told:
        ours.fit(X, Y)
    assert told[0].filename == __file__
    assert_same_results(ours, theirs)


def test_a_generator_among_the_values_falls_back_and_says_so():
    grid = {"random_state": [0, np.random.RandomState(1)]}
    theirs = GridSearchCV(MODEL, grid, cv=2).fit(X, Y)
    ours = BatchedGridSearchCV(MODEL, grid, cv=2)
    with pytest.warns(UserWarning, match="one candidate after the other"):
        ours.fit(X, Y)
    assert_same_results(ours, theirs)


@pytest.mark.parametrize("where", ["search", "estimator", "step"])
def test_callbacks_fall_back_and_say_so(where):
    pytest.importorskip("sklearn.callback")
    listener = Listens()
    estimator = clone(PIPELINE if where == "step" else MODEL)
    grid = {"model__lr": [0.1, 0.01]} if where == "step" else {"lr": [0.1, 0.01]}
    ours = BatchedGridSearchCV(estimator, grid, cv=2)
    listened = {"search": ours, "estimator": estimator, "step": estimator}[where]
    (listened[-1] if where == "step" else listened).set_callbacks(listener)
    with pytest.warns(UserWarning, match="callbacks are set"):
        ours.fit(X, Y)
    assert listener.heard
    plain = clone(PIPELINE if where == "step" else MODEL)
    assert_same_results(ours, GridSearchCV(plain, grid, cv=2).fit(X, Y))


# ------------------------------------------------------------------ what is shared


@pytest.fixture
def asked(monkeypatch):
    """Calls of fit_jobs: [(jobs, how)]."""
    calls = []

    def spy(jobs, *, n_jobs=None, width="auto"):
        calls.append((jobs, {"n_jobs": n_jobs, "width": width}))
        return [outcome._replace(seconds=7.0) for outcome in fit_jobs(jobs)]

    monkeypatch.setattr(together, "fit_jobs", spy)
    return calls


@pytest.mark.parametrize("mapped", [False, True])
def test_candidates_of_a_fold_share_its_rows_and_folds_share_the_base(
    asked, mapped, tmp_path
):
    np.save(tmp_path / "clips.npy", X)
    clips = np.load(tmp_path / "clips.npy", mmap_mode="r") if mapped else X
    model = DistilledAnticipator(MLP(8), max_epochs=2, random_state=0)
    search = BatchedGridSearchCV(model, {"alpha": [0.1, 1, 2]}, width=5, cv=2, n_jobs=1)
    search.fit(clips, Y, X_future_unlabeled=FUTURE, sample_weight=np.ones(120))
    ((jobs, how),) = asked
    assert how == {"n_jobs": 1, "width": 5}
    assert len(jobs) == 6
    for first, other in ((jobs[0], jobs[2]), (jobs[1], jobs[5])):
        assert first.X is other.X
        assert first.y is other.y
        for name in ("X_future_unlabeled", "sample_weight"):
            assert first.signals[name] is other.signals[name]
    assert isinstance(jobs[0].X, RowView)
    assert jobs[0].X.base is jobs[1].X.base is clips
    assert jobs[0].signals["X_future_unlabeled"].base is FUTURE
    assert search.cv_results_["mean_fit_time"].tolist() == [7.0] * 3
    assert search.cv_results_["std_fit_time"].tolist() == [0.0] * 3


class Counts(TransformerMixin, BaseEstimator):
    fits: ClassVar = []

    def __init__(self, shift=0):
        self.shift = shift

    def fit(self, X, y=None):
        self.fits.append(len(X))
        return self

    def transform(self, X):
        return X + self.shift


@pytest.mark.parametrize("nested", [False, True])
def test_first_steps_are_fitted_once_for_a_fold_and_what_concerns_them(asked, nested):
    Counts.fits.clear()
    pipeline = Pipeline([("shift", Counts()), ("model", MODEL)])
    grid = {"shift__shift": [0, 1], "model__lr": [0.1, 0.2, 0.3]}
    if nested:
        pipeline = Pipeline([("scale", StandardScaler()), ("then", pipeline)])
        grid = {f"then__{name}": values for name, values in grid.items()}
    search = BatchedGridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert Counts.fits == [60] * 4 + [120]
    last = [jobs for jobs, _ in asked if jobs[0].estimator.__class__ is type(MODEL)]
    assert [len(jobs) for jobs in last] == [6, 6]
    assert last[0][0].X is last[0][2].X
    assert (
        search.cv_results_["mean_fit_time"].tolist() == [21.0 if nested else 14.0] * 6
    )


def test_last_steps_that_ask_for_other_things_are_given_them(asked):
    weights = np.linspace(0.1, 2, 120)
    with sklearn.config_context(enable_metadata_routing=True):
        scale = StandardScaler().set_fit_request(sample_weight=True)
        ours = clone(MODEL).set_fit_request(sample_weight=True)
        theirs = LogisticRegression().set_fit_request(sample_weight=False)
        pipeline = Pipeline([("scale", scale), ("model", ours)])
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=False)
        found = [
            search(pipeline, {"model": [ours, theirs]}, cv=2, scoring=scorer)
            for search in (BatchedGridSearchCV, GridSearchCV)
        ]
        assert_same_results(*(s.fit(X, Y, sample_weight=weights) for s in found))
    given = [tuple(job.signals) for jobs, _ in asked[1::2] for job in jobs]
    assert given == [("sample_weight",)] * 2 + [()] * 2


def test_other_processes_are_sent_the_fits_of_one_candidate_at_a_time(monkeypatch):
    sent = []

    class Spy(lookup.Candidate):
        def __reduce__(self):
            sent.append(self.number)
            return super().__reduce__()

    monkeypatch.setattr(together, "Candidate", Spy)
    search = BatchedGridSearchCV(MODEL, {"lr": [0.1, 0.2, 0.3]}, cv=2, n_jobs=2)
    search.fit(X, Y)
    assert sorted(sent) == [0, 0, 1, 1, 2, 2]


def test_what_is_given_stays_as_it_was():
    before = X.copy(), SOME.copy(), FUTURE.copy()
    model = DistilledAnticipator(MLP(8), max_epochs=1, random_state=0)
    search = BatchedGridSearchCV(model, {"alpha": [0.1, 1]}, cv=SemiSupervisedSplit(2))
    search.fit(X, SOME, X_future_unlabeled=FUTURE)
    for array, expected in zip((X, SOME, FUTURE), before, strict=True):
        assert np.array_equal(array, expected)
    assert not hasattr(model, "network_")


@pytest.mark.parametrize("verbose", [1, 3, 10])
def test_what_is_printed_names_candidates(capsys, verbose):
    BatchedGridSearchCV(MODEL, {"lr": [0.1, 0.2]}, cv=2, verbose=verbose).fit(X, Y)
    printed = capsys.readouterr().out
    assert "Fitting 2 folds for each of 2 candidates, totalling 4 fits" in printed
    assert ("lr=0.1" in printed) == (verbose > 1)


def test_rows_of_folds_are_numbers_or_masks():
    def scores(kind, *, cv, X=X):
        search = kind(MODEL, {"lr": [0.01, 0.02]}, cv=cv, refit=False)
        return search.fit(X, Y).cv_results_["mean_test_score"]

    pairs = list(KFold(2).split(X))
    masks = [[np.isin(np.arange(len(X)), rows) for rows in pair] for pair in pairs]
    expected = scores(GridSearchCV, cv=pairs)
    assert_allclose(scores(BatchedGridSearchCV, cv=masks), expected, rtol=1e-12)
    counted = [[mask.astype(int) for mask in pair] for pair in masks]
    with pytest.raises(ValueError, match="A fold of cv holds .* numbers 0 and 1"):
        scores(BatchedGridSearchCV, cv=counted)
    table = pd.DataFrame(X, index=[f"clip {k}" for k in range(len(X))])
    named = [[pd.Index(rows) for rows in pair] for pair in pairs]
    with pytest.raises(ValueError, match="a fold of cv is an Index"):
        scores(BatchedGridSearchCV, cv=named, X=table)
