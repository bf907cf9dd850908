"""Where a training step gets the maps of a teacher: from its network, or from rows."""

import math
from copy import copy
from itertools import accumulate

import numpy as np
import torch

from skanticipate.data.rows import RowView
from skanticipate.estimator.blueprint import Blueprint
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.losses import teacher_pooled
from skanticipate.signals.asking import asked, seen_by_last_step, split_transforms
from skanticipate.terms.objective import taken
from skanticipate.training.batches import ClipReader
from skanticipate.training.scoring import prediction_batch

_MAPS_IN_MEMORY = 1 << 28  # bytes
_FEW_BATCHES = 4  # of predictions: of so many clips a teacher is asked at once


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

    take_maps = None

    def __init__(self, network, take_futures, width):
        self.network = network
        self.take_futures = take_futures
        self.width = width

    def __call__(self, batch, rows):
        """Maps (B', N, d), masks (B', N) or None, None; of rows (B',) of a batch."""
        output = self.network(taken(batch.futures, rows))
        return output.features, output.mask, None


class StoredMaps:
    """Maps made once, of all samples that have a future; a batch brings those of its.

    Parameters
    ----------
    maps : RowView of shape (m, N, d)
        Positions of NaN are padding.
    samples : ndarray of shape (m,)
        Number of the sample of each of them.
    n_samples : int
        Those of the fit.
    compute : Compute
        Device and precision of the student.
    """

    take_futures = None  # a batch need not bring them

    def __init__(self, maps, samples, n_samples, compute):
        self.rows = maps
        self.width = maps.shape[-1]
        self.index = np.full(n_samples, -1)
        self.index[samples] = np.arange(len(samples))
        self.has = torch.as_tensor(self.index >= 0)
        reader = ClipReader(maps, compute)
        self._read, self.placed = reader.read, reader.placed

    @property
    def take_maps(self):
        """What reads maps for a batch: this object."""
        return self

    def read(self, samples):
        """Maps of those samples (B,) that have one, as an array, by NumPy alone."""
        index = self.index[samples]
        return self._read(index[index >= 0])  # (B', N, d)

    def __call__(self, batch, rows):
        """Maps (B', N, d), masks (B', N) or None, None; of rows (B',) of a batch."""
        maps = batch.maps
        if rows is not None and len(rows) < len(maps):
            places = self.has[batch.samples].cumsum(0) - 1  # among those with a map
            maps = taken(maps, places[rows])
        padding = maps[..., 0].isnan()
        return maps, ~padding if padding.any() else None, None


class MapsInMemory:
    """Stored maps that fit into memory, with what their own positions see in them.

    Parameters
    ----------
    maps, compute : object
        As in `StoredMaps`.
    index : ndarray of shape (n,)
        Row of each sample in `maps`.
    alpha : float or None
        Attention scale of the weak alignments.
    attended : bool
        Whether vectors of the maps are queries: what they see in their own map does not
        depend on the student, and is kept too.
    """

    take_futures = take_maps = None

    def __init__(self, maps, index, compute, *, alpha, attended):
        self.maps = compute.floats(np.asarray(maps))
        self.width = maps.shape[-1]
        self.index = compute.indices(index)
        padding = self.maps[..., 0].isnan()
        self.mask = ~padding if padding.any() else None
        self.pooled = None
        if attended and self.maps.shape[1] > 1:
            mask = self.mask
            if mask is not None:  # of a map of padding nobody asks
                mask = mask | ~mask.any(1, keepdim=True)
            self.pooled = teacher_pooled(self.maps, alpha=alpha, mask=mask)

    @property
    def is_of_one_position(self):
        """Whether every map is one vector."""
        return self.maps.shape[1] == 1 and self.mask is None

    @property
    def kind(self):
        """What sources share that can be read as one."""
        return tuple(self.maps.shape[1:]), self.pooled is None

    @classmethod
    def stack(cls, sources):
        """One source of the samples of several models, one after another."""
        first, *others = unlike = list({id(s.maps): s for s in sources}.values())
        stacked = copy(first)
        starts = accumulate((len(s.maps) for s in unlike), initial=0)
        start_of = {id(s.maps): start for s, start in zip(unlike, starts, strict=False)}
        stacked.index = torch.cat([s.index + start_of[id(s.maps)] for s in sources])
        if others:
            stacked.maps = torch.cat([s.maps for s in unlike])
        if others and any(s.mask is not None for s in unlike):
            stacked.mask = ~stacked.maps[..., 0].isnan()
        if others and first.pooled is not None:
            stacked.pooled = torch.cat([s.pooled for s in unlike])
        return stacked

    def __call__(self, batch, rows):
        """Maps (B', N, d), masks (B', N) or None, pooled maps; of rows of a batch."""
        return self.of(taken(batch.samples, rows).to(self.index.device))

    def of(self, samples):
        """The same, of samples (B',), whose numbers are on the device."""
        kept = self.index[samples]
        parts = (self.maps, self.mask, self.pooled)
        return tuple(None if p is None else p.index_select(0, kept) for p in parts)


def has_map(teacher):
    """Whether a fitted teacher, or the last step of its Pipeline, has `feature_map`."""
    return _gives_map(split_transforms(teacher)[1])


def _gives_map(last):
    return callable(getattr(last, "feature_map", None))


@torch.inference_mode()
def first_map(network, clips, compute):
    """Map (1, N, d) that a network gives of the first of its clips, or None."""
    take = ClipReader(clips, compute)
    return network.eval()(take(torch.zeros(1, dtype=torch.int64))).features


