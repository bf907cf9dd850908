"""What wrappers and scorers that wait for a fit, or a prediction, make of its labels.

Meta-estimators of scikit-learn take the marker of rows without a label for a class,
and some show 0, 1, ... in place of the labels; its scorers take these rows for wrong
answers. Whom they call can find them, and says so.
"""

from collections.abc import Mapping
from inspect import unwrap
from itertools import chain, islice
from numbers import Real

import numpy as np
from sklearn.frozen import FrozenEstimator

from skanticipate.data.actions import as_mapping, says_labels
from skanticipate.data.labels import hint_labels
from skanticipate.data.markers import unlabeled_mask, unlabeled_rows
from skanticipate.data.missing import (
    as_array,
    as_column,
    as_list,
    label_codes,
    missing_label_mask,
)
from skanticipate.data.parameters import inner_estimators, nested_estimators
from skanticipate.data.validation import title
from skanticipate.data.warn import callers, is_called_by, warn
from skanticipate.estimator.nested import learns_labels
from skanticipate.metrics.scorers import metric_of_all_rows
from skanticipate.priors.sequences import checked_sequences
from skanticipate.priors.transitions import TemporalPrior, TransitionPrior

_NUMBERED = (
    "VotingClassifier, StackingClassifier, BaggingClassifier, OneVsRestClassifier and "
    "the like, and cross_val_predict with method='predict_proba', show an estimator 0, "
    "1, ... in place of the labels in sorted order"
)
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
# What fits on numbers of labels, in a process of its own too.
_FITS_ON_NUMBERS = frozenset(
    {"sklearn.ensemble._base", "sklearn.ensemble._bagging", "sklearn.multiclass"}
)
_FITS_A_FOLD = _VALIDATION, "_fit_and_predict"
_ASKS_TEACHERS = "skanticipate.signals.signal", "ask"


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
    wrappers = list(_wrappers(around))
    unlabeled_label = getattr(estimator, "unlabeled_label", None)
    shown = next((w[1].tolist() for w in reversed(wrappers) if w[2]), None)
    if shown is not None:
        _refuse_marked_number(estimator, shown)
    if not _warn_of_marker(wrappers, unlabeled_label):
        if labels.classes.dtype.kind in "iu":
            places = [*map(_place, around)]
            others = {"y_past": y_past, "y_val": y_val}
            _warn_if_renumbered(places, shown, estimator, labels.classes, others)
        if unlabeled_label is not None and estimator.classes is None:
            _hint_labels(wrappers)
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


# ------------------------------------------------------- numbers in place of labels


def _refuse_marked_number(estimator, labels):
    """Refuse a marker of unlabelled rows that is the number of a label, not its own."""
    marker = getattr(estimator, "unlabeled_label", None)
    is_number = isinstance(marker, Real) and marker in range(len(labels))
    if is_number and labels[int(marker)] != marker:
        raise ValueError(
            f"unlabeled_label={marker!r} would mark the rows of the label "
            f"{labels[int(marker)]!r}, in whose place {title(estimator)} is shown this "
            "number: set unlabeled_label=-1, where all rows have a label, or use "
            "LateFusion, which shows the labels."
        )


def _warn_if_renumbered(places, shown, estimator, classes, others):
    """Warn if labels look like positions and not like keys of the table of actions.

    Voting, stacking, bagging and cross-validated probabilities number the labels before
    an estimator sees them; a table of actions then tells the verb and the noun of other
    labels, without an error. They do not number `y_past` and `y_val`, the `others`,
    which then name other classes or none.

    Of rows that lack a class, as a bootstrap or a fold may, the numbers have gaps, and
    nothing is said where nobody who numbers labels is found to wait in this process:
    they look like the labels of a long tail that are its own.
    """
    modules = [module for module, _ in places]
    waits = not _FITS_ON_NUMBERS.isdisjoint(modules) or _FITS_A_FOLD in places
    by_two = "sklearn.multiclass" in modules
    labels = None if shown is None or _are_numbers(shown, shown) else shown
    n = len(classes if labels is None else labels)
    found = ()
    if getattr(estimator, "classes", None) is not None:
        n = 2 if by_two else n
        is_numbered = by_two or labels is not None
        if is_numbered and (classes[0] < 0 or classes[-1] >= n):
            # A part that an estimator fits may be given those that are in a fold.
            found = [("what is keyed by labels", f"it has {len(classes)} classes=")]
    elif labels is not None or (classes == np.arange(n)).all():
        weights = _few_weights(estimator, n, None if by_two else shown)
        found = chain(weights if waits else (), _misread(estimator, n, labels, others))
    frozen = () if labels is None else _frozen_parts(estimator, labels)
    by_wrapper = waits or shown is not None
    for name, told in islice(chain(frozen, found), 1):
        _tell_misread(estimator, n, name, told, by_wrapper=by_wrapper)


