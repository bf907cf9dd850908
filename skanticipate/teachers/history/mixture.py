"""Weights of a mixture of models, by what each makes of held-out rows."""

import numpy as np

from skanticipate.data.warn import warn

_LEAST_WEIGHT = 0.1  # of a row in the mean: below it nothing is counted


def mixture_weights(likelihoods, sample_weight=None, *, tol=1e-7, max_iter=1000):
    """Weights w of a mixture that make rows most likely, by EM.

    They maximise the concave sum over rows of log sum_k w_k p_k; a round gives each
    part its share of the rows, w_k <- mean of w_k p_k / sum_j w_j p_j.

    Parameters
    ----------
    likelihoods : array-like of shape (n, K)
        Likelihood of each row under each part, above 0.
    sample_weight : array-like of shape (n,), default=None
        How often each row counts.
    tol : float, default=1e-7
        Change of a weight below which the search ends.
    max_iter : int, default=1000
        Largest number of rounds.

    Returns
    -------
    ndarray of shape (K,)
        Weights, of sum 1.

    Examples
    --------
    >>> from skanticipate.teachers.history.mixture import mixture_weights
    >>> mixture_weights([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8]]).round(2)
    array([0.78, 0.22])
    """
    likelihoods = np.asarray(likelihoods, dtype=np.float64)
    weights = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(max_iter):
        shares = weights * likelihoods
        shares /= shares.sum(axis=1, keepdims=True)
        before, weights = weights, np.average(shares, axis=0, weights=sample_weight)
        if np.abs(weights - before).max() < tol:
            break
    return weights


def hint_small_weights(weights):
    """Warn of weights that were divided by their sum: nothing would be counted."""
    if weights is not None and weights.mean() < _LEAST_WEIGHT:
        warn(
            f"sample_weight has a mean of {weights.mean():.2g}: HistoryTeacher counts "
            "each row so often, and trusts counts from about `strength` rows on. "
            "Multiply the weights so that their mean is 1."
        )
