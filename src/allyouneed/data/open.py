"""Names and paths to corpora: what `--data` takes, and what a study opens."""

import codecs
import gzip
import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from jaxtyping import Int

from allyouneed.data import corpora, registry
from allyouneed.data.build import SPLITS, Document, in_splits, joined, without_repeats
from allyouneed.data.corpus import Corpus, Text
from allyouneed.errors import UserError
from allyouneed.tokenizers.bytes import Bytes

_CHUNK = 1 << 22  # bytes


def open_data(name: str) -> Corpus:
    """A corpus by name ("python_code", "english_prose", "tinyshakespeare", "wikitext-2") or by path.

    A path names a UTF-8 text file (its first 90 % become train, 5 % tune, 5 % test) or a folder of such files (split
    by file). Downloads a public data set that is not here yet. Raises UserError for a name or path that is not
    there, and for text that cannot be used.
    """
    path = Path(name).expanduser()
    for known, opener in _NAMED.items():
        if name.replace("_", "-") == known.replace("_", "-"):
            return opener()
    if path.is_dir():
        return _open_folder(path)
    if path.exists():
        return _by_position(path.name, _map_text(path))
    if name == "multi30k":
        raise UserError("multi30k holds sentence pairs, not a running text: allyouneed.data.pairs opens it")
    near = get_close_matches(name, _NAMED, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(_NAMED)}"
    raise UserError(f"there is no corpus and no file {name!r}; {hint}")


@dataclass(frozen=True)
class Pairs:
    """Sentences with their translations, in three splits; a pair is (source, target)."""

    name: str
    train: list[tuple[str, str]]
    tune: list[tuple[str, str]]
    test: list[tuple[str, str]]


def pairs(name: str, source: str, target: str) -> Pairs:
    """Translation pairs between two languages: multi30k has "en", "de" and "fr".

    Raises UserError for another name or language, and if the files cannot be had.
    """
    if name != "multi30k":
        raise UserError(f"there are no translation pairs {name!r}; known: multi30k")
    dataset = registry.find(name)
    files = {file.path: file for file in dataset.files}
    languages = sorted({path.split(".")[-2] for path in files})
    for language in (source, target):
        if language not in languages:
            raise UserError(f"{name} has no language {language!r}; it has {', '.join(languages)}")

    def lines(split: str, language: str) -> list[str]:
        path = registry.get_file(dataset, files[f"{split}.{language}.gz"], progress=True)
        return gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")

    train, tune, test = (
        list(zip(lines(split, source), lines(split, target), strict=True))
        for split in ("train", "val", "test_2016_flickr")
    )
    return Pairs(f"{name} {source}-{target}", train, tune, test)


def _tinyshakespeare() -> Corpus:
    folder = registry.get("tinyshakespeare", progress=True)
    return _by_position("tinyshakespeare", _map_text(folder / "input.txt"))


def _wikitext_2() -> Corpus:
    """The data set's own splits; of a folder without its train file, the valid file stands in for train and tune."""
    dataset = registry.find("wikitext-2")
    train, valid, test = dataset.files
    given_without_train = registry.local_copy(dataset, valid) and registry.file_status(dataset, train) == "not here"
    files = (valid, test) if given_without_train else (train, valid, test)
    splits = [_map_text(registry.get_file(dataset, file, progress=True)) for file in files]
    if given_without_train:
        warnings.warn(
            f"wikitext-2 without its {train.path}: train is the first 90 % of {valid.path}, tune the rest",
            stacklevel=3,
        )
        splits[:1] = np.split(splits[0], [len(splits[0]) * 90 // 100])
    return _corpus("wikitext-2", splits)


def _open_folder(folder: Path) -> Corpus:
    """The text files of a folder and its subfolders, hidden ones left out, split by file."""
    documents, unusable = [], []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.stat().st_size and not any(part.startswith(".") for part in inside.parts):
            try:
                documents.append(Document(inside.as_posix(), "", _map_text(path).tobytes()))
            except UserError:
                unusable.append(inside.as_posix())
    if unusable:
        warnings.warn(f"left out of {folder}, not UTF-8 text: {_some(unusable)}", stacklevel=3)
    contents = in_splits(without_repeats(documents))
    splits = [np.frombuffer(joined(contents[split]), dtype=np.uint8) for split in SPLITS]
    if all(len(split) for split in splits):
        return _corpus(folder.name, splits)
    if not documents:
        raise UserError(f"there is no UTF-8 text in {folder}")
    warnings.warn(f"{folder} has too few files to split by file; it is split by position", stacklevel=3)
    return _by_position(folder.name, np.concatenate(splits))


def _by_position(name: str, text: Int[np.ndarray, "total"]) -> Corpus:
    """The first 90 % as train, 5 % as tune, 5 % as test."""
    return _corpus(name, np.split(text, [len(text) * 90 // 100, len(text) * 95 // 100]))


def _corpus(name: str, splits: Sequence[Int[np.ndarray, "total"]]) -> Corpus:
    if not all(len(split) for split in splits):
        raise UserError(f"{name} is too small to be split into train, tune and test")
    version = hashlib.sha256()
    for split in splits:
        version.update(hashlib.sha256(split.data).digest())
    train, tune, test = (Text(split) for split in splits)
    return Corpus(name, version.hexdigest(), train, tune, test, Bytes())


def _map_text(path: Path) -> Int[np.ndarray, "total"]:
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


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


_NAMED: dict[str, Callable[[], Corpus]] = {
    "python_code": corpora.python_code,
    "english_prose": corpora.english_prose,
    "tinyshakespeare": _tinyshakespeare,
    "wikitext-2": _wikitext_2,
}
