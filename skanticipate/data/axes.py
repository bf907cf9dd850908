"""What tables, and arrays with names of their own, call the entries of an axis."""

from skanticipate.data.missing import as_list


def axis_index(table, axis=0):
    """The index of an axis, or None of what has none.

    A table or Series of pandas has one of its rows, an array of xarray one of each axis
    that has coordinates.
    """
    if _has_dims(table):
        dims = dict(enumerate(table.dims)) | {-1: table.dims[-1:] and table.dims[-1]}
        return table.indexes.get(dims.get(axis))
    index = getattr(table, "index", None)
    return None if axis or index is None or callable(index) else index  # of a list


def index_of(table, axis=0):
    """The names of an axis, which may only count.   -> list, or None."""
    index = axis_index(table, axis)
    return None if index is None else as_list(index)


def has_columns(table):
    """Whether this is a table, or an array of more than one axis that have names."""
    if _has_dims(table):
        return len(table.dims) > 1
    return hasattr(table, "columns")


def _has_dims(table):
    return isinstance(getattr(table, "dims", None), tuple) and hasattr(table, "indexes")
