"""All metrics of the EPIC-KITCHENS-100 anticipation challenge from one call."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import column_or_1d

from skanticipate._typing import Actions, Columns, Labels
from skanticipate.data.actions import (
    as_mapping,
    by_ids,
    says_labels,
    verbs_and_nouns,
)
from skanticipate.data.boxes import plain_column, refuse_counts, unboxed
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import check_same_kind, label_list, label_mask
from skanticipate.data.names import check_label_names
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.warn import warn
from skanticipate.metrics.hits import check_hits, recalls
from skanticipate.metrics.scores import marginalize

_TASKS = ("verb", "noun", "action")
_METRICS = ("mean_top5_recall", "top1_accuracy", "top5_accuracy")


def epic100_metrics(
    y_true: Columns,
    *,
    action: ArrayLike,
    classes: Labels | None = None,
    actions: Actions | None = None,
    verb: ArrayLike | None = None,
    noun: ArrayLike | None = None,
    tail: Mapping[str, Labels] | None = None,
    unseen: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Mean top-5 recall and top-k accuracy: overall, unseen, tail; verb, noun, action.

    Parameters
    ----------
    y_true : table with n rows
        The segments, with columns `verb`, `noun` and `action` of class ids: what
        :func:`skanticipate.datasets.read_segments` returned, a DataFrame, a mapping.
    action : array-like of shape (n, C)
        Scores of the actions, such as `predict_proba(X)`.
    classes : array-like of shape (C,), default=None
        Action id of each column of `action`, as in `estimator.classes_`. None means
        that the columns are the action ids 0, ..., C - 1.
    actions : table or mapping, default=None
        Verb id and noun id of each action: what
        :func:`skanticipate.datasets.read_actions` returned, or a mapping from the
        action id to (verb id, noun id). Needed where `verb` or `noun` is None.
    verb, noun : array-like of shape (n, V) and (n, N), default=None
        Scores of the verbs and nouns; the columns are their ids. None means the sums
        over the actions that contain them, for which `action` must hold probabilities.
    tail : mapping, default=None
        Ids of the tail classes, under `verb` and `noun`. An action is in the tail if
        its verb or its noun is. None leaves these rows of the table out.
    unseen : array-like of bool of shape (n,), default=None
        Segments of people without a training video. None leaves these rows out.

    Returns
    -------
    table : list of dict
        One row for each subset and task, with the keys `subset` ("overall", "unseen",
        "tail"), `task` ("verb", "noun", "action"), `n_segments`, `mean_top5_recall`,
        `top1_accuracy` and `top5_accuracy`, as fractions in [0, 1]. A DataFrame takes
        it as it is.

    Raises
    ------
    ValueError
        If shapes disagree, a score is NaN, `y_true` or `tail` lacks a column, or verbs
        and nouns are to be computed and `actions` is missing, lacks an action or holds
        names instead of ids.

    Warns
    -----
    UserWarning
        If `classes` is None and `actions` has more labels than `action` has columns; if
        there are scores of five classes or fewer, which are all among the five best.

    See Also
    --------
    mean_top_k_recall_score : The metric that the challenge ranks by.
    skanticipate.datasets.fetch_epic100 : Has `validation`, `actions`, `tail`, `unseen`.

    Notes
    -----
    The recall of a subset is the mean over the classes that occur in it. A class
    without a column of scores counts as missed. Where a subset has no segment its
    metrics are NaN.

    References
    ----------
    Damen et al., "Rescaling Egocentric Vision: Collection, Pipeline and Challenges for
    EPIC-KITCHENS-100", IJCV 2022. The values are those of the official evaluation,
    https://github.com/epic-kitchens/C3-Action-Anticipation.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.metrics import epic100_metrics
    >>> segments = {"verb": [0, 1, 2], "noun": [5, 4, 3], "action": [0, 1, 2]}
    >>> table = epic100_metrics(
    ...     segments,
    ...     action=np.eye(6)[[0, 1, 5]],  # of the third segment nothing is right
    ...     actions={action: (action, 5 - action) for action in range(6)},
    ...     tail={"verb": [2], "noun": []},
    ...     unseen=[False, True, True],
    ... )
    >>> for row in table:
    ...     print(row["subset"], row["task"], row["n_segments"], row["top1_accuracy"])
    overall verb 3 0.66...
    overall noun 3 0.66...
    overall action 3 0.66...
    unseen verb 2 0.5
    unseen noun 2 0.5
    unseen action 2 0.5
    tail verb 1 0.0
    tail noun 0 nan
    tail action 1 0.0
    """
    labels = _columns(y_true, _TASKS, "y_true")
    action, verb, noun = (
        None if scores is None else plain_numbers(scores, f"The scores of {task}")
        for task, scores in (("action", action), ("verb", verb), ("noun", noun))
    )
    check_rows_alike(
        y_true=y_true["action"],
        **{f"{task} of y_true": y_true[task] for task in _TASKS},
        **{"action": action, "verb": verb, "noun": noun, "unseen": unseen},
    )
    classes = None if classes is None else label_list(classes, "classes")
    if verb is None or noun is None:
        verbs, nouns = _sums_of_actions(action, classes, actions)
    answers = {
        "verb": verbs if verb is None else (verb, None),
        "noun": nouns if noun is None else (noun, None),
        "action": (action, classes),
    }
    table = []
    for subset, rows in _subsets(labels, tail, unseen).items():
        for task in _TASKS:
            scores, known = answers[task]
            values = _metrics(task, labels[task], scores, known, rows[task])
            table.append({"subset": subset, "task": task, **values})
    _hint_few(answers)
    return table


