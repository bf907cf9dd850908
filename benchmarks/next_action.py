"""Next action from the last five actions: EPIC-KITCHENS-55 and EGTEA Gaze+.

Protocol. The input of a clip are the labels of the last 5 segments of its video that
had ended at least 1 s before it starts (true labels: a perfect recogniser of the past;
not comparable with numbers on video features). EPIC-55 trains and validates on the
usual disjoint videos; EGTEA uses split 1, whose parts share videos.

Every choice (epochs, smoothing weight, settings of a prior) is made on a part of the
training videos, printed and written down; then each row is fitted on all training clips
with 5 seeds and the validation clips are scored once. All rows of a network take the
same number of optimiser steps.

    python benchmarks/next_action.py --data FOLDER [--sets epic55 egtea] [--jobs 2]
"""

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _clips import load, split_videos
from _report import draw, save, show, table_of
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    GloVePrior,
    HistoryEncoder,
    MixturePrior,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.metrics import mean_top_k_recall_score

OUTPUT = Path(__file__).parent / "output"


# ------------------------------------------------------------------------- rows


def network(name, task, head, embedding_std):
    """Spec of a network; widths and dropout were found on training videos."""
    common = {
        "embedding": 64,
        "embedding_std": embedding_std,
        "dropout": 0.5,
        "head": VerbNounHead(task.actions) if head == "verb-noun" else None,
    }
    if name.endswith("GRU"):
        return LSTM(256, cell="gru", **common)
    return MLP(128 if name.startswith("plain") else 256, **common)


def prior(name, task, setting):
    """The prior of a row; a setting is what was chosen for it."""
    if name == "uniform":
        return UniformPrior()
    if name == "verb-noun":
        return VerbNounPrior(task.actions)
    if name == "GloVe":
        return GloVePrior(task.actions, task.glove, **setting)
    if name == "GloVe + verb-noun":
        return MixturePrior(
            [prior("GloVe", task, setting), VerbNounPrior(task.actions)]
        )
    if name == "temporal":
        return TemporalPrior(sequences=task.sequences(), **setting)
    if name == "transition":
        return TransitionPrior(task.actions, **setting)
    return MixturePrior(
        [TemporalPrior(sequences=task.sequences()), TransitionPrior(task.actions)]
    )


# The plain networks score classes by a linear layer and start from torch's embeddings:
# what a prior brings there is not what it brings to one that knows verbs and nouns.
PLAIN = {"head": "linear", "embedding_std": 1.0}
NETWORKS = [
    {"head": head, "embedding_std": std}
    for head in ("linear", "verb-noun")
    for std in (0.1, 1.0)
]
# What may be chosen for each row beside its weight.
SHARP = {"similarity": "expcosine", "power": 10.0}  # softmax of the cosine / 0.1
PRIORS = {
    "uniform": [{}],
    "verb-noun": [{}],
    "GloVe": [{}, SHARP],
    "GloVe + verb-noun": [{}, SHARP],
    "temporal": [{}, {"direction": "successor"}],
    "transition": [{}],
    "temporal + transition": [{}],
}


class Choice(NamedTuple):
    """Everything that is chosen for a row of the table."""

    net: str  # "MLP" or "GRU", or "plain ..."
    options: dict  # of the network
    batch_size: int
    epochs: int
    row: str = "one-hot"
    smoothing: float = 0.0
    setting: dict = {}  # of the prior


def fit_and_look(train, test, choice, seed):
    """Fit a row once and look at it.   -> what `outcomes` gives."""
    warnings.simplefilter("ignore")  # words that GloVe does not know, once a fit
    encoder = HistoryEncoder(train.actions).fit(train.history)
    hard = choice.row == "one-hot"
    model = SmoothedAnticipator(
        network(choice.net, train, **choice.options),
        prior=None if hard else prior(choice.row, train, choice.setting),
        smoothing=choice.smoothing,
        classes=train.classes,
        max_epochs=choice.epochs,
        batch_size=choice.batch_size,
        lr=2e-3,
        lr_schedule=CosineSchedule(),
        weight_decay=1e-4,
        random_state=seed,
    )
    model.fit(encoder.transform(train.history), train.y, y_past=train.history[:, -1])
    return outcomes(model.predict_proba(encoder.transform(test.history)), test)


