"""What wrappers and scorers that wait for a fit, or a prediction, make of its labels.

Meta-estimators of scikit-learn take the marker of rows without a label for a class,
and some show 0, 1, ... in place of the labels; its scorers take these rows for wrong
answers. Whom they call can find them, and says so.
"""

from collections.abc import Mapping
from inspect import unwrap
from itertools import chain
from numbers import Real

import numpy as np
from sklearn.utils import _safe_indexing

from skanticipate.data.actions import as_mapping, says_labels
from skanticipate.data.markers import unlabeled_mask, unlabeled_rows
from skanticipate.data.missing import as_array, as_column, as_list
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.validation import title
from skanticipate.data.warn import callers, calling_module, warn
from skanticipate.metrics.scorers import metric_of_all_rows
from skanticipate.priors.sequences import checked_sequences
from skanticipate.priors.transitions import TemporalPrior

_VALIDATION = "sklearn.model_selection._validation"
_NUMBERING_ENSEMBLES = frozenset(
    f"sklearn.ensemble._{name}" for name in ("voting", "stacking", "bagging")
)
_WITH_CLASSES = _NUMBERING_ENSEMBLES | {"sklearn.multiclass", "sklearn.calibration"}
_BOOSTING = "sklearn.ensemble._weight_boosting", "fit"
_PREDICTS_FOLDS = _VALIDATION, "cross_val_predict"
_SCORES_A_FOLD = _VALIDATION, "_fit_and_score"
# What fits on numbers of labels, in a process of its own too.
_NUMBER_LABELS = frozenset(
    {"sklearn.ensemble._base", "sklearn.ensemble._bagging", "sklearn.multiclass"}
)
_FITS_A_FOLD = _VALIDATION, "_fit_and_predict"


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
    """
    around = callers()
    wrappers = list(_wrappers(around))
    if not _warn_of_marker(wrappers, getattr(estimator, "unlabeled_label", None)):
        numbered = _numbered_labels(wrappers)
        _warn_if_reencoded(
            around, numbered, estimator, labels.classes, y_past=y_past, y_val=y_val
        )
    if labels.marker is not None and (labels.codes < 0).any():
        warn_if_scored(around, labels.marker, labels.classes)


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
    if unlabeled_label is None:
        return
    if str(calling_module()).startswith("sklearn."):  # quick to tell
        _warn_of_marker(_wrappers(callers()), unlabeled_label)


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


def warn_if_scored(around, marker, classes):
    """Warn if a search around a fit scores rows without a label by a metric.

    Parameters
    ----------
    around : list of frames
        From `callers`.
    marker : object
        What marks a row without a label.
    classes : ndarray of shape (C,)
    """
    told = next((f.f_locals for f in around if _place(f) == _SCORES_A_FOLD), None)
    if told is not None:
        _warn_of_metric(told, marker, classes)


def _warn_of_metric(told, marker, classes):
    """Warn if a fold has rows without a label among those that a metric scores.

    Parameters
    ----------
    told : dict
        Arguments of `_fit_and_score` of scikit-learn.
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
    if told["return_train_score"]:
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


# ------------------------------------------------------ numbers in place of labels


def _warn_if_reencoded(around, labels, estimator, classes, *, y_past, y_val):
    """Warn if labels look like positions and not like keys of the table of actions.

    Voting, stacking, bagging and cross-validated probabilities number the labels before
    an estimator sees them; a table of actions then tells the verb and the noun of other
    labels, without an error. They do not number `y_past` and `y_val`, which then name
    other classes or none.

    Of rows that lack a class, as a bootstrap or a fold may, the numbers have gaps, and
    nothing is said where nobody who numbers labels is found to wait in this process:
    they look like the labels of a long tail that are its own.
    """
    if classes.dtype.kind not in "iu":
        return
    n, trouble = len(classes) if labels is None else len(labels), None
    if getattr(estimator, "classes", None) is not None:
        is_numbered = labels is not None
        if any(_place(frame)[0] == "sklearn.multiclass" for frame in around):
            n, is_numbered = 2, True
        if is_numbered and (classes[0] < 0 or classes[-1] >= n):
            # A part that an estimator fits may be given those that are in a fold.
            trouble = "what is keyed by labels", f"it has {len(classes)} classes="
    elif labels is not None or (classes == np.arange(n)).all():
        trouble = (
            _few_weights(around, estimator, n)
            or _other_order(estimator, labels, y_past)
            or _other_numbers(estimator, n, y_past, y_val)
        )
    if trouble is not None:
        name, told = trouble
        warn(
            f"{title(estimator)} learns the labels 0 to {n - 1}, but {told}. "
            "VotingClassifier, StackingClassifier, BaggingClassifier, "
            "OneVsRestClassifier and the like, and cross_val_predict with "
            "method='predict_proba', show an estimator 0, 1, ... in place of the "
            "labels in sorted order, and what it knows of labels is then that of "
            f"others. Write {name} with these numbers and pass classes=range({n}), "
            "where there is this parameter, which says too that these are your labels; "
            "or use LateFusion, which shows the labels."
        )


