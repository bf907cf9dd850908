"""Labels and numbers in boxes: what holds a plain value, but equals unlike it.

The oracle of each door is its answer to a plain list of Python, or an array of NumPy.
"""

import datetime
import enum
from decimal import Decimal
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    ArrayPrior,
    BatchedGridSearchCV,
    DistilledAnticipator,
    GloVePrior,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    LastAxisSlice,
    LateFusion,
    PerFrame,
    RowView,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
    fit_many,
    load,
    pad_clips,
)
from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    cut_pairs,
    label_history,
    label_sequences,
    many_shot_actions,
    participant_split,
    trimmed_pairs,
    unlabeled_pairs,
)
from skanticipate.metrics import (
    epic100_metrics,
    marginalize,
    mean_top_k_recall_score,
    time_to_action,
    top_k_accuracy,
)

CLASSES = ["cut pan", "dry cup", "wash pan"]
Y = CLASSES * 4
PAST = [CLASSES[(k + 1) % 3] for k in range(12)]
CODES = [0, 1, 2] * 4
HISTORY = [[CLASSES[(k + step) % 3] for step in range(2)] for k in range(12)]
# Eighths, which bfloat16 holds exactly.
RNG = np.random.default_rng(0)
X = np.float32(RNG.integers(-16, 16, size=(12, 4)) / 8)
CLIPS = np.float32(RNG.integers(-16, 16, size=(12, 3, 4)) / 8)
SCORES = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]] * 4)
PARTS = {"label": CLASSES, "verb": ["a", "b", "a"], "noun": ["p", "p", "q"]}
TABLE = FeatureTable.from_arrays({"a": np.ones((90, 2)), "b": np.zeros((90, 2))})


class Box:
    """As a scalar of pyarrow is: its value is what `as_py` gives."""

    def __init__(self, value):
        self.value = value

    def as_py(self):
        return self.value


class Scalar:
    """As an array of another library: one without axes, in an object of its own."""

    __hash__ = None
    ndim, shape = 0, ()

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return False

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype=object)


def nested(box):
    """A list of boxes; of more axes lists of them."""

    def wrap(values):
        values = values.tolist() if isinstance(values, np.ndarray) else values
        return [wrap(v) if isinstance(v, list) else box(v) for v in values]

    return wrap


def from_module(name, make):
    """What another library makes of values, where it is installed."""

    def wrap(values):
        return make(pytest.importorskip(name), values)

    return wrap


def in_objects(values):
    return np.array([*map(Box, values), None], dtype=object)[:-1]


LABELS = {
    "as_py": nested(Box),
    "as_py in an array": in_objects,
    "no axes": nested(np.array),
    "objects of no axes": nested(lambda v: np.array(v, dtype=object)),
    "of another library": nested(Scalar),
    "tuple": lambda v: tuple(map(Box, v)),
    "pyarrow": from_module("pyarrow", lambda pa, v: pa.array(v)),
    "scalars of pyarrow": from_module("pyarrow", lambda pa, v: list(pa.array(v))),
    "codes of pyarrow": from_module(
        "pyarrow", lambda pa, v: list(pa.array(v).dictionary_encode())
    ),
    "chunks of pyarrow": from_module("pyarrow", lambda pa, v: pa.chunked_array([v])),
    "polars": from_module("polars", lambda pl, v: pl.Series(v)),
    "xarray": from_module("xarray", lambda xr, v: list(xr.DataArray(v))),
    "dask": from_module("dask.array", lambda da, v: list(da.from_array(np.array(v)))),
    "zarr": from_module("zarr", lambda zarr, v: list(zarr.array(np.array(v)))),
}
NUMBERED = LABELS | {
    "tensors": nested(torch.tensor),
    "tensor": torch.tensor,
    "int4": from_module("ml_dtypes", lambda ml, v: np.array(v).astype(ml.int4)),
}


def student(**params):
    return SmoothedAnticipator(max_epochs=1, random_state=0, **params)


READER = HistoryTeacher(hidden_size=4, n_networks=1, max_epochs=1)


