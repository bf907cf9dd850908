"""The mean of what several members answer, of whom one answer is held at a time."""

import numpy as np

from skanticipate.signals.candidates import log_of, normalised

_BLOCK_BYTES = 1 << 22


def mean_proba(asks, average, weights=None):
    """Mean of probabilities, or mean or maximum of their logarithms, normalised again.

    Parameters
    ----------
    asks : list of functions
        Each gives the answer of a member, an ndarray of shape (n, C).
    average : {"proba", "log_proba", "max"}
    weights : sequence of numbers, default=None
        One for each member.

    Returns
    -------
    ndarray of shape (n, C)
        That of a single member as it is, without rounding.

    Examples
    --------
    >>> asks = [lambda: np.array([[0.5, 0.5]]), lambda: np.array([[0.25, 0.75]])]
    >>> mean_proba(asks, "proba")
    array([[0.375, 0.625]])
    """
    if len(asks) == 1:
        return asks[0]()
    weights = None if weights is None else np.asarray(weights)
    total = None
    for k, ask in enumerate(asks):  # no name for the answer, which would keep it
        weight = None if weights is None else weights[k]
        total = _with(total, ask(), average, weight)
    for rows in _blocks(total):
        if average != "max":
            total[rows] /= len(asks) if weights is None else weights.sum()
        if average != "proba":
            total[rows] = normalised(total[rows])
    return total


def _with(total, answer, average, weight):
    """Sum, or maximum, of the answers so far and of one more.   -> (n, C)."""
    kinds = [np.float32, answer.dtype, *([] if weight is None else [weight.dtype])]
    is_first = total is None
    if is_first:
        total = np.empty(answer.shape, np.result_type(*kinds))
    if answer.shape != total.shape:
        raise ValueError(
            f"A member answers with {answer.shape} probabilities, and another with "
            f"{total.shape}: expected as many rows as there are clips."
        )
    total = total.astype(np.result_type(total, *kinds), copy=False)
    for rows in _blocks(total):
        part = answer[rows] if average == "proba" else log_of(answer[rows])
        part = part if weight is None else part * weight
        if is_first:
            total[rows] = part
        elif average == "max":
            np.maximum(total[rows], part, out=total[rows])
        else:
            total[rows] += part
    return total


def _blocks(array):
    """Slices of some rows each."""
    n_rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    return [slice(k, k + n_rows) for k in range(0, len(array), n_rows)]
