"""What arrays with names call their axes, and these, and tables, their entries."""

from contextlib import suppress

from skanticipate.data.axis_names import are_elsewhere, dims_of, in_words, named_axes
from skanticipate.data.missing import as_list
from skanticipate.data.warn import warn


def axis_index(table, axis=0):
    """The index of an axis, or None of what has none.

    A table or Series of pandas has one of its rows, an array of xarray one of each axis
    that has coordinates. A Series of polars that holds structs has fields.
    """
    if axis == -1 and (fields := _fields(table)):
        return fields
    dims = dims_of(table)
    if dims is not None:
        is_there = -len(dims) <= axis < len(dims)
        return table.indexes.get(dims[axis]) if is_there else None
    index = getattr(table, "index", None)  # a list has a method, a scalar a number
    is_there = hasattr(index, "__iter__") and not callable(index)
    return index if is_there and not axis else None


def index_of(table, axis=0):
    """The names of an axis, which may only count.   -> list, or None."""
    index = axis_index(table, axis)
    return None if index is None else as_list(index)


def coordinates_of(table, axis=0):
    """What an array of xarray says along an axis, where no index names its entries.

    -> dict of name to list
    """
    dims = dims_of(table)
    if not dims or dims[axis] in table.indexes:
        return {}
    coords = getattr(table, "coords", {})
    return {
        name: as_list(values)
        for name, values in coords.items()
        if values.dims == (dims[axis],)
    }


def are_names(values):
    """Whether these are texts of which each is there once."""
    return all(isinstance(v, str) for v in values) and len({*values}) == len(values)


def has_columns(table):
    """Whether this is a table, or an array of more than one axis that have names."""
    dims = dims_of(table)
    if dims is not None:
        return len(dims) > 1
    return hasattr(table, "columns") or bool(_fields(table))


def _fields(table):
    """Names within each entry of a Series of polars, or none."""
    with suppress(Exception):  # polars has one of its own for other entries
        return getattr(getattr(table, "struct", None), "fields", None)
    return None


def axis_names(table):
    """What an array calls its axes, None for one that only counts, as `named_axes`.

    In a list of arrays with names the list is the first axis.

    -> list, or None of what has no names
    """
    if isinstance(table, list | tuple):
        within = axis_names(table[0]) if table else None
        return within and [None, *within]
    names = named_axes(table)
    return None if names is None else list(names)


def check_axes(table, *, name, estimator, reset):
    """Note what the axes of clips, or of histories, are called in fit.

    Later an array that has some of these axes must have them in this order, and the
    rows first, what the rows hold last.

    Raises
    ------
    ValueError
        If one stands elsewhere. Other names, or other axes between them, say nothing.

    Warns
    -----
    UserWarning
        If nothing is expected, and the names themselves say that one stands elsewhere.
    """
    if reset:
        estimator._axes = axis_names(table)
    expected = getattr(estimator, "_axes", None)
    if reset or not expected:
        hint_axes(axis_names(table) or [], name)
    check_axes_alike(table, expected, name=name)


def hint_axes(axes, name):
    """Warn of axes whose own names say that rows, or features, stand elsewhere."""
    if are_elsewhere(axes):
        warn(
            f"The axes of {name} are called ({in_words(axes)}), but the first is read "
            "as the rows and the last as the features of a step: put them into this "
            "order, as transpose does of an array of xarray; or pass the plain array, "
            "if they are."
        )


def check_axes_alike(table, expected, *, name):
    """`check_axes` with the names that are expected, or None."""
    found = axis_names(table)
    if not found or not expected:
        return
    last = expected[-1]
    if last is not None and last in found and last != found[-1]:
        _refuse(found, expected, name)
    check_axes_in_order(found, expected, name)


def check_axes_in_order(found, expected, what):
    """Refuse names of axes that both have in another order, or rows that are not first.

    Parameters
    ----------
    found, expected : list
        From `axis_names`.
    what : str
        What has the names that were found.
    """
    both = [dim for dim in found if dim is not None and dim in expected]
    rows = expected[0]
    rows_elsewhere = rows in both and rows != found[0]
    if rows_elsewhere or both != [dim for dim in expected if dim in both]:
        _refuse(found, expected, what)


def check_axes_within(tables, name):
    """Refuse arrays, by their keys, of which one has the axes of another elsewhere."""
    named = {key: axes for key, table in tables.items() if (axes := axis_names(table))}
    for key, found in named.items():
        expected = next(iter(named.values()))
        check_axes_in_order(found, expected, f"{name}[{key!r}]")


def _refuse(found, expected, what):
    raise ValueError(
        f"The axes of {what} are ({in_words(found)}), but are read in the order "
        f"({in_words(expected)}): put them into this order, as transpose does of an "
        "array of xarray."
    )
