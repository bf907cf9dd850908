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

import argparse
import csv
import json
import os
import warnings
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _paired import paired_difference
from _readers import METRICS, RULES, Remembered, cross_fitted, load, outcomes
from _text_alone import practise, show_teachers
from joblib import Parallel, delayed
from sklearn.frozen import FrozenEstimator

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    DistilledAnticipator,
    GloVePrior,
    HistoryEncoder,
    HistoryTeacher,
    RecognitionTeacher,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
)

OUTPUT = Path(__file__).parent / "output"
N_SEEN = 5  # actions that a student sees
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


def futures(clips):
    """Codes of the last five actions, a gap, and the next action.   (n, 7, 3)."""
    past = clips.codes("ended", N_SEEN)
    labels = clips.y[clips.next_rows][:, None]
    after = HistoryEncoder(clips.actions).fit_transform(labels)  # (n, 1, 3)
    after[~np.isin(clips.next_rows, clips.training)] = 0  # the code of an unknown label
    after[clips.next_rows < 0] = -1
    return np.concatenate([past, np.zeros_like(after), after], axis=1)


def answers(clips, run, folder):
    """Cross-fitted answers of every teacher about the training clips, in files.

    -> {"text", "short text", "future": memory map (n training, C)}
    """
    rows = clips.training
    y, groups = clips.y[rows], clips.videos[rows]
    read = HistoryTeacher(clips.actions, n_networks=1, random_state=0)
    jobs = {
        "text": (read, clips.histories["all"][rows]),
        "short text": (read, clips.histories["ended"][rows][:, -N_SEEN:]),
        "future": (future_teacher(clips), futures(clips)[rows]),
    }
    found = run(
        delayed(cross_fitted)(teacher, X, y, groups, clips.classes)
        for teacher, X in jobs.values()
    )
    told, folder = {}, Path(mkdtemp(dir=folder))
    for name, proba in zip(jobs, found, strict=True):
        file = folder / f"{name}.npy"
        np.save(file, proba)
        told[name] = np.load(file, mmap_mode="r")  # worker processes open the file
    return told


# -------------------------------------------------------------------------- students


def fit_and_look(clips, told, choice, seed):
    """Fit a row once and look at it.   -> {metric: (clips,)}."""
    warnings.simplefilter("ignore")  # words that GloVe does not know, once a fit
    rows = clips.training
    past = clips.codes("ended", N_SEEN)
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
    last = clips.histories["ended"][rows][:, -1]
    student.fit(past[rows], clips.y[rows], y_past=last, **given)
    return outcomes(student.predict_proba(past[clips.test]), clips)


