import pickle

import numpy as np
import pytest
from five_actions import (
    ACTIONS,
    ASYMMETRIC,
    CLASSES,
    SEQUENCES,
    VECTORS,
    assert_stochastic,
    soft_targets,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from skanticipate.priors import (
    ArrayPrior,
    BasePrior,
    GloVePrior,
    MixturePrior,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)


def fitted_priors(classes, y=None, y_past=None):
    """One fitted prior of every kind, over some of the classes of ACTIONS."""
    y = list(classes) if y is None else y
    y_past = [*y[1:], y[0]] if y_past is None else y_past
    array = np.random.default_rng(0).dirichlet(np.ones(5), size=5)
    priors = [
        UniformPrior(),
        VerbNounPrior(ACTIONS),
        VerbNounPrior(ACTIONS, include_self=False),
        GloVePrior(ACTIONS, VECTORS),
        GloVePrior(ACTIONS, VECTORS, similarity="cosine", power=3.0),
        GloVePrior(ACTIONS, VECTORS, similarity="relu", include_self=False),
        GloVePrior(ACTIONS, VECTORS, similarity="expcosine", power=50.0),
        TemporalPrior(sequences=SEQUENCES),
        TemporalPrior("successor", sequences=ASYMMETRIC, strength=0.5),
        TemporalPrior(sequences=ASYMMETRIC, include_self=False),
        TransitionPrior(ACTIONS),
        ArrayPrior(array, np.arange(5)),
        MixturePrior([GloVePrior(ACTIONS, VECTORS), VerbNounPrior(ACTIONS)]),
        MixturePrior([TransitionPrior(ACTIONS), UniformPrior()], weights=[3, 1]),
    ]
    return [prior.fit(classes, y, y_past) for prior in priors]


@pytest.mark.filterwarnings("ignore:TemporalPrior counted no transition")
@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(range(5)), min_size=1, unique=True), st.data())
def test_rows_are_distributions_for_every_class_set(classes, data):
    n = data.draw(st.integers(1, 8))
    y = data.draw(st.lists(st.sampled_from(classes), min_size=n, max_size=n))
    last = st.sampled_from([*range(5), -1])
    past = data.draw(st.lists(last, min_size=n, max_size=n))
    for prior in fitted_priors(classes, y, past):
        for matrix, rows, weight in prior.terms(y, past):
            assert matrix.dtype == np.float32
            assert matrix.shape[1] == len(classes)
            assert rows.dtype == np.intp
            assert 0 <= weight <= 1
            assert_stochastic(matrix)
        assert_stochastic(soft_targets(prior, y, past))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)))
def test_priors_are_keyed_by_label_not_by_position(order):
    y, past = np.array([0, 1, 2, 3, 4, 4, 0]), np.array([2, 2, 4, 4, 1, 0, -1])
    permuted = fitted_priors(order, y, past)
    for prior, other in zip(fitted_priors(CLASSES, y, past), permuted, strict=True):
        expected = soft_targets(prior, y, past)[:, order]
        assert_allclose(soft_targets(other, y, past), expected, atol=1e-7)


@pytest.mark.parametrize("index", range(14))
def test_priors_are_cloneable_and_picklable(index):
    prior = fitted_priors(CLASSES)[index]
    y, past = [0, 4], [2, -1]
    refitted = clone(prior).fit(CLASSES, CLASSES, [*CLASSES[1:], 0])
    for other in (pickle.loads(pickle.dumps(prior)), refitted):
        assert_array_equal(soft_targets(other, y, past), soft_targets(prior, y, past))


def test_a_label_outside_the_classes_raises():
    for prior in fitted_priors(CLASSES):
        with pytest.raises(ValueError, match=r"one of the 5 classes of the prior, got"):
            prior.terms([0, 9], [1, 1])


@pytest.mark.parametrize("prior", [UniformPrior(), MixturePrior([UniformPrior()])])
def test_an_unfitted_prior_says_so(prior):
    with pytest.raises(NotFittedError):
        prior.terms([0])


@pytest.mark.parametrize(
    ("classes", "message"),
    [([], "1-D array of labels"), ([[0]], "1-D array"), ([1, 0, 1], "got 1 more")],
)
def test_bad_classes_are_refused(classes, message):
    for prior in (UniformPrior(), MixturePrior([UniformPrior()])):
        with pytest.raises(ValueError, match=message):
            prior.fit(classes)


@pytest.mark.parametrize(
    "prior",
    [
        VerbNounPrior(3),
        VerbNounPrior(include_self="yes"),
        GloVePrior(ACTIONS, 3),
        GloVePrior(ACTIONS, VECTORS, similarity="dot"),
        GloVePrior(ACTIONS, VECTORS, power=0),
        TemporalPrior("before"),
        TemporalPrior(strength=-1),
        TransitionPrior(strength=0),
        MixturePrior(UniformPrior()),
    ],
)
def test_bad_parameters_are_refused_at_fit(prior):
    with pytest.raises(InvalidParameterError):
        prior.fit(CLASSES, CLASSES, CLASSES)


def test_a_failed_fit_leaves_the_prior_as_it_was():
    prior = VerbNounPrior(ACTIONS).fit(CLASSES)
    before = prior.matrix_
    with pytest.raises(ValueError, match="none, among them 9"):
        prior.fit([0, 9])
    assert prior.matrix_ is before
    assert_array_equal(prior.classes_, CLASSES)


class Counts(BasePrior):
    """A prior of one's own whose rows are no probabilities."""

    def __init__(self, matrix=None):
        self.matrix = matrix

    def _fit_matrix(self, classes, y, y_past):
        return np.asarray(self.matrix, dtype=np.float32)


@pytest.mark.parametrize(
    "matrix", [[[3, 1], [1, 1]], [[1.5, -0.5], [0.5, 0.5]], [[np.nan, 1], [0, 1]]]
)
def test_rows_of_a_prior_of_ones_own_are_probabilities(matrix):
    with pytest.raises(ValueError, match="matrix of Counts must hold probabilities"):
        Counts(matrix).fit(["a", "b"])
    assert Counts(np.eye(2)).fit(["a", "b"]).matrix_.tolist() == [[1, 0], [0, 1]]
