import warnings
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from five_actions import ACTIONS, ASYMMETRIC, CLASSES, SEQUENCES, soft_targets
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skanticipate import MLP, SmoothedAnticipator
from skanticipate.priors import (
    BasePrior,
    MixturePrior,
    TemporalPrior,
    TransitionPrior,
)

FILLERS = [None, float("nan"), "", -1, pd.NA]


def pairs(sequences):
    """Rows (y_past, y) of sequences, the first of each with nothing seen."""
    past = [label for s in sequences for label in [-1, *s][:-1]]
    return np.array(past), np.array([label for s in sequences for label in s])


def naive_temporal(sequences, n, direction):
    occurrences = np.zeros((n, n))
    for sequence in sequences:
        for t in range(len(sequence) - 1):
            occurrences[sequence[t], sequence[t + 1]] += 1
    matrix = occurrences.T if direction == "predecessor" else occurrences
    return np.array(
        [row / row.sum() if row.any() else np.eye(n)[k] for k, row in enumerate(matrix)]
    )


def test_temporal_fixture():
    matrix = TemporalPrior(sequences=SEQUENCES).fit(CLASSES).matrix_
    expected = np.eye(5)[[2, 3, 0, 1, 2]]
    expected[2] = [0.5, 0, 0, 0, 0.5]
    assert_array_equal(matrix, expected)


def test_direction_of_the_temporal_prior():
    predecessor = TemporalPrior(sequences=ASYMMETRIC).fit([0, 1, 2]).matrix_
    successor = TemporalPrior("successor", ASYMMETRIC).fit([0, 1, 2]).matrix_
    assert_array_equal(predecessor[1], [1, 0, 0])
    assert_array_equal(successor[1], [0.5, 0, 0.5])
    assert_array_equal(predecessor[2], [0, 1, 0])
    assert_array_equal(successor[2], [0, 0, 1])  # nothing follows 2: one-hot


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3)), min_size=1).filter(
        lambda sequences: max(map(len, sequences)) > 1
    ),
    st.sampled_from(["predecessor", "successor"]),
)
def test_temporal_equals_the_naive_loop_for_sequences_and_pairs(sequences, direction):
    expected = naive_temporal(sequences, 4, direction)
    past, y = pairs(sequences)
    by_sequence = TemporalPrior(direction, sequences).fit(range(4))
    by_pair = TemporalPrior(direction).fit(range(4), y, past)
    assert_allclose(by_sequence.matrix_, expected, rtol=1e-6)
    assert_array_equal(by_pair.matrix_, by_sequence.matrix_)


@pytest.mark.parametrize("filler", FILLERS)
def test_a_missing_past_is_not_counted(filler):
    labels = ["a", "b", "c"]
    prior = TemporalPrior().fit(labels, ["b", "c", "c"], ["a", filler, "b"])
    assert_array_equal(prior.matrix_, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_labels_outside_the_classes_are_skipped_not_bridged():
    prior = TemporalPrior(sequences=[[0, 9, 1], [0, 0]]).fit([0, 1])
    assert_array_equal(prior.matrix_, np.eye(2))


def test_strength_is_a_mass_for_each_row():
    matrix = TemporalPrior(sequences=ASYMMETRIC, strength=3.0).fit([0, 1, 2]).matrix_
    assert_allclose(matrix[1], [3 / 5, 1 / 5, 1 / 5], rtol=1e-6)  # counts 2, 0, 0
    successor = TemporalPrior("successor", ASYMMETRIC, strength=3.0).fit([0, 1, 2])
    assert_allclose(successor.matrix_[2], 1 / 3, rtol=1e-6)


def test_temporal_without_self_ignores_repeats():
    prior = TemporalPrior(sequences=[[0, 0, 1, 1]], include_self=False).fit([0, 1])
    assert_array_equal(prior.matrix_, [[1, 0], [1, 0]])


def test_no_counted_transition_warns_and_is_one_hot():
    with pytest.warns(UserWarning, match="counted no transition"):
        prior = TemporalPrior().fit([0, 1], [0, 1], ["cut", "pour"])
    assert_array_equal(prior.matrix_, np.eye(2))


@pytest.mark.parametrize("prior", [TemporalPrior(), TransitionPrior()])
def test_priors_that_count_need_the_past(prior):
    with pytest.raises(ValueError, match=r"y_past is None: pass y_past= to fit"):
        prior.fit([0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"but y is None"):
        prior.fit([0, 1], None, [0, 1])
    with pytest.raises(ValueError, match="y_past has 1 labels but y has 2"):
        prior.fit([0, 1], [0, 1], [0])


def naive_transition(y, past, classes, strength, last, actions):
    """p(. | last) by dictionaries and loops, one formula a level."""

    def smooth(counts, parent):
        total = sum(counts.values())
        return [
            (counts[c] + strength * p) / (total + strength)
            for c, p in zip(classes, parent, strict=True)
        ]

    by = defaultdict(Counter)
    for label, before in zip(y, past, strict=True):
        by["all"][label] += 1
        if before != -1:
            by["action", before][label] += 1
            by["verb", actions[before][0]][label] += 1
            by["noun", actions[before][1]][label] += 1
    result = smooth(by["all"], [1 / len(classes)] * len(classes))
    if last not in actions:
        return result
    verb, noun = actions[last]
    if ("noun", noun) in by:
        result = smooth(by["noun", noun], result)
    elif ("verb", verb) in by:
        result = smooth(by["verb", verb], result)
    if ("action", last) in by:
        result = smooth(by["action", last], result)
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(range(5)), st.sampled_from([0, 1, 2, -1])),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([0.5, 100.0]),
)
def test_transition_equals_the_naive_loop(samples, strength):
    y, past = (list(column) for column in zip(*samples, strict=True))
    prior = TransitionPrior(ACTIONS, strength=strength).fit(CLASSES, y, past)
    last = [0, 1, 2, 3, 4, -1, 77]
    expected = [
        naive_transition(y, past, CLASSES, strength, label, ACTIONS) for label in last
    ]
    targets = soft_targets(prior, [0] * len(last), last)
    assert_allclose(targets, expected, rtol=1e-5)
    assert (targets > 0).all()


