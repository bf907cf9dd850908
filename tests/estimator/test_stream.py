"""Streams against `predict_proba` of the steps so far."""

import copy
import gc
import pickle
import tracemalloc
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    EncoderDecoderLSTM,
    FeatureMapNet,
    FrameMLP,
    LastAxisSlice,
    LateFusion,
    ModalityAttention,
    PerFrame,
    SmoothedAnticipator,
    VerbNounHead,
)
from skanticipate.networks.base import NetworkSpec

T, D, C = 9, 5, 4
STAGES = {"time_step": 0.25, "anticipation_steps": 4}
SPECS = {
    "lstm": LSTM(6),
    "two layers": LSTM(6, n_layers=2, input_dropout=0.5, dropout=0.5),
    "gru": LSTM(6, cell="gru", n_layers=2, random_delay=2),
    "lstm early": LSTM(6, **STAGES, anticipation_time=0.75),
    "gru first stage": LSTM(6, cell="gru", **STAGES, anticipation_time=1.0),
    "rulstm": RULSTM(6, **STAGES),
    "rulstm early": RULSTM(6, **STAGES, anticipation_time=0.75),
    "avt": AVTHead(8, n_heads=2, max_steps=T),
    "avt early": AVTHead(8, n_heads=2, **STAGES, anticipation_time=0.75),
    "avt rolled out": AVTHead(8, n_heads=2, rollout_steps=3, max_steps=T + 2),
    "avt rolled out early": AVTHead(
        8, n_heads=2, n_layers=3, rollout_steps=3, **STAGES, anticipation_time=0.75
    ),
    "fused": ModalityAttention(
        [("a", RULSTM(6, **STAGES), (0, 2)), ("b", RULSTM(4, **STAGES), (2, 5))]
    ),
    "fused early": ModalityAttention(
        [
            (name, RULSTM(6, **STAGES, anticipation_time=0.75), columns)
            for name, columns in (("a", (3, None)), ("b", (0, 2)))
        ]
    ),
    "frames": FrameMLP((6, 7)),
}
CODED = {
    "lstm": LSTM(6, embedding=3, embedding_std=1.0),
    "rulstm": RULSTM(6, embedding=3, embedding_std=1.0, **STAGES),
    "avt": AVTHead(8, n_heads=2, embedding=3, embedding_std=1.0),
    "frames": FrameMLP(6, embedding=3, embedding_std=1.0),
}
rng = np.random.default_rng(0)
X = rng.standard_normal((40, T, D)).astype(np.float32)
y = np.arange(40) % C
GAPS = X[:3].copy()  # steps that are missing at the start, within and at the end
GAPS[0, [0, 1, 4, 5]] = np.nan
GAPS[1, [2, 3, 6, 7, 8]] = np.nan
GAPS[2, :3] = np.nan
every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def fitted(spec, X=X, **params):
    params = {"max_epochs": 2, "lr": 0.05, "random_state": 0} | params
    return SmoothedAnticipator(spec, **params).fit(X, y)


def padded(clips, n_steps):
    """Clips with missing steps in front, at least so many steps long."""
    lacking = max(0, n_steps - clips.shape[1])
    widths = [(0, 0), (lacking, 0), *[(0, 0)] * (clips.ndim - 2)]
    value = np.nan if clips.dtype.kind == "f" else -1
    return np.pad(clips, widths, constant_values=value)


def of_prefixes(model, clips):
    """What `predict_proba` says of each prefix, of all clips."""
    n_stages = len(model.network_spec_.stage_times())
    return [
        model.predict_proba(padded(clips[:, : t + 1], n_stages))
        for t in range(clips.shape[1])
    ]


def close(answer, expected):
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)


# ---------------------------------------------------------------- equal to a prefix


@every_spec
def test_each_step_answers_as_the_clip_so_far(spec):
    model = fitted(spec)
    stream = model.stream()
    said = [stream.update(step) for step in X[0]]
    expected = of_prefixes(model, X[:1])
    assert said[0].shape == (C,)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the steps matter
    close(said, np.concatenate(expected))