def choose(clips, metric, budget, run, folder):
    """Choose every row on parts of the training videos.   -> {row: (Choice, %)}."""
    parts = [clips.inner(seed=seed) for seed in range(budget.inner_parts)]
    told = [answers(part, run, folder) for part in parts]

    def best(candidates, by=metric):
        found = run(
            delayed(fit_and_look)(part, heard, choice, 100 + seed)
            for choice in candidates
            for seed, (part, heard) in enumerate(zip(parts, told, strict=True))
        )
        scores = np.reshape([f[by].mean() for f in found], (-1, len(parts))).mean(1)
        top = int(np.argmax(scores))
        return candidates[top], round(100 * float(scores[top]), 2)

    plain, score = best(
        [Choice(h, e) for h in ("linear", "verb-noun") for e in budget.epochs], "top-5"
    )
    rows = {"labels only": (plain, score)}
    signals = {
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
    chosen = {}
    for signal, settings in signals.items():
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
    (OUTPUT / f"text_teacher_{name}.json").write_text(json.dumps(plain, indent=1))
    print(f"{name}: chosen on parts of the training videos (inner figure in brackets)")
    for row, (choice, score) in rows.items():
        print(f"  {row}: {choice} ({score})", flush=True)


def read_choice(name, rows):
    """Choice of an earlier run, as it was written down."""
    plain = json.loads((OUTPUT / f"text_teacher_{name}.json").read_text())
    return {
        r: (Choice(**choice), score)
        for r, (choice, score) in plain.items()
        if r in rows
    }


def measure(clips, rows, budget, run, folder):
    """Fit every row with every seed.   -> {row: {metric: (seeds, clips)}}."""
    told = answers(clips, run, folder)
    found = run(
        delayed(fit_and_look)(clips, told, choice, seed)
        for choice, _ in rows.values()
        for seed in range(budget.seeds)
    )
    return {
        row: {
            metric: np.array(
                [f[metric] for f in found[k * budget.seeds : (k + 1) * budget.seeds]]
            )
            for metric in METRICS
        }
        for k, row in enumerate(rows)
    }


def show_students(name, results, videos):
    """Table of every row, each metric with its gain over labels only."""
    lines = []
    for row, figures in results.items():
        line = {"row": row}
        for metric in METRICS:
            means = 100 * figures[metric].mean(axis=1)
            line[metric], line[f"{metric} sd"] = means.mean(), means.std(ddof=1)
            keys = (f"{metric} {part}" for part in ("gain", "se seeds", "se clips"))
            found = gain(results, row, "labels only", metric, videos)
            line.update(zip(keys, found, strict=True))
        lines.append(line)
    print(f"\n### students, {name}\n\ngains over labels only (se seeds / se clips)\n")
    header = ("row", *METRICS)
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for line in lines:
        cells = [line["row"], *(cell(line, metric) for metric in METRICS)]
        print("| " + " | ".join(cells) + " |", flush=True)
    with open(OUTPUT / f"text_teacher_{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def show_answers(results, videos):
    """Differences between the rows of each question."""
    for row, other in QUESTIONS:
        if row in results and other in results:
            print(f"\n{row}, less {other} (se seeds / se clips):")
            for metric in METRICS:
                found = gain(results, row, other, metric, videos)
                print(f"  {metric} {found[0]:+.2f} ({found[1]:.2f} / {found[2]:.2f})")


def gain(results, row, other, metric, videos):
    """Paired difference of two rows, its errors over seeds and clips.   -> (3,) %."""
    pair = results[row][metric], results[other][metric]
    return 100 * np.array(paired_difference(*pair, videos))


def cell(line, metric):
    """Mean and deviation of a metric, and its gain."""
    text = f"{line[metric]:.2f} ± {line[f'{metric} sd']:.2f}"
    if line["row"] == "labels only":
        return text
    more, seeds, clips = (
        line[f"{metric} {part}"] for part in ("gain", "se seeds", "se clips")
    )
    return f"{text}, {more:+.2f} ({seeds:.2f} / {clips:.2f})"


def main():
    """Teachers alone; students: choose, write the choice down, measure once, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--sets", nargs="+", default=["egtea", "epic55"])
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
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--inner-parts", type=int, default=2)
    parser.add_argument("--epochs", type=int, nargs="+", default=[8, 12, 18])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--smoothing", type=float, nargs="+", default=[0.25, 0.5])
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    budget = parser.parse_args()
    OUTPUT.mkdir(exist_ok=True)
    if budget.tiny or budget.data is None:
        budget.sets, budget.rules, budget.jobs = ["kitchen"], ["all"], 1
        budget.seeds, budget.inner_parts, budget.epochs = 2, 1, [2]
        budget.weights, budget.smoothing, budget.temperatures = [1.0], [0.3], [1.0]
        from _tiny_model import write_tiny_model  # students need no transformers

        names = [" ".join(pair) for pair in load("kitchen", None).actions.values()]
        budget.model = write_tiny_model(OUTPUT / "tiny_model", names)
        budget.tune_epochs = 1
    run = Parallel(n_jobs=budget.jobs)
    if budget.recipes and not Path(budget.recipes).exists():
        practise(budget.model, Path(budget.data) / "text", budget.recipes)
    for name in budget.sets:
        clips = load(name, budget.data)
        print(f"{name}: {len(clips.training)} clips to learn from, {len(clips.test)}")
        if "teachers" in budget.parts:
            part = clips.inner() if budget.inner else clips.few(budget.share)
            show_teachers(part, name, budget)
        if "students" in budget.parts:
            with TemporaryDirectory() as folder:
                metric = PAPER.get(name, "recall@5")
                if budget.chosen:
                    rows = read_choice(name, {"labels only", *budget.rows})
                else:
                    rows = choose(clips, metric, budget, run, folder)
                    write_down(name, rows)
                results = measure(clips, rows, budget, run, folder)
            show_students(name, results, clips.videos[clips.test])
            show_answers(results, clips.videos[clips.test])


if __name__ == "__main__":
    main()
