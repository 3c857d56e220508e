"""The paper's encoder-decoder against Marian in transformers: logits and the gradient of every weight, in float64.

Marian keeps the sines in the first half of the channels and the cosines in the second, where the paper has them by
turns. So its channels are ours in another order: whatever reads or writes the residual stream has to be permuted.
It adds a bias to the logits, which the paper's head does not have: in all comparisons it is 0.
"""

import pytest
import torch
from transformers import MarianConfig, MarianMTModel

from allyouneed.blocks import Attention, PostNorm, Relu, Sinusoidal
from allyouneed.blocks.attention import CrossAttention
from allyouneed.blocks.context import Memory
from allyouneed.models import DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig

D_MODEL, READING, WRITING = 30, 2, 3
# Their channel i is our channel THEIR_ORDER[i].
THEIR_ORDER = torch.cat((torch.arange(0, D_MODEL, 2), torch.arange(1, D_MODEL, 2)))

# Of a layer: ours, theirs, and where the weight meets the stream: it reads channels (columns) or writes them (rows).
IN_BOTH = [
    ("sublayers.mixer.q", "self_attn.q_proj", "reads"),
    ("sublayers.mixer.k", "self_attn.k_proj", "reads"),
    ("sublayers.mixer.v", "self_attn.v_proj", "reads"),
    ("sublayers.mixer.out", "self_attn.out_proj", "writes"),
    ("norms.mixer", "self_attn_layer_norm", "writes"),
    ("sublayers.feedforward.up", "fc1", "reads"),
    ("sublayers.feedforward.down", "fc2", "writes"),
    ("norms.feedforward", "final_layer_norm", "writes"),
]
IN_DECODER = [
    *IN_BOTH,
    ("sublayers.cross.q", "encoder_attn.q_proj", "reads"),
    ("sublayers.cross.k", "encoder_attn.k_proj", "reads"),
    ("sublayers.cross.v", "encoder_attn.v_proj", "reads"),
    ("sublayers.cross.out", "encoder_attn.out_proj", "writes"),
    ("norms.cross", "encoder_attn_layer_norm", "writes"),
]
EMBEDDINGS = {
    "shared": [("encoder.embedding", "model.shared", "reads")],
    "tied": [
        ("encoder.embedding", "model.encoder.embed_tokens", "reads"),
        ("decoder.embedding", "model.decoder.embed_tokens", "reads"),
    ],
    "untied": [
        ("encoder.embedding", "model.encoder.embed_tokens", "reads"),
        ("decoder.embedding", "model.decoder.embed_tokens", "reads"),
        ("decoder.unembedding", "lm_head", "reads"),
    ],
}

