"""Names of columns and rows, and labels as names."""

from decimal import Decimal

import numpy as np
import pytest

from skanticipate.data.names import (
    check_column_order,
    check_label_names,
    check_tables_alike,
)
from skanticipate.data.places import check_row_names
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.twins import name_of

pd = pytest.importorskip("pandas")


@pytest.mark.parametrize(
    "alike",
    [
        (2, 2.0, np.int64(2), np.float32(2), "2", "2.0", Decimal(2)),
        (-1, -1.0, "-1", "-1.0"),
        (0, 0.0, -0.0, False, np.False_, "False"),
        (2**60, np.uint64(2**60), float(2**60), str(2**60)),
        (0.5, np.float64(0.5), "0.5"),
        ("cut onion", np.str_("cut onion")),
    ],
    ids=str,
)
def test_equal_labels_have_one_name(alike):
    assert len({name_of(label) for label in alike}) == 1


def test_other_labels_have_other_names():
    labels = [2, 20, 2.5, "02", "2 cups", 2**60, 2**60 + 1, "inf", float("nan"), None]
    assert len({name_of(label) for label in labels}) == len(labels)


def scores(*columns, index=None):
    return pd.DataFrame(np.eye(len(columns)), columns=list(columns), index=index)


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        ([1.0, 2.0, 3.0], (1, 2, 3)),
        ([1.0, 2.0, 3.0], ("1", "2", "3")),
        ([1, 2, 3], ("1.0", "2.0", "3.0")),
        ([4, 7, 9], (0, 1, 2)),  # a table that only counts its columns
        (["a", "b", "c"], ("p_a", "p_b", "p_c")),
        (["a", "b", "c"], (7, 8, 9)),
        ([0, 1, 2], ("a", "b", "c")),
        ([4, 7, 9], ("column_0", "column_1", "column_2")),  # as polars counts them
        (["a", "b"], ("b", "c", "d")),  # of another shape, which is told elsewhere
    ],
    ids=str,
)
def test_names_that_do_not_contradict_the_labels(labels, columns):
    check_label_names(scores(*columns), labels, name="scores")


@pytest.mark.parametrize(
    ("labels", "columns", "message"),
    [
        ([1.0, 2.0, 3.0], (3, 2, 1), "another order"),
        ([1.0, 2.0, 3.0], ("3", "2", "1"), "another order"),
        ([False, True], (1, 0), "another order"),
        (range(3), (2, 0, 1), "another order"),
        (range(4), (0, 1, 3, 4), "Column 2 of scores is named 3, but .* score of 2"),
        (range(3), (5, 6, 7), "Column 0 of scores is named 5"),
        ([1, 2, 3], (11, 12, 13), "Column 0 of scores is named 11"),
        (["wash pan", "cut"], ("wash_pan", "Cut"), "Column 0 of .* 'wash_pan', but"),
        (["a", "b", "c"], ("p_c", "p_b", "p_a"), "Column 0 of scores is named 'p_c'"),
        ([1.0, 2.5], (1, 3), "Column 1 of scores is named 3, but .* score of 2.5"),
        (["a", "b", "c"], ("a", "c", "d"), "Column 1 of scores is named 'c'"),
    ],
    ids=str,
)
def test_names_that_contradict_the_labels(labels, columns, message):
    with pytest.raises(ValueError, match=message):
        check_label_names(scores(*columns), labels, name="scores")


def test_columns_of_features_may_have_other_names():
    check_column_order(scores("a", "b"), ["b", "c"], name="X")
    with pytest.raises(ValueError, match="columns of X have the names"):
        check_column_order(scores(1, 2), [2.0, 1.0], name="X")


def test_tables_of_a_list_have_the_same_columns():
    plain = np.eye(2)
    check_tables_alike([plain, scores("a", "b"), scores("a", "b"), plain], "X")
    check_tables_alike([scores(0, 1), scores("0", "1")], "X")
    for other, message in [
        (scores("b", "a"), r"columns of X\[2\] have the names"),
        (scores("a", "c"), r"columns of X\[2\] are named \['a', 'c'\]"),
        (scores(0, 1), r"columns of X\[2\] are named \[0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_tables_alike([plain, scores("a", "b"), other], "X")


def test_names_of_rows_are_compared_unless_they_are_counted():
    ids, counted = ["P2", "P1", "P3"], pd.Series([1, 2, 3])
    named = pd.Series([1, 2, 3], index=ids)
    shuffled = named.sort_index()
    others = pd.Series([1, 2, 3], index=["P1", "P7", "P3"])
    numbers = pd.Series([1, 2, 3], index=[2, 0, 1])  # shuffled, but the other counts
    check_rows_alike(a=named, b=counted, c=others, d=numbers, e=[1, 2, 3], f=None)
    with pytest.raises(ValueError, match="rows of z, next to x, have the names"):
        check_rows_alike(x=named, y=counted, z=shuffled)
    check_row_names(named, ids, name="verb")
    check_row_names(counted, ids, name="verb")
    for wrong, message in [(shuffled, "Row 0 of verb"), (others, "Row 0 of verb")]:
        with pytest.raises(ValueError, match=message):
            check_row_names(wrong, ids, name="verb")
