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
import json
import os
import warnings
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _futures import load
from _gains import draw, outcomes, save, show, table_of
from _teaching import (
    Row,
    Staff,
    Teachers,
    Training,
    ensemble,
    in_order,
    lesson,
    predictions,
)

OUTPUT = Path(__file__).parent / "output"
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
            labelled = given.y >= 0
            found = ensemble(
                given.future[labelled],
                given.y[labelled],
                given.classes,
                teachers,
                seed=1000 + k,
            )
            proba = in_order(found, given.future_test, given.classes)
            scores.append(score(proba, self.y[k], self.pairs))
        return np.mean(scores)


def score(proba, y, pairs):
    """Mean of what the table shows of each clip."""
    return outcomes(proba, y, pairs)["score"].mean()


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


def write_down(path, plans):
    """Write the choices to a file, before anything is measured."""
    plain = [
        {
            "training": plan.training._asdict(),
            "teachers": {**plan.teachers._asdict(), "training": None},
            "options": plan.options,
        }
        for plan in plans
    ]
    path.write_text(json.dumps(plain, indent=1))


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
        for name in looks[0]:
            figures = {
                key: np.concatenate([one[name][key] for one in looks])
                for key in looks[0][name]
            }
            found.setdefault(name, []).append(figures)
    return {
        name: {key: np.stack([f[key] for f in several]) for key in several[0]}
        for name, several in found.items()
    }


def look(pairs, part, plan, rows, fraction, seed):
    """Outcomes of the test clips of a part under every row, and of its teacher."""
    given = lesson(pairs, part, fraction, seed)
    staff = Staff(given, plan.teachers, seed)
    found = predictions(rows, given, staff, plan.training, plan.options, 100 + seed)
    labelled = given.y >= 0
    teacher = ensemble(
        given.future[labelled], given.y[labelled], given.classes, plan.teachers, seed
    )
    proba = in_order(teacher, given.future_test, given.classes)
    found["(the teacher, of futures)"] = proba
    y = pairs.y[part[1]]
    return {name: outcomes(proba, y, pairs) for name, proba in found.items()}


def run(name, budget):
    """Choose, write the choice down, measure once, report: for every share."""
    kind = name.rpartition("-")[0]
    pairs = load(name, budget.data)
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
        write_down(OUTPUT / f"distillation_{title}.json", plans)
        print(f"{title}: chosen {plans}", flush=True)
        results = measure(pairs, plans, rows, fraction, budget.seeds)
        lines = table_of(results, pairs.units[clips], controls(rows))
        show(title, lines)
        save(OUTPUT / f"distillation_{title}.csv", lines)
        draw(OUTPUT / f"distillation_{title}.png", title, lines)


def controls(rows):
    """Row whose teacher sees the past only, of each row that has such a twin."""
    names = {row: name for name, row in rows.items()}
    taught = {name: row for name, row in rows.items() if row.sees == "future"}
    return {name: names.get(row._replace(sees="past")) for name, row in taught.items()}


def main():
    """Run every task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--labels", type=float, nargs="+", help="shares of labels kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--features", action=argparse.BooleanOptionalAction, default=True
    )
    parser.add_argument("--inner-folds", type=int, default=4)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    budget = parser.parse_args()
    if budget.tiny or budget.data is None:
        budget.tasks, budget.labels = ["kitchen-2"], None
        budget.seeds, budget.inner_folds = 2, 1
    OUTPUT.mkdir(exist_ok=True)
    for name in budget.tasks:
        run(name, budget)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)  # classes missing from a fold
    main()
