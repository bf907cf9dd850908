import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skanticipate.datasets import (
    label_history,
    many_shot_actions,
    read_actions,
    read_class_list,
    read_classes,
    read_segments,
    read_video_info,
)

READERS = [read_segments, read_actions, read_classes, read_class_list]
RULSTM = (
    "00330, P01_02, 0000000152, 0000000205, 000, 004, 0194\n"
    "00331, P01_02, 0000000258, 0000000278, 002, 025, 1245\n"
)
VERBS = (
    "verb_id,class_key,verbs\r\n"
    "1,put,\"['put', 'put-down']\"\r\n"
    "0,take,\"['take', 'grab']\"\r\n"
)


@pytest.fixture
def write(tmp_path):
    def write(text, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# segments


def test_rulstm_segments_have_no_header_and_spaces(write):
    segments = read_segments(write(RULSTM))
    assert {name: column.tolist() for name, column in segments.items()} == {
        "id": [330, 331],
        "video": ["P01_02", "P01_02"],
        "start_frame": [152, 258],
        "stop_frame": [205, 278],
        "verb": [0, 2],
        "noun": [4, 25],
        "action": [194, 1245],
    }


def test_string_ids_stay_strings(write):
    segments = read_segments(write("P01_01_0, P01_01, 4, 101, 3, 3, 2413"))
    assert segments.id.tolist() == ["P01_01_0"]


def test_ids_that_are_one_number_stay_two(write):
    rows = ["001, P01_01, 30, 40, 0, 0, 0", "1, P01_01, 50, 60, 0, 0, 0"]
    assert read_segments(write("\n".join(rows))).id.tolist() == ["001", "1"]
    rows[1] = rows[1].replace("1,", "002,", 1)
    assert read_segments(write("\n".join(rows))).id.tolist() == [1, 2]


@pytest.mark.parametrize("rate", ["29_97", "2_9.97", "29,97", "0x1d", "nan", "inf"])
def test_what_python_alone_takes_for_a_number_is_none(write, rate):
    with pytest.raises(ValueError, match="as fps: expected a number above 0"):
        read_video_info(write(f'video,fps\nP01_01,"{rate}"'))


def test_a_header_keeps_other_columns_in_any_order(write):
    segments = read_segments(
        write(
            "action,video,narration,fold,stop_frame,start_frame\n"
            '4,12,"cut, then put",1,20,-3\n\n'
            "5,12,,2,30,20\n"
        )
    )
    assert list(segments) == [
        "action", "video", "narration", "fold", "stop_frame", "start_frame",
    ]  # fmt: skip
    assert segments.narration.tolist() == ["cut, then put", ""]
    assert segments.fold.tolist() == [1, 2]
    assert segments.video.tolist() == ["12", "12"]
    assert segments.start_frame.tolist() == [-3, 20]


def test_a_byte_order_mark_is_no_part_of_the_header(write):
    text = "video,start_frame,stop_frame,action\na,1,2,3\n"
    segments = read_segments(write(b"\xef\xbb\xbf" + text.encode()))
    assert list(segments)[0] == "video"


def test_segments_can_be_given_to_label_history(write):
    segments = read_segments(write(RULSTM))
    assert label_history(segments, history=1).tolist() == [[-1], [194]]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1, a, 0, 9, 0, 0", r"line 1, has 6 cells: expected 7 \(id, video, "),
        (RULSTM + "\n1, a, x9, 9, 0, 0, 0", "line 4, has 'x9' as start_frame: exp"),
        (RULSTM + "1, a, 0, 9.5, 0, 0, 0", "line 3, has '9.5' as stop_frame: exp"),
        (RULSTM + "1, a, 0, 9, 0, 0,", "line 3, has '' as action: expected a whole"),
        (RULSTM + "1, a, 0, 9, 0, 0, ²", "line 3, has '²' as action"),
        (RULSTM + "1, a, 0, 9, 0, 0, " + "9" * 19, "line 3, has '9999999999999999999'"),
        ("video,start_frame,action\na,0,1", "line 1, has no column 'stop_frame': exp"),
        ("video,video,start_frame,stop_frame,action\n", "line 1, names a column twice"),
        ("video,start_frame,stop_frame,action\n", "line 1, is a header and no row"),
        (RULSTM + '1, "a, 0, 9, 0, 0, 0', "line 3, is no csv"),
    ],
)
def test_broken_segments_are_named_by_line(write, text, match):
    path = write(text)
    with pytest.raises(ValueError, match=match) as error:
        read_segments(path)
    assert str(path) in str(error.value)


