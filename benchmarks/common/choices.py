"""Fitting all of what may be chosen, in every run, and ranking it."""

import numpy as np
from joblib import delayed


def fit_all(look, choices, runs, parallel):
    """Look at every choice in every run.

    Parameters
    ----------
    look : callable
        `look(choice, *run)` fits a choice and says how it does.
    choices : list of C objects
        What is fitted.
    runs : list of R tuples
        Further arguments, such as clips and a seed.
    parallel : joblib.Parallel
        Which runs them.

    Returns
    -------
    list of C lists of R objects
        What `look` gives.
    """
    found = parallel(delayed(look)(choice, *run) for choice in choices for run in runs)
    return [found[k : k + len(runs)] for k in range(0, len(found), len(runs))]


def stack(looks):
    """Outcomes of several runs: R x {figure: (n,)} -> {figure: (R, n)}."""
    return {figure: np.stack([one[figure] for one in looks]) for figure in looks[0]}


def best_first(choices, looks, figure):
    """Choices with the mean of a figure over all runs, in per cent, best first.

    Parameters
    ----------
    choices : list of C objects
        Of equal ones the first counts as the best.
    looks : list of C lists of {figure: (n,)}
        Outcomes of each choice in each run.
    figure : str
        What counts.

    Returns
    -------
    list of C pairs (choice, float)
    """
    means = np.array([np.mean([one[figure].mean() for one in runs]) for runs in looks])
    order = np.argsort(-means, kind="stable")
    return [(choices[k], round(100 * float(means[k]), 2)) for k in order]
