"""Names that numpy would change. Imports nothing: see `_child`."""


def refuse_nul(names, what):
    """Refuse names that end in NUL: numpy drops it, and two names become one.

    Parameters
    ----------
    names : iterable
        Plain values; what is no text is none of these.
    what : str
        What the names are called.

    Raises
    ------
    ValueError
        If a name ends in NUL.
    """
    for row, name in enumerate(names):
        if isinstance(name, str) and name.endswith("\0"):
            raise ValueError(
                f"{what} has the name {name!r} in row {row}: expected names that do "
                "not end in NUL, which numpy drops. Strip or replace it everywhere."
            )
