"""Labels in `fit`: classes, the marker of rows without one, and codes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from skanticipate import MLP, HistoryTeacher, SmoothedAnticipator
from skanticipate.data.labels import (
    check_label_array,
    check_labels,
    encode,
    warn_dropped,
)
from skanticipate.data.markers import resolve_marker, unlabeled_mask

NAN, INF = np.nan, np.inf


def labels_of(y, classes=None, unlabeled_label="auto"):
    return check_labels(
        y, classes=classes, unlabeled_label=unlabeled_label, estimator="Anticipator"
    )


def as_objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_marker_that_became_a_string_is_an_error_with_the_remedy():
    with pytest.raises(ValueError, match=r'the string "-1".*unlabeled_label="-1"'):
        labels_of(np.array(["b", "a", -1]))
    assert labels_of(np.array(["b", "a", -1]), unlabeled_label="-1").marker == "-1"
    assert labels_of(["b", "a", "-1"], classes=["-1", "a", "b"]).codes[2] == 0


@pytest.mark.parametrize(
    ("y", "marker", "classes", "codes"),
    [
        ([0, 2, -1, 1], -1, [0, 1, 2], [0, 2, -1, 1]),
        ([-1, 1, 1, -1], None, [-1, 1], [0, 1, 1, 0]),
        ([-1, 0, 1], -1, [0, 1], [-1, 0, 1]),
        ([3, 5, 3], None, [3, 5], [0, 1, 0]),
        (["b", "a", -1], -1, ["a", "b"], [1, 0, -1]),
        (["c", "a", -1], -1, ["a", "c"], [1, 0, -1]),
        (as_objects("a", "b", "a"), None, ["a", "b"], [0, 1, 0]),
        (np.array([-1.0, 0.0, 1.0]), -1, [0, 1], [-1, 0, 1]),
        (np.array([True, False]), None, [False, True], [1, 0]),
        (np.array([1, 0, 1], dtype=np.uint8), None, [0, 1], [1, 0, 1]),
        (np.array([-1, 0, 1], dtype=np.int8), -1, [0, 1], [-1, 0, 1]),
        (pd.Series([4, -1, 6], index=[9, 8, 7]), -1, [4, 6], [0, -1, 1]),
    ],
)
def test_auto_marker_follows_the_table(y, marker, classes, codes):
    labels = labels_of(y)
    assert labels.marker == marker
    assert labels.classes.tolist() == classes
    assert labels.codes.tolist() == codes


@pytest.mark.parametrize(
    ("y", "marker", "classes", "codes"),
    [
        ([-1, 0, 1], None, [-1, 0, 1], [0, 1, 2]),
        (["", "b", "a"], "", ["a", "b"], [-1, 1, 0]),
        ([7, 1, 2], 7, [1, 2], [-1, 0, 1]),
        (np.array([0.5, 1.0, 2.0]), 0.5, [1, 2], [-1, 0, 1]),
        (["?", "b", "a"], "?", ["a", "b"], [-1, 1, 0]),
        ([1, 0, 1], "?", [0, 1], [1, 0, 1]),
        (["1", "0"], 2, ["0", "1"], [1, 0]),
    ],
)
def test_marker_that_was_named_is_taken(y, marker, classes, codes):
    labels = labels_of(y, unlabeled_label=marker)
    assert labels.classes.tolist() == classes
    assert labels.codes.tolist() == codes


def test_signed_labels_with_a_named_marker_have_one_class_left():
    message = r"needs at least 2 classes, got 1 class: .*1.* \(rows with y == -1 are"
    with pytest.raises(ValueError, match=message):
        labels_of([-1, 1, 1], unlabeled_label=-1)


@pytest.mark.parametrize(
    "estimator, remedy",
    [
        (SmoothedAnticipator(), "Set classes="),
        (HistoryTeacher(), "rows of more classes"),
    ],
)
def test_one_class_is_an_error_with_a_remedy(estimator, remedy):
    message = f"{type(estimator).__name__} needs .* got 1 class: .*4.*{remedy}"
    with pytest.raises(ValueError, match=message):
        check_labels([4, 4], classes=None, unlabeled_label="auto", estimator=estimator)


@pytest.mark.parametrize("y", [[-1, -1], np.array([-1, -1], dtype=object)])
def test_nothing_labelled_is_an_error(y):
    with pytest.raises(ValueError, match=r"no labelled rows: all 2 .*\(-1\).*=None"):
        labels_of(y)


def test_classes_that_are_fixed_give_the_columns():
    labels = labels_of([3, -1, 3], classes=[5, 3, 1])
    assert labels.classes.tolist() == [1, 3, 5]
    assert labels.codes.tolist() == [1, -1, 1]


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        ({1, 3}, "got a set: pass them in a list"),
        ({1: "cut", 3: "wash"}, "got a dict: pass them in a list"),
        ({1: "cut", 3: "wash"}.keys(), "got a dict_keys of 0 axes: pass them in a"),
        ([[1, 3]], "got a list of 2 axes"),
    ],
)
def test_classes_that_are_no_list_are_refused(classes, match):
    with pytest.raises(ValueError, match=match):
        labels_of([3, 1], classes=classes)


def test_minus_one_among_fixed_classes_is_a_class():
    with pytest.warns(UserWarning, match="classes holds -1"):
        labels = labels_of([0, -1, 1], classes=[-1, 0, 1])
    assert labels.marker is None
    assert labels.codes.tolist() == [1, 0, 2]


def test_signed_labels_mark_where_minus_one_is_no_fixed_class():
    assert labels_of([-1, 1], classes=[0, 1]).codes.tolist() == [-1, 1]


def test_label_outside_of_fixed_classes_is_named():
    with pytest.raises(ValueError, match=r"y contains labels .* classes: \['c'\]. Add"):
        labels_of(["a", "c"], classes=["a", "b"])


def test_classes_must_be_labels():
    with pytest.raises(ValueError, match="classes must be labels"):
        labels_of([0.0, 1.0], classes=[0.0, NAN])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        ([0.0, NAN], "Input y contains NaN"),
        ([0.0, INF], "Input y contains infinity"),
        ([0.5, 1.5], "Unknown label type: continuous"),
        (["a", None], "y contains None: mark unlabelled rows with -1"),
        (as_objects("a", NAN), "contains NaN"),
        ([[0, 1], [1, 0]], "1d array"),
    ],
)
def test_labels_that_are_none_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        labels_of(y)


def test_strings_in_a_list_keep_a_number_among_them():
    assert check_label_array(["a", -1], estimator="A").tolist() == ["a", -1]


@pytest.mark.parametrize(
    ("y", "marker", "mask"),
    [
        ([1, -1], None, [False, False]),
        ([1, -1], -1, [False, True]),
        (["-1", "b"], -1, [False, False]),
        ([1, 2], "1", [False, False]),
        (as_objects("-1", -1, "a"), -1, [False, True, False]),
        (as_objects("", 0, "a"), "", [True, False, False]),
        (as_objects("1", 1), "1", [True, False]),
        ([], -1, []),
    ],
)
def test_unlabelled_rows_carry_the_marker(y, marker, mask):
    found = unlabeled_mask(y, marker)
    assert found.dtype == bool
    assert found.tolist() == mask


def test_marker_is_resolved_without_its_classes():
    assert resolve_marker(np.array([0, -1]), "auto") == -1
    assert resolve_marker(np.array([0, -1]), "auto", np.array([-1, 0])) is None
    assert resolve_marker(np.array([0, -1]), None) is None
    assert resolve_marker(as_objects(0, 2, -1), "auto") == -1
    assert resolve_marker(as_objects(-1, 1), "auto") is None


def test_codes_are_positions_in_the_classes():
    classes = np.array(["a", "c", "d"])
    assert encode(["d", "a"], classes, name="y").tolist() == [2, 0]
    marked = encode(["d", "b"], classes, name="y", unknown="mark")
    assert marked.tolist() == [2, -1]


def test_rows_that_are_dropped_are_told():
    with pytest.warns(UserWarning, match=r"4 rows with y == -1 .* dropped. Set"):
        warn_dropped(4, -1)


@pytest.mark.parametrize("twin", ["cut onion ", "Cut onion", "cut  onion"])
def test_labels_that_look_like_one_are_warned_of(twin):
    """Two files write one action so, and a fit would learn to tell them apart."""
    X, y = np.eye(6), ["cut onion", "wash pan", twin] * 2
    model = SmoothedAnticipator(MLP(2), max_epochs=1, random_state=0)
    with pytest.warns(
        UserWarning, match="labels .* differ in nothing but case, spaces"
    ):
        model.fit(X, y)
    assert len(model.classes_) == 3


def test_a_column_of_labels_is_told_of_where_the_user_passed_it():
    X, y = np.eye(6), np.arange(6) % 2
    with pytest.warns(DataConversionWarning, match="column-vector y") as told:
        SmoothedAnticipator(MLP(2), max_epochs=1).fit(X, y[:, None])
    assert told[0].filename == __file__
