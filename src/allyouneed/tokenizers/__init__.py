"""Text to token ids and back. Every tokenizer can be written as JSON and read again with `from_dict`."""

from typing import Any

from allyouneed.tokenizers.bytes import Bytes as Bytes
from allyouneed.tokenizers.characters import Characters as Characters
from allyouneed.tokenizers.hf import Pretrained as Pretrained
from allyouneed.tokenizers.protocol import Tokenizer as Tokenizer

__all__ = ["Bytes", "Characters", "Pretrained", "Tokenizer", "from_dict"]

_KINDS: dict[str, type[Bytes] | type[Characters] | type[Pretrained]] = {
    "bytes": Bytes,
    "characters": Characters,
    "pretrained": Pretrained,
}


def from_dict(values: dict[str, Any]) -> Tokenizer:
    """The tokenizer that gave `values` by `to_dict`. Raises ValueError for a kind that does not exist."""
    kind = values.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"no tokenizer is of kind {kind!r}; known kinds: {', '.join(_KINDS)}")
    return _KINDS[kind].from_dict(values)
