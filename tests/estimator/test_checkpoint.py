import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from in_fork import in_fork
from interrupted import (
    CLIPS,
    FUTURE,
    MAPS,
    SOME,
    Ended,
    Epochs,
    X,
    Y,
    adadelta,
    bits,
    nadam,
)
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_network import UserNetwork

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    BatchedGridSearchCV,
    CosineSchedule,
    DistilledAnticipator,
    FeatureMapNet,
    InceptionTail,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
    StepSchedule,
    TeacherEnsemble,
    fit_many,
    load,
)
from skanticipate.estimator import fit_key
from skanticipate.estimator.given import Given

SMALL = {"batch_size": 16, "random_state": 0}
smoothed = partial(
    SmoothedAnticipator, network=MLP(5, dropout=0.3), max_epochs=4, **SMALL
)
distilled = partial(DistilledAnticipator, network=MLP(5), max_epochs=3, **SMALL)
STOPPING = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 2}

FITS = {
    "dropout": (smoothed(), (X, Y)),
    "sgd": (smoothed(optimizer="sgd", nesterov=True), (X, Y)),
    "adam": (smoothed(optimizer="adam", max_grad_norm=0.1), (X, Y)),
    "adadelta": (smoothed(optimizer=adadelta), (X, Y)),
    "nadam": (smoothed(optimizer=nadam, lr_schedule=CosineSchedule()), (X, Y)),
    "schedule": (smoothed(lr_schedule=StepSchedule(2)), (X, Y)),
    "stopping": (smoothed(lr=0.3, max_epochs=9, **STOPPING), (X, Y)),
    "scorer": (smoothed(scoring="accuracy", max_epochs=6, **STOPPING), (X, Y)),
    "weights": (smoothed(class_weight="balanced", lr=0.1), (X, Y)),
    "wide": (smoothed(dtype="float64", logit_adjustment=1.0), (X, Y)),
    "lstm": (smoothed(network=LSTM(5, dropout=0.3)), (CLIPS, Y)),
    "rulstm": (
        smoothed(network=RULSTM(5, pretrain_epochs=2, anticipation_steps=2)),
        (CLIPS, Y),
    ),
    "maps": (smoothed(network=FeatureMapNet(4)), (MAPS, Y)),
    "batch norm": (
        smoothed(network=InceptionTail(0.01, crop_size=3), max_epochs=2),
        (MAPS, Y),
    ),
    "global stream": (smoothed(network=UserNetwork()), (X, Y)),
    "teacher": (distilled(), (X, SOME, FUTURE)),
    "cross-fit": (distilled(cross_fit=2), (X, SOME, FUTURE)),
    "projection": (
        distilled(
            teacher=RecognitionTeacher(MLP(3), max_epochs=2),
            feature_weight=0.5,
            teacher_weight=1.0,
            init_from_teacher=False,
        ),
        (X, SOME, FUTURE),
    ),
    "ensemble": (
        distilled(
            teacher=TeacherEnsemble([RecognitionTeacher(MLP(3), max_epochs=2)] * 2)
        ),
        (X, SOME, FUTURE),
    ),
}


@pytest.fixture
def epochs(monkeypatch):
    return Epochs(monkeypatch)


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
@pytest.mark.filterwarnings("ignore:feature_weight is positive")
@pytest.mark.parametrize("name", FITS)
def test_fit_that_is_ended_at_any_epoch_goes_on_bit_for_bit(name, epochs, tmp_path):
    model, data = FITS[name]
    with epochs.counted():
        expected = bits(clone(model).fit(*data))
        n_epochs = epochs.n
    assert n_epochs > 1
    for k in range(1, n_epochs + 1):
        kept = clone(model).set_params(checkpoint=tmp_path / str(k))
        before = dict(vars(kept))
        with pytest.raises(Ended), epochs.counted(end_at=k):
            kept.fit(*data)
        assert vars(kept) == before
        with epochs.counted():
            assert bits(kept.fit(*data)) == expected, k
            n_again = epochs.n
        with epochs.counted():
            assert bits(clone(kept).fit(*data)) == expected, k  # the one that is there
            assert epochs.n == 0
        if name in ("cross-fit", "ensemble"):  # several end the same epoch
            assert n_again <= n_epochs
        else:
            assert n_again == n_epochs - (k - 1)


