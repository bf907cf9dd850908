"""Fits and searches that are killed at random moments, and started again.

Each is run to its end without a checkpoint, then with one in a process that gets
SIGKILL at a random moment, and then again, to its end. What counts is whether it has
all the bits of the first run: weights, histories, scores. The first table says that,
and how much of the time of a whole run the runs after the kills took, on average. Fits
this short would not write after every epoch: here they are made to, which costs them
more than it saves. The second table says what keeping the state of a longer fit costs:
the time in the key and in writing, and the size of the folder; the third compares whole
fits without and with it, in turn.

A child is forked, so that no time goes into imports; not for Windows.
"""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.report import print_header, print_row
from sklearn.model_selection import GridSearchCV

from skanticipate import (
    LSTM,
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    FeatureMapNet,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.datasets import make_kitchen
from skanticipate.estimator import base
from skanticipate.training import checkpoint
from skanticipate.training.checkpoint import StateFile

KITCHEN = make_kitchen(n_steps=6, unlabeled_fraction=0.5, random_state=0)
CLIPS, FUTURE, SOME = KITCHEN.X_past, KITCHEN.X_future, KITCHEN.y
LABELLED = SOME >= 0
X, Y = CLIPS[LABELLED].mean(axis=1), SOME[LABELLED]
SEQUENCES, MAPS = CLIPS[LABELLED], CLIPS[LABELLED].reshape(len(Y), 2, 3, 1, -1)
PAIRS = CLIPS.mean(axis=1), SOME, FUTURE.mean(axis=1)
VIDEOS = KITCHEN.groups[LABELLED]
GRID = {"lr": [0.001, 0.01], "smoothing": [0.0, 0.2]}
STOPPING = {"early_stopping": True, "n_iter_no_change": 8}
FORK = multiprocessing.get_context("fork")

# ----------------------------------------------------------------- what is fitted


def smoothed(network, folder, max_epochs=20, **options):
    """An estimator that keeps its fits in a folder, or nowhere."""
    return SmoothedAnticipator(
        network,
        max_epochs=max_epochs,
        batch_size=32,
        random_state=0,
        checkpoint=folder,
        **options,
    )


def distilled(folder, **options):
    """One with a teacher that sees the future."""
    return DistilledAnticipator(
        MLP(32, dropout=0.2),
        max_epochs=10,
        random_state=0,
        checkpoint=folder,
        **options,
    )


def seeds(folder):
    """Estimators that are trained together, of which some end before others."""
    models = [smoothed(MLP(32, dropout=0.2), folder, 20 + 3 * k) for k in range(6)]
    return [m.set_params(random_state=k, **STOPPING) for k, m in enumerate(models)]


def search(kind, folder):
    """A search over candidates that keep their fits."""
    return kind(smoothed(MLP(32), folder, 8), GRID, cv=3).fit(X, Y)


FITS = {
    "MLP": lambda f: smoothed(MLP(64, dropout=0.3), f, 40).fit(X, Y),
    "early stopping": lambda f: smoothed(MLP(64), f, 60, **STOPPING).fit(
        X, Y, groups=VIDEOS
    ),
    "LSTM": lambda f: smoothed(LSTM(24, dropout=0.3), f, 12).fit(SEQUENCES, Y),
    "maps": lambda f: smoothed(FeatureMapNet(16), f, 12).fit(MAPS, Y),
    "teacher": lambda f: distilled(f).fit(*PAIRS),
    "cross-fit": lambda f: distilled(f, cross_fit=3).fit(*PAIRS, groups=KITCHEN.groups),
    "fit_many": lambda f: fit_many(seeds(f), X, Y, groups=VIDEOS),
    "GridSearchCV": lambda f: search(GridSearchCV, f),
    "BatchedGridSearchCV": lambda f: search(BatchedGridSearchCV, f),
}


def bits(fitted):
    """All that a fit or a search learnt, as texts and bytes."""
    if isinstance(fitted, list):
        return [bits(one) for one in fitted]
    if hasattr(fitted, "cv_results_"):
        scores = fitted.cv_results_["mean_test_score"].tolist()
        return [scores, str(fitted.best_params_), bits(fitted.best_estimator_)]
    weights = fitted.network_.state_dict().items()
    found = [fitted.history_, [(name, w.numpy().tobytes()) for name, w in weights]]
    teacher = getattr(fitted, "teacher_", None)
    return found if teacher is None else [*found, bits(teacher)]


# ------------------------------------------------------------------------- kills


def in_child(name, folder):
    """Start a fit in a child.   -> the process, and where its bits will come."""
    receiver, sender = FORK.Pipe(duplex=False)

    def work():
        with mock.patch.object(checkpoint, "_PAUSE", 0):  # write after every epoch
            sender.send(bits(FITS[name](folder)))

    process = FORK.Process(target=work)
    process.start()
    sender.close()
    return process, receiver


def to_its_end(name, folder):
    """Bits of a fit, and the seconds that it took."""
    start = time.perf_counter()
    process, receiver = in_child(name, folder)
    found = receiver.recv()
    process.join()
    return found, time.perf_counter() - start


def killed(name, folder, seconds):
    """Start a fit and kill it.   -> whether it was under way."""
    process, receiver = in_child(name, folder)
    process.join(seconds)
    under_way = process.is_alive()
    process.kill()
    process.join()
    receiver.close()
    return under_way


def kill_and_go_on(name, n_kills, rng):
    """Kills of one kind of fit.   -> kills, equal, seconds whole, shares after."""
    expected, seconds = to_its_end(name, None)
    n_killed, n_equal, shares = 0, 0, []
    while n_killed < n_kills:
        with tempfile.TemporaryDirectory() as folder:
            if not killed(name, folder, rng.uniform(0, seconds)):
                continue
            n_killed += 1
            found, again = to_its_end(name, folder)
            n_equal += found == expected
            shares.append(again / seconds)
    return n_killed, n_equal, seconds, shares


# -------------------------------------------------------------------------- costs


def clocks():
    """Seconds of the wall and of the processor.   -> (2,)."""
    return np.array([time.perf_counter(), time.process_time()])


def timed(function):
    """A function that notes the seconds of its calls, and the list of them."""
    seconds = []

    def call(*args):
        start = clocks()
        try:
            return function(*args)
        finally:
            seconds.append(clocks() - start)

    return call, seconds


def cost(network, clips, labels, max_epochs):
    """Seconds of a fit, of its key and its writing; writes; bytes that are left.

    Seconds are those of the wall and of the processor.
    """
    (find_key, key), (write, written) = map(timed, (base.fit_key, StateFile.write))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(base, "fit_key", find_key),
        mock.patch.object(StateFile, "write", write),
    ):
        start = clocks()
        smoothed(network, folder, max_epochs).fit(clips, labels)
        seconds = clocks() - start
        n_bytes = sum(path.stat().st_size for path in Path(folder).iterdir())
    return seconds, sum(key), sum(written), len(written), n_bytes


