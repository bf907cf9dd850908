"""Whether those who wait for a fit, or a prediction, know of rows without a label.

Meta-estimators of scikit-learn take the marker of such rows for a class, and its
scorers take the rows for wrong answers. Whom they call can find them, and says so.
"""

from inspect import unwrap

import numpy as np
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing, get_tags

from skanticipate.data.labels import hint_labels
from skanticipate.data.markers import unlabeled_mask, unlabeled_rows
from skanticipate.data.missing import as_column, label_codes, missing_label_mask
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.warn import callers, warn
from skanticipate.metrics.scorers import metric_of_all_rows

_WITH_CLASSES = frozenset(
    f"sklearn.{name}"
    for name in (
        *("ensemble._voting", "ensemble._stacking", "ensemble._bagging"),
        *("multiclass", "calibration"),
    )
)
_BOOSTING = "sklearn.ensemble._weight_boosting", "fit"
_FITS_STEPS = "sklearn.pipeline", "fit"
_PREDICTS_FOLDS = "sklearn.model_selection._validation", "cross_val_predict"
_OF_A_FOLD = {"scorer", "y", "test"}  # what a function knows that scores a fold


def warn_if_class(unlabeled_label):
    """Warn if a wrapper around this fit, or prediction, takes the marker for a label.

    Parameters
    ----------
    unlabeled_label : object
        The parameter of the estimator that fits or predicts.
    """
    if unlabeled_label is None:
        return
    for who, labels in _labels_of_wrappers():
        marker, marked = unlabeled_rows(labels, unlabeled_label)
        if marked.any():
            warn(
                f"{who} takes {marker!r}, which marks rows without a label, for a "
                f"label like any other: leave these rows out of what {who} is given, "
                "or use LateFusion or ReplicaEnsemble, which know them. Set "
                "unlabeled_label=None if it is a class."
            )
            return


def hint_labels_of_wrappers():
    """Say of the labels that a wrapper has what a fit says that is shown them.

    It may be shown their numbers, in which nothing is to be seen.
    """
    for who, labels in _labels_of_wrappers():
        missing = missing_label_mask(labels)
        if missing.any():
            warn(
                f"{who} takes {labels[missing].tolist()[0]!r}, a missing label, for a "
                "label like any other: leave these rows out of what it is given."
            )
        hint_labels(labels[~missing])
        return


def _labels_of_wrappers():
    """Yield name and labels of each wrapper that waits, the innermost first."""
    for frame in callers():
        module = frame.f_globals.get("__name__", "")
        place = module, frame.f_code.co_name
        if place == _PREDICTS_FOLDS:
            who, labels = place[1], _classes(frame.f_locals.get("le"))
        elif place == _BOOSTING:
            own = frame.f_locals
            who, labels = type(own.get("self")).__name__, as_column(own.get("y"))
        elif module in _WITH_CLASSES:
            wrapper = frame.f_locals.get("self")
            who, labels = type(wrapper).__name__, _classes(wrapper)
        else:
            continue
        if isinstance(labels, np.ndarray) and labels.ndim == 1:
            yield who, labels


def _classes(wrapper):
    return getattr(wrapper, "classes_", None)


def warn_of_steps(marker):
    """Warn if a step of a Pipeline around this fit has learned the marker as a label.

    Parameters
    ----------
    marker : object
        What marks a row without a label; None where nothing does.
    """
    if marker is None:
        return
    for frame in callers():
        place = frame.f_globals.get("__name__"), frame.f_code.co_name
        if place == _FITS_STEPS:
            for name, step in frame.f_locals["self"].steps[:-1]:
                if _learns_labels(step):
                    warn(
                        f"The step {name!r} of a Pipeline takes {marker!r}, which "
                        "marks rows without a label, for a label like any other: fit "
                        "it on labelled rows before, and put FrozenEstimator(step) in "
                        "its place."
                    )


def _learns_labels(step):
    """Whether a transformer, or one in it, learns from labels."""
    if isinstance(step, FrozenEstimator) or not hasattr(step, "get_params"):
        return False
    return any(
        is_classifier(part)
        or hasattr(part, "score_func")  # by which SelectKBest and the like select
        or (hasattr(part, "transform") and get_tags(part).target_tags.required)
        for part in (step, *nested_estimators(step))
    )


def warn_if_scored(marker, classes):
    """Warn if a search around this fit scores rows without a label by a metric.

    Parameters
    ----------
    marker : object
        What marks a row without a label; None where nothing does. "auto" where no row
        of the fit had it, those that are scored may: -1, unless it is a class.
    classes : ndarray of shape (C,)
    """
    if isinstance(marker, str) and marker == "auto":
        marker = -1 if label_codes([-1], classes)[0] < 0 else None
    if marker is None:
        return
    for frame in callers():
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("sklearn.") and _OF_A_FOLD <= frame.f_locals.keys():
            _warn_of_metric(frame.f_locals, marker, classes)
            return


def _warn_of_metric(told, marker, classes):
    """Warn if a fold has rows without a label among those that a metric scores.

    Parameters
    ----------
    told : dict
        Variables of a function of scikit-learn that fits on a fold and scores it.
    """
    scorers = getattr(told["scorer"], "_scorers", told["scorer"])
    scorers = scorers.values() if isinstance(scorers, dict) else [scorers]
    metrics = filter(None, (metric_of_all_rows(unwrap(s)) for s in scorers))
    metric = next(metrics, None)
    if metric is None:
        return
    y = as_column(told["y"])
    if y.ndim != 1:
        return
    unlabelled = unlabeled_mask(y, marker, classes)
    parts = {"test": told["test"]}
    if told.get("return_train_score"):
        parts["training"] = told["train"]
    for part, rows in parts.items():
        if _safe_indexing(unlabelled, rows).any():
            warn(
                f"{metric.__name__} is asked about {part} rows without a label, and "
                "counts them as wrong: pass scoring=labelled_scorer(...), from "
                "skanticipate.metrics, with the name of the score; or none, for the "
                "accuracy of labelled rows."
            )
            return
