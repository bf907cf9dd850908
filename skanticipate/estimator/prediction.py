"""All that an anticipator does once it is fitted: predict, score, save, pickle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Labels
from skanticipate.data.files import is_mapped
from skanticipate.data.labels import (
    check_label_array,
    encode,
    labelled_rows,
    warn_of_strangers,
)
from skanticipate.data.layout import N_LEAST
from skanticipate.data.masked import refuse_masked
from skanticipate.data.parameters import check_set_after_fit
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.samples import Samples
from skanticipate.data.tensors import (
    answers_in_kind,
    in_kind,
    plain_numbers,
    takes_tensors,
)
from skanticipate.data.validation import (
    check_aligned,
    check_clips_like,
)
from skanticipate.estimator.blueprint import Blueprint
from skanticipate.estimator.memory import name_memory_of_answers
from skanticipate.estimator.saving import SaveMixin
from skanticipate.estimator.stream import Stream
from skanticipate.estimator.unaware import warn_of_answers
from skanticipate.networks.inputs import check_codes
from skanticipate.training.batches import ClipReader
from skanticipate.training.runtime import Compute, resolve_device, torch_threads
from skanticipate.training.scoring import check_no_nan, predict_batches


def _real_features(output, samples):
    """Features (B, N, d) of their own, NaN at positions of padding, or None."""
    features = output.features
    if features is not None and output.mask is not None:
        features = features.masked_fill(~output.mask.unsqueeze(-1), float("nan"))
    return None if features is None else features.clone()


class PredictionMixin(SaveMixin, ClassifierMixin):
    """The fitted side of `BaseAnticipator`."""

    _used_after_fit = ("logit_adjustment", "device", "n_threads")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Most probable label of each clip.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If the clips are not of the kind seen in fit, here and in all that predicts.
        """

        def part(output, samples):
            return self._scores(self._answers(output), samples).argmax(-1)

        codes = self._predict(X, part)
        return self.classes_[codes]

    @answers_in_kind
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of each class, at the network's `anticipation_time`.

        With a positive `logit_adjustment` these are adjusted scores, normalised again.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of `classes_`.
        """
        return self._proba(X, torch.softmax)

    @answers_in_kind
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of `predict_proba`, without the loss of small numbers.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Returns
        -------
        ndarray of shape (n, C)
        """
        return self._proba(X, torch.log_softmax)

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[np.ndarray]:
        """Probabilities at each of `anticipation_times_`, the earliest first.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Yields
        ------
        ndarray of shape (n, C)
        """
        found: Any = None  # (S, n, C)

        def part(output, samples):
            nonlocal found
            # logits (b, S, C) -> probabilities, of each stage beside one another
            proba = torch.softmax(self._scores(output.logits, samples), -1).numpy()
            if found is None:
                _, n_stages, n_classes = proba.shape
                found = np.empty((n_stages, len(X), n_classes), proba.dtype)
            found[:, samples] = proba.swapaxes(0, 1)
            return output.logits[:, :0]

        self._predict(X, part)
        for proba in found:
            yield in_kind(X, proba)

    def stream(self, n_streams: int | None = None) -> Stream:
        """Open a stream, which answers while a video goes on, at one cost a step.

        Parameters
        ----------
        n_streams : int, default=None
            Number of videos that go on side by side; None means one, whose arrays lack
            the axis of videos.

        Returns
        -------
        Stream
            ``update(X)`` reads a step of shape (d,) and gives the probabilities (C,)
            that `predict_proba` gives for all steps so far. `skanticipate.stream` opens
            one of a Pipeline.

        Raises
        ------
        ValueError
            If the network cannot go on from the step before; says why, and which can.
        """
        return Stream(self, n_streams)

    @answers_in_kind
    def feature_map(self, X: ArrayLike) -> np.ndarray:
        """Feature vectors of each clip, by position: what feature losses compare.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Clips of the kind seen in fit.

        Returns
        -------
        ndarray of shape (n, N, d')
            N positions of d' channels; NaN at positions of padding steps. The network
            says what its positions are: steps, or places of a map.

        Raises
        ------
        ValueError
            If the network gives no features.
        """
        maps = self._predict(X, _real_features)
        if maps is None:
            raise ValueError(
                f"A network of {type(self.network_spec_).__name__} gives no features: "
                "return Output(logits, features) to have a map."
            )
        return maps

    @takes_tensors
    def score(
        self, X: ArrayLike, y: Labels, sample_weight: ArrayLike | None = None
    ) -> float:
        """Accuracy over the labelled rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Features observed before the action.
        y : array-like of shape (n,)
            Labels; rows that carry the unlabelled marker are left out: that of `fit`,
            or `unlabeled_label` as it is now, where `fit` had no unlabelled row.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        refuse_masked(sample_weight, "sample_weight", "Give every row a weight.")
        sample_weight = plain_numbers(sample_weight, "sample_weight")
        check_rows_alike(X=X, y=y, sample_weight=sample_weight)
        labelled, y = self._check_labels_like_fit(y, "y")
        if len(y) == 0:
            raise ValueError("y has no labelled rows, so there is nothing to score.")
        warn_of_strangers(y, self.classes_, "y")
        if len(y) < len(labelled):
            rows = np.flatnonzero(labelled)
            X = _safe_indexing(X, rows)
            if sample_weight is not None:
                sample_weight = _safe_indexing(sample_weight, rows)
        return super().score(X, y, sample_weight)

    def _labelled(self, y):
        """Rows of y that have a label.   -> (n,) bool."""
        return self._check_labels_like_fit(y, "y")[0]

    def _proba(self, X, normalize):
        """Normalise scores of the stage that answers.   -> (n, C).

        A batch at a time: the answer may be as large as the memory allows.
        """

        def part(output, samples):
            # logits -> probabilities (b, C)
            return normalize(self._scores(self._answers(output), samples), -1)

        return self._predict(X, part)

    def _tell_proba(self, X, told):
        """Tell `predict_proba` a batch at a time: `told(rows, part)`, a slice, (b, C).

        What is told need not be kept, so that no answer (n, C) is made.
        """

        def part(output, samples):
            proba = torch.softmax(self._scores(self._answers(output), samples), -1)
            told(slice(samples[0], samples[-1] + 1), proba.numpy())
            return proba[:, :0]

        self._predict(X, part)

    def _answers(self, output):
        """Scores of the stage that answers.   -> (B, C)."""
        logits = output.logits
        if logits.shape[1] == 1:  # as mostly
            return logits.squeeze(1)
        return logits[:, self.network_spec_.answering_stage()]

    def _scores(self, scores, samples):
        """Scores (b, ..., C) of some samples as they count, on the CPU."""
        scores = scores.cpu()
        if math.isnan(scores.sum().item()):  # as hardly ever, and quick to tell
            check_no_nan(scores, samples)
        return self._adjusted(scores)

    def _adjusted(self, scores):
        """Scores (..., C) without what the frequency of a class adds to them."""
        if self.logit_adjustment == 0:
            return scores
        frequency = scores.new_tensor(self.class_log_frequency_)  # (C,)
        return scores - self.logit_adjustment * frequency

    def _predict(self, X, part):
        """`part(output, samples)` of the output of all clips.   -> ndarray or None.

        All that torch does has to be done in the region of threads.
        """
        self._warn_of_changes()
        try:
            rows = self._check_like_fit(X, "X")
            if rows.shape[0] > 1:  # to look who waits takes long beside one row
                warn_of_answers(self)
            many, in_file = rows.shape[0] >= N_LEAST, rows.lies_in_file
            if many and (not in_file or is_mapped(rows.base)):
                self.network_spec_._hint_padding(rows, is_new=True)
            with torch_threads(self.n_threads, self.network_):
                network = self._placed_network()
                some = _first_weight(network)
                take = ClipReader(rows, Compute(some.device, some.dtype))
                found = predict_batches(network, take, part)
        except (MemoryError, RuntimeError) as error:
            name_memory_of_answers(error, self, X)
            raise
        return None if found is None else found.numpy()

    def _placed_network(self):
        """The network on the device of predictions."""
        device = resolve_device(self.device)
        if device.type == "cpu":
            return self.network_
        return Blueprint.of(self).load(self.network_.state_dict()).to(device)

    def _warn_of_changes(self):
        """Refuse parameters that cannot be, and warn of those that have no effect."""
        if not hasattr(self, "network_"):
            check_is_fitted(self)
        check_set_after_fit(self)

    def _check_like_fit(self, X, name):
        """Check clips that must look like those of fit.   -> RowView."""
        fitted = (*self.input_shape_[:-1], self.feature_dim_)
        fixed = self.network_spec_.fixed_shape
        rows = check_clips_like(X, fitted, fixed=fixed, name=name, estimator=self)
        if getattr(self.network_spec_, "embedding", None) is not None:
            check_codes(rows)
        return rows

    def _check_validation(self, X_val, y_val):
        rows = self._check_like_fit(X_val, "X_val")
        self.network_spec_._hint_padding(rows, "X_val", is_new=True)
        labelled, labels = self._check_labels_like_fit(y_val, "y_val")
        check_aligned(len(rows), "X_val", X_val=X_val, y_val=y_val)
        codes = np.full(len(rows), -1, dtype=np.intp)
        codes[labelled] = encode(labels, self.classes_, name="y_val", unknown="mark")
        warn_of_strangers(labels, self.classes_, "y_val")
        if (codes < 0).all():
            raise ValueError(
                "y_val has no row whose label is one of the classes "
                f"{self.classes_[:5].tolist()}...: there is nothing to validate on."
            )
        return Samples(rows, codes).select(labelled)

    def _check_labels_like_fit(self, y, name):
        """Which rows have a label (n,) bool, and their labels (m,)."""
        y = check_label_array(y, estimator=self, name=name)
        marker = self.unlabeled_label_
        if marker is None:  # fit may have had no unlabelled row
            marker = self.unlabeled_label
        return labelled_rows(y, marker, self.classes_, estimator=self, name=name)[:2]

    # --------------------------------------------------------------------- state

    def __getstate__(self):
        """State with the weights as arrays, so that it loads on any machine."""
        state = dict(super().__getstate__())
        if "network_" in state:
            weights = state.pop("network_").state_dict()
            state["_weights"] = {name: w.numpy() for name, w in weights.items()}
        return state

    def __setstate__(self, state):
        """Build the network again and give it its weights."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            with torch_threads(None):
                self.network_ = Blueprint.of(self).load(weights)


def _first_weight(module):
    """As `next(module.parameters())`, which takes as long as the product of a row."""
    for weight in module._parameters.values():
        if weight is not None:
            return weight
    for part in module._modules.values():
        if part is not None and (weight := _first_weight(part)) is not None:
            return weight
    return None
