"""What accuracies over time and over the share that is seen have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skanticipate.data.axes import index_of
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import as_list
from skanticipate.data.names import column_names
from skanticipate.data.places import check_row_names
from skanticipate.data.twins import names_of
from skanticipate.plotting._look import legend_beside, line_style, wrapped
from skanticipate.plotting._pyplot import Axes, import_pyplot


class CurveDisplay:
    """Means of accuracies over an axis with their spread, as a picture and as a table.

    A subclass has the attributes `scores` and `k`, and says what stands on the axis:
    `_at` names the attribute with its S values, `_what` one of them, and `_places`,
    `_head` and `_name_axis` how they are drawn and written.
    """

    scores: Mapping[str, ArrayLike]
    k: int

    def _places(self):
        """Values on the axis, and the order in which they are drawn."""
        raise NotImplementedError

    def _head(self, place):
        """Head of a column."""
        raise NotImplementedError

    def _name_axis(self, ax):
        raise NotImplementedError

    def plot(
        self, ax: Axes | None = None, *, legend: bool = True, **kwargs: Any
    ) -> Self:
        """Draw the mean of each estimator over its runs, and the spread.

        Colours, dashes and markers tell the lines apart, the last two without colours
        too. A line goes on over places at which an estimator has no score.

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
            If scores do not have one row for each place on the axis, name them
            otherwise, or are not in [0, 1].
        """
        plt = import_pyplot()
        curves = list(self._summary())
        if ax is None:
            size = _figure_size([name for name, _, _ in curves], legend)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_, self.bands_ = [], []
        n_before = len(ax.lines)  # of another display, perhaps
        places, order = self._places()
        for k, (name, mean, spread) in enumerate(curves, start=n_before):
            drawn = order[~np.isnan(mean[order])]
            options = {**line_style(k), "label": name, **kwargs}
            (line,) = ax.plot(places[drawn], mean[drawn], **options)
            self.lines_.append(line)
            if spread is not None:
                band = ax.fill_between(
                    places[drawn],
                    (mean - spread)[drawn],
                    (mean + spread)[drawn],
                    color=line.get_color(),
                    alpha=0.15,
                    linewidth=0,
                )
                self.bands_.append(band)
        self._name_axis(ax)
        ax.set_ylabel(f"top-{self.k} accuracy, per cent")
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        if legend:
            legend_beside(ax)
        return self

    def to_markdown(self, baseline: str | None = None) -> str:
        """Table of the scores in per cent: estimators by places on the axis.

        Parameters
        ----------
        baseline : str, default=None
            Name of the estimator that the others are compared with. A last row then
            has, at each place, the best mean of the others minus that of the baseline,
            in percentage points. None means no such row.

        Returns
        -------
        table : str
            Markdown. Mean ± standard deviation over the runs (n - 1 in the
            denominator), the mean alone for a single run, and an empty cell where an
            estimator has no score.

        Raises
        ------
        ValueError
            If scores do not have one row for each place or are not in [0, 1],
            `baseline` is none of the names, or there are no others.

        Notes
        -----
        Differences are taken before means are rounded. The best is chosen anew at each
        place, on the rows that it is reported on: the more estimators compete, the more
        of the improvement is luck.
        """
        places, order = self._places()
        head = [f"top-{self.k} accuracy, %", *(self._head(places[i]) for i in order)]
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
        return "\n".join([lines[0], f"|---{'|---:' * len(places)}|", *lines[1:]])

    def _summary(self):
        """Yield name, mean (S,) and spread (S,) of each estimator, in per cent."""
        places = as_list(getattr(self, self._at))
        for name, scores in self.scores.items():
            what = f"the scores of {name!r}"
            check_row_names(scores, places, name=what)
            refuse_transposed(scores, places, what, self._what)
            scores = 100 * _fractions(scores, what)
            if scores.ndim != 2 or len(scores) != len(places) or scores.shape[1] == 0:
                raise ValueError(
                    f"The scores of {name!r} have shape {scores.shape}: expected "
                    f"({len(places)}, R), one row for each {self._what} and one "
                    "column for each of R runs."
                )
            has_spread = scores.shape[1] > 1
            spread = scores.std(axis=1, ddof=1) if has_spread else None
            yield name, scores.mean(axis=1), spread


def _fractions(scores, what):
    """Accuracies as an array; those in per cent would be a hundred times as large."""
    refuse_masked(scores, what, "Pass .filled(np.nan) where a run has no score.")
    scores = np.asarray(scores, dtype=float)
    wrong = scores[(scores < 0) | (scores > 1)]  # never NaN, where a run has none
    if wrong.size:
        raise ValueError(
            f"{what[0].upper()}{what[1:]} hold {wrong[0]:g}: expected accuracies in "
            "[0, 1], no per cent."
        )
    return scores


def _figure_size(names, legend):
    """Width and height in inches: the legend does not take from the axes."""
    if not legend:
        return 5.5, 4
    lines = [line for name in names for line in wrapped(name, 28).split("\n")]
    longest = max(map(len, lines), default=0)
    return 5.5 + 0.7 + 0.085 * longest, max(4, 0.6 + 0.22 * len(lines))


def _improvements(means, baseline):
    """Best mean of the others minus that of the baseline, at each place.   -> (S,)."""
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
    # of what has no score at a place fmax takes the other; NaN if there is none
    gains = np.fmax.reduce(others) - means[baseline]
    return gains.round(2) + 0.0  # there is no -0.0


def refuse_transposed(scores, places, what, place):
    """Refuse a table whose columns are named by places, and its rows are not."""
    expected = set(names_of(places))
    columns, rows = (
        None if names is None else set(names_of(names))
        for names in (column_names(scores), index_of(scores))
    )
    if columns == expected != rows:
        raise ValueError(
            f"The columns of {what} are named by each {place}, which are the names of "
            "its rows: transpose it, scores.T."
        )


def _cell(mean, spread, at):
    if np.isnan(mean[at]):
        return ""
    return f"{mean[at]:.2f}" + ("" if spread is None else f" ± {spread[at]:.2f}")
