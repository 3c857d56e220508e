"""t5: Raffel et al., arXiv:1910.10683; version 1.1 has gated feed-forwards and a head of its own.

Encoder and decoder with relative positions, RMSNorm in front, no biases, scores that are not scaled. Version 1.0
divides what enters its tied head by sqrt(d_model).
"""

from collections.abc import Collection, Iterable
from typing import Any

from allyouneed.blocks import Attention, CrossAttention, Gelu, LMHead, NoHead, RelativeBias, Relu, RMSNorm, Silu
from allyouneed.models.config import DecoderConfig, EncoderConfig
from allyouneed.models.encoder_decoder import EncoderDecoderConfig
from allyouneed.models.families.llama import GATED
from allyouneed.models.family import Family, Raw, is_bare, name_of, named, sizes
from allyouneed.models.weight_table import Weight, weight

SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "d_model",
    "n_heads": "num_heads",
    "head_dim": "d_kv",
    "d_ff": "d_ff",
    "norm_eps": "layer_norm_epsilon",
    "dropout": "dropout_rate",
}
DEFAULTS = {"layer_norm_epsilon": 1e-6, "dropout_rate": 0.1}
FEEDFORWARDS = {
    "relu": Relu(bias=False),
    "gated-gelu": GATED["gelu_new"],  # the one name that means the approximation
    "gelu": Gelu(bias=False),
    "gelu_new": Gelu(bias=False, approximate="tanh"),
    "silu": Silu(bias=False),
} | {f"gated-{name}": block for name, block in GATED.items() if name != "gelu"}

SUBLAYERS = {
    "encoder": {"mixer": "SelfAttention", "feedforward": "DenseReluDense"},
    "decoder": {"mixer": "SelfAttention", "cross": "EncDecAttention", "feedforward": "DenseReluDense"},
}
ATTENTION = {"q": "q", "k": "k", "v": "v", "out": "o"}
PLAIN_PARTS = {"up": "wi", "down": "wo"}
GATED_PARTS = {"gate": "wi_0", "up": "wi_1", "down": "wo"}


def _read(raw: Raw, names: Collection[str]) -> EncoderDecoderConfig:
    fields = sizes(raw, SIZES, DEFAULTS) | {
        "n_kv_heads": raw["num_heads"],
        "positions": RelativeBias(
            raw.get("relative_attention_num_buckets", 32), raw.get("relative_attention_max_distance", 128)
        ),
        "norm": RMSNorm(),
        "mixer": Attention(scale=1.0),
        "feedforward": named(raw, "feed_forward_proj", "relu", FEEDFORWARDS),
    }
    tied = raw.get("tie_word_embeddings", True)
    scale = fields["d_model"] ** -0.5 if raw.get("scale_decoder_outputs", tied) else None
    bare = is_bare(raw)
    return EncoderDecoderConfig(
        encoder=EncoderConfig(**fields, n_layers=raw["num_layers"], head=NoHead()),
        decoder=DecoderConfig(
            **fields,
            n_layers=raw.get("num_decoder_layers") or raw["num_layers"],
            cross=CrossAttention(scale=1.0),
            head=NoHead() if bare else LMHead(scale=scale),
            tie_embeddings=tied,
        ),
        start_token=raw.get("decoder_start_token_id") or 0,
    )


def _write(config: EncoderDecoderConfig) -> dict[str, Any]:
    encoder, decoder = config.encoder, config.decoder
    positions: Any = encoder.positions
    head: Any = decoder.head
    feedforward = name_of(encoder.feedforward, FEEDFORWARDS)
    return {
        "model_type": "t5",
        "architectures": ["T5Model" if head == NoHead() else "T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        **{theirs: getattr(encoder.sizes, ours, None) for ours, theirs in SIZES.items()},
        "vocab_size": encoder.vocab_size,
        "num_layers": encoder.n_layers,
        "num_decoder_layers": decoder.n_layers,
        "relative_attention_num_buckets": positions.n_buckets,
        "relative_attention_max_distance": positions.max_distance,
        "feed_forward_proj": feedforward,
        "is_gated_act": feedforward.startswith("gated-"),
        "dense_act_fn": "gelu_new" if feedforward == "gated-gelu" else feedforward.removeprefix("gated-"),
        "scale_decoder_outputs": head != NoHead() and head.scale is not None,
        "tie_word_embeddings": decoder.tie_embeddings,
        "decoder_start_token_id": config.start_token,
        "pad_token_id": config.start_token,
    }


def _table(config: EncoderDecoderConfig) -> Iterable[Weight]:
    yield weight("encoder.embedding.weight", "shared.weight")
    yield weight("decoder.unembedding.weight", "lm_head.weight")
    gated = config.encoder.feedforward in GATED.values()
    for stack, sublayers in SUBLAYERS.items():
        ours, theirs = f"{stack}.layers.{{layer}}.", f"{stack}.block.{{layer}}.layer."
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        yield weight(f"{stack}.positions.table.weight", bias)
        yield weight(f"{stack}.final_norm.weight", f"{stack}.final_layer_norm.weight")
        for place, (name, their_name) in enumerate(sublayers.items()):
            parts = ATTENTION if name != "feedforward" else GATED_PARTS if gated else PLAIN_PARTS
            yield weight(f"{ours}norms.{name}.weight", f"{theirs}{place}.layer_norm.weight")
            for part, their_part in parts.items():
                their = f"{theirs}{place}.{their_name}.{their_part}.weight"
                yield weight(f"{ours}sublayers.{name}.{part}.weight", their)


FAMILY = Family(
    name="t5",
    read=_read,
    write=_write,
    table=_table,
    embedding="shared.weight",
    head="lm_head.weight",
    # The embedding under other names, and a bias between the stacks that early code stored and never used.
    ignored=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "*EncDecAttention.relative_attention_bias*"),
)
