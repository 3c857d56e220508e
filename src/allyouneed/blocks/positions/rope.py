"""RoPE: rotary position embedding.

Su, Lu, Pan, Murtadha, Wen and Liu, "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021,
arXiv:2104.09864.

The idea: turn every pair of channels of a query or key by an angle that grows with its position. The score of
a turned query against a turned key then depends on how far apart the two stand, and on nothing else.

    R_m turns pair i by the angle  m theta_i,   theta_i = theta^(-2i / rotary_dim)     (equation 15)
    (R_m q) . (R_n k)  =  q . R_(n-m) k                                                (equation 16)

| here               | paper     | meaning                                                             |
| ------------------ | --------- | ------------------------------------------------------------------- |
| `positions`        | m, n      | where a token stands, counted from 0                                |
| `theta`            | 10000     | the slowest pair turns by about 1 / theta a step                    |
| `rope_frequencies` | theta_i   | radians that pair i turns a step; the paper counts pairs from 1     |
| `angles`           | m theta_i | radians that pair i has turned at position m                        |
| `rotate`           | R_m x     | computed channel by channel (equation 34), never as a matrix        |
| `rotary_dim`       | d         | channels that turn; the paper turns all, GPT-NeoX a quarter of them |

There are two layouts. The paper pairs neighbours, channels 2i and 2i + 1 (`interleaved`); Llama and GPT-NeoX pair
i with i + rotary_dim / 2 (half-split, the default here, as in most checkpoints). They are one function of
differently ordered channels: see `half_split_order`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.blocks.context import Context
from allyouneed.blocks.positions.rope_scaling import RopeScaling
from allyouneed.blocks.protocols import PositionScheme, Sizes


def rope_frequencies(rotary_dim: int, theta: float = 1e4) -> Float[Tensor, "pairs"]:
    """Radians that each pair turns from one position to the next: 1 for the first, about 1/theta for the last.

    In float64. Raises ValueError unless `rotary_dim` is even and positive.
    """
    if rotary_dim < 2 or rotary_dim % 2:
        raise ValueError(f"channels turn in pairs: rotary_dim must be even and positive, got {rotary_dim}")
    return theta ** (-torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim)


def rope_angles(
    positions: Int[Tensor, "*axes"], rotary_dim: int, theta: float = 1e4, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*axes pairs"]:
    """The angle of each pair at each position, in radians, computed in `dtype`."""
    frequencies = rope_frequencies(rotary_dim, theta).to(positions.device, dtype)
    return positions[..., None].to(dtype) * frequencies


def rotate(
    x: Float[Tensor, "*axes head_dim"], angles: Float[Tensor, "*#axes pairs"], interleaved: bool = False
) -> Float[Tensor, "*axes head_dim"]:
    """Turn the first 2 * pairs channels of `x`, pair by pair, and leave the others as they are.

    Turning is done in the precision of `angles` where that is higher; the result has that of `x`.
    """
    return _turn(x, *_factors(angles, interleaved), interleaved)


def half_split_order(head_dim: int, rotary_dim: int) -> Int[Tensor, "head_dim"]:
    """The order that takes interleaved channels to the half-split layout: `x_half_split = x[..., order]`.

    Reorder the rows of W_q and W_k (and their biases) so, head by head, and the other layout gives the same
    scores; `order.argsort()` leads back.
    """
    turned = torch.arange(rotary_dim)
    return torch.cat((turned[0::2], turned[1::2], torch.arange(rotary_dim, head_dim)))


def _factors(angles: Float[Tensor, "*axes pairs"], interleaved: bool) -> tuple[Tensor, Tensor]:
    """What each channel is multiplied by, and what its partner is: (cos, -sin) for a pair's first, (cos, sin)
    for its second."""
    cos, sin = angles.cos(), angles.sin()
    if interleaved:
        return torch.stack((cos, cos), dim=-1).flatten(-2), torch.stack((-sin, sin), dim=-1).flatten(-2)
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def _turn(
    x: Float[Tensor, "*axes head_dim"],
    cos: Float[Tensor, "*#axes rotary_dim"],
    sin: Float[Tensor, "*#axes rotary_dim"],
    interleaved: bool,
) -> Float[Tensor, "*axes head_dim"]:
    rotary_dim = cos.shape[-1]
    turning, still = x[..., :rotary_dim], x[..., rotary_dim:]
    partner = turning.unflatten(-1, (-1, 2)).flip(-1).flatten(-2) if interleaved else turning.roll(rotary_dim // 2, -1)
    turned = turning * cos + partner * sin
    return (torch.cat((turned, still), dim=-1) if still.shape[-1] else turned).to(x.dtype)


@dataclass(frozen=True)
class Rope:
    """Rotary positions.

    theta: the base of the frequencies.
    partial_rotary_factor: the part of each head's channels that turns; rounded down to whole channels.
    interleaved: pair neighbours, as the paper does, instead of the two halves.
    scaling: a rule of `rope_scaling` for texts longer than those of training.
    """

    theta: float = 1e4
    partial_rotary_factor: float = 1.0
    interleaved: bool = False
    scaling: RopeScaling | None = None

    def build(self, sizes: Sizes) -> PositionScheme:
        """Raises ValueError if the channels that should turn are not an even number, or more than a head has."""
        rotary_dim = int(sizes.head_dim * self.partial_rotary_factor)
        if rotary_dim < 2 or rotary_dim % 2 or rotary_dim > sizes.head_dim:
            raise ValueError(
                f"a head of {sizes.head_dim} channels cannot turn {rotary_dim} of them "
                f"(partial_rotary_factor {self.partial_rotary_factor}): an even number from 2 to head_dim is needed"
            )
        return RotaryPositions(rotary_dim, self.theta, self.interleaved, self.scaling)


class RotaryPositions(PositionScheme):
    """Turns queries and keys; values and embeddings stay as they are. It has no weights."""

    def __init__(self, rotary_dim: int, theta: float, interleaved: bool, scaling: RopeScaling | None = None) -> None:
        super().__init__()
        self.rotary_dim, self.theta, self.interleaved, self.scaling = rotary_dim, theta, interleaved, scaling

    def rotate(
        self,
        q: Float[Tensor, "batch seq heads head_dim"],
        k: Float[Tensor, "batch seq kv_heads head_dim"],
        ctx: Context,
    ) -> tuple[Float[Tensor, "batch seq heads head_dim"], Float[Tensor, "batch seq kv_heads head_dim"]]:
        """All layers and heads share one table of cosines and sines, in float32 at least: bfloat16 cannot
        tell position 257 from 256."""
        exact = torch.promote_types(q.dtype, torch.float32)
        cos, sin = ctx.once((self, exact), lambda: self._table(ctx.positions, exact))
        return _turn(q, cos, sin, self.interleaved), _turn(k, cos, sin, self.interleaved)

    def _table(self, positions: Int[Tensor, "#batch seq"], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        frequencies, factor = rope_frequencies(self.rotary_dim, self.theta), 1.0
        if self.scaling is not None:
            frequencies, factor = self.scaling.scale(frequencies, self.theta)
        angles = positions[..., None].to(dtype) * frequencies.to(positions.device, dtype)
        cos, sin = _factors(angles[:, :, None], self.interleaved)  # the same for every head
        return (cos, sin) if factor == 1 else (factor * cos, factor * sin)