SOURCE = torch.randint(1, 9, (3, 7), generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(1, 9, (3, 5), generator=torch.Generator().manual_seed(1))
MASKS = {
    "unpadded": (torch.ones(3, 7, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)),
    "right": (
        torch.arange(7) < torch.tensor([[7], [4], [2]]),
        torch.arange(5) < torch.tensor([[3], [5], [4]]),
    ),
    "left": (
        torch.arange(7) >= torch.tensor([[0], [4], [2]]),
        torch.arange(5) >= torch.tensor([[2], [0], [3]]),
    ),
}


def table_of(embeddings):
    """Our weight's name -> theirs, and the axis that holds the channels of the stream (None: neither does)."""
    table = {f"{a}.weight": (f"{b}.weight", 1) for a, b, _ in EMBEDDINGS[embeddings]}
    for stack, layers, parts in (("encoder", READING, IN_BOTH), ("decoder", WRITING, IN_DECODER)):
        for i in range(layers):
            for a, b, meets in parts:
                ours_at, theirs_at = f"{stack}.layers.{i}.{a}", f"model.{stack}.layers.{i}.{b}"
                table[f"{ours_at}.weight"] = (f"{theirs_at}.weight", 1 if meets == "reads" else 0)
                table[f"{ours_at}.bias"] = (f"{theirs_at}.bias", None if meets == "reads" else 0)
    return table


def make(embeddings, in_float64):
    """Theirs and ours, which stack by stack differ in their heads, layers and widths."""
    shared = embeddings == "shared"
    with in_float64():
        theirs = MarianMTModel(
            MarianConfig(
                vocab_size=13,
                decoder_vocab_size=13 if shared else 9,
                d_model=D_MODEL,
                encoder_layers=READING,
                decoder_layers=WRITING,
                encoder_attention_heads=2,  # 15 channels a head
                decoder_attention_heads=6,  # 5
                encoder_ffn_dim=37,
                decoder_ffn_dim=44,
                activation_function="relu",
                scale_embedding=True,
                max_position_embeddings=32,
                share_encoder_decoder_embeddings=shared,
                tie_word_embeddings=embeddings != "untied",
                pad_token_id=0,  # no token of the tests: its row of the embedding would have no gradient
                bos_token_id=None,
                eos_token_id=None,
                decoder_start_token_id=0,
                forced_eos_token_id=None,
                attn_implementation="eager",
            )
        ).double()
    assert (theirs.final_logits_bias == 0).all()
    common = {
        "d_model": D_MODEL,
        "positions": Sinusoidal(),
        "residual": PostNorm(),
        "mixer": Attention(bias=True),
        "feedforward": Relu(),
    }
    encoder = EncoderConfig(vocab_size=13, n_layers=READING, n_heads=2, d_ff=37, **common)
    decoder = DecoderConfig(
        vocab_size=13 if shared else 9,
        n_layers=WRITING,
        n_heads=6,
        d_ff=44,
        cross=CrossAttention(bias=True),
        tie_embeddings=embeddings != "untied",
        **common,
    )
    config = EncoderDecoderConfig(encoder=encoder, decoder=decoder, share_embeddings=shared)
    return theirs, EncoderDecoder(config).double()


@torch.no_grad()
def draw(theirs, ours, direction, embeddings, loud, monkeypatch, permuted=True):
    """Loud weights for one of the two, and the same ones for the other."""
    loud(ours if direction == "ours to theirs" else theirs)
    theirs.eval()
    # Their table of positions is a parameter too, made in float32; here it is made again, in float64.
    monkeypatch.setattr(torch, "FloatTensor", torch.DoubleTensor)
    for stack in (theirs.model.encoder, theirs.model.decoder):
        stack.embed_positions.weight.copy_(stack.embed_positions.create_weight())
    table, source = table_of(embeddings), dict(theirs.named_parameters())
    assert dict(ours.named_parameters()).keys() == table.keys()
    assert {name for name, p in source.items() if p.requires_grad} == {name for name, _ in table.values()}
    for name, (their_name, axis) in table.items():
        mine, other = ours.get_parameter(name), source[their_name]
        if direction == "ours to theirs":
            other.copy_(as_theirs(mine, axis if permuted else None))
        else:
            mine.copy_(as_ours(other, axis if permuted else None))
    return table


def as_theirs(weight, axis):
    return weight if axis is None else weight.index_select(axis, THEIR_ORDER)


def as_ours(weight, axis):
    return weight if axis is None else weight.index_select(axis, THEIR_ORDER.argsort())


def our_logits(ours, mask, decoder_mask):
    """Theirs counts padding; where some comes before a row's tokens, ours are told to stand where theirs do."""
    if mask[:, 0].all() and decoder_mask[:, 0].all():
        return ours(SOURCE, TARGET, mask, decoder_mask)
    memory = Memory(ours.encoder.hidden(SOURCE, mask, positions=torch.arange(7)[None]), mask)
    return ours.decoder(TARGET, decoder_mask, positions=torch.arange(5)[None], memory=memory)


def their_logits(theirs, mask, decoder_mask, in_float64):
    with in_float64():
        return theirs(
            SOURCE, attention_mask=mask, decoder_input_ids=TARGET, decoder_attention_mask=decoder_mask, use_cache=False
        ).logits


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("embeddings", EMBEDDINGS)
@pytest.mark.parametrize("direction", ["ours to theirs", "theirs to ours"])
def test_marian(direction, embeddings, masks, loud, in_float64, assert_parity, monkeypatch):
    theirs, ours = make(embeddings, in_float64)
    table = draw(theirs, ours, direction, embeddings, loud, monkeypatch)
    mask, decoder_mask = MASKS[masks]
    logits = our_logits(ours, mask, decoder_mask)[decoder_mask]
    reference = their_logits(theirs, mask, decoder_mask, in_float64)[decoder_mask]
    assert reference.abs().max() > 1  # loud
    assert_parity(logits, reference, "logits")
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (logits * weights).sum().backward()
    (reference * weights).sum().backward()
    source = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        their_name, axis = table[name]
        assert_parity(parameter.grad, as_ours(source[their_name].grad, axis), name)


@torch.no_grad()
def test_marian_step_by_step(loud, in_float64, assert_parity, monkeypatch):
    theirs, ours = make("shared", in_float64)
    draw(theirs, ours, "theirs to ours", "shared", loud, monkeypatch)
    mask, whole = MASKS["right"][0], MASKS["unpadded"][1]
    reference, state = their_logits(theirs, mask, whole, in_float64), ours.new_state(SOURCE, mask)
    for t in range(5):
        logits, state = ours.step(TARGET[:, t : t + 1], state)
        assert_parity(logits, reference[:, t], f"step {t}")


@torch.no_grad()
def test_without_the_permutation_the_logits_are_far_off(loud, in_float64, monkeypatch):
    theirs, ours = make("shared", in_float64)
    draw(theirs, ours, "theirs to ours", "shared", loud, monkeypatch, permuted=False)
    masks = MASKS["unpadded"]
    assert float((our_logits(ours, *masks) - their_logits(theirs, *masks, in_float64)).abs().max()) > 1
