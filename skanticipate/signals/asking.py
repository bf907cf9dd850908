"""What a teacher is to its student: something to fit, to ask, and to look into.

Any classifier with `predict_proba` and `classes_` can teach. It is cloned and fitted on
the labelled rows; a `FrozenEstimator` is used as it is. Columns are aligned by label.
"""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skanticipate._typing import Labels
from skanticipate.data.leaks import warn_ungrouped
from skanticipate.data.markers import unlabeled_mask
from skanticipate.data.missing import as_list, label_codes
from skanticipate.data.names import check_label_names
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.rows import RowView
from skanticipate.data.validation import check_probabilities
from skanticipate.data.warn import warn
from skanticipate.estimator.base import BaseAnticipator
from skanticipate.estimator.many import fit_jobs, fitted_of
from skanticipate.estimator.telling import handed_to, within
from skanticipate.estimator.wanted import Job
from skanticipate.signals.candidates import Candidates, mean_of_candidates
from skanticipate.training.runtime import callers_threads


def seeded(teacher, seed):
    """Clone whose parameters `random_state` that are None, nested ones too, are set."""
    if isinstance(teacher, type) or not hasattr(teacher, "get_params"):
        raise TypeError(
            "A teacher must be a classifier with fit, predict_proba and get_params, got"
            f" {teacher!r}: pass an estimator, or its answers as teacher_proba=."
        )
    teacher = clone(teacher)
    open_ = [
        name
        for name, value in sorted(teacher.get_params().items())
        if name.rpartition("__")[2] == "random_state" and value is None
    ]
    seeds = np.random.SeedSequence(seed).generate_state(max(1, len(open_))) >> 1
    seeds = dict(zip(open_, seeds.tolist(), strict=False))
    teacher.set_params(**seeds)  # that of a FrozenEstimator returns nothing
    return teacher


def reading_all(teacher, labels):
    """Let all parts of a teacher take -1 for a class where it is among its labels.

    A teacher is shown labelled rows only, so that it marks none of them. A part whose
    `unlabeled_label` or `classes` is set keeps it.

    Parameters
    ----------
    teacher : estimator
        Changed in place, and returned.
    labels : ndarray of shape (n,)
        What it is shown.
    """
    if not unlabeled_mask(labels, -1).any():
        return teacher
    params, auto = teacher.get_params(), []
    for name, value in params.items():
        before, _, own = name.rpartition("__")
        is_auto = isinstance(value, str) and value == "auto"
        classes = f"{before}__classes" if before else "classes"
        if own == "unlabeled_label" and is_auto and params.get(classes) is None:
            auto.append(name)
    teacher.set_params(**dict.fromkeys(auto))
    return teacher


def fit_teacher(teacher, clips, y, *, groups=None, sample_weight=None):
    """Fit a clone of a teacher on labelled clips.

    Parameters
    ----------
    teacher : classifier
        With `predict_proba`; a `FrozenEstimator` is not fitted again.
    clips : RowView of shape (n, ...)
        What the teacher may see.
    y : ndarray of shape (n,)
        Labels.
    groups, sample_weight : ndarray of shape (n,), default=None
        Passed to `fit` where it names them, that of a Pipeline's last step too.
    """
    return fitted_teacher(Lesson(clone(teacher), clips, y, groups, sample_weight))


def fitted_teacher(lesson):
    """Fit the teacher of a lesson itself.   Lesson -> classifier."""
    if isinstance(lesson.teacher, FrozenEstimator):
        return lesson.teacher
    fitted, clips, y, *signals, _ = _one_by_one(lesson)
    named = zip(("groups", "sample_weight"), signals, strict=True)
    given = {name: s for name, s in named if s is not None}
    with _threads_of(fitted):
        fit_with_signals(fitted, as_given(clips), y, given, y_of_steps=y)
    _warn_of_unread(fitted, y, given.get("sample_weight"))
    return fitted


def _warn_of_unread(fitted, y, weights):
    """Warn if -1, a class that a teacher was shown, is none of its classes."""
    shown = y if weights is None else y[np.asarray(weights) > 0]
    known = getattr(fitted, "classes_", None)
    if known is None or not unlabeled_mask(shown, -1).any():
        return
    if label_codes([-1], known)[0] < 0:
        warn(
            f"{type(fitted).__name__} was shown rows of -1, a class of the student, "
            "but takes it for the marker of rows without a label, so that it answers 0 "
            "for it: use a teacher that learns it too, or number the classes from 0."
        )


class Lesson(NamedTuple):
    """What `fit_teacher` is given, of one of several teachers."""

    teacher: object
    clips: RowView  # (n, ...)
    y: np.ndarray  # (n,)
    groups: Labels | None = None
    sample_weight: ArrayLike | None = None
    name: str = ""  # for those who follow the training


