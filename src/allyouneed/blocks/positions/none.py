"""No positions: the model is told nothing of order.

An encoder without positions is blind to it (permute the tokens and the outputs permute); a causal decoder
is not, because its mask already tells how many tokens came before.
"""

from dataclasses import dataclass

from allyouneed.blocks.protocols import PositionScheme, Sizes


@dataclass(frozen=True)
class NoPositions:
    """Embeddings and scores as they are."""

    def build(self, sizes: Sizes) -> PositionScheme:
        """A scheme whose every hook does nothing."""
        return PositionScheme()
