"""The state of a training as tensors and a tree that JSON can hold, and back."""

import math
from collections.abc import Mapping

import numpy as np
import torch


def as_plain(value, tensors):
    """A value of containers, numbers and tensors as a tree.

    Parameters
    ----------
    value : object
    tensors : dict of str to ndarray
        To which the tensors of the value are added.

    Returns
    -------
    tree : object
        What JSON can hold, all numbers exactly.

    Raises
    ------
    TypeError
        If something else stands in the value.

    Examples
    --------
    >>> tensors = {}
    >>> as_plain({"step": torch.ones(2), 0: (1.5, None)}, tensors)
    {'dict': [['step', {'tensor': '0'}], [0, {'tuple': [1.5, None]}]]}
    >>> tensors
    {'0': array([1., 1.], dtype=float32)}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, torch.Tensor):
        return _plain_tensor(value, tensors)
    if isinstance(value, Mapping):
        pairs = [[as_plain(p, tensors) for p in pair] for pair in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [as_plain(v, tensors) for v in value]}
    raise TypeError(
        f"a {type(value).__name__} cannot be kept: expected numbers, texts, tensors, "
        "and dicts, lists and tuples of them"
    )


def _plain_tensor(tensor, tensors):
    name, told = str(len(tensors)), {}
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # NumPy has none
        tensor, told = tensor.view(torch.int16), {"is": "bfloat16"}
    tensors[name] = tensor.numpy()
    return {"tensor": name, **told}


def from_plain(tree, tensors):
    """The value of a tree, with tensors on the CPU."""
    if not isinstance(tree, dict):
        return tree
    if "float" in tree:
        return float(tree["float"])
    if "tensor" in tree:
        tensor = torch.tensor(tensors[tree["tensor"]])
        return tensor.view(torch.bfloat16) if "is" in tree else tensor
    if "dict" in tree:
        pairs = [[from_plain(p, tensors) for p in pair] for pair in tree["dict"]]
        return dict(pairs)
    if "list" in tree:
        return [from_plain(v, tensors) for v in tree["list"]]
    return tuple(from_plain(v, tensors) for v in tree["tuple"])
