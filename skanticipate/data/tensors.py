"""Tensors of torch that methods are given, and that they answer."""

import functools
import inspect
from itertools import chain, repeat

import numpy as np
import torch

from skanticipate.data.boxes import of_numpy, of_rows, refuse_named, unboxed
from skanticipate.data.device_array import DeviceArray, base_of
from skanticipate.data.parameters import Function
from skanticipate.data.rows import RowView
from skanticipate.data.stored import check_stored

_OWN = ("self", "cls")
_CLIPS = ("X", "X_past", "X_future_unlabeled", "X_val")


def without_tensor(values, name):
    """A tensor as an array, or as a view where clips stay on their device.

    What stands in boxes in a list is taken out, and numbers of a type that NumPy does
    not know itself become such that it knows. Anything else is given as it is; datasets
    whose numbers stand for others are refused.
    """
    if type(values) is np.ndarray and values.dtype.isbuiltin == 1:  # as mostly
        return values
    if not isinstance(values, torch.Tensor):
        check_stored(values, name)
        return unboxed(of_rows(of_numpy(values)))
    base = base_of(values, name)
    if not isinstance(base, DeviceArray):
        return base
    return RowView(base) if name.rpartition("__")[2] in _CLIPS else base[:]


def plain_numbers(values, name):
    """Numbers as NumPy reads them, whatever boxes or types they come in.

    Tables are given as they are: they have names, which others look at.

    Parameters
    ----------
    values : array-like
    name : str
        What they are called.

    Raises
    ------
    ValueError
        If they are named, and so have no order.
    """
    if type(values) is np.ndarray and values.dtype.kind in "fiub":
        return of_numpy(values)
    refuse_named(values, name)
    values = without_tensor(values, name)
    if type(values) is np.ndarray and values.dtype == object:
        found = np.array(unboxed(values.tolist()))
        return found if found.dtype.kind in "fiub" else values
    return values


def takes_tensors(method: Function) -> Function:
    """Let a method take tensors, which it sees as arrays and views."""
    names = list(inspect.signature(method).parameters)

    @functools.wraps(method)
    def wrapper(*args, **kwargs):
        named = zip(args, chain(names, repeat("values")), strict=False)
        args = [v if name in _OWN else without_tensor(v, name) for v, name in named]
        kwargs = {name: without_tensor(v, name) for name, v in kwargs.items()}
        return method(*args, **kwargs)

    return wrapper  # type: ignore[return-value]  # it takes what the method takes


def answers_in_kind(method: Function) -> Function:
    """Let a method of clips X answer a tensor, on the device of X, where X is one."""

    @functools.wraps(method)
    def wrapper(self, X):
        return in_kind(X, method(self, without_tensor(X, "X")))

    return wrapper  # type: ignore[return-value]  # it takes what the method takes


def in_kind(X, answer):
    """An array, as a tensor on the device of clips X where these are a tensor."""
    is_tensor = isinstance(X, torch.Tensor)
    return torch.from_numpy(answer).to(X.device) if is_tensor else answer
