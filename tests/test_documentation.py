"""Pages against the code: no name is missing, no link, target or extra is made up."""

import configparser
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import skanticipate

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for page in [
        *ROOT.glob("*.md"),
        *ROOT.glob("benchmarks/*.md"),
        *ROOT.glob("docs/**/*.md"),
    ]
    if not {"_build", "auto_examples"} & set(page.relative_to(ROOT).parts)
)
PAGE = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


def prose(page):
    """Text of a page without its code blocks and what stands in single backticks."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]+`", "", text)


def anchors(page):
    """What a link to a heading of a page may name, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.M)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings
    }


def links(page):
    """Links of a page to other files and headings.   -> [(file, heading)]."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [
        t.partition("#")[::2] for t in targets if not t.startswith(("http", "mailto"))
    ]


def public_modules():
    """The package and what lies in it that says what is public."""
    names = [m.name for m in pkgutil.iter_modules(skanticipate.__path__)]
    modules = [importlib.import_module(f"skanticipate.{name}") for name in names]
    return [skanticipate, *(m for m in modules if hasattr(m, "__all__"))]


def test_reference_lists_every_public_name_once():
    listed = re.findall(
        r"^   ([\w.]+)$", (ROOT / "docs/api/index.md").read_text("utf-8"), re.M
    )
    things = []
    for name in listed:
        module, _, last = f"skanticipate.{name}".rpartition(".")
        things.append(getattr(importlib.import_module(module), last))
    public = {
        id(getattr(module, name)): f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
        if callable(getattr(module, name))
    }
    missing = {name for key, name in public.items() if key not in set(map(id, things))}
    assert not missing, "list them in docs/api/index.md"
    assert len({id(thing) for thing in things}) == len(things)
    assert {id(thing) for thing in things} <= set(public)


@PAGE
def test_links_lead_somewhere(page):
    for file, heading in links(page):
        if "auto_examples" in file:  # made from the examples; sphinx checks them
            name = Path(file).stem
            assert name == "index" or (ROOT / "examples" / f"{name}.py").exists(), file
            continue
        target = page.parent / file if file else page
        assert target.exists(), file
        included = (
            re.match(r"```\{include\} (\S+)", target.read_text("utf-8"))
            if file.endswith(".md")
            else None
        )
        if included:
            target = target.parent / included.group(1)
        assert not heading or heading in anchors(target), f"{file}#{heading}"


@PAGE
def test_commands_name_what_there_is(page):
    text = page.read_text("utf-8")
    targets = set(
        re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    )
    for command in re.findall(
        r"(?:^|`|\$ )make ([a-z]+(?: [a-z]+)*)(?=`|$| {2})", text, re.M
    ):
        assert set(command.split()) <= targets, command
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    for extras in re.findall(r'"(?:\.|skanticipate)\[([\w,]+)\]"', text):
        assert set(extras.split(",")) <= set(setup["options.extras_require"]), extras
    for file in re.findall(r"\bpip \w+ .*?-c (\S+)", text):
        assert (ROOT / file).exists(), file


def test_install_tells_every_extra():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    table = re.findall(
        r"^\| `(\w+)` \|", (ROOT / "docs/install.md").read_text("utf-8"), re.M
    )
    assert set(table) == set(setup["options.extras_require"]) - {"bench", "test"}