def _few_weights(around, estimator, n):
    """Whether weights name some labels only, where a wrapper seems to number them.

    Its numbers and the labels may be the same, so that nothing but the caller tells;
    weights of all numbers say that they are.

    -> (what is keyed by labels, what is wrong with it), or None
    """
    weights = getattr(estimator, "class_weight", None)
    if not isinstance(weights, Mapping) or len(weights) == n:
        return None
    places = map(_place, around)
    if any(place[0] in _NUMBER_LABELS or place == _FITS_A_FOLD for place in places):
        return "class_weight", f"class_weight={weights} names some of them only"
    return None


def _other_order(estimator, labels, y_past):
    """Whether numbers of labels in sorted order are read as other numbers.

    The numbers "0", "1", ..., "10" as text are sorted otherwise than as numbers, and so
    are names otherwise than a table that numbers them may be.

    -> as `_few_weights`
    """
    if labels is None:
        return None
    labels, keyed = labels.tolist(), dict(_tables_of_labels(estimator, y_past))
    weights = getattr(estimator, "class_weight", None)
    if isinstance(weights, Mapping):
        keyed["class_weight"] = weights
    for name, table in keyed.items():
        if not any(isinstance(key, Real) for key in table):
            continue
        meant = _labels_meant(labels, table if name == "actions" else {})
        for k, (label, other) in enumerate(zip(labels, meant, strict=True)):
            if label != other:
                told = f"{k} stands for {label!r}, and {name} seems to mean {other!r}"
                return name, told
    return None


def _other_numbers(estimator, n, y_past, y_val):
    """Whether a table, or other labels, hold numbers that are no label.

    -> as `_few_weights`
    """
    tables = list(_tables_of_labels(estimator, y_past))
    if y_val is not None:
        tables.append(("y_val", as_array(y_val).ravel().tolist()))
    marker = getattr(estimator, "unlabeled_label", None)
    marks = {-1, marker} if isinstance(marker, Real) else {-1}
    for name, known in tables:
        for label in known:
            is_whole = isinstance(label, Real) and label == label // 1
            if is_whole and label not in marks and not 0 <= label < n:
                return name, f"{name} has other numbers too, such as {label}"
    return None


def _numbered_labels(wrappers):
    """Labels that the outermost wrapper shows as other numbers, or None."""
    found = None
    for _, labels, numbers in wrappers:
        found = labels if numbers else found
    if found is None or found.tolist() == list(range(len(found))):
        return None
    return found


def _labels_meant(labels, actions):
    """Labels that a table means by 0, 1, ...: numbers as text, or names of actions."""
    if all(isinstance(label, str) and label.strip().isdecimal() for label in labels):
        by_number = {int(label): label for label in labels}
        return [by_number.get(k, label) for k, label in enumerate(labels)]
    names = [" ".join(map(str, actions.get(k) or ())) for k in range(len(labels))]
    known = set(labels)
    return [
        name if name in known else label
        for name, label in zip(names, labels, strict=True)
    ]


def _tables_of_labels(estimator, y_past):
    """Yield what is keyed by labels, and the labels it names."""
    for part in (estimator, *nested_estimators(estimator)):
        actions = getattr(part, "actions", None)
        if actions is not None and says_labels(actions):
            yield "actions", as_mapping(actions)
        if hasattr(part, "matrix"):
            yield "classes", as_list(part.classes)
        if getattr(part, "sequences", None) is not None:
            yield "sequences", chain(*checked_sequences(part.sequences))
        elif y_past is not None and _compares_past(part):
            yield "y_past", as_array(y_past).ravel().tolist()


def _compares_past(part):
    """Whether a prior or a network compares labels of the past with those of `y`."""
    return isinstance(part, TemporalPrior) or getattr(part, "past_weight", 0) > 0
