"""`DistilledAnticipator` out of the box: nothing chosen, on driver manoeuvres.

Standardised sequences, all parameters at their defaults but smoothing, which is 0, as
the default was when the tables were made, against two students that
learn from the labels alone: "labels only", the same network in as many steps, which are
too many for few labels; "small plain", a small network, trained shortly, both fixed
beforehand. "no start" does not begin with its teacher's weights. Accuracy and log loss;
5 folds, 5 seeds (labels kept and weights).

    python benchmarks/default_teacher.py --data FOLDER
"""

import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import data_parser, parse_with_data
from common.folds import keep_labels
from common.gains import gain_of
from common.pairs import load_manoeuvres
from common.report import print_header, print_row
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import StandardScaler

from skanticipate import LSTM, DistilledAnticipator, PerFrame, SmoothedAnticipator

STUDENTS = {
    # The teacher knows nothing, and its rows are never drawn.
    "labels only": DistilledAnticipator(
        smoothing=0, teacher=DummyClassifier(), unlabeled_fraction=0
    ),
    # Leaves the unlabelled clips out, so that its epochs are short.
    "small plain": SmoothedAnticipator(
        LSTM(32), smoothing=0.0, batch_size=32, max_epochs=60, lr=3e-3
    ),
    "default": DistilledAnticipator(smoothing=0),
    "no start": DistilledAnticipator(smoothing=0, init_from_teacher=False),
}
COMPARED = [  # ours, theirs
    ("default", "labels only"),
    ("default", "small plain"),
    ("no start", "labels only"),
]


def looks(clips, y, fold, n_seen, fraction, seed):
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
    found = {name: np.array([s[name][measure] for s in scores]) for name in STUDENTS}
    units = np.arange(found["default"].shape[1])
    means = [f"{scale * found[name].mean():.{digits}f}" for name in STUDENTS]
    return means + [
        f"{gain_of(found[ours], found[theirs], units, scale):.{digits}f}"
        for ours, theirs in COMPARED
    ]


def main():
    """Print a line for each number of steps seen, share of labels and measure."""
    parser = data_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parse_with_data(parser, {"seeds": 2})
    if options.tiny:
        rng = np.random.default_rng(0)
        y, fold = np.arange(40) % 3, np.arange(40) % 2
        clips, cases = rng.normal(size=(40, 4, 5)) + y[:, None, None], [(2, 0.5)]
    else:
        clips, y, fold = load_manoeuvres(options.data)
        cases = [(m, share) for m in (2, 4) for share in (0.1, 0.2, 1.0)]
    versus = [f"{ours} - {theirs}" for ours, theirs in COMPARED]
    print_header("steps seen", "labels kept", "measure", *STUDENTS, *versus)
    for n_seen, fraction in cases:
        scores = [
            looks(clips, y, fold, n_seen, fraction, seed)
            for seed in range(options.seeds)
        ]
        title = f"{n_seen}", f"{fraction:.0%}"
        print_row(*title, "accuracy, %", *cells(scores, 0, scale=100, digits=1))
        print_row(*title, "log loss", *cells(scores, 1, scale=1, digits=2))


if __name__ == "__main__":
    main()
