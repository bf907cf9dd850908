"""Scorers for searches and cross-validation that read `estimator.classes_`.

scikit-learn's own ranking scorers fail in a fold that lacks a class or holds an
unlabelled row; on long-tailed, partly labelled data that is nearly every fold.
"""

from numbers import Integral

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_scalar

from skanticipate._actions import as_list
from skanticipate._validation import unlabeled_mask
from skanticipate.metrics.scores import (
    label_mask,
    mean_top_k_recall_score,
    top_k_accuracy,
)


def top_k_scorer(k=5):
    """Scorer of top-k accuracy on the labelled rows.

    Parameters
    ----------
    k : int, default=5

    Returns
    -------
    scorer : callable `(estimator, X, y) -> float`
        For `scoring=`. Takes any classifier with `predict_proba` or
        `decision_function`. Rows that the estimator reads as unlabelled (its
        `unlabeled_label_`, or that of the classifier inside a pipeline, a search,
        a calibration or another wrapper) are left out, and so is the column of that
        marker, should a wrapper have one; NaN if no row remains. A label that the
        estimator does not know is a miss.

    Raises
    ------
    ValueError, TypeError
        If `k` is below 1 or no integer. The scorer raises a TypeError for an
        estimator that has neither `predict_proba` nor `decision_function`.

    See Also
    --------
    skanticipate.metrics.top_k_accuracy : The function behind it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from skanticipate.metrics import top_k_scorer
    >>> model = LogisticRegression(max_iter=500)
    >>> cross_val_score(model, *load_iris(return_X_y=True), scoring=top_k_scorer(2))
    array([1., 1., 1., 1., 1.])
    """
    return _RankingScorer(k)


def mean_top_k_recall_scorer(k=5, labels=None):
    """Scorer of class-mean top-k recall on the labelled rows.

    Parameters
    ----------
    k : int, default=5
    labels : array-like, default=None
        Average over these classes only, for instance the tail.

    Returns
    -------
    scorer : callable `(estimator, X, y) -> float`
        As that of `top_k_scorer`. The mean is over the classes that occur in the fold;
        NaN if no labelled row (of `labels`) is in it. A search ranks a parameter set
        whose mean score is NaN last, so let the splitter put some in each test fold.

    Raises
    ------
    ValueError, TypeError
        As `top_k_scorer`.

    See Also
    --------
    skanticipate.metrics.mean_top_k_recall_score : The function behind it.

    Examples
    --------
    >>> from skanticipate.metrics import mean_top_k_recall_scorer
    >>> mean_top_k_recall_scorer(k=5, labels=[7, 9])
    mean_top_k_recall_scorer(k=5, labels=<2 labels>)
    """
    return _ClassMeanScorer(k, labels)


class _RankingScorer:
    """A class instead of a closure, so that it pickles into worker processes."""

    def __init__(self, k):
        check_scalar(k, "k", Integral, min_val=1)
        self.k = k

    def __call__(self, estimator, X, y):
        marker = next((m for m in _markers(estimator) if m is not None), None)
        rows = np.flatnonzero(self._is_scored(y, marker))
        if rows.size == 0:
            return float("nan")
        if rows.size < len(y):
            X, y = _safe_indexing(X, rows), _safe_indexing(y, rows)
        scores, classes = _class_scores(estimator, X), estimator.classes_
        unlabeled = unlabeled_mask(classes, marker)
        if unlabeled.any():  # a wrapper takes the marker for a class of its own
            scores, classes = scores[:, ~unlabeled], classes[~unlabeled]
        return self._score(y, scores, classes)

    def _is_scored(self, y, marker):
        return ~unlabeled_mask(y, marker)

    def _score(self, y, scores, classes):
        return top_k_accuracy(y, scores, k=self.k, classes=classes)

    def __repr__(self):
        return f"top_k_scorer(k={self.k})"


class _ClassMeanScorer(_RankingScorer):
    def __init__(self, k, labels):
        super().__init__(k)
        self.labels = None if labels is None else as_list(labels)

    def _is_scored(self, y, marker):
        labelled = super()._is_scored(y, marker)
        # Rows of other classes do not enter the mean, so they need no prediction.
        return (
            labelled if self.labels is None else labelled & label_mask(y, self.labels)
        )

    def _score(self, y, scores, classes):
        return mean_top_k_recall_score(y, scores, k=self.k, classes=classes)

    def __repr__(self):
        labels = "" if self.labels is None else f", labels=<{len(self.labels)} labels>"
        return f"mean_top_k_recall_scorer(k={self.k}{labels})"


def _markers(estimator):
    """Yield what marks an unlabelled row for the classifiers inside an estimator."""
    if hasattr(estimator, "unlabeled_label_"):
        yield estimator.unlabeled_label_
        return
    for inner in _inside(estimator):
        yield from _markers(inner)


def _inside(estimator):
    """Fitted classifiers that a pipeline, a search or another wrapper asks."""
    if isinstance(estimator, Pipeline):
        return [estimator[-1]]
    # All of them: a fold without unlabelled rows teaches its classifier no marker.
    if hasattr(estimator, "calibrated_classifiers_"):
        return [fold.estimator for fold in estimator.calibrated_classifiers_]
    for name in ("best_estimator_", "estimator_", "estimator"):
        if hasattr(estimator, name):
            return [getattr(estimator, name)]
    return []


def _class_scores(estimator, X):
    """Scores of the rows of X in the order of `estimator.classes_`.   (n, C)."""
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(X))
    if not hasattr(estimator, "decision_function"):
        raise TypeError(
            f"{type(estimator).__name__} has neither predict_proba nor "
            "decision_function: a ranking of classes needs scores for all of them."
        )
    scores = np.asarray(estimator.decision_function(X))
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
