import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skanticipate.datasets import label_history, make_kitchen

ARRAYS = ("X_past", "X_future", "y", "y_past", "past_actions", "groups")


@pytest.fixture(scope="module")
def kitchen():
    return make_kitchen(random_state=0)


@pytest.fixture(scope="module")
def large_kitchen():
    return make_kitchen(n_videos=300, n_actions_per_video=20, random_state=0)


def test_the_same_seed_gives_the_same_arrays(kitchen):
    again = make_kitchen(random_state=0)
    for name in ARRAYS:
        assert_array_equal(kitchen[name], again[name])
    for name, column in kitchen.segments.items():
        assert_array_equal(column, again.segments[name])


def test_another_seed_gives_other_videos(kitchen):
    other = make_kitchen(random_state=1)
    assert (other.y != kitchen.y).any()
    assert not np.allclose(other.X_past, kitchen.X_past)


def test_the_global_random_state_is_left_alone():
    np.random.seed(3)
    expected = np.random.uniform()
    np.random.seed(3)
    make_kitchen(n_videos=2, random_state=0)
    assert np.random.uniform() == expected


def test_pooled_shapes():
    data = make_kitchen(3, 4, n_features=7, history=2, random_state=0)
    assert data.X_past.shape == data.X_future.shape == (12, 7)
    assert data.past_actions.shape == (12, 2)
    assert data.y.shape == data.y_past.shape == data.groups.shape == (12,)
    assert all(column.shape == (12,) for column in data.segments.values())


def test_steps_add_a_time_axis():
    data = make_kitchen(3, 4, n_steps=6, random_state=0)
    assert data.X_past.shape == data.X_future.shape == (12, 6, 24)
    assert np.isfinite(data.X_past).all()


def test_pooled_clips_are_the_mean_of_four_steps():
    pooled = make_kitchen(3, 4, random_state=0)
    steps = make_kitchen(3, 4, n_steps=4, random_state=0)
    assert_allclose(pooled.X_past, steps.X_past.mean(axis=1))
    assert_allclose(pooled.X_future, steps.X_future.mean(axis=1))


def test_one_group_for_each_video(kitchen):
    pairs = set(zip(kitchen.groups, kitchen.segments.video, strict=True))
    assert len(pairs) == len(np.unique(kitchen.groups)) == 40
    assert_array_equal(np.bincount(kitchen.groups), 15)


def test_labels_are_integers_of_the_twenty_actions(kitchen):
    assert kitchen.y.dtype.kind == "i"
    assert list(kitchen.actions) == list(range(20))
    assert len(set(kitchen.actions.values())) == 20
    assert set(np.unique(kitchen.y)) == set(kitchen.actions)
    assert_array_equal(kitchen.y, kitchen.segments.action)


def test_ids_of_verbs_and_nouns_agree_with_the_names(kitchen):
    verb, noun = np.array([kitchen.actions[label] for label in kitchen.y]).T
    for names, ids in [(verb, kitchen.segments.verb), (noun, kitchen.segments.noun)]:
        assert len(set(zip(names, ids, strict=True))) == len(set(names))


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.9])
def test_the_unlabelled_fraction_is_exact_and_hides_y_only(fraction, kitchen):
    data = make_kitchen(unlabeled_fraction=fraction, random_state=0)
    hidden = data.y == -1
    assert hidden.sum() == fraction * 600
    assert_array_equal(data.y[~hidden], kitchen.y[~hidden])
    for name in ("X_past", "X_future", "y_past", "past_actions"):
        assert_array_equal(data[name], kitchen[name])
    assert (data.segments.action >= 0).all()


def test_past_actions_are_the_label_history_of_the_segments(kitchen):
    assert_array_equal(
        kitchen.past_actions, label_history(kitchen.segments, history=5, fps=30)
    )
    assert_array_equal(kitchen.y_past, kitchen.past_actions[:, -1])


def test_segments_of_a_video_follow_each_other(kitchen):
    segments = kitchen.segments
    same_video = segments.video[1:] == segments.video[:-1]
    pause = segments.start_frame[1:] - segments.stop_frame[:-1]
    assert (pause[same_video] >= 0).all()
    assert (segments.stop_frame - segments.start_frame >= 45).all()
    assert segments.start_frame.min() >= 0


