"""N-grams of verbs whose nouns are named by how lately they were used."""

import numpy as np
from sklearn.base import BaseEstimator

from skanticipate.data.parameters import keep, kept
from skanticipate.teachers.history.ngrams import BackOffNGrams, latest_first


class ActionTemplates(BaseEstimator):
    """What follows, whatever the noun: after "take cup" as after "take pan".

    Actions repeat their nouns: what was taken is put. Each noun is replaced by its
    slot, 0 for the noun that was used last, 1 for the one used before it, and so on
    [1]_, and n-grams over pairs of verb and slot tell the pair that follows. For an
    action a of verb v and noun m::

        p(a) ~ p(v, slot(m)) + p(v, new) n(a) / n(v)

    The last slot, `new`, stands for a noun that was not used lately; its nouns are told
    by how often the action is seen among those of its verb.

    Parameters
    ----------
    order : int, default=3
        Number of past actions in the longest context.
    strength : float, default=20.0
        As in `BackOffNGrams`.

    Attributes
    ----------
    ngrams_ : BackOffNGrams
        Those of the pairs.
    n_slots_ : int
        Number of nouns that can be named: steps from the first one on at which a
        history of `fit` has an action. What is padding in all of them adds no slot.
    shares_ : ndarray of shape (C,)
        How often each class is seen among those of its verb, n(a) / n(v), where each
        verb counts one row more, spread over its classes.
    verbs_, nouns_ : ndarray of shape (C,)
        Verb and noun of each class, as in `fit`.

    References
    ----------
    .. [1] S. Merity, C. Xiong, J. Bradbury, R. Socher, "Pointer Sentinel Mixture
       Models", ICLR 2017, where a network points at the words that were used lately.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.teachers.history.templates import ActionTemplates
    >>> codes = np.array([[[1, 1, 1]], [[1, 2, 2]]])  # take cup, take pan
    >>> actions = {"verbs": [0, 0, 0], "nouns": [1, 2, 3]}  # put cup, pan, lid
    >>> templates = ActionTemplates().fit(codes, [0, 1], **actions)
    >>> templates.predict_proba(np.array([[[1, 3, 0]]])).round(1)  # take lid
    array([[0.2, 0.2, 0.6]], dtype=float32)
    """

    def __init__(self, order=3, strength=20.0):
        self.order = order
        self.strength = strength

    def fit(self, codes, targets, verbs, nouns, weights=None):
        """Count.

        Parameters
        ----------
        codes : ndarray of int of shape (n, L, 3)
            Verb, noun and action of past actions, as `HistoryEncoder` gives them.
        targets : array-like of int of shape (n,)
            The class that followed.
        verbs, nouns : array-like of int of shape (C,)
            Number of the verb of each class, from 0 up, and code of its noun; 0 where
            no history holds it.
        weights : array-like of shape (n,), default=None
            How often each row counts, above 0.

        Returns
        -------
        self : object
        """
        targets = np.asarray(targets)
        self.verbs_, self.nouns_ = np.asarray(verbs), np.asarray(nouns)
        used = np.flatnonzero((codes[:, :, 0] >= 0).any(axis=0))  # steps
        self.n_slots_ = int(codes.shape[1] - used.min(initial=codes.shape[1] - 1))
        keep(self, "order")
        recent, tokens = self._read(codes)
        wanted = recent == self.nouns_[targets, None]
        slot = np.where(wanted.any(axis=1), wanted.argmax(axis=1), self.n_slots_)
        n_templates = (self.verbs_.max() + 1) * (self.n_slots_ + 1)
        templates = self._template(self.verbs_[targets], slot)
        ngrams = BackOffNGrams(strength=self.strength)
        self.ngrams_ = ngrams.fit(tokens, templates, n_templates, weights)
        self.shares_ = self._count_shares(targets, weights)
        return self

    def predict_proba(self, codes):
        """Probability of each class to follow.   (n, L, 3) -> (n, C) float32."""
        recent, tokens = self._read(codes)
        templates = self.ngrams_.predict_proba(tokens)
        new = self._template(self.verbs_, self.n_slots_)
        proba = templates[:, new] * self.shares_.astype(np.float32)
        for slot, noun in enumerate(recent.T):
            row, column = np.nonzero(noun[:, None] == self.nouns_)
            template = self._template(self.verbs_[column], slot)
            proba[row, column] += templates[row, template]
        return proba / proba.sum(axis=1, keepdims=True)

    def _template(self, verbs, slots):
        """One number for a verb and a slot."""
        return verbs * (self.n_slots_ + 1) + slots

    def _read(self, codes):
        """Nouns of the slots, and what the n-grams look at.

        The slot of the last noun is always 0, so its verb says all.
        """
        recent, slots = recent_nouns(codes[:, :, 1], self.n_slots_)
        pairs = np.stack([codes[:, :, 0].astype(np.int64), slots], axis=-1)
        verb, slot = np.moveaxis(latest_first(pairs, kept(self, "order")), -1, 0)
        tokens = np.where(verb < 0, -1, verb * (self.n_slots_ + 2) + slot + 1)
        tokens[:, 0] = verb[:, 0]
        return recent, tokens

    def _count_shares(self, targets, weights):
        counts = np.bincount(targets, weights, len(self.verbs_))
        n_classes = np.bincount(self.verbs_)
        of_verb = np.bincount(self.verbs_, counts)
        return (counts + 1 / n_classes[self.verbs_]) / (of_verb[self.verbs_] + 1)


def recent_nouns(nouns, n_slots):
    """Nouns in the order in which they were used last, and the slot of each action's.

    Parameters
    ----------
    nouns : ndarray of int of shape (n, L)
        Code of the noun of each past action, the latest last; above 0 where known.
    n_slots : int
        Number of nouns K to keep.

    Returns
    -------
    recent : ndarray of int of shape (n, n_slots)
        Distinct nouns, the latest first, then -1.
    slots : ndarray of int of shape (n, L)
        Position of each noun in `recent`, K if it is not there, -1 if it is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.teachers.history.templates import recent_nouns
    >>> recent, slots = recent_nouns(np.array([[5, 9, 5, 7]]), n_slots=2)
    >>> recent, slots
    (array([[7, 5]]), array([[1, 2, 1, 0]]))
    """
    recent = np.full((len(nouns), n_slots), -1, dtype=np.int64)
    slots = np.full(nouns.shape, -1, dtype=np.int64)
    n_used = np.zeros(len(nouns), dtype=np.int64)
    for step in reversed(range(nouns.shape[1])):
        noun = nouns[:, step]
        same = (recent == noun[:, None]) & (noun > 0)[:, None]
        new = (noun > 0) & ~same.any(axis=1) & (n_used < n_slots)
        recent[new, n_used[new]] = noun[new]
        slots[:, step] = np.where(same.any(axis=1), same.argmax(axis=1), n_slots)
        slots[new, step] = n_used[new]
        slots[noun <= 0, step] = -1
        n_used[new] += 1
    return recent, slots