def test_an_unknown_past_action_gets_the_row_of_its_noun_then_verb_then_all():
    prior = TransitionPrior(ACTIONS).fit(CLASSES, [1, 2, 3], [0, 0, -1])
    rows = prior.rows([0] * 4, [0, 2, 1, 4]).tolist()
    assert rows == [0, 1, 2, 3]  # the action; its noun; its verb; everything
    assert prior.past_actions_ == [0]
    assert prior.past_nouns_ == ["pan"]
    assert prior.past_verbs_ == ["cut"]


@pytest.mark.parametrize("filler", FILLERS)
def test_nothing_seen_gives_the_frequencies_of_all_labels(filler):
    classes = ["cut onion", "wash pan"]
    prior = TransitionPrior(strength=1.0).fit(
        classes, ["cut onion", "cut onion", "wash pan"], [filler, "wash pan", filler]
    )
    assert_allclose(soft_targets(prior, ["cut onion"], [filler]), [[2.5 / 4, 1.5 / 4]])


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [(["cut onion", "wash pan"], "string"), ([4, 5], "Int64")],
)
def test_columns_of_pandas_count_as_lists(labels, dtype):
    y, past = [*labels, *labels], [pd.NA, *labels, pd.NA]
    column = pd.array(past, dtype)
    filled = [None if label is pd.NA else label for label in past]
    for prior in (TransitionPrior(), TemporalPrior("successor")):
        expected = prior.fit(labels, y, filled).matrix_
        rows = prior.rows(y, filled)
        assert_array_equal(
            prior.fit(labels, pd.array(y, dtype), column).matrix_, expected
        )
        assert_array_equal(prior.rows(pd.array(y, dtype), column), rows)


def test_labels_that_are_no_names_back_off_to_the_frequencies():
    prior = TransitionPrior(strength=1.0).fit([0, 1], [0, 1, 1], [7, 7, -1])
    everything = np.array([1.5, 2.5]) / 4
    expected = [([1, 1] + everything) / 3, everything]
    assert_allclose(soft_targets(prior, [0, 0], [7, 8]), expected, rtol=1e-6)
    assert prior.past_nouns_ == prior.past_verbs_ == []


def test_minus_one_is_a_past_action_where_it_is_a_class():
    prior = TransitionPrior(strength=1.0).fit([-1, 1], [1, 1, -1], [-1, -1, 1])
    assert prior.past_actions_ == [-1, 1]
    assert prior.rows([1, 1], [-1, 1]).tolist() == [0, 1]


def test_sequences_count_as_their_pairs():
    past, y = pairs(SEQUENCES)
    by_pair = TransitionPrior(ACTIONS).fit(CLASSES, y, past)
    by_sequence = TransitionPrior(ACTIONS, sequences=SEQUENCES).fit(CLASSES)
    assert_array_equal(by_sequence.matrix_, by_pair.matrix_)
    assert by_sequence.past_actions_ == by_pair.past_actions_


