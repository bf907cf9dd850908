import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from skanticipate.priors import (
    ArrayPrior,
    GloVePrior,
    MixturePrior,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)

# the actions (0,0), (0,1), (1,0), (1,1), (2,2) with names of verbs and nouns
ACTIONS = {
    0: ("cut", "pan"),
    1: ("cut", "cup"),
    2: ("wash", "pan"),
    3: ("wash", "cup"),
    4: ("open", "bin"),
}
CLASSES = np.arange(5)
VECTORS = {
    "cut": [1.0, 0.0],
    "wash": [0.0, 1.0],
    "open": [-1.0, 0.0],
    "pan": [1.0, 1.0],
    "cup": [1.0, 0.0],
    "bin": [0.0, -1.0],
}
SEQUENCES = [[0, 2, 4, 2, 0], [1, 3, 1]]
ASYMMETRIC = [[0, 1, 0, 1, 2]]


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


def soft_targets(prior, y, y_past=None):
    terms = prior.terms(y, y_past)
    return sum(weight * matrix[rows] for matrix, rows, weight in terms)


def assert_stochastic(matrix):
    assert (matrix >= 0).all()
    assert_allclose(matrix.sum(axis=1, dtype=np.float64), 1, atol=1e-6)


# ------------------------------------------------------------------- laws of all


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


# ------------------------------------------------------------- uniform, verb-noun


def test_uniform_gives_every_class_one_in_c():
    prior = UniformPrior().fit(CLASSES)
    assert_allclose(soft_targets(prior, [3, 0]), np.full((2, 5), 0.2))
    assert prior.matrix_.shape == (1, 5)


def naive_verb_noun(classes, include_self):
    matrix = np.zeros((len(classes), len(classes)))
    for k, a in enumerate(classes):
        for i, b in enumerate(classes):
            share = any(x == y for x, y in zip(ACTIONS[a], ACTIONS[b], strict=True))
            matrix[k, i] = share and (include_self or i != k)
        if not matrix[k].any():
            matrix[k, k] = 1
        matrix[k] /= matrix[k].sum()
    return matrix


def test_verb_noun_fixture():
    matrix = VerbNounPrior(ACTIONS).fit(CLASSES).matrix_
    assert_allclose(matrix[0], [1 / 3, 1 / 3, 1 / 3, 0, 0], rtol=1e-6)
    assert_array_equal(matrix[4], [0, 0, 0, 0, 1])


def test_verb_noun_without_self_keeps_singletons_one_hot():
    matrix = VerbNounPrior(ACTIONS, include_self=False).fit(CLASSES).matrix_
    assert_allclose(matrix[0], [0, 0.5, 0.5, 0, 0])
    assert_array_equal(matrix[4], [0, 0, 0, 0, 1])


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("classes", [[0, 1, 2, 3, 4], [3, 0, 4], [2]])
def test_verb_noun_equals_the_naive_loop(classes, include_self):
    prior = VerbNounPrior(ACTIONS, include_self=include_self).fit(classes)
    assert_allclose(prior.matrix_, naive_verb_noun(classes, include_self), rtol=1e-6)


def test_a_verb_and_a_noun_of_one_name_are_not_shared():
    actions = {0: ("cut", "fish"), 1: ("fish", "cut")}
    assert_array_equal(VerbNounPrior(actions).fit([0, 1]).matrix_, np.eye(2))


# -------------------------------------------------------------- array and mixture

SOFT = np.array([[0.6, 0.2, 0.2], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0]])


def test_a_clone_shares_the_matrix():
    prior = ArrayPrior(np.array(SOFT), ["a", "b", "c"])
    copy = clone(prior)
    assert copy is not prior
    assert copy.matrix is prior.matrix


def test_an_array_is_selected_by_label():
    prior = ArrayPrior(SOFT, ["c", "a", "b"]).fit(["a", "b", "c"])
    assert_allclose(prior.matrix_, SOFT[[1, 2, 0]][:, [1, 2, 0]])


def test_an_array_is_renormalised_where_the_class_set_shrank():
    matrix = ArrayPrior(SOFT, [0, 1, 2]).fit([0, 2]).matrix_
    assert_allclose(matrix, [[0.75, 0.25], [0, 1]])  # row 2 lost all its mass


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), r"shape \(3, 3\).*got \(2, 2\)"),
        ([[1, 0, 0], [0, 2, -1], [0, 0, 1]], "got -1.0 in row 1, column 2"),
        ([[1, 0, 0], [0, 1, 0], [np.nan, 0, 1]], "got nan in row 2, column 0"),
        ([[1, 0, 0], [0.5, 0.4, 0], [0, 0, 1]], "row 1 sums to 0.9: divide"),
    ],
)
def test_a_bad_array_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        ArrayPrior(matrix, [0, 1, 2]).fit([0, 1])


def test_a_class_without_a_row_is_named():
    with pytest.raises(ValueError, match="no row for class 5"):
        ArrayPrior(SOFT, [0, 1, 2]).fit([0, 5])


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
