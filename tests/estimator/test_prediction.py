import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_models import CLIPS, DATA, X, Y, anticipator, pooled_model, staged_model

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    ModalityAttention,
    Output,
    RowView,
    SmoothedAnticipator,
    VerbNounHead,
)


@pytest.fixture(scope="module")
def pooled():
    return pooled_model()


@pytest.fixture(scope="module")
def staged():
    return staged_model()


# ---------------------------------------------------------------------- answers


def test_probabilities_sum_to_one(pooled, staged):
    assert_allclose(pooled.predict_proba(X).sum(axis=1), 1)
    assert_allclose(staged.predict_proba(CLIPS.X_past).sum(axis=1), 1)
    assert (pooled.predict_proba(X) >= 0).all()


def test_predict_takes_the_largest_probability(pooled):
    best = pooled.predict_proba(X).argmax(axis=1)
    assert_array_equal(pooled.predict(X), pooled.classes_[best])


def test_labels_come_out_as_they_went_in():
    names = np.array([" ".join(DATA.actions[label]) for label in Y])
    predicted = anticipator().fit(X, names).predict(X)
    assert predicted.dtype.kind == "U"
    assert set(predicted) <= set(names)


def test_log_probabilities_are_the_logarithm(pooled):
    proba = pooled.predict_proba(X)
    assert_allclose(np.exp(pooled.predict_log_proba(X)), proba)


def test_log_probabilities_keep_small_numbers():
    model = anticipator(smoothing=0).fit(X, Y)
    far = 1e5 * X  # probabilities underflow
    assert (model.predict_proba(far) == 0).any()
    assert np.isfinite(model.predict_log_proba(far)).all()


def test_a_clip_is_answered_alone_as_among_others(pooled):
    alone = np.vstack([pooled.predict_proba(X[[k]]) for k in range(5)])
    assert_allclose(alone, pooled.predict_proba(X)[:5], rtol=1e-10)


def test_many_clips_are_answered_in_their_order(pooled):
    many = np.tile(X, (11, 1))  # more than one batch
    assert_allclose(
        pooled.predict_proba(many), np.tile(pooled.predict_proba(X), (11, 1))
    )


@pytest.mark.parametrize("form", [np.array, list, RowView])
def test_the_container_does_not_matter(pooled, form):
    assert_array_equal(pooled.predict_proba(form(X)), pooled.predict_proba(X))


# ----------------------------------------------------------------------- stages


def test_each_stage_is_told_the_earliest_first(staged):
    assert_allclose(staged.anticipation_times_, [1.0, 0.75, 0.5, 0.25])
    stages = list(staged.staged_predict_proba(CLIPS.X_past))
    assert len(stages) == 4
    for proba in stages:
        assert_allclose(proba.sum(axis=1), 1)
    assert_array_equal(stages[1], staged.predict_proba(CLIPS.X_past))


def test_stages_are_arrays_of_their_own_and_the_threads_are_the_callers(staged):
    before = torch.get_num_threads()
    stages = []
    try:
        torch.set_num_threads(2)
        for proba in staged.staged_predict_proba(CLIPS.X_past):
            assert torch.get_num_threads() == 2
            assert proba.flags.c_contiguous and proba.flags.writeable
            stages.append(proba)
    finally:
        torch.set_num_threads(before)
    assert not np.shares_memory(stages[0], stages[1])


def test_the_stage_of_a_clip_is_the_last_stage_of_a_shorter_one(staged):
    stages = list(staged.staged_predict_proba(CLIPS.X_past))
    cut = list(staged.staged_predict_proba(CLIPS.X_past[:, :-1]))  # 0.25 s less seen
    for later, earlier in zip(cut[1:], stages[:-1], strict=True):
        assert_allclose(later, earlier, rtol=1e-9)


def test_the_last_stage_answers_by_default():
    model = anticipator(LSTM(8, anticipation_steps=3)).fit(CLIPS.X_past, CLIPS.y)
    *_, last = model.staged_predict_proba(CLIPS.X_past)
    assert_array_equal(last, model.predict_proba(CLIPS.X_past))


def test_a_network_without_times_has_one_stage(pooled):
    [only] = pooled.staged_predict_proba(X)
    assert_array_equal(only, pooled.predict_proba(X))
    assert np.isnan(pooled.anticipation_times_).all()


