"""Features in LMDB files, as RULSTM publishes them, converted to one mapped file."""

import re
from array import array
from contextlib import ExitStack
from pathlib import Path
from string import Formatter

import numpy as np

from skanticipate.datasets._features import check_absent, open_features, write_features


def read_lmdb(path, *, out, pattern="{video}_frame_{frame:010d}.jpg"):
    """Convert features of frames in LMDB files to one memory-mapped file.

    An LMDB environment cannot be opened twice in a process, does not pickle, and is
    slow to read at random. So it is opened once, converted and closed.

    Parameters
    ----------
    path : str or path-like, or list of them
        Folder with a `data.mdb`, or the file itself. One value is the float32
        features of one frame. Several are several modalities of the same frames: their
        features are joined in this order, and
        :class:`skanticipate.LastAxisSlice` picks one of them again.
    out : str or path-like
        Folder to be written. It must not exist, and appears once it is complete.
    pattern : str, default="{video}_frame_{frame:010d}.jpg"
        How the name of the video and the number of the frame make a key. The default
        is that of RULSTM.

    Returns
    -------
    features : FeatureTable
        What :func:`open_features` gives for `out`.

    Raises
    ------
    ImportError
        If lmdb is not installed.
    FileNotFoundError
        If there is no such file.
    FileExistsError
        If `out` exists.
    ValueError
        If a file is no LMDB, is cut short, is open in this process or has no entries;
        if a key does not follow the pattern, is missing from one of several files, or
        has features of another length than the first.

    See Also
    --------
    read_hdf5 : The same from HDF5 files.
    cut_clips : Cut clips out of the features.

    Notes
    -----
    Needs as much disk as the features, and 16 bytes of memory for a frame.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import lmdb
    >>> import numpy as np
    >>> from skanticipate.datasets import read_lmdb
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name)
    >>> with lmdb.open(str(path / "rgb")) as env, env.begin(write=True) as transaction:
    ...     for frame in (1, 2, 3):
    ...         key = f"P01_01_frame_{frame:010d}.jpg".encode()
    ...         value = np.full(4, frame, dtype=np.float32)
    ...         _ = transaction.put(key, value.tobytes())
    >>> features = read_lmdb(path / "rgb", out=path / "rgb_features")
    >>> features
    FeatureTable(1 videos, 3 frames, 4 x float32)
    >>> np.asarray(features["P01_01"][1])
    array([2., 2., 2., 2.], dtype=float32)
    >>> folder.cleanup()
    """
    lmdb = _import_lmdb()
    out = check_absent(out)
    paths = [Path(p) for p in (path if isinstance(path, list | tuple) else [path])]
    expression = _key_expression(pattern)
    with ExitStack() as stack:
        try:
            readers = [stack.enter_context(_open(lmdb, p)) for p in paths]
            readers = [stack.enter_context(env.begin(buffers=True)) for env in readers]
            videos, first, frames = _index(readers[0], paths[0], pattern, expression)
            keys = _keys(videos, first, frames, pattern)
            blocks = _blocks(readers, paths, keys)
            write_features(out, videos, first, frames, pattern, blocks)
        except lmdb.Error as error:
            raise ValueError(
                f"LMDB cannot read {', '.join(map(str, paths))} ({error}): close it "
                "where it is open in this process, or get the file again."
            ) from error
    return open_features(out)


def _import_lmdb():
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(
            'Reading LMDB files needs lmdb: pip install "skanticipate[epic]".'
        ) from error
    return lmdb


def _key_expression(pattern):
    """Regular expression of the keys, with the groups video and frame."""
    groups = {"video": "(?P<video>.+)", "frame": "(?P<frame>[0-9]+)"}
    parts, named = [], []
    for text, name, _, _ in Formatter().parse(pattern):
        parts.append(re.escape(text))
        if name is not None:
            named.append(name)
            parts.append(groups.get(name, ""))
    if sorted(named) != ["frame", "video"]:
        raise ValueError(
            f"pattern is {pattern!r}: expected one {{video}} and one {{frame}}, as in "
            "'{video}_frame_{frame:010d}.jpg'."
        )
    return re.compile("".join(parts))


def _open(lmdb, path):
    """Open an environment whose file is all there."""
    file = path / "data.mdb" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no file {file}: expected the folder of an LMDB, or its file."
        )
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
    codes, frames, code_of = array("i"), array("q"), {}
    for key in reader.cursor().iternext(values=False):
        text = bytes(key).decode("utf-8", errors="replace")
        match = expression.fullmatch(text)
        named = match and {"video": match["video"], "frame": int(match["frame"])}
        if not named or pattern.format(**named) != text:
            raise ValueError(
                f"{path} has the key {text!r}, which does not follow the pattern "
                f"{pattern!r}: set pattern=."
            )
        codes.append(code_of.setdefault(named["video"], len(code_of)))
        frames.append(named["frame"])
    if not codes:
        raise ValueError(f"{path} has no entries: expected the features of frames.")
    videos = np.array(list(code_of))
    order = np.argsort(videos)
    codes = np.argsort(order)[np.frombuffer(codes, dtype=np.int32)]
    frames = np.frombuffer(frames, dtype=np.int64)
    by_video = np.lexsort((frames, codes))
    counts = np.bincount(codes, minlength=len(videos))
    return videos[order], np.concatenate([[0], np.cumsum(counts)]), frames[by_video]


def _keys(videos, first, frames, pattern):
    """Yield the key of each frame, in the order of the index."""
    for video, start, stop in zip(videos.tolist(), first[:-1], first[1:], strict=True):
        for frame in frames[start:stop].tolist():
            yield pattern.format(video=video, frame=frame)


def _blocks(readers, paths, keys):
    """Yield the features of each frame.   (1, d), d over all files."""
    expected = [None] * len(readers)
    for key in keys:
        parts = []
        for number, reader in enumerate(readers):
            value = reader.get(key.encode())
            if value is None:
                raise ValueError(
                    f"{paths[number]} has no key {key}, which {paths[0]} has: expected "
                    "the same frames in all files."
                )
            expected[number] = expected[number] or len(value)
            if len(value) != expected[number] or len(value) % 4 or not len(value):
                raise ValueError(
                    f"{paths[number]} has {len(value)} bytes at the key {key}: "
                    f"expected {expected[number]}, as at the first key, and 4 for each "
                    "feature."
                )
            parts.append(np.frombuffer(value, dtype="<f4"))
        yield np.concatenate(parts)[None]
