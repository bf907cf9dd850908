"""Tensors of torch as the base of rows: shared with NumPy, or left where they are."""

import numpy as np
import torch

_PART_BYTES = 1 << 26  # of which values are looked at at once


class DeviceArray:
    """A tensor on a device other than the CPU, as a `RowView` reads it.

    Indexed by rows, it gives arrays; `take` gives tensors, which stay there.

    Parameters
    ----------
    tensor : torch.Tensor of shape (n, ...)

    Examples
    --------
    >>> import torch
    >>> clips = DeviceArray(torch.ones(4, 2, dtype=torch.bfloat16))
    >>> clips.shape, clips.dtype, clips[[0]]
    ((4, 2), dtype('float32'), array([[1., 1.]], dtype=float32))
    """

    def __init__(self, tensor):
        self.tensor = tensor.detach()
        self.shape = tuple(tensor.shape)
        empty = torch.empty(0, dtype=tensor.dtype, device="cpu")  # whatever is default
        self.dtype = base_of(empty, "base").dtype

    def __len__(self):
        return len(self.tensor)

    def __getitem__(self, rows):
        """Rows as an array."""
        if not isinstance(rows, slice):
            rows = torch.as_tensor(rows, device=self.tensor.device)
        return base_of(self.tensor[rows].cpu(), "base")

    def channels(self, start, stop):
        """Some channels of the same tensor.   (n, ..., d) -> (n, ..., stop - start)."""
        return DeviceArray(self.tensor[..., start:stop])

    def take(self, rows, *, device, dtype):
        """Rows (...) int as a tensor on a device.   -> (..., d)."""
        rows = torch.as_tensor(rows, device=self.tensor.device)
        return self.tensor[rows].to(device, dtype).contiguous()

    def is_finite(self, unit=None):
        """Whether all values are finite but for units that are all NaN.

        A unit is a row (1), or a step of one (2): the number of its axes. None: there
        is no such unit.
        """
        return all(_is_finite(part, unit) for part in self._parts())

    def has_values(self):
        """Rows that are not all NaN.   -> (n,) bool."""
        found = [~part.flatten(1).isnan().all(1) for part in self._parts()]
        return torch.cat(found).cpu().numpy()

    def _parts(self):
        row_bytes = self.tensor.element_size() * max(1, self.tensor[:1].numel())
        return self.tensor.split(max(1, _PART_BYTES // row_bytes))


def _is_finite(part, unit):
    finite = part.isfinite()
    if finite.all() or unit is None:
        return bool(finite.all())
    # (n, ...) -> (n, m) or (n, T, m): the values of each unit side by side
    finite, nan = finite.flatten(unit), part.isnan().flatten(unit)
    return bool((finite.all(-1) | nan.all(-1)).all())


def base_of(tensor, name):
    """What NumPy reads of a tensor: an array that shares its memory, or `DeviceArray`.

    It knows no bfloat16, of which it gets a copy in float32.

    Raises
    ------
    ValueError
        If the tensor has no values, or keeps them in a way of its own.
    """
    if trouble := _trouble_of(tensor, name):
        raise ValueError(f"{name} is a tensor {trouble}.")
    if tensor.device.type != "cpu":
        return DeviceArray(tensor)
    return _array_of(tensor.detach())


def _array_of(tensor):
    """A tensor on the CPU as an array, by NumPy, which starts no threads of torch."""
    if tensor.is_neg():  # of numbers that are yet to be negated, as x.conj().imag is
        return -_array_of(torch._neg_view(tensor))  # twice negated: as they are
    if tensor.is_conj():
        return _array_of(tensor.conj()).conj()
    if tensor.dtype is not torch.bfloat16:
        return tensor.numpy()
    upper = tensor.view(torch.int16).numpy()  # bfloat16 is the upper half of float32
    return (upper.astype(np.uint32) << 16).view(np.float32)


def _trouble_of(tensor, name):
    if tensor.device.type == "meta":
        return "on the device 'meta', which holds no values: pass one that has them"
    if tensor.is_nested:
        return "of clips of unequal length: pad_clips makes one array of them"
    if tensor.layout is not torch.strided:
        return f"of the layout {tensor.layout}: pass {name}.to_dense()"
    if tensor._is_zerotensor():
        return f"of zeros that are held nowhere: pass {name}.clone()"
    if tensor.is_quantized:
        return f"of quantized values: pass {name}.dequantize()"
    if "float8" in str(tensor.dtype):
        return f"of {tensor.dtype}: pass {name}.float()"
    return None
