"""Tables of segments as their authors publish them, recognised by what they begin."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.utils import Bunch

from skanticipate._typing import Actions, FilePath
from skanticipate.data.actions import as_mapping, by_ids
from skanticipate.datasets._csv import CsvFile, first_line, is_whole_number, line_error
from skanticipate.datasets._egtea import read_egtea_list, read_egtea_split
from skanticipate.datasets._formats import complaint, recognise
from skanticipate.datasets._times import TIME_COLUMNS, seconds_of_timestamp

_RULSTM_COLUMNS = ("id", "video", "start_frame", "stop_frame", "verb", "noun", "action")
_NEEDED_COLUMNS = ("video", "start_frame", "stop_frame", "action")
_NUMBER_COLUMNS = ("start_frame", "stop_frame", "verb", "noun", "action")
_SPAN = ("start_timestamp", "stop_timestamp", "start_frame", "stop_frame")
_CLASSES = ("verb_class", "noun_class")


class Segments(Bunch):
    """Columns of a table of segments; `format` says what kind of file they are from."""

    def __init__(self, columns, format):
        super().__init__(**columns)
        object.__setattr__(self, "format", format)  # an attribute, and no column

    def __reduce__(self):
        return Segments, (dict(self), self.format)


def read_segments(path: FilePath, *, actions: Actions | None = None) -> Segments:
    """Read a table of annotated segments, in whatever form it is published.

    The form is recognised by how the file begins, and `segments.format` says which one
    it was:

    ===================  =============================================================
    epic100, epic55      official csv of EPIC-KITCHENS-100 (its UDA files, too) or -55
    epic100_unlabeled,   their test segments (`..._timestamps.csv`), which have no
    epic55_unlabeled     labels
    rulstm               csv of RULSTM: no header and the seven columns `id, video,
                         start_frame, stop_frame, verb, noun, action`; frames at 30
                         per second
    rulstm_unlabeled     the first four of them
    egtea                `action_labels.csv` of EGTEA Gaze+, separated by semicolons
    egtea_split          `train_split1.txt`, ... of EGTEA Gaze+, separated by spaces
    table                csv with a header, of which `video`, `start_frame`,
                         `stop_frame` and `action` are needed
    ===================  =============================================================

    Parameters
    ----------
    path : str or path-like
        A file in UTF-8. Spaces around cells do no harm.
    actions : table or mapping, default=None
        The id of each pair of verb id and noun id, what :func:`read_actions` returned;
        official files of EPIC-KITCHENS do not number actions. None makes "verb,noun" of
        them, such as "0,2", the key of the challenge. Not used for other files.

    Returns
    -------
    segments : Bunch
        Columns of shape (n_segments,), in the order of the file. `video` is a string;
        frames are integers, as in the file, and so are the class ids `verb`, `noun` and
        `action`, from 0; a file without labels has none of them. Any other column is
        integer if all of it is (`"00330"` becomes 330) and no two texts become one
        number, else a string.

        Where the file has times, `start_seconds` and `stop_seconds`, floats. They are
        the truth, and whatever takes a table goes by them: official frames are at the
        rate of each video (50 or 59.94, seldom others), and drift from it.

        Of official files `id` is the `narration_id` (of -55 the `uid`), and
        `verb_text` and `noun_text` are the words of `verb` and `noun`, which are ids.
        EGTEA's list has names for `verb`, `noun` and `action`, its splits have ids; the
        first noun of each, and all in `all_nouns`. Its list has no frames: they are at
        30 per second, rounded down.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, of a kind that another function reads, separated
        otherwise, lacks a column, or a line is broken; names the file and the line. If
        `actions` lacks a pair of the file, or gives two ids the same one.

    See Also
    --------
    read_video_info : Frames per second of each video.
    read_framewise : Files with one label for each frame.
    read_ego4d : The JSON files of Ego4D.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_segments
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "training.csv"
    ...     _ = path.write_text("00330, P01_02, 0152, 0205, 000, 004, 0194")
    ...     segments = read_segments(path)
    >>> segments.video, segments.start_frame, segments.action
    (array(['P01_02'], dtype='<U6'), array([152]), array([194]))
    >>> segments.format
    'rulstm'
    """
    line, number = first_line(path)
    trouble = complaint(line, "read_segments")
    if trouble is not None:
        raise line_error(path, number, trouble)
    layout = recognise(line)
    name = "" if layout is None else layout.name
    if name.startswith("epic"):
        columns = _official(CsvFile(path), name, actions)
    elif name == "egtea":
        columns = read_egtea_list(path)
    elif name == "egtea_split":
        columns = read_egtea_split(path)
    else:
        file = CsvFile(path)
        if not set(_NEEDED_COLUMNS).isdisjoint(file.rows[0]):
            name = "table"
            file.use_header(_NEEDED_COLUMNS)
        else:
            n_columns = 4 if name == "rulstm_unlabeled" else 7
            name = name or "rulstm"
            file.use_names(_RULSTM_COLUMNS[:n_columns])
        columns = {column: _column(file, column) for column in file.names}
    return Segments(columns, name)


def _column(file, name):
    if name in _NUMBER_COLUMNS:
        return file.integers(name)
    if name in TIME_COLUMNS:
        return file.numbers(name)
    return np.array(file.strings(name)) if name == "video" else _other(file, name)


def _other(file, name):
    """Return a column as integers if all of it is, else as strings.

    Ids such as "1" and "001", which are one number, stay two.
    """
    texts = file.strings(name)
    if all(map(is_whole_number, texts)):
        numbers = file.integers(name)
        if len(set(numbers.tolist())) == len(set(texts)):
            return numbers
    return np.array(texts)


def _official(file, format, actions):
    """Columns of an official file of EPIC-KITCHENS, under our names."""
    key = "narration_id" if format.startswith("epic100") else "uid"
    has_labels = not format.endswith("unlabeled")
    needed = (key, "video_id", *_SPAN, *(_CLASSES if has_labels else ()))
    file.use_header(needed)
    columns = {
        "id": _column(file, key),
        "video": np.array(file.strings("video_id")),
        "start_frame": file.integers("start_frame"),
        "stop_frame": file.integers("stop_frame"),
    }
    for ours, name in zip(TIME_COLUMNS, _SPAN, strict=False):
        columns[ours] = _timestamps(file, name)
    if has_labels:
        verb, noun = (_class_ids(file, name) for name in _CLASSES)
        columns.update(
            verb=verb, noun=noun, action=action_ids(file, verb, noun, actions)
        )
    ours = {"verb": "verb_text", "noun": "noun_text"}
    for name in file.names:
        if name not in needed:
            columns[ours.get(name, name)] = _other(file, name)
    return columns


def _class_ids(file, name):
    """Return a column of class ids, none of them -1 for a class that is missing."""
    ids = file.integers(name)
    if (ids < 0).any():
        row = int(np.argmax(ids < 0))
        raise file.error(
            row,
            f"has {ids[row]} as {name} ({(ids < 0).sum()} such rows): expected an id "
            "from 0. Drop segments without a class",
        )
    return ids


def _timestamps(file, name):
    """Return a column of timestamps in seconds.   (n,) float64."""
    values = []
    for row, text in enumerate(file.strings(name)):
        values.append(seconds_of_timestamp(text))
        if values[-1] is None:
            raise file.error(
                row, f"has {text!r} as {name}: expected hours:minutes:seconds"
            )
    return np.array(values)


def action_ids(file, verb, noun, actions):
    """Id of the action of each row, or its key "verb,noun".   (n,).

    `file.error(row, complaint)` makes the error about a row.
    """
    pairs = list(zip(verb.tolist(), noun.tolist(), strict=True))
    if actions is None:
        return np.array([f"{v},{n}" for v, n in pairs])
    known = {}
    for label, pair in as_mapping(by_ids(actions)).items():
        if known.setdefault(tuple(pair), label) != label:
            raise ValueError(
                f"actions gives both {known[tuple(pair)]!r} and {label!r} the verb "
                f"{pair[0]} and the noun {pair[1]}: expected one id for each pair, by "
                "which official files name an action. Leave one of the two out."
            )
    repeated = [pair for pair, n in Counter(pairs).items() if pair not in known]
    if repeated:
        row = pairs.index(repeated[0])
        raise file.error(
            row,
            f"has the verb {repeated[0][0]} and the noun {repeated[0][1]}, which "
            f"actions does not have ({len(repeated)} such pairs): pass the table of "
            "this data set, or none",
        )
    return np.array([known[pair] for pair in pairs])
