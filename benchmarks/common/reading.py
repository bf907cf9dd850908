"""Teachers that read the past actions: alone, and as others ask them."""

import csv

import numpy as np
from joblib import delayed
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GroupKFold

from common.answers import cross_fitted, proba_of
from common.outcomes import FIGURES, outcomes
from common.report import print_header, print_row
from skanticipate import CosineSchedule, HistoryTeacher, LanguageTeacher
from skanticipate.teachers import pretrain_language_model

# Last actions that are read. The first two were chosen on parts of the training clips,
# the third keeps fine-tuning on a CPU to minutes.
N_READ, N_FROZEN, N_TUNED = 10, 3, 5
N_STEPS = 5  # of a recipe, in one text
SEPARATOR = ", "


def practise(model, texts, folder):
    """Let a language model fill in the words of recipes, and write it to a folder."""
    sentences = []
    for name in ("youcook2_steps.csv", "tacos_sentences.csv"):
        videos = {}
        with open(texts / name, newline="") as file:
            for row in csv.DictReader(file):
                videos.setdefault(row["video"], []).append(row["sentence"])
        for steps in videos.values():
            starts = range(0, len(steps), N_STEPS)
            sentences += [SEPARATOR.join(steps[k : k + N_STEPS]) for k in starts]
    records = pretrain_language_model(
        model,
        sentences,
        folder,
        max_epochs=2,
        batch_size=32,
        lr_schedule=CosineSchedule(),
        random_state=0,
    )
    losses = ", ".join(f"{record['loss']:.2f}" for record in records)
    print(f"{len(sentences)} texts of recipes, losses {losses}", flush=True)


def teacher_alone(clips, rule, teacher, length):
    """Fit a teacher on the training clips.   -> outcomes on the test clips."""
    read, rows = clips.histories[rule][:, -length:], clips.training
    teacher.fit(read[rows], clips.y[rows], groups=clips.videos[rows])
    proba = proba_of(teacher, read[clips.test], clips.classes)
    return outcomes(proba, clips.y[clips.test], clips.classes, clips.many_shot)


def readers(clips, budget):
    """Teachers, and how many actions they read, by name."""
    found = {"HistoryTeacher": (HistoryTeacher(clips.actions, random_state=0), N_READ)}
    common = {
        "actions": clips.actions,
        "template": "{verb} {noun}",
        "separator": SEPARATOR,
        "noun_order": "reading" if clips.shared else "head_first",
        "random_state": 0,
    }
    tuning = {
        "freeze": False,
        "max_epochs": budget.tune_epochs,
        "lr": budget.tune_lr,
        "lr_schedule": CosineSchedule(),
    }
    for name, model in (("encoder", budget.model), ("on recipes", budget.recipes)):
        if model is not None:
            frozen = LanguageTeacher(model, **common)
            found[f"{name}, frozen"] = frozen, N_FROZEN
            if budget.tune_epochs:
                tuned = LanguageTeacher(model, **tuning, **common)
                found[f"{name}, fine-tuned"] = tuned, N_TUNED
    return found


def show_teachers(clips, name, budget, parallel):
    """Table of all teachers by all rules.

    Parameters
    ----------
    clips : Clips
        Whose test part is answered for.
    name : str
        Name of the data set.
    budget : Namespace
        Arguments of `text_teacher.py`.
    parallel : joblib.Parallel
        Which fits the teachers, and gives one at a time.
    """
    jobs = [
        (rule, label, teacher, length)
        for rule in budget.rules
        for label, (teacher, length) in readers(clips, budget).items()
        if budget.readers is None or label in budget.readers
    ]
    found = parallel(
        delayed(teacher_alone)(clips, rule, teacher, length)
        for rule, _, teacher, length in jobs
    )
    print(f"\n### teachers alone, {name}, fitted on {len(clips.training)} clips\n")
    print_header("rule", "teacher", *FIGURES)
    for (rule, label, *_), figures in zip(jobs, found, strict=True):
        cells = [f"{100 * figures[figure].mean():.2f}" for figure in FIGURES]
        print_row(rule, label, *cells)


def answers_by_video(teacher, X, y, groups, classes):
    """Answers of teachers that did not see the video they answer for.   -> (n, C)."""

    def fit(rows):
        return clone(teacher).fit(X[rows], y[rows], groups=groups[rows])

    folds = GroupKFold(3).split(X, y, groups)
    return cross_fitted(fit, X, folds, classes, dtype=np.float32)


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