def consecutive(data):
    """Pairs of (verb, noun) that follow each other in a video."""
    same_video = data.groups[1:] == data.groups[:-1]
    names = np.array([data.actions[label] for label in data.segments.action])
    return names[:-1][same_video], names[1:][same_video]


def test_actions_mostly_go_on_with_the_same_thing(large_kitchen):
    now, then = consecutive(large_kitchen)
    same_noun = (now[:, 1] == then[:, 1]).mean()
    by_chance = (now[:, 1] == np.random.RandomState(0).permutation(then[:, 1])).mean()
    assert 0.35 < same_noun < 0.7
    assert same_noun > 2 * by_chance


def test_what_is_peeled_is_cut_and_not_the_other_way_round(large_kitchen):
    now, then = consecutive(large_kitchen)
    same_noun = now[:, 1] == then[:, 1]
    peel_cut = (same_noun & (now[:, 0] == "peel") & (then[:, 0] == "cut")).sum()
    cut_peel = (same_noun & (now[:, 0] == "cut") & (then[:, 0] == "peel")).sum()
    assert peel_cut > 10 * cut_peel


def test_a_video_prefers_the_things_of_its_recipe(large_kitchen):
    share = [
        np.sort(np.bincount(large_kitchen.segments.noun[rows], minlength=8))[-4:].sum()
        for rows in (large_kitchen.groups == video for video in range(300))
    ]
    assert np.mean(share) > 0.8 * 20


def test_the_future_tells_more_than_the_past_and_nothing_tells_all(kitchen):
    past, future = (
        cross_val_accuracy(kitchen, kitchen[name]) for name in ("X_past", "X_future")
    )
    last = OneHotEncoder(sparse_output=False).fit_transform(kitchen.y_past[:, None])
    last_action = cross_val_accuracy(kitchen, last)
    both = cross_val_accuracy(kitchen, np.hstack([kitchen.X_past, last]))
    majority = np.bincount(kitchen.y).max() / len(kitchen.y)

    assert majority < 0.15
    assert 0.25 < past < 0.6
    assert 0.25 < last_action < 0.6
    assert max(past, last_action) + 0.03 < both < 0.7
    assert both + 0.15 < future < 0.95


def test_five_past_actions_tell_more_than_the_last_one(large_kitchen):
    train = large_kitchen.groups < 225
    accuracy = {}
    for history in (1, 5):
        past = large_kitchen.past_actions[:, -history:]
        X = OneHotEncoder().fit_transform(past)
        model = LogisticRegression(C=0.3, max_iter=300)
        model.fit(X[train], large_kitchen.y[train])
        accuracy[history] = model.score(X[~train], large_kitchen.y[~train])
    assert accuracy[1] + 0.02 < accuracy[5] < 0.6


def test_mistakes_from_the_past_share_a_verb_or_a_noun(kitchen):
    guess = cross_val_predict(
        classifier(), kitchen.X_past, kitchen.y, groups=kitchen.groups, cv=GroupKFold(5)
    )
    wrong = guess != kitchen.y
    names = np.array([kitchen.actions[label] for label in range(20)])

    def share_a_word(guess):
        return (names[guess] == names[kitchen.y[wrong]]).any(axis=1).mean()

    by_chance = np.random.RandomState(0).permutation(guess[wrong])
    assert share_a_word(guess[wrong]) > 1.3 * share_a_word(by_chance)


def classifier():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1))


def cross_val_accuracy(data, X):
    guess = cross_val_predict(
        classifier(), X, data.y, groups=data.groups, cv=GroupKFold(5)
    )
    return (guess == data.y).mean()


def test_the_description_says_that_the_data_are_synthetic(kitchen):
    assert "synthetic" in kitchen.DESCR
    assert "synthetic" in make_kitchen.__doc__


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_videos": 0},
        {"n_actions_per_video": 0},
        {"n_steps": 0},
        {"n_features": 0},
        {"history": 0},
        {"noise": -1},
        {"unlabeled_fraction": 1.0},
        {"random_state": "today"},
    ],
)
def test_parameters_out_of_range_are_refused(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"'{name}' parameter of make_kitchen"):
        make_kitchen(**parameters)
