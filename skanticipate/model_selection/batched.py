"""Searches of scikit-learn that train their candidates together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
)
from sklearn.utils._param_validation import StrOptions

from skanticipate._typing import Scorer, Seed, Splitter
from skanticipate.data.docs import filled
from skanticipate.data.numbers import Interval
from skanticipate.model_selection.together import TrainedTogether

_WIDTH = [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]


class BatchedGridSearchCV(TrainedTogether, GridSearchCV):
    """Exhaustive search over parameter values, whose candidates are trained together.

    Takes the place of :class:`~sklearn.model_selection.GridSearchCV` and gives what
    that gives: the same splits, scores, ranks and best estimator. All candidates of
    all folds are fitted in one call, which trains as one computation what has the same
    architecture. Anything else (classifiers of scikit-learn, `LateFusion`, candidates
    of different shapes) is fitted one by one, with equal results.

    The first steps of a :class:`~sklearn.pipeline.Pipeline` are fitted once for each
    fold and each setting of their own parameters, instead of once for each candidate.

    Parameters
    ----------
    estimator : estimator
        What is searched: an anticipator, a Pipeline that ends in one, or any estimator
        of scikit-learn.
    param_grid : dict or list of dict
        Names of parameters and the values to try, as in `{"smoothing": [0, 0.1]}`; of a
        list, each grid for itself.
    width : "auto" or int, default="auto"
        How many models are trained as one at most; "auto" goes by their size. It
        decides on the time only.
    {shared parameters}

    Attributes
    ----------
    {shared attributes}

    See Also
    --------
    BatchedRandomizedSearchCV : Tries some of the settings only.
    SemiSupervisedSplit : Splits for data of which a part has no label.
    skanticipate.metrics.labelled_scorer : Any score, of the labelled rows.

    Notes
    -----
    {shared notes}

    Examples
    --------
    >>> from skanticipate import MLP, BatchedGridSearchCV, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(n_features=16, random_state=0)
    >>> model = SmoothedAnticipator(MLP(16), max_epochs=3, random_state=0)
    >>> search = BatchedGridSearchCV(
    ...     model, {"smoothing": [0.0, 0.1], "lr": [1e-3, 1e-2]}, cv=2
    ... )
    >>> search.fit(kitchen.X_past, kitchen.y).best_params_["lr"]
    0.01
    >>> search.cv_results_["mean_test_score"].shape
    (4,)
    """

    _parameter_constraints = {**GridSearchCV._parameter_constraints, "width": _WIDTH}

    def __init__(
        self,
        estimator: BaseEstimator,
        param_grid: Mapping[str, Iterable[object]]
        | Sequence[Mapping[str, Iterable[object]]],
        *,
        width: int | Literal["auto"] = "auto",
        scoring: str
        | Scorer
        | Sequence[str]
        | Mapping[str, str | Scorer]
        | None = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[[dict[str, Any]], int] = True,
        cv: int | Splitter | Iterable[tuple[ArrayLike, ArrayLike]] | None = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | Literal["raise"] = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.width = width

    def _candidates(self):
        return ParameterGrid(self.param_grid)


class BatchedRandomizedSearchCV(TrainedTogether, RandomizedSearchCV):
    """Search over sampled parameter values, whose candidates are trained together.

    Takes the place of :class:`~sklearn.model_selection.RandomizedSearchCV`, as
    `BatchedGridSearchCV` takes that of :class:`~sklearn.model_selection.GridSearchCV`.

    Parameters
    ----------
    estimator : estimator
        What is searched: an anticipator, a Pipeline that ends in one, or any estimator
        of scikit-learn.
    param_distributions : dict or list of dict
        Names of parameters and what their values are drawn from: a list, or a
        distribution with `rvs`, such as those of `scipy.stats`; of a list of dict, one
        is drawn for each setting.
    n_iter : int, default=10
        How many settings are drawn.
    random_state : int, RandomState instance or None, default=None
        What the settings are drawn with. That of the estimator is its own.
    width : "auto" or int, default="auto"
        How many models are trained as one at most; "auto" goes by their size. It
        decides on the time only.
    {shared parameters}

    Attributes
    ----------
    {shared attributes}

    See Also
    --------
    BatchedGridSearchCV : Tries all settings.

    Notes
    -----
    {shared notes}

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from skanticipate import MLP, BatchedRandomizedSearchCV, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(n_features=16, random_state=0)
    >>> model = SmoothedAnticipator(MLP(16), max_epochs=3, random_state=0)
    >>> search = BatchedRandomizedSearchCV(
    ...     model, {"lr": loguniform(1e-4, 1e-1)}, n_iter=3, random_state=0, cv=2
    ... )
    >>> len(search.fit(kitchen.X_past, kitchen.y).cv_results_["param_lr"])
    3
    """

    _parameter_constraints = {
        **RandomizedSearchCV._parameter_constraints,
        "width": _WIDTH,
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        param_distributions: Mapping[str, object] | Sequence[Mapping[str, object]],
        *,
        n_iter: int = 10,
        random_state: Seed | None = None,
        width: int | Literal["auto"] = "auto",
        scoring: str
        | Scorer
        | Sequence[str]
        | Mapping[str, str | Scorer]
        | None = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[[dict[str, Any]], int] = True,
        cv: int | Splitter | Iterable[tuple[ArrayLike, ArrayLike]] | None = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | Literal["raise"] = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            random_state=random_state,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.width = width

    def _candidates(self):
        return ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )


# Written once, and put into both docstrings.
_SHARED = {
    "{shared parameters}": """\
    scoring : str, callable, list, tuple or dict, default=None
        What candidates are scored by: a name or a scorer; several names, or scorers by
        name, for several scores; None takes the `score` of the estimator. A callable
        `(estimator, X, y)` is shown the fitted estimator.
    n_jobs : int, default=None
        Processes, which share the fits among them, each training its part together,
        and the scoring; None means one, -1 all processors.
    refit : bool, str or callable, default=True
        Whether the best candidate is fitted on all rows. Of several scores, the name of
        the one that decides; or a function from `cv_results_` to the index of the best.
    cv : int, splitter, iterable or None, default=None
        How rows are split: the number of (stratified) folds, a splitter, or pairs
        (train, test) of row numbers. None means 5.
    verbose : int, default=0
        How much is printed when candidates are scored. Times that are printed are those
        of scoring.
    pre_dispatch : int or str, default="2*n_jobs"
        How many candidates are sent to the processes at once for scoring.
    error_score : "raise" or float, default=np.nan
        Score of a fit that fails, with a warning; "raise" raises instead. What one
        fit raises does not touch the others.
    return_train_score : bool, default=False
        Whether the training rows are scored too.""",
    "{shared attributes}": """\
    cv_results_ : dict of ndarrays
        A row for each candidate, as scikit-learn gives it: `params`, a masked array
        `param_<name>` for each parameter, `split<i>_test_<score>`, and their `mean_`,
        `std_` and `rank_`. The time of a fit is its share of what was trained together,
        and that of first steps counts for each candidate that used them.
    best_estimator_ : estimator
        The best candidate, fitted on all rows, if `refit`.
    best_score_ : float
        Its mean score over the folds; not there if `refit` is a function.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its row in `cv_results_`.
    scorer_ : callable or dict of callable
        What scored; of several scores, by name.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit, if `refit`.
    multimetric_ : bool
        Whether there are several scores.
    classes_ : ndarray of shape (C,)
        Labels that the best estimator knows.
    n_features_in_ : int
        Number of features that it was fitted on, if it tells.
    feature_names_in_ : ndarray of shape (d,)
        Their names, if it was fitted on a table that has some.""",
    "{shared notes}": """\
    All fitted candidates of all folds are in memory until they are scored.

    Where callbacks are set, or a parameter such as `random_state` is a generator of
    random numbers instead of an integer, candidates are fitted one after the other by
    scikit-learn's own search, and a warning says so.""",
}
for _search in (BatchedGridSearchCV, BatchedRandomizedSearchCV):
    if _search.__doc__ is not None:
        for _mark, _text in _SHARED.items():
            _search.__doc__ = filled(_search.__doc__, _mark, _text)
