"""RULSTM against the form of the original: a loop over unrollings, all T of them.

Training step (forward and backward, dropout 0.8) and inference, same weights, same
clips, CPU time on one thread, variants interleaved, medians. The plain form calls
torch's LSTM, step by step for the rolling one and once for each unrolling, as the
authors' code does. Before anything is timed, outputs and gradients without dropout are
compared. Memory is what a training step adds to the peak of a fresh process.
"""

import argparse
import os
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch.nn import functional

from skanticipate import RULSTM
from skanticipate.networks.base import lend_generator

N_STEPS, N_STAGES, DROPOUT = 14, 8, 0.8
SIZES = [  # clips, features = hidden units, classes
    (64, 1024, 2513),
    (8, 1024, 2513),
    (32, 64, 125),
]
TINY = [(2, 8, 5)]


def plain(network, clips):
    """Scores after each of the T steps, as the original computes them.

    (B, T, d) -> (B, T, C), of which its loss takes the last S.
    """
    steps = clips.transpose(0, 1)  # (T, B, d)
    n_steps, state, states = len(steps), None, []
    for step in network.dropout(steps):
        _, state = network.rolling(step.unsqueeze(0), state)
        states.append(state)
    unrolled = []
    for t, state in enumerate(states):
        current = steps[t].expand(n_steps - t + 1, -1, -1)
        hidden, _ = network.unrolling(network.dropout(current), state)
        unrolled.append(hidden[-1])
    return network.classifier(network.dropout(torch.stack(unrolled, 1)))


def ours(network, clips):
    """Scores of the S stages.   (B, T, d) -> (B, S, C)."""
    return network(clips).logits


FORMS = {"plain": plain, "ours": ours}


def make(size, dropout):
    """Network, clips and labels."""
    n_clips, width, n_classes = size
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((n_clips, N_STEPS, width), dtype=np.float32)
    labels = torch.from_numpy(rng.integers(n_classes, size=n_clips))
    spec = RULSTM(width, dropout=dropout, anticipation_steps=N_STAGES)
    generator = torch.Generator().manual_seed(0)
    network = spec.build((N_STEPS, width), n_classes, generator=generator)
    return network.train(), torch.from_numpy(clips), labels


def step(form, network, clips, labels):
    """Forward and backward.   -> scores of the last S steps."""
    network.zero_grad()
    logits = form(network, clips)[:, -N_STAGES:]
    targets = labels.repeat_interleave(N_STAGES)
    functional.cross_entropy(logits.flatten(0, 1), targets).backward()
    return logits.detach()


def differences(size):
    """Largest difference of a score, and of a gradient relative to the largest."""
    network, *batch = make(size, dropout=0.0)
    scores, gradients = [], []
    for form in FORMS.values():
        scores.append(step(form, network, *batch))
        gradients.append([p.grad.clone() for p in network.parameters()])
    relative = [
        float((b - a).abs().max() / a.abs().max())
        for a, b in zip(*gradients, strict=True)
    ]
    return float((scores[1] - scores[0]).abs().max()), max(relative)


def infer(form, network, clips, labels):
    """Scores without a graph, nothing dropped."""
    with torch.inference_mode():
        return form(network, clips)


def cpu_ms(function, *args, at_least=0.05):
    """Milliseconds of CPU of a call, from as many as take some time."""
    calls, start = 0, time.process_time()
    while time.process_time() - start < at_least or not calls:
        function(*args)
        calls += 1
    return 1e3 * (time.process_time() - start) / calls


def times(size, rounds):
    """Medians in milliseconds of (step, inference) by (plain, ours), and of ratios."""
    network, *batch = make(size, DROPOUT)
    found = np.empty((rounds + 1, 2, 2))
    with lend_generator(network, torch.Generator().manual_seed(0)):
        for cell in np.ndindex(found.shape):
            call, form = (step, infer)[cell[1]], (plain, ours)[cell[2]]
            network.train(call is step)
            found[cell] = cpu_ms(call, form, network, *batch)
    found = found[1:]  # the first warms up
    ratios = found[..., 0] / found[..., 1]
    return np.median(found, axis=0), np.median(ratios, axis=0)


def added_mb(name, size):
    """Megabytes that a training step adds to the peak of a process of its own."""
    command = [sys.executable, __file__, "--peak-of", name, *map(str, size)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def print_peak(name, size):
    """In a process of its own (Linux), after a small step has loaded everything."""
    step(FORMS[name], *make(TINY[0], DROPOUT))
    network, *batch = make(size, DROPOUT)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status_mb("VmRSS:")
    step(FORMS[name], network, *batch)
    print(status_mb("VmHWM:") - before)


def status_mb(name):
    """Megabytes of this process, from the system's table."""
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024


def main():
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    parser.add_argument("--peak-of", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.peak_of:
        name, *size = args.peak_of
        return print_peak(name, tuple(map(int, size)))
    print(
        "| batch, d = hidden, classes | step, plain ms | ours ms | ratio | inference, "
        "plain ms | ours ms | ratio | memory of a step, plain MB | ours MB | "
        "difference of scores | of gradients |\n" + "|---" * 11 + "|"
    )
    for size in TINY if args.tiny else SIZES:
        score, gradient = differences(size)
        ms, ratios = times(size, 1 if args.tiny else args.rounds)
        cells = ["{}, {}, {}".format(*size)]
        for of_plain, of_ours, ratio in zip(*ms.T, ratios, strict=True):
            cells += [f"{of_plain:.1f}", f"{of_ours:.1f}", f"{ratio:.2f}x"]
        cells += [f"{added_mb(name, size):.0f}" for name in FORMS]
        cells += [f"{score:.0e}", f"{gradient:.0e}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
