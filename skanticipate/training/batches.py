"""What a training step is given: which samples, in which order, and their clips."""

from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch

from skanticipate.data.ahead import ReadAhead, takes_time


class Batch(NamedTuple):
    """Samples of one step, by number and by clip.

    Of K models trained together, the rows of the first, then those of the second.
    """

    samples: torch.Tensor  # (B,) int64, on the CPU
    clips: torch.Tensor  # (B, ...)
    futures: torch.Tensor | None = None  # (B, ...), where a term asks for them
    maps: torch.Tensor | None = None  # (B', N, d) of a teacher, where one asks for them
    models: slice | None = None  # those of a stack; None: one that trains alone


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
        self.take_clips = compute.reader(rows)
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
        if not takes_time(views, batches.size):
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
