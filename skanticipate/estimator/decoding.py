"""Values from a tree and arrays, as `encoding` made them. What is not such is refused.

Only classes that are registered, or that the caller trusts, are built. A file may be
made to do harm, so nothing is believed of it: each node is checked, and what it
promises is compared with what there is before memory is taken.
"""

import math
import re
from numbers import Integral

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch.overrides import TorchFunctionMode

from skanticipate.data.tensor_header import damaged
from skanticipate.estimator.encoding import not_finite, widest
from skanticipate.estimator.registry import class_of

_LEAST = 2**14  # what a tensor counts at least: many small ones take time
_SLACK = 2**26  # numbers that a network may have beside its weights, such as masks
_MAKES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
_NAME = re.compile(r"[<>|][fiubcUSOMm]\d*(\[\w+\])?", re.ASCII)  # as of dtype.str


class _Refused(ValueError):
    """In words for the user, who is told nothing more."""


def decode(tree, tensors, trusted, path):
    """Value of a tree.

    Parameters
    ----------
    tree : object
        What JSON holds.
    tensors : dict of str to ndarray
        What the tree points to.
    trusted : dict of str to type
        Classes that may be built beside those that are registered.
    path : path-like
        File that is named in errors.

    Raises
    ------
    ValueError
        If it is no tree of ours, or holds a class that is not trusted.
    """
    try:
        return _Decoder(tensors, trusted).value(tree)
    except _Refused as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error.__cause__
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise damaged(
            path, f"it describes no model, but something else ({error})"
        ) from error
    except (RecursionError, MemoryError) as error:
        raise damaged(path, "what it describes is too large") from error


class _Decoder:
    """Decodes nodes, each by what its names say that it is."""

    def __init__(self, tensors, trusted):
        self.tensors = tensors
        self.trusted = trusted

    def value(self, node):
        if isinstance(node, dict):
            decoder = _DECODERS.get(frozenset(node))
            if decoder is None:
                raise TypeError(f"a node of {sorted(node)}")
            return decoder(self, node)
        if isinstance(node, list):
            raise TypeError("a list that is not said to be one")
        return node

    def values(self, nodes):
        if not isinstance(nodes, list):
            raise TypeError("no list where one is expected")
        return [self.value(node) for node in nodes]

    def list_(self, node):
        return self.values(node["list"])

    def tuple_(self, node):
        return (*self.values(node["tuple"]),)

    def mapping(self, node):
        found = {}
        for pair in node["dict"]:
            key, value = self.values(pair)
            if key in found:
                raise ValueError(f"{key!r} is there twice")
            found[key] = value
        return found

    def slice_(self, node):
        start, stop, step = self.value(node["slice"])
        return slice(start, stop, step)

    def missing(self, node):
        """NA or NaT of pandas, or NaN where there is no pandas."""
        if node["missing"] not in ("NA", "NaT"):
            raise ValueError("a missing value of no known kind")
        try:
            import pandas
        except ImportError:
            return float("nan")
        return pandas.NA if node["missing"] == "NA" else pandas.NaT

    def scalar(self, node):
        array = self.value(node["scalar"])
        if not isinstance(array, np.ndarray) or array.ndim:
            raise TypeError("a scalar that is none")
        return array[()]

    def scalar_type(self, node):
        return _dtype(node["scalar type"], "fiubcUSO").type

    def dtype(self, node):
        return _dtype(node["dtype"], "fiubcUSO")

    def tensor(self, node):
        return self.tensors[node["tensor"]]

    def transposed(self, node):
        return self.tensors[node["transposed"]].T

    def vectors(self, node):
        words = self.values(node["words"])
        return dict(zip(words, self.tensor(node), strict=True))

    def array(self, node):
        values, shape = self.values(node["array"]), node["shape"]
        dtype = _dtype(node["dtype"], "OUMm")
        if math.prod(shape) != len(values) or min(shape, default=0) < 0:
            raise ValueError("an array with another number of items")
        if dtype.kind == "U" and dtype.itemsize // 4 > widest(values):
            raise ValueError("an array of texts wider than they are")
        array = np.empty(len(values), dtype=dtype)
        array[:] = values
        return array.reshape(shape)

    def estimator(self, node):
        kind, state = self.class_of(node["class"]), self.value(node["state"])
        if not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise TypeError(f"a {kind.__name__} without a state")
        if weights := not_finite(state):
            raise _Refused(
                f"{weights} of a {kind.__name__} holds NaN or infinite weights: fit "
                "again, and save that."
            )
        estimator = object.__new__(kind)
        try:
            if "_metadata_request" in state:
                told = state["_metadata_request"]
                state["_metadata_request"] = _requests(estimator, told)
            with _BoundedTensors(self.tensors.values()):
                estimator.__setstate__(state)
        except (ImportError, OSError):
            raise
        except Exception as error:  # of any kind, from code that never saw such a state
            raise _Refused(
                f"a {kind.__name__} cannot be built from what it holds ({error}). "
                "It is of another version, or damaged: fit again, and save that."
            ) from error
        return estimator

    def class_of(self, name):
        """The class of a name, if it is ours or trusted. Others are not imported."""
        kind = self.trusted.get(name) if isinstance(name, str) else None
        kind = kind or class_of(str(name))
        if kind is None or not issubclass(kind, BaseEstimator):
            raise _Refused(
                f"the file holds an object of {name}, which is not part of "
                "skanticipate, or not of this version. If you know it: load(path, "
                "trusted=[its class])."
            )
        return kind


