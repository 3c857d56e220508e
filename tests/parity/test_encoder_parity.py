"""The encoder's layers against PyTorch's own transformer: outputs and the gradient of every weight, in float64."""

import pytest
import torch
from torch import nn

from allyouneed.blocks import Attention, Gelu, NoPositions, PostNorm, PreNorm, Relu
from allyouneed.models import Encoder, EncoderConfig

D_MODEL, HEADS, D_FF, LAYERS = 24, 4, 40, 3
MASK = torch.tensor([[True] * 7, [True] * 4 + [False] * 3, [False] * 2 + [True] * 5])


def reference_encoder(norm_first, activation):
    layer = nn.TransformerEncoderLayer(
        D_MODEL, HEADS, D_FF, 0.0, activation, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    final = nn.LayerNorm(D_MODEL, dtype=torch.float64) if norm_first else None
    return nn.TransformerEncoder(layer, LAYERS, norm=final, enable_nested_tensor=False)


def our_encoder(norm_first, activation):
    config = EncoderConfig(
        vocab_size=2,
        d_model=D_MODEL,
        n_layers=LAYERS,
        n_heads=HEADS,
        d_ff=D_FF,
        positions=NoPositions(),
        residual=PreNorm() if norm_first else PostNorm(),
        mixer=Attention(bias=True),
        feedforward=Relu() if activation == "relu" else Gelu(),
    )
    return Encoder(config).double()


def weight_table(norm_first):
    """Our weight's name -> (theirs, theirs as ours)."""
    table = {}
    for kind in ("weight", "bias"):
        for i in range(LAYERS):
            for part, p in enumerate("qkv"):
                rows = slice(part * D_MODEL, (part + 1) * D_MODEL)
                fused = f"layers.{i}.self_attn.in_proj_{kind}"
                table[f"layers.{i}.sublayers.mixer.{p}.{kind}"] = (fused, lambda t, rows=rows: t[rows])
            for a, b in (
                ("sublayers.mixer.out", "self_attn.out_proj"),
                ("sublayers.feedforward.up", "linear1"),
                ("sublayers.feedforward.down", "linear2"),
                ("norms.mixer", "norm1"),
                ("norms.feedforward", "norm2"),
            ):
                table[f"layers.{i}.{a}.{kind}"] = (f"layers.{i}.{b}.{kind}", lambda t: t)
        if norm_first:
            table[f"final_norm.{kind}"] = (f"norm.{kind}", lambda t: t)
    return table


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_torch_transformer_encoder(norm_first, activation, padded, loud, assert_parity):
    theirs, ours = loud(reference_encoder(norm_first, activation)).train(), our_encoder(norm_first, activation)
    table, source = weight_table(norm_first), dict(theirs.named_parameters())
    target = {name: p for name, p in ours.named_parameters() if not name.startswith("embedding")}
    assert target.keys() == table.keys()
    assert source.keys() == {name for name, _ in table.values()}
    with torch.no_grad():
        for name, (their_name, transform) in table.items():
            target[name].copy_(transform(source[their_name]))
    x = torch.randn(3, 7, D_MODEL, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = MASK if padded else None
    reference = theirs(x, src_key_padding_mask=None if mask is None else ~mask)
    y = ours.hidden(x, mask)
    assert_parity(y, reference, "output")
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (y * weights).sum().backward()
    (reference * weights).sum().backward()
    for name, (their_name, transform) in table.items():
        assert_parity(target[name].grad, transform(source[their_name].grad), name)
