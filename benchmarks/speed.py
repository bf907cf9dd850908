"""An epoch of every network of ours against skorch, scikit-learn and a tight loop.

CPU time on one thread, variants interleaved in one run. The time of an epoch is the
difference of a long and a short fit; ratios are medians over rounds. skorch trains the
module that our spec builds, with the same optimiser and batches (extra `bench`);
"fused" asks torch for the optimiser's fused kernels, as we do, which few users write.
The tight loop is what is left if nothing but the training step is written. Products
are the bare ones of the matrices of a step, in arrays that are there: no peer, but the
limit; a goal of 0.5x is at most twice their time.

With `--data` the fit of a `HistoryTeacher` on EPIC-KITCHENS-55 is timed and scored too.

    python benchmarks/speed.py [--parts mlp networks history] [--data FOLDER]
"""

import os
import warnings
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.arguments import data_parser
from common.contest import Entry, contest, print_contest, print_contest_header
from common.data import load_clips
from common.outcomes import FIGURES
from common.products import Products, perceptron, recurrent
from common.reading import teacher_alone
from common.report import print_header, print_row
from common.skorch_peer import SpecLoss, SpecModule, has_skorch, skorch_classifier
from common.timing import cpu_seconds, epoch_seconds
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch.nn.functional import cross_entropy

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    FeatureMapNet,
    FrameMLP,
    HistoryTeacher,
    SmoothedAnticipator,
)

MLPS = [  # features, hidden units, classes; rows, batch; goals
    ((64, 64, 50), (1000, 32), {"skorch": 5.0, "MLPClassifier": 1.8}),
    ((256, 256, 125), (5000, 128), {"skorch, fused": 1.0, "bare products": 0.5}),
    ((1024, 256, 125), (5000, 128), {"skorch, fused": 1.0}),
]
N_CLASSES = 50
NETWORKS = [  # spec, shape of a clip; rows, batch
    (LSTM(64), (14, 64), (1024, 32)),
    (LSTM(256), (14, 256), (1024, 128)),
    (LSTM(64, cell="gru"), (14, 64), (1024, 32)),
    (LSTM(256, cell="gru"), (14, 256), (1024, 128)),
    (RULSTM(64), (14, 64), (256, 32)),
    (RULSTM(256), (14, 256), (128, 64)),
    (FrameMLP(64), (14, 64), (1024, 32)),
    (FrameMLP(256), (14, 256), (1024, 128)),
    (FeatureMapNet(16), (4, 4, 4, 16), (512, 32)),
    (FeatureMapNet(64), (4, 7, 7, 64), (64, 32)),
    (AVTHead(64), (14, 64), (512, 32)),
    (AVTHead(256), (14, 256), (256, 64)),
    (AttentiveProbe(32), (14, 64), (1024, 32)),
    (AttentiveProbe(256), (14, 256), (512, 64)),
]


def labelled_clips(shape, n, n_classes):
    """Clips (n, *shape) of normal noise and their labels."""
    clips = np.random.default_rng(0).standard_normal((n, *shape))
    return clips.astype(np.float32), np.arange(n) % n_classes


# ------------------------------------------------------------ fits, by number of epochs


def fit_ours(spec, clips, y, training, n_epochs):
    """Our estimator, hard labels."""
    model = SmoothedAnticipator(spec, smoothing=0.0, random_state=0, device="cpu")
    model.set_params(**training, max_epochs=n_epochs).fit(clips, y)


def fit_skorch(spec, clips, y, training, n_epochs, fused=True):
    """The same module in skorch."""
    skorch_classifier(
        SpecModule,
        training | {"max_epochs": n_epochs},
        fused=fused,
        criterion=SpecLoss,
        module__spec=spec,
        module__input_shape=clips.shape[1:],
        module__n_classes=int(y.max()) + 1,
    ).fit(clips, y)


def fit_mlp_classifier(hidden, clips, y, training, n_epochs):
    """scikit-learn's network with the corresponding solver."""
    MLPClassifier(
        (hidden,),
        solver={"sgd": "sgd", "adamw": "adam"}[training["optimizer"]],
        learning_rate_init=training["lr"],
        alpha=training["weight_decay"],
        max_iter=n_epochs,
        batch_size=training["batch_size"],
        tol=0.0,
        n_iter_no_change=n_epochs + 1,
        random_state=0,
    ).fit(clips, y)


