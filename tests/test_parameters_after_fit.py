"""Parameters set after `fit`: what predictions use counts at once, all else is kept.

Of every public class with a `fit`, every parameter, nested ones too, is set between a
fit and a prediction: to other values that it may have, and to one that it may not.
What is in `_used_after_fit` of its class must give what a fit with it gives; all else,
what the fit gave before. An error in words is as good where the value is used.
"""

import copy
import tempfile
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _param_validation
from tiny_bert import NOUNS, VERBS, write_tiny_bert

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    ArrayPrior,
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    CosineSchedule,
    DistilledAnticipator,
    FocalLoss,
    GloVePrior,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    LanguageTeacher,
    LastAxisSlice,
    LateFusion,
    MarginalLoss,
    MixturePrior,
    ModalityAttention,
    PerFrame,
    RecognitionTeacher,
    ReplicaEnsemble,
    SmoothedAnticipator,
    TeacherEnsemble,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)

RNG = np.random.default_rng(0)
LABELS = [f"{verb} {noun}" for verb in VERBS[:2] for noun in NOUNS[:2]]
Y = np.array(LABELS * 9)
X = RNG.normal(size=(len(Y), 5, 3)).astype(np.float32)
X[:, :, 0] += np.arange(len(Y))[:, None] % 4
PAST = np.array([[LABELS[(k + j * j) % 4] for j in range(4)] for k in range(len(Y))])
CLASSES = np.unique(Y)
ACTIONS = {label: tuple(label.split()) for label in LABELS}
TURNED = {label: tuple(label.split()[::-1]) for label in LABELS}  # nouns as verbs
STAGES = {"time_step": 0.25, "anticipation_steps": 2, "anticipation_time": 0.25}
BERT, OTHER_BERT = (
    write_tiny_bert(tempfile.mkdtemp(), initializer_range=scale) for scale in (0.3, 0.2)
)
VECTORS = {word: RNG.normal(size=4) for word in (*VERBS, *NOUNS)}
QUARTERS = np.full((4, 4), 0.25, np.float32)


def smoothed(width=4, **params):
    spec = LSTM(width, **STAGES)
    return SmoothedAnticipator(spec, max_epochs=1, random_state=0, **params)


BRANCHES = [("a", RULSTM(3, **STAGES), (0, 2)), ("b", RULSTM(4, **STAGES), (2, None))]
MEMBERS = [("a", smoothed(), (0, 2)), ("b", smoothed(5), (1, None))]
GRID = {"smoothing": [0.0, 0.1]}
PRIORS = [UniformPrior(), VerbNounPrior(ACTIONS)]
MODELS = [
    smoothed(),
    SmoothedAnticipator(ModalityAttention(BRANCHES), max_epochs=1, random_state=0),
    DistilledAnticipator(LSTM(4, **STAGES), max_epochs=1, random_state=0),
    RecognitionTeacher(LSTM(4, head=VerbNounHead()), max_epochs=1, random_state=0),
    TeacherEnsemble([smoothed(), smoothed(5)], random_state=0),
    LateFusion(MEMBERS, weights=[1, 2]),
    ReplicaEnsemble(smoothed(), n_replicas=2, random_state=0),
    BatchedGridSearchCV(smoothed(), GRID, cv=2),
    BatchedRandomizedSearchCV(smoothed(), GRID, n_iter=2, random_state=0, cv=2),
    PerFrame(StandardScaler()),
    LastAxisSlice(0, 2),
    HistoryTeacher(ACTIONS, n_networks=1, hidden_size=4, max_epochs=1, random_state=0),
    HistoryTeacher(n_networks=0, order=4, random_state=0),
    LanguageTeacher(BERT, ACTIONS, max_epochs=1, random_state=0),
    HistoryEncoder(),
    HistoryEncoder(ACTIONS, "onehot"),
    HistoryText(ACTIONS),
    UniformPrior(),
    VerbNounPrior(ACTIONS),
    GloVePrior(ACTIONS, VECTORS),
    TemporalPrior(),
    TransitionPrior(ACTIONS),
    TransitionPrior(),
    ArrayPrior(QUARTERS, LABELS),
    MixturePrior(PRIORS, [1, 2]),
    MixturePrior([UniformPrior(), TemporalPrior(), TransitionPrior()]),
    VerbNounHead(ACTIONS),
]
# `score` reads the first, where no row of the fit had a marker; scikit-learn's search
# the other, without which it does not answer.
READ_ASIDE = {"unlabeled_label", "refit"}


