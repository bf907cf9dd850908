"""Batches of several models that are trained together."""

from itertools import pairwise

import numpy as np
import torch

from skanticipate.data.rows import RowView


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
            self.parts.append((first, last, readers[0].compute.reader(rows)))
        self.sources = [(id(v.base), _bytes(v.rows)) for v in views]

    def note_alike(self, orders):
        """Note which models see the same clips in an epoch."""
        first = {}
        self.leaders = [
            first.setdefault((source, _bytes(order)), k)
            for k, (source, order) in enumerate(zip(self.sources, orders, strict=True))
        ]

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
        leaders = self.leaders[start : start + len(samples)]
        own = {leader: k for k, leader in reversed(list(enumerate(leaders)))}
        own = sorted(own.values())  # first model of each leader
        place = {leaders[k]: row for row, k in enumerate(own)}
        clips = self._read([start + k for k in own], samples[own])
        if len(own) == len(samples):
            return clips
        clips = clips.unflatten(0, (len(own), -1))
        rows = torch.tensor([place[leader] for leader in leaders], device=clips.device)
        return clips.index_select(0, rows).flatten(0, 1)

    def _read(self, models, samples):
        """Clips (K B, ...) of samples (K, B) of some models, in order."""
        clips = []
        for first, last, read in self.parts:
            rows = [k for k, model in enumerate(models) if first <= model < last]
            if rows:
                clips.append(read((samples[rows] - self.starts[first]).flatten()))
        return clips[0] if len(clips) == 1 else torch.cat(clips)


def _bytes(numbers):
    return None if numbers is None else np.asarray(numbers).tobytes()


def _rows_of(views):
    """Rows of views of one array, one after another."""
    return np.concatenate(
        [np.arange(len(v)) if v.rows is None else v.rows for v in views]
    )


def runs_of(values):
    """Start and stop of each run of equal values, or equal columns.   (..., K)."""
    values = np.atleast_2d(values)
    edges = np.flatnonzero((values[:, 1:] != values[:, :-1]).any(0)) + 1
    return list(pairwise([0, *edges.tolist(), values.shape[1]]))
