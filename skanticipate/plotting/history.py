"""HistoryDisplay: how the losses and the validation figures went over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from skanticipate.plotting._curves import by_name
from skanticipate.plotting._look import legend_beside, line_style
from skanticipate.plotting._pyplot import Axes, import_pyplot
from skanticipate.signals.asking import last_step

# Name of a panel -> the scale of its axis, and its label.
_PANELS = {
    "loss": (1, "loss"),
    "accuracy": (100, "validation\naccuracy, %"),
    "score": (1, "validation\nscore"),
    "lr": (1, "learning rate"),
}
_SAID_OTHERWISE = {"loss": "loss (all terms)"}


class HistoryDisplay:
    """All that `history_` tells, over the epochs: one panel for what has one scale.

    "loss" shows the training loss, every term of it (before weighting), and the loss on
    validation rows; "accuracy" shows shares of validation rows, the teachers' too,
    which are lines without slope; "score" shows the figure of a scorer, and "lr" the
    learning rate where it changes.

    Create it with `HistoryDisplay.from_estimator`, or with records of your own. All
    parameters are stored as attributes.

    Parameters
    ----------
    histories : dict of str to list of dict
        Name of an estimator -> its `history_`: one record an epoch.
    panels : sequence of str, default=None
        Which to draw, of "loss", "accuracy", "score" and "lr", from top to bottom. None
        draws those there is something for.

    Attributes
    ----------
    axes_ : ndarray of shape (P, M) of matplotlib Axes
        One row a panel, one column an estimator.
    figure_ : matplotlib Figure
    lines_ : list of M dict of str to matplotlib Line2D
        Line of each figure of the records, for each estimator.

    Notes
    -----
    With `early_stopping` the weights that were kept are those of the best epoch, not of
    the last one.

    Examples
    --------
    >>> from skanticipate.plotting import HistoryDisplay
    >>> history = [
    ...     {"epoch": 1, "lr": 0.1, "loss": 3.0, "base": 2.0, "val_accuracy": 0.25},
    ...     {"epoch": 2, "lr": 0.1, "loss": 1.5, "base": 1.0, "val_accuracy": 0.5},
    ... ]
    >>> display = HistoryDisplay({"model": history}).plot()
    >>> display.axes_.shape
    (2, 1)
    >>> display.lines_[0]["val_accuracy"].get_ydata()
    array([25., 50.])
    """

    def __init__(
        self,
        histories: Mapping[str, list[dict[str, Any]]],
        *,
        panels: Sequence[str] | None = None,
    ) -> None:
        self.histories = histories
        self.panels = panels

    @classmethod
    def from_estimator(
        cls,
        estimators: BaseEstimator | Mapping[str, BaseEstimator],
        *,
        panels: Sequence[str] | None = None,
        ax: Axes | Sequence[Axes] | np.ndarray | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the `history_` of fitted estimators.

        Parameters
        ----------
        estimators : estimator, or dict of str to estimator
            Fitted anticipators or teachers with a `history_`, also inside pipelines and
            searches, such as ``{"student": model, "teacher": model.teacher_}``.
        panels : sequence of str, default=None
            Which to draw, of "loss", "accuracy", "score" and "lr"; None: what there is.
        ax : Axes or array of Axes, default=None
            One for each panel and estimator, panel by panel. None makes a figure.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        TypeError
            If an estimator has no `history_`.
        ValueError
            If there is no estimator, or as `plot`.
        """
        histories = {n: _history_of(e, n) for n, e in by_name(estimators).items()}
        return cls(histories, panels=panels).plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | np.ndarray | None = None,
        *,
        legend: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Draw a line for each figure of the records.

        Colours, dashes and markers tell the lines apart, the last two without colours
        too; panels of one row have one scale.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One for each panel and estimator, panel by panel. None makes a figure. The
            legends stand at the right of the axes: give a figure of yours
            ``layout="constrained"``, which leaves room for them.
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
            If there are no records, a panel has no figure, or `ax` does not hold one
            Axes for each panel and estimator.
        """
        plt = import_pyplot()
        figures = self._figures()
        shape = len(figures), len(self.histories)
        self.axes_ = _new_axes(plt, shape, legend) if ax is None else _given(ax, shape)
        self.figure_ = self.axes_[0, 0].figure
        self.lines_: list[dict[str, Any]] = [{} for _ in self.histories]
        for row, (panel, names) in zip(self.axes_, figures.items(), strict=True):
            for column, history in enumerate(self.histories.values()):
                drawn = self._draw(row[column], panel, names, history, kwargs)
                self.lines_[column].update(drawn)
            if legend and len(names) > 1:
                found = {k: v for lines in self.lines_ for k, v in lines.items()}
                handles = [found[name] for name in names]
                legend_beside(row[-1], handles=handles)
        self._name_axes([_PANELS[panel][1] for panel in figures])
        return self

    def _figures(self):
        """Names of the figures of each panel to draw.   -> {panel: list of str}."""
        if not self.histories or not all(map(len, self.histories.values())):
            raise ValueError(
                "HistoryDisplay needs at least one estimator, and one record of each, "
                f"got {[len(history) for history in self.histories.values()]} records."
            )
        records = [r for history in self.histories.values() for r in history]
        names = dict.fromkeys(name for r in records for name in r if name != "epoch")
        figures = {panel: [] for panel in _PANELS}
        for name in names:
            figures[_panel_of(name)].append(name)
        if self.panels is None:
            rates = {record.get("lr") for record in records}
            shown = [p for p in _PANELS if figures[p] and (p != "lr" or len(rates) > 1)]
            return {panel: figures[panel] for panel in shown}
        empty = [panel for panel in self.panels if not figures.get(panel)]
        if empty or not len(self.panels):
            there = [panel for panel, own in figures.items() if own]
            raise ValueError(
                f"panels must be some of {there}, which the records have figures for, "
                f"got {list(self.panels)!r}."
            )
        return {panel: figures[panel] for panel in self.panels}

    def _draw(self, ax, panel, names, history, options):
        """Lines of one panel of one estimator.   -> {name: Line2D}."""
        scale, lines = _PANELS[panel][0], {}
        epochs = [record["epoch"] for record in history]
        for k, name in enumerate(names):
            values = [scale * record.get(name, np.nan) for record in history]
            if np.isnan(values).all():
                continue
            # A few markers, not all at the same epochs, where lines may meet.
            every = max(1, len(epochs) // 6)
            style = {**line_style(k), "markevery": (k * every // 4 % every, every)}
            style |= {"label": _SAID_OTHERWISE.get(name, name), "markersize": 5}
            (lines[name],) = ax.plot(epochs, values, **(style | options))
        return lines

    def _name_axes(self, labels):
        plt = import_pyplot()
        for ax, name in zip(self.axes_[0], self.histories, strict=True):
            if len(self.histories) > 1:
                ax.set_title(name)
        for row, label in zip(self.axes_, labels, strict=True):
            row[0].set_ylabel(label)
            for ax in row:
                ax.grid(axis="y", color="0.9")
                ax.set_axisbelow(True)
                ax.spines[["top", "right"]].set_visible(False)
                whole = plt.MaxNLocator(6, integer=True)
                ax.xaxis.set_major_locator(whole)
        for ax in self.axes_[-1]:
            ax.set_xlabel("epoch")


def _history_of(estimator, name):
    """Records of the anticipator inside of a search or a pipeline."""
    inside = last_step(getattr(estimator, "best_estimator_", estimator))
    if not hasattr(inside, "history_"):
        raise TypeError(
            f"{name!r} is a {type(inside).__name__} and has no history_: pass fitted "
            "anticipators, or members of a LateFusion by their names, "
            "fusion.named_estimators_."
        )
    return inside.history_


def _panel_of(name):
    """Panel of a figure of a record."""
    if name == "lr":
        return "lr"
    if name.endswith("accuracy"):
        return "accuracy"
    return "score" if name == "val_score" else "loss"


def _given(ax, shape):
    axes = np.ravel(ax)
    if len(axes) != shape[0] * shape[1]:
        raise ValueError(
            f"ax must hold one Axes for each of {shape[0]} panels and {shape[1]} "
            f"estimators, got {len(axes)}: panels=['loss'] draws one."
        )
    return axes.reshape(shape)


def _new_axes(plt, shape, legend):
    n_panels, n_estimators = shape
    width = 0.9 + (3.4 if n_estimators == 1 else 2.8 * n_estimators) + 2.2 * legend
    _, axes = plt.subplots(
        n_panels,
        n_estimators,
        figsize=(width, 0.6 + 2.1 * n_panels),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    return axes
