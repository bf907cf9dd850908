import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.class_weight import compute_sample_weight

from skanticipate import RowView, SmoothedAnticipator
from skanticipate.data.samples import (
    Samples,
    check_weights,
    hold_out,
    weigh_classes,
)

CLASSES = np.array(["a", "b", "c"])


def samples_of(codes, groups=None, weights=None):
    codes = np.asarray(codes)
    number = np.arange(len(codes))
    return Samples(
        RowView(number[:, None].astype(float)),
        codes,
        weights=weights,
        groups=None if groups is None else np.asarray(groups),
        signals={"number": number},
    )


def numbers(samples):
    """Which of the original rows these are; all parts must agree."""
    seen = np.asarray(samples.rows)[:, 0].astype(int)
    assert_array_equal(seen, samples.signals["number"])
    assert len(samples) == len(seen)
    return seen.tolist()


def test_selection_keeps_all_parts_aligned():
    samples = samples_of([0, 1, 2, 1], groups=list("wxyz"), weights=np.arange(4.0))
    chosen = samples.select(np.array([3, 0]))
    assert numbers(chosen) == [3, 0]
    assert chosen.codes.tolist() == [1, 0]
    assert chosen.groups.tolist() == ["z", "w"]
    assert chosen.weights.tolist() == [3, 0]
    masked = samples.select(np.array([False, True, True, False]))
    assert numbers(masked) == [1, 2]


def test_selection_of_everything_is_the_same_object():
    samples = samples_of([0, 1])
    assert samples.select(np.array([True, True])) is samples


def test_selection_of_nothing_is_empty():
    assert len(samples_of([0, 1]).select(np.array([False, False]))) == 0


# ----------------------------------------------------------------------- weights


def weighed(codes, own, class_weight, classes=CLASSES):
    own = None if own is None else np.asarray(own, dtype=float)
    return weigh_classes(samples_of(codes, weights=own), class_weight, classes)


def test_no_weights_are_none():
    assert check_weights(np.array([0, 1]), None) is None
    assert weighed([0, 1], None, None).weights is None


def test_own_weights_are_kept():
    assert check_weights(np.array([0, -1]), [2, 3]).tolist() == [2, 3]
    assert weighed([0, -1], [2, 3], None).weights.tolist() == [2, 3]


def test_balanced_weights_are_those_of_scikit_learn_on_labelled_rows():
    codes = np.array([0, 0, 0, 1, -1, -1])
    expected = compute_sample_weight("balanced", codes[:4])
    weights = weighed(codes, None, "balanced", CLASSES[:2]).weights
    assert_allclose(weights, [*expected, 1, 1])


def test_balanced_classes_weigh_the_same_in_sum():
    codes, own = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 2, 3, 4, 0.5, 0.5])
    sums = np.bincount(codes, weighed(codes, own, "balanced").weights)
    assert_allclose(sums, sums[0])


def test_class_weights_are_keyed_by_label():
    weights = weighed([0, 1, 2, -1], [1, 1, 2, 5], {"b": 3, "c": 0.5}).weights
    assert_allclose(weights, [1, 3, 1, 5])


def test_class_weight_of_a_label_that_is_missing_from_y_does_no_harm():
    assert_allclose(weighed([0, 0, 1], None, {"c": 9, "a": 2}).weights, [2, 2, 1])


def test_class_weights_of_a_fold_that_lacks_a_class_are_those_of_scikit_learn():
    weights = {"a": 2.0, "b": 3.0, "rare": 9.0}
    codes = [0, 0, 1]
    expected = compute_sample_weight(weights, np.array(CLASSES)[codes])
    assert_allclose(weighed(codes, None, weights).weights, expected)
    with pytest.raises(ValueError, match="labels that are no classes.*classes= with"):
        weighed([0, 0, 2], None, weights)  # "c" has none


def test_class_without_weight_is_left_out():
    assert numbers(weighed([0, 1, 0, 2], None, {"a": 0})) == [1, 3]


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"z": 1}, r"labels that are no classes: \['z'\]"),
        ({"a": -1}, "that are not negative"),
        ({"a": 0, "b": 0}, "leaves no row any weight"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, message):
    with pytest.raises(ValueError, match=message):
        weighed([0, 1], None, class_weight)


