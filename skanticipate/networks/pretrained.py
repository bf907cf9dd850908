"""Pre-trained weights: read from a file or a mapping, given to a network they fit."""

import math
import os
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch.nn.modules.batchnorm import _BatchNorm

from skanticipate.data.tensors import plain_numbers
from skanticipate.data.warn import is_called_by, warn

WEIGHTS_CONSTRAINT = [str, os.PathLike, Mapping, None]

# Written once, and put into the docstring of every spec.
WEIGHTS_PARAGRAPH = """\
    weights : path or mapping, default=None
        Pre-trained weights to start from: a safetensors file, or a mapping from the
        names of ``network_.state_dict()`` to arrays or tensors; None starts at random.
        What fits by name and shape is loaded, and ``network_spec_.loaded_`` lists it; a
        warning tells what was left out. A classifier of another number of classes
        starts at random without one; one of the same number is loaded, so its classes
        should be in the order of yours. Prefixes that all names share, such as
        "module.", may be there. Clones share a mapping, and `save` leaves it out."""

_SHOWN = 3  # names of each kind in a message
_PRINTERS = ("sklearn.utils._pprint", "sklearn.utils._repr_html.estimator")


# ------------------------------------------------------------------------ the parameter


class _Brief:
    """What is printed in place of a mapping of arrays."""

    def __init__(self, mapping):
        self.text = f"<{len(mapping)} arrays>"

    def __repr__(self):
        return self.text


def brief_where_printed(params):
    """Parameters of a spec with a mapping, in its repr without the numbers of that."""
    if any(map(is_called_by, _PRINTERS)):
        return params | {"weights": _Brief(params["weights"])}
    return params


# ------------------------------------------------------------------------------ loading


def load_pretrained(spec, module):
    """Give a network those weights that its spec names which fit by name and shape.

    Parameters
    ----------
    spec : NetworkSpec
    module : torch.nn.Module
        What it built, with initial weights, on its device and in its precision.

    Returns
    -------
    list of str
        Names in the network of what was loaded.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the weights cannot be read, are no finite real numbers, or if none fits.
    TypeError
        If they are neither a path nor a mapping from names.

    Warns
    -----
    UserWarning
        If weights were left out, or a part of the network starts at random.
    """
    own = module.state_dict()
    with _opened(spec.weights) as (shapes, take):
        names = _names_here(spec, shapes, own)
        fitting = _whole_classifiers(_fitting(names, shapes, own), own)
        # A counter of batches fits anything, and a classifier alone says nothing.
        body = [here for here in own if own[here].ndim and not _of_classifier(here)]
        if not fitting.keys() & (body or own.keys()):
            raise ValueError(_nothing_fits(spec, shapes, own))
        found = {
            here: _cast(take(name), own[here], name) for here, name in fitting.items()
        }
    module.load_state_dict(found, strict=False)
    _count_batches(module, found)
    if message := _left_out(spec, names, shapes, own, found):
        warn(message)
    return sorted(found)


def _names_here(spec, shapes, own):
    """Name in the network of each array, or None.

    Prefixes are stripped as far as most arrays fit.   -> dict
    """
    best, most, stripped = {}, -1, dict(zip(shapes, shapes, strict=True))
    while True:
        renamed = spec.rename_weights(list(stripped.values()))
        names = dict(zip(stripped, renamed, strict=True))
        fits = len(_fitting(names, shapes, own))
        if fits > most:
            best, most = names, fits
        first, *others = {name.partition(".")[0] for name in stripped.values()} or [""]
        if others or not all("." in name for name in stripped.values()) or not first:
            return best
        stripped = {k: name.partition(".")[2] for k, name in stripped.items()}


def _fitting(names, shapes, own):
    """Name in the weights of each array of the network that they have.   -> dict."""
    return {
        here: name
        for name, here in names.items()
        if here in own and _flat(shapes[name]) == _flat(own[here].shape)
    }


def _whole_classifiers(fitting, own):
    """What fits, without a classifier of which a part does not."""
    missing = {here for here in own if _of_classifier(here)} - fitting.keys()
    broken = {here.partition("classifier")[0] for here in missing}
    return {
        here: name
        for here, name in fitting.items()
        if not (_of_classifier(here) and here.partition("classifier")[0] in broken)
    }


def _flat(shape):
    """A shape without axes of length 1 at its end, as a convolution of size 1 has."""
    shape = tuple(shape)
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _cast(value, target, name):
    """Array as a tensor of the shape and the precision of another one."""
    value = _as_tensor(value, name)
    floats = target.is_floating_point()
    if value.is_complex() or (floats and not value.is_floating_point()):
        raise ValueError(
            f"weights: {name!r} holds {value.dtype}, but the network has real numbers "
            f"({target.dtype}) there: quantized or complex weights are not converted. "
            "Give floating-point ones."
        )
    cast = value.to(target.dtype).reshape(target.shape)
    if floats and not cast.isfinite().all():
        raise ValueError(
            f"weights: {name!r} holds NaN or infinite values, as {target.dtype}: check "
            "where they come from, or leave this array out."
        )
    if not floats and (cast != value.reshape(target.shape)).any():
        raise ValueError(
            f"weights: {name!r} must hold whole numbers ({target.dtype}), got {value}."
        )
    return cast


