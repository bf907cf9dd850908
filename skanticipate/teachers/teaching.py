"""A teacher, fitted on labelled rows and asked about all that it may see."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skanticipate._state import parts
from skanticipate.teachers.cache import TeacherCache, key_of
from skanticipate.teachers.cross_fit import cross_fitted_proba
from skanticipate.teachers.protocol import ask, fit_teacher


class Teaching:
    """A teacher, fitted on the labelled rows of what it may see, and its soft targets.

    A subclass says what that is: `material` of a fit's samples.

    Parameters
    ----------
    teacher : classifier
        Unfitted and seeded, or frozen.
    samples : Samples
        Those of the fit.
    classes : ndarray of shape (C,)
        Labels of the student.
    cross_fit, seed : int
        Folds of cross-fitting, and seed of their shuffling.
    folder : path-like or None
        Where fitted teachers and maps are kept.

    Attributes
    ----------
    teacher : classifier
        The fitted one.
    proba : ndarray of shape (n, C)
        Soft targets of all samples; NaN in rows with nothing to see.
    """

    nothing_to_learn = None  # message where no labelled row has something to see

    def __init__(self, teacher, samples, classes, *, cross_fit, seed, folder):
        given, seen = self.material(samples)
        self.rows = np.flatnonzero(seen)
        self.clips = given[self.rows]
        codes = samples.codes[self.rows]
        signals = {
            "groups": None if samples.groups is None else samples.groups[self.rows],
            "sample_weight": _relative_weights(samples.weights, self.rows, codes),
        }
        if not isinstance(teacher, FrozenEstimator) and (codes < 0).all():
            raise ValueError(self.nothing_to_learn)
        inputs = (teacher, self.clips, codes, classes, cross_fit, seed, signals)
        self.key = None if folder is None else key_of(*inputs)
        if self.key is None:
            self.cache = None
            self.teacher, answers = _fit_and_ask(*inputs)
        else:
            self.cache = TeacherCache(folder)
            kinds = {type(p) for p in parts(teacher) if isinstance(p, BaseEstimator)}
            self.teacher, answers = self.cache.teacher(
                self.key, kinds, lambda: _fit_and_ask(*inputs)
            )
        self.proba = np.full((len(samples), len(classes)), np.nan, answers.dtype)
        self.proba[self.rows] = answers

    @staticmethod
    def material(samples):
        """What the teacher may see (n, ...), and the samples that have it (n,) bool."""
        raise NotImplementedError

    def accuracy(self, samples, classes):
        """Share of labelled samples with something to see that it names rightly."""
        given, seen = self.material(samples)
        if given is None:
            return None
        rows = np.flatnonzero(seen & (samples.codes >= 0))
        if not len(rows):
            return None
        proba = ask(self.teacher, given[rows], classes)
        return float(np.mean(proba.argmax(axis=1) == samples.codes[rows]))


class TextTeaching(Teaching):
    """What a teacher that reads the past actions tells its student."""

    nothing_to_learn = (
        "No labelled row has a history, so the text teacher has nothing to learn from: "
        "give the past_actions of labelled rows too, or pass a FrozenEstimator."
    )

    @staticmethod
    def material(samples):
        """Histories, and the samples that have one."""
        return samples.histories, samples.read


def _relative_weights(weights, rows, codes):
    """Weights of rows, with a mean of 1 over labelled ones.

    To a teacher that counts their size matters, to its student it does not.
    """
    if weights is None or (codes < 0).all():  # a frozen teacher needs none
        return None
    return weights[rows] / weights[rows][codes >= 0].mean()


def _fit_and_ask(teacher, clips, codes, classes, cross_fit, seed, signals):
    labelled = np.flatnonzero(codes >= 0)
    fitted = fit_teacher(
        teacher,
        clips[labelled],
        classes[codes[labelled]],
        **{name: None if s is None else s[labelled] for name, s in signals.items()},
    )
    if cross_fit:
        answers = cross_fitted_proba(
            teacher, clips, codes, classes, cross_fit, seed, **signals
        )
    else:
        answers = ask(fitted, clips, classes)
    return fitted, answers
