"""A user's own sentence pairs: a UTF-8 file with a line `source<TAB>target` for each."""

import codecs
from pathlib import Path

from allyouneed.data.documents import split_of
from allyouneed.data.pairs.pairs import Pair, Pairs
from allyouneed.errors import UserError


def pairs_file(path: Path) -> Pairs:
    """The pairs of a file: about 90 % train, 5 % tune, 5 % test, by the hash of the source sentence.

    So all translations of a sentence share a split, and it stays there when lines come or go. A pair counts once;
    empty lines do not. Raises UserError for a file that cannot be read, a line that is no pair, or too few pairs.
    """
    splits: dict[str, list[Pair]] = {"train": [], "tune": [], "test": []}
    for pair in dict.fromkeys(_pairs(path)):
        splits[split_of(pair[0])].append(pair)
    for name, split in splits.items():
        if not split:
            raise UserError(f"{path} has too few pairs: none falls into the {name} split")
    return Pairs(path.name, splits["train"], splits["tune"], splits["test"])


def _pairs(path: Path) -> list[Pair]:
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    return [_pair(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _pair(line: bytes, place: str) -> Pair:
    try:
        columns = [column.strip() for column in line.decode("utf-8").split("\t")]
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text: {error.reason}") from error
    if len(columns) != 2:
        raise UserError(f"{place}: expected source<TAB>target, found {len(columns)} columns")
    source, target = columns
    if not source or not target:
        raise UserError(f"{place}: the {'target' if source else 'source'} is empty")
    return source, target