# every reader


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_refused(reader, text, write):
    with pytest.raises(ValueError, match="file.csv is empty: expected a csv file"):
        reader(write(text))


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_file_is_named(reader, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file .*absent.csv"):
        reader(tmp_path / "absent.csv")


@pytest.mark.parametrize("reader", READERS)
def test_other_encodings_are_named_by_line(reader, write):
    with pytest.raises(ValueError, match="line 2, is not UTF-8"):
        reader(write("id,action,verb,noun\n0,frapp\xe9,0,0\n".encode("latin-1")))


@pytest.mark.parametrize("reader", READERS)
def test_paths_may_be_strings(reader, write):
    with pytest.raises(ValueError):
        reader(str(write("nothing,of,use\n1,2,3")))


# actions


@pytest.mark.parametrize(
    "text",
    [
        "id,action,verb,noun\n0, take_pan,0,1\n1, turn-on_tap:hot,6,0\n",  # EPIC-55
        "id,verb,noun,action\n0,0,1,take pan\n1,6,0,turn-on tap:hot\n",  # EPIC-100
        "0, 0_1, take_pan\n1, 6_0, turn-on_tap:hot\n",  # EGTEA
    ],
)
def test_the_three_forms_of_actions(write, text):
    actions = read_actions(write(text))
    assert {name: column.tolist() for name, column in actions.items()} == {
        "label": [0, 1],
        "verb": ["take", "turn-on"],
        "noun": ["pan", "tap:hot"],
        "verb_id": [0, 6],
        "noun_id": [1, 0],
    }


def test_verbs_of_egtea_may_hold_spaces(write):
    actions = read_actions(write("12, 8_18, Move Around_bacon"))
    assert (actions.verb[0], actions.noun[0]) == ("Move Around", "bacon")


@pytest.mark.parametrize(
    "rows",
    [
        [("take", "eating_utensil", 0, 5), ("take", "pan", 0, 1)],
        [("take", "eating_utensil", 0, 5), ("take", "cutting_board", 0, 6)],
        [("wash", "eating_utensil", 3, 5), ("take", "eating_utensil", 0, 5)]
        + [("take", "pan", 0, 1)] * 2
        + [("wash", "pan", 3, 1)],
    ],
)
def test_ids_say_where_a_text_with_both_separators_is_split(write, rows):
    lines = [f"{i}, {v} {n},{vi},{ni}" for i, (v, n, vi, ni) in enumerate(rows)]
    actions = read_actions(write("id,action,verb,noun\n" + "\n".join(lines)))
    verbs, nouns, *_ = zip(*rows, strict=True)
    assert (*actions.verb,) == verbs and (*actions.noun,) == nouns


def test_ids_keep_verbs_of_two_words(write):
    rows = [("Turn on", "faucet"), ("Turn off", "faucet"), ("Turn on", "stove")]
    verbs, nouns = (sorted(set(names)) for names in zip(*rows, strict=True))
    text = "\n".join(
        f"{i}, {verbs.index(v)}_{nouns.index(n)}, {v}_{n}"
        for i, (v, n) in enumerate(rows)
    )
    actions = read_actions(write(text))
    assert list(zip(actions.verb, actions.noun, strict=True)) == rows


@pytest.mark.parametrize("sign", [" ", "_"])
@pytest.mark.parametrize(
    "rows",
    [
        [("turn on", "tap"), ("turn off", "tap"), ("wash", "tap")]
        + [("turn on", "hob"), ("turn off", "hob")],
        [("turn on", "tap"), ("turn off", "hob")],  # "turn" would be two verbs
        [("cut", "red onion"), ("cut", "red pepper"), ("wash", "red onion")],
        [("put down", "tap"), ("put", "tap"), ("put down", "hot tap"), ("put", "pan")],
        [("turn on", "tap"), ("turn off", "tap"), ("open", "hot tap")],
        [("turn on", "light switch"), ("turn on", "door"), ("put", "light switch")],
    ],
)
def test_ids_say_which_words_are_the_verb(write, rows, sign):
    verbs, nouns = (list(dict.fromkeys(names)) for names in zip(*rows, strict=True))
    text = "id,verb,noun,action\n" + "\n".join(
        f"{i},{verbs.index(v)},{nouns.index(n)},{f'{v} {n}'.replace(' ', sign)}"
        for i, (v, n) in enumerate(rows)
    )
    actions = read_actions(write(text))
    found = zip(actions.verb, actions.noun, strict=True)
    assert [(v.replace("_", " "), n.replace("_", " ")) for v, n in found] == rows


def test_one_name_of_two_ids_is_told_of(write):
    path = write("id,verb,noun,action\n0,0,0,take pan\n1,1,1,take cup")
    with pytest.warns(
        UserWarning, match="calls two verbs 'take', .* 0 and 1, .*verbs="
    ):
        read_actions(path)
    read_actions(path, verbs=["take", "grab", "grab"])  # no warning: 2 is not there
    with pytest.warns(UserWarning, match="verbs= calls two verbs 'take'.* 0 and 1"):
        read_actions(path, verbs=["take", "take"])


WORDS = ["take", "put", "wash", "open", "cut"]
FIVE = "id,verb,noun,action\n" + "".join(
    f"{k},{k},0,{word}_pan\n" for k, word in enumerate(WORDS)
)


@pytest.mark.parametrize(
    ("verbs", "told"),
    [
        (["none", *WORDS], "0 of the 5 texts .*, and 5 with that of the id above"),
        ([*WORDS[1:], "mix"], "0 of the 5 texts .*, and 4 with that of the id below"),
        (["pan", "knife", "cup", "tap", "lid"], "0 of the 5 texts .* their id: names"),
    ],
    ids=["one before", "one too few", "of nouns"],
)
def test_names_that_are_rather_those_of_other_ids_are_told_of(write, verbs, told):
    with pytest.warns(UserWarning, match=told):
        actions = read_actions(write(FIVE), verbs=verbs, nouns=["pan"])
    assert actions.verb.tolist() == verbs[:5]


@pytest.mark.parametrize(
    "verbs",
    [
        ["Take-up", "put:down", "wash", "open", "cut"],
        ["take", "set", "rinse", "x", "y"],
    ],
)
@pytest.mark.filterwarnings("error")
def test_names_of_which_some_agree_with_the_texts_are_not_told_of(write, verbs):
    assert read_actions(write(FIVE), verbs=verbs).verb.tolist() == verbs


def test_names_of_classes_replace_the_words_of_the_annotator(write):
    verbs = read_classes(write(VERBS, "verbs.csv"))
    path = write("id,action,verb,noun\n0, grab_saucepan,0,1\n")
    actions = read_actions(path, verbs=verbs, nouns=["tap", "pan"])
    assert (actions.verb[0], actions.noun[0]) == ("take", "pan")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id,action,verb,noun\n0,take,0,0", "line 2, has 'take' as action: expected"),
        ("id,action,verb,noun\n0,take_pan,a,0", "line 2, has 'a' as verb: expected a"),
        ("id,action,verb\n0,take_pan,0", "line 1, has no column 'noun'"),
        ("id,action,verb,noun\n0,take_pan,7,0", "line 2, refers to the id 7, which"),
        ("0, 0_0, a_b\n0, 0_1, a_c", "line 2, repeats the id 0"),
        ("0, 0-0, a_b", "line 1, has '0-0' as verb_noun: expected verb_noun"),
        ("0, 0_0", "line 1, has 2 cells: expected 3"),
    ],
)
def test_broken_actions_are_named_by_line(write, text, match):
    with pytest.raises(ValueError, match=match):
        read_actions(write(text), verbs=["take"], nouns=["tap", "pan"])


