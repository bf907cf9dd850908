"""Time of fitting each prior at the size of EPIC-KITCHENS-100: 3,806 actions.

Wall and CPU time of `fit` alone, one thread, each prior in a process of its own: the
first fit there, and the median of the next ones. Words are read before. Without --data
the actions are random pairs of 97 verbs and 300 nouns, and vectors are random.
"""

import argparse
import csv
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from skanticipate import (
    GloVePrior,
    MixturePrior,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)

NAMES = (
    "uniform",
    "verb-noun",
    "GloVe",
    "GloVe, softmax",
    "temporal",
    "transition",
    "GL+VN",
)


def actions_of(folder, n_classes):
    """Label -> (verb, noun)."""
    if folder is not None:
        path = Path(folder) / "epic100" / "actions.csv"
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {int(r["id"]): (r["verb_name"], r["noun_name"]) for r in rows}
    pairs = np.random.default_rng(0).permutation(97 * 300)[:n_classes]
    return {k: (f"verb{p // 300}", f"noun{p % 300}") for k, p in enumerate(pairs)}


def time_prior(name, actions, n_pairs, repeats=5):
    """Wall and CPU milliseconds of the first fit, and medians of the next."""
    rng = np.random.default_rng(0)
    names = sorted({str(name) for pair in actions.values() for name in pair})
    tokens = {token for name in names for token in name.replace("-", ":").split(":")}
    vectors = {t: rng.standard_normal(300).astype(np.float32) for t in tokens}
    classes = np.array(sorted(actions))
    y, y_past = rng.choice(classes, (2, n_pairs))
    prior = {
        "uniform": UniformPrior(),
        "verb-noun": VerbNounPrior(actions),
        "GloVe": GloVePrior(actions, vectors),
        "GloVe, softmax": GloVePrior(
            actions, vectors, similarity="expcosine", power=10.0
        ),
        "temporal": TemporalPrior(),
        "transition": TransitionPrior(actions),
        "GL+VN": MixturePrior([GloVePrior(actions, vectors), VerbNounPrior(actions)]),
    }[name]
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter(), time.process_time()
        prior.fit(classes, y, y_past)
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    times = 1e3 * np.array(times)
    return times[0], np.median(times[1:], axis=0)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    args = parser.parse_args()
    actions = actions_of(args.data, 200 if args.tiny else 3806)
    n_pairs = 500 if args.tiny else 67_217
    print(
        f"{len(actions)} actions        first fit: wall, CPU ms    next: wall, CPU ms"
    )
    for name in NAMES:
        with ProcessPoolExecutor(1) as alone:
            first, later = alone.submit(time_prior, name, actions, n_pairs).result()
        (wall, cpu), (next_wall, next_cpu) = first, later
        print(f"{name:18} {wall:14.0f} {cpu:8.0f} {next_wall:14.0f} {next_cpu:8.0f}")


if __name__ == "__main__":
    main()
