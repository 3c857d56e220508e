"""A user's own text: a UTF-8 file, or a folder of them."""

import codecs
import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from allyouneed.data.documents import SPLITS, Document, in_splits, without_repeats
from allyouneed.data.text.build import joined
from allyouneed.data.text.corpus import Corpus, Text
from allyouneed.errors import UserError
from allyouneed.tokenizers.bytes import Bytes

_CHUNK = 1 << 22  # bytes


def text(path: Path) -> Corpus:
    """A user's file or folder as a corpus. Raises UserError as `text_file` and `text_folder` do."""
    return text_folder(path) if path.is_dir() else text_file(path, path.name)


def text_file(path: Path, name: str) -> Corpus:
    """The text of a file: its first 90 % become train, 5 % tune, 5 % test. Raises UserError if it is no text."""
    return _by_position(name, mapped_text(path))


def text_folder(folder: Path) -> Corpus:
    """The text files of a folder and its subfolders, hidden ones left out, split by file.

    Raises UserError if there is no text in it.
    """
    documents, unusable = [], []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.stat().st_size and not any(part.startswith(".") for part in inside.parts):
            try:
                documents.append(Document(inside.as_posix(), "", mapped_text(path).tobytes()))
            except UserError:
                unusable.append(inside.as_posix())
    if unusable:
        warnings.warn(f"left out of {folder}, not UTF-8 text: {_some(unusable)}", stacklevel=3)
    contents = in_splits(without_repeats(documents))
    splits = [np.frombuffer(joined(contents[split]), dtype=np.uint8) for split in SPLITS]
    if all(len(split) for split in splits):
        return bytes_corpus(folder.name, splits)
    if not documents:
        raise UserError(f"there is no UTF-8 text in {folder}")
    warnings.warn(f"{folder} has too few files to split by file; it is split by position", stacklevel=3)
    return _by_position(folder.name, np.concatenate(splits))


def bytes_corpus(name: str, splits: Sequence[Int[np.ndarray, "total"]]) -> Corpus:
    """Train, tune and test, given as bytes, as a corpus. Raises UserError if one of them is empty."""
    if not all(len(split) for split in splits):
        raise UserError(f"{name} is too small to be split into train, tune and test")
    version = hashlib.sha256()
    for split in splits:
        version.update(hashlib.sha256(split.data).digest())
    train, tune, test = (Text(split) for split in splits)
    return Corpus(name, version.hexdigest(), train, tune, test, Bytes())


def mapped_text(path: Path) -> Int[np.ndarray, "total"]:
    """The bytes of a text file, mapped; raises UserError unless they are UTF-8 without byte 0, which ends documents."""
    try:
        if not path.stat().st_size:
            raise UserError(f"{path} is empty")
        text = np.memmap(path, dtype=np.uint8, mode="r")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    decoder = codecs.getincrementaldecoder("utf-8")()
    for first in range(0, len(text), _CHUNK):
        chunk = text[first : first + _CHUNK].tobytes()
        try:
            decoder.decode(chunk, final=first + _CHUNK >= len(text))
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text: {error.reason} near byte {first + error.start}") from error
        if 0 in chunk:
            raise UserError(f"{path} is not text: byte {first + chunk.index(0)} is 0")
    return text


def _by_position(name: str, text: Int[np.ndarray, "total"]) -> Corpus:
    """The first 90 % as train, 5 % as tune, 5 % as test."""
    return bytes_corpus(name, np.split(text, [len(text) * 90 // 100, len(text) * 95 // 100]))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
