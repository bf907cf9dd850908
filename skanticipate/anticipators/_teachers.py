"""The teachers of a DistilledAnticipator: which are asked, and with what settings."""

from numbers import Integral

from sklearn.frozen import FrozenEstimator

from skanticipate.teachers.ensemble import seeded
from skanticipate.teachers.future import FutureTeaching
from skanticipate.teachers.history import HistoryTeacher
from skanticipate.teachers.recognition import teacher_like
from skanticipate.teachers.teaching import TextTeaching


def ask_future_teacher(student, samples, seed):
    """Fit the teacher that sees the futures, where there is a use for it.

    Returns
    -------
    FutureTeaching or None
    """
    if samples.futures is None or not samples.seen.any():
        return None
    used = student.feature_weight or student.init_from_teacher is True
    if samples.proba is not None and not used:
        return None
    teacher = student.teacher
    if teacher is None:
        teacher = teacher_like(student, samples)
    return _ask(FutureTeaching, teacher, student, samples, seed)


def ask_text_teacher(student, samples, seed):
    """Fit the teacher that reads the past actions, where there is a use for it.

    Returns
    -------
    TextTeaching or None
    """
    if samples.histories is None or not samples.read.any() or student.text_weight == 0:
        return None
    n_classes = len(student.classes_)
    if student.text_top_k is not None and student.text_top_k > n_classes:
        raise ValueError(
            f"text_top_k={student.text_top_k} is more than the {n_classes} classes: "
            "lower it, or set it to None."
        )
    if student.text_teacher is not None:
        return _ask(TextTeaching, student.text_teacher, student, samples, seed)
    teacher = HistoryTeacher(device=student.device, n_threads=student.n_threads)
    try:
        return _ask(TextTeaching, teacher, student, samples, seed)
    except ValueError as error:
        error.add_note(
            "The text teacher is the default one, HistoryTeacher(). To change its "
            "settings: text_teacher=HistoryTeacher(actions, ...)."
        )
        raise


def _ask(kind, teacher, student, samples, seed):
    seeded_fit = isinstance(student.random_state, Integral)
    if student.teacher_cache is not None and not seeded_fit:
        raise ValueError(
            "teacher_cache needs an integer random_state, got "
            f"{student.random_state!r}: else every fit has another teacher."
        )
    if not isinstance(teacher, FrozenEstimator):
        teacher = seeded(teacher, seed)
    return kind(
        teacher,
        samples,
        student.classes_,
        cross_fit=student.cross_fit,
        seed=seed,
        folder=student.teacher_cache,
    )
