"""Reading ahead: what is asked for next is read in a thread, while the last is used."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

# Bytes of a batch below which handing it over takes longer than what is gained.
_SMALL = 1 << 18


def takes_time(views, n_rows):
    """Whether reading so many rows of each view is worth a thread.

    Of what lies in files only, and of large batches: else nobody waits for reading.

    Parameters
    ----------
    views : list of RowView
    n_rows : int
    """
    n_bytes = [n_rows * v.dtype.itemsize * math.prod(v.shape[1:]) for v in views]
    if sum(n_bytes) < _SMALL:  # as mostly, and quick to tell
        return False
    waited_for = zip(views, n_bytes, strict=True)
    return sum(n for view, n in waited_for if view.lies_in_file) >= _SMALL


class ReadAhead:
    """A function that reads, one call ahead where it is told which calls will come.

    There is one thread, and never more than one result that waits. What a call raises
    there is raised here, by the call that asks for it. ``is_ahead`` tells whether a
    result waits.

    Parameters
    ----------
    read : callable
        key -> anything. It must not use torch, whose threads a fit has set for its own.

    Examples
    --------
    >>> squares = ReadAhead(lambda number: number**2)
    >>> with squares.over([2, 3]):  # 3 is squared while the square of 2 is used
    ...     [squares(2), squares(3)]
    [4, 9]
    """

    def __init__(self, read):
        self._read = read
        self._pool = self._keys = self._coming = self._process = None
        self.is_ahead = False

    def __call__(self, key):
        """What the function says of a key."""
        # A forked child has the thread of its parent not.
        if not self.is_ahead or os.getpid() != self._process:
            return self._read(key)
        found = self._coming.result()
        self._begin_next()
        return found

    @contextmanager
    def over(self, keys):
        """Region in which the calls are those of `keys`, in their order.

        However it is left, its thread has ended then.
        """
        with ThreadPoolExecutor(1, "skanticipate reads") as self._pool:
            self._keys, self._process = iter(keys), os.getpid()
            self._begin_next()
            try:
                yield
            finally:
                self._pool = self._keys = self._coming = None
                self.is_ahead = False

    def _begin_next(self):
        self._coming, self.is_ahead = None, False
        for key in self._keys:
            try:
                self._coming = self._pool.submit(self._read, key)
                self.is_ahead = True
            except RuntimeError:  # no thread can be started, as while Python ends
                pass
            return
