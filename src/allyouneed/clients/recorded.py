"""Conversations on file: recorded from any client, and played back without one.

A line of JSON for each answer: {"request": ..., "client": ..., "completion": ...}. Nothing of the client's settings is
written, so no key can be.
"""

import json
import threading
from pathlib import Path
from typing import Any

from allyouneed.clients.client import Client, ClientError, Completion, Request
from allyouneed.data.cache import atomic_write, make_folder


class Recording:
    """A client that appends every answer to a file, which `Replay` reads.

    A line is written at once and whole; one that a kill cut short is left out when the file is opened again.
    """

    def __init__(self, client: Client, file: str | Path) -> None:
        self.client, self.file = client, Path(file)
        make_folder(self.file.parent)
        self._lock = threading.Lock()
        _drop_cut_line(self.file)

    @property
    def name(self) -> str:
        """The wrapped client's."""
        return self.client.name

    def complete(self, request: Request) -> Completion:
        """The client's answer, once it is on file."""
        completion = self.client.complete(request)
        said = {"request": request.content(), "client": self.client.name, "completion": completion.to_dict()}
        with self._lock, self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
        return completion


class Replay:
    """A client that answers from a file that was recorded, by the content of the request; the last answer counts.

    Raises ClientError for a file that cannot be read, with the line, and for a request that is not in it.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self._answers = dict(_answers(self.file))

    @property
    def name(self) -> str:
        """The file's."""
        return f"recorded:{self.file}"

    def complete(self, request: Request) -> Completion:
        """The recorded answer, with the cost that it had."""
        try:
            return self._answers[request.key()]
        except KeyError:
            raise ClientError(
                f"{self.file} has no answer to this request (it has {len(self._answers)} others): "
                f"{json.dumps(request.content())[:300]}. Record it, or ask exactly what was recorded."
            ) from None


def _answers(path: Path) -> list[tuple[str, Completion]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ClientError(f"{path} is not UTF-8 text: {error.reason}") from error
    # What follows the last line break was cut short by a kill.
    return [_answer(line, f"{path}:{number}") for number, line in enumerate(lines[:-1], 1) if line.strip()]


def _answer(line: str, place: str) -> tuple[str, Completion]:
    try:
        values: dict[str, Any] = json.loads(line)
        asked = dict(values["request"])
        if not isinstance(asked["prompt"], str):
            asked["prompt"] = tuple(asked["prompt"])
        request = Request(**asked | {"stop": tuple(asked.get("stop", ()))})
        return request.key(), Completion.from_dict(values["completion"])
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise ClientError(f"{place}: not a recorded answer ({type(error).__name__}: {error})") from error


def _drop_cut_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            atomic_write(path, whole)
