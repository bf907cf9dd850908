"""Examples are short, and have a title and cells: what a gallery asks of them."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("plot_*.py")), ids=lambda path: path.stem
)


@EXAMPLES
def test_an_example_is_short_and_has_a_title_and_cells(path):
    lines = path.read_text().splitlines()
    assert len(lines) < 100
    quotes, title, rule, empty = lines[:4]
    assert (quotes, empty) == ('"""', "")
    assert rule == "=" * len(title)
    assert lines.count("# %%") >= 2


@EXAMPLES
def test_an_example_does_not_ask_for_its_file(path):
    """A gallery runs it without one."""
    assert "__file__" not in path.read_text()


def test_there_are_enough_examples():
    assert len(list(FOLDER.glob("plot_*.py"))) >= 14
