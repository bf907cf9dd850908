"""Estimators and containers as a tree that JSON holds, and arrays beside it.

A value is written as JSON where JSON can hold it, arrays of numbers as tensors, and an
estimator as the name of its class with its state.
"""

import os
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import MetadataRequest

from skanticipate.data.actions import with_labels
from skanticipate.data.boxes import of_numpy
from skanticipate.estimator.registry import class_of, name_of
from skanticipate.training.runtime import torch_threads

_LARGE = 2**16  # bytes of a teacher that is a parameter
_WIDE = 256  # characters: wider arrays of texts are kept as wide as their widest
# What training has found, in which no number is missing or infinite.
_WEIGHTS = {"_weights", "heads_", "encoder_weights_", "coef_", "intercept_"}

_OF_ARRAYS = ("tolist", "to_list", "to_pylist", "dims")  # of one library each
_OF_NUMPY = (torch.float16, torch.float32, torch.float64)

# Callbacks, and what tells them for the time of a fit which of the tasks it is.
_OF_CALLBACKS = {"_skl_callbacks", "_skl_callbacks_to_teardown"}
_OF_CALLBACKS |= {"_callback_fit_ctx", "_parent_callback_ctx"}


class Beside(NamedTuple):
    """What stands beside the tree of a value, by its place in it."""

    tensors: dict
    left_out: dict
    classes: set
    teacher: bool = True  # whether teachers are written, which taught a student
    by_columns: bool = False  # whether columns of a matrix stay together, if they are


def only_for_fit(estimator):
    """Parameters that only a fit needs and that no file can hold, or should.

    -> dict of functions and mappings
    """
    names = getattr(type(estimator), "_only_for_fit", ())
    values = {name: getattr(estimator, name, None) for name in names}
    return {k: v for k, v in values.items() if callable(v) or isinstance(v, Mapping)}


def state_of(estimator):
    """Parameters and attributes of an estimator, without callbacks.   -> dict."""
    state = estimator.__getstate__()
    return {k: v for k, v in state.items() if k not in _OF_CALLBACKS}


