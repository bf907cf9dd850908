"""Pairs of past and future clips of public data: what students and teachers see."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _clips import read_actions

from skanticipate import HistoryEncoder
from skanticipate.datasets import label_history, make_kitchen, read_segments

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
    shown : ndarray of shape (n, T) or None
        Row whose label a step of a future tells, -1 for none.
    groups : ndarray of shape (n,) or None
        What cross-fitting and label keeping must not tear apart.
    by_recall : bool
        Scored by class-mean recall among five answers, rather than by accuracy.
    """

    past: np.ndarray
    future: np.ndarray
    y: np.ndarray
    units: np.ndarray
    folds: np.ndarray
    parts: list
    shown: np.ndarray | None = None
    groups: np.ndarray | None = None
    by_recall: bool = False

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
        if self.shown is None:
            return futures
        shown = self.shown[rows]
        secret = (shown >= 0) & ~np.isin(shown, known)
        return np.where(secret[..., None], 0, futures)  # 0 codes an unknown label


def keep_labels(y, fraction, seed):
    """Hide all but a share of the labels, the same of every class.   -> y with -1."""
    if fraction >= 1:
        return y
    rng = np.random.default_rng(seed)
    kept = np.full_like(y, -1)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        kept[rows[: max(1, round(fraction * len(rows)))]] = label
    return kept


def load(name, root):
    """Pairs of a data set by its name, such as "manoeuvres-2" or "egtea-1"."""
    kind, _, number = name.rpartition("-")
    if kind == "kitchen":
        return kitchen(int(number))
    root = Path(root)
    if kind == "manoeuvres":
        return manoeuvres(root, int(number))
    if kind == "jhmdb":
        return jhmdb(root, int(number))
    if kind == "epic55":
        return epic55(root, int(number))
    return egtea(root, int(number))


# -------------------------------------------------------------------------- clips


def manoeuvres(root, n_seen):
    """Driver manoeuvres: the first steps of 7 against all of them, five folds."""
    data = np.load(root / "brain4cars" / "manoeuvres.npz", allow_pickle=False)
    future, fold = data["sequences"], data["fold"]
    rows = np.arange(len(fold))
    parts = [(rows[fold != f], rows[fold == f]) for f in range(5)]
    return Pairs(future[:, :n_seen], future, data["labels"], rows, fold, parts)


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
    return Pairs(past, future, data["labels"], rows, balanced(data["labels"]), parts)


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


def balanced(y, seed=0):
    """Random folds with the same share of every class.   (n,) -> (n,)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    folds = np.empty(len(y), int)
    folds[order] = np.arange(len(y)) % N_FOLDS
    return folds


# ---------------------------------------------------------------- label histories


def egtea(root, split):
    """EGTEA Gaze+: labels of past actions; the teacher also sees the next ones."""
    table = read_segments(root / "egtea" / "clips.csv")
    is_test = table[f"split{split}"] == "validation"
    # Parts share videos, and so do the folds on which choices are made.
    folds = balanced(table.action)
    return histories(
        table, read_actions(root / "egtea" / "actions.csv"), is_test, folds
    )


def epic55(root, _):
    """EPIC-KITCHENS-55, the same; parts and folds are made of whole videos."""
    tables = [
        read_segments(root / "epic55" / f"{part}.csv")
        for part in ("train", "validation")
    ]
    names = ("video", "start_frame", "stop_frame", "action")
    table = {n: np.concatenate([t[n] for t in tables]) for n in names}
    is_test = np.repeat([False, True], [len(t.action) for t in tables])
    videos, codes = np.unique(table["video"], return_inverse=True)
    folds = np.random.default_rng(0).permutation(len(videos))[codes] % N_FOLDS
    return histories(
        table, read_actions(root / "epic55" / "actions.csv"), is_test, folds
    )


def histories(table, actions, is_test, folds, n_next=1):
    """Past labels against past and next labels, as codes of verb, noun and action."""
    encoder = HistoryEncoder(actions)
    past_labels = label_history(
        table, history=5, anticipation_time=1.0, rule="ended", fps=30
    )
    past = encoder.fit_transform(past_labels)
    following = next_rows(table, n_next)  # (n, n_next)
    after = np.where(following >= 0, np.asarray(table["action"])[following], -1)
    target = np.zeros((len(past), 1, past.shape[-1]), past.dtype)  # what is asked for
    future = np.concatenate([past, target, encoder.transform(after)], axis=1)
    nothing = np.full((len(past), future.shape[1] - n_next), -1)
    rows = np.arange(len(past))
    videos = np.unique(table["video"], return_inverse=True)[1]
    return Pairs(
        past,
        future,
        np.asarray(table["action"]),
        videos,
        folds,
        [(rows[~is_test], rows[is_test])],
        shown=np.concatenate([nothing, following], axis=1),
        groups=videos,
        by_recall=True,
    )


def next_rows(table, n_next):
    """Rows of the next segments of the same video, -1 after the last.   (n, n_next)."""
    columns = (np.asarray(table[n]) for n in ("stop_frame", "start_frame", "video"))
    order = np.lexsort(tuple(columns))
    video = np.asarray(table["video"])[order]
    found = np.full((len(order), n_next), -1)
    for k in range(1, n_next + 1):
        same = video[k:] == video[:-k]
        found[order[:-k][same], k - 1] = order[k:][same]
    return found


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
