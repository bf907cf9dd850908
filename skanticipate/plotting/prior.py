"""PriorDisplay: the soft targets of a label prior as a heat map."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Labels
from skanticipate.data.missing import as_list, label_list
from skanticipate.data.names import check_label_names
from skanticipate.data.places import check_row_names
from skanticipate.plotting._pyplot import Axes, Colormap, import_pyplot
from skanticipate.priors.base import BasePrior


class PriorDisplay:
    """Heat map of a label prior: labels (rows) by classes (columns).

    Create it with `PriorDisplay.from_prior`. All parameters are stored as attributes.

    Parameters
    ----------
    matrix : array of shape (R, C)
        Soft targets; each row sums to 1 over all the classes of the prior.
    labels : array-like of shape (R,)
        What the rows belong to.
    classes : array-like of shape (C,)
        What the columns belong to.
    row_name : str, default="label"
        What the rows are: the label itself, or the action seen last.
    title : str, default=None
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage

    Examples
    --------
    >>> from skanticipate.plotting import PriorDisplay
    >>> from skanticipate.priors import VerbNounPrior
    >>> prior = VerbNounPrior().fit(["cut onion", "peel onion", "wash pan"])
    >>> display = PriorDisplay.from_prior(prior, labels=["cut onion", "wash pan"])
    >>> display.matrix.shape
    (2, 3)
    """

    def __init__(
        self,
        matrix: ArrayLike,
        labels: Labels,
        classes: Labels,
        *,
        row_name: str = "label",
        title: str | None = None,
    ) -> None:
        self.matrix = matrix
        self.labels = labels
        self.classes = classes
        self.row_name = row_name
        self.title = title

    @classmethod
    def from_prior(
        cls,
        prior: BasePrior,
        *,
        labels: Labels | None = None,
        classes: Labels | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the rows of a fitted prior.

        Parameters
        ----------
        prior : fitted prior
            Keyed by the label, or `TransitionPrior`, whose rows are the actions seen
            last.
        labels : sequence, default=None
            The labels to show, one row each, in this order. None means all classes
            (all past actions of a `TransitionPrior`).
        classes : sequence, default=None
            The columns to show, in this order. None means all classes.
        ax : matplotlib Axes, default=None
            None makes a figure of fitting size.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : PriorDisplay

        Raises
        ------
        NotFittedError
            If the prior is not fitted.
        ValueError
            If one of the labels or classes is unknown to the prior.
        """
        check_is_fitted(prior)
        labels, matrix = _rows_of(prior, labels)
        names = as_list(prior.classes_)
        classes = names if classes is None else label_list(classes, "classes")
        unknown = [label for label in classes if label not in names]
        if unknown:
            raise ValueError(
                f"classes to show must be classes of the prior, got {unknown[0]!r}."
            )
        display = cls(
            matrix[:, [names.index(label) for label in classes]],
            labels,
            classes,
            row_name="label" if prior.keyed_by_label else "action seen last",
            title=type(prior).__name__,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        cmap: str | Colormap = "Blues",
        max_labels: int = 30,
        colorbar: bool = True,
    ) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure of fitting size.
        cmap : str or matplotlib Colormap, default="Blues"
            Colours from probability 0 to the largest one shown.
        max_labels : int, default=30
            An axis with more entries than this has no tick labels.
        colorbar : bool, default=True
            Whether to draw the scale of the colours.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `matrix` has not one row for each label and one column for each class, or
            is a table that names them otherwise.
        """
        plt = import_pyplot()
        self._check_names()
        if ax is None:
            size = self._figure_size(max_labels)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.im_ = ax.imshow(
            self.matrix, cmap=cmap, vmin=0, aspect="auto", interpolation="nearest"
        )
        _name_ticks(ax.yaxis, self.labels, max_labels)
        _name_ticks(ax.xaxis, self.classes, max_labels)
        for text in ax.get_xticklabels():
            text.set(rotation=45, ha="right", va="top", rotation_mode="anchor")
        ax.set(xlabel="class", ylabel=self.row_name, title=self.title)
        _separate_cells(ax, np.shape(self.matrix), max_labels)
        if colorbar:
            bar = self.figure_.colorbar(self.im_, ax=ax, label="probability", pad=0.02)
            bar.outline.set_visible(False)
        return self

    def _check_names(self):
        """Refuse labels and classes that are not those of the rows and columns."""
        check_row_names(self.matrix, list(self.labels), name="matrix")
        check_label_names(self.matrix, list(self.classes), name="matrix")
        expected = len(self.labels), len(self.classes)
        if np.shape(self.matrix) != expected:
            raise ValueError(
                f"matrix has shape {np.shape(self.matrix)}: expected {expected}, one "
                "row for each of the labels and one column for each of the classes."
            )

    def _figure_size(self, max_labels):
        """Width and height in inches: room for every cell and the longest label."""
        n_rows, n_columns = np.shape(self.matrix)
        longest = max(len(str(label)) for label in [*self.labels, *self.classes])
        margin = 0.5 + 0.075 * longest
        width, height = (
            0.32 * n if n <= max_labels else 5.0 for n in (n_columns, n_rows)
        )
        return max(width, 2.0) + margin + 1.2, max(height, 1.2) + margin + 0.4


def _rows_of(prior, labels):
    """Labels to show and their soft targets.   (R,), (R, C)."""
    if prior.keyed_by_label:
        labels = label_list(prior.classes_ if labels is None else labels, "labels")
    elif hasattr(prior, "past_actions_"):
        labels = label_list(prior.past_actions_ if labels is None else labels, "labels")
    else:
        raise ValueError(
            "PriorDisplay shows one row for each label, but a part of this "
            f"{type(prior).__name__} is keyed by the past action: show the parts in "
            "priors_ one by one."
        )
    if not labels:
        raise ValueError("PriorDisplay needs at least one label to show, got none.")
    # the rows of a prior keyed by the past are the same for every label
    y = labels if prior.keyed_by_label else [prior.classes_[0]] * len(labels)
    terms = prior.terms(y, labels)
    return labels, sum(weight * matrix[rows] for matrix, rows, weight in terms)


def _name_ticks(axis, labels, max_labels):
    named = len(labels) <= max_labels
    axis.set_ticks(range(len(labels)) if named else [])
    texts = [str(label) or "(nothing)" for label in labels] if named else []
    axis.set_ticklabels(texts)
    axis.set_tick_params(length=0)


def _separate_cells(ax, shape, max_labels):
    """Thin lines between cells that are large enough to be read one by one."""
    ax.spines[:].set_color("0.8")
    if max(shape) > max_labels:
        return
    n_rows, n_columns = shape
    ax.set_xticks(np.arange(1, n_columns) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, n_rows) - 0.5, minor=True)
    ax.grid(which="minor", color="0.9", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
