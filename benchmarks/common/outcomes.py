"""What each clip adds to the figures that answers are measured by."""

import numpy as np

FIGURES = ("top-1", "top-5", "class-mean top-1", "recall@5")


def outcomes(proba, y, classes, many_shot=None):
    """What each clip adds to every figure: the mean over clips is the figure.

    Parameters
    ----------
    proba : ndarray of shape (n, C)
        Scores of the classes; of equal ones the first counts as the best.
    y : ndarray of shape (n,)
        Labels.
    classes : ndarray of shape (C,)
        Sorted labels of the columns.
    many_shot : ndarray, default=None
        Labels over which "recall@5" is averaged; None means all that occur.

    Returns
    -------
    dict of str to ndarray of float of shape (n,)
        "top-1" and "top-5" are 1 for a hit. The means of "class-mean top-1" and
        "recall@5" are means over classes, of their recall among 1 and 5 answers.
    """
    columns = np.searchsorted(classes, y)
    own = proba[np.arange(len(y)), columns][:, None]
    equal = (proba == own) & (np.arange(len(classes)) < columns[:, None])
    rank = (proba > own).sum(axis=1) + equal.sum(axis=1)  # 0: the answer
    top_1, top_5 = (rank == 0).astype(float), (rank < 5).astype(float)
    counts = np.bincount(columns, minlength=len(classes))
    counted = counts > 0
    weights = len(y) / (counted.sum() * counts[columns])
    if many_shot is not None:
        counted &= np.isin(classes, many_shot)
    kept = counted[columns] * len(y) / (counted.sum() * counts[columns])
    values = top_1, top_5, top_1 * weights, top_5 * kept
    return dict(zip(FIGURES, values, strict=True))
