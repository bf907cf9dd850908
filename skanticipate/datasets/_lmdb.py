"""Features in LMDB files, as RULSTM publishes them, as a folder of features.

Run in a process of its own, see `_child`: neither torch nor scikit-learn is imported.
"""

import re
from array import array
from contextlib import ExitStack
from pathlib import Path
from string import Formatter

import numpy as np

from skanticipate.data.files import sample_mark
from skanticipate.data.formats import foreign_format
from skanticipate.datasets._folder import Room, check_room, write_features
from skanticipate.datasets._nul import refuse_nul
from skanticipate.datasets._plausible import check_bytes, excess

_BLOCK_BYTES = 1 << 22
_PADDED = re.compile(r"0([1-9]\d?)d?")  # numbers with leading zeros
_TEXT = re.compile(rb"[\t\n\r -~]{16,}")


def convert(paths, folder, room, *, pattern, dtype, counts):
    """Write what is in LMDB files into a folder.

    Parameters
    ----------
    paths : list of str
    folder : str
        An empty one.
    room : Room, or a list of its parts
        Where it will be, and what is free there.
    pattern : str
    dtype : str
        Of floats or integers.
    counts : list of int or None
        Number of features in each file.

    Raises
    ------
    OSError, ValueError
        As `read_lmdb`.
    """
    import lmdb

    room = Room(*room)
    paths, dtype = [Path(path) for path in paths], np.dtype(dtype)
    expression = key_expression(pattern)
    with ExitStack() as stack:
        try:
            readers = [stack.enter_context(_open(lmdb, p)) for p in paths]
            marks = [sample_mark(_file_of(path)) for path in paths]  # before it is read
            readers = [stack.enter_context(env.begin(buffers=True)) for env in readers]
            index = _index(readers[0], paths[0], pattern, expression)
            frames = _Frames(readers, paths, index, pattern, dtype)
            n_features = frames.check(counts)
            check_room(room, len(frames), n_features, frames.stored)
            blocks = frames.blocks()
            write_features(folder, room.out, *index, pattern, blocks, made_of=marks)
        except lmdb.Error as error:
            raise ValueError(
                f"LMDB cannot read {', '.join(map(str, paths))} ({error}): close it "
                "where it is written, or get the file again."
            ) from error


def key_expression(pattern):
    """Regular expression of the keys, with the groups video and frame."""
    fields = [field[:3] for field in Formatter().parse(pattern)]
    named = [field for field in fields if field[1] is not None]
    if sorted(name for _, name, _ in named) != ["frame", "video"]:
        raise ValueError(
            f"pattern is {pattern!r}: expected one {{video}} and one {{frame}}, as in "
            "'{video}_frame_{frame:010d}.jpg'."
        )
    digits = "+"
    if not named[1][0].strip("0123456789"):  # what stands between the two
        spec = next(spec for _, name, spec in named if name == "frame")
        digits = f"{{{_digits_of(spec, pattern)}}}"
    groups = {"video": "(?P<video>.+)", "frame": f"(?P<frame>[0-9]{digits})"}
    return re.compile("".join(re.escape(t) + groups.get(n, "") for t, n, _ in fields))


def _digits_of(spec, pattern):
    """Digits that the number of a frame has, where nothing sets it off the video."""
    width = _PADDED.fullmatch(spec)
    if width is None:
        raise ValueError(
            f"pattern is {pattern!r}, in which nothing but digits stands between video "
            "and frame: 'P1' and 12 give the key of 'P11' and 2. Expected another sign "
            "between them, or a number of digits, as in '{video}{frame:06d}'."
        )
    return int(width[1])


def _file_of(path):
    """The file of an environment, which may be called by its folder."""
    return path / "data.mdb" if path.is_dir() else path


def _open(lmdb, path):
    """Open an environment whose file is all there."""
    file = _file_of(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no file {file}: expected the folder of an LMDB, or its file."
        )
    with open(file, "rb") as head:
        found = foreign_format(head.read(512))
    if found is not None:
        raise ValueError(f"{file} is {found}: expected an LMDB.")
    env = lmdb.open(
        str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False
    )
    # A page that is missing would end the process, without an error to catch.
    expected = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if file.stat().st_size < expected:
        env.close()
        raise ValueError(
            f"{file} is cut short: expected {expected} bytes, got "
            f"{file.stat().st_size}. Get it again."
        )
    return env


def _index(reader, path, pattern, expression):
    """Videos, their first rows and the numbers of all frames, sorted."""
    codes, frames, code_of, strange = array("i"), array("q"), {}, []
    for key in reader.cursor().iternext(values=False):
        text = bytes(key).decode("utf-8", errors="backslashreplace")
        match = expression.fullmatch(text)
        named = match and {"video": match["video"], "frame": int(match["frame"])}
        if not named or pattern.format(**named).encode() != key:
            strange.append(text)
            continue
        codes.append(code_of.setdefault(named["video"], len(code_of)))
        frames.append(named["frame"])
    if strange:
        listed = ", ".join(map(repr, strange[:5]))
        raise ValueError(
            f"{path} has the key {listed}, which does not follow the pattern "
            f"{pattern!r} ({len(strange)} such keys): set pattern=, or delete the keys "
            "that are no frames."
        )
    if not codes:
        raise ValueError(f"{path} has no entries: expected the features of frames.")
    refuse_nul(code_of, path)
    videos = np.array(list(code_of))
    order = np.argsort(videos)
    codes = np.argsort(order)[np.frombuffer(codes, dtype=np.int32)]
    frames = np.frombuffer(frames, dtype=np.int64)
    by_video = np.lexsort((frames, codes))
    again = np.diff(codes[by_video]) == 0
    again &= np.diff(frames[by_video]) == 0
    if again.any():
        raise ValueError(f"{path} has a key twice: it is damaged, get it again.")
    counts = np.bincount(codes, minlength=len(videos))
    return videos[order], np.concatenate([[0], np.cumsum(counts)]), frames[by_video]


