"""Whether futures go together with the past, and with the teacher that sees them."""

import numpy as np

from skanticipate.data.axes import check_axes, check_axes_alike
from skanticipate.data.layout import hint_filled_rows, hint_other_scale
from skanticipate.data.leaves import first_table
from skanticipate.data.names import (
    check_column_order,
    check_columns_alike,
    check_names,
)
from skanticipate.estimator.nested import names_of_axes, names_of_columns
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.signals.asking import split_transforms


def check_names_of_futures(futures, teacher, estimator):
    """Refuse a table of futures whose columns, or axes, are not those that are read.

    The student's own network reads futures as it reads the past, with the columns of
    `X_past`. Other teachers may see other features; frozen ones know their names.
    """
    if type(futures) is np.ndarray and not hasattr(estimator, "feature_names_in_"):
        return  # it names no columns
    name, table = "X_future_unlabeled", first_table(futures)
    for names in names_of_columns(teacher):
        check_columns_alike(table, names, name=name)
    for axes in names_of_axes(teacher):
        check_axes_alike(futures, axes, name=name)
    check_axes(futures, name=name, estimator=estimator, reset=False)
    check_column_order(table, getattr(estimator, "_columns", None), name=name)
    if teacher is None:
        check_names(futures, name=name, estimator=estimator, reset=False)


def compare_with_past(past, futures, has_future, teacher):
    """Refuse futures that the student's own network cannot read; warn of odd ones.

    Parameters
    ----------
    past, futures : RowView of shape (n, ..., d)
        Checked clips.
    has_future : ndarray of shape (n,) of bool
        Rows that have a future.
    teacher : classifier or None
        None has the network of the student; a network of ours may start from it, or be
        compared with it. Any other reads features of its own.
    """
    alike = futures.ndim == past.ndim and futures.shape[-1] == past.shape[-1]
    if teacher is None and not alike:
        raise ValueError(
            f"X_future_unlabeled has shape {futures.shape} but X_past has "
            f"{past.shape}: with teacher=None the teacher has the student's own "
            "network, so both need as many axes and features. Pass a teacher of its "
            "own for other features, such as RecognitionTeacher()."
        )
    hint_filled_rows(past, futures, has_future, "X_future_unlabeled")
    if alike and has_future.any() and _reads_as_student(teacher):
        if not has_future.all():
            past, futures = past[has_future], futures[has_future]
        hint_other_scale(past, futures, "X_future_unlabeled")


def _reads_as_student(teacher):
    """Whether a teacher is a network of ours that sees futures as they come."""
    if teacher is None:
        return True
    transforms, last = split_transforms(teacher)
    return transforms is None and isinstance(last, PredictionMixin)
