"""A bound on the memory of a network that is built from what a file says."""

import math
from numbers import Integral

import torch
from torch.overrides import TorchFunctionMode

_LEAST = 2**14  # what a tensor counts at least: many small ones take time
_SLACK = 2**26  # numbers that a network may have beside its weights, such as masks
_MAKES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)


class BoundedTensors(TorchFunctionMode):
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