# classes


def test_classes_are_ordered_by_id(write):
    verbs = read_classes(write(VERBS))
    assert verbs.id.tolist() == [0, 1]
    assert verbs.name.tolist() == ["take", "put"]
    assert verbs.instances == [("take", "grab"), ("put", "put-down")]


def test_classes_of_epic_100(write):
    nouns = read_classes(
        write("id,key,instances,category\n0,tap,\"['tap', 'tap:hot']\",appliances\n")
    )
    assert nouns.name.tolist() == ["tap"]
    assert nouns.instances == [("tap", "tap:hot")]


@pytest.mark.parametrize(
    "forms", ["take", "__import__('os').getcwd()", "[1]", "('a')", "[" * 500, "['a'"]
)
def test_forms_that_are_no_list_are_refused_and_not_evaluated(write, forms):
    with pytest.raises(ValueError, match="line 2, has .* as list of forms"):
        read_classes(write(f'verb_id,class_key,verbs\n0,take,"{forms}"\n'))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2", "line 1, has no column 'id', 'key', 'instances'"),
        ("noun_id,class_key\n1,2", "line 1, has no column 'nouns'"),
        ("noun_id,class_key,nouns\n1,a,['a']\n1,b,['b']", "line 3, repeats the noun_"),
        ("noun_id,class_key,nouns\nx,a,['a']", "line 2, has 'x' as noun_id"),
    ],
)
def test_broken_classes_are_named_by_line(write, text, match):
    with pytest.raises(ValueError, match=match):
        read_classes(write(text))


