"""RULSTM and AttentiveProbe beside the GRU, and remedies for its long tail.

The task and its protocol are those of `next_action.py`: the last five labels that had
ended at least 1 s before, EPIC-KITCHENS-55 and EGTEA Gaze+ (split 1). All networks are
256 units wide, read embeddings of 64 and take the same number of optimiser steps, that
which was chosen for the GRU.

Every choice (head and embedding, what NETWORKS lists, steps, weight of the verb and
noun terms, logit adjustment) is made on 15 % of the training videos, printed and
written down; then each row is fitted on all training clips with 5 seeds and the
validation clips are scored once. Logit adjustment needs no fit of its own. Networks are
chosen by top-5 accuracy, the remedies by mean top-5 recall.

    python benchmarks/networks.py --data FOLDER [--sets egtea epic55] [--jobs 2]
"""

import argparse
import csv
import json
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _clips import load, split_videos
from _paired import paired_difference
from joblib import Parallel, delayed

from skanticipate import (
    LSTM,
    RULSTM,
    AttentiveProbe,
    CosineSchedule,
    HistoryEncoder,
    MarginalLoss,
    SmoothedAnticipator,
    VerbNounHead,
)

OUTPUT = Path(__file__).parent / "output"
METRICS = ("top-1", "top-5", "mean top-5 recall")
NETWORKS = {
    "GRU": [{}],
    # Its dropout stands in three places, where the GRU has one.
    "RULSTM": [{"anticipation_steps": 1, "dropout": p} for p in (0.5, 0.3)],
    "AttentiveProbe": [{"n_blocks": 1}, {"n_blocks": 2}],
}
INPUTS = [("linear", 1.0), ("verb-noun", 0.1)]  # those that other runs have chosen
TERM_WEIGHTS = [0.3, 1.0]
ADJUSTMENTS = [0.0, 0.2, 0.4, 0.6, 0.8]


class Choice(NamedTuple):
    """Everything that is chosen for a row of the table."""

    net: str
    options: dict
    head: str = "linear"
    embedding_std: float = 1.0
    epochs: int = 12
    term_weight: float = 0.0  # of the verb and the noun term


def network(choice, actions, width=256):
    """Spec of the network of a row."""
    common = {
        "embedding": 64,
        "embedding_std": choice.embedding_std,
        "dropout": 0.5,
        "head": VerbNounHead(actions) if choice.head == "verb-noun" else None,
        **choice.options,
    }
    if choice.net == "GRU":
        return LSTM(width, cell="gru", **common)
    if choice.net == "RULSTM":
        return RULSTM(width, **common)
    return AttentiveProbe(width, input_dropout=0.5, layer_dropout=0.2, **common)


def fit_and_look(train, test, choice, seed, adjustments=(0.0,)):
    """Fit a row once and look at it.   -> {logit adjustment: {metric: (clips,)}}."""
    encoder = HistoryEncoder(train.actions).fit(train.history)
    terms = None
    if choice.term_weight:
        weights = {f"{part}_weight": choice.term_weight for part in ("verb", "noun")}
        terms = MarginalLoss(train.actions, **weights)
    model = SmoothedAnticipator(
        network(choice, train.actions),
        smoothing=0.0,
        marginal_loss=terms,
        classes=train.classes,
        max_epochs=choice.epochs,
        batch_size=128,
        lr=2e-3,
        lr_schedule=CosineSchedule(),
        weight_decay=1e-4,
        random_state=seed,
    )
    model.fit(encoder.transform(train.history), train.y)
    past = encoder.transform(test.history)
    found = {}
    for adjustment in adjustments:
        model.set_params(logit_adjustment=adjustment)
        found[adjustment] = outcomes(model.predict_proba(past), test)
    return found


def outcomes(proba, task):
    """What each clip adds to the metrics.   (n, C) -> {metric: (n,)}.

    The mean of the last over clips is the mean over classes of their top-5 recall.
    """
    columns = np.searchsorted(task.classes, task.y)
    order = np.argsort(-proba, axis=1, kind="stable")[:, :5]
    hits = order == columns[:, None]
    counts = np.bincount(columns)
    weights = len(columns) / (np.count_nonzero(counts) * counts[columns])
    top_5 = hits.any(axis=1).astype(float)
    top_1 = hits[:, 0].astype(float)
    return dict(zip(METRICS, (top_1, top_5, top_5 * weights), strict=True))


# ---------------------------------------------------------------------- choosing


