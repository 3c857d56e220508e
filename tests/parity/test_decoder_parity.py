"""Whole decoders against transformers: logits and the gradient of every weight, in float64."""

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from allyouneed.blocks import Attention, Gelu, LayerNorm, RMSNorm, Rope, SwiGLU
from allyouneed.models import Decoder, DecoderConfig

TOKENS = torch.randint(13, (2, 9), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(9)[None] >= torch.tensor([[0], [4]])


def of_llama(kv_heads, theta, loud, in_float64):
    """A reference, our model of the same make, and (our weight's name, theirs as ours) for each weight."""
    with in_float64():
        theirs = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=13,
                hidden_size=24,
                intermediate_size=40,
                num_hidden_layers=3,
                num_attention_heads=4,
                num_key_value_heads=kv_heads,
                rope_parameters={"rope_type": "default", "rope_theta": theta},
                attn_implementation="eager",
            )
        ).double()
    ours = Decoder(
        DecoderConfig(
            vocab_size=13,
            d_model=24,
            n_layers=3,
            n_heads=4,
            n_kv_heads=kv_heads,
            d_ff=40,
            positions=Rope(theta),
            norm=RMSNorm(),
            feedforward=SwiGLU(),
            tie_embeddings=False,
            norm_eps=1e-6,
        )
    ).double()
    names = {"embedding": "model.embed_tokens", "final_norm": "model.norm", "unembedding": "lm_head"}
    for i in range(3):
        ours_at, theirs_at = f"layers.{i}.", f"model.layers.{i}."
        names |= {f"{ours_at}sublayers.mixer.{p}": f"{theirs_at}self_attn.{p}_proj" for p in "qkv"}
        names |= {f"{ours_at}sublayers.feedforward.{p}": f"{theirs_at}mlp.{p}_proj" for p in ("gate", "up", "down")}
        names[f"{ours_at}sublayers.mixer.out"] = f"{theirs_at}self_attn.o_proj"
        names[f"{ours_at}norms.mixer"] = f"{theirs_at}input_layernorm"
        names[f"{ours_at}norms.feedforward"] = f"{theirs_at}post_attention_layernorm"
    table = {f"{a}.weight": (f"{b}.weight", lambda t: t) for a, b in names.items()}
    return ours, loud(theirs), table


def of_gpt_neox(factor, loud, in_float64):
    """As `of_llama`; its queries, keys and values are one matrix, head by head."""
    with in_float64():
        theirs = GPTNeoXForCausalLM(
            GPTNeoXConfig(
                vocab_size=13,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                use_parallel_residual=False,
                rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": factor},
                hidden_act="gelu",
                attn_implementation="eager",
            )
        ).double()
    ours = Decoder(
        DecoderConfig(
            vocab_size=13,
            d_model=32,
            n_heads=4,
            d_ff=48,
            positions=Rope(partial_rotary_factor=factor),
            mixer=Attention(bias=True),
            norm=LayerNorm(),
            feedforward=Gelu(),
            tie_embeddings=False,
        )
    ).double()
    # The head's name has changed between versions of transformers.
    head = next(name for name, _ in theirs.named_parameters() if name in ("lm_head.weight", "embed_out.weight"))
    table = {
        "embedding.weight": ("gpt_neox.embed_in.weight", lambda t: t),
        "unembedding.weight": (head, lambda t: t),
    }
    for kind in ("weight", "bias"):
        table[f"final_norm.{kind}"] = (f"gpt_neox.final_layer_norm.{kind}", lambda t: t)
        for i in range(2):
            ours_at, theirs_at = f"layers.{i}.", f"gpt_neox.layers.{i}."
            for part, p in enumerate("qkv"):
                fused = f"{theirs_at}attention.query_key_value.{kind}"
                split = lambda t, part=part: t.unflatten(0, (4, 3, 8))[:, part].flatten(0, 1)  # noqa: E731
                table[f"{ours_at}sublayers.mixer.{p}.{kind}"] = (fused, split)
            for a, b in (
                ("sublayers.mixer.out", "attention.dense"),
                ("sublayers.feedforward.up", "mlp.dense_h_to_4h"),
                ("sublayers.feedforward.down", "mlp.dense_4h_to_h"),
                ("norms.mixer", "input_layernorm"),
                ("norms.feedforward", "post_attention_layernorm"),
            ):
                table[f"{ours_at}{a}.{kind}"] = (f"{theirs_at}{b}.{kind}", lambda t: t)
    return ours, loud(theirs), table


@torch.no_grad()
def copy_weights(ours, theirs, table):
    source, target = dict(theirs.named_parameters()), dict(ours.named_parameters())
    assert target.keys() == table.keys()
    assert source.keys() == {name for name, _ in table.values()}
    for name, (their_name, transform) in table.items():
        target[name].copy_(transform(source[their_name]))


def check(ours, theirs, table, in_float64, assert_parity, mask=None):
    copy_weights(ours, theirs, table)
    positions = None if mask is None else (mask.cumsum(1) - 1).clamp(min=0)
    with in_float64():
        reference = theirs(TOKENS, attention_mask=mask, position_ids=positions).logits
    logits = ours(TOKENS, mask)
    real = torch.ones_like(TOKENS, dtype=torch.bool) if mask is None else mask
    assert reference.abs().max() > 1  # loud
    assert_parity(logits[real], reference[real], "logits")
    weights = torch.randn(reference[real].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (logits[real] * weights).sum().backward()
    with in_float64():
        (reference[real] * weights).sum().backward()
    source = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        their_name, transform = table[name]
        assert_parity(parameter.grad, transform(source[their_name].grad), name)


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "left-padded"])
@pytest.mark.parametrize(("kv_heads", "theta"), [(2, 1e4), (4, 5e5), (1, 1e4)])
def test_llama(kv_heads, theta, mask, loud, in_float64, assert_parity):
    check(*of_llama(kv_heads, theta, loud, in_float64), in_float64, assert_parity, mask)


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "left-padded"])
@pytest.mark.parametrize("factor", [0.25, 1.0])
def test_gpt_neox(factor, mask, loud, in_float64, assert_parity):
    check(*of_gpt_neox(factor, loud, in_float64), in_float64, assert_parity, mask)


def test_llama_cached_step_by_step(loud, in_float64, assert_parity):
    ours, theirs, table = of_llama(2, 1e4, loud, in_float64)
    copy_weights(ours, theirs, table)
    with torch.no_grad():
        with in_float64():
            reference = theirs(TOKENS).logits
        state = ours.new_state(2)
        parts = [ours(TOKENS[:, :4], state=state), *(ours(TOKENS[:, t : t + 1], state=state) for t in range(4, 9))]
    assert_parity(torch.cat(parts, 1), reference)


def test_the_wrong_layout_shows_in_the_logits(loud, in_float64):
    """With our rotation interleaved and all else equal, the logits are nowhere near the reference's."""
    ours, theirs, table = of_llama(2, 1e4, loud, in_float64)
    copy_weights(ours, theirs, table)
    ours.positions.interleaved = True
    with torch.no_grad(), in_float64():
        reference = theirs(TOKENS).logits
    with torch.no_grad():
        assert float((ours(TOKENS) - reference).abs().max()) > 1
