import pickle
from collections import Counter, defaultdict
from urllib.error import URLError

import numpy as np
import pytest
from gensim.models import KeyedVectors
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
FILLERS = [None, float("nan"), "", -1]


def pairs(sequences):
    """Rows (y_past, y) of sequences, the first of each with nothing seen."""
    past = [label for s in sequences for label in [-1, *s][:-1]]
    return np.array(past), np.array([label for s in sequences for label in s])


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
        TemporalPrior("successor", sequences=ASYMMETRIC, smoothing=0.5),
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
        if isinstance(prior, TransitionPrior):
            continue  # its rows follow from the past action alone
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
        TemporalPrior(smoothing=-1),
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


# ------------------------------------------------------------------------- GloVe


@pytest.mark.parametrize(
    ("similarity", "row", "expected"),
    [
        ("absdot", 0, [0.3, 0.2, 0.2, 0.1, 0.2]),
        ("absdot", 2, [2 / 9, 1 / 9, 1 / 3, 2 / 9, 1 / 9]),
        ("cosine", 0, [0.269694, 0.220204, 0.179796, 0.110102, 0.220204]),
        ("relu", 0, [0.375, 0.25, 0.25, 0.125, 0]),
    ],
)
def test_glove_fixture(similarity, row, expected):
    prior = GloVePrior(ACTIONS, VECTORS, similarity=similarity).fit(CLASSES)
    assert_allclose(prior.matrix_[row], expected, atol=1e-6)


def naive_glove(similarity, power):
    phi = np.array([[*VECTORS[v], *VECTORS[n]] for v, n in ACTIONS.values()])
    dot = phi @ phi.T
    cosine = dot / np.linalg.norm(phi, axis=1) / np.linalg.norm(phi, axis=1)[:, None]
    values = {
        "absdot": np.abs(dot),
        "cosine": np.abs(cosine),
        "relu": np.maximum(dot, 0),
        "expcosine": np.exp(cosine),
    }[similarity]
    return values**power / (values**power).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("similarity", ["absdot", "cosine", "relu", "expcosine"])
@pytest.mark.parametrize("power", [0.5, 1.0, 4.0])
def test_glove_equals_the_formula(similarity, power):
    prior = GloVePrior(ACTIONS, VECTORS, similarity=similarity, power=power)
    expected = naive_glove(similarity, power)
    assert_allclose(prior.fit(CLASSES).matrix_, expected, atol=1e-6)


def test_expcosine_is_a_softmax_with_a_temperature():
    prior = GloVePrior(ACTIONS, VECTORS, similarity="expcosine", power=1 / 0.2)
    cosine = np.log(naive_glove("expcosine", 1.0))  # up to a constant of each row
    weights = np.exp(cosine / 0.2)
    expected = weights / weights.sum(axis=1, keepdims=True)
    assert_allclose(prior.fit(CLASSES).matrix_, expected, atol=1e-6)


@pytest.mark.parametrize("similarity", ["absdot", "cosine", "relu", "expcosine"])
def test_a_large_power_does_not_overflow(similarity):
    big = {word: 1e6 * np.array(vector) for word, vector in VECTORS.items()}
    prior = GloVePrior(ACTIONS, big, similarity=similarity, power=1e4)
    matrix = prior.fit(CLASSES).matrix_
    assert_stochastic(matrix)
    assert matrix[2].argmax() == 2


def test_the_words_of_a_name_are_averaged():
    actions = {0: ("cut-wash", "pan:cup"), 1: ("Mean", "Mid")}
    vectors = {**VECTORS, "mean": [0.5, 0.5], "mid": [1.0, 0.5]}
    matrix = GloVePrior(actions, vectors).fit([0, 1]).matrix_
    assert_allclose(matrix, 0.5)


def test_unknown_words_of_a_known_name_are_left_out():
    actions = {**ACTIONS, 0: ("cut zzz", "pan")}
    expected = GloVePrior(ACTIONS, VECTORS).fit(CLASSES).matrix_
    assert_array_equal(GloVePrior(actions, VECTORS).fit(CLASSES).matrix_, expected)


def test_an_unknown_name_is_a_block_of_zeros_and_is_named():
    actions = {0: ("cut", "pan"), 1: ("cut", "zzz"), 2: ("wash", "pan")}
    with pytest.warns(UserWarning, match=r"No word vector for 1 names.*: zzz\."):
        matrix = GloVePrior(actions, VECTORS).fit([0, 1, 2]).matrix_
    assert_allclose(matrix[1], [0.5, 0.5, 0])


