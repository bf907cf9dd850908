"""Predictions written as a file for the challenges of EPIC-KITCHENS."""

from __future__ import annotations

import json
import os
import secrets

import numpy as np
from numpy.typing import ArrayLike

from skanticipate._typing import Actions, FilePath, Labels
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import label_list
from skanticipate.data.names import check_label_names
from skanticipate.data.places import check_row_names
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.warn import warn
from skanticipate.datasets._submission_check import (
    CHALLENGES,
    N_ACTIONS,
    Challenge,
    Dataset,
    check_head,
    check_ids,
    rules_of,
)
from skanticipate.metrics import marginalize
from skanticipate.metrics.epic import ids_of_columns, verb_noun_ids


def write_submission(
    path: FilePath,
    ids: ArrayLike,
    *,
    sls_pt: int | None = None,
    sls_tl: int | None = None,
    sls_td: int | None = None,
    action: ArrayLike | None = None,
    classes: Labels | None = None,
    actions: Actions | None = None,
    verb: ArrayLike | None = None,
    noun: ArrayLike | None = None,
    challenge: Challenge = "action_anticipation",
    dataset: Dataset = "epic100",
) -> None:
    """Write predictions in the official JSON format of EPIC-KITCHENS-100, or of -55.

    Parameters
    ----------
    path : str or path-like
        File to write; an old one is replaced once the new one is complete.
    ids : array-like of str of shape (n,)
        The `narration_id` of each segment, such as `P01_11_0`; of "epic55" the `uid`,
        strings or integers. The challenge wants all segments of its test set.
    sls_pt, sls_tl, sls_td : int, default=None
        Supervision levels [1]_ of pre-training, training labels and training data,
        each from 0 to 5. Needed for "epic100"; "epic55" has none.
    action : array-like of shape (n, C), default=None
        Scores of the actions, such as `predict_proba(X)`. The 100 best of each segment
        are written; of equal scores, those of the first columns. None leaves actions
        to the server, which multiplies the softmax of the scores of verbs and nouns:
        pass logits, or logarithms of probabilities.
    classes : array-like of shape (C,), default=None
        Action id of each column of `action`, as in `estimator.classes_`. None means
        that the columns are the action ids 0, ..., C - 1.
    actions : table or mapping, default=None
        Verb id and noun id of each action: what :func:`read_actions` returned, or a
        mapping from the action id to (verb id, noun id). Needed with `action`.
    verb, noun : array-like of shape (n, 97) and (n, 300), default=None
        Scores of the verbs and nouns, of "epic55" (n, 125) and (n, 352); the columns
        are their ids. None means the sums
        over the actions that contain them, for which `action` must hold probabilities.
    challenge : {"action_anticipation", "action_recognition"}, \
            default="action_anticipation"
        The server that the file is for; both take the same format.
    dataset : {"epic100", "epic55"}, default="epic100"
        EPIC-KITCHENS-100, or -55, which wants two files in a zip archive: `seen.json`
        of its first test set (S1), and `unseen.json` of its second (S2).

    Raises
    ------
    ValueError
        If a score is not finite (names the segment), a segment occurs twice, shapes
        disagree, there are fewer than 100 actions, an action has no verb and noun or
        ids out of range, or a level is none. An old file stays as it was.

    Warns
    -----
    UserWarning
        If `verb` or `noun` hold probabilities and there is no `action`; if `classes`
        is None and `actions` has more labels than `action` has columns.

    See Also
    --------
    validate_submission : Check a file, whoever wrote it.

    References
    ----------
    .. [1] D. Damen, M. Wray, "Supervision Levels Scale (SLS)", arXiv 2008.09890.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skanticipate.datasets import validate_submission, write_submission
    >>> actions = {label: (label % 97, label) for label in range(120)}
    >>> proba = np.full((2, 120), 1 / 120)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "test.json"
    ...     write_submission(
    ...         path,
    ...         ["P01_11_0", "P01_11_1"],
    ...         action=proba,
    ...         actions=actions,
    ...         sls_pt=1,
    ...         sls_tl=3,
    ...         sls_td=3,
    ...     )
    ...     submission = validate_submission(path, ["P01_11_0", "P01_11_1"])
    >>> submission.verb.shape, submission.noun.shape, submission.action.shape
    ((2, 97), (2, 300), (2, 100))
    """
    rules = rules_of(dataset)
    head = {"version": rules.version, "challenge": challenge}
    levels = {"sls_pt": sls_pt, "sls_tl": sls_tl, "sls_td": sls_td}
    for name, level in levels.items():
        if level is not None:  # NumPy's whole numbers as JSON has them
            head[name] = level.item() if isinstance(level, np.integer) else level
    check_head(head, "The submission", CHALLENGES, rules)
    strange = [name for name in head if name in levels and name not in rules.levels]
    if strange:
        raise ValueError(f"A file of {dataset} has no {strange[0]}: leave it out.")
    check_rows_alike(ids=ids, action=action, verb=verb, noun=noun)
    ids, limits = check_ids(ids, rules), rules.n_classes
    if action is None and (verb is None or noun is None):
        raise ValueError(
            "A submission needs scores of verbs and nouns: pass verb= and noun=, or "
            "action=, the probabilities of actions, to sum them from."
        )
    scores, keys = {}, {task: _keys(n) for task, n in limits.items()}
    if action is not None:
        if classes is None:
            labels = ids_of_columns(action, actions)
        else:
            labels = label_list(classes, "classes")
        pairs = list(zip(*verb_noun_ids(labels, actions), strict=True))
        keys["action"] = _action_keys(pairs, limits)
        scores["action"] = _check_scores(action, ids, labels, "action")
    if verb is None or noun is None:
        parts = {"verbs": range(limits["verb"]), "nouns": range(limits["noun"])}
        table = dict(zip(labels, pairs, strict=True))
        sums = marginalize(scores["action"], labels, table, **parts)
        verb = sums.verb_proba if verb is None else verb
        noun = sums.noun_proba if noun is None else noun
    scores["verb"] = _check_scores(verb, ids, range(limits["verb"]), "verb")
    scores["noun"] = _check_scores(noun, ids, range(limits["noun"]), "noun")
    if action is None:
        _hint_softmax(scores)
    _write(path, head, ids, _entries(scores, keys))


