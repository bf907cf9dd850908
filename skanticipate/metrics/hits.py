"""Labels and scores, checked, and which labels are among the best scored."""

from itertools import compress

import numpy as np
from sklearn.utils import check_array, column_or_1d

from skanticipate.data.labels import warn_of_strangers
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import (
    as_column,
    as_list,
    check_hashable,
    check_same_kind,
    label_codes,
    label_list,
    missing_label_mask,
    of_one_kind,
)
from skanticipate.data.names import check_label_names
from skanticipate.data.numbers import check_count
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.twins import warn_of_twins
from skanticipate.data.warn import calling_module, warn


def check_hits(y_true, y_score, k, classes):
    """Check all that a ranking is computed from.

    Returns
    -------
    y_true : ndarray of shape (n,)
    hits : ndarray of shape (n,) of bool
        Whether each label is among the k best.
    """
    check_count(k, "k")
    y_score = plain_numbers(y_score, "y_score")
    if len(np.shape(y_score)) != 2:
        raise ValueError(
            f"y_score must have shape (n, C), got {np.shape(y_score)}: give one row of "
            "scores for each label, and of several stages one such array for each."
        )
    columns = range(np.shape(y_score)[1])
    columns = columns if classes is None else label_list(classes, "classes")
    check_label_names(y_score, columns, name="y_score")
    check_rows_alike(y_true=y_true, y_score=y_score)
    refuse_masked(y_score, "y_score", "Drop these rows, or fill in the scores.")
    scores = check_array(y_score, ensure_all_finite=False, input_name="y_score")
    y_true = column_or_1d(as_column(y_true))
    if len(y_true) != len(scores):
        raise ValueError(
            f"y_true has {len(y_true)} rows but y_score has {len(scores)}: give one "
            "row of scores for each label."
        )
    if np.isnan(scores).any():
        raise ValueError("y_score contains NaN: a class without a score has no rank.")
    if missing_label_mask(y_true, classes).any():
        raise ValueError("y_true has missing labels: drop unlabelled rows first.")
    y_true = of_one_kind(y_true, "y_true")
    if classes is None:
        _refuse_scorers()
        codes = _check_column_numbers(y_true, scores.shape[1])
    else:
        check_distinct(columns, "classes")
        _check_one_column_a_class(columns, scores.shape[1])
        codes = label_codes(y_true, classes)
        check_same_kind(y_true, columns, "y_true", "classes")
        warn_of_strangers(y_true, classes, "y_true")
    return y_true, (codes >= 0) & (ranks(scores, codes) < k)


def warn_of_other_labels(labels, y_true):
    """Warn of labels to average over that do not occur, but look like one that does."""
    others = compress(labels, label_codes(labels, y_true) < 0)
    warn_of_twins("label", others, "in y_true and labels", as_list(y_true))


def recalls(y_true, hits):
    """Share of hits of each label that occurs.   -> labels, recall, support (m,)."""
    present, rows = np.unique(y_true, return_inverse=True)
    support = np.bincount(rows)
    return present, np.bincount(rows, weights=hits) / support, support


def warn_of_sure_hits(k, y_score):
    """Warn of scores (n, C) of which every class is among the k best."""
    n_classes = np.shape(plain_numbers(y_score, "y_score"))[1]
    if k >= n_classes:
        warn(
            f"k={k} with {n_classes} classes: every answer is among the k best, so "
            "all labels that are classes are hits, whatever the scores are. Choose a "
            "smaller k."
        )


def ranks(scores, codes):
    """Rank of column `codes` in a stable descending sort of its row.   (n,) -> (n,).

    Counting the columns in front gives the same rank as a sort, in linear time.
    """
    own = np.take_along_axis(scores, np.maximum(codes, 0)[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < codes[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def check_distinct(labels, name):
    """Refuse a list of labels that repeats one, or holds what is none."""
    check_hashable(labels, name)
    if len(set(labels)) < len(labels):
        raise ValueError(f"{name} must not repeat a label, got {labels[:10]}.")


def _check_one_column_a_class(classes, n_columns):
    if len(classes) != n_columns:
        raise ValueError(
            f"y_score has {n_columns} columns but there are {len(classes)} classes: "
            "give the label of each column, as in estimator.classes_."
        )


def _refuse_scorers():
    """A scorer of scikit-learn shows labels, not columns of an estimator's scores."""
    if calling_module() == "sklearn.metrics._scorer":
        raise ValueError(
            "A scorer calls a metric without classes=, which would take labels for "
            "numbers of columns, though a fold may lack a class: expected "
            "top_k_scorer(k) or mean_top_k_recall_scorer(k), which know the classes of "
            "an estimator, or make_scorer(..., classes=labels)."
        )


def _check_column_numbers(y_true, n_columns):
    if y_true.dtype.kind not in "iu":
        raise ValueError(
            "Without classes= y_true must hold column numbers (integers), got dtype "
            f"{y_true.dtype}: pass classes=, the label of each column of y_score."
        )
    outside = (y_true < 0) | (y_true >= n_columns)
    if outside.any():
        raise ValueError(
            f"Without classes= y_true must hold column numbers 0 to {n_columns - 1}, "
            f"got {y_true[outside][0]}: drop unlabelled rows, or pass classes=."
        )
    return y_true.astype(np.intp)
