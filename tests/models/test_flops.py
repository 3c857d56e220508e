"""Operations counted from a config, against PyTorch's own count of what a model does."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from allyouneed.blocks import Attention, Rope, SwiGLU
from allyouneed.blocks.heads import NoHead
from allyouneed.models import DecoderConfig, EncoderConfig
from allyouneed.models.build import build
from allyouneed.models.flops import flops_a_token

SIZES = {"vocab_size": 50, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64, "positions": Rope()}
CONFIGS = {
    "plain": DecoderConfig(**SIZES),
    "untied": DecoderConfig(**SIZES, tie_embeddings=False),
    "grouped, gated, odd sizes": DecoderConfig(
        **SIZES, n_kv_heads=2, head_dim=6, d_ff=40, feedforward=SwiGLU(), mixer=Attention(bias=True)
    ),
    "no feed-forward": DecoderConfig(**SIZES, feedforward=None),
    "encoder without a head": EncoderConfig(**SIZES, head=NoHead()),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_operations_are_those_that_pytorch_counts(name):
    config, n = CONFIGS[name], 11
    model, tokens = build(config), torch.zeros(1, n, dtype=torch.long)
    run = model if config.has_head else model.hidden
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run(tokens)
    # PyTorch does not count attention's own products on a CPU; a token that sees nothing has none either.
    counted = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    assert not any("attention" in op for op in counted)
    products = counted.get("aten.bmm", 0)
    assert sum(counted.values()) - products == n * flops_a_token(config, 0)
    assert n * (flops_a_token(config, n) - flops_a_token(config, 0)) == 4 * n * n * 3 * 4 * config.sizes.head_dim
