"""The weakly aligned loss against the equations as one writes them with autograd.

Forward and backward of a batch of maps of N positions and d channels, CPU time on one
thread, variants interleaved, medians. Nothing is known beforehand; one column shows
what it brings when the teacher's attention on itself is at hand. "products" are the 14
bare products of matrices that no exact form in single precision can do without. Memory
is what a step adds to the peak of a fresh process.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.arguments import plain_parser
from common.processes import added_mb, alone
from common.report import print_header, print_row
from common.timing import cpu_ms, in_turns
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
    found = in_turns(cpu_ms, variants, rounds + 1)
    found = np.array(found[1:])  # the first warms up
    ratios = np.median(found[:, :1] / found, axis=0)
    return np.median(found, axis=0), ratios


def memory_of_step(loss, shape):
    """Megabytes that a step adds, after a small one has loaded everything."""
    small, full = (random_maps(*size) for size in ((8, 8, 2), shape))
    step(loss, small[0].requires_grad_(), small[1])
    student = full[0].requires_grad_()
    return added_mb(lambda: step(loss, student, full[1]))


def main():
    """Print the tables as Markdown."""
    parser = plain_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print_header(
        *("N, d, rows", "eager ms", "ours ms", "ratio", "with teacher's attention"),
        *("14 products", "memory, eager MB", "ours MB"),
    )
    shapes, losses = TINY if args.tiny else SHAPES, (eager_loss, weakly_aligned_loss)
    memory = [
        [alone(memory_of_step, loss, shape) for loss in losses] for shape in shapes
    ]
    for shape, megabytes in zip(shapes, memory, strict=True):
        ms, ratios = times(shape, 1 if args.tiny else args.rounds)
        n, d, b = shape
        cells = [f"{n}, {d}, {b}", f"{ms[0]:.1f}", f"{ms[1]:.1f}"]
        cells += [f"{ratio:.2f}x" for ratio in ratios[1:]]
        print_row(*cells, *(f"{added:.0f}" for added in megabytes))


if __name__ == "__main__":
    main()
