"""What a teacher that sees the future brings on real data, and its controls.

Tasks: driver manoeuvres (the first 2 or 4 of 7 steps against all), JHMDB poses (the
first fifth of the frames against the whole clip) and next actions of EGTEA Gaze+ and
EPIC-KITCHENS-55 (labels of past actions against past and next ones; of the next ones a
teacher sees those of training clips only).

Protocol. A share of the labels of the training part is kept, other clips stay as pairs
without label. All rows take the same number of optimiser steps, with as many labelled
clips in each. Steps, teachers and weights are chosen on folds of the training part,
and written down; then every row is fitted with 5 seeds, which also draw the labels that
are kept, and the test part is scored once. Five-fold data choose for each part anew.

    python benchmarks/distillation.py --data FOLDER [--tasks manoeuvres-2 egtea-1]
"""

import argparse
import os
import warnings
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import data_parser, parse_with_data
from common.choices import stack
from common.figure import figure_of_rows
from common.gains import lines_of
from common.outcomes import outcomes
from common.pairs import load_pairs
from common.report import print_header, print_row, write_csv, write_json
from common.teaching import (
    Row,
    Staff,
    Teachers,
    Training,
    future_answers,
    lesson,
    predictions,
)

SHARES = {"manoeuvres": (0.1, 0.2, 0.5, 1.0), "jhmdb": (0.2, 1.0), "kitchen": (0.2,)}

SOFT = {
    "labels only": Row(),
    "soft targets of a teacher of the past": Row("past"),
    "soft targets": Row("future"),
}
START = {
    "start, soft targets of a teacher of the past": Row("past", start=True),
    "start, soft targets": Row("future", start=True),
}
FEATURES = {
    "start": Row("future", soft=False, start=True),
    "start, weak": Row("future", False, True, "weak"),
    "start, soft targets, weak": Row("future", True, True, "weak"),
    "start, soft targets, teacher direction": Row("future", True, True, "teacher"),
    "start, soft targets, pooled": Row("future", True, True, "pooled"),
}
DIRECT = {  # needs as many positions in the past as in the future
    "start, direct": Row("future", False, True, "direct"),
    "start, soft targets, direct": Row("future", True, True, "direct"),
}
ADJUSTED = {
    f"{name}, logits adjusted": row._replace(tau=0.4) for name, row in SOFT.items()
}
ROWS = {
    "manoeuvres": SOFT | START | FEATURES,
    "jhmdb": SOFT | START | FEATURES | DIRECT,
    "egtea": SOFT | ADJUSTED,
    "epic55": SOFT | ADJUSTED,
    "kitchen": SOFT | START | FEATURES,
}
WITH_MAPS = ("manoeuvres", "jhmdb")  # kinds with rows of feature losses
OPTIONS = {"unlabeled_fraction": 0.5, "feature_weight": 0.1, "teacher_weight": 0.5}
TASKS = ["manoeuvres-2", "manoeuvres-4", "jhmdb-1", "jhmdb-2", "egtea-1", "egtea-2"]


class Plan(NamedTuple):
    """Everything that is chosen for a part."""

    training: Training
    teachers: Teachers
    options: dict


# ---------------------------------------------------------------------- choosing


def candidates(kind, fraction):
    """What is chosen from: trainings, sizes of the ensemble, options of the rows."""
    if kind == "kitchen":
        return [Training("GRU", 10, 8)], [{"n_networks": 1}], [OPTIONS]
    if kind == "manoeuvres":
        trainings = [Training("GRU", steps, 16) for steps in (200, 400)]
        teachers = [{"n_networks": 2, "n_trees": n} for n in (0, 1)]
    elif kind == "jhmdb":
        networks = "pose GRU", "pose frames"
        trainings = [Training(n, steps, 32) for n in networks for steps in (300, 600)]
        teachers = [{"n_networks": 1}]
    else:
        trainings = [Training("history GRU", n, 256, 2e-3, 1e-4) for n in (200, 300)]
        teachers = [{"n_networks": 1}]
    if fraction < 1:
        return trainings, teachers, varied("unlabeled_fraction", 0.5, 0.75)
    # A teacher is sure of the clips it was fitted on: the answers of others teach more.
    teachers = [{**size, "cross_fit": 3} for size in teachers]
    return trainings, teachers, varied("teacher_weight", 0.5, 1.0, 2.0)