@every_spec
def test_streams_side_by_side_and_gaps(spec):
    model = fitted(spec)
    stream = model.stream(3)
    said = [stream.update(GAPS[:, t]) for t in range(T)]
    assert said[0].shape == (3, C)
    close(said, of_prefixes(model, GAPS))


@every_spec
def test_several_steps_at_once(spec):
    model = fitted(spec)
    expected = of_prefixes(model, GAPS)
    one, many = model.stream(), model.stream(3)
    for start, stop in ((0, 4), (4, 5), (5, T)):
        close(one.update(GAPS[0, start:stop]), expected[stop - 1][0])
        close(many.update(GAPS[:, start:stop]), expected[stop - 1])


@every_spec
def test_now_is_the_answer_if_no_more_is_seen(spec):
    model = fitted(spec)
    stream = model.stream(3)
    lag = len(spec.stage_times()) - 1 - spec.answering_stage()
    nothing = np.full((3, lag, D), np.nan, dtype=np.float32)
    for t in range(T):
        said = stream.update(GAPS[:, t])
        so_far = np.concatenate([GAPS[:, : t + 1], nothing], axis=1)
        close(stream.now(), model.predict_proba(padded(so_far, 4)))
        assert lag or (stream.now() == said).all()


@pytest.mark.parametrize("spec", CODED.values(), ids=CODED)
def test_codes(spec):
    codes = rng.integers(0, 4, (40, T, 2))
    codes[::3, :2] = -1
    codes[3, 6] = -1
    model = fitted(spec, codes)
    codes[1, 4] = 9  # which no table holds
    stream = model.stream(5)
    said = [stream.update(codes[:5, t]) for t in range(T)]
    close(said, of_prefixes(model, codes[:5]))


@pytest.mark.parametrize("spec", [LSTM(6), RULSTM(6, **STAGES), FrameMLP(6)])
def test_steps_that_are_maps(spec):
    maps = rng.standard_normal((40, T, 2, 3, 4)).astype(np.float32)
    model = fitted(spec, maps)
    stream = model.stream()
    said = [stream.update(step) for step in maps[0]]
    close(said, np.concatenate(of_prefixes(model, maps[:1])))
    close(model.stream().update(maps[0]), said[-1])


