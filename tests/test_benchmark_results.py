"""Tables of results as csv files, and how the pages show them."""

import csv
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.csv"))
README = (ROOT / "benchmarks" / "README.md").read_text()

PRINTED = """
| row | top-1 | accuracy over plain | peer / ours | rows |
|---|---|---|---|---|
| labels only | 65.5 |  |  | 1,000 |
| start, soft | 69.5 | +4.6 (0.7 / 0.9)* | 4.39x | 20 |
| start | 66.0 | -0.1 (1.0 / 0.7) | 14.95x | 3 |
"""
WRITTEN = """\
# python benchmarks/some.py
row,top-1,accuracy over plain,accuracy over plain: se seeds,\
accuracy over plain: se clips,accuracy over plain: star,peer / ours [x],rows
labels only,65.5,,,,,,1000
"start, soft",69.5,+4.6,0.7,0.9,*,4.39,20
start,66.0,-0.1,1.0,0.7,,14.95,3
"""


@pytest.fixture(scope="module", autouse=True)
def on_path():
    with pytest.MonkeyPatch.context() as patch:
        for folder in ("benchmarks", "docs/_ext"):
            patch.syspath_prepend(str(ROOT / folder))
        yield
    made = {"common", "benchmark_results", "benchmark_pictures"}
    for name in [name for name in sys.modules if name.split(".")[0] in made]:
        del sys.modules[name]


def test_a_table_as_it_is_printed_becomes_columns_of_numbers():
    tables = importlib.import_module("common.tables")
    assert tables.to_csv(PRINTED, "python benchmarks/some.py") == WRITTEN
    columns = tables.columns_of(WRITTEN)
    assert columns["accuracy over plain"][1:] == [4.6, -0.1]
    assert columns["peer / ours [x]"][1:] == [4.39, 14.95]
    assert columns["row"] == ["labels only", "start, soft", "start"]


def test_and_is_shown_as_it_was_printed():
    tables = importlib.import_module("common.tables")
    rule = "| --- | --- | --- | --- | --- |"
    printed = PRINTED.strip().replace("|---|---|---|---|---|", rule)
    assert tables.to_markdown(WRITTEN).splitlines() == printed.splitlines()


def test_columns_need_names_of_their_own():
    tables = importlib.import_module("common.tables")
    with pytest.raises(ValueError, match="a name of its own"):
        tables.to_csv("| a | a |\n|---|---|\n| 1 | 2 |", "some.py")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_files_of_results_say_their_command_and_are_linked_once(path):
    command = path.read_text().splitlines()[0]
    script = re.fullmatch(r"# python benchmarks/(\w+\.py).*", command)[1]
    assert (ROOT / "benchmarks" / script).is_file()
    assert README.count(f"\n[results/{path.name}](results/{path.name})\n") == 1


def test_what_is_linked_is_there():
    linked = set(re.findall(r"\(results/(\w+)\.csv\)", README))
    assert linked == {path.stem for path in RESULTS}


def test_pages_show_tables_and_pictures_in_place_of_links(tmp_path):
    pytest.importorskip("matplotlib")
    results = importlib.import_module("benchmark_results")
    app, content = type("App", (), {"srcdir": tmp_path}), [README]
    results.on_include(app, Path("../benchmarks/README.md"), "benchmarks", content)
    assert "(results/" not in content[0]
    assert "| labels only | 65.5 | 63.7 | 0.858 | 0.468 | 6.5 |" in content[0]
    drawn = {path.stem for path in (tmp_path / "auto_benchmarks").iterdir()}
    assert drawn == set(re.findall(r"\(auto_benchmarks/(\w+)\.svg\)", content[0]))
    assert drawn == {"fair_manoeuvres_20", "memory", "searches"}


def test_a_picture_shows_the_numbers_of_its_file():
    pytest.importorskip("matplotlib")
    pictures = importlib.import_module("benchmark_pictures")
    [ax] = pictures.searches(ROOT / "benchmarks" / "results").axes
    shown = {line.get_label(): list(line.get_xdata()) for line in ax.lines[:2]}
    text = (ROOT / "benchmarks" / "results" / "searches.csv").read_text()
    by_hand = [
        float(number) for number in re.findall(r"GridSearchCV\(skorch\),([\d.]+)", text)
    ]
    assert shown["skorch, one by one"] == by_hand


# ------------------------------------------------------------- what other pages say


def rows_of(name):
    """Rows of a file of results, by their name, as dicts of texts."""
    lines = (ROOT / "benchmarks" / "results" / name).read_text().splitlines()[1:]
    return list(csv.DictReader(lines))


@pytest.mark.parametrize("page", ["README.md", "docs/guide/searches.md"])
def test_searches_take_the_share_of_the_time_that_was_measured(page):
    ordinals = {4: "quarter", 5: "fifth", 6: "sixth"}
    ordinals |= {14: "fourteenth", 15: "fifteenth", 16: "sixteenth", 17: "seventeenth"}
    text = " ".join((ROOT / page).read_text().split())
    skorch, ours = (
        ordinals[round(float(row["peer / ours [x]"]))]
        for row in rows_of("searches.csv")[:2]
    )
    assert f"take about a {ours} of the time of `GridSearchCV` over the same" in text
    assert f"and a {skorch} of that of `GridSearchCV` over skorch" in text


