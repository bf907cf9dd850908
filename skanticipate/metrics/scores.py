"""Metrics of action anticipation, as functions of labels and scores.

All fractions lie in [0, 1], as in scikit-learn; the papers print per cent.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import verbs_and_nouns
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import label_codes, label_list, label_mask
from skanticipate.data.names import check_label_names
from skanticipate.data.places import check_row_names
from skanticipate.data.rows_alike import RowsAlike
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.validation import check_probabilities
from skanticipate.metrics.hits import (
    check_distinct,
    check_hits,
    recalls,
    warn_of_other_labels,
    warn_of_sure_hits,
)


def top_k_accuracy(
    y_true: Labels, y_score: ArrayLike, *, k: int = 5, classes: Labels | None = None
) -> float:
    """Fraction of rows whose label is among the k best-scored classes.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The labels. One that is not in `classes` counts as a miss: nobody can score a
        class that was never seen. Drop unlabelled rows first: what is no class, and
        elsewhere marks them, is warned of (-1, -100, "?", "unlabeled"), and so is what
        looks like a class ("Cut " beside "cut").
    y_score : array-like of shape (n, C)
        Probabilities, logits or any other scores; the order is all that counts. Equal
        scores rank in the order of the columns (a stable sort). A table must not name
        its columns by other labels than they are read as, nor its rows in another order
        than `y_true`; names that only count, 0, 1, ..., are none.
    k : int, default=5
        A k above C is allowed and means C, so that a fold with few classes can still
        be scored. A k of C or more is warned of: every answer is among the k best.
    classes : array-like of shape (C,), default=None
        The label of each column, as in `estimator.classes_`. None means that `y_true`
        holds the column numbers 0, ..., C - 1.

    Returns
    -------
    accuracy : float in [0, 1]

    Raises
    ------
    ValueError
        If shapes disagree, a label is missing, a score is NaN, `classes` repeats a
        label, `classes` is None and `y_true` holds anything but column numbers or a
        scorer of scikit-learn calls, or the names of a table say otherwise.

    See Also
    --------
    mean_top_k_recall_score : The mean over classes instead of rows.

    Examples
    --------
    >>> from skanticipate.metrics import top_k_accuracy
    >>> scores = [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]]
    >>> top_k_accuracy(["cut", "wash"], scores, k=2, classes=["cut", "peel", "wash"])
    1.0
    >>> top_k_accuracy([1, 2], scores, k=1)
    0.5
    """
    _, hits = check_hits(y_true, y_score, k, classes)
    warn_of_sure_hits(k, y_score)
    return float(hits.mean())


def per_class_top_k_recall(
    y_true: Labels,
    y_score: ArrayLike,
    *,
    k: int = 5,
    labels: Labels | None = None,
    classes: Labels | None = None,
) -> Bunch:
    """Top-k recall of each class that occurs in `y_true`.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The labels. A label that is not in `classes` is a class with recall 0.
    y_score : array-like of shape (n, C)
        Scores; equal ones rank in the order of the columns.
    k : int, default=5
        How many classes an answer may name; see `top_k_accuracy`.
    labels : array-like, default=None
        Give these classes only. Those that do not occur in `y_true` are ignored.
    classes : array-like of shape (C,), default=None
        The label of each column. None means that `y_true` holds column numbers.

    Returns
    -------
    result : Bunch
        Columns of m rows, sorted by label: `labels`; `recall`, the fraction of the rows
        of that class that have it among their k best; `support`, the number of rows.

    Raises
    ------
    ValueError
        As `top_k_accuracy`, or if none of `labels` occurs in `y_true`.

    Examples
    --------
    >>> from skanticipate.metrics import per_class_top_k_recall
    >>> result = per_class_top_k_recall([0, 0, 1], [[3, 2], [2, 3], [1, 2]], k=1)
    >>> result.labels.tolist(), result.recall.tolist(), result.support.tolist()
    ([0, 1], [0.5, 1.0], [2, 1])
    """
    y_true, hits = check_hits(y_true, y_score, k, classes)
    warn_of_sure_hits(k, y_score)
    present, recall, support = recalls(y_true, hits)
    result = {"labels": present, "recall": recall, "support": support}
    if labels is None:
        return Bunch(**result)
    labels = label_list(labels, "labels", ordered=False)
    kept = label_mask(present, labels)
    if not kept.any():
        raise ValueError(
            f"None of the {len(kept)} classes of y_true is among labels, so there is "
            "nothing to average: pass labels of the same type as y_true."
        )
    warn_of_other_labels(labels, present)
    return Bunch(**{name: column[kept] for name, column in result.items()})


def mean_top_k_recall_score(
    y_true: Labels,
    y_score: ArrayLike,
    *,
    k: int = 5,
    labels: Labels | None = None,
    classes: Labels | None = None,
) -> float:
    r"""Mean over classes of the top-k recall; with k = 5 the EPIC-KITCHENS-100 metric.

    .. math:: \frac{1}{|P|} \sum_{c \in P} \frac{1}{n_c} \sum_{i : y_i = c}
              \mathbb{1}[c \in \text{top-}k(s_i)]

    where P are the classes that occur in `y_true` (and in `labels`). With k = 1 it is
    the class-mean accuracy, which scikit-learn calls balanced accuracy.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The labels. A label that is not in `classes` is a class with recall 0.
    y_score : array-like of shape (n, C)
        Scores; equal ones rank in the order of the columns.
    k : int, default=5
        How many classes an answer may name; see `top_k_accuracy`.
    labels : array-like, default=None
        Average over these classes only: the tail, or the many-shot classes. Those that
        do not occur in `y_true` are ignored.
    classes : array-like of shape (C,), default=None
        The label of each column. None means that `y_true` holds column numbers.

    Returns
    -------
    recall : float in [0, 1]

    Raises
    ------
    ValueError
        As `top_k_accuracy`, or if none of `labels` occurs in `y_true`.

    Notes
    -----
    "Tail" and "many-shot" are sets of classes and go into `labels`. "Unseen" is a set
    of rows, those of participants without a training video: cut them out of both arrays
    (see the example).

    References
    ----------
    A. Furnari, S. Battiato, G. M. Farinella, "Leveraging Uncertainty to Rethink Loss
    Functions and Evaluation Measures for Egocentric Action Anticipation", ECCV
    Workshops 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.metrics import mean_top_k_recall_score
    >>> y_true = np.array([0, 0, 0, 2])
    >>> scores = np.array([[3, 2, 1], [3, 2, 1], [1, 2, 3], [3, 1, 2]])
    >>> mean_top_k_recall_score(y_true, scores, k=2)
    0.83...
    >>> mean_top_k_recall_score(y_true, scores, k=2, labels=[1, 2])  # tail classes
    1.0
    >>> unseen = np.isin(["P01", "P02", "P18", "P18"], ["P18", "P32"])
    >>> mean_top_k_recall_score(y_true[unseen], scores[unseen], k=2)
    0.5
    """
    result = per_class_top_k_recall(
        y_true, y_score, k=k, labels=labels, classes=classes
    )
    return float(result.recall.mean())


def time_to_action(
    y_true: Labels,
    staged_scores: Iterable[ArrayLike],
    anticipation_times: ArrayLike,
    *,
    k: int = 5,
    classes: Labels | None = None,
) -> float:
    """Mean time, in seconds, by which the action is known before it starts.

    A row counts the largest anticipation time at which its label is among the k best
    classes, and 0 if it never is.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The labels. One that is not in `classes` is never known.
    staged_scores : iterable of S array-likes of shape (n, C)
        The scores at each stage, for instance `staged_predict_proba(X)`.
    anticipation_times : array-like of shape (S,)
        Seconds before the action of each stage, such as `anticipation_times_`. Stages
        are told apart by this number, so they may come in any order.
    k : int, default=5
        How many classes an answer may name; see `top_k_accuracy`.
    classes : array-like of shape (C,), default=None
        The label of each column. None means that `y_true` holds column numbers.

    Returns
    -------
    seconds : float

    Raises
    ------
    ValueError
        As `top_k_accuracy`; or if there is not one time for each stage, a time is
        negative or not finite, or the stages are named by other times.

    References
    ----------
    A. Furnari, G. M. Farinella, "Rolling-Unrolling LSTMs for Action Anticipation from
    First-Person Video", TPAMI 2020.

    Examples
    --------
    >>> from skanticipate.metrics import time_to_action
    >>> early, late = [[2, 1], [2, 1], [2, 1]], [[2, 1], [1, 2], [2, 1]]
    >>> time_to_action([0, 1, 1], [early, late], [2.0, 0.5], k=1)  # 2, 0.5 and never
    0.83...
    """
    hits = []  # of one stage after the other: scores may be large
    for scores in RowsAlike().each(staged_scores, "staged_scores"):
        hits.append(check_hits(y_true, scores, k, classes)[1])
        warn_of_sure_hits(k, scores)
    refuse_masked(anticipation_times, "anticipation_times", "Leave the stages out.")
    times = plain_numbers(anticipation_times, "anticipation_times")
    times = np.asarray(times, dtype=np.float64)
    if times.shape != (len(hits),) or not hits:
        raise ValueError(
            f"Expected one anticipation time for each stage, got {len(hits)} stages "
            f"and times of shape {times.shape}: pass one (n, C) array for each time."
        )
    if not (np.isfinite(times) & (times >= 0)).all():
        raise ValueError(
            "anticipation_times must be finite seconds before the action, not below 0, "
            f"got {times.tolist()}."
        )
    check_row_names(staged_scores, times.tolist(), name="staged_scores")
    return float(np.where(hits, times[:, None], 0.0).max(axis=0).mean())


def marginalize(
    proba: ArrayLike,
    classes: Labels,
    actions: Actions | None = None,
    *,
    verbs: Labels | None = None,
    nouns: Labels | None = None,
) -> Bunch:
    """Probabilities of verbs and nouns: the sum over the actions that contain them.

    Parameters
    ----------
    proba : array-like of shape (..., C)
        Action probabilities, not logits.
    classes : array-like of shape (C,)
        The action label of each column.
    actions : mapping, table or None, default=None
        Mapping label -> (verb, noun); or a table with columns `label`, `verb`, `noun`;
        or None: labels are strings "verb noun".
    verbs, nouns : array-like, default=None
        The verbs and nouns of the result, in its order. One that no action contains
        gets probability 0. None means those of `classes`, sorted.

    Returns
    -------
    result : Bunch
        `verbs` (V,), `verb_proba` (..., V), `nouns` (N,) and `noun_proba` (..., N).

    Raises
    ------
    ValueError
        If rows of `proba` do not sum to 1, are negative somewhere or have not one
        column for each class, a label has no (verb, noun), or `verbs` or `nouns` lack
        one that an action contains or repeat one. A row with a NaN is left as it is.

    Notes
    -----
    The code of [1]_ gives a verb or noun that no action contains the probability of
    the first action; here it is 0.

    References
    ----------
    .. [1] A. Furnari, G. M. Farinella, "Rolling-Unrolling LSTMs for Action Anticipation
       from First-Person Video", TPAMI 2020.

    Examples
    --------
    >>> from skanticipate.metrics import marginalize
    >>> classes = ["cut leek", "cut onion", "wash leek"]
    >>> result = marginalize([[0.5, 0.25, 0.25]], classes, verbs=["cut", "dry", "wash"])
    >>> result.verb_proba
    array([[0.75, 0.  , 0.25]])
    >>> result.nouns, result.noun_proba
    (array(['leek', 'onion'], dtype='<U5'), array([[0.75, 0.25]]))
    """
    classes = label_list(classes, "classes")
    check_label_names(proba, classes, name="proba")
    refuse_masked(proba, "proba", "Drop these rows, or fill in the probabilities.")
    proba = np.asarray(plain_numbers(proba, "proba"))
    if not classes:
        raise ValueError("classes is empty: expected the class of each column.")
    if proba.ndim == 0 or proba.shape[-1] != len(classes):
        raise ValueError(
            f"proba has shape {proba.shape} but there are {len(classes)} classes: its "
            "last axis must hold one probability for each class."
        )
    if (proba < 0).any():
        raise ValueError(
            "proba has negative values: marginalize takes probabilities, not logits or "
            "log probabilities."
        )
    rows = proba.reshape(-1, len(classes))
    check_probabilities(rows[~np.isnan(rows).any(axis=1)], "proba")
    verb_of_action, noun_of_action = verbs_and_nouns(classes, actions)
    verbs, verb_proba = _sum_over_parts(proba, verb_of_action, verbs, "verbs")
    nouns, noun_proba = _sum_over_parts(proba, noun_of_action, nouns, "nouns")
    return Bunch(verbs=verbs, verb_proba=verb_proba, nouns=nouns, noun_proba=noun_proba)


def _sum_over_parts(proba, part_of_action, parts, name):
    """Names of the parts (P,) and the sums of probability over them (..., P)."""
    given = sorted(set(part_of_action)) if parts is None else label_list(parts, name)
    check_distinct(given, name)
    codes = label_codes(part_of_action, given)
    if (codes < 0).any():
        raise ValueError(
            f"{name} lacks {part_of_action[codes < 0][0]!r}, which an action contains: "
            f"its probability would be lost. Add it, or leave {name}=None."
        )
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    summed = np.add.reduceat(proba[..., order], starts, axis=-1)
    sums = np.zeros((*proba.shape[:-1], len(given)), dtype=summed.dtype)
    sums[..., present] = summed
    return np.asarray(given), sums
