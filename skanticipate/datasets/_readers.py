"""Readers of lists of classes and actions: a csv file in, columns out."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skanticipate._typing import Actions, Columns, FilePath
from skanticipate.data.actions import as_mapping, by_ids
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import check_same_kind, label_list, label_mask
from skanticipate.datasets._class_names import names_of_ids
from skanticipate.datasets._csv import CsvFile, first_line, line_error, named
from skanticipate.datasets._formats import complaint
from skanticipate.datasets._halves import halves

_CLASS_LIST_HEADERS = {  # the columns, sorted -> those with the ids
    ("verb",): ("verb",),
    ("noun",): ("noun",),
    ("verb_class",): ("verb_class",),
    ("noun_class",): ("noun_class",),
    ("verb", "verb_class"): ("verb_class",),
    ("noun", "noun_class"): ("noun_class",),
    ("action_class", "noun_class", "verb_class"): ("verb_class", "noun_class"),
    ("action_class", "noun", "noun_class", "verb", "verb_class"): (
        "verb_class",
        "noun_class",
    ),
}
_CLASS_HEADERS = (  # EPIC-KITCHENS-55 verbs, nouns; EPIC-KITCHENS-100
    ("verb_id", "class_key", "verbs"),
    ("noun_id", "class_key", "nouns"),
    ("id", "key", "instances"),
)


def read_actions(
    path: FilePath,
    *,
    verbs: Sequence[str] | Columns | None = None,
    nouns: Sequence[str] | Columns | None = None,
) -> Bunch:
    r"""Read which verb and which noun each action label stands for.

    The table can be given to everything that takes `actions=`. RULSTM's file of
    EPIC-KITCHENS-55 holds the words of one annotator instead of the names of the
    classes (they agree for 64 % of the verbs), so pass the names with `verbs` and
    `nouns`.

    Parameters
    ----------
    path : str or path-like
        An `actions.csv` as RULSTM publishes it for EPIC-KITCHENS-55, -100 or EGTEA
        Gaze+: with the columns `id`, `verb`, `noun` and `action` in any order,
        where `action` reads "take_pan" or "take pan"; or without a header and with
        lines like `3, 3_3, Cut_tomato`.
    verbs, nouns : sequence of str, mapping or table, default=None
        Names of the classes, indexed by class id; a mapping or Series id -> name; or a
        table with the columns `id` and `name`, as :func:`read_classes` returns it. By
        default, the two halves of the text of the action; where it has several words,
        as "turn on tap", those that agree best with the other rows of the same ids and
        of other ids, else those at the first underscore, or at the first space.

    Returns
    -------
    actions : Bunch
        Columns of shape (n_actions,): `label`, the action id; `verb` and `noun`,
        names; `verb_id` and `noun_id`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, a line is broken, a label occurs twice or a verb or
        noun id has no name; names the file and the line. If `verbs` or `nouns` give
        an id two names, or one that is no text.

    Warns
    -----
    UserWarning
        If two ids of verbs, or of nouns, have one name; if the texts of the file agree
        better with the names of the ids beside theirs, or with none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_actions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "actions.csv"
    ...     _ = path.write_text("id,action,verb,noun\n7, grab_pan,0,1")
    ...     actions = read_actions(path, verbs=["take", "put"], nouns=["tap", "pan"])
    >>> actions.label, actions.verb, actions.noun
    (array([7]), array(['take'], dtype='<U4'), array(['pan'], dtype='<U3'))
    """
    file = CsvFile.for_reader(path, "read_actions")
    if "id" in file.rows[0]:
        file.use_header(("id", "action", "verb", "noun"))
        ids = file.strings("verb"), file.strings("noun")
    else:
        file.use_names(("id", "verb_noun", "action"))
        ids = halves(file, "verb_noun")
    verb_id, noun_id = map(file.whole_numbers, ("verb", "noun"), ids)
    verb_text, noun_text = halves(file, "action", verb_id, noun_id)
    return Bunch(
        label=file.distinct_integers("id"),
        verb=names_of_ids(file, "verbs", verb_id, verbs, default=verb_text),
        noun=names_of_ids(file, "nouns", noun_id, nouns, default=noun_text),
        verb_id=verb_id,
        noun_id=noun_id,
    )


def read_classes(path: FilePath) -> Bunch:
    r"""Read the names of the classes of EPIC-KITCHENS or EGTEA Gaze+.

    Parameters
    ----------
    path : str or path-like
        `EPIC_verb_classes.csv`, `EPIC_noun_classes.csv` or their EPIC_100
        counterparts: the id, the name and the list of all the forms of a class. Or
        `action_idx.txt`, `verb_idx.txt` or `noun_idx.txt` of EGTEA: lines with a name
        and a number, from 1.

    Returns
    -------
    classes : Bunch
        Ordered by id, from 0. `id` : ndarray of int; `name` : ndarray of str, the class
        keys; `instances` : list of tuples of str, the forms in each class.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, a line is broken or an id occurs twice; names the
        file and the line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_classes
    >>> content = "verb_id,class_key,verbs\n" + '''0,take,"['take', 'grab']"'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "EPIC_verb_classes.csv"
    ...     _ = path.write_text(content)
    ...     verbs = read_classes(path)
    >>> verbs.name, verbs.instances
    (array(['take'], dtype='<U4'), [('take', 'grab')])
    """
    file = CsvFile.for_reader(path, "read_classes")
    if len(file.rows[0]) == 1 and " " in file.rows[0][0]:
        return _numbered_names(file)
    fitting = [names for names in _CLASS_HEADERS if names[0] in file.rows[0]]
    id_name, key_name, forms_name = fitting[0] if fitting else _CLASS_HEADERS[-1]
    file.use_header((id_name, key_name, forms_name))
    ids = file.distinct_integers(id_name)
    instances = [
        _string_list(file, row, text)
        for row, text in enumerate(file.strings(forms_name))
    ]
    order = np.argsort(ids)
    return Bunch(
        id=ids[order],
        name=np.array(file.strings(key_name))[order],
        instances=[instances[row] for row in order],
    )


def _numbered_names(file):
    """Classes of EGTEA: "Cut tomato 3" is the class 2."""
    file.use_names(("class",))
    halves_of = [text.rpartition(" ")[::2] for text in file.strings("class")]
    names, numbers = zip(*halves_of, strict=True)
    ids = file.whole_numbers("number", numbers) - 1
    seen = set()
    for row, number in enumerate(ids.tolist()):
        if number < 0 or number in seen:
            raise file.error(
                row, f"has the number {number + 1}: expected each once, from 1"
            )
        seen.add(number)
    order = np.argsort(ids)
    names = [names[row].strip() for row in order]
    return Bunch(
        id=ids[order], name=np.array(names), instances=[(name,) for name in names]
    )


def _string_list(file, row, text):
    """Read a Python list of strings: only literals, nothing is evaluated."""
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        values = None
    if not (isinstance(values, list) and all(isinstance(v, str) for v in values)):
        raise file.error(
            row, f"has {text[:40]!r} as list of forms: expected ['take', 'grab']"
        )
    return tuple(values)


def read_class_list(path: FilePath) -> np.ndarray:
    r"""Read a list of verb, noun or action classes, such as many-shot or tail ones.

    Parameters
    ----------
    path : str or path-like
        `EPIC_many_shot_verbs.csv`, `..._nouns.csv`, `..._actions.csv`,
        `EPIC_100_tail_verbs.csv` or `EPIC_100_tail_nouns.csv`.

    Returns
    -------
    classes : ndarray of int of shape (n_classes,) or (n_classes, 2)
        Class ids, sorted; for actions, rows of verb id and noun id.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, is another table (its columns are not those of a list of
        classes), a line is broken or a class is listed twice; names the file and the
        line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_class_list
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "EPIC_many_shot_verbs.csv"
    ...     _ = path.write_text("verb_class,verb\n1,put\n0,take")
    ...     read_class_list(path)
    array([0, 1])
    """
    line, number = first_line(path)
    if line.startswith(("{", "[")):
        raise line_error(path, number, complaint(line, "read_class_list"))
    file = CsvFile(path)
    header = tuple(sorted(file.rows[0]))
    if header not in _CLASS_LIST_HEADERS:
        listed = "; ".join(", ".join(names) for names in _CLASS_LIST_HEADERS)
        raise file.error(
            0,
            f"has the columns {', '.join(file.rows[0])}: expected those of a list of "
            f"classes ({listed}). {named(path)}",
        )
    names = _CLASS_LIST_HEADERS[header]
    file.use_header(names)
    classes = list(zip(*map(file.integers, names), strict=True))
    seen = set()
    for row, ids in enumerate(classes):
        if ids in seen or min(ids) < 0:
            raise file.error(
                row,
                f"has the class {', '.join(map(str, ids))}, which is negative or was "
                "listed before: expected each class once",
            )
        seen.add(ids)
    classes = np.unique(classes, axis=0)
    return classes if len(names) > 1 else classes[:, 0]


def many_shot_actions(
    actions: Actions,
    verbs: ArrayLike,
    nouns: ArrayLike,
    *,
    rule: Literal["and", "or"] = "and",
) -> np.ndarray:
    """Actions whose verb and noun are many-shot.

    Class recalls "on many-shot classes" are not comparable unless the list is the
    same: EPIC-KITCHENS-55 averages over 819 actions (`rule="and"`), RULSTM and AVT
    over 2,265 (`rule="or"`).

    Parameters
    ----------
    actions : Bunch, table or mapping
        What :func:`read_actions` returned: `label`, `verb_id` and `noun_id`; or a
        mapping from the label to (verb id, noun id).
    verbs, nouns : array-like of int
        Ids of the many-shot verbs and nouns, those with more than 100 training
        instances.
    rule : {"and", "or"}, default="and"
        Whether both or at least one of verb and noun must be many-shot.

    Returns
    -------
    labels : ndarray of int of shape (n_many_shot,)
        Labels, sorted, as `labels=` of
        :func:`skanticipate.metrics.mean_top_k_recall_score` takes them.

    Raises
    ------
    ValueError
        If the rule is unknown, or a label has two pairs of ids.

    Examples
    --------
    >>> from skanticipate.datasets import many_shot_actions
    >>> actions = {"label": [0, 1, 2], "verb_id": [0, 0, 1], "noun_id": [0, 1, 1]}
    >>> many_shot_actions(actions, verbs=[0], nouns=[1])
    array([1])
    >>> many_shot_actions(actions, verbs=[0], nouns=[1], rule="or")
    array([0, 1, 2])
    """
    rules = {"and": np.logical_and, "or": np.logical_or}
    if not isinstance(rule, str) or rule not in rules:
        raise ValueError(f"rule is {rule!r}: expected 'and' or 'or'.")
    pairs = as_mapping(by_ids(actions))  # no label with two pairs
    is_many_shot = []
    for column, (name, ids) in enumerate((("verb", verbs), ("noun", nouns))):
        refuse_masked(ids, f"{name}s", "Leave these ids out.")
        listed = label_list(ids, f"{name}s", ordered=False)
        own = [pair[column] for pair in pairs.values()]
        check_same_kind(listed, own, f"{name}s", f"{name}_id of actions")
        is_many_shot.append(label_mask(own, listed))
    return np.unique(np.asarray(list(pairs))[rules[rule](*is_many_shot)])


def read_video_info(path: FilePath) -> Bunch:
    r"""Read how many frames per second each video has, and how long it is.

    Parameters
    ----------
    path : str or path-like
        `EPIC_100_video_info.csv`, `EPIC_video_info.csv`, or a csv file with the columns
        `video` (or `video_id`) and `fps`.

    Returns
    -------
    info : Bunch
        `video` and `fps`, columns of shape (n_videos,), which everything with `fps=`
        takes as it is; `duration` in seconds, and other columns under their own names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, is of another kind, a line is broken, a video occurs twice
        or a rate is not above 0; names the file and the line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_video_info
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "EPIC_100_video_info.csv"
    ...     _ = path.write_text("video_id,duration,fps\nP01_101,38.5,50.0")
    ...     info = read_video_info(path)
    >>> info.video, info.fps
    (array(['P01_101'], dtype='<U7'), array([50.]))
    """
    file = CsvFile.for_reader(path, "read_video_info")
    name = "video_id" if "video_id" in file.rows[0] else "video"
    file.use_header((name, "fps"))
    videos, seen = file.strings(name), set()
    for row, video in enumerate(videos):
        if video in seen:
            raise file.error(row, f"has the video {video!r}, which was listed before")
        seen.add(video)
    columns = {other: np.array(file.strings(other)) for other in file.names}
    columns.pop(name)
    columns["fps"] = file.numbers("fps", above=0)
    if "duration" in columns:
        columns["duration"] = file.numbers("duration", above=0)
    return Bunch(video=np.array(videos), **columns)
