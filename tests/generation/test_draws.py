"""A row's random numbers are its own."""

import pytest
import torch

from allyouneed.generation import Draws, row_seeds

CPU = torch.device("cpu")


def test_a_rows_numbers_do_not_depend_on_the_rows_beside_it_or_on_how_they_are_asked_for():
    together = Draws(5, 3, CPU)
    numbers = torch.cat([together.next(n) for n in (1, 3, 20)], dim=1)
    for row, seed in enumerate(row_seeds(5, 3)):
        assert torch.equal(Draws([seed], 1, CPU).next(24), numbers[[row]])
    assert row_seeds(5, 2) == row_seeds(5, 3)[:2]


def test_two_seeds_share_no_row():
    seeds = [seed for base in range(100) for seed in row_seeds(base, 100)]
    # of 10,000 draws from 2^32 about 0.01 pairs agree by chance
    assert len(set(seeds)) == len(seeds)


def test_numbers_are_spread_evenly_within_a_row_and_across_rows():
    numbers = Draws(0, 1000, CPU).next(20)
    assert numbers.dtype == torch.float64
    assert 0 <= numbers.min() < numbers.max() < 1
    for sums in (numbers.mean(), numbers[:, 0].mean()):
        # five standard errors of the smaller sample
        assert abs(float(sums) - 0.5) < 5 * 12**-0.5 / 1000**0.5
    assert len(numbers.unique()) == numbers.numel()


def test_rows_that_are_kept_go_on():
    all_rows, some = Draws(1, 4, CPU), Draws(1, 4, CPU)
    assert torch.equal(all_rows.next(2), some.next(2))
    some.keep([3, 1])
    assert torch.equal(all_rows.next(5)[[3, 1]], some.next(5))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Draws(0, 2, CPU).next(3)
    assert torch.equal(before, torch.get_rng_state())


def test_other_numbers_of_seeds_than_rows_are_an_error():
    with pytest.raises(ValueError, match="each of the 3 rows; got 2"):
        Draws([1, 2], 3, CPU)
