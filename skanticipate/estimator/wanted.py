"""Which fits are wanted: estimators, the rows of each, and signals by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from inspect import isclass
from numbers import Integral
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import _num_samples

from skanticipate._typing import Labels
from skanticipate.data.masked import refuse_masked
from skanticipate.data.numbers import Interval, refuse_counted_mask
from skanticipate.data.places import check_chosen_rows
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import takes_tensors
from skanticipate.data.validation import check_aligned
from skanticipate.data.warn import warn
from skanticipate.estimator.base import BaseAnticipator
from skanticipate.estimator.given import Given
from skanticipate.estimator.many import fit_jobs, fitted_of, why_alone

_CLIPS = ("X_future_unlabeled", "X_val")  # of which first steps would be fitted too
_WIDTH = Interval(Integral, 1, None, closed="left")

Model = TypeVar("Model")


@dataclass(frozen=True)
class Job:
    """One fit that is wanted.

    Attributes
    ----------
    estimator : estimator
        Unfitted; it is fitted in place, or a copy of it in another process.
    X, y : as `fit` takes them
        The rows that it trains on. Jobs that share these objects share the work of
        their teachers.
    signals : dict
        What else `fit` is given, cut to the same rows.
    name : str
        What it is called where its training is told of.
    """

    estimator: object
    X: object
    y: object
    signals: dict = field(default_factory=dict)
    name: str = ""


@takes_tensors
def fit_many(
    estimators: Iterable[Model],
    X_past: ArrayLike,
    y: Labels,
    X_future_unlabeled: ArrayLike | None = None,
    *,
    past_actions: Labels | None = None,
    y_past: Labels | None = None,
    teacher_proba: ArrayLike | None = None,
    groups: Labels | None = None,
    sample_weight: ArrayLike | None = None,
    X_val: ArrayLike | Callable[[], ArrayLike] | None = None,
    y_val: Labels | Callable[[], Labels] | None = None,
    train: Sequence[ArrayLike] | None = None,
    n_jobs: int | None = None,
    width: int | Literal["auto"] = "auto",
) -> list[Model]:
    """Fit many estimators on the same data, or on parts of it, in one go.

    Each comes out as its own `fit` would have made it: in float64 equal to 1e-12,
    dropout and shuffling included. Small networks spend their time in overhead, so
    those with the same architecture, of which other parameters may differ (`lr`,
    `smoothing`, weights of terms, seeds), are trained together as one computation; a
    teacher that several of them ask alike is fitted once. What cannot be one is fitted
    alone: networks that are large or do not stack, `warm_start`, `verbose`, callbacks,
    and a RandomState as `random_state`.

    Parameters
    ----------
    estimators : iterable of K estimators
        Unfitted; they stay as they are, clones are fitted.
    X_past, y : arrays
        As `fit` of anticipators takes them.
    X_future_unlabeled, past_actions, y_past, teacher_proba : arrays, default=None
        The same; None is not passed on. Of a Pipeline the last step gets them all,
        unless metadata routing is enabled; clips that its first steps would have to
        transform need routing.
    groups, sample_weight : arrays, default=None
        The same.
    X_val, y_val : arrays, default=None
        Validation data of all.
    train : sequence of K index arrays or masks, default=None
        Rows that each estimator trains on: numbers of rows, or a mask of bool. None:
        all rows.
    n_jobs : int, default=None
        Processes, as in joblib.
    width : int or "auto", default="auto"
        How many are trained together at most; "auto" goes by the size of a step.

    Returns
    -------
    list of K fitted estimators

    Raises
    ------
    ValueError
        If `train` is not as long as `estimators` or holds no rows, if a Pipeline
        would have to transform clips and metadata routing is not enabled, and what the
        first fit that fails raises; it tells which one that is.
    TypeError
        If `estimators` is a single one, or a mapping, or holds what is no estimator;
        if `train` is no list.
    RuntimeError
        If a process of `n_jobs` dies, as where memory runs out.

    Examples
    --------
    >>> from skanticipate import MLP, SmoothedAnticipator, fit_many
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> seeds = [SmoothedAnticipator(MLP(32), random_state=k) for k in range(5)]
    >>> fitted = fit_many(seeds, kitchen.X_past, kitchen.y)
    >>> [model.n_iter_ for model in fitted]
    [50, 50, 50, 50, 50]
    """
    is_auto = isinstance(width, str) and width == "auto"
    if not is_auto and not _WIDTH.is_satisfied_by(width):
        raise ValueError(f"width must be 'auto' or an int from 1 on, got {width!r}.")
    estimators = listed(estimators)
    given = Given(
        X_past,
        y,
        X_future_unlabeled=X_future_unlabeled,
        past_actions=past_actions,
        y_past=y_past,
        teacher_proba=teacher_proba,
        groups=groups,
        sample_weight=sample_weight,
        X_val=X_val,
        y_val=y_val,
    )
    for estimator in estimators:
        if reason := why_alone(estimator):
            warn(f"fit_many fits a {type(estimator).__name__} alone: {reason}.")
    jobs = wanted_jobs(estimators, given, train)
    return fitted_of(fit_jobs(jobs, n_jobs=n_jobs, width=width))


def listed(estimators):
    """Estimators of any iterable, as a list.

    Raises
    ------
    TypeError
        If this is one estimator, names its entries or has no order, or one of them is
        no estimator.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> listed(DummyClassifier(random_state=k) for k in range(2))
    [DummyClassifier(random_state=0), DummyClassifier(random_state=1)]
    >>> listed(DummyClassifier())
    Traceback (most recent call last):
    TypeError: estimators must be a list of estimators, got a DummyClassifier: a ...
    """
    remedy = None
    if hasattr(estimators, "fit"):  # a Pipeline would give its steps
        remedy = "a single one is [estimator]"
    elif isinstance(estimators, Mapping):
        remedy = "pass list(estimators.values())"
    elif isinstance(estimators, Set | str) or not hasattr(estimators, "__iter__"):
        remedy = "pass them in a list, in their order"
    if remedy is not None:
        raise TypeError(
            f"estimators must be a list of estimators, got a "
            f"{type(estimators).__name__}: {remedy}."
        )
    estimators = list(estimators)
    for k, estimator in enumerate(estimators):
        if isclass(estimator) or not hasattr(estimator, "fit"):
            raise TypeError(
                f"estimators[{k}] is {estimator!r:.80}: expected an estimator, an "
                "instance with a method fit, without a name."
            )
    return estimators


def wanted_jobs(estimators, given, train):
    """Fits of clones of estimators, each on all rows or on its own.

    Parameters
    ----------
    estimators : list of K estimators
    given : Given
        What is None is not passed on; validation data are passed to all fits.
    train : sequence of K index arrays or masks, or None
        Rows of each; None: all rows.

    Returns
    -------
    list of Job

    Raises
    ------
    ValueError
        If `train` is not as long as `estimators` or holds what are no rows, or clips
        are to go to a Pipeline whose first steps would not transform them.
    TypeError
        If `train` is no list.
    """
    train = [None] * len(estimators) if train is None else _listed_rows(train)
    if len(train) != len(estimators):
        raise ValueError(
            f"train has rows for {len(train)} estimators, but there are "
            f"{len(estimators)}: give an array of rows for each, or None."
        )
    by_row = {"X_past": given.X_past, "y": given.y, **given.aligned()}
    by_row = {k: v for k, v in by_row.items() if v is not None or k == "X_past"}
    validation = {"X_val": given.X_val, "y_val": given.y_val}
    validation = {name: rows for name, rows in validation.items() if rows is not None}
    check_rows_alike(**by_row)
    parts, jobs = {}, []
    for k, (estimator, rows) in enumerate(zip(estimators, train, strict=True)):
        rows = None if rows is None else _numbers_of_rows(rows, by_row, k)
        key = None if rows is None else rows.tobytes()
        if not isinstance(estimator, BaseAnticipator):  # may write into its input
            rows = np.arange(_n_rows(by_row)) if rows is None else rows
            key = k
        if key not in parts:
            parts[key] = _cut(by_row, rows)
        X, y, signals = parts[key]
        signals = _as_fit_names_them(estimator, signals | validation, k)
        name = f"fit {k + 1} of {len(estimators)}"
        jobs.append(Job(clone(estimator), X, y, signals, name))
    return jobs


def _listed_rows(train):
    """Rows of each estimator, as a list."""
    unordered = isinstance(train, Mapping | Set | str)
    is_one = not hasattr(train, "__iter__") or getattr(train, "ndim", 1) == 0
    if unordered or is_one:
        raise TypeError(
            "train must be a list of rows, an array for each estimator, or None, got "
            f"{train!r:.80}."
        )
    return list(train)


def _numbers_of_rows(rows, by_row, k):
    """Indices or a mask of rows as indices (m,) of int64; those of estimator k."""
    n = _n_rows(by_row)
    refuse_masked(rows, f"train[{k}]", "Leave these rows out.")
    check_chosen_rows(rows, by_row.values(), name=f"train[{k}]")
    try:
        numbers = np.asarray(rows)
    except ValueError as error:  # numpy's words for arrays of unequal length
        raise ValueError(
            f"train[{k}] must hold numbers of rows, or be a mask, got arrays of "
            "unequal length: of (train, test) of a splitter pass train."
        ) from error
    if numbers.shape == (n,) and numbers.dtype == bool:
        return np.flatnonzero(numbers)
    whole = numbers.ndim == 1 and numbers.dtype.kind in "iu" and len(numbers) > 0
    if not whole or numbers.min() < -n or numbers.max() >= n:
        raise ValueError(
            f"train[{k}] must hold numbers of rows, or be a mask, of the {n} rows of "
            f"X_past; got {numbers.dtype} of shape {numbers.shape}."
        )
    refuse_counted_mask(numbers, n, f"train[{k}]")
    return numbers.astype(np.int64)


def _n_rows(by_row):
    """Number of rows of all, of which some are to be cut out.   -> int."""
    n_rows = _num_samples(by_row["X_past"])
    check_aligned(n_rows, **{k: v for k, v in by_row.items() if k != "X_past"})
    return n_rows


def _cut(by_row, rows):
    """Rows of all that has as many.   -> X, y, dict of the others."""
    if rows is None:  # another process opens a map that it is given as a view
        others = {name: _viewed(values) for name, values in by_row.items()}
    else:
        others = {name: _rows_of(values, rows) for name, values in by_row.items()}
    return others.pop("X_past"), others.pop("y", None), others


def _viewed(values):
    return RowView(values) if _is_map(values) else values


def _is_map(values):
    return isinstance(values, np.memmap) and values.ndim > 1 and values.size > 0


def _rows_of(values, rows):
    """Some rows; of arrays of numbers without a copy."""
    if (
        isinstance(values, np.ndarray)
        and not isinstance(values, np.ma.MaskedArray)
        and values.ndim > 1
        and values.size > 0
        and values.dtype.kind in "fiu"
    ):
        return RowView(values)[rows]
    (values,) = indexable(values)
    return _safe_indexing(values, rows)


def _as_fit_names_them(estimator, signals, k):
    """Signals by the names that fit of an estimator has for them.   -> dict.

    To a Pipeline they are those of its last step, unless scikit-learn routes them.
    """
    if not isinstance(estimator, Pipeline) or get_config()["enable_metadata_routing"]:
        return signals
    *first, (name, last) = estimator.steps
    clips = [name for name in _CLIPS if name in signals]
    if clips and any(step not in (None, "passthrough") for _, step in first):
        raise ValueError(
            f"estimators[{k}] is a Pipeline whose first steps would transform X_past "
            f"but not {clips[0]}: make it with transform_input={clips}, and fit in "
            "sklearn.config_context(enable_metadata_routing=True)."
        )
    inner = _as_fit_names_them(last, signals, k)
    return {f"{name}__{signal}": given for signal, given in inner.items()}
