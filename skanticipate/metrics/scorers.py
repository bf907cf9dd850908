"""Scorers for searches and cross-validation of partly labelled, long-tailed data.

scikit-learn's own scorers take an unlabelled row for a wrong answer, and its ranking
scorers fail in a fold that lacks a class; on such data that is nearly every fold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.metrics._scorer import _BaseScorer
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, column_or_1d
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import _check_method_params

from skanticipate._typing import Labels, Scorer
from skanticipate.data.labels import warn_of_strangers
from skanticipate.data.markers import unlabeled_mask
from skanticipate.data.missing import (
    as_column,
    as_list,
    check_same_kind,
    label_codes,
    label_list,
    label_mask,
    missing_mask,
    of_one_kind,
)
from skanticipate.data.names import check_label_names
from skanticipate.data.numbers import check_count
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import takes_tensors
from skanticipate.metrics.hits import warn_of_other_labels
from skanticipate.metrics.scores import (
    mean_top_k_recall_score,
    top_k_accuracy,
)


def labelled_scorer(scoring: str | Scorer) -> _LabelledScorer:
    """Scorer that leaves unlabelled rows out, then scores as another does.

    Which rows those are the fitted estimator says, never the fold: the ones with its
    `unlabeled_label_`, or that of the classifier inside a pipeline, a search, a
    calibration or another wrapper; and rows whose label is missing (None, NaN, NA, "",
    "nan") or -1, unless that is one of its `classes_`.

    Parameters
    ----------
    scoring : str or callable
        A name that scikit-learn knows, such as "accuracy" or "neg_log_loss"; a scorer,
        such as `make_scorer` builds; or any `(estimator, X, y) -> float`.

    Returns
    -------
    scorer : callable `(estimator, X, y) -> float`
        For `scoring=`; NaN if no row is labelled, else what `scoring` says of the
        labelled rows, errors included. `sample_weight` and other metadata with an entry
        for each row are cut with the rows. Metadata requests of `scoring` are kept, and
        `set_score_request` adds others.

    Raises
    ------
    ValueError, TypeError
        If `scoring` is an unknown name, a metric instead of a scorer, or several names.
        The scorer raises a ValueError for labels that the estimator does not know, if a
        metric of scikit-learn compares probabilities or other scores of classes.

    Examples
    --------
    Of these four clips two are labelled:

    >>> import numpy as np
    >>> from skanticipate import SmoothedAnticipator
    >>> from skanticipate.metrics import labelled_scorer
    >>> X, y = np.eye(4), np.array([0, 1, -1, -1])
    >>> model = SmoothedAnticipator(lr=0.1, random_state=0).fit(X[:2], y[:2])
    >>> labelled_scorer("accuracy")(model, X, y)
    1.0

    Several scores of a search:

    >>> names = ["accuracy", "neg_log_loss"]
    >>> {name: labelled_scorer(name) for name in names}["accuracy"]
    labelled_scorer('accuracy')
    """
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            "scoring must be the name of a scorer, a scorer or a callable (estimator, "
            f"X, y), got {scoring!r}. For several scores: {{name: "
            "labelled_scorer(name) for name in names}."
        )
    scorer = check_scoring(scoring=scoring)
    return _LabelledScorer(scorer, f"labelled_scorer({scoring!r})")


def top_k_scorer(k: int = 5) -> _LabelledScorer:
    """Scorer of top-k accuracy on the labelled rows.

    Parameters
    ----------
    k : int, default=5
        How many classes an answer may name.

    Returns
    -------
    scorer : callable `(estimator, X, y) -> float`
        For `scoring=`. Takes any classifier with `predict_proba` or
        `decision_function`. Unlabelled rows are left out as `labelled_scorer` does
        it, and so is the column of their marker, should a wrapper have one; NaN if no
        row remains. Any other label that the estimator does not know is a miss.

    Raises
    ------
    ValueError, TypeError
        If `k` is below 1 or no integer. The scorer raises a TypeError for an
        estimator that has neither `predict_proba` nor `decision_function`.

    See Also
    --------
    skanticipate.metrics.top_k_accuracy : The function behind it.
    labelled_scorer : Any other scorer, on the labelled rows.

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
    return _LabelledScorer(_Ranking(top_k_accuracy, k), f"top_k_scorer(k={k})")


