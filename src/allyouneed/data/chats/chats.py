"""Conversations to learn answers from, in three splits."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

Chat = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Chats:
    """Named conversations in three splits; each is an object as a line of `files` has it."""

    unit: ClassVar[str] = "chats"  # what the length of a split counts
    least: ClassVar[int] = 1

    name: str
    train: list[Chat]
    tune: list[Chat]
    test: list[Chat]

    @cached_property
    def version(self) -> str:
        """The sha256 (hex) of the content."""
        content = json.dumps([self.train, self.tune, self.test], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
