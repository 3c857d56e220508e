"""The encoder-decoder against PyTorch's own transformer: outputs and the gradient of every weight, in float64."""

import pytest
import torch
from torch import nn

from allyouneed.blocks import Attention, NoPositions, PostNorm, PreNorm, Relu
from allyouneed.blocks.attention import CrossAttention
from allyouneed.models import DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig

# Of a layer: ours and theirs. Their queries, keys and values are one matrix, in this order one under another.
IN_BOTH = [
    ("sublayers.mixer.q sublayers.mixer.k sublayers.mixer.v", "self_attn.in_proj_"),
    ("sublayers.mixer.out", "self_attn.out_proj."),
    ("norms.mixer", "norm1."),
    ("sublayers.feedforward.up", "linear1."),
    ("sublayers.feedforward.down", "linear2."),
]
IN_ENCODER = [*IN_BOTH, ("norms.feedforward", "norm2.")]
IN_DECODER = [
    *IN_BOTH,
    ("sublayers.cross.q sublayers.cross.k sublayers.cross.v", "multihead_attn.in_proj_"),
    ("sublayers.cross.out", "multihead_attn.out_proj."),
    ("norms.cross", "norm2."),
    ("norms.feedforward", "norm3."),
]

# Theirs says so when it keeps from its fast path.
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")

HEADS = 3
# d_model, d_ff, key heads, layers that read, layers that write; 21 / 3 gives heads of 7 channels.
SIZES = {"small": (24, 40, 3, 2, 3), "odd heads": (21, 33, 3, 3, 1), "one key head": (21, 20, 1, 1, 2)}

MASKS = {
    "unpadded": (None, None),
    # Sources padded right, left and on both sides; targets on the right, where their softmax is never over nothing.
    "padded": (
        torch.tensor([[1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 0]], dtype=torch.bool),
        torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], dtype=torch.bool),
    ),
}


def make(size, norm_first):
    """Theirs, ours, and (our names, their name) of each of their weights."""
    d_model, d_ff, n_kv_heads, reading, writing = SIZES[size]
    theirs = nn.Transformer(
        d_model, HEADS, reading, writing, d_ff, 0.0, "relu", batch_first=True, norm_first=norm_first
    ).double()
    if not norm_first:  # theirs would normalise what is normalised already; the paper does not
        theirs.encoder.norm = theirs.decoder.norm = None
    common = {
        "vocab_size": 2,
        "d_model": d_model,
        "n_heads": HEADS,
        "n_kv_heads": n_kv_heads,
        "head_dim": d_model // HEADS,
        "d_ff": d_ff,
        "positions": NoPositions(),
        "residual": PreNorm() if norm_first else PostNorm(),
        "mixer": Attention(bias=True),
        "feedforward": Relu(),
    }
    encoder = EncoderConfig(n_layers=reading, **common)
    decoder = DecoderConfig(n_layers=writing, cross=CrossAttention(bias=True), **common)
    ours = EncoderDecoder(EncoderDecoderConfig(encoder=encoder, decoder=decoder)).double()
    table = []
    for kind in ("weight", "bias"):
        for stack, layers, parts in (("encoder", reading, IN_ENCODER), ("decoder", writing, IN_DECODER)):
            for i in range(layers):
                at = f"{stack}.layers.{i}."
                table += [([f"{at}{name}.{kind}" for name in a.split()], f"{at}{b}{kind}") for a, b in parts]
            if norm_first:
                table.append(([f"{stack}.final_norm.{kind}"], f"{stack}.norm.{kind}"))
    mine = {name for name, _ in ours.named_parameters()} - {"encoder.embedding.weight"}
    assert sorted(mine) == sorted(name for names, _ in table for name in names)
    assert sorted(name for name, _ in theirs.named_parameters()) == sorted(name for _, name in table)
    return theirs, ours, table


def joined(ours, names):
    """Theirs of our weights; a key head that several query heads share stands there once for each."""
    weights = [ours.get_parameter(name) for name in names]
    if len(weights) == 1:
        return weights[0]
    head_dim = len(weights[0]) // HEADS
    heads = [weight.unflatten(0, (-1, head_dim)) for weight in weights]
    return torch.cat([h.repeat_interleave(HEADS // len(h), 0).flatten(0, 1) for h in heads])


@torch.no_grad()
def copy_weights(theirs, ours, table, to):
    for names, their_name in table:
        if to == "theirs":
            theirs.get_parameter(their_name).copy_(joined(ours, names))
        else:
            parts = theirs.get_parameter(their_name).chunk(len(names))
            for name, part in zip(names, parts):
                ours.get_parameter(name).copy_(part)


def check(theirs, ours, table, masks, assert_parity):
    """Outputs, the gradients of source and target, and those of all weights."""
    mask, decoder_mask = masks
    generator = torch.Generator().manual_seed(1)
    d_model = ours.config.encoder.d_model
    source, target = (torch.randn(3, n, d_model, generator=generator, dtype=torch.float64) for n in (7, 5))
    source.requires_grad_()
    target.requires_grad_()
    reference = theirs(
        source,
        target,
        tgt_mask=torch.ones(5, 5, dtype=torch.bool).triu(1),
        src_key_padding_mask=None if mask is None else ~mask,
        memory_key_padding_mask=None if mask is None else ~mask,
        tgt_key_padding_mask=None if decoder_mask is None else ~decoder_mask,
    )
    y = ours.hidden(source, target, mask, decoder_mask)
    real = decoder_mask if decoder_mask is not None else torch.ones(3, 5, dtype=torch.bool)
    assert reference[real].abs().max() > 1  # loud
    assert_parity(y[real], reference[real], "output")
    weights = torch.randn(y.shape, generator=generator, dtype=torch.float64)[real]
    leaves = [source, target]
    mine = dict(ours.named_parameters())
    del mine["encoder.embedding.weight"]  # vectors came in its place
    grads = torch.autograd.grad((y[real] * weights).sum(), leaves + list(mine.values()))
    their_names = [name for _, name in table]
    their_weights = [theirs.get_parameter(name) for name in their_names]
    their_grads = torch.autograd.grad((reference[real] * weights).sum(), leaves + their_weights)
    for ours_of, theirs_of, what in zip(grads, their_grads, ("source", "target")):
        assert_parity(ours_of, theirs_of, what)
    grad_of = dict(zip(mine, grads[2:]))
    for (names, their_name), their_grad in zip(table, their_grads[2:]):
        # Theirs as a gradient of ours: through the joining, which sums over the copies of a key head.
        mine_of = [mine[name] for name in names]
        pulled = torch.autograd.grad((joined(ours, names) * their_grad).sum(), mine_of)
        for name, expected in zip(names, pulled):
            assert_parity(grad_of[name], expected, f"{name} <- {their_name}")


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize(
    ("size", "to"), [("small", "ours"), ("small", "theirs"), ("odd heads", "ours"), ("odd heads", "theirs")]
)
def test_torch_transformer(size, to, norm_first, masks, loud, assert_parity):
    theirs, ours, table = make(size, norm_first)
    loud(ours if to == "theirs" else theirs)
    copy_weights(theirs, ours, table, to)
    check(theirs.train(), ours, table, MASKS[masks], assert_parity)


@pytest.mark.parametrize("norm_first", [False, True])
def test_heads_that_share_keys_are_theirs_with_the_keys_repeated(norm_first, loud, assert_parity):
    """One way only: their heads have keys each, which ours cannot express."""
    theirs, ours, table = make("one key head", norm_first)
    loud(ours)
    copy_weights(theirs, ours, table, to="theirs")
    check(theirs.train(), ours, table, MASKS["padded"], assert_parity)
