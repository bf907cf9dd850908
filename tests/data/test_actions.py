import warnings
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.utils import Bunch

from skanticipate import (
    MLP,
    GloVePrior,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    MarginalLoss,
    MixturePrior,
    SmoothedAnticipator,
    TransitionPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.data.actions import action_lookup, as_mapping, verbs_and_nouns, words
from skanticipate.metrics import marginalize


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Divide/Pull Apart", ["divide", "pull", "apart"]),
        ("board:cutting", ["board", "cutting"]),
        ("turn-on", ["turn", "on"]),
        ("take_out", ["take", "out"]),
        ("TurnOn", ["turn", "on"]),
        (" pan ", ["pan"]),
        ("", []),
        (3, ["3"]),
    ],
)
def test_words_are_lower_case_and_split_at_separators(name, expected):
    assert words(name) == expected


@pytest.mark.parametrize(
    "name",
    ["\ufeffput-down cup", "put-\u200bdown cu\u00adp", "put\u2011down cup"]
    + ["put\u2013down cup", "put\u2014Down\u2060 cup"],
    ids=ascii,
)
def test_what_is_not_seen_is_of_no_word(name):
    """The mark of a file's beginning, soft hyphens, and dashes of other lengths."""
    assert words(name) == ["put", "down", "cup"]


@pytest.mark.parametrize("space", [" ", "  ", "\t", " \n"])
def test_names_are_split_after_the_first_word(space):
    labels = [f"cut{space}onion", f" wash{space}pan{space}"]
    verbs, nouns = verbs_and_nouns(labels)
    assert verbs.tolist() == ["cut", "wash"]
    assert nouns.tolist() == ["onion", "pan"]
    assert verbs.dtype == nouns.dtype == object


def test_long_names_are_split_with_a_warning():
    labels = ["Turn on faucet", "cut onion", "wash cutting board", "Turn on faucet"]
    with pytest.warns(UserWarning) as caught:
        verbs, nouns = verbs_and_nouns(labels)
    assert verbs.tolist() == ["Turn", "cut", "wash", "Turn"]
    assert nouns.tolist() == ["on faucet", "onion", "cutting board", "on faucet"]
    (message,) = [str(warning.message) for warning in caught]
    assert "'Turn on faucet' as ('Turn', 'on faucet')" in message
    assert "'wash cutting board' as ('wash', 'cutting board')" in message
    assert "pass actions=, a mapping label -> (verb, noun) or a table" in message


def test_both_kinds_of_doubtful_names_are_told_at_once():
    with pytest.warns(UserWarning) as caught:
        verbs_and_nouns(["turn on faucet", "sit down"])
    (message,) = [str(warning.message) for warning in caught]
    assert "'turn on faucet' as ('turn', 'on faucet'), 'sit down' as" in message


