"""Searches and other sets of fits that are trained together, against one by one.

CPU time on one thread, variants interleaved in one run, ratios within a round, medians.
A smoothing of labels is to skorch the `label_smoothing` of torch's loss, and its
modules are those that everybody writes (extra `bench`). Bare products are those of the
matrices of all training steps, made in arrays that are there: no peer, but the limit.
Against our own fits one by one, the largest difference of a score or probability, and
whether the same candidate, or for each clip the same class, is best. All is in float32,
where they may differ by what rounding does.

    python benchmarks/search.py [--jobs mlp lstm gru probes distilled cross-fit]
"""

import os
from functools import partial
from itertools import product
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common import distilled
from common.arguments import device_parser
from common.contest import Entry, contest, print_contest, print_contest_header
from common.products import Products, perceptron, recurrent
from common.skorch_peer import (
    RecurrentModule,
    has_skorch,
    perceptron_module,
    skorch_classifier,
)
from common.timing import seconds_on
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold

from skanticipate import (
    LSTM,
    MLP,
    AttentiveProbe,
    BatchedGridSearchCV,
    DistilledAnticipator,
    NetworkSpec,
    RecognitionTeacher,
    SmoothedAnticipator,
    fit_many,
)

SMOOTHING = [0.0, 0.05, 0.1, 0.2, 0.4]
RATES = {"sgd": [0.003, 0.01, 0.03, 0.1], "adamw": [5e-4, 1e-3, 2e-3, 5e-3]}
HEAD_RATES = [5e-4, 1e-3, 2e-3, 4e-3, 8e-3]
HEAD_DECAYS = [1e-4, 1e-3, 1e-2, 1e-1]
ONE_BY_ONE = "GridSearchCV(ours)"