def test_a_fit_that_is_ended_again_and_again_comes_to_its_end(epochs, tmp_path):
    model = smoothed(max_epochs=6, checkpoint=tmp_path)
    for _ in range(5):
        with pytest.raises(Ended), epochs.counted(end_at=2):
            model.fit(X, Y)
    assert bits(model.fit(X, Y)) == bits(smoothed(max_epochs=6).fit(X, Y))


def test_what_is_kept_of_a_finished_fit_is_small(epochs, tmp_path):
    model = smoothed(network=MLP(300), checkpoint=tmp_path)
    with pytest.raises(Ended), epochs.counted(end_at=3):
        model.fit(X, Y)
    (under_way,) = tmp_path.iterdir()
    n_bytes = under_way.stat().st_size
    model.fit(X, Y)
    (finished,) = tmp_path.iterdir()
    weights = sum(w.numel() * 8 for w in model.network_.parameters())
    assert weights < finished.stat().st_size < weights + 4000
    assert n_bytes > 3 * weights


@pytest.mark.parametrize("fit", ["alone", "together"])
def test_what_a_killed_process_left_half_written_is_swept_up(fit, epochs, tmp_path):
    def run():
        if fit == "alone":
            smoothed(checkpoint=tmp_path).fit(X, Y)
        else:
            fit_many(candidates(checkpoint=tmp_path), X, Y)

    with pytest.raises(Ended), epochs.counted(end_at=3 if fit == "alone" else 6):
        run()
    (path,) = tmp_path.iterdir()
    half = path.with_name(f".{16 * 'a'}.skanticipate.tmp")
    half.write_bytes(b"half")
    os.utime(half, times=(0, 0))  # of long ago: nobody is writing it any more
    path.with_name(f"{path.name.split('.')[0]}.lock").touch()
    run()
    assert {path.name.split(".")[1] for path in tmp_path.iterdir()} == {"fit"}


def test_checkpoint_every_says_how_many_epochs_are_lost_at_most(epochs, tmp_path):
    model = smoothed(max_epochs=8, checkpoint=tmp_path, checkpoint_every=3)
    with pytest.raises(Ended), epochs.counted(end_at=6):  # kept after epoch 3
        model.fit(X, Y)
    with epochs.counted():
        model.fit(X, Y)
        assert epochs.n == 5


def test_writing_takes_a_small_part_of_the_time(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "skanticipate.training.checkpoint.write_tensors",
        lambda *args: (written.append(args), time.sleep(0.05)),
    )
    smoothed(max_epochs=50, checkpoint=tmp_path).fit(X, Y)
    assert len(written) == 2  # after the first epoch, and at the end


# --------------------------------------------------------------------- stacks, searches


def candidates(**options):
    options = {"max_epochs": 3, **options}
    return [
        smoothed(**{"random_state": 0, "lr": 0.01} | options),
        smoothed(**{"random_state": 1, "lr": 0.05} | options),
        smoothed(**{"random_state": 2, "lr": 0.01} | options | {"max_epochs": 5}),
        smoothed(**{"random_state": 3, "lr": 0.3} | options | STOPPING),
    ]


def half_labelled(**options):
    """Of some steps no row has a label, and then not all of a stack move."""
    options = {"unlabeled_fraction": None, "batch_size": 3} | options
    return [
        distilled(lr=lr, teacher_weight=weight, random_state=seed, **options)
        for seed, (lr, weight) in enumerate([(0.01, 0.5), (0.01, 0.5), (0.1, 1.0)])
    ]