def test_logit_adjustment_and_heads():
    actions = {k: (k // 2, k % 2) for k in range(C)}
    spec = LSTM(6, head=VerbNounHead(actions=actions))
    labels = np.array([0] * 25 + [1, 2, 3] * 5)
    model = SmoothedAnticipator(
        spec, logit_adjustment=1.0, max_epochs=2, lr=0.05, random_state=0
    ).fit(X, labels)
    close(model.stream().update(X[0]), model.predict_proba(X[:1])[0])


def test_precision_is_that_of_the_network():
    model = fitted(LSTM(6), X.astype(np.float64))
    said = model.stream().update(X[0])
    assert said.dtype == np.float64
    np.testing.assert_allclose(said, model.predict_proba(X[:1])[0], rtol=0, atol=1e-14)


@every_spec
def test_some_streams_begin_anew(spec):
    model = fitted(spec)
    stream = model.stream(3)
    for t in range(5):
        stream.update(X[:3, t])
    assert stream.reset([1]) is stream
    said = [stream.update(X[:3, t]) for t in range(5, T)]
    fresh = of_prefixes(model, X[:3, 5:])
    whole = of_prefixes(model, X[:3])[5:]
    for answer, anew, on in zip(said, fresh, whole, strict=True):
        close(answer[[0, 2]], on[[0, 2]])
        close(answer[1], anew[1])
    close(
        stream.reset(np.array([True, False, True])).update(X[:3, 0])[[0, 2]],
        of_prefixes(model, X[:3, :1])[0][[0, 2]],
    )


@every_spec
def test_reset_begins_anew(spec):
    stream = fitted(spec).stream()
    first = [stream.update(step) for step in X[0, :5]]
    stream.reset()
    np.testing.assert_array_equal(first, [stream.update(step) for step in X[0, :5]])


def test_some_videos_begin_anew_by_a_mask_of_bool():
    model, names = fitted(LSTM(6)), list("abc")
    begun = X[:3, :2].copy()
    begun[1, 0] = np.nan  # what the second has seen is forgotten
    expected = model.predict_proba(begun)

    def after(streams, index=None):
        stream = model.stream(3)
        steps = [pd.DataFrame(s, index) if index else s for s in (X[:3, 0], X[:3, 1])]
        stream.update(steps[0])
        return stream.reset(streams).update(steps[1])

    mask = np.array([False, True, False])
    for streams in (mask, mask.tolist(), torch.tensor(mask), [1], 1, pd.Series(mask)):
        close(after(streams), expected)
    close(after(pd.Series(mask, index=names), names), expected)
    with pytest.raises(ValueError, match="streams holds 3 numbers 0 and 1"):
        after(mask.astype(int))
    with pytest.raises(ValueError, match="rows of streams have the names"):
        after(pd.Series(mask[[1, 0, 2]], index=["b", "a", "c"]), names)


# ------------------------------------------------------------------------ pipelines


def test_pipeline_of_steps_per_frame():
    wide = np.concatenate([X * 7 + 3, X], axis=-1)
    model = make_pipeline(
        LastAxisSlice(0, D),
        "passthrough",
        PerFrame(StandardScaler()),
        PerFrame(PCA(3)),
        SmoothedAnticipator(
            LSTM(6, **STAGES, anticipation_time=0.5), max_epochs=2, random_state=0
        ),
    ).fit(wide, y)
    gaps = np.concatenate([GAPS, GAPS], axis=-1)
    stream = skanticipate.stream(model, 3)
    for t in range(T):
        said = stream.update(gaps[:, t])
        if t >= 3:
            close(said, model.predict_proba(gaps[:, : t + 1]))
    close(skanticipate.stream(model).update(wide[0]), model.predict_proba(wide[:1])[0])


def test_searches_and_frozen_models_stand_for_what_is_in_them():
    search = GridSearchCV(
        make_pipeline(
            PerFrame(StandardScaler()),
            SmoothedAnticipator(max_epochs=1, random_state=0),
        ),
        {"smoothedanticipator__network": [LSTM(6)]},
        cv=2,
    ).fit(X, y)
    for model in (search, FrozenEstimator(search.best_estimator_)):
        said = skanticipate.stream(model).update(X[0])
        close(said, search.predict_proba(X[:1])[0])


def test_steps_that_may_look_at_other_frames_are_refused():
    model = make_pipeline(
        FunctionTransformer(), SmoothedAnticipator(LSTM(6), max_epochs=1)
    ).fit(X, y)
    with pytest.raises(TypeError, match="FunctionTransformer.*PerFrame"):
        skanticipate.stream(model)


def test_what_is_no_anticipator_is_refused():
    members = [("a", SmoothedAnticipator(LSTM(6), max_epochs=1), (0, None))]
    with pytest.raises(TypeError, match="got LateFusion: open a stream for each"):
        skanticipate.stream(LateFusion(members).fit(X, y))
    with pytest.raises(NotFittedError):
        skanticipate.stream(SmoothedAnticipator())
    with pytest.raises(NotFittedError):
        skanticipate.stream(make_pipeline(SmoothedAnticipator()))
    with pytest.raises(TypeError, match="got str"):
        skanticipate.stream("model")


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (EncoderDecoderLSTM(6, **STAGES), "EncoderDecoderLSTM.*decoder starts anew"),
        (AttentiveProbe(8), "attend to all steps"),
        (FeatureMapNet(4), "convolutions"),
        (MLP(4), "all values of a clip at once"),
    ],
)
def test_networks_that_cannot_say_why_and_which_can(spec, reason):
    with pytest.raises(ValueError, match=f"{reason}.*LSTM.*RULSTM.*AVTHead"):
        fitted(spec).stream()


