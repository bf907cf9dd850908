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
from sklearn.utils import get_tags

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
_SCORERS = "sklearn.metrics._scorer"
# Whose members answer with other labels than those of the rows.
_NUMBERING = _NUMBERING_ENSEMBLES | {
    "sklearn.multiclass",
    "sklearn.ensemble._weight_boosting",
}


def warn_of_wrappers(estimator, labels, *, y_past=None, y_val=None):
    """Warn of what a wrapper around this fit makes of its labels.

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
    places = [*map(_place, around)]
    wrappers = list(_wrappers(around, places))
    unlabeled_label = getattr(estimator, "unlabeled_label", None)
    shown = next((w[1] for w in reversed(wrappers) if w[2]), None)
    if shown is not None:
        refuse_marked_number(estimator, shown)
    if not _warn_of_marker(wrappers, unlabeled_label):
        warn_if_renumbered(
            places,
            shown,
            estimator,
            labels.classes,
            y_past=y_past,
            y_val=y_val,
        )
        if unlabeled_label is not None and estimator.classes is None:
            _hint_labels(wrappers)
    if labels.marker is not None and (labels.codes < 0).any():
        _warn_of_steps(around, labels.marker)


def _place(frame):
    """Module and function of a frame."""
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _wrappers(around, places):
    """Yield name and labels of wrappers that wait, and whether they number labels.

    The innermost first.
    """
    for frame, place in zip(around, places, strict=True):
        module, function = place
        if module not in _WITH_CLASSES and place not in (_PREDICTS_FOLDS, _BOOSTING):
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


def warn_of_answers(estimator):
    """Warn of what a wrapper or a metric makes of rows without a label.

    Parameters
    ----------
    estimator : estimator
        A fitted anticipator that answers.
    """
    if estimator.unlabeled_label is not None:
        around = callers()
        wrappers = _wrappers(around, [*map(_place, around)])
        _warn_of_marker(wrappers, estimator.unlabeled_label)
        marker = estimator.unlabeled_label_
        _warn_of_metric(
            around, "auto" if marker is None else marker, estimator.classes_
        )


def warn_if_scored(classes):
    """Warn of a metric that asks members of any kind about rows of -1.

    Parameters
    ----------
    classes : ndarray of shape (C,)
        Of which -1 may be one.
    """
    _warn_of_metric(callers(), "auto", classes)


def warn_of_labels_of_wrappers():
    """Warn of what a wrapper around a fit makes of labels that nothing in it marks."""
    around = callers()
    wrappers = list(_wrappers(around, [*map(_place, around)]))
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


def _warn_of_metric(around, marker, classes):
    """Warn if a scorer that waits has rows without a label, which its metric counts.

    Of several scorers the one that asked first waits; all of them have the rows.
    """
    for frame in around:
        module, _ = _place(frame)
        if module in _NUMBERING:
            return
        own = frame.f_locals if module == _SCORERS else {}
        scorer, args = own.get("self"), own.get("args", ())
        if "y_true" not in own and len(args) < 2:
            continue
        scorers = getattr(scorer, "_scorers", {"": scorer}).values()
        metrics = filter(None, map(metric_of_all_rows, map(unwrap, scorers)))
        y = as_column(own["y_true"] if "y_true" in own else args[1])
        if y.ndim != 1 or (metric := next(metrics, None)) is None:
            continue
        if isinstance(marker, str) and marker == "auto":  # no row of the fit had it
            marker = -1 if label_codes([-1], classes)[0] < 0 else None
        if unlabeled_mask(y, marker, classes).any():
            warn(
                f"{metric.__name__} is asked about rows without a label, and counts "
                "them as wrong: pass scoring=labelled_scorer(...), from "
                "skanticipate.metrics, with the name of the score; or none, for the "
                "accuracy of labelled rows."
            )
            return
