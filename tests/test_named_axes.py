"""Arrays whose axes have names, as those of xarray: they are compared as of tables.

The oracle is the plain array.
"""

import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    AVTHead,
    DistilledAnticipator,
    HistoryEncoder,
    LastAxisSlice,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    load,
    save,
    stream,
)
from skanticipate.datasets import (
    FeatureTable,
    cut_pairs,
    first_fraction,
    trimmed_pairs,
    unlabeled_pairs,
)
from skanticipate.metrics import top_k_accuracy
from skanticipate.preprocessing import pad_clips

pd = pytest.importorskip("pandas")


class StandIn:
    """What of a `DataArray` is read, for where xarray is not installed."""

    def __init__(self, values, dims, coords):
        self.values, self.dims = np.asarray(values), tuple(dims)
        self.indexes = {name: pd.Index(own) for name, own in coords.items()}
        self.shape, self.dtype = self.values.shape, self.values.dtype
        self.ndim, self.attrs = self.values.ndim, {}

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        coords = dict(self.indexes)
        if self.dims[0] in coords:
            coords[self.dims[0]] = coords[self.dims[0]][rows]
        return StandIn(self.values[rows], self.dims, coords)


KINDS = {"stand-in": StandIn}
try:
    import xarray

    KINDS["xarray"] = lambda values, dims, coords: xarray.DataArray(
        values, dims=dims, coords=coords
    )
except ImportError:
    pass

N = 24
RNG = np.random.default_rng(0)
CLIPS = RNG.normal(size=(N, 3, 4))
Y = np.arange(N) % 3
IDS = [f"clip {k}" for k in RNG.permutation(N)]
ORDER = RNG.permutation(N)
FEATURES = list("abcd")
REFUSED = "have the names that are expected in another order"


@pytest.fixture(params=KINDS)
def named(request):
    return KINDS[request.param]


def student(network=None, **params):
    return SmoothedAnticipator(
        network or MLP(4), max_epochs=2, random_state=0, **params
    )


def test_rows_go_together_by_their_names(named):
    X = named(CLIPS[:, 0], ["clip", "f"], {"clip": IDS})
    y = named(Y, ["clip"], {"clip": IDS})
    expected = student().fit(CLIPS[:, 0], Y).predict_proba(CLIPS[:, 0])
    assert_array_equal(student().fit(X, y).predict_proba(X), expected)
    series = pd.Series(Y, index=IDS)
    for other in (y[ORDER], series.iloc[ORDER]):
        with pytest.raises(ValueError, match=f"rows of y, next to X_past, {REFUSED}"):
            student().fit(X, other)
    with pytest.raises(ValueError, match=REFUSED):
        next(SemiSupervisedSplit(2).split(X, y[ORDER]))
    scores = named(np.eye(3)[Y], ["clip", "label"], {"clip": IDS})
    assert top_k_accuracy(y, scores, k=1) == 1
    with pytest.raises(ValueError, match=REFUSED):
        top_k_accuracy(y[ORDER], scores, k=1)


@pytest.mark.filterwarnings("ignore:X .* feature names:UserWarning")
def test_features_come_in_the_order_of_fit(named):
    X = named(CLIPS, ["clip", "time", "f"], {"f": FEATURES})
    turned = named(CLIPS[:, :, ::-1], ["clip", "time", "f"], {"f": FEATURES[::-1]})
    tables = [pd.DataFrame(clip, columns=FEATURES) for clip in CLIPS]
    expected = student(LSTM(4)).fit(CLIPS, Y).predict_proba(CLIPS)
    for known in (X, tables):
        model = student(LSTM(4)).fit(known, Y)
        assert_array_equal(model.predict_proba(X), expected)
        with pytest.raises(ValueError, match=f"columns of X {REFUSED}"):
            model.predict_proba(turned)
        with pytest.raises(ValueError, match=f"columns of X_val {REFUSED}"):
            student(LSTM(4)).fit(known, Y, X_val=turned, y_val=Y)
    with pytest.raises(ValueError, match=REFUSED):
        PerFrame(StandardScaler()).fit(X).transform(turned)
    step = named(CLIPS[0, 0, ::-1], ["f"], {"f": FEATURES[::-1]})
    with pytest.raises(ValueError, match=REFUSED):
        stream(model).update(step)


def test_steps_rise_by_their_times(named):
    X = named(CLIPS, ["clip", "time", "f"], {"time": [0.0, 0.5, 1.0]})
    expected = student(LSTM(4)).fit(CLIPS, Y).predict_proba(CLIPS)
    assert_array_equal(student(LSTM(4)).fit(X, Y).predict_proba(X), expected)
    falling = named(CLIPS, ["clip", "time", "f"], {"time": [1.0, 0.5, 0.0]})
    with pytest.raises(ValueError, match="index of X_past does not rise"):
        student(LSTM(4)).fit(falling, Y)
    clip = {"time": [1.0, 0.5, 0.0]}
    clips = [named(values, ["time", "f"], clip) for values in CLIPS]
    with pytest.raises(ValueError, match=r"index of X_past\[0\] does not rise"):
        student(LSTM(4)).fit(clips, Y)


