"""LastAxisSlice: some of the channels, such as those of one modality."""

from __future__ import annotations

from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from skanticipate.data.numbers import Interval
from skanticipate.data.parameters import check_used, fit_context
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.validation import check_clips


class LastAxisSlice(  # type: ignore[call-arg]  # scikit-learn has no types
    TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Keep channels `start` to `stop` of every frame.

    RGB, flow and object features of a clip can so travel side by side in one array,
    through Pipelines and cross-validation, and each branch takes its own.

    Parameters
    ----------
    start : int, default=0
        First channel that is kept.
    stop : int or None, default=None
        First channel after those that are kept; None means the end.

    Attributes
    ----------
    feature_dim_ : int
        Number of channels d seen in `fit`.
    n_features_in_ : int
        The same, where `fit` saw 2-D input.
    feature_names_in_ : ndarray of shape (d,)
        Names of the columns, where `fit` saw a DataFrame, or a list of them.

    See Also
    --------
    skanticipate.LateFusion : An anticipator for each modality, fused.

    Examples
    --------
    Learn from 16 of 24 channels:

    >>> from sklearn.pipeline import make_pipeline
    >>> from skanticipate import LSTM, LastAxisSlice, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(8, n_steps=4, n_features=24, random_state=0)
    >>> model = SmoothedAnticipator(LSTM(8), max_epochs=2, random_state=0)
    >>> rgb = make_pipeline(LastAxisSlice(0, 16), model)
    >>> rgb.fit(kitchen.X_past, kitchen.y)[-1].feature_dim_
    16
    """

    _parameter_constraints = {
        "start": [Interval(Integral, 0, None, closed="left")],
        "stop": [Interval(Integral, 1, None, closed="left"), None],
    }

    _used_after_fit = ("start", "stop")

    def __init__(self, start: int = 0, stop: int | None = None) -> None:
        self.start = start
        self.stop = stop

    def __sklearn_tags__(self):
        """Clips may have three axes, and keep their type."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Take note of the channels.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Clips, channels last.
        y : None
            Ignored, but for the names of its rows.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X has no channel between `start` and `stop`, or X and y name the same
            rows in different orders.
        """
        check_rows_alike(X=X, y=y)
        rows = check_clips(X, name="X", estimator=self, reset=True)
        check_channels(self.start, self.stop, rows.shape[-1])
        self.feature_dim_ = rows.shape[-1]
        return self

    def transform(self, X: ArrayLike) -> np.ndarray | RowView:
        """Clips with the kept channels only.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Clips with as many channels as in `fit`.

        Returns
        -------
        ndarray or RowView of shape (n, ..., d')
            A view of the same memory where X is an array; a memory map or a `RowView`
            goes on being read a batch at a time.

        Raises
        ------
        ValueError
            If X has another number of channels than in `fit`, or none of those that
            are kept.
        """
        check_is_fitted(self)
        rows = check_clips(X, name="X", estimator=self, reset=False)
        if rows.shape[-1] != self.feature_dim_:
            raise ValueError(
                f"X has {rows.shape[-1]} channels, its last axis, but LastAxisSlice "
                f"was fitted on {self.feature_dim_}."
            )
        self._check_channels()
        return keep_channels(X, rows, self.start, self.stop)

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Names of the kept channels.

        Parameters
        ----------
        input_features : array-like of str of shape (d,), default=None
            None means the column names seen in `fit`, or x0, x1, ...

        Returns
        -------
        ndarray of str of shape (d',)

        Raises
        ------
        ValueError
            If X had none of the channels that are kept.
        """
        check_is_fitted(self, "feature_dim_")
        self._check_channels()
        names = _check_feature_names_in(self, input_features)
        return names[self.start : self.stop]

    def _check_channels(self):
        """Refuse channels that were set since, and are none of those of `fit`."""
        check_used(self)
        check_channels(self.start, self.stop, self.feature_dim_)


def check_channels(start, stop, d, whose=""):
    """Refuse what does not lie within d channels."""
    if start >= d or (stop is not None and not start < stop <= d):
        raise ValueError(
            f"{whose}start={start} and stop={stop} must lie within the {d} channels of "
            "X, the last axis, and start before stop."
        )


def keep_channels(X, rows, start, stop):
    """Some channels of clips X that were checked as `rows`, read as late as X is."""
    kept = rows.channels(start, stop)
    return kept if isinstance(X, RowView | np.memmap) else np.asarray(kept)
