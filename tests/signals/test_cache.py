import copy
import errno
import functools
import os
import pickle
import shutil
import signal
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from in_fork import in_fork
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    RecognitionTeacher,
    RowView,
    TeacherEnsemble,
)
from skanticipate.datasets import make_kitchen
from skanticipate.signals import cache, maps

DATA = make_kitchen(8, 10, n_features=12, unlabeled_fraction=0.3, random_state=0)
PAST, FUTURE, Y = DATA.X_past, DATA.X_future, DATA.y
FITS = []


class Counted(RecognitionTeacher):
    """Tells each time it is fitted."""

    @functools.wraps(RecognitionTeacher.fit)
    def fit(self, *args, **kwargs):
        FITS.append(len(args[0]))
        return super().fit(*args, **kwargs)


@pytest.fixture
def fits():
    FITS.clear()
    yield FITS
    FITS.clear()


TEACHER = Counted(MLP(6), max_epochs=3, classes=range(20))


def student(folder, **params):
    given = {"teacher": TEACHER, "max_epochs": 2, "random_state": 0, **params}
    return DistilledAnticipator(
        MLP(6), classes=range(20), teacher_cache=folder, batch_size=32, **given
    )


def fitted(folder, futures=FUTURE, y=Y, past=PAST, signals=None, **params):
    return student(folder, **params).fit(past, y, futures, **(signals or {}))


def bits(model):
    weights = [p.detach().numpy().tobytes() for p in model.network_.parameters()]
    return b"".join(weights) + repr(model.history_).encode()


def names(folder):
    return sorted(path.name.split(".", 1)[1] for path in Path(folder).iterdir())


def map_file(folder):
    return next(Path(folder).glob("*.maps.safetensors"))


def teacher_file(folder):
    return next(Path(folder).glob("*.teacher.safetensors"))


# ------------------------------------------------------------------------ sharing


def test_a_second_fit_finds_what_the_first_kept(tmp_path, fits):
    first, second = fitted(tmp_path), fitted(tmp_path)
    assert len(fits) == 1
    assert names(tmp_path) == ["maps.safetensors", "teacher.safetensors"]
    assert bits(first) == bits(second) == bits(fitted(None))
    assert first.feature_weight_ > 0
    assert_array_equal(
        first.teacher_.predict_proba(FUTURE), second.teacher_.predict_proba(FUTURE)
    )


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.5},
        {"feature_weight": 2.0},
        {"feature_weight": 0.0},
        {"teacher_weight": 1.0, "temperature": 3.0},
        {"smoothing": 0.3},
        {"alignment": "pooled"},
        {"unlabeled_fraction": 0.2},
        {"lr": 0.1, "optimizer": "sgd", "max_epochs": 3},
    ],
    ids=lambda params: next(iter(params)),
)
def test_a_teacher_is_shared_over_what_does_not_change_it(params, tmp_path, fits):
    fitted(tmp_path)
    shared = fitted(tmp_path, **params)
    assert len(fits) == 1
    assert bits(shared) == bits(fitted(None, **params))


def test_a_teacher_is_shared_over_students_that_see_something_else(tmp_path, fits):
    fitted(tmp_path)
    fitted(tmp_path, past=PAST + 0.01)
    assert len(fits) == 1


CHANGED = FUTURE.copy()
CHANGED[-1, -1] += 1e-9
LABELS = np.where(np.arange(len(Y)) == np.flatnonzero(Y >= 0)[0], -1, Y)


@pytest.mark.parametrize(
    "changed",
    [
        {"futures": CHANGED},
        {"futures": FUTURE.astype(np.float32)},
        {"futures": np.where(Y[:, None] == 0, np.nan, FUTURE)},
        {"y": LABELS},
        {"random_state": 1},
        {"teacher": Counted(MLP(6), max_epochs=4, classes=range(20))},
        {"teacher": Counted(MLP(6, dropout=0.1), max_epochs=3, classes=range(20))},
        {"teacher": Counted(MLP(6), max_epochs=3, random_state=7)},
        {"signals": {"groups": DATA.groups}},
        {"signals": {"sample_weight": np.linspace(1, 2, len(Y))}},
        {"class_weight": {0: 2.0}},
        {"cross_fit": 2},
    ],
    ids=[
        *("a number", "precision", "missing", "a label", "seed", "epochs", "network"),
        *("its seed", "groups", "weights", "class_weight", "cross_fit"),
    ],
)
def test_a_teacher_is_not_shared_over_what_changes_it(changed, tmp_path, fits):
    fitted(tmp_path)
    n_fits = len(fits)
    found = fitted(tmp_path, **changed)
    assert len(fits) > n_fits
    assert bits(found) == bits(fitted(None, **changed))


