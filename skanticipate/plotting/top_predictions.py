"""TopPredictionsDisplay: what models expect of a clip, and where the truth stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import as_mapping
from skanticipate.data.labels import check_label_array
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import (
    as_list,
    check_same_kind,
    label_codes,
    label_list,
)
from skanticipate.data.names import check_label_names
from skanticipate.data.numbers import check_count, refuse_truths
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers, takes_tensors
from skanticipate.data.validation import check_aligned, check_probabilities
from skanticipate.metrics.hits import check_distinct, ranks
from skanticipate.plotting._bars import given_axes, mark, new_axes, tidy
from skanticipate.plotting._look import wrapped
from skanticipate.plotting._pyplot import Axes, ColorType, import_pyplot


class TopPredictionsDisplay:
    """The most probable actions of some clips as bars: clips by models.

    The bar of the true action has its own colour, is hatched and has its name in bold.
    Above the bars stands its rank, which may be beyond the actions shown.

    Create it with `TopPredictionsDisplay.from_estimator` or `from_predictions`. All
    parameters are stored as attributes.

    Parameters
    ----------
    proba : dict of str to array-like of shape (R, C)
        Name of a model -> its probabilities for R clips.
    y_true : array-like of shape (R,)
        The true action of each clip.
    classes : array-like of shape (C,)
        The label of each column.
    clips : sequence of length R, default=None
        What the clips are called, such as their rows. None counts them.
    k : int, default=10
        How many actions to show; a k above C means C.
    class_names : mapping or table, default=None
        Label -> its name: a text, or a pair (verb, noun) as in the `actions` of a data
        set; or a table with columns `label`, `verb` and `noun`. A label that has no
        name is shown itself.

    Attributes
    ----------
    axes_ : ndarray of shape (R, M) of matplotlib Axes
        One row a clip, one column a model.
    figure_ : matplotlib Figure
    bars_ : list of R lists of M matplotlib BarContainer
        The most probable action is the first bar.
    ranks_ : ndarray of shape (R, M) of int
        Rank of the true action, from 1. Equal probabilities rank in the order of the
        classes.

    References
    ----------
    G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
    Distillation for Action Anticipation via Label Smoothing", ICPR 2020: the
    qualitative results.

    Examples
    --------
    >>> from skanticipate.plotting import TopPredictionsDisplay
    >>> display = TopPredictionsDisplay(
    ...     {"hard labels": [[0.7, 0.2, 0.1]], "smoothed": [[0.3, 0.4, 0.3]]},
    ...     ["peel onion"],
    ...     classes=["cut onion", "peel onion", "wash pan"],
    ...     k=2,
    ... )
    >>> display.plot().ranks_
    array([[2, 1]])
    >>> [label.get_text() for label in display.axes_[0, 1].get_yticklabels()]
    ['peel onion', 'cut onion']
    """

    def __init__(
        self,
        proba: Mapping[str, ArrayLike],
        y_true: Labels,
        classes: Labels,
        *,
        clips: Sequence[object] | None = None,
        k: int = 10,
        class_names: Actions | None = None,
    ) -> None:
        self.proba = proba
        self.y_true = y_true
        self.classes = classes
        self.clips = clips
        self.k = k
        self.class_names = class_names

    @classmethod
    @takes_tensors
    def from_estimator(
        cls,
        estimators: BaseEstimator | Mapping[str, BaseEstimator],
        X: ArrayLike,
        y: Labels,
        *,
        clip: int | Sequence[int] = 0,
        k: int = 10,
        class_names: Actions | None = None,
        ax: Axes | Sequence[Axes] | np.ndarray | None = None,
        **kwargs: Any,
    ) -> Self:
        """Ask fitted estimators what they expect of some clips, and plot the answers.

        Parameters
        ----------
        estimators : estimator, or dict of str to estimator
            Fitted classifiers with `predict_proba` and the same `classes_`.
        X : array-like of shape (n, ...)
            Features observed before the actions.
        y : array-like of shape (n,)
            The true actions.
        clip : int or sequence of int, default=0
            The rows of the clips to show.
        k : int, default=10
            How many actions to show.
        class_names : mapping or table, default=None
            Label -> its name, a text or a pair (verb, noun).
        ax : Axes or array of Axes, default=None
            One for each clip and model, clip by clip. None makes a figure of fitting
            size.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : TopPredictionsDisplay

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        TypeError
            If an estimator has no `predict_proba`, or `clip` is a mask.
        ValueError
            If there is no estimator or no clip, a clip is no row of `X`, the estimators
            know different classes, or the true action of a clip is none of them.
        """
        if not isinstance(estimators, Mapping):
            estimators = {type(estimators).__name__: estimators}
        check_rows_alike(X=X, y=y)
        labels = check_label_array(y, estimator=cls.__name__)
        rows = _rows(clip, len(labels))
        classes = _shared_classes(estimators)
        check_aligned(len(labels), "y", X=X)
        shown = _safe_indexing(X, rows)
        proba = {name: model.predict_proba(shown) for name, model in estimators.items()}
        display = cls(
            proba, labels[rows], classes, clips=rows, k=k, class_names=class_names
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Labels,
        proba: ArrayLike | Mapping[str, ArrayLike],
        classes: Labels,
        *,
        clip: int | Sequence[int] = 0,
        k: int = 10,
        class_names: Actions | None = None,
        ax: Axes | Sequence[Axes] | np.ndarray | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot what was predicted of some clips.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            The true actions.
        proba : array-like of shape (n, C), or dict of str to such arrays
            Probabilities, of one model or of several.
        classes : array-like of shape (C,)
            The label of each column, as in `estimator.classes_`.
        clip : int or sequence of int, default=0
            The rows of the clips to show.
        k : int, default=10
            How many actions to show.
        class_names : mapping or table, default=None
            Label -> its name, a text or a pair (verb, noun).
        ax : Axes or array of Axes, default=None
            One for each clip and model, clip by clip. None makes a figure of fitting
            size.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : TopPredictionsDisplay

        Raises
        ------
        TypeError
            If `clip` is a mask.
        ValueError
            If there are no predictions or no clip, a clip is no row of `y_true`, shapes
            disagree, rows are no probabilities, the true action of a clip is none of
            `classes`, or the names of tables say otherwise.
        """
        proba = dict(proba) if isinstance(proba, Mapping) else {"model": proba}
        labels = check_label_array(y_true, estimator=cls.__name__, name="y_true")
        rows = _rows(clip, len(labels))
        tables = {f"proba[{name!r}]": table for name, table in proba.items()}
        check_aligned(len(labels), "y_true", y_true=y_true, **tables)
        proba = {name: _safe_indexing(p, rows) for name, p in proba.items()}
        display = cls(
            proba, labels[rows], classes, clips=rows, k=k, class_names=class_names
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | np.ndarray | None = None,
        *,
        color: ColorType = "0.75",
        truth_color: ColorType = "#D55E00",
    ) -> Self:
        """Draw one panel for each clip and model, all on one scale.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One for each clip and model, clip by clip. None makes a figure of fitting
            size.
        color, truth_color : matplotlib colour, default="0.75", "#D55E00"
            Of the bars, and of the bar of the true action.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If shapes disagree, rows are no probabilities, or the true action of a clip
            is none of `classes`.
        """
        plt = import_pyplot()
        proba, codes = self._checked()  # (R, M, C), (R,)
        names = self._names()
        best = np.argsort(-proba, axis=2, kind="stable")[:, :, : self.k]
        places = [1 + ranks(proba[:, m], codes) for m in range(proba.shape[1])]
        self.ranks_ = np.stack(places, axis=1)
        if ax is None:
            self.axes_ = new_axes(plt, best.shape, {names[c] for c in best.flat})
        else:
            self.axes_ = given_axes(ax, best.shape[:2])
        self.figure_ = self.axes_[0, 0].figure
        self.bars_ = [[None] * proba.shape[1] for _ in codes]
        for (r, m), axes in np.ndenumerate(self.axes_):
            shown, truth = best[r, m], codes[r]
            bars = axes.barh(range(len(shown)), proba[r, m, shown], color=color)
            axes.set_yticks(range(len(shown)), [names[c] for c in shown], fontsize=8)
            for at in np.flatnonzero(shown == truth):
                mark(bars[at], axes.get_yticklabels()[at], truth_color)
            self.bars_[r][m] = bars
            place = f"truth: rank {self.ranks_[r, m]} of {proba.shape[2]}"
            title = f"{wrapped([*self.proba][m], 30)}\n{place}"
            axes.set_title(f"{title}, p = {proba[r, m, truth]:.2g}", fontsize=9)
            tidy(axes, len(shown), 1.05 * proba.max())
        for r, axes in enumerate(self.axes_[:, 0]):
            axes.set_ylabel(f"clip {self._clip(r)}\n{names[codes[r]]}", fontsize=9)
        return self

    def _checked(self):
        """Probabilities (R, M, C), and the column (R,) of each truth."""
        check_count(self.k, "k")
        classes, truths = label_list(self.classes, "classes"), as_list(self.y_true)
        check_distinct(classes, "classes")
        if not self.proba or not truths:
            raise ValueError(
                f"{type(self).__name__} needs at least one model and one clip, got "
                f"{len(self.proba)} and {len(truths)}."
            )
        check_same_kind(truths, classes, "y_true", "classes")
        codes = label_codes(truths, classes)
        if (codes < 0).any():
            r = int(np.argmax(codes < 0))
            raise ValueError(
                f"The true action of clip {self._clip(r)} is {truths[r]!r}, which is "
                "none of the classes, so it has no rank: show another clip, or fit "
                "with classes=, which may hold actions that no training row has."
            )
        check_rows_alike(
            y_true=self.y_true, **{f"proba[{m!r}]": p for m, p in self.proba.items()}
        )
        shape = len(truths), len(classes)
        tables = [_probabilities(p, classes, shape, m) for m, p in self.proba.items()]
        return np.stack(tables, axis=1), codes

    def _names(self):
        """Name of each class in at most three short lines."""
        names = self.class_names
        if names is None:
            names = {}
        elif not isinstance(names, Mapping) and not hasattr(names, "columns"):
            raise ValueError(
                "class_names must be a mapping label -> name, got a "
                f"{type(names).__name__}: dict(zip(classes, names)) makes one."
            )
        names, classes = as_mapping(names), as_list(self.classes)
        return [_name(names.get(label, label)) for label in classes]

    def _clip(self, r):
        return r if self.clips is None else self.clips[r]


