"""The members of a LateFusion: which are welcome, and what each is shown."""

from functools import partial
from types import SimpleNamespace

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils.validation import has_fit_parameter

from skanticipate.data.axes import check_axes_alike
from skanticipate.data.labels import check_labels
from skanticipate.data.leaves import first_table
from skanticipate.data.markers import unlabeled_mask
from skanticipate.data.missing import as_column, as_list, label_codes, of_one_kind
from skanticipate.data.names import (
    check_column_order,
    check_columns_alike,
    check_label_names,
    column_names,
)
from skanticipate.data.numbers import weights_of
from skanticipate.data.parameters import nested_estimators
from skanticipate.estimator.nested import names_of_axes, names_of_columns
from skanticipate.estimator.unaware import warn_of_labels_of_wrappers
from skanticipate.preprocessing.slices import LastAxisSlice, keep_channels
from skanticipate.signals.asking import (
    fit_with_signals,
    last_step,
    split_transforms,
)
from skanticipate.signals.mean import Batches, in_order


def check_members(estimators):
    """Check what can be checked without data."""
    for member in estimators or [None]:
        is_triple = isinstance(member, list | tuple) and len(member) == 3
        if not is_triple or not isinstance(member[0], str):
            raise ValueError(
                "estimators must be a list of (name, estimator, (start, stop)) with at "
                f"least one member, got {estimators!r}."
            )
        _check_member(*member)


def weights_of_members(weights, names):
    """Weights of the members of these names, checked.   -> (K,), ones for None."""
    if weights is None:
        return np.ones(len(names))
    given = weights_of(weights, names, "the members")
    given = check_array(given, ensure_2d=False, input_name="weights")
    n = len(names)
    if given.shape != (n,) or given.min() < 0 or not 0 < given.sum() < np.inf:
        raise ValueError(
            f"weights must be one number for each of the {n} members, none negative "
            f"and not all zero, got {weights!r}."
        )
    return given


def _check_member(name, estimator, columns):
    """Refuse what is no classifier, or no channels."""
    methods = [hasattr(estimator, name) for name in ("fit", "predict_proba")]
    if isinstance(estimator, type) or not all(methods):
        raise TypeError(
            f"Member {name!r} must be a classifier with predict_proba, got "
            f"{estimator!r}: wrap one that only decides in CalibratedClassifierCV."
        )
    if isinstance(estimator, Pipeline):
        for step in estimator.named_steps.values():
            if hasattr(step, "fit_resample"):
                raise TypeError(
                    f"Member {name!r} resamples the rows, so that signals would not go "
                    "with them: resample before the fusion."
                )
    try:
        LastAxisSlice(*columns)._validate_params()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Member {name!r} must say which channels it sees as (start, stop), got "
            f"{columns!r}. {error}"
        ) from error


def check_same_channels(rows, d, name):
    """Refuse clips that have not the d channels of those of fit."""
    if rows.shape[-1] != d:
        raise ValueError(
            f"{name} has {rows.shape[-1]} channels, its last axis, but X_past had {d}: "
            "every member sees the same channels of both."
        )


def check_columns_of_frozen(name, estimator, table, columns):
    """Refuse a table whose columns are not those that a frozen member learned from."""
    for axes in names_of_axes(estimator):
        check_axes_alike(table, axes, name=f"X_past that member {name!r} sees")
    found = column_names(first_table(table))
    if found is None:
        return
    start, stop = columns
    shown = SimpleNamespace(columns=found[start:stop])
    first = estimator[0] if isinstance(estimator, Pipeline) else estimator
    # The frozen teachers of an anticipator see something else than the past.
    sees_other = has_fit_parameter(first, "X_future_unlabeled")
    check = check_column_order if sees_other else check_columns_alike
    for names in names_of_columns(estimator):
        check(shown, names, name=f"X_past that member {name!r} sees")


def shown_to(estimator, X, rows, columns):
    """What a member sees of clips X that were checked as `rows`: its channels.

    With their names, where X is a table and the member knows such names.
    """
    if hasattr(X, "columns") and any(True for _ in names_of_columns(estimator)):
        return _safe_indexing(X, slice(*columns), axis=1)
    return keep_channels(X, rows, *columns)


def check_labels_alike(fusion, y):
    """Labels as all anticipators among the members read them.   -> Labels."""
    readings = [
        (name, _labels_as_read_by(reader, y))
        for name, member in fusion._members
        for reader in _readers(member)
    ]
    if not readings:
        warn_of_labels_of_wrappers()
        return check_labels(y, classes=None, unlabeled_label="auto", estimator=fusion)
    (first_name, first), *others = readings
    for name, other in others:
        alike = np.array_equal(first.classes, other.classes)
        if not alike or not np.array_equal(first.codes, other.codes):
            raise ValueError(
                "The members of a LateFusion must agree about classes, but "
                f"{first_name!r} has {_description(first)} and {name!r} has "
                f"{_description(other)}: give all the same classes= and "
                "unlabeled_label=."
            )
    markers = (labels.marker for _, labels in readings)
    return first._replace(marker=next((m for m in markers if m is not None), None))


def _readers(estimator):
    """Anticipators, alone, at the end of a Pipeline or in another fusion."""
    last = last_step(estimator)
    if hasattr(last, "_members"):
        return [r for _, member in last._members for r in _readers(member)]
    return [last] if reads_unlabelled(last) else []


def _labels_as_read_by(reader, y):
    return check_labels(
        y,
        classes=getattr(reader, "classes", None),
        unlabeled_label=getattr(reader, "unlabeled_label", "auto"),
        estimator=reader,
    )


