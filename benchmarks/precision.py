"""Training in bfloat16, against float32: time of an epoch, and what is learnt.

CPU time of an epoch on one thread, a long fit less a short one, the two in turns;
ratios are medians over rounds. Small networks are there to show that they do not gain.
The last columns are the largest difference of probabilities after the long fit, and
the training loss of both. With ``--device cuda`` it is wall time.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.arguments import device_parser
from common.report import print_header, print_row
from common.timing import in_turns, seconds_on

from skanticipate import LSTM, MLP, SmoothedAnticipator

CASES = {  # network, shape of a clip, classes, rows, batch
    "MLP 256-256-125": (MLP(256), (256,), 125, 2048, 128),
    "MLP 1024-1024-2513": (MLP(1024), (1024,), 2513, 2048, 128),
    "LSTM 14 x 1024, 256": (LSTM(256), (14, 1024), 125, 1024, 128),
    "GRU 14 x 1024, 256": (LSTM(256, cell="gru"), (14, 1024), 125, 1024, 128),
}


def epochs_of(case, device, epochs, precision):
    """Seconds of an epoch, and the model after the long fit."""
    network, shape, n_classes, n, batch_size = case
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, *shape), np.float32), np.arange(n) % n_classes
    times = []
    for n_epochs in (1, 1 + epochs):
        model = SmoothedAnticipator(
            network,
            max_epochs=n_epochs,
            batch_size=batch_size,
            precision=precision,
            random_state=0,
            device=device,
        )
        times.append(seconds_on(device)(model.fit, X, y)[0])
    return (times[1] - times[0]) / epochs, model, X


def main():
    """Print the table as Markdown."""
    parser = device_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    epochs, rounds = (1, 1) if args.tiny else (3, args.rounds)
    header = ("network", "float32, s", "bf16, s", "ratio", "difference", "losses")
    print_header(*header)
    for name, case in CASES.items():
        if args.tiny:
            case = (*case[:3], 64, 32)
        found = in_turns(
            lambda precision, case=case: epochs_of(
                case, args.device, epochs, precision
            ),
            (None, "bf16"),
            rounds,
        )
        times = np.array([[seconds for seconds, *_ in turn] for turn in found])
        models = [model for _, model, _ in found[0]]
        proba = [model.predict_proba(found[0][0][2][:512]) for model in models]
        print_row(
            name,
            *(f"{seconds:.2f}" for seconds in np.median(times, axis=0)),
            f"{np.median(times[:, 0] / times[:, 1]):.2f}x",
            f"{abs(proba[0] - proba[1]).max():.1e}",
            ", ".join(f"{model.loss_curve_[-1]:.4f}" for model in models),
        )


if __name__ == "__main__":
    main()
