"""qwen2: Llama's shape with biases on queries, keys and values (Yang et al., arXiv:2407.10671); some layers may have
a window."""

from collections.abc import Collection
from typing import Any

from allyouneed.blocks import Attention
from allyouneed.models.config import DecoderConfig
from allyouneed.models.families._windows import read_windows, write_windows
from allyouneed.models.families.llama import DEFAULTS, LAYOUT, read_config, write_config
from allyouneed.models.family import Family, Raw


def _read(raw: Raw, names: Collection[str]) -> DecoderConfig:
    mixer = read_windows(raw, Attention(bias=True, out_bias=False))
    defaults = DEFAULTS | {"max_position_embeddings": 32768}
    return read_config({"num_key_value_heads": 32, **raw}, mixer, defaults)


def _write(config: DecoderConfig) -> dict[str, Any]:
    _, windows = write_windows(config)
    return write_config(config, "Qwen2") | windows


FAMILY = Family(name="qwen2", read=_read, write=_write, **LAYOUT)
