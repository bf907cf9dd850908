"""Weights of parts: what a Series names them, and numbers that are none."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.naive_bayes import GaussianNB

from skanticipate import (
    MLP,
    DistilledAnticipator,
    FeatureMapNet,
    LateFusion,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
    fit_many,
)
from skanticipate.losses import distillation_kl, weakly_aligned_loss
from skanticipate.metrics import (
    mean_top_k_recall_score,
    mean_top_k_recall_scorer,
    time_to_action,
    top_k_accuracy,
    top_k_scorer,
)
from skanticipate.plotting import LabelFractionDisplay
from skanticipate.priors import MixturePrior, UniformPrior, VerbNounPrior

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 2)), np.arange(24) % 2
CLASSES = ["cut onion", "wash pan"]
UNIFORM, ONE_HOT = np.full((2, 2), 0.5), np.eye(2)


def fused(weights):
    members = [("a", GaussianNB(), (0, 1)), ("b", GaussianNB(), (1, 2))]
    return LateFusion(members, weights=weights).fit(X, Y).predict_proba(X)


def mixed(weights):
    prior = MixturePrior([UniformPrior(), VerbNounPrior()], weights=weights)
    return prior.fit(CLASSES).matrix_


OF_A = GaussianNB().fit(X[:, :1], Y).predict_proba(X[:, :1])
CASES = [
    (fused, ["a", "b"], OF_A),
    (mixed, ["UniformPrior", "VerbNounPrior"], UNIFORM),
]


@pytest.mark.parametrize(("answer", "names", "first"), CASES, ids=["fusion", "prior"])
def test_weights_are_not_read_against_their_names(answer, names, first):
    pd = pytest.importorskip("pandas")
    for weights in ([1, 0], (1, 0), np.array([1, 0]), pd.Series([1, 0])):
        assert_array_equal(answer(weights), first)
    assert_array_equal(answer(pd.Series([1, 0], index=names)), first)
    for wrong in (names[::-1], ["x", "y"], [1, 0]):
        with pytest.raises(ValueError, match="weights names its entries .* put them"):
            answer(pd.Series([0, 1], index=wrong))


@pytest.mark.parametrize(("answer", "names", "first"), CASES, ids=["fusion", "prior"])
def test_weights_are_a_list_of_numbers(answer, names, first):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame([[1, 0]], columns=names)
    for weights in (dict(zip(names, [1, 0], strict=True)), {0, 1}, table):
        kind = type(weights).__name__
        with pytest.raises(TypeError, match=f"one number for each .* got a {kind}"):
            answer(weights)
    for weights in ([True, False], np.array([True, False]), [1.0, np.True_]):
        with pytest.raises(TypeError, match="weights must hold numbers, got True"):
            answer(weights)


def test_weights_changed_after_fit_are_checked_too():
    pd = pytest.importorskip("pandas")
    members = [("a", GaussianNB(), (0, 1)), ("b", GaussianNB(), (1, 2))]
    fusion = LateFusion(members).fit(X, Y)
    assert_array_equal(fusion.set_params(weights=[1, 0]).predict_proba(X), OF_A)
    fusion.set_params(weights=pd.Series({"b": 0, "a": 1}))
    with pytest.raises(ValueError, match=r"names its entries \['b', 'a'\]"):
        fusion.predict_proba(X)


def test_weights_name_the_members_of_the_fit_whatever_estimators_has_become():
    pd = pytest.importorskip("pandas")
    members = [("a", GaussianNB(), (0, 1)), ("b", GaussianNB(), (1, 2))]
    fusion = LateFusion(members, weights=pd.Series({"a": 1, "b": 0})).fit(X, Y)
    more = [*members, ("c", GaussianNB(), (0, 2))]
    for others in (members[::-1], members[:1], more, [("b", *members[0][1:])], "none"):
        fusion.set_params(estimators=others)
        assert_array_equal(fusion.predict_proba(X), OF_A)
    fusion.set_params(estimators=members[::-1], weights=pd.Series({"b": 0, "a": 1}))
    with pytest.raises(ValueError, match=r"names its entries \['b', 'a'\]"):
        fusion.predict_proba(X)
    fusion.set_params(estimators=more, weights=[0, 0, 1])
    with pytest.raises(ValueError, match="one number for each of the 2 members"):
        fusion.predict_proba(X)


@pytest.mark.parametrize(("answer", "names", "first"), CASES, ids=["fusion", "prior"])
def test_weights_are_numbers_of_any_kind_and_no_texts(answer, names, first):
    expected = answer([0.25, 0.75])
    quarters = Decimal("0.25"), Fraction(3, 4)
    for weights in (quarters, np.array(quarters), torch.tensor([0.25, 0.75])):
        assert_array_equal(answer(weights), expected)
    for weights in (["1", "0"], [b"1", 0], np.array(["1", "0"]), [1j, 0]):
        with pytest.raises(ValueError, match="one number for each of .* got"):
            answer(weights)
    with pytest.raises(ValueError, match="too large|too big"):
        answer([10**400, 1])


# ------------------------------------------------------------------- truth is no number

SCORES = [[2, 1], [1, 2]]
COUNTS = {
    "top_k_accuracy": lambda k: top_k_accuracy([0, 1], SCORES, k=k),
    "recall": lambda k: mean_top_k_recall_score([0, 1], SCORES, k=k),
    "time_to_action": lambda k: time_to_action([0, 1], [SCORES], [1.0], k=k),
    "top_k_scorer": top_k_scorer,
    "recall scorer": mean_top_k_recall_scorer,
}


@pytest.mark.parametrize("name", COUNTS)
def test_true_is_no_count(name):
    read = COUNTS[name]
    value = read(1)
    assert callable(value) or value == 1
    with pytest.raises(TypeError, match="k must be a whole number from 1, got True"):
        read(True)
    with pytest.raises(TypeError, match="k must be an instance of int"):
        read(np.True_)


@pytest.mark.parametrize("options", [{"n_repeats": True}, {"fractions": [True]}])
def test_true_is_no_repeat_and_no_fraction(options):
    with pytest.raises((TypeError, ValueError), match="True"):
        LabelFractionDisplay.from_estimator(
            GaussianNB(), X, Y, X, X_test=X, y_test=Y, **options
        )


def test_true_is_no_weight_of_a_class():
    def fit(weights, y=Y):
        model = SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0)
        return model.set_params(class_weight=weights).fit(X, y).predict_proba(X)

    assert_array_equal(fit({0: 1}), fit(None))
    assert_array_equal(fit({True: 3.0}, Y == 1), fit({1: 3.0}))
    with pytest.raises(ValueError, match="class_weight must hold finite numbers"):
        fit({0: True})
    with pytest.raises(ValueError, match="names labels that are no classes: .True."):
        fit({True: 3.0})


def test_true_is_no_parameter_of_a_loss():
    logits, proba = torch.zeros(2, 3), torch.full((2, 3), 1 / 3)
    assert distillation_kl(logits, proba, temperature=1, top_k=1) >= 0
    for options in ({"temperature": True}, {"top_k": True}):
        with pytest.raises(ValueError, match="got True"):
            distillation_kl(logits, proba, **options)
    maps = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match="alpha must be .* got True"):
        weakly_aligned_loss(maps, maps, alpha=True)


def test_true_is_no_size_of_a_patch():
    clips = RNG.normal(size=(24, 4, 3))
    model = SmoothedAnticipator(FeatureMapNet(4, patch_size=[1]), max_epochs=1)
    model.fit(clips, Y)
    model.set_params(network__patch_size=[True])
    with pytest.raises(ValueError, match="patch_size must be a positive integer"):
        model.fit(clips, Y)


# ------------------------------------------------------------ weights passed by place


def smoothed():
    return SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0)


@pytest.mark.parametrize(
    "fit",
    [
        smoothed().fit,
        RecognitionTeacher(MLP(4), max_epochs=1).fit,
        DistilledAnticipator(MLP(4), max_epochs=1).fit,
        LateFusion([("a", smoothed(), (0, 2)), ("b", GaussianNB(), (0, 2))]).fit,
        lambda *arrays: fit_many([smoothed()], *arrays),
    ],
    ids=["smoothed", "teacher", "distilled", "fusion", "fit_many"],
)
def test_weights_and_groups_by_place_are_no_futures(fit):
    pd = pytest.importorskip("pandas")
    weights = np.linspace(0.1, 5, 24)
    names = [f"video {k // 4}" for k in range(24)]
    for given in (weights, weights.tolist(), pd.Series(weights), names, Y):
        with pytest.raises(ValueError, match="sample_weight= and groups="):
            fit(X, Y, given)


def test_futures_that_nobody_looks_at_may_be_missing():
    plain = smoothed().fit(X, Y).predict_proba(X)
    for futures in ([None] * 24, [np.nan] * 24, [None, *X[1:]], X, RowView(X)):
        assert_array_equal(smoothed().fit(X, Y, futures).predict_proba(X), plain)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_are_numbers_though_nobody_looks(value):
    weights = np.ones(24)
    weights[3] = value
    with config_context(assume_finite=True):
        with pytest.raises(ValueError, match="sample_weight contains NaN or infinity"):
            smoothed().fit(X, Y, sample_weight=weights)
