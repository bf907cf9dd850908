"""Pairs of past and future clips of public data: what students and teachers see."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.data import load_clips
from common.folds import balanced_folds, video_folds
from skanticipate import HistoryEncoder
from skanticipate.datasets import make_kitchen

N_FOLDS = 5  # choices are made on folds of the training rows of a part


@dataclass(frozen=True)
class Pairs:
    """Clips of a data set, each with what a teacher may see of its future.

    Attributes
    ----------
    past, future : ndarray of shape (n, T, ...)
        What is seen before the action, and what the teacher sees.
    y, units, folds : ndarray of shape (n,)
        Labels; videos, whose clips are resampled together in standard errors; folds
        of which choices are made.
    parts : list of (training rows, test rows)
        Every part is fitted and scored on its own; their test rows are disjoint.
    next_rows : ndarray of shape (n,) or None
        Row whose label the last step of a future tells, -1 for none.
    groups : ndarray of shape (n,) or None
        What cross-fitting and label keeping must not tear apart.
    figures : dict of str to str
        Columns of a table, "score" what it is about, and their names in `outcomes`.
    """

    past: np.ndarray
    future: np.ndarray
    y: np.ndarray
    units: np.ndarray
    folds: np.ndarray
    parts: list
    next_rows: np.ndarray | None = None
    groups: np.ndarray | None = None
    figures: dict = field(default_factory=lambda: {"score": "top-1"})

    @property
    def classes(self):
        """All labels; rare ones may be missing from a training part."""
        return np.unique(self.y)

    def inner_parts(self, training, n_parts):
        """Parts of training rows on which choices are made."""
        folds = self.folds[training]
        held = [folds == f for f in np.unique(folds)][:n_parts]
        return [(training[~h], training[h]) for h in held]

    def futures(self, rows, known):
        """Futures of rows, without what tells labels of other rows than `known`."""
        futures = self.future[rows]
        if self.next_rows is not None:
            told = self.next_rows[rows]
            secret = (told >= 0) & ~np.isin(told, known)
            futures[secret, -1] = 0  # the code of an unknown label
        return futures


def load_pairs(name, root):
    """Pairs of a data set by its name, such as "manoeuvres-2" or "egtea-1"."""
    kind, _, number = name.rpartition("-")
    if kind == "kitchen":
        return kitchen(int(number))
    root = Path(root)
    if kind == "manoeuvres":
        return manoeuvres(root, int(number))
    if kind == "jhmdb":
        return jhmdb(root, int(number))
    return histories(load_clips(kind, root, split=int(number)))


# -------------------------------------------------------------------------- clips


def load_manoeuvres(root):
    """Driver manoeuvres: sequences (n, 7, d), labels (n,) and folds (n,)."""
    file = Path(root) / "brain4cars" / "manoeuvres.npz"
    data = np.load(file, allow_pickle=False)
    return data["sequences"], data["labels"], data["fold"]


def manoeuvres(root, n_seen):
    """Driver manoeuvres: the first steps of 7 against all of them, five folds."""
    future, y, fold = load_manoeuvres(root)
    rows = np.arange(len(fold))
    parts = [(rows[fold != f], rows[fold == f]) for f in range(5)]
    return Pairs(future[:, :n_seen], future, y, rows, fold, parts)


# Joints of each part of the body, from the trunk outwards.
BODY = ((0, 1, 2), (3, 7, 11), (4, 8, 12), (5, 9, 13), (6, 10, 14))
N_STEPS = 16


def jhmdb(root, split):
    """JHMDB poses: the first fifth of the frames against the whole clip.

    Maps are time (16) x parts of the body (5), 18 channels: position, place relative
    to the trunk and speed of three joints.
    """
    data = np.load(root / "jhmdb" / "poses.npz", allow_pickle=False)
    lengths = data["lengths"]
    seen = np.maximum(1, np.ceil(0.2 * lengths - 1e-9)).astype(int)
    clips = zip(data["poses"], lengths, seen, strict=True)
    clips = [(body_map(p[:n]), body_map(p[:k])) for p, n, k in clips]
    future, past = (np.stack(c) for c in zip(*clips, strict=True))
    is_test = data["is_test"][:, split - 1] == 1
    rows = np.arange(len(lengths))
    parts = [(rows[~is_test], rows[is_test])]
    y = data["labels"]
    return Pairs(past, future, y, rows, balanced_folds(y, N_FOLDS), parts)


def body_map(poses):
    """Poses (t, 15, 2) -> (16, 5, 18), resampled in time."""
    speed = np.gradient(poses, axis=0) if len(poses) > 1 else np.zeros_like(poses)
    channels = np.concatenate([poses, poses - poses[:, 1:2], 10 * speed], axis=-1)
    at = np.linspace(0, len(poses) - 1, N_STEPS)
    low = np.minimum(at.astype(int), max(len(poses) - 2, 0))
    high = np.minimum(low + 1, len(poses) - 1)
    weight = (at - low)[:, None, None]
    steps = (1 - weight) * channels[low] + weight * channels[high]  # (16, 15, 6)
    parts = steps[:, np.array(BODY)]  # (16, 5, 3, 6)
    return parts.reshape(N_STEPS, len(BODY), -1).astype(np.float32)


# ---------------------------------------------------------------- label histories


def histories(clips):
    """Codes of past labels against those and the next one, of verb, noun and action."""
    past = clips.codes()
    after = np.where(clips.next_rows >= 0, clips.y[clips.next_rows], -1)[:, None]
    after = HistoryEncoder(clips.actions).fit_transform(after)  # (n, 1, 3)
    # Between them stands what is asked for.
    future = np.concatenate([past, np.zeros_like(after), after], axis=1)
    # Where parts share videos, so do the folds on which choices are made.
    if clips.shared:
        folds = balanced_folds(clips.y, N_FOLDS)
    else:
        folds = video_folds(clips.videos, N_FOLDS)
    return Pairs(
        past,
        future,
        clips.y,
        clips.videos,
        folds,
        [(clips.training, clips.test)],
        next_rows=clips.next_rows,
        groups=clips.videos,
        figures={"score": "recall@5", "top-1": "top-1", "top-5": "top-5"},
    )


def kitchen(n_seen):
    """Synthetic sequences, to show that the benchmark runs where there is no data."""
    data = make_kitchen(12, n_steps=3, random_state=0)
    future = np.concatenate([data.X_past, data.X_future], axis=1)
    past = data.X_past[:, -n_seen:]
    y = np.unique(data.y % 5, return_inverse=True)[1]
    rows = np.arange(len(y))
    folds = data.groups % N_FOLDS
    parts = [(rows[folds > 0], rows[folds == 0])]
    return Pairs(past, future, y, data.groups, folds, parts)
