"""Warnings of clips that look laid out in another way than they are read."""

import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AVTHead,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    InceptionTail,
    LanguageTeacher,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
    TeacherEnsemble,
)
from skanticipate.preprocessing import pad_clips

N, T, D = 40, 8, 5
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(3, T + 1, N)
CLIPS = [RNG.normal(size=(n, D)) for n in LENGTHS]
Y = np.arange(N) % 2


def padded(value, side, clips=CLIPS):
    """Stack clips of unequal length, padded with a value on one side."""
    X = np.full((len(clips), T, *clips[0].shape[1:]), value)
    for row, clip in zip(X, clips, strict=True):
        row[slice(T - len(clip), T) if side == "left" else slice(len(clip))] = clip
    return X


def model(network=None):
    network = LSTM(3) if network is None else network
    return SmoothedAnticipator(network, max_epochs=1, random_state=0)


def said(estimator, *data):
    """Texts of the warnings of a fit."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        estimator.fit(*data)
    return [str(w.message) for w in record]


# ------------------------------------------------------------- zeros that look padded


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4", "float64"])
@pytest.mark.parametrize(("side", "verb"), [("left", "begin"), ("right", "end")])
def test_zeros_at_one_end_are_told_once_with_the_remedy(side, verb, dtype):
    X = padded(0.0, side).astype(dtype)
    for clips in (X, RowView(X)[::-1]):
        (text,) = said(model(), clips, Y)
        assert f"(n, 8, 5) {verb} with steps that are all zero" in text
        assert "pad_clips" in text and "NaN" in text


def test_zeros_behind_a_memory_map_and_around_maps_are_told(tmp_path):
    maps = [RNG.normal(size=(n, 2, 3, D)) for n in LENGTHS]
    np.save(tmp_path / "maps.npy", padded(0.0, "left", maps))
    mapped = np.load(tmp_path / "maps.npy", mmap_mode="r")
    (text,) = said(model(FeatureMapNet(4)), mapped, Y)
    assert "(n, 8, 2, 3, 5) begin" in text


def test_zeros_that_a_scaler_of_frames_moves_are_told_once():
    pipeline = make_pipeline(PerFrame(StandardScaler()), model())
    (text,) = said(pipeline, padded(0.0, "right"), Y)
    assert "end with the same step" in text and "before a scaler" in text


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32])
def test_one_hot_actions_that_zeros_pad_are_told_of(dtype):
    hot = [np.eye(D)[RNG.integers(D, size=n)] for n in LENGTHS]
    (text,) = said(model(), padded(0, "right", hot).astype(dtype), Y)
    assert "end with steps that are all zero" in text
    assert not said(model(), pad_clips(hot), Y)


@pytest.mark.parametrize("at", [0, -1])
def test_one_hot_actions_with_silence_at_an_end_are_not_padded(at):
    """As frames of Breakfast, all videos of which begin and end with it."""
    hot = np.eye(D)[RNG.integers(1, D, size=(N, T))]
    for clip, n in zip(hot, LENGTHS, strict=True):
        clip[slice(None, T - n) if at == 0 else slice(n, None)] = np.eye(D)[0]
    assert not said(model(), hot, Y)


def test_codes_that_zeros_pad_are_told_of():
    codes = [RNG.integers(1, 4, size=(n, 1)) for n in LENGTHS]
    spec = LSTM(3, embedding=4)
    (text,) = said(model(spec), padded(0, "right", codes).astype(int), Y)
    assert "end with steps that are all zero" in text
    assert "padding is -1, on the left" in text
    for fill, side in ((-1, "left"), (0, "left")):  # unknown ones are 0
        assert not said(model(spec), padded(fill, side, codes).astype(int), Y)


def test_a_teacher_tells_of_its_futures():
    student = DistilledAnticipator(LSTM(3), max_epochs=1, random_state=0)
    longer = np.concatenate([padded(0.0, "left"), RNG.normal(size=(N, 2, D))], axis=1)
    texts = said(student, RNG.normal(size=(N, T, D)), Y, longer)
    assert len(texts) == 1
    assert "(n, 10, 5) begin" in texts[0]


def test_folds_of_a_search_repeat_the_same_text():
    search = GridSearchCV(model(), {"lr": [0.1, 0.2]}, cv=2)
    assert len(set(said(search, padded(0.0, "left"), Y))) == 1


def test_zeros_are_told_of_many_rows_too():
    X = np.tile(padded(0.0, "left"), (50, 1, 1))
    assert len(said(model(), X, np.tile(Y, 50))) == 1


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("fill", [-1.0, -999.0, 1e-8, "scaled"])
def test_other_padding_than_zeros_is_told_too(side, fill):
    X = padded(0.0 if fill == "scaled" else fill, side)
    if fill == "scaled":
        X = StandardScaler().fit_transform(X.reshape(-1, D)).reshape(X.shape)
    (text,) = said(model(), X, Y)
    assert f"{'begin' if side == 'left' else 'end'} with the same step" in text


@pytest.mark.parametrize(
    ("network", "fill", "told"),
    [
        (LSTM(3), 0.0, "are all zero"),
        (RULSTM(4, anticipation_steps=3), np.nan, "place"),
    ],
)
def test_padding_of_later_clips_alone_is_told(network, fill, told):
    """Of validation clips and of those to predict, as of those of a fit."""
    X, late = pad_clips(CLIPS), padded(fill, "right")
    assert said(model(network), X, Y) == []
    stopping = model(network).set_params(early_stopping=True)
    with pytest.warns(UserWarning, match=told):
        stopping.fit(X, Y, X_val=-late[:30], y_val=Y[:30])
    fitted = model(network).fit(X, Y)
    for clips in (late, RowView(late)):
        with pytest.warns(UserWarning, match=told):
            fitted.predict_proba(clips)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict_proba(X)
        if told == "are all zero":
            fitted.predict_proba(late[:4])  # few say nothing


@pytest.mark.parametrize(
    "network", [MLP(2), EncoderDecoderLSTM(4, anticipation_steps=3)]
)
def test_clips_that_all_end_with_as_much_padding_are_told_where_places_count(network):
    X = RNG.normal(size=(N, T, D))
    fitted, late = model(network).fit(X, Y), X.copy()
    late[:, 5:] = np.nan
    with pytest.warns(UserWarning, match="goes by the place of a step"):
        fitted.predict_proba(late)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict_proba(X)
        model(LSTM(2)).fit(X, Y).predict_proba(late)  # reads the steps there are


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_quantised_features_are_told_of_as_floats_are(dtype):
    smooth = RNG.normal(size=(200, 20, 48))
    for _ in range(3):
        smooth = smooth + np.roll(smooth, 1, 1) + np.roll(smooth, -1, 1)
    scaled = (smooth - smooth.min()) / np.ptp(smooth)  # (n, T, d)
    clips = (1 + 120 * scaled).astype(dtype)
    y = np.arange(200) % 2
    (text,) = said(model(), np.ascontiguousarray(clips.swapaxes(1, 2)), y)
    assert "(n, 48, 20) are read as 48 steps" in text
    late = clips.copy()
    late[np.arange(20) > RNG.integers(3, 20, 200)[:, None]] = 0
    (text,) = said(model(), late, y)
    assert "end with steps that are all zero" in text
    student = DistilledAnticipator(LSTM(3), max_epochs=1, random_state=0)
    futures = np.where(np.arange(200)[:, None, None] % 3, clips, 0).astype(dtype)
    (text,) = said(student, clips, np.where(y, np.arange(200) % 4, -1), futures)
    assert "X_future_unlabeled" in text and "all zero" in text


def test_padding_is_told_once_of_a_model():
    with pytest.warns(UserWarning, match="are all zero"):
        fitted = model().fit(padded(0.0, "right"), Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict_proba(padded(0.0, "right"))


def rectified(shift, shape=(400, T, 3)):
    return np.maximum(RNG.normal(size=shape) - shift, 0.0)


NOT_PADDED = {
    "no zeros": RNG.normal(size=(N, T, D)),
    "NaN on the left": pad_clips(CLIPS),
    "rectified, some zero steps": rectified(0.0),
    "rectified, half of the steps zero": rectified(0.8),
    "rectified, most steps zero": rectified(1.5),
    "rectified, two steps": rectified(0.5, (400, 2, 3)),
    "codes, of which some are unknown": np.trunc(4 * np.abs(padded(0.0, "left"))),
    "one-hot steps, none at the start": np.sign(np.maximum(padded(0.0, "left"), 0.0)),
    "speeds, always zero at first": np.diff(
        RNG.normal(size=(N, T, D)), axis=1, prepend=0
    )
    * (np.arange(T) > 0)[:, None],
    "every clip of three steps": padded(0.0, "left", [c[:3] for c in CLIPS]),
    "some clips of zeros": np.where(np.arange(N)[:, None, None] < 20, 0.0, 1.5),
    "frames of a video that begins, repeated": np.concatenate(
        [RNG.normal(size=(N - 3, T, D)), np.ones((3, T, D)) * np.pi]
    )
    + np.where(np.arange(T) < 3 + np.arange(N)[:, None] % 3, 0, 1)[:, :, None]
    * RNG.normal(size=(N, T, D)),
    "words of a few past actions": RNG.normal(size=(4, D))[
        RNG.choice(4, (N, T), p=[0.55, 0.15, 0.15, 0.15])
    ],
    "a clip of a rare class, many times": np.concatenate(
        [np.tile(RNG.normal(size=(1, T, D)), (N, 1, 1)), RNG.normal(size=(N, T, D))]
    ),
    "one odd clip": np.concatenate([padded(0.0, "left")[:1], np.ones((N, T, D))]),
}


@pytest.mark.parametrize("X", NOT_PADDED.values(), ids=NOT_PADDED)
def test_nothing_is_said_of_other_zeros(X):
    assert said(model(), X, np.arange(len(X)) % 2) == []


# ------------------------------------------------------------------ NaN at the end

BY_PLACE = [
    MLP(4),
    LSTM(4, anticipation_steps=2),
    RULSTM(4, anticipation_steps=3),
    EncoderDecoderLSTM(4, anticipation_steps=1),
]
ANYWHERE = [LSTM(4), RULSTM(4, anticipation_steps=1), AVTHead(8)]


@pytest.mark.parametrize("network", BY_PLACE, ids=lambda n: type(n).__name__)
def test_trailing_nan_is_told_where_the_place_of_a_step_matters(network):
    left, right = pad_clips(CLIPS), padded(np.nan, "right")
    assert said(model(network), left, Y) == []
    (text,) = said(model(network), right, Y)
    assert f"{type(network).__name__} goes by the place of a step" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model(network).fit(left, Y)
        stages = [np.stack(list(fitted.staged_predict_proba(X))) for X in (left, right)]
    differs = np.abs(stages[0] - stages[1]).max(axis=(0, 2)) > 1e-6
    np.testing.assert_array_equal(differs, LENGTHS < T)


@pytest.mark.parametrize("network", ANYWHERE, ids=lambda n: type(n).__name__)
def test_trailing_nan_changes_nothing_elsewhere(network):
    left, right = pad_clips(CLIPS), padded(np.nan, "right")
    assert said(model(network), right, Y) == []
    fitted = model(network).fit(left, Y)
    np.testing.assert_array_equal(
        fitted.predict_proba(left), fitted.predict_proba(right)
    )


def test_steps_that_no_clip_has_are_not_told():
    X = RNG.normal(size=(N, T, D))
    X[:, -2:] = np.nan
    assert said(model(MLP(4)), X, Y) == []


# -------------------------------------------------------------- rows that are missing


def test_futures_of_zeros_are_told_to_be_nan():
    futures = RNG.normal(size=(N, T, D))
    futures[:8] = 0
    student = DistilledAnticipator(LSTM(3), max_epochs=1, random_state=0)
    past = futures[::-1, :4] + 1
    (text,) = said(student, past, Y, futures)
    assert "rows of X_future_unlabeled are all zero" in text
    assert "all NaN" in text
    futures[:8] = np.nan
    assert said(student, past, Y, futures) == []


# ------------------------------------------------------------------- channels first


SOME_GONE = np.arange(N) % 4 == 0


def test_zeros_that_pasts_have_as_often_are_clips():
    past, futures = RNG.normal(size=(2, N, D))
    seldom = RNG.permutation(N)  # of objects that few clips show
    past[seldom[: N // 4]], futures[seldom[-N // 4 :]] = 0, 0
    assert said_of_futures(past, futures) == []
    past[:] = RNG.normal(size=(N, D))
    past[(futures == 0).all(axis=1)] = 0  # videos that are missing altogether
    (text,) = said_of_futures(past, futures)
    assert "rows of X_future_unlabeled are all zero" in text


def test_futures_that_were_filled_are_told_once_whatever_their_scale():
    past = RNG.normal(size=(N, D))
    gone = np.arange(N) > 1
    for fill, told in ((0.0, "are all zero"), (0.5, "are one and the same")):
        (text,) = said_of_futures(past, np.where(gone[:, None], fill, past))
        assert told in text


def said_of_futures(past, futures, **params):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        DistilledAnticipator(MLP(3), max_epochs=1, random_state=0, **params).fit(
            past, Y, futures
        )
    return [str(w.message) for w in record]


@pytest.mark.parametrize(
    "filled", [np.nanmean, np.nanmedian, lambda a, axis: 0.5, lambda a, axis: -1.0]
)
def test_futures_that_an_imputer_filled_are_told_of(filled):
    past = RNG.normal(size=(N, D))
    futures = RNG.normal(size=(N, D))
    futures[SOME_GONE] = np.nan
    assert said_of_futures(past, futures) == []
    kept = PerFrame(SimpleImputer()).fit(past).transform(futures)
    np.testing.assert_array_equal(kept, futures)
    futures[SOME_GONE] = filled(futures, axis=0)
    (text,) = said_of_futures(past, futures)
    assert "rows of X_future_unlabeled are one and the same" in text
    assert "PerFrame(imputer)" in text


def test_a_pipeline_whose_first_step_fills_futures_is_told_of():
    past, futures = RNG.normal(size=(N, D)), RNG.normal(size=(N, D))
    futures[SOME_GONE] = np.nan
    last = DistilledAnticipator(MLP(3), max_epochs=1, random_state=0)
    fusion = LateFusion([("a", make_pipeline(SimpleImputer(), last), (0, D))])
    with pytest.warns(UserWarning, match="are one and the same"):
        fusion.fit(past, Y, futures)


def test_futures_that_repeat_for_a_reason():
    past, futures = RNG.normal(size=(N, D)), RNG.normal(size=(N, D))
    drawn = np.where(SOME_GONE, 0, np.arange(N))  # one sample, eleven times
    assert said_of_futures(past[drawn], futures[drawn]) == []
    assert said_of_futures(past, futures[Y]) == []  # one of each class
    codes = np.where(SOME_GONE[:, None], 1.0, np.round(9 * futures))
    assert said_of_futures(past, codes) == []
    ends = np.where(np.arange(N) % 10 > 4, np.arange(N) // 10 * 10, np.arange(N))
    assert said_of_futures(past, futures[ends]) == []  # the last clip of each video


def hints(network, shape):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        assert network.input_shape_of(RowView(np.zeros((1, *shape)))) == shape
    return [str(w.message) for w in record]


@pytest.mark.parametrize(
    ("network", "shape", "axis"),
    [
        (InceptionTail(), (480, 8, 14, 14), 1),
        (InceptionTail(), (8, 480, 14, 14), 2),
        (InceptionTail(), (480, 8, 7, 12), 1),
        (InceptionTail(), (480, 16, 4, 4), 1),
        (FeatureMapNet(), (512, 7, 7), 1),
        (FeatureMapNet(), (64, 7, 7), 1),
        (FeatureMapNet(), (2048, 7, 7), 1),
        (FeatureMapNet(), (512, 7, 12), 1),
        (FeatureMapNet(), (832, 4, 7, 7), 1),
        (FeatureMapNet(), (8, 256, 14, 14), 2),
        (LSTM(), (8, 1280, 7, 7), 2),
    ],
)
def test_channels_in_front_are_told_with_the_remedy(network, shape, axis):
    (text,) = hints(network, shape)
    assert f"(n, {', '.join(map(str, shape))})" in text
    assert f"np.moveaxis(X, {axis}, -1)" in text
    moved = np.moveaxis(np.empty((1, *shape)), axis, -1).shape[1:]
    assert hints(network, moved) == []


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (InceptionTail(), (8, 14, 14, 480)),
        (InceptionTail(), (64, 14, 14, 480)),
        (InceptionTail(), (4, 5, 5, 24)),
        (InceptionTail(), (100, 14, 14, 480)),
        (FeatureMapNet(), (25, 24)),
        (FeatureMapNet(), (7, 7, 512)),
        (FeatureMapNet(), (16, 5, 18)),
        (FeatureMapNet(), (256, 15, 2)),  # poses
        (FeatureMapNet(), (128, 3, 3)),  # rotations
        (FeatureMapNet(), (112, 112, 64)),
        (LSTM(), (100, 24)),
        (LSTM(), (1024, 14)),  # a long record of a few sensors
        (LSTM(), (14, 1024)),
        (LSTM(), (250, 17, 17)),  # distances of joints
        (FeatureMapNet(), (196, 64)),
        (FeatureMapNet(), (1568, 64)),
        (LSTM(), (8, 196, 768)),
        (LSTM(), (64, 16, 16)),
        (LSTM(), (300, 25, 24)),
    ],
)
def test_nothing_is_said_of_plausible_shapes(network, shape):
    assert hints(network, shape) == []


def test_frames_are_not_taken_for_channels_that_come_first():
    """Of (n, C, T, H, W), whatever is longer, or was cut along the wrong axis."""
    steps = RNG.normal(size=(N, 64, 80, 5, 5)).astype("f").cumsum(axis=2)
    (text,) = hints_of(FeatureMapNet(4), steps)
    assert "np.moveaxis(X, 1, -1)" in text
    assert hints_of(FeatureMapNet(4), steps[:, :13]) == []


def hints_of(network, clips):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        network.input_shape_of(RowView(clips))
    return [str(w.message) for w in record]


def test_channels_are_told_without_reading_much():
    class Maps:  # 47 GB
        shape, dtype = (20_000, 480, 8, 14, 14), np.dtype("float32")
        n_read = 0

        def __getitem__(self, row):
            self.n_read += 1
            return np.full(self.shape[1:], 0.5 + self.n_read, self.dtype)

    maps = Maps()
    with pytest.warns(UserWarning, match=r"np\.moveaxis\(X, 1, -1\)"):
        InceptionTail().input_shape_of(RowView(maps))
    assert maps.n_read <= 20


# ------------------------------------------ past labels that are padded on the right


def histories(side, pad=None):
    """Rows of three to eight labels, padded on one side."""
    names = np.array(["cut pan", "wash pan", "cut cup"], dtype=object)
    labels = [names[RNG.integers(0, 3, n)] for n in LENGTHS]
    rows = np.full((N, T), pad, dtype=object)
    for row, some in zip(rows, labels, strict=True):
        row[slice(T - len(some), T) if side == "left" else slice(len(some))] = some
    return rows


TELLERS = {
    "HistoryTeacher": lambda X: said(
        HistoryTeacher(n_networks=1, max_epochs=1), X, NAMES
    ),
    "HistoryEncoder": lambda X: said(HistoryEncoder(), X),
    "HistoryText": lambda X: said(HistoryText(), X),
    "default text teacher": lambda X: taught(None, X),
    "frozen teacher": lambda X: taught(
        FrozenEstimator(
            HistoryTeacher(n_networks=1, max_epochs=1).fit(
                histories("left"), NAMES, groups=np.arange(N)
            )
        ),
        X,
    ),
}
NAMES = np.array(["cut pan", "wash pan"])[Y]


def taught(teacher, X):
    student = DistilledAnticipator(
        MLP(3), text_teacher=teacher, max_epochs=1, random_state=0
    )
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        student.fit(RNG.normal(size=(N, D)), NAMES, past_actions=X, groups=np.arange(N))
    return [str(w.message) for w in record]


@pytest.mark.parametrize("teller", TELLERS.values(), ids=TELLERS)
@pytest.mark.parametrize("pad", [None, "", -1], ids=repr)
def test_labels_that_are_padded_on_the_right_are_told_once(teller, pad):
    texts = [t for t in teller(histories("right", pad)) if "groups" not in t]
    assert len(texts) == 1
    assert "past_actions, of shape (n, 8), end with missing labels" in texts[0]
    assert "on the left" in texts[0]
    assert not [t for t in teller(histories("left", pad)) if "groups" not in t]


def test_a_language_teacher_tells_of_labels_that_are_padded_on_the_right(tmp_path):
    pytest.importorskip("transformers")
    from tiny_bert import write_tiny_bert

    teacher = LanguageTeacher(write_tiny_bert(tmp_path), max_epochs=1, random_state=0)
    told = [
        [t for t in said(teacher, X, NAMES) if "end with missing labels" in t]
        for X in (histories("right"), histories("left"), np.array(["cut pan", ""] * 20))
    ]
    assert list(map(len, told)) == [1, 0, 0]


@pytest.mark.parametrize("dtype", [int, float])
@pytest.mark.parametrize("network", [MLP(3, embedding=4), RULSTM(3, embedding=4)])
def test_codes_that_are_padded_on_the_right_are_told(network, dtype):
    codes = [RNG.integers(0, 5, (n, 2)) for n in LENGTHS]
    (text,) = said(model(network), padded(-1, "right", codes).astype(dtype), Y)
    assert "(n, 8, 2) end with steps of padding" in text and "on the left" in text
    assert said(model(network), padded(-1, "left", codes).astype(dtype), Y) == []


def test_a_recurrence_over_codes_does_not_mind_where_padding_is():
    codes = [RNG.integers(0, 5, (n, 2)) for n in LENGTHS]
    network = LSTM(3, embedding=4)
    right, left = (padded(-1, side, codes) for side in ("right", "left"))
    assert said(model(network), right, Y) == []
    fitted = model(network).fit(left, Y)
    np.testing.assert_allclose(
        fitted.predict_proba(right), fitted.predict_proba(left), rtol=1e-5
    )


# -------------------------------------------------------- sequences with channels first


@pytest.mark.parametrize("shape", [(512, 8), (2048, 14), (768, 30), (384, 1)])
@pytest.mark.parametrize("kind", ["noise", "features"])
def test_sequences_with_channels_first_are_told(shape, kind):
    X = RNG.normal(size=(N, *shape)).astype(np.float32)
    if kind == "features":  # of means that differ, and steps that are alike
        X = np.maximum(0, 3 * RNG.normal(size=(shape[0], 1)) + X[:, :, :1] + 0.1 * X)
        X = X.astype(np.float32)
    for network in (LSTM(2), MLP(2)):
        (text,) = said(model(network), X, Y)
        assert f"read as {shape[0]} steps of {shape[1]} features" in text
        assert "np.moveaxis(X, 1, -1)" in text
        assert said(model(network), np.moveaxis(X, 1, -1), Y) == []


@pytest.mark.parametrize("shape", [(14, 8), (100, 12), (256, 6), (500, 3), (384, 64)])
def test_short_clips_and_wide_features_are_no_channels_first(shape):
    assert said(model(MLP(2)), RNG.normal(size=(N, *shape)), Y) == []


@pytest.mark.parametrize("n_steps", [512, 1024])
def test_long_recordings_of_few_channels_are_no_channels_first(n_steps):
    walk = np.cumsum(RNG.normal(size=(N, n_steps, 6)), axis=1)
    waves = np.sin(np.arange(n_steps)[:, None] / 5 + RNG.uniform(0, 6, (N, 1, 6)))
    for X in (walk / 20, waves + 0.3 * RNG.normal(size=waves.shape)):
        assert said(model(MLP(2)), X, Y) == []


def recording(n_steps, n_features, seed=0):
    """Features that drift, as those of a recording do.   -> (N, T, d)."""
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(N, 1, n_features)) * 2
    return start + np.cumsum(rng.normal(size=(N, n_steps, n_features)) / 4, axis=1)


@pytest.mark.parametrize("n_steps, n_features", [(14, 352), (8, 17), (30, 100)])
def test_channels_are_told_from_steps_by_their_neighbours(n_steps, n_features):
    X = recording(n_steps, n_features)
    assert said(model(), X, Y) == []
    (text,) = said(model(), np.moveaxis(X, 1, -1), Y)
    assert f"read as {n_features} steps of {n_steps} features" in text


def test_channels_of_maps_are_told_from_places_by_their_neighbours():
    maps = recording(7, 24 * 3).reshape(N, 7, 3, 24)  # places, steps, channels
    maps = maps.transpose(0, 2, 1, 3)[:, :, None].repeat(2, axis=2)
    assert maps.shape == (N, 3, 2, 7, 24)
    network = FeatureMapNet()
    assert said(model(network), maps, Y) == []
    (text,) = said(model(network), np.moveaxis(maps, -1, 2), Y)
    assert "maps of 7 channels" in text and "np.moveaxis(X, 2, -1)" in text


@pytest.mark.parametrize("shape", [(60, 4), (64, 16), (17, 16), (40, 30)])
@pytest.mark.parametrize("kind", ["drift", "noise", "classes", "alike"])
def test_steps_of_few_features_are_no_channels(shape, kind):
    X = recording(*shape)
    if kind != "drift":
        X = np.random.default_rng(1).normal(size=X.shape)
    if kind == "classes":
        X += 2 * Y[:, None, None]
    if kind == "alike":  # joints of a body: those of a step move together, too
        X = recording(shape[0], 1) + 0.1 * X
    assert said(model(MLP(2)), X, Y) == []


# --------------------------------------------------------- codes as features


def codes_of_verbs_and_nouns():
    rng = np.random.default_rng(0)
    past = [[f"v{v} n{n}" for v, n in rng.integers(0, 3, (4, 2))] for _ in range(N)]
    for row, labels in enumerate(past):
        labels[: row % 3] = [""] * (row % 3)
    return HistoryEncoder().fit_transform(past)


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8"])
def test_codes_of_any_whole_type_that_are_read_as_features_are_told(dtype):
    codes = codes_of_verbs_and_nouns().astype(dtype)
    (text,) = said(model(LSTM(3)), codes, Y)
    assert "whole numbers" in text and "set embedding=" in text
    assert said(model(LSTM(3, embedding=2)), codes, Y) == []


@pytest.mark.parametrize(
    "X",
    [
        np.eye(3, dtype=int)[RNG.integers(0, 3, (N, 5))],
        RNG.integers(0, 9, (N, 5, 3)),
        RNG.integers(0, 2, (N, 5, 1)).repeat(3, axis=2),
        np.arange(N * 15).reshape(N, 5, 3),
    ],
    ids=["one-hot", "counts", "copies", "clocks"],
)
def test_other_whole_numbers_are_no_codes(X):
    assert said(model(LSTM(3)), X, Y) == []


def test_past_labels_that_are_read_as_features_are_told():
    past = RNG.integers(0, 20, (N, 5))
    for row, labels in enumerate(past):
        labels[: row % 4] = -1
    (text,) = said(model(MLP(3)), past, Y)
    assert "labels of past actions" in text and "HistoryEncoder" in text
    signs = RNG.choice([-1, 0, 1], (N, 5))
    for X in (past.astype(float), RNG.integers(-1, 20, (N, 5)), signs, np.abs(past)):
        assert said(model(MLP(3)), X, Y) == []


# --------------------------------------------------------- teachers that scale


FAR = 1000 * RNG.normal(size=(N, D)) + 50
SCALING = {
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "frozen": lambda: FrozenEstimator(SCALING["pipeline"]().fit(FAR, Y)),
    "ensemble": lambda: TeacherEnsemble([SCALING["pipeline"]()]),
    "search": lambda: GridSearchCV(SCALING["pipeline"](), {}, cv=2),
}


@pytest.mark.parametrize("teacher", SCALING.values(), ids=SCALING)
def test_a_teacher_that_scales_for_itself_may_see_another_scale(teacher):
    student = DistilledAnticipator(
        MLP(3), teacher=teacher(), teacher_weight=1.0, max_epochs=1
    )
    assert said(student, RNG.normal(size=(N, D)), Y, FAR) == []


@pytest.mark.parametrize("teacher", [None, RecognitionTeacher(MLP(3), max_epochs=1)])
def test_a_teacher_that_does_not_scale_is_told_of_another_scale(teacher):
    student = DistilledAnticipator(MLP(3), teacher=teacher, max_epochs=1)
    (text,) = said(student, RNG.normal(size=(N, D)), Y, FAR)
    assert "on different scales" in text


# ------------------------------------------------------------------ scales of X_val


def said_of_validation(past, validation, network=None):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model(network or MLP(3)).fit(
            past,
            np.arange(len(past)) % 2,
            X_val=validation,
            y_val=np.arange(len(validation)) % 2,
        )
    return [str(w.message) for w in record]


POOLED = np.random.default_rng(0).normal(size=(80, 6))
MORE = np.random.default_rng(1).normal(size=(40, 6))


@pytest.mark.parametrize(
    "unscaled", [3 * MORE, 0.3 * MORE, MORE + 2, 5 + 4 * MORE[:20], -30 * MORE[:9]]
)
def test_validation_clips_that_are_not_scaled_are_warned_of(unscaled):
    [message] = said_of_validation(POOLED, unscaled)
    assert message.startswith("X_past and X_val are on different scales")
    assert "transform_input=['X_val']" in message


@pytest.mark.parametrize(
    "scaled",
    [MORE, 1.6 * MORE, MORE + 0.7, MORE[:20], 3 * MORE[:19], MORE[:9] + 2],
    ids=["alike", "wider", "shifted", "20 rows", "19 rows", "9 rows"],
)
def test_validation_clips_of_like_scales_are_not_warned_of(scaled):
    assert said_of_validation(POOLED, scaled) == []


def test_rare_features_that_are_constant_in_few_rows_are_not_warned_of():
    objects = (np.random.default_rng(0).random((400, 300)) < 0.08) * 1.0
    rare = (np.random.default_rng(1).random((20, 300)) < 0.08) * 1.0
    assert said_of_validation(objects, rare) == []


def test_a_scaler_of_a_pipeline_leaves_validation_clips_as_they_are():
    raw = 4 + 3 * POOLED
    fitted = make_pipeline(StandardScaler(), model(MLP(3)))
    given = {"X_val": 4 + 3 * MORE, "y_val": np.arange(40) % 2}
    given = {f"smoothedanticipator__{name}": value for name, value in given.items()}
    with pytest.warns(UserWarning, match="X_past and X_val are on different scales"):
        fitted.fit(raw, np.arange(80) % 2, **given)


# ----------------------------------------------------------------------- codes

ACTIONS = ["cut pan", "dry cup", "open bin"]
HISTORIES = np.array(ACTIONS)[RNG.integers(0, 3, (N, 4))]


@pytest.mark.parametrize("network", [LSTM(4), MLP(4)], ids=["LSTM", "MLP"])
@pytest.mark.parametrize("padded", [False, True])
def test_codes_that_pass_for_features_are_warned_of(network, padded):
    histories = np.where(RNG.random((N, 1)) < 0.3, "", HISTORIES[:, :1])
    histories = np.hstack([histories, HISTORIES]) if padded else HISTORIES
    codes = HistoryEncoder().fit_transform(histories)
    (text,) = said(model(network), codes, Y)
    assert "set embedding= of the network, or form='onehot'" in text
    assert said(model(network.set_params(embedding=4)), codes, Y) == []
    network = network.set_params(embedding=None)
    encoder = HistoryEncoder(form="onehot")
    assert said(model(network), encoder.fit_transform(HISTORIES), Y) == []
    assert said(model(network), codes.astype(float), Y) == []
    assert said(model(network), np.repeat(codes, 2, axis=2), Y) == []


@pytest.mark.parametrize("width", [1, 3])
def test_whole_numbers_that_are_no_codes(width):
    counts = RNG.integers(0, 9, (N, 4, width)).astype(np.int32)
    assert said(model(LSTM(4)), counts, Y) == []


def test_clips_of_one_feature_have_no_neighbours():
    X = RNG.normal(size=(N, 40, 1)).cumsum(axis=1)
    assert said(model(LSTM(3)), X, Y) == []
