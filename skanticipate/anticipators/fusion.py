"""LateFusion: several anticipators, each of some channels, that answer as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, Self

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from skanticipate.anticipators.joint import JointAnswers
from skanticipate.anticipators.members import (
    aligned_answer,
    check_columns_of_frozen,
    check_labels_alike,
    check_members,
    check_same_channels,
    check_times_alike,
    common_stages,
    fit_member,
    shown_to,
    weights_of_members,
)
from skanticipate.data.labels import check_label_array
from skanticipate.data.leaks import whole_validation
from skanticipate.data.parameters import (
    check_nested,
    check_used,
    keep_of_members,
    warn_of_members,
)
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.validation import (
    check_aligned,
    clip_rows,
)
from skanticipate.estimator.telling import within
from skanticipate.preprocessing.slices import check_channels
from skanticipate.signals.mean import mean_proba


class LateFusion(JointAnswers, _BaseComposition):
    """Several anticipators, each of some channels, that answer with their mean.

    The features of all modalities travel in one array. Each member is fitted on its
    channels of `X_past`, of `X_val` and of `X_future_unlabeled` alike, and is passed
    every other signal that its `fit` names. It is an error if one sees no channel, or
    disagrees with another about classes or about the time at which it answers; what a
    member raises has a note of its name.

    Unlabelled rows are what the anticipators among the members take for them; any other
    classifier, and a Pipeline that ends in one, is fitted on the labelled rows only. Of
    a Pipeline of scikit-learn, the steps before the last transform `X_val` and
    `X_future_unlabeled` too, and its last step is passed the signals.

    Parameters
    ----------
    estimators : list of (name, estimator, (start, stop))
        The members, and the channels that each sees: `start` to `stop` of the last
        axis, where a `stop` of None means the end. A member is a classifier with
        `predict_proba`; it is cloned, unless it is a `FrozenEstimator`. Its parameters
        have its name before them, as in `rgb__lr`; its `random_state` is its own.
    weights : array-like of shape (n_members,), default=None
        Weight of each member in the mean; None means equal ones, and a member of weight
        0 is not asked. Like `combine` it may be changed after `fit`, whose members it
        weighs, whatever `estimators` has become. A Series must name them as the members
        are named, in their order.
    combine : {"proba", "log_proba"}, default="proba"
        Mean of the probabilities, or of their logarithms, normalised again (a
        geometric mean).

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    estimators_ : list
        The fitted members.
    named_estimators_ : Bunch
        The same by name.
    columns_ : dict of str to (start, stop)
        The channels of each.
    anticipation_times_ : ndarray of shape (S,)
        Seconds before the action of each stage, where all members have the same.
    feature_dim_ : int
        Size of the last axis of the clips.
    n_features_in_ : int
        Number of features; of clips (n, d) only.
    feature_names_in_ : ndarray of shape (d,)
        Names of the features, if `X_past` was a table with names, or a list of such.
    unlabeled_label_ : object
        What marked an unlabelled row in `fit`; None where nothing did.

    See Also
    --------
    ModalityAttention : Learned weights, different for each clip.

    Examples
    --------
    Two modalities of 16 and 8 channels:

    >>> from skanticipate import LSTM, LateFusion, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(8, n_steps=4, n_features=24, random_state=0)
    >>> branch = SmoothedAnticipator(LSTM(8), max_epochs=2, random_state=0)
    >>> fusion = LateFusion(
    ...     [("rgb", branch, (0, 16)), ("flow", branch, (16, None))], weights=[2, 1]
    ... )
    >>> fusion.set_params(rgb__network__hidden_size=16).fit(kitchen.X_past, kitchen.y)
    LateFusion(...)
    >>> fusion.predict_proba(kitchen.X_past).shape
    (120, 18)
    """

    _parameter_constraints = {
        "estimators": [list, tuple],
        "weights": ["array-like", None],
        "combine": [StrOptions({"proba", "log_proba"})],
    }

    _used_after_fit = ("weights", "combine")

    def __init__(
        self,
        estimators: Sequence[tuple[str, BaseEstimator, tuple[int, int | None]]],
        *,
        weights: ArrayLike | None = None,
        combine: Literal["proba", "log_proba"] = "proba",
    ) -> None:
        self.estimators = estimators
        self.weights = weights
        self.combine = combine

    def _fit(self, given):
        """Fit every member on its channels."""
        check_members(self.estimators)
        weights_of_members(self.weights, [name for name, _ in self._members])
        self._validate_names([name for name, _ in self._members])
        check_nested(self)
        self._warn_of_new_start()
        X_past, aligned = given.X_past, given.aligned()
        rows = self._check_past(X_past)
        X_val, y_val = whole_validation(given.X_val, given.y_val, len(rows))
        check_aligned(len(rows), X_past=X_past, y=given.y, **aligned)
        check_rows_alike(X_val=X_val, y_val=y_val)
        y = check_label_array(given.y, estimator=self)
        labels = check_labels_alike(self, y)
        self.classes_, self.unlabeled_label_ = labels.classes, labels.marker
        signals = {**aligned, "X_val": X_val, "y_val": y_val}
        signals = {name: own for name, own in signals.items() if own is not None}
        clips = {"X_past": (X_past, rows)}
        for name in [k for k in ("X_future_unlabeled", "X_val") if k in signals]:
            clips[name] = signals[name], self._check_like_fit(signals[name], name)
        self.estimators_, named = [], {}
        for name, estimator, columns in self.estimators:
            seen = {k: shown_to(estimator, *v, columns) for k, v in clips.items()}
            own = seen.pop("X_past")
            with within(f"member {name!r}"):
                member = fit_member(name, estimator, own, y, labels, signals | seen)
            self.estimators_.append(member)
            named[name] = member
            check_times_alike(named)
        keep_of_members(self, self._members)
        self.columns_ = {name: tuple(columns) for name, _, columns in self.estimators}
        self.anticipation_times_ = common_stages(self.estimators_)
        if self.anticipation_times_ is None:
            del self.anticipation_times_

    def _check_past(self, X_past):
        """Check the clips of all members, and that each has some channels of them."""
        rows = clip_rows(X_past, name="X_past", estimator=self, reset=True)
        self.feature_dim_ = rows.shape[-1]
        for name, estimator, columns in self.estimators:
            check_channels(*columns, self.feature_dim_, f"Member {name!r}: ")
            check_columns_of_frozen(name, estimator, X_past, columns)
        return rows

    def _check_like_fit(self, X, name):
        """Check that clips have the channels of those of fit.   -> RowView."""
        rows = clip_rows(X, name=name, estimator=self, reset=False)
        check_same_channels(rows, self.feature_dim_, name)
        return rows

    # ------------------------------------------------------------------ prediction

    def _asked(self):
        """Each member that has a weight, its channels and its weight."""
        check_used(self)
        # Those of the fit: `estimators` may have been set since.
        weights = weights_of_members(self.weights, list(self.columns_))
        channels = self.columns_.values()
        members = zip(self.estimators_, channels, weights, strict=True)
        return [member for member in members if member[-1] != 0]

    def _seen(self, X):
        """Each member that is asked, and what it sees of the clips."""
        check_is_fitted(self)
        warn_of_members(self, self._members, self.named_estimators_)
        rows = self._check_like_fit(X, "X")
        return [
            (member, shown_to(member, X, rows, channels))
            for member, channels, _ in self._asked()
        ]

    def _mean(self, asks):
        """Mean of the answers of those asked.   K functions: (n, C_k) -> (n, C)."""
        members, _, weights = zip(*self._asked(), strict=True)
        aligned = [
            partial(aligned_answer, ask, member, self.classes_)
            for ask, member in zip(asks, members, strict=True)
        ]
        weights = None if self.weights is None else weights
        return mean_proba(aligned, self.combine, weights)

    # ------------------------------------------------------------------ parameters

    @property
    def named_estimators_(self) -> Bunch:
        """The fitted members by name."""
        return Bunch(**dict(zip(self.columns_, self.estimators_, strict=True)))

    @property
    def _members(self):
        """Members as scikit-learn's compositions have them, (name, estimator)."""
        try:
            return [(name, estimator) for name, estimator, _ in self.estimators]
        except (TypeError, ValueError):  # fit will say what is wrong
            return self.estimators

    @_members.setter
    def _members(self, members):
        columns = [(columns,) for _, _, columns in self.estimators]
        pairs = zip(members, columns, strict=True)
        self.estimators = [(*member, *own) for member, own in pairs]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the fusion; if `deep`, those of its members too.   -> dict."""
        return self._get_params("_members", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of members too (`rgb__lr`), or a member (`rgb`).

        An estimator that stands for several members is cloned before one of these gets
        parameters of its own.
        """
        if "estimators" in params:  # before the parameters of its members
            self.estimators = params.pop("estimators")
        given = {key.partition("__")[0] for key in params if "__" in key}
        if given:
            times = Counter(id(member) for _, member in self._members)
            self._members = [
                (name, clone(own) if name in given and times[id(own)] > 1 else own)
                for name, own in self._members
            ]
        return self._set_params("_members", **params)
