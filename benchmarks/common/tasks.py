"""Sets of pairs of past and future with their parts, networks and what is a group."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.folds import balanced_folds, video_folds
from common.pairs import jhmdb, load_manoeuvres
from skanticipate import LSTM, FeatureMapNet, FrameMLP
from skanticipate.datasets import make_kitchen

NETWORKS = {  # name -> spec with a dropout
    "LSTM 32": lambda p: LSTM(32, dropout=p, input_dropout=0.6 * p),
    "GRU 64": lambda p: LSTM(64, cell="gru", dropout=p, input_dropout=0.6 * p),
    "frames 64": lambda p: FrameMLP(64, dropout=p, input_dropout=0.6 * p),
    "frames 128": lambda p: FrameMLP(128, dropout=p, input_dropout=0.6 * p),
    "largest 96": lambda p: FeatureMapNet(96, n_blocks=0, dropout=p),
}


@dataclass(frozen=True)
class Task:
    """Clips with what follows them, and how they are divided.

    Attributes
    ----------
    y, groups, folds : ndarray of shape (n,)
        Labels; what standard errors resample together; every fold is the test part of
        one part, and the next ones are what its choices are made on.
    clips : callable
        Number of a part -> past (n, T, d) and future (n, T', d), features of that part.
    networks : tuple of str
        Names in `NETWORKS` that are chosen from.
    whole_groups : bool
        Whether labels are hidden of whole groups.
    """

    y: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    clips: Callable
    networks: tuple
    whole_groups: bool = True

    @property
    def classes(self):
        """All labels."""
        return np.unique(self.y)

    @property
    def n_parts(self):
        """Number of folds."""
        return len(np.unique(self.folds))

    def part(self, number):
        """Rows of training and of test of a part."""
        held = self.folds == np.unique(self.folds)[number]
        return np.flatnonzero(~held), np.flatnonzero(held)

    def inner_parts(self, number, n_inner):
        """The training rows of a part, divided for choices: pairs of rows."""
        names = np.roll(np.unique(self.folds), -number)
        rows, _ = self.part(number)
        held = [self.folds[rows] == name for name in names[1 : n_inner + 1]]
        return [(rows[~h], rows[h]) for h in held]


def load_task(name, root):
    """Task of a set by its name, such as "salads50" or "manoeuvres-2"."""
    if name == "kitchen":
        return kitchen()
    kind, _, number = name.partition("-")
    root = Path(root)
    if kind == "manoeuvres":
        return manoeuvres(root, int(number))
    if kind == "poses":
        return poses(root)
    loaders = {"salads50": frames, "gtea": frames, "jhmdb": maps, "uti": maps}
    return crossings(root) if kind == "jaad" else loaders[kind](root, kind)


def same(past, future):
    """Clips that are the same for every part."""
    return lambda part: (past, future)


def manoeuvres(root, n_seen):
    """Driver manoeuvres: the first steps of 7 against all of them."""
    clips, y, fold = load_manoeuvres(root)
    networks = "LSTM 32", "frames 64"
    clips = same(clips[:, :n_seen], clips)
    return Task(y, np.arange(len(y)), fold, clips, networks, whole_groups=False)


def frames(root, kind):
    """The next action from frame features, by the networks trained for each split."""
    data = np.load(root / "visual" / f"{kind}_cnn" / "next_action.npz")
    past, future = (data[name].astype(np.float32) for name in ("X_past", "X_future"))
    return Task(
        data["y"].astype(int),
        data["video"],
        data["test_fold"],
        lambda part: (past[part], future[part]),
        ("GRU 64", "frames 128"),
    )


def maps(root, kind):
    """Maps of the start of a clip against those of its rest, on a coarse grid."""
    folder = root / "visual" / f"{kind}_maps"
    found = np.load(folder / "maps.npy").astype(np.float32)  # (n, l, h, w, d)
    with open(folder / "clips.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    y, fold = (np.array([int(row[c]) for row in rows]) for c in ("label", "fold"))
    groups = np.unique([row["group"] for row in rows], return_inverse=True)[1]
    seen = {"jhmdb": 4, "uti": 5}[kind]
    clips = same(coarse(found[:, :seen]), coarse(found[:, seen:]))
    return Task(y, groups, fold, clips, ("frames 128", "largest 96"))


def coarse(found):
    """Means over two halves in time, two rows and three columns, as 12 tokens.

    (n, l, h, w, d) -> (n, 12, d): attention over all cells takes too long here.
    """
    for axis, n_parts in ((1, 2), (2, 2), (3, 3)):
        parts = np.array_split(found, n_parts, axis=axis)
        found = np.concatenate([p.mean(axis, keepdims=True) for p in parts], axis)
    return found.reshape(len(found), -1, found.shape[-1])


def crossings(root):
    """Pedestrians before they may cross, against what they then do; own folds."""
    data = np.load(root / "visual" / "jaad" / "crossing.npz")
    past, future = (data[name].astype(np.float32) for name in ("X_past", "X_future"))
    fold = video_folds(data["video"], 4)
    networks = "LSTM 32", "frames 64"
    return Task(
        data["y"].astype(int), data["video"], fold, same(past, future), networks
    )


def poses(root):
    """JHMDB poses of split 1, the first fifth against the whole; own five folds."""
    pairs = jhmdb(root, 1)
    past, future = (c.reshape(*c.shape[:2], -1) for c in (pairs.past, pairs.future))
    fold = balanced_folds(pairs.y, 5)
    networks = "GRU 64", "frames 128"
    rows = np.arange(len(fold))
    return Task(pairs.y, rows, fold, same(past, future), networks, whole_groups=False)


def kitchen():
    """Synthetic sequences, to show that a benchmark runs where there is no data."""
    data = make_kitchen(12, n_steps=3, random_state=0)
    y = np.unique(data.y % 5, return_inverse=True)[1]
    clips = same(data.X_past, data.X_future)
    return Task(y, data.groups, data.groups % 3, clips, ("frames 64",))
