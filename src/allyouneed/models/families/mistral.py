"""mistral: Llama's shape with a window (Jiang et al., arXiv:2310.06825); later releases have none."""

from collections.abc import Collection
from typing import Any

from allyouneed.blocks import Attention
from allyouneed.models.config import DecoderConfig
from allyouneed.models.families.llama import DEFAULTS, LAYOUT, read_config, write_config
from allyouneed.models.family import Family, Raw


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    window = raw.get("sliding_window", 4096)
    defaults = DEFAULTS | {"max_position_embeddings": 4096 * 32}
    return read_config({"num_key_value_heads": 8, **raw}, Attention(window=window), defaults)


def _write(config: DecoderConfig) -> dict[str, Any]:
    mixer: Any = config.mixer
    return write_config(config, "Mistral") | {"sliding_window": mixer.window}


FAMILY = Family(name="mistral", read=_read, write=_write, **LAYOUT)
