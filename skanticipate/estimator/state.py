"""Estimators as plain containers, and those in safetensors files. Nothing is unpickled.

A value is written as JSON where JSON can hold it, arrays of numbers as tensors, and an
estimator as the name of its class with its state. Reading builds classes of this
package only, and those that the caller names as trusted.
"""

import hashlib
import importlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from sklearn.base import BaseEstimator

from skanticipate.data.actions import with_labels

_FORMAT = "skanticipate 1"
# Callbacks, and what tells them for the time of a fit which of the tasks it is.
_OF_CALLBACKS = {"_skl_callbacks", "_skl_callbacks_to_teardown"}
_OF_CALLBACKS |= {"_callback_fit_ctx", "_parent_callback_ctx"}
_OF_NUMPY = (torch.float16, torch.float32, torch.float64)


class _Beside(NamedTuple):
    """What stands beside the tree of a value, by its place in it."""

    tensors: dict
    left_out: dict


def write(path, value):
    """Write an estimator, or plain containers of such, to `path`.

    The old file stays until the new one is whole.

    Returns
    -------
    list of str
        Where functions and pre-trained weights stand, which only a fit needs: the file
        has None in their place.
    """
    beside = _Beside({}, {})
    tree = _encode(value, beside, type(value).__name__)
    metadata = {"format": _FORMAT, "tree": json.dumps(tree)}
    unfinished = f"{os.fspath(path)}.{secrets.token_hex(4)}.tmp"
    try:
        # safetensors' own writer gives files that others cannot read
        with open(unfinished, "xb") as file:
            file.write(save(beside.tensors, metadata))
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
    return list(beside.left_out)


def describe(value):
    """Hash that is equal for equal estimators and containers, in every process.

    Of functions it tells the name.
    """
    beside = _Beside({}, {})
    tree = _encode(value, beside, type(value).__name__)
    others = [_described(part, where) for where, part in beside.left_out.items()]
    digest = hashlib.blake2b(json.dumps([tree, others]).encode(), digest_size=32)
    for key, array in beside.tensors.items():
        digest.update(f"{key} {array.shape} {array.dtype}".encode())
        digest.update(array)
    return digest.digest()


def _described(part, where):
    """A function or a mapping of weights as plain containers.

    Raises
    ------
    TypeError
        If the name of a function does not tell it from others.
    """
    if isinstance(part, Mapping):
        return describe({name: _as_array(w) for name, w in part.items()}).hex()
    if isinstance(part, partial):
        given = describe([part.args, part.keywords]).hex()
        return [_described(part.func, where), given]
    if not is_importable(part):
        raise TypeError(
            f"{where} is {part!r}, which cannot be imported by its name: define it at "
            "the top level of a module"
        )
    return _name_of(part)


def _as_array(weights):
    """Pre-trained weights as an array, where they are a tensor."""
    if not isinstance(weights, torch.Tensor):
        return weights
    weights = weights.detach().cpu()
    if weights.is_floating_point() and weights.dtype not in _OF_NUMPY:
        weights = weights.float()  # bfloat16
    return weights.numpy()


def functions_in(value):
    """Functions, or classes, that a value of `functions_of` calls.   -> list."""
    return functions_in(value.func) if isinstance(value, partial) else [value]


def is_importable(function):
    """Whether a function, or a class, is what its module has under its name."""
    found = sys.modules.get(getattr(function, "__module__", None))
    for name in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found is function


def functions_of(estimator):
    """Parameters that only a fit needs and that are functions.   -> list."""
    return list(filter(callable, _only_for_fit(estimator).values()))


def _only_for_fit(estimator):
    """Parameters that only a fit needs and that no file can hold, or should.

    -> dict of functions and mappings
    """
    names = getattr(type(estimator), "_only_for_fit", ())
    values = {name: getattr(estimator, name, None) for name in names}
    return {k: v for k, v in values.items() if callable(v) or isinstance(v, Mapping)}


def parts(value):
    """A value and all that is in it, as deep as `describe` looks, and parameters."""
    yield value
    if isinstance(value, BaseEstimator):
        inner = [*state_of(value).values(), *dropped_by(value).values()]
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    elif isinstance(value, np.ndarray) and value.dtype == object:
        inner = value.ravel().tolist()
    else:
        return
    for part in inner:
        yield from parts(part)


def state_of(estimator):
    """Parameters and attributes of an estimator, without callbacks.   -> dict."""
    state = estimator.__getstate__()
    return {k: v for k, v in state.items() if k not in _OF_CALLBACKS}


def dropped_by(estimator):
    """Parameters that the state of an estimator does not hold as they are."""
    state = state_of(estimator)
    params = estimator.get_params(deep=False)
    return {k: v for k, v in params.items() if k not in state or state[k] is not v}