# lists of classes


@pytest.mark.parametrize(
    "text",
    ["verb_class,verb\n12,x\n3,y\n", "noun_class,noun\n3,y\n12,x", "verb\n12\n3"],
)
def test_lists_of_classes_are_sorted(write, text):
    assert read_class_list(write(text)).tolist() == [3, 12]


def test_many_shot_actions_are_pairs_of_ids(write):
    pairs = read_class_list(
        write(
            "action_class,noun,noun_class,verb,verb_class\n"
            '"(12, 78)",top,78,turn-on,12\n"(9, 84)",sausage,84,move,9\n'
        )
    )
    assert pairs.tolist() == [[9, 84], [12, 78]]


def test_a_list_of_something_else_is_refused(write):
    with pytest.raises(ValueError, match="line 1, has the columns adverb: expected"):
        read_class_list(write("adverb\n1"))


def test_an_unknown_rule_is_refused():
    actions = {"label": [0], "verb_id": [0], "noun_id": [0]}
    with pytest.raises(ValueError, match="rule is 'xor': expected 'and' or 'or'"):
        many_shot_actions(actions, [0], [0], rule="xor")


# the real files


@pytest.fixture
def raw():
    folder = os.environ.get("SKANTICIPATE_TEST_DATA")
    if not folder:
        pytest.skip("SKANTICIPATE_TEST_DATA names no folder")
    return Path(folder) / "raw"


@pytest.mark.data
def test_real_segments_of_epic_55(raw):
    train = read_segments(raw / "ek55" / "training.csv")
    validation = read_segments(raw / "ek55" / "validation.csv")
    assert len(train.action) == 23_493
    assert len(validation.action) == 4_979
    assert len(np.unique(train.video)) == 232


@pytest.mark.data
def test_real_many_shot_actions_are_the_official_list(raw):
    folder = raw / "epic_55_annotations"
    verbs = read_classes(folder / "EPIC_verb_classes.csv")
    nouns = read_classes(folder / "EPIC_noun_classes.csv")
    actions = read_actions(raw / "ek55" / "actions.csv", verbs=verbs, nouns=nouns)
    many_verbs = read_class_list(folder / "EPIC_many_shot_verbs.csv")
    many_nouns = read_class_list(folder / "EPIC_many_shot_nouns.csv")
    official = read_class_list(folder / "EPIC_many_shot_actions.csv")

    labels = many_shot_actions(actions, many_verbs, many_nouns)
    pairs = np.stack([actions.verb_id[labels], actions.noun_id[labels]], axis=1)
    assert_array_equal(np.unique(pairs, axis=0), official)
    either = many_shot_actions(actions, many_verbs, many_nouns, rule="or")
    assert (len(labels), len(either)) == (819, 2265)


