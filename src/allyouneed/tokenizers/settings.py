"""What the JSON files beside a checkpoint's vocabulary say: names of special tokens, added tokens, chat templates."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.tokenizers.added import AddedToken

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")

FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
)


@dataclass(frozen=True)
class Settings:
    """`config` is tokenizer_config.json, completed by special_tokens_map.json where that still counts: not beside
    `added_tokens_decoder`, which newer checkpoints have instead. `family` is whose tokenizer it says it is
    ("gpt2", "llama", ...; "" if nothing says so), `ends` the ids at which generation_config.json stops."""

    folder: Path
    config: Mapping[str, Any]
    family: str
    ends: tuple[int, ...]

    @classmethod
    def read(cls, folder: Path) -> "Settings":
        """Raises UserError, which names the file, for one that is not a JSON object."""
        config = _object(folder / "tokenizer_config.json")
        if "added_tokens_decoder" not in config:
            config |= _object(folder / "special_tokens_map.json")
            config["added_tokens"] = _object(folder / "added_tokens.json")
        ends = _object(folder / "generation_config.json").get("eos_token_id")
        ends = ends if isinstance(ends, list) else [ends]
        return cls(folder, config, _family(folder, config), tuple(i for i in ends if i is not None))

    def roles(self, usual: Mapping[str, str]) -> dict[str, str]:
        """The special token of every role; the family's `usual` ones where the files do not name another or none."""
        named = {role: self.config[f"{role}_token"] for role in ROLES if f"{role}_token" in self.config}
        return {role: _text(token) for role, token in {**usual, **named}.items() if token}

    def added(self, roles: Mapping[str, str]) -> list[AddedToken]:
        """All added tokens, each once. Those with a role and the additional special tokens are special."""
        further = [self.config.get(f"{kind}_special_tokens") or [] for kind in ("additional", "extra")]
        special = {*roles.values(), *(_text(token) for tokens in further for token in _values(tokens))}
        tokens = [_added(token, int(i)) for i, token in self.config.get("added_tokens_decoder", {}).items()]
        for text, i in self.config.get("added_tokens", {}).items():
            tokens.append(AddedToken(text, i, special=text in special, normalized=text not in special))
        there = {token.text for token in tokens}
        return [*tokens, *(AddedToken(text) for text in sorted(special - there))]

    def chat_templates(self) -> dict[str, str]:
        """Templates by name; the usual one is "default"."""
        folder = self.folder
        found = self.config.get("chat_template") or _object(folder / "chat_template.json").get("chat_template") or {}
        if isinstance(found, str):
            found = {"default": found}
        elif isinstance(found, list):
            found = {each["name"]: each["template"] for each in found}
        files = {"default": folder / "chat_template.jinja"} if (folder / "chat_template.jinja").is_file() else {}
        files |= {path.stem: path for path in sorted(folder.glob("additional_chat_templates/*.jinja"))}
        return {**found, **{name: read_text(path) for name, path in files.items()}}


def read_text(path: Path) -> str:
    """A UTF-8 file. Raises UserError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _object(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty if there is no file."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold a JSON object, not {type(values).__name__}")
    return values


def _family(folder: Path, config: Mapping[str, Any]) -> str:
    named = (config.get("tokenizer_class") or "").removesuffix("Fast").removesuffix("Tokenizer").lower()
    if named in ("", "pretrained", "tokenizersbackend"):  # classes of no family
        named = _object(folder / "config.json").get("model_type") or ""
    return named


def _values(tokens: Any) -> Iterable[Any]:
    """Special tokens without a role come as a list, or by names of their own."""
    return tokens.values() if isinstance(tokens, dict) else tokens


def _text(token: Any) -> str:
    return token["content"] if isinstance(token, dict) else token


def _added(token: Mapping[str, Any], index: int) -> AddedToken:
    flags = {name: bool(token.get(name)) for name in ("special", "lstrip", "rstrip", "normalized")}
    return AddedToken(token["content"], index, **flags)
