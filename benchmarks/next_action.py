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

import os
import warnings
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.answers import proba_of
from common.arguments import next_action_parser, parse_with_data
from common.choices import best_first, fit_all, stack
from common.data import load_clips
from common.figure import figure_of_rows
from common.gains import lines_of, mcnemar
from common.outcomes import outcomes
from common.report import print_header, print_row, write_csv, write_json
from joblib import Parallel
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    GloVePrior,
    MixturePrior,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)

TITLES = {"top-1": "top-1", "top-5": "top-5", "recall@5": "mean top-5 recall"}
REFERENCE = "Markov, backed off"


# ------------------------------------------------------------------------- rows


def network(name, clips, head, embedding_std):
    """Spec of a network; widths and dropout were found on training videos."""
    common = {
        "embedding": 64,
        "embedding_std": embedding_std,
        "dropout": 0.5,
        "head": VerbNounHead(clips.actions) if head == "verb-noun" else None,
    }
    if name.endswith("GRU"):
        return LSTM(256, cell="gru", **common)
    return MLP(128 if name.startswith("plain") else 256, **common)


def prior(name, clips, setting):
    """The prior of a row; a setting is what was chosen for it."""
    if name == "uniform":
        return UniformPrior()
    if name == "verb-noun":
        return VerbNounPrior(clips.actions)
    if name == "GloVe":
        return GloVePrior(clips.actions, clips.glove, **setting)
    if name == "GloVe + verb-noun":
        return MixturePrior(
            [prior("GloVe", clips, setting), VerbNounPrior(clips.actions)]
        )
    if name == "temporal":
        return TemporalPrior(sequences=clips.sequences(), **setting)
    if name == "transition":
        return TransitionPrior(clips.actions, **setting)
    return MixturePrior(
        [TemporalPrior(sequences=clips.sequences()), TransitionPrior(clips.actions)]
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


def fit_and_look(choice, clips, seed):
    """Fit a row once and look at it.   -> {figure: (test clips,)}."""
    warnings.simplefilter("ignore")  # words that GloVe does not know, once a fit
    hard = choice.row == "one-hot"
    model = SmoothedAnticipator(
        network(choice.net, clips, **choice.options),
        prior=None if hard else prior(choice.row, clips, choice.setting),
        smoothing=choice.smoothing,
        classes=clips.classes,
        max_epochs=choice.epochs,
        batch_size=choice.batch_size,
        lr=2e-3,
        lr_schedule=CosineSchedule(),
        weight_decay=1e-4,
        random_state=seed,
    )
    codes, rows = clips.codes(), clips.training
    model.fit(codes[rows], clips.y[rows], y_past=clips.seen[rows, -1])
    proba = model.predict_proba(codes[clips.test])
    return outcomes(proba, clips.y[clips.test], clips.classes)


# --------------------------------------------------------------------- baselines


def majority(clips, setting):
    """Frequency of each class, for every clip."""
    counts = (clips.y[clips.training][:, None] == clips.classes).sum(axis=0)
    return np.tile(counts.astype(float), (len(clips.test), 1))


def markov(clips, strength):
    """p(next | last action), backed off to p(next)."""
    return transitions(None, clips, strength)


def markov_backed_off(clips, strength):
    """p(next | last action), backed off over its noun and verb."""
    return transitions(clips.actions, clips, strength)


def transitions(actions, clips, strength):
    """Rows of a fitted `TransitionPrior`, read as predictions."""
    last, rows = clips.seen[:, -1], clips.training
    table = TransitionPrior(actions, strength=strength)
    table.fit(clips.classes, clips.y[rows], last[rows])
    return table.matrix_[table.rows(clips.y[clips.test], last[clips.test])]


def logistic_regression(clips, inverse_penalty):
    """Logistic regression on one-hot coded verbs, nouns and actions."""
    codes, rows = clips.codes().reshape(len(clips.y), -1), clips.training
    onehot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32).fit(codes[rows])
    fitted = LogisticRegression(C=inverse_penalty, max_iter=60, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the limit of iterations stops it early
        fitted.fit(onehot.transform(codes[rows]), clips.y[rows])
    return proba_of(fitted, onehot.transform(codes[clips.test]), clips.classes)


BASELINES = {
    "majority": (majority, [None]),
    "Markov": (markov, [0.01, 1.0, 10.0, 100.0]),
    "Markov, backed off": (markov_backed_off, [1.0, 10.0, 100.0]),
    "logistic regression": (logistic_regression, [0.03, 0.1, 0.3]),
}


def run_baseline(job, clips):
    """Fit a baseline and look at it.   -> {figure: (test clips,)}."""
    name, setting = job
    proba = BASELINES[name][0](clips, setting)
    return outcomes(proba, clips.y[clips.test], clips.classes)


# ---------------------------------------------------------------------- choosing


def choose(clips, budget, parallel):
    """Choose networks, epochs, weights and settings on a part of the training videos.

    Returns
    -------
    baselines : dict of row to (setting, inner top-5)
    rows : dict of row to (Choice, inner top-5)
        All rows of a network share its options and epochs.
    """
    inner = clips.inner(clips.videos)
    runs = [(inner, 100 + seed) for seed in range(budget.inner_seeds)]

    def ranked(candidates):
        looks = fit_all(fit_and_look, candidates, runs, parallel)
        return best_first(candidates, looks, "top-5")

    rows = {}
    for net in budget.networks:
        usual = sorted(budget.epochs)[len(budget.epochs) // 2]
        candidates = [
            Choice(net, options, batch_size, usual)
            for options in ([PLAIN] if net.startswith("plain") else NETWORKS)
            for batch_size in budget.batch_sizes
        ]
        best = ranked(candidates)[0][0]
        hard, score = ranked([best._replace(epochs=n) for n in budget.epochs])[0]
        rows[f"{net}, one-hot"] = hard, score
        candidates = [
            hard._replace(row=row, smoothing=weight, setting=setting)
            for row, settings in PRIORS.items()
            for setting in settings
            for weight in budget.weights
        ]
        order = ranked(candidates)
        for row in PRIORS:
            rows[f"{net}, {row}"] = next(c for c in order if c[0].row == row)
    return choose_baselines(inner, parallel), rows


def choose_baselines(inner, parallel):
    """Best setting of each baseline, with its inner top-5 accuracy."""
    best = {}
    for name, (_, settings) in BASELINES.items():
        jobs = [(name, setting) for setting in settings]
        looks = fit_all(run_baseline, jobs, [(inner,)], parallel)
        (_, setting), score = best_first(jobs, looks, "top-5")[0]
        best[name] = setting, score
    return best


def write_down(name, baselines, rows):
    """Print the choice, and write it to a file, before anything is measured."""
    chosen = {row: [choice._asdict(), score] for row, (choice, score) in rows.items()}
    write_json(f"next_action_{name}", {"baselines": baselines, "rows": chosen})
    print("chosen on a part of the training videos (inner top-5 in brackets):")
    for row, (setting, score) in baselines.items():
        print(f"  {row}: {setting} ({score})")
    for row, (c, score) in rows.items():
        extra = f"smoothing {c.smoothing}, {c.setting or 'no setting'}"
        steps = f"{c.epochs} epochs in batches of {c.batch_size}"
        print(f"  {row}: {c.options}, {steps}, {extra} ({score})", flush=True)


# --------------------------------------------------------------------- measuring


def measure(clips, baselines, rows, budget, parallel):
    """Fit every row with every seed.   -> {row: {figure: (seeds, clips)}}."""
    jobs = [(name, setting) for name, (setting, _) in baselines.items()]
    looks = fit_all(run_baseline, jobs, [(clips,)], parallel)
    runs = [(clips, seed) for seed in range(budget.seeds)]
    looks += fit_all(fit_and_look, [c for c, _ in rows.values()], runs, parallel)
    return {
        row: stack(found) for row, found in zip([*baselines, *rows], looks, strict=True)
    }


def table_of(results, rows, videos):
    """Lines of the table, with the gain in top-5 and the test against Markov.

    "p" is the largest of the seeds, of McNemar's two-sided test against the backed-off
    Markov chain; "better" says whether every seed has more hits than the chain.
    """
    others = {row: f"{choice.net}, one-hot" for row, (choice, _) in rows.items()}
    lines = lines_of(results, videos, {"gain": ("top-5", others)})
    reference = results[REFERENCE]["top-5"][0]
    for line in lines:
        if line["row"] in rows:
            hits = results[line["row"]]["top-5"]
            line["p"] = max(mcnemar(of_seed, reference) for of_seed in hits)
            line["better"] = min(hits.mean(axis=1)) > reference.mean()
    return lines


def show(title, lines):
    """Print the table."""
    print(f"\n### {title}\n")
    gain = "gain in top-5 (se seeds / clips)"
    print_header("row", *TITLES.values(), gain, "p against Markov")
    for line in lines:
        cells = [f"{line[figure]:.2f}" for figure in TITLES]
        if "gain" in line:
            p = f"{line['p']:.1e}" if line["better"] else "not better"
            print_row(line["row"], *cells, f"{line['gain']:.2f}", p)
        else:
            print_row(line["row"], *cells, "", "")


def draw(name, title, lines):
    """Top-5 accuracy of every row."""
    colours = {
        "plain MLP": "tab:cyan",
        "MLP": "tab:blue",
        "plain GRU": "gold",
        "GRU": "tab:orange",
    }
    with figure_of_rows(name, [line["row"] for line in lines[::-1]], 6) as ax:
        for k, line in enumerate(lines[::-1]):
            colour = colours.get(line["row"].split(",")[0], "tab:gray")
            mean, sd = line["top-5"]
            error = np.nan_to_num(sd)
            ax.barh(k, mean, xerr=error, color=colour, height=0.7, capsize=2)
        shown = [line["top-5"].mean for line in lines[1:]]  # majority is far below
        ax.set_xlim(min(shown) - 2, max(shown) + 1)
        ax.set(title=title, xlabel="top-5 accuracy, per cent (deviation over seeds)")
        ax.grid(axis="x", alpha=0.4)


def arguments():
    """What is run."""
    parser = next_action_parser(__doc__)
    parser.add_argument("--inner-seeds", type=int, default=1)
    parser.add_argument(
        "--networks", nargs="+", default=["plain MLP", "MLP", "plain GRU", "GRU"]
    )
    parser.add_argument("--weights", type=float, nargs="+", default=[0.25, 0.5])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512])
    tiny = {"sets": ["kitchen"], "seeds": 2, "jobs": 1, "epochs": [2]}
    return parse_with_data(parser, {**tiny, "weights": [0.3], "batch_sizes": [64]})


def main():
    """Choose, write the choice down, measure once, report."""
    budget = arguments()
    parallel = Parallel(n_jobs=budget.jobs)
    for name in budget.sets:
        clips = load_clips(name, budget.data)
        sizes = len(clips.training), len(clips.test)
        print(f"{name}: {sizes[0]} training and {sizes[1]} validation clips")
        baselines, rows = choose(clips, budget, parallel)
        write_down(name, baselines, rows)
        results = measure(clips, baselines, rows, budget, parallel)
        lines = table_of(results, rows, clips.videos[clips.test])
        show(name, lines)
        write_csv(f"next_action_{name}", lines)
        draw(f"next_action_{name}", name, lines)


if __name__ == "__main__":
    main()
