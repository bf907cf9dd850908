"""What says the version, and the oldest versions, says one thing in all places."""

import configparser
import re
from pathlib import Path

import skanticipate

ROOT = Path(__file__).parent.parent
VERSION = skanticipate.__version__


def read(name):
    return (ROOT / name).read_text("utf-8")


def headings():
    return re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.M)


def test_the_changelog_begins_with_this_version():
    released = re.escape(VERSION) + r" \(\d{4}-\d\d-\d\d\)"
    title = "Unreleased" if ".dev" in VERSION else released
    assert re.fullmatch(title, headings()[0])


def test_the_changelog_has_releases_from_new_to_old():
    versions = [re.match(r"(\d+)\.(\d+)\.(\d+) ", title) for title in headings()]
    assert all(versions[1:])  # the first may be what is not released
    numbers = [tuple(map(int, version.groups())) for version in versions if version]
    assert numbers == sorted(set(numbers), reverse=True)


def test_every_change_says_something():
    for entry in re.split(r"^- ", read("CHANGELOG.md"), flags=re.M)[1:]:
        assert entry.partition("\n\n")[0].rstrip().endswith((".", ":")), entry


def test_the_citation_names_the_last_release():
    said = re.search(r'^version: "?([\d.]+)', read("CITATION.cff"), re.M)
    released = [title.partition(" ")[0] for title in headings() if title[0].isdigit()]
    assert (said and said.group(1)) == (released[0] if released else None)


def test_oldest_versions_are_those_that_are_allowed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = setup["options.extras_require"]
    tested = ("plot", "progress", "data", "io", "epic", "text")
    wanted = [setup["options"]["install_requires"], *(extras[name] for name in tested)]
    oldest = dict(re.findall(r"^([\w-]+)>=([\d.]+)$", "\n".join(wanted), re.M))
    pins = read("constraints-oldest.txt")
    pinned = dict(re.findall(r"^(\S+)==([\d.]+)$", pins, re.M))
    assert pinned.keys() == oldest.keys()
    for name, version in oldest.items():
        assert f"{pinned[name]}.".startswith(f"{version}."), name


def test_linters_have_one_version():
    pinned = re.search(r"^    ruff==(\S+)$", read("setup.cfg"), re.M).group(1)
    assert f"rev: v{pinned} " in read(".pre-commit-config.yaml")


def test_a_python_that_is_named_is_tested():
    named = re.findall(r"Python :: (3\.\d+)$", read("setup.cfg"), re.M)
    tested = set(re.findall(r'"(3\.\d+)"', read(".github/workflows/checks.yml")))
    assert set(named) == tested
