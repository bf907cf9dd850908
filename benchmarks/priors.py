"""Time of fitting each prior at the size of EPIC-KITCHENS-100: 3,806 actions.

Wall and CPU time of `fit` alone, one thread, each prior in a process of its own: the
first fit there, and the median of the next ones. Words are read before. Without --data
the actions are random pairs of 97 verbs and 300 nouns, and vectors are random.
"""

import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.actions import random_actions, read_actions
from common.arguments import data_parser
from common.processes import alone

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
    args = data_parser(__doc__).parse_args()
    if args.data is None:
        actions = random_actions(200 if args.tiny else 3806)
    else:
        actions = read_actions(Path(args.data) / "epic100" / "actions.csv")
    n_pairs = 500 if args.tiny else 67_217
    print(
        f"{len(actions)} actions        first fit: wall, CPU ms    next: wall, CPU ms"
    )
    for name in NAMES:
        first, later = alone(time_prior, name, actions, n_pairs)
        (wall, cpu), (next_wall, next_cpu) = first, later
        print(f"{name:18} {wall:14.0f} {cpu:8.0f} {next_wall:14.0f} {next_cpu:8.0f}")


if __name__ == "__main__":
    main()
