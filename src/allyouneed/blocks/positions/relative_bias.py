"""T5's relative positions: a trained number for each head and each kind of distance, added to the scores.

Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2019,
arXiv:1910.10683, section 2.1.

The idea: what matters of a key's place is how far it stands from the query, and far away only roughly. Distances
fall into buckets, one for each short distance, ever wider ones up to `max_distance`, and one for all beyond.

    score(q_i, k_j) = q_i . k_j + table[bucket(j - i), head]

    n = |j - i|, of B buckets the first B/2 exact:
    bucket = n                                                            n < B/2
           = B/2 + floor(ln(n / (B/2)) / ln(max_distance / (B/2)) B/2)    else, B - 1 at most

An encoder has half of `n_buckets` for keys behind the query and half for those ahead of it; a decoder has all for
those behind. One table serves all layers of a stack.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from allyouneed.blocks.context import Context
from allyouneed.blocks.protocols import PositionScheme, Sizes


def relative_bucket(
    distance: Int[Tensor, "*axes"], n_buckets: int, max_distance: int, causal: bool
) -> Int[Tensor, "*axes"]:
    """The bucket of each distance, key minus query; where causal, keys ahead count as at distance 0."""
    if causal:
        first, n = torch.zeros_like(distance), (-distance).clamp(min=0)
    else:
        n_buckets //= 2
        first, n = n_buckets * (distance > 0), distance.abs()
    exact = n_buckets // 2
    # In float64: distances at which the logarithm is whole, such as 16 and 32, must not fall below it.
    along = torch.log(n.clamp(min=1).double() / exact) / math.log(max_distance / exact)
    wide = (exact + (along * (n_buckets - exact)).long()).clamp(max=n_buckets - 1)
    return first + torch.where(n < exact, n, wide)


@dataclass(frozen=True)
class RelativeBias:
    """A table of n_buckets numbers for each head.

    Raises ValueError for sizes that leave no wide bucket.
    """

    n_buckets: int = 32
    max_distance: int = 128

    def __post_init__(self) -> None:
        if self.n_buckets < 4 or self.n_buckets % 4 or self.max_distance <= self.n_buckets // 2:
            raise ValueError(
                f"n_buckets must be a multiple of 4 and max_distance more than half of it, "
                f"got {self.n_buckets} and {self.max_distance}"
            )

    def build(self, sizes: Sizes) -> PositionScheme:
        """The table, as a scheme."""
        return RelativeBiasPositions(self.n_buckets, self.max_distance, sizes.n_heads)


class RelativeBiasPositions(PositionScheme):
    """Adds to scores; embeddings, queries and keys stay as they are."""

    def __init__(self, n_buckets: int, max_distance: int, n_heads: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.table = nn.Embedding(n_buckets, n_heads)

    def score_bias(
        self, ctx: Context, key_positions: Int[Tensor, "#batch keys"]
    ) -> Float[Tensor, "#batch #heads seq keys"]:
        """Made once for all layers."""
        return ctx.once((self, key_positions), lambda: self._bias(ctx, key_positions))

    def _bias(self, ctx: Context, key_positions: Int[Tensor, "#batch keys"]) -> Float[Tensor, "#batch heads seq keys"]:
        distance = key_positions[:, None, :] - ctx.positions[:, :, None]
        bucket = relative_bucket(distance, self.table.num_embeddings, self.max_distance, ctx.causal)
        return self.table(bucket).permute(0, 3, 1, 2)
