"""EPIC-KITCHENS and EGTEA Gaze+ from the folder layout of RULSTM."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from sklearn.utils import Bunch

from skanticipate._typing import FilePath, Rate
from skanticipate.data.files import sample_mark
from skanticipate.data.warn import warn
from skanticipate.datasets._converted import read_lmdb
from skanticipate.datasets._cut import cut_clips
from skanticipate.datasets._features import open_features
from skanticipate.datasets._folder import marks_of_sources
from skanticipate.datasets._tables import read_segments


def load_epic(
    root: FilePath,
    modality: str | Sequence[str] = "rgb",
    *,
    split: str = "training",
    observation: float = 1.5,
    anticipation: float = 2.0,
    step: float = 0.25,
    fps: Rate | None = 30,
    feature_rate: Rate | None = None,
    padding: Literal["repeat", "nan"] = "repeat",
    future_steps: int | None = 8,
) -> Bunch:
    """Clips of EPIC-KITCHENS or EGTEA Gaze+ from the files that RULSTM publishes.

    Parameters
    ----------
    root : str or path-like
        Folder with the annotations `training.csv`, `validation.csv`, ... and, for each
        modality, the LMDB in `rgb/` or `rgb_lmdb/`, or its features already converted
        in `rgb_features/`.
    modality : str or sequence of str, default="rgb"
        Such as "rgb", "flow" or "obj". The features of several are joined in this
        order, and :class:`skanticipate.LastAxisSlice` picks one of them again; their
        LMDBs must have the same frames.
    split : str, default="training"
        Name of the csv file, without its ending: of RULSTM, or an official one, whose
        timestamps find the frames of the features. One without labels gives the clips
        of the challenge, with `ids` and without `y`.
    observation : float, default=1.5
        Seconds that are seen before the first anticipation step; a multiple of `step`.
    anticipation : float, default=2.0
        The longest anticipation time in seconds; a multiple of `step`. The last step
        lies one `step` before the action.
    step : float, default=0.25
        Seconds from one step to the next.
    fps : float, mapping of video to float, table or None, default=30
        Frames per second of the csv file, as in :func:`cut_clips`.
    feature_rate : float, mapping of video to float or table, default=None
        Frames per second of the features, as in :func:`cut_clips`. None means `fps`
        where that is one number, else 30.
    padding : {"repeat", "nan"}, default="repeat"
        What stands for steps before frame 1: the first step that is there, or NaN.
    future_steps : int or None, default=8
        Number of frames of the action itself. None for features with the frames before
        actions alone, such as the smaller ones of RULSTM.

    Returns
    -------
    data : Bunch
        X_past, X_future, y, ids, groups, kept, n_discarded as :func:`cut_clips` returns
        them, without X_future where `future_steps` is None; and `segments`, the whole
        table. `label_history(data.segments)[data.kept]` are the past actions of the
        rows.

    Raises
    ------
    ImportError
        If lmdb is not installed, where an LMDB is to be converted.
    FileNotFoundError
        If there is no such csv file, or there are no features of the modality.
    ValueError
        If a file is damaged, or as :func:`cut_clips` says.
    TypeError
        If `modality` is a set, which has no order.

    Notes
    -----
    An LMDB is converted by the first call, which needs as much disk again, into
    `rgb_features/` (`rgb-flow-obj_features/` for several) below `root`. Convert with
    :func:`read_lmdb` to have it elsewhere. Where the LMDB is another one by now, by its
    size, its beginning or pieces of the rest, or is newer, this is warned of.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import lmdb
    >>> import numpy as np
    >>> from skanticipate.datasets import load_epic
    >>> folder = tempfile.TemporaryDirectory()
    >>> root = Path(folder.name)
    >>> _ = (root / "training.csv").write_text("7, P01_01, 120, 150, 0, 4, 194")
    >>> with lmdb.open(str(root / "rgb")) as env, env.begin(write=True) as transaction:
    ...     for frame in range(1, 200):
    ...         key = f"P01_01_frame_{frame:010d}.jpg".encode()
    ...         _ = transaction.put(key, np.ones(16, dtype=np.float32).tobytes())
    >>> data = load_epic(root)
    >>> data.X_past
    RowView(shape=(1, 14, 16), dtype=float32)
    >>> data.X_future.shape, data.y, data.groups
    ((1, 8, 16), array([194]), array(['P01_01'], dtype='<U6'))
    >>> folder.cleanup()
    """
    if isinstance(modality, Set):  # features are joined in an order
        raise TypeError(f"modality is {modality!r:.80}: expected a name, or a list.")
    root = Path(root)
    segments = read_segments(root / f"{split}.csv")
    modalities = [modality] if isinstance(modality, str) else list(modality)
    data = cut_clips(
        _features(root, modalities),
        segments,
        observation=observation,
        anticipation=anticipation,
        step=step,
        fps=fps,
        feature_rate=feature_rate,
        padding=padding,
        future_steps=future_steps,
    )
    return Bunch(**data, segments=segments)


def _features(root, modalities):
    """Features of the modalities, converted if they are not yet."""
    converted = root / f"{'-'.join(modalities)}_features"
    if converted.exists():
        table = open_features(converted)
        _warn_of_others(root, modalities, converted)
        return table
    return read_lmdb([_lmdb(root, name) for name in modalities], out=converted)


def _warn_of_others(root, modalities, converted):
    """Warn of converted features that were made of another LMDB than is there.

    Its contents tell, and its date, where few of them changed or they were not noted.
    """
    made = max(file.stat().st_mtime for file in converted.iterdir())
    marks = marks_of_sources(converted)
    for modality, mark in zip_longest(modalities, marks[: len(modalities)]):
        files = [path / "data.mdb" for path in _places(root, modality)]
        files = [file for file in files if file.is_file()]
        newer = [file for file in files if file.stat().st_mtime > made]
        if files and mark is not None and mark not in map(sample_mark, files):
            told = f"{files[0]} is another file than the one of which {converted} was"
        elif newer:
            told = f"{newer[0]} is newer than the one of which {converted} was"
        else:
            continue
        warn(
            f"{told} made: it is not read. Delete {converted.name} to have it "
            "converted again."
        )


def _places(root, modality):
    """Folders that may hold the LMDB of a modality, the one that is read first."""
    return root / modality, root / f"{modality}_lmdb"


def _lmdb(root, modality):
    for path in _places(root, modality):
        if (path / "data.mdb").is_file():
            return path
    raise FileNotFoundError(
        f"There are no features of {modality!r} below {root}: expected "
        f"{modality}/data.mdb or {modality}_lmdb/data.mdb."
    )
