"""The labels as a signal: what they say, and what a prior knows of each other."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from skanticipate.data.missing import as_array
from skanticipate.estimator.sharing import once
from skanticipate.signals.signal import Signal
from skanticipate.terms.labels import label_parts


@dataclass(eq=False)
class LabelSignal(Signal):
    """Labels, mixed with what a prior knows of them.

    Parameters
    ----------
    y_past : array-like of shape (n,) or None, default=None
        As in `fit`.
    prior : prior, default=None
        Unfitted. None: labels alone.
    smoothing : float, default=0.0
        Weight of the prior, in [0, 1].
    """

    y_past: object = None
    _: KW_ONLY
    prior: object = None
    smoothing: float = 0.0

    def check(self, past, classes, *, marker, groups, estimator):
        """Check the labels of the actions seen last."""
        column = check_y_past(self.y_past)
        return {} if column is None else {"y_past": column}

    def has(self, samples):
        """Samples with a label."""
        return samples.codes >= 0

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the prior on the labelled samples, and look up its rows."""
        self.terms_of_prior = []
        if self.prior is None:
            return
        labelled = np.flatnonzero(samples.codes >= 0)
        y, y_past = classes[samples.codes[labelled]], samples.signals.get("y_past")
        y_past = None if y_past is None else y_past[labelled]
        inputs = (classes, y, y_past)
        self.prior = once(shared, lambda: self.prior.fit(*inputs), self.prior, *inputs)
        for matrix, rows, weight in self.prior.terms(y, y_past):
            of_sample = np.zeros(len(samples), dtype=np.intp)
            of_sample[labelled] = rows
            self.terms_of_prior.append((matrix, of_sample, weight))

    def parts(self, samples):
        """``(1 - smoothing) * onehot(y) + smoothing * prior row``."""
        parts = label_parts(samples.codes, self.terms_of_prior, self.smoothing)
        return parts, samples.codes >= 0

    def fitted(self):
        """The prior."""
        return {} if self.prior is None else {"prior_": self.prior}


def check_y_past(y_past):
    """One label a row as an array that keeps which are missing, or None."""
    if y_past is None:
        return None
    column = as_array(y_past)
    if column.ndim == 2 and column.shape[1] == 1:  # a table of one column
        column = column[:, 0]
    if column.ndim != 1:
        raise ValueError(
            f"y_past has shape {column.shape}: give one label for each clip, that of "
            "the action seen last."
        )
    return column