class _Frames:
    """The frames of an index, whose features lie in one or several files."""

    def __init__(self, readers, paths, index, pattern, dtype):
        self.readers, self.paths = readers, paths
        self.videos, self.first, self.frames = index
        self.pattern = pattern
        self.dtype = dtype
        self.stored = dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype("f4")
        self.widths = None  # bytes of a frame in each file

    def __len__(self):
        return len(self.frames)

    def check(self, counts):
        """Look at some frames in each file.   -> number of features, over all files."""
        self._check_keys()
        (key,) = self._keys(np.array([0]))
        values = [self._value(number, key) for number in range(len(self.paths))]
        for path, value, d in zip(self.paths, values, counts, strict=True):
            _check_value(value, self.dtype, d, path, key)
        self.widths = [len(value) for value in values]
        n_looked_at = min(len(self), 2048, _BLOCK_BYTES // sum(self.widths) + 1)
        rows = np.linspace(0, len(self) - 1, n_looked_at).astype(np.intp)
        for path, part, d in zip(self.paths, self._read(rows), counts, strict=True):
            where = f"The numbers in {path}"
            check_bytes(part, self.dtype, where, width_known=d is not None)
        return sum(self.widths) // self.dtype.itemsize

    def _check_keys(self):
        """Refuse files with keys that the first has not."""
        for reader, path in zip(self.readers[1:], self.paths[1:], strict=True):
            n_more = reader.stat()["entries"] - len(self)
            if n_more <= 0:  # a key that is missing is found on reading
                continue
            keys = reader.cursor().iternext(values=False)
            more = (key for key in keys if self.readers[0].get(key) is None)
            key = bytes(next(more, b"")).decode("utf-8", errors="backslashreplace")
            raise ValueError(
                f"{path} has the key {key}, which {self.paths[0]} has not, and "
                f"{n_more} entries more: expected the same frames in all files."
            )

    def blocks(self):
        """Yield the features of all frames, some at a time.   (k, d)."""
        size = max(1, _BLOCK_BYTES // sum(self.widths))
        for start in range(0, len(self), size):
            rows = np.arange(start, min(start + size, len(self)))
            parts = []
            for path, values in zip(self.paths, self._read(rows), strict=True):
                part = np.frombuffer(b"".join(values), dtype=self.dtype)
                parts.append(part.reshape(len(rows), -1))
                if reason := excess(parts[-1]):
                    first, last = self._keys(rows[[0, -1]])
                    raise ValueError(
                        f"{path} has numbers that are no features from the key {first} "
                        f"to the key {last}: {reason}. Extract these frames again."
                    )
            yield np.hstack(parts).astype(self.stored, copy=False)

    def _keys(self, rows):
        """Keys of frames.   list of str."""
        codes = np.searchsorted(self.first, rows, side="right") - 1
        names, frames = self.videos[codes].tolist(), self.frames[rows].tolist()
        return [
            self.pattern.format(video=name, frame=frame)
            for name, frame in zip(names, frames, strict=True)
        ]

    def _value(self, number, key):
        value = self.readers[number].get(key.encode())
        if value is None:
            raise ValueError(
                f"{self.paths[number]} has no key {key}, which {self.paths[0]} has: "
                "expected the same frames in all files."
            )
        return value

    def _read(self, rows):
        """Values of frames in each file.   n_files lists of n bytes."""
        keys, parts = self._keys(rows), []
        for number, width in enumerate(self.widths):
            parts.append([self._value(number, key) for key in keys])
            for key, value in zip(keys, parts[-1], strict=True):
                if len(value) != width:
                    raise ValueError(
                        f"{self.paths[number]} has {len(value)} bytes at the key "
                        f"{key}: expected {width}, as at the first key."
                    )
        return parts


def _check_value(value, dtype, d, path, key):
    """Refuse a value that is of another format, or of another length."""
    value, size = bytes(value), dtype.itemsize
    found = foreign_format(value) or ("text" if _TEXT.fullmatch(value) else None)
    if found is not None:
        raise ValueError(
            f"{path} has {found} at the key {key}: expected the bytes of its features "
            "and nothing else, as array.tobytes() gives them. Convert the values first."
        )
    if not value or len(value) % size or (d is not None and len(value) != d * size):
        expected = f"a multiple of {size}" if d is None else f"{d} times {size}"
        raise ValueError(
            f"{path} has {len(value)} bytes at the key {key}: expected {expected}, for "
            f"features of {dtype.name}. Set dtype= and d= to what the file has."
        )
