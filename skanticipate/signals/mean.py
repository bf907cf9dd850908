"""The mean of what several members answer, of whom one answer is held at a time."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import _num_samples

from skanticipate.data.validation import check_probabilities, title
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.signals.asking import as_given, ask, columns_of
from skanticipate.signals.candidates import Candidates, log_of, normalised

_BLOCK_BYTES = 1 << 22


class Batches(NamedTuple):
    """An answer (n, C) that comes a batch at a time, and so need not be held.

    Attributes
    ----------
    n_rows : int
    tell : function
        Calls what it is given with each slice of rows and their part (b, C).
    """

    n_rows: int
    tell: Callable

    def mapped(self, function):
        """The same with a function of each part."""
        return Batches(self.n_rows, partial(self._tell_mapped, function))

    def _tell_mapped(self, function, told):
        self.tell(lambda rows, part: told(rows, function(part)))

    def whole(self):
        """The answer at once.   -> ndarray (n, C)."""
        so_far = _SoFar("proba")
        so_far.add(self, None)
        return so_far.total


def tells_batches(member):
    """Whether a member is a network of ours, which answers a batch at a time."""
    own = getattr(type(member), "predict_proba", None)
    return own is PredictionMixin.predict_proba


def answer_of(member, clips):
    """What `predict_proba` of a member says.   -> Batches, or ndarray (n, C).

    Raises
    ------
    ValueError
        If a member that is no network of ours answers with something else.
    """
    if tells_batches(member):
        return Batches(_num_samples(clips), partial(member._tell_proba, clips))
    answer = member.predict_proba(clips)  # a table names its columns
    check_probabilities(np.asarray(answer), f"predict_proba of {title(member)}")
    return answer


def ask_in_batches(teacher, clips, classes):
    """As `ask`; Batches of a network of ours, whose answers need no check."""
    if isinstance(clips, Candidates) or not tells_batches(teacher):
        return ask(teacher, clips, classes)
    codes, answer = columns_of(teacher, classes), answer_of(teacher, as_given(clips))
    return answer.mapped(partial(in_order, codes=codes, n_classes=len(classes)))


def in_order(answer, codes, n_classes):
    """An answer with its columns at these places.   (n, C_k) -> (n, C)."""
    if np.array_equal(codes, np.arange(n_classes)):
        return answer
    aligned = np.zeros((len(answer), n_classes), dtype=answer.dtype)
    aligned[:, codes] = answer
    return aligned


def mean_proba(asks, average, weights=None):
    """Mean of probabilities, or mean or maximum of their logarithms, normalised again.

    Parameters
    ----------
    asks : list of functions
        Each gives the answer of a member, an ndarray of shape (n, C) or Batches.
    average : {"proba", "log_proba", "max"}
    weights : sequence of numbers, default=None
        One for each member.

    Returns
    -------
    ndarray of shape (n, C)
        A new one; that of a single member without rounding.

    Examples
    --------
    >>> asks = [lambda: np.array([[0.5, 0.5]]), lambda: np.array([[0.25, 0.75]])]
    >>> mean_proba(asks, "proba")
    array([[0.375, 0.625]])
    """
    if len(asks) == 1:
        answer = asks[0]()
        if isinstance(answer, Batches):
            return answer.whole()
        return np.array(answer, np.result_type(answer, np.float32))
    weights = None if weights is None else np.asarray(weights)
    so_far = _SoFar(average)
    for k, asked in enumerate(asks):  # no name for the answer, which would keep it
        so_far.add(asked(), None if weights is None else weights[k])
    total = so_far.total
    for rows in _blocks(total):
        if average != "max":
            total[rows] /= len(asks) if weights is None else weights.sum()
        if average != "proba":
            total[rows] = normalised(total[rows])
    return total


class _SoFar:
    """Sum, or maximum, of the answers so far.

    Parameters
    ----------
    average : {"proba", "log_proba", "max"}
        "proba" adds the answers, the others their logarithms.

    Attributes
    ----------
    total : ndarray of shape (n, C), or None
    """

    def __init__(self, average):
        self.average, self.total, self.is_first = average, None, True

    def add(self, answer, weight):
        """Add what one more member says."""
        if isinstance(answer, Batches):
            answer.tell(partial(self._add, answer.n_rows, weight))
        else:
            self._make_room(len(answer), weight, answer)
            for rows in _blocks(answer):
                self._add(len(answer), weight, rows, answer[rows])
        self.is_first = False

    def _make_room(self, n_rows, weight, part):
        """Let the total have the rows of an answer, its classes and its precision."""
        kinds = [np.float32, part.dtype, *([] if weight is None else [weight.dtype])]
        shape = n_rows, *part.shape[1:]
        if self.total is None:
            self.total = np.empty(shape, np.result_type(*kinds))
        if shape != self.total.shape:
            raise ValueError(
                f"A member answers with {shape} probabilities, and another with "
                f"{self.total.shape}: expected as many rows as there are clips."
            )
        kind = np.result_type(self.total, *kinds)
        self.total = self.total.astype(kind, copy=False)

    def _add(self, n_rows, weight, rows, part):
        """Add the part (b, C) of some rows of an answer."""
        self._make_room(n_rows, weight, part)
        part = part if self.average == "proba" else log_of(part)
        part = part if weight is None else part * weight
        if self.is_first:
            self.total[rows] = part
        elif self.average == "max":
            np.maximum(self.total[rows], part, out=self.total[rows])
        else:
            self.total[rows] += part


def _blocks(array):
    """Slices of some rows each."""
    n_rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    return [slice(k, k + n_rows) for k in range(0, len(array), n_rows)]