@pytest.mark.parametrize("similarity", ["absdot", "cosine", "relu", "expcosine"])
def test_a_class_without_any_vector_falls_back_to_verb_noun_then_one_hot(similarity):
    actions = {0: ("cut", "pan"), 1: ("xxx", "pan"), 2: ("xxx", "zzz"), 3: ("u", "w")}
    prior = GloVePrior(actions, VECTORS, similarity=similarity)
    with pytest.warns(UserWarning, match="4 names"):
        matrix = prior.fit([0, 1, 2, 3]).matrix_
    assert_allclose(matrix[2], [0, 0.5, 0.5, 0])
    assert_array_equal(matrix[3], [0, 0, 0, 1])


def test_glove_without_self_falls_back_to_one_hot_for_a_lonely_class():
    prior = GloVePrior({0: ("cut", "cut"), 1: ("wash", "wash")}, VECTORS)
    matrix = prior.set_params(include_self=False).fit([0, 1]).matrix_
    assert_array_equal(matrix, np.eye(2))


def test_vectors_may_be_a_file_or_keyed_vectors(tmp_path):
    expected = GloVePrior(ACTIONS, VECTORS).fit(CLASSES).matrix_
    path = tmp_path / "glove.txt"
    path.write_text("".join(f"{w} {x} {y}\n" for w, (x, y) in VECTORS.items()))
    keyed = KeyedVectors(2)
    keyed.add_vectors(list(VECTORS), np.array(list(VECTORS.values())))
    for vectors in (path, str(path), keyed):
        assert_allclose(GloVePrior(ACTIONS, vectors).fit(CLASSES).matrix_, expected)


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("cut 1\nwash 1\n")
    actions = {0: ("cut", "cut"), 1: ("wash", "wash")}
    prior = GloVePrior(actions, path).fit([0, 1])
    assert_allclose(prior.matrix_, 0.5)
    path.write_text("cut 1\nwash 3.0\n")
    assert_allclose(prior.fit([0, 1]).matrix_[0], [0.25, 0.75])


def test_words_unknown_everywhere_are_an_error():
    with pytest.raises(ValueError, match=r"know none of the 3 words.*pass names"):
        GloVePrior({0: (0, 1), 1: (0, 2)}, VECTORS).fit([0, 1])


def test_vectors_are_required():
    with pytest.raises(ValueError, match=r"GloVePrior needs vectors="):
        GloVePrior(ACTIONS).fit(CLASSES)


@pytest.mark.parametrize("odd", [[1.0], [[1.0, 0.0]], [np.nan, 1.0]])
def test_uneven_vectors_are_refused(odd):
    with pytest.raises(ValueError, match="1-D array of finite numbers, all of one"):
        GloVePrior(ACTIONS, {**VECTORS, "cut": odd}).fit(CLASSES)


@pytest.mark.parametrize("path", ["nowhere.txt", "no/where"])
def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match="there is no file no"):
        GloVePrior(ACTIONS, path).fit(CLASSES)


def test_a_model_that_cannot_be_fetched_is_explained(monkeypatch):
    def offline(name, return_path):
        raise URLError("no route to host")

    monkeypatch.setattr("gensim.downloader.load", offline)
    with pytest.raises(OSError, match=r"glove-wiki.*no route to host.*pass its path"):
        GloVePrior(ACTIONS, "glove-wiki-gigaword-50").fit(CLASSES)


def test_a_fetched_model_is_read_from_its_file(monkeypatch, tmp_path):
    path = tmp_path / "model.txt"
    path.write_text("".join(f"{w} {x} {y}\n" for w, (x, y) in VECTORS.items()))
    monkeypatch.setattr("gensim.downloader.load", lambda name, return_path: str(path))
    matrix = GloVePrior(ACTIONS, "some-model").fit(CLASSES).matrix_
    assert_allclose(matrix, naive_glove("absdot", 1), atol=1e-6)


def test_a_clone_shares_the_vectors():
    prior = GloVePrior(ACTIONS, VECTORS, similarity="relu", power=2.0)
    copy = clone(prior)
    assert copy.vectors is VECTORS
    assert copy.actions == ACTIONS
    assert (copy.similarity, copy.power, copy.include_self) == ("relu", 2.0, True)
    assert clone(MixturePrior([prior])).priors[0].vectors is VECTORS
    assert clone(prior.fit(CLASSES)).get_params()["vectors"] is VECTORS
    assert not hasattr(clone(prior), "matrix_")


