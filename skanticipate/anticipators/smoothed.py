"""SmoothedAnticipator: learn from labels softened by what the labels mean."""

from numbers import Real

from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, Interval

from skanticipate._base import BaseAnticipator
from skanticipate._targets import LabelObjective, LabelTargets
from skanticipate.priors import ArrayPrior, UniformPrior


class SmoothedAnticipator(BaseAnticipator):
    """Anticipate actions from labels smoothed by a prior over actions."""

    _parameter_constraints = {
        **BaseAnticipator._parameter_constraints,
        "prior": [HasMethods(["fit", "terms"]), "array-like", None],
        "smoothing": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        network=None,
        *,
        prior=None,
        smoothing=0.1,
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
        self.prior = prior
        self.smoothing = smoothing
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
        self.classes = classes
        self.unlabeled_label = unlabeled_label
        self.dtype = dtype
        self.device = device
        self.n_threads = n_threads
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _has_signal(self, samples):
        return samples.codes >= 0

    def _objective(self, samples, *, dtype, device):
        y = self.classes_[samples.codes]
        self.prior_ = self._new_prior().fit(self.classes_, y, samples.y_past)
        targets = LabelTargets(
            samples.codes,
            self.prior_.terms(y, samples.y_past),
            self.smoothing,
            dtype=dtype,
            device=device,
        )
        return LabelObjective(targets, samples.weights, dtype=dtype, device=device)

    def _new_prior(self):
        if self.prior is None:
            return UniformPrior()
        if hasattr(self.prior, "fit"):
            return clone(self.prior)
        if self.classes is None:
            raise ValueError(
                "A prior matrix needs classes=, the labels of its rows and columns in "
                "order: without it a class that is missing from y would shift them."
            )
        return ArrayPrior(self.prior, self.classes)
