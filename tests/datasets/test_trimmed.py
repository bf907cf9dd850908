"""Pairs out of trimmed clips, against a loop over all places there is room for."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import DistilledAnticipator, pad_clips
from skanticipate.datasets import trimmed_pairs


def counted(*lengths):
    """Clips whose feature counts the steps from 1."""
    return [np.arange(1.0, n + 1)[:, None] for n in lengths]


def places(length, n_steps, gap):
    """All pairs (past, future) of steps, counted from 1, that there is room for."""
    found = []
    for start in range(1, length + 1):
        future = start + n_steps + gap
        if future + n_steps - 1 <= length:
            past = list(range(start, start + n_steps))
            found.append((past, list(range(future, future + n_steps))))
    return found


def drawn(data):
    """Pairs (past, future) of steps by group, without padding."""
    pairs = {}
    for past, future, group in zip(
        data.X_past, data.X_future, data.groups.tolist(), strict=True
    ):
        row = tuple(x[~np.isnan(x)].astype(int).tolist() for x in (past, future))
        pairs.setdefault(group, []).append(row)
    return pairs


@pytest.mark.parametrize(("n_steps", "gap"), [(8, 15), (1, 0), (3, 4)])
def test_with_room_for_all_pairs_all_are_drawn(n_steps, gap):
    lengths = (40, 31, 35)
    data = trimmed_pairs(
        counted(*lengths), n_pairs=99, n_steps=n_steps, gap=gap, random_state=0
    )
    expected = {k: places(n, n_steps, gap) for k, n in enumerate(lengths)}
    assert drawn(data) == expected
    assert data.y.tolist() == [-1] * len(data.groups)


def test_all_places_are_equally_likely():
    found = [
        drawn(trimmed_pairs(counted(7), n_steps=2, gap=1, random_state=seed))[0][0]
        for seed in range(300)
    ]
    expected = places(7, 2, 1)
    counts = [found.count(pair) for pair in expected]
    assert sum(counts) == 300 and len(counts) == 3
    assert all(70 < count < 130 for count in counts)  # 100, four standard deviations


def test_pairs_of_a_clip_differ_and_repeat_with_the_seed():
    clips = counted(60, 50)
    one, two, other = (
        trimmed_pairs(clips, n_pairs=5, random_state=seed) for seed in (1, 1, 2)
    )
    for name, column in one.items():
        assert_array_equal(column, two[name])
    assert (one.X_past != other.X_past).any()
    for pairs in drawn(one).values():
        assert len({tuple(past) for past, _ in pairs}) == 5


@pytest.mark.parametrize(
    ("length", "past", "future"),
    [
        (30, (1, 8), (23, 30)),  # a step less than 8 + 15 + 8
        (16, (1, 8), (9, 16)),  # no gap is left
        (12, (1, 8), (5, 12)),  # they overlap
        (5, (1, 5), (1, 5)),  # all there is, and padding
    ],
)
def test_short_clips(length, past, future):
    data = trimmed_pairs(counted(length), n_pairs=3)
    assert data.X_past.shape == data.X_future.shape == (1, 8, 1)
    assert drawn(data) == {
        0: [(list(range(past[0], past[1] + 1)), list(range(future[0], future[1] + 1)))]
    }


def test_labels_and_groups_are_those_of_the_clip():
    clips = counted(40, 20, 33)
    data = trimmed_pairs(
        clips, ["cut", "mix", -1], n_pairs=2, groups=["a", "b", "b"], random_state=0
    )
    assert data.y.tolist() == ["cut", "cut", "mix", -1, -1]
    assert data.groups.tolist() == ["a", "a", "b", "b", "b"]


def test_padding_and_maps():
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, 2, 2, 3)) for n in (40, 9)]
    listed, padded = (
        trimmed_pairs(given, [0, 1], random_state=3)
        for given in (clips, pad_clips(clips))
    )
    for name, column in listed.items():
        assert_array_equal(padded[name], column)
    assert listed.X_past.shape == (2, 8, 2, 2, 3)
    assert_array_equal(listed.X_past[1], clips[1][:8])
    assert_array_equal(listed.X_future[1], clips[1][1:])


def test_a_fit_learns_from_clips_without_label():
    rng = np.random.default_rng(0)
    y = np.where(np.arange(24) < 16, np.arange(24) % 2, -1)
    clips = [rng.normal(size=(10 + i % 4, 4)) for i in range(24)]
    data = trimmed_pairs(clips, y, n_pairs=2, n_steps=3, gap=2, random_state=0)
    model = DistilledAnticipator(max_epochs=2, random_state=0)
    model.fit(data.X_past, data.y, data.X_future, groups=data.groups)
    assert model.n_unlabeled_ == (data.y == -1).sum() == 16
    assert model.classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"y": [1]}, "inconsistent numbers of samples"),
        ({"groups": [1, 2, 3]}, "inconsistent numbers of samples"),
        ({"n_pairs": 0}, "'n_pairs' parameter"),
        ({"n_steps": 0}, "'n_steps' parameter"),
        ({"gap": -1}, "'gap' parameter"),
        ({"clips": [np.full((3, 2), np.nan)] * 2}, r"clip 0 has no step \(2 such"),
    ],
)
def test_bad_input(options, match):
    with pytest.raises(ValueError, match=match):
        trimmed_pairs(**{"clips": counted(9, 9), **options})


def test_padding_at_the_end_does_not_count():
    clips = np.full((1, 9, 1), np.nan)
    clips[0, :5, 0] = np.arange(1.0, 6)  # as long as past, gap and future together
    data = trimmed_pairs(clips, n_steps=2, gap=1, random_state=0)
    assert_array_equal(data.X_past[0, :, 0], [1, 2])
    assert_array_equal(data.X_future[0, :, 0], [4, 5])