def _hint_few(answers):
    """Warn of scores of so few classes that every one is among the five best."""
    counts = {task: np.shape(scores)[1] for task, (scores, _) in answers.items()}
    few = [f"{n} of {task}" for task, n in counts.items() if n <= 5]
    if few:
        warn(
            f"There are scores of few classes, {', '.join(few)}: all of them are among "
            "the five best, so that all labels that are classes are hits of these "
            "figures, whatever the scores are. Look at top1_accuracy, or score more "
            "classes."
        )


def verb_noun_ids(classes, actions):
    """Verb id and noun id of each action class.   (C,) -> (C,) intp, (C,) intp.

    `actions` is a table with columns `label`, `verb_id` and `noun_id`, or anything
    that `verbs_and_nouns` takes and that holds ids.
    """
    if actions is None:
        raise ValueError(
            "The verb and the noun of an action are unknown: pass actions=, the table "
            "of read_actions or a mapping from the action id to (verb id, noun id)."
        )
    parts = verbs_and_nouns(classes, by_ids(actions))
    names = [name for name in [*parts[0], *parts[1]] if not isinstance(name, Integral)]
    if names:
        raise ValueError(
            f"actions must give the ids of verbs and nouns, got {names[0]!r}: pass a "
            "table with columns label, verb_id and noun_id, or a mapping from the "
            "action id to (verb id, noun id)."
        )
    return tuple(part.astype(np.intp) for part in parts)


def n_columns(scores, what):
    """Number of classes of which there are scores.   (n, C) -> C."""
    shape = np.shape(scores)
    if len(shape) != 2:
        raise ValueError(
            f"{what} has shape {shape}: expected (n, C), one row for each segment and "
            "one column for each class."
        )
    return shape[1]


def ids_of_columns(action, actions):
    """Action ids of columns that nobody names: 0, 1, ...   (n, C) -> C ints.

    Warns where `actions` has more than there are columns: an estimator answers for the
    classes that it has seen.
    """
    n = n_columns(action, "action")
    n_actions = len(as_mapping(by_ids(actions))) if says_labels(actions) else n
    if n < n_actions:
        warn(
            f"action has {n} columns and actions has {n_actions} labels: without "
            f"classes= the columns are the action ids 0 to {n - 1}, whichever classes "
            "the estimator has seen. Pass classes=estimator.classes_, or range(C) if "
            "they are."
        )
    return range(n)


def _sums_of_actions(action, classes, actions):
    """Probabilities and ids of the verbs, and of the nouns."""
    if classes is None:
        classes = ids_of_columns(action, actions)
    ids = zip(*verb_noun_ids(classes, actions), strict=True)
    sums = marginalize(action, classes, dict(zip(classes, ids, strict=True)))
    return (sums.verb_proba, sums.verbs), (sums.noun_proba, sums.nouns)


def _columns(table, names, what):
    try:
        columns = {name: plain_column(table[name]) for name in names}
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{what} must be a table with the columns {', '.join(names)}, got "
            f"{type(table).__name__} without them."
        ) from error
    for name, column in columns.items():
        refuse_masked(column, f"{name} of {what}", "Leave these rows out.")
    return {name: column_or_1d(column) for name, column in columns.items()}


def _subsets(labels, tail, unseen):
    """Which rows each subset keeps, by task."""
    n = len(labels["action"])
    subsets = {"overall": dict.fromkeys(_TASKS, np.ones(n, dtype=bool))}
    if unseen is not None:
        refuse_masked(unseen, "unseen", "Say of every segment whether it is.")
        unseen = np.asarray(unboxed(unseen))
        if unseen.dtype != bool or unseen.shape != (n,):
            raise ValueError(
                f"unseen must be a mask of shape ({n},), one truth value for each "
                f"segment, got {unseen.dtype} of shape {unseen.shape}."
            )
        subsets["unseen"] = dict.fromkeys(_TASKS, unseen)
    if tail is not None:
        ids = _columns(tail, ("verb", "noun"), "tail")
        for task, numbers in ids.items():
            refuse_counts(tail[task], f"{task} of tail")
            whose = f"{task} of y_true"
            check_same_kind(numbers, labels[task], f"{task} of tail", whose)
        rows = {task: label_mask(labels[task], ids[task]) for task in ids}
        subsets["tail"] = rows | {"action": rows["verb"] | rows["noun"]}
    return subsets


def _metrics(task, y_true, scores, columns, rows):
    """Metrics of one task over some rows; NaN where there is none."""
    refuse_masked(scores, f"The scores of {task}", "Fill in the scores.")
    known = n_columns(scores, f"The scores of {task}")
    ids = range(known) if columns is None else columns
    check_label_names(scores, ids, name=f"the scores of {task}")
    scores = np.asarray(scores)
    if len(scores) != len(y_true):
        raise ValueError(
            f"y_true has {len(y_true)} segments but the scores of {task} have "
            f"{len(scores)} rows: give one row of scores for each segment."
        )
    y_true, scores = y_true[rows], scores[rows]

    values = dict.fromkeys(_METRICS, float("nan"))
    if len(y_true):
        (_, first), (_, of_five) = (
            check_hits(y_true, scores, k, columns) for k in (1, 5)
        )
        _, recall, _ = recalls(y_true, of_five)
        means = [float(found.mean()) for found in (recall, first, of_five)]
        values = dict(zip(_METRICS, means, strict=True))
    return {"n_segments": len(y_true), **values}
