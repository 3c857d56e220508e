"""Writing on from a prompt and reading one, against transformers, with the same weights.

    python benchmarks/decode.py gpt2 float32      # GPT-2 small's shape, random weights
    python benchmarks/decode.py llama bfloat16 3  # Llama's shape of 1.1 billion weights (TinyLlama's), 3 rounds of 7

Greedy decoding of 32 tokens after 16, one row and eight; and a prompt of 512 up to its last logits. "Tuned"
is transformers with the matrix setting that ours is given (oneDNN's products for float32).
"""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
import transformers
from _side_by_side import alternate, conditions, table, write

import allyouneed as ayn

NEW, BEFORE, PROMPT = 32, 16, 512
SHAPES: dict[str, Any] = {
    "gpt2": transformers.GPT2Config(),
    "llama": transformers.LlamaConfig(
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        max_position_embeddings=2048,
    ),
}


def with_products(precision: str, run: Callable[[], object]) -> Callable[[], object]:
    """`run` under one of torch's settings for float32 products."""

    def call() -> object:
        torch.set_float32_matmul_precision(precision)
        return run()

    return call


def main(shape: str, dtype: str, rounds: str = "7") -> None:
    kind = getattr(torch, dtype)
    config = SHAPES[shape]
    config.eos_token_id = config.bos_token_id = config.pad_token_id = None
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        theirs = transformers.AutoModelForCausalLM.from_config(config, dtype=kind).eval()
        theirs.save_pretrained(folder)
        ours = ayn.load(folder, device="cpu")
    assert next(ours.parameters()).dtype == kind
    parts = [f"# Decoding and prefill, {shape} shape, {dtype}, {torch.get_num_threads()} threads"]
    generator = torch.Generator().manual_seed(1)
    for batch in (1, 8):
        tokens = torch.randint(config.vocab_size, (batch, BEFORE), generator=generator)
        parts.append(decoding(theirs, ours, tokens, int(rounds)))
    tokens = torch.randint(config.vocab_size, (1, PROMPT), generator=generator)
    parts.append(prefill(theirs, ours, tokens, int(rounds)))
    write(f"decode_{shape}_{dtype}", "\n\n".join(parts))


def decoding(theirs: Any, ours: Any, tokens: torch.Tensor, n_rounds: int) -> str:
    def reference() -> torch.Tensor:
        mask = torch.ones_like(tokens)
        with torch.inference_mode():
            return theirs.generate(tokens, attention_mask=mask, max_new_tokens=NEW, do_sample=False)

    def mine() -> torch.Tensor:
        return ayn.generate(ours, tokens, max_new_tokens=NEW, temperature=0)

    equal = (reference() == mine()).float().mean()
    contenders = {
        "transformers": with_products("highest", reference),
        "transformers tuned": with_products("medium", reference),
        "ours": with_products("highest", mine),
        "ours tuned": with_products("medium", mine),
    }
    rounds = alternate(contenders, n_rounds)
    return (
        f"## Batch {len(tokens)}\n\n{table(rounds, 'transformers tuned', NEW * len(tokens), 'tokens')}\n\n"
        f"{NEW} greedy tokens after {BEFORE}; with the prompt {equal:.0%} of them are equal. {conditions(rounds)}"
    )


def prefill(theirs: Any, ours: Any, tokens: torch.Tensor, n_rounds: int) -> str:
    @torch.inference_mode()
    def reference() -> torch.Tensor:
        return theirs(tokens, use_cache=True, logits_to_keep=1).logits[:, -1]

    @torch.inference_mode()
    def all_logits() -> torch.Tensor:
        return theirs(tokens, use_cache=True).logits[:, -1]

    @torch.inference_mode()
    def mine() -> torch.Tensor:
        return ours.step(tokens, ours.new_state(1))[0]

    apart = float((reference() - mine()).abs().max() / reference().abs().max())
    assert apart < 0.05, f"the contenders do not compute the same: {apart}"  # bfloat16's rounding over all layers
    contenders = {
        "transformers, all logits": with_products("highest", all_logits),
        "transformers": with_products("highest", reference),
        "transformers tuned": with_products("medium", reference),
        "ours": with_products("highest", mine),
        "ours tuned": with_products("medium", mine),
    }
    rounds = alternate(contenders, n_rounds)
    return (
        f"## A prompt of {PROMPT}\n\n{table(rounds, 'transformers tuned', PROMPT, 'tokens')}\n\n"
        f"Up to the last token's logits, with a cache; {apart:.1e} apart. {conditions(rounds)}"
    )


if __name__ == "__main__":
    main(*(sys.argv[1:] or ("gpt2", "float32")))
