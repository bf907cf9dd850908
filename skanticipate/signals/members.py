"""An ensemble whose members a student weighs: what each answers, and how it sees."""

import numpy as np

from skanticipate.signals.asking import ask, seen_by_last_step, split_transforms
from skanticipate.signals.candidates import Candidates, mean_of_candidates
from skanticipate.signals.maps import compute_maps, has_map


def weighed(teacher):
    """Ensemble at the end of a fitted teacher whose members a student weighs, or None.

    By its method `_apart`, since teachers stand below signals.
    """
    _, last = split_transforms(teacher)
    return last if hasattr(last, "_apart") and last._apart() else None


def ask_members(teacher, clips, classes):
    """As `ask`; of an ensemble whose members are weighed, all of their answers.

    Returns
    -------
    ndarray of shape (n, C), or (n, M, C) for M members
    """
    ensemble = weighed(teacher)
    if ensemble is None:
        return ask(teacher, clips, classes)
    if isinstance(clips, Candidates):
        histories, owner = clips.one_by_one()
        answers = ask_members(teacher, histories, classes)
        return mean_of_candidates(answers, owner)
    seen = seen_by_last_step(split_transforms(teacher)[0], clips)
    return np.stack([ask(m, seen, classes) for m in ensemble.teachers_], axis=1)


def features_of_members(teacher, clips):
    """What the members make of clips, where all have maps of one width.

    Of a map the mean over its positions is taken, of several candidate histories the
    mean over them.

    Returns
    -------
    ndarray of shape (n, M, d), or None
    """
    members = weighed(teacher).teachers_
    if not all(map(has_map, members)):
        return None
    owner = np.arange(len(clips))
    if isinstance(clips, Candidates):
        clips, owner = clips.one_by_one()
    seen = seen_by_last_step(split_transforms(teacher)[0], clips)
    vectors = [_pooled(np.asarray(compute_maps(m, seen))) for m in members]
    if len({own.shape for own in vectors}) > 1:
        return None
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    sums = np.add.reduceat(np.stack(vectors, axis=1), starts)
    return sums / np.diff(starts, append=len(owner))[:, None, None]


def _pooled(maps):
    """Mean over the positions that are no padding, NaN.   (p, N, d) -> (p, d)."""
    real = ~np.isnan(maps[..., :1])
    return np.where(real, maps, 0).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
