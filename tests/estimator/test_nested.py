"""A wrong parameter of a nested estimator gives the error that it gives alone."""

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from skanticipate import (
    LSTM,
    MLP,
    ArrayPrior,
    CosineSchedule,
    DistilledAnticipator,
    FocalLoss,
    GloVePrior,
    HistoryTeacher,
    LateFusion,
    MarginalLoss,
    MixturePrior,
    ModalityAttention,
    RecognitionTeacher,
    SmoothedAnticipator,
    StepSchedule,
    TeacherEnsemble,
    TemporalPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.training.schedules import StretchedSchedule

X = np.random.default_rng(0).normal(size=(24, 4))
Y = np.arange(24) % 3
QUICK = {"max_epochs": 1, "random_state": 0}
WRONG = SmoothedAnticipator(MLP(4), optimizer="adam", lr=-1.0, smoothing=1.7, **QUICK)
SLOPE = StepSchedule(factor=-1.0)


def distilled(**params):
    return DistilledAnticipator(MLP(4), **QUICK, **params)


def smoothed(network=None, **params):
    return SmoothedAnticipator(network or MLP(4), **QUICK, **params)


NESTED = {
    "teacher": (distilled(teacher=WRONG), WRONG),
    "teacher in a pipeline": (
        distilled(teacher=make_pipeline(StandardScaler(), WRONG)),
        WRONG,
    ),
    "teacher of others": (
        distilled(teacher=LogisticRegression(C=-1.0)),
        LogisticRegression(C=-1.0),
    ),
    "step before a teacher": (
        distilled(teacher=make_pipeline(StandardScaler(with_mean="x"), MLP(4))),
        StandardScaler(with_mean="x"),
    ),
    "member": (
        distilled(teacher=TeacherEnsemble([RecognitionTeacher(), WRONG])),
        WRONG,
    ),
    "member alone": (TeacherEnsemble([RecognitionTeacher(), WRONG]), WRONG),
    "member of a fusion": (
        LateFusion([("a", distilled(), (0, 2)), ("b", WRONG, (2, 4))]),
        WRONG,
    ),
    "text teacher": (
        distilled(text_teacher=HistoryTeacher(order=0)),
        HistoryTeacher(order=0),
    ),
    "schedule": (smoothed(lr_schedule=SLOPE), SLOPE),
    "stretched schedule": (
        smoothed(lr_schedule=StretchedSchedule(SLOPE, 2.0)),
        SLOPE,
    ),
    "schedule of a teacher": (
        distilled(teacher=RecognitionTeacher(lr_schedule=SLOPE)),
        SLOPE,
    ),
    "network": (smoothed(MLP(4, dropout=2.0)), MLP(4, dropout=2.0)),
    "branch": (
        smoothed(ModalityAttention([("a", LSTM(0), (0, 2)), ("b", LSTM(4), (2, 4))])),
        LSTM(0),
    ),
    "prior": (
        smoothed(prior=TemporalPrior("backwards")),
        TemporalPrior("backwards"),
    ),
    "part of a prior": (
        smoothed(prior=MixturePrior([VerbNounPrior(), GloVePrior(power=-1.0)])),
        GloVePrior(power=-1.0),
    ),
    "prior of no weight": (
        smoothed(prior=TemporalPrior(strength=-1), smoothing=0.0),
        TemporalPrior(strength=-1),
    ),
    "loss": (smoothed(loss=FocalLoss(gamma=-1)), FocalLoss(gamma=-1)),
    "loss of a teacher": (
        distilled(teacher=RecognitionTeacher(loss=FocalLoss(alpha=1.5))),
        FocalLoss(alpha=1.5),
    ),
    "loss of a member": (
        LateFusion([("a", smoothed(loss=FocalLoss(True)), (0, 2))]),
        FocalLoss(True),
    ),
    "marginal loss": (
        smoothed(marginal_loss=MarginalLoss(verb_weight=-1.0)),
        MarginalLoss(verb_weight=-1.0),
    ),
    "marginal loss of a teacher": (
        distilled(
            teacher=RecognitionTeacher(marginal_loss=MarginalLoss(verb_weight="a"))
        ),
        MarginalLoss(verb_weight="a"),
    ),
}


@pytest.mark.parametrize("outer, inner", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("futures", [False, True])
def test_fit_gives_the_error_of_the_nested_estimator(outer, inner, futures):
    with pytest.raises(InvalidParameterError) as alone:
        inner._validate_params()
    given = (
        {} if isinstance(outer, TeacherEnsemble) else {"past_actions": X.astype(int)}
    )
    if futures and given:
        given["X_future_unlabeled"] = X
    with pytest.raises(InvalidParameterError) as nested:
        outer.fit(X, Y, **given)
    assert str(nested.value) == str(alone.value)
    assert not [name for name in vars(outer) if name.endswith("_")]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: Pipeline([("scale", StandardScaler()), ("model", model)]),
        lambda model: GridSearchCV(model, {"batch_size": [8]}, cv=2),
    ],
)
def test_in_pipelines_and_searches_too(wrap):
    with pytest.raises(ValueError, match="'lr' parameter of SmoothedAnt"):
        wrap(distilled(teacher=WRONG)).fit(X, Y)


