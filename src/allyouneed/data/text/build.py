"""From documents to a corpus: laid end to end in one file, which is mapped, not read."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from allyouneed.data.cache import atomic_file, atomic_write, make_folder
from allyouneed.data.documents import SPLITS, Document, content_version, in_splits, without_repeats
from allyouneed.data.text.corpus import Corpus, Text
from allyouneed.tokenizers.bytes import Bytes

END_OF_DOCUMENT = b"\0"


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
