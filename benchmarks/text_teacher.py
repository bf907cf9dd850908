"""Teachers that read the past actions: alone, and what their students learn.

Teachers. Labels of the last actions, true ones, by three rules: all segments that
started earlier, those that had started at least 1 s before, those that had ended by
then. `HistoryTeacher` against a sentence encoder (`--model FOLDER`), frozen and
fine-tuned (`--tune-epochs`), as it comes and after practice on recipes
(`--recipes FOLDER`, which is written where it is not there yet).

Students. They see codes of the last 5 actions that had ended at least 1 s before; the
text teacher (`HistoryTeacher` with one network) reads 15 actions by the rule "all". The
control's teacher reads what the student sees. In the ablation a student hears a prior,
a teacher that also sees the next action (those of training clips only), the text
teacher, or several. Teachers are cross-fitted by video (3 folds), once for all
students. All rows take the same number of optimiser steps. Past labels are given, by
the protocol: on EGTEA, where parts share videos, those of training clips include
validation clips.

Every choice is made on parts of the training videos (of the clips on EGTEA, whose parts
share videos), each 15 %, drawn `--inner-parts` times; it is printed and written down:
head and steps of the student by top-5 accuracy with labels alone; prior, weights and
temperature by the metric of the paper; and where signals are joined, for each of them
all or half of the weight chosen for it. Then each row is fitted with 5 seeds and the
validation clips are scored once. EPIC-KITCHENS-55 as usual, EGTEA Gaze+ split 1.

    python benchmarks/text_teacher.py --data FOLDER [--parts teachers students]
"""

import os
import warnings
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import next_action_parser, parse_with_data
from common.choices import best_first, fit_all, stack
from common.data import RULES, load_clips
from common.gains import gain_of, lines_of
from common.outcomes import FIGURES, outcomes
from common.pairs import histories
from common.reading import Remembered, answers_by_video, practise, show_teachers
from common.report import OUTPUT, print_gains, read_json, write_csv, write_json
from joblib import Parallel, delayed
from sklearn.frozen import FrozenEstimator

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    DistilledAnticipator,
    GloVePrior,
    HistoryTeacher,
    RecognitionTeacher,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
)

PAPER = {"egtea": "class-mean top-1"}  # elsewhere many-shot recall@5
PRIORS = {
    "uniform": lambda clips: UniformPrior(),
    "GloVe": lambda clips: GloVePrior(clips.actions, clips.glove),
    "transition": lambda clips: TransitionPrior(clips.actions),
}
CONTROL = "text of what it sees (control)"
# Which signals a row hears.
ROWS = {
    "labels only": (),
    CONTROL: ("short text",),
    "text": ("text",),
    "prior": ("prior",),
    "future": ("future",),
    "prior + future": ("prior", "future"),
    "prior + text": ("prior", "text"),
    "future + text": ("future", "text"),
    "prior + future + text": ("prior", "future", "text"),
}
# Does it pay to read more than the student sees, and to join all signals?
QUESTIONS = (("text", CONTROL), ("prior + future + text", "text"))


class Choice(NamedTuple):
    """Everything that is chosen for a row of the table."""

    head: str = "linear"
    epochs: int = 12
    prior: str = "uniform"
    smoothing: float = 0.0
    text: str = "text"  # or "short text"
    text_weight: float = 0.0
    text_temperature: float = 1.0
    future_weight: float = 0.0


# -------------------------------------------------------------------------- teachers


def future_teacher(clips, seed=0):
    """Network that also sees the next action."""
    return RecognitionTeacher(
        LSTM(256, cell="gru", embedding=64, embedding_std=1.0, dropout=0.5),
        classes=clips.classes,
        max_epochs=12,
        lr_schedule=CosineSchedule(),
        random_state=seed,
    )


def answers(clips, parallel, folder):
    """Cross-fitted answers of every teacher about the training clips, in files.

    -> {"text", "short text", "future": memory map (n training, C)}
    """
    rows = clips.training
    futures = histories(clips).futures(rows, known=rows)
    y, groups = clips.y[rows], clips.videos[rows]
    read = HistoryTeacher(clips.actions, n_networks=1, random_state=0)
    jobs = {
        "text": (read, clips.histories["all"][rows]),
        "short text": (read, clips.seen[rows]),
        "future": (future_teacher(clips), futures),
    }
    found = parallel(
        delayed(answers_by_video)(teacher, X, y, groups, clips.classes)
        for teacher, X in jobs.values()
    )
    told, folder = {}, Path(mkdtemp(dir=folder))
    for name, proba in zip(jobs, found, strict=True):
        file = folder / f"{name}.npy"
        np.save(file, proba)
        told[name] = np.load(file, mmap_mode="r")  # worker processes open the file
    return told


