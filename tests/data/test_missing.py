"""What counts as missing, and how labels and names are numbered."""

import enum

import numpy as np
import pandas as pd
import pytest

from skanticipate import HistoryEncoder
from skanticipate.data.missing import (
    as_array,
    as_column,
    as_list,
    label_codes,
    missing_mask,
    number_names,
)


def test_missing_actions_are_none_nan_empty_and_minus_one():
    labels = [None, float("nan"), "", -1, 0, "a", 2.0]
    assert missing_mask(labels).tolist() == [True] * 4 + [False] * 3
    assert missing_mask(np.array([-1, 0])).tolist() == [True, False]
    assert missing_mask(np.array(["", "a"])).tolist() == [True, False]
    assert missing_mask(pd.Series(["a", None])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("labels", "dtype"), [(["a", pd.NA], "string"), ([3, pd.NA], "Int64")]
)
def test_the_missing_value_of_pandas_is_missing(labels, dtype):
    for column in (labels, pd.array(labels, dtype), pd.Series(labels, dtype=dtype)):
        assert missing_mask(column).tolist() == [False, True]


def test_nan_in_a_list_of_strings_does_not_become_a_string():
    assert as_list(["a", float("nan")])[1] != "nan"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "zzz", "a"], ["a", "b"]),
        (np.array([4, 9, 2]), np.array([2, 4])),
        ([4, pd.NA, 2], pd.array([2, 4], "Int64")),
    ],
)
def test_label_codes_are_positions_and_minus_one_for_strangers(labels, classes):
    codes = label_codes(labels, classes)
    assert codes.tolist() == [1, -1, 0]
    assert codes.dtype == np.intp


def test_names_are_numbered_in_order_of_appearance():
    codes, names = number_names(np.array(["pan", "cup", "pan"], dtype=object))
    assert codes.tolist() == [0, 1, 0]
    assert codes.dtype == np.intp
    assert names == ["pan", "cup"]


def test_no_names_have_no_numbers():
    codes, names = number_names([])
    assert (codes.shape, codes.dtype, names) == ((0,), np.intp, [])


class Action(str, enum.Enum):  # noqa: UP042  # as many have it
    CUT = "cut onion"
    CUP = "cut up"
    WASH = "wash"


def test_members_of_an_enum_are_the_texts_that_they_equal():
    labels = as_column([Action.CUT, Action.CUP, Action.WASH, Action.CUT])
    assert labels.tolist() == ["cut onion", "cut up", "wash", "cut onion"]
    assert labels.dtype.kind == as_column([]).dtype.kind == "U"


def test_numbers_in_arrays_and_tensors_of_no_axes_are_numbers():
    torch = pytest.importorskip("torch")
    numbers = [[0, 2, -1], [1, 2, 0]]
    expected = as_array(numbers)
    for wrap in (torch.tensor, np.array):
        rows = [[wrap(number) for number in row] for row in numbers]
        found = as_array(rows)
        assert found.tolist() == expected.tolist()
        assert set(map(type, found.flat)) == {int}
        codes = HistoryEncoder().fit(numbers).transform(rows)
        assert codes.tolist() == HistoryEncoder().fit_transform(numbers).tolist()
    shown = as_array([[np.ma.masked, torch.tensor(3)], [None, "cut"]])
    assert shown.tolist() == [[None, 3], [None, "cut"]]
