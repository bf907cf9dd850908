"""AttentiveProbe with one query and with three, from one seed and from eight.

The task is that of `next_action.py`: the last five labels that had ended at least 1 s
before. For each seed a `ReplicaEnsemble` is fitted on all training clips; its first
replicas are those of a smaller ensemble, so that every size comes from one fit. The
settings are read, and were fixed before the validation clips were scored.

    python benchmarks/replicas.py --data FOLDER [--sets egtea epic55] [--seeds 5]
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
from pathlib import Path

import numpy as np
from common.arguments import data_parser, parse_with_data
from common.certainty import log_losses
from common.choices import stack
from common.data import load_clips
from common.gains import gain_of, mean_of
from common.outcomes import outcomes
from common.report import print_header, print_row, write_csv

from skanticipate import (
    AttentiveProbe,
    CosineSchedule,
    ReplicaEnsemble,
    SmoothedAnticipator,
    VerbNounHead,
)

SETTINGS = Path(__file__).parent / "settings" / "replicas.json"
QUERIES = 1, 3
TITLES = {
    "top-1": "top-1",
    "top-5": "top-5",
    "recall@5": "mean top-5 recall",
    "log loss": "log loss",
}


def ensemble(clips, setting, n_queries, n_replicas, seed):
    """Replicas of a probe that is to be fitted."""
    network = AttentiveProbe(
        setting["hidden_size"],
        n_queries=n_queries,
        embedding=64,
        embedding_std=0.1,
        input_dropout=0.5,
        layer_dropout=0.2,
        dropout=0.5,
        head=VerbNounHead(clips.actions),
    )
    replica = SmoothedAnticipator(
        network,
        smoothing=0.0,
        classes=clips.classes,
        max_epochs=setting["max_epochs"],
        batch_size=128,
        lr=2e-3,
        lr_schedule=CosineSchedule(),
        weight_decay=1e-4,
    )
    return ReplicaEnsemble(replica, n_replicas=n_replicas, random_state=seed)


def fit_and_look(clips, setting, n_queries, n_replicas, seed):
    """Fit an ensemble once and look at each size of it.

    Returns
    -------
    dict of size to {figure: (clips,)}
    float
        CPU seconds of the fit.
    """
    codes, rows = clips.codes(), clips.training
    model = ensemble(clips, setting, n_queries, n_replicas, seed)
    start = time.process_time()
    model.fit(codes[rows], clips.y[rows])
    seconds = time.process_time() - start
    answers = [one.predict_proba(codes[clips.test]) for one in model.estimators_]
    sizes = [2**k for k in range(n_replicas.bit_length())]
    looks = {size: looked_at(np.mean(answers[:size], axis=0), clips) for size in sizes}
    return looks, seconds


def looked_at(proba, clips):
    """What each clip adds to every figure, the log loss too."""
    y = clips.y[clips.test]
    losses = log_losses(proba, np.searchsorted(clips.classes, y))
    return {**outcomes(proba, y, clips.classes), "log loss": losses}


def lines_of(fits, groups):
    """One line for each number of queries and replicas, with gains over one and one.

    Parameters
    ----------
    fits : dict of n_queries to list of what `fit_and_look` gives, one a seed
    groups : ndarray of shape (clips,)
        Video of each clip.
    """
    lines, first = [], None
    for n_queries, found in fits.items():
        seconds = np.mean([seconds for _, seconds in found])
        sizes = list(found[0][0])
        for size in sizes:
            figures = stack([looks[size] for looks, _ in found])
            first = first or figures
            each = seconds * size / max(sizes)
            line = {"queries": n_queries, "replicas": size, "CPU seconds": each}
            for figure in TITLES:
                scale = 1.0 if figure == "log loss" else 100.0
                line[figure] = mean_of(figures[figure] * scale / 100)
                if figures is not first:
                    pair = figures[figure], first[figure]
                    line[f"{figure} gain"] = gain_of(*pair, groups, scale)
            lines.append(line)
    return lines


def show(lines):
    """Print the table; in brackets standard errors over seeds and over videos."""
    print_header("queries", "replicas", *TITLES.values(), "CPU seconds")
    for line in lines:
        cells = []
        for figure in TITLES:
            digits = ".3f" if figure == "log loss" else ".2f"
            cell = format(line[figure], digits)
            if f"{figure} gain" in line:
                cell += f", {line[f'{figure} gain']:{digits}}"
            cells.append(cell)
        seconds = f"{line['CPU seconds']:.1f}"
        print_row(str(line["queries"]), str(line["replicas"]), *cells, seconds)


def main():
    """Measure what the settings say."""
    parser = data_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["egtea", "epic55"])
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hidden-size", type=int, help="instead of what is stored")
    args = parse_with_data(parser, {"sets": ["kitchen"], "replicas": 2, "seeds": 2})
    settings = json.loads(SETTINGS.read_text("utf-8"))
    for name in args.sets:
        clips, setting = load_clips(name, args.data), settings[name]
        if args.hidden_size:
            setting["hidden_size"] = args.hidden_size
        fits = {
            n_queries: [
                fit_and_look(clips, setting, n_queries, args.replicas, seed)
                for seed in range(args.seeds)
            ]
            for n_queries in QUERIES
        }
        lines = lines_of(fits, clips.videos[clips.test])
        print(f"\n### {name}\n")
        show(lines)
        write_csv(f"replicas_{name}", lines)


if __name__ == "__main__":
    main()
