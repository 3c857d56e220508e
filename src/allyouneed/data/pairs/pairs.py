"""Sentences with their translations, in three splits: what a study of translation reads."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Named pairs (source, target) in three splits. The built-in ones share no source; published data may, by a few.

    `groups` may label every pair of a split ("5 digits"), so that a report can tell kinds of pairs apart; the keys
    are the names of the splits it labels.
    """

    unit: ClassVar[str] = "pairs"  # what the length of a split counts
    least: ClassVar[int] = 64  # of them in a split

    name: str
    train: list[Pair]
    tune: list[Pair]
    test: list[Pair]
    groups: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """The sha256 (hex) of the content."""
        content = json.dumps([self.train, self.tune, self.test, self.groups], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
