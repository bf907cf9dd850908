"""Batches of several models that are trained together."""

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import torch

from skanticipate.data.rows import RowView
from skanticipate.training.batches import ClipReader, ReadAhead, takes_time


class StackedReader:
    """Clips of several models, whose samples are counted one after another.

    Models of one array are read at once, and what several draw alike is read once.

    Parameters
    ----------
    readers : list of K BatchReader
    """

    def __init__(self, readers):
        self.readers = readers
        views = [reader.rows for reader in readers]
        lengths = [len(view) for view in views]
        self.starts = np.cumsum([0, *lengths[:-1]]).tolist()
        self.parts = []  # (first model, last model, reader of their rows)
        for first, last in runs_of([id(view.base) for view in views]):
            rows = RowView(views[first].base, _rows_of(views[first:last]))
            self.parts.append((first, last, ClipReader(rows, readers[0].compute)))
        self.sources = [(id(v.base), _bytes(v.rows)) for v in views]
        self._arrays = ReadAhead(_read_all)

    def ahead(self, keys, n_rows):
        """Region in which clips are taken in the order of `keys`, and read one ahead.

        Parameters
        ----------
        keys : iterator of (start, samples)
            As `take` will be given them.
        n_rows : int
            Clips that are read for a step, at most.
        """
        if not takes_time([reader.rows for *_, reader in self.parts], n_rows):
            return nullcontext()
        return self._arrays.over(self._requests(*key) for key in keys)

    def note_alike(self, orders):
        """Note which models see the same clips in an epoch."""
        first = {}
        self.leaders = [
            first.setdefault((source, _bytes(order)), k)
            for k, (source, order) in enumerate(zip(self.sources, orders, strict=True))
        ]
        self.plans = {}

    def take(self, start, samples):
        """Clips (K B, ...) of samples (K, B), of the models from `start` on.

        What is cut off at random each model draws by itself.
        """
        clips = self._whole(start, samples)
        if not self.readers[0].spec.crops_at_random:
            return clips
        parts = clips.unflatten(0, (len(samples), -1))  # (K, B, ...)
        own = zip(self.readers[start : start + len(samples)], parts, strict=True)
        cut = [r.spec.crop(part, None, r.generator)[0] for r, part in own]
        return torch.cat(cut)

    def _whole(self, start, samples):
        """Clips (K B, ...) before any is cut."""
        arrays = self._arrays(self._requests(start, samples))
        reads, places = self._plan_of(start, samples)
        clips = [read.placed(a) for (read, *_), a in zip(reads, arrays, strict=True)]
        clips = clips[0] if len(clips) == 1 else torch.cat(clips)
        if places is None:
            return clips
        clips = clips.view(-1, samples.shape[1], *clips.shape[1:])
        return clips.index_select(0, places).flatten(0, 1)

    def _requests(self, start, samples):
        """What is read for samples (K, B).   -> list of (reader, rows (b,))."""
        reads, _ = self._plan_of(start, samples)
        return [
            (r, (samples[own] - first).flatten().numpy()) for r, own, first in reads
        ]

    def _plan_of(self, start, samples):
        span = start, start + len(samples)
        if span not in self.plans:
            self.plans[span] = self._plan(*span)
        return self.plans[span]

    def _plan(self, start, stop):
        """How clips of some models are read, those of each leader once.

        -> list of (reader, models from `start` on, number of its first sample), and
        which of the read clips each model sees (K,), None where all do their own
        """
        leaders = self.leaders[start:stop]
        own = [k for k, leader in enumerate(leaders) if leader not in leaders[:k]]
        reads = []
        for first, last, read in self.parts:
            models = [k for k in own if first <= start + k < last]
            if models:
                reads.append((read, torch.tensor(models), self.starts[first]))
        if len(own) == len(leaders):
            return reads, None
        rows = {leaders[k]: row for row, k in enumerate(own)}
        device = self.readers[0].compute.device
        return reads, torch.tensor([rows[leader] for leader in leaders], device=device)


def _read_all(requests):
    """Arrays of what is read, by NumPy alone."""
    return [reader.read(numbers) for reader, numbers in requests]


def _bytes(numbers):
    return None if numbers is None else np.asarray(numbers).tobytes()


def _rows_of(views):
    """Rows of views of one array, one after another."""
    return np.concatenate(
        [np.arange(len(v)) if v.rows is None else v.rows for v in views]
    )


def runs_of(values):
    """Start and stop of each run of equal values."""
    edges = [k for k in range(1, len(values)) if values[k] != values[k - 1]]
    return list(pairwise([0, *edges, len(values)]))
