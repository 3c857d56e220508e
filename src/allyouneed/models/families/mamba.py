"""mamba: Gu and Dao, arXiv:2312.00752. Selective state spaces in place of attention, and no feed-forward."""

import math
from collections.abc import Collection, Iterable
from typing import Any

from allyouneed.blocks import LMHead, Mamba, NoHead, NoPositions, RMSNorm
from allyouneed.models.config import DecoderConfig
from allyouneed.models.family import Family, Raw, is_bare, only, sizes
from allyouneed.models.weight_table import Weight, linear, weight

SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "norm_eps": "layer_norm_epsilon",
}


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    only(raw, "hidden_act", "silu", "swish")
    fields = sizes(raw, SIZES, {"layer_norm_epsilon": 1e-5})
    d_model, expand, rank = fields["d_model"], raw.get("expand", 2), raw.get("time_step_rank", "auto")
    d_inner = raw.get("intermediate_size", int(expand * d_model))
    mixer = Mamba(
        d_state=raw.get("state_size", 16),
        d_conv=raw.get("conv_kernel", 4),
        **({"expand": expand} if d_inner == expand * d_model and isinstance(expand, int) else {"d_inner": d_inner}),
        dt_rank=None if rank in ("auto", math.ceil(d_model / 16)) else rank,
        conv_bias=raw.get("use_conv_bias", True),
        bias=raw.get("use_bias", False),
    )
    return DecoderConfig(
        **fields,
        n_heads=1,
        positions=NoPositions(),
        norm=RMSNorm(),
        mixer=mixer,
        feedforward=None,
        head=NoHead() if is_bare(raw) else LMHead(),
        tie_embeddings=raw.get("tie_word_embeddings", True),
    )


def _write(config: DecoderConfig) -> dict[str, Any]:
    mixer: Any = config.mixer
    d_inner = mixer.d_inner or mixer.expand * config.d_model
    if d_inner % config.d_model:
        raise ValueError("in this format d_inner is a whole multiple of d_model")
    return {
        "model_type": "mamba",
        "architectures": ["MambaModel" if config.head == NoHead() else "MambaForCausalLM"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "state_size": mixer.d_state,
        "conv_kernel": mixer.d_conv,
        "expand": d_inner // config.d_model,
        "intermediate_size": d_inner,
        "time_step_rank": mixer.dt_rank or math.ceil(config.d_model / 16),
        "use_conv_bias": mixer.conv_bias,
        "use_bias": mixer.bias,
        "hidden_act": "silu",
        "tie_word_embeddings": config.tie_embeddings,
    }


def _table(config: DecoderConfig) -> Iterable[Weight]:
    ours, theirs = "layers.{layer}.sublayers.mixer.", "backbone.layers.{layer}.mixer."
    yield weight("embedding.weight", "backbone.embeddings.weight")
    yield weight("final_norm.weight", "backbone.norm_f.weight")
    yield weight("unembedding.weight", "lm_head.weight")
    yield weight("layers.{layer}.norms.mixer.weight", "backbone.layers.{layer}.norm.weight")
    for name, their_name in {"in_proj": "in_proj", "conv": "conv1d", "dt_proj": "dt_proj", "out": "out_proj"}.items():
        yield from linear(f"{ours}{name}", f"{theirs}{their_name}")
    for name in ("x_proj.weight", "A_log", "D"):
        yield weight(f"{ours}{name}", f"{theirs}{name}")


FAMILY = Family(
    name="mamba",
    read=_read,
    write=_write,
    table=_table,
    embedding="backbone.embeddings.weight",
    head="lm_head.weight",
    prefix="backbone.",
    unused=("n_heads", "n_kv_heads", "head_dim", "d_ff", "max_seq_len"),
    renamed={"backbone.embedding.weight": "backbone.embeddings.weight"},
)
