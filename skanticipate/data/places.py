"""Rows that are taken by their places, and what an index says of that."""

from itertools import pairwise
from numbers import Integral

import numpy as np

from skanticipate.data.axes import axis_index, has_columns, index_of
from skanticipate.data.leaves import first_leaf, leaves
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import as_list
from skanticipate.data.names import (
    check_order,
    check_tables_alike,
    column_names,
    hint_index,
    is_counted,
    row_names,
)
from skanticipate.data.numbered import as_numbers
from skanticipate.data.numbers import refuse_counted_mask
from skanticipate.data.twins import names_of
from skanticipate.data.warn import warn


def check_chosen_rows(chosen, tables, *, name, rows=None):
    """Refuse rows that are chosen by their names: they are taken by their places.

    Parameters
    ----------
    chosen : array-like of shape (m,)
        Places, or a mask.
    tables : iterable
        Of whose rows they are chosen; only those with an index name theirs.
    name : str
        What the choice is called.
    rows : ndarray of shape (n,) of int, default=None
        The rows among which it is made; None means all.

    Raises
    ------
    ValueError
        If it is an Index of pandas and a table names its rows; or a mask that names
        the rows, or their numbers, in another order than theirs.
    """
    known = [index for table in tables if (index := index_of(table)) is not None]
    if rows is not None:
        known = [[index[row] for row in rows] for index in known]
    _check_chosen(chosen, known, name)


def _check_chosen(chosen, known, name):
    """`check_chosen_rows` of lists of names."""
    if hasattr(chosen, "get_indexer"):  # an Index of pandas
        if any(index != list(range(len(index))) for index in known):
            raise ValueError(
                f"{name} is an Index, which may hold names of rows, but rows are taken "
                "by their places: pass X.index.get_indexer(names); or, of places, "
                "names.to_numpy()."
            )
        return
    found = index_of(chosen)
    if found is None or np.asarray(chosen).dtype != bool or found in known:
        return
    for expected in (*known, list(range(len(found)))):
        check_order(found, expected, f"The rows of {name}")


def places_of(chosen, n, names, *, name):
    """Places among n that are chosen by their numbers or by a mask.   -> (m,) int.

    Parameters
    ----------
    chosen : int or array-like of int or bool
    n : int
    names : list of n names, or None
        Which a mask that names its entries must have in the same order.
    name : str
        What the choice is called.

    Raises
    ------
    ValueError
        As `check_chosen_rows`, and if 0 and 1 stand for a mask.
    IndexError
        If these are no places among n.
    """
    _check_chosen(chosen, [] if names is None else [names], name)
    places = np.asarray(chosen)
    if places.ndim == 1 and places.dtype.kind in "iu":
        refuse_counted_mask(places, n, name)
    try:
        return np.atleast_1d(np.arange(n)[places if places.size else []])
    except IndexError:
        raise IndexError(
            f"{name} is {chosen!r:.80}: expected places or a mask of the {n} rows."
        ) from None


def check_ascending(table, name, axis=0):
    """Refuse a table whose steps run backwards, or anyhow, by its index.

    Of an array of xarray, by the coordinates of an axis.

    Raises
    ------
    ValueError
        If the index holds numbers or times, or texts with a number, and does not rise.
    """
    times = _times(table, axis)
    if times is not None and not _rises(times):
        raise ValueError(
            f"The index of {name} does not rise from step to step, but steps are read "
            "in the order of the rows, the latest last: sort them, as "
            "table.sort_index() sorts numbers and times; or pass table.to_numpy(), if "
            "they are in order."
        )


def check_step_names(labels, name):
    """Refuse labels of steps, (..., T), whose steps stand anyhow by their own names.

    Steps are the columns of a table, or the index of each Series in a list.

    Raises
    ------
    ValueError
        If the columns are numbers or times, or hold such, in no order, or run
        backwards; or the index of a Series, unless it is that of all, does not rise.

    Warns
    -----
    UserWarning
        If columns fall to 0 or above: they may count how many steps ago, or be turned.
    """
    check_series_ascend(labels, name)
    numbers = _columns_as_numbers(labels)
    if numbers is None or _rises(numbers):
        return
    shown = as_list(column_names(labels) or numbers)[:5]
    if _rises(-numbers) and numbers[-1] >= 0:
        warn(
            f"The columns of {name} are {shown} (the first five) and fall: they are "
            "read as if they counted how many steps ago, the last column as the latest "
            "step. Turn the columns if they count from the first step; pass "
            "table.to_numpy() to say that they are in order."
        )
        return
    raise ValueError(
        f"The columns of {name} are {shown} (the first five), which do not rise, but "
        "steps are read in the order of the columns, the latest last: sort the "
        "columns, or pass table.to_numpy(), if they are in order."
    )


