"""vit: Dosovitskiy et al., arXiv:2010.11929.

Patches and a class token, learned positions, norms in front of each sublayer, exact GELU. Read with its classifier or
without one, and with its pooler where there is one (which classification does not use). Written with the names that
published checkpoints have; those of transformers' own modules are read as well. Dropout of attention weights and the
decoder for masked patches have no counterpart here.
"""

from collections.abc import Collection, Iterable
from typing import Any

from allyouneed.blocks import Attention, FirstTokenPooler, Learned, LMHead, NoHead, Patches
from allyouneed.errors import UserError
from allyouneed.models.families.gpt2 import PLAIN
from allyouneed.models.family import Family, Raw, name_of, named, only, sizes
from allyouneed.models.vision import VisionConfig
from allyouneed.models.weight_table import Shaped, Weight, linear, weight

SIZES = {
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
    "norm_eps": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
}
DEFAULTS = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.0,
}
MIXERS = {True: Attention(bias=True), False: Attention(out_bias=True)}  # by qkv_bias
PARTS = {  # of a layer: ours, as published, as transformers' modules call them
    "norms.mixer": ("layernorm_before", "layernorm_before"),
    "sublayers.mixer.q": ("attention.attention.query", "attention.q_proj"),
    "sublayers.mixer.k": ("attention.attention.key", "attention.k_proj"),
    "sublayers.mixer.v": ("attention.attention.value", "attention.v_proj"),
    "sublayers.mixer.out": ("attention.output.dense", "attention.o_proj"),
    "norms.feedforward": ("layernorm_after", "layernorm_after"),
    "sublayers.feedforward.up": ("intermediate.dense", "mlp.fc1"),
    "sublayers.feedforward.down": ("output.dense", "mlp.fc2"),
}


def _read(raw: Raw, names: Collection[str]) -> VisionConfig:
    only(raw, "qkv_bias", *MIXERS)
    only(raw, "pooler_act", "tanh")
    only(raw, "pooler_output_size", None, raw.get("hidden_size", 768))
    has_head = any(name.startswith("classifier.") for name in names)
    has_pooler = any(name.endswith("pooler.dense.weight") for name in names)
    height, width = _both(raw, "image_size", 224)
    size, other = _both(raw, "patch_size", 16)
    if size != other:
        raise UserError(f"config.json says patch_size = {raw['patch_size']!r}; patches are squares here")
    classes = _classes(raw) if has_head else ("",)
    return VisionConfig(
        **sizes(raw, SIZES, DEFAULTS),
        patches=Patches(size, raw.get("num_channels", 3)),
        height=height,
        width=width,
        vocab_size=len(classes),
        classes=() if all(_is_unnamed(place, name) for place, name in enumerate(classes)) else classes,
        positions=Learned(),
        mixer=MIXERS[raw.get("qkv_bias", True)],
        feedforward=named(raw, "hidden_act", "gelu", PLAIN),
        pooler=FirstTokenPooler() if has_pooler else None,
        head=LMHead(bias=True) if has_head else NoHead(),
    )


def _both(raw: Raw, key: str, default: int) -> tuple[int, int]:
    """Height and width, of one number for both or of two."""
    value = raw.get(key, default)
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


def _classes(raw: Raw) -> tuple[str, ...]:
    """Their names in order; as many as transformers takes where the config has none."""
    labels = {int(place): str(name) for place, name in (raw.get("id2label") or {}).items()}
    n = len(labels) or raw.get("num_labels", 2)
    return tuple(labels.get(place, f"LABEL_{place}") for place in range(n))


def _is_unnamed(place: int, name: str) -> bool:
    return name in ("", f"LABEL_{place}")


def _write(config: VisionConfig) -> dict[str, Any]:
    if config.mixer not in MIXERS.values():
        raise ValueError(f"{config.mixer} has no word here")
    has_head = config.has_head
    labels = config.classes or tuple(f"LABEL_{place}" for place in range(config.vocab_size))
    named_classes = {
        "id2label": {str(place): name for place, name in enumerate(labels)},
        "label2id": {name: place for place, name in enumerate(labels)},
    }
    square = config.height == config.width
    return {
        "model_type": "vit",
        "architectures": ["ViTForImageClassification" if has_head else "ViTModel"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "intermediate_size": config.sizes.d_ff,
        "hidden_act": name_of(config.feedforward, PLAIN),
        "image_size": config.height if square else [config.height, config.width],
        "patch_size": config.patches.size,
        "num_channels": config.patches.channels,
        "qkv_bias": config.mixer == MIXERS[True],
        "attention_probs_dropout_prob": 0.0,
        **(named_classes if has_head else {}),
    }


def _table(config: VisionConfig) -> Iterable[Weight]:
    width, patches, theirs = config.d_model, config.patches, "vit.embeddings."
    square = Shaped((width, patches.channels, patches.size, patches.size))
    yield weight("embedding.class_token", f"{theirs}cls_token", Shaped((1, 1, width)))
    yield weight("embedding.projection.weight", f"{theirs}patch_embeddings.projection.weight", square)
    yield weight("embedding.projection.bias", f"{theirs}patch_embeddings.projection.bias")
    yield weight("positions.table.weight", f"{theirs}position_embeddings", Shaped((1, config.max_seq_len, width)))
    for part, (published, _) in PARTS.items():
        yield from linear(f"layers.{{layer}}.{part}", f"vit.encoder.layer.{{layer}}.{published}")
    yield from linear("final_norm", "vit.layernorm")
    yield from linear("pooler.dense", "vit.pooler.dense")
    yield weight("unembedding.weight", "classifier.weight")
    yield weight("readout.bias", "classifier.bias")


FAMILY = Family(
    name="vit",
    read=_read,
    write=_write,
    table=_table,
    embedding="",
    head="classifier.weight",
    prefix="vit.",
    ignored=("*embeddings.mask_token",),
    renamed={
        rf"layers\.(\d+)\.{module}\.(weight|bias)": rf"encoder.layer.\1.{published}.\2"
        for published, module in PARTS.values()
    },
)