def _description(labels):
    few = str(labels.classes[:5].tolist())[1:-1]
    more = ", ..." if len(labels.classes) > 5 else ""
    n = int((labels.codes < 0).sum())
    return f"{len(labels.classes)} ({few}{more}; {n} unlabelled rows)"


def reads_unlabelled(estimator):
    """Whether `fit` has the signature of the anticipators."""
    return has_fit_parameter(last_step(estimator), "X_future_unlabeled")


def fit_member(name, estimator, clips, y, labels, signals):
    """Fit a clone of a member on all rows, or on those that it can read.

    Parameters
    ----------
    name : str
        For messages.
    estimator : classifier
        A `FrozenEstimator` is used as it is.
    clips : ndarray or RowView of shape (n, ..., d)
        The channels of the member.
    y : array-like of shape (n,)
        Labels as they were given.
    labels : Labels
        The same, checked.
    signals : dict of arrays
        What else was given, of which `X_val` and `y_val` are of other rows.
    """
    member = clone(estimator)
    if not reads_unlabelled(member):
        rows = np.flatnonzero(labels.codes >= 0)
        _refuse_to_hide(name, member, signals, len(labels.codes) - len(rows))
        y = labels.classes[labels.codes[rows]]
        if len(rows) < len(labels.codes):
            clips = _safe_indexing(clips, rows)
            signals = {
                key: signal if key.endswith("_val") else _safe_indexing(signal, rows)
                for key, signal in signals.items()
            }
        signals = _labelled_validation(signals, labels)
    labelled = len(y) == (labels.codes >= 0).sum()
    try:
        # Steps that learn from labels would take the marker for one.
        fit_with_signals(member, clips, y, signals, y_of_steps=y if labelled else None)
        _check_known(member, labels)
    except Exception as error:
        error.add_note(f"This is member {name!r} of a LateFusion.")
        raise
    return member


def _refuse_to_hide(name, member, signals, n_unlabelled):
    """A search or a calibration would keep from an anticipator what it can read."""
    last = last_step(member)
    hidden = [key for key in signals if not has_fit_parameter(last, key)]
    if n_unlabelled:
        hidden.insert(0, f"{n_unlabelled} unlabelled rows")
    if hidden and any(map(reads_unlabelled, nested_estimators(last))):
        raise ValueError(
            f"Member {name!r} is a {type(last).__name__}, which would keep from its "
            f"anticipator: {', '.join(hidden)}. Search or calibrate the fusion as a "
            f"whole, with parameters such as {name}__lr; or fit the member before and "
            "pass FrozenEstimator(fitted)."
        )


def _labelled_validation(signals, labels):
    """Signals whose validation rows are those with a label."""
    if not {"X_val", "y_val"} <= signals.keys():
        return signals
    y_val = as_column(signals["y_val"])
    unlabelled = unlabeled_mask(y_val, labels.marker, labels.classes)
    if not unlabelled.any():
        return signals
    rows = np.flatnonzero(~unlabelled)
    X_val = _safe_indexing(signals["X_val"], rows)
    return signals | {"X_val": X_val, "y_val": of_one_kind(y_val[rows], "y_val")}


def _check_known(member, labels):
    """A member knows the classes that have labelled rows, and no others."""
    known = getattr(member, "classes_", ())
    codes = label_codes(known, labels.classes)
    missing = set(labels.codes[labels.codes >= 0].tolist()) - set(codes.tolist())
    if missing or (codes < 0).any():
        raise ValueError(
            "The members of a LateFusion must agree about classes, but this one knows "
            f"{as_list(known)[:5]}... and the fusion has {_description(labels)}: fit "
            "it on the same labels."
        )


def aligned_answer(ask, member, classes):
    """What a member answers, in the order of `classes`, 0 where it has none."""
    answer = ask()
    codes = label_codes(member.classes_, classes)
    if isinstance(answer, Batches):
        return answer.mapped(partial(in_order, codes=codes, n_classes=len(classes)))
    check_label_names(answer, as_list(member.classes_), name="what a member answers")
    return in_order(np.asarray(answer), codes, len(classes))


def check_times_alike(members):
    """Refuse members that answer at different times before the action.

    Those that all answer after their last step have seen the same, whatever seconds
    they count; of a network that knows no times nothing is said.

    Parameters
    ----------
    members : dict of str to classifier
        Fitted ones, by their names.

    Raises
    ------
    ValueError
        If two answer at different times, and one of them before its last stage.
    """
    found = {name: _answers_at(member) for name, member in members.items()}
    found = {name: own for name, own in found.items() if own is not None}
    times = [seconds for seconds, _ in found.values()]
    if all(is_last for _, is_last in found.values()) or np.allclose(times, times[0]):
        return
    told = (f"{name!r} {seconds:.4g} s" for name, (seconds, _) in found.items())
    raise ValueError(
        "The members of a LateFusion must answer at the same time, but before the "
        f"action they answer at: {', '.join(told)}. Give all of their networks the "
        "same time_step and anticipation_time."
    )


def _answers_at(member):
    """Seconds before the action, and whether it is the last stage; or None."""
    _, last = split_transforms(member)
    last = getattr(last, "best_estimator_", last)
    spec = getattr(last, "network_spec_", None)
    if spec is None or np.isnan(spec.stage_times()).any():
        return None
    times, stage = spec.stage_times(), spec.answering_stage()
    return float(times[stage]), stage == len(times) - 1


def common_stages(members):
    """Seconds before the action of the stages (S,), if all members have the same."""
    lasts = [split_transforms(member)[1] for member in members]
    times = [getattr(last, "anticipation_times_", None) for last in lasts]
    first, *others = times
    if first is None or not all(
        other is not None and np.array_equal(first, other, equal_nan=True)
        for other in others
    ):
        return None
    return first
