"""LabelFractionDisplay: the score against the share of rows that have a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from skanticipate._typing import Labels, Scorer
from skanticipate.data.labels import check_label_array, labelled_rows
from skanticipate.data.markers import resolve_marker, unlabeled_mask
from skanticipate.data.masked import refuse_masked
from skanticipate.data.numbers import Interval, check_count
from skanticipate.data.places import check_row_names
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import takes_tensors
from skanticipate.data.validation import check_aligned
from skanticipate.plotting._curve_display import refuse_transposed
from skanticipate.plotting._curves import by_name
from skanticipate.plotting._look import legend_beside, line_style
from skanticipate.plotting._pyplot import Axes, import_pyplot
from skanticipate.signals.asking import seeded


class LabelFractionDisplay:
    """Score on test clips against the share of labels that training may see.

    The other training rows are not taken away: they go on as unlabelled rows, from
    which an estimator with a teacher can still learn.

    Create it with `LabelFractionDisplay.from_estimator`, or with scores of your own.
    All parameters are stored as attributes.

    Parameters
    ----------
    scores : dict of str to ndarray of shape (F, R)
        Name of an estimator -> scores at F fractions in R repeats.
    fractions : sequence of float of length F
        Shares of the labels, in (0, 1].
    n_labeled : sequence of int of length F, default=None
        Number of labelled rows at each fraction, for the ticks.
    score_name : str, default="score"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Means over the repeats, one line an estimator.
    bands_ : list of matplotlib collections
        One standard deviation on each side; none where there is a single repeat.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: figure 4.

    Examples
    --------
    >>> from skanticipate.plotting import LabelFractionDisplay
    >>> display = LabelFractionDisplay(
    ...     {"with futures": [[0.5, 0.6], [0.7, 0.8]]}, fractions=[0.1, 0.5]
    ... )
    >>> display.plot().lines_[0].get_ydata()
    array([0.55, 0.75])
    """

    def __init__(
        self,
        scores: Mapping[str, ArrayLike],
        fractions: Sequence[float],
        *,
        n_labeled: Sequence[int] | None = None,
        score_name: str = "score",
    ) -> None:
        self.scores = scores
        self.fractions = fractions
        self.n_labeled = n_labeled
        self.score_name = score_name

    @classmethod
    @takes_tensors
    def from_estimator(
        cls,
        estimators: BaseEstimator | Mapping[str, BaseEstimator],
        X_past: ArrayLike,
        y: Labels,
        X_future_unlabeled: ArrayLike,
        *,
        X_test: ArrayLike,
        y_test: Labels,
        fractions: Sequence[float] = (0.1, 0.2, 0.5, 1.0),
        n_repeats: int = 3,
        groups: Labels | None = None,
        scoring: str | Scorer | None = None,
        random_state: int = 0,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Hide labels, fit clones, score them on the test clips, and plot the scores.

        Of each class, ``max(1, round(fraction * n_c))`` of its n_c labels stay, drawn
        at random in each repeat; a smaller fraction keeps a part of what a larger one
        keeps, and all estimators get the same labels.

        An estimator with a parameter `teacher`, its own or that of a step inside, is
        fitted on all rows, with its own `unlabeled_label` (-1 for "auto") where the
        label is hidden, and on the futures. Any other is fitted on the labelled rows
        alone.

        Parameters
        ----------
        estimators : estimator or dict of str to estimator
            They are cloned. Parameters `random_state` that are None get a seed for
            each repeat, the same for all estimators; others stay as they are.
        X_past : array-like of shape (n, ..., d)
            Features observed before the actions.
        y : array-like of shape (n,)
            Labels; rows with the `unlabeled_label` of an estimator have none to begin
            with, those with -1 where it is "auto" or no estimator has one.
        X_future_unlabeled : array-like of shape (n, ...)
            Features of the clips to be anticipated.
        X_test, y_test : arrays as `X_past` and `y`
            The clips to score on; those that a marker marks are left out, for all.
        fractions : sequence of float, default=(0.1, 0.2, 0.5, 1.0)
            Shares of the labels that stay, in (0, 1].
        n_repeats : int, default=3
            How often labels are drawn and clones are fitted for each fraction.
        groups : array-like of shape (n,), default=None
            Video or person of each row, for estimators with a teacher and those whose
            `fit` names it.
        scoring : str, callable or None, default=None
            As in :func:`sklearn.model_selection.cross_val_score`; None is the
            estimator's own `score`.
        random_state : int, default=0
            Seed of the labels that stay and of the estimators without one.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : LabelFractionDisplay

        Raises
        ------
        ValueError
            If there is no estimator, a fraction is out of its range, lengths differ or
            rows are named in different orders, there are no labels, or -1 is a class
            and would hide labels; if an estimator with a teacher knows no unlabelled
            rows (`unlabeled_label=None`).

        Notes
        -----
        **Compare at equal optimiser steps.** An epoch of `DistilledAnticipator` takes
        ceil(n / batch_size) steps, whatever the number of labels; one of
        `SmoothedAnticipator` on the labelled rows alone takes fewer, and falls behind
        for that alone. Fair controls for ``DistilledAnticipator(...)`` are

        - *labels only*: the same with ``teacher=DummyClassifier()`` and
          ``unlabeled_fraction=0``. It takes as many steps, all of them on labelled
          rows; such a teacher has no map and no weights to start from.
        - *past only*: the same estimator with `X_past` as `X_future_unlabeled`, drawn
          into the same axes: what any teacher brings, without the future.
        """
        estimators = by_name(estimators)
        if not estimators:
            raise ValueError(f"{cls.__name__} needs at least one estimator, got none.")
        check_count(n_repeats, "n_repeats")
        _check_fractions(fractions)
        markers = {m for e in estimators.values() for m in _reading(e)[0]} or {-1}
        rows = _Rows(X_past, y, X_future_unlabeled, groups, markers)
        X_test, y_test = _labelled_part(X_test, y_test, markers)
        scores = {name: np.empty((len(fractions), n_repeats)) for name in estimators}
        seeds = np.random.SeedSequence(random_state).generate_state(n_repeats)
        for repeat, seed in enumerate(seeds.tolist()):
            order = rows.ranks(np.random.default_rng(seed))
            for k, fraction in enumerate(fractions):
                kept = rows.kept(order, fraction)
                for name, estimator in estimators.items():
                    fitted = rows.fit(seeded(estimator, seed), kept)
                    score = check_scoring(fitted, scoring)
                    scores[name][k, repeat] = score(fitted, X_test, y_test)
        display = cls(
            scores,
            fractions,
            n_labeled=[len(rows.kept(order, fraction)) for fraction in fractions],
            score_name=_name_of(scoring),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, legend: bool = True, **kwargs: Any
    ) -> Self:
        """Draw the mean of each estimator over the repeats, and its spread.

        Colours, dashes and markers tell the lines apart, the last two without colours
        too.

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
            If scores do not have one row for each fraction, in their order, or one is
            not in (0, 1] or there twice.
        """
        plt = import_pyplot()
        _check_fractions(self.fractions)
        if ax is None:
            size = 5.5 + 2.2 * legend, 4
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_, self.bands_ = [], []
        n_before = len(ax.lines)  # of another display, perhaps
        percent = 100 * np.asarray(self.fractions, dtype=float)
        order = np.argsort(percent)
        for k, (name, scores) in enumerate(self.scores.items(), start=n_before):
            scores = self._checked(scores, name)[order]
            mean = scores.mean(axis=1)
            options = {**line_style(k), "label": name, **kwargs}
            (line,) = ax.plot(percent[order], mean, **options)
            self.lines_.append(line)
            if scores.shape[1] > 1:
                spread = scores.std(axis=1, ddof=1)
                low, high = mean - spread, mean + spread
                band = ax.fill_between(percent[order], low, high, alpha=0.15)
                band.set(color=line.get_color(), linewidth=0)
                self.bands_.append(band)
        self._name_axes(percent)
        if legend:
            legend_beside(ax)
        return self

    def _checked(self, scores, name):
        """Scores of one estimator.   -> (F, R)."""
        what, n = f"the scores of {name!r}", len(self.fractions)
        check_row_names(scores, [*self.fractions], name=what)
        refuse_transposed(scores, [*self.fractions], what, "fraction")
        refuse_masked(scores, what, "Leave out repeats that have no score.")
        scores = np.asarray(scores, dtype=float)
        if scores.ndim != 2 or len(scores) != n:
            raise ValueError(
                f"The scores of {name!r} have shape {scores.shape}: expected ({n}, R), "
                "a row for each fraction and a column for each of R repeats."
            )
        return scores

    def _name_axes(self, percent):
        """Equal ratios of labels are equally far apart, and ticks stand at them."""
        ticks = [f"{share:g}" for share in percent]
        label = "labelled rows, per cent"
        if self.n_labeled is not None:
            counted = zip(ticks, self.n_labeled, strict=True)
            ticks = [f"{tick}\n({n})" for tick, n in counted]
            label += " (number)"
        self.ax_.set_xscale("log")
        self.ax_.set_xticks(percent, ticks)
        self.ax_.set_xticks([], minor=True)
        self.ax_.set(xlabel=label, ylabel=self.score_name)
        self.ax_.grid(axis="y", color="0.9")
        self.ax_.set_axisbelow(True)
        self.ax_.spines[["top", "right"]].set_visible(False)