def data_of(model):
    """What `fit` of a model takes."""
    if isinstance(model, HistoryTeacher | LanguageTeacher):
        return PAST, Y
    if isinstance(model, HistoryEncoder | HistoryText):
        return (PAST,)
    if hasattr(model, "terms"):
        return CLASSES, Y, PAST[:, -1]
    return (CLASSES,) if isinstance(model, VerbNounHead) else (X, Y)


METHODS = [
    "predict",
    "predict_proba",
    "staged_predict_proba",
    "feature_map",
    "transform",
    "score",
    "rows",
    "terms",
]


def answers(model):
    """All that a fitted model says, as a flat list of arrays."""
    if isinstance(model, VerbNounHead):
        module = model.build(2)
        return [module.verb_of.numpy(), module.noun_of.numpy()]
    if isinstance(model, LanguageTeacher):  # whose other answers are made of these
        return [model.predict_proba(PAST)]
    found, data = [], data_of(model)
    if getattr(model, "keyed_by_label", False):
        found.append(model.matrix_)
    for name in (method for method in METHODS if hasattr(model, method)):
        if name == "staged_predict_proba" and not hasattr(model, "predict_proba"):
            continue
        if name == "rows" and not hasattr(model, "matrix_"):
            continue
        given = {"score": data, "rows": data[1:], "terms": data[1:]}.get(name, data[:1])
        said = getattr(model, name)(*given)
        if name == "staged_predict_proba":
            found += said
        elif name == "terms":
            found += [np.asarray(part) for term in said for part in term]
        else:
            found.append(np.asarray(said))
    return found


def alike(found, others):
    return len(found) == len(others) and all(
        np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        for one, other in zip(found, others, strict=True)
    )


# --------------------------------------------------------------- values of parameters

OTHERS = {  # what the constraints of a parameter do not tell
    "actions": [TURNED, None],
    "average": ["proba", "max", "attention"],
    "checkpoint": [tempfile.mkdtemp()],
    "branches": [BRANCHES[::-1], BRANCHES[:1]],
    "class_weight": ["balanced", {LABELS[0]: 0.0}],
    "classes": [[*LABELS, "wash pan"], LABELS[::-1]],
    "cv": [3],
    "device": ["cpu"],
    "embedding": [8],
    "estimator": [smoothed(6), RecognitionTeacher(MLP(3))],
    "estimators": [MEMBERS[::-1], MEMBERS[:1], [*MEMBERS, ("c", smoothed(), (0, 1))]],
    "head": [VerbNounHead(), VerbNounHead(TURNED), None],
    "include_self": [True, False],
    "logit_adjustment": [1.0, 0.5],
    "loss": [FocalLoss()],
    "lr_schedule": [CosineSchedule()],
    "marginal_loss": [MarginalLoss()],
    "matrix": [np.eye(4, dtype=np.float32)],
    "model": [OTHER_BERT],
    "n_jobs": [1],
    "network": [None, MLP(3), LSTM(5)],
    "noun_order": ["reading"],
    "optimizer": ["sgd"],
    "param_distributions": [{"lr": [0.1]}],
    "param_grid": [{"lr": [0.1]}],
    "pre_dispatch": ["all"],
    "prior": [VerbNounPrior(TURNED)],
    "priors": [PRIORS[::-1], PRIORS[:1], [TemporalPrior(), *PRIORS], PRIORS * 2],
    "random_state": [1],
    "refit": [True, "accuracy"],
    "scoring": ["accuracy"],
    "separator": [" then "],
    "sequences": [[LABELS[::-1]]],
    "teacher": [smoothed()],
    "teacher_cache": [tempfile.mkdtemp()],
    "teachers": [[smoothed(5), smoothed()], [smoothed()]],
    "template": ["{noun} of {verb}"],
    "text_teacher": [HistoryTeacher()],
    "transformer": [StandardScaler(with_mean=False)],
    "unlabeled_label": [None, "none of them", LABELS[0]],
    "vectors": [{word: vector[::-1] for word, vector in VECTORS.items()}],
    "verbose": [1],
    "weights": [[2, 1], None, (0, 1), np.array([3.0, 1.0])],
    "a": [RULSTM(2)],
    "b": [MLP(3)],
}
NUMBERS = [1, 2, 3, 0.5, 0.25, 0]


