"""Readers of binary files: models, what fits keep, features of frames."""

import io
import json
import random
import resource
import shutil
import warnings
import zipfile
import zlib
from contextlib import ExitStack, nullcontext, suppress
from functools import cache
from unittest import mock

import h5py
import lmdb
import numpy as np
from bounded import Reader
from feature_files import numbered, write_lmdb
from mutants import mutated, signed
from mutations import EDGES, changed_bytes
from test_mutants import write_models

import skanticipate
from skanticipate import LSTM, MLP, DistilledAnticipator, SmoothedAnticipator
from skanticipate.data.tensor_header import HEADER
from skanticipate.datasets import open_features, read_hdf5, read_lmdb, read_npy
from skanticipate.signals.cache import TeacherCache
from skanticipate.training import checkpoint
from skanticipate.training.checkpoint import Checkpoint, StateFile

try:
    from skanticipate.datasets import _converted  # in a process of its own
except ImportError:
    _converted = None

STARTED = 0.0005  # share of inputs for which a process is started, which takes long
MAPS = f'{{"__metadata__":{{"{HEADER}":'.encode()

# ---------------------------------------------------------------------------- models


class ModelReader(Reader):
    """Files of fitted estimators, of this format and of older ones."""

    name = "model files"
    n_large = 0

    def prepare(self, folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_models(folder)
        paths = sorted(folder.glob("*.safetensors"))
        self.contents = [path.read_bytes() for path in paths]
        for path in paths:
            skanticipate.load(path)
        self.contents += [_of_format_1(content) for content in self.contents[:2]]

    def make(self, rng):
        content = rng.choice(self.contents)
        if rng.random() < 0.7:
            return {"a.safetensors": mutated(content, rng)}
        return {"a.safetensors": changed_bytes(content, rng, self.contents)}

    def read(self, folder, rng):
        model = skanticipate.load(folder / "a.safetensors")
        assert hasattr(model, "fit")


def _of_format_1(content):
    """A file as it was before there were checksums."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    description = json.dumps({"class": "a"})
    told = {"format": "skanticipate 1", "description": description}
    header["__metadata__"] = told
    return signed(header, content[8 + length :])


# ------------------------------------------------------------- what fits have kept


class CacheReader(Reader):
    """Kept teachers, maps and states of fits.

    What is damaged is met by a fit, what was made to do harm by what reads it.
    """

    name = "cache entries"

    def prepare(self, folder):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(12, 4)).astype(np.float32)
        y = np.array([0, 1, 2] * 4)
        clips = X.reshape(12, 2, 2)
        place = folder / "input"
        kept = {"checkpoint": place, "random_state": 0, "max_epochs": 2}
        cached = {"teacher_cache": place, "random_state": 0, "max_epochs": 1}
        stopped = SmoothedAnticipator(MLP(2, dropout=0.5), early_stopping=True, **kept)
        self.fits = [
            lambda: SmoothedAnticipator(MLP(2), **kept).fit(X, y),
            lambda: stopped.fit(X, y, groups=np.arange(12)),
            lambda: DistilledAnticipator(MLP(2), **cached).fit(X, y, X),
            lambda: DistilledAnticipator(LSTM(2), **cached).fit(clips, y, clips),
        ]
        self.entries = []
        for number, fit in enumerate(self.fits):
            for entries in _kept_by(fit, place):
                self.entries += [(number, name, entries) for name in entries]
        self.contents = [entries[name] for _, name, entries in self.entries]

    def make(self, rng):
        number, name, entries = rng.choice(self.entries)
        content = entries[name]
        if rng.random() < 0.4 and not content.startswith(MAPS, 8):
            return {name: mutated(content, rng)}
        content = changed_bytes(content, rng, self.contents)
        if rng.random() < 0.03:
            return {"fit": str(number).encode(), **entries, name: content}
        return {name: content}

    def read(self, folder, rng):
        if (folder / "fit").exists():
            fit = self.fits[int((folder / "fit").read_bytes())]
            try:
                fitted = fit()
            except ValueError as error:
                if "loss is nan" in str(error):  # numbers of maps have no checksum
                    raise ValueError(f"{folder}: {error}") from error
                raise
            assert np.isfinite(fitted.loss_curve_).all()
            return
        (path,) = folder.iterdir()
        key, kind, _ = path.name.split(".")
        if kind == "teacher":
            TeacherCache(folder).teacher(key, (), None)
        elif kind == "maps":
            maps = TeacherCache(folder).maps(key, None, range(12))
            assert len(maps[[0, 11]]) == 2
        else:
            StateFile(path, _parts_of(path.read_bytes()), 1).read()


def _kept_by(fit, folder):
    """Files that a fit leaves, and those of one under way.   -> two dicts."""
    end = mock.patch.object(Checkpoint, "finish", side_effect=InterruptedError)
    often = mock.patch.object(checkpoint, "_PAUSE", 0)
    for patches in ((), (end, often)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            stack.enter_context(suppress(InterruptedError))
            for patch in patches:
                stack.enter_context(patch)
            fit()
        yield {p.name: p.read_bytes() for p in sorted(folder.glob("*.safetensors"))}


def _parts_of(content):
    """What the fit of a state depends on, as far as the file can tell."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        parts = json.loads(header["__metadata__"]["description"])["parts"]
    except (ValueError, LookupError, TypeError):
        return {}
    return parts if isinstance(parts, dict) else {}


# ------------------------------------------------------------------- feature folders


class FolderReader(Reader):
    """Folders that `read_lmdb` and its like have written, and folders of arrays."""

    name = "feature folders"

    def prepare(self, folder):
        rng = np.random.default_rng(0)
        arrays = {v: rng.normal(size=(n, 3)) for v, n in [("a", 4), ("b", 9), ("c", 2)]}
        place = folder / "arrays"
        place.mkdir(exist_ok=True)
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", array.astype(np.float32))
        self.arrays = {p.name: p.read_bytes() for p in sorted(place.iterdir())}
        self.table = {}
        out = folder / "features"
        if not out.exists():
            read_npy(place, out=out)
        self.table = {p.name: p.read_bytes() for p in sorted(out.iterdir())}
        with np.load(out / "index.npz") as index:
            self.index = dict(index)

    def make(self, rng):
        if rng.random() < 0.4:
            files = dict(self.arrays)
            name = rng.choice(list(files))
            files[name] = _changed_npy(files[name], rng, list(files.values()))
            return files
        files = dict(self.table)
        if rng.random() < 0.4:
            npy = files["features.npy"]
            files["features.npy"] = _changed_npy(npy, rng, list(self.arrays.values()))
        elif rng.random() < 0.5:
            files["index.npz"] = self._other_index(rng)
        else:
            files["index.npz"] = changed_bytes(files["index.npz"], rng)
        return files

    def _other_index(self, rng):
        """An archive of which a member is another array, or is packed otherwise."""
        members = {name: _npy(array) for name, array in self.index.items()}
        name = rng.choice(list(members))
        array = self.index[name]
        way = rng.randrange(6)
        if way == 0 and array.dtype.kind == "i":
            array = array.copy()
            number = rng.choice([*EDGES[:12], -1, -(2**40), 2**62])
            array[rng.randrange(len(array))] = number
            members[name] = _npy(array)
        elif way == 1:
            kinds = ["i1", "u8", "f4", ">i8", "U9", "S3", "?", "c16", "M8[s]"]
            kind = rng.choice(kinds)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    members[name] = _npy(array.astype(kind))
                except ValueError:
                    members[name] = _npy(array[..., None])
        elif way == 2:
            members[name] = _changed_npy(members[name], rng, list(members.values()))
        elif way == 3:
            members[name] += b"\0" * rng.choice([10, 10**6, 3 * 10**7])
        elif way == 4:
            key = rng.choice(
                ["{video}", "{video}{frame:99999999999d}", "{video!r} {frame:{frame}}"]
                + ["{video.__class__}{frame}", "{video:99999999}{frame}", "{", "\0"]
                + ["{frame:d}{video:d}", "{video}{frame!x}", "{frame[0]}{video}"]
            )
            members["key"] = _npy(np.array(key))
        else:
            members[rng.choice(["videos", "first", "x"])] = members.pop(name)
        pack = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", pack, compresslevel=1) as archive:
            for member, content in members.items():
                archive.writestr(f"{member}.npy", content)
        return buffer.getvalue()

    def read(self, folder, rng):
        if (folder / "index.npz").exists():
            table = open_features(folder)
        else:
            out = folder / "out"
            before = sorted(folder.iterdir())
            try:
                table = read_npy(folder, out=out, time_axis=rng.choice([0, 0, 0, 1]))
            except BaseException:
                assert sorted(folder.iterdir()) == before, "litter"
                raise
        check_table(table, folder)


def check_table(table, folder):
    """Every row can be read, and a frame that is not there is told."""
    assert len(table.videos) == len(table) > 0
    assert table.array.shape[0] == len(table.frames) + 1 and table.array.ndim == 2
    assert sum(len(table[video]) for video in table) == len(table.frames)
    float(np.nansum(table.array, dtype=np.float64))
    video, last = str(table.videos[-1]), int(table.frames[-1])
    assert table.rows([video], [[last]]) == len(table.frames) - 1
    absent = last - 1 if last > np.iinfo(np.int64).min else last + 1
    if absent not in table.frames:
        try:
            table.rows([video], [[absent]])
        except ValueError as error:
            assert len(str(error)) < 5000
        else:
            raise AssertionError("a frame that is not there")


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


_SHAPES = ["(0, 3)", "(-1, 3)", "(4,)", "()", "(3, 4)", "(4, 0)", "(1, 1)", "(2, 3, 2)"]
_SHAPES += ["(4294967296, 3)", "(9223372036854775807, 1)", "(0, 9223372036854775807)"]
_SHAPES += ["(4, 3.0)", "(True, 3)", "4, 3", "(4611686018427387904, 4)", "[4, 3]"]
_SHAPES += ["(100000000, 3)", "(" * 200 + ")" * 200, "(9" + "9" * 5000 + ",)"]
_DESCRS = ["<f4", ">f4", "<f8", "<f2", "|O", "<U4", "|V12", "<i4", "|b1", "<c8", "f"]
_DESCRS += ["<U1000000000", "|S0", "<M8[s]", "<f16", "|V2147483647", "", "<x9", "|i1"]


def _changed_npy(content, rng, others):
    """An array in a file whose header says something else, or other damage."""
    header = content[10:128]
    way = rng.randrange(6)
    if way == 0:
        text = rng.choice(_SHAPES).encode()
        start = header.index(b"'shape': ") + 9
        header = header[:start] + text + b", }\n"
    elif way == 1:
        descr = rng.choice(_DESCRS)
        told = rng.choice([repr(descr), f"[('a', {descr!r})]", f"({descr!r}, (2,))"])
        start = header.index(b"'descr': ") + 9
        header = header[:start] + told.encode() + header[header.index(b", 'fortran") :]
    elif way == 2:
        header = header.replace(b"False", rng.choice([b"True", b"2", b"None", b"[]"]))
    elif way == 3:
        numbers = np.frombuffer(content[128:], dtype=np.float32)
        size = max(1, numbers.size)
        numbers = numbers.copy() if numbers.size else np.zeros(1, np.float32)
        strange = [np.nan, np.inf, -np.inf, 1e30, -1e38, 1e-45, 0, 1e15]
        numbers[rng.randrange(size)] = rng.choice(strange)
        return content[:128] + numbers.tobytes()
    else:
        return changed_bytes(content, rng, others)
    version = rng.choice([b"\1\0", b"\1\0", b"\2\0", b"\3\0"])
    size = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + size[: len(size)] + header + content[128:]


# ------------------------------------------------------------------------ HDF5, LMDB


def in_this_process():
    """Convert here: the child of the soak stands for the one that would be started."""
    if _converted is None:
        return nullcontext()
    return mock.patch.object(
        _converted, "in_child", lambda function, files, *a, **k: function(*a, **k)
    )


class Hdf5Reader(Reader):
    """HDF5 files of several layouts."""

    in_child = _converted is not None

    name = "HDF5"
    suffix = "h5"

    def prepare(self, folder):
        self.contents = list(_hdf5_files(folder))
        for bomb in BOMBS:  # once, and not in each child
            _hdf5_bomb(*bomb)
        path = folder / "first.h5"
        path.write_bytes(self.contents[0])
        out = folder / f"first{random.getrandbits(40)}"
        check_table(read_hdf5(path, out=out), folder)

    def make(self, rng):
        content = rng.choice(self.contents)
        if rng.random() < 0.003:
            return {"bomb.h5": _hdf5_bomb(*rng.choice(BOMBS))}
        return {"a.h5": changed_bytes(content, rng, self.contents)}

    def read(self, folder, rng):
        (path,) = folder.iterdir()
        started = rng.random() < STARTED
        if path.name == "bomb.h5":  # what it unpacks to may be much, and is in a folder
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            started = True
        try:
            with nullcontext() if started else in_this_process():
                table = read_hdf5(path, out=folder / "out")
        except BaseException:
            assert list(folder.iterdir()) == [path], "litter"
            raise
        check_table(table, folder)


def _hdf5_files(folder):
    rng = np.random.default_rng(0)
    sizes = {"a": 4, "b": 9}
    arrays = {v: rng.normal(size=(n, 3)).astype("f4") for v, n in sizes.items()}
    ways = [
        ({}, {}),
        ({"libver": "latest"}, {}),
        ({}, {"chunks": (2, 3)}),
        ({}, {"chunks": (4, 3), "compression": "gzip", "shuffle": True}),
        ({"libver": "latest"}, {"chunks": (2, 3), "fletcher32": True}),
        ({}, {"chunks": (2, 2), "compression": "lzf"}),
        ({}, {"dtype": "i2"}),
        ({"track_order": True}, {"chunks": (4, 3), "maxshape": (None, 3)}),
    ]
    for options, layout in ways:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", **options) as file:
            for name, array in arrays.items():
                data = file.create_dataset(name, data=array, **layout)
                data.attrs["units"] = "m"
        yield buffer.getvalue()


BOMBS = [(10**5, 1000, 0), (10**6, 10**5, 1), (10**6, 10**6, 1), (10**7, 10**7, 0)]
BOMBS += [(10**5, 1000, 1), (10**7, 10**7, 1)]


@cache
def _hdf5_bomb(n_rows, n_in_chunk, filled):
    """A small file that says that it holds much."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        options = {"chunks": (n_in_chunk, 3), "compression": "gzip"}
        data = file.create_dataset("a", (n_rows, 3), dtype="f4", **options)
        packed = zlib.compress(bytes(12 * n_in_chunk)) if filled else b""
        for start in range(0, n_rows, n_in_chunk) if filled else ():
            data.id.write_direct_chunk((start, 0), packed)
    return buffer.getvalue()


class LmdbReader(Reader):
    """LMDB files."""

    in_child = _converted is not None

    name = "LMDB"

    def prepare(self, folder):
        self.contents = []
        sizes = {"small": {"a": 5}, "large": {"a": 90, "bb": 40}}
        for name, videos in sizes.items():
            tables = {video: numbered(n) for video, n in videos.items()}
            if not (folder / name).exists():
                write_lmdb(folder / name, tables)
            self.contents.append((folder / name / "data.mdb").read_bytes())
        wide = {"a": np.ones((3, 1200), np.float32)}  # on pages of their own
        if not (folder / "wide").exists():
            write_lmdb(folder / "wide", wide)
        self.contents.append((folder / "wide" / "data.mdb").read_bytes())
        out = folder / f"first{random.getrandbits(40)}"
        check_table(read_lmdb(folder / "small", out=out), folder)
        lmdb.version()

    def make(self, rng):
        content = rng.choice(self.contents)
        return {"data.mdb": changed_bytes(content, rng, self.contents)}

    def read(self, folder, rng):
        try:
            with nullcontext() if rng.random() < STARTED else in_this_process():
                table = read_lmdb(folder, out=folder / "out")
        except BaseException:
            assert [p.name for p in folder.iterdir()] == ["data.mdb"], "litter"
            raise
        check_table(table, folder)


FILE_READERS = [ModelReader, CacheReader, FolderReader, Hdf5Reader, LmdbReader]
