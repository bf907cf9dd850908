"""Who is training: told in verbose lines, and to callbacks as tasks of a fit."""

import math
from contextlib import contextmanager
from contextvars import ContextVar

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