def _hint_softmax(scores):
    """Warn of probabilities of verbs or nouns, which the server makes actions of."""
    found = [
        task
        for task, s in scores.items()
        if (s >= 0).all() and np.allclose(s.sum(axis=1, dtype=np.float64), 1, atol=1e-3)
    ]
    if found:
        warn(
            f"{' and '.join(found)} hold probabilities, and without action= the server "
            "takes the softmax of verb and of noun: it would not rank actions by the "
            f"product of the two. Pass {' and '.join(f'np.log({t})' for t in found)}, "
            "of values above 0, or action=."
        )


def _keys(n):
    return [str(number) for number in range(n)]


def _action_keys(pairs, limits):
    """Key "verb,noun" of each action; all different and in range."""
    if len(pairs) < N_ACTIONS:
        raise ValueError(
            f"A submission holds the {N_ACTIONS} best actions of each segment, but "
            f"there are scores of {len(pairs)}: pass scores of more actions, or verb= "
            "and noun= alone."
        )
    seen = set()
    for verb, noun in pairs:
        if not (0 <= verb < limits["verb"] and 0 <= noun < limits["noun"]):
            raise ValueError(
                f"actions holds the verb {verb} and the noun {noun}: expected ids "
                f"below {limits['verb']} and {limits['noun']}, from 0."
            )
        if (verb, noun) in seen:
            raise ValueError(
                f"actions gives two classes the verb {verb} and the noun {noun}: a "
                "submission has one score for each pair."
            )
        seen.add((verb, noun))
    return [f"{verb},{noun}" for verb, noun in pairs]


def _check_scores(scores, ids, columns, task):
    """One finite number for each segment and class.   -> (n, n_columns)."""
    check_label_names(scores, columns, name=task)
    check_row_names(scores, ids, name=task)
    refuse_masked(scores, f"The scores of {task}", "Fill in the scores.")
    n_columns = len(columns)
    scores = np.asarray(plain_numbers(scores, f"The scores of {task}"))
    if scores.shape != (len(ids), n_columns) or scores.dtype.kind not in "fiu":
        raise ValueError(
            f"The scores of {task} are {scores.dtype} of shape {scores.shape}: "
            f"expected numbers of shape {(len(ids), n_columns)}, one row for each "
            "segment and one column for each class."
        )
    rows, columns = np.nonzero(~np.isfinite(scores))
    if len(rows):
        raise ValueError(
            f"Segment {ids[rows[0]]!r} has the score {scores[rows[0], columns[0]]} in "
            f"column {columns[0]} of {task}: scores must be finite."
        )
    return scores


def _entries(scores, keys):
    """Yield what the file says about each segment."""
    for row in range(len(scores["verb"])):
        entry = {
            task: dict(zip(keys[task], scores[task][row].tolist(), strict=True))
            for task in ("verb", "noun")
        }
        if "action" in scores:
            own = scores["action"][row].astype(np.float64)
            best = np.argsort(-own, kind="stable")[:N_ACTIONS].tolist()
            entry["action"] = {keys["action"][c]: own[c].item() for c in best}
        yield entry


def _write(path, head, ids, entries):
    """Write segment by segment: all at once would take gigabytes for a test set."""
    unfinished = f"{os.fspath(path)}.{secrets.token_hex(4)}.tmp"
    try:
        with open(unfinished, "x", encoding="utf-8") as file:
            file.write(json.dumps(head)[:-1] + ', "results": {')
            for row, (segment, entry) in enumerate(zip(ids, entries, strict=True)):
                separator = ",\n" if row else "\n"
                file.write(f"{separator}{json.dumps(segment)}: {json.dumps(entry)}")
            file.write("\n}}\n")
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