def check_series_ascend(rows, name):
    """Refuse a list of Series, not of tables, of which one does not rise."""
    if not isinstance(rows, list | tuple) or index_of(first_leaf(rows)) is None:
        return
    if column_names(rows) is not None:  # all have the same, in one order
        return
    for place, row in leaves(rows):
        if not has_columns(row):
            check_ascending(row, f"{name}[{place}]")


def _columns_as_numbers(table):
    """What a table, or a list of Series, calls its columns.   -> (T,) or None."""
    columns = getattr(table, "columns", None)
    if not hasattr(columns, "dtype"):  # no Index of pandas, which may hold times
        columns = column_names(table)
    return None if columns is None else as_numbers(columns)


def check_steps_alike(clips, labels, name):
    """Refuse a table of labels whose columns are the steps of clips in another order.

    Parameters
    ----------
    clips : object
        Only a list of tables, whose rows are steps, or an array of xarray names them.
    labels : object
        Only what has `columns` names them, too.
    name : str
        What the labels are called.

    Raises
    ------
    ValueError
        If the names are the same and their order is not, or some of them are and stand
        elsewhere. Names that only count say nothing.
    """
    first = clips[0] if isinstance(clips, list | tuple) and len(clips) else None
    steps = index_of(first) if has_columns(first) else index_of(clips, 1)
    columns = column_names(labels)
    if steps is None or columns is None:
        return
    what = f"The columns of {name}, next to the steps of X_past,"
    check_order(columns, steps, what)
    found, wanted = names_of(columns), names_of(steps)
    if len(found) != len(wanted) or is_counted(found) or is_counted(wanted):
        return
    pairs = list(zip(found, wanted, strict=True))
    if found != wanted and not set(found).isdisjoint(wanted):
        k = next(k for k, (own, other) in enumerate(pairs) if own != other)
        raise ValueError(
            f"{what} are named otherwise: column {k} is {columns[k]!r}, step {k} is "
            f"{steps[k]!r}. Give the label of each step of X_past, in their order; or "
            "pass table.to_numpy(), if they are."
        )


def check_row_names(table, ids, *, name):
    """Refuse a table whose rows have names among `ids`, but not in their order."""
    found = row_names(table)
    if found is None or len(found) != len(ids):
        return
    names, wanted = names_of(found), names_of(ids)
    numbers, read = as_numbers(found), as_numbers(ids)
    if numbers is not None and read is not None:  # "0.5 s" is 0.5
        names, wanted = numbers.tolist(), read.tolist()
    if names != wanted and not set(names).isdisjoint(wanted):
        k = next(k for k, text in enumerate(names) if text != wanted[k])
        raise ValueError(
            f"Row {k} of {name} is named {found[k]!r}, but is read as that of "
            f"{ids[k]!r}: put the rows into this order, as table.loc[ids] does."
        )


def check_even(table, name):
    """Refuse a table of whose steps some are missing by its index, or out of order.

    Raises
    ------
    ValueError
        If the index holds numbers or times that do not rise from step to step, or rise
        by half as much again as the usual step, which rounded times do not.
    """
    check_ascending(table, name)
    times = _times(table)
    if times is None or len(times) < 2:
        return
    steps = np.diff(times)
    usual = np.median(steps)
    wrong = np.abs(steps - usual) > 0.5 * usual
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        before, after = index_of(table)[k : k + 2]
        raise ValueError(
            f"The index of {name} goes from {before} to {after}, another step than "
            "between its other rows, but steps are found by their place: fill in what "
            "is missing, as table.reindex does; or pass table.to_numpy(), if the index "
            "does not count steps."
        )