def others_of(owner, name):
    """Other values of a parameter, most of them such as its owner allows."""
    value, found = getattr(owner, name, None), []
    for rule in getattr(owner, "_parameter_constraints", {}).get(name, []):
        if isinstance(rule, str) and rule == "boolean":
            found.append(not value)
        elif isinstance(rule, _param_validation.Interval):
            allowed = [n for n in NUMBERS if rule.is_satisfied_by(n) and n != value]
            found += allowed[:1]
        elif isinstance(rule, _param_validation.Options):
            found += [one for one in rule.options if one != value]
        elif rule is None and value is not None:
            found.append(None)
    return [*found, *OTHERS.get(name, [])]


def set_for_a_while(model, path, value, before):
    """What a fitted model says with another value than before: answers, or an error."""
    model.set_params(**{path: value})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return answers(model), None
    except (ValueError, TypeError, AttributeError) as error:
        return None, error
    finally:
        model.set_params(**{path: before})


def fitted(model, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(model).set_params(**params).fit(*data_of(model))


def used_by(model):
    return {*getattr(model, "_used_after_fit", ())}


every_model = pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: repr(model).partition("(")[0]
)


# ------------------------------------------------------------------------- the rule


def test_every_public_class_with_a_fit_is_here():
    public = map(skanticipate.__dict__.get, skanticipate.__all__)
    kinds = {kind for kind in public if isinstance(kind, type)}
    assert {type(model) for model in MODELS} == {k for k in kinds if hasattr(k, "fit")}


@every_model
def test_another_value_counts_at_once_or_not_before_another_fit(model):
    model = fitted(model)
    before, wrong = answers(model), []
    params = model.get_params()
    for path, own in params.items():
        above, _, name = path.rpartition("__")
        values = others_of(params.get(above, model), name)
        assert values, f"name another value of {path} in OTHERS"
        for value in values[:1] if "__" in path else values:
            found, error = set_for_a_while(model, path, value, own)
            if path in used_by(model) | READ_ASIDE:
                right = error is not None or alike(
                    found, answers(fitted(model, **{path: value}))
                )
            else:
                right = error is None and alike(found, before)
            if not right:
                wrong.append((path, value, error))
    assert not wrong
    assert alike(answers(model), before)


class Stranger(BaseEstimator):
    """Of no use as anything."""


@every_model
def test_a_value_that_cannot_be_is_refused_where_it_is_used(model):
    model = fitted(model)
    before = answers(model)
    for path, value in model.get_params().items():
        other = Stranger() if isinstance(value, BaseEstimator) else object()
        found, error = set_for_a_while(model, path, other, value)
        if path in used_by(model):
            assert isinstance(error, ValueError | TypeError)
            assert path in str(error)
        elif path in READ_ASIDE and error is not None:
            assert isinstance(error, ValueError | TypeError)
            assert path in str(error)
        else:
            assert error is None, path
            assert alike(found, before), path


WRONG = {
    "actions": [3, [["cut", "onion"]], dict.fromkeys(LABELS, "cut"), {}],
    "average": ["median", None, 1],
    "combine": ["mean", None, 1],
    "device": [None, 0],
    "form": ["one-hot", None],
    "logit_adjustment": [-1.0, np.nan, "1", None, True],
    "model": ["", None, 3],
    "n_threads": [0, 1.5, "1", True],
    "noun_order": ["head", None],
    "separator": [None, 1],
    "start": [3, -1, 0.5, None, True],
    "stop": [4, 0, "2", True],
    "template": ["{}", "{verb} {thing}", "{verb", "", None],
    "weights": [
        [1],
        [1, 2, 3],
        [-1, 2],
        [0, 0],
        [np.nan, 1],
        [1e308, 1e308],
        ["0.5", "1"],
        [b"1", 2],
        [None, 1],
        [1j, 1],
        [True, False],
        [10**400, 1],
        [[1], [2]],
        {"a": 1, "b": 2},
        "12",
        1.0,
    ],
}


@every_model
def test_values_that_are_refused_in_fit_are_refused_after_it(model):
    model = fitted(model)
    params = model.get_params(deep=False)
    for path in used_by(model):
        assert WRONG[path]
        for value in WRONG[path]:
            with pytest.raises((ValueError, TypeError)):
                fitted(model, **{path: value})
            found, error = set_for_a_while(model, path, value, params[path])
            assert found is None, (path, value)
            assert path in str(error), (path, value)


