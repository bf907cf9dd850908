"""RULSTM against the form of the original: a loop over unrollings, all T of them.

Training step (forward and backward, dropout 0.8) and inference, same weights, same
clips, CPU time on one thread, variants interleaved, medians. The plain form calls
torch's LSTM, step by step for the rolling one and once for each unrolling, as the
authors' code does. Before anything is timed, outputs and gradients without dropout are
compared. Memory is what a training step adds to the peak of a fresh process.
"""

import os
from itertools import product

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.arguments import plain_parser
from common.processes import added_mb, alone
from common.report import print_header, print_row
from common.timing import cpu_ms, in_turns
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


def times(size, rounds):
    """Medians in milliseconds of (step, inference) by (plain, ours), and of ratios."""
    network, *batch = make(size, DROPOUT)

    def milliseconds(variant):
        call, form = variant
        network.train(call is step)
        return cpu_ms(call, form, network, *batch)

    variants = list(product((step, infer), FORMS.values()))
    with lend_generator(network, torch.Generator().manual_seed(0)):
        found = in_turns(milliseconds, variants, rounds + 1)
    found = np.reshape(found[1:], (rounds, 2, 2))  # the first warms up
    ratios = found[..., 0] / found[..., 1]
    return np.median(found, axis=0), np.median(ratios, axis=0)


def memory_of_step(name, size):
    """Megabytes that a step adds, after a small one has loaded everything."""
    step(FORMS[name], *make(TINY[0], DROPOUT))
    batch = make(size, DROPOUT)
    return added_mb(lambda: step(FORMS[name], *batch))


def main():
    """Print the table as Markdown."""
    parser = plain_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print_header(
        *("batch, d = hidden, classes", "step, plain ms", "ours ms", "ratio"),
        *("inference, plain ms", "ours ms", "ratio"),
        *("memory of a step, plain MB", "ours MB"),
        *("difference of scores", "of gradients"),
    )
    sizes = TINY if args.tiny else SIZES
    memory = [[alone(memory_of_step, name, size) for name in FORMS] for size in sizes]
    for size, megabytes in zip(sizes, memory, strict=True):
        score, gradient = differences(size)
        ms, ratios = times(size, 1 if args.tiny else args.rounds)
        cells = ["{}, {}, {}".format(*size)]
        for of_plain, of_ours, ratio in zip(*ms.T, ratios, strict=True):
            cells += [f"{of_plain:.1f}", f"{of_ours:.1f}", f"{ratio:.2f}x"]
        cells += [f"{added:.0f}" for added in megabytes]
        print_row(*cells, f"{score:.0e}", f"{gradient:.0e}")


if __name__ == "__main__":
    main()