# -------------------------------------------------------------------------- students


def fit_and_look(choice, clips, told, seed):
    """Fit a row once and look at it.   -> {figure: (test clips,)}."""
    warnings.simplefilter("ignore")  # words that GloVe does not know, once a fit
    rows = clips.training
    past = clips.codes()
    head = VerbNounHead(clips.actions) if choice.head == "verb-noun" else None
    given = {}
    if choice.future_weight:
        given["teacher_proba"] = told["future"]
    text_teacher = None
    if choice.text_weight:
        remembered = Remembered(told[choice.text], clips.classes).fit(None)
        text_teacher = FrozenEstimator(remembered)
        given["past_actions"] = np.arange(len(rows))[:, None]
    student = DistilledAnticipator(
        MLP(256, embedding=64, dropout=0.5, head=head),
        prior=PRIORS[choice.prior](clips),
        smoothing=choice.smoothing,
        teacher_weight=choice.future_weight,
        text_teacher=text_teacher,
        text_weight=choice.text_weight,
        text_temperature=choice.text_temperature,
        classes=clips.classes,
        max_epochs=choice.epochs,
        lr_schedule=CosineSchedule(),
        random_state=seed,
    )
    student.fit(past[rows], clips.y[rows], y_past=clips.seen[rows, -1], **given)
    proba = student.predict_proba(past[clips.test])
    return outcomes(proba, clips.y[clips.test], clips.classes, clips.many_shot)


def signals(budget):
    """Settings of each signal that may be chosen: {signal: [setting, ...]}."""
    return {
        "prior": [
            {"prior": prior, "smoothing": weight}
            for prior in PRIORS
            for weight in budget.smoothing
        ],
        "future": [{"future_weight": weight} for weight in budget.weights],
        **{
            text: [
                {"text": text, "text_weight": weight, "text_temperature": temperature}
                for weight in budget.weights
                for temperature in budget.temperatures
            ]
            for text in ("text", "short text")
        },
    }


def choose(clips, figure, budget, parallel, folder):
    """Choose every row on parts of the training videos.   -> {row: (Choice, %)}."""
    parts = [clips.inner(clips.units, seed=seed) for seed in range(budget.inner_parts)]
    runs = [
        (part, answers(part, parallel, folder), 100 + k) for k, part in enumerate(parts)
    ]

    def best(candidates, by=figure):
        looks = fit_all(fit_and_look, candidates, runs, parallel)
        return best_first(candidates, looks, by)[0]

    plain, score = best(
        [Choice(h, e) for h in ("linear", "verb-noun") for e in budget.epochs], "top-5"
    )
    rows, chosen = {"labels only": (plain, score)}, {}
    for signal, settings in signals(budget).items():
        choice, score = best([plain._replace(**setting) for setting in settings])
        chosen[signal] = next(s for s in settings if plain._replace(**s) == choice)
        rows[signal] = choice, score
    for row, heard in ROWS.items():
        if len(heard) > 1 and row in budget.rows:
            shares = product((1.0, 0.5), repeat=len(heard))
            rows[row] = best(
                [plain._replace(**together(chosen, heard, s)) for s in shares]
            )
    rows[CONTROL] = rows.pop("short text")
    kept = {"labels only", *budget.rows}
    return {row: rows[row] for row in ROWS if row in kept}


def together(chosen, heard, shares):
    """Settings of several signals, each with a share of the weight chosen for it."""
    weights = ("smoothing", "text_weight", "future_weight")
    return {
        name: value * share if name in weights else value
        for signal, share in zip(heard, shares, strict=True)
        for name, value in chosen[signal].items()
    }


def write_down(name, rows):
    """Print the choice, and write it to a file, before anything is measured."""
    plain = {row: [choice._asdict(), score] for row, (choice, score) in rows.items()}
    write_json(f"text_teacher_{name}", plain)
    print(f"{name}: chosen on parts of the training videos (inner figure in brackets)")
    for row, (choice, score) in rows.items():
        print(f"  {row}: {choice} ({score})", flush=True)


def read_choice(name, rows):
    """Choice of an earlier run, as it was written down."""
    plain = read_json(f"text_teacher_{name}")
    return {r: (Choice(**plain[r][0]), plain[r][1]) for r in plain if r in rows}


