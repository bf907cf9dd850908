"""Past action labels as numbers that a model can read."""

from __future__ import annotations

from itertools import compress
from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import (
    action_lookup,
    as_mapping,
    verb_noun_pairs,
    verbs_and_nouns,
)
from skanticipate.data.labels import hint_past
from skanticipate.data.layout import N_LEAST
from skanticipate.data.missing import (
    as_array,
    check_same_kind,
    label_codes,
    missing_mask,
    number_names,
)
from skanticipate.data.names import check_history_columns, check_tables_alike
from skanticipate.data.padded import hint_right_padding
from skanticipate.data.parameters import check_used, fit_context, keep, kept
from skanticipate.data.places import check_step_names
from skanticipate.data.rows import RowView
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.twins import warn_of_twins
from skanticipate.data.validation import refuse_sparse


class HistoryInputMixin:
    """Of estimators whose input is labels of past actions."""

    _told_padding = False  # of the rows of fit

    def __sklearn_tags__(self):
        """Return the tags: labels may be strings and missing, histories longer."""
        tags = super().__sklearn_tags__()
        tags.no_validation = True  # columns are no features: L may differ in predict
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        return tags

    def _check_columns(self, X, *, reset):
        """Note what the columns of a table are called in fit; later they come alike.

        Where they are noted, rows that look padded on the right are told too.
        """
        check_tables_alike(X, "past_actions")
        check_step_names(X, "past_actions")
        if reset:
            refuse_sparse(X)
            self._told_padding = hint_right_padding(RowView(as_array(X)))
        check_history_columns(X, name="past_actions", estimator=self, reset=reset)

    def _hint_padding(self, history):
        """Warn of later rows that look padded, unless those of fit were told of."""
        if len(history) >= N_LEAST and not self._told_padding:
            hint_right_padding(RowView(history))