def test_labels_of_steps_are_in_the_order_of_the_steps(named):
    X = named(CLIPS, ["clip", "time", "f"], {"time": ["third", "second", "last"]})
    labels = pd.DataFrame(np.stack([Y, Y, Y], 1), columns=["third", "second", "last"])
    model = student(AVTHead(8, n_heads=2, past_weight=1.0))
    model.fit(X, Y, y_past=labels)
    with pytest.raises(ValueError, match=f"columns of y_past, next to.* {REFUSED}"):
        model.fit(X, Y, y_past=labels[["last", "second", "third"]])


def test_answers_name_their_labels(named):
    model = DistilledAnticipator(MLP(4), max_epochs=1, classes=[0, 1, 2])
    model.set_params(teacher_weight=1.0)
    proba = RNG.dirichlet(np.ones(3), N)
    model.fit(CLIPS[:, 0], Y, teacher_proba=named(proba, ["c", "k"], {"k": [0, 1, 2]}))
    with pytest.raises(ValueError, match=f"columns of teacher_proba {REFUSED}"):
        model.fit(
            CLIPS[:, 0], Y, teacher_proba=named(proba, ["c", "k"], {"k": [2, 1, 0]})
        )


# --------------------------------------------------------------------- order of axes

SQUARE = RNG.normal(size=(N, 4, 4))
ELSEWHERE = r"The axes of .*\(.*f, time\), but are read in the order \(.*time, f\)"


def turned(named, clips, rows="clip"):
    """The same clips with their features before the steps, which is said."""
    return named(np.swapaxes(clips, 1, 2), [rows, "f", "time"], {})


@pytest.fixture
def clips(named):
    return named(SQUARE, ["clip", "time", "f"], {})


def test_axes_come_in_the_order_of_fit(named, clips, tmp_path):
    model = student(LSTM(4)).fit(clips, Y)
    expected = student(LSTM(4)).fit(SQUARE, Y).predict_proba(SQUARE)
    save(model, tmp_path / "model.safetensors")
    parts = [named(clip, ["time", "f"], {}) for clip in SQUARE]
    others = named(SQUARE, ["video", "time", "f"], {})
    for read in (model, load(tmp_path / "model.safetensors")):
        for good in (clips, others, parts, RowView(clips), SQUARE):
            assert_array_equal(read.predict_proba(good), expected)
        bad = turned(named, SQUARE)
        for wrong in (bad, turned(named, SQUARE, "video"), RowView(bad)):
            with pytest.raises(ValueError, match=ELSEWHERE):
                read.predict_proba(wrong)
    for method in (model.predict, model.feature_map, model.stream(N).update):
        with pytest.raises(ValueError, match=ELSEWHERE):
            method(bad)
    with pytest.raises(ValueError, match=ELSEWHERE):
        model.score(bad, Y)
    with pytest.raises(ValueError, match=ELSEWHERE):
        model.fit(clips, Y, X_val=bad, y_val=Y)
    bad_parts = [named(clip.T, ["f", "time"], {}) for clip in SQUARE]
    for mixed in (bad_parts, parts[:5] + bad_parts[5:]):
        with pytest.raises(ValueError, match=ELSEWHERE):
            model.predict_proba(mixed)
    with pytest.raises(ValueError, match=ELSEWHERE):
        pad_clips(parts[:5] + bad_parts[5:])


@pytest.mark.parametrize(
    "build",
    [
        lambda: PerFrame(StandardScaler()),
        lambda: LastAxisSlice(0, 2),
        lambda: LateFusion([("a", student(LSTM(4)), (0, 4))]),
    ],
    ids=["PerFrame", "LastAxisSlice", "LateFusion"],
)
def test_all_that_read_clips_know_their_axes(named, clips, build):
    part = build().fit(clips, Y)
    read = getattr(part, "transform", None) or part.predict_proba
    assert_array_equal(read(clips), read(SQUARE))
    with pytest.raises(ValueError, match=ELSEWHERE):
        read(turned(named, SQUARE))


@pytest.mark.parametrize("frozen", [False, True])
def test_axes_of_futures_are_those_of_the_past(named, clips, frozen):
    teacher = RecognitionTeacher(LSTM(4), max_epochs=1).fit(clips, Y)
    model = DistilledAnticipator(
        LSTM(4), max_epochs=1, teacher=FrozenEstimator(teacher) if frozen else None
    )
    past = SQUARE if frozen else clips
    model.fit(past, Y, clips)
    with pytest.raises(ValueError, match=ELSEWHERE):
        model.fit(past, Y, turned(named, SQUARE))


