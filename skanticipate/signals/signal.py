"""What one kind of teacher knows: from an argument of `fit` to terms of the objective.

A fit asks its signals in this order: `check` what was given, `has` which samples have
it, `ask` the teacher, `start` the network, and give `parts` of the base term's targets
and `terms` of their own.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skanticipate.data.rows import RowView
from skanticipate.data.warn import warn
from skanticipate.estimator.sharing import once
from skanticipate.estimator.state import parts
from skanticipate.signals.asking import ask, fit_teacher, seeded
from skanticipate.signals.cache import TeacherCache, key_of
from skanticipate.signals.cross_fit import cross_fitted


class Signal:
    """One kind of teacher, for the time of a fit; not to be used itself.

    A subclass is made with what `fit` was given for it and with the parameters that are
    about it, and writes what differs from a signal that says nothing.
    """

    def check(self, past, classes, *, marker, groups, estimator):
        """Check what was given, once.

        Parameters
        ----------
        past : RowView of shape (n, ..., d)
            Clips of the student.
        classes : ndarray of shape (C,)
            Its labels.
        marker : object
            Label of unlabelled rows.
        groups : array-like of shape (n,) or None
            Video or person of each row.
        estimator : BaseAnticipator
            Whose name messages say, and whose names of columns tables must have.

        Returns
        -------
        dict of str to RowView or ndarray of shape (n, ...)
            Further `signals` of the samples.
        """
        return {}

    def has(self, samples):
        """Samples that something can be learnt from by this signal.   -> (n,) bool."""
        return np.zeros_like(samples.codes, dtype=bool)

    def asks(self, samples):
        """Whether `ask` has a teacher to fit or to ask, for callbacks.   -> bool."""
        return False

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the teacher and ask it about all samples, where there is a use for it.

        What is learnt from the same rows in other fits stands in `shared`, and is added
        to it.
        """

    def start(self, network, spec):
        """Give a network that begins, of a spec, what the teacher has for it."""

    def parts(self, samples):
        """Parts of the targets of the base term, and the samples that they are about.

        Returns
        -------
        list of Part
        has : ndarray of shape (n,) of bool
        """
        return [], np.zeros_like(samples.codes, dtype=bool)

    def terms(self, samples, spec, network, seeds, compute):
        """Terms of its own, for a network of a spec.   -> list of Term."""
        return []

    def figures(self, validation):
        """What the records of all epochs tell beside the losses.   -> dict."""
        return {}

    def fitted(self):
        """Attributes of the fitted estimator.   -> dict."""
        return {}


@dataclass(frozen=True)
class Taught:
    """A fitted teacher, what it saw of the samples, and what it answered.

    Attributes
    ----------
    teacher : classifier
        The fitted one.
    rows : ndarray of shape (m,)
        Numbers of the samples that have something to see.
    clips : RowView of shape (m, ...)
        What it sees of them.
    answers : ndarray of shape (m, C)
        Its soft targets; those of M members that a student weighs, (m, M, C).
    cache : TeacherCache or None
        Where maps are kept too, by `key`.
    key : str or None
    maps : dict
        Sources of maps that were made of it.
    """

    teacher: object
    rows: np.ndarray
    clips: RowView
    answers: np.ndarray
    cache: TeacherCache | None = None
    key: str | None = None
    maps: dict = field(default_factory=dict)

    def index(self, n_samples):
        """Row in `clips` and `answers` of each sample; 0 where it has none.   (n,)."""
        return index_of(self.rows, n_samples)


def index_of(rows, n_samples):
    """Place of each sample among `rows` (m,); 0 where it is not there.   (n,)."""
    index = np.zeros(n_samples, dtype=np.int64)
    index[rows] = np.arange(len(rows))
    return index