def outcomes(scores, task):
    """Hits at 1 and at 5 of each clip, and mean top-5 recall."""
    columns = np.searchsorted(task.classes, task.y)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    hits = top == columns[:, None]
    recall = mean_top_k_recall_score(task.y, scores, k=5, classes=task.classes)
    return hits[:, 0], hits.any(axis=1), recall


# --------------------------------------------------------------------- baselines


def majority(train, test, setting):
    """Frequency of each class, for every clip."""
    counts = (train.y[:, None] == train.classes).sum(axis=0)
    return np.tile(counts.astype(float), (len(test.y), 1))


def markov(train, test, strength):
    """p(next | last action), backed off to p(next)."""
    return transitions(None, train, test, strength)


def markov_backed_off(train, test, strength):
    """p(next | last action), backed off over its noun and verb."""
    return transitions(train.actions, train, test, strength)


def transitions(actions, train, test, strength):
    """Rows of a fitted `TransitionPrior`, read as predictions."""
    table = TransitionPrior(actions, strength=strength)
    table.fit(train.classes, train.y, train.history[:, -1])
    return table.matrix_[table.rows(test.y, test.history[:, -1])]


def logistic_regression(train, test, inverse_penalty):
    """Logistic regression on one-hot coded verbs, nouns and actions."""
    encoder = HistoryEncoder(train.actions).fit(train.history)
    codes = [encoder.transform(t.history).reshape(len(t.y), -1) for t in (train, test)]
    onehot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32).fit(codes[0])
    fitted = LogisticRegression(C=inverse_penalty, max_iter=60, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the limit of iterations stops it early
        fitted.fit(onehot.transform(codes[0]), train.y)
    scores = np.zeros((len(test.y), len(train.classes)))
    columns = np.searchsorted(train.classes, fitted.classes_)
    scores[:, columns] = fitted.predict_proba(onehot.transform(codes[1]))
    return scores


BASELINES = {
    "majority": (majority, [None]),
    "Markov": (markov, [0.01, 1.0, 10.0, 100.0]),
    "Markov, backed off": (markov_backed_off, [1.0, 10.0, 100.0]),
    "logistic regression": (logistic_regression, [0.03, 0.1, 0.3]),
}


def run_baseline(train, test, name, setting):
    """Fit a baseline and look at it.   -> what `outcomes` gives."""
    return outcomes(BASELINES[name][0](train, test, setting), test)


# ---------------------------------------------------------------------- choosing


def choose(train, budget, run):
    """Choose networks, epochs, weights and settings on a part of the training videos.

    Returns
    -------
    baselines : dict of row to (setting, inner top-5)
    rows : dict of row to (Choice, inner top-5)
        All rows of a network share its options and epochs.
    """
    inner = split_videos(train, 0.15)
    baselines = choose_baselines(inner, run)
    rows = {}
    for net in budget.networks:
        usual = sorted(budget.epochs)[len(budget.epochs) // 2]
        candidates = [
            Choice(net, options, batch_size, usual)
            for options in ([PLAIN] if net.startswith("plain") else NETWORKS)
            for batch_size in budget.batch_sizes
        ]
        best = ranked(candidates, inner, budget, run)[0][0]
        candidates = [best._replace(epochs=n) for n in budget.epochs]
        hard, score = ranked(candidates, inner, budget, run)[0]
        rows[f"{net}, one-hot"] = hard, score
        candidates = [
            hard._replace(row=row, smoothing=weight, setting=setting)
            for row, settings in PRIORS.items()
            for setting in settings
            for weight in budget.weights
        ]
        order = ranked(candidates, inner, budget, run)
        for row in PRIORS:
            rows[f"{net}, {row}"] = next(c for c in order if c[0].row == row)
    return baselines, rows


def choose_baselines(inner, run):
    """Best setting of each baseline, with its inner top-5 accuracy."""
    jobs = [(name, v) for name, (_, values) in BASELINES.items() for v in values]
    hits = run(delayed(run_baseline)(*inner, *job) for job in jobs)
    best = {}
    for (name, setting), (_, top_5, _) in zip(jobs, hits, strict=True):
        score = percent(top_5.mean())
        if name not in best or score > best[name][1]:
            best[name] = setting, score
    return best


def ranked(candidates, inner, budget, run):
    """Choices with their mean top-5 accuracy over the inner seeds, best first."""
    seeds = [100 + seed for seed in range(budget.inner_seeds)]
    hits = run(
        delayed(fit_and_look)(*inner, choice, seed)
        for choice in candidates
        for seed in seeds
    )
    top_5 = np.reshape([h[1].mean() for h in hits], (len(candidates), -1)).mean(axis=1)
    order = np.argsort(-top_5, kind="stable")
    return [(candidates[k], percent(top_5[k])) for k in order]


def percent(share):
    """Per cent with two digits."""
    return round(100 * float(share), 2)


def write_down(name, baselines, rows):
    """Print the choice, and write it to a file, before anything is measured."""
    chosen = {row: [choice._asdict(), score] for row, (choice, score) in rows.items()}
    plain = {"baselines": baselines, "rows": chosen}
    (OUTPUT / f"next_action_{name}.json").write_text(json.dumps(plain, indent=1))
    print("chosen on a part of the training videos (inner top-5 in brackets):")
    for row, (setting, score) in baselines.items():
        print(f"  {row}: {setting} ({score})")
    for row, (c, score) in rows.items():
        extra = f"smoothing {c.smoothing}, {c.setting or 'no setting'}"
        steps = f"{c.epochs} epochs in batches of {c.batch_size}"
        print(f"  {row}: {c.options}, {steps}, {extra} ({score})", flush=True)


# --------------------------------------------------------------------- measuring


def measure(train, test, baselines, rows, budget, run):
    """Fit every row with every seed and score it.   -> {row: [outcomes, ...]}."""
    jobs = [(name, setting) for name, (setting, _) in baselines.items()]
    found = run(delayed(run_baseline)(train, test, *job) for job in jobs)
    results = {name: [hits] for (name, _), hits in zip(jobs, found, strict=True)}
    found = run(
        delayed(fit_and_look)(train, test, choice, seed)
        for choice, _ in rows.values()
        for seed in range(budget.seeds)
    )
    for k, row in enumerate(rows):
        results[row] = found[k * budget.seeds : (k + 1) * budget.seeds]
    return results


def main():
    """Choose, write the choice down, measure once, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--sets", nargs="+", default=["egtea", "epic55"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--inner-seeds", type=int, default=1)
    parser.add_argument(
        "--networks", nargs="+", default=["plain MLP", "MLP", "plain GRU", "GRU"]
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[8, 12, 18])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.25, 0.5])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    budget = parser.parse_args()
    if budget.tiny or budget.data is None:
        budget.sets, budget.seeds, budget.jobs = ["kitchen"], 2, 1
        budget.epochs, budget.weights, budget.batch_sizes = [2], [0.3], [64]
    OUTPUT.mkdir(exist_ok=True)
    run = Parallel(n_jobs=budget.jobs)
    for name in budget.sets:
        train, test = load(name, budget.data)
        print(f"{name}: {len(train.y)} training and {len(test.y)} validation clips")
        baselines, rows = choose(train, budget, run)
        write_down(name, baselines, rows)
        results = measure(train, test, baselines, rows, budget, run)
        lines = table_of(results, rows, test.videos)
        show(name, lines)
        save(OUTPUT / f"next_action_{name}.csv", lines)
        draw(OUTPUT / f"next_action_{name}.png", name, lines)


if __name__ == "__main__":
    main()
