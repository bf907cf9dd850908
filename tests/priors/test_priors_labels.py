import numpy as np
import pytest
from five_actions import ACTIONS, CLASSES, soft_targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skanticipate.priors import ArrayPrior, UniformPrior, VerbNounPrior

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


# ------------------------------------------------------------------------------- arrays


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
        ({0: {0: 1.0}, 1: {1: 1.0}}, "is a dict, whose columns have no order"),
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
