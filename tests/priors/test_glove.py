import os
from urllib.error import URLError

import numpy as np
import pytest
from five_actions import ACTIONS, CLASSES, VECTORS, assert_stochastic
from gensim.models import KeyedVectors
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skanticipate.priors import GloVePrior, MixturePrior


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


@pytest.mark.parametrize("similarity", ["absdot", "cosine", "relu", "expcosine"])
@pytest.mark.parametrize("length", [1e-25, 1e25])
def test_the_length_of_all_vectors_does_not_matter(similarity, length):
    scaled = {word: length * np.array(vector) for word, vector in VECTORS.items()}
    matrix = GloVePrior(ACTIONS, scaled, similarity=similarity).fit(CLASSES).matrix_
    assert_allclose(matrix, naive_glove(similarity, 1), atol=1e-6)


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
    with pytest.warns(UserWarning, match=r"No word vector for 1 of . names.*: zzz\."):
        matrix = GloVePrior(actions, VECTORS).fit([0, 1, 2]).matrix_
    assert_allclose(matrix[1], [0.5, 0.5, 0])


def test_five_unknown_names_are_listed_and_the_rest_is_counted():
    actions = {k: ("cut", f"zzz{k}") for k in range(7)}
    message = r": zzz0, zzz1, zzz2, zzz3, zzz4 and 2 more\."
    with pytest.warns(UserWarning, match=f"No word vector for 7 of . names.*{message}"):
        GloVePrior(actions, VECTORS).fit(range(7))


@pytest.mark.parametrize("similarity", ["absdot", "cosine", "relu", "expcosine"])
def test_a_class_without_any_vector_falls_back_to_verb_noun_then_one_hot(similarity):
    actions = {0: ("cut", "pan"), 1: ("xxx", "pan"), 2: ("xxx", "zzz"), 3: ("u", "w")}
    prior = GloVePrior(actions, VECTORS, similarity=similarity)
    with pytest.warns(UserWarning, match="4 of 6 names"):
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
    with pytest.raises(ValueError, match=r"know none of the 3 words"):
        GloVePrior({0: ("x", "y"), 1: ("x", "z")}, VECTORS).fit([0, 1])


@pytest.mark.parametrize("kind", [int, np.int32, float, str])
def test_ids_are_not_read_as_words(kind):
    digits = {"0": [1.0, 0.0], "1": [0.0, 1.0], "2": [1.0, 1.0]}  # as GloVe has them
    actions = {k: (kind(0), kind(k)) for k in range(3)}
    with pytest.raises(ValueError, match="names rather than ids in actions="):
        GloVePrior(actions, digits).fit([0, 1, 2])
    with pytest.raises(ValueError, match="The noun '1' is a number"):
        GloVePrior({0: ("cut", "1"), 1: ("cut", "pan")}, VECTORS | digits).fit([0, 1])


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


def test_a_file_that_was_replaced_is_read_again_whatever_its_date_says(tmp_path):
    path, other = tmp_path / "glove.txt", tmp_path / "new.txt"
    path.write_text("cut 1 0\nwash 0 1\npan 1 1\n")
    other.write_text("cut 1 0\nwash 1 0\npan 1 1\n")
    classes = ["cut pan", "wash pan"]
    stat = path.stat()
    before = GloVePrior(vectors=path).fit(classes).matrix_
    # of v = (cut, pan), (wash, pan): v v' = [[3, 2], [2, 3]], then all alike
    assert_allclose(before, [[0.6, 0.4], [0.4, 0.6]], rtol=1e-6)
    os.replace(other, path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert_allclose(GloVePrior(vectors=path).fit(classes).matrix_, 0.5)


@pytest.mark.parametrize(
    ("verb", "noun"),
    [
        ("cut_(trim,_slice)", "cup_(mug,_pan)"),  # as Ego4D has them
        ("cut (trim)", "cup,pan"),
        ("cut; trim", "[cup] pan"),
    ],
)
def test_commas_and_brackets_are_no_part_of_a_word(verb, noun):
    actions = {0: (verb, noun), 1: ("wash", "pan"), 2: ("open", "cup")}
    found = GloVePrior(actions, VECTORS).fit([0, 1, 2]).matrix_
    # phi_0 = [cut; (cup + pan) / 2] = [1, 0; 1, .5], phi_1 = [0, 1; 1, 1],
    # phi_2 = [-1, 0; 1, 0]: products 2.25, 1.5, 0 with the first
    assert_allclose(found[0], [2.25 / 3.75, 1.5 / 3.75, 0], atol=1e-6)
