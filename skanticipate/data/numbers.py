"""What parameters that are numbers may be."""

from collections.abc import Mapping, Set
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_scalar

from skanticipate.data.boxes import refuse_named
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import as_list
from skanticipate.data.names import check_entry_names
from skanticipate.data.parameters import Interval as Interval


def number_in(text):
    """Number that a text of a file stands for; None where it stands for none.

    Python reads "29_97" as 2997, which no file means.

    Examples
    --------
    >>> number_in("29.97"), number_in(b"1e3"), number_in("29_97"), number_in("25,0")
    (29.97, 1000.0, None, None)
    """
    if ("_" if isinstance(text, str) else b"_") in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def check_count(value, name):
    """Refuse what is no whole number from 1, as True and False are none.

    Examples
    --------
    >>> check_count(True, "k")
    Traceback (most recent call last):
    TypeError: k must be a whole number from 1, got True.
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number from 1, got {value!r}.")
    check_scalar(value, name, Integral, min_val=1)


def refuse_truths(values, name):
    """Refuse numbers, flat or an array, among which are True or False.

    Examples
    --------
    >>> refuse_truths([2.0, True], "weights")
    Traceback (most recent call last):
    TypeError: weights must hold numbers, got True: write 1 or 0 if that is meant.
    """
    values = values.tolist() if hasattr(values, "tolist") else list(values)
    for value in values:
        if isinstance(value, bool | np.bool_):
            raise TypeError(
                f"{name} must hold numbers, got {value!s}: write 1 or 0 if that is "
                "meant."
            )


def refuse_counted_mask(rows, n, name):
    """Refuse whole numbers that look like a mask of n rows.

    Parameters
    ----------
    rows : ndarray of int of shape (m,)
        Numbers of rows, as which 0 and 1 would be the first two, many times over.
    n : int
        How many rows there are.
    name : str
        What the numbers are called.

    Examples
    --------
    >>> refuse_counted_mask(np.array([0, 1, 1, 0]), 4, "train")
    Traceback (most recent call last):
    ValueError: train holds 4 numbers 0 and 1, one for each row, which would be rows ...
    """
    distinct = set(rows.tolist()) if len(rows) == n else {2}
    if len(distinct) < n and distinct <= {0, 1}:
        raise ValueError(
            f"{name} holds {n} numbers 0 and 1, one for each row, which would be rows "
            "0 and 1 many times over: if it is a mask, make it one of bool, "
            "np.asarray(mask) == 1."
        )


def weights_of(weights, names, whose):
    """Weights, one for each of some named parts, as floats.   -> float64 array.

    Whatever is a number may stand there, `Fraction` and `Decimal` too; a text may not.

    How many there are, and of what size, is the caller's business.

    Parameters
    ----------
    weights : array-like
    names : sequence of str
        Names of the parts in their order, which a Series must not contradict.
    whose : str
        What the parts are called.
    """
    unordered = isinstance(weights, Mapping | Set) or hasattr(weights, "columns")
    if unordered or not hasattr(weights, "__iter__"):
        raise TypeError(
            f"weights must be a list of one number for each of {whose}, "
            f"{list(names)[:5]}, got a {type(weights).__name__}: list the numbers in "
            "this order."
        )
    refuse_masked(weights, "weights", "Give the weight of every part.")
    check_entry_names(weights, names, name="weights", whose=whose)
    refuse_named(weights, "weights")
    values = as_list(weights)
    refuse_truths(values, "weights")
    try:
        if any(isinstance(value, str | bytes) for value in values):
            raise ValueError("a text is no number")
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"weights must be a list of one number for each of {whose}, "
            f"{list(names)[:5]}, got {weights!r:.80} ({error})."
        ) from error


# Beyond it a machine may be unable to start them, and torch then ends the process.
N_THREADS = Interval(Integral, 1, 1024, closed="both")
# Of processes, with the negative ones of joblib, which counts them in 32 bits.
N_JOBS = Interval(Integral, -10_000, 10_000, closed="both")
# Of an axis of weights: beyond it, torch cannot count what they hold.
SIZE = Interval(Integral, 1, 2**31 - 1, closed="both")
# Of steps of a clip, or of past labels: nobody reaches them.
STEPS = Interval(Integral, 1, 1_000_000, closed="both")
# Of layers one after the other: more are built for ever, and nothing passes through.
DEPTH = Interval(Integral, 1, 1000, closed="both")
# Of epochs, and numbers of frames, which floats hold too.
EPOCHS = Interval(Integral, 1, 2**53, closed="both")
FRAME = Interval(Integral, 0, 2**53, closed="both")
# By which scores are multiplied or divided: float32 holds their squares.
FACTOR = Interval(Real, 0, 1e15, closed="right")
# Seconds, and frames of one: thirty years, of which 64 bits count the frames.
SECONDS = Interval(Real, 0, 1e9, closed="both")
DURATION = Interval(Real, 0, 1e9, closed="right")
RATE = Interval(Real, 1e-9, 1e9, closed="both")
