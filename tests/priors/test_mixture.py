import numpy as np
import pytest
from five_actions import ACTIONS, CLASSES, VECTORS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.naive_bayes import GaussianNB

from skanticipate import MLP, SmoothedAnticipator
from skanticipate.priors import (
    GloVePrior,
    MixturePrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)


def test_a_mixture_is_the_weighted_mean_of_its_parts():
    glove, verb_noun = GloVePrior(ACTIONS, VECTORS), VerbNounPrior(ACTIONS)
    mixture = MixturePrior([glove, verb_noun], weights=[1, 3]).fit(CLASSES)
    parts = [glove.fit(CLASSES).matrix_, verb_noun.fit(CLASSES).matrix_]
    assert_allclose(mixture.matrix_, parts[0] / 4 + 3 * parts[1] / 4, rtol=1e-6)
    assert_array_equal(mixture.rows([4, 0]), [4, 0])
    equal = MixturePrior([glove, verb_noun]).fit(CLASSES)
    assert_allclose(equal.matrix_, (parts[0] + parts[1]) / 2, rtol=1e-6)


def test_a_mixture_leaves_its_parts_unfitted():
    part = UniformPrior()
    MixturePrior([part]).fit(CLASSES)
    assert not hasattr(part, "matrix_")


def test_a_mixture_with_a_part_keyed_by_the_past_keeps_its_parts():
    mixture = MixturePrior([UniformPrior(), TransitionPrior(ACTIONS)], weights=[1, 1])
    mixture.fit(CLASSES, [1, 2], [0, 0])
    terms = mixture.terms([1, 2], [0, -1])
    assert [weight for _, _, weight in terms] == [0.5, 0.5]
    assert_array_equal(terms[1][1], mixture.priors_[1].rows([1, 2], [0, -1]))
    assert not hasattr(mixture, "matrix_")
    with pytest.raises(AttributeError, match="no matrix_, because a part of it"):
        mixture.matrix_  # noqa: B018
    with pytest.raises(AttributeError, match="no rows, because"):
        mixture.rows([1])


def test_mixtures_may_be_nested():
    inner = MixturePrior([UniformPrior(), VerbNounPrior(ACTIONS)])
    outer = MixturePrior([inner, UniformPrior()]).fit(CLASSES)
    assert [weight for _, _, weight in outer.terms([0])] == [0.25, 0.25, 0.5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "one number for each of the 2 priors, got shape"),
        ([1, -1], "non-negative and finite, and not all zero"),
        ([0, 0], "not all zero"),
        ([1, np.nan], "non-negative"),
        ([1, np.inf], "finite"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        MixturePrior([UniformPrior(), UniformPrior()], weights).fit(CLASSES)


def test_a_mixture_needs_a_part():
    with pytest.raises(ValueError, match="at least one prior"):
        MixturePrior([]).fit(CLASSES)


def test_a_part_of_weight_0_is_checked_too():
    prior = MixturePrior([UniformPrior(), TransitionPrior(strength=-1.0)], [1, 0])
    with pytest.raises(ValueError, match="'strength' parameter of TransitionPrior"):
        prior.fit(CLASSES)


@pytest.mark.parametrize(
    "part",
    [
        ("uniform", UniformPrior()),
        (UniformPrior(), 2),
        UniformPrior,
        "uniform",
        None,
        np.eye(3),
        GaussianNB(),
    ],
    ids=lambda part: str(part)[:20],
)
def test_parts_are_priors_without_names_and_weights(part):
    with pytest.raises(TypeError, match="(?s)priors must hold priors, .* as weights="):
        MixturePrior([UniformPrior(), part], [1, 0]).fit(CLASSES)


def test_what_a_fitted_mixture_is_keyed_by_does_not_change():
    mixture = MixturePrior([UniformPrior(), VerbNounPrior(ACTIONS)]).fit(CLASSES)
    before = mixture.matrix_
    for priors in ([TransitionPrior()], [UniformPrior()], None):
        mixture.set_params(priors=priors)
        assert mixture.keyed_by_label
        assert_array_equal(mixture.matrix_, before)


@pytest.mark.parametrize("classes", [None, [0, 1]])
@pytest.mark.parametrize("several", [[UniformPrior()], (("a", UniformPrior()),)])
def test_several_priors_of_an_anticipator_are_to_be_mixed(several, classes):
    model = SmoothedAnticipator(MLP(2), prior=several, smoothing=0.1, classes=classes)
    with pytest.raises(TypeError, match="one prior, got .*MixturePrior"):
        model.fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize("wrap", [list, lambda parts: [MixturePrior(parts, [0, 1])]])
def test_a_part_of_weight_0_keys_nothing(wrap):
    parts = [TransitionPrior(), VerbNounPrior(ACTIONS)]
    prior = MixturePrior(wrap(parts), None if len(wrap(parts)) == 1 else [0, 1])
    assert prior.keyed_by_label
    alone = VerbNounPrior(ACTIONS).fit(CLASSES)
    assert_array_equal(prior.fit(CLASSES).matrix_, alone.matrix_)
    assert_array_equal(prior.rows(CLASSES), alone.rows(CLASSES))
    assert not MixturePrior(parts, [1, 1]).keyed_by_label
