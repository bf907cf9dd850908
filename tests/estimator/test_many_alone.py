"""What fits together share, what has to be fitted alone, and what goes wrong."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from together import (
    CLIPS,
    EXACT,
    FOLDS,
    FUTURES,
    NAMES,
    PAST,
    SOME,
    D,
    N,
    X,
    Y,
    assert_as_alone,
    fit_counting,
)
from user_network import UserNetwork

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    DistilledAnticipator,
    FeatureMapNet,
    HistoryTeacher,
    LateFusion,
    NetworkSpec,
    Output,
    RecognitionTeacher,
    ReplicaEnsemble,
    RowView,
    SmoothedAnticipator,
    TransitionPrior,
    fit_many,
)
from skanticipate.data import validation
from skanticipate.estimator.many import fit_jobs
from skanticipate.estimator.wanted import Job


def smoothed(network=None, **params):
    return SmoothedAnticipator(MLP(5) if network is None else network, **EXACT | params)


def rates(*values, **params):
    return [smoothed(lr=lr, **params) for lr in values]


# ------------------------------------------------------------------ rows and inputs


def test_rows_as_indices_masks_lists_and_none():
    mask = np.arange(N) % 2 == 0
    train = [np.arange(30), mask, mask.tolist(), list(range(9, 40)), range(20), None]
    fitted = fit_many(rates(0.01, 0.02, 0.03, 0.04, 0.05, 0.06), X, Y, train=train)
    rows = [np.r_[tuple(np.arange(N)[np.asarray(t)])] for t in train[:-1]]
    for model, own in zip(fitted, [*rows, np.arange(N)], strict=True):
        expected = clone(model).fit(X[own], Y[own])
        np.testing.assert_allclose(
            model.predict_proba(X), expected.predict_proba(X), rtol=0, atol=1e-12
        )


def test_rows_of_a_bootstrap_and_from_the_end():
    draws = np.random.default_rng(0).integers(0, N, (2, N))
    assert_as_alone(rates(0.01, 0.1, 0.1), X, Y, train=[*draws, np.arange(-30, 0)])


def test_rows_are_told_apart_by_number_not_by_bytes():
    wide = np.array([1, 2, 3, 5, 8, 10, 11, 15])
    narrow = np.ravel([(k, 0) for k in wide]).astype(np.int32)
    assert wide.tobytes() == narrow.tobytes()
    assert_as_alone(rates(0.01, 0.01), X, Y, train=[wide, narrow])


@pytest.mark.parametrize("kind", ["RowView", "memory map", "lists", "table", "float32"])
def test_inputs_of_all_kinds(kind, tmp_path):
    given = X
    if kind == "RowView":
        given = RowView(X)
    elif kind == "memory map":
        np.save(tmp_path / "X.npy", X)
        given = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif kind == "lists":
        given = X.tolist()
    elif kind == "float32":
        given = X.astype(np.float32)
    else:
        pandas = pytest.importorskip("pandas")
        index = [f"row {k}" for k in range(N)]
        given = pandas.DataFrame(X, columns=list("abcdef"), index=index)
    y = Y.tolist() if kind == "lists" else Y
    models = rates(0.01, 0.1) * 2
    train = [fold for fold in FOLDS for _ in range(2)]
    fitted, sizes = fit_counting(models, given, y, train=train)
    assert sizes == [4]
    for model, rows in zip(fitted, train, strict=True):
        taken = given.iloc[rows] if kind == "table" else np.asarray(given)[rows]
        expected = clone(model).fit(taken, Y[rows])
        np.testing.assert_allclose(
            model.predict_proba(taken),
            expected.predict_proba(taken),
            rtol=0,
            atol=1e-12,
        )
    if kind == "table":
        assert list(fitted[0].feature_names_in_) == list("abcdef")


@pytest.mark.parametrize("kind", ["lists", "table"])
@pytest.mark.parametrize("train", [None, FOLDS[:1] * 3], ids=["all", "fold"])
def test_what_is_no_array_becomes_one_array_for_all(kind, train):
    clips = pd.DataFrame(X) if kind == "table" else X.tolist()
    models = [smoothed(lr=lr, max_epochs=1) for lr in (0.002, 0.02, 0.2)]
    reads = mock.patch.object(validation, "check_array", wraps=validation.check_array)
    with reads as read:
        fitted = fit_many(models, clips, Y, train=train)
    assert read.call_count == 1
    expected = fit_many(models, X, Y, train=train)
    for model, other in zip(fitted, expected, strict=True):
        found, wanted = model.predict_proba(X), other.predict_proba(X)
        assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("marker", ["", "unknown", None], ids=repr)
def test_labels_that_are_texts_of_which_some_are_missing(marker):
    y = np.where(SOME < 0, marker, NAMES.astype(object))
    models = [
        DistilledAnticipator(
            LSTM(5),
            teacher=RecognitionTeacher(LSTM(5), max_epochs=1),
            teacher_weight=w,
            unlabeled_label=np.nan if marker is None else marker,
            **EXACT,
        )
        for w in (0.1, 1.0)
    ]
    fitted = assert_as_alone(models, CLIPS, y, X_future_unlabeled=FUTURES)
    assert fitted[0].n_unlabeled_ == (SOME < 0).sum()


def test_labels_that_are_dates():
    y = np.datetime64("2020-01-01") + Y
    assert_as_alone(rates(0.01, 0.1), X, y)


# ------------------------------------------------------------------------- widths


def test_rows_of_tables_in_another_order_are_refused_with_train_too():
    names = [f"clip {k}" for k in range(len(X))]
    table, labels = pd.DataFrame(X, index=names), pd.Series(Y, index=names)
    with pytest.raises(ValueError, match="the names that"):
        fit_many([smoothed()], table, labels[::-1], train=[np.arange(9)])


def test_what_writes_into_its_input_leaves_that_of_the_others_alone():
    model = make_pipeline(StandardScaler(copy=False), smoothed())
    given = 5 + 3 * X
    before = given.copy()
    fitted = fit_many([model, model], given, Y)
    expected = clone(model).fit(given.copy(), Y).predict_proba(given.copy())
    for found in fitted:
        assert_allclose(found.predict_proba(given.copy()), expected, atol=1e-12)
    assert_array_equal(given, before)


@pytest.mark.parametrize("width", [0, -1, 1.5, "wide", True, None])
def test_width_is_a_whole_number_or_auto(width):
    with pytest.raises(ValueError, match="width must be 'auto' or an int from 1 on"):
        fit_many([smoothed()], X, Y, width=width)


@pytest.mark.parametrize("width", [1, 2, 5, "auto"])
def test_width(width):
    models = rates(*np.linspace(0.01, 0.1, 6))
    n = min(6, 6 if width == "auto" else width)
    assert_as_alone(models, X, Y, width=width, together=n)


def test_in_several_processes():
    models, train = rates(0.01, 0.02, 0.05) * 2, [f for f in FOLDS for _ in range(3)]
    together = fit_many(models, X, Y, train=train)
    apart = fit_many(models, X, Y, train=train, n_jobs=2)
    for one, other in zip(together, apart, strict=True):
        assert one.lr == other.lr and one.n_iter_ == other.n_iter_
        np.testing.assert_allclose(
            one.predict_proba(X), other.predict_proba(X), rtol=0, atol=1e-12
        )


def test_nothing_to_fit():
    assert fit_many([], X, Y) == []


@pytest.mark.parametrize(
    "kind", [tuple, iter, lambda models: (m for m in models), np.array]
)
def test_estimators_may_be_any_iterable(kind):
    models = rates(0.01, 0.1)
    found = fit_many(kind(models), X, Y, train=[FOLDS[0], FOLDS[1]])
    expected = fit_many(models, X, Y, train=[FOLDS[0], FOLDS[1]])
    assert [model.lr for model in found] == [0.01, 0.1]
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    ("models", "match"),
    [
        (smoothed(), r"got a SmoothedAnticipator: a single one is \[estimator\]"),
        (make_pipeline(StandardScaler(), smoothed()), "got a Pipeline: a single one"),
        ({"slow": smoothed()}, r"got a dict: pass list\(estimators.values\(\)\)"),
        ({"a": smoothed()}.items(), "got a dict_items: pass them in a list"),
        (None, "got a NoneType: pass them in a list"),
        ("model", "got a str: pass them in a list"),
        ([("slow", smoothed())], r"(?s)estimators\[0\] is \('slow', .*without a name"),
        ([smoothed(), SmoothedAnticipator], r"estimators\[1\] is <class"),
        ([smoothed(), 3], r"estimators\[1\] is 3: expected an estimator"),
    ],
)
def test_what_are_no_estimators(models, match):
    with pytest.raises(TypeError, match=match):
        fit_many(models, X, Y)


def test_without_labels_or_clips_the_fit_says_so():
    with pytest.raises(ValueError, match="requires y to be passed"):
        fit_many(rates(0.01), X, None, train=[FOLDS[0]])
    with pytest.raises((TypeError, ValueError), match="NoneType|None"):
        fit_many(rates(0.01), None, Y)


def test_callers_arrays_streams_and_threads_are_untouched():
    arrays = [X.copy(), Y.copy(), PAST.copy()]
    for array in arrays:
        array.flags.writeable = False
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    n_threads = torch.get_num_threads()
    models = [
        DistilledAnticipator(
            MLP(5, dropout=0.2), n_threads=1, text_teacher=reader(), **EXACT
        )
        for _ in range(3)
    ]
    fit_many(
        models, arrays[0], arrays[1], past_actions=arrays[2], train=[*FOLDS, FOLDS[0]]
    )
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.get_num_threads() == n_threads
    assert not any(vars(m).keys() & {"network_", "classes_"} for m in models)


# ------------------------------------------------------------------- what is shared


def reader(seed=0):
    return HistoryTeacher(max_epochs=1, n_networks=1, hidden_size=4, random_state=seed)


class Counted(LogisticRegression):
    """Counts its fits."""

    fits = []

    def fit(self, X, y, sample_weight=None):
        """Fit, and note on what."""
        self.fits.append(np.asarray(X).sum())
        return super().fit(X, y, sample_weight)


class CountedPrior(TransitionPrior):
    """Counts its fits."""

    fits = []

    def _fit_matrix(self, classes, y, y_past):
        self.fits.append(len(y))
        return super()._fit_matrix(classes, y, y_past)


def taught(**params):
    params = {"teacher": Counted(), "teacher_weight": 0.5} | params
    return DistilledAnticipator(MLP(5), **EXACT | params)


@pytest.mark.parametrize(
    ("params", "n_fits"),
    [
        ([{"lr": 0.01}, {"lr": 0.1}, {"smoothing": 0.2}, {"teacher_weight": 0.1}], 1),
        ([{"teacher": Counted(C=c)} for c in (1.0, 2.0, 1.0)], 2),
        ([{"random_state": seed} for seed in (0, 1, 0)], 2),
        ([{"cross_fit": k} for k in (2, 2, 3)], 3 + 4),
        ([{"class_weight": w} for w in (None, "balanced", None)], 2),
        ([{"network": MLP(5)}, {"network": MLP(6)}], 2),  # other groups share nothing
    ],
    ids=["alike", "teachers", "seeds", "cross_fit", "weights", "networks"],
)
def test_a_teacher_is_fitted_once_for_all_that_ask_it_alike(params, n_fits):
    models = [taught().set_params(**own) for own in params]
    Counted.fits.clear()
    fitted = fit_many(models, X, SOME, X)
    assert len(Counted.fits) == n_fits
    for model, found in zip(models, fitted, strict=True):
        expected = clone(model).fit(X, SOME, X)
        np.testing.assert_allclose(
            found.predict_proba(X), expected.predict_proba(X), rtol=0, atol=1e-12
        )
        np.testing.assert_array_equal(found.teacher_.coef_, expected.teacher_.coef_)


def test_other_rows_have_other_teachers():
    Counted.fits.clear()
    fit_many(
        [taught() for _ in range(4)],
        X,
        Y,
        X,
        train=[*FOLDS, np.arange(40), FOLDS[0].copy()],
    )
    assert len(Counted.fits) == len(set(Counted.fits)) == 3


def test_a_prior_is_fitted_once_for_all_of_its_rows():
    CountedPrior.fits.clear()
    models = [
        smoothed(prior=CountedPrior(strength=s), smoothing=w)
        for s, w in [(1.0, 0.1), (1.0, 0.2), (2.0, 0.1)]
    ]
    fit_many(models, X, NAMES, y_past=NAMES[::-1])
    assert len(CountedPrior.fits) == 2


# ----------------------------------------------------------------- what fits alone


class OwnFit(SmoothedAnticipator):
    """A subclass with a fit of its own."""

    def fit(self, X_past, y, **signals):
        """Fit, and tell so."""
        super().fit(X_past, y, **signals)
        self.told_ = True
        return self


def test_a_subclass_with_a_fit_of_its_own():
    models = [OwnFit(MLP(5), lr=lr, **EXACT) for lr in (0.01, 0.1)]
    fitted = assert_as_alone(models, X, Y, together=1)
    assert all(model.told_ for model in fitted)


@pytest.mark.parametrize("train", [None, FOLDS[:2]], ids=["all", "folds"])
def test_estimators_of_other_libraries_and_pipelines(train):
    models = [
        LogisticRegression(C=0.1),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ]
    fitted = fit_many(models, X, Y, train=train)
    for k, (model, found) in enumerate(zip(models, fitted, strict=True)):
        rows = slice(None) if train is None else train[k]
        expected = clone(model).fit(X[rows], Y[rows])
        np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X))


def test_the_last_step_of_a_pipeline_gets_the_signals():
    prior = smoothed(prior=TransitionPrior())
    given = {"y_past": np.roll(NAMES, 1), "sample_weight": 1.0 + Y}
    inner = Pipeline([("again", StandardScaler()), ("model", prior)])
    models = {
        "model__": Pipeline([("scale", StandardScaler()), ("model", prior)]),
        "inner__model__": Pipeline([("scale", StandardScaler()), ("inner", inner)]),
        "": prior,
    }
    rows = FOLDS[0]
    found = fit_many(models.values(), X, NAMES, **given, train=[rows] * 3)
    for (prefix, model), one in zip(models.items(), found, strict=True):
        cut = {f"{prefix}{name}": values[rows] for name, values in given.items()}
        expected = clone(model).fit(X[rows], NAMES[rows], **cut)
        assert_allclose(one.predict_proba(X), expected.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("name", ["X_future_unlabeled", "X_val"])
def test_clips_that_a_pipeline_would_not_transform_need_routing(name):
    model = DistilledAnticipator(MLP(5), max_epochs=2, random_state=0)
    given = {name: X + 0.5} | ({"y_val": Y} if name == "X_val" else {})
    plain = make_pipeline("passthrough", model)
    fit_many([plain], X, Y, **given)
    scaled = make_pipeline(StandardScaler(), model, transform_input=[name])
    with pytest.raises(ValueError, match=rf"not {name}: make it with transform_input="):
        fit_many([plain, scaled], X, Y, **given)
    with config_context(enable_metadata_routing=True):
        (found,) = fit_many([scaled], X, Y, **given)
        expected = clone(scaled).fit(X, Y, **given)
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize(
    ("network", "clips"),
    [
        (UserNetwork(), X),
        (FeatureMapNet(4), CLIPS.reshape(N, 5, 1, 1, D).repeat(2, 2).repeat(2, 3)),
    ],
    ids=["user", "maps"],
)
def test_networks_that_do_not_stack(network, clips):
    models, train = rates(0.01, 0.1, network=network), FOLDS[:2]
    fitted, sizes = fit_counting(models, clips, Y, train=train)
    assert sizes == []
    for model, rows in zip(fitted, train, strict=True):
        expected = clone(model).fit(clips[rows], Y[rows])
        np.testing.assert_allclose(
            model.predict_proba(clips), expected.predict_proba(clips), atol=1e-12
        )


class Normed(MLP):
    """A derived network with a layer that mixes rows, and has no weights."""

    def build(self, input_shape, n_classes, *, generator):
        """Build it."""
        network = super().build(input_shape, n_classes, generator=generator)
        network.layers.append(torch.nn.BatchNorm1d(self.hidden_size, affine=False))
        return network


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_derived_network_with_layers_that_mix_rows(dropout):
    models = rates(0.01, 0.1, network=Normed(5, dropout=dropout))
    assert_as_alone(models, X, Y, together=1)


class Deeper(MLP):
    """A derived network with a layer more."""

    def build(self, input_shape, n_classes, *, generator):
        """Build it."""
        network = super().build(input_shape, n_classes, generator=generator)
        layer = torch.nn.Linear(self.hidden_size, self.hidden_size)
        with torch.no_grad():
            torch.nn.init.eye_(layer.weight)
            layer.bias.zero_()
        network.layers.append(layer)
        return network


def test_a_derived_network_with_a_layer_more_trains_it():
    fitted = assert_as_alone(rates(0.01, 0.1, network=Deeper(5)), X, Y)
    for model in [*fitted, smoothed(Deeper(5)).fit(X, Y)]:
        layer = model.network_.layers[-1].weight
        assert not torch.equal(layer, torch.eye(5, dtype=layer.dtype))


def test_warm_start_starts_afresh():
    models = rates(0.01, 0.1, warm_start=True)
    assert_as_alone([m.fit(X, Y) for m in models], X, Y, together=1)


def test_verbose_fits_tell_of_themselves(capsys):
    fit_many(rates(0.01, 0.1, verbose=1), X, Y)
    assert capsys.readouterr().out.count("epoch 2/2") == 2


def test_a_generator_as_random_state_is_told_of():
    models = rates(0.01, 0.1, random_state=np.random.RandomState(0))
    with pytest.warns(UserWarning, match="alone: its random_state is a generator"):
        fitted, sizes = fit_counting(models, X, Y)
    assert sizes == []
    expected = smoothed(lr=0.01, random_state=np.random.RandomState(0)).fit(X, Y)
    np.testing.assert_array_equal(fitted[0].predict_proba(X), expected.predict_proba(X))


# -------------------------------------------------------------------- what goes wrong


def errors_of(models, *data, **options):
    jobs = [Job(clone(model), *data) for model in models]
    outcomes = fit_jobs(jobs, **options)
    for job, outcome in zip(jobs, outcomes, strict=True):
        assert (outcome.error is None) == (outcome.estimator is job.estimator)
        assert outcome.seconds > 0
        if outcome.error is not None:
            fresh = clone(job.estimator)
            assert vars(job.estimator).keys() == vars(fresh).keys()  # as it was
    return outcomes


@pytest.mark.parametrize("width", [1, "auto"])
def test_models_that_diverge_leave_the_others_untouched(width):
    models = rates(0.01, 1e200, 0.02, 1e300, optimizer="sgd", max_epochs=5)
    outcomes = errors_of(models, X, Y, width=width)
    for model, outcome in zip(models, outcomes, strict=True):
        if model.lr > 1:
            with pytest.raises(ValueError) as alone:
                clone(model).fit(X, Y)
            assert str(outcome.error) == str(alone.value)
            assert isinstance(outcome.error, ValueError)
        else:
            expected = clone(model).fit(X, Y)
            np.testing.assert_allclose(
                outcome.estimator.predict_proba(X),
                expected.predict_proba(X),
                rtol=0,
                atol=1e-12,
            )


def test_the_error_tells_which_fit_it_was():
    models = rates(0.01, 0.02, 1e200, optimizer="sgd")
    with pytest.raises(ValueError, match="Lower lr") as caught:
        fit_many(models, X, Y)
    assert caught.value.__notes__ == ["This was fit 2 of 3, from 0."]


class Failing(CosineSchedule):
    """A schedule that breaks in the second epoch."""

    def decay(self, epoch, max_epochs):
        """Share of `lr`, once."""
        if epoch > 1:
            raise KeyError("nothing is planned")
        return 1.0


class Breaking(NetworkSpec):
    """A network that breaks in its fourth step."""

    uses_global_rng = False

    def __init__(self, breaks=True):
        self.breaks = breaks

    def build(self, input_shape, n_classes, *, generator):
        """Build it."""
        return _Breaking(input_shape[0], n_classes, self.breaks)


class _Breaking(torch.nn.Module):
    def __init__(self, width, n_classes, breaks):
        super().__init__()
        self.layer = torch.nn.Linear(width, n_classes)
        self.steps, self.breaks = 0, breaks

    def forward(self, clips):
        self.steps += self.training
        if self.breaks and self.steps > 3:
            raise RuntimeError("broken")
        return Output(self.layer(clips).unsqueeze(1))


def test_a_schedule_that_raises_leaves_the_others_untouched():
    models = rates(0.01, 0.02) + rates(0.01, lr_schedule=Failing())
    outcomes = errors_of(models, X, Y)
    assert [type(o.error) for o in outcomes] == [type(None), type(None), KeyError]
    for model, outcome in zip(models[:2], outcomes, strict=False):
        proba = clone(model).fit(X, Y).predict_proba(X)
        np.testing.assert_allclose(outcome.estimator.predict_proba(X), proba)


def test_a_network_that_raises_leaves_the_others_untouched():
    models = [smoothed(Breaking(b), lr=lr) for b in (1, 0) for lr in (0.01, 0.1)]
    errors = [o.error for o in errors_of(models, X, Y)]
    assert [type(e) for e in errors] == 2 * [RuntimeError] + 2 * [type(None)]


def test_a_fit_whose_parameters_are_wrong_leaves_the_others_untouched():
    models = rates(0.01, -1.0, 0.1)
    outcomes = errors_of(models, X, Y)
    assert "'lr' parameter" in str(outcomes[1].error)
    assert [o.error is None for o in outcomes] == [True, False, True]


def test_train_of_another_length():
    with pytest.raises(ValueError, match="train has rows for 2 .* but there are 3"):
        fit_many(rates(0.01, 0.02, 0.03), X, Y, train=FOLDS[:2])


@pytest.mark.parametrize(
    "rows",
    [
        np.ones(N + 1, dtype=bool),
        np.ones(N - 1, dtype=bool),
        np.arange(9.0),
        np.array([0, N]),
        np.array([-N - 1, 0]),
        np.arange(8).reshape(2, 4),
        [],
        ["a", "b"],
        (np.arange(3), np.arange(2)),
        pd.array([True, None] * (N // 2), dtype="boolean"),
    ],
)
def test_rows_that_are_none(rows):
    with pytest.raises(ValueError, match=r"train\[1\] must hold numbers of rows"):
        fit_many(rates(0.01, 0.02), X, Y, train=[FOLDS[0], rows])


@pytest.mark.parametrize("kind", [np.array, list])
def test_a_mask_of_whole_numbers_is_no_list_of_rows(kind):
    mask = np.arange(N) % 2
    with pytest.raises(ValueError, match=f"holds {N} numbers 0 and 1.*if it is a mask"):
        fit_many(rates(0.01), X, Y, train=[kind(mask)])


def test_a_mask_that_hides_rows_or_names_them_in_another_order_is_refused():
    hidden = np.ma.array(np.arange(30), mask=np.arange(30) < 3)
    with pytest.raises(ValueError, match=r"train\[0\] is a masked array that hides 3"):
        fit_many(rates(0.01), X, Y, train=[hidden])
    names = [f"clip {k}" for k in range(N)]
    mask = pd.Series(np.arange(N) < 30, index=names)
    table = pd.DataFrame(X, index=names)
    fit_many(rates(0.01), table, Y, train=[mask])
    with pytest.raises(ValueError, match=r"rows of train\[0\] have the names"):
        fit_many(rates(0.01), table, Y, train=[mask[::-1]])
    labels = pd.Series(Y, index=names)
    with pytest.raises(ValueError, match=r"rows of train\[0\] have the names"):
        fit_many(rates(0.01), X, labels, train=[mask[::-1]])


def test_a_mask_that_numbers_the_rows_in_another_order_is_refused():
    order = np.random.default_rng(0).permutation(N)
    mask = pd.Series(order < 30, index=order)  # of rows 0 to 29
    shuffled = pd.Series(Y, index=order)
    for table in (X, pd.DataFrame(X)):
        with pytest.raises(ValueError, match=r"rows of train\[0\] have the names"):
            fit_many(rates(0.01), table, Y, train=[mask])
        found = fit_many(rates(0.01), table, Y, train=[mask.sort_index()])
        expected = rates(0.01)[0].fit(X[:30], Y[:30]).predict_proba(X)
        assert_allclose(found[0].predict_proba(table), expected, rtol=0, atol=1e-12)
        fit_many(rates(0.01), table, shuffled, train=[mask])  # they go together


def test_names_of_rows_are_no_places():
    names = np.arange(N)[::-1]
    table, labels = pd.DataFrame(X, index=names), pd.Series(Y, index=names)
    chosen = table.index[:30]
    for given in ((table, labels), (X, labels), (table, Y)):
        with pytest.raises(ValueError, match=r"train\[0\] is an Index, .*get_indexer"):
            fit_many(rates(0.01), *given, train=[chosen])
    places = table.index.get_indexer(chosen)
    found = fit_many(rates(0.01), table, labels, train=[places])
    expected = rates(0.01)[0].fit(X[:30], Y[:30]).predict_proba(X)
    assert_allclose(found[0].predict_proba(X), expected, rtol=0, atol=1e-12)
    counted = pd.DataFrame(X)  # whose names are places
    fit_many(rates(0.01), counted, Y, train=[counted.index[:30]])


@pytest.mark.parametrize("name", ["y", "X_future_unlabeled", "sample_weight", "groups"])
@pytest.mark.parametrize("train", [None, FOLDS[:2]], ids=["all", "folds"])
@pytest.mark.parametrize("n", [N - 1, N + 1])
def test_arrays_of_another_length(name, train, n):
    given = {"X_past": X, "y": Y, name: np.arange(n) % 3 + 1}
    if name == "X_future_unlabeled":
        given[name] = np.ones((n, D))
    with pytest.raises(ValueError, match=f"{n}"):
        fit_many(rates(0.01, 0.02), **given, train=train)


FOREIGN = {  # of what is fitted alone, rows are cut out
    "classifier": LogisticRegression(),
    "pipeline": make_pipeline(StandardScaler(), smoothed()),
    "fusion": LateFusion([("all", smoothed(), (0, None))]),
    "search": GridSearchCV(smoothed(), {"lr": [0.01]}, cv=2),
}


@pytest.mark.parametrize("name", ["y", "sample_weight"])
@pytest.mark.parametrize("n", [N - 1, N + 1])
@pytest.mark.parametrize("kind", FOREIGN)
def test_arrays_of_another_length_for_what_is_no_anticipator(kind, name, n):
    given = {"X_past": X, "y": Y, name: np.arange(n) % 3 + 1}
    with pytest.raises(ValueError, match=f"{name} has {n} rows but X_past has {N}"):
        fit_many([FOREIGN[kind]], **given)
    with pytest.raises(ValueError, match=f"{name} has {n} rows but X_past has {N}"):
        ReplicaEnsemble(FOREIGN[kind], n_replicas=1).fit(**given)


def test_labels_of_one_class():
    with pytest.raises(ValueError, match="class") as caught:
        fit_many(rates(0.01, 0.02), X, np.zeros(N, int))
    assert "This was fit 0 of 2" in caught.value.__notes__[-1]


def test_masked_arrays_are_read_or_refused_as_alone():
    hidden = np.ma.masked_array(X, mask=np.zeros_like(X, dtype=bool))
    fit_many(rates(0.01, 0.02), hidden, Y, train=FOLDS[:2])
    hidden[FOLDS[0][3], 2] = np.ma.masked
    with pytest.raises(ValueError, match="X_past is a masked array that hides 1"):
        fit_many(rates(0.01, 0.02), hidden, Y, train=FOLDS[:2])


def test_errors_of_other_processes_tell_where_they_come_from():
    jobs = [Job(smoothed(lr=-1.0), X, Y), Job(smoothed(MLP(3), lr=-1.0), X, Y)]
    here, there = (fit_jobs(jobs, n_jobs=n) for n in (None, 2))
    for one, other in zip(here, there, strict=True):
        assert str(one.error) == str(other.error)
        assert not hasattr(one.error, "__notes__")
        assert "validate_parameter_constraints" in other.error.__notes__[0]
