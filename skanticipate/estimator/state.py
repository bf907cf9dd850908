"""Estimators in files, in keys, and taken apart. Nothing is unpickled.

`write` and `read` are for files, `describe` gives a hash for keys. `encoding` and
`decoding` say how a value is written; `registry`, what may be built from a file.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator

from skanticipate.data.tensor_file import read_tensors, write_tensors
from skanticipate.estimator.decoding import decode
from skanticipate.estimator.encoding import (
    Beside,
    as_array,
    encode,
    not_finite,
    only_for_fit,
    state_of,
)
from skanticipate.estimator.registry import name_of


def write(path, value, *, teacher=True):
    """Write an estimator, or plain containers of such, to `path`.

    The old file stays until the new one is whole.

    Parameters
    ----------
    path : str or path-like
    value : object
    teacher : bool, default=True
        Whether a student's fitted teachers are written; it predicts without.

    Returns
    -------
    list of str
        Where functions and pre-trained weights stand, which only a fit needs, and
        teachers of a student that is written without: the file has None in their place.
    """
    beside = Beside({}, {}, set(), teacher=teacher, by_columns=True)
    tree = encode(value, beside, type(value).__name__)
    for part in parts(value):
        if isinstance(part, BaseEstimator) and (name := not_finite(state_of(part))):
            raise ValueError(
                f"{name} of {type(part).__name__} holds NaN or infinite weights, which "
                "no file keeps: fit again, with a smaller lr or scaled features."
            )
    write_tensors(path, beside.tensors, tree)
    return list(beside.left_out)


def describe(value):
    """Hash that is equal for equal estimators and containers, in every process.

    Of functions it tells the name, of objects that are called their class and state.
    """
    beside = Beside({}, {}, set())
    tree = encode(value, beside, type(value).__name__)
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
        return describe({name: as_array(w) for name, w in part.items()}).hex()
    if isinstance(part, partial):
        given = describe([part.args, part.keywords]).hex()
        return [_described(part.func, where), given]
    if is_called_object(part):
        own = {
            name: _described(v, where) if callable(v) else describe(v).hex()
            for name, v in _state_of_called(part).items()
        }
        return [_described(type(part), where), sorted(own.items())]
    if not is_importable(part):
        raise TypeError(
            f"{where} is {part!r}, which cannot be imported by its name: define it at "
            "the top level of a module"
        )
    return f"{part.__module__}:{part.__qualname__}"


def functions_in(value):
    """Functions, or classes, that a value of `functions_of` calls.   -> list."""
    if isinstance(value, partial):
        return functions_in(value.func)
    if not is_called_object(value):
        return [value]
    inner = filter(callable, _state_of_called(value).values())
    return [type(value), *(f for part in inner for f in functions_in(part))]


def is_called_object(value):
    """Whether this is an object that `vars` tells all of, such as a scorer."""
    slots = any(getattr(kind, "__slots__", ()) for kind in type(value).__mro__)
    return not (slots or hasattr(value, "__qualname__")) and hasattr(value, "__dict__")


def _state_of_called(value):
    """What an object holds, but for what others pass on to it.   -> dict."""
    return {k: v for k, v in vars(value).items() if k != "_metadata_request"}


def is_importable(function):
    """Whether a function, or a class, is what its module has under its name."""
    found = sys.modules.get(getattr(function, "__module__", None))
    for name in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found is function


def functions_of(estimator):
    """Parameters that only a fit needs and that are functions.   -> list."""
    return list(filter(callable, only_for_fit(estimator).values()))


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


def dropped_by(estimator):
    """Parameters that the state of an estimator does not hold as they are."""
    state = state_of(estimator)
    params = estimator.get_params(deep=False)
    return {k: v for k, v in params.items() if k not in state or state[k] is not v}


def read(path, trusted=()):
    """Read what `write` wrote.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is no file of ours or is damaged, or holds a class that is not trusted.
    """
    tensors, tree = read_tensors(path)
    return decode(tree, tensors, {name_of(kind): kind for kind in trusted}, path)
