"""Fits and answers do not depend on how they are computed, nor on how classes lie."""

import numpy as np
import pytest
import torch
from every_network import SMALL, SPECS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skanticipate import (
    LSTM,
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    LateFusion,
    MarginalLoss,
    MixturePrior,
    SmoothedAnticipator,
    TeacherEnsemble,
    TransitionPrior,
    VerbNounPrior,
    fit_many,
)
from skanticipate.datasets import make_kitchen
from skanticipate.priors import ArrayPrior
from skanticipate.training import scoring

RNG = np.random.default_rng(0)
N = 48
Y = np.arange(N) % 4
SHAPES = [(64,), (6, 32), (4, 4, 4, 16)]
THREADS = ["MLP", "LSTM", "AVTHead", "FeatureMapNet"]  # of one kind each


def fitted(name, n_threads):
    """An anticipator over a network, and clips of its kind, some of them padded."""
    said = None
    for shape in SHAPES:
        clips = np.random.default_rng(1).normal(size=(N, *shape))
        if len(shape) == 2:
            clips[::5, :3] = np.nan
        model = SmoothedAnticipator(
            SPECS[name](**SMALL.get(name, {})),
            max_epochs=1,
            dtype="float64",
            n_threads=n_threads,
            random_state=0,
        )
        try:
            return model.fit(clips, Y), clips
        except ValueError as error:  # clips of another kind
            said = error
    raise said


