"""What `fit` costs over a bare PyTorch loop, on the nano model that studies train by the hundred.

    python benchmarks/fit_overhead.py

One thread; 16 windows of 64 byte tokens; d_model 64, 2 layers, 4 heads. The goal: at least 0.95 of the
bare loop's speed, checkpoints included.
"""

import math
import tempfile
from itertools import cycle

import torch
from _side_by_side import alternate, conditions, table, write
from torch import nn
from torch.nn import functional as F

from allyouneed.blocks.positions.rope import Rope
from allyouneed.data.batch import TokenBatch
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.objectives import causal_lm
from allyouneed.training import fit

STEPS, ROUNDS, WARMUP, LR = 50, 21, 10, 3e-3


def batches() -> list[TokenBatch]:
    generator = torch.Generator().manual_seed(0)
    windows = [torch.randint(256, (16, 65), generator=generator) for _ in range(STEPS)]
    return [TokenBatch(window[:, :-1].contiguous(), window[:, 1:].contiguous()) for window in windows]


class Cycle:
    """The batches over and over, as a stream that can be resumed."""

    def __init__(self, items: list[TokenBatch]) -> None:
        self.items, self.at = items, 0

    def __iter__(self) -> "Cycle":
        return self

    def __next__(self) -> TokenBatch:
        self.at += 1
        return self.items[(self.at - 1) % len(self.items)]

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def nano() -> Decoder:
    config = DecoderConfig(vocab_size=256, d_model=64, n_layers=2, n_heads=4, positions=Rope())
    return Decoder(config, seed=0)


def bare(items: list[TokenBatch]) -> float:
    """The loop that one would write by hand for just this; returns the last loss."""
    model = nano().train()
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95), fused=True)
    loss = torch.zeros(())
    for step, batch in zip(range(1, STEPS + 1), cycle(items), strict=False):
        done = (step - WARMUP) / (STEPS - WARMUP)
        factor = step / WARMUP if step <= WARMUP else 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
        for group in optimizer.param_groups:
            group["lr"] = LR * factor
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return loss.item()


def with_fit(items: list[TokenBatch], dir: str | None = None) -> float:
    return fit(nano(), causal_lm, Cycle(items), max_steps=STEPS, lr=LR, warmup_steps=WARMUP, dir=dir).loss


def with_fit_and_checkpoints(items: list[TokenBatch]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return with_fit(items, folder)


def main() -> None:
    torch.set_num_threads(1)
    items = batches()
    losses = bare(items), with_fit(items), with_fit_and_checkpoints(items)
    # another order of dividing by the count and of clipping, all the steps long
    assert max(losses) - min(losses) < 1e-4, f"the contenders do not compute the same: {losses}"
    contenders = {
        "bare loop": lambda: bare(items),
        "fit": lambda: with_fit(items),
        "fit with dir=": lambda: with_fit_and_checkpoints(items),
    }
    rounds = alternate(contenders, ROUNDS)
    write(
        "fit_overhead",
        f"# `fit` against a bare PyTorch loop, nano model\n\n{table(rounds, 'bare loop', STEPS, 'steps')}\n\n"
        f"Goal: at least 0.95. One thread, {STEPS} steps a round (each starts a training anew; `dir=` writes one "
        f"checkpoint at the end), equal losses checked first ({losses[0]:.4f}).\n{conditions(rounds)}",
    )


if __name__ == "__main__":
    main()
