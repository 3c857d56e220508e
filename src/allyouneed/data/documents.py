"""Documents: each text once, and every one in the split that the hash of its place says.

So a document stays in its split when others come or go.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SPLITS = ("train", "tune", "test")


class Document(NamedTuple):
    """A text and where it comes from. Documents of one `file` always share a split."""

    file: str
    part: str
    content: bytes


def percent_of(text: str) -> int:
    """A number from 0 to 99 that is a text's own: what decides its split."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") % 100


def split_of(file: str) -> str:
    """The split of a file by the hash of its path: 90 % train, 5 % tune, 5 % test."""
    percent = percent_of(file)
    if percent < 90:
        return "train"
    return "tune" if percent < 95 else "test"


def without_repeats(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents in order, each content only where it occurs first, empty ones not at all."""
    seen = set()
    for document in documents:
        digest = hashlib.sha256(document.content).digest()
        if document.content.strip() and digest not in seen:
            seen.add(digest)
            yield document


def content_version(documents: Iterable[Document]) -> str:
    """The sha256 (hex) over path and content of the documents in their order."""
    total = hashlib.sha256()
    for document in documents:
        total.update(f"{document.file}:{document.part}\n".encode())
        total.update(hashlib.sha256(document.content).digest())
    return total.hexdigest()


def in_splits(documents: Iterable[Document]) -> dict[str, list[bytes]]:
    """The contents of each split."""
    contents: dict[str, list[bytes]] = {split: [] for split in SPLITS}
    for document in documents:
        contents[split_of(document.file)].append(document.content)
    return contents
