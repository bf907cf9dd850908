import pickle
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.metadata_routing import UNUSED

from skanticipate.preprocessing import HistoryEncoder

NAN = np.nan


class Spy(ClassifierMixin, BaseEstimator):
    """A classifier that, like ours, asks for the future clips and keeps them."""

    __metadata_request__fit = {"X_past": UNUSED, "X_future_unlabeled": True}

    def __init__(self, constant=0):
        self.constant = constant

    def fit(self, X_past, y, X_future_unlabeled=None):
        self.classes_ = np.unique(y)
        self.past_, self.future_ = X_past, X_future_unlabeled
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[self.constant])


# HistoryEncoder

ACTIONS = {
    "a": ("cut", "leek"),
    "b": ("cut", "onion"),
    "c": ("wash", "leek"),
}
HISTORY = [["", "cut onion"], ["cut onion", "wash pan"]]
CODES = [[[-1, -1, -1], [1, 1, 1]], [[1, 1, 1], [2, 2, 2]]]


def naive_codes(history, actions):
    verbs, nouns = (sorted({pair[i] for pair in actions.values()}) for i in (0, 1))
    labels = sorted(actions)
    out = []
    for row in history:
        for label in row:
            if label is None:
                out.append((-1, -1, -1))
            elif label not in actions:
                out.append((0, 0, 0))
            else:
                verb, noun = actions[label]
                out.append(
                    (
                        verbs.index(verb) + 1,
                        nouns.index(noun) + 1,
                        labels.index(label) + 1,
                    )
                )
    return np.array(out).reshape(len(history), -1, 3)


def test_codes_of_a_hand_made_history():
    codes = HistoryEncoder().fit_transform(HISTORY)
    assert codes.dtype == np.int32
    assert_array_equal(codes, CODES)


@pytest.mark.parametrize(
    "kind", [np.array, lambda v: np.array(v, object), pd.DataFrame]
)
def test_codes_are_the_same_for_every_container(kind):
    assert_array_equal(HistoryEncoder().fit_transform(kind(HISTORY)), CODES)


@pytest.mark.parametrize("nothing", [None, NAN, "", -1])
def test_every_sign_of_no_action_is_padding(nothing):
    history = [[nothing, "cut onion"], ["cut onion", "wash pan"]]
    assert_array_equal(HistoryEncoder().fit_transform(history), CODES)


@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.float64, object])
def test_numbered_labels_without_actions_are_encoded_as_actions_only(dtype):
    encoder = HistoryEncoder()
    codes = encoder.fit_transform(np.array([[-1, 7], [7, 3]], dtype=dtype))
    assert_array_equal(codes, [[[-1], [2]], [[2], [1]]])
    assert encoder.n_codes_ == (3,)
    assert encoder.get_feature_names_out().tolist() == ["action"]
    assert_array_equal(encoder.transform([[5, 3]]), [[[0], [1]]])


def test_the_missing_value_of_pandas_is_padding():
    history = pd.DataFrame(
        {"before": [pd.NA, "cut onion"], "last": HISTORY[1]}, dtype="string"
    )
    codes = HistoryEncoder().fit_transform(history)
    assert_array_equal(codes, [[[-1] * 3, [1, 1, 1]], [[1, 1, 1], [2, 2, 2]]])


def test_nan_among_numbers_is_padding():
    codes = HistoryEncoder().fit_transform(np.array([[NAN, 7.0], [NAN, NAN]]))
    assert_array_equal(codes[..., 0], [[-1, 1], [-1, -1]])


@pytest.mark.parametrize(
    "actions",
    [
        ACTIONS,
        pd.DataFrame(
            [(label, *pair) for label, pair in ACTIONS.items()],
            columns=["label", "verb", "noun"],
        ),
    ],
)
def test_the_vocabulary_of_actions_does_not_depend_on_the_fold(actions):
    encoder = HistoryEncoder(actions)
    one, other = (
        clone(encoder).fit(rows).transform([["a", "b", "c"]])
        for rows in ([["c", None]], [[None, None]])
    )
    assert_array_equal(one, [[[1, 1, 1], [1, 2, 2], [2, 1, 3]]])
    assert_array_equal(one, other)
    assert encoder.fit([["a"]]).n_codes_ == (3, 3, 4)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", "x", None]), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_codes_equal_a_naive_loop(history):
    encoder = HistoryEncoder(ACTIONS).fit([["a"]])
    assert_array_equal(encoder.transform(history), naive_codes(history, ACTIONS))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", "x", None]), min_size=2, max_size=2),
        min_size=1,
        max_size=6,
    )
)
def test_one_hot_says_the_same_as_the_codes(history):
    codes = HistoryEncoder(ACTIONS).fit([["a"]]).transform(history)
    one_hot = HistoryEncoder(ACTIONS, form="onehot").fit([["a"]]).transform(history)
    assert one_hot.dtype == np.float32
    assert one_hot.shape == (len(history), 2, 2 + 2 + 3)
    for code, row in zip(codes.reshape(-1, 3), one_hot.reshape(-1, 7), strict=True):
        expected = np.zeros(7) if code[0] >= 0 else np.full(7, NAN)
        for offset, part in zip((0, 2, 4), code, strict=True):
            if part > 0:
                expected[offset + part - 1] = 1
        assert_array_equal(row, expected)


