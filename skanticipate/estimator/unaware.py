"""What wrappers and scorers that wait for a fit, or a prediction, make of its labels.

Meta-estimators of scikit-learn take the marker of rows without a label for a class,
and some show 0, 1, ... in place of the labels; its scorers take these rows for wrong
answers. Whom they call can find them, and says so.
"""

from inspect import unwrap
from itertools import chain

import numpy as np
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing, get_tags

from skanticipate.data.labels import hint_labels
from skanticipate.data.markers import unlabeled_mask, unlabeled_rows
from skanticipate.data.missing import as_column, label_codes, missing_label_mask
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.warn import callers, warn
from skanticipate.estimator.renumbered import (
    refuse_marked_number,
    warn_if_renumbered,
)
from skanticipate.metrics.scorers import metric_of_all_rows

_VALIDATION = "sklearn.model_selection._validation"
_NUMBERING_ENSEMBLES = frozenset(
    f"sklearn.ensemble._{name}" for name in ("voting", "stacking", "bagging")
)
_WITH_CLASSES = _NUMBERING_ENSEMBLES | {"sklearn.multiclass", "sklearn.calibration"}
_BOOSTING = "sklearn.ensemble._weight_boosting", "fit"
_PREDICTS_FOLDS = _VALIDATION, "cross_val_predict"
_FITS_STEPS = "sklearn.pipeline", "fit"
_OF_A_FOLD = {"scorer", "y", "test"}  # what a function knows that scores a fold


def warn_of_wrappers(estimator, labels, *, y_past=None, y_val=None):
    """Warn of what a wrapper, or a search, around this fit makes of its labels.

    Parameters
    ----------
    estimator : estimator
        It and the estimators among its parameters may have a parameter `actions`. One
        whose parameter `classes` is set has said what the labels are.
    labels : Labels
        Those of the training rows.
    y_past, y_val : array-like or None
        Other labels that `fit` was given; the first matter to a `TemporalPrior` and to
        a network with a positive `past_weight` only.

    Raises
    ------
    ValueError
        If the marker of unlabelled rows is the number of a label.
    """
    around = callers()
    wrappers = list(_wrappers(around))
    unlabeled_label = getattr(estimator, "unlabeled_label", None)
    shown = next((w[1] for w in reversed(wrappers) if w[2]), None)
    if shown is not None:
        refuse_marked_number(estimator, shown)
    if not _warn_of_marker(wrappers, unlabeled_label):
        warn_if_renumbered(
            [*map(_place, around)],
            shown,
            estimator,
            labels.classes,
            y_past=y_past,
            y_val=y_val,
        )
        if unlabeled_label is not None and estimator.classes is None:
            _hint_labels(wrappers)
    marker = unlabeled_label if labels.marker is None else labels.marker
    warn_if_scored(around, marker, labels.classes)
    if labels.marker is not None and (labels.codes < 0).any():
        _warn_of_steps(around, labels.marker)


def _place(frame):
    """Module and function of a frame."""
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _wrappers(around):
    """Yield name and labels of wrappers that wait, and whether they number labels.

    The innermost first.
    """
    for frame in around:
        module, function = place = _place(frame)
        if place not in (_PREDICTS_FOLDS, _BOOSTING) and module not in _WITH_CLASSES:
            continue
        own = frame.f_locals
        who, numbers = type(own.get("self")).__name__, module in _NUMBERING_ENSEMBLES
        if place == _PREDICTS_FOLDS:
            who, labels, numbers = function, _classes(own.get("le")), True
        elif place == _BOOSTING:
            labels = as_column(own.get("y"))
        else:
            labels = _classes(own.get("self"))
        if isinstance(labels, np.ndarray) and labels.ndim == 1:
            yield who, labels, numbers


def _classes(wrapper):
    return getattr(wrapper, "classes_", None)


# ------------------------------------------------------------ rows without a label


def warn_if_class(unlabeled_label):
    """Warn if a wrapper around this prediction takes the marker for a label.

    Parameters
    ----------
    unlabeled_label : object
        The parameter of the estimator that predicts.
    """
    if unlabeled_label is not None:
        _warn_of_marker(_wrappers(callers()), unlabeled_label)


def warn_of_labels_of_wrappers():
    """Warn of what a wrapper around a fit makes of labels that nothing in it marks."""
    wrappers = list(_wrappers(callers()))
    if not _warn_of_marker(wrappers, "auto"):
        _hint_labels(wrappers)


def _hint_labels(wrappers):
    """Say of the labels of the innermost wrapper what a fit says that is shown them.

    It may be shown their numbers, in which nothing is to be seen.
    """
    for who, labels, _ in wrappers[:1]:
        missing = missing_label_mask(labels)
        if missing.any():
            warn(
                f"{who} takes {labels[missing].tolist()[0]!r}, a missing label, for a "
                "label like any other: leave these rows out of what it is given."
            )
        hint_labels(labels[~missing])


def _warn_of_marker(wrappers, unlabeled_label):
    """Warn of a wrapper that takes the marker for a label.   -> bool."""
    if unlabeled_label is None:
        return False
    for who, labels, _ in wrappers:
        marker, marked = unlabeled_rows(labels, unlabeled_label)
        if marked.any():
            warn(
                f"{who} takes {marker!r}, which marks rows without a label, for a "
                f"label like any other: leave these rows out of what {who} is given, "
                "or use LateFusion or ReplicaEnsemble, which know them. Set "
                "unlabeled_label=None if it is a class."
            )
            return True
    return False


def _warn_of_steps(around, marker):
    """Warn if a step of a Pipeline around this fit has learned the marker."""
    fits = [frame.f_locals["self"] for frame in around if _place(frame) == _FITS_STEPS]
    # a FeatureUnion has none
    for name, step in chain(*(getattr(whole, "steps", [])[:-1] for whole in fits)):
        if _learns_labels(step):
            warn(
                f"The step {name!r} of a Pipeline takes {marker!r}, which marks rows "
                "without a label, for a label like any other: fit it on labelled rows "
                "before, and put FrozenEstimator(step) in its place."
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


def warn_if_scored(around, marker, classes):
    """Warn if a search around a fit scores rows without a label by a metric.

    Parameters
    ----------
    around : list of frames
        From `callers`.
    marker : object
        What marks a row without a label; None where nothing does. "auto" where no row
        of the fit had it, those that are scored may: -1, unless it is a class.
    classes : ndarray of shape (C,)
    """
    if isinstance(marker, str) and marker == "auto":
        marker = -1 if label_codes([-1], classes)[0] < 0 else None
    for frame in around if marker is not None else ():
        is_sklearns = _place(frame)[0].startswith("sklearn.")
        if is_sklearns and _OF_A_FOLD.issubset(frame.f_locals):
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
