"""The vocabularies of Google's SentencePiece, as Llama 2, Mistral and T5 have them (extra "sentencepiece").

Kudo and Richardson, 2018, arXiv:1808.06226. Text becomes pieces in which U+2581 stands for a space; most models put
one more space before the text, and those with byte fallback spell unknown characters in bytes. The package does the
cutting; here stands what checkpoints add to it: tokens found in the text as a whole, and tokens around it.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from allyouneed.errors import UserError, require
from allyouneed.tokenizers.added import AddedToken

SPACE = "\u2581"

# Protocol buffers that follow one another are one message in which the last word counts. This one says
# `normalizer_spec { add_dummy_prefix: false }`.
_NO_SPACE_BEFORE = b"\x1a\x02\x18\x00"


class SentencePiece:
    """The pieces of a `tokenizer.model`, whose content is `model`, and `added` tokens.

    Control pieces (`<s>`) and the unknown piece are found in a text too, as the tokens that they name. `before` and
    `after` are the tokens around a text that `encode(special=True)` adds. `spaced_parts`: the model's space is put
    before each part between added tokens, not only before the text's beginning (the older behaviour, "legacy").

    Raises MissingExtra without the package, UserError if `model` is none.
    """

    def __init__(
        self,
        model: bytes,
        added: Sequence[AddedToken] = (),
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        spaced_parts: bool = False,
    ) -> None:
        self._values = {"added": [asdict(token) for token in added], "before": list(before), "after": list(after)}
        self._content, self._spaced_parts = model, spaced_parts
        self._first = self._later = _processor(model)
        self._puts_space = self._first.normalize("a").startswith(SPACE)
        if self._puts_space and not spaced_parts:
            self._later = _processor(model + _NO_SPACE_BEFORE)
        own = [AddedToken(self._first.id_to_piece(i)) for i in range(len(self._first)) if self._is_special(i)]
        ids = {token: self._piece(token.text) if token.index is None else token.index for token in (*own, *added)}
        self._added = {token.text: (token, i) for token, i in ids.items() if i is not None}
        self._names = {i: text for text, (_, i) in self._added.items()}
        self._special = {i for token, i in self._added.values() if token.special}
        self._before, self._after = ([self._id(name) for name in names] for names in (before, after))

    def _is_special(self, index: int) -> bool:
        return self._first.is_control(index) or self._first.is_unknown(index)

    def _piece(self, text: str) -> int | None:
        index = self._first.piece_to_id(text)
        return index if self._first.id_to_piece(index) == text else None

    def _id(self, name: str) -> int:
        index = self.index(name)
        if index is None:
            raise UserError(f"the vocabulary has no token {name!r}")
        return index

    @property
    def n_pieces(self) -> int:
        """Without added tokens."""
        return len(self._first)

    @property
    def vocab_size(self) -> int:
        return max(len(self._first), *(i + 1 for i in self._names))

    @property
    def roles(self) -> dict[str, str]:
        """The names of the pieces that the model itself gives a role: bos, eos, unk, pad."""
        ids = {role: getattr(self._first, f"{role}_id")() for role in ("bos", "eos", "unk", "pad")}
        return {role: self._first.id_to_piece(i) for role, i in ids.items() if i >= 0}

    @property
    def byte_tokens(self) -> frozenset[int]:
        """None: bytes are decoded one character at a time, so a later byte changes no complete character."""
        return frozenset()

    def index(self, token: str) -> int | None:
        """The id of a token by its name in the vocabulary."""
        return self._added[token][1] if token in self._added else self._piece(token)

    def name(self, index: int) -> str | None:
        if index in self._names:
            return self._names[index]
        return self._first.id_to_piece(index) if 0 <= index < len(self._first) else None

    def encode(self, text: str, special: bool = False) -> list[int]:
        """With `special`, also what the checkpoint's model expects around a text."""
        ids = [i for part in self._parts(text) for i in part]
        return [*self._before, *ids, *self._after] if special else ids

    def _parts(self, text: str) -> Iterator[list[int]]:
        end = 0
        for found in self._pattern.finditer(text):
            yield self._pieces(text, end, found.start())
            yield [self._added[found.group(found.lastindex or 0)][1]]
            end = found.end()
        yield self._pieces(text, end, len(text))

    def _pieces(self, text: str, start: int, end: int) -> list[int]:
        return (self._later if start else self._first).encode(text[start:end])

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Any added token, as one group; of two that begin at one place the longer. Where no token can begin, a look
        at one character says so: T5 has a hundred of them."""
        tokens = sorted((token for token, _ in self._added.values()), key=lambda token: -len(token.text))
        around = {False: "", True: r"\s*"}
        any_of = "|".join(f"{around[token.lstrip]}({re.escape(token.text)}){around[token.rstrip]}" for token in tokens)
        first = re.escape("".join({token.text[0] for token in tokens})) + r"\s" * any(token.lstrip for token in tokens)
        return re.compile(f"(?=[{first}])(?:{any_of})")

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        """Added tokens appear by name. Every byte that is part of no character is one U+FFFD; an id outside the
        vocabulary, such as a padded embedding has, is no text."""
        spelled = b"".join(self._bytes(i) for i in ids if not (skip_special and i in self._special))
        text = re.sub("[\udc80-\udcff]", "\ufffd", spelled.decode(errors="surrogateescape"))
        return text.removeprefix(" ") if self._puts_space else text

    def _bytes(self, index: int) -> bytes:
        if index in self._names:
            return self._names[index].encode()
        if not 0 <= index < len(self._first):
            return b""
        piece = self._first.id_to_piece(index)
        return bytes([int(piece[3:5], 16)]) if self._first.is_byte(index) else piece.replace(SPACE, " ").encode()

    def to_dict(self) -> dict[str, Any]:
        model = base64.b64encode(self._content).decode()
        return {"kind": "sentencepiece", "model": model, "spaced_parts": self._spaced_parts, **self._values}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SentencePiece":
        added = [AddedToken(**token) for token in values["added"]]
        model = base64.b64decode(values["model"])
        return cls(model, added, values["before"], values["after"], values["spaced_parts"])


def _processor(model: bytes) -> Any:
    package = require("sentencepiece", "sentencepiece")
    if not model:  # The package takes it for a model without pieces.
        raise UserError("this is not a SentencePiece model: it is empty")
    try:
        return package.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise UserError(f"this is not a SentencePiece model: {error}") from error
