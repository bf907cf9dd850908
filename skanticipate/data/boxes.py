"""Values in boxes: objects that hold a plain value, but equal and hash unlike it."""

from collections.abc import Mapping
from enum import Enum
from itertools import chain
from types import NoneType

import numpy as np
import torch
from scipy.sparse import issparse

from skanticipate.data.device_array import DeviceArray, base_of
from skanticipate.data.stored import check_stored

PLAIN = frozenset({str, int, float, bool, NoneType})
BYTES = "Labels are bytes: decode them, as np.char.decode(y) does."
_ROWS = frozenset({list, tuple})
_KNOWN = PLAIN | _ROWS


def unboxed(values):
    """A list or tuple whose elements are taken out of their boxes; another as it is.

    A box is a scalar of pyarrow, or an array or a tensor of no axes. Tensors of more
    axes become arrays, as do arrays of types that NumPy does not know itself, such as
    bfloat16. What stands in lists of lists is taken out too.

    Examples
    --------
    >>> unboxed([torch.tensor(2), np.array("cut"), None])
    [2, 'cut', None]
    """
    if type(values) not in _ROWS:
        return values
    kinds = _kinds_within(values) - _KNOWN
    openers = {kind: opener for kind in kinds if (opener := _opener(kind)) is not None}
    return _opened(values, openers) if openers else values


def _kinds_within(values):
    """Types of the elements of a list, and of lists in it."""
    kinds = here = set(map(type, values))
    while here & _ROWS:
        values = [v for v in values if type(v) in _ROWS] if here - _ROWS else values
        values = list(chain.from_iterable(values))
        here = set(map(type, values))
        kinds = kinds | here
    return kinds


def _opened(values, openers):
    """A list or tuple, each of whose elements is opened by what opens its type.

    Where there is no box it is the same object: by that others know what they read.
    """
    found = []
    for value in values:
        if type(value) in _ROWS:
            found.append(_opened(value, openers))
        else:
            opener = openers.get(type(value))
            found.append(value if opener is None else opener(value))
    alike = all(new is old for new, old in zip(found, values, strict=True))
    return values if alike else type(values)(found)


def _opener(kind):
    """What takes a value out of a box of some type; None where there is no box."""
    if hasattr(kind, "as_py"):
        return lambda value: value.as_py()
    if issubclass(kind, np.generic):  # those of NumPy equal plain values
        return None if kind.__module__ == "numpy" else lambda value: value.item()
    if issubclass(kind, np.ma.MaskedArray):  # of which others tell what is hidden
        return None
    if issubclass(kind, torch.Tensor):
        return _of_tensor
    return _of_array if hasattr(kind, "__array__") else None


def _of_tensor(value):
    if value.ndim == 0 and value.device.type != "meta":
        return value.item()
    base = base_of(value, "an element")
    return base[:] if isinstance(base, DeviceArray) else base


def _of_array(value):
    if getattr(value, "ndim", None) == 0:
        return value.item() if hasattr(value, "item") else np.asarray(value).item()
    return of_numpy(value)


def of_numpy(values):
    """An array of a type that few know as one of a type that all know.

    Numbers of a type that NumPy does not know itself become float32, or int64, texts of
    variable width objects. Anything else is given as it is, a memory map too.
    """
    if type(values) is np.ndarray and values.dtype.kind == "T":
        return values.astype(object)
    if type(values) is not np.ndarray or values.dtype.isbuiltin != 2:
        return values
    whole = np.can_cast(values.dtype, np.int64)
    return values.astype(np.int64 if whole else np.float32)


def of_rows(values):
    """An array whose entries are lists, as pyarrow and polars have it, as a list.

    So is a scalar of pyarrow that holds a list. Anything else is given as it is.
    """
    if hasattr(values, "as_py"):
        return values.as_py()
    kind = getattr(values, "type", getattr(values, "dtype", None))
    if not any(hasattr(kind, name) for name in ("value_field", "inner")):
        return values
    return values.to_pylist() if hasattr(values, "to_pylist") else values.to_list()


def unboxed_columns(table):
    """A dict of columns, or of values, taken out of boxes; any other table as it is.

    A table of pyarrow, which does not find a column by `in`, becomes a dict.
    """
    if hasattr(type(table), "column_names"):
        table = {name: table[name] for name in table.column_names}
    if not isinstance(table, dict):
        return table
    columns = {name: plain_column(column) for name, column in table.items()}
    return table if all(columns[name] is table[name] for name in table) else columns


def plain_column(column):
    """A column of a table, or a single value, taken out of boxes.

    Examples
    --------
    >>> plain_column([np.array("P01"), "P02"])
    ['P01', 'P02']
    """
    check_stored(column, "A column")
    if type(column) is np.ndarray and column.dtype == object:
        values = column.tolist()
        found = unboxed(values)
        return column if found is values else found
    return unboxed([of_numpy(column)])[0]


def refuse_bytes(labels):
    """Refuse labels that are bytes, as files hold texts: they equal no string."""
    if any(issubclass(kind, bytes) for kind in set(map(type, labels)) - PLAIN):
        raise ValueError(BYTES)


def refuse_identical(labels, name="A list of labels"):
    """Refuse labels that equal nothing but themselves, which nothing can look up.

    Parameters
    ----------
    labels : iterable
    name : str
        What they are called.

    Raises
    ------
    ValueError
        If the type of a label does not say what it equals, and is no Enum.

    Examples
    --------
    >>> refuse_identical(["cut", object()], "y")
    Traceback (most recent call last):
    ValueError: y holds an object of the type object, which equals nothing but ...
    """
    for kind in set(map(type, labels)) - PLAIN:
        if kind.__eq__ is object.__eq__ and not issubclass(kind, Enum):
            raise ValueError(
                f"{name} holds an object of the type {kind.__name__}, which equals "
                "nothing but itself, so that no label can be found by it: give plain "
                "values, such as strings or whole numbers."
            )


def refuse_counts(labels, name):
    """Refuse what `value_counts` or `groupby(...).size()` of pandas gave for labels.

    Parameters
    ----------
    labels : object
        Only a Series that has the name of counts, or none beside a named index.
    name : str
        What the labels are called.

    Raises
    ------
    ValueError
        If its values are counts.
    """
    index = getattr(labels, "index", None)
    if not hasattr(index, "names") or hasattr(labels, "columns"):
        return
    by_name = labels.name in ("count", "proportion")
    if by_name or (labels.name is None and index.name is not None):
        raise ValueError(
            f"{name} must be a list of labels, got a Series of counts, whose labels "
            f"are its index: pass list({name}.index); or list({name}), if its values "
            "are the labels."
        )


def refuse_named(values, name):
    """Refuse numbers that are named rather than in order: mappings, or records.

    Parameters
    ----------
    values : object
    name : str
        What they are called.

    Raises
    ------
    ValueError
        If `values` is a mapping, as what `np.load` makes of a file ``.npz``, holds one,
        or is an array with named fields.
    """
    if type(values) is np.ndarray and values.dtype.names is None:
        return
    if issparse(values):  # of which one kind is a mapping: others refuse them
        return
    kinds = {type(values)}
    if isinstance(values, list | tuple):
        kinds.update(map(type, values))
    names = getattr(getattr(values, "dtype", None), "names", None)
    found = next((kind for kind in kinds if issubclass(kind, Mapping)), None)
    if found is not None or names is not None:
        what = "an array with named fields" if found is None else f"a {found.__name__}"
        raise ValueError(
            f"{name} must be an array of numbers, got {what}, whose values have no "
            "order: pass the array that is meant, file['name'] of one that np.load "
            "has opened, or one array of all columns in their order."
        )