def test_an_unknown_action_keeps_the_parts_that_are_known():
    encoder = HistoryEncoder().fit(HISTORY)
    codes = encoder.transform([["cut pan", "cut soup", "dry onion", "dry soup"]])
    assert_array_equal(codes, [[[1, 2, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]])


def test_a_label_that_actions_lack_is_unknown_in_all_parts():
    codes = HistoryEncoder(ACTIONS).fit([["a"]]).transform([["cut leek", "a"]])
    assert_array_equal(codes, [[[0, 0, 0], [1, 1, 1]]])


def test_verbs_and_nouns_may_be_ids():
    table = {"label": [0, 1, 2], "verb": [5, 9, 5], "noun": [1, 1, 4]}
    encoder = HistoryEncoder(table).fit(np.array([[-1, 2]]))
    assert_array_equal(
        encoder.transform(np.array([[-1, 2, 1]])),
        [[[-1, -1, -1], [1, 2, 3], [2, 1, 2]]],
    )


def test_a_row_without_any_past_action_is_ordinary():
    codes = HistoryEncoder().fit(HISTORY).transform([["", ""], [None, "wash pan"]])
    assert_array_equal(codes[0], -np.ones((2, 3)))


def test_histories_may_have_another_length_after_fit():
    assert HistoryEncoder().fit(HISTORY).transform([["wash pan"]]).shape == (1, 1, 3)


def test_names_of_the_codes_and_of_the_one_hot_columns():
    encoder = HistoryEncoder(ACTIONS).fit([["a"]])
    assert encoder.get_feature_names_out().tolist() == ["verb", "noun", "action"]
    names = encoder.set_params(form="onehot").get_feature_names_out()
    assert names.tolist() == [
        *("verb=cut", "verb=wash", "noun=leek", "noun=onion"),
        *("action=a", "action=b", "action=c"),
    ]


def test_history_encoder_feeds_a_pipeline():
    pipeline = make_pipeline(HistoryEncoder(), Spy())
    with config_context(transform_output="pandas"):
        pipeline.fit(np.array(HISTORY), [0, 1])
    assert_array_equal(pipeline["spy"].past_, CODES)
    assert len(pipeline.predict(np.array(HISTORY))) == 2


def test_history_encoder_pickles():
    encoder = pickle.loads(pickle.dumps(HistoryEncoder(ACTIONS).fit([["a"]])))
    assert_array_equal(encoder.transform([["b"]]), [[[1, 2, 2]]])


def test_twenty_thousand_histories_take_a_moment():
    rng = np.random.default_rng(0)
    names = np.array([f"verb{i % 97} noun{i % 293}" for i in range(2500)], dtype=object)
    history = names[rng.integers(0, 2500, size=(23_000, 5))]
    encoder = HistoryEncoder().fit(history)
    start = time.perf_counter()
    encoder.transform(history)
    # About 0.02 s; the bound leaves room for a busy machine.
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("actions", "X", "match"),
    [
        (None, ["cut onion"], r"shape \(n, L\) .* got shape \(1,\)"),
        (None, [["cut onion"], ["cut onion", "wash pan"]], r"got shape \(2,\)"),
        (None, np.empty((3, 0)), r"got shape \(3, 0\)"),
        (None, np.empty((0, 3)), r"got shape \(0, 3\)"),
        (None, np.zeros((2, 2, 1)), r"got shape \(2, 2, 1\)"),
        (None, [["", None]], "nothing but padding"),
        (None, [["cut onion", "stir"]], "needs a verb and a noun.*'stir'"),
        (None, [["cut onion", 3]], "needs a verb and a noun"),
        (ACTIONS, [["a", "x"]], "among them 'x'.*add them to actions"),
        ([1, 2], [["a"]], "actions must be a mapping"),
    ],
)
def test_histories_that_cannot_be_learnt_raise(actions, X, match):
    with pytest.raises(ValueError, match=match):
        HistoryEncoder(actions).fit(X)


def test_histories_that_cannot_be_encoded_raise():
    encoder = HistoryEncoder().fit(HISTORY)
    with pytest.raises(ValueError, match="'stir'"):
        encoder.transform([["cut onion", "stir"]])
    with pytest.raises(ValueError, match="n and L above 0"):
        encoder.transform(np.empty((2, 0), dtype=object))


def test_an_unknown_form_raises():
    with pytest.raises(ValueError, match="'form' parameter of HistoryEncoder"):
        HistoryEncoder(form="one-hot").fit(HISTORY)


def test_history_encoder_must_be_fitted_first():
    with pytest.raises(NotFittedError):
        HistoryEncoder().transform(HISTORY)


def test_a_form_that_is_none_is_refused_after_fit_too():
    encoder = HistoryEncoder({0: ("take", "cup"), 1: ("wash", "cup")}).fit([[0, 1]])
    with pytest.raises(ValueError, match="The 'form' parameter of HistoryEncoder"):
        encoder.set_params(form="one-hot").transform([[0, 1]])
