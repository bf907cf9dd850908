"""AnticipationCurveDisplay: accuracy against the time that is left until the action."""

from collections.abc import Mapping

import numpy as np

from skanticipate.data.missing import as_list
from skanticipate.data.names import (
    RowsAlike,
    check_row_names,
    column_names,
    index_of,
    names_of,
)
from skanticipate.plotting._curves import by_time, curve, curves_of_estimators
from skanticipate.plotting._look import legend_beside, line_style, wrapped
from skanticipate.plotting._pyplot import import_pyplot


class AnticipationCurveDisplay:
    """Top-k accuracy at each anticipation time, one curve an estimator.

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

    def __init__(self, scores, anticipation_times, *, k=5):
        self.scores = scores
        self.anticipation_times = anticipation_times
        self.k = k

    @classmethod
    def from_estimator(cls, estimators, X, y, *, k=5, ax=None, **kwargs):
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
            Labels; rows that carry an estimator's unlabelled marker are left out.
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
        y_true,
        staged_scores,
        anticipation_times,
        *,
        k=5,
        classes=None,
        ax=None,
        **kwargs,
    ):
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
        rows, curves = RowsAlike(), {}
        for name, runs in staged_scores.items():
            curves[name] = [
                curve(
                    y_true,
                    rows.each(run, f"{name}[{r}]"),
                    *(anticipation_times, k, classes, name),
                )
                for r, run in enumerate(runs)
            ]
        return cls(*by_time(curves), k=k).plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, legend=True, **kwargs):
        """Draw the mean of each estimator over its runs, and the spread.

        The time falls to the right, as in the tables of the field: the action starts
        at the right edge. Colours, dashes and markers tell the lines apart, the last
        two without colours too.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure. The legend stands at the right of the axes: give a
            figure of yours ``layout="constrained"``, which leaves room for it.
        legend : bool, default=True
            Whether to name the lines.
        **kwargs
            Arguments of `Axes.plot`, for all lines.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If scores do not have one row for each time, or name them otherwise.
        """
        plt = import_pyplot()
        curves = list(self._summary())
        if ax is None:
            size = _figure_size([name for name, _, _ in curves], legend)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_, self.bands_ = [], []
        n_before = len(ax.lines)  # of another display, perhaps
        times = np.asarray(self.anticipation_times, dtype=float)
        order = np.argsort(-times)
        for k, (name, mean, spread) in enumerate(curves, start=n_before):
            # a line goes on over times at which this estimator has no stage
            drawn = order[~np.isnan(mean[order])]
            options = {**line_style(k), "label": name, **kwargs}
            (line,) = ax.plot(times[drawn], mean[drawn], **options)
            self.lines_.append(line)
            if spread is not None:
                band = ax.fill_between(
                    times[drawn],
                    (mean - spread)[drawn],
                    (mean + spread)[drawn],
                    color=line.get_color(),
                    alpha=0.15,
                    linewidth=0,
                )
                self.bands_.append(band)
        self._name_axes()
        if legend:
            legend_beside(ax)
        return self

    def to_markdown(self, baseline=None):
        """Table of the scores in per cent: estimators by anticipation times.

        Parameters
        ----------
        baseline : str, default=None
            Name of the estimator that the others are compared with. A last row then
            has, at each time, the best mean of the others minus that of the baseline,
            in percentage points. None means no such row.

        Returns
        -------
        table : str
            Markdown. Mean ± standard deviation over the runs (n - 1 in the
            denominator), the mean alone for a single run, and an empty cell where an
            estimator has no stage.

        Raises
        ------
        ValueError
            If scores do not have one row for each time, `baseline` is none of the
            names, or there are no others.

        Notes
        -----
        Differences are taken before means are rounded. The best is chosen anew at each
        time, on the rows that it is reported on: the more estimators compete, the more
        of the improvement is luck.
        """
        times = np.asarray(self.anticipation_times, dtype=float)
        order = np.argsort(-times)
        head = [f"top-{self.k} accuracy, %", *(f"{times[i]:g} s" for i in order)]
        rows, means = [head], {}
        for name, mean, spread in self._summary():
            rows.append([name, *(_cell(mean, spread, i) for i in order)])
            means[name] = mean
        if baseline is not None:
            gains = _improvements(means, baseline)
            cells = ("" if np.isnan(gains[i]) else f"{gains[i]:+.2f}" for i in order)
            rows.append([f"improvement over {baseline}, % points", *cells])
        cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
        lines = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([lines[0], f"|---{'|---:' * len(times)}|", *lines[1:]])

    def _summary(self):
        """Yield name, mean (S,) and spread (S,) of each estimator, in per cent."""
        n_times = len(self.anticipation_times)
        for name, scores in self.scores.items():
            what = f"the scores of {name!r}"
            check_row_names(scores, list(self.anticipation_times), name=what)
            _refuse_transposed(scores, self.anticipation_times, what)
            scores = 100 * np.asarray(scores, dtype=float)
            if scores.ndim != 2 or len(scores) != n_times or scores.shape[1] == 0:
                raise ValueError(
                    f"The scores of {name!r} have shape {scores.shape}: expected "
                    f"({n_times}, R), one row for each anticipation time and one "
                    "column for each of R runs."
                )
            has_spread = scores.shape[1] > 1
            spread = scores.std(axis=1, ddof=1) if has_spread else None
            yield name, scores.mean(axis=1), spread

    def _name_axes(self):
        self.ax_.xaxis.set_inverted(True)
        self.ax_.set(
            xlabel="anticipation time, seconds before the action",
            ylabel=f"top-{self.k} accuracy, per cent",
        )
        self.ax_.grid(axis="y", color="0.9")
        self.ax_.set_axisbelow(True)
        self.ax_.spines[["top", "right"]].set_visible(False)


def results_table(estimators, X, y, *, k=5, baseline=None):
    """Table of top-k accuracies: estimators by anticipation times, as papers print it.

    Parameters
    ----------
    estimators : estimator, or dict of str to estimator or list of estimators
        Fitted estimators, as `AnticipationCurveDisplay.from_estimator` takes them.
    X : array-like of shape (n, T, d)
        Features observed before the actions.
    y : array-like of shape (n,)
        Labels; rows that carry an estimator's unlabelled marker are left out.
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


