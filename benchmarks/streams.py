"""What a step of a stream costs beside the bare cell, and whether a long one grows.

Time of this thread, variants in turns in one run, medians of rounds, ratios within a
round. The bare cell is torch's `LSTMCell` with the same weights, from its state before
to that after: no checks, no classifier, no softmax. For `RULSTM` it is the step of the
rolling cell and those of the unrolling one that an answer takes. Then a stream of many
steps, and what the process holds at points of it.

    python benchmarks/streams.py [--rounds 25] [--steps 100000]
"""

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.arguments import plain_parser
from common.processes import status_mb
from common.report import print_header, print_row
from common.timing import medians

from skanticipate import LSTM, RULSTM, SmoothedAnticipator

N_FEATURES, N_CLASSES = 1024, 106
ROWS = [  # spec, videos side by side
    (LSTM(128), 1),
    (LSTM(512), 1),
    (LSTM(1024), 1),
    (LSTM(128), 32),
    (LSTM(512), 32),
    (RULSTM(1024), 1),
]


def fitted(spec, n_features):
    """Model of clips at random, and one of the clips."""
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((N_CLASSES, 8, n_features), np.float32)
    model = SmoothedAnticipator(spec, max_epochs=1, device="cpu", random_state=0)
    return model.fit(clips, np.arange(N_CLASSES)), clips


def bare_cells(model, steps):
    """Call that does what a step asks of the cells alone."""
    cells = []
    for name in ("rolling", "unrolling"):
        layer = getattr(model.network_, name, None)
        if layer is not None:
            cell = torch.nn.LSTMCell(layer.input_size, layer.hidden_size)
            cell.load_state_dict(
                {k.removesuffix("_l0"): w for k, w in layer.state_dict().items()}
            )
            cells.append(cell)
    calls = cells[:1] + 2 * cells[1:]  # an answer unrolls twice at a single stage
    steps = torch.from_numpy(np.atleast_2d(steps))

    @torch.inference_mode()
    def step():
        state = None
        for cell in calls:
            state = cell(steps, state or step.state)
        step.state = state

    step.state = (steps.new_zeros(len(steps), cells[0].hidden_size),) * 2
    return step


def call_us(call):
    """Microseconds of this thread for a call, from as many as take 20 ms."""
    calls, start = 0, time.thread_time()
    while time.thread_time() - start < 0.02 or not calls:
        call()
        calls += 1
    return 1e6 * (time.thread_time() - start) / calls


def show_steps(rows, n_features, rounds):
    """Print what a step costs."""
    print_header("network", "videos", "bare cell, us", "`update`, us", "ratio")
    for spec, n in rows:
        model, clips = fitted(spec, n_features)
        steps = clips[0, 0] if n == 1 else clips[:n, 0]
        stream = model.stream(None if n == 1 else n)
        bare = bare_cells(model, steps)
        calls = [bare, lambda stream=stream, steps=steps: stream.update(steps)]
        times, ratio = medians(call_us, calls, rounds)
        numbers = [f"{t:.0f}" for t in times]
        print_row(str(spec), str(n), *numbers, f"{ratio[1]:.2f}x")


def show_growth(spec, n_features, n_steps):
    """Print what a process holds while a stream goes on."""
    model, clips = fitted(spec, n_features)
    stream, step = model.stream(), clips[0, 0]
    print_header("steps", "resident memory, MB", "us a step")
    points = sorted({n_steps // 100, n_steps // 2, n_steps})
    done, start = 0, time.thread_time()
    for point in points:
        for _ in range(point - done):
            stream.update(step)
        spent = 1e6 * (time.thread_time() - start) / max(point - done, 1)
        print_row(f"{point:,}", f"{status_mb('VmRSS:'):.1f}", f"{spent:.0f}")
        done, start = point, time.thread_time()


def main():
    """Print the tables."""
    parser = plain_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--steps", type=int, default=100_000)
    args = parser.parse_args()
    rows, n_features = ROWS, N_FEATURES
    if args.tiny:
        rows, n_features, args.rounds, args.steps = [(LSTM(8), 2)], 16, 1, 200
    show_steps(rows, n_features, args.rounds)
    print()
    show_growth(rows[0][0], n_features, args.steps)


if __name__ == "__main__":
    main()
