"""Checkpoints on disk: one folder each, whole or not there at all.

A checkpoint is written as `step-N.tmp`, forced to the disk and then renamed to `step-N`; only after that
are older ones removed. So whenever the process dies or the disk fills up, one whole checkpoint remains.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from allyouneed.errors import UserError
from allyouneed.training.packing import pack, unpack

TENSORS, REST = "tensors.safetensors", "state.json"


class Checkpoints:
    """The checkpoints of one training in one folder; at most one is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def latest(self) -> Path | None:
        """The newest whole checkpoint, or None."""
        found = [path for path in self.folder.glob("step-*") if path.suffix != ".tmp"]
        return max(found, key=lambda path: int(path.name.removeprefix("step-")), default=None)

    def load(self) -> Any:
        """The newest saved state, or None if there is none; what an interrupted write left is removed.

        Raises UserError if the checkpoint is damaged.
        """
        for leftover in self.folder.glob("step-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        path = self.latest()
        if path is None:
            return None
        try:
            rest = json.loads((path / REST).read_text())
            if _sha256(path / TENSORS) != rest["sha256"]:
                raise ValueError(f"{TENSORS} is not what was written")
            return unpack(rest["state"], load_file(path / TENSORS))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise UserError(f"the checkpoint {path} is damaged ({error}); delete it to start again") from error

    def save(self, step: int, state: Any) -> None:
        """Write the state after `step` steps, then remove older checkpoints.

        Raises UserError if the disk refuses; the checkpoint before is then still there.
        """
        packed, tensors = pack(state)
        whole, part = self.folder / f"step-{step}", self.folder / f"step-{step}.tmp"
        try:
            part.mkdir(parents=True)
            save_file(tensors, part / TENSORS)
            _force_to_disk(part / TENSORS)
            (part / REST).write_text(json.dumps({"sha256": _sha256(part / TENSORS), "state": packed}))
            _force_to_disk(part / REST)
            _force_to_disk(part)
            os.rename(part, whole)
            _force_to_disk(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(part, ignore_errors=True)
            before = self.latest()
            kept = (
                f"{before} is intact: make room and run again to go on from there" if before else "none was there yet"
            )
            raise UserError(f"the checkpoint of step {step} could not be written ({error}); {kept}") from error
        for older in self.folder.glob("step-*"):
            if older != whole:
                shutil.rmtree(older, ignore_errors=True)


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