def test_cross_fitted_answers_are_kept_too(tmp_path, fits):
    first = fitted(tmp_path, cross_fit=3)
    assert len(fits) == 4
    second = fitted(tmp_path, cross_fit=3)
    assert len(fits) == 4
    assert bits(first) == bits(second)


def test_the_students_own_teacher_is_kept(tmp_path):
    first, second = (fitted(tmp_path, teacher=None) for _ in range(2))
    assert len(names(tmp_path)) == 2
    assert bits(first) == bits(second) == bits(fitted(None, teacher=None))
    assert second.started_from_teacher_


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_a_search_over_processes_shares_a_folder(tmp_path):
    grid = {"alpha": [0.1, 1.0], "teacher_weight": [0.0, 1.0]}
    found = [
        GridSearchCV(
            student(folder, teacher=None), grid, cv=2, n_jobs=n_jobs, refit=False
        )
        .fit(PAST, np.abs(Y), X_future_unlabeled=FUTURE)
        .cv_results_["mean_test_score"]
        for folder, n_jobs in ((tmp_path, 2), (None, 1))
    ]
    assert_array_equal(*found)
    assert names(tmp_path) == ["maps.safetensors"] * 2 + ["teacher.safetensors"] * 2


# -------------------------------------------------------------------------- files


def test_a_teacher_whose_maps_are_kept_is_not_asked_for_them(tmp_path, monkeypatch):
    def never(self, X):
        raise AssertionError("the maps are in the folder")

    first = bits(fitted(tmp_path, feature_weight=1.0))
    monkeypatch.setattr(Counted, "feature_map", never)
    assert first == bits(fitted(tmp_path, feature_weight=1.0))


def test_kept_maps_are_a_safetensors_file(tmp_path):
    model = fitted(tmp_path)
    with safe_open(map_file(tmp_path), framework="numpy") as file:
        assert list(file.keys()) == ["maps"]
        found = file.get_tensor("maps")
    assert_array_equal(found, model.teacher_.feature_map(FUTURE))


def test_maps_with_padding_are_kept(tmp_path):
    kitchen = make_kitchen(6, 8, n_steps=4, n_features=6, random_state=0)
    future = kitchen.X_future.copy()
    future[::2, :2] = np.nan
    found = [
        DistilledAnticipator(
            LSTM(5), teacher_cache=folder, max_epochs=2, random_state=0
        ).fit(kitchen.X_past, kitchen.y, future)
        for folder in (tmp_path, tmp_path, None)
    ]
    assert len({bits(model) for model in found}) == 1
    assert "feature" in found[0].history_[0]


def test_a_folder_is_made(tmp_path):
    fitted(tmp_path / "not" / "there")
    fitted(str(tmp_path / "text"))
    assert len(names(tmp_path / "not" / "there")) == len(names(tmp_path / "text")) == 2


def truncated(path, other):
    path.write_bytes(path.read_bytes()[:-8])


def cut_in_the_header(path, other):
    path.write_bytes(path.read_bytes()[:40])


def garbage(path, other):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def empty(path, other):
    path.write_bytes(b"")


def one_bit(path, other):
    content = bytearray(path.read_bytes())
    content[content.index(b"data_offsets") + 16] ^= 2  # a digit becomes another
    path.write_bytes(content)


class Trap:
    """Unpickling it would raise."""

    def __reduce__(self):
        return pytest.fail, ("something was unpickled",)


def pickled(path, other):
    path.write_bytes(pickle.dumps(Trap()))


def of_another_run(path, other):
    kind = path.name.split(".", 1)[1]
    shutil.copy(next(other.glob(f"*.{kind}")), path)


def saved_model(path, other):
    fitted(None).save(path)