def _probabilities(proba, classes, shape, model):
    """Probabilities of one model, checked.   -> (R, C)."""
    what = f"proba[{model!r}]"
    check_label_names(proba, classes, name=what)
    refuse_masked(proba, what, "Fill in the probabilities.")
    proba = np.asarray(plain_numbers(proba, what), dtype=float)
    if proba.shape != shape:
        raise ValueError(
            f"{what} has shape {proba.shape}: expected {shape}, a row for each clip "
            "and a column for each class."
        )
    return check_probabilities(proba, what)


def _name(name):
    """A text, or a verb and a noun, in at most three short lines."""
    name = " ".join(map(str, name)) if isinstance(name, tuple | list) else name
    return wrapped(name, 24)


def _rows(clip, n_rows):
    """Rows of the clips to show.   -> list of int."""
    given = list(clip) if np.ndim(clip) else [clip]
    refuse_truths(given, "clip")
    rows = [index(row) for row in given]
    wrong = [row for row in rows if not 0 <= row < n_rows]
    if wrong or not rows:
        raise ValueError(
            f"clip must hold rows from 0 to {n_rows - 1}, at least one, got "
            f"{wrong[0] if wrong else rows}."
        )
    return rows


def _shared_classes(estimators):
    """Classes of fitted estimators, which must be the same.   -> list."""
    first, classes = None, []
    for name, model in estimators.items():
        if not hasattr(model, "predict_proba"):
            raise TypeError(
                f"{name!r} is a {type(model).__name__} and has no predict_proba: pass "
                "classifiers that have it, or probabilities to from_predictions."
            )
        check_is_fitted(model)
        known = as_list(model.classes_)
        if first is None:
            first, classes = name, known
        if known != classes:
            alone = sorted(set(known) ^ set(classes), key=str)
            raise ValueError(
                f"{first!r} and {name!r} know different classes, or in another order; "
                f"known to one of them only: {alone[:5]}. Fit them with the same "
                "classes, which classes= fixes, as ranks among others say little."
            )
    return classes
