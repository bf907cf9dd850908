"""What soft targets cost: a training step with each prior against hard labels.

One step of the whole training (batch, forward, loss, backward, update) at hidden size
256, C = 2,513 classes and batch 128, CPU time on one thread, variants interleaved. The
naive form builds the (n, C) array of soft targets that the priors avoid, as a user
would do by hand: an array of soft targets for all samples, cross-entropy by autograd.
"""

import os
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.arguments import plain_parser
from common.timing import cpu_seconds, in_turns
from torch.nn import functional

from skanticipate import (
    LSTM,
    MLP,
    ArrayPrior,
    MixturePrior,
    SmoothedAnticipator,
    TransitionPrior,
    UniformPrior,
)


def variants(n_classes, rng):
    """Row -> (smoothing, prior)."""
    matrix = rng.random((n_classes, n_classes))
    matrix /= matrix.sum(axis=1, keepdims=True)
    array = ArrayPrior(matrix, np.arange(n_classes))
    return {
        "hard labels": (0.0, None),
        "uniform": (0.4, UniformPrior()),
        "keyed by the label": (0.4, array),
        "keyed by the past action": (0.4, TransitionPrior()),
        "mixture of the two": (0.4, MixturePrior([array, TransitionPrior()])),
    }


def step_ms(data, batch, smoothing, prior, epochs):
    """Milliseconds of CPU of a training step: a long fit less a short one."""
    X, y, y_past, n_classes = data
    times = []
    for n in (1, 1 + epochs):
        model = SmoothedAnticipator(
            MLP(256),
            prior=prior,
            smoothing=smoothing,
            classes=np.arange(n_classes),
            max_epochs=n,
            batch_size=batch,
            random_state=0,
            device="cpu",
        )
        times.append(cpu_seconds(partial(model.fit, X, y, y_past=y_past))[0])
    return 1e3 * (times[1] - times[0]) / (epochs * -(-len(X) // batch))


def naive_step_ms(data, batch, matrix, epochs):
    """The same step as plain torch with an (n, C) array of soft targets."""
    X, y, _, n_classes = data
    torch.set_num_threads(1)
    net = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, n_classes),
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, fused=True)
    soft = 0.4 * torch.tensor(matrix[y], dtype=torch.float32)
    soft[torch.arange(len(y)), torch.tensor(y)] += 0.6
    inputs = torch.tensor(X)

    def fit():
        for _ in range(epochs):
            for rows in torch.randperm(len(y)).split(batch):
                loss = functional.cross_entropy(net(inputs[rows]), soft[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return 1e3 * cpu_seconds(fit)[0] / (epochs * -(-len(y) // batch))


def recurrent_epoch_s(rng):
    """CPU seconds of an epoch of an embedding LSTM at the size of EPIC-KITCHENS-55."""
    codes = rng.integers(1, [120, 322, 2514], size=(23_493, 5, 3)).astype(np.int32)
    y = np.arange(len(codes)) % 2513
    model = SmoothedAnticipator(
        LSTM(256, embedding=64), max_epochs=1, batch_size=512, random_state=0
    )
    return cpu_seconds(model.fit, codes, y)[0]


def main():
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    n_classes, n, epochs = (50, 256, 1) if args.tiny else (2513, 4096, 5)
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    X = rng.standard_normal((n, 256)).astype(np.float32)
    data = X, y, np.roll(y, 1), n_classes
    rows = variants(n_classes, rng)
    matrix = rows["keyed by the label"][1].matrix
    steps = [partial(step_ms, data, 128, *row, epochs) for row in rows.values()]
    steps.append(partial(naive_step_ms, data, 128, matrix, epochs))
    times = in_turns(lambda step: step(), steps, 2 if args.tiny else args.rounds + 1)
    times = np.array(times[1:])  # the first warms up
    print("targets                      ms a step   against hard labels")
    for k, name in enumerate([*rows, "(n, C) array, plain torch"]):
        ratio = np.median(times[:, k] / times[:, 0])
        print(f"{name:28} {np.median(times[:, k]):9.2f} {ratio:10.2f}x")
    if not args.tiny:
        seconds = recurrent_epoch_s(rng)
        print(
            f"\nepoch of LSTM(256, embedding=64) on 23,493 x 5 x 3: {seconds:.1f} s CPU"
        )


if __name__ == "__main__":
    main()
