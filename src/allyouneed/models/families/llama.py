"""llama: Llama 1, 2 and 3, and the many checkpoints that share their format.

Touvron et al., arXiv:2302.13971 and 2307.09288. RMSNorm in front, rotary positions (half-split), SwiGLU, no biases;
from Llama 2 70B on fewer key heads than query heads, from Llama 3.1 on scaled rotations. Other families that differ
in a block or two are made from the functions below.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from allyouneed.blocks import Attention, GeGLU, LMHead, NoHead, ReGLU, RMSNorm, SwiGLU
from allyouneed.models.config import DecoderConfig
from allyouneed.models.families._rope import read_rope, write_rope
from allyouneed.models.family import Family, Raw, is_bare, name_of, named, sizes
from allyouneed.models.weight_table import Weight, linear, weight

SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
    "norm_eps": "rms_norm_eps",
}
GATED = {
    "silu": SwiGLU(),
    "swish": SwiGLU(),
    "gelu": GeGLU(),
    "gelu_pytorch_tanh": GeGLU(approximate="tanh"),
    "gelu_new": GeGLU(approximate="tanh"),
    "relu": ReGLU(),
}
DEFAULTS = {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6}


def read_config(raw: Raw, mixer: Any, defaults: Raw = DEFAULTS, **others: Any) -> DecoderConfig:
    """A config of this shape with another mixer, and `others` of our fields in place of what is read."""
    fields = sizes(raw, SIZES, defaults)
    gated = named(raw, "hidden_act", "silu", GATED)
    fields |= {
        "n_kv_heads": raw.get("num_key_value_heads") or fields["n_heads"],
        "head_dim": raw.get("head_dim") or fields["d_model"] // fields["n_heads"],
        "positions": replace(read_rope(raw), partial_rotary_factor=1.0),  # whatever is said: all channels turn
        "norm": RMSNorm(),
        "mixer": mixer,
        "feedforward": type(gated)(**vars(gated) | {"bias": raw.get("mlp_bias", False)}),
        "tie_embeddings": raw.get("tie_word_embeddings", False),
        "head": NoHead() if is_bare(raw) else LMHead(),
    }
    return DecoderConfig(**fields | others)


def write_config(config: DecoderConfig, name: str) -> dict[str, Any]:
    """The keys that `read_config` reads, for the family `name`."""
    gated: Any = config.feedforward
    rope: Any = config.positions
    if rope.partial_rotary_factor != 1:
        raise ValueError("in this format all channels of a head turn")
    plain = type(gated)(**vars(gated) | {"bias": False})
    return {
        "model_type": name.lower(),
        "architectures": [f"{name}Model" if config.head == NoHead() else f"{name}ForCausalLM"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "intermediate_size": config.sizes.d_ff,
        "num_key_value_heads": config.sizes.n_kv_heads,
        "head_dim": config.sizes.head_dim,
        "hidden_act": name_of(plain, GATED),
        "mlp_bias": gated.bias,
        "tie_word_embeddings": config.tie_embeddings,
        **write_rope(rope),
    }


def table(config: DecoderConfig) -> Iterable[Weight]:
    """The weights of this shape, those of qk-norm and all biases included."""
    ours, theirs = "layers.{layer}.", "model.layers.{layer}."
    yield weight("embedding.weight", "model.embed_tokens.weight")
    yield weight("final_norm.weight", "model.norm.weight")
    yield weight("unembedding.weight", "lm_head.weight")
    yield weight(f"{ours}norms.mixer.weight", f"{theirs}input_layernorm.weight")
    yield weight(f"{ours}norms.feedforward.weight", f"{theirs}post_attention_layernorm.weight")
    for name, their_name in {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "o_proj"}.items():
        yield from linear(f"{ours}sublayers.mixer.{name}", f"{theirs}self_attn.{their_name}")
    for name in ("q_norm", "k_norm"):
        yield weight(f"{ours}sublayers.mixer.{name}.weight", f"{theirs}self_attn.{name}.weight")
    for name in ("gate", "up", "down"):
        yield from linear(f"{ours}sublayers.feedforward.{name}", f"{theirs}mlp.{name}_proj")


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    return read_config(raw, Attention(bias=raw.get("attention_bias", False)))


def _write(config: DecoderConfig) -> dict[str, Any]:
    mixer: Any = config.mixer
    return write_config(config, "Llama") | {"attention_bias": mixer.bias}


LAYOUT: dict[str, Any] = {
    "table": table,
    "embedding": "model.embed_tokens.weight",
    "head": "lm_head.weight",
    "prefix": "model.",
    "ignored": ("*rotary_emb.inv_freq",),
}

FAMILY = Family(name="llama", read=_read, write=_write, **LAYOUT)
