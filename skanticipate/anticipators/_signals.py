"""What teachers may see: whether it goes together with what their student sees."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import validate_data

from skanticipate._layout import hint_other_scale
from skanticipate._leaks import warn_ungrouped
from skanticipate._missing import as_array, missing_mask
from skanticipate._rows import RowView
from skanticipate._validation import (
    check_column_order,
    check_futures,
    check_teacher_proba,
)
from skanticipate._warn import warn


def check_signals(
    student, rows, *, X_future_unlabeled, past_actions, teacher_proba, groups
):
    """Check what a DistilledAnticipator reads.   -> further fields of Samples."""
    found = {}
    if X_future_unlabeled is not None:
        futures, seen = check_futures(
            X_future_unlabeled, name="X_future_unlabeled", estimator=student
        )
        compare_with_past(rows, futures, seen, own_network=student.teacher is None)
        check_names_of_futures(student, X_future_unlabeled)
        warn_of_signed_labels(student.classes_, student.unlabeled_label_)
        found |= {"futures": futures, "seen": seen}
    if teacher_proba is not None:
        found["proba"] = check_teacher_proba(
            teacher_proba, student.classes_, student.classes
        )
    if past_actions is not None:
        found["histories"], found["read"] = check_past_actions(past_actions)
    warn_if_nobody_is_asked(student, found)
    if student.cross_fit and groups is None:
        warn_ungrouped(f"cross_fit={student.cross_fit} divides the rows")
    return found


def has_signal(student, samples):
    """Rows of which a label or a teacher says something.   -> (n,) bool."""
    signal = samples.codes >= 0
    if samples.proba is not None:
        signal = signal | ~np.isnan(samples.proba[:, 0])
    if samples.seen is not None and (samples.proba is None or student.feature_weight):
        signal = signal | samples.seen
    if samples.read is not None and student.text_weight > 0:
        signal = signal | samples.read
    return signal


def check_past_actions(past_actions):
    """Check labels of past actions, or texts, of which some may be missing.

    Returns
    -------
    histories : RowView of shape (n, L) or (n,)
        Missing labels are None where the array holds objects.
    read : ndarray of shape (n,) of bool
        False for a row without any label.

    Raises
    ------
    ValueError
        If the rows are lists of unequal length, or the array has other axes.
    """
    array = as_array(past_actions)
    nested = array.ndim == 1 and any(np.ndim(row) for row in array)
    if array.ndim not in (1, 2) or array.size == 0 or nested:
        shape = "rows that are lists of their own" if nested else f"shape {array.shape}"
        raise ValueError(
            "past_actions must be labels of shape (n, L), the latest last, or n texts; "
            f"got {shape}: make one array of all rows, short histories padded on the "
            'left with None or "".'
        )
    missing = missing_mask(array)
    if array.dtype == object:
        array = np.where(missing, None, array)
    return RowView(array), ~(missing if array.ndim == 1 else missing.all(axis=1))


def check_names_of_futures(student, futures):
    """Refuse a table of futures whose columns are not those that are read.

    The student's own network reads futures as it reads the past, with the columns of
    `X_past`. Other teachers may see other features; frozen ones know their names.
    """
    frozen = isinstance(student.teacher, FrozenEstimator)
    for reader in (student, student.teacher) if frozen else (student,):
        names = getattr(reader, "feature_names_in_", None)
        check_column_order(futures, names, name="X_future_unlabeled")
    if student.teacher is None and hasattr(student, "feature_names_in_"):
        validate_data(student, futures, reset=False, skip_check_array=True)


def compare_with_past(past, futures, seen, *, own_network):
    """Refuse futures that the student's own network cannot read; warn of scales.

    Parameters
    ----------
    past, futures : RowView of shape (n, ..., d)
        Checked clips.
    seen : ndarray of shape (n,) of bool
        Rows that have a future.
    own_network : bool
        Whether the teacher has the network of the student.
    """
    alike = futures.ndim == past.ndim and futures.shape[-1] == past.shape[-1]
    if own_network and not alike:
        raise ValueError(
            f"X_future_unlabeled has shape {futures.shape} but X_past has "
            f"{past.shape}: with teacher=None the teacher has the student's own "
            "network, so both need as many axes and features. Pass a teacher of its "
            "own for other features, such as RecognitionTeacher()."
        )
    if alike and seen.any():
        rows = np.flatnonzero(seen)
        hint_other_scale(past[rows], futures[rows], "X_future_unlabeled")


def warn_of_signed_labels(classes, marker):
    """Warn if -1 is read as a class although there are futures."""
    if marker is None and set(classes.tolist()) == {-1, 1}:
        warn(
            "y holds -1 and 1 only, which are read as two classes: pass "
            "unlabeled_label=-1 if -1 marks unlabelled rows.",
        )


def warn_if_nobody_is_asked(student, found):
    """Warn of parameters that want a teacher where there is nothing to ask it about."""
    if "proba" not in found and not np.any(found.get("seen", False)):
        _warn_of_silence(
            "neither a row with a future in X_future_unlabeled nor teacher_proba: no "
            "teacher is asked.",
            teacher=student.teacher is not None,
            teacher_weight=student.teacher_weight > 0,
            feature_weight=bool(student.feature_weight),
            init_from_teacher=student.init_from_teacher is True,
            X_future_unlabeled="seen" in found,
        )
    if not np.any(found.get("read", False)):
        _warn_of_silence(
            "no row with a history in past_actions: no text teacher is asked.",
            text_teacher=student.text_teacher is not None,
            past_actions="read" in found,
        )


def _warn_of_silence(there_is, **wanted):
    if names := [name for name, is_set in wanted.items() if is_set]:
        warn(
            f"{' and '.join(names)} is set, but there is {there_is}",
        )


def warn_of_random_start():
    """Warn of a feature loss between maps that have nothing to do with each other."""
    warn(
        "feature_weight is positive, but the student starts at random: its map lives "
        "in another space than its teacher's, and feature losses hurt. Use the same "
        "network for both and init_from_teacher.",
    )