LSTM_ = {"network": LSTM(4, dropout=0.3)}
FOLDS = [np.flatnonzero(np.arange(len(X)) % 4 != k) for k in (0, 1, 2)]
STACKS = {
    "adamw": (candidates, (X, Y), {}),
    "sgd": (partial(candidates, optimizer="sgd"), (X, Y), {}),
    "lstm": (partial(candidates, **LSTM_, dtype="float32"), (CLIPS, Y), {}),
    "narrow": (candidates, (X, Y), {"width": 2}),
    "folds": (
        lambda **options: [*candidates(**options)[:3]],
        (X, Y),
        {"train": [FOLDS[0], FOLDS[1][:-3], FOLDS[2]]},
    ),
    "half-labelled": (half_labelled, (X, SOME, FUTURE), {}),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_goes_on_bit_for_bit(name, epochs, tmp_path):
    make, data, options = STACKS[name]
    with epochs.counted():
        expected = list(map(bits, fit_many(make(), *data, **options)))
        n_epochs = epochs.n
    # The members of an epoch end one after another: all ends of one stack of each
    # form, every third one of the others.
    ends = [*range(1, n_epochs, 1 if name in ("adamw", "narrow") else 3), n_epochs]
    for k in ends:
        kept = make(checkpoint=tmp_path / str(k))
        with pytest.raises(Ended), epochs.counted(end_at=k):
            fit_many(kept, *data, **options)
        with epochs.counted():
            assert list(map(bits, fit_many(kept, *data, **options))) == expected
            assert epochs.n == n_epochs if k == 1 else epochs.n <= n_epochs
            assert epochs.n < n_epochs or k <= 4  # members of the first epoch
        names = {path.name.split(".")[1] for path in (tmp_path / str(k)).iterdir()}
        assert names == {"fit"}
        with epochs.counted():
            assert list(map(bits, fit_many(kept, *data, **options))) == expected
            assert epochs.n == 0


def test_a_stack_that_ends_between_the_files_of_its_members(epochs, tmp_path):
    expected = list(map(bits, fit_many(candidates(), X, Y)))
    kept = candidates(checkpoint=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skanticipate.training.checkpoint.Checkpoint.finish", _second())
        with pytest.raises(Ended):
            fit_many(kept, X, Y)
    assert len(list(tmp_path.glob("*.stack.*"))) == 1
    with epochs.counted():
        assert list(map(bits, fit_many(kept, X, Y))) == expected
        assert epochs.n == 0


def _second():
    """`finish` that ends the process at the second call."""
    from skanticipate.training.checkpoint import Checkpoint

    whole, calls = Checkpoint.finish, []

    def finish(*args):
        calls.append(args)
        if len(calls) == 2:
            raise Ended
        whole(*args)

    return finish


def test_what_ended_alone_is_not_trained_again_in_a_stack(epochs, tmp_path):
    kept = candidates(checkpoint=tmp_path, dtype="float64")
    alone = [clone(kept[k]).fit(X, Y) for k in (0, 2)]
    with epochs.counted():
        fitted = fit_many(kept, X, Y)
        assert epochs.n == fitted[1].n_iter_ + fitted[3].n_iter_
    assert bits(fitted[0]) == bits(alone[0])
    assert bits(fitted[2]) == bits(alone[1])
    plain = fit_many(candidates(dtype="float64"), X, Y)
    for ours, theirs in zip(fitted, plain, strict=True):
        proba = ours.predict_proba(X), theirs.predict_proba(X)
        np.testing.assert_allclose(*proba, rtol=0, atol=1e-12)


def test_what_diverges_in_a_stack_does_so_after_it_went_on(epochs, tmp_path):
    models = candidates(checkpoint=tmp_path, optimizer="sgd")
    models[0].set_params(lr=1e30)
    with pytest.raises(Ended), epochs.counted(end_at=12):
        fit_many(models, X, Y)
    with pytest.raises(ValueError, match="loss is nan") as error:
        fit_many(models, X, Y)
    assert any("fit 0 of 4" in note for note in error.value.__notes__)
    plain = candidates(optimizer="sgd")[1].fit(X, Y)
    with epochs.counted():
        again = models[1].fit(X, Y)
        assert epochs.n == 0
    np.testing.assert_allclose(again.predict_proba(X), plain.predict_proba(X), 1e-4)


GRID = {"lr": [0.01, 0.05], "smoothing": [0.0, 0.2]}


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_a_search_does_only_what_is_missing(kind, epochs, tmp_path):
    model = smoothed(max_epochs=2)
    with epochs.counted():
        expected = kind(model, GRID, cv=2).fit(X, Y)
        n_epochs = epochs.n
    scores = expected.cv_results_["mean_test_score"].tolist()
    for k in range(2, n_epochs + 1, 3):
        kept = clone(model).set_params(checkpoint=tmp_path / str(k))
        with pytest.raises(Ended), epochs.counted(end_at=k):
            kind(kept, GRID, cv=2).fit(X, Y)
        with epochs.counted():
            found = kind(kept, GRID, cv=2).fit(X, Y)
            assert epochs.n <= n_epochs - (k - 1 if kind is GridSearchCV else 0)
        assert found.cv_results_["mean_test_score"].tolist() == scores
        assert bits(found.best_estimator_) == bits(expected.best_estimator_)


def test_a_search_in_processes_reads_what_another_one_kept(epochs, tmp_path):
    model = make_pipeline(StandardScaler(), smoothed(checkpoint=tmp_path))
    grid = {"smoothedanticipator__lr": [0.01, 0.05]}
    view = RowView(np.repeat(X, 2000, axis=0))[: len(X)]  # joblib maps it from a file
    parallel = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(X, Y)
    GridSearchCV(model[-1], GRID, cv=2, n_jobs=2).fit(view, Y)
    with epochs.counted():
        alone = GridSearchCV(model, grid, cv=2).fit(X, Y)
        GridSearchCV(model[-1], GRID, cv=2).fit(view, Y)
        assert epochs.n == 0
    scores = [
        search.cv_results_["mean_test_score"].tolist() for search in (parallel, alone)
    ]
    assert scores[0] == scores[1]


# ------------------------------------------------------------------------------ the key


def n_kept(folder):
    return len(list(folder.glob("*.fit.*")))


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.003},
        {"random_state": 1},
        {"max_epochs": 5},
        {"network": MLP(5, dropout=0.2)},
        {"smoothing": 0.2},
        {"device": "cpu", "n_threads": 1},
        {"X": X + 1e-12},
        {"Y": (Y + 1) % 3},
        {"sample_weight": np.arange(1.0, len(X) + 1)},
        {"groups": np.arange(len(X)) % 5},
    ],
    ids=lambda change: "-".join(change),
)
def test_another_fit_is_another_entry(change, tmp_path):
    smoothed(checkpoint=tmp_path).fit(X, Y)
    change = dict(change)
    data = change.pop("X", X), change.pop("Y", Y)
    names = change.keys() & {"sample_weight", "groups"}
    signals = {name: change.pop(name) for name in names}
    smoothed(checkpoint=tmp_path, **change).fit(*data, **signals)
    assert n_kept(tmp_path) == 2