def test_a_search_clones_and_sets_parameters():
    prior = GloVePrior(ACTIONS, VECTORS)
    copy = clone(clone(prior).set_params(power=3.0))
    assert copy.vectors is VECTORS
    assert (copy.power, prior.power) == (3.0, 1.0)


# ---------------------------------------------------------------------- temporal


def naive_temporal(sequences, n, direction):
    occurrences = np.zeros((n, n))
    for sequence in sequences:
        for t in range(len(sequence) - 1):
            occurrences[sequence[t], sequence[t + 1]] += 1
    matrix = occurrences.T if direction == "predecessor" else occurrences
    return np.array(
        [row / row.sum() if row.any() else np.eye(n)[k] for k, row in enumerate(matrix)]
    )


def test_temporal_fixture():
    matrix = TemporalPrior(sequences=SEQUENCES).fit(CLASSES).matrix_
    expected = np.eye(5)[[2, 3, 0, 1, 2]]
    expected[2] = [0.5, 0, 0, 0, 0.5]
    assert_array_equal(matrix, expected)


def test_direction_of_the_temporal_prior():
    predecessor = TemporalPrior(sequences=ASYMMETRIC).fit([0, 1, 2]).matrix_
    successor = TemporalPrior("successor", ASYMMETRIC).fit([0, 1, 2]).matrix_
    assert_array_equal(predecessor[1], [1, 0, 0])
    assert_array_equal(successor[1], [0.5, 0, 0.5])
    assert_array_equal(predecessor[2], [0, 1, 0])
    assert_array_equal(successor[2], [0, 0, 1])  # nothing follows 2: one-hot


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3)), min_size=1).filter(
        lambda sequences: max(map(len, sequences)) > 1
    ),
    st.sampled_from(["predecessor", "successor"]),
)
def test_temporal_equals_the_naive_loop_for_sequences_and_pairs(sequences, direction):
    expected = naive_temporal(sequences, 4, direction)
    past, y = pairs(sequences)
    by_sequence = TemporalPrior(direction, sequences).fit(range(4))
    by_pair = TemporalPrior(direction).fit(range(4), y, past)
    assert_allclose(by_sequence.matrix_, expected, rtol=1e-6)
    assert_array_equal(by_pair.matrix_, by_sequence.matrix_)


@pytest.mark.parametrize("filler", FILLERS)
def test_a_missing_past_is_not_counted(filler):
    labels = ["a", "b", "c"]
    prior = TemporalPrior().fit(labels, ["b", "c", "c"], ["a", filler, "b"])
    assert_array_equal(prior.matrix_, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_labels_outside_the_classes_are_skipped_not_bridged():
    prior = TemporalPrior(sequences=[[0, 9, 1], [0, 0]]).fit([0, 1])
    assert_array_equal(prior.matrix_, np.eye(2))


def test_smoothing_is_a_mass_for_each_row():
    matrix = TemporalPrior(sequences=ASYMMETRIC, smoothing=3.0).fit([0, 1, 2]).matrix_
    assert_allclose(matrix[1], [3 / 5, 1 / 5, 1 / 5], rtol=1e-6)  # counts 2, 0, 0
    successor = TemporalPrior("successor", ASYMMETRIC, smoothing=3.0).fit([0, 1, 2])
    assert_allclose(successor.matrix_[2], 1 / 3, rtol=1e-6)


def test_temporal_without_self_ignores_repeats():
    prior = TemporalPrior(sequences=[[0, 0, 1, 1]], include_self=False).fit([0, 1])
    assert_array_equal(prior.matrix_, [[1, 0], [1, 0]])


def test_no_counted_transition_warns_and_is_one_hot():
    with pytest.warns(UserWarning, match="counted no transition"):
        prior = TemporalPrior().fit([0, 1], [0, 1], ["cut", "pour"])
    assert_array_equal(prior.matrix_, np.eye(2))


@pytest.mark.parametrize("prior", [TemporalPrior(), TransitionPrior()])
def test_priors_that_count_need_the_past(prior):
    with pytest.raises(ValueError, match=r"y_past is None: pass y_past= to fit"):
        prior.fit([0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"but y is None"):
        prior.fit([0, 1], None, [0, 1])
    with pytest.raises(ValueError, match="y_past has 1 labels but y has 2"):
        prior.fit([0, 1], [0, 1], [0])


# -------------------------------------------------------------------- transition


def naive_transition(y, past, classes, strength, last, actions):
    """p(. | last) by dictionaries and loops, one formula a level."""

    def smooth(counts, parent):
        total = sum(counts.values())
        return [
            (counts[c] + strength * p) / (total + strength)
            for c, p in zip(classes, parent, strict=True)
        ]

    by = defaultdict(Counter)
    for label, before in zip(y, past, strict=True):
        by["all"][label] += 1
        if before != -1:
            by["action", before][label] += 1
            by["verb", actions[before][0]][label] += 1
            by["noun", actions[before][1]][label] += 1
    result = smooth(by["all"], [1 / len(classes)] * len(classes))
    if last not in actions:
        return result
    verb, noun = actions[last]
    if ("noun", noun) in by:
        result = smooth(by["noun", noun], result)
    elif ("verb", verb) in by:
        result = smooth(by["verb", verb], result)
    if ("action", last) in by:
        result = smooth(by["action", last], result)
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(range(5)), st.sampled_from([0, 1, 2, -1])),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([0.5, 100.0]),
)
def test_transition_equals_the_naive_loop(samples, strength):
    y, past = (list(column) for column in zip(*samples, strict=True))
    prior = TransitionPrior(ACTIONS, strength=strength).fit(CLASSES, y, past)
    last = [0, 1, 2, 3, 4, -1, 77]
    expected = [
        naive_transition(y, past, CLASSES, strength, label, ACTIONS) for label in last
    ]
    targets = soft_targets(prior, [0] * len(last), last)
    assert_allclose(targets, expected, rtol=1e-5)
    assert (targets > 0).all()