def distilled(**params):
    return DistilledAnticipator(max_epochs=1, random_state=0, **params)


def proba(model):
    return model.predict_proba(X)


def fitted(*rows, **signals):
    model = student().fit(*rows, **signals)
    return repr([model.classes_.tolist(), proba(model).tolist()])


def tables(v):
    return {"label": v(CLASSES), "verb": v(PARTS["verb"]), "noun": v(PARTS["noun"])}


def pairs(v):
    parts = zip(v(PARTS["verb"]), v(PARTS["noun"]), strict=True)
    return dict(zip(CLASSES, parts, strict=True))


def segments(v):
    return {
        "video": v(["a", "a"]),
        "start_frame": [40, 70],
        "stop_frame": [60, 80],
        "action": v(["x", "y"]),
    }


def of_steps(v):
    model = student(network=LSTM(4), prior=TransitionPrior(), smoothing=0.5)
    steps = [v([label] * 3) for label in PAST]
    return model.fit(CLIPS, Y, y_past=steps).predict_proba(CLIPS)


def search(v):
    found = BatchedGridSearchCV(student(), {"smoothing": [0.0, 0.5]}, cv=2)
    return found.fit(X, v(Y)).cv_results_["mean_test_score"]


DOORS = {
    "y": lambda v: fitted(X, v(Y)),
    "y_past": lambda v: proba(
        student(prior=TransitionPrior(), smoothing=0.5).fit(X, Y, y_past=v(PAST))
    ),
    "y_past of steps": of_steps,
    "y_val": lambda v: repr(
        student().fit(X, Y, X_val=X, y_val=v(Y)).history_[-1]["val_loss"]
    ),
    "groups": lambda v: proba(
        student(early_stopping=True, validation_fraction=0.3).fit(X, Y, groups=v(PAST))
    ),
    "classes": lambda v: proba(student(classes=v(CLASSES)).fit(X, Y)),
    "class_weight": lambda v: proba(
        student(class_weight=dict(zip(CLASSES, v([1, 2, 3]), strict=True))).fit(X, Y)
    ),
    "marker": lambda v: (
        student(unlabeled_label=v(["dry cup"])[0]).fit(X, Y).classes_.tolist()
    ),
    "past_actions": lambda v: proba(
        distilled(text_weight=1.0, text_teacher=READER).fit(
            X, Y, past_actions=[v(row) for row in HISTORY]
        )
    ),
    "score": lambda v: student().fit(X, Y).score(X, v(Y)),
    "fusion": lambda v: proba(LateFusion([("a", student(), (0, 2))]).fit(X, v(Y))),
    "fit_many": lambda v: proba(fit_many([student()], X, v(Y))[0]),
    "search": search,
    "top_k_accuracy": lambda v: top_k_accuracy(v(Y), SCORES, k=1, classes=v(CLASSES)),
    "column labels": lambda v: top_k_accuracy(Y, SCORES, k=1, classes=v(CLASSES)),
    "time_to_action": lambda v: time_to_action(
        v(Y), [SCORES], [1.0], k=1, classes=v(CLASSES)
    ),
    "labels": lambda v: mean_top_k_recall_score(
        Y, SCORES, k=1, classes=CLASSES, labels=v(CLASSES[:2])
    ),
    "marginalize": lambda v: (
        marginalize(SCORES, v(CLASSES), verbs=v(["wash", "dry", "cut"])).verb_proba
    ),
    "UniformPrior": lambda v: UniformPrior().fit(v(CLASSES)).classes_.tolist(),
    "VerbNounPrior": lambda v: VerbNounPrior().fit(v(CLASSES)).matrix_,
    "ArrayPrior": lambda v: ArrayPrior(SCORES[:3], v(CLASSES)).fit(CLASSES[:2]).matrix_,
    "TransitionPrior y": lambda v: TransitionPrior().fit(CLASSES, v(Y), PAST).matrix_,
    "TransitionPrior past": lambda v: (
        TransitionPrior().fit(CLASSES, Y, v(PAST)).matrix_
    ),
    "rows": lambda v: TransitionPrior().fit(CLASSES, Y, PAST).rows(v(Y), v(PAST)),
    "sequences": lambda v: (
        TemporalPrior(sequences=[v(Y), v(PAST)]).fit(CLASSES).matrix_
    ),
    "actions": lambda v: VerbNounPrior(tables(v)).fit(CLASSES).matrix_,
    "pairs of actions": lambda v: VerbNounPrior(pairs(v)).fit(CLASSES).matrix_,
    "names of actions": lambda v: (
        VerbNounPrior(dict(zip(map(Box, CLASSES), pairs(v).values(), strict=True)))
        .fit(CLASSES)
        .matrix_
    ),
    "HistoryEncoder": lambda v: HistoryEncoder().fit_transform([v(r) for r in HISTORY]),
    "HistoryText": lambda v: (
        HistoryText().fit_transform([v(r) for r in HISTORY]).tolist()
    ),
    "label_history": lambda v: label_history(segments(v), history=1).tolist(),
    "label_sequences": lambda v: [a.tolist() for a in label_sequences(segments(v))],
    "cut_clips": lambda v: cut_clips(
        TABLE, segments(v), observation=0.5, anticipation=0.5
    ).y.tolist(),
    "FeatureTable.rows": lambda v: TABLE.rows(v(["a", "b"]), [[1, 2], [3, 4]]),
    "participant_split": lambda v: [
        np.asarray(part["video"]).tolist()
        for part in participant_split({"video": v(["P01_1", "P02_1"])}, v(["P01"]))
    ],
}
NUMBERED_DOORS = {
    "y": lambda v: fitted(X, v(CODES)),
    "unlabelled y": lambda v: fitted(X, v([-1, 2, 1, 0] * 3)),
    "groups": lambda v: proba(student(early_stopping=True).fit(X, Y, groups=v(CODES))),
    "classes": lambda v: proba(student(classes=v([0, 1, 2])).fit(X, CODES)),
    "columns": lambda v: top_k_accuracy(v(CODES), SCORES, k=1),
    "column labels": lambda v: top_k_accuracy(CODES, SCORES, k=1, classes=v([0, 1, 2])),
    "frames": lambda v: label_history(
        {
            "video": ["a", "a"],
            "start_frame": v([1, 4]),
            "stop_frame": v([2, 6]),
            "action": v([5, 7]),
        },
        anticipation_time=0.0,
        history=1,
    ),
    "epic": lambda v: repr(
        epic100_metrics(
            {"verb": v([0, 1, 0] * 4), "noun": v([0, 1, 0] * 4), "action": v(CODES)},
            action=SCORES,
            actions={c: v([0, 1, 2]) for c in ("label", "verb_id", "noun_id")},
            tail={"verb": v([0]), "noun": v([1])},
        )
    ),
    "many_shot_actions": lambda v: many_shot_actions(
        {"label": v([0, 1, 2]), "verb_id": v([0, 0, 1]), "noun_id": v([0, 1, 1])},
        v([0]),
        v([1]),
    ),
    "trimmed_pairs": lambda v: (
        trimmed_pairs(
            [np.arange(1.0, n + 1)[:, None] for n in (9, 4, 8)],
            v([5, 7, -1]),
            n_pairs=2,
            n_steps=2,
            gap=4,
            random_state=0,
        ).y
    ),
    "unlabeled_pairs": lambda v: (
        unlabeled_pairs(
            segments(list) | {"action": v([7, 6])}, 1, clip_duration=0.2, random_state=0
        ).y
    ),
}


