"""DistilledAnticipator: learn from teachers who know what the student may not see."""

import os
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from skanticipate._base import BaseAnticipator
from skanticipate._batches import mixed, shuffled
from skanticipate._objectives import (
    AnswerTerm,
    DistillationObjective,
    TeacherAnswers,
)
from skanticipate._targets import Lesson, fit_targets, new_prior
from skanticipate.anticipators._futures import (
    compare_features,
    start_from_teacher,
    weigh_features,
)
from skanticipate.anticipators._signals import check_signals, has_signal
from skanticipate.anticipators._teachers import ask_future_teacher, ask_text_teacher


class DistilledAnticipator(BaseAnticipator):
    """Anticipate actions with the help of teachers who know more than the student.

    One teacher sees the future: it is fitted on the clips of the actions themselves,
    the student on the clips before them, and what it makes of a future reaches the
    student as soft targets and as a feature map. Another reads the labels of the past
    actions, and tells what usually comes next. Each is asked where `fit` is given what
    it may see; at prediction nobody needs a future or a text. The objective of a step
    is the sum of::

        base      mean over labelled rows of
                    CE((1 - smoothing) * onehot(y) + smoothing * prior row, p)
                  and over unlabelled rows of KL(teacher || p)
        teacher   teacher_weight * T^2 * KL(teacher^(1/T) || p^(1/T)),
                  mean over labelled rows with a future
        feature   feature_weight * L_d(student map, teacher map; alpha),
                  mean over rows with a future
        text      text_weight * T^2 * KL(text teacher^(1/T) || p^(1/T)),
                  mean over rows with a history, labelled or not

    Expect a gain from futures where labels are few and unlabelled pairs of past and
    future many. It comes from the soft targets of unlabelled rows; feature losses add
    little, and need a student that starts from its teacher's weights.

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
        Number of teachers of each kind, at least 2, of which each is fitted without
        the fold of rows it answers for, by groups if they are given; the map comes from
        one more that is fitted on all. 0 means one teacher, which also answers for rows
        it was fitted on.
    init_from_teacher : "auto" or bool, default="auto"
        Whether the student starts from the weights of its teacher. "auto" does so if
        both have the same network and classes.
    unlabeled_fraction : float or None, default=0.5
        Share of each batch that is drawn from the unlabelled rows, in [0, 1); None
        draws rows as they come.
    text_teacher : classifier, default=None
        Cloned and fitted on the labelled rows of `past_actions`: any classifier or
        Pipeline with `predict_proba` that reads them, such as `LanguageTeacher`. A
        `FrozenEstimator` is used as it is. None means a `HistoryTeacher` with the
        device and threads of the student. Classes that it does not know have a
        probability of 0 for it: let it see them all, or lower `text_weight`.
    text_weight : float, default=1.0
        Weight of the text teacher's soft targets; 0 asks nobody.
    text_temperature : float, default=1.0
        Temperature T of these soft targets.
    text_top_k : int, default=None
        Compare with the text teacher on its k most probable classes only. None means
        all.
    prior : prior or array-like of shape (C, C), default=None
        What the labels know of each other, as in `SmoothedAnticipator`.
    smoothing : float, default=0.0
        Weight of the prior, in [0, 1].
    teacher_cache : path-like, default=None
        Folder in which fitted teachers and their maps are kept for later fits with the
        same data, teacher and seed, as in a grid search over other parameters. Needs
        an integer `random_state`. None keeps nothing. Also told apart are the contents
        of a language model's folder and of other files that a teacher names, versions,
        and the code of classes of your own with the modules of yours that they import;
        a class of a notebook has no file, and is not kept, with a warning. A complete
        folder may be read-only.
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
        speaks are dropped with a warning. Weights of classes are part of the weights of
        the rows that teachers get.
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
    teacher_, text_teacher_ : classifier or None
        The fitted teachers; None if nobody was asked.
    started_from_teacher_ : bool
        Whether the student started from the weights of the teacher.
    feature_weight_ : float
        Weight of the feature loss that was used.
    prior_ : prior
        The fitted prior.
    history_ : list of dict
        One record an epoch: "epoch", "lr", "loss", "base", "teacher", "text" and
        "feature" where there are such terms, "val_loss", "val_accuracy",
        "val_top_5_accuracy" where there are validation data, "teacher_val_accuracy"
        and "text_val_accuracy" where a held-out part has futures and histories.
    loss_curve_, n_iter_, feature_dim_, ... : object
        The others are those of `SmoothedAnticipator`.

    Notes
    -----
    Histories tell labels: that of a clip stands in the histories of the clips after it,
    so where there are histories, hardly a clip of that video need be unlabelled.

    Ghosh et al. average the divergence from the text teacher over rows and classes,
    with a weight of lambda: that is `text_weight` = lambda / (number of classes that
    are compared). Their settings are `text_temperature=10, text_weight=1.415` for
    EGTEA Gaze+ (lambda 150, 106 classes) and `text_temperature=5, text_weight=0.4,
    text_top_k=50` for EPIC-KITCHENS-55 (lambda 20).

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: equations 2 to 9.
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991.

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
        "text_teacher": [HasMethods(["fit"]), None],
        "text_weight": [Interval(Real, 0, None, closed="left")],
        "text_temperature": [Interval(Real, 0, None, closed="neither")],
        "text_top_k": [Interval(Integral, 1, None, closed="left"), None],
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
        text_teacher=None,
        text_weight=1.0,
        text_temperature=1.0,
        text_top_k=None,
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
        self.text_teacher = text_teacher
        self.text_weight = text_weight
        self.text_temperature = text_temperature
        self.text_top_k = text_top_k
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

    def _check_signals(
        self, rows, *, X_future_unlabeled, past_actions, teacher_proba, groups, **_
    ):
        return check_signals(
            self,
            rows,
            X_future_unlabeled=X_future_unlabeled,
            past_actions=past_actions,
            teacher_proba=teacher_proba,
            groups=groups,
        )

    def _has_signal(self, samples):
        return has_signal(self, samples)

    def _lesson(self, samples, validation, network, seeds, **options):
        self.prior_, labels = fit_targets(
            new_prior(self.prior, self.classes),
            self.smoothing,
            samples,
            self.classes_,
            **options,
        )
        seeing = ask_future_teacher(self, samples, seeds["teacher"])
        reading = ask_text_teacher(self, samples, seeds["text_teacher"])
        self.teacher_ = None if seeing is None else seeing.teacher
        self.text_teacher_ = None if reading is None else reading.teacher
        if not self._continues():
            self.started_from_teacher_ = start_from_teacher(self, network, seeing)
        self.feature_weight_ = weigh_features(self, seeing)
        features = compare_features(
            self, network, samples, seeing, seeds["projection"], **options
        )
        answers = self._answers(samples, seeing, **options)
        terms = self._answer_terms(labels, answers, reading, **options)
        if features is not None:
            terms["feature"] = features
        return Lesson(
            DistillationObjective(labels, samples.weights, answers, terms, **options),
            {
                "teacher": self.teacher_weight,
                "text": self.text_weight,
                "feature": self.feature_weight_,
            },
            draw=self._draw(samples),
            take_futures=features and features.maps.take_futures,
            modules={"projection": features.projection} if features else {},
            figures=self._teacher_figures(validation, teacher=seeing, text=reading),
        )

    def _answers(self, samples, teaching, **options):
        """Soft targets given to fit, else those of the teacher."""
        if samples.proba is not None:
            return TeacherAnswers(samples.proba, **options)
        return None if teaching is None else TeacherAnswers(teaching.proba, **options)

    def _answer_terms(self, labels, answers, reading, **options):
        """Terms of the soft targets that come beside the labels."""
        terms = {}
        if answers is not None and self.teacher_weight > 0:
            labelled = (labels.codes >= 0) & answers.given
            terms["teacher"] = AnswerTerm(answers, labelled, self.temperature)
        if reading is not None:
            texts = TeacherAnswers(reading.proba, **options)
            terms["text"] = AnswerTerm(
                texts, texts.given, self.text_temperature, self.text_top_k
            )
        return terms

    def _draw(self, samples):
        labelled = torch.as_tensor(samples.codes >= 0)
        if labelled.all() or self.unlabeled_fraction is None:
            return shuffled(len(samples), self.batch_size)
        kinds = [torch.nonzero(rows).squeeze(1) for rows in (labelled, ~labelled)]
        return mixed(*kinds, self.batch_size, self.unlabeled_fraction)

    def _teacher_figures(self, validation, **teachings):
        """Accuracy of each teacher on the validation rows it can judge."""
        figures = {}
        for name, teaching in teachings.items():
            if teaching is not None and validation is not None:
                accuracy = teaching.accuracy(validation, self.classes_)
                if accuracy is not None:
                    figures[f"{name}_val_accuracy"] = accuracy
        return figures
