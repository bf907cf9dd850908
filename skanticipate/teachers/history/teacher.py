"""HistoryTeacher: reads the labels of the past actions."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Actions, Labels, Seed
from skanticipate.data.actions import verbs_and_nouns
from skanticipate.data.leaks import warn_ungrouped
from skanticipate.data.missing import number_names
from skanticipate.data.numbers import EPOCHS, FACTOR, N_THREADS, SIZE, STEPS, Interval
from skanticipate.data.parameters import check_used, fit_context, keep, kept
from skanticipate.data.rows import RowView
from skanticipate.data.samples import Samples, hold_out
from skanticipate.estimator.many import fit_jobs, fitted_of
from skanticipate.estimator.saving import SaveMixin
from skanticipate.estimator.wanted import Job
from skanticipate.networks import VerbNounHead
from skanticipate.preprocessing.history import HistoryEncoder, HistoryInputMixin
from skanticipate.teachers.history.mixture import hint_small_weights, mixture_weights
from skanticipate.teachers.history.networks import history_network, mean_answer
from skanticipate.teachers.history.ngrams import BackOffNGrams, latest_first
from skanticipate.teachers.history.templates import ActionTemplates
from skanticipate.teachers.labels import TeacherMixin, check_labelled
from skanticipate.training.runtime import all_or_nothing, seeds_of
from skanticipate.training.scoring import prediction_batch

_FURTHEST = 5  # actions back: further ones got no weight on training videos


class HistoryTeacher(HistoryInputMixin, SaveMixin, TeacherMixin, BaseEstimator):
    """Anticipate from the labels of the past actions; no text, no features.

    Up to four kinds of models read the histories; the answer is a mixture of theirs:

    - n-grams over actions, backed off to the noun of the last action and to the
      frequency of each action;
    - what followed the second last action, the third last and so on, whatever was done
      since: other threads of work go on beside the last one;
    - n-grams over verbs whose nouns are named by how lately they were used, which know
      that what was taken is put, of nouns too that were never seen there;
    - recurrent networks over verbs, nouns and actions, whose mean counts as one.

    The weights of the mixture are those that make the labels of held-out rows most
    likely; then all is fitted again on all rows. As `text_teacher` of
    `DistilledAnticipator` it gives soft targets to a student that sees features only.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Verb and noun of each label: a mapping label -> (verb, noun), or a table with
        columns label, verb and noun. None: labels that are strings "verb noun" are
        split; labels of another type (ints) are read as actions only, and there are no
        n-grams over verbs.
    order : int, default=3
        Number of past actions that the n-grams look at; the networks read all.
    strength : float, default=20.0
        Rows that have to have seen a context before the n-grams trust it more than a
        shorter one. Less suits rows whose videos are known from training, as in the
        splits of EGTEA Gaze+: there 2, with an `order` of 5.
    hidden_size : int, default=128
        Width of the networks' state.
    n_networks : int, default=2
        Number of networks. More answer a little better; the weights of the mixture are
        found with one. 0: counts alone, fitted in seconds; beside a network of your own
        in a `LateFusion` they make a student that counts.
    max_epochs : int, default=10
        Number of passes of the networks over the rows.
    validation_fraction : float, default=0.15
        Share of the rows held out to weigh the models; whole groups if `groups` has
        two or more.
    device : str or torch.device, default="auto"
        Where the networks compute; "auto" takes a GPU where there is one. Like
        `n_threads` it may be changed after `fit`.
    n_threads : int, default=None
        Threads of torch. None: one for small networks; in a forked process always one.
    random_state : int, RandomState instance or None, default=None
        Seeds the networks and the rows held out.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    weights_ : dict of str to float
        Weight of each model in the mixture: "ngrams"; "2 back" to "5 back", of single
        actions before the last; "templates"; "networks".
    models_ : dict of str to object
        The models, fitted on all rows.
    encoder_ : HistoryEncoder
        Turns labels into what they read.

    See Also
    --------
    LanguageTeacher : Reads the past actions as a text.
    LateFusion : The mean of counts and a network that reads the same labels.
    skanticipate.datasets.label_history : Past labels of annotated segments.

    Notes
    -----
    An action that was never seen before is unknown to all models, its noun and its verb
    need not be; a row of padding is a history like any other, as before the first
    action of a video.

    On EPIC-KITCHENS-55, from the last 10 actions by rule "all" of `label_history`, it
    has a top-1 and top-5 accuracy of 24.0 % and 45.4 % and a many-shot class-mean top-5
    recall of 32.6 %; its networks alone have 20.9, 42.1 and 30.0, its n-grams 18.6,
    35.2 and 23.1. By rule "started" it has 20.9, 42.7 and 30.7, by rule "ended" 14.9,
    33.2 and 21.7 (before what followed single actions was counted). On EGTEA Gaze+
    split 1, from the last 5 actions by rule "ended", an `order` of 5 and a `strength`
    of 2 have a top-5 accuracy of 52.3 %, counts alone 51.1 %.

    Rows that it was fitted on are answered too well, with a top-1 accuracy of 38 %
    instead of 24 % on EPIC-KITCHENS-55: `cross_fit` of `DistilledAnticipator` lets
    other teachers answer for them.

    References
    ----------
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991: a teacher that reads past actions.

    Examples
    --------
    >>> from skanticipate import HistoryTeacher
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(20, random_state=0)
    >>> teacher = HistoryTeacher(kitchen.actions, random_state=0)
    >>> teacher.fit(kitchen.past_actions[:200], kitchen.y[:200])
    HistoryTeacher(...)
    >>> teacher.predict_proba(kitchen.past_actions[200:]).shape
    (100, 20)
    """

    classes_: np.ndarray
    weights_: dict[str, float]
    models_: dict[str, object]
    encoder_: HistoryEncoder

    _parameter_constraints = {
        "actions": "no_validation",
        "order": [STEPS],
        "strength": [FACTOR],
        "hidden_size": [SIZE],
        "n_networks": [Interval(Integral, 0, 100_000, closed="both")],
        "max_epochs": [EPOCHS],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "device": [str, torch.device],
        "n_threads": [N_THREADS, None],
        "random_state": ["random_state"],
    }

    _used_after_fit = ("device", "n_threads")

    __metadata_request__fit = {"past_actions": UNUSED, "groups": True}
    __metadata_request__predict = {"past_actions": UNUSED}
    __metadata_request__predict_proba = {"past_actions": UNUSED}

    def __init__(
        self,
        actions: Actions | None = None,
        *,
        order: int = 3,
        strength: float = 20.0,
        hidden_size: int = 128,
        n_networks: int = 2,
        max_epochs: int = 10,
        validation_fraction: float = 0.15,
        device: str | torch.device = "auto",
        n_threads: int | None = None,
        random_state: Seed | None = None,
    ) -> None:
        self.actions = actions
        self.order = order
        self.strength = strength
        self.hidden_size = hidden_size
        self.n_networks = n_networks
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state

    # ---------------------------------------------------------------------- fit

    @all_or_nothing
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        past_actions: Labels,
        y: Labels,
        *,
        groups: Labels | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn which action follows.

        Parameters
        ----------
        past_actions : array-like of shape (n, L)
            Labels of the last L actions before each clip, the latest last, left-padded
            with None, NaN, "" or -1.
        y : array-like of shape (n,)
            Label of the action that follows. There is no marker of unlabelled rows:
            leave them out.
        groups : array-like of shape (n,), default=None
            Video or person of each row; the held-out part takes whole groups.
        sample_weight : array-like of shape (n,), default=None
            How often each row counts: weights have a mean of about 1. A class whose
            rows all have weight 0 is one of `classes_` all the same.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If an array has a wrong shape or does not fit the others, a label has no
            verb and noun, all labels are the same, or there is nothing to read: no
            `actions` and nothing but padding.
        """
        keep(self, "order")
        samples = self._check_fit(past_actions, y, groups, sample_weight)
        if groups is None:
            warn_ungrouped("HistoryTeacher holds rows out")
        words = seeds_of(self.random_state, range(1 + self.n_networks))
        split, *seeds = [word >> 1 for word in words.values()]
        training, held = hold_out(samples, self.validation_fraction, split)
        parts = [training, *[samples] * len(seeds)] if seeds else []
        # The mean of several networks deserves no less than the one that is weighed.
        networks = self._fit_networks(parts, [*seeds[:1], *seeds])
        self.weights_ = self._weigh(training, held, networks[:1])
        self.models_ = self._fit_models(samples, networks[1:])
        return self

    def _check_fit(self, past_actions, y, groups, sample_weight):
        """Check what fit was given, once.   -> Samples of codes."""
        self.classes_, codes, groups, weights = check_labelled(
            self, past_actions, y, groups, sample_weight
        )
        counted = past_actions, y
        if weights is not None:  # of rows that do not count no word is known
            rows = np.flatnonzero(weights)
            counted = [_safe_indexing(part, rows) for part in counted]
        self.encoder_ = HistoryEncoder(self.actions).fit(*counted)
        self._columns, self._axes = self.encoder_._columns, self.encoder_._axes
        histories = self.encoder_.transform(past_actions)  # (n, L, k)
        samples = Samples(RowView(histories), codes, weights, groups=groups)
        if weights is not None:
            samples = samples.select(weights > 0)
            hint_small_weights(samples.weights)
        if samples.groups is not None and len(np.unique(samples.groups)) < 2:
            samples = replace(samples, groups=None)
        return samples

    def _fit_networks(self, parts, seeds):
        """Networks of parts of the rows, each of its seed.   -> list."""
        jobs = []
        for k, (part, seed) in enumerate(zip(parts, seeds, strict=True), start=1):
            y, weights = self.classes_[part.codes], {"sample_weight": part.weights}
            name = f"network {k} of {len(parts)}"
            network = self._network(len(part), seed)
            jobs.append(Job(network, part.rows, y, weights, name))
        return fitted_of(fit_jobs(jobs))

    def _weigh(self, training, held, networks):
        """Weights that models of one part of the rows deserve on the other."""
        models = self._fit_models(training, networks)
        # a class without a training row says nothing of the final models
        held = held.select(np.isin(held.codes, training.codes))
        if not len(held):
            return dict.fromkeys(models, 1 / len(models))
        rows = np.arange(len(held))
        likelihoods = [
            answer[rows, held.codes] for answer in self._answers(models, held.rows)
        ]
        weights = mixture_weights(np.transpose(likelihoods), held.weights)
        return dict(zip(models, weights.tolist(), strict=True))

    def _fit_models(self, samples, networks):
        """Fit all other models on the rows of networks.   -> dict."""
        codes, counted = np.asarray(samples.rows), {"weights": samples.weights}
        wanted = samples.codes, len(self.classes_)
        models = {
            name: BackOffNGrams(strength=self.strength).fit(tokens, *wanted, **counted)
            for name, tokens in self._tokens(codes)
        }
        if self._knows_classes():
            models["templates"] = ActionTemplates(self.order, self.strength).fit(
                codes, samples.codes, *self._names_of_classes(), **counted
            )
        if networks:
            models["networks"] = networks
        return models

    def _knows_past(self):
        """Whether past actions have a verb and a noun."""
        return "noun" in self.encoder_.vocabulary_

    def _knows_classes(self):
        """Whether what follows has them too."""
        named = self.actions is not None or isinstance(self.classes_[0], str)
        return named and self._knows_past()

    def _tokens(self, codes):
        """Yield n-gram models and what each looks at: a noun, then actions from there.

        "ngrams" from the last action on, the others at a single action before it.
        """
        order = kept(self, "order")
        steps = latest_first(codes, max(order, _FURTHEST))  # (n, T, k)
        nouns = steps[:, :, 1:2] if self._knows_past() else steps[:, :, :0]
        yield "ngrams", np.concatenate([nouns[:, 0], steps[:, :order, -1]], 1)
        for k in range(1, _FURTHEST):
            yield f"{k + 1} back", np.concatenate([nouns[:, k], steps[:, k, -1:]], 1)

    def _names_of_classes(self):
        """Number of the verb of each class, and code of its noun in histories."""
        verbs, nouns = verbs_and_nouns(self.classes_, self.actions)
        return number_names(verbs)[0], self.encoder_._codes_of_names("noun", nouns)

    def _network(self, n_rows, seed):
        """Recurrent network, unfitted."""
        return history_network(
            n_rows,
            self.classes_,
            VerbNounHead(self.actions) if self._knows_classes() else None,
            hidden_size=self.hidden_size,
            max_epochs=self.max_epochs,
            device=self.device,
            n_threads=self.n_threads,
            random_state=seed,
        )

    # ------------------------------------------------------------------ predict

    def predict_proba(self, past_actions: Labels) -> np.ndarray:
        """Probability of each action to follow.

        Parameters
        ----------
        past_actions : array-like of shape (n, L)
            As in `fit`; L may differ.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of `classes_`.

        Raises
        ------
        ValueError
            If `past_actions` is not (n, L), or a string has no verb and noun.
        """
        check_is_fitted(self)
        check_used(self)
        codes = self.encoder_.transform(past_actions)
        proba = np.empty((len(codes), len(self.classes_)), dtype=np.float32)
        for rows, answer in self._mixtures(codes):
            proba[rows] = answer
        return proba

    def predict(self, past_actions: Labels) -> np.ndarray:
        """Most probable label of each row.   (n, L) -> (n,)."""
        check_is_fitted(self)
        check_used(self)
        codes = self.encoder_.transform(past_actions)
        best = np.empty(len(codes), dtype=np.intp)
        for rows, answer in self._mixtures(codes):
            best[rows] = answer.argmax(axis=1)
        return self.classes_[best]

    def _mixtures(self, codes):
        """Yield slices of rows and their probabilities: every model has its own."""
        size = 2 * prediction_batch(codes)
        for start in range(0, len(codes), size):
            rows = slice(start, start + size)
            answers = self._answers(self.models_, codes[rows])
            weights = self.weights_.values()
            yield rows, sum(w * a for w, a in zip(weights, answers, strict=True))

    def _answers(self, models, codes):
        """Yield the probabilities (n, C) of each model."""
        codes = np.asarray(codes)
        for name, tokens in self._tokens(codes):
            yield models[name].predict_proba(tokens)
        if "templates" in models:
            yield models["templates"].predict_proba(codes)
        if networks := models.get("networks"):
            yield mean_answer(networks, codes, self.device, self.n_threads)