def fit_tightly(spec, clips, y, training, n_epochs):
    """The training step of torch, and nothing else."""
    network = SpecModule(spec, clips.shape[1:], int(y.max()) + 1)
    kind, options = {
        "sgd": (torch.optim.SGD, {"momentum": 0.9}),
        "adamw": (torch.optim.AdamW, {}),
    }[training["optimizer"]]
    options |= {"lr": training["lr"], "weight_decay": training["weight_decay"]}
    optimizer = kind(network.parameters(), fused=True, **options)
    clips, y = torch.as_tensor(clips), torch.as_tensor(y)
    for _ in range(n_epochs):
        for rows in torch.randperm(len(y)).split(training["batch_size"]):
            optimizer.zero_grad()
            cross_entropy(network(clips[rows])[0], y[rows]).backward()
            optimizer.step()


def make_products(products, n_steps, n_epochs):
    """The bare products of as many epochs."""
    products(n_steps * n_epochs)


# ------------------------------------------------------------------------------ tables


def race(title, entries, epochs, rounds):
    """Time an epoch of each entry and print the rows."""

    def measure(fit):
        return epoch_seconds(fit, epochs), None

    times, _ = contest(entries, measure, rounds + 1)
    print_contest(title, entries, times[1:], scale=1e3)  # the first warms up


def show_mlps(args, with_skorch):
    """Table of perceptrons against all peers."""
    for sizes, (n, batch), goals in MLPS[: 1 if args.tiny else None]:
        spec = MLP(sizes[1])
        data = labelled_clips(sizes[:1], n, sizes[2])
        products = Products(perceptron(sizes, batch))
        for optimizer in ("sgd", "adamw"):
            training = training_of(optimizer, batch)
            calls = {
                "ours": partial(fit_ours, spec, *data, training),
                "skorch": partial(fit_skorch, spec, *data, training, fused=None),
                "skorch, fused": partial(fit_skorch, spec, *data, training),
                "MLPClassifier": partial(fit_mlp_classifier, sizes[1], *data, training),
                "tight loop": partial(fit_tightly, spec, *data, training),
                "bare products": partial(make_products, products, -(-n // batch)),
            }
            entries = [
                Entry(name, call, goals.get(name))
                for name, call in calls.items()
                if with_skorch or "skorch" not in name
            ]
            title = "MLP {}-{}-{}, {} rows, batch {}, {}"
            race(title.format(*sizes, n, batch, optimizer), entries, *args.effort)


def show_networks(args, with_skorch):
    """Table of every network, small and of medium size, against skorch."""
    for spec, shape, (n, batch) in NETWORKS[: 1 if args.tiny else None]:
        data = labelled_clips(shape, n, N_CLASSES)
        training = training_of("adamw", batch)
        entries = [Entry("ours", partial(fit_ours, spec, *data, training))]
        if with_skorch:
            call = partial(fit_skorch, spec, *data, training)
            entries.append(Entry("skorch, fused", call, 1.0))
        shapes = shapes_of(spec, shape, batch)
        if shapes:
            call = partial(make_products, Products(shapes), -(-n // batch))
            entries.append(Entry("bare products", call))
        title = f"{spec}, clips {shape}, {n} rows, batch {batch}"
        race(title, entries, *args.effort)


def training_of(optimizer, batch):
    """How all networks are trained."""
    lr = {"sgd": 0.01, "adamw": 2e-3}[optimizer]
    shared = {"weight_decay": 1e-4, "batch_size": batch}
    return {"optimizer": optimizer, "lr": lr, **shared}


def shapes_of(spec, shape, batch):
    """Matrix products of a step, None where they are not just a few matrices."""
    n_steps, d = shape[0], shape[-1]
    sizes = (d, spec.get_params().get("hidden_size"), N_CLASSES)
    if isinstance(spec, FrameMLP):
        return perceptron(sizes, batch * n_steps)
    if isinstance(spec, LSTM):
        gates = {"lstm": 4, "gru": 3}[spec.cell]
        return recurrent(sizes, batch, n_steps, gates)
    return None


def show_history(args):
    """CPU time of a fit of `HistoryTeacher` with its prediction, and its scores."""
    clips = load_clips("epic55", args.data)
    teacher = HistoryTeacher(clips.actions, random_state=0)
    seconds, found = cpu_seconds(teacher_alone, clips, "all", teacher, 10)
    print()
    print_header("HistoryTeacher, EPIC-55, s", *FIGURES)
    cells = [f"{100 * found[figure].mean():.2f}" for figure in FIGURES]
    print_row(f"{seconds:.0f}", *cells)


def main():
    """Print the tables."""
    parser = data_parser(__doc__)
    parts = ("mlp", "networks", "history")
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    args.effort = (1, 1) if args.tiny else (args.epochs, args.rounds)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with_skorch = has_skorch()
    print_contest_header("ms an epoch")
    if "mlp" in args.parts:
        show_mlps(args, with_skorch)
    if "networks" in args.parts:
        show_networks(args, with_skorch)
    if "history" in args.parts and args.data is not None and not args.tiny:
        show_history(args)


if __name__ == "__main__":
    main()
