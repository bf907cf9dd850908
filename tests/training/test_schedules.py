import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from skanticipate import (
    CosineSchedule,
    MultiStepSchedule,
    SmoothedAnticipator,
    StepSchedule,
)
from skanticipate.training.schedules import StretchedSchedule


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1.0), (19.99, 1.0), (20, 0.1), (39.5, 0.1), (40, 0.01), (60, 0.001)],
)
def test_step_schedule_falls_tenfold_every_twenty_epochs(epoch, factor):
    assert StepSchedule().share(epoch, 100) == pytest.approx(factor)


def test_step_schedule_takes_its_own_step_and_factor():
    schedule = StepSchedule(3, factor=0.5)
    factors = [schedule.share(epoch, 10) for epoch in range(8)]
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_step_schedule_counts_steps_from_the_first_epoch_of_warm_up():
    schedule = StepSchedule(4, factor=0.5, warmup_epochs=2)
    factors = [schedule.share(epoch, 10) for epoch in (0, 0.5, 1, 2, 3.9, 4, 8)]
    assert factors == [0, 0.25, 0.5, 1, 1, 0.5, 0.25]


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1), (2.5, (1 + math.sqrt(0.5)) / 2), (5, 0.5), (7.5, 0.14644661), (10, 0)],
)
def test_cosine_schedule_is_half_a_cosine(epoch, factor):
    assert CosineSchedule().share(epoch, 10) == pytest.approx(factor)


def test_cosine_schedule_falls_after_the_warm_up_only():
    schedule = CosineSchedule(warmup_epochs=4)
    factors = [schedule.share(epoch, 12) for epoch in (0, 1, 2, 4, 8, 12)]
    assert factors == pytest.approx([0, 0.25, 0.5, 1, 0.5, 0])


def test_cosine_schedule_with_warm_up_longer_than_training_only_rises():
    schedule = CosineSchedule(warmup_epochs=10)
    factors = [schedule.share(epoch, 4) for epoch in (1, 2, 3.5)]
    assert factors == pytest.approx([0.1, 0.2, 0.35])


@given(
    st.sampled_from([StepSchedule, CosineSchedule]),
    st.floats(0, 20),
    st.integers(1, 30),
    st.floats(0, 1),
)
def test_factor_is_a_share_of_the_rate(kind, warmup, max_epochs, progress):
    factor = kind(warmup_epochs=warmup).share(progress * max_epochs, max_epochs)
    assert isinstance(factor, float)
    assert 0 <= factor <= 1


@pytest.mark.parametrize("schedule", [StepSchedule(2), CosineSchedule(warmup_epochs=1)])
def test_stretched_schedule_passes_the_same_points_later(schedule):
    stretched = StretchedSchedule(schedule, 2.5)
    for epoch in np.linspace(0, 8, 33):
        expected = schedule.share(epoch, 8)
        assert stretched.share(2.5 * epoch, 20) == pytest.approx(expected)


def test_parameters_are_those_of_an_estimator():
    schedule = clone(StepSchedule(7, factor=0.3, warmup_epochs=1))
    assert schedule.get_params() == {"step_size": 7, "factor": 0.3, "warmup_epochs": 1}


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (StepSchedule(step_size=0), "step_size"),
        (StepSchedule(factor=5.0), "factor"),
        (CosineSchedule(warmup_epochs=-1), "warmup_epochs"),
    ],
)
def test_parameters_out_of_range_are_refused_in_fit(schedule, name):
    model = SmoothedAnticipator(max_epochs=1, lr_schedule=schedule)
    with pytest.raises(ValueError, match=name):
        model.fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(
    ("epoch", "share"), [(0, 1), (2.9, 1), (3, 0.5), (6.99, 0.5), (7, 0.25), (50, 0.25)]
)
def test_a_rate_falls_at_milestones(epoch, share):
    assert MultiStepSchedule([3, 7], 0.5).share(epoch, 60) == share


def test_milestones_are_those_of_torch():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    peer = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5, 6], gamma=0.1)
    schedule = MultiStepSchedule((2, 5, 6))
    for epoch in range(9):
        expected = peer.get_last_lr()[0]
        assert schedule.share(epoch + 0.5, 9) == pytest.approx(expected)
        optimizer.step()
        peer.step()


@pytest.mark.parametrize("milestones", [[], [5, 3], [3, 3], [0, 1], [1.5], [True, 2]])
def test_milestones_that_do_not_rise_are_refused(milestones):
    model = SmoothedAnticipator(lr_schedule=MultiStepSchedule(milestones))
    with pytest.raises(ValueError, match="milestones must be whole numbers"):
        model.fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize("kind", [StepSchedule, CosineSchedule])
def test_a_warm_up_that_training_does_not_reach_the_end_of_is_told(kind):
    model = SmoothedAnticipator(max_epochs=3, lr_schedule=kind(warmup_epochs=30))
    with pytest.warns(UserWarning, match="warmup_epochs=30.*max_epochs=3.* 0.1 of lr"):
        model.fit(np.eye(4), [0, 1, 0, 1])
    assert model.history_[-1]["lr"] < 0.1 * model.lr
    model.set_params(lr_schedule__warmup_epochs=3).fit(np.eye(4), [0, 1, 0, 1])
