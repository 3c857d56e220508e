"""From documents to a corpus: drop repeats, split by document, lay end to end in one file that is mapped, not read.

A document goes to the split that the hash of its path says, so it stays there when others come or go.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from allyouneed.data.cache import atomic_file, atomic_write, make_folder
from allyouneed.data.corpus import Corpus, Text
from allyouneed.tokenizers.bytes import Bytes

SPLITS = ("train", "tune", "test")
END_OF_DOCUMENT = b"\0"


class Document(NamedTuple):
    """A text and where it comes from. Documents of one `file` always share a split."""

    file: str
    part: str
    content: bytes


def split_of(file: str) -> str:
    """The split of a file by the hash of its path: 90 % train, 5 % tune, 5 % test."""
    percent = int.from_bytes(hashlib.sha256(file.encode()).digest()[:8], "big") % 100
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


def joined(contents: list[bytes]) -> bytes:
    """Contents end to end, byte 0 after each."""
    return b"".join(content + END_OF_DOCUMENT for content in contents)


def built_corpus(folder: Path, name: str, key: dict[str, Any], documents: Callable[[], Iterable[Document]]) -> Corpus:
    """The corpus that was built in `folder` under `name` and `key`, or is built now from what `documents()` yields.

    The key holds all that decides the text. Processes that ask at once build it once; one that is killed leaves
    nothing that would be taken for a corpus.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    stem = make_folder(folder) / f"{name}-{digest}"
    record = _record(stem)
    if record is None:
        with FileLock(f"{stem}.lock"):
            record = _record(stem) or _build(stem, name, key, list(without_repeats(documents())))
    return _mapped(stem, name, record["version"], tuple(record["sizes"][split] for split in SPLITS))


def _record(stem: Path) -> dict[str, Any] | None:
    """What is recorded of a built corpus; None if it is not there whole."""
    try:
        record = json.loads(Path(f"{stem}.json").read_bytes())
        whole = Path(f"{stem}.bin").stat().st_size == sum(record["sizes"][split] for split in SPLITS)
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return record if whole else None


def _build(stem: Path, name: str, key: dict[str, Any], documents: list[Document]) -> dict[str, Any]:
    """Write both files, the record last: where it is, the text is."""
    sizes = {}
    with atomic_file(Path(f"{stem}.bin")) as file:
        for split, contents in in_splits(documents).items():
            sizes[split] = file.write(joined(contents))
    record = {"name": name, "key": key, "version": content_version(documents), "sizes": sizes}
    atomic_write(Path(f"{stem}.json"), json.dumps(record, indent=2).encode())
    return record


@lru_cache(maxsize=16)  # so that what a corpus knows of itself, such as its trigram loss, is computed once
def _mapped(stem: Path, name: str, version: str, sizes: tuple[int, ...]) -> Corpus:
    tokens = np.memmap(f"{stem}.bin", dtype=np.uint8, mode="r")
    train, tune, test = np.split(tokens, np.cumsum(sizes)[:-1])
    return Corpus(name, version, Text(train), Text(tune), Text(test), Bytes())
