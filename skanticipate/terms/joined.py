"""Tables of several models as one."""

import numpy as np


class Joined:
    """Tables of several models under one another, each of them once.

    Parameters
    ----------
    tables : list of K ndarrays (R, C)
        The same object may stand there several times; so may equal ones.
    """

    def __init__(self, tables):
        self.unlike, self.starts = [], []
        for table in tables:
            self.starts.append(self._start(table))
        self.table = self.unlike[0]
        if len(self.unlike) > 1:
            self.table = np.concatenate(self.unlike)

    def _start(self, table):
        start = 0
        for other in self.unlike:
            if other is table or np.array_equal(other, table):
                return start
            start += len(other)
        self.unlike.append(table)
        return start

    def index(self, indices):
        """Rows (n,) of each table as rows of the common one.   -> (N,)."""
        return np.concatenate(
            [i + start for i, start in zip(indices, self.starts, strict=True)]
        )