def fit_teachers(lessons):
    """Fit clones of several teachers, those that are networks of ours together.

    list of Lesson -> list of fitted classifiers
    """
    if not all(isinstance(lesson.teacher, BaseAnticipator) for lesson in lessons):
        fitted = []
        for *given, groups, weights, name in lessons:
            with within(name):
                done = fit_teacher(*given, groups=groups, sample_weight=weights)
            fitted.append(done)
        return fitted
    jobs = []
    for teacher, clips, y, *signals, name in map(_one_by_one, lessons):
        named = zip(("groups", "sample_weight"), signals, strict=True)
        # Rows of numbers stay views, so that those of one array are read at once.
        is_view = clips.rows is not None and clips.dtype.kind in "fiu"
        seen = clips if is_view else as_given(clips)
        jobs.append(Job(clone(teacher), seen, y, dict(named), name))
    with callers_threads():
        return fitted_of(fit_jobs(jobs))


def _one_by_one(lesson):
    """A lesson whose rows are the candidate histories, where rows have several.

    The weight of a row is divided among its candidates, so that it counts once, and
    they are of one group, so that nobody divides them.
    """
    teacher, clips, y, groups, weights, name = lesson
    if not isinstance(clips, Candidates):
        return lesson
    histories, owner = clips.one_by_one()
    last = last_step(teacher)
    if groups is None:
        settings = last.get_params(deep=False)
        divides = settings.get("early_stopping", "validation_fraction" in settings)
        if divides and _takes(last, "groups"):
            warn_ungrouped(f"{type(last).__name__} holds rows out")
        groups = np.arange(len(clips))
    shares = 1 / np.bincount(owner)[owner]
    if weights is not None:
        shares = shares * weights[owner]
    elif not _takes(last, "sample_weight") and (shares == shares[0]).all():
        shares = None  # rows count alike in any case
    return Lesson(teacher, histories, y[owner], groups[owner], shares, name)


def fit_with_signals(estimator, clips, y, signals, *, y_of_steps):
    """Fit with the signals that `fit` names, at the end of a Pipeline too.

    A Pipeline alone would pass the other clips on as they came, and the signals only
    under the names of its steps.

    Parameters
    ----------
    estimator : estimator
        Fitted in place.
    clips, y : arrays
        What it learns from.
    signals : dict of arrays
        What else there is; `X_future_unlabeled` and `X_val` are transformed too.
    y_of_steps : array or None
        Labels that steps before the last are shown; None where some are missing.
    """
    if not isinstance(estimator, Pipeline):
        taken = [name for name in signals if _takes(estimator, name)]
        if lost := signals.keys() - taken:
            _warn_of_lost(estimator, lost, len(y))
        with handed_to(estimator):
            estimator.fit(clips, y, **{name: signals[name] for name in taken})
        return
    if len(estimator) > 1:
        before = estimator[:-1]
        requested = _requested(before, signals)
        try:
            clips = before.fit_transform(clips, y_of_steps, **requested)
        except (TypeError, ValueError) as error:
            if y_of_steps is None:
                error.add_note(
                    "Where rows have no label, steps before the last are fitted "
                    "without labels. Fit one that needs them on labelled rows before, "
                    "and put FrozenEstimator(step) in its place."
                )
            raise
        estimator.steps[:-1] = before.steps
        other_clips = {
            name: before.transform(signals[name])
            for name in ("X_future_unlabeled", "X_val")
            if name in signals and has_fit_parameter(last_step(estimator), name)
        }
        signals = signals | other_clips
    fit_with_signals(estimator[-1], clips, y, signals, y_of_steps=y_of_steps)


def _requested(transforms, signals):
    """Signals that steps before the last ask for by metadata routing."""
    names = _consumed(transforms, "fit_transform", signals)
    return {name: signals[name] for name in names}


def _consumed(estimator, method, names):
    """Names of what an estimator, or those in it, ask for by metadata routing."""
    routes = hasattr(estimator, "get_metadata_routing")
    if not routes or not get_config()["enable_metadata_routing"]:
        return ()
    try:
        return estimator.get_metadata_routing().consumes(method, names)
    except NotImplementedError:  # of estimators that do not route
        return ()


def _takes(estimator, name):
    """Whether `fit` names a signal, or passes it on."""
    if has_fit_parameter(estimator, name) or _consumed(estimator, "fit", [name]):
        return True
    if not isinstance(estimator, BaseSearchCV):
        return False
    if get_config()["enable_metadata_routing"]:
        return False
    is_weight = name == "sample_weight"
    return (
        name == "groups" or is_weight and has_fit_parameter(estimator.estimator, name)
    )


