"""TeacherEnsemble: several teachers that answer as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _check_n_features, check_is_fitted

from skanticipate._typing import Labels, Seed
from skanticipate.data.labels import (
    all_are_labels,
    check_label_array,
    check_label_kind,
    hint_labels,
    labelled_rows,
)
from skanticipate.data.missing import as_array, check_same_kind, label_codes
from skanticipate.data.names import (
    check_history_columns,
    check_names,
    check_tables_alike,
    forget_names,
)
from skanticipate.data.numbers import SIZE
from skanticipate.data.parameters import (
    check_nested,
    check_used,
    fit_context,
    keep_of_members,
    warn_of_members,
)
from skanticipate.data.places import check_series_ascend, check_step_names
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.tensors import answers_in_kind, takes_tensors
from skanticipate.data.validation import (
    check_as_meant,
    refuse_samples,
    refuse_sparse,
)
from skanticipate.data.warn import warn
from skanticipate.estimator.saving import SaveMixin
from skanticipate.estimator.state import describe
from skanticipate.signals.asking import Lesson, fit_teachers, reading_all, seeded
from skanticipate.signals.mean import ask_in_batches, mean_proba
from skanticipate.teachers.labels import TeacherMixin


class TeacherEnsemble(SaveMixin, TeacherMixin, BaseEstimator):
    """Several teachers that are fitted on the same clips and answer as one.

    An ensemble has no feature map and no weights to start from: it teaches by its soft
    targets.

    Parameters
    ----------
    teachers : sequence of classifiers
        Each is cloned and fitted; the same object may stand there several times, with
        a `random_state` of None: members of equal parameters and seeds are told of.
        Columns are aligned by label.
    average : {"log_proba", "proba", "max", "attention"}, default="log_proba"
        How the answers become one; it may be changed after `fit`:

        - "log_proba": mean of the logarithms, normalised again (a geometric mean). It
          all but excludes a class that one member does not know.
        - "proba": mean of the probabilities.
        - "max": maximum of the logarithms, normalised again; the pooling of logits in
          the code of Ghosh et al. Members answer with probabilities, so logarithms
          stand for logits, which differ from them by a constant of each member and row.
        - "attention": as `text_teacher` of a `DistilledAnticipator`, the mean of the
          logarithms with weights that the student learns to give each member, row by
          row; see Notes. Whoever else asks, `predict_proba` too, gets "log_proba".
    n_heads : int, default=4
        Heads of the attention; used with "attention" only.
    random_state : int, RandomState instance or None, default=None
        Seeds those members whose own `random_state` is None, each with another number.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`: those of `y`, and what
        a member knows beside them, by its `classes` or as it is frozen.
    teachers_ : list
        The fitted members.
    n_features_in_ : int
        Number of features; of features (n, d) only.
    feature_names_in_ : ndarray of shape (d,)
        Names of the features, if `fit` saw a table with names, or a list of such.

    Notes
    -----
    The attention asks with the pooled features f of the student (queries W_q f) and
    finds keys W_k v_m of each member m; the mean over heads of its softmax weighs the
    logarithms of the answers. Vectors v_m are the members' own features where all have
    a `feature_map` of one width, as in the code of Ghosh et al.; else their
    probabilities, and a learned vector of each member is added to its key. The
    attention is trained with the student, by the divergence of the text term, and is
    not kept.

    Prefer a mean. All that the attention is trained for is a small divergence, and so
    it favours who agrees with the student, not who is right: of three `HistoryTeacher`s
    on `make_kitchen` the weakest, whose answers are the flattest, ended with a weight
    of 1.00, and against "log_proba" the student had a top-1 accuracy of +0.09 points
    (standard error 0.19 over 5 seeds) and a log loss of +0.08 (0.01). "max" had +0.22
    (0.20) and +0.03 (0.00).

    References
    ----------
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991, and its code: mean, maximum and attention over
    several text teachers.

    Examples
    --------
    >>> from skanticipate import RecognitionTeacher, TeacherEnsemble
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> ensemble = TeacherEnsemble([RecognitionTeacher(max_epochs=10)] * 3)
    >>> ensemble.set_params(random_state=0).fit(kitchen.X_future, kitchen.y)
    TeacherEnsemble(...)
    >>> ensemble.predict_proba(kitchen.X_future).shape
    (600, 20)
    """

    classes_: np.ndarray
    teachers_: list[BaseEstimator]

    _parameter_constraints = {
        "teachers": [list, tuple],
        "average": [StrOptions({"log_proba", "proba", "max", "attention"})],
        "n_heads": [SIZE],
        "random_state": ["random_state"],
    }

    _used_after_fit = ("average",)

    def __init__(
        self,
        teachers: Sequence[BaseEstimator],
        *,
        average: Literal["log_proba", "proba", "max", "attention"] = "log_proba",
        n_heads: int = 4,
        random_state: Seed | None = None,
    ) -> None:
        self.teachers = teachers
        self.average = average
        self.n_heads = n_heads
        self.random_state = random_state

    @takes_tensors
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Labels,
        y: Labels,
        *,
        groups: Labels | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit every member on the same clips.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            What the teachers may see.
        y : array-like of shape (n,)
            Labels.
        groups, sample_weight : array-like of shape (n,), default=None
            Passed to the members whose `fit` names them.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is no member, or a label is missing.
        """
        if not self.teachers:
            raise ValueError("teachers is empty: an ensemble needs at least one.")
        check_nested(self)
        rows = self._check_rows(X, reset=True)
        check_rows_alike(X=X, y=y, groups=groups, sample_weight=sample_weight)
        y = check_label_array(y, estimator=self)
        _, y, _ = labelled_rows(y, None, estimator=self)
        check_label_kind(y)
        hint_labels(y)
        random_state = check_random_state(self.random_state)
        lessons = []
        for k, teacher in enumerate(self.teachers, start=1):
            seed = random_state.randint(np.iinfo(np.int32).max)
            member = reading_all(seeded(teacher, seed), y)
            name = f"member {k} of {len(self.teachers)}"
            lessons.append(Lesson(member, rows, y, groups, sample_weight, name))
        _warn_of_twins([lesson.teacher for lesson in lessons])
        with all_are_labels():
            self.teachers_ = fit_teachers(lessons)
        keep_of_members(self, _numbered(self.teachers))
        self.classes_ = self._known_classes(y)
        return self

    def _known_classes(self, y):
        """Labels of the rows, and those that a member knows beside them.   -> (C,)."""
        classes = np.unique(y)
        for member in self.teachers_:
            known = getattr(member, "classes_", classes)
            check_same_kind(known, classes, "classes_ of a member", "the labels of y")
            if (label_codes(known, classes) < 0).any():
                classes = np.union1d(classes, known)
        return classes

    @answers_in_kind
    def predict_proba(self, X: Labels) -> np.ndarray:
        """Answers of the members as one.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Clips as in `fit`.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        check_used(self)
        warn_of_members(self, _numbered(self.teachers), _numbered(self.teachers_))
        rows = self._check_rows(X, reset=False)
        seen = rows, self.classes_
        asks = [partial(ask_in_batches, member, *seen) for member in self.teachers_]
        return mean_proba(asks, self.average)

    @takes_tensors
    def predict(self, X: Labels) -> np.ndarray:
        """Most probable label of each clip.   (n, ...) -> (n,)."""
        columns = self.predict_proba(X).argmax(axis=1)
        return self.classes_[columns]

    def _apart(self):
        """Whether a student that can weigh the members is to do so."""
        return self.average == "attention"

    def _check_rows(self, X, reset):
        """What the members see, who check it.   -> RowView (n, ...)."""
        refuse_sparse(X)
        refuse_samples(X, "X")
        check_tables_alike(X, "X")
        if reset:
            forget_names(self)
        rows = X if isinstance(X, RowView) else _rows(X)
        features = rows.dtype.kind == "f"  # else histories, which may be shorter
        check = check_names if features else check_history_columns
        check(X, name="X", estimator=self, reset=reset)
        if rows.dtype.kind in "OU":
            check_step_names(X, "X")
        elif not features:  # whole numbers, whose columns may be features
            check_series_ascend(X, "X")
        if features and rows.ndim == 2:
            _check_n_features(self, X, reset=reset)
        return rows


def _numbered(teachers):
    """Members by what they are called in messages."""
    members = teachers if isinstance(teachers, list | tuple) else ()
    return [(f"teachers[{k}]", member) for k, member in enumerate(members)]


def _warn_of_twins(members):
    """Warn of members that are alike, their seeds too: they will say the same."""
    seen = set()
    for k, member in enumerate(members, start=1):
        seeds = [name for name in member.get_params() if name.endswith("random_state")]
        try:
            told = describe(member)
        except TypeError:  # holds what only its user could compare
            continue
        if seeds and told in seen:
            warn(
                f"Member {k} of {len(members)} has the parameters of another one, "
                f"{seeds[0]} too, so that both learn the same and answer as one that "
                "counts twice: leave it None in the members, and give random_state to "
                "the ensemble."
            )
            return
        seen.add(told)


def _rows(X):
    rows = np.asanyarray(X)
    if rows.dtype.kind == "f":
        check_as_meant(X, "X")
    elif rows.dtype.kind == "U" or isinstance(rows, np.ma.MaskedArray):
        rows = as_array(X)  # None, NaN and what is hidden must not become labels
    return RowView(rows)