def test_a_fit_with_metadata_routing_is_another_entry(tmp_path):
    for routing in (False, True, True):
        with config_context(enable_metadata_routing=routing):
            smoothed(checkpoint=tmp_path).fit(X, Y)
    assert n_kept(tmp_path) == 2


def test_a_fit_with_weights_drawn_in_another_type_is_another_entry(tmp_path):
    try:
        for dtype in (torch.float32, torch.float64, torch.float64):
            torch.set_default_dtype(dtype)
            kept = bits(smoothed(checkpoint=tmp_path).fit(X, Y))
            assert kept == bits(smoothed().fit(X, Y))
    finally:
        torch.set_default_dtype(torch.float32)
    assert n_kept(tmp_path) == 2


def test_what_changes_no_bit_is_the_same_fit(tmp_path, capsys):
    for options in ({}, {"verbose": 1}, {"checkpoint_every": 7}, {"device": "cpu"}):
        smoothed(checkpoint=tmp_path, **options).fit(X.copy(), Y.tolist())
    smoothed(checkpoint=str(tmp_path)).fit(RowView(X), Y)
    assert n_kept(tmp_path) == 1


def test_entries_of_a_folder_that_moved_are_found(tmp_path, epochs):
    smoothed(checkpoint=tmp_path / "a").fit(X, Y)
    (tmp_path / "a").rename(tmp_path / "b")
    with epochs.counted():
        smoothed(checkpoint=tmp_path / "b").fit(X, Y)
        assert epochs.n == 0


def test_a_memory_map_is_told_by_its_file_and_not_read(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", X)
    folder = tmp_path / "kept"
    for _ in range(2):
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        smoothed(checkpoint=folder).fit(mapped, Y)
    assert n_kept(folder) == 1
    smoothed(checkpoint=folder).fit(mapped[:30], Y[:30])
    smoothed(checkpoint=folder).fit(mapped[10:], Y[10:])
    smoothed(checkpoint=folder).fit(RowView(mapped)[::-1], Y[::-1])
    assert n_kept(folder) == 4
    os.utime(tmp_path / "X.npy", ns=(1, 1))
    smoothed(checkpoint=folder).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), Y)
    assert n_kept(folder) == 5
    monkeypatch.setattr(fit_key, "digest_of", lambda rows: pytest.fail("read"))
    model = smoothed(checkpoint=folder)
    fit_key.fit_key(model.fit(mapped, Y), *model._check(Given(mapped, Y))[:2])


