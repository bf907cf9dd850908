"""Priors from the order of actions: what comes before a label, or after the past."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import compress
from numbers import Real
from typing import Literal

import numpy as np
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import (
    action_lookup,
    verb_noun_pairs,
    warn_of_long_names,
)
from skanticipate.data.labels import hint_past
from skanticipate.data.missing import (
    check_same_kind,
    label_codes,
    label_list,
    missing_mask,
    number_names,
)
from skanticipate.data.numbers import Interval
from skanticipate.data.parameters import keep, kept
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.twins import warn_of_first_twins, warn_of_twins
from skanticipate.data.warn import warn
from skanticipate.priors.base import BasePrior, class_codes, normalize_rows
from skanticipate.priors.sequences import checked_sequences

_WHERE = "in y, y_past and sequences"  # labels are to be written alike


class TemporalPrior(BasePrior):
    """More probability for the actions that precede (or follow) the label.

    pi(i | k) = Occ[i -> k] / sum_j Occ[j -> k] [1]_: the predecessors of the true
    action, as the paper has it; with `direction="successor"` Occ[k -> i] instead.

    Parameters
    ----------
    direction : {"predecessor", "successor"}, default="predecessor"
        Which end of a transition shares the probability.
    sequences : list of label sequences, default=None
        Actions of each training video in the order of time; consecutive pairs are
        counted. With None, the pairs (`y_past`, `y`) given to `fit` are counted, which
        keeps held-out rows out in cross-validation, each as often as its weight says.
    strength : float, default=0.0
        Pseudo-counts added to each row, spread evenly over all classes:
        (Occ + strength / C) / (sum + strength).
    include_self : bool, default=True
        Whether an action that follows itself counts.

    Attributes
    ----------
    matrix_ : (C, C) float32 array
        Row k is the distribution of class k; one-hot where nothing was counted.
    classes_ : (C,) array
        The class labels, in the order of rows and columns.

    Raises
    ------
    ValueError
        If there is nothing to count: `y` or `y_past` is missing, or they are not
        equally long, and `sequences` is None.

    Warns
    -----
    UserWarning
        If no transition between two of the classes was counted; if two labels look
        alike, as "cut" and "Cut" do.

    Notes
    -----
    A pair with a label outside `classes_` is not counted. Where training and held-out
    clips share videos, consecutive training clips may skip held-out ones.

    References
    ----------
    .. [1] G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
       Distillation for Action Anticipation via Label Smoothing", ICPR 2020.

    Examples
    --------
    >>> from skanticipate.priors import TemporalPrior
    >>> prior = TemporalPrior().fit(
    ...     ["cut", "peel", "wash"],
    ...     y=["peel", "cut", "cut"],
    ...     y_past=["wash", "peel", "wash"],
    ... )
    >>> prior.matrix_
    array([[0. , 0.5, 0.5],
           [0. , 0. , 1. ],
           [0. , 0. , 1. ]], dtype=float32)
    """

    _parameter_constraints = {
        "direction": [StrOptions({"predecessor", "successor"})],
        "sequences": ["array-like", None],
        "strength": [Interval(Real, 0, None, closed="left")],
        "include_self": ["boolean"],
    }

    def __init__(
        self,
        direction: Literal["predecessor", "successor"] = "predecessor",
        sequences: Sequence[Labels] | None = None,
        *,
        strength: float = 0.0,
        include_self: bool = True,
    ) -> None:
        self.direction = direction
        self.sequences = sequences
        self.strength = strength
        self.include_self = include_self

    def _fit_matrix(self, classes, y, y_past, sample_weight=None):
        before, after = _observed_pairs(y, y_past, self.sequences)
        warn_of_twins("label", [*before, *after, *classes.tolist()], _WHERE)
        weights = _weights_of(after, sample_weight, self.sequences)
        before, after = label_codes(before, classes), label_codes(after, classes)
        counted = (before >= 0) & (after >= 0)
        if not counted.any():
            warn(
                "TemporalPrior counted no transition between two of its classes, so "
                "every row is one-hot (uniform where strength > 0): check that y_past "
                "holds labels of the same kind as y.",
            )
        ends = (after, before) if self.direction == "predecessor" else (before, after)
        matrix = np.zeros((len(classes), len(classes)), dtype=np.float32)
        rows, columns = (end[counted] for end in ends)
        cells = rows, columns, len(classes), weights[counted]
        rows, columns, counts = _count_cells(*cells)
        matrix[rows, columns] = counts
        matrix += np.float32(self.strength / len(classes))
        if not self.include_self:
            np.fill_diagonal(matrix, 0)
        return normalize_rows(matrix)


class TransitionPrior(BasePrior):
    """What usually follows the action seen last: p(next | last), with back-off.

    A bigram model of actions with Dirichlet-smoothed back-off [1]_: counts c are mixed
    with the next coarser distribution, a Dirichlet prior of mass s,

        p(a | last) = (c(a | last) + s p(a | noun of last)) / (N(last) + s)
        p(a | noun) = (c(a | noun) + s p(a)) / (N(noun) + s)
        p(a)        = (c(a) + s / C) / (N + s)

    and p(a | verb) as p(a | noun). An action that was never seen last in training gets
    the row of its noun, else of its verb, else p(a); so does a clip before which
    nothing was seen. All classes have a positive probability.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Verb and noun of each past action: a mapping label -> (verb, noun), or a table
        with the columns `label`, `verb`, `noun`, or None where the labels are strings
        "verb noun"; of other labels nothing is known, and they back off to p(a).
    strength : float, default=100.0
        The mass s of the coarser distribution, in counts. The default did best in
        cross-validation over the training videos of EPIC-KITCHENS-55 and EGTEA Gaze+.
    sequences : list of label sequences, default=None
        Actions of each training video in the order of time; consecutive pairs are
        counted. With None, the pairs (`y_past`, `y`) given to `fit` are counted, which
        keeps held-out rows out in cross-validation, each as often as its weight says.

    Attributes
    ----------
    matrix_ : (R, C) float32 array
        One row for each of `past_actions_`, `past_nouns_` and `past_verbs_`, and p(a).
    past_actions_, past_nouns_, past_verbs_ : lists
        What was seen last in training. Past actions need not be classes.
    classes_ : (C,) array
        The class labels, in the order of the columns.

    Raises
    ------
    ValueError
        If there is nothing to count: `y` or `y_past` is missing, or they are not
        equally long, and `sequences` is None; or if `actions` lacks a past action.

    Warns
    -----
    UserWarning
        If no label of the classes was counted; if `actions` is None and a past action
        has more than two words; if two labels, verbs or nouns look alike, as "cut" and
        "Cut" do.

    Notes
    -----
    With the last action that ended a second before, five folds over the training videos
    of EPIC-KITCHENS-55 and EGTEA (split 1) gave a top-5 accuracy of 25.8 % and 44.0 %
    with strength 100, within one point of that from 0.5 to 200, and a log-likelihood of
    -6.4 and -3.7 that strength 0.5 misses by far (-10.4 and -5.3). To back off from the
    noun to the verb, and only then to p(a), gave a lower likelihood.

    References
    ----------
    .. [1] D. J. C. MacKay, L. C. Bauman Peto, "A hierarchical Dirichlet language
       model", Natural Language Engineering 1(3), 1995.

    Examples
    --------
    >>> from skanticipate.priors import TransitionPrior
    >>> prior = TransitionPrior(strength=1.0).fit(
    ...     ["dry pan", "wash pan"],
    ...     y=["wash pan", "dry pan", "dry pan"],
    ...     y_past=["", "wash pan", "wash pan"],
    ... )
    >>> last = ["wash pan", "take pan", "take cup"]
    >>> prior.matrix_[prior.rows(["dry pan"] * 3, last)].round(3)
    array([[0.958, 0.042],
           [0.875, 0.125],
           [0.625, 0.375]], dtype=float32)
    """

    keyed_by_label = False

    _parameter_constraints = {
        "actions": [HasMethods("__getitem__"), None],
        "strength": [Interval(Real, 0, None, closed="neither")],
        "sequences": ["array-like", None],
    }

    def __init__(
        self,
        actions: Actions | None = None,
        *,
        strength: float = 100.0,
        sequences: Sequence[Labels] | None = None,
    ) -> None:
        self.actions = actions
        self.strength = strength
        self.sequences = sequences

    def rows(self, y: Labels, y_past: Labels | None = None) -> np.ndarray:
        """Row of `matrix_` for each sample, by what was seen last.   (n,) intp.

        Parameters
        ----------
        y : array-like of shape (n,)
            Labels; all of them must be in `classes_`.
        y_past : array-like of shape (n,), default=None
            The action seen last; None, NaN, "" or -1 where there is none.

        Raises
        ------
        ValueError
            If `y_past` is missing or not as long as `y`, or a label is no class.
        """
        check_is_fitted(self)
        y, past = _checked_pairs(y, y_past)
        class_codes(y, self.classes_)
        codes_of_past, distinct = number_names(past)
        there = list(compress(distinct, ~missing_mask(distinct)))
        check_same_kind(there, self.past_actions_, "y_past", "the past actions of fit")
        verbs, nouns = _verbs_and_nouns(distinct, kept(self, "actions"))
        # from the last row upwards, so that the finest level has the last word
        start = len(self.matrix_) - 1
        rows = np.full(len(distinct), start, dtype=np.intp)
        for names, known in (
            (verbs, self.past_verbs_),
            (nouns, self.past_nouns_),
            (distinct, self.past_actions_),
        ):
            start -= len(known)
            codes = label_codes(names, known)
            rows = np.where(codes >= 0, start + codes, rows)
        return rows[codes_of_past]

    def _fit_matrix(self, classes, y, y_past, sample_weight=None):
        past, following = _observed_pairs(y, y_past, self.sequences)
        are_alike = warn_of_twins("label", past, _WHERE) or warn_of_twins(
            "label", [*following, *classes.tolist()], _WHERE
        )
        weights = _weights_of(following, sample_weight, self.sequences)
        codes = label_codes(following, classes)
        # the filler -1 is an action where the user made it a class
        seen = ~missing_mask(past) | (label_codes(past, classes) >= 0)
        seen &= codes >= 0
        last, actions = number_names(compress(past, seen))
        if self.actions is None:
            warn_of_long_names(actions)
        else:
            verb_noun_pairs(actions, self.actions)  # an incomplete table is an error
        verbs, nouns = _verbs_and_nouns(actions, self.actions)
        if not are_alike:
            warn_of_first_twins((), verbs, nouns)

        uniform = np.full((1, len(classes)), 1 / len(classes), dtype=np.float32)
        known = codes >= 0
        if not known.any():
            warn(
                "TransitionPrior counted no label that is one of its classes, so every "
                "row is uniform: check that sequences hold labels of the same kind as "
                "y.",
            )
        everything = np.zeros_like(codes[known]), codes[known], weights[known]
        unigram = _back_off(uniform, *everything, self.strength)
        codes, weights = codes[seen], weights[seen]
        coarse = partial(_coarse_level, last, codes, weights, unigram, self.strength)
        self.past_verbs_, _, by_verb = coarse(verbs)
        self.past_nouns_, noun_of_action, by_noun = coarse(nouns)
        # an action without a noun has code -1: the last row, that of p(a)
        parents = np.concatenate([by_noun, unigram])[noun_of_action]
        by_action = _back_off(parents, last, codes, weights, self.strength)
        self.past_actions_ = actions
        keep(self, "actions")
        return np.concatenate([by_action, by_noun, by_verb, unigram])


def _verbs_and_nouns(labels, actions):
    """Verb and noun of past actions, None where nothing is known of one."""
    lookup = action_lookup(actions)
    pairs = [lookup(label) or (None, None) for label in labels]
    return [verb for verb, _ in pairs], [noun for _, noun in pairs]


def _coarse_level(last, codes, weights, unigram, strength, names):
    """Distributions by the verb, or the noun, of the action seen last.

    `names` holds that of each past action, None where unknown; `last`, `codes` and
    `weights` are the past action, the class and the weight of each sample. Returns the
    names, the position of each action's among them (-1 if unknown), and one
    distribution each.
    """
    known = [name for name in dict.fromkeys(names) if name is not None]
    name_of_action = label_codes(names, known)
    parents = np.repeat(unigram, len(known), axis=0)
    matrix = _back_off(parents, name_of_action[last], codes, weights, strength)
    return known, name_of_action, matrix


def _observed_pairs(y, y_past, sequences):
    """Return what was seen last and what followed, as two lists of labels."""
    if sequences is None:
        following, past = _checked_pairs(y, y_past)
        hint_past(y_past, "y_past", y)
    else:
        sequences = checked_sequences(sequences)
        following = [label for sequence in sequences for label in sequence]
        past = [label for sequence in sequences for label in [None, *sequence][:-1]]
    return past, following


def _weights_of(pairs, sample_weight, sequences):
    """How often each pair counts: those of sequences are of no row.   -> (n,)."""
    if sample_weight is None or sequences is not None:
        return np.ones(len(pairs), dtype=np.intp)
    return sample_weight


def _checked_pairs(y, y_past):
    if y is None or y_past is None:
        missing = "y" if y is None else "y_past"
        raise ValueError(
            f"This prior looks at what was seen before each action, but {missing} is "
            "None: pass y_past= to fit, the label of the action seen last before each "
            'row of y (None, NaN, "" or -1 where there is none), or give the prior '
            "sequences=, the actions of each training video in order."
        )
    check_rows_alike(y=y, y_past=y_past)
    y, y_past = label_list(y, "y"), label_list(y_past, "y_past")
    if len(y) != len(y_past):
        raise ValueError(
            f"y_past has {len(y_past)} labels but y has {len(y)}: give one for each."
        )
    return y, y_past


def _count_cells(rows, columns, n_columns, weights):
    """Distinct cells (row, column) and the sum of the weights in each."""
    cells, place = np.unique(rows * n_columns + columns, return_inverse=True)
    counts = np.bincount(place, weights, len(cells))
    return cells // n_columns, cells % n_columns, counts.astype(np.float32)


def _back_off(parents, keys, codes, weights, strength):
    """Compute (counts + strength * parent) / (N + strength), in place of the parents.

    parents (K, C), keys (n,) of the rows (-1 = not counted), codes, weights (n,)
    -> (K, C)
    """
    there = keys >= 0
    keys, codes, weights = keys[there], codes[there], weights[there]
    totals = np.bincount(keys, weights, len(parents)) + strength
    parents *= (strength / totals).astype(np.float32)[:, None]
    rows, columns, counts = _count_cells(keys, codes, parents.shape[1], weights)
    parents[rows, columns] += counts / totals[rows]
    return parents
