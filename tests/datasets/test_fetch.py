import gc
import hashlib
import os
import re
import socket
import sys
import threading
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from skanticipate.datasets import (
    _sources,
    fetch_egtea,
    fetch_epic55,
    fetch_epic100,
    label_history,
)

pytest.importorskip("pooch")

CONTENTS = {
    "training.csv": "00, P01_01, 0, 90, 0, 0, 0\n01, P01_01, 150, 190, 1, 0, 1\n",
    "validation.csv": "00, P02_01, 0, 90, 1, 1, 2\n01, P01_02, 0, 90, 0, 0, 0\n",
    "EPIC_verb_classes.csv": "verb_id,class_key,verbs\n0,take,['take']\n1,put,['put']",
    "EPIC_noun_classes.csv": "noun_id,class_key,nouns\n0,tap,['tap']\n1,pan,['pan']",
    "EPIC_many_shot_verbs.csv": "verb_class,verb\n1,put\n",
    "EPIC_many_shot_nouns.csv": "noun_class,noun\n0,tap\n",
    "EPIC_100_verb_classes.csv": "id,key,instances\n0,take,['take']\n1,put,['put']",
    "EPIC_100_noun_classes.csv": "id,key,instances\n0,tap,['tap']\n1,pan,['pan']",
    "EPIC_100_tail_verbs.csv": "verb\n1\n",
    "EPIC_100_tail_nouns.csv": "noun\n1\n",
}
ACTIONS = {
    "epic55": "id,action,verb,noun\n0, grab_sink,0,0\n1, put_tap,1,0\n2, put_pan,1,1\n",
    "epic100": "id,verb,noun,action\n0,0,0,take tap\n1,1,0,put tap\n2,1,1,put pan\n",
    "egtea": "0, 0_0, take_tap\n1, 1_0, put_tap\n2, 1_1, put_pan\n",
}
FETCHERS = {"epic55": fetch_epic55, "epic100": fetch_epic100, "egtea": fetch_egtea}


def fake_content(dataset, name):
    if name == "actions.csv":
        return ACTIONS[dataset]
    if dataset == "egtea":  # one file for all splits
        name = re.sub("[123]", "", name)
    return CONTENTS[name]


class QuietHandler(SimpleHTTPRequestHandler):
    requested = []

    def log_message(self, *args):
        self.requested.append(self.path)