def test_what_teaching_brings_names_its_opponents():
    text = (ROOT / "README.md").read_text()
    table = text.split("## What teaching brings")[1].split("\n\n")[1]
    _, _, *rows = table.splitlines()
    brought = [row.split("|")[3] for row in rows]
    assert len(brought) > 5
    assert not [cell for cell in brought if not re.search(r"\b(over|beside)\b", cell)]


@pytest.mark.parametrize(
    "name, row, gains",
    [
        ("manoeuvres_20", "start, soft targets", (4.0, 0.09)),
        ("manoeuvres_10", "start, soft targets", (5.0, 0.12)),
        ("manoeuvres4_20", "start, soft targets", (1.7, 0.05)),
        ("manoeuvres4_10", "soft targets", (1.8, 0.06)),
        ("poses_20", "start, soft targets", (5.0, 0.22)),
        ("salads_20", "soft targets", (2.1, 0.13)),
        ("salads_10", "soft targets", (4.6, 0.21)),
        ("gtea_10", "soft targets", (10.5, 0.31)),
    ],
)
def test_gains_over_the_better_of_two_are_those_of_the_tables(name, row, gains):
    """Both of them stand in README.md and in docs/guide/when.md."""
    rows = {own["row"]: own for own in rows_of(f"fair_{name}.csv")}
    plain = [rows["labels only"], rows["labels only, by accuracy"]]
    accuracy = float(rows[row]["top-1"]) - max(float(own["top-1"]) for own in plain)
    log_loss = min(float(own["log loss"]) for own in plain)
    # of rounded figures
    assert accuracy == pytest.approx(gains[0], abs=0.11)
    assert log_loss - float(rows[row]["log loss"]) == pytest.approx(gains[1], abs=0.006)
    for page in ("README.md", "docs/guide/when.md"):
        text = (ROOT / page).read_text()
        assert f"+{gains[0]}" in text
        assert f" {gains[1]:.2f}".replace(" 0.", " .") in text


def rows_under(heading):
    """Rows of the first table below a heading of the benchmarks.   -> list of lists."""
    lines = README.split(f"\n{heading}\n")[1].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    table = lines[start + 2 :]
    stop = next(k for k, line in enumerate(table) if not line.startswith("|"))
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[:stop]]


def test_latencies_are_those_of_the_table():
    text = " ".join((ROOT / "docs/guide/production.md").read_text().split())
    names = {
        "MLP(hidden_size=256)": "`MLP(256)`, 256 features",
        "LSTM()": "`LSTM()`, 14 x 256",
        "RULSTM(hidden_size=128)": "`RULSTM(128)`, 14 x 256",
        "FeatureMapNet(hidden_size=32)": "`FeatureMapNet(32)`, 4 x 7 x 7 x 64",
    }
    rows = {row[0]: row for row in rows_under("## Latency")}
    for network, name in names.items():
        native, exported = (round(float(number), 2) for number in rows[network][2:4])
        assert f"| {name} | {native:.2f} | {exported:.2f} |" in text
    *shares, of_maps = (float(row[4].rstrip("x")) for row in rows.values())
    assert f"takes {min(shares):.2f} to {max(shares):.2f} of the time" in text
    assert f"of maps {of_maps:.2f}" in text


def test_adjusted_logits_gain_what_they_gained_at_that_weight():
    text = " ".join((ROOT / "docs/guide/training.md").read_text().split())
    section = README.split("\n## Networks, and remedies for the long tail\n")[1]
    found = []
    for heading in ("### EPIC-KITCHENS-55", "### EGTEA Gaze+, split 1"):
        row = section.split(heading)[1].split("logit adjustment ")[1].splitlines()[0]
        weight, _, *measured = row.split("|")
        lost, gained = (float(cell.split(", ")[1].split()[0]) for cell in measured[:2])
        found.append((f"0{weight.strip()}", f"{-lost:.1f}", f"{gained:.1f}"))
    (weight, lost, gained), (other, lost_too, gained_too) = found
    assert f"`logit_adjustment={weight}`" in text
    assert f"rises by {gained} on EPIC-55, and with {other} by {gained_too} on" in text
    assert f"falls by {lost} and {lost_too}" in text


def test_gains_of_priors_are_the_least_and_the_largest_that_were_measured():
    gains = {}
    for name in ("egtea", "epic55"):
        rows = rows_of(f"fair_priors_{name}.csv")
        own = [float(row["top-5 over plain"]) + 0.0 for row in rows[2:]]  # no -0.0
        gains[name] = f"{min(own):+.1f} to {max(own):+.1f}"
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"uniformly {gains['epic55']} on EPIC-55" in readme
    assert f"on EGTEA (an MLP) {gains['egtea']}, none of which stands" in readme

    own = [
        float(row[4].split()[0])
        for heading in (
            "### EPIC-KITCHENS-55 (4,979 validation clips, 2,513 actions)",
            "### EGTEA Gaze+, split 1 (1,799 validation clips of 26 of the 32 "
            "subjects, 106 actions)",
        )
        for row in rows_under(heading)
        if row[0].startswith("GRU") and row[0] not in ("GRU, one-hot", "GRU, uniform")
    ]
    page = " ".join((ROOT / "docs/guide/priors.md").read_text().split())
    assert f"{min(own):+.1f} to {max(own):+.1f} points of top-5 over hard" in page
