"""The parameters that all anticipators share: what they mean and what they may be."""

from __future__ import annotations

from functools import cache
from numbers import Integral, Real
from typing import Any, Literal

import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import StrOptions

from skanticipate._typing import FilePath, Labels, OptimizerChoice, Scorer, Seed
from skanticipate.data.docs import filled
from skanticipate.data.numbers import EPOCHS, N_THREADS, Interval
from skanticipate.data.parameters import PATH, check_parameters
from skanticipate.networks.base import NetworkSpec
from skanticipate.terms.focal import FocalLoss
from skanticipate.terms.marginals import MarginalLoss
from skanticipate.training.schedules import Schedule
from skanticipate.training.scoring import WATCHED

# Written once, and put into the docstring of every estimator.
_SHARED = {
    "{shared parameters}": """\
    max_epochs : int, default=50
        Number of epochs; each takes as many steps as a pass over all training rows.
    batch_size : int, default=128
        Rows in a step; the last batch of an epoch may be smaller.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        AdamW, Adam, or stochastic gradient descent with momentum; or a function
        `(parameters, lr)` that gives a `torch.optim.Optimizer` of them. Such fits are
        never trained together with others, `save` leaves the function out, and
        `teacher_cache` takes only one that can be imported by its name.
    lr : float, default=2e-3
        Learning rate at the start.
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterov : bool, default=False
        Whether the momentum of "sgd" is Nesterov's.
    weight_decay : float, default=1e-4
        Weight decay: decoupled in AdamW, part of the gradient in "adam" and "sgd".
    max_grad_norm : float, default=None
        Gradients of a step whose norm, of all of them together, is larger are scaled
        down to it; None leaves them.
    lr_schedule : Schedule, default=None
        How the learning rate changes over the epochs: a `CosineSchedule`,
        `StepSchedule` or `MultiStepSchedule`; None keeps it.
    early_stopping : bool, default=False
        Stop when the validation score has not risen for `n_iter_no_change` epochs, and
        restore the weights of the best epoch. The score is taken on `X_val, y_val` if
        they are given to `fit`, else on a held-out part of the training rows.
    validation_fraction : float, default=0.1
        Share of the labelled rows that is held out; whole groups if `groups` are given.
    n_iter_no_change : int, default=10
        Epochs without a gain before training stops.
    tol : float, default=1e-4
        A gain is more than this.
    scoring : str or callable, default="loss"
        Validation figure by which early stopping goes: "loss", "accuracy" or
        "top_5_accuracy"; or any scorer, by its name in scikit-learn or as a function
        `(estimator, X, y)`, that is asked about the validation rows whose label is one
        of the classes. Higher is better; only a "loss" is to fall. Of five classes or
        fewer "top_5_accuracy" is refused, which is always 1. Rows that are held out
        count by their `sample_weight`, unless a function of your own is asked.
    on_divergence : {"raise", "best"}, default="raise"
        What becomes of a fit whose loss or weights are no longer finite. "raise": an
        error, and the estimator is as it was before. "best": training ends with a
        `ConvergenceWarning`, and the weights of the best epoch so far are kept, as
        early stopping does, which has to be on; if there was none it is an error too.
    loss : FocalLoss, default=None
        What takes the place of the cross-entropy in the base term, of labels and of
        answers in their place alike. None keeps it. The validation figure "loss" is the
        log loss of the probabilities all the same.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the loss; 1 where the dict lacks one. A key that is no
        class is an error, unless the dict names all classes of the labelled rows.
    marginal_loss : MarginalLoss, default=None
        Further terms for the verb and the noun of the label; None has none.
    logit_adjustment : float, default=0.0
        At prediction this much of the logarithm of each class's frequency in training
        is subtracted from its score; see `class_log_frequency_`. Values up to 1 favour
        rare classes, for measures that count all classes alike, such as mean top-k
        recall.
    classes : array-like of shape (C,), default=None
        The class set, so that rare classes may be missing from a fold. None takes the
        labels of `y`. If -1 is one of them, rows of -1 are labelled, with a warning.
    unlabeled_label : "auto", None or scalar, default="auto"
        Value of `y` that marks a row without label; None if there is no such value.
        "auto" means -1 in whole numbers, unless -1 and 1 are the only values. A label
        that is missing is an error, unless a missing value such as `np.nan` is given
        here: then all of them mark rows without label. Missing are None, NaN, NA, NaT,
        what a mask hides, and the texts "", "nan", "NaN", "<NA>", "NaT", "--", "None",
        "-1" and "-1.0", the last three unless `classes` has them. **No other text is**:
        "NA", "N/A", "null" and "none" are classes like any other.
        Unlabelled rows that no teacher speaks for are dropped with a warning.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the network; "auto" is float64 for float64 input and for whole
        numbers beyond 2**24, which float32 cannot tell apart, else float32.
    device : str or torch.device, default="auto"
        Where to compute; "auto" is the first GPU where there is one.
    precision : {"bf16"} or None, default=None
        "bf16" lets the network compute in bfloat16 while it is trained, from which
        large ones gain where the processor knows it: weights, losses and all that is
        answered stay in float32. Such fits are never trained together with others, and
        `dtype` must not be float64. None computes in `dtype`.
    n_threads : int, default=None
        Threads of torch during fit and predict. None means one for networks of less
        than 5 million parameters. In a forked process there is always one: others
        would wait for ever for threads that only the parent has.
    checkpoint : path-like, default=None
        Folder in which a fit keeps its state, so that the same fit, started again after
        it was ended in whatever way, goes on bit for bit. A finished one is read and
        not trained again, so that a search does only what is missing. The same is a fit
        of equal data, parameters, seed, versions and code of classes of your own; a
        class of a notebook has no file, and then nothing is kept, with a warning. A
        memory map is told by its file, size, time, place and 64 pieces of it. A
        `RecognitionTeacher` keeps its fits in the folder of its student; other teachers
        are fitted again. Of two processes with the same fit the second waits. Needs an
        integer `random_state` and no `warm_start`. What a callback ends early counts as
        interrupted. None keeps nothing.
    checkpoint_every : int, default=1
        Epochs between two writes, at least: they are fewer where writing would take
        more than three hundredths of the time.
    warm_start : bool, default=False
        Continue from the weights of the last fit, whose `network` must not be changed.
        Teachers are fitted anew. With `early_stopping` the same rows stay held out;
        where they cannot, for other rows are given, this is warned of.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, shuffling, dropout and the held-out part. The same
        integer gives the same bits, in threads and processes too.
    verbose : int, default=0
        Whether to print a line each epoch. It begins with who is training where that is
        not the estimator alone: "teacher, fold 2 of 5", "student", "fit 3 of 12".""",
    "{shared attributes}": """\
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    network_ : torch.nn.Module
        The trained network, on the CPU, in evaluation mode.
    network_spec_ : NetworkSpec
        What it was built from.
    history_ : list of dict
        One record an epoch: "epoch", "lr", "loss", "base" and the other terms of the
        objective, and "val_loss", "val_accuracy", "val_top_5_accuracy" where there are
        validation data; with a scorer as `scoring`, "val_score" is what it says.
    loss_curve_ : list of float
        Training loss of each epoch.
    n_iter_ : int
        Number of epochs done.
    class_log_frequency_ : ndarray of shape (C,)
        Logarithm of the share of each class in the labels, of which one more is counted
        for each class, for `logit_adjustment`; 0 for a class without any.
    anticipation_times_ : ndarray of shape (S,)
        Seconds before the action of each stage; NaN where the network does not say.
    feature_dim_ : int
        Size of the last axis of the clips.
    input_shape_ : tuple
        Shape of a clip as the network was built for it.
    n_features_in_ : int
        Number of features; of clips (n, d) only.
    feature_names_in_ : ndarray of shape (d,)
        Names of the features, if `X_past` was a table with names, or a list of such.
    unlabeled_label_ : object
        What marked an unlabelled row in `fit`; None where nothing did.
    n_unlabeled_ : int
        Number of unlabelled rows in `fit`.""",
}


