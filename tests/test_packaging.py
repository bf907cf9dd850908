"""What is shipped: sources with tests and licence, a wheel of the library alone."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""
PARTS = ["benchmarks", "docs", "examples", "skanticipate", "tests"]
MADE = {
    "__pycache__",
    "_build",
    "auto_benchmarks",
    "auto_examples",
    "generated",
    "output",
}


def files_of(part):
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / part).rglob("*")
        if path.is_file() and not MADE.intersection(path.parts)
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names of files in the sources and in the wheel, and what the wheel requires."""
    pytest.importorskip("setuptools", minversion="77")
    copy, folder = (tmp_path_factory.mktemp(name) for name in ("copy", "built"))
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns(*MADE))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=copy, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:].decode()
    [wheel], [sources] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(sources) as file:
        in_sources = {name.partition("/")[2] for name in file.getnames()}
    with zipfile.ZipFile(wheel) as file:
        in_wheel = set(file.namelist())
    return in_sources, in_wheel


def test_sources_hold_tests_examples_and_licence(built):
    in_sources, _ = built
    assert set.union(*map(files_of, PARTS)) <= in_sources
    further = {path.name for path in ROOT.iterdir() if path.suffix in (".md", ".txt")}
    assert {"README.md", "CHANGELOG.md", "constraints.txt"} <= further <= in_sources
    others = ["CITATION.cff", "LICENSE", "Makefile", "pyproject.toml", "setup.cfg"]
    assert {*others, ".pre-commit-config.yaml"} <= in_sources


def test_the_wheel_holds_the_library_and_its_licence_alone(built):
    _, in_wheel = built
    code = {name for name in in_wheel if name.endswith(".py")}
    assert code == {name for name in files_of("skanticipate") if name.endswith(".py")}
    assert "skanticipate/py.typed" in in_wheel  # which says that it has types
    others = in_wheel - code - {"skanticipate/py.typed"}
    kinds = {name.partition("/")[0].rpartition(".")[2] for name in others}
    assert kinds == {"dist-info"}
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in in_wheel)