@cache
def plainly(answer, plain=list):
    """What a door answers to plain values, with which all that is in boxes compares."""
    return answer(plain)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("box", LABELS)
@pytest.mark.parametrize("door", DOORS)
def test_labels_in_boxes_are_those_labels(door, box):
    answer = DOORS[door]
    assert_array_equal(answer(LABELS[box]), plainly(answer))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("box", NUMBERED)
@pytest.mark.parametrize("door", NUMBERED_DOORS)
def test_numbers_in_boxes_are_those_labels(door, box):
    answer = NUMBERED_DOORS[door]
    assert_array_equal(answer(NUMBERED[box]), plainly(answer))


def of_bfloat16(values):
    return torch.tensor(np.asarray(values)).bfloat16()


def with_gradient(values):
    return torch.tensor(np.asarray(values)).requires_grad_()


NUMBERS = {
    "list": lambda v: np.asarray(v).tolist(),
    "objects": lambda v: np.asarray(v, dtype=object),
    "bfloat16": of_bfloat16,
    "gradient": with_gradient,
    "list of bfloat16": lambda v: list(of_bfloat16(v)),
    "list of gradients": lambda v: list(with_gradient(v)),
    "tensors of no axes": nested(lambda v: torch.tensor(v).bfloat16()),
    "as_py": nested(Box),
    "of another library": nested(Scalar),
    "ml_dtypes": from_module(
        "ml_dtypes", lambda ml, v: np.asarray(v).astype(ml.bfloat16)
    ),
    "list of ml_dtypes": from_module(
        "ml_dtypes", lambda ml, v: list(np.asarray(v).astype(ml.bfloat16))
    ),
    "scalars of ml_dtypes": nested(
        from_module("ml_dtypes", lambda ml, v: ml.bfloat16(v))
    ),
    "pyarrow": from_module("pyarrow", lambda pa, v: pa.array(np.asarray(v).tolist())),
    "scalars of pyarrow": from_module(
        "pyarrow", lambda pa, v: list(pa.array(np.asarray(v).tolist()))
    ),
    "polars": from_module("polars", lambda pl, v: pl.Series(np.asarray(v).tolist())),
    "xarray": from_module("xarray", lambda xr, v: list(xr.DataArray(np.asarray(v)))),
    "dask": from_module("dask.array", lambda da, v: list(da.from_array(np.asarray(v)))),
}
WEIGHTS = np.array([1.0, 2.0, 0.5] * 4)
TIMES = np.array([1.5, 0.5])
OBSERVED = student(network=LSTM(4)).fit(CLIPS, Y)


