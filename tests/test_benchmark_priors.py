"""The search of the benchmark of priors: what is looked at, and once."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import fair_priors

        yield fair_priors
    mine = "common", "fair_priors", "next_action"
    for name in [name for name in sys.modules if name.split(".")[0] in mine]:
        del sys.modules[name]


def test_gru_has_dropouts_of_its_own(script):
    budget = SimpleNamespace(
        networks=["MLP", "GRU"],
        dropouts=[0.3, 0.5],
        gru_dropouts=[0.4],
        epochs=[2],
        weights=[0, 0.1],
    )
    told = [choice[:4] for choice in script.plain_space(budget)]
    assert told == [
        ("MLP", 0.3, 2, 0),
        ("MLP", 0.3, 2, 0.1),
        ("MLP", 0.5, 2, 0),
        ("MLP", 0.5, 2, 0.1),
        ("GRU", 0.4, 2, 0),
        ("GRU", 0.4, 2, 0.1),
    ]
    budget.gru_dropouts = None
    assert [choice.dropout for choice in script.plain_space(budget)[4:]] == [
        *(0.3, 0.3),
        *(0.5, 0.5),
    ]


def test_a_search_goes_on_where_it_stopped(script, monkeypatch, tmp_path, capsys):
    asked = []

    def answers(choices, clips, seeds):
        asked.append((choices[0].network, clips, seeds))
        # The label has 1/2 on the first part and 1/8 on the second.
        own = {"first": 0.5, "second": 0.125}[clips]
        return [np.array([[own, 1 - own]])]

    def figures(proba, clips):
        return {"log loss": -np.log(proba[:, 0]), "top-5": np.array([clips == "first"])}

    monkeypatch.setattr(script, "answers", answers)
    monkeypatch.setattr(script, "figures_of", figures)
    file, parts = tmp_path / "looks.jsonl", ["first", "second"]
    one, two = script.Choice("MLP", 0.5, 2), script.Choice("GRU", 0.5, 2, 0.1)
    [(choice, found)] = script.Looks(parts, file).look([one])
    assert choice == one
    assert found == pytest.approx([2 * np.log(2), 0.5])  # mean of log 2 and log 8

    again = script.Looks(parts, file).look([one, two])
    assert [network for network, *_ in asked] == ["MLP", "MLP", "GRU", "GRU"]
    assert asked[:2] == [("MLP", "first", [100]), ("MLP", "second", [101])]
    assert again[0][1] == pytest.approx(found)
    assert len(file.read_text().splitlines()) == 2
    assert "'MLP', 0.5, 2" in capsys.readouterr().out
