"""Parts of clips: what is held out, and which labels are kept."""

import numpy as np


def held_out(units, fraction, seed):
    """Whether each clip belongs to a random share of the units.

    Parameters
    ----------
    units : ndarray of shape (n,)
        What must not be torn apart, such as the video of each clip.
    fraction : float
        Share of the units.
    seed : int
        Which units are drawn.

    Returns
    -------
    held : ndarray of bool of shape (n,)
    """
    names = np.random.default_rng(seed).permutation(np.unique(units))
    return np.isin(units, names[: round(fraction * len(names))])


def balanced_folds(y, n_folds, seed=0):
    """Random folds with the same share of every class.   (n,) -> (n,)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    folds = np.empty(len(y), int)
    folds[order] = np.arange(len(y)) % n_folds
    return folds


def video_folds(videos, n_folds, seed=0):
    """Random folds of whole videos.   (n,) -> (n,)."""
    names, codes = np.unique(videos, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(names))[codes] % n_folds


def keep_labels(y, fraction, seed):
    """Hide all but a share of the labels, the same of every class.   -> y with -1."""
    if fraction >= 1:
        return y
    rng = np.random.default_rng(seed)
    kept = np.full_like(y, -1)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        kept[rows[: max(1, round(fraction * len(rows)))]] = label
    return kept
