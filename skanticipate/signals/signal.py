"""What one kind of teacher knows: from an argument of `fit` to terms of the objective.

A fit asks its signals in this order: `check` what was given, `has` which samples have
it, `ask` the teacher, and give `parts` of the base term's targets and `terms` of their
own, for a network that they may change first.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skanticipate.data.labels import all_are_labels
from skanticipate.data.rows import RowView
from skanticipate.data.warn import warn
from skanticipate.estimator.sharing import once
from skanticipate.estimator.state import parts
from skanticipate.estimator.telling import within
from skanticipate.signals.asking import (
    Lesson,
    ask,
    fitted_teacher,
    reading_all,
    seeded,
    split_transforms,
)
from skanticipate.signals.cache import TeacherCache, key_of
from skanticipate.signals.cross_fit import cross_fitted
from skanticipate.terms.answers import AnswerTerm, answer_part


class Signal:
    """One kind of teacher, for the time of a fit; not to be used itself.

    A subclass is made with the parameters that are about it, takes what `fit` was given
    for it in `check`, and writes what differs from a signal that says nothing.
    """

    purposes = ()  # what it needs seeds for beside those of every fit

    def check(self, given, past, classes, *, marker, estimator):
        """Check what was given, once.

        Parameters
        ----------
        given : Given
            The arguments of `fit`, of which a signal reads its own.
        past : RowView of shape (n, ..., d)
            Clips of the student.
        classes : ndarray of shape (C,)
            Its labels.
        marker : object
            Label of unlabelled rows.
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

    def parts(self, samples):
        """Parts of the targets of the base term, and the samples that they are about.

        Returns
        -------
        list of Part
        has : ndarray of shape (n,) of bool
        """
        return [], np.zeros_like(samples.codes, dtype=bool)

    def terms(self, samples, spec, network, seeds, compute):
        """Terms of its own, for a network of a spec.   -> list of Term.

        Nothing was asked of the network so far: it may be given other weights first.
        """
        return []

    def figures(self, validation):
        """What the records of all epochs tell of held-out samples.   -> dict."""
        return {}

    def fitted(self):
        """Attributes of the fitted estimator.   -> dict."""
        return {}


class Asked(NamedTuple):
    """Whom a signal asks, and how.

    Attributes
    ----------
    teacher : classifier or None
        The parameter.
    default : callable
        (number of samples, number of those that can teach it) -> the classifier that
        None stands for.
    cross_fit : int
        Folds of cross-fitting, 0 for none.
    folder : path-like or None
        Where fitted teachers and maps are kept.
    """

    teacher: object
    default: Callable
    cross_fit: int
    folder: object


