"""Sinusoidal positions: waves of many lengths, added to the embedding.

Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 3.5.

The idea: give each position a vector of sines and cosines whose wavelengths grow from 2 pi to 2 pi 10000;
a step of any fixed size is then one fixed linear map of that vector, whatever the position.

    table[pos, 2i]     = sin(pos / theta^(2i / d_model))
    table[pos, 2i + 1] = cos(pos / theta^(2i / d_model))

| here        | paper | meaning                                  |
| ----------- | ----- | ---------------------------------------- |
| `positions` | pos   | where a token stands, counted from 0     |
| `theta`     | 10000 | longest wavelength, in units of 2 pi     |

The waves have amplitude 1, so the paper multiplies the embeddings by sqrt(d_model) first (section 3.4), or
they would drown.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.blocks.context import Context
from allyouneed.blocks.protocols import PositionScheme, Sizes


def sinusoids(
    positions: Int[Tensor, "*axes"], d_model: int, theta: float = 1e4, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*axes d_model"]:
    """The vector of each position, sine and cosine by turns; computed in `dtype`. d_model must be even."""
    if d_model % 2:
        raise ValueError(f"sinusoids come in pairs: d_model must be even, got {d_model}")
    steps = theta ** (-torch.arange(0, d_model, 2, dtype=torch.float64, device=positions.device) / d_model)
    angles = positions[..., None].to(dtype) * steps.to(dtype)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


@dataclass(frozen=True)
class Sinusoidal:
    """The paper's waves. theta: the longest wavelength, in units of 2 pi."""

    theta: float = 1e4

    def build(self, sizes: Sizes) -> PositionScheme:
        """The waves, as a scheme."""
        return SinusoidalPositions(self.theta)


class SinusoidalPositions(PositionScheme):
    """sqrt(d_model) x + sinusoids."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = theta

    def embed(self, x: Float[Tensor, "batch seq d_model"], ctx: Context) -> Float[Tensor, "batch seq d_model"]:
        """Waves are computed in float32 at least and added in the embedding's own precision."""
        d_model = x.shape[-1]
        exact = torch.promote_types(x.dtype, torch.float32)
        return math.sqrt(d_model) * x + sinusoids(ctx.positions, d_model, self.theta, exact).to(x.dtype)
