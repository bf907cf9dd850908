"""Clips whose past is told in two ways: to a student, and to a teacher that reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _clips import read_actions
from _futures import next_rows
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GroupKFold

from skanticipate import HistoryEncoder
from skanticipate.datasets import label_history, make_kitchen, read_segments

RULES = ("all", "started", "ended")
METRICS = ("top-1", "top-5", "class-mean top-1", "recall@5")


@dataclass(frozen=True)
class Clips:
    """Clips of a data set.

    Attributes
    ----------
    histories : dict of str to ndarray of shape (n, 15)
        Labels of past actions by each rule: all segments that started earlier; those
        that had started, or ended, at least 1 s before.
    y, videos : ndarray of shape (n,)
        Labels and videos.
    next_rows : ndarray of shape (n,)
        Row of the next segment of the video, -1 after the last.
    training, test : ndarray of rows
        The parts.
    actions : dict
        Verb and noun of each label.
    glove : path or mapping
        Word vectors.
    many_shot : ndarray or None
        Labels over which recall is averaged; None means all that occur.
    shared : bool
        Whether training and test part share videos.
    """

    histories: dict
    y: np.ndarray
    videos: np.ndarray
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

    def codes(self, rule, length):
        """Codes of verb, noun and action of the last actions.   -> (n, length, 3)."""
        encoder = HistoryEncoder(self.actions)
        return encoder.fit_transform(self.histories[rule][:, -length:])

    def few(self, share, seed=0):
        """The same with a share of the training videos, and all test clips."""
        names = np.unique(self.videos[self.training])
        kept = np.random.default_rng(seed).permutation(names)[
            : round(share * len(names))
        ]
        training = self.training[np.isin(self.videos[self.training], kept)]
        return Clips(**{**vars(self), "training": training})

    def inner(self, fraction=0.15, seed=0):
        """The training part, divided as the whole is, for choices."""
        units = self.training if self.shared else self.videos[self.training]
        names = np.random.default_rng(seed).permutation(np.unique(units))
        held = np.isin(units, names[: round(fraction * len(names))])
        parts = {"training": self.training[~held], "test": self.training[held]}
        return Clips(**{**vars(self), **parts})


def load(name, root):
    """Clips of "epic55", "egtea" (split 1) or the synthetic "kitchen"."""
    if name == "kitchen":
        return load_kitchen()
    root = Path(root)
    many_shot = None
    if name == "epic55":
        tables = [
            read_segments(root / name / f"{part}.csv")
            for part in ("train", "validation")
        ]
        columns = ("video", "start_frame", "stop_frame", "action")
        table = {c: np.concatenate([t[c] for t in tables]) for c in columns}
        is_test = np.repeat([False, True], [len(t.action) for t in tables])
        many_shot = np.loadtxt(
            root / name / "many_shot_actions.csv",
            delimiter=",",
            skiprows=1,
            usecols=0,
            dtype=int,
        )
    else:
        table = read_segments(root / name / "clips.csv")
        is_test = table.split1 == "validation"
    histories = {
        rule: label_history(table, history=15, anticipation_time=1.0, rule=rule, fps=30)
        for rule in RULES
    }
    return Clips(
        histories,
        np.asarray(table["action"]),
        np.unique(table["video"], return_inverse=True)[1],
        next_rows(table, 1)[:, 0],
        np.flatnonzero(~is_test),
        np.flatnonzero(is_test),
        read_actions(root / name / "actions.csv"),
        root / "glove" / "glove.840B.300d.kitchen.txt",
        many_shot,
        shared=name == "egtea",
    )


def load_kitchen():
    """Synthetic clips, to show that the benchmark runs where there is no data."""
    kitchen = make_kitchen(24, history=15, random_state=0)
    names = sorted({w for pair in kitchen.actions.values() for w in pair})
    vectors = np.random.default_rng(0).standard_normal((len(names), 8))
    rows = np.arange(len(kitchen.y))
    last = np.append(kitchen.groups[1:] != kitchen.groups[:-1], True)
    return Clips(
        dict.fromkeys(RULES, kitchen.past_actions),
        kitchen.y,
        kitchen.groups,
        np.where(last, -1, rows + 1),
        rows[kitchen.groups % 4 > 0],
        rows[kitchen.groups % 4 == 0],
        kitchen.actions,
        dict(zip(names, vectors, strict=True)),
    )


def cross_fitted(teacher, X, y, groups, classes, n_folds=3):
    """Answers of teachers that did not see the video they answer for.   -> (n, C)."""
    proba = np.zeros((len(y), len(classes)), dtype=np.float32)
    for fitted, held in GroupKFold(n_folds).split(X, y, groups):
        one = clone(teacher).fit(X[fitted], y[fitted], groups=groups[fitted])
        columns = np.searchsorted(classes, one.classes_)
        proba[held[:, None], columns] = one.predict_proba(X[held])
    return proba


class Remembered(ClassifierMixin, BaseEstimator):
    """A teacher whose answers were worked out before: it is asked by row numbers."""

    def __init__(self, proba, classes):
        self.proba, self.classes = proba, classes

    def fit(self, X, y=None):
        """Nothing to learn."""
        self.classes_ = self.classes
        return self

    def predict_proba(self, X):
        """Rows (n, 1) -> (n, C)."""
        return self.proba[np.asarray(X)[:, 0]]


def outcomes(proba, clips):
    """What each test clip adds to the metrics.   (n, C) -> {metric: (n,)}.

    The mean over clips of "class-mean top-1" and "recall@5" is the mean of the recall
    of the classes that occur, the latter of the many-shot ones.
    """
    columns = np.searchsorted(clips.classes, clips.y[clips.test])
    order = np.argsort(-proba, axis=1, kind="stable")[:, :5]
    hits = (order == columns[:, None]).astype(float)
    counts = np.bincount(columns, minlength=len(clips.classes))
    counted = counts > 0
    weights = len(columns) / (counted.sum() * counts[columns])
    if clips.many_shot is not None:
        counted &= np.isin(clips.classes, clips.many_shot)
    kept = counted[columns] * len(columns) / (counted.sum() * counts[columns])
    top_1, top_5 = hits[:, 0], hits.any(axis=1).astype(float)
    return dict(
        zip(METRICS, (top_1, top_5, top_1 * weights, top_5 * kept), strict=True)
    )
