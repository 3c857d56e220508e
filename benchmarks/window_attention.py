"""Attention with a window over a long text, against PyTorch's fused attention with a mask and against the plain form.

    python benchmarks/window_attention.py

4,096 tokens, a window of 256, 8 heads of 64; forward, and forward with backward. Equal results are checked first.
"""

from collections.abc import Callable

import torch
from _side_by_side import alternate, conditions, table, write
from torch.nn import functional as F

from allyouneed.blocks.attention import attend, attend_reference
from allyouneed.blocks.attention.masks import Keys, attention_mask
from allyouneed.blocks.context import Context

SEQ, WINDOW, HEADS, HEAD_DIM, ROUNDS = 4096, 256, 8, 64, 5


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, SEQ, HEAD_DIM, generator=generator).requires_grad_() for _ in range(3))
    band = torch.ones(SEQ, SEQ, dtype=torch.bool).tril().triu(1 - WINDOW)

    def ours() -> torch.Tensor:
        ctx = Context.of(torch.zeros(1, SEQ, dtype=torch.long), causal=True)
        keys = Keys(ctx.positions, None, None, ctx.positions.new_zeros(1))
        return attend(q, k, v, attention_mask(ctx, keys, WINDOW))

    contenders: dict[str, Callable[[], torch.Tensor]] = {
        "fused, with a mask": lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=band),
        "plain": lambda: attend_reference(q, k, v, band[None, None]),
        "ours": ours,
    }
    results = [run() for run in contenders.values()]
    apart = max(float((result - results[0]).detach().abs().max()) for result in results)
    assert apart < 1e-5, f"the contenders do not compute the same: {apart}"

    def without_gradient(run: Callable[[], torch.Tensor]) -> Callable[[], object]:
        def call() -> object:
            with torch.no_grad():
                return run()

        return call

    forward = alternate({name: without_gradient(run) for name, run in contenders.items()}, ROUNDS)
    both = alternate({name: lambda run=run: run().sum().backward() for name, run in contenders.items()}, ROUNDS)
    parts = [
        f"## {title}\n\n{table(rounds, 'fused, with a mask', SEQ, 'tokens')}\n\n{conditions(rounds)}"
        for title, rounds in (("Forward", forward), ("Forward and backward", both))
    ]
    head = f"# A window of {WINDOW} over {SEQ} tokens, {torch.get_num_threads()} threads, {apart:.1e} apart"
    write("window_attention", "\n\n".join([head, *parts]))


if __name__ == "__main__":
    main()
