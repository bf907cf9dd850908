"""Peak memory of an epoch, of predictions and of priors, beyond what they are given.

Every figure is what one call adds to the resident memory of a process of its own, at
its peak, after a small call of the same kind has loaded everything (Linux). An epoch
is one pass of an MLP of 64 hidden units over n clips of 64 features in batches of 512,
with hard labels and with labels mixed with a verb-noun prior, whose matrix counts too.
What `predict_proba` adds is compared with its answer, what a prior adds with its
matrix.
"""

import argparse
import multiprocessing
import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

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


def actions_of(n_classes):
    """Label -> (verb, noun), as many verbs and nouns as EPIC-KITCHENS-100 has."""
    pairs = np.random.default_rng(0).permutation(97 * 300)[:n_classes]
    return {k: (f"verb{p // 300}", f"noun{p % 300}") for k, p in enumerate(pairs)}


def prior_of(kind, n_classes):
    """An unfitted prior; "given" is a matrix of the user's."""
    if kind == "verb-noun":
        return VerbNounPrior(actions_of(n_classes))
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


def added_mb(name, kind, n, n_classes):
    """Megabytes that a call adds to the peak of this process."""
    call_of(name, kind, 1000, 10)()
    call = call_of(name, kind, n, n_classes)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status_mb("VmRSS:")
    call()
    return status_mb("VmHWM:") - before


def status_mb(name):
    """Megabytes of this process, from the system's table."""
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024


def peak(*case):
    """Megabytes that a call adds, in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as alone:
        return alone.apply(added_mb, case)


def print_row(*cells):
    """Print a row of a table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def tables(sizes, many):
    """Print the table of epochs and predictions, and the one of priors."""
    print_row(
        *("classes", "rows", "epoch, MB", "with a prior, MB"),
        *("`predict_proba`, MB", "of its answer"),
    )
    print("|---" * 6 + "|")
    for n_classes in many:
        for n in sizes:
            answer = 4 * n * n_classes / 2**20
            cells = [f"{peak('epoch', k, n, n_classes):,.0f}" for k in KINDS[:2]]
            if answer < LARGEST_ANSWER:
                added = peak("predict_proba", "none", n, n_classes)
                cells += [f"{added:,.0f}", f"{added / answer:.2f}x"]
            else:
                cells += ["", ""]
            print_row(f"{n_classes:,}", f"{n:,}", *cells)
    print()
    print_row("classes", "prior", "its matrices, MB", "fit, MB", "in an epoch, MB")
    print("|---" * 5 + "|")
    for n_classes in many:
        plain = peak("epoch", "none", 1000, n_classes)
        for kind in KINDS[1:]:
            matrices = (1 + (kind == "mixture")) * 4 * n_classes**2 / 2**20
            added = peak("prior", kind, 0, n_classes)
            more = peak("epoch", kind, 1000, n_classes) - plain
            cells = [f"{mb:,.0f}" for mb in (matrices, added, more)]
            print_row(f"{n_classes:,}", kind, *cells)


def main():
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    args = parser.parse_args()
    if args.tiny:
        tables([1000], [100])
    else:
        tables([10_000, 100_000, 1_000_000], [100, 3806])


if __name__ == "__main__":
    main()
