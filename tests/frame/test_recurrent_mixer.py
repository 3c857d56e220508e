"""A strange mixer: a gated linear recurrence in place of attention, as RWKV and Mamba are.

It has a state of constant size, skips padding and resets at document ends; everything above it, left
padding and `generate` included, is what attention uses.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from allyouneed.blocks.positions import NoPositions
from allyouneed.generation import generate
from allyouneed.models import Decoder, DecoderConfig


@dataclass(frozen=True)
class Recurrence:
    def build(self, sizes, positions=None):
        return RecurrentMixer(sizes.d_model)


@dataclass(frozen=True)
class RecurrentState:
    hidden: torch.Tensor
    lengths: torch.Tensor
    segment: torch.Tensor

    def select(self, rows):
        return RecurrentState(self.hidden[rows], self.lengths[rows], self.segment[rows])

    def snapshot(self):
        return self

    def restore(self, snapshot):
        return snapshot


class RecurrentMixer(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.value, self.decay, self.out = (nn.Linear(d_model, d_model) for _ in range(3))

    def new_state(self, batch_size, device=None, dtype=None):
        zeros = torch.zeros(batch_size, dtype=torch.long, device=device)
        return RecurrentState(torch.zeros(batch_size, self.out.in_features, device=device, dtype=dtype), zeros, zeros)

    def forward(self, x, ctx, state=None):
        before = state if state is not None else self.new_state(len(x), x.device, x.dtype)
        decay, value = torch.sigmoid(self.decay(x)), self.value(x)
        valid = ctx.valid if ctx.valid is not None else torch.ones(x.shape[:2], dtype=torch.bool)
        segments = ctx.segments if ctx.segments is not None else torch.zeros(x.shape[:2], dtype=torch.long)
        hidden, segment, outputs = before.hidden, before.segment, []
        for t in range(x.shape[1]):
            kept = hidden * (segments[:, t] == segment)[:, None]
            new = decay[:, t] * kept + (1 - decay[:, t]) * value[:, t]
            hidden = torch.where(valid[:, t, None], new, hidden)
            segment = torch.where(valid[:, t], segments[:, t], segment)
            outputs.append(hidden)
        after = RecurrentState(hidden, before.lengths + valid.sum(1), segment)
        return self.out(torch.stack(outputs, 1)), after if state is not None else None


@pytest.fixture
def model():
    config = DecoderConfig(
        vocab_size=11, d_model=16, n_layers=2, n_heads=2, max_seq_len=64, positions=NoPositions(), mixer=Recurrence()
    )
    model = Decoder(config, seed=3).double()
    for parameter in model.parameters():  # large weights: greedy choices differ from step to step
        parameter.data.mul_(8)
    return model


def test_left_padded_prompts_generate_what_each_alone_does(model):
    prompts = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([7, 8]), torch.tensor([9])]
    padded = torch.stack([torch.cat([torch.zeros(5 - len(p), dtype=torch.long), p]) for p in prompts])
    mask = torch.stack([torch.arange(5) >= 5 - len(p) for p in prompts])
    together = generate(model, padded, mask=mask, max_new_tokens=12, temperature=0.0)
    assert len(set(together[:, 5:].flatten().tolist())) > 2
    for row, prompt in enumerate(prompts):
        alone = generate(model, prompt[None], max_new_tokens=12, temperature=0.0)
        assert alone[0, len(prompt) :].tolist() == together[row, 5:].tolist()


def test_cached_equals_uncached_and_snapshots_go_back(model):
    tokens = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))
    whole = model(tokens)
    state = model.new_state(2)
    first = model(tokens[:, :4], state=state)
    snapshot = state.snapshot()
    model(torch.zeros(2, 3, dtype=torch.long), state=state)
    state.restore(snapshot)
    second = model(tokens[:, 4:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    assert state.lengths.tolist() == [9, 9]
