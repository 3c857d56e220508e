"""The state of a whole decoder: where its rows stand, and what each of its layers remembers."""

from typing import Any

from jaxtyping import Int
from torch import Tensor

from allyouneed.blocks.context import Past
from allyouneed.blocks.protocols import State

LayerState = tuple[State | None, ...]  # one entry a sublayer
Snapshot = tuple[Past, list[tuple[Any, ...]]]


class DecoderState:
    """Filled in place: `model(tokens, state=state)` reads on from it and moves it behind `tokens`."""

    def __init__(self, batch_size: int, past: Past, layers: list[LayerState]) -> None:
        self.batch_size, self.past, self.layers = batch_size, past, layers

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """Valid tokens read, row by row."""
        return next(state.lengths for layer in self.layers for state in layer if state is not None)

    def select(self, rows: Int[Tensor, "rows"]) -> "DecoderState":
        """A state of its own of the given rows, in that order, repeated where `rows` repeats them."""
        layers = [tuple(None if s is None else s.select(rows) for s in layer) for layer in self.layers]
        return DecoderState(len(rows), self.past.select(rows), layers)

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