class SharedParameters(BaseEstimator):
    """Constructor of the shared parameters; estimators add those of their signals.

    In the docstring of a subclass ``{shared parameters}`` and ``{shared attributes}``
    stand for their paragraphs.
    """

    def __init_subclass__(cls, **options):
        """Complete the docstring of a subclass."""
        super().__init_subclass__(**options)
        for mark, paragraphs in _SHARED.items():
            if cls.__doc__ is not None:
                cls.__doc__ = filled(cls.__doc__, mark, paragraphs)

    @classmethod
    @cache
    def _get_param_names(cls):
        """As scikit-learn has it, which reads the signature at every call."""
        return super()._get_param_names()

    _only_for_fit = ("optimizer", "scoring")  # which predictions do not depend on

    _parameter_constraints = {
        "network": [NetworkSpec, None],
        "max_epochs": [EPOCHS],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"adamw", "adam", "sgd"}), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterov": ["boolean"],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "lr_schedule": [Schedule, None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [EPOCHS],
        "tol": [Interval(Real, 0, None, closed="left")],
        "scoring": [StrOptions({*WATCHED, *get_scorer_names()}), callable],
        "on_divergence": [StrOptions({"raise", "best"})],
        "loss": [FocalLoss, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "marginal_loss": [MarginalLoss, None],
        "logit_adjustment": [Interval(Real, 0, 1e15, closed="both")],
        "classes": ["array-like", None],
        "unlabeled_label": "no_validation",
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "device": [str, torch.device],
        "precision": [StrOptions({"bf16"}), None],
        "n_threads": [N_THREADS, None],
        "checkpoint": [PATH, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        network: NetworkSpec | None = None,
        *,
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
        self.network = network
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.on_divergence = on_divergence
        self.loss = loss
        self.class_weight = class_weight
        self.marginal_loss = marginal_loss
        self.logit_adjustment = logit_adjustment
        self.classes = classes
        self.unlabeled_label = unlabeled_label
        self.dtype = dtype
        self.device = device
        self.precision = precision
        self.n_threads = n_threads
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _validate_params(self):
        check_parameters(self)
        if self.optimizer == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError(
                "nesterov=True needs a momentum above 0, got momentum=0: Nesterov's "
                "step looks ahead along it."
            )
        if self.on_divergence == "best" and not self.early_stopping:
            raise ValueError(
                "on_divergence='best' needs early_stopping=True, whose validation "
                "score tells which weights are the best: set it, or "
                "on_divergence='raise'."
            )
