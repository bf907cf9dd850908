"""A transformer for every frame of a clip."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_array, get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import _check_n_features, check_is_fitted

from skanticipate.data.layout import hint_channels_first
from skanticipate.data.names import check_names
from skanticipate.data.parameters import fit_context
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.validation import check_as_meant, check_steps, padding_steps
from skanticipate.data.whole_numbers import hint_bits


class PerFrame(  # type: ignore[call-arg]  # scikit-learn has no types
    TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Apply a scikit-learn transformer to every frame of a clip.

    Parameters
    ----------
    transformer : transformer
        Takes frames (m, d) and returns (m, d'), for instance `StandardScaler()` or
        `PCA(64)`. A clone of it is fitted on the frames of all clips together, without
        labels.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone.
    feature_dim_ : int
        Number of channels d seen in `fit`.
    n_features_in_ : int
        The same, where `fit` saw 2-D input.
    feature_names_in_ : ndarray of shape (d,)
        Names of the columns, where `fit` saw a DataFrame, or a list of them.

    Notes
    -----
    A time step (first axis after the rows) that is all NaN is padding, a clip that is
    all NaN is a missing one: they are not seen by `fit` and stay NaN in `transform`.
    Features that are NaN in a frame that has others are for an imputer; those that the
    transformer does not fill are refused.
    In front of an anticipator the past and the future clips go through the same fitted
    transformer only with metadata routing and `Pipeline(..., transform_input=[
    "X_future_unlabeled"])`; without it the future arrives untransformed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from skanticipate.preprocessing import PerFrame
    >>> clips = np.array([[[0.0], [5.0]], [[np.nan], [10.0]]])  # (n, T, d) = (2, 2, 1)
    >>> PerFrame(MinMaxScaler()).fit_transform(clips)[:, :, 0]
    array([[0. , 0.5],
           [nan, 1. ]])
    """

    _parameter_constraints = {"transformer": [HasMethods(["fit", "transform"])]}

    def __init__(self, transformer: BaseEstimator) -> None:
        self.transformer = transformer

    def __sklearn_tags__(self):
        """Return the tags, those of numbers as of the inner transformer."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer).transformer_tags
        tags.input_tags.three_d_array = True
        if inner is not None:  # as of what is no TransformerMixin
            tags.transformer_tags.preserves_dtype = inner.preserves_dtype
        return tags

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit the transformer on the frames that are not padding.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Pooled features, sequences or feature maps, channels last.
        y : None
            Ignored, but for the names of its rows.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If no frame holds a number, a step is neither finite nor all NaN and the
            transformer does not fill it, or X and y name the same rows in different
            orders.
        """
        check_rows_alike(X=X, y=y)
        clips = self._check_clips(X, reset=True)
        steps = _as_steps(clips)
        real = ~padding_steps(steps)
        frames = _real_frames(steps, real)
        if not len(frames):
            raise ValueError(
                f"All {real.size} steps of X are NaN, that is padding: PerFrame needs "
                "at least one frame to fit its transformer."
            )
        hint_bits(RowView(clips))
        self.transformer_ = clone(self.transformer).fit(frames)
        self._n_channels_out = self._transform_frames(frames[:1]).shape[1]
        if self._n_channels_out != clips.shape[-1]:  # else who reads them can tell
            hint_channels_first(RowView(clips))
        if self._takes_nan():
            holed = frames[np.isnan(frames).any(axis=1)]
            self._check_filled(self._transform_frames(holed), clips)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Transform every frame that is not padding.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            The axes between rows and channels may differ from those seen in `fit`.

        Returns
        -------
        X_new : ndarray of shape (n, d'), (n, T, d') or (n, ..., d')

        Raises
        ------
        ValueError
            If X has another number of channels than in `fit`, or a step is neither
            finite nor all NaN and the transformer does not fill it.
        """
        check_is_fitted(self)
        clips = self._check_clips(X, reset=False)
        steps = _as_steps(clips)
        real = ~padding_steps(steps)
        out = self._transform_frames(_real_frames(steps, real))
        if self._takes_nan():
            self._check_filled(out, clips)
        if not real.all():
            out = _fill_padding(out, real, steps.shape[2])
        return out.reshape(*clips.shape[:-1], out.shape[-1])

    def _check_clips(self, X, reset):
        """Clips as a numeric array of at least two axes, with the right channels."""
        check_as_meant(X, "X")
        X = plain_numbers(X, "X")
        clips = np.asarray(
            check_array(
                X,
                allow_nd=True,
                ensure_all_finite=False,
                estimator=self,
                input_name="X",
            )
        )
        if reset:
            self.feature_dim_ = clips.shape[-1]
        check_names(X, name="X", estimator=self, reset=reset)
        if clips.ndim == 2:
            _check_n_features(self, X, reset=reset)
        if clips.shape[-1] != self.feature_dim_:
            raise ValueError(
                f"X has {clips.shape[-1]} channels (last axis of shape {clips.shape}) "
                f"but PerFrame was fitted on {self.feature_dim_}: pass clips of the "
                "same features, channels last."
            )
        if not self._takes_nan():
            self._check_steps(clips)
        elif np.isinf(clips).any():
            self._check_steps(np.where(np.isnan(clips), 0, clips))
        return clips

    def _takes_nan(self):
        """Whether features of a frame may be NaN, as for an imputer or a scaler."""
        return get_tags(self.transformer).input_tags.allow_nan

    def _check_filled(self, out, clips):
        """Refuse features that are NaN and stay so, as a scaler leaves them."""
        if out.dtype.kind == "f" and np.isnan(out).any():
            self._check_steps(clips)

    def _check_steps(self, clips):
        if clips.size:
            check_steps(RowView(_as_steps(clips)), name="X", estimator=self)

    def _transform_frames(self, frames):
        """Frames (m, d) -> ndarray (m, d'), whatever container comes back."""
        if not len(frames):
            return np.empty((0, self._n_channels_out), dtype=frames.dtype)
        out = self.transformer_.transform(frames)
        return out.toarray() if issparse(out) else np.asarray(out)

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the names of the output channels.

        Parameters
        ----------
        input_features : array-like of str of shape (d,), default=None
            None means the column names seen in `fit`, or x0, x1, ...

        Returns
        -------
        names : ndarray of str of shape (d',)

        Raises
        ------
        AttributeError
            If the transformer does not name its outputs.
        """
        check_is_fitted(self)
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", None)
        return self.transformer_.get_feature_names_out(input_features)


def _as_steps(clips):
    """Clips (n, d), (n, T, d) or (n, T, ..., d) -> (n, T, frames of a step, d)."""
    n_steps = clips.shape[1] if clips.ndim > 2 else 1
    n_frames = int(np.prod(clips.shape[2:-1]))
    return clips.reshape(len(clips), n_steps, n_frames, clips.shape[-1])


def _real_frames(steps, real):
    """Frames of the real steps (m, d), a copy only where there is padding."""
    n_frames, d = steps.shape[2:]
    steps = steps if real.all() else steps[real]
    return steps.reshape(int(real.sum()) * n_frames, d)


def _fill_padding(out, real, n_frames):
    """Put frames (m, d') back among the steps, the others NaN.  (n, T, frames, d')."""
    # Integers (bins, category codes) have no NaN.
    dtype = out.dtype if out.dtype.kind == "f" else np.result_type(out, np.float32)
    steps = np.full((*real.shape, n_frames, out.shape[1]), np.nan, dtype=dtype)
    steps[real] = out.reshape(-1, n_frames, out.shape[1])
    return steps
