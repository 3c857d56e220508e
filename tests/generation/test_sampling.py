"""Which tokens may be drawn, and how often they are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.generation import filter_logits, sample

LOGITS = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()


def kept(logits):
    return logits.isfinite()[0].tolist()


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True), st.integers(1, 8))
def test_top_k_keeps_the_likeliest(values, k):
    logits = torch.tensor([values], dtype=torch.float64)
    expected = sorted(values, reverse=True)[:k]
    assert kept(filter_logits(logits, top_k=k)) == [value in expected for value in values]


@pytest.mark.parametrize(("p", "n"), [(0.05, 1), (0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.95, 4), (1.0, 4)])
def test_top_p_keeps_the_fewest_that_reach_p(p, n):
    assert kept(filter_logits(LOGITS, top_p=p)) == [True] * n + [False] * (4 - n)


def test_top_p_counts_after_temperature_and_top_k():
    sharp = filter_logits(LOGITS, temperature=0.5, top_p=0.5)  # squared: 0.53, 0.30, 0.13, 0.03
    assert kept(sharp) == [True, False, False, False]
    assert kept(filter_logits(LOGITS, top_k=2, top_p=0.5)) == [True, False, False, False]  # 0.57, 0.43


def test_what_is_kept_keeps_its_proportions():
    probabilities = filter_logits(LOGITS, temperature=1.0, top_k=3).softmax(-1)
    torch.testing.assert_close(probabilities, torch.tensor([[4 / 9, 3 / 9, 2 / 9, 0.0]]))


def test_temperature_0_takes_the_likeliest():
    assert sample(torch.randn(50, 7), temperature=0).shape == (50,)
    assert sample(LOGITS, temperature=0).tolist() == [0]


def test_draws_follow_the_distribution():
    generator = torch.Generator().manual_seed(0)
    drawn = sample(LOGITS.expand(20_000, -1), generator=generator)
    shares = drawn.bincount(minlength=4) / 20_000
    # four standard errors of a share of one half
    assert (shares - LOGITS.exp()[0]).abs().max() < 4 * 0.5 / 20_000**0.5


def test_half_precision_logits_are_sampled_in_full():
    assert sample(LOGITS.bfloat16(), top_p=0.3).tolist() == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be at least 0 .*got -0.1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\], got 0.0"),
        ({"top_p": 1.2}, r"top_p must lie in \(0, 1\], got 1.2"),
    ],
)
def test_settings_out_of_range_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        sample(LOGITS, **options)