@pytest.mark.parametrize("word", ["down", "around", "to", "with", "together", "Into"])
def test_a_second_word_that_is_no_noun_is_told(word):
    labels = [f"sit {word}", f"lie {word}", "cut onion"]
    with pytest.warns(UserWarning, match="or no noun, pass actions=") as caught:
        prior = VerbNounPrior().fit(labels)
    (message,) = [str(warning.message) for warning in caught]
    assert f"{labels[1]!r} as ('lie', {word!r}), {labels[0]!r} as ('sit'," in message
    assert prior.matrix_[0].tolist() == [0.5, 0.5, 0]  # by that word
    actions = {name: (name, name) for name in labels[:2]} | {
        labels[2]: ("cut", "onion")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_array_equal(VerbNounPrior(actions).fit(labels).matrix_, np.eye(3))
        VerbNounPrior().fit(["use outlet", "cut onion"])


def test_a_table_says_where_a_name_is_split():
    actions = {"Turn on faucet": ("Turn on", "faucet")}
    verbs, nouns = verbs_and_nouns(list(actions), actions)
    assert (verbs[0], nouns[0]) == ("Turn on", "faucet")


LONG = ["turn on faucet", "turn on stove", "put down pan"]
PAST = [[None, name] for name in LONG]
CLIPS = np.eye(3)


def fit_of_all():
    return SmoothedAnticipator(
        MLP(4, head=VerbNounHead()),
        prior=MixturePrior([VerbNounPrior(), TransitionPrior()]),
        marginal_loss=MarginalLoss(),
        max_epochs=1,
        random_state=0,
    ).fit(CLIPS, LONG, y_past=LONG)


WHO_SPLITS = {
    "VerbNounPrior": lambda: VerbNounPrior().fit(LONG),
    "GloVePrior": lambda: GloVePrior(vectors={"turn": np.ones(2)}).fit(LONG),
    "TransitionPrior": lambda: TransitionPrior().fit(LONG, LONG, LONG),
    "MarginalLoss": lambda: MarginalLoss().parts(LONG),
    "VerbNounHead": lambda: VerbNounHead().fit(LONG),
    "HistoryEncoder": lambda: HistoryEncoder().fit(PAST),
    "HistoryText": lambda: HistoryText().transform(PAST),
    "HistoryTeacher": lambda: HistoryTeacher(n_networks=1, max_epochs=1).fit(
        PAST * 2, LONG * 2, groups=range(len(LONG * 2))
    ),
    "marginalize": lambda: marginalize(CLIPS, LONG),
    "prior, head, loss": fit_of_all,
}


@pytest.mark.parametrize("split", WHO_SPLITS.values(), ids=WHO_SPLITS)
def test_all_who_split_long_names_say_the_same(split):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        split()
    messages = [
        str(w.message) for w in caught if "No word vector" not in str(w.message)
    ]
    assert len(set(messages)) == 1, messages
    assert messages[0].startswith("Labels are split into verb and noun after the first")
    assert len({(w.filename, w.lineno) for w in caught}) == 1  # so Python says it once
    assert caught[0].filename == __file__


def test_prediction_does_not_say_it_again():
    with pytest.warns(UserWarning, match="split into verb and noun"):
        encoder = HistoryEncoder().fit(PAST)
        prior = TransitionPrior().fit(LONG, LONG, LONG)
    assert encoder.transform(PAST).shape == (3, 2, 3)
    assert prior.rows(LONG, LONG).tolist() == [0, 1, 2]


TABLE = {"label": [7, 8], "verb": ["cut", "wash"], "noun": ["onion", "pan"]}


@pytest.mark.parametrize(
    "actions",
    [
        {7: ("cut", "onion"), 8: ("wash", "pan")},
        TABLE,
        Bunch(**{name: np.array(column) for name, column in TABLE.items()}),
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE).set_index("label"),
        {7: {"verb": "cut", "noun": "onion"}, 8: {"noun": "pan", "verb": "wash"}},
        {7: {"id": 0, "noun": "onion", "verb": "cut"}, 8: ["wash", "pan"]},
        {7: pd.Series({"noun": "onion", "verb": "cut"}), 8: np.array(["wash", "pan"])},
        pd.Series({7: ("cut", "onion"), 8: ("wash", "pan")}),
        pd.DataFrame(TABLE).set_index("label").to_dict("index"),
    ],
)
def test_mapping_and_tables_agree(actions):
    verbs, nouns = verbs_and_nouns(np.array([8, 7, 8]), actions)
    assert verbs.tolist() == ["wash", "cut", "wash"]
    assert nouns.tolist() == ["pan", "onion", "pan"]


def test_ids_stay_ids():
    verbs, nouns = verbs_and_nouns([0], {0: (3, 5)})
    assert (verbs[0], nouns[0]) == (3, 5)


def test_no_labels_give_no_verbs():
    verbs, nouns = verbs_and_nouns([], {})
    assert verbs.shape == nouns.shape == (0,)


def test_numpy_strings_are_looked_up_as_strings():
    verbs, _ = verbs_and_nouns(np.array(["a"]), {"a": ("cut", "onion")})
    assert verbs.tolist() == ["cut"]


