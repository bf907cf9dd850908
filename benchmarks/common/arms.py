"""Arms of a comparison: who teaches the student, and by what."""

from typing import NamedTuple

from skanticipate import DistilledAnticipator, SmoothedAnticipator

N_LABELLED = 32  # labelled clips in each step of every arm
STEPS = 10  # of a period, at least: lengths are counted in periods
ALIGNMENTS = ("weak", "student", "teacher", "direct", "pooled")


class Arm(NamedTuple):
    """What a student learns from, beside the labels."""

    sees: str | None = None  # what its teacher sees: "past" or "future"; None: nobody
    soft: bool = False  # soft targets
    start: bool = False  # from the weights of a teacher
    alignment: str | None = None  # of maps
    weight: float = 0.0  # of their loss


class Setting(NamedTuple):
    """What is chosen for an arm."""

    network: str  # name in the networks of a task
    dropout: float
    smoothing: float
    periods: int


LABELS = Arm()
TAUGHT = {
    "soft targets, teacher of the past": Arm("past", soft=True),
    "soft targets": Arm("future", soft=True),
    "start, soft targets, teacher of the past": Arm("past", True, True),
    "start, soft targets": Arm("future", True, True),
}


def student(arm, setting, spec, classes, seed, *, teacher=None, scarce=True):
    """Unfitted student of an arm.

    Parameters
    ----------
    arm, setting : Arm, Setting
        What it learns from, and how.
    spec : NetworkSpec
        The network that the setting names.
    classes : ndarray
        All labels.
    seed : int
        Of weights and batches.
    teacher : FrozenEstimator, default=None
        Whose weights and maps are used.
    scarce : bool
        Whether there are unlabelled clips, which then fill half of each batch; else
        the soft targets are those of labelled clips, at a weight of 1.
    """
    shared = {
        "network": spec,
        "classes": classes,
        "smoothing": setting.smoothing,
        "max_epochs": setting.periods,
        "weight_decay": 1e-2,
        "random_state": seed,
    }
    if arm.sees is None:
        return SmoothedAnticipator(batch_size=N_LABELLED, **shared)
    return DistilledAnticipator(
        **shared,
        batch_size=N_LABELLED * (1 + scarce),
        unlabeled_fraction=0.5 if scarce else None,
        teacher=teacher,
        init_from_teacher=arm.start,
        alignment=arm.alignment or "weak",
        feature_weight=arm.weight,
        teacher_weight=float(arm.soft and not scarce),
    )
