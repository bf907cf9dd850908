import gzip

import numpy as np
import pytest
from gensim.models import KeyedVectors
from numpy.testing import assert_allclose

from skanticipate.priors import read_word_vectors

LINES = ["the 1 2 3", "cut 0.5 -1 2e-1", "at home 9 9 9", ". . . 7 7 7", "pan 4 5 6"]


def write(tmp_path, lines, name="vectors.txt"):
    path = tmp_path / name
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "wb") as file:
        file.write("".join(line + "\n" for line in lines).encode())
    return path


def test_only_the_words_asked_for_are_read(tmp_path):
    vectors = read_word_vectors(write(tmp_path, LINES), ["cut", "pan", "spoon"])
    assert isinstance(vectors, KeyedVectors)
    assert vectors.index_to_key == ["cut", "pan"]
    assert_allclose(vectors["cut"], [0.5, -1, 0.2])
    assert vectors["pan"].dtype == np.float32


def test_numpy_reads_the_same_vectors(tmp_path):
    path = write(tmp_path, [line for line in LINES if len(line.split()) == 4])
    table = np.loadtxt(path, dtype=str)
    vectors = read_word_vectors(path, table[:, 0])
    assert vectors.index_to_key == table[:, 0].tolist()
    assert_allclose(vectors.vectors, table[:, 1:].astype(float), rtol=1e-6)


@pytest.mark.parametrize("name", ["vectors.vec", "vectors.vec.gz"])
def test_a_header_and_compression_change_nothing(tmp_path, name):
    path = write(tmp_path, ["5 3", *LINES], name)
    assert_allclose(read_word_vectors(path, ["pan"])["pan"], [4, 5, 6])


def test_a_word_with_spaces_is_not_its_first_word(tmp_path):
    vectors = read_word_vectors(write(tmp_path, LINES), ["at", ".", "home"])
    assert len(vectors) == 0


GLOVE_840B = [". . .", "at name@domain.com", "to name@domain.com", "by ...", "."]


def test_words_with_spaces_are_read_where_they_are_asked_for(tmp_path):
    lines = [f"{word} 1 2 {number}" for number, word in enumerate(GLOVE_840B)]
    path = write(tmp_path, [*LINES, *lines])
    vectors = read_word_vectors(path, [*GLOVE_840B[1:], "at", "to", "by"])
    assert vectors.index_to_key == GLOVE_840B[1:]
    assert_allclose(vectors.vectors[:, 2], [1, 2, 3, 4])


def test_broken_lines_that_share_a_first_word_do_no_harm(tmp_path):
    path = write(tmp_path, [*LINES[:2], "at 9", "at home 1 2 3"])
    assert_allclose(read_word_vectors(path, ["at home"])["at home"], [1, 2, 3])


def test_a_space_before_a_word_changes_nothing(tmp_path):
    path = write(tmp_path, [*LINES, " spoon 1 2 3"])
    assert_allclose(read_word_vectors(path, ["spoon"])["spoon"], [1, 2, 3])


def test_the_first_line_of_a_word_counts(tmp_path):
    path = write(tmp_path, [*LINES, "cut 8 8 8"])
    assert_allclose(read_word_vectors(path, ["cut", "absent"])["cut"], [0.5, -1, 0.2])


def test_the_dimension_survives_spaced_and_broken_first_lines(tmp_path):
    path = write(tmp_path, ["a b c d 1 2 3", "torn 1", *LINES])
    assert_allclose(read_word_vectors(path, ["pan"])["pan"], [4, 5, 6])


def test_words_beyond_ascii_and_odd_spaces_are_read(tmp_path):
    path = write(tmp_path, [*LINES, "purée\u00a0x 1 1 1", "purée 1 0 1 "])
    assert_allclose(read_word_vectors(path, ["purée"])["purée"], [1, 0, 1])


def test_vectors_of_one_dimension_are_read(tmp_path):
    path = write(tmp_path, ["7 1", "cut 2", "pan 3"])
    assert_allclose(read_word_vectors(path, ["pan"])["pan"], [3])


@pytest.mark.parametrize(
    "broken",
    [
        "pan 1 2",
        "pan 1 x 3",
        "pan 1 nan 3",
        "pan",
        "pan 1 0 0 5",
        "pan 1 0 0 5 -6e-1",
        "pan 1 1_5 3",
    ],
)
def test_a_broken_line_is_named(tmp_path, broken):
    path = write(tmp_path, [*LINES[:4], broken])
    with pytest.raises(
        ValueError, match=r"vectors\.txt, line 5: expected a word and 3"
    ):
        read_word_vectors(path, ["pan"])


def test_line_numbers_count_the_header(tmp_path):
    path = write(tmp_path, ["2 3", "cut 1 2 3", "pan 1"])
    with pytest.raises(ValueError, match="line 3:"):
        read_word_vectors(path, ["pan"])


def test_broken_lines_of_other_words_do_no_harm(tmp_path):
    path = write(tmp_path, [*LINES, "spoon x y z", "fork 1 1 1"])
    assert_allclose(read_word_vectors(path, ["fork"])["fork"], 1)


def test_nothing_is_parsed_after_the_last_word(tmp_path):
    path = write(tmp_path, ["cut 1 2 3", "pan 1 2 3", "pan broken"])
    assert_allclose(read_word_vectors(path, ["pan"])["pan"], [1, 2, 3])


@pytest.mark.parametrize("lines", [[], [""], ["cut", "pan"]])
def test_a_file_without_vectors_is_refused(tmp_path, lines):
    with pytest.raises(ValueError, match="holds no word vectors"):
        read_word_vectors(write(tmp_path, lines), ["pan"])


def test_a_line_beyond_the_probed_ones_is_found(tmp_path):
    path = write(tmp_path, [f"w{i} {i} {i} {i}" for i in range(250)])
    vectors = read_word_vectors(path, ["w3", "w249"])
    assert_allclose(vectors["w249"], 249)
    assert_allclose(vectors["w3"], 3)