def varied(name, *values):
    """Options with one of them varied."""
    return [{**OPTIONS, name: value} for value in values]


class InnerFolds:
    """Folds of a training part, on which students and teachers are compared."""

    def __init__(self, pairs, training_rows, fraction, n_folds):
        self.pairs = pairs
        self.given, self.y, self.staffs = [], [], {}
        for k, inner in enumerate(pairs.inner_parts(training_rows, n_folds)):
            self.given.append(lesson(pairs, inner, fraction, seed=1000 + k))
            self.y.append(pairs.y[inner[1]])

    def staff(self, k, teachers):
        """Teachers of a fold, fitted once."""
        if (k, teachers) not in self.staffs:
            self.staffs[k, teachers] = Staff(self.given[k], teachers, 1000 + k)
        return self.staffs[k, teachers]

    def student(self, row, training, teachers, options):
        """Mean score of a row."""
        scores = []
        for k, given in enumerate(self.given):
            staff = self.staff(k, teachers)
            seed = 1000 + k
            found = predictions({"": row}, given, staff, training, options, seed)
            scores.append(score(found[""], self.y[k], self.pairs))
        return np.mean(scores)

    def teacher(self, teachers):
        """Mean score of a teacher on futures."""
        scores = []
        for k, given in enumerate(self.given):
            proba = future_answers(given, teachers, seed=1000 + k)
            scores.append(score(proba, self.y[k], self.pairs))
        return np.mean(scores)


def scored(proba, y, pairs):
    """What each clip adds to the figures of the table.   -> {figure: (n,)}."""
    found = outcomes(proba, y, pairs.classes)
    return {shown: found[name] for shown, name in pairs.figures.items()}


def score(proba, y, pairs):
    """Mean of what the table is about."""
    return scored(proba, y, pairs)["score"].mean()


def choose(pairs, training_rows, kind, fraction, n_folds):
    """Choose training, teachers and options, in this order.   -> Plan."""
    trainings, sizes, options = candidates(kind, fraction)
    folds = InnerFolds(pairs, training_rows, fraction, n_folds)
    training = best(trainings, lambda t: folds.student(Row(), t, None, options[0]))
    teachers = best([Teachers(training, **size) for size in sizes], folds.teacher)
    taught = Row("future", start=kind in WITH_MAPS)
    chosen = best(options, lambda o: folds.student(taught, training, teachers, o))
    if kind in WITH_MAPS:
        weak = taught._replace(alignment="weak")
        weights = [{**chosen, "feature_weight": w} for w in (0.1, 1.0, 10.0)]
        chosen = best(weights, lambda o: folds.student(weak, training, teachers, o))
    return Plan(training, teachers, chosen)


def best(values, value_of):
    """The first of those with the highest value; a single one needs no look."""
    return values[0] if len(values) == 1 else max(values, key=value_of)


def write_down(title, plans):
    """Write the choices to a file, before anything is measured."""
    plain = [
        {
            "training": plan.training._asdict(),
            "teachers": {**plan.teachers._asdict(), "training": None},
            "options": plan.options,
        }
        for plan in plans
    ]
    write_json(f"distillation_{title}", plain)


# --------------------------------------------------------------------- measuring


def measure(pairs, plans, rows, fraction, n_seeds):
    """Fit every row with every seed and score it.

    -> {row: {figure: (seeds, clips)}}, clips in the order of the parts.
    """
    found = {}
    for seed in range(n_seeds):
        looks = [
            look(pairs, part, plan, rows, fraction, seed)
            for part, plan in zip(pairs.parts, plans, strict=True)
        ]
        for name, figures in looks[0].items():
            joined = {
                f: np.concatenate([one[name][f] for one in looks]) for f in figures
            }
            found.setdefault(name, []).append(joined)
    return {name: stack(seeds) for name, seeds in found.items()}


