"""What the field's text files begin like, and which function reads each."""

import re
from typing import NamedTuple


class Layout(NamedTuple):
    """A kind of file: its short name, what it is in words, and who reads it."""

    name: str
    what: str
    reader: str | None


_SEGMENTS = "read_segments"
_LISTS = (  # columns of lists of classes, sorted
    ("verb",),
    ("noun",),
    ("verb_class",),
    ("noun_class",),
    ("verb", "verb_class"),
    ("noun", "noun_class"),
    ("action_class", "noun_class", "verb_class"),
    ("action_class", "noun", "noun_class", "verb", "verb_class"),
)
_HEADERS = (  # columns that must be there, the most telling first
    (
        {"narration_id", "video_id", "verb_class"},
        Layout("epic100", "an official table of EPIC-KITCHENS-100", _SEGMENTS),
    ),
    (
        {"narration_id", "video_id", "noun_class"},
        Layout("epic100", "an official table of EPIC-KITCHENS-100", _SEGMENTS),
    ),
    (
        {"narration_id", "video_id"},
        Layout(
            "epic100_unlabeled",
            "an official table of EPIC-KITCHENS-100 without labels",
            _SEGMENTS,
        ),
    ),
    (
        {"uid", "video_id", "verb_class"},
        Layout("epic55", "an official table of EPIC-KITCHENS-55", _SEGMENTS),
    ),
    (
        {"uid", "video_id", "noun_class"},
        Layout("epic55", "an official table of EPIC-KITCHENS-55", _SEGMENTS),
    ),
    (
        {"uid", "video_id"},
        Layout(
            "epic55_unlabeled",
            "an official table of EPIC-KITCHENS-55 without labels",
            _SEGMENTS,
        ),
    ),
    (
        {"video", "start_frame", "stop_frame", "action"},
        Layout("table", "a table of segments", _SEGMENTS),
    ),
    ({"video_id", "fps"}, Layout("info", "a table of videos", "read_video_info")),
    ({"video", "fps"}, Layout("info", "a table of videos", "read_video_info")),
    ({"class_key"}, Layout("classes", "a table of classes", "read_classes")),
    ({"key", "instances"}, Layout("classes", "a table of classes", "read_classes")),
    (
        {"id", "action", "verb", "noun"},
        Layout("actions", "a table of actions", "read_actions"),
    ),
    *(  # without the id or the video, which are asked for
        (columns, Layout(f"{name}_unlabeled", "an official table", _SEGMENTS))
        for columns, name in (
            ({"narration_id", "start_timestamp"}, "epic100"),
            ({"uid", "start_timestamp"}, "epic55"),
            ({"video_id", "start_timestamp"}, "epic100"),
        )
    ),
)
_SEPARATORS = ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" ", "spaces"))
_LONGEST = 4096  # characters of a line that are looked at: JSON may be a single one
_NUMBER = r"\s*\d{1,18}\s*"
_LINES = tuple(
    (re.compile(pattern, re.ASCII), layout)
    for pattern, layout in (
        (
            r'\s*\{.*"(clips|video_metadata|annotations|verbs)"',
            Layout("ego4d", "JSON of Ego4D", "read_ego4d"),
        ),
        (
            r"\s*[{\[]",
            Layout("submission", "JSON, as of a submission", "validate_submission"),
        ),
        (
            r"(##.*Clip.*;|[^;,]*;[^;]*;[^;]*;\s*\d+\s*;\s*\d+\s*;\s*[^;\d\s])",
            Layout("egtea", "EGTEA's own list of actions", _SEGMENTS),
        ),
        (
            r"##.*Clip",
            Layout("commas", "EGTEA's list, not separated by semicolons", None),
        ),
        (
            r"\S+-\d+-\d+-F\d+-F\d+(\s+\d+)+\s*$",
            Layout("egtea_split", "a split of EGTEA", _SEGMENTS),
        ),
        (
            rf"[^,]+,[^,]+(,{_NUMBER}){{5}}$",
            Layout("rulstm", "a table of RULSTM", _SEGMENTS),
        ),
        (
            rf"[^,]+,[^,]*[^,\d\s][^,]*(,{_NUMBER}){{2}}$",
            Layout("rulstm_unlabeled", "a table of RULSTM without labels", _SEGMENTS),
        ),
        (
            rf"{_NUMBER},\s*\d+_\d+\s*,[^,]+$",
            Layout("actions", "a table of actions", "read_actions"),
        ),
        (
            r"\d+ \S+\s*$",
            Layout("mapping", "a mapping of frame-wise labels", "read_framewise"),
        ),
        (
            r"[A-Za-z][^,;\t|]* \d+\s*$",
            Layout("names", "a list of names and numbers", "read_classes"),
        ),
        (
            r"[A-Za-z][\w.-]*$",
            Layout("framewise", "frame-wise labels, or a list", "read_framewise"),
        ),
    )
)


def recognise(line, separator=","):
    """Kind of file that begins with a line; None where it is none that we know.

    Examples
    --------
    >>> recognise("330, P01_02, 152, 205, 0, 4, 194").name
    'rulstm'
    """
    line = line[:_LONGEST]
    names = [name.strip().strip('"') for name in line.split(separator)]
    for columns, layout in _HEADERS:
        if columns.issubset(names):
            return layout
    if sorted(names) == ["narration", "narration_id"]:
        return Layout("sentences", "a list of sentences of EPIC-KITCHENS-100", None)
    if tuple(sorted(names)) in _LISTS:
        return Layout("class_list", "a list of classes", "read_class_list")
    line = ",".join(names) if separator != "," else line
    if len(line) > _LONGEST:  # on which the patterns would take for ever
        line = line[:1] if line.startswith(("{", "[")) else ""
    return next((kind for pattern, kind in _LINES if pattern.match(line)), None)


def complaint(line, reader):
    """Say why a reader cannot read a file that begins with a line, or None."""
    layout = recognise(line)
    if layout is not None:
        if layout.reader == reader:
            return None
        return f"shows that the file is {layout.what}{remedy(layout)}"
    for separator, name in _SEPARATORS:
        layout = recognise(line, separator)
        if separator in line and layout is not None:
            return (
                f"separates its columns by {name}: expected commas, as in "
                f"{layout.what}. Write the file again with them"
            )
    return None


def remedy(layout):
    """Say who reads a kind of file."""
    return f": read it with {layout.reader}" if layout.reader else ", which none reads"