class HistoryEncoder(  # type: ignore[call-arg]  # scikit-learn has no types
    HistoryInputMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Encode the labels of past actions as numbers that a model can read.

    Each past action becomes up to three codes, of its verb, its noun and the action, or
    the same three one-hot vectors side by side.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Mapping label -> (verb, noun), or a table with columns `label`, `verb`, `noun`:
        then its labels are the vocabulary, the same in every fold. None: the vocabulary
        is that of the labels seen in `fit`; labels that are strings "verb noun" are
        split, labels of another type (ints) are encoded as actions only.
    form : {"codes", "onehot"}, default="codes"
        "codes" for networks with an embedding, "onehot" for all others. It may be
        changed after `fit`.

    Attributes
    ----------
    vocabulary_ : dict of str to ndarray
        Sorted names of each column, "verb", "noun" and "action" or only "action". The
        name at index i has the code i + 1.
    n_codes_ : tuple of int
        Table size of each column: its names and, as code 0, the unknown.

    See Also
    --------
    skanticipate.datasets.label_history : Past labels of annotated segments.

    Notes
    -----
    One-hot rows hold one float for every verb, noun and action: thousands in EPIC-
    KITCHENS, where codes are the form to use.

    Examples
    --------
    >>> from skanticipate.preprocessing import HistoryEncoder
    >>> past_actions = [["", "cut onion"], ["cut onion", "wash pan"]]  # (n, L) = (2, 2)
    >>> encoder = HistoryEncoder().fit(past_actions)
    >>> encoder.transform([["", "cut pan"]])  # nothing, then verb, noun, unknown action
    array([[[-1, -1, -1],
            [ 1,  2,  0]]], dtype=int32)
    >>> encoder.n_codes_
    (3, 3, 3)
    >>> encoder.set_params(form="onehot").transform([["", "cut pan"]])[0]
    array([[nan, nan, nan, nan, nan, nan],
           [ 1.,  0.,  0.,  1.,  0.,  0.]], dtype=float32)
    """

    vocabulary_: dict[str, np.ndarray]
    n_codes_: tuple[int, ...]

    _parameter_constraints = {
        "actions": "no_validation",
        "form": [StrOptions({"codes", "onehot"})],
    }

    _used_after_fit = ("form",)

    def __init__(
        self, actions: Actions | None = None, form: Literal["codes", "onehot"] = "codes"
    ) -> None:
        self.actions = actions
        self.form = form

    def __sklearn_tags__(self):
        """Return the tags: codes have a type of their own."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Labels, y: Labels | None = None) -> Self:
        """Learn the vocabulary.

        Parameters
        ----------
        X : array-like of shape (n, L)
            Labels of the last L actions before each clip, the latest last, left-padded
            with None, NaN, "" or -1.
        y : array-like of shape (n,), default=None
            Labels of what follows. Nothing is learned from them: that they are not the
            last of X is looked at, and the names of their rows.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X is not (n, L) with n and L above 0, a label has no verb and noun, there
            is nothing to learn from, no `actions` and nothing but padding, or X and y
            name the same rows in different orders.
        """
        check_rows_alike(X=X, y=y)
        self._check_columns(X, reset=True)
        history = check_history(X)
        hint_past(history, "X", y)
        _, labels = distinct_labels(history)
        seen = [label for label in labels if label is not None]
        known = seen if self.actions is None else list(as_mapping(self.actions))
        if not known:
            raise ValueError(
                "X is nothing but padding, so there are no labels to learn: pass "
                "actions=, or histories with at least one action."
            )
        columns = {"action": known}
        if self.actions is not None or any(isinstance(label, str) for label in known):
            verb_noun_pairs(seen, self.actions)  # a table must cover the training data
            verbs, nouns = verbs_and_nouns(known, self.actions)
            columns = {"verb": verbs, "noun": nouns, "action": known}
        self.vocabulary_ = {
            name: np.asarray(sorted(set(values))) for name, values in columns.items()
        }
        keep(self, "actions")
        self.n_codes_ = tuple(len(names) + 1 for names in self.vocabulary_.values())
        return self

    def transform(self, X: Labels) -> np.ndarray:
        """Encode histories.

        Parameters
        ----------
        X : array-like of shape (n, L)
            As in `fit`; L may differ.

        Returns
        -------
        codes : ndarray of shape (n, L, k)
            `form="codes"`: int32, k = 3 (verb, noun, action) or 1 (action); 0 for what
            is unknown, -1 for padding. `form="onehot"`: float32, k the number of names
            in the vocabulary; zeros for what is unknown, NaN for padding.

        Raises
        ------
        ValueError
            If X is not (n, L) with n and L above 0, a string has no verb and noun, or a
            table has columns of that in `fit` in another order, or lacks its last one.
        """
        check_is_fitted(self)
        check_used(self)
        self._check_columns(X, reset=False)
        history = check_history(X)
        self._hint_padding(history)
        which, labels = distinct_labels(history)
        seen = [label for label in labels if label is not None]
        check_same_kind(seen, self.vocabulary_["action"], "X", "the histories of fit")
        table = self._codes(labels)
        if self.form == "onehot":
            table = self._one_hot(table)
        return table[which].reshape(*history.shape, table.shape[1])

    def _codes(self, labels):
        """Code of each part of each distinct label.   (m,) -> (m, columns) int32."""
        columns = {"action": labels}
        if "verb" in self.vocabulary_:
            actions = kept(self, "actions")
            if actions is None:
                # An unsplittable name is a typo; of long ones `fit` has spoken.
                verb_noun_pairs([label for label in labels if label is not None])
            lookup = action_lookup(actions)
            pairs = [lookup(label) for label in labels]
            pairs = [(None, None) if pair is None else pair for pair in pairs]
            columns["verb"], columns["noun"] = zip(*pairs, strict=True)
        codes = np.empty((len(labels), len(self.vocabulary_)), dtype=np.int32)
        for column, name in enumerate(self.vocabulary_):
            codes[:, column] = self._codes_of_names(name, columns[name])
        codes[[label is None for label in labels]] = -1
        return codes

    def _codes_of_names(self, kind, names):
        """Code of each verb, noun or action, 0 if it is unknown.   (m,) -> (m,)."""
        known = self.vocabulary_[kind]
        codes = label_codes(names, known) + 1
        unknown = compress(names, codes == 0)
        warn_of_twins(kind, unknown, "in all histories and labels", known.tolist())
        return codes

    def _one_hot(self, codes):
        """Codes (m, columns) -> one-hot blocks side by side (m, names) float32."""
        sizes = zip(codes.T, self.n_codes_, strict=True)
        blocks = [column[:, None] == np.arange(1, size) for column, size in sizes]
        one_hot = np.concatenate(blocks, axis=1).astype(np.float32)
        one_hot[codes[:, 0] < 0] = np.nan
        return one_hot

    def get_feature_names_out(self, input_features: None = None) -> np.ndarray:
        """Return the names of the entries of the last axis.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str of shape (k,)

        Raises
        ------
        NotFittedError
            If called before `fit`.
        """
        check_is_fitted(self)
        check_used(self)
        if self.form == "codes":
            return np.asarray(list(self.vocabulary_), dtype=object)
        pairs = self.vocabulary_.items()
        return np.asarray(
            [f"{c}={v}" for c, names in pairs for v in names], dtype=object
        )


def check_history(X):
    """Histories as an array (n, L) whose missing labels are still what they were."""
    refuse_sparse(X)
    history = as_array(X)
    if history.ndim != 2 or history.size == 0:
        several = ""
        if history.ndim == 3:
            several = (
                " Several candidate histories of a row, (n, K, L), are past_actions of "
                "the fit of a DistilledAnticipator, which shows them one by one."
            )
        raise ValueError(
            "Expected histories of shape (n, L) with n and L above 0, got shape "
            f"{history.shape}: give one row of L past labels for each clip, "
            f'left-padded with None, NaN, "" or -1.{several}'
        )
    return history


def distinct_labels(history):
    """Which label each entry is (n * L,), and the distinct ones, None if missing."""
    entries = history.ravel().tolist()
    missing = missing_mask(history).ravel().tolist()
    return number_names(
        [None if gone else v for v, gone in zip(entries, missing, strict=True)]
    )
