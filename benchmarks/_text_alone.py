"""Teachers that read the past actions, each by itself."""

import csv

import numpy as np
from _readers import METRICS, outcomes
from joblib import Parallel, delayed

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
    proba = np.zeros((len(clips.test), len(clips.classes)))
    columns = np.searchsorted(clips.classes, teacher.classes_)
    proba[:, columns] = teacher.predict_proba(read[clips.test])
    return outcomes(proba, clips)


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


def show_teachers(clips, name, budget):
    """Table of all teachers by all rules."""
    jobs = [
        (rule, label, teacher, length)
        for rule in budget.rules
        for label, (teacher, length) in readers(clips, budget).items()
        if budget.readers is None or label in budget.readers
    ]
    run = Parallel(n_jobs=budget.jobs, return_as="generator")
    found = run(
        delayed(teacher_alone)(clips, rule, teacher, length)
        for rule, _, teacher, length in jobs
    )
    print(f"\n### teachers alone, {name}, fitted on {len(clips.training)} clips\n")
    header = ("rule", "teacher", *METRICS)
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for (rule, label, *_), figures in zip(jobs, found, strict=True):
        cells = [f"{100 * figures[metric].mean():.2f}" for metric in METRICS]
        print("| " + " | ".join([rule, label, *cells]) + " |", flush=True)