@pytest.mark.data
def test_real_markov_chain_repeats_the_known_accuracy(raw):
    train = read_segments(raw / "ek55" / "training.csv")
    validation = read_segments(raw / "ek55" / "validation.csv")
    last = [label_history(part, history=1)[:, 0] for part in (train, validation)]
    n_actions = 2513
    counts = np.zeros((n_actions + 1, n_actions))  # the last row: nothing seen yet
    np.add.at(counts, (last[0], train.action), 1)
    frequency = np.bincount(train.action, minlength=n_actions) / len(train.action)
    score = counts[last[1]] + 1e-3 * frequency
    ranking = np.argsort(-score, axis=1, kind="stable")
    hits = ranking[:, :5] == validation.action[:, None]
    assert hits[:, 0].mean() == pytest.approx(0.115, abs=0.002)
    assert hits.any(axis=1).mean() == pytest.approx(0.230, abs=0.002)


def test_names_of_ids_may_be_a_series_or_a_table(write):
    text = "id,action,verb,noun\n0,take_pan,0,0\n1,put_pan,1,0"
    for verbs in (
        pd.Series(["put", "take"], index=[1, 0]),
        pd.DataFrame({"id": [1, 0], "name": ["put", "take"]}),
        {"id": [1, 0], "name": ["put", "take"]},
        {"id": [1, 0, 1], "name": ["put", "take", "put"]},
        {1: "put", 0: "take"},
        ["take", "put"],
        ["take", "put", None],
        (name for name in ("take", "put")),
    ):
        found = read_actions(write(text), verbs=verbs, nouns=["pan"])
        assert found.verb.tolist() == ["take", "put"]


@pytest.mark.parametrize(
    "verbs",
    [
        {"id": [0, 1, 0], "name": ["take", "put", "grab"]},
        pd.DataFrame({"id": [0, 0], "name": ["take", "grab"]}),
        pd.Series(["take", "grab"], index=[0, 0]),
    ],
)
def test_an_id_with_two_names_is_refused(write, verbs):
    path = write("id,action,verb,noun\n0,take_pan,0,0")
    with pytest.raises(ValueError, match="verbs gives the id 0 both 'take' and 'grab'"):
        read_actions(path, verbs=verbs)


@pytest.mark.parametrize(
    ("verbs", "match"),
    [
        ({"take": 0}, "verbs gives the id 'take' the name 0: expected a text"),
        ([b"take"], "the name b'take': expected a text"),
        ({"0": "take"}, "line 2, refers to the id 0, which has no name in verbs"),
        ([None, "put"], "line 2, refers to the id 0, which has no name in verbs"),
        (
            pd.DataFrame({"id": [0], "key": ["take"]}),
            "id and name, got id, key",
        ),
        (pd.DataFrame({"id": [0], "name": ["take"]}).to_dict(), "got a dict: pass"),
        ({"id": [0, 1], "name": ["take"]}, "verbs has 2 ids and 1 names"),
        ({"take"}, "verbs must be a list of labels, got a set"),
    ],
)
def test_what_names_no_ids_is_refused(write, verbs, match):
    path = write("id,action,verb,noun\n0,take_pan,0,0")
    with pytest.raises(ValueError, match=match):
        read_actions(path, verbs=verbs)


def test_many_shot_actions_of_a_label_with_two_pairs_are_refused():
    actions = {"label": [3, 3], "verb_id": [0, 1], "noun_id": [0, 0]}
    with pytest.raises(ValueError, match=r"label 3 both \(0, 0\) and \(1, 0\)"):
        many_shot_actions(actions, verbs=[0], nouns=[0])


def test_many_shot_actions_of_a_mapping():
    actions = {7: (0, 0), 8: (0, 1), 9: (1, 1)}
    assert many_shot_actions(actions, verbs=[0], nouns=[1]).tolist() == [8]
    assert many_shot_actions(actions, [0], [1], rule="or").tolist() == [7, 8, 9]
