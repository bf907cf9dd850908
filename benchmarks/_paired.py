"""Paired comparisons of two methods on the same clips: standard errors, McNemar."""

import numpy as np
from scipy.stats import binomtest


def paired_difference(ours, theirs, groups, *, n_resamples=2000, seed=0):
    """Mean difference of per-clip outcomes with two standard errors.

    Parameters
    ----------
    ours, theirs : ndarray of shape (seeds, clips)
        Outcome of each clip (hit or miss) under each seed.
    groups : ndarray of shape (clips,)
        Video of each clip; clips of a video are resampled together.

    Returns
    -------
    difference, over_seeds, over_clips : float
        Mean of ours - theirs, its standard error over seeds, and that of a bootstrap
        over videos of the difference averaged over seeds.
    """
    difference = ours - theirs
    per_seed = difference.mean(axis=1)
    n_seeds = len(per_seed)
    over_seeds = per_seed.std(ddof=1) / np.sqrt(n_seeds) if n_seeds > 1 else np.nan
    _, codes = np.unique(groups, return_inverse=True)
    total = np.bincount(codes, difference.mean(axis=0))
    count = np.bincount(codes)
    draws = np.random.default_rng(seed).integers(
        len(count), size=(n_resamples, len(count))
    )
    means = total[draws].sum(axis=1) / count[draws].sum(axis=1)
    return per_seed.mean(), over_seeds, means.std(ddof=1)


def mcnemar(ours, theirs):
    """Exact p-value of McNemar's test over clips.   (clips,) bool, (clips,) bool."""
    better, worse = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return binomtest(better, better + worse).pvalue if better + worse else 1.0