def test_an_lstm_answers_clips_of_other_lengths(staged):
    longer = np.concatenate([CLIPS.X_past, CLIPS.X_past], axis=1)
    assert staged.predict_proba(longer).shape == (100, len(staged.classes_))
    assert staged.predict_proba(CLIPS.X_past[:, 2:]).shape[0] == 100


def test_padding_in_front_changes_nothing(staged):
    padded = np.full((100, 9, 8), np.nan)
    padded[:, 3:] = CLIPS.X_past
    expected = staged.predict_proba(CLIPS.X_past)
    assert_allclose(staged.predict_proba(padded), expected, rtol=1e-9)


def test_a_clip_of_nothing_but_padding_is_answered(staged):
    proba = staged.predict_proba(np.full((1, 6, 8), np.nan))
    assert_allclose(proba.sum(), 1)


# ----------------------------------------------------------------- wrong questions


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "staged_predict_proba"]
)
def test_an_unfitted_model_does_not_answer(method):
    with pytest.raises(NotFittedError, match="not fitted"):
        list(getattr(anticipator(), method)(X))


def test_an_unfitted_model_has_no_score_and_no_file(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted"):
        anticipator().score(X, Y)
    with pytest.raises(NotFittedError, match="not fitted"):
        anticipator().save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_mlp_refuses_clips_of_another_length():
    model = anticipator().fit(CLIPS.X_past, CLIPS.y)
    with pytest.raises(ValueError, match=r"shape \(100, 5, 8\).*\(n, 6, 8\)"):
        model.predict(CLIPS.X_past[:, 1:])


def test_other_channels_are_refused(pooled, staged):
    with pytest.raises(ValueError, match="11 features.*expecting 12"):
        pooled.predict(X[:, 1:])
    with pytest.raises(ValueError, match=r"\(100, 6, 7\).*\(n, T, 8\)"):
        staged.predict(CLIPS.X_past[..., 1:])


def test_fewer_steps_than_stages_are_refused(staged):
    with pytest.raises(ValueError, match="3 steps.*4 stages"):
        staged.predict(CLIPS.X_past[:, :3])


@pytest.mark.parametrize("clips", [X, CLIPS.X_past[..., None]])
def test_other_axes_are_refused(staged, clips):
    with pytest.raises(ValueError, match="fit saw clips of shape"):
        staged.predict(clips)


def test_column_names_are_remembered():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"f{k}" for k in range(12)])
    model = anticipator().fit(frame, Y)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert_array_equal(model.predict(frame), anticipator().fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[frame.columns[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


# ------------------------------------------------------------------------- score


def test_score_is_the_accuracy(pooled):
    weight = np.arange(100.0)
    predicted = pooled.predict(X)
    assert pooled.score(X, Y) == accuracy_score(Y, predicted)
    assert pooled.score(X, Y, weight) == accuracy_score(
        Y, predicted, sample_weight=weight
    )


@pytest.mark.parametrize("form", [np.array, list, RowView])
@pytest.mark.filterwarnings("ignore:.* rows with y ==")
def test_score_leaves_unlabelled_rows_out(form):
    y = np.where(np.arange(100) % 4 == 0, -1, Y)
    model = anticipator().fit(X, y)
    keep, weight = y >= 0, np.arange(100.0)
    predicted = model.predict(X[keep])
    assert model.score(form(X), y) == accuracy_score(Y[keep], predicted)
    assert model.score(form(X), y, weight) == pytest.approx(
        accuracy_score(Y[keep], predicted, sample_weight=weight[keep])
    )


def test_a_label_never_seen_counts_as_missed(pooled):
    assert pooled.score(X, np.full(100, 99)) == 0


# ------------------------------------------------------------- nothing is changed


@pytest.mark.parametrize("name", ["pooled", "staged"])
def test_prediction_changes_nothing(request, name):
    model = request.getfixturevalue(name)
    clips, y = {"pooled": (X, Y), "staged": (CLIPS.X_past, CLIPS.y)}[name]
    before, network = dict(vars(model)), model.network_
    state = copy.deepcopy(model.__getstate__())
    given, stream = clips.copy(), torch.get_rng_state()
    model.predict(clips)
    model.predict_proba(clips)
    list(model.staged_predict_proba(clips))
    model.score(clips, y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is before[key] for key in before)
    assert_equal_states(model.__getstate__(), state)
    assert not any(module.training for module in network.modules())
    assert_array_equal(clips, given)
    assert torch.equal(torch.get_rng_state(), stream)


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    for key in one["_weights"]:
        assert one["_weights"][key].tobytes() == other["_weights"][key].tobytes()
    assert one["history_"] == other["history_"]


class Constant(torch.nn.Module):
    """Says what its buffers hold, as views of them."""

    def __init__(self, n_classes):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.register_buffer("logits", torch.arange(float(n_classes))[None, None])
        self.register_buffer("features", torch.ones(1, 3, 2))

    def forward(self, clips):
        return Output(
            self.logits.expand(len(clips), -1, -1),
            self.features.expand(len(clips), -1, -1),
        )


@pytest.mark.parametrize("n", [1, 2])
def test_answers_are_arrays_that_the_network_does_not_hold(n):
    model = anticipator().fit(X, Y)
    model.network_ = Constant(len(model.classes_)).eval()
    proba, maps = model.predict_proba(X[:n]), model.feature_map(X[:n])
    proba[:], maps[:] = 7, 7
    weights = np.exp(np.arange(len(model.classes_)))
    expected = [weights / weights.sum()] * n
    assert_allclose(model.predict_proba(X[:n]), expected, rtol=1e-5)
    assert_array_equal(model.feature_map(X[:n]), np.ones((n, 3, 2)))


def test_the_network_rests_on_the_cpu_without_gradients(pooled):
    for parameter in pooled.network_.parameters():
        assert parameter.device.type == "cpu"
        assert parameter.grad is None
    assert not pooled.network_.training


# --------------------------------------------------------------- logit adjustment


def test_logit_adjustment_subtracts_the_log_frequency_of_each_class():
    X, y = np.eye(4)[[0, 0, 0, 0, 0, 1, 2, 3]], np.array([0, 0, 0, 0, 0, 0, 1, 1])
    plain = SmoothedAnticipator(max_epochs=2, random_state=0).fit(X, y)
    adjusted = SmoothedAnticipator(max_epochs=2, logit_adjustment=0.7, random_state=0)
    adjusted.fit(X, y)
    frequency = np.array([7, 3]) / 10  # one more of each
    expected = plain.predict_proba(X) / frequency**0.7
    expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(adjusted.predict_proba(X), expected)
    assert_allclose(next(adjusted.staged_predict_proba(X)), expected)
    assert_allclose(adjusted.class_log_frequency_, np.log(frequency))


def test_logit_adjustment_favours_rare_classes_and_leaves_training_alone():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1], [50, 10])
    plain, adjusted = (
        SmoothedAnticipator(max_epochs=3, logit_adjustment=tau, random_state=0).fit(
            X, y
        )
        for tau in (0.0, 1.0)
    )
    assert plain.loss_curve_ == adjusted.loss_curve_
    gain = adjusted.predict_proba(X)[:, 1] - plain.predict_proba(X)[:, 1]
    assert (gain > 0).all()


def test_a_class_that_is_no_longer_learned_keeps_its_frequency():
    model = SmoothedAnticipator(
        logit_adjustment=1.0, classes=[0, 1, 2], warm_start=True, max_epochs=1
    )
    model.fit(np.eye(4), [0, 0, 1, 2])  # one more is counted of each class
    assert_allclose(model.class_log_frequency_, np.log(np.array([3, 2, 2]) / 7))
    model.fit(np.eye(4), [0, 0, 1, 1])
    assert_allclose(model.class_log_frequency_, np.log([1 / 2, 1 / 2, 2 / 7]))
    model.set_params(warm_start=False).fit(np.eye(4), [0, 0, 1, 1])
    assert_allclose(model.class_log_frequency_, [np.log(1 / 2), np.log(1 / 2), 0])


def test_a_class_without_rows_has_a_frequency_too():
    model = SmoothedAnticipator(classes=[0, 1, 2], max_epochs=1, logit_adjustment=1.0)
    proba = model.fit(np.eye(3), [0, 1, 1]).predict_proba(np.eye(3))
    assert np.isfinite(proba).all()


# ----------------------------------------------------------- answers that are numbers


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_scores_that_are_no_numbers_are_no_answer(method):
    clips = np.random.default_rng(0).normal(size=(600, 4, 5)).astype(np.float32)
    model = SmoothedAnticipator(AttentiveProbe(8, n_heads=2), max_epochs=1)
    model.fit(clips[:30], np.arange(30) % 3)
    clips[577] = 1e30
    with pytest.raises(ValueError, match="NaN for row 577 of X: .*too large"):
        getattr(model, method)(clips)
    with pytest.raises(ValueError, match="NaN for row 577"):
        next(model.staged_predict_proba(clips))


@pytest.mark.filterwarnings("ignore:.*on different scales")
def test_validation_rows_whose_scores_are_no_numbers_end_the_fit():
    clips = np.random.default_rng(0).normal(size=(30, 4, 5)).astype(np.float32)
    odd = clips[:9] + 1
    odd[0] = 1e30
    model = SmoothedAnticipator(AttentiveProbe(8, n_heads=2), max_epochs=1)
    with pytest.raises(ValueError, match="Scores of the validation rows are NaN"):
        model.fit(clips, np.arange(30) % 3, X_val=odd, y_val=np.arange(9) % 3)


@pytest.mark.parametrize("shift", [0.7, np.pi])
def test_features_are_no_codes_in_prediction_either(shift):
    codes = np.random.default_rng(0).integers(0, 5, (20, 3, 2)).astype(float)
    model = SmoothedAnticipator(LSTM(4, embedding=3), max_epochs=1)
    model.fit(codes, np.arange(20) % 2)
    with pytest.raises(ValueError, match="whole numbers as codes"):
        model.predict_proba(codes + shift)


def test_validation_data_that_no_scaler_saw_are_told_of():
    rng = np.random.default_rng(0)
    X, y = rng.normal(5000, 1000, (60, 3)), np.arange(60) % 2
    pipe = make_pipeline(StandardScaler(), SmoothedAnticipator(max_epochs=1))
    new = rng.normal(5000, 1000, (20, 3))
    given = {
        "smoothedanticipator__X_val": new,
        "smoothedanticipator__y_val": y[:20],
    }
    with pytest.warns(UserWarning, match=r"X_past and X_val are on different scales"):
        pipe.fit(X, y, **given)


# ------------------------------------------- parameters of the network, set afterwards


def test_a_network_changed_after_fit_is_warned_of_and_has_no_effect():
    model = anticipator(LSTM(4, anticipation_steps=4, head=VerbNounHead(DATA.actions)))
    X = CLIPS.X_past
    before = model.fit(X, CLIPS.y).predict_proba(X)
    model.set_params(network__anticipation_time=1.0)
    says = "anticipation_time of network was changed after the fit.* before another fit"
    for ask in (model.predict, model.predict_proba, model.feature_map):
        with pytest.warns(UserWarning, match=says):
            ask(X)
    with pytest.warns(UserWarning, match=says):
        assert_array_equal(model.predict_proba(X), before)
    model.set_params(network__anticipation_time=None, network__weights=None)
    model.predict(X)
    model.set_params(network__anticipation_time=1.0).fit(X, CLIPS.y)
    first, *_ = model.staged_predict_proba(X)
    assert_array_equal(model.predict_proba(X), first)


def test_a_continued_fit_refuses_another_network():
    model = anticipator(MLP(4), warm_start=True).fit(DATA.X_past, DATA.y)
    model.fit(DATA.X_past, DATA.y)
    model.set_params(network__dropout=0.5)
    with pytest.raises(ValueError, match="dropout of network was changed after.*back"):
        model.fit(DATA.X_past, DATA.y)
    model.set_params(network=LSTM(4))
    with pytest.raises(ValueError, match="network of network was changed|warm_start"):
        model.fit(DATA.X_past, DATA.y)
    model.set_params(network=MLP(4)).fit(DATA.X_past, DATA.y)


def test_branches_and_heads_are_compared_too():
    part = RULSTM(4, anticipation_steps=2)
    halves = [("a", part, (0, 4)), ("b", part, (4, 8))]
    model = anticipator(ModalityAttention(halves)).fit(CLIPS.X_past, CLIPS.y)
    model.predict(CLIPS.X_past)
    model.network.set_params(b__time_step=0.5)
    with pytest.warns(UserWarning, match="branches of network was changed"):
        model.predict(CLIPS.X_past)


@pytest.mark.parametrize(
    "changed",
    [
        *({"logit_adjustment": value} for value in (None, "1", -1.0, np.nan, np.inf)),
        *({"n_threads": value} for value in (0, "1")),
        {"device": None},
    ],
    ids=str,
)
def test_parameters_that_cannot_be_are_refused_after_fit_too(changed):
    model = anticipator(LSTM(8)).fit(CLIPS.X_past, CLIPS.y).set_params(**changed)
    (name,) = changed
    for ask in (model.predict, model.predict_proba, model.feature_map):
        with pytest.raises(ValueError, match=f"The '{name}' parameter of Smoothed"):
            ask(CLIPS.X_past)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Smoothed"):
        model.stream()
