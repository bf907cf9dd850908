"""What parameters that are numbers may be."""

from numbers import Integral

from sklearn.utils import _param_validation


class Interval(_param_validation.Interval):
    """Numbers of an interval, of which True and False are none, though Python says so.

    Examples
    --------
    >>> from numbers import Integral
    >>> whole = Interval(Integral, 1, None, closed="left")
    >>> whole.is_satisfied_by(1), whole.is_satisfied_by(True)
    (True, False)
    """

    def is_satisfied_by(self, val):
        """Whether a value is such a number."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


# Beyond it a machine may be unable to start them, and torch then ends the process.
N_THREADS = Interval(Integral, 1, 1024, closed="both")
