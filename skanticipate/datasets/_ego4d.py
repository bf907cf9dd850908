"""Ego4D's annotations for short- and long-term anticipation, as tables of segments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.utils import Bunch

from skanticipate._typing import Actions, FilePath
from skanticipate.datasets._json import Entries, json_object
from skanticipate.datasets._tables import Segments, action_ids

_FILES = "fho_lta_train.json or fho_sta_train.json, and their val and test files"
_OTHERS = {  # key of the object in a file -> what that is
    "results": "a submission: check it with validate_submission",
    "verbs": "a taxonomy of Ego4D: read it with read_ego4d_classes",
    "videos": "annotations of another benchmark of Ego4D, which none reads",
    "clips": "annotations of another benchmark of Ego4D, which none reads",
}


def read_ego4d(path: FilePath, *, actions: Actions | None = None) -> Segments:
    r"""Read Ego4D's annotations for short- or long-term anticipation.

    The form is recognised, and `segments.format` says which one it was:

    ===================  =============================================================
    ego4d_lta            `fho_lta_train.json`, `fho_lta_val.json`: a row is an action
                         of a clip
    ego4d_lta_unlabeled  `fho_lta_test_unannotated.json`
    ego4d_sta            `fho_sta_train.json`, `fho_sta_val.json`: a row is an object
                         that is about to be used, and lasts from the frame from which
                         that is to be anticipated to the contact
    ego4d_sta_unlabeled  `fho_sta_test_unannotated.json`: a row is such a frame
    ===================  =============================================================

    Parameters
    ----------
    path : str or path-like
        A JSON file, of version 1 or 2.
    actions : table or mapping, default=None
        The id of each pair of verb id and noun id, as for :func:`read_segments`. None
        makes "verb,noun" of them, such as "0,2".

    Returns
    -------
    segments : Bunch
        Columns of shape (n_segments,), in the order of the file, as
        :func:`read_segments` returns them.

        id : ndarray of str
            Of long-term files the `clip_uid` and the `action_idx`, "uid_3"; of
            short-term files the `uid`, which several objects can share.
        video, clip : ndarray of str
            Uid of the video, by which features are published, and of the clip of it.
        start_frame, stop_frame : ndarray of int
            In the video, counted from 0. In the clip: the columns `clip_start_frame`
            and `clip_stop_frame` of long-term files, `clip_frame` of short-term files.
        start_seconds, stop_seconds : ndarray of float
            Likewise in the video, and `clip_start_seconds`, `clip_stop_seconds`.
        verb, noun, action : ndarray
            Class ids, and the id of the pair; `verb_text` and `noun_text` are their
            names. Not in files without labels.
        time_to_contact : ndarray of float
            Seconds, of short-term files: `stop_seconds - start_seconds`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no JSON, is another file of Ego4D or a submission, lacks a value,
        or one is none of its kind; names the file and the entry. If some entries have
        labels and others have not, an action stops before it starts, or `actions` lacks
        a pair.

    See Also
    --------
    read_ego4d_classes : Names of the verbs and nouns.
    label_history : Past actions of each row.

    Notes
    -----
    Long-term anticipation scores sequences of 20 actions; here each action is a row of
    its own, to be anticipated from what comes before it. Boxes are not read. Videos
    have 30 frames per second. For features of clips instead of videos, the columns of
    the clip take the place of those of the video: `segments.video = segments.clip`,
    `segments.start_seconds = segments.clip_start_seconds`, and so on.

    References
    ----------
    .. [1] Grauman et al., "Ego4D: Around the World in 3,000 Hours of Egocentric Video",
       CVPR 2022.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_ego4d
    >>> action = {
    ...     "video_uid": "v", "clip_uid": "c", "action_idx": 3,
    ...     "clip_parent_start_frame": 900, "clip_parent_start_sec": 30.0,
    ...     "action_clip_start_frame": 60, "action_clip_start_sec": 2.0,
    ...     "action_clip_end_frame": 150, "action_clip_end_sec": 5.0,
    ...     "verb_label": 7, "noun_label": 2, "verb": "cut", "noun": "onion",
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fho_lta_train.json"
    ...     _ = path.write_text(json.dumps({"clips": [action]}))
    ...     segments = read_ego4d(path)
    >>> segments.format, segments.id, segments.start_frame, segments.stop_seconds
    ('ego4d_lta', array(['c_3'], dtype='<U3'), array([960]), array([35.]))
    >>> segments.action, segments.verb_text
    (array(['7,2'], dtype='<U3'), array(['cut'], dtype='<U3'))
    """
    content = json_object(path)
    if "annotations" in content and "info" in content:
        return _short_term(path, content, actions)
    if _is_long_term(content):
        return _long_term(Entries(path, "clips", content["clips"]), actions)
    raise _none_of_ours(path, content, _FILES)


def read_ego4d_classes(path: FilePath) -> Bunch:
    """Read the names of the verbs and nouns of Ego4D.

    Parameters
    ----------
    path : str or path-like
        `fho_lta_taxonomy.json`, or a short-term file such as `fho_sta_train.json`,
        which holds its own: the two tasks number them differently.

    Returns
    -------
    classes : Bunch
        `verbs` and `nouns`, tables with the columns `id`, ndarray of int, and `name`,
        ndarray of str, ordered by id.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no JSON or another one, or a class has no name or id of its own.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_ego4d_classes
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fho_lta_taxonomy.json"
    ...     _ = path.write_text('{"verbs": ["cut", "mix"], "nouns": ["onion"]}')
    ...     classes = read_ego4d_classes(path)
    >>> classes.verbs.id, classes.verbs.name
    (array([0, 1]), array(['cut', 'mix'], dtype='<U3'))
    """
    content = json_object(path)
    if all(isinstance(content.get(part), list) for part in ("verbs", "nouns")):
        lists = {}
        for part in ("verbs", "nouns"):
            rows = [{"id": k, "name": name} for k, name in enumerate(content[part])]
            lists[part] = Entries(path, part, rows)
    elif "verb_categories" in content and "noun_categories" in content:
        names = (("verbs", "verb_categories"), ("nouns", "noun_categories"))
        lists = {part: Entries(path, name, content[name]) for part, name in names}
    else:
        raise _none_of_ours(
            path, content, "fho_lta_taxonomy.json or fho_sta_train.json"
        )
    return Bunch(**{part: _classes(entries) for part, entries in lists.items()})


def _long_term(entries, actions):
    """Columns of a file of long-term anticipation, in the time of the videos."""
    clip = entries.column("clip_uid", "text")
    index = entries.column("action_idx", "count")
    columns = {
        "id": np.array([f"{c}_{i}" for c, i in zip(clip, index, strict=True)]),
        "video": entries.column("video_uid", "text"),
    }
    inside = {}
    for unit, ours, kind in (
        ("frame", "frame", "count"),
        ("sec", "seconds", "seconds"),
    ):
        parent = entries.column(f"clip_parent_start_{unit}", kind)
        for end, name in (("start", "start"), ("end", "stop")):
            times = entries.column(f"action_clip_{end}_{unit}", kind)
            inside[f"clip_{name}_{ours}"] = times
            columns[f"{name}_{ours}"] = parent + times
        _check_order(entries, *(columns[f"{n}_{ours}"] for n in ("start", "stop")))
    format = "ego4d_lta_unlabeled"
    if entries.have(("verb_label", "noun_label")):
        format = "ego4d_lta"
        verb, noun = (entries.column(f"{p}_label", "count") for p in ("verb", "noun"))
        columns.update(
            verb=verb, noun=noun, action=action_ids(entries, verb, noun, actions)
        )
        for part in ("verb", "noun"):
            columns[f"{part}_text"] = entries.column(part, "text")
    columns.update(clip=clip, action_idx=index, **inside)
    return Segments(columns, format)


def _short_term(path, content, actions):
    """Columns of a file of short-term anticipation: a row for each object."""
    frames = Entries(path, "annotations", content["annotations"])
    has_labels = frames.have(("objects",))
    video = "video_uid" if "video_uid" in frames.rows[0] else "video_id"  # of version 1
    videos = frames.column(video, "text")
    owner = np.arange(len(videos))  # annotation of each row
    if has_labels:
        objects = frames.column("objects", "list")
        owner = np.repeat(owner, [len(own) for own in objects])
        empty = next((row for row, own in enumerate(objects) if not own), None)
        if empty is not None:
            raise frames.error(empty, "has no objects: expected one at least")
    start, fps = frames.column("frame", "count")[owner], _rates(path, content, videos)
    columns = {
        "id": frames.column("uid", "text")[owner],
        "video": videos[owner],
        "start_frame": start,
        "stop_frame": start,
        "start_seconds": start / fps[owner],
        "stop_seconds": start / fps[owner],
    }
    if frames.have(("clip_uid", "clip_frame")):
        columns["clip"] = frames.column("clip_uid", "text")[owner]
        columns["clip_frame"] = frames.column("clip_frame", "count")[owner]
    if not has_labels:
        return Segments(columns, "ego4d_sta_unlabeled")
    entries = _objects(path, objects)
    delay = entries.column("time_to_contact", "delay")
    columns["time_to_contact"] = delay
    columns["stop_seconds"] = columns["start_seconds"] + delay
    columns["stop_frame"] = start + np.rint(delay * fps[owner]).astype(np.int64)
    columns.update(_categories(path, content, entries, actions))
    return Segments(columns, "ego4d_sta")


def _categories(path, content, entries, actions):
    """Verb, noun and action of each object, ids and names."""
    verb, noun = (entries.column(f"{p}_category_id", "count") for p in ("verb", "noun"))
    columns = {"verb": verb, "noun": noun}
    columns["action"] = action_ids(entries, verb, noun, actions)
    for part in ("verb", "noun"):
        name = f"{part}_categories"
        table = Entries(path, name, content.get(name))
        columns[f"{part}_text"] = _names(entries, table, columns[part])
    return columns


def _objects(path, objects):
    """Entries of the objects of all annotations, one after the other."""
    rows, places = [], []
    for k, own in enumerate(objects):
        rows += own
        places += [f"annotations[{k}], objects[{j}]" for j in range(len(own))]
    return Entries(path, "objects", rows, places)


def _rates(path, content, videos):
    """Frames per second of the video of each annotation.   -> (n,)."""
    known = _mapping(_mapping(content["info"]).get("video_metadata"))
    missing = [row for row, video in enumerate(videos) if video not in known]
    if missing:
        row = missing[0]
        raise ValueError(
            f"{path} has no video_metadata of {str(videos[row])!r}, the video of "
            f"annotations[{row}] ({len(missing)} such annotations)."
        )
    names = list(dict.fromkeys(videos.tolist()))
    metadata = Entries(path, "video_metadata", [known[name] for name in names])
    rates = dict(zip(names, metadata.column("fps", "rate").tolist(), strict=True))
    return np.array([rates[video] for video in videos.tolist()])


def _classes(entries):
    """Table of names, ordered by ids of which none is there twice."""
    ids, names = entries.column("id", "count"), entries.column("name", "text")
    if len(np.unique(ids)) < len(ids):
        raise ValueError(f"{entries.path} has an id twice under {entries.name!r}.")
    order = np.argsort(ids)
    return Bunch(id=ids[order], name=names[order])


def _names(entries, categories, ids):
    """Name of each class id.   (n,) -> (n,)."""
    table = _classes(categories)
    names = dict(zip(table.id.tolist(), table.name.tolist(), strict=True))
    for row, number in enumerate(ids.tolist()):
        if number not in names:
            raise entries.error(row, f"has {number}, which {categories.name} lacks")
    return np.array([names[number] for number in ids.tolist()])


def _check_order(entries, start, stop):
    bad = np.flatnonzero(stop < start)
    if bad.size:
        raise entries.error(bad[0], "has an action that stops before it starts")


def _is_long_term(content):
    clips = content.get("clips")
    return isinstance(clips, list) and clips and "action_idx" in _mapping(clips[0])


def _none_of_ours(path, content, expected):
    """Return the error about a file that is something else."""
    others = [what for key, what in _OTHERS.items() if key in content]
    found = others[0] if others else f"JSON with the keys {', '.join(content)[:80]!r}"
    if _is_long_term(content):
        found = "annotations for long-term anticipation: read it with read_ego4d"
    return ValueError(f"{path} is {found}. Expected {expected}.")


def _mapping(value):
    return value if isinstance(value, Mapping) else {}