@pytest.fixture
def serve(monkeypatch):
    """Serve a folder on this machine, at the address of the public host."""
    servers = []

    def serve(folder, handler=QuietHandler):
        QuietHandler.requested.clear()
        server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(handler, directory=str(folder))
        )
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(
            _sources, "HOST", f"http://127.0.0.1:{server.server_address[1]}"
        )

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def public(tmp_path, monkeypatch, serve):
    """Small files at the real paths of all data sets, with hashes of their own."""
    folder = tmp_path / "public"
    files = {}
    for dataset, entries in _sources.FILES.items():
        files[dataset] = {}
        for name, (address, _) in entries.items():
            content = fake_content(dataset, name).encode()
            (folder / address).parent.mkdir(parents=True, exist_ok=True)
            (folder / address).write_bytes(content)
            files[dataset][name] = (address, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(_sources, "FILES", files)
    serve(folder)
    return folder


@pytest.mark.parametrize("dataset", FETCHERS)
def test_all_data_sets_have_one_layout(dataset, public, tmp_path):
    data = FETCHERS[dataset](data_home=tmp_path / "home")
    assert data.train.action.tolist() == [0, 1]
    assert data.validation.action.tolist() == [2, 0]
    assert data.actions.label.tolist() == [0, 1, 2]
    assert data.actions.verb.tolist() == ["take", "put", "put"]
    assert data.actions.noun.tolist() == ["tap", "tap", "pan"]
    assert data.verbs.tolist() == ["take", "put"]
    assert data.nouns.tolist() == ["tap", "pan"]
    assert label_history(data.train, history=1, fps=data.fps).tolist() == [[-1], [0]]
    assert "icence" in data.DESCR and "Cite" in data.DESCR


def test_epic_55_has_the_many_shot_classes(public, tmp_path):
    many_shot = fetch_epic55(data_home=tmp_path).many_shot
    assert (many_shot.verb.tolist(), many_shot.noun.tolist()) == ([1], [0])
    assert many_shot.action.tolist() == [1]  # put tap: verb and noun


def test_epic_100_has_tail_classes_and_unseen_participants(public, tmp_path):
    data = fetch_epic100(data_home=tmp_path)
    assert data.tail.action.tolist() == [1, 2]  # put tap, put pan: verb or noun
    assert data.unseen.tolist() == [True, False]  # P02, P01


def test_egtea_reads_the_split_that_was_asked_for(public, tmp_path):
    fetch_egtea(split=3, data_home=tmp_path)
    names = sorted(path.name for path in (tmp_path / "egtea").iterdir())
    assert names == ["actions.csv", "training3.csv", "validation3.csv"]


def test_files_are_downloaded_once(public, tmp_path):
    fetch_epic55(data_home=tmp_path)
    n_requests = len(QuietHandler.requested)
    assert n_requests == len(_sources.FILES["epic55"])
    fetch_epic55(data_home=tmp_path, download_if_missing=False)
    assert len(QuietHandler.requested) == n_requests


def test_data_home_can_come_from_the_environment(public, tmp_path, monkeypatch):
    monkeypatch.setenv("SKANTICIPATE_DATA", str(tmp_path / "kept"))
    fetch_egtea()
    assert (tmp_path / "kept" / "egtea" / "actions.csv").exists()


def test_data_home_is_below_the_home_folder_by_default(public, tmp_path, monkeypatch):
    monkeypatch.delenv("SKANTICIPATE_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    fetch_egtea()
    assert (tmp_path / "skanticipate_data" / "egtea" / "actions.csv").exists()


def test_a_spoilt_file_is_downloaded_again(public, tmp_path):
    fetch_egtea(data_home=tmp_path)
    path = tmp_path / "egtea" / "actions.csv"
    path.write_text("spoilt")
    with pytest.raises(OSError, match="actions.csv is not the expected file"):
        fetch_egtea(data_home=tmp_path, download_if_missing=False)
    fetch_egtea(data_home=tmp_path)
    assert path.read_text() == ACTIONS["egtea"]


def test_missing_files_may_not_be_downloaded(public, tmp_path):
    with pytest.raises(OSError, match="actions.csv is missing .*download_if_missing=T"):
        fetch_egtea(data_home=tmp_path, download_if_missing=False)
    assert QuietHandler.requested == []


def expect_failed_download(match, folder):
    with pytest.raises(OSError, match=match) as error:
        fetch_egtea(data_home=folder)
    message = str(error.value)
    del error
    with warnings.catch_warnings():
        # Pooch does not close the connection after a status such as 404.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert "actions.csv could not be downloaded from http://127.0.0.1" in message
    assert "put a copy with the SHA-256" in message
    assert list((folder / "egtea").glob("*")) == []


def test_another_content_is_refused(public, tmp_path):
    address, _ = _sources.FILES["egtea"]["actions.csv"]
    (public / address).write_text("0, 0_0, something_else\n")
    expect_failed_download("hash", tmp_path)


def test_an_address_that_is_gone_is_named(public, tmp_path):
    address, _ = _sources.FILES["egtea"]["actions.csv"]
    (public / address).unlink()
    expect_failed_download("404", tmp_path)


def test_no_network_is_told(public, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(_sources, "HOST", f"http://127.0.0.1:{port}")
    expect_failed_download("Check the network", tmp_path)


def test_an_interrupted_download_leaves_nothing(public, tmp_path, serve):
    class Interrupted(QuietHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"0, 0_0, take")

    serve(public, Interrupted)
    expect_failed_download("Check the network", tmp_path)


def test_pooch_is_asked_for_only_when_it_is_needed(public, tmp_path, monkeypatch):
    fetch_egtea(data_home=tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", None)
    fetch_egtea(data_home=tmp_path)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[data\]"'):
        fetch_epic55(data_home=tmp_path)


@pytest.mark.parametrize("split", [0, 4, "1"])
def test_only_three_splits_exist(split):
    with pytest.raises(ValueError, match="'split' parameter of fetch_egtea"):
        fetch_egtea(split=split)


@pytest.mark.data
def test_real_files_have_the_pinned_hashes(tmp_path, serve):
    data = os.environ.get("SKANTICIPATE_TEST_DATA")
    if not data:
        pytest.skip("SKANTICIPATE_TEST_DATA names no folder")
    for name, (address, _) in _sources.FILES["epic55"].items():
        folder = "epic_55_annotations" if name.startswith("EPIC") else "ek55"
        path = tmp_path / "public" / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((Path(data) / "raw" / folder / name).read_bytes())
    serve(tmp_path / "public")

    epic = fetch_epic55(data_home=tmp_path / "home")
    assert len(epic.train.action) == 23_493
    assert (len(epic.verbs), len(epic.nouns)) == (125, 352)
    assert (epic.actions.verb[0], epic.actions.noun[0]) == ("take", "pan")
    assert [len(epic.many_shot[k]) for k in ("verb", "noun", "action")] == [26, 71, 819]