def print_costs(tiny):
    """Costs of fits of about a minute, or of a moment."""
    rng = np.random.default_rng(0)
    n = 300 if tiny else 20_000
    clips = rng.normal(size=(n, 256)).astype(np.float32)
    labels = np.arange(n) % 50
    sizes = [(64, 2)] if tiny else [(64, 20), (1024, 10), ((2048, 2048), 2)]
    heads = ["fit", "seconds", "of CPU", "key, ms", "writes", "cost, %", "of CPU, %"]
    print_header(*heads, "folder, MB")
    for size, max_epochs in sizes:
        found = cost(MLP(size), clips, labels, max_epochs)
        seconds, key, written, n_writes, n_bytes = found
        shares = 100 * (key + written) / seconds
        print_row(
            f"MLP({size}), {max_epochs} epochs",
            *(f"{each:.1f}" for each in seconds),
            f"{1000 * key[0]:.1f}",
            str(n_writes),
            *(f"{share:.2f}" for share in shares),
            f"{n_bytes / 1e6:.1f}",
        )


def print_pairs(tiny, n_pairs, max_epochs):
    """Times of fits without and with a checkpoint, in turn."""
    n, max_epochs, n_pairs = (300, 2, 1) if tiny else (20_000, max_epochs, n_pairs)
    clips = np.random.default_rng(0).normal(size=(n, 256)).astype(np.float32)
    labels = np.arange(n) % 50
    print_header("pair", "without, s", "with, s", "ratio", "ratio of CPU times")
    found = []
    for k in range(n_pairs):
        with tempfile.TemporaryDirectory() as kept:
            times = {}
            for folder in [None, kept] if k % 2 == 0 else [kept, None]:
                start = clocks()
                smoothed(MLP(256), folder, max_epochs).fit(clips, labels)
                times[folder is None] = clocks() - start
        ratios = times[False] / times[True]
        seconds = [f"{times[plain][0]:.1f}" for plain in (True, False)]
        print_row(str(k + 1), *seconds, *(f"{ratio:.3f}" for ratio in ratios))
        found.append(ratios)
    print_row("median", "", "", *(f"{ratio:.3f}" for ratio in np.median(found, axis=0)))


def main():
    """Print the tables."""
    parser = plain_parser(__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=5, help="of fits that are timed")
    parser.add_argument("--epochs", type=int, default=20, help="of each of them")
    args = parser.parse_args()
    n_kills = len(FITS) if args.tiny else args.kills
    rng = np.random.default_rng(args.seed)
    of_each = [len(part) for part in np.array_split(range(n_kills), len(FITS))]
    totals = np.zeros(2, dtype=int)
    print_header("killed", "kills", "same bits", "seconds, whole", "again, share")
    for name, n in zip(FITS, of_each, strict=True):
        n_killed, n_equal, seconds, shares = kill_and_go_on(name, n, rng)
        totals += n_killed, n_equal
        share = f"{np.mean(shares):.2f}" if shares else ""
        print_row(name, str(n_killed), str(n_equal), f"{seconds:.2f}", share)
    print_row("all", *map(str, totals), "", "")
    print()
    print_costs(args.tiny)
    print()
    print_pairs(args.tiny, args.pairs, args.epochs)
    if totals[0] != totals[1]:
        raise SystemExit("A fit that was killed did not come to the same end.")


if __name__ == "__main__":
    main()
