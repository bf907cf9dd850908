"""However arrays are kept, fits and answers are the same, of every public estimator."""

import inspect
from functools import cache

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import ClassifierMixin, TransformerMixin, clone
from sklearn.preprocessing import StandardScaler

import skanticipate
from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    LanguageTeacher,
    LastAxisSlice,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    ReplicaEnsemble,
    RowView,
    SmoothedAnticipator,
    TeacherEnsemble,
)

RNG = np.random.default_rng(0)
N = 24
X = (RNG.integers(-16, 17, (N, 4)) / 8).astype(np.float32)  # exact in float16 too
CLIPS = (RNG.integers(-16, 17, (N, 3, 4)) / 8).astype(np.float32)
FUTURES = (RNG.integers(-16, 17, (N, 4)) / 8).astype(np.float32)
Y = np.arange(N) % 3
HALF = np.where(np.arange(N) < 15, Y, -1)
PAST = RNG.integers(0, 3, (N, 2))  # labels
ACTIONS = {0: ("cut", "pan"), 1: ("wash", "pan"), 2: ("cut", "cup")}

QUICK = {"max_epochs": 2, "dtype": "float32", "random_state": 0}
MEMBER = SmoothedAnticipator(MLP(4), **QUICK)
GRID = {"smoothing": [0.1]}


ESTIMATORS = {  # what it is, what it reads, of which labels
    "smoothed": (MEMBER, X, Y),
    "distilled": (DistilledAnticipator(MLP(4), **QUICK), X, HALF),
    "teacher": (RecognitionTeacher(MLP(4), **QUICK), X, Y),
    "ensemble": (TeacherEnsemble([MEMBER, clone(MEMBER).set_params(lr=0.01)]), X, Y),
    "fusion": (LateFusion([("a", MEMBER, (0, 2)), ("b", MEMBER, (2, 4))]), X, Y),
    "replicas": (ReplicaEnsemble(MEMBER, n_replicas=2, random_state=0), X, Y),
    "grid": (BatchedGridSearchCV(MEMBER, GRID, cv=2), X, Y),
    "draws": (
        BatchedRandomizedSearchCV(MEMBER, GRID, n_iter=1, cv=2, random_state=0),
        X,
        Y,
    ),
    "frames": (PerFrame(StandardScaler()), CLIPS, None),
    "slice": (LastAxisSlice(1, 3), CLIPS, None),
    "history": (HistoryTeacher(n_networks=1, max_epochs=2, random_state=0), PAST, Y),
    "codes": (HistoryEncoder(), PAST, None),
    "texts": (HistoryText(ACTIONS), PAST, None),
    "language": (None, PAST, Y),  # made by a fixture
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Name -> estimator, and what it says after a fit of plain arrays."""
    folder = tmp_path_factory.mktemp("models")

    def make(name):
        if name != "language":
            return clone(ESTIMATORS[name][0])
        bert = pytest.importorskip("tiny_bert").write_tiny_bert(folder)
        return LanguageTeacher(bert, ACTIONS, max_epochs=1, random_state=0)

    @cache
    def said(name):
        return answers(make(name), lambda a, _: a, *ESTIMATORS[name][1:], folder)

    return lambda name: (make(name), said(name))


def test_every_public_estimator_is_here():
    kinds = ClassifierMixin | TransformerMixin
    public = {
        kind
        for kind in map(skanticipate.__dict__.get, skanticipate.__all__)
        if inspect.isclass(kind) and issubclass(kind, kinds)
    } | {BatchedGridSearchCV, BatchedRandomizedSearchCV}
    kinds = [type(model) for model, *_ in ESTIMATORS.values()]
    assert {*kinds, LanguageTeacher} - {type(None)} == public


def mapped(array, folder):
    path = folder / f"{id(array)}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def table(array, folder):
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(array, columns=[f"c{k}" for k in range(array.shape[1])])


def read_only(array, folder):
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "Fortran": lambda a, _: np.asfortranarray(a),
    "every other column": lambda a, _: np.repeat(a, 2, axis=-1)[..., ::2],
    "columns from behind": lambda a, _: a[..., ::-1].copy()[..., ::-1],
    "rows from behind": lambda a, _: a[::-1].copy()[::-1],
    "every third row": lambda a, _: np.repeat(a, 3, axis=0)[::3],
    "other byte order": lambda a, _: a.astype(a.dtype.newbyteorder()),
    "few bytes": lambda a, _: a.astype({"f": "f2", "i": "i1"}[a.dtype.kind]),
    "many bytes": lambda a, _: a.astype({"f": "f8", "i": "i8"}[a.dtype.kind]),
    "read only": read_only,
    "memory map": mapped,
    "view": lambda a, _: RowView(a),
    "table": table,
    "lists": lambda a, _: a.tolist(),
    "tensor": lambda a, _: torch.tensor(a),
}


def answers(model, form, X, y, folder):
    """All that a fit of such arrays says of such arrays."""
    X_form = form(X, folder)
    given = {}
    if isinstance(model, DistilledAnticipator):
        given["X_future_unlabeled"] = form(FUTURES, folder)
    if y is None:
        return [np.asarray(model.fit(X_form).transform(X_form))]
    # labels are not told by the way of their array either
    y_form = y if form is FORMS["view"] else np.ravel(form(y[:, None], folder))
    model.fit(X_form, y_form, **given)
    return [model.predict(X_form), model.predict_proba(X_form)]


PAIRS = [
    (name, form)
    for name in ESTIMATORS
    for form in FORMS
    if (form != "table" or ESTIMATORS[name][1].ndim == 2)
    and (name != "language" or form in ("other byte order", "table", "lists"))  # slow
]


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_the_kind_of_an_array_has_no_part(name, form, made, tmp_path):
    _, X, y = ESTIMATORS[name]
    model, expected = made(name)
    found = answers(model, FORMS[form], X, y, tmp_path)
    for one, other in zip(found, expected, strict=True):
        if name == "frames":  # scikit-learn scales in the precision of its input
            assert_allclose(one, other, atol=2e-3)
        else:
            assert_array_equal(one, other)
