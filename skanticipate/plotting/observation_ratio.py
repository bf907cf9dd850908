"""ObservationRatioDisplay: accuracy against the share of a clip that is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Labels
from skanticipate.data.labels import check_label_array, labelled_rows
from skanticipate.data.places import check_row_names
from skanticipate.data.rows_alike import RowsAlike, check_rows_alike
from skanticipate.data.tensors import takes_tensors
from skanticipate.datasets import first_fraction
from skanticipate.plotting._curve_display import CurveDisplay
from skanticipate.plotting._curves import accuracy, by_name, on_one_grid, rows_of_all
from skanticipate.plotting._pyplot import Axes
from skanticipate.preprocessing import pad_clips

_NAME = "ObservationRatioDisplay"
_TENTHS = tuple(k / 10 for k in range(1, 11))
_DIGITS = 12  # of 6, two thirds would be more than that, and of 3 steps all


class ObservationRatioDisplay(CurveDisplay):
    """Accuracy against the share of trimmed clips that is seen, one curve an estimator.

    Early recognition: clips show one action from their first step to their last, and it
    is named from the first steps alone, as :func:`skanticipate.datasets.first_fraction`
    cuts them.

    Create it with `ObservationRatioDisplay.from_estimator` or `from_predictions`, or
    with scores of your own. All parameters are stored as attributes.

    Parameters
    ----------
    scores : dict of str to array-like of shape (F, R)
        Name of an estimator -> accuracies, in [0, 1], at F fractions in R runs, such as
        fits with several seeds or on several splits. NaN where a run has none.
    fractions : array-like of shape (F,)
        Shares of the steps that are seen, in (0, 1], in any order.
    k : int, default=1
        How many classes an answer may name.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Means over the runs in per cent, one line an estimator.
    bands_ : list of matplotlib collections
        One standard deviation on each side; none where there is a single run.

    See Also
    --------
    skanticipate.datasets.first_fraction : The first share of each clip, and all of it.
    AnticipationCurveDisplay : Accuracy over the seconds before an action.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: top-1 accuracy at 20 %, mean of 3 splits.

    Examples
    --------
    >>> from skanticipate.plotting import ObservationRatioDisplay
    >>> display = ObservationRatioDisplay(
    ...     {"past only": [[0.25, 0.35], [0.5, 0.5]], "distilled": [[0.32], [0.49]]},
    ...     fractions=[0.2, 1.0],
    ... )
    >>> display.plot().lines_[0].get_xydata()
    array([[ 20.,  30.],
           [100.,  50.]])
    >>> print(display.to_markdown(baseline="past only"))
    | top-1 accuracy, % | 20 % | 100 % |
    |---|---:|---:|
    | past only | 30.00 ± 7.07 | 50.00 ± 0.00 |
    | distilled | 32.00 | 49.00 |
    | improvement over past only, % points | +2.00 | -1.00 |
    """

    _at, _what = "fractions", "fraction"

    def __init__(
        self, scores: Mapping[str, ArrayLike], fractions: ArrayLike, *, k: int = 1
    ) -> None:
        self.scores = scores
        self.fractions = fractions
        self.k = k

    @classmethod
    @takes_tensors
    def from_estimator(
        cls,
        estimators: BaseEstimator | Mapping[Any, Any],
        clips: Sequence[ArrayLike] | np.ndarray,
        y: Labels,
        *,
        fractions: ArrayLike | None = None,
        k: int = 1,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Score fitted estimators on the first share of each clip, and plot them.

        Parameters
        ----------
        estimators : estimator, or dict of str to estimator, dict or list
            Fitted classifiers with `predict_proba`, which are shown the `X_past` of
            `first_fraction`: one for all fractions, or a dict of fractions to
            estimators, ``{"distilled": {0.2: model, 0.5: other}}``. A list holds such
            runs, fits with several seeds; their spread becomes a band.
        clips : ndarray of shape (n, T, ...), or list of n arrays (T_i, ...)
            Trimmed clips as :func:`skanticipate.datasets.first_fraction` takes them.
        y : array-like of shape (n,)
            Labels; rows that carry the unlabelled marker of any of the estimators are
            left out, for all.
        fractions : array-like of shape (F,), default=None
            Shares in (0, 1]. None takes those of the dicts of estimators, and where
            there are none 0.1, 0.2, ..., 1.0.
        k : int, default=1
            How many classes an answer may name.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : ObservationRatioDisplay

        Raises
        ------
        TypeError
            If an estimator has no `predict_proba`, or a fraction has a list of them.
        ValueError
            If there is no estimator, a run has none at any fraction, a fraction is not
            in (0, 1] or there twice; or as `first_fraction` and an estimator.
        """
        runs = _runs_by_name(estimators)
        fractions = _checked(_fractions_of(runs) if fractions is None else fractions)
        check_rows_alike(clips=clips, y=y)
        whole, y = pad_clips(clips), check_label_array(y, estimator=_NAME)
        check_consistent_length(whole, y)
        rows = rows_of_all(_models_of(runs, fractions), y)
        curves: dict[str, list[dict]] = {
            name: [{} for _ in own] for name, own in runs.items()
        }
        for fraction in fractions:
            early = first_fraction(whole, fraction).X_past
            for name, own in runs.items():
                for run, points in zip(own, curves[name], strict=True):
                    if (model := _at(run, fraction, name)) is not None:
                        points[fraction] = _score(
                            model, early, y, rows, k, name, fraction
                        )
        for name, own in curves.items():
            if not all(own):
                raise ValueError(
                    f"{name!r} has a run without an estimator at any of the fractions "
                    f"{fractions}: give fractions that it has, or None."
                )
        return cls(*on_one_grid(curves, _NAME), k=k).plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Labels,
        scores: Mapping[str, Sequence[Any]],
        fractions: ArrayLike,
        *,
        k: int = 1,
        classes: Labels | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Score predictions at each fraction, and plot the accuracies.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels, all of them known.
        scores : dict of str to list of R runs
            A run is an iterable of F arrays of shape (n, C), such as
            `predict_proba(first_fraction(clips, fraction).X_past)` for each fraction. A
            single run is a list of one.
        fractions : array-like of shape (F,)
            Share of each of these arrays, in (0, 1].
        k : int, default=1
            How many classes an answer may name.
        classes : array-like of shape (C,), default=None
            The label of each column. None means that `y_true` holds column numbers.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : ObservationRatioDisplay

        Raises
        ------
        ValueError
            If there are no runs, there is not one array for each fraction, a fraction
            is not in (0, 1] or there twice, tables name the same rows in different
            orders; or as `metrics.top_k_accuracy`.
        TypeError
            If `scores` is no dict.
        """
        if not isinstance(scores, Mapping):
            raise TypeError(
                "scores must be a dict of names to lists of runs, got a "
                f"{type(scores).__name__}: a single run is {{'model': [arrays]}}."
            )
        fractions, rows = _checked(fractions), RowsAlike()
        curves: dict[str, list[dict]] = {}
        for name, runs in scores.items():
            curves[name] = []
            for r, run in enumerate(runs):
                check_row_names(run, fractions, name=f"{name}[{r}]")
                found = [
                    accuracy(y_true, proba, k, classes, name)
                    for proba in rows.each(run, f"{name}[{r}]")
                ]
                if len(found) != len(fractions):
                    raise ValueError(
                        f"{name!r} has {len(found)} arrays of scores in run {r}: "
                        f"expected one for each of the {len(fractions)} fractions."
                    )
                curves[name].append(dict(zip(fractions, found, strict=True)))
        return cls(*on_one_grid(curves, _NAME), k=k).plot(ax=ax, **kwargs)

    def _places(self):
        """Fractions in per cent, and their order from left to right."""
        per_cent = 100 * np.asarray(_checked(self.fractions))
        return per_cent, np.argsort(per_cent)

    def _head(self, per_cent):
        return f"{per_cent:g} %"

    def _name_axis(self, ax):
        ax.set_xlabel("share of the clip that is seen, per cent")


def _runs_by_name(estimators):
    """Runs of each estimator; names are strings, fractions numbers.   str -> list."""
    if isinstance(estimators, Mapping) and estimators and _is_by_fraction(estimators):
        return {type(next(iter(estimators.values()))).__name__: [estimators]}
    return {
        name: list(runs) if isinstance(runs, list | tuple) else [runs]
        for name, runs in by_name(estimators).items()
    }


def _is_by_fraction(estimators):
    return all(isinstance(key, Real) for key in estimators)


def _fractions_of(runs):
    """All fractions that dicts of estimators have; tenths where there is no dict."""
    given = [run for own in runs.values() for run in own if isinstance(run, Mapping)]
    return sorted({float(key) for run in given for key in run}) if given else _TENTHS


def _checked(fractions):
    """Fractions as rounded numbers: 3 * 0.1 is not 0.3.   (F,) -> list of float."""
    shares = np.round(np.asarray(fractions, dtype=float), _DIGITS)
    if (
        shares.ndim != 1
        or not shares.size
        or len(np.unique(shares)) < len(shares)
        or not ((shares > 0) & (shares <= 1)).all()
    ):
        raise ValueError(
            "fractions must be distinct shares of a clip, above 0 and at most 1, got "
            f"{shares.tolist()}."
        )
    return shares.tolist()


def _at(run, fraction, name):
    """The estimator of a run at a fraction; None where it has none."""
    if not isinstance(run, Mapping):
        return run
    found = {round(float(key), _DIGITS): model for key, model in run.items()}.get(
        fraction
    )
    if isinstance(found, list | tuple):
        raise TypeError(
            f"{name!r} has a list at the fraction {fraction}: expected an estimator. "
            "Several runs are a list of dicts, [{fraction: estimator}, ...]."
        )
    return found


def _models_of(runs, fractions):
    """All estimators that are asked.   -> list."""
    found = (
        _at(run, fraction, name)
        for name, own in runs.items()
        for run in own
        for fraction in fractions
    )
    return [model for model in found if model is not None]


def _score(model, early, y, rows, k, name, fraction):
    """Accuracy of a fitted estimator on the first part of the labelled clips."""
    check_is_fitted(model)
    if not hasattr(model, "predict_proba"):
        raise TypeError(
            f"{name!r} is a {type(model).__name__} and has no predict_proba: pass "
            "classifiers that have it, or scores to from_predictions."
        )
    _, labels, _ = labelled_rows(y[rows], None, model.classes_, estimator=_NAME)
    try:
        proba = model.predict_proba(early)
    except ValueError as error:
        error.add_note(
            f"This is {name!r} at the fraction {fraction}, which is shown clips of "
            f"shape {early.shape}. One that takes no other number of steps than it was "
            "fitted on needs a fit for each fraction: {fraction: estimator}."
        )
        raise
    return accuracy(labels, proba[rows], k, model.classes_, name)
