"""Schedules at their boundaries, and between them."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.training import constant, cosine, inverse_sqrt, transformer_lr, wsd


@pytest.mark.parametrize("schedule", [cosine, constant, wsd, inverse_sqrt])
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


@pytest.mark.parametrize(("d_model", "warmup"), [(512, 4000), (1024, 4000), (64, 2), (48, 37)])
def test_the_transformers_rate_is_equation_3_at_every_step(d_model, warmup):
    for step in [*range(1, 200), warmup - 1, warmup, warmup + 1, 100_000]:
        expected = d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
        rate = transformer_lr(d_model, warmup) * inverse_sqrt(step, 100_000, warmup)
        assert rate == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("call", [lambda: inverse_sqrt(1, 10, 0), lambda: transformer_lr(512, 0)])
def test_an_inverse_square_root_without_a_warm_up_is_an_error(call):
    with pytest.raises(ValueError, match="inverse_sqrt needs warmup_steps of at least 1"):
        call()


@pytest.mark.parametrize("schedule", [cosine, constant, wsd, partial(wsd, decay=0.5), inverse_sqrt])
@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_every_factor_lies_between_zero_and_one_and_never_rises_after_warm_up(schedule, max_steps, data):
    warmup = data.draw(st.integers(int(schedule is inverse_sqrt), max_steps))
    factors = [schedule(step, max_steps, warmup) for step in range(1, max_steps + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[max(warmup - 1, 0) :]
    assert after == sorted(after, reverse=True)
