"""Features of the frames of videos: one memory-mapped file with an index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from string import Formatter
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import HasMethods

from skanticipate._typing import FilePath
from skanticipate.data.boxes import plain_column
from skanticipate.data.files import check_whole_map, file_marks, sample_mark
from skanticipate.data.numbers import FRAME, Interval
from skanticipate.data.parameters import validate_params
from skanticipate.data.places import check_frames_by_place
from skanticipate.data.stored import filled
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.warn import warn
from skanticipate.datasets._folder import FEATURES, INDEX
from skanticipate.datasets._names import check_names
from skanticipate.datasets._packed import check_header, unpacked
from skanticipate.datasets._plausible import excess
from skanticipate.datasets._time_axis import other_axes, other_width, turned
from skanticipate.datasets._turned import hint_turned

_STRANGE_SPEC = re.compile(r"\d{4}|\{")  # of a width that fills memory


class FeatureTable(Mapping[str, np.ndarray]):
    """Features of the frames of many videos, read from a file when they are asked for.

    A mapping of video to the features (n_frames, d) of its frames, in their order.
    What :func:`read_lmdb`, :func:`read_hdf5` and :func:`read_npy` write and
    :func:`open_features` opens; or made of arrays in memory, by :meth:`from_arrays`.

    Attributes
    ----------
    path : Path or None
        The folder with the two files `features.npy` and `index.npz`.
    array : memmap of shape (n_frames + 1, d)
        The frames of all videos. The last row is all NaN: the step that is padding.
    videos : ndarray of shape (n_videos,) of str
        Sorted names.
    first : ndarray of shape (n_videos + 1,) of int
        The frames of video i are the rows `first[i]` to `first[i + 1] - 1`.
    frames : ndarray of shape (n_frames,) of int
        The number of the frame of each row; in a video they ascend, with gaps where
        frames have no features.

    Notes
    -----
    Pickles as the name of its folder, where it has one that still is what was opened;
    that the folder was written again since is warned of where it is opened. What hashes
    pickles, as `joblib.Memory`, tells a folder that was written again.

    Examples
    --------
    See :func:`cut_clips`.
    """

    def __init__(
        self,
        path: Path | None,
        array: np.ndarray,
        videos: np.ndarray,
        first: np.ndarray,
        frames: np.ndarray,
        key: str,
    ) -> None:
        self.path = path
        self.array = array
        self.videos = videos
        self.first = first
        self.frames = frames
        self._key = key  # how a frame is called where it came from
        self._marks = None if path is None else _marks_of(path)

    @classmethod
    @validate_params(
        {
            "features": [HasMethods(["keys", "__getitem__"])],
            "first_frame": [
                Interval(Integral, -FRAME.right, FRAME.right, closed="both")
            ],
            "time_axis": [Interval(Integral, 0, 1, closed="both")],
        },
        prefer_skip_nested_validation=True,
    )
    def from_arrays(
        cls,
        features: Mapping[Any, ArrayLike],
        *,
        first_frame: int = 1,
        time_axis: Literal[0, 1] = 0,
    ) -> FeatureTable:
        """Make a table of arrays in memory, of which it keeps a copy.

        Parameters
        ----------
        features : mapping of video to array-like of shape (n_frames, d)
            Real numbers; integers become float32.
        first_frame : int, default=1
            The number of the frame in the first row of each array.
        time_axis : {0, 1}, default=0
            Which axis counts the frames: 1 for arrays (d, n_frames).

        Returns
        -------
        features : FeatureTable
            Its `path` is None, and it pickles with its arrays.

        Raises
        ------
        ValueError
            If there is no mapping or no video, or two have one name as text; if an
            array has not two axes, frames or real finite numbers, or its d is not that
            of the others; if one hides numbers behind a mask; if tables name their
            columns otherwise than each other, or the index of one says other frames;
            if `first_frame` or `time_axis` is no such number.

        Examples
        --------
        >>> import numpy as np
        >>> from skanticipate.datasets import FeatureTable
        >>> FeatureTable.from_arrays({"a": np.ones((4, 30))}, time_axis=1)
        FeatureTable(1 videos, 30 frames, 4 x float64)
        """
        return hint_turned(cls(None, *_joined(features, first_frame, time_axis)))

    def __getitem__(self, video: str) -> np.ndarray:
        code = np.searchsorted(self.videos, str(video))
        if code == len(self.videos) or self.videos[code] != str(video):
            raise KeyError(video)
        check_whole_map(self.array)
        return self.array[self.first[code] : self.first[code + 1]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.videos.tolist())

    def __len__(self) -> int:
        return len(self.videos)

    def __repr__(self):
        return (
            f"FeatureTable({len(self)} videos, {len(self.frames)} frames, "
            f"{self.array.shape[1]} x {self.array.dtype})"
        )

    def __reduce__(self):
        if self.path is not None and _is_folder_of(self.path, self._marks):
            return _reopen, (self.path, _marks_of(self.path), _held_by(self.path))
        parts = (self.videos, self.first, self.frames, self._key)
        return FeatureTable, (None, np.asarray(self.array), *parts)

    def rows(
        self, videos: ArrayLike, frames: ArrayLike, numbers: ArrayLike | None = None
    ) -> np.ndarray:
        """Rows of `array` that hold frames of videos.

        Parameters
        ----------
        videos : array-like of shape (n,) of str
            The video of each row that is asked for.
        frames : array-like of shape (n, T) of int
            Its frames, by their numbers in the video.
        numbers : array-like of shape (n,) of int, default=None
            What errors call the rows of `videos`. None means 0, 1, ...

        Returns
        -------
        rows : ndarray of shape (n, T) of int

        Raises
        ------
        ValueError
            If a video or a frame is not there; names it and the row that asks for it.
            If the name of a video ends in NUL, which numpy would drop.
        """
        videos, frames = plain_column(videos), plain_column(frames)
        check_names(videos, "videos")
        videos, frames = np.asarray(videos, dtype=str), np.asarray(frames)
        numbers = np.arange(len(videos)) if numbers is None else np.asarray(numbers)
        names, code_of = np.unique(videos, return_inverse=True)
        rows = np.empty(frames.shape, dtype=np.int64)
        for code, name in enumerate(names.tolist()):
            here = np.flatnonzero(code_of == code)
            start, known = self._frames_of(name, numbers[here[0]])
            place = np.searchsorted(known, frames[here])
            found = known[np.minimum(place, len(known) - 1)] == frames[here]
            if not found.all():
                row, step = np.argwhere(~found)[0]
                absent = self._key.format(video=name, frame=frames[here[row], step])
                raise ValueError(
                    f"{self._name} has no {absent}, which row {numbers[here[row]]} "
                    f"asks for ({(~found).sum()} such frames of this video, whose "
                    f"frames go from {known[0]} to {known[-1]}): check fps, drop the "
                    "row, or convert a file with all frames."
                )
            rows[here] = start + place
        return rows

    @property
    def _name(self):
        return "features" if self.path is None else self.path

    def _frames_of(self, video, row):
        """First row of a video, and the numbers of its frames."""
        code = np.searchsorted(self.videos, video)
        if code == len(self.videos) or self.videos[code] != video:
            raise ValueError(
                f"{self._name} has no video {video!r}, which row {row} asks for; it "
                f"has {len(self)} videos, the first is {str(self.videos[0])!r}."
            )
        start, stop = self.first[code : code + 2]
        return start, self.frames[start:stop]


def _marks_of(path):
    """Marks of the files of a folder, which another folder of its name has not."""
    return [file_marks(path / name) for name in (FEATURES, INDEX)]


def _is_folder_of(path, marks):
    """Whether the files of a folder have these marks, but for that of their entry."""
    try:
        found = _marks_of(path)
    except OSError:
        return False
    return [own[:3] for own in found] == [own[:3] for own in marks]


def _held_by(path):
    """Marks of what the files of a folder hold, which a copy of them has too."""
    return [sample_mark(path / name) for name in (FEATURES, INDEX)]


def _reopen(path, marks, held):
    """Open the folder of a pickle, of which the marks are there to be hashed, too."""
    table = open_features(path)
    if not _is_folder_of(path, marks) and _held_by(path) != held:
        warn(
            f"{path} was written again after its table was pickled: the features are "
            "those that it holds now."
        )
    return table


def _joined(features, first_frame, time_axis):
    """Arrays of all videos as the parts of a table."""
    names = {str(video): video for video in features}
    if len(names) < len(features):
        twice = next(v for v in features if names[str(v)] != v)
        raise ValueError(
            f"features has two videos of the name {str(twice)!r}, which numbers and "
            "texts share: rename one of them."
        )
    videos = sorted(names)
    check_names(videos, "features")
    features = {video: features[names[video]] for video in videos}
    tables = {v: turned(t) if time_axis else t for v, t in features.items()}
    check_frames_by_place(tables, "features", first_frame)
    if not videos:
        raise ValueError("features is empty: expected at least one video.")
    rows = [a.T if time_axis else a for a in _arrays(features, time_axis)]
    kinds = {row.dtype if row.dtype.kind == "f" else np.dtype("f4") for row in rows}
    padding = np.full((1, rows[0].shape[1]), np.nan, dtype=np.result_type(*kinds))
    counts = [len(row) for row in rows]
    return (
        np.concatenate([*rows, padding], dtype=padding.dtype),
        np.array(videos),
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([np.arange(n) + first_frame for n in counts]),
        "{video}, frame {frame}",
    )


def _arrays(features, time_axis):
    """Features of all videos as arrays, which they must be.   -> list."""
    arrays = [
        np.asarray(plain_numbers(t, f"features[{v!r}]")) for v, t in features.items()
    ]
    for (video, table), array in zip(features.items(), arrays, strict=True):
        if array.ndim != 2 or not array.size or array.dtype.kind not in "fiub":
            raise ValueError(
                f"features[{video!r}] is {array.dtype} of shape {array.shape}: "
                "expected real numbers of shape (n_frames, d)."
            )
        if trouble := other_axes(table, time_axis):
            raise ValueError(f"features[{video!r}] has {trouble}.")
        if trouble := other_width(array.shape, arrays[0].shape, time_axis):
            raise ValueError(
                f"features[{video!r}] has {trouble[0]} features: expected "
                f"{trouble[1]}, as features[{next(iter(features))!r}].{trouble[2]}"
            )
        if reason := excess(array) or filled(array, table):
            raise ValueError(f"features[{video!r}] holds no features: {reason}.")
    return arrays


def open_features(path: FilePath) -> FeatureTable:
    """Open features that :func:`read_lmdb` or :func:`read_hdf5` has written.

    Parameters
    ----------
    path : str or path-like
        The folder that was given as `out`.

    Returns
    -------
    features : FeatureTable
        Nothing but the index is read.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or one of its two files is missing.
    ValueError
        If one of the files is damaged or cut short; names the file.

    Examples
    --------
    See :func:`read_hdf5`.
    """
    path = Path(path).absolute()
    for name in (FEATURES, INDEX):
        if not (path / name).is_file():
            raise FileNotFoundError(
                f"There is no file {path / name}: expected a folder that read_lmdb or "
                "read_hdf5 has written."
            )
    videos, first, frames, key = _read_index(path / INDEX)
    try:
        check_header(path / FEATURES)
        array = np.lib.format.open_memmap(path / FEATURES, mode="r")
    except Exception as error:  # whatever damage makes of a header
        raise _damaged(path / FEATURES, error) from error
    if array.ndim != 2 or len(array) != len(frames) + 1:
        raise _damaged(
            path / FEATURES,
            f"shape {array.shape}, the index lists {len(frames)} frames",
        )
    if array.dtype.kind != "f" or not np.isnan(array[-1]).all():
        raise _damaged(
            path / FEATURES, f"{array.dtype}: expected floats, and a last row of NaN"
        )
    return FeatureTable(path, array, videos, first, frames, key)


def _read_index(path):
    """Return videos, first, frames and key of an index that fits together."""
    try:
        names = ("videos", "first", "frames", "key")
        videos, first, frames, key = unpacked(path, names)
        is_index = _fits(videos, first, frames, str(key))
    except Exception as error:  # whatever damage makes of an archive
        raise _damaged(path, error) from error
    if not is_index:
        raise _damaged(path, "it is no index of videos and their frames")
    return videos, first, frames, str(key)


def _fits(videos, first, frames, key):
    """Whether arrays are an index: sorted videos, each with ascending frames."""
    kinds = "".join(array.dtype.kind for array in (videos, first, frames))
    if videos.shape != (len(first) - 1,) or frames.ndim != 1 or kinds != "Uii":
        return False
    starts = first[1:-1]
    ascending = np.diff(frames) > 0
    ascending[starts - 1] = True
    return bool(
        len(videos)
        and (first[0], first[-1]) == (0, len(frames))
        and (np.diff(first) > 0).all()
        and (videos[:-1] < videos[1:]).all()
        and ascending.all()
        and _is_pattern(key)
    )


def _is_pattern(key):
    """Whether a text is a format of video and frame, which gives a short name."""
    fields = [field[1:3] for field in Formatter().parse(key) if field[1] is not None]
    return (
        sorted(name for name, _ in fields) == ["frame", "video"]
        and not any(_STRANGE_SPEC.search(spec) for _, spec in fields)
        and len(key.format(video="a", frame=1)) < 10_000
    )


def _damaged(path, reason):
    return ValueError(
        f"{path} is damaged ({reason}), or neither read_lmdb nor read_hdf5 has written "
        "it: convert the features again."
    )