def test_a_network_of_ones_own_inherits_no_stream():
    class Changed(LSTM):
        def build(self, input_shape, n_classes, *, generator):
            network = super().build(input_shape, n_classes, generator=generator)
            network.classifier.register_forward_hook(lambda *_: None)
            return network

    class Bare(NetworkSpec):
        pass

    assert LSTM(6).stepper(fitted(LSTM(6)).network_) is not None
    with pytest.raises(ValueError, match="Changed.*does not say how it goes on"):
        fitted(Changed(6)).stream()
    with pytest.raises(ValueError, match="Bare.*does not say how it goes on"):
        Bare().stepper(None)


@pytest.mark.parametrize(
    ("n_streams", "shape", "expected"),
    [
        (None, (D + 1,), r"shape \(6,\), but a step of this stream has shape \(5,\)"),
        (None, (2, D + 1), r"and k steps \(k, 5\)"),
        (None, (), r"shape \(\)"),
        (None, (1, 2, D), r"shape \(1, 2, 5\)"),
        (None, (0, D), "at least one row"),
        (3, (D,), r"has shape \(3, 5\), and k steps \(3, k, 5\)"),
        (3, (2, D), r"shape \(2, 5\)"),
        (3, (D, 3), r"shape \(5, 3\)"),
        (3, (3, 2, D + 1), r"shape \(3, 2, 6\)"),
    ],
)
def test_other_shapes_are_refused(n_streams, shape, expected):
    stream = fitted(LSTM(6)).stream(n_streams)
    with pytest.raises(ValueError, match=expected):
        stream.update(np.zeros(shape))


@every_spec
def test_after_an_error_the_stream_is_as_it_was(spec):
    stream = fitted(spec).stream()
    stream.update(X[0, :4])
    before = stream.now()
    for broken in (np.nan, np.inf):
        steps = X[0, 4:7].copy()
        steps[-1, 2] = broken
        with pytest.raises(ValueError, match="inside step 2"):
            stream.update(steps)
    np.testing.assert_array_equal(stream.now(), before)


@pytest.mark.parametrize("name", ["avt", "avt rolled out"])
def test_a_network_that_gives_no_numbers_leaves_the_stream_as_it_was(name):
    model = fitted(SPECS[name])
    stream = model.stream(2)
    stream.update(np.stack([X[0, :5], GAPS[2, :5]]))  # of unequal numbers of steps
    huge = np.stack([X[0, 5:8], X[0, 5:8] * 0 + 3e38])
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="NaN for row 1"):
        stream.update(huge)
    for t in range(5, T):
        said = stream.update(np.stack([X[0, t], GAPS[2, t]]))
    close(said, model.predict_proba(np.stack([X[0], GAPS[2]])))


def test_a_stream_ends_with_another_fit():
    model = fitted(LSTM(6))
    stream = model.stream()
    model.fit(X, y)
    with pytest.raises(ValueError, match="fitted again.*open another"):
        stream.update(X[0])


@pytest.mark.parametrize("n_streams", [0, -1, 1.5, "2", True, 10**12, 10**400])
def test_number_of_streams(n_streams):
    with pytest.raises(ValueError, match="n_streams"):
        fitted(LSTM(6)).stream(n_streams)


def test_more_streams_than_memory_holds_are_told_of(monkeypatch):
    def start(self, n):
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    model = fitted(LSTM(6))
    kind = type(model.stream()._stepper)
    monkeypatch.setattr(kind, "start", start)
    with pytest.raises(MemoryError, match=r"5 streams.*Lower n_streams"):
        model.stream(5)
    with pytest.raises(RuntimeError, match="not enough memory"):  # of one there is none
        model.stream()


def test_no_stream_begins_anew_where_none_is_named():
    stream = fitted(LSTM(6)).stream(2)
    before = stream.update(X[:2, 0])
    assert stream.reset([]) is stream
    assert (stream.now() == before).all()


