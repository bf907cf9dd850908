"""What tables call their columns and their rows, and whether others call them so."""

import re

import numpy as np
from sklearn.utils.validation import _check_feature_names

from skanticipate.data.axes import (
    are_names,
    axis_names,
    check_axes,
    check_axes_within,
    coordinates_of,
    has_columns,
    hint_axes,
    index_of,
)
from skanticipate.data.leaves import first_leaf, first_table, leaves
from skanticipate.data.missing import as_list
from skanticipate.data.numbered import is_number, number_rows, of_one_level
from skanticipate.data.twins import names_of
from skanticipate.data.warn import warn

_INDEX = re.compile(r"|Unnamed: 0(\.\d+)*|__index_level_0__")  # "" in polars
# Attributes in which a fit notes what features are called.
NOTED = frozenset({"feature_names_in_", "_columns", "_axes"})
_PLACE = re.compile(r"_\d+")  # for a name that no field of a tuple can have


def column_names(table):
    """What a table calls its columns, or rows their entries.   -> list, or None."""
    if isinstance(table, list | tuple):
        return _names_within(table)
    if has_columns(table) and not hasattr(table, "columns"):  # of xarray, say
        named = filter(are_names, coordinates_of(table, -1).values())
        return index_of(table, -1) or next(named, None)
    # Of pyarrow, whose columns are data. A column of pandas may have the name.
    has_own = hasattr(type(table), "column_names")
    names = table.column_names if has_own else getattr(table, "columns", None)
    return None if names is None else of_one_level(as_list(names)) or None


def _names_within(rows):
    """What rows, such as `iterrows` of pandas gives, all call their entries, or None.

    So may rows in lists of lists. Two rows of the same names in different orders are
    an error.
    """
    top = first_leaf(rows)
    first = _entries_of(top)
    if first is None:
        return None
    index, same = getattr(top, "index", None), True
    for place, row in leaves(rows):
        if index is not None and getattr(row, "index", None) is index:  # of a table
            continue
        found = _entries_of(row)
        if found is not None and found != first:
            same = False
            check_order(found, first, f"The entries of row {place}, next to row 0,")
    return first if same else None


def _entries_of(row):
    """What a Series, or a tuple with names, calls its entries.   -> list, or None.

    Of a table in lists of lists, its columns.
    """
    fields = list(getattr(row, "_fields", ()))
    if fields and not any(map(_PLACE.fullmatch, fields)):
        return fields
    return column_names(row) if has_columns(row) else index_of(row)


def row_names(table):
    """What a table or Series calls its rows.   -> list, or None if it counts them.

    In a list of Series each has the name of its row, and in one of tables the level of
    its index that is the same in all its steps.
    """
    if table is None or type(table) is np.ndarray:  # as mostly
        return None
    names = index_of(table)
    first = table[0] if isinstance(table, list | tuple) and table else None
    if index_of(first) is not None:
        names = [_name_of_row(row) for row in table]
        names = None if None in names else names
    return None if names is None or names == list(range(len(names))) else names


def _name_of_row(row):
    """Name of a Series, or what all steps of a table have in their index, or None."""
    if not has_columns(row):
        return getattr(row, "name", None)
    index = getattr(row, "index", None)
    if getattr(index, "nlevels", 1) < 2 or not len(index):
        return None
    levels = (index.get_level_values(k) for k in range(index.nlevels))
    return next((level[0] for level in levels if (level == level[0]).all()), None)


# -------------------------------------------------------------------- features


def check_names(X, *, name, estimator, reset):
    """Note what features are called in fit; refuse others, or another order, later.

    Of a table, or of a list of tables. scikit-learn compares texts (and warns where
    only one of the two has names), `check_columns_alike` numbers too.
    """
    if reset:  # a search may fit the same object on clips after pooled features
        forget_names(estimator)
    if type(X) is np.ndarray and not hasattr(estimator, "feature_names_in_"):
        return  # it has no names, and scikit-learn would look for some
    table = first_table(X)
    _check_feature_names(estimator, table, reset=reset)
    if reset:
        estimator._columns = column_names(table)
        hint_index(table, name)
    check_axes(X, name=name, estimator=estimator, reset=reset)
    check_columns_alike(table, getattr(estimator, "_columns", None), name=name)


