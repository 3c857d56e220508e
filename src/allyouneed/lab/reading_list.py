"""The reading list: every item of the five lists that the papers come from, built here or not.

It is package data, `papers/reading_list.toml`, in the order of the lists. What a user has read of it is theirs, and
kept elsewhere (see `progress`).
"""

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

NAME = "reading_list.toml"
LISTS = ("top-ten-a", "top-ten-b", "paper-research", "reading-list", "read-recently")

_ARXIV = re.compile(r"^(?:https?://arxiv\.org/(?:abs|pdf)/|arxiv:)?(\d{4}\.\d{4,5})(?:v\d+)?(?:\.pdf)?$", re.IGNORECASE)
_FIELDS = {"kind", "title", "by", "url", "lists"}


class Kind(StrEnum):
    """What an item is."""

    PAPER = "paper"
    ARTICLE = "article"
    COURSE = "course"
    TOOL = "tool"
    LIST = "list"
    ORGANISATION = "organisation"


@dataclass(frozen=True)
class Item:
    """One item. `key` is the slug that its paper has or will have; `by` and `url` are empty where none is known."""

    key: str
    kind: Kind
    title: str
    by: str
    url: str
    lists: tuple[str, ...]

    @property
    def arxiv(self) -> str | None:
        """The arXiv id in the url; None if it leads elsewhere."""
        return arxiv_id(self.url)


def read_items(file: Path) -> dict[str, Item]:
    """The items of a reading list by key, in its order.

    Raises ValueError, with the key, for a kind or list that there is not, a url that is none, a missing or unknown
    field; and for a key that stands twice, with its line.
    """
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return {key: _item(key, table) for key, table in tables.items()}


def arxiv_id(text: str) -> str | None:
    """`2104.09864` from the id, `arXiv:2104.09864v5` or a link to it; None if the text is nothing of the kind."""
    match = _ARXIV.match(text.strip())
    return match[1] if match else None


def _item(key: str, table: dict[str, Any]) -> Item:
    if unknown := table.keys() - _FIELDS:
        raise ValueError(f"{key} on the reading list has unknown fields: {', '.join(sorted(unknown))}")
    if not (key.isidentifier() and table.get("title") and table.get("lists")):
        raise ValueError(f"{key} on the reading list needs an identifier as its key, a title and its lists")
    if table.get("kind") not in list(Kind):
        raise ValueError(f"{key} on the reading list has no kind of {', '.join(Kind)}")
    if not set(table["lists"]) <= set(LISTS):
        raise ValueError(f"{key} on the reading list names a list that is none of {', '.join(LISTS)}")
    if not re.match(r"https?://[^\s/]+|$", table.get("url", "")):
        raise ValueError(f"{key} on the reading list has a url that is no http address")
    return Item(
        key, Kind(table["kind"]), table["title"], table.get("by", ""), table.get("url", ""), tuple(table["lists"])
    )
