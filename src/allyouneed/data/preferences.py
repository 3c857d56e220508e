"""Preferences: a prompt and two answers to it, of which people (or somebody) preferred one. Files, and a public set.

A line of JSON for each pair, with texts or messages:

    {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}
    {"prompt": [{"role": "user", "content": "Hi"}], "chosen": "Hello!", "rejected": "What?"}

After a prompt of messages an answer is a text or a list of one message, the assistant's.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from allyouneed.data import registry
from allyouneed.data.json_lines import json_lines, parsed_lines
from allyouneed.errors import UserError

_FORM = '{"prompt": ..., "chosen": ..., "rejected": ...}'
_ASSISTANT = "\n\nAssistant:"  # how hh-rlhf begins each answer
_TUNE, _TEST = 70, 80  # percent of the hashes at which these splits begin: few pairs to learn from, many for a verdict


@dataclass(frozen=True)
class PreferencePair:
    """`chosen` was preferred to `rejected` as the answer to `prompt`, which is a text or a list of messages."""

    prompt: str | list[dict[str, Any]]
    chosen: str
    rejected: str

    @property
    def chats(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The preferred conversation and the other, in the forms of `tokenizers.answers`."""
        return self._chat(self.chosen), self._chat(self.rejected)

    @property
    def asked(self) -> str:
        """The prompt as running text."""
        return self.prompt if isinstance(self.prompt, str) else "\n\n".join(m["content"] for m in self.prompt) + "\n\n"

    def _chat(self, answer: str) -> dict[str, Any]:
        if isinstance(self.prompt, str):
            return {"prompt": self.prompt, "completion": answer}
        return {"messages": [*self.prompt, {"role": "assistant", "content": answer}]}


@dataclass(frozen=True, eq=False)
class Preferences:
    """Named pairs in three splits; no conversation begins in two of them."""

    unit: ClassVar[str] = "pairs"  # what the length of a split counts
    least: ClassVar[int] = 8

    name: str
    train: list[PreferencePair]
    tune: list[PreferencePair]
    test: list[PreferencePair]

    @cached_property
    def version(self) -> str:
        """The sha256 (hex) of the content."""
        splits = [[astuple(pair) for pair in split] for split in (self.train, self.tune, self.test)]
        return hashlib.sha256(json.dumps(splits, sort_keys=True).encode()).hexdigest()


def preferences_file(path: Path) -> Preferences:
    """The pairs of a file in splits; see `in_splits`. Raises UserError as `read_preferences` does."""
    return in_splits(path.name, read_preferences(path))


def read_preferences(path: Path) -> list[PreferencePair]:
    """The pairs of a JSONL file, in its order; other keys are left out.

    Raises UserError for a file that cannot be read or holds nothing, and with file and line for what is no pair.
    """
    pairs = [_pair(values, place) for values, place in json_lines(path)]
    if not pairs:
        raise UserError(f"{path} holds no preference; expected lines {_FORM}")
    return pairs


def hh_rlhf() -> Preferences:
    """2,307 dialogues about harmful wishes, and which of two last answers a person preferred (the held-out part of
    harmless-base; Bai et al., 2022, arXiv:2204.05862). Five whose texts differ before the last answer are left out.

    Downloads what is not here yet. Raises UserError if it cannot be had.
    """
    dataset = registry.find("hh-rlhf")
    path = registry.get_file(dataset, dataset.files[0], progress=True)
    return in_splits("hh-rlhf", _dialogues(gzip.decompress(path.read_bytes()), path.name))


def in_splits(name: str, pairs: Iterable[PreferencePair]) -> Preferences:
    """About 70 % train, 10 % tune and 20 % test, by the hash of how the conversation begins; a repeated pair counts
    once. Pairs that begin alike share a split, and stay there when others come or go."""
    splits: dict[str, list[PreferencePair]] = {"train": [], "tune": [], "test": []}
    for pair in {json.dumps(astuple(pair)): pair for pair in pairs}.values():
        splits[_split(_beginning(pair.prompt))].append(pair)
    return Preferences(name, **splits)


def _split(text: str) -> str:
    percent = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") % 100
    return "train" if percent < _TUNE else "tune" if percent < _TEST else "test"


def _beginning(prompt: str | list[dict[str, Any]]) -> str:
    """What one side has said first."""
    return prompt.partition(_ASSISTANT)[0] if isinstance(prompt, str) else str(prompt[0].get("content"))


def _dialogues(content: bytes, name: str) -> Iterable[PreferencePair]:
    """hh-rlhf writes both conversations out whole; the prompt is what they share, up to the last answer."""
    for values, _ in parsed_lines(content, name):
        ends = [values[key].rfind(_ASSISTANT) + len(_ASSISTANT) for key in ("chosen", "rejected")]
        prompts = [values[key][:end] for key, end in zip(("chosen", "rejected"), ends)]
        if prompts[0] == prompts[1]:
            yield PreferencePair(prompts[0], values["chosen"][ends[0] :], values["rejected"][ends[1] :])


def _pair(values: dict[str, Any], place: str) -> PreferencePair:
    missing = [key for key in ("prompt", "chosen", "rejected") if key not in values]
    if missing:
        raise UserError(f"{place}: there is no {' and no '.join(missing)}; expected {_FORM}")
    prompt = values["prompt"]
    if isinstance(prompt, list):
        _check_messages(prompt, place)
    elif not isinstance(prompt, str) or not prompt:
        raise UserError(f"{place}: the prompt must be a text or a list of messages, and not empty")
    chosen, rejected = (_answer(values[key], key, isinstance(prompt, list), place) for key in ("chosen", "rejected"))
    if chosen == rejected:
        raise UserError(f"{place}: chosen and rejected are the same text, which prefers nothing")
    return PreferencePair(prompt, chosen, rejected)


def _answer(value: Any, key: str, to_messages: bool, place: str) -> str:
    if to_messages and isinstance(value, list):
        if len(value) != 1 or not isinstance(value[0], dict) or value[0].get("role") != "assistant":
            raise UserError(f"{place}: {key} must be a text or one message, the assistant's")
        value = value[0].get("content")
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place}: {key} must be a text that is not empty")
    return value


def _check_messages(messages: list[Any], place: str) -> None:
    if not messages:
        raise UserError(f"{place}: the prompt has no message")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UserError(f"{place}: message {number} of the prompt has no role")
        if not isinstance(message.get("content"), str):
            raise UserError(f"{place}: message {number} of the prompt ({message['role']}) has no text under content")
    if messages[-1]["role"] == "assistant":
        raise UserError(f"{place}: the prompt ends with the assistant's message; the answers are chosen and rejected")
