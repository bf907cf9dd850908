"""BaseAnticipator: shared parameters, the skeleton of fit, and all of prediction."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED

from skanticipate import _callbacks
from skanticipate._batches import batch_reader, shuffled
from skanticipate._labels import check_labels, warn_dropped
from skanticipate._layout import hint_other_scale
from skanticipate._leaks import warn_of_repeats, warn_ungrouped
from skanticipate._params import validate_nested, warn_if_reencoded
from skanticipate._prediction import PredictionMixin
from skanticipate._runtime import (
    all_or_nothing,
    clip_reader,
    resolve_device,
    resolve_dtype,
    torch_threads,
)
from skanticipate._samples import (
    Samples,
    check_weights,
    hold_out,
    log_frequency,
    optional_column,
    weigh_classes,
)
from skanticipate._training import (
    EarlyStopping,
    GradientStep,
    ValidationScore,
    check_finite,
    initial_state,
    prediction_batch,
    training_epochs,
)
from skanticipate._validation import check_clips, check_groups, check_same_length
from skanticipate.marginals import MarginalLoss, add_marginals
from skanticipate.networks.base import NetworkSpec, lend_generator
from skanticipate.networks.blueprint import default_network
from skanticipate.schedules import Schedule


class BaseAnticipator(_callbacks.CallbackSupportMixin, PredictionMixin, BaseEstimator):
    """What all anticipators share; not to be used itself.

    A subclass says what else it reads (`_check_signals`), which rows it can learn from
    (`_has_signal`) and what it is taught (`_lesson`); checking and training are done
    here, prediction in the mixin.
    """

    _parameter_constraints = {
        "network": [NetworkSpec, None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"adamw", "sgd"})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "lr_schedule": [Schedule, None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "scoring": [StrOptions({"loss", "accuracy", "top_5_accuracy"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "marginal_loss": [MarginalLoss, None],
        "logit_adjustment": [Interval(Real, 0, None, closed="left")],
        "classes": ["array-like", None],
        "unlabeled_label": "no_validation",
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "device": [str, torch.device],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

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
    @_callbacks.with_callbacks
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
        X_val, y_val : arrays as `X_past` and `y`, default=None
            Validation data for `history_` and early stopping, instead of a held-out
            fraction. A Pipeline passes `X_val` on as it is: to have it transformed,
            enable metadata routing and name it in the pipeline's `transform_input`.

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
        task = _callbacks.FitTask(self, self.max_epochs, X_past, y, sample_weight)
        seeds = self._seeds()
        samples = self._check_fit(
            X_past,
            y,
            X_future_unlabeled=X_future_unlabeled,
            past_actions=past_actions,
            y_past=y_past,
            teacher_proba=teacher_proba,
            groups=groups,
            sample_weight=sample_weight,
        )
        samples, validation = self._divide(samples, X_val, y_val, seeds["split"])
        counted = samples
        samples = weigh_classes(samples, self.class_weight, self.classes_)
        self.class_log_frequency_ = log_frequency(
            counted, samples.codes, len(self.classes_)
        )
        task.begin(self._labelled)
        with torch_threads(self.n_threads):
            self._train(samples, validation, seeds, task)
        task.end()
        return self

    def _check_signals(self, rows, **aligned):
        """Check what only this estimator reads.   -> further fields of Samples."""
        return {}

    def _has_signal(self, samples):
        """Rows that something can be learnt from; here those with a label."""
        return samples.codes >= 0

    def _lesson(self, samples, validation, network, seeds, *, dtype, device):
        """Ask the teachers what the network shall learn.   -> Lesson."""
        raise NotImplementedError

    def _seeds(self):
        """One integer from `random_state`, and from it one for each purpose."""
        root = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        purposes = (
            *("split", "init", "shuffle", "dropout"),
            *("crop", "teacher", "projection", "text_teacher"),
        )
        words = np.random.SeedSequence(root).generate_state(len(purposes))
        return dict(zip(purposes, words.tolist(), strict=True))

    def _continues(self):
        return self.warm_start and hasattr(self, "network_")

    def _check_fit(self, X_past, y, **aligned):
        """Check what fit was given, once.   -> Samples, those with a signal."""
        validate_nested(self)
        if self._continues():
            rows = self._check_like_fit(X_past, "X_past")
        else:
            rows = self._check_new(X_past)
        labels = check_labels(
            y,
            classes=self.classes,
            unlabeled_label=self.unlabeled_label,
            estimator=self,
        )
        warn_if_reencoded(self, labels.classes)
        check_same_length(len(rows), y=labels.codes, **aligned)
        if self._continues() and not np.array_equal(labels.classes, self.classes_):
            raise ValueError(
                f"warm_start continues with the classes {self.classes_}, but y has "
                f"{labels.classes}: fix them with classes=, or set warm_start=False."
            )
        self.classes_, self.unlabeled_label_ = labels.classes, labels.marker
        self.n_unlabeled_ = int((labels.codes < 0).sum())
        if not self._continues():
            self._describe(rows)
        samples = Samples(
            rows,
            labels.codes,
            check_weights(labels.codes, aligned["sample_weight"]),
            groups=check_groups(aligned["groups"]),
            y_past=optional_column(aligned["y_past"]),
            **self._check_signals(rows, **aligned),
        )
        return self._with_signal(samples)

    def _with_signal(self, samples):
        """Samples that something can be learnt from."""
        signal = self._has_signal(samples)
        if not signal.all():
            warn_dropped(int((~signal).sum()), self.unlabeled_label_)
        if samples.weights is not None:
            signal = signal & (samples.weights > 0)
            if not signal.any():
                raise ValueError(
                    "No row to learn from has a positive weight: check sample_weight."
                )
        return samples.select(signal)

    def _check_new(self, X_past):
        """Check clips of any shape, forgetting those of an earlier fit."""
        for stale in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(stale, None)
        return check_clips(X_past, name="X_past", estimator=self, reset=True)

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

    def _train(self, samples, validation, seeds, task):
        """Build the network and train it; sets the fitted attributes."""
        options = {
            "dtype": resolve_dtype(self.dtype, samples.rows),
            "device": resolve_device(self.device),
        }
        earlier = self.history_ if self._continues() else []
        network = self._initial_network(seeds["init"]).to(**options)
        take_clips = clip_reader(samples.rows, **options)
        with torch_threads(self.n_threads, network):
            self._blueprint().check(network, take_clips)
        lesson = self._lesson(samples, validation, network, seeds, **options)
        lesson = add_marginals(
            lesson, self.marginal_loss, samples, self.classes_, **options
        )
        state = self._initial_state({"network": network, **lesson.modules}, seeds)
        take_batch = batch_reader(
            self.network_spec_,
            take_clips,
            lesson.take_futures,
            generator=state.generators["crop"],
        )
        step = GradientStep(state, take_batch, lesson.objective, lesson.term_weights)
        records = training_epochs(
            state,
            step,
            lesson.draw or shuffled(len(samples), self.batch_size),
            max_epochs=self.max_epochs,
            score=self._validation_score(validation, **options),
        )
        with torch_threads(self.n_threads, network):
            self._run(records, state, seeds, task)
        self.network_ = network.cpu().eval()
        self.history_ = earlier + [
            {**record, **lesson.figures, "epoch": record["epoch"] + len(earlier)}
            for record in state.history
        ]
        self.loss_curve_ = [record["loss"] for record in self.history_]
        self.n_iter_ = len(self.history_)

    def _run(self, records, state, seeds, task):
        """Go through the epochs, tell who listens, and keep the best weights."""
        blueprint, network = self._blueprint(), state.network
        records = task.epochs(
            records,
            attributes=lambda: {"network_": blueprint.load(network.state_dict())},
            finished=lambda: state.finished(self.max_epochs),
        )
        with (
            lend_generator(network, state.generators["dropout"]),
            blueprint.randomness(seeds["dropout"]),
        ):
            for record in records:
                self._report(record)
        check_finite(network, state.epoch)
        if state.stopping is not None:
            state.stopping.restore(network)
        state.optimizer.zero_grad()

    def _initial_network(self, seed):
        if self._continues():
            return self._blueprint().load(self.network_.state_dict())
        return self._blueprint().build(seed)

    def _initial_state(self, modules, seeds):
        stopping = None
        if self.early_stopping:
            stopping = EarlyStopping(self.n_iter_no_change, self.tol)
        return initial_state(
            modules,
            seeds,
            optimizer=self.optimizer,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.lr_schedule,
            stopping=stopping,
        )

    def _validation_score(self, validation, **options):
        if validation is None:
            return None
        return ValidationScore(
            clip_reader(validation.rows, **options),
            validation.codes,
            stage=self.network_spec_.answering_stage(),
            watched=self.scoring,
            batch_size=prediction_batch(validation.rows),
        )

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
