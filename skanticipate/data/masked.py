"""Masked arrays that hide numbers, which NumPy shows where they become plain."""

import numpy as np


def refuse_masked(values, name, remedy):
    """Refuse a masked array, or a list of some, that hides numbers: numpy shows them.

    Parameters
    ----------
    values : object
        Only what is a masked array, or lists or tuples of them, is looked at.
    name : str
        What the values are called.
    remedy : str
        What to do, with a capital letter and a full stop.

    Examples
    --------
    >>> refuse_masked(np.ma.array([0.5, 9.0], mask=[False, True]), "X", "Drop it.")
    Traceback (most recent call last):
    ValueError: X is a masked array that hides 1 of 2 values: expected ... Drop it.
    """
    parts = list(_masked_parts(values))
    hidden = sum(int(np.ma.getmaskarray(part).sum()) for part in parts)
    if hidden:
        raise ValueError(
            f"{name} is a masked array that hides {hidden} of "
            f"{sum(part.size for part in parts)} values: expected an array without "
            f"hidden ones. {remedy}"
        )


def _masked_parts(values):
    """Yield the masked arrays in lists of lists."""
    if isinstance(values, np.ma.MaskedArray):
        yield values
    elif isinstance(values, list | tuple):
        for part in values:
            if isinstance(part, list | tuple | np.ma.MaskedArray):
                yield from _masked_parts(part)
