"""Feed-forward sublayers: each token for itself through d_ff hidden units.

    FeedForward       down(act(up(x)))                 Vaswani et al., arXiv:1706.03762, section 3.3
    GatedFeedForward  down(act(gate(x)) * up(x))       Shazeer, arXiv:2002.05202, section 2

A gated one has three matrices where the plain one has two; give it two thirds of d_ff for equal weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.context import Context
from allyouneed.blocks.initial import OutputProjection
from allyouneed.blocks.linear import Linear
from allyouneed.blocks.protocols import Sizes, Stateless

Activation = Callable[[Tensor], Tensor]


class FeedForward(Stateless):
    """down(act(up(x)))."""

    def __init__(self, sizes: Sizes, activation: Activation, bias: bool) -> None:
        super().__init__()
        self.activation = activation
        self.up = Linear(sizes.d_model, sizes.d_ff, bias=bias)
        self.down = OutputProjection(sizes.d_ff, sizes.d_model, bias, sizes.n_layers)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: Any = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Any]:
        """Each token's update; the state passes through."""
        return self.down(self.activation(self.up(x))), state


class GatedFeedForward(Stateless):
    """down(act(gate(x)) * up(x))."""

    def __init__(self, sizes: Sizes, activation: Activation, bias: bool) -> None:
        super().__init__()
        self.activation = activation
        self.gate = Linear(sizes.d_model, sizes.d_ff, bias=bias)
        self.up = Linear(sizes.d_model, sizes.d_ff, bias=bias)
        self.down = OutputProjection(sizes.d_ff, sizes.d_model, bias, sizes.n_layers)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: Any = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Any]:
        """Each token's update; the state passes through."""
        return self.down(self.activation(self.gate(x)) * self.up(x)), state


@dataclass(frozen=True)
class Relu:
    """The feed-forward of the original transformer: max(0, up(x))."""

    bias: bool = True

    def build(self, sizes: Sizes) -> nn.Module:
        """A plain feed-forward."""
        return FeedForward(sizes, F.relu, self.bias)


@dataclass(frozen=True)
class Gelu:
    """x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel, arXiv:1606.08415); "tanh" approximates it."""

    bias: bool = True
    approximate: Literal["none", "tanh"] = "none"

    def build(self, sizes: Sizes) -> nn.Module:
        """A plain feed-forward."""
        return FeedForward(sizes, partial(F.gelu, approximate=self.approximate), self.bias)


@dataclass(frozen=True)
class Silu:
    """x * sigmoid(x) (Ramachandran et al., arXiv:1710.05941, Swish with beta 1)."""

    bias: bool = True

    def build(self, sizes: Sizes) -> nn.Module:
        """A plain feed-forward."""
        return FeedForward(sizes, F.silu, self.bias)


@dataclass(frozen=True)
class GLU:
    """Gated by sigmoid(x) (Dauphin et al., arXiv:1612.08083; Shazeer, equation 4)."""

    bias: bool = False

    def build(self, sizes: Sizes) -> nn.Module:
        """A gated feed-forward."""
        return GatedFeedForward(sizes, torch.sigmoid, self.bias)


@dataclass(frozen=True)
class Bilinear:
    """Gated by x itself (Shazeer, equation 5)."""

    bias: bool = False

    def build(self, sizes: Sizes) -> nn.Module:
        """A gated feed-forward."""
        return GatedFeedForward(sizes, _same, self.bias)


@dataclass(frozen=True)
class ReGLU:
    """Gated by max(0, x) (Shazeer, equation 5)."""

    bias: bool = False

    def build(self, sizes: Sizes) -> nn.Module:
        """A gated feed-forward."""
        return GatedFeedForward(sizes, F.relu, self.bias)


@dataclass(frozen=True)
class GeGLU:
    """Gated by gelu(x) (Shazeer, equation 5); "tanh" approximates it, as T5 v1.1's own code does."""

    bias: bool = False
    approximate: Literal["none", "tanh"] = "none"

    def build(self, sizes: Sizes) -> nn.Module:
        """A gated feed-forward."""
        return GatedFeedForward(sizes, partial(F.gelu, approximate=self.approximate), self.bias)


@dataclass(frozen=True)
class SwiGLU:
    """Gated by silu(x) = x * sigmoid(x) (Shazeer, equation 5, with beta 1)."""

    bias: bool = False

    def build(self, sizes: Sizes) -> nn.Module:
        """A gated feed-forward."""
        return GatedFeedForward(sizes, F.silu, self.bias)


def _same(x: Tensor) -> Tensor:
    return x
