"""RecognitionTeacher: names the action in a clip that its student may not see."""

from skanticipate.estimator.base import BaseAnticipator
from skanticipate.signals.labels import LabelSignal
from skanticipate.training.schedules import StretchedSchedule


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
    {shared parameters}

    Attributes
    ----------
    {shared attributes}

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

    def _signals(self):
        return [LabelSignal()]


def teacher_like(student, n_samples, n_taught):
    """`RecognitionTeacher` with the network and the training of a student.

    It takes as many steps as the student, who learns from `n_samples`, of which it can
    learn from `n_taught`: with few labels, as many passes over the labelled rows as the
    student makes over all rows would be far too few.
    """
    n_steps = -(-n_samples // student.batch_size)  # of an epoch
    ratio = n_steps / -(-max(1, n_taught) // student.batch_size)
    schedule = student.lr_schedule
    return RecognitionTeacher(
        student.network and student.network.for_futures(),
        max_epochs=round(ratio * student.max_epochs),
        batch_size=student.batch_size,
        optimizer=student.optimizer,
        lr=student.lr,
        momentum=student.momentum,
        nesterov=student.nesterov,
        weight_decay=student.weight_decay,
        max_grad_norm=student.max_grad_norm,
        lr_schedule=schedule and StretchedSchedule(schedule, ratio),
        early_stopping=student.early_stopping,
        validation_fraction=student.validation_fraction,
        n_iter_no_change=round(ratio * student.n_iter_no_change),
        tol=student.tol,
        scoring=student.scoring,
        on_divergence=student.on_divergence,
        loss=student.loss,
        marginal_loss=student.marginal_loss,
        classes=student.classes_,
        unlabeled_label=None,  # class weights are in those of the rows
        dtype=student.dtype,
        device=student.device,
        precision=student.precision,
        n_threads=student.n_threads,
        checkpoint=student.checkpoint,
        checkpoint_every=student.checkpoint_every,
        verbose=student.verbose,
    )
