"""The state of a whole decoder: where its rows stand, what each layer remembers, and the memory they read."""

from typing import Any

from jaxtyping import Int
from torch import Tensor

from allyouneed.blocks.context import Memory, Past
from allyouneed.blocks.protocols import State

LayerState = tuple[State | None, ...]  # one entry a sublayer
Snapshot = tuple[Past, list[tuple[Any, ...]]]


class DecoderState:
    """Filled in place: `model(tokens, state=state)` reads on from it and moves it behind `tokens`.

    memory: what every step may read besides; it stays what it is (None for a decoder alone).
    """

    def __init__(self, batch_size: int, past: Past, layers: list[LayerState], memory: Memory | None = None) -> None:
        self.batch_size, self.past, self.layers, self.memory = batch_size, past, layers, memory

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """Valid tokens read, row by row."""
        return next(state.lengths for layer in self.layers for state in layer if state is not None)

    def select(self, rows: Int[Tensor, "rows"]) -> "DecoderState":
        """A state of its own of the given rows, in that order, repeated where `rows` repeats them."""
        layers = [tuple(None if s is None else s.select(rows) for s in layer) for layer in self.layers]
        memory = None if self.memory is None else self.memory.select(rows)
        return DecoderState(len(rows), self.past.select(rows), layers, memory)

    def snapshot(self) -> Snapshot:
        """Something small from which `restore` finds the way back to this moment."""
        return self.past, [tuple(None if s is None else s.snapshot() for s in layer) for layer in self.layers]

    def restore(self, snapshot: Snapshot) -> "DecoderState":
        """Go back, in place, to where `snapshot` was taken from this state."""
        self.past, layers = snapshot
        self.layers = [
            tuple(None if s is None else s.restore(saved) for s, saved in zip(layer, saved_layer))
            for layer, saved_layer in zip(self.layers, layers)
        ]
        return self