DAMAGES = [
    *(truncated, cut_in_the_header, garbage, empty, one_bit, pickled),
    *(of_another_run, saved_model),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("find", [teacher_file, map_file])
def test_a_file_that_is_not_ours_is_not_believed(find, damage, tmp_path):
    folder, other = tmp_path / "folder", tmp_path / "other"
    fitted(folder)
    fitted(other, random_state=5)
    path = find(folder)
    damage(path, other)
    model = student(folder)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"is damaged, or holds another run's.*delete"):
        model.fit(PAST, Y, FUTURE)
    assert vars(model) == before
    path.unlink()
    assert bits(model.fit(PAST, Y, FUTURE)) == bits(fitted(None))


# -------------------------------------------------------------------- interruptions


def interrupted_after(n_batches, batches):
    def interrupted(*args):
        for k, batch in enumerate(batches(*args)):
            if k == n_batches:
                raise KeyboardInterrupt
            yield batch

    return interrupted


@pytest.mark.parametrize("n_batches", [0, 1])
def test_interrupted_writing_of_maps_leaves_nothing(n_batches, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(maps, "prediction_batch", lambda rows: 4)
        stopped = interrupted_after(n_batches, maps.map_batches)
        patch.setattr(cache, "map_batches", stopped)
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path)
    assert names(tmp_path) == ["teacher.safetensors"]
    assert bits(fitted(tmp_path)) == bits(fitted(None))


def test_interrupted_writing_of_a_teacher_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path)
    assert names(tmp_path) == []
    assert bits(fitted(tmp_path)) == bits(fitted(None))


def fit_that_is_killed(folder):
    original = cache.map_batches

    def killed(teacher, clips):
        for k, batch in enumerate(original(teacher, clips)):
            if k == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    maps.prediction_batch, cache.map_batches = lambda rows: 4, killed
    fitted(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_killed_while_writing_leaves_nothing_that_is_believed(tmp_path):
    assert in_fork(fit_that_is_killed, tmp_path) == -signal.SIGKILL
    kinds = [name.rpartition(".")[2] for name in names(tmp_path)]
    assert sorted(kinds) == ["safetensors", "tmp"]  # the teacher, and half the maps
    found = fitted(tmp_path)
    with safe_open(map_file(tmp_path), framework="numpy") as file:
        kept = file.get_tensor("maps")
    assert_array_equal(kept, found.teacher_.feature_map(FUTURE))


# ------------------------------------------------------------------------- memory


def test_writing_maps_takes_the_memory_of_a_batch(tmp_path):
    class Wide(LogisticRegression):
        def feature_map(self, X):
            return np.repeat(X[:, :1, None], 2048, 2).astype(np.float32)  # 8 kB each

    clips = RowView(np.arange(6144.0)[:, None])  # 12 batches of 512, 48 MiB of maps
    tracemalloc.start()
    found = cache.TeacherCache(tmp_path).maps("key", Wide(), clips)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert map_file(tmp_path).stat().st_size > 50e6
    assert peak < 20e6
    assert isinstance(found.base, np.memmap)
    assert_array_equal(found.base[:, 0, 2047], np.arange(6144))


def test_maps_too_large_for_memory_are_made_from_each_batch(monkeypatch):
    stored = fitted(None, feature_weight=1.0)
    monkeypatch.setattr("skanticipate.signals.maps._MAPS_IN_MEMORY", 0)
    made = fitted(None, feature_weight=1.0)
    for one, other in zip(stored.history_, made.history_, strict=True):
        assert_allclose(one["feature"], other["feature"], rtol=1e-10)
        assert one["feature"] > 0


# ------------------------------------------------------------------- random crops


class Cropped(MLP):
    """Cuts nothing, but says that it crops at random."""

    crops_at_random = True


def test_maps_of_random_crops_cannot_be_kept(tmp_path):
    model = DistilledAnticipator(
        Cropped(6), teacher_cache=tmp_path, max_epochs=1, random_state=0
    )
    with pytest.raises(ValueError, match="teacher_cache keeps one map a clip.*random"):
        model.fit(PAST, Y, FUTURE)
    model.set_params(feature_weight=0).fit(PAST, Y, FUTURE)


def test_maps_of_random_crops_are_made_from_each_batch():
    params = {"max_epochs": 3, "random_state": 0, "feature_weight": 1.0}
    cropped = DistilledAnticipator(Cropped(6), **params).fit(PAST, Y, FUTURE)
    whole = DistilledAnticipator(MLP(6), **params).fit(PAST, Y, FUTURE)
    for one, other in zip(cropped.history_, whole.history_, strict=True):
        assert_allclose(one["feature"], other["feature"], rtol=1e-10)


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_transformers_never_see_missing_futures():
    future = FUTURE.copy()
    future[Y == 0] = np.nan  # PCA refuses NaN
    teacher = make_pipeline(
        PCA(12, random_state=0), RecognitionTeacher(Cropped(6), max_epochs=2)
    )
    found = [
        DistilledAnticipator(
            network, teacher=teacher, feature_weight=1.0, max_epochs=2, random_state=0
        ).fit(PAST, Y, future)
        for network in (Cropped(6), MLP(6))
    ]
    one, other = (model.history_[-1]["feature"] for model in found)
    assert_allclose(one, other, rtol=1e-10)


class Mapping(LogisticRegression):
    def feature_map(self, X):
        return np.asarray(X)[:, None]


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_foreign_maps_cannot_be_cropped():
    model = DistilledAnticipator(
        Cropped(6), teacher=Mapping(), feature_weight=1.0, max_epochs=1
    )
    with pytest.raises(ValueError, match="crops clips at random.*RecognitionTeacher"):
        model.fit(PAST, Y, FUTURE)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_a_cache_needs_an_integer_seed(random_state, tmp_path):
    with pytest.raises(ValueError, match="teacher_cache needs an integer random_state"):
        fitted(tmp_path, random_state=random_state)
    assert names(tmp_path) == []


def test_a_cache_needs_a_teacher_that_is_the_same_twice(tmp_path):
    teacher = RecognitionTeacher(MLP(4), random_state=np.random.RandomState(0))
    for kind in (teacher, make_pipeline(StandardScaler(), teacher)):
        with pytest.raises(ValueError, match="random_state is None or an integer"):
            fitted(tmp_path, teacher=kind)


def test_numpy_integers_are_seeds(tmp_path):
    fitted(tmp_path, random_state=np.int64(0))
    assert bits(fitted(tmp_path)) == bits(fitted(None))


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="teacher_cache='.*' cannot be written.*or None"):
        fitted(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OSError, match="cannot be written.*Permission denied"):
        fitted(tmp_path)


