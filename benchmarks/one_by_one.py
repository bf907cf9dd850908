"""Whether a search that trains its candidates together costs more anywhere.

Every estimator and kind of input through `BatchedGridSearchCV` and through
`GridSearchCV`, six candidates on two folds: CPU time on one thread, both in turns, and
what the search adds to the peak memory of a process of its own. Of what is trained
together the weights, gradients and moments of all models are in memory at once, and a
batch of each; what cannot be together is fitted as scikit-learn does.

    python benchmarks/one_by_one.py [--rounds 5]
"""

import os
import warnings
from functools import partial
from tempfile import TemporaryDirectory

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.processes import added_mb, alone
from common.report import print_header, print_row
from common.timing import cpu_seconds, medians
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    BatchedGridSearchCV,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    FrameMLP,
    HistoryTeacher,
    LateFusion,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
)

N_CLASSES = 10
SHARED = {"max_epochs": 2, "batch_size": 32, "random_state": 0, "device": "cpu"}
RATES = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3]
SIZES = [16, 16, 24, 24, 32, 32]


def smoothed(network, **parameters):
    """Student of a network."""
    return SmoothedAnticipator(network, **SHARED, **parameters)


# Of each case: estimator, name of what is searched over, shape and kind of the clips.
CASES = {
    "MLP(64)": (smoothed(MLP(64)), "lr", (64,), "float32"),
    "MLP(64), in float64": (smoothed(MLP(64)), "lr", (64,), "float64"),
    "MLP(64), rows of a file": (smoothed(MLP(64)), "lr", (64,), "memory map"),
    "MLP(64), RowView": (smoothed(MLP(64)), "lr", (64,), "view"),
    "MLP(64), lists": (smoothed(MLP(64)), "lr", (64,), "lists"),
    "MLP(512)": (smoothed(MLP(512)), "lr", (512,), "float32"),
    "MLP(64), early stopping": (
        smoothed(MLP(64), early_stopping=True),
        "lr",
        (64,),
        "float32",
    ),
    "LSTM(32)": (smoothed(LSTM(32)), "lr", (6, 24), "float32"),
    "LSTM(32), padded": (smoothed(LSTM(32)), "lr", (6, 24), "padded"),
    "LSTM(32, cell='gru')": (smoothed(LSTM(32, cell="gru")), "lr", (6, 24), "float32"),
    "LSTM(32, embedding=8), codes": (
        smoothed(LSTM(32, embedding=8)),
        "lr",
        (6, 2),
        "codes",
    ),
    "LSTM(256)": (smoothed(LSTM(256)), "lr", (6, 256), "float32"),
    "FrameMLP(32)": (smoothed(FrameMLP(32)), "lr", (6, 24), "float32"),
    "RULSTM(32)": (smoothed(RULSTM(32)), "lr", (14, 24), "float32"),
    "EncoderDecoderLSTM(32)": (
        smoothed(EncoderDecoderLSTM(32)),
        "lr",
        (14, 24),
        "float32",
    ),
    "AVTHead(32)": (smoothed(AVTHead(32)), "lr", (6, 24), "float32"),
    "AttentiveProbe(32)": (smoothed(AttentiveProbe(32)), "lr", (6, 24), "float32"),
    "FeatureMapNet(8)": (smoothed(FeatureMapNet(8)), "lr", (4, 4, 4, 8), "float32"),
    "DistilledAnticipator(MLP(64))": (
        DistilledAnticipator(MLP(64), **SHARED),
        "lr",
        (64,),
        "future",
    ),
    "DistilledAnticipator(LSTM(32))": (
        DistilledAnticipator(LSTM(32), **SHARED),
        "alpha",
        (6, 24),
        "future",
    ),
    "RecognitionTeacher(MLP(64))": (
        RecognitionTeacher(MLP(64), **SHARED),
        "lr",
        (64,),
        "float32",
    ),
    "HistoryTeacher": (HistoryTeacher(max_epochs=1), "hidden_size", (6,), "history"),
    "LateFusion of two": (
        LateFusion(
            [
                ("first", smoothed(MLP(32)), (0, 32)),
                ("second", smoothed(MLP(32)), (32, 64)),
            ]
        ),
        "first__lr",
        (64,),
        "float32",
    ),
    "Pipeline of scaler and MLP(64)": (
        make_pipeline(StandardScaler(), smoothed(MLP(64))),
        "smoothedanticipator__lr",
        (64,),
        "float32",
    ),
    "LogisticRegression": (LogisticRegression(), "C", (64,), "float32"),
}


def clips_of(shape, kind, n, folder):
    """Clips (n, *shape) about a point of each class, in a kind of container; labels."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % N_CLASSES
    clips = rng.standard_normal((N_CLASSES, *shape))[y] + rng.standard_normal(
        (n, *shape)
    )
    clips = clips.astype("float64" if kind == "float64" else "float32")
    if kind in ("codes", "history"):
        clips = rng.integers(0, N_CLASSES, (n, *shape)).astype(np.int64)
    if kind == "padded":
        for row, n_missing in zip(clips, rng.integers(0, 3, n), strict=True):
            row[:n_missing] = np.nan
    if kind == "memory map":
        path = os.path.join(folder, "clips.npy")
        np.save(path, clips)
        clips = np.load(path, mmap_mode="r")
    if kind == "view":
        clips = RowView(clips)
    if kind == "lists":
        clips = clips.tolist()
    return clips, y


def call_of(case, search, n, folder):
    """A search that has but to be run."""
    estimator, name, shape, kind = CASES[case]
    clips, y = clips_of(shape, kind, n, folder)
    given = {"X_future_unlabeled": clips} if kind == "future" else {}
    values = SIZES if name == "hidden_size" else RATES
    model = search(
        estimator, {name: values}, cv=2, refit=False, scoring="accuracy", n_jobs=1
    )
    return partial(model.fit, clips, y, **given)


def added(case, search, n):
    """Megabytes that a search adds to the peak of this process."""
    with TemporaryDirectory() as folder:
        call_of(case, search, 60, folder)()
        return added_mb(call_of(case, search, n, folder))


def main():
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of rows without groups
    n, cases, kinds = args.clips, args.cases, [GridSearchCV, BatchedGridSearchCV]
    if args.tiny:
        args.rounds, n, cases = 1, 60, cases[:1]
    memory = {  # first: what is computed here would be in each of those processes
        case: [alone(added, case, kind, n) for kind in kinds] for case in cases
    }
    print_header(
        *("searched", "one by one / together, time"),
        *("one by one, s", "together, s", "one by one, MB", "together, MB"),
    )
    with TemporaryDirectory() as folder:
        for case in cases:
            calls = [call_of(case, kind, n, folder) for kind in kinds[::-1]]
            seconds, ratios = medians(lambda c: cpu_seconds(c)[0], calls, args.rounds)
            cells = [f"{ratios[1]:.2f}x", *(f"{s:.2f}" for s in seconds[::-1])]
            cells += [f"{mb:.1f}" for mb in memory[case]]
            print_row(case, *cells)


if __name__ == "__main__":
    main()