def test_rows_are_the_first_axis_of_all_that_is_given(named):
    X = named(CLIPS[:, 0], ["clip", "f"], {})
    y = named(Y, ["clip"], {})
    labels = np.arange(N) % 3 + np.zeros((N, N), dtype=int)
    proba = RNG.dirichlet(np.ones(N), N)
    model = DistilledAnticipator(MLP(4), max_epochs=1, classes=list(range(N)))
    taught = clone(model).set_params(teacher_weight=1.0)
    for dims in (["k", "clip"], ["clip", "k"]):
        refused = pytest.raises(ValueError, match=r"axes of .* \(k, clip\)")
        wrong = dims[0] == "k"
        with refused if wrong else nullcontext():
            taught.fit(X, Y, teacher_proba=named(proba, dims, {}))
        with refused if wrong else nullcontext():
            model.fit(X, Y, past_actions=named(labels, dims, {}))
        with refused if wrong else nullcontext():
            top_k_accuracy(y, named(proba, dims, {}), k=1)


def test_axes_of_histories_come_in_the_order_of_fit(named):
    labels = RNG.integers(0, 3, (4, 4))
    history = named(labels, ["clip", "ago"], {})
    actions = {k: (f"v{k}", f"n{k}") for k in range(3)}
    encoder = HistoryEncoder(actions).fit(history)
    assert_array_equal(encoder.transform(history), encoder.transform(labels))
    with pytest.raises(ValueError, match=r"axes of past_actions are \(ago, clip\)"):
        encoder.transform(named(labels.T, ["ago", "clip"], {}))


def test_axes_that_only_count_have_no_names(named):
    counted = named(SQUARE, ["dim_0", "dim_1", "dim_2"], {})
    model = student(LSTM(4)).fit(counted, Y)
    parts = [named(clip, ["dim_0", "dim_1"], {}) for clip in SQUARE]
    assert_array_equal(model.predict_proba(parts), model.predict_proba(SQUARE))