def test_an_unknown_past_action_gets_the_row_of_its_noun_then_verb_then_all():
    prior = TransitionPrior(ACTIONS).fit(CLASSES, [1, 2, 3], [0, 0, -1])
    rows = prior.rows([0] * 4, [0, 2, 1, 4]).tolist()
    assert rows == [0, 1, 2, 3]  # the action; its noun; its verb; everything
    assert prior.past_actions_ == [0]
    assert prior.past_nouns_ == ["pan"]
    assert prior.past_verbs_ == ["cut"]


@pytest.mark.parametrize("filler", FILLERS)
def test_nothing_seen_gives_the_frequencies_of_all_labels(filler):
    classes = ["cut onion", "wash pan"]
    prior = TransitionPrior(strength=1.0).fit(
        classes, ["cut onion", "cut onion", "wash pan"], [filler, "wash pan", filler]
    )
    assert_allclose(soft_targets(prior, ["cut onion"], [filler]), [[2.5 / 4, 1.5 / 4]])


def test_labels_that_are_no_names_back_off_to_the_frequencies():
    prior = TransitionPrior(strength=1.0).fit([0, 1], [0, 1, 1], [7, 7, -1])
    everything = np.array([1.5, 2.5]) / 4
    expected = [([1, 1] + everything) / 3, everything]
    assert_allclose(soft_targets(prior, [0, 0], [7, 8]), expected, rtol=1e-6)
    assert prior.past_nouns_ == prior.past_verbs_ == []


def test_minus_one_is_a_past_action_where_it_is_a_class():
    prior = TransitionPrior(strength=1.0).fit([-1, 1], [1, 1, -1], [-1, -1, 1])
    assert prior.past_actions_ == [-1, 1]
    assert prior.rows([1, 1], [-1, 1]).tolist() == [0, 1]


def test_sequences_count_as_their_pairs():
    past, y = pairs(SEQUENCES)
    by_pair = TransitionPrior(ACTIONS).fit(CLASSES, y, past)
    by_sequence = TransitionPrior(ACTIONS, sequences=SEQUENCES).fit(CLASSES)
    assert_array_equal(by_sequence.matrix_, by_pair.matrix_)
    assert by_sequence.past_actions_ == by_pair.past_actions_


def test_transition_rows_need_the_past():
    prior = TransitionPrior().fit([0, 1], [0], [1])
    with pytest.raises(ValueError, match="y_past is None"):
        prior.rows([0])
    with pytest.raises(ValueError, match="y_past has 2 labels but y has 1"):
        prior.rows([0], [1, 1])


def test_a_past_action_without_an_entry_in_actions_is_an_error():
    with pytest.raises(ValueError, match="among them 9: add them to actions"):
        TransitionPrior(ACTIONS).fit(CLASSES, [0], [9])


# -------------------------------------------------------------- array and mixture

SOFT = np.array([[0.6, 0.2, 0.2], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0]])


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
