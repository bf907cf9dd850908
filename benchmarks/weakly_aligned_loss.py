"""The weakly aligned loss against the equations as one writes them with autograd.

Forward and backward of a batch of maps of N positions and d channels, CPU time on one
thread, variants interleaved, medians. Nothing is known beforehand; one column shows
what it brings when the teacher's attention on itself is at hand. "products" are the 14
bare products of matrices that no exact form in single precision can do without. Memory
is what a step adds to the peak of a fresh process.
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

from skanticipate.losses import teacher_pooled, weakly_aligned_loss

# positions, channels, rows; few rows where a step takes long
SHAPES = [
    (49, 64, 32),
    (49, 256, 32),
    (49, 832, 32),
    (196, 64, 32),
    (196, 256, 32),
    (196, 832, 16),
    (392, 64, 16),
    (392, 256, 16),
    (392, 832, 8),
    (784, 64, 8),
    (784, 256, 8),
    (784, 832, 4),
    (1568, 64, 4),
    (1568, 256, 4),
    (1568, 832, 2),
    (1568, 64, 32),
]
TINY = [(49, 64, 2)]


def attention(queries, keys):
    """Each query's mean of the keys, weighed by how near they are."""
    scale = queries.shape[-1] ** -0.5
    return torch.softmax(scale * queries @ keys.mT, -1) @ keys


def eager_loss(student, teacher):
    """The Huber form of both directions, by autograd."""
    by_student = functional.huber_loss(
        attention(student, teacher), attention(student, student)
    )
    by_teacher = functional.huber_loss(
        attention(teacher, student), attention(teacher, teacher)
    )
    return by_student + by_teacher


def random_maps(n, d, b):
    """Two independent maps of b rows."""
    rng = np.random.default_rng(0)
    shape = (2, b, n, d)
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).unbind()


def step(loss, student, teacher, **params):
    """Forward and backward."""
    student.grad = None
    loss(student, teacher, **params).backward()


def products(student, teacher):
    """The bare products, a few samples at a time in buffers that are used again."""
    b, n, d = student.shape
    at_once = max(1, 2**20 // (4 * n * n + 3 * n * d))
    pairs, features = student.new_empty(at_once, n, n), student.new_empty(at_once, n, d)
    for maps, others in zip(
        student.detach().split(at_once), teacher.split(at_once), strict=True
    ):
        for _ in range(7):
            torch.bmm(maps, others.mT, out=pairs[: len(maps)])
        for _ in range(7):
            torch.bmm(pairs[: len(maps)], maps, out=features[: len(maps)])


def cpu_ms(function, at_least=0.03):
    """Milliseconds of CPU of a call, from as many as take some time."""
    calls, start = 0, time.process_time()
    while time.process_time() - start < at_least or not calls:
        function()
        calls += 1
    return 1e3 * (time.process_time() - start) / calls


def times(shape, rounds):
    """Medians of the variants' milliseconds, and of the ratios of each round."""
    student, teacher = random_maps(*shape)
    student.requires_grad_()
    known = teacher_pooled(teacher)
    variants = [
        lambda: step(eager_loss, student, teacher),
        lambda: step(weakly_aligned_loss, student, teacher),
        lambda: step(weakly_aligned_loss, student, teacher, teacher_pooled=known),
        lambda: products(student, teacher),
    ]
    found = [[cpu_ms(variant) for variant in variants] for _ in range(rounds + 1)]
    found = np.array(found[1:])  # the first warms up
    ratios = np.median(found[:, :1] / found, axis=0)
    return np.median(found, axis=0), ratios


def added_mb(name, shape):
    """Megabytes that a step adds to the peak of a process of its own."""
    command = [sys.executable, __file__, "--peak-of", name, *map(str, shape)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def print_peak(name, shape):
    """In a process of its own (Linux), after a small step has loaded everything."""
    loss = {"eager": eager_loss, "ours": weakly_aligned_loss}[name]
    small, full = (random_maps(*size) for size in ((8, 8, 2), shape))
    step(loss, small[0].requires_grad_(), small[1])
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status_mb("VmRSS:")
    step(loss, full[0].requires_grad_(), full[1])
    print(status_mb("VmHWM:") - before)


def status_mb(name):
    """Megabytes of this process, from the system's table."""
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024


def main():
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    parser.add_argument("--peak-of", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.peak_of:
        name, *shape = args.peak_of
        return print_peak(name, tuple(map(int, shape)))
    print(
        "| N, d, rows | eager ms | ours ms | ratio | with teacher's attention | "
        "14 products | memory, eager MB | ours MB |\n" + "|---" * 8 + "|"
    )
    for shape in TINY if args.tiny else SHAPES:
        ms, ratios = times(shape, 1 if args.tiny else args.rounds)
        memory = [added_mb(name, shape) for name in ("eager", "ours")]
        n, d, b = shape
        cells = [f"{n}, {d}, {b}", f"{ms[0]:.1f}", f"{ms[1]:.1f}"]
        cells += [f"{ratio:.2f}x" for ratio in ratios[1:]]
        cells += [f"{added:.0f}" for added in memory]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
