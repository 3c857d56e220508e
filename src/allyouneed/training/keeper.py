"""When a training is saved, and how it is found again."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.training.checkpoint import Checkpoints
from allyouneed.training.state import TrainingState, tensor_digests
from allyouneed.training.stream import Saved


class Keeper:
    """Keeps one training in one folder: puts it back at the start, saves it every so many seconds.

    `settings` and the model's weights as they are now say which training the folder belongs to.
    """

    def __init__(self, folder: Path, state: TrainingState, settings: dict[str, Any], seconds: float) -> None:
        """Raises TypeError if the stream, or something to be kept, has no state to save."""
        for name, part in state.parts.items():
            if not isinstance(part, Saved):
                kind = type(part).__name__
                raise TypeError(f"to be resumed, {name} needs state_dict and load_state_dict; {kind} lacks them")
        self._checkpoints, self._state, self._seconds = Checkpoints(folder), state, seconds
        self._start = tensor_digests(state.model)
        start = hashlib.sha256(json.dumps(self._start).encode()).hexdigest()
        self._signature = {**settings, "weights at the start (sha256)": start}
        self._saved_at = time.monotonic()

    def restore(self) -> None:
        """Put the training back as it was last saved, if it was.

        Raises UserError if the folder holds another training, or a damaged one.
        """
        saved = self._checkpoints.load()
        if saved is not None:
            self._check(saved["signature"])
            try:
                self._state.load_state_dict(saved["training"])
            except ValueError as error:
                raise UserError(f"{self.latest()} is a checkpoint of another training: {error}") from error

    def save_if_due(self, at_once: bool = False) -> None:
        """Save the training as it stands, if asked to at once or if the last time was long enough ago."""
        if at_once or time.monotonic() - self._saved_at >= self._seconds:
            saved = {"signature": self._signature, "training": self._state.state_dict(self._start)}
            self._checkpoints.save(self._state.step, saved)
            self._saved_at = time.monotonic()

    def latest(self) -> Path | None:
        """The checkpoint that a next call would go on from."""
        return self._checkpoints.latest()

    def _check(self, saved: dict[str, Any]) -> None:
        ours = self._signature
        differences = [
            f"{name} is {ours.get(name)} here and {saved.get(name)} there"
            for name in sorted(ours.keys() | saved.keys())
            if ours.get(name) != saved.get(name)
        ]
        if differences:
            raise UserError(
                f"{self.latest()} is a checkpoint of another training: {'; '.join(differences)}. "
                "Give each training a folder of its own, or delete that checkpoint"
            )
