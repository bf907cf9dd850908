"""Every code block of the pages is run, in a folder of its own."""

from importlib.util import find_spec

import pytest

collect_ignore = ["conf.py", "conftest.py", "_ext", "_build", "auto_examples", "api"]
NEEDED = {"guide/production.md": "onnxruntime", "guide/progress.md": "sklearn.callback"}
collect_ignore += [page for page, module in NEEDED.items() if find_spec(module) is None]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """What a page writes lies beside nothing of ours."""
    monkeypatch.chdir(tmp_path)
