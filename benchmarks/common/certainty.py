"""How sure answers are, and whether rightly: log loss, Brier score, calibration."""

import numpy as np
from scipy.stats import norm

from common.gains import N_RESAMPLES, Gain

SMALLEST = 1e-7  # probabilities count as at least this much, as float32 has them
N_BINS = 15


def log_losses(proba, columns):
    """Minus the logarithm of the probability of the label.   (n, C), (n,) -> (n,)."""
    own = proba[np.arange(len(columns)), columns]
    return -np.log(np.maximum(own, SMALLEST))


def briers(proba, columns):
    """Squared distance from the label, over all classes.   (n, C), (n,) -> (n,)."""
    own = proba[np.arange(len(columns)), columns]
    return np.square(proba).sum(axis=1) - 2 * own + 1


def calibration_error(confidence, hit, weight=None):
    """Mean distance of confidence and accuracy, over bins of equal width.

    Parameters
    ----------
    confidence : ndarray of shape (n,)
        Probability of the answer.
    hit : ndarray of shape (n,)
        1 where the answer is right.
    weight : ndarray of shape (n,), default=None
        How often each clip counts; None means once.

    Returns
    -------
    float
        In [0, 1].
    """
    weight = np.ones(len(hit)) if weight is None else weight
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, weight * (hit - confidence), N_BINS)
    return np.abs(gaps).sum() / weight.sum()


def calibration_gain(ours, theirs, groups, n_resamples=N_RESAMPLES // 10):
    """Difference of calibration errors, in per cent, with two standard errors.

    Parameters
    ----------
    ours, theirs : pairs of ndarrays of shape (seeds, clips)
        Confidence and hit.
    groups : ndarray of shape (clips,)
        Clips of a group are resampled together.
    n_resamples : int
        Of the bootstrap over groups.

    Returns
    -------
    Gain
    """
    n_seeds, n_clips = ours[0].shape
    codes = np.unique(groups, return_inverse=True)[1]

    def difference(weight):
        errors = [
            [calibration_error(sure[s], hit[s], weight) for s in range(n_seeds)]
            for sure, hit in (ours, theirs)
        ]
        return 100 * np.subtract(*errors)  # (seeds,)

    found = difference(np.ones(n_clips))
    rng = np.random.default_rng(0)
    drawn = rng.integers(codes.max() + 1, size=(n_resamples, codes.max() + 1))
    counts = [np.bincount(draw, minlength=codes.max() + 1)[codes] for draw in drawn]
    over_clips = np.std([difference(count).mean() for count in counts], ddof=1)
    over_seeds = found.std(ddof=1) / np.sqrt(n_seeds) if n_seeds > 1 else np.nan
    return Gain(found.mean(), over_seeds, over_clips)


def p_value(gain):
    """Two-sided, of a normal distribution with both standard errors.   Gain -> float.

    Seeds draw weights and labels, clips what is asked: their variances are added.
    """
    error = np.hypot(np.nan_to_num(gain.se_seeds), gain.se_clips)
    return 1.0 if error == 0 else float(2 * norm.sf(abs(gain.gain) / error))


def holm(p_values):
    """Adjusted p-values of Holm's step-down procedure.   (m,) -> (m,)."""
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    stepped = np.maximum.accumulate(factors * p_values[order])
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
