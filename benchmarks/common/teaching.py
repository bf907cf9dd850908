"""Teachers and students of pairs of clips: fitted once for each row of a table."""

from typing import NamedTuple

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from common.answers import cross_fitted, proba_of
from common.folds import keep_labels
from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    DistilledAnticipator,
    FeatureMapNet,
    FrameMLP,
    PerFrame,
    RecognitionTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
)

NETWORKS = {
    "GRU": LSTM(64, cell="gru", dropout=0.5, input_dropout=0.3),
    "MLP": MLP(128, dropout=0.5),
    "history GRU": LSTM(256, cell="gru", embedding=64, embedding_std=1.0, dropout=0.5),
    "pose GRU": LSTM(128, cell="gru", dropout=0.5, input_dropout=0.2),
    "pose frames": FrameMLP((256, 128), dropout=0.3),
    "pose maps": FeatureMapNet(48, n_blocks=2, patch_size=(2, 1), dropout=0.3),
}


class Training(NamedTuple):
    """How a network is trained."""

    network: str  # name in NETWORKS
    steps: int
    batch_size: int  # labelled clips in a step
    lr: float = 2e-3
    weight_decay: float = 1e-2

    def parameters(self, classes, seed):
        """Parameters that student and teacher share."""
        return {
            "network": NETWORKS[self.network],
            "classes": classes,
            "lr": self.lr,
            "weight_decay": self.weight_decay,
            "lr_schedule": CosineSchedule(),
            "random_state": seed,
        }

    def duration(self, n_rows, batch_size):
        """Epochs that take about the wanted number of steps."""
        per_epoch = -(-n_rows // batch_size)
        epochs = max(1, round(self.steps / per_epoch))
        return {"max_epochs": epochs, "batch_size": batch_size}


class Teachers(NamedTuple):
    """Who answers for the futures."""

    training: Training
    n_networks: int = 2
    n_trees: int = 0  # how many of two kinds of random forests join in
    cross_fit: int = 0


class Row(NamedTuple):
    """A row of the table: what the student learns from."""

    sees: str = "labels"  # or "past" or "future": what its teacher sees
    soft: bool = True  # soft targets
    start: bool = False  # from the weights of a teacher
    alignment: str | None = None  # of maps
    tau: float = 0.0  # weight of log class frequency subtracted at prediction


class Lesson(NamedTuple):
    """One part with one choice of labels: arrays as they go into fit."""

    past: np.ndarray
    future: np.ndarray
    y: np.ndarray  # -1 where the label is hidden
    groups: np.ndarray | None
    past_test: np.ndarray
    future_test: np.ndarray
    classes: np.ndarray


def lesson(pairs, part, fraction, seed):
    """Scale the clips of a part and hide labels."""
    training, test = part
    future = pairs.futures(training, known=training)
    future_test = pairs.futures(test, known=training)
    clips = [pairs.past[training], future, pairs.past[test], future_test]
    if future.dtype.kind == "f":
        scaler = PerFrame(StandardScaler()).fit(future)
        clips = [scaler.transform(c).astype(np.float32) for c in clips]
    y = keep_labels(pairs.y[training], fraction, seed)
    groups = None if pairs.groups is None else pairs.groups[training]
    return Lesson(clips[0], clips[1], y, groups, clips[2], clips[3], pairs.classes)


# ------------------------------------------------------------------------ teachers


def recogniser(n_clips, classes, training, seed):
    """One network, to be fitted on labelled clips."""
    return RecognitionTeacher(
        **training.parameters(classes, seed),
        **training.duration(n_clips, min(training.batch_size, n_clips)),
    )


def ensemble(clips, y, classes, teachers, seed):
    """All members, fitted on labelled clips; they answer with their mean."""
    members = [
        recogniser(len(y), classes, teachers.training, 97 * seed + k)
        for k in range(teachers.n_networks)
    ]
    for summary in (moments, side_by_side)[: teachers.n_trees]:
        forest = ExtraTreesClassifier(200, max_features=0.3, random_state=seed)
        members.append(make_pipeline(FunctionTransformer(summary), forest))
    return TeacherEnsemble(members, average="proba").fit(clips, y)


def moments(clips):
    """Last step, mean and deviation over the steps.   (n, T, ...) -> (n, 3 d)."""
    parts = clips[:, -1], np.nanmean(clips, axis=1), np.nanstd(clips, axis=1)
    return np.concatenate([p.reshape(len(clips), -1) for p in parts], axis=1)


def side_by_side(clips):
    """All steps; padding as zeros.   (n, T, ...) -> (n, T d)."""
    return np.nan_to_num(clips.reshape(len(clips), -1))


def answers(clips, given, teachers, seed):
    """Soft targets of all clips of a lesson.   -> (n, C)."""

    def fit(rows):
        return ensemble(clips[rows], given.y[rows], given.classes, teachers, seed)

    labelled = np.flatnonzero(given.y >= 0)
    if not teachers.cross_fit:
        return proba_of(fit(labelled), clips, given.classes)
    if given.groups is None:
        split = StratifiedKFold(teachers.cross_fit, shuffle=True, random_state=seed)
        folds = split.split(labelled, given.y[labelled])
    else:
        split = GroupKFold(teachers.cross_fit)
        folds = split.split(labelled, groups=given.groups[labelled])
    folds = [(labelled[fitted], labelled[held]) for fitted, held in folds]
    return cross_fitted(fit, clips, folds, given.classes)


def future_answers(given, teachers, seed):
    """Probabilities of the test clips, by teachers that see them.   -> (n, C)."""
    labelled = given.y >= 0
    found = ensemble(
        given.future[labelled], given.y[labelled], given.classes, teachers, seed
    )
    return proba_of(found, given.future_test, given.classes)


class Staff:
    """Teachers of a lesson, each fitted when it is first asked."""

    def __init__(self, given, teachers, seed):
        self.given, self.teachers, self.seed = given, teachers, seed
        self.known = {}
        self.blank = np.full((len(given.y), len(given.classes)), np.nan)

    def proba(self, sees):
        """Soft targets of teachers that see the past or the future."""
        key = "proba", sees
        if key not in self.known:
            clips = getattr(self.given, sees)
            self.known[key] = answers(clips, self.given, self.teachers, self.seed)
        return self.known[key]

    def network(self, sees, training):
        """A frozen teacher whose weights and maps a student can use."""
        key = sees, training
        if key not in self.known:
            labelled = self.given.y >= 0
            clips, y = getattr(self.given, sees)[labelled], self.given.y[labelled]
            teacher = recogniser(len(y), self.given.classes, training, self.seed)
            self.known[key] = FrozenEstimator(teacher.fit(clips, y))
        return self.known[key]


# ------------------------------------------------------------------------ students


def fit_student(row, given, staff, training, options, seed):
    """Fit the student of a row.

    All rows take as many steps, with as many labelled clips in each.
    """
    share = options["unlabeled_fraction"] if (given.y < 0).any() else 0.0
    batch_size = round(training.batch_size / (1 - share))
    shared = training.parameters(given.classes, seed)
    duration = training.duration(len(given.y), batch_size)
    if not (row.soft and row.sees != "labels") and row.alignment is None:
        # Labelled clips are repeated until they fill as many steps as the others take.
        n_steps = -(-len(given.y) // batch_size)
        labelled = np.flatnonzero(given.y >= 0)
        batch_size -= round(share * batch_size)
        rows = np.resize(labelled, max(n_steps * batch_size, len(labelled)))
        epochs = n_steps * duration["max_epochs"] / -(-len(rows) // batch_size)
        duration = {"max_epochs": round(epochs), "batch_size": batch_size}
    else:
        rows = np.arange(len(given.y))
    past, y = given.past[rows], given.y[rows]
    weight = 0.0 if share else options["teacher_weight"]  # labelled clips: at 100 %
    if row.sees == "labels":
        return SmoothedAnticipator(**shared, **duration, smoothing=0.0).fit(past, y)
    student = DistilledAnticipator(
        **shared,
        **duration,
        unlabeled_fraction=share or None,
        teacher=staff.network(row.sees, training) if row.start else None,
        init_from_teacher=row.start,
        alignment=row.alignment or "weak",
        feature_weight=options["feature_weight"] if row.alignment else 0.0,
        teacher_weight=weight if row.soft else 0.0,
        smoothing=0.0,
    )
    proba = staff.proba(row.sees) if row.soft else staff.blank
    future = getattr(given, row.sees)[rows]
    return student.fit(past, y, future, teacher_proba=proba[rows])


def predictions(rows, given, staff, training, options, seed):
    """Probabilities of the test clips for each of the rows.   -> {name: (n, C)}."""
    labelled = given.y[given.y >= 0]
    counts = (labelled[:, None] == given.classes).sum(axis=0)
    found, fitted = {}, {}
    for name, row in rows.items():
        same = row._replace(tau=0.0)
        if same not in fitted:
            student = fit_student(same, given, staff, training, options, seed)
            fitted[same] = student.predict_proba(given.past_test)
        found[name] = fitted[same] / np.maximum(counts, 1.0) ** row.tau
    return found