# -------------------------------------------------------------------------- of members


def told_by(model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict_proba(X)
    return [str(warning.message) for warning in caught]


def fusion():
    piped = make_pipeline(LastAxisSlice(0, 2), smoothed())
    inner = LateFusion([("a", smoothed(), (0, 1)), ("b", smoothed(5), (0, 2))])
    frozen = FrozenEstimator(fitted(smoothed()))
    members = {"a": smoothed(), "p": piped, "f": inner, "z": frozen}
    return fitted(LateFusion([(k, v, (0, None)) for k, v in members.items()]))


IN_FUSION = {
    "a__logit_adjustment": 1.0,
    "a__network__hidden_size": 6,
    "a__network__anticipation_time": 0.5,
    "a__network": RULSTM(2),
    "p__lastaxisslice__stop": 1,
    "p__smoothedanticipator__logit_adjustment": 1.0,
    "f__weights": [1, 2],
    "f__b__network__hidden_size": 6,
}


@pytest.mark.parametrize("path", IN_FUSION)
def test_what_counts_of_an_estimator_alone_is_told_of_as_a_member(path):
    model = fusion()
    (said,) = told_by(model.set_params(**{path: IN_FUSION[path]}))
    assert f": {path}." in said


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (ReplicaEnsemble(smoothed(), n_replicas=2, random_state=0), "estimator"),
        (TeacherEnsemble([smoothed(), smoothed(5)], random_state=0), "teachers[0]"),
    ],
    ids=["replicas", "teachers"],
)
def test_so_it_is_as_a_replica_or_a_teacher(model, path):
    model = fitted(model)
    assert not told_by(model)
    member = model.teachers[0] if path != "estimator" else model.estimator
    member.set_params(logit_adjustment=1.0, network__hidden_size=6)
    (said,) = told_by(model)
    assert f": {path}__logit_adjustment, {path}__network__hidden_size." in said


def test_of_members_nothing_is_told_where_it_counts_or_is_only_for_fits(tmp_path):
    model = fusion()
    model.set_params(a__lr=0.5, a__random_state=3)
    model.named_estimators_.a.set_params(logit_adjustment=1.0)
    frozen = model.estimators[-1][1].estimator.set_params(logit_adjustment=1.0)
    assert frozen is model.estimators_[-1].estimator
    path = tmp_path / "fusion.safetensors"
    model.save(path)
    for one in (model, copy.deepcopy(model), skanticipate.load(path)):
        assert not told_by(one)
        (said,) = told_by(one.set_params(f__a__logit_adjustment=2.0))
        assert ": f__a__logit_adjustment." in said
        assert not told_by(one.set_params(f__a__logit_adjustment=0.0))


# ---------------------------------------------------------- what the fit keeps, and how


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (HistoryEncoder(ACTIONS), {"actions": TURNED}),
        (HistoryTeacher(n_networks=0, random_state=0), {"order": 1}),
        (
            LanguageTeacher(BERT, max_epochs=1, random_state=0),
            {"pooling": "first", "max_length": 4, "template": "{noun}"},
        ),
    ],
    ids=["encoder", "history", "language"],
)
def test_copies_answer_as_their_model_whatever_they_are_told(model, changes, tmp_path):
    model = fitted(model)
    before, path = answers(model), tmp_path / "model.safetensors"
    copies = [copy.deepcopy(model)]
    if hasattr(model, "save"):
        model.save(path)
        copies.append(skanticipate.load(path))
    for one in copies:
        assert alike(answers(one.set_params(**changes)), before)
    other = fitted(model, **changes)
    assert not alike(answers(other), before)  # what changes is read by a fit


def test_a_table_that_its_owner_changes_in_place_is_that_of_the_fit():
    table = dict(ACTIONS)
    models = [HistoryEncoder(table), TransitionPrior(table)]
    models = [model.fit(*data_of(model)) for model in models]
    before = [answers(model) for model in models]
    table.update(TURNED)
    for model, said in zip(models, before, strict=True):
        assert alike(answers(model), said)


def test_a_state_without_what_the_fit_kept_is_read_as_before():
    teacher = fitted(HistoryTeacher(n_networks=0, random_state=0))
    before = answers(teacher)
    del teacher._kept
    assert alike(answers(teacher), before)
