"""Randomness has one owner: from `random_state` to a seed for each purpose."""

import numpy as np
from sklearn.utils import check_random_state


def seeds_of(random_state, purposes):
    """One integer from `random_state`, and from it one for each purpose.

    Parameters
    ----------
    random_state : int, RandomState instance or None
    purposes : sequence
        What the seeds are for.

    Returns
    -------
    dict of purpose to int
        Below 2 ** 32.
    """
    root = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    words = np.random.SeedSequence(root).generate_state(len(purposes))
    return dict(zip(purposes, words.tolist(), strict=True))
