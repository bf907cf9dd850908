"""What a step, a small fit, one prediction and the first fit cost beside the products.

CPU time on one thread, variants interleaved in one run. A step is the whole of it
(batch, forward, loss, backward, update), the difference of a long and a short fit. Soft
targets are rows of a given matrix; the feature loss compares an MLP with a frozen
teacher of the same network. The peer of small fits and predictions is scikit-learn's
MLPClassifier.
"""

import os
import subprocess
import sys
import warnings

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import device_parser
from common.report import print_header, print_row
from common.timing import cpu_ms, epoch_seconds, medians, seconds_on
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier

from skanticipate import (
    MLP,
    ArrayPrior,
    DistilledAnticipator,
    RecognitionTeacher,
    SmoothedAnticipator,
)

SIZES = [  # features, hidden units, classes, rows, batch
    (64, 64, 50, 1000, 32),
    (256, 256, 125, 4000, 128),
    (256, 256, 2513, 2560, 128),
]
FIRST_FIT = """
import sys, time
import numpy as np
from skanticipate import LSTM, SmoothedAnticipator

device = sys.argv[1]
X, y = np.zeros((50, 4, 8), np.float32), np.arange(50) % 5
for _ in range(2):
    start = time.perf_counter()
    SmoothedAnticipator(LSTM(8), max_epochs=1, random_state=0, device=device).fit(X, y)
    print(1e3 * (time.perf_counter() - start))
"""


def data(size):
    """Clips (n, d) and their labels."""
    d, _, n_classes, n, _ = size
    clips = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    return clips, np.arange(n) % n_classes


def soft_targets(size, epochs, rounds, device):
    """Step with hard labels, uniform smoothing and a matrix of the labels."""
    _, hidden, n_classes, n, batch = size
    X, y = data(size)
    matrix = np.random.default_rng(1).dirichlet(np.ones(n_classes), size=n_classes)
    given = ArrayPrior(matrix.astype(np.float32), np.arange(n_classes))

    def measure(variant):
        smoothing, prior = variant

        def fit(n_epochs):
            return SmoothedAnticipator(
                MLP(hidden),
                smoothing=smoothing,
                prior=prior,
                max_epochs=n_epochs,
                batch_size=batch,
                random_state=0,
                device=device,
            ).fit(X, y)

        return epoch_seconds(fit, epochs, seconds_on(device)) / -(-n // batch)

    return medians(measure, [(0.0, None), (0.2, None), (0.2, given)], rounds)


def feature_loss(size, epochs, rounds, device):
    """Step of a student without and with the default feature loss."""
    _, hidden, _, _, batch = size
    X, y = data(size)
    teacher = RecognitionTeacher(MLP(hidden), max_epochs=1, random_state=0)
    teacher = FrozenEstimator(teacher.fit(X, y))

    def measure(weight):
        def fit(n_epochs):
            return DistilledAnticipator(
                MLP(hidden),
                teacher=teacher,
                feature_weight=weight,
                max_epochs=n_epochs,
                batch_size=batch,
                random_state=0,
                device=device,
            ).fit(X, y, X)

        return epoch_seconds(fit, epochs, seconds_on(device))

    return medians(measure, [0.0, 0.1], rounds)


def small_calls(rounds, device):
    """A fit of 50 rows and one epoch, and one row predicted, against the peer."""
    X = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    y = np.arange(50) % 5
    models = [
        MLPClassifier((64,), max_iter=1, random_state=0),
        SmoothedAnticipator(MLP(64), max_epochs=1, random_state=0, device=device),
    ]
    fits = medians(lambda model: cpu_ms(model.fit, X, y), models, rounds)
    rows = medians(lambda model: cpu_ms(model.predict_proba, X[:1]), models, rounds)
    return fits, rows


def first_fit_ms(device):
    """How much longer the first fit of a process takes than the second."""
    command = [sys.executable, "-c", FIRST_FIT, device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = map(float, done.stdout.split())
    return first - second


def main():
    """Print the tables."""
    parser = device_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.tiny:
        args.epochs, args.rounds = 2, 1
    warnings.simplefilter("ignore", ConvergenceWarning)
    sizes = SIZES[: 1 if args.tiny else None]
    print_header("step", "hard labels, us", "uniform", "matrix", "with feature loss")
    for size in sizes:
        times, ratios = soft_targets(size, args.epochs, args.rounds, args.device)
        _, feature = feature_loss(size, args.epochs, args.rounds, args.device)
        title = "{}-{}-{}, {}, {}".format(*size)
        shown = [f"{ratio:.2f}x" for ratio in (*ratios[1:], feature[1])]
        print_row(title, f"{1e6 * times[0]:.0f}", *shown)
    print()
    print_header("call", "MLPClassifier", "ours", "ratio")
    calls = ("fit of 50 rows, one epoch, ms", "predict_proba of one row, ms")
    for title, (times, ratios) in zip(
        calls, small_calls(args.rounds, args.device), strict=True
    ):
        print_row(title, f"{times[0]:.2f}", f"{times[1]:.2f}", f"{ratios[1]:.2f}x")
    extra = np.median([first_fit_ms(args.device) for _ in range(args.rounds)])
    print(f"\nfirst fit of a process: {extra:.0f} ms more than the second")


if __name__ == "__main__":
    main()