def choose(train, budget, run):
    """Choose on a part of the training videos.

    Returns
    -------
    dict of row to (Choice, logit adjustment, inner figure)
    """
    inner = split_videos(train, 0.15)
    rows, epochs = {}, sorted(budget.epochs)[len(budget.epochs) // 2]
    for net in budget.networks:
        candidates = [
            Choice(net, options, head, std, epochs)
            for options in NETWORKS[net]
            for head, std in INPUTS
        ]
        best, score = look(candidates, inner, budget, run, "top-5")[0]
        if net == "GRU":
            candidates = [best._replace(epochs=n) for n in budget.epochs]
            best, score = look(candidates, inner, budget, run, "top-5")[0]
            epochs = best.epochs
        rows[net] = best, 0.0, score
    first = budget.networks[0]
    return rows | choose_remedies(first, rows[first][0], inner, budget, run)


def choose_remedies(net, plain, inner, budget, run):
    """Weight of the verb and noun terms, and logit adjustment with and without."""
    candidates = [plain._replace(term_weight=w) for w in (0.0, *budget.term_weights)]
    kept = {"adjustments": ADJUSTMENTS}
    order = look(candidates, inner, budget, run, METRICS[2], **kept)
    rows = {}
    for name, wanted in (
        ("verb and noun terms", lambda c, a: c.term_weight > 0 and a == 0),
        ("logit adjustment", lambda c, a: c.term_weight == 0 and a > 0),
        ("both", lambda c, a: c.term_weight > 0 and a > 0),
    ):
        rows[f"{net}, {name}"] = next(
            (choice, adjustment, score)
            for (choice, adjustment), score in order
            if wanted(choice, adjustment)
        )
    return rows


def look(candidates, inner, budget, run, metric, adjustments=None):
    """Candidates with a metric over the inner seeds, best first, in per cent.

    With `adjustments` a candidate is a pair (Choice, logit adjustment).
    """
    seeds = [100 + seed for seed in range(budget.inner_seeds)]
    found = run(
        delayed(fit_and_look)(*inner, choice, seed, adjustments or (0.0,))
        for choice in candidates
        for seed in seeds
    )
    scores = {}
    for k in range(len(candidates)):
        runs = found[k * len(seeds) : (k + 1) * len(seeds)]
        for adjustment in runs[0]:
            mean = np.mean([r[adjustment][metric].mean() for r in runs])
            scores[k, adjustment] = round(100 * float(mean), 2)
    order = sorted(scores, key=lambda key: -scores[key])
    if adjustments is None:
        return [(candidates[k], scores[k, a]) for k, a in order]
    return [((candidates[k], a), scores[k, a]) for k, a in order]


def write_down(name, rows):
    """Print the choice, and write it to a file, before anything is measured."""
    plain = {row: [c._asdict(), a, score] for row, (c, a, score) in rows.items()}
    (OUTPUT / f"networks_{name}.json").write_text(json.dumps(plain, indent=1))
    print("chosen on a part of the training videos (inner figure in brackets):")
    for row, (choice, adjustment, score) in rows.items():
        print(
            f"  {row}: {tuple(choice)}, adjustment {adjustment} ({score})", flush=True
        )


# --------------------------------------------------------------------- measuring


def measure(train, test, rows, budget, run):
    """Fit every row with every seed.   -> {row: {metric: (seeds, clips)}}."""
    wanted = {}  # rows that differ in the adjustment share their fits
    for choice, adjustment, _ in rows.values():
        wanted.setdefault(json.dumps(choice), (choice, set()))[1].add(adjustment)
    found = run(
        delayed(fit_and_look)(train, test, choice, seed, sorted(adjustments))
        for choice, adjustments in wanted.values()
        for seed in range(budget.seeds)
    )
    fits = {
        key: found[k * budget.seeds : (k + 1) * budget.seeds]
        for k, key in enumerate(wanted)
    }
    return {
        row: {
            metric: np.array([fit[adjustment][metric] for fit in fits[json.dumps(c)]])
            for metric in METRICS
        }
        for row, (c, adjustment, _) in rows.items()
    }


def table_of(results, videos):
    """One line a row: metrics, and the difference of each to its reference.

    A network is compared with the first one, a remedy with its network without it.
    """
    first, lines = next(iter(results)), []
    for row, figures in results.items():
        line = {"row": row}
        net, _, remedy = row.partition(", ")
        other = results[net if remedy else first]
        for metric in METRICS:
            means = 100 * figures[metric].mean(axis=1)
            line[metric], line[f"{metric} sd"] = means.mean(), means.std(ddof=1)
            if row != first:
                pair = figures[metric], other[metric]
                found = 100 * np.array(paired_difference(*pair, videos))
                parts = ("difference", "se seeds", "se clips")
                keys = (f"{metric} {part}" for part in parts)
                line.update(zip(keys, found, strict=True))
        lines.append(line)
    return lines


def show(title, lines):
    """Print a table as Markdown."""
    header = ["row", *METRICS]
    print(f"\n### {title}\n\ndifferences in brackets (se seeds / se clips)\n")
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for line in lines:
        cells = [line["row"], *(cell(line, metric) for metric in METRICS)]
        print("| " + " | ".join(cells) + " |", flush=True)


def cell(line, metric):
    """Mean and deviation of a metric, and its difference to the reference."""
    text = f"{line[metric]:.2f} ± {line[f'{metric} sd']:.2f}"
    if f"{metric} difference" not in line:
        return text
    difference = line[f"{metric} difference"]
    errors = line[f"{metric} se seeds"], line[f"{metric} se clips"]
    return f"{text}, {difference:+.2f} ({errors[0]:.2f} / {errors[1]:.2f})"


def main():
    """Choose, write the choice down, measure once, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--sets", nargs="+", default=["egtea", "epic55"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--inner-seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, nargs="+", default=[8, 12, 18])
    parser.add_argument("--term-weights", type=float, nargs="+", default=TERM_WEIGHTS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    budget = parser.parse_args()
    if budget.tiny or budget.data is None:
        budget.sets, budget.seeds, budget.jobs = ["kitchen"], 2, 1
        budget.epochs, budget.term_weights = [2], [1.0]
    OUTPUT.mkdir(exist_ok=True)
    run = Parallel(n_jobs=budget.jobs)
    for name in budget.sets:
        train, test = load(name, budget.data)
        print(f"{name}: {len(train.y)} training and {len(test.y)} validation clips")
        rows = choose(train, budget, run)
        write_down(name, rows)
        lines = table_of(measure(train, test, rows, budget, run), test.videos)
        show(name, lines)
        with open(OUTPUT / f"networks_{name}.csv", "w", newline="") as file:
            columns = dict.fromkeys(key for line in lines for key in line)
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(lines)


if __name__ == "__main__":
    main()
