"""BaseAnticipator: shared parameters, the skeleton of fit, and all of prediction."""

from functools import partial

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils.metadata_routing import UNUSED

from skanticipate.data.labels import check_labels, warn_dropped
from skanticipate.data.layout import hint_other_scale
from skanticipate.data.leaks import (
    warn_of_repeats,
    warn_ungrouped,
    whole_validation,
)
from skanticipate.data.names import check_rows_alike
from skanticipate.data.samples import (
    Samples,
    check_weights,
    hold_out,
    log_frequency,
    weigh_classes,
)
from skanticipate.data.validation import check_clips, check_groups, check_same_length
from skanticipate.estimator import callbacks
from skanticipate.estimator.blueprint import default_network
from skanticipate.estimator.nested import validate_nested, warn_if_reencoded
from skanticipate.estimator.parameters import SharedParameters
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.terms.labels import LabelTerm
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import batch_reader, shuffled
from skanticipate.training.loop import EarlyStopping, Training, initial_state, run
from skanticipate.training.optimizers import make_optimizer
from skanticipate.training.runtime import Compute, all_or_nothing, torch_threads
from skanticipate.training.scoring import ValidationScore, prediction_batch
from skanticipate.training.seeds import seeds_of
from skanticipate.training.step import GradientStep

# What seeds are derived for; the order decides on their numbers.
_PURPOSES = (
    *("split", "init", "shuffle", "dropout"),
    *("crop", "teacher", "projection", "text_teacher"),
)


