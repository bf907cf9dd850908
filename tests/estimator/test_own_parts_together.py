"""Networks and terms as CONTRIBUTING.md has them: which are trained together."""

import doctest
from pathlib import Path

import pytest

from skanticipate.estimator import many
from skanticipate.networks.stacked import STACKED


@pytest.fixture(scope="module")
def page():
    """Names of CONTRIBUTING.md, all of whose examples have been run."""
    path = Path(__file__).parents[2] / "CONTRIBUTING.md"
    text, known = path.read_text(encoding="utf-8"), dict(STACKED)
    names = {}
    test = doctest.DocTestParser().get_doctest(text, names, path.name, str(path), 0)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    doctest.DocTestRunner(optionflags=options).run(test, clear_globs=False)
    yield test.globs
    STACKED.clear()
    STACKED.update(known)


@pytest.fixture
def stacks(monkeypatch):
    """How many were one, of each call that trains some together."""
    widths = []

    def spy(trainings):
        widths.append(len(trainings))
        return together(trainings)

    together = many.run_together
    monkeypatch.setattr(many, "run_together", spy)
    return widths


@pytest.mark.parametrize(
    ("spec", "anticipator", "widths"),
    [
        ("Bottleneck", "SmoothedAnticipator", []),
        ("StackedBottleneck", "SmoothedAnticipator", [2]),
        ("CosineBottleneck", "SmoothedAnticipator", [2]),
        ("StackedBottleneck", "ModestAnticipator", []),
        ("StackedBottleneck", "StackedModestAnticipator", [2]),
    ],
)
def test_what_says_that_it_stacks_does(page, stacks, spec, anticipator, widths):
    page["check_stack"](page[spec](2), page[anticipator])
    assert stacks == widths


def test_a_leaf_that_is_not_named_is_fitted_alone(page, stacks, monkeypatch):
    monkeypatch.delitem(STACKED, page["Cosine"])
    page["check_stack"](page["CosineBottleneck"](2))
    assert stacks == []
