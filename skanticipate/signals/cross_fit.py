"""Soft targets that no teacher gives for clips it was fitted on."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from skanticipate.estimator.telling import expect_parts
from skanticipate.signals.asking import Lesson, ask, fit_teachers


def cross_fitted(
    teacher,
    clips,
    codes,
    classes,
    n_folds,
    seed,
    *,
    groups=None,
    sample_weight=None,
    ask=ask,
):
    """A teacher fitted on all labelled rows, and answers of `n_folds` others.

    Each of these is fitted without the fold it answers for. Folds are made of the
    labelled rows, of whole groups where groups are given. An unlabelled row is answered
    by the teacher that did not see its group, or, where no labelled row is of its
    group, by the mean of all of them.

    Parameters
    ----------
    teacher : classifier
        Unfitted; each fold fits a clone.
    clips : RowView of shape (n, ...)
        What the teacher may see.
    codes : ndarray of shape (n,)
        Position of each label in `classes`; -1 where there is none.
    classes : ndarray of shape (C,)
        Labels of the student.
    n_folds, seed : int
        Number of folds, and seed of their shuffling where there are no groups.
    groups, sample_weight : ndarray of shape (n,), default=None
        Video or person of each row, and its weight.
    ask : callable
        (fitted teacher, clips, classes) -> answers (n, ..., C).

    Returns
    -------
    fitted : classifier
    proba : ndarray of shape (n, ..., C)
    """
    if isinstance(teacher, FrozenEstimator):
        raise ValueError(
            "cross_fit needs a teacher that can be fitted on parts of the data: a "
            "FrozenEstimator cannot. Set cross_fit=0, or cross-fit it beforehand; "
            "teacher_proba= takes such answers about futures."
        )

    def lesson(rows, name):
        return Lesson(
            teacher,
            clips[rows],
            classes[codes[rows]],
            groups=None if groups is None else groups[rows],
            sample_weight=None if sample_weight is None else sample_weight[rows],
            name=name,
        )

    labelled = np.flatnonzero(codes >= 0)
    folds = list(_folds(labelled, codes, groups, n_folds, seed))
    parts = {"all rows": labelled}
    for k, (training, _) in enumerate(folds, start=1):
        parts[f"fold {k} of {n_folds}"] = training
    expect_parts(len(parts))
    on_all, *others = fit_teachers([lesson(rows, k) for k, rows in parts.items()])
    proba, n_answers = None, np.zeros(len(codes))
    for fitted, (training, held) in zip(others, folds, strict=True):
        answered = np.union1d(held, _unseen(training, codes, groups))
        answers = ask(fitted, clips[answered], classes)
        if proba is None:
            proba = np.zeros((len(codes), *answers.shape[1:]))
        proba[answered] += answers
        n_answers[answered] += 1
    proba /= n_answers.reshape(-1, *[1] * (proba.ndim - 1))
    return on_all, proba


def _folds(labelled, codes, groups, n_folds, seed):
    """Pairs of training rows and held-out rows, both labelled."""
    y = codes[labelled]
    groups = None if groups is None else groups[labelled]
    n_units = len(labelled) if groups is None else len(np.unique(groups))
    if n_units < n_folds:
        what = "labelled rows" if groups is None else "groups with labelled rows"
        raise ValueError(
            f"cross_fit={n_folds} folds need as many {what}, but there are {n_units}: "
            "lower cross_fit."
        )
    counts = np.bincount(y)
    if groups is not None:
        split = GroupKFold(n_folds)
    elif counts[counts > 0].min() >= n_folds:
        split = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    else:  # long tails cannot be stratified
        split = KFold(n_folds, shuffle=True, random_state=seed)
    for training, held in split.split(y, y, groups):
        yield labelled[training], labelled[held]


def _unseen(training, codes, groups):
    """Unlabelled rows whose group did not train."""
    unseen = codes < 0
    if groups is not None:
        unseen = unseen & ~np.isin(groups, groups[training])
    return np.flatnonzero(unseen)