class BaseAnticipator(
    callbacks.CallbackSupportMixin, PredictionMixin, SharedParameters
):
    """What all anticipators share; not to be used itself.

    A subclass says which teachers it asks (`_signals`); checking and training are done
    here, prediction in the mixin.
    """

    __metadata_request__fit = {
        "X_past": UNUSED,
        "X_future_unlabeled": True,
        "past_actions": True,
        "y_past": True,
        "teacher_proba": True,
        "groups": True,
        "X_val": True,
        "y_val": True,
    }

    # ---------------------------------------------------------------------- fit

    @all_or_nothing
    @callbacks.with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X_past,
        y,
        X_future_unlabeled=None,
        *,
        past_actions=None,
        y_past=None,
        teacher_proba=None,
        groups=None,
        sample_weight=None,
        X_val=None,
        y_val=None,
    ):
        """Learn to anticipate the label of each past clip.

        On any error the estimator is as it was before the call.

        Parameters
        ----------
        X_past : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action. In arrays of more than two axes a
            time step (second axis) that is all NaN is padding. Memory maps and
            `RowView` are read a batch at a time.
        y : array-like of shape (n,)
            Label of the action to anticipate; rows equal to the unlabelled marker
            have none.
        X_future_unlabeled : array-like of shape (n, ...), default=None
            Features of the clip to be anticipated, one row for each row of `X_past`.
            Only for estimators whose teacher sees them; others check its length.
        past_actions : array-like of shape (n, L) or (n,), default=None
            Labels of the last L actions, the latest last, left-padded with None, NaN,
            "" or -1; or a text for each row. Only for estimators whose teacher reads
            them.
        y_past : array-like of shape (n,), default=None
            Label of the action seen last; None, NaN, "" or -1 where there is none.
            For priors that count transitions.
        teacher_proba : array-like of shape (n, C), default=None
            Soft targets in place of a teacher's answers, columns in the order of
            `classes`; a row of NaN has none. Only for estimators that have a teacher.
        groups : array-like of shape (n,), default=None
            Video or person of each row; a held-out part takes whole groups.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the loss.
        X_val, y_val : arrays as `X_past` and `y`, or functions, default=None
            Validation data for `history_` and early stopping, instead of a held-out
            fraction. A search or cross-validation cuts all that has as many rows as
            `X_past` into its folds: ``X_val=lambda: X_val, y_val=lambda: y_val``, which
            `fit` calls, stay whole. A Pipeline passes `X_val` on as it is: to have it
            transformed, enable metadata routing and name it in the pipeline's
            `transform_input`; it must be an array then.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If an array has a wrong shape, misses values or does not fit the others,
            if there are fewer than two classes, or if a loss is not finite.
        """
        task = callbacks.FitTask(self, self.max_epochs, X_past, y, sample_weight)
        seeds = seeds_of(self.random_state, _PURPOSES)
        given = {
            "X_future_unlabeled": X_future_unlabeled,
            "past_actions": past_actions,
            "y_past": y_past,
            "teacher_proba": teacher_proba,
        }
        signals = self._signals(**given)
        rows = self._check_rows(X_past)
        X_val, y_val = whole_validation(X_val, y_val, len(rows))
        labels = self._check_labels(y, y_past, y_val)
        check_same_length(
            len(rows),
            y=labels.codes,
            **given,
            groups=groups,
            sample_weight=sample_weight,
        )
        check_rows_alike(
            X_past=X_past, y=y, **given, groups=groups, sample_weight=sample_weight
        )
        samples = self._check_samples(rows, labels, signals, groups, sample_weight)
        samples, validation = self._divide(samples, X_val, y_val, seeds["split"])
        counted = samples
        samples = weigh_classes(samples, self.class_weight, self.classes_)
        self.class_log_frequency_ = log_frequency(
            counted, samples.codes, len(self.classes_)
        )
        task.begin(self._labelled)
        with torch_threads(self.n_threads):
            training, figures = self._prepare(samples, validation, signals, seeds)
            self._run(training, task)
            self._finish(training, signals, figures)
        task.end()
        return self

    def _signals(self, *, X_future_unlabeled, past_actions, y_past, teacher_proba):
        """What teachers are asked.   -> list of Signal, the labels first."""
        raise NotImplementedError

    def _draw(self, samples):
        """Batches of an epoch: all samples once, in another order each time."""
        return shuffled(len(samples), self.batch_size)

    def _continues(self):
        return self.warm_start and hasattr(self, "network_")

    # -------------------------------------------------------------------- check

    def _check_rows(self, X_past):
        """Check clips, and parameters of what is nested.   -> RowView."""
        validate_nested(self)
        if self._continues():
            return self._check_like_fit(X_past, "X_past")
        return check_clips(X_past, name="X_past", estimator=self, reset=True)

    def _check_labels(self, y, y_past, y_val):
        labels = check_labels(
            y,
            classes=self.classes,
            unlabeled_label=self.unlabeled_label,
            estimator=self,
        )
        warn_if_reencoded(self, labels.classes, y_past=y_past, y_val=y_val)
        return labels

    def _check_samples(self, rows, labels, signals, groups, sample_weight):
        """Check what came with the clips, once.   -> Samples, those with a signal."""
        if self._continues() and not np.array_equal(labels.classes, self.classes_):
            raise ValueError(
                f"warm_start continues with the classes {self.classes_}, but y has "
                f"{labels.classes}: fix them with classes=, or set warm_start=False."
            )
        self.classes_, self.unlabeled_label_ = labels.classes, labels.marker
        self.n_unlabeled_ = int((labels.codes < 0).sum())
        if not self._continues():
            self._describe(rows)
        checked = {}
        for signal in signals:
            checked |= signal.check(
                rows,
                self.classes_,
                marker=self.unlabeled_label_,
                groups=groups,
                estimator=self,
            )
        samples = Samples(
            rows,
            labels.codes,
            check_weights(labels.codes, sample_weight),
            check_groups(groups),
            checked,
        )
        return self._with_signal(samples, signals)

    def _with_signal(self, samples, signals):
        """Samples that something can be learnt from."""
        has = np.any([signal.has(samples) for signal in signals], axis=0)
        if not has.all():
            warn_dropped(int((~has).sum()), self.unlabeled_label_)
        if samples.weights is not None:
            has = has & (samples.weights > 0)
            if not has.any():
                raise ValueError(
                    "No row to learn from has a positive weight: check sample_weight."
                )
        return samples.select(has)

    def _describe(self, rows):
        """Note what it takes to build the network."""
        spec = default_network(rows) if self.network is None else clone(self.network)
        self.network_spec_ = spec
        spec.see_classes(self.classes_)
        self.input_shape_ = spec.input_shape_of(rows)
        self.feature_dim_ = rows.shape[-1]
        self.anticipation_times_ = spec.stage_times()

    def _divide(self, samples, X_val, y_val, seed):
        """Training and validation samples; the latter None where nobody looks."""
        if (X_val is None) != (y_val is None):
            raise ValueError("Pass X_val and y_val together, or neither of them.")
        if X_val is not None:
            validation = self._check_validation(X_val, y_val)
            warn_of_repeats(validation.rows, samples.rows)
            hint_other_scale(samples.rows, validation.rows, "X_val")
            return samples, validation
        if self.early_stopping:
            if samples.groups is None:
                warn_ungrouped("early_stopping holds rows out")
            return hold_out(samples, self.validation_fraction, seed)
        return samples, None

    # -------------------------------------------------------------------- train

    def _prepare(self, samples, validation, signals, seeds):
        """Ask the teachers, build the network, and put all together.

        Returns
        -------
        training : Training
        figures : dict
            What the records of all epochs tell beside the losses.
        """
        compute = Compute.resolve(self.device, self.dtype, self.n_threads, samples.rows)
        network = compute.place(self._initial_network(seeds["init"]))
        take_clips = compute.reader(samples.rows)  # numpy here, torch from here on
        with compute.threads(network):
            self._blueprint().check(network, take_clips)
        for signal in signals:
            signal.ask(samples, self.classes_, seeds)
        if not self._continues():
            for signal in signals:
                signal.start(network)
        objective = self._objective(samples, signals, network, seeds, compute)
        state = self._initial_state({"network": network, **objective.modules}, seeds)
        take_batch = batch_reader(
            self.network_spec_,
            take_clips,
            objective.take_futures,
            generator=state.generators["crop"],
        )
        training = Training(
            state,
            GradientStep(state, take_batch, objective),
            self._draw(samples),
            self.max_epochs,
            score=self._validation_score(validation, compute),
            randomness=partial(self._blueprint().randomness, seeds["dropout"]),
        )
        found = [signal.figures(validation) for signal in signals]
        return training, {k: v for figures in found for k, v in figures.items()}

    def _objective(self, samples, signals, network, seeds, compute):
        """The base term, of parts of all signals, and the terms of each.

        -> Objective
        """
        parts, has = zip(*(signal.parts(samples) for signal in signals), strict=True)
        base = LabelTerm(sum(parts, []), np.any(has, axis=0), samples.weights, compute)
        own = [
            term
            for signal in signals
            for term in signal.terms(
                samples, self.network_spec_, network, seeds, compute
            )
        ]
        if self.marginal_loss is not None:
            own += self.marginal_loss.terms(samples, self.classes_, compute)
        return Objective([base, *own])

    def _initial_network(self, seed):
        if self._continues():
            return self._blueprint().load(self.network_.state_dict())
        return self._blueprint().build(seed)

    def _initial_state(self, modules, seeds):
        optimizer = make_optimizer(
            self.optimizer,
            modules.values(),
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        stopping = None
        if self.early_stopping:
            stopping = EarlyStopping(self.n_iter_no_change, self.tol)
        return initial_state(
            modules, optimizer, seeds, schedule=self.lr_schedule, stopping=stopping
        )

    def _validation_score(self, validation, compute):
        if validation is None:
            return None
        return ValidationScore(
            compute.reader(validation.rows),
            validation.codes,
            stage=self.network_spec_.answering_stage(),
            watched=self.scoring,
            batch_size=prediction_batch(validation.rows),
        )

    def _run(self, training, task):
        """Go through the epochs, and tell who listens."""
        blueprint, state = self._blueprint(), training.state

        def watch(records):
            told = task.epochs(
                records,
                attributes=lambda: {
                    "network_": blueprint.load(state.network.state_dict())
                },
                finished=lambda: state.finished(self.max_epochs),
            )
            for record in told:
                self._report(record)
                yield record

        with torch_threads(self.n_threads, state.network):
            run(training, watch)

    def _finish(self, training, signals, figures):
        """Set the fitted attributes."""
        earlier = self.history_ if self._continues() else []
        for signal in signals:
            vars(self).update(signal.fitted())
        self.network_ = training.state.network.cpu()
        self.history_ = earlier + [
            {**record, **figures, "epoch": record["epoch"] + len(earlier)}
            for record in training.state.history
        ]
        self.loss_curve_ = [record["loss"] for record in self.history_]
        self.n_iter_ = len(self.history_)

    def _report(self, record):
        if self.verbose:
            epoch, *figures = record.items()
            figures = ", ".join(f"{name} {value:.4g}" for name, value in figures)
            print(f"epoch {epoch[1]}/{self.max_epochs}: {figures}")

    def __sklearn_tags__(self):
        """Clips may have three axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
