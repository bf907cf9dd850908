import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from skanticipate import CosineSchedule, SmoothedAnticipator, StepSchedule
from skanticipate.training.schedules import StretchedSchedule


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1.0), (19.99, 1.0), (20, 0.1), (39.5, 0.1), (40, 0.01), (60, 0.001)],
)
def test_step_schedule_falls_tenfold_every_twenty_epochs(epoch, factor):
    assert StepSchedule().factor(epoch, 100) == pytest.approx(factor)


def test_step_schedule_takes_its_own_step_and_gamma():
    schedule = StepSchedule(3, gamma=0.5)
    factors = [schedule.factor(epoch, 10) for epoch in range(8)]
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_step_schedule_counts_steps_from_the_first_epoch_of_warm_up():
    schedule = StepSchedule(4, gamma=0.5, warmup_epochs=2)
    factors = [schedule.factor(epoch, 10) for epoch in (0, 0.5, 1, 2, 3.9, 4, 8)]
    assert factors == [0, 0.25, 0.5, 1, 1, 0.5, 0.25]


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1), (2.5, (1 + math.sqrt(0.5)) / 2), (5, 0.5), (7.5, 0.14644661), (10, 0)],
)
def test_cosine_schedule_is_half_a_cosine(epoch, factor):
    assert CosineSchedule().factor(epoch, 10) == pytest.approx(factor)


def test_cosine_schedule_falls_after_the_warm_up_only():
    schedule = CosineSchedule(warmup_epochs=4)
    factors = [schedule.factor(epoch, 12) for epoch in (0, 1, 2, 4, 8, 12)]
    assert factors == pytest.approx([0, 0.25, 0.5, 1, 0.5, 0])


def test_cosine_schedule_with_warm_up_longer_than_training_only_rises():
    schedule = CosineSchedule(warmup_epochs=10)
    factors = [schedule.factor(epoch, 4) for epoch in (1, 2, 3.5)]
    assert factors == pytest.approx([0.1, 0.2, 0.35])


@given(
    st.sampled_from([StepSchedule, CosineSchedule]),
    st.floats(0, 20),
    st.integers(1, 30),
    st.floats(0, 1),
)
def test_factor_is_a_share_of_the_rate(kind, warmup, max_epochs, progress):
    factor = kind(warmup_epochs=warmup).factor(progress * max_epochs, max_epochs)
    assert isinstance(factor, float)
    assert 0 <= factor <= 1


@pytest.mark.parametrize("schedule", [StepSchedule(2), CosineSchedule(warmup_epochs=1)])
def test_stretched_schedule_passes_the_same_points_later(schedule):
    stretched = StretchedSchedule(schedule, 2.5)
    for epoch in np.linspace(0, 8, 33):
        expected = schedule.factor(epoch, 8)
        assert stretched.factor(2.5 * epoch, 20) == pytest.approx(expected)


def test_parameters_are_those_of_an_estimator():
    schedule = clone(StepSchedule(7, gamma=0.3, warmup_epochs=1))
    assert schedule.get_params() == {"step_size": 7, "gamma": 0.3, "warmup_epochs": 1}


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (StepSchedule(step_size=0), "step_size"),
        (StepSchedule(gamma=5.0), "gamma"),
        (CosineSchedule(warmup_epochs=-1), "warmup_epochs"),
    ],
)
def test_parameters_out_of_range_are_refused_in_fit(schedule, name):
    model = SmoothedAnticipator(max_epochs=1, lr_schedule=schedule)
    with pytest.raises(ValueError, match=name):
        model.fit([[0.0], [1.0]], [0, 1])