def mean_top_k_recall_scorer(
    k: int = 5, labels: Labels | None = None
) -> _LabelledScorer:
    """Scorer of class-mean top-k recall on the labelled rows.

    Parameters
    ----------
    k : int, default=5
        How many classes an answer may name.
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
    ranking = _Ranking(mean_top_k_recall_score, k, labels)
    text = "" if labels is None else f", labels=<{len(ranking.labels)} labels>"
    return _LabelledScorer(ranking, f"mean_top_k_recall_scorer(k={k}{text})")


class _LabelledScorer(_BaseScorer):
    """Cuts unlabelled rows off, then asks a scorer.

    One of scikit-learn's own kind, because its callbacks and searches ask a scorer for
    more than a call. What they ask of the scorer inside, they get from this one.
    """

    def __init__(self, scorer, text):
        if isinstance(scorer, _BaseScorer):
            vars(self).update(vars(scorer))
        else:
            super().__init__(scorer, 1, {}, "predict")
            self._metadata_request = get_routing_for_object(scorer)
        self._scorer = scorer
        self.__name__ = text  # displays ask for it

    @takes_tensors
    def __call__(
        self, estimator: BaseEstimator, X: ArrayLike, y_true: Labels, **metadata: object
    ) -> float:
        check_rows_alike(X=X, y_true=y_true, **metadata)
        y = column_or_1d(as_column(y_true))
        rows = np.flatnonzero(~_unlabelled(estimator, y))
        if rows.size == 0:
            return float("nan")
        if rows.size < len(y):
            metadata = _check_method_params(X, metadata, indices=rows)
            X, y = _safe_indexing(X, rows), y[rows]
        y = of_one_kind(y)
        _refuse_unknown(self, estimator, y)
        known = getattr(estimator, "classes_", None)
        if known is not None and not isinstance(self._scorer, _Ranking):  # which tells
            warn_of_strangers(y, known, "y")
        return self._scorer(estimator, X, y, **metadata)

    def _score(self, method_caller, estimator, X, y_true, **metadata):
        # Not through method_caller: its answers are for all rows.
        return self(estimator, X, y_true, **metadata)

    def __repr__(self):
        return self.__name__


class _Ranking:
    """A class instead of a closure, so that it pickles into worker processes."""

    def __init__(self, metric, k, labels=None):
        check_count(k, "k")
        self.metric = metric
        self.k = k
        if labels is not None:
            labels = label_list(labels, "labels", ordered=False)
        self.labels = labels

    @takes_tensors
    def __call__(self, estimator, X, y):
        if self.labels is not None:
            check_same_kind(self.labels, y, "labels", "y")
            # Rows of other classes do not enter the mean, so they need no prediction.
            warn_of_other_labels(self.labels, y)
            rows = np.flatnonzero(label_mask(y, self.labels))
            if rows.size == 0:
                return float("nan")
            X, y = _safe_indexing(X, rows), y[rows]
        scores, classes = _class_scores(estimator, X), estimator.classes_
        marked = unlabeled_mask(classes, marker_of(estimator))
        if marked.any():  # a wrapper takes the marker for a class of its own
            scores, classes = scores[:, ~marked], classes[~marked]
        return self.metric(y, scores, k=self.k, classes=classes)


def metric_of_all_rows(scorer):
    """Metric of scikit-learn that is asked about unlabelled rows too, or None."""
    return None if isinstance(scorer, _LabelledScorer) else _metric_of(scorer)


def _metric_of(scorer):
    """Metric of scikit-learn that a scorer asks, or None."""
    metric = getattr(scorer, "_score_func", None)
    ours = str(getattr(metric, "__module__", "")).partition(".")[0] == "sklearn"
    return metric if ours else None


def _refuse_unknown(scorer, estimator, y):
    """Refuse labels that an estimator does not know, if its scores are compared.

    The metrics of scikit-learn are not told whose the columns are: they take the labels
    of the rows, in sorted order, which may be as many.
    """
    metric, known = _metric_of(scorer), getattr(estimator, "classes_", None)
    if metric is None or known is None or scorer._response_method == "predict":
        return
    unknown = label_codes(y, known) < 0
    if unknown.any():
        raise ValueError(
            f"{metric.__name__} compares scores of classes, and takes those of the "
            f"rows for all there are, but y holds {y[unknown].tolist()[0]!r}, which "
            f"{type(estimator).__name__} does not know: give it all labels as "
            "classes=, and the metric too, as make_scorer(..., labels=) does; or use "
            "top_k_scorer, for which such a row is a miss."
        )


def _unlabelled(estimator, y):
    """Rows that an estimator knows to have no label.   (n,) -> (n,) bool.

    Those with its marker; and a missing label or -1, unless that is a class of its.
    """
    marked = unlabeled_mask(y, marker_of(estimator))
    if not hasattr(estimator, "classes_"):
        return marked
    return marked | missing_mask(y) & (label_codes(y, estimator.classes_) < 0)


def marker_of(estimator):
    """What marked an unlabelled row for a fitted estimator; None where nothing did."""
    return next((m for m in _markers(estimator) if m is not None), None)


def _markers(estimator):
    """Yield what marks an unlabelled row for the classifiers inside an estimator."""
    if hasattr(estimator, "unlabeled_label_"):
        yield estimator.unlabeled_label_
        return
    for inner in _inside(estimator):
        yield from _markers(inner)


def _inside(estimator):
    """Fitted classifiers that were shown the labels which an estimator was shown.

    Of a wrapper that nobody knows these are parts with its classes.
    """
    if isinstance(estimator, Pipeline):
        return [estimator[-1]]
    # All of them: a fold without unlabelled rows teaches its classifier no marker.
    if hasattr(estimator, "calibrated_classifiers_"):
        return [fold.estimator for fold in estimator.calibrated_classifiers_]
    if hasattr(estimator, "estimators_"):
        return []  # bagging, voting, stacking, one-vs-rest: members see codes
    for name in ("best_estimator_", "estimator_", "estimator"):
        if hasattr(getattr(estimator, name, None), "classes_"):
            return [getattr(estimator, name)]
    parts = vars(estimator).values() if hasattr(estimator, "classes_") else ()
    return [part for part in parts if _has_classes(part, estimator.classes_)]


def _has_classes(part, classes):
    """Whether a part of an estimator is a classifier of the same classes."""
    known = getattr(part, "classes_", None)
    return isinstance(known, np.ndarray) and np.array_equal(known, classes)


def _class_scores(estimator, X):
    """Scores of the rows of X in the order of `estimator.classes_`.   (n, C)."""
    if hasattr(estimator, "predict_proba"):
        proba = estimator.predict_proba(X)
        check_label_names(proba, as_list(estimator.classes_), name="predict_proba")
        return np.asarray(proba)
    if not hasattr(estimator, "decision_function"):
        raise TypeError(
            f"{type(estimator).__name__} has neither predict_proba nor "
            "decision_function: a ranking of classes needs scores for all of them."
        )
    if len(estimator.classes_) > 2 and _scores_pairs(estimator):
        raise ValueError(
            "decision_function_shape='ovo' gives scores of pairs of classes, and a "
            "ranking needs one of each class: set it to 'ovr'."
        )
    scores = np.asarray(estimator.decision_function(X))
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def _scores_pairs(estimator):
    """Whether `decision_function` of a support vector machine is about pairs."""
    own = getattr(estimator, "decision_function_shape", None)
    return own == "ovo" or any(map(_scores_pairs, _inside(estimator)))