def labelled_clips(shape, n, n_classes):
    """Standardised clips (n, *shape) about a point for each class, and their labels."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(n) % n_classes)
    points = rng.standard_normal((n_classes, *shape))
    clips = points[y] + 3 * rng.standard_normal((n, *shape))
    return (clips / clips.std()).astype(np.float32), y


def show(args, title, entries, answer_of):
    """Do a job in all ways and print a row for each peer.

    Parameters
    ----------
    args : Namespace
        Arguments of the command line.
    title : str
        The job.
    entries : list of Entry
        Ours first.
    answer_of : callable
        What an entry gives -> scores (V,) or probabilities (n, C), to be compared.
    """
    times, found = contest(entries, seconds_on(args.device), args.rounds)
    ours, others = answer_of(found[0]), {}
    for entry, given in zip(entries[1:], found[1:], strict=True):
        others[entry.name] = ["", ""]
        if entry.agrees:
            theirs = answer_of(given)
            same = np.array_equal(ours.argmax(-1), theirs.argmax(-1))
            difference = f"{np.abs(ours - theirs).max():.1e}"
            others[entry.name] = [difference, "yes" if same else "no"]
    print_contest(title, entries, times, others=others)


def mean_scores(found):
    """Score of each candidate of a search."""
    return found.cv_results_["mean_test_score"]


def probabilities(clips, fitted):
    """Probabilities that fitted estimators give for clips, one after the other."""
    return np.concatenate([model.predict_proba(clips) for model in fitted])


# ------------------------------------------------------ smoothing and learning rate


def search(kind, estimator, grid, clips, y):
    """Fitted search over three folds."""
    return kind(estimator, grid, cv=3, refit=False, error_score="raise").fit(clips, y)


class Task(NamedTuple):
    """A search over smoothing and learning rate.

    ``module`` is that of skorch, with its parameters; ``shapes`` (m, k, n) are those of
    the matrix products of a step; ``goals`` are against skorch, and one by one.
    """

    title: str
    spec: NetworkSpec
    module: dict
    shapes: list
    clips: np.ndarray
    y: np.ndarray
    batch: int
    goals: tuple


def show_search(args, task):
    """Rows of a search over smoothing and learning rate."""
    rates, data = RATES[args.optimizer][: args.grid], (task.clips, task.y)
    training = {
        "optimizer": args.optimizer,
        "lr": rates[0],
        "weight_decay": 1e-4,
        "batch_size": task.batch,
        "max_epochs": args.epochs,
    }
    ours = SmoothedAnticipator(
        task.spec, random_state=0, device=args.device, **training
    )
    smoothing = SMOOTHING[: args.grid + 1]
    grid = {"smoothing": smoothing, "lr": rates}
    n_epochs = 3 * len(smoothing) * len(rates) * args.epochs
    n_steps = n_epochs * -(-2 * len(task.y) // (3 * task.batch))
    by_skorch, alone = task.goals
    entries = [
        Entry("ours", partial(search, BatchedGridSearchCV, ours, grid, *data)),
        Entry(
            ONE_BY_ONE, partial(search, GridSearchCV, ours, grid, *data), alone, True
        ),
        Entry("bare products", partial(Products(task.shapes), n_steps)),
    ]
    if args.with_skorch:
        theirs = skorch_classifier(training=training, **task.module)
        grid = {"criterion__label_smoothing": smoothing, "lr": rates}
        call = partial(search, GridSearchCV, theirs, grid, *data)
        entries.insert(1, Entry("GridSearchCV(skorch)", call, by_skorch))
    title = f"search, {task.title}, batch {task.batch}, {args.optimizer}"
    show(args, title, entries, mean_scores)


def show_mlps(args):
    """Searches for perceptrons, small and of medium size."""
    for sizes, batch, goals in (
        ((64, 64, 50), 32, (20, 10)),
        ((256, 128, 125), 128, (6, 2.5)),
    ):
        task = Task(
            "MLP {}-{}-{}".format(*sizes),
            MLP(sizes[1]),
            {"module": perceptron_module, "module__sizes": sizes},
            perceptron(sizes, batch),
            *labelled_clips(sizes[:1], args.n, sizes[-1]),
            batch,
            goals,
        )
        show_search(args, task)


def show_recurrent(args, cell):
    """A search for a recurrent network of 32 units over clips of 6 steps."""
    sizes, n_steps, batch = (24, 32, 20), 6, 32
    gates = {"lstm": 4, "gru": 3}[cell]
    task = Task(
        f"{cell.upper()}(32)",
        LSTM(sizes[1], cell=cell),
        {"module": RecurrentModule, "module__sizes": sizes, "module__cell": cell},
        recurrent(sizes, batch, n_steps, gates),
        *labelled_clips((n_steps, sizes[0]), args.n, sizes[-1]),
        batch,
        (10, 5),
    )
    show_search(args, task)


# --------------------------------------------------------------- other sets of fits


def one_by_one(estimators, clips, y):
    """Fitted clones."""
    return [clone(estimator).fit(clips, y) for estimator in estimators]


def together(estimators, clips, y):
    """Fitted clones."""
    return fit_many([clone(estimator) for estimator in estimators], clips, y)


def show_probes(args):
    """Heads on frozen tokens, over learning rate and weight decay."""
    clips, y = labelled_clips((14, 256), args.n // 2, 20)
    rates, decays = HEAD_RATES[: args.grid + 1], HEAD_DECAYS[: args.grid]
    heads = [
        SmoothedAnticipator(
            AttentiveProbe(32),
            lr=lr,
            weight_decay=decay,
            max_epochs=args.epochs,
            random_state=0,
            device=args.device,
        )
        for lr, decay in product(rates, decays)
    ]
    entries = [
        Entry("fit_many", partial(together, heads, clips, y)),
        Entry("single fits", partial(one_by_one, heads, clips, y), 1.5, True),
    ]
    title = f"{len(heads)} AttentiveProbe(32), T 14, d 256"
    show(args, title, entries, partial(probabilities, clips[:200]))


def show_distilled(args):
    """A search over alpha and feature weight, the teacher shared."""
    model = DistilledAnticipator(
        LSTM(32),
        max_epochs=args.epochs,
        batch_size=32,
        random_state=0,
        device=args.device,
    )
    grid = {name: values[: args.grid + 1] for name, values in distilled.GRID.items()}
    data = distilled.past_and_future(n_videos=args.n // 125)
    run = partial(distilled.search, model=model, grid=grid, **data)
    entries = [
        Entry("ours", partial(run, BatchedGridSearchCV, cached=True)),
        Entry(
            f"{ONE_BY_ONE}, cache", partial(run, GridSearchCV, cached=True), 2.5, True
        ),
        Entry(
            f"{ONE_BY_ONE}, own", partial(run, GridSearchCV, cached=False), 4.0, True
        ),
    ]
    show(args, "search, DistilledAnticipator(LSTM(32))", entries, mean_scores)


# ------------------------------------------------------------------- cross-fitting


def cross_fit(student, clips, futures, y, groups):
    """A student whose soft targets come from five teachers.   -> [student]."""
    model = clone(student).set_params(cross_fit=5)
    return [model.fit(clips, y, futures, groups=groups)]


def cross_fit_by_hand(student, clips, futures, y, groups):
    """The same: five single fits, and that of the student.   -> [student]."""
    proba = np.zeros((len(y), len(np.unique(y))))
    for fitted, held in GroupKFold(5).split(clips, y, groups):
        teacher = clone(student.teacher).fit(futures[fitted], y[fitted])
        proba[held] = teacher.predict_proba(futures[held])
    model = clone(student).set_params(teacher=None)
    return [model.fit(clips, y, futures, teacher_proba=proba, groups=groups)]


def show_cross_fit(args):
    """Five teachers of as many folds, and a student of one epoch."""
    for spec, shape in ((MLP(64), (64,)), (LSTM(32), (6, 24))):
        clips, y = labelled_clips(shape, args.n, 20)
        shared = {
            "classes": np.unique(y),
            "batch_size": 32,
            "random_state": 0,
            "device": args.device,
        }
        student = DistilledAnticipator(
            spec,
            teacher=RecognitionTeacher(spec, max_epochs=2 * args.epochs, **shared),
            feature_weight=0.0,
            teacher_weight=1.0,
            init_from_teacher=False,
            max_epochs=1,
            **shared,
        )
        data = clips, clips, y, np.arange(len(y)) // 10  # a future like the past
        entries = [
            Entry("cross_fit=5", partial(cross_fit, student, *data)),
            Entry(
                "fits by hand", partial(cross_fit_by_hand, student, *data), 3.0, True
            ),
        ]
        title = f"cross_fit=5, {type(spec).__name__}({spec.hidden_size})"
        show(args, title, entries, partial(probabilities, clips[:200]))


JOBS = {
    "mlp": show_mlps,
    "lstm": partial(show_recurrent, cell="lstm"),
    "gru": partial(show_recurrent, cell="gru"),
    "probes": show_probes,
    "distilled": show_distilled,
    "cross-fit": show_cross_fit,
}


def main():
    """Print the table."""
    parser = device_parser(__doc__)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=JOBS)
    parser.add_argument("--optimizer", default="sgd", choices=RATES)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.n, args.epochs, args.grid = 5000, 5, 4  # candidates: 5 x 4
    if args.tiny:
        args.rounds, args.n, args.epochs, args.grid = 1, 750, 1, 1
    args.with_skorch = has_skorch()
    print_contest_header("s", "difference", "same best")
    for job in args.jobs:
        JOBS[job](args)


if __name__ == "__main__":
    main()