@pytest.mark.parametrize(
    "dims, is_odd",
    [
        (("clip", "time", "feature"), False),
        (("clip", "t", "d"), False),
        (("session", "clip", "feature"), False),  # clips are the steps of a session
        (("clip", "channel", "feature"), False),
        (("clip", "feature", "time"), True),
        (("Videos", "Channels", "Frames"), True),
        (("time", "clip", "feature"), True),
        (("feature", "segment", "t"), True),
    ],
)
@pytest.mark.parametrize("past", ["named", "plain"])
def test_names_of_axes_may_say_that_they_stand_elsewhere(named, dims, is_odd, past):
    """Nothing else tells: time and features, and here clips, are as many."""
    clips = named(SQUARE, dims, {})
    told = pytest.warns(UserWarning, match=rf"axes of X\w* are called \({dims[0]}, ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = student(LSTM(4)).fit(SQUARE, Y)
        with told if is_odd else nullcontext():
            if past == "named":
                student(LSTM(4)).fit(clips, Y)
            else:
                plain.predict_proba(clips)


def test_names_of_axes_tell_of_maps_futures_and_histories(named):
    model = DistilledAnticipator(LSTM(4), max_epochs=1, smoothing=0)
    dims = ["clip", "feature", "time"]
    with pytest.warns(UserWarning, match="axes of X_future_unlabeled are called"):
        model.fit(SQUARE, Y, named(SQUARE, dims, {}))
    maps = np.zeros((N, 2, 3, 3, 3))
    dims = ["clip", "time", "channel", "height", "width"]
    with pytest.warns(UserWarning, match=r"\(clip, time, channel, height, width\)"):
        student().fit(named(maps, dims, {}), Y)
    labels = named(RNG.integers(0, 3, (5, 4)), ["ago", "clip"], {})
    with pytest.warns(UserWarning, match=r"past_actions are called \(ago, clip\)"):
        HistoryEncoder().fit(labels)


# ------------------------------------------------- arrays of the steps of one video

SEGMENTS = {"video": "a", "start_frame": 40, "stop_frame": 60, "action": 1}
PAIRS = unlabeled_pairs({k: [v, v] for k, v in SEGMENTS.items()}, 0, fps=10)
READERS = {
    "pad_clips": pad_clips,
    "first_fraction": lambda clips: first_fraction(clips).X_past,
    "trimmed_pairs": lambda clips: trimmed_pairs(clips, n_steps=2).X_past,
    "cut_pairs": lambda clips: (
        cut_pairs(PAIRS, {"a": clips[0]}, feature_rate=1, fps=10).X_past
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_names_of_axes_tell_of_steps_that_stand_elsewhere(named, reader):
    """As many steps as features, so that nothing else tells."""
    clips = list(RNG.normal(size=(3, 9, 9)))
    expected = READERS[reader](clips)
    right = [named(clip, ("time", "feature"), {}) for clip in clips]
    assert_array_equal(READERS[reader](right), expected)
    other = [named(clip, ("feature", "time"), {}) for clip in clips]
    with pytest.warns(UserWarning, match=r"are called \(..., feature, time\)"):
        READERS[reader](other)


def test_names_of_axes_must_agree_with_the_time_axis(named):
    values = RNG.normal(size=(9, 9))
    right = named(values, ("time", "feature"), {})
    other = named(values.T, ("feature", "time"), {"time": range(1, 10)})
    for features, axis in ((right, 0), (other, 1)):
        found = FeatureTable.from_arrays({"a": features}, time_axis=axis)
        assert_array_equal(found["a"], values)
        with pytest.raises(ValueError, match=f"are called .* pass time_axis={axis}"):
            FeatureTable.from_arrays({"a": features}, time_axis=1 - axis)


def dataset_of_hdf5(path, dims, kind):
    h5py = pytest.importorskip("h5py")
    data = h5py.File(path, "w").create_dataset("X", data=SQUARE)
    for axis, name in zip(data.dims, dims, strict=True):
        if kind == "labels":
            axis.label = name
            continue
        scale = data.file.create_dataset(name, data=np.arange(N))
        is_netcdf = "This is a netCDF dimension but not a netCDF variable.   24"
        scale.make_scale(is_netcdf if kind == "netcdf" else name)
        axis.attach_scale(scale)
    return data


def dataset_of_zarr(path, dims, kind):
    zarr = pytest.importorskip("zarr")
    if kind == "zarr":
        data = zarr.create_array(path, data=SQUARE, dimension_names=dims)
    else:
        data = zarr.create_array(path, data=SQUARE, zarr_format=2)
        data.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    return data


@pytest.mark.parametrize("view", [RowView, lambda data: data])
@pytest.mark.parametrize("kind", ["labels", "scales", "netcdf", "zarr", "zarr of old"])
def test_files_name_the_axes_of_their_datasets(tmp_path, kind, view):
    open_one = dataset_of_zarr if "zarr" in kind else dataset_of_hdf5
    for dims in (("clip", "time", "feature"), ("clip", "feature", "time")):
        data = open_one(tmp_path / dims[1], dims, kind)
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            fitted = student(LSTM(4)).fit(view(data), Y)
        told = [str(w.message) for w in record if "are called" in str(w.message)]
        assert len(told) == (dims[1] == "feature")
        assert all("(clip, feature, time)" in text for text in told)
        assert_array_equal(
            fitted.predict_proba(SQUARE),
            student(LSTM(4)).fit(SQUARE, Y).predict_proba(SQUARE),
        )


# ------------------------------------------ coordinates of an axis that do not index it


def with_coordinates(rows=None, **coords):
    """Clips of which coordinates along the first axis say what they are."""
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(
        CLIPS,
        dims=("clip", "time", "f"),
        coords={k: ("clip", v) for k, v in coords.items()},
    )
    return array if rows is None else array.isel(clip=rows)


VIDEOS = [f"video {k % 5}" for k in range(N)]


@pytest.mark.parametrize("coords", [{"id": IDS}, {"video": VIDEOS}, {"start": ORDER}])
def test_coordinates_of_rows_are_compared_where_no_index_names_them(coords):
    X = with_coordinates(**coords)
    model = DistilledAnticipator(MLP(4), max_epochs=1, random_state=0)
    model.fit(X, Y, with_coordinates(**coords) + 1)
    with pytest.raises(ValueError, match=f"rows of X_future_unlabeled, .* {REFUSED}"):
        model.fit(X, Y, with_coordinates(ORDER, **coords) + 1)


def test_names_of_rows_in_coordinates_are_those_in_an_index():
    X, series = with_coordinates(id=IDS), pd.Series(Y, index=IDS)
    student().fit(X, series)
    with pytest.raises(ValueError, match=f"rows of y, next to X_past, {REFUSED}"):
        student().fit(X, series.iloc[ORDER])


def test_coordinates_that_say_two_things_are_not_compared():
    past, future = (RNG.choice(["cut", "mix", "put"], N) for _ in range(2))
    past[:2], future[:2] = "cut", "mix"
    model = DistilledAnticipator(MLP(4), max_epochs=1, random_state=0)
    X = with_coordinates(action=past, start=np.arange(N) * 30)
    model.fit(X, Y, with_coordinates(action=future, start=np.arange(N) * 30 + 60))


def test_coordinates_name_the_features():
    X = with_coordinates().assign_coords(name=("f", FEATURES))
    fitted = student().fit(X, Y)
    assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(CLIPS))
    with pytest.raises(ValueError, match=REFUSED):
        fitted.predict_proba(X.isel(f=slice(None, None, -1)))