@dataclass(frozen=True)
class Taught:
    """A fitted teacher, what it saw of the samples, and what it answered.

    Attributes
    ----------
    teacher : classifier
        The fitted one.
    transforms, last : Pipeline or None, classifier
        Its parts, as `split_transforms` gives them.
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
    transforms: object
    last: object
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


@dataclass(eq=False)
class TeacherSignal(Signal):
    """What a teacher sees, and what it says of it; not to be used itself.

    The teacher is fitted on the labelled samples of what it may see, and asked about
    all. Its answers take the place of the labels of unlabelled samples, beside those of
    other teachers that speak of them, and are a term of labelled ones. A subclass has
    names, the class attributes, and a `check`, and writes what differs.

    Parameters
    ----------
    asked : Asked
    weight : float
        Of the term; with 0 nobody is asked.
    temperature : float, default=1.0
        Of the term.

    Attributes
    ----------
    name : str
        What its term and its figure are called.
    sees : str
        Name in the `signals` of samples of what the teacher sees; "has_" before it is
        that of the mask.
    parameter : str
        Which of the estimator is the teacher: the fitted one has an underscore after
        it, its seed is of this name.
    """

    name = sees = parameter = ""
    question = staticmethod(ask)  # (fitted teacher, clips, classes) -> (n, ..., C)

    asked: Asked
    _: KW_ONLY
    weight: float
    temperature: float = 1.0
    taught: Taught | None = field(default=None, init=False)
    labels: np.ndarray | None = field(default=None, init=False)

    @property
    def purposes(self):
        """A seed of the teacher."""
        return (self.parameter,)

    @property
    def whose(self):
        """What the teacher is called in messages."""
        return self.parameter.replace("_", " ")

    @property
    def nothing_to_learn(self):
        """Message where no labelled sample has something to see."""
        return (
            f"No labelled row has {self.sees}, so the {self.whose} has nothing to "
            "learn from: give that of labelled rows too, or pass a FrozenEstimator."
        )

    # -------------------------------------------------------------------- check

    def found(self, seen, has):
        """What `check` gives to samples.   RowView (n, ...), (n,) bool -> dict."""
        return {self.sees: seen, f"has_{self.sees}": has}

    def warn_if_silent(self, found, there_is, **given):
        """Warn of a teacher, and of what is set for it, if it has nothing to see."""
        if not np.any(found.get(f"has_{self.sees}", False)):
            wanted = {self.parameter: self.asked.teacher is not None, **given}
            warn_of_silence(f"{there_is}: no {self.whose} is asked.", **wanted)

    def has(self, samples):
        """Samples with what the teacher sees, where it counts."""
        nobody = super().has(samples)
        if self.weight == 0:
            return nobody
        return samples.signals.get(f"has_{self.sees}", nobody)

    # ---------------------------------------------------------------------- ask

    def asks(self, samples):
        """Whether there is something to see that counts."""
        return bool(self.has(samples).any())

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the teacher and ask it about all that it sees, where that counts."""
        self.labels = classes
        if self.asks(samples):
            with within(self.whose), all_are_labels():
                self.taught = self._teach(samples, seeds[self.parameter], shared)

    def _teach(self, samples, seed, shared):
        """Fit the teacher on labelled samples, and ask it about all.   -> Taught."""
        rows = np.flatnonzero(samples.signals[f"has_{self.sees}"])
        clips, codes = samples.signals[self.sees][rows], samples.codes[rows]
        teacher, default, cross_fit, folder = self.asked
        if teacher is None:
            teacher = default(len(samples.codes), int((codes >= 0).sum()))
        if not isinstance(teacher, FrozenEstimator):
            if (codes < 0).all():
                raise ValueError(self.nothing_to_learn)
            teacher = seeded(teacher, seed)
            teacher = reading_all(teacher, self.labels[codes[codes >= 0]])
        if not cross_fit:  # no folds to shuffle: students of all seeds ask alike
            seed = None
        beside = {
            "groups": None if samples.groups is None else samples.groups[rows],
            "sample_weight": relative_weights(samples.weights, rows, codes),
        }
        others = (codes, self.labels, cross_fit, seed, beside)
        inputs = (teacher, clips, *others)
        if shared is None:
            return _taught(rows, folder, inputs, self.question)
        return once(
            shared,
            lambda: _taught(rows, folder, inputs, self.question),
            teacher,
            *others,
            rows,
            str(folder),
            self.question.__name__,
            clips=clips,
        )

    # -------------------------------------------------------------------- terms

    def said(self, samples):
        """Answers (m, C), the row of each sample (n,), and which samples have one."""
        if self.taught is None:
            return None, None, np.zeros_like(samples.codes, dtype=bool)
        index = self.taught.index(len(samples.codes))
        return self.taught.answers, index, samples.signals[f"has_{self.sees}"]

    def parts(self, samples):
        """Answers in place of the labels of unlabelled samples."""
        proba, index, has = self.said(samples)
        unlabelled = has & (samples.codes < 0)
        if not unlabelled.any():
            return super().parts(samples)
        return [answer_part(proba, index).of(unlabelled)], unlabelled

    def terms(self, samples, spec, network, seeds, compute):
        """Divergence from the answers for labelled samples."""
        proba, index, has = self.said(samples)
        labelled = has & (samples.codes >= 0)
        if self.weight == 0 or not labelled.any():
            return []
        term = AnswerTerm(
            self.name,
            self.weight,
            labelled,
            samples.weights,
            compute,
            proba=proba,
            index=index,
            temperature=self.temperature,
        )
        return [term]

    # ------------------------------------------------------------------ what is told

    def figures(self, validation):
        """Share of held-out labelled samples that the teacher names rightly."""
        signals = validation.signals
        if self.taught is None or self.sees not in signals:
            return {}
        rows = np.flatnonzero(signals[f"has_{self.sees}"] & (validation.codes >= 0))
        if not len(rows):
            return {}
        proba = ask(self.taught.teacher, signals[self.sees][rows], self.labels)
        right = proba.argmax(axis=1) == validation.codes[rows]
        weights = None if validation.weights is None else validation.weights[rows]
        accuracy = float(np.average(right, weights=weights))
        return {f"{self.name}_val_accuracy": accuracy}

    def fitted(self):
        """The teacher; None if nobody was asked."""
        teacher = None if self.taught is None else self.taught.teacher
        return {f"{self.parameter}_": teacher}


def _taught(rows, folder, inputs, question):
    teacher, clips = inputs[:2]
    key = None if folder is None else key_of(*inputs)
    if key is None:
        fitted, answers = _fit_and_ask(*inputs, question)
        return Taught(fitted, *split_transforms(fitted), rows, clips, answers)
    cache = TeacherCache(folder)
    kinds = {type(p) for p in parts(teacher) if isinstance(p, BaseEstimator)}
    fitted, answers = cache.teacher(key, kinds, lambda: _fit_and_ask(*inputs, question))
    parts_of = split_transforms(fitted)
    return Taught(fitted, *parts_of, rows, clips, answers, cache, key)


def relative_weights(weights, rows, codes):
    """Weights of rows, with a mean of 1 over labelled ones.

    To a teacher or a prior that counts their size matters, to the student it does not.
    """
    if weights is None or (codes < 0).all():  # a frozen teacher needs none
        return None
    return weights[rows] / weights[rows][codes >= 0].mean()


def _fit_and_ask(teacher, clips, codes, classes, cross_fit, seed, beside, question):
    if cross_fit:
        inputs = (teacher, clips, codes, classes, cross_fit, seed)
        return cross_fitted(*inputs, **beside, ask=question)
    labelled = np.flatnonzero(codes >= 0)
    own = {name: None if s is None else s[labelled] for name, s in beside.items()}
    lesson = Lesson(teacher, clips[labelled], classes[codes[labelled]], **own)
    fitted = fitted_teacher(lesson)  # itself: `seeded` has made it for this fit
    return fitted, question(fitted, clips, classes)


def warn_of_silence(there_is, **wanted):
    """Warn of parameters that want a teacher where there is nothing to ask it about."""
    if names := [name for name, is_set in wanted.items() if is_set]:
        are = "is" if len(names) == 1 else "are"
        warn(f"{' and '.join(names)} {are} set, but there is {there_is}")
