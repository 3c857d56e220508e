"""Real vocabularies: the tokenizers of Hugging Face's `tokenizers` package (extra "tokenizers")."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError, require
from allyouneed.tokenizers.added import AddedToken


class Pretrained:
    """A tokenizer as a `tokenizer.json` describes it. Unless asked to, it adds no special tokens when encoding and
    skips none in decoding.

    `description` is that file's text; `added` are tokens to recognise besides those that it names. Where the file
    tells to cut or pad texts, that is left aside. Raises MissingExtra without the `tokenizers` package, UserError if
    the text does not describe a tokenizer or an added token cannot have its id.
    """

    def __init__(self, description: str, added: Sequence[AddedToken] = ()) -> None:
        package = require("tokenizers", "tokenizers")
        try:
            self._tokenizer = package.Tokenizer.from_str(description)
        except Exception as error:  # the package raises bare Exception
            raise UserError(f"this is not a tokenizer.json: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        known = {token.content for token in self._tokenizer.get_added_tokens_decoder().values()}
        for token in sorted(added, key=lambda token: token.index or 0):
            if token.text not in known and (token.index is not None or self.index(token.text) is not None):
                self._add(package, token)
                known.add(token.text)

    def _add(self, package: Any, token: AddedToken) -> None:
        flags = {name: getattr(token, name) for name in ("special", "lstrip", "rstrip", "normalized")}
        self._tokenizer.add_tokens([package.AddedToken(token.text, **flags)])
        if token.index not in (None, self.index(token.text)):
            raise UserError(
                f"the added token {token.text!r} should have the id {token.index} but gets {self.index(token.text)}: "
                "the vocabulary is not the one that it was added to"
            )

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

    @cached_property
    def byte_tokens(self) -> frozenset[int]:
        """The tokens that stand for one byte of a character that the vocabulary does not have: `<0x00>` to `<0xFF>`."""
        ids = (self.index(f"<0x{byte:02X}>") for byte in range(256))
        return frozenset(i for i in ids if i is not None)

    def index(self, token: str) -> int | None:
        """The id of a token by its name in the vocabulary."""
        return self._tokenizer.token_to_id(token)

    def name(self, index: int) -> str | None:
        return self._tokenizer.id_to_token(index)

    def encode(self, text: str, special: bool = False) -> list[int]:
        """With `special`, also what the checkpoint's model expects around a text: its post-processor's tokens."""
        return self._tokenizer.encode(text, add_special_tokens=special).ids

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "pretrained", "description": self._tokenizer.to_str()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Pretrained":
        return cls(values["description"])