def stream(v):
    steps = OBSERVED.stream()
    return [steps.update(v(step)) for step in CLIPS[0]]


def glove(v):
    words = {word for label in CLASSES for word in label.split()}
    vectors = {word: v(CLIPS[0, :, k % 4]) for k, word in enumerate(sorted(words))}
    return GloVePrior(vectors=vectors).fit(CLASSES).matrix_


NUMBER_DOORS = {
    "X": lambda v: proba(student().fit(v(X), Y)),
    "clips": lambda v: student(network=LSTM(4)).fit(v(CLIPS), Y).predict_proba(CLIPS),
    "predict": lambda v: np.asarray(student().fit(X, Y).predict_proba(v(X))),
    "future": lambda v: proba(distilled().fit(X, Y, v(X))),
    "X_val": lambda v: (
        student().fit(X, Y, X_val=v(X), y_val=Y).history_[-1]["val_loss"]
    ),
    "sample_weight": lambda v: proba(student().fit(X, Y, sample_weight=v(WEIGHTS))),
    "weights of score": lambda v: student().fit(X, Y).score(X, Y, v(WEIGHTS)),
    "teacher_proba": lambda v: proba(
        distilled(classes=CLASSES, teacher_weight=1.0).fit(
            X, Y, X, teacher_proba=v(SCORES)
        )
    ),
    "y_score": lambda v: top_k_accuracy(Y, v(SCORES), k=1, classes=CLASSES),
    "staged_scores": lambda v: time_to_action(
        Y, [v(SCORES), v(SCORES)], v(TIMES), k=1, classes=CLASSES
    ),
    "marginalize": lambda v: marginalize(v(SCORES), CLASSES).verb_proba,
    "pad_clips": lambda v: pad_clips([v(clip) for clip in CLIPS]),
    "from_arrays": lambda v: (
        FeatureTable.from_arrays({"a": v(CLIPS[0]), "b": v(CLIPS[1])}).array
    ),
    "stream": stream,
    "PerFrame": lambda v: PerFrame(StandardScaler()).fit_transform(v(CLIPS)),
    "LastAxisSlice": lambda v: np.asarray(LastAxisSlice(1, 3).fit_transform(v(CLIPS))),
    "ArrayPrior": lambda v: ArrayPrior(v(SCORES[:3]), CLASSES).fit(CLASSES).matrix_,
    "GloVePrior": glove,
    "weights of members": lambda v: proba(
        LateFusion(
            [("a", student(), (0, 2)), ("b", student(), (2, 4))], weights=v(TIMES)
        ).fit(X, Y)
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("box", NUMBERS)
@pytest.mark.parametrize("door", NUMBER_DOORS)
def test_numbers_of_any_type_are_those_numbers(door, box):
    answer = NUMBER_DOORS[door]
    expected = plainly(answer, np.asarray)
    assert_allclose(answer(NUMBERS[box]), expected, rtol=1e-5, atol=1e-7)


class Identical:
    """Equals itself alone."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("door", sorted(DOORS.keys() - {"class_weight", "marker"}))
def test_what_equals_itself_alone_is_refused(door):
    told = "Identical|participant|no video|expected all integers or all strings"
    with pytest.raises((ValueError, TypeError), match=told):
        DOORS[door](nested(lambda v: Identical()))


class Verb(enum.Enum):
    CUT, DRY, WASH = range(3)


@pytest.mark.parametrize(
    "values",
    [
        list(Verb),
        [Decimal("1.5"), Decimal(2), Decimal(3)],
        [Fraction(1, 3), Fraction(1, 2), Fraction(2)],
        [datetime.date(2020, 1, day) for day in (1, 2, 3)],
        [True, "a", 2],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_values_that_say_what_they_equal_are_labels(values):
    past = [values[(k + 1) % 3] for k in range(12)]
    numbers = [(k + 1) % 3 for k in range(12)]
    sequences = TemporalPrior(sequences=[numbers]).fit([0, 1, 2]).matrix_
    assert_array_equal(TemporalPrior(sequences=[past]).fit(values).matrix_, sequences)
    rows = TransitionPrior().fit([0, 1, 2], numbers, CODES).rows(numbers, CODES)
    prior = TransitionPrior().fit(values, past, values * 4)
    assert_array_equal(prior.rows(past, values * 4), rows)


@pytest.mark.parametrize("door", ["X", "stream", "y_score", "marginalize", "pad_clips"])
def test_numbers_with_names_are_refused_in_words(door, tmp_path):
    np.savez(tmp_path / "file.npz", x=X)
    with np.load(tmp_path / "file.npz") as file:
        wrong = [
            lambda v: file,
            lambda v: {"x": v},
            lambda v: [{"x": 1.0} for _ in v],
            lambda v: np.zeros(len(v), dtype=[("a", float), ("b", float)]),
        ]
        for wrap in wrong:
            with pytest.raises(ValueError, match="must be an array of numbers, got a"):
                NUMBER_DOORS[door](wrap)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("box", ["as_py", "as_py in an array", "no axes", "pyarrow"])
def test_parameters_in_boxes_are_saved(box, tmp_path):
    v = LABELS[box]
    model = student(classes=v(CLASSES), prior=VerbNounPrior(tables(v)), smoothing=0.5)
    model.fit(X, Y).save(tmp_path / "model")
    assert_array_equal(proba(load(tmp_path / "model")), proba(model))


def test_a_table_of_pyarrow_is_saved(tmp_path):
    pa = pytest.importorskip("pyarrow")
    model = student(prior=VerbNounPrior(pa.table(PARTS)), smoothing=0.5).fit(X, Y)
    model.save(tmp_path / "model")
    prior = load(tmp_path / "model").prior
    assert_array_equal(prior.fit(CLASSES).matrix_, model.prior_.matrix_)


@pytest.mark.parametrize("tensor", [of_bfloat16, with_gradient])
def test_a_tensor_of_labels_is_an_array_of_them(tensor):
    labels = tensor(np.float32(CODES))
    assert top_k_accuracy(labels, SCORES, k=1, classes=[0, 1, 2]) == 1.0
    history = labels.reshape(6, 2)
    found = HistoryEncoder().fit_transform(history)
    assert_array_equal(found, HistoryEncoder().fit_transform(np.reshape(CODES, (6, 2))))


@pytest.mark.parametrize("rows", [np.array([2, 0]), [2, 0]], ids=["array", "list"])
def test_rows_in_boxes_are_those_rows(rows):
    view = RowView(X, nested(torch.tensor)(rows))
    assert_array_equal(view.take([0, 1]), X[[2, 0]])


@pytest.mark.parametrize("values", [[b"cut"], np.array([b"cut"], dtype=object)])
def test_bytes_equal_no_label(values):
    with pytest.raises(ValueError, match="Labels are bytes: decode them"):
        top_k_accuracy(["cut"], [[1.0]], k=1, classes=values)


class ArrowTable:
    """As a table of pyarrow is: a name is not `in` it, and its columns have none."""

    def __init__(self, columns):
        self._columns = {name: np.asarray(column) for name, column in columns.items()}

    column_names = property(lambda self: list(self._columns))
    columns = property(lambda self: list(self._columns.values()))

    def __iter__(self):
        return iter(self.columns)

    def __getitem__(self, name):
        return self._columns[name]

    def to_pandas(self):
        raise NotImplementedError


TABLES = {
    "stand-in": ArrowTable,
    "pyarrow": from_module("pyarrow", lambda pa, columns: pa.table(columns)),
    "polars": from_module("polars", lambda pl, columns: pl.DataFrame(columns)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_segments_and_rates_may_be_of_other_libraries(kind):
    wrap = TABLES[kind]
    segments = {
        "video": ["b", "a", "a", "b"],
        "start_frame": [300, 150, 240, 600],
        "stop_frame": [310, 180, 260, 630],
        "action": [3, 1, 2, 4],
    }
    rates = {"video": ["b", "a"], "fps": [60.0, 30.0], "duration": [20.0, 20.0]}
    features = FeatureTable.from_arrays(
        {name: np.arange(900.0)[:, None] + 1000 * (name == "b") for name in "ab"}
    )
    pairs = unlabeled_pairs(segments, 5, window=2, random_state=0)
    doors = [
        lambda v: label_history(v(segments), fps=v(rates)),
        lambda v: np.concatenate(label_sequences(v(segments), fps=v(rates))),
        lambda v: np.asarray(
            cut_clips(features, v(segments), fps=v(rates), feature_rate=10).X_past
        ),
        lambda v: (
            unlabeled_pairs(
                v(segments), 5, window=2, avoid=v(segments), random_state=0
            ).past_start
        ),
        lambda v: (
            cut_pairs(
                v({name: np.asarray(pairs[name]).tolist() for name in pairs}),
                features,
                feature_rate=10,
            ).X_past
        ),
    ]
    for door in doors:
        assert_array_equal(door(wrap), door(dict))
    late = wrap({**rates, "duration": [20.0, 1.0]})
    with pytest.raises(ValueError, match="starts at 5.00 s, after the end"):
        label_history(wrap(segments), fps=late)


def test_frames_per_second_of_nothing_that_is_known_are_refused():
    rates = pytest.importorskip("pandas").DataFrame({"fps": [30.0]}, index=["a"])
    segments = {"video": ["a"], "start_frame": [0], "stop_frame": [9], "action": [1]}
    with pytest.raises(ValueError, match="fps has no entry for 1 videos"):
        label_history(segments, fps=rates)

    class Other:
        to_pandas = __contains__ = lambda self, *_: False

    with pytest.raises(ValueError, match="fps is a Other: expected a number, a map"):
        label_history(segments, fps=Other())
