"""What several fitted members answer as one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Labels
from skanticipate.data.masked import refuse_masked
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import (
    answers_in_kind,
    in_kind,
    plain_numbers,
    takes_tensors,
    without_tensor,
)
from skanticipate.data.warn import warn
from skanticipate.estimator.given import FitMixin
from skanticipate.estimator.saving import SaveMixin
from skanticipate.estimator.unaware import warn_if_scored
from skanticipate.metrics import labelled_scorer
from skanticipate.signals.asking import split_transforms
from skanticipate.signals.mean import answer_of


class JointAnswers(FitMixin, SaveMixin, ClassifierMixin):
    """An estimator whose members answer together.

    It fits them in `_fit`, says whom it asks about clips, and what, in `_seen`, and
    makes one answer of theirs, whom it asks one after another, in `_mean`.
    """

    classes_: np.ndarray

    def _warn_of_new_start(self):
        """Warn in a second fit of members that would go on: clones of them begin."""
        inside = nested_estimators(self)
        going_on = (part for part in inside if getattr(part, "warm_start", False))
        part = next(going_on, None)
        if part is not None and hasattr(self, "classes_"):
            warn(
                f"{type(part).__name__} has warm_start=True, but its fit does not go "
                f"on: {type(self).__name__} fits clones, anew each time. Raise its "
                "epochs instead, or fit the members alone and pass "
                "FrozenEstimator(member) to a LateFusion."
            )

    @takes_tensors
    def predict(self, X: ArrayLike) -> np.ndarray:
        """Most probable label of each clip.   (n, ..., d) -> (n,)."""
        columns = self.predict_proba(X).argmax(axis=1)
        return self.classes_[columns]

    @answers_in_kind
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Mean of the members' probabilities of each class.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action, with the channels of `fit`.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of `classes_`.

        Raises
        ------
        ValueError
            If the clips are not of the kind seen in fit, here and in all that predicts.
        """
        seen = self._seen(X)
        warn_if_scored(self.classes_)  # members of other libraries do not say so
        return self._mean([partial(answer_of, asked, clips) for asked, clips in seen])

    @answers_in_kind
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of `predict_proba`.   (n, ..., d) -> (n, C)."""
        answer = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(answer, out=answer)  # as large as memory may hold once

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[np.ndarray]:
        """Probabilities at each of `anticipation_times_`, the earliest first.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action, with the channels of `fit`.

        Returns
        -------
        iterator of ndarray of shape (n, C)

        Raises
        ------
        ValueError
            If the members have no stages at the same times.
        """
        check_is_fitted(self)
        if not hasattr(self, "anticipation_times_"):
            raise ValueError(
                f"The members of this {type(self).__name__} have no stages at the same "
                "times: give all of them networks of the same time_step and "
                "anticipation_steps."
            )
        stages = []
        for member, clips in self._seen(without_tensor(X, "X")):
            transforms, last = split_transforms(member)
            seen = clips if transforms is None else transforms.transform(clips)
            stages.append(last.staged_predict_proba(seen))
        asks = [partial(next, stage) for stage in stages]
        return (in_kind(X, self._mean(asks)) for _ in self.anticipation_times_)

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
            Labels; unlabelled rows are left out, as by `metrics.labelled_scorer`.
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
        score = labelled_scorer("accuracy")(self, X, y, sample_weight=sample_weight)
        if np.isnan(score):
            raise ValueError("y has no labelled rows, so there is nothing to score.")
        return score

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True  # clips may have three axes
        return tags
