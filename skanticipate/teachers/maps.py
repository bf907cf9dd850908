"""Where a training step gets the maps of a teacher: from its network, or from rows."""

import numpy as np
import torch

from skanticipate._rows import RowView
from skanticipate._runtime import callers_threads, clip_reader
from skanticipate._training import prediction_batch
from skanticipate.teachers.protocol import as_given, seen_by_last_step, split_transforms


class ModuleMaps:
    """Maps made from the futures of each batch, by the teacher's own network.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the device of the student.
    take_futures : callable
        Sample indices -> futures, which a batch must bring along.
    width : int
        Channels d of the maps.
    """

    def __init__(self, network, take_futures, width):
        self.network = network
        self.take_futures = take_futures
        self.width = width

    def __call__(self, batch, rows):
        """Maps (B', N, d) and masks (B', N) or None, of the rows (B,) of a batch."""
        output = self.network(batch.futures[rows])
        return output.features, output.mask


class StoredMaps:
    """Maps made once, of all samples that have a future.

    Parameters
    ----------
    maps : RowView of shape (m, N, d)
        Positions of NaN are padding.
    index : ndarray of shape (n,)
        Row of each sample in `maps`.
    dtype, device : torch dtype and device
        Those of the student.
    """

    take_futures = None  # a batch need not bring them

    def __init__(self, maps, index, *, dtype, device):
        self.width = maps.shape[-1]
        self.take = clip_reader(maps, dtype=dtype, device=device)
        self.index = torch.as_tensor(index)

    def __call__(self, batch, rows):
        """Maps (B', N, d) and masks (B', N) or None, of the rows (B,) of a batch."""
        maps = self.take(self.index[batch.samples[rows.cpu()]])
        padding = maps[..., 0].isnan()
        return maps, ~padding if padding.any() else None


def has_map(teacher):
    """Whether a fitted teacher, or the last step of its Pipeline, has a map."""
    _, last = split_transforms(teacher)
    return callable(getattr(last, "feature_map", None))


def map_batches(teacher, clips):
    """Maps of all clips, some at a time, in order.

    Yields
    ------
    ndarray of shape (b, N, d)
    """
    transforms, last = split_transforms(teacher)
    seen = seen_by_last_step(transforms, clips)
    size = prediction_batch(seen)
    for start in range(0, len(seen), size):
        part = seen[start : start + size]
        with callers_threads():
            maps = np.asarray(last.feature_map(as_given(part)))
        if maps.ndim != 3 or len(maps) != len(part):
            raise ValueError(
                f"feature_map of {type(last).__name__} must give (n, N, d) for n "
                f"clips, got {maps.shape} for {len(part)}."
            )
        yield maps.astype(np.result_type(maps, np.float32), copy=False)


def compute_maps(teacher, clips):
    """Maps of all clips, in memory.   -> RowView (m, N, d)."""
    return RowView(np.concatenate(list(map_batches(teacher, clips))))