def test_transition_rows_need_the_past():
    prior = TransitionPrior().fit([0, 1], [0], [1])
    with pytest.raises(ValueError, match="y_past is None"):
        prior.rows([0])
    with pytest.raises(ValueError, match="y_past has 2 labels but y has 1"):
        prior.rows([0], [1, 1])


def test_a_past_action_without_an_entry_in_actions_is_an_error():
    with pytest.raises(ValueError, match="among them 9: add them to actions"):
        TransitionPrior(ACTIONS).fit(CLASSES, [0], [9])


VIDEOS = pd.DataFrame({"video": ["v1", "v1"], "action": ["cut pan", "wash pan"]})


@pytest.mark.parametrize("prior", [TemporalPrior, TransitionPrior])
@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ({"v1": ["cut pan", "wash pan"]}, "got a dict"),
        (pd.DataFrame({"v1": ["cut pan"], "v2": ["wash pan"]}), "got a DataFrame"),
        (["cut pan", "wash pan"], "got 'cut pan'"),
        (np.array(["cut pan", "wash pan"]), "'cut pan'"),
        ([0, 1], "got 0"),
        ([{"v1": ["cut pan"]}], "in place of such a list"),
        (VIDEOS.groupby("video"), "got a DataFrameGroupBy: pass [list(labels) for"),
        (VIDEOS.groupby("video")["action"], "got a SeriesGroupBy: pass [list(labels)"),
        (list(VIDEOS.groupby("video")), "of which one is itself a list or a table"),
        ([("v1", ["cut pan", "wash pan"])], "without the name of the video"),
        ([VIDEOS], "in place of such a list"),
        ([{"cut pan", "wash pan"}], "in place of such a list"),
    ],
)
def test_what_are_no_sequences_is_refused_with_the_remedy(prior, wrong, got):
    with pytest.raises(ValueError, match="sequences must") as error:
        prior(sequences=wrong).fit(["cut pan", "wash pan"])
    assert got in str(error.value)


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series])
def test_a_sequence_may_be_any_list(kind):
    given = [kind(sequence) for sequence in SEQUENCES]
    for prior in (TemporalPrior, TransitionPrior):
        expected = prior(sequences=SEQUENCES).fit(CLASSES).matrix_
        assert_array_equal(prior(sequences=given).fit(CLASSES).matrix_, expected)


@pytest.mark.parametrize("prior", [TemporalPrior, TransitionPrior])
def test_a_sequence_is_in_the_order_of_its_own_index(prior):
    expected = prior(sequences=SEQUENCES).fit(CLASSES).matrix_
    given = [pd.Series(s, range(5, 5 + len(s))) for s in SEQUENCES]
    assert_array_equal(prior(sequences=given).fit(CLASSES).matrix_, expected)
    given[1] = given[1][::-1]
    with pytest.raises(ValueError, match=r"index of sequences\[1\] does not rise"):
        prior(sequences=given).fit(CLASSES)


def test_sequences_of_another_type_than_the_labels_are_told():
    texts = [[str(label) for label in sequence] for sequence in SEQUENCES]
    with pytest.warns(UserWarning, match="TransitionPrior counted no label"):
        prior = TransitionPrior(sequences=[[f"a {t}" for t in s] for s in texts])
        prior.fit(CLASSES)
    assert_allclose(prior.matrix_, 0.2)
    nothing = pytest.warns(UserWarning, match="TemporalPrior counted no transition")
    with nothing, pytest.warns(UserWarning, match="differ in nothing but"):
        TemporalPrior(sequences=texts).fit(CLASSES)


def test_what_was_seen_last_has_the_type_of_fit():
    prior = TransitionPrior(sequences=SEQUENCES).fit(CLASSES)
    assert prior.rows([0, 0], [2, None])[0] == prior.rows([0], [2])[0]
    with pytest.raises(ValueError, match="y_past holds strings, such as '2'"):
        prior.rows([0, 0], ["2", ""])
    assert_array_equal(prior.rows([0], [""]), prior.rows([0], [None]))


# ------------------------------------------------------------------ rows with weights

COUNTING = {
    "predecessor": TemporalPrior(),
    "successor": TemporalPrior("successor", strength=2.0),
    "transition": TransitionPrior(ACTIONS, strength=2.0),
    "mixture": MixturePrior([TemporalPrior(), TransitionPrior(ACTIONS)]),
}
ROWS = np.random.default_rng(0).integers(5, size=(40, 2))
TIMES = np.random.default_rng(1).integers(3, size=40)  # 0, 1 or 2


