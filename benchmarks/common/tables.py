"""Tables of results: in Markdown, as benchmarks print them, and as csv files.

    python benchmarks/common/tables.py "fair.py ..." < table.md > results/NAME.csv

In a csv file a gain with its standard errors, ``+4.6 (0.7 / 0.9)*``, has a column for
each of its parts, and what all its cells end in stands in its name: "ratio [x]".
The first line is a comment, the command that the numbers come from.
"""

import csv
import io
import re
import sys

PARTS = ("se seeds", "se clips", "star")  # of a gain, in columns "NAME: PART"
_GAIN = re.compile(r"(\S+) \((\S+) / (\S+)\)(\*?)")
_TIMES = " [x]"


def read_csv(text):
    """Names of columns, and rows, of a csv file.   -> list of str, list of lists."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    head, *rows = csv.reader(lines)
    return head, rows


def columns_of(text):
    """Columns of a csv file by name, numbers where all cells are some.   -> dict."""
    head, rows = read_csv(text)
    return {
        name: [_number(cell) for cell in cells]
        for name, cells in zip(head, zip(*rows, strict=True), strict=True)
    }


def _number(cell):
    """A cell as a float if it is one; an empty cell is NaN."""
    try:
        return float(cell or "nan")
    except ValueError:
        return cell


def to_csv(markdown, command):
    """A csv file of a table in Markdown."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    head, _, *rows = [[c.strip() for c in line.split("|")[1:-1]] for line in lines]
    if len(set(head)) < len(head):
        raise ValueError(f"Each column needs a name of its own, got {head}.")
    out = io.StringIO()
    out.write(f"# {command}\n")
    cells = zip(*rows, strict=True)
    columns = [_columns(*column) for column in zip(head, cells, strict=True)]
    flat = [column for parts in columns for column in parts]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name, _ in flat])
    writer.writerows(zip(*(cells for _, cells in flat), strict=True))
    return out.getvalue()


def _columns(name, cells):
    """The columns that one of Markdown becomes.   -> list of (name, cells)."""
    found = [_GAIN.fullmatch(cell) for cell in cells]
    if any(found):
        parts = zip(*(m.groups() if m else ("",) * 4 for m in found), strict=True)
        names = [name, *(f"{name}: {part}" for part in PARTS)]
        return list(zip(names, parts, strict=True))
    if all(re.fullmatch(r"[\d.]+x|", cell) for cell in cells):
        return [(name + _TIMES, [cell.rstrip("x") for cell in cells])]
    if all(re.fullmatch(r"[\d,]+|", cell) for cell in cells):
        return [(name, [cell.replace(",", "") for cell in cells])]
    return [(name, cells)]


def to_markdown(text):
    """The table in Markdown of a csv file."""
    head, rows = read_csv(text)
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    shown = {
        name.removesuffix(_TIMES): _cells(name, cells, columns)
        for name, cells in columns.items()
        if name.rpartition(": ")[2] not in PARTS
    }
    table = [shown, ["---"] * len(shown), *zip(*shown.values(), strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def _cells(name, cells, columns):
    """Cells of a column as they are printed."""
    if f"{name}: {PARTS[0]}" in columns:
        parts = zip(cells, *(columns[f"{name}: {part}"] for part in PARTS), strict=True)
        return [f"{v} ({a} / {b}){star}" if v else "" for v, a, b, star in parts]
    if name.endswith(_TIMES):
        return [cell and f"{cell}x" for cell in cells]
    return [f"{int(c):,}" if re.fullmatch(r"\d{4,}", c) else c for c in cells]


if __name__ == "__main__":
    sys.stdout.write(to_csv(sys.stdin.read(), sys.argv[1]))
