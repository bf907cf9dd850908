"""DistilledAnticipator: learn from teachers who know what the student may not see."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Options, StrOptions

from skanticipate._typing import FilePath, Labels, OptimizerChoice, Scorer, Seed
from skanticipate.data.numbers import FACTOR, Interval
from skanticipate.data.parameters import PATH
from skanticipate.estimator.base import BaseAnticipator
from skanticipate.estimator.fit_key import kept_beside
from skanticipate.networks.base import NetworkSpec
from skanticipate.priors.base import BasePrior
from skanticipate.priors.labels import new_prior
from skanticipate.signals.future import FutureSignal
from skanticipate.signals.labels import LabelSignal
from skanticipate.signals.signal import Asked
from skanticipate.signals.text import TextSignal
from skanticipate.teachers.history import HistoryTeacher
from skanticipate.teachers.recognition import teacher_like
from skanticipate.terms.focal import FocalLoss
from skanticipate.terms.marginals import MarginalLoss
from skanticipate.training.batches import mixed
from skanticipate.training.schedules import Schedule


class DistilledAnticipator(BaseAnticipator):
    """Anticipate actions with the help of teachers who know more than the student.

    One teacher sees the future: it is fitted on the clips of the actions themselves,
    the student on the clips before them, and what it makes of a future reaches the
    student as soft targets and as a feature map. Another reads the labels of the past
    actions, and tells what usually comes next. Each is asked where `fit` is given what
    it may see; at prediction nobody needs a future or a text. The objective of a step
    is the sum of::

        base      one mean over the labelled rows, each with
                    CE((1 - smoothing) * onehot(y) + smoothing * prior row, p),
                  and the unlabelled rows, each with KL(teacher || p)
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
        many steps; its network reads futures to their end, whatever `random_delay` and
        `anticipation_time` are. Where its `fit` names them, or it is a search, it gets
        `groups` and the weights of the rows; that it does not get them is warned of
        where it matters.
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
        probability of 0 for it: let it see them all, or lower `text_weight`. Several
        are one `TeacherEnsemble`: their mean, their maximum, or weighed by an attention
        that is trained with the student, who is then not trained together with others
        in a search.
    text_weight : float, default=1.0
        Weight of the text teacher's soft targets; 0 asks nobody.
    text_temperature : float, default=1.0
        Temperature T of these soft targets.
    text_top_k : int, default=None
        Compare with the text teacher on its k most probable classes only. None means
        all.
    prior : prior or array-like of shape (C, C), default=None
        What the labels know of each other. None means `UniformPrior`, which is plain
        label smoothing. A matrix needs `classes`, the labels of its rows and columns.
    smoothing : float, default=0.1
        Weight of the prior, in [0, 1]; 0 trains on the labels as they are.
    teacher_cache : path-like, default=None
        Folder in which fitted teachers and their maps are kept for later fits with the
        same data, teacher and seed, as in a grid search over other parameters. Needs
        an integer `random_state`. None keeps nothing. Also told apart are the contents
        of a language model's folder and of other files that a teacher names, versions,
        and the code of classes of your own with the modules of yours that they import;
        a class of a notebook has no file, and is not kept, with a warning. Not told
        apart are data files that such a module reads when it is imported. A complete
        folder may be read-only. A damaged file of a teacher is refused; of maps, which
        are read a batch at a time, only size and description are checked.
    {shared parameters}

    Attributes
    ----------
    teacher_, text_teacher_ : classifier or None
        The fitted teachers; None if nobody was asked.
    started_from_teacher_ : bool
        Whether the student started from the weights of the teacher.
    feature_weight_ : float
        Weight of the feature loss that was used.
    prior_ : prior
        The fitted prior.
    {shared attributes}

    Notes
    -----
    The terms in `history_` are "teacher", "text" and "feature" beside "base", and those
    of the network, "past" and "auxiliary"; it tells "teacher_val_accuracy" and
    "text_val_accuracy" too, where a held-out part has futures and histories. The
    default teacher has no loss of the past: what is labelled are steps of `X_past`.
    Weights of classes are part of the weights of the rows that teachers get.

    Histories tell labels: that of a clip stands in the histories of the clips after it,
    so where there are histories, hardly a clip of that video need be unlabelled.

    Of several candidate histories of a row, `past_actions` of three axes, the text
    teacher sees one at a time; all are in one fold of `cross_fit` and, where it holds
    rows out by `groups`, on one side. The student learns from the mean of the
    logarithms of its answers, normalised again: up to a constant of each candidate,
    the mean of its logits. Several texts of a row there cannot be, since (n, L) are
    labels.

    Ghosh et al. average the divergence from the text teacher over rows and classes,
    with a weight of lambda: that is `text_weight` = lambda / (number of classes that
    are compared). Their settings are, with `smoothing=0`, `text_temperature=10,
    text_weight=1.415` for EGTEA Gaze+ (lambda 150, 106 classes) and
    `text_temperature=5, text_weight=0.4, text_top_k=50` for EPIC-KITCHENS-55
    (lambda 20).

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

    prior_: BasePrior
    teacher_: BaseEstimator | None
    text_teacher_: BaseEstimator | None

    _teachers = ("teacher", "text_teacher")  # predictions need none
    _parameter_constraints = {
        **BaseAnticipator._parameter_constraints,
        "teacher": [HasMethods(["fit"]), None],
        "alignment": [StrOptions({"weak", "student", "teacher", "direct", "pooled"})],
        "alpha": [Interval(Real, 0, FACTOR.right, closed="both"), None],
        "feature_weight": [Interval(Real, 0, None, closed="left"), None],
        "teacher_weight": [Interval(Real, 0, None, closed="left")],
        "temperature": [FACTOR],
        "cross_fit": [
            Interval(Integral, 2, None, closed="left"),
            Options(Integral, {0}),
        ],
        "init_from_teacher": [StrOptions({"auto"}), "boolean"],
        "unlabeled_fraction": [Interval(Real, 0, 1, closed="left"), None],
        "text_teacher": [HasMethods(["fit"]), None],
        "text_weight": [Interval(Real, 0, None, closed="left")],
        "text_temperature": [FACTOR],
        "text_top_k": [Interval(Integral, 1, None, closed="left"), None],
        "prior": [HasMethods(["fit", "terms"]), "array-like", None],
        "smoothing": [Interval(Real, 0, 1, closed="both")],
        "teacher_cache": [PATH, None],
    }

    def __init__(
        self,
        network: NetworkSpec | None = None,
        *,
        teacher: BaseEstimator | None = None,
        alignment: Literal["weak", "student", "teacher", "direct", "pooled"] = "weak",
        alpha: float | None = None,
        feature_weight: float | None = None,
        teacher_weight: float = 0.0,
        temperature: float = 1.0,
        cross_fit: int = 0,
        init_from_teacher: bool | Literal["auto"] = "auto",
        unlabeled_fraction: float | None = 0.5,
        text_teacher: BaseEstimator | None = None,
        text_weight: float = 1.0,
        text_temperature: float = 1.0,
        text_top_k: int | None = None,
        prior: BasePrior | ArrayLike | None = None,
        smoothing: float = 0.1,
        teacher_cache: FilePath | None = None,
        max_epochs: int = 50,
        batch_size: int = 128,
        optimizer: OptimizerChoice = "adamw",
        lr: float = 2e-3,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 1e-4,
        max_grad_norm: float | None = None,
        lr_schedule: Schedule | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        scoring: str | Scorer = "loss",
        on_divergence: Literal["raise", "best"] = "raise",
        loss: FocalLoss | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        marginal_loss: MarginalLoss | None = None,
        logit_adjustment: float = 0.0,
        classes: Labels | None = None,
        unlabeled_label: object = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        device: str | torch.device = "auto",
        precision: Literal["bf16"] | None = None,
        n_threads: int | None = None,
        checkpoint: FilePath | None = None,
        checkpoint_every: int = 1,
        warm_start: bool = False,
        random_state: Seed | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            network,
            max_epochs=max_epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            lr_schedule=lr_schedule,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            scoring=scoring,
            on_divergence=on_divergence,
            loss=loss,
            class_weight=class_weight,
            marginal_loss=marginal_loss,
            logit_adjustment=logit_adjustment,
            classes=classes,
            unlabeled_label=unlabeled_label,
            dtype=dtype,
            device=device,
            precision=precision,
            n_threads=n_threads,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
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

    def _signals(self):
        return [
            LabelSignal(
                prior=new_prior(self.prior, self.classes), smoothing=self.smoothing
            ),
            FutureSignal(
                self._asked(self.teacher, partial(teacher_like, self)),
                weight=self.teacher_weight,
                temperature=self.temperature,
                classes=self.classes,
                alignment=self.alignment,
                alpha=self.alpha,
                feature_weight=self.feature_weight,
                init_from_teacher=self.init_from_teacher,
                started=self.started_from_teacher_ if self._continues() else None,
            ),
            TextSignal(
                self._asked(
                    self.text_teacher,
                    lambda *_: HistoryTeacher(
                        device=self.device, n_threads=self.n_threads
                    ),
                ),
                weight=self.text_weight,
                temperature=self.text_temperature,
                top_k=self.text_top_k,
            ),
        ]

    def _asked(self, teacher, default):
        """Whom a signal asks: a parameter, or what None stands for.   -> Asked."""
        if self.checkpoint is not None:
            teacher = kept_beside(teacher, self)
        return Asked(teacher, default, self.cross_fit, self._cache_folder())

    def _cache_folder(self):
        if self.teacher_cache is not None and not isinstance(
            self.random_state, Integral
        ):
            raise ValueError(
                "teacher_cache needs an integer random_state, got "
                f"{self.random_state!r}: else every fit has another teacher."
            )
        return self.teacher_cache

    def _draw(self, samples):
        """Batches of an epoch, with a fixed share of unlabelled samples."""
        labelled = torch.as_tensor(samples.codes >= 0)
        if labelled.all() or self.unlabeled_fraction is None:
            return super()._draw(samples)
        kinds = [torch.nonzero(rows).squeeze(1) for rows in (labelled, ~labelled)]
        return mixed(*kinds, self.batch_size, self.unlabeled_fraction)
