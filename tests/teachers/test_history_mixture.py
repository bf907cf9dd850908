import numpy as np
from numpy.testing import assert_allclose

from skanticipate.teachers.history.mixture import mixture_weights


def log_likelihood(weights, likelihoods, sample_weight):
    return sample_weight @ np.log(likelihoods @ weights)


def test_weights_of_two_parts_are_the_best_of_a_grid():
    rng = np.random.default_rng(0)
    likelihoods, sample_weight = rng.uniform(0.01, 1, (50, 2)), rng.uniform(0, 2, 50)
    grid = [(w, 1 - w) for w in np.linspace(0, 1, 10001)]
    scores = [log_likelihood(w, likelihoods, sample_weight) for w in np.array(grid)]
    found = mixture_weights(likelihoods, sample_weight)
    assert_allclose(found, grid[int(np.argmax(scores))], atol=1e-3)


def test_no_weights_of_three_parts_are_better():
    likelihoods = np.random.default_rng(1).uniform(0.01, 1, (40, 3))
    likelihoods[:, 2] /= 50  # a part that deserves nothing
    best = log_likelihood(mixture_weights(likelihoods), likelihoods, np.ones(40))
    for first in np.linspace(0, 1, 51):
        for second in np.linspace(0, 1 - first, 51):
            other = np.array([first, second, 1 - first - second])
            assert log_likelihood(other, likelihoods, np.ones(40)) <= best + 1e-4
