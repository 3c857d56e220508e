"""BERT's corruption, by counts and by what must never happen."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from allyouneed.data.batch import TokenBatch
from allyouneed.objectives import MaskedLM, mask_tokens

MASK, VOCAB = 1000, 1000


def corrupted(rows=400, seq=200, rate=0.15, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCAB, (rows, seq), generator=generator)
    return tokens, *mask_tokens(tokens, MASK, VOCAB, rate, generator=generator)


def test_every_row_hides_exactly_its_share():
    _, _, targets = corrupted()
    assert ((targets != -100).sum(dim=1) == 30).all()


def test_of_the_chosen_80_percent_are_masked_10_random_and_10_kept():
    tokens, inputs, targets = corrupted()
    chosen = targets != -100
    n = int(chosen.sum())
    kept_by_chance = 0.1 / VOCAB
    shares = {
        "masked": (inputs[chosen] == MASK, 0.8),
        "kept": (inputs[chosen] == tokens[chosen], 0.1 + kept_by_chance),
        "random": ((inputs[chosen] != MASK) & (inputs[chosen] != tokens[chosen]), 0.1 - kept_by_chance),
    }
    for name, (found, expected) in shares.items():
        four_sigma = 4 * math.sqrt(expected * (1 - expected) / n)
        assert abs(found.double().mean().item() - expected) < four_sigma, name


def test_every_position_is_chosen_equally_often():
    _, _, targets = corrupted(rows=4000, seq=20, rate=0.25)
    share = (targets != -100).double().mean(dim=0)
    assert (share - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 4000)


def test_random_replacements_cover_the_vocabulary_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.full((2000, 20), 3)
    inputs, _ = mask_tokens(tokens, 5, 5, rate=1.0, generator=generator)
    assert set(inputs.unique().tolist()) == {0, 1, 2, 3, 4, 5}


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.floats(0.01, 1.0), st.integers(0, 10**6))
def test_only_chosen_positions_change_and_targets_hold_the_original(rows, seq, rate, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCAB, (rows, seq), generator=generator)
    valid = torch.rand(rows, seq, generator=generator) < 0.7
    inputs, targets = mask_tokens(tokens, MASK, VOCAB, rate, valid, generator)
    chosen = targets != -100
    assert torch.equal(targets[chosen], tokens[chosen])
    assert torch.equal(inputs[~chosen], tokens[~chosen])
    assert not (chosen & ~valid).any()
    # at least one wherever there is anything to choose
    assert torch.equal(chosen.any(dim=1), valid.any(dim=1))


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1])
def test_a_rate_out_of_range_is_an_error(rate):
    with pytest.raises(ValueError, match="rate must lie"):
        mask_tokens(torch.zeros(1, 4, dtype=torch.long), 1, 2, rate)


class Echo(nn.Module):
    """Predicts that every token is what it reads."""

    def forward(self, tokens, mask=None):
        self.read = tokens
        return nn.functional.one_hot(tokens, VOCAB + 1).float() * 100


def test_the_objective_scores_hidden_tokens_only_and_an_echo_knows_just_those_kept():
    torch.manual_seed(0)
    tokens = torch.randint(VOCAB, (50, 100))
    batch = TokenBatch(tokens, tokens, mask=torch.ones_like(tokens, dtype=torch.bool))
    loss = MaskedLM(MASK, VOCAB)(Echo(), batch)
    assert loss.count == 50 * 15
    wrong = loss.mean.item() / 100
    assert abs(wrong - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 750)


def test_the_objective_hides_anew_with_torchs_generator():
    tokens = torch.randint(VOCAB, (4, 30))
    echo, read = Echo(), []
    torch.manual_seed(1)
    state = torch.get_rng_state()
    for _ in range(2):
        MaskedLM(MASK, VOCAB)(echo, TokenBatch(tokens, tokens))
        read.append(echo.read)
    torch.set_rng_state(state)
    MaskedLM(MASK, VOCAB)(echo, TokenBatch(tokens, tokens))
    assert torch.equal(echo.read, read[0])
    assert not torch.equal(echo.read, read[1])
