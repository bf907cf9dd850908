"""Every code block of the pages is run, in a folder of its own."""

import pytest

collect_ignore = ["conf.py", "_ext", "_build", "auto_examples", "api"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """What a page writes lies beside nothing of ours."""
    monkeypatch.chdir(tmp_path)
