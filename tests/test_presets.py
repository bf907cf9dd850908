"""Every number of the papers' settings, and that the settings train."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from skanticipate import (
    RULSTM,
    AVTHead,
    BatchedGridSearchCV,
    CosineSchedule,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    HistoryTeacher,
    InceptionTail,
    LanguageTeacher,
    MultiStepSchedule,
    RecognitionTeacher,
    SmoothedAnticipator,
    StepSchedule,
    VerbNounPrior,
    presets,
)
from skanticipate.datasets import make_kitchen
from skanticipate.plotting import AnticipationCurveDisplay

# What METHODS calls unknown is ours, and stands in the last lines of each.
SETTINGS = {
    "tran2019_jhmdb": {
        "max_epochs": 80,
        "optimizer": "sgd",
        "momentum": 0.9,
        "lr": 0.01,
        "weight_decay": 1e-5,
        "teacher__max_epochs": 80,
        "teacher__optimizer": "sgd",
        "teacher__momentum": 0.9,
        "teacher__lr": 0.01,
        "teacher__weight_decay": 1e-5,
        "alignment": "weak",
        "alpha": None,  # 1 / sqrt(d)
        "temperature": 1.0,
        "teacher_weight": 0.0,
        "smoothing": 0.0,
        "network__width": 1.0,
        "network__dropout": 0.5,
        "network__crop_size": 14,
        "nesterov": False,
        "batch_size": 32,
        "feature_weight": 0.1,
        "unlabeled_fraction": None,
    },
    "tran2019_epic": {
        "max_epochs": 30,
        "optimizer": "sgd",
        "momentum": 0.9,
        "lr": 0.001,
        "weight_decay": 1e-5,
        "batch_size": 32,
        "teacher__max_epochs": 30,
        "teacher__optimizer": "sgd",
        "teacher__momentum": 0.9,
        "teacher__lr": 0.1,
        "teacher__weight_decay": 1e-5,
        "alignment": "weak",
        "alpha": None,
        "temperature": 1.0,
        "teacher_weight": 0.0,
        "smoothing": 0.0,
        "network__width": 1.0,
        "network__dropout": 0.5,
        "network__crop_size": 14,
        "nesterov": False,
        "teacher__batch_size": 32,
        "feature_weight": 0.1,
        "unlabeled_fraction": None,
    },
    "camporese2020_lstm": {
        "network__time_step": 0.25,
        "network__anticipation_steps": 8,
        "network__anticipation_time": 1.0,
        "network__hidden_size": 1024,
        "network__dropout": 0.8,
        "max_epochs": 100,
        "batch_size": 128,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "smoothing": 0.1,
    },
    "camporese2020_rulstm": {
        "network__hidden_size": 1024,
        "network__dropout": 0.8,
        "network__time_step": 0.25,
        "network__anticipation_steps": 8,
        "network__anticipation_time": 1.0,
        "network__pretrain_epochs": 100,
        "max_epochs": 200,
        "batch_size": 128,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0,
        "lr_schedule": None,
        "early_stopping": True,
        "scoring": "top_5_accuracy",
        "n_iter_no_change": 200,
        "smoothing": 0.1,
    },
    "ghosh2022_egtea": {
        "network__inner_size": 2048,
        "network__n_layers": 2,
        "network__n_heads": 4,
        "network__dropout": 0.8,
        "network__layer_dropout": 0.1,
        "network__attention_dropout": 0.1,
        "network__future_feature_weight": 1.0,
        "network__past_weight": 0.1,
        "optimizer": "sgd",
        "nesterov": True,
        "lr": 1e-3,
        "weight_decay": 1e-6,
        "max_epochs": 15,
        "batch_size": 64,
        "lr_schedule__warmup_epochs": 0,
        "text_temperature": 10.0,
        "text_top_k": None,
        "momentum": 0.9,
        "smoothing": 0.0,
    },
    "ghosh2022_epic55": {
        "network__inner_size": 2048,
        "network__n_layers": 12,
        "network__n_heads": 8,
        "network__dropout": 0.8,
        "network__layer_dropout": 0.1,
        "network__attention_dropout": 0.1,
        "network__future_feature_weight": 2.0,
        "network__past_weight": 0.0,
        "optimizer": "adam",
        "lr": 5e-6,
        "weight_decay": 1e-4,
        "max_epochs": 20,
        "batch_size": 32,
        "lr_schedule__warmup_epochs": 0,
        "text_temperature": 5.0,
        "text_top_k": 50,
        "smoothing": 0.0,
    },
}


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [(n, p, v) for n, own in SETTINGS.items() for p, v in own.items()],
)
def test_a_number_is_the_papers(name, parameter, value):
    found = getattr(presets, name)().get_params()[parameter]
    assert found == value and type(found) is type(value)


def test_all_presets_are_looked_at():
    assert set(presets.__all__) == set(SETTINGS)


def rates(schedule, lr, epochs, max_epochs):
    return [lr * schedule.share(epoch, max_epochs) for epoch in epochs]


def test_rates_fall_as_in_the_papers():
    jhmdb, epic = presets.tran2019_jhmdb(), presets.tran2019_epic()
    for model in (jhmdb, jhmdb.teacher):
        found = rates(model.lr_schedule, model.lr, (0, 19, 20, 79), 80)
        assert_allclose(found, [0.01, 0.01, 0.001, 0.001])
    found = rates(epic.lr_schedule, epic.lr, (0, 19, 20, 29), 30)
    assert_allclose(found, [1e-3, 1e-3, 1e-4, 1e-4])
    found = rates(epic.teacher.lr_schedule, epic.teacher.lr, range(0, 30, 5), 30)
    assert_allclose(found, [10.0**-k for k in range(1, 7)])
    for name, lr, last in (("egtea", 1e-3, 15), ("epic55", 5e-6, 20)):
        model = getattr(presets, f"ghosh2022_{name}")()
        found = rates(model.lr_schedule, model.lr, (0, last / 2, last), last)
        assert_allclose(found, [lr, lr / 2, 0], atol=1e-12)


def test_weights_of_texts_are_lambda_by_the_number_of_classes():
    assert presets.ghosh2022_egtea().text_weight == pytest.approx(150 / 106, abs=5e-4)
    assert presets.ghosh2022_epic55().text_weight == 20 / 50


LANGUAGE = {
    "ghosh2022_egtea": {
        "verb_weight": 0.1,
        "noun_weight": 0.1,
        "max_epochs": 6,
        "class_weight": "balanced",
        "noun_order": "reading",
    },
    "ghosh2022_epic55": {
        "verb_weight": 0.15,
        "noun_weight": 0.15,
        "max_epochs": 8,
        "class_weight": None,
        "noun_order": "head_first",
    },
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_text_models_are_fine_tuned_as_in_the_papers_code(name):
    teacher = getattr(presets, name)("folder", {0: ("cut", "leek")}).text_teacher
    expected = LANGUAGE[name] | {
        "model": "folder",
        "actions": {0: ("cut", "leek")},
        "template": "{verb} <v> {noun}",
        "separator": " <a> ",
        "freeze": False,
        "pooling": "first",
        "max_length": 512,
        "batch_size": 16,
        "lr": 1e-5,
        "weight_decay": 1e-7,
    }
    found = teacher.get_params()
    assert isinstance(teacher, LanguageTeacher)
    assert {name: found[name] for name in expected} == expected
    assert isinstance(getattr(presets, name)().text_teacher, HistoryTeacher)


KINDS = {
    "tran2019_jhmdb": (DistilledAnticipator, InceptionTail, MultiStepSchedule),
    "tran2019_epic": (DistilledAnticipator, InceptionTail, MultiStepSchedule),
    "camporese2020_lstm": (SmoothedAnticipator, EncoderDecoderLSTM, type(None)),
    "camporese2020_rulstm": (SmoothedAnticipator, RULSTM, type(None)),
    "ghosh2022_egtea": (DistilledAnticipator, AVTHead, CosineSchedule),
    "ghosh2022_epic55": (DistilledAnticipator, AVTHead, CosineSchedule),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name):
    model = getattr(presets, name)()
    found = type(model), type(model.network), type(model.lr_schedule)
    assert found == KINDS[name]
    assert clone(model).get_params().keys() == model.get_params().keys()


def test_student_and_teacher_of_tran_have_the_same_start():
    weights = {"Mixed_4b.b0.conv3d.weight": np.zeros((192, 480, 1, 1, 1))}
    for make in (presets.tran2019_jhmdb, presets.tran2019_epic):
        model = make(weights=weights)
        assert model.network.weights is weights
        assert model.teacher.network.weights is weights
        assert model.teacher.network is not model.network
        assert isinstance(model.teacher, RecognitionTeacher)
        assert model.init_from_teacher is False
        assert make().init_from_teacher == "auto"
    assert isinstance(model.teacher.lr_schedule, StepSchedule)  # of EPIC


@pytest.mark.parametrize("name", SETTINGS)
def test_any_parameter_can_be_given_and_no_other(name):
    make = getattr(presets, name)
    assert make(max_epochs=4).max_epochs == 4
    assert make(random_state=3, lr=1.0).get_params()["lr"] == 1.0
    assert make(network__dropout=0.25).network.dropout == 0.25
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        make(epochs=4)
    with pytest.raises(ValueError, match="Invalid parameter 'widht'"):
        make(network__widht=4)


def test_what_both_have_alike_is_given_to_both():
    model = presets.tran2019_epic(
        classes=range(125), max_epochs=3, network__width=0.1, lr=0.5, random_state=4
    )
    found = model.get_params()
    for name, value in {"max_epochs": 3, "network__width": 0.1}.items():
        assert found[name] == found[f"teacher__{name}"] == value
    assert model.classes == model.teacher.classes == range(125)
    assert model.lr == 0.5 and model.teacher.lr == 0.1  # unlike in the paper
    assert model.random_state == 4 and model.teacher.random_state is None
    own = presets.tran2019_jhmdb(lr=0.5, max_epochs=3, teacher__max_epochs=7)
    assert own.teacher.lr == 0.5 and own.teacher.max_epochs == 7


def test_parts_that_are_given_are_as_they_were_given():
    network = InceptionTail(0.1)
    model = presets.tran2019_epic(network=network)
    assert model.network is network and model.teacher.network is not network
    assert model.teacher.network.width == 0.1
    assert presets.tran2019_epic(classes=[0, 1], teacher=None).teacher is None
    with pytest.raises(ValueError, match="of a part that this estimator does not have"):
        presets.tran2019_epic(text_teacher__lr=0.1)


def test_sequences_are_completed_in_half_of_the_epochs():
    assert presets.camporese2020_rulstm(max_epochs=7).network.pretrain_epochs == 3
    with_own = presets.camporese2020_rulstm(max_epochs=7, network__pretrain_epochs=1)
    assert with_own.network.pretrain_epochs == 1


# --------------------------------------------------------------- in their true settings

ONE_EPOCH = {"max_epochs": 1, "random_state": 0}


def maps(n_steps, size):
    """12 pairs of maps of 480 channels, some without a label."""
    rng = np.random.default_rng(0)
    shape = (12, n_steps, size, size, 480)
    past, future = (np.abs(rng.normal(size=shape)).astype(np.float32) for _ in "pf")
    y = np.arange(12) % 3
    return past, np.where(np.arange(12) % 5 == 4, -1, y), future


@pytest.mark.parametrize("name", ["tran2019_jhmdb", "tran2019_epic"])
def test_tran_fits_and_searches(name):
    past, y, future = maps(2, 3)
    model = getattr(presets, name)(**ONE_EPOCH)
    groups = np.arange(12) // 2
    fold = GroupShuffleSplit(1, test_size=0.5, random_state=0)
    search = BatchedGridSearchCV(model, {"alpha": [None, 0.5]}, cv=fold)
    search.fit(past, y, X_future_unlabeled=future, groups=groups)
    assert search.predict_proba(past).shape == (12, 3)
    assert set(search.best_estimator_.history_[0]) >= {"base", "feature"}


LARGE = [pytest.mark.slow, pytest.mark.large]
CAMPORESE = ["camporese2020_lstm", "camporese2020_rulstm"]


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [(name, {"network__hidden_size": 64}) for name in CAMPORESE]
    + [pytest.param(name, {}, marks=LARGE) for name in CAMPORESE],
)
def test_camporese_fits_and_searches(name, sizes):
    kitchen = make_kitchen(4, 4, n_steps=14, n_features=16, random_state=0)
    model = getattr(presets, name)(
        VerbNounPrior(kitchen.actions), max_epochs=2, random_state=0, **sizes
    )
    search = BatchedGridSearchCV(model, {"smoothing": [0.0, 0.2]}, cv=GroupKFold(2))
    search.set_params(estimator__classes=sorted(kitchen.actions))
    search.fit(kitchen.X_past, kitchen.y, groups=kitchen.groups)
    stages = list(search.best_estimator_.staged_predict_proba(kitchen.X_past))
    assert len(stages) == 8
    assert_allclose(search.best_estimator_.predict_proba(kitchen.X_past), stages[4])


GHOSH = ["ghosh2022_egtea", "ghosh2022_epic55"]  # 101 and 604 million weights


@pytest.mark.parametrize(
    ("name", "sizes"),
    [(name, {"network__inner_size": 64}) for name in GHOSH]
    + [pytest.param(name, {}, marks=LARGE) for name in GHOSH],
)
def test_ghosh_fits_and_searches(name, sizes):
    kitchen = make_kitchen(3, 6, n_steps=10, n_features=16, random_state=0)
    model = getattr(presets, name)(
        actions=kitchen.actions, classes=range(60), **sizes, **ONE_EPOCH
    )
    y_past = np.repeat(kitchen.y_past[:, None], 10, axis=1)
    search = BatchedGridSearchCV(model, {"text_weight": [0.0, 1.0]}, cv=GroupKFold(2))
    search.fit(
        kitchen.X_past,
        kitchen.y,
        groups=kitchen.groups,
        past_actions=kitchen.past_actions,
        y_past=y_past,
    )
    assert search.predict_proba(kitchen.X_past).shape == (18, 60)
    names = set(search.best_estimator_.history_[0])
    assert ("past" in names) == (name == "ghosh2022_egtea")


@pytest.mark.slow
@pytest.mark.large
def test_a_batch_of_epics_size():
    shape = (32, 8, 16, 29, 480)  # maps of I3D's MaxPool3d_4a_3x3
    rng = np.random.default_rng(0)
    past, future = (rng.random(shape, dtype=np.float32) for _ in "pf")
    y = np.where(np.arange(32) < 16, np.arange(32) % 125, -1)
    model = presets.tran2019_epic(classes=range(125), **ONE_EPOCH)
    model.fit(past, y, future, groups=np.arange(32) // 2)
    assert model.feature_map(past[:1]).shape == (1, 8 * 14 * 14, 832)
    assert model.predict_proba(past[:2]).shape == (2, 125)
    assert np.isfinite(model.history_[0]["feature"])


def test_accuracy_rises_towards_the_action_as_in_the_papers_tables():
    kitchen = make_kitchen(70, n_steps=14, noise=2.0, random_state=0)
    train, test = kitchen.groups < 45, kitchen.groups >= 50
    held_out = ~(train | test)
    model = presets.camporese2020_rulstm(
        VerbNounPrior(kitchen.actions),
        max_epochs=14,
        network__hidden_size=32,
        network__dropout=0.4,
        batch_size=32,
        lr=0.05,
        random_state=0,
    ).fit(
        kitchen.X_past[train],
        kitchen.y[train],
        X_val=kitchen.X_past[held_out],
        y_val=kitchen.y[held_out],
    )
    display = AnticipationCurveDisplay.from_estimator(
        {"verb-noun": model}, kitchen.X_past[test], kitchen.y[test], k=3
    )
    scores = np.ravel(display.scores["verb-noun"])
    assert_allclose(display.anticipation_times, np.arange(8, 0, -1) / 4)
    assert scores[-3:].mean() > scores[:3].mean() + 0.1
    assert display.to_markdown().splitlines()[-1].count(" | ") == 8