def _labelled_part(X, y, markers):
    """Rows that are labelled for all estimators, which are scored on the same ones."""
    check_rows_alike(X_test=X, y_test=y)
    labels = check_label_array(y, estimator="LabelFractionDisplay", name="y_test")
    marked = [unlabeled_mask(labels, resolve_marker(labels, m)) for m in markers]
    rows = np.flatnonzero(~np.any(marked, axis=0))
    if len(rows) == len(labels):
        return X, y
    if not len(rows):
        raise ValueError("y_test has no labelled rows, so there is nothing to score.")
    return _safe_indexing(X, rows), labels[rows]


class _Rows:
    """Training rows, and how they look once labels are hidden."""

    def __init__(self, X_past, y, X_future_unlabeled, groups, markers):
        check_rows_alike(
            X_past=X_past, y=y, X_future_unlabeled=X_future_unlabeled, groups=groups
        )
        y = check_label_array(y, estimator="LabelFractionDisplay")
        check_aligned(len(y), "y", X_past=X_past, X_future_unlabeled=X_future_unlabeled)
        check_aligned(len(y), "y", groups=groups)
        marked = [unlabeled_mask(y, resolve_marker(y, marker)) for marker in markers]
        labelled = ~np.any(marked, axis=0)
        _, labels, _ = labelled_rows(
            y[labelled], None, estimator="LabelFractionDisplay"
        )
        if -1 in markers and not labelled.all() and resolve_marker(y, "auto") is None:
            raise ValueError(
                "y holds -1 and 1 only, so -1 is a class and cannot mark hidden "
                "labels: name the classes otherwise."
            )
        self.labelled = np.flatnonzero(labelled)
        if not len(labels):
            raise ValueError("y has no labelled rows, so there is nothing to hide.")
        self.X_past, self.y = X_past, y
        self.X_future, self.groups = X_future_unlabeled, groups

    def ranks(self, rng):
        """Labelled rows of each class, in random order.   -> list of arrays."""
        labels = self.y[self.labelled]
        return [
            rng.permutation(self.labelled[labels == label])
            for label in np.unique(labels)
        ]

    def kept(self, orders, fraction):
        """Rows whose label stays, in ascending order."""
        parts = [rows[: max(1, round(fraction * len(rows)))] for rows in orders]
        return np.sort(np.concatenate(parts))

    def fit(self, estimator, kept):
        """Fit on what this estimator can use."""
        (markers, is_taught), aligned = _reading(estimator), {}
        wants = is_taught or has_fit_parameter(estimator, "groups")
        if self.groups is not None and wants:
            aligned["groups"] = self.groups
        if is_taught:
            aligned["X_future_unlabeled"] = self.X_future
            return estimator.fit(self.X_past, self._hidden(kept, *markers), **aligned)
        aligned = {name: _safe_indexing(part, kept) for name, part in aligned.items()}
        return estimator.fit(_safe_indexing(self.X_past, kept), self.y[kept], **aligned)

    def _hidden(self, kept, marker):
        """Labels with the marker in all rows but some."""
        # Strings and numbers, or NaN and integers, go together in objects only.
        dtype = object
        if self.y.dtype.kind in "biuf" and isinstance(marker, Integral):
            dtype = np.result_type(self.y.dtype, np.min_scalar_type(marker))
        hidden = np.full(len(self.y), marker, dtype=dtype)
        hidden[kept] = self.y[kept]
        return hidden


