"""Tran, Wang, Hoai 2019: a teacher that sees the future, on maps of I3D."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from skanticipate._typing import Weights
from skanticipate.anticipators.distilled import DistilledAnticipator
from skanticipate.networks import InceptionTail
from skanticipate.presets.given import also_for_teacher, with_given
from skanticipate.teachers import RecognitionTeacher
from skanticipate.training.schedules import MultiStepSchedule, StepSchedule


def tran2019_jhmdb(
    *, weights: Weights | None = None, **parameters: Any
) -> DistilledAnticipator:
    """Tran, Wang, Hoai on JHMDB: student and teacher are the end of I3D.

    Both train for 80 epochs by SGD with a rate of 0.01, a tenth of it after 20 epochs,
    momentum 0.9 and a weight decay of 1e-5. The student is drawn to the teacher's map
    of Mixed_4f by the symmetric weakly aligned loss (equations 4 to 9) in its Huber
    form, with a scale of 1 / sqrt(d). Clips are maps of I3D's MaxPool3d_4a_3x3, of 8
    frames: (n, 2, 14, 14, 480), so that the compared maps have 2 x 14 x 14 positions of
    832 channels. The past clip ends 15 frames before the future one.

    *Ours*: batches of 32, a feature weight of 0.1 (lambda is never given), and networks
    from this layer on, where the paper trains from pixels.

    Parameters
    ----------
    weights : path or mapping, default=None
        Pre-trained weights of I3D, from which both networks start: the paper's are
        those of Kinetics. None lets the teacher start at random, and the student from
        its teacher's weights.
    **parameters
        Parameters of the estimator, in place of the paper's. What the paper has alike
        for student and teacher, such as `max_epochs` and `network__width`, is given to
        both; ``teacher__max_epochs`` is the teacher's alone.

    Returns
    -------
    DistilledAnticipator

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: section 4.2.

    Examples
    --------
    >>> from skanticipate import presets
    >>> model = presets.tran2019_jhmdb()
    >>> model.max_epochs, model.lr, model.lr_schedule
    (80, 0.01, MultiStepSchedule(milestones=[20]))
    """
    training = {
        "max_epochs": 80,
        "batch_size": 32,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-5,
        "lr_schedule": MultiStepSchedule([20], 0.1),
    }
    student = _tran(InceptionTail(weights=weights), training, teacher=training)
    return with_given(student, also_for_teacher(student, parameters))


def tran2019_epic(
    *, weights: Weights | None = None, **parameters: Any
) -> DistilledAnticipator:
    """Tran, Wang, Hoai on EPIC-KITCHENS-55: the end of I3D on stored maps.

    Student and teacher train for 30 epochs by SGD with momentum 0.9 and a weight decay
    of 1e-5: the student with a rate of 0.001, a tenth of it after 20 epochs, in batches
    of 32; the teacher with a rate of 0.1, a tenth of it every 5 epochs. Clips are maps
    of I3D's MaxPool3d_4a_3x3, of 32 frames of 256 x 456: (n, 8, 16, 29, 480), of which
    a random part of 14 x 14 is read in training and the middle in prediction; the past
    clip ends 1 s before the action. Labels are the 125 verbs; unlabelled pairs of clips
    1 s apart come from within 10 s of the training segments
    (`skanticipate.datasets.unlabeled_pairs`).

    *Ours*: batches of 32 for the teacher too, a feature weight of 0.1 (lambda is never
    given), the compared layer Mixed_4f and the Huber form of its loss (both as on
    JHMDB), and labelled and unlabelled rows drawn as they come.

    Parameters
    ----------
    weights : path or mapping, default=None
        Pre-trained weights of I3D, from which both networks start: the paper's are
        those of Kinetics. None lets the teacher start at random, and the student from
        its teacher's weights.
    **parameters
        Parameters of the estimator, in place of the paper's. What the paper has alike
        for student and teacher, such as `max_epochs` and `network__width`, is given to
        both; ``teacher__max_epochs`` is the teacher's alone.

    Returns
    -------
    DistilledAnticipator

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: section 4.3.

    Examples
    --------
    >>> from skanticipate import presets
    >>> model = presets.tran2019_epic(max_epochs=2)
    >>> model.max_epochs, model.teacher.max_epochs
    (2, 2)
    >>> model.lr, model.teacher.lr
    (0.001, 0.1)
    """
    shared = {
        "max_epochs": 30,
        "batch_size": 32,
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 1e-5,
    }
    student = _tran(
        InceptionTail(crop_size=14, weights=weights),
        shared | {"lr": 0.001, "lr_schedule": MultiStepSchedule([20], 0.1)},
        teacher=shared | {"lr": 0.1, "lr_schedule": StepSchedule(5, factor=0.1)},
    )
    return with_given(student, also_for_teacher(student, parameters))


def _tran(network, training, *, teacher):
    """Student and teacher of one architecture, each with its own training."""
    return DistilledAnticipator(
        network,
        teacher=RecognitionTeacher(clone(network), **teacher),
        alignment="weak",
        alpha=None,
        feature_weight=0.1,
        teacher_weight=0.0,
        temperature=1.0,
        init_from_teacher="auto" if network.weights is None else False,
        unlabeled_fraction=None,
        smoothing=0.0,
        **training,
    )