@pytest.mark.parametrize("rollout_steps", [1, 3])
def test_a_transformer_without_positions_left_asks_for_a_reset(rollout_steps):
    room = 5
    spec = AVTHead(
        8, n_heads=2, rollout_steps=rollout_steps, max_steps=room + rollout_steps - 1
    )
    model = fitted(spec, X[:, :room])
    stream = model.stream(2)
    stream.update(X[:2, :room])
    gap = X[:2, 0] * np.nan
    stream.update(gap)  # a missing step takes no position
    with pytest.raises(ValueError, match=r"6 steps.*reset\(\)"):
        stream.update(X[:2, 5])
    close(stream.update(gap), model.predict_proba(X[:2, :room]))
    only_second = np.stack([gap[0], X[1, 5]])
    said = stream.reset([1]).update(only_second)
    close(said[0], model.predict_proba(X[:1, :room])[0])
    close(said[1], model.predict_proba(X[1:2, 5:6])[0])


def test_changed_parameters_are_told():
    model = fitted(LSTM(6))
    model.set_params(network__hidden_size=7)
    for open_stream in (SmoothedAnticipator.stream, skanticipate.stream):
        with pytest.warns(UserWarning, match="hidden_size.*after the fit"):
            open_stream(model)


def test_parameters_of_the_model_count_at_once_while_a_stream_is_open():
    model = fitted(LSTM(6))
    stream = model.stream(2)
    stream.update(X[:2, :3])
    model.set_params(logit_adjustment=2.0, n_threads=2, device="cpu", lr=3.0)
    close(stream.update(X[:2, 3]), model.predict_proba(X[:2, :4]))
    for name, wrong in (("logit_adjustment", "1"), ("n_threads", 0), ("device", None)):
        kept = model.get_params()[name]
        model.set_params(**{name: wrong})
        for ask in (lambda: stream.update(X[:2, 4]), stream.now, stream.reset):
            with pytest.raises(ValueError, match=f"The '{name}' parameter of Smoothed"):
                ask()
        model.set_params(**{name: kept})
    close(stream.update(X[:2, 4]), model.predict_proba(X[:2, :5]))


def test_steps_of_a_pipeline_are_those_of_when_the_stream_was_opened():
    model = SmoothedAnticipator(LSTM(6), max_epochs=2, random_state=0)
    pipeline = make_pipeline(LastAxisSlice(0, 3), PerFrame(StandardScaler()), model)
    pipeline.fit(X, y)
    expected, stream = (
        pipeline.predict_proba(X[:2, :6]),
        skanticipate.stream(pipeline, 2),
    )
    stream.update(X[:2, :3])
    pipeline.set_params(lastaxisslice__start=2, lastaxisslice__stop=5)
    close(stream.update(X[:2, 3:6]), expected)


# ------------------------------------------------------------- what stays as it was


@every_spec
def test_arrays_that_were_read_are_not_kept(spec):
    model = fitted(spec)
    stream, buffer = model.stream(2), np.empty((2, D), dtype=np.float32)
    for t in range(5):
        buffer[:] = X[:2, t]
        stream.update(buffer)
    expected = stream.now()
    buffer[:] = 100
    np.testing.assert_array_equal(stream.now(), expected)
    stream.reset([0])
    assert (buffer == 100).all()


@every_spec
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_by_itself(spec, duplicate):
    """Both read on in turn; oracle: whole clips, which begin alike."""
    model, clips = fitted(spec), X[:2].copy()
    clips[1, :-3] = clips[0, :-3]
    first = model.stream()
    first.update(clips[0, :-3])
    streams = [first, duplicate(first)]
    for k in (-3, -2, -1):
        found = [s.update(clip[k]) for s, clip in zip(streams, clips, strict=True)]
    close(found, model.predict_proba(clips))


def test_a_stream_does_not_pickle():
    with pytest.raises(TypeError, match="pickle its model"):
        pickle.dumps(fitted(LSTM(6)).stream())


@every_spec
def test_streams_know_nothing_of_each_other(spec):
    model = fitted(spec)
    one, other = model.stream(), model.stream()
    for step, noise in zip(X[0], X[1], strict=True):
        said = one.update(step)
        other.update(noise)
    close(said, model.predict_proba(X[:1])[0])


