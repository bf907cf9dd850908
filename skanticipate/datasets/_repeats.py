"""Rows that stand in a table of segments again."""

import numpy as np

from skanticipate.data.warn import warn

_FEWEST, _SHARE = 20, 0.01  # annotators repeat one row in 10,000


def hint_repeats(video, start, stop, action):
    """Warn of rows that stand in a table again, and so twice in what is past.

    Parameters
    ----------
    video : ndarray of int of shape (n,)
    start, stop : ndarray of shape (n,)
    action : ndarray of shape (n,)
    """
    columns = np.unique(action, return_inverse=True)[1], stop, start, video
    order = np.lexsort(columns)
    same = [np.diff(column[order]) == 0 for column in columns]
    n, n_again = len(video), int(np.logical_and.reduce(same).sum())
    if n_again >= max(_FEWEST, n * _SHARE):
        warn(
            f"{n_again} of the {n} rows of segments have the video, the times and the "
            "action of another row, and stand twice in what is past: if two tables "
            "were joined that share them, leave them out, as table.drop_duplicates "
            "does."
        )
