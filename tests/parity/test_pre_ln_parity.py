"""Where the norm stands, against transformers: GPT-2's layers (pre-norm) and BERT's (post-norm), in float64.

PyTorch's own layers, either way, are in test_encoder_parity.
"""

import pytest
import torch
from transformers import BertConfig, GPT2Config
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from allyouneed.blocks import Attention, Context, Gelu, LayerNorm, NoPositions, PostNorm, PreNorm
from allyouneed.blocks.protocols import Sizes

D_MODEL, HEADS, D_FF, EPS = 20, 5, 36, 1e-3
X = torch.randn(3, 7, D_MODEL, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
UPSTREAM = torch.randn(X.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def our_layer(residual, feedforward):
    sizes = Sizes(D_MODEL, 1, HEADS, HEADS, D_MODEL // HEADS, D_FF, 16, norm_eps=EPS, dropout=0.0)
    mixer = Attention(bias=True).build(sizes, positions=NoPositions().build(sizes))
    sublayers = {"mixer": mixer, "feedforward": feedforward.build(sizes)}
    return residual.build(sizes, sublayers, LayerNorm()).double()


def of_gpt2():
    """GPT-2's block, ours, and (our weight's name, theirs, theirs as ours); its matrices stand the other way round."""
    config = GPT2Config(n_embd=D_MODEL, n_head=HEADS, n_inner=D_FF, layer_norm_epsilon=EPS, attn_implementation="eager")
    table = {"norms.mixer": ("ln_1", slice(None)), "norms.feedforward": ("ln_2", slice(None))}
    for part, p in enumerate("qkv"):
        table[f"sublayers.mixer.{p}"] = ("attn.c_attn", slice(part * D_MODEL, (part + 1) * D_MODEL))
    table["sublayers.mixer.out"] = ("attn.c_proj", slice(None))
    table["sublayers.feedforward.up"] = ("mlp.c_fc", slice(None))
    table["sublayers.feedforward.down"] = ("mlp.c_proj", slice(None))
    return GPT2Block(config).double(), our_layer(PreNorm(), Gelu(approximate="tanh")), table


def of_bert():
    """As `of_gpt2`: the layer of the first pre-trained encoders, whose norms stand on the stream."""
    config = BertConfig(
        hidden_size=D_MODEL,
        num_attention_heads=HEADS,
        intermediate_size=D_FF,
        layer_norm_eps=EPS,
        attn_implementation="eager",
    )
    table = {
        "sublayers.mixer.q": "attention.self.query",
        "sublayers.mixer.k": "attention.self.key",
        "sublayers.mixer.v": "attention.self.value",
        "sublayers.mixer.out": "attention.output.dense",
        "norms.mixer": "attention.output.LayerNorm",
        "sublayers.feedforward.up": "intermediate.dense",
        "sublayers.feedforward.down": "output.dense",
        "norms.feedforward": "output.LayerNorm",
    }
    table = {ours: (theirs, slice(None)) for ours, theirs in table.items()}
    return BertLayer(config).double(), our_layer(PostNorm(), Gelu()), table


def as_ours(theirs, values, rows):
    """A weight or its gradient of theirs in our shape."""
    return (values.T if theirs == "GPT2Block" and values.ndim == 2 else values)[rows]


@pytest.mark.parametrize(("reference", "causal"), [(of_gpt2, True), (of_bert, False)], ids=["gpt2", "bert"])
def test_a_layer_and_its_gradients(reference, causal, loud, assert_parity):
    theirs, ours, table = reference()
    kind, source = type(theirs).__name__, dict(loud(theirs).named_parameters())
    target = dict(ours.named_parameters())
    pairs = {
        f"{a}.{part}": (source[f"{b}.{part}"], rows) for a, (b, rows) in table.items() for part in ("weight", "bias")
    }
    assert target.keys() == pairs.keys()
    with torch.no_grad():
        for name, (weight, rows) in pairs.items():
            target[name].copy_(as_ours(kind, weight, rows))
    hidden = torch.full((7, 7), -torch.inf, dtype=torch.float64).triu(1)[None, None] if causal else None
    x, their_x = X.clone().requires_grad_(), X.clone().requires_grad_()
    y, _ = ours(x, Context.of(x, causal=causal))
    out = theirs(their_x, attention_mask=hidden)
    expected = out[0] if isinstance(out, tuple) else out
    assert_parity(y, expected, "output")
    (y * UPSTREAM).sum().backward()
    (expected * UPSTREAM).sum().backward()
    assert_parity(x.grad, their_x.grad, "input")
    for name, (weight, rows) in pairs.items():
        assert_parity(target[name].grad, as_ours(kind, weight.grad, rows), name)
