"""What the user has read and noted: one file in their data folder, keyed by the items of the reading list.

An upgrade does not touch it. Items and fields that this version does not know (an earlier or later one may) stay in
it as they are, and a file that cannot be understood is never written over.
"""

import datetime
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError

FORMAT = 1


class Status(StrEnum):
    """How far the user is with an item."""

    READ = "read"
    READING = "reading"
    UNREAD = "unread"


@dataclass(frozen=True)
class Progress:
    """How far the user is with one item, since when (an ISO date, empty if unread), and their note."""

    status: Status = Status.UNREAD
    since: str = ""
    note: str = ""


def home_dir() -> Path:
    """The folder of what only the user can make: `ALLYOUNEED_HOME`, else `allyouneed` in the user's data folder
    (`XDG_DATA_HOME`, else `~/.local/share`; on macOS `~/Library/Application Support`; on Windows `%APPDATA%`).
    It need not exist yet."""
    if named := os.environ.get("ALLYOUNEED_HOME"):
        return Path(named).expanduser()
    if base := os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_DATA_HOME"):
        return Path(base) / "allyouneed"
    parts = ("Library", "Application Support") if sys.platform == "darwin" else (".local", "share")
    return Path.home().joinpath(*parts, "allyouneed")


def progress_file() -> Path:
    """The file that holds it all."""
    return home_dir() / "reading.json"


def read_progress() -> dict[str, Progress]:
    """The progress with every item that has any, by key, those that this version does not know included.

    Raises UserError, naming the file, if it is damaged or of a later version.
    """
    return {key: _progress(entry) for key, entry in _read(progress_file())["items"].items()}


def mark(keys: Iterable[str], status: Status) -> None:
    """Say of some items how far the user is with them, as of today; what already has that status keeps its date.

    Raises UserError as `read_progress`, and if the file cannot be written.
    """
    today = datetime.date.today().isoformat()

    def change(items: dict[str, Any]) -> None:
        for key in keys:
            entry = items.setdefault(key, {})
            if status is Status.UNREAD:
                _remove(entry, "status", "since")
            elif entry.get("status") != status:
                entry |= {"status": status, "since": today}

    _update(change)


def write_note(key: str, text: str) -> None:
    """Put a note on an item in place of the one it had; an empty text removes it. Raises UserError as `mark`."""

    def change(items: dict[str, Any]) -> None:
        entry = items.setdefault(key, {})
        if text.strip():
            entry["note"] = text.strip()
        else:
            _remove(entry, "note")

    _update(change)


def _update(change: Callable[[dict[str, Any]], None]) -> None:
    """Read, change and write under a lock, so that two commands at once lose nothing of each other."""
    from allyouneed.data.cache import atomic_write
    from allyouneed.lab.trials.locks import held

    file = progress_file()
    try:
        with held(file.with_suffix(".lock")):
            values = _read(file)
            change(values["items"])
            values["items"] = {key: entry for key, entry in values["items"].items() if entry}
            atomic_write(file, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write in {file.parent}: {error.strerror}") from error


def _read(file: Path) -> dict[str, Any]:
    """The file's content; that of a new one if there is none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["format"] > FORMAT:
            raise UserError(f"{file} was written by a later version of allyouneed: upgrade this one to go on with it")
        for entry in values["items"].values():
            _progress(entry)
    except FileNotFoundError:
        return {"format": FORMAT, "items": {}}
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is damaged and was left as it is: mend it, or move it away to start anew") from error
    return values


def _progress(entry: dict[str, Any]) -> Progress:
    return Progress(Status(entry.get("status", Status.UNREAD)), str(entry.get("since", "")), str(entry.get("note", "")))


def _remove(entry: dict[str, Any], *names: str) -> None:
    for name in names:
        entry.pop(name, None)
