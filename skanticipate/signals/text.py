"""The past actions as a signal: what a teacher that reads them expects."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from skanticipate.data.axes import check_axes_alike
from skanticipate.data.missing import as_array, missing_mask
from skanticipate.data.names import check_history_order, check_tables_alike
from skanticipate.data.places import check_step_names
from skanticipate.data.rows import RowView
from skanticipate.estimator.nested import names_of_axes, names_of_columns
from skanticipate.signals.candidates import Candidates
from skanticipate.signals.maps import map_width
from skanticipate.signals.members import ask_members, features_of_members, weighed
from skanticipate.signals.signal import TeacherSignal
from skanticipate.terms.answers import AnswerTerm
from skanticipate.terms.attended import AttendedTerm

_WEIGHS = (
    "by which the members of its text teacher are weighed: set average='log_proba' of "
    "the TeacherEnsemble"
)


@dataclass(eq=False)
class TextSignal(TeacherSignal):
    """Labels of the past actions, or texts, and the teacher that reads them.

    Its answers count beside the labels, not in their place.

    Parameters
    ----------
    asked, weight, temperature : object
        As in `TeacherSignal`.
    top_k : int or None
        The parameter `text_top_k`.
    """

    name, sees, parameter = "text", "history", "text_teacher"
    purposes = ("text_teacher", "attention")  # that weighs its members
    nothing_to_learn = (
        "No labelled row has a history, so the text teacher has nothing to learn from: "
        "give the past_actions of labelled rows too, or pass a FrozenEstimator."
    )
    question = staticmethod(ask_members)

    _: KW_ONLY
    top_k: int | None

    def check(self, given, past, classes, *, marker, estimator):
        """Check histories; warn of parameters that nobody is asked about."""
        found, teacher = {}, self.asked.teacher
        if given.past_actions is not None:
            for names in names_of_columns(teacher):
                check_history_order(given.past_actions, names, name="past_actions")
            for axes in names_of_axes(teacher):
                check_axes_alike(given.past_actions, axes, name="past_actions")
            found = self.found(*check_past_actions(given.past_actions))
        self.warn_if_silent(
            found,
            "no row with a history in past_actions",
            past_actions=given.past_actions is not None,
            text_weight=self.weight not in (0, 1),
            text_temperature=self.temperature != 1,
            text_top_k=self.top_k is not None,
        )
        return found

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the teacher that reads, and ask it about all histories."""
        too_many = self.top_k is not None and self.top_k > len(classes)
        if too_many and self.asks(samples):
            raise ValueError(
                f"text_top_k={self.top_k} is more than the {len(classes)} classes: "
                "lower it, or set it to None."
            )
        try:
            super().ask(samples, classes, seeds, shared)
        except ValueError as error:
            if self.asked.teacher is None:
                error.add_note(
                    "The text teacher is the default one, HistoryTeacher(). To change "
                    "its settings: text_teacher=HistoryTeacher(actions, ...)."
                )
            raise

    def parts(self, samples):
        """None: the term is about unlabelled samples too."""
        return [], np.zeros_like(samples.codes, dtype=bool)

    def terms(self, samples, spec, network, seeds, compute):
        """Divergence from what the teacher expects."""
        if self.taught is None:
            return []
        proba, index, has = self.said(samples)
        rows = (self.name, self.weight, has, samples.weights)
        said = {
            "proba": proba,
            "index": index,
            "temperature": self.temperature,
            "top_k": self.top_k,
        }
        if proba.ndim == 2:
            return [AnswerTerm(*rows, compute, **said)]
        term = AttendedTerm(
            *rows,
            compute,
            **said,
            features=features_of_members(self.taught.teacher, self.taught.clips),
            width=map_width(spec, network, samples.rows, compute, _WEIGHS),
            n_heads=weighed(self.taught.teacher).n_heads,
            seed=seeds["attention"],
        )
        return [term]


def check_past_actions(past_actions):
    """Check labels of past actions, or texts, of which some may be missing.

    Returns
    -------
    histories : RowView of shape (n, L) or (n,), or Candidates of shape (n, K, L)
        Missing labels are None where the array holds objects. A single candidate a row
        is its history.
    read : ndarray of shape (n,) of bool
        False for a row without any label.

    Raises
    ------
    ValueError
        If the rows are lists of unequal length, or the array has other axes.
    """
    check_tables_alike(past_actions, "past_actions")
    check_step_names(past_actions, "past_actions")
    array = None if _are_unlike(past_actions) else as_array(past_actions)
    ragged = array is None or _holds_lists(array)
    if ragged or array.ndim not in (1, 2, 3) or array.size == 0:
        shape = "rows that are lists of their own, not all of one shape"
        raise ValueError(
            "past_actions must be labels of shape (n, L), the latest last, (n, K, L) "
            "with K candidate histories a row, or n texts; got "
            f"{shape if ragged else f'shape {array.shape}'}: make one array of all "
            'rows, short histories padded on the left with None or "", and nothing but '
            "padding where a row has fewer candidates."
        )
    missing = missing_mask(array)
    if array.dtype == object:
        array = np.where(missing, None, array)
    if array.ndim == 3 and array.shape[1] == 1:
        array, missing = array[:, 0], missing[:, 0]
    if array.ndim < 3:
        return RowView(array), ~(missing if array.ndim == 1 else missing.all(axis=1))
    exists = ~missing.all(axis=2)  # (n, K)
    return Candidates(array, exists), exists.any(axis=1)


def _are_unlike(rows):
    """Whether rows are arrays of several shapes, of which numpy makes none."""
    if not isinstance(rows, list | tuple):
        return False
    return len({row.shape for row in rows if hasattr(row, "shape")}) > 1


def _holds_lists(array):
    """Whether entries are lists: numpy found no common shape."""
    kinds = set(map(type, array.flat)) if array.dtype == object else set()
    return any(issubclass(kind, list | tuple | np.ndarray) for kind in kinds)
