"""Names that are numbers, or hold one, and in which order they so are."""

import re
from datetime import date, timedelta

import numpy as np

from skanticipate.data.missing import as_list

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# The last number of a name. A sign counts alone, or in "t-2" and "n-2"; in "step-2",
# "P01-2" and dates there is none.
_WITHIN = re.compile(r"(.*?)(-?\d+(?:\.\d+)?)(\D*)", re.DOTALL)
_AGO = re.compile(  # counts back, as words, unlike "village"
    r"(?<![a-z])(lag(s|ged)?|ago|prev(ious)?|minus|back|before|earlier)(?![a-z])",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"(.*[^a-zA-Z0-9])?[kntKNT]?", re.DOTALL)


def is_number(label):
    """Whether a label is a number, or the text of one.

    Examples
    --------
    >>> [is_number(label) for label in (7, "07", 0.5, "cut", "7up")]
    [True, True, True, False, False]
    """
    return _NUMBER.fullmatch(str(label).strip()) is not None


def of_one_level(names):
    """Names of several levels by the only one in which they differ, if there is one."""
    if not names or not all(isinstance(name, tuple) for name in names):
        return names
    levels = [level for level in zip(*names, strict=False) if len(set(level)) > 1]
    return list(levels[0]) if len(levels) == 1 else names


def split_number(name):
    """What stands before the last number of a text, the number, and what follows.

    Examples
    --------
    >>> split_number("P01_10.jpg"), split_number("last")
    (('P01_', '10', '.jpg'), ('last', 'nan', ''))
    """
    found = _WITHIN.fullmatch(name)
    return found.groups() if found else (name, "nan", "")


def as_numbers(names):
    """Numbers that tell in which order names stand.

    Numbers and times tell it themselves, texts by a number that stands at one place
    within them, and tuples by the only part in which they differ.

    Returns
    -------
    numbers : ndarray of shape (m,) of float64, or None where names tell nothing

    Examples
    --------
    >>> as_numbers(["step_1", "step_10", "step_2"])
    array([ 1., 10.,  2.])
    >>> as_numbers(["t-2", "t-1"]), as_numbers(["lag 2", "lag 1"])
    (array([-2., -1.]), array([-2., -1.]))
    >>> as_numbers([date(1970, 1, 2), date(1970, 1, 3)]) / 1e6
    array([ 86400., 172800.])
    >>> as_numbers([timedelta(seconds=8), timedelta(minutes=1)]) / 1e6
    array([ 8., 60.])
    >>> as_numbers(["P01-1", "P01-2"]), as_numbers(["village_1", "village_2"])
    (array([1., 2.]), array([1., 2.]))
    >>> as_numbers(["last but one", "last"])
    """
    values = names if hasattr(names, "dtype") else as_list(names)
    names = as_list(names)
    if names and isinstance(names[0], tuple):
        level = of_one_level(names)
        return None if level is names else as_numbers(level)
    if names and all(isinstance(name, str) for name in names):
        return _numbers_within(names)
    if names and all(isinstance(name, date) for name in names):
        values = _as_times(names)
    elif names and all(isinstance(name, timedelta) for name in names):
        values = np.asarray(names, "m8[us]")
    elif not hasattr(values, "dtype") and not all(map(np.isscalar, names)):
        return None
    values = np.asarray(values)
    if values.dtype.kind in "mM":
        values = values.astype(np.int64)
    return values.astype(np.float64) if values.dtype.kind in "fiu" else None


def _as_times(dates):
    """Dates as numpy has them, those of time zones as microseconds."""
    if all(getattr(day, "tzinfo", None) is not None for day in dates):
        return [day.timestamp() * 1e6 for day in dates]
    return np.asarray(dates, "M8[us]")


def _numbers_within(names):
    """`as_numbers` of texts."""
    found = [split_number(name) for name in names]
    around = {(before.rstrip("-"), after) for before, _, after in found}
    if len(around) != 1 or "nan" in {number for _, number, _ in found}:
        return None
    before, _, after = found[0]
    numbers = np.array([float(number) for _, number, _ in found])
    if not _SIGNED.fullmatch(before):
        numbers = np.abs(numbers)
    if _AGO.search(before + after):
        numbers = -np.abs(numbers)
    return numbers if len(set(numbers.tolist())) == len(names) else None
