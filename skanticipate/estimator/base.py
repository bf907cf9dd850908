"""BaseAnticipator: shared parameters, the skeleton of fit, and all of prediction."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from skanticipate.estimator.alike import check_ranks_alike
from skanticipate.estimator.blueprint import Blueprint
from skanticipate.estimator.checking import FitChecks
from skanticipate.estimator.fit_key import fit_key
from skanticipate.estimator.given import FitMixin, Given
from skanticipate.estimator.memory import name_memory_of_fit
from skanticipate.estimator.parameters import SharedParameters
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.estimator.telling import (
    CallbackSupportMixin,
    told_of,
    who,
    with_callbacks,
)
from skanticipate.estimator.watching import EpochScore, warn_of_end
from skanticipate.networks.base import NetworkSpec
from skanticipate.terms.labels import LabelTerm
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import BatchReader, ClipReader, shuffled
from skanticipate.training.checkpoint import Checkpoint
from skanticipate.training.loop import EarlyStopping, Training, initial_state, run
from skanticipate.training.optimizers import make_optimizer
from skanticipate.training.runtime import (
    Compute,
    current_ranks,
    global_streams,
    is_first,
    torch_threads,
)
from skanticipate.training.scoring import WATCHED, ValidationScore
from skanticipate.training.step import GradientStep


class Prepared(NamedTuple):
    """A fit that has but to be run: `figures` are what all of its records tell."""

    training: Training
    signals: list
    figures: dict


class BaseAnticipator(
    CallbackSupportMixin, FitMixin, FitChecks, PredictionMixin, SharedParameters
):
    """What all anticipators share; not to be used itself.

    A subclass says which teachers it asks (`_signals`); training is done here, checking
    and prediction in the mixins.
    """

    classes_: np.ndarray
    network_: nn.Module
    network_spec_: NetworkSpec
    history_: list[dict[str, Any]]
    loss_curve_: list[float]
    n_iter_: int
    class_log_frequency_: np.ndarray
    anticipation_times_: np.ndarray
    feature_dim_: int
    input_shape_: tuple[Any, ...]
    unlabeled_label_: object
    n_unlabeled_: int

    # ---------------------------------------------------------------------- fit

    @with_callbacks
    def _fit(self, given: Given) -> None:
        """Check, prepare, run, finish."""
        try:
            with told_of(self, given.X_past, given.y, given.sample_weight) as task:
                checked = self._check(given)
                if task.is_followed:
                    samples, signals = checked.samples, checked.signals
                    asking = [signal.asks(samples) for signal in signals]
                    task.begin(self._labelled, n_teachers=sum(asking))
                with torch_threads(self.n_threads):
                    prepared = self._prepare(checked)
                    self._run(prepared, task)
                    self._finish(prepared)
        except (MemoryError, RuntimeError) as error:
            name_memory_of_fit(error, self, given.X_past)
            raise

    def _signals(self):
        """What teachers are asked.   -> list of Signal, the labels first."""
        raise NotImplementedError

    def _draw(self, samples):
        """Batches of an epoch: all samples once, in another order each time."""
        return shuffled(samples.rows.shape[0], self.batch_size)

    def _continues(self):
        return self.warm_start and hasattr(self, "network_")

    # -------------------------------------------------------------------- train

    def _prepare(self, checked, shared=None):
        """Ask the teachers, build the network, and put all together.

        Parameters
        ----------
        checked : Checked
        shared : dict or None, default=None
            What other fits on the same rows have learnt from the same teachers.

        Returns
        -------
        Prepared
        """
        if (ranks := current_ranks()) is not None:
            check_ranks_alike(ranks, self, checked)
        samples, validation, signals, seeds = checked
        compute = Compute.resolve(self.device, self.dtype, self.precision, samples.rows)
        blueprint = Blueprint.of(self)
        earlier = self.network_.state_dict() if self._continues() else None
        network = blueprint.begin(seeds["init"], compute, samples.rows, earlier)
        for signal in signals:
            signal.ask(samples, self.classes_, seeds, shared)
        objective = self._objective(samples, signals, network, seeds, compute)
        state = self._initial_state({"network": network, **objective.modules}, seeds)
        step = self._step(state, samples, objective, compute)
        training = Training(
            state,
            step,
            self._draw(samples),
            self.max_epochs,
            score=self._validation_score(validation, compute),
            randomness=self._randomness(blueprint, seeds["dropout"]),
            checkpoint=self._checkpoint(samples, validation, shared),
            ranks=ranks,
        )
        figures = {}
        for signal in signals if validation is not None else ():
            figures |= signal.figures(validation)
        return Prepared(training, signals, figures)

    def _randomness(self, blueprint, seed):
        """What gives the context of a network that draws from torch's own stream."""
        draws = self.network_spec_.uses_global_rng
        return partial(blueprint.randomness, seed) if draws else nullcontext

    def _step(self, state, samples, objective, compute):
        take_batch = BatchReader(
            self.network_spec_,
            samples.rows,
            compute,
            objective.take_futures,
            objective.take_maps,
            generator=state.generators["crop"],
        )
        return GradientStep(
            state,
            take_batch,
            objective,
            max_grad_norm=self.max_grad_norm,
            precision=self.precision,
        )

    def _checkpoint(self, samples, validation, shared):
        """Where the training keeps its state, or None."""
        if self.checkpoint is None:
            return None
        key = fit_key(self, samples, validation, shared)
        return key and Checkpoint(self.checkpoint, key, self.checkpoint_every)

    def _objective(self, samples, signals, network, seeds, compute):
        """The base term, of parts of all signals, and the terms of each.

        -> Objective
        """
        parts, has = zip(*(signal.parts(samples) for signal in signals), strict=True)
        given = sum(parts, []), np.any(has, axis=0), samples.weights, compute
        base = LabelTerm(*given) if self.loss is None else self.loss.term(*given)
        own = [
            term
            for signal in signals
            for term in signal.terms(
                samples, self.network_spec_, network, seeds, compute
            )
        ]
        if self.marginal_loss is not None:
            own += self.marginal_loss.terms(samples, self.classes_, compute)
        weights = samples.weights
        return Objective(
            [base, *own], weights if weights is None else compute.floats(weights)
        )

    def _initial_state(self, modules, seeds):
        optimizer = make_optimizer(
            self.optimizer,
            modules.values(),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )
        stopping = None
        if self.early_stopping:
            stopping = EarlyStopping(self.n_iter_no_change, self.tol)
        state = initial_state(
            modules, optimizer, seeds, schedule=self.lr_schedule, stopping=stopping
        )
        state.keeps_best = self.on_divergence == "best"
        if self.network_spec_.uses_global_rng:  # within `randomness` they are its own
            state.generators |= global_streams(state.generators["dropout"].device)
        return state

    def _validation_score(self, validation, compute):
        if validation is None:
            return None
        return ValidationScore(
            ClipReader(validation.rows, compute),
            validation.codes,
            stage=self.network_spec_.answering_stage(),
            watched=self._watched(validation),
            adjust=self._adjusted,
            weights=validation.weights,
        )

    def _watched(self, validation):
        """The figure that early stopping watches: a name, or network -> float."""
        if self.scoring in WATCHED:
            return self.scoring
        return EpochScore(self, validation)

    def _run(self, prepared, task):
        """Go through the epochs, and tell who listens."""
        training = prepared.training
        watch = partial(self._told, prepared, task) if task.is_followed else iter
        with torch_threads(self.n_threads, training.state.network):
            run(training, watch)
        if training.checkpoint is not None:
            task.warn_of_untold(len(training.state.history))

    def _told(self, prepared, task, records):
        """Pass records on, each of them told."""
        state = prepared.training.state

        def attributes():
            weights = state.network.state_dict()
            return self._attributes(prepared, Blueprint.of(self).load(weights))

        told = task.epochs(
            records,
            attributes=attributes,
            finished=lambda: state.finished(self.max_epochs),
        )
        for record in told:
            self._report(record)
            yield record

    def _finish(self, prepared):
        """Set the fitted attributes."""
        if self.early_stopping:
            warn_of_end(self, prepared.training.state)
        state = prepared.training.state
        network = state.network
        if state.generators["dropout"].device.type != "cpu":
            network.cpu()
        vars(self).update(self._attributes(prepared, network))

    def _attributes(self, prepared, network):
        """The fitted attributes that training makes, as of now.   -> dict."""
        training, signals, figures = prepared
        earlier = self.history_ if self._continues() else []
        history = earlier + [
            {**record, **figures, "epoch": record["epoch"] + len(earlier)}
            for record in training.state.history
        ]
        return {
            **{name: v for signal in signals for name, v in signal.fitted().items()},
            "network_": network,
            "history_": history,
            "loss_curve_": [record["loss"] for record in history],
            "n_iter_": len(history),
        }

    def _report(self, record):
        if self.verbose and is_first():
            epoch, *figures = record.items()
            figures = ", ".join(f"{name} {value:.4g}" for name, value in figures)
            name = f"{who()}: " if who() else ""
            print(f"{name}epoch {epoch[1]}/{self.max_epochs}: {figures}")

    def __sklearn_tags__(self):
        """Clips may have three axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
