"""Clips that end earlier in training, against loops and clips that are cut by hand."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from searches import assert_same
from sklearn.base import clone
from sklearn.metrics import log_loss
from together import (
    CLIPS,
    EXACT,
    FOLDS,
    FUTURES,
    RNG,
    SOME,
    C,
    N,
    T,
    Y,
    assert_alike,
    assert_as_alone,
)

from skanticipate import (
    LSTM,
    AttentiveProbe,
    AVTHead,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FocalLoss,
    FrameMLP,
    NetworkSpec,
    RecognitionTeacher,
    SmoothedAnticipator,
    load,
)
from skanticipate.estimator.checking import _PURPOSES
from skanticipate.training.runtime import seeds_of

pytestmark = pytest.mark.filterwarnings("ignore:feature_weight is positive, but the")

SPECS = {
    "LSTM": LSTM(5, dropout=0.2),
    "stages": LSTM(5, anticipation_steps=3),
    "encoder-decoder": EncoderDecoderLSTM(5, anticipation_steps=2),
    "probe": AttentiveProbe(8, n_heads=2, n_positions=3),
    "avt": AVTHead(8, n_heads=2),
    "frames": FrameMLP(6),
}
EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
PADDED = CLIPS.copy()
for row in range(0, N, 3):
    PADDED[row, : row % (T - 1)] = np.nan
CODES = RNG.integers(0, 5, (N, T, 2))
for row in range(0, N, 2):
    CODES[row, : row % T] = -1


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def delayed(spec, steps=2):
    return clone(spec).set_params(random_delay=steps)


def smoothed(spec, **params):
    return SmoothedAnticipator(spec, **{**EXACT, "smoothing": 0.0, **params})


def cut(clip, delay, is_padding, padding):
    """One clip without its last steps, in a loop; its first real step remains."""
    real = [t for t, step in enumerate(clip) if not is_padding(step)]
    delay = min(delay, len(clip) - 1 - real[0]) if real else delay
    steps = [np.full_like(clip[0], padding) for _ in range(delay)]
    return np.stack(steps + [clip[t] for t in range(len(clip) - delay)])


def cut_all(clips, delays, coded=False):
    def is_padding(step):
        return step.flat[0] < 0 if coded else np.isnan(step).all()

    padding = -1 if coded else np.nan
    pairs = zip(clips, delays, strict=True)
    return np.stack([cut(clip, delay, is_padding, padding) for clip, delay in pairs])


def draws(steps, n, seed=0):
    """Delays as the documentation has them: one for each row, of 0 to `steps`."""
    return torch.randint(steps + 1, (n,), generator=generator(seed)).tolist()


# ------------------------------------------------------------------------------- crop


@pytest.mark.parametrize("steps", [1, 2, T - 1])
@EACH
def test_clips_end_earlier(spec, steps):
    late = np.where((np.arange(T) > 1)[:, None], np.nan, CLIPS)  # padded behind
    for clips in (CLIPS, PADDED, late, np.full_like(CLIPS, np.nan)):
        given = torch.tensor(clips)
        past, future = delayed(spec, steps).crop(given, None, generator())
        assert future is None
        assert_array_equal(past, cut_all(clips, draws(steps, N)))
        assert_array_equal(given, clips)  # what was read may be shared


def test_grids_move_by_steps():
    maps = RNG.normal(size=(6, 4, 2, 3, 5))
    maps[::2, 0] = np.nan
    past, _ = AttentiveProbe(random_delay=3).crop(torch.tensor(maps), None, generator())
    assert_array_equal(past, cut_all(maps, draws(3, 6)))


@EACH
def test_codes_are_padded_with_codes(spec):
    coded = delayed(spec, 3).set_params(embedding=4)
    past, _ = coded.crop(torch.tensor(CODES, dtype=torch.float32), None, generator())
    assert_array_equal(past, cut_all(CODES, draws(3, N), coded=True))
    assert (past == past.long()).all()


def test_all_delays_are_drawn_alike_and_follow_the_generator():
    clips = torch.arange(4.0).reshape(1, 4, 1).expand(9000, 4, 1)
    crop = LSTM(random_delay=2).crop
    drawn = generator()
    ends = crop(clips, None, drawn)[0][:, -1, 0]
    assert_array_equal(ends, 3 - torch.tensor(draws(2, 9000)))
    assert_allclose(
        ends.long().bincount(minlength=4) / 9000, [0, *[1 / 3] * 3], atol=0.02
    )
    assert not torch.equal(crop(clips, None, drawn)[0][:, -1, 0], ends)  # an epoch on
    assert torch.equal(crop(clips, None, generator())[0][:, -1, 0], ends)


def test_a_real_step_remains():
    past, _ = FrameMLP(random_delay=T - 1).crop(torch.tensor(PADDED), None, generator())
    assert (~past[..., 0].isnan()).any(1).all()


@EACH
def test_futures_stay(spec):
    past, future = torch.tensor(CLIPS), torch.tensor(FUTURES)
    assert delayed(spec).crop(past, future, generator())[1] is future
    assert delayed(spec).crops_at_random and not delayed(spec).crops_futures


@EACH
def test_without_delay_nothing_happens(spec):
    past, drawn = torch.tensor(PADDED), generator()
    assert spec.random_delay == 0 and not spec.crops_at_random
    assert spec.crop(past, past, drawn) == (past, past)
    assert torch.equal(drawn.get_state(), generator().get_state())


@EACH
def test_delays_that_leave_nothing_are_refused(spec):
    message = rf"random_delay={T} may cut off a clip of {T} steps.*below {T}"
    with pytest.raises(ValueError, match=message):
        smoothed(delayed(spec, T)).fit(CLIPS, Y)
    with pytest.raises(ValueError, match=message):
        delayed(spec, T).crop(torch.tensor(CLIPS), None, generator())
    for wrong in (-1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="The 'random_delay' parameter of"):
            smoothed(delayed(spec, wrong)).fit(CLIPS, Y)


def test_shorter_clips_of_a_warm_start_are_refused():
    model = smoothed(LSTM(4, random_delay=2), warm_start=True).fit(CLIPS, Y)
    with pytest.raises(ValueError, match="may cut off a clip of 2 steps"):
        model.fit(CLIPS[:, -2:], Y)


# ------------------------------------------------------------------------------- fits


@EACH
@pytest.mark.parametrize("clips", [CLIPS, PADDED], ids=["whole", "padded"])
def test_a_fit_is_that_of_clips_that_are_cut_by_hand(spec, clips):
    params = {"max_epochs": 1, "batch_size": N, "random_state": 3}
    fitted = smoothed(delayed(spec), **params).fit(clips, Y)
    seeds = seeds_of(3, _PURPOSES)
    order = torch.randperm(N, generator=generator(seeds["shuffle"])).numpy()
    delays = np.empty(N, dtype=int)
    delays[order] = draws(2, N, seeds["crop"])
    expected = smoothed(spec, **params).fit(cut_all(clips, delays), Y)
    assert fitted.history_ == expected.history_
    assert_alike(fitted.network_, expected.network_, 0, "network")
    whole = smoothed(spec, **params).fit(clips, Y)
    assert fitted.history_ != whole.history_


@EACH
def test_no_delay_is_a_fit_without_crops(spec):
    plain = type("Plain", (type(spec),), {"crop": NetworkSpec.crop})
    plain = plain(**spec.get_params(deep=False))
    one, other = (smoothed(s, random_state=1).fit(PADDED, Y) for s in (spec, plain))
    assert one.history_ == other.history_
    assert_alike(one.network_, other.network_, 0, "network")


@EACH
def test_validation_and_prediction_read_whole_clips(spec, tmp_path):
    model = smoothed(delayed(spec), max_epochs=1)
    model.fit(CLIPS[20:], Y[20:], X_val=CLIPS[:20], y_val=Y[:20])
    proba = model.predict_proba(CLIPS)
    with torch.no_grad():
        logits = model.network_(torch.tensor(CLIPS)).logits[:, -1]
    assert_allclose(proba, logits.softmax(1), rtol=1e-9)
    expected = log_loss(Y[:20], proba[:20])
    assert_allclose(model.history_[0]["val_loss"], expected, rtol=1e-9)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.network_spec_.random_delay == 2
    assert_array_equal(again.predict_proba(CLIPS), proba)


def test_learning_from_further_away_helps_there():
    """The class shows two steps before the end, and by delays also at the end."""
    steps = 0.1 * RNG.normal(size=(240, 4, C))
    y = np.arange(240) % C
    steps[np.arange(240), 1, y] += 3.0
    steps[np.arange(240), 3, (y + 1) % C] += 3.0  # which does not show further away

    def accuracy(delay):
        model = SmoothedAnticipator(
            LSTM(16, random_delay=delay), max_epochs=60, lr=0.01, random_state=0
        )
        model.fit(steps[:160], y[:160])
        early = np.concatenate([np.full((80, 2, C), np.nan), steps[160:, :2]], 1)
        return model.score(early, y[160:])

    assert accuracy(2) > 0.95 > 0.7 > accuracy(0)


# ------------------------------------------------------------------ many, and teachers


@EACH
def test_many_fits_are_those_of_each(spec):
    models = [
        smoothed(delayed(spec), lr=lr, random_state=seed, loss=loss)
        for lr, loss in ((0.001, None), (0.01, None))
        for seed in (0, 1)
    ]
    alone = not spec.stacks
    assert_as_alone(models, PADDED, Y, together=1 if alone else 4)
    folds = {"train": FOLDS * 2, "together": 1 if alone else 4}
    assert_as_alone(models, CLIPS, Y, **folds)
    for model in models:
        model.set_params(loss=FocalLoss())
    assert_as_alone(models, CLIPS, Y, **folds)


def test_other_delays_are_others():
    models = [
        smoothed(delayed(LSTM(5), steps), random_state=seed)
        for steps in (0, 1, 2)
        for seed in range(2)
    ]
    assert_as_alone(models, CLIPS, Y, together=2)


def test_many_fits_of_codes():
    spec = AttentiveProbe(8, n_heads=2, embedding=3, random_delay=3)
    models = [smoothed(spec, lr=lr) for lr in (0.001, 0.01)]
    assert_as_alone(models, CODES, Y)


@pytest.mark.filterwarnings("ignore:.* no teacher speaks for them")
@pytest.mark.parametrize("alignment", ["weak", "direct", "pooled"])
@pytest.mark.parametrize("name", ["LSTM", "probe", "frames"])
def test_unlabelled_rows_and_feature_losses(name, alignment):
    models = [
        DistilledAnticipator(
            delayed(SPECS[name]),
            alignment=alignment,
            feature_weight=weight,
            teacher_weight=0.5,
            **EXACT,
        )
        for weight in (0.1, 0.5)
    ]
    fitted = assert_as_alone(models, PADDED, SOME, X_future_unlabeled=FUTURES)
    record = fitted[0].history_[-1]
    assert record["feature"] > 0 and np.isfinite(list(record.values())).all()


def test_the_default_teacher_sees_actions_to_their_end():
    params = {"feature_weight": 0.1, **EXACT}
    one, other = (
        DistilledAnticipator(delayed(LSTM(5), steps), **params).fit(CLIPS, SOME, short)
        for steps in (0, 3)
        for short in (FUTURES[:, :3],)  # fewer steps than would be left of it
    )
    assert other.network_spec_.random_delay == 3
    assert other.teacher_.network.random_delay == 0
    assert_alike(one.teacher_.network_, other.teacher_.network_, 0, "teacher")


def test_maps_of_futures_are_kept(tmp_path):
    teacher = RecognitionTeacher(LSTM(5), **{**EXACT, "random_state": None})
    params = {"teacher": teacher, "feature_weight": 0.1, **EXACT}
    plain, cached = (
        DistilledAnticipator(LSTM(5, random_delay=2), teacher_cache=folder, **params)
        for folder in (None, tmp_path)
    )
    plain.fit(CLIPS, SOME, FUTURES)
    for _ in range(2):
        found = clone(cached).fit(CLIPS, SOME, FUTURES)
        assert found.history_ == plain.history_


def test_searches_over_delays():
    model = SmoothedAnticipator(LSTM(4), max_epochs=2, random_state=0)
    grid = {"network__random_delay": [0, 1, 3], "lr": [0.01, 0.02]}
    assert_same(model, grid, CLIPS, Y)


def test_steps_that_move_are_not_named_too():
    labels = np.full(CLIPS.shape[:2], Y[0])
    spec = AVTHead(8, n_heads=2, random_delay=1, past_weight=0.1)
    with pytest.raises(ValueError, match="random_delay moves .* past_weight compares"):
        smoothed(spec).fit(CLIPS, Y, y_past=labels)
