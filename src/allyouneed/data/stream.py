"""Endless batches of which number n depends on a seed and n alone, so that the state is two numbers."""

from typing import Any, Generic, TypeVar

import numpy as np

Batch = TypeVar("Batch")


class NumberedStream(Generic[Batch]):
    """A stream of batches; a subclass says how one is drawn. Raises ValueError for settings out of range."""

    def __init__(self, batch_size: int, seed: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self.batch_size = batch_size
        self.seed = seed
        self.n_drawn = 0

    def draw(self, n: int) -> Batch:
        """Batch number `n`; what is random in it comes from `random` alone."""
        raise NotImplementedError

    def random(self, n: int) -> np.random.Generator:
        """Random numbers that the seed and `n` decide."""
        return np.random.default_rng((self.seed, n))

    def source(self) -> str:
        """What it draws from, in words that differ where the batches would."""
        raise NotImplementedError

    def __iter__(self) -> "NumberedStream[Batch]":
        return self

    def __next__(self) -> Batch:
        batch = self.draw(self.n_drawn)
        self.n_drawn += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The position in the stream, and which stream it is."""
        return {"source": self.source(), "batch_size": self.batch_size, "seed": self.seed, "n_drawn": self.n_drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the stream that gave `state` stood. Raises ValueError if that was another stream."""
        ours = self.state_dict()
        for name in ("source", "batch_size", "seed"):
            if state[name] != ours[name]:
                raise ValueError(f"the saved stream has another {name}: {state[name]}, here {ours[name]}")
        self.n_drawn = int(state["n_drawn"])
