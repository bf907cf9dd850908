"""One label for each frame, as MS-TCN has it: files of lines become segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np

from skanticipate._typing import FilePath, Rate
from skanticipate.data.parameters import validate_params
from skanticipate.datasets._csv import is_whole_number, line_error, read_text
from skanticipate.datasets._formats import complaint
from skanticipate.datasets._names import one_each
from skanticipate.datasets._tables import Segments
from skanticipate.datasets._times import RATES, rate_of_rows


@validate_params(
    {
        "folder": "no_validation",
        "mapping": "no_validation",
        "background": [str, "array-like", None],
        "fps": RATES,
    },
    prefer_skip_nested_validation=True,
)
def read_framewise(
    folder: FilePath,
    *,
    mapping: FilePath | Mapping[str, int],
    background: str | Sequence[str] | None = None,
    fps: Rate = 15,
) -> Segments:
    r"""Read files with one label for each frame, and join equal ones to segments.

    The layout of MS-TCN [1]_ for Breakfast, 50 Salads and GTEA: a text file a video,
    `<video>.txt`, a label a line; and a file with the number of each label.

    Parameters
    ----------
    folder : str or path-like
        Folder with the files of labels, usually `groundTruth`; or one of its `splits`,
        such as `splits/train.split1.bundle`, which names the files that lie in
        `groundTruth` next to `splits`.
    mapping : str, path-like or mapping of str to int
        File with lines such as `3 cut_tomato`, usually `mapping.txt`; or its content.
    background : str or sequence of str, default=None
        Labels whose frames belong to no segment, such as "SIL" of Breakfast,
        "background" of GTEA, or "action_start" and "action_end" of 50 Salads.
    fps : float, mapping of video to float or table, default=15
        Frames per second of the labels. Breakfast and GTEA have 15, 50 Salads has 30.

    Returns
    -------
    segments : Bunch
        Columns of shape (n_segments,), by video and time, as :func:`read_segments`
        returns them: `video`; `start_frame` and `stop_frame`, the first and the last
        frame, counted from 1; `start_seconds`, when the first frame begins,
        (`start_frame` - 1) / fps, and `stop_seconds`, when the last one ends,
        `stop_frame` / fps; `action`, the number of the label, and `action_text`, the
        label. `format` is "framewise".

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or the folder has no text files.
    ValueError
        If a file is empty, a label is not in the mapping (names the file and the line),
        the mapping gives a label or number twice, `background` is not in it, or nothing
        but background is left.

    References
    ----------
    .. [1] Abu Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for
       Action Segmentation", CVPR 2019.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import read_framewise
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "P01_milk.txt"
    ...     _ = path.write_text("SIL\ntake_cup\ntake_cup\npour\n")
    ...     mapping = {"SIL": 0, "take_cup": 1, "pour": 2}
    ...     segments = read_framewise(folder, mapping=mapping, background="SIL")
    >>> segments.action, segments.start_frame, segments.stop_frame
    (array([1, 2]), array([2, 4]), array([3, 4]))
    """
    files = _files(Path(folder))
    numbers = _numbers(mapping)
    left_out = [] if background is None else np.atleast_1d(background).tolist()
    unknown = sorted(set(left_out) - numbers.keys())
    if unknown:
        raise ValueError(
            f"background has {unknown[0]!r}, which the mapping lacks: expected some of "
            f"{', '.join(list(numbers)[:10])}."
        )
    videos, texts, starts, stops = [], [], [], []
    for file in files:
        for start, stop, label in _runs(_labels(file, numbers)):
            if label not in left_out:
                videos.append(file.stem)
                texts.append(label)
                starts.append(start)
                stops.append(stop)
    if not videos:
        raise ValueError(f"{folder} holds nothing but background: check background.")
    rates = rate_of_rows({"video": np.array(videos)}, fps, "fps")
    columns = {
        "video": np.array(videos),
        "start_frame": np.array(starts),
        "stop_frame": np.array(stops),
        "start_seconds": (np.array(starts) - 1) / rates,  # frame 1 begins at 0
        "stop_seconds": np.array(stops) / rates,
        "action": np.array([numbers[label] for label in texts]),
        "action_text": np.array(texts),
    }
    return Segments(columns, "framewise")


def _files(path):
    """Files of labels that a folder holds, or a bundle names, sorted."""
    if path.is_file():
        return _bundle(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}.")
    files = sorted(f for f in path.iterdir() if f.suffix.lower() == ".txt")
    if not files or (path / "groundTruth").is_dir():
        hint = f" {path / 'groundTruth'} is one." * (path / "groundTruth").is_dir()
        raise FileNotFoundError(
            f"{path} is no folder of labels: expected a text file for each video.{hint}"
        )
    return one_each(files)


def _bundle(path):
    """Files of labels that a split names, which lie in `groundTruth` beside it."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{path} is empty: expected the names of files, one a line.")
    if trouble := complaint(names[0], "read_framewise"):
        raise line_error(path, 1, trouble)
    home = path.parent.parent / "groundTruth"
    missing = [name for name in names if not (home / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{path} names {missing[0]!r}, which is no file in {home} ({len(missing)} "
            "such names): expected a folder, or a split that lies beside groundTruth."
        )
    files = [home / name for name in names]
    return one_each(files)


def _numbers(mapping):
    """Number of each label, none of them twice."""
    if isinstance(mapping, Mapping):
        return _numbers_given(mapping)
    numbers, seen = {}, set()
    for line, text in enumerate(read_text(mapping).splitlines(), start=1):
        if not text.strip():
            continue
        number, *label = text.split(maxsplit=1)
        if not (is_whole_number(number) and int(number) >= 0 and label):
            raise line_error(
                mapping, line, f"is {text[:40]!r}: expected a number and a label"
            )
        label = label[0].strip()
        if label in numbers or int(number) in seen:
            raise line_error(
                mapping,
                line,
                f"has {text.strip()!r}, whose label or number was listed before",
            )
        numbers[label] = int(number)
        seen.add(int(number))
    if not numbers:
        raise ValueError(f"{mapping} is empty: expected a number and a label a line.")
    return numbers


def _numbers_given(mapping):
    """Number of each label of a mapping, none of them twice."""
    numbers = {}
    for label, number in mapping.items():
        is_whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not is_whole or number < 0:  # -1 marks what has no label
            raise ValueError(
                f"mapping gives the label {label!r} {number!r}: expected its number, a "
                "whole one from 0."
            )
        if str(label) in numbers or int(number) in numbers.values():
            raise ValueError(
                f"mapping gives {label!r} the number {number}, one of which is there "
                "twice: expected a number of its own for each label."
            )
        numbers[str(label)] = int(number)
    return numbers


def _labels(path, numbers):
    """Labels of the frames of a file, all of them known.   list of str."""
    labels = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if not labels:
        raise ValueError(f"{path} is empty: expected the label of a frame a line.")
    unknown = [row for row, label in enumerate(labels) if label not in numbers]
    if unknown:
        trouble = complaint(labels[0], "read_framewise")
        if unknown[0] == 0 and trouble:
            raise line_error(path, 1, trouble)
        raise line_error(
            path,
            unknown[0] + 1,
            f"has the label {labels[unknown[0]][:40]!r}, which the mapping lacks "
            f"({len(unknown)} such frames): expected some of "
            f"{', '.join(list(numbers)[:10])}",
        )
    return labels


def _runs(labels):
    """Yield first frame, last frame and label of each run of equal labels."""
    start = 0
    for stop in range(1, len(labels) + 1):
        if stop == len(labels) or labels[stop] != labels[start]:
            yield start + 1, stop, labels[start]
            start = stop