def test_what_is_frozen_is_not_looked_at_again():
    teacher = RecognitionTeacher(MLP(4), **QUICK).fit(X, Y)
    teacher.batch_size = 0  # says nothing of what it answers
    distilled(teacher=FrozenEstimator(teacher)).fit(X, Y, X)


def test_right_parameters_pass():
    smoothed(prior=MixturePrior([TemporalPrior()]), lr_schedule=CosineSchedule()).fit(
        X, Y, y_past=np.roll(Y, 1)
    )


# ------------------------------------------------------------- labels that are numbered

ACTIONS = {
    0: ("take", "cup"),
    1: ("wash", "cup"),
    2: ("cut", "leek"),
    3: ("wash", "pan"),
    4: ("cut", "tomato"),
}
EVEN = 2 * Y  # labels 0, 2 and 4
NUMBERED = "show an estimator 0, 1, ..."
KNOWING = {
    "sequences": {"prior": TemporalPrior(sequences=[[0, 2, 4, 2]])},
    "matrix": {"prior": ArrayPrior(np.full((4, 4), 0.25), [0, 1, 2, 4])},
    "numbers that were floats": {
        "prior": VerbNounPrior({float(k): pair for k, pair in ACTIONS.items()})
    },
    "prior": {"prior": VerbNounPrior(ACTIONS)},
    "mixture": {"prior": MixturePrior([VerbNounPrior(ACTIONS)])},
    "head": {"network": MLP(4, head=VerbNounHead(ACTIONS))},
    "marginal loss": {"marginal_loss": MarginalLoss(ACTIONS)},
    "table": {
        "prior": VerbNounPrior(
            {
                "label": list(ACTIONS),
                "verb": [verb for verb, _ in ACTIONS.values()],
                "noun": [noun for _, noun in ACTIONS.values()],
            }
        )
    },
}


@pytest.mark.parametrize("params", KNOWING.values(), ids=KNOWING)
def test_labels_that_look_numbered_are_told_of(params):
    model = smoothed(**params)
    with pytest.warns(UserWarning, match="numbered anew"):
        model.fit(X, Y)
    model.set_params(classes=[0, 1, 2]).fit(X, Y)  # said to be the labels


@pytest.mark.parametrize("params", KNOWING.values(), ids=KNOWING)
def test_labels_that_are_keys_say_nothing(params):
    if "matrix" not in str(params):  # whose labels are others
        smoothed(**params).fit(X, EVEN)


def test_a_table_of_just_these_labels_is_silent():
    smoothed(prior=VerbNounPrior({k: ACTIONS[k] for k in range(3)})).fit(X, Y)
    names = {"cut onion": ("cut", "onion"), **{k: ACTIONS[k] for k in range(3)}}
    smoothed(prior=VerbNounPrior(names)).fit(X, Y)


def test_a_text_teacher_tells_of_it_too():
    past = EVEN.reshape(-1, 1)
    with pytest.warns(UserWarning, match="numbered anew"):
        HistoryTeacher(ACTIONS, n_networks=1, max_epochs=1).fit(past, Y)
    with pytest.warns(UserWarning, match="numbered anew"):
        distilled(text_teacher=HistoryTeacher(ACTIONS)).fit(X, Y, past_actions=past)


WRAPPERS = {
    "bagging": lambda model: BaggingClassifier(model, n_estimators=1).fit(X, EVEN),
    "voting": lambda model: VotingClassifier([("a", model)], voting="soft").fit(
        X, EVEN
    ),
    "stacking": lambda model: StackingClassifier([("a", model)], cv=2).fit(X, EVEN),
    "cross_val_predict": lambda model: cross_val_predict(
        model, X, EVEN, cv=2, method="predict_proba"
    ),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_that_number_labels_are_told_of(wrap):
    with pytest.warns(UserWarning, match=NUMBERED):
        wrap(smoothed(prior=VerbNounPrior(ACTIONS), smoothing=0.5))


def test_keys_that_are_numbers_of_the_classes_give_the_right_rows():
    keyed = {k: ACTIONS[label] for k, label in enumerate([0, 2, 4])}
    model = smoothed(prior=VerbNounPrior(keyed), smoothing=0.5)
    bag = BaggingClassifier(model, n_estimators=1, bootstrap=False).fit(X, EVEN)
    by_hand = [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]  # leek and tomato are cut
    np.testing.assert_allclose(bag.estimators_[0].prior_.matrix_, by_hand)


# ------------------------------------------------------------- True is no number


@pytest.mark.parametrize(
    "params",
    [
        {"n_threads": True},
        {"max_epochs": True},
        {"batch_size": True},
        {"lr": True},
        {"network": MLP(True)},
        {"network": LSTM(True)},
        {"lr_schedule": StepSchedule(factor=True)},
        {"text_teacher": HistoryTeacher(order=True)},
        {"teacher": RecognitionTeacher(max_epochs=True)},
        {"prior": TemporalPrior(strength=True)},
    ],
    ids=str,
)
def test_true_is_no_number(params):
    with pytest.raises(InvalidParameterError, match="Got True instead"):
        distilled().set_params(**params).fit(X, Y)


@pytest.mark.parametrize("n_threads", [2**31, 1025])
def test_threads_that_no_machine_starts_are_refused_and_later_fits_go_on(n_threads):
    with pytest.raises(InvalidParameterError, match=r"in the range \[1, 1024\]"):
        smoothed(n_threads=n_threads).fit(X, Y)
    smoothed().fit(X, Y)