def _tell_misread(estimator, n, name, told, *, by_wrapper):
    """Warn of what is keyed by other labels than 0 to n - 1, and of who may do that."""
    found = f"{title(estimator)} learns the labels 0 to {n - 1}, but {told}. "
    if by_wrapper:
        warn(
            f"{found}{_NUMBERED}, and what it knows of labels is then that of others. "
            f"Write {name} with these numbers and pass classes=range({n}), where there "
            "is this parameter, which says too that these are your labels; or use "
            "LateFusion, which shows the labels."
        )
    elif not is_called_by(*_ASKS_TEACHERS):  # whose student has looked
        known = "pass all of them as classes=, or " * hasattr(estimator, "classes")
        warn(
            f"{found}If these rows lack labels that {name} has, {known}leave them out "
            "of it. If the labels were numbered anew, as LabelEncoder does, or "
            "VotingClassifier and the like in another process, it is that of others: "
            "write it with the new numbers."
        )


def _are_numbers(keys, labels):
    """Whether keys mean the same as labels and as the numbers that stand for these."""
    numbers = {label: k for k, label in enumerate(labels)}
    return all(numbers.get(key) == key for key in keys)


def _frozen_parts(estimator, labels):
    """Yield what was fitted before a wrapper showed numbers for labels: trouble.

    Trouble is what is keyed by labels, and what tells that it is read wrongly.
    """
    wholes = [estimator, *nested_estimators(estimator)]
    for part in chain(*map(inner_estimators, wholes)):
        known = as_list(getattr(part, "classes_", range(len(labels))))
        numbers = known == list(range(len(labels))) or _are_numbers(known, labels)
        if isinstance(part, FrozenEstimator) and not numbers:
            told = f"{title(part.estimator)}, which is frozen, has learned {known[:3]}"
            yield "the labels of its fit", told


def _few_weights(estimator, n, shown):
    """Yield weights of some labels only, where a wrapper seems to number them.

    Its numbers and the labels may be the same, as those that are `shown` tell; weights
    of all numbers say that they are.
    """
    weights = getattr(estimator, "class_weight", None)
    if not isinstance(weights, Mapping) or len(weights) == n:
        return
    if shown is None or not _are_numbers(weights, shown):
        yield "class_weight", f"class_weight={weights} names some of them only"


def _misread(estimator, n, labels, others):
    """Yield what names numbers that stand for others than it means, or for none.

    Weights may name labels of another fold: of them only the former is asked.
    """
    marker = getattr(estimator, "unlabeled_label", None)
    marks = {-1, marker} if isinstance(marker, Real) else {-1}
    for name, keys in _keyed_by_labels(estimator, **others):
        numbers = [key for key in keys if isinstance(key, Real)]
        if numbers and labels is not None:
            meant = _labels_meant(labels, keys if name == "actions" else {})
            for k, other in enumerate(meant):
                if other != labels[k]:
                    told = f"{k} stands for {labels[k]!r}, and {name} seems to mean"
                    yield name, f"{told} {other!r}"
        for label in () if name == "class_weight" else numbers:
            if label == label // 1 and label not in marks and not 0 <= label < n:
                yield name, f"{name} has other numbers too, such as {label}"


def _keyed_by_labels(estimator, y_past, y_val):
    """Yield what is keyed by labels, and the labels it names, or the table of them."""
    weights = getattr(estimator, "class_weight", None)
    if isinstance(weights, Mapping):
        yield "class_weight", weights
    for part in (estimator, *nested_estimators(estimator)):
        actions = getattr(part, "actions", None)
        of_past = isinstance(part, TransitionPrior)  # whose labels nobody numbers
        if actions is not None and says_labels(actions) and not of_past:
            yield "actions", as_mapping(actions)
        if hasattr(part, "matrix"):
            yield "classes", as_list(part.classes)
        if getattr(part, "sequences", None) is not None:
            yield "sequences", chain(*checked_sequences(part.sequences))
        elif y_past is not None and (
            isinstance(part, TemporalPrior) or getattr(part, "past_weight", 0) > 0
        ):  # which compare labels of the past with those of `y`
            yield "y_past", as_array(y_past).ravel().tolist()
    if y_val is not None:
        yield "y_val", as_array(y_val).ravel().tolist()


def _labels_meant(labels, actions):
    """Labels meant by 0, 1, ...: numbers as text, or names that a table has for them.

    The numbers "0", "1", ..., "10" as text are sorted otherwise than as numbers, and so
    are names otherwise than a table that numbers them may be.
    """
    if all(isinstance(label, str) and label.strip().isdecimal() for label in labels):
        by_number = {int(label): label for label in labels}
        return [by_number.get(k, label) for k, label in enumerate(labels)]
    names = [" ".join(map(str, actions.get(k) or ())) for k in range(len(labels))]
    known = set(labels)
    return [
        name if name in known else label
        for name, label in zip(names, labels, strict=True)
    ]


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
        _warn_of_marker(_wrappers(around), estimator.unlabeled_label)
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
        if learns_labels(step):
            warn(
                f"The step {name!r} of a Pipeline takes {marker!r}, which marks rows "
                "without a label, for a label like any other: fit it on labelled rows "
                "before, and put FrozenEstimator(step) in its place."
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
