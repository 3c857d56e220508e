"""Which tokens may be drawn, and how often they are."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.generation import Sampling, draw, sample, seen_tokens, warp

PROBABILITIES = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
LOGITS = PROBABILITIES.log()
MIDDLES = (torch.arange(1000) + 0.5) / 1000  # uniform numbers, evenly spread


def warped(logits=LOGITS, **settings):
    return warp(logits, Sampling(**{"temperature": 1.0} | settings))


def kept(logits):
    return logits.isfinite()[0].tolist()


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True), st.integers(1, 8))
def test_top_k_keeps_the_likeliest(values, k):
    logits = torch.tensor([values], dtype=torch.float64)
    expected = sorted(values, reverse=True)[:k]
    assert kept(warped(logits, top_k=k)) == [value in expected for value in values]


@pytest.mark.parametrize(("p", "n"), [(0.05, 1), (0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.95, 4), (1.0, 4)])
def test_top_p_keeps_the_fewest_that_reach_p(p, n):
    assert kept(warped(top_p=p)) == [True] * n + [False] * (4 - n)


def test_top_p_of_1_keeps_what_rounding_would_lose():
    logits = torch.cat((torch.zeros(1, 1), torch.full((1, 100), -30.0)), dim=1)
    assert all(kept(warped(logits, top_p=1.0)))


@pytest.mark.parametrize(("p", "n"), [(0.01, 4), (0.24, 4), (0.26, 3), (0.49, 3), (0.51, 2), (0.76, 1), (1.0, 1)])
def test_min_p_is_a_share_of_the_likeliest(p, n):
    assert kept(warped(min_p=p)) == [True] * n + [False] * (4 - n)


def test_top_p_counts_after_temperature_and_top_k_and_min_p_after_temperature():
    assert kept(warped(temperature=0.5, top_p=0.5)) == [True, False, False, False]  # squared: 0.53, 0.30, 0.13, 0.03
    assert kept(warped(top_k=2, top_p=0.5)) == [True, False, False, False]  # 0.57, 0.43
    assert kept(warped(temperature=0.5, min_p=0.5)) == [True, True, False, False]  # 0.30 / 0.53 is 0.56


def test_what_is_kept_keeps_its_proportions():
    torch.testing.assert_close(warped(top_k=3).softmax(-1), torch.tensor([[4 / 9, 3 / 9, 2 / 9, 0.0]]))


def test_the_penalty_makes_what_was_seen_less_likely_whatever_its_sign_and_comes_before_the_temperature():
    logits, seen = torch.tensor([[2.0, -2.0, 2.0, -2.0]]), torch.tensor([[True, True, False, False]])
    penalised = warp(logits, Sampling(temperature=0.5, repetition_penalty=1.25), seen)
    torch.testing.assert_close(penalised, torch.tensor([[3.2, -5.0, 4.0, -4.0]]))


def test_padding_is_not_seen_and_a_token_that_is_padding_elsewhere_is():
    tokens = torch.tensor([[0, 0, 3], [0, 2, 0]])
    mask = torch.tensor([[False, False, True], [False, True, True]])
    assert seen_tokens(tokens, mask, 4).tolist() == [[False, False, False, True], [True, False, True, False]]
    assert seen_tokens(tokens, None, 4)[0].tolist() == [True, False, False, True]


def test_temperature_0_takes_the_likeliest_after_the_penalty():
    uniforms, greedy = torch.full((50,), 0.99), Sampling(temperature=0)
    logits = torch.randn(50, 7)
    assert torch.equal(sample(logits, greedy, uniforms), logits.argmax(-1))
    assert torch.equal(warp(logits, greedy).softmax(-1).argmax(-1), logits.argmax(-1))
    seen = torch.tensor([[True, False, False, False]])
    penalised = Sampling(temperature=0, repetition_penalty=1.5)
    assert sample(-LOGITS.flip(1), penalised, uniforms[:1], seen.flip(1)).tolist() == [0]
    assert sample(LOGITS, penalised, uniforms[:1], seen).tolist() == [1]  # log 0.4 times 1.5 is below log 0.3


def test_what_has_dimensions_before_the_vocabulary_is_warped_row_by_row():
    logits = torch.randn(2, 3, 9, dtype=torch.float64)
    sampling = Sampling(0.7, top_k=6, top_p=0.8, min_p=0.1, repetition_penalty=1.3)
    seen = torch.rand(2, 3, 9) < 0.3
    rows = [warp(logits[i, j][None], sampling, seen[i, j][None])[0] for i in range(2) for j in range(3)]
    assert torch.equal(warp(logits, sampling, seen).flatten(0, 1), torch.stack(rows))


def test_draws_have_exactly_the_shares_of_the_weights():
    weights = torch.tensor([0.0, 4.0, 0.0, 1.0, 3.0, 0.0]).expand(1000, -1)  # they need not sum to 1
    assert draw(weights, MIDDLES).bincount(minlength=6).tolist() == [0, 500, 0, 125, 375, 0]


def test_the_ends_of_the_interval_draw_nothing_of_weight_0():
    weights = torch.tensor([[0.0, 0.3, 0.7 + 1e-7, 0.0]]).expand(2, -1)
    assert draw(weights, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 2]


def test_each_of_the_rare_tokens_of_a_large_vocabulary_can_be_drawn():
    rare, n = 2.0**-30, 2**19
    weights = torch.full((1, n), rare)
    weights[0, 0] = 1.0  # in float32 the running sum would take a hundred of the others at a time
    total = 1 + (n - 1) * rare
    uniforms = (1 + (1000 + torch.arange(5, dtype=torch.float64)) * rare + rare / 2) / total
    assert draw(weights.expand(5, -1), uniforms).tolist() == [1001, 1002, 1003, 1004, 1005]


def test_half_precision_logits_are_sampled_in_full():
    assert warped(LOGITS.bfloat16()).dtype == torch.float32
    assert sample(LOGITS.bfloat16(), Sampling(top_p=0.3), torch.tensor([0.9])).tolist() == [0]


@pytest.mark.parametrize("logits", [[math.nan, 0.0], [-math.inf, -math.inf]])
def test_logits_that_are_no_distribution_are_an_error(logits):
    with pytest.raises(ValueError, match="nothing to draw from"):
        sample(torch.tensor([logits]), Sampling(), torch.tensor([0.5]))


def test_a_penalty_that_does_not_know_what_was_seen_is_an_error():
    with pytest.raises(ValueError, match="which tokens were seen"):
        warped(repetition_penalty=1.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature must be at least 0 .*got -0.1"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\], got 0.0"),
        ({"top_p": 1.2}, r"top_p must lie in \(0, 1\], got 1.2"),
        ({"min_p": 0.0}, r"min_p must lie in \(0, 1\], got 0.0"),
        ({"min_p": 1.1}, r"min_p must lie in \(0, 1\], got 1.1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0 .*got 0.0"),
        ({"repetition_penalty": math.nan}, "repetition_penalty"),
    ],
)
def test_settings_out_of_range_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)
