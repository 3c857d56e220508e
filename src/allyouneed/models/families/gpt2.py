"""gpt2: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.

Learned positions, LayerNorm in front, GELU by its tanh approximation. Its linears are stored (in, out), and queries,
keys and values are one of them. Dropout of attention weights (`attn_pdrop`) has no counterpart here.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from allyouneed.blocks import Attention, Gelu, Learned, LMHead, NoHead, Relu, Silu
from allyouneed.models.config import DecoderConfig
from allyouneed.models.family import Family, Raw, is_bare, name_of, named, only, sizes
from allyouneed.models.weight_table import Fused, Weight, linear, weight

SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "n_embd",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "max_seq_len": "n_positions",
    "norm_eps": "layer_norm_epsilon",
    "dropout": "resid_pdrop",
}
DEFAULTS = {"n_positions": 1024, "layer_norm_epsilon": 1e-5, "resid_pdrop": 0.1}
PLAIN = {
    "gelu_new": Gelu(approximate="tanh"),
    "gelu_pytorch_tanh": Gelu(approximate="tanh"),
    "gelu": Gelu(),
    "relu": Relu(),
    "silu": Silu(),
    "swish": Silu(),
}


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    only(raw, "add_cross_attention", False)
    fields = sizes(raw, SIZES, DEFAULTS)
    fields |= {
        "d_ff": raw.get("n_inner") or 4 * fields["d_model"],
        "positions": Learned(),
        "mixer": _attention(raw, fields),
        "feedforward": named(raw, "activation_function", "gelu_new", PLAIN),
        "tie_embeddings": raw.get("tie_word_embeddings", True),
        "head": NoHead() if is_bare(raw) else LMHead(),
    }
    return DecoderConfig(**fields)


def _attention(raw: Raw, fields: dict[str, Any]) -> Attention | tuple[Attention, ...]:
    """Its scores may be left unscaled, or divided by the number of their layer as well."""
    attention = Attention(bias=True, scale=None if raw.get("scale_attn_weights", True) else 1.0)
    if not raw.get("scale_attn_by_inverse_layer_idx", False):
        return attention
    scale = attention.scale or (fields["d_model"] // fields["n_heads"]) ** -0.5
    return tuple(replace(attention, scale=scale / (layer + 1)) for layer in range(fields["n_layers"]))


def _write(config: DecoderConfig) -> dict[str, Any]:
    by_layer = isinstance(config.mixer, tuple)
    first: Any = config.mixer[0] if isinstance(config.mixer, tuple) else config.mixer
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2Model" if config.head == NoHead() else "GPT2LMHeadModel"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "n_ctx": config.max_seq_len,
        "n_inner": config.sizes.d_ff,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "activation_function": name_of(config.feedforward, PLAIN),
        "scale_attn_weights": first.scale != 1,
        "scale_attn_by_inverse_layer_idx": by_layer,
        "tie_word_embeddings": config.tie_embeddings,
    }


def _table(config: DecoderConfig) -> Iterable[Weight]:
    ours, theirs, turned = "layers.{layer}.", "transformer.h.{layer}.", Fused(transposed=True)
    yield weight("embedding.weight", "transformer.wte.weight")
    yield weight("positions.table.weight", "transformer.wpe.weight")
    yield weight("unembedding.weight", "lm_head.weight")
    yield from linear("final_norm", "transformer.ln_f")
    yield from linear(f"{ours}norms.mixer", f"{theirs}ln_1")
    yield from linear(f"{ours}norms.feedforward", f"{theirs}ln_2")
    yield from linear([f"{ours}sublayers.mixer.{name}" for name in "qkv"], f"{theirs}attn.c_attn", turned)
    yield from linear(f"{ours}sublayers.mixer.out", f"{theirs}attn.c_proj", turned)
    yield from linear(f"{ours}sublayers.feedforward.up", f"{theirs}mlp.c_fc", turned)
    yield from linear(f"{ours}sublayers.feedforward.down", f"{theirs}mlp.c_proj", turned)


FAMILY = Family(
    name="gpt2",
    read=_read,
    write=_write,
    table=_table,
    embedding="transformer.wte.weight",
    head="lm_head.weight",
    prefix="transformer.",
    ignored=("*.attn.bias", "*.attn.masked_bias"),
)
