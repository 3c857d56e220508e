"""gpt_neox: GPT-NeoX and Pythia (Black et al., arXiv:2204.06745; Biderman et al., arXiv:2304.01373).

Attention and feed-forward side by side, each with its norm; rotary positions on part of each head; queries, keys and
values are one matrix, head by head. Dropout of attention weights has no counterpart here.
"""

from collections.abc import Collection, Iterable
from typing import Any

from allyouneed.blocks import Attention, LMHead, NoHead, Parallel, PreNorm
from allyouneed.models.config import DecoderConfig
from allyouneed.models.families._rope import read_rope, write_rope
from allyouneed.models.families.gpt2 import PLAIN
from allyouneed.models.family import Family, Raw, is_bare, name_of, named, sizes
from allyouneed.models.weight_table import FusedByHead, Weight, linear, weight

SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
    "norm_eps": "layer_norm_eps",
    "dropout": "hidden_dropout",
}
DEFAULTS = {"max_position_embeddings": 2048, "layer_norm_eps": 1e-5, "hidden_dropout": 0.0}


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    fields = sizes(raw, SIZES, DEFAULTS)
    fields |= {
        "positions": read_rope(raw, raw.get("rotary_emb_base", 1e4), raw.get("rotary_pct", 0.25)),
        "residual": Parallel() if raw.get("use_parallel_residual", True) else PreNorm(),
        "mixer": Attention(bias=raw.get("attention_bias", True)),
        "feedforward": named(raw, "hidden_act", "gelu", PLAIN),
        "tie_embeddings": raw.get("tie_word_embeddings", False),
        "head": NoHead() if is_bare(raw) else LMHead(),
    }
    return DecoderConfig(**fields)


def _write(config: DecoderConfig) -> dict[str, Any]:
    mixer: Any = config.mixer
    rope: Any = config.positions
    return {
        "model_type": "gpt_neox",
        "architectures": ["GPTNeoXModel" if config.head == NoHead() else "GPTNeoXForCausalLM"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "intermediate_size": config.sizes.d_ff,
        "use_parallel_residual": config.residual == Parallel(),
        "attention_bias": mixer.bias,
        "hidden_act": name_of(config.feedforward, PLAIN),
        "tie_word_embeddings": config.tie_embeddings,
        **write_rope(rope),
        "partial_rotary_factor": rope.partial_rotary_factor,
        "rotary_pct": rope.partial_rotary_factor,
        "rotary_emb_base": rope.theta,
    }


def _table(config: DecoderConfig) -> Iterable[Weight]:
    ours, theirs = "layers.{layer}.", "gpt_neox.layers.{layer}."
    fused = [f"{ours}sublayers.mixer.{name}" for name in "qkv"]
    yield weight("embedding.weight", "gpt_neox.embed_in.weight")
    yield weight("unembedding.weight", "embed_out.weight")
    yield from linear("final_norm", "gpt_neox.final_layer_norm")
    yield from linear(f"{ours}norms.mixer", f"{theirs}input_layernorm")
    yield from linear(f"{ours}norms.feedforward", f"{theirs}post_attention_layernorm")
    yield from linear(fused, f"{theirs}attention.query_key_value", FusedByHead(config.n_heads))
    yield from linear(f"{ours}sublayers.mixer.out", f"{theirs}attention.dense")
    yield from linear(f"{ours}sublayers.feedforward.up", f"{theirs}mlp.dense_h_to_4h")
    yield from linear(f"{ours}sublayers.feedforward.down", f"{theirs}mlp.dense_4h_to_h")


FAMILY = Family(
    name="gpt_neox",
    read=_read,
    write=_write,
    table=_table,
    embedding="gpt_neox.embed_in.weight",
    head="embed_out.weight",
    prefix="gpt_neox.",
    ignored=("*.attention.bias", "*.attention.masked_bias", "*.rotary_emb.inv_freq"),
    renamed={"lm_head.weight": "embed_out.weight"},
)
