"""What a second process brings: to a search on Dask, and to one large fit.

Wall time, one thread a process, in turns in one run, and the medians of the ratios: two
processes against one. The search are 60 fits of a network through `GridSearchCV`, on a
`LocalCluster` of two workers that are there already. The fit is one of a network of 20
million weights inside of `data_parallel`, started by torchrun; its time is that of an
epoch, four epochs less one, by three. CPU time is that of the rank that took most: what
the wall time would be where every process has a core. The load of the machine stands
beside: by the wall two processes are no measure where others have the cores.

    python benchmarks/machines.py [--parts dask fit] [--rounds 3]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.report import print_header, print_row
from common.timing import in_turns, wall_seconds
from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

import skanticipate
from skanticipate import LSTM, MLP, SmoothedAnticipator

RATES = list(np.geomspace(5e-4, 5e-2, 20))
FITS = {  # rows, batch, spec, shape of a clip
    "LSTM": (256, 128, LSTM(1536), (14, 1024)),
    "MLP": (1024, 512, MLP((3200, 3200)), (1024,)),
}
N_CLASSES = 2513


def clips_of(shape, n, n_classes):
    """Clips (n, *shape) at random, and labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, *shape), np.float32), np.arange(n) % n_classes


# -------------------------------------------------------------------- a search


def searches(tiny, rounds):
    """Seconds of a search on one process and on two, and whether scores are equal.

    -> (rounds, 2), bool
    """
    n, epochs, rates = (120, 1, RATES[:2]) if tiny else (1500, 30, RATES)
    clips, y = clips_of((64,), n, 10)
    model = SmoothedAnticipator(MLP(128), max_epochs=epochs, random_state=0)
    scores = {}

    def search(on_dask):
        found = GridSearchCV(model, {"lr": rates}, cv=3, refit=False)
        if on_dask:
            with parallel_config("dask"):
                found.fit(clips, y)
        else:
            found.fit(clips, y)
        scores[on_dask] = found.cv_results_["mean_test_score"]

    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        scheduler_port=0,
        preload=["skanticipate"],
    )
    with cluster, Client(cluster):
        search(True)  # workers import what they need
        times = in_turns(
            lambda on_dask: wall_seconds(search, on_dask)[0], [False, True], rounds
        )
    return np.array(times), np.array_equal(scores[False], scores[True])


# ----------------------------------------------------------------- a large fit


def fit_on_ranks(name, tiny, folder):
    """Fit on the ranks of torchrun; each writes down what an epoch took."""
    n, batch, spec, shape = FITS[name]
    if tiny:
        n, batch, spec = 64, 32, type(spec)(8)
    n_classes = 10 if tiny else N_CLASSES  # more than there are rows
    clips, y = clips_of(shape, n, n_classes)

    def fit(epochs):
        model = SmoothedAnticipator(
            spec,
            classes=np.arange(n_classes),
            max_epochs=epochs,
            batch_size=batch,
            random_state=0,
            n_threads=1,
        )
        start = time.perf_counter(), time.process_time()
        with skanticipate.data_parallel():
            model.fit(clips, y)
        return time.perf_counter() - start[0], time.process_time() - start[1], model

    n_more = 1 if tiny else 3
    short, long = fit(1), fit(1 + n_more)
    told = {
        "wall": (long[0] - short[0]) / n_more,
        "cpu": (long[1] - short[1]) / n_more,
        "weights": sum(w.numel() for w in long[2].network_.parameters()),
        "loss": long[2].loss_curve_[-1],
    }
    Path(folder, os.environ["RANK"]).write_text(json.dumps(told))


def on_ranks(name, n_ranks, tiny):
    """What the ranks wrote down, of times the longest.   -> dict."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(n_ranks), __file__, "--fit", name]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--folder", folder, *(["--tiny"] if tiny else [])]
        subprocess.run(command, check=True)
        told = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
    return {name: max(rank[name] for rank in told) for name in told[0]}


# ---------------------------------------------------------------------- a table


def show(title, times, same):
    """Print a row of times (rounds, 2)."""
    one, two = np.median(times, axis=0)
    ratio = np.median(times[:, 0] / times[:, 1])
    load = f"{os.getloadavg()[0]:.0f}"
    print_row(title, f"{one:.2f}", f"{two:.2f}", f"{ratio:.2f}x", same, load)


def show_fits(names, tiny, rounds):
    """Print a row of wall time and one of CPU time for each network."""
    for name in names:
        found = in_turns(lambda n, name=name: on_ranks(name, n, tiny), [1, 2], rounds)
        one, two = found[-1]
        same = f"loss to {abs(one['loss'] - two['loss']):.0e}"
        title = f"an epoch of {name}, {one['weights'] / 1e6:.1f} million weights"
        for kind in ("wall", "cpu"):
            times = np.array([[told[kind] for told in row] for row in found])
            show(f"{title}, {kind}", times, same)


def main():
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--parts", nargs="+", default=["dask", "fit"])
    parser.add_argument("--fits", nargs="+", default=list(FITS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fit", help="for torchrun")
    parser.add_argument("--folder", help="for torchrun")
    args = parser.parse_args()
    if args.fit:
        return fit_on_ranks(args.fit, args.tiny, args.folder)
    rounds = 1 if args.tiny else args.rounds
    print(f"load before: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}\n")
    print_header("", "one process, s", "two, s", "ratio", "the same", "load after")
    if "dask" in args.parts:
        times, same = searches(args.tiny, rounds)
        show("60 fits on Dask", times, "scores" if same else "no")
    if "fit" in args.parts:
        show_fits(args.fits[:1] if args.tiny else args.fits, args.tiny, rounds)


if __name__ == "__main__":
    main()
