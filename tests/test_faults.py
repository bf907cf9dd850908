"""What a fault at any place leaves: the old or the whole new one, and no strangers."""

import errno
import os
import shutil

import numpy as np
import pytest
from faults import BROKEN, FULL, QUOTA, at_every_place, strangers
from interrupted import SOME, X, Y, bits
from numpy.testing import assert_array_equal

from skanticipate import (
    MLP,
    DistilledAnticipator,
    FeatureMapNet,
    SmoothedAnticipator,
    fit_many,
    load,
    save,
)
from skanticipate.data.tensor_file import map_tensor, write_batches
from skanticipate.datasets import open_features, read_npy
from skanticipate.training import checkpoint

DISKS = pytest.mark.parametrize(
    ("error", "lasting"),
    [(FULL, False), (FULL, True), (QUOTA, True), (BROKEN, False)],
    ids=["moment", "full", "quota", "broken"],
)


def is_ours(error, name):
    """Whether an error is one of the disk, that names the file or its folder."""
    return (
        isinstance(error, OSError)
        and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        and (str(name) in str(error) or str(name) in str(error.filename))
    )


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "_PAUSE", 0)  # write after every epoch
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # or it takes minutes


def smoothed(**options):
    options = {"max_epochs": 3, "batch_size": 16, "random_state": 0} | options
    return SmoothedAnticipator(MLP(5), **options)


# ------------------------------------------------------------------------ models


@DISKS
def test_save(error, lasting, tmp_path):
    old, new = smoothed().fit(X, Y), smoothed(random_state=1).fit(X, Y)
    expected = {str(bits(model)) for model in (old, new)}
    path = tmp_path / "model"

    def run():
        save(old, path) if not path.exists() else None
        save(new, path)

    save(old, path)

    def check(raised):
        assert raised is None or is_ours(raised, path)
        assert str(bits(load(path))) in expected
        assert not strangers(tmp_path, lambda p: p == path)
        if raised is None:  # of clearing away
            assert bits(load(path)) == bits(new)
        save(old, path)

    assert at_every_place(run, check, error, lasting) >= 8
    assert bits(load(path)) == bits(new)


# ------------------------------------------------------------------------- fits


@DISKS
def test_a_checkpoint(error, lasting, tmp_path):
    expected = bits(smoothed().fit(X, Y))
    models, folders, before = [], [], []

    def run():
        folders.append(tmp_path / str(len(folders)))
        models.append(smoothed(checkpoint=folders[-1]))
        before.append(dict(vars(models[-1])))
        models[-1].fit(X, Y)

    def check(raised):
        model, folder = models[-1], folders[-1]
        if raised is not None:
            assert is_ours(raised, folder)
            assert vars(model) == before[-1]
        else:
            assert bits(model) == expected
        assert bits(model.fit(X, Y)) == expected  # goes on, or is read
        assert bits(smoothed(checkpoint=folder).fit(X, Y)) == expected
        assert len(list(folder.glob("*.fit.*"))) == 1
        assert not strangers(folder, lambda p: ".fit." in p.name)

    n_places = at_every_place(run, check, error, lasting)
    assert n_places > 20  # folder, lock, three files of six calls each, two removals


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True])
def test_a_checkpoint_of_a_stack(lasting, tmp_path):
    def candidates(folder):
        options = {"max_epochs": 2, "checkpoint": folder}
        return [smoothed(random_state=k, **options) for k in range(2)]

    expected = list(map(bits, fit_many(candidates(None), X, Y)))
    alone = [bits(model.fit(X, Y)) for model in candidates(None)]
    folders, fitted = [], []

    def run():
        folders.append(tmp_path / str(len(folders)))
        fitted.append(None)
        fitted[-1] = fit_many(candidates(folders[-1]), X, Y)

    def check(raised):
        if raised is not None:
            assert is_ours(raised, folders[-1])
        for found in (fitted[-1], fit_many(candidates(folders[-1]), X, Y)):
            if found is not None:  # a stack that fails is trained one by one
                for k, one in enumerate(map(bits, found)):
                    assert one in (expected[k], alone[k])
        assert len(list(folders[-1].glob("*.fit.*"))) == 2

    assert at_every_place(run, check, FULL, lasting) > 30


