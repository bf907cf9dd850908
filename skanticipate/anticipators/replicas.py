"""ReplicaEnsemble: one estimator, fitted from several seeds, that answers as one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Seed
from skanticipate.anticipators.joint import JointAnswers
from skanticipate.anticipators.members import (
    aligned_answer,
    common_stages,
    reads_unlabelled,
)
from skanticipate.data.axes import check_axes
from skanticipate.data.labels import (
    check_label_array,
    hint_labels,
    labelled_rows,
    refuse_unlabelled,
)
from skanticipate.data.leaves import first_table
from skanticipate.data.names import check_columns_alike, column_names
from skanticipate.data.numbers import N_JOBS, SIZE
from skanticipate.data.parameters import (
    check_nested,
    check_used,
    keep_of_members,
    nested_estimators,
    warn_of_members,
)
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.warn import warn
from skanticipate.estimator.unaware import warn_of_labels_of_wrappers
from skanticipate.estimator.wanted import fit_many
from skanticipate.signals.asking import last_step
from skanticipate.signals.mean import mean_proba

_OF_A_REPLICA = ("feature_dim_", "n_features_in_", "feature_names_in_")


class ReplicaEnsemble(MetaEstimatorMixin, JointAnswers, BaseEstimator):
    """Replicas of one estimator, each from another seed, that answer with their mean.

    A network that is trained from another start, in another order, errs elsewhere; the
    mean of a few is more accurate and less sure of what is wrong. Replicas are fitted
    by `fit_many`: together where their network stacks, and with one teacher among them
    where they ask it alike.

    Parameters
    ----------
    estimator : estimator
        An anticipator, a Pipeline, search or fusion of such, or another classifier with
        `predict_proba`; it is cloned, and must have a `random_state`, or replicas would
        be alike. All that `fit` is given is passed on to each replica; unlabelled rows
        too, unless there is no anticipator in it that would know them: then only the
        labelled rows are.
    n_replicas : int, default=8
        Number of replicas. The first ones of a larger ensemble are those of a smaller
        one with the same seed.
    combine : {"proba", "log_proba"}, default="proba"
        Mean of the probabilities, or of their logarithms, normalised again (a geometric
        mean). It may be changed after `fit`.
    random_state : int, RandomState instance or None, default=None
        From it come the seeds of the replicas, which take the place of the estimator's
        `random_state`; where it has none, as a Pipeline, of that of each of its parts,
        and where it is a search, whose own draws settings, of that of both.
        Seeds within an anticipator stay: a teacher that has one of its own is the same
        for all replicas, and is fitted once; one that has none is another for each.
    n_jobs : int, default=None
        Processes, as in joblib; None means one.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    estimators_ : list
        The fitted replicas.
    anticipation_times_ : ndarray of shape (S,)
        Seconds before the action of each stage, where the replicas have stages.
    feature_dim_ : int
        Size of the last axis of the clips, of replicas that tell it.
    n_features_in_ : int
        Number of features; of clips (n, d) only.
    feature_names_in_ : ndarray of shape (d,)
        Names of the features, if `X_past` was a table with names, or a list of such.
    unlabeled_label_ : object
        What marked an unlabelled row in `fit`; None where nothing did.

    See Also
    --------
    LateFusion : The mean of estimators that are not alike.
    TeacherEnsemble : Several teachers that answer as one.
    fit_many : Many fits as one computation.

    Notes
    -----
    An ensemble has no feature map and no weights to start from: as a `teacher` it
    teaches by its soft targets.

    Examples
    --------
    >>> from skanticipate import MLP, ReplicaEnsemble, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> model = SmoothedAnticipator(MLP(16), max_epochs=5)
    >>> ensemble = ReplicaEnsemble(model, n_replicas=3, random_state=0)
    >>> ensemble.set_params(estimator__lr=0.01).fit(kitchen.X_past, kitchen.y)
    ReplicaEnsemble(...)
    >>> ensemble.predict_proba(kitchen.X_past).shape, len(ensemble.estimators_)
    ((600, 20), 3)
    """

    estimators_: list[BaseEstimator]

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "n_replicas": [SIZE],
        "combine": [StrOptions({"proba", "log_proba"})],
        "random_state": ["random_state"],
        "n_jobs": [N_JOBS, None],
    }

    _used_after_fit = ("combine",)

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        n_replicas: int = 8,
        combine: Literal["proba", "log_proba"] = "proba",
        random_state: Seed | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_replicas = n_replicas
        self.combine = combine
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, given):
        """Fit every replica on the same rows."""
        check_nested(self)
        self._warn_of_new_start()
        replicas = self._replicas()
        X_past, signals = given.X_past, given.aligned()
        check_rows_alike(X_past=X_past, y=given.y, **signals)  # labels may lose names
        y, train, marker = self._labelled(given.y)
        self.estimators_ = fit_many(
            replicas,
            X_past,
            y,
            **signals,
            X_val=given.X_val,
            y_val=given.y_val,
            train=None if train is None else [train] * len(replicas),
            n_jobs=self.n_jobs,
        )
        keep_of_members(self, self._members)
        self._columns = column_names(first_table(X_past))
        check_axes(X_past, name="X_past", estimator=self, reset=True)
        first = self.estimators_[0]
        self.classes_ = first.classes_
        self.unlabeled_label_ = getattr(last_step(first), "unlabeled_label_", marker)
        told = {name: getattr(first, name, None) for name in _OF_A_REPLICA}
        told["anticipation_times_"] = common_stages(self.estimators_)
        for name, value in told.items():
            setattr(self, name, value)
            if value is None:  # and not that of an earlier fit either
                delattr(self, name)

    def _replicas(self):
        """The estimator with each of the seeds."""
        names = seeds_within(self.estimator)
        if not names:
            raise ValueError(
                f"{type(self.estimator).__name__} has no random_state, so that its "
                "replicas would be alike: fit it alone."
            )
        _warn_of_searched_seeds(self.estimator, names)
        random_state = check_random_state(self.random_state)
        size = (int(self.n_replicas), len(names))
        seeds = random_state.randint(np.iinfo(np.int32).max, size=size).tolist()
        return [
            clone(self.estimator).set_params(**dict(zip(names, own, strict=True)))
            for own in seeds
        ]

    def _labelled(self, y):
        """Labels, and rows for replicas that would take the marker for a class.

        -> y, ndarray of int or None for all rows, marker
        """
        inside = [self.estimator, *nested_estimators(self.estimator)]
        if any(map(reads_unlabelled, inside)):
            return y, None, None
        warn_of_labels_of_wrappers()
        given = check_label_array(y, estimator=self)
        labelled, labels, marker = labelled_rows(given, "auto", estimator=self)
        hint_labels(labels)
        if labelled.all():
            return y, None, None
        if not len(labels):
            refuse_unlabelled(given, marker)
        known = np.empty(len(given), dtype=labels.dtype)
        known[labelled] = labels
        return known, np.flatnonzero(labelled), marker

    def _seen(self, X):
        """Each replica, and what it sees."""
        check_is_fitted(self)
        check_used(self)
        warn_of_members(self, self._members, [("estimator", self.estimators_[0])])
        # Replicas compare texts, those of others nothing else. Older files have none.
        columns = getattr(self, "_columns", None) or ()
        if not all(isinstance(column, str) for column in columns):
            check_columns_alike(first_table(X), columns, name="X")
        check_axes(X, name="X", estimator=self, reset=False)
        return [(replica, X) for replica in self.estimators_]

    def _mean(self, asks):
        """Mean of the answers of all.   K functions: (n, C) -> (n, C)."""
        aligned = [
            partial(aligned_answer, ask, replica, self.classes_)
            for ask, replica in zip(asks, self.estimators_, strict=True)
        ]
        return mean_proba(aligned, self.combine)

    @property
    def _members(self):
        """Whose labels these are, for a fusion that the ensemble stands in."""
        return [("estimator", self.estimator)]


def _warn_of_searched_seeds(estimator, names):
    """Warn of a search that tries seeds, in place of all that replicas differ in."""
    grids = getattr(estimator, "param_grid", None)
    if not isinstance(estimator, BaseSearchCV) or grids is None:
        return
    grids = [grids] if isinstance(grids, Mapping) else grids
    searched = [{f"estimator__{name}" for name in grid} for grid in grids]
    if all(own.issuperset(names) for own in searched):
        warn(
            f"{type(estimator).__name__} tries seeds of its own, {names[0]} among them,"
            " so that it will find the same for each replica, and the mean of all is "
            "one of them: leave random_state out of param_grid."
        )


def seeds_within(estimator):
    """Names of the parameters that seed an estimator.   -> list of str.

    Its own, or where it has none those of its parts. That of a search draws settings,
    and nothing of what it fits: those of its parts count beside it.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skanticipate import SmoothedAnticipator
    >>> seeds_within(make_pipeline(StandardScaler(), PCA(), SmoothedAnticipator()))
    ['pca__random_state', 'smoothedanticipator__random_state']
    """
    if isinstance(estimator, FrozenEstimator):  # which is not fitted again
        return []
    own = ["random_state"] if "random_state" in estimator.get_params(deep=False) else []
    if own and not isinstance(estimator, BaseSearchCV):
        return own
    return own + [
        f"{name}__{seed}"
        for name, part in estimator.get_params().items()
        if "__" not in name and isinstance(part, BaseEstimator)
        for seed in seeds_within(part)
    ]
