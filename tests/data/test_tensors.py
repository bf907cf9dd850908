"""Tensors of torch in place of arrays: the same bits, and answers in kind."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    LateFusion,
    RecognitionTeacher,
    ReplicaEnsemble,
    RowView,
    SmoothedAnticipator,
    TeacherEnsemble,
    fit_many,
)
from skanticipate.data.device_array import DeviceArray, base_of
from skanticipate.data.validation import check_futures

N, T, D = 90, 3, 4
RNG = np.random.default_rng(0)
CLIPS = (RNG.integers(-16, 17, (N, T, D)) / 8).astype(np.float32)  # exact in bfloat16
FUTURES = (RNG.integers(-16, 17, (N, T, D)) / 8).astype(np.float32)
CLIPS[3, 0] = np.nan  # padding
FUTURES[5] = np.nan
Y = np.where(np.arange(N) < 70, np.arange(N) % 3, -1)
WEIGHTS = np.linspace(0.5, 1, N)
QUICK = {"max_epochs": 2, "dtype": "float32", "random_state": 0, "batch_size": 32}
MODEL = SmoothedAnticipator(LSTM(4, anticipation_steps=2), **QUICK)
STUDENT = DistilledAnticipator(LSTM(4), teacher_weight=0.5, **QUICK)
METHODS = ("predict_proba", "predict_log_proba", "feature_map")


def on_device(array):
    """A view of a tensor as of one on another device, which here is the CPU."""
    return RowView(DeviceArray(torch.tensor(array)))


FORMS = {
    "plain": torch.tensor,
    "with a gradient": lambda a: torch.tensor(a, requires_grad=a.dtype.kind == "f"),
    "float64": lambda a: torch.tensor(a).double() if a.dtype.kind == "f" else a,
    "bfloat16": lambda a: torch.tensor(a).bfloat16() if a.dtype.kind == "f" else a,
    "float16": lambda a: torch.tensor(a).half() if a.dtype.kind == "f" else a,
    "to be negated": lambda a: torch._neg_view(-torch.tensor(a)),
    "to be negated, bfloat16": lambda a: (
        torch._neg_view(-torch.tensor(a).bfloat16()) if a.dtype.kind == "f" else a
    ),
    "an imaginary part": lambda a: (
        torch.complex(torch.zeros(a.shape), -torch.tensor(a)).conj().imag
        if a.dtype == np.float32
        else a
    ),
    "other strides": lambda a: torch.tensor(np.moveaxis(a, -1, 0).copy()).movedim(
        0, -1
    ),
    "every other row": lambda a: torch.tensor(np.repeat(a, 2, axis=0))[::2],
    "parameter": lambda a: torch.nn.Parameter(torch.tensor(a), a.dtype.kind == "f"),
    "on a device": lambda a: on_device(a) if a.ndim > 1 else a,
    "on a device, bfloat16": lambda a: (
        RowView(DeviceArray(torch.tensor(a).bfloat16())) if a.ndim > 1 else a
    ),
}


def bits(model):
    return [w.numpy().tobytes() for w in model.network_.state_dict().values()]


@pytest.mark.parametrize("form", FORMS)
def test_a_fit_of_tensors_has_the_bits_of_one_of_arrays(form):
    expected = clone(STUDENT).fit(CLIPS, Y, FUTURES, sample_weight=WEIGHTS)
    given = [FORMS[form](a) for a in (CLIPS, Y, FUTURES)]
    found = clone(STUDENT).fit(*given, sample_weight=torch.tensor(WEIGHTS))
    assert bits(found) == bits(expected)
    assert_array_equal(np.asarray(found.classes_), [0, 1, 2])


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_those_about_arrays_where_they_were_asked(form):
    model = clone(MODEL).fit(CLIPS, Y.clip(0))
    given = FORMS[form](CLIPS)
    for name in METHODS:
        answer, expected = (getattr(model, name)(clips) for clips in (given, CLIPS))
        assert isinstance(expected, np.ndarray)
        assert torch.is_tensor(answer) == torch.is_tensor(given)
        assert_array_equal(np.asarray(answer), expected)
    for answer, expected in zip(
        model.staged_predict_proba(given),
        model.staged_predict_proba(CLIPS),
        strict=True,
    ):
        assert torch.is_tensor(answer) == torch.is_tensor(given)
        assert_array_equal(np.asarray(answer), expected)
    labels = model.predict(given)
    assert isinstance(labels, np.ndarray)  # as classes_, which may be texts
    assert_array_equal(labels, model.predict(CLIPS))
    score = model.score(given, torch.tensor(Y.clip(0)), torch.tensor(WEIGHTS))
    assert score == model.score(CLIPS, Y.clip(0), WEIGHTS)


def test_an_answer_can_be_learnt_from():
    model = clone(MODEL).fit(CLIPS, Y.clip(0))
    answer = model.predict_proba(torch.tensor(CLIPS))
    assert not answer.requires_grad and not answer.is_inference()
    weight = torch.ones(3, requires_grad=True)
    (answer * weight).sum().backward()
    assert weight.grad.sum().item() == pytest.approx(N, rel=1e-5)


def test_validation_data_as_they_are_and_as_functions():
    def fitted(X_val, y_val):
        model = clone(MODEL).set_params(early_stopping=True)
        return bits(model.fit(CLIPS, Y.clip(0), X_val=X_val, y_val=y_val))

    X_val, y_val = FUTURES[6:40], Y[6:40].clip(0)
    expected = fitted(X_val, y_val)
    tensors = torch.tensor(X_val), torch.tensor(y_val)
    assert fitted(*tensors) == expected
    assert fitted(lambda: tensors[0], lambda: tensors[1]) == expected


def test_many_fits_and_searches():
    models = [clone(MODEL).set_params(lr=lr) for lr in (1e-3, 1e-2)]
    labels, train = Y.clip(0), [np.arange(60), np.arange(30, N)]
    expected = [bits(m) for m in fit_many(models, CLIPS, labels, train=train)]
    tensors = torch.tensor(CLIPS), torch.tensor(labels)
    for clips in (tensors[0], on_device(CLIPS)):
        found = fit_many(models, clips, tensors[1], train=train)
        assert [bits(m) for m in found] == expected
    for kind in (BatchedGridSearchCV, GridSearchCV):
        grid = kind(clone(MODEL), {"lr": [1e-3, 1e-2]}, cv=2, scoring="neg_log_loss")
        scores = clone(grid).fit(CLIPS, labels).cv_results_["mean_test_score"]
        # Whose scorers ask about the tensors of a fold, and want arrays: views.
        views = (RowView(tensors[0]), on_device(CLIPS))
        own = kind is BatchedGridSearchCV
        for clips in (*views, tensors[0]) if own else views:
            found = clone(grid).fit(clips, tensors[1])
            assert_array_equal(found.cv_results_["mean_test_score"], scores)
        assert torch.is_tensor(found.predict_proba(tensors[0]))
    scores = cross_val_score(clone(MODEL), *tensors, cv=2)
    assert_array_equal(scores, cross_val_score(clone(MODEL), CLIPS, labels, cv=2))


MEMBER = SmoothedAnticipator(MLP(4), **QUICK)
OTHERS = {
    "fusion": LateFusion([("a", MEMBER, (0, 2)), ("b", MEMBER, (2, 4))]),
    "ensemble": TeacherEnsemble([MEMBER, clone(MEMBER).set_params(lr=0.01)]),
    "replicas": ReplicaEnsemble(MEMBER, n_replicas=2, random_state=0),
    "teacher": RecognitionTeacher(MLP(4), **QUICK),
    "pipeline": make_pipeline(StandardScaler(), MEMBER),
}


@pytest.mark.parametrize("form", ["plain", "on a device"])
@pytest.mark.parametrize("name", OTHERS)
def test_estimators_made_of_others(name, form):
    clips, labels = FUTURES[6:, 0], Y[6:].clip(0)
    given = FORMS[form](clips), torch.tensor(labels)
    plain = clone(OTHERS[name]).fit(clips, labels)
    model = clone(OTHERS[name]).fit(*given)
    assert_array_equal(model.predict(given[0]), plain.predict(clips))
    answer, expected = model.predict_proba(given[0]), plain.predict_proba(clips)
    if name == "pipeline":  # whose scaler makes arrays of tensors, in float64
        assert_allclose(answer, expected, rtol=1e-5)
    else:
        assert_array_equal(np.asarray(answer), expected)
        assert torch.is_tensor(answer) == (form == "plain")


# ---------------------------------------------------------------------- what is not


BROKEN = {
    "meta": (lambda a: torch.empty(a.shape, device="meta"), "device 'meta', which"),
    "zeros": (
        lambda a: torch._efficientzerotensor(a.shape),
        r"held nowhere: pass X_past.clone\(\)",
    ),
    "sparse": (lambda a: torch.tensor(a).to_sparse(), r"pass X_past.to_dense\(\)"),
    "float8": (
        lambda a: torch.tensor(a).to(torch.float8_e4m3fn),
        r"float8_e4m3fn: pass X_past.float\(\)",
    ),
    "quantized": (
        lambda a: torch.quantize_per_tensor(torch.tensor(a), 0.1, 0, torch.qint8),
        r"quantized values: pass X_past.dequantize\(\)",
    ),
    "nested": (
        lambda a: torch.nested.nested_tensor([torch.tensor(c) for c in a]),
        "unequal length: pad_clips",
    ),
    "complex": (lambda a: torch.tensor(a).to(torch.complex64), "Complex data not"),
    "one axis": (lambda a: torch.tensor(a[:, 0]), "Expected 2D array|shape"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BROKEN)
def test_what_holds_no_clips_is_refused_in_words(name):
    make, said = BROKEN[name]
    model = clone(MEMBER)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=said):
        model.fit(make(FUTURES[6:, 0]), Y[6:].clip(0))
    assert vars(model) == before


def spoiled(ndim):
    clips = FUTURES[6:].copy() if ndim == 3 else FUTURES[6:, 0].copy()
    clips[(4, *[1] * (ndim - 1))] = np.inf
    return clips


@pytest.mark.parametrize("ndim", [2, 3])
def test_values_that_are_not_finite_are_told_as_of_an_array(ndim):
    clips, said = spoiled(ndim), []
    for given in (clips, torch.tensor(clips), on_device(clips)):
        with pytest.raises(ValueError, match="infinity") as caught:
            clone(MODEL if ndim == 3 else MEMBER).fit(given, Y[6:].clip(0))
        said.append(str(caught.value))
    assert len(set(said)) == 1


@pytest.mark.parametrize("ndim", [2, 3])
def test_futures_on_a_device_are_missing_where_those_of_an_array_are(ndim):
    futures = FUTURES if ndim == 3 else FUTURES[:, 0].copy()
    for some in (futures, np.where(np.isnan(futures), 1, futures)):
        expected = check_futures(some, name="F", estimator="x")[1]
        found = check_futures(on_device(some), name="F", estimator="x")[1]
        assert_array_equal(found, expected)
    clips = spoiled(ndim)
    with pytest.raises(ValueError, match="infinity"):
        check_futures(on_device(clips), name="F", estimator="x")


def test_a_view_of_a_device_reads_as_one_of_an_array():
    view, plain = on_device(FUTURES), RowView(FUTURES)
    rows = np.array([[4, 1], [0, 9]])
    for one, other in (
        (view[3], plain[3]),
        (view.take([5, 1, 5]), plain.take([5, 1, 5])),
        (RowView(view.base, rows).take([1, 0]), RowView(FUTURES, rows).take([1, 0])),
        (view.channels(1, 3).take([2]), plain.channels(1, 3).take([2])),
        (np.asarray(view[::-1]), FUTURES[::-1]),
    ):
        assert_array_equal(one, other)


def test_an_array_of_a_tensor_shares_its_memory():
    tensor = torch.zeros(4, 2)
    base_of(tensor, "X")[1] = 7
    assert tensor[1].tolist() == [7, 7]
    assert RowView(tensor).base.base is not None


def test_bfloat16_becomes_the_float32_that_torch_makes_of_it():
    values = torch.tensor([1.5, -0.0, torch.inf, torch.nan, 1e-40, -3e38])
    values = values.bfloat16()[None]
    assert_array_equal(base_of(values, "X"), values.float().numpy())


def test_a_default_device_has_no_part_in_what_a_tensor_is():
    with torch.device("meta"):  # on "cuda", a view would ask for itself for ever
        view = DeviceArray(torch.ones(4, 2, dtype=torch.bfloat16, device="cpu"))
        rows = view[np.array([0, 2])]
    assert view.dtype == np.float32
    assert_array_equal(rows, np.ones((2, 2), np.float32))