def read(path, trusted=()):
    """Read what `write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file of ours, or holds a class that is not trusted.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}.") from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{path} was not written by save() of this version: its format is "
            f"{metadata.get('format')!r}, expected {_FORMAT!r}."
        )
    classes = {_name_of(kind): kind for kind in trusted}
    return _decode(json.loads(metadata["tree"]), tensors, classes)


def _name_of(kind):
    return f"{kind.__module__}:{kind.__qualname__}"


def _encode(value, beside, where):
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if type(value).__name__ == "NAType":  # of pandas: as good a missing value as any
        return float("nan")
    if isinstance(value, os.PathLike | torch.device):
        return str(value)
    if isinstance(value, np.random.RandomState):
        return None  # would only matter to another fit
    if isinstance(value, np.generic):
        return {"scalar": _encode(np.asarray(value), beside, where)}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"scalar type": np.dtype(value).str}  # vectorizers of scikit-learn
    value = _plain(value)
    if isinstance(value, np.ndarray):
        return _encode_array(value, beside, where)
    if isinstance(value, list | tuple):
        items = [_encode(v, beside, f"{where}.{k}") for k, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if hasattr(value, "index_to_key"):  # gensim's KeyedVectors
        return _encode_vectors(value.index_to_key, value.vectors, beside, where)
    if _is_vectors(value):
        rows = np.stack(list(value.values()))
        return _encode_vectors(list(value), rows, beside, where)
    if isinstance(value, Mapping):
        pairs = [
            [_encode(k, beside, where), _encode(v, beside, f"{where}.{k}")]
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
    left_out = _only_for_fit(value)
    beside.left_out.update({f"{where}.{name}": v for name, v in left_out.items()})
    state = _encode(state_of(value) | dict.fromkeys(left_out), beside, where)
    return {"class": _name_of(type(value)), "state": state}


def _plain(value):
    """Containers of other libraries, and ranges, as those of Python and NumPy."""
    if isinstance(value, range):
        return list(value)
    if hasattr(value, "columns"):  # a DataFrame, as a mapping of its columns
        value = with_labels(value)
        return {name: np.asarray(value[name]) for name in value.columns}
    if all(hasattr(value, name) for name in ("items", "index", "dtype")):  # a Series
        is_mapping = any(isinstance(v, tuple | list | Mapping) for v in value)
        return dict(value.items()) if is_mapping else np.asarray(value)
    return value


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
    matrix = _encode_array(np.asarray(rows), beside, where)
    return {"words": [_encode(w, beside, where) for w in words], **matrix}


def _encode_array(array, beside, where):
    if array.dtype.kind in "fiub":
        key = f"{len(beside.tensors)}:{where}"
        beside.tensors[key] = np.array(array, order="C")  # keeps () as it is
        return {"tensor": key}
    items = [_encode(v, beside, where) for v in array.ravel().tolist()]
    return {"array": items, "dtype": array.dtype.str, "shape": list(array.shape)}


def _decode(node, tensors, classes):
    def again(child):
        return _decode(child, tensors, classes)

    if not isinstance(node, dict):
        return node
    if "words" in node:
        words = [again(w) for w in node["words"]]
        return dict(zip(words, tensors[node["tensor"]], strict=True))
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "scalar" in node:
        return again(node["scalar"])[()]
    if "scalar type" in node:
        return np.dtype(node["scalar type"]).type
    if "array" in node:
        array = np.empty(len(node["array"]), dtype=node["dtype"])
        array[:] = [again(v) for v in node["array"]]
        return array.reshape(node["shape"])
    if "list" in node:
        return [again(v) for v in node["list"]]
    if "tuple" in node:
        return tuple(again(v) for v in node["tuple"])
    if "dict" in node:
        return {again(k): again(v) for k, v in node["dict"]}
    estimator = object.__new__(_class_of(node["class"], classes))
    estimator.__setstate__(again(node["state"]))
    return estimator


def _class_of(name, classes):
    """The class of a name, if it is ours or trusted. Modules of others stay closed."""
    if name in classes:
        return classes[name]
    module, _, qualname = name.partition(":")
    if module.split(".")[0] == __name__.split(".")[0]:
        try:
            kind = getattr(importlib.import_module(module), qualname, None)
        except ModuleNotFoundError:
            kind = None  # written by a version that has more
        if isinstance(kind, type) and issubclass(kind, BaseEstimator):
            return kind
    raise ValueError(
        f"The file holds an object of {name}, which is not part of skanticipate, or "
        "not of this version. If you know it: load(path, trusted=[its class])."
    )
