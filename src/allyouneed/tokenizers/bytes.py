"""Text as its UTF-8 bytes: 256 tokens, nothing to train, nothing that cannot be encoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bytes:
    """Token i is the byte i. `decode` shows bytes that are not UTF-8 (a cut character) as U+FFFD."""

    @property
    def vocab_size(self) -> int:
        return 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8"))

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace")

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "bytes"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Bytes":
        return cls()