@pytest.mark.parametrize("name", ["lstm", "gru first stage", "rulstm early", "frames"])
def test_long_streams_need_no_more_memory(name):
    stream = fitted(SPECS[name]).stream()
    step = X[0, 0]
    n_states = [sum(part.numel() for s in stream._states for part in s)]
    tracemalloc.start()
    for _ in range(200):
        stream.update(step)
    gc.collect()  # torch leaves some cycles, however many steps
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        stream.update(step)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    n_states.append(sum(part.numel() for s in stream._states for part in s))
    assert n_states[0] == n_states[1]
    assert grown < 20_000


# ---------------------------------------------------------------- what tables say


def named(clip, columns="abcde"):
    return pd.DataFrame(clip, columns=list(columns))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("steps", [[], [PerFrame(StandardScaler())]])
def test_tables_name_their_features_as_in_fit(steps):
    backwards = namedtuple("Backwards", list("edcba"))
    model = make_pipeline(*steps, SmoothedAnticipator(LSTM(6), max_epochs=1))
    tables = [named(clip) for clip in X]
    expected = model.fit(tables, y).predict_proba(tables[:2])
    other = [table[list("edcba")] for table in tables[:2]]
    one, two = skanticipate.stream(model), skanticipate.stream(model, 2)
    refused = pytest.raises(ValueError, match="features|columns of X.* another order")
    for k in range(T):
        rows = [table.iloc[k] for table in other]
        wrong = (one, rows[0]), (two, rows), (two, pd.DataFrame(rows))
        for stream, X_k in (*wrong, (one, backwards(*rows[0]))):
            with refused:
                stream.update(X_k)
        answer = one.update(tables[0].iloc[k])
        both = two.update(pd.DataFrame([table.iloc[k] for table in tables[:2]]))
    close(answer, expected[0])
    close(both, expected)
    close(one.reset().update(tables[0]), expected[0])
    with refused:
        one.update(other[0])
    with pytest.raises(ValueError, match="does not rise from step to step"):
        one.reset().update(tables[0].iloc[::-1])


def test_tables_name_their_videos_in_one_order():
    stream = fitted(LSTM(6)).stream(2)
    step = pd.DataFrame(X[:2, 0], index=["first", "second"])
    stream.update(step)
    with pytest.raises(ValueError, match="rows of X.*earlier step.*another order"):
        stream.update(step.iloc[::-1])
    stream.update(step.rename(index={"first": "third"}))  # another video
    broken = step.rename(index={"first": "fourth"})
    broken.iloc[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN inside step"):
        stream.reset().update(broken)
    stream.update(step.iloc[::-1])  # no names are left of the videos before


def test_tables_name_their_features_in_one_order_where_the_fit_had_no_names():
    model = fitted(LSTM(6))  # on an array
    columns = [f"f{k}" for k in range(D)]
    steps = [pd.DataFrame(X[:2, t], columns=columns) for t in range(3)]
    expected = model.predict_proba(X[:2, :3])
    refused = pytest.raises(ValueError, match="columns of X, .*earlier.*another order")
    stream, one = model.stream(2), model.stream()
    for step in steps[:2]:
        stream.update(step)
        one.update(step.iloc[0])
    with refused:
        stream.update(steps[2][columns[::-1]])
    with refused:
        one.update(steps[2].iloc[0][::-1])
    close(stream.update(steps[2]), expected)  # which was as before
    close(one.update(steps[2].iloc[0]), expected[0])
    with refused:  # another video has the same features
        stream.reset().update(steps[0][columns[::-1]])


@pytest.mark.filterwarnings("error")
def test_steps_whose_squares_are_too_large_are_read_like_others():
    model, clips = fitted(LSTM(6)), (300 * X[:1]).astype(np.float16)
    close(model.stream().update(clips[0]), model.predict_proba(clips)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors(dtype):
    model, clips = fitted(LSTM(6)), torch.tensor(X[:1]).to(dtype).requires_grad_()
    close(model.stream().update(clips[0]), model.predict_proba(clips)[0].numpy())
