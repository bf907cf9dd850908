"""Anticipation while a video goes on: one step in, probabilities out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skanticipate.data.names import forget_names
from skanticipate.data.numbers import SIZE
from skanticipate.data.parameters import check_used
from skanticipate.data.places import places_of
from skanticipate.data.tensors import without_tensor
from skanticipate.data.validation import are_finite, check_as_meant
from skanticipate.estimator.memory import naming_memory_of_streams
from skanticipate.estimator.step_names import StepNames, check_names_of_step
from skanticipate.preprocessing.frames import PerFrame
from skanticipate.preprocessing.slices import LastAxisSlice
from skanticipate.training.runtime import torch_threads
from skanticipate.training.scoring import check_no_nan

_PER_FRAME = PerFrame, LastAxisSlice  # transformers that know nothing of other steps


def stream(model: BaseEstimator, n_streams: int | None = None) -> Stream:
    """Open a stream of a fitted model, which answers while a video goes on.

    Steps are read one by one as they come, and the network goes on from where it was: a
    step costs the same, however many came before. The answers are those of
    `predict_proba` for the clip so far.

    Parameters
    ----------
    model : SmoothedAnticipator, DistilledAnticipator, RecognitionTeacher or Pipeline
        Fitted. In a Pipeline all steps before the last must be `PerFrame`,
        `LastAxisSlice` or "passthrough". A search stands for its best estimator.
    n_streams : int, default=None
        Number of videos that go on side by side; None means one, whose arrays lack the
        axis of videos.

    Returns
    -------
    Stream

    Raises
    ------
    TypeError
        If there is no network that could read steps, or a step of a Pipeline may look
        at other frames than the one that it transforms.
    ValueError
        If the network cannot go on from the step before; says why, and which can.
        If `n_streams` is no positive whole number.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    Stream : What it returns.

    Examples
    --------
    >>> import skanticipate
    >>> from skanticipate import LSTM, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(n_steps=6, random_state=0)
    >>> model = SmoothedAnticipator(LSTM(16), max_epochs=2, random_state=0)
    >>> model = model.fit(kitchen.X_past, kitchen.y)
    >>> stream = skanticipate.stream(model)  # or model.stream()
    >>> for step in kitchen.X_past[0]:  # (d,)
    ...     proba = stream.update(step)  # (C,)
    >>> bool(abs(proba - model.predict_proba(kitchen.X_past[:1])[0]).max() < 1e-6)
    True
    """
    transformers = []
    while not hasattr(model, "stream"):
        if isinstance(model, Pipeline):
            check_is_fitted(model)
            *before, model = (part for _, part in model.steps)
            transformers += [part for part in before if not _passes(part)]
        elif isinstance(model, FrozenEstimator):
            model = model.estimator
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        else:
            _refuse(model)
    for part in transformers:
        if not isinstance(part, _PER_FRAME):
            raise TypeError(
                f"A stream shows the step {part!r} of the Pipeline one frame at a "
                "time, and it may need others. PerFrame and LastAxisSlice do not: wrap "
                "a transformer of single frames in PerFrame."
            )
    return Stream(model, n_streams, transformers)


def _passes(part):
    return part is None or part == "passthrough"


def _refuse(model):
    """Say why a model that is no anticipator has no stream."""
    if hasattr(model, "fit"):
        check_is_fitted(model)
    raise TypeError(
        "stream expects a fitted anticipator, or a Pipeline or search that ends in "
        f"one, got {type(model).__name__}: open a stream for each anticipator in it, "
        "and combine what they say."
    )


class Stream:
    """What a fitted anticipator says while videos go on; `stream` makes it.

    It keeps the state that all steps since the last `reset` have left. It ends with
    another `fit` of the model. A stream is for one thread at a time. A copy, as
    `copy.copy` makes it, goes on by itself.

    Parameters
    ----------
    model : SmoothedAnticipator, DistilledAnticipator or RecognitionTeacher
        Fitted.
    n_streams : int, default=None
        Number of videos n; None means one, whose arrays lack the axis of videos.
    transformers : list of PerFrame and LastAxisSlice, default=()
        What steps go through before the model sees them, in order, fitted.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels of the columns of all answers.

    See Also
    --------
    stream : Opens one, of a Pipeline too.

    Notes
    -----
    The answer is that of the stage at `anticipation_time`. Where this is not the last
    one, `predict_proba` reports what the network said some steps before the end of the
    clip, and so does `update`; `now` says what the same stage gives for an action that
    is `anticipation_time` away from the step read last.

    A video that is shorter than `anticipation_steps`, which `predict_proba` refuses, is
    answered as if it were padded on the left.

    Examples
    --------
    Two videos side by side, of which the second lacks a step:

    >>> import numpy as np
    >>> from skanticipate import LSTM, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(n_steps=6, random_state=0)
    >>> model = SmoothedAnticipator(LSTM(16), max_epochs=2, random_state=0)
    >>> stream = model.fit(kitchen.X_past, kitchen.y).stream(2)
    >>> first = stream.update(kitchen.X_past[:2, 0])  # (n, d) -> (n, C)
    >>> steps = kitchen.X_past[:2, 1].copy()
    >>> steps[1] = np.nan
    >>> (stream.update(steps) == first).all(axis=1)
    array([False,  True])
    >>> stream.reset([0]).update(kitchen.X_past[:2, 0]).shape  # another video begins
    (2, 20)
    """

    classes_: np.ndarray

    def __init__(
        self,
        model: BaseEstimator,
        n_streams: int | None = None,
        transformers: Sequence[PerFrame | LastAxisSlice] = (),
    ) -> None:
        model._warn_of_changes()
        if n_streams is not None and not SIZE.is_satisfied_by(n_streams):
            expected = "None or a positive whole number below 2**31"
            raise ValueError(f"n_streams must be {expected}, got {n_streams!r:.80}.")
        self.n_streams = n_streams
        self.classes_ = model.classes_
        self._model, self._fitted = model, model.network_
        self._reader = transformers[0] if len(transformers) else model
        # Names of a step are compared by its reader; what comes after sees arrays.
        *self._transformers, self._checks = map(copy, (*transformers, model))
        for part in (*self._transformers, self._checks):
            forget_names(part)
        shape = *model.input_shape_[1:-1], model.feature_dim_
        if self._transformers:
            shape = *shape[:-1], self._transformers[0].feature_dim_
        self._step_shape = shape
        spec = model.network_spec_
        with torch_threads(model.n_threads, model.network_):
            self._network = model._placed_network()
            self._stepper = spec.stepper(self._network)
        has_codes = getattr(spec, "embedding", None) is not None
        self._reads_all = not self._transformers and not has_codes  # finite floats
        some = next(self._network.parameters())
        self._device = None if some.is_cpu else some.device  # where steps must go
        self._kind = np.float64 if some.dtype == torch.float64 else np.float32
        self._names = StepNames()
        self._states: deque[Any] = deque(maxlen=self._stepper.lag + 1)
        self.reset()

    @torch.inference_mode()
    def update(self, X: ArrayLike) -> np.ndarray:
        """Read one step of each video, or several.

        Parameters
        ----------
        X : array-like of shape (d,) or (k, d); with `n_streams` (n, d) or (n, k, d)
            Features of one step, or of k, the latest last, as `predict_proba` takes
            them; where it takes maps, (..., d) stands for (d,). A step that is all NaN,
            or codes of -1, is missing, and leaves the video as it was.

        Returns
        -------
        ndarray of shape (C,), or (n, C) with `n_streams`
            Probabilities after the last step, as `predict_proba` gives them for all
            steps since the last `reset`; columns in the order of `classes_`.

        Raises
        ------
        ValueError
            If the shape is another, a table names its features otherwise than that
            of fit or, as its videos, in another order than before, a value is not
            finite, an `AVTHead` has no positions left, or the model was fitted again.
            The stream is as it was before the call.
        """
        X = without_tensor(X, "X")
        clips, is_plain, names = self._check(X)
        with self._threads():
            states = self._read(clips, is_plain)
            proba = self._answer(states[0])
        self._states, self._names = states, names
        return proba

    @torch.inference_mode()
    def now(self) -> np.ndarray:
        """Probabilities of what begins `anticipation_time` after the step read last.

        They are what `update` would give if as many steps were missing from here on as
        the stage lies back. Where `anticipation_time` is None they are what it gave.

        Returns
        -------
        ndarray of shape (C,), or (n, C) with `n_streams`
        """
        with self._threads():
            return self._answer(self._states[-1])

    @torch.inference_mode()
    def reset(self, streams: ArrayLike | None = None) -> Self:
        """Begin anew, as if no step had been read.

        Parameters
        ----------
        streams : array-like of int or bool, default=None
            Indices of the videos that begin anew, or a mask of shape (n,); None means
            all.

        Returns
        -------
        self : object

        Raises
        ------
        IndexError
            If these are no indices of videos.
        ValueError
            If 0 and 1 stand for a mask, which is of bool; or a mask names the videos in
            another order than the steps did.
        MemoryError
            If there are more streams than memory holds states of.
        """
        with self._threads():
            if streams is None:
                self._names = self._names._replace(videos=None)
                with naming_memory_of_streams(self.n_streams):
                    begin = self._stepper.start(self.n_streams or 1)
                self._states.extend([begin] * (self._stepper.lag + 1))
                return self
            streams = without_tensor(streams, "streams")
            rows = places_of(
                streams, self.n_streams or 1, self._names.videos, name="streams"
            )
            rows = torch.from_numpy(rows)
            for state in self._states:
                for part in state:
                    part[rows.to(part.device)] = 0
        return self

    def __copy__(self):
        """Another stream of the model, which goes on from here by itself."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        with self._threads():
            states = [tuple(part.clone() for part in state) for state in self._states]
        other._states = deque(states, maxlen=self._states.maxlen)
        return other

    def __deepcopy__(self, memo):
        """As `__copy__`: the model, which no stream changes, is shared."""
        return self.__copy__()

    def __reduce__(self):
        """Refuse to be pickled."""
        raise TypeError(
            "A stream cannot be pickled: pickle its model, and open another."
        )

    def _threads(self):
        check_used(self._model)  # it may have been set since
        return torch_threads(self._model.n_threads, self._network)

    def _check(self, X):
        """Steps as clips, transformed and checked, and whether they are plain.

        -> ndarray (n, k, ...), bool, names of videos and features
        """
        if self._model.network_ is not self._fitted:
            raise ValueError(
                "The model was fitted again after the stream was opened: open another."
            )
        names = self._names
        if type(X) is not np.ndarray:
            is_one = self.n_streams is None
            names = check_names_of_step(X, names, is_one=is_one, reader=self._reader)
        if not are_finite(X):
            check_as_meant(X, "X")
        steps = np.asarray(X)
        is_plain = self._reads_all and are_finite(steps)  # as nearly always
        videos = () if self.n_streams is None else (self.n_streams,)
        one_step = *videos, *self._step_shape
        if steps.shape == one_step:
            n_steps = 1
        else:
            n_steps = steps.shape[len(videos)] if steps.ndim > len(one_step) else 0
            if steps.shape != (*videos, n_steps, *self._step_shape):
                several = ", ".join(map(str, (*videos, "k", *self._step_shape)))
                raise ValueError(
                    f"X has shape {steps.shape}, but a step of this stream has shape "
                    f"{one_step}, and k steps ({several})."
                )
        clips = steps.reshape(self.n_streams or 1, n_steps, *self._step_shape)
        if is_plain:
            return clips, True, names
        for transformer in self._transformers:
            clips = transformer.transform(clips)
        return self._checks._check_like_fit(clips, "X").base, False, names

    def _read(self, clips, all_real):
        """States after all steps, of the past no more than is needed."""
        clips = np.array(clips, self._kind, order="C")  # not the user's own
        clips = torch.from_numpy(clips)
        if self._device is not None:
            clips = clips.to(self._device)
        steps, real = self._stepper.steps(clips, all_real)  # (n, k, e), (n, k)
        if real is not None and bool(real.all()):
            real = None
        n_more = steps.shape[1] if real is None else real.sum(1)
        self._stepper.check(self._states[-1], n_more)
        states = self._states.copy()
        for k, step in enumerate(steps.unbind(1)):
            at_k = None if real is None else real[:, k]
            states.append(self._stepper.read(states[-1], step, at_k))
        return states

    def _answer(self, state):
        """Probabilities that a state stands for."""
        scores = self._stepper.scores(state).cpu()  # (n, C)
        proba = torch.softmax(self._model._adjusted(scores), -1).numpy()
        if math.isnan(np.vdot(proba, proba)):  # with a score all of a row is NaN
            check_no_nan(scores, range(len(scores)))
        return proba[0] if self.n_streams is None else proba
