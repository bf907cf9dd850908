import copy
import pickle
import pickletools
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    CosineSchedule,
    GloVePrior,
    MixturePrior,
    NetworkSpec,
    Output,
    RowView,
    SmoothedAnticipator,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.datasets import make_kitchen

DATA = make_kitchen(10, 10, n_features=12, random_state=0)
CLIPS = make_kitchen(10, 10, n_steps=6, n_features=8, random_state=0)
X, Y = DATA.X_past, DATA.y


def anticipator(network=None, **params):
    return SmoothedAnticipator(
        MLP(8) if network is None else network,
        **{"max_epochs": 2, "random_state": 0, **params},
    )


@pytest.fixture(scope="module")
def pooled():
    return anticipator(prior=VerbNounPrior(DATA.actions)).fit(X, Y)


@pytest.fixture(scope="module")
def staged():
    spec = LSTM(8, anticipation_steps=4, anticipation_time=0.75)
    return anticipator(spec).fit(CLIPS.X_past, CLIPS.y)


class UserNetwork(NetworkSpec):
    """As a user would write it: plain modules, torch's global stream."""

    def __init__(self, p=0.5):
        self.p = p

    def build(self, input_shape, n_classes, *, generator):
        return _UserNetwork(input_shape[0], n_classes, self.p)


class _UserNetwork(nn.Module):
    def __init__(self, n_inputs, n_classes, p):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(p),
            nn.Linear(8, n_classes),
        )

    def forward(self, clips):
        return Output(self.layers(clips).unsqueeze(1))


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


def test_the_network_rests_on_the_cpu_without_gradients(pooled):
    for parameter in pooled.network_.parameters():
        assert parameter.device.type == "cpu"
        assert parameter.grad is None
    assert not pooled.network_.training


# -------------------------------------------------------------- copies and files


