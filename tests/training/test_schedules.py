"""Schedules at their boundaries, and between them."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.training import constant, cosine, wsd


@pytest.mark.parametrize("schedule", [cosine, constant, wsd])
def test_warm_up_rises_linearly_from_the_first_step_to_one(schedule):
    assert [schedule(step, 100, 4) for step in range(1, 5)] == [0.25, 0.5, 0.75, 1.0]


def test_cosine_ends_at_its_floor_and_is_halfway_in_the_middle():
    assert cosine(100, 100, 20) == pytest.approx(0.1, abs=1e-15)
    assert cosine(60, 100, 20) == pytest.approx(0.55, abs=1e-15)
    assert cosine(10, 10, floor=0.0) == pytest.approx(0.0, abs=1e-15)


def test_constant_stays_at_one():
    assert {constant(step, 50, 5) for step in range(5, 51)} == {1.0}


def test_wsd_is_flat_until_the_decay_and_ends_at_its_floor():
    assert {wsd(step, 100, 10) for step in range(10, 81)} == {1.0}
    assert [wsd(step, 100, 10) for step in (85, 90, 100)] == [0.75, 0.5, 0.0]
    assert wsd(100, 100, 10, floor=0.1) == 0.1
    assert {wsd(step, 100, decay=0.0) for step in range(1, 101)} == {1.0}


@pytest.mark.parametrize("schedule", [cosine, constant, wsd, partial(wsd, decay=0.5)])
@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_every_factor_lies_between_zero_and_one_and_never_rises_after_warm_up(schedule, max_steps, data):
    warmup = data.draw(st.integers(0, max_steps))
    factors = [schedule(step, max_steps, warmup) for step in range(1, max_steps + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[max(warmup - 1, 0) :]
    assert after == sorted(after, reverse=True)
