"""Five actions of verbs and nouns, and what priors over them are compared by."""

import numpy as np
from numpy.testing import assert_allclose

# the actions (0,0), (0,1), (1,0), (1,1), (2,2) with names of verbs and nouns
ACTIONS = {
    0: ("cut", "pan"),
    1: ("cut", "cup"),
    2: ("wash", "pan"),
    3: ("wash", "cup"),
    4: ("open", "bin"),
}
CLASSES = np.arange(5)
VECTORS = {
    "cut": [1.0, 0.0],
    "wash": [0.0, 1.0],
    "open": [-1.0, 0.0],
    "pan": [1.0, 1.0],
    "cup": [1.0, 0.0],
    "bin": [0.0, -1.0],
}
SEQUENCES = [[0, 2, 4, 2, 0], [1, 3, 1]]
ASYMMETRIC = [[0, 1, 0, 1, 2]]


def soft_targets(prior, y, y_past=None):
    """Rows that a fitted prior mixes into the labels, added up.   -> (n, C)."""
    terms = prior.terms(y, y_past)
    return sum(weight * matrix[rows] for matrix, rows, weight in terms)


def assert_stochastic(matrix):
    assert (matrix >= 0).all()
    assert_allclose(matrix.sum(axis=1, dtype=np.float64), 1, atol=1e-6)
