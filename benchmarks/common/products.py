"""The bare matrix products of a training step: what no code can do without."""

from itertools import pairwise

import torch


def perceptron(sizes, rows):
    """Products of a step of a perceptron: (m, k, n) for (m, k) times (k, n).

    Parameters
    ----------
    sizes : tuple of int
        Features, hidden units, classes.
    rows : int
        Rows of a batch. The gradient of the input is not needed.
    """
    shapes = []
    for layer, (d, width) in enumerate(pairwise(sizes)):
        shapes += [(rows, d, width), (width, rows, d)]
        if layer:
            shapes.append((rows, width, d))
    return shapes


def recurrent(sizes, rows, n_steps, gates):
    """Products of a step of a recurrent layer and a classifier of its last state.

    Parameters
    ----------
    sizes : tuple of int
        Features, hidden units, classes.
    rows, n_steps : int
        Rows of a batch, and steps of a clip.
    gates : int
        4 of an LSTM, 3 of a GRU.
    """
    d, hidden, n_classes = sizes
    width, all_rows = gates * hidden, rows * n_steps
    inputs = [(all_rows, d, width), (width, all_rows, d)]
    states = (n_steps - 1) * [(rows, hidden, width), (rows, width, hidden)]
    weights = [(width, all_rows - rows, hidden)]  # the first state is zero
    head = [*perceptron((hidden, n_classes), rows), (rows, n_classes, hidden)]
    return inputs + states + weights + head


class Products:
    """Products of steps, made in arrays that are there.

    Parameters
    ----------
    shapes : list of (m, k, n)
        Of one step.
    """

    def __init__(self, shapes):
        self.operands = [
            (torch.randn(m, k), torch.randn(k, n), torch.empty(m, n))
            for m, k, n in shapes
        ]

    def __call__(self, n_steps):
        """Make the products of some steps."""
        for _ in range(n_steps):
            for left, right, product in self.operands:
                torch.mm(left, right, out=product)
