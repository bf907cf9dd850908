"""EGTEA Gaze+ from its own lists: milliseconds, and classes that count from 1."""

import re

import numpy as np

from skanticipate.datasets._csv import CsvFile, is_whole_number

_FPS = 30  # of the frames that the list lacks: RULSTM's tables have them at this rate
_CELLS = ("id", "clip", "video", "start", "stop", "action", "verb", "nouns")
_CLIP = re.compile(r"(.+)-(\d{1,18})-(\d{1,18})-F(\d{1,18})-F(\d{1,18})", re.ASCII)


def read_egtea_list(path):
    """Columns of `action_labels.csv`, with names for labels."""
    file = CsvFile(path, delimiter=";")
    if file.rows[0][0].startswith("#"):
        file.drop_first()
    file.use_names(_CELLS)
    start, stop = (file.integers(name) for name in ("start", "stop"))
    _check_order(file, start, stop)
    nouns = file.strings("nouns")
    return {
        "id": np.array(file.strings("clip")),
        "video": np.array(file.strings("video")),
        "start_frame": np.maximum(start * _FPS // 1000, 1),
        "stop_frame": np.maximum(stop * _FPS // 1000, 1),
        "start_seconds": start / 1000,
        "stop_seconds": stop / 1000,
        "verb": np.array(file.strings("verb")),
        "noun": np.array([text.split(",")[0].strip() for text in nouns]),
        "action": np.array(file.strings("action")),
        "all_nouns": np.array(nouns),
    }


def read_egtea_split(path):
    """Columns of `train_split1.txt` and its like, with class ids from 0."""
    file = CsvFile(path, delimiter=" ")
    names, spans, labels, nouns = [], [], [], []
    for row, cells in enumerate(file.rows):
        clip, *numbers = [cell for cell in cells if cell]
        match = _CLIP.fullmatch(clip)
        if match is None:
            raise file.error(
                row,
                f"has {clip!r} as clip: expected session-start-stop-Fframe-Fframe",
            )
        if len(numbers) < 3 or not all(map(_is_class, numbers)):
            raise file.error(
                row,
                f"has the classes {' '.join(numbers)!r}: expected action, verb and "
                "nouns, numbered from 1",
            )
        names.append((clip.rsplit("-", 2)[0], match[1]))
        spans.append([int(number) for number in match.groups()[1:]])
        labels.append([int(number) - 1 for number in numbers[:3]])
        nouns.append(" ".join(str(int(number) - 1) for number in numbers[2:]))
    start, stop, first, last = np.array(spans).T
    _check_order(file, start, stop)
    action, verb, noun = np.array(labels).T
    clips, videos = zip(*names, strict=True)
    return {
        "id": np.array(clips),
        "video": np.array(videos),
        "start_frame": first,
        "stop_frame": last,
        "start_seconds": start / 1000,
        "stop_seconds": stop / 1000,
        "verb": verb,
        "noun": noun,
        "action": action,
        "all_nouns": np.array(nouns),
    }


def _is_class(text):
    return is_whole_number(text) and int(text) > 0


def _check_order(file, start, stop):
    bad = np.flatnonzero(stop < start)
    if bad.size:
        raise file.error(bad[0], "has a clip that stops before it starts")
