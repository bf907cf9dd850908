"""HistoryText: past labels as text."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skanticipate
from skanticipate import HistoryText
from skanticipate.preprocessing.text import spell, texts_of

EPIC = {
    3: ("turn-on", "tap"),
    7: ("put-down", "board:chopping"),
    9: ("take", "machine:washing"),
}
EGTEA = {0: ("Divide/Pull Apart", "eating:utensil"), 1: ("Turn on", "cutting:board")}


def test_epic_nouns_are_turned_round():
    texts = HistoryText(EPIC).transform([[3, 7], [-1, 9]])
    assert texts.tolist() == [
        "turn on <v> tap <a> put down <v> chopping board",
        "take <v> washing machine",
    ]


def test_egtea_nouns_stay_as_they_are():
    texts = HistoryText(EGTEA, noun_order="reading").transform([[0, 1]])
    assert texts.tolist() == [
        "divide or pull apart <v> eating utensil <a> turn on <v> cutting board"
    ]


@pytest.mark.parametrize(
    "name, in_order, turned",
    [
        ("pan", "pan", "pan"),
        ("spoon:wooden:small", "spoon wooden small", "small wooden spoon"),
        ("grabUp_fast", "grab up fast", "grab up fast"),
        ("salt/pepper", "salt or pepper", "salt or pepper"),
        ("", "", ""),
    ],
)
def test_names_are_spelled_as_one_reads_them(name, in_order, turned):
    assert spell(name) == in_order
    assert spell(name, head_first=True) == turned


def test_labels_may_be_names():
    texts = HistoryText().transform([["cut onion", "wash board:cutting"]])
    assert texts.tolist() == ["cut <v> onion <a> wash <v> cutting board"]


@pytest.mark.parametrize("missing", [None, np.nan, "", -1, pd.NA])
def test_padding_is_left_out_and_an_empty_history_is_an_empty_text(missing):
    texts = HistoryText().transform([[missing, "cut onion"], [missing, missing]])
    assert texts.tolist() == ["cut <v> onion", ""]


@pytest.mark.parametrize("dtype", [np.int64, np.float64, object])
def test_labels_may_be_numbers_of_any_type(dtype):
    history = np.array([[3, 9]], dtype=dtype)
    assert HistoryText(EPIC).transform(history).tolist() == [
        "turn on <v> tap <a> take <v> washing machine"
    ]


def test_the_template_and_the_separator_are_free():
    text = HistoryText(EPIC, template="you {verb} the {noun}", separator=", then ")
    assert text.transform([[3, 9]]).tolist() == [
        "you turn on the tap, then you take the washing machine"
    ]
    assert HistoryText(EPIC, template="{noun}").transform([[9]])[0] == "washing machine"


def test_a_table_and_a_data_frame_do():
    table = {"label": [1], "verb": ["cut"], "noun": ["onion"]}
    texts = HistoryText(table).transform(pd.DataFrame([[1, 1]]))
    assert texts.tolist() == ["cut <v> onion <a> cut <v> onion"]


def test_texts_are_str_objects_one_a_row():
    texts = HistoryText(EPIC).fit([[3]]).transform([[3], [7]])
    assert texts.shape == (2,) and texts.dtype == object
    assert type(texts[0]) is str


def test_it_begins_a_pipeline_that_reads_the_past():
    past = [["", "cut onion"], ["take pan", "wash pan"], ["", "take pan"]] * 4
    y = ["wash pan", "cut onion", "wash pan"] * 4
    reader = make_pipeline(HistoryText(), TfidfVectorizer(), LogisticRegression())
    by_hand = [
        "cut <v> onion",
        "take <v> pan <a> wash <v> pan",
        "take <v> pan",
    ] * 4
    peer = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(by_hand, y)
    proba = reader.fit(past, y).predict_proba(past)
    assert_array_equal(proba, peer.predict_proba(by_hand))


def test_its_parameters_are_searched():
    past = np.array([["cut onion"], ["wash pan"]] * 6, dtype=object)
    reader = make_pipeline(HistoryText(), CountVectorizer(), LogisticRegression())
    grid = {"historytext__template": ["{verb}", "{noun} {verb}"]}
    search = GridSearchCV(reader, grid, cv=2, error_score="raise")
    assert search.fit(past, ["a", "b"] * 6).best_score_ == 1


def test_it_is_cloned_and_public():
    text = HistoryText(EPIC, template="{verb}", separator=" ", noun_order="reading")
    assert clone(text).get_params() == text.get_params()
    assert skanticipate.preprocessing.HistoryText is HistoryText
    tags = text.__sklearn_tags__()
    assert tags.input_tags.string and not tags.requires_fit


@pytest.mark.parametrize(
    "template", ["", "cut", "{verb} {object}", "{}", "{0}", "{verb", "{verb!r}"]
)
def test_a_template_names_verb_and_noun_only(template):
    with pytest.raises(ValueError, match="write one action with {verb} and {noun}"):
        HistoryText(template=template).fit([["cut onion"]])


def test_a_template_reads_no_attributes():
    for template in ("{verb.__class__}", "{verb[0]}", "{verb:{noun}}"):
        with pytest.raises(ValueError, match="write one action with"):
            HistoryText(template=template).transform([["cut onion"]])


def test_unknown_labels_are_errors_with_a_remedy():
    with pytest.raises(ValueError, match="among them 8: add them to actions"):
        HistoryText(EPIC).transform([[3, 8]])
    with pytest.raises(ValueError, match="pass actions="):
        HistoryText().fit([[3, 8]])
    with pytest.raises(ValueError, match="'cut': pass actions="):
        HistoryText().fit([["cut"]])


@pytest.mark.parametrize("X", [[3, 7], [[]], np.zeros((2, 2, 1)), np.zeros((0, 3))])
def test_histories_have_two_axes(X):
    with pytest.raises(ValueError, match=r"Expected histories of shape \(n, L\)"):
        HistoryText(EPIC).transform(X)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="noun_order"):
        HistoryText(noun_order="epic").transform([["cut onion"]])
    with pytest.raises(ValueError, match="separator"):
        HistoryText(separator=None).fit([["cut onion"]])


def test_texts_are_taken_as_they_are():
    texts = ["Cut it!", None, ""]
    assert texts_of(texts, HistoryText()) == ["Cut it!", "", ""]
    assert texts_of(pd.Series(texts), HistoryText()) == ["Cut it!", "", ""]
    assert texts_of([["cut onion"]], HistoryText()) == ["cut <v> onion"]


@pytest.mark.parametrize("texts", [[], [1, 2], [["a b"], ["a b", "c d"]]])
def test_texts_are_strings(texts):
    with pytest.raises(ValueError, match=r"or texts of shape \(n,\)"):
        texts_of(texts, HistoryText())


@pytest.mark.parametrize("kind", [int, np.int64, str])
def test_ids_of_verbs_and_nouns_are_no_words(kind):
    ids = {0: (kind(0), kind(2)), 1: (kind(1), kind(2))}
    with pytest.raises(
        ValueError, match="The verb .*0.* is a number, .* rather than ids"
    ):
        HistoryText(ids).transform([[0, 1]])
    with pytest.raises(ValueError, match="The noun '2' is a number"):
        HistoryText().fit([["cut 2", "wash pan"]])
    names = {0: ("cut", "7up can"), 1: ("wash", "pan")}
    assert HistoryText(names).transform([[0, 1]]).tolist() == [
        "cut <v> 7up can <a> wash <v> pan"
    ]
