"""Finished trials on disk: one JSON file each, found by what its result depends on.

A file holds what it was asked for (`spec`), what came out (`result`), and a checksum of both, so that a
damaged file is run again instead of believed.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allyouneed.data.cache import atomic_write, make_folder
from allyouneed.lab.trials.result import TrialResult, to_json


class TrialStore:
    """The finished trials in the folder `root`, which is made when something is saved.

    Several processes may use one folder: a file is there whole or not at all, and two that save the same
    key write the same. `damaged` collects a message for each file that could not be believed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged: list[str] = []

    @staticmethod
    def key(spec: Mapping[str, Any]) -> str:
        """The name of a trial with this spec: a hash that the order of the spec's entries does not change.

        Raises TypeError for values that JSON cannot hold.
        """
        return _hash(spec)

    def load(self, key: str) -> TrialResult | None:
        """The result of that key; None if there is none, or if its file is damaged (see `damaged`)."""
        path = self._path(key)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _checked(json.loads(text), key)
        except (ValueError, KeyError, TypeError) as error:
            self.damaged.append(f"{path} is damaged ({_reason(error)}): that trial is run again")
            return None

    def save(self, key: str, spec: Mapping[str, Any], result: TrialResult) -> None:
        """Write a result in place of what was there, and remove the trial's work folder.

        Raises UserError if the disk is full or may not be written; then the work folder stays.
        """
        content = {"spec": to_json(spec), "result": result.to_dict()}
        text = json.dumps(content | {"sha256": _hash(content)}, indent=1, allow_nan=False)
        atomic_write(self._path(key), text.encode())
        shutil.rmtree(self._work_path(key), ignore_errors=True)

    def work_dir(self, key: str) -> Path:
        """A folder for an unfinished trial's checkpoints: kept when it is interrupted, removed by `save`."""
        return make_folder(self._work_path(key))

    def _path(self, key: str) -> Path:
        return self.root / f"{key}.json"

    def _work_path(self, key: str) -> Path:
        return self.root / ".work" / key


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps(to_json(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _checked(content: Any, key: str) -> TrialResult:
    """The result in a file's content. Raises ValueError, KeyError or TypeError if it is not what was saved."""
    if not isinstance(content, dict):
        raise ValueError("it holds no trial")
    checksum = content.pop("sha256")
    if _hash(content) != checksum:
        raise ValueError("its content does not match its checksum")
    if _hash(content["spec"]) != key:
        raise ValueError("it holds another trial")
    return TrialResult.from_dict(content["result"])


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "not whole JSON"
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