def _as_tensor(value, name):
    if isinstance(value, torch.Tensor):
        return value.detach()
    array = np.asarray(plain_numbers(value, f"weights: {name!r}"))
    if array.dtype.kind not in "fiubc":
        raise ValueError(
            f"weights: {name!r} holds {array.dtype}, expected an array or a tensor of "
            "numbers."
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if np.ma.is_masked(value):
        array = np.where(np.ma.getmaskarray(value), np.nan, array)  # refused as NaN
    return torch.tensor(np.require(array, array.dtype.newbyteorder("="), "C"))


def _count_batches(module, found):
    """Let running moments that were loaded count as those of many batches."""
    for name, part in module.named_modules():
        prefix = f"{name}." if name else ""
        moments = isinstance(part, _BatchNorm) and f"{prefix}running_mean" in found
        counted = f"{prefix}num_batches_tracked" in found
        if moments and not counted and part.momentum:
            part.num_batches_tracked.fill_(math.ceil(1 / part.momentum))


# ------------------------------------------------------------------------------ reading


@contextmanager
def _opened(weights):
    """Shapes of the arrays by name, and a function that reads one of them."""
    if isinstance(weights, Mapping):
        yield _shapes_of(weights), weights.__getitem__
        return
    if not isinstance(weights, str | os.PathLike):
        raise TypeError(
            "weights must be the path of a safetensors file, or a mapping from names "
            f"to arrays, got a {type(weights).__name__}."
        )
    path = Path(weights).expanduser()
    if path.is_dir():
        raise ValueError(
            f"weights: {path} is a folder: name the safetensors file in it."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"weights: there is no file {path}. It is read in every fit: put it back, "
            "pass another path, or set weights=None to start at random."
        )
    try:
        file = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(_unreadable(path, error)) from error
    with file:
        shapes = {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}
        yield shapes, file.get_tensor


def _shapes_of(weights):
    for name, value in weights.items():
        if not isinstance(name, str):
            raise TypeError(
                "weights must map names to arrays: the names of network_.state_dict(), "
                f"but a key is {name!r}."
            )
        if isinstance(value, Mapping):
            raise ValueError(
                f"weights holds another mapping under {name!r}, as checkpoints do: "
                "pass the one that maps names to arrays, such as "
                f"checkpoint[{name!r}]."
            )
    return {
        name: tuple(np.shape(plain_numbers(value, f"weights: {name!r}")))
        for name, value in weights.items()
    }


def _unreadable(path, error):
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"PK") and path.suffix == ".npz":
        kind = "an archive of numpy: pass dict(numpy.load(path, allow_pickle=False))"
    elif start.startswith((b"PK", b"\x80")):
        kind = (
            "a pickle, or an archive of such, which may run code and is not opened: "
            "convert it where you trust it, with safetensors.torch.save_file("
            "torch.load(path, weights_only=True), 'weights.safetensors')"
        )
    else:
        kind = (
            f"no readable safetensors file ({error}): write one with "
            "safetensors.torch.save_file(network.state_dict(), path)"
        )
    return f"weights: {path} is {kind}."


# ------------------------------------------------------------------------------ telling


def _left_out(spec, names, shapes, own, found):
    """What the user should know of weights that do not fit, or None.

    The classifier is expected to be another one.
    """
    misfits = {here: shapes[n] for n, here in names.items() if here in own}
    misfits = {
        here: f"{here} is {shape}, here {tuple(own[here].shape)}"
        for here, shape in misfits.items()
        if here not in found and not _of_classifier(here)
    }
    strangers = [
        here
        for here in names.values()
        if not (here is None or here in own or _of_classifier(here))
    ]
    bare = [
        here
        for here in own
        if here not in found
        and here not in misfits
        and not _of_classifier(here)
        and not here.endswith("num_batches_tracked")
    ]
    told = [
        (misfits.values(), "of another shape"),
        (strangers, "not in the network"),
        (bare, "without weights, and start at random"),
    ]
    told = [f"{len(items)} {what}: {_few(items)}" for items, what in told if items]
    if not told:
        return None
    if elsewhere := sum(here is None for here in names.values()):
        told.append(f"{elsewhere} of layers before this network are not used")
    return (
        f"weights of {type(spec).__name__}: {len(found)} of {len(own)} arrays of the "
        f"network were loaded. {'; '.join(told)}."
    )


def _of_classifier(name):
    return "classifier" in name.split(".")


def _few(items):
    items = list(items)
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _nothing_fits(spec, shapes, own):
    def listed(arrays):
        return _few(f"{name} {tuple(shape)}" for name, shape in arrays.items())

    given = listed(shapes) if shapes else "nothing"
    return (
        f"weights: nothing fits the network of {type(spec).__name__} by name and "
        f"shape. The weights hold {given}; the network has "
        f"{listed({name: w.shape for name, w in own.items()})}. Rename the arrays, or "
        "give the spec the sizes they were trained with. Of an estimator that was "
        "saved, take load(path).network_.state_dict()."
    )
