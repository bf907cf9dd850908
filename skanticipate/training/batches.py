"""What a training step is given: which samples, in which order, and their clips.

What is asked for next is read in a thread, while the last is used.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from skanticipate.data.device_array import DeviceArray

# Bytes of a batch below which handing it over takes longer than what is gained.
_SMALL = 1 << 18


class Batch(NamedTuple):
    """Samples of one step, by number and by clip.

    Of K models trained together, the rows of the first, then those of the second.
    """

    samples: torch.Tensor  # (B,) int64, on the CPU
    clips: torch.Tensor  # (B, ...)
    futures: torch.Tensor | None = None  # (B, ...), where a term asks for them
    maps: torch.Tensor | None = None  # (B', N, d) of a teacher, where one asks for them
    models: slice | None = None  # those of a stack; None: one that trains alone


class ClipReader:
    """Take(indices (B,)) -> clips (B, ...) as the network takes them.

    Indices are a tensor on the CPU or an array.

    Parameters
    ----------
    rows : RowView of shape (n, ...)
    compute : Compute
        Device and precision of the network.

    Attributes
    ----------
    read : callable
        Numbers of samples (B,) -> their clips as an array, by NumPy alone; of a tensor
        on a device a tensor.
    """

    def __init__(self, rows, compute):
        device, dtype = compute
        self.rows = rows
        self.device = device
        numpy_dtype = np.float64 if dtype == torch.float64 else np.float32
        self.read = partial(_read_clips, rows, numpy_dtype)
        is_tensor = isinstance(rows.base, DeviceArray)
        if is_tensor:
            self.read = partial(_read_tensor, rows, dtype, device)
        self._ahead = None
        self._stays = device.type == "cpu" and not is_tensor

    def __call__(self, samples):
        """Read the clips of samples (B,), and bring them to the device."""
        if isinstance(samples, torch.Tensor):
            samples = samples.numpy()
        return self.placed((self._ahead or self.read)(samples))

    def ahead(self, n_rows, batch_size):
        """Region in which all rows are read in their order, a batch ahead."""
        if not takes_time([self.rows], batch_size):
            return nullcontext()
        self._ahead = ReadAhead(self.read)
        starts = range(0, n_rows, batch_size)
        return self._ahead.over(
            np.arange(start, min(start + batch_size, n_rows)) for start in starts
        )

    def placed(self, clips):
        """Clips that were read as a tensor on the device."""
        if self._stays:
            return torch.from_numpy(clips)
        if isinstance(clips, torch.Tensor):  # it was read there
            return clips
        clips = torch.from_numpy(clips)
        if self.device.type == "cuda":  # so that nobody waits for the transfer
            return clips.pin_memory().to(self.device, non_blocking=True)
        return clips.to(self.device)


def _read_clips(rows, dtype, samples):
    """Clips of samples (B,) as an array, by NumPy alone: in any thread.

    -> (B, ...)
    """
    # Another order in memory would be other bits: kernels go by strides.
    return np.ascontiguousarray(rows.take(samples), dtype)


def _read_tensor(rows, dtype, device, samples):
    """Clips of samples (B,) of a tensor, which need not leave its device."""
    index = samples if rows.rows is None else rows.rows[samples]
    return rows.base.take(index, device=device, dtype=dtype)


class BatchReader:
    """Samples (B,) -> Batch on the device, past and future cropped alike.

    Parameters
    ----------
    spec : NetworkSpec
        Says how clips are cropped in training.
    rows : RowView of shape (n, ...)
        Clips of the samples.
    compute : Compute
        Device and precision of the network.
    take_futures : ClipReader, default=None
        Of the futures, one for each sample, where a term asks for them.
    take_maps : StoredMaps, default=None
        Those of a teacher, where a term asks for them.
    generator : torch.Generator
        Of the crops.
    """

    def __init__(
        self, spec, rows, compute, take_futures=None, take_maps=None, *, generator
    ):
        self.spec = spec
        self.rows = rows
        self.compute = compute
        self.take_clips = ClipReader(rows, compute)
        self.take_futures = take_futures
        self.take_maps = take_maps
        self.generator = generator
        # In the order in which a batch is read.
        self.readers = [take_futures, self.take_clips, take_maps]
        self._ahead = None

    def __call__(self, samples):
        """Read the clips of a batch, and what else is asked for."""
        if self._ahead is None and self.take_maps is None:  # as mostly
            take = self.take_futures
            clips, futures = self.take_clips(samples), take and take(samples)
            return Batch(samples, *self.spec.crop(clips, futures, self.generator))
        read = self._ahead or partial(_read, self.readers)
        futures, clips, maps = (
            None if array is None else reader.placed(array)
            for reader, array in zip(self.readers, read(samples.numpy()), strict=True)
        )
        return Batch(samples, *self.spec.crop(clips, futures, self.generator), maps)

    def ahead(self, batches):
        """Region in which the batches are read in their order, one ahead.

        Of one that is empty, as a rank's part may be, nothing is read.
        """
        views = [reader.rows for reader in self.readers if reader is not None]
        if not takes_time(views, min(batches.size, self.rows.shape[0])):
            return nullcontext()
        self._ahead = ReadAhead(partial(_read, self.readers))
        return self._ahead.over(s.numpy() for s in batches if len(s))


def _read(readers, samples):
    """What each reader, or None, reads of samples (B,), by NumPy alone."""
    return [None if r is None else r.read(samples) for r in readers]


class Batches:
    """Samples in an order, a batch (B,) at a time; the last may be smaller.

    A list of them would take some 600 bytes for each step of an epoch.
    """

    def __init__(self, order, size):
        self.order = order
        self.size = size

    def __len__(self):
        return -(-len(self.order) // self.size)

    def __iter__(self):
        for start in range(0, len(self.order), self.size):
            yield self.order[start : start + self.size]


def shuffled(n_samples, batch_size):
    """Build draw(generator) -> Batches of one pass over all samples."""

    def draw(generator):
        order = torch.randperm(n_samples, generator=generator)
        return Batches(order, int(batch_size))

    return draw


def mixed(labelled, unlabelled, batch_size, fraction):
    """Build draw(generator) -> Batches with a fixed share of unlabelled samples.

    An epoch has as many steps as `shuffled` gives to the same samples. Each kind is
    gone through in shuffled passes, one after the other, so that all samples of a kind
    are drawn equally often; the batches are all of the same size.

    Parameters
    ----------
    labelled, unlabelled : tensor of int64
        Sample indices of each kind.
    batch_size : int
        Samples in a batch, at least 2.
    fraction : float
        Share of each batch drawn from `unlabelled`: at least one sample of each kind,
        unless the share is 0.
    """
    batch_size = max(2, int(batch_size))
    n_steps = -(-(len(labelled) + len(unlabelled)) // batch_size)
    n_unlabelled = round(fraction * batch_size)
    if fraction > 0:
        n_unlabelled = max(1, min(n_unlabelled, batch_size - 1))
    parts = [(labelled, batch_size - n_unlabelled), (unlabelled, n_unlabelled)]

    def draw(generator):
        columns = [
            _passes(kind, n_steps * size, generator).reshape(n_steps, size)
            for kind, size in parts
            if size > 0
        ]
        return Batches(torch.cat(columns, dim=1).flatten(), batch_size)

    return draw


def _passes(samples, n, generator):
    """The first n of shuffled passes over the samples."""
    n_passes = -(-n // len(samples))
    orders = torch.empty(n_passes, len(samples), dtype=torch.int64)
    for k in range(n_passes):
        torch.randperm(len(samples), generator=generator, out=orders[k])
    return samples[orders.flatten()[:n]]


# ---------------------------------------------------------------------- one ahead


def takes_time(views, n_rows):
    """Whether reading so many rows of each view is worth a thread.

    Of what lies in files only, and of large batches: else nobody waits for reading.

    Parameters
    ----------
    views : list of RowView
    n_rows : int
    """
    n_bytes = [n_rows * v.dtype.itemsize * math.prod(v.shape[1:]) for v in views]
    if sum(n_bytes) < _SMALL:  # as mostly, and quick to tell
        return False
    waited_for = zip(views, n_bytes, strict=True)
    return sum(n for view, n in waited_for if view.lies_in_file) >= _SMALL


class ReadAhead:
    """A function that reads, one call ahead where it is told which calls will come.

    There is one thread, and never more than one result that waits. What a call raises
    there is raised here, by the call that asks for it. ``is_ahead`` tells whether a
    result waits.

    Parameters
    ----------
    read : callable
        key -> anything. It must not use torch, whose threads a fit has set for its own.

    Examples
    --------
    >>> squares = ReadAhead(lambda number: number**2)
    >>> with squares.over([2, 3]):  # 3 is squared while the square of 2 is used
    ...     [squares(2), squares(3)]
    [4, 9]
    """

    def __init__(self, read):
        self._read = read
        self._pool = self._keys = self._coming = self._process = None
        self.is_ahead = False

    def __call__(self, key):
        """What the function says of a key."""
        # A forked child has the thread of its parent not.
        if not self.is_ahead or os.getpid() != self._process:
            return self._read(key)
        found = self._coming.result()
        self._begin_next()
        return found

    @contextmanager
    def over(self, keys):
        """Region in which the calls are those of `keys`, in their order.

        However it is left, its thread has ended then.
        """
        with ThreadPoolExecutor(1, "skanticipate reads") as self._pool:
            self._keys, self._process = iter(keys), os.getpid()
            self._begin_next()
            try:
                yield
            finally:
                self._pool = self._keys = self._coming = None
                self.is_ahead = False

    def _begin_next(self):
        self._coming, self.is_ahead = None, False
        for key in self._keys:
            try:
                self._coming = self._pool.submit(self._read, key)
                self.is_ahead = True
            except RuntimeError:  # no thread can be started, as while Python ends
                pass
            return
