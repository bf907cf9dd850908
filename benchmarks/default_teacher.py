"""`DistilledAnticipator` out of the box: nothing chosen, on driver manoeuvres.

Standardised sequences, all parameters at their defaults, against two students that
learn from the labels alone: "labels only", the same network in as many steps, which are
too many for few labels; "small plain", a small network, trained shortly, both fixed
beforehand. "no start" does not begin with its teacher's weights. Accuracy and log loss;
5 folds, 5 seeds (labels kept and weights).

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
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import StandardScaler

from skanticipate import LSTM, DistilledAnticipator, PerFrame, SmoothedAnticipator

STUDENTS = {
    # The teacher knows nothing, and its rows are never drawn.
    "labels only": DistilledAnticipator(
        teacher=DummyClassifier(), unlabeled_fraction=0
    ),
    # Leaves the unlabelled clips out, so that its epochs are short.
    "small plain": SmoothedAnticipator(
        LSTM(32), smoothing=0.0, batch_size=32, max_epochs=60, lr=3e-3
    ),
    "default": DistilledAnticipator(),
    "no start": DistilledAnticipator(init_from_teacher=False),
}
COMPARED = [  # ours, theirs
    ("default", "labels only"),
    ("default", "small plain"),
    ("no start", "labels only"),
]


def outcomes(clips, y, fold, n_seen, fraction, seed):
    """Hit and log loss of each clip when its fold is tested.   -> {student: (2, n)}."""
    scores = {name: np.zeros((2, len(y))) for name in STUDENTS}
    for held in np.unique(fold):
        train, test = fold != held, fold == held
        scaler = PerFrame(StandardScaler()).fit(clips[train])
        future, unseen = (scaler.transform(clips[part]) for part in (train, test))
        labels = keep_labels(y[train], fraction, seed)
        for name, student in STUDENTS.items():
            model = clone(student).set_params(random_state=seed)
            with warnings.catch_warnings():
                # Few labels make odd class counts; unlabelled clips are left out.
                warnings.simplefilter("ignore")
                model.fit(future[:, :n_seen], labels, future)
            log_proba = model.predict_log_proba(unseen[:, :n_seen])
            columns = np.searchsorted(model.classes_, y[test])
            scores[name][0, test] = log_proba.argmax(axis=1) == columns
            scores[name][1, test] = -log_proba[np.arange(len(columns)), columns]
    return scores


def cells(scores, measure, scale, digits):
    """Mean of each student and the paired differences.   -> list of str."""
    found = {
        name: scale * np.array([s[name][measure] for s in scores]) for name in STUDENTS
    }
    means = [f"{found[name].mean():.{digits}f}" for name in STUDENTS]
    units = np.arange(found["default"].shape[1])
    differences = [
        paired_difference(found[ours], found[theirs], units)
        for ours, theirs in COMPARED
    ]
    return means + [
        f"{mean:+.{digits}f} ({over_seeds:.{digits}f} / {over_clips:.{digits}f})"
        for mean, over_seeds, over_clips in differences
    ]


def main():
    """Print a line for each number of steps seen, share of labels and measure."""
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
    versus = [f"{ours} - {theirs}" for ours, theirs in COMPARED]
    head = ["steps seen", "labels kept", "measure", *STUDENTS, *versus]
    print(f"| {' | '.join(head)} |")
    print("|---" * len(head) + "|")
    for n_seen, fraction in cases:
        scores = [
            outcomes(clips, y, fold, n_seen, fraction, seed)
            for seed in range(options.seeds)
        ]
        for measure, name in enumerate(("accuracy, %", "log loss")):
            row = [f"{n_seen}", f"{fraction:.0%}", name]
            row += cells(scores, measure, *((100, 1) if measure == 0 else (1, 2)))
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