def _reading(estimator):
    """List of what marks unlabelled rows, if there is such a parameter; if taught."""
    params = estimator.get_params()
    teachers, markers = (
        [name for name in params if name.rpartition("__")[2] == own]
        for own in ("teacher", "unlabeled_label")
    )
    if not (teachers or markers):
        return [], False
    first = min(teachers or markers, key=lambda name: name.count("__"))
    student = "".join(first.rpartition("__")[:2])
    marker = params.get(student + "unlabeled_label", "auto")
    if isinstance(marker, str) and marker == "auto":
        classes = params.get(student + "classes")
        marker = -1 if classes is None else resolve_marker(None, "auto", classes)
    if marker is None and teachers:
        raise ValueError(
            f"{type(estimator).__name__} knows no unlabelled rows ({student}"
            "unlabeled_label=None, or -1 is one of its classes), so that labels cannot "
            f"be hidden from it: set {student}unlabeled_label to a value that is no "
            "class, such as np.nan."
        )
    return [marker], bool(teachers)


def _check_fractions(fractions):
    share = Interval(Real, 0, 1, closed="right")
    are_shares = len(fractions) and all(map(share.is_satisfied_by, fractions))
    if not are_shares or len(set(fractions)) < len(fractions):
        raise ValueError(
            "fractions must be distinct shares of the labels in (0, 1], got "
            f"{fractions!r}."
        )


def _name_of(scoring):
    if scoring is None:
        return "score"
    return scoring.replace("_", " ") if isinstance(scoring, str) else repr(scoring)