def map_width(spec, network, clips, compute, needed):
    """Channels of the student's map.

    Parameters
    ----------
    spec : NetworkSpec
    network : torch.nn.Module
        Of the spec.
    clips : RowView of shape (n, ...)
        Of which the first is shown.
    compute : Compute
        Device and precision of the network.
    needed : str
        For the message where there is none: what it is for, and what else helps.
    """
    features = first_map(network, clips, compute)
    if features is None:
        raise ValueError(
            f"A network of {type(spec).__name__} gives no features, {needed}, or "
            "return Output(logits, features)."
        )
    return features.shape[-1]


def weights_for(network, taught, classes):
    """Weights of a teacher, if a network can start from them, else None."""
    last = taught.last
    if taught.transforms is not None or not isinstance(last, PredictionMixin):
        return None
    if not np.array_equal(last.classes_, classes):
        return None
    own, theirs = network.state_dict(), last.network_.state_dict()
    same = own.keys() == theirs.keys() and all(
        own[name].shape == theirs[name].shape for name in own
    )
    return theirs if same and type(network) is type(last.network_) else None


def map_source(taught, n_samples, crops_at_random, compute, *, alpha, attended):
    """Where the feature term gets the teacher's maps.

    Parameters
    ----------
    taught : Taught
    n_samples : int
        Those of the fit.
    crops_at_random : bool
        Whether no two epochs see the same futures.
    compute : Compute
        Device and precision of the student.
    alpha, attended : object
        As in `MapsInMemory`.

    Returns
    -------
    callable
        (batch, rows (B',) or None) -> maps (B', N, d), masks (B', N) or None, pooled
        maps (B', N, d) or None.
    """
    inputs = (n_samples, crops_at_random, compute, alpha, attended)
    if inputs not in taught.maps:
        taught.maps[inputs] = _new_source(taught, *inputs)
    return taught.maps[inputs]


def _new_source(taught, n_samples, crops_at_random, compute, alpha, attended):
    if not _gives_map(taught.last):
        raise ValueError(
            f"{type(taught.teacher).__name__} has no feature_map, which a positive "
            "feature_weight compares: set feature_weight=0, or use a "
            "RecognitionTeacher."
        )
    foreign = not isinstance(taught.last, PredictionMixin)
    if crops_at_random:
        _refuse_crops(foreign, taught.cache)
    maps = None if crops_at_random else _maps_of_all(taught, foreign)
    if maps is None:
        return _module_maps(taught, n_samples, compute)
    if maps.dtype.itemsize * math.prod(maps.shape) > _MAPS_IN_MEMORY:
        return StoredMaps(RowView(maps), taught.rows, n_samples, compute)
    index = taught.index(n_samples)
    return MapsInMemory(maps, index, compute, alpha=alpha, attended=attended)


def _maps_of_all(taught, foreign):
    """Maps of all clips.   -> ndarray or RowView (m, N, d).

    None where they take much memory, and a network of ours can make them again.
    """
    if taught.cache is not None:
        return taught.cache.maps(taught.key, taught.teacher, taught.clips)
    batches = map_batches(taught.teacher, taught.clips)
    first = next(batches)
    n_bytes = first[:1].nbytes * taught.clips.shape[0]
    if n_bytes > _MAPS_IN_MEMORY and not foreign:
        return None
    return np.concatenate([first, *batches])


def _refuse_crops(foreign, cache):
    if cache is not None:
        raise ValueError(
            "teacher_cache keeps one map a clip, but the network crops clips at "
            "random: set teacher_cache=None, feature_weight=0, or cut the clips "
            "beforehand."
        )
    if foreign:
        raise ValueError(
            "The network crops clips at random, past and future alike, so the maps "
            "must come from a network of this library: use a RecognitionTeacher, or "
            "set feature_weight=0."
        )


def _module_maps(taught, n_samples, compute):
    width = compute_maps(taught.teacher, taught.clips[:1]).shape[-1]
    last = taught.last
    network = Blueprint.of(last).load(last.network_.state_dict())
    # Transformers may refuse NaN, so they see existing futures only.
    seen = seen_by_last_step(taught.transforms, taught.clips)
    futures = seen[taught.index(n_samples)]
    return ModuleMaps(compute.place(network), ClipReader(futures, compute), width)


def map_batches(teacher, clips):
    """Maps of all clips in order: of few at once, of more a batch at a time.

    Yields
    ------
    ndarray of shape (b, N, d)
    """
    transforms, last = split_transforms(teacher)
    seen = clips if transforms is None else seen_by_last_step(transforms, clips)
    n, size = seen.shape[0], prediction_batch(seen)
    size = n if n <= _FEW_BATCHES * size else size
    for start in range(0, n, size):
        part = seen if n == size else seen[start : start + size]
        maps = np.asarray(asked(last.feature_map, part))
        if maps.ndim != 3 or maps.shape[0] != part.shape[0]:
            raise ValueError(
                f"feature_map of {type(last).__name__} must give (n, N, d) for n "
                f"clips, got {maps.shape} for {part.shape[0]}."
            )
        yield maps.astype(np.result_type(maps, np.float32), copy=False)


def compute_maps(teacher, clips):
    """Maps of all clips, in memory.   -> RowView (m, N, d)."""
    return RowView(np.concatenate(list(map_batches(teacher, clips))))
