"""`DistilledAnticipator` out of the box: nothing chosen, on driver manoeuvres.

Standardised sequences, all parameters at their defaults, against the same student that
learns from the labels alone in as many steps; 5 folds, 5 seeds (labels kept and
weights). "no start" does not begin with its teacher's weights.

    python benchmarks/default_teacher.py --data FOLDER
"""

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _futures import keep_labels
from _paired import paired_difference
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import StandardScaler

from skanticipate import DistilledAnticipator, PerFrame

STUDENTS = {
    # The teacher knows nothing, and its rows are never drawn.
    "labels only": {"teacher": DummyClassifier(), "unlabeled_fraction": 0},
    "default": {},
    "no start": {"init_from_teacher": False},
}


def outcomes(clips, y, fold, n_seen, fraction, seed):
    """Hit or miss of each clip when its fold is tested.   -> {student: (n,)}."""
    hits = {name: np.zeros(len(y)) for name in STUDENTS}
    for held in np.unique(fold):
        train, test = fold != held, fold == held
        scaler = PerFrame(StandardScaler()).fit(clips[train])
        future, unseen = (scaler.transform(clips[part]) for part in (train, test))
        labels = keep_labels(y[train], fraction, seed)
        for name, params in STUDENTS.items():
            model = DistilledAnticipator(random_state=seed, **params)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # few labels make odd class counts
                model.fit(future[:, :n_seen], labels, future)
            hits[name][test] = model.predict(unseen[:, :n_seen]) == y[test]
    return hits


def main():
    """Print a line for each number of steps seen and share of labels kept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the converted public data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    options = parser.parse_args()
    if options.tiny or options.data is None:
        rng = np.random.default_rng(0)
        y, fold = np.arange(40) % 3, np.arange(40) % 2
        clips = rng.normal(size=(40, 4, 5)) + y[:, None, None]
        options.seeds, cases = 2, [(2, 0.5)]
    else:
        file = Path(options.data) / "brain4cars" / "manoeuvres.npz"
        data = np.load(file, allow_pickle=False)
        clips, y, fold = data["sequences"], data["labels"], data["fold"]
        cases = [(m, share) for m in (2, 4) for share in (0.1, 0.2, 1.0)]
    print("| steps seen | labels kept | labels only | default | no start |")
    print("|---|---|---|---|---|")
    for n_seen, fraction in cases:
        found = [
            outcomes(clips, y, fold, n_seen, fraction, seed)
            for seed in range(options.seeds)
        ]
        hits = {name: np.array([f[name] for f in found]) for name in STUDENTS}
        cells = [f"{100 * hits['labels only'].mean():.1f}"]
        for name in ("default", "no start"):
            numbers = paired_difference(
                hits[name], hits["labels only"], np.arange(len(y))
            )
            cells.append(
                "{:+.1f} ({:.1f} / {:.1f})".format(*(100 * n for n in numbers))
            )
        print(f"| {n_seen} | {fraction:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