@pytest.mark.slow
@pytest.mark.parametrize(("error", "lasting"), [(BROKEN, False), (QUOTA, True)])
def test_a_cache_of_teachers(error, lasting, tmp_path):
    maps = np.stack([X] * 4, axis=1).reshape(len(X), 1, 2, 2, -1)
    futures = maps + 0.1

    def student(folder):
        return DistilledAnticipator(
            FeatureMapNet(4),
            feature_weight=0.5,
            max_epochs=1,
            random_state=0,
            teacher_cache=folder,
        )

    expected = bits(student(None).fit(maps, SOME, futures))
    folders, models, before = [], [], []

    def run():
        folders.append(tmp_path / str(len(folders)))
        models.append(student(folders[-1]))
        before.append(dict(vars(models[-1])))
        models[-1].fit(maps, SOME, futures)

    def check(raised):
        model, folder = models[-1], folders[-1]
        if raised is not None:
            assert is_ours(raised, folder)
            assert vars(model) == before[-1]
        assert bits(model.fit(maps, SOME, futures)) == expected
        assert bits(student(folder).fit(maps, SOME, futures)) == expected
        assert not strangers(folder, lambda p: p.suffix == ".safetensors")

    assert at_every_place(run, check, error, lasting) > 10


@DISKS
def test_a_tensor_in_batches(error, lasting, tmp_path):
    path = tmp_path / "maps"
    batches = [np.ones((2, 3)), np.zeros((1, 3))]
    write_batches(path, batches[:1], 2, "old")

    def check(raised):
        assert raised is None or is_ours(raised, path)
        array, told = map_tensor(path)
        assert told in ("old", "new") and len(array) == (2 if told == "old" else 3)
        assert not strangers(tmp_path, lambda p: p == path)
        write_batches(path, batches[:1], 2, "old")

    def run():
        write_batches(path, batches, 3, "new")

    assert at_every_place(run, check, error, lasting) >= 8


# --------------------------------------------------------------------- features


@pytest.fixture(params=["npy", "hdf5", "lmdb"])
def converted(request, tmp_path, monkeypatch):
    """Conversions of a file, in this process: out -> FeatureTable."""
    frames = np.arange(1.0, 13.0, dtype=np.float32).reshape(4, 3)
    monkeypatch.setattr("skanticipate.datasets._converted.in_child", _here)
    source = tmp_path / "source"
    if request.param == "npy":
        source.mkdir()
        np.save(source / "a.npy", frames)
        return frames, lambda out: read_npy(source, out=out)
    if request.param == "hdf5":
        h5py = pytest.importorskip("h5py")
        from skanticipate.datasets import read_hdf5

        with h5py.File(source, "w") as file:
            file["a"] = frames
        return frames, lambda out: read_hdf5(source, out=out)
    pytest.importorskip("lmdb")
    from feature_files import write_lmdb

    from skanticipate.datasets import read_lmdb

    write_lmdb(source, {"a": frames})
    return frames, lambda out: read_lmdb(source, out=out)


def _here(function, files, *args, **kwargs):
    function(*args, **kwargs)


@DISKS
@pytest.mark.parametrize("name", ["out", "deeper/out"])
def test_a_conversion_of_features(name, error, lasting, converted, tmp_path):
    frames, convert = converted
    room = tmp_path / "room"
    room.mkdir()
    out = room / name

    def check(raised):
        assert raised is None or is_ours(raised, out)
        if out.exists():
            assert_array_equal(open_features(out)["a"], frames)
        else:
            assert raised is not None
        known = {out, out.parent, out / "features.npy", out / "index.npz"}
        assert not strangers(room, lambda p: p in known)
        shutil.rmtree(room)
        room.mkdir()

    assert at_every_place(lambda: convert(out), check, error, lasting) > 10
    assert_array_equal(open_features(out)["a"], frames)


# -------------------------------------------------------------------- what is left


@pytest.mark.skipif(os.name != "posix", reason="times of folders")
def test_folders_that_dead_writers_left_are_swept(tmp_path):
    old, busy = (tmp_path / f".{16 * c}.skanticipate.tmp" for c in "ab")
    for folder in (old, busy):
        folder.mkdir()
        (folder / "features.npy").write_bytes(b"half")
        os.utime(folder, (0, 0))
    os.utime(old / "features.npy", (0, 0))
    (tmp_path / "kept").mkdir()
    source = tmp_path / "source"
    source.mkdir()
    np.save(source / "a.npy", np.ones((2, 3)))
    read_npy(source, out=tmp_path / "out")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {busy.name, "kept", "source", "out"}
