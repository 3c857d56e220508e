"""Files with a JSON object a line, read so that what is wrong with one is said with its file and line."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError


def json_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a file, each with its place ("pairs.jsonl:7"); empty lines do not count.

    Raises UserError for a file that cannot be read and for a line that is no JSON object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    yield from parsed_lines(content, str(path))


def parsed_lines(content: bytes, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The same of what a file called `name` holds."""
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            yield _object(line, f"{name}:{number}"), f"{name}:{number}"


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{place}: expected a JSON object, found {type(values).__name__}")
    return values
