"""Preferences: a prompt and two answers to it, of which people (or somebody) preferred one, in three splits."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, ClassVar

from allyouneed.data.documents import percent_of

ASSISTANT = "\n\nAssistant:"  # how hh-rlhf begins each answer
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


def in_splits(name: str, pairs: Iterable[PreferencePair]) -> Preferences:
    """About 70 % train, 10 % tune and 20 % test, by the hash of how the conversation begins; a repeated pair counts
    once. Pairs that begin alike share a split, and stay there when others come or go."""
    splits: dict[str, list[PreferencePair]] = {"train": [], "tune": [], "test": []}
    for pair in {json.dumps(astuple(pair)): pair for pair in pairs}.values():
        splits[_split(_beginning(pair.prompt))].append(pair)
    return Preferences(name, **splits)


def _split(text: str) -> str:
    percent = percent_of(text)
    return "train" if percent < _TUNE else "tune" if percent < _TEST else "test"


def _beginning(prompt: str | list[dict[str, Any]]) -> str:
    """What one side has said first."""
    return prompt.partition(ASSISTANT)[0] if isinstance(prompt, str) else str(prompt[0].get("content"))
