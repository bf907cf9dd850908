"""scikit-learn's callbacks where the installed version has them (1.9 and later)."""

import numpy as np
from sklearn.utils import _safe_indexing

from skanticipate.data.parameters import Function
from skanticipate.data.warn import warn
from skanticipate.estimator.telling import Part, here

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]  # as of older versions
        """Stands in for scikit-learn's mixin before 1.9; there are no callbacks."""

    def _with_callbacks(method):
        """Give the method back unchanged."""
        return method


def with_callbacks(method: Function) -> Function:
    """Let callbacks follow a fit; its type stays what it is."""
    return _with_callbacks(method)


class FitTask:
    """The tasks that callbacks hear of: one fit, its teachers, and each epoch.

    Below a fit that asks teachers stand "teacher", "text teacher" and "student", which
    has the epochs; in other fits the epochs stand below it.

    Parameters
    ----------
    estimator : BaseAnticipator
        Being fitted.
    max_epochs : int
        Upper bound of the number of epochs.
    X, y, sample_weight : as given to fit
        What scikit-learn's `ScoringMonitor` scores on, the labelled rows of it.
    """

    def __init__(self, estimator, max_epochs, X, y, sample_weight):
        start = getattr(estimator, "_init_callback_context", None)
        self.max_epochs = max_epochs
        self.whole = self.student = Part("", here())
        self.context = None if start is None else start(max_subtasks=max_epochs)
        self.n_told = 0  # epochs that callbacks have heard of
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        if not self.whole.names:
            self.whole.names = _place_in_search(self.context)

    def begin(self, find_labelled, n_teachers=0):
        """Tell that the fit begins, and from here on of its labelled rows only.

        To a scorer a row without a label is a mistake, or no label that it can read.
        `find_labelled(y)` gives their mask (n,); it is asked only if somebody listens.
        """
        if n_teachers:
            self.student = Part("student", self.whole)
        if self.context is None:
            return
        if has_callbacks(self.told["estimator"]):
            self._tell_labelled(find_labelled(self.told["y"]))
        if n_teachers:
            self.context.max_subtasks = self.whole.room = n_teachers + 1
        self.whole.context = self.context
        self.whole.told = {"estimator": self.told["estimator"]}
        self.context.call_on_fit_task_begin(**self.told)

    def _tell_labelled(self, labelled):
        """Tell of some rows (n,) only."""
        if not labelled.all():
            rows = np.flatnonzero(labelled)
            y = np.asarray(self.told["y"], dtype=object)[rows]
            metadata = self.told["metadata"] or {}
            metadata = {k: _safe_indexing(v, rows) for k, v in metadata.items()}
            self.told |= {
                "X": _safe_indexing(self.told["X"], rows),
                "y": np.array(y.tolist()),  # the marker may have made it objects
                "metadata": metadata or None,
            }

    def epochs(self, records, attributes, finished):
        """Pass records on, telling callbacks when an epoch begins and ends.

        A callback that returns True ends training after its epoch. `attributes` gives
        the fitted attributes of that moment, called only if a callback wants them.
        """
        if self.context is None:
            yield from records
            return
        self.student.begin(self.max_epochs)
        stop = False
        while not (stop or finished()):
            epoch = self.student.context.subcontext(task_name="epoch")
            epoch.call_on_fit_task_begin(**self.told)
            record = next(records, None)
            if record is None:  # training went astray: this epoch has no end
                return
            yield record
            self.n_told += 1
            stop = epoch.call_on_fit_task_end(
                **self.told, reconstruction_attributes=attributes
            )
        if self.student is not self.whole:
            self.student.end()

    def warn_of_untold(self, n_epochs):
        """Warn those who listen of epochs that an earlier fit has told or nobody."""
        n_untold = n_epochs - self.n_told
        if n_untold and has_callbacks(self.told["estimator"]):
            warn(
                f"Callbacks hear nothing of {n_untold} of {n_epochs} epochs, which "
                "were read from the checkpoint: what a ScoringMonitor has logged lacks "
                "them. history_ has all; checkpoint=None trains anew."
            )

    def end(self):
        """Tell that the fit is over."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                **self.told, reconstruction_attributes=dict
            )


def has_callbacks(estimator):
    """Whether somebody listens to the fits of an estimator."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def _place_in_search(context):
    """Names of the fit of scikit-learn's search that a task belongs to.   -> tuple."""
    while context is not None:
        task = context.source_task_name
        if task == "candidate-split-evaluation":
            n_fits = context.parent.max_subtasks
            return (f"fit {context.task_id + 1} of {n_fits}",)
        if task == "refit-with-best-params":
            return ("refit",)
        context = context.parent
    return ()