def hint_clock(table, name, rate):
    """Warn of seconds in the index of a table of steps that are read by their place.

    Parameters
    ----------
    table : object
        Only an index of times, or of floats that are not all whole, is looked at.
    name : str
    rate : float
        Steps a second.

    Warns
    -----
    UserWarning
        If the steps have another rate by their index, or begin late.
    """
    times = _seconds(table)
    if times is None:
        return
    step = (times[-1] - times[0]) / (len(times) - 1)
    if not step > 0:
        return
    if abs(step * rate - 1) > 0.02:
        trouble = (
            f"rises by {step:.4g} from row to row, as seconds at {1 / step:.4g} rows a "
            f"second, but feature_rate is {rate:g}: check it"
        )
    elif times[0] > 1.5 * step:
        trouble = (
            f"begins with {times[0]:g}, but the first row is read as the first step of "
            "the video: fill in the steps before, as table.reindex does"
        )
    else:
        return
    warn(
        f"The index of {name} {trouble}; or pass table.to_numpy(), if it holds no "
        "seconds of the video."
    )


def check_frames_by_place(tables, name, first_frame):
    """Refuse arrays of frames that are not to be read by their places.

    Parameters
    ----------
    tables : dict of str to array-like of shape (n_frames, d)
    name : str
        What the dict is called.
    first_frame : int
        The number of the frame in the first row of each.

    Raises
    ------
    ValueError
        If tables name their columns otherwise than each other, one hides values behind
        a mask, or its numbers are not as stored; if the index of one skips frames, does
        not rise, or holds other whole numbers than those of the frames, or 0, 1, ...
    """
    check_tables_alike(tables, name)
    hint_index([*tables.values()], name)
    for key, table in tables.items():
        what = f"{name}[{key!r}]"
        refuse_masked(
            table, what, "Pass .filled(np.nan) where whole frames are hidden."
        )
        check_even(table, what)
        _check_frame_numbers(row_names(table), what, first_frame)
        _check_late_start(table, what, first_frame)


def _check_frame_numbers(found, what, first_frame):
    """Refuse an index of whole numbers that are not those of frames one by one.

    Texts may hold them, "frame_0001.jpg", from 0 on too.
    """
    found = _frame_numbers(found)
    if found is None or found == list(range(len(found))):
        return
    if found[0] != first_frame:
        raise ValueError(
            f"The index of {what} begins with {found[0]}, but its first row is read as "
            f"frame {first_frame}: pass first_frame={found[0]}, the same for all "
            "videos; or table.to_numpy(), if the index counts no frames."
        )
    for before, after in pairwise(found):
        if after != before + 1:
            raise ValueError(
                f"The index of {what} goes from {before} to {after}, but frames are "
                "read one by one: pass features of every frame; or table.to_numpy(), "
                "if the index counts no frames."
            )


def _frame_numbers(names):
    """Whole numbers that names are, or that texts hold.   -> list of int, or None."""
    if names is None or all(isinstance(name, Integral) for name in names):
        return names
    are_texts = all(isinstance(name, str) for name in names)
    numbers = as_numbers(names) if are_texts else None
    if numbers is None or (numbers % 1).any():
        return None
    return numbers.astype(int).tolist()


def _check_late_start(table, what, first_frame):
    """Refuse an index of seconds that begins with those of another frame."""
    times = _seconds(table)
    if times is None:
        return
    step = (times[-1] - times[0]) / (len(times) - 1)
    number = round(times[0] / step) + 1 if step > 0 else first_frame
    if abs(number - first_frame) > 1:  # 0 or one step may be that of the first frame
        raise ValueError(
            f"The index of {what} begins with {times[0]:g} s and rises by {step:.4g} s,"
            f" but its first row is read as frame {first_frame}: pass "
            f"first_frame={number}, the same for all videos; or table.to_numpy(), if "
            "the index holds no seconds of the video."
        )


def _seconds(table):
    """Index of a table that may hold seconds.   -> (T,) float64, or None."""
    index = axis_index(table)
    times = np.empty(0) if index is None else np.asarray(index)
    if times.dtype.kind == "m":
        return times / np.timedelta64(1, "s") if len(times) > 1 else None
    if times.dtype.kind != "f" or len(times) < 2 or not (times % 1).any():
        return None  # whole ones may count steps
    return times


def _times(table, axis=0):
    """Index of a table as numbers.   -> (T,) float64, or None where it holds others."""
    index = axis_index(table, axis)
    return None if index is None else as_numbers(index)


def _rises(numbers):
    return bool((np.diff(numbers) > 0).all())