def test_held_out_rows_do_not_enter_balanced_weights():
    y = np.repeat([0, 1, 0, 1, 0, 1], [50, 5, 1, 14, 3, 27])
    groups = np.repeat([0, 1, 2], [55, 15, 30])
    X = np.random.default_rng(0).normal(size=(100, 3))
    options = {"max_epochs": 2, "early_stopping": True, "random_state": 0}
    balanced = SmoothedAnticipator(
        class_weight="balanced", validation_fraction=0.4, **options
    ).fit(X, y, groups=groups)

    def as_if_held(group):
        """The same fit, with weights of the rows that train, by scikit-learn."""
        held = groups == group
        model = SmoothedAnticipator(**options).fit(
            X[~held],
            y[~held],
            sample_weight=compute_sample_weight("balanced", y[~held]),
            X_val=X[held],
            y_val=y[held],
        )
        return np.allclose(model.loss_curve_, balanced.loss_curve_, rtol=1e-12)

    assert sum(map(as_if_held, range(3))) == 1


def test_share_of_groups_is_a_share_of_rows():
    groups = np.repeat(np.arange(20), [*[1] * 10, *[19] * 10])
    samples = samples_of(np.arange(200) % 2, groups=groups)
    for seed in range(10):
        _, held = hold_out(samples, 0.3, seed)
        assert 50 <= len(held) <= 70


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0, 0], "at least one non-zero"),
        ([-1, 1], "[Nn]egative"),
        ([1, np.nan], "NaN"),
        ([[1, 1], [1, 1]], "1D"),
    ],
)
def test_bad_sample_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        check_weights(np.array([0, 1]), weights)


@pytest.mark.filterwarnings("ignore:1 rows with y == -1")
@pytest.mark.parametrize(
    ("weights", "class_weight"),
    [([0, 0, 0, 1], None), ([0, 0, 0, 1], "balanced"), (None, {0: 0, 1: 0, 2: 0})],
)
def test_fit_without_a_row_that_weighs_something_is_an_error(weights, class_weight):
    model = SmoothedAnticipator(max_epochs=1, class_weight=class_weight)
    with pytest.raises(ValueError, match="weight"):
        model.fit(np.eye(4), [0, 1, 2, -1], sample_weight=weights)


# ---------------------------------------------------------------------- hold out


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-1, 3), min_size=12, max_size=40),
    st.floats(0.05, 0.5),
    st.integers(0, 99),
)
def test_held_out_part_is_labelled_and_the_rest_trains(codes, fraction, seed):
    codes = np.array([0, 1, *codes])
    training, validation = hold_out(samples_of(codes), fraction, seed)
    held, kept = numbers(validation), numbers(training)
    assert sorted(held + kept) == list(range(len(codes)))
    assert (validation.codes >= 0).all()
    assert len(held) == np.ceil(fraction * (codes >= 0).sum())
    assert_array_equal(training.codes, codes[kept])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-1, 3), min_size=20, max_size=20),
    st.lists(st.integers(0, 5), min_size=20, max_size=20),
    st.integers(0, 99),
)
def test_groups_are_held_out_whole(codes, groups, seed):
    codes, groups = np.array([0, 1, *codes]), np.array([7, 8, *groups])
    training, validation = hold_out(samples_of(codes, groups), 0.3, seed)
    assert len(training) and len(validation)
    assert (validation.codes >= 0).all()
    assert not set(training.groups) & set(validation.groups)
    lost = set(range(22)) - {*numbers(training), *numbers(validation)}
    assert all(codes[k] == -1 and groups[k] in validation.groups for k in lost)


def test_held_out_part_has_every_class_where_that_is_possible():
    codes = np.repeat([0, 1, 2], [80, 10, 10])
    _, validation = hold_out(samples_of(codes), 0.2, 0)
    assert np.bincount(validation.codes).tolist() == [16, 2, 2]


def test_class_with_one_row_does_not_stop_the_split():
    training, validation = hold_out(samples_of([0] * 9 + [1]), 0.2, 0)
    assert (len(training), len(validation)) == (8, 2)


def test_split_follows_its_seed():
    samples = samples_of(np.arange(60) % 3)
    one, two = (numbers(hold_out(samples, 0.3, 5)[1]) for _ in range(2))
    assert one == two
    assert one != numbers(hold_out(samples, 0.3, 6)[1])


def test_split_that_leaves_nothing_is_an_error():
    with pytest.raises(ValueError, match="validation_fraction=0.9 of 2 .* lower it"):
        hold_out(samples_of([0, 1, -1]), 0.9, 0)


@pytest.mark.parametrize("weight", [1e-50, 1e39])
def test_weights_that_single_precision_cannot_hold_are_refused(weight):
    with pytest.raises(ValueError, match="float32 cannot hold: divide them by their"):
        check_weights(np.zeros(3), np.array([0.0, 1.0, weight]))
