"""One epoch of our MLP against scikit-learn's MLPClassifier: CPU time, interleaved.

Both train a network of one hidden layer on the same arrays with the same optimiser,
batch size and number of epochs, on one thread. The time of an epoch is the difference
between a long and a short fit, so that what happens once a fit does not count; a
second table counts it. Ratios are medians over interleaved rounds.
"""

import os
import warnings
from itertools import product

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.timing import cpu_seconds, in_turns
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skanticipate import MLP, SmoothedAnticipator

SIZES = [  # features, hidden units, classes, rows, batch
    (64, 64, 50, 1000, 32),
    (256, 256, 125, 5000, 128),
    (1024, 256, 125, 20000, 128),
]


def ours(optimizer, hidden, batch, epochs):
    """Our estimator, hard labels."""
    return SmoothedAnticipator(
        MLP(hidden),
        smoothing=0.0,
        max_epochs=epochs,
        batch_size=batch,
        optimizer=optimizer,
        lr=0.01,
        random_state=0,
        device="cpu",
    )


def peer(optimizer, hidden, batch, epochs):
    """scikit-learn's network with the corresponding solver."""
    return MLPClassifier(
        (hidden,),
        solver={"sgd": "sgd", "adamw": "adam"}[optimizer],
        learning_rate_init=0.01,
        max_iter=epochs,
        batch_size=batch,
        tol=0.0,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )


def compare(size, optimizer, epochs, rounds):
    """Median ratio ours / peer: of an epoch, and of a whole fit."""
    d, hidden, n_classes, n, batch = size
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)).astype(np.float32)
    y = np.arange(n) % n_classes

    def seconds(variant):
        make, n_epochs = variant
        model = make(optimizer, hidden, batch, n_epochs)
        return cpu_seconds(model.fit, X, y)[0]

    variants = list(product((ours, peer), (1, 1 + epochs)))
    times = in_turns(seconds, variants, rounds + 1)
    times = np.array(times[1:])  # (rounds, 4); the first warms up
    per_epoch = (times[:, [1, 3]] - times[:, [0, 2]]) / epochs
    return (
        np.median(per_epoch, axis=0) * 1e3,
        np.median(per_epoch[:, 0] / per_epoch[:, 1]),
        np.median(times[:, 1] / times[:, 3]),
    )


def main():
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.tiny:
        args.epochs, args.rounds = 2, 1
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("d-hidden-C, n, batch           solver  ours ms  peer ms   epoch     fit")
    for size in SIZES[: 1 if args.tiny else None]:
        for optimizer in ("sgd", "adamw"):
            (a, b), epoch, fit = compare(size, optimizer, args.epochs, args.rounds)
            title = "{}-{}-{}, {}, {}".format(*size)
            print(
                f"{title:30} {optimizer:6} {a:8.1f} {b:8.1f} {epoch:6.2f}x {fit:6.2f}x"
            )


if __name__ == "__main__":
    main()