def hint_steps(tables, name):
    """Warn of what tables of steps say by their names, before these are lost.

    Parameters
    ----------
    tables : list, dict or array of shape (n, T, ..., d)
        Of tables or arrays (T, ..., d); of the first one its columns are looked at.
    name : str
        What they are called.

    Warns
    -----
    UserWarning
        If a column numbers the rows, or axes are called otherwise than they are read.
    """
    tables = [*tables.values()] if isinstance(tables, dict) else tables
    hint_axes(axis_names(tables) or [], name)
    if isinstance(tables, list | tuple):
        hint_index(tables, name)


def hint_index(table, name):
    """Warn of a column that numbers the rows, as a file has it of a pandas index.

    Of a list of tables the first one is looked at.
    """
    table = first_table(table)
    names = [c for c in column_names(table) or () if isinstance(c, str)]
    found = next((c for c in names if _INDEX.fullmatch(c)), None)
    found = _column_that_counts(table, names) if found is None else found
    if found is not None:
        warn(
            f"{name} has the column {found!r}, as a file has it where pandas wrote a "
            "table with its index, or where frames are numbered: it would be a "
            "feature. Read the file with index_col=0, or drop the column; or pass "
            "table.to_numpy(), if it is one."
        )


def _column_that_counts(table, names):
    """A column that numbers the rows, by its numbers; of few rows by its name too."""
    if not hasattr(table, "columns"):
        return None
    counted = [name for name in names if number_rows(table[name], name)]
    # Tables of which all columns rise are made so.
    return counted[0] if counted and 2 * len(counted) <= len(names) else None


def check_columns_alike(table, expected, *, name):
    """Refuse a table of as many columns as expected that names them otherwise.

    Columns that are only counted, 0, 1, ..., have no names.

    Parameters
    ----------
    table, expected, name : object
        As in `check_column_order`.

    Raises
    ------
    ValueError
        If the names, or their order, are others. Another number of columns is the
        caller's business.
    """
    check_column_order(table, expected, name=name)
    found = column_names(table)
    if found is None or expected is None or len(found) != len(expected):
        return
    names, wanted = names_of(found), names_of(expected)
    if names != wanted and not is_counted(names) and not is_counted(wanted):
        raise ValueError(
            f"The columns of {name} are named {found[:5]}, expected "
            f"{list(expected)[:5]} (the first five): select these columns; or pass an "
            "array, table.to_numpy(), if the features are the same under other names."
        )


def check_history_columns(X, *, name, estimator, reset):
    """Note what columns of past actions are called in fit; later they come alike."""
    table = first_table(X)
    if reset:
        estimator._columns = column_names(table)
        hint_index(table, name)
    check_axes(X, name=name, estimator=estimator, reset=reset)
    check_history_order(table, getattr(estimator, "_columns", None), name=name)


def check_history_order(table, expected, *, name):
    """Refuse histories, longer or shorter ones perhaps, whose actions stand elsewhere.

    Parameters
    ----------
    table, expected, name : object
        As in `check_column_order`; the last column is that of the latest action.

    Raises
    ------
    ValueError
        If the names that both have are in another order, or the last column is not
        the one that is expected. Where no name is the same nothing is said.
    """
    check_column_order(table, expected, name=name)
    found = column_names(table)
    if found is None or expected is None:
        return
    names, wanted = names_of(found), names_of(expected)
    if is_counted(names) or is_counted(wanted) or set(names).isdisjoint(wanted):
        return
    in_order = [n for n in names if n in wanted] == [n for n in wanted if n in names]
    if not in_order or names[-1] != wanted[-1]:
        raise ValueError(
            f"The columns of {name} are {found[-5:]}, expected {list(expected)[-5:]} "
            "(the last five): histories may be longer or shorter at their beginning, "
            "but keep the order of the columns, and the latest action last."
        )


def forget_names(estimator):
    """Forget what an earlier fit noted of features that have other axes now."""
    for stale in ("n_features_in_", *NOTED):
        vars(estimator).pop(stale, None)


