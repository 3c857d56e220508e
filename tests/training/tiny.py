"""A small training with everything a resume must restore; run as a script it trains until it is killed.

Arguments: the folder of its checkpoints, and where it dies (see KILLS).
"""

import os
import signal
import sys

import torch
from torch import nn
from torch.nn import functional as F

from allyouneed.objectives import Loss
from allyouneed.training import EMA, CheckpointAverage, fit

VOCAB, ROWS, LENGTH, STEPS = 11, 4, 6, 12


class TinyLM(nn.Module):
    """An embedding, dropout and a linear head that shares the embedding's weights."""

    def __init__(self, dropout=0.0, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.embedding = nn.Embedding(VOCAB, 8)
        self.norm = nn.LayerNorm(8)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(8, VOCAB, bias=False)
        self.head.weight = self.embedding.weight
        self.calls: torch.Tensor
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        with torch.no_grad():
            self.embedding.weight.copy_(torch.randn(VOCAB, 8, generator=generator))
        self.to(dtype)

    def forward(self, tokens):
        self.calls += self.training
        return self.head(self.drop(self.norm(self.embedding(tokens))))


class SelfPlay:
    """Batches that start from a counter and go on with what the model itself says next."""

    def __init__(self, model):
        self.model, self.served = model, 0
        self.generator = torch.Generator().manual_seed(3)

    def __iter__(self):
        return self

    def __next__(self):
        self.served += 1
        first = torch.randint(VOCAB, (ROWS, 1), generator=self.generator)
        tokens = first
        with torch.inference_mode():
            for _ in range(LENGTH):
                probabilities = self.model(tokens[:, -1:])[:, -1].softmax(-1)
                tokens = torch.cat([tokens, torch.multinomial(probabilities, 1)], dim=1)
        return {"tokens": tokens[:, :-1], "targets": (tokens[:, 1:] + self.served) % VOCAB}

    def state_dict(self):
        return {"served": self.served, "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.served = state["served"]
        self.generator.set_state(state["generator"])


def next_token(model, batch):
    """Cross-entropy without any masking."""
    logits = model(batch["tokens"]).flatten(0, 1)
    targets = batch["targets"].flatten()
    return Loss(F.cross_entropy(logits, targets, reduction="sum"), targets.numel())


def train(folder, after_step=(), objective=next_token, **settings):
    """A whole training; returns all that must come out the same however often it was killed."""
    model = TinyLM(dropout=0.3)
    ema, average, stream = EMA(model, 0.8), CheckpointAverage(model, last=3, every=2), SelfPlay(model)
    settings = {"max_steps": STEPS, "lr": 0.05, "warmup_steps": 3, "log_every": 1, "checkpoint_seconds": 0.0} | settings
    result = fit(
        model,
        objective,
        stream,
        micro_batch_size=3,
        after_step=[ema.update, average.update, *after_step],
        keep={"ema": ema, "average": average},
        dir=folder,
        **settings,
    )
    tensors = {
        **{f"model.{name}": tensor for name, tensor in model.state_dict().items()},
        **{f"ema.{name}": tensor for name, tensor in ema.weights().items()},
        **{f"average.{name}": tensor for name, tensor in average.weights().items()},
        "stream": stream.generator.get_state(),
        "generator": torch.get_rng_state(),
    }
    return {"tensors": tensors, "log": result.log, "served": stream.served, "resumed_from": result.resumed_from}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_step(step, model):
    if step == 6:
        die()


def on_call(module, name, number, before=True):
    """Make the `number`-th call of `module.name` the last thing this process does."""
    original, calls = getattr(module, name), 0

    def deadly(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number and before:
            die()
        result = original(*args, **kwargs)
        if calls == number:
            die()
        return result

    setattr(module, name, deadly)


# Where in the sixth step or the sixth checkpoint the process dies; a checkpoint forces four things to the disk.
KILLS = {
    "in a step": lambda: None,
    "before the tensors are whole": lambda: on_call(os, "fsync", 21),
    "before the rename": lambda: on_call(os, "rename", 6),
    "before the older one is removed": lambda: on_call(os, "rename", 6, before=False),
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, kill = sys.argv[1:]
    KILLS[kill]()
    train(folder, after_step=[kill_at_step] if kill == "in a step" else [])
