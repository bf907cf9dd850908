"""Means over seeds, and paired differences on the same clips with their errors."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

N_RESAMPLES = 2000


class Mean(NamedTuple):
    """Mean of a figure and its deviation over seeds; written as "mean ± sd"."""

    mean: float
    sd: float  # NaN of a single seed

    def __format__(self, spec):
        """Each number by the same format; no deviation where there is none."""
        text = format(self.mean, spec)
        return text if np.isnan(self.sd) else f"{text} ± {format(self.sd, spec)}"


class Gain(NamedTuple):
    """Paired difference; written as "+gain (se over seeds / se over clips)"."""

    gain: float
    se_seeds: float  # NaN of a single seed
    se_clips: float

    def __format__(self, spec):
        """Each number by the same format."""
        errors = f"({format(self.se_seeds, spec)} / {format(self.se_clips, spec)})"
        return f"{format(self.gain, '+' + spec)} {errors}"


def mean_of(values):
    """Mean and deviation of a figure, in per cent.

    Parameters
    ----------
    values : ndarray of shape (seeds, clips)
        What each clip adds to the figure, as a share.
    """
    means = 100 * values.mean(axis=1)
    return Mean(means.mean(), means.std(ddof=1) if len(means) > 1 else np.nan)


def gain_of(ours, theirs, groups, scale=100.0):
    """Mean difference of per-clip outcomes with two standard errors.

    Parameters
    ----------
    ours, theirs : ndarray of shape (seeds, clips)
        Outcome of each clip (hit or miss) under each seed.
    groups : ndarray of shape (clips,)
        Video of each clip; clips of a video are resampled together.
    scale : float
        Factor of the result: 100 makes per cent of shares.

    Returns
    -------
    Gain
        Mean of ours - theirs, its standard error over seeds, and that of a bootstrap
        over videos of the difference averaged over seeds.
    """
    difference = ours - theirs
    per_seed = difference.mean(axis=1)
    n_seeds = len(per_seed)
    over_seeds = per_seed.std(ddof=1) / np.sqrt(n_seeds) if n_seeds > 1 else np.nan
    codes = np.unique(groups, return_inverse=True)[1]
    total, count = np.bincount(codes, difference.mean(axis=0)), np.bincount(codes)
    rng = np.random.default_rng(0)
    draws = rng.integers(len(count), size=(N_RESAMPLES, len(count)))
    means = total[draws].sum(axis=1) / count[draws].sum(axis=1)
    return Gain(scale * per_seed.mean(), scale * over_seeds, scale * means.std(ddof=1))


def mcnemar(ours, theirs):
    """Exact p-value of McNemar's test over hits and misses.   (n,), (n,) -> float."""
    better, worse = int((ours > theirs).sum()), int((theirs > ours).sum())
    return binomtest(better, better + worse).pvalue if better + worse else 1.0


def lines_of(results, groups, gains):
    """One line a row of a table: its figures, and its gains over other rows.

    Parameters
    ----------
    results : dict of row to {figure: ndarray of shape (seeds, clips)}
        What each clip adds to each figure, as a share.
    groups : ndarray of shape (clips,)
        Video of each clip.
    gains : dict of column to (figure, {row: other row})
        Columns of gains: of which figure, and over what; a row that has no other, or
        None, is not compared.

    Returns
    -------
    list of dict of column to str, Mean or Gain
    """
    lines = []
    for row, figures in results.items():
        line = {"row": row}
        line.update((figure, mean_of(values)) for figure, values in figures.items())
        for column, (figure, others) in gains.items():
            if others.get(row) is not None:
                theirs = results[others[row]][figure]
                line[column] = gain_of(figures[figure], theirs, groups)
        lines.append(line)
    return lines
