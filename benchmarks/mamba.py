"""Mamba against transformers' path for a CPU, which is a Python loop over time: training, prefill, decoding.

    python benchmarks/mamba.py

4 layers of d_model 256, the same weights; equal logits are checked first. A training step is forward and backward of
4 x 512 tokens. transformers takes minutes for one, so that it has one round of its own; the others alternate.
"""

import tempfile
import time
from typing import Any

import torch
import transformers
from _side_by_side import alternate, conditions, spread, table, write
from torch.nn import functional as F

import allyouneed as ayn

BATCH, SEQ, NEW, ROUNDS = 4, 512, 32, 5
CONFIG = transformers.MambaConfig(vocab_size=256, hidden_size=256, num_hidden_layers=4)


def step(logits: Any, model: torch.nn.Module, tokens: torch.Tensor) -> float:
    model.zero_grad()
    loss = F.cross_entropy(logits(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    return loss.item()


def seconds(run: Any) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> None:
    torch.manual_seed(0)
    CONFIG.eos_token_id = CONFIG.bos_token_id = CONFIG.pad_token_id = None
    theirs = transformers.MambaForCausalLM(CONFIG).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = ayn.load(folder, device="cpu")
    tokens = torch.randint(256, (BATCH, SEQ), generator=torch.Generator().manual_seed(1))
    prompt = tokens[:, :16]
    with torch.no_grad():
        apart = float((theirs(tokens).logits - ours(tokens)).abs().max())
    assert apart < 1e-4, f"the contenders do not compute the same: {apart}"  # float32 over 512 steps and four layers

    def generated() -> torch.Tensor:
        mask = torch.ones_like(prompt)
        return theirs.generate(prompt, attention_mask=mask, max_new_tokens=NEW, do_sample=False)

    reference = seconds(lambda: step(lambda t: theirs(t).logits, theirs, tokens))
    step(ours, ours, tokens)
    mine = [seconds(lambda: step(ours, ours, tokens)) for _ in range(ROUNDS)]
    ratios = [reference / own for own in mine]
    with torch.inference_mode():
        prefill = alternate({"transformers": lambda: theirs(tokens), "ours": lambda: ours(tokens)}, ROUNDS)
        decode = alternate(
            {
                "transformers": generated,
                "ours": lambda: ayn.generate(ours, prompt, max_new_tokens=NEW, temperature=0),
            },
            ROUNDS,
        )
    write(
        "mamba",
        f"# Mamba, {torch.get_num_threads()} threads, {apart:.1e} apart in logits\n\n"
        f"Training step of {BATCH} x {SEQ}: transformers {reference:.0f} s (one round), ours {spread(mine, '.2f')} s, "
        f"{spread(ratios, '.0f')} times as fast.\n\n"
        f"## Reading {BATCH} x {SEQ}\n\n{table(prefill, 'transformers', BATCH * SEQ, 'tokens')}\n\n"
        f"{conditions(prefill)}\n\n"
        f"## Writing {NEW} tokens, {BATCH} rows\n\n{table(decode, 'transformers', BATCH * NEW, 'tokens')}\n\n"
        f"{conditions(decode)}",
    )


if __name__ == "__main__":
    main()