def said_of(model, clips):
    return [
        model.predict_proba(clips),
        model.feature_map(clips),
        *model.staged_predict_proba(clips),
    ]


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("name", SPECS)
def test_batches_and_their_order_have_no_part_in_answers(name, size, monkeypatch):
    model, clips = fitted(name, 1)
    expected = said_of(model, clips)
    monkeypatch.setattr(scoring, "prediction_batch", lambda rows: size)
    for found, known in zip(said_of(model, clips[::-4]), expected, strict=True):
        assert_allclose(found, known[::-4], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", THREADS)
def test_threads_have_no_part(name):
    model, clips = fitted(name, 1)
    more, _ = fitted(name, 2)
    assert_allclose(more.loss_curve_, model.loss_curve_, rtol=1e-9)
    expected = said_of(model, clips)
    for found, known in zip(said_of(more, clips), expected, strict=True):
        assert_allclose(found, known, rtol=1e-6, atol=1e-9)


MODES = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_torch_around_a_call_have_no_part(mode):
    clips = np.random.default_rng(1).normal(size=(N, 6, 8)).astype(np.float32)
    model = SmoothedAnticipator(LSTM(4), max_epochs=1, random_state=0)
    grid = {"lr": [0.01, 0.02]}

    def found():
        (together,) = fit_many([clone(model)], clips, Y)
        search = BatchedGridSearchCV(model, grid, cv=2).fit(clips, Y)
        fitted = [clone(model).fit(clips, Y), together, search.best_estimator_]
        return [one.predict_proba(clips) for one in fitted]

    expected = found()
    with MODES[mode]():
        assert_array_equal(found(), expected)


KITCHEN = make_kitchen(10, unlabeled_fraction=0.3, n_features=24, random_state=0)
STUDENT = {"max_epochs": 2, "dtype": "float64", "random_state": 0}
THREADED = {
    "distilled": (
        DistilledAnticipator(MLP(16), teacher_weight=0.3, **STUDENT),
        {"X_future_unlabeled": KITCHEN.X_future},
    ),
    "fusion": (
        LateFusion(
            [
                ("a", DistilledAnticipator(MLP(16), **STUDENT), (0, 12)),
                ("b", DistilledAnticipator(MLP(16), **STUDENT), (12, 24)),
            ]
        ),
        {"X_future_unlabeled": KITCHEN.X_future},
    ),
    "ensemble": (
        TeacherEnsemble(
            [
                SmoothedAnticipator(MLP(16), **{**STUDENT, "random_state": k})
                for k in (0, 1)
            ]
        ),
        None,
    ),
}


@pytest.mark.parametrize("name", THREADED)
def test_threads_of_students_teachers_and_members_have_no_part(name):
    model, given = THREADED[name]
    rows = KITCHEN.y >= (0 if given is None else -1)
    answers = []
    for n_threads in (1, 2):
        nested = [key for key in model.get_params() if key.endswith("n_threads")]
        model.set_params(**dict.fromkeys(nested, n_threads))
        if name == "ensemble":
            for member in model.teachers:
                member.set_params(n_threads=n_threads)
        model.fit(KITCHEN.X_past[rows], KITCHEN.y[rows], **(given or {}))
        answers.append(model.predict_proba(KITCHEN.X_past))
    assert_allclose(answers[1], answers[0], rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------- the order of classes

CLASSES = np.arange(20)
NEW = RNG.permutation(20)  # the new number of each class
TABLE = RNG.dirichlet(np.ones(20), 20)
PROBA = RNG.dirichlet(np.ones(20), len(KITCHEN.y))


def renumbered(labels):
    labels = np.asarray(labels)
    return np.where(labels >= 0, NEW[labels], labels)


def by_new_numbers(table, axes):
    """A table whose axes are classes, in the new order."""
    for axis in axes:
        table = np.take(table, np.argsort(NEW), axis=axis)
    return table


def parts(numbers, actions):
    """Parameters that know classes, of which `numbers` are the labels."""
    table = by_new_numbers(TABLE, (0, 1)) if numbers is NEW else TABLE
    return {
        "verb and noun": {"prior": VerbNounPrior(actions), "smoothing": 0.4},
        "mixture": {
            "prior": MixturePrior([TransitionPrior(actions), VerbNounPrior(actions)]),
            "smoothing": 0.4,
        },
        "table": {"prior": ArrayPrior(table, CLASSES), "smoothing": 0.4},
        "marginals": {"marginal_loss": MarginalLoss(actions)},
        "weights": {"class_weight": {int(numbers[k]): 0.1 + k / 9 for k in range(9)}},
        "adjustment": {"logit_adjustment": 0.7},
    }


def start(classes):
    """Weights of MLP(8) at random, its classes in some order of the old ones."""
    rng = np.random.default_rng(2)
    shapes = {"layers.0.weight": (8, 24), "layers.0.bias": (8,)}
    hidden = {name: rng.normal(size=shape) / 4 for name, shape in shapes.items()}
    scores = {"classifier.weight": (20, 8), "classifier.bias": (20,)}
    drawn = {name: rng.normal(size=shape)[classes] for name, shape in scores.items()}
    return {**hidden, **drawn}


@pytest.mark.parametrize("name", parts(CLASSES, KITCHEN.actions))
def test_the_numbers_of_classes_have_no_part(name):
    actions = {int(NEW[k]): names for k, names in KITCHEN.actions.items()}
    answers = []
    for numbers, names in ((CLASSES, KITCHEN.actions), (NEW, actions)):
        new = numbers is NEW
        own = start(np.argsort(numbers))
        model = DistilledAnticipator(
            MLP(8, weights=own),
            classes=CLASSES,
            teacher_weight=0.5,
            **STUDENT,
            **parts(numbers, names)[name],
        )
        y, y_past = (
            renumbered(part) if new else part for part in (KITCHEN.y, KITCHEN.y_past)
        )
        proba = by_new_numbers(PROBA, [1]) if new else PROBA
        model.fit(KITCHEN.X_past, y, y_past=y_past, teacher_proba=proba)
        answers.append(model.predict_proba(KITCHEN.X_past))
    assert_allclose(answers[1][:, NEW], answers[0], rtol=1e-6, atol=1e-9)


def test_names_of_classes_have_no_part():
    y = np.abs(KITCHEN.y)
    names = np.array([f"class {k:02d}" for k in range(20)])
    model = SmoothedAnticipator(MLP(8), classes=CLASSES, **STUDENT)
    expected = model.fit(KITCHEN.X_past, y).predict_proba(KITCHEN.X_past)
    for classes in (names, names[::-1], names[NEW]):  # columns are sorted anyway
        model.set_params(classes=classes)
        found = model.fit(KITCHEN.X_past, names[y]).predict_proba(KITCHEN.X_past)
        assert_array_equal(found, expected)
        assert_array_equal(model.classes_, names)
