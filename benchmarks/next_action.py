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
import csv
import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from _paired import mcnemar, paired_difference
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
from skanticipate.datasets import label_history, make_kitchen, read_segments
from skanticipate.metrics import mean_top_k_recall_score

OUTPUT = Path(__file__).parent / "output"
METRICS = ("top-1", "top-5", "mean top-5 recall")


# -------------------------------------------------------------------------- data


class Task:
    """Clips of one data set: histories, labels, videos, and what labels mean."""

    def __init__(self, history, y, videos, starts, actions, glove):
        self.history, self.y, self.videos, self.starts = history, y, videos, starts
        self.actions, self.glove = actions, glove
        self.classes = np.array(sorted(actions))

    def select(self, keep):
        """The task restricted to some clips."""
        aligned = (self.history, self.y, self.videos, self.starts)
        return Task(*(a[keep] for a in aligned), self.actions, self.glove)

    def sequences(self):
        """Labels of each video in the order of their starts."""
        order = np.lexsort((self.starts, self.videos))
        _, first = np.unique(self.videos[order], return_index=True)
        return np.split(self.y[order], first[1:])


def read_actions(path):
    """Verb and noun of each label of the converted data."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {int(r["id"]): (r["verb_name"], r["noun_name"]) for r in rows}


def load(name, root):
    """Training and validation task of a data set."""
    if name == "kitchen":
        return load_kitchen()
    root = Path(root)
    actions = read_actions(root / name / "actions.csv")
    glove = root / "glove" / "glove.840B.300d.kitchen.txt"
    if name == "epic55":
        tables = [
            read_segments(root / name / f"{p}.csv") for p in ("train", "validation")
        ]
        return [task_of(table, actions, glove) for table in tables]
    table = read_segments(root / name / "clips.csv")
    task = task_of(table, actions, glove)
    return [task.select(table.split1 == part) for part in ("train", "validation")]


def task_of(table, actions, glove):
    """Clips of a table of segments."""
    return Task(
        label_history(table, history=5, anticipation_time=1.0, rule="ended", fps=30),
        table.action,
        table.video,
        table.start_frame,
        actions,
        glove,
    )


def load_kitchen():
    """Synthetic clips, to show that the benchmark runs where there is no data."""
    kitchen = make_kitchen(24, random_state=0)
    words = sorted({w for pair in kitchen.actions.values() for w in pair})
    glove = dict(zip(words, np.random.default_rng(0).standard_normal((len(words), 8))))
    starts = np.arange(len(kitchen.y))
    task = Task(
        kitchen.past_actions, kitchen.y, kitchen.groups, starts, kitchen.actions, glove
    )
    held = np.isin(task.videos, np.unique(task.videos)[::4])
    return task.select(~held), task.select(held)


def split_videos(task, fraction, seed=0):
    """Part of the training videos on which every choice is made."""
    videos = np.unique(task.videos)
    held = np.random.default_rng(seed).permutation(videos)[
        : round(fraction * len(videos))
    ]
    inner = np.isin(task.videos, held)
    return task.select(~inner), task.select(inner)


# ------------------------------------------------------------------------- rows


def network(name, task):
    """The two networks; their widths and dropouts were found on training videos."""
    head = VerbNounHead(task.actions)
    if name == "MLP":
        return MLP(256, embedding=64, input_dropout=0.3, dropout=0.5, head=head)
    return LSTM(
        256, cell="gru", embedding=64, input_dropout=0.3, dropout=0.5, head=head
    )


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


# What may be chosen for each row beside its weight.
SHARP = {"similarity": "expcosine", "power": 10.0}  # softmax of the cosine / 0.1
GRIDS = {
    "one-hot": [{}],
    "uniform": [{}],
    "verb-noun": [{}],
    "GloVe": [{}, SHARP],
    "GloVe + verb-noun": [{}, SHARP],
    "temporal": [{}, {"direction": "successor"}],
    "transition": [{}],
    "temporal + transition": [{}],
}


def fit_and_look(train, test, budget, net, row, epochs, weight, setting, seed):
    """Fit one row once and look at it.   -> what `outcomes` gives."""
    warnings.simplefilter("ignore")  # words that GloVe does not know, once a fit
    encoder = HistoryEncoder(train.actions).fit(train.history)
    model = SmoothedAnticipator(
        network(net, train),
        prior=None if row == "one-hot" else prior(row, train, setting),
        smoothing=weight,
        classes=train.classes,
        max_epochs=epochs,
        batch_size=budget.batch_size,
        lr=2e-3,
        lr_schedule=CosineSchedule(),
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
    """Choose epochs, weights and settings on a part of the training videos."""
    inner = split_videos(train, 0.15)
    jobs = [(name, v) for name, (_, values) in BASELINES.items() for v in values]
    hits = run(delayed(run_baseline)(*inner, *job) for job in jobs)
    chosen = {"baselines": {}}
    for (name, value), (_, top_5, _) in zip(jobs, hits, strict=True):
        entry = {"setting": value, "inner top-5": percent(top_5.mean())}
        best = chosen["baselines"].setdefault(name, entry)
        if entry["inner top-5"] > best["inner top-5"]:
            chosen["baselines"][name] = entry
    for net in budget.networks:
        lengths = [(net, "one-hot", n, 0.0, {}) for n in budget.epochs]
        epochs = ranked(lengths, inner, budget, run)[0][0][2]
        candidates = [
            (net, row, epochs, weight, setting)
            for row, settings in GRIDS.items()
            for setting in settings
            for weight in ([0.0] if row == "one-hot" else budget.weights)
        ]
        rows = {}
        for (_, row, _, weight, setting), score in ranked(
            candidates, inner, budget, run
        ):
            entry = {"smoothing": weight, "setting": setting, "inner top-5": score}
            rows.setdefault(row, entry)  # the best comes first
        chosen[net] = {"epochs": epochs, "rows": {row: rows[row] for row in GRIDS}}
    return chosen


def ranked(candidates, inner, budget, run):
    """Candidates with their mean top-5 accuracy over the inner seeds, best first."""
    seeds = [100 + seed for seed in range(budget.inner_seeds)]
    hits = run(
        delayed(fit_and_look)(*inner, budget, *candidate, seed)
        for candidate in candidates
        for seed in seeds
    )
    top_5 = np.reshape([h[1].mean() for h in hits], (len(candidates), -1)).mean(axis=1)
    order = np.argsort(-top_5, kind="stable")
    return [(candidates[k], percent(top_5[k])) for k in order]


def percent(share):
    return round(100 * float(share), 2)


# --------------------------------------------------------------------- measuring


def measure(train, test, chosen, budget, run):
    """Fit every row with every seed, score the validation clips.   -> {row: outcomes}."""
    names = [(name, e["setting"]) for name, e in chosen["baselines"].items()]
    found = run(delayed(run_baseline)(train, test, *job) for job in names)
    results = {name: [hits] for (name, _), hits in zip(names, found, strict=True)}
    jobs = {
        f"{net}, {row}": (net, row, chosen[net]["epochs"], e["smoothing"], e["setting"])
        for net in budget.networks
        for row, e in chosen[net]["rows"].items()
    }
    found = run(
        delayed(fit_and_look)(train, test, budget, *job, seed)
        for job in jobs.values()
        for seed in range(budget.seeds)
    )
    for k, name in enumerate(jobs):
        results[name] = found[k * budget.seeds : (k + 1) * budget.seeds]
    return results


def table_of(results, videos):
    """One line a row: mean and deviation of each metric, difference to one-hot."""
    reference = np.array(results["Markov, backed off"][0][1])
    lines = []
    for name, found in results.items():
        figures = 100 * np.array([(a.mean(), b.mean(), r) for a, b, r in found])
        line = {"row": name}
        spread = figures.std(axis=0, ddof=1) if len(found) > 1 else np.full(3, np.nan)
        for metric, mean, deviation in zip(METRICS, figures.mean(axis=0), spread):
            line[metric], line[f"{metric} sd"] = mean, deviation
        if ", " in name and name.split(", ")[0] in ("MLP", "GRU"):
            onehot = results[name.split(", ")[0] + ", one-hot"]
            top_5 = [
                np.array([hits for _, hits, _ in f], float) for f in (found, onehot)
            ]
            gain = 100 * np.array(paired_difference(*top_5, videos))
            line.update(zip(("gain", "se seeds", "se clips"), gain, strict=True))
            tests = [mcnemar(hits, reference) for _, hits, _ in found]
            line["p against Markov, largest"] = max(tests)
        lines.append(line)
    return lines


# --------------------------------------------------------------------- reporting


def show(title, lines):
    """Print a table as Markdown."""
    print(f"\n### {title}\n")
    print(
        "| row | top-1 | top-5 | mean top-5 recall | gain in top-5 (se seeds / clips) | p |"
    )
    print("|---|---|---|---|---|---|")
    for line in lines:
        cells = [
            f"{line[m]:.2f}"
            + (f" ± {line[m + ' sd']:.2f}" if line[m + " sd"] >= 0 else "")
            for m in METRICS
        ]
        gain = p = ""
        if "gain" in line:
            gain = "{gain:+.2f} ({se seeds:.2f} / {se clips:.2f})".format(**line)
            p = f"{line['p against Markov, largest']:.1e}"
        print(f"| {line['row']} | {' | '.join(cells)} | {gain} | {p} |")


def save(name, lines):
    """Write the table as csv."""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    with open(OUTPUT / f"next_action_{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)


def draw(tables):
    """One panel a data set: top-5 accuracy of every row."""
    fig, axes = plt.subplots(
        1,
        len(tables),
        figsize=(7 * len(tables), 6),
        layout="constrained",
        squeeze=False,
    )
    for ax, (name, lines) in zip(axes[0], tables.items(), strict=True):
        colours = {"MLP": "tab:blue", "GRU": "tab:orange"}
        for k, line in enumerate(reversed(lines)):
            colour = colours.get(line["row"].split(",")[0], "tab:gray")
            error = np.nan_to_num(line["top-5 sd"])
            ax.barh(k, line["top-5"], xerr=error, color=colour, height=0.7, capsize=2)
        ax.set_yticks(range(len(lines)), [line["row"] for line in reversed(lines)])
        networks = [line["top-5"] for line in lines[1:]]
        ax.set_xlim(min(networks) - 2, max(networks) + 1)
        ax.set(
            title=name, xlabel="top-5 accuracy, per cent (bar: deviation over seeds)"
        )
        ax.grid(axis="x", alpha=0.4)
    fig.savefig(OUTPUT / "next_action.png", dpi=110)


def main():
    """Choose, write the choice down, measure once, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--sets", nargs="+", default=["egtea", "epic55"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--inner-seeds", type=int, default=1)
    parser.add_argument("--networks", nargs="+", default=["MLP", "GRU"])
    parser.add_argument("--epochs", type=int, nargs="+", default=[8, 12, 18])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.2, 0.4, 0.6])
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    budget = parser.parse_args()
    if budget.tiny or budget.data is None:
        budget.sets, budget.seeds, budget.jobs = ["kitchen"], 2, 1
        budget.epochs, budget.weights, budget.batch_size = [2], [0.3], 64
    OUTPUT.mkdir(exist_ok=True)
    run, tables = Parallel(n_jobs=budget.jobs), {}
    for name in budget.sets:
        train, test = load(name, budget.data)
        print(f"{name}: {len(train.y)} training and {len(test.y)} validation clips")
        chosen = choose(train, budget, run)
        text = json.dumps(chosen, indent=1)
        (OUTPUT / f"next_action_{name}.json").write_text(text)
        print(text, flush=True)
        results = measure(train, test, chosen, budget, run)
        tables[name] = table_of(results, test.videos)
        show(name, tables[name])
        save(name, tables[name])
    draw(tables)


if __name__ == "__main__":
    main()
