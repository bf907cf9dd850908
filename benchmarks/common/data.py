"""Clips of public annotations: what was done before each, and what labels mean."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.actions import read_actions
from common.folds import held_out
from skanticipate import HistoryEncoder
from skanticipate.datasets import (
    label_history,
    label_sequences,
    make_kitchen,
    read_segments,
)

RULES = ("all", "started", "ended")
N_SEEN = 5  # past actions that a student sees


@dataclass(frozen=True)
class Clips:
    """Labelled clips of a data set, divided into two parts.

    Attributes
    ----------
    histories : dict of str to ndarray of shape (n, 15)
        Labels of past actions by each rule: all segments that started earlier; those
        that had started, or ended, at least 1 s before.
    y, videos : ndarray of shape (n,)
        Labels and codes of videos.
    starts : ndarray of shape (n,)
        First frame of each clip.
    next_rows : ndarray of shape (n,)
        Row of the next segment of the video, -1 after the last.
    training, test : ndarray of int
        Rows of the parts.
    actions : dict
        Label -> (verb, noun).
    glove : path or mapping
        Word vectors.
    many_shot : ndarray or None
        Labels over which recall is averaged; None means all that occur.
    shared : bool
        Whether the parts share videos.
    """

    histories: dict
    y: np.ndarray
    videos: np.ndarray
    starts: np.ndarray
    next_rows: np.ndarray
    training: np.ndarray
    test: np.ndarray
    actions: dict
    glove: object
    many_shot: np.ndarray | None = None
    shared: bool = False

    @property
    def classes(self):
        """All labels."""
        return np.array(sorted(self.actions))

    @property
    def seen(self):
        """Labels of the last actions that had ended 1 s before.   -> (n, N_SEEN)."""
        return self.histories["ended"][:, -N_SEEN:]

    @property
    def units(self):
        """What the parts do not share: clips, or videos where they can.   -> (n,)."""
        return np.arange(len(self.y)) if self.shared else self.videos

    def codes(self):
        """Codes of verb, noun and action of what is seen.   -> (n, N_SEEN, 3)."""
        return HistoryEncoder(self.actions).fit_transform(self.seen)

    def sequences(self):
        """Labels of each training video in the order of their starts."""
        starts = self.starts[self.training]
        table = {"video": self.videos, "action": self.y}
        table = {name: values[self.training] for name, values in table.items()}
        return label_sequences({**table, "start_frame": starts, "stop_frame": starts})

    def few(self, share, seed=0):
        """The same with a share of the training videos, and all test clips."""
        kept = held_out(self.videos[self.training], share, seed)
        return replace(self, training=self.training[kept])

    def inner(self, units, fraction=0.15, seed=0):
        """The training part, divided for choices.

        Parameters
        ----------
        units : ndarray of shape (n,)
            What of all the clips must not be torn apart.
        fraction : float
            Share of the units that are held out as the test part.
        seed : int
            Which are.
        """
        held = held_out(units[self.training], fraction, seed)
        return replace(self, training=self.training[~held], test=self.training[held])


def load_clips(name, root, split=1):
    """Clips of "epic55", "egtea" (of which there are 3 splits) or "kitchen"."""
    if name == "kitchen":
        return load_kitchen()
    root = Path(root)
    many_shot = None
    if name == "epic55":
        files = [root / name / f"{part}.csv" for part in ("train", "validation")]
        tables = [read_segments(file) for file in files]
        columns = ("video", "start_frame", "stop_frame", "action")
        table = {c: np.concatenate([t[c] for t in tables]) for c in columns}
        is_test = np.repeat([False, True], [len(t.action) for t in tables])
        file = root / name / "many_shot_actions.csv"
        many_shot = np.loadtxt(file, int, delimiter=",", skiprows=1, usecols=0)
    else:
        table = read_segments(root / name / "clips.csv")
        is_test = table[f"split{split}"] == "validation"
    histories = {
        rule: label_history(table, history=15, anticipation_time=1.0, rule=rule, fps=30)
        for rule in RULES
    }
    return Clips(
        histories,
        np.asarray(table["action"]),
        np.unique(table["video"], return_inverse=True)[1],
        np.asarray(table["start_frame"]),
        next_rows(table),
        np.flatnonzero(~is_test),
        np.flatnonzero(is_test),
        read_actions(root / name / "actions.csv"),
        root / "glove" / "glove.840B.300d.kitchen.txt",
        many_shot,
        shared=name == "egtea",
    )


def load_kitchen():
    """Synthetic clips, to show that a benchmark runs where there is no data."""
    kitchen = make_kitchen(24, history=15, random_state=0)
    words = sorted({word for pair in kitchen.actions.values() for word in pair})
    vectors = np.random.default_rng(0).standard_normal((len(words), 8))
    rows = np.arange(len(kitchen.y))
    return Clips(
        dict.fromkeys(RULES, kitchen.past_actions),
        kitchen.y,
        kitchen.groups,
        rows,
        next_rows({"video": kitchen.groups, "start_frame": rows, "stop_frame": rows}),
        rows[kitchen.groups % 4 > 0],
        rows[kitchen.groups % 4 == 0],
        kitchen.actions,
        dict(zip(words, vectors, strict=True)),
    )


def next_rows(table):
    """Rows of the next segments of the same video, -1 after the last.   -> (n,)."""
    columns = ("stop_frame", "start_frame", "video")
    order = np.lexsort([np.asarray(table[name]) for name in columns])
    video = np.asarray(table["video"])[order]
    found = np.full(len(order), -1)
    same = video[1:] == video[:-1]
    found[order[:-1][same]] = order[1:][same]
    return found
