"""Tables that are given together: their rows have the same names in one order."""

from numbers import Real

import numpy as np

from skanticipate.data.axes import (
    are_names,
    axis_names,
    check_axes_in_order,
    coordinates_of,
)
from skanticipate.data.names import check_order, row_names
from skanticipate.data.numbered import as_numbers, split_number
from skanticipate.data.twins import names_of


class RowsAlike:
    """Refuses a table that names the rows of an earlier one in another order.

    Rows go together by their place. Rows that are only counted, 0, 1, ..., have no
    names, and names that the other has not say nothing. Folds of two tables in unlike
    orders have other rows each, so that those that both have are compared.
    """

    def __init__(self):
        self._named = []  # (kind, what, names), each list of names once
        self._axes = None  # of the first that names them

    def check(self, table, what):
        """Compare a table with all earlier ones, and remember what it names its rows.

        Raises
        ------
        ValueError
            If the names that are also those of an earlier one are in another order; or
            if axes are, of which rows are the first.
        """
        if table is None or type(table) is np.ndarray:  # as mostly: it has no names
            return
        if axes := axis_names(table):
            self._axes = self._axes or axes
            check_axes_in_order(axes, self._axes, what)
        for kind, found in _kinds_of_names(table):
            if any((kind, found) == (other, names) for other, _, names in self._named):
                continue
            for other, first, expected in self._named:
                told = f"The rows of {what}, next to {first},"
                # What is there twice may say two things, unless both have it as often.
                if other == kind and (not kind or sorted(found) == sorted(expected)):
                    check_order(found, expected, told)
                if other == kind == "":
                    _check_common(found, expected, told)
            self._named.append((kind, what, found))

    def each(self, tables, what):
        """Yield tables one after the other, each of them checked."""
        for k, table in enumerate(tables):
            self.check(table, f"{what}[{k}]")
            yield table


def check_rows_alike(**tables):
    """Refuse tables and Series that name the same rows in different orders.

    Raises
    ------
    ValueError
        If the names of two of them are the same and their order is not.
    """
    rows = RowsAlike()
    for name, table in tables.items():
        rows.check(table, name)


def _kinds_of_names(table):
    """Yield what a table calls its rows, and of which kind these names are.

    That is "", or of a coordinate that does not name each row, as that of videos, what
    it is called.
    """
    if (names := row_names(table)) is not None:
        yield "", names
    for coordinate, names in coordinates_of(table).items():
        yield "" if are_names(names) else coordinate, names


def _check_common(found, expected, what):
    """Refuse names of which both have some, in another order.

    Whole numbers may have counted the rows of which a fold has some. Names that are all
    later, by however much, may be those of the segment after, in a shuffled fold.
    """
    if any(isinstance(name, Real) for name in (*found, *expected)):
        return
    names, wanted = names_of(found), names_of(expected)
    both = set(names) & set(wanted)
    ours, theirs = (
        [*dict.fromkeys(n for n in own if n in both)] for own in (names, wanted)
    )
    if ours == theirs or _are_beside(found, expected):
        return
    raise ValueError(
        f"{what} have some of the names that are expected, in another order: "
        f"{found[:5]}, expected {expected[:5]} (the first five). Rows go together by "
        "their places: put them into one order, as table.loc[ids] does; or pass "
        "table.to_numpy(), if they are."
    )


def _are_beside(found, expected):
    """Whether rows have later names than others, or earlier ones, in the same order.

    So have the windows of a recording that begin a while later, or the segments next to
    those before them: sorted by one of the names, rows of a recording are sorted by the
    other. Those of two tables in unlike orders are not.
    """
    if len(found) != len(expected):
        return False
    numbers, others = as_numbers(found), as_numbers(expected)
    recordings = np.zeros(len(found), dtype=int)
    if numbers is None or others is None:
        names, numbers = _numbers_apart(found)
        names_of_others, others = _numbers_apart(expected)
        if names != names_of_others:
            return False
        codes = {name: code for code, name in enumerate(names)}
        recordings = np.array([codes[name] for name in names])
    later = others - numbers
    if not ((later > 0).all() or (later < 0).all()):
        return False
    order = np.lexsort((others, numbers, recordings))
    falls = np.diff(others[order]) < 0
    return not (falls & (np.diff(recordings[order]) == 0)).any()


def _numbers_apart(names):
    """What stands around the last number of each name, and these numbers (m,)."""
    parts = [split_number(str(name)) for name in names]
    return [(p[0], p[2]) for p in parts], np.array([float(p[1]) for p in parts])