def read_only(monkeypatch):
    """Let nothing be written from now on, as on a medium for reading."""
    opened = open

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    def reading(path, mode="r", *args, **kwargs):
        if set(mode) & set("wax+"):
            refuse()
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", reading)
    for name in ("mkdir", "touch", "unlink", "write_bytes", "write_text"):
        monkeypatch.setattr(Path, name, refuse)
    for name in ("mkdir", "replace", "unlink", "rename"):
        monkeypatch.setattr(os, name, refuse)


def test_a_complete_folder_is_read_where_nothing_can_be_written(
    tmp_path, fits, monkeypatch
):
    first = fitted(tmp_path)
    read_only(monkeypatch)
    assert bits(fitted(tmp_path)) == bits(first)
    assert len(fits) == 1


def test_what_a_folder_lacks_is_an_error_before_a_fit(tmp_path, fits, monkeypatch):
    fitted(tmp_path, feature_weight=0.0)  # a teacher, and no maps
    read_only(monkeypatch)
    message = "cannot be written .*Read-only.* does not hold what this fit needs: name"
    for missing in ({"feature_weight": 1.0}, {"random_state": 1}):
        with pytest.raises(OSError, match=message):
            fitted(tmp_path, **missing)
    assert len(fits) == 1
    with pytest.raises(OSError, match=message):
        fitted(tmp_path / "new")


