"""Names that are numbers, or hold one, and in which order they so are."""

import re
from datetime import date, timedelta

import numpy as np

from skanticipate.data.missing import as_list

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# The last number of a name. A sign counts alone, or in "t-2" and "n-2"; in "step-2",
# "P01-2" and dates there is none.
_WITHIN = re.compile(r"(.*?)(-?\d+(?:\.\d+)?)(\D*)", re.DOTALL)
_SIGNED = re.compile(r"(.*[^a-zA-Z0-9])?([ijkntIJKNT]0?|offset|rel)?", re.DOTALL)
# What counts back, as a word: "tm2", "lag 2", "2 steps ago", "prevAction2".
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_BACK = re.compile(
    r"lag(s|ged)?|ago|prev(ious)?|t?minus|neg(ative)?|back|before|earlier|last|"
    r"shift(ed)?|[a-z]?tm"
)
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_SPACED_SIGN = re.compile(r"\s*([+-])\s*(?=\.?\d)")
_BARE_POINT = re.compile(r"(?<![^\s+-])\.(?=\d)")

# What columns are called that count the rows or tell their time, as words of a name.
_COUNTS = frozenset(
    "frame frames id idx index no nr number row sec second seconds step steps t time "
    "timestamp uid".split()
)
_FEWEST_ROWS, _MANY_ROWS = 3, 20  # that say something with such a name, and without


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
    >>> as_numbers(["tm2", "tm1"]), as_numbers(["t - 1", "t"])
    (array([-2., -1.]), array([-1.,  0.]))
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


def number_rows(column, name):
    """Whether a column of a table numbers its rows, or tells their time.

    It rises, or falls, by equal steps, as rounded times do; or is called so, and holds
    whole numbers none of which is there twice, of rows that were drawn.

    Examples
    --------
    >>> number_rows([7, 8, 9], "frame_no"), number_rows([7, 8, 9], "speed")
    (True, False)
    """
    called = not _COUNTS.isdisjoint(re.findall("[a-z]+", name.casefold()))
    if len(column) < (_FEWEST_ROWS if called else _MANY_ROWS):
        return False
    numbers = np.asarray(column)
    if numbers.dtype.kind not in "iuf" or numbers.ndim != 1:
        return False
    if _rise_evenly(numbers[:4]) and _rise_evenly(numbers):
        return True
    some = numbers[:_MANY_ROWS]
    return called and (some == np.trunc(some)).all() and len({*some}) == _MANY_ROWS


def _rise_evenly(numbers):
    steps = np.diff(numbers.astype(np.float64))
    return bool(steps[0]) and np.allclose(steps, steps[0], rtol=0.1, atol=0)


def _as_times(dates):
    """Dates as numpy has them, those of time zones as microseconds."""
    if all(getattr(day, "tzinfo", None) is not None for day in dates):
        return [day.timestamp() * 1e6 for day in dates]
    return np.asarray(dates, "M8[us]")


def _numbers_within(names):
    """`as_numbers` of texts.

    A name of nothing but what stands around the number of the others is 0: "t" beside
    "t-1", and "prev" beside "prev2".
    """
    found = [_parts(name) for name in names]
    around = {(before, after) for before, number, after in found if number != "nan"}
    if len(around) != 1:
        return None
    before, after = around.pop()
    if any(n == "nan" and rest != before + after for rest, n, _ in found):
        return None
    numbers = np.array([0.0 if n == "nan" else float(n) for _, n, _ in found])
    if not _SIGNED.fullmatch(before):
        numbers = np.abs(numbers)
    words = _WORD.findall(f"{before} {after}")
    if any(_BACK.fullmatch(word.lower()) for word in words):
        numbers = -np.abs(numbers)
    return numbers if len(set(numbers.tolist())) == len(names) else None


def _parts(name):
    """`split_number` of a text whose signs are plain, without what varies beside it.

    That is a sign, and the end of a plural.
    """
    text = _SPACED_SIGN.sub(r"\1", _DASHES.sub("-", name))
    before, number, after = split_number(_BARE_POINT.sub("0.", text))
    return before.rstrip("+-"), number, re.sub(r"s(?![a-zA-Z])", "", after)
