"""Memory maps whose file was cut short: an error, where the system ends the process."""

import os

import numpy as np
import pytest

from skanticipate import MLP, RowView, SmoothedAnticipator
from skanticipate.data.files import check_whole_map
from skanticipate.data.tensor_file import map_tensor, write_batches
from skanticipate.datasets import open_features, read_npy

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows locks such files")
CUT = r"ended before the rows that its memory map promises.*cut short; write it again"
N, D = 2000, 64  # 125 pages: the end of the file is another one than its beginning
ARRAY = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def cut(path):
    os.truncate(path, os.stat(path).st_size // 2)


@pytest.fixture(params=["r", "r+", "c"])
def mapped(request, tmp_path):
    path = tmp_path / "clips.npy"
    np.save(path, ARRAY)
    return np.load(path, mmap_mode=request.param), path


VIEWS = {
    "whole": lambda array: array,
    "rows": lambda array: array[100:],
    "steps": lambda array: array[::2],
    "columns": lambda array: array[:, 1:],
    "turned": lambda array: array.T,
    "plain": lambda array: np.asarray(array)[50:],
}


@pytest.mark.parametrize("view", VIEWS)
def test_rows_of_any_view_of_any_map(view, mapped):
    array, path = mapped
    seen = VIEWS[view](array)
    rows, last = RowView(seen), np.array([len(seen) - 1, len(seen) - 3])
    expected = rows.take(last)
    np.testing.assert_array_equal(expected, np.asarray(seen)[last])
    cut(path)
    with pytest.raises(OSError, match=CUT):
        rows.take(last)
    with pytest.raises(OSError, match=CUT):
        rows[len(seen) - 1]
    with pytest.raises(OSError, match=CUT):
        rows.take(np.arange(len(seen)))


def test_a_file_of_another_name_is_looked_at_all_the_same(mapped):
    array, path = mapped
    check_whole_map(array)
    moved = path.rename(path.with_name("moved.npy"))
    path.write_bytes(b"another")
    check_whole_map(array)  # of which the map knows nothing
    cut(moved)
    with pytest.raises(OSError, match=CUT):
        check_whole_map(array)


def test_a_fit_that_loses_its_file_ends_with_an_error(mapped, monkeypatch):
    array, path = mapped
    model = SmoothedAnticipator(MLP(4), max_epochs=3, random_state=0)
    before = dict(vars(model))
    labels = np.arange(N) % 3
    whole = SmoothedAnticipator(MLP(4), max_epochs=3, random_state=0).fit(array, labels)
    assert whole.n_iter_ == 3
    drawn = type(model)._draw

    def draw(self, samples):  # what is checked is checked: training begins
        cut(path)
        return drawn(self, samples)

    monkeypatch.setattr(type(model), "_draw", draw)
    with pytest.raises(OSError, match=CUT):
        model.fit(array, labels)
    assert vars(model) == before
    with pytest.raises(OSError, match=CUT):
        whole.predict_proba(array)


def test_maps_of_a_cache(tmp_path):
    path = tmp_path / "maps"
    write_batches(path, [ARRAY], N, {})
    rows = RowView(map_tensor(path)[0])
    cut(path)
    with pytest.raises(OSError, match=CUT):
        rows.take(np.array([N - 1]))
    with pytest.raises(ValueError, match="is damaged: it holds .* expected"):
        map_tensor(path)


def test_tables_of_features_and_their_sources(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b"):
        np.save(source / f"{name}.npy", ARRAY)
    features = read_npy(source, out=tmp_path / "out")
    np.testing.assert_array_equal(features["b"], ARRAY)
    cut(tmp_path / "out" / "features.npy")
    with pytest.raises(OSError, match=CUT):
        features["b"]
    with pytest.raises(ValueError, match=r"features\.npy is damaged"):
        open_features(tmp_path / "out")
    whole = np.load

    def load(file, **options):
        array = whole(file, **options)
        if file.name == "b.npy":
            cut(file)
        return array

    monkeypatch.setattr(np, "load", load)
    with pytest.raises(OSError, match=rf"b\.npy {CUT}"):
        read_npy(source, out=tmp_path / "again")
    assert {p.name for p in tmp_path.iterdir()} == {"source", "out"}
