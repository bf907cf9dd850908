"""AnticipationCurveDisplay: accuracy against the time that is left until the action."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skanticipate._typing import Labels
from skanticipate.data.places import check_row_names
from skanticipate.data.rows_alike import RowsAlike
from skanticipate.data.tensors import takes_tensors
from skanticipate.plotting._curve_display import CurveDisplay
from skanticipate.plotting._curves import by_time, curve, curves_of_estimators
from skanticipate.plotting._pyplot import Axes


class AnticipationCurveDisplay(CurveDisplay):
    """Top-k accuracy at each anticipation time, one curve an estimator.

    The time falls to the right, as in the tables of the field: the action starts at the
    right edge.

    Create it with `AnticipationCurveDisplay.from_estimator` or `from_predictions`, or
    with scores of your own. All parameters are stored as attributes.

    Parameters
    ----------
    scores : dict of str to array-like of shape (S, R)
        Name of an estimator -> accuracies, in [0, 1], at S anticipation times in R
        runs, such as fits with several seeds. NaN where a run has no stage.
    anticipation_times : array-like of shape (S,)
        Seconds before the action, in any order.
    k : int, default=5
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
    ObservationRatioDisplay : The same over the share of a clip that is seen.
    results_table : The same numbers as a table, without a picture.
    skanticipate.metrics.time_to_action : One number for a whole curve.

    References
    ----------
    A. Furnari, G. M. Farinella, "Rolling-Unrolling LSTMs for Action Anticipation from
    First-Person Video", TPAMI 2020.

    Examples
    --------
    >>> from skanticipate.plotting import AnticipationCurveDisplay
    >>> display = AnticipationCurveDisplay(
    ...     {"LSTM": [[0.25, 0.35], [0.5, 0.5]], "smoothed": [[0.32], [0.49]]},
    ...     anticipation_times=[1.0, 0.5],
    ... )
    >>> display.plot().lines_[0].get_xydata()
    array([[ 1. , 30. ],
           [ 0.5, 50. ]])
    >>> print(display.to_markdown(baseline="LSTM"))
    | top-5 accuracy, % | 1 s | 0.5 s |
    |---|---:|---:|
    | LSTM | 30.00 ± 7.07 | 50.00 ± 0.00 |
    | smoothed | 32.00 | 49.00 |
    | improvement over LSTM, % points | +2.00 | -1.00 |
    """

    _at, _what = "anticipation_times", "anticipation time"

    def __init__(
        self,
        scores: Mapping[str, ArrayLike],
        anticipation_times: ArrayLike,
        *,
        k: int = 5,
    ) -> None:
        self.scores = scores
        self.anticipation_times = anticipation_times
        self.k = k

    @classmethod
    @takes_tensors
    def from_estimator(
        cls,
        estimators: BaseEstimator
        | Mapping[str, BaseEstimator | Sequence[BaseEstimator]],
        X: ArrayLike,
        y: Labels,
        *,
        k: int = 5,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Score fitted estimators at each of their anticipation times, and plot them.

        Parameters
        ----------
        estimators : estimator, or dict of str to estimator or list of estimators
            Fitted estimators with `staged_predict_proba`, also inside pipelines and
            searches. A list holds fits of one estimator with several seeds; their
            spread becomes a band. Times may differ from estimator to estimator.
        X : array-like of shape (n, T, d)
            Features observed before the actions.
        y : array-like of shape (n,)
            Labels; rows that carry the unlabelled marker of any of the estimators are
            left out, for all.
        k : int, default=5
            How many classes an answer may name.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : AnticipationCurveDisplay

        Raises
        ------
        TypeError
            If an estimator has no `staged_predict_proba`.
        ValueError
            If there is no estimator, or a network has no anticipation times.
        """
        curves = curves_of_estimators(estimators, X, y, k)
        return cls(*by_time(curves), k=k).plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Labels,
        staged_scores: Mapping[str, Sequence[Iterable[ArrayLike]]],
        anticipation_times: ArrayLike,
        *,
        k: int = 5,
        classes: Labels | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Score predictions at each anticipation time, and plot the accuracies.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels, all of them known.
        staged_scores : dict of str to list of R runs
            A run is an iterable of S arrays of shape (n, C), such as
            `staged_predict_proba(X)`. A single run is a list of one.
        anticipation_times : array-like of shape (S,)
            Seconds before the action of each stage, such as `anticipation_times_`.
        k : int, default=5
            How many classes an answer may name.
        classes : array-like of shape (C,), default=None
            The label of each column. None means that `y_true` holds column numbers.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : AnticipationCurveDisplay

        Raises
        ------
        ValueError
            If there are no runs, there is not one time for each stage, times repeat or
            are not finite or below 0, tables name the same rows in different orders; or
            as `metrics.top_k_accuracy`.
        TypeError
            If `staged_scores` is no dict.
        """
        if not isinstance(staged_scores, Mapping):
            raise TypeError(
                "staged_scores must be a dict of names to lists of runs, got a "
                f"{type(staged_scores).__name__}: a single run of stages is "
                "{'model': [stages]}."
            )
        times = np.asarray(anticipation_times, dtype=float).ravel().tolist()
        rows = RowsAlike()
        curves: dict[str, list[dict]] = {}
        for name, runs in staged_scores.items():
            curves[name] = []
            for r, run in enumerate(runs):
                check_row_names(run, times, name=f"{name}[{r}]")
                stages = rows.each(run, f"{name}[{r}]")
                points = curve(y_true, stages, anticipation_times, k, classes, name)
                curves[name].append(points)
        return cls(*by_time(curves), k=k).plot(ax=ax, **kwargs)

    def _places(self):
        """Times, and their order from left to right: the time falls, as in tables."""
        times = np.asarray(self.anticipation_times, dtype=float)
        return times, np.argsort(-times)

    def _head(self, time):
        return f"{time:g} s"

    def _name_axis(self, ax):
        ax.xaxis.set_inverted(True)
        ax.set_xlabel("anticipation time, seconds before the action")


@takes_tensors
def results_table(
    estimators: BaseEstimator | Mapping[str, BaseEstimator | Sequence[BaseEstimator]],
    X: ArrayLike,
    y: Labels,
    *,
    k: int = 5,
    baseline: str | None = None,
) -> str:
    """Table of top-k accuracies: estimators by anticipation times, as papers print it.

    Parameters
    ----------
    estimators : estimator, or dict of str to estimator or list of estimators
        Fitted estimators, as `AnticipationCurveDisplay.from_estimator` takes them.
    X : array-like of shape (n, T, d)
        Features observed before the actions.
    y : array-like of shape (n,)
        Labels; rows that carry the unlabelled marker of any of the estimators are left
        out, for all.
    k : int, default=5
        How many classes an answer may name.
    baseline : str, default=None
        Name of an estimator. A last row then has the improvement of the best other one
        over it at each time, in percentage points.

    Returns
    -------
    table : str
        Markdown, in per cent; see `AnticipationCurveDisplay.to_markdown`.

    Raises
    ------
    TypeError, ValueError
        As `AnticipationCurveDisplay.from_estimator` and `to_markdown`.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate import LSTM, SmoothedAnticipator
    >>> from skanticipate.plotting import results_table
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(40, 4, 3)), np.arange(40) % 4
    >>> spec = LSTM(8, anticipation_steps=2, time_step=0.5)
    >>> models = [
    ...     SmoothedAnticipator(spec, max_epochs=2, random_state=seed).fit(X, y)
    ...     for seed in range(3)
    ... ]
    >>> print(results_table({"LSTM": models}, X, y, k=3))
    | top-3 accuracy, % | 1 s | 0.5 s |
    |---|---:|---:|
    | LSTM | 75.00 ± 0.00 | 75.83 ± 1.44 |
    """
    curves = curves_of_estimators(estimators, X, y, k)
    return AnticipationCurveDisplay(*by_time(curves), k=k).to_markdown(baseline)
