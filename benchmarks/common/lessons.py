"""Clips of a part as they go into fits, and many fits on several of them at once."""

from typing import NamedTuple

import numpy as np

from common.arms import N_LABELLED, STEPS
from common.folds import held_out, keep_labels
from skanticipate import fit_many


class Lesson(NamedTuple):
    """A part with one choice of labels."""

    clips: dict  # "past", "future" -> (n, ...), scaled
    held: dict  # the same of the clips that are scored
    y: np.ndarray  # (n,), -1 where the label is hidden
    y_held: np.ndarray
    groups: np.ndarray
    classes: np.ndarray

    @property
    def labelled(self):
        """Rows that have a label."""
        return np.flatnonzero(self.y >= 0)

    @property
    def scarce(self):
        """Whether there are unlabelled rows."""
        return bool((self.y < 0).any())


def lesson(task, part, rows, held, share, seed):
    """Scale the clips of a part by those that it trains on, and hide labels."""
    past, future = task.clips(part)
    seen = np.concatenate(
        [clips[rows].reshape(-1, clips.shape[-1]) for clips in (past, future)]
    )
    mean, deviation = np.nanmean(seen, axis=0), np.nanstd(seen, axis=0)
    deviation = np.where(deviation > 1e-6, deviation, 1.0)

    def scaled(clips):
        return ((clips - mean) / deviation).astype(np.float32)

    y = task.y[rows].copy()
    if share < 1 and task.whole_groups:
        kept = held_out(task.groups[rows], share, seed)
        y[~kept] = -1
    else:
        y = keep_labels(y, share, seed)
    return Lesson(
        {"past": scaled(past[rows]), "future": scaled(future[rows])},
        {"past": scaled(past[held]), "future": scaled(future[held])},
        y,
        task.y[held],
        task.groups[rows],
        task.classes,
    )


def shuffled(one, seed):
    """A lesson in which the future of a clip is that of another."""
    order = np.random.default_rng(seed).permutation(len(one.y))
    return one._replace(clips={**one.clips, "future": one.clips["future"][order]})


def filled(rows, n_batch):
    """Rows repeated until they make a period of steps.   (n,) -> (m,)."""
    return np.resize(rows, max(STEPS * n_batch, len(rows)))


def fit_labelled(models, numbers, lessons, sees, score=False):
    """Fit models on the labelled clips of lessons, together.

    Parameters
    ----------
    models : list of SmoothedAnticipator
        Unfitted.
    numbers : list of int
        Lesson of each.
    lessons : list of Lesson
        Of the same rows: they differ in labels.
    sees : str
        What the models see: "past" or "future".
    score : bool
        Whether each epoch is scored on the clips that are held out.
    """
    n = len(lessons[0].y)
    train = [k * n + filled(lessons[k].labelled, N_LABELLED) for k in numbers]
    return fit_many(
        models,
        np.concatenate([one.clips[sees] for one in lessons]),
        np.concatenate([one.y for one in lessons]),
        train=train,
        **_validation(lessons[0], sees, score),
    )


def fit_taught(models, numbers, lessons, sees, answers, score=False):
    """Fit students on the past of lessons, with what a teacher sees.

    Parameters
    ----------
    models : list of DistilledAnticipator
        Unfitted.
    answers : list of ndarray of shape (n, C), or None
        Soft targets of each lesson; None: there are none.
    numbers, lessons, sees, score : object
        As in `fit_labelled`; `sees` is what the teacher sees.
    """
    n, n_classes = len(lessons[0].y), len(lessons[0].classes)
    if answers is None:
        answers = [np.full((n, n_classes), np.nan)] * len(lessons)
    n_batch = N_LABELLED * (1 + lessons[0].scarce)
    return fit_many(
        models,
        np.concatenate([one.clips["past"] for one in lessons]),
        np.concatenate([one.y for one in lessons]),
        np.concatenate([one.clips[sees] for one in lessons]),
        teacher_proba=np.concatenate(answers),
        train=[k * n + filled(np.arange(n), n_batch) for k in numbers],
        **_validation(lessons[0], "past", score),
    )


def _validation(one, sees, score):
    return {"X_val": one.held[sees], "y_val": one.y_held} if score else {}


def curves(fitted):
    """Log loss and accuracy on held-out clips after each epoch.   -> (m, P, 2)."""
    names = "val_loss", "val_accuracy"
    return np.array(
        [[[r[name] for name in names] for r in model.history_] for model in fitted]
    )
