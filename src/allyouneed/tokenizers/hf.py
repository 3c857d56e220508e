"""Real vocabularies: the tokenizers of Hugging Face's `tokenizers` package (extra "tokenizers")."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError, require


class Pretrained:
    """A tokenizer as a `tokenizer.json` describes it. Adds no special tokens when encoding, skips none in decoding.

    `description` is that file's text. Raises MissingExtra without the `tokenizers` package, UserError if the text
    does not describe a tokenizer.
    """

    def __init__(self, description: str) -> None:
        package = require("tokenizers", "tokenizers")
        try:
            self._tokenizer = package.Tokenizer.from_str(description)
        except Exception as error:  # the package raises bare Exception
            raise UserError(f"this is not a tokenizer.json: {error}") from error

    @classmethod
    def from_file(cls, path: Path) -> "Pretrained":
        """The tokenizer in a `tokenizer.json`."""
        try:
            return cls(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {error}") from error

    @property
    def vocab_size(self) -> int:
        """Added tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "pretrained", "description": self._tokenizer.to_str()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Pretrained":
        return cls(values["description"])