def _figure_size(names, legend):
    """Width and height in inches: the legend does not take from the axes."""
    if not legend:
        return 5.5, 4
    lines = [line for name in names for line in wrapped(name, 28).split("\n")]
    longest = max(map(len, lines), default=0)
    return 5.5 + 0.7 + 0.085 * longest, max(4, 0.6 + 0.22 * len(lines))


def _improvements(means, baseline):
    """Best mean of the others minus that of the baseline, at each time.   -> (S,)."""
    if baseline not in means:
        raise ValueError(
            f"baseline must be one of the estimators, {list(means)}, got {baseline!r}."
        )
    others = [mean for name, mean in means.items() if name != baseline]
    if not others:
        raise ValueError(
            f"There is no other estimator to compare with {baseline!r}: add one, or "
            "leave baseline=None."
        )
    # of what has no stage at a time fmax takes the other; NaN if there is none
    gains = np.fmax.reduce(others) - means[baseline]
    return gains.round(2) + 0.0  # there is no -0.0


def _refuse_transposed(scores, times, what):
    """Refuse a table whose columns are named by times, and its rows are not."""
    expected = set(names_of(as_list(times)))
    columns, rows = (
        None if names is None else set(names_of(names))
        for names in (column_names(scores), index_of(scores))
    )
    if columns == expected and rows is not None and rows != expected:
        raise ValueError(
            f"The columns of {what} are named by the anticipation times, which are "
            "those of its rows: transpose it, scores.T."
        )


def _cell(mean, spread, at):
    if np.isnan(mean[at]):
        return ""
    return f"{mean[at]:.2f}" + ("" if spread is None else f" ± {spread[at]:.2f}")
