"""Arrays whose axes have names, as those of xarray: they are compared as of tables.

The oracle is the plain array.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    AVTHead,
    DistilledAnticipator,
    PerFrame,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    stream,
)
from skanticipate.metrics import top_k_accuracy

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
    proba = RNG.dirichlet(np.ones(3), N)
    model.fit(CLIPS[:, 0], Y, teacher_proba=named(proba, ["c", "k"], {"k": [0, 1, 2]}))
    with pytest.raises(ValueError, match=f"columns of teacher_proba {REFUSED}"):
        model.fit(
            CLIPS[:, 0], Y, teacher_proba=named(proba, ["c", "k"], {"k": [2, 1, 0]})
        )
