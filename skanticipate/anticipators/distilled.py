"""DistilledAnticipator: learn from a teacher that has seen the future."""

import os
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from skanticipate._base import BaseAnticipator
from skanticipate._batches import mixed, shuffled
from skanticipate._objectives import DistillationObjective, TeacherAnswers
from skanticipate._targets import Lesson, fit_targets, new_prior
from skanticipate._validation import check_futures, check_teacher_proba
from skanticipate.anticipators._signals import (
    compare_with_past,
    warn_if_nobody_is_asked,
    warn_of_random_start,
    warn_of_signed_labels,
)
from skanticipate.teachers.ensemble import seeded
from skanticipate.teachers.features import feature_term
from skanticipate.teachers.future import FutureTeaching
from skanticipate.teachers.recognition import teacher_like

_DEFAULT_FEATURE_WEIGHT = 0.1


class DistilledAnticipator(BaseAnticipator):
    """Anticipate actions with the help of a teacher that has seen the future.

    A recognition teacher is fitted on the clips of the actions themselves, the student
    on the clips before them. What the teacher makes of a future reaches the student as
    soft targets and as a feature map; at prediction nobody needs a future. The
    objective of a step is the sum of::

        base      mean over labelled rows of
                    CE((1 - smoothing) * onehot(y) + smoothing * prior row, p)
                  and over unlabelled rows of KL(teacher || p)
        teacher   teacher_weight * T^2 * KL(teacher^(1/T) || p^(1/T)),
                  mean over labelled rows with a future
        feature   feature_weight * L_d(student map, teacher map; alpha),
                  mean over rows with a future

    Expect a gain where labels are few and unlabelled pairs of past and future many. The
    gain comes from the soft targets of unlabelled rows; feature losses add little, and
    need a student that starts from its teacher's weights.

    Parameters
    ----------
    network : NetworkSpec, default=None
        The student. None picks `MLP` for clips (n, d), `LSTM` for sequences (n, T, d)
        and `FeatureMapNet` for maps (n, ..., d).
    teacher : classifier, default=None
        Cloned and fitted on the labelled rows of `X_future_unlabeled`: any classifier
        or Pipeline with `predict_proba`. A `FrozenEstimator` is used as it is. None
        means `RecognitionTeacher` with the parameters of the student, trained for as
        many steps. Where its `fit` names them it gets `groups` and the weights of the
        rows.
    alignment : {"weak", "student", "teacher", "direct", "pooled"}, default="weak"
        How the maps are compared: by attention from both sides, from the student's or
        the teacher's positions only, position by position, or by their means.
    alpha : float, default=None
        Scale of the attention of the weak alignments. None means 1 / sqrt(d).
    feature_weight : float, default=None
        Weight of the feature loss. None means 0.1 where the student starts from a
        teacher that has a map, else 0.
    teacher_weight : float, default=0.0
        Weight of the teacher's soft targets on labelled rows.
    temperature : float, default=1.0
        Temperature T of these soft targets.
    cross_fit : int, default=0
        Number of teachers, at least 2, of which each is fitted without the fold of
        rows it answers for, by groups if they are given; the map comes from one more
        that is fitted on all. 0 means one teacher, which also answers for rows it was
        fitted on.
    init_from_teacher : "auto" or bool, default="auto"
        Whether the student starts from the weights of its teacher. "auto" does so if
        both have the same network and classes.
    unlabeled_fraction : float or None, default=0.5
        Share of each batch that is drawn from the unlabelled rows, in [0, 1); None
        draws rows as they come.
    prior : prior or array-like of shape (C, C), default=None
        What the labels know of each other, as in `SmoothedAnticipator`.
    smoothing : float, default=0.0
        Weight of the prior, in [0, 1].
    teacher_cache : path-like, default=None
        Folder in which fitted teachers and their maps are kept for later fits with the
        same data, teacher and seed, as in a grid search over other parameters. Needs
        an integer `random_state`. None keeps nothing.
    max_epochs : int, default=50
        Number of epochs; each takes as many steps as a pass over all training rows,
        unlabelled ones too.
    batch_size : int, default=128
        Rows in a step.
    optimizer, lr, momentum, weight_decay, lr_schedule : object
        Training, as in `SmoothedAnticipator`.
    early_stopping, validation_fraction, n_iter_no_change, tol, scoring : object
        When to stop, as in `SmoothedAnticipator`.
    class_weight, marginal_loss, logit_adjustment, classes, unlabeled_label : object
        Labels, as in `SmoothedAnticipator`; unlabelled rows for which no teacher
        speaks are dropped with a warning.
    dtype, device, n_threads, random_state, verbose : object
        Computing, as in `SmoothedAnticipator`.
    warm_start : bool, default=False
        Continue from the weights of the last fit; the teacher is fitted anew.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    network_ : torch.nn.Module
        The trained student, on the CPU, in evaluation mode.
    network_spec_ : NetworkSpec
        What it was built from.
    teacher_ : classifier or None
        The fitted teacher; None if nobody was asked.
    started_from_teacher_ : bool
        Whether the student started from the weights of the teacher.
    feature_weight_ : float
        Weight of the feature loss that was used.
    prior_ : prior
        The fitted prior.
    history_ : list of dict
        One record an epoch: "epoch", "lr", "loss", "base", "teacher" and "feature"
        where there are such terms, "val_loss", "val_accuracy", "val_top_5_accuracy"
        where there are validation data, and "teacher_val_accuracy" where a held-out
        part has futures.
    loss_curve_, n_iter_, feature_dim_, ... : object
        The others are those of `SmoothedAnticipator`.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: equations 2 to 9.

    Examples
    --------
    >>> from skanticipate import DistilledAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(unlabeled_fraction=0.8, random_state=0)
    >>> model = DistilledAnticipator(random_state=0)
    >>> model.fit(kitchen.X_past, kitchen.y, kitchen.X_future).n_unlabeled_
    480
    >>> model.predict_proba(kitchen.X_past).shape
    (600, 20)
    """

    _parameter_constraints = {
        **BaseAnticipator._parameter_constraints,
        "teacher": [HasMethods(["fit"]), None],
        "alignment": [StrOptions({"weak", "student", "teacher", "direct", "pooled"})],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "feature_weight": [Interval(Real, 0, None, closed="left"), None],
        "teacher_weight": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "cross_fit": [
            Interval(Integral, 2, None, closed="left"),
            Options(Integral, {0}),
        ],
        "init_from_teacher": [StrOptions({"auto"}), "boolean"],
        "unlabeled_fraction": [Interval(Real, 0, 1, closed="left"), None],
        "prior": [HasMethods(["fit", "terms"]), "array-like", None],
        "smoothing": [Interval(Real, 0, 1, closed="both")],
        "teacher_cache": [str, os.PathLike, None],
    }

    def __init__(
        self,
        network=None,
        *,
        teacher=None,
        alignment="weak",
        alpha=None,
        feature_weight=None,
        teacher_weight=0.0,
        temperature=1.0,
        cross_fit=0,
        init_from_teacher="auto",
        unlabeled_fraction=0.5,
        prior=None,
        smoothing=0.0,
        teacher_cache=None,
        max_epochs=50,
        batch_size=128,
        optimizer="adamw",
        lr=2e-3,
        momentum=0.9,
        weight_decay=1e-4,
        lr_schedule=None,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        scoring="loss",
        class_weight=None,
        marginal_loss=None,
        logit_adjustment=0.0,
        classes=None,
        unlabeled_label="auto",
        dtype="auto",
        device="auto",
        n_threads=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.network = network
        self.teacher = teacher
        self.alignment = alignment
        self.alpha = alpha
        self.feature_weight = feature_weight
        self.teacher_weight = teacher_weight
        self.temperature = temperature
        self.cross_fit = cross_fit
        self.init_from_teacher = init_from_teacher
        self.unlabeled_fraction = unlabeled_fraction
        self.prior = prior
        self.smoothing = smoothing
        self.teacher_cache = teacher_cache
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.class_weight = class_weight
        self.marginal_loss = marginal_loss
        self.logit_adjustment = logit_adjustment
        self.classes = classes
        self.unlabeled_label = unlabeled_label
        self.dtype = dtype
        self.device = device
        self.n_threads = n_threads
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _check_signals(self, rows, *, X_future_unlabeled, teacher_proba, **_):
        found = {}
        if X_future_unlabeled is not None:
            futures, seen = check_futures(
                X_future_unlabeled, name="X_future_unlabeled", estimator=self
            )
            compare_with_past(rows, futures, seen, own_network=self.teacher is None)
            warn_of_signed_labels(self.classes_, self.unlabeled_label_)
            found |= {"futures": futures, "seen": seen}
        if teacher_proba is not None:
            found["proba"] = check_teacher_proba(
                teacher_proba, self.classes_, self.classes
            )
        if "proba" not in found and not np.any(found.get("seen", False)):
            warn_if_nobody_is_asked(
                teacher=self.teacher is not None,
                teacher_weight=self.teacher_weight > 0,
                feature_weight=bool(self.feature_weight),
                init_from_teacher=self.init_from_teacher is True,
                X_future_unlabeled=bool(found),
            )
        return found

    def _has_signal(self, samples):
        signal = samples.codes >= 0
        if samples.proba is not None:
            signal = signal | ~np.isnan(samples.proba[:, 0])
        if samples.seen is not None and (samples.proba is None or self.feature_weight):
            signal = signal | samples.seen
        return signal

    def _lesson(self, samples, validation, network, seeds, **options):
        self.prior_, labels = fit_targets(
            new_prior(self.prior, self.classes),
            self.smoothing,
            samples,
            self.classes_,
            **options,
        )
        teaching = None
        if self._needs_teacher(samples):
            teaching = self._ask(samples, seeds["teacher"])
        self.teacher_ = None if teaching is None else teaching.teacher
        self._start(network, teaching)
        features = self._compare(network, samples, teaching, seeds, **options)
        answers = self._answers(samples, teaching, **options)
        objective = DistillationObjective(
            labels,
            samples.weights,
            answers,
            self.temperature if answers and self.teacher_weight > 0 else None,
            features,
            **options,
        )
        return Lesson(
            objective,
            {"teacher": self.teacher_weight, "feature": self.feature_weight_},
            draw=self._draw(samples),
            take_futures=features and features.maps.take_futures,
            modules={"projection": features.projection} if features else {},
            figures=self._teacher_figures(teaching, validation),
        )

    def _needs_teacher(self, samples):
        """Whether there are futures, and a use for a teacher beside `teacher_proba`."""
        if samples.futures is None or not samples.seen.any():
            return False
        used = self.feature_weight or self.init_from_teacher is True
        return samples.proba is None or bool(used)

    def _ask(self, samples, seed):
        """Fit the teacher and get its answers.   -> FutureTeaching."""
        seeded_fit = isinstance(self.random_state, Integral)
        if self.teacher_cache is not None and not seeded_fit:
            raise ValueError(
                "teacher_cache needs an integer random_state, got "
                f"{self.random_state!r}: else every fit has another teacher."
            )
        teacher = teacher_like(self, samples) if self.teacher is None else self.teacher
        return FutureTeaching(
            teacher if isinstance(teacher, FrozenEstimator) else seeded(teacher, seed),
            samples,
            self.classes_,
            cross_fit=self.cross_fit,
            seed=seed,
            folder=self.teacher_cache,
        )

    def _answers(self, samples, teaching, **options):
        """Soft targets given to fit, else those of the teacher."""
        if samples.proba is not None:
            return TeacherAnswers(samples.proba, **options)
        return None if teaching is None else TeacherAnswers(teaching.proba, **options)

    def _start(self, network, teaching):
        """Give the student the weights of its teacher, where that is wanted."""
        if self._continues():
            return
        weights = None
        if teaching is not None and self.init_from_teacher:
            weights = teaching.weights_for(network, self.classes_)
        self.started_from_teacher_ = weights is not None
        if weights is not None:
            network.load_state_dict(weights)
        elif self.init_from_teacher is True and teaching is not None:
            raise ValueError(
                "init_from_teacher=True, but the teacher has no weights for this "
                "student: it needs the same network, clips of the same features and "
                "the same classes, and no transformer before it. Set it to 'auto'."
            )

    def _compare(self, network, samples, teaching, seeds, **options):
        """Weigh the feature loss.   -> FeatureTerm, or None where it counts nothing."""
        self.feature_weight_ = self._weigh_features(teaching)
        if self.feature_weight_ == 0:
            return None
        return feature_term(
            self.network_spec_,
            network,
            samples,
            teaching,
            alignment=self.alignment,
            alpha=self.alpha,
            seed=seeds["projection"],
            **options,
        )

    def _weigh_features(self, teaching):
        """Choose the weight of the feature loss, 0 where there is nobody to compare."""
        weight = self.feature_weight
        if teaching is None:
            return 0.0
        if weight is None:
            mapped = self.started_from_teacher_ and teaching.has_map()
            return _DEFAULT_FEATURE_WEIGHT if mapped else 0.0
        if weight > 0 and not self.started_from_teacher_:
            warn_of_random_start()
        return float(weight)

    def _draw(self, samples):
        labelled = torch.as_tensor(samples.codes >= 0)
        if labelled.all() or self.unlabeled_fraction is None:
            return shuffled(len(samples), self.batch_size)
        kinds = [torch.nonzero(rows).squeeze(1) for rows in (labelled, ~labelled)]
        return mixed(*kinds, self.batch_size, self.unlabeled_fraction)

    def _teacher_figures(self, teaching, validation):
        if teaching is None or validation is None or validation.futures is None:
            return {}
        accuracy = teaching.accuracy(validation, self.classes_)
        return {} if accuracy is None else {"teacher_val_accuracy": accuracy}
