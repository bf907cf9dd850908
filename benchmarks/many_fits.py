"""Memory of a process that fits hundreds of estimators, one after the other.

Fits of many kinds take turns: networks of each family, teachers, stacks, checkpoints,
early stopping, one that fails; each is asked for answers, saved and loaded. The table
says what the process holds after a number of fits (resident memory, Linux): the median
over two turns of all kinds, of which some per cent, now more and now less, are free
memory that glibc keeps for itself; and what is in use, after that was given back.
"""

import ctypes
import gc
import os
import tempfile
import warnings
from collections import deque
from pathlib import Path
from statistics import median

os.environ["OMP_NUM_THREADS"] = "1"

from common.arguments import plain_parser
from common.processes import status_mb
from common.report import print_header, print_row

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    FeatureMapNet,
    SmoothedAnticipator,
    fit_many,
    load,
)
from skanticipate.datasets import make_kitchen

LIBC = ctypes.CDLL(None)
KITCHEN = make_kitchen(n_steps=6, unlabeled_fraction=0.5, random_state=0)
SOME = KITCHEN.y
LABELLED = SOME >= 0
CLIPS, Y = KITCHEN.X_past[LABELLED], SOME[LABELLED]
X, MAPS = CLIPS.mean(axis=1), CLIPS.reshape(len(CLIPS), 2, 3, 1, -1)
ALL, FUTURE = KITCHEN.X_past.mean(axis=1), KITCHEN.X_future.mean(axis=1)


def smoothed(network, seed, **options):
    """An estimator of few epochs."""
    return SmoothedAnticipator(network, max_epochs=2, random_state=seed, **options)


def failing(seed):
    """A fit that diverges, and leaves its estimator as it was."""
    model = smoothed(MLP(32), seed, lr=1e38, optimizer="sgd")
    try:
        model.fit(X, Y)
    except ValueError:
        return smoothed(MLP(32), seed).fit(X, Y), X
    raise SystemExit("A fit that was to fail did not.")


def distilled(seed, folder):
    """A student, its teacher and their checkpoints."""
    model = DistilledAnticipator(
        MLP(32), max_epochs=2, random_state=seed, checkpoint=folder
    )
    return model.fit(ALL, SOME, FUTURE), ALL


def stack(seed):
    """One of four that are trained together."""
    models = [smoothed(MLP(32, dropout=0.2), seed + k) for k in range(4)]
    return fit_many(models, X, Y)[-1], X


def stopping(seed):
    """One that holds rows out."""
    model = smoothed(MLP(32), seed, early_stopping=True)
    return model.fit(X, Y, groups=KITCHEN.groups[LABELLED]), X


KINDS = [
    lambda seed, folder: (smoothed(MLP(64, dropout=0.2), seed).fit(X, Y), X),
    lambda seed, folder: (smoothed(LSTM(24), seed).fit(CLIPS, Y), CLIPS),
    lambda seed, folder: (smoothed(FeatureMapNet(16), seed).fit(MAPS, Y), MAPS),
    lambda seed, folder: stopping(seed),
    lambda seed, folder: stack(seed),
    distilled,
    lambda seed, folder: failing(seed),
]


def fit_and_ask(k, folder):
    """The k-th fit, its answers, its file and what that gives."""
    model, clips = KINDS[k % len(KINDS)](k, folder)
    path = Path(folder) / "model.safetensors"
    model.save(path)
    if not (load(path).predict_proba(clips) == model.predict_proba(clips)).all():
        raise SystemExit("A model that was loaded answers otherwise.")


def main():
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--fits", type=int, default=500)
    args = parser.parse_args()
    n_fits = 20 if args.tiny else args.fits
    step = max(1, min(100, n_fits // 2))
    warnings.simplefilter("ignore")
    print_header("fits", "resident, MB", "in use, MB", "of the first")
    held, lately = [], deque(maxlen=2 * len(KINDS))
    with tempfile.TemporaryDirectory() as folder:
        for k in range(n_fits):
            fit_and_ask(k, folder)
            gc.collect()
            lately.append(status_mb("VmRSS:"))
            if (k + 1) % step == 0:
                LIBC.malloc_trim(0)
                held.append(status_mb("VmRSS:"))
                share = f"{held[-1] / held[0]:.4f}"
                print_row(str(k + 1), f"{median(lately):.1f}", f"{held[-1]:.1f}", share)
    if not args.tiny and held[-1] > 1.02 * held[0]:
        raise SystemExit("Memory grew by more than 2 per cent.")


if __name__ == "__main__":
    main()