def test_a_file_that_was_replaced_by_one_of_the_same_size_and_date(tmp_path):
    path, other = tmp_path / "X.npy", tmp_path / "other.npy"
    np.save(path, X)
    model = smoothed(checkpoint=tmp_path / "kept")
    model.fit(np.load(path, mmap_mode="r"), Y)
    np.save(other, X[::-1])
    os.utime(other, ns=(1, path.stat().st_mtime_ns))
    os.replace(other, path)
    expected = bits(smoothed().fit(X[::-1], Y))
    assert bits(model.fit(np.load(path, mmap_mode="r"), Y)) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_an_edit_of_a_users_class_is_another_fit(tmp_path):
    def fit_of_a_new_session():
        sys.path.insert(0, str(tmp_path))
        sys.dont_write_bytecode = True  # both are written in the same second
        from users_module import Small

        model = SmoothedAnticipator(
            Small(3), max_epochs=2, checkpoint=tmp_path / "kept", random_state=0
        )
        model.fit(np.eye(4), [0, 1, 0, 1])

    module = tmp_path / "users_module.py"
    for text in ("A = 1", "A = 2"):
        module.write_text(
            f"from skanticipate import MLP\n{text}\nclass Small(MLP):\n    pass\n"
        )
        assert in_fork(fit_of_a_new_session) == 0
    assert n_kept(tmp_path / "kept") == 2


def test_a_class_without_a_file_is_not_kept(tmp_path):
    class Local(MLP):
        pass

    model = smoothed(network=Local(5), checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="checkpoint is not used: .*Local"):
        model.fit(X, Y)
    assert n_kept(tmp_path) == 0


def test_a_teacher_of_another_library_is_fitted_again_and_the_student_read(
    epochs, tmp_path
):
    model = distilled(teacher=LogisticRegression(), checkpoint=tmp_path)
    expected = model.fit(X, SOME, FUTURE).predict_proba(X)
    assert n_kept(tmp_path) == 1
    with epochs.counted():
        assert (clone(model).fit(X, SOME, FUTURE).predict_proba(X) == expected).all()
        assert epochs.n == 0


def test_frozen_teachers_stay_as_they_are(tmp_path):
    teacher = RecognitionTeacher(MLP(5), max_epochs=2).fit(FUTURE, Y)
    model = distilled(teacher=FrozenEstimator(teacher), checkpoint=tmp_path)
    model.fit(X, SOME, FUTURE)
    assert teacher.checkpoint is None
    assert n_kept(tmp_path) == 1


def test_teacher_cache_does_not_tell_folders_apart(epochs, tmp_path):
    for name in "ab":
        model = distilled(
            checkpoint=tmp_path / name, teacher_cache=tmp_path / "teachers"
        )
        with epochs.counted():
            model.fit(X, SOME, FUTURE)
    assert len(list((tmp_path / "teachers").glob("*.teacher.*"))) == 1
    assert epochs.n == 3  # of the student


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"random_state": None}, "integer random_state, got None"),
        ({"random_state": np.random.RandomState(0)}, "integer random_state"),
        ({"warm_start": True}, "warm_start=True"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"checkpoint": 3}, "'checkpoint' parameter"),
    ],
)
def test_parameters_that_do_not_go_together(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        smoothed(**{"checkpoint": tmp_path, **options}).fit(X, Y)


def test_generators_inside_are_refused(tmp_path):
    teacher = RecognitionTeacher(random_state=np.random.RandomState(0))
    with pytest.raises(ValueError, match="every random_state"):
        distilled(teacher=teacher, checkpoint=tmp_path).fit(X, SOME, FUTURE)


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
def test_functions_without_a_name_are_refused(tmp_path):
    model = smoothed(checkpoint=tmp_path, scoring=lambda *_: 0.0, **STOPPING)
    with pytest.warns(UserWarning, match="checkpoint is not used"):
        model.fit(X, Y)


def test_a_damaged_file_is_refused(epochs, tmp_path):
    model = smoothed(checkpoint=tmp_path)
    with pytest.raises(Ended), epochs.counted(end_at=3):
        model.fit(X, Y)
    for _ in range(2):  # under way, and finished
        (path,) = tmp_path.iterdir()
        whole = path.read_bytes()
        for damaged in (b"", whole[:100], whole[:-50], whole[:-9] + b"123456789"):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=f"{path.name} is damaged: delete"):
                model.fit(X, Y)
        path.write_bytes(whole)
        model.fit(X, Y)


