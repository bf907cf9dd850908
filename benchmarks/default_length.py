"""How long `DistilledAnticipator` should train where labels are few.

Its 50 epochs pass over all rows, and half of each batch is labelled: with few labels,
each of them is seen some hundred times. Against hard labels: as many steps as pass 50
or 25 times over the labels; early stopping on a fifth of the labelled clips (whole
groups where there are several); smoothing, of the teacher too; dropout. Student and
teacher are trained alike. All else is at its defaults; clips are scaled. "labels only"
is `SmoothedAnticipator` at its defaults, 50 passes over the labels, without smoothing.

    python benchmarks/default_length.py --data FOLDER --sets manoeuvres-2 salads50
"""

import os
import warnings
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.answers import proba_of
from common.arguments import data_parser, parse_with_data
from common.gains import gain_of
from common.lessons import lesson
from common.report import print_header, print_row
from common.scores import certainty, scores
from common.tasks import load_task

from skanticipate import LSTM, DistilledAnticipator, SmoothedAnticipator

DEFAULT = "default"
MIN_GROUPS = 3  # with fewer labelled ones, early stopping holds out clips


def students(one, seed, epochs):
    """Unfitted students of a lesson, by name."""
    steps = -(-len(one.y) // 128)  # of an epoch of the default
    labelled = -(-len(one.labelled) // 64)  # steps that pass over the labels once
    labelled_128 = -(-len(one.labelled) // 128)  # the same in full batches
    passes = labelled / steps  # in epochs
    hard = partial(DistilledAnticipator, smoothing=0)  # the default of these tables
    dropped = LSTM(dropout=0.5, input_dropout=0.3)
    found = {
        "labels only": SmoothedAnticipator(smoothing=0, max_epochs=epochs),
        DEFAULT: hard(max_epochs=epochs),
        "50 passes": hard(max_epochs=rounded(epochs * passes)),
        "25 passes": hard(max_epochs=rounded(epochs * passes / 2)),
        "early stopping": hard(
            max_epochs=epochs, early_stopping=True, validation_fraction=0.2
        ),
        "smoothing .1": DistilledAnticipator(max_epochs=epochs, smoothing=0.1),
        "smoothing .1, teacher too": DistilledAnticipator(
            max_epochs=epochs,
            smoothing=0.1,
            # As many steps as the student takes, as the default teacher does.
            teacher=SmoothedAnticipator(
                smoothing=0.1, max_epochs=rounded(epochs * steps / labelled_128)
            ),
        ),
        "dropout .5": hard(dropped, max_epochs=epochs),
        "dropout .5, smoothing .1": DistilledAnticipator(
            dropped, max_epochs=epochs, smoothing=0.1
        ),
    }
    return {
        name: model.set_params(random_state=seed, classes=one.classes)
        for name, model in found.items()
    }


def rounded(epochs):
    """At least one."""
    return max(1, round(epochs))


def answered(task, share, n_parts, seeds, epochs, wanted=None):
    """Answers of students, those wanted or all, for the clips of some parts.

    -> {name: (S, n, C)}, rows (n,)
    """
    found, tested = {}, []
    for part in range(n_parts):
        rows, held = task.part(part)
        tested.append(held)
        for seed in range(seeds):
            one = lesson(task, part, rows, held, share, seed)
            several = len(np.unique(one.groups[one.labelled])) >= MIN_GROUPS
            for name, model in students(one, seed, epochs).items():
                if wanted and name not in wanted:
                    continue
                model.fit(
                    one.clips["past"],
                    one.y,
                    one.clips["future"],
                    groups=one.groups if several else None,
                )
                proba = proba_of(model, one.held["past"], one.classes)
                found.setdefault((name, seed), []).append(proba)
    names = dict.fromkeys(name for name, _ in found)
    joined = {
        name: np.stack([np.concatenate(found[name, seed]) for seed in range(seeds)])
        for name in names
    }
    return joined, np.concatenate(tested)


def main():
    """Print a line for each set, share and student."""
    parser = data_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["manoeuvres-2", "salads50"])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.2])
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--students", nargs="+", help="the default among them")
    tiny = {"sets": ["kitchen"], "shares": [0.2], "parts": 1, "seeds": 1, "epochs": 2}
    args = parse_with_data(parser, tiny)
    warnings.simplefilter("ignore")  # classes without a label, unlabelled clips
    print_header(
        *("set", "labels", "student", "accuracy", "log loss", "calibration error"),
        *("accuracy over default", "log loss over default"),
    )
    for name in args.sets:
        task = load_task(name, args.data)
        n_parts = min(args.parts, task.n_parts)
        for share in args.shares:
            found, rows = answered(
                task, share, n_parts, args.seeds, args.epochs, args.students
            )
            show(name, share, task, found, rows)


def show(set_name, share, task, found, rows):
    """Print a line for each student."""
    y, groups = task.y[rows], task.groups[rows]
    known = {name: scores(proba, y, task.classes) for name, proba in found.items()}
    for name, figures in known.items():
        error = certainty(found[name], y, task.classes)[2].mean()
        cells = [f"{100 * figures['top-1'].mean():.1f}"]
        cells += [f"{figures['log loss'].mean():.2f}", f"{100 * error:.1f}"]
        for figure, scale, digits in (("top-1", 100, 1), ("log loss", 1, 2)):
            gain = gain_of(figures[figure], known[DEFAULT][figure], groups, scale)
            cells.append("" if name == DEFAULT else f"{gain:.{digits}f}")
        print_row(set_name, f"{share:.0%}", name, *cells)


if __name__ == "__main__":
    main()
