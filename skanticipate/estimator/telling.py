"""Who is training: told in verbose lines, and as tasks to scikit-learn's callbacks.

Its versions before 1.9 have no callbacks.
"""

import math
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from sklearn.utils import _safe_indexing

from skanticipate.data.parameters import Function
from skanticipate.data.warn import warn

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


_HERE = ContextVar("part of a fit", default=None)


class Part:
    """A part of a fit: its teacher, a fold of a cross-fit, a member of an ensemble.

    Parameters
    ----------
    name : str
        What it is called; "" is a fit itself.
    around : Part or None, default=None
        What it is a part of.

    Attributes
    ----------
    names : tuple of str
        Its name after those around it.
    context : CallbackContext or None
        The task that scikit-learn's callbacks hear of; None: nobody has begun it.
    told : dict
        What they are told beside it.
    room : int or inf
        How many parts can still be told of within it.
    """

    def __init__(self, name, around=None):
        self.name, self.around = name, around
        self.names = () if around is None else around.names
        self.names += (name,) if name else ()
        self.context, self.told, self.room = None, {}, 0
        self.is_over = False

    def begin(self, n_parts):
        """Tell that it begins, unless that was told; `n_parts` may be inf."""
        if self._open(n_parts):
            self.context.call_on_fit_task_begin(**self.told)

    def end(self):
        """Tell that it is over, unless that was told."""
        self.begin(0)
        if self.context is not None and not self.is_over:
            self.context.call_on_fit_task_end(**self.told)
            self.is_over = True

    def note_epoch(self, record):
        """Tell of an epoch of what is trained within: a part that is over at once.

        Who trains it says so at the end of an epoch only.
        """
        Part("teacher-epoch", self).end()

    def _open(self, n_parts):
        """Make the task, where there are tasks and it has none.   -> bool."""
        around = self.around
        if not self.name or self.context is not None:
            return False
        if around is None or around.room < 1:
            return False
        around.room -= 1
        self.told, self.room = around.told, n_parts
        known = None if n_parts == math.inf else n_parts
        self.context = around.context.subcontext(self.name, max_subtasks=known)
        return True

    @contextmanager
    def entered(self):
        """Let what is done within be of this part."""
        token = _HERE.set(self)
        try:
            yield self
        finally:
            _HERE.reset(token)

    @contextmanager
    def handed_to(self, estimator):
        """Let an estimator that is fitted within tell of itself, where it can.

        Callbacks that scikit-learn hands on, such as its `ProgressBar`, then hear of
        its own tasks; others hear that it begins and ends.
        """
        if not _hands_on(estimator):
            self.begin(math.inf)
            yield
            return
        if not self._open(0):
            yield
            return
        with self.context.propagate_callback_context(estimator):
            self.context.call_on_fit_task_begin(**self.told)
            yield
            self.end()


def here():
    """The part of a fit that calls this, or None."""
    return _HERE.get()


def who():
    """Names of the part of a fit that calls this, as in "teacher, fold 2 of 5"."""
    return "" if here() is None else ", ".join(here().names)


@contextmanager
def within(name):
    """Let what is done within be a part of this name; "" is no part of its own."""
    if not name:
        yield
        return
    own = Part(name, here())
    with own.entered():
        yield
    own.end()


@contextmanager
def handed_to(estimator):
    """`Part.handed_to` of the part that calls this, where it is one."""
    if here() is None:
        yield
        return
    with here().handed_to(estimator):
        yield


def expect_parts(n_parts):
    """Say how many parts the one has that calls this."""
    if here() is not None:
        here().begin(n_parts)


def _hands_on(estimator):
    """Whether callbacks can be handed to an estimator, which may have bars itself."""
    if not hasattr(estimator, "set_callbacks"):
        return False
    own = getattr(estimator, "_skl_callbacks", ())
    has_bars = any(hasattr(callback, "max_propagation_depth") for callback in own)
    return not has_bars and not getattr(estimator, "_slower_if_watched", False)


@contextmanager
def told_of(estimator, X, y, sample_weight):
    """Region of a fit, which is told of; what is done within is a part of it.

    -> FitTask; callbacks hear of its end where it comes without an error
    """
    task = FitTask(estimator, estimator.max_epochs, X, y, sample_weight)
    with task.whole.entered():
        yield task
    task.end()


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

    Attributes
    ----------
    is_followed : bool
        Whether somebody hears of it, or reads lines; else nothing need be told.
    """

    def __init__(self, estimator, max_epochs, X, y, sample_weight):
        self.max_epochs = max_epochs
        self.whole = self.student = Part("", here())
        self.context = None  # where nobody could listen
        if has_callbacks(estimator) or hasattr(estimator, "_parent_callback_ctx"):
            self.context = estimator._init_callback_context(max_subtasks=max_epochs)
        self.is_followed = self.context is not None or estimator.verbose > 0
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
        What follows in the region of the fit is of the student.
        """
        _HERE.set(self.student)
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