def teach(
    teacher,
    given,
    has,
    samples,
    classes,
    *,
    cross_fit,
    seed,
    folder,
    nothing_to_learn,
    shared=None,
    ask=ask,
):
    """Fit a teacher on the labelled samples of what it may see, and ask it about all.

    Parameters
    ----------
    teacher : classifier
        Unfitted, or frozen.
    given : RowView of shape (n, ...)
        What it may see.
    has : ndarray of shape (n,) of bool
        Samples that have it.
    samples : Samples
        Those of the fit.
    classes : ndarray of shape (C,)
        Labels of the student.
    cross_fit, seed : int
        Folds of cross-fitting, 0 for none, and seed of their shuffling and of the
        teacher.
    folder : path-like or None
        Where fitted teachers and maps are kept.
    nothing_to_learn : str
        Message where no labelled sample has something to see.
    shared : dict or None, default=None
        As in `Signal.ask`.
    ask : callable
        (fitted teacher, clips, classes) -> answers (n, ..., C).

    Returns
    -------
    Taught
    """
    rows = np.flatnonzero(has)
    clips, codes = given[rows], samples.codes[rows]
    signals = {
        "groups": None if samples.groups is None else samples.groups[rows],
        "sample_weight": _relative_weights(samples.weights, rows, codes),
    }
    if not isinstance(teacher, FrozenEstimator):
        if (codes < 0).all():
            raise ValueError(nothing_to_learn)
        teacher = seeded(teacher, seed)
    if not cross_fit:
        seed = None  # there are no folds to shuffle: students of all seeds ask alike
    inputs = (teacher, clips, codes, classes, cross_fit, seed, signals)
    others = (codes, classes, rows, cross_fit, seed, signals, str(folder))
    others = (*others, ask.__name__)
    return once(
        shared,
        lambda: _taught(rows, folder, inputs, ask),
        teacher,
        *others,
        clips=clips,
    )


def _taught(rows, folder, inputs, ask):
    teacher, clips = inputs[:2]
    key = None if folder is None else key_of(*inputs)
    if key is None:
        fitted, answers = _fit_and_ask(*inputs, ask)
        return Taught(fitted, rows, clips, answers)
    cache = TeacherCache(folder)
    kinds = {type(p) for p in parts(teacher) if isinstance(p, BaseEstimator)}
    fitted, answers = cache.teacher(key, kinds, lambda: _fit_and_ask(*inputs, ask))
    return Taught(fitted, rows, clips, answers, cache, key)


def _relative_weights(weights, rows, codes):
    """Weights of rows, with a mean of 1 over labelled ones.

    To a teacher that counts their size matters, to its student it does not.
    """
    if weights is None or (codes < 0).all():  # a frozen teacher needs none
        return None
    return weights[rows] / weights[rows][codes >= 0].mean()


def _fit_and_ask(teacher, clips, codes, classes, cross_fit, seed, signals, ask):
    if cross_fit:
        inputs = (teacher, clips, codes, classes, cross_fit, seed)
        return cross_fitted(*inputs, **signals, ask=ask)
    labelled = np.flatnonzero(codes >= 0)
    fitted = fit_teacher(
        teacher,
        clips[labelled],
        classes[codes[labelled]],
        **{name: None if s is None else s[labelled] for name, s in signals.items()},
    )
    return fitted, ask(fitted, clips, classes)


def figure(name, taught, what, validation, classes):
    """Share of held-out labelled samples that a teacher names rightly.

    Parameters
    ----------
    name : str
        What the figure is about.
    taught : Taught or None
    what : str
        The signal, of the samples that have it.
    validation : Samples or None
    classes : ndarray of shape (C,)

    Returns
    -------
    dict
        ``{name_val_accuracy: float}``, empty where nobody can be judged.
    """
    if taught is None or validation is None or what not in validation.signals:
        return {}
    has = validation.signals[f"has_{what}"] & (validation.codes >= 0)
    rows = np.flatnonzero(has)
    if not len(rows):
        return {}
    proba = ask(taught.teacher, validation.signals[what][rows], classes)
    right = proba.argmax(axis=1) == validation.codes[rows]
    return {f"{name}_val_accuracy": float(right.mean())}


def warn_of_silence(there_is, **wanted):
    """Warn of parameters that want a teacher where there is nothing to ask it about."""
    if names := [name for name, is_set in wanted.items() if is_set]:
        warn(f"{' and '.join(names)} is set, but there is {there_is}")
