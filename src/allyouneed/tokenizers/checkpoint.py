"""The tokenizer of a real checkpoint: its vocabulary, the tokens that mean something, and how it writes a chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from allyouneed.errors import UserError
from allyouneed.tokenizers.hf import Pretrained
from allyouneed.tokenizers.incremental import Incremental
from allyouneed.tokenizers.sentencepiece import SentencePiece


@dataclass(frozen=True)
class CheckpointTokenizer:
    """`special_tokens` are ids by role (bos, eos, unk, sep, pad, cls, mask, as far as it has them), `eos_ids` all
    tokens that end an answer, `chat_templates` Jinja templates by name, `source` where it came from.

    Names of special tokens are found in a text too, so text from others can contain them: `"<s>"` is the token.
    """

    vocabulary: Pretrained | SentencePiece
    special_tokens: Mapping[str, int]
    eos_ids: tuple[int, ...]
    chat_templates: Mapping[str, str]
    source: str

    @property
    def vocab_size(self) -> int:
        """Added tokens included. The model's embedding may have more rows."""
        return self.vocabulary.vocab_size

    def encode(self, text: str, special: bool = False) -> list[int]:
        """With `special`, also what the model expects around a text: <s> of Llama, [CLS] and [SEP] of BERT, </s> of
        T5. Not for what `chat` wrote: that has them already.

        Half a surrogate pair is not Unicode text (JSON and file names can bring one): it counts as U+FFFD.
        """
        return self.vocabulary.encode(_whole_characters(text), special)

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        return self.vocabulary.decode(ids, skip_special)

    def incremental(self, skip_special: bool = True) -> Incremental:
        """The text of tokens as they come: `push(token)` for each, then `finish()`."""
        return Incremental(partial(self.decode, skip_special=skip_special), self.vocabulary.byte_tokens)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        template: str | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The text of a conversation, `[{"role": "user", "content": "Hi"}, ...]`, up to where the model's answer
        begins. `template` is a name (default: "default", or "tool_use" if there are `tools` and it is there);
        `variables` are what the template may know besides, such as `tools`.

        Raises UserError if there is no such template, no message, or the template refuses.
        """
        from allyouneed.tokenizers.chat import render  # Jinja is imported where it is used

        if not messages:
            raise UserError("a chat needs at least one message")
        names = {f"{role}_token": self.vocabulary.name(i) for role, i in self.special_tokens.items()}
        known = {
            "messages": [{key: value for key, value in message.items() if value is not None} for message in messages],
            "add_generation_prompt": add_generation_prompt,
            "tools": None,
            "documents": None,
        }
        usual = "tool_use" if variables.get("tools") and "tool_use" in self.chat_templates else "default"
        return render(self._template(template or usual), {**known, **names, **variables}, self.source)

    def _template(self, name: str) -> str:
        if not self.chat_templates:
            raise UserError(
                f"{self.source} has no chat template: it would stand in chat_template.jinja, or as chat_template in "
                "tokenizer_config.json"
            )
        if name not in self.chat_templates:
            raise UserError(f"{self.source} has no chat template {name!r}, only {', '.join(self.chat_templates)}")
        return self.chat_templates[name]

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "checkpoint",
            "vocabulary": self.vocabulary.to_dict(),
            "special_tokens": dict(self.special_tokens),
            "eos_ids": list(self.eos_ids),
            "chat_templates": dict(self.chat_templates),
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CheckpointTokenizer":
        kind = SentencePiece if values["vocabulary"]["kind"] == "sentencepiece" else Pretrained
        vocabulary = kind.from_dict(values["vocabulary"])
        rest = (values[name] for name in ("chat_templates", "source"))
        return cls(vocabulary, values["special_tokens"], tuple(values["eos_ids"]), *rest)


def _whole_characters(text: str) -> str:
    """Surrogate pairs become the character that they spell, and half of one U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
