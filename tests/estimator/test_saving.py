import copy
import pickle
import pickletools
from collections import deque

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from alone import run_alone
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_models import CLIPS, DATA, X, Y, anticipator, pooled_model, staged_model
from user_network import UserNetwork

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    ArrayPrior,
    AttentiveProbe,
    AVTHead,
    CosineSchedule,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    GloVePrior,
    MixturePrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)


@pytest.fixture(scope="module")
def pooled():
    return pooled_model()


@pytest.fixture(scope="module")
def staged():
    return staged_model()


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
    "encoder-decoder": (
        anticipator(EncoderDecoderLSTM(8, anticipation_steps=2)),
        CLIPS.X_past,
    ),
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


@pytest.mark.parametrize("kind", ["series", "index"])
def test_actions_of_pandas_keep_their_labels(kind, tmp_path):
    labels, pairs = np.unique(Y), DATA.actions
    actions = pd.Series(pairs)
    if kind == "index":
        rows = pd.Index(labels, name="label")
        actions = pd.DataFrame(
            [pairs[label] for label in labels], rows, columns=["verb", "noun"]
        )
    plain, given = (
        anticipator(prior=TransitionPrior(known)).fit(X, Y, y_past=DATA.y_past)
        for known in (pairs, actions)
    )
    given.save(tmp_path / "model")
    again = skanticipate.load(tmp_path / "model").fit(X, Y, y_past=DATA.y_past)
    assert again.predict_proba(X).tobytes() == plain.predict_proba(X).tobytes()


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
    run_alone(code, *files)
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


@pytest.mark.parametrize(
    "kind", ["M8[D]", "M8[s]", "M8[us]", "M8[ns]", "M8[Y]", ">M8[D]", "m8[s]", "m8"]
)
def test_labels_that_are_dates_or_times_are_kept_in_any_unit(kind, tmp_path):
    y = (np.arange(len(Y)) % 3).astype(kind)
    folder = tmp_path / "checkpoint"
    fits = [anticipator(checkpoint=folder).fit(X, y) for _ in range(2)]
    assert len(list(folder.iterdir())) == 1
    again = through_save(fits[0], tmp_path)
    assert again.classes_.dtype == fits[0].classes_.dtype
    assert again.classes_.tolist() == np.unique(y).tolist()
    assert_array_equal(again.predict(X), fits[1].predict(X))


NAMES = ["cut onion", "take pan", "wash pan"]
TABLE = pd.DataFrame(
    {"label": NAMES, "verb": ["cut", "take", "wash"], "noun": ["onion", "pan", "pan"]}
)
RECORDS = np.rec.fromrecords(TABLE.to_numpy().tolist(), names=list(TABLE))
MATRIX = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0.5, 0, 0.5]])
NAMED = pd.DataFrame(MATRIX, NAMES, NAMES)


def strings_of_numpy(names):
    """Strings of their own kind, which numpy has from version 2 on."""
    kind = getattr(np.dtypes, "StringDType", None)
    return np.array(names, dtype="U" if kind is None else kind())


@pytest.mark.parametrize(
    "params",
    [
        {"classes": strings_of_numpy(NAMES)},
        {"classes": pd.Index(NAMES)},
        {"classes": TABLE.label.unique()},
        {"classes": pd.array(NAMES, dtype="string")},
        {"classes": pd.Categorical(NAMES)},
        {"classes": deque(NAMES)},
        {"prior": VerbNounPrior(np.array(RECORDS))},
        {"prior": VerbNounPrior(RECORDS)},
        {"prior": VerbNounPrior(TABLE.set_index("label"))},
        {"prior": ArrayPrior(NAMED, NAMES)},
        {"prior": ArrayPrior(torch.tensor(MATRIX), NAMES)},
        {"prior": NAMED, "classes": NAMES},
        {"unlabeled_label": pd.NaT},
        {"unlabeled_label": np.datetime64("NaT")},
    ],
    ids=lambda params: "-".join(type(value).__name__ for value in params.values()),
)
def test_parameters_of_any_library_can_be_saved_and_kept(params, tmp_path):
    y = np.array(NAMES)[np.arange(len(X)) % 3]
    checkpoint = tmp_path / "checkpoint"
    model = anticipator(smoothing=0.3, checkpoint=checkpoint, **params).fit(X, y)
    again = through_save(model, tmp_path)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    again.set_params(checkpoint=None).fit(X, y)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert len(list(checkpoint.iterdir())) == 1


@pytest.mark.parametrize("kind", ["V4", "c16", "S3"])
def test_what_could_not_be_read_again_is_not_written(kind, tmp_path):
    model = anticipator().fit(X, Y)
    model.note_ = np.zeros(0, kind)
    with pytest.raises(TypeError, match="note_"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_what_is_asked_for_of_others_stays_asked_for(tmp_path):
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight="weight")
        model = anticipator().set_fit_request(sample_weight="weight", groups=False)
        model.set_score_request(sample_weight=True)
        pipeline = make_pipeline(scaler, model)
        weights = np.arange(len(Y)) + 1.0
        expected = pipeline.fit(X, Y, weight=weights).predict_proba(X)
        skanticipate.save(pipeline, tmp_path / "model")
        again = skanticipate.load(tmp_path / "model")
        told = [repr(step.get_metadata_routing()) for step in again]
        assert told == [repr(step.get_metadata_routing()) for step in pipeline]
        assert_array_equal(again.predict_proba(X), expected)
        again.fit(X, Y, weight=weights)
        assert_array_equal(again.predict_proba(X), expected)


def test_a_teacher_that_asks_for_weights_can_be_kept(tmp_path):
    with config_context(enable_metadata_routing=True):
        teacher = GaussianNB().set_fit_request(sample_weight=True)
        model = DistilledAnticipator(
            MLP(4), teacher=teacher, max_epochs=1, teacher_cache=tmp_path / "cache"
        )
        model.set_params(
            teacher_weight=1.0, checkpoint=tmp_path / "checkpoint", random_state=0
        )
        given = {"X_future_unlabeled": X, "sample_weight": np.arange(len(Y)) + 1.0}
        fits = [clone(model).fit(X, Y, **given) for _ in range(2)]
    names = [path.name for path in (tmp_path / "cache").iterdir()]
    assert sum(name.endswith("teacher.safetensors") for name in names) == 1
    assert len(list((tmp_path / "checkpoint").iterdir())) == 1
    assert_array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))


def test_a_model_with_callbacks_can_be_saved(tmp_path):
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = anticipator().set_callbacks(monitor).fit(X, Y)
    again = through_save(model, tmp_path)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_trusted_classes_come_in_a_list(pooled, tmp_path):
    pooled.save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"got the class MLP: pass \[MLP\]"):
        skanticipate.load(tmp_path / "model", trusted=MLP)
    for others in (None, "MLP", ["MLP"], [MLP(8)], MLP(8), 3):
        with pytest.raises(TypeError, match="trusted must be a list of classes"):
            skanticipate.load(tmp_path / "model", trusted=others)
