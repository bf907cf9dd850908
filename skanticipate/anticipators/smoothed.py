"""SmoothedAnticipator: learn from labels softened by what the labels mean."""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import HasMethods

from skanticipate._typing import FilePath, Labels, OptimizerChoice, Scorer, Seed
from skanticipate.data.numbers import Interval
from skanticipate.estimator.base import BaseAnticipator
from skanticipate.networks.base import NetworkSpec
from skanticipate.priors.base import BasePrior
from skanticipate.priors.labels import new_prior
from skanticipate.signals.labels import LabelSignal
from skanticipate.terms.focal import FocalLoss
from skanticipate.terms.marginals import MarginalLoss
from skanticipate.training.schedules import Schedule


class SmoothedAnticipator(BaseAnticipator):
    """Anticipate actions from labels that are softened by what the labels mean.

    The label of a clip is mixed with a row of a prior over actions, such as the
    actions that share its verb or noun, or those that often come before it::

        (1 - smoothing) * onehot(y) + smoothing * prior row

    and the network learns this distribution by cross-entropy.

    Parameters
    ----------
    network : NetworkSpec, default=None
        The network to train. None picks `MLP` for clips (n, d) and `LSTM` for
        sequences (n, T, d).
    prior : prior or array-like of shape (C, C), default=None
        What the labels know of each other. None means `UniformPrior`, which is plain
        label smoothing. A matrix needs `classes`, the labels of its rows and columns.
    smoothing : float, default=0.1
        Weight of the prior, in [0, 1]; 0 trains on the labels alone.
    {shared parameters}

    Attributes
    ----------
    prior_ : prior
        The fitted prior.
    {shared attributes}

    References
    ----------
    G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
    Distillation for Action Anticipation via Label Smoothing", ICPR 2020.

    Examples
    --------
    >>> from skanticipate import SmoothedAnticipator, VerbNounPrior
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> model = SmoothedAnticipator(
    ...     prior=VerbNounPrior(kitchen.actions), smoothing=0.2, random_state=0
    ... )
    >>> model.fit(kitchen.X_past[:480], kitchen.y[:480]).n_iter_
    50
    >>> model.predict_proba(kitchen.X_past[480:]).shape
    (120, 20)
    """

    prior_: BasePrior

    _parameter_constraints = {
        **BaseAnticipator._parameter_constraints,
        "prior": [HasMethods(["fit", "terms"]), "array-like", None],
        "smoothing": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        network: NetworkSpec | None = None,
        *,
        prior: BasePrior | ArrayLike | None = None,
        smoothing: float = 0.1,
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
        self.prior = prior
        self.smoothing = smoothing

    def _signals(self):
        prior = new_prior(self.prior, self.classes)
        return [LabelSignal(prior=prior, smoothing=self.smoothing)]
