"""Text to token ids and back. Every tokenizer can be written as JSON and read again with `from_dict`."""

from collections.abc import Callable
from typing import Any

from allyouneed.tokenizers.bytes import Bytes as Bytes
from allyouneed.tokenizers.characters import Characters as Characters
from allyouneed.tokenizers.checkpoint import CheckpointTokenizer as CheckpointTokenizer
from allyouneed.tokenizers.hf import Pretrained as Pretrained
from allyouneed.tokenizers.incremental import Incremental as Incremental
from allyouneed.tokenizers.loading import copy as copy
from allyouneed.tokenizers.loading import files as files
from allyouneed.tokenizers.loading import load as load
from allyouneed.tokenizers.protocol import Tokenizer as Tokenizer
from allyouneed.tokenizers.sentencepiece import SentencePiece as SentencePiece

__all__ = [
    "Bytes",
    "Characters",
    "CheckpointTokenizer",
    "Incremental",
    "Pretrained",
    "SentencePiece",
    "Tokenizer",
    "copy",
    "files",
    "from_dict",
    "load",
]

_KINDS: dict[str, Callable[[dict[str, Any]], Tokenizer]] = {
    "bytes": Bytes.from_dict,
    "characters": Characters.from_dict,
    "checkpoint": CheckpointTokenizer.from_dict,
    "pretrained": Pretrained.from_dict,
    "sentencepiece": SentencePiece.from_dict,
}


def from_dict(values: dict[str, Any]) -> Tokenizer:
    """The tokenizer that gave `values` by `to_dict`. Raises ValueError for a kind that does not exist."""
    kind = values.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"no tokenizer is of kind {kind!r}; known kinds: {', '.join(_KINDS)}")
    return _KINDS[kind](values)
