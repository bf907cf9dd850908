"""A table of segments divided by the persons who were filmed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch, _safe_indexing

from skanticipate._typing import Columns
from skanticipate.data.boxes import unboxed_columns
from skanticipate.data.missing import as_list, check_label_list
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.datasets._columns import check_column, check_columns, check_table
from skanticipate.datasets._segments import check_videos
from skanticipate.datasets._tables import Segments

_COLUMNS = ("participant", "participant_id")
_OF_VIDEO = re.compile(
    r"([^_-]+)[_-]"
)  # P01_02 of EPIC-KITCHENS, P50-R01-Name of EGTEA
_FIRST_25 = tuple(f"P{number:02d}" for number in range(1, 26))
_OF_EPIC = re.compile(r"P\d\d")


def participants_of(segments):
    """Participant of each row: as the table says, or as the names of its videos begin.

    Examples
    --------
    >>> participants_of({"video": ["P01_102", "P22_7"]})
    array(['P01', 'P22'], dtype='<U3')
    """
    check_table(segments, "segments")
    segments = unboxed_columns(segments)
    column = next((name for name in _COLUMNS if name in segments), None)
    if column is not None:
        check_column(segments[column], column)
        check_videos(segments[column], column)
        return np.asarray(segments[column]).astype(str)
    if "video" not in segments:
        raise ValueError(
            "segments has neither a column 'video' nor 'participant': expected a table "
            "as read_segments gives it."
        )
    check_column(segments["video"], "video")
    names = [str(video) for video in as_list(segments["video"])]
    found = [_OF_VIDEO.match(name) for name in names]
    if None in found:
        row = found.index(None)
        raise ValueError(
            f"video is {names[row]!r} in row {row}, which names no participant "
            f"({found.count(None)} such rows): expected P01_02 or P50-R01-Name. Add a "
            "column 'participant'."
        )
    return np.array([match[1] for match in found])


def participant_split(
    segments: Columns, training: Sequence[str] | None = None
) -> tuple[Any, Any]:
    """Divide a table of segments by participant, as Tran et al. do with EPIC-KITCHENS.

    Parameters
    ----------
    segments : Bunch, mapping or DataFrame
        Table of segments with a column `participant` or `participant_id`; without one
        the name of a participant is how that of a video begins: "P01" of "P01_102".
    training : sequence of str, default=None
        The participants of the first part. None means P01 to P25, those of them that
        there are; all must be named so, P and two digits.

    Returns
    -------
    train, rest : tables like `segments`
        The rows of these participants and those of all others, each in their order.

    Raises
    ------
    ValueError
        If participants cannot be told, one of `training` is not in the table, a part
        would be empty, or `training` is None and one is not named as those of
        EPIC-KITCHENS.

    See Also
    --------
    fetch_epic55 : The split of RULSTM, by video.
    unlabeled_pairs : Pairs of clips near training segments, some without a label.

    Notes
    -----
    The protocol of [1]_: EPIC-KITCHENS-55, the public training set of 28,472 segments,
    verbs as labels (125 classes), clips that start 1 s after what is seen. Its numbers
    cannot be compared with those on the split of RULSTM, which divides videos.

    References
    ----------
    .. [1] Tran, Wang and Hoai, "Back to the Future: Knowledge Distillation for Human
       Action Anticipation", arXiv 1904.04868: 23,191 training and 5,281 other segments.

    Examples
    --------
    >>> from skanticipate.datasets import participant_split, unlabeled_pairs
    >>> segments = {
    ...     "video": ["P01_02", "P25_01", "P26_03", "P25_01"],
    ...     "start_frame": [90, 100, 70, 400],
    ...     "stop_frame": [150, 160, 90, 450],
    ...     "verb": [0, 3, 1, 2],
    ... }
    >>> segments["action"] = segments["verb"]  # what is to be anticipated
    >>> train, validation = participant_split(segments)
    >>> train.video, validation.video
    (array(['P01_02', 'P25_01', 'P25_01'], dtype='<U6'), array(['P26_03'], dtype='<U6'))
    >>> pairs = unlabeled_pairs(train, 2, clip_duration=32 / 30, random_state=0)
    >>> pairs.y
    array([ 0,  3,  2, -1, -1])
    """
    if isinstance(segments, Mapping):
        check_columns(segments, "segments")
        segments = unboxed_columns(segments)
        check_rows_alike(**{str(name): segments[name] for name in segments})
    names = participants_of(segments)
    if training is None:
        _check_named_as_epic(names)
        wanted = _FIRST_25
    else:
        check_label_list(training, "training", ordered=False)
        wanted = [str(name) for name in as_list(training)]
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise ValueError(
                f"training has {unknown[0]!r}, which is no participant of segments: "
                f"expected some of {', '.join(np.unique(names)[:10])}."
            )
    mask = np.isin(names, list(wanted))
    if mask.all() or not mask.any():
        raise ValueError(
            f"{'All' if mask.all() else 'None'} of the {len(mask)} segments are of the "
            f"participants {', '.join(wanted[:5])}, ...: expected some in each part. "
            "Name those of the first as training=."
        )
    return _rows(segments, mask), _rows(segments, ~mask)


def _check_named_as_epic(names):
    """Refuse names that are none of P01 to P25 only because they are written so."""
    others = [
        name for name in np.unique(names).tolist() if not _OF_EPIC.fullmatch(name)
    ]
    if others:
        raise ValueError(
            f"segments has the participant {others[0]!r}, and training=None means P01 "
            "to P25 of EPIC-KITCHENS, P and two digits: rename it, or name those of "
            "the first part as training=."
        )


def _rows(segments, mask):
    """Rows of a table, as a table of its kind."""
    if not isinstance(segments, Mapping):  # a DataFrame
        return _safe_indexing(segments, np.flatnonzero(mask))
    # Masked arrays stay such: what they hide must not become a label.
    columns = {name: np.asanyarray(segments[name])[mask] for name in segments}
    if isinstance(segments, Segments):
        return Segments(columns, segments.format)
    return Bunch(**columns)