def encode(value, beside, where):
    """Tree of a value.

    Parameters
    ----------
    value : object
    beside : Beside
        Takes arrays, and what is left out.
    where : str
        Place of the value, for errors.

    Raises
    ------
    TypeError
        If code would be needed to read it again.
    """
    value = value.as_py() if hasattr(value, "as_py") else value  # of pyarrow
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if (kind := type(value).__name__) in ("NAType", "NaTType"):  # of pandas
        return {"missing": kind.removesuffix("Type")}
    if isinstance(value, os.PathLike | torch.device):
        return str(value)
    if isinstance(value, np.random.RandomState):
        return None  # would only matter to another fit
    if isinstance(value, np.generic):
        return {"scalar": encode(np.asarray(value), beside, where)}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"scalar type": np.dtype(value).str}  # vectorizers of scikit-learn
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, slice):
        return {"slice": encode([value.start, value.stop, value.step], beside, where)}
    value = _plain(value)
    if isinstance(value, np.ndarray):
        return _encode_array(value, beside, where)
    if isinstance(value, list | tuple):
        items = [encode(v, beside, f"{where}.{k}") for k, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if hasattr(value, "index_to_key"):  # gensim's KeyedVectors
        return _encode_vectors(value.index_to_key, value.vectors, beside, where)
    if _is_vectors(value):
        rows = np.stack(list(value.values()))
        return _encode_vectors(list(value), rows, beside, where)
    if isinstance(value, Mapping):
        pairs = [
            [encode(k, beside, where), encode(v, beside, f"{where}.{k}")]
            for k, v in value.items()
        ]
        return {"dict": pairs}
    if isinstance(value, BaseEstimator):
        return _encode_estimator(value, beside, where)
    raise TypeError(
        f"{where} holds a {type(value).__name__}, which a file without code cannot "
        "hold: use numbers, strings, arrays, mappings and estimators."
    )


def _encode_estimator(value, beside, where):
    state, left_out = state_of(value), only_for_fit(value)
    if not beside.teacher:
        left_out |= _teachers_not_kept(value)
        fitted = {f"{name}_" for name in getattr(type(value), "_teachers", ())}
        state |= dict.fromkeys(state.keys() & fitted)
    beside.left_out.update({f"{where}.{name}": v for name, v in left_out.items()})
    state = encode(state | dict.fromkeys(left_out), beside, where)
    beside.classes.add(name := name_of(type(value)))
    return {"class": name, "state": state}


def _teachers_not_kept(student):
    """Parameters that are teachers and would make a file large, or hard to read.

    -> dict of estimators: frozen ones, and those of classes that have to be trusted
    """
    names = getattr(type(student), "_teachers", ())
    teachers = {name: getattr(student, name) for name in names}
    return {k: v for k, v in teachers.items() if not _is_small_and_known(v)}


def _is_small_and_known(value):
    beside = Beside({}, {}, set())
    try:
        encode(value, beside, "")
    except TypeError:  # it holds code
        return False
    n_bytes = sum(array.nbytes for array in beside.tensors.values())
    return n_bytes <= _LARGE and None not in map(class_of, beside.classes)


def not_finite(state):
    """Name of what holds trained weights that are not finite, or None."""
    for name in _WEIGHTS & state.keys():
        if not all(np.isfinite(array).all() for array in _floats(state[name])):
            return name
    return None


def _floats(value):
    """Arrays of floating point numbers in a container."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _floats(item)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield value


def _plain(value):
    """Containers of other libraries, and ranges, as those of Python and NumPy."""
    if isinstance(value, range | deque):
        return list(value)
    if hasattr(value, "columns"):  # a DataFrame
        return np.asarray(value) if _is_matrix(value) else _columns_of(value)
    if isinstance(value, MetadataRequest):  # what set_fit_request was told
        told = {k: v.requests for k, v in vars(value).items() if hasattr(v, "requests")}
        return {k: v for k, v in told.items() if v}
    if all(hasattr(value, name) for name in ("items", "index", "dtype")):  # a Series
        is_mapping = any(isinstance(v, tuple | list | Mapping) for v in value)
        return dict(value.items()) if is_mapping else np.asarray(value)
    if getattr(getattr(value, "dtype", None), "names", None):  # an array with fields
        return {name: np.asarray(value[name]) for name in value.dtype.names}
    if hasattr(value, "__array__") and any(hasattr(value, n) for n in _OF_ARRAYS):
        return of_numpy(np.asarray(as_array(value)))
    return value


def _is_matrix(table):
    """Whether a table is a prior: numbers, as many rows as columns, of no actions."""
    if table.shape[0] != table.shape[1] or "verb" in _names_of(table):
        return False
    return np.asarray(table).dtype.kind in "fiu"


def _columns_of(table):
    """A table as a mapping of its columns."""
    table = with_labels(table)
    return {name: np.asarray(table[name]) for name in _names_of(table)}


def _names_of(table):
    """Names of the columns; those of pyarrow's attribute `columns` are data."""
    has_own = hasattr(type(table), "column_names")
    return table.column_names if has_own else table.columns


def as_array(value):
    """A tensor as an array; another value as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    with torch_threads(1):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        if value.is_floating_point() and value.dtype not in _OF_NUMPY:
            value = value.float()  # bfloat16
        return value.numpy()


def _is_vectors(value):
    """Whether a mapping holds a vector for each word."""
    if not isinstance(value, Mapping) or not value:
        return False
    vectors = list(value.values())
    if not all(isinstance(v, np.ndarray) and v.ndim == 1 for v in vectors):
        return False
    return {(v.dtype.kind, v.size) for v in vectors} == {("f", vectors[0].size)}


def _encode_vectors(words, rows, beside, where):
    """Words and one matrix: a tensor for each word would overflow the file's header."""
    matrix = _encode_array(np.ascontiguousarray(rows), beside, where)
    return {"words": [encode(w, beside, where) for w in words], **matrix}


def _encode_array(array, beside, where):
    if array.dtype.kind in "fiub":
        key = f"{len(beside.tensors)}:{where}"
        if beside.by_columns and _lies_by_columns(array):
            beside.tensors[key] = np.ascontiguousarray(array.T)
            return {"transposed": key}
        beside.tensors[key] = np.asarray(array, order="C")  # keeps () as it is
        return {"tensor": key}
    if array.dtype.kind == "T":
        array = array.astype(object)
    dtype, values = array.dtype.str, array.ravel()
    if array.dtype.kind in "mM":  # as numbers, whatever their unit
        values = np.where(np.isnat(values), None, values.astype(np.int64))
    values = values.tolist()
    if array.dtype.kind == "U":
        dtype = f"<U{min(array.itemsize // 4, widest(values))}"
    elif array.dtype.kind not in "OmM":
        raise TypeError(
            f"{where} is an array of {array.dtype}, which a file without code cannot "
            "hold: use numbers, strings or dates."
        )
    items = [encode(v, beside, where) for v in values]
    return {"array": items, "dtype": dtype, "shape": list(array.shape)}


def _lies_by_columns(array):
    """Whether the columns of a matrix lie together, so that products round so."""
    if array.ndim != 2 or array.flags.c_contiguous:
        return False
    return 0 < array.strides[0] < array.strides[1]


def widest(texts):
    """Characters that an array of texts may have room for in each.   -> int."""
    return max(_WIDE, max(map(len, texts), default=0))
