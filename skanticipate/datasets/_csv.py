"""A csv file whose every complaint names the file and the line."""

import csv
import io
from pathlib import Path

import numpy as np

from skanticipate.data.formats import foreign_text
from skanticipate.data.numbers import number_in
from skanticipate.datasets._formats import complaint, recognise, remedy


class CsvFile:
    """The lines of a csv file in UTF-8, cell by cell.

    Empty lines and spaces around cells are dropped. Columns are reached by name,
    after :meth:`use_header` or :meth:`use_names` has said what they are.
    """

    def __init__(self, path, delimiter=","):
        self.path = Path(path)
        self.names = None
        self.line_numbers, self.rows = [], []
        text = io.StringIO(read_text(self.path), newline="")
        reader = csv.reader(
            text, skipinitialspace=True, strict=True, delimiter=delimiter
        )
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    self.line_numbers.append(reader.line_num)
                    self.rows.append([cell.strip() for cell in cells])
        except csv.Error as error:
            raise self._error_at(reader.line_num, f"is no csv ({error})") from error
        if not self.rows:
            raise ValueError(f"{self.path} is empty: expected a csv file with rows.")

    @classmethod
    def for_reader(cls, path, reader):
        """Open a file that must not be of the kind that another function reads."""
        line, number = first_line(path)
        trouble = complaint(line, reader)
        if trouble is not None:
            raise line_error(path, number, trouble)
        return cls(path)

    def use_header(self, required):
        """Take the names of the columns from the first line, which must have some."""
        line, names = self.line_numbers.pop(0), self.rows.pop(0)
        missing = [name for name in required if name not in names]
        if missing:
            raise self._error_at(
                line,
                f"has no column {', '.join(map(repr, missing))}: expected a header "
                f"with {', '.join(required)}, got {', '.join(names)}",
            )
        if len(set(names)) < len(names):
            raise self._error_at(line, f"names a column twice: {', '.join(names)}")
        if not self.rows:
            raise self._error_at(line, "is a header and no row follows")
        self.use_names(names)

    def drop_first(self):
        """Leave out the first line, a header whose names are not used."""
        line = self.line_numbers.pop(0)
        self.rows.pop(0)
        if not self.rows:
            raise self._error_at(line, "is a header and no row follows")

    def use_names(self, names):
        """Name the columns; every line must have as many cells."""
        self.names = list(names)
        for row, cells in enumerate(self.rows):
            if len(cells) != len(self.names):
                raise self.error(
                    row,
                    f"has {len(cells)} cells: expected {len(self.names)} "
                    f"({', '.join(self.names)})",
                )

    def strings(self, name):
        """Return a column as it is.   list of str."""
        column = self.names.index(name)
        return [cells[column] for cells in self.rows]

    def integers(self, name):
        """Return a column of whole numbers.   (n,) int64."""
        return self.whole_numbers(name, self.strings(name))

    def whole_numbers(self, name, texts):
        """Whole numbers found in a column, one text for each line.   (n,) int64."""
        for row, text in enumerate(texts):
            if not is_whole_number(text):
                raise self.error(
                    row, f"has {text!r} as {name}: expected a whole number"
                )
        return np.array(texts, dtype=np.int64)

    def numbers(self, name, above=-np.inf):
        """Return a column of finite numbers above a limit.   (n,) float64."""
        values = []
        for row, text in enumerate(self.strings(name)):
            number = number_in(text)
            values.append(np.nan if number is None else number)
            if not above < values[-1] < np.inf:
                limit = "" if above == -np.inf else f" above {above}"
                raise self.error(
                    row, f"has {text!r} as {name}: expected a number{limit}"
                )
        return np.array(values)

    def distinct_integers(self, name):
        """Return a column of whole numbers none of which occurs twice."""
        values = self.integers(name)
        first_rows = np.unique(values, return_index=True)[1]
        repeated = np.setdiff1d(np.arange(len(values)), first_rows)
        if repeated.size:
            row = repeated[0]
            raise self.error(row, f"repeats the {name} {values[row]}")
        return values

    def error(self, row, complaint):
        """Return the error to raise about a row."""
        return self._error_at(self.line_numbers[row], complaint)

    def _error_at(self, line, complaint):
        return line_error(self.path, line, complaint)


def first_line(path):
    """First line of a text file that is not empty, and its number."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            return line.strip(), number
    raise ValueError(f"{path} is empty: expected a csv file with rows.")


def named(path):
    """Say what a file is and who reads it, or nothing."""
    try:
        layout = recognise(first_line(path)[0])
    except ValueError:  # no text
        layout = None
    return "" if layout is None else f"It is {layout.what}{remedy(layout)}"


def read_text(path, what="a csv file in UTF-8"):
    """Content of a text file in UTF-8, without a byte-order mark."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    content = path.read_bytes()
    found = foreign_text(content[:4096])
    if found is not None:
        raise ValueError(f"{path} is {found}: expected {what}.")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise line_error(path, line, "has a NUL character: expected text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise line_error(path, line, f"is not UTF-8 ({error.reason})") from error


def line_error(path, line, complaint):
    """Return the error to raise about a line."""
    return ValueError(f"{path}, line {line}, {complaint}.")


def is_whole_number(text):
    """Whether a text is a whole number of at most 18 digits, so that int64 holds it."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18
