"""What fits are given: the arguments of `fit`, written once for all that have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.utils.metadata_routing import UNUSED

from skanticipate._typing import Labels
from skanticipate.data.parameters import fit_context
from skanticipate.data.tensors import takes_tensors
from skanticipate.training.runtime import all_or_nothing


@dataclass(frozen=True, eq=False)
class Given:
    """The arguments of `fit`, as they came; whoever reads one takes it from here."""

    X_past: Any
    y: Any
    X_future_unlabeled: Any = None
    past_actions: Any = None
    y_past: Any = None
    teacher_proba: Any = None
    groups: Any = None
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None

    def aligned(self):
        """What has an entry for each clip, or is None, beside its label.   -> dict."""
        others = ("X_past", "y", "X_val", "y_val")
        return {k: v for k, v in vars(self).items() if k not in others}


class FitMixin:
    """Gives an estimator the method `fit`; what it does stands in `_fit`."""

    __metadata_request__fit = {
        "X_past": UNUSED,
        **{
            field.name: True
            for field in fields(Given)
            if field.name not in ("X_past", "y", "sample_weight")
        },
    }

    @takes_tensors
    @all_or_nothing
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
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
    ) -> Self:
        """Learn to anticipate the label of each past clip.

        On any error the estimator is as it was before the call.

        Parameters
        ----------
        X_past : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action. In arrays of more than two axes a
            time step (second axis) that is all NaN is padding. Memory maps and
            `RowView` are read a batch at a time.
        y : array-like of shape (n,)
            Label of the action to anticipate; rows equal to the unlabelled marker
            have none.
        X_future_unlabeled : array-like of shape (n, ...), default=None
            Features of the clip to be anticipated, one row for each row of `X_past`.
            Only for estimators whose teacher sees them; others check its length.
        past_actions : array-like of shape (n, L), (n, K, L) or (n,), default=None
            Labels of the last L actions, the latest last, left-padded with None, NaN,
            "" or -1; or a text for each row. Three axes are K candidate histories of
            each row; one that is all missing does not exist. The teacher learns from
            each of them with an equal part of the weight of the row, and is asked about
            each: the mean of the logarithms of its answers counts. Only for estimators
            whose teacher reads them.
        y_past : array-like of shape (n,) or (n, T), default=None
            Label of the action seen last, for priors that count transitions; or, of
            sequences, the label of each step, of which priors take the last that is
            there. None, NaN, "" or -1 where there is none. Networks with a positive
            `past_weight` learn to name the steps, and need the second form: a label
            there that is no class counts as missing.
        teacher_proba : array-like of shape (n, C), default=None
            Soft targets in place of a teacher's answers, columns in the order of
            `classes`; a row of NaN has none. Only for estimators that have a teacher.
        groups : array-like of shape (n,), default=None
            Video or person of each row; a held-out part takes whole groups.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the loss.
        X_val, y_val : arrays as `X_past` and `y`, or functions, default=None
            Validation data for `history_` and early stopping, instead of a held-out
            fraction. A search or cross-validation cuts all that has as many rows as
            `X_past` into its folds: ``X_val=lambda: X_val, y_val=lambda: y_val``, which
            `fit` calls, stay whole. A Pipeline passes `X_val` on as it is: to have it
            transformed, enable metadata routing and name it in the pipeline's
            `transform_input`; it must be an array then.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If an array has a wrong shape, misses values or does not fit the others,
            if there are fewer than two classes, or if a loss is not finite.
        MemoryError
            If there is too little of it; says what was asked for and what to lower.
        OSError
            If a file that is read was cut short, or one that is kept, in `checkpoint`
            or a cache, cannot be written, as on a full disk.
        """
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
        self._fit(given)
        return self

    def _fit(self, given: Given) -> None:
        """Fit, and set the fitted attributes."""
        raise NotImplementedError
