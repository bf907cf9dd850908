"""Peak memory of an epoch, of predictions and of priors, beyond what they are given.

Every figure is what one call adds to the resident memory of a process of its own, at
its peak, after a small call of the same kind has loaded everything (Linux). An epoch
is one pass of an MLP of 64 hidden units over n clips of 64 features in batches of 512,
with hard labels and with labels mixed with a verb-noun prior, whose matrix counts too.
What `predict_proba` adds is compared with its answer, what a prior adds with its
matrix.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.actions import random_actions
from common.arguments import plain_parser
from common.processes import added_mb, alone
from common.report import print_header, print_row

from skanticipate import MLP, MixturePrior, SmoothedAnticipator, VerbNounPrior
from skanticipate.priors import ArrayPrior

N_FEATURES = 64
LARGEST_ANSWER = 2000  # MB of probabilities
KINDS = ["none", "verb-noun", "given", "mixture"]  # of priors


def clips_of(n, n_classes):
    """Clips and labels at random, every class among them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, N_FEATURES), np.float32)
    return X, np.arange(n) % n_classes


def prior_of(kind, n_classes):
    """An unfitted prior; "given" is a matrix of the user's."""
    if kind == "verb-noun":
        return VerbNounPrior(random_actions(n_classes))
    if kind == "given":
        matrix = np.random.default_rng(0).random((n_classes, n_classes), np.float32)
        return ArrayPrior(matrix / matrix.sum(axis=1, keepdims=True), range(n_classes))
    parts = [prior_of("verb-noun", n_classes), prior_of("verb-noun", n_classes)]
    return MixturePrior(parts)


def one_epoch(n_classes, prior=None):
    """A model that takes one epoch."""
    return SmoothedAnticipator(
        MLP(64),
        prior=prior,
        smoothing=0.0 if prior is None else 0.2,
        classes=np.arange(n_classes),
        max_epochs=1,
        batch_size=512,
        random_state=0,
        device="cpu",
    )


def call_of(name, kind, n, n_classes):
    """Prepare a call: an epoch, a prediction, or the fit of a prior."""
    prior = None if kind == "none" else prior_of(kind, n_classes)
    if name == "prior":
        return lambda: prior.fit(range(n_classes))
    X, y = clips_of(n, n_classes)
    model = one_epoch(n_classes, prior)
    if name == "epoch":
        return lambda: model.fit(X, y)
    model.fit(X[:1000], y[:1000])
    return lambda: model.predict_proba(X)


def added(name, kind, n, n_classes):
    """Megabytes that a call adds to the peak of this process."""
    call_of(name, kind, 1000, 10)()
    return added_mb(call_of(name, kind, n, n_classes))


def peak(*case):
    """Megabytes that a call adds, in a process of its own."""
    return alone(added, *case)


def table_of_calls(sizes, many):
    """Print the table of epochs and predictions."""
    print_header(
        *("classes", "rows", "epoch, MB", "with a prior, MB"),
        *("`predict_proba`, MB", "of its answer"),
    )
    for n_classes in many:
        for n in sizes:
            answer = 4 * n * n_classes / 2**20
            cells = [f"{peak('epoch', k, n, n_classes):,.0f}" for k in KINDS[:2]]
            if answer < LARGEST_ANSWER:
                more = peak("predict_proba", "none", n, n_classes)
                cells += [f"{more:,.0f}", f"{more / answer:.2f}x"]
            else:
                cells += ["", ""]
            print_row(f"{n_classes:,}", f"{n:,}", *cells)


def table_of_priors(many):
    """Print the table of priors."""
    print_header("classes", "prior", "its matrices, MB", "fit, MB", "in an epoch, MB")
    for n_classes in many:
        plain = peak("epoch", "none", 1000, n_classes)
        for kind in KINDS[1:]:
            matrices = (1 + (kind == "mixture")) * 4 * n_classes**2 / 2**20
            fit = peak("prior", kind, 0, n_classes)
            more = peak("epoch", kind, 1000, n_classes) - plain
            cells = [f"{mb:,.0f}" for mb in (matrices, fit, more)]
            print_row(f"{n_classes:,}", kind, *cells)


def main():
    """Print the tables as Markdown."""
    tiny = plain_parser(__doc__).parse_args().tiny
    sizes, many = (
        ([1000], [100]) if tiny else ([10_000, 100_000, 1_000_000], [100, 3806])
    )
    table_of_calls(sizes, many)
    print()
    table_of_priors(many)


if __name__ == "__main__":
    main()
