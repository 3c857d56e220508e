"""A folder of documents indexed in a folder of its own: passages, word counts and vectors, kept between searches.

`index.json` names the files that belong together, each of them by its content's hash; it is replaced last and at once,
so that whoever is interrupted, and however, leaves either the index that was there or the new one. Bringing it up to
date cuts all documents anew, which is quick, and encodes only passages that it has no vector of.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load, save

from allyouneed.data.cache import atomic_write, make_folder
from allyouneed.data.passages.cutting import Cut, as_text, cut
from allyouneed.errors import UserError
from allyouneed.retrieval.bm25 import BM25, WordCounts
from allyouneed.retrieval.dense import DenseRetriever, Encode
from allyouneed.retrieval.hits import Retriever
from allyouneed.retrieval.hybrid import Hybrid
from allyouneed.retrieval.index import exact_index

FORMAT = 1
MANIFEST = "index.json"
UNFINISHED = "unfinished.safetensors"  # vectors of an update that was interrupted
PARTS = ("passages", "vocabulary", "words", "vectors")
RETRIEVERS = ("bm25", "dense", "hybrid")
SAVE_SECONDS = 30.0  # between two savings of what is encoded
_SHARE = 128  # passages encoded at once

Vectors = Float[np.ndarray, "passages channels"]


@dataclass(frozen=True)
class Model:
    """What made the vectors: how users name it, and the version of its files."""

    name: str
    version: str


@dataclass(frozen=True)
class Change:
    """What an update found: numbers of files, of passages, and of those that had to be encoded."""

    new: int
    changed: int
    deleted: int
    unchanged: int
    passages: int
    encoded: int


@dataclass(frozen=True)
class Stored:
    """An index as it lies in its folder."""

    documents: str
    retriever: str
    model: Model | None
    files: dict[str, str]
    passages: list[Cut]
    counts: WordCounts
    vectors: Vectors

    def searcher(self, encode: Encode | None, device: str = "cpu") -> Retriever:
        """What searches it. encode: of questions, by the model that made the vectors; None where there are none."""
        words = BM25(self.counts)
        if encode is None or not self.passages:
            return words
        dense = DenseRetriever(encode, exact_index(self.vectors, device))
        return dense if self.retriever == "dense" else Hybrid([(words, 0.5), (dense, 0.5)])


def open_index(folder: Path) -> Stored:
    """The index in a folder. Raises UserError if there is none, or it is damaged or of another format."""
    for last in (False, True):
        manifest = _manifest(folder)
        if manifest is None:
            raise UserError(f"there is no index in {folder}: make one with allyouneed index DOCS --out {folder}")
        try:
            return _read(folder, manifest)
        except FileNotFoundError as error:  # replaced between the two looks
            if last:
                raise UserError(f"the index in {folder} is damaged ({error}): delete the folder, index again") from None
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise UserError(f"the index in {folder} is damaged ({error}): delete the folder, index again") from error
    raise AssertionError


def update(
    folder: Path,
    documents: str,
    contents: dict[str, bytes],
    retriever: str,
    model: Model | None = None,
    encode: Encode | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Change:
    """Make the index in `folder` that of these files, or bring it up to date.

    documents: where the files lie, for whoever reads the hits. contents: their bytes by name. model, encode: what makes
    vectors; needed unless the retriever is "bm25". progress: called with the passages encoded so far and their number.

    An index of another model, or by another retriever, is made anew. Raises UserError if the disk refuses, or the
    folder's index is of another format; what was there stays.
    """
    make_folder(folder)
    with FileLock(folder / ".lock"):
        manifest = _manifest(folder)
        before: dict[str, str] = manifest["files"] if manifest else {}
        files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        passages = [passage for name, content in contents.items() for passage in cut(as_text(content), name)]
        vectors, encoded = np.empty((0, 0), dtype=np.float32), 0
        if retriever != "bm25":
            assert model is not None
            assert encode is not None
            vectors, encoded = _vectors(folder, manifest, passages, model, encode, progress)
        counts = WordCounts.of(passage.in_context for passage in passages)
        parts = _write_parts(folder, passages, counts, vectors)
        said = {"format": FORMAT, "documents": documents, "retriever": retriever, "files": files, "parts": parts}
        said["model"] = asdict(model) if retriever != "bm25" and model else None
        atomic_write(folder / MANIFEST, json.dumps(said, indent=1).encode())
        _remove_others(folder, parts)
    same = sum(before.get(name) == digest for name, digest in files.items())
    both = len(before.keys() & files.keys())
    return Change(len(files) - both, both - same, len(before) - both, same, len(passages), encoded)


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        found = manifest["format"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / MANIFEST} is not that of an index ({error}): choose another folder") from error
    if found != FORMAT:
        raise UserError(f"the index in {folder} is of format {found}, this version makes {FORMAT}: delete the folder")
    return manifest


def _read(folder: Path, manifest: dict[str, Any]) -> Stored:
    content = {part: (folder / manifest["parts"][part]).read_bytes() for part in PARTS}
    passages = [Cut(file, line, tuple(names), text) for file, line, names, text in json.loads(content["passages"])]
    vocabulary = {word: number for number, word in enumerate(json.loads(content["vocabulary"]))}
    columns = load(content["words"])
    counts = WordCounts(vocabulary, columns["starts"], columns["passages"], columns["counts"], len(passages))
    vectors = load(content["vectors"])["vectors"]
    if len(counts.starts) != len(vocabulary) + 1 or (manifest["model"] and len(vectors) != len(passages)):
        raise ValueError("its files do not belong together")
    model = Model(**manifest["model"]) if manifest["model"] else None
    documents, retriever, files = (manifest[name] for name in ("documents", "retriever", "files"))
    return Stored(documents, retriever, model, files, passages, counts, vectors)


def _write_parts(folder: Path, passages: list[Cut], counts: WordCounts, vectors: Vectors) -> dict[str, str]:
    """Write every part under a name that its content gives it; nothing refers to them yet."""
    rows = [[passage.file, passage.line, passage.headings, passage.text] for passage in passages]
    content = {
        "passages": json.dumps(rows, ensure_ascii=False).encode(),
        "vocabulary": json.dumps(list(counts.vocabulary), ensure_ascii=False).encode(),
        "words": save({"starts": counts.starts, "passages": counts.passages, "counts": counts.counts}),
        "vectors": save({"vectors": vectors}),
    }
    names = {}
    for part in PARTS:
        ending = "json" if part in ("passages", "vocabulary") else "safetensors"
        names[part] = f"{part}-{hashlib.sha256(content[part]).hexdigest()[:16]}.{ending}"
        atomic_write(folder / names[part], content[part])
    return names


def _remove_others(folder: Path, parts: dict[str, str]) -> None:
    for part in PARTS:
        for file in folder.glob(f"{part}-*"):
            if file.name not in parts.values():
                file.unlink(missing_ok=True)
    (folder / UNFINISHED).unlink(missing_ok=True)
    for draft in folder.glob(".*.tmp"):  # of a process that was killed; the lock says that none is writing
        draft.unlink(missing_ok=True)


def _vectors(
    folder: Path,
    manifest: dict[str, Any] | None,
    passages: Sequence[Cut],
    model: Model,
    encode: Encode,
    progress: Callable[[int, int], object],
) -> tuple[Vectors, int]:
    """A vector for each passage, and how many had to be made; what is made is saved now and then."""
    keys = [hashlib.sha256(passage.in_context.encode()).hexdigest() for passage in passages]
    texts = {key: passage.in_context for key, passage in zip(keys, passages)}
    known = _known(folder, manifest, model)
    missing = [key for key in texts if key not in known]
    saved = time.monotonic()
    progress(0, len(missing))
    for first in range(0, len(missing), _SHARE):
        share = missing[first : first + _SHARE]
        known |= dict(zip(share, encode([texts[key] for key in share])))
        progress(first + len(share), len(missing))
        if time.monotonic() - saved > SAVE_SECONDS:
            made = {key: known[key] for key in missing[: first + len(share)]}
            atomic_write(folder / UNFINISHED, save(made, metadata={"model": model.version}))
            saved = time.monotonic()
    if not keys:
        return np.empty((0, 0), dtype=np.float32), 0
    return np.stack([known[key] for key in keys]), len(missing)


def _known(folder: Path, manifest: dict[str, Any] | None, model: Model) -> dict[str, np.ndarray]:
    """The vectors that are there already, by the hash of their passage."""
    known: dict[str, np.ndarray] = {}
    if manifest and manifest["model"] and manifest["model"]["version"] == model.version:
        stored = open_index(folder)
        keys = (hashlib.sha256(passage.in_context.encode()).hexdigest() for passage in stored.passages)
        known |= dict(zip(keys, stored.vectors))
    try:
        content = (folder / UNFINISHED).read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        if header["__metadata__"]["model"] == model.version:
            known |= load(content)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        pass  # none, or one that is damaged: its passages are encoded again
    return known