def _requests(estimator, told):
    """What others shall pass on to an estimator, as `set_fit_request` was told."""
    requests = estimator._get_metadata_request()
    for method, of_method in told.items():
        for name, alias in of_method.items():
            getattr(requests, method).add_request(param=name, alias=alias)
    return requests


def _dtype(name, kinds):
    """A dtype from its name, if it is of a certain kind."""
    named = isinstance(name, str) and _NAME.fullmatch(name)
    dtype = np.dtype(name) if named else None
    if dtype is None or dtype.kind not in kinds or dtype.hasobject and name != "|O":
        raise TypeError(f"numbers of an unknown type {name!r}")
    return dtype


_DECODERS = {
    frozenset({"list"}): _Decoder.list_,
    frozenset({"tuple"}): _Decoder.tuple_,
    frozenset({"dict"}): _Decoder.mapping,
    frozenset({"slice"}): _Decoder.slice_,
    frozenset({"missing"}): _Decoder.missing,
    frozenset({"scalar"}): _Decoder.scalar,
    frozenset({"scalar type"}): _Decoder.scalar_type,
    frozenset({"dtype"}): _Decoder.dtype,
    frozenset({"tensor"}): _Decoder.tensor,
    frozenset({"transposed"}): _Decoder.transposed,
    frozenset({"words", "tensor"}): _Decoder.vectors,
    frozenset({"array", "dtype", "shape"}): _Decoder.array,
    frozenset({"class", "state"}): _Decoder.estimator,
}


# ---------------------------------------------------------- what a network may be


class _BoundedTensors(TorchFunctionMode):
    """Refuses new tensors, before they are made, where they become too many.

    A file with weights for a hundred units may say that there are a billion.

    Parameters
    ----------
    stored : iterable of ndarray
        What is in the file: tensors may have some times as many numbers.
    """

    def __init__(self, stored):
        super().__init__()
        self.left = _SLACK + 4 * sum(max(array.size, _LEAST) for array in stored)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Count what a function is about to make."""
        kwargs = kwargs or {}
        if func in _MAKES:
            made = _numbers(kwargs["size"] if "size" in kwargs else args)
            self.left -= max(made, _LEAST)
            if self.left < 0:
                raise ValueError("it says that its network is much larger than it is")
        return func(*args, **kwargs)


def _numbers(size):
    """How many numbers a tensor has, of sizes that stand alone or in a tuple."""
    if size and isinstance(size[0], tuple | list):
        size = size[0]
    return math.prod(n for n in size if isinstance(n, Integral))