@pytest.mark.parametrize("kind", [np.array, list, pd.Series])
@pytest.mark.parametrize("name", COUNTING)
def test_a_row_of_weight_k_counts_as_k_rows(name, kind):
    def fit(rows, weight=None):
        y, past = (kind(column.tolist()) for column in rows.T)
        return clone(COUNTING[name]).fit(CLASSES, y, past, sample_weight=weight)

    weighed, repeated = fit(ROWS, TIMES), fit(np.repeat(ROWS, TIMES, axis=0))
    assert_array_equal(
        soft_targets(weighed, ROWS[:, 0], ROWS[:, 1]),
        soft_targets(repeated, ROWS[:, 0], ROWS[:, 1]),
    )


def test_weights_between_whole_numbers_count_by_their_parts():
    prior = TemporalPrior("successor").fit(
        [0, 1], [0, 1, 1], [0, 0, 1], sample_weight=[0.25, 0.75, 2.0]
    )
    assert_array_equal(prior.matrix_, [[0.25, 0.75], [0, 1]])


def test_past_actions_of_rows_that_count_nothing_are_unknown():
    prior = TransitionPrior(ACTIONS).fit(CLASSES, [1, 2], [0, 3], sample_weight=[1, 0])
    assert prior.past_actions_ == [0]


def test_weights_of_rows_say_nothing_of_sequences():
    prior = TemporalPrior(sequences=ASYMMETRIC)
    expected = prior.fit(CLASSES).matrix_
    fitted = clone(prior).fit(CLASSES, [0, 1], [1, 1], sample_weight=[0, 3])
    assert_array_equal(fitted.matrix_, expected)


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize("by_class", [False, True])
def test_in_a_fit_rows_count_by_their_weight_in_the_loss(name, by_class):
    X, (y, past) = np.random.default_rng(2).normal(size=(40, 3)), ROWS.T
    weight = TIMES.astype(float)
    model = SmoothedAnticipator(
        MLP(2), prior=COUNTING[name], max_epochs=1, smoothing=0.5, classes=CLASSES
    )
    if by_class:
        weight *= y + 1
        model.set_params(class_weight={k: k + 1.0 for k in range(5)})
    model.fit(X, y, y_past=past, sample_weight=TIMES)
    kept = TIMES > 0
    relative = weight[kept] / weight[kept].mean()
    alone = clone(COUNTING[name]).fit(CLASSES, y[kept], past[kept], relative)
    assert_allclose(
        soft_targets(model.prior_, y, past), soft_targets(alone, y, past), rtol=1e-6
    )


class OwnPrior(BasePrior):
    """One of a user, who knows of no weights."""

    def _fit_matrix(self, classes, y, y_past):
        return np.float32([[np.mean(y == label) for label in classes]])

    def rows(self, y, y_past=None):
        return np.zeros(len(y), dtype=np.intp)


def test_a_prior_without_weights_is_shown_the_rows_that_have_one():
    prior = OwnPrior().fit([0, 1], np.array([0, 1, 1]), sample_weight=[1, 3, 0])
    assert_array_equal(prior.matrix_, [[0.5, 0.5]])


@pytest.mark.parametrize(
    "past, what",
    [
        (["Take onion", "take leek"], "The verbs 'Take' and 'take'"),
        (["take Onion", "put onion"], "The nouns 'Onion' and 'onion'"),
        (["cut  tap", "cut tap"], "The labels 'cut  tap' and 'cut tap'"),
    ],
)
def test_names_that_differ_in_case_count_as_two_and_are_told(past, what):
    y = ["cut tap", "wash pan"]
    with pytest.warns(UserWarning, match=what):
        TransitionPrior().fit(y, y=y, y_past=past)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TransitionPrior().fit(
            y, y=y, y_past=[" ".join(name.lower().split()) for name in past]
        )


def test_a_past_label_that_differs_from_a_class_in_case_is_told():
    y = ["take tap", "take pan", "take tap"]
    past = ["Take pan", "take tap", "take pan"]
    for sequences, pairs in ((None, {"y": y, "y_past": past}), ([past], {})):
        with pytest.warns(UserWarning, match="The labels 'Take pan' and 'take pan'"):
            TemporalPrior(sequences=sequences).fit(["take pan", "take tap"], **pairs)
