"""Translation: what reaches the model, and the smoothed loss beside the likelihood."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from allyouneed.data.batch import PairBatch
from allyouneed.objectives import Translation

VOCAB = 7


class Spy(nn.Module):
    """Says what it was made to say, and remembers what it was asked."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, tokens, decoder_tokens, mask=None):
        self.asked = tokens, decoder_tokens, mask
        return self.logits


def case(rows=3, seq=5, dtype=torch.float64, scored=0.7):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, seq, VOCAB, generator=generator, dtype=torch.float64)
    targets = torch.randint(VOCAB, (rows, seq), generator=generator)
    targets[torch.rand(rows, seq, generator=generator) >= scored] = -100
    source = torch.randint(VOCAB, (rows, 4), generator=generator)
    return Spy(logits.to(dtype)), PairBatch(source, targets.clamp(min=0), targets, source > 2)


def test_the_model_reads_source_and_mask_and_the_tokens_before_each_target():
    model, batch = case()
    Translation()(model, batch)
    source, tokens, mask = model.asked
    assert source is batch.source
    assert tokens is batch.tokens
    assert mask is batch.source_mask


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_mean_and_its_gradient_are_torchs(smoothing):
    model, batch = case()
    loss = Translation(smoothing)(model, batch)
    expected = F.cross_entropy(model.logits.transpose(1, 2), batch.targets, label_smoothing=smoothing)
    assert loss.count == (batch.targets != -100).sum()
    torch.testing.assert_close(loss.mean, expected, rtol=0, atol=1e-12)
    for own, theirs in zip(torch.autograd.grad(loss.mean, model.logits), torch.autograd.grad(expected, model.logits)):
        torch.testing.assert_close(own, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # float32 and bf16 logits are both summed in float32: a few roundings to 24 bits.
    [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 1e-6)],
)
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_the_likelihood_is_logged_unsmoothed(smoothing, dtype, tolerance):
    model, batch = case(dtype=dtype)
    nll = Translation(smoothing)(model, batch).metrics["nll"]
    expected = F.cross_entropy(model.logits.double().transpose(1, 2), batch.targets)
    torch.testing.assert_close(nll.double(), expected, rtol=0, atol=tolerance)
    assert not nll.requires_grad


def test_without_smoothing_nothing_is_logged_beside_the_loss():
    assert Translation()(*case()).metrics == {}


def test_a_part_of_a_batch_that_scores_nothing_logs_zero():
    loss = Translation(0.1)(*case(scored=0.0))
    assert loss.count == 0
    assert loss.metrics["nll"] == 0