def through_joblib(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


def through_a_memory_map(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib", mmap_mode="r")


def through_save(model, folder):
    model.save(folder / "model.safetensors")
    return skanticipate.load(
        folder / "model.safetensors", trusted=[UserNetwork, type(model)]
    )


ROUND_TRIPS = {
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "copy": lambda model, _: copy.copy(model),
    "joblib": through_joblib,
    "memory map": through_a_memory_map,
    "save": through_save,
}
MODELS = {
    "MLP": (anticipator(prior=MixturePrior([UniformPrior(), UniformPrior()])), X),
    "names": (anticipator(prior=VerbNounPrior()), X),
    "glove": (anticipator(prior=GloVePrior(DATA.actions, {"cut": [1.0, 2.0]})), X),
    "transitions": (anticipator(prior=TransitionPrior(DATA.actions)), X),
    "array": (anticipator(prior=np.full((20, 20), 0.05), classes=np.arange(20)), X),
    "LSTM": (anticipator(LSTM(8, anticipation_steps=2, dropout=0.2)), CLIPS.X_past),
    "GRU": (anticipator(LSTM(8, cell="gru"), dtype="float32"), CLIPS.X_past),
    "head": (anticipator(MLP(8, head=VerbNounHead(DATA.actions))), X),
    "stages": (
        anticipator(LSTM(8, head=VerbNounHead(DATA.actions), anticipation_steps=2)),
        CLIPS.X_past,
    ),
    "RULSTM": (anticipator(RULSTM(8, anticipation_steps=2)), CLIPS.X_past),
    "AVT": (anticipator(AVTHead(8, n_heads=2, n_layers=1)), CLIPS.X_past),
    "probe": (anticipator(AttentiveProbe(8, n_heads=2)), CLIPS.X_past),
    "user": (anticipator(UserNetwork()), X),
    "schedule": (anticipator(lr_schedule=CosineSchedule(warmup_epochs=1)), X),
    "wide": (anticipator(MLP(300)), X),
}


@pytest.mark.filterwarnings("ignore:No word vector for")
@pytest.mark.parametrize("way", ROUND_TRIPS)
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_answers_the_same_to_the_bit(name, way, tmp_path):
    model, clips = MODELS[name]
    y = np.array([" ".join(DATA.actions[label]) for label in Y])
    model = clone(model).fit(clips, y if name == "names" else Y, y_past=DATA.y_past)
    again = ROUND_TRIPS[way](model, tmp_path)
    assert again.predict_proba(clips).tobytes() == model.predict_proba(clips).tobytes()
    assert_array_equal(again.classes_, model.classes_)
    assert again.classes_.dtype == model.classes_.dtype
    assert again.history_ == model.history_
    assert vars(again).keys() == vars(model).keys()
    if way != "memory map":  # whose arrays say that they are mapped
        assert repr(again) == repr(model)
    again.fit(clips, y if name == "names" else Y, y_past=DATA.y_past)
    assert again.predict_proba(clips).tobytes() == model.predict_proba(clips).tobytes()


def test_a_copy_shares_no_weights(pooled):
    before = pooled.predict_proba(X)
    for again in (copy.copy(pooled), copy.deepcopy(pooled)):
        with torch.no_grad():
            for parameter in again.network_.parameters():
                parameter.zero_()
    assert_array_equal(pooled.predict_proba(X), before)


def test_a_clone_is_unfitted_and_fits_alike(pooled):
    unfitted = clone(pooled)
    assert not hasattr(unfitted, "network_")
    assert_array_equal(unfitted.fit(X, Y).predict_proba(X), pooled.predict_proba(X))


def test_a_pickle_holds_no_torch_storage(pooled, staged):
    for model in (pooled, staged):
        names = [
            str(argument)
            for code, argument, _ in pickletools.genops(pickle.dumps(model, 2))
            if code.name in ("GLOBAL", "STACK_GLOBAL")
        ]
        assert names
        assert not [name for name in names if name.startswith("torch")]


def test_a_file_opens_in_another_process(pooled, tmp_path):
    path = tmp_path / "model.safetensors"
    pooled.save(path)
    np.save(tmp_path / "X.npy", X)
    code = (
        "import sys, numpy as np, skanticipate; "
        "model = skanticipate.load(sys.argv[1]); "
        "np.save(sys.argv[3], model.predict_proba(np.load(sys.argv[2])))"
    )
    files = [str(path), str(tmp_path / "X.npy"), str(tmp_path / "proba.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    assert_array_equal(np.load(files[2]), pooled.predict_proba(X))


def test_a_file_does_not_build_what_is_not_trusted(tmp_path):
    path = tmp_path / "model.safetensors"
    anticipator(UserNetwork()).fit(X, Y).save(path)
    with pytest.raises(ValueError, match=r"UserNetwork.*trusted="):
        skanticipate.load(path)


def test_a_file_that_is_none_of_ours_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not at all")
    with pytest.raises(ValueError, match="no readable safetensors file"):
        skanticipate.load(path)
    with pytest.raises(FileNotFoundError):
        skanticipate.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    "params",
    [
        {"classes": range(20)},
        {"device": torch.device("cpu")},
        {"random_state": np.random.RandomState(0)},
        {"network": MLP(np.int64(8)), "max_epochs": np.int64(1)},
        {"class_weight": {np.int64(0): 2.0}},
        {"prior": VerbNounPrior({np.int64(k): v for k, v in DATA.actions.items()})},
    ],
    ids=["classes", "device", "random_state", "numpy", "class_weight", "actions"],
)
def test_parameters_of_other_kinds_can_be_saved(params, tmp_path):
    model = anticipator(**params).fit(X, Y)
    again = through_save(model, tmp_path)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.fit(X, Y).n_iter_ == model.n_iter_


def test_a_model_with_callbacks_can_be_saved(tmp_path):
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = anticipator().set_callbacks(monitor).fit(X, Y)
    again = through_save(model, tmp_path)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


# ------------------------------------------------------------- networks of users


def test_a_network_of_plain_modules_works_and_is_reproducible():
    stream = torch.get_rng_state()
    one = anticipator(UserNetwork()).fit(X, Y)
    torch.manual_seed(123)
    other = anticipator(UserNetwork()).fit(X, Y)
    assert one.predict_proba(X).tobytes() == other.predict_proba(X).tobytes()
    assert one.predict_proba(X).tobytes() == one.predict_proba(X).tobytes()
    torch.set_rng_state(stream)


def test_a_network_of_plain_modules_leaves_the_global_stream_alone():
    stream = torch.get_rng_state()
    model = anticipator(UserNetwork()).fit(X, Y)
    model.predict(X)
    copy.deepcopy(model)
    assert torch.equal(torch.get_rng_state(), stream)


def test_dropout_of_a_user_is_active_in_training_only():
    full = anticipator(UserNetwork(0.0)).fit(X, Y)
    dropped = anticipator(UserNetwork(0.5)).fit(X, Y)
    assert not np.array_equal(full.predict_proba(X), dropped.predict_proba(X))


def test_buffers_travel_with_the_weights():
    model = anticipator(UserNetwork()).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    for one, other in zip(
        model.network_.buffers(), again.network_.buffers(), strict=True
    ):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


class WrongNetwork(NetworkSpec):
    def __init__(self, fault):
        self.fault = fault

    def build(self, input_shape, n_classes, *, generator):
        return _WrongNetwork(self.fault, input_shape[0], n_classes)


class _WrongNetwork(nn.Module):
    def __init__(self, fault, n_inputs, n_classes):
        super().__init__()
        self.fault = fault
        width = n_classes - 1 if fault == "classes" else n_classes
        self.layer = nn.Linear(n_inputs, width)

    def forward(self, clips):
        logits = self.layer(clips)
        if self.fault == "tensor":
            return logits
        return Output(logits if self.fault == "stage" else logits.unsqueeze(1))


@pytest.mark.parametrize("fault", ["tensor", "stage", "classes"])
def test_a_network_that_answers_in_another_form_is_explained(fault):
    with pytest.raises((TypeError, ValueError), match=r"Output|\(B, S, C\)"):
        anticipator(WrongNetwork(fault)).fit(X, Y)


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
