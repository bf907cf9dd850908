"""Names that stand for the ids of verb or noun classes."""

import re
from collections.abc import Mapping

import numpy as np

from skanticipate.data.missing import as_list, check_label_list, is_never_a_name
from skanticipate.data.names import column_names
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.warn import warn
from skanticipate.datasets._segments import check_names

_COLUMNS = ("id", "name")
_FEW = 5  # texts that may all call their classes otherwise


def named_ids(names, what):
    """Name of each class id, of whatever says it.

    Parameters
    ----------
    names : sequence of str, mapping, Series or table
        In the order of the ids from 0; or by id; or with the columns `id` and `name`.
        A missing name stands for none.
    what : str
        What they are called.

    Returns
    -------
    dict of int to str

    Raises
    ------
    ValueError
        If an id has two names, a name is no text, or a table has not both columns.

    Examples
    --------
    >>> named_ids(["take", "put"], "verbs")
    {0: 'take', 1: 'put'}
    >>> named_ids({"id": [4, 4], "name": ["take", "put"]}, "verbs")
    Traceback (most recent call last):
    ValueError: verbs gives the id 4 both 'take' and 'put': keep one name for each id.
    """
    named = {}
    for identifier, name in _pairs(names, what):
        if is_never_a_name(name):
            continue  # keeps the place of an id that no class has
        if not isinstance(name, str):
            raise ValueError(
                f"{what} gives the id {identifier!r} the name {name!r}: expected a "
                "text."
            )
        if named.setdefault(identifier, name) != name:
            raise ValueError(
                f"{what} gives the id {identifier!r} both {named[identifier]!r} and "
                f"{name!r}: keep one name for each id."
            )
    check_names(list(named.values()), what)
    return named


def names_of_ids(file, what, ids, names, default):
    """Names of the class ids of a file.   (n,) -> (n,) str."""
    if names is None:
        _warn_of_shared(
            f"{file.path} calls",
            what,
            zip(ids.tolist(), default, strict=True),
            f"pass the names of the classes as {what}=",
        )
        return np.array(default)
    named = named_ids(names, what)
    for row, identifier in enumerate(ids):
        if identifier not in named:
            raise file.error(
                row,
                f"refers to the id {identifier}, which has no name in {what} "
                f"(it has {len(named)} names; ids are whole numbers)",
            )
    found = [named[i] for i in ids]
    _hint_others(file, what, ids.tolist(), named, default)
    pairs = zip(ids.tolist(), found, strict=True)
    _warn_of_shared(f"{what}= calls", what, pairs, "give each a name of its own")
    return np.array(found)


def _hint_others(file, what, ids, named, texts):
    """Warn of names that are rather those of the ids beside, or of another list."""
    told = set(zip(ids, texts, strict=True))
    own, before, after = (
        sum(bool(_words(named.get(i + step, "")) & _words(text)) for i, text in told)
        for step in (0, -1, 1)
    )
    beside = max(before, after)
    is_moved = beside > own + 1  # one word alone may stand beside by chance
    if not is_moved and (own or len(told) < _FEW):
        return
    where = "below" if before > after else "above"
    hint = f", and {beside} with that of the id {where}" * is_moved
    warn(
        f"{own} of the {len(told)} texts of {what} in {file.path} share a word with "
        f"the name that {what}= gives their id{hint}: "
        "names are by id, in a list from 0. Check that they are those of this file."
    )


def _words(text):
    return set(re.sub(r"[\W_]+", " ", text.lower()).split())


def _warn_of_shared(whose, what, named, remedy):
    """Warn of one name for two ids, which whoever goes by names takes for one."""
    id_of = {}
    for identifier, name in named:
        if id_of.setdefault(name, identifier) != identifier:
            warn(
                f"{whose} two {what} {name!r}, those of the ids {id_of[name]} and "
                f"{identifier}, which count as one by name: {remedy}."
            )
            return


def _pairs(names, what):
    """Ids and names.   -> iterable of pairs."""
    has_columns = hasattr(names, "columns")
    if has_columns or (isinstance(names, Mapping) and set(_COLUMNS) <= set(names)):
        return _rows(names, what)
    if hasattr(names, "items"):  # a mapping, or a Series by its index: id -> name
        return names.items()
    check_label_list(names, what)
    return enumerate(as_list(names))


def _rows(table, what):
    """Rows of a table with the columns id and name."""
    found = list(table) if isinstance(table, Mapping) else column_names(table) or []
    if not set(_COLUMNS) <= set(found):
        raise ValueError(
            f"{what} must be a table with the columns id and name, got "
            f"{', '.join(map(str, found))}: read the file of EPIC-KITCHENS with "
            "read_classes, or rename the columns."
        )
    columns = {f"{part} of {what}": table[part] for part in _COLUMNS}
    check_rows_alike(**columns)
    for name, column in columns.items():
        check_label_list(column, name)
    ids, names = map(as_list, columns.values())
    if len(ids) != len(names):
        raise ValueError(
            f"{what} has {len(ids)} ids and {len(names)} names: give one for each."
        )
    return zip(ids, names, strict=True)