def _warn_of_lost(estimator, names, n_rows):
    """Warn of weights that are not passed, and of groups where rows are divided."""
    if isinstance(estimator, FrozenEstimator):
        return
    inside = [estimator, *nested_estimators(estimator)]
    divides = any(_divides(part.get_params(deep=False), n_rows) for part in inside)
    matter = {"sample_weight", "groups"} if divides else {"sample_weight"}
    if lost := sorted(matter & names):
        warn(
            f"{' and '.join(lost)} cannot be passed to {type(estimator).__name__}, "
            "whose fit does not take it: it counts all rows alike where it gets no "
            "sample_weight (class_weight is a part of it), and may divide rows of one "
            "group where it gets no groups. Use one that takes it, or enable metadata "
            "routing and request it."
        )


def _divides(settings, n_rows):
    """Whether an estimator of such parameters fits on a part of the rows it is given.

    By folds, or to stop early: gradient boosting by its patience alone, and that of
    histograms by itself where rows are many.
    """
    early = settings.get("early_stopping")
    if early is None and "validation_fraction" in settings:
        early = settings.get("n_iter_no_change") is not None
    return "cv" in settings or early is True or (early == "auto" and n_rows > 10_000)


def last_step(estimator):
    """The estimator at the end of a Pipeline, or that is frozen."""
    if isinstance(estimator, Pipeline):
        return last_step(estimator[-1])
    if isinstance(estimator, FrozenEstimator):
        return last_step(estimator.estimator)
    return estimator


def as_given(clips):
    """Rows as a user's estimator takes them: an array, or a view of a file."""
    in_memory = isinstance(clips.base, np.ndarray)
    if in_memory and not isinstance(clips.base, np.memmap):
        return np.asarray(clips)
    return clips


def asked(method, clips):
    """What a method of an estimator, which may be the user's, says of clips."""
    with _threads_of(getattr(method, "__self__", None)):
        return method(as_given(clips))


def _threads_of(estimator):
    """Context for what an estimator does: ours say themselves how many threads."""
    ours = isinstance(estimator, BaseAnticipator)
    return nullcontext() if ours else callers_threads()


def ask(teacher, clips, classes):
    """Probability of each class of the student.   -> (n, C).

    Classes that the teacher does not know get 0. Of several candidate histories of a
    row it is asked about each, and answers with the mean (`mean_of_candidates`).

    Raises
    ------
    ValueError
        If the teacher knows labels that the student does not, or if its answers are no
        probabilities.
    """
    if isinstance(clips, Candidates):
        histories, owner = clips.one_by_one()
        return mean_of_candidates(ask(teacher, histories, classes), owner)
    columns = columns_of(teacher, classes)
    answers = asked(teacher.predict_proba, clips)
    name, n_rows = "predict_proba of the teacher", clips.shape[0]
    if type(answers) is not np.ndarray:  # which names no columns
        check_label_names(answers, as_list(teacher.classes_), name=name)
        answers = np.asarray(answers)
    if answers.shape != (n_rows, len(columns)):
        raise ValueError(
            f"predict_proba of the teacher must give ({n_rows}, {len(columns)}) "
            f"probabilities, a column for each of its classes_, got {answers.shape}."
        )
    dtype = np.float32 if answers.dtype == np.float32 else np.float64
    proba = np.zeros((n_rows, len(classes)), dtype=dtype)
    proba[:, columns] = answers
    return check_probabilities(proba, name)


def columns_of(teacher, classes):
    """Which of the student's classes those of a teacher are.   -> (C_k,)."""
    known = getattr(teacher, "classes_", None)
    if known is None or not hasattr(teacher, "predict_proba"):
        raise ValueError(
            f"{type(teacher).__name__} cannot teach: after fit a teacher has classes_ "
            "and predict_proba. Wrap it in CalibratedClassifierCV if it only decides, "
            "or pass its answers as teacher_proba= if it reads X_future."
        )
    columns = label_codes(known, classes)
    if (columns < 0).any():
        strangers = np.asarray(known)[columns < 0][:5].tolist()
        raise ValueError(
            f"The teacher knows labels that the student does not: {strangers}. Fix the "
            "student's classes with classes=, or fit the teacher on the student's "
            "labels."
        )
    return columns


def split_transforms(teacher):
    """Split into (Pipeline of transformers or None, last estimator, unwrapped)."""
    if isinstance(teacher, FrozenEstimator):
        return split_transforms(teacher.estimator)
    if not isinstance(teacher, Pipeline):
        return None, teacher
    before = teacher[:-1] if len(teacher.steps) > 1 else None
    deeper, last = split_transforms(teacher[-1])
    if deeper is None:
        return before, last
    return deeper if before is None else Pipeline([*before.steps, *deeper.steps]), last


def seen_by_last_step(transforms, clips):
    """Clips as the last step of a teacher sees them.   -> RowView."""
    if transforms is None:
        return clips
    seen = asked(transforms.transform, clips)
    return seen if isinstance(seen, RowView) else RowView(np.asarray(seen))
