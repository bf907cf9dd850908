"""BaseAnticipator: shared parameters, the skeleton of fit, and all of prediction."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context, clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skanticipate import _callbacks, _state
from skanticipate._runtime import (
    clip_reader,
    resolve_device,
    resolve_dtype,
    torch_threads,
)
from skanticipate._samples import Samples, hold_out, optional_column, sample_weights
from skanticipate._training import (
    EarlyStopping,
    GradientStep,
    ValidationScore,
    initial_state,
    predict_logits,
    training_epochs,
)
from skanticipate._validation import (
    check_clip_shape,
    check_clips,
    check_label_array,
    check_labels,
    check_same_length,
    encode,
    unlabeled_mask,
    warn_dropped,
)
from skanticipate.networks.base import lend_generator
from skanticipate.networks.blueprint import Blueprint, default_network


def _all_or_nothing(fit):
    """Put the estimator back as it was if `fit` ends in any exception."""

    @functools.wraps(fit)
    def wrapper(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper


class BaseAnticipator(_callbacks.CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """What all anticipators share; not to be used itself.

    A subclass says which rows it can learn from (`_has_signal`) and what it is taught
    (`_objective`); checking, training and predicting are done here.
    """

    _parameter_constraints = {
        "network": [HasMethods("build"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"adamw", "sgd"})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "lr_schedule": [HasMethods("factor"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "scoring": [StrOptions({"loss", "accuracy", "top_5_accuracy"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
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

    @_all_or_nothing
    @_callbacks.with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
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
        past_actions : array-like of shape (n, L), default=None
            Labels of the last L actions, left-padded with None or "".
        y_past : array-like of shape (n,), default=None
            Label of the action seen last; None, NaN, "" or -1 where there is none.
        teacher_proba : array-like of shape (n, C), default=None
            Soft targets that replace a teacher.
        groups : array-like of shape (n,), default=None
            Video or person of each row; a held-out part takes whole groups.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the loss.
        X_val, y_val : arrays as `X_past` and `y`, default=None
            Validation data for `history_` and early stopping, instead of a held-out
            fraction.

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
        task.begin()
        self._train(samples, validation, seeds, task)
        task.end()
        return self

    def _has_signal(self, samples):
        """Rows that something can be learnt from.   -> (n,) bool."""
        raise NotImplementedError

    def _objective(self, samples, *, dtype, device):
        """Ask the teachers.   -> callable (output, sample indices) -> terms."""
        raise NotImplementedError

    def _seeds(self):
        """One integer from `random_state`, and from it one for each purpose."""
        root = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        purposes = ("split", "init", "shuffle", "dropout")
        words = np.random.SeedSequence(root).generate_state(len(purposes))
        return dict(zip(purposes, words.tolist(), strict=True))

    def _continues(self):
        return self.warm_start and hasattr(self, "network_")

    def _check_fit(self, X_past, y, **aligned):
        """Check what fit was given, once.   -> Samples, those with a signal."""
        rows = self._check_clips(X_past, "X_past", reset=not self._continues())
        labels = check_labels(
            y,
            classes=self.classes,
            unlabeled_label=self.unlabeled_label,
            estimator=self,
        )
        check_same_length(len(rows), y=labels.codes, **aligned)
        if self._continues() and not np.array_equal(labels.classes, self.classes_):
            raise ValueError(
                f"warm_start continues with the classes {self.classes_}, but y has "
                f"{labels.classes}: fix them with classes=, or set warm_start=False."
            )
        self.classes_, self.unlabeled_label_ = labels.classes, labels.marker
        self.n_unlabeled_ = int((labels.codes < 0).sum())
        weights = sample_weights(
            labels.codes, aligned["sample_weight"], self.class_weight, self.classes_
        )
        samples = Samples(
            rows,
            labels.codes,
            weights,
            groups=optional_column(aligned["groups"]),
            y_past=optional_column(aligned["y_past"]),
        )
        signal = self._has_signal(samples)
        if not signal.all():
            warn_dropped(int((~signal).sum()), labels.marker)
        return samples.select(signal if weights is None else signal & (weights > 0))

    def _divide(self, samples, X_val, y_val, seed):
        """Training and validation samples; the latter None where nobody looks."""
        if (X_val is None) != (y_val is None):
            raise ValueError("Pass X_val and y_val together, or neither of them.")
        if X_val is not None:
            rows = self._check_clips(X_val, "X_val", reset=False)
            y_val = check_label_array(y_val, estimator=self)
            check_same_length(len(rows), y_val=y_val)
            codes = encode(y_val, self.classes_, name="y_val", unknown="mark")
            labelled = ~unlabeled_mask(y_val, self.unlabeled_label_)
            return samples, Samples(rows, codes).select(labelled)
        if self.early_stopping:
            return hold_out(samples, self.validation_fraction, seed)
        return samples, None

    def _train(self, samples, validation, seeds, task):
        """Build the network and train it; sets the fitted attributes."""
        options = {
            "dtype": resolve_dtype(self.dtype, samples.rows),
            "device": resolve_device(self.device),
        }
        earlier = self.history_ if self._continues() else []
        network = self._initial_network(samples.rows, seeds["init"]).to(**options)
        state = self._initial_state(network, seeds)
        step = GradientStep(
            state,
            clip_reader(samples.rows, **options),
            self._objective(samples, **options),
            {"base": 1.0},
        )
        records = training_epochs(
            state,
            step,
            n_samples=len(samples),
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            score=self._validation_score(validation, **options),
        )
        blueprint = self._blueprint()
        records = task.epochs(
            records,
            attributes=lambda: {"network_": blueprint.load(network.state_dict())},
            finished=lambda: state.finished(self.max_epochs),
        )
        with (
            torch_threads(self.n_threads, network),
            lend_generator(network, state.generators["dropout"]),
            blueprint.randomness(seeds["dropout"]),
        ):
            for record in records:
                self._report(record)
        if state.stopping is not None:
            state.stopping.restore(network)
        self.network_ = network.cpu().eval()
        self.history_ = earlier + [
            {**record, "epoch": record["epoch"] + len(earlier)}
            for record in state.history
        ]
        self.loss_curve_ = [record["loss"] for record in self.history_]
        self.n_iter_ = len(self.history_)

    def _blueprint(self):
        return Blueprint(self.network_spec_, self.input_shape_, len(self.classes_))

    def _initial_network(self, rows, seed):
        if self._continues():
            return self._blueprint().load(self.network_.state_dict())
        spec = default_network(rows) if self.network is None else clone(self.network)
        self.network_spec_ = spec
        spec.see_classes(self.classes_)
        self.input_shape_ = spec.input_shape_of(rows)
        self.feature_dim_ = rows.shape[-1]
        self.anticipation_times_ = spec.stage_times()
        return self._blueprint().build(seed)

    def _initial_state(self, network, seeds):
        stopping = None
        if self.early_stopping:
            stopping = EarlyStopping(self.n_iter_no_change, self.tol)
        return initial_state(
            network,
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
            len(self.classes_),
            stage=self.network_spec_.answering_stage(),
            watched=self.scoring,
        )

    def _report(self, record):
        if self.verbose:
            epoch, *figures = record.items()
            figures = ", ".join(f"{name} {value:.4g}" for name, value in figures)
            print(f"epoch {epoch[1]}/{self.max_epochs}: {figures}")

    # ---------------------------------------------------------------- prediction

    def predict(self, X):
        """Most probable label of each clip.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Returns
        -------
        ndarray of shape (n,)
        """
        best = self._logits(X).argmax(-1)
        return self.classes_[best.numpy()]

    def predict_proba(self, X):
        """Probability of each class, at the network's `anticipation_time`.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of `classes_`.
        """
        return self._logits(X).softmax(-1).numpy()

    def predict_log_proba(self, X):
        """Logarithm of `predict_proba`, without the loss of small numbers.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Returns
        -------
        ndarray of shape (n, C)
        """
        return self._logits(X).log_softmax(-1).numpy()

    def staged_predict_proba(self, X):
        """Probabilities at each of `anticipation_times_`, the earliest first.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, T, d) or (n, ..., d)
            Features observed before the action.

        Yields
        ------
        ndarray of shape (n, C)
        """
        for logits in self._all_logits(X).unbind(1):
            yield logits.softmax(-1).numpy()

    def score(self, X, y, sample_weight=None):
        """Accuracy over the labelled rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Features observed before the action.
        y : array-like of shape (n,)
            Labels; rows that carry the unlabelled marker are left out.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        y = check_label_array(y, estimator=self)
        labelled = np.flatnonzero(~unlabeled_mask(y, self.unlabeled_label_))
        if len(labelled) < len(y):
            X, y = _safe_indexing(X, labelled), y[labelled]
            if sample_weight is not None:
                sample_weight = _safe_indexing(sample_weight, labelled)
        return super().score(X, y, sample_weight)

    def _logits(self, X):
        """Scores of each clip at the stage that answers.   -> (n, C)."""
        check_is_fitted(self)
        return self._all_logits(X)[:, self.network_spec_.answering_stage()]

    def _all_logits(self, X):
        """Scores of each clip at each stage.   -> (n, S, C)."""
        check_is_fitted(self)
        rows = self._check_clips(X, "X", reset=False)
        device, network = resolve_device(self.device), self.network_
        if device.type != "cpu":
            network = self._blueprint().load(network.state_dict()).to(device)
        dtype = next(network.parameters()).dtype
        take = clip_reader(rows, dtype=dtype, device=device)
        with torch_threads(self.n_threads, network):
            return predict_logits(network, take, len(rows))

    def _check_clips(self, X, name, *, reset):
        rows = check_clips(X, name=name, estimator=self, reset=reset)
        if not reset:
            seen = (*self.input_shape_[:-1], self.feature_dim_)
            check_clip_shape(rows, seen, self.network_spec_.fixed_shape, name=name)
        return rows

    # --------------------------------------------------------------------- state

    def save(self, path):
        """Write the fitted estimator to a safetensors file, for `skanticipate.load`.

        Parameters
        ----------
        path : str or path-like
            File to write; an old one is replaced once the new one is complete.
        """
        check_is_fitted(self)
        _state.write(path, self)

    def __getstate__(self):
        """State with the weights as arrays, so that it loads on any machine."""
        state = dict(super().__getstate__())
        if "network_" in state:
            weights = state.pop("network_").state_dict()
            state["_weights"] = {name: w.numpy() for name, w in weights.items()}
        return state

    def __setstate__(self, state):
        """Build the network again and give it its weights."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.network_ = self._blueprint().load(weights)

    def __sklearn_tags__(self):
        """Clips may have three axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
