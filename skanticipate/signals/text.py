"""The past actions as a signal: what a teacher that reads them expects."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from sklearn.frozen import FrozenEstimator

from skanticipate.data.layout import hint_right_padding
from skanticipate.data.missing import as_array, missing_mask
from skanticipate.data.names import check_column_order
from skanticipate.data.rows import RowView
from skanticipate.estimator.nested import names_of_columns
from skanticipate.signals.signal import Signal, Taught, figure, teach, warn_of_silence
from skanticipate.terms.answers import AnswerTerm

_NOTHING_TO_LEARN = (
    "No labelled row has a history, so the text teacher has nothing to learn from: "
    "give the past_actions of labelled rows too, or pass a FrozenEstimator."
)


@dataclass(eq=False)
class TextSignal(Signal):
    """Labels of the past actions, or texts, and the teacher that reads them.

    Parameters
    ----------
    past_actions : array-like of shape (n, L) or (n,), or None
        As in `fit`.
    teacher : classifier or None
        The parameter `text_teacher`.
    default_teacher : callable
        () -> the classifier that None stands for.
    weight, temperature, top_k, cross_fit : object
        Parameters of `DistilledAnticipator`.
    folder : path-like or None
        Its `teacher_cache`.
    """

    past_actions: object
    _: KW_ONLY
    teacher: object
    default_teacher: Callable
    weight: float
    temperature: float
    top_k: int | None
    cross_fit: int
    folder: object
    taught: Taught | None = field(default=None, init=False)

    def check(self, past, classes, *, marker, groups, estimator):
        """Check histories; warn of parameters that nobody is asked about."""
        found = {}
        if self.past_actions is not None:
            for names in names_of_columns(self.teacher):
                check_column_order(self.past_actions, names, name="past_actions")
            found["history"], found["has_history"] = check_past_actions(
                self.past_actions
            )
            if isinstance(self.teacher, FrozenEstimator):  # others are fitted, and hint
                hint_right_padding(found["history"])
        if not np.any(found.get("has_history", False)):
            warn_of_silence(
                "no row with a history in past_actions: no text teacher is asked.",
                text_teacher=self.teacher is not None,
                past_actions=self.past_actions is not None,
            )
        return found

    def has(self, samples):
        """Samples with a history, where it counts."""
        if self.weight == 0 or "history" not in samples.signals:
            return super().has(samples)
        return samples.signals["has_history"]

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the teacher that reads, and ask it about all histories."""
        self.classes = classes
        if not self.has(samples).any():
            return
        if self.top_k is not None and self.top_k > len(classes):
            raise ValueError(
                f"text_top_k={self.top_k} is more than the {len(classes)} classes: "
                "lower it, or set it to None."
            )
        try:
            self.taught = self._teach(samples, seeds["text_teacher"], shared)
        except ValueError as error:
            if self.teacher is None:
                error.add_note(
                    "The text teacher is the default one, HistoryTeacher(). To change "
                    "its settings: text_teacher=HistoryTeacher(actions, ...)."
                )
            raise

    def _teach(self, samples, seed, shared):
        return teach(
            self.default_teacher() if self.teacher is None else self.teacher,
            samples.signals["history"],
            samples.signals["has_history"],
            samples,
            self.classes,
            cross_fit=self.cross_fit,
            seed=seed,
            folder=self.folder,
            nothing_to_learn=_NOTHING_TO_LEARN,
            shared=shared,
        )

    def terms(self, samples, spec, network, seeds, compute):
        """Divergence from what the teacher expects."""
        if self.taught is None:
            return []
        term = AnswerTerm(
            "text",
            self.weight,
            samples.signals["has_history"],
            samples.weights,
            compute,
            proba=self.taught.answers,
            index=self.taught.index(len(samples)),
            temperature=self.temperature,
            top_k=self.top_k,
        )
        return [term]

    def figures(self, validation):
        """Accuracy of the teacher on held-out samples that have a history."""
        return figure("text", self.taught, "history", validation, self.classes)

    def fitted(self):
        """The teacher; None if nobody was asked."""
        return {"text_teacher_": None if self.taught is None else self.taught.teacher}


def check_past_actions(past_actions):
    """Check labels of past actions, or texts, of which some may be missing.

    Returns
    -------
    histories : RowView of shape (n, L) or (n,)
        Missing labels are None where the array holds objects.
    read : ndarray of shape (n,) of bool
        False for a row without any label.

    Raises
    ------
    ValueError
        If the rows are lists of unequal length, or the array has other axes.
    """
    array = as_array(past_actions)
    nested = array.ndim == 1 and any(np.ndim(row) for row in array)
    if array.ndim not in (1, 2) or array.size == 0 or nested:
        shape = "rows that are lists of their own" if nested else f"shape {array.shape}"
        raise ValueError(
            "past_actions must be labels of shape (n, L), the latest last, or n texts; "
            f"got {shape}: make one array of all rows, short histories padded on the "
            'left with None or "".'
        )
    missing = missing_mask(array)
    if array.dtype == object:
        array = np.where(missing, None, array)
    return RowView(array), ~(missing if array.ndim == 1 else missing.all(axis=1))
