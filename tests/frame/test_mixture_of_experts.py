"""A strange feed-forward: four experts and a router whose balance loss must reach the objective."""

from dataclasses import dataclass

import torch
from torch import nn

from allyouneed.blocks.positions import NoPositions
from allyouneed.data.batch import TokenBatch
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.objectives import token_loss
from allyouneed.training import fit


@dataclass(frozen=True)
class Experts:
    n_experts: int = 4

    def build(self, sizes):
        return ExpertsFeedForward(sizes.d_model, sizes.d_ff, self.n_experts)


class ExpertsFeedForward(nn.Module):
    def __init__(self, d_model, d_ff, n_experts):
        super().__init__()
        self.router = nn.Linear(d_model, n_experts, bias=False)
        self.up = nn.ModuleList(nn.Linear(d_model, d_ff) for _ in range(n_experts))
        self.down = nn.ModuleList(nn.Linear(d_ff, d_model) for _ in range(n_experts))

    def new_state(self, batch_size, device=None, dtype=None):
        return None

    def forward(self, x, ctx, state=None):
        gates = self.router(x).softmax(-1)
        weight, choice = gates.max(-1)
        if ctx.record is not None:
            share = torch.stack([(choice == e).float().mean() for e in range(len(self.up))])
            balance = len(self.up) * (share * gates.mean((0, 1))).sum()
            ctx.record.setdefault("aux_loss", []).append(balance)
            ctx.record.setdefault("router_share", []).append(share.detach())
        outputs = torch.stack([down(up(x).relu()) for up, down in zip(self.up, self.down)], -1)
        picked = outputs.gather(-1, choice[..., None, None].expand(*x.shape, 1)).squeeze(-1)
        return weight[..., None] * picked, state


def objective(model, batch):
    record = {}
    loss = token_loss(model(batch.tokens, record=record), batch.targets)
    return loss.plus(torch.stack(record["aux_loss"]).mean(), weight=0.5, name="balance")


class Repeats:
    """Sequences that repeat one token: easy, and a router left alone sends all of it one way."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def __iter__(self):
        return self

    def __next__(self):
        tokens = torch.randint(13, (16, 1), generator=self.generator).expand(16, 9).contiguous()
        return TokenBatch(tokens[:, :-1], tokens[:, 1:])

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def make_model():
    config = DecoderConfig(
        vocab_size=13, d_model=16, n_layers=2, n_heads=2, d_ff=16, positions=NoPositions(), feedforward=Experts()
    )
    return Decoder(config, seed=0)


def test_the_balance_loss_is_trained_and_logged():
    model, rows = make_model(), []
    fit(model, objective, Repeats(), max_steps=60, lr=1e-2, log=lambda **row: rows.append(row), log_every=1)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["balance"] < 1.2  # 1 is perfect balance, 4 is one expert for all


def test_nothing_is_recorded_unless_asked():
    model, batch = make_model(), next(Repeats())
    record = {}
    torch.testing.assert_close(model(batch.tokens), model(batch.tokens, record=record), rtol=0, atol=0)
    assert len(record["aux_loss"]) == 2
