"""Training a GPT of 10M weights: this library against transformers, as it comes and given the same settings.

    python benchmarks/train_10m.py [--rounds 5]

6 layers, d_model 384, 6 heads, 4096 tokens, 16 windows of 256; random tokens. "Tuned" is transformers with
what we use: no dropout, fused AdamW, and bf16 autocast where ours has it. Goals: 1.2 times the tuned bf16,
1.4 times the tuned fp32, 0.6 of the memory.
"""

import argparse
import math
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Literal

import torch
from _side_by_side import alternate, conditions, spread, table, write
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from allyouneed.blocks.attention import Attention
from allyouneed.blocks.positions.learned import Learned
from allyouneed.data.batch import TokenBatch
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.objectives import causal_lm
from allyouneed.training import constant, fit

VOCAB, D_MODEL, N_LAYERS, N_HEADS, ROWS, LENGTH, STEPS, LR = 4096, 384, 6, 6, 16, 256, 3, 1e-4


def batch() -> TokenBatch:
    windows = torch.randint(VOCAB, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(0))
    return TokenBatch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())


def ours(precision: Literal["fp32", "bf16"]) -> tuple[nn.Module, Callable[[], float]]:
    model = Decoder(
        DecoderConfig(
            vocab_size=VOCAB,
            d_model=D_MODEL,
            n_layers=N_LAYERS,
            n_heads=N_HEADS,
            max_seq_len=LENGTH,
            positions=Learned(),
            mixer=Attention(bias=True),
        ),
        seed=0,
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # the start of the other side, so that both start at one loss
            parameter.data.normal_(0.0, 0.02, generator=generator)
    stream: Iterator[TokenBatch] = repeat(batch())

    def run() -> float:
        return fit(
            model, causal_lm, stream, max_steps=STEPS, lr=LR, schedule=constant, precision=precision, log_every=1
        ).log[0]["loss"]

    return model, run


def theirs(dropout: float, fused: bool, bf16: bool) -> tuple[nn.Module, Callable[[], float]]:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB,
            n_positions=LENGTH,
            n_embd=D_MODEL,
            n_layer=N_LAYERS,
            n_head=N_HEADS,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.1, fused=fused)
    tokens = batch().tokens

    def run() -> float:
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(tokens, labels=tokens).loss
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        return losses[0]

    return model, run


CONTENDERS = {
    "transformers default": lambda: theirs(dropout=0.1, fused=False, bf16=False),
    "transformers tuned fp32": lambda: theirs(dropout=0.0, fused=True, bf16=False),
    "transformers tuned bf16": lambda: theirs(dropout=0.0, fused=True, bf16=True),
    "ours fp32": lambda: ours("fp32"),
    "ours bf16": lambda: ours("bf16"),
}


def check_that_they_are_the_same_model(models: dict[str, nn.Module]) -> None:
    sizes = {name: sum(parameter.numel() for parameter in model.parameters()) for name, model in models.items()}
    assert len(set(sizes.values())) == 1, f"the models differ in size: {sizes}"


def peak_mebibytes(name: str) -> float:
    """Peak memory of one round in a fresh process."""
    command = [sys.executable, __file__, "--memory", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_memory(name: str) -> None:
    _, run = CONTENDERS[name]()
    run()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(n_rounds: int) -> None:
    # Before anything is built here: a child begins with the peak of its parent.
    memory = {name: peak_mebibytes(name) for name in CONTENDERS}
    built = {name: make() for name, make in CONTENDERS.items()}
    check_that_they_are_the_same_model({name: model for name, (model, _) in built.items()})
    runs = {name: run for name, (_, run) in built.items()}
    for name, run in runs.items():
        first = run()
        # random tokens under fresh weights: every contender starts at the loss of a uniform guess
        assert abs(first - math.log(VOCAB)) < 0.3, f"{name} starts at a loss of {first}"
    rounds = alternate(runs, n_rounds)
    ratios = {
        precision: rounds.ratios(f"ours {precision}", f"transformers tuned {precision}")
        for precision in ("bf16", "fp32")
    }
    weights = sum(parameter.numel() for parameter in built["ours fp32"][0].parameters())
    write(
        "train_10m",
        f"# Training a GPT of {weights / 1e6:.1f}M weights against transformers\n\n"
        + table(rounds, "transformers default", STEPS * ROWS * LENGTH, "tokens")
        + "\n\n| contender | peak memory of a fresh process, MiB |\n| --- | --- |\n"
        + "\n".join(f"| {name} | {peak:.0f} |" for name, peak in memory.items())
        + "\n\n"
        + "\n".join(
            f"Ours over tuned transformers, {precision}: {spread(values, '.2f')} times as fast."
            for precision, values in ratios.items()
        )
        + f"\n\n{STEPS} steps of {ROWS} x {LENGTH} random tokens a round, {torch.get_num_threads()} threads.\n"
        + conditions(rounds),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(arguments.memory)
    else:
        main(arguments.rounds)
