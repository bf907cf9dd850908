"""RecognitionTeacher: names the action in a clip that its student may not see."""

from sklearn.base import clone

from skanticipate._base import BaseAnticipator
from skanticipate._targets import LabelObjective, LabelTargets, Lesson
from skanticipate.schedules import StretchedSchedule


class RecognitionTeacher(BaseAnticipator):
    """Recognise the action in a clip: the teacher of `DistilledAnticipator`.

    A classifier of clips like any other, trained on labels alone. As a teacher it sees
    the clip of the action itself, or what comes after it, while its student sees only
    what comes before. Its soft answers teach by `teacher_weight` and on unlabelled
    rows, its map by `feature_weight`, and a student of the same network can start from
    its weights. `DistilledAnticipator(teacher=None)` makes one with its own parameters.

    Parameters
    ----------
    network : NetworkSpec, default=None
        The network to train. None picks `MLP` for clips (n, d), `LSTM` for sequences
        (n, T, d) and `FeatureMapNet` for maps (n, ..., d).
    max_epochs, batch_size, optimizer, lr, momentum, weight_decay, lr_schedule : object
        Training, as in `SmoothedAnticipator`.
    early_stopping, validation_fraction, n_iter_no_change, tol, scoring : object
        When to stop, as in `SmoothedAnticipator`.
    class_weight, marginal_loss, logit_adjustment, classes, unlabeled_label : object
        Labels, as in `SmoothedAnticipator`.
    dtype, device, n_threads, warm_start, random_state, verbose : object
        Computing, as in `SmoothedAnticipator`.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    network_ : torch.nn.Module
        The trained network, on the CPU, in evaluation mode.
    network_spec_ : NetworkSpec
        What it was built from.
    history_ : list of dict
        One record an epoch, as in `SmoothedAnticipator`.
    loss_curve_, n_iter_, anticipation_times_, feature_dim_, input_shape_ : object
        As in `SmoothedAnticipator`; `n_features_in_`, `feature_names_in_`,
        `unlabeled_label_` and `n_unlabeled_` too.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: the recognition network R.

    Examples
    --------
    >>> from skanticipate import RecognitionTeacher
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> teacher = RecognitionTeacher(max_epochs=20, random_state=0)
    >>> teacher.fit(kitchen.X_future[:480], kitchen.y[:480])
    RecognitionTeacher(max_epochs=20, random_state=0)
    >>> teacher.feature_map(kitchen.X_future[480:]).shape
    (120, 1, 128)
    """

    def __init__(
        self,
        network=None,
        *,
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

    def _lesson(self, samples, validation, network, seeds, **options):
        targets = LabelTargets(samples.codes, **options)
        return Lesson(LabelObjective(targets, samples.weights, **options))


def teacher_like(student, samples):
    """RecognitionTeacher with the network and the training of a student, unseeded.

    It takes as many steps as its student: with few labels, as many passes over the
    labelled rows as the student makes over all rows would be far too few.
    """
    n_taught = max(1, int((samples.seen & (samples.codes >= 0)).sum()))
    n_steps = -(-len(samples) // student.batch_size)  # of an epoch
    ratio = n_steps / -(-n_taught // student.batch_size)
    schedule = student.lr_schedule
    own = {
        "network": None if student.network is None else clone(student.network),
        "max_epochs": round(ratio * student.max_epochs),
        "n_iter_no_change": round(ratio * student.n_iter_no_change),
        "lr_schedule": schedule and StretchedSchedule(schedule, ratio),
        "classes": student.classes_,
        "unlabeled_label": None,
        "class_weight": None,  # the weights of the rows hold it
        "logit_adjustment": 0.0,
        "warm_start": False,
        "random_state": None,
    }
    names = RecognitionTeacher().get_params(deep=False)
    return RecognitionTeacher(**{**{n: getattr(student, n) for n in names}, **own})