def measure(clips, rows, budget, parallel, folder):
    """Fit every row with every seed.   -> {row: {figure: (seeds, clips)}}."""
    told = answers(clips, parallel, folder)
    runs = [(clips, told, seed) for seed in range(budget.seeds)]
    looks = fit_all(fit_and_look, [c for c, _ in rows.values()], runs, parallel)
    return {row: stack(found) for row, found in zip(rows, looks, strict=True)}


# ------------------------------------------------------------------------- reporting


def show_students(name, results, videos):
    """Table of every row, each figure with its gain over labels only."""
    others = {row: "labels only" for row in results if row != "labels only"}
    gains = {f"{figure} gain": (figure, others) for figure in FIGURES}
    lines = lines_of(results, videos, gains)
    print(f"\n### students, {name}\n\ngains over labels only (se seeds / se clips)\n")
    print_gains(lines, dict(zip(FIGURES, FIGURES, strict=True)))
    write_csv(f"text_teacher_{name}", lines)


def show_answers(results, videos):
    """Differences between the rows of each question."""
    for row, other in QUESTIONS:
        if row in results and other in results:
            print(f"\n{row}, less {other} (se seeds / se clips):")
            for figure in FIGURES:
                pair = results[row][figure], results[other][figure]
                print(f"  {figure} {gain_of(*pair, videos):.2f}")


def arguments():
    """What is run."""
    parser = next_action_parser(__doc__)
    parser.add_argument("--parts", nargs="+", default=["teachers", "students"])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument(
        "--chosen", action="store_true", help="measure the choice of an earlier run"
    )
    parser.add_argument("--rules", nargs="+", default=list(RULES))
    parser.add_argument("--model", help="folder of a sentence encoder")
    parser.add_argument("--recipes", help="folder of the encoder after recipes")
    parser.add_argument("--readers", nargs="+", help="teachers by name; default all")
    parser.add_argument(
        "--inner", action="store_true", help="try teachers on a part of training clips"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the training videos, for teachers"
    )
    parser.add_argument("--tune-epochs", type=int, default=0, help="0: frozen only")
    parser.add_argument("--tune-lr", type=float, default=1e-4)
    parser.add_argument("--inner-parts", type=int, default=2)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--smoothing", type=float, nargs="+", default=[0.25, 0.5])
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 2.0])
    tiny = {"sets": ["kitchen"], "rules": ["all"], "jobs": 1, "tune_epochs": 1}
    tiny |= {"seeds": 2, "inner_parts": 1, "epochs": [2], "weights": [1.0]}
    tiny |= {"smoothing": [0.3], "temperatures": [1.0]}
    return parse_with_data(parser, tiny)


def run_teachers(name, clips, budget):
    """Teachers alone."""
    part = clips.inner(clips.units) if budget.inner else clips.few(budget.share)
    parallel = Parallel(n_jobs=budget.jobs, return_as="generator")
    show_teachers(part, name, budget, parallel)


def run_students(name, clips, budget):
    """Choose, write the choice down, measure once, report."""
    parallel = Parallel(n_jobs=budget.jobs)
    with TemporaryDirectory() as folder:
        if budget.chosen:
            rows = read_choice(name, {"labels only", *budget.rows})
        else:
            figure = PAPER.get(name, "recall@5")
            rows = choose(clips, figure, budget, parallel, folder)
            write_down(name, rows)
        results = measure(clips, rows, budget, parallel, folder)
    videos = clips.videos[clips.test]
    show_students(name, results, videos)
    show_answers(results, videos)


def main():
    """Teachers alone, then their students, on every data set."""
    budget = arguments()
    if budget.tiny:
        from common.tiny_model import write_tiny_model  # students need no transformers

        actions = load_clips("kitchen", None).actions
        names = [" ".join(pair) for pair in actions.values()]
        budget.model = write_tiny_model(OUTPUT / "tiny_model", names)
    if budget.recipes and not Path(budget.recipes).exists():
        practise(budget.model, Path(budget.data) / "text", budget.recipes)
    for name in budget.sets:
        clips = load_clips(name, budget.data)
        print(f"{name}: {len(clips.training)} clips to learn from, {len(clips.test)}")
        if "teachers" in budget.parts:
            run_teachers(name, clips, budget)
        if "students" in budget.parts:
            run_students(name, clips, budget)


if __name__ == "__main__":
    main()