def look(pairs, part, plan, rows, fraction, seed):
    """Outcomes of the test clips of a part under every row, and of its teacher."""
    given = lesson(pairs, part, fraction, seed)
    staff = Staff(given, plan.teachers, seed)
    found = predictions(rows, given, staff, plan.training, plan.options, 100 + seed)
    found["(the teacher, of futures)"] = future_answers(given, plan.teachers, seed)
    y = pairs.y[part[1]]
    return {name: scored(proba, y, pairs) for name, proba in found.items()}


def run(name, budget):
    """Choose, write the choice down, measure once, report: for every share."""
    kind = name.rpartition("-")[0]
    pairs = load_pairs(name, budget.data)
    rows = ROWS[kind]
    if not budget.features:
        rows = {n: row for n, row in rows.items() if n not in FEATURES | DIRECT}
    clips = np.concatenate([test for _, test in pairs.parts])
    for fraction in budget.labels or SHARES.get(kind, (1.0,)):
        title = f"{name}_{100 * fraction:g}"
        plans = [
            choose(pairs, training, kind, fraction, budget.inner_folds)
            for training, _ in pairs.parts
        ]
        write_down(title, plans)
        print(f"{title}: chosen {plans}", flush=True)
        results = measure(pairs, plans, rows, fraction, budget.seeds)
        lines = table_of(results, pairs.units[clips], controls(rows))
        show(title, pairs.figures, lines)
        write_csv(f"distillation_{title}", lines)
        draw(title, lines)


def controls(rows):
    """Row whose teacher sees the past only, of each row that has such a twin."""
    names = {row: name for name, row in rows.items()}
    taught = {name: row for name, row in rows.items() if row.sees == "future"}
    return {name: names.get(row._replace(sees="past")) for name, row in taught.items()}


def table_of(results, units, controls):
    """Lines of the table, with gains over labels only and over the control."""
    others = {row: "labels only" for row in results if row != "labels only"}
    gains = {"gain": ("score", others), "over control": ("score", controls)}
    return lines_of(results, units, gains)


def show(title, figures, lines):
    """Print the table."""
    print(f"\n### {title}\n")
    print_header("row", *figures, "gain (se seeds / se clips)", "gain over control")
    for line in lines:
        gains = (line.get(name) for name in ("gain", "over control"))
        cells = [f"{line[figure]:.1f}" for figure in figures]
        print_row(line["row"], *cells, *(f"{g:.1f}" if g else "" for g in gains))


def draw(title, lines):
    """Gain of every row with two standard errors."""
    lines = [line for line in lines if "gain" in line][::-1]
    rows = [line["row"] for line in lines]
    with figure_of_rows(f"distillation_{title}", rows, 4) as ax:
        for k, line in enumerate(lines):
            colour = "tab:gray" if "of the past" in line["row"] else "tab:blue"
            gain, *errors = line["gain"]
            error = 2 * max(errors)
            ax.errorbar(gain, k, xerr=error, color=colour, fmt="o", capsize=3)
        ax.axvline(0, color="black", linewidth=0.8)
        xlabel = "gain over labels only, points (two standard errors)"
        ax.set(title=title, xlabel=xlabel)


def main():
    """Run every task."""
    parser = data_parser(__doc__)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--labels", type=float, nargs="+", help="shares of labels kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--features", action=argparse.BooleanOptionalAction, default=True
    )
    parser.add_argument("--inner-folds", type=int, default=4)
    tiny = {"tasks": ["kitchen-2"], "labels": None, "seeds": 2, "inner_folds": 1}
    budget = parse_with_data(parser, tiny)
    for name in budget.tasks:
        run(name, budget)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)  # classes missing from a fold
    main()
