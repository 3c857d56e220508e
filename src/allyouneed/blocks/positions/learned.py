"""Learned positions: one trained vector for each position, added to the embedding.

Gehring et al., "Convolutional Sequence to Sequence Learning", 2017, arXiv:1705.03122, section 3.1; BERT's and
GPT's choice. There are `max_seq_len` positions and none beyond.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.blocks.context import Context
from allyouneed.blocks.protocols import PositionScheme, Sizes


@dataclass(frozen=True)
class Learned:
    """A table of `sizes.max_seq_len` vectors."""

    def build(self, sizes: Sizes) -> PositionScheme:
        """The table, as a scheme."""
        return LearnedPositions(sizes.max_seq_len, sizes.d_model)


class LearnedPositions(PositionScheme):
    """x + table[position]."""

    def __init__(self, max_seq_len: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max_seq_len, d_model)
        self.longest = max_seq_len

    def embed(self, x: Float[Tensor, "batch seq d_model"], ctx: Context) -> Float[Tensor, "batch seq d_model"]:
        """Raises ValueError for a position that the table does not have."""
        # An accelerator checks the index itself; asking here would make it wait at every step.
        if ctx.positions.device.type == "cpu" and int(ctx.positions.max()) >= self.table.num_embeddings:
            raise ValueError(
                f"position {int(ctx.positions.max())} has no learned vector: max_seq_len is {self.table.num_embeddings}"
            )
        return x + self.table(ctx.positions)