@pytest.mark.parametrize("labels", [[1, 2], ["cut", "pour"], ["cut "], [None]])
def test_labels_without_verb_and_noun_ask_for_actions(labels):
    with pytest.raises(ValueError, match=r"among them .*pass actions="):
        verbs_and_nouns(labels)


@pytest.mark.parametrize("labels", [[0, 1], np.array([0, 1])])
def test_whole_numbers_without_actions_may_come_from_a_meta_estimator(labels):
    with pytest.raises(ValueError, match=r"VotingClassifier.*labels as 0\.\.C-1"):
        verbs_and_nouns(labels)


def test_meta_estimators_are_not_blamed_for_strings():
    with pytest.raises(ValueError, match="'verb noun'") as caught:
        verbs_and_nouns(["cut", "pour"])
    assert "VotingClassifier" not in str(caught.value)


def test_a_label_missing_from_the_table_is_named():
    with pytest.raises(ValueError, match=r"1 labels have none, among them 9: add them"):
        verbs_and_nouns([7, 9, 9], TABLE)


def test_a_table_without_the_columns_is_refused():
    with pytest.raises(ValueError, match=r"columns 'label', 'verb' and 'noun'"):
        verbs_and_nouns([7], pd.DataFrame({"id": [7], "verb": [0]}))


def test_a_table_of_unequal_columns_is_refused():
    with pytest.raises(ValueError, match=r"equally long, got 2, 1, 2 rows"):
        verbs_and_nouns([7], {**TABLE, "verb": ["cut"]})


def test_a_table_that_contradicts_itself_is_refused():
    table = {"label": [7, 7], "verb": ["cut", "wash"], "noun": ["onion", "onion"]}
    with pytest.raises(ValueError, match=r"label 7 both \('cut', 'onion'\)"):
        verbs_and_nouns([7], table)


@pytest.mark.parametrize(
    "pair", ["cut onion", ("cut",), ("cut", "red", "onion"), {"cut", "onion"}, 3]
)
def test_an_entry_that_is_no_pair_is_refused(pair):
    with pytest.raises(ValueError, match=r"must give a pair \(verb, noun\)"):
        verbs_and_nouns([7], {7: pair})


def test_lookup_gives_none_where_nothing_is_known():
    assert action_lookup({7: ("cut", "onion")})(8) is None
    assert action_lookup()("cut") is None
    assert action_lookup()(None) is None
    assert action_lookup()("cut onion") == ("cut", "onion")


@pytest.mark.parametrize("actions", [TABLE, pd.DataFrame(TABLE)])
def test_a_table_becomes_a_mapping(actions):
    assert as_mapping(actions) == {7: ("cut", "onion"), 8: ("wash", "pan")}


def test_a_mapping_is_taken_as_it_is():
    actions = {7: ("cut", "onion")}
    assert as_mapping(actions) is actions


def test_columns_that_are_mappings_are_no_lists():
    # list() of such a column would give the numbers of its rows
    table = pd.DataFrame({"label": [0, 1], "verb": ["cut"] * 2, "noun": ["a", "b"]})
    with pytest.raises(ValueError, match="label of actions must .*got a dict"):
        verbs_and_nouns([0, 1], table.to_dict())


@pytest.mark.parametrize(
    "actions",
    [
        {7: {"Verb": "cut", "Noun": "onion"}},
        pd.DataFrame(TABLE).set_index("label").to_dict(),
    ],
)
def test_a_pair_without_the_names_is_refused(actions):
    with pytest.raises(ValueError, match="a dict without 'verb' and 'noun': expected"):
        as_mapping(actions)


