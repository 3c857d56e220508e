"""qwen3: Llama's shape with every head's queries and keys normalised (Yang et al., arXiv:2505.09388).

head_dim is a size of its own; some layers may have a window.
"""

from collections.abc import Collection
from typing import Any

from allyouneed.blocks import Attention, RMSNorm
from allyouneed.models.config import DecoderConfig
from allyouneed.models.families._windows import read_windows, write_windows
from allyouneed.models.families.llama import DEFAULTS, LAYOUT, read_config, write_config
from allyouneed.models.family import Family, Raw


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    raw = {"head_dim": 128, "num_key_value_heads": 32, **raw}
    plain = Attention(bias=raw.get("attention_bias", False), qk_norm=RMSNorm())
    defaults = DEFAULTS | {"max_position_embeddings": 32768}
    return read_config(raw, read_windows(raw, plain), defaults)


def _write(config: DecoderConfig) -> dict[str, Any]:
    first, windows = write_windows(config)
    return write_config(config, "Qwen3") | {"attention_bias": first.bias} | windows


FAMILY = Family(name="qwen3", read=_read, write=_write, **LAYOUT)
