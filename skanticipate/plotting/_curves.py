"""Accuracies by anticipation time, from estimators and from predictions."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skanticipate.data.labels import check_label_array, labelled_rows
from skanticipate.data.markers import unlabeled_rows
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.warn import warn
from skanticipate.metrics import top_k_accuracy
from skanticipate.metrics.scorers import marker_of


def by_name(estimators):
    """Estimators by name, a single one by that of its class.   -> dict.

    Raises
    ------
    TypeError
        If this is a list, which may be runs of one model or several models.
    """
    if isinstance(estimators, list | tuple):
        raise TypeError(
            "estimators must be one estimator or a dict of names to estimators, got a "
            f"{type(estimators).__name__}: name them, {{'first': a, 'second': b}}; "
            "where runs of one model are meant, {'model': [a, b]}."
        )
    if hasattr(estimators, "items"):
        return dict(estimators.items())
    return {type(estimators).__name__: estimators}


def curves_of_estimators(estimators, X, y, k):
    """Accuracies by time: name -> list of {seconds: accuracy}, one a run."""
    estimators = by_name(estimators)
    check_rows_alike(X=X, y=y)
    y = check_label_array(y, estimator="AnticipationCurveDisplay")
    runs = {
        name: own if isinstance(own, list | tuple) else [own]
        for name, own in estimators.items()
    }
    rows = rows_of_all([run for own in runs.values() for run in own], y)
    curves = {
        name: [_curve_of_estimator(run, X, y, rows, k, name) for run in own]
        for name, own in runs.items()
    }
    _warn_of_other_ends(runs)
    return curves


def _warn_of_other_ends(runs):
    """Warn of networks that read the same clips and say that these end elsewhere.

    What a Pipeline shows its last step may end earlier.
    """
    ends = {}
    for name, own in runs.items():
        for run in own:
            model = getattr(run, "best_estimator_", run)
            if hasattr(model, "network_spec_"):
                ends[name] = float(min(model.anticipation_times_))
    if len({round(end, 6) for end in ends.values()}) > 1:
        told = ", ".join(f"{name!r} {end:.4g} s" for name, end in ends.items())
        warn(
            "The same clips end at several times before the action, by what their "
            f"networks say: {told}. Accuracies of the same moment then stand at "
            "several times: give all networks the time_step of the clips."
        )


def rows_of_all(estimators, y):
    """Rows that none of the estimators takes for unlabelled.   (n,) -> (n,) bool.

    Scores of some rows do not compare with scores of others: what one marks, another
    would miss.
    """
    rows = np.ones(len(y), dtype=bool)
    for model in estimators:
        marker = marker_of(model)
        marker = "auto" if marker is None else marker
        rows &= ~unlabeled_rows(y, marker, getattr(model, "classes_", None))[1]
    if not rows.any():
        raise ValueError("y has no labelled rows, so there is nothing to score.")
    return rows


def _curve_of_estimator(estimator, X, y, rows, k, name):
    check_is_fitted(estimator)
    model, X = _with_stages(estimator, X)
    if not hasattr(model, "staged_predict_proba") or not hasattr(
        model, "anticipation_times_"
    ):
        raise TypeError(
            f"{name!r} is a {type(model).__name__} and has no staged_predict_proba at "
            "anticipation_times_: pass anticipators, or predictions to "
            "from_predictions."
        )
    times = model.anticipation_times_
    if np.isnan(times).any():
        raise ValueError(
            f"The network of {name!r} has no anticipation times: use one that reads "
            "sequences, such as LSTM, or name the times in from_predictions."
        )
    _, labels, _ = labelled_rows(
        y[rows], None, model.classes_, estimator="AnticipationCurveDisplay"
    )
    staged = (proba[rows] for proba in model.staged_predict_proba(X))
    return curve(labels, staged, times, k, model.classes_, name)


def _with_stages(estimator, X):
    """The anticipator inside a pipeline or a search, and what it is shown of X."""
    if hasattr(estimator, "best_estimator_"):
        return _with_stages(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        return _with_stages(estimator[-1], X)
    return estimator, X


def curve(y_true, staged_scores, anticipation_times, k, classes, name):
    """Accuracy at each time.   -> {seconds: accuracy}."""
    accuracies = [
        accuracy(y_true, scores, k, classes, name) for scores in staged_scores
    ]
    # equal times of different steps must be equal numbers: 3 * 0.1 is not 0.3
    times = np.round(np.asarray(anticipation_times, dtype=float), 6)
    if times.shape != (len(accuracies),):
        raise ValueError(
            f"{name!r} has {len(accuracies)} stages but anticipation_times has shape "
            f"{times.shape}: give one time for each stage."
        )
    if (
        len(np.unique(times)) < len(times)
        or not (np.isfinite(times) & (times >= 0)).all()
    ):
        raise ValueError(
            "anticipation_times must be distinct, finite seconds before the action, "
            f"not below 0, got {times.tolist()}."
        )
    return dict(zip(times.tolist(), accuracies, strict=True))


def accuracy(y_true, scores, k, classes, name):
    """Accuracy of the scores of one stage.   (n,), (n, C) -> float."""
    if np.ndim(scores) != 2:
        raise ValueError(
            f"A stage of {name!r} has scores of shape {np.shape(scores)}: expected "
            "(n, C). Give a list of runs, each of them a list of such stages; a "
            f"single run is a list of one, {{{name!r}: [stages]}}."
        )
    return top_k_accuracy(y_true, scores, k=k, classes=classes)


def by_time(curves):
    """Scores on one grid of times, the longest first.   name -> (S, R), (S,)."""
    scores, times = on_one_grid(curves, "AnticipationCurveDisplay")
    return {name: rows[::-1] for name, rows in scores.items()}, times[::-1]


def on_one_grid(curves, display):
    """Scores on one grid of places, ascending, and the grid.   name -> (S, R), (S,)."""
    empty = [name for name, runs in curves.items() if not runs]
    if empty or not curves:
        raise ValueError(
            f"{display} needs at least one estimator"
            + (f", and {empty[0]!r} has an empty list." if empty else ", got none.")
        )
    places = sorted({at for runs in curves.values() for run in runs for at in run})
    scores = {
        name: np.array([[run.get(at, np.nan) for run in runs] for at in places])
        for name, runs in curves.items()
    }
    return scores, np.array(places)
