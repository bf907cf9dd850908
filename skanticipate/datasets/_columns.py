"""Tables: whether something has columns, and one entry for each row in each of them."""


def check_table(table, what):
    """Refuse what has no columns.

    Raises
    ------
    ValueError
        If it is no mapping and no table.

    Examples
    --------
    >>> check_table(3, "segments")
    Traceback (most recent call last):
    ValueError: segments is 3: expected a table, that is a mapping from names to ...
    """
    if not hasattr(table, "keys") and not hasattr(table, "columns"):
        raise ValueError(
            f"{what} is {table!r:.80}: expected a table, that is a mapping from names "
            "to columns or a DataFrame."
        )


def check_column(column, what):
    """Refuse what does not hold entries one after the other.

    Raises
    ------
    ValueError
        If it is a single value.

    Examples
    --------
    >>> check_column("P01", "video")
    Traceback (most recent call last):
    ValueError: video is 'P01': expected a column, with one entry for each row.
    """
    single = isinstance(column, str | bytes) or not hasattr(column, "__len__")
    if single or getattr(column, "ndim", 1) == 0:
        raise ValueError(
            f"{what} is {column!r:.40}: expected a column, with one entry for each row."
        )


def check_columns(table, what):
    """Refuse a mapping whose values are not columns of one length.

    Raises
    ------
    ValueError
        If one is a single value, or two differ in length.

    Examples
    --------
    >>> check_columns({"video": ["a", "b"], "action": [0]}, "segments")
    Traceback (most recent call last):
    ValueError: segments has columns of the lengths {'video': 2, 'action': 1}: ...
    """
    for name in table:
        check_column(table[name], f"{name} of {what}")
    lengths = {name: len(table[name]) for name in table}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{what} has columns of the lengths {lengths}: expected one entry for each "
            "row in every column."
        )
