"""Clips of public annotations: histories of past actions and what labels mean."""

import csv
from pathlib import Path

import numpy as np

from skanticipate.datasets import (
    label_history,
    label_sequences,
    make_kitchen,
    read_segments,
)


class Task:
    """Clips of one data set: histories, labels, videos, and what labels mean."""

    def __init__(self, history, y, videos, starts, actions, glove):
        self.history, self.y, self.videos, self.starts = history, y, videos, starts
        self.actions, self.glove = actions, glove
        self.classes = np.array(sorted(actions))

    def select(self, keep):
        """The task restricted to some clips."""
        aligned = (self.history, self.y, self.videos, self.starts)
        return Task(*(a[keep] for a in aligned), self.actions, self.glove)

    def sequences(self):
        """Labels of each video in the order of their starts."""
        columns = ("video", "start_frame", "stop_frame", "action")
        table = (self.videos, self.starts, self.starts, self.y)
        return label_sequences(dict(zip(columns, table, strict=True)))


def read_actions(path):
    """Verb and noun of each label of the converted data."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {int(r["id"]): (r["verb_name"], r["noun_name"]) for r in rows}


def load(name, root):
    """Training and validation task of a data set."""
    if name == "kitchen":
        return load_kitchen()
    root = Path(root)
    actions = read_actions(root / name / "actions.csv")
    glove = root / "glove" / "glove.840B.300d.kitchen.txt"
    if name == "epic55":
        files = [root / name / f"{part}.csv" for part in ("train", "validation")]
        return [task_of(read_segments(file), actions, glove) for file in files]
    table = read_segments(root / name / "clips.csv")
    task = task_of(table, actions, glove)
    return [task.select(table.split1 == part) for part in ("train", "validation")]


def task_of(table, actions, glove):
    """Clips of a table of segments."""
    return Task(
        label_history(table, history=5, anticipation_time=1.0, rule="ended", fps=30),
        table.action,
        table.video,
        table.start_frame,
        actions,
        glove,
    )


def load_kitchen():
    """Synthetic clips, to show that the benchmark runs where there is no data."""
    kitchen = make_kitchen(24, random_state=0)
    words = sorted({w for pair in kitchen.actions.values() for w in pair})
    vectors = np.random.default_rng(0).standard_normal((len(words), 8))
    glove = dict(zip(words, vectors, strict=True))
    starts = np.arange(len(kitchen.y))
    task = Task(
        kitchen.past_actions, kitchen.y, kitchen.groups, starts, kitchen.actions, glove
    )
    held = np.isin(task.videos, np.unique(task.videos)[::4])
    return task.select(~held), task.select(held)


def split_videos(task, fraction, seed=0):
    """Part of the training videos on which every choice is made."""
    videos = np.unique(task.videos)
    held = np.random.default_rng(seed).permutation(videos)[
        : round(fraction * len(videos))
    ]
    inner = np.isin(task.videos, held)
    return task.select(~inner), task.select(inner)
