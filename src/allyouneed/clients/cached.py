"""Answers kept on the disk: what was asked before is not asked again."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from allyouneed.clients.client import Client, Completion, Request
from allyouneed.data.cache import atomic_write, make_folder


class Cached:
    """A client that keeps each answer in a file of its own, named by the request's content and the client's name.

    A file is written whole or not at all, and one that is damaged counts as not there. What comes from the cache is
    marked `kept` and costs 0. Requests that draw (temperature above 0) are kept too: another seed is another request.
    """

    def __init__(self, client: Client, folder: str | Path) -> None:
        self.client = client
        self.folder = make_folder(Path(folder))

    @property
    def name(self) -> str:
        """The wrapped client's."""
        return self.client.name

    def complete(self, request: Request) -> Completion:
        """The kept answer, or else the client's, which is then kept."""
        key = request.key(self.client.name)
        file = self.folder / key[:2] / f"{key}.json"
        kept = _read(file)
        if kept is not None:
            return kept
        completion = self.client.complete(request)
        said = {"request": request.content(), "client": self.client.name, "completion": completion.to_dict()}
        atomic_write(file, json.dumps(said, indent=1).encode())
        return completion


def _read(file: Path) -> Completion | None:
    try:
        values = json.loads(file.read_bytes())["completion"]
        return replace(Completion.from_dict(values), cost=Decimal(0), kept=True)
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return None