def test_a_damaged_file_of_a_stack_is_refused(epochs, tmp_path):
    models = candidates(checkpoint=tmp_path)
    with pytest.raises(Ended), epochs.counted(end_at=6):
        fit_many(models, X, Y)
    (path,) = tmp_path.glob("*.stack.*")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=f"{path.name} is damaged: delete"):
        fit_many(models, X, Y)
    path.unlink()
    fit_many(models, X, Y)
    one, *_ = tmp_path.glob("*.fit.*")
    one.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{one.name} is damaged: delete"):
        fit_many(models, X, Y)


def test_a_file_of_another_fit_is_refused_with_the_difference(tmp_path):
    smoothed(checkpoint=tmp_path).fit(X, Y)
    (first,) = tmp_path.iterdir()
    smoothed(checkpoint=tmp_path, lr=0.1).fit(2 * X, Y)
    (second,) = set(tmp_path.iterdir()) - {first}
    os.replace(second, first)
    with pytest.raises(ValueError, match="differs in parameters, data: delete"):
        smoothed(checkpoint=tmp_path).fit(X, Y)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="checkpoint=.*cannot be written"):
        smoothed(checkpoint=tmp_path / "file").fit(X, Y)


def test_what_is_finished_is_read_where_nothing_can_be_written(
    tmp_path, epochs, monkeypatch
):
    model = smoothed(checkpoint=tmp_path)
    model.fit(X, Y)

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr("skanticipate.data.locks._open_and_lock", refuse)
    with epochs.counted():
        model.fit(X, Y)
        assert epochs.n == 0


# ---------------------------------------------------------------------------- and users


def test_an_interrupt_leaves_the_estimator_and_says_what_is_kept(monkeypatch, tmp_path):
    epochs = Epochs(monkeypatch, KeyboardInterrupt)
    model = smoothed(checkpoint=tmp_path)
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt) as error, epochs.counted(end_at=3):
        model.fit(X, Y)
    assert vars(model) == before
    (note,) = error.value.__notes__
    (path,) = tmp_path.iterdir()
    assert note.startswith(f"{path} keeps the state of the fit after epoch 2")
    with pytest.raises(KeyboardInterrupt) as error, epochs.counted(end_at=1):
        model.fit(X, Y)
    assert "after epoch 2" in error.value.__notes__[0]
    with pytest.raises(KeyboardInterrupt) as error, epochs.counted(end_at=6):
        fit_many(candidates(checkpoint=tmp_path), X, Y)
    assert "after epoch 1" in error.value.__notes__[0]


def test_two_threads_with_the_same_fit_train_once(epochs, tmp_path):
    models = [smoothed(checkpoint=tmp_path, max_epochs=20) for _ in range(4)]
    threads = [threading.Thread(target=m.fit, args=(X, Y)) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert epochs.n == 20
    assert len({str(bits(model)) for model in models}) == 1
    assert n_kept(tmp_path) == len(list(tmp_path.iterdir())) == 1


def test_kept_estimators_can_be_saved_and_loaded(tmp_path):
    model = distilled(checkpoint=tmp_path / "kept").fit(X, SOME, FUTURE)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert Path(again.checkpoint) == tmp_path / "kept"


def test_teachers_that_the_user_gives_keep_their_fits_beside(tmp_path):
    steps = make_pipeline(StandardScaler(), RecognitionTeacher(MLP(3), max_epochs=2))
    model = distilled(teacher=steps, checkpoint=tmp_path).fit(X, SOME, FUTURE)
    assert steps[-1].checkpoint is None
    assert model.teacher_[-1].checkpoint == tmp_path
    assert n_kept(tmp_path) == 2


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_not_the_working_folder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = np.eye(6), [0, 1, 0, 1, 0, 1]
    for name in ("checkpoint", "teacher_cache"):
        model = DistilledAnticipator(MLP(4), max_epochs=1, random_state=0)
        with pytest.raises(ValueError, match=f"'{name}' .* must be a path that is not"):
            model.set_params(**{name: path}).fit(X, y, X)
    assert not list(tmp_path.iterdir())