def check_tables_alike(tables, name):
    """Refuse a list or dict of tables unless all name the same columns in one order."""
    if isinstance(tables, list | tuple):
        tables = dict(enumerate(tables))
    if not isinstance(tables, dict):
        return
    check_axes_within(tables, name)
    expected = column_names(first_table([*tables.values()]))
    if expected is None:
        return
    for k, table in tables.items():
        found = column_names(table)
        if found is None or found == expected:
            continue
        check_order(found, expected, f"The columns of {name}[{k!r}]")
        if names_of(found) != names_of(expected):
            raise ValueError(
                f"The columns of {name}[{k!r}] are named {found[:5]}, those of another "
                f"table among them {expected[:5]} (the first five): all tables become "
                "one array, so give them the same columns in one order."
            )


def check_column_order(table, expected, *, name):
    """Refuse a table that names its columns, or rows, as expected in another order.

    Parameters
    ----------
    table : object
        Only what has `columns`, such as a DataFrame, names them.
    expected : sequence of names, or None where nothing is expected
    name : str
        What the table is called.

    Raises
    ------
    ValueError
        If the names are the same and their order is not. Other names are the caller's
        business.
    """
    found = column_names(table)
    if expected is not None and found is not None:
        check_order(found, list(expected), f"The columns of {name}")


def check_order(found, expected, what):
    """Refuse names that are those expected in another order; `what` has them."""
    if found == expected:
        return
    names, wanted = names_of(found), names_of(expected)
    if names != wanted and set(names) == set(wanted):
        raise ValueError(
            f"{what} have the names that are expected in another order: "
            f"{found[:5]}, expected {expected[:5]} (the first five). Put them into "
            "this order."
        )


# ---------------------------------------------------------------------- labels


def check_label_names(table, labels, *, name):
    """Refuse a table whose columns are named by other labels than they are read as.

    Columns that are only counted, 0, 1, ..., have no names. Names may have the same
    text before and after all labels, as "p_cut" and "p_wash"; and where labels are
    numbers, names that are texts say what these stand for, or the reverse.

    Parameters
    ----------
    table : object
        Scores, one column a label; only what has `columns` names them.
    labels : sequence of C labels
        What the columns are read as, in order.
    name : str
        What the table is called.

    Raises
    ------
    ValueError
        If the names are not the labels in their order. Another number of columns is
        the caller's business.
    """
    check_column_order(table, labels, name=name)
    found = column_names(table)
    if found is None or len(found) != len(labels):
        return
    names, wanted = names_of(found), names_of(labels)
    before, _, after = names[0].rpartition(wanted[0])
    are_numbers, wants_numbers = (all(map(is_number, n)) for n in (names, wanted))
    affixed = [before + label + after for label in wanted]
    if names == (wanted if are_numbers else affixed) or is_counted(names):
        return
    if are_numbers == wants_numbers or not set(names).isdisjoint(wanted):
        k = next(k for k, text in enumerate(names) if text != wanted[k])
        raise ValueError(
            f"Column {k} of {name} is named {found[k]!r}, but is read as the score of "
            f"{list(labels)[k]!r}: give the labels of the columns in their order, as "
            "classes=list(table.columns) does where there is this parameter; select "
            "the columns of the labels, table[labels]; or rename them."
        )


def is_counted(names):
    """Whether names only count, as those that pandas or polars gives."""
    return any(
        names == [f"{prefix}{k}" for k in range(len(names))]
        for prefix in ("", "column_")
    )


# ------------------------------------------------------------------------ rows


def check_entry_names(values, names, *, name, whose):
    """Refuse a Series whose entries are named otherwise than what they stand for.

    Parameters
    ----------
    values : object
        One entry for each name; only what has an index names them, unless it counts.
    names : sequence of str
    name, whose : str
        What the values are called, and whose names these are.

    Raises
    ------
    ValueError
        If the entries have other names, or the same in another order. Another number
        of entries is the caller's business.
    """
    found = row_names(values)
    if found is None or len(found) != len(names) or names_of(found) == names_of(names):
        return
    raise ValueError(
        f"{name} names its entries {found[:5]}, but they are read as those of {whose}, "
        f"{list(names)[:5]} (the first five): put them into this order, and pass a "
        f"list, as list({name}) gives it."
    )
