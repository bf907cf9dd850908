"""Tables on the screen, and files in the folder of results."""

import csv
import json
from pathlib import Path

OUTPUT = Path(__file__).parent.parent / "output"


def print_row(*cells):
    """Print a row of a table in Markdown."""
    print("| " + " | ".join(cells) + " |", flush=True)


def print_header(*names):
    """Print the head of a table in Markdown."""
    print_row(*names)
    print("|---" * len(names) + "|")


def print_gains(lines, titles):
    """Print lines of `lines_of`: figures, each with its gain where there is one.

    Parameters
    ----------
    lines : list of dict
        The gain of a figure is in the column "figure gain".
    titles : dict of figure to str
        Figures that are shown, and how they are called.
    """
    print_header("row", *titles.values())
    for line in lines:
        cells = [f"{line[figure]:.2f}" for figure in titles]
        for k, figure in enumerate(titles):
            if f"{figure} gain" in line:
                cells[k] += f", {line[f'{figure} gain']:.2f}"
        print_row(line["row"], *cells)


def write_json(name, values):
    """Write values down in the folder of results."""
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / f"{name}.json").write_text(json.dumps(values, indent=1))


def read_json(name):
    """What an earlier run has written down."""
    return json.loads((OUTPUT / f"{name}.json").read_text())


def write_csv(name, lines):
    """Write lines of a table in the folder of results.

    Parameters
    ----------
    name : str
        Name of the file without its ending.
    lines : list of dict of column to value
        A `Mean` or `Gain` fills a column for each of its numbers.
    """
    plain = [
        {name: cell for column in line.items() for name, cell in numbers(*column)}
        for line in lines
    ]
    columns = list(dict.fromkeys(name for line in plain for name in line))
    OUTPUT.mkdir(exist_ok=True)
    with open(OUTPUT / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(plain)


def numbers(column, value):
    """Columns of one value: the first number keeps the name."""
    if not isinstance(value, tuple):
        return [(column, value)]
    first, *others = value._asdict().items()
    named = [(f"{column} {key.replace('_', ' ')}", number) for key, number in others]
    return [(column, first[1]), *named]
