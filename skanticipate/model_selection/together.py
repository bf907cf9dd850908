"""What a search does instead of fitting one candidate after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from inspect import isclass
from itertools import chain
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import ParameterSampler, check_cv
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import _check_method_params, _num_samples

from skanticipate._typing import Labels
from skanticipate.data.missing import as_array
from skanticipate.data.numbers import refuse_counted_mask
from skanticipate.data.parameters import fit_context
from skanticipate.data.places import check_chosen_rows
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import without_tensor
from skanticipate.data.warn import warn
from skanticipate.estimator.many import fit_jobs
from skanticipate.estimator.telling import has_callbacks, within
from skanticipate.model_selection.folds import Fold, shares_input
from skanticipate.model_selection.lookup import (
    Candidate,
    check_scorers,
    search_fitted,
)
from skanticipate.model_selection.pipelines import Fit, fit_all


class TrainedTogether:
    """Gives a search of scikit-learn a `fit` that trains its candidates together.

    The search says what they are in `_candidates`.
    """

    cv_results_: dict[str, Any]
    best_estimator_: BaseEstimator
    best_score_: float
    best_params_: dict[str, Any]
    best_index_: int
    n_splits_: int
    refit_time_: float

    estimator: BaseEstimator
    scoring: object
    refit: object
    cv: object

    def _candidates(self):
        """Settings to try, one dict each."""
        raise NotImplementedError

    _slower_if_watched = True  # callbacks follow fits that are done one by one

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Labels | None = None, **params: Any) -> Self:
        """Fit all candidates on all folds, and the best one on all rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Features; of a `RowView` or a memory map each fold is a view.
        y : array-like of shape (n,), default=None
            Labels; rows without one are kept out of the test folds by
            `SemiSupervisedSplit`.
        **params : dict of str to object
            What else the estimator's `fit`, the splitter and the scorers take. What has
            an entry for each row is cut with the rows, but validation rows (`X_val`,
            `y_val`), which stay whole. Without metadata routing, `groups` go to the
            splitter only.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError, TypeError
            What scikit-learn's search raises: for an unknown name of a parameter,
            for labels without order among each other where `cv` is a number,
            for `scoring` and `refit` that do not fit each other, if all fits fail, or
            one does and `error_score` is "raise".
        OSError
            If the file of a memory map was cut short.
        """
        X, y, params = _without_tensors(X, y, params)
        aligned = {k: v for k, v in params.items() if not k.endswith("_val")}
        check_rows_alike(X=X, y=y, **aligned)
        _refuse_classes_without_order(self, y)
        if reason := _why_one_by_one(self):
            warn(
                f"{type(self).__name__} fits one candidate after the other, as "
                f"scikit-learn does, because {reason}."
            )
            own = super()  # the search of scikit-learn
            return own.fit(X, y, **params)  # type: ignore[attr-defined]
        values = list(self._candidates())
        scorers, scoring = check_scorers(self.estimator, self.scoring, self.refit)
        X, y = indexable(X, y)
        params = _check_method_params(X, params)
        of_fit, of_split, of_scorers = _routed(self, params)
        _check_files(X, *of_fit.values())
        with np.errstate(invalid="ignore"):  # it casts y before it refuses NaN
            cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **of_split))
        _check_splits(splits, X, y)
        candidates = _fitted_candidates(self, values, splits, X, y, of_fit)
        rows = _as_view(X, candidates)
        found = search_fitted(self, candidates, splits, scoring, rows, y, of_scorers)
        _take_over(self, found)
        if self.refit:
            _refit(self, X, y, of_fit)
        self.scorer_, self.n_splits_ = scorers, len(splits)
        return self


def _without_tensors(X, y, params):
    """What a search is given without tensors, unless others are to compute on them."""
    if get_config()["array_api_dispatch"]:
        return X, y, params
    params = {name: without_tensor(given, name) for name, given in params.items()}
    y = without_tensor(y, "y")
    is_indexed = hasattr(y, "iloc") or hasattr(y, "dims")  # whose rows may have names
    if not (y is None or isinstance(y, list | tuple) or is_indexed):
        y = as_array(y)
    return without_tensor(X, "X"), y, params


def _refuse_classes_without_order(search, y):
    """Refuse labels of several kinds where scikit-learn divides rows by class.

    It sorts the classes, unless the first label is no string: then it does not divide
    by class. A splitter that is given need not sort, either.
    """
    by_class = search.cv is None or isinstance(search.cv, Integral)
    if not by_class or getattr(getattr(y, "dtype", None), "kind", None) != "O":
        return
    try:
        with np.errstate(invalid="ignore"):
            check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    except TypeError as error:
        raise ValueError(
            "y holds labels that have no order among each other, such as strings and "
            "-1, so that cv cannot divide the rows by their classes: pass "
            "cv=SemiSupervisedSplit() or another splitter, or labels of one type."
        ) from error


def _why_one_by_one(search):
    """Why candidates are not to be trained together, else None."""
    sampler = search._candidates()
    if isinstance(sampler, ParameterSampler):  # what it draws, it draws once
        sampler.random_state = deepcopy(sampler.random_state)
    values = list(sampler)
    given = [search.estimator, *chain(*(value.values() for value in values))]
    parts = list(chain(*map(_parts, given)))
    if any(map(has_callbacks, [search, *parts])):
        return "callbacks are set, which follow a fit of its own"
    if any(isinstance(p, np.random.RandomState | np.random.Generator) for p in parts):
        return (
            "a generator of random numbers is among the parameters, whose draws depend "
            "on the order of the fits: set random_state to an integer"
        )
    return None


def _parts(thing):
    """A parameter and, of an estimator, those within."""
    nested = hasattr(thing, "get_params") and not isclass(thing)
    return [thing, *(thing.get_params().values() if nested else ())]


def _routed(search, params):
    """What goes to the estimator, to the splitter, and what scorers may ask for."""
    if get_config()["enable_metadata_routing"]:
        routed = process_routing(search, "fit", **params)
        consumed = search.get_metadata_routing().consumes("score", params.keys())
        passed = routed.scorer.score  # by the scorer's names, which may be others
        of_scorers = {
            name: given
            for name, given in params.items()
            # What nobody said anything of goes there too, so that the scorer complains.
            if name in consumed or (name in passed and passed[name] is given)
        }
        return routed.estimator.fit, routed.splitter.split, of_scorers
    of_fit = {name: given for name, given in params.items() if name != "groups"}
    weighted = of_fit.get("sample_weight") is not None
    of_scorers = {"sample_weight": of_fit["sample_weight"]} if weighted else {}
    return of_fit, {"groups": params.get("groups")}, of_scorers


def _check_files(*arrays):
    """Read the last row of memory maps: cutting one that lacks it ends the process."""
    for array in arrays:
        if isinstance(array, np.memmap) and array.mode == "r" and array.size:
            RowView(array).take([len(array) - 1])


def _check_splits(splits, X, y):
    """Refuse rows of folds that are chosen by names, or 0 and 1 in place of a mask."""
    for fold in chain(*splits):
        check_chosen_rows(fold, (X, y), name="a fold of cv")
        rows = np.asarray(fold)
        if rows.dtype.kind in "iu":
            refuse_counted_mask(rows, _num_samples(X), "A fold of cv")


def _fitted_candidates(search, values, splits, X, y, signals):
    """Fit all candidates on the training rows of all splits.   -> list of Candidate."""
    base = clone(search.estimator)
    folds = [Fold(X, y, signals, np.asarray(train)) for train, _ in splits]
    candidates = [Candidate(i, v, _with(base, v)) for i, v in enumerate(values)]
    places = [(candidate, fold) for candidate in candidates for fold in folds]
    fits = []
    for k, (candidate, fold) in enumerate(places, start=1):
        params, name = candidate.params, f"fit {k} of {len(places)}"
        fits.append(Fit(_with(base, params), params, fold, name))
    run = partial(fit_jobs, n_jobs=search.n_jobs, width=search.width)
    outcomes = fit_all(fits, run)
    for (candidate, fold), outcome in zip(places, outcomes, strict=True):
        candidate.keep(fold.rows, outcome)
    return candidates


def _with(base, values):
    own = {name: _copied(name, value) for name, value in values.items()}
    return clone(base).set_params(**own)


def _copied(name, value):
    """A copy, as scikit-learn makes one; pre-trained weights in memory are shared."""
    if isinstance(value, Mapping) and name.rpartition("__")[2] == "weights":
        return value
    return clone(value, safe=False)


def _as_view(X, candidates):
    """Rows as they are scored: of a memory map a view, where estimators take it."""
    views = all(shares_input(candidate.estimator) for candidate in candidates)
    return RowView(X) if views and isinstance(X, np.memmap) else X


def _take_over(search, found):
    """Set the fitted attributes that another search found.

    An earlier best estimator goes: it would stand beside results that are not its own
    where the last fit is interrupted, or not wanted.
    """
    vars(search).pop("best_estimator_", None)
    for name in ("cv_results_", "multimetric_", "best_index_", "best_score_"):
        if hasattr(found, name):
            setattr(search, name, getattr(found, name))
    if hasattr(found, "best_index_"):
        search.best_params_ = found.cv_results_["params"][found.best_index_]


def _refit(search, X, y, signals):
    best = _with(clone(search.estimator), search.best_params_)
    start = time.perf_counter()
    with within("refit"):
        if y is None:
            best.fit(X, **signals)
        else:
            best.fit(X, y, **signals)
    search.refit_time_ = time.perf_counter() - start
    search.best_estimator_ = best
    if hasattr(best, "feature_names_in_"):
        search.feature_names_in_ = best.feature_names_in_