def test_a_series_that_contradicts_itself_is_refused():
    actions = pd.Series([("cut", "onion"), ("wash", "onion")], index=[7, 7])
    with pytest.raises(ValueError, match=r"label 7 both \('cut', 'onion'\)"):
        as_mapping(actions)


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_pairs_may_be_mappings_wherever_actions_are_taken(kind):
    pairs = {"cut": ("cut", "onion"), "dice": ("dice", "onion"), "go": ("go", "home")}
    named = {k: {"noun": noun, "verb": verb} for k, (verb, noun) in pairs.items()}
    past, y = ["go", "cut", "go", "go"], ["cut", "dice", "go", "cut"]
    for prior in (VerbNounPrior, TransitionPrior):
        fitted = [prior(actions) for actions in (pairs, kind(named))]
        for one in fitted:
            one.fit(list(pairs), y, past)
        assert_array_equal(fitted[0].matrix_, fitted[1].matrix_)
        rows = [one.rows(y, past) for one in fitted]
        assert_array_equal(*rows)
    histories = [["go", "cut"], ["cut", "dice"]]
    codes = [HistoryEncoder(actions=a).fit_transform(histories) for a in (pairs, named)]
    assert_array_equal(*codes)


@pytest.mark.parametrize("twin", ["Cut", "cut ", " cut", "CUT"])
@pytest.mark.parametrize("kind", ["verb", "noun"])
def test_names_that_differ_in_case_or_spaces_only_are_warned_of(kind, twin):
    pairs = [("cut", "a"), (twin, "b"), ("wash", "a"), ("wash", "c")]
    if kind == "noun":
        pairs = [pair[::-1] for pair in pairs]
    actions = dict(enumerate(pairs))
    says = f"The {kind}s 'cut' and {twin!r} differ in nothing but case, spaces"
    with pytest.warns(UserWarning, match=says):
        verbs_and_nouns(range(4), actions)
    y = np.arange(12) % 4
    with pytest.warns(UserWarning, match=says):
        VerbNounPrior(actions).fit(range(4), y)
    for network, loss in ((MLP(2, head=VerbNounHead(actions)), None),) + (
        (MLP(2), MarginalLoss(actions)),
    ):
        model = SmoothedAnticipator(network, marginal_loss=loss, max_epochs=1)
        with pytest.warns(UserWarning, match=says):
            model.fit(np.eye(12), y)


def test_labels_that_look_like_one_are_told_of_and_not_their_verbs_too():
    labels = ["Cut onion", "cut onion", "wash pan"]
    with pytest.warns(UserWarning) as caught:
        VerbNounPrior().fit(labels)
    with pytest.warns(UserWarning) as caught_past:
        TransitionPrior().fit(labels, labels, labels)
    for found in (caught, caught_past):
        (message,) = [str(w.message) for w in found]
        assert message.startswith("The labels 'Cut onion' and 'cut onion' differ in")


def test_names_of_other_words_and_ids_are_no_twins():
    pairs = {0: ("cut", "onion"), 1: ("cut off", "onions"), 2: (1, "1")}
    verbs, _ = verbs_and_nouns(range(3), pairs)
    assert verbs.tolist() == ["cut", "cut off", 1]


def test_letters_that_are_composed_otherwise_make_no_other_word():
    composed, apart = "jalape\u00f1o", "jalapen\u0303o"
    assert words(apart) == words(composed) == [composed]
    with pytest.warns(UserWarning, match="jalape.* differ in nothing but"):
        verbs_and_nouns([f"cut {composed}", f"wash {apart}"])
    vectors = {"cut": [1.0, 0.0], "wash": [0.5, 0.5], composed: [0.0, 1.0]}
    actions = {0: ("cut", apart), 1: ("wash", apart)}
    expected = {0: ("cut", composed), 1: ("wash", composed)}
    found = [GloVePrior(a, vectors).fit([0, 1]).matrix_ for a in (actions, expected)]
    assert_array_equal(*found)


def test_a_named_tuple_is_read_by_its_names():
    Named = namedtuple("Named", ["noun", "verb"])
    named = {0: Named("cup", "take"), 1: Named("pan", "wash")}
    plain = {0: ("take", "cup"), 1: ("wash", "pan")}
    proba = [[0.3, 0.7]]
    found, expected = (marginalize(proba, [0, 1], table) for table in (named, plain))
    assert_array_equal(found.verbs, expected.verbs)
    assert_array_equal(found.verbs, ["take", "wash"])
    assert_array_equal(found.nouns, ["cup", "pan"])