def content(path):
    """Metadata and tensors: safetensors writes metadata in any order."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        described = {k: (v.dtype, v.shape, v.tobytes()) for k, v in tensors.items()}
        return file.metadata(), described


def test_two_that_write_the_same_at_once_do_not_disturb_each_other(tmp_path, fits):
    inner = []

    class Meanwhile:
        """Another process writes the entry while this one is fitting."""

        def fit(self):
            inner.append(fitted(tmp_path))
            return answer

    store = cache.TeacherCache(tmp_path)
    fitted(tmp_path)
    key = teacher_file(tmp_path).name.partition(".")[0]
    answer = store.teacher(key, [Counted, MLP], None)
    before = content(teacher_file(tmp_path)), content(map_file(tmp_path))
    for path in tmp_path.iterdir():
        path.unlink()
    store.teacher(key, [Counted, MLP], Meanwhile().fit)
    assert len(inner) == 1
    assert names(tmp_path) == ["maps.safetensors", "teacher.safetensors"]
    assert (content(teacher_file(tmp_path)), content(map_file(tmp_path))) == before


def test_streams_inside_of_an_ensemble_are_told_apart(tmp_path):
    def ensemble(seed):
        member = RecognitionTeacher(
            MLP(4), max_epochs=1, random_state=np.random.RandomState(seed)
        )
        return TeacherEnsemble([member, LogisticRegression()])

    first, other = (fitted(tmp_path, teacher=ensemble(seed)) for seed in (0, 1))
    assert bits(other) == bits(fitted(None, teacher=ensemble(1))) != bits(first)
    again = fitted(tmp_path, teacher=ensemble(0))
    assert bits(again) == bits(first)
    assert len(names(tmp_path)) == 2


LABELLED = Y >= 0


@pytest.mark.parametrize(
    "teacher",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        TeacherEnsemble([LogisticRegression(), RecognitionTeacher(MLP(4))]),
        FrozenEstimator(
            make_pipeline(StandardScaler(), LogisticRegression()).fit(
                FUTURE[LABELLED], Y[LABELLED]
            )
        ),
        make_pipeline(StandardScaler(), RecognitionTeacher(MLP(4), max_epochs=2)),
    ],
    ids=["classifier", "pipeline", "ensemble", "frozen", "ours in a pipeline"],
)
def test_teachers_made_of_arrays_are_kept(teacher, tmp_path):
    first, second = (
        fitted(tmp_path, teacher=copy.deepcopy(teacher), teacher_weight=1.0)
        for _ in range(2)
    )
    assert names(tmp_path) == ["teacher.safetensors"]
    assert bits(first) == bits(second)
    assert bits(first) == bits(fitted(None, teacher=teacher, teacher_weight=1.0))


@pytest.mark.parametrize(
    "teacher",
    [
        RandomForestClassifier(3),
        FrozenEstimator(RandomForestClassifier(3).fit(FUTURE[LABELLED], Y[LABELLED])),
        make_pipeline(FunctionTransformer(np.abs), LogisticRegression()),
    ],
    ids=["forest", "frozen forest", "function"],
)
def test_teachers_that_hold_code_are_refused(teacher, tmp_path):
    with pytest.raises(TypeError, match="teacher_cache cannot keep a .*=None"):
        fitted(tmp_path, teacher=teacher)
    assert names(tmp_path) == []


class Half(Mapping):
    def feature_map(self, X):
        return super().feature_map(X).astype(np.float16)


class Whole(Mapping):
    def feature_map(self, X):
        return super().feature_map(X).astype(np.int8)


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
@pytest.mark.parametrize("teacher", [Half(), Whole()])
def test_maps_of_any_precision_are_kept(teacher, tmp_path):
    found = [
        fitted(folder, teacher=teacher, feature_weight=1.0)
        for folder in (tmp_path, tmp_path, None)
    ]
    assert len({bits(model) for model in found}) == 1
    with safe_open(map_file(tmp_path), framework="numpy") as file:
        assert_array_equal(file.get_tensor("maps"), teacher.feature_map(FUTURE))


@pytest.mark.filterwarnings("ignore")
def test_a_teacher_is_not_shared_over_metadata_routing(tmp_path):
    # A BaggingClassifier passes groups on with routing only.
    held_out = {"early_stopping": True, "validation_fraction": 0.4}
    inner = RecognitionTeacher(MLP(6), max_epochs=4, lr=0.05, **held_out)
    teacher = BaggingClassifier(inner, n_estimators=2)
    found = {}
    for routing, folder in product((False, True), (tmp_path, None)):
        with config_context(enable_metadata_routing=routing):
            model = fitted(folder, teacher=teacher, signals={"groups": DATA.groups})
        found[routing, folder] = model.teacher_.predict_proba(FUTURE)
    for routing in (False, True):
        assert_array_equal(found[routing, tmp_path], found[routing, None])
    assert (found[False, None] != found[True, None]).any()
