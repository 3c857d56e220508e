"""Causal language modelling against torch's own cross-entropy, and what reaches the model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from allyouneed.data.batch import TokenBatch
from allyouneed.objectives import causal_lm, token_loss


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(2, 7), st.integers(0, 10**6))
def test_the_mean_and_its_gradient_are_torchs_cross_entropy(batch, seq, vocab, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, seq, vocab, generator=generator, dtype=torch.float64).requires_grad_()
    targets = torch.randint(vocab, (batch, seq), generator=generator)
    targets[torch.rand(batch, seq, generator=generator) < 0.4] = -100
    targets[0, 0] = 0
    loss = token_loss(logits, targets)
    (gradient,) = torch.autograd.grad(loss.mean, logits)
    expected = F.cross_entropy(logits.transpose(1, 2), targets)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(loss.mean, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)
    assert loss.count == (targets != -100).sum()


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    assert token_loss(torch.zeros(2, 3, 50), torch.ones(2, 3, dtype=torch.long)).mean.item() == pytest.approx(
        torch.log(torch.tensor(50.0)).item()
    )


def test_low_precision_logits_are_summed_in_float32():
    logits = torch.randn(8, 64, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.zeros(8, 64, dtype=torch.long)
    loss = token_loss(logits, targets)
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(loss.total, token_loss(logits.float(), targets).total, rtol=1e-6, atol=0)


class Spy(nn.Module):
    """Predicts each target with certainty, and remembers what it was asked."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def forward(self, tokens, **surroundings):
        self.asked = tokens, surroundings
        return F.one_hot(self.answers, 9).float() * 100


def test_targets_are_not_shifted_again():
    tokens, targets = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])
    assert causal_lm(Spy(targets), TokenBatch(tokens, targets)).mean < 1e-6


def test_mask_and_segments_reach_the_model_where_the_batch_has_them():
    tokens = torch.tensor([[1, 2, 3]])
    mask, segments = torch.tensor([[False, True, True]]), torch.tensor([[0, 0, 1]])
    spy = Spy(tokens)
    causal_lm(spy, TokenBatch(tokens, tokens))
    assert spy.asked == (tokens, {})
    causal_lm(spy, TokenBatch(tokens, tokens, mask=mask, segments=segments))
    assert spy.asked == (tokens, {"mask": mask, "segments": segments})
