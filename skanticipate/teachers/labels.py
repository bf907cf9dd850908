"""What teachers check alike: all that comes with the past actions, and with scores."""

from __future__ import annotations

from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import _num_samples, check_is_fitted

from skanticipate._typing import Labels
from skanticipate.data.labels import (
    check_label_array,
    check_labels,
    labelled_rows,
    warn_of_strangers,
)
from skanticipate.data.markers import unlabeled_mask
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import label_codes
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.samples import check_groups, check_weights
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.validation import check_aligned
from skanticipate.estimator.unaware import warn_of_wrappers


def check_labelled(estimator, past_actions, y, groups, sample_weight):
    """Check labels, groups and weights against the past actions.

    Returns
    -------
    classes : ndarray of shape (C,)
    codes : ndarray of shape (n,)
    groups, weights : ndarray of shape (n,) or None
    """
    labels = check_labels(y, classes=None, unlabeled_label=None, estimator=estimator)
    warn_of_wrappers(estimator, labels)
    check_aligned(
        _num_samples(past_actions),
        "past_actions",
        past_actions=past_actions,
        y=y,
        groups=groups,
        sample_weight=sample_weight,
    )
    weights = check_weights(labels.codes, sample_weight)
    return labels.classes, labels.codes, check_groups(groups), weights


class TeacherMixin(ClassifierMixin):
    """Of teachers: a score of rows that go together."""

    def score(
        self, X: Labels, y: Labels, sample_weight: ArrayLike | None = None
    ) -> float:
        """Accuracy.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            What the teacher reads, as in `fit`.
        y : array-like of shape (n,)
            Labels. There is no marker of unlabelled rows: leave them out.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If a label is missing, or -1 and no class; if tables name the same rows in
            different orders, or weights are hidden behind a mask.
        """
        check_is_fitted(self)
        refuse_masked(sample_weight, "sample_weight", "Give every row a weight.")
        sample_weight = plain_numbers(sample_weight, "sample_weight")
        check_rows_alike(X=X, y=y, sample_weight=sample_weight)
        return super().score(X, _all_labelled(y, self), sample_weight)


def _all_labelled(y, teacher):
    """Labels (n,); a row without one, which would count as wrong, is refused."""
    y = check_label_array(y, estimator=teacher)
    _, y, _ = labelled_rows(y, None, teacher.classes_, estimator=teacher)
    if unlabeled_mask(y, -1).any() and label_codes([-1], teacher.classes_)[0] < 0:
        raise ValueError(
            "y holds -1, which is none of the classes: leave these rows out, "
            f"{type(teacher).__name__} has no unlabelled rows."
        )
    warn_of_strangers(y, teacher.classes_, "y")
    return y
