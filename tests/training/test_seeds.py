import numpy as np

from skanticipate.training.seeds import seeds_of


def test_seeds_are_words_of_a_sequence_that_random_state_begins():
    root = np.random.RandomState(7).randint(np.iinfo(np.int32).max)
    words = np.random.SeedSequence(root).generate_state(3).tolist()
    expected = {"init": words[0], "crop": words[1], 5: words[2]}
    assert seeds_of(7, ["init", "crop", 5]) == expected
    assert seeds_of(np.random.RandomState(7), ["init", "crop", 5]) == expected


def test_further_purposes_leave_the_seeds_of_the_first():
    few, many = seeds_of(0, "ab"), seeds_of(0, "abcdefgh")
    assert {name: many[name] for name in "ab"} == few
    assert len(set(many.values())) == 8


def test_a_random_state_instance_goes_on_and_none_is_drawn():
    stream = np.random.RandomState(0)
    assert seeds_of(stream, "a") != seeds_of(stream, "a")
    np.random.seed(3)
    one = seeds_of(None, "a")
    np.random.seed(3)
    assert seeds_of(None, "a") == one != seeds_of(None, "a")
